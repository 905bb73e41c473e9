//! Sockets of this host as the kernel tells them by sock_diag(7), which needs no privilege; `ss`
//! shows the same.
//!
//! Asks, bounds the answer, and turns its rows into our own; what they mean is the callers'. A dump
//! takes some tens of microseconds, so it blocks.

use std::ffi::OsStr;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use netlink_packet_core::{Emitable, Nla as _};
use netlink_packet_sock_diag::inet::{
    self, ExtensionFlags, InetRequest, InetResponse, SocketId, StateFlags,
};
use netlink_packet_sock_diag::unix::nlas::{Nla, UnixDiagName};
use netlink_packet_sock_diag::unix::{self, ShowFlags, UnixRequest, UnixResponse};
use netlink_packet_sock_diag::{AF_INET, AF_INET6, IPPROTO_TCP, SockDiagMessage, TCP_LISTEN};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;

use crate::diagnose::Queue;

use super::netlink::{self, Answers};
use super::owner::Sought;

/// 2 MiB of listeners: more than 20 000.
pub(super) const DATAGRAMS_MAX: usize = 64;
/// 8 MiB of connections: more than there are ports towards one address.
const CONNECTIONS_DATAGRAMS_MAX: usize = 256;
/// The cookie of no socket in particular.
const ANY: [u8; 8] = [0xff; 8];
/// INET_DIAG_CGROUP_ID of linux/inet_diag.h, since Linux 5.9: for every socket, unasked.
const CGROUP_ID: u16 = 21;
/// UNIX_DIAG_UID of linux/unix_diag.h, since Linux 5.3, and the flag that asks for it.
const UNIX_UID: u16 = 7;
const SHOW_UNIX_UID: u32 = 1 << 6;

/// A socket that TCP is listened on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tcp {
    pub address: SocketAddr,
    /// One of IPv6 that takes no IPv4.
    pub only_v6: bool,
    pub uid: u32,
    /// The socket's own number, as in /proc/PID/fd.
    pub inode: u32,
    /// The control group that it was opened in.
    pub cgroup: Option<u64>,
    pub queue: Queue,
}

/// A Unix socket with a path that is listened on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unix {
    pub path: PathBuf,
    /// The number of its file, the low 32 bits.
    pub file: Option<u32>,
    pub uid: Option<u32>,
    /// The socket's own number, as in /proc/PID/fd.
    pub inode: u32,
    pub queue: Option<Queue>,
}

/// Every socket that TCP is listened on; at one port alone, if one is given.
///
/// # Errors
/// No netlink socket could be had (a sandbox may forbid it), or no answer came in time.
pub fn tcp_listeners(port: Option<u16>) -> io::Result<Vec<Tcp>> {
    let mut found = Vec::new();
    for family in [AF_INET, AF_INET6] {
        let id = SocketId { source_port: port.unwrap_or(0), ..SocketId::new_v4() };
        dump(tcp_request(family, StateFlags::LISTEN, id), DATAGRAMS_MAX, |message| {
            let SockDiagMessage::InetResponse(row) = message else { return };
            // The kernel filters by port; that it did is not taken on trust.
            found.extend(Tcp::of(&row).filter(|tcp| port.is_none_or(|port| tcp.is_at(port))));
        })?;
    }
    Ok(found)
}

/// Every Unix socket with a path that is listened on.
///
/// # Errors
/// As [`tcp_listeners`].
pub fn unix_listeners() -> io::Result<Vec<Unix>> {
    let mut found = Vec::new();
    dump(unix_request(), DATAGRAMS_MAX, |message| {
        let SockDiagMessage::UnixResponse(row) = message else { return };
        found.extend(Unix::of(&row));
    })?;
    Ok(found)
}

