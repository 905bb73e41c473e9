//! Causeway: a reverse proxy that says why.

pub mod config;
pub mod demo;
pub mod diagnose;
