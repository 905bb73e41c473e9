//! What a presented chain of certificates says of itself: every fault at once, where the verifier
//! stops at the first. Pure; the time comes in with the chain.
//!
//! Which of the faults is the cause is decided in `tls`, by the verifier's verdict. Whether an
//! issuer is trusted only the verifier knows.

use rustls::CertificateError;
use rustls::client::verify_server_name;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, Pem, X509Certificate};
use x509_parser::public_key::PublicKey;

use crate::upstream::Presented;

use super::faults::CertFault;

/// The most names of a certificate that evidence lists.
const NAMES_MAX: usize = 20;

/// A clock that shows less has never been set: this was written at that time (Unix seconds,
/// 2026-11-01).
const WRITTEN: u64 = 1_793_491_200;

/// The least RSA modulus that verifiers take (CA/Browser Forum Baseline Requirements 6.1.5).
const RSA_BITS_MIN: usize = 2048;

/// id-ad-caIssuers: where the issuer's certificate can be fetched (RFC 5280 section 4.2.2.1).
const CA_ISSUERS: &str = "1.3.6.1.5.5.7.48.2";

/// Signatures over MD2, MD5 or SHA-1, with RSA, DSA or ECDSA (RFC 3279 section 2.2).
const WEAK: [&str; 6] = [
    "1.2.840.113549.1.1.2",
    "1.2.840.113549.1.1.4",
    "1.2.840.113549.1.1.5",
    "1.3.14.3.2.29",
    "1.2.840.10040.4.3",
    "1.2.840.10045.4.1",
];

/// What a diagnosis needs of a chain.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Reading {
    /// The leaf's.
    pub(super) subject: String,
    pub(super) issuer: String,
    pub(super) names: Vec<String>,
    /// The earliest end of the certificates on the path, Unix seconds.
    pub(super) not_after: Option<u64>,
    /// The latest beginning of them.
    pub(super) not_before: Option<u64>,
    /// The leaf names itself as its issuer and its key signed it.
    pub(super) self_signed: bool,
    /// The leaf is made out as an authority (RFC 5280 section 4.2.1.9).
    pub(super) authority: bool,
    /// In the order of [`CertFault`].
    pub(super) faults: Vec<CertFault>,
}

/// Reads a chain that was refused with this verdict; `expected` is the name it has to carry. Empty
/// where there is no chain, or its leaf is not readable.
pub(super) fn read(presented: &Presented, verdict: &CertificateError, expected: &str) -> Reading {
    let Some(path) = path(&presented.chain) else { return Reading::default() };
    let leaf = &path[0];
    let names = match leaf.subject_alternative_name() {
        Ok(Some(extension)) => extension.value.general_names.iter().filter_map(name).collect(),
        Ok(None) | Err(_) => Vec::new(),
    };
    let mut reading = Reading {
        subject: leaf.subject().to_string(),
        issuer: leaf.issuer().to_string(),
        names,
        not_after: path.iter().filter_map(ends).min(),
        not_before: path.iter().filter_map(begins).max(),
        self_signed: signs_itself(leaf),
        authority: matches!(leaf.basic_constraints(), Ok(Some(found)) if found.value.ca),
        faults: Vec::new(),
    };
    reading.names.truncate(NAMES_MAX);
    reading.faults = faults(presented, &path, verdict, expected, reading.self_signed);
    reading
}

fn faults(
    presented: &Presented,
    path: &[X509Certificate<'_>],
    verdict: &CertificateError,
    expected: &str,
    self_signed: bool,
) -> Vec<CertFault> {
    let (leaf, above) = (&path[0], &path[1..]);
    let at = presented.at;
    let over = |certificate: &X509Certificate<'_>| ends(certificate).is_some_and(|end| end < at);
    let early = |certificate: &X509Certificate<'_>| begins(certificate).is_some_and(|b| b > at);
    let trust = trust(verdict, presented.beside_dates.as_ref());
    let untrusted = trust == Trust::Refused;
    let all_early = path.len() > 1 && path.iter().all(early);
    let weak_on_path = std::iter::once(leaf).chain(above).any(is_weak);
    [
        (CertFault::ClockWrong, at < WRITTEN || all_early),
        (CertFault::Expired, over(leaf)),
        (CertFault::IntermediateExpired, above.iter().any(over)),
        (CertFault::NotYetValid, early(leaf)),
        (CertFault::IntermediateNotYetValid, above.iter().any(early)),
        (CertFault::SelfSigned, self_signed && trust != Trust::Granted),
        (CertFault::UnknownIssuer, untrusted && !self_signed),
        (CertFault::MissingIntermediate, untrusted && is_alone(presented, leaf)),
        (CertFault::WrongHost, !carries(&presented.chain[0], expected)),
        (CertFault::NotForServers, !is_for_servers(leaf)),
        (CertFault::WeakSignature, weak_on_path),
        (CertFault::WeakKey, path.iter().any(has_weak_key)),
    ]
    .into_iter()
    .filter_map(|(fault, found)| found.then_some(fault))
    .collect()
}

/// What the verdicts say of the issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    Granted,
    Refused,
    /// The verifier stopped before it looked.
    Unknown,
}

