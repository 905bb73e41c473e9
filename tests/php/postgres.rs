//! A PostgreSQL of the test's own: in a temporary directory, on a port of 127.0.0.1.
//!
//! It takes anybody of this host by any name; what was written stays while it is stopped.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use tempfile::TempDir;

use super::support::tools::{Group, as_root, free_port, run, signal};

const VERSIONS: &str = "/usr/lib/postgresql";
const MISSING: &str = "this test needs PostgreSQL: apt-get install postgresql";
/// The account that owns it: the package's, where root starts it, which it refuses to run as.
const ACCOUNT: &str = "postgres";

/// A server that runs, or was stopped; ends with this value.
#[derive(Debug)]
pub struct Postgres {
    pub port: u16,
    server: Option<Group>,
    dir: TempDir,
}

impl Postgres {
    /// Makes a cluster, then starts the server.
    pub fn start() -> Postgres {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut postgres = Postgres { port: free_port(), server: None, dir };
        postgres.give_away();
        let mut install = postgres.program("initdb");
        install.args(["--auth=trust", "--no-sync", "--username", ACCOUNT, "--pgdata"]);
        run(install.arg(postgres.path("data")));
        postgres.start_again();
        postgres
    }

    /// Starts it once more and waits until it takes connections.
    pub fn start_again(&mut self) {
        let mut command = self.program("postgres");
        command.arg("-D").arg(self.path("data")).arg("-k").arg(self.dir.path());
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]);
        for setting in ["fsync=off", "max_connections=3", "superuser_reserved_connections=0"] {
            command.args(["-c", setting]);
        }
        command.stderr(File::create(self.path("stderr")).expect("a file"));
        let said = || fs::read_to_string(self.path("stderr")).unwrap_or_default();
        let ready = || said().contains("database system is ready to accept connections");
        self.server = Some(Group::start("PostgreSQL", &mut command, said, ready));
    }

    /// Ends it as an administrator would who waits for nobody ("fast shutdown").
    pub fn stop(&mut self) {
        let mut server = self.server.take().expect("it runs");
        server.end("INT");
    }

    /// Signals the process that takes connections.
    pub fn signal(&self, name: &str) {
        signal(self.server.as_ref().expect("it runs").id(), name);
    }

    /// A program of the newest version there is, run by the account.
    fn program(&self, name: &str) -> Command {
        let found = fs::read_dir(VERSIONS).expect(MISSING).flatten();
        let mut programs: Vec<_> =
            found.map(|version| version.path().join("bin").join(name)).collect();
        programs.retain(|program| program.exists());
        programs.sort();
        let program = programs.pop().expect(MISSING);
        match as_root() {
            true => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid", ACCOUNT, "--regid", ACCOUNT, "--clear-groups"]);
                command.arg(program);
                command
            }
            false => Command::new(program),
        }
    }

    /// Lets the account write to the folder.
    fn give_away(&self) {
        let path = self.dir.path();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a mode");
        if as_root() {
            let id = run(Command::new("id").args(["-u", ACCOUNT]));
            let id = id.trim().parse().expect("a number");
            chown(path, Some(id), None).expect("root may");
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Killed, it would leave memory behind that it shares with its processes.
        if let Some(server) = self.server.as_mut().filter(|_| !thread::panicking()) {
            server.end("INT");
        }
    }
}
