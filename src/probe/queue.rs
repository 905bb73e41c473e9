//! The accept queue of a listener on this host: a pool whose workers are all busy leaves its
//! connections there, and nothing on the wire tells that from a slow page.
//!
//! Asks the kernel by sock_diag(7), which needs no privilege; `ss -lx` and `ss -lt` show the same
//! numbers. A dump takes some tens of microseconds, so it blocks. It is bounded all the same; what
//! cannot be read is `None`, never a guess.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use netlink_packet_core::{
    Emitable, NLM_F_DUMP, NLM_F_REQUEST, NetlinkBuffer, NetlinkHeader, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_sock_diag::inet::{self, ExtensionFlags, InetRequest, InetResponse, SocketId};
use netlink_packet_sock_diag::unix::nlas::{Nla, UnixDiagName};
use netlink_packet_sock_diag::unix::{self, ShowFlags, UnixRequest, UnixResponse};
use netlink_packet_sock_diag::{AF_INET, AF_INET6, IPPROTO_TCP, SockDiagMessage, TCP_LISTEN};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use netlink_sys::{Socket, SocketAddr as NetlinkAddr};
use socket2::SockRef;

use crate::config::ServerAddress;
use crate::diagnose::Queue;

/// The kernel answers while it is asked; this is for the day on which it does not.
const LIMIT: Duration = Duration::from_millis(50);
/// What the kernel puts into one datagram of a dump at most (net/netlink/af_netlink.c).
const DATAGRAM_MAX: usize = 32 * 1024;
/// 2 MiB of listeners: more than 20 000.
const DATAGRAMS_MAX: usize = 64;
/// The cookie of no socket in particular.
const ANY: [u8; 8] = [0xff; 8];

/// The queue of the listener that a server's address leads to. `address` is what a name was
/// resolved to. `None` where nobody listens on this host.
pub fn accept_queue(server: &ServerAddress, address: Option<SocketAddr>) -> Option<Queue> {
    match (server, address) {
        (ServerAddress::Unix(path), _) => unix_queue(path),
        (ServerAddress::Ip(address), _) => tcp_queue(*address),
        (ServerAddress::Name { .. }, Some(address)) => tcp_queue(address),
        (ServerAddress::Name { .. }, None) => None,
    }
}

/// A Unix listener is the one whose file this is; where the file system tells the kernel another
/// inode than us (an overlay, say), the one that was bound to this path.
fn unix_queue(path: &Path) -> Option<Queue> {
    // Distributions lead to the socket by links: /var/run, alternatives.
    let path = fs::canonicalize(path).ok()?;
    let inode = fs::metadata(&path).ok()?.ino();
    let request = UnixRequest {
        state_flags: unix::StateFlags::LISTEN,
        inode: 0,
        show_flags: ShowFlags::NAME | ShowFlags::VFS | ShowFlags::RQLEN,
        cookie: ANY,
    };
    let (mut of_file, mut of_name) = (None, None);
    dump(SockDiagMessage::UnixRequest(request), |message| {
        let SockDiagMessage::UnixResponse(row) = message else { return };
        let Some(UnixDiagName::Pathname(bound)) = row.name() else { return };
        let bound = Path::new(bound);
        // The kernel tells 32 bits of the inode; with the file's name that is enough.
        if bound.file_name() == path.file_name() && bound_inode(&row) == Some(inode as u32) {
            of_file = unix_lengths(&row);
        } else if bound == path {
            of_name = unix_lengths(&row);
        }
    })
    .ok()?;
    of_file.or(of_name)
}

fn bound_inode(row: &UnixResponse) -> Option<u32> {
    row.nlas.iter().find_map(|attribute| match attribute {
        Nla::Vfs(vfs) => {
            // struct unix_diag_vfs: inode, then device.
            let mut bytes = [0; 8];
            vfs.emit(&mut bytes);
            bytes.first_chunk().map(|inode| u32::from_ne_bytes(*inode))
        }
        _ => None,
    })
}

fn unix_lengths(row: &UnixResponse) -> Option<Queue> {
    let pending = row.number_of_pending_connection()?;
    Some(Queue { pending, backlog: row.max_number_of_pending_connection()? })
}

