//! Workers that die, alone or with their master, before and in the middle of a page: the cause is
//! named while nothing has been sent, a cut page looks cut, and nothing is sent to PHP twice.

use std::io::Write;
use std::thread;

use super::client::{self, Answer, End, Incoming, PROBLEM};
use super::support::proxy::Proxy;
use super::{Fpm, Listen, ONE, Site, both, eventually, expect_forwarding, one_worker, serve};

const DIED: &str = "fcgi_worker_died";
const DIED_IN_PAGE: &str = "fcgi_worker_died_mid_response";

/// Asks for a page that waits, does something when it runs, and gives the answer.
fn disturb(site: &Site, proxy: &Proxy, method: &str, path: &str, what: impl FnOnce()) -> Answer {
    let (port, before) = (proxy.port, site.runs().len());
    let body: &[u8] = if method == "POST" { b"one chair" } else { b"" };
    thread::scope(|scope| {
        let fields = [("Accept", PROBLEM)];
        let asked = scope.spawn(move || client::request(port, method, path, &fields, body));
        eventually("the page runs", || (site.runs().len() > before).then_some(()));
        what();
        asked.join().expect("the client gets an answer")
    })
}

/// Asks for a page that stops after its first part, does something then, and tells the end.
fn disturb_page(proxy: &Proxy, path: &str, what: impl FnOnce()) -> (u64, End) {
    let mut answer = client::open(proxy.port, "GET", path, &[("Accept", PROBLEM)], b"");
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    let (mut received, mut what) = (0, Some(what));
    let end = answer.read_body(|piece| {
        received += piece.len() as u64;
        if let Some(what) = what.take() {
            what();
        }
    });
    (received, end)
}

#[test]
fn a_worker_killed_before_its_page_is_named_and_asked_once() {
    for listen in both() {
        for by in ["KILL", "SEGV", "TERM"] {
            let (site, fpm, proxy) = serve(Site::new(), listen, &[ONE], "");
            for method in ["GET", "POST"] {
                let kill = || fpm.kill_worker(by);
                let answer = disturb(&site, &proxy, method, "/sleep.php", kill);
                answer.assert_problem(&[DIED], "http_response_incomplete");
                let fate = answer.problem()["request"].clone();
                assert_eq!(fate, "may_have_been_processed", "{listen:?} {by} {method}");
            }
            proxy.expect_logged("/sleep.php", &[DIED]);
            expect_forwarding(&proxy);
            let runs = ["sleep.php", "sleep.php", "hello.php"];
            assert_eq!(site.runs(), runs, "{listen:?} {by}: a request was repeated");
        }
    }
}

/// A crash in the first line of a page comes two milliseconds after the connection: it is not the
/// pool that drops connections.
#[test]
fn a_worker_that_dies_at_once_is_named() {
    for listen in both() {
        let (site, _fpm, proxy) = serve(Site::new(), listen, &[ONE], "");
        for by in [9, 11] {
            let path = format!("/die.php?by={by}");
            super::expect_cause(&proxy, &path, &[DIED], "http_response_incomplete");
        }
        assert_eq!(site.runs(), ["die.php", "die.php"], "{listen:?}");
        expect_forwarding(&proxy);
    }
}

#[test]
fn a_page_cut_by_a_killed_worker_looks_cut() {
    for listen in both() {
        for by in ["KILL", "SEGV"] {
            let (site, fpm, proxy) = serve(Site::new(), listen, &[ONE], "");
            for path in ["/part.php", "/part_of_length.php"] {
                let (received, end) = disturb_page(&proxy, path, || fpm.kill_worker(by));
                assert_eq!((received, end), (11, End::Cut), "{listen:?} {by} {path}");
                proxy.expect_logged(path, &[DIED_IN_PAGE]);
            }
            expect_forwarding(&proxy);
            assert_eq!(site.runs().len(), 3, "{listen:?} {by}: a request was repeated");
        }
    }
}

/// The page's end is the connection's end to this client: only a reset tells it of the cut.
#[test]
fn a_cut_page_looks_cut_to_an_old_client_too() {
    let (_site, fpm, proxy) = one_worker();
    let mut stream = client::connect(proxy.port);
    let request = b"GET /part.php HTTP/1.0\r\nHost: shop.example\r\n\r\n";
    stream.write_all(request).expect("the request is taken");
    let mut answer = Incoming::read(stream, "GET");
    let mut received = 0;
    let end = answer.read_body(|piece| {
        received += piece.len();
        fpm.kill_worker("KILL");
    });
    assert_eq!((received, end), (11, End::Cut), "half a page looks whole");
}

