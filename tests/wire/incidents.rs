//! Incidents as operators read them, from the first failure to the next process.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use super::around::beside;
use super::backend::{Backend, refusing};
use super::client::{Answer, Client};
use super::eventually;
use super::proxy::{Program, get};

const FOLDER: &str = "/.well-known/causeway/incidents";
const JSON: &str = "Accept: application/json";

/// The program with a state directory, as systemd gives it one.
fn program(lines: &str, state: &Path) -> Program {
    Program::start(lines, |program| {
        let mut command = Command::new(program);
        command.env("STATE_DIRECTORY", state);
        command
    })
}

fn lines(server: &str) -> String {
    format!("[upstream.app]\nservers = [\"{server}\"]\n")
}

fn ask(program: &Program, method: &str, path: &str, field: &str) -> Answer {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: shop.example\r\n{field}\r\n\r\n");
    Client::sent(program.address, request).answer(method)
}

fn incident(program: &Program, id: &str) -> Value {
    let answer = ask(program, "GET", &format!("{FOLDER}/{id}"), JSON);
    assert_eq!(answer.status, 200, "{}", answer.body);
    serde_json::from_str(&answer.body).unwrap()
}

fn fail(program: &Program, path: &str) -> String {
    assert_eq!(Client::sent(program.address, get(path)).answer("GET").status, 502);
    program.logged(path)["incident"].as_str().unwrap().to_owned()
}

