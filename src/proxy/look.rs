//! When a failure is worth a look at the host or a question to its server, and which.
//!
//! Nothing is looked for while requests succeed. What costs no connection is looked up once a
//! second; how often a server is asked is `watch`'s to say.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::clock;
use crate::config::Scheme;
use crate::diagnose::{self, Code, Facts, Queue};
use crate::probe;
use crate::upstream::{
    Attempt, ConnectFailure, Failure, HeadFailure, Pool, SendFailure, TlsFailure,
};

use super::watch::{Asked, Found, Question, Watch};

/// How long what was found on this host answers for the failures that follow.
const FRESH: Duration = Duration::from_secs(1);
/// How long an operator waits for a question that may take longer.
const WAIT: Duration = Duration::from_millis(100);

/// What one worker has found out about one upstream.
#[derive(Debug)]
pub struct Looks {
    /// Of the server with this position.
    queue: RefCell<Option<(Instant, usize, Option<Queue>)>>,
    neighbor: Cell<Option<(Instant, SocketAddr, bool)>>,
    /// The last failure of each server that could not be reached.
    unreached: RefCell<Vec<(usize, Code, Instant)>>,
    watch: Arc<Watch>,
}

/// What there is to know beside the failure. An operator waits for some questions, since the page
/// is to show him their answers (100 ms at most, once a second); a visitor never does, nor does a
/// request that is tried again, and both are told what was found before.
pub async fn facts(
    looks: &Looks,
    pool: &Pool,
    failure: &Failure,
    attempt: &Attempt,
    waits: bool,
) -> Facts {
    let has_answered = pool.has_answered(attempt.server);
    let mut facts = Facts { in_flight: pool.in_flight(), has_answered, ..Facts::default() };
    match failure {
        Failure::Head(HeadFailure::TimedOut) if is_fastcgi(attempt) => {
            facts.queue = looks.queue(attempt);
        }
        // A full queue on this host is one reason for silence, a neighbour that is off another.
        Failure::Connect(ConnectFailure::TimedOut) => {
            facts.queue = looks.queue(attempt);
            facts.neighbor_silent = looks.neighbor_is_silent(attempt);
        }
        Failure::Head(HeadFailure::Closed | HeadFailure::Io(_))
        | Failure::Send(SendFailure::Io(_))
            if is_fastcgi(attempt) && !diagnose::is_stale(attempt) =>
        {
            let death = attempt.stamps.ended.zip(lasted(attempt));
            facts.previous_death = death.and_then(|(at, lasted)| pool.note_death(at, lasted));
        }
        _ => {}
    }
    if let Some(question) = question(pool, failure, attempt)
        && may_be_asked(attempt)
    {
        let (server, address) = (attempt.server, attempt.address);
        let asked = Asked { question, server, address };
        let looking = looks.watch.look(asked, &attempt.server().address);
        if let Some(looking) = looking.filter(|_| waits) {
            wait(question, looking).await;
        }
        match looks.watch.known(asked) {
            Some(Found::FastCgi(probed)) => facts.fastcgi = Some(probed),
            Some(Found::Speaks(protocol)) => facts.speaks = Some(protocol),
            Some(Found::ExpectsProxyHeader) => facts.expects_proxy_header = true,
            Some(Found::Listening(address)) => facts.other_family = Some(address),
            Some(Found::Port(port)) => facts.port = Some(port),
            None => {}
        }
    }
    facts
}

/// Waits for the answer to a question that this host, or one near by, answers at once.
async fn wait(question: Question, looking: JoinHandle<()>) {
    // A look that panicked found nothing.
    match question {
        Question::FastCgi => drop(looking.await),
        // Silence takes it longer to find; the failures that follow are told of it.
        Question::Port => drop(clock::within(WAIT, looking).await),
        Question::Speaks | Question::SpeaksPlain | Question::OtherFamily => {}
    }
}

