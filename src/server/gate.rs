//! The gate before hyper: which request bytes may pass. Pure.
//!
//! hyper takes a bare LF as a line's end, lets white space follow a chunk's size, merges lengths
//! and does not look at Host (measured with 1.12). What two readers could read in two ways is
//! refused here, on the raw bytes, by name; hyper then parses what is beyond doubt. RFC 9112
//! throughout.

use crate::diagnose::RequestFault;
use crate::upstream::HeaderLineFault;
use crate::upstream::http1::head;

/// The most header lines of a request; hyper's own limit.
pub const HEADER_COUNT_MAX: usize = 100;
/// The longest line of a chunk size with its extensions.
const CHUNK_LINE_MAX: u16 = 4096;
/// The most bytes of a trailer section.
const TRAILERS_MAX: u32 = 16 * 1024;

/// What follows a request head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follows {
    /// Nothing: the next head.
    Nothing,
    Length(u64),
    Chunked,
    /// Nothing yet: an upgrade was asked for, and who reads what comes next is not decided.
    Upgrade,
}

/// The fields of a head that decide where it ends and whom it is for.
#[derive(Default)]
struct Seen<'a> {
    host: Option<&'a [u8]>,
    length: Option<u64>,
    chunked: bool,
    upgrade: bool,
    connection_upgrade: bool,
}

/// Where a head ends: the offset after its empty line, `None` while it is incomplete. `from` is how
/// far an earlier call had looked.
///
/// # Errors
/// A line that ends with LF alone: lenient readers would see a line's end there, strict ones not.
pub fn end(bytes: &[u8], from: usize) -> Result<Option<usize>, RequestFault> {
    for newline in memchr::memchr_iter(b'\n', &bytes[from..]) {
        let newline = from + newline;
        match bytes[..newline] {
            [.., b'\n', b'\r'] | [b'\r'] => return Ok(Some(newline + 1)),
            [.., b'\r'] => {}
            _ => return Err(RequestFault::BareLf),
        }
    }
    Ok(None)
}

/// Judges one complete head, as found by [`end`].
///
/// # Errors
/// The first fault, which is answered with 400.
pub fn inspect(bytes: &[u8]) -> Result<Follows, RequestFault> {
    let (line, mut rest) = first_line(bytes);
    let Some((method, target, old)) = request_line(line) else { return Err(locate(bytes)) };
    // Without a branch a byte, so that the compiler looks at many at once.
    let control = |byte: u8| {
        u8::from(byte < b' ') & u8::from(!matches!(byte, b'\t' | b'\n' | b'\r'))
            | u8::from(byte == 0x7f)
    };
    if bytes.iter().fold(0, |any, &byte| any | control(byte)) != 0 {
        return Err(locate(bytes));
    }
    let mut seen = Seen::default();
    let mut count = 0;
    while !rest.starts_with(b"\r\n") {
        let Some((name, value, after)) = header_line(rest) else { return Err(locate(bytes)) };
        count += 1;
        if count > HEADER_COUNT_MAX {
            return Err(RequestFault::TooManyHeaders);
        }
        note(&mut seen, name, value, old)?;
        rest = after;
    }
    check_target(method, target, &seen, old)?;
    if seen.chunked && seen.length.is_some() {
        // RFC 9112 section 6.1 allows either; refusing leaves no doubt to anybody.
        return Err(RequestFault::ContentLengthWithTransferEncoding);
    }
    Ok(match seen.length {
        _ if seen.chunked => Follows::Chunked,
        Some(length) if length > 0 => Follows::Length(length),
        _ if seen.upgrade && seen.connection_upgrade && !old => Follows::Upgrade,
        _ => Follows::Nothing,
    })
}

/// The first line that is not empty, and what follows it.
fn first_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let bytes = bytes.strip_prefix(b"\r\n").unwrap_or(bytes);
    let end = memchr::memchr(b'\n', bytes).unwrap_or(bytes.len());
    (&bytes[..end], bytes.get(end + 1..).unwrap_or_default())
}

