//! PHP-FPM's status page.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| causeway::fuzzing::pool_status(bytes));
