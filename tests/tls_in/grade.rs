//! What testssl.sh finds: the versions that are meant, and nothing that deserves a warning.

use std::process::Command;

use serde_json::Value;

use super::backend::Backend;
use super::certificates::{Certificates, EC, NAME, RSA};
use super::proxy::Proxy;

/// Findings that stay, by the begin of their id, each with its reason.
const KNOWN: [(&str, &str); 5] = [
    ("engine_problem", "about the tester's own openssl: it has no GOST"),
    ("cert_revocation", "the test's authority revokes nothing"),
    (
        "sessionresumption_",
        "the tester may leave before the tickets of TLS 1.3 have come, and then has none to show; \
         `handshakes` holds resumption to openssl",
    ),
    ("security_headers", "those of a site, which its upstream sends or does not"),
    (
        "cipher_order",
        "meant: Mozilla's intermediate (v5.7) leaves the choice to the client, since every suite \
         is strong and the client knows which its processor is fast at",
    ),
];

#[test]
fn testssl_finds_nothing() {
    let certificates = Certificates::new();
    certificates.write("shop", &[NAME], EC);
    certificates.write("shop-rsa", &[NAME], RSA);
    let backend = Backend::start();
    let site = format!("[upstream.site]\nservers = [\"http://{}\"]\n", backend.address);
    let tls = format!("{}hsts = \"365d\"\n", certificates.lines(&["shop", "shop-rsa"]));
    let proxy = Proxy::start(&tls, &site);
    let report = proxy.path("report.json");
    let mut testssl = Command::new("testssl");
    testssl.args(["--quiet", "--warnings", "off", "--color", "0", "--nodns", "none"]);
    testssl.args(["--ip", "127.0.0.1", "--add-ca"]).arg(certificates.ca());
    testssl.args(["--protocols", "--std", "--server-defaults", "--server-preference", "--fs"]);
    testssl.args(["--vulnerable", "--headers", "--jsonfile"]).arg(&report);
    let output = testssl.arg(format!("{NAME}:{}", proxy.secure)).output();
    let output = output.expect("this test needs testssl.sh: apt-get install testssl.sh");
    let text = std::fs::read_to_string(&report).unwrap_or_default();
    let said = String::from_utf8_lossy(&output.stdout);
    let findings: Vec<Value> = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error} in its report:\n{text}\n{said}"));
    assert!(findings.len() > 50, "{said}");
    let finding = |id: &str| {
        let row = findings.iter().find(|row| row["id"] == id);
        row.map_or("", |row| row["finding"].as_str().unwrap_or_default())
    };
    for (id, offered) in [
        ("SSLv2", false),
        ("SSLv3", false),
        ("TLS1", false),
        ("TLS1_1", false),
        ("TLS1_2", true),
        ("TLS1_3", true),
    ] {
        let found = finding(id);
        assert_eq!(found.starts_with("offered"), offered, "{id}: {found}");
        assert!(!found.is_empty(), "{id} was not tried: {said}");
    }
    assert!(finding("HSTS_time").starts_with("365 days"), "{}", finding("HSTS_time"));
    assert_eq!(finding("secure_client_renego"), "not vulnerable");
    let weighty = |row: &&Value| {
        let severity = row["severity"].as_str().unwrap_or_default();
        let id = row["id"].as_str().unwrap_or_default();
        let known = KNOWN.iter().any(|(name, _)| id.starts_with(name));
        !matches!(severity, "OK" | "INFO" | "DEBUG") && !known
    };
    let found: Vec<_> = findings.iter().filter(weighty).collect();
    assert!(found.is_empty(), "{found:#?}");
}
