//! Pages of a healthy PHP: status, fields and body arrive as PHP made them, and as soon.

use super::client::{self, Answer, End, Md5sum};
use super::support::proxy::Proxy;
use super::{HELLO, Listen, Site, both, eventually, plain, serve};

fn get(proxy: &Proxy, path: &str) -> Answer {
    let answer = client::get(proxy.port, path, "*/*");
    assert_eq!(answer.end, End::Complete, "{path}");
    answer
}

#[test]
fn pages_pass_through_as_php_made_them() {
    for listen in both() {
        let (site, _fpm, proxy) = serve(Site::new(), listen, &[], "");
        let answer = get(&proxy, "/hello.php");
        assert_eq!((answer.status, answer.body.as_slice()), (200, HELLO), "{listen:?}");
        assert_eq!(answer.header("content-type"), Some("text/html; charset=UTF-8"));
        assert_eq!(answer.header("x-from"), Some("php"));
        assert_eq!(answer.all("set-cookie"), ["a=1", "b=2"]);
        assert_eq!(answer.header("status"), None, "the CGI field is for the proxy: {answer:?}");
        assert_eq!(answer.header("proxy-status"), None, "{answer:?}");
        proxy.expect_logged_as_sound("/hello.php");
        assert_eq!(site.runs(), ["hello.php"], "{listen:?}");
    }
}

#[test]
fn statuses_are_the_pages_own() {
    let (_site, _fpm, proxy) = plain();
    let answer = get(&proxy, "/redirect.php");
    assert_eq!(answer.status, 302, "{answer:?}");
    assert_eq!(answer.header("location"), Some("/elsewhere?from=here"));
    for status in [201, 400, 403, 404, 410, 500, 502, 503, 504] {
        let answer = get(&proxy, &format!("/status.php?is={status}"));
        assert_eq!((answer.status, answer.body.as_slice()), (status, b"As said.".as_slice()));
        assert_eq!(answer.header("retry-after"), Some("120"), "{answer:?}");
        let said = answer.header("proxy-status").unwrap_or_default();
        let expected = status >= 500;
        assert_eq!(said.contains(&format!("received-status={status}")), expected, "{answer:?}");
    }
    let answer = get(&proxy, "/nothing.php");
    assert_eq!((answer.status, answer.body.len()), (204, 0), "{answer:?}");
    let answer = get(&proxy, "/unmodified.php");
    assert_eq!((answer.status, answer.body.len()), (304, 0), "{answer:?}");
    assert_eq!(answer.header("etag"), Some("\"x\""));
}

