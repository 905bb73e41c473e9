//! `causeway run`: the proxy from its start to the signal that ends it.

use std::path::Path;
use std::process::ExitCode;

use crate::config;
use crate::diagnose::Event;
use crate::server::{self, Running, StartError};
use crate::telemetry::Notice;

use super::signals::{Heard, Signals};
use super::{chain, not_started, refused, trace};

pub fn run(path: &Path) -> ExitCode {
    let config = match config::load(path, server::prove) {
        Ok(config) => config,
        Err(error) => return refused(&error),
    };
    trace(config.log.level);
    let running = match server::start(config) {
        Ok(running) => running,
        Err(error) => return not_started(&error),
    };
    say_where(&running);
    Notice::info(Event::Started, &format!("started with {}", path.display())).tell();
    attend(running, path)
}

/// Serves until a signal ends it: HUP reloads, USR1 reopens the log, TERM and QUIT drain, INT ends.
fn attend(mut running: Running, path: &Path) -> ExitCode {
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => return not_started(&StartError::Thread(error)),
    };
    loop {
        match signals.next() {
            Heard::Reload => reload(&mut running, path),
            Heard::Reopen => running.reopen_logs(),
            Heard::Drain => {
                Notice::info(Event::Draining, "draining").tell();
                running.stop();
                return ExitCode::SUCCESS;
            }
            Heard::End => {
                running.abort();
                return ExitCode::SUCCESS;
            }
        }
    }
}

/// Everything is read, proven and bound before anything changes; any error leaves what runs as it
/// is.
fn reload(running: &mut Running, path: &Path) {
    let config = match config::load(path, server::prove) {
        Ok(config) => config,
        Err(error) => {
            running.note_refused();
            return not_reloaded(&format!("\n{}", chain(&error)));
        }
    };
    match running.reload(config) {
        Ok(()) => {
            Notice::info(Event::Reloaded, &format!("reloaded {}", path.display())).tell();
            say_where(running);
        }
        Err(error) => not_reloaded(&format!(" {}", chain(&error))),
    }
}

fn not_reloaded(why: &str) {
    let text = format!("the old configuration stays in force:{why}");
    Notice::error(Event::ReloadFailed, &text).tell();
}

fn say_where(running: &Running) {
    for address in running.addresses() {
        tracing::info!("listening on {address}");
    }
    for address in running.admin_addresses() {
        tracing::info!("metrics and health on {address}");
    }
}