/// What to ask the server after this failure.
fn question(pool: &Pool, failure: &Failure, attempt: &Attempt) -> Option<Question> {
    let silent = attempt.bytes_received == 0;
    match failure {
        Failure::Head(HeadFailure::Closed | HeadFailure::Io(_))
        | Failure::Send(SendFailure::Io(_))
            if silent && !diagnose::is_stale(attempt) =>
        {
            let server = attempt.server();
            match server.scheme {
                Scheme::FastCgi => Some(Question::FastCgi),
                _ if diagnose::looks_like_fastcgi(&server.address) => Some(Question::FastCgi),
                Scheme::Http => Some(Question::Speaks),
                Scheme::Https | Scheme::H2c => None,
            }
        }
        Failure::Tls(TlsFailure::Ended(_) | TlsFailure::TimedOut) if silent => {
            Some(Question::SpeaksPlain)
        }
        Failure::Head(HeadFailure::TimedOut) if silent => attempt.address.map(|_| Question::Port),
        Failure::Connect(failure) if is_timeout(failure) => attempt.address.map(|_| Question::Port),
        Failure::Connect(failure) if is_refused(failure) => {
            let other = probe::other_loopback(attempt.address?)?;
            let tried = attempt.tried.iter().any(|tried| tried.address == other);
            // A listener of our own is not the server.
            (!tried && pool.prohibits(other).is_none()).then_some(Question::OtherFamily)
        }
        _ => None,
    }
}

fn is_fastcgi(attempt: &Attempt) -> bool {
    attempt.server().scheme == Scheme::FastCgi
}

fn is_timeout(failure: &ConnectFailure) -> bool {
    match failure {
        ConnectFailure::TimedOut => true,
        ConnectFailure::Io { error, .. } => error.kind() == io::ErrorKind::TimedOut,
        ConnectFailure::Remembered { .. } | ConnectFailure::Prohibited(_) => false,
    }
}

fn is_refused(failure: &ConnectFailure) -> bool {
    match failure {
        ConnectFailure::Io { error, icmp: None }
        | ConnectFailure::Remembered { error, icmp: None } => {
            error.kind() == io::ErrorKind::ConnectionRefused
        }
        ConnectFailure::Io { .. }
        | ConnectFailure::Remembered { .. }
        | ConnectFailure::TimedOut
        | ConnectFailure::Prohibited(_) => false,
    }
}

fn lasted(attempt: &Attempt) -> Option<Duration> {
    let stamps = &attempt.stamps;
    Some(stamps.ended?.saturating_duration_since(stamps.connected?))
}

impl Looks {
    /// `watch` is that of all workers.
    pub fn new(watch: Arc<Watch>) -> Looks {
        Looks {
            queue: RefCell::default(),
            neighbor: Cell::default(),
            unreached: RefCell::default(),
            watch,
        }
    }

    /// Notes why a server could not be reached.
    pub fn note_unreached(&self, server: usize, code: Code) {
        let mut unreached = self.unreached.borrow_mut();
        unreached.retain(|(other, ..)| *other != server);
        unreached.push((server, code, Instant::now()));
    }

    /// The servers that could not be reached, by position, with the cause and how long ago.
    pub fn unreached(&self) -> Vec<(usize, Code, Duration)> {
        let unreached = self.unreached.borrow();
        unreached.iter().map(|(server, code, at)| (*server, *code, at.elapsed())).collect()
    }

    /// The server that failed last, and how.
    pub fn last_unreached(&self) -> Option<(usize, Code)> {
        self.unreached.borrow().last().map(|(server, code, _)| (*server, *code))
    }

    fn queue(&self, attempt: &Attempt) -> Option<Queue> {
        let now = Instant::now();
        let mut known = self.queue.borrow_mut();
        match *known {
            Some((at, server, queue)) if server == attempt.server && now < at + FRESH => queue,
            _ => {
                let queue = probe::accept_queue(&attempt.server().address, attempt.address);
                known.insert((now, attempt.server, queue)).2
            }
        }
    }

    fn neighbor_is_silent(&self, attempt: &Attempt) -> bool {
        let Some(address) = attempt.address else { return false };
        let now = Instant::now();
        match self.neighbor.get() {
            Some((at, of, silent)) if of == address && now < at + FRESH => silent,
            _ => {
                let silent = probe::neighbor_is_silent(address);
                self.neighbor.set(Some((now, address, silent)));
                silent
            }
        }
    }
}

/// Whether a connection may be opened that no request needs.
fn may_be_asked(attempt: &Attempt) -> bool {
    probe::may_be_asked(attempt.upstream.probe, &attempt.server().address, attempt.address)
}
