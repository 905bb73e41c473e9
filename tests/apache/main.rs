//! The proxy before a real Apache with PHP: what passes through, and what is said when it does not.
//!
//! Each test has an Apache of its own (`server`), a proxy of its own (`proxy`) and speaks HTTP from
//! bare sockets (`client`), so that a cut answer is seen as what it is. All of it is on 127.0.0.1,
//! hence an operator's request. A missing Apache fails these tests; nothing is skipped.

mod operations;
mod server;
#[path = "../support/mod.rs"]
mod support;
mod websocket;

use std::thread;

use server::{Apache, Site, Speaks};
use support::client::{self, End, PROBLEM};
use support::proxy::Proxy;
use support::tools::{eventually, free_port};

const MIB: u64 = 1024 * 1024;

/// A site, its running Apache, and the proxy before it.
fn plain() -> (Site, Apache, Proxy) {
    let site = Site::new();
    let port = free_port();
    let apache = Apache::start(&site, port, Speaks::Http);
    let proxy = Proxy::before(&format!("http://127.0.0.1:{port}"), "");
    (site, apache, proxy)
}

/// Asks for a page as an operator's tool would and holds the answer to the cause.
fn expect_cause(proxy: &Proxy, cause: &str, proxy_error: &str) {
    let answer = client::get(proxy.port, "/hello.txt", PROBLEM);
    answer.assert_problem(&[cause], proxy_error);
    assert_eq!(answer.problem()["request"], "not_sent", "{answer:?}");
}

/// The site is back: the same proxy forwards its page again, untouched.
fn expect_forwarding(proxy: &Proxy) {
    let answer = eventually("the page is forwarded again", || {
        Some(client::get(proxy.port, "/hello.txt", PROBLEM)).filter(|answer| answer.status == 200)
    });
    assert_eq!(answer.body, server::HELLO);
}

/// Asks Apache and asks through the proxy: what Apache said must all be there.
fn assert_unchanged(apache: &Apache, proxy: &Proxy, method: &str, path: &str, status: u16) {
    assert_unchanged_with(apache, proxy, method, path, &[], status);
}

fn assert_unchanged_with(
    apache: &Apache,
    proxy: &Proxy,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    status: u16,
) {
    let direct = client::request(apache.port, method, path, headers, b"");
    let through = client::request(proxy.port, method, path, headers, b"");
    assert_eq!(direct.status, status, "Apache itself: {direct:?}");
    assert_eq!(through.status, status, "{method} {path}: {through:?}");
    assert_eq!(through.end, End::Complete, "{method} {path}");
    assert!(through.body == direct.body, "{method} {path}: another body: {through:?}");
    let hop = ["date", "connection", "keep-alive", "transfer-encoding"];
    for (name, _) in direct.headers.iter().filter(|(name, _)| !hop.contains(&name.as_str())) {
        assert_eq!(through.all(name), direct.all(name), "{method} {path}: header {name}");
    }
}

#[test]
fn answers_pass_through_unchanged() {
    let (_site, apache, proxy) = plain();
    assert_unchanged(&apache, &proxy, "GET", "/hello.txt", 200);
    assert_unchanged(&apache, &proxy, "GET", "/empty.txt", 200);
    assert_unchanged(&apache, &proxy, "GET", "/page.php", 200);
    assert_unchanged(&apache, &proxy, "GET", "/redirect.php", 302);
    assert_unchanged(&apache, &proxy, "OPTIONS", "/hello.txt", 200);
    let range = [("Range", "bytes=3-7")];
    assert_unchanged_with(&apache, &proxy, "GET", "/hello.txt", &range, 206);
    let known = [("If-None-Match", "*")];
    assert_unchanged_with(&apache, &proxy, "GET", "/hello.txt", &known, 304);
    proxy.expect_logged_as_sound("/page.php");
}

#[test]
fn head_has_the_length_of_the_page_and_no_body() {
    let (_site, apache, proxy) = plain();
    assert_unchanged(&apache, &proxy, "HEAD", "/hello.txt", 200);
    assert_unchanged(&apache, &proxy, "HEAD", "/page.php", 200);
    let answer = client::request(proxy.port, "HEAD", "/hello.txt", &[], b"");
    assert_eq!(answer.header("content-length"), Some(server::HELLO.len().to_string().as_str()));
    assert_eq!(answer.body, b"");
}

