//! One client connection from accept to close: hyper parses, the proxy answers.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;

use crate::proxy::{self, Body, Connection};

use super::socket::GatedSocket;
use super::tls::Protocol;
use super::worker::{Listening, Worker};

/// Serves a connection until it ends, is drained, or becomes a tunnel and that ends.
pub async fn serve(
    worker: Rc<Worker>,
    listening: Rc<Listening>,
    socket: GatedSocket,
    connection: Rc<Connection>,
    protocol: Protocol,
) {
    // Nothing else is offered to clients.
    debug_assert_eq!(protocol, Protocol::Http1);
    let service = Proxy { worker, connection: connection.clone() };
    let mut served = http1::Builder::new()
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(socket), service);
    let attending = listening.attend().await;
    let mut draining = false;
    let outcome = std::future::poll_fn(|cx| {
        if !draining && listening.is_drained() {
            draining = true;
            Pin::new(&mut served).graceful_shutdown();
        }
        served.poll_without_shutdown(cx)
    })
    .await;
    drop(attending);
    if let Err(error) = &outcome {
        // The client's bytes or its end; the request's own line says what became of it.
        tracing::debug!(%error, "a client connection ended early");
    }
    let parts = served.into_parts();
    let mut socket = parts.io.into_inner();
    if let Some(tunnel) = connection.tunnel.take() {
        socket.open(&parts.read_buf);
        // Boxed, since few connections come to this and all would carry its size.
        Box::pin(tunnel.carry(socket)).await;
        return;
    }
    socket.close().await;
}

/// The proxy as hyper calls it.
#[derive(Debug)]
struct Proxy {
    worker: Rc<Worker>,
    connection: Rc<Connection>,
}

impl Service<Request<Incoming>> for Proxy {
    type Response = Response<Body>;
    type Error = std::convert::Infallible;
    type Future = Answering;

    fn call(&self, request: Request<Incoming>) -> Answering {
        let site = self.worker.site();
        Answering(Box::pin(proxy::handle(site, self.connection.clone(), request)))
    }
}

/// A request under way; boxed, since hyper wants it movable here.
struct Answering(Pin<Box<dyn Future<Output = Response<Body>>>>);

impl Future for Answering {
    type Output = Result<Response<Body>, std::convert::Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx).map(Ok)
    }
}
