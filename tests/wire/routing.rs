//! Which block and which server a request goes to, and by what socket.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;

use super::backend::{Backend, refusing};
use super::client::Client;
use super::proxy::{Proxy, get};

/// Answers with its name.
fn named(name: &str) -> Backend {
    Backend::answering(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len()))
}

#[test]
fn hosts_and_paths_choose_the_block() {
    let mut lines = String::new();
    let mut backends = Vec::new();
    for (name, rules) in [
        ("any", ""),
        ("shop", "hosts = [\"shop.example\"]\n"),
        ("wild", "hosts = [\"*.shop.example\"]\n"),
        ("cart", "hosts = [\"shop.example\"]\npaths = [\"/cart\"]\n"),
        ("api", "paths = [\"/api/v1\", \"/v1\"]\n"),
    ] {
        let backend = named(name);
        lines += &format!("[upstream.{name}]\nservers = [\"{}\"]\n{rules}", backend.server());
        backends.push(backend);
    }
    let proxy = Proxy::with(&lines);
    for (host, path, block) in [
        ("elsewhere.example", "/", "any"),
        ("shop.example", "/", "shop"),
        ("SHOP.example:8080", "/x", "shop"),
        ("www.shop.example", "/", "wild"),
        ("a.b.shop.example", "/cart", "wild"),
        ("notshop.example", "/", "any"),
        ("shop.example", "/cart", "cart"),
        ("shop.example", "/cart/1?x=/", "cart"),
        ("shop.example", "/carts", "shop"),
        ("elsewhere.example", "/api/v1/x", "api"),
        ("elsewhere.example", "/v1", "api"),
        ("elsewhere.example", "/api/v10", "any"),
    ] {
        let answer = proxy.ask(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(answer.body, block, "{host}{path}");
    }
}

#[test]
fn a_request_for_nobody_is_told_so() {
    let server = named("x").server();
    let rules = "hosts = [\"shop.example\"]\npaths = [\"/shop\"]\n";
    let proxy = Proxy::with(&format!("[upstream.app]\nservers = [\"{server}\"]\n{rules}"));
    for (host, path) in [("other.example", "/shop"), ("shop.example", "/other")] {
        let answer = proxy.ask(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(answer.cause(), "no_upstream_configured", "{host}{path}");
    }
}

/// As after the installation: the operator is told what to write and where, visitors are not.
#[test]
fn without_a_block_a_page_says_what_to_do() {
    let proxy = Proxy::with("");
    let answer = proxy.ask("GET /any HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    assert_eq!((answer.status, answer.cause()), (503, "nothing_configured"));
    assert!(answer.body.contains("servers = [\"http://localhost:8080\"]"), "{}", answer.body);
    assert!(answer.body.contains("[upstream.NAME] servers"), "{}", answer.body);
}

#[test]
fn servers_take_turns() {
    let backends = [named("a"), named("b"), named("c")];
    let servers: Vec<String> = backends.iter().map(Backend::server).collect();
    let proxy = Proxy::block(&servers, "");
    let mut client = Client::connect(proxy.address);
    let mut order = String::new();
    for _ in 0..6 {
        client.send(get("/"));
        order += &client.answer("GET").body;
    }
    assert_eq!(order, "abcabc");
    assert_eq!(backends.iter().map(Backend::connections).sum::<usize>(), 3);
}

#[test]
fn a_server_that_refuses_is_passed_over() {
    for (method, length) in [("GET", ""), ("POST", "Content-Length: 5\r\n")] {
        let backend = Backend::scripted(|peer| {
            while let Some(head) = peer.request() {
                if head.contains("Content-Length") {
                    peer.until("hello");
                }
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            }
        });
        let proxy = Proxy::block(&[refusing(), backend.server(), refusing()], "");
        let body = if length.is_empty() { "" } else { "hello" };
        for number in 0..4 {
            let path = format!("/{number}");
            let head = format!("{method} {path} HTTP/1.1\r\nHost: a\r\n{length}\r\n{body}");
            let answer = proxy.ask(head);
            assert_eq!((answer.status, answer.body.as_str()), (200, "ok"), "{method}");
            assert_eq!(backend.requests(&path), 1);
        }
        let line = proxy.logged("/0");
        assert_eq!((&line["attempts"], &line["server"]), (&2.into(), &backend.server().into()));
    }
    // With nobody left, the answer says that nothing was sent.
    let proxy = Proxy::block(&[refusing(), refusing()], "");
    let answer = proxy.ask(
        "POST /none HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\nContent-Length: 0\r\n\r\n",
    );
    assert_eq!((answer.status, answer.cause()), (502, "connection_refused"));
    assert_eq!(answer.problem("request"), "not_sent");
    assert_eq!(proxy.logged("/none")["attempts"], 2);
}

#[test]
fn an_upstream_may_be_a_unix_socket() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let server = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.set_read_timeout(Some(super::PATIENCE)).unwrap();
        let mut heard = Vec::new();
        while !heard.ends_with(b"\r\n\r\n") {
            let mut piece = [0; 4096];
            let read = socket.read(&mut piece).unwrap();
            assert!(read > 0);
            heard.extend_from_slice(&piece[..read]);
        }
        socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nunix").unwrap();
        String::from_utf8(heard).unwrap()
    });
    let proxy = Proxy::block(&[format!("http+unix:{}", path.display())], "");
    assert_eq!(proxy.get("/").body, "unix");
    let head = server.join().unwrap();
    assert!(head.starts_with("GET / HTTP/1.1\r\nHost: shop.example\r\n"), "{head}");
}

