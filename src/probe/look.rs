//! THE LOOK: everything that an operator would look up by hand, at once.
//!
//! Each lane is a thread, since a file system that hangs takes its thread with it. What has not
//! come in time is told as late, and a host that hangs costs a few threads a lane at most.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::config::{Server, ServerAddress, Upstream};
use crate::diagnose::around::{Around, Piece};
use crate::diagnose::{Code, Layout};
use crate::upstream;

use super::{bounds, changes, disks, helpers, host, logs, network, php, sockets, units};

/// What a page waits for a look at most; the questions to the server before it take 100 ms more, so
/// that both are there within 250 ms.
pub const DEADLINE: Duration = Duration::from_millis(150);
/// What comes later than the deadline is still taken for the next page, until then.
const LATEST: Duration = Duration::from_secs(3);

/// What is asked of this host.
#[derive(Debug, Clone)]
pub struct Question {
    /// The block, and which of its servers failed.
    pub upstream: Arc<Upstream>,
    pub server: usize,
    /// The address that was tried, if it has one.
    pub address: Option<SocketAddr>,
    /// The server is on this host.
    pub is_here: bool,
    pub code: Code,
    /// The first failure of the incident.
    pub since: SystemTime,
    /// The servers of every block, and our own sockets: none of them is proposed in another place.
    pub servers: Arc<[ServerAddress]>,
    /// Where we listen ourselves.
    pub listeners: Arc<[SocketAddr]>,
    pub layout: &'static Layout,
}

/// Threads of one lane at once: several upstreams may fail together.
const OUT_MAX: usize = 4;

/// One lane of the look: what it is called, what it does, and how many of its threads are out.
struct Lane {
    name: &'static str,
    run: fn(&Question) -> Piece,
    out: AtomicUsize,
}

/// What a lane brings; nothing where it panicked.
type Sender = mpsc::Sender<(&'static str, Option<Piece>)>;

const fn lane(name: &'static str, run: fn(&Question) -> Piece) -> Lane {
    Lane { name, run, out: AtomicUsize::new(0) }
}

/// Every lane.
static LANES: [Lane; 10] = [
    lane("sockets", sockets::lane),
    lane("bounds", bounds::lane),
    lane("host", host::lane),
    lane("disks", disks::lane),
    lane("network", network::lane),
    lane("units", units::lane),
    lane("php", php::lane),
    lane("helpers", helpers::lane),
    lane("logs", logs::lane),
    lane("changes", changes::lane),
];

/// Looks at this host, and gives what has come by the deadline to `tell`; and once more, when the
/// rest came later. Blocks for as long.
pub fn look(question: &Arc<Question>, deadline: Duration, tell: impl FnMut(Around)) {
    look_along(&LANES, question, deadline, tell);
}

fn look_along(
    lanes: &'static [Lane],
    question: &Arc<Question>,
    deadline: Duration,
    mut tell: impl FnMut(Around),
) {
    let (sender, pieces) = mpsc::channel();
    let mut around =
        Around { late: lanes.iter().map(|lane| lane.name).collect(), ..Around::default() };
    let started = Instant::now();
    let mut out = lanes.iter().filter(|lane| lane.start(question, &sender)).count();
    drop(sender);
    for limit in [deadline, LATEST.max(deadline)] {
        let mut news = limit == deadline;
        while out > 0 {
            let left = limit.saturating_sub(started.elapsed());
            let Ok((name, piece)) = pieces.recv_timeout(left) else { break };
            out -= 1;
            if let Some(piece) = piece {
                around.late.retain(|late| *late != name);
                around.put(piece);
                news = true;
            }
        }
        if news {
            tell(around.clone());
        }
        if out == 0 {
            break;
        }
    }
}

impl Lane {
    /// Whether it was started: not while too many of it are still out from before.
    fn start(&'static self, question: &Arc<Question>, sender: &Sender) -> bool {
        if self.out.fetch_add(1, Ordering::AcqRel) >= OUT_MAX {
            self.out.fetch_sub(1, Ordering::AcqRel);
            return false;
        }
        let (question, sender) = (question.clone(), sender.clone());
        let run = move || {
            // What a lane meets on this host must not take the others' results with it.
            let piece = catch_unwind(AssertUnwindSafe(|| (self.run)(&question))).ok();
            self.out.fetch_sub(1, Ordering::AcqRel);
            // Nobody may wait any more.
            let _ = sender.send((self.name, piece));
        };
        let started = thread::Builder::new().name(format!("look-{}", self.name)).spawn(run);
        if started.is_err() {
            self.out.fetch_sub(1, Ordering::AcqRel);
        }
        started.is_ok()
    }
}

impl Question {
    pub fn server(&self) -> &Server {
        &self.upstream.servers[self.server]
    }

    /// Whether a listener that was found is ours or another block's server.
    pub(super) fn is_taken(&self, found: &ServerAddress) -> bool {
        let ours = match found {
            ServerAddress::Ip(address) => upstream::prohibits(&self.listeners, *address),
            ServerAddress::Unix(_) | ServerAddress::Name { .. } => None,
        };
        ours.is_some() || self.servers.iter().any(|server| is_same(server, found))
    }

    /// One about a server of which nothing else is known.
    #[cfg(test)]
    pub fn about(server: Server) -> Question {
        Question {
            upstream: Arc::new(Upstream::new("test", vec![server])),
            server: 0,
            address: None,
            is_here: true,
            code: Code::ConnectionRefused,
            since: SystemTime::now(),
            servers: Arc::default(),
            listeners: Arc::default(),
            layout: super::layout(),
        }
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

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use crate::diagnose::around::{Host, Units};

    use super::*;

    /// What the lanes of a test hang at.
    static GATE: Mutex<()> = Mutex::new(());
    static HANGING: [Lane; 2] = [
        lane("host", |_| {
            drop(gate());
            Piece::Host(Host::default())
        }),
        lane("units", |_| {
            drop(gate());
            Piece::Units(Units::default())
        }),
    ];

    fn gate() -> MutexGuard<'static, ()> {
        GATE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn question() -> Arc<Question> {
        let address = ServerAddress::Unix("/run/nobody.sock".into());
        Arc::new(Question::about(Server { scheme: crate::config::Scheme::Http, address }))
    }

    #[test]
    fn what_hangs_is_told_as_late_and_not_waited_for() {
        let mut closed = Some(gate());
        let out = || HANGING.iter().map(|lane| lane.out.load(Ordering::Acquire)).sum::<usize>();
        let mut told = Vec::new();
        look_along(&HANGING, &question(), DEADLINE, |around| {
            told.push((around.late, out()));
            // They go on only now that the page has what there is.
            drop(closed.take());
        });
        let first = (vec!["host", "units"], HANGING.len());
        assert_eq!(told, [first, (Vec::new(), 0)]);
    }

    #[test]
    fn a_host_that_hangs_costs_a_few_threads_a_lane() {
        let closed = gate();
        static LANE: [Lane; 1] = [lane("host", |_| {
            drop(gate());
            Piece::Host(Host::default())
        })];
        let (sender, pieces) = mpsc::channel();
        let started = (0..OUT_MAX * 3).filter(|_| LANE[0].start(&question(), &sender)).count();
        assert_eq!(started, OUT_MAX);
        drop((sender, closed));
        assert_eq!(pieces.iter().count(), OUT_MAX);
        assert_eq!(LANE[0].out.load(Ordering::Acquire), 0);
    }

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
