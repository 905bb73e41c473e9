//! Databases and caches behind the backend: who is set up, who listens, who answers, and who has
//! stopped.
//!
//! Which there are is known from what listens at the usual places, what systemd starts here, and
//! what the site's own settings name, of which no path is opened and no host but this one asked. A
//! database is not connected to by TCP: a handshake that is broken off counts against us there.
//!
//! MySQL and MariaDB take one connection more than `max_connections`, for an administrator, and
//! turn others away from that place only once they have said who they are. Who is to see that they
//! are full without an account holds it for a moment and asks once more.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, SocketId, StateFlags};
use netlink_packet_sock_diag::{
    AF_INET, AF_INET6, IPPROTO_TCP, SockDiagMessage, TCP_ESTABLISHED, TCP_SYN_SENT,
};
use socket2::Socket;
use strum::IntoEnumIterator;

use crate::config::{Probe, ServerAddress};
use crate::diagnose::around::{
    self, Clients, Helper, HelperKind, HelperState, Helpers, Named, Piece, Place, Seen,
};
use crate::diagnose::{Phase, Queue, entry, visible};

use super::connects::connect_now;
use super::look::Question;
use super::processes::{self, Process};
use super::{diag, queue, read};

/// For one helper; Redis and memcached answer within a millisecond.
const ANSWER_LIMIT: Duration = Duration::from_millis(50);
/// For all of them.
const ANSWERS_LIMIT: Duration = Duration::from_millis(90);
/// What of a greeting or an answer is read.
const ANSWER_MAX: usize = 128;
/// wp-config.php has 4 kB, .env seldom more.
const SETTINGS_MAX: u64 = 64 * 1024;
const HELPERS_MAX: usize = 12;
/// There where systemd runs the services (sd_booted(3)).
const SYSTEMD: &str = "/run/systemd/system";
/// Where systemd links what it starts with the host.
const WANTED: &str = "/etc/systemd/system/multi-user.target.wants";
/// ER_CON_COUNT_ERROR: "Too many connections".
const TOO_MANY: [u8; 2] = 1040_u16.to_le_bytes();

/// The lane of the look.
pub fn lane(question: &Question) -> Piece {
    let mut helpers = Helpers::default();
    // Who could not be reached himself waits for nobody.
    let reached = match entry(question.code).phase {
        Phase::Send | Phase::Head | Phase::Body => true,
        Phase::Request | Phase::Route | Phase::Resolve | Phase::Connect | Phase::Tls => false,
    };
    if !reached || !question.is_here {
        return Piece::Helpers(helpers);
    }
    let (named, site) = named_by_the_site(question);
    helpers.site = site;
    let may_ask = question.upstream.probe != Probe::Never;
    let programs: Vec<&str> = HelperKind::iter().flat_map(HelperKind::programs).copied().collect();
    let processes = processes::named(&programs);
    let until = Instant::now() + ANSWERS_LIMIT;
    for candidate in candidates(named) {
        let helper = candidate.look(&processes, may_ask, until);
        helpers.list.push(helper);
    }
    Piece::Helpers(helpers)
}

/// One that may be there, or should.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Candidate {
    kind: HelperKind,
    place: Place,
    named: bool,
    unit: Option<&'static str>,
}

/// What wp-config.php or .env says, in the site's root or one above.
fn named_by_the_site(question: &Question) -> (Vec<Named>, Seen<String>) {
    let files = question.upstream.files.as_ref();
    let Some(root) = files.map(|files| files.root.as_path()) else {
        return (Vec::new(), Seen::Unlooked);
    };
    let mut denied = Seen::Nothing;
    for folder in [Some(root), root.parent()].into_iter().flatten() {
        for (name, parse) in [
            ("wp-config.php", around::wordpress as fn(&str) -> Vec<Named>),
            (".env", around::dotenv),
        ] {
            match read::tail_beneath(folder, Path::new(name), SETTINGS_MAX) {
                Seen::Found(settings) => {
                    let file = visible(&folder.join(name).to_string_lossy());
                    return (parse(&settings.text), Seen::Found(file));
                }
                Seen::Denied(need) => denied = Seen::Denied(need),
                Seen::Unlooked | Seen::Nothing | Seen::Late => {}
            }
        }
    }
    (Vec::new(), denied)
}

