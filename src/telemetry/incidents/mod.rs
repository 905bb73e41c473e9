//! The incidents that are open, and the last ones that were: for all workers, and on disk.
//!
//! Locked when one opens, when its root is found, when it closes, and when somebody looks; a
//! failure of one that is open does not come here. `file` keeps them where there is a state
//! directory: a thread of its own writes, so that no worker waits for a disk.

mod file;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::diagnose::{End, Incident, IncidentGroup, IncidentId};

use file::Writer;

/// Incidents that are kept: some months of a site that fails twice a week, at a few KB each.
const KEPT_MAX: usize = 1000;
/// What fails again so soon after it was closed goes on as the same incident: one that comes and
/// goes is one, and so is one that a restart came into.
const REOPENS_SECONDS: u64 = 600;

/// Every incident that is known.
#[derive(Debug)]
pub struct Incidents {
    list: Arc<Mutex<List>>,
    writer: Option<Writer>,
}

/// The oldest in front. Shared with who shows or writes one, so that neither copies it while the
/// list is locked; one that changes meanwhile changes beside theirs.
#[derive(Debug, Default)]
struct List(VecDeque<Arc<Incident>>);

/// One that is open from now on.
#[derive(Debug, Clone, Copy)]
pub struct Opened {
    pub group: IncidentGroup,
    /// Those before, where it goes on.
    pub failures: u64,
    pub since: u64,
}

/// A line of the file: an incident as it is, or how one that stands in an earlier line ended.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Entry {
    #[serde(with = "shared")]
    Incident(Arc<Incident>),
    Closed {
        id: String,
        failures: u64,
        last: u64,
        closed: u64,
        end: End,
    },
}

mod shared {
    //! Serialised as what is shared.

    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::diagnose::Incident;

    pub fn serialize<S: Serializer>(shared: &Arc<Incident>, to: S) -> Result<S::Ok, S::Error> {
        (**shared).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<Incident>, D::Error> {
        Incident::deserialize(from).map(Arc::new)
    }
}

impl Default for Incidents {
    /// Kept in memory alone.
    fn default() -> Incidents {
        Incidents { list: Arc::default(), writer: None }
    }
}

impl Incidents {
    /// Those that this service has kept, and a thread that keeps what comes; in memory alone
    /// where systemd gives no state directory (systemd.exec(5)).
    pub fn start() -> Incidents {
        match state_directory() {
            Some(folder) => Incidents::of(&folder),
            None => Incidents::default(),
        }
    }

    fn of(folder: &Path) -> Incidents {
        let list = Arc::new(Mutex::new(List(file::read(folder))));
        let writer = Writer::start(folder.to_owned(), list.clone());
        if let Err(error) = &writer {
            tracing::warn!(%error, "incidents are kept in memory alone");
        }
        Incidents { list, writer: writer.ok() }
    }

    /// Opens one, or goes on with the same that was closed a moment ago. `number` is random, `make`
    /// gives what is to be kept of it, and keeps nobody else waiting meanwhile.
    pub fn open(
        &self,
        upstream: &str,
        cause: &str,
        now: u64,
        number: u64,
        make: impl FnOnce() -> Incident,
    ) -> Opened {
        if let Some(going_on) = self.list().reopened(upstream, cause, now) {
            return going_on;
        }
        let mut incident = make();
        let mut list = self.list();
        // Another worker may have had the same thought.
        if let Some(going_on) = list.reopened(upstream, cause, now) {
            return going_on;
        }
        let group = list.free_group(number);
        incident.id = group.to_string();
        list.0.push_back(Arc::new(incident));
        list.shorten();
        Opened { group, failures: 0, since: now }
    }

    /// Takes over the id of the request that opened it, and writes it.
    pub fn begun_by(&self, id: IncidentId) {
        self.change(&id.to_string(), |incident| {
            let is_first = incident.first.is_empty();
            if is_first {
                incident.first = id.to_string();
            }
            is_first
        });
    }

    /// Something more is known of it; written where `learn` says that it is worth that.
    pub fn learn(&self, group: IncidentGroup, learn: impl FnOnce(&mut Incident) -> bool) {
        self.change(&group.to_string(), learn);
    }

    /// How often it has failed by now; not written.
    pub fn note(&self, group: IncidentGroup, failures: u64, last: u64) {
        self.change(&group.to_string(), |incident| {
            (incident.failures, incident.last) = (failures, last);
            false
        });
    }

