//! What only a machine of its own can lack: a service that nobody has started since the boot, one
//! that the kernel kills for memory, has no share of a processor or may start nothing more, a disk
//! that does not answer or is written to no more, more work than processors, too little memory. A
//! container shares all of it with this host.
//!
//! One boot for all: `scenario.sh` runs inside, and asks until the page says so.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use support::roots::{expect_finding, expect_root_of};

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
    for script in ["eat.php", "read.php"] {
        put(&of_tree(&format!("tests/vm/{script}")), &format!("var/www/html/{script}"));
    }
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

/// A step of the scenario, and what its page has to say: the root, how sure that is, the operator's
/// first fix, and a finding that shows it by key and part.
type Step = (&'static str, &'static str, &'static str, &'static str, (&'static str, &'static str));

const STEPS: &[Step] = &[
    ("at_boot", "host_rebooted", "certain", "enable_service", ("unit_file", "disabled")),
    ("killed", "oom_killed", "certain", "raise_unit_limits", ("unit_state", "failed (failed)")),
    // Nothing but the group's count says so, or the kernel's line where it came in time.
    ("killed_worker", "oom_killed", "", "raise_unit_limits", ("unit_state", "active (running)")),
    ("throttled", "cpu_throttled", "likely", "raise_unit_limits", ("unit_throttled", " times")),
    ("crowded", "task_limit", "likely", "raise_unit_limits", ("unit_tasks", "2 of 2")),
    ("stalled", "storage_stalled", "likely", "check_storage", ("unit_waits_for_disk", "%")),
    ("overloaded", "overload", "likely", "more_resources", ("load", "2 processors")),
    ("short", "memory_pressure", "likely", "check_memory", ("swap", "free of 383 MiB")),
    ("read_only", "disk_read_only", "certain", "check_storage", ("disk", "read-only")),
];

#[test]
fn what_a_machine_lacks_is_named() {
    let steps = run();
    for (step, root, certainty, fix, (key, part)) in STEPS {
        let found = steps.iter().find(|(word, _)| word == step);
        let (_, problem) = found.unwrap_or_else(|| panic!("no step {step}"));
        let said = problem["root_certainty"].as_str().unwrap_or_default();
        let sure = if certainty.is_empty() { said } else { *certainty };
        expect_root_of(step, || problem.clone(), (*root, sure), fix);
        expect_finding(problem, key, part);
    }
}
