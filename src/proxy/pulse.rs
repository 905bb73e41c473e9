//! The pulse of an upstream: when it last answered, and since when it does not.
//!
//! For all workers together, so that a page can say whether others are served. A good answer costs
//! a comparison; ten times a second it costs a store.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::clock;
use crate::diagnose::Standing;

/// Between two failures with good answers in between: others are served.
const MIXED_MS: u64 = 30_000;
/// Of the good answers of one tick the first alone is noted, so one may be as much younger.
const BLUR_MS: u64 = 2 * clock::TICK.as_millis() as u64;

/// What all workers know of one upstream. Times are milliseconds since the epoch; 0 is never.
#[derive(Debug, Default)]
pub struct Pulse {
    worked: AtomicU64,
    failing_since: AtomicU64,
    last_failure: AtomicU64,
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

    /// A request to it failed; how it stood until then.
    pub fn failed(&self, now: SystemTime) -> Standing {
        self.pulse.failed(milliseconds(now))
    }
}

impl Pulse {
    // Two workers that fail at one moment may each call theirs the first; both are then right to
    // the second.
    fn failed(&self, now: u64) -> Standing {
        let worked = self.worked.load(Ordering::Relaxed);
        let before = self.last_failure.swap(now, Ordering::Relaxed);
        let since = self.failing_since.load(Ordering::Relaxed);
        let first = since == 0 || since <= worked;
        if first {
            self.failing_since.store(now, Ordering::Relaxed);
        }
        let others_served = if before != 0 && worked > before && now - before.min(now) <= MIXED_MS {
            Some(true)
        } else if before != 0 && worked + BLUR_MS < before {
            Some(false)
        } else {
            // The first failure in a while, or good answers too close to it to be told apart.
            None
        };
        let fails = others_served == Some(false);
        Standing {
            others_served,
            failing_since: (fails && !first).then(|| time(since)),
            last_worked: (worked != 0 && others_served != Some(true)).then(|| time(worked)),
        }
    }
}

fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// To the second, as it is shown.
fn time(milliseconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(milliseconds / 1000)
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
        assert_eq!(pulse.failed(100_000), standing(None, None, None));
        assert_eq!(pulse.failed(100_100), standing(Some(false), Some(100_000), None));
        assert_eq!(pulse.failed(130_000), standing(Some(false), Some(100_000), None));
        pulse.worked.store(200_000, Ordering::Relaxed);
        // One failure says nothing of the others.
        assert_eq!(pulse.failed(260_000), standing(None, None, Some(200_000)));
        assert_eq!(pulse.failed(270_000), standing(Some(false), Some(260_000), Some(200_000)));
        // A good answer between two failures does.
        pulse.worked.store(275_000, Ordering::Relaxed);
        assert_eq!(pulse.failed(280_000), standing(Some(true), None, None));
        assert_eq!(pulse.failed(281_000), standing(Some(false), Some(280_000), Some(275_000)));
    }

    #[test]
    fn answers_of_one_tick_leave_it_open() {
        let pulse = Pulse::default();
        pulse.worked.store(100_000, Ordering::Relaxed);
        assert_eq!(pulse.failed(100_010), standing(None, None, Some(100_000)));
        assert_eq!(pulse.failed(100_020), standing(None, None, Some(100_000)));
        assert_eq!(pulse.failed(100_300), standing(None, None, Some(100_000)));
        assert_eq!(pulse.failed(100_400), standing(Some(false), Some(100_010), Some(100_000)));
    }

    #[test]
    fn a_good_answer_is_noted_once_a_tick() {
        let pulse = Arc::new(Pulse::default());
        let finger = Finger::new(pulse.clone());
        finger.worked();
        assert!(pulse.worked.load(Ordering::Relaxed) > 0);
    }
}
