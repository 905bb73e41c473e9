//! THE FIXES: a cause to the fixes that match it, the one that helps first in front.
//!
//! Ids are stable: they are keys of `text` and part of the JSON. Commands carry only values from the
//! configuration, shell-quoted; no byte that came from a client or an upstream enters them. Pure.

use strum::{EnumIter, EnumString, IntoStaticStr};

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
    SocketPermissions,
    SocketPath,
    AllowConnect,
    KeepaliveTimeouts,
    RaiseTimeouts,
    RaiseConnectionLimit,
    RaiseFdLimit,
    AddRoute,
    BreakLoop,
    FixFraming,
    FixUpgrade,
    CheckTruncation,
    ReportBug,
    FixRequest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Audience {
    Visitor,
    Operator,
}

/// One fix as it applies to one failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    pub id: FixId,
    pub audience: Audience,
    /// A command to look with, from configured values only; for operators.
    pub command: Option<String>,
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

    /// Whom it is for.
    pub fn audience(self) -> Audience {
        if self <= FixId::ComeBack { Audience::Visitor } else { Audience::Operator }
    }
}
