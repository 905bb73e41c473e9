//! The file systems that a site needs room on. Pure.

use std::path::PathBuf;

use super::host::mebibytes;
use super::seen::Finding;
use crate::diagnose::meaning::Meaning;
use crate::diagnose::print::visible;

/// With less than this, and less than a hundredth, nothing of use can be written.
const FULL_BYTES: u64 = 1 << 20;

/// A file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// A folder on it that matters to the site.
    pub path: PathBuf,
    /// Free for those who are not root.
    pub free_bytes: u64,
    pub total_bytes: u64,
    pub free_inodes: u64,
    /// None where the file system does not count them.
    pub total_inodes: u64,
    /// As a whole, not only as we see it.
    pub read_only: bool,
}

impl Disk {
    /// Nothing more can be written.
    pub fn is_full(&self) -> bool {
        let space = self.free_bytes < FULL_BYTES && self.free_bytes < self.total_bytes / 100;
        (space && self.total_bytes > 0) || self.inodes_are_used_up()
    }

    fn inodes_are_used_up(&self) -> bool {
        self.total_inodes > 0 && self.free_inodes == 0
    }

    /// Less than a twentieth is free.
    fn is_nearly_full(&self) -> bool {
        self.free_bytes < self.total_bytes / 20
    }

    pub(super) fn finding(&self) -> Finding {
        let path = visible(&self.path.to_string_lossy());
        let (free, total) = (mebibytes(self.free_bytes), mebibytes(self.total_bytes));
        let mut value = format!("{path}: {free} free of {total}");
        if self.total_inodes > 0 && self.free_inodes < self.total_inodes / 20 {
            value += &format!(", {} inodes free of {}", self.free_inodes, self.total_inodes);
        }
        let meaning = match (self.read_only, self.is_full(), self.is_nearly_full()) {
            (true, _, _) => Some(Meaning::DiskIsReadOnly),
            (false, true, _) if self.inodes_are_used_up() => Some(Meaning::InodesAreUsedUp),
            (false, true, _) => Some(Meaning::DiskIsFull),
            (false, false, true) => Some(Meaning::DiskIsNearlyFull),
            (false, false, false) => None,
        };
        if self.read_only {
            value += ", read-only";
        }
        Finding { meaning, ..Finding::new("disk", value) }
    }
}

/// Whether the file system of a device (major and minor number) is read-only for everybody, by the
/// text of /proc/self/mountinfo (proc(5)): its last field has the options of the whole. A mount of
/// our own may be read-only where the file system is not.
pub fn is_read_only(mountinfo: &str, device: (u32, u32)) -> bool {
    let number = format!("{}:{}", device.0, device.1);
    mountinfo.lines().any(|line| {
        let of_device = line.split(' ').nth(2) == Some(&number);
        let options = line.split_once(" - ").and_then(|(_, rest)| rest.split(' ').nth(2));
        of_device && options.is_some_and(|options| options.split(',').any(|word| word == "ro"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(free: u64, total: u64, inodes: (u64, u64), read_only: bool) -> Disk {
        let path = PathBuf::from("/srv");
        let (free_inodes, total_inodes) = inodes;
        Disk { path, free_bytes: free, total_bytes: total, free_inodes, total_inodes, read_only }
    }

    #[test]
    fn a_disk_says_what_it_lacks() {
        const MB: u64 = 1 << 20;
        for (disk, value, meaning) in [
            (disk(500 * MB, 1000 * MB, (5, 10), false), "/srv: 500 MiB free of 1000 MiB", None),
            (disk(0, MB, (5, 10), false), "/srv: 0 MiB free of 1 MiB", Some(Meaning::DiskIsFull)),
            // A file system as small as that is not full by being small.
            (disk(MB / 2, MB, (5, 10), false), "/srv: 0 MiB free of 1 MiB", None),
            (
                disk(10 * MB, 1000 * MB, (5, 10), false),
                "/srv: 10 MiB free of 1000 MiB",
                Some(Meaning::DiskIsNearlyFull),
            ),
            (
                disk(500 * MB, 1000 * MB, (0, 100), false),
                "/srv: 500 MiB free of 1000 MiB, 0 inodes free of 100",
                Some(Meaning::InodesAreUsedUp),
            ),
            // One that counts no inodes.
            (disk(500 * MB, 1000 * MB, (0, 0), false), "/srv: 500 MiB free of 1000 MiB", None),
            (
                disk(0, 1000 * MB, (5, 10), true),
                "/srv: 0 MiB free of 1000 MiB, read-only",
                Some(Meaning::DiskIsReadOnly),
            ),
            // What is not a disk at all.
            (disk(0, 0, (0, 0), false), "/srv: 0 MiB free of 0 MiB", None),
        ] {
            let found = disk.finding();
            assert_eq!((found.value.as_str(), found.meaning), (value, meaning), "{disk:?}");
        }
    }

    #[test]
    fn a_mount_of_ours_that_is_read_only_is_not_the_disk() {
        let table = "36 35 98:0 / /srv ro,noatime master:1 - ext4 /dev/sda1 rw,errors=remount-ro\n\
            37 35 98:1 / /data rw - ext4 /dev/sdb1 ro,data=ordered\n\
            38 35 98:2 / /cut rw\n\u{fffd}\n";
        for (device, read_only) in
            [((98, 0), false), ((98, 1), true), ((98, 2), false), ((98, 3), false), ((8, 1), false)]
        {
            assert_eq!(is_read_only(table, device), read_only, "{device:?}");
        }
        assert!(!is_read_only("", (0, 0)));
    }
}