#[test]
fn errors_of_the_site_are_the_sites_own() {
    let (_site, apache, proxy) = plain();
    assert_unchanged(&apache, &proxy, "GET", "/missing.html", 404);
    assert_unchanged(&apache, &proxy, "GET", "/forbidden/", 403);
    assert_unchanged(&apache, &proxy, "GET", "/maintenance.php", 503);
    assert_unchanged(&apache, &proxy, "GET", "/broken.php", 500);
    assert_unchanged(&apache, &proxy, "GET", "/gateway.php", 502);
    assert_unchanged(&apache, &proxy, "HEAD", "/missing.html", 404);
}

/// Beside the site's own answer, which passes as it is.
#[test]
fn errors_of_the_site_have_their_cause_beside_them() {
    let (_site, apache, proxy) = plain();
    for (path, status, cause) in [
        ("/broken.php", 500, "upstream_error_status"),
        ("/fatal.php", 500, "php_fatal_error"),
        ("/gateway.php", 502, "upstream_gateway_error"),
        ("/maintenance.php", 503, "upstream_unavailable"),
    ] {
        assert_unchanged(&apache, &proxy, "GET", path, status);
        let answer = client::get(proxy.port, path, PROBLEM);
        let said = format!("causeway; received-status={status}; details=\"{cause}\"");
        assert_eq!(answer.all("proxy-status"), [said.as_str()], "{path}");
        answer.record_passed(cause);
        proxy.expect_logged(path, &[cause]);
    }
}

/// Apache as a gateway: nobody listens behind it, or somebody who says nothing.
#[test]
fn an_apache_whose_backend_fails_is_named() {
    let mute = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let mute_port = mute.local_addr().expect("its address").port();
    thread::spawn(move || mute.incoming().for_each(|stream| drop(stream.map(hear))));
    for (backend, status, cause, said, own) in [
        (free_port(), 503, "upstream_unavailable", "503 Service Unavailable", "connection_refused"),
        (
            mute_port,
            502,
            "upstream_gateway_error",
            "Error reading from remote server",
            "closed_before_response",
        ),
    ] {
        let site = Site::new();
        site.forward_to(backend);
        let apache = Apache::start(&site, free_port(), Speaks::Http);
        let server = format!("http://127.0.0.1:{}", apache.port);
        let proxy = Proxy::before(&server, "");
        assert_unchanged(&apache, &proxy, "GET", "/behind/x", status);
        proxy.expect_logged("/behind/x", &[cause]);
        let replacing = Proxy::before(&server, "replace_status = [502, 503]");
        let answer = client::get(replacing.port, "/behind/x", PROBLEM);
        let problem = answer.problem();
        assert_eq!((answer.status, &problem["cause"]), (status, &cause.into()), "{problem:#}");
        assert_eq!(problem["evidence"]["hop"], "apache", "{problem:#}");
        assert_eq!(problem["evidence"]["said"], said, "{problem:#}");
        assert_explained(&site, own);
        expect_forwarding(&replacing);
    }
}

/// What Apache itself has written of it is explained to the cause that we would name before it.
fn assert_explained(site: &Site, cause: &str) {
    let log = std::fs::File::open(site.path("run/error.log")).expect("Apache's log");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_causeway"));
    let said = support::tools::run(command.args(["explain", "--json", "-"]).stdin(log));
    let told: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    let lines = told["lines"].as_array().expect("lines");
    let named = lines.iter().find(|line| line["cause"] == cause).unwrap_or_else(|| {
        panic!("none is {cause}: {told:#}");
    });
    assert_eq!(named["program"], "Apache", "{named:#}");
    assert!(!named["fixes"].as_array().expect("fixes").is_empty(), "{named:#}");
}

/// Reads a request and gives no answer.
fn hear(mut stream: std::net::TcpStream) {
    let mut seen = Vec::new();
    let mut piece = [0; 1024];
    while !seen.ends_with(b"\r\n\r\n") {
        match std::io::Read::read(&mut stream, &mut piece) {
            Ok(0) | Err(_) => return,
            Ok(count) => seen.extend_from_slice(&piece[..count]),
        }
    }
}

#[test]
fn an_apache_that_takes_no_such_cookies_is_named() {
    let (_site, _apache, proxy) = plain();
    let cookies = format!("basket={}", "x".repeat(9_000));
    let answer = client::request(proxy.port, "GET", "/empty.txt", &[("Cookie", &cookies)], b"");
    assert_eq!(answer.status, 400, "{answer:?}");
    let said = "causeway; received-status=400; details=\"request_header_refused\"";
    assert_eq!(answer.header("proxy-status"), Some(said), "{answer:?}");
    proxy.expect_logged("/empty.txt", &["request_header_refused"]);
    expect_forwarding(&proxy);
}

