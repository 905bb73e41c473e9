//! `causeway doctor` before a real PHP-FPM: silent when it serves, with the cause when it does not.

use std::fs;
use std::process::{Command, Output};
use std::thread;

use serde_json::Value;

use super::roots::usual_pool;
use super::support::proxy::among;
use super::support::tools::eventually;
use super::{Fpm, Listen, ONE, PROBLEM, Site, both, client, serve};

fn doctor(server: &str, site: &Site, more: &str, arguments: &[&str]) -> Output {
    asked(Command::new(env!("CARGO_BIN_EXE_causeway")), server, site, more, arguments)
}

/// The same by a program that sees other files than we do.
fn asked(
    mut program: Command,
    server: &str,
    site: &Site,
    more: &str,
    arguments: &[&str],
) -> Output {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("causeway.toml");
    let text = format!(
        "listen = [\"127.0.0.1:0\"]\n[upstream.shop]\nservers = [\"{server}\"]\n{}",
        site.block(more)
    );
    fs::write(&file, text).expect("a file");
    program
        .args(["doctor", "--config"])
        .arg(file)
        .args(arguments)
        .arg("shop")
        .env_clear()
        .output()
        .expect("the program runs")
}

fn found(output: &Output) -> Value {
    let whole: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    whole["checks"][0].clone()
}

#[test]
fn a_pool_that_serves_is_well_and_one_that_is_stopped_is_not() {
    for listen in both() {
        let site = Site::new();
        let mut fpm = Fpm::start(&site, listen, &[]);
        let output = doctor(&fpm.server(), &site, "", &[]);
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said, "Checks: 1, all well.\n", "{output:?}");
        assert_eq!(output.status.code(), Some(0));
        fpm.stop("QUIT");
        let output = doctor(&fpm.server(), &site, "", &["--json"]);
        assert_eq!(output.status.code(), Some(69), "{output:?}");
        let cause = match listen {
            Listen::Unix => "unix_socket_missing",
            Listen::Tcp(_) => "connection_refused",
        };
        assert_eq!(found(&output)["problem"]["cause"], cause);
    }
}

#[test]
fn a_pool_that_listens_elsewhere_is_found() {
    let site = Site::new();
    let fpm = Fpm::start(&site, Listen::Unix, &[]);
    let there = fpm.socket();
    let missing = there.with_file_name("php8.1-fpm.sock");
    let server = format!("fastcgi+unix:{}", missing.display());
    let output = doctor(&server, &site, "", &["--json"]);
    let problem = found(&output)["problem"].clone();
    assert_eq!(problem["cause"], "unix_socket_missing", "{problem:#}");
    assert_eq!(problem["root"], "wrong_socket_path", "{problem:#}");
    assert_eq!(output.status.code(), Some(69));
    let output = doctor(&server, &site, "", &[]);
    let said = String::from_utf8_lossy(&output.stdout);
    let root = said.lines().find(|line| line.contains(": wrong_socket_path (likely)"));
    assert!(root.is_some_and(|line| line.contains("What lies behind it: ")), "{said}");
    assert!(said.contains(&there.display().to_string()), "{said}");
}

#[test]
fn a_pool_without_a_free_worker_is_told_as_such() {
    let (site, fpm, proxy) = serve(Site::new(), Listen::Unix, &[ONE], "");
    let port = proxy.port;
    let busy = thread::spawn(move || client::get(port, "/two_parts.php", PROBLEM));
    eventually("the worker is busy", || (site.runs() == ["two_parts.php"]).then_some(()));
    // The pool's file is where Debian's package has it.
    let usual = usual_pool();
    let files = [(fpm.file(), usual.to_str().expect("a path in UTF-8"))];
    let files = files.each_ref().map(|(file, path)| (file.as_path(), *path));
    let more = "timeouts.first_byte = \"1s\"\n";
    let output = asked(among(&files), &fpm.server(), &site, more, &["--json"]);
    let check = found(&output);
    site.signal("go");
    assert_eq!(check["problem"]["cause"], "fcgi_pool_saturated", "{check}");
    assert_eq!(check["problem"]["root"], "pool_exhausted", "{check}");
    assert_eq!(output.status.code(), Some(69));
    assert_eq!(busy.join().expect("an answer").status, 200);
}
