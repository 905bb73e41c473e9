//! Files of a PHP site: sent by the proxy, with what browsers and download managers ask for, while
//! PHP knows nothing of it.

use std::fs::File;
use std::process::Command;
use std::time::{Duration, SystemTime};

use super::client::{self, Answer, End};
use super::site::HELLO;
use super::support::proxy::Proxy;
use super::support::tools::run;
use super::{Listen, Site, plain, serve};

fn ask(proxy: &Proxy, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let answer = client::request(proxy.port, method, path, headers, b"");
    assert_eq!(answer.end, End::Complete, "{method} {path} {headers:?}");
    answer
}

#[test]
fn a_file_is_sent_with_its_type_length_and_validators() {
    let site = Site::new();
    let types = [
        ("hello.txt", "text/plain"),
        ("style.css", "text/css"),
        ("app.js", "text/javascript"),
        ("data.json", "application/json"),
        ("page.html", "text/html"),
        ("drawing.svg", "image/svg+xml"),
        ("photo.jpg", "image/jpeg"),
        ("photo.webp", "image/webp"),
        ("font.woff2", "font/woff2"),
        ("unknown.qqq", "application/octet-stream"),
    ];
    for (name, _) in types {
        site.put(name, HELLO);
    }
    let (site, _fpm, proxy) = serve(site, Listen::Unix, &[], "");
    for (name, kind) in types {
        let answer = ask(&proxy, "GET", &format!("/{name}"), &[]);
        assert_eq!((answer.status, answer.body.as_slice()), (200, HELLO), "{name}: {answer:?}");
        let found = answer.header("content-type").unwrap_or_default();
        assert_eq!(found.split(';').next(), Some(kind), "{name}: {answer:?}");
        let length = HELLO.len().to_string();
        assert_eq!(answer.header("content-length"), Some(length.as_str()), "{name}");
        assert!(answer.header("etag").is_some(), "{name}: {answer:?}");
        assert!(answer.header("last-modified").is_some(), "{name}: {answer:?}");
        assert_eq!(answer.header("accept-ranges"), Some("bytes"), "{name}: {answer:?}");
        let head = ask(&proxy, "HEAD", &format!("/{name}"), &[]);
        assert_eq!((head.status, head.body.len()), (200, 0), "{name}: {head:?}");
        for field in ["content-type", "content-length", "etag", "last-modified"] {
            assert_eq!(head.header(field), answer.header(field), "{name}: {field}");
        }
    }
    proxy.expect_logged_as_sound("/hello.txt");
    assert_eq!(site.runs(), [""; 0], "PHP has nothing to do with it");
}

#[test]
fn an_empty_file_and_a_folders_index_are_files_too() {
    let site = Site::new();
    site.put("empty.txt", "");
    site.put("inner/index.html", "<p>inner");
    site.put("with space & ü.txt", HELLO);
    let (_site, _fpm, proxy) = serve(site, Listen::Unix, &[], "");
    let answer = ask(&proxy, "GET", "/empty.txt", &[]);
    assert_eq!((answer.status, answer.header("content-length")), (200, Some("0")), "{answer:?}");
    let answer = ask(&proxy, "GET", "/inner/", &[]);
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"<p>inner".as_slice()));
    let answer = ask(&proxy, "GET", "/inner?a=%20b", &[]);
    assert!(matches!(answer.status, 301 | 308), "{answer:?}");
    let location = answer.header("location").unwrap_or_default();
    assert!(location.ends_with("/inner/?a=%20b"), "{location}");
    let answer = ask(&proxy, "GET", "/with%20space%20&%20%C3%BC.txt", &[]);
    assert_eq!((answer.status, answer.body.as_slice()), (200, HELLO), "{answer:?}");
}

