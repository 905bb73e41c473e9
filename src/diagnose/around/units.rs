//! The backend's unit of systemd, its control group and its processes. Pure: `probe` asks systemd
//! and the kernel for the texts, and what they say is read here.

use std::time::{Duration, SystemTime};

use super::cgroup::{Cgroup, Workers, mebibytes};
use super::seen::{Finding, Seen};
use crate::diagnose::meaning::Meaning;
use crate::diagnose::print::{rfc3339, signal_name, visible};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Units {
    /// The unit that is the server, or would be if it ran.
    pub server: Seen<Unit>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// `php8.2-fpm.service`
    pub name: String,
    pub known_by: KnownBy,
    pub state: State,
    /// systemd's word: `running`, `dead`, `auto-restart`.
    pub sub_state: String,
    pub result: UnitResult,
    /// How the main process ended last: an exit status.
    pub exit_status: Option<i32>,
    /// A signal.
    pub exit_signal: Option<i32>,
    /// By systemd itself, since it was last started by hand.
    pub restarts: u32,
    /// When the state was entered; a reload enters it anew.
    pub since: Option<SystemTime>,
    /// When it was last started, and when it had last stopped.
    pub started: Option<SystemTime>,
    pub stopped: Option<SystemTime>,
    pub main_pid: Option<u32>,
    /// systemd's UnitFileState: `enabled`, `disabled`, `static`.
    pub file_state: String,
    /// It was not started, since a condition of its own does not hold.
    pub condition_failed: bool,
    /// What systemd allows it, also while it is down.
    pub memory_max_bytes: Option<u64>,
    /// While it runs.
    pub cgroup: Option<Cgroup>,
    pub workers: Seen<Workers>,
}

/// How it is known that this unit is the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum KnownBy {
    /// It listens there.
    Listens,
    /// Its configuration, or the unit's file, names the server's port or socket.
    Configured,
    /// The version of PHP in the socket's path.
    Version,
    /// Nothing else of its kind is installed here.
    #[default]
    Guess,
}

/// systemd's ActiveState.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr, strum::EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum State {
    Active,
    Reloading,
    Inactive,
    Failed,
    Activating,
    Deactivating,
    Maintenance,
    /// The unit's file is not there, or cannot be used as it is.
    NotFound,
    Masked,
    /// Frozen by its control group.
    Frozen,
}

/// systemd's Result (systemd.service(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr, strum::EnumString)]
#[strum(serialize_all = "kebab-case")]
pub enum UnitResult {
    Success,
    Protocol,
    Timeout,
    ExitCode,
    Signal,
    CoreDump,
    Watchdog,
    StartLimitHit,
    OomKill,
    Resources,
    ExecCondition,
    /// One of a later systemd.
    Unknown,
}

/// The properties of a unit that are asked for, of every kind of unit and of services.
pub const PROPERTIES: [&str; 18] = [
    "LoadState",
    "ActiveState",
    "SubState",
    "UnitFileState",
    "FreezerState",
    "ConditionResult",
    "ConditionTimestamp",
    "StateChangeTimestamp",
    "ActiveEnterTimestamp",
    "InactiveEnterTimestamp",
    "Result",
    "ExecMainCode",
    "ExecMainStatus",
    "NRestarts",
    "StartLimitBurst",
    "MainPID",
    "ControlGroup",
    "MemoryMax",
];

impl Units {
    pub(super) fn findings(&self, out: &mut Vec<Finding>) {
        self.server.missing("unit", out);
        if let Some(unit) = self.server.found() {
            unit.findings(out);
        }
    }
}

