//! An answer's head as HTTP/1.1 writes it, and how its body's end is told (RFC 9112 section 6).
//! Pure.

use http::response::Parts;
use http::{HeaderMap, HeaderName, Method, StatusCode, header};

use crate::upstream::http1::head::options;

/// What the request said that decides how it is answered.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// HEAD: the answer has no body.
    pub is_head: bool,
    /// HTTP/1.0.
    pub old: bool,
    /// The connection may be used again, as far as the client and the drain say.
    pub keeps_alive: bool,
    /// Trailer fields are read.
    pub takes_trailers: bool,
}

/// How the end of an answer's body is told.
#[derive(Debug, PartialEq, Eq)]
pub enum Framing {
    /// By its length, or there is none.
    Length,
    Chunked(Trailers),
    /// By the connection's end.
    Close,
}

/// The trailer fields that may follow: those that the head names, for a client that reads them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Trailers(Vec<HeaderName>);

/// A head that was written.
#[derive(Debug, PartialEq, Eq)]
pub struct Written {
    pub framing: Framing,
    /// A body may follow it.
    pub has_body: bool,
    /// The connection may be used again.
    pub keeps_alive: bool,
}

impl Asked {
    pub fn new(method: &Method, old: bool, keeps_alive: bool, takes_trailers: bool) -> Asked {
        Asked { is_head: method == Method::HEAD, old, keeps_alive, takes_trailers }
    }
}

/// Writes an answer's head. `lines`: fields that are written already; `length`: that of the body,
/// where it is known; `date`: for an answer without one (RFC 9110 section 6.6.1).
pub fn write(
    into: &mut Vec<u8>,
    answer: &Parts,
    lines: &[u8],
    length: Option<u64>,
    asked: Asked,
    date: &[u8],
) -> Written {
    write_status(into, answer.status, asked.old);
    let switches = answer.status == StatusCode::SWITCHING_PROTOCOLS;
    let has_body = may_have_body(answer.status, asked);
    let chunked = has_body && length.is_none() && !asked.old;
    let by_end = has_body && length.is_none() && asked.old;
    let mut keeps_alive = asked.keeps_alive && !by_end && !switches;
    let mut written = Fields::default();
    into.extend_from_slice(lines);
    for (name, value) in &answer.headers {
        match name.as_str() {
            // Written below, once.
            "content-length" if has_body => continue,
            "content-length" if !may_have_length(answer.status) => continue,
            "transfer-encoding" => continue,
            "trailer" if !chunked => continue,
            "connection" => {
                written.connection = true;
                let mut said = options(value.as_bytes());
                keeps_alive &= !said.any(|option| option.eq_ignore_ascii_case(b"close"));
            }
            "date" => written.date = true,
            _ => {}
        }
        field(into, name.as_str(), value.as_bytes());
    }
    match length {
        Some(length) if has_body => {
            let mut printed = itoa::Buffer::new();
            field(into, "content-length", printed.format(length).as_bytes());
        }
        None if chunked => field(into, "transfer-encoding", b"chunked"),
        Some(_) | None => {}
    }
    if !written.connection {
        match (keeps_alive, asked.old) {
            (true, true) => field(into, "connection", b"keep-alive"),
            (false, false) => field(into, "connection", b"close"),
            (true, false) | (false, true) => {}
        }
    }
    if !written.date {
        field(into, "date", date);
    }
    into.extend_from_slice(b"\r\n");
    let framing = match chunked {
        true => Framing::Chunked(Trailers::named(&answer.headers, asked)),
        false if by_end => Framing::Close,
        false => Framing::Length,
    };
    Written { framing, has_body, keeps_alive }
}

/// What a head has that is written otherwise when it is missing.
#[derive(Default)]
struct Fields {
    connection: bool,
    date: bool,
}

fn write_status(into: &mut Vec<u8>, status: StatusCode, old: bool) {
    into.extend_from_slice(if old { b"HTTP/1.0 " } else { b"HTTP/1.1 " });
    into.extend_from_slice(status.as_str().as_bytes());
    into.push(b' ');
    into.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    into.extend_from_slice(b"\r\n");
}

fn field(into: &mut Vec<u8>, name: &str, value: &[u8]) {
    into.reserve(name.len() + value.len() + 4);
    into.extend_from_slice(name.as_bytes());
    into.extend_from_slice(b": ");
    into.extend_from_slice(value);
    into.extend_from_slice(b"\r\n");
}

/// RFC 9112 section 6.3, items 1 and 2: CONNECT does not come here.
fn may_have_body(status: StatusCode, asked: Asked) -> bool {
    may_have_length(status) && status != StatusCode::NOT_MODIFIED && !asked.is_head
}

/// RFC 9110 section 8.6.
fn may_have_length(status: StatusCode) -> bool {
    !status.is_informational() && status != StatusCode::NO_CONTENT
}

impl Trailers {
    fn named(headers: &HeaderMap, asked: Asked) -> Trailers {
        if !asked.takes_trailers || !headers.contains_key(header::TRAILER) {
            return Trailers::default();
        }
        let named = headers.get_all(header::TRAILER).iter();
        let names = named.flat_map(|value| options(value.as_bytes()));
        Trailers(names.filter_map(|name| HeaderName::from_bytes(name).ok()).collect())
    }