/// A TCP listener is one that is bound to this address and port, else one that is bound to every
/// address of this host, where this is one.
fn tcp_queue(address: SocketAddr) -> Option<Queue> {
    let ip = address.ip().to_canonical();
    // A listener on [::] takes IPv4 as well, where none of IPv4's own is there.
    let families: &[u8] = if ip.is_ipv4() { &[AF_INET, AF_INET6] } else { &[AF_INET6] };
    for family in families {
        let request = InetRequest {
            family: *family,
            protocol: IPPROTO_TCP,
            extensions: ExtensionFlags::empty(),
            states: inet::StateFlags::LISTEN,
            socket_id: SocketId { source_port: address.port(), ..SocketId::new_v4() },
        };
        let (mut exact, mut wide) = (None, None);
        dump(SockDiagMessage::InetRequest(request), |message| {
            let SockDiagMessage::InetResponse(row) = message else { return };
            let socket = &row.header.socket_id;
            if row.header.state != TCP_LISTEN || socket.source_port != address.port() {
                return;
            }
            match socket.source_address.to_canonical() {
                bound if bound == ip => add(&mut exact, &row),
                bound if bound.is_unspecified() => add(&mut wide, &row),
                _ => {}
            }
        })
        .ok()?;
        let found = exact.or_else(|| wide.filter(|_| is_here(address)));
        if found.is_some() {
            return found;
        }
    }
    None
}

/// Every address of this host at which TCP is listened.
pub(super) fn tcp_listeners() -> Vec<SocketAddr> {
    let mut found = Vec::new();
    for family in [AF_INET, AF_INET6] {
        let request = InetRequest {
            family,
            protocol: IPPROTO_TCP,
            extensions: ExtensionFlags::empty(),
            states: inet::StateFlags::LISTEN,
            socket_id: SocketId::new_v4(),
        };
        let ended = dump(SockDiagMessage::InetRequest(request), |message| {
            let SockDiagMessage::InetResponse(row) = message else { return };
            let socket = &row.header.socket_id;
            if row.header.state == TCP_LISTEN {
                found.push(SocketAddr::new(socket.source_address, socket.source_port));
            }
        });
        if ended.is_err() {
            return Vec::new();
        }
    }
    found
}

/// The path of every Unix socket that is listened on.
pub(super) fn unix_listeners() -> Vec<PathBuf> {
    let request = UnixRequest {
        state_flags: unix::StateFlags::LISTEN,
        inode: 0,
        show_flags: ShowFlags::NAME,
        cookie: ANY,
    };
    let mut found = Vec::new();
    let ended = dump(SockDiagMessage::UnixRequest(request), |message| {
        let SockDiagMessage::UnixResponse(row) = message else { return };
        if let Some(UnixDiagName::Pathname(bound)) = row.name() {
            found.push(PathBuf::from(bound));
        }
    });
    if ended.is_err() { Vec::new() } else { found }
}

/// Several sockets may share one address (SO_REUSEPORT).
fn add(sum: &mut Option<Queue>, row: &InetResponse) {
    let sum = sum.get_or_insert(Queue { pending: 0, backlog: 0 });
    sum.pending = sum.pending.saturating_add(row.header.recv_queue);
    sum.backlog = sum.backlog.saturating_add(row.header.send_queue);
}

/// Whether an address is one of this host's: the route to it begins at itself. Sends nothing.
pub fn is_here(address: SocketAddr) -> bool {
    let ip = address.ip().to_canonical();
    let source = || -> io::Result<IpAddr> {
        let any: IpAddr = match address {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect(address)?;
        Ok(socket.local_addr()?.ip().to_canonical())
    };
    ip.is_loopback() || ip.is_unspecified() || source().is_ok_and(|source| source == ip)
}

/// Asks the kernel for every socket that a request means.
///
/// # Errors
/// No netlink socket could be had (a sandbox may forbid it), or no answer came in time.
fn dump(request: SockDiagMessage, mut row: impl FnMut(SockDiagMessage)) -> io::Result<()> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let mut question = NetlinkMessage::new(header, NetlinkPayload::from(request));
    question.finalize();
    let mut datagram = vec![0; question.buffer_len()];
    question.serialize(&mut datagram);

    let socket = Socket::new(NETLINK_SOCK_DIAG)?;
    // From now on nobody but the kernel is heard.
    socket.connect(&NetlinkAddr::new(0, 0))?;
    SockRef::from(&socket).set_read_timeout(Some(LIMIT))?;
    socket.send(&datagram, 0)?;
    let mut datagram = Vec::with_capacity(DATAGRAM_MAX);
    for _ in 0..DATAGRAMS_MAX {
        datagram.clear();
        socket.recv(&mut datagram, 0)?;
        if !read(&datagram, &mut row) {
            break;
        }
    }
    Ok(())
}

