//! Which requests of HTTP/2 may pass, and the normal form that the rest of the program reads. Pure.
//!
//! What stands on the wire is h2's to judge: it resets a stream whose names have capitals, whose
//! pseudo-header fields are missing or doubled, that names fields of one connection, or whose
//! content-length is no number or not the body's (RFC 9113 sections 8.1.1 to 8.3). What is left is
//! what two readers could take in two ways once it is HTTP/1.1, and is refused by the same names as
//! there.

use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Method, Uri};

use crate::diagnose::{Cause, RequestFault};
use crate::server::gate::{HEADER_COUNT_MAX, is_host, is_target_byte};
use crate::upstream::http1::head;

/// Judges a request's head and puts it into the form of HTTP/1.1: Host says what `:authority` said,
/// and there is one cookie field. Gives the length that it declares.
///
/// # Errors
/// The first fault, which is answered with 400 or 431.
pub fn admit(parts: &mut Parts, limit_bytes: usize) -> Result<Option<u64>, Cause> {
    if !fits(parts, limit_bytes) {
        return Err(Cause::RequestHeaderTooLarge { limit_bytes });
    }
    let invalid = |fault| Cause::RequestInvalid { fault };
    check_target(&parts.method, &parts.uri).map_err(invalid)?;
    check_values(&parts.headers).map_err(invalid)?;
    let length = length(&parts.headers).map_err(invalid)?;
    let host = host(&parts.uri, &parts.headers).map_err(invalid)?;
    if let Some(host) = host {
        parts.headers.insert(header::HOST, host);
    }
    join_cookies(&mut parts.headers);
    Ok(length)
}

/// Counted as HTTP/1.1 would write it, so that one limit means the same for both. The crumbs of a
/// cookie are one line there.
fn fits(parts: &Parts, limit_bytes: usize) -> bool {
    let path = parts.uri.path_and_query().map_or(0, |path| path.as_str().len());
    let authority = parts.uri.authority().map_or(0, |authority| authority.as_str().len());
    let (mut bytes, mut lines, mut has_cookie) = (path + authority, 0, false);
    bytes += parts.method.as_str().len();
    for (name, value) in &parts.headers {
        bytes += name.as_str().len() + value.len() + ": \r\n".len();
        lines += usize::from(name != header::COOKIE || !has_cookie);
        has_cookie |= name == header::COOKIE;
    }
    bytes <= limit_bytes && lines <= HEADER_COUNT_MAX
}

/// RFC 9113 section 8.3.1: `:path` begins with a slash, or is the asterisk of OPTIONS.
fn check_target(method: &Method, uri: &Uri) -> Result<(), RequestFault> {
    if *method == Method::CONNECT {
        // A gateway opens no tunnels for strangers (RFC 9110 section 9.3.6).
        return Err(RequestFault::MethodUnsupported);
    }
    let path = uri.path_and_query().map_or("", |path| path.as_str());
    let formed = path.starts_with('/') || path == "*" && *method == Method::OPTIONS;
    match formed && path.bytes().all(is_target_byte) {
        true => Ok(()),
        false => Err(RequestFault::TargetInvalid),
    }
}

/// RFC 9113 section 8.2.1: no white space around a value; h2 sees to its characters.
fn check_values(headers: &HeaderMap) -> Result<(), RequestFault> {
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let around = |value: &HeaderValue| {
        let bytes = value.as_bytes();
        blank(bytes.first()) || blank(bytes.last())
    };
    match headers.values().any(around) {
        true => Err(RequestFault::HeaderValue),
        false => Ok(()),
    }
}

fn length(headers: &HeaderMap) -> Result<Option<u64>, RequestFault> {
    let mut known = None;
    for value in headers.get_all(header::CONTENT_LENGTH) {
        let length = head::decimal(value.as_bytes()).ok_or(RequestFault::ContentLengthInvalid)?;
        if known.is_some_and(|known| known != length) {
            return Err(RequestFault::ContentLengthConflict);
        }
        known = Some(length);
    }
    Ok(known)
}

/// RFC 9113 section 8.3.1: the host stands in `:authority`, or in Host, or in both and alike. Gives
/// what is to be put into Host.
fn host(uri: &Uri, headers: &HeaderMap) -> Result<Option<HeaderValue>, RequestFault> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next().map(HeaderValue::as_bytes);
    if hosts.next().is_some() {
        return Err(RequestFault::HostRepeated);
    }
    let authority = uri.authority().map(|authority| authority.as_str());
    let named = authority.map(str::as_bytes).or(host).ok_or(RequestFault::HostMissing)?;
    if !is_host(named) {
        return Err(RequestFault::HostInvalid);
    }
    if host.is_some_and(|host| !host.eq_ignore_ascii_case(named)) {
        return Err(RequestFault::HostMismatch);
    }
    let value = authority.map(HeaderValue::from_str).transpose();
    value.map_err(|_| RequestFault::HostInvalid)
}

