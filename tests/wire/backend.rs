//! Scripted upstreams: each connection runs a script on a thread of its own; what came is kept.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use socket2::{Domain, Socket, Type};

use super::{PATIENCE, eventually, shown};

/// A server on a port of its own. Its thread ends with the test's process.
#[derive(Debug)]
pub struct Backend {
    pub address: SocketAddr,
    received: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// The server's end of one connection.
#[derive(Debug)]
pub struct Peer {
    pub stream: TcpStream,
    /// Which connection this is, from 0.
    pub number: usize,
    input: Vec<u8>,
    received: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Backend {
    /// Runs the script on every connection.
    pub fn scripted(script: impl Fn(&mut Peer) + Send + Sync + 'static) -> Backend {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let (kept, script) = (received.clone(), Arc::new(script));
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let stream = stream.unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                stream.set_write_timeout(Some(PATIENCE)).unwrap();
                stream.set_nodelay(true).unwrap();
                kept.lock().unwrap().push(Vec::new());
                let received = kept.clone();
                let mut peer = Peer { stream, number, input: Vec::new(), received };
                let script = script.clone();
                std::thread::spawn(move || script(&mut peer));
            }
        });
        Backend { address, received }
    }

    /// Reads a request head and answers with these bytes, again and again.
    pub fn answering(answer: impl Into<Vec<u8>>) -> Backend {
        let answer = answer.into();
        Backend::scripted(move |peer| {
            while peer.request().is_some() {
                peer.send(&answer);
            }
        })
    }

    /// What each connection has received so far.
    pub fn received(&self) -> Vec<String> {
        let received = self.received.lock().unwrap();
        received.iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect()
    }

    /// All that was received, once it holds this.
    pub fn received_with(&self, part: &str) -> String {
        eventually(&format!("{part:?} at the upstream"), || {
            let all = self.received().concat();
            all.contains(part).then_some(all)
        })
    }

    pub fn connections(&self) -> usize {
        self.received.lock().unwrap().len()
    }

    /// How many requests with this path arrived.
    pub fn requests(&self, path: &str) -> usize {
        self.received().concat().matches(&format!(" {path} HTTP/1.1\r\n")).count()
    }

    /// As the configuration names it.
    pub fn server(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Peer {
    /// Reads once; false at the end, however it came.
    fn fill(&mut self) -> bool {
        let mut piece = [0; 64 * 1024];
        match self.stream.read(&mut piece) {
            Ok(0) | Err(_) => false,
            Ok(read) => {
                self.input.extend_from_slice(&piece[..read]);
                let mut received = self.received.lock().unwrap();
                received[self.number].extend_from_slice(&piece[..read]);
                true
            }
        }
    }

    /// Everything up to and with the marker; `None` when the end comes first.
    pub fn until(&mut self, marker: &str) -> Option<String> {
        let marker = marker.as_bytes();
        loop {
            let found = self.input.windows(marker.len()).position(|window| window == marker);
            if let Some(at) = found {
                let taken = self.input.drain(..at + marker.len()).collect::<Vec<u8>>();
                return Some(
                    String::from_utf8(taken)
                        .unwrap_or_else(|error| panic!("not text: {}", shown(error.as_bytes()))),
                );
            }
            if !self.fill() {
                return None;
            }
        }
    }

    /// The next request head.
    pub fn request(&mut self) -> Option<String> {
        self.until("\r\n\r\n")
    }

    /// Reads until the other side ends.
    pub fn drain(&mut self) {
        while self.fill() {}
    }

    /// Writes; that the other side has gone is the test's to see, not the script's.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    pub fn finish(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Has the connection end with RST, when the script does.
    pub fn reset(&self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    }
}

/// A port on which nobody listens, and which is held until the tests are over: the kernel would
/// give it to a server of the test beside otherwise.
pub fn refusing() -> String {
    format!("http://127.0.0.1:{}", held())
}

/// A socket with a port that does not listen: whoever connects to it is refused, and nobody else
/// gets it.
fn held() -> u16 {
    let held = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    held.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let port = held.local_addr().unwrap().as_socket().unwrap().port();
    std::mem::forget(held);
    port
}

/// A listener by IPv6 on a port that refuses by IPv4.
pub fn by_ipv6_alone() -> (TcpListener, u16) {
    // The port may be somebody's by IPv6.
    for _ in 0..100 {
        let port = held();
        if let Ok(listener) = TcpListener::bind(("::1", port)) {
            return (listener, port);
        }
    }
    panic!("no port is free by both families");
}
