//! What may call on the program while it runs, one after the other: signals, and whoever asks for
//! a reload and wants to know what becomes of it.

use std::io;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::service::Asker;

/// The signals that mean something to us, and the control socket.
pub struct Signals {
    runtime: tokio::runtime::Runtime,
    /// HUP, USR1, USR2, TERM, QUIT, INT.
    streams: [Signal; 6],
    control: Option<tokio::net::UnixListener>,
}

pub enum Heard {
    /// Asked for by a signal, or by somebody who waits for the outcome.
    Reload(Option<Asker>),
    Reopen,
    /// Drain; a process after this one takes our sockets over.
    HandOver,
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
                signal(SignalKind::user_defined2())?,
                signal(SignalKind::terminate())?,
                signal(SignalKind::quit())?,
                signal(SignalKind::interrupt())?,
            ]
        };
        Ok(Signals { runtime, streams, control: None })
    }

    /// Listens to those who ask at a socket too.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn attend(&mut self, control: UnixListener) -> io::Result<()> {
        let _entered = self.runtime.enter();
        self.control = Some(tokio::net::UnixListener::from_std(control)?);
        Ok(())
    }

    pub fn next(&mut self) -> Heard {
        loop {
            if let Some(heard) = self.next_within(Duration::MAX) {
                return heard;
            }
        }
    }

    /// The next that comes within a time; `None` if nothing does.
    pub fn next_within(&mut self, limit: Duration) -> Option<Heard> {
        let [hangup, reopen, hand_over, terminate, quit, interrupt] = &mut self.streams;
        let control = &self.control;
        let asked = async {
            match control {
                Some(control) => match control.accept().await {
                    Ok((stream, _)) => {
                        let asker = stream.into_std().ok().and_then(Asker::hear);
                        asker.map(|asker| Heard::Reload(Some(asker)))
                    }
                    // Out of descriptors, and it would fail again at once.
                    Err(_) => std::future::pending().await,
                },
                None => std::future::pending().await,
            }
        };
        let heard = async {
            tokio::select! {
                _ = hangup.recv() => Some(Heard::Reload(None)),
                _ = reopen.recv() => Some(Heard::Reopen),
                _ = hand_over.recv() => Some(Heard::HandOver),
                _ = terminate.recv() => Some(Heard::Drain),
                _ = quit.recv() => Some(Heard::Drain),
                _ = interrupt.recv() => Some(Heard::End),
                heard = asked => heard,
            }
        };
        self.runtime.block_on(async { tokio::time::timeout(limit, heard).await.ok().flatten() })
    }
}
