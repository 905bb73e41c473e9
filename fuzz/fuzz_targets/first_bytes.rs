//! The first bytes of a peer that speaks something else.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| causeway::fuzzing::first_bytes(bytes));
