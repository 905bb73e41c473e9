//! One exchange over one connection: the request goes out while the response is already listened
//! for.
//!
//! No task is spawned: sending and receiving are two poll functions of one value, called in turn by
//! whoever waits, first for the head, then for each piece of the body. So an early answer is seen
//! while an upload is still going, and dropping the value ends everything. Cancel safe.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode};
use http_body::Body as _;

use crate::clock::Deadline;
use crate::config::{Limits, Timeouts};
use crate::upstream::attempt::Attempt;
use crate::upstream::failure::{Failure, HeadFailure, SendFailure, Stage};
use crate::upstream::stream::Conn;

use super::head::{self, Framing, Head};

/// The most interim responses (1xx) before the final one.
pub const INTERIM_MAX: usize = 16;
/// Below this, a piece of a request body is copied behind the head and leaves in the same write.
const FLATTEN_MAX: usize = 4096;
/// How long a `100 (Continue)` is waited for before the body is sent all the same (RFC 9110
/// 10.1.1).
const CONTINUE_WAIT: Duration = Duration::from_secs(1);
/// How long a failed write waits for the answer that may explain it.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How long bytes that are not HTTP are collected before they are judged.
const BANNER_WAIT: Duration = Duration::from_millis(100);
/// As many bytes of a foreign protocol identify it without waiting for more.
const BANNER_ENOUGH: usize = 16;

/// The request body on its way; lent to one exchange after another while nothing was taken from it.
#[derive(Debug)]
pub struct Upload {
    body: Option<hyper::body::Incoming>,
    framing: UploadFraming,
    /// A piece was taken: the request cannot be sent again.
    pub touched: bool,
    /// `Expect: 100-continue`: hold the body until the upstream asks for it.
    pub expect_continue: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadFraming {
    None,
    Length,
    Chunked,
}

impl Upload {
    pub fn new(body: hyper::body::Incoming, framing: UploadFraming) -> Upload {
        let body = (framing != UploadFraming::None).then_some(body);
        Upload { body, framing, touched: false, expect_continue: false }
    }

    pub(super) fn is_done(&self) -> bool {
        self.body.is_none()
    }
}

/// A connection with the state of the exchange on it; kept whole between exchanges, so that its
/// buffers and deadlines are made once.
#[derive(Debug)]
pub struct Wire {
    pub(crate) conn: Conn,
    pub(super) timeouts: Timeouts,
    /// What is to be written, in this order.
    out: BytesMut,
    big: Bytes,
    tail: &'static [u8],
    pub(super) sent: bool,
    sending: Deadline,
    pub(super) receiving: Deadline,
    pub(super) holding: Option<Deadline>,
}

/// What became of waiting for the head.
#[derive(Debug)]
pub struct Heard {
    pub head: Head,
    pub framing: Framing,
    /// The peer will close after this response, or asked for it.
    pub keep: bool,
}

impl Wire {
    pub(crate) fn new(conn: Conn, timeouts: &Timeouts) -> Wire {
        Wire {
            conn,
            timeouts: timeouts.clone(),
            out: BytesMut::new(),
            big: Bytes::new(),
            tail: b"",
            sent: false,
            sending: Deadline::unset(),
            receiving: Deadline::unset(),
            holding: None,
        }
    }

    /// Starts an exchange with the request head as it goes out.
    pub(crate) fn begin(&mut self, head: &[u8]) {
        self.sent = false;
        self.out.clear();
        self.out.extend_from_slice(head);
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
        let mut reader = HeadReader::default();
        let outcome = std::future::poll_fn(|cx| {
            self.poll_head(cx, upload, attempt, method, limits, &mut reader)
        })
        .await;
        if let Err(Failure::Head(_)) = &outcome {
            attempt.stage = Stage::Head;
        }
        if outcome.is_err() {
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
        reader: &mut HeadReader,
    ) -> Poll<Result<Heard, Failure>> {
        loop {
            if !self.sent && reader.unsendable.is_none() {
                match self.poll_send(cx, upload, attempt) {
                    Poll::Ready(Ok(())) => reader.waits = Some(self.timeouts.first_byte),
                    // An early answer may explain it: read once more before giving up.
                    Poll::Ready(Err(Failure::Send(SendFailure::Io(error)))) => {
                        reader.unsendable = Some(error);
                        reader.waits = Some(LAST_WORDS);
                    }
                    Poll::Ready(Err(failure)) => return Poll::Ready(Err(failure)),
                    Poll::Pending => {}
                }
            }
            let held = self.holding.is_some();
            if let Some(outcome) = self.parse_head(attempt, method, limits, reader)? {
                return Poll::Ready(Ok(outcome));
            }
            if held && self.holding.is_none() {
                // 100 (Continue): nobody else would wake us to send the body.
                continue;
            }
            match self.conn.poll_fill(cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(self.ended(reader, None))),
                Poll::Ready(Ok(read)) => self.received(read, attempt, reader),
                Poll::Ready(Err(error)) => {
                    return Poll::Ready(Err(self.ended(reader, Some(error))));
                }
                Poll::Pending => {
                    if let Some(wait) = reader.waits.take() {
                        self.receiving.set(wait);
                    }
                    ready!(self.receiving.poll(cx));
                    return Poll::Ready(Err(self.late(reader)));
                }
            }
        }
    }

