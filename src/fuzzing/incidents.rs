//! What must hold of the file of incidents: whatever a disk has left of it is read, bounded, and
//! can be shown; and what was read is read again from what it would be written as.

use crate::diagnose;
use crate::page::{self, Format};
use crate::telemetry;

/// A segment's bytes.
pub fn incidents(bytes: &[u8]) {
    let list = telemetry::read_incidents([bytes]);
    assert!(list.len() <= 1000, "{} are kept", list.len());
    let written = telemetry::written_incidents(&list);
    assert_eq!(telemetry::read_incidents([&*written]), list);
    let words = diagnose::english();
    for format in [Format::Html, Format::ProblemJson, Format::Text] {
        shown(&page::incidents(&list, words, format).body, format);
        for incident in list.iter().take(8) {
            assert!(incident.group().is_some(), "{}: no incident's id", incident.id);
            shown(&page::incident(incident, words, format).body, format);
        }
    }
}

fn shown(body: &[u8], format: Format) {
    let body = std::str::from_utf8(body).expect("pages are UTF-8");
    match format {
        Format::ProblemJson => {
            assert!(serde_json::from_str::<serde_json::Value>(body).is_ok(), "{body}");
        }
        Format::Text => {
            let steers = |c: char| c != '\n' && diagnose::is_hidden(c);
            assert!(!body.chars().any(steers), "{body:?}");
        }
        Format::Html => assert!(!body.contains("<script>c"), "{body}"),
    }
}
