//! The rows of the table that the rules are held to: what fails, what this host shows, and what is
//! to come first.

use std::time::Duration;

use crate::diagnose::around::{Around, Host, Memory, Sockets};
use crate::diagnose::cause::{Cause as C, Code};
use crate::diagnose::dns::{Extended, Lookup};
use crate::diagnose::facts::{Port, Queue};
use crate::diagnose::faults::{
    CertFault, CgiFault, ForbiddenReason, Protocol, RejectReason, RequestFault,
};
use crate::diagnose::fixes::FixId::{self, *};
use crate::diagnose::hop::{Failed, Hop};
use crate::diagnose::unreached::{ConnectFault, IcmpError, UnreachableReason};

pub const WAITED: Duration = Duration::from_secs(60);
const GIB: u64 = 1 << 30;

pub fn lookup(code: u16) -> Box<Lookup> {
    let extended = vec![Extended { code, text: String::new() }];
    Box::new(Lookup { extended, ..Lookup::default() })
}

pub fn around() -> Around {
    Around::default()
}

pub fn short() -> Around {
    Around { host: host(2 * GIB, GIB / 10), ..around() }
}

pub fn waiting() -> Around {
    let queue = Some(Queue { pending: 5, backlog: 128 });
    Around { sockets: Sockets { queue, ..Sockets::default() }, ..around() }
}

pub fn roomy() -> Around {
    Around { host: host(16 * GIB, 8 * GIB), ..waiting() }
}

fn host(total_bytes: u64, available_bytes: u64) -> Host {
    let worker_bytes = Some(GIB / 16);
    let memory = Memory { total_bytes, available_bytes, worker_bytes, ..Memory::default() };
    Host { memory: Some(memory), ..Host::default() }
}

pub fn listening(address: &str) -> Around {
    let near = vec![address.parse().unwrap()];
    Around { sockets: Sockets { near, ..Sockets::default() }, ..around() }
}

pub fn at_same_port(bound: &str) -> Around {
    let same_port = vec![bound.parse().unwrap()];
    let address = "127.0.0.1:8080".parse().ok();
    Around { sockets: Sockets { same_port, address, ..Sockets::default() }, ..around() }
}

pub fn sibling() -> Around {
    let near_paths = vec!["/run/php/php8.2-fpm.sock".into()];
    Around { sockets: Sockets { near_paths, ..Sockets::default() }, ..around() }
}

/// Whoever fails, whatever is found beside it: the first fixes of visitor and operator, and the
/// keys that decided.
pub type Row = (C, Around, FixId, FixId, &'static [&'static str]);

