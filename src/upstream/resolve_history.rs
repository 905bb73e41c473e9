//! What names led to when all was well: the addresses of the last connection that succeeded.
//!
//! Whether a name that leads nowhere today has been moved is decided here, from two lists of
//! addresses; the rest is a bounded memory of one worker. Written when a connection is opened, read
//! when none could be.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Names that are remembered; only those of the configuration are ever asked for.
const NAMES_MAX: usize = 256;
/// Addresses of one name that are remembered.
const ADDRESSES_MAX: usize = 16;

/// What a name led to when its server could not be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub name: String,
    /// Empty where it led nowhere.
    pub addresses: Vec<IpAddr>,
    /// The other answer, with which connections succeeded.
    pub before: Option<Before>,
}

/// An answer that has been replaced since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Before {
    pub addresses: Vec<IpAddr>,
    /// How long ago the last connection to one of them was opened.
    pub ago: Duration,
}

/// One worker's memory of names.
#[derive(Debug, Default)]
pub struct History(RefCell<HashMap<String, Known>>);

#[derive(Debug, Default)]
struct Known {
    latest: Vec<IpAddr>,
    good: Option<Good>,
}

#[derive(Debug)]
struct Good {
    addresses: Vec<IpAddr>,
    used: IpAddr,
    at: Instant,
}

impl History {
    /// Notes what a name leads to now; an empty answer too.
    pub fn answered(&self, name: &str, addresses: &[IpAddr]) {
        let addresses = &addresses[..addresses.len().min(ADDRESSES_MAX)];
        let mut names = self.0.borrow_mut();
        let room = names.len() < NAMES_MAX;
        match names.get_mut(name) {
            Some(known) if known.latest == addresses => {}
            Some(known) => known.latest = addresses.to_vec(),
            None if room => {
                let known = Known { latest: addresses.to_vec(), good: None };
                names.insert(name.to_owned(), known);
            }
            None => {}
        }
    }

    /// Notes that a connection to one of those addresses succeeded.
    pub fn connected(&self, name: &str, used: IpAddr, at: Instant) {
        let mut names = self.0.borrow_mut();
        let Some(Known { latest, good }) = names.get_mut(name) else { return };
        match good {
            Some(good) if good.addresses == *latest => (good.used, good.at) = (used, at),
            Some(_) | None => *good = Some(Good { addresses: latest.clone(), used, at }),
        }
    }

    /// What the name led to, for a connection that failed; `None` of a name never asked for.
    pub fn named(&self, name: &str, now: Instant) -> Option<Named> {
        let names = self.0.borrow();
        let Known { latest, good } = names.get(name)?;
        let replaced = good.as_ref().filter(|good| has_moved(&good.addresses, good.used, latest));
        let before = replaced.map(|good| Before {
            addresses: good.addresses.clone(),
            ago: now.saturating_duration_since(good.at),
        });
        Some(Named { name: name.to_owned(), addresses: latest.clone(), before })
    }
}

/// Whether a name was moved: the address that served is no longer named, and what is named now is
/// no mere part of what was. A part in another order is how a name server spreads load.
fn has_moved(before: &[IpAddr], used: IpAddr, now: &[IpAddr]) -> bool {
    !now.contains(&used) && (now.is_empty() || now.iter().any(|ip| !before.contains(ip)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(last: &[u8]) -> Vec<IpAddr> {
        last.iter().map(|last| IpAddr::from([192, 0, 2, *last])).collect()
    }

    #[test]
    fn a_name_has_moved_when_what_served_is_gone_and_something_new_is_there() {
        for (before, used, now, moved) in [
            (&[1][..], 1, &[1][..], false),
            (&[1], 1, &[2], true),
            // All of it gone.
            (&[1], 1, &[], true),
            // Another order, and a part: load is spread.
            (&[1, 2, 3], 1, &[3, 2, 1], false),
            (&[1, 2, 3], 1, &[2, 3], false),
            // What served is still named: that it fails is not the name's doing.
            (&[1], 1, &[1, 2], false),
            (&[1, 2], 2, &[2, 3], false),
            (&[1, 2], 1, &[2, 3], true),
        ] {
            let used = ips(&[used])[0];
            assert_eq!(has_moved(&ips(before), used, &ips(now)), moved, "{before:?} {now:?}");
        }
    }

    #[test]
    fn the_answer_before_the_last_success_is_told_until_the_next() {
        let (history, start) = (History::default(), Instant::now());
        let later = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(history.named("app", start), None);
        history.answered("app", &ips(&[1]));
        let named = |addresses: &[u8], before: Option<(&[u8], u64)>| Named {
            name: "app".to_owned(),
            addresses: ips(addresses),
            before: before.map(|(addresses, ago)| Before {
                addresses: ips(addresses),
                ago: Duration::from_secs(ago),
            }),
        };
        assert_eq!(history.named("app", start), Some(named(&[1], None)));
        history.connected("app", ips(&[1])[0], later(1));
        history.connected("app", ips(&[1])[0], later(10));
        history.answered("app", &ips(&[2]));
        assert_eq!(history.named("app", later(14)), Some(named(&[2], Some((&[1], 4)))));
        history.answered("app", &[]);
        assert_eq!(history.named("app", later(15)), Some(named(&[], Some((&[1], 5)))));
        history.answered("app", &ips(&[2]));
        history.connected("app", ips(&[2])[0], later(20));
        assert_eq!(history.named("app", later(21)), Some(named(&[2], None)));
    }

    #[test]
    fn the_memory_is_bounded() {
        let history = History::default();
        for i in 0..2 * NAMES_MAX {
            history.answered(&format!("{i}.example"), &ips(&[7; 200]));
        }
        let names = history.0.borrow();
        assert_eq!(names.len(), NAMES_MAX);
        assert!(names.values().all(|known| known.latest.len() == ADDRESSES_MAX));
    }
}
