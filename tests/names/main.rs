//! The proxy before names that cannot be resolved, or lead to the wrong place: a real dnsmasq, and a
//! server of our own for what dnsmasq does not do. What the page, the log and `Proxy-Status` say.
//!
//! Everything is on 127.0.0.1, hence an operator's request. A missing dnsmasq fails these tests;
//! nothing is skipped. `tests/run` shows the table.

mod dnsmasq;
#[path = "../support/mod.rs"]
mod support;
mod wire;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::thread;

use dnsmasq::Dnsmasq;
use serde_json::Value;
use socket2::{Domain, Socket, Type};
use support::client::{self, Answer, PROBLEM};
use support::proxy::Proxy;
use support::roots::expect_root;
use support::tools::{eventually, free_port};

/// The blocks of the rows are impatient.
const TIMEOUTS: &str = "resolve = \"1s\"\nconnect = \"1s\"";

/// Where a row's server listens.
#[derive(Debug, Clone, Copy)]
enum At {
    /// On its port.
    Alive,
    /// Nowhere.
    Nowhere,
    /// There is no room in its queue: nobody answers.
    Full,
}

/// A name that leads to a cause.
struct Row {
    name: &'static str,
    at: At,
    /// The cause, and what stands before it in `Proxy-Status`.
    cause: &'static str,
    proxy_status: &'static str,
    /// What the evidence has to say.
    evidence: &'static [(&'static str, &'static str)],
}

const fn row(
    name: &'static str,
    cause: &'static str,
    proxy_status: &'static str,
    evidence: &'static [(&'static str, &'static str)],
) -> Row {
    Row { name, at: At::Alive, cause, proxy_status, evidence }
}

const fn at(at: At, row: Row) -> Row {
    Row { at, ..row }
}

const NXDOMAIN: &str = "dns_error; rcode=\"NXDOMAIN\"";
const NOERROR: &str = "dns_error; rcode=\"NOERROR\"";

/// What dnsmasq answers. It says why it refuses: it has nobody to forward to; and it passes on what
/// the server behind it says.
const BY_DNSMASQ: [Row; 9] = [
    row("gone.test", "dns_nxdomain", NXDOMAIN, &[("name", "gone.test")]),
    row("nodata.test", "dns_no_records", NOERROR, &[("authority", "none")]),
    row("alias.test", "dns_nxdomain", NXDOMAIN, &[("alias_of", "gone.test")]),
    row(
        "servfail.test",
        "dns_server_failure",
        "dns_error; rcode=\"SERVFAIL\"",
        &[("rcode", "SERVFAIL")],
    ),
    row(
        "ede6.test",
        "dns_server_failure",
        "dns_error; rcode=\"SERVFAIL\"; info-code=6",
        &[("info_code", "6 DNSSEC Bogus"), ("points_to", "dnssec")],
    ),
    row(
        "unknown.example",
        "dns_refused",
        "dns_error; rcode=\"REFUSED\"; info-code=14",
        &[("info_code", "14 Not Ready"), ("points_to", "resolver")],
    ),
    row("silent.test", "dns_timeout", "dns_timeout", &[("waited", "1.000 s")]),
    at(
        At::Nowhere,
        row(
            "good.test",
            "connection_refused",
            "connection_refused",
            &[("looked_up", "good.test"), ("addresses_now", "127.0.0.1")],
        ),
    ),
    at(
        At::Full,
        row(
            "good.test",
            "connect_timeout",
            "connection_timeout",
            &[("looked_up", "good.test"), ("addresses_now", "127.0.0.1")],
        ),
    ),
];

