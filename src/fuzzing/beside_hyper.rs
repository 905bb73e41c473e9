//! HTTP/1.1 heads, ours beside hyper's: response heads as its client reads them, request heads as
//! its server does, several hundred of each, with what follows them on the connection.
//!
//! The two may differ where the tables below say so, each row with its reason; a difference that
//! is not listed fails, and so does a row that no head brings about any more. Interim responses are
//! not compared: neither gives them out.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::rc::Rc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::config::Limits;
use crate::server::chunks::ChunkScan;
use crate::server::gate::{self, Follows};
use crate::server::http1::request;
use crate::upstream::HeadFailure;
use crate::upstream::http1::head::{self, Framing, Head};

/// What follows every head: five bytes in the chunked coding, or fifteen without it.
const BODY: &[u8] = b"5\r\nhello\r\n0\r\n\r\n";

/// The classes of responses on which the two differ, and why ours is right for a gateway.
const RESPONSES: &[(&str, &str)] = &[
    (
        "refused by hyper: syntax",
        "An empty member of a list is passed over: `5,`, or a second Content-Length without a \
         value (RFC 9110 section 5.6.1.2). Only one length is named, and it goes on once.",
    ),
    (
        "refused by hyper: too large",
        "hyper keeps the two largest lengths for itself and takes 100 lines; the limit of lines is \
         the operator's here, and 2^64-1 is a length like others (RFC 9110 section 8.6).",
    ),
    (
        "refused by us: ContentLengthConflict",
        "Two lengths cannot both be true, also beside a coding (RFC 9112 section 6.3, item 5).",
    ),
    (
        "refused by us: ContentLengthInvalid",
        "A length that is none is a fault also beside a coding (RFC 9112 section 6.3, item 5).",
    ),
    (
        "refused by us: ContentLengthWithTransferEncoding",
        "Ought to be handled as an error (RFC 9112 section 6.3, item 3); hyper drops the length.",
    ),
    (
        "refused by us: Foreign",
        "A response begins with its status line; only servers pass over an empty line before one \
         (RFC 9112 section 2.2).",
    ),
    (
        "refused by us: UnsupportedTransferEncoding",
        "What lies under the chunks, or in place of them, nobody here can take off, and nobody \
         asked for it (RFC 9112 section 6.1); hyper passes such bytes on as the content.",
    ),
];

/// The same of requests.
const REQUESTS: &[(&str, &str)] = &[
    (
        "refused by us: BareLf",
        "A recipient may take LF alone for a line's end (RFC 9112 section 2.2); others do not.",
    ),
    ("refused by us: ContentLengthInvalid", "The same (RFC 9112 section 6.3, item 5)."),
    (
        "refused by us: ContentLengthWithTransferEncoding",
        "A server may reject it (RFC 9112 section 6.1); hyper drops the length.",
    ),
    ("refused by us: HostMismatch", "Two names for one request (RFC 9112 section 3.2.2)."),
    ("refused by us: HostMissing", "Required in HTTP/1.1 (RFC 9112 section 3.2): 400."),
    ("refused by us: HostRepeated", "400 as well (RFC 9112 section 3.2)."),
    ("refused by us: HostInvalid", "400 as well (RFC 9112 section 3.2)."),
    (
        "refused by us: MethodUnsupported",
        "CONNECT: a gateway opens no tunnels for strangers (RFC 9110 section 9.3.6).",
    ),
    (
        "refused by us: TargetInvalid",
        "None of the four forms (RFC 9112 section 3.2), or characters that no URI has (RFC 3986).",
    ),
    (
        "refused by us: TransferEncodingUnsupported",
        "Once, alone, and last: what lies under the chunks no backend here takes off (RFC 9112 \
         section 6.1).",
    ),
];

/// What a reader made of a message: whether it took the head, what it read in it, and the body.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    /// Status and version, or method and version.
    line: (String, bool),
    /// Without those of the hop and the length, which the body shows.
    fields: Vec<(String, Vec<u8>)>,
    /// Nothing where its end does not come.
    body: Option<Vec<u8>>,
}

#[test]
fn response_heads_are_read_as_hyper_reads_them() {
    compare(&responses(), RESPONSES, |bytes| {
        let ours = our_response(bytes);
        let theirs = wait(their_response(bytes));
        (ours, theirs)
    });
}

