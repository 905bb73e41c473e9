//! Binding: every worker gets a listener of its own on each address.
//!
//! TCP listeners share their port by SO_REUSEPORT, so that the kernel spreads the connections; a
//! Unix listener is one socket that all workers accept from. A listener that is to be closed first
//! has its door closed: nobody new comes in, and who waits inside is served.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::os::unix::net::UnixListener;
use std::path::Path;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::config::ListenAddress;

/// Connections that wait to be accepted; the kernel caps it at net.core.somaxconn.
const BACKLOG: i32 = 4096;

/// One bound listener, not yet with a runtime.
#[derive(Debug)]
pub enum Bound {
    Tcp(std::net::TcpListener),
    Unix(UnixListener),
}

impl Bound {
    /// The same socket by another descriptor.
    pub fn try_clone(&self) -> io::Result<Bound> {
        Ok(match self {
            Bound::Tcp(listener) => Bound::Tcp(listener.try_clone()?),
            Bound::Unix(listener) => Bound::Unix(listener.try_clone()?),
        })
    }
}

/// Binds an address once for each worker. Gives the address as bound: a port 0 has become a number.
///
/// # Errors
/// The first bind that fails; what was bound before is closed again.
pub fn bind(address: &ListenAddress, workers: usize) -> io::Result<(ListenAddress, Vec<Bound>)> {
    if let ListenAddress::Tcp(address) = address {
        refuse_taken(*address)?;
    }
    bind_again(address, workers)
}

/// The same for an address that is taken by ourselves, where a listener is closing.
///
/// # Errors
/// As of [`bind`].
pub fn bind_again(
    address: &ListenAddress,
    workers: usize,
) -> io::Result<(ListenAddress, Vec<Bound>)> {
    match address {
        ListenAddress::Tcp(address) => {
            let first = tcp(*address)?;
            let bound = first.local_addr()?;
            let mut listeners = vec![Bound::Tcp(first)];
            for _ in 1..workers {
                listeners.push(Bound::Tcp(tcp(bound)?));
            }
            Ok((ListenAddress::Tcp(bound), listeners))
        }
        ListenAddress::Unix(path) => {
            let first = unix(path)?;
            let mut listeners = Vec::with_capacity(workers);
            for _ in 1..workers {
                listeners.push(Bound::Unix(first.try_clone()?));
            }
            listeners.push(Bound::Unix(first));
            Ok((address.clone(), listeners))
        }
        // What is not there cannot be bound: the caller looks these up.
        ListenAddress::Systemd(_) => Err(io::ErrorKind::AddrNotAvailable.into()),
    }
}

/// Binds one more socket beside those of our own that have an address already.
///
/// # Errors
/// What bind or listen says.
pub fn join(address: SocketAddr) -> io::Result<Bound> {
    tcp(address).map(Bound::Tcp)
}

/// Settles for a listener what would otherwise be asked of the kernel for each connection. Gives
/// the local address of all of them, where that is the same.
pub fn prepare(listener: &tokio::net::TcpListener) -> Option<SocketAddr> {
    let socket = SockRef::from(listener);
    // Small answers are not to wait for the client's acknowledgement. Connections inherit it.
    let _ = socket.set_tcp_nodelay(true);
    // A listener of systemd's may take what is meant for other addresses (`Transparent=`).
    let is_own = !socket.ip_transparent_v4().unwrap_or(true);
    let local = listener.local_addr().ok()?;
    (is_own && !local.ip().is_unspecified()).then_some(local)
}

/// Has the kernel refuse new connections here, and let in those that are waiting or whose
/// handshake is under way: closing the socket would reset them. Not to be undone: to listen on
/// every interface again would take CAP_NET_RAW.
///
/// # Errors
/// What setsockopt says.
pub fn close_door(listener: &tokio::net::TcpListener) -> io::Result<()> {
    // A listener hears its interface alone (SO_BINDTOIFINDEX, whose index need not exist), and what
    // a SYN once began belongs to no interface: the kernel finds it before it looks for a listener.
    const NO_INTERFACE: Option<NonZeroU32> = NonZeroU32::new(i32::MAX as u32);
    // The same option for both families, on Linux.
    SockRef::from(listener).bind_device_by_index_v4(NO_INTERFACE)
}

/// SO_REUSEPORT would let a second program share the port, and each would get some of the clients:
/// whoever listens there already is found by a bind without it.
fn refuse_taken(address: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())
}

fn tcp(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // `[::]` beside `0.0.0.0` is two listeners, not one that takes both.
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn unix(path: &Path) -> io::Result<UnixListener> {
    // A socket that a killed process left behind; one that somebody listens on is not taken away.
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    if let Ok(kind) = std::fs::symlink_metadata(path).map(|meta| meta.file_type())
        && std::os::unix::fs::FileTypeExt::is_socket(&kind)
    {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    #[tokio::test]
    async fn connections_have_what_was_settled_for_their_listener() {
        for (address, is_known) in
            [("127.0.0.1:0", true), ("[::1]:0", true), ("0.0.0.0:0", false), ("[::]:0", false)]
        {
            let listener = tcp(address.parse().unwrap()).unwrap();
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let mut reached = listener.local_addr().unwrap();
            let local = prepare(&listener);
            assert_eq!(local, is_known.then_some(reached), "{address}");
            reached.set_ip(match reached.is_ipv4() {
                true => Ipv4Addr::LOCALHOST.into(),
                false => Ipv6Addr::LOCALHOST.into(),
            });
            let client = tokio::net::TcpStream::connect(reached).await.unwrap();
            let (accepted, peer) = listener.accept().await.unwrap();
            assert_eq!(client.local_addr().unwrap(), peer);
            assert!(accepted.nodelay().unwrap(), "{address}");
            assert_eq!(accepted.local_addr().unwrap(), local.unwrap_or(reached));
        }
    }
}
