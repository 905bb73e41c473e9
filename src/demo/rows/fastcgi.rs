//! Rows of FastCGI: what a server of PHP does to a connection, and what is no FastCGI at all.

use std::time::Duration;

use crate::config::Upstream;
use crate::demo::scenario::{Ask, Scenario, Sees, Setup, Step, UnixSetup, row};
use crate::diagnose::Code;

use super::APART;
use super::answer::MYSQL;

use Setup::{FastCgi, FastCgiUnix, HttpToFastCgi};
use Step::{End, Request, Reset, Some as Anything, Stderr, Stdout, Wait, Write};

pub(super) const ROWS: &[Scenario] = &[
    row(
        Code::UnixSocketMissing,
        "unix_socket_missing-fpm",
        "PHP-FPM is stopped, and has taken its socket with it.",
        FastCgiUnix(UnixSetup::Missing),
    ),
    row(
        Code::UnixSocketPermissionDenied,
        "unix_socket_permission_denied-fpm",
        "PHP-FPM's socket is for the group www-data only (rehearsed for root, whom no mode stops).",
        FastCgiUnix(UnixSetup::Forbidden),
    ),
    row(
        Code::FcgiPoolSaturated,
        "fcgi_pool_saturated",
        "Every worker of PHP-FPM is busy, so the request waits in the socket's queue.",
        FastCgiUnix(UnixSetup::Unaccepted),
    ),
    row(
        Code::FcgiConnectionDropped,
        "fcgi_connection_dropped",
        "PHP-FPM closes each connection at once, as where `listen.allowed_clients` lacks us.",
        FastCgi(&[]),
    ),
    row(
        Code::FcgiWorkerDied,
        "fcgi_worker_died",
        "The worker dies over the request, before it has printed anything.",
        FastCgi(&[Request, Wait(300), Reset]),
    ),
    row(
        Code::FcgiWorkerDied,
        "fcgi_worker_died-stderr",
        "The worker dies over the request, and its last words are in the log.",
        FastCgi(&[Request, Stderr("zend_mm_heap corrupted\n"), APART, Reset]),
    ),
    row(
        Code::FcgiTimeLimitKill,
        "fcgi_time_limit_kill",
        "Two workers die one after the other, each 1.2 seconds into its request.",
        FastCgi(&[Request, Wait(1200), Reset]),
    )
    .ask(Ask::Times(2))
    .adjust(patient),
    row(
        Code::FcgiWorkerDiedMidResponse,
        "fcgi_worker_died_mid_response",
        "The worker dies between the headers of its page and the page.",
        FastCgi(&[Request, Stdout(HEADERS), APART, Reset]),
    ),
    row(
        Code::FcgiWorkerDiedMidResponse,
        "fcgi_worker_died_mid_response-mid",
        "The worker dies in the middle of its page.",
        FastCgi(&[Request, Stdout(HEADERS), Stdout(b"<h1>Our shop</h1>\n"), APART, Reset]),
    )
    .sees(Sees::Cut),
    row(
        Code::FcgiNoOutput,
        "fcgi_no_output",
        "The program ends its answer in good order without having printed a byte.",
        FastCgi(&[Request, Stderr("cannot write headers: no space left\n"), End(0)]),
    ),
    row(
        Code::FcgiBadCgiHeaders,
        "fcgi_bad_cgi_headers",
        "The program prints its page without any headers.",
        FastCgi(&[Request, Stdout(b"<!doctype html>\n<title>Our shop</title>\n"), End(0)]),
    ),
    row(
        Code::FcgiBadCgiHeaders,
        "fcgi_bad_cgi_headers-header",
        "A notice stands among the headers.",
        FastCgi(&[
            Request,
            Stdout(b"Content-Type: text/html\r\nNotice of a missing price\r\n\r\n"),
            End(0),
        ]),
    ),
    row(
        Code::FcgiBadCgiHeaders,
        "fcgi_bad_cgi_headers-status",
        "The program's Status is no number.",
        FastCgi(&[Request, Stdout(b"Status: fine\r\nContent-Type: text/html\r\n\r\n"), End(0)]),
    ),
    row(
        Code::FcgiBadCgiHeaders,
        "fcgi_bad_cgi_headers-unfinished",
        "The program ends in the middle of its headers.",
        FastCgi(&[Request, Stdout(b"Status: 200 OK\r\nContent-Ty"), End(0)]),
    ),
    row(
        Code::FcgiRejected,
        "fcgi_rejected",
        "The FastCGI server says that it is overloaded.",
        FastCgi(&[Request, End(2)]),
    ),
    row(
        Code::FcgiRejected,
        "fcgi_rejected-cannot_multiplex",
        "The FastCGI server says that it takes one request a connection, though it has one.",
        FastCgi(&[Request, End(1)]),
    ),
    row(
        Code::FcgiRejected,
        "fcgi_rejected-unknown_role",
        "The FastCGI server knows no responders: it is an authorizer or a filter.",
        FastCgi(&[Request, End(3)]),
    ),
    row(
        Code::FcgiMalformedRecord,
        "fcgi_malformed_record",
        "Plain text stands between two records of the answer.",
        FastCgi(&[Request, Stdout(b"Content-Type: text/"), Write(b"Segmentation fault\n")]),
    ),
    row(
        Code::FcgiMalformedRecord,
        "fcgi_malformed_record-request_id",
        "The server answers a request that we have not sent.",
        FastCgi(&[Request, Write(b"\x01\x06\x00\x07\x00\x05\x03\x00hello\0\0\0")]),
    ),
    row(
        Code::FcgiMalformedRecord,
        "fcgi_malformed_record-type",
        "The server sends a record that only a request has.",
        FastCgi(&[Request, Write(b"\x01\x05\x00\x01\x00\x00\x00\x00")]),
    ),
    row(
        Code::FcgiMalformedRecord,
        "fcgi_malformed_record-end_length",
        "The record that ends the answer has four bytes in place of eight.",
        FastCgi(&[Request, Write(b"\x01\x03\x00\x01\x00\x04\x00\x00\0\0\0\0")]),
    ),
    row(
        Code::FcgiPeerNotFastcgi,
        "fcgi_peer_not_fastcgi",
        "A web server listens on the port where we speak FastCGI.",
        FastCgi(&[Anything, Write(WEB_SERVER)]),
    ),
    row(
        Code::FcgiPeerNotFastcgi,
        "fcgi_peer_not_fastcgi-mysql",
        "A MySQL server listens on the port where we speak FastCGI.",
        FastCgi(&[Write(MYSQL), Anything]),
    ),
    row(
        Code::HttpToFastcgiPort,
        "http_to_fastcgi_port",
        "The configuration says http+unix: where PHP-FPM listens.",
        HttpToFastCgi(&[Request, Stdout(HEADERS), End(0)]),
    )
    // Only a reset at once says it, and the host may be busy.
    .ask(Ask::UntilNamed),
];

const HEADERS: &[u8] = b"Content-Type: text/html; charset=UTF-8\r\n\r\n";

const WEB_SERVER: &[u8] = b"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\n\
    Content-Type: text/html\r\nContent-Length: 24\r\nConnection: close\r\n\r\n\
    <h1>400 Bad Request</h1>";

fn patient(upstream: &mut Upstream) {
    upstream.timeouts.first_byte = Duration::from_secs(5);
}
