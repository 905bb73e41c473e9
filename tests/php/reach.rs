//! Ways to a pool that are closed: no socket, nobody behind it, no permission, no room, no welcome,
//! or somebody else who speaks another language.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::client::{self, PROBLEM};
use super::site::set_mode;
use super::support::proxy::Proxy;
use super::tap::{Speaks, peer};
use super::{
    Fpm, Listen, ONE, Site, both, eventually, expect_cause, expect_forwarding, free_port, plain,
    serve,
};

const NOT_SENT: &str = "not_sent";

/// Holds an answer to the cause, twice: what is remembered of a failure says the same.
fn expect_twice(proxy: &Proxy, cause: &str, proxy_error: &str) {
    for _ in 0..2 {
        let answer = expect_cause(proxy, "/hello.php", &[cause], proxy_error);
        assert_eq!(answer.problem()["request"], NOT_SENT, "{answer:?}");
    }
}

/// FPM takes its socket away when it is stopped.
#[test]
fn a_stopped_pool_has_no_socket() {
    for how in ["TERM", "QUIT"] {
        let (site, mut fpm, proxy) = plain();
        expect_forwarding(&proxy);
        fpm.stop(how);
        assert!(!fpm.socket().exists(), "{how}");
        expect_twice(&proxy, "unix_socket_missing", "connection_refused");
        assert_eq!(site.runs(), ["hello.php"]);
        fpm.start_again();
        expect_forwarding(&proxy);
    }
}

/// The socket of a pool that was killed is left behind, and nobody answers there.
#[test]
fn a_killed_pool_leaves_its_socket() {
    let (site, mut fpm, proxy) = plain();
    expect_forwarding(&proxy);
    fpm.kill_master();
    fpm.kill_orphans();
    assert!(fpm.socket().exists());
    expect_twice(&proxy, "unix_socket_refused", "connection_refused");
    assert_eq!(site.runs(), ["hello.php"]);
    fpm.start_again();
    expect_forwarding(&proxy);
}

#[test]
fn a_stopped_pool_on_a_port_refuses_connections() {
    let (site, mut fpm, proxy) = serve(Site::new(), Listen::Tcp(free_port()), &[], "");
    expect_forwarding(&proxy);
    fpm.stop("TERM");
    expect_twice(&proxy, "connection_refused", "connection_refused");
    assert_eq!(site.runs(), ["hello.php"]);
    fpm.start_again();
    expect_forwarding(&proxy);
}

#[test]
fn a_socket_without_permission_is_named() {
    let site = Site::new();
    let fpm = Fpm::start(&site, Listen::Unix, &[("listen.mode", "0000")]);
    let proxy = Proxy::unprivileged(&fpm.server(), &site.block(""));
    expect_twice(&proxy, "unix_socket_permission_denied", "connection_refused");
    assert_eq!(site.runs(), [""; 0]);
    set_mode(&fpm.socket(), 0o666);
    expect_forwarding(&proxy);
}

/// The kernel takes the connection; nobody comes for it.
#[test]
fn a_full_pool_is_named() {
    for listen in both() {
        let timeouts = "[upstream.site.timeouts]\nfirst_byte = \"1s\"\n";
        let (site, fpm, proxy) = serve(Site::new(), listen, &[ONE], timeouts);
        // The worker takes this one, and is busy after the proxy has given it up.
        let error = "connection_read_timeout";
        expect_cause(&proxy, "/sleep.php", &["first_byte_timeout"], error);
        assert_eq!(site.runs(), ["sleep.php"], "{listen:?}");
        expect_cause(&proxy, "/hello.php", &["fcgi_pool_saturated"], error);
        assert_eq!(site.runs(), ["sleep.php"], "{listen:?}");
        fpm.kill_worker("KILL");
        expect_forwarding(&proxy);
    }
}

/// A slow page is not a full pool.
#[test]
fn a_slow_page_in_a_pool_with_room_is_a_timeout() {
    for listen in both() {
        let timeouts = "[upstream.site.timeouts]\nfirst_byte = \"1s\"\n";
        let (_site, _fpm, proxy) = serve(Site::new(), listen, &[], timeouts);
        let error = "connection_read_timeout";
        expect_cause(&proxy, "/sleep.php", &["first_byte_timeout"], error);
        expect_forwarding(&proxy);
    }
}

/// Makes the only worker busy with a page whose reader leaves: PHP does not notice.
fn occupy(site: &Site, proxy: &Proxy) {
    let mut stream = client::connect(proxy.port);
    let head = client::head("GET", "/sleep.php", &[]) + "\r\n";
    std::io::Write::write_all(&mut stream, head.as_bytes()).expect("the request is taken");
    eventually("the page runs", || (!site.runs().is_empty()).then_some(()));
}

/// With a backlog of 1 the kernel lets two wait.
#[test]
fn a_full_backlog_of_a_socket_is_named() {
    let directives = [ONE, ("listen.backlog", "1")];
    let (site, fpm, proxy) = serve(Site::new(), Listen::Unix, &directives, "");
    occupy(&site, &proxy);
    let waiting = [(); 2].map(|()| UnixStream::connect(fpm.socket()).expect("there is room"));
    expect_twice(&proxy, "unix_socket_backlog_full", "connection_limit_reached");
    drop(waiting);
    fpm.kill_worker("KILL");
    expect_forwarding(&proxy);
    assert_eq!(site.runs(), ["sleep.php", "hello.php"]);
}

