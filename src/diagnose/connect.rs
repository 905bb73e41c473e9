//! Part of THE DECISION: a connection that did not come about, to its cause. Pure.
//!
//! The errno alone lumps: ECONNREFUSED is a closed port or a firewall, EHOSTUNREACH a silent
//! neighbour, a router's word, a rule or a route of our own. The ICMP error beside it, who sent it,
//! and whether any time passed tell them apart.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use crate::config::ServerAddress;
use crate::upstream::{Attempt, ConnectFailure, Icmp, IcmpVersion, Prohibited, Tried};

use super::cause::{Cause, Code};
use super::facts::{Facts, Queue};
use super::report::Certainty::{self, Certain, Likely};
use super::unreached::{
    ConnectFault, IcmpError, IcmpMessage, IcmpSender, ProhibitedReason, UnreachableReason,
};

/// A connect that fails within this time was never sent: no other host had the time to answer, and
/// this one keeps no ICMP error for it.
const AT_ONCE: Duration = Duration::from_millis(50);

/// Linux errno values that decide causes (asm-generic/errno.h).
mod errno {
    pub(super) const EPERM: i32 = 1;
    pub(super) const ENOENT: i32 = 2;
    pub(super) const EAGAIN: i32 = 11;
    pub(super) const ENOMEM: i32 = 12;
    pub(super) const EACCES: i32 = 13;
    pub(super) const ENOTDIR: i32 = 20;
    pub(super) const EINVAL: i32 = 22;
    pub(super) const ENFILE: i32 = 23;
    pub(super) const EMFILE: i32 = 24;
    pub(super) const ENONET: i32 = 64;
    pub(super) const EPROTOTYPE: i32 = 91;
    pub(super) const ENOPROTOOPT: i32 = 92;
    pub(super) const EAFNOSUPPORT: i32 = 97;
    pub(super) const EADDRNOTAVAIL: i32 = 99;
    pub(super) const ENETDOWN: i32 = 100;
    pub(super) const ENETUNREACH: i32 = 101;
    pub(super) const ECONNRESET: i32 = 104;
    pub(super) const ENOBUFS: i32 = 105;
    pub(super) const ETIMEDOUT: i32 = 110;
    pub(super) const ECONNREFUSED: i32 = 111;
    pub(super) const EHOSTDOWN: i32 = 112;
    pub(super) const EHOSTUNREACH: i32 = 113;
}

/// The cause of a failed connect; of several addresses, that of the one that `upstream` let lead.
pub(super) fn classify(
    failure: &ConnectFailure,
    attempt: &Attempt,
    facts: &Facts,
) -> (Cause, Certainty) {
    // Our own host's limits first: they are nobody else's failure.
    if let Some(cause) = failure.errno().and_then(own_limit) {
        return (cause, Certain);
    }
    if let ServerAddress::Unix(path) = &attempt.server().address {
        return (unix(failure, path), Certain);
    }
    let Some(address) = attempt.address else {
        let target = attempt.server().to_string();
        return (failed(target, failure.errno(), None), Certain);
    };
    let led = attempt.tried.iter().find(|tried| tried.address == address);
    let took = led.map(|tried| tried.took);
    if facts.neighbor_silent && matches!(failure, ConnectFailure::TimedOut) {
        let reason = UnreachableReason::NeighborUnreachable;
        return (Cause::HostUnreachable { address, reason, icmp: None }, Likely);
    }
    let (mut cause, certainty) = tcp(failure, address, took, attempt, facts.queue);
    if let Cause::ConnectionRefused { other_family, .. } = &mut cause {
        *other_family = facts.other_family;
    }
    if let Cause::ConnectTimeout { port, .. } = &mut cause {
        *port = facts.port;
    }
    (cause, certainty)
}

/// The cause that one address alone would have.
pub fn of_address(tried: &Tried, attempt: &Attempt) -> Code {
    let own = tried.failure.errno().and_then(own_limit);
    let cause = own
        .unwrap_or_else(|| tcp(&tried.failure, tried.address, Some(tried.took), attempt, None).0);
    cause.code()
}

/// The cause behind an errno that speaks of a limit of our own process or host.
pub fn own_limit(errno: i32) -> Option<Cause> {
    match errno {
        errno::EMFILE | errno::ENFILE => Some(Cause::LocalFdExhausted { errno }),
        errno::ENOMEM | errno::ENOBUFS => Some(Cause::LocalOutOfMemory { errno }),
        _ => None,
    }
}

