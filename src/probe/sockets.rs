//! Who listens where the server is looked for, and where instead: by one dump each of TCP's and of
//! Unix sockets. What an address leads to is `queue`'s to say, who it is `owner`'s, the way to a
//! Unix socket `way`'s.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use rustix::io::Errno;

use crate::config::ServerAddress;
use crate::diagnose::Code;
use crate::diagnose::around::{
    Need, Piece, Seen, SocketPath, Sockets, Stop, kin_listeners, kin_sockets,
};

use super::diag::{self, Tcp};
use super::look::Question;
use super::owner::{self, Names, Sought};
use super::{queue, way};

/// The lane of the look.
pub fn lane(question: &Question) -> Piece {
    let server = question.server();
    let users = Names::users();
    let (tcp, unix) = (diag::tcp_listeners(None), diag::unix_listeners());
    let mut sockets = Sockets::default();
    let own = match (&server.address, question.address) {
        (ServerAddress::Unix(path), _) => {
            let way = way::way(path, is_denied(question.code), &users);
            let is_closed = way.as_ref().is_some_and(|way| way.stop == Some(Stop::DirectoryMode));
            sockets.path = to_seen(way);
            let own = told(&unix, |unix| {
                let found = queue::of_path(path, unix)?;
                sockets.queue = found.queue;
                Some(found.sought())
            });
            // Behind a closed folder the path may be a link to somebody.
            if is_closed && own == Seen::Nothing { Seen::Unlooked } else { own }
        }
        // Nothing is said of the address of another host.
        (ServerAddress::Ip(_) | ServerAddress::Name { .. }, _) if !question.is_here => {
            Seen::Unlooked
        }
        (ServerAddress::Ip(address), _) => at_address(&mut sockets, *address, &tcp),
        (ServerAddress::Name { .. }, Some(address)) => at_address(&mut sockets, address, &tcp),
        (ServerAddress::Name { .. }, None) => Seen::Unlooked,
    };
    let (tcp, unix) = (tcp.unwrap_or_default(), unix.unwrap_or_default());
    let bound: Vec<SocketAddr> = tcp.iter().map(|tcp| tcp.address).collect();
    let paths: Vec<PathBuf> = unix.into_iter().map(|unix| unix.path).collect();
    sockets.near = kin_listeners(server, &bound);
    sockets.near_paths = kin_sockets(server, &paths);
    // A path is a name in its program's file tree, which may be another than ours.
    sockets.near_paths.retain(|path| path.exists());
    sockets.leave_out(|found| question.is_taken(found));
    name_owners(&mut sockets, own, &tcp, &users);
    Piece::Sockets(sockets)
}

/// Who listens at the server's address, and who at its port so that it is not reached.
fn at_address(
    sockets: &mut Sockets,
    address: SocketAddr,
    tcp: &io::Result<Vec<Tcp>>,
) -> Seen<Sought> {
    sockets.address = Some(address);
    told(tcp, |tcp| {
        let found = queue::reached(address, tcp);
        sockets.queue = queue::queue(&found);
        if found.is_empty() {
            let at_port = tcp.iter().map(|tcp| tcp.address);
            let at_port = at_port.filter(|bound| bound.port() == address.port());
            sockets.same_port = at_port.collect();
            sockets.same_port.sort_unstable_by_key(|bound| (bound.is_ipv6(), bound.ip()));
            sockets.same_port.dedup();
        }
        found.first().map(|tcp| tcp.sought())
    })
}

/// What a dump tells, or what would have to be allowed for there to be one.
fn told<T>(dumped: &io::Result<Vec<T>>, look: impl FnOnce(&[T]) -> Option<Sought>) -> Seen<Sought> {
    match dumped {
        Ok(listeners) => look(listeners).map_or(Seen::Nothing, Seen::Found),
        Err(error) => match error.raw_os_error().map(Errno::from_raw_os_error) {
            // What a unit's RestrictAddressFamilies= and SystemCallFilter= answer.
            Some(Errno::AFNOSUPPORT | Errno::PERM | Errno::ACCESS) => Seen::Denied(Need::Netlink),
            Some(_) | None => Seen::Unlooked,
        },
    }
}

/// Names those that listen at the server's address and where it may be instead, all at once.
fn name_owners(sockets: &mut Sockets, own: Seen<Sought>, tcp: &[Tcp], users: &Names) {
    let elsewhere = sockets.same_port.iter().chain(&sockets.near);
    let found = elsewhere.filter_map(|address| {
        let exact = tcp.iter().find(|tcp| tcp.address == *address);
        let found = exact.or_else(|| queue::reached(*address, tcp).first().copied())?;
        Some((*address, found.sought()))
    });
    let (addresses, mut sought): (Vec<SocketAddr>, Vec<Sought>) = found.unzip();
    sought.extend(own.found());
    let mut listeners = owner::listeners(users, &sought);
    sockets.listener = match own {
        Seen::Found(_) => listeners.pop().map_or(Seen::Unlooked, Seen::Found),
        Seen::Nothing => Seen::Nothing,
        Seen::Denied(need) => Seen::Denied(need),
        Seen::Unlooked => Seen::Unlooked,
        Seen::Late => Seen::Late,
    };
    sockets.owners = addresses.into_iter().zip(listeners).collect();
}

fn to_seen(way: Option<SocketPath>) -> Seen<SocketPath> {
    way.map_or(Seen::Unlooked, Seen::Found)
}

fn is_denied(code: Code) -> bool {
    code == Code::UnixSocketPermissionDenied
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;

    use crate::config::{Scheme, Server, ServerAddress};

    use super::*;

    fn sockets(server: Server) -> Sockets {
        match lane(&Question::about(server)) {
            Piece::Sockets(sockets) => sockets,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_listener_at_another_port_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut wanted = address;
        wanted.set_port(if address.port() == u16::MAX {
            address.port() - 1
        } else {
            address.port() + 1
        });
        let server = Server { scheme: Scheme::Http, address: ServerAddress::Ip(wanted) };
        assert!(sockets(server.clone()).near.contains(&address));
        drop(listener);
        assert!(!sockets(server).near.contains(&address));
    }

    #[test]
    fn a_socket_beside_the_missing_one_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let sibling = dir.path().join("php8.2-fpm.sock");
        let address = ServerAddress::Unix(dir.path().join("php8.1-fpm.sock"));
        let server = Server { scheme: Scheme::FastCgi, address };
        assert!(!sockets(server.clone()).near_paths.contains(&sibling));
        let listener = UnixListener::bind(&sibling).unwrap();
        let found = sockets(server.clone());
        assert_eq!(found.near_paths.first(), Some(&sibling));
        // A file that nobody listens on is no help.
        drop(listener);
        assert!(!sockets(server).near_paths.contains(&sibling));
    }

    #[test]
    fn the_queue_of_the_server_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("app.sock");
        let _listener = UnixListener::bind(&path).unwrap();
        let address = ServerAddress::Unix(path);
        let found = sockets(Server { scheme: Scheme::Http, address });
        assert_eq!(found.queue.map(|queue| queue.pending), Some(0));
    }
}
