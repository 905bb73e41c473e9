//! What one worker keeps of one upstream block: idle connections, whose turn it is, who refused.
//!
//! Idle connections belong to the worker; shared between workers are the number of requests in
//! flight, since the operator's limit is for all of them, and what only many failures show.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use crate::clock;
use crate::config::{Scheme, Upstream};

use super::attempt::Attempt;
use super::failure::{ConnectFailure, Failure, HeadFailure, Icmp, Prohibited};
use super::http2::Links;
use super::prohibited;
use super::tls::TlsSetup;
use super::wire::Wire;

/// How long a refused connect answers for the next requests: no storm of connects on a backend that
/// is starting, and the page at once.
const REFUSAL_MEMORY: Duration = Duration::from_millis(100);

/// How long a server that could not be reached is passed over where the block has others, at first;
/// twice as long each time that it fails again, up to the most.
const PASS_OVER_MIN: Duration = Duration::from_millis(250);
const PASS_OVER_MAX: Duration = Duration::from_secs(8);

/// How long a server that wants HTTP/1.1 gets it, before it is asked in HTTP/2 again.
const HTTP1_MEMORY: Duration = Duration::from_secs(300);

/// An idle connection is closed after this time, before the usual keep-alive of backends ends.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// Workers that die within this time were ended together, as by a restart: that they had worked for
/// as long says nothing of a limit. PHP-FPM looks at its workers at longer intervals.
const TOGETHER: Duration = Duration::from_millis(250);

/// Workers of the upstream that died together.
#[derive(Debug, Clone, Copy)]
struct Deaths {
    /// The first of them.
    at: Instant,
    /// How long the last exchange had lasted that ended so.
    lasted: Duration,
    /// The same of those that died before.
    before: Option<Duration>,
}

/// What all workers share of an upstream block.
#[derive(Debug)]
pub struct Shared {
    upstream: Arc<Upstream>,
    /// A permit for each request that may be in flight.
    permits: Semaphore,
    waiting: AtomicUsize,
    /// Connections to its servers, over reloads too.
    open: Arc<AtomicUsize>,
    /// When workers died last.
    deaths: Mutex<Option<Deaths>>,
    tls: Option<TlsSetup>,
    /// Where this gateway listens itself.
    listeners: Arc<[SocketAddr]>,
}

/// One worker's view of an upstream block.
#[derive(Debug)]
pub struct Pool {
    /// The block as this worker's own: attempts hold it without an atomic count.
    pub upstream: Rc<Upstream>,
    shared: Arc<Shared>,
    #[expect(clippy::vec_box, reason = "a wire moves between pool and exchanges all the time")]
    idle: Vec<RefCell<Vec<Box<Wire>>>>,
    idle_max: usize,
    /// Connections to servers of HTTP/2.
    links: Vec<Rc<Links>>,
    refused: Vec<Cell<Option<Refused>>>,
    /// The servers whose name was last reached by IPv4.
    v4_first: Vec<Cell<bool>>,
    /// The servers that have answered before.
    answered: Vec<Cell<bool>>,
    /// The servers of HTTP/2 that want HTTP/1.1, and until when they get it.
    http1_until: Vec<Cell<Option<Instant>>>,
    /// The servers that could not be reached, in a block of several.
    down: Vec<Cell<Option<Down>>>,
    turn: Cell<usize>,
}

/// A refusal of a moment ago.
#[derive(Debug, Clone, Copy)]
struct Refused {
    until: Instant,
    /// Whose it was; `None` for Unix sockets.
    address: Option<SocketAddr>,
    errno: i32,
    icmp: Option<Icmp>,
}

/// A server that is passed over.
#[derive(Debug, Clone, Copy)]
struct Down {
    until: Instant,
    /// How long it was passed over for.
    pause: Duration,
}

/// A place among the requests in flight; given back when dropped.
#[derive(Debug)]
pub struct Permit {
    pool: Rc<Pool>,
}

/// No place became free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoPermit {
    /// How long it was waited for; zero when the queue itself was full.
    pub waited: Duration,
}