/// method SP request-target SP HTTP-version CR (RFC 9112 section 3); true for HTTP/1.0.
fn request_line(line: &[u8]) -> Option<(&[u8], &[u8], bool)> {
    let (line, old) = match line {
        [line @ .., b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1', b'\r'] => (line, false),
        [line @ .., b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0', b'\r'] => (line, true),
        _ => return None,
    };
    let space = line.iter().position(|&byte| !TOKEN[usize::from(byte)])?;
    let (method, target) = (&line[..space], &line[space + 1..]);
    let sound = line[space] == b' ' && !method.is_empty() && !target.is_empty();
    (sound && memchr::memchr2(b' ', b'\r', target).is_none()).then_some((method, target, old))
}

/// field-name ":" field-value CRLF, and what follows it (RFC 9112 section 5).
fn header_line(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let colon = bytes.iter().position(|&byte| !TOKEN[usize::from(byte)])?;
    if colon == 0 || bytes[colon] != b':' {
        return None;
    }
    let (name, rest) = (&bytes[..colon], &bytes[colon + 1..]);
    // The first CR is the line's own, or one that stands alone.
    let end = memchr::memchr(b'\r', rest)?;
    (rest.get(end + 1) == Some(&b'\n')).then(|| (name, &rest[..end], &rest[end + 2..]))
}

/// The characters of a token (RFC 9110 section 5.6.2).
static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = head::is_token(byte as u8);
        byte += 1;
    }
    table
};

/// The characters of a name in an authority, escapes included (RFC 3986 section 3.2.2), less the
/// delimiters that no name in use has.
static REG_NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0u8;
    while byte < 128 {
        let mark = matches!(byte, b'-' | b'.' | b'_' | b'~' | b'%');
        table[byte as usize] = byte.is_ascii_alphanumeric() || mark;
        byte += 1;
    }
    table
};

fn note<'a>(
    seen: &mut Seen<'a>,
    name: &[u8],
    value: &'a [u8],
    old: bool,
) -> Result<(), RequestFault> {
    match name.len() {
        4 if name.eq_ignore_ascii_case(b"host") && seen.host.replace(value).is_some() => {
            return Err(RequestFault::HostRepeated);
        }
        7 if name.eq_ignore_ascii_case(b"upgrade") => seen.upgrade = true,
        10 if name.eq_ignore_ascii_case(b"connection") => {
            let mut options = value.split(|&byte| byte == b',');
            seen.connection_upgrade |=
                options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"upgrade"));
        }
        14 if name.eq_ignore_ascii_case(b"content-length") => {
            for item in value.split(|&byte| byte == b',') {
                let length =
                    head::decimal(item.trim_ascii()).ok_or(RequestFault::ContentLengthInvalid)?;
                if seen.length.is_some_and(|known| known != length) {
                    return Err(RequestFault::ContentLengthConflict);
                }
                seen.length = Some(length);
            }
        }
        17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
            if old {
                return Err(RequestFault::TransferEncodingOnHttp10);
            }
            // Once, and alone: what was applied under the chunks no backend here could take off.
            if seen.chunked || !value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                return Err(RequestFault::TransferEncodingUnsupported);
            }
            seen.chunked = true;
        }
        _ => {}
    }
    Ok(())
}

