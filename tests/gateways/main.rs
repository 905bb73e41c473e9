//! The proxy before real gateways, a nginx and a HAProxy, whose own backend is out of order: what
//! they say passes through, and the hop that failed is named.
//!
//! Each test has a gateway of its own in a temporary directory and on 127.0.0.1. A missing one
//! fails these tests; nothing is skipped.

#[path = "../support/mod.rs"]
mod support;

use std::fs::{self, File};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;

use support::client::{self, Answer, End, PROBLEM};
use support::proxy::Proxy;
use support::tools::{Group, as_root, eventually, free_port, run};
use tempfile::TempDir;

/// A running gateway; it is killed with this value.
struct Gateway {
    port: u16,
    _processes: Group,
    dir: TempDir,
}

/// A nginx whose backend is a port on which nobody listens.
fn nginx() -> Gateway {
    start("nginx", "/usr/sbin/nginx", "apt-get install nginx-light", |dir, port| {
        let user = if as_root() { "user www-data;\n" } else { "" };
        let temporary = temporary(dir);
        let config = format!(
            "{user}worker_processes 1;\ndaemon off;\npid {dir}/pid;\nerror_log {dir}/log;\n\
             events {{}}\nhttp {{\naccess_log off;\n{temporary}server {{\n\
             listen 127.0.0.1:{port};\n\
             location / {{ proxy_pass http://127.0.0.1:{}; }}\n\
             location /sound {{ return 200 'All is well.'; }}\n\
             location /scheme {{ return 200 $http_x_forwarded_proto; }}\n\
             location /closed {{ return 503; }}\n}}\n}}\n",
            free_port()
        );
        (config, vec!["-p".into(), dir.into(), "-c".into()])
    })
}

/// A HAProxy that has found its only server down.
fn haproxy() -> Gateway {
    start("HAProxy", "/usr/sbin/haproxy", "apt-get install haproxy", |_, port| {
        let config = format!(
            "defaults\nmode http\ntimeout connect 1s\ntimeout client 9s\ntimeout server 9s\n\
             frontend site\nbind 127.0.0.1:{port}\n\
             http-request return status 200 content-type text/plain string \"All is well.\" if {{ path /sound }}\n\
             default_backend shop\nbackend shop\n\
             server one 127.0.0.1:{} check inter 100ms fall 1 disabled\n",
            free_port()
        );
        (config, vec!["-db".into(), "-f".into()])
    })
}

/// A nginx whose port is for balancers, which speak the PROXY protocol.
fn nginx_behind_a_balancer() -> Gateway {
    start("nginx", "/usr/sbin/nginx", "apt-get install nginx-light", |dir, port| {
        let user = if as_root() { "user www-data;\n" } else { "" };
        let config = format!(
            "{user}worker_processes 1;\ndaemon off;\npid {dir}/pid;\nerror_log {dir}/log;\n\
             events {{}}\nhttp {{\naccess_log off;\n{}server {{\n\
             listen 127.0.0.1:{port} proxy_protocol;\n\
             location / {{ return 200 'All is well.'; }}\n}}\n}}\n",
            temporary(dir)
        );
        (config, vec!["-p".into(), dir.into(), "-c".into()])
    })
}

/// A nginx that closes every connection without an answer, whatever is asked.
fn nginx_that_hangs_up() -> Gateway {
    start("nginx", "/usr/sbin/nginx", "apt-get install nginx-light", |dir, port| {
        let user = if as_root() { "user www-data;\n" } else { "" };
        let config = format!(
            "{user}worker_processes 1;\ndaemon off;\npid {dir}/pid;\nerror_log {dir}/log;\n\
             events {{}}\nhttp {{\naccess_log {dir}/access;\n{}server {{\n\
             listen 127.0.0.1:{port};\nreturn 444;\n}}\n}}\n",
            temporary(dir)
        );
        (config, vec!["-p".into(), dir.into(), "-c".into()])
    })
}

