//! What is written of each request: one line, also when the client has left; and our own messages.
//!
//! `access` lays out the line, `writer` carries it off the request's path, `notice` is a message
//! with its fields. Imports `config`, and of `diagnose` the ids of messages.

mod access;
mod notice;
mod writer;

pub use access::{Line, Stages, escaped};
pub use notice::{FOR_JOURNAL, Fields, Notice};
pub use writer::{AccessWriter, LineBuffer};
