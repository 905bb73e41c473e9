//! What stands behind the proxy: a row's setup becomes sockets that fail and an upstream block.
//!
//! Sockets are bound here, so that their addresses are known before anything runs; the peers on
//! them are served by the demonstration's own thread.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustls::ServerConfig;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::config::{
    Files, Limits, Rehearsal, Scheme, Server, ServerAddress, Timeouts, Try, Upstream, UpstreamTls,
};

use super::dns;
use super::scenario::{Cert, Scenario, Setup, Step, UnixSetup};
use super::tls::{Certificates, SERVER_NAME};

/// Every failure of the demonstration shows within about this time.
const PATIENCE: Duration = Duration::from_secs(1);
/// A small receive buffer, so that a peer which does not read stops a sender soon.
const RECEIVE_BUFFER_BYTES: usize = 16 * 1024;
/// Connections that are tried until a listener's queue is full.
const FILLERS_MAX: usize = 16;
/// Connections that wait where nobody accepts; PHP-FPM's default `listen.backlog`.
const FPM_BACKLOG: i32 = 511;
/// A connect that takes longer over loopback has met a full queue.
const FILL_PATIENCE: Duration = Duration::from_millis(100);
/// All hosts of the local network: no TCP connection is routed there (RFC 1122 section 4.2.3.10).
const MULTICAST: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(224, 0, 0, 1)), 80);
/// TEST-NET-1 (RFC 5737): the address of rehearsed failures, to which nothing is sent.
const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 80);

const EACCES: i32 = 13;
const EAGAIN: i32 = 11;
const ENETUNREACH: i32 = 101;

/// Peers that are to be served.
#[derive(Debug)]
pub(super) enum Job {
    Tcp { listener: TcpListener, tls: Option<Arc<ServerConfig>>, script: Arc<[Step]> },
    Unix { listener: UnixListener, script: Arc<[Step]> },
}

/// What is built up for the rows; held for as long as the demonstration runs.
#[derive(Debug)]
pub(super) struct Backstage {
    pub(super) jobs: Vec<Job>,
    directory: Directory,
    certificates: Certificates,
    ca: PathBuf,
    /// Sockets that fail by being there: bound and not listening, full queues.
    held: Vec<Held>,
}

/// A socket that nobody serves.
#[derive(Debug)]
#[expect(dead_code, reason = "held open, never used")]
enum Held {
    Socket(Socket),
    Tcp(TcpStream),
    Unix(UnixStream),
    Datagram(UnixDatagram),
    Udp(UdpSocket),
}

/// A directory of our own; removed at the end with all that is in it.
#[derive(Debug)]
struct Directory(PathBuf);

impl Backstage {
    /// # Errors
    /// When the temporary directory or the authority cannot be made.
    pub(super) fn new() -> io::Result<Backstage> {
        let directory = Directory::new()?;
        let certificates = Certificates::new()?;
        let ca = directory.0.join("ca.pem");
        fs::write(&ca, &certificates.ca_pem)?;
        Ok(Backstage { jobs: Vec::new(), directory, certificates, ca, held: Vec::new() })
    }

