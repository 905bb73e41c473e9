//! The requests: each row of a table is one oddity in an otherwise sound request.
//!
//! A row's name is the odd part itself. Every request carries its number, in the target, in X-Case
//! or in both, so that whoever saw it can be asked; wherever `c####` stands the number is put.

mod bodies;
mod fields;
mod http2;
mod lines;
mod targets;

use std::collections::BTreeSet;

/// Where a request's number goes: as long as a number, so that lengths can be counted before.
const NUMBER: &[u8] = b"c####";

/// One odd request.
#[derive(Debug)]
pub struct Case {
    pub group: &'static str,
    pub name: String,
    /// As `c0042`.
    pub number: String,
    pub sent: Sent,
}

/// What goes to the proxy.
#[derive(Debug)]
pub enum Sent {
    /// The bytes of one or more requests; a sound one goes behind them.
    Plain(Vec<u8>),
    /// A head and a body of HTTP/2, each field as it stands; a sound request follows.
    Http2 { fields: Vec<(Vec<u8>, Vec<u8>)>, body: Option<Vec<u8>> },
}

/// The table as it grows.
#[derive(Debug, Default)]
pub struct Table {
    cases: Vec<Case>,
    names: BTreeSet<(&'static str, String)>,
}

/// Every case, those of HTTP/2 last.
pub fn all() -> Vec<Case> {
    let mut table = Table::default();
    lines::add(&mut table);
    targets::add(&mut table);
    fields::add(&mut table);
    bodies::add(&mut table);
    http2::add(&mut table);
    table.cases
}

impl Table {
    /// Adds a request of HTTP/1; `odd` is what is odd about it, and its name.
    fn add(&mut self, group: &'static str, odd: impl AsRef<[u8]>, request: Vec<u8>) {
        let number = self.number();
        let request = numbered(&request, &number);
        self.push(group, odd.as_ref(), number, Sent::Plain(request));
    }

    /// Adds a request of HTTP/2.
    fn add_http2(
        &mut self,
        group: &'static str,
        odd: impl AsRef<[u8]>,
        fields: &[(&[u8], &[u8])],
        body: Option<&[u8]>,
    ) {
        let number = self.number();
        let numbered = |bytes: &&[u8]| numbered(bytes, &number);
        let fields = fields.iter().map(|(name, value)| (name.to_vec(), numbered(value))).collect();
        let body = body.as_ref().map(numbered);
        self.push(group, odd.as_ref(), number, Sent::Http2 { fields, body });
    }

    fn number(&self) -> String {
        format!("c{:04}", self.cases.len())
    }

    fn push(&mut self, group: &'static str, odd: &[u8], number: String, sent: Sent) {
        let mut name = odd.escape_ascii().to_string();
        if name.len() > 90 {
            name = format!("{}... ({} bytes)", &name[..60], odd.len());
        }
        assert!(self.names.insert((group, name.clone())), "{group}: {name} is there twice");
        self.cases.push(Case { group, name, number, sent });
    }
}

fn numbered(bytes: &[u8], number: &str) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for at in 0..bytes.len() {
        if bytes[at..].starts_with(NUMBER) {
            bytes[at..at + NUMBER.len()].copy_from_slice(number.as_bytes());
        }
    }
    bytes
}

/// A request with this line.
fn with_line(line: &[u8]) -> Vec<u8> {
    [line, b"\r\nHost: shop.example\r\nX-Case: c####\r\n\r\n"].concat()
}

/// A request with this target.
fn with_target(target: &[u8]) -> Vec<u8> {
    with_line(&[b"GET ", target, b" HTTP/1.1"].concat())
}

/// A request with these lines, each with its end, behind the others of its head.
fn with_fields(lines: &[u8]) -> Vec<u8> {
    let head = b"GET /c#### HTTP/1.1\r\nHost: shop.example\r\nX-Case: c####\r\n";
    [head, lines, b"\r\n"].concat()
}

/// A request with these lines, and what follows its head.
fn with_body(lines: &[u8], body: &[u8]) -> Vec<u8> {
    let head = b"POST /c#### HTTP/1.1\r\nHost: shop.example\r\nX-Case: c####\r\n";
    [head, lines, b"\r\n", body].concat()
}