/// The last bytes of the worker arrive, then the reset: they are not taken for a page. Where both
/// come before anything was sent on, the visitor even gets a page that says so.
#[test]
fn a_page_cut_after_a_burst_looks_cut() {
    for listen in both() {
        let (_site, _fpm, proxy) = serve(Site::new(), listen, &[ONE], "");
        let mut answer = client::open(proxy.port, "GET", "/burst.php", &[("Accept", PROBLEM)], b"");
        match answer.status {
            502 => answer.finish().assert_problem(&[DIED_IN_PAGE], "http_response_incomplete"),
            _ => assert_eq!(answer.read_body(|_| ()), End::Cut, "{listen:?}"),
        }
        proxy.expect_logged("/burst.php", &[DIED_IN_PAGE]);
        expect_forwarding(&proxy);
    }
}

/// FPM looks at its workers every third of the limit, so that the end comes between the limit and
/// a third more; only that it comes again tells it from any other death of a worker.
#[test]
fn a_worker_ended_by_the_pools_time_limit_is_named() {
    let directives = [("request_terminate_timeout", "3s"), ("pm.max_children", "2")];
    let (site, fpm, proxy) = serve(Site::new(), Listen::Unix, &directives, "");
    super::expect_cause(&proxy, "/sleep.php", &[DIED], "http_response_incomplete");
    let causes = ["fcgi_time_limit_kill"];
    let answer = super::expect_cause(&proxy, "/sleep.php?2", &causes, "http_response_incomplete");
    let problem = answer.problem();
    assert_eq!(problem["certainty"], "likely", "{problem:#}");
    assert_eq!(problem["request"], "may_have_been_processed", "{problem:#}");
    assert!(fpm.log().contains("execution timed out"), "{}", fpm.log());
    let (received, end) = disturb_page(&proxy, "/part.php", || ());
    assert_eq!((received, end), (11, End::Cut));
    proxy.expect_logged("/part.php", &[DIED_IN_PAGE]);
    assert_eq!(site.runs(), ["sleep.php", "sleep.php", "part.php"]);
    expect_forwarding(&proxy);
}

/// A reload ends workers in mid-request unless process_control_timeout gives them time; the socket
/// goes on.
#[test]
fn a_reload_in_the_middle_of_a_page_is_a_dead_worker() {
    for listen in both() {
        let (site, fpm, proxy) = serve(Site::new(), listen, &[], "");
        let reload = || fpm.reloaded(fpm.reload());
        let answer = disturb(&site, &proxy, "GET", "/sleep.php", reload);
        answer.assert_problem(&[DIED], "http_response_incomplete");
        let (received, end) = disturb_page(&proxy, "/part.php", reload);
        assert_eq!((received, end), (11, End::Cut), "{listen:?}");
        expect_forwarding(&proxy);
        assert_eq!(site.runs(), ["sleep.php", "part.php", "hello.php"], "{listen:?}");
    }
}

#[test]
fn a_reload_that_waits_for_its_workers_is_not_noticed() {
    for listen in both() {
        let patient = [("process_control_timeout", "10s")];
        let (site, fpm, proxy) = serve(Site::new(), listen, &patient, "");
        let mut before = 0;
        let answer = disturb(&site, &proxy, "GET", "/wait.php", || before = fpm.reload());
        assert_eq!((answer.status, answer.body.as_slice()), (200, b"waited".as_slice()));
        expect_forwarding(&proxy);
        fpm.reloaded(before);
        assert_eq!(site.runs(), ["wait.php", "hello.php"], "{listen:?}");
    }
}

#[test]
fn a_master_stopped_in_the_middle_of_a_page_is_a_dead_worker() {
    for how in ["TERM", "QUIT"] {
        let (site, mut fpm, proxy) = one_worker();
        let answer = disturb(&site, &proxy, "POST", "/sleep.php", || fpm.stop(how));
        answer.assert_problem(&[DIED], "http_response_incomplete");
        assert_eq!(site.runs(), ["sleep.php"], "{how}");
        fpm.start_again();
        expect_forwarding(&proxy);
        assert_eq!(site.runs(), ["sleep.php", "hello.php"], "{how}: the order was repeated");
    }
}

/// Workers whose master was killed go on serving; nothing is wrong yet.
#[test]
fn workers_without_a_master_serve_on() {
    for listen in both() {
        let (site, mut fpm, proxy) = serve(Site::new(), listen, &[], "");
        let answer = disturb(&site, &proxy, "GET", "/wait.php", || fpm.kill_master());
        assert_eq!((answer.status, answer.body.as_slice()), (200, b"waited".as_slice()));
        expect_forwarding(&proxy);
    }
}

/// The pool is taken away in the middle of a page and comes back: the page that was cut stays cut.
#[test]
fn a_page_cut_by_the_end_of_everything_looks_cut() {
    let site = Site::new();
    let mut fpm = Fpm::start(&site, Listen::Unix, &[ONE]);
    let proxy = Proxy::before(&fpm.server(), &site.block(""));
    let (received, end) = disturb_page(&proxy, "/part_of_length.php", || {
        fpm.kill_master();
        fpm.kill_orphans();
    });
    assert_eq!((received, end), (11, End::Cut));
    proxy.expect_logged("/part_of_length.php", &[DIED_IN_PAGE]);
    fpm.start_again();
    expect_forwarding(&proxy);
}
