//! Small files of the kernel and of systemd, which are read whole.

use std::fs::File;
use std::io::Read;

/// The largest is the table of mounts of a host that runs containers.
const BYTES_MAX: u64 = 256 << 10;

/// The text of a file; empty where it cannot be read.
pub fn text(path: &str) -> String {
    let mut bytes = Vec::new();
    // What was read until an error is of use all the same.
    let _ = File::open(path).and_then(|file| file.take(BYTES_MAX).read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}