impl Unit {
    /// `said`: what systemd says of a property, as `systemctl show --timestamp=unix` prints it or
    /// as the bus tells it in numbers. `None` where it does not even say whether there is a unit.
    pub fn of<'a>(
        name: &str,
        known_by: KnownBy,
        said: impl Fn(&str) -> Option<&'a str>,
    ) -> Option<Unit> {
        let word = |key: &str| said(key).unwrap_or_default();
        let number = |key: &str| word(key).parse::<u64>().ok().filter(|value| *value != u64::MAX);
        // CLD_EXITED, CLD_KILLED and CLD_DUMPED (sigaction(2)).
        let status = word("ExecMainStatus").parse::<i32>().ok();
        let (exit_status, exit_signal) = match word("ExecMainCode") {
            "1" => (status, None),
            "2" | "3" => (None, status),
            _ => (None, None),
        };
        let restarts = word("NRestarts").parse().unwrap_or_default();
        let is_condition_checked = time(word("ConditionTimestamp")).is_some();
        Some(Unit {
            name: name.to_owned(),
            known_by,
            state: state(word("LoadState"), word("ActiveState"), word("FreezerState"))?,
            sub_state: visible(word("SubState")),
            result: match has_given_up(word("ActiveState"), restarts, number("StartLimitBurst")) {
                true if word("Result") == "exit-code" => UnitResult::StartLimitHit,
                _ => word("Result").parse().unwrap_or(UnitResult::Unknown),
            },
            exit_status,
            exit_signal,
            restarts,
            since: time(word("StateChangeTimestamp")),
            started: time(word("ActiveEnterTimestamp")),
            stopped: time(word("InactiveEnterTimestamp")),
            main_pid: word("MainPID").parse().ok().filter(|pid| *pid != 0),
            file_state: visible(word("UnitFileState")),
            condition_failed: is_condition_checked
                && matches!(word("ConditionResult"), "no" | "false"),
            memory_max_bytes: number("MemoryMax"),
            cgroup: None,
            workers: Seen::Unlooked,
        })
    }

    /// It is not there to answer, and will not be without somebody's hand or another start.
    pub fn is_down(&self) -> bool {
        match self.state {
            State::Inactive | State::Failed | State::NotFound | State::Masked => true,
            State::Activating => self.sub_state.starts_with("auto-restart"),
            State::Active
            | State::Reloading
            | State::Deactivating
            | State::Maintenance
            | State::Frozen => false,
        }
    }

    /// It ended by itself, or could not start: by what systemd keeps of it until the next start.
    pub fn has_crashed(&self) -> bool {
        let badly = !matches!(
            self.result,
            UnitResult::Success | UnitResult::ExecCondition | UnitResult::Unknown
        );
        self.is_down() && badly
    }

    /// It was started, reloaded or ended so shortly before `now`.
    pub fn changed_within(&self, span: Duration, now: SystemTime) -> bool {
        let latest = [self.since, self.started, self.stopped].into_iter().flatten().max();
        // One that comes after is of the same moment: clocks are read one after the other.
        latest.is_some_and(|at| now.duration_since(at).unwrap_or_default() <= span)
    }

    /// Every process that could be seen is stopped.
    pub fn is_stopped_whole(&self) -> bool {
        let all_stopped = |workers: &Workers| {
            workers.stopped > 0 && workers.running + workers.sleeping + workers.blocked == 0
        };
        self.state == State::Frozen || self.workers.found().is_some_and(all_stopped)
    }

    fn findings(&self, out: &mut Vec<Finding>) {
        let name = Finding::new("unit", visible(&self.name));
        out.push(match self.known_by {
            KnownBy::Guess => name.means(Meaning::UnitGuessed),
            KnownBy::Listens | KnownBy::Configured | KnownBy::Version => name,
        });
        let state: &str = self.state.into();
        let shown = match self.sub_state.as_str() {
            "" => state.to_owned(),
            sub_state => format!("{state} ({sub_state})"),
        };
        let shown = Finding::new("unit_state", shown);
        out.push(match self.state_means() {
            Some(meaning) => shown.means(meaning),
            None => shown,
        });
        for (key, at) in [("unit_since", self.since), ("unit_started", self.started)] {
            if let Some(at) = at {
                out.push(Finding::new(key, instant(at)));
            }
        }
        self.end_findings(out);
        if self.restarts > 0 {
            let found = Finding::new("unit_restarts", self.restarts.to_string());
            out.push(found.means(Meaning::UnitRestarted));
        }
        if self.file_state == "disabled" && self.is_down() {
            out.push(Finding::new("unit_file", "disabled").means(Meaning::UnitDisabled));
        }
        if let Some(cgroup) = &self.cgroup {
            cgroup.findings(out);
        } else if let Some(most) = self.memory_max_bytes {
            out.push(Finding::new("unit_memory_max", mebibytes(most)));
        }
        self.workers.missing("unit_processes", out);
        if let Some(workers) = self.workers.found() {
            workers.findings(out);
        }
    }

    /// How it ended, where that was not as it should.
    fn end_findings(&self, out: &mut Vec<Finding>) {
        let result: &str = self.result.into();
        match self.result {
            UnitResult::Success | UnitResult::Unknown => {}
            UnitResult::OomKill => {
                out.push(Finding::new("unit_result", result).means(Meaning::UnitOomKilled));
            }
            UnitResult::StartLimitHit => {
                out.push(Finding::new("unit_result", result).means(Meaning::UnitStartLimit));
            }
            UnitResult::Protocol
            | UnitResult::Timeout
            | UnitResult::ExitCode
            | UnitResult::Signal
            | UnitResult::CoreDump
            | UnitResult::Watchdog
            | UnitResult::Resources
            | UnitResult::ExecCondition => out.push(Finding::new("unit_result", result)),
        }
        if let Some(status) = self.exit_status.filter(|status| *status != 0) {
            out.push(Finding::new("unit_exit", format!("status {status}")));
        }
        if let Some(number) = self.exit_signal {
            out.push(Finding::new("unit_exit", signal_name(number)));
        }
    }

    fn state_means(&self) -> Option<Meaning> {
        match self.state {
            _ if self.is_down() && self.condition_failed => Some(Meaning::UnitCondition),
            State::Active => None,
            State::Inactive => Some(Meaning::UnitStopped),
            State::Failed => Some(Meaning::UnitFailed),
            State::Activating if self.is_down() => Some(Meaning::UnitRestarting),
            State::Activating | State::Reloading | State::Deactivating => {
                Some(Meaning::UnitBetween)
            }
            State::NotFound => Some(Meaning::UnitNotFound),
            State::Masked => Some(Meaning::UnitMasked),
            State::Frozen => Some(Meaning::UnitFrozen),
            State::Maintenance => None,
        }
    }
}

