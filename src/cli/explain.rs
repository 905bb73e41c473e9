//! `causeway explain`: the catalogue of causes in print and as JSON. Lines of logs are `line`'s.

use std::io::{self, Write};
use std::process::ExitCode;

use serde_json::json;

use crate::config;
use crate::demo;
use crate::diagnose::{self, Audience, Code, FixId, Step, Words};

use super::{EX_USAGE, line, say};

pub fn list(json: bool) -> ExitCode {
    let words = diagnose::english();
    if json {
        let rows: Vec<_> = Code::all().map(cause_json).collect();
        say(&format!("{}\n", json!({ "causes": rows })));
        return ExitCode::SUCCESS;
    }
    let width = Code::all().map(|code| code.name().len()).max().unwrap_or_default();
    let mut text = String::new();
    for code in Code::all() {
        text.push_str(&format!("{:width$}  {}\n", code.name(), words.cause(code).title));
    }
    say(&text);
    ExitCode::SUCCESS
}

pub fn explain(name: &str, json: bool) -> ExitCode {
    // No cause has a blank in its name, and every line has.
    if name == "-" {
        return line::explain_input(json);
    } else if name.trim().contains(char::is_whitespace) {
        let lines: Vec<&str> = name.lines().filter(|line| !line.trim().is_empty()).collect();
        return line::explain_lines(&lines, json);
    }
    let Ok(code) = name.parse::<Code>() else {
        let mut message = format!("causeway: no cause is called `{name}`\n");
        let names = Code::all().map(Code::name);
        if let Some(near) = config::nearest(name, names) {
            message.push_str(&format!("did you mean `{near}`?\n"));
        }
        message.push_str("`causeway explain` lists them all\n");
        let _ = io::stderr().write_all(message.as_bytes());
        return EX_USAGE.into();
    };
    match json {
        true => say(&format!("{}\n", cause_json(code))),
        false => say(&explanation(code)),
    }
    ExitCode::SUCCESS
}

fn explanation(code: Code) -> String {
    let words = diagnose::english();
    let cause = words.cause(code);
    let entry = diagnose::entry(code);
    let phase: &str = entry.phase.into();
    let mut text = format!("{}\n\n{}\n\n", code.name(), cause.title);
    text.push_str(&format!("For visitors:  {}\n\n", cause.visitor));
    text.push_str(&format!("What it means: {}\n\n", cause.operator));
    text.push_str(&format!("How Causeway knows: {}\n\n", cause.recognised));
    text.push_str(&match diagnose::is_received(code) {
        true => {
            format!("The upstream's own status, stage `{phase}`, Proxy-Status received-status\n")
        }
        false => format!(
            "Status {}, stage `{phase}`, Proxy-Status error {}\n",
            entry.status, entry.proxy_error
        ),
    });
    text.push_str("\nWhat usually lies behind it:\n");
    for id in diagnose::reasons(code) {
        let reason = words.reason(*id);
        text.push_str(&format!("  {} ({}): {}\n", reason.title, id.name(), reason.text));
    }
    for (audience, heading) in [
        (Audience::Visitor, "What a visitor can do"),
        (Audience::Operator, "What the operator can do"),
    ] {
        text.push_str(&format!("\n{heading}:\n"));
        let fixes = diagnose::fix_ids(code).filter(|fix| fix.audience() == audience);
        text.push_str(&fixes_text(words, fixes));
    }
    text.push_str("\nTo see it happen, run `causeway demo` and open:\n");
    for row in rows(code) {
        text.push_str(&format!("  {}: {}\n", row.name, row.what));
    }
    text.push_str(&format!("\nSources: {}\n", diagnose::cause_sources(code).join(", ")));
    text
}

/// Fixes with their steps.
pub(super) fn fixes_text(words: &Words, fixes: impl IntoIterator<Item = FixId>) -> String {
    let mut text = String::new();
    for fix in fixes {
        let fix_words = words.fix(fix);
        text.push_str(&format!("  {} ({})\n", fix_words.title, fix.name()));
        text.push_str(&format!("    {}\n", fix_words.why));
        for step in &fix_words.steps {
            text.push_str(&format!("    - {}\n", step.for_any()));
        }
        if let Some(check) = &fix_words.check {
            text.push_str(&format!("    {}: {check}\n", words.page.check));
        }
    }
    text
}

pub(super) fn fixes_json(
    words: &Words,
    fixes: impl IntoIterator<Item = FixId>,
) -> Vec<serde_json::Value> {
    let row = |fix: FixId| {
        let audience: &str = fix.audience().into();
        let text = words.fix(fix);
        let steps: Vec<_> = text.steps.iter().map(Step::for_any).collect();
        json!({
            "id": fix.name(), "audience": audience, "title": text.title, "why": text.why,
            "steps": steps, "check": text.check,
            "sources": diagnose::fix_sources(fix),
        })
    };
    fixes.into_iter().map(row).collect()
}

/// The rows of the demonstration that bring a cause about.
fn rows(code: Code) -> impl Iterator<Item = &'static demo::Scenario> {
    demo::scenarios().filter(move |row| row.code == code)
}

fn cause_json(code: Code) -> serde_json::Value {
    let words = diagnose::english();
    let cause = words.cause(code);
    let entry = diagnose::entry(code);
    let (phase, blame): (&str, &str) = (entry.phase.into(), entry.blame.into());
    let of_our_own = !diagnose::is_received(code);
    let row = |row: &demo::Scenario| json!({"row": row.name, "what": row.what});
    let reproduce: Vec<_> = rows(code).map(row).collect();
    let (status, error) = of_our_own.then_some((entry.status, entry.proxy_error)).unzip();
    let fixes = fixes_json(words, diagnose::fix_ids(code));
    let reasons: Vec<_> = diagnose::reasons(code)
        .iter()
        .map(|id| {
            let reason = words.reason(*id);
            json!({
                "id": id.name(), "title": reason.title, "text": reason.text,
                "sources": diagnose::reason_sources(*id),
            })
        })
        .collect();
    json!({
        "cause": code.name(), "title": cause.title, "visitor": cause.visitor,
        "operator": cause.operator, "recognised": cause.recognised,
        "reproduce": reproduce,
        "sources": diagnose::cause_sources(code),
        "phase": phase, "blame": blame, "status": status, "proxy_status_error": error,
        "reasons": reasons, "fixes": fixes,
    })
}
