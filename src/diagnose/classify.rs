//! THE DECISION: a failure, its flight record and what a look at the host found, to the cause.
//! Pure.
//!
//! Order inside a stage (the first that fits): a foreign protocol's bytes, what TLS said, framing,
//! close and reset, time-outs. The first failure in the order of stages has already won, in
//! `upstream`.

use std::time::{Duration, Instant};

use crate::config::{Scheme, Server, ServerAddress};
use crate::upstream::fastcgi::record::ProtocolStatus;
use crate::upstream::http1::body::{ChunkPart, TRAILERS_MAX};
use crate::upstream::{
    Attempt, BodyFailure, Failure, HeadFailure, HeaderLineFault, LengthFault, SendFailure,
    UploadFailure,
};

use super::cause::Cause;
use super::connect;
use super::dns;
use super::facts::Facts;
use super::fastcgi;
use super::faults::{FramingFault, HeaderFault, Protocol, UpgradeFault};
use super::fingerprint;
use super::http2;
use super::report::Certainty::{self, Certain, Likely};
use super::tls;

/// The news that a connection had ended needs a round trip to us, however far away the server is.
const STALE_MAX: Duration = Duration::from_secs(1);

/// The cause of a failure, and how sure it is.
pub fn classify(failure: &Failure, attempt: &Attempt, facts: &Facts) -> (Cause, Certainty) {
    if attempt.server().scheme == Scheme::FastCgi
        && let Some(decided) = fastcgi::classify(failure, attempt, facts)
    {
        return decided;
    }
    match failure {
        Failure::Resolve(failure) => dns::classify(failure, attempt),
        Failure::Connect(failure) => connect::classify(failure, attempt, facts),
        Failure::Tls(failure) => tls::classify(failure, attempt, facts),
        Failure::Send(failure) => send(failure, attempt, facts),
        Failure::Head(failure) => head(failure, attempt, facts),
        Failure::Body(failure) => body(failure, attempt),
        Failure::Upload(failure) => (uploaded(failure), Certain),
    }
}

/// What a request body that ended badly says of its client.
pub fn uploaded(failure: &UploadFailure) -> Cause {
    match failure {
        UploadFailure::TimedOut { waited } => Cause::RequestBodyTimeout { waited: *waited },
        UploadFailure::Http1(_) | UploadFailure::Http2(_) => Cause::ClientGone,
    }
}

fn send(failure: &SendFailure, attempt: &Attempt, facts: &Facts) -> (Cause, Certainty) {
    let bytes_sent = attempt.bytes_sent;
    match failure {
        SendFailure::TimedOut => {
            let waited = attempt.upstream.timeouts.send;
            (Cause::RequestWriteTimeout { waited, bytes_sent }, Likely)
        }
        SendFailure::Spool(error) => {
            (Cause::LocalStorageFailed { errno: error.raw_os_error() }, Certain)
        }
        SendFailure::Io(_) if is_stale(attempt) => stale(attempt),
        SendFailure::Io(_) if let Some(cause) = found_out(attempt, facts) => (cause, Certain),
        SendFailure::Io(error) => fastcgi::behind_http(attempt, facts).unwrap_or_else(|| {
            (Cause::RequestWriteFailed { errno: error.raw_os_error(), bytes_sent }, Certain)
        }),
    }
}

