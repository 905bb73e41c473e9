//! THE DECISION for answers that are complete and say that something failed: by their status, by
//! who made them, by where they lead.
//!
//! The answer itself goes on; its cause stands beside it. A redirect counts as a failure only where
//! it leads to where the client already was. Pure.

use http::{HeaderMap, Method, header};
use memchr::memmem;

use super::cause::Cause;
use super::hop::{self, Failed, Maker, Received};
use super::report::Certainty::{self, Certain, Likely, Possible};
use super::said;

/// What was asked for, as the client asked it.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    pub method: &'a Method,
    pub path_and_query: &'a str,
    pub headers: &'a HeaderMap,
    /// A script was run over FastCGI, and [`said::said`] has looked at its answer.
    pub fastcgi: bool,
}

/// Words of a 400 or 413 whose sender does not take so large a head, most often for its cookies:
/// nginx (and what is made of it), Apache, IIS, Tomcat, gunicorn.
const HEAD_TOO_LARGE: [&[u8]; 6] = [
    b"Request Header Or Cookie Too Large",
    b"Size of a request header field exceeds server limit",
    b"The number of request header fields exceeds this server's limit",
    b"Bad Request - Request Too Long",
    b"Request header is too large",
    b"limit request headers fields",
];

/// Fields, with what they begin with, by which a gateway before us says that it spoke TLS with the
/// client.
const CAME_BY_TLS: [(&str, &[u8]); 6] = [
    ("x-forwarded-proto", b"https"),
    ("x-forwarded-scheme", b"https"),
    ("x-forwarded-ssl", b"on"),
    ("front-end-https", b"on"),
    ("cloudfront-forwarded-proto", b"https"),
    ("cf-visitor", b"{\"scheme\":\"https\""),
];

/// The cause that a complete answer names; `None` for one that is well, or the client's own matter.
pub fn answered(received: &Received<'_>, asked: &Question<'_>) -> Option<(Cause, Certainty)> {
    match received.status {
        300..=399 => redirected(received, asked),
        400 | 413 | 431 => head_refused(received, asked),
        500..=599 => Some(failed(received, asked)),
        _ => None,
    }
}

/// The cause of an answer that names none: it has this status, and somebody made it.
pub fn by_status(received: &Received<'_>) -> (Cause, Certainty) {
    let Maker { hop, failed, said } = hop::maker(received);
    let received_status = received.status;
    let cause = match received_status {
        508 => Cause::UpstreamLoop { hop, received_status, said },
        502 | 504 | 520..=530 => {
            // RFC 9110 sections 15.6.3 and 15.6.5: somebody behind the one who says so.
            let failed = if failed == Failed::Itself { failed } else { Failed::Behind };
            Cause::UpstreamGatewayError { hop, failed, received_status, said }
        }
        503 if failed == Failed::Behind => {
            Cause::UpstreamGatewayError { hop, failed, received_status, said }
        }
        503 => {
            let retry_after = received.headers.get(header::RETRY_AFTER);
            let retry_after = retry_after.and_then(|value| value.to_str().ok()).map(str::to_owned);
            Cause::UpstreamUnavailable { hop, received_status, retry_after, said }
        }
        _ => Cause::UpstreamErrorStatus { hop, received_status, said },
    };
    (cause, Certain)
}

fn failed(received: &Received<'_>, asked: &Question<'_>) -> (Cause, Certainty) {
    let page = received.page;
    let by_php = match asked.fastcgi {
        true => None,
        false => page.and_then(|page| said::in_page(received.status, page)),
    };
    by_php.or_else(|| white_screen(received, asked)).unwrap_or_else(|| by_status(received))
}

/// PHP that shows no errors answers a fatal one with nothing at all. With `expose_php` off it is
/// known by the type that it gives to every page, in these very letters.
fn white_screen(received: &Received<'_>, asked: &Question<'_>) -> Option<(Cause, Certainty)> {
    let white = received.status == 500 && received.page.is_some_and(<[u8]>::is_empty);
    let says = |name: &str, words: &[u8]| {
        received.headers.get(name).is_some_and(|value| value.as_bytes().starts_with(words))
    };
    let php = || says("x-powered-by", b"PHP/") || says("content-type", b"text/html; charset=UTF-8");
    let found = white && (asked.fastcgi || php());
    found.then(|| (Cause::PhpFatalError { message: String::new() }, Possible))
}

