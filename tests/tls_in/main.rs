//! TLS towards clients: the program, and clients that are not ours: curl, openssl, testssl.sh.
//!
//! Everything is on 127.0.0.1 with an authority of the test's own. What is missing fails, and says
//! how to get it.

mod answers;
mod backend;
mod certificates;
mod grade;
mod handshakes;
mod proxy;
mod renewal;
mod streams;
#[path = "../support/mod.rs"]
mod support;

use std::time::Duration;

/// The longest that anything but a look at the certificates is waited for.
const PATIENCE: Duration = Duration::from_secs(15);
