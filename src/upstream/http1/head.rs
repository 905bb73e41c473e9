//! Response heads: bytes to a typed head or a typed fault. Pure.
//!
//! The good path is one pass of httparse over a complete head. Its errors carry no offset and merge
//! what we tell apart, so a bad head is walked a second time, line by line, by [`locate`].

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};

use crate::upstream::failure::{HeadFailure, HeaderLineFault, LengthFault};
use crate::upstream::http1::names;

/// The most header lines that any configuration may allow.
pub const HEADER_COUNT_MAX: usize = 512;
/// The most bytes of a faulty line that are kept to be shown.
pub(crate) const LINE_SHOWN_MAX: usize = 200;

/// A parsed response head.
#[derive(Debug)]
pub struct Head {
    pub status: StatusCode,
    pub version: Version,
    /// The fields that go on to the client; those of the hop are in `hop`.
    pub headers: HeaderMap,
    pub hop: Hop,
}

/// What a head says of its own hop (RFC 9110 section 7.6.1), taken off the fields that go on.
#[derive(Debug, Default)]
pub struct Hop {
    close: bool,
    keep_alive: bool,
    length: Option<u64>,
    codings: usize,
    chunked: bool,
    pub upgrade: Option<HeaderValue>,
    /// Fields that Connection names.
    listed: Vec<HeaderName>,
}

/// How the end of a response body is found (RFC 9112 section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// No body at all: HEAD, 1xx, 204, 304.
    None,
    Length(u64),
    Chunked,
    /// Until the connection closes.
    Close,
}

/// Where a head ends: the offset after its empty line. `from` is how far an earlier call had
/// looked.
pub fn end(bytes: &[u8], from: usize) -> Option<usize> {
    let start = from.saturating_sub(3);
    for newline in memchr::memchr_iter(b'\n', &bytes[start..]) {
        let after = start + newline + 1;
        match &bytes[after..] {
            [b'\n', ..] => return Some(after + 1),
            [b'\r', b'\n', ..] => return Some(after + 2),
            _ => {}
        }
    }
    None
}

/// True while the bytes can still become the start of an HTTP/1 status line.
pub fn may_be_http(bytes: &[u8]) -> bool {
    const PREFIX: &[u8] = b"HTTP/1.";
    let seen = bytes.len().min(PREFIX.len());
    bytes[..seen] == PREFIX[..seen]
}

/// Parses one complete head, as found by [`end`].
///
/// # Errors
/// A [`HeadFailure`] of the parsing kind, with the offset of the first fault.
pub fn parse(bytes: &Bytes, count_max: usize) -> Result<Box<Head>, HeadFailure> {
    let mut lines = [const { MaybeUninit::uninit() }; HEADER_COUNT_MAX];
    let lines = &mut lines[..count_max.min(HEADER_COUNT_MAX)];
    let mut response = httparse::Response::new(&mut []);
    let outcome = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut response,
        bytes,
        lines,
    );
    match outcome {
        Ok(httparse::Status::Complete(_)) => {}
        Err(httparse::Error::TooManyHeaders) => {
            return Err(HeadFailure::TooManyHeaders { limit: count_max });
        }
        Ok(httparse::Status::Partial) | Err(_) => return Err(locate(bytes)),
    }
    let (Some(code), Some(minor)) = (response.code, response.version) else {
        return Err(locate(bytes));
    };
    let Ok(status) = StatusCode::from_u16(code) else { return Err(locate(bytes)) };
    let version = if minor == 0 { Version::HTTP_10 } else { Version::HTTP_11 };
    let mut head = Box::new(Head::new(status, version, response.headers.len()));
    for line in response.headers.iter() {
        let name = names::read(line.name.as_bytes());
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(line.value));
        let (Ok(name), Ok(value)) = (name, value) else { return Err(locate(bytes)) };
        head.add(name, value).map_err(HeadFailure::Framing)?;
    }
    head.drop_listed();
    Ok(head)
}

