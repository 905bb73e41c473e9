//! THE RULES by which evidence ranks the fixes of a cause.
//!
//! One table: when a rule holds, which fixes it puts in front, which it leaves out, and the keys of
//! the evidence that it goes by. Rules before others go before them. Pure.

use memchr::memmem;

use crate::config::Scheme;
use crate::diagnose::around::Sockets;
use crate::diagnose::cause::{Cause as C, Code};
use crate::diagnose::facts::Port;
use crate::diagnose::faults::{CertFault, ForbiddenReason, Protocol, RejectReason, RequestFault};
use crate::diagnose::fixes::FixId::{self, *};
use crate::diagnose::hop::{Failed, Hop};
use crate::diagnose::matching::Site;
use crate::diagnose::unreached::{ConnectFault, UnreachableReason};

/// Cookies of this size alone fill what most servers take of a header (nginx: 8 KiB, IIS: 16 KiB).
const LARGE_COOKIES: usize = 4096;
/// Below this other fields must be what is too large.
const SMALL_COOKIES: usize = 1024;

/// One rule.
#[derive(Debug)]
pub struct Rule {
    holds: fn(&C, &Site<'_>) -> bool,
    /// Put in front, in this order; each audience's own.
    pub first: &'static [FixId],
    without: &'static [FixId],
    /// Keys of the evidence.
    pub because: &'static [&'static str],
}

const fn rule(
    holds: fn(&C, &Site<'_>) -> bool,
    first: &'static [FixId],
    because: &'static [&'static str],
) -> Rule {
    Rule { holds, first, without: &[], because }
}

impl Rule {
    const fn without(self, without: &'static [FixId]) -> Rule {
        Rule { without, ..self }
    }
}

/// Those of the rules that hold for one failure, a bit each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Rules(u64);

