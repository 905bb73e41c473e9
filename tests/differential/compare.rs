//! Compares what the client got, what the proxy logged and what both backends understood, case by
//! case; and shows it by groups.

use std::collections::BTreeMap;
use std::path::Path;
use std::{env, fs};

use serde_json::Value;

use super::Leg;
use super::cases::{Case, Sent};
use super::client::Answer;
use super::servers::Seen;

/// The backends' names, in the order in which they are compared.
const BACKENDS: [&str; 2] = ["nginx", "Apache"];

/// Whether a difference is this one, by what nginx and Apache have seen.
type Explains = fn(&Seen, &Seen) -> bool;

/// What one of the two does not serve although it has read it as the other has, and why.
const KNOWN: [(Explains, &str); 4] = [
    (
        |nginx, _| {
            nginx.status == 400
                && !nginx.line.split(|byte| *byte == b' ').next().is_some_and(|method| {
                    method
                        .iter()
                        .all(|byte| byte.is_ascii_uppercase() || matches!(byte, b'_' | b'-'))
                })
        },
        "nginx knows methods of capitals alone; Apache takes every token",
    ),
    (
        |nginx, _| nginx.status == 405 && nginx.line.starts_with(b"TRACE "),
        "nginx never serves TRACE; Apache does itself, unless it has a body",
    ),
    (
        |nginx, _| nginx.status == 400 && nginx.line.starts_with(b"OPTIONS * "),
        "nginx does not know the asterisk of OPTIONS",
    ),
    (
        |nginx, apache| apache.status == 400 && nginx.status == 200 && nginx.host == apache.host,
        "Apache refuses a Host with an escape, without a port behind its colon, or half a number",
    ),
];

/// How the line of the sound request ends that is sent behind every case.
const BEHIND: &[u8] = b"/behind HTTP/1.1";

/// What became of a case.
#[derive(Debug)]
pub struct Outcome {
    kind: Kind,
    /// In words, for the list.
    said: String,
    faults: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// No backend saw anything of it.
    Refused,
    /// Both backends saw the same, and served it.
    Alike,
    /// Both saw the same, and neither served it.
    NeitherServes,
    /// Both saw the same line, and one did not serve it; [`KNOWN`] says why.
    OneServes,
    /// The client was refused, or left, in the midst of the body: what a backend has seen of it
    /// came to no end.
    Cut,
}

/// One case before one backend.
struct View<'a> {
    answers: &'a [Answer],
    /// The log's line of each answer.
    lines: Vec<Option<&'a Value>>,
    /// The log's lines of requests that ended before they were whole.
    cut: Vec<&'a Value>,
    seen: Vec<Seen>,
}

/// What became of each case.
pub fn compare(cases: &[Case], legs: [(&Leg, Vec<Seen>); 2]) -> Vec<Outcome> {
    let mut views = legs.map(|(leg, seen)| views(cases, leg, seen));
    let outcomes = cases.iter().map(|case| {
        let [nginx, apache] = &mut views;
        let views = [nginx.remove(0), apache.remove(0)];
        judged(case, views)
    });
    outcomes.collect()
}

/// Takes what was seen and logged apart, case by case.
fn views<'a>(cases: &[Case], leg: &'a Leg, seen: Vec<Seen>) -> Vec<View<'a>> {
    let mut by_case: BTreeMap<String, Vec<Seen>> = BTreeMap::new();
    for seen in seen {
        let told = number(&seen.case).or_else(|| number(&seen.line));
        let number = told.or_else(|| sender(cases, &seen)).unwrap_or_default();
        by_case.entry(number).or_default().push(seen);
    }
    let mut lines = leg.lines.iter().peekable();
    let mut views = Vec::with_capacity(cases.len());
    for (case, answers) in cases.iter().zip(&leg.answers) {
        let mut got = answers.iter().filter(|answer| answer.status != 0).peekable();
        let (mut own, mut cut) = (Vec::new(), Vec::new());
        while let Some(line) = lines.next_if(|line| is_of(line, case, got.peek())) {
            match got.next_if(|answer| line["status"] == answer.status) {
                Some(_) => own.push(line),
                None => cut.push(line),
            }
        }
        let mut own = own.into_iter();
        let line = |answer: &Answer| match answer.status {
            0 => None,
            _ => own.next(),
        };
        let lines = answers.iter().map(line);
        let lines = lines.collect();
        let seen = by_case.remove(&case.number).unwrap_or_default();
        views.push(View { answers, lines, cut, seen });
    }
    assert!(lines.peek().is_none(), "nobody got these answers: {:#?}", Vec::from_iter(lines));
    assert!(by_case.is_empty(), "nobody sent these: {by_case:#?}");
    views
}

