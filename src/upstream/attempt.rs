//! The flight record of one attempt: how far it got, when, and what was seen.
//!
//! The caller owns it and lends it, so that it survives a dropped exchange. Numbers and stamps only
//! on the good path; bytes and certificates are copied into it when something failed.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustls::CertificateError;

use crate::config::{Server, Upstream};

use super::failure::{ConnectFailure, Stage};
use super::fastcgi::stderr::Stderr;
use super::resolve_asked::Lookup;
use super::resolve_history::Named;

/// How many of the first received bytes a failed attempt keeps.
pub const FIRST_BYTES_MAX: usize = 512;

/// One attempt at one server.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The block's servers; `server` says which.
    pub upstream: Rc<Upstream>,
    pub server: usize,
    /// The address connected to, once known; `None` for Unix sockets.
    pub address: Option<SocketAddr>,
    /// The addresses that did not become the connection; `address` is the one that tells most when
    /// none did.
    pub tried: Vec<Tried>,
    pub stage: Stage,
    pub stamps: Stamps,
    /// Set when the connection had served before.
    pub reuse: Option<Reuse>,
    /// The peer asked for a certificate of ours in the handshake of this connection.
    pub asked_for_certificate: bool,
    /// Bytes of the request handed to the kernel.
    pub bytes_sent: u64,
    /// Bytes of the response received, head and body, above TLS.
    pub bytes_received: u64,
    /// Body bytes of the response given on, without its coding.
    pub body_bytes: u64,
    /// The final response's status, once its head was whole and sound.
    pub status: Option<u16>,
    /// HTTP/1.1 is spoken in place of HTTP/2, as the server wanted a moment ago.
    pub http1: bool,
    /// HTTP/2: the peer vouches that it did nothing with the request.
    pub declined: bool,
    /// FastCGI: the program has printed something.
    pub printed: bool,
    /// FastCGI: what the program wrote to STDERR; `None` while that is nothing.
    pub stderr: Option<Box<Stderr>>,
    /// What a failure leaves behind; `None` on the good path.
    pub remains: Option<Box<Remains>>,
}

/// One address that could not be connected to.
#[derive(Debug, Clone)]
pub struct Tried {
    pub address: SocketAddr,
    pub failure: ConnectFailure,
    pub took: Duration,
}

/// When each stage ended.
#[derive(Debug, Clone, Copy)]
pub struct Stamps {
    pub started: Instant,
    pub resolved: Option<Instant>,
    pub connected: Option<Instant>,
    pub secured: Option<Instant>,
    /// The whole request was handed over.
    pub sent: Option<Instant>,
    pub first_byte: Option<Instant>,
    pub head: Option<Instant>,
    /// It failed.
    pub ended: Option<Instant>,
}

/// What is known of a connection that was reused.
#[derive(Debug, Clone, Copy)]
pub struct Reuse {
    pub idle: Duration,
    /// Requests served on it before this one.
    pub served: u64,
}

/// Evidence copied when an attempt fails.
#[derive(Debug, Clone, Default)]
pub struct Remains {
    /// The first bytes received, below TLS where the handshake failed.
    pub first_bytes: Vec<u8>,
    /// The line in which parsing stopped.
    pub line: Vec<u8>,
    /// Header names with the size of their lines, largest first; three at most.
    pub largest: Vec<(String, usize)>,
    /// What the peer showed and the verifier refused.
    pub presented: Option<Box<Presented>>,
    /// The look-up that failed.
    pub lookup: Option<Lookup>,
    /// What the server's name led to, where it could not be reached.
    pub named: Option<Named>,
}

/// A chain of certificates that was refused.
#[derive(Debug, Clone)]
pub struct Presented {
    /// DER, leaf first.
    pub chain: Vec<Vec<u8>>,
    /// When it was verified, by our clock: Unix seconds.
    pub at: u64,
    /// Refused for its dates: what the verifier says when these are left out of account.
    pub beside_dates: Option<CertificateError>,
}

impl Attempt {
    pub fn new(upstream: Rc<Upstream>, server: usize, now: Instant) -> Attempt {
        Attempt {
            upstream,
            server,
            address: None,
            tried: Vec::new(),
            stage: Stage::Resolve,
            stamps: Stamps {
                started: now,
                resolved: None,
                connected: None,
                secured: None,
                sent: None,
                first_byte: None,
                head: None,
                ended: None,
            },
            reuse: None,
            asked_for_certificate: false,
            bytes_sent: 0,
            bytes_received: 0,
            body_bytes: 0,
            status: None,
            http1: false,
            declined: false,
            printed: false,
            stderr: None,
            remains: None,
        }
    }

    /// One that the refusal which answered this one answers as well.
    pub fn repeated(&self, now: Instant) -> Attempt {
        let mut again = Attempt::new(self.upstream.clone(), self.server, now);
        (again.stage, again.address, again.http1) = (self.stage, self.address, self.http1);
        again
    }

    /// The server as configured.
    pub fn server(&self) -> &Server {
        &self.upstream.servers[self.server]
    }

    /// Whether it is HTTP/2 that is spoken to it.
    pub fn speaks_http2(&self) -> bool {
        !self.http1 && self.upstream.speaks_http2(self.server())
    }

    pub(crate) fn remains(&mut self) -> &mut Remains {
        self.remains.get_or_insert_default()
    }

    pub(crate) fn stderr(&mut self) -> &mut Stderr {
        self.stderr.get_or_insert_default()
    }

    pub(crate) fn keep_first_bytes(&mut self, bytes: &[u8]) {
        let kept = &bytes[..bytes.len().min(FIRST_BYTES_MAX)];
        self.remains().first_bytes = kept.to_vec();
    }
}
