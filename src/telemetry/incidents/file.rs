//! Incidents on disk: a line of JSON each time that one opens, is understood better, or closes.
//!
//! Two segments of a bounded size: when the newer is full it takes the older's place, and what is
//! open goes into the next. The last line of an incident counts; a line that is torn, foreign or
//! too long counts for nothing.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::diagnose::{End, Incident};

use super::{Entry, KEPT_MAX, List};

const NAME: &str = "incidents.jsonl";
/// The next segment, until it takes its place.
const BEGUN: &str = "incidents.new";
const OLDER: &str = "incidents.1.jsonl";
/// A segment is full at this size.
const SEGMENT_BYTES: u64 = 4 * 1024 * 1024;
/// No line of ours is as long.
const LINE_BYTES: usize = 256 * 1024;
/// For the owner, and for the group to read.
const MODE: u32 = 0o640;
/// Lines that wait for the disk; beyond, they are dropped.
const QUEUE: usize = 256;
/// How long the end of the program waits for the last of them.
const FLUSH_WAIT: Duration = Duration::from_secs(2);

enum Message {
    Entry(Entry),
    Flush(mpsc::Sender<()>),
}

/// The handle to the thread that writes.
#[derive(Debug)]
pub struct Writer(SyncSender<Message>);

impl Writer {
    /// # Errors
    /// When the file cannot be opened, or there is no thread to be had.
    pub fn start(folder: PathBuf, list: Arc<Mutex<List>>) -> io::Result<Writer> {
        let mut file = open(&folder)?;
        // Behind a line that was torn the next begins on its own.
        file.write_all(b"\n")?;
        let (queue, messages) = mpsc::sync_channel(QUEUE);
        let write = move || write_all(&messages, &folder, file, &list);
        thread::Builder::new().name("incidents".to_owned()).spawn(write)?;
        Ok(Writer(queue))
    }

    pub fn write(&self, entry: Entry) {
        // Full: the disk is what fails, and the next line of the incident says more.
        let _ = self.0.try_send(Message::Entry(entry));
    }

    pub fn flush(&self) {
        let (done, flushed) = mpsc::channel();
        if self.0.try_send(Message::Flush(done)).is_ok() {
            let _ = flushed.recv_timeout(FLUSH_WAIT);
        }
    }
}

fn open(folder: &Path) -> io::Result<File> {
    // Opening a pipe would wait for a reader.
    if std::fs::symlink_metadata(path(folder)).is_ok_and(|there| !there.is_file()) {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "it is no regular file"));
    }
    OpenOptions::new().create(true).append(true).mode(MODE).open(path(folder))
}

fn write_all(messages: &Receiver<Message>, folder: &Path, mut file: File, list: &Mutex<List>) {
    let (mut told, mut torn) = (false, false);
    for message in messages {
        let entry = match message {
            Message::Flush(done) => {
                let _ = done.send(());
                continue;
            }
            Message::Entry(entry) => entry,
        };
        let written = line(&entry).and_then(|mut line| {
            // What a full disk has torn ends here, and does not take this line with it.
            if torn {
                line.insert(0, b'\n');
            }
            file.write_all(&line)?;
            rotated(folder, &file, list)
        });
        torn = written.is_err();
        match written {
            Ok(None) => {}
            Ok(Some(next)) => file = next,
            Err(error) if !told => {
                tracing::warn!(%error, "incidents cannot be written");
                told = true;
            }
            Err(_) => {}
        }
    }
}

fn line(entry: &Entry) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(entry)?;
    line.push(b'\n');
    Ok(line)
}

/// The next segment where this one is full, with what is open in it.
fn rotated(folder: &Path, file: &File, list: &Mutex<List>) -> io::Result<Option<File>> {
    if file.metadata()?.len() < SEGMENT_BYTES {
        return Ok(None);
    }
    // Opened before anything is moved: without a descriptor to be had all stays as it is.
    let begun = folder.join(BEGUN);
    let mut next = OpenOptions::new().create(true).append(true).mode(MODE).open(&begun)?;
    next.set_len(0)?;
    let open: Vec<Arc<Incident>> = {
        let list = list.lock().unwrap_or_else(PoisonError::into_inner);
        list.0.iter().filter(|incident| incident.closed.is_none()).cloned().collect()
    };
    for incident in open {
        next.write_all(&line(&Entry::Incident(incident))?)?;
    }
    std::fs::rename(path(folder), folder.join(OLDER))?;
    std::fs::rename(begun, path(folder))?;
    Ok(Some(next))
}

/// Where they are kept.
pub fn path(folder: &Path) -> PathBuf {
    folder.join(NAME)
}

