//! The head of a CGI response.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| causeway::fuzzing::cgi_head(bytes));
