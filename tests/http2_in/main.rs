//! HTTP/2 towards clients, by clients that are not ours: what RFC 9113 asks for, and what attackers
//! do while somebody else is served.
//!
//! The frames come from Python (python3-h2, python3-hyperframe) and from nghttp2's programs; the
//! proxy is the built one, before a backend of the test's own. All of it is on 127.0.0.1. A missing
//! program fails these tests; nothing is skipped.

mod backend;
#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use support::proxy::Proxy;
use support::python;
use support::tools::{free_port, self_signed};

/// How fast the good client asks while an attack goes on.
const GOOD_A_SECOND: u64 = 250;
/// For so long an attack goes on.
const ATTACK_SECONDS: f64 = 3.5;
/// And that of those who stay: until all have come, and for a while.
const IDLE_SECONDS: f64 = 11.5;
/// By so much memory may grow.
const GROWTH_MAX_KB: u64 = 64 * 1024;
/// The connections that the idle attack holds, and what else is open: the soft limit alone.
const DESCRIPTORS: &str = "--nofile=12000:";

/// A proxy with TLS, before a backend.
struct Setting {
    proxy: Proxy,
    secure: u16,
    _dir: tempfile::TempDir,
}

impl Setting {
    fn new(client: &str) -> Setting {
        Setting::of(&["localhost"], "", client)
    }

    /// With a certificate for each of the hosts, and more keys in two tables.
    fn of(hosts: &[&str], tls: &str, client: &str) -> Setting {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let certificate = |host: &&str| {
            let (chain, key) = self_signed(dir.path(), host);
            format!("{{ chain = {chain:?}, key = {key:?} }}")
        };
        let certificates: Vec<String> = hosts.iter().map(certificate).collect();
        let (secure, certificates) = (free_port(), certificates.join(", "));
        let more = format!(
            "[tls]\nlisten = [\"127.0.0.1:{secure}\"]\n\
             certificates = [{certificates}]\n{tls}\n[client]\n{client}\n"
        );
        let proxy = Proxy::before(&format!("http://127.0.0.1:{}", backend::start()), &more);
        Setting { proxy, secure, _dir: dir }
    }

    /// Resident memory of the proxy.
    fn memory_kb(&self) -> u64 {
        let path = format!("/proc/{}/status", self.proxy.id());
        let status = fs::read_to_string(path).expect("the proxy lives");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    fn good_client(&self, requests: u64, more: &[&str]) -> Child {
        Command::new("h2load")
            .args(["--connect-to", &format!("127.0.0.1:{}", self.secure)])
            .args(["-n", &requests.to_string(), "-c", "1", "-m", "10"])
            .args(more)
            .arg(format!("https://localhost:{}/", self.secure))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("h2load (Debian's nghttp2-client): {error}"))
    }
}

