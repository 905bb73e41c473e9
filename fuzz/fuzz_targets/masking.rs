//! Lines of logs, as they are shown.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| causeway::fuzzing::masking(bytes));
