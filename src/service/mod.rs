//! What systemd gives a service, and what it hears from it: sockets, states, signs of life.
//!
//! Outside of systemd there is nobody to hear, and everything here does nothing. Knows neither
//! server nor signals; `cli::run` joins them. Imports `config` only.

mod control;
mod line;
mod manager;
mod passed;
mod watchdog;

pub use control::{Asker, ask_reload, listen};
pub use line::{Failures, line};
pub use manager::Manager;
pub use passed::{Passed, passed};
pub use watchdog::{Watchdog, watchdog_limit};
