//! What lies behind a script that failed, as its operator is told it: its memory, its own mistake,
//! or what was changed on the site just before.

use std::fs;

use super::client::{self, PROBLEM};
use super::roots::serve;
use super::support::proxy::Proxy;
use super::support::roots::{expect_finding, expect_root};
use super::{Fpm, Listen, Site};

/// Pages that fail are looked into.
const REPLACED: &str = "replace_status = [500]\n";
const LIMIT: (&str, &str) = ("php_admin_value[memory_limit]", "32M");
/// Where the host's package manager notes what it does: what it did before the test is none of the
/// test's.
const PACKAGES: &str = "/var/log/dpkg.log";

/// What PHP writes to a file of its own, and the directive that has it do so.
fn own_log(site: &Site) -> String {
    site.path("data/php.log").display().to_string()
}

#[test]
fn a_script_that_needs_more_memory_than_it_may_have() {
    let site = Site::new();
    let (_fpm, proxy) = serve(&site, &[LIMIT], REPLACED);
    let root = ("memory_limit", "certain");
    let problem = expect_root(proxy.port, "/memory.php", root, "memory_limit");
    assert_eq!(problem["cause"], "php_out_of_memory", "{problem:#}");
    assert!(problem["root_evidence"].to_string().contains("Allowed memory size of 33554432"));
    expect_finding(&problem, "php_limits", "memory_limit 32 MiB");
}

/// The same where only PHP's log says so: all that is seen of it is a white page.
#[test]
fn a_memory_limit_is_found_in_the_log_of_php() {
    let site = Site::new();
    let log = own_log(&site);
    let block = format!("logs = [\"{log}\"]\n{REPLACED}");
    let (_fpm, proxy) = serve(&site, &[LIMIT, ("php_admin_value[error_log]", &log)], &block);
    let root = ("memory_limit", "likely");
    let problem = expect_root(proxy.port, "/memory.php", root, "memory_limit");
    assert_eq!(problem["cause"], "php_fatal_error", "{problem:#}");
    expect_finding(&problem, "log_line", "Allowed memory size of 33554432 bytes exhausted");
}

/// A mistake that was there before: nothing of the site that would count has changed of late. What
/// lies this deep in a site is as often a cache.
#[test]
fn a_mistake_in_a_script_is_found_in_the_log_of_php() {
    let site = Site::new();
    let root = site.path("old");
    fs::create_dir_all(root.join("app")).expect("a folder");
    fs::write(root.join("app/cart.php"), "<?php\nshop_total();").expect("a file");
    let log = own_log(&site);
    let fpm = Fpm::start(&site, Listen::Unix, &[("php_admin_value[error_log]", &log)]);
    let block = format!("root = \"{}\"\nlogs = [\"{log}\"]\n{REPLACED}", root.display());
    let none = site.path("none");
    fs::write(&none, "").expect("a file");
    let proxy = Proxy::among(&[(&none, PACKAGES)], "", &fpm.server(), &block);
    let root = ("script_error", "likely");
    let problem = expect_root(proxy.port, "/app/cart.php", root, "check_logs");
    assert_eq!(problem["cause"], "php_fatal_error", "{problem:#}");
    let line = "PHP Fatal error:  Uncaught Error: Call to undefined function shop_total()";
    expect_finding(&problem, "log_line", line);
    assert!(problem["root_evidence"].to_string().contains("shop_total"), "{problem:#}");
}

/// A page that was well, and fails since one of its files was replaced.
#[test]
fn a_file_that_was_replaced_just_before_is_the_deployment_to_roll_back() {
    let site = Site::new();
    let well = "<?php function shop_total() { return 42; }";
    site.put("functions.php", well);
    site.put("cart.php", "<?php require 'functions.php'; echo shop_total();");
    let (_fpm, proxy) = serve(&site, &[], REPLACED);
    assert_eq!(client::get(proxy.port, "/cart.php", PROBLEM).body, b"42");
    let broken = site.put("functions.php", "<?php function shop_sum() { return 42; }");
    let root = ("faulty_deployment", "likely");
    let problem = expect_root(proxy.port, "/cart.php", root, "roll_back");
    assert_eq!(problem["cause"], "php_fatal_error", "{problem:#}");
    expect_finding(&problem, "changed", &format!("site_file {}", broken.display()));
    // Rolled back, it is well.
    site.put("functions.php", well);
    assert_eq!(client::get(proxy.port, "/cart.php", PROBLEM).body, b"42");
}
