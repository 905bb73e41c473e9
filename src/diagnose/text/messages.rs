//! The words of the catalogue that explains our messages in a journal.
//!
//! A file beside those of the page, which an operator's own words do not reach: the catalogue is
//! made with the program, and knows no site. Pure.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::SOURCES;
use crate::diagnose::Event;

/// The words of one language.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MessageWords {
    /// The fields of a failure, a line each.
    pub head: String,
    /// What the message does not tell.
    pub log: String,
    /// Before the command that tells more.
    pub more: String,
    event: HashMap<String, EventWords>,
}

/// The words of one event.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventWords {
    /// What happened, present tense.
    pub title: String,
    /// What it means and what to do, if anything.
    pub text: String,
}

static BUILT_IN: LazyLock<[MessageWords; SOURCES.len()]> = LazyLock::new(|| {
    SOURCES.map(|source| toml::from_str(source.messages).expect("a test reads every language"))
});

/// The words of every language that is compiled in, in the order of `languages()`.
pub fn messages() -> &'static [MessageWords] {
    &*BUILT_IN
}

impl MessageWords {
    pub fn event(&self, event: Event) -> &EventWords {
        self.event.get(event.name()).expect("a test proves every event to be there")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_has_every_event_and_nothing_else() {
        for (words, source) in messages().iter().zip(&SOURCES) {
            let mut there: Vec<_> = words.event.keys().map(String::as_str).collect();
            let mut known: Vec<_> = Event::all().map(Event::name).collect();
            there.sort_unstable();
            known.sort_unstable();
            assert_eq!(there, known, "{}", source.language);
        }
    }
}
