//! What is known of one client connection, and who its client is.
//!
//! Shared by the connection's task (which reads bytes and sees what is wrong with them) and the
//! requests on it. The audience rule of operators and visitors stands here, alone.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;

use crate::config::{self, CertificateNames};
use crate::diagnose::Cause;

use super::headers;
use super::tunnel::Tunnel;

/// One client connection.
#[derive(Debug, Default)]
pub struct Connection {
    /// The TCP peer, or whom a balancer names in its place; `None` on a Unix listener.
    pub peer: Option<IpAddr>,
    /// The same with its port, and the end that it came to; `None` on a Unix listener.
    pub peer_socket: Option<SocketAddr>,
    pub local: Option<SocketAddr>,
    /// The client speaks TLS with us: the hosts of the certificate that it was shown.
    pub certificate: Option<Arc<CertificateNames>>,
    /// The peer's address in print.
    pub peer_text: String,
    /// The forwarded fields of every request of an untrusted peer, up to the host.
    pub forwarded: Vec<u8>,
    /// A balancer took TLS off.
    pub offloaded: bool,
    /// A balancer named nobody, or an address that means nothing here: no rule is to know it.
    pub strange: bool,
    /// Which of the configuration's listeners accepted it; moves with a reload.
    pub listener: Rc<Cell<usize>>,
    /// Set when a request's body broke: its cause is the client's.
    pub body_fault: RefCell<Option<Cause>>,
    /// An upgraded connection's other end, waiting for its answer to be written.
    pub tunnel: RefCell<Option<Tunnel>>,
    /// A response was cut that only the connection's end would delimit: end it with a reset.
    pub cut: Cell<bool>,
}

/// What a balancer says of a connection in its header (the PROXY protocol).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Introduction {
    /// It speaks for itself.
    Itself,
    Client {
        /// The client, and the address that it came to; `None`: it is not said.
        named: Option<(SocketAddr, SocketAddr)>,
        /// The balancer took TLS off.
        secure: bool,
    },
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

    /// The same connection as its balancer introduces it.
    ///
    /// From here on the named client is the peer, in every rule, field and line. That it may be an
    /// operator, or a trusted proxy, rests on the word of a listed balancer, with two exceptions. A
    /// client that is not named would pass for the balancer itself, whose address is often one of
    /// `operators`. And an address of loopback or of one link means a process or neighbour of the
    /// host that saw it: named by a balancer on another host it is none of ours.
    pub fn introduced(mut self, introduction: &Introduction) -> Connection {
        let (named, secure) = match introduction {
            Introduction::Itself => return self,
            Introduction::Client { named, secure } => (named, secure),
        };
        let shares_host = match (self.peer, self.local) {
            (None, _) => true,
            (Some(peer), local) => {
                peer.is_loopback() || local.is_some_and(|local| local.ip().to_canonical() == peer)
            }
        };
        self.offloaded = *secure;
        self.strange = true;
        if let Some((client, reached)) = *named {
            let address = client.ip().to_canonical();
            self.strange = !shares_host && is_of_one_host(address);
            (self.peer, self.peer_socket, self.local) =
                (Some(address), Some(client), Some(reached));
            self.peer_text = address.to_string();
        }
        self.forwarded = headers::forwarded_for(&self.peer_text, self.is_secure());
        self
    }

    /// The client behind a request on it.
    pub fn client(&self, headers: &HeaderMap, page: &config::Page) -> Client {
        match self.strange {
            true => Client { address: self.peer, trusted: false, unreadable: true },
            false => client(self.peer, headers, page),
        }
    }

    /// Whether the client speaks TLS, with us or with the balancer.
    pub fn is_secure(&self) -> bool {
        self.certificate.is_some() || self.offloaded
    }
}

/// Whether an address means another party on each host: loopback, those of one link (RFC 3927,
/// RFC 4291 section 2.5.6), and those that are nobody's.
fn is_of_one_host(address: IpAddr) -> bool {
    let link = match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    link || address.is_loopback() || address.is_unspecified() || address.is_multicast()
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
    let (usual, standard) = chains(headers, &page.trusted_proxies);
    let (chain, agreed) = match (usual, standard) {
        (chain, Chain::Absent) | (Chain::Absent, chain) => (chain, true),
        // Most proxies write one of the fields and pass the other on as it came from the client:
        // where they differ, whoever it was, it is not an operator.
        (usual, standard) => (usual, usual == standard),
    };
    match chain {
        // It may forward without a chain that is read here.
        Chain::Absent => Client { address: peer, trusted, unreadable: forwards(headers) },
        Chain::Unreadable => Client { address: peer, trusted, unreadable: true },
        Chain::Client(address) => Client { address: Some(address), trusted, unreadable: !agreed },
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
        let Some(address) = self.address else { return false };
        !self.unreadable
            && contains(&page.operators, address)
            && (self.trusted || !forwards(headers))
    }
}

/// One pass over the few fields that there are: to look each name up would hash it.
fn forwards(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| FORWARDING.contains(&name.as_str()))
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

#[derive(Clone, Copy, PartialEq, Eq)]
enum Chain {
    Absent,
    /// Something in it is no address: whoever it was, it is not an operator.
    Unreadable,
    Client(IpAddr),
}

/// What X-Forwarded-For says, and what Forwarded does.
fn chains(headers: &HeaderMap, trusted: &[IpNet]) -> (Chain, Chain) {
    let members = |name: HeaderName| {
        let values = headers.get_all(name).iter();
        values.flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
    };
    let usual = members(USUAL).map(address);
    let standard =
        members(header::FORWARDED).map(|element| forwarded_for(element).and_then(address));
    (last_untrusted(usual, trusted), last_untrusted(standard, trusted))
}

