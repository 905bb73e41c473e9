//! The command line from outside: what it prints, where, and with which status it ends.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const GOOD: &str = "[upstream.app]\nservers = [\"http://127.0.0.1:8080\"]\n";
const BAD: &str = "workerz = 2\n[upstream.app]\nservers = [\"127.0.0.1:8080\"]\n\
                   [upstream.app.timeouts]\nconnect = \"3\"\n";

fn causeway(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_causeway")).args(arguments).output().unwrap()
}

/// A file with this text, as an argument.
fn file(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn each_end_has_its_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let unwritable = format!(
        "listen = [\"127.0.0.1:0\"]\n{GOOD}[log]\naccess = \"{}\"\n",
        dir.path().join("none/access.log").display()
    );
    let good = file(dir.path(), "good.toml", GOOD);
    let bad = file(dir.path(), "bad.toml", BAD);
    let none = dir.path().join("none.toml").display().to_string();
    // Without SO_REUSEPORT: nobody else may listen there.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let held = format!("listen = [\"{}\"]\n{GOOD}", listener.local_addr().unwrap());
    let held = file(dir.path(), "held.toml", &held);
    let unwritable = file(dir.path(), "unwritable.toml", &unwritable);
    for (arguments, code, says) in [
        (vec![], 64, "Usage"),
        (vec!["serve"], 64, "serve"),
        (vec!["run", "--conf", &good], 64, "--config"),
        (vec!["explain", "nonsense"], 64, "nonsense"),
        (vec!["explain", "wrong_prot"], 64, "did you mean `wrong_port`?"),
        (vec!["run", "--config", &none], 66, "none.toml"),
        (vec!["check", "--config", &none], 66, "none.toml"),
        (vec!["run", "--config", &held], 69, "cannot listen on 127.0.0.1:"),
        (vec!["run", "--config", &unwritable], 69, "access log"),
        (vec!["run", "--config", &bad], 78, "bad.toml:1:1"),
        (vec!["check", "--config", &bad], 78, "workerz"),
    ] {
        let output = causeway(&arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
        let said = text(&output.stderr);
        assert!(said.contains(says), "{arguments:?}: no {says:?} in {said}");
        assert!(!said.contains('\u{1b}'), "colours without a terminal: {said:?}");
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
    }
    for arguments in [vec!["--help"], vec!["--version"], vec!["check", "--config", &good]] {
        let output = causeway(&arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(!output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
    }
}

#[test]
fn a_check_tells_programs_every_problem() {
    let dir = tempfile::tempdir().unwrap();
    let good = file(dir.path(), "good.toml", GOOD);
    let bad = file(dir.path(), "bad.toml", BAD);
    let output = causeway(&["check", "--json", "--config", &good]);
    assert_eq!(output.status.code(), Some(0));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["problems"], serde_json::json!([]));

    let output = causeway(&["check", "--json", "--config", &bad]);
    assert_eq!(output.status.code(), Some(78));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let problems = said["problems"].as_array().unwrap();
    let lines: Vec<u64> = problems.iter().map(|row| row["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, [1, 3, 5], "{said}");
    assert!(problems[0].to_string().contains("workers"), "{said}");
}

#[test]
fn lines_of_logs_are_explained() {
    let line = "2026/11/22 01:02:03 [error] 7#7: *45 connect() failed (111: Connection refused) while \
                connecting to upstream, client: 192.0.2.7, server: shop.example, request: \"GET \
                /?token=abc HTTP/1.1\", upstream: \"http://127.0.0.1:8080/?token=abc\"";
    let said = text(&causeway(&["explain", line]).stdout);
    for part in ["connection_refused", "nginx", "upstream: http://127.0.0.1:8080/?***", "    - "] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    assert!(!said.contains("token=abc"), "{said}");
    let output = causeway(&["explain", "--json", line]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["lines"][0]["cause"], "connection_refused", "{told}");

    let full = "[22-Nov-2026 01:02:03] WARNING: [pool www] server reached pm.max_children setting \
                (5), consider raising it";
    let mut russian = Command::new(env!("CARGO_BIN_EXE_causeway"));
    let output = russian.args(["explain", full]).env("LC_ALL", "ru_RU.UTF-8").output().unwrap();
    let said = text(&output.stdout);
    assert!(said.contains("pool_exhausted") && said.contains("администратор"), "{said}");

    // Several at once, of which one is known.
    let dir = tempfile::tempdir().unwrap();
    let log = file(dir.path(), "log", &format!("some other line\n{full}\n"));
    let mut from_input = Command::new(env!("CARGO_BIN_EXE_causeway"));
    from_input.args(["explain", "-", "--json"]).stdin(std::fs::File::open(log).unwrap());
    let output = from_input.output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["lines"][1]["root"], "pool_exhausted", "{told}");
    assert_eq!(told["lines"][0].get("root"), None, "{told}");

    let output = causeway(&["explain", "[22-Nov-2026 01:02:03] WARNING: server reached the moon"]);
    assert_eq!(output.status.code(), Some(64));
    let said = text(&output.stderr);
    assert!(said.contains("is not known") && said.contains("reached the moon"), "{said}");
}

#[test]
fn causes_are_explained() {
    let said = text(&causeway(&["explain", "connection_refused"]).stdout);
    for part in ["connection_refused", "What it means", "Status 502", "see it happen", "Sources"] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    let output = causeway(&["explain", "conection_refused"]);
    assert_eq!(output.status.code(), Some(64));
    let said = text(&output.stderr);
    assert!(said.contains("did you mean `connection_refused`?"), "{said}");

    let said = text(&causeway(&["explain"]).stdout);
    let output = causeway(&["explain", "--json"]);
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    let causes = all["causes"].as_array().unwrap();
    let (listed, roots) = said.split_once("\n\nRoots").unwrap();
    assert_eq!(causes.len(), listed.lines().count());
    assert_eq!(all["roots"].as_array().unwrap().len(), roots.lines().count() - 2);
    for cause in causes {
        let name = cause["cause"].as_str().unwrap();
        assert!(said.lines().any(|line| line.split(' ').next() == Some(name)), "{name}");
        assert!(!cause["fixes"].as_array().unwrap().is_empty() || name == "client_gone", "{name}");
        assert!(!cause["reproduce"].as_array().unwrap().is_empty(), "{name}");
    }
    let one = causeway(&["explain", "connection_refused", "--json"]);
    let one: Value = serde_json::from_slice(&one.stdout).unwrap();
    assert_eq!(one["proxy_status_error"], "connection_refused");
    // What the upstream says itself has no status or error type of ours.
    let one = causeway(&["explain", "upstream_gateway_error", "--json"]);
    let one: Value = serde_json::from_slice(&one.stdout).unwrap();
    assert_eq!((&one["status"], &one["proxy_status_error"]), (&Value::Null, &Value::Null));
    let said = text(&causeway(&["explain", "upstream_gateway_error"]).stdout);
    assert!(said.contains("Proxy-Status received-status"), "{said}");
}

/// What lies behind causes is explained by its name, as they are.
#[test]
fn a_root_is_explained() {
    let output = causeway(&["explain", "wrong_address_family"]);
    assert!(output.status.success(), "{output:?}");
    let told = text(&output.stdout);
    for part in [
        "wrong_address_family\n\nThe backend listens at the same port",
        "What it means: It is bound to ::1",
        "How Causeway knows:\n  certain, behind connection_refused\n    by address, other_family",
        "What the operator does first:\n  ",
        "(match_port)\n",
        "Sources: ",
    ] {
        assert!(told.contains(part), "no {part:?} in {told}");
    }
    let json = |arguments: &[&str]| -> Value {
        let output = causeway(arguments);
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let one = json(&["explain", "traffic_spike", "--json"]);
    assert_eq!(one["recognised"][0]["evidence"][0], "requests_per_second");
    assert_eq!(one["fixes"][0]["id"], "limit_traffic");
    let all = json(&["explain", "--json"]);
    assert!(all["roots"].as_array().unwrap().contains(&one), "the same as by itself");
    assert!(all["causes"].as_array().unwrap().iter().all(|cause| cause["cause"].is_string()));
    let list = text(&causeway(&["explain"]).stdout);
    for name in ["\nconnection_refused  ", "\nwrong_port  "] {
        assert!(list.contains(name.trim_end()), "no {name} in {list}");
    }
}
