//! How much of something was seen, and one thing that was found, as it is shown. Pure.

use std::fmt;

use crate::diagnose::meaning::Meaning;

/// What a look brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Seen<T> {
    /// Nobody has looked.
    #[default]
    Unlooked,
    Found(T),
    /// There is no such thing.
    Nothing,
    /// It may not be read.
    Denied(Need),
    /// It did not come in time.
    Late,
}

/// What would let us read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Need {
    /// Membership of a group of this name.
    Group(&'static str),
    /// Root's alone, or its owner's.
    Owner,
    /// AF_NETLINK among `RestrictAddressFamilies=`.
    Netlink,
    /// AF_UNIX among `RestrictAddressFamilies=`, or a bus that runs.
    Bus,
    /// `ProtectProc=default`, since the process is another user's.
    OtherProcesses,
    /// A setting of the kernel: the range of groups that may ping.
    PingGroupRange,
    /// A regular file in its place: something else lies there, or a link that is not followed.
    RegularFile,
    /// A file system without errors.
    SoundDisk,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// A word of the surface: it stands in JSON and on the page.
    pub key: &'static str,
    /// Printable; nothing in it is a secret.
    pub value: String,
    /// What it means, where that is worth a sentence.
    pub meaning: Option<Meaning>,
}

impl Finding {
    pub fn new(key: &'static str, value: impl Into<String>) -> Finding {
        Finding { key, value: value.into(), meaning: None }
    }

    pub fn means(self, meaning: Meaning) -> Finding {
        Finding { meaning: Some(meaning), ..self }
    }
}

impl<T> Seen<T> {
    pub fn found(&self) -> Option<&T> {
        match self {
            Seen::Found(found) => Some(found),
            Seen::Unlooked | Seen::Nothing | Seen::Denied(_) | Seen::Late => None,
        }
    }

    /// What becomes of what was found; the rest stays as it is.
    pub fn and_then<U>(self, then: impl FnOnce(T) -> Seen<U>) -> Seen<U> {
        match self {
            Seen::Found(found) => then(found),
            Seen::Unlooked => Seen::Unlooked,
            Seen::Nothing => Seen::Nothing,
            Seen::Denied(need) => Seen::Denied(need),
            Seen::Late => Seen::Late,
        }
    }

    pub fn map<U>(self, then: impl FnOnce(T) -> U) -> Seen<U> {
        self.and_then(|found| Seen::Found(then(found)))
    }

    /// Says of what is not there why it is not.
    pub fn missing(&self, key: &'static str, out: &mut Vec<Finding>) {
        match self {
            Seen::Unlooked | Seen::Found(_) | Seen::Nothing => {}
            Seen::Denied(need) => {
                out.push(Finding::new(key, need.to_string()).means(Meaning::NotAllowed));
            }
            Seen::Late => out.push(Finding::new(key, "not in time").means(Meaning::NotInTime)),
        }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Need::RegularFile => return f.write_str("not read: no regular file"),
            Need::SoundDisk => return f.write_str("not read: the file system gave an error"),
            Need::Group(_)
            | Need::Owner
            | Need::Netlink
            | Need::Bus
            | Need::OtherProcesses
            | Need::PingGroupRange => f.write_str("not allowed: ")?,
        }
        match self {
            Need::Group(name) => write!(f, "add group {name}"),
            Need::Owner => f.write_str("its owner's alone"),
            Need::Netlink => f.write_str("add AF_NETLINK to RestrictAddressFamilies="),
            Need::Bus => f.write_str("no D-Bus"),
            Need::OtherProcesses => f.write_str("set ProtectProc=default"),
            Need::PingGroupRange => f.write_str("net.ipv4.ping_group_range leaves us out"),
            Need::RegularFile | Need::SoundDisk => Ok(()),
        }
    }
}
