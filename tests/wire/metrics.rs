//! The admin listener as its users ask it: what is counted, what is alive, what is ready.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use causeway::config::{self, ListenAddress};
use causeway::server;
use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use serde_json::Value;

use super::backend::{Backend, refusing};
use super::client::{Answer, Client};
use super::eventually;
use super::proxy::{Program, get};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const ADMIN: &str = "[admin]\nlisten = [\"127.0.0.1:0\"]\n";

/// Everything that a scrape gives: the series with its labels, and its value.
type Samples = BTreeMap<String, f64>;

/// The first admin address that the program has told.
fn admin(program: &Program) -> SocketAddr {
    const TOLD: &str = "metrics and health on ";
    let said = program.said(TOLD, 1);
    said.split(TOLD).nth(1).unwrap().lines().next().unwrap().parse().unwrap()
}

fn ask(admin: SocketAddr, path: &str) -> Answer {
    Client::sent(admin, get(path)).answer("GET")
}

fn scrape(admin: SocketAddr) -> Samples {
    let answer = ask(admin, "/metrics");
    assert_eq!(answer.status, 200);
    assert!(answer.body.ends_with("# EOF\n"), "{}", answer.body);
    samples(&answer.body)
}

fn samples(text: &str) -> Samples {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| {
        let line = line.split(" # ").next().unwrap();
        let (series, value) = line.rsplit_once(' ').unwrap();
        (series.to_owned(), value.parse().unwrap_or_else(|_| panic!("no number in {line}")))
    };
    lines.map(sample).collect()
}

/// The series of one metric that are not 0, without its name.
fn counted(samples: &Samples, name: &str) -> Vec<(String, f64)> {
    let with_name = samples.iter().filter_map(|(series, value)| {
        let labels = series.strip_prefix(name)?;
        (labels.is_empty() || labels.starts_with('{')).then(|| (labels.to_owned(), *value))
    });
    with_name.filter(|(_, value)| *value != 0.0).collect()
}

fn expect(samples: &Samples, name: &str, expected: &[(&str, f64)]) {
    let expected: Vec<_> =
        expected.iter().map(|(labels, value)| ((*labels).to_owned(), *value)).collect();
    assert_eq!(counted(samples, name), expected, "{name}");
}

/// Answers by path: well, badly, not at all, slowly.
fn backend() -> (Backend, mpsc::Sender<()>) {
    let (go, gone) = mpsc::channel();
    let gone = Mutex::new(gone);
    let backend = Backend::scripted(move |peer| {
        while let Some(head) = peer.request() {
            let path = head.split(' ').nth(1).unwrap().to_owned();
            match path.as_str() {
                "/missing" => peer.send("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"),
                "/broken" => peer.send("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"),
                "/closed" => return,
                // On a connection that has served before, as if it had gone stale.
                "/stale" if peer.number == 0 => return,
                "/slow" => gone.lock().unwrap().recv().is_ok() && peer.send(OK),
                _ => peer.send(OK),
            };
        }
    });
    (backend, go)
}

fn app(backend: &Backend) -> String {
    format!("[upstream.app]\nservers = [\"{}\"]\nhosts = [\"shop.example\"]\n", backend.server())
}

