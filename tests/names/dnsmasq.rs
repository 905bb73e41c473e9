//! A dnsmasq of a test's own on a port of 127.0.0.1, with the names that the tests ask for.

use std::fs;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::support::tools::{Group, as_root, free_port, signal};
use super::wire;

const PROGRAM: &str = "/usr/sbin/dnsmasq";

/// A running dnsmasq; it ends with this value.
#[derive(Debug)]
pub struct Dnsmasq {
    pub port: u16,
    group: Group,
    hosts: PathBuf,
    _dir: TempDir,
}

impl Dnsmasq {
    /// Starts one that knows these hosts (as in /etc/hosts), with more arguments.
    pub fn start(hosts: &str, arguments: &[String]) -> Dnsmasq {
        assert!(
            fs::exists(PROGRAM).unwrap_or_default(),
            "{PROGRAM} is missing: apt-get install dnsmasq-base, or tests/run, which installs it"
        );
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (file, said) = (dir.path().join("hosts"), dir.path().join("log"));
        fs::write(&file, hosts).expect("the hosts are written");
        let port = free_port();
        let mut command = Command::new(PROGRAM);
        command
            .args(["--keep-in-foreground", "--conf-file=/dev/null", "--pid-file="])
            .args(["--listen-address=127.0.0.1", "--bind-interfaces", "--no-resolv", "--no-hosts"])
            .arg(format!("--port={port}"))
            .arg(format!("--addn-hosts={}", file.display()))
            .arg(format!("--log-facility={}", said.display()))
            .args(arguments);
        if as_root() {
            // It would drop to an account that may not read the hosts.
            command.arg("--user=root");
        }
        let log = || fs::read_to_string(&said).unwrap_or_default();
        let group = Group::start("dnsmasq", &mut command, log, || asks(port, "ready.test"));
        Dnsmasq { port, group, hosts: file, _dir: dir }
    }

    /// Replaces the hosts and waits until one of them is known.
    pub fn change(&self, hosts: &str, known: &str, address: [u8; 4]) {
        fs::write(&self.hosts, hosts).expect("the hosts are written");
        signal(self.group.id(), "HUP");
        super::eventually("dnsmasq has read its hosts again", || {
            let answer = answer(self.port, known)?;
            answer.ends_with(&wire::with_opt(&address)).then_some(())
        });
    }
}

fn asks(port: u16, name: &str) -> bool {
    answer(port, name).is_some()
}

/// The answer to a question for an address; `None` while nobody gives one.
fn answer(port: u16, name: &str) -> Option<Vec<u8>> {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).expect("a socket");
    socket.connect(("127.0.0.1", port)).expect("a route");
    socket.set_read_timeout(Some(Duration::from_secs(1))).expect("a socket option");
    let mut bytes = [0; 1024];
    socket.send(&wire::query(name)).ok()?;
    let length = socket.recv(&mut bytes).ok()?;
    Some(bytes[..length].to_vec())
}
