//! Any failure, with any flight record and any facts beside it, out of a fuzzer's bytes: also those
//! that no exchange would leave behind.

use std::rc::Rc;
use std::time::{Duration, Instant};

use rustls::{AlertDescription, CertificateError, InvalidMessage, PeerIncompatible};
use rustls::{Error as Tls, PeerMisbehaved};

use crate::config::{Scheme, Server, ServerAddress, Upstream};
use crate::diagnose::{Facts, Port, Probed, Protocol, Queue};
use crate::upstream::fastcgi::cgi_head::CgiHeadFault;
use crate::upstream::fastcgi::record::{ProtocolStatus, RecordFault};
use crate::upstream::http1::body::ChunkPart;
use crate::upstream::{
    AnswerFault, Attempt, Authority, Before, BodyFailure, ConnectFailure, Extended, Failure,
    HeadFailure, HeaderLineFault, Http2Failure, Icmp, IcmpVersion, LengthFault, Lookup, NameFault,
    Named, Presented, Prohibited, ResolveFailure, ResolverFault, Reuse, SendFailure, Stage,
    TlsFailure, Tried, UploadFailure,
};

use super::source::Source;

/// Any failure of any stage.
pub fn failure(source: &mut Source<'_>) -> Failure {
    match source.byte() % 16 {
        0 | 1 => Failure::Resolve(resolve(source)),
        2..=4 => Failure::Connect(connect(source)),
        5 | 6 => Failure::Tls(tls(source)),
        7 => Failure::Send(match source.byte() % 3 {
            0 => SendFailure::TimedOut,
            1 => SendFailure::Spool(source.io_error()),
            _ => SendFailure::Io(source.io_error()),
        }),
        8..=12 => Failure::Head(head(source)),
        13 | 14 => Failure::Body(body(source)),
        _ => Failure::Upload(match source.byte() % 3 {
            0 => UploadFailure::Http1(source.io_error()),
            1 => UploadFailure::Http2(h2::Reason::CANCEL.into()),
            _ => UploadFailure::TimedOut { waited: Duration::from_secs(30) },
        }),
    }
}

fn resolve(source: &mut Source<'_>) -> ResolveFailure {
    use AnswerFault as A;
    use NameFault as N;
    match source.byte() % 9 {
        0 => ResolveFailure::NxDomain,
        1 => {
            let authority = source.pick(&[Authority::Soa, Authority::Referral, Authority::None]);
            ResolveFailure::NoRecords { authority }
        }
        2 => {
            let rcode = source.short();
            ResolveFailure::Rcode { rcode: source.pick(&[2, 5, 9, rcode]) }
        }
        3 => ResolveFailure::Unusable(source.pick(&[A::Malformed, A::Truncated, A::ForeignClass])),
        4 => ResolveFailure::TimedOut,
        5 => ResolveFailure::Unreachable(source.maybe(Source::io_error)),
        6 => {
            let errno = i32::from(source.byte());
            ResolveFailure::Resolver(ResolverFault::Unreadable { errno })
        }
        7 => ResolveFailure::Resolver(ResolverFault::NoServer),
        _ => {
            let faults = [N::LabelEmpty, N::LabelTooLong, N::TooLong, N::Character];
            ResolveFailure::Name(source.pick(&faults))
        }
    }
}

fn connect(source: &mut Source<'_>) -> ConnectFailure {
    let icmp = source.maybe(icmp);
    match source.byte() % 5 {
        0 => ConnectFailure::TimedOut,
        1 => {
            let why = source.pick(&[Prohibited::OwnListener, Prohibited::Metadata]);
            ConnectFailure::Prohibited(why)
        }
        2 => ConnectFailure::Remembered { error: source.io_error(), icmp },
        _ => ConnectFailure::Io { error: source.io_error(), icmp },
    }
}

fn icmp(source: &mut Source<'_>) -> Icmp {
    Icmp {
        version: source.pick(&[IcmpVersion::V4, IcmpVersion::V6]),
        kind: source.pick(&[3, 1, 11, 0, 255]),
        code: source.byte() % 20,
        offender: source.maybe(Source::ip),
        own: source.flag(),
    }
}