/// Where the server is, and what there is to work with.
pub fn host_rows() -> Vec<Row> {
    let address = "127.0.0.1:8080".parse().unwrap();
    let refused = |other_family| C::ConnectionRefused { address, remembered: false, other_family };
    let missing = |errno| C::UnixSocketMissing { path: "/run/php/php8.1-fpm.sock".into(), errno };
    let timeout = |queue| C::ConnectTimeout { address, waited: WAITED, queue, port: None };
    let icmp: Option<IcmpError> = None;
    let host = |reason| C::HostUnreachable { address, reason, icmp };
    let network = |reason| C::NetworkUnreachable { address, reason, icmp };
    let failed = |reason| C::ConnectFailed { target: "x".into(), errno: None, reason, icmp };
    let first_byte = || C::FirstByteTimeout { waited: WAITED, port: None };
    let late = |port| C::ConnectTimeout { address, waited: WAITED, queue: None, port: Some(port) };
    let slow = |port| C::FirstByteTimeout { waited: WAITED, port: Some(port) };
    let died =
        |stderr: &str| C::FcgiWorkerDied { reset: true, after: WAITED, stderr: stderr.to_owned() };
    let pool = C::FcgiPoolSaturated { waited: WAITED, pending: 9, backlog: 9, in_flight: 1 };
    let rejected = |reason| C::FcgiRejected { reason, app_status: 0 };
    let disk = |errno| C::LocalStorageFailed { errno };
    let none = |code| C::NoHealthyUpstream { servers: vec![("x".into(), code, WAITED); 2] };
    let socket = || C::UnixSocketRefused { path: "/run/php/php8.1-fpm.sock".into() };
    let full = C::UnixSocketBacklogFull { path: "/run/php/php8.2-fpm.sock".into() };
    use UnreachableReason as U;
    let queue = Some(Queue { pending: 129, backlog: 128 });
    vec![
        (refused(None), around(), Reload, BackendStatus, &[]),
        (
            refused("[::1]:8080".parse().ok()),
            around(),
            Reload,
            MatchPort,
            &["address", "other_family"],
        ),
        (refused(None), listening("127.0.0.1:8081"), Reload, MatchPort, &["address", "listening"]),
        (refused(None), at_same_port("[::1]:8080"), Reload, MatchPort, &["address", "same_port"]),
        (refused(None), sibling(), Reload, MatchPort, &["address", "sockets"]),
        (refused(None), short(), Reload, BackendStatus, &[]),
        (missing(2), around(), Reload, BackendStatus, &[]),
        (missing(2), sibling(), Reload, SocketPath, &["path", "sockets"]),
        (missing(2), listening("127.0.0.1:9000"), Reload, SocketPath, &["path", "listening"]),
        (missing(20), around(), Reload, SocketPath, &["path", "errno"]),
        (socket(), around(), Reload, BackendStatus, &[]),
        (socket(), sibling(), Reload, SocketPath, &["path", "sockets"]),
        (timeout(None), around(), Reload, CheckFirewall, &[]),
        (timeout(queue), around(), Reload, FpmCapacity, &["reason", "pending", "backlog"]),
        (
            timeout(queue),
            short(),
            Reload,
            CheckMemory,
            &["memory_available", "memory_total", "largest_worker"],
        ),
        (late(Port::Accepts), around(), Reload, CheckConnectivity, &["port_accepts"]),
        (late(Port::Unreachable), around(), Reload, CheckConnectivity, &["port_accepts"]),
        (late(Port::Refused), around(), Reload, BackendStatus, &["port_accepts"]),
        (late(Port::Silent), around(), Reload, CheckFirewall, &[]),
        (slow(Port::Accepts), around(), ComeBack, SlowQueries, &[]),
        (slow(Port::Refused), around(), ComeBack, BackendStatus, &["port_accepts"]),
        (slow(Port::Silent), around(), ComeBack, BackendStatus, &["port_accepts"]),
        (slow(Port::Unreachable), around(), ComeBack, CheckConnectivity, &["port_accepts"]),
        (slow(Port::Silent), waiting(), ComeBack, FpmCapacity, &["listen_queue"]),
        (first_byte(), around(), ComeBack, SlowQueries, &[]),
        (first_byte(), waiting(), ComeBack, FpmCapacity, &["listen_queue"]),
        (first_byte(), roomy(), ComeBack, FpmCapacity, &["listen_queue"]),
        (
            first_byte(),
            short(),
            ComeBack,
            CheckMemory,
            &["memory_available", "memory_total", "largest_worker"],
        ),
        (pool.clone(), around(), ComeBack, FpmCapacity, &[]),
        (
            pool,
            short(),
            ComeBack,
            CheckMemory,
            &["memory_available", "memory_total", "largest_worker"],
        ),
        (full.clone(), roomy(), ComeBack, CheckMemory, &[]),
        (
            full,
            short(),
            ComeBack,
            CheckMemory,
            &["memory_available", "memory_total", "largest_worker"],
        ),
        (died(""), around(), Reload, FindCrash, &[]),
        (
            died(""),
            short(),
            Reload,
            CheckMemory,
            &["memory_available", "memory_total", "largest_worker"],
        ),
        (died("WARNING: child 7 exited on signal 9"), around(), Reload, CheckMemory, &["stderr"]),
        (rejected(RejectReason::Overloaded), around(), Reload, MoreResources, &["reason"]),
        (rejected(RejectReason::CannotMultiplex), around(), Reload, ProtocolAgree, &["reason"]),
        (rejected(RejectReason::UnknownRole), around(), Reload, ProtocolAgree, &["reason"]),
        (
            C::FcgiTimeLimitKill { after: WAITED, before: WAITED },
            around(),
            ComeBack,
            FpmTimeouts,
            &[],
        ),
        (host(U::RouterReported), around(), Reload, CheckConnectivity, &[]),
        (host(U::NeighborUnreachable), around(), Reload, BackendStatus, &["reason"]),
        (host(U::RouteUnreachable), around(), Reload, AddRoute, &["reason"]),
        (network(U::NoRoute), around(), Reload, AddRoute, &[]),
        (network(U::NoIpv6Route), around(), Reload, CheckDns, &["reason"]),
        (failed(ConnectFault::BlackholeRoute), around(), Reload, AddRoute, &["reason"]),
        (failed(ConnectFault::PathTooLong), around(), Reload, SocketPath, &["target", "reason"]),
        (failed(ConnectFault::Unknown), around(), Reload, CheckLogs, &[]),
        (disk(Some(28)), around(), ComeBack, FreeDisk, &["errno"]),
        (disk(Some(13)), around(), ComeBack, FilePermissions, &["errno"]),
        (disk(None), around(), ComeBack, FreeDisk, &[]),
        (none(Code::ConnectionRefused), around(), Reload, BackendStatus, &[]),
        (none(Code::DnsNxdomain), around(), Reload, CheckDns, &["servers"]),
        (none(Code::TlsCertExpired), around(), Reload, RenewCertificate, &["servers"]),
        (none(Code::ConnectTimeout), around(), Reload, CheckFirewall, &["servers"]),
        (none(Code::UnixSocketMissing), around(), Reload, StartBackend, &["servers"]),
    ]
}

