//! Where each cause, fix, reason and root comes from: documents and specifications, for `explain`.
//! Pure.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::{Code, FixId, ReasonId, Root};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sources {
    cause: HashMap<String, Vec<String>>,
    fix: HashMap<String, Vec<String>>,
    reason: HashMap<String, Vec<String>>,
    root: HashMap<String, Vec<String>>,
}

static SOURCES: LazyLock<Sources> =
    LazyLock::new(|| toml::from_str(include_str!("sources.toml")).expect("a test reads the file"));

/// The sources of a cause.
pub fn cause_sources(code: Code) -> Vec<String> {
    shown(&SOURCES.cause, code.name())
}

/// The sources of a fix.
pub fn fix_sources(id: FixId) -> Vec<String> {
    shown(&SOURCES.fix, id.name())
}

/// The sources of a reason.
pub fn reason_sources(id: ReasonId) -> Vec<String> {
    shown(&SOURCES.reason, id.name())
}

/// The sources of a root.
pub fn root_sources(id: Root) -> Vec<String> {
    shown(&SOURCES.root, id.name())
}

fn shown(table: &HashMap<String, Vec<String>>, name: &str) -> Vec<String> {
    table.get(name).into_iter().flatten().map(|name| source(name)).collect()
}

/// A source as it is shown: letters stand for documents, by publisher and id; RFCs for themselves.
pub fn source(name: &str) -> String {
    let (publisher, id) = match name {
        "A" => ("REG.RU", "dff67a5166156c1f"),
        "B" => ("GeekBrains", "dff67a5166156c1f"),
        "C" => ("Kinsta", "dff67a5166156c1f"),
        "D" => ("502 Bad Gateway Nginx", "dff67a5166156c1f"),
        "E" => ("Lifewire", "dff67a5166156c1f"),
        "F" => ("document F", "28e78e17e0f44ea5"),
        "G" => ("document G", "d87a1fb301c20683"),
        "H" => ("document H", "9ff47232f53675bc"),
        "I" => ("document I", "1ca70d9f55f43455"),
        other => return other.to_owned(),
    };
    format!("{publisher} ({id})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_fix_reason_and_root_has_sources_and_nothing_else_has() {
        let mut causes: Vec<_> = SOURCES.cause.keys().map(String::as_str).collect();
        let mut fixes: Vec<_> = SOURCES.fix.keys().map(String::as_str).collect();
        let (mut codes, mut ids): (Vec<_>, Vec<_>) =
            (Code::all().map(Code::name).collect(), FixId::all().map(FixId::name).collect());
        let mut reasons: Vec<_> = SOURCES.reason.keys().map(String::as_str).collect();
        let mut known: Vec<_> = ReasonId::all().map(ReasonId::name).collect();
        let mut roots: Vec<_> = SOURCES.root.keys().map(String::as_str).collect();
        let mut behind: Vec<_> = Root::all().map(Root::name).collect();
        for list in [&mut causes, &mut fixes, &mut reasons, &mut codes, &mut ids, &mut known] {
            list.sort_unstable();
        }
        roots.sort_unstable();
        behind.sort_unstable();
        assert_eq!((causes, fixes, reasons, roots), (codes, ids, known, behind));
        let all = SOURCES.cause.values().chain(SOURCES.fix.values());
        let all = all.chain(SOURCES.reason.values()).chain(SOURCES.root.values());
        assert!(all.into_iter().all(|names| !names.is_empty()));
    }
}
