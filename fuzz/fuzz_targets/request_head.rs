//! The gate: what passes has one reading.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| causeway::fuzzing::request_head(bytes));