#[test]
fn the_counts_are_what_was_sent() {
    let (backend, _go) = backend();
    let down = format!(
        "[upstream.down]\nservers = [\"{}\"]\nhosts = [\"shop.example\"]\npaths = [\"/down\"]\n",
        refusing()
    );
    let program = Program::with(&(app(&backend) + &down + ADMIN));
    let admin = admin(&program);
    let before = scrape(admin);
    let sent = |path: &str| Client::sent(program.address, get(path)).answer("GET");

    for (path, status) in [("/", 200), ("/stale", 200), ("/missing", 404), ("/broken", 500)] {
        assert_eq!(sent(path).status, status, "{path}");
    }
    assert_eq!(sent("/closed").cause(), "closed_before_response");
    let page = sent("/down");
    assert_eq!(page.cause(), "connection_refused");
    assert_eq!(sent("/down").cause(), "connection_refused");
    let elsewhere = "GET / HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n";
    let unrouted = Client::sent(program.address, elsewhere).answer("GET");
    assert_eq!(unrouted.cause(), "no_upstream_configured");
    let refused = Client::sent(program.address, "GET / HTTP/1.1\r\n\r\n").answer("GET");
    assert_eq!(refused.cause(), "request_invalid");
    let leaving = Client::sent(program.address, get("/slow"));
    backend.received_with(" /slow ");
    drop(leaving);
    program.logged("/slow");

    let after = scrape(admin);
    expect(
        &after,
        "causeway_http_requests_total",
        &[
            ("{upstream=\"app\",code=\"200\"}", 2.0),
            ("{upstream=\"app\",code=\"404\"}", 1.0),
            ("{upstream=\"app\",code=\"499\"}", 1.0),
            ("{upstream=\"app\",code=\"500\"}", 1.0),
            ("{upstream=\"app\",code=\"502\"}", 1.0),
            ("{upstream=\"down\",code=\"502\"}", 2.0),
            ("{upstream=\"none\",code=\"400\"}", 1.0),
            ("{upstream=\"none\",code=\"500\"}", 1.0),
        ],
    );
    let failures = [
        ("{upstream=\"app\",cause=\"closed_before_response\",blame=\"upstream\"}", 1.0),
        ("{upstream=\"app\",cause=\"upstream_error_status\",blame=\"upstream\"}", 1.0),
        ("{upstream=\"down\",cause=\"connection_refused\",blame=\"upstream\"}", 2.0),
        ("{upstream=\"none\",cause=\"no_upstream_configured\",blame=\"gateway\"}", 1.0),
    ];
    expect(&after, "causeway_upstream_failures_total", &failures);
    let own = "{cause=\"client_gone\"}";
    let clients = [(own, 1.0), ("{cause=\"request_invalid\"}", 1.0)];
    expect(&after, "causeway_client_failures_total", &clients);
    let retries = [("{upstream=\"app\",cause=\"stale_keepalive\"}", 2.0)];
    expect(&after, "causeway_upstream_retries_total", &retries);
    let up = [("{upstream=\"app\"}", 1.0)];
    expect(&after, "causeway_upstream_up", &up);
    let each = "causeway_http_request_duration_seconds_count";
    let durations =
        [("{upstream=\"app\"}", 6.0), ("{upstream=\"down\"}", 2.0), ("{upstream=\"none\"}", 2.0)];
    expect(&after, each, &durations);
    assert_eq!(after["causeway_client_connections_accepted_total"], 10.0);
    let ok = "causeway_http_response_body_bytes_total{upstream=\"app\"}";
    assert!(after[ok] > 4.0, "two answers and a page");
    assert_eq!(counted(&before, "causeway_http_requests_total"), []);
}

/// The incident of the last failure stands beside the count of its kind.
#[test]
fn a_failure_has_its_incident_for_an_exemplar() {
    let down = format!("[upstream.down]\nservers = [\"{}\"]\n", refusing());
    let program = Program::with(&(down + ADMIN));
    let page = Client::sent(program.address, get("/")).answer("GET");
    let incident = program.logged("/")["incident"].as_str().unwrap().to_owned();
    assert!(page.body.contains(&incident));
    let text = ask(admin(&program), "/metrics").body;
    let series = "{upstream=\"down\",cause=\"connection_refused\",blame=\"upstream\"} 1 # ";
    let exemplar = format!("{series}{{incident=\"{incident}\"}} 1.0 ");
    assert!(text.contains(&exemplar), "{text}");
}

