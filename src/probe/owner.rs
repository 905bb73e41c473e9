//! Who opened a socket: the user's name, the unit, the process where we may see it.
//!
//! The kernel tells numbers; the names stand in /etc/passwd and /etc/group, in the folders of the
//! control groups and in /proc. A user of another source of names keeps his number.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirEntryExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use crate::diagnose::around::{Listener, Use};

/// What is read of a list of names: ten thousand users.
const NAMES_BYTES_MAX: u64 = 1 << 20;
/// What is read of a small file of /proc.
const PROC_BYTES_MAX: u64 = 4096;
/// Where the second version of control groups is mounted: alone, or beside the first.
const CGROUPS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
/// Control groups that are looked at: a host with a thousand containers has some thousands.
const CGROUPS_MAX: usize = 8192;
/// Processes that are looked at, and descriptors of each.
const PROCESSES_MAX: usize = 8192;
const DESCRIPTORS_MAX: usize = 4096;
/// Processes of one socket whose descriptors are counted.
const HOLDERS_MAX: usize = 64;
/// How long they are looked through; where we may see all of them there may be many.
const PROCESSES_TIME: Duration = Duration::from_millis(40);

/// The names of users or groups by their numbers.
#[derive(Debug, Default)]
pub struct Names(HashMap<u32, String>);

impl Names {
    pub fn users() -> Names {
        Names::of(&read(Path::new("/etc/passwd"), NAMES_BYTES_MAX))
    }

    pub fn groups() -> Names {
        Names::of(&read(Path::new("/etc/group"), NAMES_BYTES_MAX))
    }

    /// Both files begin their lines alike (passwd(5), group(5)): name, password, number.
    fn of(text: &str) -> Names {
        let named = |line: &str| {
            let mut fields = line.split(':');
            let (name, number) = (fields.next()?, fields.nth(1)?);
            Some((number.parse().ok()?, name.to_owned()))
        };
        // The first name of a number is the one that getpwuid(3) finds.
        let mut names = HashMap::new();
        for (number, name) in text.lines().filter_map(named) {
            names.entry(number).or_insert(name);
        }
        Names(names)
    }

    /// The name, else the number.
    pub fn name(&self, number: u32) -> String {
        self.0.get(&number).cloned().unwrap_or_else(|| number.to_string())
    }
}

/// A socket as the kernel tells it, whose owner is sought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sought {
    pub uid: Option<u32>,
    pub cgroup: Option<u64>,
    pub inode: u32,
}

/// Who opened each of these sockets.
pub fn listeners(users: &Names, sought: &[Sought]) -> Vec<Listener> {
    if sought.is_empty() {
        return Vec::new();
    }
    let cgroups: Vec<u64> = sought.iter().filter_map(|socket| socket.cgroup).collect();
    let (units, holders) = (units(&cgroups), holders(sought));
    let listener = |(socket, holders): (&Sought, &Vec<PathBuf>)| {
        let named = socket.cgroup.and_then(|cgroup| units.get(&cgroup).cloned());
        // The first is the one that the others come from.
        let process = holders.first().map(|path| {
            let name = read(&path.join("comm"), PROC_BYTES_MAX);
            let number = path.file_name().unwrap_or_default().to_string_lossy();
            format!("{} ({number})", name.trim())
        });
        let descriptors = holders.iter().filter_map(|path| descriptors(path));
        Listener {
            user: socket.uid.map(|uid| users.name(uid)),
            unit: named.or_else(|| unit_of_process(holders.first()?)),
            process,
            descriptors: descriptors.min_by_key(|used| used.limit.saturating_sub(used.used)),
        }
    };
    sought.iter().zip(&holders).map(listener).collect()
}

/// The units whose control groups have these numbers, which are those of their folders.
fn units(cgroups: &[u64]) -> HashMap<u64, String> {
    let mut found = HashMap::new();
    let unified = |folder: &&&str| Path::new(folder).join("cgroup.controllers").exists();
    let Some(root) = CGROUPS.iter().find(unified).filter(|_| !cgroups.is_empty()) else {
        return found;
    };
    let (mut open, mut looked) = (vec![PathBuf::from(root)], 0);
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            if cgroups.contains(&entry.ino()) {
                found.extend(unit_in(&entry.path()).map(|unit| (entry.ino(), unit)));
            }
            looked += 1;
            if looked == CGROUPS_MAX {
                return found;
            }
            open.push(entry.path());
        }
    }
    found
}

/// The unit of a control group: a service or scope may have groups below its own.
fn unit_in(path: &Path) -> Option<String> {
    let name = path.iter().rev().filter_map(|name| name.to_str()).find(|name| {
        let kind = Path::new(name).extension();
        kind.is_some_and(|kind| kind == "service" || kind == "scope")
    });
    name.map(str::to_owned)
}

/// The same by proc_pid_cgroup(5): the second version's line has the number 0 and no name.
fn unit_of_process(process: &Path) -> Option<String> {
    let text = read(&process.join("cgroup"), PROC_BYTES_MAX);
    unit_in(Path::new(text.lines().find_map(|line| line.strip_prefix("0::"))?))
}

