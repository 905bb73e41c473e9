//! The languages of one site: those that are compiled in, those of the operator's own files, and
//! which of them are offered. Pure.

use std::borrow::Cow;

use super::own::{self, Known};
use super::{Words, languages};
use crate::config::{Fault, Objection, Page, Place, nearest};

/// The languages that a site offers, the default in front; at least one.
#[derive(Debug, Clone)]
pub struct Languages {
    words: Vec<Cow<'static, Words>>,
    tags: Vec<Box<str>>,
    partial: Vec<Partial>,
}

/// A language of the operator's own in which not everything is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partial {
    pub language: String,
    /// The language of what is missing.
    pub base: String,
    pub missing: usize,
}

/// Every language that is compiled in.
impl Default for Languages {
    fn default() -> Languages {
        Languages::new(languages().iter().map(Cow::Borrowed).collect(), Vec::new())
    }
}

impl Languages {
    fn new(words: Vec<Cow<'static, Words>>, partial: Vec<Partial>) -> Languages {
        let tags = words.iter().map(|words| words.language.as_ref().into()).collect();
        Languages { words, tags, partial }
    }

    /// The languages that a configuration asks for.
    ///
    /// # Errors
    /// Everything that is wrong with `languages` and in the files of `words`.
    pub fn of(page: &Page) -> Result<Languages, Vec<Objection>> {
        let mut objections = Vec::new();
        let known = own::read(&page.words, &mut objections);
        let mut chosen: Vec<&Known> = Vec::new();
        for wanted in &page.languages {
            match known.iter().find(|known| known.is(&wanted.value)) {
                Some(known) if chosen.iter().any(|other| other.is(&known.language)) => {
                    let fault = Fault::new(format!("`{}` stands here twice", wanted.value));
                    objections.push(of_configuration(fault, wanted.span.clone()));
                }
                Some(known) => chosen.push(known),
                None => {
                    let fault = unknown(&wanted.value, &known);
                    objections.push(of_configuration(fault, wanted.span.clone()));
                }
            }
        }
        if !objections.is_empty() {
            return Err(objections);
        }
        if page.languages.is_empty() {
            chosen = known.iter().collect();
        }
        let partial = known.iter().filter_map(Known::partial).collect();
        let words = chosen.into_iter().map(Known::words).collect::<Result<_, _>>();
        words.map(|words| Languages::new(words, partial))
    }

    /// The tags of the languages, in order.
    pub fn tags(&self) -> &[Box<str>] {
        &self.tags
    }

    /// The words of the language at a position; those of the default beyond the last.
    pub fn words(&self, at: usize) -> &Words {
        self.words.get(at).unwrap_or(&self.words[0])
    }

    /// The languages in which not everything is said, whether they are offered or not.
    pub fn partial(&self) -> &[Partial] {
        &self.partial
    }
}

fn of_configuration(fault: Fault, span: std::ops::Range<usize>) -> Objection {
    Objection { place: Place::Configuration, problem: fault.at(span) }
}

/// There is no such language.
pub fn unknown(language: &str, known: &[Known]) -> Fault {
    let tags: Vec<&str> = known.iter().map(|known| known.language.as_str()).collect();
    let there = tags.iter().map(|tag| format!("\"{tag}\"")).collect::<Vec<_>>().join(", ");
    Fault::new(format!("no words for the language `{language}`"))
        .expected(format!("{there}, or a language of a file in `words`"))
        .nearest(nearest(language, tags))
}
