//! What changed in the quarter of an hour before the first failure: packages, files of the site and
//! of configurations, the host's start.
//!
//! Of files the times alone are read, of logs their ends. No link is followed, and no more is
//! looked at than a site of usual size has at its top.

use std::fs::{self, DirEntry};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::config::Scheme;
use crate::diagnose::Family;
use crate::diagnose::around::{
    Change, Changed, Changes, Piece, SPAN, dpkg_line, is_code, rpm_line,
};

use super::look::Question;
use super::read;

/// Logs of package managers, and what of their ends is read: some hundred changes.
const DPKG: &str = "/var/log/dpkg.log";
const RPM: &str = "/var/log/dnf.rpm.log";
const LOG_BYTES_MAX: u64 = 64 * 1024;
/// Files whose times are looked at, and how long at most.
const ENTRIES_MAX: usize = 2000;
const LIMIT: Duration = Duration::from_millis(60);

/// Below a site's root: where WordPress's code is, each with what is in it.
const CODE: [&str; 3] = ["wp-content/plugins", "wp-content/themes", "wp-content/mu-plugins"];
/// Configurations, and how deep their folders go: our own, PHP's, and web servers'.
const OWN: [(&str, u32); 1] = [("/etc/causeway", 1)];
const PHP: [(&str, u32); 3] = [("/etc/php", 4), ("/etc/php.d", 1), ("/etc/php-fpm.d", 1)];
const WEB: [(&str, u32); 3] = [("/etc/apache2", 2), ("/etc/httpd", 2), ("/etc/nginx", 2)];

/// The lane of the look.
pub fn lane(question: &Question) -> Piece {
    let mut list = Vec::new();
    list.extend(host_started());
    list.extend(packages(question));
    let first = question.since.checked_sub(SPAN).unwrap_or(SystemTime::UNIX_EPOCH);
    let mut files = Files { first, left: ENTRIES_MAX, end: Instant::now() + LIMIT, list };
    if question.is_here {
        if let Some(site) = &question.upstream.files {
            files.site(&site.root);
        }
        let servers: &[(&str, u32)] = match question.server().scheme {
            Scheme::FastCgi => &PHP,
            Scheme::Http | Scheme::Https | Scheme::H2c => &WEB,
        };
        for (folder, depth) in OWN.iter().chain(servers) {
            files.folder(Path::new(folder), *depth, Changed::Configuration);
        }
    }
    Piece::Changes(Changes::of(files.list, question.since))
}

/// The look for files that were changed since a time.
struct Files {
    first: SystemTime,
    left: usize,
    end: Instant,
    list: Vec<Change>,
}

impl Files {
    /// What of a site is code: its top, and the parts of WordPress. Uploads and caches change with
    /// every visitor.
    fn site(&mut self, root: &Path) {
        self.folder(root, 0, Changed::SiteFile);
        for code in CODE {
            let folder = root.join(code);
            // Whoever may write to the site may have put a link there, but not above the root.
            let way = folder.ancestors().take_while(|part| *part != root);
            let is_folder =
                |part: &Path| fs::symlink_metadata(part).is_ok_and(|part| part.is_dir());
            if way.into_iter().all(is_folder) {
                self.folder(&folder, 1, Changed::SiteFile);
            }
        }
    }

    /// The files of a folder and of those in it, down to `depth`.
    fn folder(&mut self, folder: &Path, depth: u32, kind: Changed) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries.flatten() {
            if self.left == 0 || Instant::now() >= self.end {
                return;
            }
            self.left -= 1;
            let Some((path, at)) = self.file(&entry) else {
                if depth > 0 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    self.folder(&entry.path(), depth - 1, kind);
                }
                continue;
            };
            // A site's logs change with every failure.
            let counts = match kind {
                Changed::SiteFile => entry.file_name().to_str().is_some_and(is_code),
                Changed::Configuration | Changed::Package | Changed::HostStarted => true,
            };
            if at >= self.first && counts {
                let what = path.to_string_lossy().into_owned();
                self.list.push(Change { at, kind, what });
            }
        }
    }

    /// A regular file, and when it was last changed: also what came with an older time of its own,
    /// as unpacked files do. To the nanosecond: a deployment writes many within a second.
    fn file(&self, entry: &DirEntry) -> Option<(PathBuf, SystemTime)> {
        use std::os::unix::fs::MetadataExt;
        let metadata = entry.metadata().ok().filter(fs::Metadata::is_file)?;
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        let (seconds, fraction) = modified.max((metadata.ctime(), metadata.ctime_nsec()));
        let fraction = Duration::from_nanos(u64::try_from(fraction).ok()?);
        let at = Duration::from_secs(u64::try_from(seconds).ok()?).checked_add(fraction)?;
        Some((entry.path(), SystemTime::UNIX_EPOCH.checked_add(at)?))
    }
}

