//! One worker: a thread with a runtime, listeners and connections of its own; nothing of a request
//! is shared with another.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::clock::{self, Deadline};
use crate::config::{self, CertificateNames, Config, ListenAddress};
use crate::diagnose::{Cause, RequestFault};
use crate::proxy::{Common, Connection, Introduction, Site};
use crate::telemetry::{AccessWriter, Counts, LineBuffer, WorkerTally};

use super::handshake::HandshakeFault;
use super::http2;
use super::listener::{self, Bound};
use super::proxied;
use super::sockets::Wanted;
use super::tls::{Met, Protocol, Terminator};
use super::transport::Socket;
use super::{Afterwards, http1};

/// Connections beyond the limit that are still told so; more are closed without a word.
const TURNED_AWAY_MAX: usize = 64;
/// How long a listener whose door is closed is still accepted from, and how long a connection
/// between two requests still waits for the next, before they close. Whoever was about to speak has
/// done so by then: a handshake or a request under way takes a round trip.
pub const LAST_CALL: Duration = Duration::from_secs(1);
/// After accept has failed for want of descriptors or memory, so long is waited.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What the server tells a worker.
#[derive(Debug)]
pub enum Order {
    /// Serve by this configuration from now on.
    Apply { generation: Box<Generation>, applied: oneshot::Sender<()> },
    /// Accept nothing more, finish what is under way, and end. Any order after it: end at once.
    Stop { deadline: Duration, afterwards: Afterwards },
}

/// One generation of the configuration on its way to one worker.
#[derive(Debug)]
pub struct Generation {
    pub config: Arc<Config>,
    pub common: Common,
    /// Where this worker counts.
    pub counts: Counts,
    /// The configuration's listeners in order; sockets for those that are new.
    pub listeners: Vec<Wanted>,
    pub access: AccessWriter,
}

/// What all connections of one worker share.
#[derive(Debug)]
pub struct Worker {
    site: RefCell<Option<Rc<Site>>>,
    client: RefCell<Rc<config::Client>>,
    /// Client connections of all workers.
    connections: Arc<AtomicUsize>,
    pub tls: Arc<Terminator>,
    /// Those of this worker.
    own: Cell<usize>,
    /// Its sockets that are accepted from.
    accepting: Cell<usize>,
    /// Its listeners, to wake their connections.
    listenings: RefCell<Vec<Weak<Listening>>>,
    emptied: Notify,
    tally: Arc<WorkerTally>,
}

/// One listener's life in one worker.
#[derive(Debug)]
pub struct Listening {
    /// Its position in the configuration in force.
    pub number: Rc<Cell<usize>>,
    /// Its clients speak TLS; so does who comes after a reload that says so.
    secure: Cell<bool>,
    phase: Cell<Phase>,
    /// Another process has its socket too.
    elsewhere: bool,
    /// Once drained, its connections go by the configuration that it stood in.
    last: RefCell<Option<Rc<Site>>>,
    tasks: RefCell<Tasks>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// Nobody new comes in; who waits is accepted.
    LastCall,
    /// Nothing is accepted.
    Ended,
}

impl Worker {
    /// The site that a listener's requests go by: that of the configuration in force.
    pub fn site(&self, listening: &Listening) -> Rc<Site> {
        let site = match listening.is_drained() {
            true => listening.last.borrow().clone(),
            false => self.site.borrow().clone(),
        };
        site.expect("listeners start after the first configuration")
    }

    /// Has every connection polled once more.
    fn wake(&self) {
        let mut listenings = self.listenings.borrow_mut();
        listenings.retain(|listening| listening.upgrade().map(|of| of.wake()).is_some());
    }

    fn left(&self, one: &Cell<usize>) {
        one.set(one.get() - 1);
        if self.own.get() == 0 && self.accepting.get() == 0 {
            self.emptied.notify_waiters();
        }
    }
}

