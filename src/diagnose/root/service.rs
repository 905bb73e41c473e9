//! The server's unit: whether it runs, how it ended, and what it said at that. Pure.

use std::time::Duration;

use crate::diagnose::around::{KnownBy, Line, LogSource, Sign, State, Unit, UnitResult};
use crate::diagnose::cause::Code;
use crate::diagnose::report::Certainty::{Certain, Likely, Possible};

use super::scene::{DOWN, ENDED as GONE, Scene};
use super::{Root, Row, row};

/// What the unit is, and how it came to be so.
const UNIT: &[&str] = &[
    "unit",
    "unit_state",
    "unit_since",
    "unit_result",
    "unit_exit",
    "unit_restarts",
    "unit_memory_max",
    "unit_oom_kills",
];
/// What a gateway behind us says of a backend that comes and goes.
const GATEWAY: &[Code] = &[Code::UpstreamGatewayError, Code::UpstreamUnavailable];
/// Somebody answers, and not what was asked for: whoever has the server's port.
const OTHERS: &[Code] = &[
    Code::TlsPeerSpeaksPlaintext,
    Code::PlainHttpToTlsPort,
    Code::PeerIsOtherProtocol,
    Code::Http09Response,
    Code::InvalidStatusLine,
    Code::FcgiPeerNotFastcgi,
    Code::HttpToFastcgiPort,
];
/// A start that comes to nothing says so within that of its end.
const START: Duration = Duration::from_secs(60);
/// Who has just come up has not started everything.
const BOOT: Duration = Duration::from_secs(15 * 60);

/// SIGILL, SIGABRT, SIGBUS, SIGFPE and SIGSEGV (signal(7)).
const OWN_FAULT: [i32; 5] = [4, 6, 7, 8, 11];

/// How a process ended, in the words of whoever ended it.
pub const ENDED: &[Row] = &[
    row(
        Root::OomKilled,
        &[DOWN, GONE],
        |scene| scene.ended_by(&[UnitResult::OomKill]),
        Certain,
        UNIT,
    )
    .said(&[Sign::OomKill]),
    row(Root::OomKilled, &[DOWN, GONE], |scene| scene.says_itself(Sign::OomKill), Certain, UNIT)
        .said(&[Sign::OomKill, Sign::Killed]),
    // The kernel's word is on a process of this host, which is another's where all runs.
    row(
        Root::OomKilled,
        &[DOWN, GONE],
        |scene| scene.is_here() && scene.says(Sign::OomKill) && scene.lost_a_process(),
        Certain,
        UNIT,
    )
    .said(&[Sign::OomKill, Sign::Killed]),
    row(
        Root::OomKilled,
        &[DOWN, GONE],
        |scene| scene.is_here() && scene.says(Sign::OomKill) && !scene.is_off(),
        Likely,
        UNIT,
    )
    .said(&[Sign::OomKill]),
    row(
        Root::OomKilled,
        &[GONE],
        |scene| scene.says_itself(Sign::Killed) && scene.has_killed_for_memory(),
        Likely,
        UNIT,
    )
    .said(&[Sign::Killed]),
    row(
        Root::Segfault,
        &[DOWN, GONE],
        |scene| {
            let signal = scene.unit().and_then(|unit| unit.exit_signal);
            let own = signal.is_some_and(|signal| OWN_FAULT.contains(&signal));
            scene.ended_by(&[UnitResult::CoreDump]) || scene.has_failed() && own
        },
        Certain,
        UNIT,
    )
    .said(&[Sign::Segfault]),
    row(Root::Segfault, &[DOWN, GONE], |scene| scene.says_itself(Sign::Segfault), Certain, UNIT)
        .said(&[Sign::Segfault]),
    row(
        Root::Segfault,
        &[GONE],
        |scene| scene.is_here() && scene.says(Sign::Segfault),
        Likely,
        UNIT,
    )
    .said(&[Sign::Segfault]),
];

