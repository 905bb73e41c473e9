//! What is said about HTTPS: the way to it, to stay there, and to those who forgot it.

use super::backend::Backend;
use super::certificates::{Certificates, EC, NAME};
use super::proxy::Proxy;

fn shop() -> (Certificates, Backend) {
    let certificates = Certificates::new();
    certificates.write("shop", &[NAME], EC);
    (certificates, Backend::start())
}

fn blocks(backend: &Backend) -> String {
    let server = format!("servers = [\"http://{}\"]\n", backend.address);
    format!(
        "[upstream.site]\n{server}\n[upstream.open]\n{server}paths = [\"/open\"]\n\
         redirect_to_https = false\n[upstream.gone]\nservers = [\"http://127.0.0.1:9\"]\n\
         paths = [\"/gone\"]\n"
    )
}

#[test]
fn requests_without_tls_are_sent_to_it() {
    let (certificates, backend) = shop();
    let tls = format!("{}redirect_to_https = true\n", certificates.lines(&["shop"]));
    let proxy = Proxy::start(&tls, &blocks(&backend));
    for (method, path, host, status, location) in [
        ("GET", "/head?a=b", NAME, "301", format!("https://{NAME}:{}/head?a=b", proxy.secure)),
        ("HEAD", "/", "other.test:80", "301", format!("https://other.test:{}/", proxy.secure)),
        ("POST", "/head", NAME, "308", format!("https://{NAME}:{}/head", proxy.secure)),
        ("GET", "/gone", NAME, "301", format!("https://{NAME}:{}/gone", proxy.secure)),
        ("GET", "/open", NAME, "200", String::new()),
        ("GET", "/.well-known/acme-challenge/x", NAME, "200", String::new()),
        ("GET", "/", "a b", "400", String::new()),
    ] {
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let answer = proxy.plainly(proxy.plain, &request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
        let found = answer.lines().find_map(|line| line.strip_prefix("location: "));
        assert_eq!(found.unwrap_or_default(), location, "{answer}");
    }
    // And over TLS the same paths are served.
    let (body, _) = proxy.curl(&certificates, "/head?a=b", &[]);
    assert!(body.starts_with(b"GET /head?a=b"), "{}", body.escape_ascii());
}

/// Every answer over TLS, our pages included; none without it; an upstream's own as it is.
#[test]
fn strict_transport_security_once_and_over_tls_alone() {
    const FIELD: &str = "strict-transport-security: ";
    let (certificates, backend) = shop();
    let tls = format!("{}hsts = \"1d\"\nhsts_subdomains = true\n", certificates.lines(&["shop"]));
    let proxy = Proxy::start(&tls, &blocks(&backend));
    for (path, expected) in [
        ("/head", "max-age=86400; includeSubDomains"),
        ("/gone", "max-age=86400; includeSubDomains"),
        ("/strict", "max-age=7"),
    ] {
        let (head, _) = proxy.curl(&certificates, path, &["--include", "--output", "-"]);
        let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
        let fields: Vec<&str> = head.lines().filter_map(|line| line.strip_prefix(FIELD)).collect();
        assert_eq!(fields, [expected.to_ascii_lowercase()], "{path}: {head}");
        let request = format!("GET {path} HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n");
        let plain = proxy.plainly(proxy.plain, &request).to_ascii_lowercase();
        assert_eq!(plain.contains(FIELD), path == "/strict", "{plain}");
    }
}

#[test]
fn an_upstream_is_told_that_the_client_came_by_https() {
    let (certificates, backend) = shop();
    let proxy = Proxy::before(&format!("http://{}", backend.address), &certificates, "");
    let (head, _) = proxy.curl(&certificates, "/head", &["-H", "X-Forwarded-Proto: http"]);
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    assert_eq!(head.matches("x-forwarded-proto:").count(), 1, "{head}");
    assert!(head.contains("x-forwarded-proto: https\r\n"), "{head}");
    let request = format!("GET /head HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n");
    let head = proxy.plainly(proxy.plain, &request).to_ascii_lowercase();
    assert!(head.contains("x-forwarded-proto: http\r\n"), "{head}");
}

/// A visitor's mistake gets an answer that says what to do.
#[test]
fn http_at_the_port_of_https_is_told_so() {
    let (certificates, backend) = shop();
    let tls = format!("{}hsts = \"1d\"\n", certificates.lines(&["shop"]));
    let proxy = Proxy::start(&tls, &blocks(&backend));
    let request = format!("POST /head HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: 5\r\n\r\nhello");
    let answer = proxy.plainly(proxy.secure, &request);
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("This port speaks HTTPS"), "{answer}");
    assert!(answer.contains("Write https:// in front of the address"), "{answer}");
    assert!(!answer.contains("strict-transport-security"), "{answer}");
    proxy.expect_said("reason=\"plain_http\"");
    super::support::tools::eventually("its line", || {
        let log = proxy.access_log();
        let told = log.contains("\"fault\":\"plain_http_on_tls_port\"")
            && log.contains("\"path\":\"POST /head HTTP/1.1\"");
        told.then_some(())
    });
}
