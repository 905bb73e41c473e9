//! A certificate's chain and its key as two files hold them, proven to belong together.
//!
//! Decides whether they can be served: PEM that parses, a chain in its order, the key of its first
//! certificate. Dates and permissions are remarked on, not refused: a renewed file must be able to
//! come in later. Asked at start, at reload, and whenever a file has changed.

use std::fs::File;
use std::io::{self, Read};
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SigningKey};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use super::Certificate;
use super::error::Fault;

/// No chain is longer by far.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Certificates of a chain, the leaf included.
const CHAIN_MAX: usize = 10;

/// A chain with its key, and what its first certificate says.
#[derive(Debug, Clone)]
pub struct Pair {
    pub key: Arc<CertifiedKey>,
    pub names: CertificateNames,
    pub not_before: SystemTime,
    pub not_after: SystemTime,
    /// The key's file may be read by everybody on this host.
    pub key_is_open: bool,
}

/// What is to be told of a certificate that can be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remark {
    Expired {
        ago: Duration,
    },
    Expires {
        left: Duration,
    },
    NotYetValid {
        left: Duration,
    },
    /// Its key may be read by everybody on this host.
    KeyIsOpen,
    /// No client accepts it by any name (RFC 9525 section 2.1: the common name counts for nothing).
    NoNames,
}

/// The hosts that a certificate is for: its subject alternative names (RFC 9525 section 6).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CertificateNames {
    /// Lower-case.
    exact: Vec<String>,
    /// What follows `*.`; the star stands for one label.
    wildcards: Vec<String>,
    addresses: Vec<IpAddr>,
}

/// Why two files cannot be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairFault {
    pub side: Side,
    pub fault: Fault,
}

/// Which of the two files it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Chain,
    Key,
}

/// Reads a chain and its key.
///
/// # Errors
/// What keeps them from being served, the first fault of each file; at least one.
pub fn read_pair(files: &Certificate) -> Result<Pair, Vec<PairFault>> {
    let of_chain = |fault| PairFault { side: Side::Chain, fault };
    let of_key = |fault| PairFault { side: Side::Key, fault };
    let (chain, key) = match (read_chain(&files.chain), read_key(&files.key)) {
        (Ok(chain), Ok(key)) => (chain, key),
        (chain, key) => {
            let chain = chain.err().map(of_chain);
            return Err(chain.into_iter().chain(key.err().map(of_key)).collect());
        }
    };
    let (key, mode) = key;
    let key =
        certified(&chain.certificates, key, &files.key).map_err(|fault| vec![of_key(fault)])?;
    let Chain { names, not_before, not_after, .. } = chain;
    // Others of the host; a group is somebody's decision.
    let key_is_open = mode & 0o004 != 0;
    Ok(Pair { key: Arc::new(key), names, not_before, not_after, key_is_open })
}

/// A chain, and what its first certificate says.
struct Chain {
    certificates: Vec<CertificateDer<'static>>,
    names: CertificateNames,
    not_before: SystemTime,
    not_after: SystemTime,
}

fn read_chain(path: &Path) -> Result<Chain, Fault> {
    let (bytes, _) = read_limited(path)?;
    let certificates = certificates(&bytes, path)?;
    let parsed = parsed(&certificates, path)?;
    in_order(&parsed, path)?;
    let leaf = &parsed[0];
    let names = CertificateNames::of(leaf);
    let not_before = time(leaf.validity().not_before.timestamp());
    let not_after = time(leaf.validity().not_after.timestamp());
    Ok(Chain { certificates, names, not_before, not_after })
}

