//! Kinds of faults that causes carry as evidence, each with its name in print.
//!
//! What decides them is `classify` and those beside it. Imports nothing.

use strum::{EnumIter, IntoStaticStr};

/// The protocol that a peer turned out to speak, known by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, IntoStaticStr, EnumIter)]
#[strum(serialize_all = "snake_case")]
pub enum Protocol {
    Http,
    Http2,
    Tls,
    FastCgi,
    Ssh,
    Smtp,
    Ftp,
    Pop3,
    Imap,
    Mysql,
    Postgres,
    Redis,
    Memcached,
    Mongodb,
    Amqp,
    Vnc,
    Telnet,
    Mpd,
    Elasticsearch,
    Cgi,
    Html,
    /// Bytes that match no fingerprint.
    Unknown,
}

/// What is wrong with a header line of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum HeaderFault {
    Name,
    Value,
    Nul,
    BareCr,
    ObsFold,
    SpaceBeforeColon,
    NoColon,
}

/// Why the length of a message cannot be known for certain (RFC 9112 section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum FramingFault {
    ContentLengthInvalid,
    ContentLengthConflict,
    ContentLengthWithTransferEncoding,
    TransferEncodingOnHttp10,
    UnsupportedTransferEncoding,
}

/// What is wrong with a FastCGI record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum RecordFault {
    Version,
    Type,
    RequestId,
    /// END_REQUEST whose body is not 8 bytes long.
    EndLength,
    /// A protocolStatus that the specification does not know.
    ProtocolStatus,
    /// Records without content, without end.
    Idle,
}

/// Why an application server rejected a request (FastCGI 1.0 section 5.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum RejectReason {
    CannotMultiplex,
    Overloaded,
    UnknownRole,
}

/// What is wrong with a CGI header block (RFC 3875 section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum CgiFault {
    /// Output before the headers: a notice, a byte order mark, white space.
    NoHeaders,
    Status,
    Header,
    /// The output ended inside the header block.
    Unfinished,
}

/// Why PHP would not run a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum ForbiddenReason {
    /// `security.limit_extensions` of the pool.
    LimitExtensions,
    /// EACCES when the file was opened.
    Permission,
    Unknown,
}

/// Why a connection was not upgraded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpgradeFault {
    /// A 101 that nobody asked for.
    Unasked,
    /// A 101 without `Upgrade`, or with another protocol than asked for.
    WrongProtocol { asked: String, got: String },
}

/// Why a request was refused with 400 before any upstream was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, IntoStaticStr, EnumIter)]
#[strum(serialize_all = "snake_case")]
pub enum RequestFault {
    RequestLine,
    Version,
    HeaderName,
    HeaderValue,
    BareLf,
    BareCr,
    ObsFold,
    SpaceBeforeColon,
    ControlCharacter,
    TooManyHeaders,
    HostMissing,
    HostRepeated,
    HostInvalid,
    HostMismatch,
    /// A connection that was made for another host's certificate, by a client that sends requests
    /// for several hosts over one.
    Misdirected,
    TargetInvalid,
    MethodUnsupported,
    ContentLengthInvalid,
    ContentLengthConflict,
    ContentLengthWithTransferEncoding,
    TransferEncodingUnsupported,
    TransferEncodingOnHttp10,
    /// The port speaks TLS, and the request came without.
    PlainHttpOnTlsPort,
    /// Two fields become one CGI variable.
    FieldTwin,
    ChunkInvalid,
    ChunkSizeOverflow,
    TrailerInvalid,
}

/// One thing that is wrong with the chain that a peer presented; a cause lists those beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum CertFault {
    /// Our own clock, not the certificate: it was never set, or every certificate of the chain lies
    /// in its future.
    ClockWrong,
    Expired,
    IntermediateExpired,
    NotYetValid,
    IntermediateNotYetValid,
    SelfSigned,
    UnknownIssuer,
    /// It came alone, and its issuer's certificate is to be had elsewhere.
    MissingIntermediate,
    WrongHost,
    /// Its extended key usage lacks serverAuth.
    NotForServers,
    /// MD5 or SHA-1.
    WeakSignature,
    /// RSA of less than 2048 bits.
    WeakKey,
}

/// Why a certificate cannot be used that is in date, of the right name and issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum CertReason {
    Revoked,
    RevocationUnknown,
    RevocationListExpired,
    WrongPurpose,
    BadSignature,
    BadEncoding,
    UnsupportedSignature,
    UnhandledExtension,
    /// An authority's own certificate, presented as a server's.
    AuthorityAsServer,
    /// Ours: no authority to trust could be read.
    NoAuthorities,
    Other,
}

/// What two TLS peers do not have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Mismatch {
    Version,
    CipherSuite,
    KeyExchange,
    Signature,
    /// ALPN.
    ApplicationProtocol,
    Extension,
    /// The peer's part of the handshake breaks its rules.
    Handshake,
}
