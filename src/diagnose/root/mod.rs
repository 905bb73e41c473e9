//! THE ROOT: the second step, from a cause and what this host shows to what lies behind it.
//!
//! The cause is what was seen on the wire; the root is why, where the evidence carries it. None is
//! better than a wrong one: a root that is not certain says so, and names what decided. Pure.

use strum::{EnumIter, EnumString, IntoStaticStr};

use super::cause::Cause;
use super::matching::Site;
use super::report::Certainty;

/// What lies behind a cause. The order is that of the list in the words' files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, IntoStaticStr, EnumIter, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum Root {
    // The service.
    ServiceStopped,
    ServiceCrashed,
    StartLimitHit,
    ServiceMasked,
    ServiceNotInstalled,
    ConfigurationInvalid,
    AddressInUse,
    OomKilled,
    Segfault,
    ReloadOrRestart,
    HostRebooted,
    // Where it is.
    WrongPort,
    WrongAddressFamily,
    BoundToLoopback,
    WrongSocketPath,
    SocketMode,
    DirectoryMode,
    // What it is busy with.
    PoolExhausted,
    WorkersFrozen,
    SlowScript,
    SessionLock,
    WaitingForHelper,
    HelperDown,
    HelperFull,
    TimeLimit,
    MemoryLimit,
    ScriptError,
    FaultyDeployment,
    TrafficSpike,
    SingleClientFlood,
    // The machine.
    DiskFull,
    DiskReadOnly,
    StorageStalled,
    FdLimit,
    PortExhaustion,
    MemoryPressure,
    CpuThrottled,
    TaskLimit,
    Overload,
    ClockWrong,
    // The network.
    DnsRecordWrong,
    DnsDangling,
    FirewallLocal,
    FirewallRemote,
    HostDown,
    LinkDown,
    CertificateRenewalMissed,
}

/// A root as it applies to one failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rooted {
    pub root: Root,
    pub certainty: Certainty,
    /// The evidence that decides it, by key and printable value; for operators.
    pub because: Vec<(&'static str, String)>,
}

impl Root {
    /// The snake_case id.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Every root.
    pub fn all() -> impl Iterator<Item = Root> {
        <Root as strum::IntoEnumIterator>::iter()
    }
}

/// What lies behind a cause on this host, as far as it was looked at.
pub fn root(_cause: &Cause, site: &Site<'_>) -> Option<Rooted> {
    let _around = site.around?;
    None
}
