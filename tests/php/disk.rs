//! A disk that is really full: a small tmpfs, which only root can mount. Ours, where uploads are
//! gathered, and the site's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::fpm::{Fpm, Listen};
use super::site::{Site, set_mode};
use super::support::client::{self, PROBLEM};
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
    let upload = || {
        let headers = [("Accept", PROBLEM), ("Connection", "close")];
        client::request(proxy.port, "POST", "/echo.php", &headers, &[b'x'; 200_000])
    };
    let ask = || upload().problem();
    let problem = expect_root_of("an upload", ask, ("disk_full", "certain"), "free_disk");
    assert_eq!(problem["cause"], "local_storage_failed", "{problem:#}");
    expect_finding(&problem, "disk", &format!("{spool}: 0 MiB free of 1 MiB"));
    upload().record(None);
    proxy.expect_logged("/echo.php", &["local_storage_failed"]);
    // With room again it is gathered and passed on.
    fs::remove_file(filler).expect("it is there");
    assert_eq!(upload().status, 200);
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
