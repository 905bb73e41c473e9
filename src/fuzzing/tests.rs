//! The properties, held to bytes that are mostly words of each grammar, and to noise.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Bytes that are mostly words of the grammar, so that they come further than noise does.
fn words(words: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let word = prop::sample::select(words).prop_map(|word| word.as_bytes().to_vec());
    let noise = vec(any::<u8>(), 0..3);
    vec(prop_oneof![12 => word, 1 => noise], 0..24).prop_map(|parts| parts.concat())
}

const REQUEST: &[&str] = &[
    "GET / HTTP/1.1\r\n",
    "POST http://a/ HTTP/1.1\r\n",
    "GET / HTTP/1.0\r\n",
    "Host: a\r\n",
    "Content-Length: 1\r\n",
    "Transfer-Encoding: chunked\r\n",
    "\r\n\r\n",
    "\r\n",
    "\r",
    "\n",
    "\0",
    "A: b",
    " ",
    ":",
    "Upgrade: x\r\n",
    "Connection: upgrade\r\n",
    "[::1]",
    "Host",
    "\t",
];
const RESPONSE: &[&str] = &[
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.0 999\r\n",
    "HTTP/1.1 100 \n",
    "Content-Length: 5\r\n",
    "Content-Length",
    "Transfer-Encoding: chunked\r\n",
    "Connection: close, X\r\n",
    "X: y\r\n",
    "\r\n\r\n",
    "\r\n",
    "\n\n",
    "\r",
    "\n",
    "\0",
    " ",
    "\t",
    ":",
    "A",
    "b",
    "\u{e9}",
    "\x07",
];
const CHUNKS: &[&str] = &[
    "0\r\n\r\n",
    "5\r\nhello\r\n",
    "1;a=b\r\nx\r\n",
    "0\r\nX: y\r\n\r\n",
    "ffffffffffffffff\r\n",
    "\r\n",
    "\r",
    "\n",
    "0",
    "1",
    ";",
    " ",
    "X: y\r\n",
    ":",
    "a",
    "\t",
    "10000000000000000",
];
const RECORDS: &[&str] = &[
    "\x01\x06\0\x01\0\x05\0\0hello",
    "\x01\x06\0\x01\0\x05\x03\0hello",
    "\x01\x07\0\x01\0\x03\x01\0PHP?",
    "\x01\x06\0\x01\0\0\0\0",
    "\x01\x06\0\x01\x01\0\0\0",
    "\x01\x0a\0\0\0\x02\x02\0abcd",
    "\x01\x0b\0\0\0\x08\0\0",
    "\x01\x03\0\x01\0\x08\0\0",
    "\x01\x03\0\x01\0\x08\0\0\0\0\0\x01\x02\0\0\0",
    "\x01\x03\0\x01\0\x07\0\0",
    "\x01\x06\0\x02",
    "\x01\x05\0\x01",
    "\0\0\0\0\0\0\0\0",
    "\x01",
    "\x02",
    "HTTP",
];
const PARAMS: &[&str] = &[
    "\x06\x03\x01X-Realabc",
    "\x06\x03\x02X_Realabc",
    "\x06\x03\0X.Realabc",
    "\x06\x02\x01Cookiea=",
    "\x05\x01\x01Proxyx",
    "\x7f",
    "\x01",
    "\0",
    "A",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "\u{7ff}",
    "\x7f\x7f\x7f",
];
const CGI: &[&str] = &[
    "Status: 200 OK\r\n",
    "Status: 404\n",
    "Status: 1",
    "status:",
    "HTTP/1.1 301 Moved\r\n",
    "Content-Type: text/html\r\n",
    "Content-Length: 5\n",
    "Content-Length: 6\n",
    "Location: /a\n",
    "Connection: close, X\n",
    "Transfer-Encoding: chunked\n",
    "Set-Cookie: a=b\n",
    "X: y\r\n",
    "\u{feff}",
    "<br />\n",
    "\r\n\r\n",
    "\r\n",
    "\n\n",
    "\r",
    "\n",
    "\0",
    " ",
    "\t",
    ":",
    "b",
    "\x0c",
];
const ACCEPTS: &[&str] = &[
    "text/html",
    "text/plain",
    "application/json",
    "application/problem+json",
    "*/*",
    "text/*",
    ";q=",
    "0.5",
    "1",
    "0",
    ",",
    ";",
    "\"",
    "\\",
    "=",
    " ",
    "\n",
    "q",
];
const CONFIGS: &[&str] = &[
    "[upstream.a]\n",
    "servers = [\"http://a:1\"]\n",
    "listen",
    " = ",
    "\"5s\"\n",
    "[",
    "]",
    "{",
    "}",
    "\"",
    "'''",
    "\n",
    "[page]\n",
    "operators = [\"::/0\"]\n",
    "[log]\n",
    "format",
    "1",
    "hosts = [\"*.a\", \"\u{e9}\"]\n",
    "#",
    "=",
    ".",
    ",",
    "paths",
    "\u{feff}",
    "connect = 5\n",
];

