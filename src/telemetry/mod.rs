//! What is written of each request: one line, also when the client has left; what is counted; and
//! our own messages.
//!
//! `access` lays out the line, `writer` carries it off the request's path, `recent` keeps some for
//! a minute, `metrics` counts, `notice` is a message with its fields; `incidents` keeps those of
//! upstreams that fail. Imports `config`, and of `diagnose` the ids of messages and what an
//! incident is.

mod access;
mod incidents;
mod metrics;
mod notice;
mod recent;
mod writer;

pub use access::{Line, Stages, escaped};
pub use incidents::{Incidents, Opened, kept_incidents};
#[cfg(any(fuzzing, test))]
pub use incidents::{read_incidents, written_incidents};
pub use metrics::{
    CauseLabels, Counts, Failed, Gauges, Metrics, Reloaded, Tally, UpstreamGauges, WorkerTally,
    plain,
};
pub use notice::{FOR_JOURNAL, Fields, Notice};
pub use writer::{AccessWriter, LineBuffer};