/// Every rule.
const RULES: [Rule; 54] = [
    // Where the server is.
    rule(|_, site| site.moved, &[CheckDns], &["addresses_now", "addresses_before"]),
    rule(
        |cause, _| matches!(cause, C::ConnectionRefused { other_family: Some(_), .. }),
        &[MatchPort],
        &["address", "other_family"],
    ),
    rule(
        |cause, site| is(cause, &[Code::ConnectionRefused]) && someone_listens(site),
        &[MatchPort],
        &["address", "same_port", "listening", "sockets"],
    ),
    rule(
        |cause, site| {
            is(cause, &[Code::UnixSocketMissing, Code::UnixSocketRefused]) && someone_listens(site)
        },
        &[SocketPath],
        &["path", "sockets", "listening"],
    ),
    // A component of the path is a file (ENOTDIR): no service that is started mends that.
    rule(
        |cause, _| matches!(cause, C::UnixSocketMissing { errno: 20, .. }),
        &[SocketPath],
        &["path", "errno"],
    ),
    rule(
        |cause, _| unreachable(cause) == Some(UnreachableReason::NeighborUnreachable),
        &[BackendStatus, CheckConnectivity],
        &["reason"],
    ),
    rule(
        |cause, _| unreachable(cause) == Some(UnreachableReason::RouteUnreachable),
        &[AddRoute],
        &["reason"],
    ),
    rule(
        |cause, _| unreachable(cause) == Some(UnreachableReason::NoIpv6Route),
        &[CheckDns, AddRoute],
        &["reason"],
    ),
    rule(
        |cause, _| matches!(cause, C::ConnectFailed { reason: ConnectFault::BlackholeRoute, .. }),
        &[AddRoute],
        &["reason"],
    ),
    rule(
        |cause, _| {
            use ConnectFault::{PathTooLong, SocketTypeMismatch};
            matches!(cause, C::ConnectFailed { reason: PathTooLong | SocketTypeMismatch, .. })
        },
        &[SocketPath],
        &["reason", "target"],
    ),
    rule(|cause, _| every_server(cause, "dns_"), &[CheckDns], &["servers"]),
    rule(|cause, _| every_server(cause, "tls_cert_"), &[RenewCertificate], &["servers"]),
    rule(|cause, _| every_server(cause, "connect_timeout"), &[CheckFirewall], &["servers"]),
    rule(
        |cause, _| every_server(cause, "unix_socket_missing"),
        &[StartBackend, SocketPath],
        &["servers"],
    ),
    // Names. Extended errors by RFC 8914 section 4: 15 to 18 are filters, 22 and 23 the network.
    rule(|cause, _| extended(cause, 15..=18), &[CheckFirewall], &["info_code"]),
    rule(|cause, _| extended(cause, 22..=23), &[CheckConnectivity], &["info_code"]),
    // ENETUNREACH and EHOSTUNREACH.
    rule(
        |cause, _| matches!(cause, C::DnsResolverUnreachable { errno: Some(101 | 113), .. }),
        &[CheckConnectivity],
        &["errno"],
    ),
    // Memory before workers: more of them would only be killed.
    rule(
        |cause, site| is_about_capacity(cause) && memory_is_short(site),
        &[CheckMemory],
        &["memory_available", "memory_total", "largest_worker"],
    ),
    // The machine, or the whole service, has stopped; at PHP-FPM it is rather that all are busy.
    rule(
        |cause, site| slow(cause, &[Port::Refused, Port::Silent]) && !is_busy_fpm(cause, site),
        &[BackendStatus],
        &["port_accepts"],
    ),
    rule(
        |cause, site| {
            is(cause, &[Code::FirstByteTimeout, Code::ConnectTimeout]) && has_waiting(cause, site)
        },
        &[FpmCapacity, SlowQueries],
        &["reason", "pending", "backlog", "listen_queue"],
    ),
    // A port that was tried again: no rule drops our packets, they were lost, or were too many.
    rule(
        |cause, _| late(cause, &[Port::Accepts, Port::Unreachable]),
        &[CheckConnectivity],
        &["port_accepts"],
    ),
    rule(|cause, _| late(cause, &[Port::Refused]), &[BackendStatus], &["port_accepts"]),
    rule(|cause, _| slow(cause, &[Port::Unreachable]), &[CheckConnectivity], &["port_accepts"]),
    rule(
        |cause, _| matches!(cause, C::FcgiRejected { reason: RejectReason::Overloaded, .. }),
        &[MoreResources, FpmCapacity],
        &["reason"],
    ),
    rule(
        |cause, _| {
            use RejectReason::{CannotMultiplex, UnknownRole};
            matches!(cause, C::FcgiRejected { reason: CannotMultiplex | UnknownRole, .. })
        },
        &[ProtocolAgree],
        &["reason"],
    ),
    // ENHANCE_YOUR_CALM and HTTP_1_1_REQUIRED (RFC 9113 section 7).
    rule(
        |cause, _| {
            matches!(cause, C::H2Goaway { code: 0xb, .. } | C::H2StreamReset { code: 0xb, .. })
        },
        &[LimitTraffic],
        &["code"],
    ),
    rule(
        |cause, _| matches!(cause, C::H2StreamReset { code: 0xd, .. }),
        &[ProtocolAgree],
        &["code"],
    ),
    // ENOSPC and EDQUOT; EACCES and EROFS.
    rule(
        |cause, _| matches!(cause, C::LocalStorageFailed { errno: Some(28 | 122) }),
        &[FreeDisk],
        &["errno"],
    ),
    rule(
        |cause, _| matches!(cause, C::LocalStorageFailed { errno: Some(13 | 30) }),
        &[FilePermissions],
        &["errno"],
    ),
    // Certificates.
    rule(|cause, _| certificate(cause, CertFault::ClockWrong), &[CheckClock], &["also", "clock"]),
    // Expired and for another name: it is not the one that was meant.
    rule(
        |cause, _| {
            is(cause, &[Code::TlsCertExpired, Code::TlsCertSelfSigned, Code::TlsCertUnknownIssuer])
                && certificate(cause, CertFault::WrongHost)
        },
        &[MatchCertificateName],
        &["names", "subject", "also"],
    ),
    rule(
        |cause, _| certificate(cause, CertFault::MissingIntermediate),
        &[TrustCertificate],
        &["issuer", "also"],
    ),
    // unrecognized_name (RFC 6066 section 3).
    rule(
        |cause, _| matches!(cause, C::TlsAlertReceived { alert: 112, .. }),
        &[MatchCertificateName],
        &["alert", "name"],
    ),
    // internal_error (RFC 8446 section 6.2).
    rule(
        |cause, _| matches!(cause, C::TlsAlertReceived { alert: 80, .. }),
        &[CheckLogs],
        &["alert", "name"],
    ),
    rule(
        |cause, _| {
            use Protocol::{FastCgi, Http2, Tls};
            matches!(cause, C::PeerIsOtherProtocol { protocol: Tls | Http2 | FastCgi })
        },
        &[ProtocolAgree],
        &["protocol"],
    ),
    // Nothing of what the client keeps has brought it to a port that speaks TLS.
    rule(|cause, _| is_plain_on_tls(cause), &[UseHttps, FixRequest], &["fault"]).without(&[
        Reload,
        ClearCookies,
        PrivateMode,
        OtherBrowser,
        NewSession,
        ClearCache,
        UpdateBrowser,
        CheckProxyVpn,
    ]),
    rule(|cause, _| is(cause, &[Code::RequestInvalid]) && !is_plain_on_tls(cause), &[], &[])
        .without(&[UseHttps]),
    // Headers.
    rule(largest_is_set_cookie, &[ShrinkCookies, ClearCookies], &["largest"]),
    // What the site sends is too large, and none of it is the visitor's.
    rule(largest_is_other, &[Reload, ContactSite], &["largest"]).without(&[
        ClearCookies,
        PrivateMode,
        OtherBrowser,
    ]),
    rule(
        |cause, _| cookies(cause).is_some_and(|bytes| bytes >= LARGE_COOKIES),
        &[ClearCookies, ShrinkCookies],
        &["cookie_bytes"],
    ),
    rule(
        |cause, _| cookies(cause).is_some_and(|bytes| bytes < SMALL_COOKIES),
        &[PrivateMode, OtherBrowser, CheckLogs],
        &["cookie_bytes"],
    ),
    // What PHP and the application say.
    rule(|cause, _| says(cause, b"/wp-content/"), &[PluginsOff], &["message", "stderr"]),
    rule(
        |cause, _| says(cause, b"critical error on this website"),
        &[PluginsOff, WpDebug],
        &["message"],
    ),
    // Half of a deployment, or versions that do not go together.
    rule(
        |cause, _| {
            is(cause, &[Code::PhpFatalError])
                && [
                    &b"syntax error"[..],
                    b"Call to undefined ",
                    b" not found",
                    b"Failed opening required",
                ]
                .iter()
                .any(|words| says(cause, words))
        },
        &[RollBack, CheckLogs],
        &["message"],
    ),
    rule(
        |cause, _| {
            use ForbiddenReason::LimitExtensions;
            matches!(cause, C::FcgiScriptForbidden { reason: LimitExtensions, .. })
        },
        &[RunnableExtensions],
        &["reason", "filename"],
    ),
    // No address is looked at on a Unix socket.
    rule(
        |cause, site| {
            use crate::config::ServerAddress::Unix;
            is(cause, &[Code::FcgiConnectionDropped])
                && site.server.is_some_and(|server| matches!(server.address, Unix(_)))
        },
        &[ProtocolAgree],
        &[],
    )
    .without(&[AllowedClients]),
    // The kernel's hand, and PHP's own words when the host has no more to give.
    rule(
        |cause, _| says(cause, b"exited on signal 9") || says(cause, b"Out of memory"),
        &[CheckMemory],
        &["stderr", "message"],
    ),
    // Who answered.
    rule(
        |cause, _| matches!(cause, C::UpstreamGatewayError { failed: Failed::Itself, .. }),
        &[BypassCdn, ContactHost],
        &["hop", "said"],
    ),
    rule(
        |cause, _| hop(cause).is_some_and(is_shield) && is(cause, &[Code::UpstreamGatewayError]),
        &[BypassCdn],
        &["hop", "said"],
    ),
    rule(
        |cause, _| matches!(cause, C::UpstreamGatewayError { received_status: 504 | 524, .. }),
        &[RaiseTimeouts, SlowQueries],
        &["received_status", "hop"],
    ),
    // A server that is no application has no switch for maintenance: it has reached a limit.
    rule(
        |cause, _| {
            use Hop::{Apache, Haproxy, Litespeed, Nginx};
            let server = matches!(hop(cause), Some(Apache | Haproxy | Litespeed | Nginx));
            server && matches!(cause, C::UpstreamUnavailable { retry_after: None, .. })
        },
        &[CheckLogs, CheckMemory],
        &["hop", "said"],
    ),
    rule(
        |cause, _| {
            matches!(hop(cause), Some(Hop::Wordpress)) && is(cause, &[Code::UpstreamErrorStatus])
        },
        &[PluginsOff, WpDebug],
        &["hop", "said"],
    ),
    // Other applications have neither its switch nor its plugins.
    rule(
        |cause, _| {
            use Hop::{Iis, Tomcat};
            is(cause, &[Code::UpstreamErrorStatus]) && matches!(hop(cause), Some(Iis | Tomcat))
        },
        &[CheckLogs],
        &["hop"],
    )
    .without(&[WpDebug, PluginsOff]),
    rule(
        |cause, _| {
            use Hop::{Drupal, Joomla, Laravel};
            is(cause, &[Code::UpstreamErrorStatus])
                && matches!(hop(cause), Some(Drupal | Joomla | Laravel))
        },
        &[CheckLogs],
        &["hop"],
    )
    .without(&[WpDebug]),
];

