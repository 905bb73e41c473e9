//! `causeway run`: the proxy from its start to the signal that ends it.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::config::{self, Config, LoadError};
use crate::diagnose::Event;
use crate::server::{self, Afterwards, Handed, Running, StartError};
use crate::service::{self, Failures, Manager, Passed, Watchdog};
use crate::telemetry::Notice;

use super::signals::{Heard, Signals};
use super::{chain, code_of_load, code_of_start, not_started, refused, trace};

/// How often the main thread looks after what nobody calls on it for.
const ROUND: Duration = Duration::from_millis(500);
/// The status line changes at most so often.
const STATUS_EVERY: Duration = Duration::from_secs(3);
/// While it drains, it looks more often whether that is over.
const DRAIN_ROUND: Duration = Duration::from_millis(20);
/// So much longer than the drain may the whole end take.
const END_MARGIN: Duration = Duration::from_secs(10);

pub fn run(path: &Path) -> ExitCode {
    // Before there is any other thread.
    let passed = match service::passed() {
        Ok(passed) => passed,
        Err(name) => return not_started(&StartError::NotListening { name }),
    };
    let config = match config::load(path, server::prove) {
        Ok(config) => config,
        Err(error) => return refused(&error),
    };
    trace(config.log.level);
    // Signals are heard from before there is anything to end.
    let signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => return not_started(&StartError::Thread(error)),
    };
    let manager = Manager::new();
    let handed = still_wanted(passed, &config, &manager);
    let running = match server::start_with(config, handed) {
        Ok(running) => running,
        Err(error) => return not_started(&error),
    };
    Service::new(running, manager, path).attend(signals)
}

/// Closes our own stored sockets that are not listened on any more, here and in the store.
fn still_wanted(passed: Vec<Passed>, config: &Config, manager: &Manager) -> Vec<Handed> {
    let mut wanted = Vec::new();
    let mut are_all = true;
    for Passed { name, socket } in passed {
        let handed = Handed { name, socket };
        match handed.unwanted(config) {
            None => wanted.push(handed),
            Some(address) => {
                tracing::info!("no longer listening on {address}");
                manager.forget(&address);
                are_all = false;
            }
        }
    }
    if !are_all {
        manager.settle();
    }
    wanted
}

/// The proxy and those whom it tells how it is doing.
struct Service<'a> {
    running: Running,
    manager: Manager,
    watchdog: Option<Watchdog>,
    failures: Failures,
    path: &'a Path,
    /// Why the last reload was refused, on one line; `None` once one was not.
    refused: Option<String>,
    status_at: Instant,
    /// The workers that were stuck when a sign of life was due.
    stuck: Vec<String>,
}

