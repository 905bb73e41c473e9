//! What is changed on the way: hop-by-hop fields, Host, Via and the forwarded fields.
//!
//! The request head is written once, straight from the fields that came, in the one normal form;
//! what is not to be passed on is passed over. Pure.

use std::borrow::Cow;
use std::sync::LazyLock;

use http::Version;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;

use crate::upstream::UploadFraming;
use crate::upstream::http1::head::options;

use super::client::Client;

/// Our name in Via: unlike that of any other gateway, so that a chain of two is no loop.
static PSEUDONYM: LazyLock<String> = LazyLock::new(|| {
    use std::hash::{BuildHasher, Hasher};
    let random = std::hash::RandomState::new().build_hasher().finish();
    format!("causeway-{:08x}", random as u32)
});

/// The fields of a request that decide something here, found in one pass.
#[derive(Debug, Default, Clone, Copy)]
pub struct Fields<'a> {
    pub host: Option<&'a HeaderValue>,
    pub upgrade: Option<&'a HeaderValue>,
    pub has_length: bool,
    /// A body comes whose length is not declared. HTTP/2 has no field for it: whoever has the body
    /// says so.
    pub has_coding: bool,
    pub has_connection: bool,
    pub has_te: bool,
    pub has_via: bool,
    pub has_expect: bool,
}

impl Fields<'_> {
    pub fn of(headers: &HeaderMap) -> Fields<'_> {
        let mut fields = Fields::default();
        for (name, value) in headers {
            match name.as_str() {
                "host" => fields.host = Some(value),
                "upgrade" => fields.upgrade = Some(value),
                "content-length" => fields.has_length = true,
                "transfer-encoding" => fields.has_coding = true,
                "connection" => fields.has_connection = true,
                "te" => fields.has_te = true,
                "via" => fields.has_via = true,
                "expect" => fields.has_expect = true,
                _ => {}
            }
        }
        fields
    }
}

/// What the head of one forwarded request says beside the client's own fields.
#[derive(Debug)]
pub struct Forward<'a> {
    pub fields: Fields<'a>,
    pub client: &'a Client,
    /// The peer's address in print, and what [`forwarded_for`] made of it.
    pub peer: &'a str,
    pub forwarded: &'a [u8],
    /// The client speaks TLS.
    pub secure: bool,
    /// The Host to send: the client's, or the server's for a client of HTTP/1.0 that named none.
    pub host: Cow<'a, [u8]>,
    pub framing: UploadFraming,
    /// The declared length, with [`UploadFraming::Length`], or a declared zero.
    pub length: Option<u64>,
    /// The protocols of Upgrade, when the client asks for one.
    pub upgrade: Option<&'a HeaderValue>,
    pub expect_continue: bool,
}

/// Whether the request has been here before (RFC 9110 section 7.6.3).
pub fn is_loop(fields: &Fields<'_>, headers: &HeaderMap) -> bool {
    fields.has_via
        && headers
            .get_all(header::VIA)
            .iter()
            .any(|value| memchr::memmem::find(value.as_bytes(), PSEUDONYM.as_bytes()).is_some())
}

