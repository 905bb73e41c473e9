//! Nothing lost, nothing doubled: what was sent is not sent again, what was cut looks cut.

use std::sync::mpsc;

use super::backend::{Backend, Peer};
use super::client::{Client, End};
use super::proxy::{Proxy, get};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn post(path: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\nContent-Length: 5\r\n\r\n\
         hello"
    )
}

/// How a backend lets a kept-alive connection go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Going {
    /// Before the next request is there.
    AtOnce,
    /// When its head has been read.
    OnHead,
    OnHeadByReset,
}

/// Answers one request on its first connection and lets it go; serves the others well.
fn going(how: Going) -> (Backend, mpsc::Receiver<()>) {
    let (gone, going) = mpsc::channel();
    let backend = Backend::scripted(move |peer| {
        let first = peer.number == 0;
        while let Some(head) = peer.request() {
            if head.contains("Content-Length") && !(first && how != Going::AtOnce) {
                peer.until("hello");
            }
            peer.send(OK);
            if !first {
                continue;
            }
            if how != Going::AtOnce {
                peer.request();
            }
            match how {
                Going::OnHeadByReset => peer.reset(),
                Going::AtOnce | Going::OnHead => peer.finish(),
            }
            gone.send(()).unwrap();
            return;
        }
    });
    (backend, going)
}

#[test]
fn a_stale_connection_costs_a_safe_request_nothing() {
    for how in [Going::OnHead, Going::OnHeadByReset, Going::AtOnce] {
        for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"] {
            let (backend, gone) = going(how);
            let proxy = Proxy::before(&backend);
            assert_eq!(proxy.get("/first").status, 200);
            if how == Going::AtOnce {
                gone.recv_timeout(super::PATIENCE).unwrap();
            }
            let answer = proxy.ask(format!("{method} /second HTTP/1.1\r\nHost: a\r\n\r\n"));
            assert_eq!(answer.status, 200, "{method} {how:?}: {answer:?}");
            let seen = backend.received()[1..].concat();
            assert_eq!(seen.matches(" /second ").count(), 1, "{method} {how:?}: {seen}");
            let line = proxy.logged("/second");
            assert_eq!(line.get("cause"), None, "{line}");
            if how != Going::AtOnce {
                assert_eq!((&line["attempts"], &line["reused"]), (&2.into(), &false.into()));
                assert_eq!(line["retried_after"], serde_json::json!(["stale_keepalive"]));
            }
        }
    }
}

#[test]
fn a_stale_connection_never_doubles_an_unsafe_request() {
    for how in [Going::OnHead, Going::OnHeadByReset] {
        for body in [true, false] {
            let (backend, gone) = going(how);
            let proxy = Proxy::before(&backend);
            assert_eq!(proxy.get("/first").status, 200);
            // One that could be repeated cannot once its body has begun to leave.
            let request = match body {
                true if how == Going::OnHead => post("/second").replacen("POST", "PUT", 1),
                true => post("/second"),
                false => post("/second").replace(": 5", ": 0").replace("hello", ""),
            };
            let answer = proxy.ask(request);
            gone.recv_timeout(super::PATIENCE).unwrap();
            assert_eq!((answer.status, answer.cause()), (502, "stale_keepalive"), "{how:?}");
            assert_eq!(answer.problem("request"), "may_have_been_processed");
            assert_eq!(backend.requests("/second"), 1, "{how:?}");
            assert_eq!(proxy.logged("/second")["attempts"], 1);
        }
    }
}

#[test]
fn an_unsafe_request_avoids_a_connection_that_has_ended() {
    // The end has come to our socket before the request does: nothing is sent to nobody.
    let (backend, gone) = going(Going::AtOnce);
    let proxy = Proxy::before(&backend);
    assert_eq!(proxy.get("/first").status, 200);
    gone.recv_timeout(super::PATIENCE).unwrap();
    let answer = proxy.ask(post("/second"));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(backend.requests("/second"), 1);
}

