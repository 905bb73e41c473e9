//! Lines of other programs' logs.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| causeway::fuzzing::log_line(bytes));
