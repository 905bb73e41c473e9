//! The proxy before a real PHP-FPM: what passes through, and what is said when it does not.
//!
//! Each test has a site of its own (`site`), a pool of its own (`fpm`), a proxy before it, and
//! speaks HTTP from bare sockets, so that a cut answer is seen as what it is. All of it is on
//! 127.0.0.1 or a socket in a temporary directory, hence an operator's request. A missing PHP-FPM
//! fails these tests; nothing is skipped.

mod attacks;
mod connections;
#[path = "../wordpress/database.rs"]
mod database;
mod deaths;
mod disk;
mod doctor;
mod errors;
mod files;
mod fpm;
mod helpers;
mod logs;
mod memcached;
mod operations;
mod pages;
mod postgres;
mod reach;
mod redis;
mod roots;
mod scripts;
mod site;
#[path = "../support/mod.rs"]
mod support;
mod tap;
mod uploads;
mod variables;

use fpm::{Fpm, Listen};
use site::Site;
use support::client::{self, Answer, End, PROBLEM};
use support::proxy::Proxy;
use support::tools::{eventually, free_port};

/// What /hello.php says.
const HELLO: &[u8] = b"Good day from PHP.";

/// A pool of a single worker: whom it serves and whom a signal hits is certain.
const ONE: (&str, &str) = ("pm.max_children", "1");

/// Lets a page begin before the request's body is there.
const UNREAD: (&str, &str) = ("php_admin_flag[enable_post_data_reading]", "off");

/// A pool on a Unix socket, as Debian has it, and the proxy before it.
fn plain() -> (Site, Fpm, Proxy) {
    serve(Site::new(), Listen::Unix, &[], "")
}

/// The same with a single worker.
fn one_worker() -> (Site, Fpm, Proxy) {
    serve(Site::new(), Listen::Unix, &[ONE], "")
}

/// A site, its pool with these directives, and the proxy before it with more in its block.
fn serve(
    site: Site,
    listen: Listen,
    directives: &[(&str, &str)],
    more: &str,
) -> (Site, Fpm, Proxy) {
    let fpm = Fpm::start(&site, listen, directives);
    let proxy = Proxy::before(&fpm.server(), &site.block(more));
    (site, fpm, proxy)
}

/// Both kinds of address that a pool may have.
fn both() -> [Listen; 2] {
    [Listen::Unix, Listen::Tcp(free_port())]
}

/// Asks for a page as an operator's tool would and holds the answer to the causes.
fn expect_cause(proxy: &Proxy, path: &str, causes: &[&str], proxy_error: &str) -> Answer {
    let answer = client::get(proxy.port, path, PROBLEM);
    answer.assert_problem(causes, proxy_error);
    proxy.expect_logged(path, causes);
    answer
}

/// PHP is back: the same proxy forwards its page again, untouched.
fn expect_forwarding(proxy: &Proxy) {
    let answer = eventually("the page is forwarded again", || {
        Some(client::get(proxy.port, "/hello.php", PROBLEM)).filter(|answer| answer.status == 200)
    });
    assert_eq!(answer.body, HELLO);
    assert_eq!(answer.end, End::Complete);
}
