//! The decision for upstreams of HTTP/2: what a GOAWAY, a reset or a breach of protocol amounts to,
//! and what the codes are called. Pure.

use std::time::Duration;

use strum::IntoStaticStr;

use crate::upstream::{Attempt, Http2Failure};

use super::cause::Cause;
use super::report::Certainty::{self, Certain, Likely};

/// What is wrong with what a peer sends, or does not send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum H2Fault {
    /// Frames or fields that break the rules; the code is our verdict on them.
    Frames { code: u32 },
    /// No answer to a PING.
    PingTimeout { waited: Duration },
}

/// The cause of a failure of HTTP/2 itself. Only silence is less than certain.
pub fn classify(failure: &Http2Failure, attempt: &Attempt) -> (Cause, Certainty) {
    let received_bytes = attempt.body_bytes;
    match failure {
        Http2Failure::GoAway { code, debug, last_stream, stream } => {
            let (code, last_stream, stream) = (*code, *last_stream, *stream);
            (Cause::H2Goaway { code, debug: debug.clone(), last_stream, stream }, Certain)
        }
        Http2Failure::Refused => (Cause::H2RefusedStream, Certain),
        Http2Failure::Reset { code } => {
            (Cause::H2StreamReset { code: *code, received_bytes }, Certain)
        }
        Http2Failure::Protocol { code } => {
            let fault = H2Fault::Frames { code: *code };
            (Cause::H2ProtocolError { fault, received_bytes }, Certain)
        }
        Http2Failure::PingTimedOut => {
            let fault = H2Fault::PingTimeout { waited: attempt.upstream.timeouts.idle / 2 };
            (Cause::H2ProtocolError { fault, received_bytes }, Likely)
        }
    }
}

/// The code's name in RFC 9113 section 7; our own, since the peer sends the number alone.
pub fn code_name(code: u32) -> Option<&'static str> {
    const NAMES: [&str; 14] = [
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
        "INADEQUATE_SECURITY",
        "HTTP_1_1_REQUIRED",
    ];
    NAMES.get(usize::try_from(code).ok()?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_their_names() {
        assert_eq!(code_name(0), Some("NO_ERROR"));
        assert_eq!(code_name(7), Some("REFUSED_STREAM"));
        assert_eq!(code_name(13), Some("HTTP_1_1_REQUIRED"));
        assert_eq!((code_name(14), code_name(u32::MAX)), (None, None));
    }
}
