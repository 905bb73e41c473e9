//! A worker that stands still: systemd ends the service and starts it anew, and the connections
//! that wait meanwhile are served.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use super::support::load::Load;
use super::unit::{FRONT, configure, drop_in, front, installed};

/// Who asks while the worker stands still.
const CLIENTS: usize = 40;
/// How long each of them waits.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn a_frozen_worker_is_restarted() {
    let sandbox = installed();
    configure(&sandbox, "listen = [\"127.0.0.1:80\"]\nworkers = 2");
    drop_in(&sandbox, "causeway.service", "[Service]\nWatchdogSec=4\n");
    sandbox.sh("systemctl start causeway");
    let before = sandbox.property("causeway", "MainPID");
    let worker = thread_of(sandbox.main_process("causeway"), "worker-1");

    // A tracer may hold a single thread; a signal would stop them all (ptrace(2)).
    ptrace::seize(worker, ptrace::Options::empty()).expect("root may trace it");
    ptrace::interrupt(worker).expect("it is traced");
    // About half of these go to its socket, and wait there.
    let waiting = sandbox.inside(|| (0..CLIENTS).map(|_| asked()).collect::<Vec<_>>());
    // Its end has to be waited for, or the process cannot end.
    while waitpid(worker, Some(WaitPidFlag::__WALL)).is_ok() {}

    sandbox.until("systemctl show -P NRestarts causeway", |restarts| restarts == "1");
    sandbox.until("systemctl is-active causeway", |state| state == "active");
    assert_ne!(sandbox.property("causeway", "MainPID"), before);
    let journal = sandbox.journal();
    assert!(journal.contains("Watchdog timeout"), "{journal}");
    assert!(journal.contains("worker-1 is stuck"), "{journal}");
    for mut client in waiting {
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("an answer in time");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer:?}");
    }
    let load = Load::start(&sandbox, &[front()], 4);
    load.more(10_000);
    let tally = load.end();
    println!("after the watchdog: {tally}");
    assert_eq!(tally.failures(), 0, "{tally}");
}

fn asked() -> TcpStream {
    let mut client = TcpStream::connect(SocketAddr::from(FRONT)).expect("somebody listens");
    client.set_read_timeout(Some(PATIENCE)).expect("a time");
    let request = b"GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n";
    client.write_all(request).expect("room for it");
    client
}

fn thread_of(process: u32, name: &str) -> Pid {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).expect("its threads");
    let mut tasks = tasks.flatten().map(|task| task.path());
    let is_named = |task: &std::path::PathBuf| {
        fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim() == name)
    };
    let task = tasks.find(is_named).unwrap_or_else(|| panic!("no thread {name}"));
    let number = task.file_name().and_then(|number| number.to_str()?.parse().ok());
    Pid::from_raw(number.expect("a number"))
}
