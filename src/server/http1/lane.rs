//! The client's side of an HTTP/1.1 connection: reads heads and bodies through the gate, within the
//! client's limits, and writes what it is given.
//!
//! Shared by the connection's loop and the body of the request under way, which reads from the
//! socket by itself: nobody stands between them. A connection at rest holds no buffer.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Frame;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use crate::clock::Deadline;
use crate::config::Client;
use crate::diagnose::{Cause, RequestFault};
use crate::proxy::{Connection, Rejection};
use crate::server::chunks::ChunkScan;
use crate::server::gate::{self, Follows};
use crate::server::transport::Socket;

use super::opened::Opened;
use super::request::{self, Head};

/// The most that one read takes of heads.
const HEAD_READ: usize = 16 * 1024;
/// The first read of a body, and the least of any later one.
const BODY_READ_MIN: usize = 8 * 1024;
/// The most that one read takes of a long body.
const BODY_READ_MAX: usize = 128 * 1024;
/// How much of a refused line the log shows.
const LINE_SHOWN: usize = 200;
/// RFC 9110 section 15.2.1.
const GO_ON: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

thread_local! {
    /// Where heads are read to: what came is copied out in its own size, so that nobody waits with
    /// a buffer of the size of what might have come.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; HEAD_READ].into());
}

/// One client connection's socket and what was read from it.
#[derive(Debug)]
pub struct Lane {
    socket: Socket,
    connection: Rc<Connection>,
    limits: Rc<Client>,
    /// Bytes read and not yet used.
    input: Bytes,
    /// How many of an incomplete head were searched for its end.
    looked: usize,
    /// What is to come of the request under way.
    left: Left,
    /// A head has passed.
    served: bool,
    /// The time of what is waited for.
    reading: Deadline,
    writing: WriteLimit,
    /// How much the next read of a body asks for; grows while reads fill it.
    read_size: usize,
    /// Word to begin, as far as it is to be written yet.
    owed: &'static [u8],
    /// And as far as it may not have gone out yet.
    unflushed: bool,
}

/// What is to come of a request.
#[derive(Debug)]
enum Left {
    Nothing,
    Length(u64),
    /// With the trailer section so far.
    Chunked(ChunkScan, Vec<u8>),
    /// The body broke; its end will not be found.
    Broken,
}

/// What comes next on a connection.
#[derive(Debug)]
pub enum Next {
    Request(Box<Head>),
    Refused(Rejection),
    /// The client is gone, or was silent for too long.
    End,
}

/// A client that takes nothing for as long as it might be idle is gone.
#[derive(Debug)]
pub struct WriteLimit {
    silence: Deadline,
    wait: Duration,
}

impl Lane {
    pub fn new(socket: Socket, connection: Rc<Connection>, limits: Rc<Client>) -> Lane {
        let writing = WriteLimit::new(&limits);
        Lane {
            socket,
            connection,
            limits,
            input: Bytes::new(),
            looked: 0,
            left: Left::Nothing,
            served: false,
            reading: Deadline::unset(),
            writing,
            read_size: BODY_READ_MIN,
            owed: b"",
            unflushed: false,
        }
    }

    /// Takes the connection apart for a tunnel.
    pub fn open(self) -> Opened {
        Opened { socket: self.socket, read: self.input, writing: self.writing }
    }

    /// Ends the connection. An answer must not be lost to a reset, so what the client still sends
    /// is read for a while; a cut answer must not look whole, so it is ended by one.
    pub async fn close(self, refused: bool) {
        // Over TLS without close_notify too (RFC 8446 section 6.1): that would vouch for the end.
        if self.connection.cut.get() && !matches!(self.socket, Socket::Unix(_)) {
            self.socket.reset_on_close();
            return;
        }
        let talking = refused || !self.is_over();
        self.socket.close(talking).await;
    }

    /// A part of a head has come, and not its end.
    pub fn has_begun(&self) -> bool {
        !self.input.is_empty()
    }

    /// The request under way has come to its end.
    pub fn is_over(&self) -> bool {
        matches!(self.left, Left::Nothing)
    }

