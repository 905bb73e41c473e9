//! ROOM 2: one exchange with one upstream.
//!
//! Knows nothing of causes and pages. An exchange takes an idle connection or opens one, sends the
//! request, and gives back the head with the first of the body; what went wrong is a [`Failure`],
//! what was seen on the way stands in the [`Attempt`]. Imports `config` and `clock` only.

mod attempt;
mod client_body;
mod connect;
mod download;
mod failure;
pub mod fastcgi;
pub mod http1;
pub mod http2;
mod icmp;
mod pool;
mod prohibited;
mod race;
mod resolve;
mod resolve_asked;
mod resolve_extended;
mod resolve_history;
mod resolve_sockets;
mod spool;
mod stream;
mod tls;
pub mod upload;
mod wire;

use std::fmt;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode, header};
use http_body::Frame;

use crate::config::ServerAddress;

pub use attempt::{Attempt, Presented, Reuse, Tried};
pub use client_body::{BodySource, ClientBody, StreamBody, UploadFailure};
pub use failure::{
    AnswerFault, Authority, BodyFailure, ConnectFailure, Failure, HeadFailure, HeaderLineFault,
    Http2Failure, Icmp, IcmpVersion, LengthFault, NameFault, Prohibited, ResolveFailure,
    ResolverFault, SendFailure, Stage, TlsFailure,
};
pub use pool::{Permit, Pool, Shared};
pub use prohibited::prohibits;
pub use resolve::Resolver;
pub use resolve_asked::Lookup;
pub use resolve_extended::Extended;
#[cfg(any(fuzzing, test))]
pub use resolve_extended::extended;
pub use resolve_history::{Before, Named};
pub use spool::{SpoolFailure, Spooled};
pub use stream::Conn;
pub use tls::server_name;
pub use upload::{Upload, UploadFraming};
#[cfg(any(fuzzing, test))]
pub(crate) use {
    download::Payload,
    wire::{Heard, Step},
};

use download::Download;
use http1::head::Head;
use http2::Receiving;
use wire::Wire;

/// The largest body that is gathered whole before the head goes on, when it is already here.
const GATHER_MAX: usize = 64 * 1024;

/// A request as it goes out: how its head is written, and what a reader of the response has to know
/// of it.
pub struct Outgoing<'a> {
    pub method: Method,
    /// Writes request line and fields, with the empty line, behind what is there. Not called before
    /// there is a connection to send them on: in an outage there is none.
    pub write: &'a dyn Fn(&mut Vec<u8>),
    /// The protocol that the client asks to upgrade to.
    pub upgrade: Option<String>,
}

impl fmt::Debug for Outgoing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outgoing { method, write: _, upgrade } = self;
        let mut shown = f.debug_struct("Outgoing");
        shown.field("method", method).field("upgrade", upgrade).finish_non_exhaustive()
    }
}

/// A response whose head is complete and whose body has begun, or ended.
#[derive(Debug)]
pub struct Answer {
    pub head: Box<Head>,
    pub body: AnswerBody,
}

#[derive(Debug)]
pub enum AnswerBody {
    /// The body is here to its end; the connection is already back in its pool.
    Whole(Bytes),
    Stream(Box<Streaming>),
    /// 101: the connection is the client's now.
    Tunnel(Box<Conn>),
}

/// A body that is still coming.
#[derive(Debug)]
pub struct Streaming {
    coming: Option<Coming>,
    begun: Begun,
    pool: Rc<Pool>,
    server: usize,
}

/// What a body comes over.
#[derive(Debug)]
enum Coming {
    /// A connection of its own.
    Wire(Download),
    /// A stream among others, of HTTP/2. Boxed, since every other answer would carry its size.
    Stream(Box<Receiving>),
}

