//! TLS towards upstreams: rustls with what the peer presented and asked for kept for the diagnosis.
//!
//! rustls names the first fault only and drops the chain; the verifier here hands the chain on, so
//! that `diagnose` can look at all of it. What it judges itself is one thing: a certificate that
//! stands in `ca` is trusted also where it is an authority's.

use std::cell::Cell;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore,
    SignatureScheme,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::clock;
use crate::config::{Server, ServerAddress, Upstream};

use super::attempt::{Attempt, Presented};
use super::failure::TlsFailure;
use super::stream::{Seen, Tap};

/// The longest chain that is kept, and the most verdicts that are asked for over its dates.
const CHAIN_MAX: usize = 10;

thread_local! {
    /// What rustls told of the handshake that this thread drives at the moment; taken after each
    /// step of it.
    static NOTES: Cell<Notes> = const { Cell::new(Notes { presented: None, asked: false }) };
}

/// What a handshake shows beside its outcome.
#[derive(Debug, Default)]
struct Notes {
    /// What the verifier refused.
    presented: Option<Box<Presented>>,
    /// The peer asked for our certificate.
    asked: bool,
}

/// The system's store, read once.
static SYSTEM: LazyLock<Arc<RootCertStore>> = LazyLock::new(|| {
    let mut store = RootCertStore::empty();
    let loaded = rustls_native_certs::load_native_certs();
    for error in &loaded.errors {
        tracing::warn!(%error, "part of the system's certificate store cannot be read");
    }
    store.add_parsable_certificates(loaded.certs);
    Arc::new(store)
});

/// What one upstream block needs for its handshakes; shared by the workers.
#[derive(Debug, Clone)]
pub struct TlsSetup {
    connector: Arc<ClientConfig>,
    /// For servers that are spoken to in HTTP/2 and want HTTP/1.1.
    http1: Arc<ClientConfig>,
}

impl TlsSetup {
    /// `None` when the configured authorities hold nothing to trust.
    pub fn new(upstream: &Upstream) -> Option<TlsSetup> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = Keeping {
            inner: match upstream.tls.verify {
                true => Some(Trust::new(upstream.tls.ca.as_deref(), &provider)?),
                false => None,
            },
            provider: provider.clone(),
        };
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider supports the default versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(Arc::new(NoneOfOurs));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let http1 = Arc::new(config.clone());
        if upstream.tls.http2 {
            config.alpn_protocols = vec![b"h2".to_vec()];
        }
        Some(TlsSetup { connector: Arc::new(config), http1 })
    }

    /// The handshake with one server. What the peer sent and presented is kept in the attempt on
    /// failure.
    ///
    /// # Errors
    /// Each way a handshake can end; the raw first bytes stand beside it.
    pub(crate) async fn handshake(
        &self,
        tcp: TcpStream,
        attempt: &mut Attempt,
    ) -> Result<Box<TlsStream<Tap>>, TlsFailure> {
        let name = server_name(&attempt.upstream, attempt.server());
        let Ok(name) = ServerName::try_from(name.into_owned()) else {
            return Err(TlsFailure::Trust);
        };
        let limit = attempt.upstream.timeouts.tls;
        let seen = Rc::new(Seen::default());
        let tap = Tap::new(tcp, seen.clone());
        let config = if attempt.http1 { &self.http1 } else { &self.connector };
        let mut connecting = TlsConnector::from(config.clone()).connect(name, tap);
        let mut notes = Notes::default();
        let noting = std::future::poll_fn(|cx| {
            let polled = Pin::new(&mut connecting).poll(cx);
            // Before another handshake of this thread has its turn.
            let fresh = NOTES.take();
            notes.asked |= fresh.asked;
            notes.presented = fresh.presented.or(notes.presented.take());
            polled
        });
        let outcome = clock::within(limit, noting).await;
        attempt.asked_for_certificate = notes.asked;
        let failure = match outcome {
            Some(Ok(stream)) => {
                seen.stop();
                return Ok(Box::new(stream));
            }
            Some(Err(error)) => {
                attempt.remains().presented = notes.presented;
                match error.downcast::<rustls::Error>() {
                    Ok(error) => TlsFailure::Rustls(error),
                    Err(error) => TlsFailure::Ended(error),
                }
            }
            None => TlsFailure::TimedOut,
        };
        attempt.bytes_received = seen.received();
        attempt.keep_first_bytes(&seen.stop());
        Err(failure)
    }
}

/// The name that the certificate has to carry.
pub fn server_name<'a>(upstream: &'a Upstream, server: &'a Server) -> std::borrow::Cow<'a, str> {
    match (&upstream.tls.server_name, &server.address) {
        (Some(name), _) => name.as_str().into(),
        (None, ServerAddress::Name { host, .. }) => host.as_str().into(),
        (None, ServerAddress::Ip(address)) => address.ip().to_string().into(),
        (None, ServerAddress::Unix(_)) => "localhost".into(),
    }
}

