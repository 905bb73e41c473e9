//! Tells the journal of failed requests: one message a kind, never one a request.
//!
//! A kind is an upstream and a cause. The first failure of a kind is told at the next tick, those
//! that follow it counted and told together, at most once in [`PERIOD`]; and once that the upstream
//! answers again. A failure costs a counter that all workers share, a good answer nothing. What is
//! counted outlives a reload with the upstream's pulse.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant, SystemTime};

use tracing::Level;

use crate::diagnose::{self, Blame, Certainty, Code, Event, IncidentId, MessageId, Root};
use crate::telemetry::{Fields, Notice};

/// Between two messages of one kind.
const PERIOD: Duration = Duration::from_secs(60);
/// An upstream that answers and has not failed for so long has recovered.
const SETTLED: Duration = Duration::from_secs(5);
/// What a field says where there is nothing to say: the catalogue fills it into a sentence.
const NONE: &str = "-";

/// The failures of one upstream, or of the requests that came to none.
#[derive(Debug)]
pub struct Alarm {
    /// Failures that no message has told yet, by cause.
    untold: Box<[AtomicU64]>,
    /// Whether a tick has anything to look at.
    is_open: AtomicBool,
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    /// At most one row a cause.
    rows: BTreeMap<Code, Row>,
    outage: Option<Outage>,
}

#[derive(Debug, Default)]
struct Row {
    /// The first failure that no message has told yet.
    first: Option<First>,
    told: Option<Instant>,
}

/// What stands for all failures of one message.
#[derive(Debug)]
pub struct First {
    pub at: Instant,
    /// Where a page of ours has shown one.
    pub incident: Option<IncidentId>,
    /// The server as configured, printable; where one was asked.
    pub server: Option<String>,
    /// What went to the client.
    pub status: Option<u16>,
    pub certainty: Option<Certainty>,
    /// What lies behind it, where that was known by then.
    pub root: Option<Root>,
}

/// From the first failure that was told to the last.
#[derive(Debug)]
struct Outage {
    since: Instant,
    last: Instant,
    last_time: SystemTime,
    told: u64,
    /// Untold ones when last looked at.
    untold: u64,
}

/// A moment, on both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    pub now: Instant,
    pub time: SystemTime,
}

/// Something to tell.
#[derive(Debug)]
enum Told {
    Failed {
        code: Code,
        first: First,
        /// With the first.
        failures: u64,
        within: Duration,
    },
    Recovered {
        failures: u64,
        within: Duration,
    },
}

impl Default for Alarm {
    fn default() -> Alarm {
        Alarm {
            untold: Code::all().map(|_| AtomicU64::new(0)).collect(),
            is_open: AtomicBool::new(false),
            book: Mutex::default(),
        }
    }
}

/// Whether a failed request is the operator's business: not when its client alone is to blame, nor
/// when it was turned away on purpose. `status`: what went out, if anything did.
pub fn concerns(code: Code, status: Option<u16>) -> bool {
    let refused = status.is_some_and(|status| (400..500).contains(&status));
    match code {
        Code::TooManyClientConnections => true,
        Code::Maintenance => false,
        code => diagnose::entry(code).blame != Blame::Client && !refused,
    }
}

impl Alarm {
    /// Counts a failed request; `first` is asked for what stands for those that follow.
    pub fn count(&self, code: Code, first: impl FnOnce() -> First) {
        // `Code` numbers its variants from 0, as `untold` does.
        if self.untold[code as usize].fetch_add(1, Ordering::Relaxed) == 0 {
            let first = first();
            self.book().rows.entry(code).or_default().first = Some(first);
            self.is_open.store(true, Ordering::Release);
        }
    }