/// How many local ports are in use towards an address, those that wait for their end included.
///
/// # Errors
/// As [`tcp_listeners`].
pub fn ports_towards(address: SocketAddr) -> io::Result<u64> {
    let ip = address.ip().to_canonical();
    let (family, id) = match ip {
        IpAddr::V4(_) => (AF_INET, SocketId::new_v4()),
        IpAddr::V6(_) => (AF_INET6, SocketId::new_v6()),
    };
    let id = SocketId { destination_port: address.port(), ..id };
    let states = StateFlags::all().difference(StateFlags::LISTEN | StateFlags::CLOSE);
    let mut count = 0;
    dump(tcp_request(family, states, id), CONNECTIONS_DATAGRAMS_MAX, |message| {
        let SockDiagMessage::InetResponse(row) = message else { return };
        let to = &row.header.socket_id;
        let is_same = to.destination_address.to_canonical() == ip;
        count += u64::from(is_same && to.destination_port == address.port());
    })?;
    Ok(count)
}

fn tcp_request(family: u8, states: inet::StateFlags, socket_id: SocketId) -> SockDiagMessage {
    SockDiagMessage::InetRequest(InetRequest {
        family,
        protocol: IPPROTO_TCP,
        extensions: ExtensionFlags::empty(),
        states,
        socket_id,
    })
}

fn unix_request() -> SockDiagMessage {
    let shown = ShowFlags::NAME | ShowFlags::VFS | ShowFlags::RQLEN;
    SockDiagMessage::UnixRequest(UnixRequest {
        state_flags: unix::StateFlags::LISTEN,
        inode: 0,
        show_flags: shown | ShowFlags::from_bits_retain(SHOW_UNIX_UID),
        cookie: ANY,
    })
}

impl Tcp {
    fn of(row: &InetResponse) -> Option<Tcp> {
        let header = &row.header;
        let only_v6 = row.nlas.iter().any(|attribute| match attribute {
            inet::nlas::Nla::SkV6Only(only) => *only,
            _ => false,
        });
        let cgroup = row.nlas.iter().find_map(|attribute| match attribute {
            inet::nlas::Nla::Other(other) if other.kind() == CGROUP_ID => u64_of(other),
            _ => None,
        });
        (header.state == TCP_LISTEN).then(|| Tcp {
            address: SocketAddr::new(header.socket_id.source_address, header.socket_id.source_port),
            only_v6,
            uid: header.uid,
            inode: header.inode,
            cgroup,
            queue: Queue { pending: header.recv_queue, backlog: header.send_queue },
        })
    }

    fn is_at(&self, port: u16) -> bool {
        self.address.port() == port
    }

    pub fn sought(&self) -> Sought {
        Sought { uid: Some(self.uid), cgroup: self.cgroup, inode: self.inode }
    }
}

impl Unix {
    /// `None` for one of the abstract kind, which has no path.
    fn of(row: &UnixResponse) -> Option<Unix> {
        let Some(UnixDiagName::Pathname(path)) = row.name() else { return None };
        let uid = row.nlas.iter().find_map(|attribute| match attribute {
            Nla::Other(other) if other.kind() == UNIX_UID => u32_of(other),
            _ => None,
        });
        let file = row.nlas.iter().find_map(|attribute| match attribute {
            // struct unix_diag_vfs: inode, then device.
            Nla::Vfs(vfs) => {
                let mut bytes = [0; 8];
                vfs.emit(&mut bytes);
                bytes.first_chunk().map(|inode| u32::from_ne_bytes(*inode))
            }
            _ => None,
        });
        let lengths = (row.number_of_pending_connection(), row.max_number_of_pending_connection());
        let queue = match lengths {
            (Some(pending), Some(backlog)) => Some(Queue { pending, backlog }),
            (None, _) | (_, None) => None,
        };
        let path = PathBuf::from(OsStr::new(path));
        Some(Unix { path, file, uid, inode: row.header.inode, queue })
    }

    /// The kernel does not tell a Unix socket's control group.
    pub fn sought(&self) -> Sought {
        Sought { uid: self.uid, cgroup: None, inode: self.inode }
    }
}

fn u64_of(attribute: &impl netlink_packet_core::Nla) -> Option<u64> {
    value(attribute).map(u64::from_ne_bytes)
}

fn u32_of(attribute: &impl netlink_packet_core::Nla) -> Option<u32> {
    value(attribute).map(u32::from_ne_bytes)
}

/// The value of an attribute, if it is of this size.
fn value<const SIZE: usize>(attribute: &impl netlink_packet_core::Nla) -> Option<[u8; SIZE]> {
    let mut bytes = [0; SIZE];
    (attribute.value_len() == SIZE).then(|| attribute.emit_value(&mut bytes))?;
    Some(bytes)
}

