//! What lies behind a failure of PHP-FPM, as its operator is told it: real pools that are full,
//! slow, stopped or waiting, a real MariaDB and a real Redis behind them.
//!
//! The proxy finds the pool's file where Debian keeps it: the test's own is mounted there, for the
//! proxy alone. That needs root, or a kernel that lets everybody make namespaces.

use std::fs;
use std::path::{Path, PathBuf};

use super::database::{Database, NAME, PASSWORD};
use super::redis::Redis;
use super::support::proxy::Proxy;
use super::support::tools::{eventually, signal};
use super::{Fpm, Listen, ONE, PROBLEM, Site, client, expect_cause, expect_forwarding};

pub const TIMEOUTS: &str = "[upstream.site.timeouts]\nfirst_byte = \"1s\"\n";
const STATUS: (&str, &str) = ("pm.status_path", "/fpm-status");
/// More workers than a test has requests.
const ROOM: (&str, &str) = ("pm.max_children", "20");

/// A pool with these directives, and a proxy that may read its file.
pub fn serve(site: &Site, directives: &[(&str, &str)], more: &str) -> (Fpm, Proxy) {
    let fpm = Fpm::start(site, Listen::Unix, directives);
    let usual = usual_pool();
    let files: [(&Path, &str); 1] = [(&fpm.file(), usual.to_str().expect("a path in UTF-8"))];
    let proxy = Proxy::among(&files, "", &fpm.server(), &site.block(more));
    (fpm, proxy)
}

/// The file of the pool that Debian's package brings.
pub fn usual_pool() -> PathBuf {
    let versions = fs::read_dir("/etc/php").expect("apt-get install php8.2-fpm").flatten();
    let mut files = versions.map(|version| version.path().join("fpm/pool.d/www.conf"));
    files.find(|file| file.exists()).expect("apt-get install php8.2-fpm")
}

/// Asks until the look at the host has found the root, and holds the first fix to it.
fn expect_root(proxy: &Proxy, path: &str, root: &str, fix: &str) -> serde_json::Value {
    let mut asked = 0;
    let problem = eventually(root, || {
        let problem = client::get(proxy.port, path, PROBLEM).problem();
        asked += 1;
        assert!(asked < 8, "{path}: no {root} in {problem:#}");
        (problem["root"] == root).then_some(problem)
    });
    let fixes = problem["fixes"].as_array().cloned().unwrap_or_default();
    let operators = fixes.iter().find(|fix| fix["audience"] == "operator");
    assert_eq!(operators.map(|fix| fix["id"].clone()), Some(fix.into()), "{problem:#}");
    problem
}

/// Makes a worker busy for a minute; its reader leaves, and PHP does not notice.
fn occupy(site: &Site, proxy: &Proxy, path: &str) {
    let before = site.runs().len();
    let mut stream = client::connect(proxy.port);
    let head = client::head("GET", path, &[]) + "\r\n";
    std::io::Write::write_all(&mut stream, head.as_bytes()).expect("the request is taken");
    eventually("the page runs", || (site.runs().len() > before).then_some(()));
}

#[test]
fn a_full_pool_is_exhausted() {
    for more in [&[ONE][..], &[ONE, STATUS]] {
        let site = Site::new();
        let (fpm, proxy) = serve(&site, more, TIMEOUTS);
        occupy(&site, &proxy, "/sleep.php");
        expect_root(&proxy, "/hello.php", "pool_exhausted", "fpm_capacity");
        fpm.kill_worker("KILL");
        expect_forwarding(&proxy);
    }
}

#[test]
fn a_script_that_runs_for_long_is_seen_by_the_pools_status() {
    let site = Site::new();
    let (_fpm, proxy) = serve(&site, &[ROOM, STATUS], TIMEOUTS);
    expect_root(&proxy, "/sleep.php", "slow_script", "slow_queries");
    expect_forwarding(&proxy);
}

