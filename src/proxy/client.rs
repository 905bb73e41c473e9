//! What is known of one client connection, and who its client is.
//!
//! Shared by the connection's task (which reads bytes and sees what is wrong with them) and the
//! requests on it. The audience rule of operators and visitors stands here, alone.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

use http::{HeaderMap, header};
use ipnet::IpNet;

use crate::config::{self, CertificateNames};
use crate::diagnose::Cause;

use super::headers;
use super::tunnel::Tunnel;

/// One client connection.
#[derive(Debug, Default)]
pub struct Connection {
    /// The TCP peer; `None` on a Unix listener.
    pub peer: Option<IpAddr>,
    /// The same with its port, and our end; `None` on a Unix listener.
    pub peer_socket: Option<SocketAddr>,
    pub local: Option<SocketAddr>,
    /// The client speaks TLS with us: the hosts of the certificate that it was shown.
    pub certificate: Option<Arc<CertificateNames>>,
    /// The peer's address in print.
    pub peer_text: String,
    /// The forwarded fields of every request of an untrusted peer, up to the host.
    pub forwarded: Vec<u8>,
    /// Which of the configuration's listeners accepted it; moves with a reload.
    pub listener: Rc<Cell<usize>>,
    /// Set when a request was refused as it was read: the next one that hyper hands over stands for
    /// it.
    pub rejection: RefCell<Option<Rejection>>,
    /// Set when a request's body broke: its cause is the client's.
    pub body_fault: RefCell<Option<Cause>>,
    /// Request heads that passed.
    pub admitted: Cell<u64>,
    /// Requests handed to the proxy.
    pub served: Cell<u64>,
    /// Requests whose response is not finished.
    pub in_flight: Cell<u32>,
    /// An upgraded connection's other end, waiting for the connection to be let go by hyper.
    pub tunnel: RefCell<Option<Tunnel>>,
    pub upgrade: Cell<Upgrade>,
    /// The reader that waits for the upgrade's outcome.
    pub upgrade_waker: RefCell<Option<Waker>>,
    /// A response was cut that only the connection's end would delimit: end it with a reset.
    pub cut: Cell<bool>,
}

/// Where an upgrade stands.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Upgrade {
    #[default]
    None,
    /// Asked for; until it is answered the client's bytes belong to nobody.
    Asked,
    Granted,
}

/// A request that was refused while it was read.
#[derive(Debug, Clone)]
pub struct Rejection {
    pub cause: Cause,
    /// The start of its first line, for the log.
    pub line: Vec<u8>,
}

impl Connection {
    pub fn new(
        peer_socket: Option<SocketAddr>,
        local: Option<SocketAddr>,
        listener: Rc<Cell<usize>>,
        certificate: Option<Arc<CertificateNames>>,
    ) -> Connection {
        let peer = peer_socket.map(|peer| peer.ip().to_canonical());
        let peer_text = peer.map_or_else(|| "unix".to_owned(), |peer| peer.to_string());
        let forwarded = headers::forwarded_for(&peer_text, certificate.is_some());
        Connection {
            peer,
            peer_socket,
            local,
            certificate,
            peer_text,
            forwarded,
            listener,
            ..Connection::default()
        }
    }

    /// Whether the client speaks TLS with us.
    pub fn is_secure(&self) -> bool {
        self.certificate.is_some()
    }

    /// Ends the wait for an upgrade's outcome.
    pub fn settle_upgrade(&self, outcome: Upgrade) {
        self.upgrade.set(outcome);
        if let Some(waker) = self.upgrade_waker.take() {
            waker.wake();
        }
    }
}

/// The client behind a request: the TCP peer, or whom a trusted proxy names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    pub address: Option<IpAddr>,
    /// The peer may say whom it forwards for.
    pub trusted: bool,
    /// What a trusted peer said could not be read: whoever it was, it is not an operator.
    unreadable: bool,
}

/// Decides who asks: the TCP peer, or behind a trusted proxy the last untrusted address of the
/// chain.
pub fn client(peer: Option<IpAddr>, headers: &HeaderMap, page: &config::Page) -> Client {
    // A Unix peer has no address that a rule could name.
    let trusted = peer.is_some_and(|peer| contains(&page.trusted_proxies, peer));
    if !trusted {
        return Client { address: peer, trusted, unreadable: false };
    }
    match last_untrusted(headers, &page.trusted_proxies) {
        Chain::Absent => Client { address: peer, trusted, unreadable: false },
        Chain::Unreadable => Client { address: peer, trusted, unreadable: true },
        Chain::Client(address) => Client { address: Some(address), trusted, unreadable: false },
    }
}

impl Client {
    /// The client of a request whose fields were never read: it may have forwarded for anybody.
    pub fn unread() -> Client {
        Client { address: None, trusted: false, unreadable: true }
    }

    /// Whether the request is an operator's: its client is in `operators`, and a peer that forwards
    /// without being trusted is not believed to be the client. A proxy in front of us on this host
    /// must not turn the world into operators.
    pub fn is_operator(&self, headers: &HeaderMap, page: &config::Page) -> bool {
        // One pass over the few fields that there are: to look each name up would hash it.
        let forwards = || headers.keys().any(|name| FORWARDING.contains(&name.as_str()));
        let Some(address) = self.address else { return false };
        !self.unreadable && contains(&page.operators, address) && (self.trusted || !forwards())
    }
}