/// `took` is known where the connect was tried now, and not a moment ago.
fn tcp(
    failure: &ConnectFailure,
    address: SocketAddr,
    took: Option<Duration>,
    attempt: &Attempt,
    queue: Option<Queue>,
) -> (Cause, Certainty) {
    let waited = attempt.upstream.timeouts.connect;
    let remembered = match failure {
        ConnectFailure::TimedOut => return silent(address, waited, queue, Likely),
        ConnectFailure::Prohibited(why) => {
            let reason = match why {
                Prohibited::OwnListener => ProhibitedReason::OwnListener,
                Prohibited::Metadata => ProhibitedReason::MetadataService,
            };
            return (Cause::DestinationProhibited { address, reason }, Certain);
        }
        ConnectFailure::Io { .. } => false,
        ConnectFailure::Remembered { .. } => true,
    };
    let said = failure.icmp();
    let icmp = said.map(|icmp| evidence(icmp, address.ip()));
    if let Some(icmp) = icmp
        && said.is_some_and(|said| said.rejects(address.ip()))
    {
        return (Cause::TcpRejectedByFirewall { address, icmp }, Certain);
    }
    let cause = match failure.errno() {
        Some(errno::ECONNREFUSED) => {
            Cause::ConnectionRefused { address, remembered, other_family: None }
        }
        Some(errno::EHOSTUNREACH | errno::EHOSTDOWN | errno::ENONET) => {
            let at_once = took.is_some_and(|took| took < AT_ONCE);
            let reason = match said {
                Some(said) => reported(said),
                None if at_once => UnreachableReason::RouteUnreachable,
                None => UnreachableReason::Unknown,
            };
            Cause::HostUnreachable { address, reason, icmp }
        }
        Some(errno::ENETDOWN) => {
            let reason = UnreachableReason::InterfaceDown;
            Cause::NetworkUnreachable { address, reason, icmp }
        }
        Some(errno::ENETUNREACH) => {
            let v6_only = attempt.tried.iter().all(|tried| tried.address.is_ipv6());
            let reason = match said {
                Some(said) => reported(said),
                None if address.is_ipv6() && v6_only => UnreachableReason::NoIpv6Route,
                None => UnreachableReason::NoRoute,
            };
            Cause::NetworkUnreachable { address, reason, icmp }
        }
        Some(errno::ETIMEDOUT) => return silent(address, waited, queue, Certain),
        Some(errno @ (errno::EACCES | errno::EPERM)) => {
            Cause::ConnectForbiddenLocally { address, errno }
        }
        Some(errno::EADDRNOTAVAIL) => Cause::LocalPortsExhausted { address },
        errno => failed(address.to_string(), errno, icmp),
    };
    (cause, Certain)
}

/// Nobody answered; a full accept queue at the listener explains it, since the kernel then drops
/// SYNs.
fn silent(
    address: SocketAddr,
    waited: Duration,
    queue: Option<Queue>,
    otherwise: Certainty,
) -> (Cause, Certainty) {
    let queue = queue.filter(|queue| queue.pending > 0 && queue.pending >= queue.backlog);
    let certainty = if queue.is_some() { Certain } else { otherwise };
    (Cause::ConnectTimeout { address, waited, queue, port: None }, certainty)
}

/// Why an address is out of reach, by the ICMP error that says so.
fn reported(icmp: Icmp) -> UnreachableReason {
    match message(icmp) {
        IcmpMessage::TimeExceeded => UnreachableReason::TtlExceeded,
        // The kernel tells itself that a neighbour did not answer.
        _ if icmp.own => UnreachableReason::NeighborUnreachable,
        _ => UnreachableReason::RouterReported,
    }
}

fn evidence(icmp: Icmp, target: IpAddr) -> IcmpError {
    let sender = match icmp.offender {
        Some(from) if from == target => IcmpSender::Target,
        Some(_) if icmp.own => IcmpSender::ThisHost,
        Some(_) => IcmpSender::Device,
        None => IcmpSender::Unknown,
    };
    let Icmp { kind, code, offender, .. } = icmp;
    IcmpError { message: message(icmp), kind, code, from: offender, sender }
}

