//! The look around on this host once a request has failed: what the operator would look up by hand.
//! It finds the root, ranks fixes and names ports; no cause depends on it.
//!
//! For all workers together: one look at an upstream at a time, on threads of its own, none sooner
//! than a rest after the one before, which grows while the same failure goes on. An operator waits
//! for it, since the page is to show him its result (150 ms at most); a visitor never does.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;

use crate::clock;
use crate::config::{Config, ServerAddress, Upstream};
use crate::diagnose::around::Traffic;
use crate::diagnose::{self, Around, Blame, Code, Rooted, entry};
use crate::probe;
use crate::upstream::Shared;

use super::pulse::Pulse;
use super::traffic::Witness;

/// From the end of one look to the beginning of the next: at first, and at last for requests that
/// nobody waits for.
const REST: Duration = Duration::from_secs(2);
const REST_MAX: Duration = Duration::from_secs(30);
/// How long what was found counts.
const COUNTS: Duration = Duration::from_secs(45);
/// How long an operator waits, should the look itself not keep its deadline.
const PATIENCE: Duration = Duration::from_millis(200);
/// Results that are kept: an upstream has few servers, and each fails in few ways at a time.
const FOUND_MAX: usize = 16;

/// What is known of the surroundings of one upstream.
#[derive(Debug)]
pub struct Surroundings {
    upstream: Arc<Upstream>,
    /// Its position in the configuration.
    number: usize,
    shared: Arc<Shared>,
    pulse: Arc<Pulse>,
    witness: Arc<Witness>,
    /// The servers of every block, and where we listen.
    servers: Arc<[ServerAddress]>,
    /// Where we listen ourselves.
    listeners: Arc<[SocketAddr]>,
    state: Mutex<State>,
    /// Counts what was found, for those who wait.
    news: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    busy: Option<Wanted>,
    last: Option<(Wanted, Instant)>,
    rest: Duration,
    /// The look that is under way has found something: what is still to come is for later pages.
    has_told: bool,
    /// The latest at the end.
    found: Vec<(Instant, Wanted, Arc<Known>)>,
}

/// What one look has found, and what it shows to lie behind the failure.
#[derive(Debug)]
pub struct Known {
    pub around: Arc<Around>,
    behind: Behind,
    /// The same for requests for which nobody was left to be asked.
    none_left: Behind,
}

/// What lies behind a failure, by one look.
#[derive(Debug, Default)]
struct Behind {
    root: OnceLock<Option<Rooted>>,
    /// The failure's incident has taken it over.
    is_kept: AtomicBool,
}

impl Known {
    fn of(around: Around) -> Arc<Known> {
        Arc::new(Known {
            around: Arc::new(around),
            behind: Behind::default(),
            none_left: Behind::default(),
        })
    }

    /// What lies behind the failure, decided by the first request that has it of this look.
    pub fn root(&self, code: Code, decide: impl FnOnce() -> Option<Rooted>) -> Option<&Rooted> {
        self.behind(code).root.get_or_init(decide).as_ref()
    }

    /// Whether the incident of the failure, which is open, has not taken over what this look has
    /// found; who is told so has it do that.
    pub fn is_news(&self, code: Code) -> bool {
        let is_kept = &self.behind(code).is_kept;
        !is_kept.load(Ordering::Relaxed) && !is_kept.swap(true, Ordering::Relaxed)
    }

    fn behind(&self, code: Code) -> &Behind {
        match code == Code::NoHealthyUpstream {
            true => &self.none_left,
            false => &self.behind,
        }
    }
}

/// A failure whose surroundings are looked at.
#[derive(Debug, Clone, Copy)]
pub struct Subject {
    pub code: Code,
    /// The server's position.
    pub server: usize,
    /// The address that was tried, if one was.
    pub address: Option<SocketAddr>,
    /// When its incident was opened, where one is open.
    pub since: Option<SystemTime>,
}

impl Subject {
    fn wanted(&self) -> Wanted {
        Wanted { server: self.server, code: self.code }
    }
}

impl State {
    fn is_awaited(&self, wanted: Wanted) -> bool {
        self.busy == Some(wanted) && !self.has_told
    }
}

/// One server, and how it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wanted {
    server: usize,
    code: Code,
}

