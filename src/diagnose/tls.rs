//! What a failure of TLS means: the peer's first bytes, then rustls's verdict, then the chain that
//! was presented.
//!
//! The cause is the fault that the verifier met first; the others stand beside it, so that all are
//! mended at once. Pure.

use std::io;

use rustls::{AlertDescription, CertificateError, Error as Tls, PeerIncompatible};

use crate::upstream::{self, Attempt, Presented, TlsFailure};

use super::cause::Cause;
use super::certificate::{self, Reading};
use super::classify::first_bytes;
use super::facts::Facts;
use super::faults::Protocol;
use super::faults::{CertFault, CertReason, Mismatch};
use super::fingerprint;
use super::report::Certainty::{self, Certain, Likely};

/// The cause of a failed handshake.
pub(super) fn classify(
    failure: &TlsFailure,
    attempt: &Attempt,
    facts: &Facts,
) -> (Cause, Certainty) {
    let first = first_bytes(attempt);
    // The raw bytes before what rustls makes of them.
    if !first.is_empty() && !fingerprint::is_tls_record(first) {
        let protocol = fingerprint::protocol(first).unwrap_or(Protocol::Unknown);
        return (Cause::TlsPeerSpeaksPlaintext { protocol }, Certain);
    }
    let bytes_received = attempt.bytes_received;
    let silent = matches!(failure, TlsFailure::Ended(_) | TlsFailure::TimedOut);
    if let Some(protocol) = facts.speaks.filter(|_| silent && bytes_received == 0) {
        return (Cause::TlsPeerSpeaksPlaintext { protocol }, Certain);
    }
    match failure {
        TlsFailure::TimedOut => {
            let waited = attempt.upstream.timeouts.tls;
            (Cause::TlsHandshakeTimeout { waited, bytes_received }, Likely)
        }
        TlsFailure::Ended(error) => {
            let reset = error.kind() == io::ErrorKind::ConnectionReset;
            (Cause::TlsClosedInHandshake { bytes_received, reset }, Certain)
        }
        TlsFailure::Rustls(error) => handshake(error, attempt),
        TlsFailure::Trust => {
            let reason = CertReason::NoAuthorities;
            let detail = "the configured certificate authorities cannot be used".to_owned();
            (Cause::TlsCertUnusable { reason, detail, also: Vec::new() }, Certain)
        }
    }
}

/// The cause of what TLS says once the handshake is done.
pub(super) fn broken(error: &Tls, attempt: &Attempt) -> (Cause, Certainty) {
    match error {
        Tls::AlertReceived(alert) => alert_received(*alert, attempt),
        other => (Cause::TlsBrokenAfterHandshake { detail: other.to_string() }, Certain),
    }
}

fn handshake(error: &Tls, attempt: &Attempt) -> (Cause, Certainty) {
    match error {
        Tls::InvalidCertificate(fault) => (certificate_fault(fault, attempt), Certain),
        Tls::AlertReceived(alert) => alert_received(*alert, attempt),
        Tls::PeerIncompatible(reason) => {
            let (what, detail) = (mismatch(reason), error.to_string());
            (Cause::TlsIncompatible { what, detail }, Certain)
        }
        Tls::NoApplicationProtocol => {
            let (what, detail) = (Mismatch::ApplicationProtocol, error.to_string());
            (Cause::TlsIncompatible { what, detail }, Certain)
        }
        // What it sent is TLS, and not what the handshake allows here.
        other => {
            let (what, detail) = (Mismatch::Handshake, other.to_string());
            (Cause::TlsIncompatible { what, detail }, Certain)
        }
    }
}

/// RFC 8446 section 6.2. A server that misses our certificate says so by 116 in TLS 1.3, after the
/// handshake; in TLS 1.2 and from older libraries it is 40 or 42, upon an answer without one.
fn alert_received(alert: AlertDescription, attempt: &Attempt) -> (Cause, Certainty) {
    let number = u8::from(alert);
    let name = fingerprint::alert_name(number).map_or_else(|| format!("{alert:?}"), str::to_owned);
    let what = match alert {
        AlertDescription::ProtocolVersion => Mismatch::Version,
        AlertDescription::InsufficientSecurity => Mismatch::CipherSuite,
        AlertDescription::NoApplicationProtocol => Mismatch::ApplicationProtocol,
        AlertDescription::CertificateRequired => {
            return (Cause::ClientCertRequired { alert: number, name }, Certain);
        }
        AlertDescription::HandshakeFailure | AlertDescription::BadCertificate
            if attempt.asked_for_certificate =>
        {
            return (Cause::ClientCertRequired { alert: number, name }, Likely);
        }
        _ => return (Cause::TlsAlertReceived { alert: number, name }, Certain),
    };
    let detail = format!("alert {number}: {name}");
    (Cause::TlsIncompatible { what, detail }, Certain)
}

