//! Every key of the configuration: its table, its type, its default and what it means.
//!
//! The one list from which the manual page, the schema for editors and the hints on misplaced keys
//! come; tests hold it against what the reader takes, against the defaults and against the
//! annotated configuration. Reads nothing itself. The rows stand in files beside this one; a
//! new table has a row in [`TABLES`] too.

use std::ops::RangeInclusive;

use super::{keys_client, keys_page, keys_upstream};

/// One key of the configuration.
#[derive(Debug)]
pub struct Key {
    /// The header of its table, with `NAME` for the operator's own names; empty: the file's top.
    pub table: &'static str,
    pub name: &'static str,
    pub kind: Kind,
    pub preset: Preset,
    /// One sentence or two, for the manual and for editors.
    pub meaning: &'static str,
}

/// What may stand behind a key.
#[derive(Debug, Clone)]
pub enum Kind {
    Flag,
    /// A whole number within bounds.
    Count(RangeInclusive<usize>),
    /// One of a few whole numbers.
    Numbered(&'static [u16]),
    /// An array of whole numbers, each within bounds.
    Numbers(RangeInclusive<u16>),
    /// `"10s"`, longer than nothing.
    Duration,
    /// `"10s"`, or `"0s"`.
    DurationOrZero,
    /// `"32KiB"`, at most this much.
    Size(&'static str),
    /// One of a few words.
    Choice(&'static [&'static str]),
    /// One of a few words, or the absolute path of a file.
    ChoiceOrPath(&'static [&'static str]),
    Text(Form),
    Texts(Form),
    /// An array of strings with at least one element.
    FilledTexts(Form),
    /// A date and time with a zone, in quotes or as TOML's own.
    Time,
    /// An array of arrays of strings, at least one of each.
    FilledLists(Form),
    /// `true`, `false`, or a table of which [`keys`] has the keys.
    FlagOrTable,
    /// An array of at least one table, of which [`keys`] has the keys.
    Tables,
}

/// What a string holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Listener,
    /// An address, where sockets that systemd passes are not taken.
    Address,
    Resolver,
    Server,
    Host,
    UrlPath,
    File,
    Folder,
    FileName,
    Attempt,
    Glob,
    Network,
    /// A network, or `unix`.
    Balancer,
    Contact,
    /// A `mailto:` address.
    Mailbox,
    /// An `https:` address.
    Directory,
    Language,
}

/// What holds where the key is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// A value as the file writes it.
    Value(&'static str),
    /// An array of strings.
    List(&'static [&'static str]),
    /// No value, and what that means: "every host".
    Without(&'static str),
    Required,
}

/// The tables in the order of the annotated configuration, with what they are for.
pub const TABLES: &[(&str, &str)] = &[
    ("", "At the top of the file, before the first table."),
    ("client", "What a client may take."),
    ("tls", "HTTPS for clients, TLS 1.2 and 1.3."),
    ("tls.certificates", "One certificate: its chain and its key."),
    (
        "tls.acme",
        "Certificates by ACME (RFC 8555), ordered and renewed by Causeway itself, beside those of \
         `[[tls.certificates]]` or in place of them.",
    ),
    (
        "upstream.NAME",
        "One block an upstream, with a name of letters, digits, `-` and `_`: where requests go. \
         A file without any forwards nothing.",
    ),
    ("upstream.NAME.timeouts", "How long each stage of an exchange with this upstream may take."),
    ("upstream.NAME.limits", "What this upstream is given, and what is taken from it."),
    (
        "upstream.NAME.maintenance",
        "Planned work: every request is answered with 503 and a page that says so, and nothing is \
         sent to the servers.",
    ),
    ("upstream.NAME.tls", "For https:// servers only."),
    (
        "admin",
        "Metrics for Prometheus and the program's health: GET /metrics, /healthz and /readyz, over \
         HTTP/1.1 on a thread of its own.",
    ),
    ("page", "The page of a failed request: who sees what, and in which words."),
    ("log", "The access log and the daemon's own messages."),
];

/// Every key, table by table, in the order of [`TABLES`].
pub fn keys() -> impl Iterator<Item = &'static Key> {
    [keys_client::KEYS, keys_upstream::KEYS, keys_page::KEYS].into_iter().flatten()
}

/// Names whose place would mislead: right in several tables, or meant as another word.
const COMMON: [&str; 5] = ["listen", "tls", "file", "until", "page"];

/// One row.
pub const fn key(
    table: &'static str,
    name: &'static str,
    kind: Kind,
    preset: Preset,
    meaning: &'static str,
) -> Key {
    Key { table, name, kind, preset, meaning }
}

/// The keys of one table, in order.
pub fn keys_of(table: &str) -> impl Iterator<Item = &'static Key> {
    keys().filter(move |key| key.table == table)
}

/// Where a key belongs that was found elsewhere; `None` for a name that is in no table, or that
/// tells nothing.
pub fn place_of(name: &str) -> Option<String> {
    if COMMON.contains(&name) {
        return None;
    }
    let tables: Vec<&str> = keys().filter(|key| key.name == name).map(|key| key.table).collect();
    match tables.as_slice() {
        [] => None,
        [""] => Some("at the top of the file, before the first table".to_owned()),
        tables => {
            let named: Vec<String> =
                tables.iter().map(|table| format!("`{}`", header(table))).collect();
            Some(format!("in {}", named.join(" or ")))
        }
    }
}

/// A table's header as a file has it.
pub fn header(table: &str) -> String {
    let repeats = |(above, name)| {
        keys_of(above).any(|key| key.name == name && matches!(key.kind, Kind::Tables))
    };
    match table.rsplit_once('.').is_some_and(repeats) {
        true => format!("[[{table}]]"),
        false => format!("[{table}]"),
    }
}

impl Preset {
    /// As the file would write it; `None` where no value can stand for it.
    pub fn literal(self) -> Option<String> {
        match self {
            Preset::Value(literal) => Some(literal.to_owned()),
            Preset::List(items) => {
                let quoted: Vec<String> = items.iter().map(|item| format!("\"{item}\"")).collect();
                Some(format!("[{}]", quoted.join(", ")))
            }
            Preset::Without(_) | Preset::Required => None,
        }
    }
}