    /// The block of a row; `None` where it needs none. `own` is the listener of the proxy,
    /// `healthy` the port of a server that answers.
    ///
    /// # Errors
    /// When a socket cannot be made.
    pub(super) fn upstream(
        &mut self,
        row: &Scenario,
        own: SocketAddr,
        healthy: u16,
    ) -> io::Result<Option<Upstream>> {
        let mut rehearse = None;
        let mut files = None;
        let server = match row.setup {
            Setup::Nothing => return Ok(None),
            Setup::Tcp(script) => http(self.tcp(None, script)?),
            Setup::Says(bytes) => http(self.tcp(None, &[Step::Head, Step::Write(bytes)])?),
            Setup::Heads(lines) => {
                let status = Step::Write(b"HTTP/1.1 200 OK\r\n");
                http(self.tcp(None, &[Step::Head, status, Step::Write(lines)])?)
            }
            Setup::Greets(bytes) => http(self.tcp(None, &[Step::Write(bytes), Step::Stall])?),
            Setup::InPlaceOfTls(script) => https(self.tcp(None, script)?),
            Setup::Tls(cert, script) => https(self.tcp(Some(cert), script)?),
            Setup::Unix(setup) => {
                let (path, rehearsal) = self.unix(setup, "")?;
                rehearse = rehearsal;
                Server { scheme: Scheme::Http, address: ServerAddress::Unix(path) }
            }
            Setup::FastCgi(script) => {
                files = Some(self.files_elsewhere());
                fastcgi(ServerAddress::Ip(self.tcp(None, script)?))
            }
            Setup::FastCgiUnix(setup) => {
                files = Some(self.files_elsewhere());
                let (path, rehearsal) = self.unix(setup, "php-")?;
                rehearse = rehearsal;
                fastcgi(ServerAddress::Unix(path))
            }
            Setup::HttpToFastCgi(script) => {
                let path = self.peer("php8.2-fpm.sock", script)?;
                Server { scheme: Scheme::Http, address: ServerAddress::Unix(path) }
            }
            Setup::Files => {
                files = Some(self.files_here()?);
                fastcgi(ServerAddress::Unix(self.directory.0.join("php-never-asked.sock")))
            }
            Setup::ClosedPort => http(self.closed_port()?),
            Setup::FullQueue => http(self.full_queue()?),
            Setup::Unroutable => {
                if !is_unroutable(MULTICAST) {
                    rehearse = Some(Rehearsal::ConnectErrno(ENETUNREACH));
                }
                http(MULTICAST)
            }
            Setup::Name(host) => {
                let address = ServerAddress::Name { host: host.to_owned(), port: healthy };
                Server { scheme: Scheme::Http, address }
            }
            Setup::Rehearsed(rehearsal) => {
                rehearse = Some(rehearsal);
                http(NOWHERE)
            }
            Setup::Http2(script) => {
                let address = ServerAddress::Ip(self.tcp(None, script)?);
                Server { scheme: Scheme::H2c, address }
            }
            Setup::Itself => http(own),
        };
        let mut upstream = self.block(row.name, server, row.path());
        upstream.rehearse = rehearse;
        upstream.files = files;
        if let Some(adjust) = row.adjust {
            adjust(&mut upstream);
        }
        Ok(Some(upstream))
    }

    /// Healthy peers on each kind of transport, to show that the fault is not the transport's.
    ///
    /// # Errors
    /// When a socket cannot be made.
    pub(super) fn healthy(&mut self, port: u16) -> io::Result<Vec<Upstream>> {
        const ANSWER: &[Step] = &[Step::Head, Step::Write(WELL)];
        const OUTPUT: &[Step] = &[Step::Request, Step::Stdout(WELL_PRINTED), Step::End(0)];
        const STREAM: &[Step] = &[Step::Stream, Step::Write(WELL_HTTP2)];
        let tls = https(self.tcp(Some(Cert::Good), ANSWER)?);
        let h2c = ServerAddress::Ip(self.tcp(None, STREAM)?);
        let h2c = Server { scheme: Scheme::H2c, address: h2c };
        let h2 = https(self.tcp(Some(Cert::Good), STREAM)?);
        let mut h2 = self.block("healthy_http2_tls", h2, "/healthy/http2-tls".to_owned());
        h2.tls.http2 = true;
        let path = self.peer("healthy.sock", ANSWER)?;
        let unix = Server { scheme: Scheme::Http, address: ServerAddress::Unix(path) };
        let address = ServerAddress::Name { host: "healthy.demo".to_owned(), port };
        let name = Server { scheme: Scheme::Http, address };
        let server = fastcgi(ServerAddress::Ip(self.tcp(None, OUTPUT)?));
        let mut fastcgi = self.block("healthy_fastcgi", server, "/healthy/fastcgi".to_owned());
        fastcgi.files = Some(self.files_elsewhere());
        Ok(vec![
            fastcgi,
            h2,
            self.block("healthy_http2", h2c, "/healthy/http2".to_owned()),
            self.block("healthy_tls", tls, "/healthy/tls".to_owned()),
            self.block("healthy_unix", unix, "/healthy/unix".to_owned()),
            self.block("healthy_name", name, "/healthy/name".to_owned()),
        ])
    }

