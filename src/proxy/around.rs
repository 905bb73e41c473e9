//! The look around on this host once a request has failed: who listens elsewhere, what memory is
//! left. It ranks fixes and names ports; no cause depends on it.
//!
//! On a thread of its own, beside the requests, once in two seconds at most, and only where the
//! server is on this host. An operator waits for it, since the page is to show him its result (100
//! ms at most); a visitor never does.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::{spawn_blocking, spawn_local};

use crate::clock;
use crate::config::{Config, ServerAddress};
use crate::diagnose::{Around, Code, probe};
use crate::upstream::{Attempt, Pool};

/// From the end of one look to the beginning of the next.
const REST: Duration = Duration::from_secs(2);
/// How long what was found counts.
const COUNTS: Duration = Duration::from_secs(10);
/// How long an operator waits.
const PATIENCE: Duration = Duration::from_millis(100);

/// What to look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Elsewhere,
    Capacity,
}

/// What one worker has found around one upstream.
#[derive(Debug, Default)]
pub struct Surroundings(Rc<RefCell<State>>);

#[derive(Debug, Default)]
struct State {
    busy: bool,
    last: Option<Instant>,
    /// Of the server with this position.
    found: Option<(Instant, Wanted, usize, Rc<Around>)>,
}

impl Surroundings {
    /// What is known for this failure; looks, unless that was done a moment ago.
    pub async fn look(
        &self,
        code: Code,
        attempt: &Attempt,
        pool: &Rc<Pool>,
        waits: bool,
        config: &Config,
    ) -> Option<Rc<Around>> {
        let wanted = wanted(code)?;
        let server = attempt.server;
        if self.may_look() {
            if is_here(attempt) {
                let looking = self.start(wanted, attempt, pool, config);
                if waits {
                    // Who waits longer, or meets a look that panicked, goes without.
                    let _ = clock::within(PATIENCE, looking).await;
                }
            } else {
                // To find that out costs something, too.
                self.0.borrow_mut().last = Some(Instant::now());
            }
        }
        let state = self.0.borrow();
        let (at, _, _, around) =
            state.found.as_ref().filter(|(_, of, whose, _)| (*of, *whose) == (wanted, server))?;
        (at.elapsed() < COUNTS).then(|| around.clone())
    }

    fn may_look(&self) -> bool {
        let state = self.0.borrow();
        !state.busy && state.last.is_none_or(|last| last.elapsed() >= REST)
    }

    fn start(
        &self,
        wanted: Wanted,
        attempt: &Attempt,
        pool: &Rc<Pool>,
        config: &Config,
    ) -> impl Future<Output = Result<(), tokio::task::JoinError>> + use<> {
        self.0.borrow_mut().busy = true;
        let (server, address, position) =
            (attempt.server().clone(), attempt.address, attempt.server);
        let looking = spawn_blocking(move || match wanted {
            Wanted::Elsewhere => probe::elsewhere(&server),
            Wanted::Capacity => probe::capacity(&server.address, address),
        });
        let (state, pool) = (self.0.clone(), pool.clone());
        // What another block is in front of is not this one's.
        let servers = config.upstreams.iter().flat_map(|block| &block.servers);
        let taken: Vec<_> = servers.map(|server| server.address.clone()).collect();
        spawn_local(async move {
            let around = looking.await;
            let mut state = state.borrow_mut();
            (state.busy, state.last) = (false, Some(Instant::now()));
            if let Ok(mut around) = around {
                around.leave_out(|found| {
                    let prohibited = match found {
                        ServerAddress::Ip(address) => pool.prohibits(*address).is_some(),
                        ServerAddress::Unix(_) | ServerAddress::Name { .. } => false,
                    };
                    prohibited || taken.iter().any(|server| is_same(server, found))
                });
                state.found = Some((Instant::now(), wanted, position, Rc::new(around)));
            }
        })
    }
}

/// Whether a listener that was found is what a server of the configuration names.
fn is_same(server: &ServerAddress, found: &ServerAddress) -> bool {
    match (server, found) {
        (ServerAddress::Unix(path), ServerAddress::Unix(found)) => path == found,
        (ServerAddress::Ip(address), ServerAddress::Ip(found)) => {
            // One at another address or family of the same port is a near miss, not the same.
            let all = found.ip().is_unspecified() && address.is_ipv4() == found.is_ipv4();
            address.port() == found.port() && (address.ip() == found.ip() || all)
        }
        (ServerAddress::Name { host, port }, ServerAddress::Ip(found)) => {
            *port == found.port() && host.eq_ignore_ascii_case("localhost")
        }
        (ServerAddress::Unix(_), ServerAddress::Ip(_))
        | (ServerAddress::Ip(_) | ServerAddress::Name { .. }, ServerAddress::Unix(_))
        | (_, ServerAddress::Name { .. }) => false,
    }
}

/// Whether the server is on this host.
pub fn is_here(attempt: &Attempt) -> bool {
    match (&attempt.server().address, attempt.address) {
        (ServerAddress::Unix(_), _) => true,
        (ServerAddress::Ip(address), _) => probe::is_here(*address),
        (ServerAddress::Name { .. }, address) => address.is_some_and(probe::is_here),
    }
}

/// What this host could tell about a cause.
fn wanted(code: Code) -> Option<Wanted> {
    use Code as C;
    const ELSEWHERE: [Code; 3] = [C::ConnectionRefused, C::UnixSocketMissing, C::UnixSocketRefused];
    const CAPACITY: [Code; 11] = [
        C::UnixSocketBacklogFull,
        C::ConnectTimeout,
        C::FirstByteTimeout,
        C::HeaderStallTimeout,
        C::ClosedBeforeResponse,
        C::ResetBeforeResponse,
        C::FcgiPoolSaturated,
        C::FcgiRejected,
        C::FcgiWorkerDied,
        C::FcgiWorkerDiedMidResponse,
        C::LocalOutOfMemory,
    ];
    if ELSEWHERE.contains(&code) {
        Some(Wanted::Elsewhere)
    } else {
        CAPACITY.contains(&code).then_some(Wanted::Capacity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_block_names_is_not_proposed_but_a_near_miss_is() {
        let ip = |text: &str| ServerAddress::Ip(text.parse().unwrap());
        let unix = |path: &str| ServerAddress::Unix(path.into());
        let name = |host: &str| ServerAddress::Name { host: host.to_owned(), port: 80 };
        for (server, found, same) in [
            (ip("127.0.0.1:80"), ip("127.0.0.1:80"), true),
            (ip("127.0.0.1:80"), ip("0.0.0.0:80"), true),
            (ip("127.0.0.1:80"), ip("[::]:80"), false),
            (ip("127.0.0.1:80"), ip("[::1]:80"), false),
            (ip("127.0.0.1:80"), ip("192.0.2.1:80"), false),
            (ip("127.0.0.1:80"), ip("127.0.0.1:81"), false),
            (name("localhost"), ip("127.0.0.1:80"), true),
            (name("backend.example"), ip("127.0.0.1:80"), false),
            (unix("/run/a.sock"), unix("/run/a.sock"), true),
            (unix("/run/a.sock"), unix("/run/b.sock"), false),
            (unix("/run/a.sock"), ip("127.0.0.1:80"), false),
        ] {
            assert_eq!(is_same(&server, &found), same, "{server:?} {found:?}");
        }
    }
}
