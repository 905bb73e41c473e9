//! The words of `causeway doctor`, beside those that it shares with the page. Pure.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::SOURCES;
use crate::diagnose::ailment::Ailment;

/// The words of one language.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DoctorWords {
    /// `{n}` checks, nothing found.
    pub well: String,
    /// `{n}` checks, `{failures}` and `{warnings}`.
    pub found: String,
    /// As which user, `{user}`, it was looked.
    pub looked_as: String,
    pub failure: String,
    pub warning: String,
    pub root: String,
    pub more: String,
    ailment: HashMap<String, String>,
}

static BUILT_IN: LazyLock<[DoctorWords; SOURCES.len()]> = LazyLock::new(|| {
    SOURCES.map(|source| toml::from_str(source.doctor).expect("a test reads every language"))
});

impl DoctorWords {
    /// Those of the language at a position of `languages()`.
    pub fn of(at: usize) -> &'static DoctorWords {
        BUILT_IN.get(at).unwrap_or(&BUILT_IN[0])
    }

    pub fn ailment(&self, id: Ailment) -> &str {
        self.ailment.get(id.name()).expect("a test proves every ailment to be there")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_has_every_ailment_and_nothing_else() {
        for (at, source) in SOURCES.iter().enumerate() {
            let words = DoctorWords::of(at);
            let mut there: Vec<_> = words.ailment.keys().map(String::as_str).collect();
            let mut known: Vec<_> = Ailment::all().map(Ailment::name).collect();
            there.sort_unstable();
            known.sort_unstable();
            assert_eq!(there, known, "{}", source.language);
            assert!(words.well.contains("{n}"), "{}", source.language);
            for part in ["{n}", "{failures}", "{warnings}"] {
                assert!(words.found.contains(part), "{}: {part}", source.language);
            }
            assert!(words.looked_as.contains("{user}"), "{}", source.language);
        }
    }
}
