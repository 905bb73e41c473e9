//! Connections over which many exchanges run at once: who has one, who opens one, when one ends.
//!
//! Each is driven by a task of its own on its worker. How it ended is noted beside the h2 crate,
//! which keeps neither errno nor what TLS said. Where requests wait and nothing is heard for half
//! of `idle`, the peer is asked by PING; silence for the other half ends the connection.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::{Builder, Connection, SendRequest};
use h2::{Ping, PingPong};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

use crate::clock::{self, Deadline};
use crate::config::Upstream;

use super::watch::Watch;
use crate::upstream::attempt::Tried;
use crate::upstream::failure::ConnectFailure;
use crate::upstream::stream::Conn;

/// What a peer may send of one body before the client has taken it.
const STREAM_WINDOW: u32 = 256 * 1024;
/// All there is: a client that does not read must not hold up the others of its connection.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;
/// Streams at once before the peer's SETTINGS have come; what most peers allow (RFC 9113 section
/// 6.5.2).
const STREAMS_FIRST: usize = 100;
/// How long the others wait for a fresh connection's SETTINGS.
const SETTINGS_WAIT: Duration = Duration::from_secs(1);
/// Beyond this multiple of the limit h2 drops a header section unread; below it, the limit is ours
/// to check and to name.
const SECTION_FACTOR: usize = 4;

/// One worker's connections to one server.
#[derive(Debug, Default)]
pub struct Links {
    open: RefCell<Vec<Rc<Link>>>,
    opening: RefCell<Option<Rc<Opening>>>,
}

/// One connection.
#[derive(Debug)]
pub struct Link {
    requests: SendRequest<Bytes>,
    pub(super) state: Rc<State>,
    pub(super) address: Option<SocketAddr>,
    /// Kept when nobody uses it.
    keep: bool,
}

/// What is known of a connection, for its streams and the task that drives it.
#[derive(Debug)]
pub(super) struct State {
    pub(super) watch: RefCell<Watch>,
    /// The first error of the socket, as the kernel or TLS gave it.
    pub(super) error: RefCell<Option<io::Error>>,
    pub(super) silent_to_ping: Cell<bool>,
    over: Cell<bool>,
    active: Cell<usize>,
    served: Cell<u64>,
    heard: Cell<Instant>,
    idle_since: Cell<Instant>,
}

/// A place on a connection; given back when dropped.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) link: Rc<Link>,
}

/// Somebody is opening a connection; the others wait until its peer has said how many it takes.
#[derive(Debug, Default)]
pub(super) struct Opening {
    done: Notify,
    outcome: RefCell<Option<Outcome>>,
}

/// What those who wait for a connection have to know, where there is none.
#[derive(Debug, Clone)]
enum Outcome {
    /// What failed would fail for them.
    Failed(Failed),
    /// It ended before it was of use; waiting for the next would only take longer.
    Ended,
}

/// Why it did not open, for those who waited.
#[derive(Debug, Clone)]
pub(super) struct Failed {
    pub(super) failure: ConnectFailure,
    pub(super) address: Option<SocketAddr>,
    pub(super) tried: Vec<Tried>,
}

/// The right to open a connection; over when it is dropped, also with a client that left.
#[derive(Debug)]
pub(super) struct Opener {
    links: Rc<Links>,
    opening: Rc<Opening>,
}

/// What to do for a connection.
pub(super) enum Turn {
    Taken(Lease),
    Open(Opener),
    Failed(Failed),
}

impl Links {
    /// A place on an open connection, or the right to open one. Waits for whoever is opening one.
    pub(super) async fn turn(self: &Rc<Self>) -> Turn {
        loop {
            if let Some(lease) = self.take() {
                return Turn::Taken(lease);
            }
            let Some(opening) = self.opening.borrow().clone() else {
                return Turn::Open(self.opener());
            };
            opening.done.notified().await;
            let outcome = opening.outcome.borrow().clone();
            match outcome {
                Some(Outcome::Failed(failed)) => return Turn::Failed(failed),
                Some(Outcome::Ended) => return Turn::Open(self.opener()),
                // There is one, or whoever opened it has left.
                None => {}
            }
        }
    }

    /// The right to open one more, beside whoever else does.
    pub(super) fn opener(self: &Rc<Self>) -> Opener {
        let opening = Rc::new(Opening::default());
        self.opening.borrow_mut().get_or_insert_with(|| opening.clone());
        Opener { links: self.clone(), opening }
    }