/// The key, and the mode of its file.
fn read_key(path: &Path) -> Result<(Arc<dyn SigningKey>, u32), Fault> {
    let (bytes, mode) = read_limited(path)?;
    let shown = path.display();
    let Ok(key) = PrivateKeyDer::from_pem_slice(&bytes) else {
        let encrypted = memchr::memmem::find(&bytes, b"ENCRYPTED").is_some();
        let kind = if encrypted { "an encrypted key" } else { "no private key" };
        let fault = Fault::new(format!("`{shown}` holds {kind}"));
        return Err(fault.expected("one block `-----BEGIN PRIVATE KEY-----`, without a passphrase"));
    };
    let Ok(key) = any_supported_type(&key) else {
        let fault = Fault::new(format!("the key in `{shown}` is of a kind that TLS cannot use"));
        return Err(
            fault.expected("an ECDSA key (P-256, P-384) or an RSA key of 2048 bits or more")
        );
    };
    Ok((key, mode))
}

impl Pair {
    /// What is to be told of it.
    pub fn remarks(&self, now: SystemTime) -> Vec<Remark> {
        let date = match (now.duration_since(self.not_after), self.not_before.duration_since(now)) {
            (Ok(ago), _) => Some(Remark::Expired { ago }),
            (Err(_), Ok(left)) if !left.is_zero() => Some(Remark::NotYetValid { left }),
            (Err(left), _) if left.duration() < self.warned_before() => {
                Some(Remark::Expires { left: left.duration() })
            }
            (Err(_), _) => None,
        };
        let open = self.key_is_open.then_some(Remark::KeyIsOpen);
        let nameless = self.names.is_empty().then_some(Remark::NoNames);
        date.into_iter().chain(nameless).chain(open).collect()
    }

    /// A client of ACME renews at a third of the lifetime (RFC 9773 section 4.2 leaves the time to
    /// the authority; 30 of 90 days are usual): what is not renewed well after that, will not be.
    fn warned_before(&self) -> Duration {
        const DAYS_21: Duration = Duration::from_secs(21 * 86400);
        let lifetime = self.not_after.duration_since(self.not_before).unwrap_or_default();
        DAYS_21.min(lifetime / 3)
    }
}

/// Follows `a certificate`, or its name.
impl std::fmt::Display for Remark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Remark::Expired { ago } => write!(f, "expired {} ago", Rough(*ago)),
            Remark::Expires { left } => write!(f, "expires in {}", Rough(*left)),
            Remark::NotYetValid { left } => write!(f, "is not valid for {} yet", Rough(*left)),
            Remark::KeyIsOpen => f.write_str("has a key that everybody on this host may read"),
            Remark::NoNames => f.write_str("names no host (subjectAltName), so no client takes it"),
        }
    }
}

/// Whole days, or hours below two.
struct Rough(Duration);

impl std::fmt::Display for Rough {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.as_secs() / 3600 {
            1 => f.write_str("1 hour"),
            hours @ 0..48 => write!(f, "{hours} hours"),
            hours => write!(f, "{} days", hours / 24),
        }
    }
}

fn read_limited(path: &Path) -> Result<(Vec<u8>, u32), Fault> {
    let read = || -> io::Result<(Vec<u8>, u32)> {
        let file = File::open(path)?;
        let mode = file.metadata()?.permissions().mode();
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        Ok((bytes, mode))
    };
    let shown = path.display();
    let read = read().map_err(|error| {
        Fault::new(format!("cannot read `{shown}`: {error}")).expected("a readable PEM file")
    })?;
    match read.0.len() as u64 > FILE_BYTES_MAX {
        true => {
            Err(Fault::new(format!("`{shown}` is too large")).expected("a file of at most 1 MiB"))
        }
        false => Ok(read),
    }
}

fn certificates(bytes: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let shown = path.display();
    let mut chain = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(bytes) {
        let Ok(certificate) = certificate else {
            let fault = Fault::new(format!("`{shown}` holds a broken PEM block"));
            return Err(fault.expected("PEM certificates, the server's own first"));
        };
        chain.push(certificate);
        if chain.len() > CHAIN_MAX {
            let fault = Fault::new(format!("`{shown}` holds more than {CHAIN_MAX} certificates"));
            return Err(fault.expected("the server's own certificate and those that vouch for it"));
        }
    }
    match chain.is_empty() {
        true => Err(Fault::new(format!("`{shown}` holds no certificate"))
            .expected("at least one block `-----BEGIN CERTIFICATE-----`")),
        false => Ok(chain),
    }
}

