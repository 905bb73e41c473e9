//! A PHP-FPM of the test's own: one pool on a Unix socket in a temporary directory.
//!
//! PHP is configured as Debian does it, with two exceptions: no mail leaves it, and it would run a
//! file of any name, so that nothing but the proxy keeps a picture from being run.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::support::tools::{Group, as_root};

const MISSING: &str = "this test needs PHP-FPM with mysqli and GD: \
     apt-get install php8.2-fpm php8.2-mysql php8.2-gd";

/// A running PHP-FPM; it ends with this value.
#[derive(Debug)]
pub struct Fpm {
    _processes: Group,
    dir: TempDir,
}

impl Fpm {
    pub fn start() -> Fpm {
        let dir = tempfile::tempdir().expect("a temporary directory");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
        let (program, socket) = (program(), socket(&dir));
        let config = dir.path().join("fpm.conf");
        fs::write(&config, configuration(&dir)).expect("the configuration is written");
        let errors = File::create(dir.path().join("stderr")).expect("a file");
        let mut command = Command::new(program);
        command.arg("--nodaemonize").arg("--fpm-config").arg(&config).stderr(errors);
        let said = || {
            let files = ["stderr", "error.log"];
            files.map(|name| fs::read_to_string(dir.path().join(name)).unwrap_or_default()).concat()
        };
        let ready = || UnixStream::connect(&socket).is_ok();
        let processes = Group::start("PHP-FPM", &mut command, said, ready);
        Fpm { _processes: processes, dir }
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        socket(&self.dir)
    }
}

fn socket(dir: &TempDir) -> PathBuf {
    dir.path().join("fpm.sock")
}

fn configuration(dir: &TempDir) -> String {
    let mut text = format!(
        "[global]\nerror_log = {dir}/error.log\n\
         [wordpress]\nlisten = {socket}\npm = static\npm.max_children = 3\n\
         security.limit_extensions =\nphp_admin_value[sendmail_path] = /bin/true\n",
        dir = dir.path().display(),
        socket = socket(dir).display(),
    );
    if as_root() {
        text += "user = www-data\ngroup = www-data\n";
    }
    text
}

/// PHP-FPM, whichever version it has. Its modules are looked for too: without them WordPress would
/// only say so on a page.
fn program() -> PathBuf {
    let modules = entries("/usr/lib/php").into_iter().find(|dir| dir.join("mysqli.so").exists());
    let modules = modules.expect(MISSING);
    assert!(modules.join("gd.so").exists(), "{MISSING}");
    let mut programs = entries("/usr/sbin").into_iter();
    programs.rfind(|path| name(path).starts_with("php-fpm")).expect(MISSING)
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// What is in a directory, in order.
fn entries(dir: &str) -> Vec<PathBuf> {
    let found = fs::read_dir(dir).expect(MISSING);
    let mut paths: Vec<_> = found.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths
}
