//! What PHP is told about a request: the meta-variables of RFC 3875 section 4.1, those that PHP
//! programs expect beside them, and what a client must not be able to put among them.

use serde_json::Value;

use super::client;
use super::support::proxy::Proxy;
use super::{HELLO, Listen, Site, plain, serve};

/// Sends a request to a page that prints `$_SERVER`.
fn seen(proxy: &Proxy, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Value {
    let answer = client::request(proxy.port, method, target, headers, body);
    assert_eq!(answer.status, 200, "{target}: {answer:?}");
    answer.problem()
}

fn get(proxy: &Proxy, target: &str, headers: &[(&str, &str)]) -> Value {
    seen(proxy, "GET", target, headers, b"")
}

/// Holds variables to their values; "" also stands for a variable that is not there.
fn assert_seen(seen: &Value, expected: &[(&str, &str)]) {
    for (name, value) in expected {
        assert_eq!(seen[name].as_str().unwrap_or_default(), *value, "{name}: {seen:#}");
    }
}

#[test]
fn a_get_is_described_completely() {
    let (site, _fpm, proxy) = plain();
    let root = site.root().display().to_string();
    let script = format!("{root}/variables.php");
    let stream = client::connect(proxy.port);
    let own_port = stream.local_addr().expect("its address").port().to_string();
    let head = client::head("GET", "/variables.php?x=1&y=%2F", &[("Connection", "close")]);
    std::io::Write::write_all(&mut &stream, (head + "\r\n").as_bytes()).expect("it is taken");
    let mut body = Vec::new();
    client::Incoming::read(stream, "GET").read_body(|piece| body.extend_from_slice(piece));
    let seen: Value = serde_json::from_slice(&body).expect("JSON");
    assert_seen(
        &seen,
        &[
            ("SCRIPT_FILENAME", &script),
            ("SCRIPT_NAME", "/variables.php"),
            ("PHP_SELF", "/variables.php"),
            ("PATH_INFO", ""),
            ("PATH_TRANSLATED", ""),
            ("DOCUMENT_ROOT", &root),
            ("QUERY_STRING", "x=1&y=%2F"),
            ("REQUEST_URI", "/variables.php?x=1&y=%2F"),
            ("REQUEST_METHOD", "GET"),
            ("CONTENT_TYPE", ""),
            ("CONTENT_LENGTH", ""),
            ("SERVER_NAME", client::HOST),
            ("SERVER_PORT", &proxy.port.to_string()),
            ("SERVER_ADDR", "127.0.0.1"),
            ("SERVER_PROTOCOL", "HTTP/1.1"),
            ("GATEWAY_INTERFACE", "CGI/1.1"),
            ("REMOTE_ADDR", "127.0.0.1"),
            ("REMOTE_PORT", &own_port),
            ("REDIRECT_STATUS", "200"),
            ("HTTP_HOST", client::HOST),
        ],
    );
    let software = seen["SERVER_SOFTWARE"].as_str().unwrap_or_default();
    assert!(software.to_ascii_lowercase().starts_with("causeway"), "{software}");
    assert_eq!(seen["HTTPS"], Value::Null, "any value but off stands for TLS: {seen:#}");
    assert_eq!(seen["HTTP_CONNECTION"], Value::Null, "it is of the client's hop: {seen:#}");
}

#[test]
fn a_post_has_its_type_and_length() {
    let (_site, _fpm, proxy) = plain();
    let headers = [("Content-Type", "text/plain; charset=utf-8")];
    let seen = seen(&proxy, "POST", "/variables.php", &headers, b"12345");
    assert_seen(
        &seen,
        &[
            ("REQUEST_METHOD", "POST"),
            ("CONTENT_TYPE", headers[0].1),
            ("CONTENT_LENGTH", "5"),
            // RFC 3875 section 4.1.18: not told twice.
            ("HTTP_CONTENT_TYPE", ""),
            ("HTTP_CONTENT_LENGTH", ""),
        ],
    );
}

#[test]
fn what_follows_the_script_is_path_info() {
    let (site, _fpm, proxy) = plain();
    let root = site.root().display().to_string();
    let script = format!("{root}/variables.php");
    for (target, info) in [
        ("/variables.php/a/b?q", "/a/b"),
        ("/variables.php/", "/"),
        ("/variables.php/a%20b/%C3%BC", "/a b/ü"),
        ("/variables.php/x.php", "/x.php"),
    ] {
        let seen = get(&proxy, target, &[]);
        assert_seen(
            &seen,
            &[
                ("SCRIPT_FILENAME", &script),
                ("SCRIPT_NAME", "/variables.php"),
                ("PATH_INFO", info),
                ("PATH_TRANSLATED", &format!("{root}{info}")),
                ("PHP_SELF", &format!("/variables.php{info}")),
                ("REQUEST_URI", target),
            ],
        );
    }
}

#[test]
fn names_are_decoded_once_and_the_uri_is_not() {
    let site = Site::new();
    let page = "<?php echo json_encode($_SERVER);";
    let root = site.root().display().to_string();
    let cases = [
        ("with space.php", "/with%20space.php"),
        ("grün.php", "/gr%C3%BCn.php"),
        ("per%63ent.php", "/per%2563ent.php"),
        ("plus+sign.php", "/plus+sign.php"),
        ("inner/deep.php", "/inner/deep.php"),
    ];
    for (name, _) in cases {
        site.put(name, page);
    }
    let (_site, _fpm, proxy) = serve(site, Listen::Unix, &[], "");
    for (name, path) in cases {
        let target = format!("{path}?a=%20+");
        let seen = get(&proxy, &target, &[]);
        assert_seen(
            &seen,
            &[
                ("SCRIPT_FILENAME", &format!("{root}/{name}")),
                ("SCRIPT_NAME", &format!("/{name}")),
                ("REQUEST_URI", &target),
                ("QUERY_STRING", "a=%20+"),
            ],
        );
    }
}

#[test]
fn the_front_controller_sees_the_path_that_was_asked_for() {
    let site = Site::new();
    site.put("index.php", "<?php echo json_encode($_SERVER);");
    let root = site.root().display().to_string();
    let (_site, _fpm, proxy) = serve(site, Listen::Unix, &[], "");
    for target in ["/a-permalink/?p=1", "/no-such.php?p=1"] {
        let seen = get(&proxy, target, &[]);
        assert_seen(
            &seen,
            &[
                ("SCRIPT_FILENAME", &format!("{root}/index.php")),
                ("SCRIPT_NAME", "/index.php"),
                ("PATH_INFO", ""),
                ("REQUEST_URI", target),
                ("QUERY_STRING", "p=1"),
            ],
        );
    }
}

#[test]
fn fields_become_variables_and_repeated_ones_are_joined() {
    let (_site, _fpm, proxy) = plain();
    let sent = [
        ("X-Question", "why; \"quoted\""),
        ("Accept-Language", "de"),
        ("X-Twice", "a"),
        ("X-Twice", "b"),
        ("Cookie", "a=1"),
        ("Cookie", "b=2"),
        ("Authorization", "Basic YTpi"),
        ("X-Empty", ""),
    ];
    let seen = get(&proxy, "/variables.php", &sent);
    assert_seen(
        &seen,
        &[
            ("HTTP_X_QUESTION", "why; \"quoted\""),
            ("HTTP_ACCEPT_LANGUAGE", "de"),
            ("HTTP_X_TWICE", "a, b"),
            // RFC 9113 section 8.2.3 has the separator of this one.
            ("HTTP_COOKIE", "a=1; b=2"),
            ("HTTP_AUTHORIZATION", "Basic YTpi"),
        ],
    );
    assert_eq!(seen["HTTP_X_EMPTY"], "", "it was there: {seen:#}");
}

/// CVE-2016-5385: HTTP_PROXY is the name of a variable that programs trust.
#[test]
fn a_client_cannot_name_a_proxy() {
    let (_site, _fpm, proxy) = plain();
    let seen = get(&proxy, "/variables.php", &[("Proxy", "http://evil.example/")]);
    assert!(!seen.to_string().contains("evil.example"), "{seen:#}");
}

/// `X_Forwarded_For` would be the same variable as `X-Forwarded-For`, which is the proxy's to set.
#[test]
fn fields_with_underscores_do_not_pass_for_others() {
    let (_site, _fpm, proxy) = plain();
    let forged = [
        ("X_Forwarded_For", "192.0.2.66"),
        ("X-Forwarded_For", "192.0.2.66"),
        ("X_Real-IP", "192.0.2.66"),
        ("Content_Length", "forged"),
    ];
    for field in forged {
        let answer = client::request(proxy.port, "GET", "/variables.php", &[field], b"");
        // Refusing the request is another way of not passing it on.
        assert!(matches!(answer.status, 200 | 400), "{field:?}: {answer:?}");
        let body = String::from_utf8_lossy(&answer.body);
        assert!(answer.status == 400 || !body.contains(field.1), "{field:?}: {body}");
    }
}

/// A client that is no trusted proxy does not choose the address that PHP sees.
#[test]
fn a_forwarding_field_of_a_client_is_not_believed() {
    let (_site, _fpm, proxy) = plain();
    let fields = [("X-Forwarded-For", "192.0.2.66"), ("X-Forwarded-Proto", "https")];
    let seen = get(&proxy, "/variables.php", &fields);
    assert_seen(&seen, &[("REMOTE_ADDR", "127.0.0.1"), ("HTTPS", "")]);
    assert!(!seen.to_string().contains("192.0.2.66"), "{seen:#}");
    assert_ne!(seen["HTTP_X_FORWARDED_PROTO"], "https", "{seen:#}");
}

/// PHP reads each PARAMS record by itself: a pair must not lie across two of them.
#[test]
fn long_fields_reach_php() {
    let room = "[client]\nheader_section = \"256KiB\"\n";
    let site = Site::new();
    site.put(
        "lengths.php",
        "<?php echo strlen($_SERVER['HTTP_COOKIE'] ?? ''), ' ', strlen($_SERVER['HTTP_X_A'] ?? ''),
             ' ', strlen($_SERVER['HTTP_X_B'] ?? ''), ' ', strlen($_SERVER['REDIRECT_STATUS']);",
    );
    let (_site, _fpm, proxy) = serve(site, Listen::Unix, &[], room);
    // Each begins somewhere else in a record of 64 kB.
    for step in [0, 1, 100, 2000, 4001, 30_000] {
        let (a, b, c) = ("a".repeat(60_000 - step), "b".repeat(35_000), "c".repeat(30_000 + step));
        let fields = [("Cookie", a.as_str()), ("X-A", b.as_str()), ("X-B", c.as_str())];
        let answer = client::request(proxy.port, "GET", "/lengths.php", &fields, b"");
        assert_eq!(answer.status, 200, "{step}: {answer:?}");
        let expected = format!("{} 35000 {} 3", 60_000 - step, 30_000 + step);
        assert_eq!(String::from_utf8_lossy(&answer.body), expected);
    }
}

/// No record holds such a pair, so that PHP would only drop the connection.
#[test]
fn a_field_that_no_record_holds_is_the_clients_fault() {
    let room = "[client]\nheader_section = \"256KiB\"\n";
    let (site, _fpm, proxy) = serve(Site::new(), Listen::Unix, &[], room);
    let long = "c".repeat(70_000);
    let answer = client::request(proxy.port, "GET", "/hello.php", &[("Cookie", &long)], b"");
    assert!(matches!(answer.status, 400 | 431), "{answer:?}");
    assert_eq!(site.runs(), [""; 0]);
    super::expect_forwarding(&proxy);
    assert_eq!(client::get(proxy.port, "/hello.php", "*/*").body, HELLO);
}