fn parsed<'a>(
    chain: &'a [CertificateDer<'a>],
    path: &Path,
) -> Result<Vec<X509Certificate<'a>>, Fault> {
    let mut parsed = Vec::with_capacity(chain.len());
    for (position, certificate) in chain.iter().enumerate() {
        match X509Certificate::from_der(certificate) {
            Ok(([], certificate)) => parsed.push(certificate),
            Ok(_) | Err(_) => {
                let fault = Fault::new(format!(
                    "certificate {} of `{}` is no X.509 certificate",
                    position + 1,
                    path.display()
                ));
                return Err(fault.expected("PEM certificates, the server's own first"));
            }
        }
    }
    Ok(parsed)
}

/// RFC 8446 section 4.4.2: the sender's certificate comes first, and each that follows should
/// directly certify the one before it.
fn in_order(chain: &[X509Certificate<'_>], path: &Path) -> Result<(), Fault> {
    for (position, two) in chain.windows(2).enumerate() {
        let [below, above] = two else { continue };
        if below.issuer().as_raw() != above.subject().as_raw() {
            let fault = Fault::new(format!(
                "certificate {} of `{}` did not issue certificate {}: that one's issuer is `{}`",
                position + 2,
                path.display(),
                position + 1,
                below.issuer(),
            ));
            return Err(fault
                .expected("the server's own certificate, then the one that issued it, and so on"));
        }
    }
    Ok(())
}

/// The key with the chain that it is for.
fn certified(
    chain: &[CertificateDer<'static>],
    key: Arc<dyn SigningKey>,
    path: &Path,
) -> Result<CertifiedKey, Fault> {
    let shown = path.display();
    let from = |position: usize| CertifiedKey::new(chain[position..].to_vec(), key.clone());
    let whole = from(0);
    if whole.keys_match().is_ok() {
        return Ok(whole);
    }
    Err(match (1..chain.len()).find(|position| from(*position).keys_match().is_ok()) {
        Some(position) => {
            let number = position + 1;
            Fault::new(format!("the key in `{shown}` is that of certificate {number} of the chain"))
                .expected("the certificate of this key as the first of the chain")
        }
        None => Fault::new(format!("the key in `{shown}` is not the certificate's"))
            .expected("the key that the first certificate of the chain was issued for"),
    })
}

/// Seconds since 1970, none before it.
fn time(timestamp: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(timestamp).unwrap_or(0))
}

impl CertificateNames {
    fn of(certificate: &X509Certificate<'_>) -> CertificateNames {
        let mut names = CertificateNames::default();
        let alternative = certificate.subject_alternative_name().ok().flatten();
        for name in alternative.iter().flat_map(|extension| &extension.value.general_names) {
            match name {
                GeneralName::DNSName(name) => names.add(name),
                GeneralName::IPAddress(bytes) => names.addresses.extend(address(bytes)),
                // Those of mailboxes, folders and the like name no host.
                _ => {}
            }
        }
        names
    }

    fn add(&mut self, name: &str) {
        let name = name.to_ascii_lowercase();
        match name.strip_prefix("*.") {
            Some(parent) => self.wildcards.push(parent.to_owned()),
            None => self.exact.push(name),
        }
    }

    /// Lower-case names without a wildcard.
    pub fn exact(&self) -> &[String] {
        &self.exact
    }

    /// What follows `*.`, lower-case.
    pub fn wildcards(&self) -> &[String] {
        &self.wildcards
    }

    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.wildcards.is_empty() && self.addresses.is_empty()
    }

    /// Whether the certificate is for this host: a name or an address as Host has it, its port and
    /// all. RFC 9525 section 6.3: a wildcard stands for the whole leftmost label.
    pub fn covers(&self, host: &str) -> bool {
        let name = without_port(host);
        if let Ok(address) = name.trim_matches(['[', ']']).parse::<IpAddr>() {
            return self.addresses.contains(&address);
        }
        // RFC 1034 section 3.1: a final dot names the same host.
        let name = name.strip_suffix('.').unwrap_or(name);
        let is = |other: &String| other.eq_ignore_ascii_case(name);
        let parent = name.split_once('.').filter(|(label, _)| !label.is_empty());
        self.exact.iter().any(is)
            || parent.is_some_and(|(_, parent)| {
                self.wildcards.iter().any(|wildcard| wildcard.eq_ignore_ascii_case(parent))
            })
    }
}

