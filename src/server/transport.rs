//! What carries a client's bytes: TCP or a Unix socket, and TLS over either.
//!
//! Decides how a connection ends so that an answer arrives and a cut one does not look whole; not
//! which bytes may pass, which is the gate's.

use std::io;
use std::os::fd::AsRawFd as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use nix::sys::socket::{MsgFlags, recv};
use tokio::io::{
    AsyncBufRead, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest, ReadBuf,
};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

use crate::clock;

/// Of what a client still sends after its answer, so much is read before the connection closes,
/// lest a reset takes the answer from it (RFC 9112 section 9.6).
const LINGER_BYTES: usize = 1024 * 1024;
/// And for so long.
pub const LINGER_TIME: Duration = Duration::from_secs(2);

/// TCP or Unix, and TLS over either.
#[derive(Debug)]
pub enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    /// Boxed: what TLS holds is large, and plain connections would carry its size.
    Tls(Box<TlsStream<Socket>>),
}

impl Socket {
    /// Makes the end a reset, where the transport has one.
    pub fn reset_on_close(&self) {
        match self {
            Socket::Tcp(tcp) => {
                let _ = tcp.set_zero_linger();
            }
            Socket::Unix(_) => {}
            Socket::Tls(tls) => tls.get_ref().0.reset_on_close(),
        }
    }

    /// Ends the connection; what a client that is still `talking` sends is read for a while.
    pub async fn close(mut self, talking: bool) {
        let ended = match &mut self {
            // Nothing more comes: closing says the same.
            Socket::Tcp(_) | Socket::Unix(_) if !talking => return,
            // A socket's shutdown is one system call; it does not wait.
            Socket::Tcp(tcp) => tcp.shutdown().await.is_ok(),
            Socket::Unix(unix) => unix.shutdown().await.is_ok(),
            // close_notify goes out first, and may have to wait until the client takes it.
            Socket::Tls(tls) => {
                let ended = Box::pin(clock::within(LINGER_TIME, tls.shutdown())).await;
                ended.is_some_and(|ended| ended.is_ok())
            }
        };
        if ended && talking {
            Box::pin(clock::within(LINGER_TIME, self.drain())).await;
        }
    }

    async fn drain(&mut self) {
        let mut piece = vec![0; 4096];
        let mut drained = 0;
        while drained < LINGER_BYTES {
            match self.read(&mut piece).await {
                Ok(0) | Err(_) => return,
                Ok(read) => drained += read,
            }
        }
    }

    /// Waits for bytes and copies them without taking them; 0 is the client's end.
    pub async fn peek(&self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(tcp) => tcp.peek(into).await,
            Socket::Unix(unix) => {
                let peek = || {
                    let seen = recv(unix.as_raw_fd(), into, MsgFlags::MSG_PEEK);
                    seen.map_err(io::Error::from)
                };
                unix.async_io(Interest::READABLE, peek).await
            }
            // What TLS has decrypted is taken; and nothing has to be looked at behind it.
            Socket::Tls(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Waits for bytes, the client's end or an error, and leaves them to whoever reads next.
    pub fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Socket::Tcp(tcp) => tcp.poll_read_ready(cx).map(drop),
            Socket::Unix(unix) => unix.poll_read_ready(cx).map(drop),
            // A record that is not whole, or none of the client's bytes, does not count. An end and
            // an error stay: the next read meets them again.
            Socket::Tls(tls) => {
                let readable = Pin::new(tls.as_mut()).poll_fill_buf(cx).map(drop);
                owed(tls, cx, readable.is_pending());
                readable
            }
        }
    }
}

/// What TLS owes to the peer by itself while there is nothing to read, such as the refusal of a new
/// handshake (RFC 5746 section 4.5) or the update of a key (RFC 8446 section 4.6.3), leaves with
/// nobody's answer.
fn owed(tls: &mut TlsStream<Socket>, cx: &mut Context<'_>, waits: bool) {
    if waits {
        // An error is met by the next read or write.
        let _ = Pin::new(tls).poll_flush(cx);
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Tcp(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Socket::Unix(unix) => Pin::new(unix).poll_read(cx, buf),
            Socket::Tls(tls) => {
                let read = Pin::new(tls.as_mut()).poll_read(cx, buf);
                owed(tls, cx, read.is_pending());
                read
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Socket::Tcp(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Socket::Unix(unix) => Pin::new(unix).poll_write(cx, bytes),
            Socket::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Socket::Tcp(tcp) => Pin::new(tcp).poll_write_vectored(cx, slices),
            Socket::Unix(unix) => Pin::new(unix).poll_write_vectored(cx, slices),
            Socket::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, slices),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Tcp(_) | Socket::Unix(_) => Poll::Ready(Ok(())),
            Socket::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Socket::Unix(unix) => Pin::new(unix).poll_shutdown(cx),
            Socket::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
