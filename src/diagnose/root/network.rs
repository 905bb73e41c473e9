//! Names, the way to the server, and its certificate's dates. Pure.

use crate::diagnose::around::{Ping, RouteKind, Seen};
use crate::diagnose::cause::{Cause, Code};
use crate::diagnose::dns;
use crate::diagnose::facts::Port;
use crate::diagnose::faults::CertFault;
use crate::diagnose::report::Certainty::{Certain, Likely, Possible};
use crate::diagnose::unreached::{IcmpSender, UnreachableReason};

use super::scene::{AWAY, Scene};
use super::{Root, Row, row};

const NO_NAME: &[Code] = &[Code::DnsNxdomain, Code::DnsNoRecords];
const REJECTED: &[Code] = &[Code::TcpRejectedByFirewall];
const FORBIDDEN: &[Code] = &[Code::ConnectForbiddenLocally];
const TIMEOUT: &[Code] = &[Code::ConnectTimeout];
const UNREACHED: &[Code] = &[Code::HostUnreachable];
const EXPIRED: &[Code] = &[Code::TlsCertExpired];
/// What an address that is another's shows: nobody there, somebody else, or a name that is not his.
const ELSEWHERE: &[Code] = &[
    Code::ConnectionRefused,
    Code::ConnectTimeout,
    Code::HostUnreachable,
    Code::NetworkUnreachable,
    Code::TcpRejectedByFirewall,
    Code::TlsCertWrongHost,
    Code::TlsCertSelfSigned,
    Code::PeerIsOtherProtocol,
    Code::TlsPeerSpeaksPlaintext,
];
const NAME: &[&str] =
    &["name", "alias_of", "authority", "addresses_now", "addresses_before", "last_connected"];
const WAY: &[&str] = &[
    "address",
    "reason",
    "errno",
    "icmp",
    "icmp_sender",
    "icmp_from",
    "waited",
    "port_accepts",
    "port_now",
    "route",
    "ping",
    "neighbor_silent",
    "host_answers_at",
    "listener",
];

/// The kernel, a device on the way or a name server says so.
pub const DECISIVE: &[Row] = &[
    row(Root::DnsRecordWrong, &[ELSEWHERE], |scene| scene.site.moved, Likely, NAME),
    row(
        Root::DnsDangling,
        &[NO_NAME],
        |scene| has_alias(scene) || scene.site.named.is_some_and(|named| named.before.is_some()),
        Certain,
        NAME,
    ),
    row(
        Root::LinkDown,
        &[AWAY],
        |scene| {
            let route = scene.around.network.route.found();
            route.is_some_and(|route| !route.interface.is_empty() && !route.is_up)
                || unreachable(scene) == Some(UnreachableReason::InterfaceDown)
        },
        Certain,
        WAY,
    ),
    row(
        Root::FirewallLocal,
        &[REJECTED],
        |scene| scene.icmp_sender() == Some(IcmpSender::ThisHost),
        Certain,
        WAY,
    ),
    // EPERM: netfilter, or a filter of the unit's control group.
    row(
        Root::FirewallLocal,
        &[FORBIDDEN],
        |scene| matches!(scene.cause, Cause::ConnectForbiddenLocally { errno: 1, .. }),
        Certain,
        WAY,
    ),
    // EACCES: SELinux, AppArmor (security_socket_connect in the kernel), or else a route.
    row(
        Root::ForbiddenByPolicy,
        &[FORBIDDEN],
        |scene| {
            let route = scene.around.network.route.found();
            matches!(scene.cause, Cause::ConnectForbiddenLocally { errno: 13, .. })
                && route.is_none_or(|route| route.kind != RouteKind::Prohibit)
        },
        Likely,
        WAY,
    ),
    row(
        Root::FirewallRemote,
        &[REJECTED],
        |scene| {
            let sender = scene.icmp_sender();
            matches!(sender, Some(IcmpSender::Target | IcmpSender::Device)) && !scene.is_own()
        },
        Certain,
        WAY,
    ),
    row(
        Root::HostDown,
        &[UNREACHED],
        |scene| unreachable(scene) == Some(UnreachableReason::NeighborUnreachable),
        Certain,
        WAY,
    ),
    // It was renewed here, by the same clock, and the server has not loaded it.
    row(
        Root::CertificateRenewalMissed,
        &[EXPIRED],
        |scene| {
            let file = scene.around.network.certificate.found();
            is_expired(scene) && file.is_some_and(|file| file.is_valid)
        },
        Certain,
        &["not_after", "clock", "certificate_file", "names"],
    ),
    row(
        Root::CertificateRenewalMissed,
        &[EXPIRED],
        |scene| is_expired(scene) && scene.around.host.synchronized == Seen::Found(true),
        Certain,
        &["not_after", "clock", "clock_synchronized", "names"],
    ),
    row(
        Root::CertificateRenewalMissed,
        &[EXPIRED],
        |scene| is_expired(scene) && scene.around.host.synchronized != Seen::Found(false),
        Likely,
        &["not_after", "clock", "names"],
    ),
    row(
        Root::CertificateRenewalMissed,
        &[EXPIRED],
        is_expired,
        Possible,
        &["not_after", "clock", "clock_synchronized", "names"],
    ),
];

