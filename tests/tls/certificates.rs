//! Certificates as they go wrong, in files as servers read them.
//!
//! Most are made by rcgen; signatures over SHA-1 and short RSA keys, which it does not make, by the
//! `openssl` command.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use tempfile::TempDir;

use super::support::tools::run;

/// The name that the proxy asks for and expects.
pub const NAME: &str = "shop.test";

/// authorityInfoAccess (RFC 5280 section 4.2.2.1) with caIssuers at http://a/.
const ACCESS: &[u8] = b"\x30\x17\x30\x15\x06\x08\x2b\x06\x01\x05\x05\x07\x30\x02\x86\x09http://a/";
const ACCESS_OID: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 1, 1];

/// What is peculiar about a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaf {
    Good,
    Expired,
    NotYetValid,
    WrongHost,
    ExpiredAndWrongHost,
    /// For clients alone.
    ForClients,
    /// It tells where its issuer's certificate is to be had.
    TellsIssuer,
    /// Made out as an authority, as `openssl req -x509` does.
    Authority,
    /// As its own issuer is called.
    NamesakeOfIssuer,
}

/// What a server presents.
#[derive(Debug, Clone)]
pub struct Identity {
    pub leaf: PathBuf,
    pub key: PathBuf,
    /// Sent after the leaf.
    pub above: Option<PathBuf>,
}

/// An authority's certificate and key.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub file: PathBuf,
    key: PathBuf,
}

/// A directory of certificates; gone with this value.
#[derive(Debug)]
pub struct Certificates {
    dir: TempDir,
    /// The one that the proxy trusts.
    pub trusted: Authority,
    pub unknown: Authority,
    /// Below the trusted one.
    pub intermediate: Authority,
    /// The same, out of date.
    pub expired_intermediate: Authority,
}

impl Certificates {
    pub fn new() -> Certificates {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let trusted = authority(dir.path(), "trusted", None, 2049);
        let unknown = authority(dir.path(), "unknown", None, 2049);
        let intermediate = authority(dir.path(), "intermediate", Some(&trusted), 2049);
        let expired_intermediate = authority(dir.path(), "expired", Some(&trusted), 2021);
        Certificates { dir, trusted, unknown, intermediate, expired_intermediate }
    }

    /// A leaf of the trusted authority.
    pub fn signed(&self, leaf: Leaf) -> Identity {
        self.signed_by(&self.trusted, leaf)
    }

    pub fn signed_by(&self, authority: &Authority, leaf: Leaf) -> Identity {
        let (params, key) = (params(leaf), new_key());
        let certificate = params.signed_by(&key, &authority.issuer).expect("a certificate");
        self.identity(&certificate.pem(), &key)
    }

    /// The same, sent with its issuer's certificate.
    pub fn chained(&self, authority: &Authority, leaf: Leaf) -> Identity {
        Identity { above: Some(authority.file.clone()), ..self.signed_by(authority, leaf) }
    }

    pub fn self_signed(&self, leaf: Leaf) -> Identity {
        let (params, key) = (params(leaf), new_key());
        self.identity(&params.self_signed(&key).expect("a certificate").pem(), &key)
    }

    /// A leaf of the trusted authority with an RSA key of so many bits, signed over this hash.
    pub fn by_openssl(&self, bits: u32, hash: &str) -> Identity {
        let new = |name: &str| self.dir.path().join(format!("{bits}-{hash}.{name}"));
        let (config, request, extensions) = (new("cnf"), new("csr"), new("ext"));
        let (leaf, key) = (new("pem"), new("key"));
        write(&config, "[req]\ndistinguished_name = name\n[name]\n");
        write(&extensions, &format!("subjectAltName = DNS:{NAME}\n"));
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-new", "-nodes", "-newkey", &format!("rsa:{bits}")]);
        openssl.args(["-subj", &format!("/CN={NAME}")]).arg("-config").arg(&config);
        run(openssl.arg("-keyout").arg(&key).arg("-out").arg(&request));
        let mut openssl = Command::new("openssl");
        openssl.args(["x509", "-req", "-days", "30", &format!("-{hash}")]).arg("-in").arg(&request);
        openssl.arg("-CA").arg(&self.trusted.file).arg("-CAkey").arg(&self.trusted.key);
        run(openssl
            .args(["-set_serial", "7"])
            .arg("-extfile")
            .arg(&extensions)
            .arg("-out")
            .arg(&leaf));
        Identity { leaf, key, above: None }
    }

    fn identity(&self, pem: &str, key: &KeyPair) -> Identity {
        let number = fs::read_dir(self.dir.path()).expect("the directory").count();
        let leaf = self.dir.path().join(format!("{number}.pem"));
        let file = self.dir.path().join(format!("{number}.key"));
        write(&leaf, pem);
        write(&file, &key.serialize_pem());
        Identity { leaf, key: file, above: None }
    }
}

fn authority(dir: &Path, name: &str, by: Option<&Authority>, until: i32) -> Authority {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(until, 1, 1));
    let key = new_key();
    let certificate = match by {
        Some(by) => params.signed_by(&key, &by.issuer),
        None => params.self_signed(&key),
    };
    let (file, key_file) = (dir.join(format!("{name}.ca")), dir.join(format!("{name}.ca.key")));
    write(&file, &certificate.expect("a certificate").pem());
    write(&key_file, &key.serialize_pem());
    Authority { issuer: Issuer::new(params, key), file, key: key_file }
}

fn params(leaf: Leaf) -> CertificateParams {
    let elsewhere = matches!(leaf, Leaf::WrongHost | Leaf::ExpiredAndWrongHost);
    let name = if elsewhere { "other.test" } else { NAME };
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    let subject = if leaf == Leaf::NamesakeOfIssuer { "unknown" } else { name };
    params.distinguished_name.push(DnType::CommonName, subject);
    let (from, to) = match leaf {
        Leaf::Expired | Leaf::ExpiredAndWrongHost => (2020, 2021),
        Leaf::NotYetValid => (2048, 2049),
        _ => (2020, 2049),
    };
    (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
    match leaf {
        Leaf::Authority => params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
        Leaf::ForClients => {
            params.insert_extended_key_usage(ExtendedKeyUsagePurpose::ClientAuth);
        }
        _ => params.insert_extended_key_usage(ExtendedKeyUsagePurpose::ServerAuth),
    }
    if leaf == Leaf::TellsIssuer {
        let access = CustomExtension::from_oid_content(ACCESS_OID, ACCESS.to_vec());
        params.custom_extensions.push(access);
    }
    params
}

fn new_key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("a file");
}