/// RFC 9112 section 3.2: the four forms of a target, and Host beside them.
fn check_target(
    method: &[u8],
    target: &[u8],
    seen: &Seen<'_>,
    old: bool,
) -> Result<(), RequestFault> {
    if method == b"CONNECT" {
        // A gateway opens no tunnels for strangers (RFC 9110 section 9.3.6).
        return Err(RequestFault::MethodUnsupported);
    }
    if !target.iter().fold(true, |sound, &byte| sound & is_target_byte(byte)) {
        return Err(RequestFault::TargetInvalid);
    }
    let host = match seen.host {
        None if old => None,
        None => return Err(RequestFault::HostMissing),
        Some(host) if is_host(host.trim_ascii()) => Some(host.trim_ascii()),
        Some(_) => return Err(RequestFault::HostInvalid),
    };
    if target.starts_with(b"/") || target == b"*" && method == b"OPTIONS" {
        return Ok(());
    }
    let Ok(target) = std::str::from_utf8(target) else { return Err(RequestFault::TargetInvalid) };
    let Some((scheme, rest)) = target.split_once("://") else {
        return Err(RequestFault::TargetInvalid);
    };
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(RequestFault::TargetInvalid);
    }
    let authority = &rest[..rest.find(['/', '?']).unwrap_or(rest.len())];
    if !is_host(authority.as_bytes()) {
        return Err(RequestFault::TargetInvalid);
    }
    match host {
        Some(host) if !host.eq_ignore_ascii_case(authority.as_bytes()) => {
            Err(RequestFault::HostMismatch)
        }
        _ => Ok(()),
    }
}

/// What a target may hold; escapes and bytes beyond ASCII pass as they are.
pub fn is_target_byte(byte: u8) -> bool {
    byte > b' ' && byte != 0x7f && !matches!(byte, b'#' | b'<' | b'>' | b'\\' | b'^' | b'`')
}

/// uri-host [ ":" port ] (RFC 9110 section 7.2): a name, an IPv4 or a bracketed IPv6 address.
pub fn is_host(host: &[u8]) -> bool {
    let bracketed = host.first() == Some(&b'[');
    let (name, port) = match host.iter().rposition(|&byte| byte == b']').filter(|_| bracketed) {
        Some(bracket) => {
            let inside = &host[1..bracket.max(1)];
            let v6 = std::str::from_utf8(inside)
                .is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok());
            if !v6 {
                return false;
            }
            (&host[..=bracket], &host[bracket + 1..])
        }
        None => {
            let colon = host.iter().position(|&byte| !REG_NAME[usize::from(byte)]);
            let colon = colon.unwrap_or(host.len());
            let name = &host[..colon];
            (name, &host[colon..])
        }
    };
    let port_fits = match port {
        [] | [b':'] => true,
        [b':', digits @ ..] => head::decimal(digits).is_some_and(|port| port <= 65535),
        _ => false,
    };
    !name.is_empty() && port_fits
}

/// Names the first fault of a head that did not parse.
fn locate(bytes: &[u8]) -> RequestFault {
    let mut lines = bytes.split(|&byte| byte == b'\n');
    let text = |line: &'_ [u8]| -> Vec<u8> { line.strip_suffix(b"\r").unwrap_or(line).to_vec() };
    let first = lines.by_ref().map(text).find(|line| !line.is_empty()).unwrap_or_default();
    if let Some(fault) = request_line_fault(&first) {
        return fault;
    }
    for line in lines {
        if let Some((kind, _)) = head::header_line_fault(&text(line)) {
            return match kind {
                HeaderLineFault::Name | HeaderLineFault::NoColon => RequestFault::HeaderName,
                HeaderLineFault::Value | HeaderLineFault::Nul => RequestFault::ControlCharacter,
                HeaderLineFault::BareCr => RequestFault::BareCr,
                HeaderLineFault::ObsFold => RequestFault::ObsFold,
                HeaderLineFault::SpaceBeforeColon => RequestFault::SpaceBeforeColon,
            };
        }
    }
    RequestFault::HeaderValue
}

/// method SP request-target SP HTTP-version (RFC 9112 section 3).
fn request_line_fault(line: &[u8]) -> Option<RequestFault> {
    if line.contains(&b'\r') {
        return Some(RequestFault::BareCr);
    }
    if line.iter().any(|&byte| byte < b' ' || byte == 0x7f) {
        return Some(RequestFault::ControlCharacter);
    }
    let parts: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
    match parts.as_slice() {
        [method, target, version] if !method.is_empty() && !target.is_empty() => {
            if !method.iter().all(|&byte| head::is_token(byte)) {
                Some(RequestFault::RequestLine)
            } else if !matches!(*version, b"HTTP/1.1" | b"HTTP/1.0") {
                Some(RequestFault::Version)
            } else {
                None
            }
        }
        _ => Some(RequestFault::RequestLine),
    }
}

