//! The table against its rows: what fails, what this host shows, and what lies behind it, or not.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use crate::config::{Scheme, Server, ServerAddress};
use crate::diagnose::around::{
    Around, Cgroup, Change, Changed, Changes, Clients, Component, Disk, Helper, HelperKind,
    HelperState, Host, Kind, Line, Lines, Listener, Load, LogSource, Memory, Network, Php, Ping,
    PoolSettings, PoolStatus, Pressure, Route, RouteKind, Seen, SessionLock, Sign, SocketPath,
    Sockets, State, Stop, Unit, UnitResult, Units, Worker, Workers,
};
use crate::diagnose::cause::Cause as C;
use crate::diagnose::dns::{Authority, Before, Lookup, Named};
use crate::diagnose::facts::{Port, Queue};
use crate::diagnose::faults::CertFault;
use crate::diagnose::fixes::{Audience, FixId};
use crate::diagnose::hop::Hop;
use crate::diagnose::matching::fixes;
use crate::diagnose::report::Certainty::{Certain, Likely, Possible};
use crate::diagnose::unreached::{IcmpError, IcmpMessage, IcmpSender, UnreachableReason};

use super::*;

const MINUTE: Duration = Duration::from_secs(60);
const GIB: u64 = 1 << 30;

// Causes.

fn refused() -> C {
    let address = "127.0.0.1:8080".parse().unwrap();
    C::ConnectionRefused { address, remembered: false, other_family: None }
}

fn refused_at(address: &str) -> C {
    C::ConnectionRefused {
        address: address.parse().unwrap(),
        remembered: false,
        other_family: None,
    }
}

fn missing() -> C {
    C::UnixSocketMissing { path: "/run/php/fpm.sock".into(), errno: 2 }
}

fn denied() -> C {
    C::UnixSocketPermissionDenied { path: "/run/php/fpm.sock".into() }
}

fn died() -> C {
    C::FcgiWorkerDied { reset: true, after: MINUTE, stderr: String::new() }
}

fn slow() -> C {
    C::FirstByteTimeout { waited: MINUTE, port: None }
}

fn saturated() -> C {
    C::FcgiPoolSaturated { waited: MINUTE, pending: 9, backlog: 511, in_flight: 3 }
}

fn error() -> C {
    C::UpstreamErrorStatus { hop: Hop::Php, received_status: 500, said: String::new() }
}

fn helpers() -> C {
    C::HelperServicesDown { message: "Error establishing a database connection".to_owned() }
}

fn timeout(address: &str) -> C {
    let address = address.parse().unwrap();
    C::ConnectTimeout { address, waited: MINUTE, queue: None, port: None }
}

fn rejected(sender: IcmpSender) -> C {
    let message = IcmpMessage::AdminProhibited;
    let icmp = IcmpError { message, kind: 3, code: 13, from: None, sender };
    C::TcpRejectedByFirewall { address: "192.0.2.7:80".parse().unwrap(), icmp }
}

fn unreachable(reason: UnreachableReason) -> C {
    C::HostUnreachable { address: "192.0.2.7:80".parse().unwrap(), reason, icmp: None }
}

fn expired(also: &[CertFault]) -> C {
    let names = vec!["app.internal".to_owned()];
    C::TlsCertExpired { not_after: Some(0), clock: Some(86_400), names, also: also.to_vec() }
}

fn early(also: &[CertFault]) -> C {
    let names = vec!["app.internal".to_owned()];
    C::TlsCertNotYetValid { not_before: Some(86_400), clock: Some(0), names, also: also.to_vec() }
}

fn no_name(alias: Option<&str>) -> C {
    let lookup = Lookup { alias: alias.map(str::to_owned), ..Lookup::default() };
    let authority = Authority::Soa;
    C::DnsNoRecords { name: "app.internal".to_owned(), authority, lookup: Box::new(lookup) }
}

fn fatal() -> C {
    C::PhpFatalError { message: "Call to undefined function f()".to_owned() }
}

// What is around.

fn nothing() -> Around {
    Around::default()
}

fn unit(state: State, result: UnitResult) -> Unit {
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
    }
}

fn with(unit: Unit) -> Around {
    Around { units: Units { server: Seen::Found(unit) }, ..nothing() }
}

fn service(state: State, result: UnitResult) -> Around {
    with(unit(state, result))
}

fn runs() -> Unit {
    unit(State::Active, UnitResult::Success)
}

