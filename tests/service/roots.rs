//! Apache, PHP-FPM and a program of the administrator's own as services of a real systemd, each
//! brought down in the ways it happens: what the page of the hardened service says lies behind it.

use serde_json::Value;

use super::doctor::is_named;
use super::support::sandbox::Sandbox;
use super::unit::{FILE, drop_in, installed};

/// A block for each server, told apart by the request's host.
const CONFIG: &str = r#"
listen = ["127.0.0.1:80"]

[upstream.apache]
servers = ["http://127.0.0.1:8081"]
hosts = ["apache.test"]

[upstream.php]
servers = ["fastcgi+unix:PHP_SOCKET"]
hosts = ["php.test"]
root = "/var/www/html"
timeouts.first_byte = "1s"

[upstream.app]
servers = ["http://127.0.0.1:3000"]
hosts = ["app.test"]
"#;

/// A program of the administrator's own.
const APP: &str = "[Service]\nExecStart=/usr/bin/perl -e 'exit 3' -- --port 3000\n\
    Restart=on-failure\nRestartSec=100ms\n";

/// Keys that the hardened service shows.
const SHOWN: [&str; 12] = [
    "unit",
    "unit_state",
    "memory_available",
    "load",
    "pressure",
    "disk",
    "descriptors",
    "listener",
    "pool",
    "php_limits",
    "log_line",
    "changed",
];

/// Those of which it says that it may not read them: PHP-FPM's log is root's, and processes are
/// another user's.
const DENIED: [&str; 3] = ["log_unread", "pool_processes", "unit_processes"];

/// Everything runs; the name of PHP-FPM's unit.
pub fn running() -> (Sandbox, String) {
    let sandbox = installed();
    let php = sandbox.sh("basename /lib/systemd/system/php*-fpm.service");
    let socket = format!("/run/php/{}.sock", php.trim_end_matches(".service"));
    sandbox.write(FILE, &CONFIG.replace("PHP_SOCKET", &socket));
    sandbox.write("/var/www/html/ok.php", "<?php echo 'ok';");
    sandbox.sh("sed -i 's/^Listen 80$/Listen 8081/' /etc/apache2/ports.conf; \
         sed -i 's/\\*:80>/*:8081>/' /etc/apache2/sites-enabled/*");
    // Neither is to be started again by systemd before it was looked at.
    drop_in(&sandbox, "apache2.service", "[Service]\nRestart=no\n");
    sandbox.sh(&format!("systemctl start apache2 {php} causeway"));
    for (host, says) in [("apache.test", "ok"), ("php.test", "ok")] {
        let line = format!("curl -s -H 'Host: {host}' http://127.0.0.1/ok.php");
        sandbox.until(&line, |said| said.contains(says));
    }
    (sandbox, php)
}

/// What an operator is told, once the page names this root.
pub fn rooted(sandbox: &Sandbox, host: &str, root: &str) -> Value {
    let ask = format!(
        "curl -s -m 10 -H 'Host: {host}' -H 'Accept: application/problem+json' \
         http://127.0.0.1/ok.php"
    );
    let said = sandbox.until(&ask, |said| {
        let problem: Value = serde_json::from_str(said).unwrap_or_default();
        problem["root"] == root
    });
    println!("{root}: {said}");
    serde_json::from_str(&said).unwrap()
}

/// The value of a finding.
pub fn finding<'a>(problem: &'a Value, key: &str) -> &'a str {
    let found = problem["findings"].as_array().unwrap().iter().find(|found| found["key"] == key);
    found.and_then(|found| found["value"].as_str()).unwrap_or_default()
}

/// The operator's first fix.
pub fn first_fix(problem: &Value) -> &Value {
    let mut fixes = problem["fixes"].as_array().unwrap().iter();
    fixes.find(|fix| fix["audience"] == "operator").unwrap()
}

/// The first fix's id, and a command of it.
pub fn is_fixed_by(problem: &Value, id: &str, command: &str) {
    let fix = first_fix(problem);
    assert_eq!(fix["id"], id, "{fix}");
    assert!(fix.to_string().contains(command), "no {command:?} in {fix}");
}

#[test]
fn a_service_that_was_stopped_is_named() {
    let (sandbox, php) = running();
    for (unit, host) in [("apache2.service", "apache.test"), (&php, "php.test")] {
        sandbox.sh(&format!("systemctl stop {unit}"));
        let problem = rooted(&sandbox, host, "service_stopped");
        assert_eq!(finding(&problem, "unit"), unit);
        assert_eq!(finding(&problem, "unit_state"), "inactive (dead)");
        let name = unit.trim_end_matches(".service");
        is_fixed_by(&problem, "start_backend", &format!("systemctl restart {name}"));
    }
    sandbox.sh(&format!("systemctl mask apache2 {php}"));
    for host in ["apache.test", "php.test"] {
        let problem = rooted(&sandbox, host, "service_masked");
        assert_eq!(finding(&problem, "unit_state"), "masked (dead)");
        is_fixed_by(&problem, "unmask_service", "systemctl unmask");
    }
    is_named(&sandbox, "service_masked");
}

