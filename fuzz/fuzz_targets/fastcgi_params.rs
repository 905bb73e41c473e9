//! FastCGI parameters: written, and read back.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| causeway::fuzzing::fastcgi_params(bytes));
