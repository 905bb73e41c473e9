//! Tests that are written in Python: frames of HTTP/2 by hand, which no client of ours would send.
//! What they share is `wire.py`, beside this file.

use std::path::Path;
use std::process::{Command, Stdio};

/// Debian's own, whose libraries the packages of tests/run put beside it.
const PYTHON: &str = "/usr/bin/python3";

/// Runs a script of the repository to its end; gives what it said, and whether it was content.
pub fn run(script: &str, arguments: &[&str]) -> (bool, String) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(PYTHON)
        .env("PYTHONPATH", root.join("tests/support"))
        .arg("-B")
        .arg(root.join(script))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{PYTHON} (python3-h2, python3-hyperframe): {error}"));
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}
