//! The folder of a site: opens what lies below it, and nothing else.
//!
//! The kernel holds the limit (openat2(2), RESOLVE_BENEATH), not a comparison of paths that could
//! be out of date when the file is opened. A few system calls on the caller's thread; a name that
//! was reached through a symbolic link is judged by [`rules`] once more, as what it really is.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use rustix::fs::{self, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::beneath::{
    self, Beneath, NO_LINKS, NO_MAGIC, Purpose, below, flags, open_beneath, open_linked, place,
    walk,
};
use super::recent::{Recent, What};
use super::rules::{self, Denial};
use crate::clock;
use crate::config::{Files, Symlinks};

/// The folder of one site, as one worker sees it. Cheap to ask, not to be shared between threads.
#[derive(Debug)]
pub struct Root {
    path: PathBuf,
    symlinks: Symlinks,
    beneath: Beneath,
    state: RefCell<State>,
    looked: Cell<Option<Instant>>,
    recent: Recent,
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
#[derive(Debug, Clone)]
pub struct Opened {
    pub file: Arc<File>,
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

impl Root {
    /// Opens the site's folder, if it is here.
    pub fn new(files: &Files) -> Root {
        Root {
            path: files.root.clone(),
            symlinks: files.symlinks,
            beneath: beneath::known(),
            state: RefCell::new(State::Away),
            looked: Cell::new(None),
            recent: Recent::default(),
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
        if let Some(opened) = self.recent.file(path).filter(Opened::is_as_it_was) {
            return Ok(Found::File(opened));
        }
        match self.found(files, path, Purpose::Read) {
            Ok(Some((fd, stat))) => Ok(match kind_of(&stat) {
                Kind::File => {
                    let opened = Opened::new(fd, &stat, path);
                    self.recent.note(path, What::Opened(opened.clone()));
                    Found::File(opened)
                }
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
        if self.recent.is_file(path) {
            return Ok(Kind::File);
        }
        let found = self.found(files, path, Purpose::Look)?;
        let kind = found.map_or(Kind::Nothing, |(_, stat)| kind_of(&stat));
        if kind == Kind::File {
            self.recent.note(path, What::File);
        }
        Ok(kind)
    }

    /// Opens the file at `path` if no link leads to it: one that nobody asked for by its name.
    pub fn open_beside(&self, path: &[u8]) -> Option<Opened> {
        match self.recent.beside(path) {
            Some(Some(opened)) if !opened.is_as_it_was() => {}
            Some(known) => return known,
            None => {}
        }
        let beside = self.look_beside(path);
        self.recent.note(path, What::Beside(beside.clone()));
        beside
    }

    fn look_beside(&self, path: &[u8]) -> Option<Opened> {
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

    /// Closes what was kept open for the next to ask. Once a tick.
    pub fn tick(&self) {
        self.recent.forget();
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
        let (size, modified) = Opened::described(stat);
        Opened {
            file: Arc::new(File::from(fd)),
            path: path.to_vec(),
            size,
            modified,
            inode: stat.st_ino,
        }
    }

    /// Whether it was neither written to nor replaced since it was opened.
    fn is_as_it_was(&self) -> bool {
        fs::fstat(&self.file).is_ok_and(|stat| {
            let now = Opened::described(&stat);
            stat.st_nlink > 0 && now == (self.size, self.modified)
        })
    }

    /// Size and time of modification.
    fn described(stat: &Stat) -> (u64, (i64, u32)) {
        let modified = (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or(0));
        (u64::try_from(stat.st_size).unwrap_or(0), modified)
    }
}

fn kind_of(stat: &Stat) -> Kind {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Folder,
        _ => Kind::Nothing,
    }
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
        rustix::fs::mknodat(rustix::fs::CWD, at("site/pipe"), FileType::Fifo, Mode::RUSR, 0)
            .unwrap();
        drop(std::os::unix::net::UnixListener::bind(at("site/socket")).unwrap());
        folder
    }

    fn shown(root: &Root, files: &Files, path: &str) -> String {
        match root.open(files, path.as_bytes()) {
            Ok(Found::File(opened)) => {
                let mut text = String::new();
                std::io::Read::read_to_string(&mut opened.file.as_ref(), &mut text).unwrap();
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
