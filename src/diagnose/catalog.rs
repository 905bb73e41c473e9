//! What each cause means: phase, blame, status, RFC 9209 error type.
//!
//! One row a [`Code`], in one exhaustive match: a new cause does not compile until it has its row.
//! The words of a cause are in `text`, its fixes in `fixes`. Pure.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::cause::{Cause, Code};
use super::faults::RequestFault;

/// The stage of an exchange in which a cause shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Phase {
    /// Reading the client's request.
    Request,
    /// Choosing what answers: routes, limits, loops, the files of a site.
    Route,
    Resolve,
    Connect,
    Tls,
    Send,
    Head,
    Body,
}

/// Whose side a cause is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Blame {
    Client,
    /// This gateway or its host.
    Gateway,
    /// The way between gateway and upstream: names, routes, firewalls.
    Network,
    Upstream,
}

/// One row of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    pub phase: Phase,
    pub blame: Blame,
    /// The status of our answer; [`Entry::timeout`] may turn a 502 into a 504.
    pub status: u16,
    /// True for the causes that RFC 9110 section 15.6.5 would answer with 504.
    pub timeout: bool,
    /// The error type of RFC 9209 section 2.3, the nearest where it has none.
    pub proxy_error: &'static str,
    /// Seconds for `Retry-After`, where waiting helps.
    pub retry_after: Option<u32>,
}

