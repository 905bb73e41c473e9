//! The head of a CGI response (RFC 3875 section 6), out of STDOUT: bytes to the head that HTTP/1.1
//! upstreams give too, or a typed fault. Pure.
//!
//! Lines end with LF or CRLF, mixed as they may be (section 7.2). A head is parsed in one pass once
//! it is whole; while it is not, each whole line is judged at once, since a program that printed
//! something else first may never print an empty line.

use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, StatusCode, Version, header};
use thiserror::Error;

use crate::config::Limits;
use crate::upstream::failure::{HeaderLineFault, LengthFault};
use crate::upstream::http1::head::{self, HEADER_COUNT_MAX, Head, LINE_SHOWN_MAX};
use crate::upstream::http1::names;

/// Fields of an ordinary head.
const USUAL_FIELDS: usize = 16;

/// What is wrong with the beginning of a program's output. Lines are cut at 200 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CgiHeadFault {
    /// The very first line is no header line: a notice, a byte order mark, or the body at once.
    #[error("output without a head")]
    NoHead { line: Vec<u8> },
    #[error("invalid header line at byte {offset}")]
    Header { kind: HeaderLineFault, offset: usize, line: Vec<u8> },
    /// Not a status that a final response can have, or a second one that differs.
    #[error("invalid status")]
    Status { line: Vec<u8> },
    #[error("ambiguous length")]
    Length { fault: LengthFault, line: Vec<u8> },
    #[error("more than {limit_bytes} bytes of head")]
    TooLarge { limit_bytes: usize },
    #[error("more than {limit} header lines")]
    TooManyHeaders { limit: usize },
    /// The output ended before the empty line.
    #[error("the output ends inside the head")]
    Unfinished,
}

/// The reader of one response's head.
#[derive(Debug)]
pub struct CgiHeadReader {
    limit_bytes: usize,
    count_max: usize,
    /// The output so far, while there is no head.
    held: BytesMut,
    /// Bytes already searched for line ends.
    looked: usize,
    /// Bytes and number of the lines already judged.
    judged: usize,
    lines: usize,
}

impl CgiHeadReader {
    pub fn new(limits: &Limits) -> CgiHeadReader {
        CgiHeadReader {
            limit_bytes: limits.header_section_bytes,
            count_max: limits.header_count.min(HEADER_COUNT_MAX),
            held: BytesMut::new(),
            looked: 0,
            judged: 0,
            lines: 0,
        }
    }

    /// Takes a piece of the output; gives the head, once it is whole, and what of the body came
    /// with it. A head that is whole in the first piece is not copied.
    ///
    /// # Errors
    /// The first fault of a line's form, else of what the lines say; the reader is not to be fed
    /// further.
    pub fn feed(&mut self, piece: Bytes) -> Result<Option<(Head, Bytes)>, CgiHeadFault> {
        if self.held.is_empty()
            && let Some(end) = end(&piece, 0).filter(|end| *end <= self.limit_bytes)
            && let Ok(head) = parse(&piece.slice(..end), self.count_max)
        {
            return Ok(Some((head, piece.slice(end..))));
        }
        self.held.extend_from_slice(&piece);
        let end = end(&self.held, self.looked).filter(|end| *end <= self.limit_bytes);
        self.judge(end.unwrap_or(self.held.len().min(self.limit_bytes)))?;
        self.looked = self.held.len();
        match end {
            Some(end) => {
                let output = std::mem::take(&mut self.held).freeze();
                let head = parse(&output.slice(..end), self.count_max)?;
                Ok(Some((head, output.slice(end..))))
            }
            None if self.held.len() > self.limit_bytes => {
                Err(CgiHeadFault::TooLarge { limit_bytes: self.limit_bytes })
            }
            None => Ok(None),
        }
    }

    /// What to call it when the output is over and there was no head.
    pub fn unfinished(&self) -> CgiHeadFault {
        let first = (self.lines == 0).then_some(without_end(&self.held));
        let fault = first.and_then(|line| line_fault(line, 0, 0, self.count_max));
        fault.unwrap_or(CgiHeadFault::Unfinished)
    }

