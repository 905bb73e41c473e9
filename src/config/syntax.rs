//! TOML's own errors as problems, and which parts of the file they spoil.
//!
//! The parser recovers and reports one slip several times over; here each is told once, at the
//! place to mend. What a spoilt line means is not judged further. Pure.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};

use super::error::{Fault, Problem};

/// Whoever hands us a file that is no TOML at all need not read all that is wrong with it.
const PROBLEMS_MAX: usize = 100;

/// The parts of a source whose meaning is lost.
#[derive(Debug, Default)]
pub struct Damage {
    spans: Vec<Range<usize>>,
}

impl Damage {
    /// Whether what stands at `offset` may only be an echo of broken syntax.
    pub fn covers(&self, offset: usize) -> bool {
        self.spans.iter().any(|span| span.contains(&offset))
    }

    /// Whether keys are lost between the table header at `start` and the next header, or a header
    /// is lost anywhere.
    pub fn in_section(&self, source: &str, start: usize) -> bool {
        let end = next_header(source, line_at(source, start).end);
        self.spans.iter().any(|span| {
            let overlaps = span.start < end && start < span.end;
            overlaps || is_header(&source[line_at(source, span.start)])
        })
    }

    /// A place at the very end of the source belongs to what reaches until there.
    fn add(&mut self, source: &str, span: Range<usize>) {
        let end = if span.end >= source.len() { source.len() + 1 } else { span.end };
        self.spans.push(span.start..end);
    }
}

/// Reads the document as far as that is possible.
pub fn parse(source: &str) -> (Spanned<DeTable<'_>>, Vec<Problem>, Damage) {
    let (document, mut errors) = DeTable::parse_recoverable(source);
    errors.sort_by_key(start_of);
    let mut values = Values::default();
    visit(document.get_ref(), &mut values);

    let mut damage = Damage::default();
    let mut problems = Vec::new();
    for array in unclosed_arrays(source, &errors, &values.arrays) {
        problems.push(unclosed_array(&array));
        damage.add(source, array.start..line_at(source, array.end).end);
    }
    for error in &errors {
        if damage.covers(start_of(error)) {
            continue;
        }
        if problems.len() >= PROBLEMS_MAX {
            damage.add(source, start_of(error)..source.len());
            break;
        }
        let (problem, spoils) = describe(source, error, &values);
        damage.add(source, spoils);
        problems.push(problem);
    }
    // An array with a broken element says nothing reliable about its other elements.
    for array in values.arrays {
        if problems.iter().any(|problem| array.contains(&problem.span.start)) {
            damage.add(source, array);
        }
    }
    (document, problems, damage)
}

fn start_of(error: &Error) -> usize {
    error.span().map_or(0, |span| span.start)
}

/// The values that errors are compared with.
#[derive(Debug, Default)]
struct Values {
    arrays: Vec<Range<usize>>,
    scalars: Vec<Range<usize>>,
}

fn visit(table: &DeTable<'_>, values: &mut Values) {
    for value in table.values() {
        visit_value(value, values);
    }
}

/// Recursion ends where the parser's did: it refuses more than 80 levels.
fn visit_value(value: &Spanned<DeValue<'_>>, values: &mut Values) {
    match value.get_ref() {
        DeValue::Array(items) => {
            values.arrays.push(value.span());
            items.iter().for_each(|item| visit_value(item, values));
        }
        DeValue::Table(table) => visit(table, values),
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => values.scalars.push(value.span()),
    }
}

/// Arrays that swallowed the lines after them: with an error, and with `key =` on a later line.
fn unclosed_arrays(source: &str, errors: &[Error], arrays: &[Range<usize>]) -> Vec<Range<usize>> {
    let swallows = |array: &Range<usize>| {
        let text = source.get(array.clone()).unwrap_or_default();
        text.starts_with('[') && text.lines().skip(1).any(|line| is_header(line) || is_entry(line))
    };
    let broken = |array: &Range<usize>| {
        // They are sorted: the first one behind the bracket decides.
        let first = errors.partition_point(|error| start_of(error) < array.start);
        errors.get(first).is_some_and(|error| start_of(error) <= array.end)
    };
    let mut unclosed: Vec<Range<usize>> = Vec::new();
    for array in arrays {
        // An array is followed by those inside it.
        let last = unclosed.last();
        let inside = last.is_some_and(|out| out.start <= array.start && array.end <= out.end);
        if !inside && broken(array) && swallows(array) {
            unclosed.push(array.clone());
        }
    }
    unclosed
}

fn unclosed_array(span: &Range<usize>) -> Problem {
    Fault::new("this array is not closed").expected("`]`").at(span.start..span.start + 1)
}

/// The error as a problem, and what it makes unreadable.
fn describe(source: &str, error: &Error, values: &Values) -> (Problem, Range<usize>) {
    let span = error.span().unwrap_or(0..0);
    let written = source.get(span.clone()).unwrap_or_default();
    if let Some(fault) = values.scalars.contains(&span).then(|| unquoted(written)).flatten() {
        return (fault.at(span.clone()), span.start..span.end + 1);
    }
    // The parser's sentence as it is: nothing is decided by it.
    let fault = match error.message().split_once(", expected ") {
        Some((message, expected)) => Fault::new(message).expected(expected),
        None => Fault::new(error.message()),
    };
    let spoils = spoilt(source, span.start);
    (fault.at(span), spoils)
}

/// What is wrong with a value that the parser refused as a whole, if it is a word or nothing.
fn unquoted(written: &str) -> Option<Fault> {
    if written.is_empty() {
        return Some(Fault::new("missing value").expected("a value after `=`"));
    }
    if ["true", "false"].iter().any(|word| written.eq_ignore_ascii_case(word)) {
        let fault = Fault::new(format!("`{written}` is not a boolean"));
        return Some(fault.expected("`true` or `false`").nearest(Some(written.to_lowercase())));
    }
    let word = !written.contains(['"', '\'', '\n']);
    let fault = || Fault::new("a string without quotes").expected(format!("\"{written}\""));
    word.then(fault)
}

/// The line around `offset`; a broken header takes the keys below it along.
fn spoilt(source: &str, offset: usize) -> Range<usize> {
    let line = line_at(source, offset);
    if is_header(&source[line.clone()]) {
        return line.start..next_header(source, line.end);
    }
    line
}

/// The line around `offset`, with its end.
fn line_at(source: &str, offset: usize) -> Range<usize> {
    let bytes = source.as_bytes();
    let (before, after) = bytes.split_at(offset.min(bytes.len()));
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let end = after.iter().position(|byte| *byte == b'\n').map(|at| before.len() + at + 1);
    start..end.unwrap_or(bytes.len())
}

/// Where the next line that looks like `[table]` begins, at `from` or later.
fn next_header(source: &str, from: usize) -> usize {
    let mut start = from;
    while start < source.len() {
        let line = line_at(source, start);
        if is_header(&source[line.clone()]) {
            return start;
        }
        start = line.end;
    }
    source.len()
}

fn is_header(line: &str) -> bool {
    let line = line.trim();
    line.starts_with('[') && !line.ends_with(',')
}

fn is_entry(line: &str) -> bool {
    let Some((key, _)) = line.split_once('=') else { return false };
    let key = key.trim();
    !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
}
