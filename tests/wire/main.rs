//! What goes over the wires: raw clients before the proxy, scripted upstreams behind it, bytes.
//!
//! Every wait is bounded by a socket's time-out; nothing sleeps in order to be in step.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod alarms;
mod answers;
mod around;
mod backend;
mod balancers;
mod bodies;
mod client;
mod commands;
mod doctor;
mod doubled;
mod echoes;
#[path = "../support/faketime.rs"]
mod faketime;
mod fallback;
mod fields;
mod forwarding;
mod host;
mod http2;
mod hygiene;
mod incidents;
mod languages;
mod looks;
mod maintenance;
mod metrics;
mod own_page;
mod ports;
mod proxy;
mod questions;
mod rest;
mod routing;
mod service;
mod standing;
mod status;
mod traffic;
mod tunnels;

use std::time::{Duration, Instant};

/// The longest that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks again and again until there is something: files and processes cannot be waited on.
fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "never came: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Bytes as a message shows them.
fn shown(bytes: &[u8]) -> String {
    bytes[..bytes.len().min(2000)].escape_ascii().to_string()
}
