//! The way to the server's host, and whether that is there: the route, one echo, and a connect to
//! what listens on nearly every host.
//!
//! Looks only after failures of reaching it. The kernel is asked in any case; the host only where
//! `allowed` says so, by three packets at most.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::diagnose::around::{Network, Piece, Seen};
use crate::diagnose::{Code, Port};

use super::allowed::may_be_asked;
use super::certificates;
use super::look::Question;
use super::ping::ping;
use super::routes;

/// What one connect may take: this host and its neighbours answer within a millisecond.
const CONNECT: Duration = Duration::from_millis(60);
/// Nearly every host listens at one of them or refuses it.
const USUAL: [u16; 3] = [22, 443, 80];
/// How many of them are tried.
const TRIED_MAX: usize = 2;

/// The lane of the look.
pub fn lane(question: &Question) -> Piece {
    if question.code == Code::TlsCertExpired {
        let certificate = certificates::file(question);
        return Piece::Network(Network { certificate, ..Network::default() });
    }
    let address = question.address.filter(|_| concerns(question.code));
    Piece::Network(address.map(|address| network(question, address)).unwrap_or_default())
}

/// Whether a failure may lie in the network.
fn concerns(code: Code) -> bool {
    matches!(
        code,
        Code::ConnectionRefused
            | Code::TcpRejectedByFirewall
            | Code::ConnectTimeout
            | Code::HostUnreachable
            | Code::NetworkUnreachable
            | Code::ConnectForbiddenLocally
            | Code::ConnectFailed
            | Code::TlsHandshakeTimeout
            | Code::FirstByteTimeout
    )
}

fn network(question: &Question, address: SocketAddr) -> Network {
    let route = routes::route(address);
    let next = route.found().and_then(|route| route.gateway).unwrap_or(address.ip());
    let neighbor_silent = Some(next.to_canonical()).filter(|ip| routes::is_silent(*ip));
    let known = Network { route, neighbor_silent, ..Network::default() };
    // A refusal comes from the host itself: it is there.
    let answered = question.code == Code::ConnectionRefused;
    if answered
        || !may_be_asked(question.upstream.probe, &question.server().address, question.address)
    {
        return known;
    }
    if question.is_here {
        return Network { port: port(address), ..known };
    }
    thread::scope(|scope| {
        let others = USUAL.into_iter().filter(|port| *port != address.port()).take(TRIED_MAX);
        let trying: Vec<_> = others
            .map(|port| {
                let other = SocketAddr::new(address.ip(), port);
                // A thread that cannot be had has found nothing.
                let thread = thread::Builder::new().name("look-port".to_owned());
                (port, thread.spawn_scoped(scope, move || answers(other)).ok())
            })
            .collect();
        let ping = ping(address);
        let answered = |thread: thread::ScopedJoinHandle<'_, bool>| thread.join().unwrap_or(false);
        let heard = |(port, thread): (u16, Option<_>)| thread.is_some_and(answered).then_some(port);
        Network { ping, answers_at: trying.into_iter().filter_map(heard).collect(), ..known }
    })
}

/// Whether a port takes a connect or refuses it, so that somebody is there.
fn answers(address: SocketAddr) -> bool {
    match connect(address) {
        Ok(()) => true,
        Err(error) => error.kind() == io::ErrorKind::ConnectionRefused,
    }
}

/// How the server's own port on this host takes a connect now.
fn port(address: SocketAddr) -> Seen<Port> {
    match connect(address).map_err(|error| error.kind()) {
        Ok(()) => Seen::Found(Port::Accepts),
        Err(io::ErrorKind::ConnectionRefused) => Seen::Found(Port::Refused),
        Err(io::ErrorKind::TimedOut) => Seen::Found(Port::Silent),
        Err(io::ErrorKind::HostUnreachable) => Seen::Found(Port::Unreachable),
        // What is not its own fault says nothing of it.
        Err(_) => Seen::Late,
    }
}

fn connect(address: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.connect_timeout(&address.into(), CONNECT)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use crate::config::{Probe, Scheme, Server, ServerAddress, Upstream};
    use crate::diagnose::around::RouteKind;

    use super::*;

    fn look(address: SocketAddr, code: Code, probe: Probe, is_here: bool) -> Network {
        let server = Server { scheme: Scheme::Http, address: ServerAddress::Ip(address) };
        let upstream = Upstream { probe, ..Upstream::new("test", vec![server.clone()]) };
        let question = Question {
            upstream: std::sync::Arc::new(upstream),
            address: Some(address),
            code,
            is_here,
            ..Question::about(server)
        };
        let Piece::Network(found) = lane(&question) else { panic!("another lane's piece") };
        found
    }

    #[test]
    fn a_port_of_this_host_is_asked_once_more_where_that_is_allowed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let found = look(address, Code::ConnectTimeout, Probe::Private, true);
        assert_eq!(found.port, Seen::Found(Port::Accepts));
        assert_eq!(found.route.found().unwrap().kind, RouteKind::Local);
        let unasked = look(address, Code::ConnectTimeout, Probe::Never, true);
        assert_eq!((unasked.port, unasked.ping), (Seen::Unlooked, Seen::Unlooked));
        assert!(unasked.route.found().is_some(), "the kernel is asked all the same");
        drop(listener);
        let found = look(address, Code::ConnectTimeout, Probe::Private, true);
        assert_eq!(found.port, Seen::Found(Port::Refused));
    }

    #[test]
    fn what_has_nothing_to_do_with_the_network_is_not_looked_for() {
        let address = "127.0.0.1:1".parse().unwrap();
        let found = look(address, Code::InvalidHeader, Probe::Always, true);
        assert_eq!(found, Network::default());
    }

    #[test]
    fn a_host_that_refuses_another_port_is_there() {
        // This host, as if it were another.
        let address = "127.0.0.1:9".parse().unwrap();
        let found = look(address, Code::ConnectTimeout, Probe::Private, false);
        assert!(found.host_answers(), "{found:?}");
        assert_eq!(found.answers_at, [22, 443]);
    }
}
