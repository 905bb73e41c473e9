//! The import of nginx's configuration.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| causeway::fuzzing::nginx(bytes));
