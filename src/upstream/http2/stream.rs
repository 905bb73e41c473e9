//! One exchange on one stream: the request goes out while the response is already listened for.
//!
//! As in `wire`, sending and receiving are poll functions of one value, and dropping it takes the
//! stream back (RST_STREAM, CANCEL) and leaves the connection to the others. Nothing but
//! END_STREAM makes a body whole.

use std::io;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{RecvStream, SendStream};
use http::{Method, Request, Response, StatusCode};
use http_body::Frame;

use crate::clock::Deadline;
use crate::config::{Limits, Timeouts};
use crate::upstream::attempt::Attempt;
use crate::upstream::failure::{
    BodyFailure, Failure, HeadFailure, Http2Failure, SendFailure, Stage,
};
use crate::upstream::http1::head::Head;
use crate::upstream::upload::{Upload, passed_on};

use super::fields;
use super::link::{self, Lease, State};

/// RFC 9113 section 7: what a peer says that refuses a stream.
const REFUSED_STREAM: u32 = 7;
/// How long a stream that takes no more of the request waits for the answer that may explain it.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How many interim responses may come before the final one.
const INTERIM_MAX: usize = 16;

/// An exchange whose request goes out.
#[derive(Debug)]
pub(super) struct Exchange {
    sending: Sending,
    response: ResponseFuture,
    stream: u32,
    receiving: Deadline,
    interim: usize,
    timeouts: Timeouts,
    lease: Lease,
}

/// The request on its way.
#[derive(Debug)]
struct Sending {
    stream: SendStream<Bytes>,
    /// Taken from the client and not yet given to the stream.
    piece: Bytes,
    over: bool,
    limit: Deadline,
}

/// A response body on its way, with what is left of the upload.
#[derive(Debug)]
pub struct Receiving {
    body: RecvStream,
    sending: Sending,
    upload: Upload,
    stream: u32,
    declared: Option<u64>,
    left: Option<u64>,
    done: bool,
    receiving: Deadline,
    timeouts: Timeouts,
    lease: Lease,
}

/// How a stream ended that was not done.
enum Broken {
    Foreign,
    Http2(Http2Failure),
    Tls(rustls::Error),
    Io(io::Error),
    Closed,
}

impl Exchange {
    /// Opens a stream with the request's head.
    ///
    /// # Errors
    /// The connection has ended.
    pub(super) async fn begin(
        lease: Lease,
        request: Request<()>,
        upload: &Upload,
        attempt: &mut Attempt,
        timeouts: &Timeouts,
    ) -> Result<Exchange, Failure> {
        attempt.stage = Stage::Send;
        let state = lease.link.state.clone();
        let failed = |error: &h2::Error| broken(error, &state, None).head();
        let size = fields::size(request.headers());
        let ready = lease.link.requests().ready().await;
        let mut requests = ready.map_err(|error| failed(&error))?;
        let over = upload.is_done();
        let (response, stream) =
            requests.send_request(request, over).map_err(|error| failed(&error))?;
        // From here on some of it may be with the peer.
        attempt.bytes_sent += size as u64;
        let number = response.stream_id().as_u32();
        let mut receiving = Deadline::unset();
        if over {
            attempt.stage = Stage::Head;
            attempt.stamps.sent = Some(Instant::now());
            receiving.set(timeouts.first_byte);
        }
        let sending = Sending { stream, piece: Bytes::new(), over, limit: Deadline::unset() };
        let timeouts = timeouts.clone();
        Ok(Exchange { sending, response, stream: number, receiving, interim: 0, timeouts, lease })
    }

