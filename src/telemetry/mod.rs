//! What is written of each request: one line, also when the client has left.
//!
//! `access` lays out the line, `writer` carries it off the request's path. Imports `config` only.

mod access;
mod writer;

pub use access::{Line, Stages, escaped};
pub use writer::{AccessWriter, LineBuffer};
