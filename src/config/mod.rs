//! ROOM 1: what the operator wrote, proven.
//!
//! `file` reads the TOML, every mistake at once, into a [`Config`] that is whole. Imports no room.

mod acme;
mod address;
mod balancers;
mod certificate;
mod error;
mod file;
mod glob;
mod host;
mod keys;
mod keys_client;
mod keys_page;
mod keys_upstream;
mod maintenance;
mod named;
mod nearest;
mod reader;
mod routes;
mod schema;
mod server;
mod site;
mod syntax;
mod tls;
mod units;
mod upstream;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

pub use acme::{Acme, Challenge};
pub use balancers::Balancers;
pub use certificate::{CertificateNames, Pair, PairFault, Remark, Side, read_pair};
pub use error::{Fault, Problem, Problems, Row};
pub use file::{LoadError, load, parse};
pub use glob::{Endings, Glob};
pub use keys::{Form, Key, Kind, Preset, TABLES, header, keys, keys_of};
pub use maintenance::{Maintenance, time as maintenance_time};
pub use named::{Objection, Place, Placed, TextFile, read_document};
pub use nearest::nearest;
pub use reader::{Table, wrong_type};
pub use schema::schema;

/// Everything the program needs to know, with every default filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The file it came from; `None` when it was made in memory (the demonstration, tests).
    pub path: Option<PathBuf>,
    /// Worker threads, each with a runtime and listeners of its own; at least 1.
    pub workers: usize,
    /// Every listener, once, with the upstreams that it reaches.
    pub listeners: Vec<Listener>,
    /// The upstream blocks in the order of the file.
    pub upstreams: Vec<Arc<Upstream>>,
    pub client: Client,
    pub tls: Tls,
    pub admin: Admin,
    pub page: Page,
    pub log: Log,
    /// Name servers to ask; empty: those of /etc/resolv.conf.
    pub resolvers: Vec<SocketAddr>,
    /// How long a stop waits for requests in flight.
    pub drain_timeout: Duration,
}

/// One address that we accept connections on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    pub address: ListenAddress,
    /// Clients speak TLS here.
    pub tls: bool,
    /// Positions in [`Config::upstreams`] of the blocks that this listener reaches.
    pub upstreams: Vec<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    Tcp(SocketAddr),
    Unix(PathBuf),
    /// Whatever sockets systemd passes under this name.
    Systemd(String),
}

/// One `[upstream.NAME]` block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    pub name: String,
    /// At least one; all speak FastCGI, or none does.
    pub servers: Vec<Server>,
    /// Lower-case, without port; empty: every host.
    pub hosts: Vec<HostPattern>,
    /// At least one, each beginning with `/`.
    pub paths: Vec<String>,
    pub timeouts: Timeouts,
    pub limits: Limits,
    pub tls: UpstreamTls,
    /// The site; there exactly where the servers speak FastCGI.
    pub files: Option<Files>,
    /// Statuses of complete answers whose page ours replaces: 400 to 599.
    pub replace_status: Vec<u16>,
    /// Error logs of the servers on this host, absolute, beside those at their usual places.
    pub logs: Vec<PathBuf>,
    /// Requests that came without TLS are sent to the same address with it.
    pub redirect_to_https: bool,
    pub probe: Probe,
    /// Planned work that is under way, or has a switch.
    pub maintenance: Option<Maintenance>,
    /// A failure to act out; no key of the file sets it.
    pub rehearse: Option<Rehearsal>,
}

/// Which servers are asked questions of our own once a request has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// Those on this host and in private networks.
    Private,
    Always,
    Never,
}

/// A failure that the demonstration acts out, since the real one would harm the host it runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rehearsal {
    /// Connecting fails with this errno.
    ConnectErrno(i32),
    /// The same, and a device says why: ICMP destination unreachable with this code.
    ConnectRejected { errno: i32, code: u8, offender: Ipv4Addr },
    /// Opening a file of the site fails with this errno.
    FileErrno(i32),
    /// Keeping a request's body on disk fails with this errno.
    StorageErrno(i32),
    /// Our own code panics.
    Panic,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// `shop.example`
    Exact(String),
    /// `*.shop.example`, kept as `shop.example`: any number of labels before it, at least one.
    Wildcard(String),
}

/// One server of an upstream block.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Server {
    pub scheme: Scheme,
    pub address: ServerAddress,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    Http,
    Https,
    /// HTTP/2 without TLS, by prior knowledge (RFC 9113 section 3.3).
    H2c,
    /// FastCGI 1.0, to PHP-FPM.
    FastCgi,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ServerAddress {
    /// An IP address and port: no resolution needed.
    Ip(SocketAddr),
    /// A name to resolve, and the port.
    Name { host: String, port: u16 },
    /// A Unix socket's path.
    Unix(PathBuf),
}

/// `[upstream.NAME.timeouts]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    pub resolve: Duration,
    pub connect: Duration,
    pub tls: Duration,
    /// No progress while sending the request.
    pub send: Duration,
    /// Request sent, nothing heard.
    pub first_byte: Duration,
    /// Between two pieces of head or body, and in an upgraded connection.
    pub idle: Duration,
}

