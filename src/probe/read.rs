//! Reading a file of this host, whatever lies in its place: a bounded piece of it, or why not.
//!
//! Nothing but a regular file is ever read, a pipe without a writer holds nobody up, and no more
//! than the limit is held in memory, however long the file is or becomes meanwhile. Whether a path
//! may be looked at is the caller's to know: none comes from a client or an upstream.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path};

use rustix::fs::{self, AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::diagnose::around::{Need, Seen};

/// A pipe without a writer would hold open(2) up, and a terminal would become ours.
const FLAGS: OFlags =
    OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);
/// What is read of the list of groups.
const GROUPS_BYTES_MAX: u64 = 64 << 10;
/// The groups that distributions let read logs, and those of servers: what an operator may add us
/// to. A file may have any other, of which nothing is said but that it is not ours.
const GROUPS: [&str; 9] = [
    "adm",
    "systemd-journal",
    "www-data",
    "apache",
    "nginx",
    "syslog",
    "mysql",
    "redis",
    "causeway",
];

/// The end of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tail {
    /// Whole lines, but for the last if nobody has ended it yet; bytes that are no UTF-8 replaced.
    pub text: String,
    /// The file begins before it.
    pub is_cut: bool,
}

/// The beginning of a file, as text.
pub fn head(path: &Path, bytes_max: u64) -> Seen<String> {
    open_regular(path).and_then(|file| text(&file, bytes_max))
}

/// The end of a file, as text.
pub fn tail(path: &Path, bytes_max: u64) -> Seen<Tail> {
    open_regular(path).and_then(|file| end(file, bytes_max))
}

/// The same below a folder into which others than the administrator may write: no link on the way
/// is followed, since it may lead to a file that we may read and they may not.
pub fn tail_beneath(folder: &Path, name: &Path, bytes_max: u64) -> Seen<Tail> {
    open_beneath(folder, name).and_then(|file| end(file, bytes_max))
}

/// Opens what is at the end of a path, through links, if that is a regular file.
pub fn open_regular(path: &Path) -> Seen<File> {
    let parent = path.parent().unwrap_or(path);
    open_at(CWD, path.as_os_str(), AtFlags::empty(), || group_of_path(path, parent))
}

fn open_beneath(folder: &Path, name: &Path) -> Seen<File> {
    let held = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut at: OwnedFd = match fs::open(folder, held, Mode::empty()) {
        Ok(folder) => folder,
        Err(errno) => return unread(errno, || group_of_path(folder, folder)),
    };
    let need = || group_of_path(&folder.join(name), folder);
    let mut names = name.components().peekable();
    while let Some(component) = names.next() {
        let Component::Normal(component) = component else { break };
        if names.peek().is_none() {
            return open_at(at, component, AtFlags::SYMLINK_NOFOLLOW, need);
        }
        at = match fs::openat(&at, component, held | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(next) => next,
            // A link in a folder's place.
            Err(Errno::NOTDIR | Errno::LOOP) => return Seen::Denied(Need::RegularFile),
            Err(errno) => return unread(errno, need),
        };
    }
    Seen::Nothing
}

/// Looks before it opens: to open a device may already do something to it.
fn open_at(folder: impl AsFd, name: &OsStr, links: AtFlags, need: impl Fn() -> Need) -> Seen<File> {
    match fs::statat(&folder, name, links) {
        Ok(stat) if !is_regular(&stat) => return Seen::Denied(Need::RegularFile),
        Ok(_) => {}
        Err(errno) => return unread(errno, need),
    }
    let no_links = match links.contains(AtFlags::SYMLINK_NOFOLLOW) {
        true => OFlags::NOFOLLOW,
        false => OFlags::empty(),
    };
    let opened = match fs::openat(&folder, name, FLAGS | no_links, Mode::empty()) {
        Ok(opened) => opened,
        Err(errno) => return unread(errno, need),
    };
    // It may have been replaced in between.
    match fs::fstat(&opened) {
        Ok(stat) if is_regular(&stat) => Seen::Found(opened.into()),
        Ok(_) => Seen::Denied(Need::RegularFile),
        Err(errno) => unread(errno, need),
    }
}

