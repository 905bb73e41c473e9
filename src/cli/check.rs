//! `causeway check`: every problem of a configuration at once.

use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use crate::config::{self, Config, LoadError};
use crate::diagnose::{Languages, Partial};
use crate::server;

use super::{EX_CONFIG, refused, say};

pub fn check(path: &Path, json: bool) -> ExitCode {
    match (config::load(path, server::prove), json) {
        (Ok(config), false) => say(&summary(path, &config)),
        (Ok(_), true) => say("{\"problems\":[]}\n"),
        (Err(LoadError::Problems(problems)), true) => {
            say(&format!("{}\n", json!({ "problems": problems.rows() })));
            return EX_CONFIG.into();
        }
        (Err(error), _) => return refused(&error),
    }
    ExitCode::SUCCESS
}

fn summary(path: &Path, config: &Config) -> String {
    let upstreams = match config.upstreams.len() {
        1 => "1 upstream".to_owned(),
        count => format!("{count} upstreams"),
    };
    let mut text = format!("{}: no problems; {upstreams}\n", path.display());
    for remark in server::remarks(config) {
        text.push_str(&format!("note: {remark}\n"));
    }
    let languages = Languages::of(&config.page).unwrap_or_default();
    for Partial { language, base, missing } in languages.partial() {
        text.push_str(&format!("note: {missing} words of `{language}` are those of `{base}`\n"));
    }
    text
}
