//! The texts of this host beside a failure, and what lies behind it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| causeway::fuzzing::host(bytes));
