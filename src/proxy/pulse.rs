//! The pulse of an upstream: when it last answered, and since when it does not.
//!
//! For all workers together, so that a page can say whether others are served. A good answer costs
//! a comparison; ten times a second it costs a store.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::clock;
use crate::diagnose::{Code, Standing};
use crate::telemetry::Incidents;

use super::alarm::{Alarm, First, Moment};
use super::cases::Cases;

/// Between two failures with good answers in between: others are served.
const MIXED_MS: u64 = 30_000;
/// Between two failures without a word in between: after longer, nobody knows what was.
const SILENCE_MS: u64 = 10 * 60_000;
/// Of the good answers of one tick the first alone is noted, so one may be as much younger.
const BLUR_MS: u64 = 2 * clock::TICK.as_millis() as u64;

/// What all workers know of one upstream. Times are milliseconds since the epoch; 0 is never.
#[derive(Debug, Default)]
pub struct Pulse {
    worked: AtomicU64,
    /// The first time that it was not reached, since it last answered.
    failing_since: AtomicU64,
    last_unreached: AtomicU64,
    last_failure: AtomicU64,
    alarm: Alarm,
    cases: Cases,
    /// A server took a request, and failed with it.
    reached: AtomicU64,
    /// The first time that no server took one, since one last did; and the last.
    unreached_since: AtomicU64,
    last_unreached_server: AtomicU64,
}

/// One worker's hand on it.
#[derive(Debug)]
pub struct Finger {
    pulse: Arc<Pulse>,
    /// The tick of the last good answer that was noted.
    noted: Cell<Option<Instant>>,
}

impl Finger {
    pub fn new(pulse: Arc<Pulse>) -> Finger {
        Finger { pulse, noted: Cell::new(None) }
    }

    /// The upstream gave an answer that is no failure.
    pub fn worked(&self) {
        let tick = Some(clock::now());
        if self.noted.get() != tick {
            self.noted.set(tick);
            self.pulse.worked.store(milliseconds(SystemTime::now()), Ordering::Relaxed);
        }
    }

    /// A request reached one of its servers, and failed there.
    pub fn reached(&self, now: SystemTime) {
        self.pulse.reached.store(milliseconds(now), Ordering::Relaxed);
    }

    /// A request reached none of its servers.
    pub fn unreached(&self, now: SystemTime) {
        self.pulse.unreached(milliseconds(now));
    }

    /// A request to it failed; how it stood until then. `for_all`: whoever asked would have failed
    /// with it, since the upstream was not reached.
    pub fn failed(&self, now: SystemTime, for_all: bool) -> Standing {
        self.pulse.failed(milliseconds(now), for_all)
    }

    /// A request that failed is over; the operator is told of its kind.
    pub fn alarm(&self, code: Code, first: impl FnOnce() -> First) {
        self.pulse.alarm.count(code, first);
    }

    /// Its incidents that are open.
    pub fn cases(&self) -> &Cases {
        &self.pulse.cases
    }

    /// Tells the operator what is due, and closes incidents; `upstream` is the name of the block,
    /// empty for the requests that come to none.
    pub fn tick(&self, upstream: &str, incidents: &Incidents) {
        let worked = (!upstream.is_empty()).then(|| self.pulse.worked.load(Ordering::Relaxed));
        self.pulse.alarm.tick(upstream, moment, worked.map(time_of));
        self.pulse.cases.tick(incidents, || milliseconds(SystemTime::now()), worked);
    }
}

impl Pulse {
    /// Tells the operator what is left to tell, at the end.
    pub fn close(&self, upstream: &str, incidents: &Incidents) {
        self.alarm.close(upstream, moment());
        self.cases.end(incidents, milliseconds(SystemTime::now()));
    }

    /// Since when no request has reached a server; `None` while the last one did, or none came.
    pub fn unreached_since(&self) -> Option<SystemTime> {
        let last = self.last_unreached_server.load(Ordering::Relaxed);
        let since = self.unreached_since.load(Ordering::Relaxed);
        // Good answers too close to it cannot be told apart from those before.
        let fails = last != 0 && self.last_reached() + BLUR_MS < last;
        fails.then(|| time(since))
    }

    /// When it last gave a good answer, if it has; and failures since it last recovered.
    pub fn record(&self) -> (Option<SystemTime>, u64) {
        let worked = self.worked.load(Ordering::Relaxed);
        ((worked != 0).then(|| time(worked)), self.alarm.failures())
    }

    fn last_reached(&self) -> u64 {
        self.worked.load(Ordering::Relaxed).max(self.reached.load(Ordering::Relaxed))
    }

    fn unreached(&self, now: u64) {
        if self.unreached_since.load(Ordering::Relaxed) <= self.last_reached() {
            self.unreached_since.store(now, Ordering::Relaxed);
        }
        self.last_unreached_server.store(now, Ordering::Relaxed);
    }