/// A HAProxy with such a port.
fn haproxy_behind_a_balancer() -> Gateway {
    start("HAProxy", "/usr/sbin/haproxy", "apt-get install haproxy", |_, port| {
        let config = format!(
            "defaults\nmode http\ntimeout connect 1s\ntimeout client 9s\ntimeout server 9s\n\
             frontend site\nbind 127.0.0.1:{port} accept-proxy\n\
             http-request return status 200 content-type text/plain string \"All is well.\"\n"
        );
        (config, vec!["-db".into(), "-f".into()])
    })
}

/// A HAProxy before the proxy, that introduces its clients: each path to a backend of its own way.
fn haproxy_before(proxy: u16) -> Gateway {
    start("HAProxy", "/usr/sbin/haproxy", "apt-get install haproxy", |dir, port| {
        let pem = format!("{dir}/site.pem");
        self_signed(&pem);
        let secure = free_port();
        fs::write(format!("{dir}/secure"), secure.to_string()).expect("a file");
        // What HAProxy knows of its client's TLS goes out with send-proxy-v2-ssl. Its checks speak
        // the header too: as LOCAL in version 2.
        let config = format!(
            "defaults\nmode tcp\ntimeout connect 1s\ntimeout client 9s\ntimeout server 9s\n\
             frontend plain\nbind 127.0.0.1:{port}\ndefault_backend one\n\
             frontend tls\nbind 127.0.0.1:{secure} ssl crt {pem}\ndefault_backend two\n\
             backend one\nserver one 127.0.0.1:{proxy} source 127.0.0.3 send-proxy \
             check inter 50ms check-send-proxy\n\
             backend two\nserver two 127.0.0.1:{proxy} source 127.0.0.3 send-proxy-v2-ssl \
             check inter 50ms check-send-proxy\n"
        );
        (config, vec!["-db".into(), "-f".into()])
    })
}

/// A certificate that vouches for itself, with its key, in one file.
fn self_signed(pem: &str) {
    run(Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"])
        .args(["-pkeyopt", "ec_paramgen_curve:P-256", "-subj", "/CN=shop.example", "-out", pem])
        .args(["-keyout", &format!("{pem}.key")]));
}

/// Where a nginx without rights of its own puts what it receives.
fn temporary(dir: &str) -> String {
    let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    kinds.iter().map(|kind| format!("{kind}_temp_path {dir}/{kind};\n")).collect()
}

/// `make` gives the configuration and the arguments before its path.
fn start(
    name: &'static str,
    program: &str,
    missing: &str,
    make: impl FnOnce(&str, u16) -> (String, Vec<String>),
) -> Gateway {
    let program = PathBuf::from(program);
    assert!(program.exists(), "these tests need a real {name}: {missing}");
    let dir = tempfile::tempdir().expect("a temporary directory");
    run(Command::new("chmod").arg("755").arg(dir.path()));
    let port = free_port();
    let (config, arguments) = make(&dir.path().display().to_string(), port);
    let file = dir.path().join("config");
    fs::write(&file, config).expect("the configuration is written");
    let errors = dir.path().join("stderr");
    let mut command = Command::new(program);
    command.args(arguments).arg(&file).stderr(File::create(&errors).expect("a file"));
    let said = || fs::read_to_string(&errors).unwrap_or_default();
    let ready = || TcpStream::connect(("127.0.0.1", port)).is_ok();
    let processes = Group::start(name, &mut command, said, ready);
    Gateway { port, _processes: processes, dir }
}

/// The proxy before a gateway, with more lines in its block.
fn before(gateway: &Gateway, more: &str) -> Proxy {
    Proxy::before(&format!("http://127.0.0.1:{}", gateway.port), more)
}

/// Asks the gateway and asks through the proxy: its answer passes as it is, the cause beside it.
fn assert_named(gateway: &Gateway, proxy: &Proxy, path: &str, status: u16, cause: &str) -> Answer {
    let direct = client::get(gateway.port, path, "*/*");
    let through = client::get(proxy.port, path, "*/*");
    assert_eq!((direct.status, through.status), (status, status), "{direct:?} {through:?}");
    assert_eq!(through.end, End::Complete, "{through:?}");
    assert!(!direct.body.is_empty() && through.body == direct.body, "{through:?}");
    for name in ["server", "content-type", "cache-control"] {
        assert_eq!(through.all(name), direct.all(name), "{name}");
    }
    let said = format!("causeway; received-status={status}; details=\"{cause}\"");
    assert_eq!(through.all("proxy-status"), [said.as_str()]);
    through.record_passed(cause);
    proxy.expect_logged(path, &[cause]);
    through
}

