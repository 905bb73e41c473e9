//! PHP-FPM's pool: its settings, its state, and what its workers wait for. Pure.

use std::path::PathBuf;
use std::time::Duration;

use super::cgroup::Workers;
use super::seen::{Finding, Seen};
use crate::diagnose::meaning::Meaning;
use crate::diagnose::print::{seconds, visible};

/// Rows that are shown of a list.
const SHOWN_MAX: usize = 5;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Php {
    /// The pool that the server's address leads to, or would.
    pub settings: Seen<PoolSettings>,
    /// The others; told where no pool listens at the server's address.
    pub others: Vec<OtherPool>,
    /// `Late` where it was asked and did not answer: every worker is busy, or stopped.
    pub status: Seen<PoolStatus>,
    pub limits: Seen<Limits>,
    /// Workers that wait for the lock of one session.
    pub session_lock: Seen<SessionLock>,
    /// The pool's processes by their state.
    pub workers: Seen<Workers>,
}

/// A pool that listens elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OtherPool {
    pub name: String,
    /// As it stands in the file.
    pub listen: String,
    pub file: PathBuf,
}

/// What the pool's file says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PoolSettings {
    pub file: PathBuf,
    /// `[www]`
    pub name: String,
    pub listen: Option<String>,
    /// `static`, `dynamic`, `ondemand`
    pub manager: Option<String>,
    pub max_children: Option<u32>,
    pub request_terminate_timeout: Option<Duration>,
    pub request_slowlog_timeout: Option<Duration>,
    pub slowlog: Option<PathBuf>,
    pub error_log: Option<PathBuf>,
    pub status_path: Option<String>,
    /// Where the status is answered also when every worker is busy.
    pub status_listen: Option<String>,
    pub session_save_path: Option<PathBuf>,
}

/// What the status page says (pm.status_path).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PoolStatus {
    pub pool: String,
    pub up: Duration,
    pub active: u32,
    pub idle: u32,
    pub total: u32,
    pub listen_queue: u32,
    pub max_listen_queue: u32,
    pub listen_queue_len: u32,
    pub max_children_reached: u32,
    pub slow_requests: u32,
    pub accepted: u64,
    /// Busy ones, the longest first.
    pub workers: Vec<Worker>,
}

/// What a worker is at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    pub pid: u32,
    pub script: String,
    pub method: String,
    /// Without query.
    pub path: String,
    pub running: Duration,
}

/// What PHP allows a script.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Limits {
    pub file: PathBuf,
    pub max_execution_time: Option<Duration>,
    pub memory_limit_bytes: Option<u64>,
    pub post_max_bytes: Option<u64>,
    pub upload_max_bytes: Option<u64>,
    pub session_save_path: Option<PathBuf>,
}

/// Processes of PHP that wait for one file's lock (/proc/locks).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionLock {
    pub waiting: u32,
    pub holder: Option<u32>,
    /// The file is one of PHP's sessions; else it is only likely.
    pub is_session: bool,
}

impl Php {
    pub(super) fn findings(&self, out: &mut Vec<Finding>) {
        match &self.settings {
            Seen::Found(pool) => pool.findings(out),
            other => other.missing("pool", out),
        }
        self.show_others(out);
        match &self.status {
            Seen::Found(status) => status.findings(self.max_children(), out),
            Seen::Late => out.push(
                Finding::new("pool_status", "asked, no answer").means(Meaning::StatusUnanswered),
            ),
            other => other.missing("pool_status", out),
        }
        match &self.workers {
            Seen::Found(workers) => out.push(show_workers(workers)),
            other => other.missing("pool_processes", out),
        }
        match &self.session_lock {
            Seen::Found(lock) => out.push(lock.finding()),
            other => other.missing("session_lock", out),
        }
        match &self.limits {
            Seen::Found(limits) => limits.findings(out),
            other => other.missing("php_limits", out),
        }
    }

    fn max_children(&self) -> Option<u32> {
        self.settings.found().and_then(|pool| pool.max_children)
    }

    fn show_others(&self, out: &mut Vec<Finding>) {
        for (at, other) in self.others.iter().take(SHOWN_MAX).enumerate() {
            let (name, listen) = (visible(&other.name), visible(&other.listen));
            let file = visible(&other.file.to_string_lossy());
            let finding =
                Finding::new("other_pool", format!("{name} listens at {listen} ({file})"));
            let first = at == 0 && self.settings == Seen::Nothing;
            out.push(if first { finding.means(Meaning::PoolElsewhere) } else { finding });
        }
    }
}

