//! Where the server is, and where it is looked for. Pure.

use std::net::{IpAddr, SocketAddr};

use crate::diagnose::around::{State, Stop};
use crate::diagnose::cause::{Cause, Code};
use crate::diagnose::report::Certainty::{Certain, Likely};

use super::scene::{DOWN, Scene};
use super::{Root, Row, row};

const REFUSED: &[Code] = &[Code::ConnectionRefused];
const DENIED: &[Code] = &[Code::UnixSocketPermissionDenied];
const UNIX: &[Code] = &[Code::UnixSocketMissing, Code::UnixSocketRefused];
const AT_PORT: &[&str] = &["address", "other_family", "same_port", "listening_as"];
const ON_PATH: &[&str] = &["path", "errno", "socket_path", "socket_way", "sockets", "listening"];

/// The kernel's own word on the address that is asked.
pub const DECISIVE: &[Row] = &[
    row(Root::BoundToLoopback, &[REFUSED], is_bound_to_loopback, Certain, AT_PORT),
    row(
        Root::WrongAddressFamily,
        &[REFUSED],
        |scene| {
            matches!(scene.cause, Cause::ConnectionRefused { other_family: Some(_), .. })
                || bound(scene).any(|(wanted, bound)| wanted.is_ipv4() != bound.is_ipv4())
        },
        Certain,
        AT_PORT,
    ),
    // Bound to another address of this host.
    row(Root::WrongAddress, &[REFUSED], |scene| bound(scene).next().is_some(), Certain, AT_PORT),
    row(Root::DirectoryMode, &[DENIED], |scene| stops(scene, DIRECTORY), Certain, ON_PATH),
    row(Root::SocketMode, &[DENIED], |scene| stops(scene, SOCKET), Certain, ON_PATH),
    // Every mode lets us in a moment later, and the kernel did not.
    row(Root::ForbiddenByPolicy, &[DENIED], |scene| stops(scene, POLICY), Likely, ON_PATH),
    // What the path leads to can be no socket, whoever runs.
    row(Root::WrongSocketPath, &[UNIX], |scene| stops(scene, NO_SOCKET), Certain, ON_PATH),
];

/// Somebody is near who may be the server.
pub const NEAR: &[Row] = &[
    // It is the server's own unit that listens there.
    row(
        Root::WrongPort,
        &[DOWN],
        |scene| {
            let near = &scene.around.sockets.near;
            let unit = scene.unit().map(|unit| unit.name.as_str());
            scene.around.sockets.owners.iter().any(|(at, owner)| {
                near.contains(at) && unit.is_some() && owner.unit.as_deref() == unit
            })
        },
        Certain,
        &["address", "path", "listening", "listening_as", "unit", "unit_state"],
    ),
    row(
        Root::WrongPort,
        &[REFUSED],
        |scene| !scene.around.sockets.near.is_empty(),
        Likely,
        &["address", "listening", "listening_as", "unit", "unit_state"],
    ),
    row(
        Root::WrongSocketPath,
        &[DOWN],
        |scene| !scene.around.sockets.near_paths.is_empty(),
        Likely,
        &["address", "path", "socket_path", "sockets", "other_pool", "unit", "unit_state"],
    ),
    row(
        Root::WrongPort,
        &[UNIX],
        |scene| !scene.around.sockets.near.is_empty(),
        Likely,
        &["path", "listening", "listening_as", "other_pool", "unit", "unit_state"],
    ),
    // The service runs, and has not opened what is asked.
    row(
        Root::WrongSocketPath,
        &[UNIX],
        |scene| stops(scene, MISSING) && scene.unit_is(&[State::Active]),
        Likely,
        &["path", "socket_path", "socket_way", "unit", "unit_state"],
    ),
];

const DIRECTORY: &[Stop] = &[Stop::DirectoryMode];
const SOCKET: &[Stop] = &[Stop::SocketMode];
const MISSING: &[Stop] = &[Stop::Missing, Stop::DanglingLink];
const POLICY: &[Stop] = &[Stop::Policy];
const NO_SOCKET: &[Stop] = &[Stop::NotADirectory, Stop::NotASocket, Stop::LinkLoop];

/// Whether the way to the socket ends so.
fn stops(scene: &Scene<'_>, at: &[Stop]) -> bool {
    let way = scene.around.sockets.path.found();
    way.and_then(|way| way.stop).is_some_and(|stop| at.contains(&stop))
}

/// The addresses of those who listen at the server's port and are not reached, each beside the one
/// that is asked.
fn bound<'s>(scene: &'s Scene<'_>) -> impl Iterator<Item = (IpAddr, IpAddr)> + 's {
    let wanted = scene.ip();
    let canonical = |bound: &SocketAddr| bound.ip().to_canonical();
    let all = scene.around.sockets.same_port.iter().map(canonical);
    all.filter_map(move |bound| Some((wanted?, bound)))
}

fn is_bound_to_loopback(scene: &Scene<'_>) -> bool {
    bound(scene).any(|(wanted, bound)| bound.is_loopback() && !wanted.is_loopback())
}