/// Two requests of one visitor: the second waits for the first.
#[test]
fn a_session_that_is_held_is_seen() {
    let site = Site::new();
    site.put(
        "session.php",
        "<?php session_id('0123456789abcdef0123456789'); session_start();
         for ($i = 0; $i < 3000; $i++) { usleep(20000); } echo 'slept';",
    );
    let sessions = site.path("data").display().to_string();
    let save_path = ("php_value[session.save_path]", sessions.as_str());
    let (_fpm, proxy) = serve(&site, &[ROOM, save_path], TIMEOUTS);
    occupy(&site, &proxy, "/session.php");
    expect_root(&proxy, "/session.php", "session_lock", "free_session_lock");
    expect_forwarding(&proxy);
}

#[test]
fn workers_that_are_stopped_are_frozen() {
    let site = Site::new();
    let (fpm, proxy) = serve(&site, &[], TIMEOUTS);
    expect_forwarding(&proxy);
    let workers = fpm.workers();
    for worker in &workers {
        signal(*worker, "STOP");
    }
    expect_root(&proxy, "/hello.php", "workers_frozen", "resume_workers");
    for worker in &workers {
        signal(*worker, "CONT");
    }
    expect_forwarding(&proxy);
}

#[test]
fn the_pools_time_limit_is_the_root() {
    let site = Site::new();
    let limit = ("request_terminate_timeout", "3s");
    let timeouts = "timeouts.first_byte = \"8s\"\n";
    let (_fpm, proxy) = serve(&site, &[ONE, limit], timeouts);
    expect_cause(&proxy, "/sleep.php?1", &["fcgi_worker_died"], "http_response_incomplete");
    expect_root(&proxy, "/sleep.php?2", "time_limit", "fpm_timeouts");
}

#[test]
fn a_redis_that_is_stopped_keeps_php_waiting() {
    let site = Site::new();
    let redis = Redis::start();
    let (host, port) = ("127.0.0.1", redis.port);
    fs::write(site.path(".env"), format!("REDIS_HOST={host}\nREDIS_PORT={port}\n"))
        .expect("a file");
    site.put(
        "cache.php",
        format!(
            "<?php $cache = fsockopen('{host}', {port}); fwrite($cache, \"PING\\r\\n\");
             stream_set_timeout($cache, 60); echo fgets($cache);"
        ),
    );
    let (_fpm, proxy) = serve(&site, &[ROOM], TIMEOUTS);
    assert_eq!(client::get(proxy.port, "/cache.php", PROBLEM).body, b"+PONG\r\n");
    redis.signal("STOP");
    expect_root(&proxy, "/cache.php", "waiting_for_helper", "resume_workers");
    redis.signal("CONT");
    expect_forwarding(&proxy);
}

/// Frozen, then gone: the script tries again and again, as many do.
#[test]
fn a_mariadb_that_is_stopped_or_gone_keeps_php_waiting() {
    let site = Site::new();
    let mut database = Database::new();
    let socket = database.socket();
    let settings = format!(
        "<?php\ndefine( 'DB_NAME', '{NAME}' );\ndefine( 'DB_PASSWORD', '{PASSWORD}' );\n\
         define( 'DB_HOST', 'localhost:{}' );\n",
        socket.display()
    );
    site.put("wp-config.php", settings);
    site.put(
        "shop.php",
        format!(
            "<?php mysqli_report(MYSQLI_REPORT_OFF);
             for ($i = 0; $i < 600; $i++) {{
                 $db = @mysqli_connect('localhost', '{NAME}', '{PASSWORD}', '{NAME}', 0, '{}');
                 if ($db) {{ echo 'sold'; exit; }}
                 usleep(100000);
             }}",
            socket.display()
        ),
    );
    let (_fpm, proxy) = serve(&site, &[ROOM], TIMEOUTS);
    assert_eq!(client::get(proxy.port, "/shop.php", PROBLEM).body, b"sold");
    let process = fs::read_to_string(socket.with_file_name("pid")).expect("its process id");
    let process = process.trim().parse().expect("a number");
    signal(process, "STOP");
    let problem = expect_root(&proxy, "/shop.php", "waiting_for_helper", "resume_workers");
    assert!(!problem.to_string().contains(PASSWORD), "{problem:#}");
    signal(process, "CONT");
    database.stop();
    expect_root(&proxy, "/shop.php", "helper_down", "start_helper");
}