    /// Writes the end of a chunked body: the last chunk and the trailer fields that may follow it.
    pub fn write_end(&self, into: &mut Vec<u8>, trailers: &HeaderMap) {
        into.extend_from_slice(b"0\r\n");
        for (name, value) in trailers {
            if self.0.contains(name) && may_trail(name) {
                field(into, name.as_str(), value.as_bytes());
            }
        }
        into.extend_from_slice(b"\r\n");
    }
}

/// RFC 9110 section 6.5.1: not what frames, routes, authenticates or tells how to read the content.
fn may_trail(name: &HeaderName) -> bool {
    ![
        header::AUTHORIZATION,
        header::CACHE_CONTROL,
        header::CONTENT_ENCODING,
        header::CONTENT_LENGTH,
        header::CONTENT_RANGE,
        header::CONTENT_TYPE,
        header::HOST,
        header::MAX_FORWARDS,
        header::SET_COOKIE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::TE,
    ]
    .contains(name)
}

#[cfg(test)]
mod tests {
    use http::Response;

    use super::*;

    const GET: Asked =
        Asked { is_head: false, old: false, keeps_alive: true, takes_trailers: true };

    fn head(
        answer: http::response::Builder,
        length: Option<u64>,
        asked: Asked,
    ) -> (String, Written) {
        let (parts, ()) = answer.body(()).unwrap().into_parts();
        let mut bytes = Vec::new();
        let written = write(&mut bytes, &parts, b"", length, asked, b"now");
        (String::from_utf8(bytes).unwrap(), written)
    }

    #[test]
    fn the_end_of_a_body_is_told_in_the_clients_version() {
        let old = Asked { old: true, keeps_alive: false, ..GET };
        let old_kept = Asked { old: true, ..GET };
        let to_head = Asked { is_head: true, ..GET };
        let none = || Framing::Chunked(Trailers::default());
        for (status, length, asked, shown, framing, kept) in [
            (200, Some(5), GET, "200 OK\r\ncontent-length: 5\r\n", Framing::Length, true),
            (200, Some(0), GET, "200 OK\r\ncontent-length: 0\r\n", Framing::Length, true),
            (200, None, GET, "200 OK\r\ntransfer-encoding: chunked\r\n", none(), true),
            (200, None, old, "200 OK\r\n", Framing::Close, false),
            (200, None, old_kept, "200 OK\r\n", Framing::Close, false),
            (
                200,
                Some(5),
                old_kept,
                "200 OK\r\ncontent-length: 5\r\nconnection: keep-alive\r\n",
                Framing::Length,
                true,
            ),
            (200, Some(0), to_head, "200 OK\r\n", Framing::Length, true),
            (204, Some(0), GET, "204 No Content\r\n", Framing::Length, true),
            (304, Some(0), GET, "304 Not Modified\r\n", Framing::Length, true),
            (101, Some(0), GET, "101 Switching Protocols\r\n", Framing::Length, false),
        ] {
            let (bytes, written) = head(Response::builder().status(status), length, asked);
            let version = if asked.old { "HTTP/1.0 " } else { "HTTP/1.1 " };
            let bytes = bytes.strip_prefix(version).unwrap();
            assert!(bytes.starts_with(shown), "{status} {asked:?}: {bytes}");
            assert!(bytes.ends_with("date: now\r\n\r\n"), "{bytes}");
            assert_eq!(
                (written.framing, written.keeps_alive),
                (framing, kept),
                "{status} {asked:?}"
            );
            assert_eq!(written.has_body, status == 200 && !asked.is_head, "{status}");
        }
    }

    #[test]
    fn what_an_answer_says_of_length_connection_and_date_is_kept_where_it_is_true() {
        let length = |asked: Asked, status: u16, known| {
            let answer = Response::builder().status(status).header("content-length", "7");
            head(answer, Some(known), asked).0.matches("content-length: 7\r\n").count()
        };
        assert_eq!(length(GET, 200, 7), 1);
        assert_eq!(length(Asked { is_head: true, ..GET }, 200, 0), 1);
        assert_eq!(length(GET, 304, 0), 1);
        assert_eq!(length(GET, 204, 0), 0);
        let answer = Response::builder().header("connection", "close").header("date", "then");
        let (bytes, written) = head(answer, Some(0), GET);
        assert!(bytes.contains("connection: close\r\ndate: then\r\n"), "{bytes}");
        assert!(!bytes.contains("now") && !written.keeps_alive);
        let (bytes, _) = head(Response::builder(), Some(0), Asked { keeps_alive: false, ..GET });
        assert!(bytes.contains("\r\nconnection: close\r\n"), "{bytes}");
    }

    #[test]
    fn trailers_follow_where_they_are_named_and_read() {
        let fields = HeaderMap::from_iter([
            (HeaderName::from_static("x-sum"), "1".parse().unwrap()),
            (HeaderName::from_static("x-other"), "2".parse().unwrap()),
            (header::CONTENT_TYPE, "a/b".parse().unwrap()),
        ]);
        let deaf = Asked { takes_trailers: false, ..GET };
        for (asked, end) in [(GET, "0\r\nx-sum: 1\r\n\r\n"), (deaf, "0\r\n\r\n")] {
            let answer = Response::builder().header("trailer", "X-Sum, content-type");
            let (bytes, written) = head(answer, None, asked);
            assert!(bytes.contains("trailer: X-Sum, content-type\r\n"), "{bytes}");
            let Framing::Chunked(trailers) = written.framing else { panic!("{written:?}") };
            let mut bytes = Vec::new();
            trailers.write_end(&mut bytes, &fields);
            assert_eq!(String::from_utf8(bytes).unwrap(), end);
        }
    }
}
