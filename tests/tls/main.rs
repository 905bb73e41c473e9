//! The proxy before real servers whose TLS is wrong in every way, and before servers of other
//! protocols: what page, log and `Proxy-Status` say of each.
//!
//! The servers are `openssl s_server`, Apache, OpenSSH, Redis and MariaDB, on ports of 127.0.0.1;
//! where no server misbehaves so, a scripted listener does. A missing server fails these tests;
//! nothing is skipped. `tests/run` shows a line a row: the cause, how it was produced, what was
//! said.

mod certificates;
mod servers;
#[path = "../support/mod.rs"]
mod support;

use std::path::Path;

use certificates::{Certificates, Identity, Leaf, NAME};
use servers::Server;
use support::client::{self, Answer, End, PROBLEM};
use support::faketime::faketime;
use support::proxy::Proxy;
use support::roots::{expect_finding, expect_root};
use support::tools::eventually;

/// What must be said of one failure.
struct Expected<'a> {
    cause: &'a str,
    /// The error type of RFC 9209, and what follows it.
    proxy_error: &'a str,
    /// Members of the evidence: name, and a part of its value; no value: it must not be there.
    evidence: &'a [(&'a str, Option<&'a str>)],
}

const CERTIFICATE: &str = "tls_certificate_error";
const PROTOCOL: &str = "tls_protocol_error";
const ALERT: &str = "tls_alert_received";
const HTTP: &str = "http_protocol_error";

/// Nothing else is wrong.
const ALONE: (&str, Option<&str>) = ("also", None);

/// A block's `tls` table.
fn tls(ca: &Path, more: &str) -> String {
    format!("[upstream.site.tls]\nca = {:?}\nserver_name = \"{NAME}\"\n{more}", ca)
}

/// Asks through a proxy before this server and holds page, log and header to what is expected.
fn check(how: &str, server: &str, more: &str, expected: &Expected<'_>) {
    let proxy = Proxy::before(server, more);
    let answer = client::get(proxy.port, "/wanted", PROBLEM);
    check_answer(how, &proxy, &answer, expected);
}

/// The same for a server that hangs up without a word: what the wire shows comes first, and when
/// the proxy has looked, the reason.
fn check_after_a_look(how: &str, server: &str, expected: &Expected<'_>) {
    let proxy = Proxy::before(server, "");
    let first = client::get(proxy.port, "/first", PROBLEM);
    let known = ["closed_before_response", "reset_before_response"];
    first.assert_problem(&known, "connection_terminated");
    eventually("the proxy has looked", || {
        let answer = client::get(proxy.port, "/first", PROBLEM);
        (answer.problem()["cause"] == expected.cause).then_some(())
    });
    let answer = client::get(proxy.port, "/wanted", PROBLEM);
    check_answer(how, &proxy, &answer, expected);
}

fn check_answer(how: &str, proxy: &Proxy, answer: &Answer, expected: &Expected<'_>) {
    let Expected { cause, proxy_error, evidence } = *expected;
    answer.assert_problem_of(Some(how), &[cause], proxy_error);
    let problem = answer.problem();
    for (name, part) in evidence {
        let found = problem["evidence"][*name].as_str();
        match part {
            Some(part) => {
                let holds = found.is_some_and(|found| found.contains(part));
                assert!(holds, "{how}: {name} is {found:?}, not {part:?}: {problem:#}");
            }
            None => assert_eq!(found, None, "{how}: {name} in {problem:#}"),
        }
    }
    proxy.expect_logged("/wanted", &[cause]);
}

/// Asks through a proxy before this server and holds the answer to be the server's own.
fn check_sound(how: &str, server: &str, more: &str) {
    let proxy = Proxy::before(server, more);
    let answer = client::get(proxy.port, "/wanted", PROBLEM);
    assert_eq!((answer.status, answer.end), (200, End::Complete), "{how}: {answer:?}");
    assert_eq!(answer.header("proxy-status"), None, "{how}: {answer:?}");
    proxy.expect_logged_as_sound("/wanted");
}

/// An `openssl s_server` with this identity, and what is said of it.
fn check_identity(
    how: &str,
    identity: &Identity,
    ca: &Path,
    cause: &str,
    evidence: &[(&str, Option<&str>)],
) {
    let server = Server::openssl(identity, &["-cipher", "DEFAULT@SECLEVEL=0"]);
    let expected = Expected { cause, proxy_error: CERTIFICATE, evidence };
    check(how, &secure(server.port), &tls(ca, ""), &expected);
}

