//! Ambiguous requests, through the proxy to a real nginx and a real Apache: what is forwarded is
//! read the same way by both.
//!
//! A request is either refused, and no backend sees anything of it; or both backends see the same
//! requests, with the same line, host and body, and the proxy's own log agrees with them, as does
//! the number of answers that the client got. One that turns out to be wrong in the midst of its
//! body has been begun, and no backend sees its end. What is hidden in a body is never seen as a
//! request. `cases` has the requests; `tests/golden/differential.txt` says what becomes of each,
//! and is written anew with `CAUSEWAY_BLESS=1`. A missing nginx, Apache or Python fails the test.

#[allow(dead_code, reason = "the tests of Apache use the rest")]
#[path = "../apache/server.rs"]
mod apache;
mod cases;
mod client;
mod compare;
mod servers;
#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use std::thread;

use cases::Case;
use client::Answer;
use serde_json::Value;
use support::proxy::Proxy;
use support::tools::{eventually, free_port, self_signed};

/// A client that is silent in the midst of a request is not waited for.
const LIMITS: &str = "[client]\nheader_timeout = \"1s\"\nbody_timeout = \"1s\"\n";

/// What came of the cases before one backend.
struct Leg {
    /// A list for each case.
    answers: Vec<Vec<Answer>>,
    /// The proxy's log.
    lines: Vec<Value>,
}

/// Sends every case through a proxy of its own to one backend.
fn leg(backend: u16, cases: &[Case]) -> Leg {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (chain, key) = self_signed(dir.path(), "shop.example");
    let secure = free_port();
    let more = format!(
        "[tls]\nlisten = [\"127.0.0.1:{secure}\"]\n\
         certificates = [{{ chain = {chain:?}, key = {key:?} }}]\n{LIMITS}"
    );
    let proxy = Proxy::before(&format!("http://127.0.0.1:{backend}"), &more);
    let answers = client::ask(proxy.port, secure, cases);
    let last = format!("/{}/behind", cases.last().expect("there are cases").number);
    let lines = eventually("a line in the log for the last answer", || {
        Some(proxy.lines()).filter(|lines| lines.last().is_some_and(|line| line.contains(&last)))
    });
    let lines = lines.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    Leg { answers, lines }
}

#[test]
fn what_is_forwarded_is_read_the_same_way_by_nginx_and_apache() {
    let cases = cases::all();
    let nginx = servers::nginx();
    let (site, apache) = servers::apache();
    let (nginx_port, apache_port) = (nginx.port, apache.port);
    let (to_nginx, to_apache) = thread::scope(|scope| {
        let first = scope.spawn(|| leg(nginx_port, &cases));
        let second = leg(apache_port, &cases);
        (first.join().expect("nginx's part"), second)
    });
    let by_nginx = servers::told_by_nginx(nginx);
    let by_apache = servers::told_by_apache(&site, apache);
    let outcomes = compare::compare(&cases, [(&to_nginx, by_nginx), (&to_apache, by_apache)]);
    compare::show(&cases, &outcomes);
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/differential.txt");
    compare::hold(&cases, &outcomes, &golden);
}
