//! Scripts that are missing, forbidden or broken: PHP says so in a whole answer, which passes
//! through as it is, and the proxy names the cause beside it.

use std::process::Command;

use super::client::{self, Answer, End};
use super::site::set_mode;
use super::support::client::PROBLEM;
use super::support::proxy::Proxy;
use super::support::tools::{as_root, run};
use super::{Fpm, Listen, Site, expect_forwarding, plain, serve};

const DISPLAYED: (&str, &str) = ("php_admin_flag[display_errors]", "on");

/// Holds an answer to be PHP's own, with the cause beside it and not in it.
fn assert_named(proxy: &Proxy, path: &str, status: u16, cause: &str) -> Answer {
    let answer = client::get(proxy.port, path, "application/problem+json");
    assert_eq!((answer.status, answer.end), (status, End::Complete), "{path}: {answer:?}");
    let kind = answer.header("content-type");
    assert_eq!(kind, Some("text/html; charset=UTF-8"), "{path}: {answer:?}");
    let said =
        (status >= 400).then(|| format!("causeway; received-status={status}; details=\"{cause}\""));
    assert_eq!(answer.header("proxy-status"), said.as_deref(), "{path}: {answer:?}");
    answer.record_passed(cause);
    proxy.expect_logged(path, &[cause]);
    answer
}

fn body(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

#[test]
fn a_missing_script_is_named() {
    let (site, _fpm, proxy) = plain();
    for path in ["/no-such.php", "/a-permalink/", "/no/such/folder/x.php"] {
        let answer = assert_named(&proxy, path, 404, "fcgi_script_not_found");
        assert_eq!(body(&answer), "File not found.\n", "{path}");
    }
    assert_eq!(site.runs(), [""; 0]);
}

/// As between two containers: the root is a path that only one of both knows.
#[test]
fn a_root_that_php_does_not_know_is_a_missing_script() {
    let (_site, fpm, _) = plain();
    for (path, script) in [("/hello.php", "hello.php"), ("/", "index.php")] {
        let proxy = Proxy::before(&fpm.server(), "root = \"/no/such/root\"\n");
        let answer = assert_named(&proxy, path, 404, "fcgi_script_not_found");
        assert_eq!(body(&answer), "File not found.\n", "{script}");
    }
}

/// PHP then says nothing on STDERR, and the page alone tells.
#[test]
fn a_missing_script_is_named_without_stderr_too() {
    let quiet = [("php_admin_flag[fastcgi.logging]", "off")];
    let (_site, _fpm, proxy) = serve(Site::new(), Listen::Unix, &quiet, "");
    let answer = assert_named(&proxy, "/no-such.php", 404, "fcgi_script_not_found");
    assert_eq!(body(&answer), "File not found.\n");
}

#[test]
fn a_page_of_the_sites_own_is_no_missing_script() {
    let site = Site::new();
    site.put("own404.php", "<?php http_response_code(404); echo \"File not found, sadly.\\n\";");
    site.put("own403.php", "<?php http_response_code(403); echo 'Access denied';");
    let (_site, _fpm, proxy) = serve(site, Listen::Unix, &[], "");
    for (path, status) in [("/own404.php", 404), ("/own403.php", 403)] {
        let answer = client::get(proxy.port, path, "*/*");
        assert_eq!(answer.status, status, "{answer:?}");
        proxy.expect_logged_as_sound(path);
    }
}

#[test]
fn a_script_that_php_may_not_read_is_named() {
    let (site, _fpm, proxy) = plain();
    let script = site.put("closed.php", "<?php echo 'never';");
    set_mode(&script, 0);
    let answer = assert_named(&proxy, "/closed.php", 403, "fcgi_script_forbidden");
    assert_eq!(body(&answer), "Access denied.\n");
    set_mode(&script, 0o644);
    assert_eq!(client::get(proxy.port, "/closed.php", "*/*").body, b"never");
}

#[test]
fn a_script_of_an_extension_that_the_pool_does_not_run_is_named() {
    let narrow = [("security.limit_extensions", ".php7")];
    let (site, _fpm, proxy) = serve(Site::new(), Listen::Unix, &narrow, "");
    let answer = assert_named(&proxy, "/hello.php", 403, "fcgi_script_forbidden");
    assert_eq!(body(&answer), "Access denied.\n");
    assert_eq!(site.runs(), [""; 0]);
}

/// Every kind of end that PHP itself brings about, and what it is called.
const ENDS: [(&str, &str, &str); 4] = [
    ("/parse.php", "php_fatal_error", "Parse error"),
    ("/fatal.php", "php_fatal_error", "Fatal error"),
    ("/memory.php", "php_out_of_memory", "Fatal error"),
    ("/endless.php", "php_execution_timeout", "Fatal error"),
];

#[test]
fn a_broken_page_is_a_500_whose_cause_is_named() {
    for listen in super::both() {
        let (_site, _fpm, proxy) = serve(Site::new(), listen, &[], "");
        for (path, cause, _) in ENDS {
            let answer = assert_named(&proxy, path, 500, cause);
            assert_eq!(body(&answer), "", "{path}");
        }
        let answer = client::get(proxy.port, "/fatal.php", "*/*");
        assert_eq!(answer.header("x-own"), Some("kept"), "{answer:?}");
    }
}

/// With display_errors PHP answers 200 and shows the error to everyone.
#[test]
fn a_broken_page_that_shows_its_error_is_named() {
    let (_site, _fpm, proxy) = serve(Site::new(), Listen::Unix, &[DISPLAYED], "");
    for (path, cause, words) in ENDS {
        let answer = assert_named(&proxy, path, 200, cause);
        let body = body(&answer);
        assert!(body.starts_with(&format!("<br />\n<b>{words}</b>:  ")), "{path}: {body}");
        assert!(body.contains(&format!("{path}</b> on line <b>")), "{path}: {body}");
    }
}

/// The same, where the error is in the page alone: PHP's log is a file.
#[test]
fn an_error_in_the_page_alone_is_named() {
    let site = Site::new();
    let log = site.path("data/php.log").display().to_string();
    let elsewhere = [DISPLAYED, ("php_admin_value[error_log]", log.as_str())];
    let (site, fpm, proxy) = serve(site, Listen::Unix, &elsewhere, "");
    for (path, cause, _) in ENDS {
        assert_named(&proxy, path, 200, cause);
    }
    drop(fpm);
    let plain = [elsewhere[0], elsewhere[1], ("php_admin_flag[html_errors]", "off")];
    let (_site, _fpm, proxy) = serve(site, Listen::Unix, &plain, "");
    for (path, cause, words) in ENDS {
        let answer = assert_named(&proxy, path, 200, cause);
        assert!(body(&answer).starts_with(&format!("\n{words}: ")), "{path}: {answer:?}");
    }
}

/// A 500 of PHP without a word: the white screen. It passes through, and is taken for what it
/// mostly is.
#[test]
fn a_broken_page_that_says_nothing_passes_through() {
    let silent = [("php_admin_flag[log_errors]", "off")];
    let (_site, _fpm, proxy) = serve(Site::new(), Listen::Unix, &silent, "");
    let answer = client::get(proxy.port, "/fatal.php", "*/*");
    assert_eq!((answer.status, answer.body.len(), answer.end), (500, 0, End::Complete));
    let said = "causeway; received-status=500; details=\"php_fatal_error\"";
    assert_eq!(answer.header("proxy-status"), Some(said), "{answer:?}");
}

/// Our page in place of PHP's, with the cause that PHP named.
#[test]
fn a_chosen_status_gets_our_page() {
    let (_site, _fpm, proxy) = serve(Site::new(), Listen::Unix, &[], "replace_status = [404, 500]");
    for (path, status, cause) in [
        ("/fatal.php", 500, "php_fatal_error"),
        ("/memory.php", 500, "php_out_of_memory"),
        ("/no-such.php", 404, "fcgi_script_not_found"),
    ] {
        let answer = client::get(proxy.port, path, PROBLEM);
        assert_eq!((answer.status, answer.end), (status, End::Complete), "{path}: {answer:?}");
        let said = format!("causeway; received-status={status}; details=\"{cause}\"");
        assert_eq!(answer.all("proxy-status"), [said.as_str()], "{path}");
        assert_eq!(answer.problem()["cause"], cause, "{path}");
        proxy.expect_logged(path, &[cause]);
    }
    expect_forwarding(&proxy);
}

/// The head has gone out as 200 before; the error comes on STDERR at the page's end.
#[test]
fn an_error_after_the_first_output_is_in_the_log() {
    let (_site, _fpm, proxy) = plain();
    let answer = client::get(proxy.port, "/fatal_late.php", "*/*");
    assert_eq!((answer.status, answer.end), (200, End::Complete), "{answer:?}");
    assert_eq!(answer.body, b"begun");
    proxy.expect_logged("/fatal_late.php", &["php_fatal_error"]);
}

/// The error is the last line after a megabyte of others.
#[test]
fn an_error_at_the_end_of_1_mb_of_stderr_is_named() {
    let (_site, _fpm, proxy) = plain();
    assert_named(&proxy, "/loud.php?fatal", 500, "php_fatal_error");
}

/// A page can put the words into its log that PHP has for a fatal error; its answer is well.
#[test]
fn the_words_of_an_error_in_a_sound_page_are_no_error() {
    let (_site, _fpm, proxy) = plain();
    let answer = client::get(proxy.port, "/faked.php", "*/*");
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"all is well".as_slice()));
    assert_eq!(answer.header("proxy-status"), None, "{answer:?}");
    proxy.expect_logged_as_sound("/faked.php");
}