/// `[upstream.NAME.limits]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a response head.
    pub header_section_bytes: usize,
    pub header_count: usize,
    /// Connections to this upstream at once, over all workers; more wait in the queue.
    pub connections: usize,
    /// Requests that may wait for a connection; more are declined.
    pub queue: usize,
    pub queue_timeout: Duration,
    /// Kept alive, over all workers; by default none to PHP-FPM, where each holds a worker.
    pub idle_connections: usize,
    /// FastCGI: bytes of a request body, which is gathered before its script is run.
    pub spool_bytes: u64,
}

/// The site of a FastCGI block: what its paths mean, and which of its files are handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// Absolute, without a slash at its end; need not exist on this host.
    pub root: PathBuf,
    /// Names that stand for a folder, in order; at least one.
    pub index: Vec<String>,
    /// What a path may mean, in order; at least one.
    pub attempts: Vec<Try>,
    /// What is never handed out nor run.
    pub deny: Vec<Glob>,
    pub symlinks: Symlinks,
}

/// One thing that the path of a request may mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Try {
    /// `{path}`: the file of that name, or the script on the way to it.
    File,
    /// `{path}/`: the folder of that name, by its index.
    Folder,
    /// A path from the root on that answers for whatever was not found; the last one.
    Fallback(String),
    /// `=404`, the last one.
    NotFound,
}

/// Where symbolic links below the root may lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Symlinks {
    /// To what is below the root.
    Inside,
    Anywhere,
}

/// `[upstream.NAME.tls]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamTls {
    /// PEM file of the certificate authorities to trust; `None`: the system's store.
    pub ca: Option<PathBuf>,
    /// The name to verify and to send as SNI; `None`: the server's host.
    pub server_name: Option<String>,
    pub verify: bool,
    /// HTTP/2 is asked for by ALPN, in place of HTTP/1.1.
    pub http2: bool,
}

/// `[client]`: what a client may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// From the first byte of a request head to its end.
    pub header_timeout: Duration,
    /// Between two pieces of a request body.
    pub body_timeout: Duration,
    /// Between two requests.
    pub keepalive_timeout: Duration,
    /// Bytes of a request head.
    pub header_section_bytes: usize,
    /// Connections at once, over all workers.
    pub connections: usize,
    /// Whose connections begin with a header of the PROXY protocol.
    pub proxy_protocol: Balancers,
    /// Requests at once on one connection of HTTP/2.
    pub http2_streams: usize,
}

/// `[tls]`: HTTPS for clients; nothing in it where every listener is plain.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// The first is for clients that name no known host. Those that are got by ACME stand last.
    pub certificates: Vec<Certificate>,
    pub acme: Option<Acme>,
    pub offer: Offer,
    /// What every answer over TLS says; `None`: nothing.
    pub hsts: Option<Hsts>,
}

/// What clients are offered in a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    pub min_version: TlsVersion,
    /// HTTP/2 beside HTTP/1.1.
    pub http2: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsVersion {
    /// What some programs and devices still need, and no attack is known on as it is offered here.
    #[default]
    Tls12,
    Tls13,
}

/// Strict-Transport-Security (RFC 6797): browsers ask for nothing but HTTPS from then on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hsts {
    pub max_age: Duration,
    /// Hosts below the one that said it are meant too.
    pub subdomains: bool,
}

/// The files of one certificate, PEM both.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Certificate {
    /// The server's own certificate first, then those that vouch for it.
    pub chain: PathBuf,
    pub key: PathBuf,
}

/// `[admin]`: where metrics and health are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Empty: nowhere.
    pub listen: Vec<ListenAddress>,
    /// Whose TCP connections are answered.
    pub allow: Vec<IpNet>,
}

/// `[page]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Who sees evidence.
    pub operators: Vec<IpNet>,
    /// Whose X-Forwarded-For and Forwarded we believe.
    pub trusted_proxies: Vec<IpNet>,
    /// Shown to visitors: a `mailto:` or `https:` address.
    pub contact: Option<String>,
    pub operator_fixes: OperatorFixes,
    /// The status of a failure of the upstream: 502, 503 or 500.
    pub gateway_error: u16,
    /// The status of a timeout: 502 or 504, or that of any other failure.
    pub gateway_timeout: u16,
    /// The languages that are offered, the default in front; empty: every one there is.
    pub languages: Vec<Placed>,
    /// Words of the operator's own.
    pub words: Vec<TextFile>,
    /// A page of the operator's own, in place of ours.
    pub template: Option<TextFile>,
    /// A style sheet that follows ours.
    pub style: Option<TextFile>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperatorFixes {
    Everyone,
    Operators,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    pub access: AccessLog,
    pub format: LogFormat,
    pub level: Level,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessLog {
    Stdout,
    File(PathBuf),
    Off,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Json,
    Combined,
    Text,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// An empty file: one listener that reaches nothing, every key at its default.
impl Default for Config {
    fn default() -> Config {
        let address = ListenAddress::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 8502)));
        Config {
            path: None,
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            listeners: vec![Listener { address, tls: false, upstreams: Vec::new() }],
            upstreams: Vec::new(),
            client: Client::default(),
            tls: Tls::default(),
            admin: Admin::default(),
            page: Page::default(),
            log: Log::default(),
            resolvers: Vec::new(),
            drain_timeout: Duration::from_secs(30),
        }
    }
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            resolve: Duration::from_secs(5),
            connect: Duration::from_secs(3),
            tls: Duration::from_secs(5),
            send: Duration::from_secs(30),
            first_byte: Duration::from_secs(60),
            idle: Duration::from_secs(60),
        }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            header_section_bytes: 64 * 1024,
            header_count: 128,
            connections: 256,
            queue: 1024,
            queue_timeout: Duration::from_secs(5),
            idle_connections: 64,
            spool_bytes: 1 << 30,
        }
    }
}

