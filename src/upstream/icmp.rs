//! What the network said of a connect that failed: the ICMP error that the kernel keeps in the
//! socket's error queue beside the errno (ip(7), Linux 5.8 and later).
//!
//! It tells a rejecting firewall from a closed port and a silent neighbour from a router, and which
//! device it was. Read only after a failure. Decides nothing about what it means.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use socket2::Socket;
use tokio::net::TcpStream;

use super::failure::{Icmp, IcmpVersion};

/// `ee_origin` of linux/errqueue.h: the error came as ICMP or ICMPv6.
const SO_EE_ORIGIN_ICMP: u8 = 2;
const SO_EE_ORIGIN_ICMP6: u8 = 3;

/// Asks the kernel to keep the ICMP error of a connect. IPv4 keeps it in any case. A failure to ask
/// costs the record alone.
pub(super) fn keep(socket: &Socket, address: SocketAddr) {
    if address.is_ipv6() {
        let _ = setsockopt(socket, sockopt::Ipv6RecvErr, &true);
    }
}

/// Takes it back once the connection stands: with it, any ICMP error about a segment would end the
/// connection (tcp(7)), where TCP is to send again (RFC 1122 section 4.2.3.9).
pub(super) fn let_go(tcp: &TcpStream, address: SocketAddr) {
    if address.is_ipv6() {
        let _ = setsockopt(tcp, sockopt::Ipv6RecvErr, &false);
    }
}

/// The ICMP error that ended a connect, if one did.
pub(super) fn record(tcp: &TcpStream) -> Option<Icmp> {
    // struct sock_extended_err and the larger of the two addresses, in one message.
    let mut space = nix::cmsg_space!([u8; 16], [u8; 28]);
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<()>(tcp.as_raw_fd(), &mut [], Some(&mut space), flags).ok()?;
    let found = message.cmsgs().ok()?.find_map(|control| match control {
        ControlMessageOwned::Ipv4RecvErr(error, from) => {
            // Both are in network byte order, which is the order of the octets.
            let from = from.map(|from| IpAddr::from(from.sin_addr.s_addr.to_ne_bytes()));
            Some((error, from))
        }
        ControlMessageOwned::Ipv6RecvErr(error, from) => {
            Some((error, from.map(|from| IpAddr::from(from.sin6_addr.s6_addr))))
        }
        _ => None,
    });
    let (error, offender) = found?;
    let version = match error.ee_origin {
        SO_EE_ORIGIN_ICMP => IcmpVersion::V4,
        SO_EE_ORIGIN_ICMP6 => IcmpVersion::V6,
        // Of the kernel's own making, a timestamp: nobody said anything.
        _ => return None,
    };
    let here = tcp.local_addr().ok().map(|here| here.ip());
    let own = offender.is_some() && offender == here;
    Some(Icmp { version, kind: error.ee_type, code: error.ee_code, offender, own })
}
