//! A failed answer of whatever stands behind us.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| causeway::fuzzing::received(bytes));
