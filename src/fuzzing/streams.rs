//! What must hold of whole connections: requests with their bodies, one behind the other, and a
//! response with its body end where any reader of the rules sees them end, however the bytes come.

use bytes::{Bytes, BytesMut};
use http::{Method, StatusCode};

use crate::config::Limits;
use crate::server::chunks::ChunkScan;
use crate::server::gate::{self, Follows};
use crate::server::http1::request;
use crate::upstream::fastcgi::reader::Responder;
use crate::upstream::http1::body::{Chunked, Piece};
use crate::upstream::http1::reader::HeadReader;
use crate::upstream::{Heard, Payload, Step};

use super::failures;
use super::source::Source;

/// Requests of one connection, as the gate divides them: httparse reads each head, a plain reading
/// of RFC 9112 section 6.3 finds each body, and both see the same.
pub fn requests(mut bytes: &[u8]) {
    loop {
        // An empty line before a request is passed over (RFC 9112 section 2.2).
        while let Some(rest) = bytes.strip_prefix(b"\r\n") {
            bytes = rest;
        }
        let Ok(Some(end)) = gate::end(bytes, 0) else { return };
        let (head, rest) = bytes.split_at(end);
        let Ok(read) = request::read(&Bytes::copy_from_slice(head)) else { return };
        let follows = read.follows;
        let taken = match follows {
            Follows::Nothing | Follows::Upgrade => Some(0),
            Follows::Length(length) => {
                usize::try_from(length).ok().filter(|length| *length <= rest.len())
            }
            Follows::Chunked => {
                let mut chunks = ChunkScan::new();
                let Ok(taken) = chunks.scan(rest) else { return };
                chunks.is_done().then_some(taken)
            }
        };
        assert_eq!(plainly(head, rest), taken, "{}", bytes.escape_ascii());
        let (Some(taken), false) = (taken, follows == Follows::Upgrade) else { return };
        bytes = &rest[taken..];
    }
}

/// The length of a body; nothing while its end has not come.
fn plainly(head: &[u8], rest: &[u8]) -> Option<usize> {
    let mut lines = [httparse::EMPTY_HEADER; gate::HEADER_COUNT_MAX];
    let mut request = httparse::Request::new(&mut lines);
    assert_eq!(request.parse(head), Ok(httparse::Status::Complete(head.len())));
    let target = request.path.expect("it is complete");
    assert!(target.parse::<http::Uri>().is_ok(), "{target:?}");
    let field = |name: &str| {
        let mut lines = request.headers.iter();
        lines.find(|line| line.name.eq_ignore_ascii_case(name)).map(|line| line.value)
    };
    if field("transfer-encoding").is_some() {
        let (mut state, mut buffer) = (Chunked::Size, BytesMut::from(rest));
        return loop {
            match state.decode(&mut buffer).ok()? {
                Piece::Data(_) => {}
                Piece::Trailers(_) | Piece::End => break Some(rest.len() - buffer.len()),
                Piece::More => break None,
            }
        };
    }
    let length = field("content-length").and_then(|value| value.split(|&byte| byte == b',').next());
    let length = std::str::from_utf8(length.unwrap_or(b"0")).expect("the gate takes digits alone");
    length.trim().parse().ok().filter(|length| *length <= rest.len())
}

/// What came of a response.
#[derive(Debug, PartialEq)]
struct Came {
    /// Status and fields, in print.
    head: Result<String, String>,
    body: Vec<u8>,
    /// The body's end, with what lay behind it; why it has none.
    end: Result<Vec<u8>, String>,
}

