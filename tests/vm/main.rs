//! PHP-FPM killed by the kernel for memory, in a machine of its own: a container shares this host's
//! kernel and, with it, has no limits of its own. One boot for all: `scenario.sh` runs inside.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const PROGRAM: &str = env!("CARGO_BIN_EXE_causeway");

/// The files that the machine has beside its own.
fn files(folder: &Path) {
    let put = |from: &Path, to: &str| {
        let to = folder.join(to);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, &to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    };
    let of_tree = |path: &str| Path::new(ROOT).join(path);
    put(&of_tree("config/causeway.service"), "usr/lib/systemd/system/causeway.service");
    put(&of_tree("config/causeway.sysusers"), "usr/lib/sysusers.d/causeway.conf");
    put(&of_tree("tests/vm/causeway.toml"), "etc/causeway/causeway.toml");
    put(&of_tree("tests/vm/eat.php"), "var/www/html/eat.php");
    put(&of_tree("tests/vm/scenario.sh"), "etc/vm-test");
    // Without what debuggers need: it is nine tenths, and the machine is slow.
    let program = folder.join("usr/sbin/causeway");
    fs::create_dir_all(program.parent().unwrap()).unwrap();
    let stripped = Command::new("strip").arg("-o").args([&program, Path::new(PROGRAM)]).status();
    assert!(stripped.unwrap().success());
}

/// What the scenario printed, a line a step: a word and JSON.
fn run() -> Vec<(String, Value)> {
    let script = Path::new(ROOT).join("tests/support/vm.sh");
    let made = Command::new(&script).arg("make").output().unwrap();
    assert!(
        made.status.success(),
        "no machine can be made; this test needs root, mmdebstrap, kmod, cpio and e2fsprogs, which \
         tests/run installs: {}",
        String::from_utf8_lossy(&made.stderr)
    );
    let machine = String::from_utf8_lossy(&made.stdout).trim().to_owned();
    let dir = tempfile::tempdir().unwrap();
    let (folder, tar, out) =
        (dir.path().join("files"), dir.path().join("tar"), dir.path().join("out"));
    files(&folder);
    let packed = Command::new("tar")
        .args(["--owner=0", "--group=0", "-cf"])
        .args([&tar, Path::new("-C"), &folder, Path::new(".")])
        .status();
    assert!(packed.unwrap().success());
    let ran = Command::new(&script).arg("run").arg(machine).args([&tar, &out]).output().unwrap();
    let said = fs::read_to_string(&out).unwrap_or_default();
    let console = fs::read_to_string(dir.path().join("out.console")).unwrap_or_default();
    println!("{said}");
    assert!(
        ran.status.success() && said.lines().any(|line| line.trim() == "end"),
        "the machine did not get to the end: {ran:?}\n{said}\n{console}"
    );
    let steps = said.lines().filter_map(|line| line.trim().split_once(' '));
    let step = |(word, json): (&str, &str)| (word.to_owned(), serde_json::from_str(json).ok());
    steps.map(step).filter_map(|(word, json)| Some((word, json?))).collect()
}

#[test]
fn a_service_that_the_kernel_kills_for_memory_is_named() {
    let steps = run();
    for (step, state) in [("stop", "failed (failed)"), ("continue", "active (running)")] {
        let found = steps.iter().find(|(word, _)| word == step);
        let (_, problem) = found.unwrap_or_else(|| panic!("no step {step}"));
        let finding = |key: &str| {
            let mut findings = problem["findings"].as_array().unwrap().iter();
            let found = findings.find(|found| found["key"] == key);
            found.and_then(|found| found["value"].as_str()).unwrap_or_default().to_owned()
        };
        assert_eq!(problem["root"], "oom_killed", "{step}: {problem}");
        assert!(finding("unit").ends_with("-fpm.service"), "{step}: {problem}");
        assert_eq!(finding("unit_state"), state, "{step}: {problem}");
        let mut fixes = problem["fixes"].as_array().unwrap().iter();
        let first = fixes.find(|fix| fix["audience"] == "operator").unwrap();
        assert_eq!(first["id"], "raise_unit_limits", "{step}: {problem}");
    }
}
