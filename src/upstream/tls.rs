//! TLS towards upstreams: rustls with the certificates that the peer presented kept for the
//! diagnosis.
//!
//! rustls names the first fault only and drops the chain; the verifier here hands the chain on, so
//! that `diagnose` can look at all of it.

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::clock;
use crate::config::{Server, ServerAddress, Upstream};

use super::attempt::Attempt;
use super::failure::TlsFailure;
use super::stream::{Seen, Tap};

thread_local! {
    /// What the last refused handshake of this thread presented; taken by the attempt it belongs
    /// to.
    static PRESENTED: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
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
}

impl TlsSetup {
    /// `None` when the configured authorities hold nothing to trust.
    pub fn new(upstream: &Upstream) -> Option<TlsSetup> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = Keeping {
            inner: match upstream.tls.verify {
                true => Some(webpki(upstream.tls.ca.as_deref(), &provider)?),
                false => None,
            },
            provider: provider.clone(),
        };
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider supports the default versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Some(TlsSetup { connector: Arc::new(config) })
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
        let connecting = TlsConnector::from(self.connector.clone()).connect(name, tap);
        let failure = match clock::within(limit, connecting).await {
            Some(Ok(stream)) => {
                seen.stop();
                return Ok(Box::new(stream));
            }
            Some(Err(error)) => failed(error, attempt),
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

fn failed(error: io::Error, attempt: &mut Attempt) -> TlsFailure {
    attempt.remains().certificates = PRESENTED.take();
    match error.downcast::<rustls::Error>() {
        Ok(error) => TlsFailure::Rustls(error),
        Err(error) => TlsFailure::Ended(error),
    }
}

fn webpki(ca: Option<&Path>, provider: &Arc<CryptoProvider>) -> Option<Arc<WebPkiServerVerifier>> {
    let roots = match ca {
        None => SYSTEM.clone(),
        Some(path) => {
            let mut store = RootCertStore::empty();
            let certificates = CertificateDer::pem_file_iter(path).ok()?;
            store.add_parsable_certificates(certificates.filter_map(Result::ok));
            Arc::new(store)
        }
    };
    WebPkiServerVerifier::builder_with_provider(roots, provider.clone()).build().ok()
}

/// Verifies as webpki does, or not at all, and keeps what was refused.
#[derive(Debug)]
struct Keeping {
    /// `None`: `verify = false`.
    inner: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Keeping {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(inner) = &self.inner else { return Ok(ServerCertVerified::assertion()) };
        let verdict =
            inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        if verdict.is_err() {
            let chain = std::iter::once(end_entity).chain(intermediates);
            PRESENTED.set(chain.take(10).map(|certificate| certificate.to_vec()).collect());
        }
        verdict
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