/// The processes that have each socket open, as far as we may see their descriptors: our own
/// user's, or all for root. In the order of /proc, which is that of their numbers.
fn holders(sought: &[Sought]) -> Vec<Vec<PathBuf>> {
    let until = Instant::now() + PROCESSES_TIME;
    let link = |socket: &Sought| PathBuf::from(format!("socket:[{}]", socket.inode));
    let links: Vec<PathBuf> = sought.iter().map(link).collect();
    let mut holders = vec![Vec::new(); sought.len()];
    let processes = fs::read_dir("/proc").into_iter().flatten().take(PROCESSES_MAX).flatten();
    for process in processes.take_while(|_| Instant::now() < until) {
        let name = process.file_name();
        if !name.as_encoded_bytes().iter().all(u8::is_ascii_digit) {
            continue;
        }
        let path = process.path();
        let open = fs::read_dir(path.join("fd")).into_iter().flatten().take(DESCRIPTORS_MAX);
        for to in open.flatten().filter_map(|entry| fs::read_link(entry.path()).ok()) {
            let at = links.iter().position(|link| *link == to);
            let of: Option<&mut Vec<PathBuf>> = at.map(|at| &mut holders[at]);
            if let Some(of) = of.filter(|of| of.last() != Some(&path) && of.len() < HOLDERS_MAX) {
                of.push(path.clone());
            }
        }
    }
    holders
}

/// The descriptors of a process, as far as we may count them.
fn descriptors(process: &Path) -> Option<Use> {
    // proc_pid_limits(5): the soft limit is the first number.
    let limits = read(&process.join("limits"), PROC_BYTES_MAX);
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let limit = line.split_whitespace().next()?.parse().ok()?;
    Some(Use { used: open_descriptors(process).ok()?, limit })
}

/// Our own. None may be left for the look itself, and then all are in use.
pub fn own_descriptors() -> Option<Use> {
    let limit = getrlimit(Resource::Nofile).current?;
    let used = match open_descriptors(Path::new("/proc/self")) {
        Ok(used) => used,
        Err(error) if error.raw_os_error() == Some(Errno::MFILE.raw_os_error()) => limit,
        Err(_) => return None,
    };
    Some(Use { used, limit })
}

fn open_descriptors(process: &Path) -> io::Result<u64> {
    let folder = process.join("fd");
    // Since Linux 6.2 the size is the number, and that needs no descriptor.
    let size = fs::metadata(&folder)?.size();
    if size > 0 {
        return Ok(size);
    }
    Ok(fs::read_dir(&folder)?.take(DESCRIPTORS_MAX).map(|_| 1).sum())
}

/// The beginning of a file as text; empty where it cannot be read.
pub fn read(path: &Path, bytes_max: u64) -> String {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(bytes_max).read_to_end(&mut bytes));
    match read {
        Ok(_) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::probe::diag;

    #[test]
    fn users_and_groups_have_their_names() {
        let names = Names::of(
            "root:x:0:0:root:/root:/bin/bash\nwww-data:x:33:33::/var/www:\ntoor:x:0:0::/:\n\
             broken\nempty:x::\n:x:7:\nlarge:x:99999999999:\n",
        );
        for (number, name) in
            [(0, "root"), (33, "www-data"), (7, ""), (4_000_000_000, "4000000000")]
        {
            assert_eq!(names.name(number), name);
        }
        assert_eq!(
            (Names::users().name(0), Names::groups().name(0)),
            ("root".into(), "root".into())
        );
    }

    #[test]
    fn the_unit_of_a_control_group_is_the_innermost_service() {
        for (path, unit) in [
            ("/sys/fs/cgroup/system.slice/apache2.service", Some("apache2.service")),
            ("/sys/fs/cgroup/system.slice/x.service/payload/sub", Some("x.service")),
            ("/user.slice/user-0.slice/user@0.service/app.slice/a.service", Some("a.service")),
            ("/sys/fs/cgroup/system.slice/docker-1f.scope", Some("docker-1f.scope")),
            ("/", None),
            ("/sys/fs/cgroup/system.slice", None),
        ] {
            assert_eq!(unit_in(Path::new(path)).as_deref(), unit, "{path}");
        }
    }

    #[test]
    fn a_listener_of_our_own_is_seen_with_its_process() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let found = diag::tcp_listeners(Some(port)).unwrap();
        let (users, tcp) = (Names::users(), &found[0]);
        let listener = listeners(&users, &[tcp.sought()]).remove(0);
        let we = users.name(rustix::process::geteuid().as_raw());
        assert_eq!(listener.user, Some(we));
        let us = format!(" ({})", std::process::id());
        assert!(listener.process.is_some_and(|process| process.ends_with(&us)));
        let used = listener.descriptors.unwrap();
        assert!(0 < used.used && used.used <= used.limit, "{used:?}");
    }
}