    /// Closes it.
    pub fn close(&self, group: IncidentGroup, failures: u64, last: u64, closed: u64, end: End) {
        let id = group.to_string();
        self.change(&id, |incident| {
            (incident.failures, incident.last) = (failures, last);
            (incident.closed, incident.end) = (Some(closed), Some(end));
            false
        });
        if let Some(writer) = &self.writer {
            writer.write(Entry::Closed { id, failures, last, closed, end });
        }
    }

    /// The one that an id belongs to.
    pub fn find(&self, group: IncidentGroup) -> Option<Arc<Incident>> {
        let id = group.to_string();
        self.list().0.iter().find(|incident| incident.id == id).cloned()
    }

    /// The latest, as many as `count`, the last one in front.
    pub fn latest(&self, count: usize) -> Vec<Arc<Incident>> {
        self.list().0.iter().rev().take(count).cloned().collect()
    }

    /// Waits, within bounds, until all of it is written.
    pub fn flush(&self) {
        if let Some(writer) = &self.writer {
            writer.flush();
        }
    }

    /// Changes the one with these letters, and writes it where the change asks for that.
    fn change(&self, id: &str, change: impl FnOnce(&mut Incident) -> bool) {
        let mut list = self.list();
        let letters = id.get(..4).unwrap_or_default();
        let found = list.0.iter_mut().rev().find(|incident| incident.id == letters);
        if let Some(incident) = found
            && change(Arc::make_mut(incident))
            && let Some(writer) = &self.writer
        {
            // In the list's order; the writer's thread prints it.
            writer.write(Entry::Incident(incident.clone()));
        }
    }

