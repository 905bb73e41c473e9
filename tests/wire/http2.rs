//! Upstreams of HTTP/2: a real server of the h2 crate, and scripted ones for what it would not do.

use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use tokio::sync::Barrier;

use super::client::{Client, End};
use super::proxy::{Proxy, get};
use super::{PATIENCE, eventually};

/// Requests that `/together` waits for.
const TOGETHER: usize = 100;
const BIG: usize = 3 * 1024 * 1024;

/// A server that ends with the test's process.
struct Server {
    name: String,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
    ended: Arc<AtomicUsize>,
    resets: Arc<AtomicUsize>,
}

/// What one stream has to do with.
#[derive(Clone)]
struct Shared {
    requests: Arc<AtomicUsize>,
    /// Connections that are over.
    ended: Arc<AtomicUsize>,
    /// CANCEL on a stream whose answer nobody waits for any more.
    resets: Arc<AtomicUsize>,
    together: Arc<Barrier>,
}

impl Server {
    /// A real one, which allows so many streams at once.
    fn real(streams_max: u32) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let name = format!("h2c://{}", listener.local_addr().unwrap());
        let connections = Arc::<AtomicUsize>::default();
        let shared = Shared {
            requests: Arc::default(),
            ended: Arc::default(),
            resets: Arc::default(),
            together: Arc::new(Barrier::new(TOGETHER)),
        };
        let Shared { requests, ended, resets, .. } = shared.clone();
        let counted = connections.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async move {
                listener.set_nonblocking(true).unwrap();
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    counted.fetch_add(1, Ordering::SeqCst);
                    tokio::spawn(connection(stream, streams_max, shared.clone()));
                }
            });
        });
        Server { name, connections, requests, ended, resets }
    }

    /// One that reads a request's fields and then writes the script of this connection's number;
    /// the last serves all that follow.
    fn scripted(scripts: Vec<Vec<u8>>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let name = format!("h2c://{}", listener.local_addr().unwrap());
        let connections = Arc::<AtomicUsize>::default();
        let counted = connections.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                let number = counted.fetch_add(1, Ordering::SeqCst).min(scripts.len() - 1);
                let script = scripts[number].clone();
                std::thread::spawn(move || {
                    if read_fields(&mut stream).is_some() {
                        let _ = stream.write_all(&script);
                        let _ = stream.shutdown(std::net::Shutdown::Write);
                        let _ = std::io::copy(&mut stream, &mut std::io::sink());
                    }
                });
            }
        });
        Server {
            name,
            connections,
            requests: Arc::default(),
            ended: Arc::default(),
            resets: Arc::default(),
        }
    }

    fn proxy(&self) -> Proxy {
        Proxy::block(std::slice::from_ref(&self.name), "")
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// RFC 9113 sections 3.4, 4.1 and 6.2.
pub(super) fn read_fields(stream: &mut impl Read) -> Option<()> {
    stream.read_exact(&mut [0; 24]).ok()?;
    loop {
        let mut header = [0; 9];
        stream.read_exact(&mut header).ok()?;
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
        stream.read_exact(&mut vec![0; length as usize]).ok()?;
        if header[3] == 1 {
            return Some(());
        }
    }
}

async fn connection(stream: tokio::net::TcpStream, streams_max: u32, shared: Shared) {
    let mut builder = h2::server::Builder::new();
    let Ok(mut connection) =
        builder.max_concurrent_streams(streams_max).handshake::<_, Bytes>(stream).await
    else {
        return;
    };
    while let Some(Ok((request, respond))) = connection.accept().await {
        shared.requests.fetch_add(1, Ordering::SeqCst);
        if request.uri().path() == "/farewell" {
            connection.graceful_shutdown();
        }
        tokio::spawn(serve(request, respond, shared.clone()));
    }
    shared.ended.fetch_add(1, Ordering::SeqCst);
}

async fn serve(request: Request<RecvStream>, mut respond: SendResponse<Bytes>, shared: Shared) {
    let path = request.uri().path().to_owned();
    let plain = |length: Option<usize>| {
        let mut response = Response::builder();
        if let Some(length) = length {
            response = response.header("content-length", length);
        }
        response.body(()).unwrap()
    };
    match path.as_str() {
        "/refused-once" if shared.requests.load(Ordering::SeqCst) == 1 => {
            collect(request.into_body()).await;
            respond.send_reset(Reason::REFUSED_STREAM);
        }
        "/reset" => respond.send_reset(Reason::INTERNAL_ERROR),
        "/left" => {
            let reset = std::future::poll_fn(|cx| respond.poll_reset(cx)).await;
            assert_eq!(reset.unwrap(), Reason::CANCEL);
            shared.resets.fetch_add(1, Ordering::SeqCst);
        }
        "/slow" => {
            tokio::time::sleep(Duration::from_millis(1500)).await;
            let mut stream = respond.send_response(plain(None), false).unwrap();
            send(&mut stream, Bytes::from_static(b"at last"), true).await;
        }
        "/early" => {
            let mut stream = respond.send_response(plain(Some(5)), false).unwrap();
            send(&mut stream, Bytes::from_static(b"early"), true).await;
        }
        "/cut" => {
            let mut stream = respond.send_response(plain(None), false).unwrap();
            send(&mut stream, Bytes::from_static(b"the first piece"), false).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            stream.send_reset(Reason::CANCEL);
        }
        "/trailers" => {
            let mut response = plain(None);
            response.headers_mut().insert("trailer", "x-sum".parse().unwrap());
            let mut stream = respond.send_response(response, false).unwrap();
            send(&mut stream, Bytes::from_static(b"body"), false).await;
            let mut trailers = HeaderMap::new();
            trailers.insert("x-sum", "42".parse().unwrap());
            stream.send_trailers(trailers).unwrap();
        }
        "/big" => {
            let mut stream = respond.send_response(plain(None), false).unwrap();
            send(&mut stream, Bytes::from(vec![b'x'; BIG]), true).await;
        }
        "/echo" | "/refused-once" => {
            let body = collect(request.into_body()).await;
            let mut stream = respond.send_response(plain(Some(body.len())), false).unwrap();
            send(&mut stream, body, true).await;
        }
        "/fields" => {
            let mut text = format!("{} {}\n", request.method(), request.uri());
            for (name, value) in request.headers() {
                text += &format!("{name}: {}\n", value.to_str().unwrap());
            }
            let mut stream = respond.send_response(plain(None), false).unwrap();
            send(&mut stream, text.into(), true).await;
        }
        "/head" => {
            respond.send_response(plain(Some(1234)), true).unwrap();
        }
        "/smuggled" => {
            let mut response = plain(None);
            *response.status_mut() = http::StatusCode::NO_CONTENT;
            let mut stream = respond.send_response(response, false).unwrap();
            let next = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfake";
            send(&mut stream, Bytes::from_static(next.as_bytes()), true).await;
        }
        path => {
            if path == "/together" {
                shared.together.wait().await;
            }
            let mut stream = respond.send_response(plain(Some(2)), false).unwrap();
            send(&mut stream, Bytes::from_static(b"ok"), true).await;
        }
    }
}

async fn collect(mut body: RecvStream) -> Bytes {
    let mut all = Vec::new();
    while let Some(Ok(piece)) = body.data().await {
        let _ = body.flow_control().release_capacity(piece.len());
        all.extend_from_slice(&piece);
    }
    all.into()
}

/// Sends as far as the other side's window goes, and again; gives up where the stream ends.
async fn send(stream: &mut SendStream<Bytes>, mut data: Bytes, end: bool) {
    let given_up: Option<Infallible> = async {
        if data.is_empty() {
            stream.send_data(data.clone(), end).ok()?;
        }
        while !data.is_empty() {
            stream.reserve_capacity(data.len());
            let room = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await?.ok()?;
            let piece = data.split_to(room.min(data.len()));
            let last = end && data.is_empty();
            stream.send_data(piece, last).ok()?;
        }
        None
    }
    .await;
    assert!(given_up.is_none());
}

/// A frame with this payload.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

pub(super) fn settings() -> Vec<u8> {
    frame(4, 0, 0, b"")
}

/// `:status: 200` and the body `ok`, on stream 1.
pub(super) fn answer() -> Vec<u8> {
    [settings(), frame(1, 4, 1, b"\x88"), frame(0, 1, 1, b"ok")].concat()
}

pub(super) fn goaway(last_stream: u32, code: u32, debug: &[u8]) -> Vec<u8> {
    let payload = [&last_stream.to_be_bytes(), &code.to_be_bytes(), debug].concat();
    frame(7, 0, 0, &payload)
}

pub(super) fn reset(code: u32) -> Vec<u8> {
    frame(3, 0, 1, &code.to_be_bytes())
}

pub(super) fn post(path: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nHost: shop.example\r\nContent-Length: {length}\r\n\r\n{body}")
}

/// Waits until there are so many.
fn count(what: &str, counter: &AtomicUsize, expected: usize) {
    eventually(what, || (counter.load(Ordering::SeqCst) == expected).then_some(()));
}

#[test]
fn requests_share_a_connection() {
    let server = Server::real(200);
    let proxy = server.proxy();
    let mut clients: Vec<_> =
        (0..TOGETHER).map(|_| Client::sent(proxy.address, get("/together"))).collect();
    // The server answers none before all are there.
    for client in &mut clients {
        let answer = client.answer("GET");
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok"));
    }
    assert_eq!(proxy.get("/after").status, 200);
    assert_eq!(proxy.logged("/after")["reused"], true);
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_peer_with_few_streams_gets_more_connections() {
    let server = Server::real(10);
    let proxy = server.proxy();
    assert_eq!(proxy.get("/settings-are-known").status, 200);
    let mut clients: Vec<_> =
        (0..TOGETHER).map(|_| Client::sent(proxy.address, get("/together"))).collect();
    for client in &mut clients {
        assert_eq!(client.answer("GET").status, 200);
    }
    let connections = server.connections();
    assert!(connections >= TOGETHER / 10, "{connections}");
}

#[test]
fn fields_go_as_http_2_wants_them() {
    let server = Server::real(100);
    let proxy = server.proxy();
    let answer = proxy.ask(
        "GET /fields?a=b HTTP/1.1\r\nHost: shop.example:81\r\nConnection: x-mine\r\nX-Mine: 1\r\n\
         Cookie: a=1; b=2\r\nTE: trailers\r\nConnection: TE, upgrade\r\nUpgrade: websocket\r\n\
         X-Yours: 2\r\n\r\n",
    );
    let lines: Vec<_> = answer.body.lines().filter(|line| !line.starts_with("via: ")).collect();
    assert_eq!(
        lines,
        [
            "GET http://shop.example:81/fields?a=b",
            "cookie: a=1; b=2",
            "x-yours: 2",
            "x-forwarded-for: 127.0.0.1",
            "x-forwarded-proto: http",
            "x-forwarded-host: shop.example:81",
        ]
    );
    assert!(answer.body.contains("via: 1.1 causeway-"), "{}", answer.body);
}

#[test]
fn no_target_is_too_odd() {
    let server = Server::real(100);
    let proxy = server.proxy();
    for target in ["/?q=\"<a>\"", "/a|b?{c}^`\\", "/%zz?%", "/\u{e4}?\u{e4}", "*", "//a//b"] {
        for host in ["a%20b", "a:", "[::1]", "a_b:80"] {
            let method = if target == "*" { "OPTIONS" } else { "GET" };
            let asked = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
            let answer = proxy.ask(asked);
            // What is refused is refused before it.
            assert!(matches!(answer.status, 200 | 400), "{target} {host}: {}", answer.body);
        }
    }
}

#[test]
fn bodies_go_both_ways() {
    let server = Server::real(100);
    let proxy = server.proxy();
    let big = "0123456789abcdef".repeat(BIG / 16);
    let answer = proxy.ask(post("/echo", &big));
    assert_eq!((answer.status, answer.body.len()), (200, BIG));
    assert!(answer.body == big);
    let chunked = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                   5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
    assert_eq!(proxy.ask(chunked).body, "hello world");
    assert_eq!(proxy.get("/big").body.len(), BIG);
    assert_eq!(proxy.ask(post("/echo", "")).body, "");
    assert_eq!(server.connections(), 1);
}

#[test]
fn head_has_its_length_and_no_body() {
    let server = Server::real(100);
    let proxy = server.proxy();
    let mut client = Client::sent(proxy.address, get("/head").replace("GET", "HEAD"));
    let answer = client.answer("HEAD");
    assert_eq!((answer.status, answer.field("content-length")), (200, Some("1234")));
    client.send(get("/next"));
    assert_eq!(client.answer("GET").body, "ok");
}

/// HTTP/2 can send a body where HTTP/1.1 has none: it would be read as the next answer.
#[test]
fn a_body_behind_204_goes_no_further() {
    let server = Server::real(100);
    let proxy = server.proxy();
    let mut client = Client::connect(proxy.address);
    for _ in 0..3 {
        client.send(get("/smuggled"));
        assert_eq!(client.answer("GET").status, 204);
        client.send(get("/next"));
        assert_eq!(client.answer("GET").body, "ok");
    }
}

#[test]
fn trailers_reach_a_client_that_takes_them() {
    let server = Server::real(100);
    let proxy = server.proxy();
    let asks = "GET /trailers HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE, close\r\n\r\n";
    let (whole, end) = Client::sent(proxy.address, asks).rest();
    assert_ne!(end, End::Open);
    assert!(whole.contains("body") && whole.contains("x-sum: 42\r\n"), "{whole}");
    assert_eq!(proxy.get("/trailers").body, "body");
}

#[test]
fn an_early_answer_comes_through() {
    let server = Server::real(100);
    let proxy = server.proxy();
    let mut client = Client::connect(proxy.address);
    client.send("POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nbegun");
    let answer = client.answer("POST");
    assert_eq!((answer.status, answer.body.as_str()), (200, "early"));
    assert_eq!(proxy.get("/next").status, 200);
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_reset_stream_harms_no_other() {
    let server = Server::real(100);
    let proxy = server.proxy();
    let answer = proxy.get("/reset");
    assert_eq!((answer.status, answer.cause()), (502, "h2_stream_reset"));
    assert_eq!(proxy.get("/next").status, 200);
    // On a connection that was used before, it is no stale one.
    assert_eq!(proxy.get("/reset?again").cause(), "h2_stream_reset");
    assert_eq!((server.connections(), server.requests.load(Ordering::SeqCst)), (1, 3));
}

#[test]
fn a_cut_body_never_looks_whole() {
    let server = Server::real(100);
    let proxy = server.proxy();
    let (received, end) = Client::sent(proxy.address, get("/cut")).rest();
    assert!(received.contains("the first piece"), "{received}");
    assert!(!received.ends_with("0\r\n\r\n"), "{received}");
    assert_ne!(end, End::Open);
    assert_eq!(proxy.logged("/cut")["cause"], "h2_stream_reset");
}

#[test]
fn a_client_that_does_not_read_holds_up_no_other() {
    let server = Server::real(100);
    let proxy = server.proxy();
    assert_eq!(proxy.get("/first").status, 200);
    let stalled: Vec<_> = (0..20).map(|_| Client::sent(proxy.address, get("/big"))).collect();
    count("the requests of those who do not read", &server.requests, 1 + stalled.len());
    assert_eq!(proxy.get("/next").status, 200);
    assert_eq!(server.connections(), 1);
    for mut client in stalled {
        assert_eq!(client.answer("GET").body.len(), BIG);
    }
}

#[test]
fn a_slow_answer_is_no_silent_peer() {
    let server = Server::real(100);
    let timeouts = "timeouts = { idle = \"400ms\", first_byte = \"20s\" }";
    let proxy = Proxy::block(std::slice::from_ref(&server.name), timeouts);
    let answer = proxy.get("/slow");
    assert_eq!((answer.status, answer.body.as_str()), (200, "at last"));
    assert_eq!(proxy.logged("/slow")["attempts"], 1);
}

#[test]
fn a_client_that_leaves_takes_its_stream_along() {
    let server = Server::real(100);
    let proxy = server.proxy();
    assert_eq!(proxy.get("/first").status, 200);
    let leaving = Client::sent(proxy.address, get("/left"));
    count("the second request", &server.requests, 2);
    drop(leaving);
    count("the reset", &server.resets, 1);
    assert_eq!(proxy.logged("/left")["cause"], "client_gone");
    assert_eq!(proxy.get("/next").status, 200);
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_connection_that_is_not_to_be_kept_ends_with_its_last_request() {
    let server = Server::real(100);
    let proxy =
        Proxy::block(std::slice::from_ref(&server.name), "limits = { idle_connections = 0 }");
    for number in 1..4 {
        assert_eq!(proxy.get("/").status, 200);
        count("the end of a connection", &server.ended, number);
        assert_eq!(server.connections(), number);
    }
}

#[test]
fn a_farewell_leads_to_a_new_connection() {
    let server = Server::real(100);
    let proxy = server.proxy();
    for number in 0..5 {
        assert_eq!(proxy.get("/farewell").body, "ok");
        let next = proxy.ask(post(&format!("/{number}"), ""));
        assert_eq!((next.status, next.body.as_str()), (200, "ok"));
    }
    assert!(server.connections() >= 5);
}

#[test]
fn what_was_not_processed_goes_again_whatever_it_is() {
    for gone in [
        [settings(), goaway(0, 0, b"")].concat(),
        [settings(), goaway(0, 11, b"too much")].concat(),
        [settings(), reset(7)].concat(),
    ] {
        let server = Server::scripted(vec![gone, answer()]);
        let proxy = server.proxy();
        let answered = proxy.ask(post("/", ""));
        assert_eq!((answered.status, answered.body.as_str()), (200, "ok"));
        assert_eq!(server.connections(), 2);
        assert_eq!(proxy.logged("/")["attempts"], 2);
    }
}

#[test]
fn a_small_body_goes_again_with_its_request() {
    for (size, attempts) in [(5, 2), (60_000, 2), (200_000, 1)] {
        let server = Server::real(100);
        let proxy = server.proxy();
        let body = "x".repeat(size);
        let answer = proxy.ask(post("/refused-once", &body));
        assert_eq!(proxy.logged("/refused-once")["attempts"], attempts);
        match attempts {
            1 => assert_eq!(answer.cause(), "h2_refused_stream"),
            _ => assert!(answer.body == body, "{}", answer.body.len()),
        }
        assert_eq!(server.requests.load(Ordering::SeqCst), attempts);
    }
}

#[test]
fn what_may_have_been_processed_does_not() {
    for (gone, cause) in [
        ([settings(), goaway(1, 2, b"")].concat(), "h2_goaway"),
        ([settings(), reset(2)].concat(), "h2_stream_reset"),
        ([settings(), reset(8)].concat(), "h2_stream_reset"),
        // It wants HTTP/1.1, which nobody negotiates over h2c.
        ([settings(), reset(13)].concat(), "h2_stream_reset"),
        ([settings(), frame(0, 0, 0, b"stray")].concat(), "h2_protocol_error"),
        (settings(), "closed_before_response"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), "peer_is_other_protocol"),
    ] {
        let server = Server::scripted(vec![gone, answer()]);
        let proxy = server.proxy();
        let answered = proxy.get("/");
        assert_eq!((answered.status, answered.cause()), (502, cause));
        assert_eq!(server.connections(), 1);
    }
}

#[test]
fn a_server_that_refuses_for_ever_is_asked_twice() {
    let server = Server::scripted(vec![[settings(), reset(7)].concat()]);
    let proxy = server.proxy();
    let answered = proxy.get("/");
    assert_eq!((answered.status, answered.cause()), (502, "h2_refused_stream"));
    assert_eq!(server.connections(), 2);
}

#[test]
fn head_sections_have_their_limits() {
    // A literal of 70 000 bytes, in a HEADERS frame and its continuations.
    let mut block = b"\x88\x00\x01x\x7f\xf1\xa1\x04".to_vec();
    block.extend(std::iter::repeat_n(b'y', 70_000));
    let frames = block.chunks(16_000).enumerate().map(|(number, piece)| {
        let last = (number + 1) * 16_000 >= block.len();
        let kind = if number == 0 { 1 } else { 9 };
        frame(kind, if last { 4 } else { 0 }, 1, piece)
    });
    let script: Vec<u8> = settings().into_iter().chain(frames.flatten()).collect();
    let server = Server::scripted(vec![script]);
    let answered = server.proxy().get("/");
    assert_eq!((answered.status, answered.cause()), (502, "header_section_too_large"));
}
