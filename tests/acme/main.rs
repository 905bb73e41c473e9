//! Certificates from a real ACME server: proven both ways, renewed, kept, and what is said when
//! there is none.

#[path = "../support/mod.rs"]
mod support;

mod authority;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use authority::Site;
use support::client;
use support::proxy::Proxy;
use support::tools::{eventually, free_port};

const YEAR: u32 = 365 * 24 * 3600;

/// A proxy whose own upstream is not there: what it forwards gets 502.
fn proxy(site: &Site, certificates: &str, challenge: &str) -> Proxy {
    let nobody = format!("http://127.0.0.1:{}", free_port());
    Proxy::on(site.ports.http, &site.lines(certificates, challenge), &nobody, "")
}

/// What a client sees of the certificate for a host: `openssl x509`'s text of it.
fn shown(port: u16, host: &str) -> String {
    let address = format!("127.0.0.1:{port}");
    let hello = Command::new("openssl")
        .args(["s_client", "-connect", &address, "-servername", host])
        .stdin(Stdio::null())
        .output()
        .expect("these tests need openssl: apt-get install openssl");
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), &hello.stdout).expect("a file");
    let text = Command::new("openssl")
        .args(["x509", "-noout", "-subject", "-issuer", "-serial", "-ext", "subjectAltName", "-in"])
        .arg(file.path())
        .output()
        .expect("openssl runs");
    String::from_utf8_lossy(&text.stdout).into_owned()
}

/// Whether a client that knows this root trusts the host.
fn is_trusted(port: u16, host: &str, root: &Path) -> bool {
    let at = format!("{host}:{port}:127.0.0.1");
    let asked = Command::new("curl")
        .args(["-sS", "-o", "/dev/null", "--resolve", &at, "--cacert"])
        .arg(root)
        .arg(format!("https://{host}:{port}/"))
        .output()
        .expect("these tests need curl: apt-get install curl");
    asked.status.success()
}

fn said(proxy: &Proxy, what: &str, times: usize) -> String {
    eventually(&format!("{what:?} on stderr"), || {
        let said = proxy.messages();
        (said.matches(what).count() >= times).then_some(said)
    })
}

const IN_FORCE: &str = "a certificate by ACME is in force";
const TWO: &str = "[[\"shop.example\", \"www.shop.example\"], [\"blog.example\"]]";

#[test]
fn certificates_are_had_by_http_and_kept_for_the_next_start() {
    let site = Site::new();
    let authority = site.open(YEAR);
    let running = proxy(&site, TWO, "http-01");
    let messages = said(&running, IN_FORCE, 2);
    assert_eq!(messages.matches("stands in until").count(), 2, "{messages}");
    let root = authority.root();
    for host in ["shop.example", "www.shop.example", "blog.example"] {
        assert!(is_trusted(site.ports.tls, host, &root), "{host}");
    }
    let first = shown(site.ports.tls, "www.shop.example");
    assert!(first.contains("Pebble Intermediate CA"), "{first}");
    assert!(first.contains("DNS:shop.example, DNS:www.shop.example"), "{first}");
    // A token that is not ours is the site's affair.
    let path = "/.well-known/acme-challenge/of-somebody-else";
    assert_eq!(client::get(running.port, path, "*/*").status, 502);
    // The authority's own requests stand in the log as any other.
    assert!(running.line("/.well-known/acme-challenge/").contains("\"status\":200"));
    for file in site.kept("") {
        let mode = fs::metadata(&file).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
    }
    let kept = (site.kept(".pem").len(), site.kept("account.json").len(), site.kept(".json").len());
    assert_eq!(kept, (2, 1, 1), "two certificates, an account, no attempts");
    let orders = authority.orders();
    assert_eq!(orders, 2, "{}", authority.log());
    drop(running);
    let again = proxy(&site, TWO, "http-01");
    eventually("the certificate of the last time", || {
        (shown(site.ports.tls, "shop.example") == first).then_some(())
    });
    // It asks for the directory, once a certificate is there and not due; nothing after that.
    authority.said("GET /dir", 2);
    assert!(!again.messages().contains("ordering"), "{}", again.messages());
    assert_eq!(authority.orders(), orders);
}