/// Nothing comes back: who is silent?
pub const SILENT: &[Row] = &[
    row(
        Root::HostDown,
        &[TIMEOUT],
        |scene| {
            let silent = scene.around.network.neighbor_silent;
            silent.is_some() && silent.map(|ip| ip.to_canonical()) == scene.ip()
        },
        Certain,
        WAY,
    ),
    // Somebody listens here and his queue has room; and no packet comes there, nor back.
    row(
        Root::FirewallLocal,
        &[TIMEOUT],
        |scene| {
            let is_seen = scene.around.sockets.queue.is_some();
            scene.is_own() && is_seen && !scene.has_waiting() && is_silent(scene)
        },
        Certain,
        WAY,
    ),
    // Nobody listens, and yet the kernel does not refuse: a rule, or the address leads elsewhere.
    row(
        Root::FirewallLocal,
        &[TIMEOUT],
        |scene| {
            let sockets = &scene.around.sockets;
            let is_seen = sockets.listener == Seen::Nothing;
            scene.is_own() && is_seen && !scene.has_waiting() && is_silent(scene)
        },
        Likely,
        WAY,
    ),
    // The kernel drops what comes to a full queue (tcp_conn_request), and nobody saw the queue.
    row(
        Root::FirewallLocal,
        &[TIMEOUT],
        |scene| scene.is_own() && !scene.has_waiting() && is_silent(scene),
        Possible,
        WAY,
    ),
    // A rule for this port, or a program there whose queue is full: both are silent.
    row(
        Root::FirewallRemote,
        &[TIMEOUT],
        |scene| !scene.is_own() && is_silent(scene) && host_answers(scene),
        Possible,
        WAY,
    ),
    row(
        Root::HostDown,
        &[TIMEOUT],
        |scene| {
            let ping = scene.around.network.ping.found();
            let silent = ping.is_some_and(|ping| matches!(ping, Ping::Silent | Ping::Unreachable));
            !scene.is_own() && is_silent(scene) && silent && !host_answers(scene)
        },
        Likely,
        WAY,
    ),
];

impl Scene<'_> {
    /// The address is one of this host's.
    fn is_own(&self) -> bool {
        self.site.is_here || self.ip().is_some_and(|ip| ip.is_loopback())
    }
}

/// The port has not been heard of since.
fn is_silent(scene: &Scene<'_>) -> bool {
    let heard = scene.around.network.port.found().is_some_and(|port| *port != Port::Silent);
    !heard
        && matches!(
            scene.cause,
            Cause::ConnectTimeout { queue: None, port: None | Some(Port::Silent), .. }
        )
}

fn host_answers(scene: &Scene<'_>) -> bool {
    scene.around.network.host_answers()
}

fn has_alias(scene: &Scene<'_>) -> bool {
    dns::lookup(scene.cause).is_some_and(|lookup| lookup.alias.is_some())
}

fn unreachable(scene: &Scene<'_>) -> Option<UnreachableReason> {
    if let Cause::HostUnreachable { reason, .. } | Cause::NetworkUnreachable { reason, .. } =
        scene.cause
    {
        return Some(*reason);
    }
    None
}

fn is_expired(scene: &Scene<'_>) -> bool {
    let Cause::TlsCertExpired { also, .. } = scene.cause else { return false };
    // One for another name is not the one that was meant.
    !also.contains(&CertFault::ClockWrong) && !also.contains(&CertFault::WrongHost)
}
