//! Bytes through TLS: bodies both ways, upgraded connections, answers that are cut, and PHP.

use std::io::{Read, Write};
use std::process::Command;
use std::time::Duration;

use super::backend::{Backend, pattern};
use super::certificates::{Certificates, EC, NAME};
use super::proxy::Proxy;
use super::support::tools::Group;

fn shop() -> (Certificates, Backend, Proxy) {
    let certificates = Certificates::new();
    certificates.write("shop", &[NAME], EC);
    let backend = Backend::start();
    let proxy = Proxy::before(&format!("http://{}", backend.address), &certificates, "");
    (certificates, backend, proxy)
}

#[test]
fn a_megabyte_both_ways() {
    let (certificates, _backend, proxy) = shop();
    let (body, whole) = proxy.curl(&certificates, "/big", &[]);
    assert!(whole && body == pattern(1_000_000));
    let file = proxy.path("upload");
    std::fs::write(&file, pattern(1_000_000)).expect("a file");
    let upload = format!("@{}", file.display());
    for version in [&["--tls-max", "1.2"][..], &["--tlsv1.3"]] {
        let more = [&["--data-binary", &upload, "-H", "Expect:"][..], version].concat();
        let (body, whole) = proxy.curl(&certificates, "/echo", &more);
        assert!(whole && body == pattern(1_000_000), "{version:?}");
    }
}

/// Wherever a write ends, a chunk's end comes behind it and before the next.
#[test]
fn chunks_of_every_size_stay_whole() {
    let (certificates, _backend, proxy) = shop();
    for slow in [&[][..], &["--limit-rate", "4M"]] {
        let (body, whole) = proxy.curl(&certificates, "/chunks", slow);
        assert!(whole && body == pattern(4_000_000), "{slow:?}");
    }
}

/// A cut answer is told apart from a whole one: by curl, and by the end of TLS itself.
#[test]
fn a_cut_answer_does_not_look_whole() {
    let (certificates, _backend, proxy) = shop();
    for path in ["/cut", "/cut-chunk"] {
        assert!(!proxy.curl(&certificates, path, &[]).1, "{path}: curl was content");
    }
    // To a client of HTTP/1.0 the end of the connection alone is the end of a body in chunks.
    for (path, version, cut) in [
        ("/cut", "1.1", true),
        ("/cut-chunk", "1.1", true),
        ("/cut-chunk", "1.0", true),
        ("/hello", "1.1", false),
        ("/big", "1.0", false),
    ] {
        let mut client = proxy.client(&certificates);
        let request =
            format!("GET {path} HTTP/{version}\r\nHost: {NAME}\r\nConnection: close\r\n\r\n");
        client.write_all(request.as_bytes()).expect("the request is sent");
        // Without close_notify this is an error (RFC 8446 section 6.1).
        let end = client.read_to_end(&mut Vec::new());
        assert_eq!(end.is_err(), cut, "{path} {version}: {end:?}");
    }
}

#[test]
fn an_upgraded_connection_carries_both_ways() {
    let (certificates, _backend, proxy) = shop();
    let mut client = proxy.client(&certificates);
    let request = format!(
        "GET /socket HTTP/1.1\r\nHost: {NAME}\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly"
    );
    client.write_all(request.as_bytes()).expect("the request is sent");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).expect("the head");
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", head.escape_ascii());
    let mut early = [0; 5];
    client.read_exact(&mut early).expect("what came with the request");
    assert_eq!(&early, b"early");
    for length in [1, 20_000, 300_000] {
        let sent = pattern(length);
        let mut received = vec![0; length];
        // In pieces that fit into the sockets between: nobody reads while we write.
        for (out, back) in sent.chunks(10_000).zip(received.chunks_mut(10_000)) {
            client.write_all(out).expect("bytes go out");
            client.read_exact(back).expect("bytes come back");
        }
        assert!(sent == received, "{length}");
    }
    client.conn.send_close_notify();
    client.flush().expect("the end goes out");
    assert_eq!(client.read(&mut [0; 1]).expect("the end comes back"), 0);
}