#[test]
fn php_sees_the_request_as_it_was_sent() {
    let (_site, _apache, proxy) = plain();
    let sent = [("X-Question", "why; \"quoted\""), ("Cookie", "a=1; b=2")];
    let target = "/echo.php/extra%20path?x=1&y=%2F";
    let answer = client::request(proxy.port, "PUT", target, &sent, b"\0body\xff");
    assert_eq!(answer.status, 200, "{answer:?}");
    let seen = answer.problem();
    assert_eq!(seen["method"], "PUT");
    assert_eq!(seen["uri"], target);
    assert_eq!(seen["length"], 6);
    assert_eq!(seen["headers"]["x-question"], sent[0].1, "{seen:#}");
    assert_eq!(seen["headers"]["cookie"], sent[1].1, "{seen:#}");
    assert_eq!(seen["headers"]["host"], client::HOST, "{seen:#}");
    assert_eq!(seen["headers"]["connection"].as_str().unwrap_or_default().find("close"), None);
}

#[test]
fn a_download_of_100_mb_arrives_whole() {
    let (site, _apache, proxy) = plain();
    let big = site.big_file();
    for path in ["/big.bin", "/stream.php"] {
        let mut sum = client::Md5sum::new();
        let mut answer = client::open(proxy.port, "GET", path, &[], b"");
        assert_eq!(answer.status, 200, "{path}");
        let chunked = answer.header("transfer-encoding") == Some("chunked");
        assert_eq!(chunked, path == "/stream.php", "{path}: {:?}", answer.headers);
        let end = answer.read_body(|piece| sum.update(piece));
        assert_eq!(end, End::Complete, "{path}");
        assert_eq!(sum.finish(), big.md5, "{path}");
    }
}

#[test]
fn an_upload_of_100_mb_arrives_whole() {
    let (site, _apache, proxy) = plain();
    let big = site.big_file();
    for framing in [client::Framing::Length, client::Framing::Chunked] {
        let answer = client::upload(proxy.port, "/echo.php", &big.path, framing);
        assert_eq!(answer.status, 200, "{framing:?}: {answer:?}");
        let seen = answer.problem();
        assert_eq!(seen["length"], big.size, "{framing:?}: {seen:#}");
        assert_eq!(seen["md5"], big.md5, "{framing:?}: {seen:#}");
    }
}

#[test]
fn a_websocket_goes_through_proxy_and_apache() {
    let echo = websocket::EchoServer::start();
    let site = Site::new();
    site.forward_websockets_to(echo.port);
    let port = free_port();
    let _apache = Apache::start(&site, port, Speaks::Http);
    let proxy = Proxy::before(&format!("http://127.0.0.1:{port}"), "");
    let mut socket = websocket::Client::connect(proxy.port, "/ws");
    for message in [&b"hello"[..], b"", &[0xa5; 200], &[0x5a; 70_000]] {
        socket.send(websocket::BINARY, message);
        assert!(socket.receive() == (websocket::BINARY, message.to_vec()), "{}", message.len());
    }
    socket.send(websocket::CLOSE, &1000_u16.to_be_bytes());
    assert_eq!(socket.receive(), (websocket::CLOSE, 1000_u16.to_be_bytes().to_vec()));
    assert!(socket.ended(), "the connection stays open after the close");
    expect_forwarding(&proxy);
}

#[test]
fn a_stopped_apache_refuses_connections() {
    let (site, apache, proxy) = plain();
    expect_forwarding(&proxy);
    let port = apache.port;
    apache.stop();
    // The proxy may hold connections that Apache closed: they are not the cause.
    expect_cause(&proxy, "connection_refused", "connection_refused");
    expect_cause(&proxy, "connection_refused", "connection_refused");
    let head = client::request(proxy.port, "HEAD", "/hello.txt", &[("Accept", PROBLEM)], b"");
    assert_eq!((head.status, head.body.len()), (502, 0), "{head:?}");
    proxy.expect_logged("/hello.txt", &["connection_refused"]);
    let _apache = Apache::start(&site, port, Speaks::Http);
    expect_forwarding(&proxy);
}

#[test]
fn an_apache_on_another_port_is_a_refused_connection() {
    let site = Site::new();
    let (configured, actual) = (free_port(), free_port());
    let apache = Apache::start(&site, actual, Speaks::Http);
    let proxy = Proxy::before(&format!("http://127.0.0.1:{configured}"), "");
    expect_cause(&proxy, "connection_refused", "connection_refused");
    apache.stop();
    let _apache = Apache::start(&site, configured, Speaks::Http);
    expect_forwarding(&proxy);
}

