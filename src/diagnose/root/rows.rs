//! The rows that the table is held to: what fails, what this host shows, and what lies behind it.

use std::time::Duration;

use crate::diagnose::around::{
    Around, Cgroup, Changed, HelperState, Listener, LogSource, Need, Network, Php, Ping,
    PoolSettings, Seen, Sign, Sockets, State, Stop, Unit, UnitResult, Workers,
};
use crate::diagnose::cause::Cause as C;
use crate::diagnose::facts::{Port, Queue};
use crate::diagnose::faults::CertFault;
use crate::diagnose::report::Certainty::{Certain, Likely, Possible};
use crate::diagnose::unreached::{IcmpSender, UnreachableReason};

use super::made::*;
use super::{Certainty, Root};

/// The page that WordPress shows in place of an error.
const CRITICAL: &str = "There has been a critical error on this website";

/// A failure with what is around, and the root with its certainty, or none.
pub type Row = (C, Around, Option<(Root, Certainty)>);

pub fn is(root: Root, certainty: Certainty) -> Option<(Root, Certainty)> {
    Some((root, certainty))
}

pub fn service_rows() -> Vec<Row> {
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
        (died(), grouped(Cgroup { oom_kills: 1, ..Cgroup::default() }), is(R::OomKilled, Possible)),
        (slow(), grouped(Cgroup { oom_kills: 1, ..Cgroup::default() }), None),
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
        // What it says of a start counts for that start.
        (
            refused(),
            failed_after(Sign::ConfigurationInvalid, 60, Some(5)),
            is(R::ConfigurationInvalid, Certain),
        ),
        (refused(), failed_after(Sign::AddressInUse, 60, None), is(R::AddressInUse, Certain)),
        (refused(), failed_after(Sign::AddressInUse, 58, None), crashed),
        (refused(), failed_after(Sign::AddressInUse, 59, Some(60)), crashed),
        // Whoever has its port answers in its place.
        (
            other_protocol(),
            failed_after(Sign::AddressInUse, 60, None),
            is(R::AddressInUse, Certain),
        ),
        (other_protocol(), failed(), None),
        (refused(), service(S::Masked, U::Success), is(R::ServiceMasked, Certain)),
        (refused(), service(S::NotFound, U::Success), is(R::ServiceNotInstalled, Likely)),
        (
            refused(),
            Around { sockets: near("127.0.0.1:8081"), ..service(S::NotFound, U::Success) },
            is(R::ServiceNotInstalled, Likely),
        ),
        (missing(), service(S::NotFound, U::Success), is(R::ServiceNotInstalled, Likely)),
        // Who removes a package stops its service first, and the log says that.
        (
            refused(),
            saying(service(S::NotFound, U::Success), journal(), &[Sign::Stopped]),
            is(R::ServiceNotInstalled, Likely),
        ),
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

pub fn place_rows() -> Vec<Row> {
    use Root as R;
    let other = C::ConnectionRefused {
        address: "127.0.0.1:8080".parse().unwrap(),
        remembered: false,
        other_family: "[::1]:8080".parse().ok(),
    };
    let near_unit =
        |state| Around { sockets: near("127.0.0.1:8081"), ..service(state, UnitResult::Success) };
    let owned = |unit: &str| {
        let unit = Some(unit.to_owned());
        let listener = Listener { user: None, unit, process: None, descriptors: None };
        let mut around = near_unit(State::Active);
        around.sockets.owners.push((around.sockets.near[0], listener));
        around
    };
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
        (refused(), same_port("192.0.2.5:8080"), is(R::WrongAddress, Certain)),
        (refused_at("127.0.0.2:8080"), same_port("127.0.0.1:8080"), is(R::WrongAddress, Certain)),
        (timeout("192.0.2.5:8080"), same_port("127.0.0.1:8080"), None),
        (refused(), sockets(near("127.0.0.1:8081")), is(R::WrongPort, Likely)),
        (refused(), near_unit(State::Active), is(R::WrongPort, Likely)),
        (refused(), owned("php8.2-fpm.service"), is(R::WrongPort, Certain)),
        (refused(), owned("other.service"), is(R::WrongPort, Likely)),
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
        (denied(), way(Stop::Policy), is(R::ForbiddenByPolicy, Likely)),
    ]
}

