//! The service's unit, as systemd tells it: as whom it runs, and what its hardening keeps from it.
//!
//! By `systemctl show`, within bounds; where there is no systemd or no such unit, nothing is known.

use std::fs;
use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

const NAME: &str = "causeway.service";
const PROPERTIES: &str = "LoadState,MainPID,User,SupplementaryGroups,ProtectProc,ProcSubset,\
                          RestrictAddressFamilies,LimitNOFILE";
const PATIENCE: Duration = Duration::from_secs(3);
const ANSWER_MAX: u64 = 64 * 1024;
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
    let unit = parsed(&ask()?)?;
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    let groups = unit.groups.iter().cloned().chain(groups_of(&groups, &unit.user)).collect();
    Some(Unit { groups, ..unit })
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

fn ask() -> Option<String> {
    let mut child = Command::new("systemctl")
        .args(["show", NAME, "--property", PROPERTIES])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let answer = child.stdout.take()?;
    let (tell, told) = mpsc::channel();
    let read = move || {
        let mut text = String::new();
        if answer.take(ANSWER_MAX).read_to_string(&mut text).is_ok() {
            let _ = tell.send(text);
        }
    };
    let reader = thread::Builder::new().name("systemctl".to_owned()).spawn(read);
    let text = reader.ok().and_then(|_| told.recv_timeout(PATIENCE).ok());
    let _ = child.kill();
    let _ = child.wait();
    text
}

fn parsed(shown: &str) -> Option<Unit> {
    let value = |name: &str| {
        let mut lines = shown.lines().filter_map(|line| line.split_once('='));
        lines.find(|(key, _)| *key == name).map(|(_, value)| value.trim()).unwrap_or_default()
    };
    let words = |name| value(name).split_whitespace().map(str::to_owned).collect();
    (value("LoadState") == "loaded").then(|| Unit {
        pid: value("MainPID").parse().ok().filter(|pid| *pid > 0),
        user: value("User").to_owned(),
        groups: words("SupplementaryGroups"),
        protect_proc: value("ProtectProc").to_owned(),
        proc_subset: value("ProcSubset").to_owned(),
        families: words("RestrictAddressFamilies"),
        files: value("LimitNOFILE").parse().ok(),
    })
}

/// The groups that a user is a member of, by /etc/group (group(5)).
fn groups_of<'g>(groups: &'g str, user: &'g str) -> impl Iterator<Item = String> + 'g {
    groups.lines().filter_map(move |line| {
        let (name, members) = (line.split(':').next()?, line.rsplit(':').next()?);
        members.split(',').any(|member| member == user).then(|| name.to_owned())
    })
}

impl Unit {
    /// What of the unit keeps evidence from the service, as what to change.
    pub fn hides(&self) -> Vec<String> {
        if self.user.is_empty() || self.user == "root" {
            return Vec::new();
        }
        let mut hidden = Vec::new();
        if !matches!(self.protect_proc.as_str(), "" | "default") {
            hidden.push(format!("ProtectProc={}: set ProtectProc=default", self.protect_proc));
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

    const SHOWN: &str = "MainPID=17\nUser=causeway\nSupplementaryGroups=adm systemd-journal\n\
                         LimitNOFILE=1048576\nProtectProc=default\nProcSubset=all\n\
                         RestrictAddressFamilies=AF_UNIX AF_INET AF_NETLINK\nLoadState=loaded\n";

    #[test]
    fn the_unit_that_is_shipped_hides_nothing() {
        let unit = parsed(SHOWN).unwrap();
        assert_eq!((unit.pid, unit.files), (Some(17), Some(1_048_576)));
        assert_eq!(unit.hides(), Vec::<String>::new());
        assert_eq!(parsed("LoadState=not-found\nMainPID=0\n"), None);
        assert_eq!(parsed(""), None);
    }

    #[test]
    fn hardening_that_hides_evidence_is_told_with_its_remedy() {
        let shown = SHOWN
            .replace("ProtectProc=default", "ProtectProc=invisible")
            .replace("ProcSubset=all", "ProcSubset=pid")
            .replace(" AF_NETLINK", "")
            .replace("adm systemd-journal", "adm");
        let hidden = parsed(&shown).unwrap().hides();
        let expected = [
            "ProtectProc=invisible: set ProtectProc=default",
            "ProcSubset=pid: set ProcSubset=all",
            "add AF_NETLINK to RestrictAddressFamilies=",
            "add systemd-journal to SupplementaryGroups=",
        ];
        assert_eq!(hidden, expected);
    }

    #[test]
    fn groups_are_those_that_list_the_user() {
        let groups = "adm:x:4:syslog,causeway\nwww-data:x:33:\nsystemd-journal:x:101:causeway2\n";
        assert_eq!(groups_of(groups, "causeway").collect::<Vec<_>>(), ["adm"]);
    }
}