impl Surroundings {
    /// Those of each upstream; `listeners` are our own, `known` what else is known of each.
    pub fn of<'k>(
        config: &Config,
        listeners: &Arc<[SocketAddr]>,
        known: impl Iterator<Item = (&'k Arc<Shared>, &'k Arc<Pulse>)>,
        witness: &Arc<Witness>,
    ) -> Vec<Arc<Surroundings>> {
        let servers = config.upstreams.iter().flat_map(|block| &block.servers);
        let servers = servers.map(|server| server.address.clone());
        let servers: Arc<[ServerAddress]> = servers.chain(config.own_addresses()).collect();
        type Known<'k> = (&'k Arc<Shared>, &'k Arc<Pulse>);
        let of = |(number, (upstream, (shared, pulse))): (usize, (&Arc<Upstream>, Known<'_>))| {
            Arc::new(Surroundings {
                upstream: upstream.clone(),
                number,
                shared: shared.clone(),
                pulse: pulse.clone(),
                witness: witness.clone(),
                servers: servers.clone(),
                listeners: listeners.clone(),
                state: Mutex::new(State {
                    busy: None,
                    last: None,
                    rest: REST,
                    has_told: false,
                    found: Vec::new(),
                }),
                news: watch::Sender::new(0),
            })
        };
        config.upstreams.iter().zip(known).enumerate().map(of).collect()
    }

    /// What is known of a failure; looks, unless that was done a moment ago.
    pub async fn look(
        self: &Arc<Surroundings>,
        subject: Subject,
        waits: bool,
    ) -> Option<Arc<Known>> {
        let mut news = waits.then(|| self.news.subscribe());
        let wanted = subject.wanted();
        self.begin(&subject, waits);
        if let Some(news) = &mut news
            && self.state().is_awaited(wanted)
        {
            // Who waits longer goes without.
            let _ = clock::within(PATIENCE, news.changed()).await;
        }
        self.known(wanted)
    }

    /// The same for who does not wait.
    pub fn glance(self: &Arc<Surroundings>, subject: Subject) -> Option<Arc<Known>> {
        self.begin(&subject, false);
        self.known(subject.wanted())
    }

    fn begin(self: &Arc<Surroundings>, subject: &Subject, waits: bool) {
        let is_ours = entry(subject.code).blame != Blame::Client;
        if is_ours && self.take_turn(subject.wanted(), waits) {
            self.start(subject);
        }
    }

    /// What was found, if that was lately enough to count.
    fn known(&self, wanted: Wanted) -> Option<Arc<Known>> {
        let state = self.state();
        let (at, _, known) = state.found.iter().find(|(_, of, _)| *of == wanted)?;
        (at.elapsed() < COUNTS).then(|| known.clone())
    }

    /// Whether a look is due; who is told so takes it.
    fn take_turn(&self, wanted: Wanted, waits: bool) -> bool {
        let mut state = self.state();
        if state.busy.is_some() {
            return false;
        }
        let goes_on = state.last.filter(|(last, _)| *last == wanted);
        match goes_on {
            Some((_, ended)) => {
                let rest = if waits { REST } else { state.rest };
                if ended.elapsed() < rest {
                    return false;
                }
                state.rest = (state.rest * 2).min(REST_MAX);
            }
            None if state.last.is_some_and(|(_, ended)| ended.elapsed() < REST / 4) => {
                return false;
            }
            None => state.rest = REST,
        }
        (state.busy, state.has_told) = (Some(wanted), false);
        true
    }

    fn start(self: &Arc<Surroundings>, subject: &Subject) {
        let question = Arc::new(probe::Question {
            upstream: self.upstream.clone(),
            server: subject.server,
            address: subject.address,
            is_here: is_here(&self.upstream.servers[subject.server].address, subject.address),
            code: subject.code,
            since: subject.since.unwrap_or_else(SystemTime::now),
            servers: self.servers.clone(),
            listeners: self.listeners.clone(),
            layout: probe::layout(),
        });
        let turn = self.turn(subject.wanted());
        if diagnose::is_of_load(subject.code) {
            self.witness.call();
        }
        let look = move || {
            probe::look(&question, probe::DEADLINE, |around| turn.note(around));
        };
        // Without a thread to be had, the turn is given back as it is dropped.
        let _ = thread::Builder::new().name("look".to_owned()).spawn(look);
    }

    fn turn(self: &Arc<Surroundings>, wanted: Wanted) -> Turn {
        let before = self.known(wanted).map(|known| known.around.clone());
        Turn { surroundings: self.clone(), wanted, before }
    }

    /// What we know ourselves; blocks while the roll is called.
    fn traffic(&self, code: Code) -> Traffic {
        let mut traffic = self.witness.traffic(&self.upstream.name);
        traffic.in_flight_total = self.shared.in_flight() as u64 + self.shared.waiting() as u64;
        let (last_success, failures) = self.pulse.record();
        (traffic.last_success, traffic.failures) = (last_success, Some(failures));
        if diagnose::is_of_load(code) {
            traffic.take_in_flight(self.witness.gather(self.number));
        }
        traffic
    }

    /// A panic of one that held it leaves it whole: each change is one assignment.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to look; given back when dropped, however the look ends.
#[derive(Debug)]
struct Turn {
    surroundings: Arc<Surroundings>,
    wanted: Wanted,
    /// What the look before this one has found, where that still counts.
    before: Option<Arc<Around>>,
}

impl Turn {
    fn note(&self, mut around: Around) {
        around.traffic = self.surroundings.traffic(self.wanted.code);
        if let Some(before) = &self.before {
            around.fill(before);
        }
        let mut state = self.surroundings.state();
        state.found.retain(|(_, of, _)| *of != self.wanted);
        if state.found.len() == FOUND_MAX {
            state.found.remove(0);
        }
        state.has_told = true;
        state.found.push((Instant::now(), self.wanted, Known::of(around)));
        drop(state);
        self.surroundings.news.send_modify(|count| *count += 1);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.surroundings.state();
        state.busy = None;
        state.last = Some((self.wanted, Instant::now()));
    }
}

/// Whether the server is on this host.
pub fn is_here(server: &ServerAddress, address: Option<SocketAddr>) -> bool {
    match (server, address) {
        (ServerAddress::Unix(_), _) => true,
        (ServerAddress::Ip(address), _) => probe::is_here(*address),
        (ServerAddress::Name { .. }, address) => address.is_some_and(probe::is_here),
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use crate::config::{AccessLog, Scheme, Server};
    use crate::diagnose::around::{Need, Seen, Units};
    use crate::diagnose::{Certainty, Root};
    use crate::telemetry::{AccessWriter, Metrics};

    use super::*;

    const REFUSED: Wanted = Wanted { server: 0, code: Code::ConnectionRefused };

    fn surroundings() -> Arc<Surroundings> {
        let address = ServerAddress::Unix("/run/nobody.sock".into());
        let server = Server { scheme: Scheme::Http, address };
        let block = Arc::new(Upstream::new("shop", vec![server]));
        let config = Config { upstreams: vec![block], ..Config::default() };
        let shared =
            Arc::new(Shared::new(config.upstreams[0].clone(), Arc::default(), Arc::default()));
        let metrics = Arc::new(Metrics::new(Vec::new(), 1));
        let writer = AccessWriter::start(&AccessLog::Off, Arc::default()).unwrap();
        let witness = Arc::new(Witness::new(&config, metrics, writer));
        let pulse = Arc::default();
        let known = [(&shared, &pulse)];
        Surroundings::of(&config, &Arc::default(), known.into_iter(), &witness).remove(0)
    }

    fn ended_before(surroundings: &Surroundings, ago: Duration) {
        let mut state = surroundings.state();
        state.busy = None;
        state.last = Instant::now().checked_sub(ago).map(|at| (REFUSED, at));
    }

    #[test]
    fn one_looks_at_a_time_and_ever_less_often_while_nothing_changes() {
        let surroundings = surroundings();
        assert!(surroundings.take_turn(REFUSED, false));
        assert!(!surroundings.take_turn(REFUSED, true), "somebody looks");
        ended_before(&surroundings, Duration::ZERO);
        assert!(!surroundings.take_turn(REFUSED, true), "somebody did a moment ago");
        ended_before(&surroundings, REST);
        assert!(surroundings.take_turn(REFUSED, false));
        ended_before(&surroundings, REST);
        assert!(!surroundings.take_turn(REFUSED, false), "the rest grows");
        assert!(surroundings.take_turn(REFUSED, true), "but for who waits");
        let other = Wanted { code: Code::ConnectTimeout, ..REFUSED };
        ended_before(&surroundings, REST);
        assert!(surroundings.take_turn(other, false), "it fails in another way");
        assert_eq!(surroundings.state().rest, REST);
    }

    #[test]
    fn what_was_found_is_that_of_its_failure_and_a_turn_is_given_back() {
        let surroundings = surroundings();
        assert!(surroundings.take_turn(REFUSED, false));
        let turn = surroundings.turn(REFUSED);
        turn.note(Around::default());
        assert!(surroundings.known(REFUSED).is_some());
        assert!(surroundings.known(Wanted { server: 1, ..REFUSED }).is_none());
        drop(turn);
        assert_eq!(surroundings.state().busy, None);
    }

    /// Whatever hangs on this host hangs the look: its turn is taken, and it tells nothing.
    #[test]
    fn an_operator_is_woken_by_the_look_and_a_visitor_never_waits_for_it() {
        let surroundings = surroundings();
        assert!(surroundings.take_turn(REFUSED, true));
        let hanging = surroundings.turn(REFUSED);
        let Wanted { server, code } = REFUSED;
        let subject = Subject { code, server, address: None, since: None };
        let mut context = Context::from_waker(Waker::noop());
        let mut first_poll = |waits| {
            let mut look = Box::pin(surroundings.look(subject, waits));
            let polled = look.as_mut().poll(&mut context);
            (polled.map(|known| known.is_some()), look)
        };
        let (visitor, _) = first_poll(false);
        assert_eq!(visitor, Poll::Ready(false), "a visitor's page goes out at once");
        assert!(surroundings.glance(subject).is_none());
        let (operator, mut look) = first_poll(true);
        assert_eq!(operator, Poll::Pending);
        // No clock ticks here: it is the look itself that ends the wait, not its limit.
        hanging.note(Around { late: vec!["units"], ..Around::default() });
        let woken = look.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(woken, Poll::Ready(Some(_))));
        drop(look);
        // The rest of it is for the next page.
        let (operator, _) = first_poll(true);
        assert_eq!(operator, Poll::Ready(true));
    }

    fn rooted(root: Root) -> Option<Rooted> {
        Some(Rooted { root, certainty: Certainty::Likely, because: Vec::new() })
    }

    #[test]
    fn a_later_look_decides_anew_what_lies_behind_it() {
        let surroundings = surroundings();
        let codes = [REFUSED.code, Code::NoHealthyUpstream];
        for (root, other) in
            [(Root::ServiceStopped, Root::ServiceMasked), (Root::WrongPort, Root::DiskFull)]
        {
            surroundings.turn(REFUSED).note(Around::default());
            let known = surroundings.known(REFUSED).unwrap();
            for (code, root) in codes.into_iter().zip([root, other]) {
                let first = known.root(code, || rooted(root)).unwrap();
                assert_eq!(first.root, root);
                let kept = known.root(code, || panic!("it is decided"));
                assert_eq!(kept.unwrap().root, root);
                assert!(known.is_news(code), "no incident has it");
                assert!(!known.is_news(code), "one has");
            }
        }
    }

    #[test]
    fn what_is_late_is_that_of_the_look_before_and_of_none_before_that() {
        let surroundings = surroundings();
        let units = Units { server: Seen::Denied(Need::Bus) };
        surroundings.turn(REFUSED).note(Around { units: units.clone(), ..Around::default() });
        let late = || Around { late: vec!["units"], ..Around::default() };
        let seen = || surroundings.known(REFUSED).unwrap().around.clone();
        let second = surroundings.turn(REFUSED);
        // A look tells twice where a lane comes later than the page waits.
        for _ in 0..2 {
            second.note(late());
            assert_eq!((&seen().units, &seen().late), (&units, &Vec::new()));
        }
        drop(second);
        surroundings.turn(REFUSED).note(late());
        assert_eq!((&seen().units, &seen().late), (&Units::default(), &vec!["units"]));
    }
}
