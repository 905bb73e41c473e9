//! Connections whose client says nothing for a while, between two requests: the proxy lets go of
//! what it held for them, and nobody is to notice.

use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use super::PATIENCE;
use super::backend::Backend;
use super::client::{Client, End};
use super::proxy::{Program, Proxy, get};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
/// By then a silent connection is at rest: a second, two ticks, and room for a busy machine.
const AT_REST: Duration = Duration::from_millis(1600);

impl Client {
    /// Hears nothing for so long.
    fn expect_silence(&mut self, time: Duration) {
        self.stream.set_read_timeout(Some(time)).unwrap();
        assert_eq!(self.rest(), (String::new(), End::Open));
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
    }

    /// Asks, and has the answer.
    fn asks(&mut self, path: &str) {
        self.send(get(path));
        assert_eq!(self.answer("GET").body, "ok", "{path}");
    }
}

/// Answered once, and at rest since.
fn rested(proxy: std::net::SocketAddr) -> Client {
    let mut client = Client::connect(proxy);
    client.asks("/first");
    client.expect_silence(AT_REST);
    client
}

#[test]
fn the_next_request_is_served() {
    let backend = Backend::answering(OK);
    let proxy = Proxy::before(&backend);
    // One that has not asked yet can rest, too.
    let mut client = Client::connect(proxy.address);
    client.expect_silence(AT_REST);
    for path in ["/1", "/2"] {
        client.asks(path);
        client.expect_silence(AT_REST);
    }
    // Requests behind one another, a body, and a head in pieces.
    client.send(get("/3") + &get("/4"));
    assert_eq!((client.answer("GET").status, client.answer("GET").status), (200, 200));
    client.expect_silence(AT_REST);
    client.send("POST /5 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(client.answer("POST").status, 200);
    client.expect_silence(AT_REST);
    client.send("GET /6 HTTP/1.1\r\nHo");
    client.expect_silence(AT_REST);
    client.send("st: a\r\n\r\n");
    assert_eq!(client.answer("GET").status, 200);
    for path in ["/1", "/2", "/3", "/4", "/6"] {
        assert_eq!(backend.requests(path), 1, "{path}");
        assert_eq!(proxy.logged(path)["status"], 200);
    }
    // What is wrong is still found.
    client.expect_silence(AT_REST);
    client.send("GET /bad HTTP/1.1\r\n\r\n");
    assert_eq!(client.answer("GET").status, 400);
    assert_eq!(client.rest(), (String::new(), End::Fin));
}

/// An empty line (RFC 9112 section 2.2) is no request, and no reason to lose the next one.
#[test]
fn an_empty_line_does_not_disturb() {
    let backend = Backend::answering(OK);
    let proxy = Proxy::before(&backend);
    let mut client = Client::connect(proxy.address);
    client.asks("/1");
    client.send("\r\n");
    client.expect_silence(AT_REST);
    client.asks("/2");
    client.expect_silence(AT_REST);
    client.send("\r\n");
    client.expect_silence(AT_REST);
    client.asks("/3");
}

#[test]
fn nothing_is_lost_at_the_very_moment() {
    let backend = Backend::answering(OK);
    let proxy = Proxy::before(&backend);
    let ask = |after: u64| {
        let mut client = Client::connect(proxy.address);
        client.asks("/first");
        client.expect_silence(Duration::from_millis(after));
        client.send(get("/second") + &get("/third"));
        assert_eq!(client.answer("GET").body, "ok", "after {after} ms");
        assert_eq!(client.answer("GET").body, "ok", "after {after} ms");
    };
    thread::scope(|scope| {
        for after in (950..1350).step_by(8) {
            scope.spawn(move || ask(after));
        }
    });
}

/// Counted from the last answer, or from the start; whether the connection rests or not.
#[test]
fn the_time_out_is_kept() {
    let backend = Backend::answering(OK);
    let server = backend.server();
    for limit in [500, 3000] {
        let limits = format!("keepalive_timeout = \"{limit}ms\"\nheader_timeout = \"{limit}ms\"");
        let proxy =
            Proxy::with(&format!("[client]\n{limits}\n[upstream.app]\nservers = [\"{server}\"]\n"));
        for requests in 0..3 {
            let mut client = Client::connect(proxy.address);
            for _ in 0..requests {
                client.asks("/");
            }
            let since = Instant::now();
            assert_eq!(client.rest(), (String::new(), End::Fin), "{limit} {requests}");
            let waited = since.elapsed();
            let expected = Duration::from_millis(limit - 50)..Duration::from_millis(limit + 1000);
            assert!(expected.contains(&waited), "{limit} {requests}: {waited:?}");
        }
    }
}

#[test]
fn a_client_that_leaves_is_let_go() {
    let backend = Backend::answering(OK);
    let proxy = Proxy::before(&backend);
    let mut client = rested(proxy.address);
    client.finish();
    assert_eq!(client.rest(), (String::new(), End::Fin));
}

#[test]
fn a_drain_reaches_those_at_rest() {
    let backend = Backend::answering(OK);
    let mut program = Program::before(&backend.server(), "");
    let mut asking = Client::connect(program.address);
    asking.asks("/first");
    let mut silent = rested(program.address);
    asking.expect_silence(AT_REST / 4);
    program.signal("TERM");
    program.said("draining", 1);
    let since = Instant::now();
    asking.send(get("/next"));
    let answer = asking.answer("GET");
    assert_eq!((answer.status, answer.field("connection")), (200, Some("close")));
    assert_eq!(asking.rest(), (String::new(), End::Fin));
    assert_eq!(silent.rest(), (String::new(), End::Fin));
    let waited = since.elapsed();
    assert!(waited >= Duration::from_millis(700), "it could still have asked: {waited:?}");
    assert_eq!(program.exit_code(), Some(0));
    assert!(TcpStream::connect(program.address).is_err());
}

#[test]
fn an_upgrade_after_it() {
    let backend = Backend::scripted(|peer| {
        while let Some(head) = peer.request() {
            if !head.contains("Upgrade") && !head.contains("upgrade") {
                peer.send(OK);
                continue;
            }
            peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n");
            peer.send("Upgrade: echo\r\n\r\n");
            while let Some(line) = peer.until("\n") {
                peer.send(line);
            }
        }
    });
    let proxy = Proxy::before(&backend);
    let mut client = rested(proxy.address);
    client.send("GET /up HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n1\n");
    assert_eq!(client.answer("GET").status, 101);
    assert_eq!(client.until("\n"), "1\n");
    // A tunnel does not rest.
    client.expect_silence(AT_REST);
    client.send("2\n");
    assert_eq!(client.until("\n"), "2\n");
}
