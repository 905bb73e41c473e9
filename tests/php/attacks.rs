//! Requests that would leave the site's folder, read what is not for readers, or run what is no
//! page. The pool would run a file of any name: nothing but the proxy stands in between.

use std::io::Write;
use std::os::unix::fs::symlink;

use super::client::{self, Answer, End, Incoming};
use super::site::{CODE, EXECUTED, FRONT, HELLO, SECRET, set_mode};
use super::support::proxy::Proxy;
use super::{Listen, Site, serve};

/// PHP-FPM's own guard is off, and cgi.fix_pathinfo, which lets `picture.jpg/x.php` run the
/// picture, is on as PHP has it.
const OPEN: [(&str, &str); 2] =
    [("security.limit_extensions", ""), ("php_admin_value[cgi.fix_pathinfo]", "1")];

/// Sends a target as it stands, which no library would let through.
fn raw(proxy: &Proxy, target: &[u8]) -> Answer {
    let mut stream = client::connect(proxy.port);
    let head = [b"GET ", target, b" HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n"];
    stream.write_all(&head.concat()).expect("the request is taken");
    let mut answer = Incoming::read(stream, "GET");
    let mut body = Vec::new();
    let end = answer.read_body(|piece| body.extend_from_slice(piece));
    Answer { status: answer.status, headers: answer.headers, body, end }
}

/// Holds an answer to have told nothing and run nothing but the front controller.
fn assert_harmless(site: &Site, target: &[u8], answer: &Answer) {
    let target = target.escape_ascii();
    assert_eq!(answer.end, End::Complete, "{target}");
    let body = String::from_utf8_lossy(&answer.body);
    assert!(!body.contains(SECRET), "{target} tells: {answer:?}");
    assert!(!body.contains(EXECUTED), "{target} was run: {answer:?}");
    assert!(!body.contains("<?php"), "{target} shows its source: {answer:?}");
    assert!(!body.contains("root:x:0:0"), "{target} tells: {answer:?}");
    let is_page = answer.status == 200 && body == "front controller";
    assert!(is_page || (400..500).contains(&answer.status), "{target}: {answer:?}");
    let runs = site.runs();
    assert!(runs.iter().all(|page| page == "index.php"), "{target} ran {runs:?}");
}

/// A site with a front controller in an unguarded pool.
fn open_site() -> Site {
    let site = Site::new();
    site.put("index.php", FRONT);
    site.put("inner/plain.txt", HELLO);
    site
}

#[test]
fn no_path_leads_out_of_the_site() {
    let (site, _fpm, proxy) = serve(open_site(), Listen::Unix, &OPEN, "");
    let ways: [&[u8]; 38] = [
        b"/../secret.txt",
        b"/inner/../../secret.txt",
        b"/./../secret.txt",
        b"/inner/..//../secret.txt",
        b"//../secret.txt",
        b"/..",
        b"/../",
        b"/%2e%2e/secret.txt",
        b"/%2E%2E/secret.txt",
        b"/.%2e/secret.txt",
        b"/%2e./secret.txt",
        b"/..%2fsecret.txt",
        b"/..%2Fsecret.txt",
        b"/%2e%2e%2fsecret.txt",
        b"/inner%2f..%2f..%2fsecret.txt",
        b"/%252e%252e/secret.txt",
        b"/%252e%252e%252fsecret.txt",
        b"/..%252fsecret.txt",
        b"/..\\secret.txt",
        b"/..%5csecret.txt",
        b"/%2e%2e%5csecret.txt",
        b"/\\..\\secret.txt",
        b"/%c0%ae%c0%ae/secret.txt",
        b"/%c0%ae%c0%ae%c0%afsecret.txt",
        b"/%e0%80%ae%e0%80%ae/secret.txt",
        b"/%uff0e%uff0e/secret.txt",
        b"/..%00/secret.txt",
        b"/../secret.txt%00.html",
        b"/..;/secret.txt",
        b"/..%3b/secret.txt",
        b"/inner/....//....//secret.txt",
        b"/index.php/../../secret.txt",
        b"/index.php/%2e%2e/%2e%2e/secret.txt",
        b"/hello.txt/../../secret.txt",
        b"/../../../../../../../../../../etc/passwd",
        b"/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        b"//etc/passwd",
        b"http://shop.example/../secret.txt",
    ];
    for target in ways {
        assert_harmless(&site, target, &raw(&proxy, target));
    }
    // Bytes that are no text.
    for target in [b"/\xff\xfe/secret.txt".as_slice(), b"/..\x01/secret.txt", b"/%ff%fe"] {
        assert_harmless(&site, target, &raw(&proxy, target));
    }
    let answer = raw(&proxy, b"/inner/plain.txt");
    assert_eq!((answer.status, answer.body.as_slice()), (200, HELLO));
}

