//! The last minute of the access log, kept for whoever asks after a failure who asked for what.
//!
//! Costs no request anything: the writer keeps some of the buffers that it has written out instead
//! of handing them back, a large one at most each [`APART`], and small ones by a copy into the
//! last. Under load it is a sample. Read only when a failure is looked into.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::config::LogFormat;

/// Between two large buffers that are kept.
const APART: Duration = Duration::from_secs(2);
/// How long one counts.
const COUNTS: Duration = Duration::from_secs(60);
/// How long others are copied into one.
const FILLS: Duration = Duration::from_secs(10);
/// Buffers that are kept: a minute of them.
const KEPT_MAX: usize = 32;
/// What is smaller is copied, up to so much in all.
const SMALL: usize = 4096;
const COPIED_MAX: usize = 48 * 1024;

/// The buffers that are kept.
#[derive(Debug, Default, Clone)]
pub struct Recent(Arc<Mutex<VecDeque<Kept>>>);

#[derive(Debug)]
struct Kept {
    from: Instant,
    to: Instant,
    lines: Vec<u8>,
}

/// What a line says of who asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub client: String,
    /// Without query.
    pub path: String,
    /// Only where the format has it.
    pub agent: Option<String>,
    /// Only where the format has it.
    pub upstream: Option<String>,
}

impl Recent {
    /// Keeps lines that were written, or gives them back.
    pub fn keep(&self, lines: Vec<u8>, now: Instant) -> Option<Vec<u8>> {
        let mut kept = self.kept();
        while kept.front().is_some_and(|kept| now.saturating_duration_since(kept.to) > COUNTS) {
            kept.pop_front();
        }
        if let Some(last) = kept.back_mut() {
            let age = now.saturating_duration_since(last.from);
            let fits = last.lines.len() + lines.len() <= COPIED_MAX;
            if lines.len() < SMALL && fits && age < FILLS {
                last.lines.extend_from_slice(&lines);
                last.to = now;
                return Some(lines);
            }
            if age < APART {
                return Some(lines);
            }
        }
        if kept.len() == KEPT_MAX {
            kept.pop_front();
        }
        kept.push_back(Kept { from: now, to: now, lines });
        None
    }

