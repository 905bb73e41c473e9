//! The way that the kernel would take to an address, and which neighbours of this host leave the
//! question for their hardware address unanswered: by rtnetlink(7), for both families.
//!
//! The kernel gives up on a neighbour after three seconds and says so by an errno; a shorter
//! time-out of ours ends the connect before, and this is how its reason is still seen.

use std::io;
use std::net::{IpAddr, SocketAddr};

use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;

use crate::diagnose::around::{Need, Route, RouteKind, Seen};

use super::netlink::{self, Answers};

/// 2 MiB of neighbours: some ten thousand.
const NEIGHBORS_DATAGRAMS_MAX: usize = 64;

/// What the kernel answers where a route forbids, drops or declares unreachable, or is not there
/// (net/ipv4/fib_semantics.c, `fib_props`).
const EACCES: i32 = 13;
const EINVAL: i32 = 22;
const ENETUNREACH: i32 = 101;
const EHOSTUNREACH: i32 = 113;
/// A sandbox allows no such socket.
const EPERM: i32 = 1;
const EAFNOSUPPORT: i32 = 97;

/// The way to an address.
pub fn route(address: SocketAddr) -> Seen<Route> {
    let ip = address.ip().to_canonical();
    let mut question = RouteMessage::default();
    question.header.address_family = family(ip);
    question.header.destination_prefix_length = if ip.is_ipv4() { 32 } else { 128 };
    question.attributes.push(RouteAttribute::Destination(ip.into()));
    if let SocketAddr::V6(address) = address
        && address.scope_id() != 0
    {
        question.attributes.push(RouteAttribute::Oif(address.scope_id()));
    }
    let mut found = None;
    let asked =
        netlink::ask(NETLINK_ROUTE, RouteNetlinkMessage::GetRoute(question), Answers::One, |row| {
            if let RouteNetlinkMessage::NewRoute(row) = row {
                found = Some(row);
            }
        });
    match (asked, found) {
        (Ok(()), Some(row)) => read(&row, interface),
        (Ok(()), None) => Seen::Late,
        (Err(error), _) => refused(&error),
    }
}

/// `interface` gives the name of one and whether it is sound.
fn read(row: &RouteMessage, interface: impl Fn(u32) -> Option<(String, bool)>) -> Seen<Route> {
    let kind = match row.header.kind {
        RouteType::Local | RouteType::Broadcast | RouteType::Anycast => RouteKind::Local,
        RouteType::BlackHole => return Seen::Found(Route::to_nowhere(RouteKind::Blackhole)),
        RouteType::Prohibit => return Seen::Found(Route::to_nowhere(RouteKind::Prohibit)),
        RouteType::Unreachable => return Seen::Found(Route::to_nowhere(RouteKind::Unreachable)),
        _ => RouteKind::Away,
    };
    let mut route = Route { kind, is_up: true, ..Route::to_nowhere(kind) };
    for attribute in &row.attributes {
        match attribute {
            RouteAttribute::Gateway(address) => route.gateway = ip(address),
            RouteAttribute::PrefSource(address) => route.source = ip(address),
            RouteAttribute::Oif(index) => {
                // One that cannot be asked about is taken to be sound.
                if let Some((name, is_up)) = interface(*index) {
                    route.interface = name;
                    route.is_up = is_up;
                }
            }
            _ => {}
        }
    }
    Seen::Found(route)
}

fn refused(error: &io::Error) -> Seen<Route> {
    match error.raw_os_error() {
        Some(ENETUNREACH) => Seen::Nothing,
        Some(EHOSTUNREACH) => Seen::Found(Route::to_nowhere(RouteKind::Unreachable)),
        Some(EACCES) => Seen::Found(Route::to_nowhere(RouteKind::Prohibit)),
        Some(EINVAL) => Seen::Found(Route::to_nowhere(RouteKind::Blackhole)),
        Some(EPERM | EAFNOSUPPORT) => Seen::Denied(Need::Netlink),
        _ => Seen::Late,
    }
}

