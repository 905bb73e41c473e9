//! Takes typed values out of a TOML table and notes whatever does not fit.
//!
//! A [`Table`] records which keys were asked for; what is left over at the end is unknown. It
//! knows types, units and ranges, and which table a misplaced key belongs to; not what a value
//! means.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Fault, Problem, Problems};
use super::keys;
use super::nearest::nearest;
use super::syntax::Damage;
use super::units;

/// A larger head of a message is a mistake, and would be held in memory.
const SIZE_MAX: usize = 16 << 20;
pub const SIZE_MAX_SHOWN: &str = "16MiB";
/// More than a disk should give up to one request.
const SPOOL_MAX: usize = 1 << 40;
pub const SPOOL_MAX_SHOWN: &str = "1024GiB";

/// The problems found so far in one file.
#[derive(Debug)]
pub struct Mistakes<'a> {
    pub source: &'a str,
    syntax: Vec<Problem>,
    damage: Damage,
    meaning: RefCell<Vec<Problem>>,
    /// Those in files that this one names.
    elsewhere: RefCell<Vec<Problems>>,
    /// Its keys are those of `keys`.
    is_configuration: bool,
}

/// A string of the file.
#[derive(Debug, Clone)]
pub struct Text<'a> {
    pub value: &'a str,
    pub span: Range<usize>,
}

/// One table of the file while its keys are taken.
#[derive(Debug)]
pub struct Table<'a> {
    entries: &'a DeTable<'a>,
    /// As a header names it: `upstream.shop`; empty: the top of the file.
    name: String,
    /// As `keys` names it: `upstream.NAME`.
    defined: String,
    /// The header, or what stands for it.
    pub span: Range<usize>,
    pub mistakes: &'a Mistakes<'a>,
    asked: Vec<&'static str>,
    unavailable: Vec<&'static str>,
}

impl<'a> Mistakes<'a> {
    /// Begins with the problems of syntax and the parts of the source that they spoil.
    pub fn new(source: &'a str, syntax: Vec<Problem>, damage: Damage) -> Mistakes<'a> {
        let (meaning, elsewhere) = (RefCell::default(), RefCell::default());
        Mistakes { source, syntax, damage, meaning, elsewhere, is_configuration: true }
    }

    /// For a file that is not the configuration: its keys belong nowhere else.
    pub fn elsewhere(source: &'a str, syntax: Vec<Problem>, damage: Damage) -> Mistakes<'a> {
        Mistakes { is_configuration: false, ..Mistakes::new(source, syntax, damage) }
    }

    /// Notes what is wrong at `span`.
    pub fn note(&self, fault: Fault, span: Range<usize>) {
        self.meaning.borrow_mut().push(fault.at(span));
    }

    /// Notes what is wrong in a file that this one names.
    pub fn note_file(&self, problems: Problems) {
        self.elsewhere.borrow_mut().push(problems);
    }

    /// Takes what was noted of other files.
    pub fn take_elsewhere(&self) -> Vec<Problems> {
        self.elsewhere.take()
    }

    /// Notes the fault of a value, or hands on the value.
    pub fn check<T>(&self, value: Result<T, Fault>, span: Range<usize>) -> Option<T> {
        value.map_err(|fault| self.note(fault, span)).ok()
    }

    /// How many were noted; unchanged between two moments, everything read in between is right.
    pub fn count(&self) -> usize {
        self.meaning.borrow().len()
    }

    /// Whether keys of the table that begins at `start` may be missing because of the syntax.
    pub fn may_lack_keys(&self, start: usize) -> bool {
        self.damage.in_section(self.source, start)
    }

    /// The problems to tell: those of syntax, and of meaning where the syntax was right.
    pub fn into_problems(self) -> Vec<Problem> {
        let Mistakes { syntax, damage, meaning, .. } = self;
        let meaning = meaning.into_inner().into_iter();
        let told = meaning.filter(|problem| !damage.covers(problem.span.start));
        syntax.into_iter().chain(told).collect()
    }
}

impl<'a> Table<'a> {
    /// Opens the top of the file, of which no key has been asked for.
    pub fn root(entries: &'a DeTable<'a>, mistakes: &'a Mistakes<'a>) -> Table<'a> {
        let (name, defined) = (String::new(), String::new());
        let (asked, unavailable) = (Vec::new(), Vec::new());
        Table { entries, name, defined, span: 0..0, mistakes, asked, unavailable }
    }

    /// Takes a key's value as it is.
    pub fn value(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.asked.push(key);
        self.entries.get(key)
    }

    /// Whether the key is there at all.
    pub fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Takes a table; the caller must `finish` it.
    pub fn table(&mut self, key: &'static str) -> Option<Table<'a>> {
        let value = self.value(key)?;
        let name = below(&self.name, key);
        self.as_table(key, value, &format!("`[{name}]`"))
    }

    /// The value of `key` as a table; `hint` says what would be right if it is none.
    pub fn as_table(
        &self,
        key: &str,
        value: &'a Spanned<DeValue<'a>>,
        hint: &str,
    ) -> Option<Table<'a>> {
        if let Some(entries) = value.get_ref().as_table() {
            let name = below(&self.name, key);
            let is_named = self.defined == "upstream" && self.mistakes.is_configuration;
            let defined = below(&self.defined, if is_named { "NAME" } else { key });
            let root = Table::root(entries, self.mistakes);
            return Some(Table { name, defined, span: value.span(), ..root });
        }
        self.mistakes.note(wrong_type("a table", value).expected(hint), value.span());
        None
    }

    /// Every entry in the order of the file, for tables whose keys are names.
    pub fn entries(&self) -> Vec<(&'a Spanned<Cow<'a, str>>, &'a Spanned<DeValue<'a>>)> {
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_by_key(|(name, _)| name.span().start);
        entries
    }

    /// Takes a string.
    pub fn text(&mut self, key: &'static str) -> Option<Text<'a>> {
        let value = self.value(key)?;
        self.as_text(value)
    }

    /// Takes a string and what `parse` makes of it.
    pub fn parsed<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, Fault>,
    ) -> Option<T> {
        let text = self.text(key)?;
        self.mistakes.check(parse(text.value), text.span)
    }

    /// Takes an array of strings and what `parse` makes of those that are right.
    pub fn parsed_list<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, Fault>,
    ) -> Option<Vec<T>> {
        let texts = self.texts(key)?.into_iter();
        let parsed = texts.filter_map(|text| self.mistakes.check(parse(text.value), text.span));
        Some(parsed.collect())
    }