impl Rules {
    /// Those that hold.
    pub fn of(cause: &C, site: &Site<'_>) -> Rules {
        let holding = RULES.iter().enumerate().filter(|(_, rule)| (rule.holds)(cause, site));
        Rules(holding.fold(0, |bits, (number, _)| bits | 1 << number))
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// In the order of the table.
    pub fn iter(self) -> impl Iterator<Item = &'static Rule> {
        const TABLE: &[Rule] = &RULES;
        TABLE.iter().enumerate().filter(move |(n, _)| self.0 >> n & 1 == 1).map(|(_, rule)| rule)
    }

    /// Whether one of them leaves a fix out.
    pub fn leaves_out(self, id: FixId) -> bool {
        self.iter().any(|rule| rule.without.contains(&id))
    }
}

fn is(cause: &C, codes: &[Code]) -> bool {
    codes.contains(&cause.code())
}

fn someone_listens(site: &Site<'_>) -> bool {
    site.around.is_some_and(|around| {
        let Sockets { near, near_paths, same_port, .. } = &around.sockets;
        !near_paths.is_empty() || !near.is_empty() || !same_port.is_empty()
    })
}

fn memory_is_short(site: &Site<'_>) -> bool {
    site.around.and_then(|around| around.host.memory).is_some_and(|memory| memory.is_short())
}

