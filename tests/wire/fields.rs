//! Header fields: those of one hop stay there, those that we write cannot be forged.

use super::backend::Backend;
use super::client::{Answer, Client};
use super::proxy::Proxy;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// The head that arrives for these request fields.
fn arrives(proxy: &Proxy, backend: &Backend, fields: &str) -> String {
    let before = backend.received().concat().len();
    let answer = proxy.ask(format!("GET / HTTP/1.1\r\nHost: shop.example\r\n{fields}\r\n"));
    assert_eq!(answer.status, 200, "{fields:?}");
    backend.received().concat().split_off(before)
}

#[test]
fn request_fields_of_one_hop_stay_there() {
    let backend = Backend::answering(OK);
    let proxy = Proxy::before(&backend);
    for (fields, gone, there) in [
        ("Connection: X-Mine, close\r\nX-Mine: 1\r\nX-Yours: 2\r\n", "mine", "x-yours: 2\r\n"),
        ("Connection: x-a\r\nConnection: x-b\r\nX-A: 1\r\nX-B: 2\r\nX-C: 3\r\n", "x-b", "x-c: 3"),
        ("Keep-Alive: timeout=5\r\n", "keep-alive", "Host: shop.example\r\n"),
        ("Proxy-Connection: keep-alive\r\n", "proxy-connection", "Via: 1.1 causeway-"),
        ("Proxy: http://evil.example/\r\n", "evil", "Via: 1.1 causeway-"),
        ("Proxy-Authorization: Basic eDp5\r\n", "proxy-authorization", "Via: 1.1 causeway-"),
        ("TE: gzip\r\n", "te: gzip", "Via: 1.1 causeway-"),
        ("TE: trailers, gzip\r\nConnection: TE\r\n", "gzip", "Connection: TE\r\nTE: trailers\r\n"),
        ("Upgrade: websocket\r\n", "upgrade", "Via: 1.1 causeway-"),
        ("Forwarded: for=192.0.2.9\r\n", "192.0.2.9", "X-Forwarded-For: 127.0.0.1\r\n"),
        ("X-Forwarded-For: 192.0.2.9\r\n", "192.0.2.9", "X-Forwarded-For: 127.0.0.1\r\n"),
        ("X-Forwarded-Proto: https\r\n", "https", "X-Forwarded-Proto: http\r\n"),
        ("X-Forwarded-Host: evil\r\n", "evil", "X-Forwarded-Host: shop.example\r\n"),
        ("Via: 1.1 other\r\n", "no such text", "Via: 1.1 other, 1.1 causeway-"),
        ("Authorization: Basic eDp5\r\n", "no such text", "authorization: Basic eDp5\r\n"),
        ("X-Bytes: caf\u{e9}\r\n", "no such text", "x-bytes: caf\u{e9}\r\n"),
        ("Cookie: a=1\r\nCookie: b=2\r\n", "no such text", "cookie: a=1\r\ncookie: b=2\r\n"),
    ] {
        let head = arrives(&proxy, &backend, fields);
        assert!(!head.to_ascii_lowercase().contains(gone), "{fields:?} became {head}");
        assert!(head.contains(there), "{fields:?} became {head}");
    }
}

#[test]
fn a_trusted_proxy_is_believed() {
    let backend = Backend::answering(OK);
    let server = backend.server();
    let proxy = Proxy::with(&format!(
        "[upstream.app]\nservers = [\"{server}\"]\n[page]\ntrusted_proxies = [\"127.0.0.0/8\"]\n"
    ));
    for (fields, there) in [
        ("X-Forwarded-For: 192.0.2.9\r\n", "X-Forwarded-For: 192.0.2.9, 127.0.0.1\r\n"),
        ("X-Forwarded-Proto: https\r\n", "X-Forwarded-Proto: https\r\n"),
        ("X-Forwarded-Host: outer\r\n", "X-Forwarded-Host: outer\r\n"),
        ("Forwarded: for=192.0.2.9\r\n", "forwarded: for=192.0.2.9\r\n"),
        ("", "X-Forwarded-For: 127.0.0.1\r\n"),
    ] {
        let head = arrives(&proxy, &backend, fields);
        assert!(head.contains(there), "{fields:?} became {head}");
    }
}

