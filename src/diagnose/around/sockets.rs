//! Who listens where the server is looked for, and where instead. Pure.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::seen::{Finding, Seen};
use crate::config::ServerAddress;
use crate::diagnose::facts::Queue;
use crate::diagnose::meaning::Meaning;
use crate::diagnose::print::visible;

/// How many listeners are named.
pub const NAMED_MAX: usize = 4;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sockets {
    /// Where somebody listens who may be the server that is missing, the likeliest first.
    pub near_paths: Vec<PathBuf>,
    pub near: Vec<SocketAddr>,
    /// Bound to the server's port, but not so that its address leads there: another family,
    /// loopback alone, another address of this host.
    pub same_port: Vec<SocketAddr>,
    /// Who listens at the server's own address.
    pub listener: Seen<Listener>,
    /// The way to the server's Unix socket.
    pub path: Seen<SocketPath>,
    /// The accept queue of the server's listener.
    pub queue: Option<Queue>,
}

/// Who listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// The user that opened the socket, by name, else by number.
    pub user: String,
    /// The unit in whose control group it was opened.
    pub unit: Option<String>,
    /// The process, where we may see it.
    pub process: Option<String>,
}

/// A path, component by component from the root, as far as it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketPath {
    pub components: Vec<Component>,
    /// Why it does not lead to a socket that we may use; it is the last component that stops it.
    pub stop: Option<Stop>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    pub path: PathBuf,
    pub kind: Kind,
    /// The permission bits.
    pub mode: u32,
    pub owner: String,
    pub group: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Kind {
    Directory,
    Socket,
    Link,
    File,
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Stop {
    /// The component after the last one is not there.
    Missing,
    /// What the last link leads to is not there.
    DanglingLink,
    LinkLoop,
    NotADirectory,
    NotASocket,
    /// We may not pass the last component, a directory.
    DirectoryMode,
    /// We may not write to the socket.
    SocketMode,
}

impl Sockets {
    /// Without our own listeners, which are not the server.
    pub fn leave_out(&mut self, is_own: impl Fn(&ServerAddress) -> bool) {
        let foreign = |listener: &SocketAddr| !is_own(&ServerAddress::Ip(*listener));
        self.near.retain(foreign);
        self.same_port.retain(foreign);
        self.near_paths.retain(|socket| !is_own(&ServerAddress::Unix(socket.clone())));
        self.near.truncate(NAMED_MAX);
    }

    pub(super) fn findings(&self, out: &mut Vec<Finding>) {
        if !self.near.is_empty() {
            let list: Vec<_> = self.near.iter().map(SocketAddr::to_string).collect();
            out.push(Finding::new("listening", list.join(", ")).means(Meaning::ListensElsewhere));
        }
        if !self.near_paths.is_empty() {
            let list: Vec<_> =
                self.near_paths.iter().map(|path| visible(&path.to_string_lossy())).collect();
            out.push(Finding::new("sockets", list.join(", ")).means(Meaning::ListensElsewhere));
        }
        self.listener.missing("listener", out);
        self.path.missing("socket_path", out);
        if let Some(Queue { pending, backlog }) = self.queue {
            out.push(Finding::new("listen_queue", format!("{pending} of {backlog}")));
        }
    }
}
