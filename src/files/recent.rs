//! What was found at a path, for the rest of the clock's tick: a file that many ask for is looked
//! up ten times a second, not once a request.
//!
//! A file is remembered open, and asked each time whether it is as it was; only a folder or a link
//! on the way to it that was turned elsewhere is seen with the next tick. Bounded in number, and
//! nothing stays open for longer than a tick.

use std::cell::{Cell, RefCell};
use std::time::Instant;

use crate::clock;

use super::root::Opened;

/// More would make the search through them dearer than the look that it saves.
const MAX: usize = 32;

/// What one worker has found since the last tick.
#[derive(Debug, Default)]
pub struct Recent {
    at: Cell<Option<Instant>>,
    seen: RefCell<Vec<(Vec<u8>, What)>>,
}

/// What is remembered of a path.
#[derive(Debug, Clone)]
pub enum What {
    /// A file that may be sent.
    Opened(Opened),
    /// A regular file, as far as its kind was asked for.
    File,
    /// What lies there without a link.
    Beside(Option<Opened>),
}

impl Recent {
    pub fn file(&self, path: &[u8]) -> Option<Opened> {
        self.find(path, |what| match what {
            What::Opened(opened) => Some(opened.clone()),
            What::File | What::Beside(_) => None,
        })
    }

    pub fn is_file(&self, path: &[u8]) -> bool {
        let found = self.find(path, |what| match what {
            What::File => Some(()),
            What::Opened(_) | What::Beside(_) => None,
        });
        found.is_some()
    }

    pub fn beside(&self, path: &[u8]) -> Option<Option<Opened>> {
        self.find(path, |what| match what {
            What::Beside(beside) => Some(beside.clone()),
            What::Opened(_) | What::File => None,
        })
    }

    pub fn note(&self, path: &[u8], what: What) {
        let mut seen = self.seen.borrow_mut();
        if seen.len() < MAX {
            seen.push((path.to_vec(), what));
        }
    }

    /// Closes what is open. Once a tick, also where nobody asks any more.
    pub fn forget(&self) {
        self.seen.borrow_mut().clear();
    }

    fn find<T>(&self, path: &[u8], pick: impl Fn(&What) -> Option<T>) -> Option<T> {
        let now = Some(clock::now());
        if self.at.replace(now) != now {
            self.forget();
        }
        let seen = self.seen.borrow();
        seen.iter().filter(|(name, _)| name == path).find_map(|(_, what)| pick(what))
    }
}
