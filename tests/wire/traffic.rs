//! What the proxy knows of its own traffic, told to operators when a server has too much to do.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::backend::Backend;
use super::client::Client;
use super::eventually;
use super::faketime::faketime;
use super::proxy::{Program, Proxy, get};

const CLIENTS: usize = 30;

fn problem(address: SocketAddr) -> Value {
    let accept = "Accept: application/problem+json\r\n\r\n";
    let asked = get("/").replacen("\r\n\r\n", &format!("\r\n{accept}"), 1);
    serde_json::from_str(&Client::sent(address, asked).answer("GET").body).unwrap()
}

/// One client has every place: the operator is told who it is, what it asks for and since when.
#[test]
fn a_flood_of_one_client_is_named() {
    // Takes every request, and answers none.
    let backend = Backend::scripted(|peer| {
        peer.request();
        peer.drain();
    });
    let proxy = Proxy::with(&format!(
        "[page]\ntrusted_proxies = [\"127.0.0.0/8\"]\n[upstream.app]\nservers = [\"{}\"]\n\
         limits.connections = {CLIENTS}\nlimits.queue = 0\n",
        backend.server()
    ));
    let flood = "GET /wp-login.php?try=1 HTTP/1.1\r\nHost: shop.example\r\n\
                 User-Agent: flooder/1.0\r\nX-Forwarded-For: 198.51.100.7\r\n\r\n";
    let clients: Vec<Client> = (0..CLIENTS).map(|_| Client::sent(proxy.address, flood)).collect();
    eventually("every place is taken", || {
        (backend.requests("/wp-login.php?try=1") == CLIENTS).then_some(())
    });
    let problem = eventually("the flood is named", || {
        Some(problem(proxy.address)).filter(|problem| problem["root"] == "single_client_flood")
    });
    assert_eq!(problem["cause"], "queue_full");
    let findings = problem["findings"].as_array().unwrap();
    let value = |key: &str| {
        let found = findings.iter().find(|found| found["key"] == key);
        found.unwrap_or_else(|| panic!("{key} in {problem}"))["value"].as_str().unwrap().to_owned()
    };
    assert_eq!(value("in_flight"), CLIENTS.to_string());
    assert!(value("most_in_flight_client").starts_with("198.51.100.7: 30 of 3"));
    let row = value("request_in_flight");
    assert!(row.starts_with("30 x GET /wp-login.php, "), "{row}");
    assert!(row.ends_with(", 198.51.100.7, flooder/1.0"), "{row}");
    assert!(!problem.to_string().contains("try=1"), "a query may hold a secret");
    drop(clients);
}

/// The program's clocks, all of them; they run, and are set as far back as a file says.
struct Clocks(TempDir);

impl Clocks {
    fn new() -> Clocks {
        let clocks = Clocks(tempfile::tempdir().unwrap());
        clocks.set_back(3700);
        clocks
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("clock")
    }

    fn set_back(&self, seconds: u64) {
        let next = self.0.path().join("next");
        std::fs::write(&next, format!("-{seconds}s\n")).unwrap();
        // It is read at any moment, and is whole at each.
        std::fs::rename(next, self.file()).unwrap();
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("LD_PRELOAD", faketime());
        command.env("FAKETIME_TIMESTAMP_FILE", self.file());
        command.envs([("FAKETIME_NO_CACHE", "1"), ("NO_FAKE_STAT", "1")]);
        command
    }
}

/// Many ask, each once, from networks of their own.
fn ask(program: &Program, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let client = format!("X-Forwarded-For: 198.{}.{}.7", 18 + number / 250, number % 250);
        let asked = get("/sale").replacen("\r\n\r\n", &format!("\r\n{client}\r\n\r\n"), 1);
        assert_eq!(Client::sent(program.address, asked).answer("GET").status, 204);
    }
}

/// More ask than an hour ago, and no one of them more than another.
#[test]
fn a_rise_of_all_is_told_from_the_hour_before() {
    let backend = Backend::scripted(|peer| {
        while let Some(head) = peer.request() {
            if !head.starts_with("GET /sale") {
                return peer.drain();
            }
            peer.send("HTTP/1.1 204 No Content\r\n\r\n");
        }
    });
    let clocks = Clocks::new();
    let lines = format!(
        "[page]\ntrusted_proxies = [\"127.0.0.0/8\"]\n[upstream.app]\nservers = [\"{}\"]\n\
         timeouts.first_byte = \"15s\"\nlimits.connections = 1\nlimits.queue = 0\n",
        backend.server()
    );
    let program = Program::start(&lines, |program| clocks.command(program));
    // A request whose time is over with the clock's next step: its answer says that the program has
    // heard of the step, and so has taken its sample of the requests until then.
    let step = |path: &str, seconds: u64| {
        let waiting = Client::sent(program.address, get(path));
        eventually("the server has it", || (backend.requests(path) == 1).then_some(()));
        clocks.set_back(seconds);
        assert_eq!({ waiting }.answer("GET").status, 502, "{path}");
    };
    // From 61 minutes ago to 60 one in ten seconds, and none for an hour.
    ask(&program, 0..5);
    step("/an-hour-ago", 3650);
    step("/a-minute-ago", 70);
    ask(&program, 5..905);
    step("/now", 0);
    let _held = Client::sent(program.address, get("/held"));
    eventually("the one place is taken", || (backend.requests("/held") == 1).then_some(()));
    let problem = eventually("the rise is named", || {
        Some(problem(program.address)).filter(|problem| problem["root"] == "traffic_spike")
    });
    assert_eq!(
        (&problem["cause"], &problem["root_certainty"]),
        (&"queue_full".into(), &"likely".into())
    );
    let rate = |key: &str| {
        let value = problem["root_evidence"][key].as_str();
        value.unwrap_or_else(|| panic!("{key} in {problem}")).parse::<f64>().unwrap()
    };
    assert!(rate("requests_per_second") >= 5.0, "{problem}");
    assert!(rate("requests_per_second_hour_ago") < 1.0, "{problem}");
    let fixes = problem["fixes"].as_array().unwrap();
    let first = fixes.iter().find(|fix| fix["audience"] == "operator").unwrap();
    assert_eq!(first["id"], "limit_traffic");
}
