//! One exchange over one connection: the request goes out while the response is already listened
//! for.
//!
//! No task is spawned: sending and receiving are two poll functions of one value, called in turn by
//! whoever waits, first for the head, then for each piece of the body. So an early answer is seen
//! while an upload is still going, and dropping the value ends everything. Cancel safe.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use http::{Method, StatusCode};

use crate::clock::Deadline;
use crate::config::{Limits, Scheme, Timeouts};

use super::attempt::Attempt;
use super::download::Payload;
use super::failure::{Failure, HeadFailure, SendFailure, Stage};
use super::fastcgi::reader::Responder;
use super::http1::head::{self, Head};
use super::http1::reader::HeadReader;
use super::stream::Conn;
use super::upload::{Outbox, Upload};

/// How long a `100 (Continue)` is waited for before the body is sent all the same (RFC 9110
/// 10.1.1).
const CONTINUE_WAIT: Duration = Duration::from_secs(1);
/// How long a failed write waits for the answer that may explain it.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How long bytes that are not HTTP are collected before they are judged.
const BANNER_WAIT: Duration = Duration::from_millis(100);
/// As many bytes of a foreign protocol identify it without waiting for more.
pub(crate) const BANNER_ENOUGH: usize = 16;

/// A connection with the state of the exchange on it; kept whole between exchanges, so that its
/// buffers and deadlines are made once.
#[derive(Debug)]
pub struct Wire {
    pub(crate) conn: Conn,
    pub(super) timeouts: Timeouts,
    outbox: Outbox,
    pub(super) sent: bool,
    sending: Deadline,
    pub(super) receiving: Deadline,
    pub(super) holding: Option<Deadline>,
}

/// What became of waiting for the head.
#[derive(Debug)]
pub(crate) struct Heard {
    /// Boxed, since it passes through many hands on its way to the client.
    pub(crate) head: Box<Head>,
    pub(crate) payload: Payload,
    /// The connection may serve again after this response.
    pub(crate) keep: bool,
}

/// What the bytes that have come amount to.
#[derive(Debug)]
pub(crate) enum Step {
    More,
    /// Not the protocol that is spoken here, and not enough to tell which.
    Foreign,
    Interim(StatusCode),
    Final(Heard),
}

impl Wire {
    pub(crate) fn new(conn: Conn, timeouts: &Timeouts) -> Wire {
        Wire {
            conn,
            timeouts: timeouts.clone(),
            outbox: Outbox::default(),
            sent: false,
            sending: Deadline::unset(),
            receiving: Deadline::unset(),
            holding: None,
        }
    }

