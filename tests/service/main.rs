//! The program as a service of a real systemd, which is booted in a container for each test: its
//! units, its reloads and restarts under load, and what its hardening leaves it to read.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../support/mod.rs"]
mod support;

mod journal;

use support::sandbox::Sandbox;

#[test]
fn a_container_boots() {
    let sandbox = Sandbox::boot();
    assert_eq!(sandbox.sh("systemctl is-system-running"), "running");
    assert_eq!(sandbox.sh("hostname"), "sandbox");
}
