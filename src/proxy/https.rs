//! What is said to clients about HTTPS: where to come back to, and to come no other way. Pure.

use std::net::SocketAddr;

use http::header::{self, HeaderName, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};

use crate::config::Hsts;

use super::client::Client;
use super::route::without_port;

const HTTPS_PORT: u16 = 443;
/// The challenges of RFC 8555 section 8.3 are asked for without TLS: a first certificate is to be
/// had that way.
const CHALLENGES: &str = "/.well-known/acme-challenge/";

/// Where a request is sent to that came without TLS and is to come with it; `None`: it may stay.
///
/// Whatever the host: an operator who asks for this wants nothing of the block to be served in the
/// open, and a name that no certificate has shows at once in every browser. Behind a trusted proxy
/// that took TLS off, the client came with it.
pub fn redirect(
    parts: &Parts,
    client: &Client,
    local: Option<SocketAddr>,
    port: Option<u16>,
) -> Option<(StatusCode, HeaderValue)> {
    let claimed = parts.headers.get("x-forwarded-proto").filter(|_| client.trusted);
    if claimed.is_some_and(|scheme| scheme == "https") || parts.uri.path().starts_with(CHALLENGES) {
        return None;
    }
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let address = local.map(|local| match local.ip().to_canonical() {
        std::net::IpAddr::V4(address) => address.to_string(),
        std::net::IpAddr::V6(address) => format!("[{address}]"),
    });
    // A client of HTTP/1.0 may name no host; it knows the address that it came to.
    let host = host.map(without_port).filter(|host| !host.is_empty()).or(address.as_deref())?;
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let target = if target.starts_with('/') { target } else { "/" };
    let location = match port {
        None | Some(HTTPS_PORT) => format!("https://{host}{target}"),
        Some(port) => format!("https://{host}:{port}{target}"),
    };
    // RFC 9110 section 15.4: with 301 a client may turn any method into GET, so that others than
    // GET and HEAD get 308; those two get what every crawler and program has known for ever.
    let status = match parts.method == Method::GET || parts.method == Method::HEAD {
        true => StatusCode::MOVED_PERMANENTLY,
        false => StatusCode::PERMANENT_REDIRECT,
    };
    Some((status, HeaderValue::try_from(location).ok()?))
}

/// The field's value (RFC 6797 section 6.1).
pub fn strict(hsts: &Hsts) -> HeaderValue {
    let subdomains = if hsts.subdomains { "; includeSubDomains" } else { "" };
    let value = format!("max-age={}{subdomains}", hsts.max_age.as_secs());
    HeaderValue::try_from(value).expect("a number and a word of ours are printable ASCII")
}

/// Puts the field into an answer over TLS. One that the upstream wrote stays alone: a client heeds
/// the first only (RFC 6797 section 8.1).
pub fn insist(headers: &mut HeaderMap, strict: &HeaderValue) {
    const NAME: HeaderName = header::STRICT_TRANSPORT_SECURITY;
    headers.entry(NAME).or_insert_with(|| strict.clone());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::proxy::client;

    /// Each row: method, target, fields, port, and where to.
    #[test]
    fn where_requests_are_sent() {
        let page = config::Page {
            trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
            ..config::Page::default()
        };
        let local = Some("192.0.2.9:80".parse().unwrap());
        for (method, target, fields, port, expected) in [
            (
                "GET",
                "/a?b=c",
                &[("host", "shop.example")][..],
                None,
                "301 https://shop.example/a?b=c",
            ),
            ("HEAD", "/", &[("host", "shop.example:80")], Some(443), "301 https://shop.example/"),
            (
                "POST",
                "/a",
                &[("host", "shop.example:8080")],
                Some(8443),
                "308 https://shop.example:8443/a",
            ),
            ("GET", "/", &[("host", "[::1]:8080")], None, "301 https://[::1]/"),
            ("GET", "/", &[], None, "301 https://192.0.2.9/"),
            ("OPTIONS", "*", &[("host", "a")], None, "308 https://a/"),
            ("GET", "http://a/b", &[("host", "a")], None, "301 https://a/b"),
            ("GET", "/.well-known/acme-challenge/x", &[("host", "a")], None, "-"),
            ("GET", "/.well-known/acme", &[("host", "a")], None, "301 https://a/.well-known/acme"),
            ("GET", "/", &[("host", "a"), ("x-forwarded-proto", "https")], None, "-"),
            ("GET", "/", &[("host", "a"), ("x-forwarded-proto", "http")], None, "301 https://a/"),
        ] {
            let mut request = http::Request::builder().method(method).uri(target);
            for (name, value) in fields {
                request = request.header(*name, *value);
            }
            let (parts, ()) = request.body(()).unwrap().into_parts();
            let peer = "10.0.0.1".parse().unwrap();
            let client = client::client(Some(peer), &parts.headers, &page);
            let sent = redirect(&parts, &client, local, port);
            let shown = sent.map_or("-".to_owned(), |(status, location)| {
                format!("{} {}", status.as_u16(), location.to_str().unwrap())
            });
            assert_eq!(shown, expected, "{method} {target} {fields:?}");
        }
        // A stranger's word is not believed.
        let request = http::Request::get("/").header("host", "a");
        let request = request.header("x-forwarded-proto", "https").body(()).unwrap();
        let (parts, ()) = request.into_parts();
        let stranger = client::client("192.0.2.1".parse().ok(), &parts.headers, &page);
        assert!(redirect(&parts, &stranger, local, None).is_some());
    }

    #[test]
    fn the_upstreams_own_field_stays_alone() {
        let day = std::time::Duration::from_secs(86400);
        let plain = strict(&Hsts { max_age: day, subdomains: false });
        assert_eq!(plain, "max-age=86400");
        let ours = strict(&Hsts { max_age: day, subdomains: true });
        assert_eq!(ours, "max-age=86400; includeSubDomains");
        let mut headers = HeaderMap::new();
        insist(&mut headers, &ours);
        insist(&mut headers, &plain);
        assert_eq!(headers.get_all(header::STRICT_TRANSPORT_SECURITY).iter().count(), 1);
        assert_eq!(headers[header::STRICT_TRANSPORT_SECURITY], ours);
    }
}
