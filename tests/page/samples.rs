//! One sample of every cause, its evidence full of canaries, and the reports around them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use causeway::diagnose::around::{Change, Changed, Changes};
use causeway::diagnose::{
    AddressSummary, AnswerFault, Around, AttemptSummary, Authority, Before, Cause, CertFault,
    CertReason, Certainty, CgiFault, Code, Command, CommandKind, ConnectFault, DnsConfigFault,
    Extended, Failed, Fate, Fix, FixId, ForbiddenReason, FramingFault, H2Fault, HeaderFault, Hop,
    IcmpError, IcmpMessage, IcmpSender, IncidentId, Lookup, Mismatch, Named, Phase, Port,
    ProhibitedReason, Protocol, Queue, RecordFault, RejectReason, Report, RequestFault, Root,
    Rooted, Standing, UnreachableReason, UpgradeFault, entry,
};

/// What no visitor may see: each is in the evidence of some cause, or around it in the report.
pub const CANARIES: &[&str] = &[
    "10.11.12.13",
    "4455",
    "192.0.2.77",
    "/secret",
    "path.sock",
    "evil",
    "<script>alert",
    "canary",
    "X-Hidden",
    "\u{1b}",
    "\\x1b",
    "2033-05-18",
    "987654",
];

/// The incident of every sample, and its time, as they are printed.
pub const INCIDENT: &str = "7K3F-9QXM";
pub const TIME: &str = "2026-11-20T14:05:31Z";
pub const TIME_READ: &str = "2026-11-20 14:05:31 UTC";
/// Since when it fails in every sample, and when it last worked.
pub const FAILING: &str = "2026-11-20 14:02:01 UTC";
pub const WORKED: &str = "2026-11-20 13:02:11 UTC";

const EVIL: &str = "evil<script>alert(1)</script>\u{1b}[2J canary";
const EVIL_BYTES: &[u8] = b"X-Hidden: evil<script>alert(1)</script>\x1b[2J\xff canary";
const UNIX_TIME: Option<u64> = Some(2_000_000_000);
const BYTES: u64 = 987_654;
const WAITED: Duration = Duration::from_millis(987_654);

/// A look-up whose resolver says more than one wants to read.
fn lookup() -> Box<Lookup> {
    Box::new(Lookup {
        resolver: Some("192.0.2.77:4455".parse().unwrap()),
        latency: Some(WAITED),
        alias: Some(EVIL.to_owned()),
        extended: vec![Extended { code: 9, text: EVIL.to_owned() }; 4],
        strays: 987_654,
        errno: None,
        truncated: false,
    })
}

/// What a name led to, and led to before.
fn named() -> Named {
    let addresses = vec!["192.0.2.77".parse().unwrap(), "10.11.12.13".parse().unwrap()];
    let before = Some(Before { addresses: addresses.clone(), ago: WAITED });
    Named { name: EVIL.to_owned(), addresses, before }
}