#[test]
fn either_format_is_given_to_whoever_prefers_it() {
    let (backend, _go) = backend();
    let program = Program::with(&(app(&backend) + ADMIN));
    let admin = admin(&program);
    for (accept, kind) in [
        ("*/*", "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        ("text/plain;version=0.0.4", "text/plain; version=0.0.4; charset=utf-8"),
    ] {
        let request = format!("GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\n\r\n");
        let answer = Client::sent(admin, request).answer("GET");
        assert_eq!((answer.status, answer.field("content-type")), (200, Some(kind)));
    }
    let head = Client::sent(admin, "HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n").rest().0;
    assert!(head.starts_with("HTTP/1.1 200 OK") && head.ends_with("\r\n\r\n"), "{head}");
    let post = Client::sent(admin, "POST /metrics HTTP/1.1\r\nHost: x\r\n\r\n").answer("POST");
    assert_eq!((post.status, post.field("allow")), (405, Some("GET, HEAD")));
    let other = ask(admin, "/other");
    assert_eq!(other.status, 404);
    assert!(other.body.contains("/metrics"), "{other:?}");
}

#[test]
fn counts_outlive_a_reload() {
    let (backend, go) = backend();
    let gone = format!(
        "[upstream.gone]\nservers = [\"{}\"]\nhosts = [\"shop.example\"]\n\
         paths = [\"/gone\", \"/slow\"]\n",
        backend.server()
    );
    let program = Program::with(&(app(&backend) + &gone + ADMIN));
    let admin = admin(&program);
    let sent = |path: &str| Client::sent(program.address, get(path)).answer("GET");
    let requests = |samples: &Samples, name: &str| {
        let series = format!("causeway_http_requests_total{{upstream=\"{name}\",code=\"200\"}}");
        samples.get(&series).copied()
    };
    assert_eq!((sent("/").status, sent("/gone").status), (200, 200));
    let mut waiting = Client::sent(program.address, get("/slow"));
    backend.received_with(" /slow ");
    let before = scrape(admin);
    assert_eq!(before["causeway_upstream_requests_in_flight{upstream=\"gone\"}"], 1.0);
    let active = "causeway_upstream_connections{upstream=\"gone\",state=\"active\"}";
    assert_eq!(before[active], 1.0);
    const SUCCESSFUL: &str = "causeway_config_last_reload_successful";
    const AT: &str = "causeway_config_last_reload_success_timestamp_seconds";
    assert_eq!(before[SUCCESSFUL], 1.0);

    program.configure("nonsense");
    program.signal("HUP");
    program.said("the old configuration stays in force", 1);
    let refused = scrape(admin);
    assert_eq!((refused[SUCCESSFUL], refused[AT]), (0.0, before[AT]));

    // What is under way in a block that has gone is still counted there.
    program.configure(&(app(&backend) + ADMIN));
    program.signal("HUP");
    program.said("reloaded", 1);
    go.send(()).unwrap();
    assert_eq!(waiting.answer("GET").status, 200);
    assert_eq!(sent("/").status, 200);
    program.logged("/slow");
    let after = scrape(admin);
    assert_eq!((requests(&after, "app"), requests(&after, "gone")), (Some(2.0), Some(2.0)));
    assert!(after[SUCCESSFUL] == 1.0 && after[AT] > before[AT], "{after:?}");
    assert!(!after.contains_key("causeway_upstream_up{upstream=\"gone\"}"), "{after:?}");

    drop(waiting);
    program.signal("HUP");
    program.said("reloaded", 2);
    let last = scrape(admin);
    assert_eq!((requests(&last, "app"), requests(&last, "gone")), (Some(2.0), None));
}

#[test]
fn the_queue_and_who_is_declined_are_counted() {
    let (backend, go) = backend();
    let narrow = "limits = { connections = 1, queue = 1 }\n";
    let program = Program::with(&(app(&backend) + narrow + ADMIN));
    let admin = admin(&program);
    let mut first = Client::sent(program.address, get("/slow"));
    backend.received_with(" /slow ");
    let mut second = Client::sent(program.address, get("/second"));
    let waiting = "causeway_upstream_queue_length{upstream=\"app\"}";
    eventually("one waits", || (scrape(admin)[waiting] == 1.0).then_some(()));
    assert_eq!(Client::sent(program.address, get("/third")).answer("GET").cause(), "queue_full");
    go.send(()).unwrap();
    assert_eq!((first.answer("GET").status, second.answer("GET").status), (200, 200));
    let after = scrape(admin);
    let of_app = [("{upstream=\"app\"}", 1.0)];
    expect(&after, "causeway_upstream_queue_declined_total", &of_app);
    expect(&after, "causeway_upstream_queue_length", &[]);
    expect(&after, "causeway_upstream_requests_in_flight", &[]);
    let idle = "causeway_upstream_connections{upstream=\"app\",state=\"idle\"}";
    eventually("its connection is kept", || (scrape(admin)[idle] == 1.0).then_some(()));
    assert_eq!(scrape(admin)["causeway_client_connections"], 2.0);
}

#[test]
fn readiness_says_how_each_upstream_stands() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (backend, _go) = backend();
    let lines = format!(
        "{}[upstream.down]\nservers = [\"http://{address}\"]\nhosts = [\"shop.example\"]\n\
         paths = [\"/down\"]\n\
         [upstream.shut]\nservers = [\"http://{address}\"]\nhosts = [\"shop.example\"]\n\
         paths = [\"/shut\"]\nmaintenance = true\n{ADMIN}",
        app(&backend)
    );
    let program = Program::with(&lines);
    let admin = admin(&program);
    let states = || {
        let answer = ask(admin, "/readyz");
        assert_eq!((answer.status, answer.field("content-type")), (200, Some("application/json")));
        let said: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(said["status"], "ready");
        let upstreams = said["upstreams"].as_array().unwrap().clone();
        upstreams.iter().map(|one| one["state"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let down = || Client::sent(program.address, get("/down")).answer("GET").status;
    assert_eq!(states(), ["serving", "serving", "maintenance"]);
    assert_eq!(down(), 502);
    assert_eq!(states(), ["serving", "failing", "maintenance"]);
    let said = ask(admin, "/readyz").body;
    assert!(said.contains("\"since\":\"20"), "{said}");
    assert_eq!(scrape(admin)["causeway_upstream_up{upstream=\"down\"}"], 0.0);
    assert_eq!(scrape(admin)["causeway_upstream_maintenance{upstream=\"shut\"}"], 1.0);

    let back = std::net::TcpListener::bind(address).unwrap();
    std::thread::spawn(move || {
        for mut peer in back.incoming().map(Result::unwrap) {
            // A bad answer comes from a server that is there.
            let _ = peer.read(&mut [0; 4096]);
            let _ = peer.write_all(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
        }
    });
    eventually("it is there again", || {
        down();
        (states()[1] == "serving").then_some(())
    });
}

#[test]
fn the_admin_listener_answers_while_the_program_drains() {
    let (backend, go) = backend();
    let mut program = Program::with(&(app(&backend) + ADMIN));
    let admin = admin(&program);
    let mut waiting = Client::sent(program.address, get("/slow"));
    backend.received_with(" /slow ");
    assert_eq!(ask(admin, "/readyz").status, 200);
    program.signal("TERM");
    let said = eventually("it drains", || {
        let answer = ask(admin, "/readyz");
        (answer.status == 503).then_some(answer.body)
    });
    assert!(said.contains("\"status\":\"draining\""), "{said}");
    assert_eq!(ask(admin, "/healthz").status, 200);
    assert_eq!(scrape(admin)["causeway_draining"], 1.0);
    go.send(()).unwrap();
    assert_eq!(waiting.answer("GET").status, 200);
    assert_eq!(program.exit_code(), Some(0));
}

#[test]
fn a_frozen_worker_is_told_by_name() {
    let (backend, _go) = backend();
    let program = Program::with(&(app(&backend) + ADMIN));
    let admin = admin(&program);
    assert_eq!(Client::sent(program.address, get("/")).answer("GET").status, 200);
    assert_eq!(ask(admin, "/healthz").status, 200);
    let tasks = std::fs::read_dir(format!("/proc/{}/task", program.child.id())).unwrap();
    let worker = tasks.map(|task| task.unwrap()).find(|task| {
        let name = std::fs::read_to_string(task.path().join("comm")).unwrap();
        name.trim() == "worker-0"
    });
    let worker = worker.unwrap().file_name().to_str().unwrap().parse().unwrap();
    let worker = Pid::from_raw(worker);
    // One thread alone is stopped: the others go on.
    ptrace::attach(worker).unwrap();
    waitpid(worker, Some(WaitPidFlag::__WALL)).unwrap();
    let said = eventually("it is stuck", || {
        let answer = ask(admin, "/healthz");
        (answer.status == 503).then_some(answer.body)
    });
    assert!(said.contains("\"workers\":[\"worker-0\"]"), "{said}");
    assert_eq!(scrape(admin)["causeway_workers_stuck"], 1.0);
    ptrace::detach(worker, None).unwrap();
    eventually("it goes on", || (ask(admin, "/healthz").status == 200).then_some(()));
    assert_eq!(Client::sent(program.address, get("/")).answer("GET").status, 200);
}

#[test]
fn a_unix_socket_is_for_owner_and_group() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("admin.sock");
    let lines = format!("[admin]\nlisten = [\"unix:{}\"]\n", path.display());
    let mut program = Program::with(&lines);
    program.said("metrics and health on unix:", 1);
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let mut client = UnixStream::connect(&path).unwrap();
    client.write_all(get("/healthz").as_bytes()).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("{\"status\":\"alive\"}\n"), "{answer}");
    program.signal("TERM");
    assert_eq!(program.exit_code(), Some(0));
    assert!(!path.exists());
}

#[test]
fn who_is_not_allowed_is_told_so_and_a_reload_lets_him_in() {
    let with = |allow: &str| format!("[admin]\nlisten = [\"0.0.0.0:0\"]\nallow = [{allow}]\n");
    let program = Program::with(&with("\"192.0.2.0/24\""));
    let port = admin(&program).port();
    let admin: SocketAddr = ([127, 0, 0, 1], port).into();
    for path in ["/metrics", "/healthz", "/other"] {
        let answer = ask(admin, path);
        assert_eq!(answer.status, 403);
        assert_eq!(answer.body, "127.0.0.1 is in no network of `allow` in [admin]\n");
    }
    // The listener stays: only who may ask is another.
    program.configure(&with("\"192.0.2.0/24\", \"127.0.0.0/8\""));
    program.signal("HUP");
    program.said("reloaded", 1);
    program.said(&format!("health on 0.0.0.0:{port}"), 2);
    eventually("it is let in", || (ask(admin, "/healthz").status == 200).then_some(()));
    program.configure("");
    program.signal("HUP");
    program.said("reloaded", 2);
    eventually("nobody listens", || std::net::TcpStream::connect(admin).is_err().then_some(()));
}

#[test]
fn slow_and_silent_askers_hold_nothing_up() {
    let (backend, _go) = backend();
    let program = Program::with(&(app(&backend) + ADMIN));
    let admin = admin(&program);
    let silent: Vec<Client> = (0..60).map(|_| Client::sent(admin, "GET /metrics HT")).collect();
    let started = Instant::now();
    assert_eq!(ask(admin, "/healthz").status, 200);
    assert_eq!(Client::sent(program.address, get("/")).answer("GET").status, 200);
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    // More than there is room for: who comes then waits until the others are cut off.
    let more: Vec<Client> = (0..60).map(|_| Client::connect(admin)).collect();
    assert_eq!(Client::sent(program.address, get("/")).answer("GET").status, 200);
    eventually("there is room again", || {
        let mut late = Client::connect(admin);
        late.stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        late.try_send(get("/healthz"));
        late.rest().0.starts_with("HTTP/1.1 200 OK").then_some(())
    });
    drop((silent, more));
}

#[test]
fn certificates_and_failed_handshakes_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let names = ["shop.example".to_owned(), "www.shop.example".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let (chain, key) = (dir.path().join("chain.pem"), dir.path().join("key.pem"));
    std::fs::write(&chain, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let (backend, _go) = backend();
    let program = Program::with(&format!(
        "{}{ADMIN}[tls]\nlisten = [\"127.0.0.2:0\"]\n\
         certificates = [{{ chain = {chain:?}, key = {key:?} }}]\n",
        app(&backend)
    ));
    let admin = admin(&program);
    // The end that rcgen gives unless it is told one, 4096-01-01.
    let end = [("{names=\"shop.example, www.shop.example\"}", 67_090_118_400.0)];
    let before = scrape(admin);
    expect(&before, "causeway_tls_certificate_not_after_timestamp_seconds", &end);
    let begin = [("{names=\"shop.example, www.shop.example\"}", 157_766_400.0)];
    expect(&before, "causeway_tls_certificate_not_before_timestamp_seconds", &begin);
    let said = program.said("listening on ", 2);
    let secure = said.split("listening on ").nth(2).unwrap().lines().next().unwrap();
    let secure: SocketAddr = secure.parse().unwrap();
    // What is no TLS, and a client that leaves after the first byte of a handshake.
    for _ in 0..2 {
        Client::sent(secure, [0, 1, 2, 3, 4, 5, 6, 7]).rest();
    }
    let cut = Client::sent(secure, [22, 3, 1]);
    cut.finish();
    let failed = [("{reason=\"cut\"}", 1.0), ("{reason=\"not_tls\"}", 2.0)];
    let after = eventually("both are counted", || {
        let samples = scrape(admin);
        (counted(&samples, "causeway_tls_handshakes_failed_total").len() == 2).then_some(samples)
    });
    expect(&after, "causeway_tls_handshakes_failed_total", &failed);
}

#[test]
fn ten_workers_count_as_one() {
    let (backend, _go) = backend();
    let text = format!(
        "listen = [\"127.0.0.1:0\"]\nworkers = 10\n{}[log]\naccess = \"off\"\n\
         [upstream.down]\nservers = [\"{}\"]\nhosts = [\"shop.example\"]\n\
         paths = [\"/down\"]\n{ADMIN}",
        app(&backend),
        refusing()
    );
    let config = config::parse(&text, Path::new("test.toml")).unwrap();
    let running = server::start(config).unwrap();
    let tcp = |address: &ListenAddress| match address {
        ListenAddress::Tcp(address) => *address,
        other => panic!("{other}"),
    };
    let (address, admin) = (tcp(&running.addresses()[0]), tcp(&running.admin_addresses()[0]));
    let clients = (0..20).map(|number| {
        std::thread::spawn(move || {
            let mut client = Client::connect(address);
            for _ in 0..50 {
                client.send(get(if number == 0 { "/down" } else { "/" }));
                client.answer("GET");
            }
        })
    });
    clients.collect::<Vec<_>>().into_iter().for_each(|client| client.join().unwrap());
    let requests =
        [("{upstream=\"app\",code=\"200\"}", 950.0), ("{upstream=\"down\",code=\"502\"}", 50.0)];
    // The last bytes may be with a client before its request is over.
    let all = eventually("all are counted", || {
        let samples = scrape(admin);
        let counted = counted(&samples, "causeway_http_requests_total");
        (counted.iter().map(|(_, count)| count).sum::<f64>() == 1000.0).then_some(samples)
    });
    expect(&all, "causeway_http_requests_total", &requests);
    assert_eq!(all["causeway_client_connections_accepted_total"], 20.0);
    assert_eq!(all["causeway_workers"], 10.0);
    assert_eq!(running.failures(), [("down".to_owned(), "connection_refused", 50)]);
    assert_eq!(running.stuck(), Vec::<String>::new());
    running.abort();
}
