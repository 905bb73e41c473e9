//! The Debian package: built from the program under test, installed, upgraded, removed and purged in
//! a real systemd. What it leaves behind is told path by path.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use support::load::{Load, Target};
use support::sandbox::Sandbox;
use support::tools::run;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const PROGRAM: &str = env!("CARGO_BIN_EXE_causeway");
const CONFIG: &str = "/etc/causeway/causeway.toml";
const PAGE: &str = "curl -s -i http://127.0.0.1:8502/";
/// Two versions of the same content.
const VERSIONS: [&str; 2] = ["0.1.0-1", "0.1.1-1"];
/// Requests during an upgrade.
const REQUESTS: u64 = 10_000;

/// What is written while the package comes and goes, and is not ours to take away: the package
/// manager's and the log rotation's own books.
const OF_OTHERS: [&str; 2] = ["/var/log/dpkg.log", "/var/lib/logrotate"];

/// The package in one of the versions, built once.
fn package(version: &str) -> PathBuf {
    static BUILT: OnceLock<Vec<PathBuf>> = OnceLock::new();
    let built = BUILT.get_or_init(|| VERSIONS.iter().map(|version| build(version)).collect());
    let position = VERSIONS.iter().position(|known| *known == version).unwrap();
    built[position].clone()
}

fn build(version: &str) -> PathBuf {
    // cargo has built the program for this test, with this profile, into this folder.
    let folder = Path::new(PROGRAM).parent().unwrap();
    let profile = match folder.file_name().unwrap().to_str().unwrap() {
        "debug" => "dev",
        name => name,
    };
    let output = Path::new(env!("CARGO_TARGET_TMPDIR")).join("package/");
    let mut script = Command::new(format!("{ROOT}/config/debian/build"));
    script.args(["--built", "--profile", profile, "--version", version, "--output"]);
    let said = script.arg(&output).output().unwrap();
    assert!(
        said.status.success(),
        "no package; this needs cargo-deb, which tests/run installs: {}",
        String::from_utf8_lossy(&said.stderr)
    );
    PathBuf::from(String::from_utf8_lossy(&said.stdout).trim())
}

/// Puts a version's package into the container, to be installed by the line that is returned.
fn bring(sandbox: &Sandbox, version: &str) -> String {
    let inside = format!("/root/causeway_{version}.deb");
    sandbox.install(&package(version), &inside, 0o644);
    format!("dpkg --install --force-confold {inside}")
}

fn state(sandbox: &Sandbox) -> String {
    sandbox.property("causeway", "ActiveState")
}

/// Every path that the container has on its disk.
fn paths(sandbox: &Sandbox) -> Vec<String> {
    let pruned = ["/proc", "/sys", "/dev", "/run", "/tmp", "/root", "/var/log/journal"];
    let pruned: Vec<String> = pruned.iter().map(|path| format!("-path {path}")).collect();
    let found = sandbox.sh(&format!("find / \\( {} \\) -prune -o -print", pruned.join(" -o ")));
    found.lines().map(str::to_owned).collect()
}

#[test]
fn installed_it_runs_and_says_what_to_do() {
    let sandbox = Sandbox::boot();
    let install = bring(&sandbox, VERSIONS[0]);
    sandbox.sh(&install);
    assert_eq!(state(&sandbox), "active");
    assert_eq!(sandbox.sh("systemctl is-enabled causeway"), "enabled");
    assert_eq!(sandbox.ask("systemctl is-enabled causeway.socket").out, "disabled");
    let answer = sandbox.sh(PAGE);
    assert!(
        answer.starts_with("HTTP/1.1 503") && answer.contains("nothing_configured"),
        "{answer}"
    );
    assert!(answer.contains("/etc/causeway/causeway.toml [upstream.NAME] servers"), "{answer}");
    sandbox.sh("runuser -u causeway -- causeway check");

    let modes = "stat --format='%n %A %U:%G' /etc/causeway /etc/causeway/causeway.toml \
                 /var/lib/causeway /var/log/causeway /usr/sbin/causeway";
    let expected = "/etc/causeway drwxr-xr-x root:root\n\
                    /etc/causeway/causeway.toml -rw-r----- root:causeway\n\
                    /var/lib/causeway drwxr-x--- causeway:causeway\n\
                    /var/log/causeway drwxr-x--- causeway:causeway\n\
                    /usr/sbin/causeway -rwxr-xr-x root:root";
    assert_eq!(sandbox.sh(modes), expected);
    // Its own words too: the container has no manual pages that the unit could name.
    let verify = "systemd-analyze --man=no verify /usr/lib/systemd/system/causeway*";
    let said = sandbox.ask(verify);
    assert_eq!((said.out.as_str(), said.err.as_str()), ("", ""));
    let catalog = sandbox.sh("journalctl --list-catalog");
    assert!(catalog.contains("causeway: "), "{catalog}");
    assert_eq!(sandbox.sh("dpkg --verify causeway"), "");
    let completed = "source /usr/share/bash-completion/completions/causeway; \
                     COMP_WORDS=(causeway explain connection_re); COMP_CWORD=2; \
                     _causeway causeway connection_re explain; echo ${COMPREPLY[@]}";
    let said = run(sandbox.command("bash").args(["-c", completed]));
    assert_eq!(said.trim(), "connection_refused");
}

