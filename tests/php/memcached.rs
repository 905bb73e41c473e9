//! A memcached of the test's own on a port of 127.0.0.1.

use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use super::support::tools::{Group, as_root, free_port, signal};

const SERVER: &str = "/usr/bin/memcached";
const MISSING: &str = "this test needs memcached: apt-get install memcached";

/// A server that runs, or was stopped; ends with this value.
#[derive(Debug)]
pub struct Memcached {
    pub port: u16,
    server: Group,
}

impl Memcached {
    /// Starts one that takes so many connections.
    pub fn start(connections: usize) -> Memcached {
        assert!(Path::new(SERVER).exists(), "{MISSING}");
        let port = free_port();
        let mut command = Command::new(SERVER);
        command.args(["-l", "127.0.0.1", "-p", &port.to_string(), "-m", "8", "-t", "1"]);
        command.args(["-c", &connections.to_string()]);
        if as_root() {
            command.args(["-u", "www-data"]);
        }
        let ready = || TcpStream::connect(("127.0.0.1", port)).is_ok();
        let server = Group::start("memcached", &mut command, String::new, ready);
        Memcached { port, server }
    }

    pub fn signal(&self, name: &str) {
        signal(self.server.id(), name);
    }

    /// Ends it as an administrator would.
    pub fn stop(&mut self) {
        self.server.end("TERM");
    }
}
