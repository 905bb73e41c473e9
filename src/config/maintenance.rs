//! `maintenance` of an upstream block: planned work, what switches it on, and what visitors are
//! told.
//!
//! Whether the file of a switch exists is not asked here: that is looked up while requests are
//! served.

use std::path::PathBuf;
use std::time::SystemTime;

use jiff::Timestamp;
use toml::Spanned;
use toml::de::DeValue;

use super::address::absolute_path;
use super::error::Fault;
use super::named::{TextFile, text_file};
use super::reader::{Table, wrong_type};

const UNTIL: &str = "a time with its zone, e.g. \"2026-11-22T06:00:00+01:00\"";

/// Planned work on the site behind a block: no request reaches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maintenance {
    /// The file whose existence switches it on; `None`: it is on.
    pub file: Option<PathBuf>,
    /// When the site is expected back; the file may say otherwise.
    pub until: Option<SystemTime>,
    /// A page of the operator's own, for browsers.
    pub page: Option<TextFile>,
}

/// Reads the key of a block: `true`, `false`, or a table.
pub fn maintenance(table: &mut Table<'_>) -> Option<Maintenance> {
    let value = table.value("maintenance")?;
    let on = Maintenance { file: None, until: None, page: None };
    match value.get_ref() {
        DeValue::Boolean(is_on) => is_on.then_some(on),
        DeValue::Table(_) => {
            let mut keys = table.as_table("maintenance", value, "")?;
            let mistakes = keys.mistakes;
            let file = keys.parsed("file", absolute_path);
            let page = keys.parsed("page", |path| text_file(mistakes, path)).flatten();
            let until = keys.value("until").and_then(|value| {
                let span = value.span();
                mistakes.check(until(value), span)
            });
            keys.finish();
            Some(Maintenance { file, until, page })
        }
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_) => {
            let fault = wrong_type("a boolean or a table", value);
            let fault = fault.expected("`true`, or e.g. { file = \"/run/causeway/shop.closed\" }");
            table.mistakes.note(fault, value.span());
            None
        }
    }
}

/// A time as RFC 3339 writes it, in quotes or as TOML's own.
fn until(value: &Spanned<DeValue<'_>>) -> Result<SystemTime, Fault> {
    let written = match value.get_ref() {
        DeValue::String(text) => text.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => return Err(wrong_type("a time", value).expected(UNTIL)),
    };
    time(&written)
        .ok_or_else(|| Fault::new(format!("`{written}` is no time with a zone")).expected(UNTIL))
}

/// A point in time in the notation of RFC 3339, at the earliest 1970.
pub fn time(written: &str) -> Option<SystemTime> {
    let time = written.trim().parse::<Timestamp>().ok()?;
    (time >= Timestamp::UNIX_EPOCH).then(|| SystemTime::from(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_its_zone() {
        for (written, unix) in [
            ("2026-11-22T06:00:00+01:00", Some(1_795_323_600)),
            (" 2026-11-22T05:00:00Z\n", Some(1_795_323_600)),
            ("2026-11-22 05:00:00Z", Some(1_795_323_600)),
            ("2026-11-22T05:00:00", None),
            ("2026-11-22", None),
            ("1969-12-31T23:59:59Z", None),
            ("tomorrow", None),
            ("", None),
        ] {
            let read = time(written);
            let seconds =
                read.map(|at| at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs());
            assert_eq!(seconds, unix, "{written:?}");
        }
    }
}