    /// The address of a resolver that is not there.
    ///
    /// # Errors
    /// When a socket cannot be made.
    pub(super) fn deaf_resolver(&mut self) -> io::Result<SocketAddr> {
        let (tcp, udp, address) = dns::deaf()?;
        self.held.push(Held::Socket(tcp));
        self.held.push(Held::Udp(udp));
        Ok(address)
    }

    fn block(&self, name: &str, server: Server, path: String) -> Upstream {
        let secured = server.scheme == Scheme::Https;
        let mut upstream = Upstream::new(name, vec![server]);
        upstream.hosts = super::hosts();
        upstream.paths = vec![path];
        upstream.timeouts = Timeouts {
            resolve: PATIENCE,
            connect: PATIENCE,
            tls: PATIENCE,
            send: PATIENCE,
            first_byte: 2 * PATIENCE,
            idle: PATIENCE,
        };
        upstream.limits = Limits { connections: 32, queue: 32, ..Limits::default() };
        if secured {
            let server_name = Some(SERVER_NAME.to_owned());
            let ca = Some(self.ca.clone());
            upstream.tls = UpstreamTls { ca, server_name, ..UpstreamTls::default() };
        }
        upstream
    }

    /// A site whose folder is on another host, as far as can be seen here.
    fn files_elsewhere(&self) -> Files {
        Files::new(self.directory.0.join("elsewhere"))
    }

    /// The site of the rows that need files: one folder for all of them, without a front
    /// controller.
    fn files_here(&self) -> io::Result<Files> {
        let root = self.directory.0.join("site");
        let rows = root.join("fail");
        if !root.exists() {
            fs::create_dir_all(rows.join("file_denied"))?;
            fs::write(rows.join("file_denied/.env"), SECRET)?;
            fs::create_dir_all(rows.join("file_denied-listed"))?;
            fs::write(rows.join("file_denied-listed/backup.sql"), SECRET)?;
            fs::write(rows.join("method_not_allowed"), "A page that can be read.\n")?;
            fs::write(self.directory.0.join("outside.txt"), SECRET)?;
            symlink("../../outside.txt", rows.join("file_link_refused"))?;
            symlink("file_link_refused-loop", rows.join("file_link_refused-loop"))?;
        }
        let attempts = vec![Try::File, Try::Folder, Try::NotFound];
        Ok(Files { attempts, ..Files::new(root) })
    }

    /// A peer on a Unix socket of this name.
    fn peer(&mut self, name: &str, script: &[Step]) -> io::Result<PathBuf> {
        let path = self.directory.0.join(name);
        let listener = UnixListener::bind(&path)?;
        self.jobs.push(Job::Unix { listener, script: script.into() });
        Ok(path)
    }

    fn tcp(&mut self, cert: Option<Cert>, script: &[Step]) -> io::Result<SocketAddr> {
        const BACKLOG: i32 = 128;
        let (socket, address) = bound()?;
        socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
        socket.listen(BACKLOG)?;
        let listener = TcpListener::from(socket);
        let tls = cert.map(|cert| self.certificates.server(cert)).transpose()?;
        self.jobs.push(Job::Tcp { listener, tls, script: script.into() });
        Ok(address)
    }

    /// Bound, so that nobody else takes the port, and not listening.
    fn closed_port(&mut self) -> io::Result<SocketAddr> {
        let (socket, address) = bound()?;
        self.held.push(Held::Socket(socket));
        Ok(address)
    }

    /// A listener that accepts nothing, with as many connections as its queue holds.
    fn full_queue(&mut self) -> io::Result<SocketAddr> {
        let (socket, address) = bound()?;
        socket.listen(0)?;
        self.held.push(Held::Socket(socket));
        for _ in 0..FILLERS_MAX {
            match TcpStream::connect_timeout(&address, FILL_PATIENCE) {
                Ok(filler) => self.held.push(Held::Tcp(filler)),
                Err(_) => break,
            }
        }
        Ok(address)
    }

