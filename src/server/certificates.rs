//! The certificates in force, and which of them a client is shown.
//!
//! Chosen by the name that the client sends (SNI, RFC 6066 section 3): the exact one before the
//! wildcard, and among several for one name the first whose kind of key the client can verify. The
//! first of all is for clients that send none, or one that no certificate has.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::server::ClientHello;
use rustls::{CipherSuite, ServerConfig, SignatureAlgorithm};

use crate::config::{self, CertificateNames, Offer, Pair, PairFault, Tls};

use super::tls::Suite;

/// Every certificate, and the way from a name to it.
#[derive(Debug, Default)]
pub struct Shelf {
    leaves: Vec<Arc<Leaf>>,
    pub offer: Offer,
    exact: HashMap<String, Vec<usize>>,
    /// By what follows `*.`.
    wildcards: HashMap<String, Vec<usize>>,
    /// For a name that stands nowhere.
    default: Vec<usize>,
}

/// One certificate with what it is served by.
#[derive(Debug)]
pub struct Leaf {
    pub files: config::Certificate,
    /// Of chain and key, as they were before they were read.
    pub stamps: [Stamp; 2],
    pub pair: Pair,
    pub names: Arc<CertificateNames>,
    pub server: Arc<ServerConfig>,
}

impl Shelf {
    /// Reads every certificate of the configuration.
    ///
    /// # Errors
    /// The first that cannot be served.
    pub fn read(tls: &Tls, suite: &Suite) -> Result<Shelf, Vec<PairFault>> {
        let mut leaves = Vec::with_capacity(tls.certificates.len());
        for files in &tls.certificates {
            leaves.push(Arc::new(Leaf::read(files, suite, tls.offer)?));
        }
        Ok(Shelf::of(leaves, tls.offer))
    }

    /// Puts certificates in order; the first is the default.
    pub fn of(leaves: Vec<Arc<Leaf>>, offer: Offer) -> Shelf {
        let mut shelf = Shelf { offer, ..Shelf::default() };
        for (position, leaf) in leaves.iter().enumerate() {
            for name in leaf.names.exact() {
                shelf.exact.entry(name.clone()).or_default().push(position);
            }
            for parent in leaf.names.wildcards() {
                shelf.wildcards.entry(parent.clone()).or_default().push(position);
            }
            // One for the same names with another kind of key stands in for the first.
            if leaf.names == leaves[0].names {
                shelf.default.push(position);
            }
        }
        shelf.leaves = leaves;
        shelf
    }

    /// The certificate for a client; `None` only where there is none at all.
    pub fn choose(&self, hello: &ClientHello<'_>) -> Option<&Arc<Leaf>> {
        let candidates = hello.server_name().map_or(&self.default, |name| self.named(name));
        let fits = |position: &&usize| self.leaves[**position].fits(hello);
        // Where none fits, the handshake names what is missing.
        let chosen = candidates.iter().find(fits).or(candidates.first())?;
        Some(&self.leaves[*chosen])
    }

    fn named(&self, name: &str) -> &Vec<usize> {
        let wildcard = || self.wildcards.get(name.split_once('.')?.1);
        self.exact.get(name).or_else(wildcard).unwrap_or(&self.default)
    }

    /// In the order of the configuration.
    pub fn leaves(&self) -> &[Arc<Leaf>] {
        &self.leaves
    }
}

impl Leaf {
    /// Reads a certificate and its key.
    ///
    /// # Errors
    /// Why they cannot be served.
    pub fn read(
        files: &config::Certificate,
        suite: &Suite,
        offer: Offer,
    ) -> Result<Leaf, Vec<PairFault>> {
        let stamps = stamps(files);
        let pair = config::read_pair(files)?;
        let names = Arc::new(pair.names.clone());
        let server = suite.server(pair.key.clone(), offer);
        Ok(Leaf { files: files.clone(), stamps, pair, names, server })
    }

    /// As the log and the metrics call it: its names, or its file where it has none.
    pub fn shown(&self) -> String {
        match self.names.is_empty() {
            true => self.files.chain.display().to_string(),
            false => self.names.to_string(),
        }
    }

    /// Warns of what will, or does, keep clients from accepting it.
    pub fn warn(&self, now: SystemTime) {
        for remark in self.pair.remarks(now) {
            let chain = self.files.chain.display();
            tracing::warn!(names = %self.names, %chain, "a certificate {remark}");
        }
    }

    /// Whether the client can verify what this key signs: it names a scheme of its kind, and a
    /// suite that goes with it (TLS 1.2 has the kind in the suite's name, RFC 8422 section 2).
    fn fits(&self, hello: &ClientHello<'_>) -> bool {
        let key = &self.pair.key.key;
        let suits = |suite: &CipherSuite| is_for(*suite, key.algorithm());
        key.choose_scheme(hello.signature_schemes()).is_some()
            && hello.cipher_suites().iter().any(suits)
    }
}

/// What a file was like when it was looked at, links followed; `None`: not to be found.
pub type Stamp = Option<[i64; 7]>;

/// The stamps of chain and key: another one means that the file was written, or is another file.
pub fn stamps(files: &config::Certificate) -> [Stamp; 2] {
    let stamp = |path: &Path| {
        let file = std::fs::metadata(path).ok()?;
        let [device, inode, size] = [file.dev(), file.ino(), file.size()].map(u64::cast_signed);
        // A copy may keep the time of writing; that of the last change it cannot.
        let (changed, nanoseconds) = (file.ctime(), file.ctime_nsec());
        Some([device, inode, size, file.mtime(), file.mtime_nsec(), changed, nanoseconds])
    };
    [stamp(&files.chain), stamp(&files.key)]
}

/// Whether a suite is one of ours.
pub fn is_spoken(suite: &CipherSuite) -> bool {
    is_for(*suite, SignatureAlgorithm::ECDSA) || is_for(*suite, SignatureAlgorithm::RSA)
}

fn is_for(suite: CipherSuite, algorithm: SignatureAlgorithm) -> bool {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256
        | CipherSuite::TLS13_AES_256_GCM_SHA384
        | CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => true,
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
        | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
        | CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => {
            matches!(algorithm, SignatureAlgorithm::ECDSA | SignatureAlgorithm::ED25519)
        }
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
        | CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
        | CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => {
            algorithm == SignatureAlgorithm::RSA
        }
        // No other is offered here.
        _ => false,
    }
}
