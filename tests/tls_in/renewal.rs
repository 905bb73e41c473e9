//! Certificates that change and that come to their end while the proxy serves.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use super::backend::Backend;
use super::certificates::{Certificates, DAY, EC, NAME, RSA};
use super::proxy::Proxy;

/// The proxy looks once a minute.
const LOOK: Duration = Duration::from_secs(75);

fn subject(proxy: &Proxy) -> String {
    let said = proxy.s_client(&["-servername", NAME]);
    let digest = said.lines().find(|line| line.starts_with("Peer signature type"));
    digest.unwrap_or("none").to_owned()
}

/// By a signal at once, by itself within a minute, and no request fails meanwhile.
#[test]
fn a_renewed_certificate_is_shown_and_nothing_is_lost() {
    let certificates = Certificates::new();
    certificates.write("shop", &[NAME], EC);
    let backend = Backend::start();
    let site = format!("[upstream.site]\nservers = [\"http://{}\"]\n", backend.address);
    let files = certificates.lines(&["shop"]);
    let proxy = Proxy::start(&files, &site);
    assert_eq!(subject(&proxy), "Peer signature type: ECDSA");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let traffic = scope.spawn(|| {
            let mut asked = 0;
            while !over.load(Ordering::Relaxed) {
                let (body, sound) = proxy.curl(&certificates, "/big", &[]);
                assert!(sound && body.len() == 1_000_000, "request {asked}");
                asked += 1;
            }
            asked
        });
        certificates.write("shop", &[NAME], RSA);
        proxy.reload(&files, &site);
        assert_eq!(subject(&proxy), "Peer signature type: RSA-PSS");

        // A key of another certificate: the reload is refused, and what serves goes on.
        std::fs::write(certificates.path("other", "key"), "").expect("a file");
        certificates.write("other", &[NAME], EC);
        std::fs::copy(certificates.path("other", "pem"), certificates.path("shop", "pem"))
            .expect("a copy");
        let mut check = Command::new(env!("CARGO_BIN_EXE_causeway"));
        let check = check.args(["check", "--config"]).arg(proxy.path("causeway.toml")).output();
        let said = String::from_utf8_lossy(&check.expect("a verdict").stderr).into_owned();
        assert!(said.contains("is not the certificate's"), "{said}");
        proxy.expect_said_after(LOOK, "a certificate's new files cannot be served");
        assert_eq!(subject(&proxy), "Peer signature type: RSA-PSS");

        // Both fit again: nobody has to tell the proxy.
        certificates.write("shop", &[NAME], EC);
        proxy.expect_said_after(LOOK, "a certificate was renewed");
        assert_eq!(subject(&proxy), "Peer signature type: ECDSA");
        over.store(true, Ordering::Relaxed);
        let asked = traffic.join().expect("no request failed");
        assert!(asked > 10, "{asked} requests");
    });
    assert_eq!(proxy.said().matches("new files cannot be served").count(), 1, "{}", proxy.said());
}

#[test]
fn the_end_is_foretold() {
    let certificates = Certificates::new();
    let now = SystemTime::now();
    certificates.write_dated("old", &["old.test"], EC, now - 90 * DAY, now - 2 * DAY);
    certificates.write_dated("soon", &["soon.test"], EC, now - 80 * DAY, now + 10 * DAY);
    certificates.write_dated("fresh", &["fresh.test"], EC, now - DAY, now + 89 * DAY);
    certificates.write_dated("new", &["new.test"], EC, now + 3 * DAY, now + 89 * DAY);
    certificates.write("nobody", &[], EC);
    let files = ["old", "soon", "fresh", "new", "nobody"];
    let site = "[upstream.site]\nservers = [\"http://127.0.0.1:9\"]\n";
    let proxy = Proxy::start(&certificates.lines(&files), site);
    let (said, noted) = (proxy.said(), proxy.check());
    for (name, file, remark) in [
        ("old.test", "old", "expired 2 days ago"),
        ("soon.test", "soon", "expires in 9 days"),
        ("new.test", "new", "is not valid for 2 days yet"),
        ("", "nobody", "names no host"),
    ] {
        let told = |line: &&str| line.contains(remark) && line.contains(&format!("names={name} "));
        assert!(said.lines().any(|line| told(&line)), "{name} {remark}: {said}");
        let noted_so = |line: &str| line.contains(remark) && line.contains(&format!("{file}.pem"));
        assert!(noted.lines().any(noted_so), "{noted}");
    }
    assert!(!said.contains("fresh.test") && !noted.contains("fresh.pem"), "{said}{noted}");
}

impl Proxy {
    /// Waits longer than anything else here.
    fn expect_said_after(&self, limit: Duration, what: &str) {
        let until = Instant::now() + limit;
        while !self.said().contains(what) {
            assert!(Instant::now() < until, "never said: {what}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}
