//! Chunked bodies, of requests and of responses.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| causeway::fuzzing::chunked(bytes));
