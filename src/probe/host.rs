//! What this machine has left, and whether its clock is right: small files of the kernel.

use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::diagnose::Code;
use crate::diagnose::around::{
    Host, Load, Memory, Piece, Pressure, Seen, counter, kilobytes, uptime,
};

use super::look::Question;
use super::read;

/// What is read of a file: /proc/vmstat is the longest.
const BYTES_MAX: u64 = 64 << 10;
/// Processes that are looked at.
const PROCESSES_MAX: usize = 8192;
/// What workers of PHP are called; the kernel cuts names at 15 bytes.
const WORKERS: [&str; 3] = ["php-fpm", "php-cgi", "lsphp"];

/// There while systemd's own client has the time from a server.
const SYNCHRONIZED: &str = "/run/systemd/timesync/synchronized";
/// There while that client runs.
const TIMESYNC: &str = "/run/systemd/timesync";
/// Files that are changed often, and never by hand: the kernel notes when, by its own clock.
const DATED: [&str; 4] = [
    "/var/lib/systemd/timesync/clock",
    "/var/lib/rpm/rpmdb.sqlite",
    "/etc/ld.so.cache",
    "/etc/passwd",
];
/// The clock may be set back by less without anybody noticing.
const BEHIND_MIN: Duration = Duration::from_secs(3600);

/// The lane of the look.
pub fn lane(question: &Question) -> Piece {
    let processors = thread::available_parallelism().map_or(1, |count| count.get() as u32);
    let pressure = ["cpu", "memory", "io"].map(|what| text(&format!("/proc/pressure/{what}")));
    let [cpu, memory, io] = &pressure;
    let dated = is_about_time(question.code);
    Piece::Host(Host {
        memory: Memory::of(&text("/proc/meminfo"), largest_worker()),
        load: Load::of(&text("/proc/loadavg"), processors),
        pressure: Pressure::of(cpu, memory, io),
        oom_kills: counter(&text("/proc/vmstat"), "oom_kill"),
        uptime: uptime(&text("/proc/uptime")),
        synchronized: if dated { synchronized() } else { Seen::Unlooked },
        clock_behind: if dated { behind(SystemTime::now()) } else { None },
        ..Host::default()
    })
}

/// Whether a failure may lie in the clock.
fn is_about_time(code: Code) -> bool {
    matches!(code, Code::TlsCertExpired | Code::TlsCertNotYetValid | Code::TlsCertUnusable)
}

/// Nothing where another program than systemd's own keeps the time: it does not tell.
pub fn synchronized() -> Seen<bool> {
    match (Path::new(SYNCHRONIZED).exists(), Path::new(TIMESYNC).exists()) {
        (true, _) => Seen::Found(true),
        (false, true) => Seen::Found(false),
        (false, false) => Seen::Nothing,
    }
}

/// How far the clock is behind the latest change of a file of this host.
fn behind(now: SystemTime) -> Option<Duration> {
    let program = env::current_exe().ok();
    let files = DATED.into_iter().map(PathBuf::from).chain(program);
    let latest = files.filter_map(|file| changed(&file)).max()?;
    latest.duration_since(now).ok().filter(|behind| *behind >= BEHIND_MIN)
}

/// When the kernel last noted a change; nobody can set this time but by the clock.
fn changed(file: &Path) -> Option<SystemTime> {
    let seconds = u64::try_from(fs::metadata(file).ok()?.ctime()).ok()?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// The text of a small file of the kernel; empty where it cannot be read.
fn text(path: &str) -> String {
    read::head(Path::new(path), BYTES_MAX).found().cloned().unwrap_or_default()
}

/// The private memory of the largest worker of PHP that runs here.
fn largest_worker() -> Option<u64> {
    let processes = fs::read_dir("/proc").ok()?.take(PROCESSES_MAX).flatten();
    processes.filter_map(|process| worker(&process.path())).max()
}

fn worker(process: &Path) -> Option<u64> {
    let name = process.file_name()?.to_str()?;
    if !name.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let command = fs::read_to_string(process.join("comm")).ok()?;
    WORKERS.iter().find(|known| command.starts_with(**known))?;
    kilobytes(&fs::read_to_string(process.join("status")).ok()?, "RssAnon:")
}

#[cfg(test)]
mod tests {
    use crate::config::{Scheme, Server, ServerAddress};

    use super::*;

    #[test]
    fn the_memory_of_this_host_is_known() {
        let address = ServerAddress::Unix("/run/nobody.sock".into());
        let Piece::Host(host) = lane(&Question::about(Server { scheme: Scheme::Http, address }))
        else {
            panic!("another lane's piece");
        };
        let memory = host.memory.unwrap();
        assert!(0 < memory.available_bytes && memory.available_bytes <= memory.total_bytes);
    }

    #[test]
    fn a_clock_that_was_set_back_is_behind_the_files_of_this_host() {
        let now = SystemTime::now();
        assert_eq!(behind(now), None);
        let year = Duration::from_secs(365 * 86_400);
        // This program was built a moment ago, by a clock that was right.
        let found = behind(now - 3 * year).unwrap();
        assert!(year < found && found <= 3 * year, "{found:?}");
    }
}
