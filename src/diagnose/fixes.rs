//! THE FIXES: a cause to the fixes that match it, the one that helps first in front.
//!
//! Ids are stable: they are keys of `text` and part of the JSON. Commands carry only values from
//! the configuration, shell-quoted; no byte that came from a client or an upstream enters them.
//! Pure.

use std::net::IpAddr;
use std::path::Path;

use strum::{EnumIter, EnumString, IntoStaticStr};

use crate::config::{Scheme, Server, ServerAddress};

use super::catalog::{self, Phase};
use super::cause::{Cause, Code};

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

/// What the fixes of one failure depend on beside its cause.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// The server that failed; `None` when none was chosen.
    pub server: Option<&'a Server>,
    /// The name that its certificate has to carry.
    pub server_name: &'a str,
}

/// The fixes for a cause, visitors' first, each group with the likeliest help in front.
pub fn fixes(cause: &Cause, site: &Site<'_>) -> Vec<Fix> {
    let (visitor, operator) = table(cause.code());
    let command = look(cause, site);
    let mut list = Vec::with_capacity(visitor.len() + operator.len());
    list.extend(visitor.iter().map(|id| Fix { id: *id, audience: id.audience(), command: None }));
    list.extend(operator.iter().map(|id| Fix { id: *id, audience: id.audience(), command: None }));
    // The first of the operator's fixes carries the command that confirms the diagnosis.
    if let Some(first) = list.get_mut(visitor.len()) {
        first.command = command;
    }
    list
}

/// The ids of the fixes for a cause, in the same order.
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

/// Cause to fixes: visitors', operators'. One row a cause, the most helpful first.
fn table(code: Code) -> (&'static [FixId], &'static [FixId]) {
    use Code as C;
    use FixId::*;
    match code {
        C::DnsNxdomain | C::DnsNoRecords => {
            (WAIT, &[CheckDns, MatchPort, RollBack, RestartProxy, ContactHost, Monitor])
        }
        C::DnsServerFailure | C::DnsTimeout => {
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
        C::NetworkUnreachable => (WAIT, &[CheckConnectivity, CheckDns, CheckFirewall, ContactHost]),
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
        C::LocalOutOfMemory => (LATER, &[CheckMemory, MoreResources, CheckLogs, Monitor]),

        C::TlsPeerSpeaksPlaintext => (TELL, &[ProtocolAgree, MatchPort, RollBack]),
        C::TlsCertExpired => (TELL, &[RenewCertificate, CheckClock, Monitor]),
        C::TlsCertNotYetValid => (TELL, &[CheckClock, RenewCertificate]),
        C::TlsCertWrongHost => (TELL, &[MatchCertificateName, CheckDns, RenewCertificate]),
        C::TlsCertSelfSigned => (TELL, &[TrustCertificate, RenewCertificate]),
        C::TlsCertUnknownIssuer => (TELL, &[TrustCertificate, RenewCertificate, UpdateSoftware]),
        C::TlsCertUnusable => (TELL, &[RenewCertificate, TrustCertificate, AskExpert]),
        C::TlsIncompatible => (TELL, &[TlsVersions, UpdateSoftware, ProtocolAgree]),
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
        C::BadChunk => (TELL, &[FixFraming, CheckLogs, UpdateSoftware, DebugCode]),
        C::BodyStallTimeout => {
            (LATER, &[SlowQueries, CheckLogs, HelperServices, RaiseTimeouts, CheckMemory])
        }

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
        C::NoUpstreamConfigured => {
            (&[OtherSite, FlushDns, ChangeDns, ContactSite], &[AddRoute, CheckDns, RestartProxy])
        }
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
    }
}

/// The command with which an operator sees the cause for himself, from configured values only.
fn look(cause: &Cause, site: &Site<'_>) -> Option<String> {
    let server = site.server?;
    if matches!(cause.code(), Code::LocalFdExhausted) {
        return Some("systemctl show -p LimitNOFILE causeway".to_owned());
    }
    let entry = catalog::entry(cause.code());
    match &server.address {
        ServerAddress::Unix(path) => Some(unix_look(entry.phase, path)),
        ServerAddress::Name { host, .. } if entry.phase == Phase::Resolve => {
            Some(format!("getent ahosts {}", quote(host)))
        }
        ServerAddress::Name { host, port } => Some(tcp_look(entry.phase, host, *port, site)),
        ServerAddress::Ip(address) => {
            let host = match address.ip() {
                IpAddr::V4(ip) => ip.to_string(),
                IpAddr::V6(ip) => format!("[{ip}]"),
            };
            let local = address.ip().is_loopback() && entry.phase == Phase::Connect;
            match local {
                true => Some(format!("ss -ltnp 'sport = :{}'", address.port())),
                false => Some(tcp_look(entry.phase, &host, address.port(), site)),
            }
        }
    }
}

fn unix_look(phase: Phase, path: &Path) -> String {
    let path = quote(&path.to_string_lossy());
    match phase {
        Phase::Request | Phase::Route | Phase::Resolve | Phase::Connect => {
            format!("namei -l {path}; ss -lxp | grep -F -- {path}")
        }
        Phase::Tls | Phase::Send | Phase::Head | Phase::Body => {
            format!("curl -v -o /dev/null --unix-socket {path} http://localhost/")
        }
    }
}

fn tcp_look(phase: Phase, host: &str, port: u16, site: &Site<'_>) -> String {
    let target = quote(&format!("{host}:{port}"));
    let secure = site.server.is_some_and(|server| server.scheme == Scheme::Https);
    match phase {
        Phase::Tls => {
            let name = quote(site.server_name);
            format!("openssl s_client -connect {target} -servername {name} </dev/null")
        }
        Phase::Request
        | Phase::Route
        | Phase::Resolve
        | Phase::Connect
        | Phase::Send
        | Phase::Head
        | Phase::Body => {
            let scheme = if secure { "https" } else { "http" };
            format!("curl -v -o /dev/null {}", quote(&format!("{scheme}://{host}:{port}/")))
        }
    }
}

/// A word of a POSIX shell: bare where nothing in it is special, in single quotes otherwise.
fn quote(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:@%+=,".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
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
    fn every_fix_is_proposed_for_some_cause() {
        for id in FixId::all() {
            let used = Code::all().any(|code| {
                let (visitor, operator) = table(code);
                visitor.contains(&id) || operator.contains(&id)
            });
            assert!(used, "{}", id.name());
        }
    }

    #[test]
    fn words_of_commands_are_quoted_for_the_shell() {
        assert_eq!(quote("shop.internal:80"), "shop.internal:80");
        assert_eq!(quote("/run/a b;rm"), "'/run/a b;rm'");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote(""), "''");
    }
}