const USUAL: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Walks a chain from its end, where the nearest proxy wrote, past those that are trusted.
fn last_untrusted(
    hops: impl DoubleEndedIterator<Item = Option<IpAddr>>,
    trusted: &[IpNet],
) -> Chain {
    let mut chain = Chain::Absent;
    for hop in hops.rev() {
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
    fn no_balancer_elsewhere_makes_an_operator_of_its_own_host() {
        let page = config::Page {
            operators: ["127.0.0.0/8", "::1/128", "192.0.2.0/24", "169.254.0.0/16", "10.0.0.0/8"]
                .map(|net| net.parse().unwrap())
                .to_vec(),
            trusted_proxies: vec![
                "127.0.0.0/8".parse().unwrap(),
                "198.51.100.0/24".parse().unwrap(),
            ],
            ..config::Page::default()
        };
        let reached: SocketAddr = "192.0.2.80:443".parse().unwrap();
        let forwarded = HeaderMap::from_iter([(
            header::HeaderName::from_static("x-forwarded-for"),
            "192.0.2.7".parse().unwrap(),
        )]);
        let none = HeaderMap::new();
        for (balancer, named, headers, address, operator) in [
            // A listed balancer's word on an address that means the same everywhere.
            (Some("10.0.0.1"), Some("192.0.2.7"), &none, "192.0.2.7", true),
            (Some("10.0.0.1"), Some("203.0.113.9"), &none, "203.0.113.9", false),
            (Some("10.0.0.1"), Some("192.0.2.7"), &forwarded, "192.0.2.7", false),
            // A CDN in front of it, whose word on its own clients counts too.
            (Some("10.0.0.1"), Some("198.51.100.1"), &forwarded, "192.0.2.7", true),
            // Loopback and links of another host.
            (Some("10.0.0.1"), Some("127.0.0.1"), &none, "127.0.0.1", false),
            (Some("10.0.0.1"), Some("127.0.0.1"), &forwarded, "127.0.0.1", false),
            (Some("10.0.0.1"), Some("::1"), &none, "::1", false),
            (Some("10.0.0.1"), Some("::ffff:127.0.0.1"), &none, "127.0.0.1", false),
            (Some("10.0.0.1"), Some("169.254.1.1"), &none, "169.254.1.1", false),
            // Of this one.
            (Some("127.0.0.1"), Some("127.0.0.1"), &none, "127.0.0.1", true),
            (Some("192.0.2.80"), Some("127.0.0.1"), &none, "127.0.0.1", true),
            (None, Some("127.0.0.1"), &none, "127.0.0.1", true),
            (Some("127.0.0.1"), Some("203.0.113.9"), &none, "203.0.113.9", false),
            // Nobody is named: not the balancer's own rank.
            (Some("127.0.0.1"), None, &none, "127.0.0.1", false),
            (Some("10.0.0.1"), None, &none, "10.0.0.1", false),
            (None, None, &none, "unix", false),
        ] {
            let socket = |address: &str| SocketAddr::new(address.parse().unwrap(), 9);
            let peer = balancer.map(socket);
            let connection = Connection::new(peer, peer.map(|_| reached), Rc::default(), None);
            let named = named.map(|named| (socket(named), reached));
            let connection = connection.introduced(&Introduction::Client { named, secure: false });
            let client = connection.client(headers, &page);
            let shown = client.address.map_or("unix".to_owned(), |address| address.to_string());
            let found = (shown.as_str(), client.is_operator(headers, &page));
            assert_eq!(found, (address, operator), "{balancer:?} {named:?} {headers:?}");
        }
    }

    #[test]
    fn a_balancer_that_speaks_for_itself_is_the_peer() {
        let peer: SocketAddr = "127.0.0.1:9".parse().unwrap();
        let connection = Connection::new(Some(peer), Some(peer), Rc::default(), None);
        let client = connection
            .introduced(&Introduction::Itself)
            .client(&HeaderMap::new(), &config::Page::default());
        assert!(client.is_operator(&HeaderMap::new(), &config::Page::default()));
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
            // It forwards, and names nobody where that is read.
            ("127.0.0.1", local, &[("x-real-ip", "192.0.2.7")], "127.0.0.1", false),
            ("127.0.0.1", local, &[("via", "1.1 a")], "127.0.0.1", false),
            ("10.0.0.1", proxy, &[("forwarded", "for=\"[2001:db8::1]:80\"")], "2001:db8::1", false),
            ("10.0.0.1", proxy, &[("forwarded", "proto=http; For=127.0.0.1")], "127.0.0.1", true),
            // The field that it does not write is the client's own.
            (
                "10.0.0.1",
                proxy,
                &[("x-forwarded-for", "192.0.2.7"), ("forwarded", "for=127.0.0.1")],
                "192.0.2.7",
                false,
            ),
            (
                "10.0.0.1",
                proxy,
                &[("x-forwarded-for", "127.0.0.1"), ("forwarded", "for=192.0.2.7")],
                "127.0.0.1",
                false,
            ),
            (
                "10.0.0.1",
                proxy,
                &[("x-forwarded-for", "127.0.0.1"), ("forwarded", "for=127.0.0.1")],
                "127.0.0.1",
                true,
            ),
            (
                "10.0.0.1",
                proxy,
                &[("x-forwarded-for", "junk"), ("forwarded", "for=127.0.0.1")],
                "10.0.0.1",
                false,
            ),
        ] {
            let expected = (address.to_owned(), operator);
            assert_eq!(who(peer, trusted, fields), expected, "{peer} {trusted:?} {fields:?}");
        }
    }
}
