//! A load of many small requests from threads of the test: some on connections that are kept, some
//! each on its own; every request that does not get its answer is a failure, and says of which kind.

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

use super::sandbox::Sandbox;

/// How long a request may take: longer than any restart.
const PATIENCE: Duration = Duration::from_secs(30);
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Where the requests go.
#[derive(Debug, Clone)]
pub enum Target {
    Tcp(SocketAddr),
    Unix(PathBuf),
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
    /// By kind.
    pub failed: BTreeMap<String, u64>,
    pub slowest: Duration,
}

impl Tally {
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    fn add(&mut self, other: &Tally) {
        self.answered += other.answered;
        self.connections += other.connections;
        self.slowest = self.slowest.max(other.slowest);
        for (kind, count) in &other.failed {
            *self.failed.entry(kind.clone()).or_default() += count;
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { answered, connections, failed, slowest } = self;
        let total = answered + self.failures();
        write!(f, "{total} requests on {connections} connections, {} failed", self.failures())?;
        write!(f, ", slowest {} ms", slowest.as_millis())?;
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
                    ask(&target, keeps, &shared)
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
                tally.answered += 1;
                tally.slowest = tally.slowest.max(began.elapsed());
                shared.answered.fetch_add(1, Ordering::Relaxed);
            }
            Err(Failed::Connect(kind))
                if (closing || shared.closing.load(Ordering::SeqCst))
                    && matches!(
                        kind,
                        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound
                    ) =>
            {
                return tally;
            }
            Err(failed) => *tally.failed.entry(failed.to_string()).or_default() += 1,
        }
    }
    tally
}

/// Why a request has no answer.
#[derive(Debug)]
enum Failed {
    Connect(io::ErrorKind),
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
}

impl Connection {
    fn open(target: &Target) -> Result<Connection, Failed> {
        let stream = match target {
            Target::Tcp(address) => TcpStream::connect_timeout(address, PATIENCE).map(Stream::Tcp),
            Target::Unix(path) => UnixStream::connect(path).map(Stream::Unix),
        };
        let stream = stream.map_err(|error| Failed::Connect(error.kind()))?;
        let set = match &stream {
            Stream::Tcp(tcp) => tcp.set_read_timeout(Some(PATIENCE)),
            Stream::Unix(unix) => unix.set_read_timeout(Some(PATIENCE)),
        };
        set.map_err(|error| Failed::Connect(error.kind()))?;
        Ok(Connection { stream, served: 0 })
    }

    /// Asks once and reads the whole answer. Whether the connection may be used again.
    fn exchange(&mut self, keeps: bool) -> Result<bool, Failed> {
        let before = self.served;
        let failed = |error: io::Error| Failed::Exchange { kind: error.kind(), before };
        let last = if keeps { "" } else { "Connection: close\r\n" };
        let request = format!("GET / HTTP/1.1\r\nHost: shop.example\r\n{last}\r\n");
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
