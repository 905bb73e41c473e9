//! The service's unit, as systemd tells it: as whom it runs, and what its hardening keeps from it.
//!
//! By `systemctl show`, within bounds; where there is no systemd or no such unit, nothing is known.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use crate::probe;

const NAME: &str = "causeway.service";
const PROPERTIES: [&str; 8] = [
    "LoadState",
    "MainPID",
    "User",
    "SupplementaryGroups",
    "ProtectProc",
    "ProcSubset",
    "RestrictAddressFamilies",
    "LimitNOFILE",
];
const PATIENCE: Duration = Duration::from_secs(3);
/// Groups whose members may read what explains failures: Debian's logs, and the journal.
const GROUPS: [&str; 2] = ["adm", "systemd-journal"];

/// What is known of the unit.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Unit {
    pub pid: Option<u32>,
    user: String,
    groups: Vec<String>,
    protect_proc: String,
    proc_subset: String,
    /// Empty: all.
    families: Vec<String>,
    pub files: Option<u64>,
}

/// The unit of this host.
pub fn unit() -> Option<Unit> {
    let shown = probe::show(NAME, &PROPERTIES, Instant::now() + PATIENCE)?;
    Unit::of(&shown, &fs::read_to_string("/etc/group").unwrap_or_default())
}

/// The name of the user that this process runs as.
pub fn own_name() -> String {
    let uid = rustix::process::geteuid().as_raw();
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| uid.to_string())
}

impl Unit {
    /// By the properties that systemd shows, and the text of /etc/group.
    fn of(shown: &BTreeMap<String, String>, groups: &str) -> Option<Unit> {
        let value = |name: &str| shown.get(name).map(|value| value.trim()).unwrap_or_default();
        let words = |name| value(name).split_whitespace().map(str::to_owned);
        let user = value("User").to_owned();
        (value("LoadState") == "loaded").then(|| Unit {
            pid: value("MainPID").parse().ok().filter(|pid| *pid > 0),
            groups: words("SupplementaryGroups").chain(groups_of(groups, &user)).collect(),
            protect_proc: value("ProtectProc").to_owned(),
            proc_subset: value("ProcSubset").to_owned(),
            families: words("RestrictAddressFamilies").collect(),
            files: value("LimitNOFILE").parse().ok(),
            user,
        })
    }
}

/// The groups that a user is a member of, by /etc/group (group(5)).
fn groups_of<'g>(groups: &'g str, user: &'g str) -> impl Iterator<Item = String> + 'g {
    groups.lines().filter_map(move |line| {
        let (name, members) = (line.split(':').next()?, line.rsplit(':').next()?);
        members.split(',').any(|member| member == user).then(|| name.to_owned())
    })
}

impl Unit {
    /// What keeps evidence from the service that the shipped unit leaves it, as what to change.
    pub fn hides(&self) -> Vec<String> {
        if self.user.is_empty() || self.user == "root" {
            return Vec::new();
        }
        let mut hidden = Vec::new();
        // The others' processes are hidden by the shipped unit too, which says so.
        if self.protect_proc == "ptraceable" {
            hidden.push("ProtectProc=ptraceable: set ProtectProc=invisible".to_owned());
        }
        if self.proc_subset == "pid" {
            hidden.push("ProcSubset=pid: set ProcSubset=all".to_owned());
        }
        for family in ["AF_NETLINK", "AF_UNIX"] {
            let denied = !self.families.is_empty() && !self.families.iter().any(|f| f == family);
            if denied {
                hidden.push(format!("add {family} to RestrictAddressFamilies="));
            }
        }
        for group in GROUPS {
            if !self.groups.iter().any(|of| of == group) {
                hidden.push(format!("add {group} to SupplementaryGroups="));
            }
        }
        hidden
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The unit that is shipped, as systemd shows it while it runs.
    fn shipped() -> BTreeMap<String, String> {
        let file = include_str!("../../../config/causeway.service");
        let lines = file.lines().chain(["LoadState=loaded", "MainPID=17"]);
        let rows = lines.filter_map(|line| line.split_once('='));
        rows.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    /// /etc/group once the account that is shipped was made.
    fn groups() -> String {
        let file = include_str!("../../../config/causeway.sysusers");
        let joined = file.lines().filter_map(|line| line.strip_prefix("m causeway "));
        joined.map(|group| format!("{group}:x:4:causeway\n")).collect()
    }

    #[test]
    fn the_unit_that_is_shipped_hides_nothing_that_is_told() {
        let unit = Unit::of(&shipped(), &groups()).unwrap();
        assert_eq!((unit.pid, unit.files), (Some(17), Some(1_048_576)));
        assert_eq!((unit.user.as_str(), unit.protect_proc.as_str()), ("causeway", "invisible"));
        assert_eq!(unit.hides(), Vec::<String>::new());
        let missing = BTreeMap::from([("LoadState".to_owned(), "not-found".to_owned())]);
        assert_eq!(Unit::of(&missing, ""), None);
        assert_eq!(Unit::of(&BTreeMap::new(), ""), None);
    }

    #[test]
    fn hardening_that_hides_more_is_told_with_its_remedy() {
        let mut shown = shipped();
        for (key, value) in [
            ("ProtectProc", "ptraceable"),
            ("ProcSubset", "pid"),
            ("RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6"),
        ] {
            shown.insert(key.to_owned(), value.to_owned());
        }
        let groups = groups().replace("systemd-journal:x:4:causeway\n", "");
        let expected = [
            "ProtectProc=ptraceable: set ProtectProc=invisible",
            "ProcSubset=pid: set ProcSubset=all",
            "add AF_NETLINK to RestrictAddressFamilies=",
            "add systemd-journal to SupplementaryGroups=",
        ];
        assert_eq!(Unit::of(&shown, &groups).unwrap().hides(), expected);
    }

    #[test]
    fn groups_are_those_that_list_the_user() {
        let groups = "adm:x:4:syslog,causeway\nwww-data:x:33:\nsystemd-journal:x:101:causeway2\n";
        assert_eq!(groups_of(groups, "causeway").collect::<Vec<_>>(), ["adm"]);
    }
}
