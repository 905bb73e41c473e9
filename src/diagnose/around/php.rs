//! PHP-FPM's pool: its settings, its state, and what its workers wait for. Pure.

use std::path::PathBuf;
use std::time::Duration;

use super::seen::{Finding, Seen};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Php {
    /// The pool that the server's address leads to, or would.
    pub settings: Seen<PoolSettings>,
    pub status: Seen<PoolStatus>,
    pub limits: Seen<Limits>,
    /// Workers that wait for the lock of one session.
    pub session_lock: Seen<SessionLock>,
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
    pub session_save_path: Option<PathBuf>,
    /// `listen` of pools that are not the server's.
    pub others: Vec<String>,
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
}

/// Workers of PHP that wait for one file's lock (/proc/locks).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionLock {
    pub waiting: u32,
    pub holder: Option<u32>,
    /// The file is one of PHP's sessions; else it is only likely.
    pub is_session: bool,
}

impl Php {
    pub(super) fn findings(&self, out: &mut Vec<Finding>) {
        self.settings.missing("pool_settings", out);
        self.status.missing("pool_status", out);
        self.limits.missing("php_limits", out);
        self.session_lock.missing("session_lock", out);
    }
}