    /// Sends the request and waits for the final response's head.
    ///
    /// # Errors
    /// The first failure of send or head; what was seen stands in the attempt.
    pub(super) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        upload: &mut Upload,
        attempt: &mut Attempt,
    ) -> Poll<Result<Response<RecvStream>, Failure>> {
        if !self.sending.over {
            match self.sending.poll(cx, upload, attempt, self.timeouts.send) {
                Poll::Ready(Ok(true)) => {
                    attempt.stage = Stage::Head;
                    attempt.stamps.sent = Some(Instant::now());
                    self.receiving.set(self.timeouts.first_byte);
                }
                // The peer takes no more: the answer, or the reset, says why.
                Poll::Ready(Ok(false)) => self.receiving.set(LAST_WORDS),
                Poll::Ready(Err(failure)) => return Poll::Ready(Err(failure)),
                Poll::Pending => {}
            }
        }
        while let Poll::Ready(Some(Ok(_))) = self.response.poll_informational(cx) {
            self.interim += 1;
            if self.interim > INTERIM_MAX {
                let failure = HeadFailure::TooManyInterim { limit: INTERIM_MAX };
                return Poll::Ready(Err(Failure::Head(failure)));
            }
            if self.sending.over {
                self.receiving.set(self.timeouts.first_byte);
            }
        }
        match std::pin::Pin::new(&mut self.response).poll(cx) {
            Poll::Ready(Ok(response)) => Poll::Ready(Ok(response)),
            Poll::Ready(Err(error)) => {
                let state = &self.lease.link.state;
                Poll::Ready(Err(broken(&error, state, Some(self.stream)).head()))
            }
            Poll::Pending => {
                ready!(self.receiving.poll(cx));
                Poll::Ready(Err(Failure::Head(HeadFailure::TimedOut)))
            }
        }
    }

    /// The head, and the body as it is to come.
    ///
    /// # Errors
    /// The head is beyond a limit, or contradicts itself.
    pub(super) fn answered(
        self,
        response: Response<RecvStream>,
        upload: Upload,
        attempt: &mut Attempt,
        method: &Method,
        limits: &Limits,
    ) -> Result<(Head, Receiving), Failure> {
        let (parts, body) = response.into_parts();
        let size = fields::size(&parts.headers);
        let now = Instant::now();
        attempt.bytes_received += size as u64;
        attempt.stamps.first_byte = Some(now);
        // HTTP/2 knows no 101 (RFC 9113 section 8.6).
        if parts.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Failure::Head(HeadFailure::UpgradeUnasked));
        }
        let largest = (size > limits.header_section_bytes
            || parts.headers.len() > limits.header_count)
            .then(|| fields::largest(&parts.headers));
        if let Some(largest) = largest {
            attempt.remains().largest = largest;
        }
        let (count_max, limit) = (limits.header_count, limits.header_section_bytes);
        let (head, declared) =
            fields::response(parts, method, limit, count_max).map_err(Failure::Head)?;
        attempt.status = Some(head.status.as_u16());
        attempt.stamps.head = Some(now);
        let done = body.is_end_stream();
        let Exchange { sending, stream, receiving, timeouts, lease, .. } = self;
        let left = declared;
        let receiving = Receiving {
            body,
            sending,
            upload,
            stream,
            declared,
            left,
            done,
            receiving,
            timeouts,
            lease,
        };
        Ok((head, receiving))
    }

    pub(super) fn state(&self) -> &State {
        &self.lease.link.state
    }
}

impl Sending {
    /// Gives the stream what the client sends, as far as its window reaches. Ready with true once
    /// all of it is given, with false when the peer takes no more.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        upload: &mut Upload,
        attempt: &mut Attempt,
        limit: Duration,
    ) -> Poll<Result<bool, Failure>> {
        while !self.over {
            if !self.piece.is_empty() {
                ready!(self.poll_piece(cx, attempt, limit))?;
                continue;
            }
            let given = match ready!(upload.poll_piece(cx)).transpose()? {
                None => self.stream.send_data(Bytes::new(), true),
                Some(frame) => match frame.into_data() {
                    Ok(data) => {
                        self.piece = data;
                        continue;
                    }
                    Err(frame) => {
                        let trailers = frame.into_trailers().unwrap_or_default();
                        self.stream.send_trailers(passed_on(trailers))
                    }
                },
            };
            self.over = true;
            return Poll::Ready(Ok(given.is_ok()));
        }
        Poll::Ready(Ok(false))
    }

    /// Gives the stream as much of the piece as it has room for.
    fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
        attempt: &mut Attempt,
        limit: Duration,
    ) -> Poll<Result<(), Failure>> {
        if self.stream.capacity() == 0 {
            self.stream.reserve_capacity(self.piece.len());
            match self.stream.poll_capacity(cx) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(_)) | None) => self.over = true,
                Poll::Pending => {
                    if !self.limit.is_set() {
                        self.limit.set(limit);
                    }
                    ready!(self.limit.poll(cx));
                    return Poll::Ready(Err(Failure::Send(SendFailure::TimedOut)));
                }
            }
        }
        self.limit.clear();
        let room = self.stream.capacity().min(self.piece.len());
        if room > 0 && !self.over {
            let given = self.stream.send_data(self.piece.split_to(room), false);
            self.over = given.is_err();
            attempt.bytes_sent += room as u64;
        }
        Poll::Ready(Ok(()))
    }
}

impl Receiving {
    pub(crate) fn is_done(&self) -> bool {
        self.done
    }

    /// The bytes still to come, where the head declared them.
    pub(crate) fn left(&self) -> Option<u64> {
        if self.done { Some(0) } else { self.left }
    }