/// The case of which a backend has understood the line alone.
fn sender(cases: &[Case], seen: &Seen) -> Option<String> {
    let sent = |case: &&Case| match &case.sent {
        Sent::Plain(bytes) => bytes.starts_with(&seen.line),
        Sent::Http2 { .. } => false,
    };
    cases.iter().find(sent).map(|case| case.number.clone())
}

/// Whether a line of the log is about a case: it says so, or has no number and fits what the client
/// got next.
fn is_of(line: &Value, case: &Case, next: Option<&&Answer>) -> bool {
    match number(line["path"].as_str().unwrap_or_default().as_bytes()) {
        Some(number) => number == case.number,
        None => next.is_some_and(|answer| line["status"] == answer.status),
    }
}

/// The case that a request came of: X-Case, or the target where that was taken away.
fn number(text: &[u8]) -> Option<String> {
    let is_number = |bytes: &&[u8]| bytes[0] == b'c' && bytes[1..].iter().all(u8::is_ascii_digit);
    let found = text.windows(5).find(is_number)?;
    Some(String::from_utf8_lossy(found).into_owned())
}

fn judged(case: &Case, mut views: [View<'_>; 2]) -> Outcome {
    let mut faults = Vec::new();
    for (view, name) in views.iter().zip(BACKENDS) {
        for seen in &view.seen {
            if memchr::memmem::find(&seen.line, b"hidden").is_some() {
                faults.push(format!("{name} saw what was hidden in a body: {seen:?}"));
            }
            if !seen.forwarded_for.is_empty()
                && seen.forwarded_for != b"127.0.0.1"
                && seen.forwarded_for != b"-"
            {
                faults.push(format!("{name} was told of a client that is none: {seen:?}"));
            }
        }
    }
    let owns = |view: &View<'_>| -> Vec<(bool, u16)> {
        let own = |answer: &Answer| (answer.own, if answer.own { answer.status } else { 0 });
        view.answers.iter().map(own).collect()
    };
    let [before_nginx, before_apache] = [owns(&views[0]), owns(&views[1])];
    let mut kind = Kind::Refused;
    let mut words = Vec::new();
    if before_nginx != before_apache {
        faults.push(format!("not the same answers: {before_nginx:?}, {before_apache:?}"));
    } else {
        for (at, (own, status)) in before_nginx.into_iter().enumerate() {
            if status == 0 && own {
                words.push("reset".to_owned());
                continue;
            }
            let ([Some(line), Some(_)], own) = (views.each_ref().map(|view| view.lines[at]), own)
            else {
                faults.push(format!("an answer with {status} is not in the log"));
                continue;
            };
            if own {
                let word = |member: &str| line[member].as_str().unwrap_or_default();
                let said = format!("{status} {} {}", word("cause"), word("fault"));
                words.push(said.trim_end().to_owned());
                if !(400..500).contains(&status) {
                    faults.push(format!("a failure of ours: {line}"));
                }
                continue;
            }
            let seen = views.each_mut().map(|view| take(view, at));
            let [Some(first), Some(second)] = &seen else {
                faults.push(format!("seen otherwise than it was logged: {seen:?} {line}"));
                continue;
            };
            let told = forwarded(first, second, &mut faults);
            // Over HTTP/2 the sound request behind is served whatever became of the one before.
            let behind = matches!(case.sent, Sent::Http2 { .. }) && first.line.ends_with(BEHIND);
            if !behind {
                kind = kind.max(told.0);
            }
            words.push(told.1);
        }
    }
    for (view, name) in views.iter_mut().zip(BACKENDS) {
        let own = view.lines.iter().flatten().chain(&view.cut).filter(|line| is_cut(line));
        for line in own {
            kind = Kind::Cut;
            view.seen.retain(|seen| !is_begun(seen, line));
        }
        if !view.seen.is_empty() {
            faults.push(format!("{name} saw more than was answered: {:?}", view.seen));
        }
    }
    let said = match words.is_empty() {
        true => "no answer".to_owned(),
        false => grouped(&words).join(", "),
    };
    Outcome { kind, said, faults }
}

/// Whether a request ended in the midst of its body, by its line in the log.
fn is_cut(line: &Value) -> bool {
    let word = |member: &str| line[member].as_str().unwrap_or_default();
    let in_body = ["chunk_invalid", "chunk_size_overflow", "trailer_invalid"];
    in_body.contains(&word("fault"))
        || ["request_body_timeout", "client_gone"].contains(&word("cause"))
}

