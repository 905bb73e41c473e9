//! The service manager at the other end of NOTIFY_SOCKET (sd_notify(3)).
//!
//! A message that cannot be sent is told in the log once: the service goes on without it.

use std::cell::{Cell, RefCell};
use std::fmt::Write;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use sd_notify::NotifyState;

use crate::config::ListenAddress;

/// Names of stored sockets begin so.
const OURS: &str = "stored-";
/// A longer line is cut: `systemctl status` shows one.
const STATUS_CHARS_MAX: usize = 400;
/// systemd answers at once, unless it is stuck itself.
const SETTLED_WITHIN: Duration = Duration::from_secs(5);

/// What systemd is told. Does nothing where nobody listens.
#[derive(Debug)]
pub struct Manager {
    is_there: bool,
    status: RefCell<String>,
    has_failed: Cell<bool>,
}

/// Whether a passed socket is one that we had stored, by its name.
pub fn is_ours(name: &str) -> bool {
    name.starts_with(OURS)
}

impl Manager {
    /// The one that started this process, if any.
    pub fn new() -> Manager {
        let is_there = std::env::var_os("NOTIFY_SOCKET").is_some_and(|path| !path.is_empty());
        Manager { is_there, status: RefCell::default(), has_failed: Cell::new(false) }
    }

    /// Whether anybody hears what is told here.
    pub fn is_there(&self) -> bool {
        self.is_there
    }

    /// Every worker accepts, also after a reload.
    pub fn ready(&self) {
        self.tell(&[NotifyState::Ready]);
    }

    /// A reload begins; [`Manager::ready`] ends it, whatever became of it.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.tell(&[NotifyState::Reloading, now]),
            Err(error) => self.failed(&error),
        }
    }

    /// The process ends.
    pub fn stopping(&self) {
        self.tell(&[NotifyState::Stopping]);
    }

    /// Says that the end takes up to `more` from now.
    pub fn stopping_takes(&self, more: Duration) {
        let micros = u32::try_from(more.as_micros()).unwrap_or(u32::MAX);
        self.tell(&[NotifyState::ExtendTimeoutUsec(micros)]);
    }

    /// Says how the service is doing, if that has changed.
    pub fn status(&self, line: &str) {
        let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let line: String = line.chars().take(STATUS_CHARS_MAX).collect();
        if *self.status.borrow() != line {
            self.tell(&[NotifyState::Status(&line)]);
            self.status.replace(line);
        }
    }

    /// A sign of life, for the watchdog.
    pub fn alive(&self) {
        self.tell(&[NotifyState::Watchdog]);
    }

    /// Has a socket kept beyond this process: the next one is given it.
    pub fn store(&self, address: &ListenAddress, socket: &OwnedFd) {
        let name = stored_name(address);
        let message = [NotifyState::FdStore, NotifyState::FdName(&name)];
        if self.is_there
            && let Err(error) = sd_notify::notify_with_fds(&message, &[socket.as_fd()])
        {
            self.failed(&error);
        }
    }

    /// Takes an address' sockets out of the store.
    pub fn forget(&self, address: &ListenAddress) {
        let name = stored_name(address);
        self.tell(&[NotifyState::FdStoreRemove, NotifyState::FdName(&name)]);
    }

    /// Waits until systemd has done what it was told so far; not for long.
    pub fn settle(&self) {
        if self.is_there
            && let Err(error) = barrier()
        {
            self.failed(&error);
        }
    }

    fn tell(&self, message: &[NotifyState<'_>]) {
        if self.is_there
            && let Err(error) = sd_notify::notify(message)
        {
            self.failed(&error);
        }
    }

    fn failed(&self, error: &io::Error) {
        if !self.has_failed.replace(true) {
            tracing::warn!(%error, "systemd cannot be told how the service is doing");
        }
    }
}

/// sd_notify_barrier(3): systemd closes the descriptor that comes with it once it gets there.
fn barrier() -> io::Result<()> {
    let (mut ours, theirs) = UnixStream::pair()?;
    ours.set_read_timeout(Some(SETTLED_WITHIN))?;
    sd_notify::notify_with_fds(&[NotifyState::Custom("BARRIER=1")], &[theirs.as_fd()])?;
    drop(theirs);
    ours.read_to_end(&mut Vec::new()).map(drop)
}

/// An address as the name of a stored socket: systemd takes up to 255 printable characters of
/// ASCII, and no colon.
fn stored_name(address: &ListenAddress) -> String {
    let mut name = OURS.to_owned();
    for byte in address.to_string().bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'/' | b'[' | b']' => {
                name.push(char::from(byte));
            }
            // A String takes whatever is written.
            byte => drop(write!(name, "_{byte:02x}")),
        }
    }
    // Only a path of hundreds of odd bytes is cut; two such share a name, and are told apart by
    // their addresses when they come back.
    name.truncate(255);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_names_are_what_systemd_takes() {
        for (address, name) in [
            (ListenAddress::Tcp(([0, 0, 0, 0], 80).into()), "stored-0.0.0.0_3a80"),
            (ListenAddress::Tcp("[::1]:443".parse().unwrap()), "stored-[_3a_3a1]_3a443"),
            (ListenAddress::Unix("/run/a b_ä".into()), "stored-unix_3a/run/a_20b_5f_c3_a4"),
        ] {
            assert_eq!(stored_name(&address), name);
            assert!(is_ours(name));
        }
        let long = ListenAddress::Unix(format!("/{}", " ".repeat(106)).into());
        assert_eq!(stored_name(&long).len(), 255);
        assert!(!is_ours("http"));
    }
}