/// What our own server answers.
const SCRIPTED: [Row; 15] = [
    row(
        "ede6.test",
        "dns_server_failure",
        "dns_error; rcode=\"SERVFAIL\"; info-code=6",
        &[("info_code", "6 DNSSEC Bogus"), ("points_to", "dnssec")],
    ),
    row(
        "ede7.test",
        "dns_server_failure",
        "dns_error; rcode=\"SERVFAIL\"; info-code=7",
        &[("info_code", "7 Signature Expired (two days)"), ("points_to", "dnssec")],
    ),
    row(
        "ede9.test",
        "dns_server_failure",
        "dns_error; rcode=\"SERVFAIL\"; info-code=9",
        &[("info_code", "9 DNSKEY Missing; 22 No Reachable Authority"), ("points_to", "dnssec")],
    ),
    row(
        "ede22.test",
        "dns_server_failure",
        "dns_error; rcode=\"SERVFAIL\"; info-code=22",
        &[("info_code", "22 No Reachable Authority (lame)"), ("points_to", "name_servers")],
    ),
    row(
        "ede23.test",
        "dns_server_failure",
        "dns_error; rcode=\"SERVFAIL\"; info-code=23",
        &[("points_to", "network")],
    ),
    row(
        "ede17.test",
        "dns_nxdomain",
        "dns_error; rcode=\"NXDOMAIN\"; info-code=17",
        &[("points_to", "policy")],
    ),
    row("notimp.test", "dns_server_failure", "dns_error; rcode=\"NOTIMP\"", &[("rcode", "NOTIMP")]),
    row("empty.test", "dns_no_records", NOERROR, &[("authority", "soa")]),
    row("referral.test", "dns_no_records", NOERROR, &[("authority", "referral")]),
    row("alias.test", "dns_nxdomain", NXDOMAIN, &[("alias_of", "away.test")]),
    row("garbled.test", "dns_answer_unusable", "dns_error", &[("fault", "malformed")]),
    row("cut.test", "dns_answer_unusable", "dns_error", &[("fault", "truncated")]),
    row("wrongid.test", "dns_timeout", "dns_timeout", &[("strays", "")]),
    row("noise.test", "dns_timeout", "dns_timeout", &[("strays", "")]),
    row("silent.test", "dns_timeout", "dns_timeout", &[]),
];

const BY_NOBODY: [Row; 1] =
    [row("good.test", "dns_resolver_unreachable", "dns_error", &[("errno", "ECONNREFUSED (111)")])];

#[test]
fn what_dnsmasq_answers_is_told_apart() {
    let script = wire::server();
    let silent = UdpSocket::bind(("127.0.0.1", free_port())).expect("a free port");
    let silent_port = silent.local_addr().expect("an address").port();
    let resolver = Dnsmasq::start(
        "127.0.0.1 good.test\n",
        &[
            "--address=/gone.test/".to_owned(),
            "--local=/nodata.test/".to_owned(),
            "--txt-record=nodata.test,nothing but a text".to_owned(),
            "--cname=alias.test,gone.test".to_owned(),
            format!("--server=/servfail.test/ede6.test/127.0.0.1#{script}"),
            format!("--server=/silent.test/127.0.0.1#{silent_port}"),
        ],
    );
    check("dnsmasq", resolver.port, &BY_DNSMASQ);
}

#[test]
fn what_else_a_resolver_may_answer_is_told_apart() {
    check("scripted", wire::server(), &SCRIPTED);
}

#[test]
fn a_resolver_that_is_stopped_is_named() {
    check("stopped", free_port(), &BY_NOBODY);
}

/// Runs rows against one resolver, each in a block of its own, twice: what is cached of a failure
/// says the same.
fn check(how: &str, resolver: u16, rows: &[Row]) {
    let backend = backend();
    let (_queue, full) = full_queue();
    let mut blocks = format!("[upstream.site.timeouts]\n{TIMEOUTS}\n");
    for (number, row) in rows.iter().enumerate() {
        let port = match row.at {
            At::Alive => backend,
            At::Nowhere => free_port(),
            At::Full => full,
        };
        blocks += &format!(
            "[upstream.row{number}]\nservers = [\"http://{}:{port}\"]\npaths = [\"/{number}/\"]\n\
             [upstream.row{number}.timeouts]\n{TIMEOUTS}\n",
            row.name
        );
    }
    let top = format!("resolvers = [\"127.0.0.1:{resolver}\"]");
    let proxy = Proxy::with(&top, &format!("http://127.0.0.1:{backend}"), &blocks);
    for (number, row) in rows.iter().enumerate() {
        for time in ["first", "second"] {
            let path = format!("/{number}/{time}");
            let answer = client::get(proxy.port, &path, PROBLEM);
            let problem = answer.problem();
            expect(row, &answer, &problem, resolver);
            answer.record(Some(&format!("{how}: {}", row.name)));
            proxy.expect_logged(&path, &[row.cause]);
        }
    }
}