#[test]
fn long_and_deep_paths_do_no_harm() {
    let (site, _fpm, proxy) = serve(open_site(), Listen::Unix, &OPEN, "");
    for target in [
        format!("/{}", "a".repeat(300)),
        format!("/{}", "a".repeat(8000)),
        "/a".repeat(4000),
        "/..".repeat(2000),
        format!("/{}secret.txt", "%2e%2e/".repeat(500)),
        format!("/index.php{}", "/x".repeat(3000)),
    ] {
        assert_harmless(&site, target.as_bytes(), &raw(&proxy, target.as_bytes()));
    }
}

/// What visitors may put into a site is never run, by whatever name it is asked for.
#[test]
fn an_uploaded_file_is_never_run() {
    let site = open_site();
    let names = ["evil.jpg", "evil.php.jpg", "evil.jpg.php.txt", "evil.txt", "evil", "evil.php5x"];
    for name in names {
        site.put(&format!("uploads/{name}"), CODE);
    }
    let (site, _fpm, proxy) = serve(site, Listen::Unix, &OPEN, "");
    for name in names {
        for suffix in [
            "",
            "/x.php",
            "/.php",
            "/index.php",
            "%00.php",
            "%20.php",
            "%0a.php",
            "/%00.php",
            "%2fx.php",
            "%5cx.php",
            ".php",
            ";.php",
            "/x.php/y.php",
            "//x.php",
            "%2Ephp",
            "?.php",
            "/a/../x.php",
            "/%2e%2e/x.php",
        ] {
            let target = format!("/uploads/{name}{suffix}");
            let answer = raw(&proxy, target.as_bytes());
            if matches!(suffix, "" | "?.php") && answer.status == 200 {
                // A picture's bytes are sent as they are, for what they are not.
                let kind = answer.header("content-type").unwrap_or_default();
                assert!(!kind.contains("html"), "{target}: {kind}");
                let body = String::from_utf8_lossy(&answer.body);
                assert!(!body.contains(EXECUTED), "{target} was run");
                continue;
            }
            assert_harmless(&site, target.as_bytes(), &answer);
        }
    }
}

/// Only `.php` is PHP, as PHP-FPM itself has it; in other spellings it is source, and kept.
#[test]
fn sources_and_settings_are_never_sent() {
    let site = open_site();
    let kept = [
        ".env",
        ".env.local",
        ".git/config",
        ".git/HEAD",
        ".htaccess",
        ".htpasswd",
        ".user.ini",
        ".well-known/.secret",
        "inner/.svn/entries",
        "index.php~",
        "index.php.bak",
        "index.php.save",
        "index.php.old",
        "index.php.orig",
        "index.php.swp",
        "index.php.txt~",
        ".index.php.swp",
        "index.phps",
        "index.phtml",
        "index.phar",
        "index.inc",
        "index.PHP",
        "index.Php",
        "index.php5",
        "wp-config.php.1",
        "wp-config.php.txt",
        "composer.json",
        "composer.lock",
        "package.json",
        "dump.sql",
        "data.sqlite",
        "settings.ini",
        "app.yml",
        "debug.log",
        "server.key",
        "server.pem",
    ];
    for name in kept {
        site.put(name, format!("<?php // {SECRET}\necho 'this was ', 'executed';"));
    }
    site.put(".well-known/acme-challenge/token", HELLO);
    let (site, _fpm, proxy) = serve(site, Listen::Unix, &OPEN, "");
    for name in kept {
        let plain = format!("/{name}");
        let escaped = plain.replace('.', "%2e");
        for target in [plain.clone(), format!("/{plain}"), escaped, format!("{plain}/x.php")] {
            assert_harmless(&site, target.as_bytes(), &raw(&proxy, target.as_bytes()));
        }
    }
    let answer = raw(&proxy, b"/.well-known/acme-challenge/token");
    assert_eq!((answer.status, answer.body.as_slice()), (200, HELLO), "{answer:?}");
}

