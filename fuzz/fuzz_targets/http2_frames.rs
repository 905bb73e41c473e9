//! The frames that a peer of HTTP/2 sends, as far as they are watched.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| causeway::fuzzing::http2_frames(bytes));