    /// The requests of the last minute that are kept.
    pub fn requests(&self, format: LogFormat, now: Instant) -> Vec<Request> {
        let mut requests = Vec::new();
        // Copied, so that the writer does not wait for the reading of them.
        let kept = self.kept();
        let fresh = kept.iter().filter(|kept| now.saturating_duration_since(kept.to) <= COUNTS);
        let lines: Vec<Vec<u8>> = fresh.map(|kept| kept.lines.clone()).collect();
        drop(kept);
        for lines in lines {
            let lines = lines.split(|&byte| byte == b'\n').filter_map(|l| str::from_utf8(l).ok());
            requests.extend(lines.filter_map(|line| request(format, line)));
        }
        requests
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one of our own lines says, in the layout that `access` gives it.
fn request(format: LogFormat, line: &str) -> Option<Request> {
    match format {
        LogFormat::Json => json(line),
        LogFormat::Combined => combined(line),
        LogFormat::Text => text(line),
    }
}

#[derive(Deserialize)]
struct JsonLine<'l> {
    #[serde(borrow)]
    client: Cow<'l, str>,
    #[serde(borrow)]
    path: Cow<'l, str>,
    #[serde(borrow)]
    upstream: Cow<'l, str>,
}

fn json(line: &str) -> Option<Request> {
    let line: JsonLine<'_> = serde_json::from_str(line).ok()?;
    Some(Request {
        client: line.client.into_owned(),
        path: without_query(&line.path),
        agent: None,
        upstream: Some(line.upstream.into_owned()),
    })
}

/// `CLIENT - - [TIME] "METHOD PATH VERSION" STATUS BYTES "REFERER" "AGENT" …`; nothing within the
/// quotes holds one.
fn combined(line: &str) -> Option<Request> {
    let mut quoted = line.split('"');
    let client = quoted.next()?.split(' ').next()?;
    let path = quoted.next()?.split(' ').nth(1)?;
    let agent = quoted.nth(3)?;
    Some(Request {
        client: client.to_owned(),
        path: without_query(path),
        agent: (agent != "-").then(|| agent.to_owned()),
        upstream: None,
    })
}

/// `TIME CLIENT METHOD HOST/PATH -> … upstream=NAME …`
fn text(line: &str) -> Option<Request> {
    let (asked, rest) = line.split_once(" -> ")?;
    let mut asked = asked.split(' ').skip(1);
    let (client, target) = (asked.next()?, asked.nth(1)?);
    let upstream = rest.split(' ').find_map(|word| word.strip_prefix("upstream="));
    Some(Request {
        client: client.to_owned(),
        path: without_query(target.find('/').map_or(target, |at| &target[at..])),
        agent: None,
        upstream: Some(upstream.unwrap_or_default().to_owned()),
    })
}

fn without_query(path: &str) -> String {
    path.split('?').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::access::{Line, Stages, write_line};
    use super::*;

    fn line(format: LogFormat, client: &str) -> Vec<u8> {
        let mut out = Vec::new();
        let line = Line {
            time: "2026-11-21T06:00:00.123Z",
            clf_time: "21/Nov/2026:06:00:00 +0000",
            client,
            method: "GET",
            host: b"shop.example",
            path: b"/a b\"?token=1",
            version: "HTTP/1.1",
            status: 502,
            bytes: 12,
            referer: b"",
            agent: b"Bot \"1\"",
            upstream: "shop",
            server: "http://127.0.0.1:1",
            received_status: None,
            duration: Duration::from_micros(1_020),
            stages: Stages::default(),
            attempts: 1,
            retried_after: &[],
            reused: false,
            root: None,
            cause: None,
            fault: None,
            incident: None,
        };
        write_line(&mut out, format, &line);
        out
    }

    #[test]
    fn every_format_is_read_back() {
        let now = Instant::now();
        for (format, path, agent, upstream) in [
            (LogFormat::Json, "/a b\"", None, Some("shop")),
            (LogFormat::Combined, "/a", Some("Bot \\x221\\x22"), None),
        ] {
            let recent = Recent::default();
            recent.keep(line(format, "192.0.2.1"), now);
            let expected = Request {
                client: "192.0.2.1".to_owned(),
                path: path.to_owned(),
                agent: agent.map(str::to_owned),
                upstream: upstream.map(str::to_owned),
            };
            assert_eq!(recent.requests(format, now), [expected], "{format:?}");
        }
        let recent = Recent::default();
        recent.keep(line(LogFormat::Text, "192.0.2.1"), now);
        let found = &recent.requests(LogFormat::Text, now)[0];
        let upstream = found.upstream.as_deref();
        assert_eq!((found.client.as_str(), upstream), ("192.0.2.1", Some("shop")));
        // Torn or strange lines are passed over.
        recent.keep(b"\xff\n{\n\n".to_vec(), now);
        assert_eq!(recent.requests(LogFormat::Text, now).len(), 1);
        assert_eq!(recent.requests(LogFormat::Json, now).len(), 0);
    }

    #[test]
    fn it_is_bounded_and_forgets() {
        let (recent, start) = (Recent::default(), Instant::now());
        let large = || vec![b'x'; SMALL];
        assert!(recent.keep(large(), start).is_none());
        assert!(recent.keep(large(), start).is_some(), "one a while");
        assert!(recent.keep(vec![b'y'; 10], start).is_some(), "copied");
        assert_eq!(recent.kept()[0].lines.len(), SMALL + 10);
        for second in 0..300 {
            recent.keep(large(), start + Duration::from_secs(second));
        }
        let kept = recent.kept().len();
        assert!((20..=KEPT_MAX).contains(&kept), "{kept}");
        recent.keep(vec![b'z'; 10], start + Duration::from_secs(1000));
        assert_eq!(recent.kept().len(), 1);
    }
}