impl Hop {
    /// Notes a field that belongs to the hop; true when it does not go on.
    fn takes(&mut self, name: &HeaderName, value: &HeaderValue) -> Result<bool, LengthFault> {
        match name.as_str() {
            "content-length" => {
                let first = self.length.is_none();
                for item in options(value.as_bytes()) {
                    let length = decimal(item).ok_or(LengthFault::ContentLengthInvalid)?;
                    if self.length.is_some_and(|known| known != length) {
                        return Err(LengthFault::ContentLengthConflict);
                    }
                    self.length = Some(length);
                }
                if self.length.is_none() {
                    return Err(LengthFault::ContentLengthInvalid);
                }
                // Equal duplicates count once (RFC 9110 section 8.6), and go on once.
                Ok(!first)
            }
            "transfer-encoding" => {
                self.codings += 1;
                self.chunked = value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
                Ok(true)
            }
            "connection" => {
                for option in options(value.as_bytes()) {
                    self.note_option(option);
                }
                Ok(true)
            }
            "upgrade" => {
                self.upgrade = Some(value.clone());
                Ok(true)
            }
            "keep-alive" | "proxy-connection" => Ok(true),
            _ => Ok(false),
        }
    }

    fn note_option(&mut self, option: &[u8]) {
        if option.eq_ignore_ascii_case(b"close") {
            self.close = true;
        } else if option.eq_ignore_ascii_case(b"keep-alive") {
            self.keep_alive = true;
        } else if let Ok(name) = HeaderName::from_bytes(option)
            && name != header::CONTENT_LENGTH
        {
            self.listed.push(name);
        }
    }
}

impl Head {
    /// A head without fields yet; room for as many.
    pub(crate) fn new(status: StatusCode, version: Version, fields: usize) -> Head {
        let headers = HeaderMap::with_capacity(fields);
        Head { status, version, headers, hop: Hop::default() }
    }

    /// Takes a field: what belongs to the hop is noted, the rest goes on.
    #[inline]
    pub(crate) fn add(&mut self, name: HeaderName, value: HeaderValue) -> Result<(), LengthFault> {
        if !self.hop.takes(&name, &value)? {
            self.headers.append(name, value);
        }
        Ok(())
    }

    /// After the last field: those that Connection names do not go on.
    pub(crate) fn drop_listed(&mut self) {
        for name in &self.hop.listed {
            self.headers.remove(name);
        }
    }

    /// Forgets what was said of a hop but the length: the fields came from a program that knows
    /// nothing of the connection to us.
    pub(crate) fn forget_hop(&mut self) {
        self.hop = Hop { length: self.hop.length, ..Hop::default() };
    }

    /// Whether the connection may be used again, as far as the head says (RFC 9112 section 9.3).
    pub fn keeps_alive(&self) -> bool {
        match self.version {
            Version::HTTP_10 => self.hop.keep_alive,
            _ => !self.hop.close,
        }
    }
}

/// The items of a list field, without white space and empty items (RFC 9110 section 5.6.1).
pub fn options(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|item| !item.is_empty())
}

/// Finds the first fault of a head that did not parse.
pub fn locate(bytes: &[u8]) -> HeadFailure {
    let mut offset = 0;
    for (number, line) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if number == 0 {
            if let Some(at) = status_line_fault(text) {
                return HeadFailure::StatusLine { offset: at };
            }
        } else if let Some((kind, at)) = header_line_fault(text) {
            return HeadFailure::Header { kind, offset: offset + at };
        }
        offset += line.len();
    }
    HeadFailure::Header { kind: HeaderLineFault::Value, offset }
}

/// RFC 9112 section 4: HTTP-version SP status-code SP [ reason-phrase ]. The last space may be
/// missing, as in the answers of many old servers.
pub(crate) fn status_line_fault(line: &[u8]) -> Option<usize> {
    const DIGITS_AT: usize = 9;
    if !may_be_http(line) || !matches!(line.get(7), Some(b'0' | b'1')) {
        return Some(line.len().min(5));
    }
    if line.get(8) != Some(&b' ') {
        return Some(8.min(line.len()));
    }
    for at in DIGITS_AT..DIGITS_AT + 3 {
        if !line.get(at).is_some_and(u8::is_ascii_digit) {
            return Some(at.min(line.len()));
        }
    }
    if line[DIGITS_AT] == b'0' {
        return Some(DIGITS_AT);
    }
    match line.get(12) {
        None => None,
        Some(b' ') => {
            let bad = |&byte: &u8| byte < b' ' && byte != b'\t' || byte == 0x7f;
            line.iter().skip(13).position(bad).map(|at| at + 13)
        }
        Some(_) => Some(12),
    }
}