/// Whether systemd starts it no more since it failed too often: what it keeps as the result is how
/// the last start ended, and not that there is no further one.
fn has_given_up(active: &str, restarts: u32, burst: Option<u64>) -> bool {
    let last = burst.filter(|burst| *burst > 0).map(|burst| burst - 1);
    active == "failed" && restarts > 0 && last.is_some_and(|last| u64::from(restarts) >= last)
}

/// Of what systemd calls LoadState, ActiveState and FreezerState.
fn state(load: &str, active: &str, freezer: &str) -> Option<State> {
    // One whose file went or was masked while it ran goes on; its next start fails.
    if matches!(active, "inactive" | "failed") {
        match load {
            "not-found" | "bad-setting" | "error" => return Some(State::NotFound),
            "masked" => return Some(State::Masked),
            _ => {}
        }
    }
    // `frozen-by-parent` came later; `freezing` and `thawing` pass.
    if freezer.starts_with("frozen") {
        return Some(State::Frozen);
    }
    active.parse().ok()
}

/// `@1700000000`, or microseconds since the epoch; 0 is never.
fn time(text: &str) -> Option<SystemTime> {
    let since = match text.strip_prefix('@') {
        Some(seconds) => Duration::from_secs(seconds.parse().ok()?),
        None => Duration::from_micros(text.parse().ok()?),
    };
    (!since.is_zero()).then(|| SystemTime::UNIX_EPOCH.checked_add(since)).flatten()
}

