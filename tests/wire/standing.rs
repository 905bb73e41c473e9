//! What a page says of the site beside the one request: whether others are served, and since when
//! it fails.

use super::backend::Backend;
use super::client::Client;
use super::eventually;
use super::proxy::{Program, get};

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

#[test]
fn a_page_says_whether_others_are_served_and_since_when_not() {
    let site = half();
    let lines = format!("[upstream.app]\nservers = [\"{}\"]\n", site.server());
    let proxy = Program::with(&lines);
    let ask = |path: &str| Client::sent(proxy.address, get(path)).answer("GET").body;
    let nobody = "No request to the site succeeds at the moment.";
    let others = "Other visitors are being served at this moment.";
    let first = ask("/bad");
    assert!(
        !first.contains(nobody) && !first.contains(others),
        "one failure says nothing: {first}"
    );
    let second = ask("/bad");
    assert!(second.contains(nobody), "{second}");
    assert!(second.contains("It has been failing since 2"), "{second}");
    // What is known outlives a reload.
    proxy.signal("HUP");
    proxy.said("reloaded", 1);
    let third = ask("/bad");
    assert!(third.contains("It has been failing since 2"), "{third}");
    // A good answer between two failures: others are served.
    eventually("others are served", || {
        assert_eq!(ask("/good"), "ok");
        ask("/bad").contains(others).then_some(())
    });
    eventually("and then nobody is, who was a while ago", || {
        let page = ask("/bad");
        (page.contains(nobody) && page.contains("It last worked at 2")).then_some(())
    });
}