/// The upstream does not take so large a head as this client sent.
fn head_refused(received: &Received<'_>, asked: &Question<'_>) -> Option<(Cause, Certainty)> {
    let page = received.page.unwrap_or_default();
    let page = &page[..page.len().min(4096)];
    // RFC 6585 section 5: 431 has no other meaning.
    let told = received.status == 431 || HEAD_TOO_LARGE.iter().any(|words| hop::has(page, words));
    if !told {
        return None;
    }
    let cookies = asked.headers.get_all(header::COOKIE).iter();
    let cookie_bytes = cookies.map(|value| value.len()).sum();
    let hop = hop::maker(received).hop;
    let received_status = received.status;
    Some((Cause::RequestHeaderRefused { hop, received_status, cookie_bytes }, Certain))
}

/// A redirect of GET or HEAD to where the client is already. One that sets a cookie looks whether
/// the client takes it, and one from http to https leads somewhere else, unless the client came by
/// https and a gateway before us took the TLS off.
fn redirected(received: &Received<'_>, asked: &Question<'_>) -> Option<(Cause, Certainty)> {
    let follows = matches!(received.status, 301 | 302 | 303 | 307 | 308);
    if !follows || !matches!(*asked.method, Method::GET | Method::HEAD) {
        return None;
    }
    let location = received.headers.get(header::LOCATION)?.to_str().ok()?;
    if received.headers.contains_key(header::SET_COOKIE) {
        return None;
    }
    let target = Target::of(location)?;
    if target.path_and_query != asked.path_and_query {
        return None;
    }
    let host = asked.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.unwrap_or_default();
    let same = match (target.secure, target.authority) {
        (_, None) => true,
        (Some(true), Some(authority)) => {
            without_port(authority).eq_ignore_ascii_case(without_port(host))
                && came_by_tls(asked.headers, host)
        }
        (Some(false), Some(authority)) => {
            without_http_port(authority).eq_ignore_ascii_case(without_http_port(host))
                && !came_by_tls(asked.headers, host)
        }
        (None, Some(authority)) => authority.eq_ignore_ascii_case(host),
    };
    same.then(|| {
        let (location, received_status) = (location.to_owned(), received.status);
        (Cause::RedirectLoop { received_status, location }, Likely)
    })
}

/// Where a Location leads (RFC 9110 section 10.2.2), without its fragment.
struct Target<'a> {
    /// `https`; `None` where the scheme stays.
    secure: Option<bool>,
    /// `None` where it stays.
    authority: Option<&'a str>,
    path_and_query: &'a str,
}

impl Target<'_> {
    /// `None` for one that is relative to the path, or of another scheme.
    fn of(location: &str) -> Option<Target<'_>> {
        let location = location.split('#').next()?;
        let after = |prefix: &str| {
            let head = location.get(..prefix.len())?;
            head.eq_ignore_ascii_case(prefix).then(|| &location[prefix.len()..])
        };
        let (secure, rest) = if let Some(rest) = after("https://") {
            (Some(true), rest)
        } else if let Some(rest) = after("http://") {
            (Some(false), rest)
        } else if let Some(rest) = after("//") {
            (None, rest)
        } else {
            let absolute = location.starts_with('/');
            let here = Target { secure: None, authority: None, path_and_query: location };
            return absolute.then_some(here);
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path_and_query) = rest.split_at(end);
        let path_and_query = if path_and_query.is_empty() { "/" } else { path_and_query };
        Some(Target { secure, authority: Some(authority), path_and_query })
    }
}

/// Whether the client spoke TLS with somebody before us: a gateway says so, or the client sends
/// what browsers send over secure connections alone (Fetch Metadata Request Headers section 2).
fn came_by_tls(headers: &HeaderMap, host: &str) -> bool {
    let begins = |(name, words): &(&str, &[u8])| {
        headers.get(*name).is_some_and(|value| {
            let value = value.as_bytes();
            value.len() >= words.len() && value[..words.len()].eq_ignore_ascii_case(words)
        })
    };
    let forwarded = headers.get(header::FORWARDED).map(|value| value.as_bytes());
    let forwarded = forwarded.is_some_and(|value| memmem::find(value, b"proto=https").is_some());
    // To a browser its own host is secure by whatever scheme.
    let own_host = matches!(without_port(host), "localhost" | "127.0.0.1" | "[::1]");
    let by_browser = !own_host && headers.contains_key("sec-fetch-site");
    forwarded || by_browser || CAME_BY_TLS.iter().any(begins)
}

