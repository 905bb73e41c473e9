//! The proof in a handshake (TLS-ALPN-01, RFC 8737): a certificate with a hash of the challenge,
//! for whoever asks for the protocol `acme-tls/1` and this host, and for nothing else.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::{self, sign::any_supported_type};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::server::ClientHello;
use rustls::sign::{CertifiedKey, SingleCertAndKey};

/// RFC 8737 section 6.2.
const PROTOCOL: &[u8] = b"acme-tls/1";

/// The hosts whose proof is pending, for all workers.
#[derive(Debug, Default)]
pub struct Validations {
    count: AtomicUsize,
    hosts: RwLock<HashMap<String, Arc<ServerConfig>>>,
}

/// A host that is proven in handshakes for as long as this lives.
#[derive(Debug)]
pub struct Validated {
    validations: Arc<Validations>,
    host: String,
}

impl Validations {
    /// Shows the proof for a host from now on; `digest` is that of its key authorization.
    ///
    /// # Errors
    /// The certificate cannot be made.
    pub fn answer(
        self: &Arc<Validations>,
        host: &str,
        digest: &[u8],
    ) -> Result<Validated, ProofFault> {
        let host = host.to_ascii_lowercase();
        let server = Arc::new(proof(&host, digest)?);
        self.change(|hosts| {
            hosts.insert(host.clone(), server);
        });
        Ok(Validated { validations: self.clone(), host })
    }

    /// What this client is to be shown, if it is an authority that looks for a proof.
    pub fn find(&self, hello: &ClientHello<'_>) -> Option<Arc<ServerConfig>> {
        if self.count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let asked = hello.alpn()?.any(|protocol| protocol == PROTOCOL);
        let host = hello.server_name().filter(|_| asked)?.to_ascii_lowercase();
        self.hosts.read().unwrap_or_else(PoisonError::into_inner).get(&host).cloned()
    }

    fn change(&self, change: impl FnOnce(&mut HashMap<String, Arc<ServerConfig>>)) {
        let mut hosts = self.hosts.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut hosts);
        self.count.store(hosts.len(), Ordering::Relaxed);
    }
}

impl Drop for Validated {
    fn drop(&mut self) {
        self.validations.change(|hosts| {
            hosts.remove(&self.host);
        });
    }
}

/// Why there is no proof to show.
#[derive(Debug, thiserror::Error)]
pub enum ProofFault {
    #[error(transparent)]
    Certificate(#[from] rcgen::Error),
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

/// RFC 8737 section 3: the host as the only name, and the critical extension acmeIdentifier, for
/// which no verifier of TLS would take it: it is not held to be a certificate for servers here.
fn proof(host: &str, digest: &[u8]) -> Result<ServerConfig, ProofFault> {
    let mut params = CertificateParams::new([host.to_owned()])?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    let key = any_supported_type(&PrivatePkcs8KeyDer::from(key.serialize_der()).into())?;
    let shown = CertifiedKey::new(vec![certificate.der().clone()], key);
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(shown)));
    server.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(server)
}
