//! Everything that is counted, by upstream and worker, from the start of the program to its end.
//!
//! A reload finds the counts of an upstream by its name and goes on with them. Those of a block
//! that is gone are shown until the next reload, so that its last requests are seen, and then
//! dropped, as Prometheus expects of what is no more; should it come back, it begins at nothing.
//!
//! `tally` is what workers write to, `families` what is shown of it, `plain` the older format,
//! `process` what the kernel knows, `rates` how much was asked an hour ago.

mod families;
mod plain;
mod process;
mod rates;
mod tally;

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

pub use plain::plain;
pub use rates::Rates;
pub use tally::{Failed, Tally, WorkerTally};

use families::Families;
use process::Process;
use rates::Samples;

/// The name of what no upstream was chosen for. A block of that name shares its counts.
const NONE: &str = "none";
/// Whose side the causes are on that are no upstream's failures.
const CLIENT: &str = "client";

/// A cause as it is counted.
#[derive(Debug, Clone, Copy)]
pub struct CauseLabels {
    pub name: &'static str,
    /// Whose side it is on.
    pub blame: &'static str,
    /// Meant, and no failure.
    pub is_planned: bool,
}

/// The counts of the whole program.
#[derive(Debug)]
pub struct Metrics {
    began: (Instant, SystemTime),
    /// By number.
    causes: Vec<CauseLabels>,
    workers: Vec<Arc<WorkerTally>>,
    /// Never locked on a request's path.
    blocks: Mutex<Vec<Block>>,
    /// Milliseconds from the beginning to the next sample of what is asked.
    sample_at: AtomicU64,
    /// Lines of the access log that found no room.
    pub lines_dropped: Arc<AtomicU64>,
}

/// One upstream, by its name.
#[derive(Debug)]
struct Block {
    name: String,
    /// One a worker.
    tallies: Vec<Arc<Tally>>,
    /// Whether the configuration in force has it.
    present: bool,
    samples: Samples,
}

/// Where one worker counts.
#[derive(Debug, Clone)]
pub struct Counts {
    /// In the order of the configuration's upstreams.
    pub upstreams: Vec<Arc<Tally>>,
    /// For requests that reached none of them.
    pub none: Arc<Tally>,
    pub worker: Arc<WorkerTally>,
}

/// What is measured when somebody asks.
#[derive(Debug)]
pub struct Gauges {
    /// In the order of the configuration in force.
    pub upstreams: Vec<UpstreamGauges>,
    pub client_connections: usize,
    pub reloaded: Reloaded,
    pub is_draining: bool,
    /// Of those in force the names, or the file, and when they are valid.
    pub certificates: Vec<(String, Range<SystemTime>)>,
    /// Handshakes of clients that did not come about, by reason.
    pub handshakes_failed: Vec<(&'static str, u64)>,
}

/// How one upstream stands.
#[derive(Debug)]
pub struct UpstreamGauges {
    pub name: String,
    /// Whether a server of it could be reached when one was last asked.
    pub is_up: bool,
    pub in_flight: usize,
    pub waiting: usize,
    /// Connections to its servers.
    pub open: usize,
}

/// How the last reload went.
#[derive(Debug, Clone, Copy)]
pub struct Reloaded {
    pub succeeded: bool,
    /// When a configuration was last put into force.
    pub last_success: SystemTime,
}

impl Metrics {
    /// Nothing counted yet; `causes` stand in the order of their numbers.
    pub fn new(causes: Vec<CauseLabels>, workers: usize) -> Metrics {
        let now = Instant::now();
        Metrics {
            began: (now, SystemTime::now()),
            causes,
            workers: (0..workers).map(|_| Arc::new(WorkerTally::new(now))).collect(),
            blocks: Mutex::default(),
            sample_at: AtomicU64::new(0),
            lines_dropped: Arc::default(),
        }
    }

    /// Where a worker counts its clients.
    pub fn worker(&self, number: usize) -> Arc<WorkerTally> {
        self.workers[number].clone()
    }

    /// Where each worker counts from now on, with upstreams of these names.
    pub fn counts<'n>(&self, names: impl Iterator<Item = &'n str> + Clone) -> Vec<Counts> {
        let mut blocks = self.blocks();
        blocks.retain(|block| block.present || block.is_used());
        for block in blocks.iter_mut() {
            block.present = false;
        }
        let positions: Vec<usize> =
            names.chain([NONE]).map(|name| self.position(&mut blocks, name)).collect();
        let (none, upstreams) = positions.split_last().expect("one was put at the end");
        let of = |number: usize| Counts {
            upstreams: upstreams.iter().map(|at| blocks[*at].tallies[number].clone()).collect(),
            none: blocks[*none].tallies[number].clone(),
            worker: self.workers[number].clone(),
        };
        (0..self.workers.len()).map(of).collect()
    }

    fn position(&self, blocks: &mut Vec<Block>, name: &str) -> usize {
        let known = blocks.iter().position(|block| block.name == name);
        let position = known.unwrap_or_else(|| {
            let tallies = self.workers.iter().map(|_| Arc::new(Tally::new(self.causes.len())));
            blocks.push(Block {
                name: name.to_owned(),
                tallies: tallies.collect(),
                present: true,
                samples: Samples::default(),
            });
            blocks.len() - 1
        });
        blocks[position].present = true;
        position
    }

