//! What both benches need: the proxy in this process, a backend in a thread, a client that keeps its
//! connection.

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on ends")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread;

use causeway::config::{self, AccessLog, ListenAddress, Log};
use causeway::server::{self, Running};

/// One worker before one server, on a free port, without an access log.
pub fn proxy(upstream: SocketAddr) -> (Running, SocketAddr) {
    let text = format!("workers = 1\n[upstream.bench]\nservers = [\"http://{upstream}\"]\n");
    let mut config = config::parse(&text, Path::new("bench.toml")).unwrap();
    config.listeners[0].address = ListenAddress::Tcp((Ipv4Addr::LOCALHOST, 0).into());
    config.log = Log { access: AccessLog::Off, ..Log::default() };
    let running = server::start(config).unwrap();
    let [ListenAddress::Tcp(address)] = running.addresses()[..] else { panic!("one TCP listener") };
    (running, address)
}

/// Answers every request head with the same bytes, each connection in a thread of its own.
#[allow(dead_code, reason = "failing has no backend")]
pub fn backend(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for peer in listener.incoming() {
            let mut peer = Client::over(peer.unwrap());
            thread::spawn(move || while peer.head().is_some() && peer.send(answer) {});
        }
    });
    address
}

/// A port that nobody listens on, held so that nobody will.
#[allow(dead_code, reason = "overhead has no need of it")]
pub fn closed_port() -> (Arc<socket2::Socket>, SocketAddr) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (Arc::new(socket), address)
}

/// One kept-alive connection, used by one request after another.
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub fn to(address: SocketAddr) -> Client {
        Client::over(TcpStream::connect(address).unwrap())
    }

    fn over(stream: TcpStream) -> Client {
        stream.set_nodelay(true).unwrap();
        Client { stream, buffer: Vec::with_capacity(64 * 1024) }
    }

    /// Sends a request and reads its answer whole: the status and the body's length.
    pub fn ask(&mut self, request: &[u8]) -> (u16, usize) {
        assert!(self.send(request));
        let head = self.head().unwrap();
        let text = std::str::from_utf8(&head).unwrap();
        let status = text[9..12].parse().unwrap();
        let length = text.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().unwrap())
        });
        let length = length.unwrap();
        while self.buffer.len() < length {
            assert!(self.fill());
        }
        self.buffer.drain(..length);
        (status, length)
    }

    fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Takes a head off the connection; nothing at its end.
    fn head(&mut self) -> Option<Vec<u8>> {
        loop {
            let end = self.buffer.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                return Some(self.buffer.drain(..end + 4).collect());
            }
            if !self.fill() {
                return None;
            }
        }
    }

    fn fill(&mut self) -> bool {
        let mut piece = [0; 16 * 1024];
        let read = self.stream.read(&mut piece).unwrap_or(0);
        self.buffer.extend_from_slice(&piece[..read]);
        read > 0
    }
}