/// Refusals are told by their cause, and never cost PHP anything.
#[test]
fn a_denied_file_is_named() {
    let site = Site::new();
    site.put(".env", SECRET);
    site.put("private/notes.txt", SECRET);
    site.put("dump.sql", HELLO);
    let more = "deny = [\"/private/*\", \"*.qqq\"]\n";
    let (site, _fpm, proxy) = serve(site, Listen::Unix, &[], more);
    for path in ["/.env", "/private/notes.txt"] {
        let answer = client::get(proxy.port, path, client::PROBLEM);
        assert!(matches!(answer.status, 403 | 404), "{path}: {answer:?}");
        assert_eq!(answer.problem()["cause"], "file_denied", "{path}: {answer:?}");
        proxy.expect_logged(path, &["file_denied"]);
    }
    // The operator's list stands in the place of the usual one.
    assert_eq!(raw(&proxy, b"/dump.sql").body, HELLO);
    assert_eq!(site.runs(), [""; 0]);
}

#[test]
fn links_lead_out_only_where_the_operator_says_so() {
    let site = open_site();
    let (root, secret) = (site.root(), site.path("secret.txt"));
    std::fs::create_dir(site.path("outside")).expect("a folder");
    std::fs::write(site.path("outside/file.txt"), SECRET).expect("a file");
    symlink(&secret, root.join("link.txt")).expect("a link");
    symlink("../secret.txt", root.join("relative.txt")).expect("a link");
    symlink(site.path("outside"), root.join("folder")).expect("a link");
    symlink("/proc/self/environ", root.join("environment.txt")).expect("a link");
    symlink("inner/plain.txt", root.join("within.txt")).expect("a link");
    symlink("hello.php", root.join("source.txt")).expect("a link");
    let (site, fpm, proxy) = serve(site, Listen::Unix, &OPEN, "");
    for target in ["/link.txt", "/relative.txt", "/folder/file.txt", "/environment.txt"] {
        assert_harmless(&site, target.as_bytes(), &raw(&proxy, target.as_bytes()));
    }
    assert_harmless(&site, b"/source.txt", &raw(&proxy, b"/source.txt"));
    assert_eq!(raw(&proxy, b"/within.txt").body, HELLO);

    let open = Proxy::before(&fpm.server(), &site.block("symlinks = \"anywhere\"\n"));
    assert_eq!(raw(&open, b"/link.txt").body, SECRET.as_bytes());
    assert_eq!(raw(&open, b"/folder/file.txt").body, SECRET.as_bytes());
    assert_harmless(&site, b"/source.txt", &raw(&open, b"/source.txt"));
}

/// Where the front controller is the only page, others are still pages of their own.
#[test]
fn a_script_is_run_only_by_its_whole_name() {
    let site = open_site();
    let script = site.put("inner/page.php", "<?php echo 'inner page';");
    set_mode(&script, 0o644);
    let (site, _fpm, proxy) = serve(site, Listen::Unix, &OPEN, "");
    assert_eq!(raw(&proxy, b"/inner/page.php").body, b"inner page");
    let before = site.runs().len();
    for target in
        ["/inner/page.php%20", "/inner/page.php.", "/inner/page.php%00", "/inner/page.PHP"]
    {
        let answer = raw(&proxy, target.as_bytes());
        assert!(!answer.body.starts_with(b"inner page"), "{target}: {answer:?}");
        assert!(!answer.body.starts_with(b"<?php"), "{target}: {answer:?}");
    }
    assert!(site.runs()[before..].iter().all(|page| page == "index.php"), "{:?}", site.runs());
}
