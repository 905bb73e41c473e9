//! A nginx with a configuration, and the proxy with what was imported from it.

use std::path::Path;
use std::process::Command;

use super::support::client::{self, Answer};
use super::support::nginx::Nginx;
use super::support::proxy::Proxy;
use super::support::tools::free_port;

const PROGRAM: &str = env!("CARGO_BIN_EXE_causeway");

/// Both, while this value lives.
pub struct Pair {
    nginx: Nginx,
    proxy: Proxy,
    notes: String,
}

impl Pair {
    /// Starts both with what stands in nginx's `http`; `@PORT@` is the port.
    pub fn start(http: &str) -> Pair {
        let nginx = Nginx::start(http);
        let (toml, notes) = import(&nginx.config());
        let own = free_port();
        let listens = format!("127.0.0.1:{}", nginx.port);
        assert!(toml.contains(&listens), "{toml}");
        let proxy = Proxy::configured(&toml.replace(&listens, &format!("127.0.0.1:{own}")), own);
        Pair { nginx, proxy, notes }
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
        (ask(self.nginx.port), ask(self.proxy.port))
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
