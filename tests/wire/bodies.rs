//! Bodies on their way: re-encoded, asked for, answered early, sent no faster than they are read.

use std::io::{ErrorKind, Write};
use std::sync::mpsc;
use std::time::Duration;

use super::backend::Backend;
use super::client::{Client, End};
use super::proxy::{Program, Proxy, get};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Takes a body up to this marker, then answers.
fn taking(marker: &'static str) -> Backend {
    Backend::scripted(move |peer| {
        while peer.request().is_some() && peer.until(marker).is_some() {
            peer.send(OK);
        }
    })
}

#[test]
fn uploads_reach_the_upstream_in_the_one_normal_form() {
    // The fields and the body as the client sends them, the body as it arrives.
    for (fields, sent, arrives) in [
        ("Content-Length: 5\r\n", "hello", "hello"),
        ("Content-Length: 5\r\nContent-Length: 5\r\n", "hello", "hello"),
        ("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n"),
        (
            "Transfer-Encoding: Chunked\r\n",
            "0005;a=b;c=\"d\"\r\nhello\r\n000\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
        ),
        (
            "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n",
            "A\r\n0123456789\r\n0\r\nX-Sum: 1\r\nHost: b\r\nX-Forwarded-For: 127.0.0.1\r\n\
             Content-Length: 3\r\nX-Other: 2\r\n\r\n",
            "a\r\n0123456789\r\n0\r\nx-sum: 1\r\nx-other: 2\r\n\r\n",
        ),
    ] {
        let backend = taking(if arrives.ends_with("hello") { "hello" } else { "\r\n\r\n" });
        let proxy = Proxy::before(&backend);
        let head = format!("POST /up HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        // On the same connection, the next request begins where the body ended.
        let mut client = Client::sent(proxy.address, format!("{head}{sent}{head}{sent}"));
        for _ in 0..2 {
            assert_eq!(client.answer("POST").body, "ok", "{fields:?}");
        }
        let all = backend.received().concat();
        let requests: Vec<&str> = all.split("POST /up HTTP/1.1\r\n").skip(1).collect();
        assert_eq!(requests.len(), 2, "{all:?}");
        for request in requests {
            let (head, body) = request.split_once("\r\n\r\n").unwrap();
            assert_eq!(body, arrives, "{fields:?}");
            let chunked = head.matches("Transfer-Encoding: chunked").count();
            let length = head.matches("Content-Length: 5").count();
            let expected = if arrives == "hello" { (0, 1) } else { (1, 0) };
            assert_eq!((chunked, length), expected, "{head}");
        }
    }
}

#[test]
fn a_body_is_passed_on_piece_by_piece() {
    let backend = taking("0\r\n\r\n");
    let proxy = Proxy::before(&backend);
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut client = Client::sent(proxy.address, head);
    for piece in ["one", "two", "three"] {
        client.send(format!("{:x}\r\n{piece}\r\n", piece.len()));
        backend.received_with(&format!("{:x}\r\n{piece}\r\n", piece.len()));
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.answer("POST").status, 200);
}

#[test]
fn a_body_that_was_asked_for_is_sent_after_the_continue() {
    let backend = Backend::scripted(|peer| {
        if let Some(head) = peer.request() {
            assert!(head.contains("Expect: 100-continue\r\n"), "{head}");
            peer.send("HTTP/1.1 100 Continue\r\n\r\n");
            peer.until("hello");
            peer.send(OK);
        }
    });
    let proxy = Proxy::before(&backend);
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    let mut client = Client::sent(proxy.address, head);
    assert_eq!(client.until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("hello");
    assert_eq!(client.answer("POST").body, "ok");
}

#[test]
fn a_body_that_nobody_asks_for_is_sent_all_the_same() {
    // Servers of HTTP/1.0 know no 100 (RFC 9110 section 10.1.1).
    let backend = taking("hello");
    let proxy = Proxy::before(&backend);
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    let mut patient = Client::sent(proxy.address, head);
    assert_eq!(patient.until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    patient.send("hello");
    assert_eq!(patient.answer("POST").body, "ok");
    // Nor do all clients wait.
    let mut hasty = Client::sent(proxy.address, format!("{head}hello"));
    assert_eq!(hasty.answer("POST").body, "ok");
}

#[test]
fn a_body_that_is_refused_at_once_is_never_sent() {
    for status in ["417 Expectation Failed", "413 Content Too Large", "401 Unauthorized"] {
        let (over, ended) = mpsc::channel();
        let backend = Backend::scripted(move |peer| {
            peer.request();
            peer.send(format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nno"));
            // Where the body would come, the connection's end must.
            peer.drain();
            over.send(()).unwrap();
        });
        let proxy = Proxy::before(&backend);
        let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\
                       Expect: 100-continue\r\n\r\n";
        let mut client = Client::sent(proxy.address, request);
        let answer = client.answer("POST");
        assert_eq!((answer.status.to_string().as_str(), &*answer.body), (&status[..3], "no"));
        ended.recv_timeout(super::PATIENCE).unwrap();
        let received = backend.received().concat();
        assert!(received.ends_with("\r\n\r\n"), "{received:?}");
        // Whether the client still sends the body nobody can know: the connection ends.
        assert_eq!(client.rest(), (String::new(), End::Fin), "{status}");
    }
}

#[test]
fn an_early_answer_reaches_a_client_in_mid_upload_whole() {
    const UPLOAD: usize = 5_000_000;
    let page = "x".repeat(3000);
    // What the upstream does after its answer; a close with bytes unread becomes a reset.
    for after in ["reads on", "half-closes", "closes"] {
        let body = page.clone();
        let backend = Backend::scripted(move |peer| {
            peer.request();
            let head = format!("HTTP/1.1 413 Content Too Large\r\nContent-Length: {}", body.len());
            peer.send(format!("{head}\r\nConnection: close\r\n\r\n{body}"));
            match after {
                "reads on" => peer.drain(),
                "half-closes" => {
                    peer.finish();
                    peer.drain();
                }
                _ => {}
            }
        });
        let proxy = Proxy::before(&backend);
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {UPLOAD}\r\n\r\n");
        let mut client = Client::sent(proxy.address, head);
        let mut writer = client.stream.try_clone().unwrap();
        let upload = std::thread::spawn(move || {
            // It may be cut off: nobody wants it.
            let _ = writer.write_all(&vec![b'u'; UPLOAD]);
        });
        let answer = client.answer("POST");
        assert_eq!((answer.status, answer.body.len(), answer.whole), (413, 3000, true), "{after}");
        upload.join().unwrap();
    }
}

#[test]
fn a_page_reaches_a_client_in_mid_upload_whole() {
    const UPLOAD: usize = 5_000_000;
    let proxy = Proxy::with(&format!(
        "[upstream.app]\nservers = [\"{}\"]\nhosts = [\"a\"]\n",
        super::backend::refusing()
    ));
    for (host, cause) in [("a", "connection_refused"), ("b", "no_upstream_configured")] {
        let head = format!("POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: {UPLOAD}\r\n\r\n");
        let mut client = Client::sent(proxy.address, head);
        let mut writer = client.stream.try_clone().unwrap();
        let upload = std::thread::spawn(move || {
            let _ = writer.write_all(&vec![b'u'; UPLOAD]);
        });
        let answer = client.answer("POST");
        assert_eq!((answer.cause(), answer.whole), (cause, true), "{host}");
        upload.join().unwrap();
    }
}

#[test]
fn an_event_stream_is_let_go_before_its_first_event() {
    let (go, gone) = mpsc::channel();
    let gone = std::sync::Mutex::new(gone);
    let backend = Backend::scripted(move |peer| {
        while let Some(request) = peer.request() {
            let field = match request.contains(" /events ") {
                true => "Content-Type: text/event-stream; charset=utf-8",
                false => "X-Accel-Buffering: no",
            };
            peer.send(format!("HTTP/1.1 200 OK\r\n{field}\r\nTransfer-Encoding: chunked\r\n\r\n"));
            gone.lock().unwrap().recv().unwrap();
            peer.send("8\r\ndata: 1\n\r\n0\r\n\r\n");
        }
    });
    let proxy = Proxy::before(&backend);
    let mut client = Client::connect(proxy.address);
    for path in ["/events", "/other"] {
        client.send(get(path));
        let head = client.until("\r\n\r\n");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        go.send(()).unwrap();
        client.until("data: 1\n");
        client.until("0\r\n\r\n");
    }
}

/// How much more memory than this a stalled body may cost.
const GROWTH_KIB: u64 = 20 * 1024;

#[test]
fn a_client_that_does_not_read_stops_the_upstream() {
    let (stalled, stall) = mpsc::channel();
    let backend = Backend::scripted(move |peer| {
        let Some(head) = peer.request() else { return };
        if head.contains(" /small ") {
            peer.send(OK);
            peer.request();
        }
        peer.stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 200000000\r\n\r\n");
        stalled.send(write_until_stalled(&mut peer.stream, 200_000_000)).unwrap();
        peer.drain();
    });
    let program = Program::before(&backend.server(), "");
    assert_eq!(Client::sent(program.address, get("/small")).answer("GET").status, 200);
    let before = program.memory_kib();
    let _unread = Client::sent(program.address, get("/big"));
    let sent = stall.recv_timeout(super::PATIENCE).unwrap();
    assert!(sent < 100_000_000, "the upstream could send {sent} bytes");
    let growth = program.memory_kib().saturating_sub(before);
    assert!(growth < GROWTH_KIB, "{growth} KiB more");
}

#[test]
fn an_upstream_that_does_not_read_stops_the_client() {
    let backend = Backend::scripted(|peer| {
        let Some(head) = peer.request() else { return };
        if head.contains(" /small ") {
            peer.send(OK);
            peer.request();
        }
        // Held open, and not read.
        std::thread::park_timeout(super::PATIENCE);
    });
    let program = Program::before(&backend.server(), "");
    assert_eq!(Client::sent(program.address, get("/small")).answer("GET").status, 200);
    let before = program.memory_kib();
    let head = "POST /big HTTP/1.1\r\nHost: a\r\nContent-Length: 200000000\r\n\r\n";
    let mut client = Client::sent(program.address, head);
    client.stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let sent = write_until_stalled(&mut client.stream, 200_000_000);
    assert!(sent < 100_000_000, "the client could send {sent} bytes");
    let growth = program.memory_kib().saturating_sub(before);
    assert!(growth < GROWTH_KIB, "{growth} KiB more");
}

/// Writes until nothing more is taken for the length of the write time-out; how much was.
fn write_until_stalled(stream: &mut std::net::TcpStream, most: usize) -> usize {
    let piece = vec![b'x'; 64 * 1024];
    let mut sent = 0;
    while sent < most {
        match stream.write(&piece) {
            Ok(written) => sent += written,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return sent;
            }
            Err(error) => panic!("{error} after {sent} bytes"),
        }
    }
    sent
}

#[test]
fn a_client_that_leaves_ends_the_exchange() {
    let (over, ended) = mpsc::channel();
    let backend = Backend::scripted(move |peer| {
        peer.request();
        peer.drain();
        over.send(()).unwrap();
    });
    let proxy = Proxy::before(&backend);
    let client = Client::sent(proxy.address, get("/left"));
    backend.received_with("\r\n\r\n");
    drop(client);
    ended.recv_timeout(super::PATIENCE).unwrap();
    let line = proxy.logged("/left");
    assert_eq!((&line["cause"], &line["status"]), (&"client_gone".into(), &499.into()), "{line}");
}

#[test]
fn a_client_that_leaves_in_mid_answer_ends_the_exchange() {
    let (over, ended) = mpsc::channel();
    let backend = Backend::scripted(move |peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while peer.send("5\r\nhello\r\n") {}
        over.send(()).unwrap();
    });
    let proxy = Proxy::before(&backend);
    let mut client = Client::sent(proxy.address, get("/left"));
    client.until("hello");
    drop(client);
    ended.recv_timeout(super::PATIENCE).unwrap();
    let line = proxy.logged("/left");
    assert_eq!((&line["cause"], &line["status"]), (&"client_gone".into(), &200.into()), "{line}");
    assert!(line["bytes"].as_u64().unwrap() >= 5, "{line}");
}

/// Whoever is not told that the connection ends would send his next request in vain.
#[test]
fn a_page_before_the_upload_was_read_says_that_the_connection_ends() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port();
    drop(holder);
    let proxy = Proxy::with(&format!(
        "[upstream.down]\nservers = [\"http://127.0.0.1:{port}\"]\n\
         [upstream.closed]\nservers = [\"http://127.0.0.1:{port}\"]\n\
         paths = [\"/closed\"]\nmaintenance = true\n"
    ));
    for (path, status) in [("/", 502), ("/closed", 503)] {
        let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n");
        let mut client = Client::sent(proxy.address, head.clone() + "begun");
        let answer = client.answer("POST");
        assert_eq!((answer.status, answer.field("connection")), (status, Some("close")));
        assert_eq!(client.rest().1, End::Fin, "{path}");
        // Without a body it stays, and with one that has come.
        let mut client = Client::connect(proxy.address);
        for request in [get(path), head + "it is all", get(path)] {
            client.send(request);
            let answer = client.answer("GET");
            assert_eq!((answer.status, answer.field("connection")), (status, None));
        }
    }
}

#[test]
fn a_connection_whose_upload_was_not_finished_ends() {
    let proxy = Proxy::before(&Backend::answering(OK));
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\nonly this";
    let mut client = Client::sent(proxy.address, head);
    assert_eq!(client.answer("POST").status, 200);
    // What comes next would be the body; no request must be seen in it.
    client.finish();
    let (rest, end) = client.rest();
    assert_eq!((rest.as_str(), end), ("", End::Fin));
    assert_eq!(proxy.logged("/")["status"], 200);
}

#[test]
fn an_upload_that_was_cut_never_looks_whole() {
    for (fields, sent) in [
        ("Content-Length: 15\r\n", "hello"),
        ("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n"),
        ("Transfer-Encoding: chunked\r\n", "a\r\nhello"),
        ("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n"),
    ] {
        let (over, ended) = mpsc::channel();
        let backend = Backend::scripted(move |peer| {
            peer.drain();
            over.send(()).unwrap();
        });
        let proxy = Proxy::before(&backend);
        let head = format!("POST /cut HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let client = Client::sent(proxy.address, format!("{head}{sent}"));
        backend.received_with("hello");
        drop(client);
        ended.recv_timeout(super::PATIENCE).unwrap();
        let all = backend.received().concat();
        assert!(!all.contains("0\r\n\r\n"), "{fields:?} {sent:?} became {all:?}");
        assert_eq!(proxy.logged("/cut")["cause"], "client_gone", "{fields:?} {sent:?}");
    }
}
