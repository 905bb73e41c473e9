//! The proxy in a network of its own, where every way in which a TCP connection can fail really
//! happens: rules that reject, routes that forbid, hosts that are silent.
//!
//! Three network namespaces (`network`): the proxy's, a router's, a backend's. Each row is an
//! address that fails in one way; page, log and `Proxy-Status` must say so under one name. Needs
//! root, iproute2 and nftables; where a namespace cannot be made, the test fails and says why.

mod network;
#[path = "../support/mod.rs"]
mod support;

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use network::Network;
use socket2::{Domain, Socket, Type};
use support::client::{self, PROBLEM};
use support::proxy::Proxy;
use support::roots::{expect_finding, expect_root};
use support::tools::eventually;

/// One way to fail.
struct Row {
    /// The block's name and path.
    name: &'static str,
    server: &'static str,
    cause: &'static str,
    proxy_error: &'static str,
    /// Members of the evidence that tell this way from those that look alike.
    evidence: &'static [(&'static str, &'static str)],
}

const fn row(
    name: &'static str,
    server: &'static str,
    cause: &'static str,
    proxy_error: &'static str,
    evidence: &'static [(&'static str, &'static str)],
) -> Row {
    Row { name, server, cause, proxy_error, evidence }
}

/// The errors of RFC 9209 that the rows have in common.
const REFUSED: &str = "connection_refused";
const UNROUTABLE: &str = "destination_ip_unroutable";
const TIMEOUT: &str = "connection_timeout";
const UNAVAILABLE: &str = "destination_unavailable";

const FIREWALL: &str = "tcp_rejected_by_firewall";