fn secure(port: u16) -> String {
    format!("https://127.0.0.1:{port}")
}

fn plain(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

#[test]
fn a_sound_server_is_left_alone() {
    let made = Certificates::new();
    let trusted = &made.trusted.file;
    let good = made.signed(Leaf::Good);
    let server = Server::openssl(&good, &[]);
    check_sound("a good chain", &secure(server.port), &tls(trusted, ""));
    let server = Server::openssl(&good, &["-tls1_2"]);
    check_sound("a good chain in TLS 1.2", &secure(server.port), &tls(trusted, ""));
    let server = Server::openssl(&made.chained(&made.intermediate, Leaf::Good), &[]);
    check_sound("a good chain with an intermediate", &secure(server.port), &tls(trusted, ""));
    let server = Server::openssl(&good, &["-verify", "1"]);
    check_sound(
        "a client certificate is asked for, not required",
        &secure(server.port),
        &tls(trusted, ""),
    );

    let other = made.signed(Leaf::WrongHost);
    let (leaf, key) = (good.leaf.display().to_string(), good.key.display().to_string());
    let by_name = ["-servername", NAME, "-cert2", &leaf, "-key2", &key];
    let server = Server::openssl(&other, &by_name);
    check_sound("a certificate chosen by SNI", &secure(server.port), &tls(trusted, ""));

    for leaf in [Leaf::Good, Leaf::Authority] {
        let own = made.self_signed(leaf);
        let server = Server::openssl(&own, &[]);
        let how = format!("self-signed ({leaf:?}), named in `ca`");
        check_sound(&how, &secure(server.port), &tls(&own.leaf, ""));
    }
    let server = Server::openssl(&made.self_signed(Leaf::ExpiredAndWrongHost), &[]);
    let unverified = "[upstream.site.tls]\nverify = false\n";
    check_sound("all is wrong, and `verify = false`", &secure(server.port), unverified);
}

#[test]
fn each_certificate_is_wrong_in_its_own_way() {
    let made = Certificates::new();
    let ca = made.trusted.file.as_path();
    for (leaf, cause, evidence) in [
        (Leaf::Expired, "tls_cert_expired", [("not_after", Some("2021-01-01")), ALONE]),
        (Leaf::NotYetValid, "tls_cert_not_yet_valid", [("not_before", Some("2048-01-01")), ALONE]),
        (Leaf::WrongHost, "tls_cert_wrong_host", [("presented", Some("other.test")), ALONE]),
        (Leaf::ForClients, "tls_cert_unusable", [("reason", Some("wrong_purpose")), ALONE]),
        (Leaf::Authority, "tls_cert_unusable", [("reason", Some("authority_as_server")), ALONE]),
    ] {
        check_identity(&format!("{leaf:?}"), &made.signed(leaf), ca, cause, &evidence);
    }
    for leaf in [Leaf::Good, Leaf::Authority] {
        let own = made.self_signed(leaf);
        let evidence = [("subject", Some(NAME)), ALONE];
        check_identity(
            &format!("self-signed, {leaf:?}"),
            &own,
            ca,
            "tls_cert_self_signed",
            &evidence,
        );
    }
    let stranger = made.signed_by(&made.unknown, Leaf::Good);
    let evidence = [("issuer", Some("CN=unknown")), ALONE];
    check_identity("an unknown issuer", &stranger, ca, "tls_cert_unknown_issuer", &evidence);
    let namesake = made.signed_by(&made.unknown, Leaf::NamesakeOfIssuer);
    check_identity(
        "an issuer of the same name",
        &namesake,
        ca,
        "tls_cert_unknown_issuer",
        &evidence,
    );
    let strange_chain = made.chained(&made.unknown, Leaf::TellsIssuer);
    check_identity("an unknown chain", &strange_chain, ca, "tls_cert_unknown_issuer", &evidence);
    let alone = made.signed_by(&made.intermediate, Leaf::TellsIssuer);
    let evidence = [("issuer", Some("CN=intermediate")), ("also", Some("missing_intermediate"))];
    check_identity("its intermediate is missing", &alone, ca, "tls_cert_unknown_issuer", &evidence);
    let above = made.chained(&made.expired_intermediate, Leaf::Good);
    let evidence = [("not_after", Some("2021-01-01")), ("also", Some("intermediate_expired"))];
    check_identity("its intermediate has expired", &above, ca, "tls_cert_expired", &evidence);
    let weak = made.by_openssl(2048, "sha1");
    let evidence = [("reason", Some("unsupported_signature")), ALONE];
    check_identity("signed over SHA-1", &weak, ca, "tls_cert_unusable", &evidence);
    let short = made.by_openssl(1024, "sha256");
    let evidence = [("reason", Some("bad_signature")), ("also", Some("weak_key"))];
    check_identity("an RSA key of 1024 bits", &short, ca, "tls_cert_unusable", &evidence);
}

/// A certificate of the past is out of date, and one that is sound is refused by a clock of the
/// past: the same look tells which of the two is wrong.
#[test]
fn an_expired_certificate_and_a_wrong_clock_are_told_apart() {
    let made = Certificates::new();
    let ca = made.trusted.file.as_path();
    let expired = Server::openssl(&made.signed(Leaf::Expired), &[]);
    let proxy = Proxy::before(&secure(expired.port), &tls(ca, ""));
    let missed = ("certificate_renewal_missed", "likely");
    let problem = expect_root(proxy.port, "/expired", missed, "renew_certificate");
    assert!(problem["root_evidence"]["not_after"].is_string(), "{problem:#}");

    let good = Server::openssl(&made.signed(Leaf::Good), &[]);
    let library = faketime();
    let variables = [
        ("LD_PRELOAD", library.as_str()),
        ("FAKETIME", "@2018-01-01 00:00:00"),
        // Timers go on; files keep their dates.
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("DONT_FAKE_MONOTONIC", "1"),
        ("NO_FAKE_STAT", "1"),
    ];
    let proxy = Proxy::in_environment(&variables, &secure(good.port), &tls(ca, ""));
    let problem = expect_root(proxy.port, "/early", ("clock_wrong", "certain"), "check_clock");
    assert_eq!(problem["cause"], "tls_cert_not_yet_valid", "{problem:#}");
    expect_finding(&problem, "clock_behind", "at least");
}

#[test]
fn all_faults_of_a_certificate_are_named_at_once() {
    let made = Certificates::new();
    let ca = made.trusted.file.as_path();
    let twice = made.signed(Leaf::ExpiredAndWrongHost);
    let evidence = [("not_after", Some("2021-01-01")), ("also", Some("wrong_host"))];
    check_identity("expired, of another name", &twice, ca, "tls_cert_expired", &evidence);
    let thrice = made.signed_by(&made.unknown, Leaf::ExpiredAndWrongHost);
    let evidence = [("also", Some("unknown_issuer, wrong_host"))];
    check_identity(
        "expired, of another name and issuer",
        &thrice,
        ca,
        "tls_cert_expired",
        &evidence,
    );
    let own = made.self_signed(Leaf::ExpiredAndWrongHost);
    let evidence = [("also", Some("self_signed, wrong_host"))];
    check_identity(
        "expired, of another name, self-signed",
        &own,
        ca,
        "tls_cert_expired",
        &evidence,
    );
    let own = made.self_signed(Leaf::WrongHost);
    let evidence = [("also", Some("wrong_host"))];
    check_identity("self-signed, of another name", &own, ca, "tls_cert_self_signed", &evidence);
}

#[test]
fn each_handshake_fails_in_its_own_way() {
    let made = Certificates::new();
    let block = tls(&made.trusted.file, "");
    let good = made.signed(Leaf::Good);
    let weakest = "DEFAULT@SECLEVEL=0";
    let other = made.signed(Leaf::WrongHost);
    let (leaf, key) = (other.leaf.display().to_string(), other.key.display().to_string());
    let by_name =
        ["-servername", "other.test", "-servername_fatal", "-cert2", &leaf, "-key2", &key];
    for (how, options, cause, proxy_error, evidence) in [
        (
            "TLS 1.0 alone",
            &["-tls1", "-cipher", weakest][..],
            "tls_incompatible",
            PROTOCOL,
            ("what", "version"),
        ),
        (
            "TLS 1.1 alone",
            &["-tls1_1", "-cipher", weakest],
            "tls_incompatible",
            PROTOCOL,
            ("what", "version"),
        ),
        (
            "HTTP/2 alone by ALPN",
            &["-alpn", "h2"],
            "tls_incompatible",
            PROTOCOL,
            ("what", "application_protocol"),
        ),
        (
            "no common cipher",
            &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"],
            "tls_alert_received",
            "tls_alert_received; alert-id=40; alert-message=\"handshake_failure\"",
            ("meaning", "nothing in common"),
        ),
        (
            "no common group",
            &["-tls1_3", "-groups", "P-521"],
            "tls_alert_received",
            "tls_alert_received; alert-id=40",
            ("name", "handshake_failure"),
        ),
        (
            "a name that it does not serve",
            &by_name,
            "tls_alert_received",
            ALERT,
            ("name", "unrecognized_name"),
        ),
        (
            "a client certificate is required, TLS 1.3",
            &["-Verify", "1", "-tls1_3"],
            "client_cert_required",
            "tls_alert_received; alert-id=116; alert-message=\"certificate_required\"",
            ("alert", "116"),
        ),
        (
            "a client certificate is required, TLS 1.2",
            &["-Verify", "1", "-tls1_2"],
            "client_cert_required",
            "tls_alert_received; alert-id=40",
            ("name", "handshake_failure"),
        ),
    ] {
        let server = Server::openssl(&good, options);
        let evidence = [(evidence.0, Some(evidence.1))];
        let expected = Expected { cause, proxy_error, evidence: &evidence };
        check(&format!("openssl: {how}"), &secure(server.port), &block, &expected);
    }
}

#[test]
fn a_handshake_that_ends_or_stalls_says_how_far_it_came() {
    let impatient = "[upstream.site.timeouts]\ntls = \"1s\"\n";
    for (how, port, cause, proxy_error, evidence) in [
        (
            "a silent port",
            servers::silent(),
            "tls_handshake_timeout",
            "connection_timeout",
            ("bytes_received", "0"),
        ),
        (
            "a ServerHello that is never finished",
            servers::stalling(b"\x16\x03\x03\x00\x7a\x02"),
            "tls_handshake_timeout",
            "connection_timeout",
            ("bytes_received", "6"),
        ),
        (
            "closed in the handshake",
            servers::closing(),
            "tls_closed_in_handshake",
            PROTOCOL,
            ("bytes_received", "0"),
        ),
    ] {
        let evidence = [(evidence.0, Some(evidence.1))];
        let expected = Expected { cause, proxy_error, evidence: &evidence };
        check(&format!("scripted: {how}"), &secure(port), impatient, &expected);
    }
}

#[test]
fn what_is_no_tls_is_named() {
    let (apache, ssh) = (Server::apache(None), Server::ssh());
    let (mariadb, smtp) = (Server::mariadb(), servers::greeting(b"220 mail.test ESMTP\r\n"));
    for (how, port, protocol) in [
        ("Apache in plain HTTP", apache.port, "http"),
        ("OpenSSH", ssh.port, "ssh"),
        ("MariaDB", mariadb.port, "mysql"),
        ("scripted: SMTP", smtp, "smtp"),
    ] {
        let evidence = [("protocol", Some(protocol))];
        let cause = "tls_peer_speaks_plaintext";
        let expected = Expected { cause, proxy_error: PROTOCOL, evidence: &evidence };
        check(&format!("{how} at an https:// port"), &secure(port), "", &expected);
    }
}

#[test]
fn what_is_no_http_is_named() {
    let (ssh, mariadb) = (Server::ssh(), Server::mariadb());
    let smtp = servers::greeting(b"220 mail.test ESMTP\r\n");
    for (how, port, protocol) in [
        ("OpenSSH", ssh.port, "ssh"),
        ("MariaDB", mariadb.port, "mysql"),
        ("scripted: SMTP", smtp, "smtp"),
    ] {
        let evidence = [("protocol", Some(protocol))];
        let cause = "peer_is_other_protocol";
        let expected = Expected { cause, proxy_error: HTTP, evidence: &evidence };
        check(&format!("{how} at an http:// port"), &plain(port), "", &expected);
    }
}

#[test]
fn plain_http_to_a_tls_port_is_named() {
    let made = Certificates::new();
    let apache = Server::apache(Some(&made.signed(Leaf::Good)));
    let expected = Expected { cause: "plain_http_to_tls_port", proxy_error: HTTP, evidence: &[] };
    check("Apache's TLS port, spoken to in plain HTTP", &plain(apache.port), "", &expected);
}

#[test]
fn a_server_that_hangs_up_on_http_is_asked_what_it_speaks() {
    let made = Certificates::new();
    let (redis, openssl) = (Server::redis(), Server::openssl(&made.signed(Leaf::Good), &[]));
    let evidence = [("protocol", Some("redis"))];
    let cause = "peer_is_other_protocol";
    let expected = Expected { cause, proxy_error: HTTP, evidence: &evidence };
    check_after_a_look("Redis at an http:// port", &plain(redis.port), &expected);
    let expected = Expected { cause: "plain_http_to_tls_port", proxy_error: HTTP, evidence: &[] };
    check_after_a_look("openssl, spoken to in plain HTTP", &plain(openssl.port), &expected);
}
