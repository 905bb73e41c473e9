//! HTTP/1.1 towards a client: one connection from accept to close.
//!
//! `request` and `answer` are the two heads, pure, with the gate and the chunks beside this folder;
//! `lane` reads and writes within the client's limits; `sending` is an answer on its way; here
//! stands what comes after what. Requests are answered in their order, one at a time (RFC 9112
//! section 9.3.2).

pub(crate) mod answer;
mod lane;
mod opened;
pub(crate) mod request;
mod sending;

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;

use crate::clock::Deadline;
use crate::config::Client;
use crate::diagnose::Cause;
use crate::proxy::{self, Body, Connection, Rejection};
use crate::upstream::{BodySource, ClientBody, UploadFailure};

use super::gate::Follows;
use super::transport::Socket;
use super::worker::{LAST_CALL, Listening, Worker};

use answer::Asked;
use lane::{Lane, Next};
use request::Head;
use sending::Sending;

pub use lane::WriteLimit;

/// A client that is answered with a refusal, whatever it sends.
#[derive(Debug)]
pub struct Refused {
    pub cause: Cause,
    /// What was read of its request.
    pub begun: Vec<u8>,
}

/// How a request ended, as far as its connection goes.
enum Ending {
    /// The next may come.
    Kept,
    Closed,
    /// The client was refused, and may still be sending.
    Refused,
    /// The connection is a tunnel's now.
    Upgraded,
}

/// Serves a connection until it ends, is drained, or becomes a tunnel and that ends.
pub async fn serve(
    worker: Rc<Worker>,
    listening: Rc<Listening>,
    socket: Socket,
    connection: Rc<Connection>,
    limits: Rc<Client>,
    refused: Option<Refused>,
) {
    let lane = Rc::new(RefCell::new(Lane::new(socket, connection.clone(), limits)));
    let line = Line { worker, listening: listening.clone(), connection: connection.clone(), lane };
    let attending = listening.attend().await;
    let ending = match refused {
        Some(Refused { cause, begun }) => {
            line.refuse(lane::rejection(&begun, cause)).await;
            Ending::Refused
        }
        None => line.serve().await,
    };
    drop(attending);
    // The bodies of its requests are gone, and with them whoever else had the lane.
    let Some(lane) = Rc::into_inner(line.lane).map(RefCell::into_inner) else { return };
    let tunnel = connection.tunnel.take();
    match (ending, tunnel) {
        // Boxed, since few connections come to this and all would carry its size.
        (Ending::Upgraded, Some(tunnel)) => Box::pin(tunnel.carry(lane.open())).await,
        (ending, _) => lane.close(matches!(ending, Ending::Refused)).await,
    }
}

/// One connection and whom it belongs to.
struct Line {
    worker: Rc<Worker>,
    listening: Rc<Listening>,
    connection: Rc<Connection>,
    lane: Rc<RefCell<Lane>>,
}

impl Line {
    async fn serve(&self) -> Ending {
        let mut last_call = Deadline::unset();
        loop {
            let next = std::future::poll_fn(|cx| self.poll_next(cx, &mut last_call)).await;
            let ending = match next {
                Next::Request(head) => self.answer(head).await,
                Next::Refused(rejection) => {
                    self.refuse(rejection).await;
                    Ending::Refused
                }
                Next::End => Ending::Closed,
            };
            if !matches!(ending, Ending::Kept) {
                return ending;
            }
        }
    }

    /// The next request; the end, where the listener is drained and none comes.
    fn poll_next(&self, cx: &mut Context<'_>, last_call: &mut Deadline) -> Poll<Next> {
        let mut lane = self.lane.borrow_mut();
        if let Poll::Ready(next) = lane.poll_next(cx) {
            return Poll::Ready(next);
        }
        if !self.listening.is_drained() {
            return Poll::Pending;
        }
        // Between two requests the next may be on its way: RFC 9112 section 9.3.1 lets a server
        // close then, but the client could not know whether it was taken. It is waited for, and
        // its answer says `Connection: close`.
        if !last_call.is_set() {
            last_call.set(LAST_CALL);
        }
        let over = last_call.poll(cx).is_ready() && !lane.has_begun();
        if over { Poll::Ready(Next::End) } else { Poll::Pending }
    }

    async fn answer(&self, head: Box<Head>) -> Ending {
        let Head { parts, follows, keeps_alive, takes_trailers, .. } = *head;
        let drained = self.listening.is_drained();
        let old = parts.version == http::Version::HTTP_10;
        let asked = Asked::new(&parts.method, old, keeps_alive && !drained, takes_trailers);
        let site = self.worker.site(&self.listening);
        let request = Request::from_parts(parts, self.body(follows));
        // Boxed, since every connection at rest would carry its size.
        let mut answering = Box::pin(proxy::handle(site, self.connection.clone(), request));
        let response = std::future::poll_fn(|cx| {
            if let Poll::Ready(response) = answering.as_mut().poll(cx) {
                return Poll::Ready(Some(response));
            }
            self.lane.borrow_mut().poll_gone(cx).map(|()| None)
        })
        .await;
        // What is left of the request is over before its answer is written.
        drop(answering);
        match response {
            Some(response) => self.send(response, asked).await,
            None => Ending::Closed,
        }
    }

    async fn send(&self, response: Response<Body>, asked: Asked) -> Ending {
        // A body that nobody will read any more: the client is told before the connection closes,
        // or its next request would be lost (RFC 9112 section 9.6).
        let is_left = Rc::strong_count(&self.lane) == 1 && !self.discard().await;
        let keeps_alive = asked.keeps_alive && !is_left && !self.listening.is_drained();
        let asked = Asked { keeps_alive, ..asked };
        let mut sending = Sending::new(response, asked, self.lane.borrow_mut().take_owed());
        let kept = std::future::poll_fn(|cx| sending.poll(cx, &self.lane)).await;
        if sending.would_look_whole() {
            self.connection.cut.set(true);
        }
        drop(sending);
        if self.connection.tunnel.borrow().is_some() {
            return Ending::Upgraded;
        }
        if kept && self.discard().await { Ending::Kept } else { Ending::Closed }
    }

    /// Reads what is left of the request, as far as it is there: whether that was all.
    async fn discard(&self) -> bool {
        std::future::poll_fn(|cx| Poll::Ready(self.lane.borrow_mut().discard(cx))).await
    }

    async fn refuse(&self, rejection: Rejection) {
        let site = self.worker.site(&self.listening);
        let response = proxy::reject(site, self.connection.clone(), rejection);
        let asked = Asked { is_head: false, old: false, keeps_alive: false, takes_trailers: false };
        self.send(response, asked).await;
    }

    fn body(&self, follows: Follows) -> ClientBody {
        let length = match follows {
            Follows::Nothing | Follows::Upgrade => return ClientBody::none(),
            Follows::Length(length) => Some(length),
            Follows::Chunked => None,
        };
        ClientBody::of(Box::new(RequestBody { lane: self.lane.clone(), length }))
    }
}

/// The body of the request under way.
#[derive(Debug)]
struct RequestBody {
    lane: Rc<RefCell<Lane>>,
    length: Option<u64>,
}

impl BodySource for RequestBody {
    fn length(&self) -> Option<u64> {
        self.length
    }

    fn is_end_stream(&self) -> bool {
        self.lane.borrow().is_over()
    }

    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadFailure>>> {
        let frame = self.lane.borrow_mut().poll_body(cx);
        frame.map(|frame| frame.map(|frame| frame.map_err(UploadFailure::Http1)))
    }
}
