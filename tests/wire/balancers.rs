//! Balancers in front that introduce their clients by the PROXY protocol, and others that try to.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use super::PATIENCE;
use super::backend::Backend;
use super::client::{Client, End};
use super::proxy::{Program, Proxy, get};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const LINE: &[u8] = b"PROXY TCP4 203.0.113.9 192.0.2.1 56224 443\r\n";
/// The same in version 2, and that the balancer took TLS off.
const BLOCK: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x14\xcb\0\x71\x09\xc0\0\x02\x01\xdb\xa0\x01\xbb\
    \x20\0\x05\x01\0\0\0\0";
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
const PROBLEM: &str = "Accept: application/problem+json\r\n";

/// A proxy that takes this host for its balancer.
fn behind(server: &str) -> Proxy {
    Proxy::with(&format!(
        "[client]\nproxy_protocol = [\"127.0.0.0/8\"]\nheader_timeout = \"500ms\"\n\
         [upstream.app]\nservers = [\"{server}\"]\n"
    ))
}

fn introduced(header: &[u8], path: &str) -> Vec<u8> {
    [header, get(path).as_bytes()].concat()
}

#[test]
fn a_client_is_who_its_balancer_says() {
    let backend = Backend::answering(OK);
    let proxy = behind(&backend.server());
    for (path, header, client, scheme) in [
        ("/line", LINE, "203.0.113.9", "http"),
        ("/block", BLOCK, "203.0.113.9", "https"),
        ("/local", LOCAL, "127.0.0.1", "http"),
        ("/unknown", &b"PROXY UNKNOWN\r\n"[..], "127.0.0.1", "http"),
    ] {
        assert_eq!(proxy.ask(introduced(header, path)).status, 200, "{path}");
        assert_eq!(proxy.logged(path)["client"], client);
        let sent = backend.received_with(&format!("GET {path} "));
        let sent = sent.rsplit("GET ").next().unwrap();
        assert!(sent.contains(&format!("X-Forwarded-For: {client}\r\n")), "{sent}");
        assert!(sent.contains(&format!("X-Forwarded-Proto: {scheme}\r\n")), "{sent}");
    }
}

#[test]
fn a_header_comes_in_any_pieces_and_nothing_behind_it_is_lost() {
    let backend = Backend::answering(OK);
    let proxy = behind(&backend.server());
    for (number, header) in [LINE, BLOCK].into_iter().enumerate() {
        let mut slow = Client::connect(proxy.address);
        for byte in introduced(header, &format!("/slow{number}")) {
            slow.send([byte]);
        }
        assert_eq!(slow.answer("GET").status, 200);
        let (one, two) = (get(&format!("/one{number}")), get(&format!("/two{number}")));
        let mut glued = Client::sent(proxy.address, [header, (one + &two).as_bytes()].concat());
        assert_eq!((glued.answer("GET").status, glued.answer("GET").status), (200, 200));
        let posted = b"POST /posted HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
        let mut whole = Client::sent(proxy.address, [header, posted].concat());
        assert_eq!(whole.answer("POST").status, 200);
        assert_eq!(backend.received_with("hello").matches("hello").count(), number + 1);
    }
}

