//! HTTP/1.1 towards upstreams: a codec of our own on httparse, so that every fault is typed where
//! it is seen, with offset and bytes.
//!
//! `head` and `body` are pure; `wire` moves the bytes of one exchange.

pub mod body;
pub mod head;
pub(crate) mod wire;
