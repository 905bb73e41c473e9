//! THE TABLE, run: behind each row a backend that fails, before it the proxy, a real request, and
//! the cause that comes out, for operators and for visitors.
//!
//! `ROW=dns cargo test --test scenarios -- --nocapture` runs the rows that begin so and shows them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::panic;
use std::path::Path;
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use causeway::config::{AccessLog, Log, LogFormat};
use causeway::demo::{
    self, Accept, Addresses, Heard, Options, Ports, Rig, Scenario, Sees, Setup, Side, Step, View,
};
use causeway::diagnose::entry;
use causeway::server::{self, Running};
use tokio::sync::Semaphore;

#[path = "support/causes.rs"]
mod causes;

const JSON: Accept<'static> = Accept { kind: "application/problem+json", language: "en" };

#[test]
fn each_row_comes_out_as_its_cause() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    let (rig, proxies) = started(AccessLog::File(path.clone()));
    let chosen = std::env::var("ROW").unwrap_or_default();
    let rows: Vec<_> = demo::scenarios().filter(|row| row.name.starts_with(&chosen)).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let heard = runtime.block_on(run(&rows, &rig));
    // A stop writes out what is left of the log.
    proxies.into_iter().for_each(Running::stop);
    let log = read_log(&path);

    let mut faults = Vec::new();
    for (row, view, heard) in &heard {
        match check(row, *view, heard, &log) {
            Err(fault) => faults.push(format!("{}, {view:?}: {fault}", row.name)),
            Ok(()) if *view == View::Operator => record(row, heard, &log),
            Ok(()) => {}
        }
    }
    assert!(faults.is_empty(), "{} rows are wrong:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn what_is_healthy_stays_so() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("access.log");
    let (rig, proxies) = started(AccessLog::File(log.clone()));
    for (path, expected) in [
        ("/", "Every way to fail"),
        ("/healthy", "All is well"),
        ("/healthy/tls", "All well"),
        ("/healthy/unix", "All well"),
        ("/healthy/name", "All is well"),
        ("/healthy/fastcgi", "All well"),
        ("/healthy/http2", "All well"),
        ("/healthy/http2-tls", "All well"),
        ("/healthy/slow", "line 6 of 6"),
        ("/healthy/big?mb=2", "...."),
        ("/show/operator/stale_keepalive", "<iframe"),
        ("/show/visitor/request_invalid", "400 Bad Request"),
        ("/show/visitor/php_fatal_error", "received-status=500"),
    ] {
        for (name, _) in rig.configs.iter().filter(|(name, _)| name.side == Side::Main) {
            let text = get(rig.addresses.of(*name), path);
            assert!(text.starts_with("HTTP/1.1 200 OK"), "{path}: {text:.300}");
            assert!(text.contains(expected), "{path}, {name:?}: {text:.300}");
        }
    }
    proxies.into_iter().for_each(Running::stop);
    let log = read_log(&log);
    let healthy: Vec<_> = log.iter().filter(|line| line.path.starts_with("/healthy")).collect();
    assert!(healthy.len() >= 8, "{healthy:?}");
    for line in healthy {
        assert_eq!(line.cause, None, "{}", line.path);
        causes::sound(&line.path);
    }
}

/// The demonstration on free ports, and its proxies.
fn started(access: AccessLog) -> (Rig, Vec<Running>) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        // The rehearsed panic is no news, and its backtrace would bury what is.
        let shown = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if panic.payload_as_str() != Some("rehearsed") {
                shown(panic);
            }
        }));
    });
    let log = Log { access, format: LogFormat::Json, ..Log::default() };
    let rig = demo::rig(Options { ports: Ports::Free, log }).unwrap();
    let proxies = rig.configs.iter().map(|(_, config)| server::start(config.clone()).unwrap());
    let proxies = proxies.collect();
    (rig, proxies)
}