fn at_work(workers: Workers) -> Around {
    with(Unit { workers: Seen::Found(workers), ..runs() })
}

fn grouped(cgroup: Cgroup) -> Around {
    with(Unit { cgroup: Some(cgroup), ..runs() })
}

/// The same, and a log says so.
fn saying(around: Around, source: LogSource, signs: &[Sign]) -> Around {
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

fn journal() -> LogSource {
    LogSource::Journal("php8.2-fpm.service".to_owned())
}

fn log(sign: Sign) -> Around {
    saying(nothing(), journal(), &[sign])
}

fn sockets(sockets: Sockets) -> Around {
    Around { sockets, ..nothing() }
}

fn same_port(address: &str) -> Around {
    sockets(Sockets { same_port: vec![address.parse().unwrap()], ..Sockets::default() })
}

fn near(address: &str) -> Sockets {
    Sockets { near: vec![address.parse().unwrap()], ..Sockets::default() }
}

fn sibling() -> Sockets {
    Sockets { near_paths: vec!["/run/php/php8.3-fpm.sock".into()], ..Sockets::default() }
}

fn way(stop: Stop) -> Around {
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
        rest: "fpm.sock".into(),
        user: "causeway".to_owned(),
        groups: vec!["adm".to_owned()],
        group_that_may: None,
    };
    sockets(Sockets { path: Seen::Found(path), ..Sockets::default() })
}

fn queue(pending: u32) -> Around {
    let queue = Some(Queue { pending, backlog: 511 });
    sockets(Sockets { queue, ..Sockets::default() })
}

fn php(php: Php) -> Around {
    Around { php, ..nothing() }
}