/// How many rows one datagram holds, and whether more are to come: the parser alone, for its
/// fuzzing.
#[cfg(any(fuzzing, test))]
pub fn rows(datagram: &[u8]) -> (usize, bool) {
    let mut count = 0;
    let more = read(datagram, &mut |_| count += 1);
    (count, more)
}

/// Reads the messages of one datagram; whether more are to come.
fn read(datagram: &[u8], row: &mut impl FnMut(SockDiagMessage)) -> bool {
    let mut rest = datagram;
    while let Ok(message) = NetlinkBuffer::new_checked(rest) {
        let length = message.length() as usize;
        match NetlinkMessage::deserialize(rest).map(|message| message.payload) {
            Ok(NetlinkPayload::InnerMessage(message)) => row(message),
            Ok(NetlinkPayload::Done(_) | NetlinkPayload::Error(_)) => return false,
            // A row that cannot be read is passed over; nothing else belongs here.
            Ok(_) | Err(_) => {}
        }
        // NLMSG_ALIGN of linux/netlink.h.
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    true
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixStream;
    use std::time::Instant;

    use socket2::{Domain, SockAddr, Type};

    use super::*;

    /// A listener of two waiting connections; the kernel lets in one more than that.
    const BACKLOG: u32 = 2;
    const FULL: Option<Queue> = Some(Queue { pending: 3, backlog: BACKLOG });

    fn listen(domain: Domain, address: &SockAddr) -> socket2::Socket {
        let socket = socket2::Socket::new(domain, Type::STREAM, None).unwrap();
        socket.bind(address).unwrap();
        socket.listen(BACKLOG as i32).unwrap();
        socket
    }

    fn unix_listener(path: &Path) -> socket2::Socket {
        listen(Domain::UNIX, &SockAddr::unix(path).unwrap())
    }

    fn look_unix(path: &Path) -> Option<Queue> {
        accept_queue(&ServerAddress::Unix(path.to_owned()), None)
    }

    #[test]
    fn the_queue_of_a_unix_listener_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fpm.sock");
        let listener = unix_listener(&path);
        let mut waiting = Vec::new();
        for pending in 0..=3 {
            assert_eq!(look_unix(&path), Some(Queue { pending, backlog: BACKLOG }));
            if pending < 3 {
                waiting.push(UnixStream::connect(&path).unwrap());
            }
        }
        // A client that left is still in the queue.
        waiting.clear();
        assert_eq!(look_unix(&path), FULL);
        listener.accept().unwrap();
        assert_eq!(look_unix(&path), Some(Queue { pending: 2, backlog: BACKLOG }));
    }

    #[test]
    fn a_unix_listener_is_found_behind_links_and_by_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, path) = (dir.path().join("run"), dir.path().join("run/php8.2-fpm.sock"));
        fs::create_dir(&folder).unwrap();
        symlink(&folder, dir.path().join("var-run")).unwrap();
        symlink(&path, folder.join("php-fpm.sock")).unwrap();
        // The one before has lost its file, and its queue is nobody's any more.
        let lost = unix_listener(&path);
        fs::remove_file(&path).unwrap();
        let listener = unix_listener(&path);
        let waiting = [(); 3].map(|()| UnixStream::connect(&path).unwrap());
        let through_links = dir.path().join("var-run/php-fpm.sock");
        for path in [&path, &through_links] {
            assert_eq!(look_unix(path), FULL, "{path:?}");
        }
        drop((waiting, lost, listener));
        assert_eq!(look_unix(&path), None, "nobody listens");
        assert_eq!(look_unix(&dir.path().join("no.sock")), None);
    }

    fn tcp_listener(ip: &str) -> (socket2::Socket, u16) {
        let address = SocketAddr::new(ip.parse().unwrap(), 0);
        let listener = listen(Domain::for_address(address), &address.into());
        let port = listener.local_addr().unwrap().as_socket().unwrap().port();
        (listener, port)
    }

    fn at(ip: &str, port: u16) -> SocketAddr {
        SocketAddr::new(ip.parse().unwrap(), port)
    }

    fn look_tcp(address: SocketAddr) -> Option<Queue> {
        accept_queue(&ServerAddress::Ip(address), None)
    }

    /// The third part of a handshake is the kernel's to finish.
    fn expect_full(address: SocketAddr, bound: &str) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while look_tcp(address) != FULL {
            assert!(Instant::now() < deadline, "{address} at {bound}: {:?}", look_tcp(address));
            std::thread::yield_now();
        }
    }

    #[test]
    fn the_queue_of_a_tcp_listener_is_seen() {
        for (bound, asked) in [
            ("127.0.0.1", "127.0.0.1"),
            ("0.0.0.0", "127.0.0.1"),
            ("0.0.0.0", "::ffff:127.0.0.1"),
            ("0.0.0.0", "0.0.0.0"),
            ("127.0.0.9", "127.0.0.9"),
            ("::1", "::1"),
            ("::", "::1"),
            ("::", "127.0.0.1"),
        ] {
            let (listener, port) = tcp_listener(bound);
            let address = at(asked, port);
            assert_eq!(look_tcp(address), Some(Queue { pending: 0, backlog: BACKLOG }), "{bound}");
            let waiting = [(); 3].map(|()| TcpStream::connect(address).unwrap());
            expect_full(address, bound);
            let name = ServerAddress::Name { host: "php".to_owned(), port };
            assert_eq!(accept_queue(&name, Some(address)), FULL);
            assert_eq!(accept_queue(&name, None), None);
            drop((waiting, listener));
            assert_eq!(look_tcp(address), None, "nobody listens at {bound}");
        }
    }

    /// The same port of another host is not ours to look at (203.0.113.0/24: RFC 5737).
    #[test]
    fn the_queue_of_another_host_is_not_known() {
        let (_listener, port) = tcp_listener("0.0.0.0");
        assert_eq!(look_tcp(at("203.0.113.7", port)), None);
        assert!(look_tcp(at("127.0.0.7", port)).is_some());
        let (_listener, port) = tcp_listener("127.0.0.1");
        assert_eq!(look_tcp(at("127.0.0.7", port)), None);
        assert_eq!(look_tcp(at("::1", port)), None);
    }

    /// A connection to the port is not a listener.
    #[test]
    fn what_waits_at_other_listeners_is_not_counted() {
        let one = TcpListener::bind("127.0.0.1:0").unwrap();
        let (_other, port) = tcp_listener("127.0.0.1");
        let address = one.local_addr().unwrap();
        let _waiting = TcpStream::connect(address).unwrap();
        assert_eq!(look_tcp(at("127.0.0.1", port)).unwrap().pending, 0);
    }

    /// Whatever comes in place of a dump, cut anywhere or changed anywhere, is survived.
    #[test]
    fn bytes_that_are_no_dump_are_survived() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fpm.sock");
        let _listener = unix_listener(&path);
        let mut dumped = Vec::new();
        let request = UnixRequest {
            state_flags: unix::StateFlags::LISTEN,
            inode: 0,
            show_flags: ShowFlags::all(),
            cookie: ANY,
        };
        dump(SockDiagMessage::UnixRequest(request), |message| dumped.push(message)).unwrap();
        let mut datagram = Vec::new();
        for message in dumped.into_iter().take(3) {
            let payload = NetlinkPayload::InnerMessage(message);
            let mut message = NetlinkMessage::new(NetlinkHeader::default(), payload);
            message.finalize();
            let start = datagram.len();
            datagram.resize(start + message.buffer_len().next_multiple_of(4), 0);
            message.serialize(&mut datagram[start..]);
        }
        let mut rows = 0;
        assert!(read(&datagram, &mut |_| rows += 1));
        assert!(rows > 0);
        for at in 0..datagram.len() {
            read(&datagram[..at], &mut |_| {});
            for changed in [0, 1, 0x7f, 0xff] {
                let mut datagram = datagram.clone();
                datagram[at] = changed;
                read(&datagram, &mut |_| {});
            }
        }
    }
}
