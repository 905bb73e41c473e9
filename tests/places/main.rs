//! The server runs, but not where it is looked for: real Apache and PHP-FPM, and what an operator is
//! told lies behind it.
//!
//! Each test is in a network of its own, so that nobody else's listener is near. Needs root,
//! iproute2, Apache with PHP, and PHP-FPM; where one is missing the test fails and says so.

#[path = "../php/fpm.rs"]
#[allow(dead_code, reason = "the fixture is for more than this")]
mod fpm;
#[path = "../apache/server.rs"]
#[allow(dead_code, reason = "the fixture is for more than this")]
mod server;
#[path = "../php/site.rs"]
#[allow(dead_code, reason = "the fixture is for more than this")]
mod site;
#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use fpm::{Fpm, Listen};
use nix::sched::{CloneFlags, unshare};
use serde_json::Value;
use server::{Apache, Speaks};
use support::client::{self, PROBLEM};
use support::proxy::{Proxy, as_nobody};
use support::tools::{eventually, run};

/// Where Apache listens, and where it is looked for.
const ACTUAL: u16 = 8081;
const CONFIGURED: u16 = 8080;
/// An address of this network's own, beside loopback.
const OWN: &str = "192.0.2.7";

/// Moves this thread, and what it starts, to a network of its own with loopback and one address.
fn apart() {
    unshare(CloneFlags::CLONE_NEWNET).expect("root may make a network namespace");
    for words in ["link set lo up", &format!("addr add {OWN}/32 dev lo")] {
        run(Command::new("ip").args(words.split_whitespace()));
    }
}

/// What an operator is told.
struct Told(Value);

impl Told {
    /// Asks until the look is over that finds this root.
    fn root(proxy: &Proxy, cause: &str, root: &str) -> Told {
        let mut last = Value::Null;
        let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            eventually(&format!("the root {root}"), || {
                last = client::get(proxy.port, "/hello.php", PROBLEM).problem();
                (last["root"] == root).then(|| last.clone())
            })
        }));
        let told = Told(told.unwrap_or_else(|_| panic!("no root {root}: {last:#}")));
        assert_eq!(told.0["cause"], cause, "{:#}", told.0);
        told
    }

    fn first_fix(&self) -> &str {
        let fixes = self.0["fixes"].as_array().expect("fixes");
        let first = fixes.iter().find(|fix| fix["audience"] == "operator");
        first.and_then(|fix| fix["id"].as_str()).expect("a fix for an operator")
    }

    /// A finding's value, and whether its meaning is told.
    fn finding(&self, key: &str) -> (&str, bool) {
        let list = self.0["findings"].as_array().expect("findings");
        let found = list.iter().find(|found| found["key"] == key);
        let found = found.unwrap_or_else(|| panic!("no {key}: {:#}", self.0));
        (found["value"].as_str().expect("a value"), found["meaning"].is_string())
    }

    /// Whether a command of the first fix says so.
    fn expect_command(&self, fix: &str, kind: &str, part: &str) {
        let fixes = self.0["fixes"].as_array().expect("fixes");
        let fix = fixes.iter().find(|found| found["id"] == fix).expect("its fix");
        let says = fix["commands"].as_array().expect("commands").iter().any(|command| {
            command["kind"] == kind
                && command["line"].as_str().is_some_and(|line| line.contains(part))
        });
        assert!(says, "no {part}: {fix:#}");
    }

    fn expect(&self, fix: &str, key: &str, value: &str) {
        assert_eq!(self.first_fix(), fix, "{:#}", self.0);
        let (found, means) = self.finding(key);
        assert!(found.contains(value) && means, "{key} is {found:?}: {:#}", self.0);
    }
}

fn apache_at(ip: &str, port: u16) -> (server::Site, Apache) {
    let site = server::Site::new();
    site.listen_at(ip);
    let apache = Apache::start(&site, port, Speaks::Http);
    (site, apache)
}

fn before(address: &str) -> Proxy {
    Proxy::before(&format!("http://{address}"), "")
}

#[test]
fn an_apache_on_another_port() {
    apart();
    let (_site, _apache) = apache_at("127.0.0.1", ACTUAL);
    let proxy = before(&format!("127.0.0.1:{CONFIGURED}"));
    let told = Told::root(&proxy, "connection_refused", "wrong_port");
    told.expect("match_port", "listening", &format!("127.0.0.1:{ACTUAL}"));
    assert_eq!(told.finding("listener"), ("nobody", true));
    assert!(told.finding("listening_as").0.contains("8081 root"), "{:#}", told.0);
    // Root sees the processes of all; on a busy host one look may not get to each.
    eventually("its process is named", || {
        let told = Told(client::get(proxy.port, "/hello.php", PROBLEM).problem());
        told.finding("listening_as").0.contains(", apache2 (").then_some(())
    });
    assert_eq!(doctors_root(&format!("http://127.0.0.1:{CONFIGURED}"), ""), "wrong_port");
}

/// What `causeway doctor` says lies behind the failure of the one server in its file.
fn doctors_root(server: &str, block: &str) -> Value {
    doctors_root_as(|_| Command::new(env!("CARGO_BIN_EXE_causeway")), server, block)
}

/// The same by whoever runs the program.
fn doctors_root_as(who: impl FnOnce(&Path) -> Command, server: &str, block: &str) -> Value {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("causeway.toml");
    let text =
        format!("listen = [\"127.0.0.1:0\"]\n[upstream.app]\nservers = [\"{server}\"]\n{block}");
    fs::write(&file, text).expect("a file");
    let mut doctor = who(dir.path());
    doctor.args(["doctor", "--json", "app", "--config"]).arg(file).env_clear();
    let said = doctor.output().expect("the program runs");
    assert_eq!(said.status.code(), Some(69), "{said:?}");
    let whole: Value = serde_json::from_slice(&said.stdout).expect("JSON");
    whole["checks"][0]["problem"]["root"].clone()
}

