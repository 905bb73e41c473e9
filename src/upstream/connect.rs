//! From a server of the configuration to an open connection: resolve, connect, secure.
//!
//! Each stage has its deadline and marks the flight record. A name's addresses are tried by `race`,
//! but for those that no name may lead to.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{TcpStream, UnixStream};

use crate::clock;
use crate::config::{Rehearsal, Scheme, ServerAddress};

use super::attempt::{Attempt, Tried};
use super::failure::{ConnectFailure, Failure, Icmp, IcmpVersion, Stage, TlsFailure};
use super::pool::Pool;
use super::race::{self, Race};
use super::resolve::Resolver;
use super::stream::{Conn, Stream};

/// How often a full Unix backlog is tried again: a burst drains within milliseconds.
const BACKLOG_RETRIES: u32 = 3;
const BACKLOG_PAUSE: Duration = Duration::from_millis(5);

/// Destination unreachable (RFC 792).
const ICMP_UNREACHABLE: u8 = 3;

/// Opens a fresh connection to the attempt's server. Cancel safe: what was opened is closed.
///
/// # Errors
/// The first failure of the stages up to TLS.
pub(super) async fn connect(
    pool: &Pool,
    resolver: &Resolver,
    attempt: &mut Attempt,
) -> Result<Conn, Failure> {
    let upstream = attempt.upstream.clone();
    let server = &upstream.servers[attempt.server];
    if let Some(rehearsal) = upstream.rehearse
        && let Some(failure) = rehearsed(rehearsal)
    {
        attempt.stage = Stage::Connect;
        if let ServerAddress::Ip(address) = server.address {
            attempt.address = Some(address);
        }
        return Err(Failure::Connect(failure));
    }
    let tcp = match &server.address {
        ServerAddress::Unix(path) => {
            attempt.stage = Stage::Connect;
            let unix = unix(path).await.map_err(Failure::Connect)?;
            attempt.stamps.connected = Some(Instant::now());
            return Ok(Conn::new(Stream::Unix(unix), None, clock::now(), pool.opened()));
        }
        ServerAddress::Ip(address) => {
            attempt.stage = Stage::Connect;
            tcp(vec![*address], attempt).await?
        }
        ServerAddress::Name { host, port } => {
            attempt.stage = Stage::Resolve;
            let limit = upstream.timeouts.resolve;
            let found = resolver.resolve(host, limit).await.map_err(|failure| {
                attempt.remains().lookup = Some(resolver.lookup(host, &failure));
                Failure::Resolve(failure)
            })?;
            attempt.stamps.resolved = Some(Instant::now());
            attempt.stage = Stage::Connect;
            let found = found.into_iter().map(|ip| SocketAddr::new(ip, *port)).collect();
            let allowed = allowed(pool, found, attempt);
            let connected = tcp(race::order(allowed, pool.v4_first(attempt.server)), attempt).await;
            if let (Ok(_), Some(address)) = (&connected, attempt.address) {
                pool.note_family(attempt.server, address);
            }
            connected?
        }
    };
    let stream = match server.scheme {
        Scheme::Http | Scheme::H2c | Scheme::FastCgi => Stream::Tcp(tcp),
        Scheme::Https => {
            attempt.stage = Stage::Tls;
            let setup = pool.tls().ok_or(Failure::Tls(TlsFailure::Trust))?;
            let secured = setup.handshake(tcp, attempt).await.map_err(Failure::Tls)?;
            attempt.stamps.secured = Some(Instant::now());
            Stream::Tls(secured)
        }
    };
    Ok(Conn::new(stream, attempt.address, clock::now(), pool.opened()))
}

/// What the demonstration plays of a connect.
fn rehearsed(rehearsal: Rehearsal) -> Option<ConnectFailure> {
    match rehearsal {
        Rehearsal::ConnectErrno(errno) => {
            let error = io::Error::from_raw_os_error(errno);
            Some(ConnectFailure::Io { error, icmp: None })
        }
        Rehearsal::ConnectRejected { errno, code, offender } => {
            let error = io::Error::from_raw_os_error(errno);
            let (version, kind) = (IcmpVersion::V4, ICMP_UNREACHABLE);
            let icmp = Icmp { version, kind, code, offender: Some(offender.into()), own: false };
            Some(ConnectFailure::Io { error, icmp: Some(icmp) })
        }
        Rehearsal::FileErrno(_) | Rehearsal::StorageErrno(_) | Rehearsal::Panic => None,
    }
}

/// The addresses of a name that it may lead to; the others are noted as tried.
fn allowed(pool: &Pool, found: Vec<SocketAddr>, attempt: &mut Attempt) -> Vec<SocketAddr> {
    let mut allowed = found;
    allowed.retain(|address| match pool.prohibits(*address) {
        None => true,
        Some(why) => {
            let (failure, took) = (ConnectFailure::Prohibited(why), Duration::ZERO);
            attempt.tried.push(Tried { address: *address, failure, took });
            false
        }
    });
    allowed
}

/// Connects to the address that answers first; when none does, the failure that tells most counts.
async fn tcp(addresses: Vec<SocketAddr>, attempt: &mut Attempt) -> Result<TcpStream, Failure> {
    let limit = attempt.upstream.timeouts.connect;
    attempt.address = addresses.first().copied();
    let mut race = Race::new(addresses, std::mem::take(&mut attempt.tried));
    let outcome = clock::within(limit, poll_fn(|cx| race.poll(cx))).await;
    if outcome.is_none() {
        race.give_up();
    }
    attempt.tried = race.tried;
    if let Some(Some((tcp, address))) = outcome {
        attempt.address = Some(address);
        attempt.stamps.connected = Some(Instant::now());
        // A request and its body leave in as few pieces as we write them in.
        let _ = tcp.set_nodelay(true);
        return Ok(tcp);
    }
    let Some(lead) = race::most_telling(&attempt.tried) else {
        return Err(Failure::Connect(ConnectFailure::TimedOut));
    };
    attempt.address = Some(lead.address);
    Err(Failure::Connect(lead.failure.clone()))
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
            Err(error) => return Err(ConnectFailure::Io { error, icmp: None }),
        }
    }
}

/// Connected when it returns; tokio's own would wait for the reactor to say so.
fn connect_unix(path: &Path) -> io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    socket.connect(&SockAddr::unix(path)?)?;
    UnixStream::from_std(std::os::unix::net::UnixStream::from(OwnedFd::from(socket)))
}
