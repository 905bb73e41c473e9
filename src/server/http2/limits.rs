//! The limits of HTTP/2 towards clients, each with its reason. How many streams there are at once
//! is the operator's to say (`client.http2_streams`), and so are the times (`[client]`).
//!
//! Two limits are h2's own and cannot be set: a head is given up at its fifth CONTINUATION or what
//! the largest head needs and a quarter (CVE-2024-27316), and a connection at its hundredth empty
//! DATA frame (CVE-2019-9518); both with ENHANCE_YOUR_CALM. What h2 leaves open `tally` counts.

use h2::server::Builder;

use crate::config::Client;
use crate::server::gate::HEADER_COUNT_MAX;

/// What a client may send of one body before some of it was taken: 5 MB/s over 50 ms. HTTP's own
/// 64 KiB would make it 1.3 MB/s.
const STREAM_WINDOW: u32 = 256 * 1024;
/// And of all bodies of its connection together, so that one that waits for its upstream leaves
/// room for another. With [`crate::config::Client::connections`] this bounds what clients can have
/// held.
const CONNECTION_WINDOW: u32 = 512 * 1024;
/// The least that RFC 9113 section 6.5.2 allows: a frame is held until it is whole.
const FRAME_MAX: u32 = 16 * 1024;
/// HTTP's own value; more would save requests a few bytes and cost each connection its size.
const HEADER_TABLE: u32 = 4096;
/// RFC 9113 section 6.5.2 counts a field with so much beside its name and value.
const FIELD_OVERHEAD: usize = 32;
/// Requests that are taken back before they were begun: those of one flight. More are a rapid reset
/// (CVE-2023-44487); h2's own value.
const RESETS_UNBEGUN_MAX: usize = 20;
/// Streams that end by a fault of the client's: a sound client has none. h2's own value, 1024,
/// would have it make as many before it is sent away.
const FAULTS_MAX: usize = 100;
/// Streams that were reset here and are remembered, since more of them may be under way.
const RESET_MAX: usize = 50;
/// And for so long: a round trip or several.
const RESET_TIME: std::time::Duration = std::time::Duration::from_secs(1);
/// What of one answer h2 may hold; `hold` bounds all of them together.
const SEND_BUFFER: usize = 64 * 1024;

/// A server's side of a connection with these limits.
pub fn builder(client: &Client) -> Builder {
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(u32::try_from(client.http2_streams).unwrap_or(u32::MAX))
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME_MAX)
        .header_table_size(HEADER_TABLE)
        .max_header_list_size(header_list(client.header_section_bytes))
        .max_pending_accept_reset_streams(RESETS_UNBEGUN_MAX)
        .max_local_error_reset_streams(Some(FAULTS_MAX))
        .max_concurrent_reset_streams(RESET_MAX)
        .reset_stream_duration(RESET_TIME)
        .max_send_buffer_size(SEND_BUFFER);
    builder
}

/// What h2 takes of a head. Twice what the gate lets pass, so that a head beyond the limit gets our
/// page and a line in the log; beyond this h2 answers 431 by itself, and at four times as much it
/// ends the connection.
fn header_list(section_bytes: usize) -> u32 {
    let bytes = section_bytes.saturating_mul(2).saturating_add(HEADER_COUNT_MAX * FIELD_OVERHEAD);
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
