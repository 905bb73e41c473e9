//! `causeway incidents`: those that the service on this host has kept, from its files; it may run
//! or not. What an open one has counted since it opened stands in the service alone, which tells
//! it at `/.well-known/causeway/incidents`.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::diagnose::{self, IncidentGroup};
use crate::page;
use crate::telemetry;

use super::{EX_NOINPUT, EX_USAGE, say};

/// All of them, or the one that an id belongs to.
pub fn incidents(id: Option<&str>, json: bool) -> ExitCode {
    let words = diagnose::english();
    let (path, list) = telemetry::kept_incidents();
    let refuse = |text: &str, code: u8| {
        let _ = writeln!(io::stderr(), "causeway: {text}");
        ExitCode::from(code)
    };
    if let Err(error) = std::fs::File::open(&path) {
        return refuse(&format!("cannot read {}: {error}", path.display()), EX_NOINPUT);
    }
    let Some(id) = id else {
        match json {
            true => say(&format!("{}\n", page::incidents_json(&list, words))),
            false => say(&page::incidents_text(&list, words)),
        }
        return ExitCode::SUCCESS;
    };
    let Some(group) = IncidentGroup::read(id) else {
        let text = "no incident has such an id: it is four letters and digits, or the eight of one \
            of its requests, and the first is none before G";
        return refuse(text, EX_USAGE);
    };
    let Some(found) = list.iter().find(|incident| incident.group() == Some(group)) else {
        return refuse(&format!("no incident {group} is kept"), EX_NOINPUT);
    };
    match json {
        true => say(&format!("{}\n", page::incident_json(found, words))),
        false => say(&page::incident_text(found, words)),
    }
    ExitCode::SUCCESS
}
