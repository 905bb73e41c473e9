//! HTTP/1.1 towards upstreams: a codec of our own on httparse, so that every fault is typed where
//! it is seen, with offset and bytes.
//!
//! `head`, `names` and `body` are pure; `reader` finds the final response's head among what has
//! come.

pub mod body;
pub mod head;
pub mod names;
pub(crate) mod reader;
