//! A MariaDB of the test's own: in a temporary directory, on a Unix socket alone.
//!
//! It can be stopped and started again; what was written stays.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::support::tools::{Group, as_root, run};

/// The database, and the account that owns it.
pub const NAME: &str = "wordpress";
/// The account's password. No answer may ever show it.
pub const PASSWORD: &str = "a password that nobody outside may read";

const INSTALLER: &str = "/usr/bin/mariadb-install-db";
const SERVER: &str = "/usr/sbin/mariadbd";
const MISSING: &str = "this test needs MariaDB: apt-get install mariadb-server";

/// Small and in no hurry to be on the disk: what is here is thrown away.
const FRUGAL: [&str; 4] = [
    "--innodb-log-file-size=8M",
    "--innodb-buffer-pool-size=32M",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-flush-method=nosync",
];

/// Runs the rest of the line where a folder is seen under another's path.
const IN_PLACE: &str = "mount --bind \"$1\" \"$2\" && shift 2 && exec \"$@\"";

/// A database server, running unless it was stopped; ends with this value.
#[derive(Debug)]
pub struct Database {
    server: Option<Group>,
    /// Options of the test's own.
    more: &'static [&'static str],
    /// The folder under whose name the server, and with it the kernel, knows its socket.
    folder: Option<&'static str>,
    dir: TempDir,
}

impl Database {
    /// Makes the system's tables, then starts the server with an empty database for the site.
    pub fn new() -> Database {
        Database::with(&[], None)
    }

    /// The same with more options for the server, and its socket in a folder that packages have for
    /// it; only root can stand in for that one.
    pub fn with(more: &'static [&'static str], folder: Option<&'static str>) -> Database {
        let dir = tempfile::tempdir().expect("a temporary directory");
        // PHP's workers, which have an account of their own, must reach the socket.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
        let mut database = Database { server: None, more, folder, dir };
        assert!(Path::new(SERVER).exists() && Path::new(INSTALLER).exists(), "{MISSING}");
        let mut install = Command::new(INSTALLER);
        install.args([
            "--no-defaults",
            "--skip-test-db",
            "--auth-root-authentication-method=socket",
        ]);
        run(install.args(database.options()));
        let sql = format!(
            "CREATE DATABASE IF NOT EXISTS {NAME} CHARACTER SET utf8mb4;\n\
             CREATE USER IF NOT EXISTS {NAME}@localhost IDENTIFIED BY '{PASSWORD}';\n\
             GRANT ALL ON {NAME}.* TO {NAME}@localhost;\n"
        );
        fs::write(database.path("init.sql"), sql).expect("the statements are written");
        database.start();
        database
    }

    /// Where it listens, as all others see it.
    pub fn socket(&self) -> PathBuf {
        self.path("mysql.sock")
    }

    /// Starts it and waits until it answers.
    pub fn start(&mut self) {
        let errors = File::create(self.path("stderr")).expect("a file");
        let mut command = self.program();
        command.args(self.options()).arg("--skip-networking").args(self.more);
        command.arg(format!("--pid-file={}", self.path("pid").display()));
        command.arg(format!("--init-file={}", self.path("init.sql").display()));
        let said = || fs::read_to_string(self.path("stderr")).unwrap_or_default();
        let ready = || self.greets();
        self.server = Some(Group::start("MariaDB", command.stderr(errors), said, ready));
    }

    /// Stops it as an administrator would.
    pub fn stop(&mut self) {
        let mut server = self.server.take().expect("it is running");
        server.end("TERM");
    }

    /// The server, told where to listen.
    fn program(&self) -> Command {
        let socket = |path: &Path| format!("--socket={}", path.display());
        let Some(folder) = self.folder else {
            let mut command = Command::new(SERVER);
            command.arg("--no-defaults").arg(socket(&self.socket()));
            return command;
        };
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", IN_PLACE, "sh"]).arg(self.dir.path()).arg(folder);
        command.arg(SERVER).arg("--no-defaults").arg(socket(&Path::new(folder).join("mysql.sock")));
        command
    }

    /// Whether it takes connections: the server speaks first in MySQL's protocol, and not before
    /// the statements of its init file are done.
    fn greets(&self) -> bool {
        let Ok(mut stream) = UnixStream::connect(self.socket()) else { return false };
        let limit = Some(Duration::from_secs(10));
        stream.set_read_timeout(limit).expect("a socket option");
        stream.read_exact(&mut [0]).is_ok()
    }

    /// What installation and server must agree on.
    fn options(&self) -> Vec<String> {
        let mut options = vec![format!("--datadir={}", self.path("data").display())];
        options.extend(FRUGAL.map(str::to_owned));
        if as_root() {
            options.push("--user=root".to_owned());
        }
        options
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}