#[test]
fn request_heads_that_pass_are_read_as_hyper_reads_them() {
    compare(&requests(), REQUESTS, |bytes| {
        let theirs = wait(their_request(bytes));
        (our_request(bytes), theirs)
    });
}

/// Feeds every head to both and holds their differences to the list.
fn compare(
    heads: &BTreeSet<Vec<u8>>,
    known: &[(&str, &str)],
    read: impl Fn(&[u8]) -> (Result<Read, String>, Result<Read, String>),
) {
    assert!(heads.len() > 400, "{} heads", heads.len());
    let mut agreed = 0;
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for head in heads {
        let (ours, theirs) = read(head);
        let class = match (&ours, &theirs) {
            (Ok(ours), Ok(theirs)) if ours == theirs => None,
            (Err(_), Err(_)) => None,
            (Ok(ours), Ok(theirs)) if ours.line != theirs.line => Some("other line".to_owned()),
            (Ok(ours), Ok(theirs)) if ours.fields != theirs.fields => Some("other fields".into()),
            (Ok(_), Ok(_)) => Some("other body".to_owned()),
            (Err(fault), Ok(_)) => Some(format!("refused by us: {fault}")),
            (Ok(_), Err(fault)) => Some(format!("refused by hyper: {fault}")),
        };
        match class {
            None => agreed += 1,
            Some(class) => {
                let shown = format!("{} {ours:?} {theirs:?}", head.escape_ascii());
                found.entry(class).or_default().push(shown);
            }
        }
    }
    println!("{} heads, agreed on {agreed}", heads.len());
    for (class, examples) in &found {
        println!("{:4} {class}: {:.160}", examples.len(), examples[0]);
    }
    let listed: BTreeSet<_> = known.iter().map(|(class, _)| *class).collect();
    let unlisted: Vec<_> = found.iter().filter(|(class, _)| !listed.contains(&***class)).collect();
    let unlisted: Vec<_> = unlisted.iter().map(|(class, heads)| (class, &heads[0])).collect();
    assert!(unlisted.is_empty(), "differences without a reason: {unlisted:#?}");
    let gone: Vec<_> = listed.iter().filter(|class| !found.contains_key(**class)).collect();
    assert!(gone.is_empty(), "reasons without a difference: {gone:?}");
}

pub(super) fn wait<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.expect("a runtime without drivers");
    tokio::task::LocalSet::new().block_on(&runtime, work)
}

fn our_response(bytes: &[u8]) -> Result<Read, String> {
    if !head::may_be_http(bytes) {
        return Err("Foreign".to_owned());
    }
    let end = head::end(bytes, 0).ok_or("Unfinished")?;
    let name = |failure: HeadFailure| match failure {
        HeadFailure::Header { kind, .. } => format!("{kind:?}"),
        HeadFailure::Framing(fault) => format!("{fault:?}"),
        HeadFailure::StatusLine { .. } => "StatusLine".to_owned(),
        other => format!("{other:?}"),
    };
    let count = Limits::default().header_count;
    let head = head::parse(&Bytes::copy_from_slice(&bytes[..end]), count).map_err(name)?;
    let framing =
        head::framing(&head, &Method::GET).map_err(|fault| name(HeadFailure::Framing(fault)))?;
    let rest = &bytes[end..];
    let body = match framing {
        Framing::None => Some(Vec::new()),
        Framing::Length(length) => {
            usize::try_from(length).ok().and_then(|length| rest.get(..length)).map(<[u8]>::to_vec)
        }
        Framing::Chunked => super::decoded([rest].into_iter()).map(|_| b"hello".to_vec()),
        Framing::Close => Some(rest.to_vec()),
    };
    let Head { status, version, headers, .. } = *head;
    let line = (status.as_str().to_owned(), version == http::Version::HTTP_10);
    Ok(Read { line, fields: fields(&headers), body })
}

async fn their_response(bytes: &[u8]) -> Result<Read, String> {
    let (near, far) = tokio::io::duplex(256 * 1024);
    let sent = bytes.to_vec();
    tokio::task::spawn_local(async move { answer(far, &sent).await });
    let error = |error: hyper::Error| kind(&error);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(near)).await.map_err(error)?;
    tokio::task::spawn_local(connection);
    let request = Request::builder().uri("/").header("host", "a").body(Empty::<Bytes>::new());
    let response = sender.send_request(request.expect("a request")).await.map_err(error)?;
    let (parts, body) = response.into_parts();
    let line = (parts.status.as_str().to_owned(), parts.version == http::Version::HTTP_10);
    let body = body.collect().await.ok().map(|body| body.to_bytes().to_vec());
    Ok(Read { line, fields: fields(&parts.headers), body })
}

