//! Heads in HTTP/2's terms, on their way out and back.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| causeway::fuzzing::http2_fields(bytes));
