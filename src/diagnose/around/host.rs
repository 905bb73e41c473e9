//! What the machine has left: memory, processors, and a clock that is right. Pure.

use std::time::Duration;

use super::disks::Disk;
use super::seen::{Finding, Seen};
use crate::diagnose::meaning::Meaning;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Host {
    pub memory: Option<Memory>,
    pub load: Option<Load>,
    pub pressure: Option<Pressure>,
    /// Those that the site, its logs, its sessions and we ourselves write to.
    pub disks: Vec<Disk>,
    /// Processes that the kernel has killed for memory since it was started.
    pub oom_kills: Option<u64>,
    /// Whether the clock is kept right by a server of time.
    pub synchronized: Seen<bool>,
    /// The clock is behind a time that it showed before, by so much at least: files of this host
    /// were changed later than now.
    pub clock_behind: Option<Duration>,
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

/// Of the last ten seconds, in percent: with more of them waiting, requests feel it.
const PRESSURE_HIGH: f64 = 20.0;
/// A machine that was started less long ago is still starting its services.
const JUST_STARTED: Duration = Duration::from_secs(300);

impl Host {
    pub(super) fn findings(&self, out: &mut Vec<Finding>) {
        if let Some(memory) = &self.memory {
            memory.findings(out);
        }
        if let Some(load) = &self.load {
            let [one, five, fifteen] = load.averages;
            let value = format!("{one:.2} {five:.2} {fifteen:.2}, {} processors", load.processors);
            let found = Finding::new("load", value);
            out.push(if load.is_high() { found.means(Meaning::LoadIsHigh) } else { found });
        }
        if let Some(pressure) = self.pressure {
            let Pressure { cpu, memory, io } = pressure;
            let value = format!("processors {cpu:.0} %, memory {memory:.0} %, disk {io:.0} %");
            let found = Finding::new("pressure", value);
            out.push(match pressure.highest() {
                Some(meaning) => found.means(meaning),
                None => found,
            });
        }
        if let Some(kills @ 1..) = self.oom_kills {
            let found = Finding::new("killed_for_memory", kills.to_string());
            out.push(found.means(Meaning::KilledForMemory));
        }
        for disk in &self.disks {
            out.push(disk.finding());
        }
        self.clock(out);
        if let Some(uptime) = self.uptime {
            let found = Finding::new("host_up_for", duration(uptime));
            let just = uptime < JUST_STARTED;
            out.push(if just { found.means(Meaning::HostJustStarted) } else { found });
        }
    }

    fn clock(&self, out: &mut Vec<Finding>) {
        self.synchronized.missing("clock_synchronized", out);
        match self.synchronized.found() {
            Some(true) => out.push(Finding::new("clock_synchronized", "yes")),
            Some(false) => {
                let found = Finding::new("clock_synchronized", "no");
                out.push(found.means(Meaning::ClockUnsynchronized));
            }
            None => {}
        }
        if let Some(behind) = self.clock_behind {
            let found = Finding::new("clock_behind", format!("at least {}", duration(behind)));
            out.push(found.means(Meaning::ClockWentBack));
        }
    }
}

impl Load {
    /// `loadavg`: the text of /proc/loadavg (proc(5)).
    pub fn of(loadavg: &str, processors: u32) -> Option<Load> {
        let mut words = loadavg.split_whitespace().map(|word| word.parse::<f64>().ok());
        let mut next = || words.next()?.filter(|load| load.is_finite() && *load >= 0.0);
        Some(Load { averages: [next()?, next()?, next()?], processors: processors.max(1) })
    }

    /// More than two wait for each processor.
    pub fn is_high(&self) -> bool {
        self.averages[0] > 2.0 * f64::from(self.processors)
    }
}

impl Pressure {
    /// From the texts of /proc/pressure/cpu, memory and io (psi, Documentation/accounting/psi.rst).
    pub fn of(cpu: &str, memory: &str, io: &str) -> Option<Pressure> {
        let some = |text| average(text, "some");
        Some(Pressure { cpu: some(cpu)?, memory: some(memory)?, io: some(io)? })
    }

    /// What the highest of them means, where it is felt.
    fn highest(self) -> Option<Meaning> {
        let Pressure { cpu, memory, io } = self;
        let felt = cpu.max(memory).max(io) >= PRESSURE_HIGH;
        felt.then_some(match (memory >= io && memory >= PRESSURE_HIGH, io >= cpu) {
            (true, _) => Meaning::MemoryPressure,
            (false, true) => Meaning::DiskPressure,
            (false, false) => Meaning::ProcessorPressure,
        })
    }
}

/// The average of ten seconds in a line of a file of PSI: `some` where one waited, `full` where
/// none did anything else.
pub(super) fn average(text: &str, line: &str) -> Option<f64> {
    let line = text.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' '))?;
    let value = line.split_whitespace().find_map(|word| word.strip_prefix("avg10="))?;
    value.parse().ok().filter(|share| (0.0..=100.0).contains(share))
}

