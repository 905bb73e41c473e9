//! A client's socket as h2 sees it: its frames are counted, and it may not stop taking what is
//! sent.
//!
//! Shared with whoever serves the connection, since h2 does not give a socket back and its end is
//! to be read out.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::clock;
use crate::server::http1::WriteLimit;
use crate::server::transport::Socket;

use super::tally::{Offence, Tally};

/// One connection's bytes.
#[derive(Debug)]
pub struct Wire {
    /// `None` once it was taken to be closed.
    socket: Option<Socket>,
    tally: Tally,
    since: Instant,
    limit: WriteLimit,
    /// Nothing more is read of the client.
    offence: Option<Offence>,
    /// Whoever serves the connection knows.
    told: bool,
}

/// h2's hold on it.
#[derive(Debug)]
pub struct Handle(pub Rc<RefCell<Wire>>);

impl Wire {
    pub fn new(socket: Socket, limit: WriteLimit) -> Wire {
        let (tally, since) = (Tally::new(), clock::now());
        Wire { socket: Some(socket), tally, since, limit, offence: None, told: false }
    }

    /// Why the client is to be sent away, once.
    pub fn take_offence(&mut self) -> Option<Offence> {
        self.offence.filter(|_| !std::mem::replace(&mut self.told, true))
    }

    /// A piece of an answer was handed on.
    pub fn wrote(&mut self, bytes: usize) {
        self.tally.wrote(bytes);
    }

    /// Gives the socket away; nothing is read or written any more.
    pub fn take_socket(&mut self) -> Option<Socket> {
        self.socket.take()
    }

    fn write<T>(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut Socket>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let Some(socket) = &mut self.socket else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        let done = write(Pin::new(socket), cx);
        self.limit.watch(cx, done)
    }
}

impl AsyncRead for Handle {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let wire = &mut *self.0.borrow_mut();
        let Some(socket) = &mut wire.socket else { return Poll::Ready(Ok(())) };
        let since = wire.since;
        wire.offence = wire.tally.offence(|| clock::now().saturating_duration_since(since));
        if wire.offence.is_some() {
            // Whoever polls h2 looks next, and sends the client away.
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let done = Pin::new(socket).poll_read(cx, buf);
        wire.tally.read(&buf.filled()[before..]);
        done
    }
}

impl AsyncWrite for Handle {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().write(cx, |socket, cx| socket.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().write(cx, |socket, cx| socket.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().write(cx, |socket, cx| socket.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().write(cx, |socket, cx| socket.poll_shutdown(cx))
    }
}
