//! One client connection from accept to close: hyper parses, the proxy answers.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1::{self, Parts};
use hyper::service::Service;
use hyper_util::rt::TokioIo;

use crate::clock::Deadline;
use crate::proxy::{self, Body, Connection};
use crate::upstream::ClientBody;

use super::socket::GatedSocket;
use super::worker::{LAST_CALL, Listening, Worker};

/// Serves a connection until it ends, is drained, or becomes a tunnel and that ends.
///
/// While its client is at rest hyper is let go, with the buffers that it holds, and made anew for
/// the next request: most connections of a busy proxy are idle at any time.
pub async fn serve(
    worker: Rc<Worker>,
    listening: Rc<Listening>,
    mut socket: GatedSocket,
    connection: Rc<Connection>,
) {
    let mut service =
        Proxy { worker, listening: listening.clone(), connection: connection.clone() };
    let attending = listening.attend().await;
    let mut drain =
        Drain { listening: &listening, connection: &connection, last_call: Deadline::unset() };
    let read = loop {
        // Boxed, since one at rest would carry its size.
        let mut served = Box::new(
            http1::Builder::new()
                .header_read_timeout(None)
                .serve_connection(TokioIo::new(socket), service),
        );
        let mut draining = false;
        let outcome = std::future::poll_fn(|cx| {
            if !draining && drain.poll(cx).is_ready() {
                draining = true;
                drain.last_call.rest();
                Pin::new(&mut *served).graceful_shutdown();
            }
            match served.poll_without_shutdown(cx) {
                Poll::Pending if drain.may_rest() => Poll::Ready(None),
                polled => polled.map(Some),
            }
        })
        .await;
        let Parts { io, read_buf, service: kept, .. } = served.into_parts();
        (socket, service) = (io.into_inner(), kept);
        if let Some(outcome) = outcome {
            if let Err(error) = outcome {
                // The client's bytes or its end; the request's own line says what became of it.
                tracing::debug!(%error, "a client connection ended early");
            }
            break read_buf;
        }
        if !read_buf.is_empty() {
            // An empty line before a request; it does not rest this time.
            socket.put_back(&read_buf);
            continue;
        }
        // Empty, and yet it holds the buffer.
        drop(read_buf);
        std::future::poll_fn(|cx| match drain.poll(cx) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => socket.poll_rest(cx),
        })
        .await;
    };
    drop(attending);
    if let Some(tunnel) = connection.tunnel.take() {
        socket.open(&read);
        // Boxed, since few connections come to this and all would carry its size.
        Box::pin(tunnel.carry(socket)).await;
        return;
    }
    socket.close().await;
}

/// A connection's part in the drain.
struct Drain<'a> {
    listening: &'a Listening,
    connection: &'a Connection,
    last_call: Deadline,
}

impl Drain<'_> {
    /// Ready once hyper is to close after what is under way.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.listening.is_drained() {
            return Poll::Pending;
        }
        // Between two requests the next may be on its way: RFC 9112 section 9.3.1 lets a server
        // close then, but the client could not know whether it was taken. It is waited for, and
        // its answer says `Connection: close`.
        if !self.last_call.is_set() {
            self.last_call.set(LAST_CALL);
        }
        let over = self.connection.in_flight.get() > 0
            || self.last_call.poll(cx).is_ready() && !self.connection.begun.get();
        if over { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Whether hyper can be let go: nobody needs what it knows.
    fn may_rest(&self) -> bool {
        self.connection.at_rest.take()
            && self.connection.in_flight.get() == 0
            && !self.listening.is_drained()
    }
}

const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// The proxy as hyper calls it.
#[derive(Debug)]
struct Proxy {
    worker: Rc<Worker>,
    listening: Rc<Listening>,
    connection: Rc<Connection>,
}

impl Service<Request<Incoming>> for Proxy {
    type Response = Response<Body>;
    type Error = std::convert::Infallible;
    type Future = Answering;

    fn call(&self, request: Request<Incoming>) -> Answering {
        let site = self.worker.site(&self.listening);
        let request = request.map(ClientBody::Http1);
        let answering = Box::pin(proxy::handle(site, self.connection.clone(), request));
        Answering { answering, last: self.listening.is_drained() }
    }
}

/// A request under way; boxed, since hyper wants it movable here.
struct Answering {
    answering: Pin<Box<dyn Future<Output = Response<Body>>>>,
    /// Its connection was only waiting for it.
    last: bool,
}

impl Future for Answering {
    type Output = Result<Response<Body>, std::convert::Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.answering.as_mut().poll(cx).map(|mut response| {
            if self.last && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                // hyper closes after it.
                response.headers_mut().insert(header::CONNECTION, CLOSE);
            }
            Ok(response)
        })
    }
}
