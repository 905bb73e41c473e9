//! The line of one request, in three formats. Pure.
//!
//! Nothing that a client or an upstream sent can end a line, begin another or colour a terminal: every
//! byte outside printable ASCII is escaped.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use crate::config::LogFormat;

/// What is known of a request when it is over.
#[derive(Debug)]
pub struct Line<'a> {
    /// RFC 3339 in UTC with milliseconds.
    pub time: &'a str,
    /// `25/Nov/2026:13:05:01 +0000`, for the combined format.
    pub clf_time: &'a str,
    pub client: Option<IpAddr>,
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
    pub upstream: &'a str,
    pub server: &'a str,
    /// The status that the upstream answered with.
    pub received_status: Option<u16>,
    pub duration: Duration,
    pub stages: Stages,
    pub attempts: usize,
    pub reused: bool,
    pub cause: Option<&'static str>,
    pub incident: Option<&'a str>,
}

/// Time spent in each stage, where it was entered.
#[derive(Debug, Default, Clone, Copy)]
pub struct Stages {
    pub queue: Option<Duration>,
    pub resolve: Option<Duration>,
    pub connect: Option<Duration>,
    pub tls: Option<Duration>,
    pub send: Option<Duration>,
    /// Until the head was whole.
    pub head: Option<Duration>,
}

/// Appends the line with its newline.
pub fn write_line(out: &mut String, format: LogFormat, line: &Line<'_>) {
    match format {
        LogFormat::Json => json(out, line),
        LogFormat::Combined => combined(out, line),
        LogFormat::Text => text(out, line),
    }
    out.push('\n');
}

fn json(out: &mut String, line: &Line<'_>) {
    out.push_str("{\"time\":\"");
    out.push_str(line.time);
    out.push_str("\",\"client\":\"");
    client(out, line);
    out.push_str("\",\"method\":\"");
    escape_json(out, line.method.as_bytes());
    out.push_str("\",\"host\":\"");
    escape_json(out, line.host);
    out.push_str("\",\"path\":\"");
    escape_json(out, line.path);
    out.push_str("\",\"status\":");
    number(out, u64::from(line.status));
    out.push_str(",\"bytes\":");
    number(out, line.bytes);
    out.push_str(",\"upstream\":\"");
    escape_json(out, line.upstream.as_bytes());
    out.push_str("\",\"server\":\"");
    escape_json(out, line.server.as_bytes());
    out.push_str("\",\"received_status\":");
    match line.received_status {
        Some(status) => number(out, u64::from(status)),
        None => out.push_str("null"),
    }
    out.push_str(",\"ms\":");
    milliseconds(out, line.duration);
    for (name, time) in line.stages.named() {
        if let Some(time) = time {
            out.push_str(",\"");
            out.push_str(name);
            out.push_str("_ms\":");
            milliseconds(out, time);
        }
    }
    out.push_str(",\"attempts\":");
    number(out, line.attempts as u64);
    out.push_str(if line.reused { ",\"reused\":true" } else { ",\"reused\":false" });
    if let Some(cause) = line.cause {
        out.push_str(",\"cause\":\"");
        out.push_str(cause);
        out.push('"');
    }
    if let Some(incident) = line.incident {
        out.push_str(",\"incident\":\"");
        out.push_str(incident);
        out.push('"');
    }
    out.push('}');
}

/// Apache's combined format, with our own fields after it: what reads the former ignores the latter.
fn combined(out: &mut String, line: &Line<'_>) {
    client(out, line);
    out.push_str(" - - [");
    out.push_str(line.clf_time);
    out.push_str("] \"");
    escape_hex(out, line.method.as_bytes());
    out.push(' ');
    escape_hex(out, line.path);
    out.push(' ');
    out.push_str(line.version);
    out.push_str("\" ");
    number(out, u64::from(line.status));
    out.push(' ');
    number(out, line.bytes);
    out.push_str(" \"");
    dash(out, line.referer);
    out.push_str("\" \"");
    dash(out, line.agent);
    out.push('"');
    let _ = write!(out, " cause={}", line.cause.unwrap_or("-"));
    let _ = write!(out, " incident={}", line.incident.unwrap_or("-"));
}