    /// Takes the strings of an array.
    pub fn texts(&mut self, key: &'static str) -> Option<Vec<Text<'a>>> {
        let value = self.value(key)?;
        let Some(items) = value.get_ref().as_array() else {
            let fault = wrong_type("an array of strings", value);
            let written = self.mistakes.source.get(value.span());
            let array =
                written.filter(|_| value.get_ref().is_str()).map(|text| format!("[{text}]"));
            self.mistakes.note(fault.nearest(array), value.span());
            return None;
        };
        Some(items.iter().filter_map(|item| self.as_text(item)).collect())
    }

    /// As [`Table::parsed_list`]; notes an array without elements.
    pub fn filled_list<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, Fault>,
    ) -> Option<Vec<T>> {
        let list = self.parsed_list(key, parse)?;
        self.note_empty(key);
        Some(list)
    }

    /// Notes an array without elements, if the key is there.
    pub fn note_empty(&self, key: &str) {
        let array = self.entries.get(key).and_then(|value| value.get_ref().as_array());
        if array.is_some_and(|items| items.is_empty()) {
            let fault = Fault::new(format!("`{key}` is empty")).expected("at least one element");
            self.note_at(key, fault);
        }
    }

    /// Puts a positive duration into `into`, if the key is there.
    pub fn duration(&mut self, key: &'static str, into: &mut Duration) {
        let Some(duration) = self.duration_or_zero(key) else { return };
        if duration.is_zero() {
            let fault = Fault::new(format!("`{key}` is zero")).expected("a longer duration");
            self.note_at(key, fault);
            return;
        }
        *into = duration;
    }

    /// Takes a duration that may be zero.
    pub fn duration_or_zero(&mut self, key: &'static str) -> Option<Duration> {
        self.quantity(key, units::DURATION, units::duration)
    }

    /// Puts the size of something in memory, at least one byte, into `into`, if the key is there.
    pub fn size(&mut self, key: &'static str, into: &mut usize) {
        if let Some(size) = self.size_within(key, SIZE_MAX, SIZE_MAX_SHOWN) {
            *into = size;
        }
    }