/// Whom an upstream's servers are trusted by.
#[derive(Debug)]
struct Trust {
    webpki: Arc<WebPkiServerVerifier>,
    /// The certificates of `ca`; none of the system's store.
    named: Vec<CertificateDer<'static>>,
}

impl Trust {
    fn new(ca: Option<&Path>, provider: &Arc<CryptoProvider>) -> Option<Trust> {
        let (roots, named) = match ca {
            None => (SYSTEM.clone(), Vec::new()),
            Some(path) => {
                let certificates = CertificateDer::pem_file_iter(path).ok()?;
                let named: Vec<_> = certificates.filter_map(Result::ok).collect();
                let mut store = RootCertStore::empty();
                store.add_parsable_certificates(named.iter().cloned());
                (Arc::new(store), named)
            }
        };
        let webpki = WebPkiServerVerifier::builder_with_provider(roots, provider.clone());
        Some(Trust { webpki: webpki.build().ok()?, named })
    }

    /// webpki takes no authority's certificate for a server's, not even one that is trusted; but
    /// that is what `openssl req -x509` makes and operators name in `ca`. Dates come before that
    /// verdict, the name after it.
    fn verify(&self, shown: &Shown<'_>, at: UnixTime) -> Result<(), CertificateError> {
        let verdict = self.webpki.verify_server_cert(
            shown.end_entity,
            shown.intermediates,
            shown.server_name,
            &[],
            at,
        );
        match verdict {
            Ok(_) => Ok(()),
            Err(rustls::Error::InvalidCertificate(CertificateError::Other(_)))
                if self.named.iter().any(|named| named == shown.end_entity) =>
            {
                let parsed = ParsedCertificate::try_from(shown.end_entity).map_err(fault)?;
                verify_server_name(&parsed, shown.server_name).map_err(fault)
            }
            Err(error) => Err(fault(error)),
        }
    }

    /// What is wrong besides, when it was the dates: the verifier stops at the first fault, so that
    /// it is asked again for a time at which that one did not hold.
    fn beside_dates(
        &self,
        shown: &Shown<'_>,
        first: &CertificateError,
    ) -> Option<CertificateError> {
        let mut at = dates(first)?;
        for _ in 0..CHAIN_MAX {
            let second = self.verify(shown, at).err()?;
            match dates(&second) {
                Some(other) => at = other,
                None => return Some(second),
            }
        }
        None
    }
}

/// What is to be verified.
struct Shown<'a> {
    end_entity: &'a CertificateDer<'a>,
    intermediates: &'a [CertificateDer<'a>],
    server_name: &'a ServerName<'a>,
}

/// A time for which a verdict about dates would have been another one.
fn dates(verdict: &CertificateError) -> Option<UnixTime> {
    match verdict {
        CertificateError::ExpiredContext { not_after, .. } => Some(*not_after),
        CertificateError::NotValidYetContext { not_before, .. } => Some(*not_before),
        _ => None,
    }
}

fn fault(error: rustls::Error) -> CertificateError {
    match error {
        rustls::Error::InvalidCertificate(fault) => fault,
        // A verifier of certificates has nothing else to say.
        other => CertificateError::Other(OtherError(Arc::new(other))),
    }
}

/// Verifies as webpki does, or not at all, and keeps what was refused.
#[derive(Debug)]
struct Keeping {
    /// `None`: `verify = false`.
    inner: Option<Trust>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Keeping {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(inner) = &self.inner else { return Ok(ServerCertVerified::assertion()) };
        let shown = Shown { end_entity, intermediates, server_name };
        let Err(verdict) = inner.verify(&shown, now) else {
            return Ok(ServerCertVerified::assertion());
        };
        let chain = std::iter::once(end_entity).chain(intermediates);
        let presented = Presented {
            chain: chain.take(CHAIN_MAX).map(|certificate| certificate.to_vec()).collect(),
            at: now.as_secs(),
            beside_dates: inner.beside_dates(&shown, &verdict),
        };
        NOTES.set(Notes { presented: Some(Box::new(presented)), ..NOTES.take() });
        Err(verdict.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        let verdict = rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms);
        verdict.inspect_err(|_| keep_signer(cert))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        let verdict = rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms);
        verdict.inspect_err(|_| keep_signer(cert))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The chain was accepted; what its key signed was not.
fn keep_signer(cert: &CertificateDer<'_>) {
    let (chain, at) = (vec![cert.to_vec()], UnixTime::now().as_secs());
    let presented = Presented { chain, at, beside_dates: None };
    NOTES.set(Notes { presented: Some(Box::new(presented)), ..NOTES.take() });
}

/// We have no certificate of our own; that one was asked for is noted.
#[derive(Debug)]
struct NoneOfOurs;

impl ResolvesClientCert for NoneOfOurs {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        NOTES.set(Notes { asked: true, ..NOTES.take() });
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}