/// Installs the newer version while requests come in at a port.
fn upgrade_under_load(sandbox: &Sandbox, install: &str, port: u16) {
    let process = sandbox.property("causeway", "MainPID");
    let load = Load::start(sandbox, &[Target::Tcp(([127, 0, 0, 1], port).into())], 2);
    load.more(REQUESTS / 2);
    sandbox.sh(install);
    load.more(REQUESTS / 2);
    let tally = load.end();
    println!("upgrade: {tally}");
    assert_eq!(tally.failures(), 0, "{tally}");
    assert!(tally.answered >= REQUESTS, "{tally}");
    assert_eq!(sandbox.sh("dpkg-query -W -f '${Version}' causeway"), VERSIONS[1]);
    assert_eq!(state(sandbox), "active");
    assert_ne!(sandbox.property("causeway", "MainPID"), process);
}

/// From an installation to a purge, by way of all that an administrator does in between.
#[test]
fn it_comes_and_goes_without_a_trace() {
    let sandbox = Sandbox::boot();
    let before = paths(&sandbox);
    let [first, second] = VERSIONS.map(|version| bring(&sandbox, version));
    sandbox.sh(&first);

    // Edited and reloaded, it forwards.
    sandbox.sh("systemctl start apache2");
    let config = "[upstream.site]\nservers = [\"http://127.0.0.1:80\"]\n\
                  [log]\naccess = \"/var/log/causeway/access.log\"\n";
    sandbox.write(CONFIG, config);
    let process = sandbox.property("causeway", "MainPID");
    sandbox.sh("systemctl reload causeway");
    sandbox.until(PAGE, |answer| answer.contains("Apache2 Debian Default Page"));
    assert_eq!(sandbox.property("causeway", "MainPID"), process);

    // The log is rotated, and goes on in the new file.
    let log = "/var/log/causeway/access.log";
    sandbox.until(&format!("cat {log}"), |lines| !lines.is_empty());
    sandbox.sh("logrotate --force /etc/logrotate.d/causeway");
    sandbox.until(&format!("{PAGE} >/dev/null; cat {log}"), |lines| !lines.is_empty());
    let owners = format!("stat --format='%A %U' {log} {log}.1");
    assert_eq!(sandbox.sh(&owners), "-rw-r----- causeway\n-rw-r----- causeway");

    // A newer version takes over while requests come in, and the edited configuration stays.
    upgrade_under_load(&sandbox, &second, 8502);
    let kept =
        |when: &str| assert_eq!(sandbox.sh(&format!("cat {CONFIG}")), config.trim(), "{when}");
    kept("after the upgrade");

    // Removed, it is gone, and its configuration, logs and state are not.
    sandbox.sh("systemctl enable causeway.socket && dpkg --remove causeway");
    assert_eq!(state(&sandbox), "inactive");
    assert!(sandbox.ask(PAGE).out.is_empty(), "the port is free");
    kept("after the removal");
    sandbox.sh(&format!("test -s {log} && test -d /var/lib/causeway"));
    let refused = sandbox.ask("systemctl start causeway");
    assert!(!refused.status.success(), "{refused:?}");

    // Installed again it is as it was.
    sandbox.sh(&second);
    kept("after another installation");
    sandbox.until(PAGE, |answer| answer.contains("Apache2 Debian Default Page"));
    assert_eq!(sandbox.sh("stat --format=%a:%G /etc/causeway/causeway.toml"), "640:causeway");

    sandbox.sh("touch /etc/causeway/page.html && dpkg --purge causeway");
    assert!(sandbox.ask(PAGE).out.is_empty(), "the port is free");
    sandbox.sh("systemctl stop apache2");
    let after = paths(&sandbox);
    let is_new = |path: &&String| !before.contains(path);
    let traces: Vec<&String> = after
        .iter()
        .filter(is_new)
        .filter(|path| {
            path.contains("causeway") || !OF_OTHERS.iter().any(|own| path.starts_with(own))
        })
        .collect();
    assert!(traces.is_empty(), "a purge leaves {traces:#?}");
    let gone: Vec<&String> = before.iter().filter(|path| !after.contains(path)).collect();
    assert!(gone.is_empty(), "a purge takes {gone:#?}");
    assert_eq!(sandbox.ask("ls -d /run/causeway*").out, "");
    assert_eq!(sandbox.ask("systemctl list-unit-files 'causeway*' --no-legend").out, "");
    // A locked account, which owns nothing.
    let account = sandbox.sh("getent passwd causeway");
    assert!(account.ends_with("/usr/sbin/nologin"), "{account}");
    assert_eq!(sandbox.sh("find / -xdev \\( -user causeway -o -group causeway \\) -print"), "");
}

