//! `causeway reload`: has the running service take its configuration anew, and ends as that ended.
//!
//! What systemd runs for `systemctl reload`. A signal would do the same, and could not say that the
//! new configuration was refused.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::service;

use super::{EX_NOPERM, EX_UNAVAILABLE, ensure_newline, say};

pub fn reload() -> ExitCode {
    let (code, text) = match service::ask_reload() {
        Ok((0, _)) => {
            say("reloaded\n");
            return ExitCode::SUCCESS;
        }
        Ok((code, text)) => (code, format!("the old configuration stays in force: {text}")),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            (EX_NOPERM, format!("the service may not be asked by this user: {error}"))
        }
        Err(error) => (
            EX_UNAVAILABLE,
            format!(
                "no service answers: {error}. One that systemd did not start is reloaded by the \
                 signal HUP, and tells of it in its log alone"
            ),
        ),
    };
    let _ = write!(io::stderr(), "causeway: {}", ensure_newline(text));
    code.into()
}
