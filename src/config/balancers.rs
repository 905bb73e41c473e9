//! `client.proxy_protocol`: whose connections begin with a header of the PROXY protocol.
//!
//! Decides who has to send one, by the address of the peer alone; not what such a header says.

use std::net::IpAddr;

use ipnet::IpNet;

use super::address::network;
use super::error::Fault;

/// The balancers that introduce their clients.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Balancers {
    pub networks: Vec<IpNet>,
    /// Whoever connects to a Unix listener.
    pub unix: bool,
}

/// One element of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Balancer {
    Network(IpNet),
    Unix,
}

impl Balancers {
    pub fn of(list: Vec<Balancer>) -> Balancers {
        let mut balancers = Balancers::default();
        for balancer in list {
            match balancer {
                Balancer::Network(network) => balancers.networks.push(network),
                Balancer::Unix => balancers.unix = true,
            }
        }
        balancers
    }

    /// Whether this peer has to begin with a header; `None` is one on a Unix listener.
    pub fn cover(&self, peer: Option<IpAddr>) -> bool {
        match peer {
            Some(peer) => self.networks.iter().any(|network| network.contains(&peer)),
            None => self.unix,
        }
    }
}

/// Reads an element of `proxy_protocol`.
///
/// # Errors
/// Neither a network nor the word for Unix listeners.
pub fn balancer(text: &str) -> Result<Balancer, Fault> {
    if text == "unix" {
        return Ok(Balancer::Unix);
    }
    let expected = "a network, e.g. \"10.0.0.0/8\", or \"unix\" for Unix listeners";
    let meant = text.starts_with("unix:").then_some("unix");
    network(text).map(Balancer::Network).map_err(|fault| match meant {
        Some(_) => fault.expected(expected).nearest(meant),
        None => fault.expected(expected),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_covers_what_it_names() {
        let list = ["10.0.0.0/8", "2001:db8::/32", "unix"].map(|text| balancer(text).unwrap());
        let balancers = Balancers::of(list.to_vec());
        for (peer, covered) in
            [("10.1.2.3", true), ("11.0.0.1", false), ("2001:db8::7", true), ("::1", false)]
        {
            assert_eq!(balancers.cover(Some(peer.parse().unwrap())), covered, "{peer}");
        }
        assert!(balancers.cover(None) && !Balancers::default().cover(None));
        for (text, near) in
            [("10.0.0.7", Some("10.0.0.7/32")), ("unix:/run/a.sock", Some("unix")), ("any", None)]
        {
            assert_eq!(balancer(text).unwrap_err().nearest.as_deref(), near, "{text}");
        }
    }
}