/// Those that the site names, then those that listen here or are to be started with this host.
fn candidates(named: Vec<Named>) -> Vec<Candidate> {
    // What a sandbox forbids to be seen listens nowhere.
    let paths: Vec<_> =
        diag::unix_listeners().unwrap_or_default().into_iter().map(|row| row.path).collect();
    let listeners: Vec<_> =
        diag::tcp_listeners(None).unwrap_or_default().into_iter().map(|row| row.address).collect();
    let systemd = Path::new(SYSTEMD).exists();
    let mut found: Vec<Candidate> = Vec::new();
    for Named { kind, place } in named {
        let place = match place {
            // The client's library takes the socket.
            Place::Local(port) => {
                let usual = kind.sockets().iter().map(Path::new);
                let mut here = usual.filter(|path| paths.iter().any(|found| found == path));
                let path = here.next().map(|path| Place::Unix(path.to_owned()));
                path.unwrap_or(Place::Local(port))
            }
            Place::Ip(..) | Place::Name(..) | Place::Unix(_) => place,
        };
        found.push(Candidate { kind, place, named: true, unit: None });
    }
    for kind in HelperKind::iter() {
        let usual = kind.sockets().iter().map(Path::new);
        let sockets = usual.filter(|path| paths.iter().any(|found| found == path));
        let sockets = sockets.map(|path| Place::Unix(path.to_owned()));
        let ports = listeners.iter().filter(|listener| listener.port() == kind.port());
        let ports = ports.map(|listener| Place::Ip(reachable(listener.ip()), listener.port()));
        let mut there = false;
        for place in sockets.chain(ports) {
            there = true;
            if !found.iter().any(|one| one.kind == kind && one.place == place) {
                found.push(Candidate { kind, place, named: false, unit: None });
            }
        }
        let is_wanted = |unit: &&&str| Path::new(WANTED).join(unit).symlink_metadata().is_ok();
        let unit = kind.units().iter().filter(|_| systemd).find(is_wanted).copied();
        let is_known = found.iter_mut().filter(|one| one.kind == kind).map(|one| one.unit = unit);
        if let (0, false, Some(_)) = (is_known.count(), there, unit) {
            let place = Place::Local(kind.port());
            found.push(Candidate { kind, place, named: false, unit });
        }
    }
    found.truncate(HELPERS_MAX);
    found
}

/// Where a listener on every address is asked.
fn reachable(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}

impl Candidate {
    fn look(self, processes: &[Process], may_ask: bool, until: Instant) -> Helper {
        let clients = self.clients();
        let state = self.state(processes, may_ask, until);
        let at = match &self.place {
            Place::Ip(ip, port) => SocketAddr::new(*ip, *port).to_string(),
            Place::Name(host, port) => visible(&format!("{host}:{port}")),
            Place::Unix(path) => visible(&path.to_string_lossy()),
            Place::Local(port) => format!("localhost:{port}"),
        };
        let unit = self.unit.map(str::to_owned);
        Helper { kind: self.kind, at, state, named: self.named, unit, clients }
    }

    fn state(&self, processes: &[Process], may_ask: bool, until: Instant) -> HelperState {
        let Some(address) = self.address() else {
            return match self.place {
                Place::Name(..) | Place::Ip(..) => HelperState::Away,
                Place::Local(_) | Place::Unix(_) => HelperState::Gone,
            };
        };
        let Some(before) = queue::accept_queue(&address, None) else { return HelperState::Gone };
        let own = processes.iter().filter(|one| processes::is_named(one, self.kind.programs()));
        let (stopped, others): (Vec<_>, Vec<_>) =
            own.partition(|one| matches!(one.state, 'T' | 't'));
        if !stopped.is_empty() && (others.is_empty() || before.pending > 0) {
            return HelperState::Frozen;
        }
        let asked = if may_ask { ask(self.kind, &address, until) } else { None };
        match asked {
            Some(Answer::Silent) => HelperState::Silent,
            Some(Answer::Full) => HelperState::Full,
            // One that waits for a moment is nothing.
            Some(Answer::Something) | None => {
                let now = queue::accept_queue(&address, None).unwrap_or(before);
                let pending = now.pending.min(before.pending);
                HelperState::Listening(Seen::Found(Queue { pending, ..now }))
            }
        }
    }