fn get(proxy: SocketAddr, path: &str) -> String {
    let mut client = TcpStream::connect(proxy).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(client, "GET {path} HTTP/1.1\r\nHost: {proxy}\r\nConnection: close\r\n\r\n").unwrap();
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

type Answer = (&'static Scenario, View, Heard);

/// Rows under way at once. Their backends share one thread, and some tell two pieces of an answer
/// apart by the time between them.
const AT_ONCE: usize = 48;

/// Asks for every row, many at once.
async fn run(rows: &[&'static Scenario], rig: &Rig) -> Vec<Answer> {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut asking = tokio::task::JoinSet::new();
    for &row in rows {
        let (addresses, places) = (rig.addresses, places.clone());
        asking.spawn(async move {
            let _place = places.acquire().await.unwrap();
            asked(row, addresses).await
        });
    }
    asking.join_all().await.into_iter().flatten().collect()
}

/// Asks for the two views of a row, one after the other: their backend is the same.
async fn asked(row: &'static Scenario, addresses: Addresses) -> Vec<Answer> {
    let mut heard = Vec::new();
    for view in [View::Operator, View::Visitor] {
        let started = Instant::now();
        let answer = demo::ask(row, addresses.of_row(row, view), JSON).await;
        let answer = answer
            .unwrap_or_else(|error| panic!("{}: {error} after {:?}", row.name, started.elapsed()));
        heard.push((row, view, answer));
    }
    heard
}

fn check(row: &Scenario, view: View, heard: &Heard, log: &[Line]) -> Result<(), String> {
    if std::env::var_os("ROW").is_some() {
        println!("{} {view:?}\n{}", row.name, String::from_utf8_lossy(&heard.bytes));
    }
    let code = row.code.name();
    let entry = entry(row.code);
    match row.sees {
        Sees::Nothing => logged(row, log),
        Sees::Cut => {
            let status = heard.status();
            if status != Some(200) || heard.body().is_empty() || is_ended(heard) {
                let text = String::from_utf8_lossy(&heard.bytes);
                return Err(format!("no cut answer of 200: {text:?}"));
            }
            logged(row, log)
        }
        Sees::Own { status } => {
            check_own(row, status, heard)?;
            logged(row, log)
        }
        Sees::Replaced { status } => {
            check_received(row, status, heard)?;
            let body = String::from_utf8_lossy(heard.body());
            if !body.contains(&format!("\"cause\":\"{code}\",")) {
                return Err(format!("not our page: {body:.300}"));
            }
            check_audience(view, &body)?;
            logged(row, log)
        }
        Sees::Page => {
            if heard.status() != Some(entry.status) {
                let text = String::from_utf8_lossy(&heard.bytes);
                return Err(format!(
                    "status {:?}, not {}: {text:.300}",
                    heard.status(),
                    entry.status
                ));
            }
            let said = heard.header("proxy-status").unwrap_or_default();
            if !said.contains(&format!("error={}", entry.proxy_error)) {
                return Err(format!("Proxy-Status says {said:?}"));
            }
            let body = String::from_utf8_lossy(heard.body());
            // Not in the body: an operator's names the block, which is called after the row.
            if !said.ends_with(&format!("; details=\"{code}\"")) {
                return Err(format!("{code} is not named: {said:?} {body:.300}"));
            }
            check_audience(view, &body)
        }
    }
}

/// A line of the table of causes.
fn record(row: &Scenario, heard: &Heard, log: &[Line]) {
    let status = heard.status().map_or_else(|| "no answer".to_owned(), |status| status.to_string());
    let body = String::from_utf8_lossy(heard.body());
    let code = row.code.name();
    let said = match row.sees {
        Sees::Nothing => String::new(),
        Sees::Cut => format!("{status}, cut"),
        Sees::Own { .. } => format!("{status}, the upstream's own"),
        Sees::Page | Sees::Replaced { .. } => {
            let page = serde_json::from_str::<serde_json::Value>(&body).unwrap_or_default();
            let word = |member: &str| page[member].as_str().map(str::to_owned);
            match (word("cause"), word("certainty")) {
                (Some(cause), Some(certainty)) => format!("{status} {cause}, {certainty}"),
                // Without a request that could be read, there is nobody to ask for JSON.
                _ => format!("{status}, a page of ours"),
            }
        }
    };
    causes::page(code, Some(row.name), &said, heard.header("proxy-status").unwrap_or_default());
    let right = |line: &&Line| line.path == row.target() && line.cause.as_deref() == Some(code);
    if log.iter().any(|line| right(&line)) {
        causes::log(code);
    }
}

/// The backend's answer as it gave it, and where it admits a failure the cause beside it.
fn check_own(row: &Scenario, status: u16, heard: &Heard) -> Result<(), String> {
    let printed: Vec<u8> = match row.setup {
        Setup::FastCgi(script) => script.iter().flat_map(output).copied().collect(),
        Setup::Says(bytes) => bytes.to_vec(),
        _ => return Err("no application answers".to_owned()),
    };
    let head_end = printed.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4;
    if (heard.status(), heard.body()) != (Some(status), &printed[head_end..]) {
        let text = String::from_utf8_lossy(&heard.bytes);
        return Err(format!("not the backend's {status}: {text}"));
    }
    check_received(row, status, heard)
}

/// The backend's status and the cause, where it admits a failure.
fn check_received(row: &Scenario, status: u16, heard: &Heard) -> Result<(), String> {
    if heard.status() != Some(status) {
        let text = String::from_utf8_lossy(&heard.bytes);
        return Err(format!("status {:?}, not {status}: {text:.300}", heard.status()));
    }
    let expected = format!("causeway; received-status={status}; details=\"{}\"", row.code.name());
    let said = heard.header("proxy-status");
    match said {
        Some(said) if said == expected => Ok(()),
        None if status < 400 => Ok(()),
        _ => Err(format!("Proxy-Status says {said:?}, not {expected:?}")),
    }
}

/// What a step adds to a program's output.
fn output(step: &Step) -> &'static [u8] {
    match step {
        Step::Stdout(bytes) => bytes,
        _ => b"",
    }
}

/// Evidence is for operators: its members, our addresses, our directory.
fn check_audience(view: View, body: &str) -> Result<(), String> {
    // With its port: a fix may speak of the address as such.
    const INNER: [&str; 5] =
        ["\"evidence\"", "\"attempts\"", "127.0.0.1:", "192.0.2.1", "causeway-demo-"];
    let is_json = body.starts_with('{');
    match view {
        View::Visitor => match INNER.iter().find(|inner| body.contains(**inner)) {
            Some(inner) => Err(format!("a visitor sees {inner}: {body}")),
            None => Ok(()),
        },
        View::Operator if is_json && !body.contains("\"evidence\"") => {
            Err(format!("an operator sees no evidence: {body}"))
        }
        View::Operator => Ok(()),
    }
}

/// Whether the answer looks whole, though it is not.
fn is_ended(heard: &Heard) -> bool {
    match heard.header("transfer-encoding") {
        Some(_) => heard.body().ends_with(b"0\r\n\r\n"),
        None => heard.is_whole(),
    }
}

fn logged(row: &Scenario, log: &[Line]) -> Result<(), String> {
    let lines: Vec<_> = log.iter().filter(|line| line.path == row.target()).collect();
    let right = lines.iter().filter(|line| line.cause.as_deref() == Some(row.code.name())).count();
    if right < 2 {
        return Err(format!("the log has {right} lines with the cause: {lines:?}"));
    }
    Ok(())
}

#[derive(Debug)]
struct Line {
    path: String,
    cause: Option<String>,
}

fn read_log(path: &Path) -> Vec<Line> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let word = |key: &str| line[key].as_str().map(str::to_owned);
            Line { path: word("path").unwrap_or_default(), cause: word("cause") }
        })
        .collect()
}
