//! The healthy backend: the index page, what no link can ask for, and pages that do not fail.
//!
//! A small HTTP/1.1 server on hyper, reached through the proxy like any other backend.

use std::convert::Infallible;
use std::io;
use std::net::TcpListener as StdTcpListener;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{Interval, MissedTickBehavior};

use super::ask::{Accept, ask};
use super::scenario::scenarios;
use super::{Addresses, View, page};

/// Connections at once; more wait in the accept queue.
const CONNECTIONS_MAX: usize = 256;
/// Rows that the index asks for at once, on behalf of browsers.
const ASKING_MAX: usize = 8;
/// The largest body of `/healthy/big`.
const BIG_MAX_MB: u64 = 1024;
/// The largest upload that `/healthy/echo` reads.
const ECHO_MAX_BYTES: u64 = 1024 * 1024 * 1024;
/// The lines of `/healthy/slow`, and the time between them.
const SLOW_LINES: u32 = 6;
const SLOW_PACE: Duration = Duration::from_millis(500);

const MEGABYTE: u64 = 1024 * 1024;
const PIECE: &[u8] = &[b'.'; 64 * 1024];

/// The healthy backend.
#[derive(Debug)]
pub(super) struct Site {
    addresses: Addresses,
    index: Bytes,
    asking: Semaphore,
}

/// A body of this server.
#[derive(Debug)]
enum Content {
    Whole(Bytes),
    /// So many bytes are still to come.
    Big(u64),
    /// So many lines are still to come.
    Slow(u32, Interval),
}

impl Site {
    pub(super) fn new(addresses: Addresses) -> Site {
        let index = Bytes::from(page::index(&addresses));
        Site { addresses, index, asking: Semaphore::new(ASKING_MAX) }
    }

    /// Serves until it is dropped.
    ///
    /// # Errors
    /// When the listener cannot be given to the runtime, or fails.
    pub(super) async fn serve(self, listener: StdTcpListener) -> io::Result<()> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let site = Arc::new(self);
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
            let (stream, _) = listener.accept().await?;
            let _ = stream.set_nodelay(true);
            let site = site.clone();
            tokio::spawn(async move {
                let service = service_fn(|request| {
                    let site = site.clone();
                    async move { Ok::<_, Infallible>(site.answer(request).await) }
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                // Its client is the proxy, which records what goes wrong.
                let _ = connection.await;
                drop(place);
            });
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Content> {
        let path = request.uri().path();
        if let Some(row) = path.strip_prefix("/show/") {
            return self.show(row, request.headers()).await;
        }
        match path {
            "/" => html(self.index.clone()),
            "/healthy" => html(page::healthy().into()),
            "/healthy/slow" => {
                let mut pace = tokio::time::interval(SLOW_PACE);
                pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
                text(Content::Slow(SLOW_LINES, pace))
            }
            "/healthy/big" => {
                let megabytes = request.uri().query().and_then(|query| query.strip_prefix("mb="));
                let megabytes = megabytes.and_then(|number| number.parse().ok()).unwrap_or(1);
                text(Content::Big(BIG_MAX_MB.min(megabytes) * MEGABYTE))
            }
            "/healthy/echo" => echo(request).await,
            _ => {
                let text = Bytes::from_static(b"This page does not exist; the index is at /.\n");
                with_status(StatusCode::NOT_FOUND, text)
            }
        }
    }

    /// Asks for a row on behalf of a browser, and shows what came: `operator/NAME`, `visitor/NAME`.
    async fn show(&self, row: &str, headers: &HeaderMap) -> Response<Content> {
        let found = row.split_once('/').and_then(|(view, name)| {
            let view = match view {
                "operator" => View::Operator,
                "visitor" => View::Visitor,
                _ => return None,
            };
            Some((view, scenarios().find(|row| row.name == name)?))
        });
        let Some((view, row)) = found else {
            let text = Bytes::from_static(b"No row of the demonstration has this name.\n");
            return with_status(StatusCode::NOT_FOUND, text);
        };
        let Ok(_place) = self.asking.acquire().await else {
            return with_status(StatusCode::SERVICE_UNAVAILABLE, Bytes::new());
        };
        let language = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        let accept = Accept { kind: "text/html", language: language.unwrap_or("en") };
        let heard = ask(row, self.addresses.of_row(row, view), accept).await;
        html(page::shown(row, view, &self.addresses, &heard).into())
    }
}

/// The length and the checksum (FNV-1a, 64 bits) of an upload.
async fn echo(request: Request<Incoming>) -> Response<Content> {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    if request.method() == Method::GET {
        return text(Content::Whole(Bytes::from_static(b"Send a body with POST or PUT.\n")));
    }
    let (mut length, mut sum) = (0, OFFSET);
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return with_status(StatusCode::BAD_REQUEST, Bytes::new());
        };
        let Ok(data) = frame.into_data() else { continue };
        length += data.len() as u64;
        if length > ECHO_MAX_BYTES {
            return with_status(StatusCode::PAYLOAD_TOO_LARGE, Bytes::new());
        }
        sum = data.iter().fold(sum, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(PRIME));
    }
    text(Content::Whole(format!("{length} bytes, FNV-1a {sum:016x}\n").into()))
}

fn html(bytes: Bytes) -> Response<Content> {
    typed("text/html; charset=utf-8", Content::Whole(bytes))
}

fn text(content: Content) -> Response<Content> {
    typed("text/plain; charset=utf-8", content)
}

fn with_status(status: StatusCode, bytes: Bytes) -> Response<Content> {
    let mut response = text(Content::Whole(bytes));
    *response.status_mut() = status;
    response
}

fn typed(kind: &'static str, content: Content) -> Response<Content> {
    let mut response = Response::new(content);
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}

impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = match &mut *self {
            Content::Whole(bytes) => std::mem::take(bytes),
            Content::Big(left) => {
                let size = usize::try_from(*left).unwrap_or(usize::MAX).min(PIECE.len());
                *left -= size as u64;
                Bytes::from_static(&PIECE[..size])
            }
            Content::Slow(0, _) => Bytes::new(),
            Content::Slow(left, pace) => {
                ready!(pace.poll_tick(cx));
                *left -= 1;
                format!("line {} of {SLOW_LINES}\n", SLOW_LINES - *left).into()
            }
        };
        Poll::Ready((!data.is_empty()).then(|| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Content::Whole(bytes) => bytes.is_empty(),
            Content::Big(left) => *left == 0,
            Content::Slow(left, _) => *left == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Big(left) => SizeHint::with_exact(*left),
            Content::Slow(..) => SizeHint::default(),
        }
    }
}
