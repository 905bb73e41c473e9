//! What the kernel counts for a unit's control group, and what its processes do. Pure.

use std::time::Duration;

use super::host::average;
use super::seen::Finding;
use crate::diagnose::meaning::Meaning;

/// Periods, of a tenth of a second each, from which a share is told: a start takes fewer.
const PERIODS_MIN: u64 = 20;

/// What the control group counts (cgroup v2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cgroup {
    pub memory_bytes: Option<u64>,
    pub memory_max_bytes: Option<u64>,
    /// Times that the group's limit was hit, and processes killed for it (memory.events).
    pub oom: u64,
    pub oom_kills: u64,
    /// Periods in which it had to wait for its share of the processor (cpu.stat).
    pub throttled_periods: u64,
    /// All periods in which it had something to run.
    pub periods: u64,
    pub throttled_us: u64,
    pub tasks: Option<u64>,
    pub tasks_max: Option<u64>,
    /// Percent of the last ten seconds in which all that it did was to wait for a disk
    /// (io.pressure, `full`); what sleeps of itself does not count.
    pub waits_for_disk: Option<u8>,
    /// Percent of the last ten seconds in which some of it waited for a processor (cpu.pressure,
    /// `some`): its limit counts too.
    pub waits_for_cpu: Option<u8>,
}

/// Percent of the last ten seconds: with more, it is the disk that decides when a request is done.
const DISK_STALLS: u8 = 50;
/// The same of the processor.
const CPU_STALLS: u8 = 20;

/// The unit's processes by what they do (proc_pid_stat(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Workers {
    pub running: u32,
    pub sleeping: u32,
    /// Waiting for a disk or a network file system: state D.
    pub blocked: u32,
    /// SIGSTOP or a debugger: state T or t.
    pub stopped: u32,
    pub zombies: u32,
}

impl Cgroup {
    /// By the texts of its files; each may be missing.
    pub fn of<'a>(file: impl Fn(&str) -> Option<&'a str>) -> Cgroup {
        let number = |name: &str| file(name).and_then(|text| text.trim().parse::<u64>().ok());
        let row = |name: &str, key: &str| file(name).and_then(|text| keyed(text, key));
        Cgroup {
            memory_bytes: number("memory.current"),
            memory_max_bytes: number("memory.max"),
            oom: row("memory.events", "oom").unwrap_or_default(),
            oom_kills: row("memory.events", "oom_kill").unwrap_or_default(),
            throttled_periods: row("cpu.stat", "nr_throttled").unwrap_or_default(),
            periods: row("cpu.stat", "nr_periods").unwrap_or_default(),
            throttled_us: row("cpu.stat", "throttled_usec").unwrap_or_default(),
            tasks: number("pids.current"),
            tasks_max: number("pids.max"),
            waits_for_disk: file("io.pressure").and_then(|text| average(text, "full")).map(whole),
            waits_for_cpu: file("cpu.pressure").and_then(|text| average(text, "some")).map(whole),
        }
    }

    /// It waits now, and whenever it has much to run it waits for its share: in every other period
    /// or more.
    pub fn is_throttled_mostly(&self) -> bool {
        self.waits_for_cpu.is_some_and(|percent| percent >= CPU_STALLS)
            && self.throttled_periods >= PERIODS_MIN
            && self.throttled_periods >= self.periods / 2
    }

    /// No more processes or threads may be started in it.
    pub fn is_full_of_tasks(&self) -> bool {
        matches!((self.tasks, self.tasks_max), (Some(tasks), Some(most)) if tasks >= most)
    }

    /// Its processes get nothing done for want of a disk.
    pub fn is_stalled_by_disk(&self) -> bool {
        self.waits_for_disk.is_some_and(|percent| percent >= DISK_STALLS)
    }

    pub(super) fn findings(&self, out: &mut Vec<Finding>) {
        if let (Some(bytes), Some(most)) = (self.memory_bytes, self.memory_max_bytes) {
            let shown = format!("{} of {}", mebibytes(bytes), mebibytes(most));
            let found = Finding::new("unit_memory", shown);
            let is_full = bytes >= most - most / 20;
            out.push(if is_full { found.means(Meaning::UnitMemoryFull) } else { found });
        }
        if self.oom_kills > 0 {
            let found = Finding::new("unit_oom_kills", self.oom_kills.to_string());
            out.push(found.means(Meaning::UnitOomKills));
        }
        if let (Some(tasks), Some(most)) = (self.tasks, self.tasks_max) {
            let found = Finding::new("unit_tasks", format!("{tasks} of {most}"));
            out.push(match self.is_full_of_tasks() {
                true => found.means(Meaning::UnitTasksFull),
                false => found,
            });
        }
        if self.throttled_periods > 0 {
            let waited = Duration::from_micros(self.throttled_us);
            let shown = format!("{} times, {:.1} s", self.throttled_periods, waited.as_secs_f64());
            out.push(Finding::new("unit_throttled", shown).means(Meaning::UnitThrottled));
        }
        if let Some(percent @ 1..) = self.waits_for_disk {
            let found = Finding::new("unit_waits_for_disk", format!("{percent} % of the time"));
            out.push(match self.is_stalled_by_disk() {
                true => found.means(Meaning::ProcessesBlocked),
                false => found,
            });
        }
    }
}

impl Workers {
    /// Counts a process by the text of its /proc/PID/stat: the state follows the name, which stands
    /// in parentheses and may hold any (proc_pid_stat(5)).
    pub fn count(&mut self, stat: &str) {
        let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next());
        let count = match state {
            Some('R') => &mut self.running,
            Some('D') => &mut self.blocked,
            Some('T' | 't') => &mut self.stopped,
            Some('Z' | 'X') => &mut self.zombies,
            Some(_) => &mut self.sleeping,
            None => return,
        };
        *count += 1;
    }

    pub(super) fn findings(&self, out: &mut Vec<Finding>) {
        let counts = [
            (self.running, "running"),
            (self.sleeping, "sleeping"),
            (self.blocked, "blocked"),
            (self.stopped, "stopped"),
            (self.zombies, "zombie"),
        ];
        let shown = counts.iter().filter(|(count, _)| *count > 0);
        let shown: Vec<_> = shown.map(|(count, what)| format!("{count} {what}")).collect();
        if shown.is_empty() {
            return;
        }
        let found = Finding::new("unit_processes", shown.join(", "));
        out.push(match (self.stopped, self.blocked) {
            (1.., _) => found.means(Meaning::ProcessesStopped),
            (0, 1..) => found.means(Meaning::ProcessesBlocked),
            (0, 0) => found,
        });
    }
}

/// A share without its fraction.
fn whole(percent: f64) -> u8 {
    percent as u8
}

/// A row of a flat keyed file (the kernel's cgroup-v2.rst, "Format").
fn keyed(text: &str, key: &str) -> Option<u64> {
    let rows = text.lines().filter_map(|line| line.split_once(' '));
    rows.into_iter().find(|(name, _)| *name == key)?.1.trim().parse().ok()
}

pub(super) fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}