/// Ports are rules of `network`.
const ROWS: &[Row] = &[
    row("closed", "10.66.1.1:999", "connection_refused", REFUSED, &[]),
    row("drop", "10.66.1.1:1001", "connect_timeout", TIMEOUT, &[("reason", "silence")]),
    row(
        "reject-port",
        "10.66.1.1:1002",
        FIREWALL,
        REFUSED,
        &[("icmp", "port_unreachable (type 3, code 3)"), ("icmp_from", "10.66.1.1")],
    ),
    row(
        "reject-host",
        "10.66.1.1:1003",
        FIREWALL,
        UNROUTABLE,
        &[("icmp", "host_unreachable (type 3, code 1)"), ("icmp_sender", "target")],
    ),
    row(
        "reject-admin",
        "10.66.1.1:1004",
        FIREWALL,
        UNROUTABLE,
        &[("icmp", "admin_prohibited (type 3, code 13)"), ("icmp_sender", "target")],
    ),
    row(
        "reject-net",
        "10.66.1.1:1005",
        FIREWALL,
        UNROUTABLE,
        &[("icmp", "net_unreachable (type 3, code 0)"), ("icmp_sender", "target")],
    ),
    row("reject-reset", "10.66.1.1:1006", "connection_refused", REFUSED, &[]),
    row(
        "reject-protocol",
        "10.66.1.1:1007",
        "connect_failed",
        UNAVAILABLE,
        &[("errno", "ENOPROTOOPT (92)"), ("reason", "protocol_unreachable")],
    ),
    row(
        "router-admin",
        "10.66.1.1:1011",
        FIREWALL,
        UNROUTABLE,
        &[("icmp_from", "10.66.0.254"), ("icmp_sender", "device")],
    ),
    row(
        "router-port",
        "10.66.1.1:1012",
        FIREWALL,
        REFUSED,
        &[("icmp_from", "10.66.0.254"), ("icmp_sender", "device")],
    ),
    row(
        "router-host",
        "10.66.1.1:1013",
        "host_unreachable",
        UNROUTABLE,
        &[("reason", "router_reported"), ("icmp_from", "10.66.0.254")],
    ),
    row(
        "router-silent-host",
        "10.66.1.99:80",
        "host_unreachable",
        UNROUTABLE,
        &[("reason", "router_reported"), ("icmp_from", "10.66.0.254")],
    ),
    row(
        "router-no-route",
        "10.79.0.1:80",
        "network_unreachable",
        UNROUTABLE,
        &[("reason", "router_reported"), ("icmp_from", "10.66.0.254")],
    ),
    row(
        "routing-loop",
        "10.80.0.1:80",
        "host_unreachable",
        UNROUTABLE,
        &[("reason", "ttl_exceeded")],
    ),
    row(
        "silent-neighbor",
        "10.66.0.77:80",
        "host_unreachable",
        UNROUTABLE,
        &[("reason", "neighbor_unreachable"), ("icmp_from", "10.66.0.1")],
    ),
    row(
        "silent-neighbor-early",
        "10.66.0.78:80",
        "host_unreachable",
        UNROUTABLE,
        &[("reason", "neighbor_unreachable")],
    ),
    row(
        "route-unreachable",
        "10.77.0.1:80",
        "host_unreachable",
        UNROUTABLE,
        &[("reason", "route_unreachable")],
    ),
    row(
        "route-prohibit",
        "10.77.0.2:80",
        "connect_forbidden_locally",
        "proxy_internal_error",
        &[("errno", "EACCES (13)")],
    ),
    row(
        "route-blackhole",
        "10.77.0.3:80",
        "connect_failed",
        UNAVAILABLE,
        &[("errno", "EINVAL (22)"), ("reason", "blackhole_route")],
    ),
    row(
        "route-absent",
        "10.78.0.1:80",
        "network_unreachable",
        UNROUTABLE,
        &[("reason", "no_route")],
    ),
    row(
        "v6-reject-port",
        "[fd66:1::1]:1002",
        FIREWALL,
        REFUSED,
        &[("icmp", "port_unreachable (type 1, code 4)"), ("icmp_from", "fd66:1::1")],
    ),
    row(
        "v6-reject-admin",
        "[fd66:1::1]:1004",
        FIREWALL,
        UNROUTABLE,
        &[("icmp", "admin_prohibited (type 1, code 1)")],
    ),
    row("v6-closed", "[fd66:1::1]:999", "connection_refused", REFUSED, &[]),
    row(
        "v6-silent-neighbor",
        "[fd66:0::77]:80",
        "host_unreachable",
        UNROUTABLE,
        &[("reason", "neighbor_unreachable"), ("icmp_from", "fd66::1")],
    ),
    row(
        "v6-silent-neighbor-early",
        "[fd66:0::78]:80",
        "host_unreachable",
        UNROUTABLE,
        &[("reason", "neighbor_unreachable")],
    ),
    row("all-dropped", "10.66.1.2:80", "connect_timeout", TIMEOUT, &[("reason", "silence")]),
    row("dropped-going", "127.0.0.1:1051", "connect_timeout", TIMEOUT, &[("reason", "silence")]),
    row("dropped-coming", "127.0.0.1:1052", "connect_timeout", TIMEOUT, &[("reason", "silence")]),
    row(
        "no-carrier",
        "10.81.0.5:80",
        "host_unreachable",
        UNROUTABLE,
        &[("reason", "neighbor_unreachable")],
    ),
    row(
        "v6-absent",
        "[fd78::1]:80",
        "network_unreachable",
        UNROUTABLE,
        &[("reason", "no_ipv6_route")],
    ),
    row(
        "metadata",
        "metadata.test:80",
        "destination_prohibited",
        "destination_ip_prohibited",
        &[("reason", "metadata_service"), ("address", "169.254.169.254:80")],
    ),
    row(
        "own-listener",
        "localhost:1041",
        "destination_prohibited",
        "destination_ip_prohibited",
        &[("reason", "own_listener"), ("address", "127.0.0.1:1041")],
    ),
    row("both-refuse", "dual.test:999", "connection_refused", REFUSED, &[]),
    row("one-drops-one-refuses", "dual.test:1021", "connection_refused", REFUSED, &[]),
    row("one-drops-one-rejects", "dual.test:1022", FIREWALL, UNROUTABLE, &[]),
    row(
        "full-queue",
        "127.0.0.1:1031",
        "connect_timeout",
        TIMEOUT,
        &[("reason", "accept_queue_full")],
    ),
    row(
        "full-queue-elsewhere",
        "10.66.1.1:1032",
        "connect_timeout",
        TIMEOUT,
        &[("reason", "silence")],
    ),
];