pub fn busy_rows() -> Vec<Row> {
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
    let ended = |seconds| C::FcgiWorkerDied {
        reset: true,
        after: Duration::from_secs(seconds),
        stderr: String::new(),
    };
    let kill = || C::FcgiTimeLimitKill { after: MINUTE, before: MINUTE };
    let memory = |message: &str| C::PhpOutOfMemory { message: message.to_owned() };
    // The server's pool is `www`.
    let full = |text: &str| {
        let settings = PoolSettings { name: "www".to_owned(), ..Default::default() };
        let mut around = log(Sign::PoolExhausted);
        around.php.settings = Seen::Found(settings);
        around.lines.lines[0].text = text.to_owned();
        around
    };
    let uncaught =
        |said: &str| C::PhpFatalError { message: format!("Uncaught {said} in /var/www/a.php:3") };
    let white = |said: &str| C::PhpFatalError { message: said.to_owned() };
    let waits_for_disk =
        |percent| grouped(Cgroup { waits_for_disk: Some(percent), ..Cgroup::default() });
    let code = || changed(Changed::SiteFile, "/var/www/functions.php");
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
        (slow(), waits_for_disk(50), is(R::StorageStalled, Likely)),
        (slow(), waits_for_disk(49), None),
        (refused(), waits_for_disk(99), None),
        (helpers(), nothing(), None),
        (helpers(), helper(HelperState::Gone), is(R::HelperDown, Certain)),
        (helpers(), helper(HelperState::Full), is(R::HelperFull, Certain)),
        (helpers(), log(Sign::HelperFull), is(R::HelperFull, Likely)),
        (
            helpers(),
            saying(helper(HelperState::Gone), journal(), &[Sign::HelperFull]),
            is(R::HelperFull, Likely),
        ),
        (uncaught("mysqli_sql_exception: Too many connections"), code(), is(R::HelperFull, Likely)),
        (uncaught("Exception: Too many connections"), nothing(), None),
        (helpers(), helper(HelperState::Silent), is(R::WaitingForHelper, Likely)),
        (helpers(), helper(HelperState::Frozen), is(R::WaitingForHelper, Certain)),
        // What is said is of another helper than the one that is down.
        (redis(), helper(HelperState::Gone), None),
        (redis(), helper(HelperState::Full), None),
        (redis(), lost(), None),
        (helpless(), helper(HelperState::Gone), is(R::HelperDown, Likely)),
        (helpless(), lost(), is(R::HelperDown, Certain)),
        (helpless(), helper(HelperState::Full), is(R::HelperFull, Likely)),
        // It is full, and nobody says that it is the site's.
        (slow(), helper(HelperState::Full), is(R::HelperFull, Likely)),
        (saturated(), helper(HelperState::Frozen), is(R::WaitingForHelper, Likely)),
        (saturated(), named(HelperState::Frozen), is(R::WaitingForHelper, Certain)),
        (error(), named(HelperState::Full), is(R::HelperFull, Certain)),
        (slow(), helper(HelperState::Silent), is(R::WaitingForHelper, Likely)),
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
        (slow(), log(Sign::PoolExhausted), is(R::PoolExhausted, Likely)),
        (slow(), log(Sign::WorkersLimit), is(R::PoolExhausted, Likely)),
        (slow(), full("[pool www] server reached"), is(R::PoolExhausted, Likely)),
        // Another pool of the same service.
        (slow(), full("[pool shop] server reached"), None),
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
        (ended(4), limit(3), is(R::TimeLimit, Likely)),
        (ended(1), limit(3), None),
        (ended(60), limit(3), None),
        (ended(0), limit(0), None),
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
        (fatal(), code(), is(R::FaultyDeployment, Likely)),
        // What a log says of that second is another script's.
        (fatal(), log(Sign::MemoryLimit), None),
        (fatal(), log(Sign::PhpFatal), None),
        (white(""), log(Sign::MemoryLimit), is(R::MemoryLimit, Likely)),
        (white(""), log(Sign::ExecutionTime), is(R::TimeLimit, Likely)),
        (white(""), log(Sign::PhpFatal), is(R::ScriptError, Likely)),
        (white(""), nothing(), None),
        (white(CRITICAL), log(Sign::PhpFatal), is(R::ScriptError, Likely)),
        // What the failure itself leaves behind.
        (fatal(), changed(Changed::SiteFile, "/var/www/error_log"), None),
        (fatal(), changed(Changed::Package, "upgrade tzdata:all 1 2"), None),
        (fatal(), changed(Changed::HostStarted, ""), None),
        (error(), code(), None),
        (
            error(),
            saying(
                changed(Changed::Package, "upgrade php8.2-gd:amd64 1 2"),
                journal(),
                &[Sign::PhpFatal],
            ),
            is(R::FaultyDeployment, Likely),
        ),
        (
            error(),
            saying(
                changed(Changed::Package, "upgrade tzdata:all 1 2"),
                journal(),
                &[Sign::PhpFatal],
            ),
            is(R::ScriptError, Likely),
        ),
    ]
}

