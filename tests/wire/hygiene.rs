//! Requests that two readers could read in two ways: refused by name, and no upstream sees a byte.

use std::sync::Arc;

use super::backend::Backend;
use super::client::{Answer, Client, End};
use super::proxy::{Proxy, get};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Heads that are refused, whatever follows them.
const BAD_HEADS: &[&str] = &[
    // Request lines.
    "GET /\r\nHost: a\r\n\r\n",
    "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
    "GET / x HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.2\r\nHost: a\r\n\r\n",
    "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
    "GET / http/1.1\r\nHost: a\r\n\r\n",
    "G@T / HTTP/1.1\r\nHost: a\r\n\r\n",
    " GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /\u{1} HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /#x HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /?\" HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET a HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\r\n\r\n",
    // Line ends and field lines.
    "GET / HTTP/1.1\nHost: a\n\n",
    "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX: b\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n\n",
    "GET / HTTP/1.1\rHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX: b\rContent-Length: 5\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n folded\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n\tfolded\r\n\r\n",
    "GET / HTTP/1.1\r\n X: b\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX\t: b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX: b\u{1}c\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX: b\u{7f}c\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX\0: b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX(): b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n",
    // Host.
    "GET / HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1\r\nHost:\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n",
    "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET http://a:81/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n",
    // Lengths and codings.
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 6\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5,\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5 5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: five\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \u{b}chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n\
     0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n\
     0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n\
     0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n\
     0\r\n\r\n",
    "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello",
];

/// Chunked bodies that are refused, after a sound chunk.
const BAD_CHUNKS: &[&str] = &[
    "5 \r\nhello\r\n",
    " 5\r\nhello\r\n",
    "0x5\r\nhello\r\n",
    "+5\r\nhello\r\n",
    "-1\r\nhello\r\n",
    "\r\n5\r\nhello\r\n",
    "5\nhello\r\n",
    "5\rhello\r\n",
    "5\r\nhello\n",
    "5\r\nhelloworld\r\n",
    "5;a\nb\r\nhello\r\n",
    "5;\0\r\nhello\r\n",
    "5;a\rb\r\nhello\r\n",
    "g\r\n",
    "11111111111111111\r\n",
    "fffffffffffffffff\r\n",
    "0\r\nX : 1\r\n\r\n",
    "0\r\n folded: 1\r\n\r\n",
    "0\r\nX\r\n\r\n",
    "0\r\nX: 1\n\r\n",
    "0\r\nX: \0\r\n\r\n",
    "0\n\n",
];

/// A refusal: the page, its header, and the connection's end with nothing after it.
fn refused(client: &mut Client, status: u16, cause: &str, what: &str) -> Answer {
    let answer = client.answer("GET");
    assert_eq!((answer.status, answer.whole), (status, true), "{what:?}: {answer:?}");
    assert_eq!(answer.cause(), cause, "{what:?}");
    let said = answer.field("proxy-status").unwrap();
    let expected = format!("causeway; error=http_request_error; status-code={status}; details=");
    assert!(said.starts_with(&expected), "{what:?}: {said}");
    assert_eq!(answer.field("connection"), Some("close"), "{what:?}");
    assert_eq!(client.rest(), (String::new(), End::Fin), "{what:?}");
    answer
}

#[test]
fn bad_heads_are_refused_and_go_nowhere() {
    let backend = Backend::answering(OK);
    let proxy = Proxy::before(&backend);
    for bad in BAD_HEADS {
        // With a request behind it, which must not be taken for one.
        let mut client = Client::sent(proxy.address, format!("{bad}{}", get("/smuggled")));
        refused(&mut client, 400, "request_invalid", bad);
    }
    assert_eq!(backend.received(), Vec::<String>::new());
    assert_eq!(proxy.get("/").status, 200);
}

#[test]
fn bad_heads_are_refused_after_a_good_request_too() {
    let backend = Backend::answering(OK);
    let proxy = Proxy::before(&backend);
    for bad in BAD_HEADS {
        let mut client = Client::sent(proxy.address, get("/good"));
        assert_eq!(client.answer("GET").status, 200);
        client.send(bad);
        refused(&mut client, 400, "request_invalid", bad);
    }
    assert_eq!(backend.requests("/good"), BAD_HEADS.len());
    let all = backend.received().concat();
    assert_eq!(all.matches(" HTTP/1.1\r\n").count(), BAD_HEADS.len());
}

#[test]
fn bad_chunks_end_the_request_before_it_is_complete() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n";
    for bad in BAD_CHUNKS {
        // The bad bytes behind the head at once, or later, when the upstream has the first chunk.
        for later in [false, true] {
            let backend = Backend::scripted(|peer| peer.drain());
            let proxy = Proxy::before(&backend);
            let mut client = Client::sent(proxy.address, head);
            if later {
                backend.received_with("first");
            }
            client.send(format!("{bad}{}", get("/smuggled")));
            refused(&mut client, 400, "request_invalid", bad);
            let all = backend.received().concat();
            assert!(!all.contains("0\r\n\r\n"), "{bad:?} became {all:?}");
            assert!(!all.contains("smuggled") && !all.contains("hello"), "{bad:?}: {all:?}");
        }
    }
}