/// The row of a cause.
pub fn entry(code: Code) -> Entry {
    use Blame::{Client, Gateway, Network, Upstream};
    use Code as C;
    use Phase as P;
    match code {
        C::DnsNxdomain => bad(P::Resolve, Network, "dns_error"),
        C::DnsNoRecords => bad(P::Resolve, Network, "dns_error"),
        C::DnsServerFailure => bad(P::Resolve, Network, "dns_error").wait(10),
        C::DnsRefused => bad(P::Resolve, Network, "dns_error"),
        C::DnsAnswerUnusable => bad(P::Resolve, Network, "dns_error").wait(10),
        C::DnsTimeout => late(P::Resolve, Network, "dns_timeout").wait(10),
        C::DnsResolverUnreachable => bad(P::Resolve, Gateway, "dns_error").wait(10),
        C::DnsConfigInvalid => own(500, P::Resolve, "proxy_configuration_error"),

        C::ConnectionRefused => bad(P::Connect, Upstream, "connection_refused").wait(10),
        C::TcpRejectedByFirewall => bad(P::Connect, Network, "destination_ip_unroutable").wait(30),
        C::ConnectTimeout => late(P::Connect, Network, "connection_timeout").wait(10),
        C::HostUnreachable => bad(P::Connect, Network, "destination_ip_unroutable").wait(30),
        C::NetworkUnreachable => bad(P::Connect, Network, "destination_ip_unroutable").wait(30),
        C::ConnectForbiddenLocally => own(502, P::Connect, "proxy_internal_error"),
        C::UnixSocketMissing => bad(P::Connect, Upstream, "connection_refused").wait(10),
        C::UnixSocketPermissionDenied => own(502, P::Connect, "connection_refused"),
        C::UnixSocketRefused => bad(P::Connect, Upstream, "connection_refused").wait(10),
        C::UnixSocketBacklogFull => bad(P::Connect, Upstream, "connection_limit_reached").wait(5),
        C::ConnectFailed => bad(P::Connect, Network, "destination_unavailable").wait(10),
        C::LocalFdExhausted => own(500, P::Connect, "proxy_internal_error").wait(5),
        C::LocalPortsExhausted => own(500, P::Connect, "proxy_internal_error").wait(10),
        C::LocalStorageFailed => own(500, P::Send, "proxy_internal_error").wait(30),
        C::LocalOutOfMemory => own(500, P::Connect, "proxy_internal_error").wait(10),

        C::TlsPeerSpeaksPlaintext => bad(P::Tls, Upstream, "tls_protocol_error"),
        C::TlsCertExpired => bad(P::Tls, Upstream, "tls_certificate_error"),
        C::TlsCertNotYetValid => bad(P::Tls, Upstream, "tls_certificate_error"),
        C::TlsCertWrongHost => bad(P::Tls, Upstream, "tls_certificate_error"),
        C::TlsCertSelfSigned => bad(P::Tls, Upstream, "tls_certificate_error"),
        C::TlsCertUnknownIssuer => bad(P::Tls, Upstream, "tls_certificate_error"),
        C::TlsCertUnusable => bad(P::Tls, Upstream, "tls_certificate_error"),
        C::TlsIncompatible => bad(P::Tls, Upstream, "tls_protocol_error"),
        C::ClientCertRequired => bad(P::Tls, Upstream, "tls_alert_received"),
        C::TlsAlertReceived => bad(P::Tls, Upstream, "tls_alert_received"),
        C::TlsClosedInHandshake => bad(P::Tls, Upstream, "tls_protocol_error").wait(10),
        C::TlsHandshakeTimeout => late(P::Tls, Upstream, "connection_timeout").wait(10),
        C::TlsBrokenAfterHandshake => bad(P::Head, Upstream, "tls_protocol_error"),

        C::RequestWriteFailed => bad(P::Send, Upstream, "connection_terminated").wait(10),
        C::RequestWriteTimeout => late(P::Send, Upstream, "connection_write_timeout").wait(10),

        C::StaleKeepalive => bad(P::Head, Upstream, "connection_terminated").wait(1),
        C::ClosedBeforeResponse => bad(P::Head, Upstream, "connection_terminated").wait(10),
        C::ResetBeforeResponse => bad(P::Head, Upstream, "connection_terminated").wait(10),
        C::FirstByteTimeout => late(P::Head, Upstream, "connection_read_timeout").wait(30),
        C::ClosedMidHeaders => bad(P::Head, Upstream, "http_response_incomplete").wait(10),
        C::HeaderStallTimeout => late(P::Head, Upstream, "connection_read_timeout").wait(30),

        C::PlainHttpToTlsPort => bad(P::Head, Upstream, "http_protocol_error"),
        C::ProxyProtocolExpected => bad(P::Head, Upstream, "http_protocol_error"),
        C::PeerIsOtherProtocol => bad(P::Head, Upstream, "http_protocol_error"),
        C::Http09Response => bad(P::Head, Upstream, "http_protocol_error"),
        C::InvalidStatusLine => bad(P::Head, Upstream, "http_protocol_error"),
        C::InvalidHeader => bad(P::Head, Upstream, "http_protocol_error"),
        C::HeaderSectionTooLarge => bad(P::Head, Upstream, "http_response_header_section_size"),
        C::TooManyHeaders => bad(P::Head, Upstream, "http_response_header_section_size"),
        C::AmbiguousFraming => bad(P::Head, Upstream, "http_protocol_error"),
        C::TooManyInterimResponses => bad(P::Head, Upstream, "http_protocol_error"),
        C::UpgradeFailed => bad(P::Head, Upstream, "http_upgrade_failed"),

        C::BodyClosedShort => bad(P::Body, Upstream, "http_response_incomplete"),
        C::ChunkedTruncated => bad(P::Body, Upstream, "http_response_incomplete"),
        C::InvalidTrailer => bad(P::Body, Upstream, "http_protocol_error"),
        C::TrailerSectionTooLarge => bad(P::Body, Upstream, "http_response_trailer_section_size"),
        C::BadChunk => bad(P::Body, Upstream, "http_response_transfer_coding"),
        C::BodyReset => bad(P::Body, Upstream, "connection_terminated"),
        C::BodyStallTimeout => late(P::Body, Upstream, "connection_read_timeout"),

        C::H2Goaway => bad(P::Head, Upstream, "connection_terminated").wait(1),
        C::H2RefusedStream => bad(P::Head, Upstream, "connection_limit_reached").wait(5),
        C::H2StreamReset => bad(P::Head, Upstream, "connection_terminated"),
        C::H2ProtocolError => bad(P::Head, Upstream, "http_protocol_error"),

        C::FcgiPeerNotFastcgi => bad(P::Head, Upstream, "http_protocol_error"),
        C::FcgiMalformedRecord => bad(P::Head, Upstream, "http_protocol_error"),
        C::FcgiRejected => bad(P::Head, Upstream, "connection_limit_reached").wait(10),
        C::FcgiBadCgiHeaders => bad(P::Head, Upstream, "http_protocol_error"),
        C::FcgiNoOutput => bad(P::Head, Upstream, "http_response_incomplete"),
        C::FcgiConnectionDropped => bad(P::Head, Upstream, "connection_terminated").wait(10),
        C::FcgiWorkerDied => bad(P::Head, Upstream, "http_response_incomplete").wait(10),
        C::FcgiWorkerDiedMidResponse => bad(P::Body, Upstream, "http_response_incomplete"),
        C::FcgiTimeLimitKill => bad(P::Head, Upstream, "http_response_incomplete").wait(30),
        C::FcgiPoolSaturated => late(P::Head, Upstream, "connection_read_timeout").wait(30),
        C::HttpToFastcgiPort => bad(P::Head, Upstream, "http_protocol_error"),
        // The application says these in an answer of its own, which goes on to the client with its
        // own status. The rows hold where it said them and gave no answer that could go on.
        C::FcgiScriptNotFound | C::FcgiScriptForbidden => {
            bad(P::Head, Upstream, "http_response_incomplete")
        }
        C::PhpFatalError | C::PhpExecutionTimeout | C::PhpOutOfMemory => {
            bad(P::Head, Upstream, "http_response_incomplete")
        }
        C::HelperServicesDown => bad(P::Head, Upstream, "http_response_incomplete").wait(30),

        // The same: a page of ours in their place has their status, and says `received-status`.
        C::UpstreamErrorStatus => bad(P::Head, Upstream, "http_response_incomplete"),
        C::UpstreamGatewayError => bad(P::Head, Upstream, "destination_unavailable").wait(30),
        C::UpstreamUnavailable => {
            bad(P::Head, Upstream, "destination_unavailable").status(503).wait(60)
        }
        C::UpstreamLoop => bad(P::Head, Upstream, "proxy_loop_detected").status(508),
        C::RedirectLoop => bad(P::Head, Upstream, "proxy_loop_detected"),
        C::RequestHeaderRefused => bad(P::Head, Client, "http_request_error").status(431),

        C::FileNotFound => of_file(404, Client, "http_request_error"),
        C::FileDenied => of_file(403, Client, "http_request_denied"),
        C::FileLinkRefused => of_file(403, Gateway, "http_request_denied"),
        C::FileUnreadable => of_file(500, Gateway, "proxy_internal_error"),
        C::MethodNotAllowed => of_file(405, Client, "http_request_error"),

        C::DestinationProhibited => own(502, P::Connect, "destination_ip_prohibited"),
        C::LoopDetected => own(502, P::Route, "proxy_loop_detected"),
        C::QueueFull => bad(P::Route, Upstream, "connection_limit_reached").status(503).wait(5),
        C::NoHealthyUpstream => {
            bad(P::Route, Upstream, "destination_unavailable").status(503).wait(5)
        }
        // Meant, not broken; still it is the site that does not answer.
        C::Maintenance => bad(P::Route, Upstream, "destination_unavailable").status(503).wait(600),
        C::NoUpstreamConfigured => own(500, P::Route, "destination_not_found"),
        // Not set up yet, rather than set up wrongly.
        C::NothingConfigured => own(503, P::Route, "destination_not_found").wait(600),
        C::ProxyInternalError => own(500, P::Route, "proxy_internal_error"),

        // Nobody's failure: 499 is what logs of other gateways show, it is never sent.
        C::ClientGone => client(499, Client),
        C::RequestInvalid => client(400, Client),
        C::RequestHeaderTooLarge => client(431, Client),
        C::RequestHeaderTimeout => client(408, Client),
        C::RequestBodyTimeout => client(408, Client),
        C::TooManyClientConnections => client(429, Gateway).wait(5),
        C::RequestBodyTooLarge => client(413, Client),
    }
}