/// Every cause in the order of the list.
pub fn hostile() -> Vec<Cause> {
    use Cause as C;
    use UnreachableReason as U;
    let queue = Some(Queue { pending: 987_654, backlog: 987_654 });
    let icmp = IcmpError {
        message: IcmpMessage::AdminProhibited,
        kind: 3,
        code: 13,
        from: Some("192.0.2.77".parse().unwrap()),
        sender: IcmpSender::Device,
    };
    let address = "10.11.12.13:4455".parse().unwrap();
    let path = || PathBuf::from("/secret/path.sock");
    let text = || EVIL.to_owned();
    let line = || EVIL_BYTES.to_vec();
    let names = || vec![text(), text()];
    let sizes = || vec![("X-Hidden".to_owned(), 987_654), (text(), 1)];
    let wrong = UpgradeFault::WrongProtocol { asked: text(), got: text() };
    vec![
        C::DnsNxdomain { name: text(), lookup: lookup() },
        C::DnsNoRecords { name: text(), authority: Authority::Referral, lookup: lookup() },
        C::DnsServerFailure { name: text(), rcode: 2, lookup: lookup() },
        C::DnsRefused { name: text(), lookup: lookup() },
        C::DnsAnswerUnusable { name: text(), fault: AnswerFault::Malformed, lookup: lookup() },
        C::DnsTimeout { name: text(), waited: WAITED, lookup: lookup() },
        C::DnsResolverUnreachable { name: text(), errno: Some(111), lookup: lookup() },
        C::DnsConfigInvalid {
            name: text(),
            fault: DnsConfigFault::ResolvConfUnreadable,
            errno: Some(13),
        },
        C::ConnectionRefused { address, remembered: false, other_family: None },
        C::TcpRejectedByFirewall { address, icmp },
        C::ConnectTimeout { address, waited: WAITED, queue, port: Some(Port::Accepts) },
        C::HostUnreachable { address, reason: U::NeighborUnreachable, icmp: Some(icmp) },
        C::NetworkUnreachable { address, reason: U::NoRoute, icmp: None },
        C::ConnectForbiddenLocally { address, errno: 13 },
        C::UnixSocketMissing { path: path(), errno: 2 },
        C::UnixSocketPermissionDenied { path: path() },
        C::UnixSocketRefused { path: path() },
        C::UnixSocketBacklogFull { path: path() },
        C::ConnectFailed {
            target: text(),
            errno: Some(22),
            reason: ConnectFault::BlackholeRoute,
            icmp: None,
        },
        C::LocalFdExhausted { errno: 24 },
        C::LocalPortsExhausted { address },
        C::LocalOutOfMemory { errno: 12 },
        C::LocalStorageFailed { errno: Some(28) },
        C::TlsPeerSpeaksPlaintext { protocol: Protocol::Http },
        C::TlsCertExpired {
            not_after: UNIX_TIME,
            clock: UNIX_TIME,
            names: names(),
            also: vec![CertFault::WrongHost, CertFault::SelfSigned],
        },
        C::TlsCertNotYetValid {
            not_before: UNIX_TIME,
            clock: UNIX_TIME,
            names: names(),
            also: vec![CertFault::ClockWrong],
        },
        C::TlsCertWrongHost { expected: text(), presented: names(), also: Vec::new() },
        C::TlsCertSelfSigned { subject: text(), also: vec![CertFault::WeakKey] },
        C::TlsCertUnknownIssuer { issuer: text(), also: vec![CertFault::MissingIntermediate] },
        C::TlsCertUnusable { reason: CertReason::Revoked, detail: text(), also: Vec::new() },
        C::TlsIncompatible { what: Mismatch::CipherSuite, detail: text() },
        C::ClientCertRequired { alert: 116, name: text() },
        C::TlsAlertReceived { alert: 40, name: text() },
        C::TlsClosedInHandshake { bytes_received: BYTES, reset: true },
        C::TlsHandshakeTimeout { waited: WAITED, bytes_received: BYTES },
        C::TlsBrokenAfterHandshake { detail: text() },
        C::RequestWriteFailed { errno: Some(32), bytes_sent: BYTES },
        C::RequestWriteTimeout { waited: WAITED, bytes_sent: BYTES },
        C::StaleKeepalive { idle: WAITED, served: BYTES },
        C::ClosedBeforeResponse,
        C::ResetBeforeResponse { errno: 104 },
        C::FirstByteTimeout { waited: WAITED, port: Some(Port::Silent) },
        C::ClosedMidHeaders { bytes_received: BYTES, reset: false },
        C::HeaderStallTimeout { waited: WAITED, bytes_received: BYTES },
        C::PlainHttpToTlsPort,
        C::ProxyProtocolExpected,
        C::PeerIsOtherProtocol { protocol: Protocol::Ssh },
        C::Http09Response { first_bytes: line() },
        C::InvalidStatusLine { line: line(), offset: 987_654 },
        C::InvalidHeader { fault: HeaderFault::BareCr, line: line(), offset: 987_654 },
        C::HeaderSectionTooLarge { limit_bytes: 987_654, largest: sizes() },
        C::TooManyHeaders { limit: 987_654, largest: sizes() },
        C::AmbiguousFraming { fault: FramingFault::ContentLengthConflict },
        C::TooManyInterimResponses { limit: 987_654 },
        C::UpgradeFailed { fault: wrong },
        C::BodyClosedShort { received_bytes: BYTES, declared_bytes: Some(BYTES) },
        C::ChunkedTruncated { received_bytes: BYTES },
        C::InvalidTrailer { received_bytes: BYTES, line: line() },
        C::TrailerSectionTooLarge { received_bytes: BYTES, limit_bytes: 987_654 },
        C::BadChunk { received_bytes: BYTES, line: line() },
        C::BodyReset { received_bytes: BYTES, errno: 104 },
        C::BodyStallTimeout { received_bytes: BYTES, waited: WAITED },
        C::H2Goaway { code: 11, debug: line(), last_stream: 987_653, stream: Some(987_655) },
        C::H2RefusedStream,
        C::H2StreamReset { code: 2, received_bytes: BYTES },
        C::H2ProtocolError {
            fault: H2Fault::PingTimeout { waited: WAITED },
            received_bytes: BYTES,
        },
        C::FcgiPeerNotFastcgi { protocol: Protocol::Http, first_bytes: line() },
        C::FcgiMalformedRecord { fault: RecordFault::RequestId },
        C::FcgiRejected { reason: RejectReason::Overloaded, app_status: 987_654 },
        C::FcgiBadCgiHeaders { fault: CgiFault::NoHeaders, line: line(), stderr: text() },
        C::FcgiNoOutput { app_status: 987_654, stderr: text() },
        C::FcgiScriptNotFound { filename: text(), root: path(), stderr: text() },
        C::FcgiScriptForbidden {
            filename: text(),
            reason: ForbiddenReason::Unknown,
            stderr: text(),
        },
        C::FcgiConnectionDropped { reset: true, after: WAITED },
        C::FcgiWorkerDied { reset: true, after: WAITED, stderr: text() },
        C::FcgiWorkerDiedMidResponse {
            reset: true,
            after: WAITED,
            received_bytes: BYTES,
            stderr: text(),
        },
        C::FcgiTimeLimitKill { after: WAITED, before: WAITED },
        C::FcgiPoolSaturated {
            waited: WAITED,
            pending: 987_654,
            backlog: 987_654,
            in_flight: 987_654,
        },
        C::HttpToFastcgiPort { reset: true, after: WAITED },
        C::PhpFatalError { message: text() },
        C::PhpExecutionTimeout { message: text() },
        C::PhpOutOfMemory { message: text() },
        C::HelperServicesDown { message: text() },
        C::UpstreamErrorStatus { hop: Hop::Apache, received_status: 500, said: text() },
        C::UpstreamGatewayError {
            hop: Hop::Nginx,
            failed: Failed::Behind,
            received_status: 502,
            said: text(),
        },
        C::UpstreamUnavailable {
            hop: Hop::Unknown,
            received_status: 503,
            retry_after: Some(text()),
            said: text(),
        },
        C::UpstreamLoop { hop: Hop::Unknown, received_status: 508, said: text() },
        C::RedirectLoop { received_status: 301, location: text() },
        C::RequestHeaderRefused { hop: Hop::Nginx, received_status: 400, cookie_bytes: 987_654 },
        C::FileNotFound,
        C::FileDenied,
        C::FileLinkRefused { errno: 18 },
        C::FileUnreadable { errno: 13 },
        C::MethodNotAllowed { allowed: "GET, HEAD" },
        C::DestinationProhibited { address, reason: ProhibitedReason::OwnListener },
        C::LoopDetected { via: text() },
        C::QueueFull { limit: 987_654, waited: WAITED },
        C::NoHealthyUpstream { servers: vec![(text(), Code::ConnectionRefused, WAITED)] },
        C::NoUpstreamConfigured { host: text() },
        C::NothingConfigured,
        C::Maintenance { until: None, file: Some(path()) },
        C::ProxyInternalError,
        C::ClientGone,
        C::RequestInvalid { fault: RequestFault::HostMissing },
        C::RequestHeaderTooLarge { limit_bytes: 987_654 },
        C::RequestHeaderTimeout { waited: WAITED },
        C::RequestBodyTimeout { waited: WAITED },
        C::TooManyClientConnections { limit: 987_654 },
        C::RequestBodyTooLarge { limit_bytes: BYTES },
    ]
}