    fn received(&mut self, read: usize, attempt: &mut Attempt, reader: &mut HeadReader) {
        attempt.bytes_received += read as u64;
        reader.whole_at_once = attempt.stamps.first_byte.is_none();
        if reader.whole_at_once {
            attempt.stamps.first_byte = Some(Instant::now());
        }
        if self.sent && !reader.foreign {
            reader.waits = Some(self.timeouts.idle);
        }
    }

    /// Parses what has come; `None` while more is needed.
    fn parse_head(
        &mut self,
        attempt: &mut Attempt,
        method: &Method,
        limits: &Limits,
        reader: &mut HeadReader,
    ) -> Result<Option<Heard>, Failure> {
        loop {
            let input = &self.conn.input;
            if input.is_empty() {
                return Ok(None);
            }
            if !head::may_be_http(input) {
                if input.len() >= BANNER_ENOUGH {
                    return Err(Failure::Head(HeadFailure::NotHttp));
                }
                if !reader.foreign {
                    reader.foreign = true;
                    reader.waits = Some(BANNER_WAIT);
                }
                return Ok(None);
            }
            let limit_bytes = limits.header_section_bytes;
            let end = head::end(input, reader.looked);
            reader.looked = input.len();
            let Some(end) = end.filter(|end| *end <= limit_bytes) else {
                let too_large = input.len() > limit_bytes || end.is_some();
                return match too_large {
                    true => Err(Failure::Head(HeadFailure::TooLarge { limit_bytes })),
                    false => Ok(None),
                };
            };
            // Parsed where it stands, so that a fault leaves the bytes to be shown.
            let whole = self.conn.input.split_to(end).freeze();
            reader.looked = 0;
            let heard = match finish_head(&whole, method, limits) {
                Ok(heard) => heard,
                Err(failure) => {
                    remember_head(attempt, &whole, &failure);
                    return Err(Failure::Head(failure));
                }
            };
            let status = heard.head.status;
            if !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS {
                attempt.status = Some(status.as_u16());
                attempt.stamps.head = match reader.whole_at_once {
                    true => attempt.stamps.first_byte,
                    false => Some(Instant::now()),
                };
                return Ok(Some(heard));
            }
            self.interim(status, reader)?;
        }
    }

