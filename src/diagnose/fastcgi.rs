//! THE DECISION for FastCGI upstreams: PHP-FPM says little on the wire, so an end without an answer
//! is read from FIN against RST, from the time it took, and from what a look at the host found.
//! Pure.
//!
//! Measured with PHP-FPM 8.2: a worker that dies resets the connection, since the end of STDIN lies
//! unread in its buffer; `listen.allowed_clients` and bytes that are no FastCGI end it within a
//! millisecond; a time limit strikes between T and 4/3 T, when the master next looks at its
//! workers.

use std::io;
use std::time::Duration;

use crate::config::ServerAddress;
use crate::upstream::fastcgi::cgi_head::CgiHeadFault;
use crate::upstream::fastcgi::record::{self, ProtocolStatus};
use crate::upstream::{Attempt, BodyFailure, Failure, HeadFailure, SendFailure};

use super::cause::Cause;
use super::classify::{self, after, after_sent, is_stale};
use super::facts::{Facts, Probed};
use super::faults::{CgiFault, Protocol, RecordFault, RejectReason};
use super::fingerprint;
use super::report::Certainty::{self, Certain, Likely};

/// Dropped connections end within a millisecond; the quickest script that kills its worker needs
/// two.
const DROP_MAX: Duration = Duration::from_micros(1500);
/// On a busy host; longer than that it was somebody at work, whatever a probe meets now.
const SLOW_DROP_MAX: Duration = Duration::from_millis(100);
/// The end of a connection that died while it was idle is there before the request is, or a moment
/// later.
const IDLE_END_MAX: Duration = Duration::from_millis(5);
/// Below this, workers that die after the same time say nothing of a limit.
const TIME_LIMIT_MIN: Duration = Duration::from_secs(1);

/// The cause of a failure of a FastCGI upstream; `None` where it is the same as in HTTP.
pub(super) fn classify(
    failure: &Failure,
    attempt: &Attempt,
    facts: &Facts,
) -> Option<(Cause, Certainty)> {
    match failure {
        Failure::Send(SendFailure::Io(error)) => Some(ended(is_reset(error), attempt, facts)),
        Failure::Head(failure) => head(failure, attempt, facts),
        Failure::Body(failure) => body(failure, attempt),
        Failure::Send(SendFailure::TimedOut | SendFailure::Spool(_))
        | Failure::Resolve(_)
        | Failure::Connect(_)
        | Failure::Tls(_)
        | Failure::Upload(_) => None,
    }
}

/// Before the head of the response was whole.
fn head(failure: &HeadFailure, attempt: &Attempt, facts: &Facts) -> Option<(Cause, Certainty)> {
    let cause = match failure {
        HeadFailure::Foreign => {
            let first_bytes = classify::first_bytes(attempt).to_vec();
            let protocol = fingerprint::protocol(&first_bytes).unwrap_or(Protocol::Unknown);
            Cause::FcgiPeerNotFastcgi { protocol, first_bytes }
        }
        HeadFailure::Closed => return Some(ended(false, attempt, facts)),
        HeadFailure::Io(error) => return Some(ended(is_reset(error), attempt, facts)),
        HeadFailure::TimedOut => return saturated(attempt, facts),
        // Whoever said so spoke FastCGI: decided with the rest.
        HeadFailure::Record(_)
        | HeadFailure::Cgi(_)
        | HeadFailure::NoOutput { .. }
        | HeadFailure::Rejected { .. }
        | HeadFailure::StatusLine { .. }
        | HeadFailure::Header { .. }
        | HeadFailure::TooLarge { .. }
        | HeadFailure::TooManyHeaders { .. }
        | HeadFailure::Framing(_)
        | HeadFailure::TooManyInterim { .. }
        | HeadFailure::UpgradeUnasked
        | HeadFailure::UpgradeProtocol { .. }
        | HeadFailure::Http2(_)
        | HeadFailure::Tls(_) => return None,
    };
    Some((cause, Certain))
}

