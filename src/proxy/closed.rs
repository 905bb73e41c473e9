//! Whether an upstream is closed for planned work, and until when.
//!
//! A request finds the answer ready. Where a file is the switch it is looked at ten times a second,
//! beside the requests; a time in it says until when.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::config::{Maintenance, maintenance_time};
use crate::diagnose::Cause;
use crate::page::Fixed;

/// Bytes of the file that are read: no time is longer.
const FILE_BYTES_MAX: u64 = 64;

/// What one worker knows about the planned work of one upstream.
#[derive(Debug)]
pub struct Closure {
    maintenance: Maintenance,
    state: Cell<State>,
    page: Option<Fixed>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Open,
    /// Until then, as far as that is known.
    Closed {
        until: Option<SystemTime>,
    },
}

impl Closure {
    /// Looks at once: the first request has to find it right.
    pub fn new(maintenance: &Maintenance) -> Closure {
        let page = maintenance.page.as_ref().map(|page| Fixed::new(&page.text));
        let closure =
            Closure { maintenance: maintenance.clone(), state: Cell::new(State::Open), page };
        closure.tick();
        closure
    }

    /// Looks at the switch.
    pub fn tick(&self) {
        let Maintenance { file, until, .. } = &self.maintenance;
        self.state.set(match file {
            None => State::Closed { until: *until },
            Some(file) => match exists(file) {
                Some(true) => State::Closed { until: written(file).or(*until) },
                Some(false) => State::Open,
                None => self.state.get(),
            },
        });
    }

    /// Whether requests are turned away.
    pub fn is_closed(&self) -> bool {
        matches!(self.state.get(), State::Closed { .. })
    }

    /// Why a request is not sent; `None` while the upstream is open. A time that has passed is no
    /// news to anybody.
    pub fn cause(&self) -> Option<Cause> {
        let until = match self.state.get() {
            State::Open => return None,
            State::Closed { until } => until.filter(|until| *until > SystemTime::now()),
        };
        let until = until.and_then(|until| until.duration_since(UNIX_EPOCH).ok());
        let file = self.maintenance.file.clone();
        Some(Cause::Maintenance { until: until.map(|until| until.as_secs()), file })
    }

    /// The operator's own page.
    pub fn page(&self) -> Option<&Fixed> {
        self.page.as_ref()
    }
}

/// One that cannot be read is there all the same; `None` where the file system does not tell.
fn exists(file: &Path) -> Option<bool> {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    match fs::symlink_metadata(file) {
        Ok(_) => Some(true),
        Err(error) if matches!(error.kind(), NotFound | NotADirectory | PermissionDenied) => {
            Some(false)
        }
        Err(_) => None,
    }
}

fn written(file: &Path) -> Option<SystemTime> {
    // What is no regular file may keep its reader waiting.
    if !fs::metadata(file).ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    File::open(file).ok()?.take(FILE_BYTES_MAX).read_to_string(&mut text).ok()?;
    maintenance_time(&text)
}
