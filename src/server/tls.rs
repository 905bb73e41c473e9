//! TLS towards clients: the handshake, and by what it is done.
//!
//! Runs in the task of its connection, never where connections are accepted, within
//! `client.header_timeout`. Versions, suites and groups are those of Mozilla's "intermediate"
//! (v5.7) without its finite-field Diffie-Hellman: what is older no browser of the last ten years
//! needs. No renegotiation, no compression, no early data, no OCSP stapling: rustls has none of the
//! first two, the third would let requests be replayed (RFC 8446 section 8), and certificate
//! authorities are giving up the last.

use std::io::{self, Read};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::{self, Ticketer};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::server::{
    Accepted, Acceptor, ProducesTickets, ServerSessionMemoryCache, StoresServerSessions,
};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::StartHandshake;
use tokio_rustls::server::TlsStream;

use crate::clock;
use crate::config::{CertificateNames, PairFault, Tls};

use super::certificates::Shelf;
use super::socket::Socket;

/// Sessions of clients of TLS 1.2 that take no tickets, for all workers together.
const SESSIONS_MAX: usize = 10_240;
/// What is read of a handshake's first message at a time.
const PIECE: usize = 4096;
/// The first byte of every TLS connection: a record of a handshake (RFC 8446 section 5.1).
const HANDSHAKE: u8 = 22;

/// What all handshakes share. Outlives reloads, so that sessions are resumed across them.
#[derive(Debug)]
pub struct Terminator {
    shelf: RwLock<Arc<Shelf>>,
    suite: Suite,
}

/// How TLS is spoken, whatever the certificate.
#[derive(Debug, Clone)]
pub struct Suite {
    provider: Arc<CryptoProvider>,
    tickets: Arc<dyn ProducesTickets>,
    sessions: Arc<dyn StoresServerSessions>,
}

/// A connection after its handshake.
#[derive(Debug)]
pub struct Secured {
    pub socket: Box<TlsStream<Socket>>,
    pub protocol: Protocol,
    /// The hosts of the certificate that was shown.
    pub names: Arc<CertificateNames>,
}

/// What is spoken on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Http1,
    Http2,
}

/// Why a handshake did not come about.
#[derive(Debug)]
pub enum HandshakeFault {
    /// The client did not end it in time.
    TimedOut,
    /// The client left before its end.
    Cut,
    /// Something other than TLS came.
    NotTls,
    Io(io::Error),
    Tls(rustls::Error),
}

impl Terminator {
    /// Without a certificate.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn new() -> Result<Terminator, rustls::Error> {
        Ok(Terminator { shelf: RwLock::default(), suite: Suite::new()? })
    }

    /// Reads the certificates of a configuration.
    ///
    /// # Errors
    /// The first that cannot be served.
    pub fn read(&self, tls: &Tls) -> Result<Shelf, Vec<PairFault>> {
        Shelf::read(tls, &self.suite)
    }

    /// Puts certificates into force: new handshakes show them, connections go on.
    pub fn replace(&self, shelf: Shelf) {
        let mut place = self.shelf.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        *place = Arc::new(shelf);
    }

    /// The certificates in force.
    pub fn shelf(&self) -> Arc<Shelf> {
        self.shelf.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Does the handshake within `limit`.
    ///
    /// # Errors
    /// Why it did not come about.
    pub async fn shake(&self, socket: Socket, limit: Duration) -> Result<Secured, HandshakeFault> {
        let done = clock::within(limit, self.handshake(socket)).await;
        done.unwrap_or(Err(HandshakeFault::TimedOut))
    }

    async fn handshake(&self, mut socket: Socket) -> Result<Secured, HandshakeFault> {
        let accepted = hello(&mut socket).await?;
        let shelf = self.shelf();
        let Some(leaf) = shelf.choose(&accepted.client_hello()) else {
            return Err(HandshakeFault::Tls(rustls::Error::NoCertificatesPresented));
        };
        let started = StartHandshake::from_parts(accepted, socket);
        let stream = started.into_stream(leaf.server.clone()).await.map_err(fault)?;
        let protocol = match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Protocol::Http2,
            Some(_) | None => Protocol::Http1,
        };
        Ok(Secured { socket: Box::new(stream), protocol, names: leaf.names.clone() })
    }
}

/// Reads the client's first message.
async fn hello(socket: &mut Socket) -> Result<Accepted, HandshakeFault> {
    let mut acceptor = Acceptor::default();
    let mut piece = vec![0; PIECE];
    let mut begun = false;
    loop {
        let read = socket.read(&mut piece).await.map_err(HandshakeFault::Io)?;
        if read == 0 {
            return Err(HandshakeFault::Cut);
        }
        if !std::mem::replace(&mut begun, true) && piece[0] != HANDSHAKE {
            return Err(HandshakeFault::NotTls);
        }
        let mut bytes: &[u8] = &piece[..read];
        while !bytes.is_empty() {
            let taken: &mut dyn Read = &mut bytes;
            acceptor.read_tls(taken).map_err(HandshakeFault::Io)?;
        }
        match acceptor.accept() {
            Ok(Some(accepted)) => return Ok(accepted),
            Ok(None) => {}
            Err((error, mut alert)) => {
                let mut bytes = Vec::new();
                // Writing into a Vec cannot fail; whether the client still listens is its own.
                let _ = alert.write_all(&mut bytes);
                let _ = socket.write_all(&bytes).await;
                return Err(HandshakeFault::Tls(error));
            }
        }
    }
}

/// tokio-rustls wraps what rustls says.
fn fault(error: io::Error) -> HandshakeFault {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return HandshakeFault::Cut;
    }
    match error.downcast::<rustls::Error>() {
        Ok(error) => HandshakeFault::Tls(error),
        Err(error) => HandshakeFault::Io(error),
    }
}

impl Suite {
    fn new() -> Result<Suite, rustls::Error> {
        use aws_lc_rs::kx_group::{SECP256R1, SECP384R1, X25519, X25519MLKEM768};
        // The hybrid first: what is recorded today is not to be read by tomorrow's computers.
        let groups: [&'static dyn SupportedKxGroup; 4] =
            [X25519MLKEM768, X25519, SECP256R1, SECP384R1];
        let provider =
            CryptoProvider { kx_groups: groups.to_vec(), ..aws_lc_rs::default_provider() };
        Ok(Suite {
            provider: Arc::new(provider),
            tickets: Ticketer::new()?,
            sessions: ServerSessionMemoryCache::new(SESSIONS_MAX),
        })
    }

    /// What a handshake with this certificate is done by.
    pub fn server(&self, key: Arc<CertifiedKey>) -> Arc<ServerConfig> {
        let builder = ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&TLS13, &TLS12])
            .expect("the provider has suites of both versions");
        let mut server =
            builder.with_no_client_auth().with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
        server.ticketer = self.tickets.clone();
        server.session_storage = self.sessions.clone();
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(server)
    }
}
