//! THE FIXES: a cause to the fixes that match it, the one that helps first in front.
//!
//! Ids are stable: they are keys of `text` and part of the JSON. This is the order where nothing
//! but the cause is known; `matching` ranks by what else is. Pure.

use strum::{EnumIter, EnumString, IntoStaticStr};

use super::cause::Code;

/// The stable id of a fix.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, EnumIter, EnumString, IntoStaticStr,
)]
#[strum(serialize_all = "snake_case")]
pub enum FixId {
    // For a visitor.
    Reload,
    SiteStatus,
    OtherSite,
    CheckConnection,
    NewSession,
    OtherBrowser,
    PrivateMode,
    ClearCache,
    ClearCookies,
    UpdateBrowser,
    OtherDevice,
    RestartNetwork,
    FlushDns,
    ChangeDns,
    CheckProxyVpn,
    CachedCopy,
    ContactSite,
    ContactIsp,
    // Ours, for what the documents do not speak of.
    CheckAddress,
    UseHttps,
    SmallerUpload,
    ComeBack,

    // For the site's operator.
    BackendStatus,
    StartBackend,
    MatchPort,
    CheckDns,
    CheckConnectivity,
    CheckFirewall,
    RaiseHeaderLimit,
    RestartProxy,
    FpmCapacity,
    FpmTimeouts,
    CheckMemory,
    FreeDisk,
    CheckLogs,
    WpDebug,
    PluginsOff,
    UpdateSoftware,
    HelperServices,
    BypassCdn,
    MoreResources,
    LimitTraffic,
    RollBack,
    DebugCode,
    SlowQueries,
    ContactHost,
    AskExpert,
    Seo,
    Monitor,
    ProtocolAgree,

    // Ours, beyond the documents: causes that they do not know need fixes of their own.
    RenewCertificate,
    MatchCertificateName,
    TrustCertificate,
    CheckClock,
    TlsVersions,
    WaiveClientCertificate,
    DropProxyProtocol,
    SocketPermissions,
    SocketPath,
    AllowConnect,
    KeepaliveTimeouts,
    RaiseTimeouts,
    RaiseConnectionLimit,
    RaiseFdLimit,
    AddRoute,
    AddHost,
    AddUpstream,
    BreakLoop,
    FixFraming,
    FixUpgrade,
    CheckTruncation,
    ReportBug,
    FixRequest,
    ScriptPath,
    FilePermissions,
    RunnableExtensions,
    AllowedClients,
    HeadersFirst,
    FindCrash,
    MemoryLimit,
    FilePath,
    DenyRules,
    SiteLinks,
    RaiseBodyLimit,
    EndMaintenance,
    ForwardedProto,
    ShrinkCookies,

    // Those that follow from a root, and from no cause alone.
    WaitForStart,
    ClearStartLimit,
    UnmaskService,
    EnableService,
    InstallService,
    MendConfiguration,
    FreeAddress,
    RaiseUnitLimits,
    DirectoryAccess,
    ResumeWorkers,
    FreeSessionLock,
    StartHelper,
    HelperCapacity,
    BlockClient,
    CheckStorage,
    StartHost,
    RestoreLink,
    FreePorts,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Audience {
    Visitor,
    Operator,
}

impl FixId {
    /// The snake_case id.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Every fix.
    pub fn all() -> impl Iterator<Item = FixId> {
        <FixId as strum::IntoEnumIterator>::iter()
    }

    /// Whether it is for a root, and for no cause of which nothing more is known.
    pub fn is_of_a_root(self) -> bool {
        self >= FixId::WaitForStart
    }

