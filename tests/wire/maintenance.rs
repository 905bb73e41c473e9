//! Planned work: what visitors and crawlers are told, and that nothing reaches the servers.

use std::fs;
use std::time::{Duration, SystemTime};

use super::backend::Backend;
use super::client::{Answer, Client};
use super::eventually;
use super::proxy::{Program, Proxy, get};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
/// Visitors alone.
const VISITORS: &str = "[page]\noperators = []\n";

fn block(backend: &Backend, maintenance: &str) -> String {
    format!("[upstream.app]\nservers = [\"{}\"]\nmaintenance = {maintenance}\n", backend.server())
}

fn ask(proxy: &Proxy, accept: &str) -> Answer {
    let request = format!("GET / HTTP/1.1\r\nHost: shop.example\r\nAccept: {accept}\r\n\r\n");
    proxy.ask(request)
}

/// A time so far from now, as RFC 3339 to the second.
fn in_seconds(seconds: u64) -> String {
    let at = SystemTime::now() + Duration::from_secs(seconds);
    format!("{:.0}", jiff::Timestamp::try_from(at).unwrap())
}

fn retry_after(answer: &Answer) -> u64 {
    answer.field("retry-after").unwrap().parse().unwrap()
}

#[test]
fn a_closed_site_says_so_and_its_servers_hear_nothing() {
    let backend = Backend::answering(OK);
    let open =
        format!("[upstream.open]\nservers = [\"{}\"]\npaths = [\"/open\"]\n", backend.server());
    let proxy = Proxy::with(&(block(&backend, "true") + &open + VISITORS));
    for _ in 0..2 {
        let answer = ask(&proxy, "application/json");
        assert_eq!((answer.status, answer.cause()), (503, "maintenance"), "{answer:?}");
        assert_eq!(retry_after(&answer), 600);
        assert_eq!(answer.field("cache-control"), Some("no-store"));
        assert_eq!(answer.field("x-robots-tag"), Some("noindex"));
        let said = "causeway; error=destination_unavailable; details=\"maintenance\"";
        assert_eq!(answer.field("proxy-status"), Some(said));
        assert_eq!(answer.problem("request"), "not_sent");
        assert!(!answer.body.contains("expected_back"), "nobody said when: {answer:?}");
    }
    let post = "POST /pay HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    assert_eq!(proxy.ask(post).status, 503);
    let head = proxy.ask("HEAD / HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\n\r\n");
    assert_eq!((head.status, head.body.as_str(), retry_after(&head)), (503, "", 600));
    assert_eq!(backend.connections(), 0);
    assert_eq!(proxy.get("/open").status, 200, "the other block is open");
    let line = proxy.logged("/pay");
    assert_eq!((&line["cause"], &line["status"]), (&"maintenance".into(), &503.into()), "{line}");
}

#[test]
fn a_file_closes_and_opens_without_a_reload() {
    let backend = Backend::answering(OK);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("closed");
    let table = format!("{{ file = \"{}\" }}", file.display());
    let proxy = Proxy::with(&(block(&backend, &table) + VISITORS));
    let becomes = |status| {
        eventually(&format!("an answer with {status}"), || {
            let answer = ask(&proxy, "application/json");
            (answer.status == status).then_some(answer)
        })
    };
    for _ in 0..2 {
        becomes(200);
        fs::write(&file, "").unwrap();
        let closed = becomes(503);
        assert_eq!((closed.cause(), retry_after(&closed)), ("maintenance", 600));
        let seen = backend.connections();
        assert_eq!(ask(&proxy, "*/*").status, 503);
        assert_eq!(backend.connections(), seen);
        fs::remove_file(&file).unwrap();
    }
    becomes(200);
}

#[test]
fn the_file_or_the_configuration_says_until_when() {
    let backend = Backend::answering(OK);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("closed");
    let configured = in_seconds(3_600);
    let table = format!("{{ file = \"{}\", until = \"{configured}\" }}", file.display());
    fs::write(&file, "back soon\n").unwrap();
    let proxy = Proxy::with(&(block(&backend, &table) + VISITORS));
    // The first request finds it closed; the second page is printed from the first.
    for _ in 0..2 {
        let answer = ask(&proxy, "application/json");
        assert_eq!(answer.problem("expected_back"), configured, "{answer:?}");
        assert!((3_500..=3_600).contains(&retry_after(&answer)), "{answer:?}");
        for accept in ["text/html", "text/plain"] {
            let answer = ask(&proxy, accept);
            let read = configured.replace('T', " ").replace('Z', " UTC");
            let told = answer.body.replace(&format!("<time datetime=\"{configured}\">"), "");
            let told = told.replace("</time>", "").replace('\n', " ");
            assert!(told.contains(&format!("expected back at {read}.")), "{answer:?}");
        }
    }
    let written = in_seconds(7_200);
    fs::write(&file, format!("{written}\n")).unwrap();
    let answer = eventually("the file's time", || {
        let answer = ask(&proxy, "application/json");
        (answer.problem("expected_back") == written).then_some(answer)
    });
    assert!((7_100..=7_200).contains(&retry_after(&answer)), "{answer:?}");
    // A time that has passed is no news.
    fs::write(&file, "2020-01-01T00:00:00Z").unwrap();
    let answer = eventually("a time that has passed", || {
        let answer = ask(&proxy, "application/json");
        (!answer.body.contains("expected_back")).then_some(answer)
    });
    assert_eq!(retry_after(&answer), 600);
}

#[test]
fn browsers_get_the_operators_own_page() {
    const PAGE: &str = "<!doctype html><style>p{color:teal}</style><p>Bis {{ gleich }}!</p>\n";
    let backend = Backend::answering(OK);
    let dir = tempfile::tempdir().unwrap();
    let page = dir.path().join("closed.html");
    fs::write(&page, PAGE).unwrap();
    let table = format!("{{ page = \"{}\" }}", page.display());
    let other = format!(
        "[upstream.other]\nservers = [\"{}\"]\npaths = [\"/other\"]\nmaintenance = true\n",
        backend.server()
    );
    for page in ["", VISITORS] {
        let proxy = Proxy::with(&(block(&backend, &table) + &other + page));
        for _ in 0..2 {
            let answer = ask(&proxy, "text/html");
            assert_eq!((answer.status, answer.body.as_str()), (503, PAGE), "{answer:?}");
            assert_eq!((retry_after(&answer), answer.field("content-language")), (600, None));
            assert_eq!(answer.field("content-type"), Some("text/html; charset=utf-8"));
            let policy = answer.field("content-security-policy").unwrap();
            assert!(policy.contains("style-src 'sha256-"), "{policy}");
            assert!(answer.field("proxy-status").unwrap().contains("maintenance"));
            assert_eq!(ask(&proxy, "application/json").cause(), "maintenance");
            assert!(ask(&proxy, "text/plain").body.starts_with("503 "));
        }
        let request = get("/other").replacen("\r\n", "\r\nAccept: text/html\r\n", 1);
        let ours = proxy.ask(request);
        assert!(ours.body.contains("closed for planned work"), "{ours:?}");
    }
    assert_eq!(backend.connections(), 0);
}

#[test]
fn a_reload_closes_and_opens() {
    let backend = Backend::answering(OK);
    let program = Program::with(&block(&backend, "false"));
    let ask = || Client::sent(program.address, get("/")).answer("GET").status;
    assert_eq!(ask(), 200);
    for (times, maintenance, status) in [(1, "true", 503), (2, "false", 200)] {
        program.configure(&block(&backend, maintenance));
        program.signal("HUP");
        program.said("reloaded", times);
        assert_eq!(ask(), status);
    }
}
