//! ROOM 6: downstream. Listeners, TLS, workers, connections, limits, reload and drain.
//!
//! [`start`] takes a proven configuration and gives a handle; a reload builds and binds everything
//! before any worker hears of it, so that a failed one changes nothing.

#[cfg(feature = "acme")]
mod acme;
mod admin;
mod certificates;
pub(crate) mod chunks;
mod date;
pub(crate) mod gate;
mod handshake;
mod health;
pub(crate) mod http1;
mod http2;
mod listener;
mod overview;
mod proxied;
pub(crate) mod proxy_header;
mod renewal;
mod sockets;
mod tls;
mod transport;
mod worker;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use crate::clock::Ticker;
use crate::config::{self, Config, ListenAddress, Objection};
use crate::diagnose::{self, Code};
use crate::proxy::{Challenges, Common, Pages, Pulse, Surroundings, Watch, Witness};
use crate::telemetry::{AccessWriter, CauseLabels, Incidents, Metrics};
use crate::upstream::Shared;

pub use sockets::{Changes, Handed};

use admin::Admin;
use overview::Overview;
use renewal::Renewal;
use sockets::Sockets;
use tls::Terminator;
use worker::{Generation, Order};

/// Why a configuration could not be put into force.
#[derive(Debug, Error)]
pub enum StartError {
    #[error("cannot listen on {address}")]
    Bind {
        address: ListenAddress,
        #[source]
        source: io::Error,
    },
    #[error(
        "no socket named `{name}` was passed to this process: a socket unit does that, such as \
         causeway.socket, with FileDescriptorName={name}"
    )]
    NotPassed { name: String },
    /// What Accept=yes in a socket unit, or a datagram socket, comes to.
    #[error(
        "the socket passed as `{name}` is not one that accepts connections: its socket unit needs \
         ListenStream= and Accept=no"
    )]
    NotListening { name: String },
    #[error("the socket passed as `{name}` cannot be used")]
    Passed {
        name: String,
        #[source]
        source: io::Error,
    },
    #[error("cannot open the access log")]
    AccessLog(#[source] io::Error),
    #[error("cannot start a worker thread")]
    Thread(#[source] io::Error),
    /// The number of workers is fixed when the program starts.
    #[error("`workers` cannot change from {from} to {to} without a restart")]
    Workers { from: usize, to: usize },
    /// What `config::load` would have told with its place.
    #[error("a certificate cannot be served: {}", first_fault(.0))]
    Certificate(Vec<config::PairFault>),
    /// Account, keys and certificates by ACME are kept there.
    #[cfg(feature = "acme")]
    #[error("cannot keep certificates in {folder}")]
    AcmeState {
        folder: String,
        #[source]
        source: io::Error,
    },
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
    /// What [`prove`] would have told with its place.
    #[error("the words of the configuration are wrong: {}", first(.0))]
    Pages(Vec<Objection>),
}

fn first(objections: &[Objection]) -> &str {
    objections.first().map_or("", |objection| &objection.problem.message)
}

fn first_fault(faults: &[config::PairFault]) -> &str {
    faults.first().map_or("", |wrong| &wrong.fault.message)
}

/// What is to be told of certificates that can be served, a line each: dates, keys that are open.
pub fn remarks(config: &Config) -> Vec<String> {
    let now = SystemTime::now();
    let mut lines = Vec::new();
    for files in &config.tls.certificates {
        let pair = config::read_pair(files).map(|pair| pair.remarks(now)).unwrap_or_default();
        let line = |remark| format!("the certificate `{}` {remark}", files.chain.display());
        lines.extend(pair.iter().map(line));
    }
    lines
}

/// What is wrong with the words and pages that a configuration names: what `config::load` asks.
pub fn prove(page: &config::Page) -> Vec<Objection> {
    Pages::of(page).err().unwrap_or_default()
}

/// A running proxy. Dropping it ends the workers without a drain.
#[derive(Debug)]
pub struct Running {
    config: Arc<Config>,
    access: AccessWriter,
    tls: Arc<Terminator>,
    /// What authorities of certificates are answered, while they ask.
    challenges: Arc<Challenges>,
    incidents: Arc<Incidents>,
    #[cfg(feature = "acme")]
    keeper: Option<acme::Keeper>,
    /// Where there are certificates.
    renewal: Option<Renewal>,
    sockets: Sockets,
    /// What becomes of them, once a stop has begun.
    stopping: Option<Afterwards>,
    /// What nobody has taken yet.
    changes: Changes,
    /// Of each upstream, by its name: since when it fails outlives a reload. Requests that come to
    /// none have the empty name.
    pulses: HashMap<String, Arc<Pulse>>,
    overview: Arc<Overview>,
    admin: Admin,
    workers: Vec<(mpsc::UnboundedSender<Order>, JoinHandle<io::Result<()>>)>,
}

/// What becomes of the listening sockets of our own when the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Afterwards {
    /// They close once nobody waits at them.
    Closed,
    /// A process after this one takes them over, and whoever waits at them.
    Kept,
}

