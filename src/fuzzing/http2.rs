//! What must hold of our own part of HTTP/2: what is read of a peer's frames beside the h2 crate,
//! and the heads in its terms.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Response, Uri, uri};

use crate::server::gate;
use crate::upstream::HeadFailure;
use crate::upstream::http1::head;
use crate::upstream::http2::fields;
use crate::upstream::http2::watch::{Farewell, Watch};
use crate::upstream::upload::passed_on;

/// RFC 9113 section 6.8.
const GOAWAY: u8 = 7;
/// As much of its debug data is kept.
const DEBUG_MAX: usize = 200;

/// Fields that belong to one connection (RFC 9113 section 8.2.2), or are told in another way.
const NOT_SENT: [&str; 6] =
    ["host", "connection", "transfer-encoding", "upgrade", "keep-alive", "expect"];

/// The frames of a peer: in one piece, byte by byte and in sevens they are the same, and what a
/// GOAWAY said is what a reader of whole frames finds.
pub fn http2_frames(bytes: &[u8]) {
    let read = |size| {
        let mut watch = Watch::default();
        let sound = bytes.chunks(size).all(|piece| watch.feed(piece));
        (watch, sound)
    };
    let (whole, sound) = read(bytes.len().max(1));
    for size in [1, 7] {
        let (other, other_sound) = read(size);
        assert_eq!(other_sound, sound, "in pieces of {size}");
        assert_eq!(other.is_settled(), whole.is_settled(), "in pieces of {size}");
        assert_eq!(other.farewell(), whole.farewell(), "in pieces of {size}");
    }
    match whole.foreign() {
        Some(first) => assert!(!sound && bytes.starts_with(first) && !first.is_empty()),
        None => assert!(sound),
    }
    if sound {
        let frames = frames(bytes);
        assert_eq!(whole.is_settled(), !frames.is_empty());
        assert_eq!(whole.farewell(), farewell(&frames).as_ref());
    } else {
        assert_eq!(whole.farewell(), None);
    }
}

/// Type and payload of the frames that are whole.
fn frames(mut bytes: &[u8]) -> Vec<(u8, &[u8])> {
    let mut frames = Vec::new();
    while let [high, middle, low, kind, _, _, _, _, _, rest @ ..] = bytes {
        let length = u32::from_be_bytes([0, *high, *middle, *low]) as usize;
        let Some((payload, rest)) = rest.split_at_checked(length) else { break };
        frames.push((*kind, payload));
        bytes = rest;
    }
    frames
}

/// The lowest of the last streams, with the first reason that is one.
fn farewell(frames: &[(u8, &[u8])]) -> Option<Farewell> {
    let said = frames.iter().filter(|(kind, _)| *kind == GOAWAY).filter_map(|(_, payload)| {
        let (last_stream, rest) = payload.split_first_chunk()?;
        let (code, debug) = rest.split_first_chunk()?;
        let last_stream = u32::from_be_bytes(*last_stream) & (u32::MAX >> 1);
        let debug = debug[..debug.len().min(DEBUG_MAX)].to_vec();
        Some(Farewell { last_stream, code: u32::from_be_bytes(*code), debug })
    });
    let said: Vec<_> = said.collect();
    let reason = said.iter().find(|said| said.code != 0).or(said.last())?;
    let last_stream = said.iter().map(|said| said.last_stream).min()?;
    Some(Farewell { last_stream, ..reason.clone() })
}

/// Heads in HTTP/2's terms: whatever the gate lets in can be said, without what belongs to a hop;
/// and fields that come back have one length, within the limits.
pub fn http2_fields(bytes: &[u8]) {
    for scheme in [uri::Scheme::HTTP, uri::Scheme::HTTPS] {
        let Some(request) = fields::request(&Method::GET, bytes, scheme.clone()) else { continue };
        assert_eq!(request.uri().scheme(), Some(&scheme));
        assert!(request.uri().authority().is_some());
        for (name, value) in request.headers() {
            assert!(!NOT_SENT.contains(&name.as_str()), "{name} goes along");
            assert!(memchr::memmem::find(bytes, value.as_bytes()).is_some(), "{name} is made up");
        }
    }
    let end = gate::end(bytes, 0).ok().flatten();
    if let Some(end) = end
        && gate::inspect(&bytes[..end], |_, _| {}).is_ok()
    {
        passed(&bytes[..end]);
    }
    answered(&bytes[end.unwrap_or(0)..]);
}

/// A request that has passed the gate, with the target as `proxy` writes it.
fn passed(head: &[u8]) {
    let mut lines = [httparse::EMPTY_HEADER; gate::HEADER_COUNT_MAX];
    let mut parsed = httparse::Request::new(&mut lines);
    let Ok(httparse::Status::Complete(_)) = parsed.parse(head) else { return };
    let (Some(method), Some(target)) = (parsed.method, parsed.path) else { return };
    // What is no target for `http` is refused.
    let Ok(target) = target.parse::<Uri>() else { return };
    let target = target.path_and_query().map_or("/", |target| target.as_str());
    let mut written = format!("{method} {target} HTTP/1.1\r\n").into_bytes();
    let fields_at = head.windows(2).position(|end| end == b"\r\n").map_or(0, |at| at + 2);
    written.extend_from_slice(&head[fields_at..]);
    let method = Method::from_bytes(method.as_bytes()).expect("httparse has read a token");
    let request = fields::request(&method, &written, uri::Scheme::HTTPS);
    let request = request.unwrap_or_else(|| panic!("{}", written.escape_ascii()));
    assert_eq!(request.method(), method);
}

/// A response with these fields, and a request's trailers.
fn answered(lines: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in lines.split(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    let trailers = passed_on(headers.clone());
    let framing =
        [header::CONNECTION, header::TRANSFER_ENCODING, header::CONTENT_LENGTH, header::HOST];
    assert!(framing.iter().all(|name| !trailers.contains_key(name)));
    let largest = fields::largest(&headers);
    assert!(largest.len() <= 3 && largest.is_sorted_by(|one, next| one.1 >= next.1));
    let size = fields::size(&headers);
    for (method, limit_bytes, count_max) in [(Method::GET, 64, 4), (Method::HEAD, 4096, 128)] {
        let mut response = Response::new(());
        response.headers_mut().clone_from(&headers);
        let (parts, ()) = response.into_parts();
        match fields::response(parts, &method, limit_bytes, count_max) {
            Ok((head, declared)) => {
                assert!(size <= limit_bytes && headers.len() <= count_max);
                assert!(head.headers.len() <= headers.len());
                assert!(method != Method::HEAD || declared == Some(0));
                assert!(head::framing(&head, &method).is_ok());
            }
            Err(HeadFailure::TooLarge { .. }) => assert!(size > limit_bytes),
            Err(HeadFailure::TooManyHeaders { .. }) => assert!(headers.len() > count_max),
            Err(HeadFailure::Framing(_)) => {
                assert!(framing.iter().any(|name| headers.contains_key(name)));
            }
            Err(failure) => panic!("{failure:?}"),
        }
    }
}