    /// RFC 9110 section 15.2: any number of interim responses may come; ours is bounded.
    fn interim(&mut self, status: StatusCode, reader: &mut HeadReader) -> Result<(), Failure> {
        reader.interim += 1;
        if reader.interim > INTERIM_MAX {
            return Err(Failure::Head(HeadFailure::TooManyInterim { limit: INTERIM_MAX }));
        }
        if status == StatusCode::CONTINUE {
            self.holding = None;
        }
        // What comes after it is as far away as the first byte was.
        if self.sent {
            reader.waits = Some(self.timeouts.first_byte);
        }
        Ok(())
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
            match self.poll_stage_upload(cx, upload) {
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
        while !(self.out.is_empty() && self.big.is_empty() && self.tail.is_empty()) {
            let written = if self.big.is_empty() && self.tail.is_empty() {
                self.conn.poll_write(cx, &self.out)
            } else {
                let slices =
                    [IoSlice::new(&self.out), IoSlice::new(&self.big), IoSlice::new(self.tail)];
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
            self.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, mut written: usize) {
        let head = written.min(self.out.len());
        self.out.advance(head);
        written -= head;
        let big = written.min(self.big.len());
        self.big.advance(big);
        self.tail = &self.tail[written - big..];
    }

    /// Takes one piece of the request body and lays it out to be written.
    fn poll_stage_upload(
        &mut self,
        cx: &mut Context<'_>,
        upload: &mut Upload,
    ) -> Poll<Result<(), Failure>> {
        let Some(body) = &mut upload.body else { return Poll::Ready(Ok(())) };
        let frame = ready!(std::pin::Pin::new(body).poll_frame(cx));
        let chunked = upload.framing == UploadFraming::Chunked;
        match frame {
            None => {
                upload.body = None;
                if chunked {
                    self.out.extend_from_slice(b"0\r\n\r\n");
                }
            }
            Some(Err(error)) => return Poll::Ready(Err(Failure::Upload(error))),
            Some(Ok(frame)) => {
                upload.touched = true;
                match frame.into_data() {
                    Ok(data) => self.stage_data(data, chunked),
                    Err(frame) => {
                        upload.body = None;
                        let trailers = frame.into_trailers().unwrap_or_default();
                        if chunked {
                            self.stage_trailers(&trailers);
                        }
                    }
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn stage_data(&mut self, data: Bytes, chunked: bool) {
        if data.is_empty() {
            return;
        }
        if chunked {
            self.out.extend_from_slice(format!("{:x}\r\n", data.len()).as_bytes());
        }
        let tail: &'static [u8] = if chunked { b"\r\n" } else { b"" };
        if data.len() <= FLATTEN_MAX {
            self.out.extend_from_slice(&data);
            self.out.extend_from_slice(tail);
        } else {
            self.big = data;
            self.tail = tail;
        }
    }

    fn stage_trailers(&mut self, trailers: &HeaderMap) {
        self.out.extend_from_slice(b"0\r\n");
        for (name, value) in trailers {
            self.out.extend_from_slice(name.as_str().as_bytes());
            self.out.extend_from_slice(b": ");
            self.out.extend_from_slice(value.as_bytes());
            self.out.extend_from_slice(b"\r\n");
        }
        self.out.extend_from_slice(b"\r\n");
    }

    /// The read side is over before the head was: by FIN, or by an error.
    fn ended(&self, reader: &mut HeadReader, error: Option<io::Error>) -> Failure {
        if reader.foreign {
            return Failure::Head(HeadFailure::NotHttp);
        }
        // The write failed first; what the read side says now is its echo.
        if let Some(first) = reader.unsendable.take()
            && self.conn.input.is_empty()
        {
            return Failure::Send(SendFailure::Io(first));
        }
        match error.map(io::Error::downcast::<rustls::Error>) {
            None => Failure::Head(HeadFailure::Closed),
            Some(Ok(tls)) => Failure::Head(HeadFailure::Tls(tls)),
            // A TLS peer that closes without close_notify closes all the same.
            Some(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Failure::Head(HeadFailure::Closed)
            }
            Some(Err(error)) => Failure::Head(HeadFailure::Io(error)),
        }
    }

    fn late(&self, reader: &mut HeadReader) -> Failure {
        match reader.unsendable.take() {
            _ if reader.foreign => Failure::Head(HeadFailure::NotHttp),
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

/// How far reading the head has come.
#[derive(Debug, Default)]
struct HeadReader {
    /// Bytes already searched for the head's end.
    looked: usize,
    interim: usize,
    /// The write side's first error, while its explanation is waited for.
    unsendable: Option<io::Error>,
    /// What comes is not HTTP.
    foreign: bool,
    /// How long what is waited for may take, once waiting begins; `None`: as it was.
    waits: Option<Duration>,
    /// Nothing was read before the last read: its stamp is the first byte's.
    whole_at_once: bool,
}

fn finish_head(whole: &Bytes, method: &Method, limits: &Limits) -> Result<Heard, HeadFailure> {
    let head = head::parse(whole, limits.header_count)?;
    let framing = head::framing(&head, method).map_err(HeadFailure::Framing)?;
    let keep = framing != Framing::Close && head.keeps_alive();
    Ok(Heard { head, framing, keep })
}

fn remember_head(attempt: &mut Attempt, whole: &[u8], failure: &HeadFailure) {
    attempt.keep_first_bytes(whole);
    let remains = attempt.remains();
    remains.largest = head::largest_lines(whole);
    let offset = match failure {
        HeadFailure::StatusLine { .. } => Some(0),
        HeadFailure::Header { offset, .. } => Some(*offset),
        _ => None,
    };
    if let Some(offset) = offset {
        let offset = offset.min(whole.len());
        let start = memchr::memrchr(b'\n', &whole[..offset]).map_or(0, |newline| newline + 1);
        let end = memchr::memchr(b'\n', &whole[offset..]).map_or(whole.len(), |n| offset + n);
        remains.line = whole[start..end.min(start + 200)].to_vec();
    }
}
