//! Failures and surroundings for the rows that the table is held to.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::diagnose::around::{
    Around, CertificateFile, Cgroup, Change, Changed, Changes, Clients, Component, Disk, Helper,
    HelperKind, HelperState, Host, Kind, KnownBy, Line, Lines, Load, LogSource, Memory, Network,
    Php, Ping, PoolStatus, Pressure, Route, RouteKind, Seen, SessionLock, Sign, SocketPath,
    Sockets, State, Stop, Unit, UnitResult, Units, Worker, Workers,
};
use crate::diagnose::cause::Cause as C;
use crate::diagnose::dns::{Authority, Lookup};
use crate::diagnose::facts::{Port, Queue};
use crate::diagnose::faults::{CertFault, Protocol};
use crate::diagnose::hop::Hop;
use crate::diagnose::unreached::{IcmpError, IcmpMessage, IcmpSender, UnreachableReason};

pub const MINUTE: Duration = Duration::from_secs(60);
pub const GIB: u64 = 1 << 30;

// Causes.

pub fn refused() -> C {
    let address = "127.0.0.1:8080".parse().unwrap();
    C::ConnectionRefused { address, remembered: false, other_family: None }
}

pub fn refused_at(address: &str) -> C {
    C::ConnectionRefused {
        address: address.parse().unwrap(),
        remembered: false,
        other_family: None,
    }
}

pub fn missing() -> C {
    C::UnixSocketMissing { path: "/run/php/fpm.sock".into(), errno: 2 }
}

pub fn denied() -> C {
    C::UnixSocketPermissionDenied { path: "/run/php/fpm.sock".into() }
}

pub fn died() -> C {
    C::FcgiWorkerDied { reset: true, after: MINUTE, stderr: String::new() }
}

pub fn slow() -> C {
    C::FirstByteTimeout { waited: MINUTE, port: None }
}

pub fn saturated() -> C {
    C::FcgiPoolSaturated { waited: MINUTE, pending: 9, backlog: 511, in_flight: 3 }
}

pub fn error() -> C {
    C::UpstreamErrorStatus { hop: Hop::Php, received_status: 500, said: String::new() }
}

pub fn helpers() -> C {
    C::HelperServicesDown { message: "Error establishing a database connection".to_owned() }
}

/// Of a Redis.
pub fn redis() -> C {
    let message = "Uncaught RedisException: Connection refused in /c.php:7".to_owned();
    C::HelperServicesDown { message }
}

/// Of no helper in particular.
pub fn helpless() -> C {
    C::HelperServicesDown { message: "The database does not answer".to_owned() }
}

pub fn timeout(address: &str) -> C {
    let address = address.parse().unwrap();
    C::ConnectTimeout { address, waited: MINUTE, queue: None, port: None }
}

pub fn rejected(sender: IcmpSender) -> C {
    let message = IcmpMessage::AdminProhibited;
    let icmp = IcmpError { message, kind: 3, code: 13, from: None, sender };
    C::TcpRejectedByFirewall { address: "192.0.2.7:80".parse().unwrap(), icmp }
}

pub fn unreachable(reason: UnreachableReason) -> C {
    C::HostUnreachable { address: "192.0.2.7:80".parse().unwrap(), reason, icmp: None }
}

pub fn expired(also: &[CertFault]) -> C {
    let names = vec!["app.internal".to_owned()];
    C::TlsCertExpired { not_after: Some(0), clock: Some(86_400), names, also: also.to_vec() }
}

pub fn early(also: &[CertFault]) -> C {
    let names = vec!["app.internal".to_owned()];
    C::TlsCertNotYetValid { not_before: Some(86_400), clock: Some(0), names, also: also.to_vec() }
}

pub fn no_name(alias: Option<&str>) -> C {
    let lookup = Lookup { alias: alias.map(str::to_owned), ..Lookup::default() };
    let authority = Authority::Soa;
    C::DnsNoRecords { name: "app.internal".to_owned(), authority, lookup: Box::new(lookup) }
}

/// Somebody else has the server's port.
pub fn other_protocol() -> C {
    C::PeerIsOtherProtocol { protocol: Protocol::Ssh }
}

pub fn fatal() -> C {
    C::PhpFatalError { message: "Call to undefined function f()".to_owned() }
}

