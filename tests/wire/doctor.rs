//! `causeway doctor` before scripted servers: silent where all is well, and in the page's own words
//! where a request would fail.

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;

use super::backend::{self, Backend};

const HELLO: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
const BROKEN: &str = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 5\r\n\r\nsorry";

/// Runs it with these lines in its file; of the upstream `app` alone, since the rest is the host's.
fn doctor(lines: &str, arguments: &[&str]) -> Output {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("causeway.toml");
    fs::write(&file, format!("listen = [\"127.0.0.1:0\"]\n{lines}")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_causeway"));
    command.arg("doctor").arg("--config").arg(file).args(arguments);
    command.env_clear().output().unwrap()
}

fn before(server: &str, arguments: &[&str]) -> Output {
    doctor(&format!("[upstream.app]\nservers = [\"{server}\"]\n"), arguments)
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_healthy_server_is_one_line_and_is_asked_as_a_visitor_would() {
    let backend = Backend::answering(HELLO);
    let lines = format!(
        "[upstream.app]\nservers = [\"{}\"]\nhosts = [\"shop.example\"]\npaths = [\"/app/\"]\n",
        backend.server()
    );
    let output = doctor(&lines, &["app"]);
    assert_eq!(said(&output), "Checks: 1, all well.\n", "{output:?}");
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), b"".as_slice()));
    let asked = backend.received_with("\r\n\r\n");
    assert!(asked.starts_with("GET /app/ HTTP/1.1\r\nHost: shop.example\r\n"), "{asked}");
    assert!(asked.contains("causeway-doctor/"), "{asked}");
}

#[test]
fn a_server_that_refuses_is_named_with_cause_fixes_and_commands() {
    let server = backend::refusing();
    let output = before(&server, &["app"]);
    assert_eq!(output.status.code(), Some(69), "{output:?}");
    let text = said(&output);
    for part in [
        &format!("FAILURE upstream: app {server}\n"),
        "connection_refused (certain)",
        "\n    1. ",
        "ss -ltnp",
        "causeway explain connection_refused\n",
        "Checks: 1; failures: 1; warnings: 0.\n",
    ] {
        assert!(text.contains(part), "{part:?} in\n{text}");
    }
    assert!(!text.contains('\x1b'), "no colours without a terminal:\n{text}");
}

#[test]
fn machines_get_the_same_as_json() {
    let output = before(&backend::refusing(), &["--json", "app"]);
    assert_eq!(output.status.code(), Some(69), "{output:?}");
    let whole: Value = serde_json::from_str(&said(&output)).unwrap();
    let check = &whole["checks"][0];
    assert_eq!((&whole["worst"], &check["severity"]), (&"failure".into(), &"failure".into()));
    assert_eq!((&check["check"], &check["finding"]), (&"upstream".into(), &"request_fails".into()));
    assert_eq!(check["problem"]["cause"], "connection_refused");
    // What only operators are shown.
    assert!(check["problem"]["attempts"].is_array(), "{check}");
    let backend = Backend::answering(HELLO);
    let well = before(&backend.server(), &["--json", "app"]);
    let whole: Value = serde_json::from_str(&said(&well)).unwrap();
    assert_eq!(
        (&whole["worst"], &whole["checks"][0]["severity"]),
        (&"well".into(), &"well".into())
    );
}

#[test]
fn the_whole_host_is_looked_at_too() {
    let backend = Backend::answering(HELLO);
    let output = before(&backend.server(), &["--json"]);
    let whole: Value = serde_json::from_str(&said(&output)).unwrap();
    let checks = whole["checks"].as_array().unwrap();
    for kind in ["upstream", "descriptors", "evidence", "disk", "listener"] {
        assert!(checks.iter().any(|check| check["check"] == kind), "{kind}: {whole}");
    }
    let worst = whole["worst"].as_str().unwrap();
    let code = match worst {
        "well" => 0,
        "warning" => 1,
        other => panic!("{other}: {whole}"),
    };
    assert_eq!(output.status.code(), Some(code));
}

#[test]
fn an_address_that_another_program_has_is_told() {
    let backend = Backend::answering(HELLO);
    let lines = format!(
        "[upstream.app]\nservers = [\"{0}\"]\nlisten = [\"{1}\"]\n",
        Backend::answering(HELLO).server(),
        backend.address
    );
    let output = doctor(&lines, &["--json"]);
    let whole: Value = serde_json::from_str(&said(&output)).unwrap();
    let checks = whole["checks"].as_array().unwrap().iter();
    let of = |check: &&Value| check["subject"] == backend.address.to_string();
    let found = checks.clone().find(of).unwrap_or_else(|| panic!("{whole}"));
    // Where a causeway runs beside this test, the address is taken to be its.
    let severity = found["severity"].as_str().unwrap();
    assert!(found["finding"] == "address_taken" || severity == "well", "{found}");
}

#[test]
fn an_error_of_the_servers_own_is_told_as_such() {
    let backend = Backend::answering(BROKEN);
    let output = before(&backend.server(), &["--json", "app"]);
    let whole: Value = serde_json::from_str(&said(&output)).unwrap();
    let check = &whole["checks"][0];
    assert_eq!((&check["finding"], &check["value"]), (&"error_status".into(), &"HTTP 500".into()));
    assert_eq!(output.status.code(), Some(69));
}

#[test]
fn it_speaks_the_users_language() {
    let server = backend::refusing();
    for (language, summary) in [
        ("ru", "Проверок: 1; сбоев: 1; предупреждений: 0.\n"),
        ("zh", "共检查 1 项；故障 1 项；警告 0 项。\n"),
        ("vi", "Số kiểm tra: 1; sự cố: 1; cảnh báo: 0.\n"),
    ] {
        let text = said(&before(&server, &["--language", language, "app"]));
        assert!(text.contains(summary), "{language}:\n{text}");
    }
}

#[test]
fn mistakes_are_told_as_check_tells_them() {
    let output = doctor("[upstream.app]\nserver = [\"http://127.0.0.1:1\"]\n", &[]);
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("servers"), "{told}");
    let output = before("http://127.0.0.1:1", &["apq"]);
    assert_eq!(output.status.code(), Some(64), "{output:?}");
    assert!(String::from_utf8(output.stderr).unwrap().contains("did you mean `app`?"));
}
