//! Requests of one connection, heads and bodies.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| causeway::fuzzing::requests(bytes));
