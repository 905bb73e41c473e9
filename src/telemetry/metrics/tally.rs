//! What one worker counts: of each upstream, and of its clients.
//!
//! Each number has one writer, the worker, and is read by whoever asks: a plain load and a plain
//! store, without a lock or an atomic addition. Nothing is allocated while counting, and no number
//! ever goes back.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The statuses that are counted one by one: RFC 9110 section 15 has the classes 1 to 5.
pub const STATUS_FIRST: u16 = 100;
const STATUSES: usize = 500;

/// The upper ends of the histograms' buckets, in nanoseconds; beyond the last is one more.
pub const BOUNDS: [u64; 16] = [
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
    30_000_000_000,
    60_000_000_000,
];

/// After so long without a tick, fifty of them, a worker is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(5);

/// What one worker has counted of one upstream, or of the requests that reached none. In cache
/// lines of its own, since every worker writes to one.
#[derive(Debug)]
#[repr(align(64))]
pub struct Tally {
    /// From [`STATUS_FIRST`] on.
    pub statuses: [AtomicU64; STATUSES],
    /// Those beyond.
    pub other_statuses: AtomicU64,
    /// From a request's arrival to the last byte of its answer.
    pub durations: Durations,
    pub connects: Durations,
    /// Body bytes that went to clients.
    pub body_bytes: AtomicU64,
    /// By the number of the cause.
    pub failures: Box<[Failures]>,
    /// What made the proxy try again, by the number of the cause.
    pub retries: Box<[AtomicU64]>,
    /// Requests that found no place, or not in time.
    pub declined: AtomicU64,
    /// Connections kept for later, as of the last tick.
    pub idle: AtomicU64,
    /// Whether it is closed for planned work, as of the last tick.
    pub closed: AtomicBool,
}

/// The failures of one cause.
#[derive(Debug, Default)]
pub struct Failures {
    pub count: AtomicU64,
    /// The letters of the last one's incident; 0: none had one.
    pub incident: AtomicU64,
    /// When that was, in milliseconds since [`Moment`]'s beginning.
    pub at: AtomicU64,
}

/// A histogram of durations.
#[derive(Debug)]
pub struct Durations {
    pub buckets: [AtomicU64; BOUNDS.len() + 1],
    pub nanos: AtomicU64,
}

/// A failure as it is counted.
#[derive(Debug, Clone, Copy)]
pub struct Failed {
    /// The number of the cause.
    pub cause: usize,
    /// The letters of the incident, if it has one.
    pub incident: Option<u64>,
    pub at: Moment,
}

/// A time as it is counted: milliseconds since the counting began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(pub u64);

impl Tally {
    /// Everything at nothing; there are so many causes.
    pub fn new(causes: usize) -> Tally {
        Tally {
            statuses: std::array::from_fn(|_| AtomicU64::new(0)),
            other_statuses: AtomicU64::new(0),
            durations: Durations::new(),
            connects: Durations::new(),
            body_bytes: AtomicU64::new(0),
            failures: (0..causes).map(|_| Failures::default()).collect(),
            retries: (0..causes).map(|_| AtomicU64::new(0)).collect(),
            declined: AtomicU64::new(0),
            idle: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        }
    }

    /// A request is over.
    pub fn request(&self, status: u16, took: Duration, body_bytes: u64) {
        let slot = usize::from(status.wrapping_sub(STATUS_FIRST));
        add(self.statuses.get(slot).unwrap_or(&self.other_statuses), 1);
        self.durations.observe(took);
        add(&self.body_bytes, body_bytes);
    }

    /// How many are over.
    pub fn requests(&self) -> u64 {
        let statuses = self.statuses.iter().chain([&self.other_statuses]);
        statuses.map(|count| count.load(Relaxed)).fold(0, u64::wrapping_add)
    }

    /// And it failed.
    pub fn failure(&self, failed: Failed) {
        let Some(failures) = self.failures.get(failed.cause) else { return };
        add(&failures.count, 1);
        if let Some(incident) = failed.incident {
            failures.incident.store(incident, Relaxed);
            failures.at.store(failed.at.0, Relaxed);
        }
    }

    /// An attempt failed in this way, and another followed.
    pub fn retry(&self, cause: usize) {
        if let Some(count) = self.retries.get(cause) {
            add(count, 1);
        }
    }

