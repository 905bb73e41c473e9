//! The records of a FastCGI answer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| causeway::fuzzing::fastcgi_records(bytes));
