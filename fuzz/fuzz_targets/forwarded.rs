//! The fields by which a proxy says whom it forwards for.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| causeway::fuzzing::forwarded(bytes));
