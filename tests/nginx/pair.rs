//! A nginx with a configuration, and the proxy with what was imported from it.

use std::fs::{self, File};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::support::client::{self, Answer};
use super::support::proxy::Proxy;
use super::support::tools::{Group, as_root, free_port, run};

const NGINX: &str = "/usr/sbin/nginx";
const PROGRAM: &str = env!("CARGO_BIN_EXE_causeway");

/// Both, while this value lives.
pub struct Pair {
    port: u16,
    proxy: Proxy,
    notes: String,
    _nginx: Group,
    _dir: TempDir,
}

impl Pair {
    /// Starts both with what stands in nginx's `http`; `@PORT@` is the port.
    pub fn start(http: &str) -> Pair {
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
        let site = http.replace("@PORT@", &port.to_string());
        fs::write(folder.path().join("sites/site"), site).expect("a file");
        let config = folder.path().join("nginx.conf");
        fs::write(&config, whole).expect("a file");
        let nginx = nginx(folder.path(), &config, port);

        let (toml, notes) = import(&config);
        let own = free_port();
        let listens = format!("127.0.0.1:{port}");
        assert!(toml.contains(&listens), "{toml}");
        let proxy = Proxy::configured(&toml.replace(&listens, &format!("127.0.0.1:{own}")), own);
        Pair { port, proxy, notes, _nginx: nginx, _dir: folder }
    }

    /// What both answer.
    pub fn get(&self, host: &str, path: &str) -> (Answer, Answer) {
        self.ask("GET", host, path, &[("X-Own", "own")], b"")
    }

    /// What both answer, which has the same status.
    pub fn alike(&self, host: &str, path: &str) -> (Answer, Answer) {
        let (nginx, ours) = self.get(host, path);
        assert_eq!(nginx.status, ours.status, "{host}{path}: {nginx:?} {ours:?}");
        (nginx, ours)
    }

    pub fn ask(
        &self,
        method: &str,
        host: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> (Answer, Answer) {
        let headers = [headers, &[("Host", host)]].concat();
        let ask = |port: u16| client::request(port, method, path, &headers, body);
        (ask(self.port), ask(self.proxy.port))
    }

    /// What the import said.
    pub fn notes(&self) -> &str {
        &self.notes
    }
}

/// The configuration, and what was said of it.
pub fn import(config: &Path) -> (String, String) {
    let mut command = Command::new(PROGRAM);
    let output = command.args(["import", "nginx"]).arg(config).output().expect("it runs");
    assert!(matches!(output.status.code(), Some(0 | 1)), "{output:?}");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (text(output.stdout), text(output.stderr))
}

fn nginx(folder: &Path, config: &Path, port: u16) -> Group {
    let errors = folder.join("stderr");
    let mut command = Command::new(NGINX);
    command.args(["-g", "daemon off;", "-p"]).arg(folder).arg("-c").arg(config);
    command.stderr(File::create(&errors).expect("a file"));
    let said = || {
        let files = [errors.clone(), folder.join("error.log")];
        files.map(|file| fs::read_to_string(file).unwrap_or_default()).join("\n")
    };
    Group::start("nginx", &mut command, said, || TcpStream::connect(("127.0.0.1", port)).is_ok())
}
