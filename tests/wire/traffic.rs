//! What the proxy knows of its own traffic, told to operators when a server has too much to do.

use serde_json::Value;

use super::backend::Backend;
use super::client::Client;
use super::eventually;
use super::proxy::{Proxy, get};

const CLIENTS: usize = 30;

fn problem(proxy: &Proxy) -> Value {
    let accept = "Accept: application/problem+json\r\n\r\n";
    let asked = get("/").replacen("\r\n\r\n", &format!("\r\n{accept}"), 1);
    serde_json::from_str(&proxy.ask(asked).body).unwrap()
}

/// One client has every place: the operator is told who it is, what it asks for and since when.
#[test]
fn a_flood_of_one_client_is_named() {
    // Takes every request, and answers none.
    let backend = Backend::scripted(|peer| {
        peer.request();
        peer.drain();
    });
    let proxy = Proxy::with(&format!(
        "[page]\ntrusted_proxies = [\"127.0.0.0/8\"]\n[upstream.app]\nservers = [\"{}\"]\n\
         limits.connections = {CLIENTS}\nlimits.queue = 0\n",
        backend.server()
    ));
    let flood = "GET /wp-login.php?try=1 HTTP/1.1\r\nHost: shop.example\r\n\
                 User-Agent: flooder/1.0\r\nX-Forwarded-For: 198.51.100.7\r\n\r\n";
    let clients: Vec<Client> = (0..CLIENTS).map(|_| Client::sent(proxy.address, flood)).collect();
    eventually("every place is taken", || {
        (backend.requests("/wp-login.php?try=1") == CLIENTS).then_some(())
    });
    let problem = eventually("the flood is named", || {
        Some(problem(&proxy)).filter(|problem| problem["root"] == "single_client_flood")
    });
    assert_eq!(problem["cause"], "queue_full");
    let findings = problem["findings"].as_array().unwrap();
    let value = |key: &str| {
        let found = findings.iter().find(|found| found["key"] == key);
        found.unwrap_or_else(|| panic!("{key} in {problem}"))["value"].as_str().unwrap().to_owned()
    };
    assert_eq!(value("in_flight"), CLIENTS.to_string());
    assert!(value("most_in_flight_client").starts_with("198.51.100.7: 30 of 3"));
    let row = value("request_in_flight");
    assert!(row.starts_with("30 x GET /wp-login.php, "), "{row}");
    assert!(row.ends_with(", 198.51.100.7, flooder/1.0"), "{row}");
    assert!(!problem.to_string().contains("try=1"), "a query may hold a secret");
    drop(clients);
}