#[test]
fn a_balancer_without_a_sound_header_is_hung_up_on_and_told_once() {
    let backend = Backend::answering(OK);
    let program = Program::with(&format!(
        "[client]\nproxy_protocol = [\"127.0.0.0/8\"]\nheader_timeout = \"300ms\"\n\
         [upstream.app]\nservers = [\"{}\"]\n",
        backend.server()
    ));
    let long = [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff", &[0; 6000][..]].concat();
    for (fault, bytes) in [
        ("missing", get("/").into_bytes()),
        ("missing", get("/").into_bytes()),
        ("malformed", introduced(b"PROXY TCP4 203.0.113.9\r\n", "/")),
        ("malformed", introduced(b"PROXY TCP4 203.0.113.9 192.0.2.1 56224 443\n", "/")),
        ("too_long", introduced(format!("PROXY UNKNOWN {}", "x".repeat(200)).as_bytes(), "/")),
        ("too_long", long),
        ("late", LINE[..30].to_vec()),
        ("late", Vec::new()),
    ] {
        let mut client = Client::sent(program.address, bytes);
        let (answer, end) = client.rest();
        assert_eq!(answer, "", "{fault}");
        assert!(matches!(end, End::Fin | End::Reset), "{fault}");
        program.said(&format!("\"{fault}\""), 1);
    }
    // A balancer asks whether we listen: that is no fault.
    let silent = Client::connect(program.address);
    silent.finish();
    let cut = Client::sent(program.address, &LINE[..9]);
    cut.finish();
    let said = program.said("\"cut\"", 1);
    assert_eq!(said.matches("without a sound PROXY header").count(), 5, "{said}");
    assert!(!said.contains("silent") && said.contains("127.0.0.1"), "{said}");
    assert_eq!(Client::sent(program.address, introduced(LINE, "/")).answer("GET").status, 200);
    assert_eq!(backend.connections(), 1);
}

#[test]
fn nobody_else_is_believed() {
    let backend = Backend::answering(OK);
    let proxy = Proxy::with(&format!(
        "[client]\nproxy_protocol = [\"10.0.0.0/8\", \"unix\"]\n\
         [upstream.app]\nservers = [\"{}\"]\n",
        backend.server()
    ));
    for header in [LINE, BLOCK, LOCAL] {
        let answer = proxy.ask(introduced(header, "/"));
        assert_eq!((answer.status, answer.cause()), (400, "request_invalid"));
    }
    assert_eq!(proxy.get("/plain").status, 200);
    assert_eq!(proxy.logged("/plain")["client"], "127.0.0.1");
    assert_eq!(backend.requests("/"), 0);
}

#[test]
fn only_a_named_operator_sees_evidence() {
    let proxy = behind(&super::backend::refusing());
    let ask = |header: &[u8]| {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{PROBLEM}\r\n");
        let answer = proxy.ask([header, request.as_bytes()].concat());
        assert_eq!(answer.status, 502);
        answer.body.contains("\"evidence\"")
    };
    assert!(ask(b"PROXY TCP4 127.0.0.1 127.0.0.1 9 80\r\n"));
    assert!(!ask(LINE));
    assert!(!ask(b"PROXY UNKNOWN\r\n"));
    assert!(ask(LOCAL));
}

#[test]
fn a_php_script_knows_the_clients_end_and_the_one_that_it_came_to() {
    let backend = Backend::scripted(|peer| {
        peer.until("HTTP_HOST");
        peer.send(b"\x01\x06\0\x01\0\x14\0\0Status: 204 x\r\nA: b\r\n\r\n");
        peer.send(b"\x01\x06\0\x01\0\0\0\0\x01\x03\0\x01\0\x08\0\0\0\0\0\0\0\0\0\0");
    });
    let proxy = Proxy::with(&format!(
        "[client]\nproxy_protocol = [\"127.0.0.0/8\"]\n\
         [upstream.app]\nservers = [\"fastcgi://{}\"]\nroot = \"/nowhere/at/all\"\n",
        backend.address
    ));
    proxy.ask(introduced(BLOCK, "/a.php"));
    let sent = backend.received_with("HTTP_HOST");
    for variable in [
        "REMOTE_ADDR203.0.113.9",
        "REMOTE_PORT56224",
        "SERVER_ADDR192.0.2.1",
        "SERVER_PORT443",
        "REQUEST_SCHEMEhttps",
        "HTTPSon",
    ] {
        assert!(sent.contains(variable), "{variable} in {sent:?}");
    }
}

#[test]
fn a_unix_listener_may_have_a_balancer_too() {
    let backend = Backend::answering(OK);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("http.sock");
    let proxy = Proxy::with(&format!(
        "[client]\nproxy_protocol = [\"unix\"]\n\
         [upstream.app]\nservers = [\"{}\"]\nlisten = [\"127.0.0.1:0\", \"unix:{}\"]\n",
        backend.server(),
        path.display()
    ));
    let mut client = UnixStream::connect(&path).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = "GET /unix HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    for byte in [LINE, request.as_bytes()].concat() {
        client.write_all(&[byte]).unwrap();
    }
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(proxy.logged("/unix")["client"], "203.0.113.9");
}

#[test]
fn a_stop_waits_for_no_header() {
    let backend = Backend::answering(OK);
    let mut program = Program::with(&format!(
        "drain_timeout = \"9s\"\n[client]\nproxy_protocol = [\"127.0.0.0/8\"]\n\
         [upstream.app]\nservers = [\"{}\"]\n",
        backend.server()
    ));
    let waiting = Client::sent(program.address, &LINE[..9]);
    // Once this one is answered, the first was accepted.
    assert_eq!(Client::sent(program.address, introduced(LINE, "/")).answer("GET").status, 200);
    let begun = Instant::now();
    program.signal("TERM");
    assert_eq!(program.exit_code(), Some(0));
    assert!(begun.elapsed() < PATIENCE / 2, "{:?}", begun.elapsed());
    drop(waiting);
}

#[test]
fn a_header_comes_before_tls() {
    let backend = Backend::answering(OK);
    let dir = tempfile::tempdir().unwrap();
    let (chain, key) = (dir.path().join("chain.pem"), dir.path().join("key.pem"));
    let made = rcgen::generate_simple_self_signed(["shop.example".to_owned()]).unwrap();
    std::fs::write(&chain, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let proxy = Proxy::with(&format!(
        "[client]\nproxy_protocol = [\"127.0.0.0/8\"]\n\
         [tls]\nlisten = [\"127.0.0.2:0\"]\n\
         certificates = [{{ chain = {chain:?}, key = {key:?} }}]\n\
         [upstream.app]\nservers = [\"{}\"]\n",
        backend.server()
    ));
    let trust = {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()
    };
    for (number, header) in [LINE, BLOCK].into_iter().enumerate() {
        let name = "shop.example".try_into().unwrap();
        let tls = rustls::ClientConnection::new(std::sync::Arc::new(trust.clone()), name).unwrap();
        let raw = std::net::TcpStream::connect(proxy.secure()).unwrap();
        raw.set_read_timeout(Some(PATIENCE)).unwrap();
        // The ClientHello is glued to its end.
        let mut glue = Glue { raw, before: header.to_vec() };
        let mut tls = tls;
        let mut stream = rustls::Stream::new(&mut tls, &mut glue);
        let path = format!("/tls{number}");
        let request = format!("GET {path} HTTP/1.1\r\nHost: shop.example\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        assert_eq!(proxy.logged(&path)["client"], "203.0.113.9");
        let sent = backend.received_with(&format!("GET {path} "));
        assert!(sent.rsplit("GET ").next().unwrap().contains("X-Forwarded-Proto: https\r\n"));
    }
}

/// A stream with bytes before the first that is written.
struct Glue {
    raw: std::net::TcpStream,
    before: Vec<u8>,
}

impl Read for Glue {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        self.raw.read(into)
    }
}

impl Write for Glue {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.before.is_empty() {
            return self.raw.write(bytes);
        }
        let whole = [&std::mem::take(&mut self.before), bytes].concat();
        self.raw.write_all(&whole)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.raw.flush()
    }
}
