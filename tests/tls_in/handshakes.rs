//! Who is shown which certificate, by which version, again without a whole handshake; and what is
//! said of those that fail.

use std::io::{Read, Write};

use super::backend::Backend;
use super::certificates::{Certificates, EC, NAME, RSA};
use super::proxy::Proxy;

const SITE: &str = "[upstream.site]\nservers = [\"http://127.0.0.1:9\"]\n";

/// Each row: arguments of s_client, and whose certificate comes (or nobody's).
#[test]
fn the_most_exact_name_then_the_kind_of_key() {
    let certificates = Certificates::new();
    certificates.write("first", &["first.test", "127.0.0.1"], EC);
    certificates.write("wild", &["*.shop.test"], EC);
    certificates.write("exact-ec", &[NAME, "www.shop.test"], EC);
    certificates.write("exact-rsa", &[NAME, "www.shop.test"], RSA);
    let files = certificates.lines(&["first", "wild", "exact-ec", "exact-rsa"]);
    let proxy = Proxy::start(&files, SITE);
    let ca = certificates.ca();
    for (arguments, expected) in [
        (&["-servername", NAME][..], "exact-ec"),
        (&["-servername", "SHOP.test"], "exact-ec"),
        (&["-servername", "www.shop.test"], "exact-ec"),
        (&["-servername", "api.shop.test"], "wild"),
        (&["-servername", "a.b.shop.test"], "first"),
        (&["-servername", "unknown.test"], "first"),
        (&["-noservername"], "first"),
        (&["-servername", NAME, "-sigalgs", "RSA-PSS+SHA256"], "exact-rsa"),
        (&["-servername", NAME, "-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"], "exact-rsa"),
        (&["-servername", NAME, "-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"], "exact-ec"),
        (&["-servername", "first.test", "-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"], ""),
    ] {
        let ca = ["-CAfile", ca.to_str().expect("a path")];
        let said = proxy.s_client(&[arguments, &ca].concat());
        let subject = said.lines().find_map(|line| line.strip_prefix("subject=CN = "));
        assert_eq!(subject.unwrap_or_default(), expected, "{arguments:?}\n{said}");
        assert!(expected.is_empty() || said.contains("Verification: OK"), "{arguments:?}\n{said}");
    }
}

/// Each row: arguments, and the alert by its number (RFC 8446 section 6): 0 for none.
#[test]
fn what_is_old_or_weak_is_refused() {
    let certificates = Certificates::new();
    certificates.write("shop", &[NAME], RSA);
    for (more, rows) in [
        (
            "",
            &[
                (&["-tls1_1", "-cipher", "ALL@SECLEVEL=0"][..], 70, "no_common_version"),
                (&["-tls1", "-cipher", "ALL@SECLEVEL=0"], 70, "no_common_version"),
                (&["-tls1_2", "-cipher", "AES128-SHA"], 40, "no_common_suite"),
                (&["-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA256"], 40, "no_common_suite"),
                (&["-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256"], 40, "no_common_suite"),
                (&["-tls1_3", "-groups", "P-521"], 40, "no_common_group"),
                (&["-tls1_2"], 0, ""),
                (&["-tls1_3"], 0, ""),
            ][..],
        ),
        (
            "min_version = \"1.3\"\n",
            &[(&["-tls1_2"][..], 70, "no_common_version"), (&["-tls1_3"], 0, "")],
        ),
    ] {
        let proxy = Proxy::start(&format!("{}{more}", certificates.lines(&["shop"])), SITE);
        for (arguments, alert, reason) in rows {
            let said = proxy.s_client(arguments);
            let number = said
                .split_once("SSL alert number ")
                .map_or("0", |(_, rest)| rest.split_whitespace().next().unwrap_or_default());
            assert_eq!(number, alert.to_string(), "{arguments:?}\n{said}");
            if *alert > 0 {
                proxy.expect_said(&format!("reason=\"{reason}\""));
            }
        }
    }
}

