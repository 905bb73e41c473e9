//! What must hold of who asks: no field that a visitor sends makes an operator of him, whoever
//! stands between.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::config;
use crate::proxy::Connection;

/// The visitor, by the word of the proxy that stands in front of us (RFC 5737).
const VISITOR: &str = "203.0.113.9";
/// Fields that are written by their number, so that few bytes say much.
const NAMES: [&str; 4] = ["x-forwarded-for", "forwarded", "via", "x-real-ip"];

/// Fields of a visitor, a line each: through a proxy that is trusted and adds to one chain, and
/// straight from this host.
pub fn forwarded(bytes: &[u8]) {
    let sent = headers(bytes);
    let page = config::Page {
        trusted_proxies: vec!["10.0.0.0/8".parse().expect("a network")],
        ..config::Page::default()
    };
    for (name, word) in [("x-forwarded-for", VISITOR.to_owned()), ("forwarded", for_visitor())] {
        for own_line in [true, false] {
            let headers = added(&sent, name, &word, own_line);
            let connection = connection("10.0.0.1");
            let client = connection.client(&headers, &page);
            assert!(!client.is_operator(&headers, &page), "{headers:?}");
            // One that adds to the usual chain is heard, and no field beside that says otherwise.
            if name == NAMES[0] {
                let visitor: Option<IpAddr> = VISITOR.parse().ok();
                assert_eq!(client.address, visitor, "{headers:?}");
            }
        }
    }
    // Undeclared, on this host: what forwards is no operator, whatever it says.
    let here = connection("127.0.0.1");
    let client = here.client(&sent, &page);
    let forwards = sent.keys().any(|name| NAMES.contains(&name.as_str()));
    assert!(!forwards || !client.is_operator(&sent, &page), "{sent:?}");
    assert_eq!(client.address, Some(IpAddr::from([127, 0, 0, 1])));
}

fn for_visitor() -> String {
    format!("for={VISITOR};proto=http")
}

fn connection(peer: &str) -> Connection {
    let peer = SocketAddr::new(peer.parse().expect("an address"), 9);
    Connection::new(Some(peer), Some(peer), Rc::default(), None)
}

/// As proxies do: a line behind the others, or a member behind the last.
fn added(sent: &HeaderMap, name: &'static str, word: &str, own_line: bool) -> HeaderMap {
    let mut headers = sent.clone();
    let mut values: Vec<HeaderValue> = headers.get_all(name).iter().cloned().collect();
    let word = HeaderValue::from_str(word).expect("plain text");
    match values.last_mut() {
        Some(last) if !own_line => {
            let longer = [last.as_bytes(), b", ", word.as_bytes()].concat();
            *last = HeaderValue::from_bytes(&longer).expect("each of them is a value");
        }
        Some(_) | None => values.push(word),
    }
    headers.remove(name);
    headers.extend(values.into_iter().map(|value| (HeaderName::from_static(name), value)));
    headers
}

fn headers(bytes: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|&byte| byte == b'\n') {
        let Some((&kind, value)) = line.split_first() else { continue };
        let name = NAMES[usize::from(kind) % NAMES.len()];
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(name, value);
        }
    }
    headers
}