impl Listening {
    fn new(number: usize, secure: bool, elsewhere: bool) -> Listening {
        Listening {
            number: Rc::new(Cell::new(number)),
            secure: Cell::new(secure),
            phase: Cell::new(Phase::Open),
            elsewhere,
            last: RefCell::default(),
            tasks: RefCell::default(),
        }
    }

    /// Whether its connections are to come to an end.
    pub fn is_drained(&self) -> bool {
        self.phase.get() != Phase::Open
    }

    /// Has the calling task woken when the drain begins; for as long as the guard lives.
    pub async fn attend(&self) -> Attending<'_> {
        std::future::poll_fn(|cx| {
            let key = self.tasks.borrow_mut().insert(cx.waker().clone());
            std::task::Poll::Ready(Attending { listening: self, key })
        })
        .await
    }

    /// Runs a future that may as well not end: once the drain has begun it has [`LAST_CALL`] left,
    /// and then this is `None`.
    pub async fn until_last_call<F: Future>(&self, future: F) -> Option<F::Output> {
        let _attending = self.attend().await;
        let mut future = std::pin::pin!(future);
        let mut end = Deadline::unset();
        std::future::poll_fn(|cx| {
            if let Poll::Ready(done) = future.as_mut().poll(cx) {
                return Poll::Ready(Some(done));
            }
            if !self.is_drained() {
                return Poll::Pending;
            }
            if !end.is_set() {
                end.set(LAST_CALL);
            }
            end.poll(cx).map(|()| None)
        })
        .await
    }

    fn drain(&self, site: Option<Rc<Site>>, afterwards: Afterwards) {
        // Who waits at a socket that lives on is another process' to accept.
        let lives_on = self.elsewhere || afterwards == Afterwards::Kept;
        self.phase.set(if lives_on { Phase::Ended } else { Phase::LastCall });
        self.last.replace(site);
        self.wake();
    }

    fn wake(&self) {
        // Woken outside the borrow: a task that ends at once takes itself out.
        let tasks: Vec<Waker> = self.tasks.borrow().values().cloned().collect();
        tasks.into_iter().for_each(Waker::wake);
    }
}

/// One task that is woken when its listener is drained.
#[derive(Debug)]
pub struct Attending<'a> {
    listening: &'a Listening,
    key: u64,
}

impl Drop for Attending<'_> {
    fn drop(&mut self) {
        self.listening.tasks.borrow_mut().remove(self.key);
    }
}

/// The tasks of one listener's connections, each woken once at most.
#[derive(Debug, Default)]
struct Tasks {
    wakers: HashMap<u64, Waker>,
    next: u64,
}

impl Tasks {
    fn insert(&mut self, waker: Waker) -> u64 {
        self.next += 1;
        self.wakers.insert(self.next, waker);
        self.next
    }

    fn remove(&mut self, key: u64) {
        self.wakers.remove(&key);
    }

    fn values(&self) -> impl Iterator<Item = &Waker> {
        self.wakers.values()
    }
}

/// Runs a worker's thread until it is told to stop.
///
/// # Errors
/// When the runtime cannot be made.
pub fn run(
    orders: mpsc::UnboundedReceiver<Order>,
    connections: Arc<AtomicUsize>,
    tls: Arc<Terminator>,
    ticks: Arc<Notify>,
    tally: Arc<WorkerTally>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())?;
    runtime.block_on(work(orders, connections, tls, ticks, tally));
    Ok(())
}

