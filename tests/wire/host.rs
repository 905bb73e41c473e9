//! What our own host refuses: descriptors, routes. For real, in a limit and a network of our own.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;

use serde_json::Value;

use super::backend::Backend;
use super::client::Client;
use super::eventually;
use super::proxy::{Program, get};

/// Descriptors that the program may have.
const DESCRIPTORS: usize = 64;

#[test]
fn out_of_descriptors_it_still_says_so() {
    let backend = Backend::scripted(|peer| {
        while let Some(head) = peer.request() {
            if head.contains(" /hold ") {
                peer.drain();
                return;
            }
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
        }
    });
    let block = format!("[upstream.app]\nservers = [\"{}\"]\n", backend.server());
    let program = Program::start(&block, |program| {
        let mut command = Command::new("sh");
        let limited = format!("ulimit -n {DESCRIPTORS}; exec \"$0\" \"$@\"");
        command.args(["-c", &limited, program]);
        command
    });
    // One that the tests' own caller left open may lie beyond the limit, and does not count.
    let in_use = || {
        let path = format!("/proc/{}/fd", program.child.id());
        let names = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name());
        let numbers = names.map(|name| name.to_str().unwrap().parse::<usize>().unwrap());
        numbers.filter(|number| *number < DESCRIPTORS).count()
    };
    let mut held = Vec::new();
    // Two a request: the client's and the upstream's.
    while in_use() + 2 < DESCRIPTORS {
        let (before, count) = (in_use(), backend.connections());
        held.push(Client::sent(program.address, get("/hold")));
        eventually("a held request", || (backend.connections() > count).then_some(()));
        assert_eq!(in_use(), before + 2);
    }
    if in_use() + 1 < DESCRIPTORS {
        held.push(Client::connect(program.address));
        eventually("an idle client", || (in_use() + 1 == DESCRIPTORS).then_some(()));
    }
    let mut client = Client::connect(program.address);
    for _ in 0..3 {
        client.send(get("/none-left"));
        let answer = client.answer("GET");

        assert_eq!((answer.cause(), answer.whole), ("local_fd_exhausted", true), "{answer:?}");
        assert_eq!(answer.field("content-type").map(|kind| &kind[..10]), Some("text/plain"));
    }
    assert_eq!(program.logged("/none-left")["cause"], "local_fd_exhausted");
    // The look itself can open nothing, and yet counts.
    let asked = get("/why").replace("\r\n\r\n", "\r\nAccept: application/problem+json\r\n\r\n");
    eventually("the look's result", || {
        client.send(&asked);
        let problem: Value = serde_json::from_str(&client.answer("GET").body).unwrap();
        let list = problem["findings"].as_array()?;
        let found = list.iter().find(|found| found["key"] == "descriptors")?;
        let limit = format!(" of {DESCRIPTORS}");
        assert!(found["value"].as_str().unwrap().ends_with(&limit), "{problem:#}");
        assert!(found["meaning"].is_string(), "{problem:#}");
        let mut fixes = problem["fixes"].as_array().unwrap().iter();
        let first = fixes.find(|fix| fix["audience"] == "operator").unwrap();
        assert_eq!(
            (&problem["root"], &first["id"]),
            (&"fd_limit".into(), &"raise_fd_limit".into())
        );
        Some(())
    });
    // With room again, the same client is served.
    held.clear();
    eventually("an answer", || {
        client.send(get("/room"));
        (client.answer("GET").status == 200).then_some(())
    });
}

#[test]
fn what_has_no_route_is_named() {
    // A network of its own, with one unreachable route and no other; a user of its own where the
    // test's may not make one.
    let possible = |flags: &str| {
        Command::new("unshare").args([flags, "true"]).output().is_ok_and(|it| it.status.success())
    };
    let flags = ["-n", "-rn"].into_iter().find(|flags| possible(flags));
    let flags = flags.expect("unshare(1) may make a network namespace here");
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("http.sock");
    let mut lines = format!("listen = [\"127.0.0.1:0\", \"unix:{}\"]\n", socket.display());
    for (name, server) in [("host", "198.51.100.7"), ("network", "203.0.113.7")] {
        lines += &format!(
            "[upstream.{name}]\nservers = [\"http://{server}:80\"]\npaths = [\"/{name}\"]\n"
        );
    }
    let program = Program::start(&lines, |program| {
        let mut command = Command::new("unshare");
        let apart = "PATH=$PATH:/sbin:/usr/sbin; ip link set lo up; \
                     ip route add unreachable 198.51.100.0/24; exec \"$0\" \"$@\"";
        command.args([flags, "sh", "-c", apart, program]);
        command
    });
    for (path, cause) in [("/host", "host_unreachable"), ("/network", "network_unreachable")] {
        let mut client = UnixStream::connect(&socket).unwrap();
        client.set_read_timeout(Some(super::PATIENCE)).unwrap();
        let request = get(path).replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
        client.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
        assert!(answer.contains(&format!("details=\"{cause}\"")), "{answer}");
        assert_eq!(program.logged(path)["cause"], cause);
    }
}