/// Some causes as they happen, for pages that are read as prose.
pub fn plausible() -> Vec<Cause> {
    use Cause as C;
    let names = || vec!["old.example".to_owned(), "www.old.example".to_owned()];
    vec![
        C::DnsNxdomain { name: "app.internal".to_owned(), lookup: Box::default() },
        C::DnsServerFailure {
            name: "app.example".to_owned(),
            rcode: 2,
            lookup: Box::new(Lookup {
                resolver: Some("127.0.0.53:53".parse().unwrap()),
                latency: Some(Duration::from_millis(41)),
                extended: vec![
                    Extended { code: 7, text: "signature expired 2026-11-18".to_owned() },
                    Extended { code: 22, text: String::new() },
                ],
                ..Lookup::default()
            }),
        },
        C::ConnectionRefused {
            address: "127.0.0.1:8080".parse().unwrap(),
            remembered: true,
            other_family: None,
        },
        C::UnixSocketMissing { path: PathBuf::from("/run/php/php8.2-fpm.sock"), errno: 2 },
        C::TlsCertExpired {
            not_after: Some(1_795_000_000),
            clock: Some(1_795_183_531),
            names: names(),
            also: vec![CertFault::WrongHost, CertFault::MissingIntermediate],
        },
        C::FirstByteTimeout { waited: Duration::from_millis(60_001), port: Some(Port::Accepts) },
        C::InvalidHeader {
            fault: HeaderFault::NoColon,
            line: b"PHP Warning \x1b[31m<b>undefined</b>".to_vec(),
            offset: 17,
        },
        C::HeaderSectionTooLarge {
            limit_bytes: 65_536,
            largest: vec![("Set-Cookie".to_owned(), 61_002), ("Link".to_owned(), 4_100)],
        },
        C::BodyClosedShort { received_bytes: 4_096, declared_bytes: Some(10_000) },
        C::FcgiWorkerDied { reset: true, after: Duration::from_millis(212), stderr: String::new() },
        C::FcgiPoolSaturated {
            waited: Duration::from_millis(60_001),
            pending: 12,
            backlog: 128,
            in_flight: 17,
        },
        C::FcgiBadCgiHeaders {
            fault: CgiFault::NoHeaders,
            line: b"Warning: cannot load <b>imagick</b>".to_vec(),
            stderr: "PHP message: PHP Warning:  PHP Startup: Unable to load dynamic library\n\
                /usr/lib/php/imagick.so: cannot open shared object file"
                .to_owned(),
        },
        C::UpstreamGatewayError {
            hop: Hop::Cloudflare,
            failed: Failed::Behind,
            received_status: 522,
            said: "shop.example | 522: Connection timed out".to_owned(),
        },
        C::FileDenied,
        C::RequestInvalid { fault: RequestFault::HostMissing },
    ]
}