#[test]
fn head_has_the_fields_of_the_page_and_no_body() {
    let (_site, _fpm, proxy) = plain();
    let answer = client::request(proxy.port, "HEAD", "/hello.php", &[], b"");
    assert_eq!((answer.status, answer.body.len(), answer.end), (200, 0, End::Complete));
    assert_eq!(answer.header("x-from"), Some("php"), "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("text/html; charset=UTF-8"), "{answer:?}");
}

#[test]
fn a_folder_is_its_index_page() {
    let site = Site::new();
    site.put("index.php", "<?php echo 'the index';");
    site.put("inner/index.php", "<?php echo 'an inner index';");
    let (_site, _fpm, proxy) = serve(site, Listen::Unix, &[], "");
    assert_eq!(get(&proxy, "/").body, b"the index");
    assert_eq!(get(&proxy, "/inner/").body, b"an inner index");
    assert_eq!(get(&proxy, "/?page=2").body, b"the index");
}

#[test]
fn a_path_without_a_file_is_the_front_controllers() {
    let site = Site::new();
    site.put("index.php", "<?php echo $_SERVER['REQUEST_URI'], ' ', $_SERVER['SCRIPT_NAME'];");
    let (_site, _fpm, proxy) = serve(site, Listen::Unix, &[], "");
    for path in ["/a-permalink/", "/2026/11/post?reply=1", "/no-such.php", "/no-such.css"] {
        let answer = get(&proxy, path);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        let said = String::from_utf8_lossy(&answer.body);
        assert_eq!(said, format!("{path} /index.php"), "{path}");
    }
}

#[test]
fn a_download_of_100_mb_arrives_whole() {
    let (site, _fpm, proxy) = plain();
    let big = site.big_file();
    for path in ["/stream.php", "/stream.php?length", "/big.bin"] {
        let mut sum = Md5sum::new();
        let mut answer = client::open(proxy.port, "GET", path, &[], b"");
        assert_eq!(answer.status, 200, "{path}");
        let chunked = answer.header("transfer-encoding") == Some("chunked");
        assert_eq!(chunked, path == "/stream.php", "{path}: {:?}", answer.headers);
        let end = answer.read_body(|piece| sum.update(piece));
        assert_eq!(end, End::Complete, "{path}");
        assert_eq!(sum.finish(), big.md5, "{path}");
    }
}

/// The page says its second part only when the first has arrived here.
#[test]
fn a_part_of_a_page_arrives_before_the_rest_is_made() {
    for listen in both() {
        let (site, _fpm, proxy) = serve(Site::new(), listen, &[], "");
        let mut answer = client::open(proxy.port, "GET", "/two_parts.php", &[], b"");
        assert_eq!(answer.status, 200);
        let mut body = Vec::new();
        let end = answer.read_body(|piece| {
            if body.is_empty() {
                assert_eq!(piece, b"first part\n", "{listen:?}");
                site.signal("go");
            }
            body.extend_from_slice(piece);
        });
        assert_eq!(end, End::Complete, "{listen:?}");
        assert_eq!(body, b"first part\nsecond part\n", "{listen:?}");
    }
}

#[test]
fn a_page_that_writes_1_mb_to_stderr_arrives_whole() {
    for listen in both() {
        let (_site, _fpm, proxy) = serve(Site::new(), listen, &[], "");
        let answer = get(&proxy, "/loud.php");
        assert_eq!((answer.status, answer.body.as_slice()), (200, b"done".as_slice()));
        proxy.expect_logged_as_sound("/loud.php");
    }
}

#[test]
fn long_header_sections_pass_up_to_the_limit() {
    let (site, fpm, narrow) = plain();
    let answer = get(&narrow, "/headers.php?count=60&size=1000");
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"after the headers".as_slice()));
    assert_eq!(answer.header("x-long-59").map(str::len), Some(1000));
    let causes = ["header_section_too_large"];
    let path = "/headers.php?count=70&size=1000";
    super::expect_cause(&narrow, path, &causes, "http_response_header_section_size");

    let limits = "[upstream.site.limits]\nheader_section = \"128KiB\"\n";
    let wide = Proxy::before(&fpm.server(), &site.block(limits));
    let answer = get(&wide, path);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("x-long-69").map(str::len), Some(1000));
    // One field that does not fit a record.
    let answer = get(&wide, "/headers.php?count=1&size=70000");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("x-long-0").map(str::len), Some(70_000));
    assert_eq!(answer.body, b"after the headers");
}

/// An HTTP/1.0 client is told the end of a page by the end of the connection.
#[test]
fn an_old_client_gets_the_page_too() {
    let (_site, _fpm, proxy) = plain();
    let mut stream = client::connect(proxy.port);
    std::io::Write::write_all(
        &mut stream,
        b"GET /hello.php HTTP/1.0\r\nHost: shop.example\r\n\r\n",
    )
    .expect("the request is taken");
    let mut answer = client::Incoming::read(stream, "GET");
    assert_eq!(answer.header("transfer-encoding"), None);
    let mut body = Vec::new();
    let end = answer.read_body(|piece| body.extend_from_slice(piece));
    assert_eq!((end, body.as_slice()), (End::Complete, HELLO));
}

#[test]
fn a_pool_that_starts_its_workers_on_demand_answers() {
    let directives = [("pm", "ondemand"), ("pm.process_idle_timeout", "1s")];
    let (_site, fpm, proxy) = serve(Site::new(), Listen::Unix, &directives, "");
    assert_eq!(get(&proxy, "/hello.php").body, HELLO);
    eventually("the worker has been ended", || fpm.workers().is_empty().then_some(()));
    assert_eq!(get(&proxy, "/hello.php").body, HELLO);
}
