//! Rows of rtnetlink.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| causeway::fuzzing::rtnetlink(bytes));
