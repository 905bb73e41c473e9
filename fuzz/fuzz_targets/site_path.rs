//! The path of a request as names below a site's root.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| causeway::fuzzing::site_path(bytes));