/// webpki looks at dates, purpose, issuer, signatures and name, in this order; `beside_dates` is
/// what it says when the dates are left out of account.
fn trust(verdict: &CertificateError, beside_dates: Option<&CertificateError>) -> Trust {
    use CertificateError as E;
    let of_dates = matches!(verdict, E::Expired | E::ExpiredContext { .. })
        || matches!(verdict, E::NotValidYet | E::NotValidYetContext { .. });
    let verdict = match (of_dates, beside_dates) {
        (true, None) => return Trust::Granted,
        (true, Some(second)) => second,
        (false, _) => verdict,
    };
    match verdict {
        E::UnknownIssuer => Trust::Refused,
        E::NotValidForName | E::NotValidForNameContext { .. } => Trust::Granted,
        _ => Trust::Unknown,
    }
}

/// The leaf and the intermediates above it, as far as they were sent. Roots are left out: one that
/// is trusted is trusted whatever it says of itself.
fn path(chain: &[Vec<u8>]) -> Option<Vec<X509Certificate<'_>>> {
    let (leaf, above) = chain.split_first()?;
    let mut path = vec![parsed(leaf)?];
    let above = above.iter().filter_map(|der| parsed(der));
    let mut rest: Vec<_> = above.filter(|above| !is_self_issued(above)).collect();
    loop {
        let issuer = path.last().map(|last| last.issuer().as_raw())?;
        let Some(at) = rest.iter().position(|above| above.subject().as_raw() == issuer) else {
            return Some(path);
        };
        path.push(rest.swap_remove(at));
    }
}

fn parsed(der: &[u8]) -> Option<X509Certificate<'_>> {
    X509Certificate::from_der(der).ok().map(|(_, certificate)| certificate)
}

fn ends(certificate: &X509Certificate<'_>) -> Option<u64> {
    u64::try_from(certificate.validity().not_after.timestamp()).ok()
}

/// When the first certificate of a file in PEM ends, Unix seconds.
pub fn certificate_ends(pem: &[u8]) -> Option<u64> {
    let first = Pem::iter_from_buffer(pem).next()?.ok()?;
    parsed(&first.contents).as_ref().and_then(ends)
}

fn begins(certificate: &X509Certificate<'_>) -> Option<u64> {
    u64::try_from(certificate.validity().not_before.timestamp()).ok()
}

fn is_self_issued(certificate: &X509Certificate<'_>) -> bool {
    certificate.issuer().as_raw() == certificate.subject().as_raw()
}

/// An authority and its server of the same name look self-signed too; the key tells them apart.
fn signs_itself(certificate: &X509Certificate<'_>) -> bool {
    if !is_self_issued(certificate) {
        return false;
    }
    let key = &certificate.public_key().subject_public_key.data;
    let (signed, signature) =
        (certificate.tbs_certificate.as_ref(), &certificate.signature_value.data);
    let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
    // No verifier takes a weak one, so that it cannot be tried.
    is_weak(certificate)
        || has_weak_key(certificate)
        || algorithms.all.iter().any(|with| with.verify_signature(key, signed, signature).is_ok())
}

/// One certificate was sent, and it says where its issuer's is to be had.
fn is_alone(presented: &Presented, leaf: &X509Certificate<'_>) -> bool {
    let tells = leaf.extensions().iter().any(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityInfoAccess(access) => {
            access.accessdescs.iter().any(|way| way.access_method.to_id_string() == CA_ISSUERS)
        }
        _ => false,
    });
    presented.chain.len() == 1 && !is_self_issued(leaf) && tells
}

/// By the verifier's own rules (RFC 9525 section 6): subjectAltName alone counts.
fn carries(leaf: &[u8], expected: &str) -> bool {
    let leaf = CertificateDer::from(leaf);
    match (ParsedCertificate::try_from(&leaf), ServerName::try_from(expected)) {
        (Ok(leaf), Ok(expected)) => verify_server_name(&leaf, &expected).is_ok(),
        // What cannot be read is the verdict's matter.
        (Err(_), _) | (_, Err(_)) => true,
    }
}