/// Asks the kernel for every socket that a request means.
///
/// # Errors
/// No netlink socket could be had (a sandbox may forbid it), or no answer came in time.
pub(super) fn dump(
    request: SockDiagMessage,
    datagrams_max: usize,
    row: impl FnMut(SockDiagMessage),
) -> io::Result<()> {
    netlink::ask(NETLINK_SOCK_DIAG, request, Answers::Dump { datagrams_max }, row)
}

/// How many rows one datagram holds, and whether more are to come: the parser and the reading of
/// its attributes alone, for their fuzzing.
#[cfg(any(fuzzing, test))]
pub fn rows(datagram: &[u8]) -> (usize, bool) {
    let mut count = 0;
    let more = netlink::read(datagram, &mut |message| {
        count += 1;
        match message {
            SockDiagMessage::InetResponse(row) => drop(Tcp::of(&row)),
            SockDiagMessage::UnixResponse(row) => drop(Unix::of(&row)),
            SockDiagMessage::InetRequest(_) | SockDiagMessage::UnixRequest(_) => {}
        }
    });
    (count, more.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixListener;

    use netlink_packet_core::{NetlinkHeader, NetlinkMessage, NetlinkPayload};

    use super::*;

    #[test]
    fn a_listener_is_told_with_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("app.sock");
        let _unix = UnixListener::bind(&path).unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = tcp.local_addr().unwrap();
        let we = rustix::process::geteuid().as_raw();
        let found = unix_listeners().unwrap().into_iter().find(|unix| unix.path == path).unwrap();
        assert_eq!((found.uid, found.queue.map(|queue| queue.pending)), (Some(we), Some(0)));
        let found = tcp_listeners(Some(address.port())).unwrap();
        let found = found.iter().find(|tcp| tcp.address == address).unwrap();
        assert_eq!((found.uid, found.only_v6), (we, false));
        assert!(found.cgroup.is_some(), "{found:?}");
        assert!(tcp_listeners(None).unwrap().contains(found));
    }

    #[test]
    fn ports_are_counted_towards_one_address_alone() {
        for ip in ["127.0.0.1", "::1"] {
            let listener = TcpListener::bind((ip, 0)).unwrap();
            let address = listener.local_addr().unwrap();
            assert_eq!(ports_towards(address).unwrap(), 0, "{ip}");
            let held = [(); 3].map(|()| TcpStream::connect(address).unwrap());
            assert_eq!(ports_towards(address).unwrap(), 3, "{ip}");
            let other = SocketAddr::new("127.0.0.9".parse().unwrap(), address.port());
            assert_eq!(ports_towards(other).unwrap(), 0, "{ip}");
            drop(held);
        }
    }

    /// Whatever comes in place of a dump, cut anywhere or changed anywhere, is survived.
    #[test]
    fn bytes_that_are_no_dump_are_survived() {
        let dir = tempfile::tempdir().unwrap();
        let _unix = UnixListener::bind(dir.path().join("fpm.sock")).unwrap();
        let _tcp = TcpListener::bind("[::1]:0").unwrap();
        let listening = tcp_request(AF_INET6, StateFlags::LISTEN, SocketId::new_v6());
        for request in [unix_request(), listening] {
            let mut dumped = Vec::new();
            dump(request, DATAGRAMS_MAX, |message| dumped.push(message)).unwrap();
            let mut datagram = Vec::new();
            for message in dumped.into_iter().take(3) {
                let payload = NetlinkPayload::InnerMessage(message);
                let mut message = NetlinkMessage::new(NetlinkHeader::default(), payload);
                message.finalize();
                let start = datagram.len();
                datagram.resize(start + message.buffer_len().next_multiple_of(4), 0);
                message.serialize(&mut datagram[start..]);
            }
            assert!(rows(&datagram).0 > 0);
            for at in 0..datagram.len() {
                rows(&datagram[..at]);
                for changed in [0, 1, 0x7f, 0xff] {
                    let mut datagram = datagram.clone();
                    datagram[at] = changed;
                    rows(&datagram);
                }
            }
        }
    }
}
