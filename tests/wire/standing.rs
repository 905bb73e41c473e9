//! What a page says of the site beside the one request: whether others are served, and since when
//! it fails.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};

use super::backend::Backend;
use super::client::Client;
use super::eventually;
use super::proxy::{Program, get};

const NOBODY: &str = "No request to the site succeeds at the moment.";
const OTHERS: &str = "Other visitors are being served at this moment.";

/// A site that answers at one path and hangs up at every other.
fn half() -> Backend {
    Backend::scripted(|peer| {
        while let Some(request) = peer.request() {
            if !request.starts_with("GET /good ") {
                return;
            }
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    })
}

/// Answers one request at an address that refuses before and after.
fn serve_once(address: SocketAddr) -> std::thread::JoinHandle<()> {
    let listener = TcpListener::bind(address).unwrap();
    std::thread::spawn(move || {
        let (mut peer, _) = listener.accept().unwrap();
        let _ = peer.read(&mut [0; 4096]).unwrap();
        let answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
        peer.write_all(answer.as_bytes()).unwrap();
    })
}

#[test]
fn a_site_that_is_down_fails_for_all_since_a_moment() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = Program::with(&format!("[upstream.app]\nservers = [\"http://{address}\"]\n"));
    let ask = || Client::sent(proxy.address, get("/")).answer("GET").body;
    let first = ask();
    assert!(!first.contains(NOBODY) && !first.contains(OTHERS), "one says nothing: {first}");
    let second = ask();
    assert!(second.contains(NOBODY), "{second}");
    assert!(second.contains("It has been failing since 2"), "{second}");
    // What is known outlives a reload.
    proxy.signal("HUP");
    proxy.said("reloaded", 1);
    let third = ask();
    assert!(third.contains("It has been failing since 2"), "{third}");
    let once = serve_once(address);
    eventually("it is back", || (ask() == "ok").then_some(()));
    once.join().unwrap();
    eventually("it is down again, and was up", || {
        let page = ask();
        (page.contains(NOBODY) && page.contains("It last worked at 2")).then_some(())
    });
}

#[test]
fn a_page_that_fails_beside_good_ones_says_that_others_are_served() {
    let site = half();
    let proxy = Program::before(&site.server(), "");
    let ask = |path: &str| Client::sent(proxy.address, get(path)).answer("GET").body;
    for _ in 0..3 {
        let page = ask("/bad");
        assert!(!page.contains(NOBODY) && !page.contains("failing since"), "{page}");
    }
    eventually("others are served", || {
        assert_eq!(ask("/good"), "ok");
        ask("/bad").contains(OTHERS).then_some(())
    });
}
