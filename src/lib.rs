//! Causeway: a reverse proxy that says why.

pub mod cli;
mod clock;
pub mod config;
pub mod demo;
pub mod diagnose;
pub mod page;
mod proxy;
pub mod server;
mod telemetry;
mod upstream;