async fn work(
    mut orders: mpsc::UnboundedReceiver<Order>,
    connections: Arc<AtomicUsize>,
    tls: Arc<Terminator>,
    ticks: Arc<Notify>,
    tally: Arc<WorkerTally>,
) {
    let worker = Rc::new(Worker {
        site: RefCell::new(None),
        client: RefCell::default(),
        connections,
        tls,
        own: Cell::new(0),
        accepting: Cell::new(0),
        listenings: RefCell::default(),
        emptied: Notify::new(),
        tally: tally.clone(),
    });
    let ticking = worker.clone();
    tokio::task::spawn_local(clock::tick(ticks, move || {
        ticking.tally.beats(clock::now());
        let site = ticking.site.borrow().clone();
        if let Some(site) = site {
            site.tick();
            if site.hears_roll() {
                ticking.wake();
                tokio::task::spawn_local(async move { site.end_roll() });
            }
        }
    }));
    let mut listeners: HashMap<ListenAddress, Rc<Listening>> = HashMap::new();
    let mut log = None;
    while let Some(order) = orders.recv().await {
        match order {
            Order::Apply { generation, applied } => {
                apply(&worker, &mut listeners, &mut log, *generation);
                let _ = applied.send(());
            }
            Order::Stop { deadline, afterwards } => {
                tokio::select! {
                    () = stop(&worker, &listeners, deadline, afterwards) => {}
                    _ = orders.recv() => {}
                }
                break;
            }
        }
    }
    if let Some(site) = worker.site.take() {
        site.tick();
    }
    tally.ends();
}

fn apply(
    worker: &Rc<Worker>,
    listeners: &mut HashMap<ListenAddress, Rc<Listening>>,
    log: &mut Option<Rc<LineBuffer>>,
    generation: Generation,
) {
    let Generation { config, common, counts, listeners: wanted, access } = generation;
    let format = config.log.format;
    let buffer = match log {
        // Requests that are under way keep the buffer, and only the one in force is flushed each
        // tick.
        Some(log) if log.serves(&access, format) => log.clone(),
        _ => log.insert(Rc::new(access.buffer(format))).clone(),
    };
    worker.client.replace(Rc::new(config.client.clone()));
    let secure: Vec<bool> = config.listeners.iter().map(|listener| listener.tls).collect();
    let mut with_tls = wanted.iter().filter(|wanted| secure[wanted.number]);
    let https_port = with_tls.find_map(|wanted| match &wanted.address {
        ListenAddress::Tcp(address) => Some(address.port()),
        ListenAddress::Unix(_) | ListenAddress::Systemd(_) => None,
    });
    let site = Site::new(config, &common, counts, buffer);
    let site = site.with_https_port(https_port);
    let before = worker.site.replace(Some(Rc::new(site)));
    listeners.retain(|address, listening| {
        let stays = wanted.iter().any(|wanted| wanted.address == *address);
        if !stays {
            listening.drain(before.clone(), Afterwards::Closed);
        }
        stays
    });
    for Wanted { number, address, sockets, elsewhere } in wanted {
        if let Some(listening) = listeners.get(&address) {
            listening.number.set(number);
            listening.secure.set(secure[number]);
            continue;
        }
        let listening = Rc::new(Listening::new(number, secure[number], elsewhere));
        for socket in sockets {
            worker.accepting.set(worker.accepting.get() + 1);
            tokio::task::spawn_local(listen(worker.clone(), listening.clone(), socket));
        }
        worker.listenings.borrow_mut().push(Rc::downgrade(&listening));
        listeners.insert(address, listening);
    }
}

async fn stop(
    worker: &Worker,
    listeners: &HashMap<ListenAddress, Rc<Listening>>,
    deadline: Duration,
    afterwards: Afterwards,
) {
    let site = worker.site.borrow().clone();
    for listening in listeners.values() {
        listening.drain(site.clone(), afterwards);
    }
    let emptied = async {
        while worker.own.get() > 0 || worker.accepting.get() > 0 {
            worker.emptied.notified().await;
        }
    };
    if clock::within(deadline, emptied).await.is_none() {
        let left = worker.own.get();
        tracing::warn!(connections = left, "the drain's deadline has passed; connections are cut");
    }
}