fn head(failure: &HeadFailure, attempt: &Attempt, facts: &Facts) -> (Cause, Certainty) {
    let bytes_received = attempt.bytes_received;
    let partial = !first_bytes(attempt).is_empty();
    let ended = matches!(failure, HeadFailure::Closed | HeadFailure::Io(_));
    if ended && let Some(cause) = found_out(attempt, facts) {
        return (cause, Certain);
    }
    let cause = match failure {
        HeadFailure::Foreign => return not_http(attempt),
        HeadFailure::Tls(error) => return tls::broken(error, attempt),
        HeadFailure::Http2(failure) => return http2::classify(failure, attempt),
        HeadFailure::StatusLine { offset } => {
            Cause::InvalidStatusLine { line: line(attempt), offset: *offset }
        }
        HeadFailure::Header { kind, offset } => {
            let fault = header_fault(*kind);
            Cause::InvalidHeader { fault, line: line(attempt), offset: *offset }
        }
        HeadFailure::TooLarge { limit_bytes } => {
            Cause::HeaderSectionTooLarge { limit_bytes: *limit_bytes, largest: largest(attempt) }
        }
        HeadFailure::TooManyHeaders { limit } => {
            Cause::TooManyHeaders { limit: *limit, largest: largest(attempt) }
        }
        HeadFailure::Framing(fault) => Cause::AmbiguousFraming { fault: framing_fault(*fault) },
        HeadFailure::TooManyInterim { limit } => Cause::TooManyInterimResponses { limit: *limit },
        HeadFailure::UpgradeUnasked => Cause::UpgradeFailed { fault: UpgradeFault::Unasked },
        HeadFailure::UpgradeProtocol { asked, got } => {
            let (asked, got) = (asked.clone(), got.clone());
            Cause::UpgradeFailed { fault: UpgradeFault::WrongProtocol { asked, got } }
        }
        HeadFailure::Closed if partial => Cause::ClosedMidHeaders { bytes_received, reset: false },
        HeadFailure::Io(_) if partial => Cause::ClosedMidHeaders { bytes_received, reset: true },
        HeadFailure::Closed | HeadFailure::Io(_) if is_stale(attempt) => return stale(attempt),
        HeadFailure::Closed if is_https_port(attempt.server()) => {
            return (Cause::PlainHttpToTlsPort, Likely);
        }
        HeadFailure::Closed => Cause::ClosedBeforeResponse,
        HeadFailure::Io(error) => {
            if let Some(decided) = fastcgi::behind_http(attempt, facts) {
                return decided;
            }
            Cause::ResetBeforeResponse { errno: error.raw_os_error().unwrap_or_default() }
        }
        HeadFailure::TimedOut => return (head_timeout(attempt, partial, facts), Likely),
        HeadFailure::Record(fault) => fastcgi::malformed(*fault),
        HeadFailure::Cgi(fault) => fastcgi::cgi(fault, attempt),
        HeadFailure::NoOutput { app_status } => {
            fastcgi::without_output(ProtocolStatus::Complete, *app_status, attempt)
        }
        HeadFailure::Rejected { status, app_status } => {
            fastcgi::without_output(*status, *app_status, attempt)
        }
    };
    (cause, Certain)
}

fn head_timeout(attempt: &Attempt, partial: bool, facts: &Facts) -> Cause {
    let timeouts = &attempt.upstream.timeouts;
    match partial {
        true => Cause::HeaderStallTimeout {
            waited: timeouts.idle,
            bytes_received: attempt.bytes_received,
        },
        false => Cause::FirstByteTimeout { waited: timeouts.first_byte, port: facts.port },
    }
}

/// It hung up on HTTP, and was asked what it takes in its place.
fn found_out(attempt: &Attempt, facts: &Facts) -> Option<Cause> {
    if is_stale(attempt) || !first_bytes(attempt).is_empty() {
        return None;
    }
    match facts.speaks {
        Some(Protocol::Tls) => Some(Cause::PlainHttpToTlsPort),
        Some(protocol) => Some(Cause::PeerIsOtherProtocol { protocol }),
        None => facts.expects_proxy_header.then_some(Cause::ProxyProtocolExpected),
    }
}

/// Bytes came, and they are no response in the HTTP that was spoken.
fn not_http(attempt: &Attempt) -> (Cause, Certainty) {
    let first = first_bytes(attempt);
    let server = attempt.server();
    let plain = matches!(server.scheme, Scheme::Http | Scheme::H2c);
    let cause = match fingerprint::protocol(first) {
        Some(Protocol::Tls) if plain && fingerprint::is_tls_alert(first) => {
            Cause::PlainHttpToTlsPort
        }
        // HTTP/1 is another protocol there, and so is text.
        found if attempt.speaks_http2() => {
            Cause::PeerIsOtherProtocol { protocol: found.unwrap_or(Protocol::Unknown) }
        }
        Some(Protocol::Http) => {
            let end = memchr::memchr(b'\n', first).unwrap_or(first.len()).min(200);
            Cause::InvalidStatusLine { line: first[..end].to_vec(), offset: 0 }
        }
        Some(Protocol::Html) => Cause::Http09Response { first_bytes: first.to_vec() },
        Some(protocol) => Cause::PeerIsOtherProtocol { protocol },
        None if is_text(first) => Cause::Http09Response { first_bytes: first.to_vec() },
        None => Cause::PeerIsOtherProtocol { protocol: Protocol::Unknown },
    };
    (cause, Certain)
}

