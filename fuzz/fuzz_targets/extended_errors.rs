//! Extended errors in the message of a resolver.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| causeway::fuzzing::extended_errors(bytes));
