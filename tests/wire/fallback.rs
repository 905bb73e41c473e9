//! Servers of HTTP/2 that want HTTP/1.1 (RFC 9113 section 7, HTTP_1_1_REQUIRED): the request goes
//! again in it, once, and the next ones go in it at once.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::PATIENCE;
use super::http2::{answer, goaway, post, read_fields, reset, settings};
use super::proxy::Proxy;

const HTTP_1_1_REQUIRED: u32 = 0xd;

/// A server of TLS, and what was asked of it in the order of the requests.
struct Server {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
}

/// What a server does in HTTP/2.
#[derive(Clone)]
struct Habits {
    /// What it sends behind a request's fields.
    script: Vec<u8>,
    protocols: &'static [&'static [u8]],
}

impl Server {
    fn start(script: Vec<u8>, protocols: &'static [&'static [u8]]) -> Server {
        let made = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.into());
        let mut config = config.unwrap();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        let (config, habits) = (Arc::new(config), Habits { script, protocols });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let kept = heard.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let connection = ServerConnection::new(config.clone()).unwrap();
                let stream = stream.unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                let (stream, kept) = (StreamOwned::new(connection, stream), kept.clone());
                let habits = habits.clone();
                std::thread::spawn(move || serve(stream, &habits, &kept));
            }
        });
        Server { address, heard }
    }

    fn proxy(&self) -> Proxy {
        let more = "tls.http2 = true\ntls.verify = false\n";
        Proxy::block(&[format!("https://{}", self.address)], more)
    }

    fn heard(&self) -> Vec<String> {
        std::mem::take(&mut self.heard.lock().unwrap())
    }
}

/// One connection: HTTP/2 by the script, or HTTP/1.1 for as long as it is wanted.
fn serve(
    mut stream: StreamOwned<ServerConnection, TcpStream>,
    habits: &Habits,
    heard: &Mutex<Vec<String>>,
) {
    while stream.conn.is_handshaking() {
        // A failure sends its alert by itself.
        if stream.conn.complete_io(&mut stream.sock).is_err() {
            return;
        }
    }
    if stream.conn.alpn_protocol() == Some(b"h2") {
        assert!(habits.protocols.contains(&b"h2".as_slice()));
        if read_fields(&mut stream).is_some() {
            heard.lock().unwrap().push("h2".to_owned());
            let _ = stream.write_all(&habits.script);
            stream.conn.send_close_notify();
            let _ = stream.flush();
            let _ = stream.sock.shutdown(Shutdown::Write);
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        }
        return;
    }
    let mut input = Vec::new();
    loop {
        let mut piece = [0; 16 * 1024];
        let Ok(read @ 1..) = stream.read(&mut piece) else { return };
        input.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&input).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let lower = head.to_ascii_lowercase();
        let length = lower.split_once("content-length: ").map_or("0", |(_, rest)| rest);
        let length: usize = length.lines().next().unwrap().parse().unwrap();
        if body.len() < length {
            continue;
        }
        heard.lock().unwrap().push(format!("{} {}", head.lines().next().unwrap(), body.len()));
        input.clear();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
        stream.write_all(answer.as_bytes()).and_then(|()| stream.flush()).unwrap();
    }
}

const BOTH: &[&[u8]] = &[b"h2", b"http/1.1"];

fn required() -> Vec<u8> {
    [settings(), reset(HTTP_1_1_REQUIRED)].concat()
}

#[test]
fn a_request_goes_again_over_http_1_1_and_the_next_ones_at_once() {
    for wish in [required(), [settings(), goaway(0, HTTP_1_1_REQUIRED, b"")].concat()] {
        let server = Server::start(wish, BOTH);
        let proxy = server.proxy();
        let answered = proxy.get("/first");
        assert_eq!(answered.status, 200, "{}", answered.body);
        assert_eq!(server.heard(), ["h2", "GET /first HTTP/1.1 0"]);
        assert_eq!(proxy.logged("/first")["attempts"], 2);
        for path in ["/second", "/third"] {
            assert_eq!(proxy.get(path).status, 200);
            assert_eq!(server.heard(), [format!("GET {path} HTTP/1.1 0")]);
            let line = proxy.logged(path);
            assert_eq!((&line["attempts"], &line["reused"]), (&1.into(), &true.into()));
        }
    }
}

#[test]
fn a_body_that_is_still_at_hand_goes_again_unless_it_might_count_twice() {
    let rows =
        [("PUT", 0, 2), ("PUT", 5, 2), ("PUT", 60_000, 2), ("PUT", 200_000, 1), ("POST", 5, 1)];
    for (method, size, attempts) in rows {
        let server = Server::start(required(), BOTH);
        let proxy = server.proxy();
        let body = "x".repeat(size);
        let answered = proxy.ask(post("/form", &body).replacen("POST", method, 1));
        assert_eq!(proxy.logged("/form")["attempts"], attempts, "{size}");
        let again = format!("{method} /form HTTP/1.1 {size}");
        match attempts {
            1 => {
                assert_eq!(answered.cause(), "h2_stream_reset");
                assert_eq!(server.heard(), ["h2"]);
                // The server is known by now.
                assert_eq!(proxy.ask(post("/form", &body).replacen("POST", method, 1)).body, body);
                assert_eq!(server.heard(), [again]);
            }
            _ => {
                assert_eq!(answered.body, body);
                assert_eq!(server.heard(), ["h2".to_owned(), again]);
            }
        }
    }
}

#[test]
fn a_server_that_has_no_http_1_1_is_asked_in_http_2_again() {
    let server = Server::start(required(), &[b"h2"]);
    let proxy = server.proxy();
    for path in ["/first", "/second"] {
        let answered = proxy.get(path);
        assert_eq!(answered.status, 502);
        // ALPN has no protocol in common (RFC 7301 section 3.2).
        assert_eq!(answered.cause(), "tls_incompatible");
        assert_eq!(server.heard(), ["h2"]);
        assert_eq!(proxy.logged(path)["attempts"], 2);
    }
}

#[test]
fn a_wish_that_comes_too_late_is_no_wish() {
    for (script, cause) in [
        // Another code; one stream that was taken.
        ([settings(), reset(2)].concat(), "h2_stream_reset"),
        ([settings(), goaway(1, HTTP_1_1_REQUIRED, b"")].concat(), "h2_goaway"),
    ] {
        let server = Server::start(script, BOTH);
        let proxy = server.proxy();
        assert_eq!(proxy.get("/").cause(), cause);
        assert_eq!(server.heard(), ["h2"]);
    }
    let server = Server::start(answer(), BOTH);
    let proxy = server.proxy();
    assert_eq!(proxy.get("/").body, "ok");
    assert_eq!(server.heard(), ["h2"]);
}
