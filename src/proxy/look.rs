//! When a failure is worth a look at the host, and how often: once a second an upstream, one at a
//! time, never while requests succeed.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use crate::config::Scheme;
use crate::diagnose::{self, Facts, Probed, Queue, probe};
use crate::upstream::{Attempt, Failure, HeadFailure, Pool, SendFailure};

/// How long what was found answers for the failures that follow.
const FRESH: Duration = Duration::from_secs(1);

/// What one worker has found out about one upstream.
#[derive(Debug, Default)]
pub struct Looks {
    /// Of the server with this position.
    queue: RefCell<Option<(Instant, usize, Option<Queue>)>>,
    fastcgi: RefCell<Option<(Instant, Option<Probed>)>>,
    /// A probe is under way.
    probing: Cell<bool>,
}

/// What there is to know beside the failure. Takes the time of a probe at most.
pub async fn facts(looks: &Looks, pool: &Pool, failure: &Failure, attempt: &Attempt) -> Facts {
    let mut facts = Facts { in_flight: pool.in_flight(), ..Facts::default() };
    match failure {
        Failure::Head(HeadFailure::TimedOut) if is_fastcgi(attempt) => {
            facts.queue = looks.queue(attempt);
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