/// A response of an upstream, HTTP/1.1 or FastCGI by the first byte: in one piece, byte by byte and
/// in sevens it is the same.
pub fn responses(bytes: &[u8]) {
    let Some((&kind, bytes)) = bytes.split_first() else { return };
    let method = if kind & 2 == 0 { Method::GET } else { Method::HEAD };
    let whole = came(kind, &method, bytes, bytes.len().max(1));
    if let Ok(left) = &whole.end {
        assert!(bytes.ends_with(left) && whole.body.len() + left.len() <= bytes.len());
        assert!(method == Method::GET || whole.body.is_empty());
    }
    for size in [1, 7] {
        let pieces = came(kind, &method, bytes, size);
        match (&pieces.end, &whole.end) {
            // Behind what broke nothing more is read: how much had come before is chance.
            (Err(_), Err(_)) => {
                assert_eq!((&pieces.head, &pieces.end), (&whole.head, &whole.end), "{size}");
                let (one, other) = (&pieces.body, &whole.body);
                assert!(one.starts_with(other) || other.starts_with(one), "{size}");
            }
            (Ok(_), Ok(_)) | (Ok(_), Err(_)) | (Err(_), Ok(_)) => assert_eq!(pieces, whole),
        }
    }
}

/// Reads all of it in pieces of a size.
fn came(kind: u8, method: &Method, bytes: &[u8], size: usize) -> Came {
    let limits = Limits { header_section_bytes: 512, header_count: 16, ..Limits::default() };
    let mut attempt = failures::attempt(&mut Source(&[]));
    (attempt.printed, attempt.bytes_received) = (false, 0);
    let (mut http, mut responder) = (HeadReader::default(), Responder::new(&limits));
    let (mut input, mut pieces) = (BytesMut::new(), bytes.chunks(size));
    let unread = |why: String| Came { head: Err(why), body: Vec::new(), end: Err(String::new()) };
    let Heard { head, mut payload, .. } = loop {
        let step = match kind & 1 {
            0 => http.step(&mut input, method, &limits, &mut attempt),
            _ => responder.step(&mut input, method, false, &mut attempt),
        };
        match step {
            Ok(Step::Final(heard)) => break heard,
            Ok(Step::Interim(_)) => continue,
            Ok(Step::More | Step::Foreign) => {}
            Err(failure) => return unread(format!("{failure:?}")),
        }
        let Some(piece) = pieces.next() else { return unread("unfinished".to_owned()) };
        input.extend_from_slice(piece);
        attempt.bytes_received += piece.len() as u64;
    };
    assert!(!head.status.is_informational() || head.status == StatusCode::SWITCHING_PROTOCOLS);
    let said = format!("{} {:?}", head.status, head.headers);
    let mut body = Vec::new();
    let end = loop {
        match decoded(&mut payload, &mut input, &mut attempt) {
            Ok(Piece::Data(data)) => body.extend_from_slice(&data),
            Ok(Piece::Trailers(_) | Piece::End) => break Ok(()),
            Ok(Piece::More) => match pieces.next() {
                Some(piece) => input.extend_from_slice(piece),
                None if matches!(payload, Payload::Close) => break Ok(()),
                None => break Err("unfinished".to_owned()),
            },
            Err(why) => break Err(why),
        }
    };
    let left = || [&input[..], &pieces.clone().collect::<Vec<_>>().concat()].concat();
    Came { head: Ok(said), body, end: end.map(|()| left()) }
}

fn decoded(
    payload: &mut Payload,
    input: &mut BytesMut,
    attempt: &mut crate::upstream::Attempt,
) -> Result<Piece, String> {
    match payload {
        Payload::Done | Payload::Length { left: 0, .. } => Ok(Piece::End),
        Payload::Length { .. } | Payload::Close if input.is_empty() => Ok(Piece::More),
        Payload::Close => Ok(Piece::Data(input.split().freeze())),
        Payload::Length { left, .. } => {
            let here = input.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= here as u64;
            Ok(Piece::Data(input.split_to(here).freeze()))
        }
        // The line that it shows is as long as it had come.
        Payload::Chunked(chunked) => chunked.decode(input).map_err(|bad| format!("{:?}", bad.part)),
        Payload::Records(output) => {
            let piece = output.decode(input, attempt).map_err(|failure| format!("{failure:?}"))?;
            match (output.is_over(), piece) {
                // Its last piece comes with the end.
                (true, Piece::Data(data)) => {
                    *payload = Payload::Done;
                    Ok(Piece::Data(data))
                }
                (_, piece) => Ok(piece),
            }
        }
    }
}
