//! Real servers of the test's own, each on a port of 127.0.0.1 and ended with its value, and
//! listeners that do one thing.
//!
//! A server that is not installed fails the test with what brings it.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use tempfile::TempDir;

use super::certificates::Identity;
use super::support::tools::{Group, as_root, free_port, run};

/// A server that runs, with its files.
#[derive(Debug)]
pub struct Server {
    pub port: u16,
    _processes: Group,
    _dir: TempDir,
}

impl Server {
    fn start(
        name: &'static str,
        package: &str,
        program: &str,
        port: u16,
        dir: TempDir,
        arguments: impl FnOnce(&mut Command, &Path),
    ) -> Server {
        assert!(Path::new(program).exists(), "this test needs {name}: apt-get install {package}");
        let output = dir.path().join("output");
        let mut command = Command::new(program);
        arguments(&mut command, dir.path());
        command.stderr(File::create(&output).expect("a file"));
        let said = || fs::read_to_string(&output).unwrap_or_default();
        let ready = || TcpStream::connect(("127.0.0.1", port)).is_ok();
        let processes = Group::start(name, &mut command, said, ready);
        Server { port, _processes: processes, _dir: dir }
    }

    /// `openssl s_server` with more of its options. It answers a request with a page of its own.
    pub fn openssl(identity: &Identity, options: &[&str]) -> Server {
        let (port, dir) = (free_port(), new_dir());
        Server::start("openssl", "openssl", "/usr/bin/openssl", port, dir, |command, _| {
            command.args(["s_server", "-www", "-quiet", "-accept", &format!("127.0.0.1:{port}")]);
            command.arg("-cert").arg(&identity.leaf).arg("-key").arg(&identity.key);
            if let Some(above) = &identity.above {
                command.arg("-cert_chain").arg(above);
            }
            command.args(options);
        })
    }

    /// An Apache with one page, in plain HTTP or inside TLS.
    pub fn apache(identity: Option<&Identity>) -> Server {
        let (port, dir) = (free_port(), new_dir());
        let program = "/usr/sbin/apache2";
        let text = apache_config(dir.path(), port, identity);
        fs::write(dir.path().join("conf"), text).expect("the configuration is written");
        Server::start("Apache", "apache2", program, port, dir, |command, dir| {
            command.arg("-d").arg(dir).arg("-f").arg(dir.join("conf")).arg("-DFOREGROUND");
        })
    }

    pub fn ssh() -> Server {
        let (port, dir) = (free_port(), new_dir());
        let key = dir.path().join("key");
        let program = "/usr/sbin/sshd";
        assert!(
            Path::new(program).exists(),
            "this test needs sshd: apt-get install openssh-server"
        );
        run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key));
        if as_root() {
            // Where it locks itself in; the system's own start makes it.
            fs::create_dir_all("/run/sshd").expect("sshd's directory");
        }
        let text = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {}\nPidFile none\nUsePAM no\n",
            key.display()
        );
        fs::write(dir.path().join("conf"), text).expect("the configuration is written");
        Server::start("sshd", "openssh-server", program, port, dir, |command, dir| {
            command.args(["-D", "-e", "-f"]).arg(dir.join("conf"));
        })
    }

    pub fn redis() -> Server {
        let (port, dir) = (free_port(), new_dir());
        let program = "/usr/bin/redis-server";
        Server::start("Redis", "redis-server", program, port, dir, |command, dir| {
            command.args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
            command.args(["--save", "", "--appendonly", "no", "--dir"]).arg(dir);
        })
    }

    /// A MariaDB that has no tables yet: its greeting is all that is wanted.
    pub fn mariadb() -> Server {
        let (port, dir) = (free_port(), new_dir());
        let program = "/usr/sbin/mariadbd";
        fs::create_dir(dir.path().join("data")).expect("a directory");
        Server::start("MariaDB", "mariadb-server", program, port, dir, |command, dir| {
            command.args(["--no-defaults", "--skip-grant-tables", "--bind-address=127.0.0.1"]);
            command.arg(format!("--port={port}"));
            command.arg(format!("--datadir={}", dir.join("data").display()));
            command.arg(format!("--socket={}", dir.join("socket").display()));
            command.args(["--innodb-log-file-size=8M", "--innodb-buffer-pool-size=32M"]);
            if as_root() {
                command.arg("--user=root");
            }
        })
    }
}

fn new_dir() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn apache_config(dir: &Path, port: u16, identity: Option<&Identity>) -> String {
    let modules = PathBuf::from("/usr/lib/apache2/modules");
    let mut text = String::new();
    for name in ["mpm_event", "authz_core", "ssl"] {
        let file = modules.join(format!("mod_{name}.so")).display().to_string();
        text += &format!("LoadModule {name}_module {file}\n");
    }
    let dir = dir.display();
    text += &format!(
        "ServerRoot {dir}\nServerName localhost\nListen 127.0.0.1:{port}\n\
         DefaultRuntimeDir {dir}\nPidFile {dir}/pid\nMutex file:{dir} default\n\
         ErrorLog {dir}/error.log\nStartServers 1\nDocumentRoot {dir}\n"
    );
    if as_root() {
        text += "User www-data\nGroup www-data\n";
    }
    if let Some(identity) = identity {
        text += &format!(
            "SSLEngine on\nSSLSessionCache none\nSSLCertificateFile {}\n\
             SSLCertificateKeyFile {}\n",
            identity.leaf.display(),
            identity.key.display()
        );
    }
    text
}

/// A listener that greets whoever comes and then listens; a scripted stand-in.
pub fn greeting(bytes: &'static [u8]) -> u16 {
    listening(move |mut stream| {
        let _ = stream.write_all(bytes);
        let _ = stream.read_to_end(&mut Vec::new());
    })
}

/// A listener that takes connections and never says a word.
pub fn silent() -> u16 {
    greeting(b"")
}

/// A listener that says so much to the first bytes and nothing more.
pub fn stalling(bytes: &'static [u8]) -> u16 {
    listening(move |mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(bytes);
        let _ = stream.read_to_end(&mut Vec::new());
    })
}

/// A listener that closes upon the first bytes.
pub fn closing() -> u16 {
    listening(|mut stream| {
        let _ = stream.read(&mut [0; 4096]);
    })
}

/// Lives as long as the test's process; each connection has a thread.
fn listening(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = listener.local_addr().expect("its address").port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            thread::spawn(move || serve(stream));
        }
    });
    port
}