fn command(state: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_causeway"));
    let output =
        command.arg("incidents").args(arguments).env("STATE_DIRECTORY", state).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn an_incident_opens_counts_closes_and_outlives_a_restart() {
    let state = tempfile::tempdir().unwrap();
    let works = Arc::new(AtomicBool::new(false));
    let asked = works.clone();
    let backend = Backend::scripted(move |peer| {
        while peer.request().is_some() && asked.load(Ordering::Relaxed) {
            peer.send("HTTP/1.1 204 No Content\r\n\r\n");
        }
    });
    let mut running = program(&lines(&backend.server()), state.path());
    let ids = ["/1", "/2"].map(|path| fail(&running, path));
    assert_eq!(ids[0][..4], ids[1][..4], "{ids:?}");
    assert_ne!(ids[0], ids[1]);

    // By the id of any of its requests, as it was typed from a telephone.
    let seen = incident(&running, &ids[1].to_lowercase());
    for (name, value) in [
        ("id", &ids[0][..4]),
        ("state", "open"),
        ("upstream", "app"),
        ("cause", "closed_before_response"),
        ("first_request", &ids[0]),
    ] {
        assert_eq!(seen[name], value, "{name} in {seen}");
    }
    assert_eq!(seen["failures"], 2);
    let steps = seen["attempts"][0]["steps"].as_array().unwrap();
    assert!(steps.iter().any(|step| step["step"] == "send" && step["state"] == "done"), "{seen}");
    let list = ask(&running, "GET", FOLDER, JSON);
    let list: Value = serde_json::from_str(&list.body).unwrap();
    assert_eq!(list["incidents"].as_array().unwrap().len(), 1, "{list}");
    for (accept, begins) in [("Accept: text/html", "<!doctype html>"), ("Accept: */*", "The site")]
    {
        let answer = ask(&running, "GET", &format!("{FOLDER}/{}", ids[0]), accept);
        assert!(answer.body.starts_with(begins) && answer.body.contains(&ids[0][..4]));
    }
    let one = format!("{FOLDER}/{}", ids[0]);
    assert_eq!(ask(&running, "HEAD", &one, JSON).status, 200);
    assert_eq!(ask(&running, "POST", &one, "Content-Length: 0").status, 405);

    works.store(true, Ordering::Relaxed);
    eventually("the incident closes once it has answered for a while", || {
        assert_eq!(Client::sent(running.address, get("/")).answer("GET").status, 204);
        let seen = incident(&running, &ids[0]);
        (seen["state"] == "recovered" && seen["failures"] == 2).then_some(())
    });
    running.signal("TERM");
    assert_eq!(running.exit_code(), Some(0));
    let file = state.path().join("incidents.jsonl");
    let mut kept = std::fs::read(&file).unwrap();
    kept.extend_from_slice(b"{\"incident\":{\"id\":\"ZZZ\xff");
    std::fs::write(&file, kept).unwrap();

    let again = program(&lines(&backend.server()), state.path());
    let seen = incident(&again, &ids[1]);
    assert_eq!((&seen["state"], &seen["failures"]), (&"recovered".into(), &2.into()));
    let told: Value = serde_json::from_str(&command(state.path(), &["--json"])).unwrap();
    assert_eq!(told["incidents"][0]["id"], ids[0][..4]);
    let told = command(state.path(), &[&ids[0]]);
    assert!(
        told.contains("closed_before_response") && told.contains("Failed requests: 2"),
        "{told}"
    );
}

/// The upstream's own page goes out, and its incident learns all the same what lies behind it.
#[test]
fn an_incident_of_the_upstreams_own_error_learns_its_root() {
    let state = tempfile::tempdir().unwrap();
    let backend =
        Backend::answering("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 6\r\n\r\nclosed");
    let running = program(&lines(&backend.server()), state.path());
    let id = eventually("one client alone is named as the root", || {
        // As many within a minute as are not chance.
        for _ in 0..100 {
            let answer = Client::sent(running.address, get("/own")).answer("GET");
            assert_eq!((answer.status, &*answer.body), (503, "closed"));
        }
        let list = ask(&running, "GET", FOLDER, JSON);
        let list: Value = serde_json::from_str(&list.body).unwrap();
        let one = &list["incidents"][0];
        let is_known = one["root"] == "single_client_flood";
        is_known.then(|| one["id"].as_str().unwrap().to_owned())
    });
    let seen = incident(&running, &id);
    assert_eq!(seen["cause"], "upstream_unavailable");
    assert!(seen["root_evidence"]["most_active_client"].as_str().unwrap().contains("127.0.0.1"));
    assert!(!seen["findings"].as_array().unwrap().is_empty(), "{seen}");
    assert_eq!(seen["fixes"][0]["id"], "block_client");
}

/// Root, findings, times, attempts and fixes: each in JSON, and in words on the page.
#[test]
fn an_incident_shows_what_an_operator_was_shown() {
    let state = tempfile::tempdir().unwrap();
    let (listener, wanted) = beside();
    let running = program(&lines(&format!("http://{wanted}")), state.path());
    let id = eventually("the listener at another port is found", || {
        let id = fail(&running, "/cart?id=7");
        // An operator's page waits for the look; what follows is in the incident at once.
        let page = ask(&running, "GET", "/", "Accept: application/problem+json");
        let problem: Value = serde_json::from_str(&page.body).unwrap();
        (problem["root"] == "wrong_port").then_some(id)
    });
    let seen = incident(&running, &id);
    let near = listener.local_addr().unwrap().to_string();
    assert_eq!((&seen["root"], &seen["root_certainty"]), (&"wrong_port".into(), &"likely".into()));
    assert!(seen["root_evidence"]["listening"].as_str().unwrap().contains(&near), "{seen}");
    let findings = seen["findings"].as_array().unwrap();
    let found = findings.iter().find(|found| found["key"] == "listening").unwrap();
    let meaning = found["meaning"].as_str().unwrap().to_owned();
    for name in ["opened", "last_failure"] {
        assert!(seen[name].as_str().unwrap().ends_with('Z'), "{name} in {seen}");
    }
    let attempt = &seen["attempts"][0];
    assert_eq!(attempt["address"], wanted.to_string());
    let steps = attempt["steps"].as_array().unwrap();
    let connect = steps.iter().find(|step| step["step"] == "connect").unwrap();
    assert_eq!(connect["state"], "failed");
    assert!(connect["ms"].as_f64().unwrap() >= 0.0, "{connect}");
    assert_eq!(seen["fixes"][0]["id"], "match_port");
    let title = seen["fixes"][0]["title"].as_str().unwrap();
    let page = ask(&running, "GET", &format!("{FOLDER}/{id}"), "Accept: text/html").body;
    let opened = seen["opened"].as_str().unwrap();
    let server = format!("http://{wanted}");
    for part in ["wrong_port", &near, title, opened, &server, &meaning, "connection_refused", " ms"]
    {
        assert!(page.contains(part), "{part:?} is not in {page}");
    }
}

#[test]
fn one_that_was_open_when_the_program_was_killed_goes_on() {
    let state = tempfile::tempdir().unwrap();
    let server = refusing();
    let mut killed = program(&lines(&server), state.path());
    let first = fail(&killed, "/1");
    eventually("it is written", || command(state.path(), &[]).contains(&first[..4]).then_some(()));
    killed.child.kill().unwrap();
    killed.child.wait().unwrap();
    let again = program(&lines(&server), state.path());
    assert_eq!(incident(&again, &first)["state"], "stopped");
    let next = fail(&again, "/2");
    assert_eq!(next[..4], first[..4]);
    let seen = incident(&again, &next);
    assert_eq!((&seen["state"], &seen["reopened"]), (&"open".into(), &1.into()));
}

#[test]
fn whoever_is_no_operator_is_told_nothing_and_the_backend_never_asked() {
    let state = tempfile::tempdir().unwrap();
    let failing = refusing();
    let backend = Backend::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let more = format!("[upstream.all]\nservers = [\"{}\"]\npaths = [\"/\"]\n", backend.server());
    let lines = lines(&failing) + "paths = [\"/down\"]\n" + &more;
    let running = program(&lines, state.path());
    let id = fail(&running, "/down");
    assert_eq!(Client::sent(running.address, get("/")).answer("GET").status, 200);
    let forwarded = "X-Forwarded-For: 192.0.2.7";
    for path in [FOLDER.to_owned(), format!("{FOLDER}/{id}"), format!("{FOLDER}/ZZZZ-ZZZZ")] {
        for method in ["GET", "POST"] {
            let answer = ask(&running, method, &path, &format!("{forwarded}\r\nContent-Length: 0"));
            assert_eq!(answer.status, 404, "{method} {path}");
            assert!(!answer.body.contains(&id[..4]), "{}", answer.body);
        }
    }
    for path in ["", "/", "/ZZZZ", "s/x", "/../incidents", "/ZZZZ-ZZZ%5A"] {
        let path = format!("/.well-known/causeway/incident{path}");
        assert_eq!(ask(&running, "GET", &path, JSON).status, 404, "{path}");
    }
    // The fault of a client alone is nobody's incident: its id begins with another letter.
    let refused = Client::sent(running.address, "GET / HTTP/1.1\r\nBad Name: x\r\n\r\n");
    let body = { refused }.answer("GET").body;
    let own = body.lines().find_map(|line| line.strip_prefix("Incident: ")).unwrap();
    assert!(own.as_bytes()[0] < b'G', "{own}");
    assert!(id.as_bytes()[0] >= b'G', "{id}");
}
