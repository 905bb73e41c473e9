//! A plain connect, closed at once and without a byte: does anybody listen there, and does the port
//! take connections that a moment ago kept us waiting?

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::TcpStream;

use crate::clock;
use crate::config::ServerAddress;
use crate::diagnose::Port;

/// This host answers itself at once.
const LIMIT: Duration = Duration::from_millis(100);
/// Another host has a second SYN before it is called silent: the first may be lost, and the next
/// goes out after a second (RFC 6298 section 2).
const SILENCE: Duration = Duration::from_millis(1500);

/// A connection for a question of a lane's own, within the limit; one to a Unix socket is had at
/// once or not at all, since a full queue would keep us.
pub(super) fn connect_now(address: &ServerAddress, limit: Duration) -> Option<Socket> {
    match address {
        ServerAddress::Unix(path) => {
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None).ok()?;
            socket.set_nonblocking(true).ok()?;
            socket.connect(&SockAddr::unix(path).ok()?).ok()?;
            socket.set_nonblocking(false).ok()?;
            Some(socket)
        }
        ServerAddress::Ip(address) => {
            let socket = Socket::new(Domain::for_address(*address), Type::STREAM, None).ok()?;
            socket.connect_timeout(&(*address).into(), limit).ok()?;
            Some(socket)
        }
        ServerAddress::Name { .. } => None,
    }
}

/// Whether a connection is taken.
pub async fn connects(address: SocketAddr) -> bool {
    matches!(clock::within(LIMIT, TcpStream::connect(address)).await, Some(Ok(_)))
}

/// How the port takes a connection; `None` when that failed for a reason of our own.
pub async fn port(address: SocketAddr) -> Option<Port> {
    match clock::within(SILENCE, TcpStream::connect(address)).await {
        Some(Ok(_)) => Some(Port::Accepts),
        Some(Err(error)) => said(&error),
        None => Some(Port::Silent),
    }
}

/// What the other side's part in an error is. Whatever is not certain to be its own, such as a lack
/// of descriptors, ports or rights or a route that is missing here, says nothing of it.
fn said(error: &io::Error) -> Option<Port> {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Some(Port::Refused),
        io::ErrorKind::HostUnreachable => Some(Port::Unreachable),
        io::ErrorKind::TimedOut => Some(Port::Silent),
        _ => None,
    }
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

    #[tokio::test]
    async fn a_port_is_told_by_how_it_takes_a_connect() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(port(address).await, Some(Port::Accepts));
        drop(listener);
        assert_eq!(port(address).await, Some(Port::Refused));
        // This host has no such link.
        assert_eq!(port("[fe80::1%4294967295]:80".parse().unwrap()).await, None);
    }

    #[test]
    fn an_error_of_our_own_says_nothing_of_the_port() {
        for (errno, expected) in [
            (111, Some(Port::Refused)),
            (113, Some(Port::Unreachable)),
            (110, Some(Port::Silent)),
            // EPERM, ENOMEM, EACCES, EINVAL, ENFILE, EMFILE.
            (1, None),
            (12, None),
            (13, None),
            (22, None),
            (23, None),
            (24, None),
            // EAFNOSUPPORT, EADDRNOTAVAIL, ENETUNREACH, ENOBUFS.
            (97, None),
            (99, None),
            (101, None),
            (105, None),
        ] {
            assert_eq!(said(&io::Error::from_raw_os_error(errno)), expected, "{errno}");
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
