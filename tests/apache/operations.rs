//! What the README tells an operator of Apache to write, tried as it stands there.

use super::server::{Apache, Site, Speaks};
use super::support::client::{self, Answer};
use super::support::proxy::Proxy;
use super::support::readme;
use super::support::tools::{eventually, free_port};

/// Says who is asking, and how, as PHP sees it.
const WHO: &str = "<?php echo $_SERVER['REMOTE_ADDR'], ' ', $_SERVER['HTTPS'] ?? 'off';";

fn said(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    String::from_utf8_lossy(&answer.body).into_owned()
}

#[test]
fn apache_learns_who_the_visitor_is() {
    let site = Site::new();
    site.put("who.php", WHO);
    site.configure(&readme::block("apache", "RemoteIPHeader"));
    site.configure("CustomLog run/visitors.log \"%a %U\"\n");
    let apache = Apache::start(&site, free_port(), Speaks::Http);
    let server = format!("http://127.0.0.1:{}", apache.port);
    // The test stands for a proxy that took TLS off, and is believed or not.
    let behind = Proxy::before(&server, "[page]\ntrusted_proxies = [\"127.0.0.0/8\"]\n");
    let facing = Proxy::before(&server, "");
    let fields = [("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-Proto", "https")];
    let ask = |proxy: &Proxy| said(&client::request(proxy.port, "GET", "/who.php", &fields, b""));
    assert_eq!(ask(&behind), "203.0.113.9 on");
    assert_eq!(ask(&facing), "127.0.0.1 off");
    let log = site.path("run/visitors.log");
    eventually("Apache's log names the visitor", || {
        let text = std::fs::read_to_string(&log).ok()?;
        text.contains("203.0.113.9 /who.php").then_some(())
    });
}

/// Apache closes kept connections long before Causeway does; a form is no less safe for that.
#[test]
fn a_connection_that_apache_has_closed_is_not_used_again() {
    let site = Site::new();
    site.configure("KeepAlive On\nKeepAliveTimeout 1\n");
    let apache = Apache::start(&site, free_port(), Speaks::Http);
    let proxy = Proxy::before(&format!("http://127.0.0.1:{}", apache.port), "");
    let open = || connections(apache.port);
    for _ in 0..3 {
        let answer = client::request(proxy.port, "POST", "/echo.php", &[], b"a form");
        assert_eq!(answer.problem()["length"], 6, "{answer:?}");
        proxy.expect_logged_as_sound("/echo.php");
        eventually("Apache has closed the connection", || (open() == 0).then_some(()));
    }
}

/// Connections to a port that are established (proc_pid_net_tcp(5)).
fn connections(port: u16) -> usize {
    let text = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let end = format!(":{port:04X}");
    let to = |line: &&str| {
        let mut words = line.split_whitespace().skip(1);
        words.next().is_some_and(|local| local.ends_with(&end)) && words.nth(1) == Some("01")
    };
    text.lines().filter(to).count()
}
