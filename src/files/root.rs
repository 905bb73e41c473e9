//! The folder of a site: opens what lies below it, and nothing else.
//!
//! The kernel holds the limit (openat2(2), RESOLVE_BENEATH), not a comparison of paths that could
//! be out of date when the file is opened. A few system calls on the caller's thread; a name that
//! was reached through a symbolic link is judged by [`rules`] once more, as what it really is.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Instant;

use rustix::fs::{self, AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::rules::{self, Denial};
use crate::clock;
use crate::config::{Files, Symlinks};

/// How often a race with a rename is tried again: openat2(2), EAGAIN.
const RACES_MAX: usize = 8;

/// The folder of one site, as one worker sees it. Cheap to ask, not to be shared between threads.
#[derive(Debug)]
pub struct Root {
    path: PathBuf,
    symlinks: Symlinks,
    beneath: Beneath,
    state: RefCell<State>,
    looked: Cell<Option<Instant>>,
}

/// Whether the folder is on this host.
#[derive(Debug)]
enum State {
    Here(Folder),
    /// PHP lives elsewhere, or nobody has made the folder yet.
    Away,
    /// Something is there that we cannot open.
    Shut(Errno),
}

#[derive(Debug)]
struct Folder {
    fd: OwnedFd,
    device: u64,
    inode: u64,
}

/// Who keeps a lookup below the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beneath {
    /// openat2(2), Linux 5.6.
    Kernel,
    /// Name by name without any symbolic link, where a sandbox or an old kernel has no openat2.
    Walk,
}

/// What lies at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    Folder,
    /// Nothing, or a pipe, a socket or a device, which are nothing to a visitor.
    Nothing,
}

/// What lies at a path, with the file opened if it is one.
#[derive(Debug)]
pub enum Found {
    File(Opened),
    Folder,
    Nothing,
}

/// A regular file that may be sent.
#[derive(Debug)]
pub struct Opened {
    pub file: File,
    /// Names below the root, without a leading slash.
    pub path: Vec<u8>,
    pub size: u64,
    /// Since 1970: seconds, and nanoseconds above them.
    pub modified: (i64, u32),
    pub inode: u64,
}

/// Why what may lie at a path was not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// It was reached through a link, and is something that is never given.
    Denied(Denial),
    Errno(Errno),
}

/// What a lookup is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// To be read and sent.
    Read,
    /// To know what it is.
    Look,
}

impl Root {
    /// Opens the site's folder, if it is here.
    pub fn new(files: &Files) -> Root {
        Root {
            path: files.root.clone(),
            symlinks: files.symlinks,
            beneath: beneath(),
            state: RefCell::new(State::Away),
            looked: Cell::new(None),
        }
    }

    /// Whether the folder is on this host; else nothing can be said about any path.
    ///
    /// Looks again with each tick of the clock: a deployment that turns a link from one release to
    /// the next is seen at once, also a folder that comes late. One that was here stays so, even
    /// when it vanishes: what its paths mean must not change while it is being replaced.
    ///
    /// # Errors
    /// There is something that we have no right to open, or that is no folder.
    pub fn is_here(&self) -> Result<bool, Errno> {
        let now = clock::now();
        if self.looked.get() != Some(now) {
            self.looked.set(Some(now));
            self.look();
        }
        match &*self.state.borrow() {
            State::Here(_) => Ok(true),
            State::Away => Ok(false),
            State::Shut(errno) => Err(*errno),
        }
    }

    fn look(&self) {
        let mut state = self.state.borrow_mut();
        let stat = fs::stat(&self.path);
        if let (State::Here(folder), Ok(stat)) = (&*state, &stat)
            && (folder.device, folder.inode) == (stat.st_dev, stat.st_ino)
        {
            return;
        }
        let found = Folder::open(&self.path);
        let was_here = matches!(&*state, State::Here(_));
        match found {
            Ok(folder) => *state = State::Here(folder),
            Err(_) if was_here => {}
            Err(Errno::NOENT | Errno::NOTDIR) => *state = State::Away,
            Err(errno) => *state = State::Shut(errno),
        }
    }

    /// Opens the file at `path`, names without a leading slash, to be sent.
    ///
    /// # Errors
    /// [`Closed`]; where the folder is not here there is nothing, see [`Root::is_here`].
    pub fn open(&self, files: &Files, path: &[u8]) -> Result<Found, Closed> {
        match self.found(files, path, Purpose::Read) {
            Ok(Some((fd, stat))) => Ok(match kind_of(&stat) {
                Kind::File => Found::File(Opened::new(fd, &stat, path)),
                Kind::Folder => Found::Folder,
                Kind::Nothing => Found::Nothing,
            }),
            Ok(None) => Ok(Found::Nothing),
            // It may be a folder that can be entered but not listed.
            Err(Closed::Errno(Errno::ACCESS)) => match self.kind(files, path)? {
                Kind::File => Err(Closed::Errno(Errno::ACCESS)),
                Kind::Folder => Ok(Found::Folder),
                Kind::Nothing => Ok(Found::Nothing),
            },
            Err(closed) => Err(closed),
        }
    }

