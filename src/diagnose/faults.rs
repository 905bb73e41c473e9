//! Kinds of faults that causes of TLS carry as evidence, each with its name in print.
//!
//! What decides them is `certificate` and `tls`. Imports nothing.

use strum::IntoStaticStr;

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