/// On a port the kernel drops what comes beyond the backlog, without a word.
#[test]
fn a_full_backlog_of_a_port_is_a_timeout() {
    let port = free_port();
    let directives = [ONE, ("listen.backlog", "1")];
    let timeouts = "[upstream.site.timeouts]\nconnect = \"1s\"\n";
    let (site, fpm, proxy) = serve(Site::new(), Listen::Tcp(port), &directives, timeouts);
    occupy(&site, &proxy);
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let patience = Duration::from_secs(10);
    let waiting =
        [(); 2].map(|()| TcpStream::connect_timeout(&address, patience).expect("there is room"));
    let answer = expect_cause(&proxy, "/hello.php", &["connect_timeout"], "connection_timeout");
    assert_eq!(answer.problem()["request"], NOT_SENT, "{answer:?}");
    drop(waiting);
    fpm.kill_worker("KILL");
    expect_forwarding(&proxy);
    assert_eq!(site.runs(), ["sleep.php", "hello.php"]);
}

/// The pool takes the connection and closes it: by a FIN or a reset, as the race will have it.
#[test]
fn a_client_that_is_not_allowed_is_named() {
    let directives = [("listen.allowed_clients", "127.0.0.9")];
    let (site, fpm, proxy) = serve(Site::new(), Listen::Tcp(free_port()), &directives, "");
    for _ in 0..10 {
        let causes = ["fcgi_connection_dropped"];
        expect_cause(&proxy, "/hello.php", &causes, "connection_terminated");
    }
    let answer = client::request(proxy.port, "POST", "/hello.php", &[("Accept", PROBLEM)], b"x");
    answer.assert_problem(&["fcgi_connection_dropped"], "connection_terminated");
    assert!(fpm.log().contains("has been dropped"), "{}", fpm.log());
    assert_eq!(site.runs(), [""; 0]);
}

/// A port where people expect PHP-FPM.
fn php_port() -> u16 {
    let mut ports = (9000..10_000).cycle().skip(std::process::id() as usize % 1000).take(1000);
    let free = ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    free.expect("a free port between 9000 and 9999")
}

#[test]
fn http_spoken_to_a_pool_is_named() {
    for listen in [Listen::Unix, Listen::Tcp(php_port())] {
        let site = Site::new();
        let fpm = Fpm::start(&site, listen, &[]);
        let proxy = Proxy::before(&fpm.http_server(), "");
        for _ in 0..3 {
            let causes = ["http_to_fastcgi_port"];
            expect_cause(&proxy, "/hello.php", &causes, "http_protocol_error");
        }
        let body = [b'x'; 100_000];
        let answer =
            client::request(proxy.port, "POST", "/hello.php", &[("Accept", PROBLEM)], &body);
        answer.assert_problem(&["http_to_fastcgi_port"], "http_protocol_error");
        let proxy = Proxy::before(&fpm.server(), &site.block(""));
        expect_forwarding(&proxy);
    }
}

/// What servers of other protocols say to a FastCGI request, or before it.
const STRANGERS: [(Speaks, &[u8]); 7] = [
    (
        Speaks::InReply,
        b"HTTP/1.1 400 Bad Request\r\nServer: nginx/1.22.1\r\nContent-Type: text/html\r\n\
          Content-Length: 3\r\nConnection: close\r\n\r\nbad",
    ),
    // As of a server that takes the request for one of HTTP/0.9.
    (Speaks::InReply, b"<!DOCTYPE HTML>\n<html lang=\"en\"><title>Error response</title>"),
    (Speaks::InReply, b"Status: 400 Bad Request\r\n\r\n"),
    (Speaks::InReply, b"\x15\x03\x01\x00\x02\x02\x46"),
    (Speaks::InReply, b"-ERR unknown command\r\n"),
    (Speaks::First, b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n"),
    (Speaks::First, b"220 mail.example ESMTP Postfix\r\n"),
];

#[test]
fn fastcgi_spoken_to_somebody_else_is_named() {
    for (speaks, words) in STRANGERS {
        let site = Site::new();
        let server = format!("fastcgi://127.0.0.1:{}", peer(speaks, words));
        let proxy = Proxy::before(&server, &site.block(""));
        let causes = ["fcgi_peer_not_fastcgi"];
        let answer = expect_cause(&proxy, "/hello.php", &causes, "http_protocol_error");
        let shown = words.escape_ascii();
        assert_eq!(answer.problem()["certainty"], "certain", "{shown}: {answer:?}");
    }
}

/// A real one: the proxy itself.
#[test]
fn fastcgi_spoken_to_a_proxy_is_named() {
    let (site, _fpm, http) = plain();
    let server = format!("fastcgi://127.0.0.1:{}", http.port);
    let mistaken = Proxy::before(&server, &site.block(""));
    let causes = ["fcgi_peer_not_fastcgi"];
    expect_cause(&mistaken, "/hello.php", &causes, "http_protocol_error");
    expect_forwarding(&http);
}
