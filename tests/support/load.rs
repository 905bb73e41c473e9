//! A load of many small requests from threads of the test: some on connections that are kept, some
//! each on its own, with and without TLS, some many at once by HTTP/2. Every request that does not
//! get its answer is a failure, and says of which kind; one that HTTP/2 gives back is asked again.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::sandbox::Sandbox;
use super::streams::{Event, Streams};

/// Whom the requests ask for.
pub const HOST: &str = "shop.example";

/// How long a request may take: longer than any restart.
const PATIENCE: Duration = Duration::from_secs(30);
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Streams of one connection at once; also how many there are in all on one that is not kept.
const STREAMS: usize = 8;

/// Where the requests go.
#[derive(Debug, Clone)]
pub enum Target {
    Tcp(SocketAddr),
    Unix(PathBuf),
    /// HTTP/1.1 over TLS.
    Tls(SocketAddr, Arc<ClientConfig>),
    /// Made by [`Target::http2`].
    Http2(SocketAddr, Arc<ClientConfig>),
}

impl Target {
    pub fn tls(address: SocketAddr, trusted: &[CertificateDer<'static>]) -> Target {
        Target::Tls(address, Arc::new(trusting(trusted)))
    }

    pub fn http2(address: SocketAddr, trusted: &[CertificateDer<'static>]) -> Target {
        let mut config = trusting(trusted);
        config.alpn_protocols = vec![b"h2".to_vec()];
        Target::Http2(address, Arc::new(config))
    }
}

fn trusting(roots: &[CertificateDer<'static>]) -> ClientConfig {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(root.clone()).expect("a certificate");
    }
    ClientConfig::builder().with_root_certificates(store).with_no_client_auth()
}

/// Threads that ask; `end` stops them and tells.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Tally>>,
}

#[derive(Debug, Default)]
struct Shared {
    ended: AtomicBool,
    /// From now on a refused connection is no failure, but the end of its thread's work.
    closing: AtomicBool,
    answered: AtomicU64,
}

/// What became of the requests.
#[derive(Debug, Default, Clone)]
pub struct Tally {
    pub answered: u64,
    /// How many connections it took.
    pub connections: u64,
    /// Those that a server said it had not processed, and that were asked again.
    pub repeated: u64,
    /// Connections that a GOAWAY ended.
    pub sent_away: u64,
    /// By kind.
    pub failed: BTreeMap<String, u64>,
    pub slowest: Duration,
}

impl Tally {
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    fn answered(&mut self, began: Instant, shared: &Shared) {
        self.answered += 1;
        self.slowest = self.slowest.max(began.elapsed());
        shared.answered.fetch_add(1, Ordering::Relaxed);
    }

    fn failed(&mut self, kind: &str, count: u64) {
        *self.failed.entry(kind.to_owned()).or_default() += count;
    }

    fn add(&mut self, other: &Tally) {
        self.answered += other.answered;
        self.connections += other.connections;
        self.repeated += other.repeated;
        self.sent_away += other.sent_away;
        self.slowest = self.slowest.max(other.slowest);
        for (kind, count) in &other.failed {
            self.failed(kind, *count);
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { answered, connections, repeated, sent_away, failed, slowest } = self;
        let total = answered + self.failures();
        write!(f, "{total} requests on {connections} connections, {} failed", self.failures())?;
        write!(f, "; {sent_away} GOAWAY, {repeated} given back, slowest ")?;
        write!(f, "{} ms", slowest.as_millis())?;
        failed.iter().try_for_each(|(kind, count)| write!(f, "; {count} {kind}"))
    }
}

impl Load {
    /// Starts asking from inside a container: for each target `keeping` threads whose connections
    /// are kept, and as many that open one for each request.
    pub fn start(sandbox: &Sandbox, targets: &[Target], keeping: usize) -> Load {
        let shared = Arc::new(Shared::default());
        let mut threads = Vec::new();
        for target in targets {
            for number in 0..keeping * 2 {
                let (target, shared) = (target.clone(), shared.clone());
                let keeps = number % 2 == 0;
                let network = sandbox.network();
                threads.push(std::thread::spawn(move || {
                    network.enter();
                    match &target {
                        Target::Tcp(_) | Target::Unix(_) | Target::Tls(..) => {
                            ask(&target, keeps, &shared)
                        }
                        Target::Http2(address, config) => {
                            ask_many(*address, config, keeps, &shared)
                        }
                    }
                }));
            }
        }
        Load { shared, threads }
    }