impl Service<'_> {
    fn new(running: Running, manager: Manager, path: &Path) -> Service<'_> {
        let now = Instant::now();
        let limit = service::watchdog_limit();
        Service {
            running,
            manager,
            watchdog: limit.map(|limit| Watchdog::new(limit, now)),
            failures: Failures::default(),
            path,
            refused: None,
            status_at: now,
            stuck: Vec::new(),
        }
    }

    /// Serves until a signal ends it: HUP reloads, USR1 reopens the log, TERM and QUIT drain, USR2
    /// drains and leaves the sockets to the process that comes next, INT ends.
    fn attend(mut self, mut signals: Signals) -> ExitCode {
        let control = service::listen().and_then(|control| match control {
            Some(control) => signals.attend(control),
            None => Ok(()),
        });
        if let Err(error) = control {
            tracing::warn!(%error, "`causeway reload` will find nobody to ask");
        }
        self.announce();
        let text = format!("started with {}", self.path.display());
        Notice::info(Event::Started, &text).tell();
        self.show_status();
        self.manager.ready();
        loop {
            match signals.next_within(ROUND) {
                None => {}
                Some(Heard::Reload(asker)) => {
                    let outcome = self.reload();
                    if let Some(asker) = asker {
                        let (code, text) = outcome.err().unwrap_or_default();
                        asker.answer(code, &text);
                    }
                }
                Some(Heard::Reopen) => self.running.reopen_logs(),
                // Where nobody stores our sockets, nobody takes them over.
                Some(Heard::HandOver) if self.manager.is_there() => {
                    return self.drain(signals, Afterwards::Kept);
                }
                Some(Heard::Drain | Heard::HandOver) => {
                    return self.drain(signals, Afterwards::Closed);
                }
                Some(Heard::End) => {
                    self.manager.stopping();
                    self.running.abort();
                    return ExitCode::SUCCESS;
                }
            }
            self.look_after();
        }
    }

    /// Tells where it listens, and has the sockets stored that are new.
    fn announce(&mut self) {
        let changes = self.running.take_changes();
        for address in &changes.gone {
            self.manager.forget(address);
        }
        for (address, socket) in &changes.bound {
            self.manager.store(address, socket);
        }
        for address in self.running.addresses() {
            tracing::info!("listening on {address}");
        }
        for address in self.running.admin_addresses() {
            tracing::info!("metrics and health on {address}");
        }
    }

    /// Everything is read, proven and bound before anything changes; any error leaves what runs as
    /// it is: an exit code for it, and everything that is wrong.
    fn reload(&mut self) -> Result<(), (u8, String)> {
        self.manager.reloading();
        let outcome = self.take_new();
        match &outcome {
            Ok(()) => {
                self.refused = None;
                let text = format!("reloaded {}", self.path.display());
                Notice::info(Event::Reloaded, &text).tell();
                self.announce();
            }
            Err((_, text)) => {
                let text = format!("the old configuration stays in force: {text}");
                Notice::error(Event::ReloadFailed, &text).tell();
            }
        }
        self.show_status();
        self.manager.ready();
        outcome
    }

    fn take_new(&mut self) -> Result<(), (u8, String)> {
        let config = config::load(self.path, server::prove).map_err(|error| {
            self.running.note_refused();
            self.refused = Some(in_short(&error));
            // The problems begin a line of their own.
            let text = chain(&error);
            let text =
                if matches!(error, LoadError::Problems(_)) { format!("\n{text}") } else { text };
            (code_of_load(&error), text)
        })?;
        self.running.reload(config).map_err(|error| {
            self.refused = Some(chain(&error));
            (code_of_start(&error), chain(&error))
        })
    }

    /// What is due again and again: a sign of life, and the status line.
    fn look_after(&mut self) {
        let now = Instant::now();
        if let Some(watchdog) = self.watchdog.as_mut().filter(|watchdog| watchdog.is_due(now)) {
            let stuck = self.running.stuck();
            if stuck.is_empty() {
                self.manager.alive();
                watchdog.given(now);
            } else if self.stuck != stuck {
                // systemd kills the process soon, and says no more than that it was the watchdog.
                tracing::error!("no sign of life for systemd: {} is stuck", stuck.join(", "));
            }
            self.stuck = stuck;
        }
        if self.manager.is_there() && now.duration_since(self.status_at) >= STATUS_EVERY {
            self.show_status();
        }
    }

    fn show_status(&mut self) {
        self.status_at = Instant::now();
        let recent = self.failures.recent(self.status_at, self.running.failures());
        let upstreams = self.running.config().upstreams.len();
        self.manager.status(&service::line(upstreams, &recent, self.refused.as_deref()));
    }

    /// Ends once what is under way is done, or the configured time is over.
    fn drain(mut self, mut signals: Signals, afterwards: Afterwards) -> ExitCode {
        Notice::info(Event::Draining, "draining").tell();
        self.manager.stopping();
        let limit = self.running.config().drain_timeout;
        self.manager.status(&format!("ends once its requests are done, within {limit:?}"));
        // The unit's TimeoutStopSec= knows nothing of the configuration.
        self.manager.stopping_takes(limit + END_MARGIN);
        if afterwards == Afterwards::Closed {
            // They close with our copies then, and no client knocks in vain for longer.
            self.running.addresses().iter().for_each(|address| self.manager.forget(address));
        }
        self.running.begin_stop(afterwards);
        while !self.running.has_ended() {
            match signals.next_within(DRAIN_ROUND) {
                Some(Heard::End) => {
                    self.running.abort();
                    return ExitCode::SUCCESS;
                }
                Some(Heard::Reopen) => self.running.reopen_logs(),
                Some(Heard::Reload(Some(asker))) => {
                    asker.answer(super::EX_UNAVAILABLE, "the service is ending");
                }
                Some(Heard::Reload(None) | Heard::HandOver | Heard::Drain) | None => {}
            }
            // Workers that have ended beat no more; the drain has its own limit.
            self.manager.alive();
        }
        self.running.join();
        ExitCode::SUCCESS
    }
}

/// The first mistake on one line.
fn in_short(error: &LoadError) -> String {
    let LoadError::Problems(problems) = error else { return chain(error) };
    let rows = problems.rows();
    let more = rows.len().saturating_sub(1);
    match rows.first() {
        Some(row) if more == 0 => {
            format!("{}:{}:{}: {}", row.file, row.line, row.column, row.message)
        }
        Some(row) => {
            let (file, line, column) = (&row.file, row.line, row.column);
            format!("{file}:{line}:{column}: {}, and {more} more", row.message)
        }
        None => chain(error),
    }
}