/// Our page in place of the gateway's, and the hop that it names.
fn assert_replaced(proxy: &Proxy, path: &str, status: u16, cause: &str, hop: &str) {
    let answer = client::get(proxy.port, path, PROBLEM);
    assert_eq!((answer.status, answer.end), (status, End::Complete), "{answer:?}");
    let problem = answer.problem();
    assert_eq!(problem["cause"], cause, "{problem:#}");
    assert_eq!(problem["evidence"]["hop"], hop, "{problem:#}");
    assert_eq!(answer.header("server"), None, "{answer:?}");
    let said = format!("causeway; received-status={status}; details=\"{cause}\"");
    assert_eq!(answer.header("proxy-status"), Some(said.as_str()));
    answer.record(None);
    proxy.expect_logged(path, &[cause]);
}

fn assert_sound(proxy: &Proxy) {
    let answer = client::get(proxy.port, "/sound", "*/*");
    assert_eq!((answer.status, &answer.body[..]), (200, &b"All is well."[..]), "{answer:?}");
    proxy.expect_logged_as_sound("/sound");
}

#[test]
fn a_nginx_whose_backend_is_down_is_named() {
    let nginx = nginx();
    let proxy = before(&nginx, "");
    let answer = assert_named(&nginx, &proxy, "/cart", 502, "upstream_gateway_error");
    assert!(String::from_utf8_lossy(&answer.body).contains("<center>nginx"), "{answer:?}");
    assert_named(&nginx, &proxy, "/closed", 503, "upstream_unavailable");
    assert_sound(&proxy);
    let replacing = before(&nginx, "replace_status = [502]");
    assert_replaced(&replacing, "/cart", 502, "upstream_gateway_error", "nginx");
    assert_named(&nginx, &replacing, "/closed", 503, "upstream_unavailable");
}

/// The line that nginx itself writes of it is explained to the cause that we would name.
#[test]
fn the_own_line_of_a_nginx_is_explained() {
    let nginx = nginx();
    assert_eq!(client::get(nginx.port, "/cart", "*/*").status, 502);
    let line = eventually("nginx has written of it", || {
        let log = fs::read_to_string(nginx.dir.path().join("log")).unwrap_or_default();
        log.lines().find(|line| line.contains("connect()")).map(str::to_owned)
    });
    let said = run(Command::new(env!("CARGO_BIN_EXE_causeway")).args(["explain", "--json", &line]));
    let told: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(told["lines"][0]["cause"], "connection_refused", "{line}: {told:#}");
    assert_eq!(told["lines"][0]["program"], "nginx", "{line}: {told:#}");
}

#[test]
fn a_nginx_that_takes_no_such_cookies_is_named() {
    let nginx = nginx();
    let proxy = before(&nginx, "replace_status = [400]");
    let plain = before(&nginx, "");
    let cookies = format!("basket={}", "x".repeat(12_000));
    let headers = [("Cookie", cookies.as_str()), ("Accept", PROBLEM)];
    let answer = client::request(plain.port, "GET", "/cart", &headers, b"");
    assert_eq!(answer.status, 400, "{answer:?}");
    let said = "causeway; received-status=400; details=\"request_header_refused\"";
    assert_eq!(answer.header("proxy-status"), Some(said), "{answer:?}");
    plain.expect_logged("/cart", &["request_header_refused"]);
    let problem = client::request(proxy.port, "GET", "/cart", &headers, b"").problem();
    assert_eq!(problem["cause"], "request_header_refused", "{problem:#}");
    assert_eq!(problem["evidence"]["cookie_bytes"], "12007", "{problem:#}");
    assert_eq!(problem["fixes"][0]["id"], "clear_cookies", "{problem:#}");
    assert_sound(&proxy);
}

#[test]
fn a_haproxy_without_a_server_is_named() {
    let haproxy = haproxy();
    let proxy = before(&haproxy, "");
    assert_named(&haproxy, &proxy, "/cart", 503, "upstream_gateway_error");
    assert_sound(&proxy);
    let replacing = before(&haproxy, "replace_status = [503]");
    assert_replaced(&replacing, "/cart", 503, "upstream_gateway_error", "haproxy");
}