/// Reads one request and answers it with these bytes.
async fn answer(mut stream: DuplexStream, bytes: &[u8]) {
    let mut heard = Vec::new();
    while !heard.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => heard.push(byte),
            Err(_) => return,
        }
    }
    // The reader may hang up on what it reads.
    let _ = stream.write_all(bytes).await;
}

fn our_request(bytes: &[u8]) -> Result<Read, String> {
    // As the connection does: RFC 9112 section 2.2.
    let bytes = bytes.strip_prefix(b"\r\n").unwrap_or(bytes);
    let end = gate::end(bytes, 0).map_err(|fault| format!("{fault:?}"))?.ok_or("Unfinished")?;
    let head = Bytes::copy_from_slice(&bytes[..end]);
    let head = request::read(&head).map_err(|fault| format!("{fault:?}"))?;
    let rest = &bytes[end..];
    let body = match head.follows {
        Follows::Nothing | Follows::Upgrade => Some(Vec::new()),
        Follows::Length(length) => {
            usize::try_from(length).ok().and_then(|length| rest.get(..length)).map(<[u8]>::to_vec)
        }
        Follows::Chunked => chunks(rest),
    };
    let line = (head.parts.method.to_string(), head.parts.version == http::Version::HTTP_10);
    Ok(Read { line, fields: fields(&head.parts.headers), body })
}

/// The data of a chunked body that comes to its end.
fn chunks(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut scan = ChunkScan::new();
    let mut data = Vec::new();
    while !scan.is_done() {
        let (framing, here) = scan.take(bytes).ok().filter(|_| !bytes.is_empty())?;
        data.extend_from_slice(&bytes[framing..framing + here]);
        bytes = &bytes[framing + here..];
    }
    Some(data)
}

async fn their_request(bytes: &[u8]) -> Result<Read, String> {
    let (near, mut far) = tokio::io::duplex(256 * 1024);
    far.write_all(bytes).await.expect("there is room");
    far.shutdown().await.expect("nothing is left to write");
    let read = Rc::new(RefCell::new(None));
    let kept = read.clone();
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let kept = kept.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.ok().map(|body| body.to_bytes().to_vec());
            let line = (parts.method.to_string(), parts.version == http::Version::HTTP_10);
            // What follows the first request may be another one.
            kept.borrow_mut().get_or_insert(Read { line, fields: fields(&parts.headers), body });
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let mut server = hyper::server::conn::http1::Builder::new();
    // The client has no more to say, and waits for its answer.
    let served = server.half_close(true).serve_connection(TokioIo::new(near), service).await;
    let read = read.borrow_mut().take();
    read.ok_or_else(|| served.err().map_or_else(|| "nothing".to_owned(), |error| kind(&error)))
}

fn kind(error: &hyper::Error) -> String {
    let kind = match () {
        () if error.is_parse_too_large() => "too large",
        () if error.is_parse_status() => "status",
        () if error.is_parse() => "syntax",
        () if error.is_incomplete_message() => "unfinished",
        () => "other",
    };
    kind.to_owned()
}

/// The fields that go on, in order.
fn fields(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    const HOP: [&str; 6] = [
        "connection",
        "keep-alive",
        "proxy-connection",
        "upgrade",
        "transfer-encoding",
        "content-length",
    ];
    let connection = headers.get_all("connection").iter();
    let listed: Vec<HeaderName> = connection
        .flat_map(|value| head::options(value.as_bytes()))
        .filter_map(|option| HeaderName::from_bytes(option).ok())
        .collect();
    let goes_on = |name: &HeaderName| !HOP.contains(&name.as_str()) && !listed.contains(name);
    let fields = headers.iter().filter(|(name, _)| goes_on(name));
    let mut fields: Vec<_> =
        fields.map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect();
    fields.sort();
    fields
}

