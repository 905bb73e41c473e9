//! Visitors who are refused right behind each other: one page answers for the next, and nothing of
//! one request gets into another's.

use serde_json::Value;

use super::backend::refusing;
use super::client::{Answer, Client};
use super::proxy::Proxy;

/// What makes a visitor of a client on this host: it says that it forwards for somebody.
const VISITOR: &str = "X-Forwarded-For: 192.0.2.7\r\n";
const HTML: &str = "Accept: text/html\r\n";
/// Where a page comes back by itself.
const AGAIN: &str = "<div class=\"again\"";
const JSON: &str = "Accept: application/problem+json\r\n";

struct Asked {
    method: &'static str,
    path: &'static str,
    host: &'static str,
    fields: String,
}

fn asked(method: &'static str, path: &'static str, host: &'static str, fields: &[&str]) -> Asked {
    Asked { method, path, host, fields: fields.concat() }
}

/// All of them in one write, so that the proxy has them at one moment.
fn answers(proxy: &Proxy, requests: &[Asked]) -> Vec<Answer> {
    let bytes: String = requests
        .iter()
        .map(|Asked { method, path, host, fields }| {
            format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n")
        })
        .collect();
    let mut client = Client::sent(proxy.address, bytes);
    requests.iter().map(|request| client.answer(request.method)).collect()
}

/// A problem document without what each request has of its own.
fn shared(answer: &Answer) -> Value {
    let mut problem: Value = serde_json::from_str(&answer.body).unwrap();
    let members = problem.as_object_mut().unwrap();
    for own in ["instance", "incident", "time"] {
        members.remove(own);
    }
    problem
}

#[test]
fn visitors_who_are_refused_together_are_told_the_same_each_of_his_own() {
    let proxy = Proxy::block(&[refusing()], "");
    // The first is refused, the second by what is remembered of that, the others by the second.
    let get = |path, host, fields: &[&str]| asked("GET", path, host, fields);
    let requests = [
        get("/first", "shop.example", &[VISITOR, JSON]),
        get("/second", "shop.example", &[VISITOR, JSON]),
        get("/third", "shop.example", &[VISITOR, JSON]),
        get("/html", "shop.example", &[VISITOR, HTML]),
        get("/other", "news.example", &[VISITOR, "Accept: text/plain\r\n"]),
        get("/operator", "shop.example", &[JSON]),
        asked("POST", "/post", "shop.example", &[VISITOR, HTML, "Content-Length: 0\r\n"]),
        asked("HEAD", "/head", "shop.example", &[VISITOR, HTML]),
        get("/last", "shop.example", &[VISITOR, JSON]),
    ];
    let answers = answers(&proxy, &requests);
    let mut groups = Vec::new();
    for (request, answer) in requests.iter().zip(&answers) {
        assert_eq!((answer.status, answer.cause()), (502, "connection_refused"), "{answer:?}");
        let line = proxy.logged(request.path);
        let expected = [
            ("method", Value::from(request.method)),
            ("host", Value::from(request.host)),
            ("status", Value::from(502)),
            ("cause", Value::from("connection_refused")),
            ("upstream", Value::from("app")),
            ("attempts", Value::from(1)),
        ];
        for (name, value) in expected {
            assert_eq!(line[name], value, "{name}: {line}");
        }
        assert!(line["server"].as_str().unwrap().starts_with("http://127.0.0.1:"), "{line}");
        let id = line["incident"].as_str().unwrap();
        assert!(request.method == "HEAD" || answer.body.contains(id), "{id}: {}", answer.body);
        groups.push(id.split('-').next().unwrap().to_owned());
    }
    groups.dedup();
    assert_eq!(groups.len(), 1, "all belong to one incident: {groups:?}");
    let [_, second, third, html, other, operator, post, head, last] = &answers[..] else {
        panic!("{answers:?}")
    };
    assert_eq!(shared(second), shared(third));
    assert_eq!(shared(second), shared(last));
    assert!(html.body.contains("shop.example") && !html.body.contains("news.example"));
    assert!(other.body.contains("news.example") && !other.body.contains("shop.example"));
    assert!(operator.body.contains("\"attempts\"") && !last.body.contains("\"attempts\""));
    assert!(html.body.contains(AGAIN) && !post.body.contains(AGAIN), "a POST is not sent again");
    assert_eq!((head.body.as_str(), head.field("content-type")), ("", html.field("content-type")));
}

#[test]
fn two_upstreams_that_refuse_keep_their_names() {
    let block = |name: &str, path: &str| {
        format!("[upstream.{name}]\nservers = [\"{}\"]\npaths = [\"{path}\"]\n", refusing())
    };
    let proxy = Proxy::with(&(block("one", "/one") + &block("two", "/two")));
    let paths = ["/one/1", "/one/2", "/two/1", "/one/3", "/two/2", "/two/3", "/two/4", "/one/4"];
    let requests = paths.map(|path| asked("GET", path, "shop.example", &[VISITOR]));
    for answer in answers(&proxy, &requests) {
        assert_eq!(answer.cause(), "connection_refused", "{answer:?}");
    }
    let mut servers = [Vec::new(), Vec::new()];
    for path in paths {
        let line = proxy.logged(path);
        let name = &path[1..4];
        assert_eq!(line["upstream"], name, "{line}");
        servers[usize::from(name == "two")].push(line["server"].clone());
    }
    for servers in &mut servers {
        servers.dedup();
        assert_eq!(servers.len(), 1, "{servers:?}");
    }
    assert_ne!(servers[0], servers[1]);
}