    /// Tells what is due. `worked`: when the upstream last gave a good answer; `None` where there
    /// is no upstream that could.
    pub fn tick(
        &self,
        upstream: &str,
        moment: impl FnOnce() -> Moment,
        worked: Option<SystemTime>,
    ) {
        if !self.is_open.load(Ordering::Acquire) {
            return;
        }
        // Another worker that has it does all there is to do.
        let mut book = match self.book.try_lock() {
            Ok(book) => book,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let due = book.due(&self.untold, moment(), PERIOD, worked);
        let open = book.outage.is_some() || book.rows.values().any(|row| row.first.is_some());
        self.is_open.store(open, Ordering::Release);
        // Whoever fails meanwhile is not to wait for the journal.
        drop(book);
        for told in due {
            told.tell(upstream);
        }
    }

    /// Failures since the upstream last recovered.
    pub fn failures(&self) -> u64 {
        let untold: u64 = self.untold.iter().map(|count| count.load(Ordering::Relaxed)).sum();
        untold + self.book().outage.as_ref().map_or(0, |outage| outage.told)
    }

    /// Tells all that is left, due or not: the program ends.
    pub fn close(&self, upstream: &str, moment: Moment) {
        for told in self.book().due(&self.untold, moment, Duration::ZERO, None) {
            told.tell(upstream);
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn due(
        &mut self,
        counts: &[AtomicU64],
        moment: Moment,
        period: Duration,
        worked: Option<SystemTime>,
    ) -> Vec<Told> {
        let Moment { now, time } = moment;
        let mut due = Vec::new();
        let mut untold = 0;
        for (&code, row) in &mut self.rows {
            let count = &counts[code as usize];
            let waits = row.told.is_some_and(|told| now.saturating_duration_since(told) < period);
            // A failure that is counted and has not yet said what it was is told at the next tick.
            let Some(first) = row.first.take_if(|_| !waits) else {
                untold += row.first.as_ref().map_or(0, |_| count.load(Ordering::Relaxed));
                continue;
            };
            let failures = count.swap(0, Ordering::Relaxed);
            row.told = Some(now);
            let since = first.at;
            if worked.is_some() {
                let outage = self.outage.get_or_insert_with(|| Outage::since(since, moment));
                outage.told += failures;
                (outage.last, outage.last_time) = (now, time);
            }
            let within = now.saturating_duration_since(since);
            due.push(Told::Failed { code, first, failures, within });
        }
        if let Some(outage) = &mut self.outage {
            if outage.untold != untold {
                (outage.untold, outage.last, outage.last_time) = (untold, now, time);
            }
            let settled = now.saturating_duration_since(outage.last) >= SETTLED;
            if settled && worked.is_some_and(|worked| worked > outage.last_time) {
                due.push(self.recovered(counts));
            }
        }
        due
    }

    /// Ends the outage; what no message has told of it yet belongs to it.
    fn recovered(&mut self, counts: &[AtomicU64]) -> Told {
        let left = |(&code, row): (&Code, &mut Row)| {
            row.first.take().map_or(0, |_| counts[code as usize].swap(0, Ordering::Relaxed))
        };
        let left: u64 = self.rows.iter_mut().map(left).sum();
        let outage = self.outage.take();
        let told = outage.as_ref().map_or(0, |outage| outage.told);
        let lasted = |outage: Outage| outage.last.saturating_duration_since(outage.since);
        Told::Recovered { failures: told + left, within: outage.map(lasted).unwrap_or_default() }
    }
}

impl Outage {
    fn since(since: Instant, moment: Moment) -> Outage {
        let Moment { now, time } = moment;
        Outage { since, last: now, last_time: time, told: 0, untold: 0 }
    }
}

impl Told {
    fn tell(&self, upstream: &str) {
        let text = self.text(upstream);
        let upstream = Some(if upstream.is_empty() { NONE } else { upstream });
        match self {
            Told::Failed { code, first, failures, .. } => {
                let incident = first.incident.map(|incident| incident.to_string());
                let fields = Fields {
                    upstream,
                    server: Some(first.server.as_deref().unwrap_or(NONE)),
                    cause: Some(code.name()),
                    incident_id: Some(incident.as_deref().unwrap_or(NONE)),
                    status: first.status,
                    phase: Some(diagnose::entry(*code).phase.into()),
                    certainty: first.certainty.map(Into::into),
                    root: first.root.map(Root::name),
                    failures: Some(*failures),
                };
                let (message_id, level) = (MessageId::from(*code), level(*code));
                Notice { message_id, level, text: &text, fields }.tell();
            }
            Told::Recovered { failures, .. } => {
                let fields = Fields { upstream, failures: Some(*failures), ..Fields::default() };
                Notice { fields, ..Notice::info(Event::UpstreamRecovered, &text) }.tell();
            }
        }
    }

    /// Names of the configuration and words of ours; nothing that a client or an upstream sent.
    fn text(&self, upstream: &str) -> String {
        match self {
            Told::Failed { code, first, failures, within } => {
                let mut text = match (upstream, &first.server) {
                    ("", _) => String::new(),
                    (upstream, None) => format!("upstream {upstream}: "),
                    (upstream, Some(server)) => format!("upstream {upstream} at {server}: "),
                };
                let title = &diagnose::english().cause(*code).title;
                text.push_str(&format!("{title} ({})", code.name()));
                if let Some(incident) = first.incident {
                    text.push_str(&format!(", incident {incident}"));
                }
                match (failures.saturating_sub(1), within.as_secs()) {
                    (0, _) => {}
                    (more, 0) => text.push_str(&format!("; {more} more")),
                    (more, _) => text.push_str(&format!("; {more} more within {}", span(*within))),
                }
                text
            }
            Told::Recovered { failures, within } => {
                let times = if *failures == 1 { "failure" } else { "failures" };
                let mut text =
                    format!("upstream {upstream} answers again after {failures} {times}");
                if within.as_secs() > 0 {
                    text.push_str(&format!(" within {}", span(*within)));
                }
                text
            }
        }
    }
}

/// An error is a fault of ours or of this host; not where anybody outside can bring it about.
fn level(code: Code) -> Level {
    match code {
        Code::NothingConfigured
        | Code::NoUpstreamConfigured
        | Code::TooManyClientConnections
        | Code::LoopDetected => Level::WARN,
        code if diagnose::entry(code).blame == Blame::Gateway => Level::ERROR,
        _ => Level::WARN,
    }
}

/// The two largest units of a time: `45 s`, `3 min 12 s`, `2 h 5 min`.
fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    match (hours, minutes) {
        (0, 0) => format!("{seconds} s"),
        (0, _) => format!("{minutes} min {} s", seconds % 60),
        (_, _) => format!("{hours} h {} min", minutes % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: Code = Code::ConnectionRefused;

    /// An alarm whose time is set by the test.
    struct Bench {
        alarm: Alarm,
        start: Moment,
    }

    impl Bench {
        fn new() -> Bench {
            let start = Moment { now: Instant::now(), time: SystemTime::now() };
            Bench { alarm: Alarm::default(), start }
        }

        fn at(&self, seconds: u64) -> Moment {
            let since = Duration::from_secs(seconds);
            Moment { now: self.start.now + since, time: self.start.time + since }
        }

        fn fail(&self, seconds: u64, code: Code, times: usize) {
            let first = || First {
                at: self.at(seconds).now,
                incident: Some(IncidentId::new(seconds)),
                server: Some("http://127.0.0.1:8080".to_owned()),
                status: Some(502),
                certainty: Some(Certainty::Certain),
                root: None,
            };
            (0..times).for_each(|_| self.alarm.count(code, first));
        }

        /// What is told at a time, if the upstream last worked at another.
        fn told(&self, seconds: u64, worked: u64) -> Vec<String> {
            let (untold, worked) = (&self.alarm.untold, Some(self.at(worked).time));
            let due = self.alarm.book().due(untold, self.at(seconds), PERIOD, worked);
            due.iter().map(|told| told.text("shop")).collect()
        }
    }

    #[test]
    fn a_kind_is_told_at_once_and_then_once_a_minute() {
        let bench = Bench::new();
        bench.fail(100, REFUSED, 1);
        let said = "upstream shop at http://127.0.0.1:8080: The site's server turns connections \
            away (connection_refused), incident ";
        assert_eq!(bench.told(100, 0), [format!("{said}0000-0034")]);
        bench.fail(101, REFUSED, 143);
        assert_eq!(bench.told(101, 0), [""; 0]);
        assert_eq!(bench.told(159, 0), [""; 0]);
        // Another kind does not wait for it.
        bench.fail(159, Code::FirstByteTimeout, 2);
        let other = bench.told(159, 0);
        assert!(other.len() == 1 && other[0].ends_with("; 1 more"), "{other:?}");
        assert_eq!(bench.told(160, 0), [format!("{said}0000-0035; 142 more within 59 s")]);
        assert_eq!(bench.told(400, 0), [""; 0]);
    }

    #[test]
    fn a_recovery_is_told_once_with_all_that_failed() {
        let bench = Bench::new();
        bench.fail(100, REFUSED, 1);
        assert_eq!(bench.told(100, 0).len(), 1);
        bench.fail(110, REFUSED, 5);
        assert_eq!(bench.told(110, 0), [""; 0]);
        // It answers, but has failed a moment ago.
        assert_eq!(bench.told(112, 112), [""; 0]);
        let said = "upstream shop answers again after 6 failures within 10 s";
        assert_eq!(bench.told(116, 116), [said]);
        assert_eq!(bench.told(300, 300), [""; 0]);
    }

    #[test]
    fn an_upstream_that_nobody_asks_has_not_recovered() {
        let bench = Bench::new();
        bench.fail(100, REFUSED, 1);
        assert_eq!(bench.told(100, 99).len(), 1);
        assert_eq!(bench.told(4000, 99), [""; 0]);
        let said = "upstream shop answers again after 1 failure";
        assert_eq!(bench.told(4100, 4099), [said]);
    }

    #[test]
    fn one_that_comes_and_goes_is_told_once_a_minute_all_the_same() {
        let bench = Bench::new();
        let mut told = 0;
        for second in 0..600 {
            if second % 10 == 0 {
                bench.fail(second, REFUSED, 1);
            }
            told += bench.told(second, second).len();
        }
        assert!((10..=20).contains(&told), "{told} messages in ten minutes");
    }

    #[test]
    fn what_clients_bring_about_is_not_told() {
        assert!(concerns(REFUSED, Some(502)));
        // Cut after its head had gone out.
        assert!(concerns(Code::BodyReset, Some(200)));
        assert!(concerns(Code::TooManyClientConnections, Some(429)));
        for (code, status) in [
            (Code::ClientGone, None),
            (Code::RequestInvalid, Some(400)),
            (Code::FileDenied, Some(403)),
            (Code::FcgiScriptNotFound, Some(404)),
            (Code::Maintenance, Some(503)),
        ] {
            assert!(!concerns(code, status), "{code:?}");
        }
    }

    #[test]
    fn counters_stand_in_the_order_of_the_causes() {
        assert!(Code::all().enumerate().all(|(number, code)| code as usize == number));
    }

    #[test]
    fn a_time_is_told_in_its_two_largest_units() {
        for (seconds, told) in [(0, "0 s"), (59, "59 s"), (192, "3 min 12 s"), (7500, "2 h 5 min")]
        {
            assert_eq!(span(Duration::from_secs(seconds)), told);
        }
    }
}