/// What a head is made of: lines, how they end, and whether the length is told twice.
const STATUS_LINES: &[&str] = &[
    "HTTP/1.1 200 OK",
    "HTTP/1.0 200 OK",
    "HTTP/1.1 200",
    "HTTP/1.1 200 ",
    "HTTP/1.1 204 No Content",
    "HTTP/1.1 304 Not Modified",
    "HTTP/1.1 404 Not\tFound",
    "HTTP/1.1 599 \u{e9}",
    "HTTP/1.1 999 ?",
    "HTTP/1.1 600 ?",
    "HTTP/1.1 099 ?",
    "HTTP/1.1 000 ?",
    "HTTP/1.1 1000 ?",
    "HTTP/1.1 20 OK",
    "HTTP/1.1 2x0 OK",
    "HTTP/1.1 -20 OK",
    "HTTP/1.1  200 OK",
    "HTTP/1.1\t200 OK",
    "HTTP/1.1 200\tOK",
    "HTTP/1.1 200OK",
    "HTTP/1.1200 OK",
    "HTTP/1.1 200 O\u{1}K",
    "HTTP/1.1 200 O\u{7f}K",
    "HTTP/1.1 200 O\0K",
    "HTTP/1.1 200 O\rK",
    "HTTP/1.2 200 OK",
    "HTTP/1.9 200 OK",
    "HTTP/2.0 200 OK",
    "HTTP/0.9 200 OK",
    "HTTP/1 200 OK",
    "HTTP/11 200 OK",
    "http/1.1 200 OK",
    "HTTPS/1.1 200 OK",
    " HTTP/1.1 200 OK",
    "ICY 200 OK",
    "200 OK",
    "<html>",
    "",
];
const REQUEST_LINES: &[&str] = &[
    "GET / HTTP/1.1",
    "GET / HTTP/1.0",
    "HEAD / HTTP/1.1",
    "POST / HTTP/1.1",
    "post / HTTP/1.1",
    "PROPFIND / HTTP/1.1",
    "M-SEARCH * HTTP/1.1",
    "OPTIONS * HTTP/1.1",
    "CONNECT a:80 HTTP/1.1",
    "GET http://a/ HTTP/1.1",
    "GET https://a/b?c HTTP/1.1",
    "GET http://b/ HTTP/1.1",
    "GET http://u@a/ HTTP/1.1",
    "GET ftp://a/ HTTP/1.1",
    "GET //a/ HTTP/1.1",
    "GET a HTTP/1.1",
    "GET * HTTP/1.1",
    "GET ?a HTTP/1.1",
    "GET /#a HTTP/1.1",
    "GET /%00%zz HTTP/1.1",
    "GET /\u{e9} HTTP/1.1",
    "GET /a\"b HTTP/1.1",
    "GET /<a> HTTP/1.1",
    "GET /a{b}|c HTTP/1.1",
    "GET /a\\b HTTP/1.1",
    "GET /^` HTTP/1.1",
    "GET /a b HTTP/1.1",
    "GET /a\tb HTTP/1.1",
    "GET /\u{1} HTTP/1.1",
    "GET /\u{7f} HTTP/1.1",
    "GET /\0 HTTP/1.1",
    "GET  / HTTP/1.1",
    "GET /  HTTP/1.1",
    "GET\t/ HTTP/1.1",
    "GET /",
    "GET / HTTP/1.2",
    "GET / HTTP/2.0",
    "GET / HTTP/0.9",
    "GET / http/1.1",
    "GET / HTTP/1.1 ",
    "GET / HTTP/1.10",
    "GET / HTTP/11",
    "G(T / HTTP/1.1",
    "\u{e9} / HTTP/1.1",
    " GET / HTTP/1.1",
    "/ HTTP/1.1",
    "GET",
    "",
    "PRI * HTTP/2.0",
];
const LINES: &[&str] = &[
    "A: b",
    "A:b",
    "A:\t b \t",
    "A:",
    "A: ",
    "a!#$%&'*+-.^_`|~9: b",
    "A: \u{e9}",
    "A: b\tc",
    "A: \"b",
    "A : b",
    "A\t: b",
    " A: b",
    "A: b\r\n c",
    "A: b\r\n\tc",
    "\r\n B: c",
    "A b: c",
    "A(b): c",
    "\u{e9}: b",
    "A\0: b",
    "A: \0",
    "A: b\u{1}",
    "A: b\u{7f}",
    "A: b\u{b}c",
    "A: b\rc",
    "A\r: b",
    "A: b\nC: d",
    "A: b\nC",
    ": b",
    ":",
    "A",
    "A\u{3000}: b",
    "@: b",
    "Host: a",
    "Host: b",
    "Host:",
    "Host: a b",
    "Host: a, b",
    "Host: a:80",
    "Host: a:x",
    "Host: [::1]:80",
    "Host: u@a",
    "Host: a/b",
    "Connection: close",
    "Connection: keep-alive",
    "Connection: A",
    "Connection: close, Host",
    "Keep-Alive: 5",
    "Proxy-Connection: close",
    "Upgrade: x",
    "Expect: 100-continue",
    "Set-Cookie: a=b\r\nSet-Cookie: c=d",
    "Date: yesterday",
    "Trailer: B",
    "TE: trailers",
];
const FRAMINGS: &[&str] = &[
    "Content-Length: 5",
    "Content-Length: 15",
    "Content-Length: 0",
    "Content-Length: 005",
    "Content-Length: 99",
    "Content-Length: 5, 5",
    "Content-Length: 5, 6",
    "Content-Length: 5,",
    "Content-Length: +5",
    "Content-Length: -5",
    "Content-Length: 0x5",
    "Content-Length: 5 5",
    "Content-Length: \"5\"",
    "Content-Length:",
    "Content-Length: 18446744073709551615",
    "Content-Length: 18446744073709551616",
    "Content-Length : 5",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: CHUNKED",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: gzip",
    "Transfer-Encoding: identity",
    "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding: chunked, chunked",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding: chunked;a=b",
    "Transfer-Encoding: \u{b}chunked",
    "Transfer-Encoding:",
    "Transfer_Encoding: chunked",
    "Transfer-Encoding : chunked",
];