impl Default for UpstreamTls {
    fn default() -> UpstreamTls {
        UpstreamTls { ca: None, server_name: None, verify: true, http2: false }
    }
}

impl Default for Client {
    fn default() -> Client {
        Client {
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(75),
            header_section_bytes: 32 * 1024,
            connections: 10_000,
            proxy_protocol: Balancers::default(),
            // A page and all that is in it; RFC 9113 section 6.5.2 recommends no less than 100.
            http2_streams: 128,
        }
    }
}

impl Default for Admin {
    /// What it tells is for this host alone, until somebody says otherwise.
    fn default() -> Admin {
        Admin { listen: Vec::new(), allow: loopback() }
    }
}

/// HTTP/2 is what browsers ask for first; one connection in place of six.
impl Default for Offer {
    fn default() -> Offer {
        Offer { min_version: TlsVersion::default(), http2: true }
    }
}

impl Default for Page {
    fn default() -> Page {
        Page {
            operators: loopback(),
            trusted_proxies: Vec::new(),
            contact: None,
            operator_fixes: OperatorFixes::Everyone,
            gateway_error: 502,
            gateway_timeout: 502,
            languages: Vec::new(),
            words: Vec::new(),
            template: None,
            style: None,
        }
    }
}

fn loopback() -> Vec<IpNet> {
    ["127.0.0.0/8", "::1/128"].map(|net| net.parse().expect("a literal network")).into()
}

impl Default for Log {
    fn default() -> Log {
        Log { access: AccessLog::Stdout, format: LogFormat::Json, level: Level::Info }
    }
}

impl Upstream {
    /// A block with `servers` alone: every other key at its default.
    pub fn new(name: &str, servers: Vec<Server>) -> Upstream {
        Upstream {
            name: name.to_owned(),
            servers,
            hosts: Vec::new(),
            paths: vec!["/".to_owned()],
            timeouts: Timeouts::default(),
            limits: Limits::default(),
            tls: UpstreamTls::default(),
            files: None,
            replace_status: Vec::new(),
            logs: Vec::new(),
            redirect_to_https: false,
            probe: Probe::Private,
            maintenance: None,
            rehearse: None,
        }
    }

    /// Whether HTTP/2 is spoken to a server of this block.
    pub fn speaks_http2(&self, server: &Server) -> bool {
        match server.scheme {
            Scheme::Http | Scheme::FastCgi => false,
            Scheme::Https => self.tls.http2,
            Scheme::H2c => true,
        }
    }
}

impl Scheme {
    /// The name as the configuration writes it; over a Unix socket `+unix` follows.
    pub fn name(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
            Scheme::H2c => "h2c",
            Scheme::FastCgi => "fastcgi",
        }
    }
}

impl Level {
    /// The name as the configuration writes it.
    pub fn name(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug => "debug",
            Level::Trace => "trace",
        }
    }
}

/// As the configuration writes it: `shop.example`, `*.shop.example`.
impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostPattern::Exact(host) => f.write_str(host),
            HostPattern::Wildcard(parent) => write!(f, "*.{parent}"),
        }
    }
}

/// As the configuration writes it: `https://10.0.0.7:8443`, `http+unix:/run/app.sock`.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.scheme.name();
        match &self.address {
            ServerAddress::Ip(address) => write!(f, "{scheme}://{address}"),
            ServerAddress::Name { host, port } => write!(f, "{scheme}://{host}:{port}"),
            ServerAddress::Unix(path) => write!(f, "{scheme}+unix:{}", path.display()),
        }
    }
}

/// As the configuration writes it: `{path}`, `/index.php`, `=404`.
impl fmt::Display for Try {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Try::File => "{path}",
            Try::Folder => "{path}/",
            Try::Fallback(path) => path,
            Try::NotFound => "=404",
        })
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddress::Tcp(address) => write!(f, "{address}"),
            ListenAddress::Unix(path) => write!(f, "unix:{}", path.display()),
            ListenAddress::Systemd(name) => write!(f, "systemd:{name}"),
        }
    }
}

/// The default place of the configuration file.
pub fn default_path() -> &'static Path {
    Path::new("/etc/causeway/causeway.toml")
}