impl PoolSettings {
    fn findings(&self, out: &mut Vec<Finding>) {
        let mut pool = format!("{} ({})", visible(&self.name), shown(&self.file));
        if let Some(manager) = &self.manager {
            pool += &format!(", pm = {}", visible(manager));
        }
        if let Some(max) = self.max_children {
            pool += &format!(", pm.max_children = {max}");
        }
        out.push(Finding::new("pool", pool));
        if let Some(limit) = self.request_terminate_timeout {
            let value = format!("request_terminate_timeout = {} s", limit.as_secs());
            out.push(Finding::new("pool_time_limit", value).means(Meaning::PoolTimeLimit));
        }
        if let (Some(limit), Some(log)) = (self.request_slowlog_timeout, &self.slowlog) {
            let value = format!("{}, after {} s", shown(log), limit.as_secs());
            out.push(Finding::new("slow_log", value).means(Meaning::SlowLog));
        }
    }
}

impl PoolStatus {
    /// Whether no worker is left for a request.
    pub fn is_full(&self, max_children: Option<u32>) -> bool {
        self.idle == 0 && max_children.is_none_or(|max| self.active >= max)
    }

    fn findings(&self, max_children: Option<u32>, out: &mut Vec<Finding>) {
        let value = format!(
            "{} busy, {} idle, {} waiting (at most {} since the start {} s ago), \
             max_children reached {} times, {} slow requests",
            self.active,
            self.idle,
            self.listen_queue,
            self.max_listen_queue,
            self.up.as_secs(),
            self.max_children_reached,
            self.slow_requests,
        );
        let finding = Finding::new("pool_status", value);
        out.push(match self.is_full(max_children) {
            true => finding.means(Meaning::PoolIsFull),
            false => finding,
        });
        for (at, worker) in self.workers.iter().take(SHOWN_MAX).enumerate() {
            let Worker { pid, script, method, path, running } = worker;
            let value =
                format!("{method} {path} ({script}) for {}, process {pid}", seconds(*running));
            let finding = Finding::new("pool_worker", value);
            out.push(if at == 0 { finding.means(Meaning::LongestScript) } else { finding });
        }
    }
}

impl SessionLock {
    fn finding(&self) -> Finding {
        let mut value = format!("{} waiting", self.waiting);
        if let Some(holder) = self.holder {
            value += &format!(", held by process {holder}");
        }
        Finding::new("session_lock", value).means(match self.is_session {
            true => Meaning::SessionIsLocked,
            false => Meaning::FileIsLocked,
        })
    }
}

impl Limits {
    fn findings(&self, out: &mut Vec<Finding>) {
        let time = self.max_execution_time.map(|time| format!("{} s", time.as_secs()));
        let mut rows: Vec<String> =
            time.map(|time| format!("max_execution_time {time}")).into_iter().collect();
        for (name, value) in [
            ("memory_limit", self.memory_limit_bytes),
            ("post_max_size", self.post_max_bytes),
            ("upload_max_filesize", self.upload_max_bytes),
        ] {
            rows.extend(value.map(|bytes| format!("{name} {}", mebibytes(bytes))));
        }
        if !rows.is_empty() {
            out.push(Finding::new(
                "php_limits",
                format!("{} ({})", rows.join(", "), shown(&self.file)),
            ));
        }
    }
}

fn show_workers(workers: &Workers) -> Finding {
    let Workers { running, sleeping, blocked, stopped, zombies } = workers;
    let value = format!(
        "{running} running, {sleeping} sleeping, {blocked} waiting for a disk, {stopped} stopped, \
         {zombies} ended"
    );
    let finding = Finding::new("pool_processes", value);
    if *stopped > 0 { finding.means(Meaning::WorkersStopped) } else { finding }
}

fn shown(path: &std::path::Path) -> String {
    visible(&path.to_string_lossy())
}

fn mebibytes(bytes: u64) -> String {
    match bytes.is_multiple_of(1 << 20) {
        true => format!("{} MiB", bytes >> 20),
        false => format!("{bytes} bytes"),
    }
}
