//! How often a server is asked a question of our own: never while it is healthy, and once a second
//! at most however many requests fail.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::PATIENCE;
use super::client::Client;
use super::proxy::{Proxy, get};

/// What came to a server, by the first bytes of each connection.
#[derive(Debug, Default)]
struct Heard {
    requests: AtomicUsize,
    /// FCGI_GET_VALUES (FastCGI 1.0 section 4.1).
    values: AtomicUsize,
    /// A ClientHello to a server of plain HTTP.
    hellos: AtomicUsize,
    /// A `PING` to it, the second greeting of one look.
    pings: AtomicUsize,
    /// The line of the PROXY protocol to it, the third.
    lines: AtomicUsize,
    others: AtomicUsize,
}

impl Heard {
    fn count(&self, bytes: &[u8]) -> bool {
        let counter = match bytes {
            [b'G', b'E', b'T', b' ', ..] | [1, 1, ..] => &self.requests,
            [1, 9, ..] => &self.values,
            [0x16, 3, ..] => &self.hellos,
            [b'P', b'I', b'N', b'G', ..] => &self.pings,
            [b'P', b'R', b'O', b'X', b'Y', ..] => &self.lines,
            _ => &self.others,
        };
        counter.fetch_add(1, Ordering::SeqCst);
        std::ptr::eq(counter, &self.requests)
    }

    fn looks(&self) -> [usize; 5] {
        let counters = [&self.values, &self.hellos, &self.pings, &self.lines, &self.others];
        counters.map(|counter| counter.load(Ordering::SeqCst))
    }
}

/// A server that answers each request with these bytes and hangs up. To a question that is none it
/// says that it speaks FastCGI, which ends a look with its first connection.
fn server(answer: &'static [u8]) -> (SocketAddr, Arc<Heard>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let heard = Arc::new(Heard::default());
    let kept = heard.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            serve(stream.unwrap(), answer, &kept);
        }
    });
    (address, heard)
}

fn serve(mut stream: TcpStream, answer: &[u8], heard: &Heard) {
    const VALUES: &[u8] = b"\x01\x0a\0\0\0\0\0\0";
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut bytes = [0; 16 * 1024];
    let Ok(read) = stream.read(&mut bytes) else { return };
    let request = heard.count(&bytes[..read]);
    // The other side may have gone.
    let _ = match (request, bytes[0]) {
        (true, _) => stream.write_all(answer),
        (false, 1) => stream.write_all(VALUES),
        (false, _) => Ok(()),
    };
}

/// Asks from four connections without a pause; how many answers had which status.
fn hammer(proxy: &Proxy, status: u16, time: Duration) -> usize {
    let until = Instant::now() + time;
    let asking: Vec<_> = (0..4)
        .map(|_| {
            let address = proxy.address;
            std::thread::spawn(move || {
                let (mut client, mut count) = (Client::connect(address), 0);
                while Instant::now() < until {
                    client.send(get("/index.php"));
                    let answer = client.answer("GET");
                    assert_eq!(answer.status, status, "{answer:?}");
                    count += 1;
                }
                count
            })
        })
        .collect();
    asking.into_iter().map(|asking| asking.join().unwrap()).sum()
}

/// The two kinds of server, as the configuration names them.
fn blocks(address: SocketAddr) -> [String; 2] {
    [
        format!("[upstream.app]\nservers = [\"http://{address}\"]\n"),
        format!("[upstream.app]\nservers = [\"fastcgi://{address}\"]\nroot = \"/nowhere\"\n"),
    ]
}

#[test]
fn a_healthy_server_is_asked_nothing_else() {
    const HTTP: &[u8] = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
    const FASTCGI: &[u8] = b"\x01\x06\0\x01\0\x06\0\0A: b\n\n\
        \x01\x03\0\x01\0\x08\0\0\0\0\0\0\0\0\0\0";
    for (kind, answer) in [HTTP, FASTCGI].into_iter().enumerate() {
        let (address, heard) = server(answer);
        let proxy = Proxy::with(&blocks(address)[kind]);
        let count = hammer(&proxy, 200, Duration::from_secs(1));
        assert!(count > 100, "{count} requests are no hammering");
        assert_eq!(heard.looks(), [0; 5], "{kind}: {heard:?}");
    }
}

#[test]
fn a_server_that_is_down_is_looked_at_once_a_second_at_most() {
    for kind in [0, 1] {
        let (address, heard) = server(b"");
        let proxy = Proxy::with(&blocks(address)[kind]);
        let started = Instant::now();
        let count = hammer(&proxy, 502, Duration::from_secs(3));
        let seconds = usize::try_from(started.elapsed().as_secs()).unwrap();
        println!("{count} requests in {:?}: {heard:?}", started.elapsed());
        assert!(count > 1000, "{count} requests are no hammering");
        let [values, hellos, pings, lines, others] = heard.looks();
        assert!(values.max(hellos) > 0, "nobody looked: {heard:?}");
        for looks in [values, hellos, pings, lines] {
            assert!(looks <= seconds + 1, "more than once a second: {heard:?}");
        }
        assert_eq!((others, values * hellos), (0, 0), "{heard:?}");
    }
}
