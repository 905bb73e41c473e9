//! The services behind the backend: databases and caches on this host. Pure.

use super::seen::{Finding, Seen};
use crate::diagnose::facts::Queue;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Helpers {
    pub list: Vec<Helper>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Helper {
    pub kind: HelperKind,
    /// Where it listens or is expected to: an address or a path.
    pub at: String,
    pub state: HelperState,
    /// Its unit's name and state, where it has one.
    pub unit: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum HelperKind {
    Mysql,
    Postgresql,
    Redis,
    Memcached,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HelperState {
    Listening(Seen<Queue>),
    /// It is installed, or the site is set up for it, and nobody listens.
    Gone,
    /// It listens and says nothing: stopped, or out of workers.
    Silent,
    /// It answers that it takes no more.
    Full,
    /// Its processes are stopped (SIGSTOP).
    Frozen,
}

impl Helpers {
    pub(super) fn findings(&self, out: &mut Vec<Finding>) {
        for helper in &self.list {
            let kind: &str = helper.kind.into();
            out.push(Finding::new("helper", format!("{kind} at {}", helper.at)));
        }
    }
}