#[test]
fn a_service_that_crashed_is_named() {
    let (sandbox, php) = running();
    // What to look for in PHP's workers helps no web server.
    for (unit, host, crash) in
        [("apache2.service", "apache.test", "check_logs"), (&php, "php.test", "find_crash")]
    {
        for (signal, exit, root, fix) in [
            ("KILL", "SIGKILL (9)", "service_crashed", "start_backend"),
            ("SEGV", "SIGSEGV (11)", "segfault", crash),
        ] {
            sandbox.sh(&format!("systemctl start {unit}"));
            sandbox.sh(&format!("systemctl kill --signal={signal} --kill-who=main {unit}"));
            let problem = rooted(&sandbox, host, root);
            assert_eq!(finding(&problem, "unit"), unit);
            assert_eq!(finding(&problem, "unit_state"), "failed (failed)");
            assert_eq!(finding(&problem, "unit_exit"), exit);
            is_fixed_by(&problem, fix, unit.trim_end_matches(".service"));
        }
    }
    // It ends with an error at every start, until systemd has enough of it.
    sandbox.write("/etc/systemd/system/app.service", APP);
    sandbox.sh("systemctl daemon-reload; systemctl start app");
    let problem = rooted(&sandbox, "app.test", "start_limit_hit");
    assert_eq!(finding(&problem, "unit"), "app.service");
    assert_eq!(finding(&problem, "unit_exit"), "status 3");
    is_fixed_by(&problem, "clear_start_limit", "systemctl reset-failed app");
    is_named(&sandbox, "start_limit_hit");
    is_named(&sandbox, "segfault");
}

#[test]
fn a_service_that_is_being_restarted_is_named() {
    let (sandbox, php) = running();
    drop_in(&sandbox, &php, "[Service]\nExecStartPre=/bin/sleep 30\n");
    sandbox.sh(&format!("systemctl restart --no-block {php}"));
    let problem = rooted(&sandbox, "php.test", "reload_or_restart");
    assert_eq!(finding(&problem, "unit_state"), "activating (start-pre)");
    assert_eq!(first_fix(&problem)["id"], "wait_for_start");
}

/// By the freezer, which systemd tells of; and by a signal, of which /proc alone does: a service
/// that is to see it is allowed to.
#[test]
fn a_service_that_is_frozen_is_named() {
    let (sandbox, php) = running();
    sandbox.sh(&format!("systemctl freeze {php}"));
    let problem = rooted(&sandbox, "php.test", "workers_frozen");
    assert_eq!(finding(&problem, "unit"), php);
    assert_eq!(finding(&problem, "unit_state"), "frozen (running)");
    assert_eq!(finding(&problem, "unit_processes"), "not allowed: set ProtectProc=default");
    assert_eq!(first_fix(&problem)["id"], "resume_workers");
    sandbox.sh(&format!("systemctl thaw {php}"));
    let works = || {
        let line = "curl -s -H 'Host: php.test' http://127.0.0.1/ok.php";
        sandbox.until(line, |said| said == "ok");
    };
    works();

    drop_in(&sandbox, "causeway.service", "[Service]\nProtectProc=default\n");
    sandbox.sh("systemctl restart causeway");
    works();
    sandbox.sh(&format!("systemctl kill --signal=STOP {php}"));
    let problem = rooted(&sandbox, "php.test", "workers_frozen");
    assert!(finding(&problem, "unit_processes").ends_with("stopped"), "{problem}");
    is_fixed_by(&problem, "resume_workers", "SIGCONT");
    sandbox.sh(&format!("systemctl kill --signal=CONT {php}"));
    works();
}

/// What the page of the hardened service shows of a script that is slow and of a service that is
/// down, and what it says that it may not read: the table of the README.
#[test]
fn what_the_hardened_service_sees_is_what_the_readme_says() {
    let (sandbox, _) = running();
    sandbox.write("/var/www/html/slow.php", "<?php sleep(5); echo 'ok';");
    let ask = |host: &str, path: &str| {
        format!(
            "curl -s -m 10 -H 'Host: {host}' -H 'Accept: application/problem+json' \
             http://127.0.0.1{path}"
        )
    };
    let seen = |said: &str, key: &str| {
        let problem: Value = serde_json::from_str(said).unwrap_or_default();
        finding(&problem, key).to_owned()
    };
    // The slowest of the looks has come by then.
    let slow = sandbox.until(&ask("php.test", "/slow.php"), |said| {
        !seen(said, "unit").is_empty() && !seen(said, "php_limits").is_empty()
    });
    sandbox.sh("systemctl stop apache2");
    let down = sandbox.until(&ask("apache.test", "/"), |said| !seen(said, "unit").is_empty());
    let mut shown = Vec::new();
    let mut denied = Vec::new();
    for said in [&slow, &down] {
        let problem: Value = serde_json::from_str(said).unwrap();
        for found in problem["findings"].as_array().unwrap() {
            let (key, value) = (found["key"].as_str().unwrap(), found["value"].as_str().unwrap());
            println!("{key}: {value}");
            match value.contains("not allowed") {
                true => denied.push(key.to_owned()),
                false => shown.push(key.to_owned()),
            }
        }
    }
    for key in SHOWN {
        assert!(shown.iter().any(|shown| shown == key), "{key} is not shown");
    }
    denied.sort();
    denied.dedup();
    assert_eq!(denied, DENIED);
}