/// Sends the request to the attempt's server and waits for the answer. `fresh` leaves idle
/// connections alone. Cancel safe: a dropped exchange closes its connection.
///
/// # Errors
/// The first failure, in the order of the stages.
pub async fn exchange(
    pool: &Rc<Pool>,
    resolver: &Resolver,
    request: &Outgoing<'_>,
    upload: &mut Option<Upload>,
    attempt: &mut Attempt,
    fresh: bool,
) -> Result<Answer, Failure> {
    let server = attempt.server;
    let (head, mut coming) = match attempt.speaks_http2() {
        true => {
            // Boxed, since a request over another protocol would carry its size.
            let heard = http2::exchange(pool, resolver, request, upload, attempt, fresh);
            let (head, receiving) = Box::pin(heard).await?;
            (Box::new(head), Coming::Stream(Box::new(receiving)))
        }
        false => {
            let mut wire = wire(pool, resolver, request, attempt, fresh).await?;
            wire.begin(request.write);
            let lent = upload.as_mut().expect("the caller keeps the upload until an answer");
            let limits = &pool.upstream.limits;
            let heard = wire.head(lent, attempt, &request.method, limits).await?;
            let upgraded = heard.head.status == StatusCode::SWITCHING_PROTOCOLS;
            if upgraded {
                let asked = request.upgrade.as_deref();
                check_upgrade(&heard.head, asked).map_err(Failure::Head)?;
            }
            let Some(upload) = upload.take() else { unreachable!("lent above") };
            let download = Download::new(wire, upload, heard.payload, heard.keep);
            if upgraded {
                let conn = Box::new(download.into_tunnel());
                return Ok(Answer { head: heard.head, body: AnswerBody::Tunnel(conn) });
            }
            (heard.head, Coming::Wire(download))
        }
    };
    pool.note_answer(server);
    // The head is held back until the first of the body, or its end, has come: a cut before it can
    // still become the page. A stream of events is let go at once, since its first may be an hour
    // away.
    let mut begun = Begun::default();
    if !coming.is_done() && !is_unbuffered(&head.headers) {
        coming.begin();
        let outcome = std::future::poll_fn(|cx| poll_begin(&mut coming, cx, attempt)).await;
        if outcome.is_err() {
            attempt.stamps.ended = Some(Instant::now());
        }
        begun = outcome?;
    }
    Ok(assemble(pool, server, head, coming, begun))
}

/// An idle connection to the attempt's server, or a new one.
async fn wire(
    pool: &Pool,
    resolver: &Resolver,
    request: &Outgoing<'_>,
    attempt: &mut Attempt,
    fresh: bool,
) -> Result<Box<Wire>, Failure> {
    let once = !request.method.is_idempotent();
    match (!fresh).then(|| pool.take(attempt.server, once)).flatten() {
        Some(wire) => {
            let conn = &wire.conn;
            let idle = attempt.stamps.started.saturating_duration_since(conn.idle_since);
            attempt.reuse = Some(Reuse { idle, served: conn.served });
            attempt.address = conn.address;
            Ok(wire)
        }
        None => {
            let conn = open(pool, resolver, attempt).await?;
            Ok(Box::new(Wire::new(conn, &pool.upstream.timeouts)))
        }
    }
}

/// The answer, with its connection already free where the body is here to its end.
#[inline]
fn assemble(
    pool: &Rc<Pool>,
    server: usize,
    head: Box<Head>,
    coming: Coming,
    begun: Begun,
) -> Answer {
    let coming = match coming.is_done() {
        true => {
            finish(coming, pool, server);
            None
        }
        false => Some(coming),
    };
    if coming.is_none() && begun.trailers.is_none() {
        return Answer { head, body: AnswerBody::Whole(begun.data) };
    }
    let streaming = Streaming { coming, begun, pool: pool.clone(), server };
    Answer { head, body: AnswerBody::Stream(Box::new(streaming)) }
}

async fn open(pool: &Pool, resolver: &Resolver, attempt: &mut Attempt) -> Result<Conn, Failure> {
    let server = attempt.server;
    let opened = match pool.refusal(server) {
        Some((address, refusal)) => {
            attempt.stage = Stage::Connect;
            attempt.address = address;
            Err(Failure::Connect(refusal))
        }
        // Boxed: most requests find a connection, and all would carry the size of making one.
        None => Box::pin(connect::connect(pool, resolver, attempt)).await,
    };
    if let Err(Failure::Connect(failure)) = &opened {
        pool.remember_refusal(server, attempt.address, failure);
    }
    if attempt.http1 && matches!(opened, Err(Failure::Tls(_))) {
        pool.forget_http1(server);
    }
    if let ServerAddress::Name { host, .. } = &attempt.upstream.clone().servers[server].address {
        match &opened {
            Ok(conn) => {
                if let Some(address) = conn.address {
                    resolver.connected(host, address.ip());
                }
            }
            Err(_) => attempt.remains().named = resolver.named(host),
        }
    }
    opened
}

/// RFC 9110 section 7.8: a 101 names, in Upgrade, the protocol that was asked for.
fn check_upgrade(head: &Head, asked: Option<&str>) -> Result<(), HeadFailure> {
    let Some(asked) = asked else { return Err(HeadFailure::UpgradeUnasked) };
    let got = head.hop.upgrade.as_ref().and_then(|value| value.to_str().ok());
    let got = got.unwrap_or_default();
    let mut wanted = asked.split(',').map(str::trim);
    match wanted.any(|wanted| !got.is_empty() && wanted.eq_ignore_ascii_case(got.trim())) {
        true => Ok(()),
        false => {
            let got = got.chars().take(64).collect();
            Err(HeadFailure::UpgradeProtocol { asked: asked.to_owned(), got })
        }
    }
}

/// What of a body was read before its head was let go.
#[derive(Debug, Default)]
struct Begun {
    data: Bytes,
    /// Boxed, since few bodies have some and all would carry their size.
    trailers: Option<Box<HeaderMap>>,
}