#[test]
fn a_download_cut_by_a_killed_apache_looks_cut() {
    cut_transfer("/big.bin", &["body_closed_short", "body_reset"]);
}

#[test]
fn a_chunked_download_cut_by_a_killed_apache_looks_cut() {
    cut_transfer("/stream.php", &["chunked_truncated", "body_reset"]);
}

/// Kills Apache when the first megabyte has come; the client must see that the body is not whole.
fn cut_transfer(path: &str, causes: &[&str]) {
    let (site, apache, proxy) = plain();
    let big = site.big_file();
    let port = apache.port;
    let mut apache = Some(apache);
    let mut received = 0;
    let mut answer = client::open(proxy.port, "GET", path, &[], b"");
    assert_eq!(answer.status, 200);
    let end = answer.read_body(|piece| {
        received += piece.len() as u64;
        if received >= MIB
            && let Some(apache) = apache.take()
        {
            apache.kill();
        }
    });
    assert!(apache.is_none(), "only {received} bytes came");
    assert!(received < big.size, "everything had been sent before the kill");
    assert_eq!(end, End::Cut, "{received} of {} bytes look like a whole answer", big.size);
    proxy.expect_logged(path, causes);
    let _apache = Apache::start(&site, port, Speaks::Http);
    expect_forwarding(&proxy);
}

#[test]
fn a_post_in_flight_is_never_sent_twice() {
    let (site, apache, proxy) = plain();
    let (port, proxy_port) = (apache.port, proxy.port);
    let post = thread::spawn(move || {
        client::request(proxy_port, "POST", "/order.php", &[("Accept", PROBLEM)], b"one chair")
    });
    eventually("the order reaches PHP", || (site.orders() > 0).then_some(()));
    apache.kill();
    let answer = post.join().expect("the client gets an answer");
    let causes = ["closed_before_response", "reset_before_response"];
    answer.assert_problem(&causes, "connection_terminated");
    assert_eq!(answer.problem()["request"], "may_have_been_processed", "{answer:?}");
    assert_eq!(site.orders(), 1);
    let _apache = Apache::start(&site, port, Speaks::Http);
    expect_forwarding(&proxy);
    assert_eq!(site.orders(), 1, "the order was repeated");
}

#[test]
fn a_tls_port_behind_http_is_named() {
    let site = Site::new();
    let port = free_port();
    let apache = Apache::start(&site, port, Speaks::Https);
    let proxy = Proxy::before(&format!("http://127.0.0.1:{port}"), "");
    let answer = client::get(proxy.port, "/hello.txt", PROBLEM);
    answer.assert_problem(&["plain_http_to_tls_port"], "http_protocol_error");
    proxy.expect_logged("/hello.txt", &["plain_http_to_tls_port"]);
    apache.stop();
    let _apache = Apache::start(&site, port, Speaks::Http);
    expect_forwarding(&proxy);
}

#[test]
fn a_port_for_balancers_is_named() {
    let site = Site::new();
    let port = free_port();
    let apache = Apache::start(&site, port, Speaks::HttpBehindALine);
    let proxy = Proxy::before(&format!("http://127.0.0.1:{port}"), "");
    // It is asked beside the requests.
    let answer = eventually("the proxy has asked", || {
        let answer = client::get(proxy.port, "/hello.txt", PROBLEM);
        (answer.problem()["cause"] != "closed_before_response").then_some(answer)
    });
    answer.assert_problem(&["proxy_protocol_expected"], "http_protocol_error");
    apache.stop();
    let _apache = Apache::start(&site, port, Speaks::Http);
    expect_forwarding(&proxy);
}

#[test]
fn a_plain_port_behind_https_is_named() {
    let site = Site::new();
    let port = free_port();
    let apache = Apache::start(&site, port, Speaks::Http);
    let trust = format!("[upstream.site.tls]\nca = \"{}\"\n", site.authority().display());
    let proxy = Proxy::before(&format!("https://localhost:{port}"), &trust);
    expect_cause(&proxy, "tls_peer_speaks_plaintext", "tls_protocol_error");
    proxy.expect_logged("/hello.txt", &["tls_peer_speaks_plaintext"]);
    apache.stop();
    let _apache = Apache::start(&site, port, Speaks::Https);
    expect_forwarding(&proxy);
}
