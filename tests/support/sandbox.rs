//! A real systemd in a container of the test's own: booted, given files, asked, taken away.
//!
//! `sandbox.sh` beside this file does the work, and needs root. What the container writes is gone
//! with the value, or with the test's process, however that ends.

use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};

use super::tools::run;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/sandbox.sh");

/// So long may anything take that `until` waits for.
const PATIENCE: Duration = Duration::from_secs(60);

/// One at a time: they share the processors, and their tests tell times.
static ALONE: Mutex<()> = Mutex::new(());

/// A booted container; ends with this value.
#[derive(Debug)]
pub struct Sandbox {
    script: Child,
    /// Its first process, as this host counts.
    init: u32,
    _alone: MutexGuard<'static, ()>,
}

/// What a command that ran inside has said.
#[derive(Debug)]
pub struct Said {
    pub status: ExitStatus,
    pub out: String,
    pub err: String,
}

/// The network of a container.
#[derive(Debug)]
pub struct Network(File);

impl Network {
    /// Moves the calling thread, and those that it starts, into it.
    pub fn enter(&self) {
        setns(&self.0, CloneFlags::CLONE_NEWNET).expect("a thread of root's may enter it");
    }
}

impl Sandbox {
    /// Boots a container. The first one of all makes its root, which takes a minute.
    pub fn boot() -> Sandbox {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let made = Command::new(SCRIPT).arg("make").output().expect("bash");
        assert!(
            made.status.success(),
            "no container can be made; this test needs root, mmdebstrap and systemd-container, \
             which tests/run installs: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        let mut script = Command::new(SCRIPT)
            .args(["boot", String::from_utf8_lossy(&made.stdout).trim()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // An interrupt from the keyboard ends the test, and so the container in its own way.
            .process_group(0)
            .spawn()
            .expect("bash");
        let mut line = String::new();
        let said = script.stdout.take().expect("it is piped");
        BufReader::new(said).read_line(&mut line).expect("a line");
        let init = line.strip_prefix("up ").and_then(|init| init.trim().parse().ok());
        let init = init.unwrap_or_else(|| panic!("no systemd came up: {line:?}"));
        Sandbox { script, init, _alone: alone }
    }

    /// A command that will run inside, as root.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(SCRIPT);
        command.args(["in", &self.init.to_string(), program]).stdin(Stdio::null());
        command
    }

    /// Runs a line of shell inside to its end.
    pub fn ask(&self, line: &str) -> Said {
        let output = self.command("sh").args(["-c", line]).output().expect("bash");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        Said { status: output.status, out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// The same for a line that must succeed: what it printed.
    pub fn sh(&self, line: &str) -> String {
        let said = self.ask(line);
        assert!(said.status.success(), "{line}: {said:?}\n{}", self.journal());
        said.out
    }

    /// Waits until a line of shell prints what is wanted.
    pub fn until(&self, line: &str, wanted: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let said = self.ask(line);
            if wanted(&said.out) {
                return said.out;
            }
            assert!(Instant::now() < end, "{line}: in vain: {said:?}\n{}", self.journal());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// A property of a unit, as systemd shows it.
    pub fn property(&self, unit: &str, property: &str) -> String {
        self.sh(&format!("systemctl show --property={property} --value {unit}"))
    }

    /// Everything that the journal holds, without the kernel's part.
    pub fn journal(&self) -> String {
        self.ask("journalctl --no-pager --output=short-precise --lines=200").out
    }

    /// A path inside as this host sees it.
    pub fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{inside}", self.init))
    }

    /// Puts a file of this host into the container.
    pub fn install(&self, file: &Path, inside: &str, mode: u32) {
        let to = self.path(inside);
        fs::create_dir_all(to.parent().expect("an absolute path")).expect("a folder");
        // A program that runs cannot be written to, but its name can be given to another file.
        let _ = fs::remove_file(&to);
        fs::copy(file, &to).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        fs::set_permissions(&to, Permissions::from_mode(mode)).expect("a mode");
    }

    /// Writes a file in the container.
    pub fn write(&self, inside: &str, text: &str) {
        let to = self.path(inside);
        fs::create_dir_all(to.parent().expect("an absolute path")).expect("a folder");
        fs::write(&to, text).unwrap_or_else(|error| panic!("{inside}: {error}"));
    }

    /// The container's network, for threads to enter.
    pub fn network(&self) -> Network {
        let path = format!("/proc/{}/ns/net", self.init);
        Network(File::open(path).expect("its network"))
    }

    /// Runs something in the container's network, on a thread of its own.
    pub fn inside<T: Send>(&self, what: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                self.network().enter();
                what()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// The process of a unit, as this host counts.
    pub fn main_process(&self, unit: &str) -> u32 {
        let inside = self.property(unit, "MainPID");
        let namespace = |process: &str| fs::read_link(format!("/proc/{process}/ns/pid")).ok();
        let ours = namespace(&self.init.to_string());
        let processes = run(Command::new("ps").args(["-eo", "pid="]));
        let mut processes = processes.split_whitespace();
        let found = processes.find(|process| {
            namespace(process) == ours && innermost(process).as_deref() == Some(inside.as_str())
        });
        let found = found.unwrap_or_else(|| panic!("no process {inside} of {unit}"));
        found.parse().expect("a number")
    }
}

/// The number of a process in the innermost of its namespaces (proc_pid_status(5)).
fn innermost(process: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    numbers.split_whitespace().next_back().map(str::to_owned)
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the container's journal:\n{}", self.journal());
        }
        // The end of its stdin has the script end the container and remove what it made.
        drop(self.script.stdin.take());
        let _ = self.script.wait();
    }
}