/// As the certificate writes them, the first four.
impl std::fmt::Display for CertificateNames {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const SHOWN: usize = 4;
        let exact = self.exact.iter().cloned();
        let wildcards = self.wildcards.iter().map(|parent| format!("*.{parent}"));
        let addresses = self.addresses.iter().map(IpAddr::to_string);
        let names: Vec<String> = exact.chain(wildcards).chain(addresses).collect();
        f.write_str(&names[..names.len().min(SHOWN)].join(", "))?;
        match names.len().checked_sub(SHOWN) {
            Some(more) if more > 0 => write!(f, " and {more} more"),
            Some(_) | None => Ok(()),
        }
    }
}

fn without_port(host: &str) -> &str {
    let bracket = host.rfind(']').map_or(0, |at| at + 1);
    host[bracket..].find(':').map_or(host, |colon| &host[..bracket + colon])
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_a_certificate_is_for() {
        let mut names = CertificateNames::default();
        names.add("Shop.example");
        names.add("*.Wild.example");
        names.addresses = vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        for (host, covered) in [
            ("shop.example", true),
            ("SHOP.example:8443", true),
            ("shop.example.", true),
            ("www.shop.example", false),
            ("a.wild.example", true),
            ("a.b.wild.example", false),
            ("wild.example", false),
            (".wild.example", false),
            ("192.0.2.1", true),
            ("192.0.2.1:443", true),
            ("192.0.2.2", false),
            ("[2001:db8::1]:443", true),
            ("[2001:db8::1]", true),
            ("[2001:db8::2]", false),
            ("", false),
            (":", false),
            ("]", false),
        ] {
            assert_eq!(names.covers(host), covered, "{host}");
        }
        assert_eq!(names.to_string(), "shop.example, *.wild.example, 192.0.2.1, 2001:db8::1");
    }

    /// Each row: days of the lifetime, days since its begin, and what is said.
    #[test]
    fn remarks_on_dates() {
        let key = rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap();
        let der = PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap();
        let signing = any_supported_type(&der).unwrap();
        let day = |days: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(days * 86400);
        for (lifetime, passed, expected) in [
            (90, 10, ""),
            (90, 68, ""),
            (90, 70, "expires in 20 days"),
            (90, 89, "expires in 24 hours"),
            (90, 90, "expired 0 hours ago"),
            (90, 95, "expired 5 days ago"),
            (6, 3, ""),
            (6, 5, "expires in 24 hours"),
            (397, 370, ""),
            (397, 377, "expires in 20 days"),
        ] {
            let pair = Pair {
                key: Arc::new(CertifiedKey::new(Vec::new(), signing.clone())),
                names: CertificateNames { exact: vec!["a".to_owned()], ..Default::default() },
                not_before: day(100),
                not_after: day(100 + lifetime),
                key_is_open: false,
            };
            let said: Vec<String> =
                pair.remarks(day(100 + passed)).iter().map(ToString::to_string).collect();
            assert_eq!(said.join("; "), expected, "{lifetime} {passed}");
            let early = pair.remarks(day(97)).iter().map(ToString::to_string).next();
            assert_eq!(early.as_deref(), Some("is not valid for 3 days yet"));
        }
    }
}