    /// How many requests have been answered so far.
    pub fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::Relaxed)
    }

    /// Waits until so many more have been answered; panics when they are not.
    pub fn more(&self, count: u64) {
        let (wanted, end) = (self.answered() + count, Instant::now() + 2 * PATIENCE);
        while self.answered() < wanted {
            assert!(Instant::now() < end, "{} of {wanted} answered", self.answered());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// From now on a refused connection is what a stopped server is expected to give.
    pub fn expect_closing(&self) {
        self.shared.closing.store(true, Ordering::SeqCst);
    }

    /// Has every thread finish the request that it is at, and tells.
    pub fn end(self) -> Tally {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.tally()
    }

    /// Tells when every thread was refused, as `expect_closing` has it expect; panics when one is
    /// not.
    pub fn refused(self) -> Tally {
        let end = Instant::now() + PATIENCE;
        while !self.threads.iter().all(JoinHandle::is_finished) {
            assert!(Instant::now() < end, "somebody is still let in");
            std::thread::sleep(Duration::from_millis(5));
        }
        self.tally()
    }

    fn tally(self) -> Tally {
        let mut all = Tally::default();
        for thread in self.threads {
            all.add(&thread.join().expect("a thread that asks does not panic"));
        }
        all
    }
}

/// One thread's work.
fn ask(target: &Target, keeps: bool, shared: &Shared) -> Tally {
    let mut tally = Tally::default();
    let mut kept: Option<Connection> = None;
    while !shared.ended.load(Ordering::SeqCst) {
        let began = Instant::now();
        // Read first: what is refused after a stop began is no failure.
        let closing = shared.closing.load(Ordering::SeqCst);
        let connected = match kept.take() {
            Some(connection) => Ok(connection),
            None => Connection::open(target).inspect(|_| tally.connections += 1),
        };
        let outcome = connected.and_then(|mut connection| {
            let stays = connection.exchange(keeps)?;
            kept = (stays && keeps).then_some(connection);
            Ok(())
        });
        match outcome {
            Ok(()) => {
                tally.answered(began, shared);
            }
            Err(failed) if shared.is_closed(closing, &failed) => return tally,
            Err(failed) => tally.failed(&failed.to_string(), 1),
        }
    }
    tally
}

/// The same by HTTP/2, with several requests at once.
fn ask_many(
    address: SocketAddr,
    config: &Arc<ClientConfig>,
    keeps: bool,
    shared: &Shared,
) -> Tally {
    let mut tally = Tally::default();
    // When those began that were given back.
    let mut again: Vec<Instant> = Vec::new();
    while !again.is_empty() || !shared.ended.load(Ordering::SeqCst) {
        let closing = shared.closing.load(Ordering::SeqCst);
        let mut streams = match secured(address, config) {
            Ok((tls, tcp)) => Streams::new(tls, tcp),
            Err(failed) if shared.is_closed(closing, &failed) => return tally,
            Err(failed) => {
                again.pop();
                tally.failed(&failed.to_string(), 1);
                continue;
            }
        };
        tally.connections += 1;
        let mut left = if keeps { usize::MAX } else { STREAMS };
        loop {
            while streams.is_taking() && streams.open() < STREAMS && left > 0 {
                let began = match again.pop() {
                    Some(began) => began,
                    None if shared.ended.load(Ordering::SeqCst) => break,
                    None => Instant::now(),
                };
                streams.ask(began);
                left -= 1;
            }
            if streams.open() == 0 {
                break;
            }
            match streams.next() {
                Ok(Event::Answered(began)) => tally.answered(began, shared),
                Ok(Event::GivenBack(began)) => {
                    tally.repeated += began.len() as u64;
                    again.extend(began);
                }
                Ok(Event::Failed(what)) => tally.failed(&what, 1),
                Ok(Event::None) => {}
                Err(lost) => {
                    tally.failed(&lost, streams.open() as u64);
                    break;
                }
            }
        }
        tally.sent_away += u64::from(streams.is_sent_away());
    }
    tally
}

impl Shared {
    /// Whether a failure is the end of a server that was to close. What is refused after its stop
    /// began is that, so `closing` was read before.
    fn is_closed(&self, closing: bool, failed: &Failed) -> bool {
        use io::ErrorKind::{ConnectionRefused, NotFound};
        (closing || self.closing.load(Ordering::SeqCst))
            && matches!(failed, Failed::Connect(ConnectionRefused | NotFound))
    }
}

/// Why a request has no answer.
#[derive(Debug)]
enum Failed {
    Connect(io::ErrorKind),
    Handshake(io::Error),
    /// After so many requests on the same connection.
    Exchange {
        kind: io::ErrorKind,
        before: u64,
    },
    Cut {
        before: u64,
    },
    Status(String),
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failed::Connect(kind) => write!(f, "could not connect: {kind}"),
            Failed::Handshake(error) => write!(f, "the handshake failed: {error}"),
            Failed::Exchange { kind, before: 0 } => write!(f, "failed: {kind}"),
            Failed::Exchange { kind, .. } => write!(f, "failed on a kept connection: {kind}"),
            Failed::Cut { before: 0 } => write!(f, "closed without an answer"),
            Failed::Cut { .. } => write!(f, "closed without an answer, on a kept connection"),
            Failed::Status(line) => write!(f, "answered {line:?}"),
        }
    }
}