/// RFC 9112 section 5: field-name ":" OWS field-value OWS; neither white space before the colon
/// (5.1) nor obs-fold (5.2).
pub(crate) fn header_line_fault(line: &[u8]) -> Option<(HeaderLineFault, usize)> {
    if line.is_empty() {
        return None;
    }
    if matches!(line[0], b' ' | b'\t') {
        return Some((HeaderLineFault::ObsFold, 0));
    }
    let Some(colon) = line.iter().position(|&byte| byte == b':') else {
        return Some((HeaderLineFault::NoColon, 0));
    };
    if let Some(at) = line[..colon].iter().position(|&byte| !is_token(byte)) {
        let kind = match line[at] {
            0 => HeaderLineFault::Nul,
            b' ' | b'\t' if line[at..colon].iter().all(|byte| matches!(byte, b' ' | b'\t')) => {
                HeaderLineFault::SpaceBeforeColon
            }
            _ => HeaderLineFault::Name,
        };
        return Some((kind, at));
    }
    if colon == 0 {
        return Some((HeaderLineFault::Name, 0));
    }
    let bad = |&byte: &u8| byte < b' ' && byte != b'\t' || byte == 0x7f;
    let at = colon + 1 + line[colon + 1..].iter().position(bad)?;
    let kind = match line[at] {
        0 => HeaderLineFault::Nul,
        b'\r' => HeaderLineFault::BareCr,
        _ => HeaderLineFault::Value,
    };
    Some((kind, at))
}

/// A tchar of RFC 9110 section 5.6.2.
pub(crate) const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// Decides how the body ends, in the order of RFC 9112 section 6.3.
///
/// # Errors
/// Where two readers could disagree about the length.
pub fn framing(head: &Head, method: &Method) -> Result<Framing, LengthFault> {
    let hop = &head.hop;
    // 1. A response to HEAD, and any 1xx, 204 or 304, ends with its head, whatever it declares.
    let status = head.status;
    if *method == Method::HEAD
        || status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
    {
        return Ok(Framing::None);
    }
    // 2. (CONNECT never reaches an upstream.)
    if hop.codings > 0 {
        // 3. Transfer-Encoding beside Content-Length ought to be handled as an error.
        if hop.length.is_some() {
            return Err(LengthFault::ContentLengthWithTransferEncoding);
        }
        if head.version == Version::HTTP_10 {
            return Err(LengthFault::TransferEncodingOnHttp10);
        }
        // 4. Only a single final chunked; what else was applied we could not take off for the
        // client.
        if !hop.chunked || hop.codings > 1 {
            return Err(LengthFault::UnsupportedTransferEncoding);
        }
        return Ok(Framing::Chunked);
    }
    // 5, 6. A valid Content-Length. 7. (Irrelevant to responses.) 8. Otherwise until the close.
    Ok(hop.length.map_or(Framing::Close, Framing::Length))
}

/// 1*DIGIT within 64 bits.
pub(crate) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |sum, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