fn is_regular(stat: &fs::Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

fn unread<T>(errno: Errno, need: impl Fn() -> Need) -> Seen<T> {
    match errno {
        Errno::NOENT => Seen::Nothing,
        Errno::ACCESS | Errno::PERM => Seen::Denied(need()),
        Errno::NOTDIR | Errno::ISDIR | Errno::LOOP | Errno::NXIO | Errno::NODEV => {
            Seen::Denied(Need::RegularFile)
        }
        _ => Seen::Denied(Need::SoundDisk),
    }
}

/// The group that would let us through: the file's own, or that of the first folder on the way to
/// it that we may look at.
fn group_of_path(path: &Path, stop: &Path) -> Need {
    for (at, is_file) in [(path, true), (stop, false)]
        .into_iter()
        .chain(stop.ancestors().skip(1).map(|folder| (folder, false)))
    {
        let Ok(stat) = fs::stat(at) else { continue };
        // Reading for a file, and a search for a folder.
        let wanted = if is_file && is_regular(&stat) { 0o040 } else { 0o010 };
        let group = (stat.st_mode & wanted != 0).then(|| group_name(stat.st_gid)).flatten();
        return group.map_or(Need::Owner, Need::Group);
    }
    Need::Owner
}

fn group_name(id: u32) -> Option<&'static str> {
    let groups = head(Path::new("/etc/group"), GROUPS_BYTES_MAX);
    let line = groups
        .found()?
        .lines()
        .find(|line| line.split(':').nth(2).and_then(|number| number.parse().ok()) == Some(id))?;
    let name = line.split(':').next()?;
    GROUPS.into_iter().find(|known| *known == name)
}

fn end(mut file: File, bytes_max: u64) -> Seen<Tail> {
    let length = match file.metadata() {
        Ok(metadata) => metadata.size(),
        Err(_) => return Seen::Denied(Need::SoundDisk),
    };
    let begins = length.saturating_sub(bytes_max);
    if file.seek(SeekFrom::Start(begins)).is_err() {
        return Seen::Denied(Need::SoundDisk);
    }
    text(&file, bytes_max).map(|text| {
        // What stands before the first line's end began before.
        let from = match begins {
            0 => 0,
            _ => text.find('\n').map_or(text.len(), |end| end + 1),
        };
        Tail { text: text[from..].to_owned(), is_cut: begins > 0 }
    })
}

