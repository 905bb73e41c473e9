//! `causeway doctor`: asks every server of every upstream as a request would, looks at this host,
//! and tells what is wrong in the words of the page.
//!
//! `servers` asks, `host` looks at what belongs to no request, `told` shows what was found. A
//! configuration with mistakes is told as `check` does it. Silent but for its summary where all is
//! well; the exit status is that of the worst finding: 0, 1 for warnings, 69 for failures.

mod host;
mod servers;
mod told;
mod unit;

use std::env;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::config::{self, Config, LoadError};
use crate::diagnose::{self, Ailment, DoctorWords, Words};
use crate::server;

use super::{EX_CONFIG, EX_UNAVAILABLE, EX_USAGE, WARNED, refused, say};

/// What one check found, if anything.
#[derive(Debug)]
pub struct Check {
    /// What kind of check it was: a word of the surface.
    pub kind: &'static str,
    /// What was looked at.
    pub subject: String,
    pub found: Option<Found>,
}

/// Something that is wrong.
#[derive(Debug)]
pub struct Found {
    pub ailment: Ailment,
    /// The numbers or names behind it; printable.
    pub value: String,
    /// The page that an operator would have been shown (RFC 9457).
    pub problem: Option<Value>,
}

/// The language of what is told.
#[derive(Debug, Clone, Copy)]
pub struct Speech {
    pub words: &'static Words,
    pub doctor: &'static DoctorWords,
}

/// What the command line asks for.
#[derive(Debug)]
pub struct Wanted {
    pub json: bool,
    pub language: Option<String>,
    pub upstream: Option<String>,
}

pub fn doctor(path: &Path, wanted: &Wanted) -> ExitCode {
    let config = match (config::load(path, server::prove), wanted.json) {
        (Ok(config), _) => config,
        (Err(LoadError::Problems(problems)), true) => {
            say(&format!("{}\n", json!({ "problems": problems.rows() })));
            return EX_CONFIG.into();
        }
        (Err(error), _) => return refused(&error),
    };
    if let Some(name) = &wanted.upstream
        && !config.upstreams.iter().any(|block| block.name == *name)
    {
        return unknown(name, &config);
    }
    let speech = Speech::of(wanted.language.as_deref());
    let mut checks = servers::checks(&config, wanted.upstream.as_deref(), speech);
    if wanted.upstream.is_none() {
        progress("host");
        checks.extend(host::checks(&config));
    }
    progress("");
    match wanted.json {
        true => say(&told::json(&checks)),
        false => say(&told::text(&checks, speech)),
    }
    match told::worst(&checks) {
        None => ExitCode::SUCCESS,
        Some(ailment) if ailment.is_failure() => EX_UNAVAILABLE.into(),
        Some(_) => WARNED.into(),
    }
}

fn unknown(name: &str, config: &Config) -> ExitCode {
    let mut message = format!("causeway: no upstream is called `{name}`\n");
    let names = config.upstreams.iter().map(|block| block.name.as_str());
    if let Some(near) = config::nearest(name, names) {
        message.push_str(&format!("did you mean `{near}`?\n"));
    }
    let _ = io::stderr().write_all(message.as_bytes());
    EX_USAGE.into()
}

/// What is being looked at, on a terminal alone; overwritten by the next, and at last by nothing.
fn progress(what: &str) {
    let mut stderr = io::stderr().lock();
    if stderr.is_terminal() {
        let _ = write!(stderr, "\r\x1b[K{what}");
        let _ = stderr.flush();
    }
}

impl Check {
    pub fn well(kind: &'static str, subject: impl Into<String>) -> Check {
        Check { kind, subject: subject.into(), found: None }
    }

    pub fn ails(
        kind: &'static str,
        subject: impl Into<String>,
        ailment: Ailment,
        value: impl Into<String>,
    ) -> Check {
        let found = Found { ailment, value: value.into(), problem: None };
        Check { kind, subject: subject.into(), found: Some(found) }
    }
}

impl Speech {
    /// The language asked for, else that of the environment (locale(7)), else English.
    fn of(wanted: Option<&str>) -> Speech {
        let variables = ["LC_ALL", "LC_MESSAGES", "LANG"];
        let set = variables.iter().filter_map(|name| env::var(name).ok());
        let environment = set.into_iter().find(|value| !value.is_empty());
        let tag = wanted.map(str::to_owned).or(environment).unwrap_or_default();
        let primary = tag.split(['_', '-', '.', '@']).next().unwrap_or_default();
        let known = diagnose::languages();
        let at = known.iter().position(|words| words.language.eq_ignore_ascii_case(primary));
        let at = at.unwrap_or_default();
        Speech { words: &known[at], doctor: DoctorWords::of(at) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_known_by_its_first_part() {
        for (asked, language) in
            [("ru", "ru"), ("ru_RU.UTF-8", "ru"), ("zh-CN", "zh"), ("C", "en"), ("xx", "en")]
        {
            assert_eq!(Speech::of(Some(asked)).words.language, language, "{asked}");
        }
    }
}
