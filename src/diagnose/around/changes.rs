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

/// How the names begin of packages that a site runs on: PHP, web servers, databases and caches.
const SERVERS: [&str; 16] = [
    "php",
    "ea-php",
    "plesk-php",
    "libphp",
    "libapache2",
    "apache2",
    "ea-apache",
    "httpd",
    "mod_",
    "nginx",
    "mariadb",
    "mysql",
    "percona-server",
    "postgresql",
    "redis",
    "memcached",
];
/// How files end that a site's code or settings are in.
const CODE: [&str; 14] = [
    "php", "inc", "phtml", "html", "htm", "tpl", "twig", "js", "mjs", "py", "rb", "ini", "yml",
    "yaml",
];

impl Changes {
    /// The latest of what changed within [`SPAN`] before `since`: what changed later is what the
    /// failure left behind, or how somebody mends it.
    pub fn of(mut list: Vec<Change>, since: SystemTime) -> Changes {
        let first = since.checked_sub(SPAN);
        list.retain(|change| change.at <= since && first.is_none_or(|first| change.at >= first));
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

impl Change {
    /// Whether it is of what a site is made of: its code, its settings, or a package that runs it.
    pub fn is_of_a_site(&self) -> bool {
        match self.kind {
            Changed::SiteFile => is_code(self.what.rsplit('/').next().unwrap_or_default()),
            Changed::Package => {
                // After the word for what was done.
                let package = self.what.split(' ').nth(1).unwrap_or_default();
                SERVERS.iter().any(|server| package.starts_with(server))
            }
            Changed::Configuration | Changed::HostStarted => false,
        }
    }
}

/// Whether a file of this name is a site's code or settings, and no log or upload.
pub fn is_code(name: &str) -> bool {
    if name == ".htaccess" || name == ".env" || name.starts_with(".env.") {
        return true;
    }
    let is_log = |word: &str| matches!(word, "log" | "logs");
    let lower = name.to_ascii_lowercase();
    let Some((stem, suffix)) = lower.rsplit_once('.') else { return false };
    CODE.contains(&suffix) && !stem.split(['.', '-', '_']).any(is_log)
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
        // Whoever mends it changes files too.
        let changes = Changes::of(vec![change(10_900, "a"), change(10_901, "b")], at(10_900));
        assert_eq!(changes.list, [change(10_900, "a")]);
        let many = (0..100).map(|number| change(10_000 + number, &number.to_string())).collect();
        let changes = Changes::of(many, at(10_100));
        assert_eq!((changes.list.len(), changes.list[0].what.as_str()), (TOLD_MAX, "99"));
        let mut out = Vec::new();
        changes.findings(&mut out);
        assert_eq!(out[0].value, "1970-01-01T02:48:19Z site_file 99");
    }

    #[test]
    fn what_a_site_is_made_of_is_told_from_what_it_leaves_behind() {
        for (kind, what, is_it) in [
            (Changed::SiteFile, "/var/www/wp-login.php", true),
            (Changed::SiteFile, "/var/www/INDEX.PHP", true),
            (Changed::SiteFile, "/var/www/.htaccess", true),
            (Changed::SiteFile, "/var/www/.env.local", true),
            (Changed::SiteFile, "/var/www/.user.ini", true),
            (Changed::SiteFile, "/var/www/error_log", false),
            (Changed::SiteFile, "/var/www/error_log.php", false),
            (Changed::SiteFile, "/var/www/php/debug.log", false),
            (Changed::SiteFile, "/var/www/.maintenance", false),
            (Changed::SiteFile, "/var/www/picture.png", false),
            (Changed::SiteFile, "/var/www/php", false),
            (Changed::Package, "upgrade php8.2-fpm:amd64 8.2.1 8.2.2", true),
            (Changed::Package, "upgrade php-fpm-8.2.2-1.el9.x86_64", true),
            (Changed::Package, "install libapache2-mod-php8.2:amd64 8.2.2", true),
            (Changed::Package, "remove nginx:amd64 1.22.1", true),
            (Changed::Package, "upgrade mariadb-server:amd64 1 2", true),
            (Changed::Package, "upgrade tzdata:all 2026a 2026b", false),
            (Changed::Package, "php", false),
            (Changed::Configuration, "/etc/php/8.2/fpm/php.ini", false),
            (Changed::HostStarted, "", false),
        ] {
            let change = Change { at: at(1), kind, what: what.to_owned() };
            assert_eq!(change.is_of_a_site(), is_it, "{kind:?} {what}");
        }
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
