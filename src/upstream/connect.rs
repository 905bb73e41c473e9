//! From a server of the configuration to an open connection: resolve, connect, secure.
//!
//! Each stage has its deadline and marks the flight record. Every address of a name is tried in
//! turn.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{TcpStream, UnixStream};

use crate::clock;
use crate::config::{Rehearsal, Scheme, ServerAddress};

use super::attempt::Attempt;
use super::failure::{ConnectFailure, Failure, Stage, TlsFailure};
use super::resolve::Resolver;
use super::stream::{Conn, Stream};
use super::tls::TlsSetup;

/// How often a full Unix backlog is tried again: a burst drains within milliseconds.
const BACKLOG_RETRIES: u32 = 3;
const BACKLOG_PAUSE: Duration = Duration::from_millis(5);

/// Opens a fresh connection to the attempt's server. Cancel safe: what was opened is closed.
///
/// # Errors
/// The first failure of the stages up to TLS.
pub(crate) async fn connect(
    resolver: &Resolver,
    tls: Option<&TlsSetup>,
    attempt: &mut Attempt,
) -> Result<Conn, Failure> {
    let upstream = attempt.upstream.clone();
    let server = &upstream.servers[attempt.server];
    if let Some(Rehearsal::ConnectErrno(errno)) = upstream.rehearse {
        attempt.stage = Stage::Connect;
        if let ServerAddress::Ip(address) = server.address {
            attempt.address = Some(address);
        }
        return Err(Failure::Connect(ConnectFailure::Io(io::Error::from_raw_os_error(errno))));
    }
    let tcp = match &server.address {
        ServerAddress::Unix(path) => {
            attempt.stage = Stage::Connect;
            let unix = unix(path).await.map_err(Failure::Connect)?;
            attempt.stamps.connected = Some(Instant::now());
            return Ok(Conn::new(Stream::Unix(unix), None, clock::now()));
        }
        ServerAddress::Ip(address) => tcp(&[*address], attempt).await?,
        ServerAddress::Name { host, port } => {
            attempt.stage = Stage::Resolve;
            let limit = upstream.timeouts.resolve;
            let found = resolver.resolve(host, limit).await.map_err(|failure| {
                attempt.remains().lookup = Some(resolver.lookup(host, &failure));
                Failure::Resolve(failure)
            })?;
            attempt.stamps.resolved = Some(Instant::now());
            let addresses: Vec<_> =
                found.into_iter().map(|ip| SocketAddr::new(ip, *port)).collect();
            tcp(&addresses, attempt).await?
        }
    };
    let stream = match server.scheme {
        Scheme::Http | Scheme::FastCgi => Stream::Tcp(tcp),
        Scheme::Https => {
            attempt.stage = Stage::Tls;
            let setup = tls.ok_or(Failure::Tls(TlsFailure::Trust))?;
            let secured = setup.handshake(tcp, attempt).await.map_err(Failure::Tls)?;
            attempt.stamps.secured = Some(Instant::now());
            Stream::Tls(secured)
        }
    };
    Ok(Conn::new(stream, attempt.address, clock::now()))
}

/// Connects to the first address that answers; the last failure counts when none does.
async fn tcp(addresses: &[SocketAddr], attempt: &mut Attempt) -> Result<TcpStream, Failure> {
    attempt.stage = Stage::Connect;
    let limit = attempt.upstream.timeouts.connect;
    let mut failure = ConnectFailure::TimedOut;
    for address in addresses {
        attempt.address = Some(*address);
        match clock::within(limit, TcpStream::connect(address)).await {
            Some(Ok(tcp)) => {
                attempt.stamps.connected = Some(Instant::now());
                // A request and its body leave in as few pieces as we write them in.
                let _ = tcp.set_nodelay(true);
                return Ok(tcp);
            }
            Some(Err(error)) => failure = ConnectFailure::Io(error),
            None => failure = ConnectFailure::TimedOut,
        }
    }
    Err(Failure::Connect(failure))
}

/// A Unix connect never waits: EAGAIN says that the listener's backlog is full (unix(7)).
async fn unix(path: &Path) -> Result<UnixStream, ConnectFailure> {
    let mut tries = 0;
    loop {
        match connect_unix(path) {
            Ok(unix) => return Ok(unix),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && tries < BACKLOG_RETRIES => {
                tries += 1;
                tokio::time::sleep(BACKLOG_PAUSE).await;
            }
            Err(error) => return Err(ConnectFailure::Io(error)),
        }
    }
}

/// Connected when it returns; tokio's own would wait for the reactor to say so.
fn connect_unix(path: &Path) -> io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    socket.connect(&SockAddr::unix(path)?)?;
    UnixStream::from_std(std::os::unix::net::UnixStream::from(OwnedFd::from(socket)))
}
