//! The table of causes that real failures got: a line for each, with what the page, the log and
//! `Proxy-Status` said of it.
//!
//! Each test crate keeps a file of its own in `causes/` below cargo's directory for tests, begun
//! anew with its first line; `tests/run` prints them as one table. Written from the places that
//! hold an answer to its cause, not by each test.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::{fs, thread};

/// How each test crate makes things fail.
const SOURCES: &[(&str, &str)] = &[
    ("apache", "real: Apache"),
    ("gateways", "real: nginx, HAProxy"),
    ("names", "real: dnsmasq"),
    ("netns", "namespace"),
    ("php", "real: PHP-FPM"),
    ("scenarios", "scripted"),
    ("tls", "real: OpenSSL, sshd, MariaDB, Redis"),
    ("wordpress", "real: WordPress"),
];

/// One line; what is not known yet is empty.
#[derive(Debug, Default)]
struct Row {
    test: String,
    cause: String,
    how: String,
    page: String,
    log: String,
    proxy_status: String,
}

static ROWS: Mutex<Vec<Row>> = Mutex::new(Vec::new());

/// A cause that an answer named; `said` is the page's own words for who made it and how sure it is.
pub fn page(cause: &str, how: Option<&str>, said: &str, proxy_status: &str) {
    let test = test();
    let (how, page) = (how.unwrap_or(&test).to_owned(), said.to_owned());
    let (cause, proxy_status) = (cause.to_owned(), proxy_status.to_owned());
    write(|rows| rows.push(Row { test, cause, how, page, log: String::new(), proxy_status }));
}

/// The cause that the log named for the last answer of this test with it.
pub fn log(cause: &str) {
    let test = test();
    write(|rows| {
        let open = |row: &&mut Row| row.test == test && row.cause == cause && row.log.is_empty();
        match rows.iter_mut().rev().find(open) {
            Some(row) => row.log = cause.to_owned(),
            None => {
                let (how, cause) = (test.clone(), cause.to_owned());
                rows.push(Row { test, log: cause.clone(), cause, how, ..Row::default() });
            }
        }
    });
}

/// A healthy control, of which the log names no cause.
pub fn sound(path: &str) {
    let test = test();
    write(|rows| {
        let (how, none) = (format!("{test} {path}"), "-".to_owned());
        let page = "the upstream's own".to_owned();
        let (cause, log) = ("(sound)".to_owned(), none.clone());
        rows.push(Row { test, cause, how, page, log, proxy_status: none });
    });
}

/// The test's name; threads that a test starts have none.
fn test() -> String {
    thread::current().name().unwrap_or("a thread of its own").to_owned()
}

/// Changes the table and writes it: a file that is whole after each line needs no end of the run.
fn write(change: impl FnOnce(&mut Vec<Row>)) {
    let mut rows = ROWS.lock().unwrap_or_else(PoisonError::into_inner);
    change(&mut rows);
    let name = env!("CARGO_CRATE_NAME");
    let source = SOURCES.iter().find(|(known, _)| *known == name).map_or(name, |(_, how)| how);
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("causes");
    let mut lines: Vec<String> = Vec::with_capacity(rows.len());
    for Row { cause, how, page, log, proxy_status, .. } in rows.iter() {
        // Where a crate scripts what no real server does, the row says so.
        let how = match how.starts_with("scripted: ") {
            true => how.clone(),
            false => format!("{source}: {how}"),
        };
        let cells = [cause, &how, page, log, proxy_status];
        let cells = cells.map(|cell| if cell.is_empty() { "-" } else { cell });
        let line = cells.join("\t") + "\n";
        // A test may ask for the same thing many times.
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    fs::create_dir_all(&dir).expect("the directory of the tables");
    fs::write(dir.join(format!("{name}.tsv")), lines.concat()).expect("the table is written");
}