/// Whether a backend saw the begin of this request. nginx serves none that has no end, unless it
/// declared to be empty; Apache lets PHP run, which reads as far as it came.
fn is_begun(seen: &Seen, line: &Value) -> bool {
    let [method, path] = ["method", "path"].map(|name| line[name].as_str().unwrap_or_default());
    String::from_utf8_lossy(&seen.line) == format!("{method} {path} HTTP/1.1")
}

/// The same words after each other are said once.
fn grouped(words: &[String]) -> Vec<String> {
    let same = words.chunk_by(|first, second| first == second);
    same.map(|run| match run.len() {
        1 => run[0].clone(),
        count => format!("{count} {}", run[0]),
    })
    .collect()
}

/// Takes the request away that a line of the log is about.
fn take(view: &mut View<'_>, at: usize) -> Option<Seen> {
    let line = view.lines[at]?;
    let [method, path, host] =
        ["method", "path", "host"].map(|name| line[name].as_str().unwrap_or_default());
    let wanted = format!("{method} {path} HTTP/1.1");
    let fits = |seen: &Seen| {
        String::from_utf8_lossy(&seen.line) == wanted
            && (seen.host == b"-" || host.is_empty() || String::from_utf8_lossy(&seen.host) == host)
    };
    let found = view.seen.iter().position(fits)?;
    Some(view.seen.remove(found))
}

/// Compares what both understood of one request.
fn forwarded(nginx: &Seen, apache: &Seen, faults: &mut Vec<String>) -> (Kind, String) {
    match (nginx.status, apache.status) {
        (200, 200) => {
            let (mut first, mut second) = (nginx.clone(), apache.clone());
            (first.case, second.case) = Default::default();
            if first.host.starts_with(b"127.0.0.1:") && second.host.starts_with(b"127.0.0.1:") {
                // For HTTP/1.0 without Host it is the server's own.
                (first.host, second.host) = Default::default();
            }
            if first != second {
                faults.push(format!("read in two ways: {nginx:?}, {apache:?}"));
            }
            (Kind::Alike, "forwarded".to_owned())
        }
        (first @ 400.., second @ 400..) => {
            (Kind::NeitherServes, format!("forwarded (nginx {first}, Apache {second})"))
        }
        (first, second) => {
            if !KNOWN.iter().any(|(explains, _)| explains(nginx, apache)) {
                faults.push(format!("one serves it, and nobody knows why: {nginx:?}, {apache:?}"));
            }
            (Kind::OneServes, format!("forwarded (nginx {first}, Apache {second})"))
        }
    }
}

/// Prints how many cases of each group went which way.
pub fn show(cases: &[Case], outcomes: &[Outcome]) {
    const KINDS: [Kind; 5] =
        [Kind::Refused, Kind::Cut, Kind::Alike, Kind::NeitherServes, Kind::OneServes];
    let mut rows: Vec<(&str, [usize; 5])> = Vec::new();
    let mut sum = [0; 5];
    for (case, outcome) in cases.iter().zip(outcomes) {
        let at = rows.iter().position(|(group, _)| *group == case.group).unwrap_or(rows.len());
        if at == rows.len() {
            rows.push((case.group, [0; 5]));
        }
        let column = KINDS.iter().position(|kind| *kind == outcome.kind).unwrap_or_default();
        rows[at].1[column] += 1;
        sum[column] += 1;
    }
    let row = |group: &str, counts: [usize; 5]| {
        let counts = counts.map(|count| format!("{count:>14}")).concat();
        println!("{group:<30}{counts}");
    };
    let titles = ["refused", "cut", "read alike", "none serves", "one serves"];
    println!("{:<30}{}", "", titles.map(|title| format!("{title:>14}")).concat());
    for (group, counts) in rows {
        row(group, counts);
    }
    row(&format!("{} cases", cases.len()), sum);
    for (_, reason) in KNOWN {
        println!("one serves: {reason}");
    }
}

/// Holds every case to what is written down of it.
pub fn hold(cases: &[Case], outcomes: &[Outcome], golden: &Path) {
    let mut faults = String::new();
    let mut list = String::new();
    for (case, outcome) in cases.iter().zip(outcomes) {
        list += &format!("{}\t{}\t{}\n", case.group, case.name, outcome.said);
        for fault in &outcome.faults {
            faults += &format!("{} {} | {}: {fault}\n", case.number, case.group, case.name);
        }
    }
    if env::var_os("CAUSEWAY_BLESS").is_some() {
        fs::write(golden, &list).expect("the list is written");
    }
    assert!(faults.is_empty(), "\n{faults}");
    let known = fs::read_to_string(golden).unwrap_or_default();
    assert!(known == list, "{golden:?} is written anew with CAUSEWAY_BLESS=1; see git diff");
}