    /// Puts the size of something on disk, at least one byte, into `into`, if the key is there.
    pub fn spool(&mut self, key: &'static str, into: &mut u64) {
        if let Some(size) = self.size_within(key, SPOOL_MAX, SPOOL_MAX_SHOWN) {
            *into = size as u64;
        }
    }

    fn size_within(&mut self, key: &'static str, max: usize, max_shown: &str) -> Option<usize> {
        let size = self.quantity(key, units::SIZE, units::size)?;
        if (1..=max).contains(&size) {
            return Some(size);
        }
        let wrong = if size == 0 { "zero" } else { "too large" };
        let fault = Fault::new(format!("`{key}` is {wrong}"));
        self.note_at(key, fault.expected(format!("a size from \"1B\" to \"{max_shown}\"")));
        None
    }

    /// Puts a whole number within `range` into `into`, if the key is there.
    pub fn count(&mut self, key: &'static str, range: RangeInclusive<usize>, into: &mut usize) {
        let Some(value) = self.value(key) else { return };
        if let Some(number) = self.as_number(value, &format!("`{key}` cannot be"), range) {
            *into = number;
        }
    }

    /// Puts the whole numbers of an array, each within `range`, into `into`, if the key is there.
    pub fn numbers(&mut self, key: &'static str, range: RangeInclusive<u16>, into: &mut Vec<u16>) {
        let Some(value) = self.value(key) else { return };
        let Some(items) = value.get_ref().as_array() else {
            let fault = wrong_type("an array of integers", value);
            let written = self.mistakes.source.get(value.span());
            let bare = written.filter(|_| value.get_ref().is_integer());
            self.mistakes.note(fault.nearest(bare.map(|text| format!("[{text}]"))), value.span());
            return;
        };
        let wrong = format!("`{key}` cannot hold");
        into.extend(items.iter().filter_map(|item| self.as_number(item, &wrong, range.clone())));
    }

    /// A whole number within `range`; `wrong` begins the message about another one.
    fn as_number<T: TryFrom<i128> + PartialOrd + Display>(
        &self,
        value: &Spanned<DeValue<'_>>,
        wrong: &str,
        range: RangeInclusive<T>,
    ) -> Option<T> {
        let Some(integer) = value.get_ref().as_integer() else {
            self.mistakes.note(wrong_type("an integer", value), value.span());
            return None;
        };
        let number = i128::from_str_radix(integer.as_str(), integer.radix());
        let number = number.ok().and_then(|number| T::try_from(number).ok());
        let within = number.filter(|number| range.contains(number));
        if within.is_none() {
            let (least, most) = (range.start(), range.end());
            let fault = Fault::new(format!("{wrong} {integer}"));
            let fault = fault.expected(format!("an integer from {least} to {most}"));
            self.mistakes.note(fault, value.span());
        }
        within
    }

    /// Puts a boolean into `into`, if the key is there.
    pub fn flag(&mut self, key: &'static str, into: &mut bool) {
        let Some(value) = self.value(key) else { return };
        match value.get_ref().as_bool() {
            Some(flag) => *into = flag,
            None => self.mistakes.note(wrong_type("a boolean", value), value.span()),
        }
    }

    /// Puts what the written word stands for into `into`, if the key is there.
    pub fn choice<T: Clone>(&mut self, key: &'static str, words: &[(&str, T)], into: &mut T) {
        if let Some(chosen) = self.parsed(key, |text| choose(text, words)) {
            *into = chosen;
        }
    }

    /// Notes a key of the design that this version does not have, if it is there.
    pub fn unavailable(&mut self, key: &'static str) {
        self.unavailable.push(key);
        if let Some((name, _)) = self.entries.get_key_value(key) {
            self.mistakes.note(unavailable(key), name.span());
        }
    }

    /// Notes a fault of the value of `key`, if the key is there.
    pub fn note_at(&self, key: &str, fault: Fault) {
        if let Some(value) = self.entries.get(key) {
            self.mistakes.note(fault, value.span());
        }
    }

