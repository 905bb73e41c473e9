//! Answers in which the upstream itself says that something failed: they pass untouched, with their
//! cause beside them, or our page takes their place.

use std::sync::Mutex;
use std::sync::mpsc;

use super::backend::{Backend, refusing};
use super::client::{Answer, Client};
use super::proxy::{Proxy, get};

const NGINX: &str = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n\
    <center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx/1.22.1</center>\r\n\
    </body>\r\n</html>\r\n";
const COOKIES: &str = "<center>Request Header Or Cookie Too Large</center>";
const DATABASE: &str = "<h1>Error establishing a database connection</h1>";

/// An answer with a length, as a backend sends it.
fn answer(status: &str, fields: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// The proxy before one backend, with this line in the block.
fn before(backend: &Backend, line: &str) -> Proxy {
    Proxy::block(&[backend.server()], &format!("{line}\n"))
}

fn ask(client: &mut Client, method: &str, path: &str) -> Answer {
    client.send(format!(
        "{method} {path} HTTP/1.1\r\nHost: shop.example\r\nAccept: application/problem+json\r\n\r\n"
    ));
    client.answer(method)
}

fn said(status: u16, cause: &str) -> String {
    format!("causeway; received-status={status}; details=\"{cause}\"")
}

#[test]
fn failed_answers_pass_untouched_with_their_cause_beside_them() {
    const FIELDS: &str = "Server: x/1\r\nContent-Type: text/html\r\nX-Own: a\r\nX-Own: b\r\n\
        Set-Cookie: s=1; Path=/\r\nETag: \"e\"\r\nRetry-After: 7\r\n";
    for (status, body, cause) in [
        ("500 Internal Server Error", "no", "upstream_error_status"),
        ("500 Internal Server Error", DATABASE, "helper_services_down"),
        ("501 Not Implemented", "", "upstream_error_status"),
        ("502 Bad Gateway", NGINX, "upstream_gateway_error"),
        ("502 Bad Gateway", "", "upstream_gateway_error"),
        ("503 Service Unavailable", "later", "upstream_unavailable"),
        ("503 Service Unavailable", "no healthy upstream", "upstream_gateway_error"),
        ("504 Gateway Timeout", "slow", "upstream_gateway_error"),
        ("508 Loop Detected", "round", "upstream_loop"),
        ("522 ", "", "upstream_gateway_error"),
        ("400 Bad Request", COOKIES, "request_header_refused"),
        ("431 Request Header Fields Too Large", "", "request_header_refused"),
    ] {
        let backend = Backend::answering(answer(status, FIELDS, body));
        let proxy = Proxy::before(&backend);
        let mut client = Client::connect(proxy.address);
        let number = status[..3].parse().unwrap();
        for _ in 0..2 {
            let got = ask(&mut client, "GET", "/get");
            assert_eq!((got.status, got.body.as_str()), (number, body), "{status}");
            assert!(got.whole, "{status}");
            let own = FIELDS.trim_end().split("\r\n").map(|line| line.split_once(": ").unwrap());
            for (name, value) in own {
                let name = name.to_ascii_lowercase();
                assert!(got.fields(&name).contains(&value), "{status}: {name} in {}", got.head);
            }
            assert_eq!(got.field("content-length"), Some(body.len().to_string().as_str()));
            let names = got.head.lines().skip(1).map(|line| line.split(": ").next().unwrap());
            // Ours are these two.
            let strange = names.map(str::to_ascii_lowercase).filter(|name| {
                let given = format!("{FIELDS}content-length: ").to_ascii_lowercase();
                !given.contains(&format!("{name}: ")) && name != "proxy-status" && name != "date"
            });
            assert_eq!(strange.collect::<Vec<_>>(), [""; 0], "{status}");
            assert_eq!(got.fields("proxy-status"), [said(number, cause)], "{status}");
        }
        let line = proxy.logged("/get");
        assert_eq!((&line["cause"], &line["received_status"]), (&cause.into(), &number.into()));
        assert_eq!(backend.connections(), 1, "{status}");
    }
}

#[test]
fn sound_answers_that_quote_such_words_are_left_alone() {
    for (status, body) in [
        ("200 OK", NGINX),
        ("200 OK", DATABASE),
        ("200 OK", "<br />\n<b>Fatal error</b>:  x in <b>/x</b> on line <b>2</b><br />\n"),
        ("404 Not Found", NGINX),
        ("404 Not Found", DATABASE),
        ("404 Not Found", COOKIES),
        ("413 Content Too Large", "<h1>413 Request Entity Too Large</h1>"),
        ("400 Bad Request", "no"),
    ] {
        let backend = Backend::answering(answer(status, "", body));
        let proxy = before(&backend, "replace_status = [500, 502, 503]");
        let got = proxy.get("/x");
        assert_eq!((got.status.to_string().as_str(), got.body.as_str()), (&status[..3], body));
        assert_eq!(got.field("proxy-status"), None, "{status}");
        assert_eq!(proxy.logged("/x").get("cause"), None, "{status} {body}");
    }
}

#[test]
fn a_chosen_status_gets_our_page() {
    let fields = "Server: secret/1\r\nSet-Cookie: s=1\r\nRetry-After: 77\r\nETag: \"e\"\r\n";
    let backend = Backend::answering(answer("502 Bad Gateway", fields, NGINX));
    let proxy = before(&backend, "replace_status = [404, 502]");
    let mut client = Client::connect(proxy.address);
    for path in ["/first", "/second"] {
        let got = ask(&mut client, "GET", path);
        assert_eq!((got.status, got.problem("cause").as_str()), (502, "upstream_gateway_error"));
        assert_eq!(got.field("content-type"), Some("application/problem+json"));
        assert_eq!(got.fields("proxy-status"), [said(502, "upstream_gateway_error")]);
        assert_eq!(got.fields("retry-after"), ["77"]);
        assert_eq!(got.problem("request"), "may_have_been_processed");
        for gone in ["server", "set-cookie", "etag"] {
            assert_eq!(got.field(gone), None, "{}", got.head);
        }
        let line = proxy.logged(path);
        assert_eq!(line["cause"], "upstream_gateway_error", "{line}");
        assert_eq!((&line["status"], &line["received_status"]), (&502.into(), &502.into()));
        assert_eq!(line["incident"].as_str().map(str::len), Some(9), "{line}");
    }
    // Both ends went on.
    assert_eq!(backend.connections(), 1);
    assert_eq!(backend.requests("/second"), 1);
    // An operator sees who says it.
    let got = ask(&mut client, "GET", "/third");
    for evidence in ["\"hop\":\"nginx\"", "\"received_status\":\"502\"", "\"failed\":\"behind\""] {
        assert!(got.body.contains(evidence), "no {evidence} in {}", got.body);
    }
}

#[test]
fn a_page_in_place_of_another_keeps_what_a_client_goes_on_by() {
    for (status, fields, kept, value, cause) in [
        (
            "401 Unauthorized",
            "WWW-Authenticate: Basic realm=\"x\"\r\n",
            "www-authenticate",
            Some("Basic realm=\"x\""),
            "upstream_error_status",
        ),
        ("405 Method Not Allowed", "Allow: PUT\r\n", "allow", Some("PUT"), "upstream_error_status"),
        (
            "503 Service Unavailable",
            "Retry-After: Sat, 21 Nov 2026 12:00:00 GMT\r\n",
            "retry-after",
            Some("Sat, 21 Nov 2026 12:00:00 GMT"),
            "upstream_unavailable",
        ),
        ("503 Service Unavailable", "", "retry-after", Some("60"), "upstream_unavailable"),
        ("404 Not Found", "", "retry-after", None, "upstream_error_status"),
    ] {
        let backend = Backend::answering(answer(status, fields, "theirs"));
        let proxy = before(&backend, "replace_status = [401, 404, 405, 503]");
        let got = ask(&mut Client::connect(proxy.address), "GET", "/");
        let number = status[..3].parse().unwrap();
        assert_eq!((got.status, got.problem("cause").as_str()), (number, cause));
        assert_eq!(got.field(kept), value, "{status}");
        assert_eq!(got.field("proxy-status"), Some(said(number, cause).as_str()));
    }
}

#[test]
fn head_has_the_fields_of_the_page_and_no_body() {
    let backend = Backend::scripted(|peer| {
        while peer.request().is_some() {
            peer.send("HTTP/1.1 503 Busy\r\nContent-Length: 4000\r\nServer: haproxy\r\n\r\n");
        }
    });
    let proxy = before(&backend, "replace_status = [503]");
    let mut client = Client::connect(proxy.address);
    for _ in 0..2 {
        let got = ask(&mut client, "HEAD", "/");
        assert_eq!((got.status, got.cause()), (503, "upstream_unavailable"));
        assert_eq!(got.field("content-type"), Some("application/problem+json"));
        assert_ne!(got.field("content-length"), Some("4000"));
    }
    let plain = Proxy::before(&backend).ask("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!((plain.status, plain.field("content-length")), (503, Some("4000")));
    // One for each proxy.
    assert_eq!(backend.connections(), 2);
}

/// More than is read of it.
#[test]
fn a_large_body_passes_whole_or_ends_with_its_connection() {
    let body = format!("{NGINX}{}", "x".repeat(3_000_000));
    let chunked = format!(
        "HTTP/1.1 502 Bad Gateway\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    );
    for whole in [answer("502 Bad Gateway", "", &body), chunked] {
        let backend =
            Backend::scripted(move |peer| while peer.request().is_some() && peer.send(&whole) {});
        let passing = Proxy::before(&backend);
        let mut client = Client::connect(passing.address);
        for _ in 0..2 {
            let got = ask(&mut client, "GET", "/passes");
            assert!(got.whole && got.body == body, "{} bytes", got.body.len());
            assert_eq!(got.cause(), "upstream_gateway_error");
        }
        assert_eq!(backend.connections(), 1);

        let replacing = before(&backend, "replace_status = [502]");
        let mut client = Client::connect(replacing.address);
        for _ in 0..2 {
            let got = ask(&mut client, "GET", "/replaced");
            assert_eq!(
                (got.status, got.problem("cause").as_str()),
                (502, "upstream_gateway_error")
            );
        }
        // What was left of the first could not be the next one's answer.
        assert_eq!(backend.connections(), 3);
    }
}

#[test]
fn nothing_is_waited_for() {
    let (go_on, told) = mpsc::channel();
    let told = Mutex::new(told);
    let backend = Backend::scripted(move |peer| {
        if peer.request().is_some() {
            let length = NGINX.len();
            peer.send(format!("HTTP/1.1 502 Bad\r\nContent-Length: {length}\r\n\r\n"));
            peer.send(&NGINX[..20]);
            told.lock().unwrap().recv().unwrap();
            peer.send(&NGINX[20..]);
        }
    });
    let proxy = Proxy::before(&backend);
    let mut client = Client::sent(proxy.address, get("/"));
    let begun = client.until(&NGINX[..20]);
    assert!(begun.contains(&said(502, "upstream_gateway_error")), "{begun}");
    go_on.send(()).unwrap();
    client.until("</html>\r\n");
}

/// Our page goes out while the upstream still sends, and its connection ends.
#[test]
fn a_body_that_is_under_way_is_let_go() {
    let (tell, ended) = mpsc::channel();
    let tell = Mutex::new(tell);
    let backend = Backend::scripted(move |peer| {
        if peer.request().is_some() {
            peer.send("HTTP/1.1 500 No\r\nContent-Length: 9000\r\n\r\nbegun");
            peer.drain();
            tell.lock().unwrap().send(()).unwrap();
        }
    });
    let proxy = before(&backend, "replace_status = [500]");
    let got = ask(&mut Client::connect(proxy.address), "GET", "/");
    assert_eq!((got.status, got.cause()), (500, "upstream_error_status"));
    ended.recv_timeout(super::PATIENCE).unwrap();
}

#[test]
fn a_coded_page_is_not_read() {
    let fields = "Content-Encoding: gzip\r\nServer: nginx\r\n";
    let backend = Backend::answering(answer("500 No", fields, DATABASE));
    let proxy = Proxy::before(&backend);
    assert_eq!(proxy.get("/").cause(), "upstream_error_status");
}

/// What the client sent beside Host, where it is sent, and the cause in the log.
#[test]
fn a_redirect_that_goes_round_is_in_the_log() {
    let https = "X-Forwarded-Proto: https\r\n";
    for (sent, location, cookie, cause) in [
        ("", "/x?a=b", "", Some("redirect_loop")),
        ("", "http://shop.example/x?a=b", "", Some("redirect_loop")),
        (https, "https://shop.example/x?a=b", "", Some("redirect_loop")),
        ("Sec-Fetch-Site: none\r\n", "https://shop.example/x?a=b", "", Some("redirect_loop")),
        ("", "https://shop.example/x?a=b", "", None),
        (https, "https://www.shop.example/x?a=b", "", None),
        ("", "/x?a=b", "Set-Cookie: seen=1\r\n", None),
        ("", "/y", "", None),
    ] {
        let fields = format!("Location: {location}\r\n{cookie}");
        let backend = Backend::answering(answer("302 Found", &fields, "moved"));
        let proxy = Proxy::before(&backend);
        let request = format!("GET /x?a=b HTTP/1.1\r\nHost: shop.example\r\n{sent}\r\n");
        let got = proxy.ask(request);
        assert_eq!((got.status, got.field("location")), (302, Some(location)));
        assert_eq!((got.body.as_str(), got.field("proxy-status")), ("moved", None));
        let line = proxy.logged("/x?a=b");
        assert_eq!(line.get("cause").and_then(|cause| cause.as_str()), cause, "{sent}{location}");
    }
    let backend = Backend::answering(answer("303 See Other", "Location: /x\r\n", ""));
    let proxy = Proxy::before(&backend);
    let form = "POST /x HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 2\r\n\r\nhi";
    assert_eq!(proxy.ask(form).status, 303);
    assert_eq!(proxy.logged("/x").get("cause"), None);
}

/// Behind a delivery network that swallows 502 and 504, failures come with another status.
#[test]
fn failures_have_the_status_that_is_asked_for() {
    let gone = Backend::answering(answer("502 Bad Gateway", "", NGINX));
    let slow = Backend::scripted(|peer| while peer.request().is_some() {});
    for (page, refused, late, replaced, passed) in [
        ("", 502, 502, 502, 502),
        ("gateway_timeout = 504", 502, 504, 502, 502),
        ("gateway_error = 503", 503, 503, 503, 502),
        ("gateway_error = 500\ngateway_timeout = 504", 500, 504, 500, 502),
    ] {
        let block = |name: &str, server: String, more: &str| {
            format!("[upstream.{name}]\nservers = [\"{server}\"]\npaths = [\"/{name}\"]\n{more}\n")
        };
        let proxy = Proxy::with(&format!(
            "{}{}{}{}[page]\n{page}\n",
            block("refused", refusing(), ""),
            block("late", slow.server(), "timeouts.first_byte = \"100ms\""),
            block("replaced", gone.server(), "replace_status = [502]"),
            block("passed", gone.server(), ""),
        ));
        for (path, status, cause) in [
            ("/refused", refused, "connection_refused"),
            ("/late", late, "first_byte_timeout"),
            ("/replaced", replaced, "upstream_gateway_error"),
            ("/passed", passed, "upstream_gateway_error"),
            // What is ours to say keeps its own.
            ("/elsewhere", 500, "no_upstream_configured"),
        ] {
            let got = proxy.get(path);
            let said = got.field("proxy-status").unwrap_or_default().to_owned();
            assert_eq!(got.status, status, "{page}: {path}");
            assert!(said.contains(cause), "{page}: {path}: {said}");
            assert_eq!(proxy.logged(path)["status"], status, "{page}: {path}");
        }
    }
}
