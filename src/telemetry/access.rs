//! The line of one request, in three formats. Pure.
//!
//! Nothing that a client or an upstream sent can end a line, begin another or colour a terminal:
//! every byte outside printable ASCII is escaped.

use std::io::Write as _;
use std::time::Duration;

use crate::config::LogFormat;

/// What is known of a request when it is over.
#[derive(Debug)]
pub struct Line<'a> {
    /// RFC 3339 in UTC with milliseconds.
    pub time: &'a str,
    /// `25/Nov/2026:13:05:01 +0000`, for the combined format.
    pub clf_time: &'a str,
    /// The client's address, printable.
    pub client: &'a str,
    pub method: &'a str,
    pub host: &'a [u8],
    /// Path and query as the client sent them.
    pub path: &'a [u8],
    pub version: &'static str,
    /// The status that went to the client; 499 when it left before one did.
    pub status: u16,
    /// Body bytes that went to the client.
    pub bytes: u64,
    pub referer: &'a [u8],
    pub agent: &'a [u8],
    /// Both as [`escaped`] made them, since they are the same each time.
    pub upstream: &'a str,
    pub server: &'a str,
    /// The status that the upstream answered with.
    pub received_status: Option<u16>,
    pub duration: Duration,
    pub stages: Stages,
    pub attempts: usize,
    /// The causes of the attempts before the last.
    pub retried_after: &'a [&'static str],
    pub reused: bool,
    pub cause: Option<&'static str>,
    /// What lies behind it on this host, as far as that was known.
    pub root: Option<&'static str>,
    /// Which kind of a cause that has several: what was wrong with a refused request.
    pub fault: Option<&'static str>,
    pub incident: Option<&'a str>,
}

/// Time spent in each stage, where it was entered.
#[derive(Debug, Default, Clone, Copy)]
pub struct Stages {
    /// The request's body was gathered first.
    pub upload: Option<Duration>,
    pub queue: Option<Duration>,
    pub resolve: Option<Duration>,
    pub connect: Option<Duration>,
    pub tls: Option<Duration>,
    pub send: Option<Duration>,
    /// Until the head was whole.
    pub head: Option<Duration>,
}