fn without_http_port(authority: &str) -> &str {
    authority.strip_suffix(":80").unwrap_or(authority)
}

/// The host of an authority; that of an IPv6 address with its brackets.
fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => host,
        Some(_) | None => authority,
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::super::cause::Code;
    use super::*;

    type Fields = &'static [(&'static str, &'static str)];

    fn map(fields: Fields) -> HeaderMap {
        let pairs = fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        pairs.collect()
    }

    fn found(status: u16, fields: Fields, page: Option<&str>) -> Option<(Code, Certainty)> {
        let (headers, sent) = (map(fields), map(&[("host", "shop.example"), ("cookie", "a=1")]));
        let received = Received { status, headers: &headers, page: page.map(str::as_bytes) };
        let asked = Question {
            method: &Method::GET,
            path_and_query: "/x?y",
            headers: &sent,
            fastcgi: false,
        };
        answered(&received, &asked).map(|(cause, certainty)| (cause.code(), certainty))
    }

    #[test]
    fn a_status_stands_for_a_cause() {
        let haproxy = "<h1>503 x</h1>\nNo server is available to handle this request.";
        let php: Fields = &[("x-powered-by", "PHP/8.2.7")];
        let fatal = "<br />\n<b>Fatal error</b>:  x in <b>/x.php</b> on line <b>2</b><br />";
        let wordpress = "<p>There has been a critical error on this website.</p>";
        let database = "<h1>Error establishing a database connection</h1>";
        let none: Fields = &[];
        for (status, fields, page, expected) in [
            (500, none, Some("no"), Code::UpstreamErrorStatus),
            (501, none, Some(""), Code::UpstreamErrorStatus),
            (505, none, None, Code::UpstreamErrorStatus),
            (599, none, Some("no"), Code::UpstreamErrorStatus),
            (502, none, Some("no"), Code::UpstreamGatewayError),
            (502, none, Some(""), Code::UpstreamGatewayError),
            (504, none, None, Code::UpstreamGatewayError),
            (520, none, None, Code::UpstreamGatewayError),
            (530, none, None, Code::UpstreamGatewayError),
            (503, none, Some("busy"), Code::UpstreamUnavailable),
            (503, none, Some(haproxy), Code::UpstreamGatewayError),
            (508, none, Some("no"), Code::UpstreamLoop),
            (500, none, Some(fatal), Code::PhpFatalError),
            (500, none, Some(wordpress), Code::PhpFatalError),
            (500, none, Some(database), Code::HelperServicesDown),
            (503, none, Some(database), Code::HelperServicesDown),
        ] {
            assert_eq!(found(status, fields, page), Some((expected, Certain)), "{status} {page:?}");
        }
        let unsigned: Fields = &[("content-type", "text/html; charset=UTF-8")];
        for fields in [php, unsigned] {
            assert_eq!(found(500, fields, Some("")), Some((Code::PhpFatalError, Possible)));
        }
        let other: Fields = &[("content-type", "text/html; charset=utf-8")];
        assert_eq!(found(500, other, Some("")), Some((Code::UpstreamErrorStatus, Certain)));
        assert_eq!(found(500, php, None), Some((Code::UpstreamErrorStatus, Certain)));
        for status in [200, 204, 304, 400, 401, 404, 413, 429] {
            for page in [haproxy, fatal, wordpress, database, ""] {
                assert_eq!(found(status, php, Some(page)), None, "{status} {page}");
            }
        }
    }

    #[test]
    fn the_evidence_names_hop_and_wait() {
        let headers = map(&[("retry-after", "120"), ("server", "nginx")]);
        let received = Received { status: 503, headers: &headers, page: Some(b"Back at noon.") };
        let (cause, _) = by_status(&received);
        let expected = [
            ("hop", "nginx"),
            ("received_status", "503"),
            ("retry_after", "120"),
            ("said", "Back at noon."),
        ];
        let expected = expected.map(|(key, value)| (key, value.to_owned()));
        assert_eq!(cause.evidence(), expected);
        let received = Received { status: 404, headers: &headers, page: None };
        assert_eq!(by_status(&received).0.code(), Code::UpstreamErrorStatus);
    }

    #[test]
    fn a_head_that_is_too_large_is_told_by_its_words() {
        let refused = Some((Code::RequestHeaderRefused, Certain));
        for words in HEAD_TOO_LARGE {
            let page = format!("<title>400 Bad Request</title>{}", String::from_utf8_lossy(words));
            assert_eq!(found(400, &[], Some(&page)), refused, "{page}");
            assert_eq!(found(413, &[], Some(&page)), refused, "{page}");
            assert_eq!(found(414, &[], Some(&page)), None, "{page}");
            let late = format!("{}{page}", "x".repeat(5000));
            assert_eq!(found(400, &[], Some(&late)), None);
        }
        assert_eq!(found(431, &[], None), refused);
        assert_eq!(found(413, &[], Some("<h1>413 Request Entity Too Large</h1>")), None);
    }

    /// Location, what the client sent beside Host, and whether it goes round.
    const REDIRECTS: [(&str, Fields, bool); 26] = [
        ("/x?y", &[], true),
        ("/x?y#part", &[], true),
        ("//shop.example/x?y", &[], true),
        ("http://shop.example/x?y", &[], true),
        ("HTTP://SHOP.example:80/x?y", &[], true),
        ("https://shop.example/x?y", &[("x-forwarded-proto", "https")], true),
        ("https://shop.example:443/x?y", &[("x-forwarded-proto", "HTTPS")], true),
        ("https://shop.example/x?y", &[("forwarded", "for=1.2.3.4;proto=https")], true),
        ("https://shop.example/x?y", &[("x-forwarded-ssl", "on")], true),
        ("https://shop.example/x?y", &[("x-forwarded-scheme", "https")], true),
        ("https://shop.example/x?y", &[("front-end-https", "on")], true),
        ("https://shop.example/x?y", &[("cloudfront-forwarded-proto", "https")], true),
        ("https://shop.example/x?y", &[("cf-visitor", "{\"scheme\":\"https\"}")], true),
        ("https://shop.example/x?y", &[("sec-fetch-site", "none")], true),
        // The first step from http to https.
        ("https://shop.example/x?y", &[], false),
        ("https://shop.example/x?y", &[("x-forwarded-proto", "http")], false),
        // And one back, which whoever took the TLS off may do with as it likes.
        ("http://shop.example/x?y", &[("x-forwarded-proto", "https")], false),
        ("https://www.shop.example/x?y", &[("x-forwarded-proto", "https")], false),
        ("http://shop.example:8080/x?y", &[], false),
        ("//other.example/x?y", &[], false),
        ("/x", &[], false),
        ("/x/?y", &[], false),
        ("x?y", &[], false),
        ("", &[], false),
        ("mailto:x?y", &[], false),
        ("https://", &[], false),
    ];

    #[test]
    fn a_redirect_to_the_same_place_goes_round() {
        for (location, sent, round) in REDIRECTS {
            let mut headers = HeaderMap::new();
            headers.insert(header::LOCATION, HeaderValue::from_static(location));
            let mut sent = map(sent);
            sent.insert(header::HOST, HeaderValue::from_static("shop.example"));
            let go = |status, headers: &HeaderMap, method: &Method| {
                let received = Received { status, headers, page: Some(b"moved") };
                let (path_and_query, fastcgi) = ("/x?y", false);
                let asked = Question { method, path_and_query, headers: &sent, fastcgi };
                answered(&received, &asked).map(|(cause, _)| cause.code())
            };
            let expected = round.then_some(Code::RedirectLoop);
            for status in [301, 302, 303, 307, 308] {
                assert_eq!(go(status, &headers, &Method::GET), expected, "{location} {sent:?}");
            }
            assert_eq!(go(302, &headers, &Method::HEAD), expected, "{location} {sent:?}");
            // After a form, and where no redirect is meant.
            assert_eq!(go(303, &headers, &Method::POST), None);
            assert_eq!(go(304, &headers, &Method::GET), None);
            // It looks whether the client takes cookies.
            headers.insert(header::SET_COOKIE, HeaderValue::from_static("seen=1"));
            assert_eq!(go(302, &headers, &Method::GET), None);
        }
    }

    #[test]
    fn a_browser_calls_its_own_host_secure() {
        for (host, round) in [("localhost:8502", false), ("127.0.0.1", false), ("shop.lan", true)] {
            let mut sent = map(&[("sec-fetch-site", "none")]);
            sent.insert(header::HOST, HeaderValue::from_static(host));
            assert_eq!(came_by_tls(&sent, host), round, "{host}");
        }
        assert_eq!(without_port("[::1]"), "[::1]");
        assert_eq!(without_port("[::1]:80"), "[::1]");
    }
}
