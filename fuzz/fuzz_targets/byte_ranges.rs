//! The Range field.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| causeway::fuzzing::byte_ranges(bytes));