    /// Says what is at `path`, also where we have no right to read it, as PHP's user may.
    ///
    /// # Errors
    /// As [`Root::open`].
    pub fn kind(&self, files: &Files, path: &[u8]) -> Result<Kind, Closed> {
        let found = self.found(files, path, Purpose::Look)?;
        Ok(found.map_or(Kind::Nothing, |(_, stat)| kind_of(&stat)))
    }

    /// Opens the file at `path` if no link leads to it: one that nobody asked for by its name.
    pub fn open_beside(&self, path: &[u8]) -> Option<Opened> {
        let state = self.state.borrow();
        let State::Here(folder) = &*state else { return None };
        let fd = match self.beneath {
            Beneath::Kernel => open_beneath(folder.fd.as_fd(), path, Purpose::Read, NO_LINKS),
            Beneath::Walk => walk(folder.fd.as_fd(), path, Purpose::Read),
        };
        let fd = fd.ok()?;
        let stat = fs::fstat(&fd).ok()?;
        (kind_of(&stat) == Kind::File).then(|| Opened::new(fd, &stat, path))
    }

    fn found(
        &self,
        files: &Files,
        path: &[u8],
        purpose: Purpose,
    ) -> Result<Option<(OwnedFd, Stat)>, Closed> {
        let state = self.state.borrow();
        let State::Here(folder) = &*state else { return Ok(None) };
        let root = folder.fd.as_fd();
        let (fd, may_be_linked) = match self.lookup(root, path, purpose) {
            Ok(found) => found,
            // A name too long for a file is none; ENXIO is a socket's answer to open(2).
            Err(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::NXIO) => {
                return Ok(None);
            }
            Err(errno) => return Err(Closed::Errno(errno)),
        };
        let stat = fs::fstat(&fd).map_err(Closed::Errno)?;
        if may_be_linked && kind_of(&stat) == Kind::File {
            check_target(files, root, fd.as_fd(), path, purpose)?;
        }
        Ok(Some((fd, stat)))
    }

    /// Opens `path`, and says whether symbolic links may have led to it.
    ///
    /// The common case, a path without any link, is one call; only where there is one a second
    /// call follows it.
    fn lookup(
        &self,
        root: BorrowedFd<'_>,
        path: &[u8],
        purpose: Purpose,
    ) -> Result<(OwnedFd, bool), Errno> {
        let linked = |fd: OwnedFd| (fd, true);
        let direct = |fd: OwnedFd| (fd, false);
        match (self.beneath, self.symlinks) {
            (Beneath::Kernel, symlinks) => match open_beneath(root, path, purpose, NO_LINKS) {
                Err(Errno::LOOP) => match symlinks {
                    Symlinks::Inside => open_linked(root, path, purpose).map(linked),
                    Symlinks::Anywhere => open_beneath(root, path, purpose, NO_MAGIC).map(linked),
                },
                other => other.map(direct),
            },
            (Beneath::Walk, Symlinks::Inside) => walk(root, path, purpose).map(direct),
            (Beneath::Walk, Symlinks::Anywhere) => {
                fs::openat(root, path, flags(purpose), Mode::empty()).map(linked)
            }
        }
    }
}

impl Folder {
    fn open(path: &Path) -> Result<Folder, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = fs::open(path, flags, Mode::empty())?;
        let stat = fs::fstat(&fd)?;
        Ok(Folder { fd, device: stat.st_dev, inode: stat.st_ino })
    }
}

impl Opened {
    fn new(fd: OwnedFd, stat: &Stat, path: &[u8]) -> Opened {
        Opened {
            file: File::from(fd),
            path: path.to_vec(),
            size: u64::try_from(stat.st_size).unwrap_or(0),
            modified: (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or(0)),
            inode: stat.st_ino,
        }
    }
}

/// Those of /proc, which lead anywhere without a name.
const NO_MAGIC: ResolveFlags = ResolveFlags::NO_MAGICLINKS;
const NO_LINKS: ResolveFlags =
    ResolveFlags::BENEATH.union(NO_MAGIC).union(ResolveFlags::NO_SYMLINKS);

fn kind_of(stat: &Stat) -> Kind {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Folder,
        _ => Kind::Nothing,
    }
}

/// A pipe without a writer would hold open(2) up, and a terminal would become ours.
fn flags(purpose: Purpose) -> OFlags {
    match purpose {
        Purpose::Read => OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC,
        Purpose::Look => OFlags::PATH | OFlags::CLOEXEC,
    }
}

