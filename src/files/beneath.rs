//! Looking a path up below a folder: by openat2(2), which keeps the limit in the kernel, or name by
//! name where a sandbox or an old kernel has no such call.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

use rustix::fs::{self, AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// How often a race with a rename is tried again: openat2(2), EAGAIN.
const RACES_MAX: usize = 8;

/// What a lookup is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To be read and sent.
    Read,
    /// To know what it is.
    Look,
}

/// Who keeps a lookup below the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beneath {
    /// openat2(2), Linux 5.6.
    Kernel,
    /// Name by name without any symbolic link, where a sandbox or an old kernel has no openat2.
    Walk,
}

/// Those of /proc, which lead anywhere without a name.
pub const NO_MAGIC: ResolveFlags = ResolveFlags::NO_MAGICLINKS;
pub const NO_LINKS: ResolveFlags =
    ResolveFlags::BENEATH.union(NO_MAGIC).union(ResolveFlags::NO_SYMLINKS);

/// A pipe without a writer would hold open(2) up, and a terminal would become ours.
pub fn flags(purpose: Purpose) -> OFlags {
    match purpose {
        Purpose::Read => OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC,
        Purpose::Look => OFlags::PATH | OFlags::CLOEXEC,
    }
}

pub fn open_beneath(
    root: BorrowedFd<'_>,
    path: &[u8],
    purpose: Purpose,
    limits: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    let mut races = 0;
    loop {
        match fs::openat2(root, path, flags(purpose), Mode::empty(), limits) {
            Err(Errno::AGAIN) if races < RACES_MAX => races += 1,
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

/// Opens `path` through links that stay below the root.
///
/// RESOLVE_BENEATH stops at any absolute link. One that leads back into the site is asked for its
/// end, which is then opened by its own name, and so without a way out.
pub fn open_linked(root: BorrowedFd<'_>, path: &[u8], purpose: Purpose) -> Result<OwnedFd, Errno> {
    match open_beneath(root, path, purpose, ResolveFlags::BENEATH.union(NO_MAGIC)) {
        Err(Errno::XDEV) => {}
        other => return other,
    }
    let end = open_beneath(root, path, Purpose::Look, NO_MAGIC)?;
    let (target, root_path) = (place(end.as_fd())?, place(root)?);
    let below = below(&target, &root_path).ok_or(Errno::XDEV)?;
    open_beneath(root, below, purpose, NO_LINKS)
}

/// Opens `path` name by name: each is looked up in a folder that is held open, and no link is
/// followed.
pub fn walk(root: BorrowedFd<'_>, path: &[u8], purpose: Purpose) -> Result<OwnedFd, Errno> {
    let mut held: Option<OwnedFd> = None;
    let mut names = path.split(|byte| *byte == b'/').peekable();
    while let Some(name) = names.next() {
        let folder = held.as_ref().map_or(root, AsFd::as_fd);
        // Also of the last name: O_NOFOLLOW with O_PATH opens the link itself (open(2)).
        let stat = fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
            return Err(Errno::LOOP);
        }
        let wanted = match names.peek() {
            Some(_) => OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            None => flags(purpose),
        };
        let next = fs::openat(folder, name, wanted | OFlags::NOFOLLOW, Mode::empty())?;
        held = Some(next);
    }
    held.ok_or(Errno::NOENT)
}

/// The real path of an open file (proc_pid_fd(5)); without /proc no link is followed.
pub fn place(fd: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    let link = format!("/proc/self/fd/{}", fd.as_raw_fd());
    match fs::readlinkat(CWD, link, Vec::new()) {
        Ok(target) => Ok(target.into_bytes()),
        Err(_) => Err(Errno::LOOP),
    }
}

/// The names of `target` below `root`, if it is there.
pub fn below<'a>(target: &'a [u8], root: &[u8]) -> Option<&'a [u8]> {
    target.strip_prefix(root)?.strip_prefix(b"/")
}

/// How lookups are kept below a root here. Asked once: ENOSYS before Linux 5.6, EPERM where a
/// container's filter knows no openat2.
pub fn known() -> Beneath {
    static BENEATH: OnceLock<Beneath> = OnceLock::new();
    *BENEATH.get_or_init(|| {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        match fs::openat2(CWD, "/", flags, Mode::empty(), ResolveFlags::empty()) {
            Err(Errno::NOSYS | Errno::PERM) => Beneath::Walk,
            Ok(_) | Err(_) => Beneath::Kernel,
        }
    })
}