    /// Whom it is for.
    pub fn audience(self) -> Audience {
        if self <= FixId::ComeBack { Audience::Visitor } else { Audience::Operator }
    }
}

/// The ids of the fixes for a cause, visitors' first, each group in the table's order.
pub fn fix_ids(code: Code) -> impl Iterator<Item = FixId> {
    let (visitor, operator) = table(code);
    visitor.iter().chain(operator).copied()
}

/// The failure will pass or be mended by the site: nothing on the visitor's side helps.
const WAIT: &[FixId] =
    &[FixId::Reload, FixId::SiteStatus, FixId::ComeBack, FixId::CachedCopy, FixId::ContactSite];
/// The site answers wrongly, for everyone and until it is mended.
const TELL: &[FixId] = &[FixId::ContactSite, FixId::Reload, FixId::ComeBack, FixId::CachedCopy];
/// Too busy: coming back later is what helps.
const LATER: &[FixId] = &[FixId::ComeBack, FixId::Reload, FixId::SiteStatus, FixId::CachedCopy];
/// Something this visitor sends, or the way from him to us.
const OWN_SIDE: &[FixId] = &[
    FixId::Reload,
    FixId::ClearCookies,
    FixId::PrivateMode,
    FixId::OtherBrowser,
    FixId::NewSession,
    FixId::ClearCache,
    FixId::UpdateBrowser,
    FixId::CheckProxyVpn,
    FixId::UseHttps,
    FixId::ContactSite,
];
/// The visitor's connection is slow or breaks.
const OWN_NETWORK: &[FixId] = &[
    FixId::Reload,
    FixId::CheckConnection,
    FixId::OtherSite,
    FixId::OtherDevice,
    FixId::RestartNetwork,
    FixId::CheckProxyVpn,
    FixId::ContactIsp,
];

/// The path leads to nothing that is given out.
const OTHER_PATH: &[FixId] = &[FixId::CheckAddress, FixId::ContactSite, FixId::CachedCopy];

/// Cause to fixes: visitors', operators'. One row a cause, the most helpful first.
pub fn table(code: Code) -> (&'static [FixId], &'static [FixId]) {
    use Code as C;
    use FixId::*;
    match code {
        C::DnsNxdomain | C::DnsNoRecords => {
            (WAIT, &[CheckDns, MatchPort, RollBack, RestartProxy, ContactHost, Monitor])
        }
        C::DnsServerFailure | C::DnsTimeout | C::DnsAnswerUnusable => {
            (WAIT, &[CheckDns, CheckConnectivity, CheckFirewall, ContactHost, Monitor])
        }
        C::DnsRefused | C::DnsConfigInvalid => (TELL, &[CheckDns, CheckConnectivity, ContactHost]),
        C::DnsResolverUnreachable => {
            (WAIT, &[CheckDns, CheckConnectivity, CheckFirewall, RestartProxy, ContactHost])
        }
        C::ConnectionRefused => (
            WAIT,
            &[
                BackendStatus,
                StartBackend,
                MatchPort,
                CheckLogs,
                CheckMemory,
                CheckFirewall,
                RollBack,
                Seo,
                Monitor,
            ],
        ),
        C::TcpRejectedByFirewall => {
            (WAIT, &[CheckFirewall, MatchPort, CheckConnectivity, RollBack, ContactHost, Monitor])
        }
        C::ConnectTimeout => (
            WAIT,
            &[
                CheckFirewall,
                CheckConnectivity,
                BackendStatus,
                CheckDns,
                FpmCapacity,
                MoreResources,
                ContactHost,
                Monitor,
            ],
        ),
        C::HostUnreachable => {
            (WAIT, &[CheckConnectivity, BackendStatus, CheckDns, CheckFirewall, ContactHost])
        }
        C::NetworkUnreachable => {
            (WAIT, &[AddRoute, CheckConnectivity, CheckDns, CheckFirewall, ContactHost])
        }
        C::ConnectForbiddenLocally => (TELL, &[AllowConnect, CheckLogs, CheckFirewall]),
        C::UnixSocketMissing => {
            (WAIT, &[BackendStatus, StartBackend, SocketPath, CheckLogs, RollBack, Monitor])
        }
        C::UnixSocketPermissionDenied => (TELL, &[SocketPermissions, SocketPath, RestartProxy]),
        C::UnixSocketRefused => {
            (WAIT, &[BackendStatus, StartBackend, SocketPath, CheckLogs, CheckMemory])
        }
        C::UnixSocketBacklogFull => {
            (LATER, &[CheckMemory, FpmCapacity, SlowQueries, LimitTraffic, MoreResources, Monitor])
        }
        C::ConnectFailed => (WAIT, &[CheckLogs, CheckConnectivity, MatchPort, AskExpert]),
        C::LocalFdExhausted => (LATER, &[RaiseFdLimit, LimitTraffic, RestartProxy, Monitor]),
        C::LocalPortsExhausted => {
            (LATER, &[KeepaliveTimeouts, LimitTraffic, CheckConnectivity, Monitor])
        }
        C::LocalStorageFailed => (LATER, &[FreeDisk, CheckLogs, MoreResources, Monitor]),
        C::LocalOutOfMemory => (LATER, &[CheckMemory, MoreResources, CheckLogs, Monitor]),

        C::TlsPeerSpeaksPlaintext => (TELL, &[ProtocolAgree, MatchPort, RollBack]),
        C::TlsCertExpired => (TELL, &[RenewCertificate, CheckClock, Monitor]),
        C::TlsCertNotYetValid => (TELL, &[CheckClock, RenewCertificate]),
        C::TlsCertWrongHost => (TELL, &[MatchCertificateName, CheckDns, RenewCertificate]),
        C::TlsCertSelfSigned => (TELL, &[TrustCertificate, RenewCertificate]),
        C::TlsCertUnknownIssuer => (TELL, &[TrustCertificate, RenewCertificate, UpdateSoftware]),
        C::TlsCertUnusable => (TELL, &[RenewCertificate, TrustCertificate, AskExpert]),
        C::TlsIncompatible => (TELL, &[TlsVersions, UpdateSoftware, ProtocolAgree]),
        C::ClientCertRequired => (TELL, &[WaiveClientCertificate, CheckLogs, MatchPort, RollBack]),
        C::TlsAlertReceived => {
            (TELL, &[TlsVersions, MatchCertificateName, CheckLogs, ProtocolAgree])
        }
        C::TlsClosedInHandshake => {
            (WAIT, &[ProtocolAgree, CheckLogs, BackendStatus, CheckFirewall, MatchCertificateName])
        }
        C::TlsHandshakeTimeout => {
            (WAIT, &[BackendStatus, ProtocolAgree, CheckMemory, MoreResources, CheckLogs])
        }
        C::TlsBrokenAfterHandshake => {
            (TELL, &[CheckLogs, UpdateSoftware, ProtocolAgree, AskExpert])
        }

        C::RequestWriteFailed => {
            (WAIT, &[CheckLogs, BackendStatus, RaiseTimeouts, CheckMemory, FpmTimeouts])
        }
        C::RequestWriteTimeout => (
            WAIT,
            &[BackendStatus, CheckMemory, RaiseTimeouts, FpmCapacity, CheckConnectivity, CheckLogs],
        ),
        C::StaleKeepalive => {
            (&[Reload, ContactSite], &[KeepaliveTimeouts, CheckLogs, BackendStatus])
        }
        C::ClosedBeforeResponse | C::ResetBeforeResponse => (
            WAIT,
            &[
                CheckLogs,
                BackendStatus,
                CheckMemory,
                PluginsOff,
                FpmTimeouts,
                ProtocolAgree,
                UpdateSoftware,
                RollBack,
                WpDebug,
                DebugCode,
            ],
        ),
        C::FirstByteTimeout => (
            LATER,
            &[
                SlowQueries,
                CheckMemory,
                FpmCapacity,
                FpmTimeouts,
                HelperServices,
                CheckLogs,
                PluginsOff,
                LimitTraffic,
                RaiseTimeouts,
                MoreResources,
                Monitor,
            ],
        ),
        C::ClosedMidHeaders => {
            (WAIT, &[CheckLogs, CheckMemory, BackendStatus, PluginsOff, UpdateSoftware, DebugCode])
        }
        C::HeaderStallTimeout => {
            (LATER, &[CheckLogs, SlowQueries, CheckMemory, HelperServices, RaiseTimeouts])
        }
        C::PlainHttpToTlsPort => (TELL, &[ProtocolAgree, MatchPort, RollBack]),
        C::ProxyProtocolExpected => (TELL, &[DropProxyProtocol, MatchPort, CheckLogs, RollBack]),
        C::PeerIsOtherProtocol => (TELL, &[MatchPort, ProtocolAgree, BackendStatus, RollBack]),
        C::Http09Response => (TELL, &[ProtocolAgree, CheckLogs, MatchPort, DebugCode]),
        C::InvalidStatusLine | C::InvalidHeader => {
            (TELL, &[DebugCode, CheckLogs, PluginsOff, UpdateSoftware, RollBack, BypassCdn])
        }
        C::HeaderSectionTooLarge | C::TooManyHeaders => (
            &[ClearCookies, PrivateMode, OtherBrowser, Reload, ContactSite],
            &[RaiseHeaderLimit, PluginsOff, DebugCode, RollBack],
        ),
        C::AmbiguousFraming => {
            (TELL, &[FixFraming, UpdateSoftware, PluginsOff, BypassCdn, DebugCode])
        }
        C::TooManyInterimResponses => (TELL, &[DebugCode, UpdateSoftware, RollBack]),
        C::UpgradeFailed => (TELL, &[FixUpgrade, ProtocolAgree, CheckLogs]),

        C::BodyClosedShort | C::ChunkedTruncated | C::BodyReset => (
            WAIT,
            &[CheckTruncation, CheckLogs, CheckMemory, FpmTimeouts, BackendStatus, DebugCode],
        ),
        C::TrailerSectionTooLarge => (TELL, &[FixFraming, DebugCode, UpdateSoftware]),
        C::InvalidTrailer | C::BadChunk => {
            (TELL, &[FixFraming, CheckLogs, UpdateSoftware, DebugCode])
        }
        C::BodyStallTimeout => {
            (LATER, &[SlowQueries, CheckLogs, HelperServices, RaiseTimeouts, CheckMemory])
        }

        C::H2Goaway => {
            (&[Reload, ContactSite], &[CheckLogs, BackendStatus, KeepaliveTimeouts, LimitTraffic])
        }
        C::H2RefusedStream => (WAIT, &[BackendStatus, MoreResources, LimitTraffic, CheckLogs]),
        C::H2StreamReset => (TELL, &[CheckLogs, DebugCode, ProtocolAgree, UpdateSoftware]),
        C::H2ProtocolError => (TELL, &[ProtocolAgree, UpdateSoftware, CheckLogs, BackendStatus]),

        C::FcgiPeerNotFastcgi => (TELL, &[ProtocolAgree, MatchPort, BackendStatus, RollBack]),
        C::FcgiMalformedRecord => {
            (TELL, &[CheckLogs, UpdateSoftware, ProtocolAgree, BackendStatus, ReportBug])
        }
        C::FcgiRejected => {
            (WAIT, &[CheckLogs, BackendStatus, MoreResources, LimitTraffic, ProtocolAgree])
        }
        C::FcgiBadCgiHeaders => (TELL, &[HeadersFirst, CheckLogs, PluginsOff, RollBack, DebugCode]),
        C::FcgiNoOutput => {
            (TELL, &[CheckLogs, PluginsOff, WpDebug, UpdateSoftware, RollBack, DebugCode])
        }
        C::FcgiScriptNotFound => (TELL, &[ScriptPath, FilePermissions, RollBack, ContactHost]),
        C::FcgiScriptForbidden => {
            (TELL, &[FilePermissions, RunnableExtensions, ScriptPath, LimitTraffic])
        }
        C::FcgiConnectionDropped => {
            (TELL, &[AllowedClients, ProtocolAgree, MatchPort, CheckLogs, CheckFirewall])
        }
        C::FcgiWorkerDied | C::FcgiWorkerDiedMidResponse => (
            WAIT,
            &[
                FindCrash,
                CheckMemory,
                FpmTimeouts,
                CheckLogs,
                PluginsOff,
                UpdateSoftware,
                RollBack,
                DebugCode,
                Monitor,
            ],
        ),
        C::FcgiTimeLimitKill => {
            (LATER, &[FpmTimeouts, SlowQueries, HelperServices, FindCrash, CheckLogs, DebugCode])
        }
        C::FcgiPoolSaturated => (
            LATER,
            &[
                FpmCapacity,
                SlowQueries,
                HelperServices,
                CheckMemory,
                LimitTraffic,
                RaiseConnectionLimit,
                MoreResources,
                Monitor,
            ],
        ),
        C::HttpToFastcgiPort => {
            (TELL, &[ProtocolAgree, MatchPort, AllowedClients, CheckLogs, RollBack])
        }
        C::PhpFatalError => (
            TELL,
            &[CheckLogs, PluginsOff, RollBack, UpdateSoftware, WpDebug, DebugCode, AskExpert],
        ),
        C::PhpExecutionTimeout => {
            (LATER, &[SlowQueries, PluginsOff, FpmTimeouts, DebugCode, MoreResources])
        }
        C::PhpOutOfMemory => {
            (TELL, &[MemoryLimit, PluginsOff, CheckMemory, DebugCode, MoreResources])
        }
        C::HelperServicesDown => {
            (WAIT, &[HelperServices, CheckMemory, CheckLogs, RollBack, ContactHost, Monitor])
        }

        C::UpstreamErrorStatus => (
            TELL,
            &[CheckLogs, PluginsOff, RollBack, UpdateSoftware, WpDebug, DebugCode, ContactHost],
        ),
        C::UpstreamGatewayError => (
            WAIT,
            &[
                BackendStatus,
                CheckLogs,
                BypassCdn,
                StartBackend,
                CheckConnectivity,
                CheckFirewall,
                CheckDns,
                RaiseTimeouts,
                ContactHost,
                Monitor,
            ],
        ),
        C::UpstreamUnavailable => (
            LATER,
            &[
                EndMaintenance,
                CheckLogs,
                BackendStatus,
                CheckMemory,
                FpmCapacity,
                LimitTraffic,
                MoreResources,
                Seo,
                Monitor,
            ],
        ),
        C::UpstreamLoop => (TELL, &[BreakLoop, CheckDns, BypassCdn, CheckLogs, RollBack]),
        C::RedirectLoop => (TELL, &[ForwardedProto, BypassCdn, PluginsOff, RollBack]),
        C::RequestHeaderRefused => (
            &[ClearCookies, PrivateMode, OtherBrowser, ContactSite],
            &[ShrinkCookies, CheckLogs, PluginsOff, DebugCode],
        ),

        C::FileNotFound => (OTHER_PATH, &[FilePath, RollBack, LimitTraffic]),
        C::FileDenied => (OTHER_PATH, &[DenyRules, LimitTraffic]),
        C::FileLinkRefused => (OTHER_PATH, &[SiteLinks, FilePath]),
        C::FileUnreadable => (TELL, &[FilePermissions, FilePath, CheckLogs]),
        C::MethodNotAllowed => {
            (&[CheckAddress, NewSession, ContactSite], &[FilePath, FixRequest, LimitTraffic])
        }

        C::DestinationProhibited => (TELL, &[CheckDns, BreakLoop, MatchPort, RollBack]),
        C::LoopDetected => (TELL, &[BreakLoop, CheckDns, MatchPort, BypassCdn, RollBack]),
        C::QueueFull => (
            LATER,
            &[
                CheckMemory,
                SlowQueries,
                LimitTraffic,
                FpmCapacity,
                RaiseConnectionLimit,
                MoreResources,
                Monitor,
            ],
        ),
        C::NoHealthyUpstream => (
            WAIT,
            &[BackendStatus, StartBackend, CheckLogs, CheckMemory, MatchPort, RollBack, Monitor],
        ),
        C::Maintenance => (&[ComeBack, CachedCopy, ContactSite], &[EndMaintenance, Seo]),
        C::NoUpstreamConfigured => {
            (&[OtherSite, FlushDns, ChangeDns, ContactSite], &[AddHost, CheckDns, RestartProxy])
        }
        C::NothingConfigured => (&[ComeBack, OtherSite, ContactSite], &[AddUpstream, RestartProxy]),
        C::ProxyInternalError => (WAIT, &[CheckLogs, RestartProxy, UpdateSoftware, ReportBug]),

        C::ClientGone => (OWN_NETWORK, &[SlowQueries, Monitor]),
        C::RequestInvalid => (OWN_SIDE, &[FixRequest, LimitTraffic]),
        C::RequestHeaderTooLarge => (
            &[ClearCookies, PrivateMode, OtherBrowser, ClearCache, ContactSite],
            &[RaiseHeaderLimit, FixRequest, DebugCode],
        ),
        C::RequestHeaderTimeout | C::RequestBodyTimeout => {
            (OWN_NETWORK, &[RaiseTimeouts, LimitTraffic])
        }
        C::TooManyClientConnections => (LATER, &[LimitTraffic, RaiseConnectionLimit, Monitor]),
        C::RequestBodyTooLarge => {
            (&[SmallerUpload, ContactSite], &[RaiseBodyLimit, FixRequest, LimitTraffic])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_fixes_for_both_audiences() {
        for code in Code::all() {
            let (visitor, operator) = table(code);
            assert!(!visitor.is_empty() && !operator.is_empty(), "{}", code.name());
            assert!(visitor.iter().all(|id| id.audience() == Audience::Visitor), "{code:?}");
            assert!(operator.iter().all(|id| id.audience() == Audience::Operator), "{code:?}");
        }
    }

    #[test]
    fn every_fix_is_proposed_for_some_cause_or_root() {
        for id in FixId::all() {
            let used = Code::all().any(|code| {
                let (visitor, operator) = table(code);
                visitor.contains(&id) || operator.contains(&id)
            });
            assert_eq!(used, !id.is_of_a_root(), "{}", id.name());
        }
    }
}