/// The message behind type and code (RFC 792, RFC 1812 section 5.2.7.1, RFC 4443 section 3).
fn message(icmp: Icmp) -> IcmpMessage {
    match (icmp.version, icmp.kind, icmp.code) {
        (IcmpVersion::V4, 3, 0) | (IcmpVersion::V6, 1, 0) => IcmpMessage::NetUnreachable,
        (IcmpVersion::V4, 3, 1) | (IcmpVersion::V6, 1, 3) => IcmpMessage::HostUnreachable,
        (IcmpVersion::V4, 3, 2) => IcmpMessage::ProtocolUnreachable,
        (IcmpVersion::V4, 3, 3) | (IcmpVersion::V6, 1, 4) => IcmpMessage::PortUnreachable,
        (IcmpVersion::V4, 3, 6) => IcmpMessage::NetUnknown,
        (IcmpVersion::V4, 3, 7 | 8) => IcmpMessage::HostUnknown,
        (IcmpVersion::V4, 3, 9) => IcmpMessage::NetProhibited,
        (IcmpVersion::V4, 3, 10) => IcmpMessage::HostProhibited,
        (IcmpVersion::V4, 3, 13) | (IcmpVersion::V6, 1, 1) => IcmpMessage::AdminProhibited,
        (IcmpVersion::V6, 1, 2) => IcmpMessage::BeyondScope,
        (IcmpVersion::V6, 1, 5) => IcmpMessage::SourcePolicy,
        (IcmpVersion::V6, 1, 6) => IcmpMessage::RejectRoute,
        (IcmpVersion::V4, 11, _) | (IcmpVersion::V6, 3, _) => IcmpMessage::TimeExceeded,
        (IcmpVersion::V4, 12, _) | (IcmpVersion::V6, 4, _) => IcmpMessage::ParameterProblem,
        (IcmpVersion::V4 | IcmpVersion::V6, _, _) => IcmpMessage::Unusual,
    }
}

fn failed(target: String, errno: Option<i32>, icmp: Option<IcmpError>) -> Cause {
    let reason = match errno {
        // ip-route(8): what the senders of this host get from a route of the type `blackhole`.
        Some(errno::EINVAL) => ConnectFault::BlackholeRoute,
        Some(errno::ENOPROTOOPT) => ConnectFault::ProtocolUnreachable,
        Some(errno::EAFNOSUPPORT) => ConnectFault::AddressFamilyUnsupported,
        Some(_) | None => ConnectFault::Unknown,
    };
    Cause::ConnectFailed { target, errno, reason, icmp }
}

fn unix(failure: &ConnectFailure, path: &Path) -> Cause {
    let target = path.display().to_string();
    let path = path.to_owned();
    match failure.errno() {
        Some(errno @ (errno::ENOENT | errno::ENOTDIR)) => Cause::UnixSocketMissing { path, errno },
        Some(errno::EACCES | errno::EPERM) => Cause::UnixSocketPermissionDenied { path },
        // Reset: the listener was closed with our connection in its queue.
        Some(errno::ECONNREFUSED | errno::ECONNRESET) => Cause::UnixSocketRefused { path },
        Some(errno::EAGAIN) => Cause::UnixSocketBacklogFull { path },
        errno => {
            let reason = match errno {
                Some(errno::EPROTOTYPE) => ConnectFault::SocketTypeMismatch,
                None if is_invalid_input(failure) => ConnectFault::PathTooLong,
                Some(_) | None => ConnectFault::Unknown,
            };
            Cause::ConnectFailed { target, errno, reason, icmp: None }
        }
    }
}

