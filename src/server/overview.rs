//! How the whole program stands, for whoever asks beside the requests: the admin listener, the
//! service's manager.
//!
//! Decides what is ready, what fails and since when. Workers know nothing of it: it reads what they
//! count and what they share.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::SystemTime;

use crate::proxy::Pulse;
use crate::telemetry::{Gauges, Metrics, Reloaded, UpstreamGauges};
use crate::upstream::Shared;

use super::certificates::Leaf;
use super::tls::Terminator;

/// What is known of the program beside its requests.
#[derive(Debug)]
pub struct Overview {
    pub metrics: Arc<Metrics>,
    /// Client connections of all workers.
    connections: Arc<AtomicUsize>,
    tls: Arc<Terminator>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    blocks: Vec<Block>,
    phase: Phase,
    reloaded: Reloaded,
}

/// Where the program is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Starting,
    Ready,
    /// It takes no connection any more, and ends what is under way.
    Draining,
}

/// One upstream of the configuration in force.
#[derive(Debug)]
struct Block {
    name: String,
    pulse: Arc<Pulse>,
    /// Connections to its servers.
    open: Arc<AtomicUsize>,
    /// The generations of the configuration that still have requests, the one in force at the end.
    generations: Vec<Weak<Shared>>,
}

/// One upstream as it stands.
#[derive(Debug, PartialEq, Eq)]
pub struct Standing {
    pub name: String,
    pub state: Serving,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Serving {
    Serves,
    /// No server could be reached when one was last asked, as since this time.
    Fails {
        since: SystemTime,
    },
    /// Closed for planned work.
    Closed,
}

impl Overview {
    pub fn new(
        metrics: Arc<Metrics>,
        connections: Arc<AtomicUsize>,
        tls: Arc<Terminator>,
    ) -> Overview {
        let reloaded = Reloaded { succeeded: true, last_success: SystemTime::now() };
        let state = State { blocks: Vec::new(), phase: Phase::Starting, reloaded };
        Overview { metrics, connections, tls, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What panicked with it in hand left it whole: every step below does.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What counts an upstream's connections, before and after a reload.
    pub fn open(&self, name: &str) -> Arc<AtomicUsize> {
        let state = self.state();
        let block = state.blocks.iter().find(|block| block.name == name);
        block.map(|block| block.open.clone()).unwrap_or_default()
    }

    /// Another configuration is in force, with these upstreams.
    pub fn applied<'u>(&self, upstreams: impl Iterator<Item = (&'u Arc<Pulse>, &'u Arc<Shared>)>) {
        let mut state = self.state();
        let mut before = std::mem::take(&mut state.blocks);
        let block = |(pulse, shared): (&Arc<Pulse>, &Arc<Shared>)| {
            let old = before.iter_mut().find(|old| old.name == shared.name());
            let mut generations =
                old.map(|old| std::mem::take(&mut old.generations)).unwrap_or_default();
            generations.retain(|shared| shared.strong_count() > 0);
            generations.push(Arc::downgrade(shared));
            let (name, open) = (shared.name().to_owned(), shared.open());
            Block { name, pulse: pulse.clone(), open, generations }
        };
        state.blocks = upstreams.map(block).collect();
        state.reloaded = Reloaded { succeeded: true, last_success: SystemTime::now() };
        if state.phase == Phase::Starting {
            state.phase = Phase::Ready;
        }
    }

    /// A configuration could not be put into force.
    pub fn refused(&self) {
        self.state().reloaded.succeeded = false;
    }

    pub fn drains(&self) {
        self.state().phase = Phase::Draining;
    }

    pub fn phase(&self) -> Phase {
        self.state().phase
    }

    /// Each upstream of the configuration in force, in its order.
    pub fn standings(&self) -> Vec<Standing> {
        let standing = |block: &Block| Standing {
            name: block.name.clone(),
            state: match (self.metrics.is_closed(&block.name), block.pulse.unreached_since()) {
                (true, _) => Serving::Closed,
                (false, Some(since)) => Serving::Fails { since },
                (false, None) => Serving::Serves,
            },
        };
        self.state().blocks.iter().map(standing).collect()
    }

    /// Every certificate in force: its names, or its file where it has none, and when it is valid.
    pub fn certificates(&self) -> Vec<(String, Range<SystemTime>)> {
        let shelf = self.tls.shelf();
        let valid = |leaf: &Leaf| leaf.pair.not_before..leaf.pair.not_after;
        shelf.leaves().iter().map(|leaf| (leaf.shown(), valid(leaf))).collect()
    }

    /// What is measured, not counted.
    pub fn gauges(&self) -> Gauges {
        let (certificates, handshakes_failed) = (self.certificates(), self.tls.log.failed());
        let state = self.state();
        let of_block = |block: &Block| {
            let shared = || block.generations.iter().filter_map(Weak::upgrade);
            UpstreamGauges {
                name: block.name.clone(),
                is_up: block.pulse.unreached_since().is_none(),
                in_flight: shared().map(|shared| shared.in_flight()).sum(),
                waiting: shared().map(|shared| shared.waiting()).sum(),
                open: block.open.load(Relaxed),
            }
        };
        Gauges {
            upstreams: state.blocks.iter().map(of_block).collect(),
            client_connections: self.connections.load(Relaxed),
            reloaded: state.reloaded,
            is_draining: state.phase == Phase::Draining,
            certificates,
            handshakes_failed,
        }
    }
}
