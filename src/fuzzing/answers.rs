//! What must hold of the readers of what others say: resolvers, applications, the hops behind us,
//! and the kernel.

use std::path::Path;

use hickory_resolver::proto::op::Message;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::diagnose::{self, Certainty, Question, Received, Sent};
use crate::probe;
use crate::upstream;

use super::diagnosis;
use super::failures;
use super::source::Source;

/// As many bytes of a peer's words as any evidence may keep.
const SAID_BYTES_MAX: usize = 16 * 1024;

/// A message of a resolver: what it says of its failure is bounded, and is the same a second time.
pub fn extended_errors(bytes: &[u8]) {
    let Ok(message) = Message::from_vec(bytes) else { return };
    let Some(edns) = &message.edns else { return };
    let errors = upstream::extended(edns);
    assert!(errors.len() <= 4 && errors.iter().all(|error| error.text.len() <= 3 * 256));
    assert_eq!(errors, upstream::extended(edns));
}

/// Rows of sock_diag: no datagram leads outside itself, and an end is an end.
pub fn sock_diag(bytes: &[u8]) {
    let (rows, more) = probe::rows(bytes);
    assert!(rows <= bytes.len() / 16, "more rows than headers fit");
    let _ = more;
}

/// What an application says: status, then its page and STDERR with a NUL between.
pub fn said(bytes: &[u8]) {
    let mut source = Source(bytes);
    let status = 100 + source.short() % 500;
    let (stderr, page) = match memchr::memchr(0, source.0) {
        Some(at) => (&source.0[..at], &source.0[at + 1..]),
        None => (&b""[..], source.0),
    };
    let sent = Sent { filename: "/srv/canary.php", root: Path::new("/srv") };
    for page in [Some(page), None] {
        let found = diagnose::said(status, page, stderr, &sent);
        assert_eq!(found, diagnose::said(status, page, stderr, &sent));
        let quiet = diagnose::is_quiet(status, page.unwrap_or_default(), !stderr.is_empty());
        assert!(!quiet || found.is_none(), "{found:?} would never be looked for");
        check(found, &mut source);
    }
}

/// A complete answer of whatever stands behind us: status, fields, an empty line, a page.
pub fn received(bytes: &[u8]) {
    let mut source = Source(bytes);
    let status = 100 + source.short() % 500;
    let (fields, page) = match memchr::memmem::find(source.0, b"\n\n") {
        Some(at) => (&source.0[..at], Some(&source.0[at + 2..])),
        None => (source.0, None),
    };
    let headers = headers(fields);
    let received = Received { status, headers: &headers, page };
    for (method, fastcgi) in [(Method::GET, false), (Method::POST, true)] {
        let asked =
            Question { method: &method, path_and_query: "/a?b", headers: &headers, fastcgi };
        let found = diagnose::answered(&received, &asked);
        assert_eq!(found, diagnose::answered(&received, &asked));
        assert!(status < 500 || found.is_some(), "{status} is passed over");
        assert!(status >= 300 || found.is_none(), "{status} is no failure");
        check(found, &mut source);
    }
    check(Some(diagnose::by_status(&received)), &mut source);
}

fn headers(lines: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines.split(|&byte| byte == b'\n') {
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            headers.append(name, value);
        }
    }
    headers
}

/// The evidence is bounded, and the pages can be made.
fn check(found: Option<(diagnose::Cause, Certainty)>, source: &mut Source<'_>) {
    let Some((cause, certainty)) = found else { return };
    let kept: usize = cause.evidence().iter().map(|(_, value)| value.len()).sum();
    assert!(kept < SAID_BYTES_MAX, "{kept} bytes of evidence");
    let attempt = failures::attempt(&mut Source(&[]));
    diagnosis::shown(cause, certainty, &attempt, source);
}
