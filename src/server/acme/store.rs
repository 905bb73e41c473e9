//! What is kept on disk: the account, each certificate with its key, and the attempts at it.
//!
//! One folder for each authority. Everything is readable by us alone, and written beside its place
//! and then moved there: whoever reads finds the old or the new, never a half.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::pki_types::Der;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer;

use instant_acme::{AccountCredentials, CertificateIdentifier};

use crate::config::{self, Acme, Pair};

use super::schedule::{Attempts, Lifetime};

/// The subject of a certificate that stands in until there is one.
const STAND_IN: &str = "Causeway stand-in";
/// Accounts and attempts are some hundred bytes.
const JSON_BYTES_MAX: u64 = 64 * 1024;
/// Of files that somebody else may have put into the folder, so many are looked at.
const FILES_MAX: usize = 10_000;

/// An account as it is kept.
#[derive(Serialize, Deserialize)]
pub struct Kept {
    /// What the authority was told to write to.
    pub contact: Vec<String>,
    pub credentials: AccountCredentials,
}

/// A certificate as it stands in its file.
#[derive(Debug)]
pub struct Standing {
    pub lifetime: Lifetime,
    /// The authority's, and for every host that is asked for.
    pub is_whole: bool,
    /// The authority's name for it (RFC 9773 section 4.1), where it has one.
    pub id: Option<CertificateIdentifier<'static>>,
}

/// Makes the folder, and a certificate to begin with for each that has no sound file: one that we
/// got for some of the same hosts, else one that vouches for itself. Gives the hosts of the latter.
///
/// # Errors
/// The folder or a file cannot be written.
pub fn prepare(acme: &Acme) -> io::Result<Vec<String>> {
    let folder = acme.folder();
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
    let mut standing_in = Vec::new();
    for hosts in &acme.certificates {
        let file = acme.file(hosts);
        let there = pair(&file);
        if there.as_ref().is_some_and(|pair| !is_ours(pair)) {
            continue;
        }
        if let Some(other) = related(&folder, hosts) {
            write(&file, &fs::read(other)?)?;
            continue;
        }
        if there.is_none() {
            let pem = stand_in(hosts).map_err(io::Error::other)?;
            write(&file, pem.as_bytes())?;
        }
        standing_in.extend(hosts.first().cloned());
    }
    Ok(standing_in)
}

/// The file of another list of hosts that has most of these, still valid: a list that was changed
/// goes on with what it had.
fn related(folder: &Path, hosts: &[String]) -> Option<PathBuf> {
    let now = SystemTime::now();
    let covered = |file: &Path| {
        let pair = pair(file).filter(|pair| !is_ours(pair) && pair.not_after > now)?;
        let count = hosts.iter().filter(|host| pair.names.covers(host)).count();
        (count > 0).then_some(count)
    };
    let files = fs::read_dir(folder).ok()?.take(FILES_MAX).flatten().map(|entry| entry.path());
    let pems = files.filter(|file| file.extension().is_some_and(|extension| extension == "pem"));
    let (_, best) = pems.filter_map(|file| Some((covered(&file)?, file))).max()?;
    Some(best)
}

fn pair(file: &Path) -> Option<Pair> {
    config::read_pair(&config::Certificate { chain: file.into(), key: file.into() }).ok()
}

fn is_ours(pair: &Pair) -> bool {
    let leaf = pair.key.cert.first();
    let parsed = leaf.and_then(|leaf| X509Certificate::from_der(leaf).ok());
    parsed.is_some_and(|(_, leaf)| {
        leaf.subject().iter_common_name().any(|name| name.as_str() == Ok(STAND_IN))
    })
}

fn stand_in(hosts: &[String]) -> Result<String, rcgen::Error> {
    let mut params = CertificateParams::new(hosts)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, STAND_IN);
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok(certificate.pem() + &key.serialize_pem())
}