fn instant(at: SystemTime) -> String {
    rfc3339(at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(said: &[(&str, &'static str)]) -> Option<Unit> {
        let find = |key: &str| said.iter().find(|(name, _)| *name == key).map(|(_, text)| *text);
        Unit::of("app.service", KnownBy::Configured, find)
    }

    fn keys(unit: Unit) -> Vec<(&'static str, String, Option<Meaning>)> {
        let mut out = Vec::new();
        Units { server: Seen::Found(unit) }.findings(&mut out);
        out.into_iter().map(|found| (found.key, found.value, found.meaning)).collect()
    }

    #[test]
    fn a_unit_is_read_from_numbers_of_the_bus_and_from_what_systemctl_prints() {
        let from_bus = unit(&[
            ("LoadState", "loaded"),
            ("ActiveState", "failed"),
            ("SubState", "failed"),
            ("Result", "signal"),
            ("ExecMainCode", "2"),
            ("ExecMainStatus", "11"),
            ("NRestarts", "3"),
            ("StateChangeTimestamp", "1700000000000000"),
            ("MemoryMax", "18446744073709551615"),
            ("MainPID", "0"),
        ]);
        let from_systemctl = unit(&[
            ("LoadState", "loaded"),
            ("ActiveState", "failed"),
            ("SubState", "failed"),
            ("Result", "signal"),
            ("ExecMainCode", "2"),
            ("ExecMainStatus", "11"),
            ("NRestarts", "3"),
            ("StateChangeTimestamp", "@1700000000"),
            ("MemoryMax", "infinity"),
        ]);
        assert_eq!(from_bus, from_systemctl);
        let unit = from_bus.unwrap();
        assert_eq!((unit.exit_signal, unit.exit_status), (Some(11), None));
        assert!(unit.is_down() && unit.has_crashed());
        let rows = keys(unit);
        let is_there = |key: &str, value: &str| {
            assert!(rows.iter().any(|row| row.0 == key && row.1 == value), "{key} {rows:?}");
        };
        is_there("unit_state", "failed (failed)");
        is_there("unit_since", "2023-11-14T22:13:20Z");
        is_there("unit_result", "signal");
        is_there("unit_exit", "SIGSEGV (11)");
    }

    #[test]
    fn what_a_unit_does_is_told_by_its_states() {
        let of = |load: &'static str, active: &'static str, sub: &'static str, freezer| {
            unit(&[
                ("LoadState", load),
                ("ActiveState", active),
                ("SubState", sub),
                ("FreezerState", freezer),
            ])
        };
        for (load, active, sub, freezer, state, is_down) in [
            ("loaded", "active", "running", "running", State::Active, false),
            ("loaded", "active", "running", "frozen", State::Frozen, false),
            ("loaded", "inactive", "dead", "", State::Inactive, true),
            ("loaded", "activating", "auto-restart", "", State::Activating, true),
            ("loaded", "activating", "start", "", State::Activating, false),
            ("loaded", "reloading", "reload", "", State::Reloading, false),
            ("not-found", "inactive", "dead", "", State::NotFound, true),
            ("masked", "inactive", "dead", "", State::Masked, true),
            ("bad-setting", "inactive", "dead", "", State::NotFound, true),
            ("masked", "active", "running", "", State::Active, false),
            ("not-found", "active", "running", "", State::Active, false),
        ] {
            let unit = of(load, active, sub, freezer).unwrap();
            assert_eq!((unit.state, unit.is_down()), (state, is_down), "{load} {active} {sub}");
            assert!(!unit.has_crashed());
        }
        assert_eq!(of("loaded", "of a later systemd", "", ""), None);
        assert_eq!(unit(&[]), None);
    }

    #[test]
    fn a_change_is_recent_by_any_of_its_times() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let unit = unit(&[
            ("ActiveState", "active"),
            ("StateChangeTimestamp", "@1000"),
            ("ActiveEnterTimestamp", "@500"),
        ]);
        let unit = unit.unwrap();
        assert!(unit.changed_within(Duration::from_secs(10), at(1010)));
        assert!(unit.changed_within(Duration::ZERO, at(999)));
        assert!(!unit.changed_within(Duration::from_secs(10), at(1011)));
    }

    #[test]
    fn one_that_failed_too_often_is_not_started_again() {
        for (restarts, result, seen) in [
            ("5", "exit-code", UnitResult::StartLimitHit),
            ("4", "exit-code", UnitResult::StartLimitHit),
            ("3", "exit-code", UnitResult::ExitCode),
            ("5", "oom-kill", UnitResult::OomKill),
        ] {
            let said = [
                ("ActiveState", "failed"),
                ("NRestarts", restarts),
                ("StartLimitBurst", "5"),
                ("Result", result),
            ];
            assert_eq!(unit(&said).unwrap().result, seen, "{restarts} {result}");
        }
    }

    #[test]
    fn processes_are_counted_by_their_state() {
        let mut workers = Workers::default();
        for stat in [
            "1 (php-fpm) S 0 1",
            "2 (odd) R) name) T 0 1",
            "3 (x) t 0",
            "4 (x) D 0",
            "5 (x) Z 0",
            "6 (x) R 0",
            "7 (x) I 0",
            "",
            "8 (cut",
        ] {
            workers.count(stat);
        }
        let counted = Workers { running: 1, sleeping: 2, blocked: 1, stopped: 2, zombies: 1 };
        assert_eq!(workers, counted);
        let stopped = Workers { stopped: 2, zombies: 1, ..Workers::default() };
        let mut unit = unit(&[("ActiveState", "active")]).unwrap();
        assert!(!unit.is_stopped_whole());
        unit.workers = Seen::Found(workers);
        assert!(!unit.is_stopped_whole());
        unit.workers = Seen::Found(stopped);
        assert!(unit.is_stopped_whole());
    }

    #[test]
    fn a_control_group_is_read_from_its_files() {
        let files = [
            ("memory.current", "64000000\n"),
            ("memory.max", "67108864\n"),
            ("memory.events", "low 0\nhigh 0\nmax 93\noom 2\noom_kill 2\noom_group_kill 0\n"),
            ("cpu.stat", "usage_usec 1\nnr_periods 5\nnr_throttled 4\nthrottled_usec 2500000\n"),
            ("pids.current", "6\n"),
            ("pids.max", "max\n"),
            (
                "io.pressure",
                "some avg10=91.10 avg60=0.00 avg300=0.00 total=1\n\
                 full avg10=90.70 avg60=0.00 avg300=0.00 total=1\n",
            ),
            ("cpu.pressure", "some avg10=41.20 avg60=0.00 avg300=0.00 total=1\n"),
        ];
        let file = |name: &str| files.iter().find(|(file, _)| *file == name).map(|(_, text)| *text);
        let cgroup = Cgroup::of(file);
        assert_eq!((cgroup.oom, cgroup.oom_kills, cgroup.tasks_max), (2, 2, None));
        assert_eq!((cgroup.throttled_periods, cgroup.throttled_us), (4, 2_500_000));
        assert_eq!(cgroup.waits_for_cpu, Some(41));
        assert!(!cgroup.is_full_of_tasks());
        assert!(Cgroup { tasks_max: Some(6), ..cgroup }.is_full_of_tasks());
        let mut unit = unit(&[("ActiveState", "active")]).unwrap();
        unit.cgroup = Some(cgroup);
        let rows = keys(unit);
        for (key, value, meaning) in [
            ("unit_memory", "61 MiB of 64 MiB", Meaning::UnitMemoryFull),
            ("unit_oom_kills", "2", Meaning::UnitOomKills),
            ("unit_throttled", "4 times, 2.5 s", Meaning::UnitThrottled),
            ("unit_waits_for_disk", "90 % of the time", Meaning::ProcessesBlocked),
        ] {
            assert!(rows.contains(&(key, value.to_owned(), Some(meaning))), "{key} {rows:?}");
        }
        assert_eq!(Cgroup::of(|_| None), Cgroup::default());
    }
}
