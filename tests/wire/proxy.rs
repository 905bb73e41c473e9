//! The proxy under test, in this process or as the program, with its log in a file.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use causeway::config::{self, ListenAddress};
use causeway::server::{self, Running};
use serde_json::Value;
use tempfile::TempDir;

use super::backend::Backend;
use super::client::{Answer, Client};
use super::eventually;

/// A proxy in this process; ends with this value.
#[derive(Debug)]
pub struct Proxy {
    pub address: SocketAddr,
    running: Option<Running>,
    log: PathBuf,
    _dir: TempDir,
}

impl Proxy {
    /// Before one upstream, everything at its default.
    pub fn before(backend: &Backend) -> Proxy {
        Proxy::with(&format!("[upstream.app]\nservers = [\"{}\"]\n", backend.server()))
    }

    /// Before several servers of one block, with more lines of that block.
    pub fn block(servers: &[String], more: &str) -> Proxy {
        Proxy::with(&format!("[upstream.app]\nservers = {servers:?}\n{more}"))
    }

    /// With these lines after `listen`, `workers` and `[log]`.
    pub fn with(lines: &str) -> Proxy {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("access.log");
        let text = format!(
            "listen = [\"127.0.0.1:0\"]\nworkers = 1\ndrain_timeout = \"1s\"\n{lines}\n[log]\n\
             access = \"{}\"\n",
            log.display()
        );
        let config = config::parse(&text, Path::new("test.toml"));
        let config = config.unwrap_or_else(|problems| panic!("{problems}\n{text}"));
        let running = server::start(config).unwrap();
        let address = match running.addresses().swap_remove(0) {
            ListenAddress::Tcp(address) => address,
            other => panic!("a TCP listener became {other}"),
        };
        Proxy { address, running: Some(running), log, _dir: dir }
    }

    /// The last listener, where it is that of TLS.
    pub fn secure(&self) -> SocketAddr {
        let addresses = self.running.as_ref().unwrap().addresses();
        match addresses.last() {
            Some(ListenAddress::Tcp(address)) => *address,
            other => panic!("no TCP listener: {other:?}"),
        }
    }

    /// Sends a request on a connection of its own and reads its answer.
    pub fn ask(&self, request: impl AsRef<[u8]>) -> Answer {
        let request = request.as_ref();
        let method = request.split(|&byte| byte == b' ').next().unwrap_or_default();
        Client::sent(self.address, request).answer(&String::from_utf8_lossy(method))
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask(get(path))
    }

    /// The line of a path's request, once it is written.
    pub fn logged(&self, path: &str) -> Value {
        logged(&self.log, path)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.abort();
        }
    }
}

/// The proxy as its users run it: the built program, with a file for everything that it writes.
#[derive(Debug)]
pub struct Program {
    pub address: SocketAddr,
    pub child: Child,
    dir: TempDir,
}

impl Program {
    /// Before one server, with more lines of its block.
    pub fn before(server: &str, more: &str) -> Program {
        Program::with(&format!("[upstream.app]\nservers = [\"{server}\"]\n{more}"))
    }

    /// With these lines in its file.
    pub fn with(lines: &str) -> Program {
        Program::start(lines, |program| Command::new(program))
    }

    /// The same, run by another command that ends with the program's path.
    pub fn start(lines: &str, command: impl FnOnce(&str) -> Command) -> Program {
        Program::found(lines, command, |said| {
            let (line, _) = said.split_once("listening on ")?.1.split_once('\n')?;
            line.parse().ok()
        })
    }

    /// The same, with another way to its address than what stderr has of it.
    pub fn found(
        lines: &str,
        command: impl FnOnce(&str) -> Command,
        address: impl Fn(&str) -> Option<SocketAddr>,
    ) -> Program {
        let dir = tempfile::tempdir().unwrap();
        write_config(dir.path(), lines);
        let mut child = command(env!("CARGO_BIN_EXE_causeway"))
            .args(["run", "--config"])
            .arg(dir.path().join("causeway.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(dir.path().join("stderr")).unwrap())
            .spawn()
            .unwrap();
        let address = eventually("the program listens", || {
            let said = fs::read_to_string(dir.path().join("stderr")).unwrap();
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the program ended with {status}:\n{said}");
            }
            address(&said)
        });
        Program { address, child, dir }
    }

    /// Replaces the configuration file; a signal then has it read.
    pub fn configure(&self, lines: &str) {
        write_config(self.dir.path(), lines);
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn stderr(&self) -> String {
        fs::read_to_string(self.path("stderr")).unwrap()
    }

    /// Waits until the program has said this as often.
    pub fn said(&self, what: &str, times: usize) -> String {
        eventually(&format!("{what:?} on stderr"), || {
            let said = self.stderr();
            (said.matches(what).count() >= times).then_some(said)
        })
    }

    pub fn signal(&self, name: &str) {
        // The shell's own kill: /bin/kill is not everywhere.
        let kill = format!("kill -s {name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// The exit status, once it has ended by itself.
    pub fn exit_code(&mut self) -> Option<i32> {
        eventually("the program's end", || self.child.try_wait().unwrap()).code()
    }

    pub fn logged(&self, path: &str) -> Value {
        logged(&self.path("access.log"), path)
    }

    /// Resident memory.
    pub fn memory_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the program's messages:\n{}", self.stderr());
        }
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One worker, a free port and a log beside the file, unless the lines say otherwise.
fn write_config(dir: &Path, lines: &str) {
    let listen = if lines.starts_with("listen") { "" } else { "listen = [\"127.0.0.1:0\"]\n" };
    let log = dir.join("access.log");
    let text = format!("{listen}workers = 1\n{lines}\n[log]\naccess = \"{}\"\n", log.display());
    fs::write(dir.join("causeway.toml"), text).unwrap();
}

/// A plain request.
pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: shop.example\r\n\r\n")
}

/// The first line of a JSON log with this path.
pub fn logged(log: &Path, path: &str) -> Value {
    eventually(&format!("a log line of {path}"), || {
        let text = fs::read_to_string(log).ok()?;
        let (whole, _) = text.rsplit_once('\n')?;
        let mut lines = whole.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.find(|line| line["path"] == path)
    })
}
