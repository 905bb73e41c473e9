//! `causeway demo`: the rig, the proxies before it, and where to look.

use std::process::ExitCode;

use crate::cli;
use crate::config::{AccessLog, Level, Log};
use crate::server::{self, Running, StartError};

use super::{FIRST_PORT, Options, Ports, rig};

/// Runs the demonstration until it is told to stop.
pub fn run() -> ExitCode {
    cli::trace(Level::Warn);
    let log = Log { access: AccessLog::Off, ..Log::default() };
    let mut rig = match rig(Options { ports: Ports::From(FIRST_PORT), log }) {
        Ok(rig) => rig,
        Err(error) => return cli::not_started(&StartError::Thread(error)),
    };
    let configs = std::mem::take(&mut rig.configs);
    let mut running: Vec<Running> = Vec::with_capacity(configs.len());
    for (_, config) in configs {
        match server::start(config) {
            Ok(one) => running.push(one),
            Err(error) => return cli::not_started(&error),
        }
    }
    println!("The demonstration is at http://127.0.0.1:{FIRST_PORT}/");
    println!(
        "Each failure is linked there as a visitor and as an operator sees it. Ctrl-C ends it."
    );
    cli::wait_for_end();
    for one in running {
        one.abort();
    }
    ExitCode::SUCCESS
}