    /// Where it is on this host; `None` where it is elsewhere, or nobody is known to listen.
    fn address(&self) -> Option<ServerAddress> {
        match &self.place {
            Place::Ip(ip, port) => {
                let address = SocketAddr::new(*ip, *port);
                queue::is_here(address).then_some(ServerAddress::Ip(address))
            }
            Place::Local(port) => {
                let loopback = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
                let all = loopback.map(|ip: IpAddr| ServerAddress::Ip(SocketAddr::new(ip, *port)));
                all.into_iter().find(|address| queue::accept_queue(address, None).is_some())
            }
            // One that the site names is compared with what the kernel knows, not opened.
            Place::Unix(path) => {
                let rows = diag::unix_listeners().unwrap_or_default();
                let listens = rows.iter().any(|row| row.path == *path);
                listens.then(|| ServerAddress::Unix(path.clone()))
            }
            Place::Name(..) => None,
        }
    }

    /// Connections of this host to it, which are PHP's above all.
    fn clients(&self) -> Clients {
        let (ip, port) = match &self.place {
            Place::Ip(ip, port) => (Some(*ip), *port),
            Place::Name(_, port) => (None, *port),
            Place::Unix(_) | Place::Local(_) => return Clients::default(),
        };
        let mut clients = Clients::default();
        connections(SocketId { destination_port: port, ..SocketId::new_v4() }, |row| {
            if ip.is_none_or(|ip| row.1 == ip) {
                match row.0 {
                    TCP_ESTABLISHED => clients.established += 1,
                    TCP_SYN_SENT => clients.opening += 1,
                    _ => {}
                }
            }
        });
        connections(SocketId { source_port: port, ..SocketId::new_v4() }, |row| {
            if row.2 > 0 {
                clients.unread += 1;
            }
        });
        clients
    }
}

/// State, the other side's address and the bytes that nobody has read, of each connection.
fn connections(socket_id: SocketId, mut tell: impl FnMut((u8, IpAddr, u32))) {
    for family in [AF_INET, AF_INET6] {
        let request = InetRequest {
            family,
            protocol: IPPROTO_TCP,
            extensions: ExtensionFlags::empty(),
            states: StateFlags::ESTABLISHED | StateFlags::SYN_SENT,
            socket_id: socket_id.clone(),
        };
        // What a sandbox forbids is not known.
        let _ = diag::dump(SockDiagMessage::InetRequest(request), diag::DATAGRAMS_MAX, |message| {
            if let SockDiagMessage::InetResponse(row) = message {
                let other = row.header.socket_id.destination_address.to_canonical();
                tell((row.header.state, other, row.header.recv_queue));
            }
        });
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Something,
    Full,
    Silent,
}

/// A question that costs the helper nothing; `None` where none is asked.
fn ask(kind: HelperKind, address: &ServerAddress, until: Instant) -> Option<Answer> {
    let question: &[u8] = match (kind, address) {
        (HelperKind::Redis, _) => b"PING\r\n",
        (HelperKind::Memcached, _) => b"version\r\n",
        // It speaks first.
        (HelperKind::Mysql, ServerAddress::Unix(path)) if is_usual(kind, path) => b"",
        (HelperKind::Mysql | HelperKind::Postgresql, _) => return None,
    };
    let (_held, first) = exchange(kind, address, question, until)?;
    if (kind, first) != (HelperKind::Mysql, Answer::Something) {
        return Some(first);
    }
    let second = exchange(kind, address, question, until).map(|(_, second)| second);
    Some(second.filter(|second| *second == Answer::Full).unwrap_or(first))
}

/// One question and its answer, with the connection that it came by.
fn exchange(
    kind: HelperKind,
    address: &ServerAddress,
    question: &[u8],
    until: Instant,
) -> Option<(Socket, Answer)> {
    let limit = until.saturating_duration_since(Instant::now()).min(ANSWER_LIMIT);
    if limit < ANSWER_LIMIT / 5 {
        return None;
    }
    let deadline = Instant::now() + limit;
    let mut stream = connect_now(address, limit)?;
    stream.set_write_timeout(Some(limit)).ok()?;
    stream.write_all(question).ok()?;
    let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    stream.set_read_timeout(Some(left)).ok()?;
    let mut answer = [0; ANSWER_MAX];
    let answer = match stream.read(&mut answer) {
        Ok(read) => said(kind, &answer[..read]),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            Answer::Silent
        }
        // It hangs up, for reasons of its own: it wants TLS, say.
        Err(_) => return None,
    };
    Some((stream, answer))
}