/// A row's name, and what lies behind it: the root, how sure that is, the operator's first fix, and
/// a finding that shows it.
type Rooted =
    (&'static str, &'static str, &'static str, &'static str, (&'static str, &'static str));

/// What lies behind some of the rows.
const ROOTS: &[Rooted] = &[
    ("drop", "firewall_remote", "possible", "check_firewall", ("ping", "answered")),
    // As silent as a rule for one port: nothing that is seen from here tells the two apart.
    ("full-queue-elsewhere", "firewall_remote", "possible", "check_firewall", ("ping", "answered")),
    ("reject-admin", "firewall_remote", "certain", "check_firewall", ("ping", "answered")),
    ("router-port", "firewall_remote", "certain", "check_firewall", ("route", "via 10.66.0.254")),
    ("silent-neighbor", "host_down", "certain", "start_host", ("neighbor_silent", "10.66.0.77")),
    ("silent-neighbor-early", "host_down", "certain", "start_host", ("ping", "no answer")),
    ("v6-silent-neighbor-early", "host_down", "certain", "start_host", ("route", "dev west")),
    ("all-dropped", "host_down", "likely", "start_host", ("ping", "no answer")),
    ("dropped-going", "firewall_local", "certain", "check_firewall", ("port_now", "no")),
    ("dropped-coming", "firewall_local", "certain", "check_firewall", ("port_now", "no")),
    ("no-carrier", "link_down", "certain", "restore_link", ("route", "down")),
];

/// The server towards which all of the few ports are in use.
const BUSY: &str = "10.66.1.1:1033";
const FEW_PORTS: std::ops::RangeInclusive<u16> = 33_000..=33_047;
/// What connect(2) says then.
const EADDRNOTAVAIL: i32 = 99;

/// Rows behind which nothing of the network lies, or from where it cannot be told.
const ROOTLESS: [&str; 3] = ["full-queue", "route-blackhole", "router-silent-host"];

/// Names that a hosts file tells; `dual.test` is the backend by both families.
const HOSTS: &str = "127.0.0.1 localhost\n169.254.169.254 metadata.test\n\
    fd66:1::1 dual.test\n10.66.1.1 dual.test\n";

/// Rows for which the proxy must not wait for its whole patience, which is for ARP.
fn patience(row: &Row) -> &'static str {
    let silent = row.cause == "connect_timeout" || row.name.ends_with("-early");
    if silent || row.name.starts_with("one-") { "1s" } else { "5s" }
}

#[test]
fn every_way_not_to_connect_is_told_apart() {
    let network = Network::new();
    let healthy = network.backend(|| listen("[::]:8080"));
    serve(healthy);
    let four_only = network.backend(|| listen("10.66.1.1:1023"));
    serve(four_only);
    let full = network.backend(|| full_queue("10.66.1.1:1032"));
    network.enter();
    let _full = full_queue("127.0.0.1:1031");
    let _dropped = ["127.0.0.1:1051", "127.0.0.1:1052"].map(listen);

    let directory = tempfile::tempdir().expect("a temporary directory");
    let hosts = directory.path().join("hosts");
    std::fs::write(&hosts, HOSTS).expect("the hosts are written");
    let proxy = Proxy::among(&[(&hosts, "/etc/hosts")], "", "http://10.66.1.1:8080", &blocks());

    healthy_names(&proxy);
    let asking: Vec<_> = ROWS
        .iter()
        .map(|row| {
            let port = proxy.port;
            let path = format!("/{}/", row.name);
            // A thread stays in the namespace of the one that starts it.
            thread::spawn(move || client::get(port, &path, PROBLEM))
        })
        .collect();
    let mut wrong = Vec::new();
    for (row, answer) in ROWS.iter().zip(asking) {
        let answer = answer.join().expect("an answer");
        let status = answer.header("proxy-status").unwrap_or_default().to_owned();
        let problem = answer.problem();
        let cause = problem["cause"].as_str().unwrap_or_default();
        let expected = format!("causeway; error={}; details=\"{}\"", row.proxy_error, row.cause);
        if cause != row.cause || status != expected {
            wrong.push(format!("{}: {problem:#}", row.name));
            continue;
        }
        answer.record(Some(&format!("{} ({})", row.name, row.server)));
        for (key, value) in row.evidence {
            if problem["evidence"][key] != *value {
                wrong.push(format!("{}: {key} is not {value}: {problem:#}", row.name));
            }
        }
        proxy.expect_logged(&format!("/{}/", row.name), &[row.cause]);
    }
    assert!(wrong.is_empty(), "{} rows are wrong:\n{}", wrong.len(), wrong.join("\n"));
    what_lies_behind_is_found(&proxy);
    every_address_is_told(&proxy);
    ports_are_asked_again(&proxy, full);
    ports_are_used_up(&proxy, &network);
}