/// Binds, starts the workers, and returns once every one of them accepts.
///
/// # Errors
/// What could not be bound, opened or started.
pub fn start(config: Config) -> Result<Running, StartError> {
    start_with(config, Vec::new())
}

/// The same with sockets that were handed to this process: they are used in place of binding.
///
/// # Errors
/// What could not be used, bound, opened or started.
pub fn start_with(config: Config, handed: Vec<Handed>) -> Result<Running, StartError> {
    let sockets = Sockets::new(handed)?;
    let metrics = Arc::new(Metrics::new(cause_labels(), config.workers));
    let access = open_log(&config, &metrics)?;
    let tls = Arc::new(Terminator::new().map_err(StartError::Tls)?);
    let connections = Arc::new(AtomicUsize::new(0));
    let mut workers = Vec::new();
    let mut ticker = Ticker::default();
    for number in 0..config.workers {
        let (orders, inbox) = mpsc::unbounded_channel();
        let (connections, ticks) = (connections.clone(), ticker.subscribe());
        let tls = tls.clone();
        let tally = metrics.worker(number);
        let thread = std::thread::Builder::new()
            .name(worker_name(number))
            .spawn(move || worker::run(inbox, connections, tls, ticks, tally))
            .map_err(StartError::Thread)?;
        workers.push((orders, thread));
    }
    ticker.start().map_err(StartError::Thread)?;
    let overview = Arc::new(Overview::new(metrics, connections, tls.clone()));
    let config = Arc::new(config);
    let mut running = Running {
        config: config.clone(),
        access: access.clone(),
        tls,
        challenges: Arc::default(),
        incidents: Arc::new(Incidents::start()),
        #[cfg(feature = "acme")]
        keeper: None,
        renewal: None,
        sockets,
        stopping: None,
        changes: Changes::default(),
        pulses: HashMap::new(),
        overview,
        admin: Admin::default(),
        workers,
    };
    running.apply(config, access)?;
    Ok(running)
}

fn open_log(config: &Config, metrics: &Metrics) -> Result<AccessWriter, StartError> {
    let dropped = metrics.lines_dropped.clone();
    AccessWriter::start(&config.log.access, dropped).map_err(StartError::AccessLog)
}

fn worker_name(number: usize) -> String {
    format!("worker-{number}")
}

/// The catalogue's causes as they are counted, in their order.
fn cause_labels() -> Vec<CauseLabels> {
    let labels = |code: Code| CauseLabels {
        name: code.name(),
        blame: diagnose::entry(code).blame.into(),
        is_planned: code == Code::Maintenance,
    };
    Code::all().map(labels).collect()
}

impl Running {
    /// The addresses in the configuration's order, as bound.
    pub fn addresses(&self) -> Vec<ListenAddress> {
        self.sockets.addresses().cloned().collect()
    }