/// How the certificate of these hosts stands; `None` where its file is not sound.
pub fn standing(acme: &Acme, hosts: &[String]) -> Option<Standing> {
    let pair = pair(&acme.file(hosts))?;
    let lifetime = Lifetime { begins: pair.not_before, ends: pair.not_after };
    let is_whole = !is_ours(&pair) && hosts.iter().all(|host| pair.names.covers(host));
    let id = pair.key.cert.first().and_then(|leaf| {
        let (_, leaf) = X509Certificate::from_der(leaf).ok()?;
        let key =
            leaf.iter_extensions().find_map(|extension| match extension.parsed_extension() {
                ParsedExtension::AuthorityKeyIdentifier(found) => found.key_identifier.as_ref(),
                _ => None,
            })?;
        let serial = Der::from_slice(leaf.tbs_certificate.raw_serial());
        Some(CertificateIdentifier::new(Der::from_slice(key.0), serial).into_owned())
    });
    Some(Standing { lifetime, is_whole, id })
}

/// Puts a certificate that the authority gave in its place, once it is proven to be one for these
/// hosts and this key.
///
/// # Errors
/// It is not, or cannot be written.
pub fn keep(acme: &Acme, hosts: &[String], pem: &str) -> io::Result<SystemTime> {
    let file = acme.file(hosts);
    let fresh = file.with_extension("new");
    write(&fresh, pem.as_bytes())?;
    let files = config::Certificate { chain: fresh.clone(), key: fresh.clone() };
    let read = config::read_pair(&files).map_err(|faults| {
        let first = faults.into_iter().next().map(|wrong| wrong.fault.message);
        io::Error::other(first.unwrap_or_default())
    });
    let proven = read.and_then(|pair| match hosts.iter().find(|host| !pair.names.covers(host)) {
        Some(host) => Err(io::Error::other(format!("the certificate is not for {host}"))),
        None => Ok(pair.not_after),
    });
    match proven {
        Ok(ends) => fs::rename(&fresh, &file).map(|()| ends),
        Err(error) => {
            let _ = fs::remove_file(&fresh);
            Err(error)
        }
    }
}

/// The attempts at a certificate; none where the file is not there, or not ours.
pub fn attempts(acme: &Acme, hosts: &[String]) -> Attempts {
    json(&acme.file(hosts).with_extension("json")).unwrap_or_default()
}

/// Keeps them; no attempts, no file.
///
/// # Errors
/// The file cannot be written.
pub fn keep_attempts(acme: &Acme, hosts: &[String], attempts: &Attempts) -> io::Result<()> {
    let file = acme.file(hosts).with_extension("json");
    if *attempts == Attempts::default() {
        return match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        };
    }
    write(&file, &serde_json::to_vec_pretty(attempts)?)
}

/// The account with the authority, if there is one.
pub fn account(acme: &Acme) -> Option<Kept> {
    json(&account_file(acme))
}

/// Keeps an account.
///
/// # Errors
/// The file cannot be written.
pub fn keep_account(acme: &Acme, kept: &Kept) -> io::Result<()> {
    write(&account_file(acme), &serde_json::to_vec_pretty(kept)?)
}

/// Forgets the account: the authority does not know it any more.
pub fn forget_account(acme: &Acme) {
    // Where it cannot be taken away, the next attempt finds out the same.
    let _ = fs::remove_file(account_file(acme));
}

fn account_file(acme: &Acme) -> PathBuf {
    acme.folder().join("account.json")
}

fn json<T: DeserializeOwned>(file: &Path) -> Option<T> {
    let mut bytes = Vec::new();
    fs::File::open(file).ok()?.take(JSON_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn write(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("/"));
    // Made with the mode 0600.
    let mut fresh = tempfile::NamedTempFile::new_in(folder)?;
    fresh.write_all(bytes)?;
    fresh.as_file().sync_all()?;
    fresh.persist(file)?;
    // The name is safe once its folder is.
    fs::File::open(folder)?.sync_all()
}