    fn take(&self) -> Option<Lease> {
        let mut open = self.open.borrow_mut();
        open.retain(|link| link.state.is_usable());
        open.iter().find(|link| link.has_room()).map(Lease::new)
    }

    /// How many have no stream.
    pub fn idle(&self) -> usize {
        self.open.borrow().iter().filter(|link| link.state.active.get() == 0).count()
    }

    /// Closes what has been idle for longer than `idle_max`. Once a tick.
    pub fn sweep(&self, idle_max: Duration) {
        let mut open = self.open.borrow_mut();
        if !open.is_empty() {
            let now = clock::now();
            open.retain(|link| {
                let idle = now.saturating_duration_since(link.state.idle_since.get());
                let wanted = link.state.active.get() > 0 || (link.keep && idle < idle_max);
                link.state.is_usable() && wanted
            });
        }
    }
}

impl Opener {
    /// Speaks HTTP/2 on a fresh connection, and lets the others have a place on it as soon as its
    /// peer has said how many it takes.
    ///
    /// # Errors
    /// The connection ended under the first bytes.
    pub(super) async fn start(self, conn: Conn, upstream: &Upstream) -> Result<Lease, h2::Error> {
        let limits = &upstream.limits;
        let section = limits.header_section_bytes.saturating_mul(SECTION_FACTOR);
        let state = Rc::new(State::new());
        let address = conn.address;
        let tapped = Tapped { conn, state: state.clone() };
        let (requests, connection) = Builder::new()
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .initial_max_send_streams(STREAMS_FIRST)
            .max_header_list_size(u32::try_from(section).unwrap_or(u32::MAX))
            .handshake(tapped)
            .await?;
        let keep = limits.idle_connections > 0;
        let link = Rc::new(Link { requests, state: state.clone(), address, keep });
        let lease = Lease::new(&link);
        let unsettled = Unsettled { opener: self, link, deadline: Deadline::after(SETTINGS_WAIT) };
        tokio::task::spawn_local(drive(connection, state, upstream.timeouts.idle / 2, unsettled));
        Ok(lease)
    }

    /// Tells those who wait why there is none.
    pub(super) fn fail(self, failed: Failed) {
        self.opening.outcome.replace(Some(Outcome::Failed(failed)));
    }
}

impl Drop for Opener {
    fn drop(&mut self) {
        let mut opening = self.links.opening.borrow_mut();
        if opening.as_ref().is_some_and(|opening| Rc::ptr_eq(opening, &self.opening)) {
            *opening = None;
        }
        self.opening.done.notify_waiters();
    }
}

/// A connection whose peer has not yet said how many streams it takes.
struct Unsettled {
    opener: Opener,
    link: Rc<Link>,
    deadline: Deadline,
}

impl Unsettled {
    /// Ready once the peer has said it, or has taken too long.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.link.state.watch.borrow().is_settled() {
            true => Poll::Ready(()),
            false => self.deadline.poll(cx),
        }
    }

    fn settle(self) {
        self.opener.links.open.borrow_mut().push(self.link);
    }

    fn end(self) {
        self.opener.opening.outcome.replace(Some(Outcome::Ended));
    }
}

impl Link {
    fn has_room(&self) -> bool {
        self.state.active.get() < self.requests.current_max_send_streams()
    }

    /// Requests that were served on it, and for how long it had nothing to do.
    pub(super) fn served(&self) -> (u64, Instant) {
        let state = &self.state;
        let since = match state.active.get() {
            0 | 1 => state.idle_since.get(),
            _ => clock::now(),
        };
        (state.served.get(), since)
    }

    pub(super) fn requests(&self) -> SendRequest<Bytes> {
        self.requests.clone()
    }
}

impl Lease {
    fn new(link: &Rc<Link>) -> Lease {
        let state = &link.state;
        if state.active.get() == 0 {
            // Silence counts from here on: before, there was nothing to say.
            state.heard.set(clock::now());
        }
        state.active.set(state.active.get() + 1);
        Lease { link: link.clone() }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let state = &self.link.state;
        state.active.set(state.active.get() - 1);
        state.served.set(state.served.get() + 1);
        state.idle_since.set(clock::now());
    }
}

impl State {
    fn new() -> State {
        let now = clock::now();
        State {
            watch: RefCell::default(),
            error: RefCell::new(None),
            silent_to_ping: Cell::new(false),
            over: Cell::new(false),
            active: Cell::new(0),
            served: Cell::new(0),
            heard: Cell::new(now),
            idle_since: Cell::new(now),
        }
    }