#[test]
fn a_head_that_is_none_is_named() {
    let (_site, _fpm, proxy) = plain();
    for path in ["/no_colon.php", "/bad_status.php", "/bad_name.php"] {
        let causes = ["fcgi_bad_cgi_headers"];
        let answer = super::expect_cause(&proxy, path, &causes, "http_protocol_error");
        assert_eq!(answer.problem()["request"], "may_have_been_processed", "{path}: {answer:?}");
    }
    super::expect_forwarding(&proxy);
}

/// Whether a script can be read is between PHP and the script: the proxy need not read it.
#[test]
fn a_script_that_only_php_may_read_is_run() {
    let (site, fpm, _) = plain();
    let script = site.put("private.php", "<?php echo 'run by its owner';");
    if as_root() {
        run(Command::new("chown").arg("www-data").arg(&script));
    }
    set_mode(&script, 0o400);
    let proxy = Proxy::unprivileged(&fpm.server(), &site.block(""));
    let answer = client::get(proxy.port, "/private.php", "*/*");
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"run by its owner".as_slice()));
}

/// A pool that does not repeat its workers' words in its own log still tells the proxy.
#[test]
fn an_error_is_named_without_the_pools_log() {
    let site = Site::new();
    let fpm = Fpm::start(&site, Listen::Unix, &[("catch_workers_output", "no")]);
    let proxy = Proxy::before(&fpm.server(), &site.block(""));
    assert_named(&proxy, "/fatal.php", 500, "php_fatal_error");
}
