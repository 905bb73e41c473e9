//! The demonstration: backends that fail in every way, and the configurations of the proxies before
//! them, with no file and no server beside it.
//!
//! [`rig`] sets everything up and serves the peers from one thread of its own; whoever calls it
//! starts the proxies: `causeway demo`, and the integration tests with the same rows. Imports
//! `config` and `diagnose`.

mod ask;
mod backstage;
mod dns;
mod fastcgi;
mod index;
mod page;
mod peer;
mod rows;
mod scenario;
mod tls;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::sync::oneshot;

use crate::config::{
    Client, Config, HostPattern, ListenAddress, Listener, Log, Page, Scheme, Server, ServerAddress,
    Tls, Upstream,
};

pub use ask::{Accept, Heard, ask};
pub use scenario::{Ask, Cert, Scenario, Sees, Setup, Side, Step, UnixSetup, scenarios};

use backstage::{Backstage, Job};
use dns::Dns;
use index::Site;

/// The port of the operators' main proxy; the others follow it.
pub const FIRST_PORT: u16 = 8502;

/// How the demonstration is set up.
#[derive(Debug, Clone)]
pub struct Options {
    pub ports: Ports,
    pub log: Log,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ports {
    /// This one and those that follow it, in the order of [`INSTANCES`].
    From(u16),
    /// Whatever is free, for tests.
    Free,
}

/// One of the proxies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct InstanceName {
    pub view: View,
    pub side: Side,
}

/// Whom a proxy takes its clients for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum View {
    Operator,
    Visitor,
}

/// The proxies, in the order of their ports.
pub const INSTANCES: [InstanceName; 8] = [
    InstanceName { view: View::Operator, side: Side::Main },
    InstanceName { view: View::Visitor, side: Side::Main },
    InstanceName { view: View::Operator, side: Side::Deaf },
    InstanceName { view: View::Visitor, side: Side::Deaf },
    InstanceName { view: View::Operator, side: Side::Narrow },
    InstanceName { view: View::Visitor, side: Side::Narrow },
    InstanceName { view: View::Operator, side: Side::Empty },
    InstanceName { view: View::Visitor, side: Side::Empty },
];

/// Where each proxy listens, in the order of [`INSTANCES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses([SocketAddr; INSTANCES.len()]);

/// The running peers, and the configurations of the proxies that belong before them. Dropping it
/// stops the peers and removes its files.
#[derive(Debug)]
pub struct Rig {
    pub configs: Vec<(InstanceName, Config)>,
    pub addresses: Addresses,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    _backstage: Backstage,
    _ports: Vec<Socket>,
}

/// Sets the demonstration up and serves its peers.
///
/// # Errors
/// When a socket, the temporary directory, a certificate or the thread cannot be made.
pub fn rig(options: Options) -> io::Result<Rig> {
    let (addresses, ports) = Addresses::choose(options.ports)?;
    let mut backstage = Backstage::new()?;
    let (dns, resolver) = Dns::bind()?;
    let deaf = backstage.deaf_resolver()?;
    let site = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let site_address = site.local_addr()?;

    let healthy: Vec<_> =
        backstage.healthy(site_address.port())?.into_iter().map(Arc::new).collect();
    let mut shared = vec![Arc::new(site_block(site_address))];
    shared.extend(healthy);
    let mut configs = Vec::with_capacity(INSTANCES.len());
    for side in [Side::Main, Side::Deaf, Side::Narrow, Side::Empty] {
        let mut blocks = if side == Side::Empty { Vec::new() } else { shared.clone() };
        let mut own = Vec::new();
        for row in scenarios().filter(|row| row.side == side) {
            let address = addresses.of(InstanceName { view: View::Operator, side });
            let Some(block) = backstage.upstream(row, address, site_address.port())? else {
                continue;
            };
            match row.setup {
                Setup::Itself => own.push(block),
                _ => blocks.push(Arc::new(block)),
            }
        }
        let resolver = if side == Side::Deaf { deaf } else { resolver };
        for view in [View::Operator, View::Visitor] {
            let name = InstanceName { view, side };
            let address = addresses.of(name);
            let itself = own.iter().map(|block| Arc::new(at(block, address)));
            let upstreams = blocks.iter().cloned().chain(itself).collect();
            configs.push((name, config(name, address, upstreams, resolver, &options.log)));
        }
    }
    let jobs = std::mem::take(&mut backstage.jobs);
    let (stop, stopped) = oneshot::channel();
    let serve = move || serve(jobs, dns, site, addresses, stopped);
    let thread = std::thread::Builder::new().name("demo-peers".to_owned()).spawn(serve)?;
    Ok(Rig {
        configs,
        addresses,
        stop: Some(stop),
        thread: Some(thread),
        _backstage: backstage,
        _ports: ports,
    })
}

