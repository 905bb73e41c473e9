//! The search for a header line's fault, beside httparse.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| causeway::fuzzing::header_line(bytes));
