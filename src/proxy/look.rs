//! When a failure is worth a look at the host, and how often: once a second an upstream, one at a
//! time, never while requests succeed.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::config::Scheme;
use crate::diagnose::{self, Facts, Probed, Protocol, Queue, probe};
use crate::upstream::{Attempt, ConnectFailure, Failure, HeadFailure, Pool, SendFailure};

/// How long what was found answers for the failures that follow.
const FRESH: Duration = Duration::from_secs(1);
/// How long a protocol that a server was found to speak answers for failures of its kind.
const SPOKEN: Duration = Duration::from_secs(10);

/// What one worker has found out about one upstream.
#[derive(Debug, Default)]
pub struct Looks {
    /// Of the server with this position.
    queue: RefCell<Option<(Instant, usize, Option<Queue>)>>,
    neighbor: Cell<Option<(Instant, SocketAddr, bool)>>,
    fastcgi: RefCell<Option<(Instant, Option<Probed>)>>,
    /// A probe is under way.
    probing: Cell<bool>,
    /// What the server at this address speaks. Asked beside the requests, for those that follow.
    spoken: Rc<RefCell<Option<Spoken>>>,
}

#[derive(Debug, Clone, Copy)]
struct Spoken {
    at: Instant,
    address: SocketAddr,
    protocol: Option<Protocol>,
}

/// What there is to know beside the failure. Takes the time of a probe at most.
pub async fn facts(looks: &Looks, pool: &Pool, failure: &Failure, attempt: &Attempt) -> Facts {
    let mut facts = Facts { in_flight: pool.in_flight(), ..Facts::default() };
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
            if !diagnose::is_stale(attempt) =>
        {
            let address = &attempt.server().address;
            if is_fastcgi(attempt) {
                facts.previous_death = lasted(attempt).and_then(|lasted| pool.note_death(lasted));
            }
            let silent = attempt.bytes_received == 0;
            if silent && (is_fastcgi(attempt) || diagnose::looks_like_fastcgi(address)) {
                facts.fastcgi = looks.fastcgi(attempt).await;
            } else if silent && attempt.server().scheme == Scheme::Http {
                facts.speaks = attempt.address.and_then(|address| looks.speaks(address));
            }
        }
        _ => {}
    }
    facts
}

fn is_fastcgi(attempt: &Attempt) -> bool {
    attempt.server().scheme == Scheme::FastCgi
}

fn lasted(attempt: &Attempt) -> Option<Duration> {
    let stamps = &attempt.stamps;
    Some(stamps.ended?.saturating_duration_since(stamps.connected?))
}

impl Looks {
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

    async fn fastcgi(&self, attempt: &Attempt) -> Option<Probed> {
        let known = *self.fastcgi.borrow();
        match known {
            Some((at, found)) if Instant::now() < at + FRESH => return found,
            _ if self.probing.get() => return None,
            _ => {}
        }
        let _probing = Probing::begin(&self.probing);
        let found = probe::fastcgi(&attempt.server().address, attempt.address).await;
        self.fastcgi.replace(Some((Instant::now(), found)));
        found
    }

    /// What was found lately; sees to it that somebody looks, where that was a while ago.
    fn speaks(&self, address: SocketAddr) -> Option<Protocol> {
        let now = Instant::now();
        let known = self.spoken.borrow().filter(|known| known.address == address);
        if known.is_none_or(|known| now >= known.at + FRESH) && is_private(address.ip()) {
            // Nobody else begins while this one is under way.
            let protocol = known.and_then(|known| known.protocol);
            self.spoken.replace(Some(Spoken { at: now, address, protocol }));
            let spoken = self.spoken.clone();
            tokio::task::spawn_local(async move {
                let protocol = probe::speaks(address).await.filter(|found| !is_http(*found));
                spoken.replace(Some(Spoken { at: Instant::now(), address, protocol }));
            });
        }
        known.filter(|known| now < known.at + SPOKEN)?.protocol
    }
}

fn is_http(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::Http | Protocol::Html | Protocol::Cgi)
}

/// A host of one's own: others are not asked things that no request needs.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// One probe under way; over when it is dropped, also with a client that left.
struct Probing<'a>(&'a Cell<bool>);

impl Probing<'_> {
    fn begin(flag: &Cell<bool>) -> Probing<'_> {
        flag.set(true);
        Probing(flag)
    }
}

impl Drop for Probing<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}
