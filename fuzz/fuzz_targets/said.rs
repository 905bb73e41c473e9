//! What an application says of itself, in its page and on STDERR.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| causeway::fuzzing::said(bytes));
