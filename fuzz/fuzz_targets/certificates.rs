//! A chain of certificates that was refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| causeway::fuzzing::certificates(bytes));
