//! Reload, restart and stop under load: nobody who was let in is turned away.

use super::support::load::{Load, Tally, Target};
use super::support::sandbox::Sandbox;
use super::unit::{FILE, configure, front, installed};

pub const REQUESTS: u64 = 10_000;
const LISTEN: &str = "listen = [\"127.0.0.1:80\"]\ndrain_timeout = \"10s\"\n";

#[test]
fn a_reload_under_load_fails_nobody() {
    let sandbox = installed();
    configure(&sandbox, &format!("{LISTEN}workers = 2"));
    sandbox.sh("systemctl start causeway");
    let status = |text: &str| sandbox.property("causeway", "StatusText").contains(text);
    assert!(status("1 upstream; 0 failures in the last minute"));
    let load = Load::start(&sandbox, &[front()], 4);
    for round in 0..4 {
        load.more(1_000);
        let more = format!("workers = 2\n[client]\nkeepalive_timeout = \"{}s\"", 20 + round);
        configure(&sandbox, &format!("{LISTEN}{more}"));
        sandbox.sh("systemctl reload causeway");
        // One that is refused, by a mistake and by an address that is taken.
        for (wrong, code, says) in [
            ("workers = 2\nlissten = []", 78, "causeway.toml:4:1: unknown key `lissten`"),
            ("workers = 3", 78, "`workers` cannot change from 2 to 3 without a restart"),
            (
                "workers = 2\nadmin.listen = [\"127.0.0.1:8080\"]",
                69,
                "cannot listen on 127.0.0.1:8080",
            ),
        ] {
            load.more(200);
            configure(&sandbox, &format!("{LISTEN}{wrong}"));
            let said = sandbox.ask("systemctl reload causeway");
            assert!(!said.status.success(), "{wrong}: {said:?}");
            assert!(status("reload failed: "), "{wrong}: no word in the status");
            assert!(status(says), "{wrong}: {}", sandbox.property("causeway", "StatusText"));
            assert_eq!(sandbox.property("causeway", "ActiveState"), "active");
            let asked = sandbox.ask("causeway reload");
            assert_eq!(asked.status.code(), Some(code), "{asked:?}");
            assert!(asked.err.contains("the old configuration stays in force"), "{asked:?}");
        }
        configure(&sandbox, &format!("{LISTEN}{more}"));
        sandbox.sh("systemctl reload causeway");
        assert!(!status("reload failed"), "a good one takes the word back");
    }
    load.more(REQUESTS.saturating_sub(load.answered()));
    none_failed("reload", load);
    assert!(sandbox.journal().contains("the old configuration stays in force"));
    // Whoever is told by a signal hears nothing; the service goes on all the same.
    sandbox.sh("systemctl kill -s HUP --kill-who=main causeway");
    sandbox.until("journalctl -u causeway | grep -c 'reloaded /etc'", |count| count == "9");
    assert_eq!(sandbox.property("causeway", "NRestarts"), "0");
}