/// A report with every fix there is, and canaries wherever a value can be.
pub fn hostile_report(cause: Cause) -> Report {
    let command = Some("canary-command --path /secret/path.sock".to_owned());
    let fixes = FixId::all().map(|id| fix(id, command.clone())).collect();
    Report {
        fixes,
        named: Some(named()),
        upstream: Arc::from("canary-upstream"),
        host: EVIL.to_owned(),
        path: format!("/secret/{EVIL}"),
        root: Some(Rooted {
            root: Root::WrongPort,
            certainty: Certainty::Likely,
            because: vec![("listening", format!("10.11.12.13:4455 {EVIL}"))],
        }),
        around: Some(Arc::new(around())),
        ..mild_report(cause)
    }
}

/// What a look brings that finds more than one wants to read.
fn around() -> Around {
    let what = format!("/secret/path.sock {EVIL}");
    let change = Change { at: SystemTime::UNIX_EPOCH, kind: Changed::Configuration, what };
    let changes = Changes { list: vec![change; 3] };
    Around { changes, late: vec!["canary-lane"], ..Around::default() }
}

/// A report as an outage makes it: a few fixes, two attempts.
pub fn mild_report(cause: Cause) -> Report {
    let code = cause.code();
    let entry = entry(code);
    let command = "ss -ltnp 'sport = :4455'".to_owned();
    Report {
        incident: IncidentId::new(0x3c_c6f4_dfb4),
        time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_183_531_987),
        cause,
        certainty: Certainty::Certain,
        fate: if entry.phase <= Phase::Tls { Fate::NotSent } else { Fate::MayHaveBeenProcessed },
        entry,
        status: entry.status,
        fixes: vec![
            fix(FixId::BackendStatus, Some(command)),
            fix(FixId::Reload, None),
            fix(FixId::ContactSite, None),
            fix(FixId::SiteStatus, None),
            fix(FixId::ComeBack, None),
            fix(FixId::StartBackend, None),
        ],
        attempts: vec![attempt(Code::StaleKeepalive, Phase::Head), attempt(code, entry.phase)],
        named: None,
        upstream: Arc::from("shop"),
        host: "shop.example".to_owned(),
        method: http::Method::POST,
        path: "/cart".to_owned(),
        standing: Standing {
            others_served: Some(false),
            failing_since: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_183_321)),
            last_worked: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_179_731)),
        },
        root: None,
        around: None,
    }
}

