//! What lies behind a failure, as an operator is told it: root, certainty, first fix, findings.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::Value;

use super::client::{self, PROBLEM};
use super::tools::eventually;

/// Asks as an operator until the root is there, and holds the first operator's fix to this one.
pub fn expect_root(port: u16, path: &str, root: (&str, &str), fix: &str) -> Value {
    expect_root_of(path, || client::get(port, path, PROBLEM).problem(), root, fix)
}

/// The same of whatever is asked.
pub fn expect_root_of(
    path: &str,
    ask: impl Fn() -> Value,
    (root, certainty): (&str, &str),
    fix: &str,
) -> Value {
    let mut last = Value::Null;
    let seen = catch_unwind(AssertUnwindSafe(|| {
        eventually(&format!("{path} has the root {root}, {certainty}"), || {
            last = ask();
            let there = last["root"] == root && last["root_certainty"] == certainty;
            there.then(|| last.clone())
        })
    }));
    let Ok(seen) = seen else { panic!("{path} has not the root {root}, {certainty}: {last:#}") };
    let fixes = seen["fixes"].as_array().expect("fixes");
    let first = fixes.iter().find(|fix| fix["audience"] == "operator").expect("an operator's");
    assert_eq!(first["id"], fix, "{path}: {seen:#}");
    seen
}

/// Holds the findings to one of this key whose value has this part.
pub fn expect_finding(problem: &Value, key: &str, part: &str) {
    let findings = problem["findings"].as_array().expect("findings");
    let holds = |found: &Value| {
        found["key"] == key && found["value"].as_str().is_some_and(|value| value.contains(part))
    };
    assert!(findings.iter().any(holds), "no {key} with {part}: {findings:#?}");
}
