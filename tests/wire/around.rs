//! The look around on this host after a failure: what listens instead is named to operators, with
//! the commands for it.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::process::Command;

use serde_json::Value;

use super::backend::Backend;
use super::client::Client;
use super::eventually;
use super::proxy::{Program, Proxy, get};

/// The operator's fixes of a failure, in their order.
fn operator_fixes(proxy: &Proxy) -> Vec<Value> {
    let accept = "Accept: application/problem+json\r\n\r\n";
    let asked = get("/").replacen("\r\n\r\n", &format!("\r\n{accept}"), 1);
    let problem: Value = serde_json::from_str(&proxy.ask(asked).body).unwrap();
    let fixes = problem["fixes"].as_array().unwrap().iter();
    fixes.filter(|fix| fix["audience"] == "operator").cloned().collect()
}

fn commands(fix: &Value, kind: &str) -> Vec<String> {
    let commands = fix["commands"].as_array().unwrap().iter();
    let of_kind = commands.filter(|command| command["kind"] == kind);
    of_kind.map(|command| command["line"].as_str().unwrap().to_owned()).collect()
}

/// A listener, and an address beside it where nobody listens.
pub fn beside() -> (TcpListener, SocketAddr) {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut free = listener.local_addr().unwrap();
        let Some(next) = free.port().checked_add(1) else { continue };
        free.set_port(next);
        if TcpListener::bind(free).is_ok() {
            return (listener, free);
        }
    }
}

/// The story of the documents: the proxy says one port, the backend listens at another.
#[test]
fn a_listener_at_another_port_puts_the_address_first() {
    let (listener, wanted) = beside();
    let found = listener.local_addr().unwrap();
    let proxy = Proxy::with(&format!("[upstream.app]\nservers = [\"http://{wanted}\"]\n"));
    eventually("the proxy has looked around", || {
        let fixes = operator_fixes(&proxy);
        let (fix, because) = (&fixes[0], fixes[0]["because"]["listening"].as_str());
        because.filter(|seen| seen.split(", ").next() == Some(&found.to_string())).map(|_| {
            assert_eq!(fix["id"], "match_port");
            let edit = &commands(fix, "edit")[0];
            assert!(edit.ends_with(&format!("[upstream.app] servers = [\"http://{found}\"]")));
            assert!(commands(fix, "check").contains(&format!("curl -I http://{found}/")));
            assert!(fix["command"].as_str().unwrap().starts_with("ss -ltnp 'sport = :"));
        })
    });
    drop(listener);
    eventually("nobody listens there any more", || {
        (operator_fixes(&proxy)[0]["id"] == "backend_status").then_some(())
    });
}

#[test]
fn a_sibling_of_the_missing_socket_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (missing, there) = (dir.path().join("php8.1-fpm.sock"), dir.path().join("php8.2-fpm.sock"));
    let _listener = UnixListener::bind(&there).unwrap();
    let server = format!("http+unix:{}", missing.display());
    let proxy = Proxy::with(&format!("[upstream.app]\nservers = [\"{server}\"]\n"));
    eventually("the proxy has looked around", || {
        let fixes = operator_fixes(&proxy);
        let because = fixes[0]["because"]["sockets"].as_str();
        because.map(|seen| {
            assert_eq!(
                (fixes[0]["id"].as_str(), seen),
                (Some("socket_path"), there.to_str().unwrap())
            );
        })
    });
}

/// Has the kernel forbid a program to connect by TCP, and becomes that program: Landlock, the one
/// policy that needs no administrator (landlock(7); the numbers are those of its headers).
const FORBIDDEN: &str = "\
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
handled = (ctypes.c_uint64 * 2)(0, 1 << 1)
rules = libc.syscall(444, handled, ctypes.c_size_t(16), ctypes.c_uint32(0))
if rules < 0 or libc.prctl(38, 1, 0, 0, 0) or libc.syscall(446, rules, ctypes.c_uint32(0)):
    sys.exit('Landlock: ' + os.strerror(ctypes.get_errno()) + ': Linux 6.7 with it is needed')
os.execv(sys.argv[1], sys.argv[1:])
";

#[test]
fn a_policy_of_the_kernel_is_named() {
    let backend = Backend::answering("HTTP/1.1 204 No Content\r\n\r\n");
    let lines = format!("[upstream.app]\nservers = [\"{}\"]\n", backend.server());
    let program = Program::start(&lines, |program| {
        let mut command = Command::new("/usr/bin/python3");
        command.args(["-c", FORBIDDEN, program]);
        command
    });
    let problem = eventually("the proxy has looked around", || {
        let accept = "Accept: application/problem+json\r\n\r\n";
        let asked = get("/").replacen("\r\n\r\n", &format!("\r\n{accept}"), 1);
        let answer = Client::sent(program.address, asked).answer("GET");
        let problem: Value = serde_json::from_str(&answer.body).unwrap();
        problem["root"].is_string().then_some(problem)
    });
    assert_eq!(problem["cause"], "connect_forbidden_locally");
    assert_eq!(
        (&problem["root"], &problem["root_certainty"]),
        (&"forbidden_by_policy".into(), &"likely".into())
    );
    assert!(problem["root_evidence"]["errno"].as_str().unwrap().contains("13"), "{problem}");
    let fixes = problem["fixes"].as_array().unwrap();
    let first = fixes.iter().find(|fix| fix["audience"] == "operator").unwrap();
    assert_eq!(first["id"], "allow_connect");
}

/// Whoever is no operator neither waits for the look nor sees what it found.
#[test]
fn a_visitor_sees_nothing_of_it() {
    let (listener, wanted) = beside();
    let found = listener.local_addr().unwrap().to_string();
    let lines =
        format!("[page]\noperators = []\n[upstream.app]\nservers = [\"http://{wanted}\"]\n");
    let proxy = Proxy::with(&lines);
    let titles = || {
        let answer = proxy.get("/");
        assert_eq!(answer.status, 502);
        assert!(!answer.body.contains(&found) && !answer.body.contains("ss -ltnp '"));
        let operators = answer.body.split_once("It is my site").unwrap().1.to_owned();
        operators.lines().find(|line| line.trim_start().starts_with("1. ")).unwrap().to_owned()
    };
    // The order is told to everybody, and follows the evidence here too.
    eventually("the proxy has looked around", || {
        titles().contains("name the same address").then_some(())
    });
}