fn mismatch(reason: &PeerIncompatible) -> Mismatch {
    use PeerIncompatible as P;
    match reason {
        P::ServerDoesNotSupportTls12Or13
        | P::ServerTlsVersionIsDisabledByOurConfig
        | P::SupportedVersionsExtensionRequired
        | P::Tls12NotOffered
        | P::Tls12NotOfferedOrEnabled => Mismatch::Version,
        P::NoCipherSuitesInCommon => Mismatch::CipherSuite,
        P::NoKxGroupsInCommon
        | P::KeyShareExtensionRequired
        | P::NamedGroupsExtensionRequired
        | P::EcPointsExtensionRequired
        | P::NoEcPointFormatsInCommon
        | P::UncompressedEcPointsRequired => Mismatch::KeyExchange,
        P::NoSignatureSchemesInCommon
        | P::NoCertificateRequestSignatureSchemesInCommon
        | P::SignatureAlgorithmsExtensionRequired => Mismatch::Signature,
        _ => Mismatch::Extension,
    }
}

fn certificate_fault(verdict: &CertificateError, attempt: &Attempt) -> Cause {
    let expected = upstream::server_name(&attempt.upstream, attempt.server()).into_owned();
    let presented = attempt.remains.as_ref().and_then(|remains| remains.presented.as_deref());
    let reading = presented
        .map_or_else(Reading::default, |chain| certificate::read(chain, verdict, &expected));
    let clock = presented.map(|Presented { at, .. }| *at);
    let also = |own: CertFault| -> Vec<CertFault> {
        reading.faults.iter().copied().filter(|fault| *fault != own).collect()
    };
    match verdict {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            let also = also(CertFault::Expired);
            let (not_after, names) = (reading.not_after, reading.names);
            Cause::TlsCertExpired { not_after, clock, names, also }
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            let also = also(CertFault::NotYetValid);
            let (not_before, names) = (reading.not_before, reading.names);
            Cause::TlsCertNotYetValid { not_before, clock, names, also }
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            let also = also(CertFault::WrongHost);
            Cause::TlsCertWrongHost { expected, presented: reading.names, also }
        }
        CertificateError::UnknownIssuer if !reading.self_signed => {
            let also = also(CertFault::UnknownIssuer);
            Cause::TlsCertUnknownIssuer { issuer: reading.issuer, also }
        }
        // webpki looks at the basic constraints before the issuer: a certificate made by
        // `openssl req -x509` is a CA used as a leaf before it is self-signed.
        CertificateError::UnknownIssuer | CertificateError::Other(_) if reading.self_signed => {
            let also = also(CertFault::SelfSigned);
            Cause::TlsCertSelfSigned { subject: reading.subject, also }
        }
        other => unusable(other, reading),
    }
}

