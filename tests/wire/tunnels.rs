//! Upgraded connections: bytes both ways, their ends, and upgrades that are none.

use super::backend::Backend;
use super::client::{Client, End};
use super::proxy::{Proxy, get};

const ASK: &str = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\n\
                   Upgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                      Upgrade: websocket\r\nSec-WebSocket-Accept: y\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Switches with `first` right behind the head, then echoes until the end.
fn echoing(first: &'static str) -> Backend {
    Backend::scripted(move |peer| {
        peer.request();
        peer.send(format!("{SWITCH}{first}"));
        while let Some(line) = peer.until("\n") {
            peer.send(format!("echo {line}"));
        }
        peer.send("farewell");
    })
}

#[test]
fn bytes_go_both_ways_and_so_does_the_end() {
    let backend = echoing("greetings\n");
    let proxy = Proxy::before(&backend);
    // Bytes that the client sends before it has the answer wait for it.
    let mut client = Client::sent(proxy.address, format!("{ASK}early\n"));
    let answer = client.answer("GET");
    assert_eq!(answer.status, 101);
    assert_eq!(answer.field("upgrade"), Some("websocket"));
    assert_eq!(answer.field("connection"), Some("upgrade"));
    assert_eq!(answer.field("sec-websocket-accept"), Some("y"));
    assert_eq!(client.until("\n"), "greetings\n");
    assert_eq!(client.until("\n"), "echo early\n");
    for line in ["one\n", "GET / HTTP/1.1\n", "\0\n"] {
        client.send(line);
        assert_eq!(client.until("\n"), format!("echo {line}"));
    }
    client.finish();
    assert_eq!(client.rest(), ("farewell".to_owned(), End::Fin));
    let head = backend.received().concat();
    assert!(head.contains("Connection: upgrade\r\nUpgrade: websocket\r\n"), "{head}");
    let line = proxy.logged("/ws");
    assert_eq!((&line["status"], line.get("cause")), (&101.into(), None), "{line}");
}

#[test]
fn much_goes_through_a_tunnel_unharmed() {
    const BYTES: usize = 4_000_000;
    let backend = Backend::scripted(|peer| {
        peer.request();
        peer.send(SWITCH);
        while let Some(line) = peer.until("\n") {
            peer.send(line);
        }
    });
    let proxy = Proxy::before(&backend);
    let mut client = Client::sent(proxy.address, ASK);
    assert_eq!(client.answer("GET").status, 101);
    let lines: String = (0..BYTES / 100).map(|number| format!("{number:099}\n")).collect();
    let mut writer = client.stream.try_clone().unwrap();
    let expected = lines.clone();
    let sending = std::thread::spawn(move || {
        std::io::Write::write_all(&mut writer, lines.as_bytes()).unwrap();
        writer.shutdown(std::net::Shutdown::Write).unwrap();
    });
    let (echo, end) = client.rest();
    sending.join().unwrap();
    assert!(echo == expected, "{} of {} bytes came back", echo.len(), expected.len());
    assert_eq!(end, End::Fin);
}

#[test]
fn one_side_that_ends_ends_the_tunnel() {
    for reset in [false, true] {
        let backend = Backend::scripted(move |peer| {
            peer.request();
            peer.send(SWITCH);
            peer.until("enough\n");
            if reset {
                peer.reset();
            } else {
                peer.send("last words");
            }
        });
        let proxy = Proxy::before(&backend);
        let mut client = Client::sent(proxy.address, ASK);
        assert_eq!(client.answer("GET").status, 101);
        client.send("enough\n");
        let (rest, end) = client.rest();
        assert_eq!(rest, if reset { "" } else { "last words" });
        assert_ne!(end, End::Open);
        drop(client);
        assert_eq!(proxy.logged("/ws")["status"], 101);
    }
    // And a client that leaves: the upstream is told.
    let (over, ended) = std::sync::mpsc::channel();
    let backend = Backend::scripted(move |peer| {
        peer.request();
        peer.send(SWITCH);
        peer.drain();
        over.send(()).unwrap();
    });
    let proxy = Proxy::before(&backend);
    let mut client = Client::sent(proxy.address, ASK);
    assert_eq!(client.answer("GET").status, 101);
    drop(client);
    ended.recv_timeout(super::PATIENCE).unwrap();
}

#[test]
fn a_silent_tunnel_ends() {
    let backend = echoing("");
    let timeouts = "[upstream.app.timeouts]\nidle = \"300ms\"\n";
    let proxy = Proxy::block(&[backend.server()], timeouts);
    let mut client = Client::sent(proxy.address, ASK);
    assert_eq!(client.answer("GET").status, 101);
    client.send("one\n");
    assert_eq!(client.until("\n"), "echo one\n");
    let (rest, end) = client.rest();
    assert_eq!((rest.as_str(), end != End::Open), ("", true));
    let line = proxy.logged("/ws");
    assert_eq!((&line["status"], &line["bytes"]), (&101.into(), &"echo one\n".len().into()));
}

#[test]
fn an_upgrade_that_is_declined_leaves_the_connection_usable() {
    let backend = Backend::answering(OK);
    let proxy = Proxy::before(&backend);
    // The next request stands behind the first one already.
    let mut client = Client::sent(proxy.address, format!("{ASK}{}", get("/next")));
    assert_eq!(client.answer("GET").body, "ok");
    assert_eq!(client.answer("GET").body, "ok");
    assert_eq!(backend.requests("/next"), 1);
    // And what stands there is judged as any other.
    let mut client = Client::sent(proxy.address, format!("{ASK}GET /bad HTTP/1.1\r\n\r\n"));
    assert_eq!(client.answer("GET").body, "ok");
    assert_eq!(client.answer("GET").status, 400);
    assert_eq!(client.rest(), (String::new(), End::Fin));
}

#[test]
fn a_switch_that_was_not_asked_for_is_a_failure() {
    let other = SWITCH.replace("websocket", "other");
    for (asked, answer) in [
        (get("/"), SWITCH),
        (ASK.to_owned(), other.as_str()),
        (ASK.to_owned(), "HTTP/1.1 101 Switching Protocols\r\n\r\n"),
        // Connection does not name it.
        (ASK.replace("keep-alive, Upgrade", "keep-alive"), SWITCH),
        // HTTP/1.0 knows no upgrade.
        (ASK.replace("HTTP/1.1", "HTTP/1.0"), SWITCH),
    ] {
        let backend = Backend::answering(format!("{answer}tunnelled bytes"));
        let proxy = Proxy::before(&backend);
        let mut client = Client::sent(proxy.address, &asked);
        let page = client.answer("GET");
        assert_eq!((page.status, page.cause()), (502, "upgrade_failed"), "{asked:?} {answer:?}");
        assert!(!page.body.contains("tunnelled"), "{page:?}");
    }
}
