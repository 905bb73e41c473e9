//! The gate: which bytes of HTTP/1.1 requests may pass, and what they say. Pure.
//!
//! What two readers could read in two ways is refused here, on the raw bytes, by name: a bare LF as
//! a line's end, white space after a chunk's size, two lengths, Host missing or twice. What passes
//! is read in the same walk. RFC 9112 throughout.

use crate::diagnose::RequestFault;
use crate::upstream::HeaderLineFault;
use crate::upstream::http1::head;

/// The most header lines of a request.
pub const HEADER_COUNT_MAX: usize = 100;

/// The longest body that may be declared: servers count in 64 bits with a sign.
const LENGTH_MAX: u64 = i64::MAX as u64;

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

/// A head that passed.
#[derive(Debug, Clone, Copy)]
pub struct Passed<'a> {
    pub method: &'a [u8],
    pub target: &'a [u8],
    /// HTTP/1.0.
    pub old: bool,
    pub follows: Follows,
    /// The client may use its connection again (RFC 9112 section 9.3).
    pub keeps_alive: bool,
    /// It waits for word before it sends the body (RFC 9110 section 10.1.1).
    pub expects: bool,
    /// It reads trailer fields (RFC 9110 section 10.1.4).
    pub takes_trailers: bool,
}

/// The fields of a head that decide where it ends, whom it is for, and how its connection goes on.
#[derive(Default)]
struct Seen<'a> {
    host: Option<&'a [u8]>,
    length: Option<u64>,
    chunked: bool,
    upgrade: bool,
    connection_upgrade: bool,
    close: bool,
    keep_alive: bool,
    expects: bool,
    takes_trailers: bool,
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

/// Judges one complete head, as found by [`end`], and gives its fields to `take`: name and value as
/// they stand, the value with the white space around it.
///
/// # Errors
/// The first fault, which is answered with 400.
pub fn inspect<'a>(
    bytes: &'a [u8],
    mut take: impl FnMut(&'a [u8], &'a [u8]),
) -> Result<Passed<'a>, RequestFault> {
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
        take(name, value);
        rest = after;
    }
    check_target(method, target, &seen, old)?;
    if seen.chunked && seen.length.is_some() {
        // RFC 9112 section 6.1 allows either; refusing leaves no doubt to anybody.
        return Err(RequestFault::ContentLengthWithTransferEncoding);
    }
    let follows = match seen.length {
        _ if seen.chunked => Follows::Chunked,
        Some(length) if length > 0 => Follows::Length(length),
        _ if seen.upgrade && seen.connection_upgrade && !old => Follows::Upgrade,
        _ => Follows::Nothing,
    };
    Ok(Passed {
        method,
        target,
        old,
        follows,
        keeps_alive: !seen.close && (!old || seen.keep_alive),
        expects: seen.expects && !old,
        takes_trailers: seen.takes_trailers,
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
    let colon = memchr::memchr(b':', bytes)?;
    let (name, rest) = (&bytes[..colon], &bytes[colon + 1..]);
    // Without a branch a byte; that of a line without a colon has its end in it.
    if name.is_empty() || !name.iter().fold(true, |all, &byte| all & TOKEN[usize::from(byte)]) {
        return None;
    }
    // The first CR is the line's own, or one that stands alone.
    let end = memchr::memchr(b'\r', rest)?;
    (rest.get(end + 1) == Some(&b'\n')).then(|| (name, &rest[..end], &rest[end + 2..]))
}

/// Gives the fields of a trailer section that passed the chunks to `take`, as [`inspect`] does.
pub fn trailers<'a>(mut bytes: &'a [u8], mut take: impl FnMut(&'a [u8], &'a [u8])) {
    while let Some((name, value, after)) = header_line(bytes) {
        take(name, value);
        bytes = after;
    }
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
        2 if name.eq_ignore_ascii_case(b"te") => {
            let mut codings = head::options(value);
            seen.takes_trailers |= codings.any(|coding| coding.eq_ignore_ascii_case(b"trailers"));
        }
        4 if name.eq_ignore_ascii_case(b"host") && seen.host.replace(value).is_some() => {
            return Err(RequestFault::HostRepeated);
        }
        6 if name.eq_ignore_ascii_case(b"expect") => {
            let mut expected = head::options(value);
            seen.expects |= expected.any(|item| item.eq_ignore_ascii_case(b"100-continue"));
        }
        7 if name.eq_ignore_ascii_case(b"upgrade") => seen.upgrade = true,
        10 if name.eq_ignore_ascii_case(b"connection") => {
            for option in head::options(value) {
                match option.len() {
                    5 => seen.close |= option.eq_ignore_ascii_case(b"close"),
                    7 => seen.connection_upgrade |= option.eq_ignore_ascii_case(b"upgrade"),
                    10 => seen.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive"),
                    _ => {}
                }
            }
        }
        14 if name.eq_ignore_ascii_case(b"content-length") => {
            // RFC 9112 section 6.3 lets a list of equal lengths be refused, as HTTP/2 does too.
            let length = head::decimal(value.trim_ascii()).filter(|length| *length <= LENGTH_MAX);
            let length = length.ok_or(RequestFault::ContentLengthInvalid)?;
            if seen.length.is_some_and(|known| known != length) {
                return Err(RequestFault::ContentLengthConflict);
            }
            seen.length = Some(length);
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
    let (sound, plain) = target.iter().fold((true, true), |(sound, plain), &byte| {
        (sound & is_target_byte(byte), plain & byte.is_ascii() & (byte != b'"'))
    });
    // What is beyond RFC 3986 passes as far as `http` has room for it: no quote in a query, nothing
    // that is not UTF-8.
    if !sound || !(plain && target.starts_with(b"/") || http::Uri::try_from(target).is_ok()) {
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

/// What a target may hold; escapes and letters beyond ASCII pass as they are.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(fields: &str) -> Result<Follows, RequestFault> {
        whole(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"))
    }

    fn whole(head: &str) -> Result<Follows, RequestFault> {
        assert_eq!(end(head.as_bytes(), 0)?, Some(head.len()), "{head:?}");
        inspect(head.as_bytes(), |_, _| {}).map(|passed| passed.follows)
    }

    #[test]
    fn a_head_cut_or_split_anywhere_never_looks_whole() {
        let whole = b"GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n\r\n";
        for cut in 0..whole.len() {
            assert_eq!(end(&whole[..cut], 0), Ok(None), "cut at {cut}");
            assert_eq!(end(whole, cut), Ok(Some(whole.len())), "split at {cut}");
            // A parser that is given a cut head must not panic, and must not accept it.
            assert!(inspect(&whole[..cut], |_, _| {}).is_err());
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
            let read = inspect(whole.as_bytes(), |_, _| {}).map(|passed| passed.follows);
            assert_eq!(read, Ok(Follows::Nothing), "{whole:?}");
        }
    }

    #[test]
    fn ambiguous_heads_are_refused_by_name() {
        use RequestFault as F;
        for (fields, fault) in [
            ("Content-Length: 7\r\nContent-Length: 8\r\n", F::ContentLengthConflict),
            ("Content-Length: 7, 7\r\n", F::ContentLengthInvalid),
            ("Content-Length: 9223372036854775808\r\n", F::ContentLengthInvalid),
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
            ("GET /?\" HTTP/1.1\r\nHost: a\r\n\r\n", F::TargetInvalid),
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
}