/// Accepts until the listener is drained, and closes it.
async fn listen(worker: Rc<Worker>, listening: Rc<Listening>, bound: Bound) {
    match bound {
        Bound::Tcp(listener) => match TcpListener::from_std(listener) {
            Ok(listener) => {
                let accepting = accept_tcp(&worker, &listening, &listener);
                attend(&listening, accepting, || listener::close_door(&listener)).await;
            }
            Err(error) => tracing::error!(%error, "a listener cannot be used"),
        },
        Bound::Unix(listener) => match UnixListener::from_std(listener) {
            Ok(listener) => {
                let accepting = accept_unix(&worker, &listening, &listener);
                // Its file is gone, or goes now: that is its door.
                attend(&listening, accepting, || Ok(())).await;
            }
            Err(error) => tracing::error!(%error, "a listener cannot be used"),
        },
    }
    worker.left(&worker.accepting);
}

/// Runs an accepting loop, which does not end by itself, to its listener's end.
async fn attend(
    listening: &Listening,
    accepting: impl Future<Output = ()>,
    close_door: impl Fn() -> io::Result<()>,
) {
    let _attending = listening.attend().await;
    let mut accepting = std::pin::pin!(accepting);
    let mut end = Deadline::unset();
    std::future::poll_fn(|cx| {
        match listening.phase.get() {
            Phase::Open => {}
            Phase::Ended => return Poll::Ready(()),
            Phase::LastCall if end.is_set() => {}
            Phase::LastCall => {
                if let Err(error) = close_door() {
                    tracing::warn!(%error, "a listener closes while clients may still come in");
                }
                end.set(LAST_CALL);
            }
        }
        // Before the time is looked at: at its end nobody waits.
        if accepting.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        end.poll(cx)
    })
    .await;
}

async fn accept_tcp(worker: &Rc<Worker>, listening: &Rc<Listening>, listener: &TcpListener) {
    let local = listener::prepare(listener);
    loop {
        match listener.accept().await {
            Ok((tcp, peer)) => {
                let local = local.or_else(|| tcp.local_addr().ok());
                let ends = Ends { peer: Some(peer), local };
                begin(worker, listening, Socket::Tcp(tcp), ends);
            }
            Err(error) => accept_failed(&error).await,
        }
    }
}

async fn accept_unix(worker: &Rc<Worker>, listening: &Rc<Listening>, listener: &UnixListener) {
    loop {
        match listener.accept().await {
            Ok((unix, _)) => begin(worker, listening, Socket::Unix(unix), Ends::default()),
            Err(error) => accept_failed(&error).await,
        }
    }
}

/// accept(2): the errors of the new connection pass; those of our host call for a pause.
async fn accept_failed(error: &io::Error) {
    if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
        return;
    }
    tracing::error!(%error, "cannot accept connections");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

/// The two ends of a connection; `None` on a Unix listener.
#[derive(Debug, Default, Clone, Copy)]
struct Ends {
    peer: Option<SocketAddr>,
    local: Option<SocketAddr>,
}

fn begin(worker: &Rc<Worker>, listening: &Rc<Listening>, socket: Socket, ends: Ends) {
    let counted = Counted::new(worker.clone());
    let limits = worker.client.borrow().clone();
    let over = counted.number.saturating_sub(limits.connections);
    if over > TURNED_AWAY_MAX {
        worker.tally.dropped();
        return;
    }
    let secure = listening.secure.get();
    let introduced = limits.proxy_protocol.cover(ends.peer.map(|peer| peer.ip().to_canonical()));
    let opened = Opened {
        worker: worker.clone(),
        listening: listening.clone(),
        ends,
        introduction: Introduction::Itself,
        limits,
        over,
    };
    tokio::task::spawn_local(async move {
        match introduced || secure {
            // Boxed, since plain connections would carry the size of what comes first.
            true => Box::pin(opened.prepare(socket, introduced, secure)).await,
            false => opened.serve(socket, Protocol::Http1, None).await,
        }
        drop(counted);
    });
}

