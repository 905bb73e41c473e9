//! TLS towards clients: the handshake, and by what it is done.
//!
//! Runs in the task of its connection, never where connections are accepted, within
//! `client.header_timeout`. Versions, suites and groups are those of Mozilla's "intermediate"
//! (v5.7) without its finite-field Diffie-Hellman: what is older no browser of the last ten years
//! needs. No renegotiation, no compression, no early data, no OCSP stapling: rustls has none of the
//! first two, the third would let requests be replayed (RFC 8446 section 8), and certificate
//! authorities are giving up the last.

use std::io::Read;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::crypto::aws_lc_rs::{self, Ticketer};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::server::{
    Accepted, Acceptor, ProducesTickets, ServerSessionMemoryCache, StoresServerSessions,
};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::StartHandshake;
use tokio_rustls::server::TlsStream;

use crate::clock;
use crate::config::{CertificateNames, Offer, PairFault, Tls, TlsVersion};

use super::certificates::{self, Shelf};
use super::handshake::{HandshakeFault, HandshakeLog};
use super::transport::Socket;

/// Sessions of clients of TLS 1.2 that take no tickets, for all workers together.
const SESSIONS_MAX: usize = 10_240;
/// What is read of a handshake's first message at a time.
const PIECE: usize = 4096;
/// The first byte of every TLS connection: a record of a handshake (RFC 8446 section 5.1).
const HANDSHAKE: u8 = 22;

/// A fatal alert, protocol_version (RFC 5246 section 7.2.2), as a client of TLS 1.0 reads it.
const PROTOCOL_VERSION: [u8; 7] = [21, 3, 1, 0, 2, 2, 70];

/// What all handshakes share. Outlives reloads, so that sessions are resumed across them.
#[derive(Debug)]
pub struct Terminator {
    shelves: RwLock<Shelves>,
    pub suite: Suite,
    pub log: HandshakeLog,
    /// Hosts that an authority is to see proven.
    #[cfg(feature = "acme")]
    pub validations: Arc<super::acme::Validations>,
}

#[derive(Debug, Default)]
struct Shelves {
    in_force: Arc<Shelf>,
    /// Those before a configuration without TLS: the clients that its listeners had let in are
    /// still to do their handshakes.
    before: Arc<Shelf>,
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

/// What a client that came to a listener with TLS speaks.
#[derive(Debug)]
pub enum Met {
    Tls(Secured),
    /// An authority that has looked at a proof; that was all.
    #[cfg(feature = "acme")]
    Authority,
    /// HTTP without TLS, of which this has come: a visitor's mistake that is answered.
    Plain {
        socket: Socket,
        begun: Vec<u8>,
    },
}

/// What is spoken on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Http1,
    Http2,
}

impl Terminator {
    /// Without a certificate.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn new() -> Result<Terminator, rustls::Error> {
        Ok(Terminator {
            shelves: RwLock::default(),
            suite: Suite::new()?,
            log: HandshakeLog::default(),
            #[cfg(feature = "acme")]
            validations: Arc::default(),
        })
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
        let mut shelves = self.shelves.write().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut shelves.in_force, Arc::new(shelf));
        match (old.leaves().is_empty(), shelves.in_force.leaves().is_empty()) {
            (false, true) => shelves.before = old,
            (true, true) => {}
            (_, false) => shelves.before = Arc::default(),
        }
    }

    /// The same, unless others than `old` are in force meanwhile. Says whether it was done.
    pub fn replace_these(&self, old: &Arc<Shelf>, new: Shelf) -> bool {
        let mut shelves = self.shelves.write().unwrap_or_else(PoisonError::into_inner);
        let unchanged = Arc::ptr_eq(&shelves.in_force, old);
        if unchanged {
            shelves.in_force = Arc::new(new);
        }
        unchanged
    }

    /// The certificates in force.
    pub fn shelf(&self) -> Arc<Shelf> {
        self.shelves.read().unwrap_or_else(PoisonError::into_inner).in_force.clone()
    }

    /// Those for a handshake: the certificates in force or, where there are none any more, the
    /// last.
    fn shown(&self) -> Arc<Shelf> {
        let shelves = self.shelves.read().unwrap_or_else(PoisonError::into_inner);
        match shelves.in_force.leaves().is_empty() {
            true => shelves.before.clone(),
            false => shelves.in_force.clone(),
        }
    }

    /// Does the handshake within `limit`.
    ///
    /// # Errors
    /// Why it did not come about.
    pub async fn meet(&self, socket: Socket, limit: Duration) -> Result<Met, HandshakeFault> {
        let done = clock::within(limit, self.handshake(socket)).await;
        done.unwrap_or(Err(HandshakeFault::TimedOut))
    }

    async fn handshake(&self, mut socket: Socket) -> Result<Met, HandshakeFault> {
        let accepted = match hello(&mut socket).await? {
            Hello::Tls(accepted) => accepted,
            Hello::Plain(begun) => return Ok(Met::Plain { socket, begun }),
        };
        #[cfg(feature = "acme")]
        if let Some(proof) = self.validations.find(&accepted.client_hello()) {
            let shown = StartHandshake::from_parts(*accepted, socket).into_stream(proof).await;
            // RFC 8737 section 3: the handshake is all there is to it.
            let _ = shown.map_err(HandshakeFault::of)?.shutdown().await;
            return Ok(Met::Authority);
        }
        let shelf = self.shown();
        let Some(leaf) = shelf.choose(&accepted.client_hello()) else {
            return Err(HandshakeFault::Invalid(rustls::Error::NoCertificatesPresented));
        };
        let suits = accepted.client_hello().cipher_suites().iter().any(certificates::is_spoken);
        let started = StartHandshake::from_parts(*accepted, socket);
        let done = started.into_stream(leaf.server.clone()).await;
        let stream = done.map_err(|error| match HandshakeFault::of(error) {
            // A client without our suites has no use for groups, and sends none.
            HandshakeFault::NoCommonGroup if !suits => HandshakeFault::NoCommonSuite,
            fault => fault,
        })?;
        let protocol = match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Protocol::Http2,
            Some(_) | None => Protocol::Http1,
        };
        let socket = Box::new(stream);
        Ok(Met::Tls(Secured { socket, protocol, names: leaf.names.clone() }))
    }
}

