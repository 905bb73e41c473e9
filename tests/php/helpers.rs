//! Databases and caches behind a site that are full, stopped or gone: real MariaDB, PostgreSQL and
//! memcached, with PHP's own clients of them before them, and what an operator is told.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use super::database::{Database, NAME, PASSWORD};
use super::memcached::Memcached;
use super::postgres::Postgres;
use super::roots::TIMEOUTS;
use super::support::proxy::Proxy;
use super::support::roots::{expect_finding, expect_root};
use super::support::tools::eventually;
use super::{Fpm, Listen, PROBLEM, Site, client};

/// Pages that fail are looked into.
const REPLACED: &str = "replace_status = [500]\n";
/// More workers than a test has requests.
const ROOM: (&str, &str) = ("pm.max_children", "20");
/// Of the folders in which a client's library looks for MySQL's socket, the one that Debian's
/// package keeps data in: it is there whether the service runs or not.
const USUAL: &str = "/var/lib/mysql";
/// The fewest that MariaDB may be told.
const TEN: &[&str] = &["--max-connections=10"];

/// How WordPress tells it.
const TOLD: &str = "http_response_code(500);
    echo '<h1>Error establishing a database connection</h1>';";

/// Takes this many connections by this expression, and keeps them until it is told to go.
fn holder(count: u32, connection: &str) -> String {
    format!(
        "<?php $held = [];
         for ($i = 0; $i < {count}; $i++) {{ $held[] = {connection}; }}
         touch('../data/held');
         for ($i = 0; $i < 3000 && !file_exists('../data/go'); $i++) {{
             usleep(10000); clearstatcache();
         }}"
    )
}

/// Asks for the page that holds connections; its reader leaves, and PHP does not notice.
fn hold(site: &Site, proxy: &Proxy) {
    let mut stream = client::connect(proxy.port);
    let head = client::head("GET", "/hold.php", &[]) + "\r\n";
    stream.write_all(head.as_bytes()).expect("the request is taken");
    eventually("the connections are taken", || site.path("data/held").exists().then_some(()));
}

/// At the limit it still greets who comes to its socket: the look has to ask for one place more. On
/// a socket that it does not open, PHP's own words tell.
#[test]
fn a_mariadb_whose_connections_are_all_taken_is_full() {
    for (folder, certainty) in [(Some(USUAL), "certain"), (None, "likely")] {
        let site = Site::new();
        let database = Database::with(TEN, folder);
        let socket = database.socket();
        let connect = format!(
            "new mysqli('localhost', '{NAME}', '{PASSWORD}', '{NAME}', 0, '{}')",
            socket.display()
        );
        site.put("hold.php", holder(10, &connect));
        site.put("shop.php", format!("<?php $db = {connect}; echo 'sold';"));
        site.put("blog.php", format!("<?php try {{ {connect}; }} catch (Exception) {{ {TOLD} }}"));
        let fpm = Fpm::start(&site, Listen::Unix, &[ROOM]);
        let own = socket.parent().expect("a folder");
        let places = folder.map(|folder| (own, folder));
        let proxy = Proxy::among(places.as_slice(), "", &fpm.server(), &site.block(REPLACED));
        assert_eq!(client::get(proxy.port, "/shop.php", PROBLEM).body, b"sold");
        hold(&site, &proxy);
        let root = ("helper_full", certainty);
        let problem = expect_root(proxy.port, "/shop.php", root, "helper_capacity");
        assert_eq!(problem["cause"], "php_fatal_error", "{problem:#}");
        let said = problem["root_evidence"].to_string();
        assert!(said.contains("Too many connections"), "{problem:#}");
        assert!(!problem.to_string().contains(PASSWORD), "{problem:#}");
        if let Some(folder) = folder {
            // WordPress keeps PHP's words to itself: what the look saw is all there is.
            let problem = expect_root(proxy.port, "/blog.php", root, "helper_capacity");
            assert_eq!(problem["cause"], "helper_services_down", "{problem:#}");
            let value = format!("{folder}/mysql.sock: takes no more connections");
            expect_finding(&problem, "helper", &value);
        }
        site.signal("go");
        expect_body(&proxy, "/shop.php", b"sold");
    }
}

/// Asks until a page is there again.
fn expect_body(proxy: &Proxy, path: &str, body: &[u8]) {
    eventually(&format!("{path} is well again"), || {
        (client::get(proxy.port, path, PROBLEM).body == body).then_some(())
    });
}

