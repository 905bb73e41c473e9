//! A real nginx of the test's own, with what a test puts into its `http`. It is on 127.0.0.1 and in
//! a temporary directory, a process group that is ended as one.

use std::fs::{self, File};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::tools::{Group, as_root, free_port, run, signal};

const NGINX: &str = "/usr/sbin/nginx";

/// A running nginx; it is killed with this value.
#[derive(Debug)]
pub struct Nginx {
    pub port: u16,
    processes: Group,
    dir: TempDir,
}

impl Nginx {
    /// Starts it; in `http`, `@PORT@` is its port and `@DIR@` its directory.
    pub fn start(http: &str) -> Nginx {
        assert!(Path::new(NGINX).exists(), "these tests need nginx: apt-get install nginx-light");
        let folder = tempfile::tempdir().expect("a temporary directory");
        run(Command::new("chmod").arg("755").arg(folder.path()));
        let port = free_port();
        let dir = folder.path().display();
        let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary: String =
            kinds.iter().map(|kind| format!("{kind}_temp_path {dir}/{kind};\n")).collect();
        let user = if as_root() { "user www-data;\n" } else { "" };
        let whole = format!(
            "{user}worker_processes 1;\npid {dir}/pid;\nerror_log {dir}/error.log;\n\
             events {{}}\nhttp {{\naccess_log off;\ninclude /etc/nginx/mime.types;\n{temporary}\
             include sites/*;\n}}\n"
        );
        fs::create_dir(folder.path().join("sites")).expect("a folder");
        let site = http.replace("@PORT@", &port.to_string()).replace("@DIR@", &dir.to_string());
        fs::write(folder.path().join("sites/site"), site).expect("a file");
        fs::write(folder.path().join("nginx.conf"), whole).expect("a file");
        let processes = processes(folder.path(), port);
        Nginx { port, processes, dir: folder }
    }

    /// A file in its directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Its configuration's first file.
    pub fn config(&self) -> PathBuf {
        self.path("nginx.conf")
    }

    /// Lets it finish what it has begun, and end.
    pub fn quit(&mut self) {
        signal(self.processes.id(), "QUIT");
        self.processes.wait();
    }
}

fn processes(folder: &Path, port: u16) -> Group {
    let errors = folder.join("stderr");
    let mut command = Command::new(NGINX);
    command.args(["-g", "daemon off;", "-p"]).arg(folder).arg("-c").arg(folder.join("nginx.conf"));
    command.stderr(File::create(&errors).expect("a file"));
    let said = || {
        let files = [errors.clone(), folder.join("error.log")];
        files.map(|file| fs::read_to_string(file).unwrap_or_default()).join("\n")
    };
    Group::start("nginx", &mut command, said, || TcpStream::connect(("127.0.0.1", port)).is_ok())
}