#[test]
fn a_gateway_that_wants_the_proxy_protocol_is_found_out() {
    for (gateway, first) in [
        (nginx_behind_a_balancer(), "closed_before_response"),
        (haproxy_behind_a_balancer(), "reset_before_response"),
    ] {
        let proxy = before(&gateway, "");
        let answer = client::get(proxy.port, "/first", PROBLEM);
        assert_eq!(answer.problem()["cause"], first, "{answer:?}");
        proxy.expect_logged("/first", &[first]);
        // The question is asked beside the requests.
        let answer = eventually("the proxy has asked", || {
            let answer = client::get(proxy.port, "/second", PROBLEM);
            (answer.problem()["cause"] != first).then_some(answer)
        });
        let problem = answer.problem();
        assert_eq!(problem["cause"], "proxy_protocol_expected", "{problem:#}");
        assert_eq!(problem["certainty"], "certain", "{problem:#}");
        let mut fixes = problem["fixes"].as_array().into_iter().flatten();
        let fix = fixes.find(|fix| fix["audience"] == "operator").expect("a fix");
        assert_eq!(fix["id"], "drop_proxy_protocol", "{problem:#}");
        let command =
            format!("curl -v --haproxy-protocol -o /dev/null http://127.0.0.1:{}/", gateway.port);
        assert_eq!(fix["command"], command, "{problem:#}");
        answer.record(None);
        client::get(proxy.port, "/third", PROBLEM);
        proxy.expect_logged("/third", &["proxy_protocol_expected"]);
    }
}

#[test]
fn a_gateway_that_hangs_up_on_everybody_wants_no_proxy_protocol() {
    let nginx = nginx_that_hangs_up();
    let proxy = before(&nginx, "");
    let asked = || fs::read_to_string(nginx.dir.path().join("access")).unwrap_or_default();
    eventually("the proxy has asked", || {
        client::get(proxy.port, "/asking", PROBLEM);
        // Its 400 to a ClientHello tells that it speaks HTTP.
        asked().contains("\\x16\\x03\\x01").then_some(())
    });
    for path in ["/one", "/two", "/three"] {
        let answer = client::get(proxy.port, path, PROBLEM);
        assert_eq!(answer.problem()["cause"], "closed_before_response", "{answer:?}");
        proxy.expect_logged(path, &["closed_before_response"]);
    }
}

#[test]
fn a_haproxy_in_front_introduces_its_clients() {
    let behind = nginx();
    let proxy = Proxy::with(
        "[client]\nproxy_protocol = [\"127.0.0.3/32\"]",
        &format!("http://127.0.0.1:{}", behind.port),
        "",
    );
    let haproxy = haproxy_before(proxy.port);
    let answer = client::get(haproxy.port, "/sound?by=line", "*/*");
    assert_eq!((answer.status, &answer.body[..]), (200, &b"All is well."[..]), "{answer:?}");
    assert!(proxy.line("/sound?by=line").contains("\"client\":\"127.0.0.1\""));
    // By TLS from another address, with a keep-alive request behind the first.
    let secure = fs::read_to_string(haproxy.dir.path().join("secure")).expect("a port");
    let url = |path: &str| format!("https://127.0.0.1:{secure}/{path}");
    let said = run(Command::new("curl").args(["-skS", "--interface", "127.0.0.2"]).args([
        url("sound?by=block"),
        url("sound?by=more"),
        url("scheme"),
    ]));
    assert_eq!(said, "All is well.All is well.https");
    for path in ["/sound?by=block", "/sound?by=more"] {
        assert!(proxy.line(path).contains("\"client\":\"127.0.0.2\""), "{}", proxy.line(path));
    }
    // Who goes around the balancer is not asked for a header, and not believed one.
    proxy.expect_logged_as_sound("/sound?by=line");
    assert_eq!(client::get(proxy.port, "/sound?by=oneself", "*/*").status, 200);
    assert!(!proxy.messages().contains("PROXY header"), "{}", proxy.messages());
}
