//! What logs say of a failure: PHP-FPM's own words about its workers are found within the look, and
//! whatever lies in a log's place, the page comes in time and says what could not be read.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::client::{self, PROBLEM};
use super::roots;
use super::site::set_mode;
use super::support::proxy::Proxy;
use super::support::tools::run;
use super::{Fpm, Listen, ONE, Site, eventually};

/// What a page may take at most while a log is looked at: the look has 150 ms.
const PAGE_LIMIT: Duration = Duration::from_secs(2);

/// A line of another day.
const OLD: &str = "PHP Fatal error:  Uncaught Error: of long ago in /srv/a.php:1";

/// Fails as shops do: with a query and an address in its words.
const DEBUGGED: &str = "<?php ini_set('error_log', __DIR__ . '/wp-content/debug.log');
    error_log(\"WordPress database error Table 'wp.orders' doesn't exist for query SELECT total\"
        . \" FROM orders WHERE mail = 'anna@mail.example' made by require('wp-blog-header.php')\");
    throw new RuntimeException('mysql://shop:tiger@db.internal/shop?token=abc does not answer');";

/// A site whose pool's log is named to the proxy.
fn logged(directives: &[(&str, &str)], more: &str) -> (Site, Fpm, Proxy) {
    let site = Site::new();
    let fpm = Fpm::start(&site, Listen::Unix, directives);
    let block = format!("logs = [\"{}\"]\n{more}", fpm.log_file().display());
    let proxy = Proxy::before(&fpm.server(), &site.block(&block));
    (site, fpm, proxy)
}

/// Values of what was found, by key.
fn found(problem: &Value, key: &str) -> Vec<String> {
    let findings = problem["findings"].as_array().into_iter().flatten();
    let of_key = findings.filter(|finding| finding["key"] == key);
    of_key.filter_map(|finding| finding["value"].as_str().map(str::to_owned)).collect()
}

/// Asks as an operator until a line of a log with these words is among what was found.
fn expect_line(proxy: &Proxy, path: &str, words: &str) -> Value {
    eventually(&format!("a line of a log: {words}"), || {
        let problem = client::get(proxy.port, path, PROBLEM).problem();
        found(&problem, "log_line").iter().any(|line| line.contains(words)).then_some(problem)
    })
}

/// What lies behind a failure, and the operator's first fix.
fn assert_root(problem: &Value, root: &str, fix: &str) {
    assert_eq!(problem["root"], root, "{problem:#}");
    let fixes = problem["fixes"].as_array().expect("fixes");
    let first = fixes.iter().find(|fix| fix["audience"] == "operator").expect("a fix");
    assert_eq!(first["id"], fix, "{problem:#}");
}

#[test]
fn a_crash_is_found_in_the_log_of_the_pool() {
    let (_site, _fpm, proxy) = logged(&[ONE], "");
    let problem = expect_line(&proxy, "/die.php?by=11", "exited on signal 11 (SIGSEGV");
    assert_eq!(problem["cause"], "fcgi_worker_died", "{problem:#}");
    assert_root(&problem, "segfault", "find_crash");
}

#[test]
fn a_time_limit_is_found_in_the_log_of_the_pool() {
    let directives = [("request_terminate_timeout", "1s"), ("pm.max_children", "2")];
    let (_site, _fpm, proxy) = logged(&directives, "");
    // The script's query is a visitor's and stays out of it.
    let problem = expect_line(&proxy, "/sleep.php?token=abc", "execution timed out");
    let lines = found(&problem, "log_line").join("\n");
    assert!(!lines.contains("token=abc"), "{lines}");
    assert_root(&problem, "time_limit", "fpm_timeouts");
}

/// As WordPress has it with WP_DEBUG_LOG: PHP's words go to a file of the site's own.
#[test]
fn what_debug_log_says_of_the_failures_seconds_is_told_without_its_secrets() {
    let site = Site::new();
    let log = site.put("wp-content/debug.log", format!("[21-Nov-2020 01:02:03 UTC] {OLD}\n"));
    set_mode(&log, 0o666);
    site.put("shop.php", DEBUGGED);
    let (_fpm, proxy) = roots::serve(&site, &[], "replace_status = [500]\n");
    let problem = expect_line(&proxy, "/shop.php", "PHP Fatal error:  Uncaught RuntimeException:");
    assert_eq!(problem["cause"], "php_fatal_error", "{problem:#}");
    let lines = found(&problem, "log_line");
    for line in [
        "Uncaught RuntimeException: mysql://***@db.internal/shop?*** does not answer in ",
        "] WordPress database error Table 'wp.orders' doesn't exist for query SELECT total FROM \
         orders WHERE mail = '***' made by require('***')",
    ] {
        let from = format!("{}: [", log.display());
        let is_it = |found: &&String| found.starts_with(&from) && found.contains(line);
        assert!(lines.iter().any(|found| is_it(&found)), "no {line} in {lines:#?}");
    }
    let whole = problem.to_string();
    for secret in ["tiger", "anna", "token=abc", OLD] {
        assert!(!whole.contains(secret), "{secret}: {problem:#}");
    }
    // The site was put there a moment ago.
    assert_root(&problem, "faulty_deployment", "roll_back");
}

/// Whatever a site's own user puts in debug.log's place.
#[test]
fn hostile_logs_hold_no_page_up() {
    let (site, _fpm, proxy) = logged(&[ONE], "");
    let folder = site.root().join("wp-content");
    fs::create_dir(&folder).expect("a folder");
    let log = folder.join("debug.log");
    let odd = |words: &str| {
        eventually(words, || {
            let began = Instant::now();
            let problem = client::get(proxy.port, "/die.php?by=9", PROBLEM).problem();
            assert!(began.elapsed() < PAGE_LIMIT, "{words}: {:?}", began.elapsed());
            assert_eq!(problem["cause"], "fcgi_worker_died", "{problem:#}");
            let unread = found(&problem, "log_unread").join("\n");
            unread.contains(words).then_some(())
        });
    };
    run(Command::new("mkfifo").arg(&log));
    odd("debug.log: not read: no regular file");
    fs::remove_file(&log).expect("it is removed");
    symlink(&log, &log).expect("a link");
    odd("debug.log: not read: no regular file");
    fs::remove_file(&log).expect("it is removed");
    let mut file = File::create(&log).expect("a file");
    file.set_len(10 << 30).expect("a length");
    file.write_all(&[0xff; 1000]).expect("bytes");
    let problem = client::get(proxy.port, "/die.php?by=9", PROBLEM).problem();
    assert_eq!(problem["cause"], "fcgi_worker_died", "{problem:#}");
}