/// Follows a chunked request body (RFC 9112 section 7.1) byte by byte, to know where it ends.
#[derive(Debug, Clone, Copy)]
pub struct ChunkScan {
    state: ChunkState,
    /// Bytes of the line, or of the trailer section, so far.
    line: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChunkState {
    Size {
        value: u64,
        digits: u8,
    },
    Extension {
        value: u64,
    },
    SizeEnd {
        value: u64,
    },
    Data {
        left: u64,
    },
    DataCr,
    DataLf,
    /// At the start of a trailer line.
    Trailer,
    TrailerName,
    TrailerValue,
    TrailerEnd,
    /// After the CR of the empty line.
    LastLf,
    Done,
}

impl ChunkScan {
    pub fn new() -> ChunkScan {
        ChunkScan { state: ChunkState::Size { value: 0, digits: 0 }, line: 0 }
    }

    pub fn is_done(&self) -> bool {
        self.state == ChunkState::Done
    }

    /// Takes bytes up to the body's end: how many were the body's.
    ///
    /// # Errors
    /// The fault of the first byte that does not belong where it stands.
    pub fn scan(&mut self, bytes: &[u8]) -> Result<usize, RequestFault> {
        let mut at = 0;
        while at < bytes.len() && !self.is_done() {
            if let ChunkState::Data { left } = self.state {
                let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len() - at);
                at += here;
                let left = left - here as u64;
                self.state = if left == 0 { ChunkState::DataCr } else { ChunkState::Data { left } };
                continue;
            }
            self.state = self.step(bytes[at])?;
            at += 1;
        }
        Ok(at)
    }