fn body(failure: &BodyFailure, attempt: &Attempt) -> Option<(Cause, Certainty)> {
    let died = |reset| {
        let (after, received_bytes) = (after(attempt), attempt.body_bytes);
        let stderr = stderr(attempt);
        Cause::FcgiWorkerDiedMidResponse { reset, after, received_bytes, stderr }
    };
    let cause = match failure {
        BodyFailure::ClosedShort { declared_bytes: None } => died(false),
        BodyFailure::Io(error) => died(is_reset(error)),
        BodyFailure::Record(_)
        | BodyFailure::Withdrawn
        | BodyFailure::ClosedShort { declared_bytes: Some(_) }
        | BodyFailure::ChunkedTruncated
        | BodyFailure::BadChunk { .. }
        | BodyFailure::Tls(_)
        | BodyFailure::Http2(_)
        | BodyFailure::TimedOut => return None,
    };
    Some((cause, Certain))
}

/// HTTP was spoken, and the answer was what a FastCGI server gives to it: a reset at once.
pub(super) fn behind_http(attempt: &Attempt, facts: &Facts) -> Option<(Cause, Certainty)> {
    let soon = after_sent(attempt) <= SLOW_DROP_MAX && !facts.has_answered;
    let certainty = match facts.fastcgi {
        Some(Probed::Answers) => Certain,
        _ if soon && looks_like_fastcgi(&attempt.server().address) => Likely,
        _ => return None,
    };
    Some((Cause::HttpToFastcgiPort { reset: true, after: after(attempt) }, certainty))
}

/// The names and numbers under which PHP-FPM is found.
pub fn looks_like_fastcgi(address: &ServerAddress) -> bool {
    match address {
        ServerAddress::Ip(address) => (9000..=9999).contains(&address.port()),
        ServerAddress::Name { port, .. } => (9000..=9999).contains(port),
        ServerAddress::Unix(path) => {
            let path = path.to_string_lossy();
            ["fpm", "php", "fcgi", "fastcgi"].iter().any(|name| path.contains(name))
        }
    }
}

/// The connection ended without END_REQUEST, before the head was whole.
fn ended(reset: bool, attempt: &Attempt, facts: &Facts) -> (Cause, Certainty) {
    let (after, after_sent) = (after(attempt), after_sent(attempt));
    if is_stale(attempt) && after_sent <= IDLE_END_MAX {
        return classify::stale(attempt);
    }
    let died = Cause::FcgiWorkerDied { reset, after, stderr: stderr(attempt) };
    if attempt.bytes_received > 0 {
        return (died, Certain);
    }
    if after >= TIME_LIMIT_MIN
        && let Some(before) = facts.previous_death.filter(|before| is_same_limit(*before, after))
    {
        return (Cause::FcgiTimeLimitKill { after, before }, Likely);
    }
    let dropped = Cause::FcgiConnectionDropped { reset, after };
    let at_once = after_sent <= DROP_MAX + round_trip(attempt) * 3;
    match facts.fastcgi {
        Some(Probed::Drops) if at_once || after_sent <= SLOW_DROP_MAX => (dropped, Certain),
        Some(Probed::Answers) if reset || !at_once => (died, Likely),
        // It ended with our request in its hands or in its queue: stopped, or killed as a whole.
        Some(Probed::Gone) => (died, Likely),
        // A living worker that has read all says END_REQUEST before it closes; what ends at once is
        // a door that was shut.
        _ if !at_once && (reset || after >= TIME_LIMIT_MIN) => (died, Likely),
        _ => (dropped, Likely),
    }
}