pub fn machine_rows() -> Vec<Row> {
    use Root as R;
    let counted = |throttled_periods, periods| {
        let waits_for_cpu = Some(50);
        Cgroup { throttled_periods, periods, waits_for_cpu, ..Cgroup::default() }
    };
    let throttled_in = |throttled, periods| grouped(counted(throttled, periods));
    let was_throttled = grouped(Cgroup { waits_for_cpu: Some(0), ..counted(900, 1000) });
    let own = |errno| C::LocalStorageFailed { errno };
    let address = "127.0.0.1:8080".parse().unwrap();
    let tasks =
        |tasks| grouped(Cgroup { tasks: Some(tasks), tasks_max: Some(100), ..Cgroup::default() });
    let throttled = grouped(Cgroup { throttled_periods: 9, ..Cgroup::default() });
    let waiting = Cgroup { waits_for_disk: Some(99), ..Cgroup::default() };
    let swapping = Around { host: memory(GIB / 50, 30.0).host, ..grouped(waiting) };
    let stale = CertFault::ClockWrong;
    vec![
        (own(Some(28)), nothing(), is(R::DiskFull, Certain)),
        (own(Some(122)), nothing(), is(R::DiskFull, Certain)),
        (own(Some(30)), nothing(), is(R::DiskReadOnly, Certain)),
        (own(Some(13)), nothing(), None),
        (error(), log(Sign::DiskFull), is(R::DiskFull, Certain)),
        (error(), log(Sign::DiskReadOnly), is(R::DiskReadOnly, Likely)),
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
        // Its disk is the one that it swaps to.
        (slow(), swapping, is(R::MemoryPressure, Likely)),
        (slow(), memory(GIB / 50, 0.0), None),
        (slow(), memory(GIB / 2, 30.0), None),
        (refused(), memory(GIB / 50, 30.0), None),
        (slow(), load(9.0, 0.0), is(R::Overload, Likely)),
        (slow(), load(4.0, 80.0), is(R::Overload, Likely)),
        (slow(), load(4.0, 10.0), None),
        (slow(), load(1.0, 80.0), None),
        (slow(), throttled.clone(), is(R::CpuThrottled, Possible)),
        (refused(), throttled, None),
        (slow(), throttled_in(900, 1000), is(R::CpuThrottled, Likely)),
        (slow(), throttled_in(400, 1000), is(R::CpuThrottled, Possible)),
        // It was, and does not wait now.
        (slow(), was_throttled, is(R::CpuThrottled, Possible)),
        // It is why scripts are slow.
        (
            slow(),
            saying(throttled_in(900, 1000), journal(), &[Sign::SlowScript]),
            is(R::CpuThrottled, Likely),
        ),
        // And not why they wait for something.
        (
            slow(),
            Around { units: throttled_in(900, 1000).units, ..helper(HelperState::Frozen) },
            is(R::WaitingForHelper, Likely),
        ),
        (expired(&[stale]), clock(false), is(R::ClockWrong, Certain)),
        (expired(&[stale]), nothing(), is(R::ClockWrong, Likely)),
        (expired(&[stale]), clock(true), None),
        (early(&[stale]), nothing(), is(R::ClockWrong, Likely)),
        (early(&[]), clock(false), is(R::ClockWrong, Likely)),
        (early(&[]), clock(true), None),
        (early(&[]), behind(), is(R::ClockWrong, Certain)),
        (expired(&[]), behind(), is(R::CertificateRenewalMissed, Likely)),
    ]
}

pub fn network_rows() -> Vec<Row> {
    use Root as R;
    let far = || timeout("192.0.2.7:80");
    let listener = |listener| sockets(Sockets { listener, ..Sockets::default() });
    let hidden = || listener(Seen::Denied(Need::Netlink));
    let listens = |pending| {
        let user = Some("www-data".to_owned());
        let found = Listener { user, unit: None, process: None, descriptors: None };
        let queue = Some(Queue { pending, backlog: 511 });
        sockets(Sockets { queue, ..listener(Seen::Found(found)).sockets })
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
        (forbidden(13), nothing(), is(R::ForbiddenByPolicy, Likely)),
        (forbidden(13), prohibited(), None),
        (timeout("127.0.0.1:8080"), listens(0), is(R::FirewallLocal, Certain)),
        (timeout("127.0.0.1:8080"), listener(Seen::Nothing), is(R::FirewallLocal, Likely)),
        (timeout("127.0.0.1:8080"), listens(9), None),
        // Nobody could see whether its queue is full, which is silent, too.
        (timeout("127.0.0.1:8080"), nothing(), is(R::FirewallLocal, Possible)),
        (
            timeout("127.0.0.1:8080"),
            Around { sockets: hidden().sockets, ..port_now(Port::Silent) },
            is(R::FirewallLocal, Possible),
        ),
        (timeout("127.0.0.1:8080"), port_now(Port::Accepts), None),
        (timeout("127.0.0.1:8080"), port_now(Port::Refused), None),
        (far(), nothing(), None),
        (far(), ping(answered, &[]), is(R::FirewallRemote, Possible)),
        // Its other ports are open to us: a full queue is as silent as a rule for one port.
        (far(), ping(answered, &[22]), is(R::FirewallRemote, Possible)),
        (far(), ping(Ping::Silent, &[22]), is(R::FirewallRemote, Possible)),
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
        (expired(&[]), renewed(), is(R::CertificateRenewalMissed, Certain)),
        (expired(&[CertFault::WrongHost]), renewed(), None),
        (expired(&[CertFault::WrongHost]), clock(true), None),
    ]
}

pub fn rows() -> Vec<Row> {
    [service_rows(), place_rows(), busy_rows(), machine_rows(), network_rows()].concat()
}
