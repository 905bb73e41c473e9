//! Requests and answers in all their shapes: keep-alive, pipelines, old clients, codings, interim
//! answers.

use super::backend::Backend;
use super::client::{Client, End};
use super::proxy::{Proxy, get};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn connections_are_kept_on_both_sides() {
    let backend = Backend::answering(OK);
    let proxy = Proxy::before(&backend);
    let mut client = Client::connect(proxy.address);
    for number in 0..5 {
        client.send(get(&format!("/{number}")));
        let answer = client.answer("GET");
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok"));
        assert_eq!(answer.field("connection"), None);
    }
    // A second client finds the connection that the first one's requests have left.
    assert_eq!(proxy.get("/5").status, 200);
    assert_eq!(backend.connections(), 1);
    assert_eq!(proxy.logged("/0")["reused"], false);
    assert_eq!(proxy.logged("/5")["reused"], true);
}

#[test]
fn each_side_may_ask_for_the_end() {
    let closing = OK.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    let backend = Backend::scripted(move |peer| {
        peer.request();
        peer.send(&closing);
        peer.drain();
    });
    let proxy = Proxy::before(&backend);
    // An upstream that will close is not asked again; the client's connection stays.
    let mut client = Client::connect(proxy.address);
    for path in ["/1", "/2", "/3"] {
        client.send(get(path));
        let answer = client.answer("GET");
        assert_eq!((answer.status, answer.field("connection")), (200, None));
        assert_eq!(proxy.logged(path)["attempts"], 1);
    }
    assert_eq!(backend.connections(), 3);
    // A client that will close is not listened to any more.
    let last = get("/last").replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    client.send(last + &get("/never"));
    let answer = client.answer("GET");
    assert_eq!((answer.status, answer.field("connection")), (200, Some("close")));
    assert_ne!(client.rest().1, End::Open);
    assert_eq!(backend.requests("/never"), 0);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let backend = Backend::scripted(|peer| {
        while let Some(head) = peer.request() {
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            if head.contains("Content-Length: 5") {
                peer.until("body!");
            }
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}", path.len()));
        }
    });
    let proxy = Proxy::before(&backend);
    let post = "POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nbody!";
    for (second, expected) in [
        (get("/b"), Some("/b")),
        (post.to_owned(), Some("/b")),
        // One that is refused ends the pipeline: what stands before it is answered.
        ("GET /b HTTP/1.1\r\nHost : a\r\n\r\n".to_owned(), None),
        ("GET /b HTTP/1.1\r\n\r\n".to_owned(), None),
        ("nonsense\r\n\r\n".to_owned(), None),
    ] {
        let all = format!("{}{second}{}", get("/a"), get("/c"));
        let mut client = Client::sent(proxy.address, all);
        let first = client.answer("GET");
        assert_eq!((first.status, first.body.as_str()), (200, "/a"), "before {second:?}");
        let answer = client.answer("GET");
        let Some(expected) = expected else {
            assert_eq!(answer.status, 400, "{second:?}");
            assert_eq!(answer.field("connection"), Some("close"));
            assert_eq!(client.rest(), (String::new(), End::Fin), "{second:?}");
            continue;
        };
        assert_eq!((answer.status, answer.body.as_str()), (200, expected), "{second:?}");
        assert_eq!(client.answer("GET").body, "/c");
    }
}

#[test]
fn a_long_pipeline_is_answered_to_its_end() {
    const REQUESTS: usize = 300;
    let backend = Backend::scripted(|peer| {
        while let Some(head) = peer.request() {
            let path = head.split(' ').nth(1).unwrap().to_owned();
            if head.starts_with("POST") {
                peer.until(&format!("<{path}>"));
            }
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}", path.len()));
        }
    });
    let proxy = Proxy::before(&backend);
    let mut all = String::new();
    for number in 0..REQUESTS {
        let path = format!("/{number}");
        let padding = "x".repeat(number * 37 % 3000);
        let body = format!("{padding}<{path}>");
        all += &match number % 3 {
            0 => get(&path),
            1 => format!(
                "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ),
            _ => format!(
                "POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                 {:x}\r\n{body}\r\n0\r\n\r\n",
                body.len()
            ),
        };
    }
    let mut client = Client::connect(proxy.address);
    let mut writer = client.stream.try_clone().unwrap();
    let sending = std::thread::spawn(move || {
        std::io::Write::write_all(&mut writer, all.as_bytes()).unwrap();
    });
    for number in 0..REQUESTS {
        let answer = client.answer("GET");
        assert_eq!((answer.status, answer.body), (200, format!("/{number}")));
    }
    sending.join().unwrap();
}

