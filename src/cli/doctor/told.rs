//! What the doctor found, in print and as JSON.

use std::io::{self, IsTerminal};

use serde_json::{Value, json};

use crate::diagnose::{Ailment, Root};

use super::unit;
use super::{Check, Found, Speech};

/// Fixes of a cause that are told; the page and `causeway explain` have them all.
const FIXES: usize = 2;

const RED: &str = "\x1b[31m";
const YELLOW: &str = "\x1b[33m";
const PLAIN: &str = "\x1b[0m";

/// The worst of what was found.
pub fn worst(checks: &[Check]) -> Option<Ailment> {
    let found = checks.iter().filter_map(|check| check.found.as_ref());
    found.map(|found| found.ailment).max_by_key(|ailment| ailment.is_failure())
}

/// Everything that was checked, and how it stands.
pub fn json(checks: &[Check]) -> String {
    let row = |check: &Check| {
        let mut row = json!({
            "check": check.kind, "subject": check.subject,
            "severity": severity(check.found.as_ref().map(|found| found.ailment)),
        });
        if let Some(found) = &check.found {
            row["finding"] = found.ailment.name().into();
            row["value"] = found.value.as_str().into();
            if let Some(problem) = &found.problem {
                row["problem"] = problem.clone();
            }
        }
        row
    };
    let rows: Vec<_> = checks.iter().map(row).collect();
    let whole = json!({
        "checks": rows, "worst": severity(worst(checks)), "looked_as": unit::own_name(),
    });
    format!("{whole}\n")
}

fn severity(ailment: Option<Ailment>) -> &'static str {
    match ailment {
        None => "well",
        Some(ailment) if ailment.is_failure() => "failure",
        Some(_) => "warning",
    }
}

/// What is wrong, the worst first, and a summary.
pub fn text(checks: &[Check], speech: Speech) -> String {
    let colours = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut ill: Vec<(&Check, &Found)> =
        checks.iter().filter_map(|check| Some((check, check.found.as_ref()?))).collect();
    ill.sort_by_key(|(_, found)| !found.ailment.is_failure());
    let mut out = String::new();
    for (check, found) in &ill {
        let (word, colour) = match found.ailment.is_failure() {
            true => (&speech.doctor.failure, RED),
            false => (&speech.doctor.warning, YELLOW),
        };
        let (on, off) = if colours { (colour, PLAIN) } else { ("", "") };
        out.push_str(&format!("{on}{word}{off} {}: {}\n", check.kind, check.subject));
        match &found.problem {
            Some(problem) => out.push_str(&of_problem(problem, speech)),
            None => {
                out.push_str(&format!("    {}\n", speech.doctor.ailment(found.ailment)));
                if !found.value.is_empty() {
                    out.push_str(&format!("    {}\n", found.value));
                }
            }
        }
        out.push('\n');
    }
    let failures = ill.iter().filter(|(_, found)| found.ailment.is_failure()).count();
    let warnings = ill.len() - failures;
    let line = match ill.is_empty() {
        true => &speech.doctor.well,
        false => &speech.doctor.found,
    };
    let numbers = [("{n}", checks.len()), ("{failures}", failures), ("{warnings}", warnings)];
    let fill =
        |line: String, (name, number): &(&str, usize)| line.replace(name, &number.to_string());
    out.push_str(&numbers.iter().fold(line.clone(), fill));
    out.push('\n');
    if !ill.is_empty() {
        out.push_str(&speech.doctor.looked_as.replace("{user}", &unit::own_name()));
        out.push('\n');
    }
    out
}

/// The page's own members, as they were sent for an operator.
fn of_problem(problem: &Value, speech: Speech) -> String {
    let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let cause = text(problem, "cause");
    let mut out =
        format!("    {}: {cause} ({})\n", text(problem, "title"), text(problem, "certainty"));
    if let Some(name) = problem["root"].as_str() {
        let certainty = text(problem, "root_certainty");
        let title = name.parse::<Root>().map(|root| speech.words.root(root).title.as_str());
        let title = title.unwrap_or_default();
        let label = &speech.doctor.root;
        out.push_str(&format!("    {label}: {title}: {name} ({certainty})\n"));
    }
    for row in evidence(problem) {
        out.push_str(&format!("      {row}\n"));
    }
    let fixes = problem["fixes"].as_array().into_iter().flatten();
    let operators = fixes.filter(|fix| fix["audience"] == "operator");
    for (number, fix) in operators.take(FIXES).enumerate() {
        out.push_str(&format!("    {}. {}\n", number + 1, text(fix, "title")));
        for step in fix["steps"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            out.push_str(&format!("       - {step}\n"));
        }
        for command in fix["commands"].as_array().into_iter().flatten() {
            out.push_str(&format!("         {}\n", text(command, "line")));
        }
    }
    let more = &speech.doctor.more;
    out.push_str(&format!("    {more}: causeway explain {cause}\n"));
    out
}

/// What was seen: of the request, and of this host.
fn evidence(problem: &Value) -> Vec<String> {
    let members = problem["evidence"].as_object().into_iter().flatten();
    let mut rows: Vec<String> =
        members.filter_map(|(key, value)| Some(format!("{key}: {}", value.as_str()?))).collect();
    for found in problem["findings"].as_array().into_iter().flatten() {
        let (key, value) = (found["key"].as_str(), found["value"].as_str());
        let row = format!("{}: {}", key.unwrap_or_default(), value.unwrap_or_default());
        if !rows.contains(&row) {
            rows.push(row);
        }
    }
    rows
}
