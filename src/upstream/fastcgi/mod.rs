//! FastCGI 1.0 towards PHP-FPM and its like: a codec of our own, so that every fault is typed where
//! it is seen, and so that END_REQUEST alone makes a response whole.
//!
//! Pure: `params` lays out a request, `record` frames it and takes the answer's records apart,
//! `cgi_head` reads the response head out of STDOUT, `stderr` keeps what the program complained
//! about. `reader` finds head and body among what has come.

pub mod cgi_head;
pub mod params;
pub(crate) mod reader;
pub mod record;
pub mod stderr;