    /// Waits for the next request, or the end.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        loop {
            if !self.input.is_empty()
                && let Some(next) = self.take_head()
            {
                self.reading.clear();
                return Poll::Ready(next);
            }
            let began = self.has_begun();
            match self.poll_fill(cx) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Next::End),
                // A head's time runs from its first byte.
                Poll::Ready(Ok(_)) if !began => self.reading.clear(),
                Poll::Ready(Ok(_)) => {}
                Poll::Pending => return self.poll_patience(cx),
            }
        }
    }

    /// Runs the limit of what is waited for while nothing comes.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        let waited = match self.has_begun() || !self.served {
            true => self.limits.header_timeout,
            false => self.limits.keepalive_timeout,
        };
        if !self.reading.is_set() {
            self.reading.set(waited);
        }
        ready!(self.reading.poll(cx));
        // Silent since its last answer, or since it came: the connection just ends.
        Poll::Ready(match self.has_begun() {
            true => Next::Refused(self.rejection(Cause::RequestHeaderTimeout { waited })),
            false => Next::End,
        })
    }

    /// The head that the input begins with, or what is wrong with it; `None` while it is
    /// incomplete.
    fn take_head(&mut self) -> Option<Next> {
        // RFC 9112 section 2.2: an empty line before a request is left behind by a careless client.
        while self.input.starts_with(b"\r\n") {
            let _ = self.input.split_to(2);
            self.looked = 0;
        }
        let limit_bytes = self.limits.header_section_bytes;
        let end = match gate::end(&self.input, self.looked) {
            Ok(end) => end,
            Err(fault) => return Some(self.refused(Cause::RequestInvalid { fault })),
        };
        let Some(end) = end.filter(|end| *end <= limit_bytes) else {
            self.looked = self.input.len();
            let too_large = end.is_some() || self.input.len() > limit_bytes;
            return too_large.then(|| self.refused(Cause::RequestHeaderTooLarge { limit_bytes }));
        };
        self.looked = 0;
        // The values keep what they lie in: not more than the head.
        let bytes = match end == self.input.len() {
            true => std::mem::take(&mut self.input),
            false => Bytes::copy_from_slice(&self.input[..end]),
        };
        let head = match request::read(&bytes) {
            Ok(head) => head,
            Err(fault) => {
                let cause = match fault {
                    RequestFault::TooManyHeaders => Cause::RequestHeaderTooLarge { limit_bytes },
                    fault => Cause::RequestInvalid { fault },
                };
                return Some(Next::Refused(rejection(&bytes, cause)));
            }
        };
        if !self.input.is_empty() {
            let _ = self.input.split_to(end);
        }
        self.left = match head.follows {
            Follows::Nothing | Follows::Upgrade => Left::Nothing,
            Follows::Length(length) => Left::Length(length),
            Follows::Chunked => Left::Chunked(ChunkScan::new(), Vec::new()),
        };
        self.owed = if head.expects && !self.is_over() { GO_ON } else { b"" };
        self.served = true;
        Some(Next::Request(Box::new(head)))
    }

    fn refused(&self, cause: Cause) -> Next {
        Next::Refused(self.rejection(cause))
    }

    fn rejection(&self, cause: Cause) -> Rejection {
        rejection(&self.input, cause)
    }

    /// Ready when the client is gone while it is owed an answer. One that has sent its next request
    /// already is not looked at further.
    pub fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.input.is_empty() || !self.is_over() {
            return Poll::Pending;
        }
        match self.poll_fill(cx) {
            Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(()),
            Poll::Ready(Ok(_)) | Poll::Pending => Poll::Pending,
        }
    }

    /// Reads once; 0 is the client's end.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut room = ReadBuf::new(scratch);
            ready!(Pin::new(&mut self.socket).poll_read(cx, &mut room))?;
            let read = room.filled();
            if !read.is_empty() {
                self.input = match self.input.is_empty() {
                    true => Bytes::copy_from_slice(read),
                    false => appended(std::mem::take(&mut self.input), read),
                };
            }
            Poll::Ready(Ok(read.len()))
        })
    }
}

fn appended(begun: Bytes, read: &[u8]) -> Bytes {
    // In place while nobody else has a part of it: a head may come byte by byte.
    let mut whole = begun.try_into_mut().unwrap_or_else(BytesMut::from);
    whole.extend_from_slice(read);
    whole.freeze()
}

/// Why a request is refused, with the start of its first line.
pub fn rejection(begun: &[u8], cause: Cause) -> Rejection {
    let line = begun.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let line = line[..line.len().min(LINE_SHOWN)].trim_ascii_end().to_vec();
    Rejection { cause, line }
}