/// RFC 9113 section 8.2.3: the crumbs of a cookie become one field before they go elsewhere.
fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<&[u8]> =
        headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]))
    {
        headers.insert(header::COOKIE, joined);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 4096;

    fn parts(method: &str, uri: &str, fields: &[(&'static str, &str)]) -> Parts {
        let mut request = http::Request::builder().method(method).uri(uri);
        for (name, value) in fields {
            // As h2 makes them: from bytes, without a look at white space.
            request = request.header(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        request.body(()).unwrap().into_parts().0
    }

    fn judged(
        method: &str,
        uri: &str,
        fields: &[(&'static str, &str)],
    ) -> Result<Option<u64>, Cause> {
        admit(&mut parts(method, uri, fields), LIMIT)
    }

    #[test]
    fn sound_requests_pass_in_one_form() {
        let crumbs = [("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("cookie", "c=3")];
        let mut parts = parts("GET", "https://shop.example:8443/a?b", &crumbs);
        assert_eq!(admit(&mut parts, LIMIT), Ok(None));
        assert_eq!(parts.headers["host"], "shop.example:8443");
        assert_eq!(parts.headers["cookie"], "a=1; b=2; c=3");
        assert_eq!(parts.headers.get_all("cookie").iter().count(), 1);
        for (method, uri, fields, length) in [
            ("GET", "https://a/", &[][..], None),
            ("GET", "https://a/", &[("host", "A")], None),
            ("GET", "/only", &[("host", "a")], None),
            ("OPTIONS", "*", &[("host", "a")], None),
            ("GET", "https://[::1]:8502/", &[], None),
            ("POST", "https://a/", &[("content-length", "7")], Some(7)),
            ("POST", "https://a/", &[("content-length", "7"), ("content-length", "7")], Some(7)),
            ("GET", "https://a/", &[("x", "")], None),
        ] {
            assert_eq!(judged(method, uri, fields), Ok(length), "{method} {uri} {fields:?}");
        }
    }

    #[test]
    fn ambiguous_requests_are_refused_by_the_names_of_http1() {
        use RequestFault as F;
        for (method, uri, fields, fault) in [
            ("GET", "/", &[][..], F::HostMissing),
            ("GET", "https://a/", &[("host", "b")], F::HostMismatch),
            ("GET", "https://a/", &[("host", "a"), ("host", "a")], F::HostRepeated),
            ("GET", "https://u@a/", &[], F::HostInvalid),
            ("GET", "https://a:99999/", &[], F::HostInvalid),
            ("GET", "/", &[("host", "a b")], F::HostInvalid),
            ("GET", "/", &[("host", "")], F::HostInvalid),
            ("GET", "*", &[("host", "a")], F::TargetInvalid),
            ("CONNECT", "a:443", &[], F::MethodUnsupported),
            ("GET", "https://a/", &[("x", " y")], F::HeaderValue),
            ("GET", "https://a/", &[("x", "y\t")], F::HeaderValue),
            ("POST", "https://a/", &[("content-length", "+7")], F::ContentLengthInvalid),
            ("POST", "https://a/", &[("content-length", "7, 7")], F::ContentLengthInvalid),
            (
                "POST",
                "https://a/",
                &[("content-length", "7"), ("content-length", "8")],
                F::ContentLengthConflict,
            ),
        ] {
            let expected = Err(Cause::RequestInvalid { fault });
            assert_eq!(judged(method, uri, fields), expected, "{method} {uri} {fields:?}");
        }
    }

    #[test]
    fn a_head_has_the_limits_of_http1() {
        let too_large = Err(Cause::RequestHeaderTooLarge { limit_bytes: LIMIT });
        let long = "a".repeat(LIMIT);
        assert_eq!(judged("GET", "https://a/", &[("x", &long)]), too_large);
        assert_eq!(judged("GET", &format!("https://a/{long}"), &[]), too_large);
        let lines = |name, count| vec![(name, "y"); count];
        assert_eq!(judged("GET", "https://a/", &lines("x", HEADER_COUNT_MAX + 1)), too_large);
        assert_eq!(judged("GET", "https://a/", &lines("x", HEADER_COUNT_MAX)), Ok(None));
        assert_eq!(judged("GET", "https://a/", &lines("cookie", 300)), Ok(None));
    }
}