/// A client's first message.
enum Hello {
    Tls(Box<Accepted>),
    Plain(Vec<u8>),
}

/// Whether a first message ends at TLS 1.1: those after it say 1.2 in this place, and more in an
/// extension (RFC 8446 section 4.1.2). rustls finds other things missing first and names those.
fn is_old(record: &[u8]) -> bool {
    const CLIENT_HELLO: u8 = 1;
    // The record's head has 5 bytes, the message's 4 (RFC 5246 sections 6.2.1 and 7.4).
    matches!(record, [_, _, _, _, _, CLIENT_HELLO, _, _, _, major, minor, ..]
        if (*major, *minor) < (3, 3))
}

async fn hello(socket: &mut Socket) -> Result<Hello, HandshakeFault> {
    let mut acceptor = Acceptor::default();
    let mut piece = vec![0; PIECE];
    let mut begun = false;
    loop {
        let read = socket.read(&mut piece).await.map_err(HandshakeFault::Io)?;
        if read == 0 {
            return Err(HandshakeFault::Cut);
        }
        if !std::mem::replace(&mut begun, true) {
            match piece[0] {
                HANDSHAKE => {}
                // Every method in use is written in capitals.
                b'A'..=b'Z' => {
                    piece.truncate(read);
                    return Ok(Hello::Plain(piece));
                }
                _ => return Err(HandshakeFault::NotTls),
            }
            if is_old(&piece[..read]) {
                let _ = socket.write_all(&PROTOCOL_VERSION).await;
                return Err(HandshakeFault::NoCommonVersion);
            }
        }
        let mut bytes: &[u8] = &piece[..read];
        while !bytes.is_empty() {
            let from: &mut dyn Read = &mut bytes;
            acceptor.read_tls(from).map_err(HandshakeFault::Io)?;
        }
        match acceptor.accept() {
            Ok(Some(accepted)) => return Ok(Hello::Tls(Box::new(accepted))),
            Ok(None) => {}
            Err((error, mut alert)) => {
                let mut bytes = Vec::new();
                // Writing into a Vec cannot fail; whether the client still listens is its own.
                let _ = alert.write_all(&mut bytes);
                let _ = socket.write_all(&bytes).await;
                return Err(HandshakeFault::of_tls(error));
            }
        }
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
    pub fn server(&self, key: Arc<CertifiedKey>, offer: Offer) -> Arc<ServerConfig> {
        let versions: &[&SupportedProtocolVersion] = match offer.min_version {
            TlsVersion::Tls12 => &[&TLS13, &TLS12],
            TlsVersion::Tls13 => &[&TLS13],
        };
        let builder = ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(versions)
            .expect("the provider has suites of both versions");
        let mut server =
            builder.with_no_client_auth().with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
        server.ticketer = self.tickets.clone();
        server.session_storage = self.sessions.clone();
        server.alpn_protocols = match offer.http2 {
            true => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            false => vec![b"http/1.1".to_vec()],
        };
        Arc::new(server)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Certificate;

    #[test]
    fn certificates_outlast_the_listeners_for_those_who_were_let_in() {
        let folder = tempfile::tempdir().unwrap();
        let terminator = Terminator::new().unwrap();
        let shelf = |name: &str| {
            let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
            let (chain, key) = (folder.path().join("pem"), folder.path().join("key"));
            std::fs::write(&chain, made.cert.pem()).unwrap();
            std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
            let certificates = vec![Certificate { chain, key }];
            terminator.read(&Tls { certificates, ..Tls::default() }).unwrap()
        };
        let shown = || terminator.shown().leaves()[0].names.to_string();
        terminator.replace(shelf("one.example"));
        // Two reloads without TLS, one soon after the other.
        for _ in 0..2 {
            terminator.replace(Shelf::default());
            assert!(terminator.shelf().leaves().is_empty(), "none is in force");
            assert_eq!(shown(), "one.example");
        }
        terminator.replace(shelf("two.example"));
        assert_eq!(shown(), "two.example");
        let shelves = terminator.shelves.read().unwrap();
        assert!(shelves.before.leaves().is_empty(), "and the last ones are let go");
    }
}
