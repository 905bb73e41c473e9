//! Why a handshake with a client did not come about: the fault, typed, and its line in the log.
//!
//! Anybody may begin as many handshakes as he likes, so that the log is bounded: of each kind the
//! first in a minute is told, and how many followed. Each one by itself is told at `debug`.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustls::{AlertDescription, PeerIncompatible};

use crate::diagnose::alert_name;

/// How long a kind that was told stays quiet.
const QUIET: Duration = Duration::from_secs(60);

/// Why a handshake did not come about.
#[derive(Debug)]
pub enum HandshakeFault {
    /// The client did not end it in time.
    TimedOut,
    /// The client left before its end.
    Cut,
    /// A request without TLS.
    PlainHttp,
    /// Something other than TLS came.
    NotTls,
    NoCommonVersion,
    NoCommonSuite,
    NoCommonGroup,
    /// The client can verify no signature of the certificate's kind of key.
    NoCommonSignature,
    /// ALPN.
    NoCommonProtocol,
    /// The client ended it, and says why.
    Alert(AlertDescription),
    /// What the client sent breaks the protocol's rules.
    Invalid(rustls::Error),
    Io(io::Error),
}

/// What was told of failed handshakes, for all workers.
#[derive(Debug, Default)]
pub struct HandshakeLog {
    kinds: Mutex<HashMap<Kind, Told>>,
    /// How many failed since the start, by the reason's name.
    failed: Mutex<BTreeMap<&'static str, u64>>,
}

/// A fault without its particulars: few, whatever clients send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Kind {
    name: &'static str,
    meaning: &'static str,
    /// Its number (RFC 8446 section 6).
    alert: Option<u8>,
}

#[derive(Debug)]
struct Told {
    at: Instant,
    /// Untold since.
    more: u64,
}

impl HandshakeFault {
    /// What tokio-rustls makes of an error, told apart again.
    pub fn of(error: io::Error) -> HandshakeFault {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return HandshakeFault::Cut;
        }
        match error.downcast::<rustls::Error>() {
            Ok(error) => HandshakeFault::of_tls(error),
            Err(error) => HandshakeFault::Io(error),
        }
    }

    pub fn of_tls(error: rustls::Error) -> HandshakeFault {
        use PeerIncompatible as P;
        match error {
            rustls::Error::AlertReceived(alert) => HandshakeFault::Alert(alert),
            rustls::Error::PeerIncompatible(
                P::Tls12NotOffered
                | P::Tls12NotOfferedOrEnabled
                | P::SupportedVersionsExtensionRequired,
            ) => HandshakeFault::NoCommonVersion,
            rustls::Error::PeerIncompatible(P::NoCipherSuitesInCommon) => {
                HandshakeFault::NoCommonSuite
            }
            rustls::Error::PeerIncompatible(P::NoKxGroupsInCommon) => HandshakeFault::NoCommonGroup,
            // A client that names none asks for SHA-1 (RFC 5246 section 7.4.1.4.1).
            rustls::Error::PeerIncompatible(
                P::NoSignatureSchemesInCommon | P::SignatureAlgorithmsExtensionRequired,
            ) => HandshakeFault::NoCommonSignature,
            rustls::Error::NoApplicationProtocol => HandshakeFault::NoCommonProtocol,
            other => HandshakeFault::Invalid(other),
        }
    }

    fn kind(&self) -> Kind {
        let kind = |name, meaning| Kind { name, meaning, alert: None };
        match self {
            HandshakeFault::TimedOut => kind("timed_out", "it was not done in `header_timeout`"),
            HandshakeFault::Cut => kind("cut", "the client left in its midst"),
            HandshakeFault::PlainHttp => kind("plain_http", "the client sent HTTP without TLS"),
            HandshakeFault::NotTls => kind("not_tls", "the client sent something other than TLS"),
            HandshakeFault::NoCommonVersion => {
                kind("no_common_version", "the client offers no version of TLS that is spoken here")
            }
            HandshakeFault::NoCommonSuite => {
                kind("no_common_suite", "the client offers no cipher suite that is spoken here")
            }
            HandshakeFault::NoCommonGroup => {
                kind("no_common_group", "the client offers no key exchange that is spoken here")
            }
            HandshakeFault::NoCommonSignature => kind(
                "no_common_signature",
                "the client cannot verify the certificate's kind of key",
            ),
            HandshakeFault::NoCommonProtocol => {
                kind("no_common_protocol", "the client offers no protocol that is spoken here")
            }
            HandshakeFault::Alert(alert) => {
                Kind { alert: Some(u8::from(*alert)), ..kind("alert", alert_meaning(*alert)) }
            }
            HandshakeFault::Invalid(_) => kind("invalid", "the client broke the rules of TLS"),
            HandshakeFault::Io(_) => kind("io", "the connection failed"),
        }
    }
}