/// RFC 5280 section 4.2.1.12: without the extension a certificate is for every purpose. The
/// verifier does not take anyExtendedKeyUsage in place of serverAuth.
fn is_for_servers(leaf: &X509Certificate<'_>) -> bool {
    match leaf.extended_key_usage() {
        Ok(Some(extension)) => extension.value.server_auth,
        Ok(None) | Err(_) => true,
    }
}

fn is_weak(certificate: &X509Certificate<'_>) -> bool {
    WEAK.contains(&certificate.signature_algorithm.algorithm.to_id_string().as_str())
}

fn has_weak_key(certificate: &X509Certificate<'_>) -> bool {
    match certificate.public_key().parsed() {
        Ok(PublicKey::RSA(key)) => key.key_size() < RSA_BITS_MIN,
        Ok(_) | Err(_) => false,
    }
}

fn name(general: &GeneralName<'_>) -> Option<String> {
    match general {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match <[u8; 4]>::try_from(*bytes) {
            Ok(v4) => Some(std::net::Ipv4Addr::from(v4).to_string()),
            Err(_) => {
                <[u8; 16]>::try_from(*bytes).ok().map(|v6| std::net::Ipv6Addr::from(v6).to_string())
            }
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose,
        IsCa, Issuer, KeyPair, date_time_ymd,
    };

    use super::*;
    use CertFault as F;
    use CertificateError as E;

    /// 2027-01-15.
    const NOW: u64 = 1_800_000_000;

    /// authorityInfoAccess (RFC 5280 section 4.2.2.1) with caIssuers at http://a/.
    const ACCESS: &[u8] =
        b"\x30\x17\x30\x15\x06\x08\x2b\x06\x01\x05\x05\x07\x30\x02\x86\x09http://a/";
    const ACCESS_OID: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 1, 1];

    type Change = fn(&mut CertificateParams);
    const AS_IS: Change = |_| {};

    fn params(name: &str, change: Change) -> CertificateParams {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2040, 1, 1);
        change(&mut params);
        params
    }

    fn self_signed(change: Change) -> Vec<Vec<u8>> {
        let key = KeyPair::generate().unwrap();
        let certificate = params("shop.example", change).self_signed(&key).unwrap();
        vec![certificate.der().to_vec()]
    }

    /// A leaf, and the intermediate that signed it.
    fn signed(leaf: Change, intermediate: Change) -> Vec<Vec<u8>> {
        let (root, middle, key) = (
            KeyPair::generate().unwrap(),
            KeyPair::generate().unwrap(),
            KeyPair::generate().unwrap(),
        );
        let root = Issuer::new(params("root", AS_IS), root);
        let mut above = params("intermediate", intermediate);
        above.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let upper = above.signed_by(&middle, &root).unwrap();
        let issuer = Issuer::new(above, middle);
        let lower = params("shop.example", leaf).signed_by(&key, &issuer).unwrap();
        vec![lower.der().to_vec(), upper.der().to_vec()]
    }

    fn leaf_alone(leaf: Change) -> Vec<Vec<u8>> {
        signed(leaf, AS_IS).drain(..1).collect()
    }

    fn expired(params: &mut CertificateParams) {
        params.not_after = date_time_ymd(2021, 1, 1);
    }

    fn early(params: &mut CertificateParams) {
        params.not_before = date_time_ymd(2030, 1, 1);
    }

    fn elsewhere(params: &mut CertificateParams) {
        *params = self::params("other.example", AS_IS);
    }

    fn wrong_twice(params: &mut CertificateParams) {
        elsewhere(params);
        expired(params);
    }

    fn for_clients(params: &mut CertificateParams) {
        params.insert_extended_key_usage(ExtendedKeyUsagePurpose::ClientAuth);
    }

    fn tells_its_issuer(params: &mut CertificateParams) {
        let access = CustomExtension::from_oid_content(ACCESS_OID, ACCESS.to_vec());
        params.custom_extensions.push(access);
    }

    fn authority(params: &mut CertificateParams) {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }

    #[test]
    fn every_fault_of_a_chain_is_seen_at_once() {
        let same_name = |params: &mut CertificateParams| {
            params.distinguished_name = self::params("intermediate", AS_IS).distinguished_name;
        };
        let none = None::<E>;
        for (what, chain, verdict, beside_dates, at, expected) in [
            (
                "wrong name",
                leaf_alone(elsewhere),
                E::NotValidForName,
                none.clone(),
                NOW,
                vec![F::WrongHost],
            ),
            ("expired", leaf_alone(expired), E::Expired, none.clone(), NOW, vec![F::Expired]),
            (
                "expired, of another name",
                leaf_alone(wrong_twice),
                E::Expired,
                Some(E::NotValidForName),
                NOW,
                vec![F::Expired, F::WrongHost],
            ),
            (
                "expired, of another name, by nobody",
                leaf_alone(wrong_twice),
                E::Expired,
                Some(E::UnknownIssuer),
                NOW,
                vec![F::Expired, F::UnknownIssuer, F::WrongHost],
            ),
            (
                "expired above",
                signed(AS_IS, expired),
                E::Expired,
                none.clone(),
                NOW,
                vec![F::IntermediateExpired],
            ),
            (
                "early",
                signed(early, AS_IS),
                E::NotValidYet,
                none.clone(),
                NOW,
                vec![F::NotYetValid],
            ),
            (
                "all early",
                signed(early, early),
                E::NotValidYet,
                none.clone(),
                NOW,
                vec![F::ClockWrong, F::NotYetValid, F::IntermediateNotYetValid],
            ),
            (
                "a clock that was never set",
                leaf_alone(AS_IS),
                E::NotValidYet,
                none.clone(),
                0,
                vec![F::ClockWrong, F::NotYetValid],
            ),
            (
                "self-signed",
                self_signed(AS_IS),
                E::UnknownIssuer,
                none.clone(),
                NOW,
                vec![F::SelfSigned],
            ),
            (
                "self-signed and expired",
                self_signed(expired),
                E::Expired,
                Some(E::UnknownIssuer),
                NOW,
                vec![F::Expired, F::SelfSigned],
            ),
            (
                "self-signed, trusted and expired",
                self_signed(expired),
                E::Expired,
                none.clone(),
                NOW,
                vec![F::Expired],
            ),
            (
                "self-signed for clients",
                self_signed(for_clients),
                E::InvalidPurpose,
                none.clone(),
                NOW,
                vec![F::SelfSigned, F::NotForServers],
            ),
            (
                "unknown",
                signed(AS_IS, AS_IS),
                E::UnknownIssuer,
                none.clone(),
                NOW,
                vec![F::UnknownIssuer],
            ),
            (
                "signed by one of the same name",
                leaf_alone(same_name),
                E::UnknownIssuer,
                none.clone(),
                NOW,
                vec![F::UnknownIssuer],
            ),
            (
                "the intermediate is missing",
                leaf_alone(tells_its_issuer),
                E::UnknownIssuer,
                none.clone(),
                NOW,
                vec![F::UnknownIssuer, F::MissingIntermediate],
            ),
            (
                "the intermediate is there",
                signed(tells_its_issuer, AS_IS),
                E::UnknownIssuer,
                none.clone(),
                NOW,
                vec![F::UnknownIssuer],
            ),
            ("nothing", Vec::new(), E::BadEncoding, none.clone(), NOW, Vec::new()),
            ("no certificate", vec![b"0\x03abc".to_vec()], E::BadEncoding, none, NOW, Vec::new()),
        ] {
            let presented = Presented { chain, at, beside_dates };
            let reading = read(&presented, &verdict, "shop.example");
            assert_eq!(reading.faults, expected, "{what}");
        }
    }

    #[test]
    fn a_leaf_is_read_with_the_dates_of_its_path() {
        let chain = signed(authority, expired);
        let presented = Presented { chain, at: NOW, beside_dates: None };
        let reading = read(&presented, &E::Expired, "shop.example");
        assert_eq!(reading.not_after, Some(1_609_459_200));
        assert_eq!(reading.not_before, Some(1_577_836_800));
        assert_eq!(reading.names, ["shop.example"]);
        assert_eq!(
            (reading.subject.as_str(), reading.issuer.as_str()),
            ("CN=shop.example", "CN=intermediate")
        );
        assert!(reading.authority && !reading.self_signed);
    }

    #[test]
    fn cut_anywhere_a_chain_never_panics() {
        let [leaf] = &leaf_alone(tells_its_issuer)[..] else { unreachable!("one was taken") };
        for cut in 0..leaf.len() {
            let presented =
                Presented { chain: vec![leaf[..cut].to_vec()], at: NOW, beside_dates: None };
            assert_eq!(read(&presented, &E::BadEncoding, "shop.example"), Reading::default());
        }
    }
}
