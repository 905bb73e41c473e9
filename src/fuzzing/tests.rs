//! The properties, held to bytes that are mostly words of each grammar, and to noise.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::diagnose::{self, Code, Phase};

use super::diagnosis::cause;
use super::source::Source;
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
const FRAMES: &[&str] = &[
    "\0\0\0\x04\0\0\0\0\0",
    "\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64",
    "\0\0\x08\x07\0\0\0\0\0\0\0\0\x05\0\0\0\0",
    "\0\0\x0c\x07\0\0\0\0\0\x7f\0\0\x03\0\0\0\x0bcalm",
    "\0\0\x08\x07\0\0\0\0\0\0\0\0\x01\0\0\0\x0d",
    "\0\0\x04\x07\0\0\0\0\0\0\0\0\x01",
    "\0\0\0\x07\0\0\0\0\0",
    "\0\0\x04\x03\0\0\0\0\x01\0\0\0\x07",
    "\0\0\x02\0\x01\0\0\0\x01hi",
    "\0\x01\0\x07\0\0\0\0\0",
    "\0\0",
    "\x07",
    "HTTP/1.1 400 Bad Request\r\n",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
];
/// A request's head and, behind an empty line, the fields of a response.
const FIELDS: &[&str] = &[
    "GET / HTTP/1.1\r\n",
    "POST /a?b={c}|d HTTP/1.1\r\n",
    "OPTIONS * HTTP/1.1\r\n",
    "GET http://a/b HTTP/1.1\r\n",
    "Host: a\r\n",
    "Host: [::1]:80\r\n",
    "Host: a%20b\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: 6\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Connection: x\r\n",
    "Upgrade: x\r\n",
    "TE: trailers\r\n",
    "Expect: 100-continue\r\n",
    "Cookie: a=1\r\n",
    "X: y\r\n",
    "X: \u{e9}\r\n",
    "\r\n",
    ":",
    " ",
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
/// Headers of the PROXY protocol in parts.
const BALANCERS: &[&str] = &[
    "PROXY TCP4 203.0.113.9 192.0.2.1 56224 443\r\n",
    "PROXY UNKNOWN\r\n",
    "PROXY TCP6 ",
    "2001:db8::1 ",
    "192.0.2.1 ",
    "65535 ",
    "+1",
    "\r\n",
    "\r",
    "\n",
    "\r\n\r\n\0\r\nQUIT\n",
    "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x0a\0\0\x01\x0a\0\0\x02\0\x50\0\x51",
    "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
    "\x21\x11\0\x14",
    "\x21\x21\0\x24",
    "\x21\x31\0\x01",
    "\x0a\0\0\x01\x0a\0\0\x02\0\x50\0\x51",
    "\x20\0\x05\x01\0\0\0\0",
    "\x03\0\x04",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "GET / HTTP/1.1\r\n",
];
const LANGUAGES: &[&str] = &[
    "en", "ru", "zh", "-TW", "-Hant", "-x-", "*", "pt-br", ";q=0", ";q=0.5", ";q=1", ",", "\n",
    "-", "\"",
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

const PHP: &[&str] = &[
    "\0",
    "PHP message: ",
    "PHP Fatal error:  ",
    "Uncaught Error: no",
    " in /srv/canary.php",
    " on line 7",
    "<br />\n<b>Fatal error</b>:  ",
    " in <b>/srv/canary.php</b>",
    "</b> on line <b>7</b>",
    "\nFatal error: ",
    "Allowed memory size of 1 bytes exhausted",
    "Maximum execution time of 30 seconds exceeded",
    "<h1>Error establishing a database connection</h1>",
    "There has been a critical error on this website",
    "SQLSTATE[HY000] [2002] ",
    "Primary script unknown",
    "File not found.\n",
    "Access denied.\n",
    "(see security.limit_extensions)",
    "Unable to open primary script: /srv/canary.php (Permission denied)",
    "; ",
];
const ANSWERS: &[&str] = &[
    "Server: nginx\n",
    "Server: cloudflare\n",
    "Via: 1.1 varnish\n",
    "X-Powered-By: PHP/8.2\n",
    "Proxy-Status: shield; error=destination_unavailable; next-hop=\"10.0.0.1\"\n",
    "Proxy-Status: causeway; received-status=502, \n",
    "Retry-After: 5\n",
    "Location: /a?b\n",
    "Location: https://canary.test/a?b\n",
    "X-Forwarded-Proto: https\n",
    "Host: canary.test\n",
    "Cookie: canary=1\n",
    "\n\n",
    "<center>nginx</center>",
    "Request Header Or Cookie Too Large",
    "<html><title>502 Bad Gateway</title>",
    "503 Service Unavailable\nNo server is available",
    "error code: 1033",
];
/// A message of a resolver with an OPT record, in parts (RFC 1035 section 4.1, RFC 6891).
const RESOLVERS: &[&str] = &[
    "\0\x07\0\0\0\x01\0\0\0\0\0\x01\x01a\0\0\x01\0\x01",
    "\0\x07\0\0\0\0\0\0\0\0\0\x01",
    "\0\0\x29\x04\0\0\0\0\0\0\x06\0\x0f\0\x02\0\x16",
    "\0\0\x29\x04\0\0\0\0\0\0\x0a\0\x0f\0\x06\0\x09text",
    "\0\0\x29\x04\0\0\0\0\0\0\x05\0\x0f\0\x01\0",
    "\0\x0f",
    "\0",
    "a",
];
/// Rows of sock_diag(7) in parts, as this host's byte order lays them out.
const ROWS: &[&str] = &[
    "\x10\0\0\0\x03\0\x02\0\0\0\0\0\0\0\0\0",
    "\x20\0\0\0\x14\0\x02\0\0\0\0\0\0\0\0\0\x01\x01\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0",
    "\x14\0\0\0\x14\0",
    "\x7f\0\0\0\x14\0",
    "\x02",
    "\0\0\0\0",
    "\x01",
];

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(1500)
    })]

    #[test]
    fn any_failure_gets_a_cause_and_a_page_that_tells_visitors_nothing(
        bytes in vec(any::<u8>(), 0..400),
    ) {
        diagnosis(&bytes);
    }
}

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
    fn a_balancers_header_has_one_end(bytes in words(BALANCERS)) {
        proxy_header(&bytes);
    }

    #[test]
    fn any_accept_language_gets_a_language(bytes in words(LANGUAGES)) {
        accept_language(&bytes);
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
    fn an_application_is_heard_the_same_twice(status in 100_u16..600, bytes in words(PHP)) {
        said(&[&(status - 100).to_le_bytes(), bytes.as_slice()].concat());
    }

    #[test]
    fn a_failed_answer_is_never_passed_over(status in 100_u16..600, bytes in words(ANSWERS)) {
        received(&[&(status - 100).to_le_bytes(), bytes.as_slice()].concat());
    }

    #[test]
    fn frames_have_one_reading(bytes in words(FRAMES)) {
        http2_frames(&[b"\0\0\0\x04\0\0\0\0\0".as_slice(), &bytes].concat());
        http2_frames(&bytes);
    }

    #[test]
    fn fields_of_http_2_are_those_of_http_1(bytes in words(FIELDS)) {
        http2_fields(&[b"GET /a HTTP/1.1\r\nHost: a\r\n".as_slice(), &bytes].concat());
        http2_fields(&bytes);
    }

    #[test]
    fn extended_errors_are_bounded(bytes in words(RESOLVERS)) {
        extended_errors(&[b"\0\x07\x81\x82".as_slice(), &bytes].concat());
        extended_errors(&bytes);
    }

    #[test]
    fn a_datagram_of_sock_diag_leads_nowhere_else(bytes in words(ROWS)) {
        sock_diag(&bytes);
    }

    #[test]
    fn any_certificates_get_their_cause(
        verdict in vec(any::<u8>(), 5),
        mut der in Just(certificate()),
        mutations in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        for (at, byte) in mutations {
            der[at.index(certificate().len())] = byte;
        }
        let length = u16::try_from(der.len()).unwrap().to_le_bytes();
        certificates(&[verdict.as_slice(), &length, &der, &length, &der].concat());
    }

    #[test]
    fn noise_is_survived(bytes in vec(any::<u8>(), 0..200)) {
        request_head(&bytes);
        response_head(&bytes);
        header_line(&bytes);
        chunked(&bytes);
        http2_frames(&bytes);
        http2_fields(&bytes);
        fastcgi_records(&bytes);
        fastcgi_params(&bytes);
        cgi_head(&bytes);
        accept(&bytes);
        accept_language(&bytes);
        configuration(&bytes);
        site_path(&bytes);
        byte_ranges(&bytes);
        first_bytes(&bytes);
        certificates(&bytes);
        extended_errors(&bytes);
        said(&bytes);
        received(&bytes);
        sock_diag(&bytes);
    }
}

