//! Entries of a journal as `journalctl -o json` gives them, and what may be believed of them.
//!
//! Only fields that begin with `_` are journald's own word; all others come from whoever wrote the
//! entry (systemd.journal-fields(7)). Pure.

use serde_json::Value;

use super::shape::Program;

/// What is asked for of each entry.
pub const FIELDS: &str = "MESSAGE,SYSLOG_IDENTIFIER,_TRANSPORT,_PID,_SYSTEMD_UNIT,UNIT";
/// systemd-oomd and systemd name a unit in which something was killed for memory by this id.
pub const OUT_OF_MEMORY: &str = "fe6faa94e7774663a0da52717891d8ef";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub time_us: u64,
    /// Who is known to have written it.
    pub program: Option<Program>,
    pub message: String,
    /// Whom it speaks of, or who wrote it: the unit, where journald knows.
    pub unit: Option<String>,
}

/// One line of the output.
pub fn entry(line: &str) -> Option<Entry> {
    let fields: Value = serde_json::from_str(line).ok()?;
    let text = |name: &str| fields[name].as_str();
    let program = match (text("_TRANSPORT"), text("_PID")) {
        (Some("kernel"), _) => Some(Program::Kernel),
        (_, Some("1")) => Some(Program::Systemd),
        (Some(_) | None, _) => None,
    };
    let message = message(&fields["MESSAGE"])?;
    let message = match (program, text("SYSLOG_IDENTIFIER")) {
        (None, Some(name)) => format!("{name}: {message}"),
        (Some(_), _) | (None, None) => message,
    };
    // systemd names in UNIT of whom it speaks; of others that field is their own word.
    let named = text("UNIT").filter(|_| program == Some(Program::Systemd));
    let unit = named.or(text("_SYSTEMD_UNIT")).map(str::to_owned);
    Some(Entry { time_us: text("__REALTIME_TIMESTAMP")?.parse().ok()?, program, message, unit })
}

/// One that is no UTF-8 is a list of its bytes.
fn message(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(bytes) => {
            let byte = |value: &Value| u8::try_from(value.as_u64()?).ok();
            let bytes: Option<Vec<u8>> = bytes.iter().map(byte).collect();
            Some(String::from_utf8_lossy(&bytes?).into_owned())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_journald_says_who_wrote_an_entry() {
        for (line, program, message) in [
            (
                r#"{"_TRANSPORT":"kernel","MESSAGE":"Out of memory"}"#,
                Some(Program::Kernel),
                "Out of memory",
            ),
            (
                r#"{"_PID":"1","SYSLOG_IDENTIFIER":"systemd","MESSAGE":"Started a.service"}"#,
                Some(Program::Systemd),
                "Started a.service",
            ),
            (
                r#"{"_PID":"77","SYSLOG_IDENTIFIER":"systemd","MESSAGE":"Started a.service"}"#,
                None,
                "systemd: Started a.service",
            ),
            (r#"{"_TRANSPORT":"stdout","MESSAGE":[99,97,102,233]}"#, None, "caf\u{fffd}"),
        ] {
            let line = line.replacen('{', "{\"__REALTIME_TIMESTAMP\":\"5\",", 1);
            let unit = None;
            let expected = Entry { time_us: 5, program, message: message.to_owned(), unit };
            assert_eq!(entry(&line), Some(expected), "{line}");
        }
        for line in ["", "{", "{}", "[]", r#"{"MESSAGE":null}"#] {
            assert_eq!(entry(line), None, "{line}");
        }
    }
    #[test]
    fn a_unit_is_named_by_journald_and_by_systemd_alone() {
        for (fields, unit) in [
            (r#""_PID":"1","UNIT":"a.service","_SYSTEMD_UNIT":"init.scope""#, "a.service"),
            (r#""_PID":"7","UNIT":"a.service","_SYSTEMD_UNIT":"b.service""#, "b.service"),
        ] {
            let line = format!(r#"{{"__REALTIME_TIMESTAMP":"5","MESSAGE":"x",{fields}}}"#);
            assert_eq!(entry(&line).unwrap().unit.as_deref(), Some(unit), "{line}");
        }
    }
}