// What is around.

pub fn nothing() -> Around {
    Around::default()
}

pub fn unit(state: State, result: UnitResult) -> Unit {
    Unit {
        name: "php8.2-fpm.service".to_owned(),
        state,
        sub_state: String::new(),
        result,
        exit_status: None,
        exit_signal: None,
        restarts: 0,
        since: Some(SystemTime::UNIX_EPOCH),
        main_pid: None,
        cgroup: None,
        workers: Seen::Unlooked,
        known_by: KnownBy::Configured,
        started: None,
        stopped: None,
        file_state: "enabled".to_owned(),
        condition_failed: false,
        memory_max_bytes: None,
    }
}

pub fn with(unit: Unit) -> Around {
    Around { units: Units { server: Seen::Found(unit) }, ..nothing() }
}

pub fn service(state: State, result: UnitResult) -> Around {
    with(unit(state, result))
}

pub fn runs() -> Unit {
    unit(State::Active, UnitResult::Success)
}

pub fn at_work(workers: Workers) -> Around {
    with(Unit { workers: Seen::Found(workers), ..runs() })
}

pub fn grouped(cgroup: Cgroup) -> Around {
    with(Unit { cgroup: Some(cgroup), ..runs() })
}

/// The same, and a log says so.
pub fn saying(around: Around, source: LogSource, signs: &[Sign]) -> Around {
    let line = |sign: &Sign| {
        let word: &str = sign.into();
        let text = format!("it says {word}");
        Line { time: None, source: source.clone(), text, sign: Some(*sign) }
    };
    Around {
        lines: Lines { lines: signs.iter().map(line).collect(), ..Lines::default() },
        ..around
    }
}

/// A unit that failed at the end of its first hour, and had said this at a minute of it.
pub fn failed_after(sign: Sign, said: u32, started: Option<u32>) -> Around {
    let at = |minute: u32| SystemTime::UNIX_EPOCH + MINUTE * minute;
    let unit = unit(State::Failed, UnitResult::ExitCode);
    let unit = Unit { since: Some(at(60)), started: started.map(at), ..unit };
    let mut around = saying(with(unit), journal(), &[sign]);
    around.lines.lines[0].time = Some(at(said));
    around
}

pub fn journal() -> LogSource {
    LogSource::Journal("php8.2-fpm.service".to_owned())
}

pub fn log(sign: Sign) -> Around {
    saying(nothing(), journal(), &[sign])
}

pub fn sockets(sockets: Sockets) -> Around {
    Around { sockets, ..nothing() }
}

pub fn same_port(address: &str) -> Around {
    sockets(Sockets { same_port: vec![address.parse().unwrap()], ..Sockets::default() })
}

pub fn near(address: &str) -> Sockets {
    Sockets { near: vec![address.parse().unwrap()], ..Sockets::default() }
}

pub fn sibling() -> Sockets {
    Sockets { near_paths: vec!["/run/php/php8.3-fpm.sock".into()], ..Sockets::default() }
}

pub fn way(stop: Stop) -> Around {
    let component = Component {
        path: PathBuf::from("/run/php"),
        kind: Kind::Directory,
        mode: 0o700,
        owner: "root".to_owned(),
        group: "root".to_owned(),
    };
    let path = SocketPath {
        components: vec![component],
        stop: Some(stop),
        rest: PathBuf::new(),
        user: "causeway".to_owned(),
        groups: Vec::new(),
        group_that_may: None,
    };
    sockets(Sockets { path: Seen::Found(path), ..Sockets::default() })
}

pub fn queue(pending: u32) -> Around {
    let queue = Some(Queue { pending, backlog: 511 });
    sockets(Sockets { queue, ..Sockets::default() })
}

pub fn php(php: Php) -> Around {
    Around { php, ..nothing() }
}

pub fn pool(active: u32, idle: u32, listen_queue: u32, running: u64) -> PoolStatus {
    let worker = Worker {
        pid: 7,
        script: "/var/www/a.php".to_owned(),
        method: "GET".to_owned(),
        path: "/a.php".to_owned(),
        running: Duration::from_secs(running),
    };
    let total = active + idle;
    PoolStatus { active, idle, total, listen_queue, workers: vec![worker], ..Default::default() }
}

