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

    /// Whether one is due now; it stays due until it is given.
    pub fn is_due(&self, now: Instant) -> bool {
        now >= self.next
    }

    /// One was given: the next is due half the limit later.
    pub fn given(&mut self, now: Instant) {
        self.next = now + self.every;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_are_half_the_limit_apart() {
        let start = Instant::now();
        let mut watchdog = Watchdog::new(Duration::from_secs(10), start);
        let mut given = Vec::new();
        for second in 0..=20 {
            let now = start + Duration::from_secs(second);
            // From 10 to 12 a worker is stuck: the sign is given as soon as it is not.
            if watchdog.is_due(now) && !(10..=12).contains(&second) {
                watchdog.given(now);
                given.push(second);
            }
        }
        assert_eq!(given, [0, 5, 13, 18]);
    }
}
