//! What went wrong on the wire: one enum a stage, the evidence in fields, the error kept as source.
//!
//! A failure says what was observed, not what it means: that is `diagnose::classify`. Imports the
//! faults of the codecs only.

use std::io;
use std::net::IpAddr;

use strum::IntoStaticStr;
use thiserror::Error;

use super::client_body::UploadFailure;
use super::fastcgi::cgi_head::CgiHeadFault;
use super::fastcgi::record::{ProtocolStatus, RecordFault};
use super::http1::body::ChunkPart;

/// RFC 9113 section 7: "the endpoint requires that HTTP/1.1 be used instead of HTTP/2".
const HTTP_1_1_REQUIRED: u32 = 0xd;

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
    Upload(#[source] UploadFailure),
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
    Io {
        #[source]
        error: io::Error,
        /// What a device on the way said, where one did.
        icmp: Option<Icmp>,
    },
    #[error("no answer to the connection request")]
    TimedOut,
    /// Refused a moment ago; not tried again yet.
    #[error("refused a moment ago")]
    Remembered {
        #[source]
        error: io::Error,
        icmp: Option<Icmp>,
    },
    /// The name leads to an address that no name may lead to.
    #[error("the name leads to a forbidden address")]
    Prohibited(Prohibited),
}

/// An ICMP error that ended a connect (RFC 792, RFC 4443 section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Icmp {
    pub version: IcmpVersion,
    /// The message's type.
    pub kind: u8,
    pub code: u8,
    /// The device that sent it.
    pub offender: Option<IpAddr>,
    /// That device is this host: its kernel gave up, or its own rules rejected.
    pub own: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IcmpVersion {
    V4,
    V6,
}

/// Why a name must not lead to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prohibited {
    /// One of our own listeners.
    OwnListener,
    /// The metadata service of a cloud, which gives out credentials.
    Metadata,
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
    #[error("HTTP/2 fails under the head")]
    Http2(#[source] Http2Failure),
}

/// How HTTP/2 itself ends a stream or its connection (RFC 9113).
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Http2Failure {
    /// The peer gives the connection up (section 6.8). A stream above `last_stream` was not
    /// processed; without `stream`, none had been opened yet.
    #[error("the peer gives the connection up, code {code}")]
    GoAway { code: u32, debug: Vec<u8>, last_stream: u32, stream: Option<u32> },
    /// The peer vouches that it did not process the request (section 8.7).
    #[error("the peer refuses the stream")]
    Refused,
    #[error("the peer resets the stream, code {code}")]
    Reset { code: u32 },
    /// We refuse what the peer sends; the code is the one that we gave it.
    #[error("the peer breaks the protocol, code {code}")]
    Protocol { code: u32 },
    /// No answer to a PING (section 6.7).
    #[error("the peer does not answer a ping")]
    PingTimedOut,
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
    BadChunk { part: ChunkPart, line: Vec<u8> },
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
    #[error("HTTP/2 fails under the body")]
    Http2(#[source] Http2Failure),
}

impl Http2Failure {
    /// Whether the peer says that it has done nothing with the request: it may go out again,
    /// whatever it asks for (RFC 9113 section 8.7).
    pub fn is_unprocessed(&self) -> bool {
        match self {
            Http2Failure::GoAway { last_stream, stream, .. } => {
                stream.is_none_or(|stream| stream > *last_stream)
            }
            Http2Failure::Refused => true,
            Http2Failure::Reset { .. }
            | Http2Failure::Protocol { .. }
            | Http2Failure::PingTimedOut => false,
        }
    }
}

impl Http2Failure {
    /// Whether the peer says, in place of an answer, that the request is to come over HTTP/1.1. A
    /// GOAWAY says so of what it did not take.
    pub fn wants_http1(&self) -> bool {
        match self {
            Http2Failure::Reset { code } => *code == HTTP_1_1_REQUIRED,
            Http2Failure::GoAway { code, .. } => {
                *code == HTTP_1_1_REQUIRED && self.is_unprocessed()
            }
            Http2Failure::Refused | Http2Failure::Protocol { .. } | Http2Failure::PingTimedOut => {
                false
            }
        }
    }
}

impl ConnectFailure {
    /// The errno, where the kernel gave one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            ConnectFailure::Io { error, .. } | ConnectFailure::Remembered { error, .. } => {
                error.raw_os_error()
            }
            ConnectFailure::TimedOut | ConnectFailure::Prohibited(_) => None,
        }
    }

    /// What a device on the way said.
    pub fn icmp(&self) -> Option<Icmp> {
        match self {
            ConnectFailure::Io { icmp, .. } | ConnectFailure::Remembered { icmp, .. } => *icmp,
            ConnectFailure::TimedOut | ConnectFailure::Prohibited(_) => None,
        }
    }
}

impl Icmp {
    /// Whether the way to `target` was barred, not lost: a rule says no, or the target itself does,
    /// which could not speak were it out of reach. A TCP port that is merely closed answers with a
    /// reset (RFC 1122 section 4.2.2.21), never by ICMP.
    pub fn rejects(&self, target: IpAddr) -> bool {
        let prohibited = match (self.version, self.kind, self.code) {
            // RFC 792, RFC 1812 section 5.2.7.1: port; network, host, communication prohibited.
            (IcmpVersion::V4, 3, code) => matches!(code, 3 | 9 | 10 | 13),
            // RFC 4443 section 3.1: prohibited, port, source address policy, reject route.
            (IcmpVersion::V6, 1, code) => matches!(code, 1 | 4 | 5 | 6),
            (IcmpVersion::V4 | IcmpVersion::V6, _, _) => false,
        };
        let unreachable = match self.version {
            IcmpVersion::V4 => self.kind == 3 && matches!(self.code, 0 | 1),
            IcmpVersion::V6 => self.kind == 1 && matches!(self.code, 0 | 3),
        };
        prohibited || (unreachable && self.offender == Some(target))
    }
}

/// For the flight record: an error of the kernel is its number.
impl Clone for ConnectFailure {
    fn clone(&self) -> ConnectFailure {
        let copy = |error: &io::Error| match error.raw_os_error() {
            Some(errno) => io::Error::from_raw_os_error(errno),
            None => error.kind().into(),
        };
        match self {
            ConnectFailure::Io { error, icmp } => {
                ConnectFailure::Io { error: copy(error), icmp: *icmp }
            }
            ConnectFailure::TimedOut => ConnectFailure::TimedOut,
            ConnectFailure::Remembered { error, icmp } => {
                ConnectFailure::Remembered { error: copy(error), icmp: *icmp }
            }
            ConnectFailure::Prohibited(why) => ConnectFailure::Prohibited(*why),
        }
    }
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