fn body(failure: &BodyFailure, attempt: &Attempt) -> (Cause, Certainty) {
    let received_bytes = attempt.body_bytes;
    let cause = match failure {
        BodyFailure::ClosedShort { declared_bytes } => {
            Cause::BodyClosedShort { received_bytes, declared_bytes: *declared_bytes }
        }
        BodyFailure::ChunkedTruncated => Cause::ChunkedTruncated { received_bytes },
        BodyFailure::BadChunk { part, line } => {
            let line = line.clone();
            match part {
                ChunkPart::Chunk => Cause::BadChunk { received_bytes, line },
                ChunkPart::Trailer => Cause::InvalidTrailer { received_bytes, line },
                ChunkPart::TrailerSection => {
                    Cause::TrailerSectionTooLarge { received_bytes, limit_bytes: TRAILERS_MAX }
                }
            }
        }
        BodyFailure::Io(error) => {
            Cause::BodyReset { received_bytes, errno: error.raw_os_error().unwrap_or_default() }
        }
        BodyFailure::Tls(error) => return tls::broken(error, attempt),
        BodyFailure::Http2(failure) => return http2::classify(failure, attempt),
        BodyFailure::TimedOut => {
            let waited = attempt.upstream.timeouts.idle;
            return (Cause::BodyStallTimeout { received_bytes, waited }, Likely);
        }
        BodyFailure::Record(fault) => fastcgi::malformed(*fault),
        BodyFailure::Withdrawn => fastcgi::without_output(ProtocolStatus::Overloaded, 0, attempt),
    };
    (cause, Certain)
}

/// A reused connection that ended without a byte, and too soon for a server that had begun to work:
/// closed while it was idle, as far as can be seen.
pub fn is_stale(attempt: &Attempt) -> bool {
    attempt.reuse.is_some() && attempt.bytes_received == 0 && after_sent(attempt) <= STALE_MAX
}

/// How long the exchange lasted.
pub(super) fn after(attempt: &Attempt) -> Duration {
    since(attempt.stamps.connected.unwrap_or(attempt.stamps.started), attempt)
}

/// How long after the last byte of the request it ended; where not all of it was sent, how long it
/// lasted.
pub(super) fn after_sent(attempt: &Attempt) -> Duration {
    attempt.stamps.sent.map_or_else(|| after(attempt), |sent| since(sent, attempt))
}

fn since(from: Instant, attempt: &Attempt) -> Duration {
    attempt.stamps.ended.map_or(Duration::ZERO, |end| end.saturating_duration_since(from))
}

pub(super) fn stale(attempt: &Attempt) -> (Cause, Certainty) {
    let (idle, served) =
        attempt.reuse.map_or((Duration::ZERO, 0), |reuse| (reuse.idle, reuse.served));
    (Cause::StaleKeepalive { idle, served }, Likely)
}

fn is_https_port(server: &Server) -> bool {
    let port = match &server.address {
        ServerAddress::Ip(address) => address.port(),
        ServerAddress::Name { port, .. } => *port,
        ServerAddress::Unix(_) => 0,
    };
    server.scheme == Scheme::Http && matches!(port, 443 | 8443)
}

fn is_text(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte >= b' ' && byte != 0x7f || matches!(byte, b'\r' | b'\n' | b'\t'))
}

pub(super) fn first_bytes(attempt: &Attempt) -> &[u8] {
    attempt.remains.as_ref().map_or(&[], |remains| &remains.first_bytes)
}

fn line(attempt: &Attempt) -> Vec<u8> {
    attempt.remains.as_ref().map(|remains| remains.line.clone()).unwrap_or_default()
}

pub(super) fn largest(attempt: &Attempt) -> Vec<(String, usize)> {
    attempt.remains.as_ref().map(|remains| remains.largest.clone()).unwrap_or_default()
}

fn header_fault(kind: HeaderLineFault) -> HeaderFault {
    match kind {
        HeaderLineFault::Name => HeaderFault::Name,
        HeaderLineFault::Value => HeaderFault::Value,
        HeaderLineFault::Nul => HeaderFault::Nul,
        HeaderLineFault::BareCr => HeaderFault::BareCr,
        HeaderLineFault::ObsFold => HeaderFault::ObsFold,
        HeaderLineFault::SpaceBeforeColon => HeaderFault::SpaceBeforeColon,
        HeaderLineFault::NoColon => HeaderFault::NoColon,
    }
}

pub(super) fn framing_fault(fault: LengthFault) -> FramingFault {
    match fault {
        LengthFault::ContentLengthInvalid => FramingFault::ContentLengthInvalid,
        LengthFault::ContentLengthConflict => FramingFault::ContentLengthConflict,
        LengthFault::ContentLengthWithTransferEncoding => {
            FramingFault::ContentLengthWithTransferEncoding
        }
        LengthFault::TransferEncodingOnHttp10 => FramingFault::TransferEncodingOnHttp10,
        LengthFault::UnsupportedTransferEncoding => FramingFault::UnsupportedTransferEncoding,
    }
}
