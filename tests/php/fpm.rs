//! A real PHP-FPM of the test's own: one pool with the directives that a test asks for, its master
//! and its workers, whom a test may stop, kill and reload.
//!
//! Everything is in a temporary directory, on a Unix socket there or on 127.0.0.1. What is ended is
//! ended by process id. As root the workers are www-data's, as Debian has it.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use tempfile::TempDir;

use super::site::Site;
use super::support::tools::{Group, as_root, eventually, signal};

const MISSING: &str = "these tests need PHP-FPM: apt-get install php8.2-fpm";

/// What the master writes to its log when its workers can be reached.
const READY: &str = "ready to handle connections";

/// Directives that belong to the master and not to a pool.
const MASTERS: [&str; 1] = ["process_control_timeout"];

/// The pool's directives beside those of a test. A page counts as run before its first line is;
/// output leaves PHP when a page says so, errors are told to the proxy and not to the reader, and
/// a page that changes is read again at once.
const USUAL: [(&str, &str); 9] = [
    ("pm", "static"),
    ("pm.max_children", "2"),
    ("listen.mode", "0666"),
    ("catch_workers_output", "yes"),
    ("rlimit_core", "0"),
    ("php_admin_flag[display_errors]", "off"),
    ("php_admin_flag[log_errors]", "on"),
    ("php_admin_flag[opcache.enable]", "off"),
    ("php_admin_value[output_buffering]", "0"),
];

/// Where the pool listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// `php8.2-fpm.sock` in the fixture's directory.
    Unix,
    /// A port of 127.0.0.1.
    Tcp(u16),
}

/// A PHP-FPM that runs, or was stopped; its processes end with this value.
#[derive(Debug)]
pub struct Fpm {
    listen: Listen,
    /// The name that the workers carry in their command lines.
    pool: String,
    master: Option<Group>,
    /// Workers whose master was killed: they serve on.
    orphans: Vec<u32>,
    dir: TempDir,
}

impl Fpm {
    /// Starts the pool of a site; a directive of the test's own stands in the place of a usual one.
    pub fn start(site: &Site, listen: Listen, directives: &[(&str, &str)]) -> Fpm {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let dir = tempfile::tempdir().expect("a temporary directory");
        // The socket's own mode is what a test is about.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let pool = format!("pool-{}-{number}", std::process::id());
        let mut fpm = Fpm { listen, pool, master: None, orphans: Vec::new(), dir };
        let text = fpm.configuration(site, directives);
        fs::write(fpm.path("fpm.conf"), text).expect("the configuration is written");
        fpm.start_again();
        fpm
    }

    /// Starts it once more, in the same place.
    pub fn start_again(&mut self) {
        assert!(self.master.is_none(), "it runs");
        let before = self.log().matches(READY).count();
        let mut command = Command::new(program());
        command.arg("--nodaemonize").arg("--fpm-config").arg(self.path("fpm.conf"));
        command.stderr(File::create(self.path("stderr")).expect("a file"));
        let said = || fs::read_to_string(self.path("stderr")).unwrap_or_default() + &self.log();
        let ready = || self.log().matches(READY).count() > before;
        let master = Group::start("PHP-FPM", &mut command, said, ready);
        self.master = Some(master);
    }

    /// What `servers` holds to reach it by FastCGI.
    pub fn server(&self) -> String {
        match self.listen {
            Listen::Unix => format!("fastcgi+unix:{}", self.socket().display()),
            Listen::Tcp(port) => format!("fastcgi://127.0.0.1:{port}"),
        }
    }

    /// What `servers` holds when it is taken for a server of HTTP.
    pub fn http_server(&self) -> String {
        match self.listen {
            Listen::Unix => format!("http+unix:{}", self.socket().display()),
            Listen::Tcp(port) => format!("http://127.0.0.1:{port}"),
        }
    }

    pub fn socket(&self) -> PathBuf {
        self.path("php8.2-fpm.sock")
    }

    /// What it is configured by.
    pub fn file(&self) -> PathBuf {
        self.path("fpm.conf")
    }