/// What was kept before this process: what was open then ended with the process before it.
pub fn read(folder: &Path) -> VecDeque<Arc<Incident>> {
    let mut list = read_as_is(folder);
    for incident in list.iter_mut().filter(|incident| incident.closed.is_none()) {
        let incident = Arc::make_mut(incident);
        (incident.closed, incident.end) = (Some(incident.last), Some(End::Stopped));
    }
    list
}

/// What is kept, the oldest in front.
pub fn read_as_is(folder: &Path) -> VecDeque<Arc<Incident>> {
    read_segments([folder.join(OLDER), path(folder)].map(|segment| bytes(&segment)))
}

/// What segments hold, the older in front.
pub fn read_segments(
    segments: impl IntoIterator<Item = impl AsRef<[u8]>>,
) -> VecDeque<Arc<Incident>> {
    let mut list: VecDeque<Arc<Incident>> = VecDeque::new();
    for segment in segments {
        for line in segment.as_ref().split(|&byte| byte == b'\n') {
            if let Some(entry) = entry(line) {
                take(&mut list, entry);
            }
        }
    }
    while list.len() > KEPT_MAX {
        list.pop_front();
    }
    list
}

/// A segment, as much of it as we would have written.
fn bytes(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let is_file = std::fs::metadata(path).is_ok_and(|meta| meta.is_file());
    if let Some(file) = is_file.then(|| File::open(path).ok()).flatten() {
        // What could not be read is not there.
        let _ = file.take(SEGMENT_BYTES + LINE_BYTES as u64).read_to_end(&mut bytes);
    }
    bytes
}

fn entry(line: &[u8]) -> Option<Entry> {
    let fits = !line.is_empty() && line.len() <= LINE_BYTES;
    fits.then(|| serde_json::from_slice(line).ok()).flatten()
}

fn take(list: &mut VecDeque<Arc<Incident>>, entry: Entry) {
    match entry {
        Entry::Incident(incident) => {
            if incident.group().is_none() {
                return;
            }
            match list.iter_mut().find(|kept| kept.id == incident.id) {
                Some(kept) => *kept = incident,
                None => list.push_back(incident),
            }
        }
        Entry::Closed { id, failures, last, closed, end } => {
            if let Some(kept) = list.iter_mut().find(|kept| kept.id == id) {
                let kept = Arc::make_mut(kept);
                (kept.failures, kept.last) = (failures, last);
                (kept.closed, kept.end) = (Some(closed), Some(end));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::diagnose::IncidentGroup;

    use super::super::{Incidents, Opened};
    use super::*;

    /// As large as one of ours may become, and more than a segment of them.
    const LARGE: usize = LINE_BYTES * 3 / 4;
    const MANY: u64 = SEGMENT_BYTES / LARGE as u64 + 2;

    fn open(incidents: &Incidents, cause: &str, size: usize) -> Opened {
        let opened = incidents.open("shop", cause, 1, 1, || Incident {
            upstream: "shop".to_owned(),
            cause: cause.to_owned(),
            evidence: [("said".to_owned(), "x".repeat(size))].into(),
            ..Incident::default()
        });
        incidents.begun_by(opened.group.request(1));
        opened
    }

    fn fill(incidents: &Incidents, from: u64) -> Vec<IncidentGroup> {
        let one = |number: u64| {
            let opened = open(incidents, &format!("cause_{number}"), LARGE);
            incidents.close(opened.group, number, 2, 3, End::Recovered);
            opened.group
        };
        let groups = (from..from + MANY).map(one).collect();
        incidents.flush();
        groups
    }

    #[test]
    fn a_full_segment_gives_way_and_what_is_open_goes_with_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let length =
            |name: &str| std::fs::metadata(folder.path().join(name)).map(|meta| meta.len());
        let incidents = Incidents::of(folder.path());
        let left = open(&incidents, "still_open", 10).group;
        let first = fill(&incidents, 0);
        assert!(length(OLDER).unwrap() >= SEGMENT_BYTES, "it is full");
        assert!(length(OLDER).unwrap() < SEGMENT_BYTES + LINE_BYTES as u64);
        assert!(length(NAME).unwrap() < SEGMENT_BYTES);
        let newer = std::fs::read_to_string(path(folder.path())).unwrap();
        assert!(newer.lines().next().unwrap().contains("\"still_open\""));
        let again = Incidents::of(folder.path());
        for (number, group) in first.iter().enumerate() {
            let found = again.find(*group).unwrap();
            assert_eq!((found.failures, found.end), (number as u64, Some(End::Recovered)));
        }
        // Once more: the oldest are gone, and the one that is open is not.
        fill(&incidents, MANY);
        let again = Incidents::of(folder.path());
        assert_eq!(again.find(left).unwrap().cause, "still_open");
        assert!(again.find(first[0]).is_none());
        assert!(length(OLDER).unwrap() + length(NAME).unwrap() < 2 * SEGMENT_BYTES + LARGE as u64);
        assert!(length(BEGUN).is_err(), "it has taken its place");
    }
}