/// A configuration that asks for systemd's sockets by name starts only after them.
#[test]
fn sockets_that_are_enabled_survive_upgrade_and_removal() {
    let sandbox = Sandbox::boot();
    let [first, second] = VERSIONS.map(|version| bring(&sandbox, version));
    sandbox.write("/etc/apache2/ports.conf", "Listen 127.0.0.1:8080\n");
    sandbox.sh("sed -i s/:80/:8080/ /etc/apache2/sites-enabled/000-default.conf");
    sandbox.sh(&format!("systemctl start apache2 && {first}"));
    let config = "listen = [\"systemd:http\"]\n\
                  [upstream.site]\nservers = [\"http://127.0.0.1:8080\"]\n";
    sandbox.write(CONFIG, config);
    // A socket cannot be started while its service runs without it.
    sandbox.sh("systemctl stop causeway && systemctl enable --now causeway.socket");
    sandbox.sh("systemctl start causeway");
    let serves = |when: &str| {
        let answer = sandbox.sh("curl -s http://127.0.0.1/");
        assert!(answer.contains("Apache2 Debian Default Page"), "{when}: {answer}");
        let states = "systemctl is-active causeway.socket causeway; \
                      systemctl is-enabled causeway.socket";
        assert_eq!(sandbox.sh(states), "active\nactive\nenabled", "{when}");
    };
    serves("before");
    upgrade_under_load(&sandbox, &second, 80);
    serves("after the upgrade");

    sandbox.sh("dpkg --remove causeway");
    let states = sandbox.ask("systemctl is-active causeway.socket causeway").out;
    assert_eq!(states, "inactive\ninactive");
    assert_eq!(sandbox.ask("curl -s http://127.0.0.1/").status.code(), Some(7), "refused");
    // The installation itself starts both, without a request that asks for it.
    sandbox.sh(&second);
    assert_eq!(state(&sandbox), "active");
    serves("after another installation");
    assert_eq!(sandbox.property("causeway", "NRestarts"), "0");
}

/// Somebody else has the port: the package is installed all the same, and the service comes up once
/// the port is free.
#[test]
fn a_port_that_is_taken_breaks_no_installation() {
    let sandbox = Sandbox::boot();
    sandbox.write("/etc/apache2/ports.conf", "Listen 127.0.0.1:8502\n");
    sandbox.sh("systemctl start apache2");
    let install = bring(&sandbox, VERSIONS[0]);
    let said = sandbox.sh(&install);
    assert_eq!(
        sandbox.sh("dpkg-query -W -f '${Status}' causeway"),
        "install ok installed",
        "{said}"
    );
    assert_ne!(state(&sandbox), "active");
    sandbox.until("journalctl -u causeway", |journal| {
        journal.contains("cannot listen on 127.0.0.1:8502") && journal.contains("in use")
    });
    sandbox.sh("systemctl stop apache2");
    sandbox.until("systemctl is-active causeway", |state| state == "active");
    assert!(sandbox.sh(PAGE).contains("nothing_configured"));
}

/// Debian's own checker; what it is told to pass over stands in the package, with the reason.
#[test]
fn lintian_finds_nothing() {
    let mut lintian = Command::new("lintian");
    lintian.args(["--fail-on", "error,warning", "--no-tag-display-limit", "--allow-root"]);
    let output = lintian.arg(package(VERSIONS[0])).output();
    let output = output.expect("lintian, which tests/run installs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && !said.contains("unused-override"), "{said}");
}

/// The manual pages as a reader sees them.
#[test]
fn manual_pages_render_without_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    run(Command::new("dpkg-deb").arg("--extract").arg(package(VERSIONS[0])).arg(folder.path()));
    for (page, words) in [
        ("man8/causeway.8.gz", ["causeway explain", "SIGHUP", "/etc/causeway/causeway.toml"]),
        ("man5/causeway.toml.5.gz", ["[upstream.NAME.limits]", "gateway_timeout", "fastcgi+unix"]),
    ] {
        let file = folder.path().join("usr/share/man").join(page);
        let mut man = Command::new("man");
        man.args(["--warnings", "--local-file"]).arg(file).env("MANWIDTH", "80");
        let output = man.output().expect("man, which tests/run installs");
        let (text, said) = (output.stdout, String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && said.is_empty(), "{page}: {said}");
        let text = String::from_utf8(text).unwrap();
        for word in words {
            assert!(text.contains(word), "{page} lacks {word}:\n{text}");
        }
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{page} is too wide: {line}");
        }
    }
}