/// Fields by which a proxy says that it forwards for somebody.
const FORWARDING: [&str; 12] = [
    "x-forwarded-for",
    "forwarded",
    "via",
    "x-real-ip",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-server",
    "x-client-ip",
    "x-cluster-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "cdn-loop",
];

enum Chain {
    Absent,
    /// Something in it is no address: whoever it was, it is not an operator.
    Unreadable,
    Client(IpAddr),
}

/// Walks the chain from its end, where the nearest proxy wrote, past those that are trusted.
fn last_untrusted(headers: &HeaderMap, trusted: &[IpNet]) -> Chain {
    let mut chain = Chain::Absent;
    let mut hops: Vec<Option<IpAddr>> = Vec::new();
    for value in headers.get_all("x-forwarded-for") {
        hops.extend(value.as_bytes().split(|&byte| byte == b',').map(address));
    }
    for value in headers.get_all(header::FORWARDED) {
        let elements = value.as_bytes().split(|&byte| byte == b',');
        hops.extend(elements.map(|element| forwarded_for(element).and_then(address)));
    }
    for hop in hops.into_iter().rev() {
        match hop {
            None => return Chain::Unreadable,
            Some(hop) if contains(trusted, hop) => chain = Chain::Client(hop),
            Some(hop) => return Chain::Client(hop),
        }
    }
    chain
}

/// The `for` parameter of one element of Forwarded (RFC 7239 section 5.2).
fn forwarded_for(element: &[u8]) -> Option<&[u8]> {
    element.split(|&byte| byte == b';').find_map(|pair| {
        let pair = pair.trim_ascii();
        let name = pair.get(..4)?;
        name.eq_ignore_ascii_case(b"for=").then_some(&pair[4..])
    })
}

/// An address with or without port, quotes and brackets.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim().trim_matches('"');
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    if let Ok(address) = text.parse::<std::net::SocketAddr>() {
        return Some(address.ip().to_canonical());
    }
    let bracketed = text.strip_prefix('[')?.strip_suffix(']')?;
    bracketed.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

fn contains(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(peer: &str, trusted: &[&str], fields: &[(&'static str, &str)]) -> (String, bool) {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        let page = config::Page {
            trusted_proxies: trusted.iter().map(|net| net.parse().unwrap()).collect(),
            ..config::Page::default()
        };
        let peer: IpAddr = peer.parse().unwrap();
        let client = client(Some(peer.to_canonical()), &headers, &page);
        (client.address.unwrap().to_string(), client.is_operator(&headers, &page))
    }

    #[test]
    fn no_forged_header_makes_an_operator() {
        let proxy: &[&str] = &["10.0.0.0/8"];
        let local: &[&str] = &["127.0.0.1/32"];
        for (peer, trusted, fields, address, operator) in [
            ("127.0.0.1", &[][..], &[][..], "127.0.0.1", true),
            ("::1", &[], &[], "::1", true),
            ("::ffff:127.0.0.1", &[], &[], "127.0.0.1", true),
            ("192.0.2.1", &[], &[], "192.0.2.1", false),
            ("192.0.2.1", &[], &[("x-forwarded-for", "127.0.0.1")], "192.0.2.1", false),
            // A proxy on this host that is not declared: its visitors stay visitors.
            ("127.0.0.1", &[], &[("x-forwarded-for", "127.0.0.1")], "127.0.0.1", false),
            ("127.0.0.1", &[], &[("forwarded", "for=127.0.0.1")], "127.0.0.1", false),
            ("127.0.0.1", &[], &[("via", "1.1 nginx")], "127.0.0.1", false),
            ("127.0.0.1", &[], &[("x-real-ip", "127.0.0.1")], "127.0.0.1", false),
            // A declared one: the last address that it does not vouch for.
            ("10.0.0.1", proxy, &[("x-forwarded-for", "192.0.2.7")], "192.0.2.7", false),
            ("10.0.0.1", proxy, &[("x-forwarded-for", "127.0.0.1, 192.0.2.7")], "192.0.2.7", false),
            ("10.0.0.1", proxy, &[("x-forwarded-for", "127.0.0.1, 10.0.0.2")], "127.0.0.1", true),
            ("10.0.0.1", proxy, &[("x-forwarded-for", "127.0.0.1, junk")], "10.0.0.1", false),
            ("127.0.0.1", local, &[("x-forwarded-for", "junk")], "127.0.0.1", false),
            ("127.0.0.1", local, &[("x-forwarded-for", "192.0.2.7")], "192.0.2.7", false),
            ("127.0.0.1", local, &[], "127.0.0.1", true),
            ("10.0.0.1", proxy, &[("forwarded", "for=\"[2001:db8::1]:80\"")], "2001:db8::1", false),
            ("10.0.0.1", proxy, &[("forwarded", "proto=http; For=127.0.0.1")], "127.0.0.1", true),
        ] {
            let expected = (address.to_owned(), operator);
            assert_eq!(who(peer, trusted, fields), expected, "{peer} {trusted:?} {fields:?}");
        }
    }
}
