//! What the machine has left: memory, disk, and a clock that is right. Pure.

use std::path::PathBuf;
use std::time::Duration;

use super::seen::{Finding, Seen};

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Host {
    pub memory: Option<Memory>,
    pub load: Option<Load>,
    pub pressure: Option<Pressure>,
    /// Those that the site, its logs, its sessions and we ourselves write to.
    pub disks: Vec<Disk>,
    /// Processes that the kernel has killed for memory since it was started.
    pub oom_kills: Option<u64>,
    /// Whether the clock is kept right by a server of time; and how far it is off, where that is
    /// known.
    pub synchronized: Seen<bool>,
    pub uptime: Option<Duration>,
}

/// The memory of this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Memory {
    pub total_bytes: u64,
    /// What programs may still have without swapping.
    pub available_bytes: u64,
    /// The largest worker of PHP, by what it shares with none.
    pub worker_bytes: Option<u64>,
    pub swap_total_bytes: u64,
    pub swap_free_bytes: u64,
}

/// Averages of one, five and fifteen minutes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    pub averages: [f64; 3],
    pub processors: u32,
}

/// Share of the last ten seconds in which something waited for it, in percent (PSI, `some`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pressure {
    pub cpu: f64,
    pub memory: f64,
    pub io: f64,
}

/// A file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// A folder on it that matters to the site.
    pub path: PathBuf,
    /// Free for those who are not root.
    pub free_bytes: u64,
    pub total_bytes: u64,
    pub free_inodes: u64,
    pub total_inodes: u64,
    pub read_only: bool,
}

impl Host {
    pub(super) fn findings(&self, out: &mut Vec<Finding>) {
        if let Some(memory) = &self.memory {
            out.push(Finding::new("memory_available", mebibytes(memory.available_bytes)));
            out.push(Finding::new("memory_total", mebibytes(memory.total_bytes)));
            if let Some(worker) = memory.worker_bytes {
                out.push(Finding::new("largest_worker", mebibytes(worker)));
            }
        }
        self.synchronized.missing("clock_synchronized", out);
    }
}

impl Memory {
    /// `meminfo`: the text of /proc/meminfo (proc(5)).
    pub fn of(meminfo: &str, worker_bytes: Option<u64>) -> Option<Memory> {
        Some(Memory {
            total_bytes: kilobytes(meminfo, "MemTotal:")?,
            available_bytes: kilobytes(meminfo, "MemAvailable:")?,
            worker_bytes,
            swap_total_bytes: kilobytes(meminfo, "SwapTotal:").unwrap_or_default(),
            swap_free_bytes: kilobytes(meminfo, "SwapFree:").unwrap_or_default(),
        })
    }

    /// How many more workers fit, with a tenth of the host's memory left for all else.
    pub fn workers_fit(&self) -> Option<u64> {
        let free = self.available_bytes.saturating_sub(self.total_bytes / 10);
        self.worker_bytes.filter(|bytes| *bytes > 0).map(|bytes| free / bytes)
    }

    /// More workers would make the host swap or kill.
    pub fn is_short(&self) -> bool {
        let little = self.available_bytes < self.total_bytes / 10;
        little || self.workers_fit().is_some_and(|workers| workers < 2)
    }
}

/// A value of a file in the manner of /proc/meminfo, there in kB.
pub fn kilobytes(text: &str, key: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(key))?;
    value.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_a_host_is_read() {
        let text = "MemTotal:        2048000 kB\nMemFree:   1 kB\nMemAvailable:     512000 kB\n";
        let memory = Memory::of(text, Some(64 << 20)).unwrap();
        assert_eq!(memory.available_bytes, 512_000 * 1024);
        // 500 MiB available, 200 MiB kept back.
        assert_eq!((memory.workers_fit(), memory.is_short()), (Some(4), false));
        let large = Memory { worker_bytes: Some(200 << 20), ..memory };
        assert_eq!((large.workers_fit(), large.is_short()), (Some(1), true));
        let unknown = Memory { worker_bytes: None, ..memory };
        assert_eq!((unknown.workers_fit(), unknown.is_short()), (None, false));
        let little = Memory { available_bytes: 100 << 20, ..unknown };
        assert!(little.is_short());
        let none = Memory { worker_bytes: Some(0), ..memory };
        assert_eq!(none.workers_fit(), None);
        for text in ["", "MemTotal: 1 kB", "MemTotal: x kB\nMemAvailable: 1 kB", "MemTotal:1\n"] {
            assert_eq!(Memory::of(text, None), None, "{text}");
        }
        let huge = format!("MemTotal: {0} kB\nMemAvailable: {0} kB", u64::MAX);
        assert_eq!(Memory::of(&huge, None), None);
    }
}
