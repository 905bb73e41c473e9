//! The program in service: reload, drain, log, signals, as an operator drives them.

use std::fs;
use std::net::TcpStream;
use std::sync::{Mutex, mpsc};

use super::backend::{Backend, refusing};
use super::client::{Client, End};
use super::eventually;
use super::proxy::{Program, get};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Answers at once, but `/slow` only when told to.
fn slow() -> (Backend, mpsc::Sender<()>) {
    let (go, gone) = mpsc::channel();
    let gone = Mutex::new(gone);
    let backend = Backend::scripted(move |peer| {
        while let Some(head) = peer.request() {
            if head.contains(" /slow ") && gone.lock().unwrap().recv().is_err() {
                return;
            }
            peer.send(OK);
        }
    });
    (backend, go)
}

fn block(name: &str, backend: &Backend, more: &str) -> String {
    format!("[upstream.{name}]\nservers = [\"{}\"]\n{more}\n", backend.server())
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn a_reload_changes_routes_and_harms_nobody() {
    let (old, go) = slow();
    let new = Backend::answering("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew");
    let program = Program::with(&block("old", &old, ""));
    let mut kept = Client::sent(program.address, get("/new/1"));
    assert_eq!(kept.answer("GET").body, "ok");
    let mut waiting = Client::sent(program.address, get("/slow"));
    old.received_with(" /slow ");

    program.configure(&(block("old", &old, "") + &block("new", &new, "paths = [\"/new\"]")));
    program.signal("HUP");
    program.said("reloaded", 1);
    // On the connection from before, and on a new one.
    kept.send(get("/new/2"));
    assert_eq!(kept.answer("GET").body, "new");
    assert_eq!(Client::sent(program.address, get("/new/3")).answer("GET").body, "new");
    assert_eq!(Client::sent(program.address, get("/old")).answer("GET").body, "ok");
    go.send(()).unwrap();
    assert_eq!(waiting.answer("GET").body, "ok");
    waiting.send(get("/new/4"));
    assert_eq!(waiting.answer("GET").body, "new");
    assert_eq!(program.logged("/slow")["status"], 200);
}

#[test]
fn a_reload_with_a_mistake_changes_nothing() {
    let backend = Backend::answering(OK);
    let good = block("app", &backend, "");
    let mut program = Program::with(&good);
    let mut kept = Client::sent(program.address, get("/"));
    assert_eq!(kept.answer("GET").status, 200);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    for (number, (lines, says)) in [
        (format!("{good}serverz = []\n"), "causeway.toml:6"),
        (good.replace("servers", "server"), "causeway.toml:4"),
        ("[upstream".to_owned(), "causeway.toml:3"),
        (good.clone() + "timeouts = { connect = 5 }\n", "causeway.toml:6"),
        (
            format!("listen = [\"127.0.0.1:0\", \"192.0.2.1:{}\"]\n{good}", taken.port()),
            "192.0.2.1",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        program.configure(&lines);
        program.signal("HUP");
        let said = program.said("the old configuration stays in force", number + 1);
        let last = said.rsplit("stays in force").next().unwrap();
        assert!(last.contains(says), "{lines:?}: no {says:?} in {last}");
        kept.send(get("/"));
        assert_eq!(kept.answer("GET").status, 200);
        assert_eq!(Client::sent(program.address, get("/")).answer("GET").status, 200);
    }
    fs::remove_file(program.path("causeway.toml")).unwrap();
    program.signal("HUP");
    program.said("the old configuration stays in force", 6);
    assert_eq!(Client::sent(program.address, get("/")).answer("GET").status, 200);
    assert_eq!(program.child.try_wait().unwrap(), None);
}

#[test]
fn listeners_come_and_go_with_a_reload() {
    let (backend, go) = slow();
    let (first, second) = (free_port(), free_port());
    let with = |ports: &[u16]| {
        let listen: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        format!("listen = {listen:?}\n{}", block("app", &backend, ""))
    };
    let program = Program::with(&with(&[first]));
    let one = program.address;
    let two = (one.ip(), second).into();
    program.configure(&with(&[first, second]));
    program.signal("HUP");
    program.said(&format!("listening on 127.0.0.1:{second}"), 1);
    assert_eq!(Client::sent(two, get("/")).answer("GET").status, 200);

    // One goes: what is under way on it ends well, and then its connections close.
    let mut idle = Client::sent(one, get("/"));
    assert_eq!(idle.answer("GET").status, 200);
    let mut waiting = Client::sent(one, get("/slow"));
    backend.received_with(" /slow ");
    program.configure(&with(&[second]));
    program.signal("HUP");
    program.said("reloaded", 2);
    eventually("the first port closed", || TcpStream::connect(one).is_err().then_some(()));
    assert_eq!(idle.rest(), (String::new(), End::Fin));
    go.send(()).unwrap();
    let answer = waiting.answer("GET");
    assert_eq!((answer.status, answer.field("connection")), (200, Some("close")));
    assert_eq!(waiting.rest(), (String::new(), End::Fin));
    assert_eq!(Client::sent(two, get("/")).answer("GET").status, 200);

    // It comes back while its last connections may still be served.
    for (ports, times) in [(&[first, second][..], 3), (&[second], 4), (&[second, first], 5)] {
        program.configure(&with(ports));
        program.signal("HUP");
        program.said("reloaded", times);
    }
    assert_eq!(Client::sent(one, get("/")).answer("GET").status, 200);
}

#[test]
fn a_client_that_was_about_to_ask_is_answered() {
    let (backend, go) = slow();
    let mut program = Program::with(&block("app", &backend, ""));
    let mut idle = Client::sent(program.address, get("/"));
    assert_eq!(idle.answer("GET").status, 200);
    // Its first request is on the way, and the second one of another is half there.
    let mut fresh = Client::sent(program.address, "GET /fresh HTTP/1.1\r\n");
    let mut waiting = Client::sent(program.address, get("/slow"));
    backend.received_with(" /slow ");
    program.signal("TERM");
    program.said("draining", 1);
    idle.send(get("/next"));
    fresh.send("Host: shop.example\r\n\r\n");
    for client in [&mut idle, &mut fresh] {
        let answer = client.answer("GET");
        assert_eq!((answer.status, answer.field("connection")), (200, Some("close")));
        assert_eq!(client.rest(), (String::new(), End::Fin));
    }
    go.send(()).unwrap();
    assert_eq!(waiting.answer("GET").field("connection"), Some("close"));
    assert_eq!(program.exit_code(), Some(0));
}

#[test]
fn a_stop_lets_requests_under_way_finish() {
    for signal in ["TERM", "QUIT"] {
        let (backend, go) = slow();
        let mut program = Program::with(&block("app", &backend, ""));
        let mut idle = Client::sent(program.address, get("/"));
        assert_eq!(idle.answer("GET").status, 200);
        let mut waiting = Client::sent(program.address, get("/slow"));
        backend.received_with(" /slow ");
        program.signal(signal);
        let address = program.address;
        eventually("the port closed", || TcpStream::connect(address).is_err().then_some(()));
        assert_eq!(idle.rest(), (String::new(), End::Fin));
        assert_eq!(program.child.try_wait().unwrap(), None, "it waits for the request");
        go.send(()).unwrap();
        assert_eq!(waiting.answer("GET").body, "ok");
        assert_eq!(program.exit_code(), Some(0));
        // The last line is written before the end.
        assert_eq!(program.logged("/slow")["status"], 200);
    }
}

#[test]
fn a_stop_does_not_wait_for_ever() {
    let (backend, _go) = slow();
    let drain = "drain_timeout = \"300ms\"\n".to_owned();
    let mut program = Program::with(&(drain + &block("app", &backend, "")));
    let mut waiting = Client::sent(program.address, get("/slow"));
    backend.received_with(" /slow ");
    program.signal("TERM");
    assert_eq!(program.exit_code(), Some(0));
    let (rest, end) = waiting.rest();
    assert!(rest.is_empty() && end != End::Open, "{rest:?} {end:?}");
    program.said("the drain's deadline has passed", 1);
    assert_eq!(program.logged("/slow")["cause"], "client_gone");
    // An interrupt does not wait at all.
    let (backend, _go) = slow();
    let mut program = Program::with(&block("app", &backend, ""));
    let _waiting = Client::sent(program.address, get("/slow"));
    backend.received_with(" /slow ");
    program.signal("INT");
    assert_eq!(program.exit_code(), Some(0));
}

#[test]
fn the_log_is_opened_anew() {
    let backend = Backend::answering(OK);
    let program = Program::with(&block("app", &backend, ""));
    let log = program.path("access.log");
    Client::sent(program.address, get("/before")).answer("GET");
    program.logged("/before");
    fs::rename(&log, program.path("access.log.1")).unwrap();
    program.signal("USR1");
    eventually("a new file", || log.exists().then_some(()));
    Client::sent(program.address, get("/after")).answer("GET");
    program.logged("/after");
    assert!(!fs::read_to_string(&log).unwrap().contains("/before"));
    assert!(!fs::read_to_string(program.path("access.log.1")).unwrap().contains("/after"));
}

#[test]
fn each_request_has_one_line() {
    let (backend, _go) = slow();
    let refused = refusing();
    let down = format!("[upstream.down]\nservers = [\"{refused}\"]\npaths = [\"/down\"]\n");
    let program = Program::with(&(block("app", &backend, "") + &down));
    let page = Client::sent(program.address, get("/down/1")).answer("GET");
    assert_eq!(page.cause(), "connection_refused");
    let pipeline = get("/one") + &get("/two") + "GET /three HTTP/1.1\r\n\r\n";
    let mut client = Client::sent(program.address, pipeline);
    for status in [200, 200, 400] {
        assert_eq!(client.answer("GET").status, status);
    }
    let leaving = Client::sent(program.address, get("/slow?left"));
    drop(leaving);
    let leaving = Client::sent(program.address, get("/slow"));
    backend.received_with(" /slow ");
    drop(leaving);

    let left = program.logged("/slow");
    // It may have gone over the connection of the one that left before it.
    let stages = ["send_ms", "reused"];
    for (line, status, cause, more) in [
        (program.logged("/one"), 200, None, ["connect_ms", "head_ms"]),
        (program.logged("/down/1"), 502, Some("connection_refused"), ["incident", "attempts"]),
        (left, 499, Some("client_gone"), stages),
    ] {
        assert_eq!(line["status"], status, "{line}");
        assert_eq!(line.get("cause").and_then(|cause| cause.as_str()), cause, "{line}");
        assert_eq!(line["host"], "shop.example");
        assert_eq!((&line["client"], &line["method"]), (&"127.0.0.1".into(), &"GET".into()));
        let always = ["time", "path", "bytes", "upstream", "server", "ms", "attempts", "reused"];
        for field in always.into_iter().chain(more) {
            assert!(line.get(field).is_some(), "no {field} in {line}");
        }
        assert!(line["server"].as_str().unwrap().starts_with("http://127.0.0.1:"), "{line}");
    }
    assert_eq!(program.logged("GET /three HTTP/1.1")["fault"], "host_missing");
    program.logged("/slow?left");
    let text = fs::read_to_string(program.path("access.log")).unwrap();
    assert_eq!(text.lines().count(), 6, "{text}");
    let incident = program.logged("/down/1")["incident"].as_str().unwrap().to_owned();
    assert!(page.body.contains(&incident), "{incident} is not in {page:?}");
}

/// A terminal that was stopped, a journal that is frozen: what takes our messages takes no more,
/// and requests are answered all the same.
#[test]
fn messages_that_nobody_takes_hold_nobody_up() {
    let backend = Backend::answering(OK);
    let dir = tempfile::tempdir().unwrap();
    let (port, tls) = (free_port(), free_port());
    let made = rcgen::generate_simple_self_signed(["shop.example".to_owned()]).unwrap();
    let [chain, key] = ["chain.pem", "key.pem"].map(|name| dir.path().join(name));
    fs::write(&chain, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let file = dir.path().join("causeway.toml");
    let listen = format!(
        "listen = [\"127.0.0.1:{port}\"]\nworkers = 1\n[tls]\nlisten = [\"127.0.0.2:{tls}\"]\n\
         certificates = [{{ chain = {chain:?}, key = {key:?} }}]\n"
    );
    let log = "[log]\naccess = \"off\"\nlevel = \"debug\"\n";
    fs::write(&file, format!("{listen}{}{log}", block("app", &backend, ""))).unwrap();
    let child = std::process::Command::new(env!("CARGO_BIN_EXE_causeway"))
        .args(["run", "--config"])
        .arg(&file)
        .stdout(std::process::Stdio::null())
        // Never read: the kernel holds 64 KiB of it.
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let _ended = Ended(child);
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    eventually("the program listens", || TcpStream::connect(address).ok());
    // Each is worth a message of some hundred bytes: far more than pipe and queue hold.
    let secure = std::net::SocketAddr::from(([127, 0, 0, 2], tls));
    for _ in 0..3000 {
        Client::sent(secure, "SSH-2.0-x\r\n").finish();
    }
    for _ in 0..20 {
        assert_eq!(Client::sent(address, get("/x")).answer("GET").body, "ok");
    }
}

/// Ends a program with the test, also one that fails.
struct Ended(std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whoever is impatient in a restart takes nothing from the process that comes next.
#[test]
fn a_socket_that_is_kept_keeps_its_file_to_the_end() {
    use causeway::server::Afterwards;
    for (afterwards, stays) in [(Afterwards::Kept, true), (Afterwards::Closed, false)] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let text = format!("listen = [\"unix:{}\"]\nworkers = 1\n", path.display());
        let config = causeway::config::parse(&text, std::path::Path::new("test.toml")).unwrap();
        let mut running = causeway::server::start(config).unwrap();
        // Something is under way, so that the drain is not over at once.
        let _client = std::os::unix::net::UnixStream::connect(&path).unwrap();
        running.begin_stop(afterwards);
        running.abort();
        assert_eq!(path.exists(), stays, "{afterwards:?}");
    }
}