impl Lane {
    /// The next piece of the request's body; `None` at its end.
    pub fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        loop {
            if self.is_over() {
                return Poll::Ready(None);
            }
            if !self.input.is_empty() {
                self.reading.clear();
                match self.take_piece() {
                    Ok(Some(frame)) => return Poll::Ready(Some(Ok(frame))),
                    Ok(None) => continue,
                    Err(error) => return Poll::Ready(Some(Err(error))),
                }
            }
            if let Left::Broken = self.left {
                return Poll::Ready(Some(Err(io::ErrorKind::InvalidData.into())));
            }
            ready!(self.poll_go_on(cx))?;
            match self.poll_fill_body(cx) {
                Poll::Ready(Ok(0)) => {
                    self.left = Left::Broken;
                    return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into())));
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => {
                    self.left = Left::Broken;
                    return Poll::Ready(Some(Err(error)));
                }
                Poll::Pending => {
                    let waited = self.limits.body_timeout;
                    if !self.reading.is_set() {
                        self.reading.set(waited);
                    }
                    ready!(self.reading.poll(cx));
                    let cause = Cause::RequestBodyTimeout { waited };
                    let broken = self.break_body(cause, io::ErrorKind::TimedOut);
                    return Poll::Ready(Some(Err(broken)));
                }
            }
        }
    }

    /// Tells a client that waits for it to begin with its body.
    fn poll_go_on(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.owed.is_empty() {
            let written = ready!(self.poll_write(cx, &[io::IoSlice::new(self.owed)]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.owed = &self.owed[written..];
            self.unflushed = true;
        }
        if self.unflushed {
            ready!(self.poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// What of the word to begin was not written when the answer came: all of it need not be, the
    /// rest of a part must.
    pub fn take_owed(&mut self) -> &'static [u8] {
        let owed = std::mem::take(&mut self.owed);
        if owed.len() == GO_ON.len() { b"" } else { owed }
    }

    /// A piece of what was read; `None` where that was framing.
    fn take_piece(&mut self) -> io::Result<Option<Frame<Bytes>>> {
        match &mut self.left {
            Left::Nothing | Left::Broken => Ok(None),
            Left::Length(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(self.input.len());
                *left -= here as u64;
                if *left == 0 {
                    self.left = Left::Nothing;
                }
                Ok(Some(Frame::data(self.input.split_to(here))))
            }
            Left::Chunked(scan, trailers) => {
                let at_trailers = scan.is_at_trailers();
                let (framing, data) = match scan.take(&self.input) {
                    Ok(taken) => taken,
                    Err(fault) => {
                        let cause = Cause::RequestInvalid { fault };
                        return Err(self.break_body(cause, io::ErrorKind::InvalidData));
                    }
                };
                let framing = self.input.split_to(framing);
                if at_trailers {
                    trailers.extend_from_slice(&framing);
                }
                if scan.is_done() {
                    let trailers = std::mem::take(trailers);
                    self.left = Left::Nothing;
                    let fields = request::trailers(&trailers.into());
                    return Ok((!fields.is_empty()).then(|| Frame::trailers(fields)));
                }
                Ok((data > 0).then(|| Frame::data(self.input.split_to(data))))
            }
        }
    }

    /// A fault inside a body: the request is with the proxy already, which is told.
    fn break_body(&mut self, cause: Cause, kind: io::ErrorKind) -> io::Error {
        self.connection.body_fault.replace(Some(cause));
        self.left = Left::Broken;
        self.input.clear();
        self.reading.clear();
        kind.into()
    }

    /// Reads once into an input that is empty; 0 is the client's end.
    fn poll_fill_body(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        // Nobody waits with a buffer.
        ready!(self.socket.poll_readable(cx));
        let size = match self.left {
            Left::Length(left) => usize::try_from(left).unwrap_or(usize::MAX).min(self.read_size),
            Left::Nothing | Left::Chunked(..) | Left::Broken => self.read_size,
        };
        let mut room = BytesMut::with_capacity(size);
        let read = ready!(std::pin::pin!(self.socket.read_buf(&mut room)).poll(cx))?;
        self.read_size = match read {
            _ if read >= self.read_size => (read * 2).min(BODY_READ_MAX),
            _ if read < self.read_size / 4 => BODY_READ_MIN,
            _ => self.read_size,
        };
        // Small pieces may be kept for long: not in the room that was made for large ones.
        self.input = match read < room.capacity() / 2 {
            true => Bytes::copy_from_slice(&room),
            false => room.freeze(),
        };
        Poll::Ready(Ok(read))
    }

    /// Reads what is left of a body that nobody wants, as far as it is there. Then the connection
    /// may be used again.
    pub fn discard(&mut self, cx: &mut Context<'_>) -> bool {
        // What is waited for next has a time of its own.
        self.reading.clear();
        while !self.is_over() {
            if let Left::Broken = self.left {
                return false;
            }
            if !self.input.is_empty() {
                if self.take_piece().is_err() {
                    return false;
                }
                continue;
            }
            match self.poll_fill(cx) {
                Poll::Ready(Ok(read)) if read > 0 => {}
                Poll::Ready(_) | Poll::Pending => return false,
            }
        }
        true
    }
}

impl Lane {
    /// Writes from these slices once.
    pub fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let done = match slices {
            // A send costs the kernel less than a writev.
            [one] => Pin::new(&mut self.socket).poll_write(cx, one),
            slices => Pin::new(&mut self.socket).poll_write_vectored(cx, slices),
        };
        self.writing.watch(cx, done)
    }

    /// Has everything that was written go out.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.socket).poll_flush(cx);
        self.writing.watch(cx, done)
    }
}

impl WriteLimit {
    pub fn new(limits: &Client) -> WriteLimit {
        WriteLimit { silence: Deadline::unset(), wait: limits.keepalive_timeout }
    }

    /// Hands on what came of a write, or ends one that waits for too long.
    pub fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        done: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if done.is_ready() {
            self.silence.clear();
            return done;
        }
        if !self.silence.is_set() {
            self.silence.set(self.wait);
        }
        ready!(self.silence.poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}
