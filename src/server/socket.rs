//! A client's socket as hyper sees it: only bytes that passed the gate, within the client's limits.
//!
//! A request that is refused is replaced by a stand-in, so that its answer takes its place in the
//! order of the pipeline and the page, the log and the closing are those of any other request.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::clock::{self, Deadline};
use crate::config::Client;
use crate::diagnose::{Cause, RequestFault};
use crate::proxy::{Connection, Rejection, Upgrade};

use super::gate::{self, ChunkScan, Follows};
use super::transport::Socket;

/// What hyper parses in place of a refused request; the proxy knows it by the connection's record.
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n";
/// An answer up to this size leaves in one piece.
const FLATTEN_MAX: usize = 512;
/// A client that was silent for so long while nothing is owed to it is at rest: hyper would keep
/// 8 KiB for what it may say next.
const REST_AFTER: Duration = Duration::from_secs(1);
/// How much of a refused line the log shows.
const LINE_SHOWN: usize = 200;

/// The gate on one connection.
#[derive(Debug)]
pub struct GatedSocket {
    socket: Socket,
    connection: Rc<Connection>,
    limits: Rc<Client>,
    state: State,
    /// Bytes read and not yet passed on.
    carry: BytesMut,
    /// How many of them may pass.
    cleared: usize,
    /// How many of an incomplete head were searched for its end.
    looked: usize,
    reading: Deadline,
    /// How long `reading` goes on after [`REST_AFTER`].
    resting: Option<Duration>,
    writing: WriteLimit,
}

/// A client that takes nothing for as long as it might be idle is gone.
#[derive(Debug)]
pub struct WriteLimit {
    silence: Deadline,
    wait: Duration,
}

#[derive(Debug)]
enum State {
    Head,
    Length(u64),
    Chunked(ChunkScan),
    /// An upgrade was asked for: nothing is read until it is answered.
    Undecided,
    /// Upgraded: every byte passes.
    Tunnel,
    /// The stand-in was given; nothing more is read, and silence is not the client's end.
    Refused,
    /// A request body broke; hyper is told so.
    Broken(io::ErrorKind),
    /// The client was silent for too long.
    Ended,
}

/// How far bytes may pass, and why not further.
struct Verdict {
    passed: usize,
    refused: Option<Cause>,
}

impl GatedSocket {
    pub fn new(socket: Socket, connection: Rc<Connection>, limits: Rc<Client>) -> GatedSocket {
        let writing = WriteLimit::new(&limits);
        GatedSocket {
            socket,
            connection,
            limits,
            state: State::Head,
            carry: BytesMut::new(),
            cleared: 0,
            looked: 0,
            reading: Deadline::unset(),
            resting: None,
            writing,
        }
    }

    /// Refuses the client, whatever it sends.
    pub fn refuse_client(&mut self, cause: Cause) {
        self.refuse(cause);
    }

    /// Refuses a request of which these bytes were read elsewhere.
    pub fn refuse_begun(&mut self, begun: &[u8], cause: Cause) {
        self.carry.extend_from_slice(begun);
        self.refuse(cause);
    }

    /// Turns into a plain stream for a tunnel; `read` is what hyper had read ahead.
    pub fn open(&mut self, read: &[u8]) {
        self.put_back(read);
        self.cleared = self.carry.len();
        self.state = State::Tunnel;
        self.reading.clear();
    }

    /// Takes back what hyper had read and not used.
    pub fn put_back(&mut self, read: &[u8]) {
        let mut carry = BytesMut::from(read);
        carry.extend_from_slice(&self.carry);
        self.carry = carry;
        self.cleared += read.len();
    }