    fn blocks(&self) -> MutexGuard<'_, Vec<Block>> {
        // What panicked with it in hand left it whole: every step above does.
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Upstream, cause and number of what has failed so far, but for what was the clients' own.
    pub fn failures(&self) -> Vec<(String, &'static str, u64)> {
        let mut failures = Vec::new();
        for block in self.blocks().iter() {
            let causes = self.causes.iter().enumerate();
            for (number, cause) in
                causes.filter(|(_, cause)| cause.blame != CLIENT && !cause.is_planned)
            {
                let count = block.sum(|tally| &tally.failures[number].count);
                if count > 0 {
                    failures.push((block.name.clone(), cause.name, count));
                }
            }
        }
        failures
    }

    /// Whether an upstream is closed for planned work, as some worker last saw it.
    pub fn is_closed(&self, name: &str) -> bool {
        let blocks = self.blocks();
        blocks.iter().find(|block| block.name == name).is_some_and(Block::is_closed)
    }

    /// Notes how much was asked so far, when that is due; each worker asks at each of its ticks.
    pub fn sample(&self, now: Instant) {
        let since = now.saturating_duration_since(self.began.0).as_millis();
        let since = u64::try_from(since).unwrap_or(u64::MAX);
        let due = self.sample_at.load(Relaxed);
        let next = since + u64::try_from(rates::APART.as_millis()).unwrap_or(u64::MAX);
        let taken = |due| self.sample_at.compare_exchange(due, next, Relaxed, Relaxed).is_ok();
        if since >= due && taken(due) {
            for block in self.blocks().iter_mut() {
                let total = block.requests();
                block.samples.note(now, total);
            }
        }
    }

    /// How often an upstream is asked.
    pub fn rates(&self, name: &str, now: Instant) -> Rates {
        let blocks = self.blocks();
        let block = blocks.iter().find(|block| block.name == name);
        block.map(|block| block.samples.rates(now, block.requests())).unwrap_or_default()
    }

    /// Everything as OpenMetrics 1.0.0 writes it.
    pub fn open_metrics(self: &Arc<Metrics>, gauges: Gauges) -> String {
        let families = Families { metrics: self.clone(), gauges, process: Process::read() };
        let mut registry = Registry::default();
        registry.register_collector(Box::new(families));
        let mut out = String::new();
        text::encode(&mut out, &registry).expect("writing into a String cannot fail");
        out
    }

    /// The numbers of the workers that have not come round to their clock for seconds.
    pub fn stuck(&self) -> Vec<usize> {
        let now = Instant::now();
        let workers = self.workers.iter().enumerate();
        workers.filter(|(_, worker)| worker.is_stuck(now)).map(|(number, _)| number).collect()
    }
}

impl Block {
    fn sum<'b>(&'b self, count: impl Fn(&'b Tally) -> &'b AtomicU64) -> u64 {
        self.tallies.iter().map(|tally| count(tally).load(Relaxed)).sum()
    }

    /// Requests that came to their end.
    fn requests(&self) -> u64 {
        let of = |tally: &Arc<Tally>| tally.requests();
        self.tallies.iter().map(of).fold(0, u64::wrapping_add)
    }

    fn is_closed(&self) -> bool {
        self.tallies.iter().any(|tally| tally.closed.load(Relaxed))
    }

    /// Whether a request that is under way, or a worker, still counts here.
    fn is_used(&self) -> bool {
        self.tallies.iter().any(|tally| Arc::strong_count(tally) > 1)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const CAUSES: [CauseLabels; 2] = [
        CauseLabels { name: "refused", blame: "upstream", is_planned: false },
        CauseLabels { name: "gone", blame: CLIENT, is_planned: false },
    ];

    fn fail(tally: &Tally, cause: usize) {
        tally.request(502, Duration::ZERO, 0);
        tally.failure(Failed { cause, incident: None, at: tally::Moment(0) });
    }

    #[test]
    fn workers_are_summed_and_clients_left_out() {
        let metrics = Metrics::new(CAUSES.to_vec(), 2);
        let counts = metrics.counts(["a", "b"].into_iter());
        for worker in &counts {
            fail(&worker.upstreams[1], 0);
            fail(&worker.upstreams[1], 1);
            fail(&worker.none, 0);
        }
        let found = [("b".to_owned(), "refused", 2), (NONE.to_owned(), "refused", 2)];
        assert_eq!(metrics.failures(), found);
    }

    #[test]
    fn a_block_of_that_name_shares_the_counts_of_none() {
        let metrics = Metrics::new(CAUSES.to_vec(), 1);
        let counts = metrics.counts(["a", NONE].into_iter());
        assert!(Arc::ptr_eq(&counts[0].upstreams[1], &counts[0].none));
    }

    #[test]
    fn what_is_gone_is_dropped_when_nobody_counts_there() {
        let metrics = Metrics::new(CAUSES.to_vec(), 1);
        let names = || metrics.blocks().iter().map(|block| block.name.clone()).collect::<Vec<_>>();
        let first = metrics.counts(["a", "b"].into_iter());
        fail(&first[0].upstreams[1], 0);
        drop(metrics.counts(["a"].into_iter()));
        assert_eq!(names(), ["a", "b", NONE]);
        // A request of before the reload is still under way.
        drop(metrics.counts(["a"].into_iter()));
        assert_eq!(names(), ["a", "b", NONE]);
        drop(first);
        drop(metrics.counts(["a"].into_iter()));
        assert_eq!(names(), ["a", NONE]);
    }
}