/// A connection that was accepted.
struct Opened {
    worker: Rc<Worker>,
    listening: Rc<Listening>,
    ends: Ends,
    introduction: Introduction,
    limits: Rc<config::Client>,
    /// How many connections there are beyond the limit.
    over: usize,
}

impl Opened {
    /// What comes before the first request: the balancer's header, and then TLS.
    async fn prepare(mut self, mut socket: Socket, introduced: bool, secure: bool) {
        if introduced {
            let (peer, limit) = (self.peer(), self.limits.header_timeout);
            let introduction = proxied::introduce(&mut socket, peer, limit, &self.listening).await;
            let Some(introduction) = introduction else { return };
            self.introduction = introduction;
        }
        match secure {
            true => self.secure(socket).await,
            false => self.serve(socket, Protocol::Http1, None).await,
        }
    }

    async fn secure(self, socket: Socket) {
        let terminator = &self.worker.tls;
        let meeting = terminator.meet(socket, self.limits.header_timeout);
        let Some(met) = self.listening.until_last_call(meeting).await else { return };
        match met {
            Ok(Met::Tls(secured)) => {
                let (protocol, names) = (secured.protocol, secured.names);
                self.serve(Socket::Tls(secured.socket), protocol, Some(names)).await;
            }
            #[cfg(feature = "acme")]
            Ok(Met::Authority) => {}
            Ok(Met::Plain { socket, begun }) => {
                terminator.log.note(&HandshakeFault::PlainHttp, self.peer());
                self.refuse(socket, begun).await;
            }
            Err(fault) => terminator.log.note(&fault, self.peer()),
        }
    }

    fn peer(&self) -> Option<IpAddr> {
        let named = match self.introduction {
            Introduction::Client { named, .. } => named.map(|(client, _)| client),
            Introduction::Itself => None,
        };
        named.or(self.ends.peer).map(|peer| peer.ip().to_canonical())
    }

    /// Answers a request that came without TLS where TLS is spoken.
    async fn refuse(self, socket: Socket, begun: Vec<u8>) {
        let Opened { worker, listening, ends, introduction, limits, .. } = self;
        let number = listening.number.clone();
        let connection = Connection::new(ends.peer, ends.local, number, None);
        let connection = Rc::new(connection.introduced(&introduction));
        let cause = Cause::RequestInvalid { fault: RequestFault::PlainHttpOnTlsPort };
        let refused = Some(http1::Refused { cause, begun });
        http1::serve(worker, listening, socket, connection, limits, refused).await;
    }

    async fn serve(
        self,
        socket: Socket,
        protocol: Protocol,
        certificate: Option<Arc<CertificateNames>>,
    ) {
        let Opened { worker, listening, ends, introduction, limits, over } = self;
        let number = listening.number.clone();
        let connection = Connection::new(ends.peer, ends.local, number, certificate);
        let connection = Rc::new(connection.introduced(&introduction));
        let limit = limits.connections;
        let refused = (over > 0).then_some(Cause::TooManyClientConnections { limit });
        match protocol {
            Protocol::Http1 => {
                let refused = refused.map(|cause| http1::Refused { cause, begun: Vec::new() });
                http1::serve(worker, listening, socket, connection, limits, refused).await;
            }
            // Boxed, since connections of HTTP/1.1 would carry its size.
            Protocol::Http2 => {
                let served = http2::serve(worker, listening, socket, connection, limits, refused);
                Box::pin(served).await;
            }
        }
    }
}

/// A place among the client connections; given back when dropped.
struct Counted {
    worker: Rc<Worker>,
    /// How many there are with this one.
    number: usize,
}

impl Counted {
    fn new(worker: Rc<Worker>) -> Counted {
        worker.own.set(worker.own.get() + 1);
        worker.tally.accepted();
        let number = worker.connections.fetch_add(1, Ordering::Relaxed) + 1;
        Counted { worker, number }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.worker.connections.fetch_sub(1, Ordering::Relaxed);
        self.worker.left(&self.worker.own);
    }
}
