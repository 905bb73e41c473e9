//! A request head of HTTP/1.1 from its bytes: judged by the gate and read in the same walk. Pure.

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, Version};

use crate::diagnose::RequestFault;
use crate::server::gate::{self, Follows};
use crate::upstream::http1::names;

/// A request head that passed.
#[derive(Debug)]
pub struct Head {
    pub parts: Parts,
    pub follows: Follows,
    /// The client may use its connection again.
    pub keeps_alive: bool,
    /// It waits for word before it sends the body.
    pub expects: bool,
    /// It reads trailer fields.
    pub takes_trailers: bool,
}

/// Reads one complete head, as found by [`gate::end`].
///
/// # Errors
/// The first fault, which is answered with 400.
pub fn read(bytes: &Bytes) -> Result<Head, RequestFault> {
    let mut fields = Fields::of(bytes);
    let passed = gate::inspect(bytes, |name, value| fields.take(name, value))?;
    if fields.unfit {
        return Err(RequestFault::HeaderName);
    }
    let method = Method::from_bytes(passed.method).map_err(|_| RequestFault::RequestLine)?;
    let target = Uri::from_maybe_shared(bytes.slice_ref(passed.target));
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = method;
    parts.uri = target.map_err(|_| RequestFault::TargetInvalid)?;
    parts.version = if passed.old { Version::HTTP_10 } else { Version::HTTP_11 };
    parts.headers = fields.headers;
    Ok(Head {
        parts,
        follows: passed.follows,
        keeps_alive: passed.keeps_alive,
        expects: passed.expects,
        takes_trailers: passed.takes_trailers,
    })
}

/// The fields of a trailer section that passed the gate; those that no map has room for are left
/// out.
pub fn trailers(bytes: &Bytes) -> HeaderMap {
    let mut fields = Fields::of(bytes);
    gate::trailers(bytes, |name, value| fields.take(name, value));
    fields.headers
}

/// Fields on their way into a map, without a copy of their values.
struct Fields<'a> {
    bytes: &'a Bytes,
    headers: HeaderMap,
    /// A name or a number of fields that no map has room for.
    unfit: bool,
}

impl<'a> Fields<'a> {
    fn of(bytes: &'a Bytes) -> Fields<'a> {
        /// Room for what a plain client sends, and for what a browser does.
        const USUAL: [usize; 2] = [6, 24];
        /// A plain client's head is shorter.
        const PLAIN_MAX_BYTES: usize = 300;
        let room = USUAL[usize::from(bytes.len() > PLAIN_MAX_BYTES)];
        Fields { bytes, headers: HeaderMap::with_capacity(room), unfit: false }
    }

    fn take(&mut self, name: &[u8], value: &[u8]) {
        let name = names::read(name);
        let value = HeaderValue::from_maybe_shared(self.bytes.slice_ref(value.trim_ascii()));
        match (name, value) {
            (Ok(name), Ok(value)) => self.unfit |= self.headers.try_append(name, value).is_err(),
            (Err(_), _) | (_, Err(_)) => self.unfit = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(head: &str) -> Head {
        read(&Bytes::copy_from_slice(head.as_bytes())).unwrap()
    }

    #[test]
    fn what_passes_is_read() {
        let head =
            of("POST /a%20b?c=d HTTP/1.1\r\nHOST: shop.example \r\nX-A:1\r\nx-a: \t2\t \r\n\
             Content-Length: 5\r\nExpect: 100-Continue\r\nTE: trailers, gzip\r\n\r\n");
        assert_eq!(head.parts.method, Method::POST);
        assert_eq!(head.parts.uri, "/a%20b?c=d");
        assert_eq!(head.parts.version, Version::HTTP_11);
        assert_eq!(head.parts.headers["host"], "shop.example");
        let both: Vec<_> = head.parts.headers.get_all("x-a").iter().collect();
        assert_eq!(both, ["1", "2"]);
        assert_eq!(head.follows, Follows::Length(5));
        assert!(head.keeps_alive && head.expects && head.takes_trailers);
    }

    #[test]
    fn a_connection_is_kept_where_its_version_and_options_say_so() {
        for (version, option, kept) in [
            ("1.1", "", true),
            ("1.1", "Connection: keep-alive\r\n", true),
            ("1.1", "Connection: Close\r\n", false),
            ("1.1", "Connection: a, close\r\n", false),
            ("1.1", "Connection: close\r\nConnection: keep-alive\r\n", false),
            ("1.0", "", false),
            ("1.0", "Connection: Keep-Alive\r\n", true),
            ("1.0", "Connection: keep-alive, close\r\n", false),
        ] {
            let head = of(&format!("GET / HTTP/{version}\r\nHost: a\r\n{option}\r\n"));
            assert_eq!(head.keeps_alive, kept, "{version} {option:?}");
        }
        assert!(!of("GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n").expects);
    }

    #[test]
    fn a_target_that_is_no_uri_is_refused() {
        let bytes = Bytes::from_static(b"GET /\xff\xfe\" HTTP/1.1\r\nHost: a\r\n\r\n");
        let fault = read(&bytes).map(|head| head.parts.uri).unwrap_err();
        assert_eq!(fault, RequestFault::TargetInvalid);
    }
}