/// Waits for the first piece, then takes what else is here already: a small chunked body is often
/// complete, and then its connection is free before the response is written.
fn poll_begin(
    coming: &mut Coming,
    cx: &mut Context<'_>,
    attempt: &mut Attempt,
) -> Poll<Result<Begun, Failure>> {
    let mut begun = Begun::default();
    let mut gathered: Option<BytesMut> = None;
    loop {
        let size = gathered.as_ref().map_or(begun.data.len(), BytesMut::len);
        let enough = size > GATHER_MAX || coming.left().is_some_and(|left| left > 0 && size > 0);
        let frame = match coming.poll_frame(cx, attempt) {
            Poll::Pending if size == 0 => return Poll::Pending,
            Poll::Pending | Poll::Ready(None) => break,
            Poll::Ready(Some(frame)) => frame?,
        };
        match frame.into_data() {
            Ok(data) if size == 0 => begun.data = data,
            Ok(data) => gathered
                .get_or_insert_with(|| BytesMut::from(begun.data.as_ref()))
                .extend_from_slice(&data),
            Err(frame) => begun.trailers = frame.into_trailers().ok().map(Box::new),
        }
        if enough || begun.trailers.is_some() || coming.is_done() {
            break;
        }
    }
    if let Some(gathered) = gathered {
        begun.data = gathered.freeze();
    }
    Poll::Ready(Ok(begun))
}

/// `text/event-stream`, and what asks for it in the words that nginx understands.
fn is_unbuffered(headers: &HeaderMap) -> bool {
    let starts = |name: header::HeaderName, prefix: &[u8]| {
        headers.get(name).is_some_and(|value| {
            let value = value.as_bytes();
            value.len() >= prefix.len() && value[..prefix.len()].eq_ignore_ascii_case(prefix)
        })
    };
    starts(header::CONTENT_TYPE, b"text/event-stream")
        || starts(header::HeaderName::from_static("x-accel-buffering"), b"no")
}

/// A connection of its own may serve again; a stream is over when it is dropped.
fn finish(coming: Coming, pool: &Pool, server: usize) {
    match coming {
        Coming::Wire(download) => {
            if let Some(wire) = download.into_wire() {
                pool.put(server, wire);
            }
        }
        Coming::Stream(receiving) => drop(receiving),
    }
}

impl Coming {
    fn is_done(&self) -> bool {
        match self {
            Coming::Wire(download) => download.is_done(),
            Coming::Stream(receiving) => receiving.is_done(),
        }
    }

    fn left(&self) -> Option<u64> {
        match self {
            Coming::Wire(download) => download.left(),
            Coming::Stream(receiving) => receiving.left(),
        }
    }

    fn begin(&mut self) {
        match self {
            Coming::Wire(download) => download.begin(),
            Coming::Stream(receiving) => receiving.begin(),
        }
    }

    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        attempt: &mut Attempt,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        match self {
            Coming::Wire(download) => download.poll_frame(cx, attempt),
            Coming::Stream(receiving) => receiving.poll_frame(cx, attempt),
        }
    }
}

impl Streaming {
    /// The next piece; `None` at the end. After an error or the end it is not to be polled again.
    pub fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        attempt: &mut Attempt,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        if !self.begun.data.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.begun.data)))));
        }
        if let Some(trailers) = self.begun.trailers.take() {
            return Poll::Ready(Some(Ok(Frame::trailers(*trailers))));
        }
        let Some(coming) = &mut self.coming else { return Poll::Ready(None) };
        let piece = coming.poll_frame(cx, attempt);
        let over = match &piece {
            Poll::Ready(None | Some(Err(_))) => true,
            Poll::Ready(Some(Ok(_))) => coming.is_done(),
            Poll::Pending => false,
        };
        if matches!(piece, Poll::Ready(Some(Err(_)))) {
            attempt.stamps.ended = Some(Instant::now());
        }
        if over && let Some(coming) = self.coming.take() {
            finish(coming, &self.pool, self.server);
        }
        piece
    }

    /// What of the body was read before its head was let go.
    pub fn begun(&self) -> &[u8] {
        &self.begun.data
    }

    /// Whether the last piece was given.
    pub fn is_done(&self) -> bool {
        self.begun.data.is_empty() && self.begun.trailers.is_none() && self.coming.is_none()
    }

    /// The bytes still to come, where the upstream declared them. Before trailers no length is
    /// told: the body would then go out in a framing that has no place for them.
    pub fn left(&self) -> Option<u64> {
        if self.begun.trailers.is_some() {
            return None;
        }
        let begun = self.begun.data.len() as u64;
        match &self.coming {
            None => Some(begun),
            Some(coming) => coming.left().map(|left| left + begun),
        }
    }
}

/// A new attempt at one server of a block.
pub fn attempt(pool: &Pool, server: usize, started: Instant) -> Attempt {
    let mut attempt = Attempt::new(pool.upstream.clone(), server, started);
    attempt.http1 = pool.wants_http1(server);
    attempt
}
