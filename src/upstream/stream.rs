//! A connection to an upstream: TCP, Unix or TLS behind one set of poll functions, and its read
//! buffer.
//!
//! No buffer is held while a response is waited for: plain sockets are asked for readiness first.

use std::cell::{Cell, RefCell};
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use bytes::BytesMut;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;

use super::attempt::FIRST_BYTES_MAX;
use super::pool::Opened;

/// The first read of a response, and the least room for any later one.
const READ_MIN: usize = 8 * 1024;
/// The most that one read takes of a long body.
const READ_MAX: usize = 128 * 1024;

/// One connection with what was read from it and not yet used.
#[derive(Debug)]
pub struct Conn {
    pub(crate) stream: Stream,
    pub(crate) input: BytesMut,
    pub(crate) address: Option<SocketAddr>,
    /// Requests served on it so far.
    pub(crate) served: u64,
    pub(crate) idle_since: Instant,
    /// How much the next read asks for; grows while reads fill it.
    read_size: usize,
    /// Nothing was written to it yet.
    fresh: bool,
    _opened: Opened,
}

#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream<Tap>>),
}

impl Conn {
    pub(crate) fn new(
        stream: Stream,
        address: Option<SocketAddr>,
        now: Instant,
        opened: Opened,
    ) -> Conn {
        Conn {
            stream,
            input: BytesMut::new(),
            address,
            served: 0,
            idle_since: now,
            read_size: READ_MIN,
            fresh: true,
            _opened: opened,
        }
    }

    /// Reads once into `input`; 0 is the end of the stream.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let size = self.read_size;
        // Readiness before room is made, so that nobody waits with a fresh buffer; then a read that
        // notes by its shortness that there is no more, which spares the next one a system call.
        let input = &mut self.input;
        let read = match &mut self.stream {
            Stream::Tcp(tcp) => {
                if input.capacity() - input.len() < size {
                    ready!(tcp.poll_read_ready(cx))?;
                    input.reserve(size);
                }
                ready!(read_some(tcp, cx, input))?
            }
            Stream::Unix(unix) => {
                if input.capacity() - input.len() < size {
                    ready!(unix.poll_read_ready(cx))?;
                    input.reserve(size);
                }
                ready!(read_some(unix, cx, input))?
            }
            Stream::Tls(tls) => {
                input.reserve(size);
                ready!(read_some(tls.as_mut(), cx, input))?
            }
        };
        self.read_size = match read {
            _ if read >= size => (size * 2).min(READ_MAX),
            _ if read < size / 4 => READ_MIN,
            _ => size,
        };
        Poll::Ready(Ok(read))
    }

    /// Whether an idle connection is still open and silent, as far as the last poll of the sockets
    /// knows. Costs no system call on a plain socket.
    pub(crate) fn is_quiet(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        self.input.is_empty() && self.poll_fill(&mut cx).is_pending()
    }

    /// The same, by asking the kernel: for a request that could not be sent a second time.
    pub(crate) fn is_quiet_now(&mut self) -> bool {
        let mut byte = [MaybeUninit::uninit()];
        let peeked = match &self.stream {
            Stream::Tcp(tcp) => SockRef::from(tcp).peek(&mut byte),
            Stream::Unix(unix) => SockRef::from(unix).peek(&mut byte),
            Stream::Tls(tls) => tls.get_ref().0.peek(&mut byte),
        };
        matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock) && self.is_quiet()
    }

    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let fresh = std::mem::take(&mut self.fresh);
        match &mut self.stream {
            Stream::Tcp(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Stream::Unix(unix) => {
                // There is room in a new socket; tokio would wait for the reactor to say so.
                if fresh {
                    match SockRef::from(&*unix).send(bytes) {
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        sent => return Poll::Ready(sent),
                    }
                }
                Pin::new(unix).poll_write(cx, bytes)
            }
            Stream::Tls(tls) => Pin::new(tls.as_mut()).poll_write(cx, bytes),
        }
    }

    pub(crate) fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Tcp(tcp) => Pin::new(tcp).poll_write_vectored(cx, slices),
            Stream::Unix(unix) => Pin::new(unix).poll_write_vectored(cx, slices),
            Stream::Tls(tls) => Pin::new(tls.as_mut()).poll_write_vectored(cx, slices),
        }
    }

    /// Pushes out what TLS holds back; nothing to do on plain sockets.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Tcp(_) | Stream::Unix(_) => Poll::Ready(Ok(())),
            Stream::Tls(tls) => Pin::new(tls.as_mut()).poll_flush(cx),
        }
    }
}

/// One read into a growable buffer, without initialising it first.
fn read_some(
    stream: &mut (impl AsyncRead + Unpin),
    cx: &mut Context<'_>,
    input: &mut BytesMut,
) -> Poll<io::Result<usize>> {
    std::pin::pin!(tokio::io::AsyncReadExt::read_buf(stream, input)).poll(cx)
}

/// For the tunnel of an upgraded connection: what was already read comes first.
impl AsyncRead for Conn {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.input.is_empty() {
            let here = self.input.len().min(buf.remaining());
            buf.put_slice(&self.input.split_to(here));
            return Poll::Ready(Ok(()));
        }
        match &mut self.stream {
            Stream::Tcp(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Stream::Unix(unix) => Pin::new(unix).poll_read(cx, buf),
            Stream::Tls(tls) => Pin::new(tls.as_mut()).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Conn {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Conn::poll_write(&mut self, cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Conn::poll_flush(&mut self, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Stream::Unix(unix) => Pin::new(unix).poll_shutdown(cx),
            Stream::Tls(tls) => Pin::new(tls.as_mut()).poll_shutdown(cx),
        }
    }
}

/// A TCP stream that shows its first bytes, so that a failed handshake can tell what the peer
/// spoke.
#[derive(Debug)]
pub(crate) struct Tap {
    tcp: TcpStream,
    seen: Rc<Seen>,
}

/// What came through a [`Tap`]; outlives it, since a failed handshake swallows the stream.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    first_bytes: RefCell<Vec<u8>>,
    received: Cell<u64>,
}

impl Seen {
    /// Bytes received so far, below TLS.
    pub(crate) fn received(&self) -> u64 {
        self.received.get()
    }

    /// Gives the first bytes and frees their memory.
    pub(crate) fn stop(&self) -> Vec<u8> {
        self.first_bytes.take()
    }

    fn note(&self, fresh: &[u8]) {
        let before = usize::try_from(self.received.get()).unwrap_or(usize::MAX);
        let room = FIRST_BYTES_MAX.saturating_sub(before);
        if room > 0 {
            self.first_bytes.borrow_mut().extend_from_slice(&fresh[..fresh.len().min(room)]);
        }
        self.received.set(self.received.get() + fresh.len() as u64);
    }
}

impl Tap {
    pub(crate) fn new(tcp: TcpStream, seen: Rc<Seen>) -> Tap {
        Tap { tcp, seen }
    }

    fn peek(&self, byte: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
        SockRef::from(&self.tcp).peek(byte)
    }
}

impl AsyncRead for Tap {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let done = Pin::new(&mut self.tcp).poll_read(cx, buf);
        self.seen.note(&buf.filled()[before..]);
        done
    }
}

impl AsyncWrite for Tap {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