fn text(out: &mut String, line: &Line<'_>) {
    out.push_str(line.time);
    out.push(' ');
    client(out, line);
    out.push(' ');
    escape_hex(out, line.method.as_bytes());
    out.push(' ');
    escape_hex(out, line.host);
    escape_hex(out, line.path);
    out.push_str(" -> ");
    number(out, u64::from(line.status));
    out.push(' ');
    number(out, line.bytes);
    out.push_str(" bytes ");
    milliseconds(out, line.duration);
    out.push_str(" ms");
    for (name, time) in line.stages.named() {
        if let Some(time) = time {
            out.push(' ');
            out.push_str(name);
            out.push('=');
            milliseconds(out, time);
        }
    }
    if !line.upstream.is_empty() {
        let _ = write!(out, " upstream={} server=", line.upstream);
        escape_hex(out, line.server.as_bytes());
        let _ = write!(out, " attempts={} reused={}", line.attempts, line.reused);
    }
    if let Some(status) = line.received_status {
        let _ = write!(out, " received_status={status}");
    }
    if let Some(cause) = line.cause {
        let _ = write!(out, " cause={cause}");
    }
    if let Some(incident) = line.incident {
        let _ = write!(out, " incident={incident}");
    }
}

impl Stages {
    fn named(&self) -> [(&'static str, Option<Duration>); 6] {
        [
            ("queue", self.queue),
            ("resolve", self.resolve),
            ("connect", self.connect),
            ("tls", self.tls),
            ("send", self.send),
            ("head", self.head),
        ]
    }
}

fn client(out: &mut String, line: &Line<'_>) {
    match line.client {
        Some(address) => {
            let _ = write!(out, "{address}");
        }
        None => out.push_str("unix"),
    }
}

fn dash(out: &mut String, bytes: &[u8]) {
    if bytes.is_empty() { out.push('-') } else { escape_hex(out, bytes) }
}

fn number(out: &mut String, number: u64) {
    out.push_str(itoa::Buffer::new().format(number));
}

/// Milliseconds with microseconds behind the point.
fn milliseconds(out: &mut String, time: Duration) {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    number(out, micros / 1000);
    let rest = micros % 1000;
    if rest > 0 {
        let digits =
            [b'0' + (rest / 100) as u8, b'0' + (rest / 10 % 10) as u8, b'0' + (rest % 10) as u8];
        out.push('.');
        out.extend(digits.iter().map(|&digit| char::from(digit)));
    }
}

/// Whether a byte may stand in any of the formats as it is.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

fn push_plain(out: &mut String, bytes: &[u8]) -> bool {
    let plain = bytes.iter().all(|&byte| is_plain(byte));
    if plain && let Ok(text) = std::str::from_utf8(bytes) {
        out.push_str(text);
        return true;
    }
    false
}

/// Inside a JSON string; what is not ASCII becomes `\uXXXX`, what is not UTF-8 U+FFFD.
fn escape_json(out: &mut String, bytes: &[u8]) {
    if push_plain(out, bytes) {
        return;
    }
    for letter in String::from_utf8_lossy(bytes).chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            ' '..='~' => out.push(letter),
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
fn escape_hex(out: &mut String, bytes: &[u8]) {
    if push_plain(out, bytes) {
        return;
    }
    for &byte in bytes {
        match is_plain(byte) {
            true => out.push(char::from(byte)),
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
            client: Some(IpAddr::from([127, 0, 0, 1])),
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
            reused: false,
            cause: Some("connection_refused"),
            incident: Some("0000-0001"),
        }
    }

    #[test]
    fn client_data_can_neither_forge_nor_colour_a_line() {
        let evil = b"/\x1b[31m\r\n{\"forged\":1}\"\\\xff\xc2\x9b\xe2\x80\xae";
        for format in [LogFormat::Json, LogFormat::Combined, LogFormat::Text] {
            let mut out = String::new();
            write_line(&mut out, format, &line(evil, evil));
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
        let mut out = String::new();
        write_line(&mut out, LogFormat::Json, &line(b"/a?b=c", b"x"));
        let value: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(value["ms"], 1.02);
        assert_eq!(value["connect_ms"], 0.007);
        assert_eq!(value["cause"], "connection_refused");
        assert_eq!(value["path"], "/a?b=c");
    }
}
