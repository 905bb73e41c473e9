//! One ICMP echo by a datagram socket (icmp(7), `IPPROTO_ICMP`), which needs no privilege where the
//! kernel's `ping_group_range` lets our group.

use std::io::{self, Read};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

use crate::diagnose::around::{Need, Ping, Seen};

/// A host of one's own network answers within a few milliseconds.
const LIMIT: Duration = Duration::from_millis(100);
/// Types of the question and the answer (RFC 792; RFC 4443 section 4).
const ECHO: (u8, u8) = (8, 0);
const ECHO_6: (u8, u8) = (128, 129);
/// The shortest answer: type, code, checksum, identifier, number.
const HEAD: usize = 8;

/// Asks a host whether it is there.
pub fn ping(address: SocketAddr) -> Seen<Ping> {
    let address = SocketAddr::new(address.ip().to_canonical(), 0);
    let started = Instant::now();
    match ask(address) {
        Ok(true) => Seen::Found(Ping::Answered(started.elapsed())),
        Ok(false) => Seen::Found(Ping::Silent),
        Err(error) => refused(&error),
    }
}

/// Whether an answer came.
fn ask(address: SocketAddr) -> io::Result<bool> {
    let (protocol, (echo, reply)) = match address {
        SocketAddr::V4(_) => (Protocol::ICMPV4, ECHO),
        SocketAddr::V6(_) => (Protocol::ICMPV6, ECHO_6),
    };
    let mut socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(protocol))?;
    // What a router says comes as an error of this socket; without it, as silence.
    let _ = match address {
        SocketAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4RecvErr, &true),
        SocketAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvErr, &true),
    };
    socket.connect(&address.into())?;
    // The kernel enters identifier and checksum.
    socket.send(&[echo, 0, 0, 0, 0, 0, 0, 1])?;
    let deadline = Instant::now() + LIMIT;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        socket.set_read_timeout(Some(left))?;
        let mut answer = [0; 64];
        match socket.read(&mut answer) {
            Ok(length) if length >= HEAD && answer[0] == reply => return Ok(true),
            // Something else that came to this socket.
            Ok(_) => {}
            Err(error) if is_silence(&error) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}

fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn refused(error: &io::Error) -> Seen<Ping> {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Seen::Denied(Need::PingGroupRange),
        io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::ConnectionRefused => Seen::Found(Ping::Unreachable),
        _ => Seen::Late,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_answers_or_the_kernel_says_that_we_may_not_ask() {
        for address in ["127.0.0.1:80", "[::1]:80"] {
            let seen = ping(address.parse().unwrap());
            let allowed = matches!(seen, Seen::Found(Ping::Answered(_)));
            assert!(allowed || seen == Seen::Denied(Need::PingGroupRange), "{address}: {seen:?}");
        }
    }

    #[test]
    fn what_the_kernel_says_is_told_apart() {
        for (errno, expected) in [
            (13, Seen::Denied(Need::PingGroupRange)),
            (101, Seen::Found(Ping::Unreachable)),
            (113, Seen::Found(Ping::Unreachable)),
            (24, Seen::Late),
        ] {
            assert_eq!(refused(&io::Error::from_raw_os_error(errno)), expected, "{errno}");
        }
    }
}
