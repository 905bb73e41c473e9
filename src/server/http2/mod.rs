//! HTTP/2 towards a client, spoken after TLS agreed on it (ALPN `h2`): one connection.
//!
//! h2 reads and writes the frames; here each request gets a task of its own, and the connection its
//! times and its end. Neither server push nor extended CONNECT is offered (RFC 9113 section 8.4,
//! RFC 8441): a WebSocket comes over HTTP/1.1, as browsers then do by themselves.

mod gate;
mod hold;
mod limits;
mod stream;
mod tally;
mod wire;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use h2::Reason;
use h2::server::Connection as Frames;

use crate::clock::Deadline;
use crate::config;
use crate::diagnose::Cause;
use crate::proxy::Connection;

use super::http1::WriteLimit;
use super::transport::{LINGER_TIME, Socket};
use super::worker::{Listening, Worker};

use hold::{Hold, Piece};
use tally::Offence;
use wire::{Handle, Wire};

/// What the streams of one connection share.
#[derive(Debug)]
struct Lane {
    worker: Rc<Worker>,
    listening: Rc<Listening>,
    connection: Rc<Connection>,
    limits: Rc<config::Client>,
    /// Every request is answered with this.
    refused: Option<Cause>,
    wire: Rc<RefCell<Wire>>,
    hold: Rc<Hold>,
    /// Streams whose task is not at its end.
    open: Cell<u32>,
    /// The connection's task, while it waits for the last of them.
    waiting: RefCell<Option<Waker>>,
}

/// A stream whose task is not at its end.
struct Open(Rc<Lane>);

/// Serves a connection until it ends or is drained. `refused`: the client is one too many, and is
/// told so.
pub async fn serve(
    worker: Rc<Worker>,
    listening: Rc<Listening>,
    socket: Socket,
    connection: Rc<Connection>,
    limits: Rc<config::Client>,
    refused: Option<Cause>,
) {
    let wire = Rc::new(RefCell::new(Wire::new(socket, WriteLimit::new(&limits))));
    // One time for the preface and the first request together.
    let mut quiet = Deadline::after(limits.header_timeout);
    let mut handshake =
        std::pin::pin!(limits::builder(&limits).handshake::<_, Piece>(Handle(wire.clone())));
    let shaking = std::future::poll_fn(|cx| match handshake.as_mut().poll(cx) {
        Poll::Ready(frames) => Poll::Ready(Some(frames)),
        Poll::Pending => quiet.poll(cx).map(|()| None),
    });
    let frames = listening.until_last_call(shaking).await.flatten();
    let frames = match frames {
        Some(Ok(frames)) => frames,
        Some(Err(error)) => {
            tracing::debug!(%error, "a client of HTTP/2 did not begin as such");
            return;
        }
        None => return,
    };
    let lane = Rc::new(Lane {
        worker,
        listening: listening.clone(),
        connection,
        limits,
        refused,
        wire,
        hold: Rc::default(),
        open: Cell::new(0),
        waiting: RefCell::default(),
    });
    let mut serving =
        Serving { frames, lane: lane.clone(), quiet, begun: false, leaving: false, ended: false };
    let attending = listening.attend().await;
    std::future::poll_fn(|cx| serving.poll(cx, &listening)).await;
    drop(attending);
    let talking = !serving.ended;
    drop(serving);
    close(&lane, talking).await;
}

/// Ends the connection under the frames; the streams that are left see it and end by themselves.
async fn close(lane: &Lane, talking: bool) {
    let socket = lane.wire.borrow_mut().take_socket();
    if let Some(socket) = socket {
        socket.close(talking).await;
    }
}

/// A connection between its preface and its end.
struct Serving {
    frames: Frames<Handle, Piece>,
    lane: Rc<Lane>,
    /// While no stream is open.
    quiet: Deadline,
    /// A request has come.
    begun: bool,
    /// The client was told that no more are taken.
    leaving: bool,
    /// The client has ended it.
    ended: bool,
}

impl Serving {
    /// Ready at the connection's end.
    fn poll(&mut self, cx: &mut Context<'_>, listening: &Listening) -> Poll<()> {
        loop {
            if listening.is_drained() || self.begun && self.lane.refused.is_some() {
                self.leave();
            }
            match self.frames.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, sender)))) => {
                    self.begun = true;
                    let (lane, open) = (self.lane.clone(), Open::new(&self.lane));
                    // Boxed, since the runtime moves a task seven times on its way in and out.
                    tokio::task::spawn_local(Box::pin(async move {
                        stream::serve(lane, request, sender).await;
                        drop(open);
                    }));
                    continue;
                }
                Poll::Ready(Some(Err(error))) => {
                    // The client's frames or its end; each request's own line says what became
                    // of it.
                    tracing::debug!(%error, "a client connection ended early");
                    self.ended = error.is_io();
                    return Poll::Ready(());
                }
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => {}
            }
            let offence = self.lane.wire.borrow_mut().take_offence();
            if let Some(offence) = offence {
                tracing::debug!(?offence, "a client is sent away");
                self.frames.abrupt_shutdown(match offence {
                    Offence::NoSettings => Reason::PROTOCOL_ERROR,
                    Offence::Frames | Offence::Resets => Reason::ENHANCE_YOUR_CALM,
                });
                continue;
            }
            ready!(self.poll_quiet(cx));
            if self.leaving {
                return Poll::Ready(());
            }
            self.leave();
        }
    }

    /// Ready when nothing was asked for too long.
    fn poll_quiet(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let lane = &self.lane;
        if lane.open.get() > 0 {
            self.quiet.clear();
            lane.waiting.replace(Some(cx.waker().clone()));
            return Poll::Pending;
        }
        if lane.hold.is_holding() {
            // Answers whose tail the client has not taken yet; the socket wakes this task, and
            // has its own limit for one that takes nothing.
            self.quiet.clear();
            return Poll::Pending;
        }
        if !self.quiet.is_set() {
            self.quiet.set(match (self.leaving, self.begun) {
                (true, _) => LINGER_TIME,
                (false, true) => lane.limits.keepalive_timeout,
                (false, false) => lane.limits.header_timeout,
            });
        }
        self.quiet.poll(cx)
    }

    /// Tells the client that no more requests are taken (RFC 9113 section 6.8); those that are
    /// under way go on.
    fn leave(&mut self) {
        if !std::mem::replace(&mut self.leaving, true) {
            self.frames.graceful_shutdown();
            self.quiet.clear();
        }
    }
}

impl Open {
    fn new(lane: &Rc<Lane>) -> Open {
        lane.open.set(lane.open.get() + 1);
        Open(lane.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
        if self.0.open.get() == 0
            && let Some(waker) = self.0.waiting.take()
        {
            waker.wake();
        }
    }
}