fn text(file: &File, bytes_max: u64) -> Seen<String> {
    let mut bytes = Vec::new();
    match file.take(bytes_max).read_to_end(&mut bytes) {
        Ok(_) => Seen::Found(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Seen::Denied(Need::Owner),
        Err(_) => Seen::Denied(Need::SoundDisk),
    }
}

#[cfg(test)]
mod tests {
    use std::fs as files;
    use std::io::Write;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;
    use std::time::{Duration, Instant};

    use super::*;

    const MAX: u64 = 64 << 10;

    #[test]
    fn the_end_of_a_file_is_whole_lines_and_its_beginning_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        files::write(&path, "first line\nsecond\nthird").unwrap();
        let cut = |text: &str| Seen::Found(Tail { text: text.to_owned(), is_cut: true });
        for (max, seen) in [
            (64, Seen::Found(Tail { text: "first line\nsecond\nthird".into(), is_cut: false })),
            (14, cut("second\nthird")),
            (8, cut("third")),
            (3, cut("")),
        ] {
            assert_eq!(tail(&path, max), seen, "{max}");
        }
        assert_eq!(head(&path, 5), Seen::Found("first".to_owned()));
        files::write(&path, b"caf\xe9\n").unwrap();
        assert_eq!(head(&path, 64), Seen::Found("caf\u{fffd}\n".to_owned()));
        // A file of the kernel has no length.
        assert!(head(Path::new("/proc/self/status"), MAX).found().unwrap().starts_with("Name:"));
    }

    #[test]
    fn whatever_lies_in_a_files_place_is_survived() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let fifo = at("fifo");
        fs::mknodat(CWD, &fifo, FileType::Fifo, Mode::RWXU, 0).unwrap();
        symlink(at("loop"), at("loop")).unwrap();
        symlink("/dev/zero", at("to-zero")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        files::write(at("file"), "text").unwrap();
        let began = Instant::now();
        for path in [&fifo, &at("loop"), &at("to-zero"), &at("socket"), &at(""), &at("file/below")]
        {
            assert_eq!(tail(path, MAX), Seen::Denied(Need::RegularFile), "{path:?}");
            assert_eq!(head(path, MAX), Seen::Denied(Need::RegularFile), "{path:?}");
        }
        for path in [Path::new("/dev/zero"), Path::new("/dev/tty"), Path::new("/")] {
            assert_eq!(head(path, MAX), Seen::Denied(Need::RegularFile), "{path:?}");
        }
        for path in [at("missing"), at("missing/below")] {
            assert_eq!(tail(&path, MAX), Seen::Nothing, "{path:?}");
        }
        let long = at(&"x".repeat(300));
        assert_eq!(tail(&long, MAX), Seen::Denied(Need::SoundDisk));
        assert!(began.elapsed() < Duration::from_secs(2), "something held it up");
    }

    #[test]
    fn a_file_of_ten_gigabytes_is_read_at_its_end_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut file = File::create(&path).unwrap();
        file.set_len(10 << 30).unwrap();
        file.seek(SeekFrom::End(0)).unwrap();
        file.write_all(b"\nthe last line\n").unwrap();
        let began = Instant::now();
        let seen = tail(&path, MAX);
        let tail = seen.found().unwrap();
        assert_eq!((tail.text.as_str(), tail.is_cut), ("the last line\n", true));
        assert_eq!(head(&path, MAX).found().unwrap().len() as u64, MAX);
        assert!(began.elapsed() < Duration::from_secs(2));
    }

    #[test]
    fn a_file_that_is_cut_and_grows_while_it_is_read_is_survived() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        files::write(&path, "").unwrap();
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let file = File::options().append(true).open(&path).unwrap();
                while !over.load(Ordering::Relaxed) {
                    for _ in 0..64 {
                        (&file).write_all(&[b'x'; 4096]).unwrap();
                    }
                    file.set_len(0).unwrap();
                }
            });
            for _ in 0..500 {
                let seen = tail(&path, MAX);
                assert!(seen.found().unwrap().text.len() as u64 <= MAX);
            }
            over.store(true, Ordering::Relaxed);
        });
    }

    /// Below a folder of the site's own a link is not followed, since whoever may write there could
    /// have us show any file that we may read.
    #[test]
    fn no_link_below_a_site_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        files::create_dir_all(at("site/wp-content")).unwrap();
        files::create_dir(at("else")).unwrap();
        files::write(at("else/debug.log"), "a secret").unwrap();
        let look = || tail_beneath(&at("site"), Path::new("wp-content/debug.log"), MAX);
        assert_eq!(look(), Seen::Nothing);
        files::write(at("site/wp-content/debug.log"), "its own").unwrap();
        assert_eq!(look().found().unwrap().text, "its own");
        files::remove_file(at("site/wp-content/debug.log")).unwrap();
        symlink(at("else/debug.log"), at("site/wp-content/debug.log")).unwrap();
        assert_eq!(look(), Seen::Denied(Need::RegularFile));
        files::remove_dir_all(at("site/wp-content")).unwrap();
        symlink(at("else"), at("site/wp-content")).unwrap();
        assert_eq!(look(), Seen::Denied(Need::RegularFile));
        let outside = tail_beneath(&at("site"), Path::new("../else/debug.log"), MAX);
        assert_eq!(outside, Seen::Nothing);
        // The root itself may be one: the administrator named it.
        symlink(at("else"), at("current")).unwrap();
        let through = tail_beneath(&at("current"), Path::new("debug.log"), MAX);
        assert_eq!(through.found().unwrap().text, "a secret");
    }

    /// Which group would help is told, where it is one that helps with logs.
    #[test]
    fn what_may_not_be_read_says_what_would_allow_it() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        files::set_permissions(dir.path(), files::Permissions::from_mode(0o755)).unwrap();
        let adm = group_id("adm");
        for (name, folder_mode, mode, group, need) in [
            ("owner", 0o755, 0o600, None, Need::Owner),
            ("adm", 0o755, 0o640, Some(adm), Need::Group("adm")),
            ("folder", 0o750, 0o640, Some(adm), Need::Group("adm")),
            ("closed", 0o700, 0o644, Some(adm), Need::Owner),
        ] {
            files::create_dir(at(name)).unwrap();
            let file = at(name).join("log");
            files::write(&file, "text").unwrap();
            if rustix::process::geteuid().is_root() {
                for path in [&file, &at(name)] {
                    std::os::unix::fs::chown(path, Some(0), group).unwrap();
                }
            }
            for (path, mode) in [(&file, mode), (&at(name), folder_mode)] {
                files::set_permissions(path, files::Permissions::from_mode(mode)).unwrap();
            }
            assert_eq!(as_nobody(|| tail(&file, MAX)), Seen::Denied(need), "{name}");
            let name = Path::new("log");
            let beneath = as_nobody(|| tail_beneath(file.parent().unwrap(), name, MAX));
            assert_eq!(beneath, Seen::Denied(need), "{name:?}");
        }
    }

    fn group_id(name: &str) -> u32 {
        let groups = files::read_to_string("/etc/group").unwrap();
        let line = groups.lines().find(|line| line.starts_with(&format!("{name}:"))).unwrap();
        line.split(':').nth(2).unwrap().parse().unwrap()
    }

    /// On a thread of its own that has nobody's rights with files; these tests run as root.
    fn as_nobody<T: Send>(what: impl FnOnce() -> T + Send) -> T {
        assert!(rustix::process::geteuid().is_root(), "this test has to run as root");
        let run = || {
            nix::unistd::setfsuid(nix::unistd::Uid::from_raw(65534));
            nix::unistd::setfsgid(nix::unistd::Gid::from_raw(65534));
            what()
        };
        thread::scope(|scope| scope.spawn(run).join().unwrap())
    }
}