fn is_usual(kind: HelperKind, path: &Path) -> bool {
    kind.sockets().iter().any(|usual| Path::new(usual) == path)
}

/// What an answer says.
fn said(kind: HelperKind, answer: &[u8]) -> Answer {
    let full = match kind {
        // ERR_Packet in the place of the greeting: length, number, 0xff, the error's number.
        HelperKind::Mysql => answer.get(4) == Some(&0xff) && answer.get(5..7) == Some(&TOO_MANY),
        HelperKind::Redis => answer.starts_with(b"-ERR max number of clients"),
        HelperKind::Memcached => answer.starts_with(b"ERROR Too many open connections"),
        HelperKind::Postgresql => false,
    };
    if full { Answer::Full } else { Answer::Something }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;
    use std::thread;

    use super::*;

    /// Long enough for a machine that is busy with other tests.
    fn soon() -> Instant {
        Instant::now() + ANSWERS_LIMIT * 100
    }

    /// A Redis that answers with this, or takes connections and says nothing.
    fn redis(answer: Option<&'static [u8]>) -> (TcpListener, Candidate) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        if let Some(answer) = answer {
            let listener = listener.try_clone().unwrap();
            thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut question = [0; 6];
                stream.read_exact(&mut question).unwrap();
                // Whoever asked may have left.
                let _ = stream.write_all(answer);
            });
        }
        let place = Place::Ip(address.ip(), address.port());
        (listener, Candidate { kind: HelperKind::Redis, place, named: true, unit: None })
    }

    #[test]
    fn a_helper_is_known_by_its_answer() {
        let (_listener, candidate) = redis(Some(b"+PONG\r\n"));
        assert!(matches!(candidate.state(&[], true, soon()), HelperState::Listening(_)));
        let (_listener, candidate) = redis(Some(b"-ERR max number of clients reached\r\n"));
        assert_eq!(candidate.state(&[], true, soon()), HelperState::Full);
        let (listener, candidate) = redis(None);
        assert_eq!(candidate.clone().look(&[], true, soon()).state, HelperState::Silent);
        assert!(
            matches!(candidate.state(&[], false, soon()), HelperState::Listening(_)),
            "not asked"
        );
        drop(listener);
        let gone = candidate.look(&[], true, soon());
        assert_eq!((gone.state, gone.named), (HelperState::Gone, true));
    }

    #[test]
    fn a_database_that_is_full_says_so_in_place_of_its_greeting() {
        let full = b"\x17\0\0\0\xff\x10\x04Too many connections";
        assert_eq!(said(HelperKind::Mysql, full), Answer::Full);
        let greeting = b"\x5b\0\0\0\x0a5.5.5-10.11.19-MariaDB\0";
        assert_eq!(said(HelperKind::Mysql, greeting), Answer::Something);
        for end in 0..full.len() {
            said(HelperKind::Mysql, &full[..end]);
        }
    }

    /// A path that the site's settings name is compared with what the kernel knows, not opened.
    #[test]
    fn a_socket_that_the_site_names_is_known_without_being_opened() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mariadb.sock");
        let place = Place::Unix(path.clone());
        let candidate = Candidate { kind: HelperKind::Mysql, place, named: true, unit: None };
        assert_eq!(candidate.state(&[], true, soon()), HelperState::Gone);
        let listener = UnixListener::bind(&path).unwrap();
        listener.set_nonblocking(true).unwrap();
        assert!(matches!(candidate.state(&[], true, soon()), HelperState::Listening(_)));
        assert!(listener.accept().is_err(), "somebody connected");
    }

    #[test]
    fn connections_to_a_helper_are_counted() {
        let (listener, candidate) = redis(None);
        let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (_server, _) = listener.accept().unwrap();
        assert_eq!(candidate.clients(), Clients { established: 1, opening: 0, unread: 0 });
        client.write_all(b"PING\r\n").unwrap();
        assert_eq!(candidate.clients(), Clients { established: 1, opening: 0, unread: 1 });
    }
}