/// The hosts that the demonstration serves.
fn hosts() -> Vec<HostPattern> {
    ["127.0.0.1", "localhost"].map(|host| HostPattern::Exact(host.to_owned())).into()
}

/// The block of the index page and the healthy pages.
fn site_block(address: SocketAddr) -> Upstream {
    let server = Server { scheme: Scheme::Http, address: ServerAddress::Ip(address) };
    Upstream { hosts: hosts(), ..Upstream::new("demo", vec![server]) }
}

/// The same block with its server at `address`.
fn at(block: &Upstream, address: SocketAddr) -> Upstream {
    let server = Server { scheme: Scheme::Http, address: ServerAddress::Ip(address) };
    Upstream { servers: vec![server], ..block.clone() }
}

fn config(
    name: InstanceName,
    address: SocketAddr,
    upstreams: Vec<Arc<Upstream>>,
    resolver: SocketAddr,
    log: &Log,
) -> Config {
    const CLIENT_PATIENCE: Duration = Duration::from_secs(1);
    let mut page = Page::default();
    match name.view {
        View::Visitor => page.operators = Vec::new(),
        // The row that loops meets its own forwarding header, from a peer that is ourselves.
        View::Operator => page.trusted_proxies = page.operators.clone(),
    }
    let mut client = Client {
        header_timeout: CLIENT_PATIENCE,
        body_timeout: CLIENT_PATIENCE,
        ..Client::default()
    };
    if name.side == Side::Narrow {
        client.connections = 1;
    }
    let listener = Listener {
        address: ListenAddress::Tcp(address),
        tls: false,
        upstreams: (0..upstreams.len()).collect(),
    };
    Config {
        path: None,
        // One: the rows that need a kept connection then always find it.
        workers: 1,
        listeners: vec![listener],
        upstreams,
        client,
        tls: Tls::default(),
        page,
        log: log.clone(),
        resolvers: vec![resolver],
        drain_timeout: Duration::from_secs(1),
        ..Config::default()
    }
}

/// The life of the peers' thread.
fn serve(
    jobs: Vec<Job>,
    dns: Dns,
    site: TcpListener,
    addresses: Addresses,
    stopped: oneshot::Receiver<()>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "the demonstration's backends have no runtime");
            return;
        }
    };
    runtime.block_on(async move {
        for job in jobs {
            match job {
                Job::Tcp { listener, tls, script } => watch(peer::tcp(listener, tls, script)),
                Job::Unix { listener, script } => watch(peer::unix(listener, script)),
            }
        }
        watch(dns.serve());
        watch(Site::new(addresses).serve(site));
        // Either word of it ends the peers: that it is sent, or that nobody is left to send it.
        let _ = stopped.await;
    });
    runtime.shutdown_background();
}

/// Runs a peer; what ends it is worth a line.
fn watch(peer: impl Future<Output = io::Result<()>> + Send + 'static) {
    tokio::spawn(async move {
        if let Err(error) = peer.await {
            tracing::error!(%error, "a backend of the demonstration has ended");
        }
    });
}