#[test]
fn parts_of_a_file_are_sent() {
    let (_site, _fpm, proxy) = plain();
    let size = HELLO.len();
    for (range, from, to) in [
        ("bytes=5-7", 5, 8),
        ("bytes=0-0", 0, 1),
        ("bytes=5-", 5, size),
        ("bytes=-4", size - 4, size),
        ("bytes=5-9999", 5, size),
        ("bytes=-9999", 0, size),
    ] {
        let answer = ask(&proxy, "GET", "/hello.txt", &[("Range", range)]);
        assert_eq!((answer.status, answer.body.as_slice()), (206, &HELLO[from..to]), "{range}");
        let said = format!("bytes {from}-{}/{size}", to - 1);
        assert_eq!(answer.header("content-range"), Some(said.as_str()), "{range}");
    }
    let answer = ask(&proxy, "GET", "/hello.txt", &[("Range", "bytes=9999-")]);
    assert_eq!(answer.status, 416, "{answer:?}");
    let said = format!("bytes */{size}");
    assert_eq!(answer.header("content-range"), Some(said.as_str()), "{answer:?}");
    // RFC 9110 section 14.2: a range that cannot be understood is passed over.
    for range in ["bytes=7-5", "lines=1-2", "bytes=x"] {
        let answer = ask(&proxy, "GET", "/hello.txt", &[("Range", range)]);
        assert_eq!((answer.status, answer.body.as_slice()), (200, HELLO), "{range}");
    }
    let several = ask(&proxy, "GET", "/hello.txt", &[("Range", "bytes=0-1,5-6")]);
    let kind = several.header("content-type").unwrap_or_default();
    let is_multipart = kind.starts_with("multipart/byteranges; boundary=");
    assert_eq!((several.status, is_multipart), (206, true), "{several:?}");
}

#[test]
fn what_the_client_has_is_not_sent_again() {
    let (site, _fpm, proxy) = plain();
    let first = ask(&proxy, "GET", "/hello.txt", &[]);
    let etag = first.header("etag").expect("an entity tag").to_owned();
    let modified = first.header("last-modified").expect("a date").to_owned();
    let known: [(&str, &str); 4] = [
        ("If-None-Match", &etag),
        ("If-None-Match", "*"),
        ("If-None-Match", &format!("\"other\", {etag}")),
        ("If-Modified-Since", &modified),
    ];
    for field in known {
        let answer = ask(&proxy, "GET", "/hello.txt", &[field]);
        assert_eq!((answer.status, answer.body.len()), (304, 0), "{field:?}: {answer:?}");
        assert_eq!(answer.header("etag"), Some(etag.as_str()), "{field:?}");
    }
    let old: [&[(&str, &str)]; 3] = [
        &[("If-None-Match", "\"other\"")],
        &[("If-Modified-Since", "Sun, 06 Nov 1994 08:49:37 GMT")],
        // RFC 9110 section 13.2.2: the tag decides where both are.
        &[("If-None-Match", "\"other\""), ("If-Modified-Since", &modified)],
    ];
    for fields in old {
        let answer = ask(&proxy, "GET", "/hello.txt", fields);
        assert_eq!((answer.status, answer.body.as_slice()), (200, HELLO), "{fields:?}");
    }
    for field in
        [("If-Match", "\"other\""), ("If-Unmodified-Since", "Sun, 06 Nov 1994 08:49:37 GMT")]
    {
        let answer = ask(&proxy, "GET", "/hello.txt", &[field]);
        assert_eq!(answer.status, 412, "{field:?}: {answer:?}");
    }
    // A download that is taken up again.
    for (tag, status) in [(etag.as_str(), 206), ("\"other\"", 200)] {
        let fields = [("Range", "bytes=5-7"), ("If-Range", tag)];
        assert_eq!(ask(&proxy, "GET", "/hello.txt", &fields).status, status, "{tag}");
    }
    site.put("hello.txt", b"Good day from another.");
    let answer = ask(&proxy, "GET", "/hello.txt", &[("If-None-Match", &etag)]);
    assert_eq!(
        (answer.status, answer.body.as_slice()),
        (200, b"Good day from another.".as_slice())
    );
}