/// The name of an interface, and whether it is up and has a carrier.
fn interface(index: u32) -> Option<(String, bool)> {
    let mut question = LinkMessage::default();
    question.header.index = index;
    let mut found = None;
    let question = RouteNetlinkMessage::GetLink(question);
    netlink::ask(NETLINK_ROUTE, question, Answers::One, |row| {
        let RouteNetlinkMessage::NewLink(row) = row else { return };
        found = link(&row);
    })
    .ok()?;
    found
}

fn link(row: &LinkMessage) -> Option<(String, bool)> {
    let name = row.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.clone()),
        _ => None,
    });
    let up = LinkFlags::Up | LinkFlags::LowerUp;
    name.map(|name| (name, row.header.flags.contains(up)))
}

/// Whether somebody has asked for this neighbour and nobody answered.
pub fn neighbor_is_silent(address: SocketAddr) -> bool {
    is_silent(address.ip().to_canonical())
}

pub(super) fn is_silent(ip: IpAddr) -> bool {
    let mut question = NeighbourMessage::default();
    question.header.family = family(ip);
    let mut silent = false;
    let asked = netlink::ask(
        NETLINK_ROUTE,
        RouteNetlinkMessage::GetNeighbour(question),
        Answers::Dump { datagrams_max: NEIGHBORS_DATAGRAMS_MAX },
        |row| {
            let RouteNetlinkMessage::NewNeighbour(row) = row else { return };
            let unanswered = [NeighbourState::Incomplete, NeighbourState::Failed];
            silent |= unanswered.contains(&row.header.state) && is_about(&row, ip);
        },
    );
    asked.is_ok() && silent
}

fn is_about(row: &NeighbourMessage, ip: IpAddr) -> bool {
    row.attributes.iter().any(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(of)) => IpAddr::from(*of) == ip,
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(of)) => IpAddr::from(*of) == ip,
        _ => false,
    })
}

fn family(ip: IpAddr) -> AddressFamily {
    if ip.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(ip) => Some((*ip).into()),
        RouteAddress::Inet6(ip) => Some((*ip).into()),
        _ => None,
    }
}

/// How many rows one datagram holds: the parser and the reading of its attributes alone, for their
/// fuzzing.
#[cfg(any(fuzzing, test))]
pub fn route_rows(datagram: &[u8]) -> usize {
    let mut count = 0;
    let _ = netlink::read(datagram, &mut |message| {
        count += 1;
        match message {
            RouteNetlinkMessage::NewRoute(row) => drop(read(&row, |_| None)),
            RouteNetlinkMessage::NewLink(row) => drop(link(&row)),
            RouteNetlinkMessage::NewNeighbour(row) => {
                let _ = is_about(&row, IpAddr::from([127, 0, 0, 1]));
            }
            _ => {}
        }
    });
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_this_host_is_loopback() {
        for address in ["127.0.0.1:80", "127.0.0.7:80", "[::1]:80", "[::ffff:127.0.0.1]:80"] {
            let Seen::Found(found) = route(address.parse().unwrap()) else {
                panic!("{address}: no route");
            };
            assert_eq!((found.kind, &*found.interface), (RouteKind::Local, "lo"), "{address}");
            assert!(found.is_up && found.gateway.is_none(), "{address}: {found:?}");
            assert!(!neighbor_is_silent(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn what_the_kernel_says_in_place_of_a_route_is_told_apart() {
        let nowhere = |kind| Seen::Found(Route::to_nowhere(kind));
        for (errno, expected) in [
            (101, Seen::Nothing),
            (113, nowhere(RouteKind::Unreachable)),
            (13, nowhere(RouteKind::Prohibit)),
            (22, nowhere(RouteKind::Blackhole)),
            (97, Seen::Denied(Need::Netlink)),
            (1, Seen::Denied(Need::Netlink)),
            (11, Seen::Late),
        ] {
            assert_eq!(refused(&io::Error::from_raw_os_error(errno)), expected, "{errno}");
        }
    }
}