/// How many of h2load's requests were answered with 2xx.
fn served(client: Child) -> u64 {
    let output = client.wait_with_output().expect("h2load ends");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = said.lines().find_map(|line| line.strip_prefix("status codes: "));
    let count = line.and_then(|line| line.split(" 2xx").next()?.parse().ok());
    count
        .unwrap_or_else(|| panic!("h2load said: {said}{}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn what_is_forbidden_is_refused_as_rfc_9113_says() {
    let setting = Setting::new("");
    let (held, said) = python::run("tests/http2_in/conformance.py", &[&setting.secure.to_string()]);
    assert!(held, "{said}");
    assert!(said.contains("rows hold"), "{said}");
}

/// Runs one case of `manners.py` against a proxy of its own.
fn keeps_manners(case: &str, client: &str) {
    let setting = Setting::new(client);
    let (port, process) = (setting.secure.to_string(), setting.proxy.id().to_string());
    let (held, said) = python::run("tests/http2_in/manners.py", &[case, &port, &process]);
    assert!(held, "{case}: {said}");
}

#[test]
fn requests_reach_the_backend_in_one_form() {
    keeps_manners("forwarded", "");
    keeps_manners("asked_to_go_on", "");
    keeps_manners("turns", "");
}

#[test]
fn a_cut_answer_ends_its_stream_alone() {
    keeps_manners("cut", "");
}

#[test]
fn connections_end_as_they_are_told() {
    keeps_manners("silent", "header_timeout = \"2s\"");
    keeps_manners("without_preface", "header_timeout = \"2s\"");
    keeps_manners("idle", "keepalive_timeout = \"2s\"");
    keeps_manners("unheard", "header_timeout = \"2s\"");
    keeps_manners("drained", "");
    keeps_manners("one_too_many", "connections = 1");
}

/// What curl writes of one request, with the version of HTTP.
fn curl(setting: &Setting, arguments: &[&str]) -> String {
    let to = format!("::127.0.0.1:{}", setting.secure);
    let told = ["-sk", "-o", "/dev/null", "-w", "%{http_version} %{http_code}"];
    support::tools::run(Command::new("curl").args(told).args(["--connect-to", &to]).args(arguments))
}

#[test]
fn a_connection_is_for_the_hosts_of_its_certificate() {
    let setting = Setting::of(&["a.example", "b.example"], "", "");
    let ask = |host: &str| curl(&setting, &["-H", &format!("Host: {host}"), "https://a.example/"]);
    assert_eq!(ask("a.example"), "2 200");
    assert_eq!(ask("b.example"), "2 421", "another certificate is for it");
    assert_eq!(ask("c.example"), "2 200", "none is");
}

#[test]
fn it_can_be_left_out() {
    let setting = Setting::of(&["a.example"], "http2 = false", "");
    assert_eq!(curl(&setting, &["https://a.example/"]), "1.1 200");
}

/// Attacks one after another: each is to be alone with the good client.
static ALONE: Mutex<()> = Mutex::new(());

/// Attacks with time-outs of two seconds.
fn withstand(attack: &str, plain: bool) {
    withstand_for(attack, plain, ATTACK_SECONDS, "2s");
}

/// Attacks while a good client asks, and holds what it got and what the attack cost to the limits.
fn withstand_for(attack: &str, plain: bool, seconds: f64, keepalive: &str) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let setting = Setting::new(&format!(
        "header_timeout = \"2s\"\nbody_timeout = \"2s\"\nkeepalive_timeout = \"{keepalive}\"\n\
         connections = 20000",
    ));
    // What grows once, for whoever comes first, is not the attack's.
    assert_eq!(served(setting.good_client(500, &[])), 500, "before the attack");
    let before = setting.memory_kb();
    // It goes on a little longer than the attack.
    let asked = ((seconds + 0.5) * GOOD_A_SECOND as f64) as u64;
    let good = setting.good_client(asked, &["--rps", &GOOD_A_SECOND.to_string()]);
    let port = if plain { setting.proxy.port } else { setting.secure };
    let (over, peak) = (AtomicBool::new(false), AtomicU64::new(before));
    let (held, said) = thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                peak.fetch_max(setting.memory_kb(), Ordering::Relaxed);
                thread::sleep(Duration::from_millis(20));
            }
        });
        let ended = python::run(
            "tests/http2_in/attacks.py",
            &[attack, &port.to_string(), &seconds.to_string()],
        );
        over.store(true, Ordering::Relaxed);
        ended
    });
    let served = served(good);
    let growth = peak.load(Ordering::Relaxed).saturating_sub(before);
    println!("{attack}: {said}good requests served: {served}; memory grew by {growth} kB");
    assert!(held, "{attack}: {said}");
    assert!(served * 1000 >= asked * 999, "{attack}: {served} of {asked} served");
    assert!(growth <= GROWTH_MAX_KB, "{attack}: memory grew by {growth} kB");
}

#[test]
fn requests_that_are_taken_back() {
    withstand("rapid_reset", false);
    withstand("patient_reset", false);
}

#[test]
fn heads_that_do_not_end() {
    withstand("continuation", false);
    withstand("empty_continuation", false);
    withstand("hpack_bomb", false);
}

#[test]
fn frames_that_carry_nothing() {
    withstand("pings", false);
    withstand("settings", false);
    withstand("priorities", false);
    withstand("windows", false);
    withstand("empty_data", false);
    withstand("small_data", false);
}

#[test]
fn answers_that_are_not_taken() {
    withstand("zero_windows", false);
    withstand("no_reading", false);
}

#[test]
fn clients_that_are_slow() {
    withstand("slow_heads", true);
    withstand("slow_heads_http2", false);
    withstand("slow_bodies", true);
    withstand("slow_bodies_http2", false);
}

#[test]
fn ten_thousand_idle_connections() {
    let own = std::process::id().to_string();
    support::tools::run(Command::new("prlimit").args(["--pid", &own, DESCRIPTORS]));
    withstand_for("idle", true, IDLE_SECONDS, "75s");
}
