//! Certificates that are wrong in every way, made at the start and gone at the end.
//!
//! One authority of our own is trusted; its file is the blocks' `tls.ca`.

use std::io;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use super::scenario::Cert;

/// The name that the proxy expects of every TLS peer.
pub(super) const SERVER_NAME: &str = "shop.demo";

/// The authorities and what they sign.
#[derive(Debug)]
pub(super) struct Certificates {
    trusted: Issuer<'static, KeyPair>,
    unknown: Issuer<'static, KeyPair>,
    trusted_der: CertificateDer<'static>,
    /// The trusted authority's certificate.
    pub(super) ca_pem: String,
}

impl Certificates {
    /// # Errors
    /// When a key or certificate cannot be made.
    pub(super) fn new() -> io::Result<Certificates> {
        let (trusted, trusted_der, ca_pem) = authority("Causeway demonstration CA")?;
        let (unknown, ..) = authority("Somebody else's CA")?;
        Ok(Certificates { trusted, unknown, trusted_der, ca_pem })
    }

    /// What a TLS peer with this certificate needs.
    ///
    /// # Errors
    /// When the certificate cannot be made, or rustls refuses it.
    pub(super) fn server(&self, cert: Cert) -> io::Result<Arc<ServerConfig>> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let (chain, key) = self.sign(cert).map_err(io::Error::other)?;
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        let builder = if cert == Cert::WantsOurs {
            let mut roots = RootCertStore::empty();
            roots.add(self.trusted_der.clone()).map_err(io::Error::other)?;
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider)
                .build()
                .map_err(io::Error::other)?;
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let mut config = builder.with_single_cert(vec![chain], key).map_err(io::Error::other)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec(), b"h2".to_vec()];
        Ok(Arc::new(config))
    }

    fn sign(
        &self,
        cert: Cert,
    ) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), rcgen::Error> {
        let name = if cert == Cert::WrongHost { "other.demo" } else { SERVER_NAME };
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, name);
        (params.not_before, params.not_after) = match cert {
            Cert::Expired => (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1)),
            Cert::NotYetValid => (date_time_ymd(2048, 1, 1), date_time_ymd(2049, 1, 1)),
            Cert::Good
            | Cert::WrongHost
            | Cert::SelfSigned
            | Cert::SelfSignedCa
            | Cert::UnknownIssuer
            | Cert::ClientsOnly
            | Cert::WantsOurs => (date_time_ymd(2020, 1, 1), date_time_ymd(2049, 1, 1)),
        };
        let purpose = match cert {
            Cert::ClientsOnly => ExtendedKeyUsagePurpose::ClientAuth,
            _ => ExtendedKeyUsagePurpose::ServerAuth,
        };
        if cert == Cert::SelfSignedCa {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        } else {
            params.is_ca = IsCa::ExplicitNoCa;
            params.insert_extended_key_usage(purpose);
        }
        let key = KeyPair::generate()?;
        let signed = match cert {
            Cert::SelfSigned | Cert::SelfSignedCa => params.self_signed(&key)?,
            Cert::UnknownIssuer => params.signed_by(&key, &self.unknown)?,
            _ => params.signed_by(&key, &self.trusted)?,
        };
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        Ok((signed.der().clone(), key.into()))
    }
}

fn authority(
    name: &str,
) -> io::Result<(Issuer<'static, KeyPair>, CertificateDer<'static>, String)> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2049, 1, 1));
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let certificate = params.self_signed(&key).map_err(io::Error::other)?;
    let (der, pem) = (certificate.der().clone(), certificate.pem());
    Ok((Issuer::new(params, key), der, pem))
}

#[cfg(test)]
mod tests {
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier;
    use rustls::pki_types::{ServerName, UnixTime};

    use super::*;

    #[test]
    fn each_certificate_is_wrong_in_its_own_way() {
        let certificates = Certificates::new().unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificates.trusted_der.clone()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier =
            WebPkiServerVerifier::builder_with_provider(roots.into(), provider).build().unwrap();
        let name = ServerName::try_from(SERVER_NAME).unwrap();
        for (cert, expected) in [
            (Cert::Good, "Ok"),
            (Cert::Expired, "Expired"),
            (Cert::NotYetValid, "NotValidYet"),
            (Cert::WrongHost, "NotValidForName"),
            (Cert::SelfSigned, "UnknownIssuer"),
            (Cert::SelfSignedCa, "CaUsedAsEndEntity"),
            (Cert::UnknownIssuer, "UnknownIssuer"),
            (Cert::ClientsOnly, "InvalidPurpose"),
            (Cert::WantsOurs, "Ok"),
        ] {
            let (der, _) = certificates.sign(cert).unwrap();
            let verdict = verifier.verify_server_cert(&der, &[], &name, &[], UnixTime::now());
            let verdict = format!("{verdict:?}");
            assert!(verdict.contains(expected), "{cert:?}: {verdict}");
            assert!(certificates.server(cert).is_ok(), "{cert:?}");
        }
    }
}
