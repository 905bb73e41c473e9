//! What else this host shows beside a failure: what the operator would look up by hand.
//!
//! None of it decides the cause; `root` goes by it, it ranks the fixes and enters their commands.
//! One file a part, each with the data, its rows and what they mean; `probe` gathers it. Pure.

mod backing;
mod bounds;
mod cgroup;
mod changes;
mod disks;
mod helpers;
mod host;
mod lines;
mod near;
mod network;
mod php;
mod pools;
mod seen;
mod sockets;
mod status;
mod traffic;
mod units;
mod way;

pub use backing::{Named, Place, dotenv, wordpress};
pub use bounds::{Bounds, Use};
pub use cgroup::{Cgroup, Workers};
pub use changes::{Change, Changed, Changes, SPAN, dpkg_line, is_code, rpm_line};
pub use disks::{Disk, is_read_only};
pub use helpers::{Clients, Helper, HelperKind, HelperState, Helpers};
pub use host::{Host, Load, Memory, Pressure, counter, kilobytes, uptime};
pub use lines::{Line, Lines, LogSource, Sign};
pub use near::{kin_listeners, kin_sockets};
pub use network::{CertificateFile, Network, Ping, Route, RouteKind};
pub use php::{Limits, OtherPool, Php, PoolSettings, PoolStatus, SessionLock, Worker};
pub use pools::{FILE_MAX, INI_MAX, Listen, Pool, TREES, Tree, leads_to, limits, listen, pools};
pub use seen::{Finding, Need, Seen};
pub use sockets::{Listener, Miss, Sockets};
pub use status::{FileLock, status, waited_for};
pub use traffic::{Asked, InFlight, Share, Traffic};
pub use units::{KnownBy, PROPERTIES, State, Unit, UnitResult, Units};
pub use way::{Component, Kind, SocketPath, Stop};

use super::meaning::Meaning;

/// What was found; nothing in it is known unless it was looked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Around {
    pub sockets: Sockets,
    pub bounds: Bounds,
    pub host: Host,
    pub units: Units,
    pub lines: Lines,
    pub php: Php,
    pub network: Network,
    pub changes: Changes,
    pub helpers: Helpers,
    pub traffic: Traffic,
    /// Lanes of the look that have not come back in time.
    pub late: Vec<&'static str>,
    /// Those in whose place the part of the look before stands.
    pub from_before: Vec<&'static str>,
}

/// One part of it, as a lane of the look brings it.
#[derive(Debug, Clone)]
pub enum Piece {
    Sockets(Sockets),
    Bounds(Bounds),
    Host(Host),
    Disks(Vec<Disk>),
    Units(Units),
    Lines(Lines),
    Php(Php),
    Network(Network),
    Changes(Changes),
    Helpers(Helpers),
}

impl Around {
    /// Puts a part in its place.
    pub fn put(&mut self, piece: Piece) {
        match piece {
            Piece::Sockets(part) => self.sockets = part,
            Piece::Bounds(part) => self.bounds = part,
            Piece::Host(part) => {
                let disks = std::mem::take(&mut self.host.disks);
                self.host = Host { disks, ..part };
            }
            Piece::Disks(part) => self.host.disks = part,
            Piece::Units(part) => self.units = part,
            Piece::Lines(part) => self.lines = part,
            Piece::Php(part) => self.php = part,
            Piece::Network(part) => self.network = part,
            Piece::Changes(part) => self.changes = part,
            Piece::Helpers(part) => self.helpers = part,
        }
    }

    /// Takes from the look before what has not come back in time, by the lanes' names: a host that
    /// is slow to answer because it fails would else be known for a moment alone. What that look
    /// itself had from the one before is too old.
    pub fn fill(&mut self, earlier: &Around) {
        self.late.retain(|lane| {
            if earlier.late.contains(lane) || earlier.from_before.contains(lane) {
                return true;
            }
            match *lane {
                "sockets" => self.sockets = earlier.sockets.clone(),
                "bounds" => self.bounds = earlier.bounds.clone(),
                "host" => {
                    let disks = std::mem::take(&mut self.host.disks);
                    self.host = Host { disks, ..earlier.host.clone() };
                }
                "disks" => self.host.disks = earlier.host.disks.clone(),
                "units" => self.units = earlier.units.clone(),
                "logs" => self.lines = earlier.lines.clone(),
                "php" => self.php = earlier.php.clone(),
                "network" => self.network = earlier.network.clone(),
                "changes" => self.changes = earlier.changes.clone(),
                "helpers" => self.helpers = earlier.helpers.clone(),
                _ => return true,
            }
            self.from_before.push(*lane);
            false
        });
    }

    /// All that was found, part by part.
    pub fn findings(&self) -> Vec<Finding> {
        let mut out = Vec::new();
        self.sockets.findings(&mut out);
        self.units.findings(&mut out);
        self.php.findings(&mut out);
        self.lines.findings(&mut out);
        self.helpers.findings(&mut out);
        self.network.findings(&mut out);
        self.host.findings(&mut out);
        self.bounds.findings(&mut out);
        self.changes.findings(&mut out);
        self.traffic.findings(&mut out);
        let before = self.from_before.iter().map(|lane| format!("{lane} (as seen before)"));
        let late: Vec<_> = self.late.iter().map(|lane| (*lane).to_owned()).chain(before).collect();
        if !late.is_empty() {
            let late = Finding::new("not_in_time", late.join(", "));
            out.push(late.means(Meaning::NotInTime));
        }
        out
    }

    /// As rows of evidence.
    pub fn rows(&self) -> Vec<(&'static str, String)> {
        self.findings().into_iter().map(|found| (found.key, found.value)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_late_is_taken_from_the_look_before() {
        let units = Units { server: Seen::Denied(Need::Bus) };
        let earlier = Around { units: units.clone(), late: vec!["php"], ..Around::default() };
        let mut around = Around { late: vec!["units", "php", "other"], ..Around::default() };
        around.fill(&earlier);
        assert_eq!((&around.units, &around.late), (&units, &vec!["php", "other"]));
        let told = ("not_in_time", "php, other, units (as seen before)".to_owned());
        assert!(around.rows().contains(&told), "{:?}", around.rows());
        let mut next = Around { late: vec!["units"], ..Around::default() };
        next.fill(&around);
        assert_eq!((next.units, next.late), (Units::default(), vec!["units"]));
    }
}