    fn step(&mut self, byte: u8) -> Result<ChunkState, RequestFault> {
        use ChunkState as S;
        self.line += 1;
        Ok(match (self.state, byte) {
            (S::Size { value, digits }, _) if byte.is_ascii_hexdigit() => {
                if digits == 16 {
                    return Err(RequestFault::ChunkSizeOverflow);
                }
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                S::Size { value: value << 4 | u64::from(digit), digits: digits + 1 }
            }
            (S::Size { value, digits: 1.. }, b'\r') => S::SizeEnd { value },
            (S::Size { value, digits: 1.. }, b';') => S::Extension { value },
            (S::Extension { value }, b'\r') => S::SizeEnd { value },
            (S::Extension { .. }, b'\t' | b' '..=b'~' | 0x80..)
                if self.line <= u32::from(CHUNK_LINE_MAX) =>
            {
                self.state
            }
            (S::SizeEnd { value: 0 }, b'\n') => {
                self.line = 0;
                S::Trailer
            }
            (S::SizeEnd { value }, b'\n') => S::Data { left: value },
            (S::DataCr, b'\r') => S::DataLf,
            (S::DataLf, b'\n') => {
                self.line = 0;
                S::Size { value: 0, digits: 0 }
            }
            (S::Trailer, b'\r') => S::LastLf,
            (S::LastLf, b'\n') => S::Done,
            _ if self.line > TRAILERS_MAX => return Err(RequestFault::TrailerInvalid),
            (S::Trailer | S::TrailerName, _) if head::is_token(byte) => S::TrailerName,
            (S::TrailerName, b':') => S::TrailerValue,
            (S::TrailerValue, b'\r') => S::TrailerEnd,
            (S::TrailerValue, b'\t' | b' '..=b'~' | 0x80..) => S::TrailerValue,
            (S::TrailerEnd, b'\n') => S::Trailer,
            (S::Trailer | S::TrailerName | S::TrailerValue | S::TrailerEnd | S::LastLf, _) => {
                return Err(RequestFault::TrailerInvalid);
            }
            (
                S::Size { .. }
                | S::Extension { .. }
                | S::SizeEnd { .. }
                | S::Data { .. }
                | S::DataCr
                | S::DataLf
                | S::Done,
                _,
            ) => return Err(RequestFault::ChunkInvalid),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(fields: &str) -> Result<Follows, RequestFault> {
        whole(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"))
    }

    fn whole(head: &str) -> Result<Follows, RequestFault> {
        assert_eq!(end(head.as_bytes(), 0)?, Some(head.len()), "{head:?}");
        inspect(head.as_bytes())
    }

    #[test]
    fn a_head_cut_or_split_anywhere_never_looks_whole() {
        let whole = b"GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n\r\n";
        for cut in 0..whole.len() {
            assert_eq!(end(&whole[..cut], 0), Ok(None), "cut at {cut}");
            assert_eq!(end(whole, cut), Ok(Some(whole.len())), "split at {cut}");
            // A parser that is given a cut head must not panic, and must not accept it.
            assert!(inspect(&whole[..cut]).is_err());
        }
    }

    #[test]
    fn sound_heads_pass_with_what_follows_them() {
        for (fields, follows) in [
            ("", Follows::Nothing),
            ("Content-Length: 0\r\n", Follows::Nothing),
            ("Content-Length: 7\r\n", Follows::Length(7)),
            ("Content-Length: 7\r\nContent-Length: 7\r\n", Follows::Length(7)),
            ("Transfer-Encoding: chunked\r\n", Follows::Chunked),
            ("transfer-encoding: CHUNKED\r\n", Follows::Chunked),
            ("Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n", Follows::Upgrade),
            ("Upgrade: h2c\r\n", Follows::Nothing),
        ] {
            assert_eq!(judge(fields), Ok(follows), "{fields:?}");
        }
        for whole in [
            "GET / HTTP/1.0\r\n\r\n",
            "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://a:80/x HTTP/1.1\r\nHost: A:80\r\n\r\n",
            "GET http://a?x HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: [::1]:8502\r\n\r\n",
            "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        ] {
            assert_eq!(inspect(whole.as_bytes()), Ok(Follows::Nothing), "{whole:?}");
        }
    }

    #[test]
    fn ambiguous_heads_are_refused_by_name() {
        use RequestFault as F;
        for (fields, fault) in [
            ("Content-Length: 7\r\nContent-Length: 8\r\n", F::ContentLengthConflict),
            ("Content-Length: 7, 8\r\n", F::ContentLengthConflict),
            ("Content-Length: +7\r\n", F::ContentLengthInvalid),
            ("Content-Length: 0x7\r\n", F::ContentLengthInvalid),
            ("Content-Length: 7 7\r\n", F::ContentLengthInvalid),
            ("Content-Length: \r\n", F::ContentLengthInvalid),
            ("Content-Length: 99999999999999999999\r\n", F::ContentLengthInvalid),
            ("Transfer-Encoding: gzip\r\n", F::TransferEncodingUnsupported),
            ("Transfer-Encoding: chunked, gzip\r\n", F::TransferEncodingUnsupported),
            ("Transfer-Encoding: gzip, chunked\r\n", F::TransferEncodingUnsupported),
            ("Transfer-Encoding: xchunked\r\n", F::TransferEncodingUnsupported),
            (
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                F::TransferEncodingUnsupported,
            ),
            (
                "Transfer-Encoding: chunked\r\nContent-Length: 7\r\n",
                F::ContentLengthWithTransferEncoding,
            ),
            (
                "Content-Length: 7\r\nTransfer-Encoding: chunked\r\n",
                F::ContentLengthWithTransferEncoding,
            ),
            ("Host: a\r\n", F::HostRepeated),
            ("X : y\r\n", F::SpaceBeforeColon),
            ("X: y\r\n z\r\n", F::ObsFold),
            ("X: y\rz\r\n", F::BareCr),
            ("X: y\0\r\n", F::ControlCharacter),
            ("X: y\x01\r\n", F::ControlCharacter),
            ("X: y\n", F::BareLf),
            ("X\r\n", F::HeaderName),
            ("X(: y\r\n", F::HeaderName),
        ] {
            assert_eq!(judge(fields), Err(fault), "{fields:?}");
        }
        for (whole, fault) in [
            ("GET / HTTP/1.1\r\n\r\n", F::HostMissing),
            ("GET / HTTP/1.1\r\nHost: \r\n\r\n", F::HostInvalid),
            ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", F::HostInvalid),
            ("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", F::HostInvalid),
            ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", F::HostInvalid),
            ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", F::HostInvalid),
            ("GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n", F::HostInvalid),
            ("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", F::HostInvalid),
            ("GET / HTTP/1.1\r\nHost: ]\r\n\r\n", F::HostInvalid),
            ("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", F::HostMismatch),
            ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", F::TargetInvalid),
            ("GET a HTTP/1.1\r\nHost: a\r\n\r\n", F::TargetInvalid),
            ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", F::TargetInvalid),
            ("GET /#f HTTP/1.1\r\nHost: a\r\n\r\n", F::TargetInvalid),
            ("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", F::MethodUnsupported),
            ("GET /  HTTP/1.1\r\nHost: a\r\n\r\n", F::RequestLine),
            ("GET / x HTTP/1.1\r\nHost: a\r\n\r\n", F::RequestLine),
            ("GET /\tHTTP/1.1\r\nHost: a\r\n\r\n", F::ControlCharacter),
            ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", F::Version),
            ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", F::Version),
            ("GET /\r\nHost: a\r\n\r\n", F::RequestLine),
            ("G@T / HTTP/1.1\r\nHost: a\r\n\r\n", F::RequestLine),
            ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", F::TransferEncodingOnHttp10),
        ] {
            assert_eq!(self::whole(whole), Err(fault), "{whole:?}");
        }
    }

    #[test]
    fn a_chunked_body_ends_where_it_ends_however_it_is_split() {
        let body: &[u8] = b"5;a=b\r\nhello\r\n0A\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n";
        let more = [body, b"GET /"].concat();
        for at in 0..=more.len() {
            let mut scan = ChunkScan::new();
            let first = scan.scan(&more[..at]).unwrap();
            let second = scan.scan(&more[first..]).unwrap();
            assert_eq!(first + second, body.len(), "split at {at}");
            assert!(scan.is_done());
            let mut cut = ChunkScan::new();
            cut.scan(&more[..at]).unwrap();
            assert_eq!(cut.is_done(), at >= body.len(), "cut at {at}");
        }
    }

    #[test]
    fn sloppy_chunk_lines_are_refused() {
        use RequestFault as F;
        for (body, fault) in [
            ("5 \r\nhello\r\n", F::ChunkInvalid),
            (" 5\r\n", F::ChunkInvalid),
            ("\r\n", F::ChunkInvalid),
            ("0x5\r\n", F::ChunkInvalid),
            ("+5\r\n", F::ChunkInvalid),
            ("5\nhello\r\n", F::ChunkInvalid),
            ("5\r\nhello\n", F::ChunkInvalid),
            ("5\r\nhelloX\r\n", F::ChunkInvalid),
            ("5;\x01\r\n", F::ChunkInvalid),
            ("5;a\nb\r\n", F::ChunkInvalid),
            ("11111111111111111\r\n", F::ChunkSizeOverflow),
            ("0\r\n X: 1\r\n\r\n", F::TrailerInvalid),
            ("0\r\nX\r\n\r\n", F::TrailerInvalid),
            ("0\r\nX: \x01\r\n\r\n", F::TrailerInvalid),
        ] {
            assert_eq!(ChunkScan::new().scan(body.as_bytes()), Err(fault), "{body:?}");
        }
        let endless = format!("5;{}", "a".repeat(5000));
        assert_eq!(ChunkScan::new().scan(endless.as_bytes()), Err(F::ChunkInvalid));
    }
}