fn tls(source: &mut Source<'_>) -> TlsFailure {
    match source.byte() % 8 {
        0 => TlsFailure::Ended(source.io_error()),
        1 => TlsFailure::TimedOut,
        2 => TlsFailure::Trust,
        _ => TlsFailure::Rustls(rustls(source)),
    }
}

fn rustls(source: &mut Source<'_>) -> Tls {
    use PeerIncompatible as P;
    match source.byte() % 12 {
        0 => Tls::AlertReceived(AlertDescription::from(source.byte())),
        1 => Tls::PeerIncompatible(P::NoCipherSuitesInCommon),
        2 => Tls::PeerIncompatible(P::ServerDoesNotSupportTls12Or13),
        3 => Tls::PeerIncompatible(P::NoKxGroupsInCommon),
        4 => Tls::PeerMisbehaved(PeerMisbehaved::UnsolicitedEncryptedExtension),
        5 => Tls::InvalidMessage(InvalidMessage::InvalidCcs),
        6 => Tls::General(source.word()),
        7 => Tls::NoApplicationProtocol,
        8 => Tls::DecryptError,
        _ => Tls::InvalidCertificate(verdict(source)),
    }
}

/// What a verifier may hold against a certificate.
pub fn verdict(source: &mut Source<'_>) -> CertificateError {
    use CertificateError as E;
    let verdicts = [
        E::BadEncoding,
        E::Expired,
        E::NotValidYet,
        E::Revoked,
        E::UnhandledCriticalExtension,
        E::UnknownIssuer,
        E::UnknownRevocationStatus,
        E::ExpiredRevocationList,
        E::BadSignature,
        E::NotValidForName,
        E::InvalidPurpose,
        E::InvalidOcspResponse,
        E::ApplicationVerificationFailure,
    ];
    verdicts[usize::from(source.byte()) % verdicts.len()].clone()
}

fn head(source: &mut Source<'_>) -> HeadFailure {
    let offset = source.size();
    match source.byte() % 19 {
        0 | 1 => HeadFailure::Closed,
        18 => HeadFailure::Http2(http2(source)),
        2 | 3 => HeadFailure::Io(source.io_error()),
        4 => HeadFailure::TimedOut,
        5 => HeadFailure::Tls(rustls(source)),
        6 => HeadFailure::Foreign,
        7 => HeadFailure::StatusLine { offset },
        8 => HeadFailure::Header { kind: header_line(source), offset },
        9 => HeadFailure::TooLarge { limit_bytes: offset },
        10 => HeadFailure::TooManyHeaders { limit: offset },
        11 => HeadFailure::Framing(length(source)),
        12 => HeadFailure::TooManyInterim { limit: offset },
        13 => HeadFailure::UpgradeUnasked,
        14 => HeadFailure::UpgradeProtocol { asked: source.word(), got: source.word() },
        15 => HeadFailure::Record(record(source)),
        16 => HeadFailure::Cgi(cgi_head(source)),
        _ => rejected(source),
    }
}

fn rejected(source: &mut Source<'_>) -> HeadFailure {
    use ProtocolStatus as P;
    let app_status = u32::from(source.byte());
    match source.flag() {
        true => HeadFailure::NoOutput { app_status },
        false => {
            let all = [P::Complete, P::CannotMultiplex, P::Overloaded, P::UnknownRole];
            HeadFailure::Rejected { status: source.pick(&all), app_status }
        }
    }
}

fn header_line(source: &mut Source<'_>) -> HeaderLineFault {
    use HeaderLineFault as H;
    source.pick(&[
        H::Name,
        H::Value,
        H::Nul,
        H::BareCr,
        H::ObsFold,
        H::SpaceBeforeColon,
        H::NoColon,
    ])
}

fn length(source: &mut Source<'_>) -> LengthFault {
    use LengthFault as L;
    source.pick(&[
        L::ContentLengthInvalid,
        L::ContentLengthConflict,
        L::ContentLengthWithTransferEncoding,
        L::TransferEncodingOnHttp10,
        L::UnsupportedTransferEncoding,
    ])
}

fn record(source: &mut Source<'_>) -> RecordFault {
    let byte = source.byte();
    source.pick(&[
        RecordFault::Version { byte },
        RecordFault::RequestId { id: u16::from(byte) },
        RecordFault::Type { kind: byte },
        RecordFault::EndLength { length: u16::from(byte) },
        RecordFault::ProtocolStatus { value: byte },
        RecordFault::Idle { limit: byte },
    ])
}