/// Causes of a backend that has too little of something.
fn is_about_capacity(cause: &C) -> bool {
    is(
        cause,
        &[
            Code::UnixSocketBacklogFull,
            Code::ConnectTimeout,
            Code::FirstByteTimeout,
            Code::HeaderStallTimeout,
            Code::BodyStallTimeout,
            Code::ClosedBeforeResponse,
            Code::ResetBeforeResponse,
            Code::FcgiPoolSaturated,
            Code::FcgiRejected,
            Code::FcgiWorkerDied,
            Code::FcgiWorkerDiedMidResponse,
            Code::PhpOutOfMemory,
            Code::LocalOutOfMemory,
        ],
    )
}

/// What looks of our own may have left at a listener whose program does not accept.
const OWN_LOOKS: u32 = 4;

/// Connections wait at the server's listener, other than our own.
fn has_waiting(cause: &C, site: &Site<'_>) -> bool {
    let full = matches!(cause, C::ConnectTimeout { queue: Some(_), .. });
    let queue = site.around.and_then(|around| around.sockets.queue);
    full || queue.is_some_and(|queue| queue.pending > OWN_LOOKS)
}

/// Connections wait at PHP-FPM's listener.
fn is_busy_fpm(cause: &C, site: &Site<'_>) -> bool {
    let fpm = site.server.is_some_and(|server| server.scheme == Scheme::FastCgi);
    fpm && has_waiting(cause, site)
}

