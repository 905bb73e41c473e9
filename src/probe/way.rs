//! The way to a Unix socket: each component as lstat(2) shows it, links followed by hand, and where
//! it ends for our user.
//!
//! The path is the configuration's; nothing else is followed. Whether a component lets us pass is
//! asked of the kernel (it knows capabilities and access lists); the modes say why.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Component as Part, Path, PathBuf};
use std::{fs, io};

use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::io::Errno;
use rustix::process::{getegid, geteuid, getgroups};

use crate::diagnose::around::{Component, Kind, SocketPath, Stop};

use super::owner::Names;

/// As many links as the kernel itself follows (path_resolution(7)).
const LINKS_MAX: usize = 40;
/// A path of a Unix socket has 108 bytes; links may make it longer.
const COMPONENTS_MAX: usize = 256;

/// Goes the way as far as it leads. `denied`: a connect there was just answered with EACCES.
/// `None` where a component cannot be looked at for a reason of its own, such as a disk's.
pub fn way(path: &Path, denied: bool, users: &Names) -> Option<SocketPath> {
    let groups = Names::groups();
    let mut own: Vec<u32> = getgroups().ok()?.iter().map(|group| group.as_raw()).collect();
    own.push(getegid().as_raw());
    own.sort_unstable();
    own.dedup();
    let mut way = SocketPath {
        user: users.name(geteuid().as_raw()),
        groups: own.iter().map(|group| groups.name(*group)).collect(),
        ..SocketPath::default()
    };
    let names = Both { users, groups: &groups };
    let (stop, rest) = walk(path, &names, &mut way.components)?;
    way.rest = rest;
    way.stop = match stop {
        None if denied => Some(Stop::Policy),
        stop => stop,
    };
    if let Some(stop) = way.stop {
        way.group_that_may = group_that_may(stop, &way);
    }
    Some(way)
}

struct Both<'a> {
    users: &'a Names,
    groups: &'a Names,
}

/// The components until the socket, or until what stops us, with what is left of the path then.
fn walk(
    path: &Path,
    names: &Both<'_>,
    seen: &mut Vec<Component>,
) -> Option<(Option<Stop>, PathBuf)> {
    let mut left: VecDeque<OsString> = parts(path).collect();
    let (mut at, mut links) = (PathBuf::from("/"), 0);
    // How many of those left come after what the last link leads to.
    let mut after_link = usize::MAX;
    while let Some(part) = left.pop_front() {
        if part == ".." {
            at.pop();
            continue;
        }
        let next = at.join(&part);
        let found = match fs::symlink_metadata(&next) {
            Ok(found) => found,
            Err(error) => {
                left.push_front(part);
                let is_link = left.len() > after_link;
                return stopped(&error, is_link).map(|stop| (Some(stop), left.iter().collect()));
            }
        };
        let component = Component::of(&next, &found, names);
        let kind = component.kind;
        seen.push(component);
        let stop = match kind {
            Kind::Link if links == LINKS_MAX || seen.len() >= COMPONENTS_MAX => Stop::LinkLoop,
            Kind::Link => {
                links += 1;
                after_link = left.len();
                let to = fs::read_link(&next).ok()?;
                if to.is_absolute() {
                    at = PathBuf::from("/");
                }
                parts(&to).rev().for_each(|part| left.push_front(part));
                continue;
            }
            Kind::Directory if left.is_empty() => Stop::NotASocket,
            Kind::Directory if may(&next, Access::EXEC_OK) => {
                at = next;
                continue;
            }
            Kind::Directory => Stop::DirectoryMode,
            Kind::Socket | Kind::File | Kind::Other if !left.is_empty() => Stop::NotADirectory,
            // unix(7): a connect needs write permission on the socket.
            Kind::Socket if may(&next, Access::WRITE_OK) => return Some((None, PathBuf::new())),
            Kind::Socket => Stop::SocketMode,
            Kind::File | Kind::Other => Stop::NotASocket,
        };
        return Some((Some(stop), left.iter().collect()));
    }
    Some((Some(Stop::NotASocket), PathBuf::new()))
}

/// The names of a path, from the root or from where its link lies.
fn parts(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
    path.components().filter_map(|part| match part {
        Part::Normal(name) => Some(name.to_owned()),
        Part::ParentDir => Some("..".into()),
        Part::RootDir | Part::CurDir | Part::Prefix(_) => None,
    })
}

/// `is_link`: what failed is part of what a link leads to.
fn stopped(error: &io::Error, is_link: bool) -> Option<Stop> {
    match error.kind() {
        io::ErrorKind::NotFound if is_link => Some(Stop::DanglingLink),
        io::ErrorKind::NotFound => Some(Stop::Missing),
        // It was passed a moment ago, and its mode has changed since.
        io::ErrorKind::PermissionDenied => Some(Stop::DirectoryMode),
        io::ErrorKind::NotADirectory => Some(Stop::NotADirectory),
        _ => None,
    }
}