#[test]
fn what_was_read_and_not_answered_is_not_sent_again() {
    for (method, how) in [("POST", "closes"), ("POST", "resets"), ("GET", "closes")] {
        let script = move |peer: &mut Peer| {
            peer.request();
            if method == "POST" {
                peer.until("hello");
            }
            match how {
                "closes" => peer.finish(),
                _ => peer.reset(),
            }
        };
        let backends = [Backend::scripted(script), Backend::scripted(script)];
        let servers: Vec<String> = backends.iter().map(Backend::server).collect();
        let proxy = Proxy::block(&servers, "");
        let answer = proxy.ask(post("/once").replacen("POST", method, 1));
        let cause = match how {
            "closes" => "closed_before_response",
            _ => "reset_before_response",
        };
        assert_eq!((answer.status, answer.cause()), (502, cause), "{method} {how}");
        assert_eq!(answer.problem("request"), "may_have_been_processed");
        let seen: usize = backends.iter().map(|backend| backend.requests("/once")).sum();
        assert_eq!(seen, 1, "{method} {how}");
    }
}

/// How an upstream ends a body that is not complete.
#[derive(Debug, Clone, Copy)]
enum Cut {
    Fin,
    Rst,
}

#[test]
fn a_cut_answer_never_looks_whole() {
    let piece = "0123456789".repeat(1000);
    let length = format!("Content-Length: 20000\r\n\r\n{piece}");
    let chunked = format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{piece}\r\n", piece.len());
    let half = format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{piece}", piece.len() + 5);
    let bad = format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{piece}\r\nZZ\r\n", piece.len());
    let no_end = format!("{chunked}0\r\n");
    let open = format!("Server: x\r\n\r\n{piece}");
    for (head, cut, cause) in [
        (&length, Cut::Fin, "body_closed_short"),
        (&length, Cut::Rst, "body_reset"),
        (&chunked, Cut::Fin, "chunked_truncated"),
        (&chunked, Cut::Rst, "body_reset"),
        (&half, Cut::Fin, "chunked_truncated"),
        (&no_end, Cut::Fin, "chunked_truncated"),
        (&bad, Cut::Fin, "bad_chunk"),
        (&open, Cut::Rst, "body_reset"),
    ] {
        for version in ["1.1", "1.0"] {
            let (go, gone) = mpsc::channel();
            let (head, gone) = (head.clone(), std::sync::Mutex::new(gone));
            let what = format!("{cause} {cut:?} to HTTP/{version}: {:.60}", head);
            let backend = Backend::scripted(move |peer| {
                peer.request();
                // What breaks must come after the head has gone on.
                let (first, last) = head.split_at(head.len() - 4);
                peer.send(format!("HTTP/1.1 200 OK\r\n{first}"));
                gone.lock().unwrap().recv().unwrap();
                peer.send(last);
                match cut {
                    Cut::Fin => peer.finish(),
                    Cut::Rst => peer.reset(),
                }
            });
            let proxy = Proxy::before(&backend);
            let request = get("/cut").replace("1.1", version);
            let mut client = Client::sent(proxy.address, request);
            let begun = client.until("0123456789");
            assert!(begun.starts_with(&format!("HTTP/{version} 200 OK\r\n")), "{what}: {begun}");
            go.send(()).unwrap();
            let (rest, end) = client.rest();
            match begun.to_ascii_lowercase() {
                head if head.contains("content-length: 20000") => assert!(rest.len() < 19_990),
                head if head.contains("transfer-encoding: chunked") => {
                    assert!(!rest.ends_with("0\r\n\r\n"), "{what}");
                }
                // Only the connection's end delimits it: it must be no orderly one.
                _ => assert_eq!(end, End::Reset, "{what}"),
            }
            assert_ne!(end, End::Open, "{what}");
            let line = proxy.logged("/cut");
            assert_eq!(line["cause"], cause, "{what}: {line}");
        }
    }
}

