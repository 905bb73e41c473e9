//! `causeway explain`: the catalogue of causes, and of the roots behind them, in print and as JSON.
//! Lines of logs are `line`'s.

use std::io::{self, Write};
use std::process::ExitCode;

use serde_json::json;

use crate::config;
use crate::demo;
use crate::diagnose::{self, Audience, Code, FixId, Recognised, Root, Step, Words};

use super::{EX_USAGE, line, say};

pub fn list(json: bool) -> ExitCode {
    let words = diagnose::english();
    if json {
        let rows: Vec<_> = Code::all().map(cause_json).collect();
        let roots: Vec<_> = Root::all().map(root_json).collect();
        say(&format!("{}\n", json!({ "causes": rows, "roots": roots })));
        return ExitCode::SUCCESS;
    }
    let width = names().map(str::len).max().unwrap_or_default();
    let mut text = String::new();
    for code in Code::all() {
        text.push_str(&format!("{:width$}  {}\n", code.name(), words.cause(code).title));
    }
    text.push_str("\nRoots, which lie behind them on a host:\n\n");
    for root in Root::all() {
        text.push_str(&format!("{:width$}  {}\n", root.name(), words.root(root).title));
    }
    say(&text);
    ExitCode::SUCCESS
}

/// What can be explained: causes, then roots; no name is both.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    Code::all().map(Code::name).chain(Root::all().map(Root::name))
}

pub fn explain(name: &str, json: bool) -> ExitCode {
    // No cause has a blank in its name, and every line has.
    if name == "-" {
        return line::explain_input(json);
    } else if name.trim().contains(char::is_whitespace) {
        let lines: Vec<&str> = name.lines().filter(|line| !line.trim().is_empty()).collect();
        return line::explain_lines(&lines, json);
    }
    let (of_code, of_root) = (name.parse::<Code>(), name.parse::<Root>());
    match (of_code, of_root, json) {
        (Ok(code), _, true) => say(&format!("{}\n", cause_json(code))),
        (Ok(code), _, false) => say(&cause_text(code)),
        (Err(_), Ok(root), true) => say(&format!("{}\n", root_json(root))),
        (Err(_), Ok(root), false) => say(&root_text(root)),
        (Err(_), Err(_), _) => return unknown(name),
    }
    ExitCode::SUCCESS
}

fn unknown(name: &str) -> ExitCode {
    let mut message = format!("causeway: no cause and no root is called `{name}`\n");
    if let Some(near) = config::nearest(name, names()) {
        message.push_str(&format!("did you mean `{near}`?\n"));
    }
    message.push_str("`causeway explain` lists them all\n");
    let _ = io::stderr().write_all(message.as_bytes());
    EX_USAGE.into()
}

/// Title, meaning, how it is recognised, what to do first, sources.
fn root_text(root: Root) -> String {
    let words = diagnose::english();
    let told = words.root(root);
    let mut text = format!("{}\n\n{}\n\n", root.name(), told.title);
    text.push_str(&format!("What it means: {}\n\nHow Causeway knows:\n", told.text));
    for Recognised { certainty, behind, evidence } in root.recognised() {
        let certainty: &str = certainty.into();
        let causes: Vec<_> = behind.into_iter().map(Code::name).collect();
        text.push_str(&format!("  {certainty}, behind {}\n", causes.join(", ")));
        text.push_str(&format!("    by {}\n", evidence.join(", ")));
    }
    text.push_str("\nWhat the operator does first:\n");
    text.push_str(&fixes_text(words, [root.first_fix()]));
    text.push_str(&format!("\nSources: {}\n", diagnose::root_sources(root).join(", ")));
    text
}

fn root_json(root: Root) -> serde_json::Value {
    let words = diagnose::english();
    let told = words.root(root);
    let way = |Recognised { certainty, behind, evidence }: Recognised| {
        let certainty: &str = certainty.into();
        let causes: Vec<_> = behind.into_iter().map(Code::name).collect();
        json!({ "certainty": certainty, "causes": causes, "evidence": evidence })
    };
    let ways: Vec<_> = root.recognised().into_iter().map(way).collect();
    json!({
        "root": root.name(), "title": told.title, "text": told.text, "recognised": ways,
        "fixes": fixes_json(words, [root.first_fix()]),
        "sources": diagnose::root_sources(root),
    })
}

fn cause_text(code: Code) -> String {
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
