//! Carries lines off the request's path: a buffer a worker, a thread that writes.
//!
//! No system call a request. A full pipe or disk stops the writer thread, never a worker: what does
//! not fit into the queue is counted and the count is written once there is room again.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::config::{AccessLog, LogFormat};

use super::access::{Line, write_line};
use super::recent::{Recent, Request};

/// A worker hands its lines over at this size, or at the next tick.
const HAND_OVER: usize = 60 * 1024;
/// Hand-overs that wait for the writer; beyond, lines are counted and dropped.
const QUEUE: usize = 256;
/// How long the end of the program waits for the last lines.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

enum Message {
    Lines(Vec<u8>),
    Reopen,
    Close(mpsc::Sender<()>),
}

/// The handle to the writer thread.
#[derive(Debug, Clone)]
pub struct AccessWriter {
    queue: Option<SyncSender<Message>>,
    /// Lines dropped that were not told of yet.
    lost: Arc<AtomicU64>,
    /// All that were ever dropped, by whichever writer.
    dropped: Arc<AtomicU64>,
    spare: Spare,
    recent: Recent,
}

/// Buffers that were written out, for the next lines: fresh memory each time would fall out of the
/// processor's caches. Locked once a hand-over by each side.
#[derive(Debug, Default, Clone)]
struct Spare(Arc<Mutex<Vec<Vec<u8>>>>);

/// How many written buffers are kept.
const SPARE_MAX: usize = 8;

impl Spare {
    fn take(&self) -> Vec<u8> {
        let kept = self.0.lock().ok().and_then(|mut kept| kept.pop());
        kept.unwrap_or_else(|| Vec::with_capacity(HAND_OVER + HAND_OVER / 16))
    }

    fn give(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        if let Ok(mut kept) = self.0.lock()
            && kept.len() < SPARE_MAX
        {
            kept.push(buffer);
        }
    }
}

/// One worker's lines on their way.
#[derive(Debug)]
pub struct LineBuffer {
    writer: AccessWriter,
    format: LogFormat,
    lines: RefCell<Vec<u8>>,
    clock: RefCell<Clock>,
}

impl AccessWriter {
    /// Starts the thread that writes; with the log off, a handle that swallows. `dropped` counts
    /// the lines that find no room.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn start(access: &AccessLog, dropped: Arc<AtomicU64>) -> io::Result<AccessWriter> {
        let lost = Arc::new(AtomicU64::new(0));
        let (spare, recent) = (Spare::default(), Recent::default());
        let target = match access {
            AccessLog::Off => {
                return Ok(AccessWriter { queue: None, lost, dropped, spare, recent });
            }
            AccessLog::Stdout => Target::Stdout,
            AccessLog::File(path) => Target::File(path.clone(), open(path)?),
        };
        let (queue, messages) = mpsc::sync_channel(QUEUE);
        let (counter, written) = (lost.clone(), (spare.clone(), recent.clone()));
        let _detached: JoinHandle<()> =
            std::thread::Builder::new()
                .name("access-log".to_owned())
                .spawn(move || write_all(&messages, target, &counter, &written))?;
        Ok(AccessWriter { queue: Some(queue), lost, dropped, spare, recent })
    }

    /// A buffer for one worker.
    pub fn buffer(&self, format: LogFormat) -> LineBuffer {
        LineBuffer {
            writer: self.clone(),
            format,
            lines: RefCell::default(),
            clock: RefCell::default(),
        }
    }

    /// The requests of the last minute that are kept; `None` with the log off. Not for a worker.
    pub fn recent(&self, format: LogFormat) -> Option<Vec<Request>> {
        self.queue.as_ref().map(|_| self.recent.requests(format, Instant::now()))
    }

    /// Opens the file anew, after logrotate has moved it (SIGUSR1).
    pub fn reopen(&self) {
        if let Some(queue) = &self.queue {
            let _ = queue.try_send(Message::Reopen);
        }
    }

    /// Waits, within bounds, until everything handed over is written.
    pub fn close(&self) {
        let (done, closed) = mpsc::channel();
        if let Some(queue) = &self.queue
            && queue.try_send(Message::Close(done)).is_ok()
        {
            let _ = closed.recv_timeout(CLOSE_WAIT);
        }
    }

    fn hand_over(&self, lines: Vec<u8>) {
        let Some(queue) = &self.queue else { return };
        if let Err(error) = queue.try_send(Message::Lines(lines)) {
            let (mpsc::TrySendError::Full(message) | mpsc::TrySendError::Disconnected(message)) =
                error;
            if let Message::Lines(lines) = message {
                let count = memchr::memchr_iter(b'\n', &lines).count();
                self.lost.fetch_add(count as u64, Ordering::Relaxed);
                self.dropped.fetch_add(count as u64, Ordering::Relaxed);
            }
        }
    }
}

