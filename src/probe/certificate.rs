//! The last day of the certificate that a server shows: a handshake that is broken off once it has
//! come. Whether it is to be trusted is the exchange's to say. Asked by the doctor alone; blocks.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};

use crate::config::{Server, ServerAddress, Upstream};
use crate::upstream;

/// Steps of a handshake; one that takes more is none.
const STEPS_MAX: usize = 64;

/// When the certificate of a server of TLS ends; `None` where it shows none in time. A Unix socket
/// is not asked.
pub fn certificate_end(block: &Upstream, server: &Server, limit: Duration) -> Option<SystemTime> {
    let address = address(server)?;
    let mut stream = TcpStream::connect_timeout(&address, limit).ok()?;
    stream.set_read_timeout(Some(limit)).ok()?;
    stream.set_write_timeout(Some(limit)).ok()?;
    let seen = Arc::new(Seeing::default());
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .ok()?
        .dangerous()
        .with_custom_certificate_verifier(seen.clone())
        .with_no_client_auth();
    let name = ServerName::try_from(upstream::server_name(block, server).into_owned()).ok()?;
    let mut connection = ClientConnection::new(Arc::new(config), name).ok()?;
    for _ in 0..STEPS_MAX {
        if !connection.is_handshaking() || connection.complete_io(&mut stream).is_err() {
            break;
        }
    }
    let shown = seen.0.lock().ok()?.take()?;
    end(&shown)
}

fn address(server: &Server) -> Option<SocketAddr> {
    match &server.address {
        ServerAddress::Ip(address) => Some(*address),
        ServerAddress::Name { host, port } => (host.as_str(), *port).to_socket_addrs().ok()?.next(),
        ServerAddress::Unix(_) => None,
    }
}

fn end(certificate: &[u8]) -> Option<SystemTime> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let seconds = u64::try_from(certificate.validity().not_after.timestamp()).ok()?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// Keeps the certificate, and trusts none: nothing is ever sent over such a connection.
#[derive(Debug, Default)]
struct Seeing(Mutex<Option<Vec<u8>>>);

impl ServerCertVerifier for Seeing {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Ok(mut seen) = self.0.lock() {
            *seen = Some(end_entity.to_vec());
        }
        Err(refusal())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(refusal())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(refusal())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

fn refusal() -> rustls::Error {
    rustls::Error::General("only looked at".to_owned())
}

#[cfg(test)]
mod tests {
    use crate::config::Scheme;

    use super::*;

    #[test]
    fn a_server_that_shows_none_has_no_end() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = ServerAddress::Ip(listener.local_addr().unwrap());
        let server = Server { scheme: Scheme::Https, address };
        let block = Upstream::new("shop", vec![server.clone()]);
        assert_eq!(certificate_end(&block, &server, Duration::from_millis(50)), None);
        assert_eq!(end(b"no certificate"), None);
    }
}
