//! Responses of an upstream, heads and bodies.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| causeway::fuzzing::responses(bytes));