/// A sibling that is at least as new takes the place of the file for those who understand it.
#[test]
fn compressed_siblings_are_sent_to_those_who_take_them() {
    let site = Site::new();
    site.put("style.css", "plain");
    site.put("style.css.br", "br");
    site.put("style.css.gz", "gz");
    site.put("old.css", "plain");
    let old = site.put("old.css.gz", "outdated");
    let file = File::options().write(true).open(old).expect("a file");
    file.set_modified(SystemTime::now() - Duration::from_secs(7200)).expect("its time");
    let (_site, _fpm, proxy) = serve(site, Listen::Unix, &[], "");
    let mut tags = Vec::new();
    for (accept, coding, body) in [
        ("gzip, deflate, br", Some("br"), "br"),
        ("gzip", Some("gzip"), "gz"),
        ("br;q=0, gzip", Some("gzip"), "gz"),
        ("br;q=0.1, gzip;q=0.9", Some("gzip"), "gz"),
        ("identity", None, "plain"),
        ("", None, "plain"),
    ] {
        let answer = ask(&proxy, "GET", "/style.css", &[("Accept-Encoding", accept)]);
        assert_eq!(answer.body, body.as_bytes(), "{accept:?}: {answer:?}");
        assert_eq!(answer.header("content-encoding"), coding, "{accept:?}: {answer:?}");
        let kind = answer.header("content-type").unwrap_or_default();
        assert!(kind.starts_with("text/css"), "{accept:?}: {kind}");
        let vary = answer.header("vary").unwrap_or_default().to_ascii_lowercase();
        assert!(vary.contains("accept-encoding"), "{accept:?}: {answer:?}");
        tags.push((body, answer.header("etag").map(str::to_owned)));
    }
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), 3, "one tag for each representation: {tags:?}");
    let answer = ask(&proxy, "GET", "/old.css", &[("Accept-Encoding", "gzip")]);
    assert_eq!(
        (answer.body.as_slice(), answer.header("content-encoding")),
        (b"plain".as_slice(), None)
    );
}

#[test]
fn a_file_takes_no_other_methods() {
    let (site, _fpm, proxy) = plain();
    for method in ["POST", "PUT", "DELETE"] {
        let answer = ask(&proxy, method, "/hello.txt", &[("Content-Length", "0")]);
        assert_eq!(answer.status, 405, "{method}: {answer:?}");
        let allow = answer.header("allow").unwrap_or_default();
        assert!(allow.contains("GET") && allow.contains("HEAD"), "{method}: {answer:?}");
    }
    proxy.expect_logged("/hello.txt", &["method_not_allowed"]);
    assert_eq!(std::fs::read(site.root().join("hello.txt")).expect("the file"), HELLO);
}

#[test]
fn try_and_index_decide_what_a_path_is() {
    let site = Site::new();
    site.put("start.html", "<p>start");
    site.put("inner/start.html", "<p>inner");
    let more = "index = [\"start.html\"]\ntry = [\"{path}\", \"{path}/\", \"=404\"]\n";
    let (site, _fpm, proxy) = serve(site, Listen::Unix, &[], more);
    assert_eq!(ask(&proxy, "GET", "/", &[]).body, b"<p>start");
    assert_eq!(ask(&proxy, "GET", "/inner/", &[]).body, b"<p>inner");
    for path in ["/no-such", "/no-such.php", "/no-such/"] {
        let answer = ask(&proxy, "GET", path, &[("Accept", client::PROBLEM)]);
        assert_eq!(answer.status, 404, "{path}: {answer:?}");
        assert_eq!(answer.problem()["cause"], "file_not_found", "{path}: {answer:?}");
    }
    assert_eq!(site.runs(), [""; 0]);
    assert_eq!(ask(&proxy, "GET", "/hello.php", &[]).body, super::HELLO);
}

/// Nothing of a site depends on PHP but its pages.
#[test]
fn files_are_sent_while_php_is_away() {
    let (_site, mut fpm, proxy) = plain();
    fpm.stop("TERM");
    assert_eq!(ask(&proxy, "GET", "/hello.txt", &[]).body, HELLO);
    super::expect_cause(&proxy, "/hello.php", &["unix_socket_missing"], "connection_refused");
}

#[test]
fn a_file_that_nobody_may_read_is_not_missing() {
    let site = Site::new();
    let file = site.put("closed.txt", HELLO);
    super::site::set_mode(&file, 0);
    let fpm = super::Fpm::start(&site, Listen::Unix, &[]);
    let proxy = Proxy::unprivileged(&fpm.server(), &site.block(""));
    let answer = ask(&proxy, "GET", "/closed.txt", &[("Accept", client::PROBLEM)]);
    assert_eq!(answer.problem()["cause"], "file_unreadable", "{answer:?}");
    super::site::set_mode(&file, 0o644);
    assert_eq!(ask(&proxy, "GET", "/closed.txt", &[]).body, HELLO);
}

/// A reader's open would wait for a writer.
#[test]
fn what_is_no_file_is_not_opened() {
    let site = Site::new();
    run(Command::new("mkfifo").arg(site.root().join("pipe.txt")));
    let (_site, _fpm, proxy) = serve(site, Listen::Unix, &[], "");
    let answer = ask(&proxy, "GET", "/pipe.txt", &[]);
    assert!((400..500).contains(&answer.status), "{answer:?}");
}