/// Holds an answer to its row.
fn expect(row: &Row, answer: &Answer, problem: &Value, resolver: u16) {
    let name = row.name;
    assert_eq!(problem["cause"], row.cause, "{name}: {problem:#}");
    let expected = format!("causeway; error={}; details=\"{}\"", row.proxy_status, row.cause);
    assert_eq!(answer.header("proxy-status"), Some(&*expected), "{name}");
    assert_eq!(problem["request"], "not_sent", "{name}: {problem:#}");
    // The full queue was seen; silence is only silence.
    let likely = row.cause == "dns_timeout";
    assert_eq!(problem["certainty"], if likely { "likely" } else { "certain" }, "{name}");
    let evidence = &problem["evidence"];
    for (key, value) in row.evidence {
        let shown = evidence[*key].as_str().unwrap_or_else(|| panic!("{name}: {evidence:#}"));
        assert!(value.is_empty() || shown == *value, "{name}: {key} is {shown}");
    }
    let strays = row.evidence.iter().any(|(key, _)| *key == "strays");
    assert_eq!(!evidence["strays"].is_null(), strays, "{name}: {evidence:#}");
    if row.cause.starts_with("dns_") {
        assert_eq!(evidence["resolver"], format!("127.0.0.1:{resolver}"), "{name}: {evidence:#}");
        let unheard = ["dns_timeout", "dns_resolver_unreachable"].contains(&row.cause);
        let heard = !unheard && evidence["fault"] != "malformed";
        assert_eq!(!evidence["answered_after"].is_null(), heard, "{name}: {evidence:#}");
        let command = operator_fix(problem)["command"].as_str().unwrap_or_default();
        assert!(command.starts_with(&format!("dig -p {resolver} @127.0.0.1 ")), "{command}");
    }
}

/// The first of the fixes that are the operator's.
fn operator_fix(problem: &Value) -> &Value {
    let fixes = problem["fixes"].as_array().expect("a list");
    fixes.iter().find(|fix| fix["audience"] == "operator").expect("one for operators")
}

/// The site answered at one address; then its name leads to another one, where nobody is.
#[test]
fn a_name_that_was_moved_is_named() {
    let backend = backend();
    let resolver = Dnsmasq::start("127.0.0.1 app.test\n", &["--local=/test/".to_owned()]);
    let top = format!("resolvers = [\"127.0.0.1:{}\"]", resolver.port);
    let proxy = Proxy::with(&top, &format!("http://app.test:{backend}"), "");
    assert_eq!(client::get(proxy.port, "/well", PROBLEM).status, 200);
    resolver.change("127.0.0.3 app.test\n", "app.test", [127, 0, 0, 3]);
    // The second is answered from what is remembered of the first.
    for path in ["/moved", "/again"] {
        let answer = client::get(proxy.port, path, PROBLEM);
        answer.assert_problem(&["connection_refused"], "connection_refused");
        let problem = answer.problem();
        let evidence = &problem["evidence"];
        assert_eq!(evidence["address"], format!("127.0.0.3:{backend}"), "{evidence:#}");
        assert_eq!(evidence["addresses_before"], "127.0.0.1", "{evidence:#}");
        assert_eq!(evidence["addresses_now"], "127.0.0.3", "{evidence:#}");
        let ago = evidence["last_connected"].as_str().unwrap_or_default();
        assert!(ago.ends_with(" s ago"), "{evidence:#}");
        let fix = operator_fix(&problem);
        assert_eq!(fix["id"], "check_dns", "{problem:#}");
        assert_eq!(fix["command"], "getent ahosts app.test", "{problem:#}");
    }
    let wrong = expect_root(proxy.port, "/moved", ("dns_record_wrong", "likely"), "check_dns");
    let shown = &wrong["root_evidence"]["addresses_before"];
    assert_eq!(shown, "127.0.0.1", "{wrong:#}");
    // Home again, and well: nothing is held against the name.
    resolver.change("127.0.0.1 app.test\n", "app.test", [127, 0, 0, 1]);
    eventually("the refusal is forgotten", || {
        let answer = client::get(proxy.port, "/home", PROBLEM);
        (answer.status == 200).then_some(())
    });
    // A name that is gone altogether still shows where it was.
    resolver.change("127.0.0.1 other.test\n", "other.test", [127, 0, 0, 1]);
    let problem = client::get(proxy.port, "/gone", PROBLEM).problem();
    assert_eq!(problem["cause"], "dns_nxdomain", "{problem:#}");
    assert_eq!(problem["evidence"]["addresses_before"], "127.0.0.1", "{problem:#}");
    assert_eq!(problem["evidence"]["addresses_now"], "none", "{problem:#}");
    expect_root(proxy.port, "/gone", ("dns_dangling", "certain"), "check_dns");
}