fn cgi_head(source: &mut Source<'_>) -> CgiHeadFault {
    let line = source.heard();
    match source.byte() % 7 {
        0 => CgiHeadFault::NoHead { line },
        1 => CgiHeadFault::Header { kind: header_line(source), offset: source.size(), line },
        2 => CgiHeadFault::Status { line },
        3 => CgiHeadFault::Length { fault: length(source), line },
        4 => CgiHeadFault::TooLarge { limit_bytes: source.size() },
        5 => CgiHeadFault::TooManyHeaders { limit: source.size() },
        _ => CgiHeadFault::Unfinished,
    }
}

fn http2(source: &mut Source<'_>) -> Http2Failure {
    let code = u32::from(source.byte() % 16);
    match source.byte() % 5 {
        0 => Http2Failure::GoAway {
            code,
            debug: source.heard(),
            last_stream: u32::from(source.short()),
            stream: source.maybe(|source| u32::from(source.short())),
        },
        1 => Http2Failure::Refused,
        2 => Http2Failure::Reset { code },
        3 => Http2Failure::Protocol { code },
        _ => Http2Failure::PingTimedOut,
    }
}

fn body(source: &mut Source<'_>) -> BodyFailure {
    match source.byte() % 9 {
        0 => BodyFailure::ClosedShort { declared_bytes: source.maybe(Source::number) },
        1 => BodyFailure::ChunkedTruncated,
        2 => {
            use ChunkPart as P;
            let part = source.pick(&[P::Chunk, P::Trailer, P::TrailerSection]);
            BodyFailure::BadChunk { part, line: source.heard() }
        }
        3 => BodyFailure::Io(source.io_error()),
        4 => BodyFailure::Tls(rustls(source)),
        5 => BodyFailure::TimedOut,
        6 => BodyFailure::Record(record(source)),
        7 => BodyFailure::Http2(http2(source)),
        _ => BodyFailure::Withdrawn,
    }
}

/// Any flight record, with stamps in any order.
pub fn attempt(source: &mut Source<'_>) -> Attempt {
    use Stage as S;
    let name = format!("canary{}", source.byte());
    let address = match source.byte() % 4 {
        0 => ServerAddress::Unix(format!("/run/{}", source.word()).into()),
        1 => ServerAddress::Name { host: "canary.test".to_owned(), port: source.short() },
        _ => ServerAddress::Ip(source.address()),
    };
    let scheme = source.pick(&[Scheme::Http, Scheme::Https, Scheme::FastCgi]);
    let mut upstream = Upstream::new(&name, vec![Server { scheme, address }]);
    upstream.timeouts.connect = source.time();
    let started = Instant::now() + Duration::from_secs(200_000);
    let mut attempt = Attempt::new(Rc::new(upstream), 0, started);
    let stages = [S::Resolve, S::Connect, S::Tls, S::Send, S::Head, S::Body];
    attempt.stage = source.pick(&stages);
    attempt.address = source.maybe(Source::address);
    attempt.tried = source.several(|source| Tried {
        address: attempt.address.filter(|_| source.flag()).unwrap_or_else(|| source.address()),
        failure: connect(source),
        took: source.time(),
    });
    let mut stamp = || {
        source.maybe(|source| match source.byte() % 8 {
            0 => started - source.time(),
            _ => started + source.time(),
        })
    };
    let stamps = &mut attempt.stamps;
    (stamps.resolved, stamps.connected, stamps.secured) = (stamp(), stamp(), stamp());
    (stamps.sent, stamps.first_byte, stamps.head) = (stamp(), stamp(), stamp());
    stamps.ended = stamp();
    attempt.reuse = source.maybe(|source| Reuse { idle: source.time(), served: source.number() });
    attempt.asked_for_certificate = source.flag();
    (attempt.bytes_sent, attempt.bytes_received) = (source.number(), source.number());
    attempt.body_bytes = source.number();
    attempt.status = source.maybe(Source::short);
    attempt.printed = source.flag();
    if source.flag() {
        attempt.stderr().push(source.word().as_bytes());
    }
    if source.flag() {
        remains(source, &mut attempt);
    }
    attempt
}

