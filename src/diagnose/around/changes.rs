//! What changed shortly before the first failure. That a unit was started, reloaded or stopped
//! stands with the unit. Pure.

use std::time::{Duration, SystemTime};

use super::seen::Finding;
use crate::diagnose::meaning::Meaning;
use crate::diagnose::print::{rfc3339, visible};

/// How long before the first failure a change may have been.
pub const SPAN: Duration = Duration::from_secs(15 * 60);
/// How many are told.
pub const TOLD_MAX: usize = 8;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// The latest first.
    pub list: Vec<Change>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub at: SystemTime,
    pub kind: Changed,
    /// A package with its version, a path. Printable.
    pub what: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Changed {
    /// Installed, upgraded or removed.
    Package,
    /// A file of the site.
    SiteFile,
    /// A file of PHP's, Apache's or our own configuration.
    Configuration,
    HostStarted,
}

impl Changes {
    /// The latest of what changed within [`SPAN`] before `since`, and between then and now.
    pub fn of(mut list: Vec<Change>, since: SystemTime) -> Changes {
        let first = since.checked_sub(SPAN);
        list.retain(|change| first.is_none_or(|first| change.at >= first));
        list.sort_by_key(|change| std::cmp::Reverse(change.at));
        list.dedup_by(|one, other| one.kind == other.kind && one.what == other.what);
        list.truncate(TOLD_MAX);
        Changes { list }
    }

    pub(super) fn findings(&self, out: &mut Vec<Finding>) {
        for change in &self.list {
            let kind: &str = change.kind.into();
            let at = change.at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let what = visible(&change.what);
            let shown = format!("{} {kind} {what}", rfc3339(at.as_secs()));
            out.push(Finding::new("changed", shown.trim_end()).means(match change.kind {
                Changed::Package | Changed::SiteFile | Changed::Configuration => {
                    Meaning::ChangedBefore
                }
                Changed::HostStarted => Meaning::HostStarted,
            }));
        }
    }
}

/// A line of dpkg's log: `2026-11-20 08:12:04 upgrade php8.2-fpm:amd64 8.2.1 8.2.2`. The time is
/// the host's own, which `instant` reads.
pub fn dpkg_line(line: &str, instant: impl Fn(&str) -> Option<SystemTime>) -> Option<Change> {
    let (stamp, rest) = line.split_at_checked("2026-11-20 08:12:04".len())?;
    let mut words = rest.split_whitespace();
    // Further lines of the same change tell its steps.
    let action = words.next().filter(|word| matches!(*word, "install" | "upgrade" | "remove"))?;
    let (package, old, new) = (words.next()?, words.next()?, words.next().unwrap_or_default());
    let what = match action {
        "upgrade" => format!("upgrade {package} {old} {new}"),
        "install" => format!("install {package} {new}"),
        _ => format!("remove {package} {old}"),
    };
    Some(Change { at: instant(stamp)?, kind: Changed::Package, what: visible(&what) })
}

/// A line of dnf's log of packages: `2026-11-20T08:12:04+0000 SUBDEBUG Upgrade: php-fpm-8.2.2-1`,
/// or `Installed:`, `Upgraded:`, `Erase:`, by its age.
pub fn rpm_line(line: &str, instant: impl Fn(&str) -> Option<SystemTime>) -> Option<Change> {
    let (stamp, rest) = line.split_once(' ')?;
    let (_, rest) = rest.trim_start().split_once(' ')?;
    let (action, package) = rest.trim_start().split_once(": ")?;
    let action = match action {
        "Installed" => "install",
        "Upgrade" => "upgrade",
        "Erase" => "remove",
        _ => return None,
    };
    let what = visible(&format!("{action} {}", package.trim()));
    Some(Change { at: instant(stamp)?, kind: Changed::Package, what })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn change(seconds: u64, what: &str) -> Change {
        Change { at: at(seconds), kind: Changed::SiteFile, what: what.to_owned() }
    }

    #[test]
    fn the_latest_changes_of_the_quarter_of_an_hour_are_told() {
        let list = vec![change(10_000, "a"), change(10_900, "b"), change(9_000, "old")];
        let changes = Changes::of(list, at(10_900));
        let names: Vec<_> = changes.list.iter().map(|change| change.what.as_str()).collect();
        assert_eq!(names, ["b", "a"]);
        let many = (0..100).map(|number| change(10_000 + number, &number.to_string())).collect();
        let changes = Changes::of(many, at(10_100));
        assert_eq!((changes.list.len(), changes.list[0].what.as_str()), (TOLD_MAX, "99"));
        let mut out = Vec::new();
        changes.findings(&mut out);
        assert_eq!(out[0].value, "1970-01-01T02:48:19Z site_file 99");
    }

    #[test]
    fn logs_of_packages_are_read() {
        let stamped = |stamp: &str| (stamp.len() == 19 || stamp.len() == 24).then(|| at(1));
        for (line, what) in [
            (
                "2026-11-20 08:12:04 upgrade php8.2-fpm:amd64 8.2.1 8.2.2",
                Some("upgrade php8.2-fpm:amd64 8.2.1 8.2.2"),
            ),
            (
                "2026-11-20 08:12:04 install php8.2-gd:amd64 <none> 8.2.2",
                Some("install php8.2-gd:amd64 8.2.2"),
            ),
            (
                "2026-11-20 08:12:04 remove apache2:amd64 2.4.62 <none>",
                Some("remove apache2:amd64 2.4.62"),
            ),
            ("2026-11-20 08:12:04 status installed apache2:amd64 2.4.62", None),
            ("2026-11-20 08:12:04 upgrade", None),
            ("short", None),
            ("2026-11-20 08:12:0\u{e9} upgrade a b c", None),
        ] {
            let found = dpkg_line(line, stamped).map(|change| change.what);
            assert_eq!(found.as_deref(), what, "{line}");
        }
        for (line, what) in [
            (
                "2026-11-20T08:12:04+0000 SUBDEBUG Upgrade: php-fpm-8.2.2-1.el9.x86_64",
                Some("upgrade php-fpm-8.2.2-1.el9.x86_64"),
            ),
            ("2026-11-20T08:12:04+0000 SUBDEBUG Upgraded: php-fpm-8.2.1-1.el9.x86_64", None),
            ("2026-11-20T08:12:04+0000 INFO --- logging initialized ---", None),
            ("", None),
        ] {
            let found = rpm_line(line, stamped).map(|change| change.what);
            assert_eq!(found.as_deref(), what, "{line}");
        }
    }
}
