//! The kernel's rows of listeners.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| causeway::fuzzing::sock_diag(bytes));
