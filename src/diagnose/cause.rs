//! THE LIST: every cause that Causeway can name, each with the evidence that belongs to it.
//!
//! A [`Cause`] is a diagnosis, not an error: one failure on the wire (ENOENT) may be several
//! causes. [`Code`] is its name, derived from the variants, so that the two cannot drift. The
//! snake_case name is the one word used in page, log, header, JSON and tests. What a cause means
//! for status, phase and blame is `catalog`; what to do about it is `fixes`; its words are in
//! `text`. Imports data only.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use strum::{EnumDiscriminants, EnumIter, EnumString, IntoStaticStr};

use super::dns::{AnswerFault, Authority, DnsConfigFault, Lookup};
use super::facts::{Port, Queue};
use super::faults::{
    CertFault, CertReason, CgiFault, ForbiddenReason, FramingFault, HeaderFault, Mismatch,
    Protocol, RecordFault, RejectReason, RequestFault, UpgradeFault,
};
use super::hop::{Failed, Hop};
use super::http2::H2Fault;
use super::unreached::{ConnectFault, IcmpError, ProhibitedReason, UnreachableReason};

/// What is wrong, with the evidence that shows it. Addresses, paths and bytes in it are for
/// operators.
#[derive(Debug, Clone, PartialEq, Eq, EnumDiscriminants)]
#[strum_discriminants(
    name(Code),
    doc = "The name of a cause.",
    derive(EnumIter, EnumString, IntoStaticStr, Hash, PartialOrd, Ord),
    strum(serialize_all = "snake_case")
)]
pub enum Cause {
    // Resolve.
    DnsNxdomain {
        name: String,
        lookup: Box<Lookup>,
    },
    DnsNoRecords {
        name: String,
        authority: Authority,
        lookup: Box<Lookup>,
    },
    /// SERVFAIL, or another rcode that is neither NXDOMAIN nor REFUSED.
    DnsServerFailure {
        name: String,
        rcode: u16,
        lookup: Box<Lookup>,
    },
    DnsRefused {
        name: String,
        lookup: Box<Lookup>,
    },
    /// An answer came and says nothing that can be read.
    DnsAnswerUnusable {
        name: String,
        fault: AnswerFault,
        lookup: Box<Lookup>,
    },
    DnsTimeout {
        name: String,
        waited: Duration,
        lookup: Box<Lookup>,
    },
    DnsResolverUnreachable {
        name: String,
        errno: Option<i32>,
        lookup: Box<Lookup>,
    },
    DnsConfigInvalid {
        name: String,
        fault: DnsConfigFault,
        errno: Option<i32>,
    },

    // Connect.
    ConnectionRefused {
        address: SocketAddr,
        remembered: bool,
        /// Where somebody listens at the same port, by the other family.
        other_family: Option<SocketAddr>,
    },
    /// A device on the way, or the host itself, says by ICMP that it will not let us through.
    TcpRejectedByFirewall {
        address: SocketAddr,
        icmp: IcmpError,
    },
    ConnectTimeout {
        address: SocketAddr,
        waited: Duration,
        /// The listener's accept queue, where that is on this host and full.
        queue: Option<Queue>,
        /// Whether the port takes connections a moment later.
        port: Option<Port>,
    },
    HostUnreachable {
        address: SocketAddr,
        reason: UnreachableReason,
        icmp: Option<IcmpError>,
    },
    NetworkUnreachable {
        address: SocketAddr,
        reason: UnreachableReason,
        icmp: Option<IcmpError>,
    },
    /// EACCES or EPERM on a TCP connect: a local policy.
    ConnectForbiddenLocally {
        address: SocketAddr,
        errno: i32,
    },
    UnixSocketMissing {
        path: PathBuf,
        errno: i32,
    },
    UnixSocketPermissionDenied {
        path: PathBuf,
    },
    UnixSocketRefused {
        path: PathBuf,
    },
    UnixSocketBacklogFull {
        path: PathBuf,
    },
    /// Any other errno, kept raw.
    ConnectFailed {
        target: String,
        errno: Option<i32>,
        reason: ConnectFault,
        icmp: Option<IcmpError>,
    },
    LocalFdExhausted {
        errno: i32,
    },
    LocalPortsExhausted {
        address: SocketAddr,
    },
    LocalOutOfMemory {
        errno: i32,
    },
    /// A request body could not be kept or read back: our own disk.
    LocalStorageFailed {
        errno: Option<i32>,
    },