fn remains(source: &mut Source<'_>, attempt: &mut Attempt) {
    let remains = attempt.remains();
    remains.first_bytes = source.heard();
    remains.line = source.heard();
    remains.largest = source.several(|source| (source.word(), source.size()));
    remains.presented = source.maybe(|source| {
        Box::new(Presented {
            chain: source.several(|source| source.bytes().to_vec()),
            at: source.number(),
            beside_dates: source.maybe(verdict),
        })
    });
    remains.lookup = source.maybe(lookup);
    remains.named = source.maybe(|source| Named {
        name: source.word(),
        addresses: source.several(Source::ip),
        before: source
            .maybe(|source| Before { addresses: source.several(Source::ip), ago: source.time() }),
    });
}

fn lookup(source: &mut Source<'_>) -> Lookup {
    Lookup {
        resolver: source.maybe(Source::address),
        latency: source.maybe(Source::time),
        alias: source.maybe(Source::word),
        extended: source.several(|source| Extended { code: source.short(), text: source.word() }),
        strays: u32::from(source.byte()),
        errno: source.maybe(|source| i32::from(source.byte())),
        truncated: source.flag(),
    }
}

/// What a look at the host may have found.
pub fn facts(source: &mut Source<'_>) -> Facts {
    use Probed as P;
    use Protocol as S;
    let spoken = [S::Tls, S::Http, S::FastCgi, S::Ssh, S::Redis, S::Html, S::Unknown];
    let ports = [Port::Accepts, Port::Refused, Port::Unreachable, Port::Silent];
    let probed = [P::Answers, P::Drops, P::Foreign, P::Gone, P::Silent];
    Facts {
        queue: source.maybe(|source| Queue {
            pending: u32::from(source.byte()),
            backlog: u32::from(source.byte()),
        }),
        neighbor_silent: source.flag(),
        has_answered: source.flag(),
        other_family: source.maybe(Source::address),
        fastcgi: source.maybe(|source| source.pick(&probed)),
        speaks: source.maybe(|source| source.pick(&spoken)),
        expects_proxy_header: source.flag(),
        previous_death: source.maybe(Source::time),
        in_flight: source.size(),
        port: source.maybe(|source| source.pick(&ports)),
    }
}

/// Stops the compiler where a failure was added that is not made above.
pub fn is_made(failure: &Failure) {
    use BodyFailure as B;
    use ConnectFailure as C;
    use HeadFailure as H;
    use ResolveFailure as R;
    use SendFailure as Send;
    use TlsFailure as T;
    match failure {
        Failure::Resolve(R::NxDomain | R::NoRecords { .. } | R::Rcode { .. } | R::Unusable(_)) => {}
        Failure::Resolve(R::TimedOut | R::Unreachable(_) | R::Resolver(_) | R::Name(_)) => {}
        Failure::Connect(C::Io { .. } | C::TimedOut | C::Remembered { .. } | C::Prohibited(_)) => {}
        Failure::Tls(T::Rustls(_) | T::Ended(_) | T::TimedOut | T::Trust) => {}
        Failure::Send(Send::Io(_) | Send::TimedOut | Send::Spool(_)) => {}
        Failure::Head(H::Closed | H::Io(_) | H::TimedOut | H::Tls(_) | H::Foreign) => {}
        Failure::Head(H::StatusLine { .. } | H::Header { .. } | H::TooLarge { .. }) => {}
        Failure::Head(H::TooManyHeaders { .. } | H::Framing(_) | H::TooManyInterim { .. }) => {}
        Failure::Head(H::UpgradeUnasked | H::UpgradeProtocol { .. } | H::Record(_)) => {}
        Failure::Head(H::Cgi(_) | H::NoOutput { .. } | H::Rejected { .. }) => {}
        Failure::Body(B::ClosedShort { .. } | B::ChunkedTruncated | B::BadChunk { .. }) => {}
        Failure::Body(B::Io(_) | B::Tls(_) | B::TimedOut | B::Record(_) | B::Withdrawn) => {}
        Failure::Head(H::Http2(failure)) | Failure::Body(B::Http2(failure)) => match failure {
            Http2Failure::GoAway { .. } | Http2Failure::Refused | Http2Failure::Reset { .. } => {}
            Http2Failure::Protocol { .. } | Http2Failure::PingTimedOut => {}
        },
        Failure::Upload(_) => {}
    }
}