#[test]
fn a_verdict_does_not_depend_on_how_the_bytes_come() {
    let backend = Backend::scripted(|peer| {
        while let Some(head) = peer.request() {
            if head.contains("chunked") {
                peer.until("0\r\n\r\n");
            }
            peer.send(OK);
        }
    });
    let proxy = Arc::new(Proxy::before(&backend));
    for (request, status) in [
        (get("/"), 200),
        ("\r\nGET / HTTP/1.1\r\nHost: a\r\nX:  y \r\n\r\n".to_owned(), 200),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
             5;x\r\nhello\r\n0\r\n\r\n"
                .to_owned(),
            200,
        ),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned(), 400),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n"
                .to_owned(),
            400,
        ),
    ] {
        for at in 1..request.len() {
            let (first, second) = request.split_at(at);
            let mut client = Client::sent(proxy.address, first);
            // A refusal may come before the second half is sent.
            client.try_send(second);
            let answer = client.answer("GET");
            assert_eq!(answer.status, status, "{first:?} then {second:?}");
        }
        // And one by one.
        let mut client = Client::connect(proxy.address);
        for byte in request.as_bytes() {
            client.try_send([*byte]);
        }
        assert_eq!(client.answer("GET").status, status, "byte by byte: {request:?}");
    }
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let backend = Backend::answering(OK);
    let server = backend.server();
    let proxy = Proxy::with(&format!(
        "[client]\nheader_section = \"4KiB\"\n[upstream.app]\nservers = [\"{server}\"]\n"
    ));
    let padded = |bytes: usize| {
        let bare = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len();
        format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(bytes - bare))
    };
    assert_eq!(proxy.ask(padded(4096)).status, 200);
    let many = "X: y\r\n".repeat(101);
    for large in [
        padded(4097),
        padded(60_000),
        // Never ended, and larger than anything that may come.
        format!("GET /{} HTTP/1.1\r\n", "x".repeat(60_000)),
        format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"),
    ] {
        let mut client = Client::sent(proxy.address, &large);
        refused(&mut client, 431, "request_header_too_large", &large[..20]);
    }
    assert_eq!(backend.received().concat().matches("GET ").count(), 1);
    assert_eq!(proxy.logged("GET / HTTP/1.1")["cause"], "request_header_too_large");
}

#[test]
fn slow_clients_are_told_so() {
    let backend = Backend::scripted(|peer| peer.drain());
    let server = backend.server();
    let proxy = Proxy::with(&format!(
        "[client]\nheader_timeout = \"300ms\"\nbody_timeout = \"300ms\"\n\
         keepalive_timeout = \"300ms\"\n[upstream.app]\nservers = [\"{server}\"]\n"
    ));
    for (begun, cause) in [
        ("G", "request_header_timeout"),
        ("GET / HTTP/1.1\r\nHost: a\r\n", "request_header_timeout"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", "request_body_timeout"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhell", "request_body_timeout"),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
            "request_body_timeout",
        ),
    ] {
        let mut client = Client::sent(proxy.address, begun);
        refused(&mut client, 408, cause, begun);
        // What was not read to its end is shown as it came.
        let shown = if cause.contains("body") { "/" } else { begun.lines().next().unwrap() };
        let line = proxy.logged(shown);
        assert_eq!((&line["cause"], &line["status"]), (&cause.into(), &408.into()), "{line}");
    }
    // One that says nothing at all is let go without a word.
    assert_eq!(Client::connect(proxy.address).rest(), (String::new(), End::Fin));
}

#[test]
fn connections_beyond_the_limit_are_told_so() {
    let backend = Backend::answering(OK);
    let server = backend.server();
    let proxy = Proxy::with(&format!(
        "[client]\nconnections = 2\n[upstream.app]\nservers = [\"{server}\"]\n"
    ));
    let mut held: Vec<Client> = (0..2).map(|_| Client::sent(proxy.address, get("/"))).collect();
    for client in &mut held {
        assert_eq!(client.answer("GET").status, 200);
    }
    let mut third = Client::sent(proxy.address, get("/third"));
    let answer = refused(&mut third, 429, "too_many_client_connections", "the third");
    assert!(answer.field("retry-after").is_some());
    assert_eq!(proxy.logged("")["cause"], "too_many_client_connections");
    // The two go on, and a place that is given up is free again.
    held[0].send(get("/"));
    assert_eq!(held[0].answer("GET").status, 200);
    held.pop();
    super::eventually("a place", || {
        let mut client = Client::sent(proxy.address, get("/again"));
        (client.answer("GET").status == 200).then_some(())
    });
    assert_eq!(backend.requests("/third"), 0);
}
