//! `causeway explain 'LINE'`: what a line of nginx's, Apache's or PHP-FPM's error log means, and
//! what to do, in the user's language.

use std::io::{self, Read, Write};
use std::process::ExitCode;

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::diagnose::log::{self, Clock, Program, Says};
use crate::diagnose::{self, Audience, FixId, Root, Words};

use super::explain::{fixes_json, fixes_text};
use super::{EX_USAGE, say};

/// What is read from the standard input.
const INPUT_BYTES_MAX: u64 = 64 << 10;
/// Lines of it that are explained.
const LINES_MAX: usize = 50;

/// A line with what it says.
struct Told {
    line: String,
    program: Option<Program>,
    time: Option<jiff::Timestamp>,
    upstream: Option<String>,
    /// `None`: it is not known, and this message is the most like it.
    says: Result<Says, Option<&'static str>>,
}

/// Explains the lines on the standard input.
pub fn explain_input(json: bool) -> ExitCode {
    let mut bytes = Vec::new();
    if let Err(error) = io::stdin().lock().take(INPUT_BYTES_MAX).read_to_end(&mut bytes) {
        let _ = writeln!(io::stderr(), "causeway: cannot read the standard input: {error}");
        return super::EX_NOINPUT.into();
    }
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    explain_lines(&lines[..lines.len().min(LINES_MAX)], json)
}

/// Explains lines; exit status 64 where none of them is known.
pub fn explain_lines(lines: &[&str], json: bool) -> ExitCode {
    let words = words_of_user();
    let told: Vec<Told> = lines.iter().map(|line| tell(line)).collect();
    if json {
        let rows: Vec<Value> = told.iter().map(|told| row(told, words)).collect();
        say(&format!("{}\n", json!({ "lines": rows })));
    } else {
        for (i, told) in told.iter().enumerate() {
            if i > 0 {
                say("\n");
            }
            show(told, words);
        }
    }
    match told.iter().any(|told| told.says.is_ok()) {
        true => ExitCode::SUCCESS,
        false => EX_USAGE.into(),
    }
}

fn tell(line: &str) -> Told {
    let named = |name: &str| jiff::tz::db().get(name).ok();
    let clock = Clock { zone: TimeZone::system(), named: &named };
    let shape = log::shape(line, &clock);
    let says = shape.program.and_then(|program| log::says(program, &shape.message));
    Told {
        line: log::masked(line.trim()),
        program: shape.program,
        time: shape.time,
        upstream: shape.upstream.map(log::masked),
        says: says.ok_or_else(|| log::nearest_sample(&shape.message)),
    }
}

/// What lies behind a line that names no exchange's failure, with what to do.
fn behind(says: Says) -> (Option<Root>, Vec<FixId>) {
    match says {
        Says::Cause(code) => {
            let fixes = diagnose::fix_ids(code);
            (None, fixes.filter(|fix| fix.audience() == Audience::Operator).collect())
        }
        Says::Of(sign) => (log::root_of(sign), vec![log::fix_of(sign)]),
    }
}

fn show(told: &Told, words: &Words) {
    let says = match told.says {
        Ok(says) => says,
        Err(near) => {
            let mut message = format!("causeway: this line is not known:\n  {}\n", told.line);
            if let Some(near) = near {
                message.push_str(&format!("the nearest that is known:\n  {near}\n"));
            }
            message.push_str("`causeway explain` lists the causes\n");
            let _ = io::stderr().write_all(message.as_bytes());
            return;
        }
    };
    let mut text = format!("{}\n\n", told.line);
    let (root, fixes) = behind(says);
    match says {
        Says::Cause(code) => {
            let cause = words.cause(code);
            text.push_str(&format!("{}\n\n{}\n\n{}\n\n", code.name(), cause.title, cause.operator));
        }
        Says::Of(sign) => {
            let name: &str = sign.into();
            match root {
                Some(root) => {
                    let said = words.root(root);
                    let id = root.name();
                    text.push_str(&format!("{id}\n\n{}\n\n{}\n\n", said.title, said.text));
                }
                None => text.push_str(&format!("{name}\n\n")),
            }
        }
    }
    for (name, value) in facts(told) {
        text.push_str(&format!("{name}: {value}\n"));
    }
    if let Says::Cause(code) = says {
        text.push_str(&format!("\n{}:\n", words.page.reasons));
        for id in diagnose::reasons(code) {
            let reason = words.reason(*id);
            text.push_str(&format!("  {} ({}): {}\n", reason.title, id.name(), reason.text));
        }
    }
    text.push_str(&format!("\n{}:\n{}", words.page.what_to_do, fixes_text(words, fixes)));
    say(&text);
}

/// What the line says beside it.
fn facts(told: &Told) -> Vec<(&'static str, String)> {
    let program = told.program.map(|program| ("program", program.name().to_owned()));
    let time = told.time.map(|time| ("time", time.to_string()));
    let upstream = told.upstream.clone().map(|upstream| ("upstream", upstream));
    [program, time, upstream].into_iter().flatten().collect()
}

fn row(told: &Told, words: &Words) -> Value {
    let mut row = json!({ "line": told.line });
    for (name, value) in facts(told) {
        row[name] = value.into();
    }
    let says = match told.says {
        Ok(says) => says,
        Err(near) => {
            row["nearest"] = near.into();
            return row;
        }
    };
    let (root, fixes) = behind(says);
    match says {
        Says::Cause(code) => {
            row["cause"] = code.name().into();
            row["title"] = words.cause(code).title.clone().into();
            row["operator"] = words.cause(code).operator.clone().into();
        }
        Says::Of(sign) => {
            let name: &str = sign.into();
            row["sign"] = name.into();
        }
    }
    if let Some(root) = root {
        row["root"] = root.name().into();
        row["title"] = words.root(root).title.clone().into();
        row["operator"] = words.root(root).text.clone().into();
    }
    row["fixes"] = fixes_json(words, fixes).into();
    row
}

/// The words in the language of the user's environment (locale(7)); English where we have none.
fn words_of_user() -> &'static Words {
    let set = |name: &&str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_MESSAGES", "LANG"].iter().find_map(set).unwrap_or_default();
    let language = locale.split(['_', '.', '@']).next().unwrap_or_default();
    let known = diagnose::languages().iter().find(|words| words.language == language);
    known.unwrap_or_else(|| diagnose::english())
}
