//! How often an upstream was asked over the last minute, and an hour before: samples of the counter
//! that there is anyway. No clock, no request knows of it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Between two samples.
pub const APART: Duration = Duration::from_secs(10);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// A rate over less is chance.
const SHORTEST: Duration = Duration::from_secs(2);
/// Seventy minutes of them.
const SAMPLES_MAX: usize = 420;

/// The samples of one upstream, the latest last.
#[derive(Debug, Default)]
pub struct Samples(VecDeque<(Instant, u64)>);

/// Requests a second, where they are known.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub struct Rates {
    pub now: Option<f64>,
    pub hour_ago: Option<f64>,
}

impl Samples {
    /// Notes how many requests there were so far.
    pub fn note(&mut self, now: Instant, total: u64) {
        if self.0.len() == SAMPLES_MAX {
            self.0.pop_front();
        }
        self.0.push_back((now, total));
    }

    /// `total`: how many there are now.
    pub fn rates(&self, now: Instant, total: u64) -> Rates {
        let before = |ago| now.checked_sub(ago).and_then(|at| self.at(at));
        let minute = before(MINUTE).or(self.0.front().copied());
        let hour = before(HOUR).zip(before(HOUR + MINUTE));
        Rates {
            now: minute.and_then(|since| rate(since, (now, total))),
            hour_ago: hour.and_then(|(to, from)| rate(from, to)),
        }
    }

    /// The latest of that moment or before.
    fn at(&self, moment: Instant) -> Option<(Instant, u64)> {
        let after = self.0.partition_point(|(at, _)| *at <= moment);
        self.0.get(after.checked_sub(1)?).copied()
    }
}

fn rate((from, first): (Instant, u64), (to, last): (Instant, u64)) -> Option<f64> {
    let time = to.saturating_duration_since(from);
    (time >= SHORTEST).then(|| last.saturating_sub(first) as f64 / time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten requests a second for 69 minutes, then forty.
    #[test]
    fn a_spike_is_told_from_the_hour_before() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut samples = Samples::default();
        let mut total = 0;
        for step in 0..=420 {
            samples.note(at(step * 10), total);
            total += if step < 414 { 100 } else { 400 };
        }
        assert_eq!(samples.0.len(), SAMPLES_MAX);
        let rates = samples.rates(at(4200), total - 400);
        assert_eq!(rates, Rates { now: Some(40.0), hour_ago: Some(10.0) });
    }

    #[test]
    fn what_is_too_new_is_not_known() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut samples = Samples::default();
        assert_eq!(samples.rates(start, 0), Rates::default());
        samples.note(start, 0);
        assert_eq!(samples.rates(at(1), 100), Rates::default());
        let rates = Rates { now: Some(10.0), hour_ago: None };
        assert_eq!(samples.rates(at(10), 100), rates);
    }
}
