//! HTTP/1.1 towards upstreams: a codec of our own on httparse, so that every fault is typed where
//! it is seen, with offset and bytes.
//!
//! `head` and `body` are pure; `wire` moves the bytes of one exchange up to the response's head,
//! `download` those of its body.

pub mod body;
pub(crate) mod download;
pub mod head;
pub(crate) mod wire;
