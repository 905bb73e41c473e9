//! The header of the PROXY protocol before a balancer's connection.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| causeway::fuzzing::proxy_header(bytes));
