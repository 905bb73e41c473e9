//! Request bodies on their way to PHP: whole, of unknown length, answered early, cut.

use std::io::Write;
use std::net::{Shutdown, TcpStream};

use super::client::{self, End, Framing, Incoming};
use super::{Listen, Site, UNREAD, both, eventually, plain, serve};

#[test]
fn an_upload_of_100_mb_arrives_whole() {
    for listen in both() {
        let (site, _fpm, proxy) =
            serve(Site::new(), listen, &[("php_admin_value[post_max_size]", "0")], "");
        let big = site.big_file();
        for framing in [Framing::Length, Framing::Chunked] {
            let answer = client::upload(proxy.port, "/echo.php", &big.path, framing);
            assert_eq!(answer.status, 200, "{listen:?} {framing:?}: {answer:?}");
            let seen = answer.problem();
            assert_eq!(seen["length"], big.size, "{listen:?} {framing:?}: {seen:#}");
            assert_eq!(seen["md5"], big.md5, "{listen:?} {framing:?}: {seen:#}");
            // Without it PHP reads nothing at all.
            assert_eq!(seen["declared"], big.size.to_string(), "{listen:?} {framing:?}: {seen:#}");
        }
        assert_eq!(site.runs(), ["echo.php", "echo.php"]);
    }
}

#[test]
fn small_bodies_arrive_as_they_were_sent() {
    let (_site, _fpm, proxy) = plain();
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let answer = client::request(proxy.port, method, "/echo.php", &[], b"\0body\xff");
        assert_eq!(answer.status, 200, "{method}: {answer:?}");
        let seen = answer.problem();
        assert_eq!((&seen["method"], &seen["length"]), (&method.into(), &6.into()), "{seen:#}");
    }
    let answer = client::request(proxy.port, "POST", "/echo.php", &form, b"a=1&b=%20");
    assert_eq!(answer.problem()["post"], serde_json::json!({"a": "1", "b": " "}), "{answer:?}");
    let empty = [("Content-Length", "0")];
    let answer = client::request(proxy.port, "POST", "/echo.php", &empty, b"");
    assert_eq!((answer.status, &answer.problem()["length"]), (200, &0.into()), "{answer:?}");
}

#[test]
fn a_chunked_form_arrives_as_a_form() {
    let (_site, _fpm, proxy) = plain();
    let headers = [
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "close"),
    ];
    let mut stream = client::connect(proxy.port);
    let head = client::head("POST", "/echo.php", &headers);
    write!(stream, "{head}\r\n4\r\na=1&\r\n3\r\nb=2\r\n0\r\n\r\n").expect("it is taken");
    let mut answer = Incoming::read(stream, "POST");
    let mut body = Vec::new();
    assert_eq!(answer.read_body(|piece| body.extend_from_slice(piece)), End::Complete);
    let seen: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(seen["post"], serde_json::json!({"a": "1", "b": "2"}), "{seen:#}");
    assert_eq!(seen["declared"], "7", "{seen:#}");
}

/// A body is gathered first, up to a limit.
#[test]
fn a_body_that_cannot_be_gathered_is_declined() {
    let limit = "[upstream.site.limits]\nspool = \"64KiB\"\n";
    let (site, _fpm, proxy) = serve(Site::new(), Listen::Unix, &[], limit);
    let small = site.path("small");
    std::fs::write(&small, vec![b's'; 60_000]).expect("a file");
    let answer = client::upload(proxy.port, "/echo.php", &small, Framing::Chunked);
    assert_eq!((answer.status, &answer.problem()["length"]), (200, &60_000.into()), "{answer:?}");
    let headers =
        [("Transfer-Encoding", "chunked"), ("Connection", "close"), ("Accept", client::PROBLEM)];
    let mut stream = client::connect(proxy.port);
    let head = client::head("POST", "/echo.php?large", &headers);
    write!(stream, "{head}\r\n14000\r\n{}\r\n", "x".repeat(0x14000)).expect("it is taken");
    let answer = Incoming::read(stream, "POST");
    assert_eq!(answer.status, 413, "{answer:?}");
    proxy.expect_logged("/echo.php?large", &["request_body_too_large"]);
    // One that says beforehand that it will be too large is not even read.
    let stream = begin(proxy.port, "/echo.php?declared", 100_000);
    assert_eq!(Incoming::read(stream, "POST").status, 413);
    proxy.expect_logged("/echo.php?declared", &["request_body_too_large"]);
    assert_eq!(site.runs(), ["echo.php"]);
}

