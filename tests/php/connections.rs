//! Connections to PHP: one a request unless the operator keeps them, closed when the client has
//! left, never used for the same request twice.

use super::client::{self, PROBLEM};
use super::support::proxy::Proxy;
use super::tap::Tap;
use super::{
    Fpm, HELLO, Listen, ONE, Site, eventually, expect_forwarding, free_port, one_worker, serve,
};

const KEEP: &str = "[upstream.site.limits]\nidle_connections = 1\n";

/// A pool on a port, the tap before it, and the proxy before that.
fn tapped(directives: &[(&str, &str)], more: &str) -> (Site, Fpm, Tap, Proxy) {
    let (site, port) = (Site::new(), free_port());
    let fpm = Fpm::start(&site, Listen::Tcp(port), directives);
    let tap = Tap::before(port);
    let proxy = Proxy::before(&tap.server(), &site.block(more));
    (site, fpm, tap, proxy)
}

fn hello(proxy: &Proxy) {
    let answer = client::get(proxy.port, "/hello.php", PROBLEM);
    assert_eq!((answer.status, answer.body.as_slice()), (200, HELLO), "{answer:?}");
}

/// An idle connection would hold a worker.
#[test]
fn a_connection_serves_one_request() {
    let (site, _fpm, tap, proxy) = tapped(&[], "");
    for _ in 0..3 {
        hello(&proxy);
    }
    assert_eq!(tap.opened(), 3);
    eventually("the proxy has closed them", || (tap.left() == 3).then_some(()));
    assert_eq!(site.runs().len(), 3);
}

#[test]
fn a_connection_that_is_kept_serves_many() {
    let (site, _fpm, tap, proxy) = tapped(&[], KEEP);
    for _ in 0..5 {
        hello(&proxy);
    }
    let answer = client::request(proxy.port, "POST", "/echo.php", &[], b"123456");
    assert_eq!(answer.problem()["length"], 6, "{answer:?}");
    let answer = client::get(proxy.port, "/no-such.php", PROBLEM);
    assert_eq!((answer.status, answer.body.as_slice()), (404, b"File not found.\n".as_slice()));
    hello(&proxy);
    assert_eq!((tap.opened(), tap.left()), (1, 0));
    assert_eq!(site.runs().len(), 7);
}

/// A page that broke off leaves nothing behind that the next could be taken from.
#[test]
fn a_connection_is_not_kept_after_a_page_that_its_reader_left() {
    let (site, _fpm, tap, proxy) = tapped(&[], KEEP);
    let mut answer = client::open(proxy.port, "GET", "/two_parts.php", &[], b"");
    let mut begun = false;
    let stream = answer.stream().try_clone().expect("a second handle");
    answer.read_body(|piece| {
        begun |= piece == b"first part\n";
        stream.shutdown(std::net::Shutdown::Both).expect("a connection");
    });
    assert!(begun, "the first part did not come");
    eventually("the proxy has closed the connection", || (tap.left() == 1).then_some(()));
    site.signal("go");
    hello(&proxy);
    assert_eq!(tap.opened(), 2);
}

/// The worker of an idle connection was killed: the request has not been seen, and is sent again.
#[test]
fn a_kept_connection_whose_worker_died_is_replaced() {
    let (site, fpm, proxy) = serve(Site::new(), Listen::Unix, &[ONE], KEEP);
    for _ in 0..3 {
        hello(&proxy);
        fpm.kill_worker("KILL");
        eventually("there is a new worker", || (fpm.workers().len() == 1).then_some(()));
    }
    hello(&proxy);
    assert_eq!(site.runs().len(), 4);
}

/// A worker may have seen a POST on a kept connection: it is never sent again.
#[test]
fn a_post_on_a_kept_connection_is_sent_once() {
    let (site, fpm, proxy) = serve(Site::new(), Listen::Unix, &[ONE], KEEP);
    hello(&proxy);
    let port = proxy.port;
    let answer = std::thread::scope(|scope| {
        let post = scope.spawn(move || {
            client::request(port, "POST", "/sleep.php", &[("Accept", PROBLEM)], b"one chair")
        });
        eventually("the page runs", || (site.runs().len() == 2).then_some(()));
        fpm.kill_worker("KILL");
        post.join().expect("the client gets an answer")
    });
    answer.assert_problem(&["fcgi_worker_died"], "http_response_incomplete");
    expect_forwarding(&proxy);
    assert_eq!(site.runs(), ["hello.php", "sleep.php", "hello.php"], "the order was repeated");
}

/// A page that says nothing does not notice that its reader has left, but the proxy's connection,
/// and with it a place in the queue, is given up.
#[test]
fn a_client_that_leaves_before_the_page_closes_the_connection() {
    let (site, _fpm, tap, proxy) = tapped(&[ONE], "");
    let mut stream = client::connect(proxy.port);
    let head = client::head("GET", "/sleep.php", &[]) + "\r\n";
    std::io::Write::write_all(&mut stream, head.as_bytes()).expect("the request is taken");
    eventually("the page runs", || (!site.runs().is_empty()).then_some(()));
    assert_eq!((tap.opened(), tap.left()), (1, 0));
    drop(stream);
    eventually("the proxy has closed the connection", || (tap.left() == 1).then_some(()));
    proxy.expect_logged("/sleep.php", &["client_gone"]);
}

#[test]
fn php_learns_that_the_reader_has_left() {
    let (site, _fpm, proxy) = one_worker();
    let mut answer = client::open(proxy.port, "GET", "/reader.php", &[], b"");
    let stream = answer.stream().try_clone().expect("a second handle");
    answer.read_body(|_| {
        stream.shutdown(std::net::Shutdown::Both).expect("a connection");
    });
    drop(answer);
    let became = eventually("the page has ended", || site.note("reader"));
    assert_eq!(became, "left");
    proxy.expect_logged("/reader.php", &["client_gone"]);
    expect_forwarding(&proxy);
}

/// More requests than workers wait in PHP-FPM's queue, and all are served.
#[test]
fn more_clients_than_workers_are_served() {
    let (site, _fpm, proxy) = one_worker();
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| hello(&proxy));
        }
    });
    assert_eq!(site.runs().len(), 20);
}