    /// Its own log, as far as it is written.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    pub fn log_file(&self) -> PathBuf {
        self.path("error.log")
    }

    /// The workers that live, by their master's list.
    pub fn workers(&self) -> Vec<u32> {
        let master = self.master_id();
        let list = format!("/proc/{master}/task/{master}/children");
        let text = fs::read_to_string(list).expect("the master's children");
        text.split_whitespace().map(|id| id.parse().expect("a process id")).collect()
    }

    /// Ends the only worker by a signal; the master replaces it.
    pub fn kill_worker(&self, name: &str) {
        let workers = self.workers();
        let [worker] = workers[..] else { panic!("not one worker: {workers:?}") };
        signal(worker, name);
        eventually("the worker has ended", || (!self.workers().contains(&worker)).then_some(()));
    }

    /// Stops the master as its administrator would ("TERM" or "QUIT"), and waits for its end.
    pub fn stop(&mut self, name: &str) {
        let mut master = self.master.take().expect("it runs");
        signal(master.id(), name);
        master.wait();
    }

    /// Kills the master alone: the workers know nothing of it and go on.
    pub fn kill_master(&mut self) {
        self.orphans = self.workers();
        self.stop("KILL");
    }

    /// Kills the workers that their master left behind.
    pub fn kill_orphans(&mut self) {
        for worker in self.orphans.drain(..).collect::<Vec<_>>() {
            if self.is_ours(worker) {
                signal(worker, "KILL");
            }
            eventually("the worker has ended", || has_ended(worker).then_some(()));
        }
    }

    /// Asks for a reload; [`Fpm::reloaded`] waits for it.
    pub fn reload(&self) -> usize {
        let before = self.log().matches(READY).count();
        signal(self.master_id(), "USR2");
        before
    }

    /// Waits until the reload is over that began with so many starts in the log.
    pub fn reloaded(&self, before: usize) {
        let over = || (self.log().matches(READY).count() > before).then_some(());
        eventually("PHP-FPM has reloaded", over);
    }

    fn master_id(&self) -> u32 {
        self.master.as_ref().expect("it runs").id()
    }

    /// Whether a process is a worker of this pool: the number may have gone to another.
    fn is_ours(&self, process: u32) -> bool {
        let line = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        let title = format!("php-fpm: pool {}", self.pool);
        line.split(|byte| *byte == 0).next() == Some(title.as_bytes())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn configuration(&self, site: &Site, directives: &[(&str, &str)]) -> String {
        let listen = match self.listen {
            Listen::Unix => self.socket().display().to_string(),
            Listen::Tcp(port) => format!("127.0.0.1:{port}"),
        };
        let mut globals = format!("[global]\nerror_log = {}\n", self.path("error.log").display());
        let mut pool = format!(
            "[{}]\nlisten = {listen}\nphp_admin_value[auto_prepend_file] = {}\n",
            self.pool,
            site.counter().display(),
        );
        if as_root() {
            pool += "user = www-data\ngroup = www-data\n";
        }
        let named = |name: &str| directives.iter().any(|(own, _)| *own == name);
        let usual = USUAL.iter().filter(|(name, _)| !named(name));
        for (name, value) in usual.chain(directives) {
            let part = if MASTERS.contains(name) { &mut globals } else { &mut pool };
            *part += &format!("{name} = {value}\n");
        }
        globals + &pool
    }
}

impl Drop for Fpm {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("PHP-FPM's log:\n{}", self.log());
        }
        for worker in &self.orphans {
            if self.is_ours(*worker) {
                signal(*worker, "KILL");
            }
        }
    }
}

/// PHP-FPM, whichever version it has.
fn program() -> PathBuf {
    let found = fs::read_dir("/usr/sbin").expect(MISSING);
    let mut programs: Vec<_> = found.filter_map(|entry| Some(entry.ok()?.path())).collect();
    programs.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("php-fpm")
    });
    programs.sort();
    programs.pop().expect(MISSING)
}

/// Whether a process is over to its last descriptor: the kernel takes its memory, and with it the
/// command line, before it closes its sockets (proc_pid_stat(5)).
fn has_ended(process: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{process}/stat")) else { return true };
    stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with(['Z', 'X']))
}