/// The look around this host tells who lets the packets go.
fn what_lies_behind_is_found(proxy: &Proxy) {
    for (name, root, certainty, fix, (key, value)) in ROOTS {
        let path = format!("/{name}/root");
        let problem = expect_root(proxy.port, &path, (root, certainty), fix);
        expect_finding(&problem, key, value);
    }
    let blamed = ["firewall_local", "firewall_remote", "host_down", "link_down"];
    for name in ROOTLESS {
        let problem = eventually(&format!("the look of {name} is there"), || {
            let problem = client::get(proxy.port, &format!("/{name}/root"), PROBLEM).problem();
            problem["findings"].as_array().is_some_and(|found| !found.is_empty()).then_some(problem)
        });
        let root = problem["root"].as_str().unwrap_or_default();
        assert!(!blamed.contains(&root), "{name}: {problem:#}");
    }
}

/// A port that kept us waiting is tried beside the requests: behind a rule that drops, and one whose
/// program does not accept, until it does.
fn ports_are_asked_again(proxy: &Proxy, full: (Socket, Vec<TcpStream>)) {
    let asked = |path: &str, port: &str| {
        eventually(&format!("{path} has a port that says {port}"), || {
            let problem = client::get(proxy.port, path, PROBLEM).problem();
            (problem["evidence"]["port_accepts"] == port).then_some(problem)
        })
    };
    for path in ["/drop/again", "/full-queue-elsewhere/again"] {
        let problem = asked(path, "no");
        assert_eq!(problem["cause"], "connect_timeout", "{path}: {problem:#}");
        assert_eq!(problem["certainty"], "likely", "{path}: {problem:#}");
    }
    // The program accepts again, and says nothing.
    let (listener, waiting) = full;
    drop(waiting);
    thread::spawn(move || {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept() {
            held.push(stream);
        }
    });
    let problem = asked("/full-queue-elsewhere/opened", "yes");
    assert_eq!(problem["cause"], "first_byte_timeout", "{problem:#}");
}

/// Another program of this host holds every local port towards the server, and gives them back.
fn ports_are_used_up(proxy: &Proxy, network: &Network) {
    let busy = network.backend(|| listen(BUSY));
    network.give_ports(FEW_PORTS.clone());
    let address: SocketAddr = BUSY.parse().expect("an address");
    let connect = || TcpStream::connect_timeout(&address, Duration::from_secs(5));
    let held: Vec<_> = FEW_PORTS.map(|_| connect().expect("a port is left")).collect();
    let full = connect().expect_err("no port is left").raw_os_error();
    assert_eq!(full, Some(EADDRNOTAVAIL));

    let root = ("port_exhaustion", "certain");
    let problem = expect_root(proxy.port, "/ports/none", root, "free_ports");
    assert_eq!(problem["cause"], "local_ports_exhausted", "{problem:#}");
    expect_finding(&problem, "local_ports", "48 of 48");
    proxy.expect_logged("/ports/none", &["local_ports_exhausted"]);

    serve(busy);
    drop(held);
    eventually("ports are free again", || {
        (client::get(proxy.port, "/ports/some", PROBLEM).status == 200).then_some(())
    });
}