/// A configured name as a line of this format holds it.
pub fn escaped(format: LogFormat, name: &str) -> String {
    let mut out = Vec::new();
    match format {
        LogFormat::Json => escape_json(&mut out, name.as_bytes()),
        LogFormat::Combined | LogFormat::Text => escape_hex(&mut out, name.as_bytes()),
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Appends the line with its newline.
pub fn write_line(out: &mut Vec<u8>, format: LogFormat, line: &Line<'_>) {
    match format {
        LogFormat::Json => json(out, line),
        LogFormat::Combined => combined(out, line),
        LogFormat::Text => text(out, line),
    }
    out.push(b'\n');
}

fn json(out: &mut Vec<u8>, line: &Line<'_>) {
    out.extend_from_slice(b"{\"time\":\"");
    out.extend_from_slice(line.time.as_bytes());
    out.extend_from_slice(b"\",\"client\":\"");
    client(out, line);
    out.extend_from_slice(b"\",\"method\":\"");
    // A token (RFC 9110 section 9.1), which holds nothing to escape.
    out.extend_from_slice(line.method.as_bytes());
    out.extend_from_slice(b"\",\"host\":\"");
    escape_json(out, line.host);
    out.extend_from_slice(b"\",\"path\":\"");
    escape_json(out, line.path);
    out.extend_from_slice(b"\",\"status\":");
    number(out, u64::from(line.status));
    out.extend_from_slice(b",\"bytes\":");
    number(out, line.bytes);
    out.extend_from_slice(b",\"upstream\":\"");
    out.extend_from_slice(line.upstream.as_bytes());
    out.extend_from_slice(b"\",\"server\":\"");
    out.extend_from_slice(line.server.as_bytes());
    out.extend_from_slice(b"\",\"received_status\":");
    match line.received_status {
        Some(status) => number(out, u64::from(status)),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"ms\":");
    milliseconds(out, line.duration);
    line.stages.each(|name, time| {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"_ms\":");
        milliseconds(out, time);
    });
    out.extend_from_slice(b",\"attempts\":");
    number(out, line.attempts as u64);
    for (number, cause) in line.retried_after.iter().enumerate() {
        out.extend_from_slice(if number == 0 { b",\"retried_after\":[\"" } else { b"\",\"" });
        out.extend_from_slice(cause.as_bytes());
    }
    if !line.retried_after.is_empty() {
        out.extend_from_slice(b"\"]");
    }
    out.extend_from_slice(match line.reused {
        true => b",\"reused\":true".as_slice(),
        false => b",\"reused\":false",
    });
    if let Some(cause) = line.cause {
        out.extend_from_slice(b",\"cause\":\"");
        out.extend_from_slice(cause.as_bytes());
        out.push(b'"');
    }
    if let Some(root) = line.root {
        out.extend_from_slice(b",\"root\":\"");
        out.extend_from_slice(root.as_bytes());
        out.push(b'"');
    }
    if let Some(fault) = line.fault {
        out.extend_from_slice(b",\"fault\":\"");
        out.extend_from_slice(fault.as_bytes());
        out.push(b'"');
    }
    if let Some(incident) = line.incident {
        out.extend_from_slice(b",\"incident\":\"");
        out.extend_from_slice(incident.as_bytes());
        out.push(b'"');
    }
    out.push(b'}');
}

/// Apache's combined format, with our own fields after it: what reads the former ignores the
/// latter.
fn combined(out: &mut Vec<u8>, line: &Line<'_>) {
    client(out, line);
    out.extend_from_slice(b" - - [");
    out.extend_from_slice(line.clf_time.as_bytes());
    out.extend_from_slice(b"] \"");
    escape_hex(out, line.method.as_bytes());
    out.push(b' ');
    escape_hex(out, line.path);
    out.push(b' ');
    out.extend_from_slice(line.version.as_bytes());
    out.extend_from_slice(b"\" ");
    number(out, u64::from(line.status));
    out.push(b' ');
    number(out, line.bytes);
    out.extend_from_slice(b" \"");
    dash(out, line.referer);
    out.extend_from_slice(b"\" \"");
    dash(out, line.agent);
    out.push(b'"');
    let _ = write!(out, " cause={}", line.cause.unwrap_or("-"));
    if let Some(root) = line.root {
        let _ = write!(out, " root={root}");
    }
    let _ = write!(out, " incident={}", line.incident.unwrap_or("-"));
}

fn text(out: &mut Vec<u8>, line: &Line<'_>) {
    out.extend_from_slice(line.time.as_bytes());
    out.push(b' ');
    client(out, line);
    out.push(b' ');
    escape_hex(out, line.method.as_bytes());
    out.push(b' ');
    escape_hex(out, line.host);
    escape_hex(out, line.path);
    out.extend_from_slice(b" -> ");
    number(out, u64::from(line.status));
    out.push(b' ');
    number(out, line.bytes);
    out.extend_from_slice(b" bytes ");
    milliseconds(out, line.duration);
    out.extend_from_slice(b" ms");
    line.stages.each(|name, time| {
        out.push(b' ');
        out.extend_from_slice(name.as_bytes());
        out.push(b'=');
        milliseconds(out, time);
    });
    if !line.upstream.is_empty() {
        let _ = write!(out, " upstream={} server=", line.upstream);
        out.extend_from_slice(line.server.as_bytes());
        let _ = write!(out, " attempts={} reused={}", line.attempts, line.reused);
        for (number, cause) in line.retried_after.iter().enumerate() {
            let before = if number == 0 { " retried_after=" } else { "," };
            let _ = write!(out, "{before}{cause}");
        }
    }
    if let Some(status) = line.received_status {
        let _ = write!(out, " received_status={status}");
    }
    if let Some(cause) = line.cause {
        let _ = write!(out, " cause={cause}");
    }
    if let Some(root) = line.root {
        let _ = write!(out, " root={root}");
    }
    if let Some(fault) = line.fault {
        let _ = write!(out, " fault={fault}");
    }
    if let Some(incident) = line.incident {
        let _ = write!(out, " incident={incident}");
    }
}

impl Stages {
    /// Shows those that were entered, in order.
    fn each(&self, mut show: impl FnMut(&'static str, Duration)) {
        let mut stage = |name, time: Option<Duration>| {
            if let Some(time) = time {
                show(name, time);
            }
        };
        stage("upload", self.upload);
        stage("queue", self.queue);
        stage("resolve", self.resolve);
        stage("connect", self.connect);
        stage("tls", self.tls);
        stage("send", self.send);
        stage("head", self.head);
    }
}

fn client(out: &mut Vec<u8>, line: &Line<'_>) {
    out.extend_from_slice(line.client.as_bytes());
}

fn dash(out: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.is_empty() { out.push(b'-') } else { escape_hex(out, bytes) }
}

fn number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Milliseconds with microseconds behind the point.
fn milliseconds(out: &mut Vec<u8>, time: Duration) {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    number(out, micros / 1000);
    let rest = micros % 1000;
    if rest > 0 {
        let digit = |number: u64| b'0' + (number % 10) as u8;
        out.extend_from_slice(&[b'.', digit(rest / 100), digit(rest / 10), digit(rest)]);
    }
}

/// Whether a byte may stand in any of the formats as it is.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

fn push_plain(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
    // Without a branch a byte, so that the compiler looks at many at once.
    let plain = bytes.iter().fold(true, |plain, &byte| plain & is_plain(byte));
    if plain {
        out.extend_from_slice(bytes);
    }
    plain
}

/// Inside a JSON string; what is not ASCII becomes `\uXXXX`, what is not UTF-8 U+FFFD.
fn escape_json(out: &mut Vec<u8>, bytes: &[u8]) {
    if push_plain(out, bytes) {
        return;
    }
    for letter in String::from_utf8_lossy(bytes).chars() {
        match letter {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            ' '..='~' => out.push(letter as u8),
            _ => {
                let mut units = [0; 2];
                for unit in letter.encode_utf16(&mut units) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
}

/// As nginx and Apache do it: `\xHH`.
fn escape_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    if push_plain(out, bytes) {
        return;
    }
    for &byte in bytes {
        match is_plain(byte) {
            true => out.push(byte),
            false => {
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line<'a>(path: &'a [u8], agent: &'a [u8]) -> Line<'a> {
        Line {
            time: "2026-11-21T06:00:00.123Z",
            clf_time: "21/Nov/2026:06:00:00 +0000",
            client: "127.0.0.1",
            method: "GET",
            host: b"shop.example",
            path,
            version: "HTTP/1.1",
            status: 502,
            bytes: 12,
            referer: b"",
            agent,
            upstream: "shop",
            server: "http://127.0.0.1:1",
            received_status: None,
            duration: Duration::from_micros(1_020),
            stages: Stages { connect: Some(Duration::from_micros(7)), ..Stages::default() },
            attempts: 1,
            retried_after: &[],
            reused: false,
            cause: Some("connection_refused"),
            root: Some("wrong_port"),
            fault: Some("bare_lf"),
            incident: Some("0000-0001"),
        }
    }

    #[test]
    fn client_data_can_neither_forge_nor_colour_a_line() {
        let evil = b"/\x1b[31m\r\n{\"forged\":1}\"\\\xff\xc2\x9b\xe2\x80\xae";
        for format in [LogFormat::Json, LogFormat::Combined, LogFormat::Text] {
            let mut out = Vec::new();
            write_line(&mut out, format, &line(evil, evil));
            let out = String::from_utf8(out).unwrap();
            assert_eq!(out.matches('\n').count(), 1, "{format:?}");
            assert!(out.trim_end().bytes().all(|byte| matches!(byte, b' '..=b'~')), "{out}");
            if format == LogFormat::Json {
                let value: serde_json::Value = serde_json::from_str(&out).unwrap();
                assert!(value.get("forged").is_none());
                assert!(value["path"].as_str().unwrap().starts_with("/\u{1b}[31m\r\n{\"forged"));
            }
        }
    }

    #[test]
    fn a_json_line_is_read_back_with_its_numbers() {
        let mut out = Vec::new();
        write_line(&mut out, LogFormat::Json, &line(b"/a?b=c", b"x"));
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value["ms"], 1.02);
        assert_eq!(value["connect_ms"], 0.007);
        assert_eq!(value["cause"], "connection_refused");
        assert_eq!(value["fault"], "bare_lf");
        assert_eq!(value["root"], "wrong_port");
        assert_eq!(value["path"], "/a?b=c");
    }
}
