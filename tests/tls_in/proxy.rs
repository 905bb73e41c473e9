//! The program with a listener of TLS beside its plain one, and a client for it.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use tempfile::TempDir;

use super::PATIENCE;
use super::certificates::{Certificates, NAME};
use super::support::tools::{Group, eventually, free_port, run, signal};

/// A running proxy; it ends with this value.
#[derive(Debug)]
pub struct Proxy {
    pub plain: u16,
    pub secure: u16,
    group: Group,
    dir: TempDir,
}

impl Proxy {
    /// With these lines in `[tls]`, and these after it.
    pub fn start(tls: &str, more: &str) -> Proxy {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (plain, secure) = (free_port(), free_port());
        write(&dir, plain, secure, tls, more);
        let errors = fs::File::create(dir.path().join("stderr")).expect("a file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_causeway"));
        command.args(["run", "--config"]).arg(dir.path().join("causeway.toml")).stderr(errors);
        let said = || fs::read_to_string(dir.path().join("stderr")).unwrap_or_default();
        let last = format!("listening on 127.0.0.1:{secure}");
        let group = Group::start("the proxy", &mut command, said, || said().contains(&last));
        Proxy { plain, secure, group, dir }
    }

    /// Before one upstream, with the certificate `shop` of the test's authority.
    pub fn before(server: &str, certificates: &Certificates, tls: &str) -> Proxy {
        let tls = format!("{}{tls}", certificates.lines(&["shop"]));
        Proxy::start(&tls, &format!("[upstream.site]\nservers = [\"{server}\"]\n"))
    }

    /// Puts other lines into the file and has it read.
    pub fn reload(&self, tls: &str, more: &str) {
        let before = self.said().matches("reloaded").count();
        write(&self.dir, self.plain, self.secure, tls, more);
        signal(self.group.id(), "HUP");
        eventually("the reload", || {
            (self.said().matches("reloaded").count() > before).then_some(())
        });
    }

    /// What it wrote to stderr.
    pub fn said(&self) -> String {
        fs::read_to_string(self.dir.path().join("stderr")).unwrap_or_default()
    }

    /// Waits until it has said this.
    pub fn expect_said(&self, what: &str) {
        eventually(&format!("{what:?} on stderr"), || self.said().contains(what).then_some(()));
    }

    pub fn access_log(&self) -> String {
        fs::read_to_string(self.dir.path().join("access.log")).unwrap_or_default()
    }

    /// curl to the TLS port by the test's name, what it printed and whether it was content.
    pub fn curl(&self, certificates: &Certificates, path: &str, more: &[&str]) -> (Vec<u8>, bool) {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--max-time", "20", "--cacert"]);
        curl.arg(certificates.ca());
        curl.args(["--resolve", &format!("{NAME}:{}:127.0.0.1", self.secure)]).args(more);
        let output = curl.arg(format!("https://{NAME}:{}{path}", self.secure)).output();
        let output = output.expect("these tests need curl: apt-get install curl");
        (output.stdout, output.status.success())
    }

    /// `openssl s_client` with these arguments; what it printed, without and with a handshake.
    pub fn s_client(&self, more: &[&str]) -> String {
        let mut command = Command::new("openssl");
        command.arg("s_client").args(["-connect", &format!("127.0.0.1:{}", self.secure)]);
        let output = command.args(more).stdin(std::process::Stdio::null()).output();
        let output = output.expect("these tests need openssl: apt-get install openssl");
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&text).into_owned()
    }

    /// A connection of TLS.
    pub fn client(&self, certificates: &Certificates) -> StreamOwned<ClientConnection, TcpStream> {
        let config = ClientConfig::builder().with_root_certificates(certificates.roots());
        let config = Arc::new(config.with_no_client_auth());
        let name = ServerName::try_from(NAME).expect("a name");
        let connection = ClientConnection::new(config, name).expect("a client");
        StreamOwned::new(connection, self.socket(self.secure))
    }

    pub fn socket(&self, port: u16) -> TcpStream {
        let socket = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
        socket.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        socket
    }

    /// Asks without TLS and reads to the end.
    pub fn plainly(&self, port: u16, request: &str) -> String {
        let mut socket = self.socket(port);
        socket.write_all(request.as_bytes()).expect("the request is sent");
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// `causeway check` on its configuration.
    pub fn check(&self) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_causeway"));
        run(command.args(["check", "--config"]).arg(self.path("causeway.toml")))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the proxy's messages:\n{}\nits log:\n{}", self.said(), self.access_log());
        }
    }
}

fn write(dir: &TempDir, plain: u16, secure: u16, tls: &str, more: &str) {
    let log = dir.path().join("access.log");
    let text = format!(
        "listen = [\"127.0.0.1:{plain}\"]\nworkers = 2\n[tls]\n\
         listen = [\"127.0.0.1:{secure}\"]\n{tls}\n{more}\n[log]\naccess = \"{}\"\n",
        log.display()
    );
    fs::write(dir.path().join("causeway.toml"), text).expect("the configuration is written");
}
