//! Rows of upstreams that speak HTTP/2, or should: by the frames that they send.

use std::time::Duration;

use crate::config::Upstream;
use crate::demo::scenario::{Cert, Scenario, Sees, Setup, Step, row};
use crate::diagnose::Code;

use super::APART;

use Setup::Http2;
use Step::{Close, Stall, Stream, Write};

/// Empty; a server's first frame (RFC 9113 section 3.4).
const SETTINGS: &[u8] = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00";
/// On stream 1: END_HEADERS, `:status: 200` (RFC 7541 appendix A, entry 8).
const OK: &[u8] = b"\x00\x00\x01\x01\x04\x00\x00\x00\x01\x88";
const PIECE: &[u8] = b"\x00\x00\x10\x00\x00\x00\x00\x00\x01The first piece\n";
/// Last stream 0, ENHANCE_YOUR_CALM.
const GOAWAY: &[u8] =
    b"\x00\x00\x19\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x0btoo_many_requests";
/// Last stream 1, INTERNAL_ERROR: the request was taken.
const GOAWAY_TAKEN: &[u8] = b"\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x02";
const REFUSED_STREAM: &[u8] = b"\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x07";
const INTERNAL_ERROR: &[u8] = b"\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x02";
const HTTP_1_1_REQUIRED: &[u8] = b"\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x0d";
/// DATA on stream 0, which has none (RFC 9113 section 6.1).
const STRAY_DATA: &[u8] = b"\x00\x00\x02\x00\x00\x00\x00\x00\x00hi";
/// DATA with END_STREAM.
const SHORT_END: &[u8] = b"\x00\x00\x02\x00\x01\x00\x00\x00\x01hi";
/// `:status: 200`, `content-length: 1000` (entry 28, a literal of four bytes).
const OF_1000: &[u8] = b"\x00\x00\x08\x01\x04\x00\x00\x00\x01\x88\x0f\x0d\x041000";
/// The alert 120, fatal (RFC 7301 section 3.2).
const NO_APPLICATION_PROTOCOL: &[u8] = b"\x15\x03\x03\x00\x02\x02\x78";
const HTTP1: &[u8] = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";

pub(super) const ROWS: &[Scenario] = &[
    row(
        Code::H2Goaway,
        "h2_goaway",
        "The backend sends GOAWAY in place of an answer: it holds that we ask too often.",
        Http2(&[Write(SETTINGS), Stream, Write(GOAWAY), Close]),
    ),
    row(
        Code::H2Goaway,
        "h2_goaway-taken",
        "The backend takes the request, fails, and gives the connection up.",
        Http2(&[Write(SETTINGS), Stream, Write(GOAWAY_TAKEN), Close]),
    ),
    row(
        Code::H2RefusedStream,
        "h2_refused_stream",
        "The backend refuses each stream that is opened.",
        Http2(&[Write(SETTINGS), Stream, Write(REFUSED_STREAM), Close]),
    ),
    row(
        Code::H2StreamReset,
        "h2_stream_reset",
        "The backend's program fails, and the stream is reset.",
        Http2(&[Write(SETTINGS), Stream, Write(INTERNAL_ERROR), Close]),
    ),
    row(
        Code::H2StreamReset,
        "h2_stream_reset-http_1_1_required",
        "The backend wants to be asked over HTTP/1.1.",
        Http2(&[Write(SETTINGS), Stream, Write(HTTP_1_1_REQUIRED), Close]),
    ),
    row(
        Code::H2StreamReset,
        "h2_stream_reset-tls",
        "The backend's program fails, and the stream is reset, inside TLS.",
        Setup::Tls(Cert::Good, &[Write(SETTINGS), Stream, Write(INTERNAL_ERROR), Close]),
    )
    .adjust(over_tls),
    row(
        Code::TlsIncompatible,
        "tls_incompatible-http2",
        "HTTP/2 is asked for in the handshake, and the backend has HTTP/1.1 only.",
        Setup::InPlaceOfTls(&[Step::Some, Write(NO_APPLICATION_PROTOCOL), Close]),
    )
    .adjust(over_tls),
    row(
        Code::H2StreamReset,
        "h2_stream_reset-mid",
        "The backend resets the stream in the middle of the body.",
        Http2(&[
            Write(SETTINGS),
            Stream,
            Write(OK),
            Write(PIECE),
            APART,
            Write(INTERNAL_ERROR),
            Close,
        ]),
    )
    .sees(Sees::Cut),
    row(
        Code::H2ProtocolError,
        "h2_protocol_error",
        "The backend sends a frame that HTTP/2 forbids.",
        Http2(&[Write(SETTINGS), Stream, Write(STRAY_DATA), Close]),
    ),
    row(
        Code::H2ProtocolError,
        "h2_protocol_error-length",
        "The backend declares 1000 bytes and ends the stream after two.",
        Http2(&[Write(SETTINGS), Stream, Write(OF_1000), Write(SHORT_END), Close]),
    ),
    row(
        Code::H2ProtocolError,
        "h2_protocol_error-ping",
        "The backend falls silent and does not answer a ping.",
        Http2(&[Write(SETTINGS), Stream, Stall]),
    )
    .adjust(quick_ping),
    row(
        Code::PeerIsOtherProtocol,
        "peer_is_other_protocol-http1",
        "HTTP/2 is spoken to a backend that knows HTTP/1 only.",
        Http2(&[Step::Some, Write(HTTP1), Close]),
    ),
    row(
        Code::FirstByteTimeout,
        "first_byte_timeout-http2",
        "A backend of HTTP/2 takes the request and says nothing more.",
        Http2(&[Write(SETTINGS), Stream, Stall]),
    )
    .adjust(late_ping),
    row(
        Code::ClosedBeforeResponse,
        "closed_before_response-http2",
        "A backend of HTTP/2 takes the request and closes the connection.",
        Http2(&[Write(SETTINGS), Stream, Close]),
    ),
    row(
        Code::BodyClosedShort,
        "body_closed_short-http2",
        "A backend of HTTP/2 closes the connection in the middle of the body.",
        Http2(&[Write(SETTINGS), Stream, Write(OK), Write(PIECE), APART, Close]),
    )
    .sees(Sees::Cut),
];

/// Silence is asked about long before it is one that would time the request out.
fn quick_ping(upstream: &mut Upstream) {
    upstream.timeouts.idle = Duration::from_millis(400);
}

/// The request's time is over before silence is asked about.
fn late_ping(upstream: &mut Upstream) {
    upstream.timeouts.idle = Duration::from_secs(10);
}

fn over_tls(upstream: &mut Upstream) {
    upstream.tls.http2 = true;
}