#[test]
fn sessions_are_resumed_by_both_versions_and_across_reloads() {
    let certificates = Certificates::new();
    certificates.write("shop", &[NAME], EC);
    let files = certificates.lines(&["shop"]);
    let backend = Backend::start();
    let site = format!("[upstream.site]\nservers = [\"http://{}\"]\n", backend.address);
    let proxy = Proxy::start(&files, &site);
    for version in ["-tls1_2", "-tls1_3"] {
        let session = proxy.path("session");
        let session = session.to_str().expect("a path");
        // Tickets of TLS 1.3 come after the handshake: the answer to a request comes after them.
        let ask = format!(
            "(printf 'GET / HTTP/1.0\\r\\nHost: {NAME}\\r\\n\\r\\n'; cat) | openssl s_client {version} \
             -connect 127.0.0.1:{} -servername {NAME} -sess_out {session} -ign_eof 2>&1",
            proxy.secure
        );
        let mut shell = std::process::Command::new("sh");
        let shell = shell.args(["-c", &ask]).stdin(std::process::Stdio::null()).output();
        let said = shell.expect("a shell").stdout;
        let said = String::from_utf8_lossy(&said);
        assert!(said.contains("\nNew, TLS") && said.contains("hello"), "{version}: {said}");
        let again = || proxy.s_client(&[version, "-servername", NAME, "-sess_in", session]);
        assert!(again().contains("\nReused, TLS"), "{version}: {}", again());
        proxy.reload(&files, &site);
        assert!(again().contains("\nReused, TLS"), "{version}, reloaded: {}", again());
    }
    // Of a client that takes no tickets.
    let session = proxy.path("session");
    let session = session.to_str().expect("a path");
    let by = |way| proxy.s_client(&["-tls1_2", "-no_ticket", "-servername", NAME, way, session]);
    assert!(by("-sess_out").contains("\nNew, TLS"));
    assert!(by("-sess_in").contains("\nReused, TLS"));
}

/// Each row: what a client sends before it leaves or waits, and the reason in the log.
#[test]
fn failed_handshakes_are_told_once() {
    let certificates = Certificates::new();
    certificates.write("shop", &[NAME], EC);
    let more = format!("{SITE}[client]\nheader_timeout = \"1s\"\n");
    let proxy = Proxy::start(&certificates.lines(&["shop"]), &more);
    let mut slow = proxy.socket(proxy.secure);
    slow.write_all(&[22, 3, 1]).expect("a begin");
    for _ in 0..20 {
        drop(proxy.socket(proxy.secure));
        let mut other = proxy.socket(proxy.secure);
        other.write_all(&[0x80, 0x2e, 1]).expect("bytes");
        let mut answer = Vec::new();
        let _ = other.read_to_end(&mut answer);
        assert_eq!(answer, b"");
    }
    let mut broken = proxy.socket(proxy.secure);
    broken.write_all(&[22, 3, 1, 0, 4, 2, 0, 0, 0]).expect("a ServerHello");
    let mut answer = Vec::new();
    let _ = broken.read_to_end(&mut answer);
    assert_eq!(answer.first(), Some(&21), "no alert: {answer:?}");
    // Ended by `header_timeout`, a second here, and without a word.
    assert_eq!(slow.read(&mut [0; 1]).expect("an end"), 0);
    // A client that does not know the authority.
    assert!(!proxy.curl(&Certificates::new(), "/", &[]).1);
    for reason in ["cut", "not_tls", "invalid", "timed_out"] {
        proxy.expect_said(&format!("reason=\"{reason}\""));
    }
    proxy.expect_said("alert=\"unknown_ca\"");
    let said = proxy.said();
    for reason in ["cut", "not_tls"] {
        let told = said.matches(&format!("reason=\"{reason}\"")).count();
        assert_eq!(told, 1, "{reason}: {said}");
    }
}