    /// The output so far, while there is no head: what to count its largest lines in when it is
    /// too large.
    pub fn held(&self) -> &[u8] {
        &self.held
    }

    /// Judges the form of the lines that are whole within `bound`.
    fn judge(&mut self, bound: usize) -> Result<(), CgiHeadFault> {
        let from = self.looked.max(self.judged).min(bound);
        for newline in memchr::memchr_iter(b'\n', &self.held[from..bound]) {
            let after = from + newline + 1;
            let line = without_end(&self.held[self.judged..after]);
            if line.is_empty() {
                break;
            }
            if let Some(fault) = line_fault(line, self.lines, self.judged, self.count_max) {
                return Err(fault);
            }
            self.judged = after;
            self.lines += 1;
        }
        Ok(())
    }
}

/// Where a head ends: the offset after its empty line. `from` is how far an earlier call had
/// looked. An output that begins with the empty line has a head without fields: section 6.3 wants
/// one at least, but PHP prints none when `default_mimetype` is empty and `expose_php` is off.
fn end(bytes: &[u8], from: usize) -> Option<usize> {
    match bytes {
        [b'\n', ..] => Some(1),
        [b'\r', b'\n', ..] => Some(2),
        _ => head::end(bytes, from),
    }
}

/// The fault in the form of one line.
fn line_fault(line: &[u8], number: usize, offset: usize, limit: usize) -> Option<CgiHeadFault> {
    if number >= limit {
        return Some(CgiHeadFault::TooManyHeaders { limit });
    }
    if number == 0 && is_status_line(line) {
        return head::status_line_fault(line).map(|_| CgiHeadFault::Status { line: shown(line) });
    }
    let (kind, at) = head::header_line_fault(line)?;
    let line = shown(line);
    Some(match number {
        0 => CgiHeadFault::NoHead { line },
        _ => CgiHeadFault::Header { kind, offset: offset + at, line },
    })
}

/// Parses one whole head, as found by [`end`].
fn parse(bytes: &Bytes, count_max: usize) -> Result<Head, CgiHeadFault> {
    let mut head = Head::new(StatusCode::OK, Version::HTTP_11, USUAL_FIELDS);
    let mut status = None;
    let mut offset = 0;
    for (number, whole) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let line = without_end(whole);
        if line.is_empty() {
            break;
        }
        let fault = || line_fault(line, number, offset, count_max);
        if number >= count_max {
            return Err(CgiHeadFault::TooManyHeaders { limit: count_max });
        }
        // PHP prints a status line in place of Status where `cgi.rfc2616_headers` is on.
        if number == 0 && is_status_line(line) {
            status = match fault() {
                None => Some(status_code(&line[b"HTTP/1.1 ".len()..], line)?),
                Some(fault) => return Err(fault),
            };
        } else {
            let Some((name, value)) = field(line, bytes) else {
                // `http` has room for 64 kB of a name, which is no fault of its form.
                let (kind, line) = (HeaderLineFault::Name, shown(line));
                return Err(fault().unwrap_or(CgiHeadFault::Header { kind, offset, line }));
            };
            if name == "status" {
                let code = status_code(value.as_bytes(), line)?;
                if status.replace(code).is_some_and(|known| known != code) {
                    return Err(CgiHeadFault::Status { line: shown(line) });
                }
            } else {
                let length_fault = |fault| CgiHeadFault::Length { fault, line: shown(line) };
                head.add(name, value).map_err(length_fault)?;
            }
        }
        offset += whole.len();
    }
    head.drop_listed();
    head.forget_hop();
    head.status = status.unwrap_or_else(|| default_status(&head));
    Ok(head)
}

fn is_status_line(line: &[u8]) -> bool {
    line.starts_with(b"HTTP/")
}

/// A header line's name and value, the value without a copy.
fn field(line: &[u8], bytes: &Bytes) -> Option<(HeaderName, HeaderValue)> {
    let colon = memchr::memchr(b':', line)?;
    let name = names::read(&line[..colon]).ok()?;
    let value = without_blanks(&line[colon + 1..]);
    let value = HeaderValue::from_maybe_shared(bytes.slice_ref(value)).ok()?;
    Some((name, value))
}