#[test]
fn an_upgrade_under_load_fails_nobody() {
    let sandbox = installed();
    configure(&sandbox, &format!("{LISTEN}workers = 2"));
    sandbox.sh("systemctl start causeway");
    assert_eq!(sandbox.property("causeway", "NFileDescriptorStore"), "2");
    let load = Load::start(&sandbox, &[front()], 4);
    let mut before = String::new();
    // The number of workers may change too: each socket is served all the same.
    for workers in [2, 4, 1, 3, 2] {
        load.more(REQUESTS / 5);
        sandbox.sh("cp /usr/sbin/causeway /usr/sbin/causeway.new");
        sandbox.sh("mv /usr/sbin/causeway.new /usr/sbin/causeway");
        configure(&sandbox, &format!("{LISTEN}workers = {workers}"));
        sandbox.sh("systemctl restart causeway");
        let process = sandbox.property("causeway", "MainPID");
        assert_ne!(process, std::mem::replace(&mut before, process.clone()));
    }
    load.more(REQUESTS / 5);
    // As many as the most workers there were.
    assert_eq!(sandbox.property("causeway", "NFileDescriptorStore"), "4");
    none_failed("upgrade with stored sockets", load);
    // Those of an address that gives way to a wider one do not keep it from being bound.
    configure(&sandbox, "listen = [\"0.0.0.0:80\"]\nworkers = 2");
    sandbox.sh("systemctl restart causeway");
    assert_eq!(sandbox.sh("curl -s http://127.0.0.1:80/"), "ok");
    // An address that is not listened on any more is not kept.
    configure(&sandbox, "listen = [\"127.0.0.1:81\"]\nworkers = 1");
    sandbox.sh("systemctl restart causeway");
    assert_eq!(sandbox.property("causeway", "NRestarts"), "0");
    sandbox.until("systemctl show -P NFileDescriptorStore causeway", |count| count == "1");
    assert_eq!(sandbox.ask("curl -s http://127.0.0.1:80/").status.code(), Some(7), "refused");
    assert_eq!(sandbox.sh("curl -s http://127.0.0.1:81/"), "ok");
}

#[test]
fn an_upgrade_with_sockets_of_systemd_fails_nobody() {
    let sandbox = installed();
    configure(
        &sandbox,
        "listen = [\"systemd:http\", \"unix:/run/causeway/http.sock\"]\nworkers = 2",
    );
    sandbox.sh("systemctl start causeway.socket causeway.service");
    let unix = Target::Unix(sandbox.path("/run/causeway/http.sock"));
    let load = Load::start(&sandbox, &[front(), unix], 2);
    for _ in 0..5 {
        load.more(REQUESTS / 5);
        sandbox.sh("systemctl restart causeway");
    }
    load.more(REQUESTS / 5);
    none_failed("upgrade with causeway.socket", load);
}

#[test]
fn a_stop_under_load_cuts_nobody() {
    let sandbox = installed();
    configure(&sandbox, "listen = [\"127.0.0.1:80\", \"unix:/run/causeway/http.sock\"]");
    sandbox.sh("systemctl start causeway");
    let unix = Target::Unix(sandbox.path("/run/causeway/http.sock"));
    let mut all = 0;
    for round in 0..5 {
        if round > 0 {
            sandbox.sh("systemctl start causeway");
        }
        let load = Load::start(&sandbox, &[front(), unix.clone()], 2);
        load.more(REQUESTS / 5);
        load.expect_closing();
        sandbox.sh("systemctl stop causeway");
        let tally = load.end();
        println!("stop {round}: {tally}");
        assert_eq!(tally.failures(), 0, "{tally}\n{}", sandbox.journal());
        all += tally.answered;
        assert_eq!(sandbox.property("causeway", "Result"), "success");
        assert_eq!(sandbox.property("causeway", "NFileDescriptorStore"), "0");
    }
    assert!(all >= REQUESTS);
    assert!(!sandbox.path(FILE.trim_end_matches(".toml")).exists());
}

pub fn none_failed(what: &str, load: Load) -> Tally {
    let tally = load.end();
    println!("{what}: {tally}");
    assert_eq!(tally.failures(), 0, "{what}: {tally}");
    assert!(tally.answered >= REQUESTS, "{what}: {tally}");
    tally
}

#[test]
fn a_start_that_cannot_be_is_not_tried_again() {
    let sandbox = installed();
    let starts = |sandbox: &Sandbox, top: &str, code: &str, says: &str| {
        configure(sandbox, top);
        assert!(!sandbox.ask("systemctl start causeway").status.success());
        assert_eq!(sandbox.property("causeway", "ExecMainStatus"), code);
        assert_eq!(sandbox.property("causeway", "ActiveState"), "failed");
        assert!(sandbox.journal().contains(says), "no {says:?}:\n{}", sandbox.journal());
    };
    starts(&sandbox, "listen = [80]", "78", "expected a string, found an integer");
    starts(&sandbox, "listen = [\"systemd:http\"]", "78", "causeway.socket");
}
