//! Who listens where the server is looked for, and where instead: by sock_diag(7), which needs no
//! privilege.

use std::path::PathBuf;

use crate::diagnose::around::{Piece, Sockets, kin_listeners, kin_sockets};

use super::look::Question;
use super::queue;

/// The lane of the look.
pub fn lane(question: &Question) -> Piece {
    let server = question.server();
    let (paths, listeners) = (queue::unix_listeners(), queue::tcp_listeners());
    let mut near_paths: Vec<PathBuf> = kin_sockets(server, &paths);
    // A path is a name in its program's file tree, which may be another than ours.
    near_paths.retain(|path| path.exists());
    let mut sockets = Sockets {
        near_paths,
        near: kin_listeners(server, &listeners),
        queue: queue::accept_queue(&server.address, question.address),
        ..Sockets::default()
    };
    sockets.leave_out(|found| question.is_taken(found));
    Piece::Sockets(sockets)
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
