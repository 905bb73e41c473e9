//! What every test with a real server needs: patience, a port, a large file, a tool run to its
//! end, and a server's processes, started and ended together.

use std::fmt;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Polls until there is an answer; panics with what was waited for after 15 seconds.
pub fn eventually<T>(what: &str, mut poll: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        if let Some(found) = poll() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited 15 s in vain: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A port that stays free until somebody asks for it by number: below those that the kernel gives
/// to outgoing connections, so that no connect can meet itself there.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = 20_000 + (std::process::id() % 400) as u16 * 25;
    loop {
        let port = start + NEXT.fetch_add(1, Ordering::Relaxed) % 2000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Runs a tool to its end and returns what it printed; panics when it fails.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A file of 100 MB.
#[derive(Debug)]
pub struct BigFile {
    pub path: PathBuf,
    pub size: u64,
    pub md5: String,
}

/// Makes a file whose bytes do not repeat.
pub fn big_file(path: PathBuf) -> BigFile {
    let size = 100_000_000;
    let mut file = BufWriter::new(File::create(&path).expect("a file"));
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..size / 8 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        file.write_all(&state.to_le_bytes()).expect("the file is written");
    }
    file.flush().expect("the file is written");
    let sum = run(Command::new("md5sum").arg(&path));
    BigFile { path, size, md5: sum.split(' ').next().unwrap_or_default().to_owned() }
}

/// Whether the tests run as root, whom servers ask to name an account for their workers.
pub fn as_root() -> bool {
    run(Command::new("id").arg("-u")).trim() == "0"
}

/// Makes a certificate for a host, signed by itself; gives the files of chain and key.
pub fn self_signed(dir: &Path, host: &str) -> (PathBuf, PathBuf) {
    let made = rcgen::generate_simple_self_signed(vec![host.to_owned()]).expect("a certificate");
    let path = |kind: &str| dir.join(format!("{host}.{kind}"));
    let (chain, key) = (path("pem"), path("key"));
    fs::write(&chain, made.cert.pem()).expect("a file");
    fs::write(&key, made.signing_key.serialize_pem()).expect("a file");
    (chain, key)
}

/// Signals one process; it may have ended in the meantime.
pub fn signal(process: u32, name: &str) {
    let command = format!("kill -s {name} {process}");
    let _ = Command::new("sh").args(["-c", &command]).stderr(Stdio::null()).status();
}

/// A server and its children: a process group, killed with this value.
pub struct Group {
    name: &'static str,
    child: Child,
}

impl Group {
    /// Starts a server and waits until it is ready; panics with what it said if it ends instead.
    pub fn start(
        name: &'static str,
        command: &mut Command,
        said: impl Fn() -> String,
        mut ready: impl FnMut() -> bool,
    ) -> Group {
        command.stdin(Stdio::null()).stdout(Stdio::null()).process_group(0);
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut group = Group { name, child };
        eventually(&format!("{name} is ready"), || {
            if let Some(status) = group.child.try_wait().expect("its status") {
                panic!("{name} ended with {status}:\n{}", said());
            }
            ready().then_some(())
        });
        group
    }

    /// The first process: the server itself.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Signals the whole group and waits until its first process has ended.
    pub fn end(&mut self, signal: &str) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        self.signal(signal);
        self.wait();
    }

    /// Waits until its first process has ended.
    pub fn wait(&mut self) {
        eventually(&format!("{} has ended", self.name), || {
            self.child.try_wait().expect("its status")
        });
    }

    /// Signals the whole group, which may have ended in the meantime.
    fn signal(&self, name: &str) {
        let group = format!("kill -s {name} -- -{}", self.child.id());
        let _ = Command::new("sh").args(["-c", &group]).stderr(Stdio::null()).status();
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.child.id())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.end("KILL");
            return;
        }
        // A second panic would abort the test and leave the others' servers running.
        self.signal("KILL");
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