impl Shared {
    /// `listeners`: our own, to which no name may lead. `open` counts the connections.
    pub fn new(
        upstream: Arc<Upstream>,
        listeners: Arc<[SocketAddr]>,
        open: Arc<AtomicUsize>,
    ) -> Shared {
        let secured = upstream.servers.iter().any(|server| server.scheme == Scheme::Https);
        Shared {
            permits: Semaphore::new(upstream.limits.connections.min(Semaphore::MAX_PERMITS)),
            waiting: AtomicUsize::new(0),
            open,
            deaths: Mutex::default(),
            tls: if secured { TlsSetup::new(&upstream) } else { None },
            listeners,
            upstream,
        }
    }

    /// The block's name.
    pub fn name(&self) -> &str {
        &self.upstream.name
    }

    /// What counts the connections to its servers.
    pub fn open(&self) -> Arc<AtomicUsize> {
        self.open.clone()
    }

    /// Requests in flight, over all workers.
    pub fn in_flight(&self) -> usize {
        let limit = self.upstream.limits.connections.min(Semaphore::MAX_PERMITS);
        limit.saturating_sub(self.permits.available_permits())
    }

    /// Requests in the queue, over all workers.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

impl Pool {
    /// `workers` share the block's allowance of idle connections evenly.
    pub fn new(shared: Arc<Shared>, workers: usize) -> Pool {
        let servers = shared.upstream.servers.len();
        let idle_max = shared.upstream.limits.idle_connections.div_ceil(workers.max(1));
        Pool {
            upstream: Rc::new(shared.upstream.as_ref().clone()),
            shared,
            idle: (0..servers).map(|_| RefCell::default()).collect(),
            idle_max,
            links: (0..servers).map(|_| Rc::default()).collect(),
            refused: (0..servers).map(|_| Cell::new(None)).collect(),
            v4_first: (0..servers).map(|_| Cell::new(false)).collect(),
            answered: (0..servers).map(|_| Cell::new(false)).collect(),
            http1_until: (0..servers).map(|_| Cell::new(None)).collect(),
            down: (0..servers).map(|_| Cell::new(None)).collect(),
            turn: Cell::new(0),
        }
    }

    /// Takes a place among the requests in flight, or waits for one in the queue; says how long.
    ///
    /// # Errors
    /// When the queue is full, or the place does not come in time.
    pub async fn permit(self: &Rc<Self>) -> Result<(Permit, Option<Duration>), NoPermit> {
        let shared = &self.shared;
        if let Ok(permit) = shared.permits.try_acquire() {
            permit.forget();
            return Ok((Permit { pool: self.clone() }, None));
        }
        let limits = &shared.upstream.limits;
        let place = Waiting::enter(&shared.waiting);
        if place.number >= limits.queue {
            return Err(NoPermit { waited: Duration::ZERO });
        }
        let started = Instant::now();
        match clock::within(limits.queue_timeout, shared.permits.acquire()).await {
            Some(Ok(permit)) => {
                permit.forget();
                Ok((Permit { pool: self.clone() }, Some(started.elapsed())))
            }
            // The semaphore is never closed; were it, declining is the safe answer.
            Some(Err(_)) | None => Err(NoPermit { waited: started.elapsed() }),
        }
    }

    /// Requests in flight, over all workers.
    pub fn in_flight(&self) -> usize {
        self.shared.in_flight()
    }

    /// This worker's connections that nobody uses.
    pub fn idle(&self) -> usize {
        let wires = self.idle.iter().map(|idle| idle.borrow().len());
        let links = self.links.iter().map(|links| links.idle());
        wires.chain(links).sum()
    }

    /// Counts one more connection, for as long as what it gives lives.
    pub(super) fn opened(&self) -> Opened {
        self.shared.open.fetch_add(1, Ordering::Relaxed);
        Opened(self.shared.open.clone())
    }