    /// At rest, waits without a buffer. Ready when hyper is to read again: the client's next bytes,
    /// its end, or that of its time.
    pub fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.socket.poll_readable(cx) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => self.poll_limit(cx),
        }
    }

    /// Ends the connection. An answer must not be lost to a reset, so what the client still sends
    /// is read for a while; a cut answer must not look whole, so it is ended by one.
    pub async fn close(self) {
        // Over TLS without close_notify too (RFC 8446 section 6.1): that would vouch for the end.
        if self.connection.cut.get() && !matches!(self.socket, Socket::Unix(_)) {
            self.socket.reset_on_close();
            return;
        }
        let talking = match self.state {
            State::Length(_) | State::Chunked(_) | State::Refused | State::Broken(_) => true,
            State::Head | State::Undecided | State::Tunnel | State::Ended => false,
        };
        self.socket.close(talking).await;
    }

    /// How many of these bytes may pass now; the rest is an incomplete head, or waits for a
    /// decision.
    fn admit(&mut self, bytes: &[u8]) -> Verdict {
        let mut passed = 0;
        let mut refused = None;
        while passed < bytes.len() && refused.is_none() {
            let rest = &bytes[passed..];
            match &mut self.state {
                State::Head => match self.admit_head(rest) {
                    Ok(0) => break,
                    Ok(length) => passed += length,
                    Err(cause) => refused = Some(cause),
                },
                State::Length(left) => {
                    let here = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    *left -= here as u64;
                    passed += here;
                    if *left == 0 {
                        self.state = State::Head;
                    }
                }
                State::Chunked(scan) => match scan.scan(rest) {
                    Ok(taken) => {
                        passed += taken;
                        if scan.is_done() {
                            self.state = State::Head;
                        }
                    }
                    Err(fault) => refused = Some(Cause::RequestInvalid { fault }),
                },
                State::Tunnel => passed = bytes.len(),
                State::Undecided | State::Refused | State::Broken(_) | State::Ended => break,
            }
        }
        Verdict { passed, refused }
    }

    /// The length of the head that these bytes begin with, 0 while it is incomplete.
    fn admit_head(&mut self, bytes: &[u8]) -> Result<usize, Cause> {
        // RFC 9112 section 2.2: an empty line before a request is left behind by a careless client.
        if bytes.starts_with(b"\r\n") {
            self.looked = 0;
            return Ok(2);
        }
        let limit_bytes = self.limits.header_section_bytes;
        let invalid = |fault| Cause::RequestInvalid { fault };
        let end = gate::end(bytes, self.looked).map_err(invalid)?;
        let Some(end) = end.filter(|end| *end <= limit_bytes) else {
            self.looked = bytes.len();
            return match end.is_some() || bytes.len() > limit_bytes {
                true => Err(Cause::RequestHeaderTooLarge { limit_bytes }),
                false => Ok(0),
            };
        };
        self.looked = 0;
        let follows = gate::inspect(&bytes[..end]).map_err(|fault| match fault {
            RequestFault::TooManyHeaders => Cause::RequestHeaderTooLarge { limit_bytes },
            fault => Cause::RequestInvalid { fault },
        })?;
        self.state = match follows {
            Follows::Nothing => State::Head,
            Follows::Length(length) => State::Length(length),
            Follows::Chunked => State::Chunked(ChunkScan::new()),
            Follows::Upgrade => {
                self.connection.upgrade.set(Upgrade::Asked);
                State::Undecided
            }
        };
        self.connection.admitted.set(self.connection.admitted.get() + 1);
        Ok(end)
    }

    /// Puts the stand-in where the refused request, at the head of `carry`'s uncleared bytes, is.
    fn refuse(&mut self, cause: Cause) {
        let line = self.carry[self.cleared..].split(|&byte| byte == b'\n').next();
        let line = line.unwrap_or_default();
        let line = line[..line.len().min(LINE_SHOWN)].trim_ascii_end().to_vec();
        self.connection.rejection.replace(Some(Rejection { cause, line }));
        self.carry.truncate(self.cleared);
        self.carry.extend_from_slice(STAND_IN);
        self.cleared = self.carry.len();
        self.state = State::Refused;
        self.reading.clear();
    }

    /// A fault inside a body: the request is with the proxy already, which is told; hyper gets an
    /// error.
    fn break_body(&mut self, cause: Cause, kind: io::ErrorKind) {
        self.connection.body_fault.replace(Some(cause));
        self.carry.truncate(self.cleared);
        self.state = State::Broken(kind);
        self.reading.clear();
    }

    fn in_body(&self) -> bool {
        matches!(self.state, State::Length(_) | State::Chunked(_))
    }

    fn refuse_or_break(&mut self, cause: Cause) {
        match self.in_body() {
            true => self.break_body(cause, io::ErrorKind::InvalidData),
            false => self.refuse(cause),
        }
    }

    /// Judges what `carry` holds and marks what of it may pass.
    fn judge(&mut self) {
        let carry = std::mem::take(&mut self.carry);
        let verdict = self.admit(&carry[self.cleared..]);
        self.carry = carry;
        self.cleared += verdict.passed;
        if let Some(cause) = verdict.refused {
            self.refuse_or_break(cause);
        }
    }

    /// Judges what was just read into `buf`, and takes back what may not pass. True when some may.
    fn pass(&mut self, buf: &mut ReadBuf<'_>, before: usize) -> bool {
        // A head's time runs from its first byte; a body's anew with each piece.
        if self.carry.is_empty() || self.in_body() {
            self.reading.clear();
        }
        if !self.carry.is_empty() {
            self.carry.extend_from_slice(&buf.filled()[before..]);
            buf.set_filled(before);
            self.judge();
            return false;
        }
        // The usual case: whole heads, or a body's bytes, judged where they are.
        let verdict = self.admit(&buf.filled()[before..]);
        self.carry.extend_from_slice(&buf.filled()[before + verdict.passed..]);
        buf.set_filled(before + verdict.passed);
        if let Some(cause) = verdict.refused {
            self.refuse_or_break(cause);
        }
        verdict.passed > 0
    }

    fn deliver(&mut self, buf: &mut ReadBuf<'_>) {
        let here = self.cleared.min(buf.remaining());
        buf.put_slice(&self.carry[..here]);
        self.carry.advance(here);
        self.cleared -= here;
    }

    /// Runs the limit of what is waited for while nothing comes. Ready once it has changed the
    /// state.
    fn poll_limit(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.connection.begun.set(!self.carry.is_empty());
        if !self.in_body() && self.connection.in_flight.get() > 0 {
            // The client waits for us.
            self.reading.clear();
            return Poll::Pending;
        }
        let fresh = self.connection.admitted.get() == 0;
        let waited = match self.state {
            State::Length(_) | State::Chunked(_) => self.limits.body_timeout,
            _ if self.carry.is_empty() && !fresh => self.limits.keepalive_timeout,
            _ => self.limits.header_timeout,
        };
        if !self.reading.is_set() {
            let rests = matches!(self.state, State::Head) && self.carry.is_empty();
            // One that soon ends is not worth it.
            self.resting = (rests && waited >= 2 * REST_AFTER).then(|| waited - REST_AFTER);
            self.reading.set(if self.resting.is_some() { REST_AFTER } else { waited });
        }
        ready!(self.reading.poll(cx));
        if let Some(rest) = self.resting.take() {
            // A deadline comes a tick late, lest it comes early; once is enough.
            self.reading.set(rest - clock::TICK);
            self.connection.at_rest.set(!self.writing.is_waiting());
            ready!(self.reading.poll(cx));
        }
        self.reading.clear();
        if self.in_body() {
            self.break_body(Cause::RequestBodyTimeout { waited }, io::ErrorKind::TimedOut);
        } else if self.carry.is_empty() {
            // Silent since its last answer, or since it came: the connection just ends.
            self.state = State::Ended;
        } else {
            self.refuse(Cause::RequestHeaderTimeout { waited });
        }
        Poll::Ready(())
    }

    /// Waits for the upgrade's answer; ready when it is known.
    fn poll_decision(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.connection.upgrade.get() {
            Upgrade::Asked => {
                self.connection.upgrade_waker.replace(Some(cx.waker().clone()));
                return Poll::Pending;
            }
            // hyper lets the connection go now; until then it is to see nothing.
            Upgrade::Granted => return Poll::Pending,
            Upgrade::None => self.state = State::Head,
        }
        self.judge();
        Poll::Ready(())
    }
}

