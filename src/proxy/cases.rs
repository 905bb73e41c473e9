//! The incidents of one upstream that are open: one a cause at most, for all workers.
//!
//! A failure reads which one it belongs to and adds to its count; only the first of a cause, and
//! the close, go to where incidents are kept. Outlives a reload with the upstream's pulse.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::diagnose::{Code, End, IncidentGroup};
use crate::telemetry::{Incidents, Opened};

/// An upstream that answers and has not failed so for as long has recovered.
const SETTLED_MS: u64 = 5_000;
/// What nobody asks, and what belongs to no upstream, is over when it has been quiet for so long.
const QUIET_MS: u64 = 60 * 60_000;

#[derive(Debug)]
pub struct Cases {
    /// By cause.
    cases: Box<[Case]>,
    /// Whether a tick has anything to look at.
    is_open: AtomicBool,
}

#[derive(Debug, Default)]
struct Case {
    /// The number of the group; 0: none is open.
    group: AtomicU32,
    /// Seconds since the epoch.
    since: AtomicU64,
    failures: AtomicU64,
    /// Of the last failure: milliseconds since the epoch.
    last: AtomicU64,
}

impl Default for Cases {
    fn default() -> Cases {
        Cases {
            cases: Code::all().map(|_| Case::default()).collect(),
            is_open: AtomicBool::new(false),
        }
    }
}

impl Cases {
    /// The incident that such a failure belongs to, where one is open.
    pub fn group(&self, code: Code) -> Option<IncidentGroup> {
        IncidentGroup::of(self.case(code).group.load(Ordering::Acquire))
    }

    /// When it was opened.
    pub fn since(&self, code: Code) -> Option<SystemTime> {
        self.group(code)?;
        let since = self.case(code).since.load(Ordering::Relaxed);
        UNIX_EPOCH.checked_add(Duration::from_secs(since))
    }

    /// One is open from now on; of two workers that open it at one moment the first does.
    pub fn open(&self, code: Code, opened: Opened, now_ms: u64) {
        let (case, group) = (self.case(code), opened.group.number());
        if case.group.load(Ordering::Relaxed) == 0 {
            // Before the group, by which others see that it is there.
            case.since.store(opened.since, Ordering::Relaxed);
        }
        if case.group.compare_exchange(0, group, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            case.failures.fetch_add(opened.failures, Ordering::Relaxed);
            case.last.store(now_ms, Ordering::Relaxed);
            self.is_open.store(true, Ordering::Release);
        }
    }

    pub fn count(&self, code: Code, now_ms: u64) {
        let case = self.case(code);
        case.failures.fetch_add(1, Ordering::Relaxed);
        case.last.store(now_ms, Ordering::Relaxed);
        // A tick that looked before it was opened may have noted that nothing is.
        if !self.is_open.load(Ordering::Relaxed) {
            self.is_open.store(true, Ordering::Release);
        }
    }

    /// Closes what is over. `worked`: when the upstream last gave a good answer; `None` where
    /// there is no upstream that could.
    pub fn tick(&self, incidents: &Incidents, now_ms: impl FnOnce() -> u64, worked: Option<u64>) {
        if !self.is_open.load(Ordering::Acquire) {
            return;
        }
        let now = now_ms();
        let end = |case: &Case| {
            let last = case.last.load(Ordering::Relaxed);
            let quiet = now.saturating_sub(last);
            let answers = worked.is_some_and(|worked| worked > last);
            match quiet {
                QUIET_MS.. => Some(End::Quiet),
                SETTLED_MS.. if answers => Some(End::Recovered),
                _ => None,
            }
        };
        self.close(incidents, now, end);
    }

    /// Closes all of them: the program ends, or the upstream is gone.
    pub fn end(&self, incidents: &Incidents, now_ms: u64) {
        self.close(incidents, now_ms, |_| Some(End::Stopped));
    }

    fn close(&self, incidents: &Incidents, now_ms: u64, end: impl Fn(&Case) -> Option<End>) {
        let mut is_open = false;
        for case in self.cases.iter().filter(|case| case.group.load(Ordering::Relaxed) != 0) {
            let Some(end) = end(case) else {
                is_open = true;
                continue;
            };
            // Of the workers that look at one moment one closes it.
            let Some(group) = IncidentGroup::of(case.group.swap(0, Ordering::AcqRel)) else {
                continue;
            };
            let failures = case.failures.swap(0, Ordering::Relaxed);
            let last = case.last.load(Ordering::Relaxed) / 1000;
            incidents.close(group, failures, last, now_ms / 1000, end);
        }
        // One that opens at this moment sets it again when it is counted.
        self.is_open.store(is_open, Ordering::Release);
    }

    /// Hands over how often each has failed by now, for somebody who looks.
    pub fn note(&self, incidents: &Incidents) {
        for case in &self.cases {
            if let Some(group) = IncidentGroup::of(case.group.load(Ordering::Acquire)) {
                let failures = case.failures.load(Ordering::Relaxed);
                incidents.note(group, failures, case.last.load(Ordering::Relaxed) / 1000);
            }
        }
    }

    /// `Code` numbers its variants from 0, as `cases` does.
    fn case(&self, code: Code) -> &Case {
        &self.cases[code as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::Incident;

    const CODE: Code = Code::ConnectionRefused;

    fn fail(cases: &Cases, incidents: &Incidents, now_ms: u64) -> IncidentGroup {
        if cases.group(CODE).is_none() {
            let opened = incidents.open("shop", CODE.name(), now_ms / 1000, 9, || Incident {
                upstream: "shop".to_owned(),
                cause: CODE.name().to_owned(),
                ..Incident::default()
            });
            cases.open(CODE, opened, now_ms);
        }
        cases.count(CODE, now_ms);
        cases.group(CODE).unwrap()
    }

    #[test]
    fn an_incident_counts_until_the_upstream_has_settled() {
        let (cases, incidents) = (Cases::default(), Incidents::default());
        let group = fail(&cases, &incidents, 100_000);
        assert_eq!(fail(&cases, &incidents, 101_000), group);
        cases.note(&incidents);
        let seen = incidents.find(group).unwrap();
        assert_eq!((seen.failures, seen.last, seen.closed), (2, 101, None));
        // It has answered, but only a moment ago; then it has settled.
        cases.tick(&incidents, || 103_000, Some(102_000));
        assert_eq!(cases.group(CODE), Some(group));
        cases.tick(&incidents, || 107_000, Some(100_500));
        assert_eq!(cases.group(CODE), Some(group), "it has not answered since");
        cases.tick(&incidents, || 107_000, Some(106_000));
        assert_eq!(cases.group(CODE), None);
        let seen = incidents.find(group).unwrap();
        assert_eq!((seen.failures, seen.closed, seen.end), (2, Some(107), Some(End::Recovered)));
        // It comes back, and its count goes on.
        assert_eq!(fail(&cases, &incidents, 120_000), group);
        cases.end(&incidents, 121_000);
        let seen = incidents.find(group).unwrap();
        assert_eq!((seen.failures, seen.reopened, seen.end), (3, 1, Some(End::Stopped)));
    }

    #[test]
    fn what_is_quiet_for_long_is_over() {
        let (cases, incidents) = (Cases::default(), Incidents::default());
        let group = fail(&cases, &incidents, 100_000);
        cases.tick(&incidents, || 100_000 + QUIET_MS - 1, None);
        assert_eq!(cases.group(CODE), Some(group));
        cases.tick(&incidents, || 100_000 + QUIET_MS, None);
        assert_eq!(incidents.find(group).unwrap().end, Some(End::Quiet));
    }
}