    /// Notes when an exchange ended with its worker's death, and how long it had lasted; gives the
    /// same of those that died before it, whichever of our workers saw them.
    pub fn note_death(&self, at: Instant, lasted: Duration) -> Option<Duration> {
        let mut deaths = self.shared.deaths.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, before) = match *deaths {
            Some(last) if at.saturating_duration_since(last.at) < TOGETHER => {
                (last.at, last.before)
            }
            Some(last) => (at, Some(last.lasted)),
            None => (at, None),
        };
        *deaths = Some(Deaths { at, lasted, before });
        before
    }

    /// The server whose turn it is: round robin, passing over those that could not be reached. One
    /// whose time is up is tried by one request before it is there for all. `None`: nobody is left.
    pub fn choose(&self, tried: &[usize]) -> Option<usize> {
        let count = self.idle.len();
        let first = self.turn.get() % count;
        self.turn.set(first + 1);
        let order = (0..count).map(|step| (first + step) % count);
        let server = order.filter(|server| !tried.contains(server)).find(|&server| {
            self.down[server].get().is_none_or(|down| down.until <= Instant::now())
        })?;
        if let Some(down) = self.down[server].get() {
            let until = Instant::now() + self.upstream.timeouts.connect;
            self.down[server].set(Some(Down { until, ..down }));
        }
        Some(server)
    }

    /// Notes that a server could not be reached. The only one of a block is never passed over.
    pub fn note_unreached(&self, server: usize) {
        if self.down.len() > 1 {
            let twice = |down: Down| (down.pause * 2).min(PASS_OVER_MAX);
            let pause = self.down[server].get().map_or(PASS_OVER_MIN, twice);
            self.down[server].set(Some(Down { until: Instant::now() + pause, pause }));
        }
    }

    /// What its handshakes need; `None` where the block has no use for it, or no authorities.
    pub(crate) fn tls(&self) -> Option<&TlsSetup> {
        self.shared.tls.as_ref()
    }

    /// An idle connection that is still open, the most recently used first. `once`: the request
    /// could not be sent again, so the kernel is asked.
    pub(crate) fn take(&self, server: usize, once: bool) -> Option<Box<Wire>> {
        let mut idle = self.idle[server].borrow_mut();
        while let Some(mut wire) = idle.pop() {
            let conn = &mut wire.conn;
            if if once { conn.is_quiet_now() } else { conn.is_quiet() } {
                return Some(wire);
            }
        }
        None
    }

    /// Keeps a connection for later.
    pub(crate) fn put(&self, server: usize, mut wire: Box<Wire>) {
        let mut idle = self.idle[server].borrow_mut();
        if idle.len() < self.idle_max {
            wire.rest();
            wire.conn.served += 1;
            wire.conn.idle_since = clock::now();
            idle.push(wire);
        }
    }

    /// The connections to a server of HTTP/2.
    pub(super) fn links(&self, server: usize) -> &Rc<Links> {
        &self.links[server]
    }

    /// Whether a failure is a server's wish for HTTP/1.1 that can be granted, as it now is for a
    /// while: ALPN may choose it. Who speaks h2c has nothing to choose (RFC 9113 section 3.3).
    pub fn falls_back(&self, failure: &Failure, attempt: &Attempt) -> bool {
        let wanted =
            matches!(failure, Failure::Head(HeadFailure::Http2(said)) if said.wants_http1());
        let granted = wanted && attempt.server().scheme == Scheme::Https;
        if granted {
            self.http1_until[attempt.server].set(Some(Instant::now() + HTTP1_MEMORY));
        }
        granted
    }

    pub(super) fn wants_http1(&self, server: usize) -> bool {
        self.http1_until[server].get().is_some_and(|until| Instant::now() < until)
    }

    /// It does not take HTTP/1.1 either.
    pub(super) fn forget_http1(&self, server: usize) {
        self.http1_until[server].set(None);
    }