    /// `prefix` keeps the sockets of two kinds of upstreams apart.
    fn unix(&mut self, setup: UnixSetup, prefix: &str) -> io::Result<(PathBuf, Option<Rehearsal>)> {
        let at = |name: &str| self.directory.0.join(format!("{prefix}{name}"));
        let mut rehearse = None;
        let path = match setup {
            UnixSetup::Missing => at("missing.sock"),
            UnixSetup::MissingDirectory => at("not-made/app.sock"),
            UnixSetup::TooLong => at(&"x".repeat(120)),
            UnixSetup::Stale => {
                let path = at("stale.sock");
                drop(UnixListener::bind(&path)?);
                path
            }
            UnixSetup::NotASocket => {
                let path = at("regular.sock");
                fs::write(&path, "this is no socket\n")?;
                path
            }
            UnixSetup::Datagram => {
                let path = at("datagram.sock");
                self.held.push(Held::Datagram(UnixDatagram::bind(&path)?));
                path
            }
            UnixSetup::Forbidden => {
                let path = at("forbidden.sock");
                let listener = UnixListener::bind(&path)?;
                fs::set_permissions(&path, fs::Permissions::from_mode(0o000))?;
                // No mode stops root: there the refusal is acted out.
                if UnixStream::connect(&path).is_ok() {
                    rehearse = Some(Rehearsal::ConnectErrno(EACCES));
                }
                self.held.push(Held::Socket(listener.into()));
                path
            }
            UnixSetup::Unaccepted => {
                let path = at("unaccepted.sock");
                let listener = Socket::new(Domain::UNIX, Type::STREAM, None)?;
                listener.bind(&SockAddr::unix(&path)?)?;
                listener.listen(FPM_BACKLOG)?;
                self.held.push(Held::Socket(listener));
                path
            }
            UnixSetup::BacklogFull => {
                let path = at("full.sock");
                self.full_backlog(&path)?;
                path
            }
        };
        Ok((path, rehearse))
    }

    fn full_backlog(&mut self, path: &Path) -> io::Result<()> {
        let address = SockAddr::unix(path)?;
        let listener = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        listener.bind(&address)?;
        listener.listen(0)?;
        self.held.push(Held::Socket(listener));
        for _ in 0..FILLERS_MAX {
            let filler = Socket::new(Domain::UNIX, Type::STREAM, None)?;
            filler.set_nonblocking(true)?;
            match filler.connect(&address) {
                Ok(()) => self.held.push(Held::Unix(filler.into())),
                Err(error) if error.raw_os_error() == Some(EAGAIN) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

const WELL: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\
    Connection: close\r\n\r\nAll well\n";

/// The same in frames: SETTINGS; `:status: 200` (RFC 7541 appendix A, entry 8); the body, with
/// END_STREAM; and a GOAWAY for what comes after it.
const WELL_HTTP2: &[u8] = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00\
    \x00\x00\x01\x01\x04\x00\x00\x00\x01\x88\
    \x00\x00\x09\x00\x01\x00\x00\x00\x01All well\n\
    \x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00";

/// The same, as a program prints it.
const WELL_PRINTED: &[u8] = b"Content-Type: text/plain\r\n\r\nAll well\n";

/// What nobody is ever to see.
const SECRET: &str = "DB_PASSWORD=correct-horse-battery-staple\n";

fn http(address: SocketAddr) -> Server {
    Server { scheme: Scheme::Http, address: ServerAddress::Ip(address) }
}

fn fastcgi(address: ServerAddress) -> Server {
    Server { scheme: Scheme::FastCgi, address }
}

fn https(address: SocketAddr) -> Server {
    Server { scheme: Scheme::Https, address: ServerAddress::Ip(address) }
}

/// A TCP socket on a free port of loopback.
pub(super) fn bound() -> io::Result<(Socket, SocketAddr)> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SockAddr::from(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))))?;
    let address = address_of(&socket)?;
    Ok((socket, address))
}

pub(super) fn address_of(socket: &Socket) -> io::Result<SocketAddr> {
    let address = socket.local_addr()?.as_socket();
    address.ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
}

/// Whether the kernel refuses to route there, at once and without sending anything.
fn is_unroutable(address: SocketAddr) -> bool {
    let outcome = TcpStream::connect_timeout(&address, FILL_PATIENCE);
    outcome.is_err_and(|error| error.raw_os_error() == Some(ENETUNREACH))
}

impl Directory {
    fn new() -> io::Result<Directory> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("causeway-demo-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        // Must be new: nobody else has put anything into it.
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Directory(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Best effort: a temporary directory that stays behind harms nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}