/// The address could not even be written down (unix(7): 107 bytes).
fn is_invalid_input(failure: &ConnectFailure) -> bool {
    matches!(failure, ConnectFailure::Io { error, .. }
        if error.kind() == io::ErrorKind::InvalidInput)
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::time::Instant;

    use super::super::facts::Port;
    use super::*;
    use crate::config::{Scheme, Server, Upstream};

    const TARGET: &str = "10.9.0.2:80";

    fn decide(failure: ConnectFailure, took: Duration, facts: &Facts) -> (Cause, Certainty) {
        let address: SocketAddr = TARGET.parse().unwrap();
        let server = Server { scheme: Scheme::Http, address: ServerAddress::Ip(address) };
        let upstream = Rc::new(Upstream::new("shop", vec![server]));
        let mut attempt = Attempt::new(upstream, 0, Instant::now());
        attempt.address = Some(address);
        attempt.tried.push(Tried { address, failure: failure.clone(), took });
        let decided = classify(&failure, &attempt, facts);
        if facts.queue.is_none() && !facts.neighbor_silent {
            assert_eq!(of_address(&attempt.tried[0], &attempt), decided.0.code());
        }
        decided
    }

    fn io(errno: i32, icmp: Option<Icmp>) -> ConnectFailure {
        ConnectFailure::Io { error: io::Error::from_raw_os_error(errno), icmp }
    }

    fn icmp(kind: u8, code: u8, offender: &str) -> Option<Icmp> {
        let offender = Some(offender.parse().unwrap());
        let own = offender == Some([10, 9, 0, 1].into());
        Some(Icmp { version: IcmpVersion::V4, kind, code, offender, own })
    }

    /// The row of a case as its name and its reason.
    fn named(cause: &Cause) -> (&'static str, String) {
        let rows = cause.evidence();
        let reason = rows.into_iter().find(|(key, _)| *key == "reason");
        (cause.code().name(), reason.map(|(_, value)| value).unwrap_or_default())
    }

    #[test]
    fn errno_message_sender_and_time_make_the_cause() {
        const LONG: Duration = Duration::from_secs(3);
        let at_once = Duration::ZERO;
        let (router, target, own) = ("10.9.0.254", "10.9.0.2", "10.9.0.1");
        for (errno, icmp, took, code, reason) in [
            (111, None, at_once, "connection_refused", ""),
            (111, icmp(3, 3, target), at_once, "tcp_rejected_by_firewall", ""),
            (113, icmp(3, 13, router), at_once, "tcp_rejected_by_firewall", ""),
            (101, icmp(3, 9, router), at_once, "tcp_rejected_by_firewall", ""),
            (113, icmp(3, 10, own), at_once, "tcp_rejected_by_firewall", ""),
            (113, icmp(3, 1, target), at_once, "tcp_rejected_by_firewall", ""),
            (113, icmp(3, 1, router), at_once, "host_unreachable", "router_reported"),
            (113, icmp(3, 1, own), LONG, "host_unreachable", "neighbor_unreachable"),
            (113, icmp(11, 0, router), at_once, "host_unreachable", "ttl_exceeded"),
            (112, icmp(3, 7, router), at_once, "host_unreachable", "router_reported"),
            (113, None, at_once, "host_unreachable", "route_unreachable"),
            (113, None, LONG, "host_unreachable", "unknown"),
            (101, None, at_once, "network_unreachable", "no_route"),
            (101, icmp(3, 0, router), at_once, "network_unreachable", "router_reported"),
            (100, None, at_once, "network_unreachable", "interface_down"),
            (110, None, LONG, "connect_timeout", "silence"),
            (13, None, at_once, "connect_forbidden_locally", ""),
            (1, None, at_once, "connect_forbidden_locally", ""),
            (22, None, at_once, "connect_failed", "blackhole_route"),
            (92, icmp(3, 2, target), at_once, "connect_failed", "protocol_unreachable"),
            (97, None, at_once, "connect_failed", "address_family_unsupported"),
            (95, None, at_once, "connect_failed", "unknown"),
            (99, None, at_once, "local_ports_exhausted", ""),
            (24, None, at_once, "local_fd_exhausted", ""),
            (105, None, at_once, "local_out_of_memory", ""),
        ] {
            let (cause, certainty) = decide(io(errno, icmp), took, &Facts::default());
            assert_eq!(named(&cause), (code, reason.to_owned()), "{errno} {icmp:?}");
            assert_eq!(certainty, Certain, "{errno} {icmp:?}");
        }
    }

    #[test]
    fn a_refusal_tells_who_listens_by_the_other_family() {
        let listens = "[::1]:80".parse().unwrap();
        let facts = Facts { other_family: Some(listens), ..Facts::default() };
        let (cause, certainty) = decide(io(111, None), Duration::ZERO, &facts);
        let rows = cause.evidence();
        assert!(rows.contains(&("other_family", "listening at [::1]:80".to_owned())), "{rows:?}");
        assert_eq!(certainty, Certain);
        // A firewall's refusal is none of the port's.
        let (cause, _) = decide(io(111, icmp(3, 3, "10.9.0.2")), Duration::ZERO, &facts);
        assert_eq!(cause.code(), Code::TcpRejectedByFirewall);
    }

    #[test]
    fn silence_says_whether_the_port_takes_connections_by_now() {
        for port in [Port::Accepts, Port::Refused, Port::Unreachable, Port::Silent] {
            let facts = Facts { port: Some(port), ..Facts::default() };
            let told: &str = port.into();
            let row = ("port_accepts", told.to_owned());
            let (cause, sure) = decide(ConnectFailure::TimedOut, Duration::from_secs(3), &facts);
            assert!(cause.evidence().contains(&row), "{cause:?}");
            // It is timing alone.
            assert_eq!(sure, Likely);
            let (refused, _) = decide(io(111, None), Duration::ZERO, &facts);
            assert!(!refused.evidence().contains(&row), "{refused:?}");
        }
    }

    #[test]
    fn silence_is_explained_by_what_was_found_on_this_host() {
        let waited = Duration::from_secs(3);
        let queue = |pending| Some(Queue { pending, backlog: 2 });
        for (facts, code, reason, certainty) in [
            (Facts::default(), "connect_timeout", "silence", Likely),
            (
                Facts { queue: queue(3), ..Facts::default() },
                "connect_timeout",
                "accept_queue_full",
                Certain,
            ),
            (Facts { queue: queue(1), ..Facts::default() }, "connect_timeout", "silence", Likely),
            (
                Facts { neighbor_silent: true, ..Facts::default() },
                "host_unreachable",
                "neighbor_unreachable",
                Likely,
            ),
        ] {
            let (cause, sure) = decide(ConnectFailure::TimedOut, waited, &facts);
            assert_eq!((named(&cause), sure), ((code, reason.to_owned()), certainty), "{facts:?}");
        }
    }
}