/// Whether our effective user may. What is not said to be forbidden is allowed.
fn may(path: &Path, access: Access) -> bool {
    !matches!(accessat(CWD, path, access, AtFlags::EACCESS), Err(Errno::ACCESS | Errno::PERM))
}

/// The group of the component where we are stopped, if its members may pass there.
fn group_that_may(stop: Stop, way: &SocketPath) -> Option<String> {
    let last = way.components.last()?;
    let needed = match stop {
        Stop::DirectoryMode => 0o010,
        Stop::SocketMode => 0o020,
        Stop::Missing
        | Stop::DanglingLink
        | Stop::LinkLoop
        | Stop::NotADirectory
        | Stop::NotASocket
        | Stop::Policy => return None,
    };
    // Nobody is told to join root's.
    (last.mode & needed != 0 && last.group != "root").then(|| last.group.clone())
}

impl Component {
    fn of(path: &Path, found: &fs::Metadata, names: &Both<'_>) -> Component {
        let kind = match found.file_type() {
            kind if kind.is_dir() => Kind::Directory,
            kind if kind.is_symlink() => Kind::Link,
            kind if kind.is_socket() => Kind::Socket,
            kind if kind.is_file() => Kind::File,
            _ => Kind::Other,
        };
        Component {
            path: path.to_owned(),
            kind,
            mode: found.mode() & 0o7777,
            owner: names.users.name(found.uid()),
            group: names.groups.name(found.gid()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    fn look(path: &Path) -> SocketPath {
        way(path, false, &Names::users()).unwrap()
    }

    #[test]
    fn a_way_ends_where_the_kernel_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("run")).unwrap();
        let _listener = UnixListener::bind(at("run/fpm.sock")).unwrap();
        fs::write(at("run/file"), "").unwrap();
        symlink("run", at("var-run")).unwrap();
        symlink(at("run/fpm.sock"), at("run/php.sock")).unwrap();
        symlink("../run/./gone/x", at("run/dangling")).unwrap();
        symlink("loop-b", at("loop-a")).unwrap();
        symlink("loop-a", at("loop-b")).unwrap();
        for (path, stop, rest) in [
            ("run/fpm.sock", None, ""),
            ("run/../run/fpm.sock", None, ""),
            ("var-run/php.sock", None, ""),
            ("run/none.sock", Some(Stop::Missing), "none.sock"),
            ("var-run/none.sock", Some(Stop::Missing), "none.sock"),
            ("none/none.sock", Some(Stop::Missing), "none/none.sock"),
            ("run/dangling", Some(Stop::DanglingLink), "gone/x"),
            ("loop-a/x", Some(Stop::LinkLoop), "x"),
            ("run/file", Some(Stop::NotASocket), ""),
            ("run", Some(Stop::NotASocket), ""),
            ("run/file/x", Some(Stop::NotADirectory), "x"),
            ("run/fpm.sock/x", Some(Stop::NotADirectory), "x"),
        ] {
            let found = look(&at(path));
            assert_eq!((found.stop, found.rest.as_path()), (stop, Path::new(rest)), "{path}");
            assert!(found.components.len() < COMPONENTS_MAX);
        }
        let denied = way(&at("run/fpm.sock"), true, &Names::users()).unwrap();
        assert_eq!(denied.stop, Some(Stop::Policy));
        let last = look(&at("var-run/php.sock")).components.pop().unwrap();
        assert_eq!(last.path, fs::canonicalize(at("run/fpm.sock")).unwrap());
        assert_eq!(last.kind, Kind::Socket);
    }

    /// Who is asked about is not root, whom no mode keeps out.
    #[test]
    fn the_group_that_would_be_let_in_is_named() {
        let component = |mode| Component {
            path: "/run/php".into(),
            kind: Kind::Directory,
            mode,
            owner: "root".to_owned(),
            group: "www-data".to_owned(),
        };
        for (stop, mode, group) in [
            (Stop::DirectoryMode, 0o750, Some("www-data")),
            (Stop::DirectoryMode, 0o700, None),
            (Stop::SocketMode, 0o660, Some("www-data")),
            (Stop::SocketMode, 0o640, None),
            (Stop::Missing, 0o777, None),
        ] {
            let way = SocketPath { components: vec![component(mode)], ..SocketPath::default() };
            assert_eq!(group_that_may(stop, &way).as_deref(), group, "{stop:?} {mode:o}");
        }
    }
}
