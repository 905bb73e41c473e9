//! The accept queue of a listener on this host: a pool whose workers are all busy leaves its
//! connections there, and nothing on the wire tells that from a slow page. And which listener it
//! is that an address leads to.
//!
//! What cannot be read is `None`, never a guess. `diag` asks the kernel.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::config::ServerAddress;
use crate::diagnose::Queue;

use super::diag::{self, Tcp, Unix};

/// The queue of the listener that a server's address leads to. `address` is what a name was
/// resolved to. `None` where nobody listens on this host.
pub fn accept_queue(server: &ServerAddress, address: Option<SocketAddr>) -> Option<Queue> {
    match (server, address) {
        (ServerAddress::Unix(path), _) => of_path(path, &diag::unix_listeners().ok()?)?.queue,
        (ServerAddress::Ip(address), _) => tcp_queue(*address),
        (ServerAddress::Name { .. }, Some(address)) => tcp_queue(address),
        (ServerAddress::Name { .. }, None) => None,
    }
}

fn tcp_queue(address: SocketAddr) -> Option<Queue> {
    queue(&reached(address, &diag::tcp_listeners(Some(address.port())).ok()?))
}

/// A Unix listener is the one whose file this is; where the file system tells the kernel another
/// inode than us (an overlay, say), or tells us nothing, the one that was bound to this path.
pub(super) fn of_path<'a>(path: &Path, listeners: &'a [Unix]) -> Option<&'a Unix> {
    // Distributions lead to the socket by links: /var/run, alternatives.
    let found = fs::canonicalize(path).and_then(|path| Ok((fs::metadata(&path)?.ino(), path)));
    let (inode, path) = match found {
        Ok((inode, path)) => (Some(inode as u32), path),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => (None, path.to_owned()),
        Err(_) => return None,
    };
    // The kernel tells 32 bits of the inode; with the file's name that is enough.
    let is_file = |unix: &&Unix| {
        let known = inode.is_some() && unix.file == inode;
        known && unix.path.file_name() == path.file_name()
    };
    let of_file = listeners.iter().rfind(is_file);
    of_file.or_else(|| listeners.iter().rfind(|unix| unix.path == path))
}

/// The TCP listeners that an address leads to: bound to this address and port, else to every
/// address of this host, where this is one. Several may share it (SO_REUSEPORT).
pub(super) fn reached(address: SocketAddr, listeners: &[Tcp]) -> Vec<&Tcp> {
    let ip = address.ip().to_canonical();
    let at_port = || listeners.iter().filter(|tcp| tcp.address.port() == address.port());
    let exact: Vec<_> = at_port().filter(|tcp| tcp.address.ip().to_canonical() == ip).collect();
    if !exact.is_empty() {
        return exact;
    }
    let (four, six) = (IpAddr::from(Ipv4Addr::UNSPECIFIED), IpAddr::from(Ipv6Addr::UNSPECIFIED));
    let wide = |bound: IpAddr| at_port().filter(move |tcp| tcp.address.ip() == bound);
    let mut found: Vec<_> = wide(if ip.is_ipv4() { four } else { six }).collect();
    // A listener on [::] takes IPv4 as well, where none of IPv4's own is there.
    if found.is_empty() && ip.is_ipv4() {
        found = wide(six).filter(|tcp| !tcp.only_v6).collect();
    }
    if !is_here(address) {
        found.clear();
    }
    found
}

/// What waits at all of them together.
pub(super) fn queue(listeners: &[&Tcp]) -> Option<Queue> {
    let first = listeners.first()?.queue;
    Some(listeners[1..].iter().fold(first, |sum, tcp| Queue {
        pending: sum.pending.saturating_add(tcp.queue.pending),
        backlog: sum.backlog.saturating_add(tcp.queue.backlog),
    }))
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

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixStream;
    use std::time::{Duration, Instant};

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
}