/// A certificate, so that mutations of it come further than noise.
fn certificate() -> Vec<u8> {
    static DER: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let names = vec!["canary.test".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).expect("a name that is one");
        made.cert.der().to_vec()
    });
    DER.clone()
}

/// What fuzzers have found; their inputs are seeds too.
#[test]
fn what_was_found_holds() {
    // The gate let pass what httparse does not take: no UTF-8 (found in `requests`).
    let head = b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n";
    let fault = gate::inspect(head, |_, _| {}).unwrap_err();
    assert_eq!(fault, diagnose::RequestFault::TargetInvalid);
    let head = "GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n";
    assert!(gate::inspect(head.as_bytes(), |_, _| {}).is_ok());
    // An errno that has no positive one (found in `rtnetlink`).
    let mut error = b"\x24\0\0\0\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x80".to_vec();
    error.resize(0x24, 0);
    rtnetlink(&error);
    sock_diag(&error);
}

/// The bytes of a fuzzer reach every cause that a failure can have: a property that is held to some
/// of them only would say little.
#[test]
fn every_cause_of_a_failure_is_reached() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut reached = BTreeSet::new();
    for _ in 0..40_000 {
        let mut bytes = [0; 320];
        for piece in bytes.chunks_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            piece.copy_from_slice(&state.to_le_bytes());
        }
        reached.insert(cause(Source(&bytes)).code());
    }
    // A certificate that signed itself is more than chance brings about; it has a test above.
    reached.insert(Code::TlsCertSelfSigned);
    let of_failure = |code: &Code| {
        let received = diagnose::is_received(*code);
        !received && !matches!(diagnose::entry(*code).phase, Phase::Request | Phase::Route)
    };
    let missing: Vec<_> =
        Code::all().filter(of_failure).filter(|code| !reached.contains(code)).collect();
    assert_eq!(missing, []);
}
