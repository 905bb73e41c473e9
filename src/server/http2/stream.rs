//! One request of HTTP/2, from its head to the end of its stream.
//!
//! The proxy answers as it answers any other; here are the stream's own matters: the judgement of
//! its head, its turn, the end of a client that waits no longer, and an answer sent as the client
//! takes it. A cut answer ends in RST_STREAM, never in END_STREAM.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::header::{self, HeaderMap, HeaderName};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body::Body as _;

use crate::clock::{self, Deadline};
use crate::diagnose::{Cause, RequestFault};
use crate::proxy::{self, Body};
use crate::upstream::{ClientBody, StreamBody};

use super::Lane;
use super::gate;
use super::hold::{Piece, Turn};
use crate::server::date;

/// The stream's sending side. Shared with the request's body, which may ask the client to go on.
type Sender = Rc<RefCell<SendResponse<Piece>>>;

/// Answers one request.
pub async fn serve(lane: Rc<Lane>, request: Request<RecvStream>, sender: SendResponse<Piece>) {
    let sender = Rc::new(RefCell::new(sender));
    let mut turn = None;
    let response = answered(&lane, request, &sender, &mut turn).await;
    if let Some(response) = response {
        send(&lane, &sender, response).await;
    }
    drop(turn);
}

/// The answer; `None` when nobody waits for it any more.
async fn answered(
    lane: &Lane,
    request: Request<RecvStream>,
    sender: &Sender,
    turn: &mut Option<Turn>,
) -> Option<Response<Body>> {
    let mut answer = std::pin::pin!(answer(lane, request, sender, turn));
    std::future::poll_fn(|cx| {
        if let Poll::Ready(response) = answer.as_mut().poll(cx) {
            return Poll::Ready(response);
        }
        // The client takes its request back, or its connection is over.
        sender.borrow_mut().poll_reset(cx).map(|_| None)
    })
    .await
}

async fn answer(
    lane: &Lane,
    request: Request<RecvStream>,
    sender: &Sender,
    turn: &mut Option<Turn>,
) -> Option<Response<Body>> {
    let (mut parts, stream) = request.into_parts();
    let number = stream.stream_id().as_u32();
    let site = lane.worker.site(&lane.listening);
    let length = match admit(lane, &mut parts) {
        Ok(length) => length,
        Err(cause) => return Some(proxy::refuse(site, lane.connection.clone(), &parts, cause)),
    };
    let body = body(lane, &parts, stream, length, sender);
    let request = Request::from_parts(parts, body);
    // The line in the log is due from here on, also for one whose turn never comes.
    let answer = proxy::handle(site, lane.connection.clone(), request);
    let begin = std::future::poll_fn(|cx| lane.hold.poll_turn(number, cx));
    *turn = clock::within(lane.limits.keepalive_timeout, begin).await;
    if turn.is_none() {
        // RFC 9113 section 8.7: nothing was done with it, so that the client may ask again.
        sender.borrow_mut().send_reset(Reason::REFUSED_STREAM);
        return None;
    }
    Some(answer.await)
}

/// Whether a request may go on; the length that it declares.
fn admit(lane: &Lane, parts: &mut Parts) -> Result<Option<u64>, Cause> {
    if let Some(cause) = &lane.refused {
        return Err(cause.clone());
    }
    let length = gate::admit(parts, lane.limits.header_section_bytes)?;
    match is_misdirected(lane, parts) {
        true => Err(Cause::RequestInvalid { fault: RequestFault::Misdirected }),
        false => Ok(length),
    }
}

/// RFC 9113 section 9.1.1: a client may use one connection for every host of its certificate. One
/// that it is not for, and another is, belongs to a connection with that one. Where no other is, a
/// new connection would be shown the same, and whoever asks all the same has made up their mind.
fn is_misdirected(lane: &Lane, parts: &Parts) -> bool {
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let (Some(host), Some(shown)) = (host, &lane.connection.certificate) else { return false };
    !shown.covers(host)
        && lane.worker.tls.shelf().leaves().iter().any(|leaf| leaf.names.covers(host))
}

fn body(
    lane: &Lane,
    parts: &Parts,
    stream: RecvStream,
    length: Option<u64>,
    sender: &Sender,
) -> ClientBody {
    let ended = stream.is_end_stream();
    let mut body = StreamBody::new(stream, length, lane.limits.body_timeout);
    if !ended && parts.headers.contains_key(header::EXPECT) {
        let sender = sender.clone();
        // RFC 9110 section 10.1.1; that nobody waits for it any more is no fault.
        let go_on = move || {
            let mut interim = Response::new(());
            *interim.status_mut() = StatusCode::CONTINUE;
            let _ = sender.borrow_mut().send_informational(interim);
        };
        body.on_wanted(Box::new(go_on));
    }
    ClientBody::of(Box::new(body))
}