/// What systemd says of the unit.
pub const STATE: &[Row] = &[
    row(
        Root::AddressInUse,
        &[DOWN, GONE, OTHERS],
        |scene| scene.says_at_its_end(Sign::AddressInUse),
        Certain,
        UNIT,
    )
    .said(&[Sign::AddressInUse]),
    row(
        Root::ConfigurationInvalid,
        &[DOWN],
        |scene| scene.says_at_its_end(Sign::ConfigurationInvalid),
        Certain,
        UNIT,
    )
    .said(&[Sign::ConfigurationInvalid]),
    row(
        Root::StartLimitHit,
        &[DOWN],
        |scene| scene.ended_by(&[UnitResult::StartLimitHit]),
        Certain,
        UNIT,
    ),
    row(Root::ServiceCrashed, &[DOWN, GONE], |scene| scene.has_failed(), Certain, UNIT),
    row(Root::ServiceMasked, &[DOWN], |scene| scene.unit_is(&[State::Masked]), Certain, UNIT),
    row(
        Root::ReloadOrRestart,
        &[DOWN, GONE, GATEWAY],
        |scene| scene.unit_is(&[State::Activating, State::Reloading, State::Deactivating]),
        Certain,
        UNIT,
    )
    .said(&[Sign::Restarted, Sign::Stopped, Sign::Started]),
    // It runs again, and its log has the moment.
    row(
        Root::ReloadOrRestart,
        &[DOWN, GONE, GATEWAY],
        |scene| {
            let again = [Sign::Restarted, Sign::Stopped, Sign::Started];
            !scene.is_down() && again.iter().any(|sign| scene.says_itself(*sign))
        },
        Likely,
        &["unit", "unit_state", "unit_since", "unit_started", "changed"],
    )
    .said(&[Sign::Restarted, Sign::Stopped, Sign::Started]),
    row(
        Root::HostRebooted,
        &[DOWN],
        |scene| {
            let uptime = scene.around.host.uptime;
            let fresh = uptime.is_some_and(|uptime| uptime < BOOT);
            // A unit that was active since the boot has a time at which it ceased to be.
            scene.is_off() && fresh && scene.unit().is_some_and(|unit| unit.since.is_none())
        },
        Certain,
        &["unit", "unit_state", "unit_file", "host_up_for", "changed"],
    ),
    row(Root::ServiceStopped, &[DOWN], |scene| scene.is_off(), Certain, UNIT)
        .said(&[Sign::Stopped]),
];

/// It counts since the unit's start, and not what it counted just now.
pub const COUNTED: &[Row] =
    &[row(Root::OomKilled, &[GONE], |scene| scene.has_killed_for_memory(), Possible, UNIT)];

/// Before whoever listens nearby: what the package left behind names this very port.
pub const REMOVED: &[Row] = &[row(
    Root::ServiceNotInstalled,
    &[&[Code::ConnectionRefused]],
    |scene| {
        let is_named = scene.unit().is_some_and(|unit| unit.known_by == KnownBy::Configured);
        is_named && scene.unit_is(&[State::NotFound])
    },
    Likely,
    UNIT,
)];

/// No unit, and nobody in its place.
pub const MISSING: &[Row] = &[row(
    Root::ServiceNotInstalled,
    &[DOWN],
    |scene| scene.unit_is(&[State::NotFound]),
    Likely,
    UNIT,
)];

impl Scene<'_> {
    /// The unit has failed, and its last start said this: the log reaches back to others, too.
    fn says_at_its_end(&self, sign: Sign) -> bool {
        let Some(unit) = self.unit().filter(|_| self.has_failed()) else { return false };
        let is_of_it = |line: &Line| {
            let Some(time) = line.time else { return true };
            let before = unit.started.is_some_and(|started| time < started);
            let long_ago = unit.since.is_some_and(|ended| time + START < ended);
            !before && !long_ago
        };
        let own = |line: &&Line| line.sign == Some(sign) && line.source != LogSource::Kernel;
        self.around.lines.lines.iter().filter(own).any(is_of_it)
    }

    /// The unit is not there to answer, however that came about.
    fn is_down(&self) -> bool {
        self.unit().is_some_and(Unit::is_down)
    }

    /// The unit is down, and nothing went wrong with it.
    fn is_off(&self) -> bool {
        self.unit()
            .is_some_and(|unit| unit.state == State::Inactive && unit.result == UnitResult::Success)
    }

    /// The server itself has lost a process by a signal: its log, or systemd's, says so.
    fn lost_a_process(&self) -> bool {
        let killed = self.unit().and_then(|unit| unit.exit_signal) == Some(9);
        self.says_itself(Sign::Killed) || self.has_failed() && killed
    }

    /// The kernel has killed for memory in the unit, some time since it was started.
    fn has_killed_for_memory(&self) -> bool {
        let cgroup = self.unit().and_then(|unit| unit.cgroup);
        cgroup.is_some_and(|cgroup| cgroup.oom_kills > 0)
    }
}
