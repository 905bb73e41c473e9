//! Causeway: a reverse proxy that says why.

pub mod config;
pub mod diagnose;
pub mod page;
