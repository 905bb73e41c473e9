//! The proxy as its users run it: the built program with a configuration file and a log file.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::tools::{as_root, eventually, free_port};

const PROGRAM: &str = env!("CARGO_BIN_EXE_causeway");

/// How a line of the log begins to name a cause.
const CAUSE: &str = "\"cause\":\"";

/// A running proxy; it ends with this value.
#[derive(Debug)]
pub struct Proxy {
    pub port: u16,
    child: Child,
    log: PathBuf,
    _dir: TempDir,
}

impl Proxy {
    /// Starts a proxy before one server, with more of the configuration after the upstream's block.
    pub fn before(server: &str, more: &str) -> Proxy {
        Proxy::start("", server, more, |_| Command::new(PROGRAM))
    }

    /// The same with lines of the configuration that stand before any table.
    pub fn with(top: &str, server: &str, more: &str) -> Proxy {
        Proxy::start(top, server, more, |_| Command::new(PROGRAM))
    }

    /// The same on a port that others know already.
    pub fn on(port: u16, top: &str, server: &str, more: &str) -> Proxy {
        Proxy::listening(port, top, server, more, |_| Command::new(PROGRAM))
    }

    /// The same in a mount namespace of its own, where files stand in for others.
    pub fn among(files: &[(&Path, &str)], top: &str, server: &str, more: &str) -> Proxy {
        Proxy::start(top, server, more, |_| among(files))
    }

    /// The same with these variables in its environment.
    pub fn in_environment(variables: &[(&str, &str)], server: &str, more: &str) -> Proxy {
        Proxy::start("", server, more, |_| {
            let mut command = Command::new(PROGRAM);
            command.envs(variables.iter().copied());
            command
        })
    }

    /// The same, run by a user who owns nothing; by the test's own where it cannot choose another.
    pub fn unprivileged(server: &str, more: &str) -> Proxy {
        Proxy::start("", server, more, |dir| match as_root() {
            true => as_nobody(dir),
            false => Command::new(PROGRAM),
        })
    }

    fn start(top: &str, server: &str, more: &str, program: impl FnOnce(&Path) -> Command) -> Proxy {
        Proxy::listening(free_port(), top, server, more, program)
    }

    fn listening(
        port: u16,
        top: &str,
        server: &str,
        more: &str,
        program: impl FnOnce(&Path) -> Command,
    ) -> Proxy {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let log = dir.path().join("access.log");
        let text = format!(
            "listen = [\"127.0.0.1:{port}\"]\nworkers = 1\n{top}\n\
             [upstream.site]\nservers = [\"{server}\"]\n{more}\n\
             [log]\naccess = \"{}\"\n",
            log.display()
        );
        let command = program(dir.path());
        Proxy::run(dir, port, log, command, &text)
    }

    /// Starts a proxy with a configuration that listens on a port of 127.0.0.1; its log is not read.
    pub fn configured(text: &str, port: u16) -> Proxy {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let log = dir.path().join("access.log");
        Proxy::run(dir, port, log, Command::new(PROGRAM), text)
    }

    fn run(dir: TempDir, port: u16, log: PathBuf, mut command: Command, text: &str) -> Proxy {
        let config = dir.path().join("causeway.toml");
        fs::write(&config, text).expect("the configuration is written");
        let errors = fs::File::create(dir.path().join("stderr")).expect("a file");
        let mut child = command
            .args(["run", "--config"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors)
            .spawn()
            .expect("the proxy starts");
        eventually("the proxy listens", || {
            if let Some(status) = child.try_wait().expect("its status") {
                let said = fs::read_to_string(dir.path().join("stderr")).unwrap_or_default();
                panic!("the proxy ended with {status}:\n{said}\nconfiguration:\n{text}");
            }
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        Proxy { port, child, log, _dir: dir }
    }

    /// The process that it is.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the log line of a path and holds it to one of the causes.
    pub fn expect_logged(&self, path: &str, causes: &[&str]) {
        let line = self.logged(path, |line| line.contains(CAUSE));
        let named = causes.iter().find(|cause| line.contains(&format!("\"cause\":\"{cause}\"")));
        let named = named.unwrap_or_else(|| panic!("expected one of {causes:?} in {line}"));
        super::causes::log(named);
    }

    /// Waits for the log line of a path, which must name no cause.
    pub fn expect_logged_as_sound(&self, path: &str) {
        let line = self.logged(path, |_| true);
        assert!(!line.contains(CAUSE), "a cause in {line}");
        super::causes::sound(path);
    }

    /// The first line of the log with this path.
    pub fn line(&self, path: &str) -> String {
        self.logged(path, |_| true)
    }

    /// Every line of its log so far.
    pub fn lines(&self) -> Vec<String> {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }

    /// What it has said on stderr.
    pub fn messages(&self) -> String {
        fs::read_to_string(self._dir.path().join("stderr")).unwrap_or_default()
    }

    fn logged(&self, path: &str, wanted: impl Fn(&str) -> bool) -> String {
        eventually(&format!("a log line of {path}"), || {
            let log = fs::read_to_string(&self.log).ok()?;
            let mut lines = log.lines().filter(|line| line.contains(path));
            lines.find(|line| wanted(line)).map(str::to_owned)
        })
    }
}

/// The program as nobody runs it, in a directory that is opened to everyone: that of the build may
/// be closed.
pub fn as_nobody(dir: &Path) -> Command {
    let program = dir.join("causeway");
    fs::hard_link(PROGRAM, &program)
        .or_else(|_| fs::copy(PROGRAM, &program).map(drop))
        .expect("the program can be copied");
    fs::set_permissions(dir, fs::Permissions::from_mode(0o777)).expect("a mode");
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program);
    command
}

/// The program where each file, or folder, is seen under the other's path. Needs root, or a kernel
/// that lets everybody make namespaces.
pub fn among(files: &[(&Path, &str)]) -> Command {
    const MOUNT: &str = "while [ \"$1\" != -- ]; do mount --bind \"$1\" \"$2\" || exit; shift 2; \
        done; shift; exec \"$@\"";
    let mut command = Command::new("unshare");
    command.arg("--mount");
    if !as_root() {
        command.arg("--map-root-user");
    }
    command.args(["sh", "-c", MOUNT, "sh"]);
    for (file, path) in files {
        command.arg(file).arg(path);
    }
    command.args(["--", PROGRAM]);
    command
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            let errors = fs::read_to_string(self._dir.path().join("stderr")).unwrap_or_default();
            eprintln!("the proxy's log:\n{log}\nits messages:\n{errors}");
        }
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