/// The block of each row behind that of the healthy server.
fn blocks() -> String {
    let mut blocks = "paths = [\"/healthy\"]\n".to_owned();
    for row in ROWS {
        let (name, server) = (row.name, row.server);
        let _ = write!(
            blocks,
            "[upstream.{name}]\nservers = [\"http://{server}\"]\npaths = [\"/{name}\"]\n\
             timeouts.connect = \"{}\"\ntimeouts.first_byte = \"500ms\"\n",
            patience(row)
        );
    }
    blocks += "[upstream.elsewhere]\nservers = [\"http://10.66.1.1:8080\"]\n\
        listen = [\"127.0.0.1:1041\"]\n";
    let _ =
        write!(blocks, "[upstream.ports]\nservers = [\"http://{BUSY}\"]\npaths = [\"/ports\"]\n");
    for (name, port) in [("dual-healthy", 8080), ("dual-dead-v6", 1023)] {
        let _ = write!(
            blocks,
            "[upstream.{name}]\nservers = [\"http://dual.test:{port}\"]\npaths = [\"/{name}\"]\n"
        );
    }
    blocks
}

/// Both families well; IPv6 dead and IPv4 alive: a quarter of a second later, and then no more.
fn healthy_names(proxy: &Proxy) {
    for path in ["/healthy", "/dual-healthy"] {
        assert_eq!(client::get(proxy.port, path, PROBLEM).status, 200, "{path}");
        proxy.expect_logged_as_sound(path);
    }
    let begun = Instant::now();
    assert_eq!(client::get(proxy.port, "/dual-dead-v6/1", PROBLEM).status, 200);
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(250), "IPv6 had its turn: {took:?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
    let begun = Instant::now();
    assert_eq!(client::get(proxy.port, "/dual-dead-v6/2", PROBLEM).status, 200);
    let took = begun.elapsed();
    assert!(took < Duration::from_millis(250), "the family that answered goes first: {took:?}");
    proxy.expect_logged_as_sound("/dual-dead-v6/1");
}

/// Each of a name's addresses stands in the attempts, with its own cause.
fn every_address_is_told(proxy: &Proxy) {
    for (path, first, second) in [
        ("/both-refuse/again", "connection_refused", "connection_refused"),
        ("/one-drops-one-refuses/again", "connection_refused", "connect_timeout"),
        ("/one-drops-one-rejects/again", FIREWALL, "connect_timeout"),
    ] {
        let problem = client::get(proxy.port, path, PROBLEM).problem();
        let addresses = &problem["attempts"][0]["addresses"];
        let causes = [0, 1].map(|at| addresses[at]["cause"].as_str().unwrap_or_default());
        assert_eq!(causes, [first, second], "{path}: {problem:#}");
        assert!(addresses[1]["took_ms"].is_f64(), "{path}: {problem:#}");
    }
    // The refusal of a moment ago has its address with it, though nothing was resolved.
    for path in ["/both-refuse/first", "/both-refuse/soon"] {
        let problem = client::get(proxy.port, path, PROBLEM).problem();
        assert_eq!(problem["cause"], "connection_refused", "{path}: {problem:#}");
        assert_eq!(problem["evidence"]["address"], "[fd66:1::1]:999", "{path}: {problem:#}");
    }
}

fn listen(address: &str) -> TcpListener {
    TcpListener::bind(address).unwrap_or_else(|error| panic!("{address}: {error}"))
}

/// Answers every request alike, until the test's end.
fn serve(listener: TcpListener) {
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut stream: TcpStream = stream;
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK");
        }
    });
}

/// A listener that nobody accepts from, and the connections that fill its queue.
fn full_queue(address: &str) -> (Socket, Vec<TcpStream>) {
    let address: SocketAddr = address.parse().expect("an address");
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    listener.bind(&address.into()).expect("the port is free");
    listener.listen(1).expect("it listens");
    let mut waiting = Vec::new();
    // The kernel takes one more than the backlog; the next is not answered.
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        waiting.push(stream);
        assert!(waiting.len() < 16, "the queue never fills");
    }
    (listener, waiting)
}
