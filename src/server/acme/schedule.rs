//! When a certificate is to be had anew, and how long to wait after a failure. Pure.
//!
//! An authority's own word (renewal information, RFC 9773) comes first, then a third of the
//! lifetime. Failures are paused by what they cost the authority: one that it never heard of costs
//! it nothing, a failed proof counts against the account's limits.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// The first pause after the authority could not be reached, doubled each time.
const UNREACHED_FIRST: Duration = Duration::from_secs(10);
const UNREACHED_MAX: Duration = Duration::from_secs(3600);
/// The first pause after it refused. Let's Encrypt lets an account fail five times an hour for a
/// host: this makes three.
const REFUSED_FIRST: Duration = Duration::from_secs(15 * 60);
const REFUSED_MAX: Duration = Duration::from_secs(24 * 3600);
/// After it said that there were too many requests.
const LIMITED: Duration = Duration::from_secs(3 * 3600);
/// Of every pause so much, at random, is left out or added, so that hosts that failed together do
/// not come back together.
const JITTER: f64 = 0.2;
/// A certificate is renewed when this part of its lifetime is left.
const LEFT: u32 = 3;
/// Whatever the authority suggests, no later than when this part is left.
const LEFT_AT_LEAST: u32 = 9;

/// What failed, by what it costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// The authority did not answer, or we did not come to its end.
    Unreached,
    /// It answered, and refused.
    Refused,
    /// It has had enough of us.
    Limited,
}

/// The attempts at one certificate since it was last had, as they are kept on disk: a program that
/// is started over and over must not ask over and over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attempts {
    pub failures: u32,
    /// Not before this time, Unix seconds.
    pub next: u64,
    /// What the last one failed for, for whoever reads the file.
    pub last: String,
}

impl Attempts {
    /// One more that has failed; `random` is from 0 to 1.
    pub fn failed(&mut self, cost: Cost, why: String, now: SystemTime, random: f64) {
        self.failures = self.failures.saturating_add(1);
        self.next = seconds(now + pause(cost, self.failures, random));
        self.last = why;
    }

    /// How long the next has to wait.
    pub fn wait(&self, now: SystemTime) -> Duration {
        // A clock that was wrong must not stop the renewal for good.
        Duration::from_secs(self.next.saturating_sub(seconds(now))).min(REFUSED_MAX * 2)
    }
}

fn pause(cost: Cost, failures: u32, random: f64) -> Duration {
    let (first, max) = match cost {
        Cost::Unreached => (UNREACHED_FIRST, UNREACHED_MAX),
        Cost::Refused => (REFUSED_FIRST, REFUSED_MAX),
        Cost::Limited => (LIMITED, REFUSED_MAX),
    };
    let doubled = first.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(max).mul_f64(1.0 + JITTER * (2.0 * random - 1.0))
}

/// The lifetime of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    pub begins: SystemTime,
    pub ends: SystemTime,
}

impl Lifetime {
    /// When it is to be renewed; `suggested` is a moment of the authority's choice.
    pub fn renewal(&self, suggested: Option<SystemTime>) -> SystemTime {
        let lifetime = self.ends.duration_since(self.begins).unwrap_or_default();
        match suggested {
            Some(suggested) => suggested.min(self.ends - lifetime / LEFT_AT_LEAST),
            None => self.ends - lifetime / LEFT,
        }
    }
}

/// A moment of a window, evenly chosen (RFC 9773 section 4.2); `random` is from 0 to 1.
pub fn moment(start: SystemTime, end: SystemTime, random: f64) -> SystemTime {
    start + end.duration_since(start).unwrap_or_default().mul_f64(random.clamp(0.0, 1.0))
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    #[test]
    fn a_certificate_is_renewed_in_time() {
        let begins = SystemTime::UNIX_EPOCH + DAY * 1000;
        let ninety = Lifetime { begins, ends: begins + DAY * 90 };
        assert_eq!(ninety.renewal(None), begins + DAY * 60);
        let short = Lifetime { begins, ends: begins + DAY * 6 };
        assert_eq!(short.renewal(None), begins + DAY * 4);
        // The authority may have it earlier, or somewhat later; not too late.
        assert_eq!(ninety.renewal(Some(begins)), begins);
        assert_eq!(ninety.renewal(Some(begins + DAY * 70)), begins + DAY * 70);
        assert_eq!(ninety.renewal(Some(begins + DAY * 100)), begins + DAY * 80);
        let nonsense = Lifetime { begins: begins + DAY, ends: begins };
        assert_eq!(nonsense.renewal(None), begins);
    }

    #[test]
    fn a_moment_lies_in_its_window() {
        let start = SystemTime::UNIX_EPOCH + DAY;
        let end = start + DAY;
        assert_eq!(moment(start, end, 0.0), start);
        assert_eq!(moment(start, end, 0.5), start + DAY / 2);
        assert_eq!(moment(start, end, 1.0), end);
        assert_eq!(moment(end, start, 0.5), end);
    }

    #[test]
    fn failures_are_paused_ever_longer_and_never_too_often() {
        let now = SystemTime::UNIX_EPOCH + DAY * 1000;
        for (cost, within_hour) in [(Cost::Unreached, 9), (Cost::Refused, 3), (Cost::Limited, 0)] {
            let (mut attempts, mut at, mut count) = (Attempts::default(), now, 0);
            for number in 1..40 {
                attempts.failed(cost, String::new(), at, 0.0);
                let wait = attempts.wait(at);
                assert!(
                    wait >= Duration::from_secs(8) && wait <= DAY,
                    "{cost:?} {number} {wait:?}"
                );
                at += wait;
                count += usize::from(at < now + Duration::from_secs(3600));
            }
            assert!(count <= within_hour, "{cost:?}: {count} in the first hour");
        }
        let mut attempts = Attempts::default();
        attempts.failed(Cost::Refused, "dns".into(), now, 1.0);
        assert_eq!(attempts.wait(now), Duration::from_secs(18 * 60));
        assert_eq!(attempts.wait(now + DAY), Duration::ZERO);
        // Written by a clock that was years ahead.
        attempts.failed(Cost::Refused, String::new(), now + DAY * 3650, 0.5);
        assert!(attempts.wait(now) <= DAY * 2);
    }
}
