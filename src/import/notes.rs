//! What a reader has to know of the import: what was not carried over, and what differs.
//!
//! Pure. A note stands with the block that it concerns; what it says is decided elsewhere.

use std::collections::HashSet;
use std::path::PathBuf;

use super::known::{self, Fate};
use super::tree::Directive;

/// What a note is about, and beside what it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Home {
    Top,
    /// A server, by its position.
    Server(usize),
    /// A location of a server.
    Location(usize, usize),
}

/// How much a note weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// Some request gets another answer than before.
    Lost,
    /// The same answer by other means, or at most another error page.
    Remark,
}

/// One thing to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    pub home: Home,
    pub weight: Weight,
    /// Position in the list of files, and the line from 1.
    pub file: usize,
    pub line: usize,
    /// The directive as it is written.
    pub directive: String,
    pub why: String,
    /// Empty where there is nothing to do.
    pub instead: String,
}

/// Nobody reads more of them.
const NOTES_MAX: usize = 2000;

/// All notes, each once.
#[derive(Debug, Default)]
pub struct Notes {
    list: Vec<Note>,
    told: HashSet<(usize, usize, String)>,
}

impl Notes {
    /// Notes that a directive was not carried over.
    pub fn lost(&mut self, home: Home, at: &Directive, why: &str, instead: &str) {
        self.add(home, Weight::Lost, at, why, instead);
    }

    /// Notes what is worth knowing.
    pub fn remark(&mut self, home: Home, at: &Directive, why: &str, instead: &str) {
        self.add(home, Weight::Remark, at, why, instead);
    }

    /// Notes a directive as the table of what cannot be done tells it.
    pub fn known(&mut self, home: Home, at: &Directive) {
        if let Some(lost) = known::lost(&at.name) {
            self.lost(home, at, lost.why, lost.instead);
        }
    }

    /// Takes in those of another list.
    pub fn take(&mut self, others: Notes) {
        let left = NOTES_MAX.saturating_sub(self.list.len());
        let others = others.list.into_iter().take(left);
        self.list.extend(
            others.filter(|note| self.told.insert((note.file, note.line, note.why.clone()))),
        );
    }

    fn add(&mut self, home: Home, weight: Weight, at: &Directive, why: &str, instead: &str) {
        let place = &at.place;
        let is_new = self.told.insert((place.file, place.line, why.to_owned()));
        if !is_new || self.list.len() >= NOTES_MAX {
            return;
        }
        // What a file holds must not act on a terminal, nor end a comment.
        let plain = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
        self.list.push(Note {
            home,
            weight,
            file: place.file,
            line: place.line,
            directive: at.shown(),
            why: why.chars().map(plain).collect(),
            instead: instead.chars().map(plain).collect(),
        });
    }

    /// Notes what the tables say of the directives of one block; `inside` decides on its blocks.
    pub fn survey(&mut self, home: Home, block: &[Directive]) {
        for directive in block {
            match known::fate(&directive.name) {
                Fate::Silent | Fate::PartOfAnother => {}
                Fate::Lost(_) if directive.argument(0) == "off" => {}
                Fate::Lost(lost) => self.lost(home, directive, lost.why, lost.instead),
                Fate::Unknown => {
                    self.lost(home, directive, "there is nothing that corresponds", "");
                }
            }
        }
    }

    /// The notes in the order of the files.
    pub fn sorted(mut self) -> Vec<Note> {
        self.list.sort_by_key(|note| (note.file, note.line));
        self.list
    }
}

impl Note {
    /// One line for a terminal.
    pub fn line(&self, files: &[PathBuf]) -> String {
        let weight = match self.weight {
            Weight::Lost => "not carried over",
            Weight::Remark => "note",
        };
        let mut text = format!("{}: {weight}: {}: {}", self.place(files), self.directive, self.why);
        if !self.instead.is_empty() {
            text.push_str(&format!("; instead: {}", self.instead));
        }
        text
    }

    /// The lines of a comment in TOML.
    pub fn comment(&self, files: &[PathBuf]) -> String {
        let weight = match self.weight {
            Weight::Lost => "NOT CARRIED OVER",
            Weight::Remark => "Note",
        };
        let mut text = format!("# {weight}: {}: {}\n", self.place(files), self.directive);
        let instead = match self.instead.as_str() {
            "" => String::new(),
            instead => format!(" Instead: {instead}."),
        };
        let sentence = format!("{}.{instead}", self.why);
        for line in wrapped(&sentence) {
            text.push_str(&format!("#   {line}\n"));
        }
        text
    }

    fn place(&self, files: &[PathBuf]) -> String {
        let file = files.get(self.file).map(|path| path.display().to_string());
        // A name is no place for a line's end, which would end a comment.
        let file: String = file.unwrap_or_default().chars().filter(|c| !c.is_control()).collect();
        format!("{file}:{}", self.line)
    }
}

/// Lines of at most 92 characters, unless a word is longer.
fn wrapped(text: &str) -> Vec<String> {
    const CHARS_MAX: usize = 92;
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= CHARS_MAX => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}