/// What a client means by an alert (RFC 8446 section 6.2).
fn alert_meaning(alert: AlertDescription) -> &'static str {
    use AlertDescription as A;
    match alert {
        A::UnknownCA => "the client does not know the authority that issued the certificate",
        A::CertificateUnknown | A::BadCertificate | A::UnsupportedCertificate => {
            "the client does not accept the certificate"
        }
        A::CertificateExpired => "the client holds that the certificate has expired",
        A::CertificateRevoked => "the client holds that the certificate was revoked",
        A::UserCanceled | A::CloseNotify => "the client gave up",
        A::ProtocolVersion => "the client does not accept the version of TLS",
        A::HandshakeFailure | A::InsufficientSecurity => "the client does not accept the cipher",
        _ => "the client ended it",
    }
}

impl HandshakeLog {
    /// Tells of one, if it is the first of its kind for a while.
    pub fn note(&self, fault: &HandshakeFault, peer: Option<IpAddr>) {
        let kind = fault.kind();
        *self.failed_by_reason().entry(kind.name).or_default() += 1;
        let alert = kind.alert.map(shown_alert);
        let peer = peer.map_or_else(|| "unix".to_owned(), |peer| peer.to_string());
        let detail = match fault {
            HandshakeFault::Invalid(error) => Some(error.to_string()),
            HandshakeFault::Io(error) => Some(error.to_string()),
            HandshakeFault::TimedOut
            | HandshakeFault::Cut
            | HandshakeFault::PlainHttp
            | HandshakeFault::NotTls
            | HandshakeFault::NoCommonVersion
            | HandshakeFault::NoCommonSuite
            | HandshakeFault::NoCommonGroup
            | HandshakeFault::NoCommonSignature
            | HandshakeFault::NoCommonProtocol
            | HandshakeFault::Alert(_) => None,
        };
        tracing::debug!(peer, reason = kind.name, alert, detail, "a TLS handshake failed");
        let Some(more) = self.turn(kind, Instant::now()) else { return };
        let Kind { name: reason, meaning, .. } = kind;
        tracing::info!(peer, reason, alert, detail, more, "a TLS handshake failed: {meaning}");
    }

    /// How many failed since the start, by reason.
    pub fn failed(&self) -> Vec<(&'static str, u64)> {
        self.failed_by_reason().iter().map(|(reason, count)| (*reason, *count)).collect()
    }

    fn failed_by_reason(&self) -> MutexGuard<'_, BTreeMap<&'static str, u64>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is time to tell of this kind; the count of those that were not told then.
    fn turn(&self, kind: Kind, now: Instant) -> Option<u64> {
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        match kinds.get_mut(&kind) {
            Some(told) if now.saturating_duration_since(told.at) < QUIET => {
                told.more += 1;
                None
            }
            Some(told) => {
                let more = told.more;
                *told = Told { at: now, more: 0 };
                Some(more)
            }
            None => {
                kinds.insert(kind, Told { at: now, more: 0 });
                Some(0)
            }
        }
    }

    /// Tells what was kept back of kinds that have not come again since.
    pub fn sweep(&self, now: Instant) {
        for (Kind { name: reason, alert, .. }, more) in self.kept_back(now) {
            let alert = alert.map(shown_alert);
            tracing::info!(reason, alert, more, "more TLS handshakes failed like the last told");
        }
    }

    fn kept_back(&self, now: Instant) -> Vec<(Kind, u64)> {
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kept_back = Vec::new();
        kinds.retain(|kind, told| {
            let is_over = now.saturating_duration_since(told.at) >= QUIET;
            if is_over && told.more > 0 {
                kept_back.push((*kind, told.more));
            }
            !is_over
        });
        kept_back
    }
}

fn shown_alert(alert: u8) -> &'static str {
    alert_name(alert).unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_kind_and_minute() {
        let (log, start) = (HandshakeLog::default(), Instant::now());
        let cut = HandshakeFault::Cut.kind();
        let alert = |number: u8| HandshakeFault::Alert(AlertDescription::from(number)).kind();
        assert_eq!(log.turn(cut, start), Some(0));
        for _ in 0..1000 {
            assert_eq!(log.turn(cut, start + QUIET / 2), None);
        }
        assert_eq!(log.turn(alert(46), start), Some(0));
        assert_eq!(log.turn(alert(48), start), Some(0));
        assert_eq!(log.turn(cut, start + QUIET), Some(1000));
        assert_eq!(log.turn(cut, start + QUIET), None);
        assert_eq!(log.kept_back(start + QUIET + QUIET / 2), []);
        assert_eq!(log.kept_back(start + 2 * QUIET), [(cut, 1)]);
        assert_eq!(log.turn(cut, start + 2 * QUIET), Some(0));
        // Whatever alerts are sent: a kind a number.
        for number in 0..=255 {
            log.turn(alert(number), start);
        }
        assert!(log.kinds.lock().unwrap().len() <= 257);
    }
}
