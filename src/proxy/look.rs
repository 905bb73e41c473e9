//! When a failure is worth a look at the host, and how often: once a second an upstream, one at a
//! time, never while requests succeed.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::config::{Probe, Scheme, ServerAddress};
use crate::diagnose::{self, Code, Facts, Probed, Protocol, Queue, probe};
use crate::upstream::{Attempt, ConnectFailure, Failure, HeadFailure, Pool, SendFailure};

/// How long what was found answers for the failures that follow.
const FRESH: Duration = Duration::from_secs(1);
/// How long the answer to a FastCGI question counts: a pool may be mended at any time.
const ANSWERED: Duration = Duration::from_secs(3);
/// How long a protocol that a server was found to speak answers for failures of its kind.
const SPOKEN: Duration = Duration::from_secs(10);

/// What one worker has found out about one upstream.
#[derive(Debug, Default)]
pub struct Looks {
    /// Of the server with this position.
    queue: RefCell<Option<(Instant, usize, Option<Queue>)>>,
    neighbor: Cell<Option<(Instant, SocketAddr, bool)>>,
    /// The last failure of each server that could not be reached.
    unreached: RefCell<Vec<(usize, Code, Instant)>>,
    fastcgi: Watch<Probed>,
    speaks: Watch<Protocol>,
}

/// A question to a server that is asked beside the requests, and the last answer: one at a time,
/// and none sooner than [`FRESH`] after the one before.
#[derive(Debug)]
struct Watch<T: Copy>(Rc<Cell<Option<Seen<T>>>>);

#[derive(Debug, Clone, Copy)]
struct Seen<T> {
    at: Instant,
    of: Asked,
    found: Option<T>,
}

/// The server's position, and the address where it has one.
type Asked = (usize, Option<SocketAddr>);

/// What there is to know beside the failure. An operator waits for a probe, since the page is to
/// show him what it finds (100 ms at most, once a second); a visitor never does, nor does a request
/// that is tried again, and both are told what the last one found.
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
            if !diagnose::is_stale(attempt) =>
        {
            let address = &attempt.server().address;
            if is_fastcgi(attempt) {
                facts.previous_death = lasted(attempt).and_then(|lasted| pool.note_death(lasted));
            }
            let silent = attempt.bytes_received == 0 && may_be_asked(attempt);
            let of = (attempt.server, attempt.address);
            if silent && (is_fastcgi(attempt) || diagnose::looks_like_fastcgi(address)) {
                let (server, at) = (address.clone(), attempt.address);
                let look = async move { probe::fastcgi(&server, at).await };
                let looking = looks.fastcgi.look(of, look).filter(|_| waits);
                if let Some(looking) = looking {
                    // A look that panicked found nothing.
                    let _ = looking.await;
                }
                facts.fastcgi = looks.fastcgi.known(of, ANSWERED);
            } else if silent && attempt.server().scheme == Scheme::Http {
                facts.speaks = looks.speaks(of);
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

    /// What was found lately; sees to it that somebody looks, where that was a while ago.
    fn speaks(&self, of: Asked) -> Option<Protocol> {
        let address = of.1?;
        let look = async move { probe::speaks(address).await.filter(|found| !is_http(*found)) };
        self.speaks.look(of, look);
        self.speaks.known(of, SPOKEN)
    }
}

impl<T: Copy> Default for Watch<T> {
    fn default() -> Watch<T> {
        Watch(Rc::default())
    }
}

impl<T: Copy + 'static> Watch<T> {
    /// Looks, unless somebody does or did a moment ago. Goes on when nobody waits for it.
    fn look(
        &self,
        of: Asked,
        look: impl Future<Output = Option<T>> + 'static,
    ) -> Option<JoinHandle<()>> {
        let now = Instant::now();
        let last = self.0.get();
        if last.is_some_and(|last| now < last.at + FRESH) {
            return None;
        }
        // Nobody else begins while this one is under way; what is known stays so until then.
        let found = last.filter(|last| last.of == of).and_then(|last| last.found);
        self.0.set(Some(Seen { at: now, of, found }));
        let seen = self.0.clone();
        Some(tokio::task::spawn_local(async move {
            let found = look.await;
            seen.set(Some(Seen { at: Instant::now(), of, found }));
        }))
    }

    /// What was found of this server no longer ago than this.
    fn known(&self, of: Asked, limit: Duration) -> Option<T> {
        let seen = self.0.get().filter(|seen| seen.of == of)?;
        seen.found.filter(|_| Instant::now() < seen.at + limit)
    }
}

fn is_http(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::Http | Protocol::Html | Protocol::Cgi)
}

/// Whether a connection may be opened that no request needs.
fn may_be_asked(attempt: &Attempt) -> bool {
    match (attempt.upstream.probe, &attempt.server().address, attempt.address) {
        (Probe::Always, _, _) => true,
        (Probe::Never, _, _) => false,
        (Probe::Private, ServerAddress::Unix(_), _) => true,
        (Probe::Private, _, address) => address.is_some_and(|address| is_private(address.ip())),
    }
}

/// This host, or one of one's own: RFC 1918, RFC 4193, and what reaches no further than the link.
fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(ip) => {
            ip.is_unspecified() || ip.is_loopback() || ip.is_private() || ip.is_link_local()
        }
        IpAddr::V6(ip) => {
            ip.is_unspecified()
                || ip.is_loopback()
                || ip.is_unique_local()
                || ip.is_unicast_link_local()
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Server, Upstream};

    use super::*;

    #[test]
    fn servers_of_others_are_asked_only_where_that_is_wished() {
        for (server, reached, private) in [
            ("127.0.0.1:80", Some("127.0.0.1:80"), true),
            ("[::1]:80", Some("[::1]:80"), true),
            ("0.0.0.0:80", Some("0.0.0.0:80"), true),
            ("app:80", Some("10.1.2.3:80"), true),
            ("app:80", Some("172.31.0.1:80"), true),
            ("app:80", Some("[fd00::7]:80"), true),
            ("app:80", Some("[::ffff:192.168.0.1]:80"), true),
            ("app:80", Some("169.254.1.1:80"), true),
            ("app:80", None, false),
            ("app:80", Some("172.32.0.1:80"), false),
            ("app:80", Some("[2001:db8::7]:80"), false),
            ("203.0.113.7:80", Some("203.0.113.7:80"), false),
            ("/run/php/fpm.sock", None, true),
        ] {
            let address = match (server.parse(), server) {
                (Ok(address), _) => ServerAddress::Ip(address),
                (Err(_), "app:80") => ServerAddress::Name { host: "app".to_owned(), port: 80 },
                (Err(_), path) => ServerAddress::Unix(path.into()),
            };
            let server = Server { scheme: Scheme::Http, address };
            for (probe, expected) in
                [(Probe::Private, private), (Probe::Always, true), (Probe::Never, false)]
            {
                let upstream = Upstream { probe, ..Upstream::new("shop", vec![server.clone()]) };
                let mut attempt = Attempt::new(Rc::new(upstream), 0, Instant::now());
                attempt.address = reached.map(|reached| reached.parse().unwrap());
                assert_eq!(may_be_asked(&attempt), expected, "{probe:?} {server} {reached:?}");
            }
        }
    }
}