impl AsyncRead for GatedSocket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let gate = self.get_mut();
        loop {
            if gate.cleared > 0 {
                gate.deliver(buf);
                return Poll::Ready(Ok(()));
            }
            match gate.state {
                State::Undecided => {
                    ready!(gate.poll_decision(cx));
                    continue;
                }
                State::Refused => return Poll::Pending,
                State::Broken(kind) => return Poll::Ready(Err(kind.into())),
                State::Ended => return Poll::Ready(Ok(())),
                State::Tunnel => return Pin::new(&mut gate.socket).poll_read(cx, buf),
                State::Head | State::Length(_) | State::Chunked(_) => {}
            }
            let before = buf.filled().len();
            match Pin::new(&mut gate.socket).poll_read(cx, buf) {
                Poll::Pending => ready!(gate.poll_limit(cx)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) if buf.filled().len() == before => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) if gate.pass(buf, before) => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) => {}
            }
        }
    }
}

impl WriteLimit {
    pub fn new(limits: &Client) -> WriteLimit {
        WriteLimit { silence: Deadline::unset(), wait: limits.keepalive_timeout }
    }

    /// Whether the client has yet to take something.
    pub fn is_waiting(&self) -> bool {
        self.silence.is_set()
    }

    /// Hands on what came of a write, or ends one that waits for too long.
    pub fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        done: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if done.is_ready() {
            if self.silence.is_set() {
                self.silence.clear();
            }
            return done;
        }
        if !self.silence.is_set() {
            self.silence.set(self.wait);
        }
        ready!(self.silence.poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncWrite for GatedSocket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let gate = self.get_mut();
        let done = Pin::new(&mut gate.socket).poll_write(cx, bytes);
        gate.writing.watch(cx, done)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let gate = self.get_mut();
        let length: usize = slices.iter().map(|slice| slice.len()).sum();
        let done = if length <= FLATTEN_MAX {
            // Head and body of a small answer as one piece: a send costs the kernel less than a
            // writev.
            let mut whole = [0; FLATTEN_MAX];
            let mut end = 0;
            for slice in slices {
                whole[end..end + slice.len()].copy_from_slice(slice);
                end += slice.len();
            }
            Pin::new(&mut gate.socket).poll_write(cx, &whole[..end])
        } else {
            Pin::new(&mut gate.socket).poll_write_vectored(cx, slices)
        };
        gate.writing.watch(cx, done)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let gate = self.get_mut();
        let done = Pin::new(&mut gate.socket).poll_flush(cx);
        let done = gate.writing.watch(cx, done);
        // hyper does not read between an answer and what comes next, but it flushes whenever a part
        // of a message is over: here the limit of that wait begins, and ends with the next request.
        let owes = gate.connection.in_flight.get() > 0;
        if matches!(gate.state, State::Head) && gate.reading.is_set() == owes {
            // What begins now is not over.
            let _ = gate.poll_limit(cx);
        }
        done
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}