/// What connecting over a network took; a few of these are how long the news of an end may be on
/// its way. On this host it is none, and what connecting took tells of a busy processor.
fn round_trip(attempt: &Attempt) -> Duration {
    let stamps = &attempt.stamps;
    let began = stamps.resolved.unwrap_or(stamps.started);
    match (attempt.address, stamps.connected) {
        (Some(address), Some(end)) if !address.ip().is_loopback() => {
            end.saturating_duration_since(began)
        }
        _ => Duration::ZERO,
    }
}

/// PHP-FPM's master looks at its workers every third of the limit, so two kills by one limit differ
/// by less than that.
fn is_same_limit(before: Duration, after: Duration) -> bool {
    let (short, long) = (before.min(after), before.max(after));
    long * 3 <= short * 4 + Duration::from_millis(300)
}

/// Nothing came: the request waits in the listener's queue, or a worker is at it.
fn saturated(attempt: &Attempt, facts: &Facts) -> Option<(Cause, Certainty)> {
    let queue = facts.queue.filter(|queue| queue.pending > 0)?;
    let waited = attempt.upstream.timeouts.first_byte;
    let (pending, backlog) = (queue.pending, queue.backlog);
    let in_flight = facts.in_flight;
    Some((Cause::FcgiPoolSaturated { waited, pending, backlog, in_flight }, Certain))
}

/// Output whose beginning is no head that can go on.
pub(super) fn cgi(fault: &CgiHeadFault, attempt: &Attempt) -> Cause {
    let (fault, line) = match fault {
        CgiHeadFault::TooLarge { limit_bytes } => {
            let (limit_bytes, largest) = (*limit_bytes, classify::largest(attempt));
            return Cause::HeaderSectionTooLarge { limit_bytes, largest };
        }
        CgiHeadFault::TooManyHeaders { limit } => {
            return Cause::TooManyHeaders { limit: *limit, largest: classify::largest(attempt) };
        }
        CgiHeadFault::Length { fault, .. } => {
            return Cause::AmbiguousFraming { fault: classify::framing_fault(*fault) };
        }
        CgiHeadFault::NoHead { line } => (CgiFault::NoHeaders, line.clone()),
        CgiHeadFault::Header { line, .. } => (CgiFault::Header, line.clone()),
        CgiHeadFault::Status { line } => (CgiFault::Status, line.clone()),
        CgiHeadFault::Unfinished => (CgiFault::Unfinished, Vec::new()),
    };
    Cause::FcgiBadCgiHeaders { fault, line, stderr: stderr(attempt) }
}

/// Bytes that are no answer in FastCGI.
pub(super) fn malformed(fault: record::RecordFault) -> Cause {
    let fault = match fault {
        record::RecordFault::Version { .. } => RecordFault::Version,
        record::RecordFault::RequestId { .. } => RecordFault::RequestId,
        record::RecordFault::Type { .. } => RecordFault::Type,
        record::RecordFault::EndLength { .. } => RecordFault::EndLength,
        record::RecordFault::ProtocolStatus { .. } => RecordFault::ProtocolStatus,
        record::RecordFault::Idle { .. } => RecordFault::Idle,
    };
    Cause::FcgiMalformedRecord { fault }
}

/// A request that ended before any output, with the status that its end carried.
pub(super) fn without_output(status: ProtocolStatus, app_status: u32, attempt: &Attempt) -> Cause {
    let reason = match status {
        ProtocolStatus::Complete => {
            return Cause::FcgiNoOutput { app_status, stderr: stderr(attempt) };
        }
        ProtocolStatus::CannotMultiplex => RejectReason::CannotMultiplex,
        ProtocolStatus::UnknownRole => RejectReason::UnknownRole,
        ProtocolStatus::Overloaded => RejectReason::Overloaded,
    };
    Cause::FcgiRejected { reason, app_status }
}

fn is_reset(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionReset
}

/// What the program wrote to STDERR, the first of it.
pub fn stderr(attempt: &Attempt) -> String {
    let said = attempt.stderr.as_ref().map_or(&b""[..], |stderr| stderr.first());
    String::from_utf8_lossy(said).into_owned()
}