/// Silent for so long that the proxy lets go of what it held for the connection.
#[test]
fn a_connection_at_rest_is_still_there() {
    const AT_REST: Duration = Duration::from_millis(1600);
    let (certificates, _backend, proxy) = shop();
    let mut client = proxy.client(&certificates);
    let request = format!("GET /hello HTTP/1.1\r\nHost: {NAME}\r\n\r\n");
    for turn in 0..4 {
        client.write_all(request.as_bytes()).expect("the request is sent");
        let mut answer = Vec::new();
        while !answer.ends_with(b"hello") {
            let mut byte = [0];
            client.read_exact(&mut byte).expect("the answer");
            answer.push(byte[0]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{turn}: {}", answer.escape_ascii());
        client.sock.set_read_timeout(Some(AT_REST)).expect("a time-out");
        if turn == 2 {
            // A record that is none of the request's bytes; it is answered with the next ones.
            client.conn.refresh_traffic_keys().expect("new keys");
            client.flush().expect("they go out");
        }
        let silence = client.read(&mut [0; 1]).expect_err("nothing was asked for");
        assert_eq!(silence.kind(), std::io::ErrorKind::WouldBlock, "{turn}");
        client.sock.set_read_timeout(Some(super::PATIENCE)).expect("a time-out");
    }
    client.conn.send_close_notify();
    client.flush().expect("the end goes out");
    assert_eq!(client.read(&mut [0; 1]).expect("the end comes back"), 0);
}

/// A real PHP-FPM sees what PHP's programs look for.
#[test]
fn php_sees_https() {
    const MISSING: &str = "these tests need PHP-FPM: apt-get install php8.2-fpm";
    let certificates = Certificates::new();
    certificates.write("shop", &[NAME], EC);
    let dir = tempfile::tempdir().expect("a temporary directory");
    // The workers are another user's where the test is root's.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(dir.path(), open).expect("a mode");
    let page = "<?php foreach (['HTTPS', 'REQUEST_SCHEME', 'SERVER_PORT', 'SERVER_NAME'] as $name)
                { echo $name, '=', $_SERVER[$name] ?? '-', \"\\n\"; }";
    std::fs::write(dir.path().join("index.php"), page).expect("a page");
    let (socket, ready) = (dir.path().join("fpm.sock"), dir.path().join("fpm.log"));
    let user = match super::support::tools::as_root() {
        true => "user = www-data\ngroup = www-data\n",
        false => "",
    };
    let text = format!(
        "[global]\nerror_log = {}\n[www]\n{user}listen = {}\nlisten.mode = 0666\npm = static\n\
         pm.max_children = 1\n",
        ready.display(),
        socket.display()
    );
    let file = dir.path().join("fpm.conf");
    std::fs::write(&file, text).expect("its configuration");
    let programs = ["/usr/sbin/php-fpm8.2", "/usr/sbin/php-fpm"];
    let program = programs.iter().find(|path| std::path::Path::new(path).exists()).expect(MISSING);
    let log = || std::fs::read_to_string(&ready).unwrap_or_default();
    let mut command = Command::new(program);
    command.arg("--nodaemonize").arg("--fpm-config").arg(&file).stderr(std::process::Stdio::null());
    let _fpm = Group::start("PHP-FPM", &mut command, log, || log().contains("ready to handle"));
    let root = dir.path().display();
    let tls = certificates.lines(&["shop"]);
    let server = format!("fastcgi+unix:{}", socket.display());
    let block = format!("[upstream.php]\nservers = [\"{server}\"]\nroot = \"{root}\"\n");
    let proxy = Proxy::start(&tls, &block);
    let (body, _) = proxy.curl(&certificates, "/index.php", &[]);
    let secure = proxy.secure;
    let expected =
        format!("HTTPS=on\nREQUEST_SCHEME=https\nSERVER_PORT={secure}\nSERVER_NAME={NAME}\n");
    assert_eq!(String::from_utf8_lossy(&body), expected);
    let request = format!("GET /index.php HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n");
    let answer = proxy.plainly(proxy.plain, &request);
    assert!(answer.contains("HTTPS=-\nREQUEST_SCHEME=http\n"), "{answer}");
}