    fn is_usable(&self) -> bool {
        !self.over.get() && self.watch.borrow().farewell().is_none()
    }

    fn note(&self, error: &io::Error) {
        // h2 takes the error itself; what it makes of it has lost the number.
        self.error.borrow_mut().get_or_insert_with(|| copy(error));
    }
}

/// The same error once more: the kernel's number, what TLS said, or the kind.
pub(super) fn copy(error: &io::Error) -> io::Error {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match (error.raw_os_error(), tls) {
        (Some(errno), _) => io::Error::from_raw_os_error(errno),
        (None, Some(tls)) => io::Error::new(error.kind(), tls.clone()),
        (None, None) => error.kind().into(),
    }
}

/// Reads and writes for all streams of a connection until it ends, or does not answer.
async fn drive(
    mut connection: Connection<Tapped, Bytes>,
    state: Rc<State>,
    half: Duration,
    unsettled: Unsettled,
) {
    let mut unsettled = Some(unsettled);
    let mut pings = connection.ping_pong();
    let mut pinged = None;
    let mut deadline = Deadline::after(half);
    poll_fn(|cx| {
        loop {
            if Pin::new(&mut connection).poll(cx).is_ready() {
                return Poll::Ready(());
            }
            if let Some(mut waiting) = unsettled.take() {
                match waiting.poll(cx) {
                    Poll::Ready(()) => waiting.settle(),
                    Poll::Pending => unsettled = Some(waiting),
                }
            }
            if let Some(pings) = &mut pings
                && let Poll::Ready(Ok(_)) = pings.poll_pong(cx)
            {
                pinged = None;
            }
            ready!(deadline.poll(cx));
            match silence(&state, half, &mut pinged, pings.as_mut()) {
                Some(wait) => deadline.set(wait),
                None => {
                    state.silent_to_ping.set(true);
                    return Poll::Ready(());
                }
            }
        }
    })
    .await;
    // Before its streams hear of it.
    state.over.set(true);
    if let Some(unsettled) = unsettled {
        unsettled.end();
    }
}

/// How long to wait before looking again; `None` when the peer has been silent for too long.
fn silence(
    state: &State,
    half: Duration,
    pinged: &mut Option<Instant>,
    pings: Option<&mut PingPong>,
) -> Option<Duration> {
    let (now, heard) = (Instant::now(), state.heard.get());
    let silent = now.saturating_duration_since(heard);
    if state.active.get() == 0 {
        return Some(half);
    }
    if silent < half {
        return Some(half - silent);
    }
    match *pinged {
        Some(at) if heard < at => None,
        _ => {
            // An error says that one is on its way already.
            let sent = pings.is_some_and(|pings| pings.send_ping(Ping::opaque()).is_ok());
            *pinged = sent.then_some(now);
            Some(half)
        }
    }
}

/// A connection whose bytes are watched on their way to h2.
struct Tapped {
    conn: Conn,
    state: Rc<State>,
}

impl Tapped {
    fn poll_last_words(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        ready!(self.conn.poll_fill(cx))?;
        let read = self.conn.input.split();
        self.state.watch.borrow_mut().feed(&read);
        Poll::Ready(Ok(read.len()))
    }
}

impl AsyncRead for Tapped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if let Err(error) = ready!(Pin::new(&mut self.conn).poll_read(cx, buf)) {
            self.state.note(&error);
            self.state.over.set(true);
            return Poll::Ready(Err(error));
        }
        let fresh = &buf.filled()[before..];
        if fresh.is_empty() {
            self.state.over.set(true);
        }
        self.state.heard.set(clock::now());
        match self.state.watch.borrow_mut().feed(fresh) {
            true => Poll::Ready(Ok(())),
            false => Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
        }
    }
}

impl AsyncWrite for Tapped {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(AsyncWrite::poll_write(Pin::new(&mut self.conn), cx, bytes));
        if let Err(error) = &written {
            self.state.note(error);
            // What explains it may be here already, and h2 reads no more.
            let _ = self.poll_last_words(cx);
        }
        Poll::Ready(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(AsyncWrite::poll_flush(Pin::new(&mut self.conn), cx));
        Poll::Ready(flushed.inspect_err(|error| self.state.note(error)))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.conn).poll_shutdown(cx)
    }
}
