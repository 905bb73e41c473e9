//! `causeway import nginx`: the configuration on stdout or in a file, what to know of it on stderr.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use crate::import::{self, ImportError};

use super::{EX_CANTCREAT, EX_DATAERR, EX_NOINPUT, INCOMPLETE, chain, ensure_newline, say};

pub fn nginx(path: &Path, output: Option<&Path>) -> ExitCode {
    let import = match import::nginx(path) {
        Ok(import) => import,
        Err(error) => {
            tell(&ensure_newline(chain(&error)));
            return match error {
                ImportError::Unreadable { .. } => EX_NOINPUT.into(),
                ImportError::Syntax(_) => EX_DATAERR.into(),
            };
        }
    };
    match output {
        None => say(&import.toml),
        Some(output) => {
            if let Err(error) = fs::write(output, &import.toml) {
                tell(&format!("causeway: cannot write {}: {error}\n", output.display()));
                return EX_CANTCREAT.into();
            }
        }
    }
    for note in &import.notes {
        tell(&format!("{note}\n"));
    }
    match import.lost {
        0 => ExitCode::SUCCESS,
        lost => {
            let things = if lost == 1 { "thing was" } else { "things were" };
            tell(&format!("{lost} {things} not carried over\n"));
            INCOMPLETE.into()
        }
    }
}

fn tell(text: &str) {
    // A closed stderr is no reason to stop.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
