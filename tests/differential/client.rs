//! The client: sends a case's bytes as they are, and tells the answers that came of them.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use super::cases::{Case, Sent};
use super::support::{client, python};

/// One final answer; of HTTP/2 also that there was none, which is the proxy's own with status 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// The proxy's own.
    pub own: bool,
}

/// Sends the cases one after another, each over a connection of its own with a sound request
/// behind it; gives the answers to each.
pub fn ask(plain: u16, secure: u16, cases: &[Case]) -> Vec<Vec<Answer>> {
    let mut answers = Vec::with_capacity(cases.len());
    let mut http2 = Vec::new();
    for case in cases {
        match &case.sent {
            Sent::Plain(bytes) => answers.push(ask_plainly(plain, case, bytes)),
            Sent::Http2 { fields, body } => {
                let fields = fields.iter().map(|(name, value)| [hex(name), hex(value)]);
                let fields: Vec<_> = fields.collect();
                let body = body.as_deref().map(hex);
                http2.push(json!({ "number": case.number, "fields": fields, "body": body }));
            }
        }
    }
    answers.extend(ask_http2(secure, http2));
    answers
}

fn ask_plainly(port: u16, case: &Case, bytes: &[u8]) -> Vec<Answer> {
    let number = &case.number;
    let behind = format!(
        "GET /{number}/behind HTTP/1.1\r\nHost: shop.example\r\nX-Case: {number}\r\n\
         Connection: close\r\n\r\n"
    );
    let mut stream = client::connect(port);
    // It may have closed in the midst of what it refuses.
    let _ = stream.write_all(&[bytes, behind.as_bytes()].concat());
    split(&received(&mut stream), case)
}

/// What comes until the connection ends.
fn received(stream: &mut TcpStream) -> Vec<u8> {
    let (mut all, mut piece) = (Vec::new(), [0; 16 * 1024]);
    loop {
        match stream.read(&mut piece) {
            Ok(0) => return all,
            Ok(read) => all.extend_from_slice(&piece[..read]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return all,
            Err(error) => panic!("{error} after {}", all.escape_ascii()),
        }
    }
}

/// The final answers among these bytes. No body here begins as an answer does, so one that is
/// declared and does not come is that of a HEAD.
fn split(mut bytes: &[u8], case: &Case) -> Vec<Answer> {
    let mut answers = Vec::new();
    while !bytes.is_empty() {
        let end = memchr::memmem::find(bytes, b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("{case:?}: no head: {}", bytes.escape_ascii()));
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        bytes = &bytes[end + 4..];
        let status = head.strip_prefix("http/1.").and_then(|rest| rest.get(2..5)?.parse().ok());
        let status: u16 = status.unwrap_or_else(|| panic!("{case:?}: no status line: {head}"));
        let field = |name: &str| {
            head.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(": ")?.trim()))
        };
        if status >= 200 {
            let own = field("proxy-status").is_some_and(|said| said.contains("error="));
            answers.push(Answer { status, own });
            if !bytes.starts_with(b"HTTP/1.") {
                let length = match field("content-length") {
                    Some(length) => length.parse().expect("a length"),
                    // A server's own error pages; no chunk of them ends so.
                    None => memchr::memmem::find(bytes, b"0\r\n\r\n").map_or(0, |end| end + 5),
                };
                bytes = &bytes[length.min(bytes.len())..];
            }
        }
    }
    answers
}

/// The same over HTTP/2, by hand in Python.
fn ask_http2(port: u16, cases: Vec<Value>) -> Vec<Vec<Answer>> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("cases.json");
    let count = cases.len();
    fs::write(&file, Value::from(cases).to_string()).expect("a file");
    let arguments = [file.to_str().expect("a path in UTF-8"), &port.to_string()];
    let (held, said) = python::run("tests/differential/http2.py", &arguments);
    assert!(held, "{said}");
    let lines = said.lines().map(|line| {
        let told: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{said}"));
        let answers = told.as_array().expect("a list").iter().map(|answer| Answer {
            status: answer["status"].as_u64().map_or(0, |status| status as u16),
            own: answer["own"] == true,
        });
        answers.collect()
    });
    let answers: Vec<Vec<Answer>> = lines.collect();
    assert_eq!(answers.len(), count, "{said}");
    answers
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