#[derive(Debug)]
struct Connection {
    stream: Stream,
    served: u64,
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

fn connect(address: SocketAddr) -> Result<TcpStream, Failed> {
    let opened = TcpStream::connect_timeout(&address, PATIENCE).and_then(|tcp| {
        tcp.set_read_timeout(Some(PATIENCE))?;
        Ok(tcp)
    });
    opened.map_err(|error| Failed::Connect(error.kind()))
}

/// Connects and does the handshake.
fn secured(
    address: SocketAddr,
    config: &Arc<ClientConfig>,
) -> Result<(ClientConnection, TcpStream), Failed> {
    let mut tcp = connect(address)?;
    let name = ServerName::try_from(HOST).expect("a name");
    let mut tls = ClientConnection::new(config.clone(), name).expect("a client");
    while tls.is_handshaking() {
        tls.complete_io(&mut tcp).map_err(Failed::Handshake)?;
    }
    Ok((tls, tcp))
}

impl Connection {
    fn open(target: &Target) -> Result<Connection, Failed> {
        let stream = match target {
            Target::Tcp(address) => Stream::Tcp(connect(*address)?),
            Target::Unix(path) => {
                let opened = UnixStream::connect(path).and_then(|unix| {
                    unix.set_read_timeout(Some(PATIENCE))?;
                    Ok(unix)
                });
                Stream::Unix(opened.map_err(|error| Failed::Connect(error.kind()))?)
            }
            Target::Tls(address, config) | Target::Http2(address, config) => {
                let (tls, tcp) = secured(*address, config)?;
                Stream::Tls(Box::new(StreamOwned::new(tls, tcp)))
            }
        };
        Ok(Connection { stream, served: 0 })
    }

    /// Asks once and reads the whole answer. Whether the connection may be used again.
    fn exchange(&mut self, keeps: bool) -> Result<bool, Failed> {
        let before = self.served;
        let failed = |error: io::Error| Failed::Exchange { kind: error.kind(), before };
        let last = if keeps { "" } else { "Connection: close\r\n" };
        let request = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n{last}\r\n");
        self.stream().write_all(request.as_bytes()).map_err(failed)?;
        let mut answer = Vec::new();
        let mut piece = [0; 4096];
        loop {
            if let Some(stays) = whole(&answer)? {
                self.served += 1;
                return Ok(stays);
            }
            match self.stream().read(&mut piece).map_err(failed)? {
                0 => return Err(Failed::Cut { before }),
                read => answer.extend_from_slice(&piece[..read]),
            }
            assert!(answer.len() < ANSWER_BYTES_MAX, "an answer without an end");
        }
    }

    fn stream(&mut self) -> &mut dyn ReadWrite {
        match &mut self.stream {
            Stream::Tcp(tcp) => tcp,
            Stream::Unix(unix) => unix,
            Stream::Tls(tls) => tls.as_mut(),
        }
    }
}

trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

/// Whether an answer of a known length is whole, and if so whether its connection stays.
fn whole(answer: &[u8]) -> Result<Option<bool>, Failed> {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return Ok(None) };
    let head = head.to_ascii_lowercase();
    let status = head.lines().next().unwrap_or_default();
    if !status.starts_with("http/1.1 200 ") {
        return Err(Failed::Status(status.to_owned()));
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.and_then(|length| length.parse().ok()).unwrap_or(0);
    Ok((body.len() >= length).then(|| !head.contains("\r\nconnection: close")))
}
