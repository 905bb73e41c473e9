//! THE ROOT: the second step, from a cause and what this host shows to what lies behind it.
//!
//! The cause is what was seen on the wire; the root is why, where the evidence carries it. None is
//! better than a wrong one: a root that is not certain says so, and names what decided.
//!
//! One table, in the order of [`TABLE`]; the first row that holds decides. `place` has the rows of
//! where the server is, `service` of its unit, `busy` of its workers and scripts, `machine` of the
//! host, `network` of names, ways and certificates; `scene` is what rows go by, `fix` what to do
//! first. Pure.

mod busy;
mod fix;
mod machine;
mod network;
mod place;
mod scene;
mod service;

mod traffic;

use strum::{EnumIter, EnumString, IntoStaticStr};

pub use traffic::is_of_load;

use super::around::Sign;
use super::cause::{Cause, Code};
use super::fixes::FixId;
use super::matching::Site;
use super::report::Certainty;

use scene::Scene;

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
    WrongAddress,
    WrongSocketPath,
    SocketMode,
    DirectoryMode,
    ForbiddenByPolicy,
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

    /// How it is recognised, in the order in which that is tried.
    pub fn recognised(self) -> Vec<Recognised> {
        let rows = TABLE.iter().chain(SCARCE).copied().flatten();
        let rows = rows.filter(|row| row.root == self).map(|row| Recognised {
            certainty: row.certainty,
            behind: Code::all().filter(|code| row.is_behind(*code)).collect(),
            evidence: [row.because, if row.said.is_empty() { &[] } else { &["log"] }].concat(),
        });
        rows.chain(traffic::recognised(self)).collect()
    }

    /// The fix that follows from it where nothing else is known.
    pub fn first_fix(self) -> FixId {
        let rooted = Rooted { root: self, certainty: Certainty::Possible, because: Vec::new() };
        let nobody = Cause::NoHealthyUpstream { servers: Vec::new() };
        rooted.fix(&nobody, &Site::of(None))
    }
}

/// One way to recognise a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recognised {
    /// At best: what rests on a guess is told as less.
    pub certainty: Certainty,
    /// The causes that it may stand behind.
    pub behind: Vec<Code>,
    /// Keys of the evidence that shows it, such of them as there are.
    pub evidence: Vec<&'static str>,
}

/// One row: what lies behind which causes, when it does, how sure that is, and what shows it.
struct Row {
    root: Root,
    /// Groups of causes that it may stand behind.
    behind: &'static [&'static [Code]],
    holds: fn(&Scene<'_>) -> bool,
    certainty: Certainty,
    /// Keys of the evidence.
    because: &'static [&'static str],
    /// Lines of logs that show it.
    said: &'static [Sign],
}

const fn row(
    root: Root,
    behind: &'static [&'static [Code]],
    holds: fn(&Scene<'_>) -> bool,
    certainty: Certainty,
    because: &'static [&'static str],
) -> Row {
    Row { root, behind, holds, certainty, because, said: &[] }
}

impl Row {
    const fn said(self, said: &'static [Sign]) -> Row {
        Row { said, ..self }
    }

    fn applies(&self, scene: &Scene<'_>) -> bool {
        self.is_behind(scene.code) && (self.holds)(scene)
    }

    fn is_behind(&self, code: Code) -> bool {
        self.behind.iter().any(|codes| codes.contains(&code))
    }

    fn rooted(&self, scene: &Scene<'_>) -> Rooted {
        let mut because = scene.evidence();
        because.retain(|(key, _)| self.because.contains(key));
        because.extend(self.said.iter().filter_map(|sign| scene.line(*sign)));
        let certainty = match self.because.iter().any(|key| key.starts_with("unit")) {
            true => scene.of_unit(self.certainty),
            false => self.certainty,
        };
        Rooted { root: self.root, certainty, because }
    }
}

/// Every row, those first whose evidence leaves least open: what names the fault itself, what goes
/// on at the server's address, the state of its unit, and only then what is near it or is scarce.
const TABLE: &[&[Row]] = &[
    machine::DECISIVE,
    network::DECISIVE,
    place::DECISIVE,
    service::ENDED,
    machine::FULL,
    // Before the unit's state: a pool that was started a moment ago has its first time-outs, too.
    busy::OVER,
    service::STATE,
    service::REMOVED,
    place::NEAR,
    service::MISSING,
    busy::HELD,
    network::SILENT,
    machine::THROTTLED,
    busy::SCRIPTS,
];

/// What is scarce, where nobody in particular takes it.
const SCARCE: &[&[Row]] = &[busy::FULL, service::COUNTED, machine::SCARCE];

/// What lies behind a cause on this host, as far as it was looked at.
pub fn root(cause: &Cause, site: &Site<'_>) -> Option<Rooted> {
    let scene = Scene::of(cause, site)?;
    let first = |rows: &[&[Row]]| {
        let row = rows.iter().copied().flatten().find(|row| row.applies(&scene))?;
        Some(row.rooted(&scene))
    };
    // Who asks explains a pool that is full, and not one that waits for something.
    let asked = || traffic::traffic(scene.code, &scene.around.traffic);
    first(TABLE).or_else(asked).or_else(|| first(SCARCE))
}

#[cfg(test)]
mod made;
#[cfg(test)]
mod rows;
#[cfg(test)]
mod tests;
