//! What the proxy itself knows of its traffic: gathered when a request has failed, never before.
//!
//! Rates come from the counters, shares from the last lines of the log. Requests under way are
//! asked: the roll is called, each worker hears it at its next tick and wakes its connections, and
//! a request that is polled meanwhile and still waits gives its name. Streams of HTTP/2 do not hear
//! it; they are counted, and not named.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::header;
use http::request::Parts;

use crate::clock;
use crate::config::{Config, LogFormat};
use crate::diagnose::around::{Asked, InFlight, Traffic};
use crate::telemetry::{AccessWriter, Metrics};

use super::Site;
use super::client::{Client, Connection};

/// How long the roll is waited for: the workers hear of it at their next tick.
const PATIENCE: Duration = Duration::from_millis(120);
/// Requests that are asked at one call.
const ROWS_MAX: usize = 2000;
/// Bytes of a path or an agent that are kept.
const LENGTH_MAX: usize = 200;

/// Where all that is known of the traffic comes together.
#[derive(Debug)]
pub struct Witness {
    metrics: Arc<Metrics>,
    access: AccessWriter,
    format: LogFormat,
    workers: usize,
    blocks: usize,
    /// Counts the calls; read by each worker at each tick.
    called: AtomicU64,
    roll: Mutex<Roll>,
    answered: Condvar,
}

/// What one call brought.
#[derive(Debug, Default)]
struct Roll {
    at: Option<Instant>,
    workers_done: usize,
    /// Requests that have answered, by where their head lies.
    known: HashSet<usize>,
    rows: Vec<(usize, InFlight)>,
}

impl Witness {
    pub fn new(config: &Config, metrics: Arc<Metrics>, access: AccessWriter) -> Witness {
        Witness {
            metrics,
            access,
            format: config.log.format,
            workers: config.workers,
            blocks: config.upstreams.len(),
            called: AtomicU64::new(0),
            roll: Mutex::default(),
            answered: Condvar::new(),
        }
    }

    /// What is due ten times a second.
    pub fn tick(&self) {
        self.metrics.sample(clock::now());
    }

    /// Calls the roll; one that was called a moment ago stands for this one too.
    pub fn call(&self) {
        let mut roll = self.roll();
        if roll.at.is_none_or(|at| at.elapsed() > PATIENCE) {
            *roll = Roll { at: Some(Instant::now()), ..Roll::default() };
            self.called.fetch_add(1, Ordering::Release);
        }
    }

    /// Waits for the roll, within bounds, and gives the requests to one upstream.
    pub fn gather(&self, upstream: usize) -> Vec<InFlight> {
        let mut roll = self.roll();
        loop {
            let left = roll.at.map(|at| PATIENCE.saturating_sub(at.elapsed())).unwrap_or_default();
            if roll.workers_done >= self.workers || left.is_zero() {
                break;
            }
            let waited = self.answered.wait_timeout(roll, left);
            roll = waited.map(|(roll, _)| roll).unwrap_or_else(|error| error.into_inner().0);
        }
        let rows = roll.rows.iter().filter(|(of, _)| *of == upstream);
        rows.map(|(_, row)| row.clone()).collect()
    }

    /// Rates and shares of one upstream.
    pub fn traffic(&self, upstream: &str) -> Traffic {
        let rates = self.metrics.rates(upstream, Instant::now());
        let mut traffic =
            Traffic { rate: rates.now, rate_before: rates.hour_ago, ..Traffic::default() };
        let requests = self.access.recent(self.format).unwrap_or_default();
        let of = requests.iter().filter(|request| match &request.upstream {
            Some(name) => name == upstream,
            // The format does not say; where there is but one, there is no doubt.
            None => self.blocks == 1,
        });
        traffic.count(of.map(|request| Asked {
            client: &request.client,
            path: &request.path,
            agent: request.agent.as_deref(),
        }));
        traffic
    }

    /// A panic of one that held it leaves it whole enough: it is made anew at each call.
    fn roll(&self) -> MutexGuard<'_, Roll> {
        self.roll.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Site {
    /// Whether the roll was called since this was last asked: requests that are polled from now on
    /// give their names.
    pub fn hears_roll(&self) -> bool {
        let called = self.witness.called.load(Ordering::Acquire);
        let fresh = self.heard.replace(called) != called;
        if fresh {
            self.roll_is_on.set(true);
        }
        fresh
    }

    /// All requests of this worker were polled: this comes after those that were woken.
    pub fn end_roll(&self) {
        self.roll_is_on.set(false);
        self.witness.roll().workers_done += 1;
        self.witness.answered.notify_all();
    }

    /// A request that waits gives its name.
    #[cold]
    pub fn answer_roll(
        &self,
        parts: &Parts,
        host: &str,
        client: &Client,
        connection: &Connection,
        started: Instant,
    ) {
        let routes = self.routes.get(connection.listener.get());
        let Some(upstream) = routes.and_then(|routes| routes.find(host, parts.uri.path())) else {
            return;
        };
        let mut roll = self.witness.roll();
        let key = std::ptr::from_ref(parts) as usize;
        if roll.rows.len() == ROWS_MAX || !roll.known.insert(key) {
            return;
        }
        let agent = parts.headers.get(header::USER_AGENT).map(|agent| agent.as_bytes());
        let peer = || connection.peer_text.clone();
        let row = InFlight {
            method: parts.method.as_str().to_owned(),
            path: cut(parts.uri.path().as_bytes()),
            client: client.address.map_or_else(peer, |address| address.to_string()),
            agent: cut(agent.unwrap_or_default()),
            age: started.elapsed(),
            count: 1,
        };
        roll.rows.push((upstream, row));
    }
}

fn cut(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(LENGTH_MAX)]).into_owned()
}
