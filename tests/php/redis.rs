//! A Redis of the test's own on a port of 127.0.0.1, which keeps nothing.

use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use super::support::tools::{Group, free_port, signal};

const SERVER: &str = "/usr/bin/redis-server";
const MISSING: &str = "this test needs Redis: apt-get install redis-server";

/// A server that runs, or was stopped by a signal; ends with this value.
#[derive(Debug)]
pub struct Redis {
    pub port: u16,
    server: Group,
}

impl Redis {
    pub fn start() -> Redis {
        assert!(Path::new(SERVER).exists(), "{MISSING}");
        let port = free_port();
        let mut command = Command::new(SERVER);
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
        command.args(["--save", "", "--appendonly", "no"]);
        let ready = || TcpStream::connect(("127.0.0.1", port)).is_ok();
        let server = Group::start("Redis", &mut command, String::new, ready);
        Redis { port, server }
    }

    pub fn signal(&self, name: &str) {
        signal(self.server.id(), name);
    }
}
