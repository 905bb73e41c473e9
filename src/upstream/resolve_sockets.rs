//! Sockets for hickory that hear of a name server which is not there.
//!
//! The kernel hands an ICMP port unreachable on to connected UDP sockets only, as ECONNREFUSED
//! (udp(7)), and epoll reports it as an error without readability. hickory's own sockets are not
//! connected and wait for readability: to them a resolver that is not running is a silent one.

use std::fmt;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hickory_resolver::net::runtime::{
    DnsUdpSocket, RuntimeProvider, TokioRuntimeProvider, TokioTime,
};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// hickory's provider of sockets with UDP of our own.
#[derive(Clone, Default)]
pub struct Sockets(TokioRuntimeProvider);

/// A UDP socket connected to one name server.
#[derive(Debug)]
pub struct Connected {
    socket: UdpSocket,
    server: SocketAddr,
}

/// A socket that hickory waits for.
type Opening<S> = Pin<Box<dyn Send + Future<Output = io::Result<S>>>>;
/// A datagram that hickory waits for.
type Receiving<'a> = Pin<Box<dyn Send + Future<Output = io::Result<(usize, SocketAddr)>> + 'a>>;

impl fmt::Debug for Sockets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sockets")
    }
}

impl RuntimeProvider for Sockets {
    type Handle = <TokioRuntimeProvider as RuntimeProvider>::Handle;
    type Timer = <TokioRuntimeProvider as RuntimeProvider>::Timer;
    type Udp = Connected;
    type Tcp = <TokioRuntimeProvider as RuntimeProvider>::Tcp;

    fn create_handle(&self) -> Self::Handle {
        self.0.create_handle()
    }

    fn connect_tcp(
        &self,
        server: SocketAddr,
        bind: Option<SocketAddr>,
        limit: Option<Duration>,
    ) -> Opening<Self::Tcp> {
        self.0.connect_tcp(server, bind, limit)
    }

    fn bind_udp(&self, local: SocketAddr, server: SocketAddr) -> Opening<Connected> {
        Box::pin(async move {
            let socket = UdpSocket::bind(local).await?;
            socket.connect(server).await?;
            Ok(Connected { socket, server })
        })
    }
}

impl DnsUdpSocket for Connected {
    type Time = TokioTime;

    fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        let mut buffer = tokio::io::ReadBuf::new(buffer);
        self.socket.poll_recv_from(cx, &mut buffer).map_ok(|from| (buffer.filled().len(), from))
    }

    /// What hickory calls: woken by errors too. The sender is the server, as the kernel has
    /// checked.
    fn recv_from<'a, 'b, 'c>(&'a self, buffer: &'b mut [u8]) -> Receiving<'c>
    where
        'a: 'c,
        'b: 'c,
    {
        Box::pin(async move {
            let receive = || (&*SockRef::from(&self.socket)).read(buffer);
            let read = self.socket.async_io(Interest::READABLE | Interest::ERROR, receive).await?;
            Ok((read, self.server))
        })
    }

    fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        _server: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        self.socket.poll_send(cx, bytes)
    }
}