/// Section 6.3.3: three digits, and perhaps a reason. A 1xx is no final response, and CGI knows no
/// others.
fn status_code(value: &[u8], line: &[u8]) -> Result<StatusCode, CgiHeadFault> {
    let code = value.split_first_chunk::<3>().and_then(|(digits, reason)| {
        let code = StatusCode::from_bytes(digits).ok()?;
        (matches!(reason, [] | [b' ' | b'\t', ..]) && !code.is_informational()).then_some(code)
    });
    code.ok_or_else(|| CgiHeadFault::Status { line: shown(line) })
}

/// The status of a head that names none: 302 beside a Location (section 6.2.3), else 200 (section
/// 6.2.1).
///
/// Section 6.2.2 has a server that gets a Location with a path alone answer with what stands there.
/// That would be a second request, which nobody sent and which could go in circles; the client is
/// told of the path instead, as nginx does. PHP never asks for it: it sends a Status with every
/// Location.
fn default_status(head: &Head) -> StatusCode {
    match head.headers.get(header::LOCATION).is_some_and(|value| !value.is_empty()) {
        true => StatusCode::FOUND,
        false => StatusCode::OK,
    }
}

fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Without the white space of RFC 9110 section 5.6.3 around it.
fn without_blanks(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

fn shown(line: &[u8]) -> Vec<u8> {
    let line = line.split(|&byte| byte == b'\n').next().unwrap_or_default();
    line[..line.len().min(LINE_SHOWN_MAX)].to_vec()
}

/// Reads an output that comes in pieces: the head, and all of the body. Nothing where the head is
/// not whole.
#[cfg(any(fuzzing, test))]
pub fn read_all<'a>(
    mut reader: CgiHeadReader,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Option<(Head, Vec<u8>)>, CgiHeadFault> {
    let mut pieces = pieces.into_iter();
    while let Some(piece) = pieces.next() {
        if let Some((head, rest)) = reader.feed(Bytes::copy_from_slice(piece))? {
            let mut body = rest.to_vec();
            pieces.for_each(|piece| body.extend_from_slice(piece));
            return Ok(Some((head, body)));
        }
    }
    let _ = reader.unfinished();
    Ok(None)
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::upstream::http1::head::{Framing, framing};

    const LIMITS: (usize, usize) = (4096, 8);

    fn reader((limit_bytes, count_max): (usize, usize)) -> CgiHeadReader {
        CgiHeadReader::new(&Limits {
            header_section_bytes: limit_bytes,
            header_count: count_max,
            ..Limits::default()
        })
    }

    /// The status, the fields, sorted, and what of the body came with them.
    type Shown = (u16, Vec<String>, String);

    /// What comes of an output fed in pieces; nothing while it is not whole.
    fn fed<'a>(
        limits: (usize, usize),
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Option<Shown>, CgiHeadFault> {
        let Some((head, body)) = read_all(reader(limits), pieces)? else { return Ok(None) };
        let fields = head
            .headers
            .iter()
            .map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value.as_bytes())));
        let mut fields: Vec<_> = fields.collect();
        fields.sort_unstable();
        let body = String::from_utf8_lossy(&body).into_owned();
        Ok(Some((head.status.as_u16(), fields, body)))
    }

    /// Fed whole; byte by byte and in any two pieces it must come out the same.
    fn read_within(limits: (usize, usize), text: &[u8]) -> Result<Option<Shown>, CgiHeadFault> {
        let whole = fed(limits, [text]);
        let shown = text.escape_ascii();
        assert_eq!(fed(limits, text.chunks(1)), whole, "{shown}, byte by byte");
        for at in 0..text.len() {
            let (first, second) = text.split_at(at);
            assert_eq!(fed(limits, [first, second]), whole, "{shown}, split at {at}");
        }
        whole
    }

    fn read(text: &str) -> Shown {
        read_within(LIMITS, text.as_bytes()).unwrap().unwrap()
    }

    fn fault(text: &[u8]) -> CgiHeadFault {
        read_within(LIMITS, text).unwrap_err()
    }

    #[test]
    fn a_head_is_read_with_either_line_end() {
        for text in [
            "Status: 404 Not Found\r\nContent-Type: text/html\r\n\r\nbody\n\n",
            "Status: 404 Not Found\nContent-Type: text/html\n\nbody\n\n",
            "Status:404\nContent-Type:\ttext/html \t\r\n\r\nbody\n\n",
            "Content-Type: text/html\r\nstatus: 404 Nope\n\r\nbody\n\n",
            "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\n\r\nbody\n\n",
        ] {
            let expected = (404, vec!["content-type=text/html".into()], "body\n\n".into());
            assert_eq!(read(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_head_without_a_status_has_one() {
        for (text, status) in [
            ("Content-Type: text/html\n\n", 200),
            ("Location: https://shop.example/\n\n", 302),
            ("Location: /elsewhere?x\n\n", 302),
            ("Location: /elsewhere\nStatus: 201 Created\n\n", 201),
            ("Location:\n\n", 200),
            ("\r\n", 200),
            ("\n", 200),
        ] {
            assert_eq!(read(text).0, status, "{text:?}");
        }
        assert_eq!(read("Location: /elsewhere?x\n\n").1, ["location=/elsewhere?x"]);
    }

    #[test]
    fn fields_of_a_hop_do_not_go_on_and_cookies_stay_apart() {
        let (_, fields, body) = read(
            "Connection: close, X-Mine\nTransfer-Encoding: chunked\nKeep-Alive: timeout=5\n\
             Upgrade: h2c\nX-Mine: 1\nSet-Cookie: a=b\nSet-Cookie: c=d\nX-Empty:\n\nbody",
        );
        assert_eq!(fields, ["set-cookie=a=b", "set-cookie=c=d", "x-empty="]);
        assert_eq!(body, "body");
    }

    #[test]
    fn only_the_length_frames_the_body() {
        for (text, expected) in [
            ("Content-Length: 5\n\n", Framing::Length(5)),
            ("Content-Length: 5\nContent-Length: 5\n\n", Framing::Length(5)),
            ("Content-Length: 5\nTransfer-Encoding: chunked\n\n", Framing::Length(5)),
            ("Transfer-Encoding: chunked\n\n", Framing::Close),
            ("Status: 204\nContent-Length: 5\n\n", Framing::None),
        ] {
            let piece = Bytes::copy_from_slice(text.as_bytes());
            let (head, _) = reader(LIMITS).feed(piece).unwrap().unwrap();
            assert_eq!(framing(&head, &Method::GET), Ok(expected), "{text:?}");
        }
        for (text, expected) in [
            ("+5", LengthFault::ContentLengthInvalid),
            ("5\nContent-Length: 6", LengthFault::ContentLengthConflict),
        ] {
            let text = format!("Content-Length: {text}\n\n");
            let found = fault(text.as_bytes());
            assert!(matches!(found, CgiHeadFault::Length { fault, .. } if fault == expected));
        }
    }

    #[test]
    fn an_output_that_begins_with_something_else_is_told_by_its_first_line() {
        let bom = b"\xef\xbb\xbfContent-Type: text/html";
        for line in [
            b"<br />".as_slice(),
            b"PHP Warning:  Undefined variable $x in /srv/a.php on line 3",
            bom,
            b" Content-Type: text/html",
            b"{\"a\":1}",
            b"\x1f\x8b\x08",
        ] {
            let text = [line, b"\nContent-Type: text/html\n\n"].concat();
            assert_eq!(fault(&text), CgiHeadFault::NoHead { line: line.to_vec() });
        }
        let long = [b'x'; 300];
        let found = fault(&[long.as_slice(), b"\n"].concat());
        assert_eq!(found, CgiHeadFault::NoHead { line: long[..LINE_SHOWN_MAX].to_vec() });
    }

    #[test]
    fn a_line_that_is_no_header_line_is_named_with_its_offset() {
        for (line, kind, at) in [
            ("no colon", HeaderLineFault::NoColon, 0),
            ("Bad Name: x", HeaderLineFault::Name, 3),
            ("Name : x", HeaderLineFault::SpaceBeforeColon, 4),
            (" folded", HeaderLineFault::ObsFold, 0),
            ("A: x\0y", HeaderLineFault::Nul, 4),
            ("A: x\ry", HeaderLineFault::BareCr, 4),
            ("A: x\x07", HeaderLineFault::Value, 4),
            (": x", HeaderLineFault::Name, 0),
        ] {
            // What stands behind the line, and a fault of another kind before it, change nothing.
            for before in ["A: b\n", "Status: soon\r\n"] {
                for after in ["\n", "\n\n", "\nmore bad\r\n\r\n"] {
                    let text = [before, line, after].concat();
                    let (offset, line) = (before.len() + at, line.as_bytes().to_vec());
                    let expected = CgiHeadFault::Header { kind, offset, line };
                    assert_eq!(fault(text.as_bytes()), expected, "{text:?}");
                }
            }
        }
    }

    #[test]
    fn a_status_that_no_final_response_has_is_refused() {
        for line in [
            "Status:",
            "Status: 20",
            "Status: 2000",
            "Status: 200OK",
            "Status: OK",
            "Status: 099 x",
            "Status: 100 Continue",
            "Status: 101",
            "HTTP/1.1 20x OK",
            "HTTP/2 200",
            "HTTP/1.1 103 Early Hints",
        ] {
            let text = format!("{line}\r\nA: b\r\n\r\n");
            let line = line.as_bytes().to_vec();
            assert_eq!(fault(text.as_bytes()), CgiHeadFault::Status { line });
        }
        assert_eq!(read("Status: 204\nStatus: 204 No Content\n\n").0, 204);
        let line = b"Status: 205".to_vec();
        assert_eq!(fault(b"Status: 204\nStatus: 205\n\n"), CgiHeadFault::Status { line });
    }

    #[test]
    fn a_head_beyond_its_limits_is_refused() {
        let text = b"A: b\nC: d\n\n";
        assert!(matches!(read_within((11, 2), text), Ok(Some(_))));
        let too_large = CgiHeadFault::TooLarge { limit_bytes: 10 };
        assert_eq!(read_within((10, 2), text), Err(too_large.clone()));
        let too_many = CgiHeadFault::TooManyHeaders { limit: 1 };
        assert_eq!(read_within((11, 1), text), Err(too_many));
        // The body does not count, and a line's fault within the limit comes first.
        assert!(read_within((11, 2), &[text.as_slice(), &[b'x'; 99]].concat()).is_ok());
        let bad = b"A: b\nbad\nC: d\n\n";
        assert!(matches!(read_within((10, 2), bad), Err(CgiHeadFault::Header { .. })));
        assert_eq!(read_within((10, 2), b"A: bbbbbbbbbb"), Err(too_large));
        // `http` holds 64 kB of a name.
        let name = [&[b'N'; 70_000], b": x\n\n".as_slice()].concat();
        let found = fed((100_000, 2), [name.as_slice()]);
        assert!(matches!(found, Err(CgiHeadFault::Header { kind: HeaderLineFault::Name, .. })));
    }

    #[test]
    fn a_head_cut_anywhere_never_looks_whole() {
        let whole = b"Status: 200 OK\r\nContent-Type: text/html\r\n\r\n";
        for cut in 0..whole.len() {
            let mut reader = reader(LIMITS);
            let piece = Bytes::copy_from_slice(&whole[..cut]);
            assert!(reader.feed(piece).unwrap().is_none(), "cut at {cut}");
            assert_eq!(reader.held(), &whole[..cut]);
            let expected = match cut {
                // No colon yet: nothing says that it was to become a header line.
                1..7 => CgiHeadFault::NoHead { line: whole[..cut].to_vec() },
                _ => CgiHeadFault::Unfinished,
            };
            assert_eq!(reader.unfinished(), expected, "cut at {cut}");
        }
    }

    #[test]
    fn a_head_in_one_piece_is_not_copied() {
        let piece = Bytes::from_static(b"X-A: value\n\nbody");
        let (head, rest) = reader(LIMITS).feed(piece.clone()).unwrap().unwrap();
        assert_eq!(head.headers["x-a"].as_bytes().as_ptr(), piece[5..].as_ptr());
        assert_eq!(rest.as_ptr(), piece[12..].as_ptr());
    }
}