/// What the other side says.
pub fn peer_rows() -> Vec<Row> {
    let name = || "app.internal".to_owned();
    let expired =
        |also| C::TlsCertExpired { not_after: None, clock: None, names: vec![name()], also };
    let issuer = |also| C::TlsCertUnknownIssuer { issuer: name(), also };
    let own = |also| C::TlsCertSelfSigned { subject: name(), also };
    let alert = |alert| C::TlsAlertReceived { alert, name: name() };
    let peer = |protocol| C::PeerIsOtherProtocol { protocol };
    let large = |field: &str| C::HeaderSectionTooLarge {
        limit_bytes: 65_536,
        largest: vec![(field.to_owned(), 60_000), ("Server".to_owned(), 9)],
    };
    let refused = |cookie_bytes| C::RequestHeaderRefused {
        hop: Hop::Nginx,
        received_status: 400,
        cookie_bytes,
    };
    let fatal = |message: &str| C::PhpFatalError { message: message.to_owned() };
    let forbidden = |reason| C::FcgiScriptForbidden {
        filename: "/x.php".into(),
        reason,
        stderr: String::new(),
    };
    let gateway = |hop, failed, received_status| C::UpstreamGatewayError {
        hop,
        failed,
        received_status,
        said: String::new(),
    };
    let error = |hop| C::UpstreamErrorStatus { hop, received_status: 500, said: String::new() };
    let away = |hop, retry_after| C::UpstreamUnavailable {
        hop,
        received_status: 503,
        retry_after,
        said: String::new(),
    };
    let servfail = |code| C::DnsServerFailure { name: name(), rcode: 2, lookup: lookup(code) };
    let resolver = |errno| C::DnsResolverUnreachable { name: name(), errno, lookup: lookup(0) };
    let invalid = |fault| C::RequestInvalid { fault };
    let reset = |code| C::H2StreamReset { code, received_bytes: 0 };
    let plugin = "in /var/www/wp-content/plugins/shop/shop.php on line 3";
    use Failed::{Behind, Itself};
    vec![
        (servfail(9), around(), Reload, CheckDns, &[]),
        (invalid(RequestFault::BareLf), around(), Reload, FixRequest, &[]),
        (invalid(RequestFault::PlainHttpOnTlsPort), around(), UseHttps, FixRequest, &["fault"]),
        (servfail(17), around(), Reload, CheckFirewall, &["info_code"]),
        (servfail(22), around(), Reload, CheckConnectivity, &["info_code"]),
        (resolver(Some(111)), around(), Reload, CheckDns, &[]),
        (resolver(Some(101)), around(), Reload, CheckConnectivity, &["errno"]),
        (expired(vec![]), around(), ContactSite, RenewCertificate, &[]),
        (expired(vec![CertFault::ClockWrong]), around(), ContactSite, CheckClock, &["also"]),
        (
            expired(vec![CertFault::WrongHost]),
            around(),
            ContactSite,
            MatchCertificateName,
            &["names", "also"],
        ),
        (
            issuer(vec![CertFault::MissingIntermediate]),
            around(),
            ContactSite,
            TrustCertificate,
            &["issuer", "also"],
        ),
        (own(vec![]), around(), ContactSite, TrustCertificate, &[]),
        (
            own(vec![CertFault::WrongHost]),
            around(),
            ContactSite,
            MatchCertificateName,
            &["subject", "also"],
        ),
        (alert(40), around(), ContactSite, TlsVersions, &[]),
        (alert(112), around(), ContactSite, MatchCertificateName, &["alert", "name"]),
        (alert(80), around(), ContactSite, CheckLogs, &["alert", "name"]),
        (peer(Protocol::Ssh), around(), ContactSite, MatchPort, &[]),
        (peer(Protocol::FastCgi), around(), ContactSite, ProtocolAgree, &["protocol"]),
        (reset(2), around(), ContactSite, CheckLogs, &[]),
        (reset(11), around(), ContactSite, LimitTraffic, &["code"]),
        (reset(13), around(), ContactSite, ProtocolAgree, &["code"]),
        (large("Set-Cookie"), around(), ClearCookies, ShrinkCookies, &["largest"]),
        (large("Content-Security-Policy"), around(), Reload, RaiseHeaderLimit, &[]),
        (refused(12_000), around(), ClearCookies, ShrinkCookies, &["cookie_bytes"]),
        (refused(2000), around(), ClearCookies, ShrinkCookies, &[]),
        (refused(10), around(), PrivateMode, CheckLogs, &["cookie_bytes"]),
        (fatal("Uncaught Error"), around(), ContactSite, CheckLogs, &[]),
        (fatal(plugin), around(), ContactSite, PluginsOff, &["message"]),
        (
            fatal("There has been a critical error on this website"),
            around(),
            ContactSite,
            PluginsOff,
            &["message"],
        ),
        (
            fatal("Uncaught Error: Call to undefined function f()"),
            around(),
            ContactSite,
            RollBack,
            &["message"],
        ),
        (fatal("syntax error, unexpected token"), around(), ContactSite, RollBack, &["message"]),
        (fatal(""), around(), ContactSite, CheckLogs, &[]),
        (
            C::PhpOutOfMemory { message: "Allowed memory size of 1 bytes".into() },
            around(),
            ContactSite,
            MemoryLimit,
            &[],
        ),
        (
            C::PhpOutOfMemory { message: "Out of memory (allocated 1)".into() },
            around(),
            ContactSite,
            CheckMemory,
            &["message"],
        ),
        (
            C::PhpExecutionTimeout { message: plugin.into() },
            around(),
            ComeBack,
            PluginsOff,
            &["message"],
        ),
        (
            C::FcgiNoOutput { app_status: 0, stderr: plugin.into() },
            around(),
            ContactSite,
            PluginsOff,
            &["stderr"],
        ),
        (
            C::FcgiBadCgiHeaders {
                fault: CgiFault::NoHeaders,
                line: vec![],
                stderr: String::new(),
            },
            around(),
            ContactSite,
            HeadersFirst,
            &[],
        ),
        (forbidden(ForbiddenReason::Permission), around(), ContactSite, FilePermissions, &[]),
        (
            forbidden(ForbiddenReason::LimitExtensions),
            around(),
            ContactSite,
            RunnableExtensions,
            &["filename", "reason"],
        ),
        (
            C::FcgiConnectionDropped { reset: true, after: WAITED },
            around(),
            ContactSite,
            AllowedClients,
            &[],
        ),
        (gateway(Hop::Nginx, Behind, 502), around(), Reload, BackendStatus, &[]),
        (
            gateway(Hop::Nginx, Behind, 504),
            around(),
            Reload,
            RaiseTimeouts,
            &["hop", "received_status"],
        ),
        (gateway(Hop::Cloudflare, Behind, 521), around(), Reload, BypassCdn, &["hop"]),
        (gateway(Hop::Cloudflare, Itself, 502), around(), Reload, BypassCdn, &["hop"]),
        (error(Hop::Unknown), around(), ContactSite, CheckLogs, &[]),
        (error(Hop::Wordpress), around(), ContactSite, PluginsOff, &["hop"]),
        (error(Hop::Laravel), around(), ContactSite, CheckLogs, &["hop"]),
        (error(Hop::Tomcat), around(), ContactSite, CheckLogs, &["hop"]),
        (away(Hop::Wordpress, None), around(), ComeBack, EndMaintenance, &[]),
        (away(Hop::Apache, None), around(), ComeBack, CheckLogs, &["hop"]),
        (away(Hop::Apache, Some("60".into())), around(), ComeBack, EndMaintenance, &[]),
        (
            C::RequestHeaderTooLarge { limit_bytes: 1 },
            around(),
            ClearCookies,
            RaiseHeaderLimit,
            &[],
        ),
        (C::NoUpstreamConfigured { host: "x".into() }, around(), OtherSite, AddHost, &[]),
        (C::NothingConfigured, around(), ComeBack, AddUpstream, &[]),
    ]
}
