//! THE REASONS: what usually lies behind a cause, likeliest first, for the site's operator.
//!
//! A cause says what was seen, a reason what may have brought it about; fixes are for reasons. Ids
//! are stable: they are keys of `text` and part of the JSON. Pure.

use strum::{EnumIter, EnumString, IntoStaticStr};

use super::cause::Code;

/// The stable id of a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum ReasonId {
    OverloadTraffic,
    OverloadAttack,
    PoorOptimisation,
    NoisyNeighbour,
    PhpError,
    OutOfMemory,
    ProcessLimit,
    ServiceDown,
    WrongPort,
    PhpTimeout,
    SlowBackend,
    Dns,
    Network,
    Firewall,
    OversizedHeaders,
    ProtocolMismatch,
    InvalidResponse,
    SoftwareBug,
    Maintenance,
    Migration,
    HelperService,
    CdnOrShield,
    RecentChange,
    Quota,
    NestedGateway,
    VisitorBrowser,
    VisitorNetwork,
}

impl ReasonId {
    /// The snake_case id.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Every reason.
    pub fn all() -> impl Iterator<Item = ReasonId> {
        <ReasonId as strum::IntoEnumIterator>::iter()
    }
}

/// Cause to reasons, one row a cause.
pub fn reasons(code: Code) -> &'static [ReasonId] {
    use Code as C;
    use ReasonId::*;
    match code {
        C::DnsNxdomain | C::DnsNoRecords => &[Dns, Migration, RecentChange],
        C::DnsServerFailure | C::DnsTimeout | C::DnsAnswerUnusable => &[Dns, Network, Firewall],
        C::DnsRefused => &[Dns, Firewall, RecentChange],
        C::DnsResolverUnreachable => &[ServiceDown, Network, Firewall],
        C::DnsConfigInvalid => &[RecentChange, Dns],

        C::ConnectionRefused => {
            &[ServiceDown, WrongPort, RecentChange, OutOfMemory, Migration, Quota]
        }
        C::TcpRejectedByFirewall => &[Firewall, RecentChange, WrongPort],
        C::ConnectTimeout => &[Firewall, OverloadTraffic, Network, ServiceDown, OverloadAttack],
        C::HostUnreachable => &[ServiceDown, Network, Migration, Firewall],
        C::NetworkUnreachable => &[Network, RecentChange, Migration],
        C::ConnectForbiddenLocally => &[Firewall, RecentChange],
        C::UnixSocketMissing => &[ServiceDown, WrongPort, RecentChange],
        C::UnixSocketPermissionDenied => &[RecentChange, SoftwareBug],
        C::UnixSocketRefused => &[ServiceDown, OutOfMemory, RecentChange],
        C::UnixSocketBacklogFull => {
            &[ProcessLimit, OverloadTraffic, SlowBackend, OverloadAttack, PoorOptimisation]
        }
        C::ConnectFailed => &[Network, SoftwareBug, RecentChange],
        C::LocalFdExhausted | C::LocalPortsExhausted => {
            &[OverloadTraffic, OverloadAttack, SlowBackend]
        }
        C::LocalStorageFailed => &[OverloadTraffic, Quota, SoftwareBug],
        C::LocalOutOfMemory => &[OutOfMemory, OverloadTraffic, NoisyNeighbour],

        C::TlsPeerSpeaksPlaintext | C::ProxyProtocolExpected | C::PlainHttpToTlsPort => {
            &[ProtocolMismatch, WrongPort, RecentChange]
        }
        C::TlsCertExpired | C::TlsCertNotYetValid => &[SoftwareBug, RecentChange],
        C::TlsCertWrongHost => &[RecentChange, Migration, Dns],
        C::TlsCertSelfSigned | C::TlsCertUnknownIssuer | C::TlsCertUnusable => {
            &[RecentChange, SoftwareBug]
        }
        C::TlsIncompatible | C::TlsAlertReceived => &[ProtocolMismatch, RecentChange, SoftwareBug],
        C::ClientCertRequired => &[RecentChange, ProtocolMismatch],
        C::TlsClosedInHandshake => &[ProtocolMismatch, Firewall, SoftwareBug, CdnOrShield],
        C::TlsHandshakeTimeout => &[OverloadTraffic, ProtocolMismatch, Firewall, SlowBackend],
        C::TlsBrokenAfterHandshake => &[SoftwareBug, Network],

        C::RequestWriteFailed => &[SoftwareBug, Quota, OutOfMemory, PhpError],
        C::RequestWriteTimeout => &[OverloadTraffic, SlowBackend, Network, ProcessLimit],
        C::StaleKeepalive => &[SoftwareBug, RecentChange],
        C::ClosedBeforeResponse | C::ResetBeforeResponse => {
            &[PhpError, OutOfMemory, SoftwareBug, Quota, ProtocolMismatch, RecentChange]
        }
        C::FirstByteTimeout => &[
            SlowBackend,
            PoorOptimisation,
            OverloadTraffic,
            HelperService,
            ProcessLimit,
            OverloadAttack,
            NoisyNeighbour,
        ],
        C::ClosedMidHeaders => &[PhpError, OutOfMemory, SoftwareBug, Quota],
        C::HeaderStallTimeout => &[SlowBackend, HelperService, NoisyNeighbour],
        C::PeerIsOtherProtocol => &[WrongPort, ProtocolMismatch, RecentChange],
        C::Http09Response => &[ProtocolMismatch, InvalidResponse, WrongPort],
        C::InvalidStatusLine | C::InvalidHeader => {
            &[InvalidResponse, PhpError, RecentChange, CdnOrShield]
        }
        C::HeaderSectionTooLarge | C::TooManyHeaders => &[OversizedHeaders, PhpError, RecentChange],
        C::AmbiguousFraming | C::TooManyInterimResponses => {
            &[InvalidResponse, SoftwareBug, CdnOrShield]
        }
        C::UpgradeFailed => &[ProtocolMismatch, SoftwareBug, CdnOrShield],

        C::BodyClosedShort | C::ChunkedTruncated | C::BodyReset => {
            &[PhpError, OutOfMemory, PhpTimeout, Quota, Network]
        }
        C::InvalidTrailer | C::TrailerSectionTooLarge | C::BadChunk => {
            &[InvalidResponse, SoftwareBug]
        }
        C::BodyStallTimeout => &[SlowBackend, HelperService, Network],

        C::H2Goaway => &[RecentChange, OverloadTraffic, SoftwareBug],
        C::H2RefusedStream => &[OverloadTraffic, ProcessLimit],
        C::H2StreamReset => &[SoftwareBug, PhpError],
        C::H2ProtocolError => &[InvalidResponse, ProtocolMismatch, SoftwareBug],

        C::FcgiPeerNotFastcgi | C::HttpToFastcgiPort => {
            &[ProtocolMismatch, WrongPort, RecentChange]
        }
        C::FcgiMalformedRecord => &[InvalidResponse, SoftwareBug, ProtocolMismatch],
        C::FcgiRejected => &[ProcessLimit, OverloadTraffic, ProtocolMismatch],
        C::FcgiBadCgiHeaders => &[PhpError, InvalidResponse, RecentChange],
        C::FcgiNoOutput => &[PhpError, SoftwareBug, RecentChange],
        C::FcgiScriptNotFound => &[RecentChange, Migration],
        C::FcgiScriptForbidden => &[RecentChange, OverloadAttack],
        C::FcgiConnectionDropped => &[RecentChange, ProtocolMismatch, WrongPort],
        C::FcgiWorkerDied | C::FcgiWorkerDiedMidResponse => {
            &[PhpError, OutOfMemory, PhpTimeout, SoftwareBug, Quota]
        }
        C::FcgiTimeLimitKill => &[PhpTimeout, SlowBackend, HelperService],
        C::FcgiPoolSaturated => {
            &[ProcessLimit, OverloadTraffic, SlowBackend, OverloadAttack, PoorOptimisation]
        }
        C::PhpFatalError => &[PhpError, RecentChange, SoftwareBug],
        C::PhpExecutionTimeout => &[PhpTimeout, SlowBackend, PoorOptimisation],
        C::PhpOutOfMemory => &[OutOfMemory, PhpError, PoorOptimisation],
        C::HelperServicesDown => &[HelperService, OutOfMemory, RecentChange],

        C::UpstreamErrorStatus => &[PhpError, RecentChange, SoftwareBug],
        C::UpstreamGatewayError => &[NestedGateway, CdnOrShield, ServiceDown, SlowBackend],
        C::UpstreamUnavailable => &[Maintenance, OverloadTraffic, ProcessLimit, Quota],
        C::UpstreamLoop => &[RecentChange, CdnOrShield, Dns],
        C::RedirectLoop => &[RecentChange, CdnOrShield, PhpError],
        C::RequestHeaderRefused => &[VisitorBrowser, PhpError],

        C::FileNotFound => &[RecentChange, Migration, OverloadAttack],
        C::FileDenied => &[OverloadAttack, RecentChange],
        C::FileLinkRefused | C::FileUnreadable => &[RecentChange, Migration],
        C::MethodNotAllowed => &[OverloadAttack, PhpError],

        C::DestinationProhibited => &[Dns, RecentChange],
        C::LoopDetected => &[RecentChange, Dns, CdnOrShield],
        C::QueueFull => {
            &[OverloadTraffic, SlowBackend, ProcessLimit, OverloadAttack, NoisyNeighbour]
        }
        C::NoHealthyUpstream => &[ServiceDown, RecentChange, Network, OutOfMemory],
        C::Maintenance => &[Maintenance],
        C::NoUpstreamConfigured => &[Migration, Dns, RecentChange, VisitorNetwork],
        C::NothingConfigured => &[RecentChange, Migration],
        C::ProxyInternalError => &[SoftwareBug],

        C::ClientGone => &[SlowBackend, VisitorNetwork],
        C::RequestInvalid => &[VisitorBrowser, OverloadAttack, VisitorNetwork],
        C::RequestHeaderTooLarge => &[VisitorBrowser, PhpError],
        C::RequestHeaderTimeout | C::RequestBodyTimeout => &[VisitorNetwork, OverloadAttack],
        C::TooManyClientConnections => &[OverloadAttack, OverloadTraffic],
        C::RequestBodyTooLarge => &[RecentChange, OverloadAttack],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_reasons_and_every_reason_a_cause() {
        for code in Code::all() {
            let listed = reasons(code);
            assert!(!listed.is_empty(), "{}", code.name());
            let twice = listed.iter().any(|id| listed.iter().filter(|one| *one == id).count() > 1);
            assert!(!twice, "{}", code.name());
        }
        for id in ReasonId::all() {
            assert!(Code::all().any(|code| reasons(code).contains(&id)), "{}", id.name());
        }
    }
}
