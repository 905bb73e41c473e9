//! The Accept-Language field.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| causeway::fuzzing::accept_language(bytes));
