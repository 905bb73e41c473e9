//! The backend's unit, its control group and its processes: what `systemctl status` shows.
//!
//! `candidates` says which units may be the server, `manager` asks systemd for their state. What
//! the kernel counts for the unit's control group is read here; it is gone once the unit is down.

mod candidates;
mod manager;

pub use manager::show;

use std::fs;
use std::path::{Path, PathBuf};

pub use candidates::candidates;

use crate::diagnose::around::{Cgroup, Need, Piece, Seen, Unit, Units, Workers};

use super::look::Question;
use super::read;

/// systemd is what runs the services (sd_booted(3)).
const BOOTED: &str = "/run/systemd/system";
/// The tree of control groups, of the second version alone or beside the first one's.
const TREES: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
const FILES: [&str; 8] = [
    "memory.current",
    "memory.max",
    "memory.events",
    "cpu.stat",
    "pids.current",
    "pids.max",
    "io.pressure",
    "cpu.pressure",
];
const BYTES_MAX: u64 = 16 * 1024;
/// More workers than a pool has.
const PROCESSES_MAX: usize = 512;
/// Groups below a unit's own: a service may part its processes.
const GROUPS_MAX: usize = 16;

/// The lane of the look.
pub fn lane(question: &Question) -> Piece {
    Piece::Units(Units { server: server(question) })
}

fn server(question: &Question) -> Seen<Unit> {
    if !question.is_here || !Path::new(BOOTED).exists() {
        return Seen::Nothing;
    }
    let candidates = candidates(question);
    if candidates.is_empty() {
        return Seen::Nothing;
    }
    let (mut unit, group) = match manager::unit(&candidates) {
        Seen::Found(found) => found,
        Seen::Unlooked => return Seen::Unlooked,
        Seen::Nothing => return Seen::Nothing,
        Seen::Denied(need) => return Seen::Denied(need),
        Seen::Late => return Seen::Late,
    };
    if let Some(group) = group.as_deref().and_then(group_path) {
        unit.cgroup = Some(counted(&group));
        unit.workers = workers(&group);
    }
    Seen::Found(unit)
}

/// Where a group of systemd's lies, while it is there.
fn group_path(group: &str) -> Option<PathBuf> {
    let below = group.strip_prefix('/').filter(|below| !below.is_empty())?;
    if below.split('/').any(|part| part == "..") {
        return None;
    }
    TREES.iter().map(|tree| Path::new(tree).join(below)).find(|path| path.is_dir())
}

fn counted(group: &Path) -> Cgroup {
    let texts = FILES.map(|name| (name, read::head(&group.join(name), BYTES_MAX)));
    Cgroup::of(|name| {
        let (_, text) = texts.iter().find(|(file, _)| *file == name)?;
        text.found().map(String::as_str)
    })
}

/// The unit's processes, by their states. Others' are hidden from a service with
/// `ProtectProc=invisible`, but their numbers are not.
fn workers(group: &Path) -> Seen<Workers> {
    let below = fs::read_dir(group).into_iter().flatten().take(BYTES_MAX as usize).flatten();
    let below = below.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let groups = below.map(|entry| entry.path()).take(GROUPS_MAX);
    let mut processes: Vec<u32> = Vec::new();
    for group in std::iter::once(group.to_owned()).chain(groups) {
        let Seen::Found(listed) = read::head(&group.join("cgroup.procs"), BYTES_MAX) else {
            continue;
        };
        processes.extend(listed.lines().filter_map(|line| line.parse::<u32>().ok()));
    }
    processes.truncate(PROCESSES_MAX);
    let (mut workers, mut seen) = (Workers::default(), 0);
    for process in &processes {
        if let Ok(stat) = fs::read_to_string(format!("/proc/{process}/stat")) {
            workers.count(&stat);
            seen += 1;
        }
    }
    match (processes.len(), seen) {
        (0, _) => Seen::Nothing,
        (_, 0) => Seen::Denied(Need::OtherProcesses),
        (_, _) => Seen::Found(workers),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_group_lies_below_the_tree_alone() {
        for group in ["", "/", "system.slice", "/../etc", "/a/../..", "/no-such.slice"] {
            assert_eq!(group_path(group), None, "{group}");
        }
    }

    #[test]
    fn processes_of_a_group_are_seen_with_their_states() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(workers(dir.path()), Seen::Nothing);
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        fs::create_dir(dir.path().join("below")).unwrap();
        fs::write(dir.path().join("below/cgroup.procs"), format!("{}\n", child.id())).unwrap();
        let seen = workers(dir.path());
        child.kill().unwrap();
        child.wait().unwrap();
        let seen = seen.found().copied().unwrap();
        assert_eq!(seen.running + seen.sleeping + seen.blocked, 1);
        // No process has this number: the kernel's greatest is 2^22.
        fs::write(dir.path().join("below/cgroup.procs"), "4194305\n").unwrap();
        assert_eq!(workers(dir.path()), Seen::Denied(Need::OtherProcesses));
    }
}