/// When the kernel was started (proc_stat(5)).
fn host_started() -> Option<Change> {
    let uptime = read::head(Path::new("/proc/uptime"), 64);
    let seconds = uptime.found()?.split_whitespace().next()?.parse::<f64>().ok()?;
    let ago = Duration::try_from_secs_f64(seconds).ok()?;
    let at = SystemTime::now().checked_sub(ago)?;
    Some(Change { at, kind: Changed::HostStarted, what: String::new() })
}

fn packages(question: &Question) -> Vec<Change> {
    let (log, read_line): (&str, fn(&str) -> Option<Change>) = match question.layout.family {
        Family::Debian => (DPKG, |line| dpkg_line(line, local)),
        Family::Rhel => (RPM, |line| rpm_line(line, zoned)),
        Family::Other => return Vec::new(),
    };
    let tail = read::tail(Path::new(log), LOG_BYTES_MAX);
    let lines = tail.found().map(|tail| tail.text.lines().filter_map(read_line).collect());
    lines.unwrap_or_default()
}

/// `2026-11-20 08:12:04` on this host's clock.
fn local(stamp: &str) -> Option<SystemTime> {
    let civil: jiff::civil::DateTime = stamp.parse().ok()?;
    Some(civil.to_zoned(TimeZone::system()).ok()?.timestamp().into())
}

/// `2026-11-20T08:12:04+0000`
fn zoned(stamp: &str) -> Option<SystemTime> {
    Some(stamp.parse::<Timestamp>().ok()?.into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn changed(root: &Path, first: SystemTime) -> Vec<String> {
        let end = Instant::now() + Duration::from_secs(60);
        let mut files = Files { first, left: ENTRIES_MAX, end, list: Vec::new() };
        files.site(root);
        let name = |change: Change| change.what.rsplit('/').next().unwrap_or_default().to_owned();
        let mut names: Vec<_> = files.list.into_iter().map(name).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn changed_files_of_a_site_are_found_and_links_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for folder in ["wp-content/plugins/shop/deep/deeper", "wp-content/uploads", "else"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        for file in [
            "index.php",
            "error_log",
            "wp-content/plugins/shop/shop.php",
            "wp-content/plugins/shop/debug.log",
            "wp-content/plugins/shop/deep/deeper/too-deep.php",
            "wp-content/uploads/picture.png",
            "else/secret.php",
        ] {
            fs::write(at(file), "x").unwrap();
        }
        symlink(at("else"), at("wp-content/themes")).unwrap();
        symlink(at("else/secret.php"), at("link.php")).unwrap();
        let before = SystemTime::now() - Duration::from_secs(60);
        assert_eq!(changed(dir.path(), before), ["index.php", "shop.php"]);
        let later = SystemTime::now() + Duration::from_secs(60);
        assert!(changed(dir.path(), later).is_empty());
    }

    #[test]
    fn times_of_logs_are_read() {
        assert_eq!(
            zoned("1970-01-01T01:00:10+0100"),
            Some(SystemTime::UNIX_EPOCH + Duration::from_secs(10))
        );
        assert!(local("2026-11-20 08:12:04").is_some());
        assert_eq!((local("soon"), zoned("soon")), (None, None));
    }

    #[test]
    fn a_site_of_any_size_is_looked_at_in_part_alone() {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..50 {
            fs::write(dir.path().join(format!("{number}.php")), "").unwrap();
        }
        let before = SystemTime::now() - Duration::from_secs(60);
        let end = Instant::now() + Duration::from_secs(60);
        let mut files = Files { first: before, left: 20, end, list: Vec::new() };
        files.site(dir.path());
        assert_eq!((files.left, files.list.len()), (0, 20));
    }
}