#[test]
fn an_answer_may_come_in_any_pieces_but_not_without_its_end() {
    let chunks = "Transfer-Encoding: chunked\r\n\r\n3;x\r\nhel\r\n2\r\nlo\r\n0\r\nX-Sum: 1\r\n\r\n";
    for fields in ["Content-Length: 5\r\n\r\nhello", chunks] {
        let answer = format!("HTTP/1.1 200 OK\r\n{fields}");
        let length = answer.len();
        // The path says where the answer is split, and whether it is cut there.
        let backend = Backend::scripted(move |peer| {
            while let Some(head) = peer.request() {
                let path = head.split(' ').nth(1).unwrap();
                let (what, at) = path[1..].split_once('/').unwrap();
                let (first, second) = answer.split_at(at.parse().unwrap());
                peer.send(first);
                if what == "cut" {
                    return;
                }
                peer.send(second);
            }
        });
        let proxy = Proxy::before(&backend);
        let mut client = Client::connect(proxy.address);
        for at in 0..=length {
            client.send(get(&format!("/split/{at}")));
            let answer = client.answer("GET");
            assert_eq!((answer.status, answer.body.as_str()), (200, "hello"), "split at {at}");
            assert!(answer.whole, "split at {at}");
        }
        assert_eq!(backend.connections(), 1);
        for at in 0..length {
            let cut = Client::sent(proxy.address, get(&format!("/cut/{at}"))).answer("GET");
            match cut.status {
                200 => assert!(!cut.whole, "cut at {at}: {cut:?}"),
                status => assert_eq!((status, cut.whole), (502, true), "cut at {at}"),
            }
        }
    }
}

#[test]
fn a_body_that_breaks_before_its_first_byte_is_a_page() {
    for (head, cause) in [
        ("Content-Length: 5\r\n\r\n", "body_closed_short"),
        ("Transfer-Encoding: chunked\r\n\r\n", "chunked_truncated"),
        ("Transfer-Encoding: chunked\r\n\r\nhello\r\n", "bad_chunk"),
    ] {
        let backend = Backend::scripted(move |peer| {
            peer.request();
            peer.send(format!("HTTP/1.1 200 OK\r\n{head}"));
            peer.finish();
        });
        let answer = Proxy::before(&backend).get("/");
        assert!(answer.status == 502 && answer.whole, "{cause}: {answer:?}");
        assert_eq!(answer.cause(), cause);
    }
}

#[test]
fn bytes_that_nobody_asked_for_never_become_an_answer() {
    let forged = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged";
    for (method, answer) in [
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\nContent-Length: 59\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\n\r\n"),
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 59\r\n\r\n"),
    ] {
        // In the same packet, or once the answer has been passed on.
        for later in [false, true] {
            let (go, gone) = mpsc::channel();
            let (gave, given) = mpsc::channel();
            let gone = std::sync::Mutex::new(gone);
            let backend = Backend::scripted(move |peer| {
                while peer.request().is_some() {
                    if peer.number > 0 {
                        peer.send(OK);
                    } else if later {
                        peer.send(answer);
                        gone.lock().unwrap().recv().unwrap();
                        peer.send(forged);
                        gave.send(()).unwrap();
                    } else {
                        peer.send(format!("{answer}{forged}"));
                    }
                }
            });
            let proxy = Proxy::before(&backend);
            let request = get("/").replacen("GET", method, 1);
            let mut client = Client::sent(proxy.address, request);
            assert!(client.answer(method).status < 400, "{method} {answer:?}");
            if later {
                go.send(()).unwrap();
                given.recv_timeout(super::PATIENCE).unwrap();
            }
            // An unsafe request, for which the connection is looked at once more.
            client.send(post("/next"));
            let next = client.answer("POST");
            assert_eq!((next.status, next.body.as_str()), (200, "ok"), "{method} {answer:?}");
            assert_eq!(backend.requests("/next"), 1, "{method} {answer:?}");
        }
    }
}
