//! A plain connect, closed at once and without a byte: does anybody listen there?

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;

use crate::clock;

/// This host answers itself at once.
const LIMIT: Duration = Duration::from_millis(100);

/// Whether a connection is taken.
pub async fn connects(address: SocketAddr) -> bool {
    matches!(clock::within(LIMIT, TcpStream::connect(address)).await, Some(Ok(_)))
}

/// The same port at the loopback address of the other family, where a program is found that listens
/// by IPv6 alone, or by IPv4 alone. `None` for addresses that are no loopback.
pub fn other_loopback(address: SocketAddr) -> Option<SocketAddr> {
    let other: IpAddr = match address.ip().to_canonical() {
        IpAddr::V4(ip) if ip.is_loopback() => Ipv6Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_loopback() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V4(_) | IpAddr::V6(_) => return None,
    };
    Some(SocketAddr::new(other, address.port()))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_listener_takes_connections_and_a_closed_port_does_not() {
        for ip in ["127.0.0.1", "::1"] {
            let listener = TcpListener::bind((ip, 0)).unwrap();
            let address = listener.local_addr().unwrap();
            assert!(connects(address).await, "{ip}");
            drop(listener);
            assert!(!connects(address).await, "{ip}");
        }
    }

    #[test]
    fn the_other_loopback_has_the_same_port() {
        for (address, other) in [
            ("127.0.0.1:80", Some("[::1]:80")),
            ("127.0.0.7:80", Some("[::1]:80")),
            ("[::ffff:127.0.0.1]:80", Some("[::1]:80")),
            ("[::1]:80", Some("127.0.0.1:80")),
            ("10.0.0.1:80", None),
            ("[fd00::1]:80", None),
        ] {
            let other = other.map(|other| other.parse().unwrap());
            assert_eq!(other_loopback(address.parse().unwrap()), other, "{address}");
        }
    }
}