/// A counter of /proc/vmstat.
pub fn counter(vmstat: &str, name: &str) -> Option<u64> {
    vmstat.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

/// The first number of /proc/uptime.
pub fn uptime(text: &str) -> Option<Duration> {
    let seconds: f64 = text.split_whitespace().next()?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// In the largest unit that leaves a number above one.
fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        172_800.. => format!("{} days", seconds / 86_400),
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

    /// Nothing of the swap space is left, where there is any: a hundredth counts as nothing.
    pub fn swap_is_full(&self) -> bool {
        self.swap_total_bytes > 0 && self.swap_free_bytes < self.swap_total_bytes / 100
    }

    fn findings(&self, out: &mut Vec<Finding>) {
        let available = Finding::new("memory_available", mebibytes(self.available_bytes));
        let short = self.available_bytes < self.total_bytes / 10;
        out.push(if short { available.means(Meaning::MemoryIsShort) } else { available });
        out.push(Finding::new("memory_total", mebibytes(self.total_bytes)));
        if let Some(worker) = self.worker_bytes {
            out.push(Finding::new("largest_worker", mebibytes(worker)));
        }
        if self.swap_total_bytes > 0 {
            let (free, total) = (self.swap_free_bytes, self.swap_total_bytes);
            let value = format!("{} free of {}", mebibytes(free), mebibytes(total));
            let swap = Finding::new("swap", value);
            out.push(if self.swap_is_full() { swap.means(Meaning::SwapIsFull) } else { swap });
        }
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

pub(super) fn mebibytes(bytes: u64) -> String {
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

    #[test]
    fn load_and_pressure_are_read_whatever_the_files_hold() {
        let load = Load::of("9.01 0.20 0.10 1/200 4711\n", 4).unwrap();
        assert_eq!((load.averages, load.is_high()), ([9.01, 0.2, 0.1], true));
        assert!(!Load::of("7.9 0.2 0.1 1/2 3", 4).unwrap().is_high());
        for text in ["", "1 2", "1 x 3", "NaN 1 2", "-1 1 1", "inf 1 1", "\u{fffd}"] {
            assert_eq!(Load::of(text, 4), None, "{text}");
        }
        let psi = |share: &str| {
            format!("some avg10={share} avg60=0.00 avg300=0.00 total=1\nfull avg10=0.00 total=0\n")
        };
        let (none, much, more) = (psi("0.00"), psi("31.50"), psi("70"));
        for (cpu, memory, io, meaning) in [
            (&none, &none, &none, None),
            (&much, &none, &none, Some(Meaning::ProcessorPressure)),
            (&much, &none, &more, Some(Meaning::DiskPressure)),
            (&much, &more, &more, Some(Meaning::MemoryPressure)),
            (&more, &none, &much, Some(Meaning::ProcessorPressure)),
        ] {
            let pressure = Pressure::of(cpu, memory, io).unwrap();
            assert_eq!(pressure.highest(), meaning, "{pressure:?}");
        }
        for text in ["", "some", "some avg10=", "some avg10=x", "some avg10=101", "full avg10=1"] {
            assert_eq!(Pressure::of(text, &none, &none), None, "{text}");
        }
    }

    #[test]
    fn counters_and_uptime_are_read_whatever_the_files_hold() {
        let vmstat = "oom_kill_disable 7\noom_kill 3\nnumber x\n";
        for (name, value) in [("oom_kill", Some(3)), ("number", None), ("absent", None)] {
            assert_eq!(counter(vmstat, name), value, "{name}");
        }
        assert_eq!(uptime("61.5 100.0\n"), Some(Duration::from_millis(61_500)));
        for text in ["", "x", "-1 0", "NaN 0", "1e300 0"] {
            assert_eq!(uptime(text), None, "{text}");
        }
        for (seconds, shown) in
            [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (172_800, "2 days")]
        {
            assert_eq!(duration(Duration::from_secs(seconds)), shown);
        }
    }

    #[test]
    fn what_is_scarce_says_what_that_means() {
        let memory = Memory {
            total_bytes: 1000 << 20,
            available_bytes: 50 << 20,
            swap_total_bytes: 500 << 20,
            swap_free_bytes: 4 << 20,
            ..Memory::default()
        };
        let host = Host {
            memory: Some(memory),
            oom_kills: Some(2),
            synchronized: Seen::Found(false),
            clock_behind: Some(Duration::from_secs(86_400 * 400)),
            uptime: Some(Duration::from_secs(40)),
            ..Host::default()
        };
        let mut found = Vec::new();
        host.findings(&mut found);
        let found: Vec<_> =
            found.iter().map(|row| (row.key, row.value.as_str(), row.meaning)).collect();
        let expected = [
            ("memory_available", "50 MiB", Some(Meaning::MemoryIsShort)),
            ("memory_total", "1000 MiB", None),
            ("swap", "4 MiB free of 500 MiB", Some(Meaning::SwapIsFull)),
            ("killed_for_memory", "2", Some(Meaning::KilledForMemory)),
            ("clock_synchronized", "no", Some(Meaning::ClockUnsynchronized)),
            ("clock_behind", "at least 400 days", Some(Meaning::ClockWentBack)),
            ("host_up_for", "40 s", Some(Meaning::HostJustStarted)),
        ];
        assert_eq!(found, expected);
        let sound = Host {
            memory: Some(Memory {
                available_bytes: 500 << 20,
                swap_free_bytes: 400 << 20,
                ..memory
            }),
            oom_kills: Some(0),
            synchronized: Seen::Found(true),
            uptime: Some(Duration::from_secs(86_400)),
            ..Host::default()
        };
        let mut found = Vec::new();
        sound.findings(&mut found);
        assert!(found.iter().all(|row| row.meaning.is_none()), "{found:?}");
    }
}