    /// Closes what has been idle for too long, or was closed by the peer. Once a tick.
    pub fn sweep(&self) {
        for links in &self.links {
            links.sweep(IDLE_MAX);
        }
        for idle in &self.idle {
            let mut idle = idle.borrow_mut();
            if !idle.is_empty() {
                let now = clock::now();
                idle.retain_mut(|wire| {
                    let conn = &mut wire.conn;
                    now.saturating_duration_since(conn.idle_since) < IDLE_MAX && conn.is_quiet()
                });
            }
        }
    }

    /// The refusal of a moment ago that still counts, and whose it was.
    pub(super) fn refusal(&self, server: usize) -> Option<(Option<SocketAddr>, ConnectFailure)> {
        let refused = self.refused[server].get()?;
        let error = io::Error::from_raw_os_error(refused.errno);
        let failure = ConnectFailure::Remembered { error, icmp: refused.icmp };
        (Instant::now() < refused.until).then_some((refused.address, failure))
    }

    /// Until when a refusal of a moment ago answers for a server, if there was one.
    pub fn refused_until(&self, server: usize) -> Option<Instant> {
        self.refused[server].get().map(|refused| refused.until)
    }

    pub(super) fn remember_refusal(
        &self,
        server: usize,
        address: Option<SocketAddr>,
        failure: &ConnectFailure,
    ) {
        if let ConnectFailure::Io { error, icmp } = failure
            && error.kind() == io::ErrorKind::ConnectionRefused
            && let Some(errno) = error.raw_os_error()
        {
            let until = Instant::now() + REFUSAL_MEMORY;
            let refused = Refused { until, address, errno, icmp: *icmp };
            self.refused[server].set(Some(refused));
        }
    }

    /// Whether a name's IPv4 addresses have the first turn: where one of them connected last, it
    /// is likely to do so again (RFC 8305 section 4).
    pub(super) fn v4_first(&self, server: usize) -> bool {
        self.v4_first[server].get()
    }

    pub(super) fn note_family(&self, server: usize, address: SocketAddr) {
        self.v4_first[server].set(address.is_ipv4());
    }

    /// Whether a server has ever answered in the protocol that is spoken to it.
    pub fn has_answered(&self, server: usize) -> bool {
        self.answered[server].get()
    }

    pub(super) fn note_answer(&self, server: usize) {
        self.answered[server].set(true);
        self.down[server].set(None);
    }

    /// Why a name must not lead to an address, if it must not.
    pub fn prohibits(&self, address: SocketAddr) -> Option<Prohibited> {
        prohibited::prohibits(&self.shared.listeners, address)
    }
}

/// One connection among those that are counted.
#[derive(Debug)]
pub(crate) struct Opened(Arc<AtomicUsize>);

impl Drop for Opened {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.pool.shared.permits.add_permits(1);
    }
}

/// One request in the queue; counted for as long as it lives, however its wait ends.
struct Waiting<'a> {
    count: &'a AtomicUsize,
    number: usize,
}

impl Waiting<'_> {
    fn enter(count: &AtomicUsize) -> Waiting<'_> {
        Waiting { number: count.fetch_add(1, Ordering::Relaxed), count }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_that_die_together_tell_of_no_limit() {
        let block = Arc::new(Upstream::new("php", Vec::new()));
        let shared = Shared::new(block, Arc::default(), Arc::default());
        let pool = Pool::new(Arc::new(shared), 1);
        let (start, seconds) = (Instant::now(), Duration::from_secs);
        let at = |millis| start + Duration::from_millis(millis);
        // A restart: each had worked for as long.
        assert_eq!(pool.note_death(at(0), seconds(3)), None);
        assert_eq!(pool.note_death(at(2), seconds(3)), None);
        assert_eq!(pool.note_death(at(4), seconds(2)), None);
        // Later it comes again, to two at once.
        assert_eq!(pool.note_death(at(5000), seconds(2)), Some(seconds(2)));
        assert_eq!(pool.note_death(at(5001), seconds(2)), Some(seconds(2)));
        // Workers of ours may see them in another order.
        assert_eq!(pool.note_death(at(4999), seconds(2)), Some(seconds(2)));
    }
}