    /// A panic of one that held it leaves every incident whole.
    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl List {
    fn reopened(&mut self, upstream: &str, cause: &str, now: u64) -> Option<Opened> {
        let same = |kept: &&mut Arc<Incident>| kept.upstream == upstream && kept.cause == cause;
        let incident = self.0.iter_mut().rev().find(same)?;
        let group = incident.group()?;
        // One that is open was opened by another worker a moment ago.
        if let Some(closed) = incident.closed {
            if now.saturating_sub(closed) > REOPENS_SECONDS {
                return None;
            }
            let incident = Arc::make_mut(incident);
            (incident.closed, incident.end) = (None, None);
            incident.reopened += 1;
        }
        Some(Opened { group, failures: incident.failures, since: incident.opened })
    }

    /// One that nobody has, among half a million for some thousand that are kept.
    fn free_group(&self, number: u64) -> IncidentGroup {
        let candidates = (0..=KEPT_MAX as u64 * 2).map(|more| number.wrapping_add(more));
        let mut groups = candidates.map(IncidentGroup::new);
        let is_free = |group: &IncidentGroup| {
            let id = group.to_string();
            self.0.iter().all(|kept| kept.id != id)
        };
        groups.find(is_free).unwrap_or_else(|| IncidentGroup::new(number))
    }

    /// Lets go of the oldest that are closed.
    fn shorten(&mut self) {
        while self.0.len() > KEPT_MAX {
            let closed = self.0.iter().position(|incident| incident.closed.is_some());
            drop(self.0.remove(closed.unwrap_or_default()));
        }
    }
}

/// Where systemd has a service keep its state, by the unit's StateDirectory.
fn state_directory() -> Option<PathBuf> {
    let given = std::env::var("STATE_DIRECTORY").ok()?;
    let first = given.split(':').next().filter(|path| path.starts_with('/'))?;
    Some(PathBuf::from(first))
}

/// What the service on this host has kept, the latest in front: for who asks on a terminal, where
/// systemd has set nothing.
pub fn kept_incidents() -> (PathBuf, Vec<Arc<Incident>>) {
    let folder = state_directory().unwrap_or_else(|| PathBuf::from("/var/lib/causeway"));
    let list = file::read_as_is(&folder);
    (file::path(&folder), list.into_iter().rev().collect())
}

/// What segments hold, for the fuzzing of their reader.
#[cfg(any(fuzzing, test))]
pub fn read_incidents<'a>(segments: impl IntoIterator<Item = &'a [u8]>) -> Vec<Arc<Incident>> {
    file::read_segments(segments).into()
}

/// Incidents as a segment holds them.
#[cfg(any(fuzzing, test))]
pub fn written_incidents(list: &[Arc<Incident>]) -> Vec<u8> {
    let lines = list.iter().map(|incident| Entry::Incident(incident.clone()));
    let lines = lines.filter_map(|entry| serde_json::to_vec(&entry).ok());
    lines.flat_map(|line| [line, b"\n".to_vec()].concat()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(incidents: &Incidents, cause: &str, now: u64) -> Opened {
        incidents.open("shop", cause, now, now, || Incident {
            upstream: "shop".to_owned(),
            cause: cause.to_owned(),
            opened: now,
            ..Incident::default()
        })
    }

    #[test]
    fn what_fails_again_soon_is_the_same_incident() {
        let incidents = Incidents::default();
        let first = open(&incidents, "connection_refused", 100);
        let other = open(&incidents, "connect_timeout", 100);
        assert_ne!(first.group, other.group, "of the same random number");
        incidents.close(first.group, 5, 130, 140, End::Recovered);
        let again = open(&incidents, "connection_refused", 200);
        assert_eq!((again.group, again.failures, again.since), (first.group, 5, 100));
        let found = incidents.find(first.group).unwrap();
        assert_eq!((found.closed, found.end, found.reopened), (None, None, 1));
        incidents.close(first.group, 9, 210, 220, End::Recovered);
        let later = open(&incidents, "connection_refused", 220 + REOPENS_SECONDS + 1);
        assert_ne!(later.group, first.group);
    }

    #[test]
    fn the_oldest_that_are_closed_go_first() {
        let incidents = Incidents::default();
        let open_one = open(&incidents, "still_open", 1);
        for number in 0..KEPT_MAX as u64 + 10 {
            let opened = open(&incidents, &format!("cause_{number}"), number);
            incidents.close(opened.group, 1, number, number, End::Recovered);
        }
        let all = incidents.latest(usize::MAX);
        assert_eq!(all.len(), KEPT_MAX);
        assert!(incidents.find(open_one.group).is_some());
        assert_eq!(all[0].cause, format!("cause_{}", KEPT_MAX + 9));
        assert_eq!(incidents.latest(3)[..], all[..3]);
        assert!(Arc::ptr_eq(&all[0], &incidents.latest(1)[0]), "it is not copied");
    }

    /// What is made of one takes long, and others go on meanwhile.
    #[test]
    fn one_is_made_while_the_list_is_free() {
        let incidents = Incidents::default();
        let mut other = None;
        let first = incidents.open("shop", "connection_refused", 1, 1, || {
            other = Some(open(&incidents, "connect_timeout", 1));
            Incident { cause: "connection_refused".to_owned(), ..Incident::default() }
        });
        assert_ne!(Some(first.group), other.map(|other| other.group));
        // Of two that open the same the later goes on with the first's.
        let same = incidents.open("shop", "dns_nxdomain", 1, 1, || {
            other = Some(open(&incidents, "dns_nxdomain", 1));
            Incident::default()
        });
        assert_eq!(Some(same.group), other.map(|other| other.group));
        assert_eq!(incidents.latest(9).len(), 3);
    }

    #[test]
    fn they_outlive_a_restart_and_torn_lines() {
        let folder = tempfile::tempdir().unwrap();
        let incidents = Incidents::of(folder.path());
        let closed = open(&incidents, "connect_timeout", 100);
        incidents.begun_by(closed.group.request(3));
        incidents.close(closed.group, 5, 130, 140, End::Recovered);
        let left = open(&incidents, "connection_refused", 150);
        incidents.begun_by(left.group.request(4));
        incidents.flush();
        drop(incidents);
        let path = file::path(folder.path());
        let mut text = std::fs::read(&path).unwrap();
        text.extend_from_slice(b"\xff\xfe foreign\n{\"incident\":{\"id\":\"torn");
        std::fs::write(&path, text).unwrap();

        let again = Incidents::of(folder.path());
        let found = again.find(closed.group).unwrap();
        assert_eq!((found.failures, found.closed, found.end), (5, Some(140), Some(End::Recovered)));
        assert_eq!(found.first, closed.group.request(3).to_string());
        let found = again.find(left.group).unwrap();
        assert_eq!(found.end, Some(End::Stopped), "it was open when the program ended");
        assert_eq!(open(&again, "connection_refused", 160).group, left.group, "and goes on");
        // What is written after a torn line is read back all the same.
        let third = open(&again, "dns_nxdomain", 170);
        again.begun_by(third.group.request(5));
        again.flush();
        assert!(Incidents::of(folder.path()).find(third.group).is_some());
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o137, 0, "{mode:o}");
    }
}