    // Two workers that fail at one moment may each call theirs the first; both are then right to
    // the second.
    fn failed(&self, now: u64, for_all: bool) -> Standing {
        let worked = self.worked.load(Ordering::Relaxed);
        let before = self.last_failure.swap(now, Ordering::Relaxed);
        let is_mixed = before != 0 && worked > before && now.saturating_sub(before) <= MIXED_MS;
        if !for_all {
            // One page that fails says nothing of the others, but a good answer beside it does.
            return Standing {
                others_served: is_mixed.then_some(true),
                failing_since: None,
                last_worked: None,
            };
        }
        let last = self.last_unreached.swap(now, Ordering::Relaxed);
        let since = self.failing_since.load(Ordering::Relaxed);
        let first = last == 0 || since <= worked || now.saturating_sub(last) > SILENCE_MS;
        if first {
            self.failing_since.store(now, Ordering::Relaxed);
        }
        // Good answers too close to it cannot be told apart from those before.
        let fails = last != 0 && worked + BLUR_MS < last && !first;
        Standing {
            others_served: fails.then_some(false),
            failing_since: fails.then(|| time(since)),
            last_worked: (worked != 0).then(|| time(worked)),
        }
    }
}

pub fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// To the second, as it is shown.
fn time(milliseconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(milliseconds / 1000)
}

fn time_of(milliseconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(milliseconds)
}

fn moment() -> Moment {
    Moment { now: Instant::now(), time: SystemTime::now() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(served: Option<bool>, failing: Option<u64>, worked: Option<u64>) -> Standing {
        Standing {
            others_served: served,
            failing_since: failing.map(|at: u64| time(at)),
            last_worked: worked.map(|at: u64| time(at)),
        }
    }

    #[test]
    fn an_outage_has_a_beginning_and_an_end() {
        let pulse = Pulse::default();
        // Nothing is known of what was before the start.
        assert_eq!(pulse.failed(100_000, true), standing(None, None, None));
        assert_eq!(pulse.failed(100_100, true), standing(Some(false), Some(100_000), None));
        assert_eq!(pulse.failed(130_000, true), standing(Some(false), Some(100_000), None));
        pulse.worked.store(200_000, Ordering::Relaxed);
        // One failure says nothing of the others.
        assert_eq!(pulse.failed(260_000, true), standing(None, None, Some(200_000)));
        assert_eq!(
            pulse.failed(270_000, true),
            standing(Some(false), Some(260_000), Some(200_000))
        );
        // Who asks in the morning is told nothing of the night.
        assert_eq!(pulse.failed(9_000_000, true), standing(None, None, Some(200_000)));
        assert_eq!(
            pulse.failed(9_001_000, true),
            standing(Some(false), Some(9_000_000), Some(200_000))
        );
    }

    #[test]
    fn a_page_that_fails_alone_says_nothing_of_the_others() {
        let pulse = Pulse::default();
        for now in [100_000, 110_000, 120_000] {
            assert_eq!(pulse.failed(now, false), standing(None, None, None));
        }
        // A good answer between two failures does.
        pulse.worked.store(125_000, Ordering::Relaxed);
        assert_eq!(pulse.failed(130_000, false), standing(Some(true), None, None));
        assert_eq!(pulse.failed(131_000, false), standing(None, None, None));
    }

    #[test]
    fn answers_of_one_tick_leave_it_open() {
        let pulse = Pulse::default();
        pulse.worked.store(100_000, Ordering::Relaxed);
        assert_eq!(pulse.failed(100_010, true), standing(None, None, Some(100_000)));
        assert_eq!(pulse.failed(100_020, true), standing(None, None, Some(100_000)));
        assert_eq!(pulse.failed(100_300, true), standing(None, None, Some(100_000)));
        assert_eq!(
            pulse.failed(100_400, true),
            standing(Some(false), Some(100_010), Some(100_000))
        );
    }

    #[test]
    fn servers_are_out_of_reach_until_one_answers() {
        let pulse = Pulse::default();
        assert_eq!(pulse.unreached_since(), None);
        pulse.unreached(100_000);
        pulse.unreached(900_000);
        assert_eq!(pulse.unreached_since(), Some(time(100_000)));
        pulse.worked.store(900_010, Ordering::Relaxed);
        assert_eq!(pulse.unreached_since(), None);
        pulse.unreached(900_100);
        assert_eq!(pulse.unreached_since(), None, "it may have been the one before");
        pulse.unreached(901_000);
        assert_eq!(pulse.unreached_since(), Some(time(900_100)));
        pulse.reached.store(902_000, Ordering::Relaxed);
        assert_eq!(pulse.unreached_since(), None, "a bad answer is one too");
    }

    #[test]
    fn a_good_answer_is_noted_once_a_tick() {
        let pulse = Arc::new(Pulse::default());
        let finger = Finger::new(pulse.clone());
        finger.worked();
        assert!(pulse.worked.load(Ordering::Relaxed) > 0);
    }
}
