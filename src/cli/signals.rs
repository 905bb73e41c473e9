//! The signals that mean something to us, one after the other.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that mean something to us.
pub struct Signals {
    runtime: tokio::runtime::Runtime,
    /// HUP, USR1, TERM, QUIT, INT.
    streams: [Signal; 5],
}

pub enum Heard {
    Reload,
    Reopen,
    Drain,
    End,
}

impl Signals {
    pub fn new() -> io::Result<Signals> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let streams = {
            let _entered = runtime.enter();
            [
                signal(SignalKind::hangup())?,
                signal(SignalKind::user_defined1())?,
                signal(SignalKind::terminate())?,
                signal(SignalKind::quit())?,
                signal(SignalKind::interrupt())?,
            ]
        };
        Ok(Signals { runtime, streams })
    }

    pub fn next(&mut self) -> Heard {
        let [hangup, reopen, terminate, quit, interrupt] = &mut self.streams;
        self.runtime.block_on(async {
            tokio::select! {
                _ = hangup.recv() => Heard::Reload,
                _ = reopen.recv() => Heard::Reopen,
                _ = terminate.recv() => Heard::Drain,
                _ = quit.recv() => Heard::Drain,
                _ = interrupt.recv() => Heard::End,
            }
        })
    }
}
