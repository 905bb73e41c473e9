//! Stand-ins for PHP-FPM's listener: a tap that counts connections and passes their bytes on, and
//! a peer that says what a test has it say.
//!
//! Threads end with their connections, at the latest when a socket's time-out has passed.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

/// Stands between the proxy and a pool on a TCP port, and sees connections come and go.
#[derive(Debug)]
pub struct Tap {
    port: u16,
    seen: Arc<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    opened: AtomicUsize,
    left: AtomicUsize,
}

impl Tap {
    /// Opens a port whose connections lead to another.
    pub fn before(port: u16) -> Tap {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let tap =
            Tap { port: listener.local_addr().expect("its address").port(), seen: Arc::default() };
        let seen = Arc::clone(&tap.seen);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.expect("a connection");
                let seen = Arc::clone(&seen);
                seen.opened.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || relay(stream, port, &seen));
            }
        });
        tap
    }

    /// What `servers` holds to go through it.
    pub fn server(&self) -> String {
        format!("fastcgi://127.0.0.1:{}", self.port)
    }

    /// How many connections the proxy has opened.
    pub fn opened(&self) -> usize {
        self.seen.opened.load(Ordering::SeqCst)
    }

    /// How many of them the proxy has ended.
    pub fn left(&self) -> usize {
        self.seen.left.load(Ordering::SeqCst)
    }
}

/// Passes bytes on in both directions until both ends have finished.
fn relay(proxy: TcpStream, port: u16, seen: &Seen) {
    let php = TcpStream::connect(("127.0.0.1", port)).expect("PHP-FPM listens");
    for stream in [&proxy, &php] {
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
    }
    thread::scope(|scope| {
        scope.spawn(|| {
            // An answer that breaks off ends the tap's connection too.
            let _ = io::copy(&mut &php, &mut &proxy);
            let _ = proxy.shutdown(Shutdown::Write);
        });
        let _ = io::copy(&mut &proxy, &mut &php);
        seen.left.fetch_add(1, Ordering::SeqCst);
        let _ = php.shutdown(Shutdown::Write);
    });
}

/// When a peer speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    /// As soon as it is connected, as servers with a banner do.
    First,
    /// When something has come.
    InReply,
}

/// A port that says the same to everyone and then closes.
pub fn peer(speaks: Speaks, words: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.expect("a connection");
            thread::spawn(move || speak(stream, speaks, words));
        }
    });
    port
}

/// Failures to read or write are the other end's: it need not listen to the end.
fn speak(mut stream: TcpStream, speaks: Speaks, words: &[u8]) {
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
    let mut some = [0; 4096];
    if speaks == Speaks::InReply {
        let _ = stream.read(&mut some);
    }
    let _ = stream.write_all(words);
    let _ = stream.shutdown(Shutdown::Write);
    // What is left unread would turn the close into a reset.
    while matches!(stream.read(&mut some), Ok(1..)) {}
}