/// A connect that came to no end, elsewhere than at a full queue, and how the port does since.
fn late(cause: &C, ports: &[Port]) -> bool {
    matches!(cause, C::ConnectTimeout { queue: None, port: Some(port), .. } if ports.contains(port))
}

/// A request without an answer, and how the port does since.
fn slow(cause: &C, ports: &[Port]) -> bool {
    matches!(cause, C::FirstByteTimeout { port: Some(port), .. } if ports.contains(port))
}

fn unreachable(cause: &C) -> Option<UnreachableReason> {
    if let C::HostUnreachable { reason, .. } | C::NetworkUnreachable { reason, .. } = cause {
        return Some(*reason);
    }
    None
}

/// Every server of the block failed by a cause of this kind.
fn every_server(cause: &C, prefix: &str) -> bool {
    let C::NoHealthyUpstream { servers } = cause else { return false };
    !servers.is_empty() && servers.iter().all(|(_, code, _)| code.name().starts_with(prefix))
}

/// The name server gave one of these reasons.
fn extended(cause: &C, codes: std::ops::RangeInclusive<u16>) -> bool {
    let lookup = crate::diagnose::dns::lookup(cause);
    lookup.is_some_and(|lookup| lookup.extended.iter().any(|error| codes.contains(&error.code)))
}

fn certificate(cause: &C, fault: CertFault) -> bool {
    let (C::TlsCertExpired { also, .. }
    | C::TlsCertNotYetValid { also, .. }
    | C::TlsCertWrongHost { also, .. }
    | C::TlsCertSelfSigned { also, .. }
    | C::TlsCertUnknownIssuer { also, .. }
    | C::TlsCertUnusable { also, .. }) = cause
    else {
        return false;
    };
    also.contains(&fault)
}

/// The largest field of an answer whose header is too large.
fn largest(cause: &C) -> Option<&str> {
    let (C::HeaderSectionTooLarge { largest, .. } | C::TooManyHeaders { largest, .. }) = cause
    else {
        return None;
    };
    largest.first().map(|(name, _)| name.as_str())
}

fn is_plain_on_tls(cause: &C) -> bool {
    matches!(cause, C::RequestInvalid { fault: RequestFault::PlainHttpOnTlsPort })
}

fn largest_is_set_cookie(cause: &C, _: &Site<'_>) -> bool {
    largest(cause).is_some_and(|name| name.eq_ignore_ascii_case("set-cookie"))
}

fn largest_is_other(cause: &C, _: &Site<'_>) -> bool {
    largest(cause).is_some_and(|name| !name.eq_ignore_ascii_case("set-cookie"))
}

/// The cookies of a request that was turned away for its size.
fn cookies(cause: &C) -> Option<usize> {
    let C::RequestHeaderRefused { cookie_bytes, .. } = cause else { return None };
    Some(*cookie_bytes)
}

/// Whether the application's own words hold these.
fn says(cause: &C, words: &[u8]) -> bool {
    let (C::PhpFatalError { message: said }
    | C::PhpExecutionTimeout { message: said }
    | C::PhpOutOfMemory { message: said }
    | C::HelperServicesDown { message: said }
    | C::FcgiBadCgiHeaders { stderr: said, .. }
    | C::FcgiNoOutput { stderr: said, .. }
    | C::FcgiWorkerDied { stderr: said, .. }
    | C::FcgiWorkerDiedMidResponse { stderr: said, .. }) = cause
    else {
        return false;
    };
    memmem::find(said.as_bytes(), words).is_some()
}

/// Who made the answer.
fn hop(cause: &C) -> Option<Hop> {
    let (C::UpstreamErrorStatus { hop, .. }
    | C::UpstreamGatewayError { hop, .. }
    | C::UpstreamUnavailable { hop, .. }) = cause
    else {
        return None;
    };
    Some(*hop)
}

/// A CDN or a protection service.
fn is_shield(hop: Hop) -> bool {
    use Hop as H;
    matches!(
        hop,
        H::Akamai | H::Cloudflare | H::Cloudfront | H::Fastly | H::Godaddy | H::Imperva | H::Sucuri
    )
}

#[cfg(test)]
mod rows;
#[cfg(test)]
mod tests;
