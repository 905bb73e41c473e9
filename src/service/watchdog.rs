//! When systemd is due a sign of life. Whether there is one to give is the caller's to say: only if
//! every worker is alive.

use std::time::{Duration, Instant};

/// The time after which systemd gives this process up, if it watches it.
pub fn watchdog_limit() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero())
}

/// Decides when systemd is due a sign of life.
#[derive(Debug)]
pub struct Watchdog {
    every: Duration,
    next: Instant,
}

impl Watchdog {
    /// For the time after which systemd gives the service up; half of it lies between two signs
    /// (sd_watchdog_enabled(3)).
    pub fn new(limit: Duration, now: Instant) -> Watchdog {
        Watchdog { every: limit / 2, next: now }
    }

    /// Whether one is due now; the next is due half the limit later.
    pub fn is_due(&mut self, now: Instant) -> bool {
        let is_due = now >= self.next;
        if is_due {
            self.next = now + self.every;
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_are_half_the_limit_apart() {
        let start = Instant::now();
        let mut watchdog = Watchdog::new(Duration::from_secs(10), start);
        let due = (0..=20).filter(|second| watchdog.is_due(start + Duration::from_secs(*second)));
        assert_eq!(due.collect::<Vec<u64>>(), [0, 5, 10, 15, 20]);
    }
}
