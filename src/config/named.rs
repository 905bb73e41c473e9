//! Files that the configuration names and keeps: their text, within bounds; and what the rooms
//! above find wrong in them.
//!
//! What the text means is decided where it is used: words in `diagnose`, templates in `page`.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Page;
use super::address::absolute_path;
use super::error::{Fault, Problem, Problems};
use super::reader::{Mistakes, Table};
use super::syntax;

/// More than the words of a language, or a page, should ever be.
const TEXT_BYTES_MAX: u64 = 1 << 20;

/// A file that the configuration names, as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextFile {
    pub path: PathBuf,
    pub text: Arc<str>,
}

/// A word of the configuration and where it stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    pub value: String,
    pub span: std::ops::Range<usize>,
}

/// What a room above this one finds wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objection {
    pub place: Place,
    pub problem: Problem,
}

/// The file that a problem stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The configuration itself.
    Configuration,
    /// The file with this position in [`Page::words`].
    Words(usize),
    Template,
    Style,
}

/// Reads a file of text; `None` once its bytes were noted to be none.
///
/// # Errors
/// It is not there, cannot be read, or is too large.
pub fn text_file(mistakes: &Mistakes<'_>, written: &str) -> Result<Option<TextFile>, Fault> {
    let path = absolute_path(written)?;
    let bytes = read_limited(&path).map_err(|error| {
        Fault::new(format!("cannot read `{written}`: {error}")).expected("a readable file")
    })?;
    if bytes.len() as u64 > TEXT_BYTES_MAX {
        let fault = Fault::new(format!("`{written}` is too large"));
        return Err(fault.expected("a file of at most 1 MiB"));
    }
    match String::from_utf8(bytes) {
        Ok(text) => {
            // A byte order mark would shift the columns of the first line.
            let text = text.strip_prefix('\u{feff}').unwrap_or(&text).into();
            Ok(Some(TextFile { path, text }))
        }
        Err(error) => {
            mistakes.note_file(not_utf8(&path, &error, "a file in UTF-8"));
            Ok(None)
        }
    }
}

fn read_limited(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(TEXT_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The problem of a file that is no text.
pub fn not_utf8(path: &Path, error: &std::string::FromUtf8Error, expected: &str) -> Problems {
    let shown = String::from_utf8_lossy(error.as_bytes()).into_owned();
    // Up to here both texts are the same.
    let at = error.utf8_error().valid_up_to();
    let problem = Fault::new("not UTF-8").expected(expected);
    Problems::new(path.to_owned(), shown, vec![problem.at(at..at)])
}

/// Reads a TOML file that is not the configuration; every mistake that is noted on the way.
pub fn read_document(source: &str, read: impl FnOnce(Table<'_>)) -> Vec<Problem> {
    let (document, slips, damage) = syntax::parse(source);
    let mistakes = Mistakes::elsewhere(source, slips, damage);
    read(Table::root(document.get_ref(), &mistakes));
    mistakes.into_problems()
}

/// What is wrong with the files of a page, file by file, and what with the configuration itself.
pub fn sorted(page: &Page, objections: Vec<Objection>) -> (Vec<Problem>, Vec<Problems>) {
    let mut own = Vec::new();
    let mut files: std::collections::BTreeMap<Place, Vec<Problem>> = Default::default();
    for Objection { place, problem } in objections {
        match place {
            Place::Configuration => own.push(problem),
            Place::Words(_) | Place::Template | Place::Style => {
                files.entry(place).or_default().push(problem)
            }
        }
    }
    let told = files.into_iter().filter_map(|(place, problems)| {
        let file = match place {
            Place::Configuration => None,
            Place::Words(number) => page.words.get(number),
            Place::Template => page.template.as_ref(),
            Place::Style => page.style.as_ref(),
        }?;
        Some(Problems::new(file.path.clone(), file.text.to_string(), problems))
    });
    (own, told.collect())
}
