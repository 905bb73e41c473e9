//! Certificates that change while they are served: looked at once a minute, from a thread of their
//! own, and put into force when chain and key fit; and the warnings before they expire.
//!
//! Whoever renews them need not tell us. What cannot be served leaves the old ones where they are,
//! and is told once a change.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};

use crate::config;

use super::certificates::{Leaf, Shelf, Stamp, stamps};
use super::tls::Terminator;

/// Between two looks at the files.
const LOOK: Duration = Duration::from_secs(60);
/// Between two warnings of the same.
const WARNING: Duration = Duration::from_secs(24 * 60 * 60);

/// The thread that looks; ends with this value.
#[derive(Debug)]
pub struct Renewal {
    _ends: mpsc::Sender<()>,
}

impl Renewal {
    /// Starts looking.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(terminator: Arc<Terminator>) -> io::Result<Renewal> {
        let (ends, ended) = mpsc::channel::<()>();
        let look = move || {
            let mut refused = Refused::default();
            let mut warned = Instant::now();
            while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(LOOK) {
                look(&terminator, &mut refused);
                terminator.log.sweep(Instant::now());
                if warned.elapsed() >= WARNING {
                    warned = Instant::now();
                    warn(&terminator.shelf());
                }
            }
        };
        std::thread::Builder::new().name("certificates".to_owned()).spawn(look)?;
        Ok(Renewal { _ends: ends })
    }
}

/// Warns of every certificate that has, or will, become useless.
pub fn warn(shelf: &Shelf) {
    let now = SystemTime::now();
    for leaf in shelf.leaves() {
        leaf.warn(now);
    }
}

/// Files that were looked at in vain, as they were then.
type Refused = HashMap<config::Certificate, [Stamp; 2]>;

/// Reads what has changed since it was read, and puts it into force.
fn look(terminator: &Terminator, refused: &mut Refused) {
    let shelf = terminator.shelf();
    let mut leaves = shelf.leaves().to_vec();
    refused.retain(|files, _| leaves.iter().any(|leaf| leaf.files == *files));
    let mut renewed = Vec::new();
    for leaf in &mut leaves {
        let now = stamps(&leaf.files);
        if now == leaf.stamps || refused.get(&leaf.files) == Some(&now) {
            continue;
        }
        match Leaf::read(&leaf.files, &terminator.suite, shelf.offer) {
            Ok(new) => {
                refused.remove(&leaf.files);
                *leaf = Arc::new(new);
                renewed.push(leaf.clone());
            }
            Err(faults) => {
                let names = &leaf.names;
                for fault in faults {
                    let fault = fault.fault.message;
                    tracing::warn!(%names, fault, "a certificate's new files cannot be served");
                }
                refused.insert(leaf.files.clone(), now);
            }
        }
    }
    // A reload in the meantime has read the files as they are.
    if renewed.is_empty() || !terminator.replace_these(&shelf, Shelf::of(leaves, shelf.offer)) {
        return;
    }
    for leaf in renewed {
        let chain = leaf.files.chain.display();
        tracing::info!(names = %leaf.names, %chain, "a certificate was renewed");
        leaf.warn(SystemTime::now());
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Certificate, Tls};

    fn write(files: &Certificate, chain: bool, key: bool, name: &str) {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        if chain {
            std::fs::write(&files.chain, made.cert.pem()).unwrap();
        }
        if key {
            std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        }
    }

    fn at(folder: &Path, name: &str) -> Certificate {
        Certificate { chain: folder.join(format!("{name}.pem")), key: folder.join(name) }
    }

    #[test]
    fn what_fits_is_put_into_force_and_the_rest_left_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (at(folder.path(), "one"), at(folder.path(), "two"));
        write(&one, true, true, "one.example");
        write(&two, true, true, "two.example");
        let tls = Tls { certificates: vec![one.clone(), two], ..Tls::default() };
        let terminator = Terminator::new().unwrap();
        terminator.replace(terminator.read(&tls).unwrap());
        let mut refused = Refused::default();
        let mut looked = || {
            let before = terminator.shelf();
            look(&terminator, &mut refused);
            let after = terminator.shelf();
            // What has not changed is not read again.
            assert!(Arc::ptr_eq(&before.leaves()[1], &after.leaves()[1]));
            (Arc::ptr_eq(&before, &after), after.leaves()[0].names.to_string())
        };
        assert_eq!(looked(), (true, "one.example".to_owned()));
        // The chain alone, then with its key.
        write(&one, true, false, "new.example");
        assert_eq!(looked(), (true, "one.example".to_owned()));
        assert_eq!(looked(), (true, "one.example".to_owned()));
        write(&one, true, true, "new.example");
        assert_eq!(looked(), (false, "new.example".to_owned()));
        // Gone, and back by a link to another file, as certbot does it.
        std::fs::remove_file(&one.chain).unwrap();
        assert_eq!(looked(), (true, "new.example".to_owned()));
        let other = at(folder.path(), "other");
        write(&other, true, true, "linked.example");
        std::fs::remove_file(&one.key).unwrap();
        std::os::unix::fs::symlink(&other.chain, &one.chain).unwrap();
        std::os::unix::fs::symlink(&other.key, &one.key).unwrap();
        assert_eq!(looked(), (false, "linked.example".to_owned()));
        assert_eq!(looked(), (true, "linked.example".to_owned()));
    }
}
