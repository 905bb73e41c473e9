//! Rows of sending the request and of the response's head.

use crate::config::Upstream;
use crate::demo::scenario::{Ask, Scenario, Setup, Step, row};
use crate::diagnose::Code;

use Setup::{Greets, Heads, Says, Tcp};
use Step::{Close, Drop, Head, ProxyLine, Repeat, Reset, Stall, Unread, Wait, Write};

/// More than the socket buffers of both ends hold.
const UPLOAD: Ask = Ask::Post { body_bytes: 16 * 1024 * 1024 };

pub(super) const ROWS: &[Scenario] = &[
    // Send.
    row(
        Code::RequestWriteFailed,
        "request_write_failed",
        "The backend resets the connection in the middle of an upload.",
        Tcp(&[Head, Wait(500), Reset]),
    )
    .ask(UPLOAD),
    row(
        Code::RequestWriteTimeout,
        "request_write_timeout",
        "The backend stops reading in the middle of an upload.",
        Tcp(&[Head, Stall]),
    )
    .ask(UPLOAD),
    // Wait for the head.
    row(
        Code::StaleKeepalive,
        "stale_keepalive",
        "The backend closes a kept connection just as a POST is sent over it.",
        Tcp(&[Head, Write(KEPT), Head, Close]),
    )
    .ask(Ask::GetThenPost),
    row(
        Code::ClosedBeforeResponse,
        "closed_before_response",
        "The backend takes the request and closes without a word.",
        Tcp(&[Head, Close]),
    ),
    row(
        Code::ResetBeforeResponse,
        "reset_before_response",
        "The backend takes the request and resets the connection.",
        Tcp(&[Head, Reset]),
    ),
    row(
        Code::ResetBeforeResponse,
        "reset_before_response-unread",
        "The backend closes without having read the request, as a crashed process does.",
        Tcp(&[Unread, Drop]),
    ),
    row(
        Code::FirstByteTimeout,
        "first_byte_timeout",
        "The backend takes the request and says nothing.",
        Tcp(&[Head, Stall]),
    ),
    row(
        Code::ClosedMidHeaders,
        "closed_mid_headers",
        "The backend closes in the middle of the response's head.",
        Says(b"HTTP/1.1 200 OK\r\nContent-Ty"),
    ),
    row(
        Code::ClosedMidHeaders,
        "closed_mid_headers-reset",
        "The backend resets the connection in the middle of the response's head.",
        Tcp(&[Head, Write(b"HTTP/1.1 200 OK\r\nContent-Ty"), Wait(100), Reset]),
    ),
    row(
        Code::HeaderStallTimeout,
        "header_stall_timeout",
        "The backend begins the response's head and falls silent.",
        Tcp(&[Head, Write(b"HTTP/1.1 200 OK\r\nContent-Ty"), Stall]),
    ),
    // Another protocol.
    row(
        Code::PlainHttpToTlsPort,
        "plain_http_to_tls_port",
        "The backend's port speaks TLS and answers our plain request with an alert.",
        Says(b"\x15\x03\x01\x00\x02\x02\x46"),
    ),
    row(
        Code::ProxyProtocolExpected,
        "proxy_protocol_expected",
        "The backend expects a line of the PROXY protocol, and hangs up where it does not come.",
        Tcp(&[ProxyLine, Head, Write(KEPT)]),
    )
    .ask(Ask::UntilNamed),
    row(
        Code::PeerIsOtherProtocol,
        "peer_is_other_protocol",
        "An SSH server listens on the backend's port.",
        Greets(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"),
    ),
    row(
        Code::PeerIsOtherProtocol,
        "peer_is_other_protocol-mysql",
        "A MySQL server listens on the backend's port.",
        Greets(MYSQL),
    ),
    row(
        Code::PeerIsOtherProtocol,
        "peer_is_other_protocol-redis",
        "A Redis server listens on the backend's port.",
        Says(b"-ERR wrong number of arguments for 'get' command\r\n"),
    ),
    row(
        Code::PeerIsOtherProtocol,
        "peer_is_other_protocol-smtp",
        "A mail server listens on the backend's port.",
        Greets(b"220 mail.demo ESMTP Postfix (Debian/GNU)\r\n"),
    ),
    row(
        Code::PeerIsOtherProtocol,
        "peer_is_other_protocol-ftp",
        "An FTP server listens on the backend's port.",
        Greets(b"220 (vsFTPd 3.0.3)\r\n"),
    ),
    row(
        Code::PeerIsOtherProtocol,
        "peer_is_other_protocol-memcached",
        "A memcached server listens on the backend's port.",
        Says(b"ERROR\r\nERROR\r\nERROR\r\n"),
    ),
    row(
        Code::PeerIsOtherProtocol,
        "peer_is_other_protocol-http2",
        "The backend speaks HTTP/2 only.",
        Says(HTTP2),
    ),
    row(
        Code::PeerIsOtherProtocol,
        "peer_is_other_protocol-fastcgi",
        "A FastCGI server listens on the backend's port.",
        Says(b"\x01\x0b\x00\x00\x00\x08\x00\x00G\x00\x00\x00\x00\x00\x00\x00"),
    ),
    row(
        Code::PeerIsOtherProtocol,
        "peer_is_other_protocol-cgi",
        "The backend answers with CGI headers: the status line is missing.",
        Says(b"Status: 200 OK\r\nContent-Type: text/plain\r\n\r\nhello\n"),
    ),
    row(
        Code::PeerIsOtherProtocol,
        "peer_is_other_protocol-unknown",
        "The backend answers with bytes that belong to no protocol we know.",
        Says(b"\x07\x9e\x00\x01\xde\xad\xbe\xef\x07\x9e\x00\x01\xde\xad\xbe\xef\x07\x9e"),
    ),
    // The head.
    row(
        Code::Http09Response,
        "http09_response",
        "The backend sends a page without status line and headers.",
        Says(b"<html><body>It works!</body></html>\n"),
    ),
    row(
        Code::Http09Response,
        "http09_response-text",
        "The backend sends bare text, as a forgotten netcat does.",
        Says(b"It works, more or less: hello!\n"),
    ),
    row(
        Code::InvalidStatusLine,
        "invalid_status_line",
        "The backend's status line has no status code.",
        Says(b"HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n"),
    ),
    row(
        Code::InvalidStatusLine,
        "invalid_status_line-version",
        "The backend's status line names HTTP/3.7.",
        Says(b"HTTP/3.7 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ),
    row(
        Code::InvalidStatusLine,
        "invalid_status_line-code",
        "The backend's status code has four digits.",
        Says(b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"),
    ),
    row(
        Code::InvalidHeader,
        "invalid_header",
        "A header line of the response has no colon.",
        Heads(b"Warning the database is slow today\r\nContent-Length: 0\r\n\r\n"),
    ),
    row(
        Code::InvalidHeader,
        "invalid_header-name",
        "A header name of the response has a space in it.",
        Heads(b"X Powered By: demo\r\nContent-Length: 0\r\n\r\n"),
    ),
    row(
        Code::InvalidHeader,
        "invalid_header-value",
        "A header value of the response has a control character in it.",
        Heads(b"X-Mark: bell\x07\r\nContent-Length: 0\r\n\r\n"),
    ),
    row(
        Code::InvalidHeader,
        "invalid_header-nul",
        "A header value of the response has a NUL in it.",
        Heads(b"X-Name: cut\0off\r\nContent-Length: 0\r\n\r\n"),
    ),
    row(
        Code::InvalidHeader,
        "invalid_header-bare_cr",
        "A header value of the response has a carriage return in it.",
        Heads(b"X-Lines: one\rtwo\r\nContent-Length: 0\r\n\r\n"),
    ),
    row(
        Code::InvalidHeader,
        "invalid_header-obs_fold",
        "A header value of the response goes on in the next line.",
        Heads(b"X-Long: begins\r\n  and goes on\r\nContent-Length: 0\r\n\r\n"),
    ),
    row(
        Code::InvalidHeader,
        "invalid_header-space_before_colon",
        "A header line of the response has a space before its colon.",
        Heads(b"X-Powered-By : demo\r\nContent-Length: 0\r\n\r\n"),
    ),
    row(
        Code::HeaderSectionTooLarge,
        "header_section_too_large",
        "The response's head has 16 kB of cookies; 8 KiB are allowed.",
        Tcp(&[Head, Write(OK), Repeat(COOKIE, 160), Write(b"\r\n"), Close]),
    )
    .adjust(small_heads),
    row(
        Code::TooManyHeaders,
        "too_many_headers",
        "The response has 200 header lines; 128 are allowed.",
        Tcp(&[Head, Write(OK), Repeat(b"X-Tag: t\r\n", 200), Write(b"\r\n"), Close]),
    ),
    row(
        Code::AmbiguousFraming,
        "ambiguous_framing",
        "The response's Content-Length is no number.",
        Heads(b"Content-Length: twelve\r\n\r\nhello world\n"),
    ),
    row(
        Code::AmbiguousFraming,
        "ambiguous_framing-conflict",
        "The response declares two different lengths.",
        Heads(b"Content-Length: 5\r\nContent-Length: 12\r\n\r\nhello world\n"),
    ),
    row(
        Code::AmbiguousFraming,
        "ambiguous_framing-length_and_chunked",
        "The response has both Content-Length and Transfer-Encoding.",
        Heads(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
    ),
    row(
        Code::AmbiguousFraming,
        "ambiguous_framing-chunked_in_http10",
        "An HTTP/1.0 response has Transfer-Encoding, which its version does not know.",
        Says(b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
    ),
    row(
        Code::AmbiguousFraming,
        "ambiguous_framing-unknown_coding",
        "The response has a Transfer-Encoding that does not end with chunked.",
        Heads(b"Transfer-Encoding: gzip\r\n\r\nhello"),
    ),
    row(
        Code::TooManyInterimResponses,
        "too_many_interim_responses",
        "The backend sends 103 (Early Hints) over and over.",
        Tcp(&[Head, Repeat(b"HTTP/1.1 103 Early Hints\r\n\r\n", 64), Stall]),
    ),
    row(
        Code::UpgradeFailed,
        "upgrade_failed",
        "The backend switches protocols though nobody asked.",
        Tcp(&[Head, Write(SWITCHES), Stall]),
    ),
    row(
        Code::UpgradeFailed,
        "upgrade_failed-wrong_protocol",
        "The backend switches to another protocol than the one asked for.",
        Tcp(&[Head, Write(SWITCHES), Stall]),
    )
    .ask(Ask::Upgrade("websocket")),
];

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n";

const KEPT: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nkept\n";

const SWITCHES: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: irc\r\n\r\n";

const COOKIE: &[u8] = b"Set-Cookie: basket=\
    0123456789012345678901234567890123456789012345678901234567890123456789; Path=/demo\r\n";

/// An initial handshake packet, protocol version 10 (MySQL client/server protocol).
pub(super) const MYSQL: &[u8] =
    b"\x4a\x00\x00\x00\x0a8.0.36\x00\x08\x00\x00\x0001234567\x00\xff\xff\x08\
    \x02\x00\xff\xdf\x15\x00\x00\x00\x00\x00\x00\x00\x00\x00\x000123456789ab\x00\
    caching_sha2_password\x00";

/// SETTINGS with one setting, then GOAWAY with PROTOCOL_ERROR (RFC 9113 sections 6.5 and 6.8).
const HTTP2: &[u8] = b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64\
    \x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01";

fn small_heads(upstream: &mut Upstream) {
    upstream.limits.header_section_bytes = 8 * 1024;
}