    // TLS.
    TlsPeerSpeaksPlaintext {
        protocol: Protocol,
    },
    TlsCertExpired {
        /// The earliest end on the path.
        not_after: Option<u64>,
        /// Our own, at the handshake.
        clock: Option<u64>,
        names: Vec<String>,
        also: Vec<CertFault>,
    },
    TlsCertNotYetValid {
        /// The latest beginning on the path.
        not_before: Option<u64>,
        clock: Option<u64>,
        names: Vec<String>,
        also: Vec<CertFault>,
    },
    TlsCertWrongHost {
        expected: String,
        presented: Vec<String>,
        also: Vec<CertFault>,
    },
    TlsCertSelfSigned {
        subject: String,
        also: Vec<CertFault>,
    },
    TlsCertUnknownIssuer {
        issuer: String,
        also: Vec<CertFault>,
    },
    /// Wrong in another way than date, name and issuer.
    TlsCertUnusable {
        reason: CertReason,
        detail: String,
        also: Vec<CertFault>,
    },
    TlsIncompatible {
        what: Mismatch,
        detail: String,
    },
    /// The server wants a certificate from us.
    ClientCertRequired {
        alert: u8,
        name: String,
    },
    TlsAlertReceived {
        alert: u8,
        name: String,
    },
    TlsClosedInHandshake {
        bytes_received: u64,
        reset: bool,
    },
    TlsHandshakeTimeout {
        waited: Duration,
        bytes_received: u64,
    },
    TlsBrokenAfterHandshake {
        detail: String,
    },

    // Send.
    RequestWriteFailed {
        errno: Option<i32>,
        bytes_sent: u64,
    },
    RequestWriteTimeout {
        waited: Duration,
        bytes_sent: u64,
    },

    // Wait for the head.
    StaleKeepalive {
        idle: Duration,
        served: u64,
    },
    ClosedBeforeResponse,
    ResetBeforeResponse {
        errno: i32,
    },
    FirstByteTimeout {
        waited: Duration,
        /// Whether the port takes connections a moment later.
        port: Option<Port>,
    },
    ClosedMidHeaders {
        bytes_received: u64,
        reset: bool,
    },
    HeaderStallTimeout {
        waited: Duration,
        bytes_received: u64,
    },

    // Parse the head.
    PlainHttpToTlsPort,
    /// The server waits for the line of the PROXY protocol, which we do not send.
    ProxyProtocolExpected,
    PeerIsOtherProtocol {
        protocol: Protocol,
    },
    Http09Response {
        first_bytes: Vec<u8>,
    },
    InvalidStatusLine {
        line: Vec<u8>,
        offset: usize,
    },
    InvalidHeader {
        fault: HeaderFault,
        line: Vec<u8>,
        offset: usize,
    },
    HeaderSectionTooLarge {
        limit_bytes: usize,
        largest: Vec<(String, usize)>,
    },
    TooManyHeaders {
        limit: usize,
        largest: Vec<(String, usize)>,
    },
    AmbiguousFraming {
        fault: FramingFault,
    },
    TooManyInterimResponses {
        limit: usize,
    },
    UpgradeFailed {
        fault: UpgradeFault,
    },

    // Body.
    BodyClosedShort {
        received_bytes: u64,
        declared_bytes: Option<u64>,
    },
    ChunkedTruncated {
        received_bytes: u64,
    },
    /// Behind the last chunk stands what is no field.
    InvalidTrailer {
        received_bytes: u64,
        line: Vec<u8>,
    },
    TrailerSectionTooLarge {
        received_bytes: u64,
        limit_bytes: usize,
    },
    BadChunk {
        received_bytes: u64,
        line: Vec<u8>,
    },
    BodyReset {
        received_bytes: u64,
        errno: i32,
    },
    BodyStallTimeout {
        received_bytes: u64,
        waited: Duration,
    },

    // HTTP/2.
    /// The peer gave the connection up; it processed nothing above `last_stream`.
    H2Goaway {
        code: u32,
        debug: Vec<u8>,
        last_stream: u32,
        stream: Option<u32>,
    },
    /// The peer would not take the request, and vouches that it did nothing with it.
    H2RefusedStream,
    H2StreamReset {
        code: u32,
        received_bytes: u64,
    },
    H2ProtocolError {
        fault: H2Fault,
        received_bytes: u64,
    },

