//! What changed shortly before the first failure. Pure.

use std::time::SystemTime;

use super::seen::Finding;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// The latest first.
    pub list: Vec<Change>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub at: SystemTime,
    pub kind: Changed,
    /// A unit, a package with its version, a path. Printable.
    pub what: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Changed {
    UnitStarted,
    UnitStopped,
    Package,
    /// A file of the site.
    SiteFile,
    /// A file of PHP's, Apache's or our own configuration.
    Configuration,
    HostStarted,
}

impl Changes {
    pub(super) fn findings(&self, out: &mut Vec<Finding>) {
        for change in &self.list {
            let kind: &str = change.kind.into();
            out.push(Finding::new("changed", format!("{kind} {}", change.what)));
        }
    }
}