#[test]
fn the_target_arrives_as_it_was_asked() {
    let backend = Backend::answering(OK);
    let proxy = Proxy::before(&backend);
    for (asked, host, arrives) in [
        ("GET /a?b=c&d=%20 HTTP/1.1\r\nHost: A.b:80\r\n", "A.b:80", "GET /a?b=c&d=%20 "),
        ("GET /a/../b/%2e%2e//c HTTP/1.1\r\nHost: a\r\n", "a", "GET /a/../b/%2e%2e//c "),
        ("GET http://a.b/x?y HTTP/1.1\r\nHost: a.b\r\n", "a.b", "GET /x?y "),
        ("GET http://a.b HTTP/1.1\r\nHost: a.b\r\n", "a.b", "GET / "),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n", "a", "OPTIONS * "),
        ("PROPFIND /x HTTP/1.1\r\nHost: [::1]:80\r\n", "[::1]:80", "PROPFIND /x "),
        ("GET /{\"}|? HTTP/1.1\r\nHost: a\r\n", "a", "GET /{\"}|? "),
    ] {
        let before = backend.received().concat().len();
        let answer = proxy.ask(format!("{asked}\r\n"));
        assert_eq!(answer.status, 200, "{asked:?}: {answer:?}");
        let head = backend.received().concat().split_off(before);
        let expected = format!("{arrives}HTTP/1.1\r\nHost: {host}\r\n");
        assert!(head.starts_with(&expected), "{asked:?} became {head}");
    }
}

/// What a client gets of these answer fields.
fn passes(fields: &str) -> Answer {
    let backend =
        Backend::answering(format!("HTTP/1.1 200 Fine\r\n{fields}Content-Length: 2\r\n\r\nok"));
    Proxy::before(&backend).get("/")
}

#[test]
fn answer_fields_of_one_hop_stay_there() {
    for (fields, gone, there) in [
        ("Connection: X-Mine\r\nX-Mine: 1\r\nX-Yours: 2\r\n", "x-mine", ("x-yours", "2")),
        ("Keep-Alive: timeout=5\r\nServer: x\r\n", "keep-alive", ("server", "x")),
        ("Connection: close\r\nServer: x\r\n", "connection", ("server", "x")),
        ("Proxy-Connection: close\r\nServer: x\r\n", "proxy-connection", ("server", "x")),
        ("Upgrade: h2c\r\nConnection: upgrade\r\nServer: x\r\n", "upgrade", ("server", "x")),
        ("Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n", "x-none", ("set-cookie", "a=1")),
        ("Date: Sat, 21 Nov 2026 06:00:00 GMT\r\n", "x", ("date", "Sat, 21 Nov 2026 06:00:00 GMT")),
    ] {
        let answer = passes(fields);
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok"), "{fields:?}");
        assert_eq!(answer.field(gone), None, "{fields:?}");
        assert_eq!(answer.field(there.0), Some(there.1), "{fields:?}");
        assert_eq!(answer.fields("date").len(), 1, "{fields:?}");
        assert_eq!(answer.field("proxy-status"), None, "{fields:?}");
    }
    assert_eq!(passes("Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n").fields("set-cookie").len(), 2);
}

#[test]
fn an_upstreams_own_error_passes_with_its_status_named() {
    let backend = Backend::answering("HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy");
    let answer = Proxy::before(&backend).get("/");
    assert_eq!((answer.status, answer.body.as_str()), (503, "busy"));
    let said = "causeway; received-status=503; details=\"upstream_unavailable\"";
    assert_eq!(answer.field("proxy-status"), Some(said));
}

#[test]
fn a_proxy_before_itself_is_a_loop() {
    // The upstream sends what it gets to the proxy again: the second time it is known.
    let (tell, told) = std::sync::mpsc::channel::<std::net::SocketAddr>();
    let told = std::sync::Mutex::new(told);
    let backend = Backend::scripted(move |peer| {
        let Some(head) = peer.request() else { return };
        let proxy = told.lock().unwrap().recv().unwrap();
        let answer = Client::sent(proxy, head).answer("GET");
        let body = format!("{} {}", answer.status, answer.cause());
        peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    });
    let proxy = Proxy::before(&backend);
    tell.send(proxy.address).unwrap();
    assert_eq!(proxy.get("/").body, "502 loop_detected");
    assert_eq!(backend.connections(), 1);
}
