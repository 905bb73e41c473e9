//! An authority of the test's own, and what it signs.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SignatureAlgorithm,
};
use rustls::RootCertStore;
use tempfile::TempDir;

/// The name that most clients ask for.
pub const NAME: &str = "shop.test";

pub const DAY: Duration = Duration::from_secs(86400);

/// Certificates in a directory; gone with this value.
#[derive(Debug)]
pub struct Certificates {
    pub dir: TempDir,
    issuer: Issuer<'static, KeyPair>,
    root: rcgen::Certificate,
}

/// The kinds of keys.
pub const EC: &SignatureAlgorithm = &rcgen::PKCS_ECDSA_P256_SHA256;
pub const RSA: &SignatureAlgorithm = &rcgen::PKCS_RSA_SHA256;

impl Certificates {
    pub fn new() -> Certificates {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "the test's authority");
        let key = KeyPair::generate().expect("a key");
        let root = params.self_signed(&key).expect("a certificate");
        std::fs::write(dir.path().join("ca.pem"), root.pem()).expect("a file");
        Certificates { dir, issuer: Issuer::new(params, key), root }
    }

    pub fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// What trusts this authority alone.
    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.der().clone()).expect("an authority");
        roots
    }

    /// Writes `FILE.pem` and `FILE.key` for these names, valid from ten days ago for 90 days.
    pub fn write(&self, file: &str, names: &[&str], kind: &'static SignatureAlgorithm) {
        let now = SystemTime::now();
        self.write_dated(file, names, kind, now - 10 * DAY, now + 80 * DAY);
    }

    pub fn write_dated(
        &self,
        file: &str,
        names: &[&str],
        kind: &'static SignatureAlgorithm,
        from: SystemTime,
        to: SystemTime,
    ) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name.push(DnType::CommonName, file);
        params.use_authority_key_identifier_extension = true;
        (params.not_before, params.not_after) = (from.into(), to.into());
        let key = KeyPair::generate_for(kind).expect("a key");
        let signed = params.signed_by(&key, &self.issuer).expect("a certificate");
        replace(&self.path(file, "pem"), &signed.pem());
        replace(&self.path(file, "key"), &key.serialize_pem());
    }

    pub fn path(&self, file: &str, ending: &str) -> PathBuf {
        self.dir.path().join(format!("{file}.{ending}"))
    }

    /// `certificates = [...]` with these files, in order.
    pub fn lines(&self, files: &[&str]) -> String {
        let entry = |file: &&str| {
            let (chain, key) = (self.path(file, "pem"), self.path(file, "key"));
            format!("{{ chain = \"{}\", key = \"{}\" }}", chain.display(), key.display())
        };
        let entries: Vec<String> = files.iter().map(entry).collect();
        format!("certificates = [{}]\n", entries.join(", "))
    }
}

/// As programs that renew certificates do it: written beside, closed to others, and renamed.
fn replace(path: &Path, content: &str) {
    use std::os::unix::fs::PermissionsExt;
    let new = path.with_extension("new");
    std::fs::write(&new, content).expect("a file");
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600)).expect("a mode");
    std::fs::rename(&new, path).expect("a new name");
}