/// The three longest header lines of a head, for the page that says it is too large.
pub fn largest_lines(bytes: &[u8]) -> Vec<(String, usize)> {
    let mut sizes: Vec<(String, usize)> = Vec::new();
    for line in bytes.split_inclusive(|&byte| byte == b'\n').skip(1) {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        let name = String::from_utf8_lossy(&line[..colon.min(64)]).into_owned();
        match sizes.iter().position(|(known, _)| known.eq_ignore_ascii_case(&name)) {
            Some(known) => sizes[known].1 += line.len(),
            None if sizes.len() < HEADER_COUNT_MAX => sizes.push((name, line.len())),
            None => {}
        }
    }
    sizes.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
    sizes.truncate(3);
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Result<Box<Head>, HeadFailure> {
        parse(&Bytes::copy_from_slice(text.as_bytes()), 128)
    }

    fn fault(text: &str) -> String {
        match head(text).unwrap_err() {
            HeadFailure::StatusLine { offset } => format!("status line at {offset}"),
            HeadFailure::Header { kind, offset } => format!("{kind:?} at {offset}"),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn the_first_fault_is_named_with_its_offset() {
        for (text, expected) in [
            ("HTTP/2.0 200 OK\r\n\r\n", "status line at 5"),
            ("HTTP/1.1200 OK\r\n\r\n", "status line at 8"),
            ("HTTP/1.1 2x0 OK\r\n\r\n", "status line at 10"),
            ("HTTP/1.1 2000 OK\r\n\r\n", "status line at 12"),
            ("HTTP/1.1 000 OK\r\n\r\n", "status line at 9"),
            ("HTTP/1.1 200 O\x01K\r\n\r\n", "status line at 14"),
            ("HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n", "Name at 20"),
            ("HTTP/1.1 200 OK\r\nName : x\r\n\r\n", "SpaceBeforeColon at 21"),
            ("HTTP/1.1 200 OK\r\nA: x\r\n folded\r\n\r\n", "ObsFold at 23"),
            ("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "NoColon at 17"),
            ("HTTP/1.1 200 OK\r\nA: x\0y\r\n\r\n", "Nul at 21"),
            ("HTTP/1.1 200 OK\r\nA: x\ry\r\n\r\n", "BareCr at 21"),
            ("HTTP/1.1 200 OK\r\nA: x\x07y\r\n\r\n", "Value at 21"),
            ("HTTP/1.1 200 OK\r\n: x\r\n\r\n", "Name at 17"),
        ] {
            assert_eq!(fault(text), expected, "{text:?}");
        }
    }

    #[test]
    fn framing_follows_rfc_9112_section_6_3() {
        let framing = |text: &str| match head(text) {
            Ok(head) => framing(&head, &Method::GET),
            Err(HeadFailure::Framing(fault)) => Err(fault),
            Err(other) => panic!("{other:?}"),
        };
        let ok = "HTTP/1.1 200 OK\r\n";
        for (fields, expected) in [
            ("", Ok(Framing::Close)),
            ("Content-Length: 5\r\n", Ok(Framing::Length(5))),
            ("Content-Length: 5\r\nContent-Length: 5\r\n", Ok(Framing::Length(5))),
            ("Content-Length: 5, 5\r\n", Ok(Framing::Length(5))),
            ("Transfer-Encoding: chunked\r\n", Ok(Framing::Chunked)),
            ("Transfer-Encoding: Chunked \r\n", Ok(Framing::Chunked)),
            ("Content-Length: 5\r\nContent-Length: 6\r\n", Err(LengthFault::ContentLengthConflict)),
            ("Content-Length: +5\r\n", Err(LengthFault::ContentLengthInvalid)),
            ("Content-Length: \r\n", Err(LengthFault::ContentLengthInvalid)),
            ("Content-Length: 99999999999999999999\r\n", Err(LengthFault::ContentLengthInvalid)),
            (
                "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
                Err(LengthFault::ContentLengthWithTransferEncoding),
            ),
            ("Transfer-Encoding: gzip, chunked\r\n", Err(LengthFault::UnsupportedTransferEncoding)),
        ] {
            assert_eq!(framing(&format!("{ok}{fields}\r\n")), expected, "{fields:?}");
        }
        let old = framing("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        assert_eq!(old, Err(LengthFault::TransferEncodingOnHttp10));
        let none = framing("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n");
        assert_eq!(none, Ok(Framing::None));
    }

    #[test]
    fn fields_of_the_hop_do_not_go_on() {
        let head = head(
            "HTTP/1.1 200 OK\r\nConnection: close, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: 5\r\n\
             Content-Length: 5\r\nContent-Length: 5\r\nUpgrade: h2c\r\nX-Yours: 2\r\n\r\n",
        );
        let head = head.unwrap();
        let mut names: Vec<_> = head.headers.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["content-length", "x-yours"]);
        assert!(!head.keeps_alive());
    }

    #[test]
    fn a_head_cut_or_split_anywhere_never_looks_whole() {
        let whole = b"HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 0\r\n\r\n";
        for cut in 0..whole.len() {
            assert_eq!(end(&whole[..cut], 0), None, "cut at {cut}");
            assert_eq!(end(whole, cut), Some(whole.len()), "split at {cut}");
            // A parser that is given a cut head must not panic, and must not accept it.
            assert!(parse(&Bytes::copy_from_slice(&whole[..cut]), 128).is_err());
        }
    }

    #[test]
    fn too_many_header_lines_are_counted() {
        let text = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(5));
        let bytes = Bytes::from(text);
        assert!(parse(&bytes, 5).is_ok());
        assert!(matches!(parse(&bytes, 4), Err(HeadFailure::TooManyHeaders { limit: 4 })));
    }

    #[test]
    fn the_largest_lines_come_first_and_repeated_names_add_up() {
        let head =
            b"HTTP/1.1 200 OK\r\nA: b\r\nSet-Cookie: 12345\r\nset-cookie: 12345\r\nB: 12\r\n";
        let largest = largest_lines(head);
        assert_eq!(largest[0], ("Set-Cookie".to_owned(), 38));
        assert_eq!(largest[1].0, "B");
    }
}