/// Sends an answer to its end, or ends its stream.
async fn send(lane: &Rc<Lane>, sender: &Sender, response: Response<Body>) {
    let (mut head, body) = response.into_parts();
    let ended = body.is_end_stream();
    complete(&mut head.headers, &body, ended);
    let head = Response::from_parts(head, ());
    let sent = sender.borrow_mut().send_response(head, ended);
    match sent {
        Ok(stream) if !ended => {
            let mut sending = Sending {
                lane: lane.clone(),
                body,
                stream,
                piece: Bytes::new(),
                silence: Deadline::unset(),
            };
            std::future::poll_fn(|cx| sending.poll(cx)).await;
        }
        Ok(_) => {}
        Err(error) => {
            tracing::debug!(%error, "an answer could not be sent");
            sender.borrow_mut().send_reset(Reason::INTERNAL_ERROR);
        }
    }
}

/// The fields of an answer as HTTP/2 has them.
fn complete(headers: &mut HeaderMap, body: &Body, ended: bool) {
    /// RFC 9113 section 8.2.2; a page for HTTP/1.1 ends its connection.
    const OF_A_CONNECTION: [HeaderName; 3] =
        [header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE];
    for name in OF_A_CONNECTION {
        headers.remove(name);
    }
    headers.extend(body.fields().cloned().unwrap_or_default());
    // RFC 9110 section 6.6.1.
    headers.entry(header::DATE).or_insert_with(date::value);
    if !ended && let Some(length) = body.size_hint().exact() {
        headers.entry(header::CONTENT_LENGTH).or_insert_with(|| length.into());
    }
}

/// An answer's body on its way.
struct Sending {
    lane: Rc<Lane>,
    body: Body,
    stream: SendStream<Piece>,
    /// What was taken of the body and not handed on.
    piece: Bytes,
    /// While the client takes nothing.
    silence: Deadline,
}

impl Sending {
    /// Ready when the stream is at its end, good or bad.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.stream.poll_reset(cx).is_ready() {
                return Poll::Ready(());
            }
            if self.piece.is_empty() {
                if !ready!(self.poll_piece(cx)) {
                    return Poll::Ready(());
                }
                continue;
            }
            match self.poll_room(cx) {
                Poll::Ready(Some(room)) => {
                    self.silence.clear();
                    if !self.hand_on(room) {
                        return Poll::Ready(());
                    }
                }
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => return self.poll_silence(cx),
            }
        }
    }

    /// Takes a piece of the body. False at the stream's end.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let goes_on = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) if data.is_empty() && self.body.is_end_stream() => {
                    let _ = self.stream.send_data(Piece::end(), true);
                    false
                }
                Ok(data) => {
                    self.piece = data;
                    true
                }
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    if self.stream.send_trailers(trailers).is_err() {
                        self.stream.send_reset(Reason::INTERNAL_ERROR);
                    }
                    false
                }
            },
            Some(Err(proxy::Cut)) => {
                // RFC 9113 section 8.1: an answer that is not whole must not look it.
                self.stream.send_reset(Reason::INTERNAL_ERROR);
                false
            }
            None => {
                // The stream may have ended by itself; then nobody waits for its end.
                let _ = self.stream.send_data(Piece::end(), true);
                false
            }
        };
        Poll::Ready(goes_on)
    }

    /// How much of the piece may be handed on; `None` when the stream is over.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Option<usize>> {
        self.stream.reserve_capacity(self.piece.len());
        while self.stream.capacity() == 0 {
            match ready!(self.stream.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Poll::Ready(None),
            }
        }
        ready!(self.lane.hold.poll_room(self.stream.stream_id().as_u32(), cx));
        Poll::Ready(Some(self.stream.capacity().min(self.piece.len())))
    }

    /// Hands a part of the piece on. False at the stream's end.
    fn hand_on(&mut self, room: usize) -> bool {
        let part = self.piece.split_to(room);
        let ended = self.piece.is_empty() && self.body.is_end_stream();
        self.lane.wire.borrow_mut().wrote(room);
        let sent = self.stream.send_data(self.lane.hold.piece(part), ended);
        sent.is_ok() && !ended
    }

    /// A client that takes nothing of an answer for as long as it might be idle does not want it.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.silence.is_set() {
            self.silence.set(self.lane.limits.keepalive_timeout);
        }
        ready!(self.silence.poll(cx));
        self.stream.send_reset(Reason::CANCEL);
        Poll::Ready(())
    }
}
