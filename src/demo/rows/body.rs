//! Rows of the response's body: each before its first byte, when a page can still be sent, and in
//! the middle (`-mid`), when the client is left with a cut.

use crate::demo::scenario::{Cert, Scenario, Sees, Setup, Step, row};
use crate::diagnose::Code;

use super::APART;

use Setup::{Tcp, Tls};
use Step::{Cut, Head, Raw, Repeat, Reset, Stall, Write};

const OF_1000: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\n";
const CHUNKED: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n";
const UNTIL_CLOSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n";
const PIECE: &[u8] = b"The first line of the body, and the last that comes.\n";
const CHUNK: &[u8] = b"10\r\nThe first chunk\n\r\n";

pub(super) const ROWS: &[Scenario] = &[
    row(
        Code::BodyClosedShort,
        "body_closed_short",
        "The backend declares 1000 bytes and closes before the first.",
        Tcp(&[Head, Write(OF_1000)]),
    ),
    row(
        Code::BodyClosedShort,
        "body_closed_short-mid",
        "The backend declares 1000 bytes, sends some, and closes.",
        Tcp(&[Head, Write(OF_1000), Write(PIECE), APART]),
    )
    .sees(Sees::Cut),
    row(
        Code::BodyClosedShort,
        "body_closed_short-tls",
        "The end of the body is the end of the TLS connection, which ends without notice.",
        Tls(Cert::Good, &[Head, Write(UNTIL_CLOSE), Cut]),
    ),
    row(
        Code::BodyClosedShort,
        "body_closed_short-tls_mid",
        "The body began, and the TLS connection that it ends with ends without notice.",
        Tls(Cert::Good, &[Head, Write(UNTIL_CLOSE), Write(PIECE), APART, Cut]),
    )
    .sees(Sees::Cut),
    row(
        Code::ChunkedTruncated,
        "chunked_truncated",
        "The backend announces chunks and closes before the first.",
        Tcp(&[Head, Write(CHUNKED)]),
    ),
    row(
        Code::ChunkedTruncated,
        "chunked_truncated-mid",
        "The backend sends one chunk and closes without the last.",
        Tcp(&[Head, Write(CHUNKED), Write(CHUNK), APART]),
    )
    .sees(Sees::Cut),
    row(
        Code::BadChunk,
        "bad_chunk",
        "The first chunk's size is no number.",
        Tcp(&[Head, Write(CHUNKED), Write(b"PHP Warning: hello\r\n")]),
    ),
    row(
        Code::BadChunk,
        "bad_chunk-overflow",
        "The first chunk's size does not fit into 64 bits.",
        Tcp(&[Head, Write(CHUNKED), Write(b"fffffffffffffffff\r\n")]),
    ),
    row(
        Code::BadChunk,
        "bad_chunk-mid",
        "The second chunk's size is no number.",
        Tcp(&[Head, Write(CHUNKED), Write(CHUNK), APART, Write(b"PHP Warning: hello\r\n")]),
    )
    .sees(Sees::Cut),
    row(
        Code::InvalidTrailer,
        "invalid_trailer",
        "Behind the last chunk stands a line without a colon.",
        Tcp(&[Head, Write(CHUNKED), Write(b"0\r\nPHP Warning\r\n\r\n")]),
    ),
    row(
        Code::TrailerSectionTooLarge,
        "trailer_section_too_large",
        "Behind the last chunk comes a field of 20 kB.",
        Tcp(&[
            Head,
            Write(CHUNKED),
            Write(b"0\r\nX-Sum: "),
            Repeat(b"0123456789", 2000),
            Write(b"\r\n\r\n"),
        ]),
    ),
    row(
        Code::BodyReset,
        "body_reset",
        "The backend resets the connection before the first byte of the body.",
        Tcp(&[Head, Write(OF_1000), APART, Reset]),
    ),
    row(
        Code::BodyReset,
        "body_reset-mid",
        "The backend resets the connection in the middle of the body.",
        Tcp(&[Head, Write(OF_1000), Write(PIECE), APART, Reset]),
    )
    .sees(Sees::Cut),
    row(
        Code::BodyStallTimeout,
        "body_stall_timeout",
        "The backend sends the head and then nothing of the body.",
        Tcp(&[Head, Write(OF_1000), Stall]),
    ),
    row(
        Code::BodyStallTimeout,
        "body_stall_timeout-mid",
        "The backend falls silent in the middle of the body.",
        Tcp(&[Head, Write(OF_1000), Write(PIECE), Stall]),
    )
    .sees(Sees::Cut),
    row(
        Code::TlsBrokenAfterHandshake,
        "tls_broken_after_handshake-mid",
        "A record in the middle of the body cannot be deciphered.",
        Tls(Cert::Good, &[Head, Write(OF_1000), Write(PIECE), APART, Raw(b"not a TLS record")]),
    )
    .sees(Sees::Cut),
];
