//! What went wrong on the wire: one enum a stage, the evidence in fields, the error kept as source.
//!
//! A failure says what was observed, not what it means: that is `diagnose::classify`. Imports the
//! faults of the codecs only.

use std::io;

use strum::IntoStaticStr;
use thiserror::Error;

use super::fastcgi::cgi_head::CgiHeadFault;
use super::fastcgi::record::{ProtocolStatus, RecordFault};

/// The stages of one exchange, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    Resolve,
    Connect,
    Tls,
    Send,
    Head,
    Body,
}

/// The first failure of an exchange; what followed it are echoes.
#[derive(Debug, Error)]
pub enum Failure {
    #[error("cannot resolve the upstream's name")]
    Resolve(#[source] ResolveFailure),
    #[error("cannot connect to the upstream")]
    Connect(#[source] ConnectFailure),
    #[error("cannot secure the connection to the upstream")]
    Tls(#[source] TlsFailure),
    #[error("cannot send the request")]
    Send(#[source] SendFailure),
    #[error("cannot read the response head")]
    Head(#[source] HeadFailure),
    #[error("cannot read the response body")]
    Body(#[source] BodyFailure),
    /// The client's request body ended badly; the upstream is not at fault.
    #[error("cannot read the request body")]
    Upload(#[source] hyper::Error),
}

#[derive(Debug, Error)]
pub enum ResolveFailure {
    #[error("the name does not exist")]
    NxDomain,
    #[error("the name has no address")]
    NoRecords { authority: Authority },
    #[error("the resolver answers with rcode {rcode}")]
    Rcode { rcode: u16 },
    #[error("the resolver's answer cannot be used")]
    Unusable(AnswerFault),
    #[error("the resolver does not answer")]
    TimedOut,
    #[error("the resolver cannot be reached")]
    Unreachable(#[source] Option<io::Error>),
    #[error("no resolver can be asked")]
    Resolver(ResolverFault),
    #[error("the name cannot be asked for")]
    Name(NameFault),
}

/// What stands behind an answer without records (RFC 2308 section 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Authority {
    /// A zone vouches for it.
    Soa,
    /// Name servers are named in place of an answer.
    Referral,
    None,
}

/// Why an answer of a resolver is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum AnswerFault {
    /// It cannot be read, or is no answer.
    Malformed,
    /// Cut to fit a datagram, and not to be had over TCP.
    Truncated,
    /// Records of another class than was asked for.
    ForeignClass,
}

/// Why there is nobody to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResolverFault {
    /// resolv.conf cannot be read.
    Unreadable { errno: i32 },
    /// resolv.conf names no name server, or a search domain that is none.
    NoServer,
}

/// Why a name cannot be put into a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameFault {
    LabelEmpty,
    LabelTooLong,
    TooLong,
    Character,
}

#[derive(Debug, Error)]
pub enum ConnectFailure {
    #[error("connect fails")]
    Io(#[source] io::Error),
    #[error("no answer to the connection request")]
    TimedOut,
    /// Refused a moment ago; not tried again yet.
    #[error("refused a moment ago")]
    Remembered(#[source] io::Error),
}

#[derive(Debug, Error)]
pub enum TlsFailure {
    #[error("the handshake fails")]
    Rustls(#[source] rustls::Error),
    /// The peer closed or reset the connection inside the handshake.
    #[error("the connection ends in the handshake")]
    Ended(#[source] io::Error),
    #[error("the handshake does not finish")]
    TimedOut,
    #[error("the configured certificate authorities cannot be used")]
    Trust,
}

#[derive(Debug, Error)]
pub enum SendFailure {
    #[error("write fails")]
    Io(#[source] io::Error),
    #[error("the peer does not read")]
    TimedOut,
    /// The gathered request body cannot be read back: our own disk.
    #[error("cannot read the gathered request body")]
    Spool(#[source] io::Error),
}

#[derive(Debug, Error)]
pub enum HeadFailure {
    /// The peer closed; how many bytes had come stands in the attempt.
    #[error("closed before the end of the head")]
    Closed,
    #[error("read fails")]
    Io(#[source] io::Error),
    #[error("no byte for too long")]
    TimedOut,
    #[error("TLS fails under the head")]
    Tls(#[source] rustls::Error),
    #[error("not the protocol that is spoken here")]
    Foreign,
    #[error("invalid status line at byte {offset}")]
    StatusLine { offset: usize },
    #[error("invalid header line at byte {offset}")]
    Header { kind: HeaderLineFault, offset: usize },
    #[error("more than {limit_bytes} bytes of head")]
    TooLarge { limit_bytes: usize },
    #[error("more than {limit} header lines")]
    TooManyHeaders { limit: usize },
    #[error("ambiguous framing")]
    Framing(LengthFault),
    #[error("more than {limit} interim responses")]
    TooManyInterim { limit: usize },
    #[error("101 that was not asked for")]
    UpgradeUnasked,
    #[error("101 with another protocol")]
    UpgradeProtocol { asked: String, got: String },
    #[error("not an answer in FastCGI")]
    Record(#[source] RecordFault),
    #[error("the output does not begin with a CGI head")]
    Cgi(#[source] CgiHeadFault),
    #[error("the request ended without output")]
    NoOutput { app_status: u32 },
    #[error("the application server rejects the request")]
    Rejected { status: ProtocolStatus, app_status: u32 },
}

/// The kinds of faults in a header line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderLineFault {
    Name,
    Value,
    Nul,
    BareCr,
    ObsFold,
    SpaceBeforeColon,
    NoColon,
}

/// Why the length of a response cannot be known (RFC 9112 section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LengthFault {
    ContentLengthInvalid,
    ContentLengthConflict,
    ContentLengthWithTransferEncoding,
    TransferEncodingOnHttp10,
    UnsupportedTransferEncoding,
}

#[derive(Debug, Error)]
pub enum BodyFailure {
    /// FIN before the declared length, or inside a TLS stream without close_notify.
    #[error("closed before the declared length")]
    ClosedShort { declared_bytes: Option<u64> },
    #[error("closed inside the chunked coding")]
    ChunkedTruncated,
    #[error("invalid chunk")]
    BadChunk { line: Vec<u8> },
    #[error("read fails")]
    Io(#[source] io::Error),
    #[error("TLS fails under the body")]
    Tls(#[source] rustls::Error),
    #[error("no byte for too long")]
    TimedOut,
    #[error("not an answer in FastCGI")]
    Record(#[source] RecordFault),
    /// END_REQUEST took the request back after its answer had begun.
    #[error("the application server gives the request up")]
    Withdrawn,
}

impl Failure {
    /// The stage it belongs to; an upload's failure belongs to sending.
    pub fn stage(&self) -> Stage {
        match self {
            Failure::Resolve(_) => Stage::Resolve,
            Failure::Connect(_) => Stage::Connect,
            Failure::Tls(_) => Stage::Tls,
            Failure::Send(_) | Failure::Upload(_) => Stage::Send,
            Failure::Head(_) => Stage::Head,
            Failure::Body(_) => Stage::Body,
        }
    }
}