    /// A request was declined for want of a place.
    pub fn declined(&self) {
        add(&self.declined, 1);
    }

    /// How it stands at this tick.
    pub fn stands(&self, idle: usize, closed: bool) {
        self.idle.store(idle as u64, Relaxed);
        self.closed.store(closed, Relaxed);
    }
}

impl Durations {
    fn new() -> Durations {
        Durations { buckets: std::array::from_fn(|_| AtomicU64::new(0)), nanos: AtomicU64::new(0) }
    }

    /// Counts one more. Most are short, and found within a few steps.
    pub fn observe(&self, took: Duration) {
        // Wraps after 584 years.
        let nanos = took.as_secs().wrapping_mul(1_000_000_000) + u64::from(took.subsec_nanos());
        let bucket = BOUNDS.iter().take_while(|bound| nanos > **bound).count();
        add(&self.buckets[bucket], 1);
        add(&self.nanos, nanos);
    }
}

/// What one worker has counted of its clients, and that it lives.
#[derive(Debug)]
#[repr(align(64))]
pub struct WorkerTally {
    began: Instant,
    /// Connections that were accepted.
    pub accepted: AtomicU64,
    /// Those of them that were closed without a word, beyond every limit.
    pub dropped: AtomicU64,
    /// Milliseconds from the beginning to its last tick; [`ENDED`]: it is over.
    beat: AtomicU64,
}

/// A worker that has come to its end is not stuck.
const ENDED: u64 = u64::MAX;

impl WorkerTally {
    pub fn new(began: Instant) -> WorkerTally {
        WorkerTally {
            began,
            accepted: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            beat: AtomicU64::new(0),
        }
    }

    pub fn accepted(&self) {
        add(&self.accepted, 1);
    }

    pub fn dropped(&self) {
        add(&self.dropped, 1);
    }

    /// The worker has come round to its clock.
    pub fn beats(&self, now: Instant) {
        self.beat.store(self.moment(now).0, Relaxed);
    }

    /// The worker ends.
    pub fn ends(&self) {
        self.beat.store(ENDED, Relaxed);
    }

    /// Whether it should have come round long ago.
    pub fn is_stuck(&self, now: Instant) -> bool {
        let beat = self.beat.load(Relaxed);
        let silent = self.moment(now).0.saturating_sub(beat);
        beat != ENDED && u128::from(silent) > STUCK_AFTER.as_millis()
    }

    /// The time as failures have it.
    pub fn moment(&self, now: Instant) -> Moment {
        let since = now.saturating_duration_since(self.began).as_millis();
        Moment(u64::try_from(since).unwrap_or(ENDED - 1))
    }
}

/// An addition by the only writer.
fn add(count: &AtomicU64, more: u64) {
    count.store(count.load(Relaxed).wrapping_add(more), Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_falls_into_the_bucket_that_ends_at_or_after_it() {
        for (nanos, bucket) in [
            (0, 0),
            (500_000, 0),
            (500_001, 1),
            (1_000_000_000, 10),
            (60_000_000_000, 15),
            (60_000_000_001, 16),
        ] {
            let durations = Durations::new();
            durations.observe(Duration::from_nanos(nanos));
            let found = durations.buckets.iter().position(|count| count.load(Relaxed) == 1);
            assert_eq!((found, durations.nanos.load(Relaxed)), (Some(bucket), nanos));
        }
    }

    #[test]
    fn every_status_has_a_count() {
        let tally = Tally::new(0);
        for status in [100, 200, 499, 599, 600, 999, 0, 99] {
            tally.request(status, Duration::ZERO, 1);
        }
        let each = |status: u16| tally.statuses[usize::from(status - 100)].load(Relaxed);
        assert_eq!([100, 200, 499, 599].map(each), [1; 4]);
        assert_eq!(tally.other_statuses.load(Relaxed), 4);
        assert_eq!(tally.body_bytes.load(Relaxed), 8);
    }

    #[test]
    fn a_worker_that_does_not_tick_is_stuck_until_it_does() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let worker = WorkerTally::new(began);
        assert!(!worker.is_stuck(at(5)));
        assert!(worker.is_stuck(at(6)));
        worker.beats(at(6));
        assert!(!worker.is_stuck(at(11)));
        assert!(worker.is_stuck(at(12)));
        worker.ends();
        assert!(!worker.is_stuck(at(100)));
    }
}