fn responses() -> BTreeSet<Vec<u8>> {
    let good = &STATUS_LINES[..1];
    let lines: Vec<&str> = LINES.iter().chain(FRAMINGS).copied().collect();
    let mut heads = BTreeSet::new();
    cross(
        &mut heads,
        STATUS_LINES,
        &[""],
        &["", "Content-Length: 5", "Transfer-Encoding: chunked"],
    );
    cross(&mut heads, good, &lines, &[""]);
    cross(&mut heads, good, FRAMINGS, FRAMINGS);
    cross(&mut heads, &["HTTP/1.0 200 OK"], FRAMINGS, &["", "Connection: keep-alive"]);
    for count in [100, 101, 128, 129] {
        heads.insert(message("HTTP/1.1 200 OK", &["A: b"].repeat(count), "\r\n"));
    }
    heads
}

fn requests() -> BTreeSet<Vec<u8>> {
    const HOST: &[&str] = &["Host: a"];
    let lines: Vec<&str> = LINES.iter().chain(FRAMINGS).copied().collect();
    let mut heads = BTreeSet::new();
    cross(
        &mut heads,
        REQUEST_LINES,
        HOST,
        &["", "Content-Length: 5", "Transfer-Encoding: chunked"],
    );
    cross(&mut heads, REQUEST_LINES, &[""], &[""]);
    cross(&mut heads, &["GET / HTTP/1.1", "POST / HTTP/1.0"], HOST, &lines);
    cross(&mut heads, &["GET / HTTP/1.1"], &lines, &[""]);
    for framing in FRAMINGS {
        for second in FRAMINGS {
            heads.insert(message("POST / HTTP/1.1", &["Host: a", framing, second], "\r\n"));
        }
    }
    for count in [99, 100] {
        let lines = [vec!["Host: a"], ["A: b"].repeat(count)].concat();
        heads.insert(message("GET / HTTP/1.1", &lines, "\r\n"));
    }
    heads
}

/// Every first line with every pair of lines, and the same with other ends of lines.
fn cross(heads: &mut BTreeSet<Vec<u8>>, first: &[&str], second: &[&str], third: &[&str]) {
    for line in first {
        for one in second {
            for two in third {
                let fields: Vec<&str> =
                    [*one, *two].into_iter().filter(|l| !l.is_empty()).collect();
                heads.insert(message(line, &fields, "\r\n"));
                if fields.len() < 2 {
                    heads.insert(message(line, &fields, "\n"));
                    heads.insert(message(line, &fields, "\r"));
                    heads.insert(message(&format!("\r\n{line}"), &fields, "\r\n"));
                }
            }
        }
    }
}

fn message(first: &str, fields: &[&str], end: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in [first].iter().chain(fields).chain(&[""]) {
        bytes.extend_from_slice(line.as_bytes());
        bytes.extend_from_slice(end.as_bytes());
    }
    [bytes.as_slice(), BODY].concat()
}
