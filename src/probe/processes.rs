//! The processes of this host by name and state (proc_pid_stat(5)), as far as they are shown to us.

use std::fs;
use std::path::Path;

use super::read;

/// Processes that are looked at.
const PROCESSES_MAX: usize = 8192;
/// A line of /proc is shorter; a command's arguments may be as long as they like.
const LINE_MAX: u64 = 1024;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    pub id: u32,
    /// What the kernel calls it: 15 bytes at most.
    pub name: String,
    /// `R`, `S`, `D`, `T`, `t`, `Z`, `I`.
    pub state: char,
}

/// Those whose name begins like one of these.
pub fn named(names: &[&str]) -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().take(PROCESSES_MAX).flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter_map(process).filter(|found| is_named(found, names)).collect()
}

pub fn is_named(process: &Process, names: &[&str]) -> bool {
    names.iter().any(|name| process.name.starts_with(*name))
}

/// One of them; `None` where it has ended, or is hidden from us.
pub fn process(id: u32) -> Option<Process> {
    let stat = read::head(Path::new(&format!("/proc/{id}/stat")), LINE_MAX);
    let stat = stat.found()?;
    // The name may hold anything, a parenthesis too.
    let (name, rest) = (stat.split_once('(')?.1).rsplit_once(')')?;
    Some(Process { id, name: name.to_owned(), state: rest.trim_start().chars().next()? })
}

/// Its first argument: PHP-FPM puts the pool there.
pub fn title(id: u32) -> Option<String> {
    let line = read::head(Path::new(&format!("/proc/{id}/cmdline")), LINE_MAX);
    Some(line.found()?.split('\0').next()?.trim_end().to_owned())
}

/// Whether other users' processes are hidden from us (`hidepid=`, systemd's `ProtectProc=`).
pub fn are_hidden() -> bool {
    process(1).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_process_is_found_by_its_name() {
        let own = process(std::process::id()).unwrap();
        assert!(named(&[&own.name]).iter().any(|found| found.id == own.id), "{own:?}");
        assert!(title(own.id).unwrap().contains("causeway"));
        assert_eq!(process(0), None);
    }
}
