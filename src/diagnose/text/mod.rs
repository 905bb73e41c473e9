//! The words: titles, explanations and fixes, by id.
//!
//! Each language is one TOML file, compiled in and read once; a test proves it complete. No words
//! of a page stand anywhere else. Pure.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::cause::Code;
use super::fixes::FixId;

/// The words of one language.
#[derive(Debug)]
pub struct Words {
    /// BCP 47 tag, for `Content-Language`.
    pub language: &'static str,
    causes: HashMap<Code, CauseWords>,
    fixes: HashMap<FixId, FixWords>,
    pub page: PageWords,
}

/// The words of one cause.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CauseWords {
    /// What happened, present tense, no remedy, no apology. Safe for visitors.
    pub title: String,
    /// One to three sentences for a visitor: whose side broke, what it means for him.
    pub visitor: String,
    /// One to four sentences for an operator: what this means on the wire and what usually lies
    /// behind it.
    pub operator: String,
    /// How Causeway recognises it.
    pub recognised: String,
    /// Where it comes from: seed document ids, RFC sections.
    pub sources: Vec<String>,
}

/// The words of one fix.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FixWords {
    /// What to do, in the imperative.
    pub title: String,
    /// One to four steps; a look before a change.
    pub steps: Vec<String>,
    /// Documents that name it.
    pub sources: Vec<String>,
}

/// The words of the page around a cause.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageWords {
    pub you: String,
    pub gateway: String,
    pub site: String,
    /// Below a hop that works.
    pub hop_working: String,
    /// Below the hop that failed.
    pub hop_broken: String,
    /// Below a hop behind the broken one.
    pub hop_unknown: String,
    pub where_it_broke: String,
    pub fate_not_sent: String,
    pub fate_may_have_been_processed: String,
    pub fate_processed: String,
    /// Added to the fate of a request that must not be repeated blindly (POST and the like).
    pub check_before_resending: String,
    pub what_you_can_do: String,
    pub more_to_try: String,
    pub it_is_my_site: String,
    /// Above the operator's fixes.
    pub what_to_do: String,
    pub evidence: String,
    pub attempts: String,
    pub cause: String,
    pub certainty: String,
    pub certain: String,
    pub likely: String,
    pub possible: String,
    pub incident: String,
    pub contact: String,
    pub time: String,
    pub command: String,
    pub request: String,
    pub only_operators: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    page: PageWords,
    cause: HashMap<String, CauseWords>,
    fix: HashMap<String, FixWords>,
}

static ENGLISH: LazyLock<Words> = LazyLock::new(|| {
    Words::read("en", include_str!("en.toml")).expect("a test reads every language")
});

/// The English words.
pub fn english() -> &'static Words {
    &ENGLISH
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

impl Words {
    fn read(language: &'static str, source: &str) -> Result<Words, String> {
        let file: File = toml::from_str(source).map_err(|error| error.to_string())?;
        let mut words =
            Words { language, causes: HashMap::new(), fixes: HashMap::new(), page: file.page };
        for (name, text) in file.cause {
            let code = name.parse().map_err(|_| format!("no cause is called {name}"))?;
            words.causes.insert(code, text);
        }
        for (name, text) in file.fix {
            let id = name.parse().map_err(|_| format!("no fix is called {name}"))?;
            words.fixes.insert(id, text);
        }
        let no_cause = Code::all().find(|code| !words.causes.contains_key(code));
        let no_fix = FixId::all().find(|id| !words.fixes.contains_key(id));
        match (no_cause, no_fix) {
            (Some(code), _) => Err(format!("{language}: no words for the cause {}", code.name())),
            (_, Some(id)) => Err(format!("{language}: no words for the fix {}", id.name())),
            (None, None) => Ok(words),
        }
    }

    pub fn cause(&self, code: Code) -> &CauseWords {
        self.causes.get(&code).expect("read() proves every cause to be there")
    }

    pub fn fix(&self, id: FixId) -> &FixWords {
        self.fixes.get(&id).expect("read() proves every fix to be there")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn english_is_complete() {
        Words::read("en", include_str!("en.toml")).unwrap();
    }
}
