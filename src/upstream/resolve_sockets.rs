//! Sockets for hickory that hear of a name server which is not there.
//!
//! The kernel hands an ICMP port unreachable on to connected UDP sockets only, as ECONNREFUSED
//! (udp(7)), and epoll reports it as an error without readability. hickory's own sockets are not
//! connected and wait for readability: to them a resolver that is not running is a silent one.

use std::fmt;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hickory_resolver::net::runtime::{
    DnsUdpSocket, RuntimeProvider, TokioRuntimeProvider, TokioTime,
};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::resolve_asked::Notes;

/// The parts of a message (RFC 1035 section 4.1).
const ID_BYTES: usize = 2;
const HEADER_BYTES: usize = 12;
const TYPE_AND_CLASS_BYTES: usize = 4;

/// hickory's provider of sockets with UDP of our own.
#[derive(Clone, Default)]
pub struct Sockets {
    tokio: TokioRuntimeProvider,
    /// Told of datagrams that answer nothing: hickory passes over them.
    pub(super) notes: Notes,
}

/// A UDP socket connected to one name server.
#[derive(Debug)]
pub struct Connected {
    socket: UdpSocket,
    server: SocketAddr,
    notes: Notes,
    /// The query that it was opened for: hickory opens one for each.
    query: Mutex<Vec<u8>>,
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
        self.tokio.create_handle()
    }

    fn connect_tcp(
        &self,
        server: SocketAddr,
        bind: Option<SocketAddr>,
        limit: Option<Duration>,
    ) -> Opening<Self::Tcp> {
        self.tokio.connect_tcp(server, bind, limit)
    }

    fn bind_udp(&self, local: SocketAddr, server: SocketAddr) -> Opening<Connected> {
        let notes = self.notes.clone();
        Box::pin(async move {
            let socket = UdpSocket::bind(local).await?;
            socket.connect(server).await?;
            Ok(Connected { socket, server, notes, query: Mutex::default() })
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
            let query = self.query.lock().unwrap_or_else(PoisonError::into_inner);
            if is_stray(&query, &buffer[..read]) {
                self.notes.stray(self.server, &query);
            }
            drop(query);
            Ok((read, self.server))
        })
    }

    fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        _server: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        bytes.clone_into(&mut self.query.lock().unwrap_or_else(PoisonError::into_inner));
        self.socket.poll_send(cx, bytes)
    }
}

/// Whether hickory passes over a datagram: it has another id, or answers another question.
fn is_stray(query: &[u8], datagram: &[u8]) -> bool {
    let (Some(ours), Some(theirs)) = (query.get(..ID_BYTES), datagram.get(..ID_BYTES)) else {
        return true;
    };
    let Some(question) = question(query) else { return false };
    let answered = datagram.get(HEADER_BYTES..HEADER_BYTES + question.len());
    ours != theirs || answered.is_some_and(|answered| !answered.eq_ignore_ascii_case(question))
}

/// The question section of a query with one question (RFC 1035 section 4.1.2).
fn question(query: &[u8]) -> Option<&[u8]> {
    let mut end = HEADER_BYTES;
    loop {
        let length = usize::from(*query.get(end)?);
        end += 1 + length;
        if length == 0 {
            return query.get(HEADER_BYTES..end + TYPE_AND_CLASS_BYTES);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_answers_nothing_is_a_stray() {
        let query = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x01a\x02bc\0\0\x01\0\x01";
        let other = |at: usize| {
            let mut bytes = query.to_vec();
            bytes[at] ^= 0x42;
            bytes
        };
        assert_eq!(question(query), Some(&query[HEADER_BYTES..]));
        let (end, capital) = (query.len() - 1, query.to_ascii_uppercase());
        for (datagram, stray) in [
            (query.to_vec(), false),
            (capital, false),
            ([query, b"more".as_slice()].concat(), false),
            // Its id is right, and it breaks off: a bad answer, but one.
            (query[..HEADER_BYTES].to_vec(), false),
            (b"\x12".to_vec(), true),
            (Vec::new(), true),
            (other(1), true),
            (other(13), true),
            (other(end), true),
        ] {
            assert_eq!(is_stray(query, &datagram), stray, "{}", datagram.escape_ascii());
        }
        for cut in 0..query.len() {
            assert_eq!(question(&query[..cut]), None, "cut at {cut}");
        }
    }
}