    /// Starts an exchange with the request head, which is written here.
    pub(crate) fn begin(&mut self, write: &dyn Fn(&mut Vec<u8>)) {
        thread_local! {
            /// Room for a head, handed from one request to the next.
            static ROOM: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        self.sent = false;
        self.outbox.small.clear();
        ROOM.with_borrow_mut(|head| {
            head.clear();
            write(head);
            self.outbox.small.extend_from_slice(head);
        });
    }

    /// Ends an exchange: nothing of the request that it was for is held on to.
    pub(crate) fn rest(&mut self) {
        self.sending.rest();
        self.receiving.rest();
    }

    /// Sends the request and waits for the head of the final response.
    ///
    /// # Errors
    /// The first failure of send or head; what was seen stands in the attempt.
    pub(crate) async fn head(
        &mut self,
        upload: &mut Upload,
        attempt: &mut Attempt,
        method: &Method,
        limits: &Limits,
    ) -> Result<Heard, Failure> {
        attempt.stage = Stage::Send;
        if upload.expect_continue {
            self.holding = Some(Deadline::after(CONTINUE_WAIT));
        }
        let mut hearing = Hearing::new(attempt.server().scheme, limits);
        let outcome = std::future::poll_fn(|cx| {
            self.poll_head(cx, upload, attempt, method, limits, &mut hearing)
        })
        .await;
        if let Err(Failure::Head(_)) = &outcome {
            attempt.stage = Stage::Head;
        }
        if outcome.is_err() {
            attempt.stamps.ended = Some(Instant::now());
            self.leave_evidence(attempt);
        }
        outcome
    }

    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        upload: &mut Upload,
        attempt: &mut Attempt,
        method: &Method,
        limits: &Limits,
        hearing: &mut Hearing,
    ) -> Poll<Result<Heard, Failure>> {
        loop {
            if !self.sent && hearing.unsendable.is_none() {
                match self.poll_send(cx, upload, attempt) {
                    Poll::Ready(Ok(())) => hearing.waits = Some(self.timeouts.first_byte),
                    // An early answer may explain it: read once more before giving up.
                    Poll::Ready(Err(Failure::Send(SendFailure::Io(error)))) => {
                        hearing.unsendable = Some(error);
                        hearing.waits = Some(LAST_WORDS);
                    }
                    Poll::Ready(Err(failure)) => return Poll::Ready(Err(failure)),
                    Poll::Pending => {}
                }
            }
            let held = self.holding.is_some();
            if let Some(outcome) = self.hear(attempt, method, limits, hearing)? {
                return Poll::Ready(Ok(outcome));
            }
            if held && self.holding.is_none() {
                // 100 (Continue): nobody else would wake us to send the body.
                continue;
            }
            match self.conn.poll_fill(cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(self.ended(hearing, None))),
                Poll::Ready(Ok(read)) => self.received(read, attempt, hearing),
                Poll::Ready(Err(error)) => {
                    return Poll::Ready(Err(self.ended(hearing, Some(error))));
                }
                Poll::Pending => {
                    if let Some(wait) = hearing.waits.take() {
                        self.receiving.set(wait);
                    }
                    ready!(self.receiving.poll(cx));
                    return Poll::Ready(Err(self.late(hearing)));
                }
            }
        }
    }

    fn received(&mut self, read: usize, attempt: &mut Attempt, hearing: &mut Hearing) {
        attempt.bytes_received += read as u64;
        hearing.whole_at_once = attempt.stamps.first_byte.is_none();
        if hearing.whole_at_once {
            attempt.stamps.first_byte = Some(Instant::now());
        }
        if self.sent && !hearing.foreign {
            hearing.waits = Some(self.timeouts.idle);
        }
    }

    fn step(
        &mut self,
        attempt: &mut Attempt,
        method: &Method,
        limits: &Limits,
        hearing: &mut Hearing,
    ) -> Result<Step, Failure> {
        let input = &mut self.conn.input;
        match &mut hearing.reader {
            Reader::Http1(reader) => reader.step(input, method, limits, attempt),
            Reader::FastCgi(reader) => {
                reader.step(input, method, limits.idle_connections > 0, attempt)
            }
        }
    }

    /// Reads what has come; `None` while more is needed.
    fn hear(
        &mut self,
        attempt: &mut Attempt,
        method: &Method,
        limits: &Limits,
        hearing: &mut Hearing,
    ) -> Result<Option<Heard>, Failure> {
        loop {
            match self.step(attempt, method, limits, hearing)? {
                Step::More => return Ok(None),
                Step::Foreign => {
                    if !hearing.foreign {
                        hearing.foreign = true;
                        hearing.waits = Some(BANNER_WAIT);
                    }
                    return Ok(None);
                }
                Step::Interim(status) => {
                    if status == StatusCode::CONTINUE {
                        self.holding = None;
                    }
                    // What comes after it is as far away as the first byte was.
                    if self.sent {
                        hearing.waits = Some(self.timeouts.first_byte);
                    }
                }
                Step::Final(heard) => {
                    attempt.status = Some(heard.head.status.as_u16());
                    attempt.stamps.head = match hearing.whole_at_once {
                        true => attempt.stamps.first_byte,
                        false => Some(Instant::now()),
                    };
                    return Ok(Some(heard));
                }
            }
        }
    }

    /// Writes what there is to write. Ready once the whole request is with the kernel.
    pub(super) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        upload: &mut Upload,
        attempt: &mut Attempt,
    ) -> Poll<Result<(), Failure>> {
        loop {
            ready!(self.poll_write_out(cx, attempt))?;
            if upload.is_done() {
                ready!(self.poll_flush(cx))?;
                self.sent = true;
                attempt.stage = Stage::Head;
                attempt.stamps.sent = Some(Instant::now());
                return Poll::Ready(Ok(()));
            }
            if self.holding.is_some() {
                ready!(self.poll_flush(cx))?;
                if let Some(holding) = &mut self.holding {
                    ready!(holding.poll(cx));
                }
                self.holding = None;
            }
            match upload.poll_stage(cx, &mut self.outbox) {
                Poll::Ready(outcome) => outcome?,
                Poll::Pending => {
                    // The client is slow, not the upstream; let TLS push out what it holds.
                    let _ = self.poll_flush(cx)?;
                    return Poll::Pending;
                }
            }
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        match self.conn.poll_flush(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(Failure::Send(SendFailure::Io(error)))),
            Poll::Pending => self.poll_send_limit(cx),
        }
    }

    /// The write side does not move: ready with the failure once that has lasted too long.
    fn poll_send_limit(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        if !self.sending.is_set() {
            self.sending.set(self.timeouts.send);
        }
        ready!(self.sending.poll(cx));
        Poll::Ready(Err(Failure::Send(SendFailure::TimedOut)))
    }

    fn poll_write_out(
        &mut self,
        cx: &mut Context<'_>,
        attempt: &mut Attempt,
    ) -> Poll<Result<(), Failure>> {
        let outbox = &mut self.outbox;
        while !outbox.is_empty() {
            let written = if outbox.big.is_empty() && outbox.tail.is_empty() {
                self.conn.poll_write(cx, &outbox.small)
            } else {
                let slices = [
                    IoSlice::new(&outbox.small),
                    IoSlice::new(&outbox.big),
                    IoSlice::new(outbox.tail),
                ];
                self.conn.poll_write_vectored(cx, &slices)
            };
            let written = match written {
                Poll::Ready(Ok(0)) => Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(done) => done,
                Poll::Pending => return self.poll_send_limit(cx),
            };
            let written = written.map_err(|error| Failure::Send(SendFailure::Io(error)))?;
            attempt.bytes_sent += written as u64;
            if self.sending.is_set() {
                self.sending.clear();
            }
            outbox.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    /// The read side is over before the head was: by FIN, or by an error.
    fn ended(&self, hearing: &mut Hearing, error: Option<io::Error>) -> Failure {
        if hearing.foreign {
            return Failure::Head(HeadFailure::Foreign);
        }
        let error = match error.map(io::Error::downcast::<rustls::Error>) {
            // What TLS says explains a failed write: an alert comes before the close.
            Some(Ok(tls)) => return Failure::Head(HeadFailure::Tls(tls)),
            Some(Err(error)) => Some(error),
            None => None,
        };
        // The write failed first; what the read side says now is its echo.
        if let Some(first) = hearing.unsendable.take()
            && self.conn.input.is_empty()
        {
            return Failure::Send(SendFailure::Io(first));
        }
        match error {
            None => Failure::Head(HeadFailure::Closed),
            // A TLS peer that closes without close_notify closes all the same.
            Some(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Failure::Head(HeadFailure::Closed)
            }
            Some(error) => Failure::Head(HeadFailure::Io(error)),
        }
    }

    fn late(&self, hearing: &mut Hearing) -> Failure {
        match hearing.unsendable.take() {
            _ if hearing.foreign => Failure::Head(HeadFailure::Foreign),
            Some(error) => Failure::Send(SendFailure::Io(error)),
            None => Failure::Head(HeadFailure::TimedOut),
        }
    }

    fn leave_evidence(&self, attempt: &mut Attempt) {
        let kept = attempt.remains.as_ref().is_some_and(|remains| !remains.first_bytes.is_empty());
        if !kept && !self.conn.input.is_empty() {
            attempt.keep_first_bytes(&self.conn.input);
            attempt.remains().largest = head::largest_lines(&self.conn.input);
        }
    }
}

/// How far waiting for the head has come.
#[derive(Debug)]
struct Hearing {
    reader: Reader,
    /// The write side's first error, while its explanation is waited for.
    unsendable: Option<io::Error>,
    /// What comes is of another protocol.
    foreign: bool,
    /// How long what is waited for may take, once waiting begins; `None`: as it was.
    waits: Option<Duration>,
    /// Nothing was read before the last read: its stamp is the first byte's.
    whole_at_once: bool,
}

/// Who knows the protocol's way to the head.
#[derive(Debug)]
enum Reader {
    Http1(HeadReader),
    FastCgi(Box<Responder>),
}

impl Hearing {
    fn new(scheme: Scheme, limits: &Limits) -> Hearing {
        let reader = match scheme {
            // HTTP/2 has its own way (`http2`).
            Scheme::Http | Scheme::Https | Scheme::H2c => Reader::Http1(HeadReader::default()),
            Scheme::FastCgi => Reader::FastCgi(Box::new(Responder::new(limits))),
        };
        Hearing { reader, unsendable: None, foreign: false, waits: None, whole_at_once: false }
    }
}