#[test]
fn clients_of_http_1_0_get_what_they_can_read() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    // What the upstream answers, what the client asks, whether the connection stays.
    for (upstream, fields, stays) in [
        (OK, "", false),
        (OK, "Host: shop.example\r\n", false),
        (OK, "Connection: keep-alive\r\n", true),
        (chunked, "", false),
    ] {
        let backend = Backend::answering(upstream);
        let proxy = Proxy::before(&backend);
        let request = format!("GET / HTTP/1.0\r\n{fields}\r\n");
        let mut client = Client::sent(proxy.address, &request);
        let answer = client.answer("GET");
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok"), "{request:?}");
        assert_eq!(answer.field("transfer-encoding"), None, "{request:?}");
        let head = backend.received().concat();
        let host = if fields.contains("Host") { "shop.example".into() } else { backend.server() };
        let host = host.trim_start_matches("http://");
        assert!(head.starts_with(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n")), "{head}");
        assert!(head.contains("Via: 1.0 causeway"), "{head}");
        if stays {
            assert_eq!(answer.field("connection"), Some("keep-alive"));
            client.send(&request);
            assert_eq!(client.answer("GET").body, "ok");
        } else {
            assert_eq!(client.rest(), (String::new(), End::Fin), "{request:?}");
        }
    }
}

#[test]
fn answers_without_a_body_have_none() {
    for (method, upstream, status, fields) in [
        ("HEAD", "200 OK\r\nContent-Length: 1234\r\n", 200, Some(("content-length", "1234"))),
        ("HEAD", "200 OK\r\nTransfer-Encoding: chunked\r\n", 200, None),
        ("HEAD", "404 Not Found\r\nContent-Length: 9\r\n", 404, Some(("content-length", "9"))),
        ("GET", "204 No Content\r\n", 204, None),
        ("GET", "304 Not Modified\r\nETag: \"x\"\r\n", 304, Some(("etag", "\"x\""))),
        ("GET", "304 Not Modified\r\nContent-Length: 77\r\n", 304, None),
        ("POST", "204 No Content\r\n", 204, None),
    ] {
        let backend = Backend::answering(format!("HTTP/1.1 {upstream}\r\n"));
        let proxy = Proxy::before(&backend);
        let mut client = Client::connect(proxy.address);
        // Twice on one connection: a byte of a body would stand before the second answer.
        for _ in 0..2 {
            client.send(format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n"));
            let answer = client.answer(method);
            assert_eq!(answer.status, status, "{method} {upstream:?}");
            if let Some((name, value)) = fields {
                assert_eq!(answer.field(name), Some(value), "{method} {upstream:?}");
            }
        }
        assert_eq!(backend.connections(), 1, "{method} {upstream:?}");
    }
}

#[test]
fn a_page_leaves_the_connection_usable() {
    let proxy = Proxy::block(&[super::backend::refusing()], "");
    let mut client = Client::connect(proxy.address);
    for (method, length) in [("GET", ""), ("HEAD", ""), ("POST", "Content-Length: 0\r\n")] {
        client.send(format!("{method} / HTTP/1.1\r\nHost: a\r\n{length}\r\n"));
        let answer = client.answer(method);
        assert_eq!((answer.status, answer.cause()), (502, "connection_refused"), "{method}");
        assert_eq!((answer.whole, answer.body.is_empty()), (true, method == "HEAD"), "{method}");
        let length: usize = answer.field("content-length").unwrap().parse().unwrap();
        assert!(length > 100, "{method}: {length}");
    }
}

#[test]
fn chunked_answers_are_passed_on_with_their_trailers() {
    let backend = Backend::answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
         5;ext=1\r\nhello\r\n006\r\n world\r\n0\r\nX-Sum: 42\r\n\r\n",
    );
    let proxy = Proxy::before(&backend);
    let asked = "GET /trailers HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n\r\n";
    let mut client = Client::connect(proxy.address);
    for _ in 0..2 {
        client.send(asked);
        let answer = client.answer("GET");
        assert_eq!(answer.body, "hello world", "{answer:?}");
        assert!(answer.whole);
        assert_eq!(answer.trailers, ["x-sum: 42"]);
    }
    // A client that did not ask for them gets a whole body all the same.
    let answer = proxy.get("/");
    assert!(answer.whole && answer.body == "hello world", "{answer:?}");
    assert_eq!(backend.connections(), 1);
    // Such an answer is complete for the log too.
    assert_eq!(proxy.logged("/trailers")["cause"], serde_json::Value::Null);
}

#[test]
fn trailers_that_come_late_are_passed_on() {
    let (go, gone) = std::sync::mpsc::channel();
    let gone = std::sync::Mutex::new(gone);
    let backend = Backend::scripted(move |peer| {
        while peer.request().is_some() {
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n";
            peer.send(format!("{head}5\r\nhello\r\n"));
            gone.lock().unwrap().recv().unwrap();
            peer.send("0\r\nX-Sum: 42\r\nX-Unannounced: 1\r\n\r\n");
        }
    });
    let proxy = Proxy::before(&backend);
    let mut client = Client::connect(proxy.address);
    for _ in 0..2 {
        client.send("GET /late HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n");
        client.until("5\r\nhello\r\n");
        go.send(()).unwrap();
        // Only those that were announced.
        assert_eq!(client.until("\r\n\r\n"), "0\r\nx-sum: 42\r\n\r\n");
    }
    assert_eq!(backend.connections(), 1);
    assert_eq!(proxy.logged("/late").get("cause"), None);
}

#[test]
fn interim_answers_are_swallowed() {
    for interim in [
        "HTTP/1.1 100 Continue\r\n\r\n".to_owned(),
        "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".to_owned(),
        "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(16),
    ] {
        let proxy = Proxy::before(&Backend::answering(interim.clone() + OK));
        let mut client = Client::connect(proxy.address);
        for _ in 0..2 {
            client.send(get("/"));
            let head = client.until("\r\n\r\n");
            assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{interim:?} became {head:?}");
            assert!(!head.contains("ink:"), "{head:?}");
            client.until("ok");
        }
    }
    let endless = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(17);
    let answer = Proxy::before(&Backend::answering(endless + OK)).get("/");
    assert_eq!(answer.status, 502);
}
