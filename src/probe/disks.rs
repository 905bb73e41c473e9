//! How much room is left on the file systems that the site, its database, its logs and we ourselves
//! write to. A lane of its own: one that hangs takes its thread with it.

use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{major, minor, statvfs};

use crate::diagnose::around::{Disk, Piece, is_read_only};

use super::look::Question;
use super::read;

/// Where distributions let programs write what a site cannot do without: sessions of PHP, logs,
/// databases, mail queues and caches.
const PLACES: [&str; 7] = [
    "/tmp",
    "/var/lib/php/sessions",
    "/var/lib/php/session",
    "/var/log",
    "/var/lib/mysql",
    "/var/cache",
    "/var/tmp",
];
/// The table of mounts of a host that runs containers is long.
const MOUNTS_BYTES_MAX: u64 = 256 << 10;
/// File systems that are looked at.
const DISKS_MAX: usize = 16;

/// The lane of the look.
pub fn lane(question: &Question) -> Piece {
    let state = env::var_os("STATE_DIRECTORY").map(PathBuf::from);
    let root = question.upstream.files.as_ref().map(|files| files.root.clone());
    let own = [root, Some(env::temp_dir()), state].into_iter().flatten();
    Piece::Disks(disks(own.chain(PLACES.map(PathBuf::from))))
}

/// One row for each file system, under the first of these folders that lies on it.
pub fn disks(places: impl Iterator<Item = PathBuf>) -> Vec<Disk> {
    let mounts = read::head(Path::new("/proc/self/mountinfo"), MOUNTS_BYTES_MAX);
    let mounts = mounts.found().map(String::as_str).unwrap_or_default();
    let (mut devices, mut disks) = (Vec::new(), Vec::new());
    for path in places {
        let Some((device, disk)) = disk(path, mounts) else { continue };
        if !devices.contains(&device) {
            devices.push(device);
            disks.push(disk);
        }
        if disks.len() == DISKS_MAX {
            break;
        }
    }
    disks
}

fn disk(path: PathBuf, mounts: &str) -> Option<(u64, Disk)> {
    let device = fs::metadata(Path::new(&path)).ok()?.dev();
    let room = statvfs(&path).ok()?;
    let disk = Disk {
        free_bytes: room.f_bavail.saturating_mul(room.f_frsize),
        total_bytes: room.f_blocks.saturating_mul(room.f_frsize),
        free_inodes: room.f_favail,
        total_inodes: room.f_files,
        read_only: is_read_only(mounts, (major(device), minor(device))),
        path,
    };
    Some((device, disk))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_stands_once_under_the_first_of_its_folders() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let places = [dir.path().into(), inner, "/nowhere".into(), "/proc".into()];
        let found = disks(places.into_iter());
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[0].path, dir.path());
        assert!(found[0].free_bytes > 0 && !found[0].is_full() && !found[0].read_only);
        assert!(!found[1].is_full(), "what has no size is not full: {:?}", found[1]);
    }
}