/// Writes the request head for the upstream.
pub fn write_request(out: &mut Vec<u8>, parts: &Parts, forward: &Forward<'_>) {
    out.extend_from_slice(parts.method.as_str().as_bytes());
    out.push(b' ');
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\nHost: ");
    out.extend_from_slice(&forward.host);
    out.extend_from_slice(b"\r\n");
    let listed = match forward.fields.has_connection {
        true => connection_listed(&parts.headers),
        false => Vec::new(),
    };
    for (name, value) in &parts.headers {
        if !is_ours(name, forward.client.trusted) && !listed.iter().any(|item| item == name) {
            field(out, name.as_str(), value.as_bytes());
        }
    }
    forwarded(out, parts, forward);
    match (forward.framing, forward.length) {
        (UploadFraming::Chunked, _) => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        (UploadFraming::None | UploadFraming::Length, Some(length)) => {
            field(out, "Content-Length", itoa::Buffer::new().format(length).as_bytes());
        }
        (UploadFraming::None | UploadFraming::Length, None) | (UploadFraming::Stdin, _) => {}
    }
    if forward.expect_continue {
        out.extend_from_slice(b"Expect: 100-continue\r\n");
    }
    if let Some(upgrade) = forward.upgrade {
        out.extend_from_slice(b"Connection: upgrade\r\n");
        field(out, "Upgrade", upgrade.as_bytes());
    } else if forward.fields.has_te && lists(&parts.headers, header::TE, "trailers") {
        out.extend_from_slice(b"Connection: TE\r\nTE: trailers\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// The forwarded fields as far as the connection decides them: the peer's address joins the chain.
pub fn forwarded_for(peer: &str, secure: bool) -> Vec<u8> {
    let scheme = scheme(secure);
    format!("X-Forwarded-For: {peer}\r\nX-Forwarded-Proto: {scheme}\r\nX-Forwarded-Host: ").into()
}

/// The scheme that the client used.
pub fn scheme(secure: bool) -> &'static str {
    if secure { "https" } else { "http" }
}

fn forwarded(out: &mut Vec<u8>, parts: &Parts, forward: &Forward<'_>) {
    let headers = &parts.headers;
    if forward.client.trusted {
        forwarded_on(out, headers, forward);
    } else {
        out.extend_from_slice(forward.forwarded);
        out.extend_from_slice(&forward.host);
    }
    out.extend_from_slice(b"\r\nVia: ");
    if forward.fields.has_via {
        for value in headers.get_all(header::VIA) {
            out.extend_from_slice(value.as_bytes());
            out.extend_from_slice(b", ");
        }
    }
    let version: &[u8] = match parts.version {
        Version::HTTP_10 => b"1.0 ",
        Version::HTTP_2 => b"2.0 ",
        _ => b"1.1 ",
    };
    out.extend_from_slice(version);
    out.extend_from_slice(PSEUDONYM.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// What a trusted peer says of the request is passed on, with the peer itself behind it.
fn forwarded_on(out: &mut Vec<u8>, headers: &HeaderMap, forward: &Forward<'_>) {
    out.extend_from_slice(b"X-Forwarded-For: ");
    for value in headers.get_all("x-forwarded-for") {
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b", ");
    }
    out.extend_from_slice(forward.peer.as_bytes());
    out.extend_from_slice(b"\r\n");
    match headers.get("x-forwarded-proto") {
        Some(scheme) => field(out, "X-Forwarded-Proto", scheme.as_bytes()),
        None => field(out, "X-Forwarded-Proto", scheme(forward.secure).as_bytes()),
    }
    out.extend_from_slice(b"X-Forwarded-Host: ");
    let host = headers.get("x-forwarded-host").map_or(&*forward.host, HeaderValue::as_bytes);
    out.extend_from_slice(host);
}

fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Fields that are not passed on as they came: they belong to one hop (RFC 9110 section 7.6.1), are
/// written by us, or would let a client speak for us. `Proxy` becomes HTTP_PROXY in a CGI program.
#[inline]
pub fn is_ours(name: &HeaderName, trusted: bool) -> bool {
    match name.as_str() {
        "connection"
        | "keep-alive"
        | "proxy-connection"
        | "te"
        | "transfer-encoding"
        | "upgrade"
        | "host"
        | "content-length"
        | "expect"
        | "via"
        | "proxy"
        | "proxy-authorization"
        | "x-forwarded-for"
        | "x-forwarded-proto"
        | "x-forwarded-host" => true,
        "forwarded" => !trusted,
        _ => false,
    }
}

/// Fields that Connection names, beyond those that are dropped anyway.
pub fn connection_listed(headers: &HeaderMap) -> Vec<HeaderName> {
    let mut listed = Vec::new();
    for value in headers.get_all(header::CONNECTION) {
        for option in options(value.as_bytes()) {
            let known = [&b"keep-alive"[..], b"close", b"upgrade", b"te"];
            if !known.iter().any(|known| option.eq_ignore_ascii_case(known))
                && let Ok(name) = HeaderName::from_bytes(option)
            {
                listed.push(name);
            }
        }
    }
    listed
}

/// Whether a list field of one hop names an option.
pub fn lists(headers: &HeaderMap, name: HeaderName, option: &str) -> bool {
    headers.get_all(name).iter().any(|value| {
        options(value.as_bytes()).any(|item| item.eq_ignore_ascii_case(option.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forward<'a>(client: &'a Client, headers: &'a HeaderMap) -> Forward<'a> {
        Forward {
            fields: Fields::of(headers),
            client,
            peer: "192.0.2.1",
            forwarded:
                b"X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: ",
            secure: false,
            host: b"shop.example".into(),
            framing: UploadFraming::None,
            length: None,
            upgrade: None,
            expect_continue: false,
        }
    }

    fn written(fields: &[(&str, &str)], trusted: bool) -> String {
        let mut request = http::Request::get("http://shop.example/a?b");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let address = Some(std::net::IpAddr::from([192, 0, 2, 1]));
        let networks = if trusted { vec!["192.0.2.0/24".parse().unwrap()] } else { Vec::new() };
        let page =
            crate::config::Page { trusted_proxies: networks, ..crate::config::Page::default() };
        let client = super::super::client::client(address, &parts.headers, &page);
        let mut out = Vec::new();
        write_request(&mut out, &parts, &forward(&client, &parts.headers));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_belongs_to_one_hop_stays_there() {
        let head = written(
            &[
                ("connection", "close, X-Mine, upgrade"),
                ("x-mine", "1"),
                ("keep-alive", "timeout=5"),
                ("proxy", "http://evil"),
                ("te", "gzip"),
                ("upgrade", "h2c"),
                ("proxy-authorization", "Basic x"),
                ("transfer-encoding", "chunked"),
                ("x-yours", "2"),
            ],
            false,
        );
        let via = format!("Via: 1.1 {}", *PSEUDONYM);
        let expected = [
            "GET /a?b HTTP/1.1",
            "Host: shop.example",
            "x-yours: 2",
            "X-Forwarded-For: 192.0.2.1",
            "X-Forwarded-Proto: http",
            "X-Forwarded-Host: shop.example",
            &via,
            "",
            "",
        ];
        assert_eq!(head.split("\r\n").collect::<Vec<_>>(), expected);
    }

    #[test]
    fn forwarded_fields_are_replaced_unless_the_peer_is_trusted() {
        let fields = [
            ("x-forwarded-for", "203.0.113.9"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "outer.example"),
            ("forwarded", "for=203.0.113.9"),
        ];
        let untrusted = written(&fields, false);
        assert!(!untrusted.contains("203.0.113.9") && !untrusted.contains("outer"), "{untrusted}");
        let trusted = written(&fields, true);
        assert!(trusted.contains("X-Forwarded-For: 203.0.113.9, 192.0.2.1\r\n"), "{trusted}");
        assert!(trusted.contains("X-Forwarded-Proto: https\r\n"));
        assert!(trusted.contains("X-Forwarded-Host: outer.example\r\n"));
        assert!(trusted.contains("forwarded: for=203.0.113.9\r\n"));
    }

    #[test]
    fn a_request_that_was_here_is_a_loop() {
        let mut headers = HeaderMap::new();
        headers.insert(header::VIA, HeaderValue::from_static("1.1 causeway-00000000x"));
        assert!(!is_loop(&Fields::of(&headers), &headers));
        let via = format!("1.1 a, 1.1 {}", *PSEUDONYM);
        headers.append(header::VIA, via.parse().unwrap());
        assert!(is_loop(&Fields::of(&headers), &headers));
    }
}