    /// What has changed about our own sockets since this was asked for last.
    pub fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }

    /// Where metrics and health are told, in the configuration's order, as bound.
    pub fn admin_addresses(&self) -> Vec<ListenAddress> {
        self.admin.addresses().cloned().collect()
    }

    /// The configuration in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Every certificate in force: its names, or its file where it has none, and its end.
    pub fn certificates(&self) -> Vec<(String, Range<SystemTime>)> {
        self.overview.certificates()
    }

    /// Puts another configuration into force. Connections and requests under way go on; listeners
    /// that stay are kept.
    ///
    /// # Errors
    /// What could not be bound or opened; the old configuration stays in force, whole.
    pub fn reload(&mut self, config: Config) -> Result<(), StartError> {
        let outcome = self.replace(config);
        if outcome.is_err() {
            self.overview.refused();
        }
        outcome
    }

    /// Notes that what was to be reloaded was no configuration.
    pub fn note_refused(&self) {
        self.overview.refused();
    }

    fn replace(&mut self, config: Config) -> Result<(), StartError> {
        if config.workers != self.config.workers {
            let (from, to) = (self.config.workers, config.workers);
            return Err(StartError::Workers { from, to });
        }
        let access = match config.log.access == self.config.log.access {
            true => self.access.clone(),
            false => open_log(&config, &self.overview.metrics)?,
        };
        self.apply(Arc::new(config), access)
    }

    fn apply(&mut self, config: Arc<Config>, access: AccessWriter) -> Result<(), StartError> {
        let pages = Arc::new(Pages::of(&config.page).map_err(StartError::Pages)?);
        #[cfg(feature = "acme")]
        self.prepare_acme(config.tls.acme.as_ref())?;
        let shelf = self.tls.read(&config.tls).map_err(StartError::Certificate)?;
        if !config.tls.certificates.is_empty() && self.renewal.is_none() {
            let renewal = Renewal::start(self.tls.clone()).map_err(StartError::Thread)?;
            self.renewal = Some(renewal);
        }
        let mut plan = self.sockets.plan(&config, self.workers.len())?;
        let tcp = |bound: &ListenAddress| match bound {
            ListenAddress::Tcp(address) => Some(*address),
            ListenAddress::Unix(_) | ListenAddress::Systemd(_) => None,
        };
        let own: Arc<[SocketAddr]> = plan.addresses().filter_map(tcp).collect();
        let shared: Vec<_> = config
            .upstreams
            .iter()
            .map(|upstream| {
                let open = self.overview.open(&upstream.name);
                Arc::new(Shared::new(upstream.clone(), own.clone(), open))
            })
            .collect();
        let watches = shared.iter().map(|_| Arc::new(Watch::default())).collect();
        let pulse = |name: &String| self.pulses.get(name).cloned().unwrap_or_default();
        let names = config.upstreams.iter().map(|block| block.name.clone());
        let names: Vec<String> = names.chain([String::new()]).collect();
        let pulses: Vec<_> = names.iter().map(pulse).collect();
        let challenges = self.challenges.clone();
        let metrics = self.overview.metrics.clone();
        let witness = Arc::new(Witness::new(&config, metrics, access.clone()));
        let known = shared.iter().zip(&pulses);
        let surroundings = Surroundings::of(&config, &own, known, &witness);
        let incidents = self.incidents.clone();
        let common =
            Common { shared, watches, surroundings, witness, pulses, pages, challenges, incidents };
        let admin = match config.admin == self.admin.config {
            true => None,
            false => Some(Admin::start(&config.admin, &self.admin, &self.overview)?),
        };
        // From here on nothing can fail: every worker takes the new generation.
        renewal::warn(&shelf);
        self.tls.replace(shelf);
        let mut applied = Vec::new();
        let blocks = config.upstreams.iter().map(|block| block.name.as_str());
        let counts = self.overview.metrics.counts(blocks);
        let shares = std::mem::take(&mut plan.workers);
        for (((orders, _), listeners), counts) in self.workers.iter().zip(shares).zip(counts) {
            let (tell, told) = oneshot::channel();
            let generation = Box::new(Generation {
                config: config.clone(),
                common: common.clone(),
                counts,
                listeners,
                access: access.clone(),
            });
            let _ = orders.send(Order::Apply { generation, applied: tell });
            applied.push(told);
        }
        for told in applied {
            let _ = told.blocking_recv();
        }
        let changes = self.sockets.commit(plan);
        let gone = changes.gone.iter();
        remove_files(gone.filter(|address| !self.sockets.is_held(address)));
        self.changes.add(changes);
        if let Some(admin) = admin {
            self.admin.give_way_to(admin);
        }
        self.overview.applied(common.pulses.iter().zip(&common.shared));
        for (name, pulse) in self.pulses.iter().filter(|(name, _)| !names.contains(name)) {
            pulse.close(name, &self.incidents);
        }
        self.pulses = names.into_iter().zip(common.pulses).collect();
        (self.config, self.access) = (config, access);
        #[cfg(feature = "acme")]
        if let Some(keeper) = &self.keeper {
            keeper.apply(self.config.tls.acme.clone());
        }
        Ok(())
    }

    /// What certificates by ACME need before a listener can show them.
    #[cfg(feature = "acme")]
    fn prepare_acme(&mut self, wanted: Option<&config::Acme>) -> Result<(), StartError> {
        let Some(wanted) = wanted else { return Ok(()) };
        acme::prepare(wanted).map_err(|source| {
            let folder = wanted.folder().display().to_string();
            StartError::AcmeState { folder, source }
        })?;
        if self.keeper.is_none() {
            let keeper = acme::Keeper::start(self.challenges.clone(), self.tls.clone());
            self.keeper = Some(keeper.map_err(StartError::Thread)?);
        }
        Ok(())
    }

    /// Upstream, cause and number of every failure since the start, but for what was the clients'
    /// own; `none` stands for requests that reached no upstream.
    pub fn failures(&self) -> Vec<(String, &'static str, u64)> {
        self.overview.metrics.failures()
    }

    /// The workers that are stuck: seconds have passed since they last looked at their clock.
    pub fn stuck(&self) -> Vec<String> {
        self.overview.metrics.stuck().into_iter().map(worker_name).collect()
    }

    /// Opens the access log's file anew.
    pub fn reopen_logs(&self) {
        self.access.reopen();
    }

    /// Accepts nothing more, waits for what is under way up to the configured deadline, and ends.
    pub fn stop(mut self) {
        self.begin_stop(Afterwards::Closed);
        self.join();
    }

    /// Ends at once, also what [`Running::begin_stop`] has begun.
    pub fn abort(mut self) {
        // Sockets that were to be kept are in other hands by now, with their files.
        let afterwards = self.stopping.unwrap_or(Afterwards::Closed);
        self.order_stop(Duration::ZERO, afterwards);
        self.join();
    }

    /// Has the workers end as [`Running::stop`] does, and returns at once; [`Running::has_ended`]
    /// tells when they have.
    pub fn begin_stop(&mut self, afterwards: Afterwards) {
        self.order_stop(self.config.drain_timeout, afterwards);
    }

    fn order_stop(&mut self, deadline: Duration, afterwards: Afterwards) {
        self.stopping = Some(afterwards);
        // An order that is under way is taken up at the next start.
        #[cfg(feature = "acme")]
        drop(self.keeper.take());
        self.overview.drains();
        if afterwards == Afterwards::Closed {
            // First: nobody finds a Unix listener after this, and whoever found it is served.
            self.sockets.files().for_each(|path| drop(std::fs::remove_file(path)));
        }
        for (orders, _) in &self.workers {
            let _ = orders.send(Order::Stop { deadline, afterwards });
        }
    }

    /// Whether every worker has ended.
    pub fn has_ended(&self) -> bool {
        self.workers.iter().all(|(_, thread)| thread.is_finished())
    }

    /// Waits for the workers' end and writes what is left of the log.
    pub fn join(mut self) {
        for (_, thread) in std::mem::take(&mut self.workers) {
            match thread.join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "a worker had no runtime"),
                Err(_panic) => tracing::error!("a worker panicked"),
            }
        }
        for (name, pulse) in &self.pulses {
            pulse.close(name, &self.incidents);
        }
        self.incidents.flush();
        self.admin.give_way_to(Admin::default());
        self.access.close();
    }
}

/// Takes away the files of Unix listeners of our own that are no longer wanted.
fn remove_files<'a>(gone: impl Iterator<Item = &'a ListenAddress>) {
    for address in gone {
        if let ListenAddress::Unix(path) = address {
            let _ = std::fs::remove_file(path);
        }
    }
}