/// The faults that are neither of date, name nor issuer.
fn unusable(verdict: &CertificateError, reading: Reading) -> Cause {
    use CertificateError as E;
    let (reason, own) = match verdict {
        E::Revoked => (CertReason::Revoked, None),
        E::UnknownRevocationStatus => (CertReason::RevocationUnknown, None),
        E::ExpiredRevocationList | E::ExpiredRevocationListContext { .. } => {
            (CertReason::RevocationListExpired, None)
        }
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => {
            (CertReason::WrongPurpose, Some(CertFault::NotForServers))
        }
        E::BadSignature => (CertReason::BadSignature, None),
        E::BadEncoding => (CertReason::BadEncoding, None),
        E::UnsupportedSignatureAlgorithmContext { .. }
        | E::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            (CertReason::UnsupportedSignature, Some(CertFault::WeakSignature))
        }
        E::UnhandledCriticalExtension => (CertReason::UnhandledExtension, None),
        E::Other(_) if reading.authority => (CertReason::AuthorityAsServer, None),
        _ => (CertReason::Other, None),
    };
    let also = reading.faults.into_iter().filter(|fault| Some(*fault) != own).collect();
    Cause::TlsCertUnusable { reason, detail: verdict.to_string(), also }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::time::{Duration, Instant};

    use rustls::{InvalidMessage, PeerMisbehaved};

    use crate::config::{Scheme, Server, ServerAddress, Upstream};

    use super::*;
    use AlertDescription as A;
    use PeerIncompatible as P;

    fn attempt(asked_for_certificate: bool) -> Attempt {
        let address = ServerAddress::Ip("127.0.0.1:443".parse().unwrap());
        let upstream = Upstream::new("shop", vec![Server { scheme: Scheme::Https, address }]);
        let mut attempt = Attempt::new(Rc::new(upstream), 0, Instant::now());
        attempt.asked_for_certificate = asked_for_certificate;
        attempt
    }

    #[test]
    fn each_verdict_of_rustls_is_one_cause() {
        let alert = |alert: A| Tls::AlertReceived(alert);
        for (error, asked, cause, certainty, evidence) in [
            (alert(A::HandshakeFailure), false, "tls_alert_received", Certain, "handshake_failure"),
            (alert(A::HandshakeFailure), true, "client_cert_required", Likely, "handshake_failure"),
            (alert(A::BadCertificate), true, "client_cert_required", Likely, "bad_certificate"),
            (alert(A::BadCertificate), false, "tls_alert_received", Certain, "bad_certificate"),
            (alert(A::UnknownCA), true, "tls_alert_received", Certain, "unknown_ca"),
            (alert(A::CertificateRequired), true, "client_cert_required", Certain, "116"),
            (alert(A::UnrecognisedName), false, "tls_alert_received", Certain, "no site"),
            (alert(A::InternalError), false, "tls_alert_received", Certain, "trouble of its own"),
            (alert(A::Unknown(200)), false, "tls_alert_received", Certain, "200"),
            (alert(A::ProtocolVersion), false, "tls_incompatible", Certain, "version"),
            (alert(A::InsufficientSecurity), false, "tls_incompatible", Certain, "cipher_suite"),
            (
                alert(A::NoApplicationProtocol),
                false,
                "tls_incompatible",
                Certain,
                "application_protocol",
            ),
            (P::NoCipherSuitesInCommon.into(), false, "tls_incompatible", Certain, "cipher_suite"),
            (P::NoKxGroupsInCommon.into(), false, "tls_incompatible", Certain, "key_exchange"),
            (P::NoSignatureSchemesInCommon.into(), false, "tls_incompatible", Certain, "signature"),
            (
                P::ServerDoesNotSupportTls12Or13.into(),
                false,
                "tls_incompatible",
                Certain,
                "version",
            ),
            (P::NullCompressionRequired.into(), false, "tls_incompatible", Certain, "extension"),
            (InvalidMessage::InvalidCcs.into(), false, "tls_incompatible", Certain, "handshake"),
            (
                PeerMisbehaved::IllegalHelloRetryRequestWithEmptyCookie.into(),
                false,
                "tls_incompatible",
                Certain,
                "handshake",
            ),
            (CertificateError::Revoked.into(), false, "tls_cert_unusable", Certain, "revoked"),
            (
                CertificateError::BadEncoding.into(),
                false,
                "tls_cert_unusable",
                Certain,
                "bad_encoding",
            ),
            (CertificateError::UnknownIssuer.into(), false, "tls_cert_unknown_issuer", Certain, ""),
        ] {
            let failure = TlsFailure::Rustls(error);
            let (found, how_sure) = classify(&failure, &attempt(asked), &Facts::default());
            assert_eq!((found.code().name(), how_sure), (cause, certainty), "{failure:?}");
            let rows = found.evidence();
            let shown = rows.iter().any(|(_, value)| value.contains(evidence));
            assert!(shown, "{failure:?}: no {evidence:?} in {rows:?}");
        }
    }

    #[test]
    fn the_first_bytes_come_before_what_rustls_makes_of_them() {
        let mut attempt = attempt(false);
        attempt.keep_first_bytes(b"SSH-2.0-OpenSSH_9.2p1\r\n");
        let plain = Cause::TlsPeerSpeaksPlaintext { protocol: Protocol::Ssh };
        for failure in [
            TlsFailure::Rustls(InvalidMessage::InvalidContentType.into()),
            TlsFailure::Ended(io::ErrorKind::UnexpectedEof.into()),
            TlsFailure::TimedOut,
        ] {
            let found = classify(&failure, &attempt, &Facts::default());
            assert_eq!(found, (plain.clone(), Certain), "{failure:?}");
        }
        attempt.keep_first_bytes(b"\x16\x03\x03");
        attempt.bytes_received = 3;
        let waited = Duration::from_secs(5);
        let late = Cause::TlsHandshakeTimeout { waited, bytes_received: 3 };
        let redis = Facts { speaks: Some(Protocol::Redis), ..Facts::default() };
        for facts in [Facts::default(), redis] {
            let found = classify(&TlsFailure::TimedOut, &attempt, &facts);
            assert_eq!(found, (late.clone(), Likely), "{facts:?}");
        }
    }

    #[test]
    fn a_server_that_said_nothing_is_known_by_what_it_speaks_in_the_open() {
        let attempt = attempt(false);
        let facts = Facts { speaks: Some(Protocol::Http), ..Facts::default() };
        let plain = Cause::TlsPeerSpeaksPlaintext { protocol: Protocol::Http };
        for failure in
            [TlsFailure::Ended(io::ErrorKind::UnexpectedEof.into()), TlsFailure::TimedOut]
        {
            let found = classify(&failure, &attempt, &facts);
            assert_eq!(found, (plain.clone(), Certain), "{failure:?}");
        }
    }

    #[test]
    fn after_the_handshake_an_alert_is_an_alert_and_the_rest_a_break() {
        for (error, cause) in [
            (Tls::AlertReceived(A::CertificateRequired), "client_cert_required"),
            (Tls::AlertReceived(A::InternalError), "tls_alert_received"),
            (Tls::DecryptError, "tls_broken_after_handshake"),
            (Tls::PeerSentOversizedRecord, "tls_broken_after_handshake"),
        ] {
            assert_eq!(broken(&error, &attempt(false)).0.code().name(), cause, "{error:?}");
        }
    }
}