#[test]
fn a_certificate_is_had_by_a_handshake() {
    let site = Site::new();
    let authority = site.open(YEAR);
    let running = proxy(&site, "[[\"shop.example\", \"www.shop.example\"]]", "tls-alpn-01");
    said(&running, IN_FORCE, 1);
    let root = authority.root();
    assert!(is_trusted(site.ports.tls, "www.shop.example", &root));
    assert!(!running.messages().contains("no certificate"), "{}", running.messages());
    // Nobody else is shown a proof.
    let address = format!("127.0.0.1:{}", site.ports.tls);
    let asked = Command::new("openssl")
        .args(["s_client", "-connect", &address, "-servername", "shop.example"])
        .args(["-alpn", "acme-tls/1"])
        .stdin(Stdio::null())
        .output()
        .expect("openssl runs");
    let said = String::from_utf8_lossy(&asked.stdout).into_owned();
    assert!(said.contains("no peer certificate available"), "{said}");
}

#[test]
fn a_certificate_is_renewed_before_it_ends() {
    let site = Site::new();
    let authority = site.open(24);
    let running = proxy(&site, "[[\"shop.example\"]]", "http-01");
    said(&running, IN_FORCE, 1);
    let root = authority.root();
    let mut serials = vec![shown(site.ports.tls, "shop.example")];
    // At two thirds of its lifetime: after 16 s, which is more than the usual patience.
    for _ in 0..2 {
        eventually("a while, in which it stays in force", || {
            assert!(is_trusted(site.ports.tls, "shop.example", &root));
            (authority.orders() > serials.len()
                || std::time::SystemTime::now()
                    .duration_since(fs::metadata(&site.kept(".pem")[0]).ok()?.modified().ok()?)
                    .ok()?
                    .as_secs()
                    >= 12)
                .then_some(())
        });
        said(&running, IN_FORCE, serials.len() + 1);
        serials.push(shown(site.ports.tls, "shop.example"));
    }
    assert!(serials[0] != serials[1] && serials[1] != serials[2], "{serials:?}");
    assert!(is_trusted(site.ports.tls, "shop.example", &root));
}

#[test]
fn a_directory_that_is_down_holds_nobody_up() {
    let site = Site::new();
    let running = proxy(&site, "[[\"shop.example\"]]", "http-01");
    let seen = shown(site.ports.tls, "shop.example");
    assert!(seen.contains("CN = Causeway stand-in") && seen.contains("DNS:shop.example"), "{seen}");
    let messages = said(&running, "no certificate by ACME", 1);
    assert!(messages.contains("problem=\"unreached\""), "{messages}");
    assert!(messages.contains("Connection refused"), "{messages}");
    // As soon as it is up.
    let authority = site.open(YEAR);
    said(&running, IN_FORCE, 1);
    assert!(is_trusted(site.ports.tls, "shop.example", &authority.root()));
}

#[test]
fn a_host_that_is_not_proven_is_named_and_not_asked_for_again_at_once() {
    let site = Site::new();
    let authority = site.open(YEAR);
    authority.mislead("away.example");
    let running = proxy(&site, "[[\"shop.example\", \"away.example\"]]", "http-01");
    let messages = said(&running, "no certificate by ACME", 1);
    assert!(messages.contains("host=\"away.example\""), "{messages}");
    assert!(messages.contains("problem=\"connection\""), "{messages}");
    let orders = authority.orders();
    drop(running);
    // A restart is no reason to ask again.
    let again = proxy(&site, "[[\"shop.example\", \"away.example\"]]", "http-01");
    assert!(again.messages().contains("stands in until"), "{}", again.messages());
    assert_eq!(site.kept("example-").len(), 0);
    let attempts = site.kept(".json").into_iter().find(|file| !file.ends_with("account.json"));
    let attempts = fs::read_to_string(attempts.expect("attempts are kept")).expect("a file");
    assert!(attempts.contains("\"failures\": 1") && attempts.contains("connection"), "{attempts}");
    drop(again);
    // Without the host that is not ours there is nothing to wait for.
    let mended = proxy(&site, "[[\"shop.example\"]]", "http-01");
    said(&mended, IN_FORCE, 1);
    assert_eq!(authority.orders(), orders + 1);
    drop(mended);
    // A longer list begins with what there is.
    let longer = proxy(&site, "[[\"shop.example\", \"away.example\"]]", "http-01");
    assert!(!longer.messages().contains("stands in"), "{}", longer.messages());
    assert!(is_trusted(site.ports.tls, "shop.example", &authority.root()));
}