    /// Notes a fault of one element of the array `key`, if it is there.
    pub fn note_at_element(&self, key: &str, position: usize, fault: Fault) {
        let array = self.entries.get(key).and_then(|value| value.get_ref().as_array());
        if let Some(element) = array.and_then(|array| array.get(position)) {
            self.mistakes.note(fault, element.span());
        }
    }

    /// How many elements stand in the array `key`.
    pub fn length(&self, key: &str) -> usize {
        let array = self.entries.get(key).and_then(|value| value.get_ref().as_array());
        array.map_or(0, |array| array.len())
    }

    /// Notes every key that nobody asked for.
    pub fn finish(self) {
        debug_assert!(
            !self.mistakes.is_configuration || self.asked.iter().all(|key| self.defines(key)),
            "config/keys.rs lacks a row of the table `{}`: {:?}",
            self.defined,
            self.asked
        );
        for name in self.entries.keys() {
            let key = name.get_ref().as_ref();
            let known = self.asked.iter().chain(&self.unavailable).any(|name| *name == key);
            if !known {
                self.mistakes.note(self.unknown_key(key), name.span());
            }
        }
    }

    /// Whether the key is one of this table in `keys`, or the name of a table below it.
    fn defines(&self, key: &str) -> bool {
        let table = below(&self.defined, key);
        let is_above = |other: &str| {
            other.strip_prefix(&table).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        keys::keys_of(&self.defined).any(|known| known.name == key)
            || keys::TABLES.iter().any(|(other, _)| is_above(other))
    }

    fn unknown_key(&self, key: &str) -> Fault {
        let fault = Fault::new(format!("unknown key `{key}`"));
        let place = keys::place_of(key).filter(|_| self.mistakes.is_configuration);
        if let Some(place) = place {
            return Fault::new(format!("`{key}` does not belong here"))
                .expected(format!("`{key}` {place}"));
        }
        if let Some(nearest) = nearest(key, self.asked.iter().copied()) {
            return fault.nearest(Some(nearest));
        }
        let names: Vec<String> = self.asked.iter().map(|name| format!("`{name}`")).collect();
        fault.expected(either(&names))
    }

    /// The value as a string.
    pub fn as_text(&self, value: &'a Spanned<DeValue<'a>>) -> Option<Text<'a>> {
        match value.get_ref().as_str() {
            Some(text) => Some(Text { value: text, span: value.span() }),
            None => {
                self.mistakes.note(wrong_type("a string", value), value.span());
                None
            }
        }
    }

    /// Takes a number with a unit; a bare number lacks its unit, whatever its type.
    fn quantity<T>(
        &mut self,
        key: &'static str,
        shape: &str,
        parse: impl Fn(&str) -> Result<T, Fault>,
    ) -> Option<T> {
        let value = self.value(key)?;
        if value.get_ref().is_integer() || value.get_ref().is_float() {
            self.mistakes.note(Fault::new("missing unit").expected(shape), value.span());
            return None;
        }
        let text = self.as_text(value)?;
        self.mistakes.check(parse(text.value), text.span)
    }
}

/// The value that stands beside the word `text`.
///
/// # Errors
/// The word is not among them.
pub fn choose<T: Clone>(text: &str, words: &[(&str, T)]) -> Result<T, Fault> {
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Ok(value.clone());
    }
    let names: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
    Err(Fault::new(format!("unknown value `{text}`"))
        .expected(either(&names))
        .nearest(nearest(text, words.iter().map(|(word, _)| *word))))
}

/// The name of `key` in the table `table`, as a header writes it.
fn below(table: &str, key: &str) -> String {
    if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") }
}

fn either(names: &[String]) -> String {
    match names {
        [first @ .., before_last, last] => {
            let first: String = first.iter().map(|name| format!("{name}, ")).collect();
            format!("{first}{before_last} or {last}")
        }
        [only] => only.clone(),
        [] => "no key".to_owned(),
    }
}

/// What stands in the file is right, but this version cannot do it.
pub fn unavailable(what: &str) -> Fault {
    Fault::new(format!("`{what}` is not available in this version of Causeway"))
}

/// A value is of another type than `expected`, which has its article.
pub fn wrong_type(expected: &str, value: &Spanned<DeValue<'_>>) -> Fault {
    let found = match value.get_ref() {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    };
    Fault::new(format!("expected {expected}, found {found}"))
}