#[test]
fn an_apache_on_ipv6_alone() {
    apart();
    let (_site, _apache) = apache_at("::1", CONFIGURED);
    let proxy = before(&format!("127.0.0.1:{CONFIGURED}"));
    let told = Told::root(&proxy, "connection_refused", "wrong_address_family");
    told.expect("match_port", "same_port", &format!("[::1]:{CONFIGURED}"));
    told.expect_command("match_port", "edit", &format!("\"http://[::1]:{CONFIGURED}\""));
}

#[test]
fn an_apache_bound_to_loopback() {
    apart();
    let (_site, _apache) = apache_at("127.0.0.1", CONFIGURED);
    let proxy = before(&format!("{OWN}:{CONFIGURED}"));
    let told = Told::root(&proxy, "connection_refused", "bound_to_loopback");
    told.expect("match_port", "same_port", &format!("127.0.0.1:{CONFIGURED}"));
    told.expect_command("match_port", "edit", &format!("\"http://127.0.0.1:{CONFIGURED}\""));
}

#[test]
fn an_apache_at_another_address_of_this_host() {
    apart();
    let (_site, _apache) = apache_at("127.0.0.2", CONFIGURED);
    let proxy = before(&format!("127.0.0.1:{CONFIGURED}"));
    let told = Told::root(&proxy, "connection_refused", "wrong_address");
    told.expect("match_port", "same_port", &format!("127.0.0.2:{CONFIGURED}"));
    told.expect_command("match_port", "edit", &format!("\"http://127.0.0.2:{CONFIGURED}\""));
}

/// Nobody listens, here or near; nothing says that it is elsewhere.
#[test]
fn a_stopped_apache_is_nowhere() {
    apart();
    let (_site, apache) = apache_at("127.0.0.1", CONFIGURED);
    let proxy = before(&format!("127.0.0.1:{CONFIGURED}"));
    assert_eq!(client::get(proxy.port, "/hello.txt", PROBLEM).status, 200);
    apache.stop();
    let problem = eventually("the look is over", || {
        let problem = client::get(proxy.port, "/hello.txt", PROBLEM).problem();
        let told = |found: &Value| found["key"] == "listener";
        problem["findings"].as_array()?.iter().any(told).then_some(problem)
    });
    let told = Told(problem);
    assert_eq!(told.finding("listener"), ("nobody", true));
    let root = told.0["root"].as_str().unwrap_or_default();
    // Where systemd runs and knows an Apache, the unit's state is told.
    assert!(root.is_empty() || root.starts_with("service_"), "{root}: {:#}", told.0);
    let fix = told.first_fix();
    assert!(["backend_status", "start_backend"].contains(&fix), "{fix}: {:#}", told.0);
}

fn fpm(listen_mode: &str) -> (site::Site, Fpm) {
    let site = site::Site::new();
    let directives = [("listen.mode", listen_mode), ("listen.group", "www-data")];
    let fpm = Fpm::start(&site, Listen::Unix, &directives);
    (site, fpm)
}

#[test]
fn a_pool_of_another_version() {
    apart();
    let (site, fpm) = fpm("0666");
    let there = fpm.socket();
    let missing = there.with_file_name("php8.1-fpm.sock");
    let server = format!("fastcgi+unix:{}", missing.display());
    let proxy = Proxy::before(&server, &site.block(""));
    let told = Told::root(&proxy, "unix_socket_missing", "wrong_socket_path");
    told.expect("socket_path", "sockets", there.to_str().expect("a path"));
    let (path, means) = told.finding("socket_path");
    assert!(path.ends_with(": php8.1-fpm.sock is not there") && means, "{path}");
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
}

#[test]
fn a_socket_whose_mode_keeps_us_out() {
    apart();
    let (site, fpm) = fpm("0660");
    let proxy = Proxy::unprivileged(&fpm.server(), &site.block(""));
    let told = Told::root(&proxy, "unix_socket_permission_denied", "socket_mode");
    told.expect("socket_permissions", "socket_path", "srw-rw----");
    let (path, _) = told.finding("socket_path");
    assert!(path.ends_with(": we may not write; group www-data may"), "{path}");
    assert_eq!(told.finding("we_are"), ("nobody, groups nogroup", false));
    told.expect_command("socket_permissions", "run", "usermod -aG www-data ");
    let root = doctors_root_as(as_nobody, &fpm.server(), &site.block(""));
    assert_eq!(root, "socket_mode");
    // Once the mode lets us in, the page comes.
    set_mode(&fpm.socket(), 0o666);
    eventually("the page", || {
        (client::get(proxy.port, "/hello.php", PROBLEM).status == 200).then_some(())
    });
}

#[test]
fn a_folder_whose_mode_keeps_us_out() {
    apart();
    let (site, fpm) = fpm("0666");
    let folder = fpm.socket().with_file_name("");
    set_mode(&folder, 0o710);
    let proxy = Proxy::unprivileged(&fpm.server(), &site.block(""));
    let told = Told::root(&proxy, "unix_socket_permission_denied", "directory_mode");
    told.expect("directory_access", "socket_path", "drwx--x---");
    let (owner, _) = told.finding("listener");
    assert!(owner.starts_with("root"), "it is seen all the same: {owner}");
    let (path, _) = told.finding("socket_path");
    // Nobody is told to join root's group.
    assert!(path.ends_with(": we may not pass"), "{path}");
    set_mode(&folder, 0o755);
    eventually("the page", || {
        (client::get(proxy.port, "/hello.php", PROBLEM).status == 200).then_some(())
    });
}
