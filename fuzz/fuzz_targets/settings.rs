//! Settings of PHP-FPM, PHP and sites.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| causeway::fuzzing::settings(bytes));