/// The same once the host was looked at.
pub fn looked(report: Report) -> Report {
    let at = report.time - Duration::from_secs(42);
    let what = "/etc/apache2/ports.conf".to_owned();
    let changes = Changes { list: vec![Change { at, kind: Changed::Configuration, what }] };
    Report {
        root: Some(Rooted {
            root: Root::ServiceStopped,
            certainty: Certainty::Certain,
            because: vec![("unit", "apache2.service inactive".to_owned())],
        }),
        around: Some(Arc::new(Around { changes, late: vec!["logs"], ..Around::default() })),
        ..report
    }
}

pub fn fix(id: FixId, command: Option<String>) -> Fix {
    let row = |(kind, line)| Command { kind, line, elsewhere: kind == CommandKind::Run };
    let commands = command.map(|look| {
        let edit = "/secret/www.conf pm.max_children".to_owned();
        let run = "canary-restart".to_owned();
        let rows = [(CommandKind::Look, look), (CommandKind::Edit, edit), (CommandKind::Run, run)];
        rows.map(row).to_vec()
    });
    let shown = commands.is_some();
    Fix {
        commands: commands.unwrap_or_default(),
        because: if shown { vec![("address", "10.11.12.13:4455".to_owned())] } else { Vec::new() },
        other_host: shown.then(|| "canary-host".to_owned()),
        workers_fit: shown.then_some(987_654),
        ..Fix::new(id)
    }
}

fn attempt(code: Code, phase: Phase) -> AttemptSummary {
    AttemptSummary {
        server: "http://canary-server:4455".to_owned(),
        address: Some("10.11.12.13:4455".parse().unwrap()),
        code,
        phase,
        reused: code == Code::StaleKeepalive,
        addresses: match code {
            Code::ConnectionRefused => vec![
                tried("[fd00:beef::77]:4455", Code::ConnectTimeout, 2_750),
                tried("10.11.12.13:4455", code, 1),
            ],
            _ => Vec::new(),
        },
        stages: vec![
            (Phase::Connect, Duration::from_micros(125)),
            (Phase::Send, Duration::from_micros(80)),
            (Phase::Head, Duration::from_millis(60_001)),
        ],
        first_byte: None,
        bytes_sent: 512,
        bytes_received: 0,
    }
}

fn tried(address: &str, code: Code, milliseconds: u64) -> AddressSummary {
    let (address, took) = (address.parse().unwrap(), Duration::from_millis(milliseconds));
    AddressSummary { address, code, took }
}
