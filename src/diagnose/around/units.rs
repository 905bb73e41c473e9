//! The backend's unit of systemd, its control group and its processes. Pure.

use std::time::SystemTime;

use super::seen::{Finding, Seen};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Units {
    /// The unit that is the server, or would be if it ran.
    pub server: Seen<Unit>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// `php8.2-fpm.service`
    pub name: String,
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
    /// When the state was entered.
    pub since: Option<SystemTime>,
    pub main_pid: Option<u32>,
    pub cgroup: Option<Cgroup>,
    pub workers: Seen<Workers>,
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
    /// The unit's file is not there, or is masked.
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

/// What the control group counts (cgroup v2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cgroup {
    pub memory_bytes: Option<u64>,
    pub memory_max_bytes: Option<u64>,
    /// Times that the group's limit was hit, and processes killed for it (memory.events).
    pub oom: u64,
    pub oom_kills: u64,
    /// Periods in which it had to wait for its share of the processor (cpu.stat).
    pub throttled_periods: u64,
    pub throttled_us: u64,
    pub tasks: Option<u64>,
    pub tasks_max: Option<u64>,
}

/// The unit's processes by what they do (proc_pid_stat(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Workers {
    pub running: u32,
    pub sleeping: u32,
    /// Waiting for a disk or a network file system: state D.
    pub blocked: u32,
    /// SIGSTOP or a debugger: state T or t.
    pub stopped: u32,
    pub zombies: u32,
}

impl Units {
    pub(super) fn findings(&self, out: &mut Vec<Finding>) {
        self.server.missing("unit", out);
    }
}
