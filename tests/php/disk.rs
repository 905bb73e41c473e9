//! A disk that is really full, or read-only: a small tmpfs, which only root can mount. Ours, where
//! uploads are gathered, and the site's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::fpm::{Fpm, Listen};
use super::site::{Site, set_mode};
use super::support::client::{self, Answer, PROBLEM};
use super::support::proxy::Proxy;
use super::support::roots::{expect_finding, expect_root, expect_root_of};
use super::support::tools::run;

/// Saves what was uploaded, as sites do.
const SAVE: &str = "<?php $saved = @file_put_contents(__DIR__ . '/upload', str_repeat('x', 65536));
    if ($saved !== 65536) { throw new Exception('the upload cannot be saved'); } echo 'saved';";

/// A file system of 1 MiB; unmounted with this value.
struct Small(PathBuf);

impl Small {
    fn at(path: PathBuf) -> Small {
        fs::create_dir_all(&path).expect("a folder");
        let options = ["-t", "tmpfs", "-o", "size=1m,mode=0777", "tmpfs"];
        run(Command::new("mount").args(options).arg(&path));
        Small(path)
    }

    /// Lets nobody write to it, as the kernel does after an error, or again.
    fn remount(&self, how: &str) {
        run(Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(&self.0));
    }

    /// Takes all that is left.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("filler");
        let full = fs::write(&path, vec![0; 2 << 20]).expect_err("it is too small");
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
        path
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Who still holds a file there ends with the test.
        let _ = Command::new("umount").args(["--lazy"]).arg(&self.0).status();
    }
}

#[test]
fn an_upload_that_finds_our_disk_full_is_told_with_the_disk() {
    let site = Site::new();
    let fpm = Fpm::start(&site, Listen::Unix, &[]);
    let small = Small::at(site.path("spool"));
    let filler = small.fill();
    let spool = text(&small.0);
    let proxy = Proxy::in_environment(&[("TMPDIR", &spool)], &fpm.server(), &site.block(""));
    let ask = || upload(&proxy).problem();
    let problem = expect_root_of("an upload", ask, ("disk_full", "certain"), "free_disk");
    assert_eq!(problem["cause"], "local_storage_failed", "{problem:#}");
    expect_finding(&problem, "disk", &format!("{spool}: 0 MiB free of 1 MiB"));
    upload(&proxy).record(None);
    proxy.expect_logged("/echo.php", &["local_storage_failed"]);
    // With room again it is gathered and passed on.
    fs::remove_file(filler).expect("it is there");
    assert_eq!(upload(&proxy).status, 200);
}

/// Sends what is too long to be passed on before it is gathered.
fn upload(proxy: &Proxy) -> Answer {
    let headers = [("Accept", PROBLEM), ("Connection", "close")];
    client::request(proxy.port, "POST", "/echo.php", &headers, &[b'x'; 200_000])
}

#[test]
fn an_upload_that_may_not_be_gathered_is_told_with_the_disk() {
    let site = Site::new();
    let fpm = Fpm::start(&site, Listen::Unix, &[]);
    let small = Small::at(site.path("spool"));
    let spool = text(&small.0);
    let proxy = Proxy::in_environment(&[("TMPDIR", &spool)], &fpm.server(), &site.block(""));
    assert_eq!(upload(&proxy).status, 200);
    small.remount("ro");
    let ask = || upload(&proxy).problem();
    let root = ("disk_read_only", "certain");
    let problem = expect_root_of("an upload", ask, root, "check_storage");
    assert_eq!(problem["cause"], "local_storage_failed", "{problem:#}");
    expect_finding(&problem, "disk", &format!("{spool}: "));
    expect_finding(&problem, "disk", "read-only");
    small.remount("rw");
    assert_eq!(upload(&proxy).status, 200);
}

/// PHP says so in its log; the page is white.
#[test]
fn a_site_whose_disk_is_read_only_is_told_with_the_disk() {
    let site = Site::new();
    let small = Small::at(site.root());
    let page = small.0.join("save.php");
    fs::write(&page, SAVE.replace('@', "")).expect("it fits");
    set_mode(&page, 0o644);
    let log = text(&site.path("data/php.log"));
    let fpm = Fpm::start(&site, Listen::Unix, &[("php_admin_value[error_log]", &log)]);
    let block = site.block(&format!("logs = [\"{log}\"]\nreplace_status = [500]\n"));
    let proxy = Proxy::before(&fpm.server(), &block);
    assert_eq!(client::get(proxy.port, "/save.php", PROBLEM).status, 200);
    small.remount("ro");
    let root = ("disk_read_only", "likely");
    let problem = expect_root(proxy.port, "/save.php", root, "check_storage");
    expect_finding(&problem, "log_line", "Read-only file system");
    small.remount("rw");
    assert_eq!(client::get(proxy.port, "/save.php", PROBLEM).status, 200);
}

#[test]
fn a_site_whose_disk_is_full_is_told_with_the_disk() {
    let site = Site::new();
    let small = Small::at(site.root());
    let page = small.0.join("save.php");
    fs::write(&page, SAVE).expect("it fits");
    set_mode(&page, 0o644);
    let fpm = Fpm::start(&site, Listen::Unix, &[]);
    let block = site.block("replace_status = [500]\n");
    let proxy = Proxy::before(&fpm.server(), &block);
    assert_eq!(client::get(proxy.port, "/save.php", PROBLEM).status, 200);
    fs::remove_file(small.0.join("upload")).expect("it was saved");
    small.fill();
    let problem = expect_root(proxy.port, "/save.php", ("disk_full", "likely"), "free_disk");
    assert_eq!(problem["cause"], "php_fatal_error", "{problem:#}");
    expect_finding(&problem, "disk", &format!("{}: 0 MiB free of 1 MiB", text(&small.0)));
}

fn text(path: &Path) -> String {
    path.to_str().expect("it is made of letters").to_owned()
}