    // FastCGI.
    /// Something else than FastCGI answers.
    FcgiPeerNotFastcgi {
        protocol: Protocol,
        first_bytes: Vec<u8>,
    },
    FcgiMalformedRecord {
        fault: RecordFault,
    },
    /// END_REQUEST with a protocolStatus other than REQUEST_COMPLETE.
    FcgiRejected {
        reason: RejectReason,
        app_status: u32,
    },
    /// STDOUT began with something that is no CGI header block.
    FcgiBadCgiHeaders {
        fault: CgiFault,
        line: Vec<u8>,
        stderr: String,
    },
    /// END_REQUEST came without a byte of STDOUT.
    FcgiNoOutput {
        app_status: u32,
        stderr: String,
    },
    /// The application server has no script under the path that we sent.
    FcgiScriptNotFound {
        filename: String,
        root: PathBuf,
        stderr: String,
    },
    FcgiScriptForbidden {
        filename: String,
        reason: ForbiddenReason,
        stderr: String,
    },
    /// Closed at once, without a byte.
    FcgiConnectionDropped {
        reset: bool,
        after: Duration,
    },
    /// The connection ended without END_REQUEST, before any STDOUT.
    FcgiWorkerDied {
        reset: bool,
        after: Duration,
        stderr: String,
    },
    /// The same after STDOUT had begun.
    FcgiWorkerDiedMidResponse {
        reset: bool,
        after: Duration,
        received_bytes: u64,
        stderr: String,
    },
    /// Workers end again and again after the same time.
    FcgiTimeLimitKill {
        after: Duration,
        before: Duration,
    },
    /// The request waited in the listener's queue until the time-out.
    FcgiPoolSaturated {
        waited: Duration,
        /// Connections in the accept queue, ours included.
        pending: u32,
        backlog: u32,
        /// Requests of ours that this upstream has in hand or in its queue.
        in_flight: usize,
    },
    /// HTTP is spoken to what looks like a FastCGI port.
    HttpToFastcgiPort {
        reset: bool,
        after: Duration,
    },
    PhpFatalError {
        message: String,
    },
    PhpExecutionTimeout {
        message: String,
    },
    PhpOutOfMemory {
        message: String,
    },
    /// The application says that its database or cache does not answer.
    HelperServicesDown {
        message: String,
    },

    // The upstream says so, in an answer that is complete.
    /// 500, 501, 505 and whatever else stands for nothing finer.
    UpstreamErrorStatus {
        hop: Hop,
        received_status: u16,
        said: String,
    },
    /// A gateway answers for what is behind it.
    UpstreamGatewayError {
        hop: Hop,
        failed: Failed,
        received_status: u16,
        said: String,
    },
    UpstreamUnavailable {
        hop: Hop,
        received_status: u16,
        retry_after: Option<String>,
        said: String,
    },
    UpstreamLoop {
        hop: Hop,
        received_status: u16,
        said: String,
    },
    /// A redirect to where the client already is.
    RedirectLoop {
        received_status: u16,
        location: String,
    },
    /// The upstream does not take so large a request head.
    RequestHeaderRefused {
        hop: Hop,
        received_status: u16,
        cookie_bytes: usize,
    },

    // Files of the site.
    FileNotFound,
    /// A file that is never given out: configuration, source, hidden.
    FileDenied,
    /// A symbolic link leads out of the root, or in a circle.
    FileLinkRefused {
        errno: i32,
    },
    /// Our own process may not read it.
    FileUnreadable {
        errno: i32,
    },
    MethodNotAllowed {
        allowed: &'static str,
    },

    // Ours: policy and overload.
    /// A server's name leads where no name may lead.
    DestinationProhibited {
        address: SocketAddr,
        reason: ProhibitedReason,
    },
    LoopDetected {
        via: String,
    },
    QueueFull {
        limit: usize,
        waited: Duration,
    },
    /// Every server of the block failed a moment ago; each with its last cause, and when.
    NoHealthyUpstream {
        servers: Vec<(String, Code, Duration)>,
    },
    NoUpstreamConfigured {
        host: String,
    },
    /// The configuration has no upstream block at all, as after the installation.
    NothingConfigured,
    /// The block is closed for planned work.
    Maintenance {
        /// When the site is expected back, in Unix seconds; in the future.
        until: Option<u64>,
        /// Whose existence closes it.
        file: Option<PathBuf>,
    },
    ProxyInternalError,

    // The client's.
    ClientGone,
    RequestInvalid {
        fault: RequestFault,
    },
    RequestHeaderTooLarge {
        limit_bytes: usize,
    },
    RequestHeaderTimeout {
        waited: Duration,
    },
    RequestBodyTimeout {
        waited: Duration,
    },
    TooManyClientConnections {
        limit: usize,
    },
    /// A body that has to be gathered first is larger than that may be.
    RequestBodyTooLarge {
        limit_bytes: u64,
    },
}

impl Cause {
    /// Its name.
    pub fn code(&self) -> Code {
        Code::from(self)
    }

    /// When the site is expected back, in Unix seconds, where somebody has said so.
    pub fn expected_back(&self) -> Option<u64> {
        if let Cause::Maintenance { until, .. } = self { *until } else { None }
    }
}

impl Code {
    /// The snake_case name used everywhere.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Every cause, in the order of the stages.
    pub fn all() -> impl Iterator<Item = Code> {
        <Code as strum::IntoEnumIterator>::iter()
    }
}
