//! The way to a Unix socket, component by component, and where it ends for us. Pure.

use std::path::PathBuf;

use super::seen::Finding;
use crate::diagnose::meaning::Meaning;
use crate::diagnose::print::visible;

/// Groups of our own that are named.
const GROUPS_MAX: usize = 8;
/// Components that are named, the last ones.
const SHOWN_MAX: usize = 3;

/// A path, component by component from the root, as far as it goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SocketPath {
    pub components: Vec<Component>,
    /// Why it does not lead to a socket that we may use; it is the last component that stops it.
    pub stop: Option<Stop>,
    /// What comes after the last component and was not looked at.
    pub rest: PathBuf,
    /// Who we are: our user, and every group.
    pub user: String,
    pub groups: Vec<String>,
    /// The group whose members may pass where we are stopped.
    pub group_that_may: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    pub path: PathBuf,
    pub kind: Kind,
    /// The permission bits.
    pub mode: u32,
    pub owner: String,
    pub group: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Kind {
    Directory,
    Socket,
    Link,
    File,
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Stop {
    /// The component after the last one is not there.
    Missing,
    /// What the last link leads to is not there.
    DanglingLink,
    LinkLoop,
    NotADirectory,
    NotASocket,
    /// We may not pass the last component, a directory.
    DirectoryMode,
    /// We may not write to the socket.
    SocketMode,
    /// No mode forbids it, and yet the connect was denied: a policy of the kernel's.
    Policy,
}

impl SocketPath {
    pub(super) fn findings(&self, out: &mut Vec<Finding>) {
        let Some(last) = self.components.last() else { return };
        let at = last.printed();
        let Some(stop) = self.stop else {
            out.push(Finding::new("socket_path", at));
            return;
        };
        let rest = visible(&self.rest.to_string_lossy());
        let who = self.who_may();
        let (value, meaning) = match stop {
            Stop::Missing if self.rest.components().count() > 1 => {
                (format!("{at}: {rest} is not there"), Meaning::SocketFolderMissing)
            }
            Stop::Missing => (format!("{at}: {rest} is not there"), Meaning::SocketMissing),
            Stop::DanglingLink => (format!("{at}: {rest} is not there"), Meaning::DanglingLink),
            Stop::LinkLoop => (format!("{at}: links go in circles"), Meaning::LinkLoop),
            Stop::NotADirectory => (format!("{at}: no directory"), Meaning::NotADirectory),
            Stop::NotASocket => (format!("{at}: no socket"), Meaning::NotASocket),
            Stop::DirectoryMode => (format!("{at}: we may not pass{who}"), Meaning::FolderClosed),
            Stop::SocketMode => (format!("{at}: we may not write{who}"), Meaning::SocketClosed),
            Stop::Policy => (format!("{at}: denied all the same"), Meaning::PolicyDenies),
        };
        out.push(Finding::new("socket_path", value).means(meaning));
        if matches!(stop, Stop::DirectoryMode | Stop::SocketMode | Stop::Policy) {
            out.push(Finding::new("we_are", self.we()));
        }
        if self.components.len() > 1 {
            let from = self.components.len().saturating_sub(SHOWN_MAX);
            let way: Vec<_> = self.components[from..].iter().map(Component::named).collect();
            out.push(Finding::new("socket_way", way.join(" > ")));
        }
    }

    /// `; group www-data may`
    fn who_may(&self) -> String {
        let group = self.group_that_may.as_ref();
        group.map(|group| format!("; group {} may", visible(group))).unwrap_or_default()
    }

    /// `causeway, groups adm, systemd-journal`
    fn we(&self) -> String {
        let mut said = visible(&self.user);
        if !self.groups.is_empty() {
            let named = self.groups.iter().take(GROUPS_MAX).map(|group| visible(group));
            said += &format!(", groups {}", named.collect::<Vec<_>>().join(", "));
            if self.groups.len() > GROUPS_MAX {
                said.push_str(", …");
            }
        }
        said
    }
}

impl Component {
    /// As ls(1) has it, the path first: `/run/php drwxr-x--- www-data:www-data`
    fn printed(&self) -> String {
        self.after(&self.path.to_string_lossy())
    }

    /// The same with its own name alone.
    fn named(&self) -> String {
        self.after(&self.path.file_name().unwrap_or_default().to_string_lossy())
    }

    fn after(&self, name: &str) -> String {
        let (owner, group) = (visible(&self.owner), visible(&self.group));
        format!("{} {} {owner}:{group}", visible(name), self.letters())
    }

    fn letters(&self) -> String {
        let kind = match self.kind {
            Kind::Directory => 'd',
            Kind::Socket => 's',
            Kind::Link => 'l',
            Kind::File => '-',
            Kind::Other => '?',
        };
        let mut letters = String::from(kind);
        for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
            let bits = self.mode >> shift;
            letters.push(if bits & 4 != 0 { 'r' } else { '-' });
            letters.push(if bits & 2 != 0 { 'w' } else { '-' });
            letters.push(match (bits & 1 != 0, self.mode & special != 0) {
                (true, true) => letter,
                (false, true) => letter.to_ascii_uppercase(),
                (true, false) => 'x',
                (false, false) => '-',
            });
        }
        letters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(path: &str, kind: Kind, mode: u32) -> Component {
        let owner = "www-data".to_owned();
        Component { path: path.into(), kind, mode, group: owner.clone(), owner }
    }

    #[test]
    fn modes_look_as_ls_shows_them() {
        for (kind, mode, letters) in [
            (Kind::Directory, 0o750, "drwxr-x---"),
            (Kind::Directory, 0o1777, "drwxrwxrwt"),
            (Kind::Directory, 0o2710, "drwx--s---"),
            (Kind::Socket, 0o660, "srw-rw----"),
            (Kind::Link, 0o777, "lrwxrwxrwx"),
            (Kind::File, 0o4644, "-rwSr--r--"),
            (Kind::Other, 0, "?---------"),
        ] {
            assert_eq!(component("/x", kind, mode).letters(), letters);
        }
    }

    #[test]
    fn where_the_way_ends_is_told_with_who_we_are() {
        let folder = component("/run/php", Kind::Directory, 0o750);
        let path = SocketPath {
            components: vec![component("/run", Kind::Directory, 0o755), folder],
            stop: Some(Stop::DirectoryMode),
            rest: "php8.2-fpm.sock".into(),
            user: "causeway".to_owned(),
            groups: vec!["adm".to_owned(), "systemd-journal".to_owned()],
            group_that_may: Some("www-data".to_owned()),
        };
        let mut out = Vec::new();
        path.findings(&mut out);
        assert_eq!(
            out[0].value,
            "/run/php drwxr-x--- www-data:www-data: we may not pass; group www-data may"
        );
        assert_eq!(out[0].meaning, Some(Meaning::FolderClosed));
        assert_eq!(
            (out[1].key, &*out[1].value),
            ("we_are", "causeway, groups adm, systemd-journal")
        );
        assert_eq!(
            out[2].value,
            "run drwxr-xr-x www-data:www-data > php drwxr-x--- www-data:www-data"
        );
        for (rest, meaning) in [
            ("php8.2-fpm.sock", Meaning::SocketMissing),
            ("php/php8.2-fpm.sock", Meaning::SocketFolderMissing),
        ] {
            let path = SocketPath { stop: Some(Stop::Missing), rest: rest.into(), ..path.clone() };
            let mut out = Vec::new();
            path.findings(&mut out);
            assert_eq!(out[0].meaning, Some(meaning));
            assert!(out[0].value.ends_with(&format!(": {rest} is not there")), "{out:?}");
        }
    }
}
