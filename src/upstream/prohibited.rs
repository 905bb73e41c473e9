//! Addresses to which no name may lead: our own listeners, since the request would go round for
//! ever, and the metadata services of clouds, which give out credentials.
//!
//! A server that the operator wrote as an address is his own choice and is not asked about here.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use super::failure::Prohibited;

/// Metadata services: the one of most clouds, Amazon's for tasks and for IPv6, Alibaba's.
const METADATA: [IpAddr; 4] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
];

/// Why a name must not lead to an address, if it must not.
pub fn prohibits(listeners: &[SocketAddr], address: SocketAddr) -> Option<Prohibited> {
    let ip = address.ip().to_canonical();
    if METADATA.contains(&ip) {
        return Some(Prohibited::Metadata);
    }
    let own = listeners.iter().any(|listener| {
        let bound = listener.ip();
        // Our listener on every address of IPv6 is for IPv6 alone.
        let wide = bound.is_unspecified() && bound.is_ipv4() == ip.is_ipv4();
        listener.port() == address.port() && (bound == ip || (wide && is_here(ip)))
    });
    own.then_some(Prohibited::OwnListener)
}

/// Whether an address is one of this host's: only those can be bound to. Sends nothing.
fn is_here(ip: IpAddr) -> bool {
    let bound: io::Result<UdpSocket> = UdpSocket::bind((ip, 0));
    ip.is_loopback() || bound.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_listeners_and_metadata_services_are_no_destinations() {
        let listeners = ["127.0.0.1:8080", "0.0.0.0:80", "[::]:443"];
        let listeners = listeners.map(|listener| listener.parse().unwrap());
        for (address, expected) in [
            ("127.0.0.1:8080", Some(Prohibited::OwnListener)),
            ("127.0.0.2:8080", None),
            ("127.0.0.1:80", Some(Prohibited::OwnListener)),
            ("[::ffff:127.0.0.1]:80", Some(Prohibited::OwnListener)),
            ("[::1]:443", Some(Prohibited::OwnListener)),
            ("127.0.0.1:443", None),
            ("127.0.0.1:81", None),
            // Of documentation (RFC 5737): not this host's.
            ("203.0.113.7:80", None),
            ("169.254.169.254:80", Some(Prohibited::Metadata)),
            ("[::ffff:169.254.169.254]:8080", Some(Prohibited::Metadata)),
            ("[fd00:ec2::254]:80", Some(Prohibited::Metadata)),
            ("169.254.1.1:80", None),
        ] {
            assert_eq!(prohibits(&listeners, address.parse().unwrap()), expected, "{address}");
        }
    }
}
