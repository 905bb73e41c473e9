//! The program as a service of a real systemd, which is booted in a container for each test: its
//! units, its reloads and restarts under load, and what its hardening leaves it to read.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../support/mod.rs"]
mod support;

mod activation;
mod doctor;
mod hardening;
mod journal;
mod restarts;
mod roots;
mod secure;
mod starts;
mod unit;
mod watchdog;
