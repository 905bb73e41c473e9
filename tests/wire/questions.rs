//! Questions of the proxy's own to a server that failed: what they find, and how often they are
//! asked.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::backend::{Backend, by_ipv6_alone};
use super::eventually;
use super::proxy::{Proxy, get};

/// The first byte of a ClientHello's record (RFC 8446 section 5.1).
const HANDSHAKE: u8 = 0x16;

/// A server where TLS is configured: it hangs up on a ClientHello, and says this to OPTIONS. Beside
/// it how often it was asked.
fn not_tls(answer: &'static [u8]) -> (Backend, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let backend = Backend::scripted(move |peer| {
        let mut bytes = [0; 4096];
        let read = peer.stream.read(&mut bytes).unwrap_or_default();
        if bytes[..read].starts_with(b"OPTIONS * HTTP/1.1\r\n") {
            count.fetch_add(1, Ordering::SeqCst);
            let _ = peer.stream.write_all(answer);
        } else if read > 0 {
            assert!(bytes[0] == HANDSHAKE || bytes.starts_with(b"PING\r\n"));
        }
    });
    (backend, asked)
}

fn secure(backend: &Backend, more: &str) -> Proxy {
    Proxy::block(&[format!("https://{}", backend.address)], more)
}

fn problem(path: &str) -> String {
    let accept = "Accept: application/problem+json\r\n\r\n";
    get(path).replacen("\r\n\r\n", &format!("\r\n{accept}"), 1)
}

#[test]
fn a_plain_server_behind_https_is_found_out_by_a_question_in_the_open() {
    let (backend, _) = not_tls(b"HTTP/1.1 204 No Content\r\n\r\n");
    let proxy = secure(&backend, "");
    proxy.ask(problem("/first"));
    assert_eq!(proxy.logged("/first")["cause"], "tls_closed_in_handshake");
    eventually("the proxy has asked", || {
        let answer = proxy.ask(problem("/again")).body;
        let found = answer.contains("\"tls_peer_speaks_plaintext\"");
        found.then(|| assert!(answer.contains("\"certain\""), "{answer}"))
    });
}

#[test]
fn where_no_question_is_allowed_none_is_asked() {
    let (backend, asked) = not_tls(b"HTTP/1.1 204 No Content\r\n\r\n");
    let proxy = secure(&backend, "probe = \"never\"\n");
    for _ in 0..20 {
        proxy.get("/");
    }
    proxy.get("/last");
    assert_eq!(proxy.logged("/last")["cause"], "tls_closed_in_handshake");
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[test]
fn under_hammering_a_server_is_asked_at_most_once_a_second() {
    let (backend, asked) = not_tls(b"");
    let proxy = secure(&backend, "");
    let started = Instant::now();
    let mut requests = 0;
    while started.elapsed() < Duration::from_millis(2500) {
        proxy.get("/");
        requests += 1;
    }
    let seconds = started.elapsed().as_secs() as usize;
    let asked = asked.load(Ordering::SeqCst);
    assert!((1..=seconds + 1).contains(&asked), "{asked} in {seconds} s, {requests} requests");
    assert!(requests > 100, "{requests} requests");
}

#[test]
fn a_healthy_server_is_asked_nothing() {
    let backend = Backend::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let proxy = Proxy::before(&backend);
    for _ in 0..50 {
        proxy.get("/");
    }
    assert_eq!((backend.requests("/"), backend.connections()), (50, 1));
}

#[test]
fn a_listener_by_ipv6_alone_is_found_behind_a_refusal_by_ipv4() {
    let (_listener, port) = by_ipv6_alone();
    let proxy = Proxy::block(&[format!("http://127.0.0.1:{port}")], "");
    let expected = format!("listening at [::1]:{port}");
    eventually("the proxy has looked", || {
        let answer = proxy.ask(problem("/"));
        assert!(answer.body.contains("\"connection_refused\""), "{}", answer.body);
        answer.body.contains(&expected).then_some(())
    });
}

/// A server that hangs up on whoever does not begin with the line of the PROXY protocol, and
/// answers this behind it. Beside it how often the line came.
fn behind_a_line(answer: &'static [u8], resets: bool) -> (Backend, Arc<AtomicUsize>) {
    let lines = Arc::new(AtomicUsize::new(0));
    let count = lines.clone();
    let backend = Backend::scripted(move |peer| {
        let mut bytes = [0; 4096];
        let read = peer.stream.read(&mut bytes).unwrap_or_default();
        if bytes[..read].starts_with(b"PROXY TCP4 127.0.0.1 127.0.0.1 ") {
            count.fetch_add(1, Ordering::SeqCst);
            let _ = peer.stream.write_all(answer);
        } else if resets {
            peer.reset();
        }
    });
    (backend, lines)
}

#[test]
fn a_server_that_wants_the_proxy_protocol_is_found_out() {
    for (resets, before) in [(false, "closed_before_response"), (true, "reset_before_response")] {
        let (backend, _) = behind_a_line(b"HTTP/1.1 400 Bad Request\r\n\r\n", resets);
        let proxy = Proxy::before(&backend);
        proxy.ask(problem("/first"));
        assert_eq!(proxy.logged("/first")["cause"], before);
        let answer = eventually("the proxy has asked", || {
            let answer = proxy.ask(problem("/again")).body;
            answer.contains("\"proxy_protocol_expected\"").then_some(answer)
        });
        assert!(answer.contains("\"certain\""), "{answer}");
        assert!(answer.contains("\"drop_proxy_protocol\""), "{answer}");
    }
}

#[test]
fn a_server_that_hangs_up_for_another_reason_is_not_taken_for_one_that_wants_it() {
    // To a line that is no request it says 400, as it should.
    const BAD: &[u8] = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
    let broken = Arc::new(AtomicUsize::new(0));
    let count = broken.clone();
    let backend = Backend::scripted(move |peer| {
        let mut bytes = [0; 4096];
        let read = peer.stream.read(&mut bytes).unwrap_or_default();
        if bytes[..read].starts_with(b"PROX") {
            count.fetch_add(usize::from(bytes[4] == b'X'), Ordering::SeqCst);
            let _ = peer.stream.write_all(BAD);
        }
    });
    let proxy = Proxy::before(&backend);
    eventually("the proxy has asked", || {
        proxy.get("/asking");
        (broken.load(Ordering::SeqCst) > 0).then_some(())
    });
    for path in ["/one", "/two", "/three"] {
        proxy.get(path);
        assert_eq!(proxy.logged(path)["cause"], "closed_before_response");
    }
}

#[test]
fn where_no_question_is_allowed_no_line_is_sent() {
    let (backend, lines) = behind_a_line(b"HTTP/1.1 400 Bad Request\r\n\r\n", false);
    let proxy = Proxy::block(&[backend.server()], "probe = \"never\"\n");
    for _ in 0..20 {
        proxy.get("/");
    }
    proxy.get("/last");
    assert_eq!(proxy.logged("/last")["cause"], "closed_before_response");
    assert_eq!((lines.load(Ordering::SeqCst), backend.connections()), (0, 21));
}