/// An alias whose target is gone dangles; a name that nobody has ever known may be a slip of the
/// pen in our own configuration, and nothing says more.
#[test]
fn an_alias_of_nothing_is_named() {
    let aliases = ["--local=/test/", "--cname=alias.test,gone.test"].map(str::to_owned);
    let resolver = Dnsmasq::start("127.0.0.1 app.test\n", &aliases);
    let top = format!("resolvers = [\"127.0.0.1:{}\"]", resolver.port);
    let unknown = "[upstream.unknown]\nservers = [\"http://never.test:80\"]\n\
        paths = [\"/unknown\"]\n";
    let proxy = Proxy::with(&top, "http://alias.test:80", unknown);
    let problem = expect_root(proxy.port, "/alias", ("dns_dangling", "certain"), "check_dns");
    assert_eq!(problem["root_evidence"]["alias_of"], "gone.test", "{problem:#}");
    let problem = eventually("the look is there", || {
        let problem = client::get(proxy.port, "/unknown", PROBLEM).problem();
        problem["findings"].as_array().is_some_and(|found| !found.is_empty()).then_some(problem)
    });
    assert_eq!(problem["root"], Value::Null, "{problem:#}");
}

#[test]
fn a_host_without_resolver_is_named() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("resolv.conf");
    std::fs::write(&file, "# nobody\n").expect("the file is written");
    let files: [(&Path, &str); 1] = [(&file, "/etc/resolv.conf")];
    let proxy = Proxy::among(&files, "", "http://app.test:80", "");
    for path in ["/first", "/second"] {
        let answer = client::get(proxy.port, path, PROBLEM);
        let problem = answer.problem();
        assert_eq!(problem["cause"], "dns_config_invalid", "{problem:#}");
        assert_eq!(problem["evidence"]["fault"], "no_name_server", "{problem:#}");
        let expected = "causeway; error=proxy_configuration_error; details=\"dns_config_invalid\"";
        assert_eq!(answer.header("proxy-status"), Some(expected));
        answer.record(None);
        proxy.expect_logged(path, &["dns_config_invalid"]);
    }
    // Mended, and found so without a restart.
    std::fs::write(&file, "nameserver 127.0.0.1\n").expect("the file is written");
    eventually("resolv.conf is read again", || {
        let problem = client::get(proxy.port, "/mended", PROBLEM).problem();
        (problem["cause"] != "dns_config_invalid").then_some(())
    });
}

/// What is slow or only half there, and no alarm.
#[test]
fn healthy_names_raise_no_alarm() {
    let backend = backend();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("hosts");
    std::fs::write(&file, "127.0.0.1 listed.test\n").expect("the file is written");
    let files: [(&Path, &str); 1] = [(&file, "/etc/hosts")];
    let top = |resolver: u16| format!("resolvers = [\"127.0.0.1:{resolver}\"]");
    let resolver = Dnsmasq::start("127.0.0.2 both.test\n127.0.0.1 both.test\n", &[]);
    for (what, proxy) in [
        // Two questions, one after another: 300 ms.
        ("slow", Proxy::with(&top(wire::server()), &format!("http://slow.test:{backend}"), "")),
        (
            "listed",
            Proxy::among(&files, &top(free_port()), &format!("http://listed.test:{backend}"), ""),
        ),
        // Nobody listens at 127.0.0.2.
        ("both", Proxy::with(&top(resolver.port), &format!("http://both.test:{backend}"), "")),
    ] {
        let path = format!("/{what}");
        let answer = client::get(proxy.port, &path, PROBLEM);
        assert_eq!((answer.status, answer.body.as_slice()), (200, WELL), "{what}: {answer:?}");
        assert_eq!(answer.header("proxy-status"), None, "{what}");
        proxy.expect_logged_as_sound(&path);
    }
}

const WELL: &[u8] = b"well";

/// A server on 127.0.0.1 alone that closes after each answer.
fn backend() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", free_port())).expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = serve(stream);
        }
    });
    port
}

fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\n")?;
    stream.write_all(WELL)
}

/// A listener that accepts nothing and whose queue is full: the kernel drops what comes.
fn full_queue() -> ((Socket, Vec<TcpStream>), u16) {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&address.into()).expect("a free port");
    socket.listen(0).expect("a listener");
    let waiting = TcpStream::connect(address).expect("there is room for one");
    ((socket, vec![waiting]), address.port())
}