/// A site of Laravel's kind, whose settings name these.
fn named(settings: &str, pages: &[(&str, String)]) -> (Site, Fpm, Proxy) {
    let site = Site::new();
    fs::write(site.path(".env"), settings).expect("a file");
    for (name, page) in pages {
        site.put(name, page);
    }
    let fpm = Fpm::start(&site, Listen::Unix, &[ROOM]);
    let block = site.block(&format!("{REPLACED}{TIMEOUTS}"));
    let proxy = Proxy::before(&fpm.server(), &block);
    (site, fpm, proxy)
}

#[test]
fn a_postgresql_that_is_full_or_stopped_or_gone() {
    let mut postgres = Postgres::start();
    let port = postgres.port;
    let settings = format!("DB_CONNECTION=pgsql\nDB_HOST=127.0.0.1\nDB_PORT={port}\n");
    let connect =
        format!("new PDO('pgsql:host=127.0.0.1;port={port};dbname=postgres', 'postgres')");
    let shop = format!("<?php $db = {connect}; echo $db->query('SELECT 42')->fetchColumn();");
    let pages = [("hold.php", holder(3, &connect)), ("shop.php", shop)];
    let (site, _fpm, proxy) = named(&settings, &pages);
    expect_body(&proxy, "/shop.php", b"42");

    hold(&site, &proxy);
    let full = ("helper_full", "likely");
    let problem = expect_root(proxy.port, "/shop.php", full, "helper_capacity");
    assert_eq!(problem["cause"], "php_fatal_error", "{problem:#}");
    assert!(problem["root_evidence"].to_string().contains("too many clients"), "{problem:#}");
    assert!(problem["fixes"].to_string().contains("pg_stat_activity"), "{problem:#}");
    site.signal("go");
    expect_body(&proxy, "/shop.php", b"42");

    postgres.signal("STOP");
    let frozen = ("waiting_for_helper", "certain");
    let problem = expect_root(proxy.port, "/shop.php", frozen, "resume_workers");
    assert_eq!(problem["cause"], "first_byte_timeout", "{problem:#}");
    expect_finding(&problem, "helper", &format!("postgresql at 127.0.0.1:{port}: its process is"));
    postgres.signal("CONT");
    expect_body(&proxy, "/shop.php", b"42");

    postgres.stop();
    let gone = ("helper_down", "certain");
    let problem = expect_root(proxy.port, "/shop.php", gone, "start_helper");
    assert_eq!(problem["cause"], "helper_services_down", "{problem:#}");
    expect_finding(&problem, "helper", &format!("postgresql at 127.0.0.1:{port}: nobody listens"));
    postgres.start_again();
    expect_body(&proxy, "/shop.php", b"42");
}

/// PHP's client of it says nothing when it fails: the script tries again and again.
#[test]
fn a_memcached_that_is_full_or_stopped_or_gone() {
    let mut memcached = Memcached::start(64);
    let port = memcached.port;
    let settings = format!("MEMCACHED_HOST=127.0.0.1\nMEMCACHED_PORT={port}\n");
    let page = format!(
        "<?php $cache = new Memcached(); $cache->addServer('127.0.0.1', {port});
         for ($i = 0; $i < 600 && !$cache->set('chair', 4); $i++) {{ usleep(100000); }}
         echo $cache->get('chair');"
    );
    let (_site, _fpm, proxy) = named(&settings, &[("cache.php", page)]);
    expect_body(&proxy, "/cache.php", b"4");

    let held = take_all(port);
    let full = ("helper_full", "certain");
    let problem = expect_root(proxy.port, "/cache.php", full, "helper_capacity");
    assert_eq!(problem["cause"], "first_byte_timeout", "{problem:#}");
    drop(held);
    expect_body(&proxy, "/cache.php", b"4");

    memcached.signal("STOP");
    expect_root(proxy.port, "/cache.php", ("waiting_for_helper", "certain"), "resume_workers");
    memcached.signal("CONT");
    expect_body(&proxy, "/cache.php", b"4");

    memcached.stop();
    let problem = expect_root(proxy.port, "/cache.php", ("helper_down", "likely"), "start_helper");
    expect_finding(&problem, "helper", &format!("memcached at 127.0.0.1:{port}: nobody listens"));
}

/// Opens connections until it takes no more.
fn take_all(port: u16) -> Vec<TcpStream> {
    let mut held = Vec::new();
    loop {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        stream.write_all(b"version\r\n").expect("it is sent");
        let mut answer = [0; 64];
        let read = stream.read(&mut answer).expect("an answer");
        if answer[..read].starts_with(b"ERROR Too many") {
            return held;
        }
        held.push(stream);
        assert!(held.len() < 100, "it takes all");
    }
}
