//! What a look at the host found beside the failure itself. Data only; `probe` looks.

use std::net::SocketAddr;
use std::time::Duration;

use strum::IntoStaticStr;

use super::faults::Protocol;

/// What was found; nothing in it is known unless it was looked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts {
    /// The accept queue of the upstream's listener, where that is on this host.
    pub queue: Option<Queue>,
    /// The address is a neighbour's, and nobody answers to it (ARP).
    pub neighbor_silent: bool,
    /// The server has answered before in the protocol that was spoken to it.
    pub has_answered: bool,
    /// How the server takes a FastCGI question of its own.
    pub fastcgi: Option<Probed>,
    /// What the server speaks in place of what was spoken to it, by its answer to a greeting of its
    /// own.
    pub speaks: Option<Protocol>,
    /// The server speaks HTTP behind a line of the PROXY protocol, and hangs up where that does not
    /// come first.
    pub expects_proxy_header: bool,
    /// How the server's port takes a plain connect, a moment after it kept us waiting.
    pub port: Option<Port>,
    /// The server refuses us at its loopback address, and somebody listens at the same port of this
    /// one, of the other family.
    pub other_family: Option<SocketAddr>,
    /// How long an exchange lasted that ended by its worker's death, some time before this one did.
    pub previous_death: Option<Duration>,
    /// Requests of ours that the upstream has in hand.
    pub in_flight: usize,
}

/// The accept queue of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    /// Connections that wait to be accepted.
    pub pending: u32,
    /// How many may wait.
    pub backlog: u32,
}

/// How a port takes a connect of its own; asked after a wait that was in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Port {
    #[strum(serialize = "yes")]
    Accepts,
    Refused,
    /// A device on the way says that there is no way.
    Unreachable,
    /// No answer to the SYN, nor to the next.
    #[strum(serialize = "no")]
    Silent,
}

/// What became of FCGI_GET_VALUES on a connection of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probed {
    Answers,
    /// Closed or reset without an answer, twice.
    Drops,
    /// Something else than FastCGI answers.
    Foreign,
    /// Nobody listens any more.
    Gone,
    /// No answer in time.
    Silent,
}