impl Addresses {
    /// The addresses, and the sockets that keep free ports for the proxies: bound, not listening,
    /// and with SO_REUSEPORT, as the proxies bind theirs.
    fn choose(ports: Ports) -> io::Result<(Addresses, Vec<Socket>)> {
        let mut addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); INSTANCES.len()];
        let mut held = Vec::new();
        for (address, offset) in addresses.iter_mut().zip(0..) {
            match ports {
                Ports::From(first) => address.set_port(first.saturating_add(offset)),
                Ports::Free => {
                    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
                    socket.set_reuse_address(true)?;
                    socket.set_reuse_port(true)?;
                    socket.bind(&SockAddr::from(*address))?;
                    *address = backstage::address_of(&socket)?;
                    held.push(socket);
                }
            }
        }
        Ok((Addresses(addresses), held))
    }

    /// Where a proxy listens.
    pub fn of(&self, name: InstanceName) -> SocketAddr {
        let position = INSTANCES.iter().position(|instance| *instance == name);
        self.0[position.expect("every view of every side stands in INSTANCES")]
    }

    /// Where a row is asked for.
    pub fn of_row(&self, row: &Scenario, view: View) -> SocketAddr {
        self.of(InstanceName { view, side: row.side })
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // Its panic has been reported where it happened.
            let _ = thread.join();
        }
    }
}

impl Default for Options {
    fn default() -> Options {
        Options { ports: Ports::From(FIRST_PORT), log: Log::default() }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::config::Rehearsal;

    fn quiet() -> Options {
        let log = Log { access: crate::config::AccessLog::Off, ..Log::default() };
        Options { ports: Ports::Free, log }
    }

    /// What the kernel says to a connect, or what is rehearsed.
    fn errno(upstream: &Upstream) -> Option<i32> {
        if let Some(Rehearsal::ConnectErrno(errno)) = upstream.rehearse {
            return Some(errno);
        }
        let failure = match &upstream.servers[0].address {
            ServerAddress::Ip(address) => {
                TcpStream::connect_timeout(address, Duration::from_millis(200)).err()
            }
            ServerAddress::Unix(path) => {
                let socket =
                    socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None);
                let socket = socket.unwrap();
                socket.set_nonblocking(true).unwrap();
                match socket2::SockAddr::unix(path) {
                    Ok(address) => socket.connect(&address).err(),
                    Err(_) => UnixStream::connect(path).err(),
                }
            }
            ServerAddress::Name { .. } => None,
        };
        failure.map(|error| error.raw_os_error().unwrap_or_default())
    }

    #[test]
    fn each_backend_that_cannot_be_connected_to_fails_in_its_own_way() {
        const NONE: i32 = 0;
        let rig = rig(quiet()).unwrap();
        let (_, main) = &rig.configs[0];
        for (name, expected) in [
            ("connection_refused", Some(111)),
            ("connect_timeout", Some(NONE)),
            ("host_unreachable", Some(113)),
            ("network_unreachable", Some(101)),
            ("unix_socket_missing", Some(2)),
            ("unix_socket_missing-directory", Some(2)),
            ("unix_socket_permission_denied", Some(13)),
            ("unix_socket_refused", Some(111)),
            ("unix_socket_refused-not_a_socket", Some(111)),
            ("unix_socket_backlog_full", Some(11)),
            ("connect_failed", Some(91)),
            ("connect_failed-path_too_long", Some(NONE)),
            ("first_byte_timeout", None),
            ("healthy_unix", None),
        ] {
            let upstream = main.upstreams.iter().find(|upstream| upstream.name == name).unwrap();
            assert_eq!(errno(upstream), expected, "{name}");
        }
    }

    #[test]
    fn every_row_has_its_block_and_the_end_leaves_nothing() {
        let rig = rig(quiet()).unwrap();
        assert_eq!(rig.configs.len(), INSTANCES.len());
        for row in scenarios().filter(|row| !matches!(row.setup, Setup::Nothing)) {
            for (name, config) in rig.configs.iter().filter(|(name, _)| name.side == row.side) {
                let block = config.upstreams.iter().find(|block| block.paths == [row.path()]);
                let block = block.unwrap_or_else(|| panic!("{name:?} has no {}", row.name));
                if matches!(row.setup, Setup::Itself) {
                    let own = ServerAddress::Ip(rig.addresses.of(*name));
                    assert_eq!(block.servers[0].address, own);
                }
            }
        }
        let ca = rig.configs[0].1.upstreams.iter().find_map(|block| block.tls.ca.clone()).unwrap();
        assert!(ca.exists());
        drop(rig);
        assert!(!ca.exists(), "{} is left", ca.display());
    }
}