pub fn status(status: PoolStatus) -> Around {
    php(Php { status: Seen::Found(status), ..Php::default() })
}

pub fn lock(waiting: u32, is_session: bool) -> Seen<SessionLock> {
    Seen::Found(SessionLock { waiting, holder: Some(7), is_session })
}

pub fn helper(state: HelperState) -> Around {
    let helper = Helper {
        kind: HelperKind::Mysql,
        at: "/run/mysqld/mysqld.sock".to_owned(),
        state,
        named: false,
        unit: Some("mariadb.service".to_owned()),
        clients: Clients::default(),
    };
    let mut around = nothing();
    around.helpers.list.push(helper);
    around
}

/// One that the site's settings name.
pub fn named(state: HelperState) -> Around {
    let mut around = helper(state);
    around.helpers.list[0].named = true;
    around
}

/// One that they name, and that is gone.
pub fn lost() -> Around {
    named(HelperState::Gone)
}

/// A pool whose own processes are stopped; no unit is known.
pub fn stopped_pool() -> Around {
    let workers = Seen::Found(Workers { stopped: 2, ..Workers::default() });
    php(Php { workers, ..Php::default() })
}

pub fn host(host: Host) -> Around {
    Around { host, ..nothing() }
}

pub fn disk(free_bytes: u64, free_inodes: u64, read_only: bool) -> Around {
    let disk = Disk {
        path: "/var/www".into(),
        free_bytes,
        total_bytes: GIB,
        free_inodes,
        total_inodes: 1000,
        read_only,
    };
    host(Host { disks: vec![disk], ..Host::default() })
}

pub fn memory(available_bytes: u64, pressure: f64) -> Around {
    let memory = Memory { total_bytes: GIB, available_bytes, ..Memory::default() };
    let pressure = Some(Pressure { cpu: 0.0, memory: pressure, io: 0.0 });
    host(Host { memory: Some(memory), pressure, ..Host::default() })
}

pub fn load(average: f64, cpu: f64) -> Around {
    let load = Some(Load { averages: [average, 0.0, 0.0], processors: 2 });
    host(Host { load, pressure: Some(Pressure { cpu, memory: 0.0, io: 0.0 }), ..Host::default() })
}

pub fn clock(synchronized: bool) -> Around {
    host(Host { synchronized: Seen::Found(synchronized), ..Host::default() })
}

pub fn behind() -> Around {
    host(Host { clock_behind: Some(MINUTE), ..Host::default() })
}

pub fn booted(uptime: u64) -> Around {
    let host = Host { uptime: Some(Duration::from_secs(uptime)), ..Host::default() };
    let unit = Unit { since: None, ..unit(State::Inactive, UnitResult::Success) };
    Around { host, ..with(unit) }
}

pub fn changed(kind: Changed, what: &str) -> Around {
    let change = Change { at: SystemTime::UNIX_EPOCH, kind, what: what.to_owned() };
    Around { changes: Changes { list: vec![change] }, ..nothing() }
}

pub fn network(network: Network) -> Around {
    Around { network, ..nothing() }
}

pub fn ping(ping: Ping, answers_at: &[u16]) -> Around {
    let answers_at = answers_at.to_vec();
    network(Network { ping: Seen::Found(ping), answers_at, ..Network::default() })
}

pub fn port_now(port: Port) -> Around {
    network(Network { port: Seen::Found(port), ..Network::default() })
}

pub fn route(is_up: bool) -> Around {
    let interface = "eth0".to_owned();
    let route = Route { kind: RouteKind::Away, interface, gateway: None, source: None, is_up };
    network(Network { route: Seen::Found(route), ..Network::default() })
}

/// A route that forbids it.
pub fn prohibited() -> Around {
    let mut around = route(true);
    let kind = RouteKind::Prohibit;
    around.network.route = around.network.route.map(|route| Route { kind, ..route });
    around
}

/// A certificate that was renewed in its file.
pub fn renewed() -> Around {
    let path = PathBuf::from("/etc/letsencrypt/live/shop.test/fullchain.pem");
    let file = CertificateFile { path, ends: 1 << 40, is_valid: true };
    network(Network { certificate: Seen::Found(file), ..Network::default() })
}
