//! Heads in HTTP/2's terms: the request that goes out, the response that came. Pure.
//!
//! A request is cleaned and written once, for HTTP/1.1; here its one normal form is read back, so
//! that what belongs to a hop is decided in one place for every protocol.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::uri::{self, Authority};
use http::{Method, Request, Uri, Version};

use crate::upstream::failure::HeadFailure;
use crate::upstream::http1::head::{self, Framing, Head};

/// What a line takes beside name and value in HTTP/1.1, so that one limit means the same in both.
const LINE_EXTRA: usize = 4;

/// The request, from its head in HTTP/1.1 as `proxy` writes it. `None`: that was not one.
///
/// RFC 9113 section 8.2.2: no field of the connection goes along, and TE only with `trailers`.
/// Section 8.3.1: Host becomes `:authority`. Expect stays here: the stream's window holds the body
/// back as well, and the client gets its 100 from us.
pub fn request(method: &Method, head: &[u8], scheme: uri::Scheme) -> Option<Request<()>> {
    let mut lines = [httparse::EMPTY_HEADER; head::HEADER_COUNT_MAX];
    let mut parsed = httparse::Request::new(&mut lines);
    parsed.parse(head).ok()?;
    let mut headers = HeaderMap::with_capacity(parsed.headers.len());
    let mut authority = None;
    for line in parsed.headers.iter() {
        let name = HeaderName::from_bytes(line.name.as_bytes()).ok()?;
        let value = HeaderValue::from_bytes(line.value).ok()?;
        match name.as_str() {
            "host" => authority = Some(value),
            "connection" | "transfer-encoding" | "upgrade" | "keep-alive" | "expect" => {}
            _ => {
                headers.append(name, value);
            }
        }
    }
    // A Host may have signs that the type for an authority does not take, such as "%".
    let authority = authority.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let authority = authority.unwrap_or_else(|| Authority::from_static("localhost"));
    let uri = Uri::builder().scheme(scheme).authority(authority);
    let mut request = Request::new(());
    *request.method_mut() = method.clone();
    *request.uri_mut() = uri.path_and_query(parsed.path?).build().ok()?;
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = headers;
    Some(request)
}

/// The response's head, and the length that it declares for its body.
///
/// # Errors
/// Too many fields, too large, or lengths that contradict each other.
pub fn response(
    parts: http::response::Parts,
    method: &Method,
    limit_bytes: usize,
    count_max: usize,
) -> Result<(Head, Option<u64>), HeadFailure> {
    if parts.headers.len() > count_max {
        return Err(HeadFailure::TooManyHeaders { limit: count_max });
    }
    if size(&parts.headers) > limit_bytes {
        return Err(HeadFailure::TooLarge { limit_bytes });
    }
    let mut head = Head::new(parts.status, Version::HTTP_2, parts.headers.len());
    let mut name = None;
    for (next, value) in parts.headers {
        name = next.or(name);
        // The first of each name comes with it.
        if let Some(name) = name.clone() {
            head.add(name, value).map_err(HeadFailure::Framing)?;
        }
    }
    let declared = match head::framing(&head, method).map_err(HeadFailure::Framing)? {
        Framing::None => Some(0),
        Framing::Length(length) => Some(length),
        // The stream's end ends the body.
        Framing::Chunked | Framing::Close => None,
    };
    Ok((head, declared))
}

/// What the fields would take as lines.
pub fn size(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| line_size(name, value)).sum()
}

fn line_size(name: &HeaderName, value: &HeaderValue) -> usize {
    name.as_str().len() + value.len() + LINE_EXTRA
}

/// Names of fields with the size of their lines, largest first; three at most.
pub fn largest(headers: &HeaderMap) -> Vec<(String, usize)> {
    let lines = headers.keys().map(|name| {
        let values = headers.get_all(name).iter();
        (name.to_string(), values.map(|value| line_size(name, value)).sum())
    });
    let mut lines: Vec<(String, usize)> = lines.collect();
    lines.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
    lines.truncate(3);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_loses_what_belongs_to_the_hop() {
        let head = b"POST /a?b=1 HTTP/1.1\r\nHost: shop.example:81\r\ncookie: a=1\r\n\
            Via: 1.1 causeway\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\
            Connection: TE\r\nTE: trailers\r\n\r\n";
        let request = request(&Method::POST, head, uri::Scheme::HTTPS).unwrap();
        assert_eq!(request.uri().to_string(), "https://shop.example:81/a?b=1");
        assert_eq!(request.method(), Method::POST);
        let names: Vec<_> = request.headers().keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["cookie", "via", "te"]);
    }

    #[test]
    fn whatever_the_gate_lets_through_can_be_said() {
        for (line, host, uri) in [
            ("OPTIONS *", "a", "http://a*"),
            ("GET /", "[::1]:8502", "http://[::1]:8502/"),
            ("GET /", "a%20b", "http://localhost/"),
            ("GET /a|b?q={a}", "a:", "http://a:/a|b?q={a}"),
        ] {
            let head = format!("{line} HTTP/1.1\r\nHost: {host}\r\n\r\n");
            let request = request(&Method::GET, head.as_bytes(), uri::Scheme::HTTP).expect(host);
            assert_eq!(request.uri().to_string(), uri);
        }
    }

    #[test]
    fn truncated_at_each_byte() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\nb: c\r\n\r\n";
        for end in 0..head.len() {
            drop(request(&Method::GET, &head[..end], uri::Scheme::HTTP));
        }
    }

    #[test]
    fn a_response_has_its_limits() {
        let parts = |fields: &[(&str, &str)]| {
            let mut response = http::Response::builder();
            for (name, value) in fields {
                response = response.header(*name, *value);
            }
            response.body(()).unwrap().into_parts().0
        };
        let head = |fields: &[(&str, &str)], method| response(parts(fields), &method, 64, 2);
        let (plain, declared) = head(&[("content-length", "5")], Method::GET).unwrap();
        assert_eq!((declared, plain.headers.len()), (Some(5), 1));
        assert_eq!(head(&[("a", "b")], Method::GET).unwrap().1, None);
        assert_eq!(head(&[("content-length", "5")], Method::HEAD).unwrap().1, Some(0));
        let long = "x".repeat(64);
        let failure = head(&[("a", &long)], Method::GET).unwrap_err();
        assert!(matches!(failure, HeadFailure::TooLarge { limit_bytes: 64 }));
        let many = head(&[("a", ""), ("b", ""), ("c", "")], Method::GET).unwrap_err();
        assert!(matches!(many, HeadFailure::TooManyHeaders { limit: 2 }));
        let twice = head(&[("content-length", "5"), ("content-length", "6")], Method::GET);
        assert!(matches!(twice.unwrap_err(), HeadFailure::Framing(_)));
    }
}