fn open_beneath(
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
fn open_linked(root: BorrowedFd<'_>, path: &[u8], purpose: Purpose) -> Result<OwnedFd, Errno> {
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
fn walk(root: BorrowedFd<'_>, path: &[u8], purpose: Purpose) -> Result<OwnedFd, Errno> {
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

/// Judges a file by its own place, not by that of the link that led to it. What lies outside the
/// root is judged by its name alone: the folders on the way to it are the operator's.
fn check_target(
    files: &Files,
    root: BorrowedFd<'_>,
    fd: BorrowedFd<'_>,
    path: &[u8],
    purpose: Purpose,
) -> Result<(), Closed> {
    let target = place(fd).map_err(Closed::Errno)?;
    let root = place(root).map_err(Closed::Errno)?;
    let below = below(&target, &root);
    if below == Some(path) {
        return Ok(());
    }
    let target = below.unwrap_or(rules::last_name(&target));
    if let Some(denial) = rules::denial(files, target) {
        return Err(Closed::Denied(denial));
    }
    // A link of another kind of name would run an uploaded picture, or show a script.
    let runs = purpose == Purpose::Look && rules::is_script(path);
    match rules::is_script(target) == runs {
        true => Ok(()),
        false => Err(Closed::Denied(Denial::Source)),
    }
}

/// The real path of an open file (proc_pid_fd(5)); without /proc no link is followed.
fn place(fd: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    let link = format!("/proc/self/fd/{}", fd.as_raw_fd());
    match fs::readlinkat(CWD, link, Vec::new()) {
        Ok(target) => Ok(target.into_bytes()),
        Err(_) => Err(Errno::LOOP),
    }
}

/// The names of `target` below `root`, if it is there.
fn below<'a>(target: &'a [u8], root: &[u8]) -> Option<&'a [u8]> {
    target.strip_prefix(root)?.strip_prefix(b"/")
}

/// Asked once: ENOSYS before Linux 5.6, EPERM where a container's filter knows no openat2.
fn beneath() -> Beneath {
    static BENEATH: OnceLock<Beneath> = OnceLock::new();
    *BENEATH.get_or_init(|| {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        match fs::openat2(CWD, "/", flags, Mode::empty(), ResolveFlags::empty()) {
            Err(Errno::NOSYS | Errno::PERM) => Beneath::Walk,
            Ok(_) | Err(_) => Beneath::Kernel,
        }
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// The site at `site/`, and what must not be reached beside it.
    fn site() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        for path in ["site/a/b", "site/.hidden", "out"] {
            std::fs::create_dir_all(at(path)).unwrap();
        }
        for path in
            ["site/a/b/x.txt", "site/x.php", "site/.hidden/x.txt", "out/x.txt", "out/dump.sql"]
        {
            std::fs::write(at(path), path).unwrap();
        }
        for (link, target) in [
            ("inside.txt", "a/b/x.txt"),
            ("folder", "a/b"),
            ("a/b/up", "../.."),
            ("out.txt", "../out/x.txt"),
            ("outside", "../out"),
            ("absolute", "/etc"),
            ("source.txt", "x.php"),
            ("hidden.txt", ".hidden/x.txt"),
            ("picture.php", "a/b/x.txt"),
            ("script.php", "x.php"),
            ("loop", "loop"),
            ("broken", "nowhere"),
            ("magic", "/proc/self/root"),
        ] {
            symlink(target, at("site").join(link)).unwrap();
        }
        for (link, target) in [("back", "site/a/b"), ("back.txt", "site/a/b/x.txt")] {
            symlink(at(target), at("site").join(link)).unwrap();
        }
        rustix::fs::mknodat(CWD, at("site/pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        drop(std::os::unix::net::UnixListener::bind(at("site/socket")).unwrap());
        folder
    }

    fn shown(root: &Root, files: &Files, path: &str) -> String {
        match root.open(files, path.as_bytes()) {
            Ok(Found::File(opened)) => {
                let mut text = String::new();
                std::io::Read::read_to_string(&mut { opened.file }, &mut text).unwrap();
                assert_eq!(opened.size, text.len() as u64);
                text
            }
            Ok(Found::Folder) => "folder".to_owned(),
            Ok(Found::Nothing) => "nothing".to_owned(),
            Err(Closed::Denied(denial)) => format!("{denial:?}"),
            Err(Closed::Errno(errno)) => format!("{errno:?}").to_lowercase(),
        }
    }

    /// Each row: a path, and what is found with `inside`, with `anywhere`, and without openat2.
    #[test]
    fn what_is_found() {
        let folder = site();
        let mut files = Files::new(folder.path().join("site"));
        let inside = Root::new(&files);
        let walk = Root { beneath: Beneath::Walk, ..Root::new(&files) };
        files.symlinks = Symlinks::Anywhere;
        let anywhere = Root::new(&files);
        let walk_anywhere = Root { beneath: Beneath::Walk, ..Root::new(&files) };
        assert_eq!(inside.beneath, Beneath::Kernel, "this host has no openat2");
        for root in [&inside, &walk, &anywhere, &walk_anywhere] {
            assert_eq!(root.is_here(), Ok(true));
        }
        let (x, xdev, looped) = ("site/a/b/x.txt", "os error 18", "os error 40");
        for (path, expected, when_anywhere, when_walked) in [
            ("a/b/x.txt", x, x, x),
            ("a/b", "folder", "folder", "folder"),
            ("a/c", "nothing", "nothing", "nothing"),
            ("a/b/x.txt/y", "nothing", "nothing", "nothing"),
            ("pipe", "nothing", "nothing", "nothing"),
            ("socket", "nothing", "nothing", "nothing"),
            ("broken", "nothing", "nothing", looped),
            ("inside.txt", x, x, looped),
            ("folder/x.txt", x, x, looped),
            ("folder", "folder", "folder", looped),
            ("a/b/up/a/b/x.txt", x, x, looped),
            ("out.txt", xdev, "out/x.txt", looped),
            ("outside/x.txt", xdev, "out/x.txt", looped),
            ("outside/dump.sql", xdev, "Listed", looped),
            ("back.txt", x, x, looped),
            ("back/x.txt", x, x, looped),
            ("back", "folder", "folder", looped),
            ("absolute/hostname", xdev, "", looped),
            ("source.txt", "Source", "Source", looped),
            ("hidden.txt", "Hidden", "Hidden", looped),
            ("loop", looped, looped, looped),
            ("../out/x.txt", xdev, "", ""),
        ] {
            let check = |root: &Root, expected: &str| {
                let found = shown(root, &files, path);
                let errno = expected.strip_prefix("os error ");
                let number = errno.map(|errno| Errno::from_raw_os_error(errno.parse().unwrap()));
                let expected =
                    number.map_or(expected.to_owned(), |n| format!("{n:?}").to_lowercase());
                assert!(found.starts_with(&expected), "{path}: {found}, not {expected}");
            };
            check(&inside, expected);
            check(&anywhere, when_anywhere);
            check(&walk, when_walked);
            check(&walk_anywhere, when_anywhere);
        }
        // Links without a target of their own; without openat2 `anywhere` is what it says.
        for root in [&inside, &anywhere, &walk] {
            let found = root.kind(&files, b"magic/etc/hostname");
            assert_eq!(found, Err(Closed::Errno(Errno::LOOP)));
        }
    }

    #[test]
    fn scripts_and_siblings_behind_links() {
        let folder = site();
        let files = Files::new(folder.path().join("site"));
        let root = Root::new(&files);
        assert_eq!(root.is_here(), Ok(true));
        assert_eq!(root.kind(&files, b"x.php"), Ok(Kind::File));
        assert_eq!(root.kind(&files, b"script.php"), Ok(Kind::File));
        assert_eq!(root.kind(&files, b"picture.php"), Err(Closed::Denied(Denial::Source)));
        assert!(root.open_beside(b"a/b/x.txt").is_some());
        assert!(root.open_beside(b"inside.txt").is_none());
        assert!(root.open_beside(b"a/b").is_none());
        assert!(root.open_beside(b"pipe").is_none());
    }

    #[test]
    fn a_folder_that_comes_is_exchanged_and_vanishes() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        let files = Files::new(at("current"));
        let root = Root::new(&files);
        assert_eq!(root.is_here(), Ok(false));
        assert_eq!(root.kind(&files, b"x.txt"), Ok(Kind::Nothing));
        for release in ["one", "two"] {
            std::fs::create_dir(at(release)).unwrap();
            std::fs::write(at(release).join("x.txt"), release).unwrap();
            symlink(release, at("next")).unwrap();
            std::fs::rename(at("next"), at("current")).unwrap();
            assert_eq!(root.is_here(), Ok(true));
            assert_eq!(shown(&root, &files, "x.txt"), release);
        }
        std::fs::remove_file(at("current")).unwrap();
        assert_eq!(root.is_here(), Ok(true));
        assert_eq!(shown(&root, &files, "x.txt"), "two");
    }

    /// A file where the folder should be cannot be told from a path that leads nowhere.
    #[test]
    fn a_file_is_no_site() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(Root::new(&Files::new(file.path().to_owned())).is_here(), Ok(false));
        let looped = tempfile::tempdir().unwrap();
        symlink("loop", looped.path().join("loop")).unwrap();
        let root = Root::new(&Files::new(looped.path().join("loop")));
        assert_eq!(root.is_here(), Err(Errno::LOOP));
    }
}