/// The row of a cause that shows now: where the end is known, that is when to come back.
pub fn entry_at(cause: &Cause, now: SystemTime) -> Entry {
    let mut entry = entry(cause.code());
    if let Cause::RequestInvalid { fault: RequestFault::Misdirected } = cause {
        // RFC 9110 section 15.5.20: the client may come again over another connection.
        entry.status = 421;
    }
    let Some(back) = cause.expected_back() else { return entry };
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    // RFC 9110 section 10.2.3: whole seconds; none would be an invitation to come at once.
    let left = Duration::from_secs(back).saturating_sub(now).as_millis().div_ceil(1000).max(1);
    entry.wait(u32::try_from(left).unwrap_or(u32::MAX))
}

/// Whether the upstream itself says it, in an answer that is whole: `Proxy-Status` then has
/// `received-status` in place of an error type, since the failure is not of our exchange.
pub fn is_received(code: Code) -> bool {
    use Code as C;
    matches!(code, C::FcgiScriptNotFound | C::FcgiScriptForbidden | C::HelperServicesDown)
        || matches!(code, C::PhpFatalError | C::PhpExecutionTimeout | C::PhpOutOfMemory)
        || matches!(code, C::UpstreamErrorStatus | C::UpstreamGatewayError)
        || matches!(code, C::UpstreamUnavailable | C::UpstreamLoop)
        || matches!(code, C::RedirectLoop | C::RequestHeaderRefused)
}

fn bad(phase: Phase, blame: Blame, proxy_error: &'static str) -> Entry {
    Entry { phase, blame, status: 502, timeout: false, proxy_error, retry_after: None }
}

fn late(phase: Phase, blame: Blame, proxy_error: &'static str) -> Entry {
    Entry { timeout: true, ..bad(phase, blame, proxy_error) }
}

fn own(status: u16, phase: Phase, proxy_error: &'static str) -> Entry {
    Entry { status, ..bad(phase, Blame::Gateway, proxy_error) }
}

/// The request was read to its end, so that its connection can go on.
fn of_file(status: u16, blame: Blame, proxy_error: &'static str) -> Entry {
    Entry { status, ..bad(Phase::Route, blame, proxy_error) }
}

fn client(status: u16, blame: Blame) -> Entry {
    Entry { status, ..bad(Phase::Request, blame, "http_request_error") }
}

impl Entry {
    fn wait(self, seconds: u32) -> Entry {
        Entry { retry_after: Some(seconds), ..self }
    }

    fn status(self, status: u16) -> Entry {
        Entry { status, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_back_in_time_finds_the_site() {
        let now = UNIX_EPOCH + Duration::from_millis(100_500);
        for (until, seconds) in
            [(None, 600), (Some(4_000), 3_900), (Some(101), 1), (Some(100), 1), (Some(0), 1)]
        {
            let entry = entry_at(&Cause::Maintenance { until, file: None }, now);
            assert_eq!((entry.status, entry.retry_after), (503, Some(seconds)), "{until:?}");
        }
        assert_eq!(entry_at(&Cause::LoopDetected { via: String::new() }, now).retry_after, None);
    }
}
