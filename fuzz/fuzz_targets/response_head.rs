//! The head of an upstream's response, beside httparse.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| causeway::fuzzing::response_head(bytes));
