//! `causeway doctor` where everything is as packages bring it, run as the service's own user: one
//! line while all is well, and the stopped service by its name.

use serde_json::Value;

use super::roots::running;
use super::support::sandbox::Sandbox;
use super::unit::FILE;

/// The doctor, run as the service's own user, says that this root lies behind something.
pub fn is_named(sandbox: &Sandbox, root: &str) {
    sandbox.until("runuser -u causeway -- causeway doctor --json", |said| {
        let whole: Value = serde_json::from_str(said).unwrap_or_default();
        let checks = whole["checks"].as_array().map(Vec::as_slice).unwrap_or_default();
        checks.iter().any(|check| check["problem"]["root"] == root)
    });
}

#[test]
fn a_host_as_packages_bring_it_is_one_line_and_a_stopped_service_is_named() {
    let (sandbox, _) = running();
    // What `running` has no program for, and a time-out below PHP's own.
    sandbox.sh(&format!("sed -i -e '/^.upstream.app.$/,$d' -e '/first_byte/d' {FILE}"));
    let doctor = "runuser -u causeway -- causeway doctor";
    let said = sandbox.ask(doctor);
    assert!(said.out.ends_with("all well.") && said.out.lines().count() == 1, "{said:?}");
    assert_eq!((said.status.code(), said.err.as_str()), (Some(0), ""), "{said:?}");

    sandbox.sh("systemctl stop apache2");
    let said = sandbox.ask(&format!("{doctor} --json"));
    assert_eq!(said.status.code(), Some(69), "{said:?}");
    let whole: Value = serde_json::from_str(&said.out).unwrap();
    let checks = whole["checks"].as_array().unwrap();
    let ill: Vec<&Value> = checks.iter().filter(|check| check["severity"] != "well").collect();
    assert_eq!(ill.len(), 1, "{ill:#?}");
    assert_eq!(ill[0]["problem"]["cause"], "connection_refused", "{:#}", ill[0]);
    assert_eq!(ill[0]["problem"]["root"], "service_stopped", "{:#}", ill[0]);
    assert_eq!(whole["looked_as"], "causeway");
}
