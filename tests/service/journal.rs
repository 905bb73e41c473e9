//! What a real journal keeps of our messages, and how `journalctl -x` explains them.

use serde_json::Value;

use super::support::sandbox::Sandbox;

/// What of a unit has to do with messages.
const UNIT: &str = "[Service]\nExecStart=/usr/sbin/causeway run\nDynamicUser=yes\n";

/// Nobody listens at the server's port.
const CONFIG: &str = "listen = [\"127.0.0.1:8502\"]\n\
    [upstream.shop]\nservers = [\"http://127.0.0.1:1\"]\n";

/// A locale of another name; what it says of dates and numbers does not matter here.
const RUSSIAN: &str = "cp -r /usr/lib/locale/C.utf8 /usr/lib/locale/ru_RU.utf8";

fn started() -> Sandbox {
    let sandbox = Sandbox::boot();
    sandbox.install(env!("CARGO_BIN_EXE_causeway").as_ref(), "/usr/sbin/causeway", 0o755);
    sandbox.write("/etc/systemd/system/causeway.service", UNIT);
    sandbox.write("/etc/causeway/causeway.toml", CONFIG);
    sandbox.sh("causeway generate /usr/lib/systemd/catalog");
    let updated = sandbox.ask("journalctl --update-catalog");
    assert!(updated.status.success() && updated.out.is_empty() && updated.err.is_empty());
    sandbox.sh("systemctl start causeway");
    sandbox.until("journalctl -u causeway -o cat", |said| said.contains("started with"));
    sandbox
}

#[test]
fn a_failed_request_is_found_by_its_fields_and_explained() {
    let sandbox = started();
    let page = sandbox.sh("curl -s -H 'Accept: application/json' http://127.0.0.1:8502/");
    let page: Value = serde_json::from_str(&page).unwrap();
    let incident = page["instance"].as_str().unwrap().rsplit(':').next().unwrap();
    let found = "journalctl -o json -u causeway CAUSE=connection_refused UPSTREAM=shop";
    let found = sandbox.until(found, |line| !line.is_empty());
    let message: Value = serde_json::from_str(&found).unwrap();
    for (field, value) in [
        ("INCIDENT_ID", incident),
        ("SERVER", "http://127.0.0.1:1"),
        ("STATUS", "502"),
        ("PHASE", "connect"),
        ("CERTAINTY", "certain"),
        ("FAILURES", "1"),
        ("PRIORITY", "4"),
        ("SYSLOG_IDENTIFIER", "causeway"),
        ("_SYSTEMD_UNIT", "causeway.service"),
        ("_TRANSPORT", "journal"),
    ] {
        assert_eq!(message[field], value, "{field} in {message}");
    }

    let explained = sandbox.sh("journalctl -x -u causeway");
    for part in [
        "Subject: The site's server turns connections away (connection_refused)",
        "Upstream: shop",
        &format!("Incident: {incident}"),
        "causeway explain connection_refused",
        "Subject: Causeway forwards",
    ] {
        assert!(explained.contains(part), "no {part:?} in\n{explained}");
    }
    assert!(!explained.contains("@UPSTREAM@"), "{explained}");

    sandbox.sh(RUSSIAN);
    let explained = sandbox.sh("LC_ALL=ru_RU.UTF-8 journalctl -x -u causeway");
    for part in ["Бэкенд (upstream): shop", &format!("Инцидент: {incident}")] {
        assert!(explained.contains(part), "no {part:?} in\n{explained}");
    }
}

#[test]
fn the_access_log_stays_a_stream_of_its_own() {
    let sandbox = started();
    sandbox.sh("curl -s http://127.0.0.1:8502/looked-for");
    let stream = "journalctl -o cat -u causeway _TRANSPORT=stdout";
    let line = sandbox.until(stream, |said| said.contains("/looked-for"));
    let line: Value = serde_json::from_str(line.lines().last().unwrap()).unwrap();
    assert_eq!(line["cause"], "connection_refused");
    // And nothing of ours came that way.
    let others = sandbox.sh(stream);
    assert!(others.lines().all(|line| line.starts_with('{')), "{others}");
}

#[test]
fn a_reload_that_is_refused_is_a_message_of_its_own() {
    let sandbox = started();
    sandbox.write("/etc/causeway/causeway.toml", &CONFIG.replace("servers", "server"));
    sandbox.sh("systemctl kill --signal=HUP causeway");
    let found = "journalctl -o json -u causeway PRIORITY=3";
    let found = sandbox.until(found, |line| !line.is_empty());
    let message: Value = serde_json::from_str(&found).unwrap();
    let text = message["MESSAGE"].as_str().unwrap();
    assert!(text.contains("stays in force") && text.contains("causeway.toml:3"), "{text}");
    let explained = sandbox.sh("journalctl -x -u causeway PRIORITY=3");
    assert!(explained.contains("The new configuration was not taken"), "{explained}");
}