/// The head of an upload whose body comes later.
fn begin(port: u16, path: &str, length: u64) -> TcpStream {
    let length = length.to_string();
    let headers = [("Content-Length", length.as_str()), ("Accept", client::PROBLEM)];
    let mut stream = client::connect(port);
    let head = client::head("POST", path, &headers) + "\r\n";
    stream.write_all(head.as_bytes()).expect("the head is taken");
    stream.write_all(&[b'x'; 1000]).expect("the first piece is taken");
    stream
}

/// A worker is taken when the upload is whole: however many are slow, the pool is free for others.
#[test]
fn a_slow_upload_holds_no_worker() {
    for listen in both() {
        let (site, _fpm, proxy) = serve(Site::new(), listen, &[super::ONE], "");
        let mut slow = begin(proxy.port, "/echo.php", 2000);
        super::expect_forwarding(&proxy);
        assert_eq!(site.runs(), ["hello.php"], "{listen:?}");
        slow.write_all(&[b'x'; 1000]).expect("the rest is taken");
        let mut answer = Incoming::read(slow, "POST");
        let mut body = Vec::new();
        assert_eq!(answer.read_body(|piece| body.extend_from_slice(piece)), End::Complete);
        let seen: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(seen["length"], 2000, "{listen:?}: {seen:#}");
        assert_eq!(site.runs(), ["hello.php", "echo.php"], "{listen:?}");
    }
}

/// The whole body is sent against an answer that is already there: nobody waits for the other.
#[test]
fn an_upload_that_goes_on_after_the_answer_ends_well() {
    let (site, _fpm, proxy) = serve(Site::new(), Listen::Unix, &[UNREAD], "");
    let big = site.big_file();
    let answer = client::upload(proxy.port, "/early.php", &big.path, Framing::Length);
    assert_eq!((answer.status, answer.end), (413, End::Complete), "{answer:?}");
    assert_eq!(answer.body, b"too much");
    assert_eq!(site.runs(), ["early.php"]);
}

/// The page does not read, so that most of the body is still with the proxy when the worker dies.
#[test]
fn a_worker_killed_in_the_middle_of_an_upload_is_named() {
    for listen in both() {
        for by in ["KILL", "SEGV"] {
            let (site, fpm, proxy) = serve(Site::new(), listen, &[super::ONE, UNREAD], "");
            let big = site.path("big");
            std::fs::write(&big, vec![b'x'; 20_000_000]).expect("a file");
            let port = proxy.port;
            let answer = std::thread::scope(|scope| {
                let upload =
                    scope.spawn(|| client::upload(port, "/sleep.php", &big, Framing::Length));
                eventually("the page runs", || (!site.runs().is_empty()).then_some(()));
                fpm.kill_worker(by);
                upload.join().expect("the client gets an answer")
            });
            answer.assert_problem(&["fcgi_worker_died"], "http_response_incomplete");
            let problem = answer.problem();
            assert_eq!(problem["request"], "may_have_been_processed", "{problem:#}");
            proxy.expect_logged("/sleep.php", &["fcgi_worker_died"]);
            assert_eq!(site.runs(), ["sleep.php"], "{listen:?} {by}");
            super::expect_forwarding(&proxy);
        }
    }
}

/// A client that goes away in the middle of its upload is nobody's failure, and PHP never hears of
/// it: it would run the page with half a body, or with none.
#[test]
fn half_an_upload_never_reaches_php() {
    let (site, _fpm, proxy) = serve(Site::new(), Listen::Unix, &[super::ONE], "");
    let stream = begin(proxy.port, "/echo.php", 10_000_000);
    stream.shutdown(Shutdown::Both).expect("a connection");
    drop(stream);
    proxy.expect_logged("/echo.php", &["client_gone"]);
    super::expect_forwarding(&proxy);
    assert_eq!(site.runs(), ["hello.php"]);
}

#[test]
fn half_a_chunked_upload_never_reaches_php() {
    let (site, _fpm, proxy) = plain();
    let mut stream = client::connect(proxy.port);
    let head = client::head("POST", "/echo.php", &[("Transfer-Encoding", "chunked")]);
    write!(stream, "{head}\r\n4\r\na=1&\r\n").expect("it is taken");
    stream.shutdown(Shutdown::Both).expect("a connection");
    drop(stream);
    proxy.expect_logged("/echo.php", &["client_gone", "request_invalid"]);
    super::expect_forwarding(&proxy);
    assert_eq!(site.runs(), ["hello.php"]);
}
