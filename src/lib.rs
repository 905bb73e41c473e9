//! Causeway: a reverse proxy that says why.

mod clock;
pub mod config;
pub mod demo;
pub mod diagnose;
mod upstream;