/// A server that cannot be reached costs nobody an answer, and not every request a try.
#[test]
fn a_server_that_cannot_be_reached_is_passed_over() {
    let alive = named("alive");
    let proxy = Proxy::block(&[refusing(), alive.server()], "");
    for number in 0..20 {
        assert_eq!(proxy.get(&format!("/{number}")).body, "alive");
    }
    let lines: Vec<_> = (0..20).map(|number| proxy.logged(&format!("/{number}"))).collect();
    let tried_both = lines.iter().filter(|line| line["attempts"] == 2);
    let causes: Vec<_> = tried_both.map(|line| line["retried_after"].clone()).collect();
    assert!((1..10).contains(&causes.len()), "{lines:#?}");
    assert!(causes.iter().all(|causes| *causes == serde_json::json!(["connection_refused"])));
}

/// Where none is left, nobody is asked, and the page has the cause of each.
#[test]
fn a_block_without_a_server_that_can_be_reached_says_so() {
    let servers = [refusing(), refusing()];
    let proxy = Proxy::block(&servers, "");
    let first = proxy.ask("GET /1 HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\n\r\n");
    assert_eq!(first.cause(), "connection_refused");
    let answer = proxy.ask("GET /2 HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\n\r\n");
    assert_eq!((answer.status, answer.cause()), (503, "no_healthy_upstream"), "{answer:?}");
    assert_eq!(answer.field("retry-after"), Some("5"));
    let problem: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(problem["request"], "not_sent");
    let shown = problem["evidence"]["servers"].as_str().unwrap();
    for server in servers {
        assert!(shown.contains(&format!("{server}: connection_refused")), "{shown}");
    }
}

/// A request that must not go out again takes no turn from the next one.
#[test]
fn a_failure_takes_no_turn_from_the_other_server() {
    let alive = named("alive");
    let hangs_up = Backend::scripted(|peer| {
        let _ = peer.stream.read(&mut [0; 4096]);
    });
    let proxy = Proxy::block(&[hangs_up.server(), alive.server()], "");
    let post = "POST /order HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";
    let statuses: Vec<_> = (0..4).map(|_| proxy.ask(post).status).collect();
    assert_eq!(statuses, [502, 200, 502, 200]);
}
