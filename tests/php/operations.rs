//! What the README tells an operator of PHP-FPM: limits that fit the pool, and what is said when
//! they are reached.

use std::process::Command;
use std::thread;

use super::support::tools::{eventually, run};
use super::{Listen, ONE, PROBLEM, Proxy, Site, client, expect_cause, expect_forwarding, serve};

/// As many connections as workers: whoever finds them all busy waits here, where it is told.
#[test]
fn the_queue_is_ours_where_connections_are_as_many_as_workers() {
    let limits = "limits.connections = 1\nlimits.queue = 0\n";
    let (site, _fpm, proxy) = serve(Site::new(), Listen::Unix, &[ONE], limits);
    let port = proxy.port;
    let busy = thread::spawn(move || client::get(port, "/wait.php", PROBLEM));
    eventually("the worker is busy", || (site.runs() == ["wait.php"]).then_some(()));
    let answer = client::get(port, "/hello.php", PROBLEM);
    assert_eq!((answer.status, &answer.problem()["cause"]), (503, &"queue_full".into()));
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    answer.record(None);
    proxy.expect_logged("/hello.php", &["queue_full"]);
    assert_eq!(busy.join().expect("an answer").status, 200);
}

/// A time limit of the pool whose four thirds are below ours: it ends the script, PHP-FPM says which,
/// and once it has come again it is named.
#[test]
fn the_pools_time_limit_comes_before_ours() {
    let limit = ("request_terminate_timeout", "3s");
    let timeouts = "timeouts.first_byte = \"5s\"\n";
    let (_site, fpm, proxy) = serve(Site::new(), Listen::Unix, &[ONE, limit], timeouts);
    for (path, cause) in
        [("/sleep.php?1", "fcgi_worker_died"), ("/sleep.php?2", "fcgi_time_limit_kill")]
    {
        expect_cause(&proxy, path, &[cause], "http_response_incomplete");
        let named = || fpm.log().contains("sleep.php").then_some(());
        eventually("PHP-FPM's log names the script", named);
        // The worker is replaced, and free.
        expect_forwarding(&proxy);
    }
}

/// What WordPress does with a visitor who came by https, as long as it does not know.
const TO_HTTPS: &str = "<?php if (($_SERVER['HTTPS'] ?? '') !== 'on') {
    header('Location: https://' . $_SERVER['HTTP_HOST'] . $_SERVER['REQUEST_URI'], true, 301);
} echo 'by https';";

/// A proxy that took TLS off has to be believed, or the site sends its visitors in a circle.
#[test]
fn https_is_known_from_a_proxy_that_is_trusted() {
    let site = Site::new();
    site.put("wp-login.php", TO_HTTPS);
    let (site, fpm, facing) = serve(site, Listen::Unix, &[], "");
    let trusted = site.block("[page]\ntrusted_proxies = [\"127.0.0.0/8\"]\n");
    let behind = Proxy::before(&fpm.server(), &trusted);
    let fields = [("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-Proto", "https")];
    let ask = |proxy: &Proxy| client::request(proxy.port, "GET", "/wp-login.php", &fields, b"");
    let answer = ask(&behind);
    assert_eq!((answer.status, &answer.body[..]), (200, &b"by https"[..]), "{answer:?}");
    let answer = ask(&facing);
    assert_eq!(answer.status, 301, "{answer:?}");
    facing.expect_logged("/wp-login.php", &["redirect_loop"]);
}

/// The status page of a pool is no file: visitors do not get it, its operator does.
#[test]
fn the_status_of_a_pool_is_for_its_host() {
    let status = ("pm.status_path", "/status");
    let (_site, fpm, proxy) = serve(Site::new(), Listen::Unix, &[status], "");
    let answer = client::get(proxy.port, "/status", PROBLEM);
    assert_eq!(answer.status, 404, "{answer:?}");
    let said = run(Command::new("cgi-fcgi")
        .args(["-bind", "-connect"])
        .arg(fpm.socket())
        .env("SCRIPT_NAME", "/status")
        .env("SCRIPT_FILENAME", "/status")
        .env("REQUEST_METHOD", "GET"));
    assert!(said.contains("idle processes:"), "{said}");
}
