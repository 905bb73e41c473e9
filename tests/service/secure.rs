//! The same over TLS: reload, restart and stop, while clients of HTTP/1.1 and HTTP/2 do handshakes
//! and ask. What a GOAWAY gives back may be asked again (RFC 9113 section 6.8); nothing else is let
//! go.

use std::fs;

use rustls::pki_types::CertificateDer;

use super::restarts::{REQUESTS, none_failed};
use super::support::load::{HOST, Load, Target};
use super::support::sandbox::Sandbox;
use super::unit::{configure, installed};

const FRONT: ([u8; 4], u16) = ([127, 0, 0, 1], 443);
const FILE: &str = "/etc/causeway/tls";

/// A certificate, and the key to it.
struct Pair {
    certificate: CertificateDer<'static>,
    chain: String,
    key: String,
}

impl Pair {
    fn new() -> Pair {
        let made = rcgen::generate_simple_self_signed(vec![HOST.to_owned()]).unwrap();
        let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        Pair { certificate: made.cert.der().clone(), chain, key }
    }

    /// Puts it where the configuration looks for it.
    fn put(&self, sandbox: &Sandbox) {
        for (ending, text) in [("pem", &self.chain), ("key", &self.key)] {
            let (new, file) = (format!("{FILE}.new"), format!("{FILE}.{ending}"));
            sandbox.write(&new, text);
            fs::rename(sandbox.path(&new), sandbox.path(&file)).unwrap();
        }
        sandbox.sh(&format!("chown causeway {FILE}.key && chmod 600 {FILE}.key"));
    }
}

fn secured(sandbox: &Sandbox, top: &str) {
    let [a, b, c, d] = FRONT.0;
    configure(
        sandbox,
        &format!(
            "drain_timeout = \"10s\"\n{top}\n\
             [tls]\nlisten = [\"{a}.{b}.{c}.{d}:{}\"]\n\
             certificates = [{{ chain = \"{FILE}.pem\", key = \"{FILE}.key\" }}]\n",
            FRONT.1
        ),
    );
}

fn targets(pairs: &[&Pair]) -> [Target; 2] {
    let trusted: Vec<_> = pairs.iter().map(|pair| pair.certificate.clone()).collect();
    [Target::tls(FRONT.into(), &trusted), Target::http2(FRONT.into(), &trusted)]
}

#[test]
fn a_reload_under_load_of_tls_fails_nobody() {
    let sandbox = installed();
    let pairs = [Pair::new(), Pair::new()];
    pairs[0].put(&sandbox);
    secured(&sandbox, "workers = 2");
    sandbox.sh("systemctl start causeway");
    let load = Load::start(&sandbox, &targets(&[&pairs[0], &pairs[1]]), 2);
    for round in 0..4 {
        load.more(REQUESTS / 5);
        // Another certificate each time, and another listener that comes and goes.
        pairs[(round + 1) % 2].put(&sandbox);
        let listen = ["", "listen = [\"127.0.0.1:80\"]\n"][round % 2];
        secured(&sandbox, &format!("{listen}workers = 2"));
        sandbox.sh("systemctl reload causeway");
    }
    load.more(REQUESTS / 5);
    none_failed("reload with TLS", load);

    // A listener with clients that a reload takes away.
    let load = Load::start(&sandbox, &targets(&[&pairs[0]]), 2);
    load.more(REQUESTS / 10);
    load.expect_closing();
    configure(&sandbox, "listen = [\"127.0.0.1:80\"]\nworkers = 2");
    sandbox.sh("systemctl reload causeway");
    // Each of its clients is refused at last.
    let tally = load.refused();
    println!("a listener with TLS goes: {tally}");
    assert_eq!(tally.failures(), 0, "{tally}\n{}", sandbox.journal());
    assert!(tally.sent_away > 0, "no client of HTTP/2 was at it: {tally}");
    assert_eq!(sandbox.property("causeway", "NRestarts"), "0");
}

#[test]
fn an_upgrade_under_load_of_tls_fails_nobody() {
    let sandbox = installed();
    let pair = Pair::new();
    pair.put(&sandbox);
    secured(&sandbox, "workers = 2");
    sandbox.sh("systemctl start causeway");
    let load = Load::start(&sandbox, &targets(&[&pair]), 2);
    let mut before = sandbox.property("causeway", "MainPID");
    for workers in [3, 1, 2] {
        load.more(REQUESTS / 4);
        secured(&sandbox, &format!("workers = {workers}"));
        sandbox.sh("systemctl restart causeway");
        let process = sandbox.property("causeway", "MainPID");
        assert_ne!(process, std::mem::replace(&mut before, process.clone()));
    }
    load.more(REQUESTS / 4);
    assert_eq!(sandbox.property("causeway", "NFileDescriptorStore"), "3");
    let tally = none_failed("upgrade with TLS", load);
    assert!(tally.sent_away > 0, "no client of HTTP/2 was at it: {tally}");
}

#[test]
fn a_stop_under_load_of_tls_cuts_nobody() {
    let sandbox = installed();
    let pair = Pair::new();
    pair.put(&sandbox);
    secured(&sandbox, "workers = 2");
    let mut all = 0;
    for round in 0..4 {
        sandbox.sh("systemctl start causeway");
        let load = Load::start(&sandbox, &targets(&[&pair]), 2);
        load.more(REQUESTS / 4);
        load.expect_closing();
        sandbox.sh("systemctl stop causeway");
        let tally = load.end();
        println!("stop with TLS {round}: {tally}");
        assert_eq!(tally.failures(), 0, "{tally}\n{}", sandbox.journal());
        assert!(tally.sent_away > 0, "no client of HTTP/2 was at it: {tally}");
        all += tally.answered;
        assert_eq!(sandbox.property("causeway", "Result"), "success");
    }
    assert!(all >= REQUESTS);
}