const PATHS: &[&str] = &[
    "/",
    "..",
    ".",
    "%2e",
    "%2F",
    "%5c",
    "%00",
    "%25",
    "2e",
    "%c0%ae",
    "a",
    ".php",
    "%",
    "//",
    ";",
    " ",
    "index.php",
    ".git",
    ".well-known",
    "%E4%BD%A0",
    "~",
    ".bak",
    "\u{e9}",
    "\\",
];
const RANGES: &[&str] = &[
    "bytes=",
    "0",
    "-",
    "1",
    "5",
    ",",
    " ",
    "99",
    "18446744073709551615",
    "0-0,",
    "-1,",
    "7-8",
    "=",
    "\t",
    "65535",
    "x",
];

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(400)
    })]

    #[test]
    fn a_request_head_has_one_reading(bytes in words(REQUEST)) {
        request_head(&bytes);
    }

    #[test]
    fn a_response_head_is_read_as_httparse_reads_it(bytes in words(RESPONSE)) {
        response_head(&bytes);
        header_line(&bytes);
    }

    #[test]
    fn a_chunked_body_has_one_end(bytes in words(CHUNKS)) {
        chunked(&bytes);
    }

    #[test]
    fn an_answer_in_records_is_the_same_however_it_is_split(bytes in words(RECORDS)) {
        fastcgi_records(&bytes);
    }

    #[test]
    fn parameters_come_back(bytes in words(PARAMS)) {
        fastcgi_params(&bytes);
    }

    #[test]
    fn a_cgi_head_is_the_same_however_it_is_split(bytes in words(CGI)) {
        cgi_head(&bytes);
    }

    #[test]
    fn any_accept_gets_a_format(bytes in words(ACCEPTS)) {
        accept(&bytes);
    }

    #[test]
    fn any_configuration_is_read_or_explained(bytes in words(CONFIGS)) {
        configuration(&bytes);
    }

    #[test]
    fn any_path_stays_below_the_root(bytes in words(PATHS)) {
        site_path(&[b"/", bytes.as_slice()].concat());
    }

    #[test]
    fn any_range_is_within_the_file(size: u16, bytes in words(RANGES)) {
        byte_ranges(&[&size.to_le_bytes(), b"bytes=".as_slice(), &bytes].concat());
    }

    #[test]
    fn noise_is_survived(bytes in vec(any::<u8>(), 0..200)) {
        request_head(&bytes);
        response_head(&bytes);
        header_line(&bytes);
        chunked(&bytes);
        fastcgi_records(&bytes);
        fastcgi_params(&bytes);
        cgi_head(&bytes);
        accept(&bytes);
        configuration(&bytes);
        site_path(&bytes);
        byte_ranges(&bytes);
    }
}