fn pool(active: u32, idle: u32, listen_queue: u32, running: u64) -> PoolStatus {
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

fn status(status: PoolStatus) -> Around {
    php(Php { status: Seen::Found(status), ..Php::default() })
}

fn lock(waiting: u32, is_session: bool) -> Seen<SessionLock> {
    Seen::Found(SessionLock { waiting, holder: Some(7), is_session })
}

fn helper(state: HelperState) -> Around {
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

/// One that the site's settings name, and that is gone.
fn lost() -> Around {
    let mut around = helper(HelperState::Gone);
    around.helpers.list[0].named = true;
    around
}

/// A pool whose own processes are stopped; no unit is known.
fn stopped_pool() -> Around {
    let workers = Seen::Found(Workers { stopped: 2, ..Workers::default() });
    php(Php { workers, ..Php::default() })
}

fn host(host: Host) -> Around {
    Around { host, ..nothing() }
}

fn disk(free_bytes: u64, free_inodes: u64, read_only: bool) -> Around {
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

fn memory(available_bytes: u64, pressure: f64) -> Around {
    let memory = Memory { total_bytes: GIB, available_bytes, ..Memory::default() };
    let pressure = Some(Pressure { cpu: 0.0, memory: pressure, io: 0.0 });
    host(Host { memory: Some(memory), pressure, ..Host::default() })
}

fn load(average: f64, cpu: f64) -> Around {
    let load = Some(Load { averages: [average, 0.0, 0.0], processors: 2 });
    host(Host { load, pressure: Some(Pressure { cpu, memory: 0.0, io: 0.0 }), ..Host::default() })
}

fn clock(synchronized: bool) -> Around {
    host(Host { synchronized: Seen::Found(synchronized), ..Host::default() })
}

fn booted(uptime: u64) -> Around {
    let host = Host { uptime: Some(Duration::from_secs(uptime)), ..Host::default() };
    let unit = Unit { since: None, ..unit(State::Inactive, UnitResult::Success) };
    Around { host, ..with(unit) }
}

fn changed(kind: Changed) -> Around {
    let change = Change { at: SystemTime::UNIX_EPOCH, kind, what: "functions.php".to_owned() };
    Around { changes: Changes { list: vec![change] }, ..nothing() }
}

fn network(network: Network) -> Around {
    Around { network, ..nothing() }
}

fn ping(ping: Ping, answers_at: &[u16]) -> Around {
    let answers_at = answers_at.to_vec();
    network(Network { ping: Seen::Found(ping), answers_at, ..Network::default() })
}

fn route(is_up: bool) -> Around {
    let route = Route {
        interface: "eth0".to_owned(),
        gateway: None,
        source: None,
        is_up,
        kind: RouteKind::Away,
    };
    network(Network { route: Seen::Found(route), ..Network::default() })
}

/// A failure with what is around, and the root with its certainty, or none.
type Row = (C, Around, Option<(Root, Certainty)>);

fn is(root: Root, certainty: Certainty) -> Option<(Root, Certainty)> {
    Some((root, certainty))
}

fn service_rows() -> Vec<Row> {
    use Root as R;
    use State as S;
    use UnitResult as U;
    let signal = |signal| Unit { exit_signal: Some(signal), ..unit(S::Failed, U::Signal) };
    let again = Unit { sub_state: "auto-restart".to_owned(), ..unit(S::Activating, U::ExitCode) };
    let failed = || service(S::Failed, U::ExitCode);
    let crashed = is(R::ServiceCrashed, Certain);
    vec![
        (refused(), nothing(), None),
        (refused(), with(runs()), None),
        (refused(), service(S::Inactive, U::Success), is(R::ServiceStopped, Certain)),
        (missing(), service(S::Inactive, U::Success), is(R::ServiceStopped, Certain)),
        // Who answered, and then ended, was not stopped before.
        (died(), service(S::Inactive, U::Success), None),
        (slow(), service(S::Inactive, U::Success), None),
        (refused(), failed(), crashed),
        (refused(), with(again), crashed),
        (refused(), service(S::Inactive, U::Timeout), crashed),
        (died(), service(S::Failed, U::Watchdog), crashed),
        (refused(), with(signal(9)), crashed),
        (refused(), with(signal(15)), crashed),
        (refused(), with(signal(11)), is(R::Segfault, Certain)),
        (refused(), service(S::Failed, U::CoreDump), is(R::Segfault, Certain)),
        (died(), log(Sign::Segfault), is(R::Segfault, Certain)),
        (died(), saying(nothing(), LogSource::Kernel, &[Sign::Segfault]), is(R::Segfault, Likely)),
        // Somebody's segmentation fault is not that of a service that was stopped.
        (
            refused(),
            saying(service(S::Inactive, U::Success), LogSource::Kernel, &[Sign::Segfault]),
            is(R::ServiceStopped, Certain),
        ),
        (refused(), service(S::Failed, U::OomKill), is(R::OomKilled, Certain)),
        (died(), log(Sign::OomKill), is(R::OomKilled, Certain)),
        (died(), saying(nothing(), LogSource::Kernel, &[Sign::OomKill]), is(R::OomKilled, Likely)),
        (
            refused(),
            saying(with(signal(9)), LogSource::Kernel, &[Sign::OomKill]),
            is(R::OomKilled, Certain),
        ),
        (
            refused(),
            saying(service(S::Inactive, U::Success), LogSource::Kernel, &[Sign::OomKill]),
            is(R::ServiceStopped, Certain),
        ),
        (
            died(),
            saying(
                grouped(Cgroup { oom_kills: 1, ..Cgroup::default() }),
                journal(),
                &[Sign::Killed],
            ),
            is(R::OomKilled, Likely),
        ),
        (died(), grouped(Cgroup { oom_kills: 1, ..Cgroup::default() }), None),
        (died(), log(Sign::Killed), None),
        (refused(), service(S::Failed, U::StartLimitHit), is(R::StartLimitHit, Certain)),
        (
            refused(),
            saying(service(S::Failed, U::StartLimitHit), journal(), &[Sign::AddressInUse]),
            is(R::AddressInUse, Certain),
        ),
        (
            refused(),
            saying(failed(), journal(), &[Sign::ConfigurationInvalid]),
            is(R::ConfigurationInvalid, Certain),
        ),
        (refused(), saying(with(runs()), journal(), &[Sign::ConfigurationInvalid]), None),
        (refused(), service(S::Masked, U::Success), is(R::ServiceMasked, Certain)),
        (refused(), service(S::NotFound, U::Success), is(R::ServiceNotInstalled, Likely)),
        (
            missing(),
            Around { sockets: sibling(), ..service(S::NotFound, U::Success) },
            is(R::WrongSocketPath, Likely),
        ),
        (refused(), service(S::Activating, U::Success), is(R::ReloadOrRestart, Certain)),
        (died(), service(S::Reloading, U::Success), is(R::ReloadOrRestart, Certain)),
        (refused(), service(S::Deactivating, U::Success), is(R::ReloadOrRestart, Certain)),
        (
            refused(),
            saying(with(runs()), journal(), &[Sign::Restarted]),
            is(R::ReloadOrRestart, Likely),
        ),
        (
            refused(),
            saying(service(S::Inactive, U::Success), journal(), &[Sign::Stopped]),
            is(R::ServiceStopped, Certain),
        ),
        (refused(), booted(60), is(R::HostRebooted, Certain)),
        (refused(), booted(86_400), is(R::ServiceStopped, Certain)),
    ]
}

fn place_rows() -> Vec<Row> {
    use Root as R;
    let other = C::ConnectionRefused {
        address: "127.0.0.1:8080".parse().unwrap(),
        remembered: false,
        other_family: "[::1]:8080".parse().ok(),
    };
    let near_unit =
        |state| Around { sockets: near("127.0.0.1:8081"), ..service(state, UnitResult::Success) };
    vec![
        (other, nothing(), is(R::WrongAddressFamily, Certain)),
        (refused(), same_port("[::1]:8080"), is(R::WrongAddressFamily, Certain)),
        (refused_at("[::1]:8080"), same_port("127.0.0.1:8080"), is(R::WrongAddressFamily, Certain)),
        (
            refused_at("192.0.2.5:8080"),
            same_port("127.0.0.1:8080"),
            is(R::BoundToLoopback, Certain),
        ),
        (refused_at("192.0.2.5:8080"), same_port("[::1]:8080"), is(R::BoundToLoopback, Certain)),
        (refused(), same_port("192.0.2.5:8080"), is(R::BoundToLoopback, Certain)),
        (timeout("192.0.2.5:8080"), same_port("127.0.0.1:8080"), None),
        (refused(), sockets(near("127.0.0.1:8081")), is(R::WrongPort, Likely)),
        (refused(), near_unit(State::Active), is(R::WrongPort, Likely)),
        // What is near is another's, where the server's own unit is down.
        (refused(), near_unit(State::Inactive), is(R::ServiceStopped, Certain)),
        (slow(), sockets(near("127.0.0.1:8081")), None),
        (refused(), sockets(sibling()), is(R::WrongSocketPath, Likely)),
        (missing(), sockets(sibling()), is(R::WrongSocketPath, Likely)),
        (missing(), sockets(near("127.0.0.1:9000")), is(R::WrongPort, Likely)),
        (missing(), way(Stop::Missing), None),
        (
            missing(),
            Around { units: with(runs()).units, ..way(Stop::Missing) },
            is(R::WrongSocketPath, Likely),
        ),
        (missing(), way(Stop::NotASocket), is(R::WrongSocketPath, Certain)),
        (missing(), way(Stop::LinkLoop), is(R::WrongSocketPath, Certain)),
        (denied(), way(Stop::SocketMode), is(R::SocketMode, Certain)),
        (denied(), way(Stop::DirectoryMode), is(R::DirectoryMode, Certain)),
        (denied(), nothing(), None),
        (denied(), way(Stop::Missing), None),
    ]
}

fn busy_rows() -> Vec<Row> {
    use Root as R;
    let workers = |running, blocked, stopped| {
        at_work(Workers { running, sleeping: 1, blocked, stopped, zombies: 0 })
    };
    let all = at_work(Workers { stopped: 3, ..Workers::default() });
    let locked = |waiting, is_session| {
        php(Php { session_lock: lock(waiting, is_session), ..Php::default() })
    };
    let busy = |waiting| {
        php(Php {
            session_lock: lock(waiting, true),
            status: Seen::Found(pool(9, 0, 4, 1)),
            ..Php::default()
        })
    };
    let listening = |pending| {
        let queue = Queue { pending, backlog: 80 };
        helper(HelperState::Listening(Seen::Found(queue)))
    };
    let limit = |seconds| {
        let limit = Some(Duration::from_secs(seconds));
        let settings = PoolSettings { request_terminate_timeout: limit, ..Default::default() };
        php(Php { settings: Seen::Found(settings), ..Php::default() })
    };
    let kill = || C::FcgiTimeLimitKill { after: MINUTE, before: MINUTE };
    let memory = |message: &str| C::PhpOutOfMemory { message: message.to_owned() };
    let frozen = is(R::WorkersFrozen, Certain);
    vec![
        (slow(), nothing(), None),
        (slow(), workers(1, 0, 0), None),
        (slow(), all.clone(), frozen),
        (saturated(), all.clone(), frozen),
        (refused(), all, None),
        (slow(), service(State::Frozen, UnitResult::Success), frozen),
        (slow(), workers(0, 0, 5), is(R::WorkersFrozen, Likely)),
        (slow(), workers(8, 0, 2), None),
        (slow(), workers(0, 2, 0), is(R::StorageStalled, Likely)),
        (slow(), workers(8, 2, 0), None),
        (helpers(), nothing(), None),
        (helpers(), helper(HelperState::Gone), is(R::HelperDown, Certain)),
        (helpers(), helper(HelperState::Full), is(R::HelperFull, Certain)),
        (helpers(), helper(HelperState::Silent), is(R::WaitingForHelper, Certain)),
        (saturated(), helper(HelperState::Frozen), is(R::WaitingForHelper, Certain)),
        (slow(), helper(HelperState::Silent), is(R::WaitingForHelper, Certain)),
        // One that is installed and not used is no root.
        (slow(), helper(HelperState::Gone), None),
        (slow(), lost(), is(R::HelperDown, Likely)),
        (error(), lost(), None),
        (saturated(), stopped_pool(), is(R::WorkersFrozen, Certain)),
        (error(), helper(HelperState::Gone), None),
        (
            error(),
            saying(helper(HelperState::Gone), journal(), &[Sign::HelperUnreachable]),
            is(R::HelperDown, Likely),
        ),
        (slow(), listening(3), is(R::WaitingForHelper, Likely)),
        (slow(), listening(0), None),
        (slow(), locked(1, true), is(R::SessionLock, Certain)),
        (slow(), locked(1, false), is(R::SessionLock, Likely)),
        (slow(), locked(0, true), None),
        (saturated(), busy(8), is(R::SessionLock, Certain)),
        (saturated(), busy(1), is(R::PoolExhausted, Certain)),
        (saturated(), status(pool(5, 0, 3, 1)), is(R::PoolExhausted, Certain)),
        (slow(), status(pool(5, 0, 3, 1)), is(R::PoolExhausted, Certain)),
        (slow(), status(pool(5, 0, 0, 1)), None),
        (slow(), status(pool(1, 4, 0, 1)), None),
        (slow(), status(pool(1, 4, 0, 60)), is(R::SlowScript, Certain)),
        (slow(), log(Sign::SlowScript), is(R::SlowScript, Certain)),
        (slow(), log(Sign::PoolExhausted), is(R::PoolExhausted, Certain)),
        (slow(), log(Sign::WorkersLimit), is(R::PoolExhausted, Certain)),
        (saturated(), workers(4, 0, 0), is(R::PoolExhausted, Likely)),
        (saturated(), nothing(), None),
        (slow(), queue(9), None),
        (kill(), nothing(), is(R::TimeLimit, Likely)),
        (kill(), limit(60), is(R::TimeLimit, Certain)),
        (kill(), limit(300), is(R::TimeLimit, Likely)),
        (kill(), limit(0), is(R::TimeLimit, Likely)),
        (C::PhpExecutionTimeout { message: String::new() }, nothing(), is(R::TimeLimit, Certain)),
        (died(), log(Sign::TimeLimit), is(R::TimeLimit, Likely)),
        (refused(), log(Sign::TimeLimit), None),
        (
            memory("Allowed memory size of 1 bytes exhausted"),
            nothing(),
            is(R::MemoryLimit, Certain),
        ),
        (memory("Out of memory (allocated 1)"), nothing(), None),
        (error(), log(Sign::MemoryLimit), is(R::MemoryLimit, Likely)),
        (error(), log(Sign::PhpFatal), is(R::ScriptError, Likely)),
        (error(), nothing(), None),
        (fatal(), nothing(), None),
        (fatal(), changed(Changed::SiteFile), is(R::FaultyDeployment, Likely)),
        (fatal(), changed(Changed::HostStarted), None),
        (error(), changed(Changed::SiteFile), None),
        (
            error(),
            saying(changed(Changed::Package), journal(), &[Sign::PhpFatal]),
            is(R::FaultyDeployment, Likely),
        ),
    ]
}

fn machine_rows() -> Vec<Row> {
    use Root as R;
    let own = |errno| C::LocalStorageFailed { errno };
    let address = "127.0.0.1:8080".parse().unwrap();
    let tasks =
        |tasks| grouped(Cgroup { tasks: Some(tasks), tasks_max: Some(100), ..Cgroup::default() });
    let throttled = grouped(Cgroup { throttled_periods: 9, ..Cgroup::default() });
    let stale = CertFault::ClockWrong;
    vec![
        (own(Some(28)), nothing(), is(R::DiskFull, Certain)),
        (own(Some(122)), nothing(), is(R::DiskFull, Certain)),
        (own(Some(30)), nothing(), is(R::DiskReadOnly, Certain)),
        (own(Some(13)), nothing(), None),
        (error(), log(Sign::DiskFull), is(R::DiskFull, Certain)),
        (error(), disk(0, 9, false), is(R::DiskFull, Likely)),
        (helpers(), disk(GIB, 0, false), is(R::DiskFull, Likely)),
        // Full by its nature.
        (error(), disk(0, 0, true), None),
        (error(), disk(GIB / 2, 9, false), None),
        (slow(), disk(0, 9, false), None),
        (
            refused(),
            Around {
                units: service(State::Failed, UnitResult::ExitCode).units,
                ..disk(0, 9, false)
            },
            is(R::DiskFull, Likely),
        ),
        (C::LocalFdExhausted { errno: 24 }, nothing(), is(R::FdLimit, Certain)),
        (died(), log(Sign::DescriptorLimit), is(R::FdLimit, Certain)),
        (died(), saying(nothing(), LogSource::Kernel, &[Sign::DescriptorLimit]), None),
        (C::LocalPortsExhausted { address }, nothing(), is(R::PortExhaustion, Certain)),
        (slow(), tasks(100), is(R::TaskLimit, Likely)),
        (slow(), tasks(99), None),
        (slow(), memory(GIB / 50, 30.0), is(R::MemoryPressure, Likely)),
        (slow(), memory(GIB / 50, 0.0), None),
        (slow(), memory(GIB / 2, 30.0), None),
        (refused(), memory(GIB / 50, 30.0), None),
        (slow(), load(9.0, 0.0), is(R::Overload, Likely)),
        (slow(), load(4.0, 80.0), is(R::Overload, Likely)),
        (slow(), load(4.0, 10.0), None),
        (slow(), load(1.0, 80.0), None),
        (slow(), throttled.clone(), is(R::CpuThrottled, Possible)),
        (refused(), throttled, None),
        (expired(&[stale]), clock(false), is(R::ClockWrong, Certain)),
        (expired(&[stale]), nothing(), is(R::ClockWrong, Likely)),
        (expired(&[stale]), clock(true), None),
        (early(&[stale]), nothing(), is(R::ClockWrong, Likely)),
        (early(&[]), clock(false), is(R::ClockWrong, Likely)),
        (early(&[]), clock(true), None),
    ]
}

fn network_rows() -> Vec<Row> {
    use Root as R;
    let far = || timeout("192.0.2.7:80");
    let listener = Listener {
        user: Some("www-data".to_owned()),
        unit: None,
        process: None,
        descriptors: None,
    };
    let listens = |pending| {
        let queue = Some(Queue { pending, backlog: 511 });
        let listener = Seen::Found(listener.clone());
        sockets(Sockets { listener, queue, ..Sockets::default() })
    };
    let silent =
        |ip: &str| network(Network { neighbor_silent: ip.parse().ok(), ..Network::default() });
    let late = C::ConnectTimeout {
        address: "192.0.2.7:80".parse().unwrap(),
        waited: MINUTE,
        queue: None,
        port: Some(Port::Accepts),
    };
    let forbidden =
        |errno| C::ConnectForbiddenLocally { address: "192.0.2.7:80".parse().unwrap(), errno };
    let answered = Ping::Answered(Duration::from_millis(1));
    vec![
        (rejected(IcmpSender::ThisHost), nothing(), is(R::FirewallLocal, Certain)),
        (rejected(IcmpSender::Target), nothing(), is(R::FirewallRemote, Certain)),
        (rejected(IcmpSender::Device), nothing(), is(R::FirewallRemote, Certain)),
        (rejected(IcmpSender::Unknown), nothing(), None),
        (forbidden(1), nothing(), is(R::FirewallLocal, Certain)),
        (forbidden(13), nothing(), None),
        (timeout("127.0.0.1:8080"), listens(0), is(R::FirewallLocal, Certain)),
        (timeout("127.0.0.1:8080"), nothing(), is(R::FirewallLocal, Likely)),
        (timeout("127.0.0.1:8080"), listens(9), None),
        (far(), nothing(), None),
        (far(), ping(answered, &[]), is(R::FirewallRemote, Likely)),
        (far(), ping(Ping::Silent, &[22]), is(R::FirewallRemote, Likely)),
        (far(), ping(Ping::Silent, &[]), is(R::HostDown, Likely)),
        (late, ping(answered, &[]), None),
        (far(), silent("192.0.2.7"), is(R::HostDown, Certain)),
        // The gateway is silent: what is behind it is not known.
        (far(), silent("192.0.2.1"), None),
        (unreachable(UnreachableReason::NeighborUnreachable), nothing(), is(R::HostDown, Certain)),
        (unreachable(UnreachableReason::RouterReported), nothing(), None),
        (unreachable(UnreachableReason::InterfaceDown), nothing(), is(R::LinkDown, Certain)),
        (far(), route(false), is(R::LinkDown, Certain)),
        (far(), route(true), None),
        (no_name(Some("gone.example")), nothing(), is(R::DnsDangling, Certain)),
        (no_name(None), nothing(), None),
        (expired(&[]), clock(true), is(R::CertificateRenewalMissed, Certain)),
        (expired(&[]), nothing(), is(R::CertificateRenewalMissed, Likely)),
        (expired(&[]), clock(false), is(R::CertificateRenewalMissed, Possible)),
        (expired(&[CertFault::WrongHost]), clock(true), None),
    ]
}

fn rows() -> Vec<Row> {
    [service_rows(), place_rows(), busy_rows(), machine_rows(), network_rows()].concat()
}

/// The server that failed so, without a look at what the rows say of it.
fn server(cause: &C) -> Server {
    let address = match cause {
        C::ConnectionRefused { address, .. }
        | C::ConnectTimeout { address, .. }
        | C::HostUnreachable { address, .. }
        | C::TcpRejectedByFirewall { address, .. } => ServerAddress::Ip(*address),
        _ => ServerAddress::Unix("/run/php/fpm.sock".into()),
    };
    Server { scheme: Scheme::FastCgi, address }
}

fn decided(cause: &C, around: &Around) -> Option<Rooted> {
    let server = server(cause);
    root(cause, &Site { around: Some(around), ..Site::of(Some(&server)) })
}

#[test]
fn the_evidence_decides_the_root() {
    for (cause, around, expected) in rows() {
        let found = decided(&cause, &around);
        let found = found.map(|rooted| (rooted.root, rooted.certainty));
        assert_eq!(found, expected, "{cause:?}\n{around:?}");
    }
}

#[test]
fn every_root_and_every_row_of_the_table_is_held_to_one() {
    let given: Vec<_> = rows().into_iter().filter_map(|(.., root)| Some(root?.0)).collect();
    // By the name of the server, below; and by who asks.
    let elsewhere = [Root::DnsRecordWrong, Root::TrafficSpike, Root::SingleClientFlood];
    for root in Root::all() {
        assert!(given.contains(&root) || elsewhere.contains(&root), "{}", root.name());
    }
    let all: Vec<&super::Row> = TABLE.iter().copied().flatten().collect();
    for row in all {
        let held = rows().into_iter().any(|(cause, around, _)| {
            let server = server(&cause);
            let site = Site { around: Some(&around), ..Site::of(Some(&server)) };
            Scene::of(&cause, &site).is_some_and(|scene| row.applies(&scene))
        });
        assert!(held || row.root == Root::DnsRecordWrong, "{:?} {:?}", row.root, row.certainty);
    }
}

#[test]
fn a_name_that_moved_is_behind_what_is_elsewhere() {
    let before = Some(Before { addresses: vec!["192.0.2.9".parse().unwrap()], ago: MINUTE });
    let addresses = vec!["192.0.2.7".parse().unwrap()];
    let named = Named { name: "app.internal".to_owned(), addresses, before };
    let around = nothing();
    let site = |moved| Site { moved, named: Some(&named), around: Some(&around), ..Site::of(None) };
    let refused = refused_at("192.0.2.7:80");
    let found = root(&refused, &site(true)).unwrap();
    assert_eq!((found.root, found.certainty), (Root::DnsRecordWrong, Likely));
    let keys: Vec<_> = found.because.iter().map(|(key, _)| *key).collect();
    assert_eq!(keys, ["addresses_now", "addresses_before", "last_connected"]);
    assert_eq!(root(&refused, &site(false)), None);
    // The page of the new host is the site's own.
    assert_eq!(root(&error(), &site(true)), None);
    // What led somewhere before leads nowhere now.
    let gone = root(&no_name(None), &site(false)).unwrap();
    assert_eq!((gone.root, gone.certainty), (Root::DnsDangling, Certain));
}

#[test]
fn what_is_scarce_here_is_not_scarce_elsewhere() {
    let server = Server {
        scheme: Scheme::Http,
        address: ServerAddress::Ip("192.0.2.7:80".parse().unwrap()),
    };
    for around in [memory(GIB / 50, 30.0), load(9.0, 0.0), helper(HelperState::Silent)] {
        let site = Site { around: Some(&around), ..Site::of(Some(&server)) };
        assert_eq!(root(&slow(), &site), None, "{around:?}");
        let here = Site { is_here: true, ..site };
        assert!(root(&slow(), &here).is_some(), "{around:?}");
    }
}

#[test]
fn a_block_whose_servers_all_fail_alike_has_the_root_of_each() {
    let failed = |codes: &[Code]| {
        let servers = codes.iter().map(|code| ("x".to_owned(), *code, MINUTE));
        C::NoHealthyUpstream { servers: servers.collect() }
    };
    let stopped = service(State::Inactive, UnitResult::Success);
    let found = |codes: &[Code]| decided(&failed(codes), &stopped).map(|rooted| rooted.root);
    let refused = Code::ConnectionRefused;
    assert_eq!(found(&[refused, refused]), Some(Root::ServiceStopped));
    assert_eq!(found(&[refused, Code::FirstByteTimeout]), None);
    assert_eq!(found(&[]), None);
}

#[test]
fn the_line_that_shows_it_is_named() {
    let found = decided(&died(), &log(Sign::Segfault)).unwrap();
    assert_eq!(found.because, [("log", "it says segfault".to_owned())]);
}

/// The operator's first fix follows from the root, its look comes first, and a visitor's page is
/// the same as without.
#[test]
fn the_first_fix_follows_from_the_root() {
    for (cause, around, _) in rows() {
        let Some(rooted) = decided(&cause, &around) else { continue };
        let server = server(&cause);
        let site = Site { around: Some(&around), ..Site::of(Some(&server)) };
        let ranked = fixes(&cause, &site, Some(&rooted));
        let operators: Vec<_> =
            ranked.iter().filter(|fix| fix.audience == Audience::Operator).collect();
        let first = operators[0];
        assert_eq!(first.id, rooted.fix(&cause, &site), "{:?}", rooted.root);
        assert_eq!(first.because, rooted.because);
        assert!(first.look().is_some(), "{:?}: {:?}", rooted.root, first.commands);
        let again = operators.iter().filter(|fix| fix.id == first.id).count();
        assert_eq!(again, 1, "{:?}", rooted.root);
        let plain = fixes(&cause, &site, None);
        let visitors = |list: &[crate::diagnose::Fix]| {
            let ids = list.iter().filter(|fix| fix.audience == Audience::Visitor);
            ids.map(|fix| fix.id).collect::<Vec<FixId>>()
        };
        assert_eq!(visitors(&ranked), visitors(&plain));
        assert!(plain.iter().all(|fix| !fix.id.is_of_a_root()));
    }
}

fn any_root() -> impl Strategy<Value = (usize, usize, bool, bool)> {
    let count = rows().len();
    (0..count, 0..count, any::<bool>(), any::<bool>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever is put together: no panic; and what is certain was seen, by the cause or around.
    #[test]
    fn nothing_is_certain_without_an_observation(
        (one, other, is_here, moved) in any_root(),
    ) {
        let rows = rows();
        let ((cause, ..), (_, around, _)) = (&rows[one], &rows[other]);
        let server = server(cause);
        let site = Site { around: Some(around), is_here, moved, ..Site::of(Some(&server)) };
        if let Some(rooted) = root(cause, &site) {
            let bare = nothing();
            let without = root(cause, &Site { around: Some(&bare), ..site });
            let by_cause = without.as_ref().map(|rooted| rooted.root) == Some(rooted.root);
            let by_around = *around != bare;
            prop_assert!(rooted.certainty != Certain || by_cause || by_around);
            prop_assert_eq!(root(cause, &Site { around: None, ..site }), None);
        }
    }
}
