//! Any failure, with any flight record: its cause, its report, its pages.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| causeway::fuzzing::diagnosis(bytes));