    /// Ends the head's wait: the body's begins where its first piece is not here yet.
    pub(crate) fn begin(&mut self) {
        self.receiving.clear();
    }

    /// The next piece of the body; `None` at its end. Sends what is left of the upload meanwhile.
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        attempt: &mut Attempt,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        if self.done {
            return Poll::Ready(None);
        }
        // The answer is here already; an upload that it did not want is no failure of it.
        if let Poll::Ready(Err(_)) =
            self.sending.poll(cx, &mut self.upload, attempt, self.timeouts.send)
        {
            self.sending.over = true;
        }
        attempt.stage = Stage::Body;
        match self.body.poll_data(cx) {
            Poll::Ready(Some(Ok(data))) => {
                self.receiving.clear();
                // What the client has not taken fills the window, and the peer waits. An error
                // says that the stream has ended, and the next look at it tells how.
                let _ = self.body.flow_control().release_capacity(data.len());
                let length = data.len() as u64;
                attempt.bytes_received += length;
                attempt.body_bytes += length;
                self.left = self.left.map(|left| left.saturating_sub(length));
                self.done = self.body.is_end_stream();
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(self.broken(&error)))),
            Poll::Ready(None) => self.poll_trailers(cx),
            Poll::Pending => {
                if !self.receiving.is_set() {
                    self.receiving.set(self.timeouts.idle);
                }
                ready!(self.receiving.poll(cx));
                Poll::Ready(Some(Err(Failure::Body(BodyFailure::TimedOut))))
            }
        }
    }

    fn poll_trailers(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        match ready!(self.body.poll_trailers(cx)) {
            Ok(trailers) => {
                self.done = true;
                Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
            }
            Err(error) => Poll::Ready(Some(Err(self.broken(&error)))),
        }
    }

    fn broken(&self, error: &h2::Error) -> Failure {
        broken(error, &self.lease.link.state, Some(self.stream)).body(self.declared)
    }
}

/// The connection ended under its first bytes.
pub(super) fn unstarted(error: h2::Error) -> Failure {
    Failure::Send(SendFailure::Io(error.into_io().unwrap_or_else(|| io::ErrorKind::Other.into())))
}

impl Broken {
    fn head(self) -> Failure {
        Failure::Head(match self {
            Broken::Foreign => HeadFailure::Foreign,
            Broken::Http2(failure) => HeadFailure::Http2(failure),
            Broken::Tls(error) => HeadFailure::Tls(error),
            Broken::Io(error) => HeadFailure::Io(error),
            Broken::Closed => HeadFailure::Closed,
        })
    }

    fn body(self, declared_bytes: Option<u64>) -> Failure {
        Failure::Body(match self {
            Broken::Http2(failure) => BodyFailure::Http2(failure),
            Broken::Tls(error) => BodyFailure::Tls(error),
            Broken::Io(error) => BodyFailure::Io(error),
            // What has answered in HTTP/2 is of no other protocol.
            Broken::Foreign | Broken::Closed => BodyFailure::ClosedShort { declared_bytes },
        })
    }
}

/// The first cause of a stream's end: what the peer said of the stream, then of the connection,
/// then what we refused, then what the socket saw. What h2 reports last may be its echo.
fn broken(error: &h2::Error, state: &State, stream: Option<u32>) -> Broken {
    let code = error.reason().map_or(0, u32::from);
    if error.is_reset() && error.is_remote() {
        return Broken::Http2(match code {
            REFUSED_STREAM => Http2Failure::Refused,
            code => Http2Failure::Reset { code },
        });
    }
    let watch = state.watch.borrow();
    if watch.foreign().is_some() {
        return Broken::Foreign;
    }
    // Our own verdict comes before theirs on us only when it was about this very stream.
    if let Some(farewell) = watch.farewell().filter(|_| !(error.is_library() && error.is_reset())) {
        let (last_stream, code) = (farewell.last_stream, farewell.code);
        let debug = farewell.debug.clone();
        return Broken::Http2(Http2Failure::GoAway { code, debug, last_stream, stream });
    }
    if state.silent_to_ping.get() {
        return Broken::Http2(Http2Failure::PingTimedOut);
    }
    if error.is_library() {
        return Broken::Http2(Http2Failure::Protocol { code });
    }
    // A copy: each stream of the connection has its own failure.
    let error = state.error.borrow().as_ref().map(link::copy);
    match error.map(io::Error::downcast::<rustls::Error>) {
        Some(Ok(tls)) => Broken::Tls(tls),
        Some(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Broken::Closed,
        Some(Err(error)) => Broken::Io(error),
        None => Broken::Closed,
    }
}