impl LineBuffer {
    /// Whether this writer's lines in this format may go on through the same buffer.
    pub fn serves(&self, writer: &AccessWriter, format: LogFormat) -> bool {
        Arc::ptr_eq(&self.writer.lost, &writer.lost) && self.format == format
    }

    /// Whether lines are wanted at all.
    pub fn is_on(&self) -> bool {
        self.writer.queue.is_some()
    }

    /// Appends one line; `fill` gets the times of `now` to put into it.
    pub fn write(&self, now: Instant, fill: impl FnOnce(&str, &str, &mut dyn FnMut(&Line<'_>))) {
        let mut clock = self.clock.borrow_mut();
        clock.set(now);
        let mut lines = self.lines.borrow_mut();
        fill(&clock.rfc3339, &clock.clf, &mut |line| write_line(&mut lines, self.format, line));
        if lines.len() >= HAND_OVER {
            let full = std::mem::replace(&mut *lines, self.writer.spare.take());
            self.writer.hand_over(full);
        }
    }

    /// Hands over what there is. Once a tick, and at the end.
    pub fn flush(&self) {
        let mut lines = self.lines.borrow_mut();
        if !lines.is_empty() {
            let full = std::mem::replace(&mut *lines, self.writer.spare.take());
            self.writer.hand_over(full);
        }
    }
}

/// Requests that outlive a reload, or are cut at the end, write after the last tick.
impl Drop for LineBuffer {
    fn drop(&mut self) {
        self.flush();
    }
}

/// The time as the formats write it, laid out once a second.
#[derive(Debug)]
struct Clock {
    /// The same moment on both clocks; taken anew each second, since the system's may be set.
    anchor: (Instant, Duration),
    second: u64,
    rfc3339: String,
    clf: String,
}

impl Default for Clock {
    fn default() -> Clock {
        let anchor = (Instant::now(), since_epoch());
        Clock { anchor, second: u64::MAX, rfc3339: String::new(), clf: String::new() }
    }
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

impl Clock {
    fn set(&mut self, now: Instant) {
        let mut since = self.anchor.1 + now.saturating_duration_since(self.anchor.0);
        if since.as_secs() != self.second {
            self.anchor = (now, since_epoch());
            since = self.anchor.1;
            self.lay_out(since.as_secs());
        }
        let millis = since.subsec_millis();
        let digit = |number: u32| char::from(b'0' + (number % 10) as u8);
        self.rfc3339.truncate(SECONDS_LENGTH);
        self.rfc3339.extend([digit(millis / 100), digit(millis / 10), digit(millis), 'Z']);
    }

    fn lay_out(&mut self, second: u64) {
        self.second = second;
        let second = i64::try_from(second).unwrap_or(i64::MAX);
        let stamp = jiff::Timestamp::from_second(second).unwrap_or(jiff::Timestamp::MAX);
        self.rfc3339 = stamp.strftime("%Y-%m-%dT%H:%M:%S.").to_string();
        self.clf = stamp.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string();
    }
}

/// `2026-11-21T06:00:00.` of a line's time; milliseconds follow.
const SECONDS_LENGTH: usize = 20;

enum Target {
    Stdout,
    File(PathBuf, File),
}

impl Target {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Target::Stdout => io::stdout().lock().write_all(lines),
            Target::File(_, file) => file.write_all(lines),
        }
    }

    fn reopen(&mut self) {
        if let Target::File(path, file) = self {
            match open(path) {
                Ok(fresh) => *file = fresh,
                Err(error) => {
                    tracing::error!(%error, path = %path.display(), "cannot reopen the access log")
                }
            }
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

fn write_all(
    messages: &Receiver<Message>,
    mut target: Target,
    lost: &AtomicU64,
    (spare, recent): &(Spare, Recent),
) {
    let mut failing = false;
    while let Ok(message) = messages.recv() {
        match message {
            Message::Reopen => target.reopen(),
            Message::Close(done) => {
                let _ = done.send(());
            }
            Message::Lines(lines) => {
                let outcome = target.write(&lines);
                if let Some(lines) = recent.keep(lines, Instant::now()) {
                    spare.give(lines);
                }
                // Said once, not once a write: the disk is full already.
                if let Err(error) = &outcome
                    && !failing
                {
                    tracing::error!(%error, "cannot write the access log");
                }
                failing = outcome.is_err();
            }
        }
        let gone = lost.swap(0, Ordering::Relaxed);
        if gone > 0 {
            tracing::warn!(lines = gone, "the access log could not keep up; lines were dropped");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_lays_out_milliseconds() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let anchor = (start, Duration::from_secs(1_795_240_800));
        let mut clock = Clock { anchor, ..Clock::default() };
        clock.lay_out(1_795_240_800);
        clock.set(at(7));
        assert_eq!(clock.rfc3339, "2026-11-21T06:00:00.007Z");
        assert_eq!(clock.clf, "21/Nov/2026:06:00:00 +0000");
        clock.set(at(120));
        assert_eq!(clock.rfc3339, "2026-11-21T06:00:00.120Z");
    }
}
