//! Every mistake of a file, and of the files that it names, each with its place.
//!
//! Holds and prints problems; which ones there are is decided in `syntax`, `file` and below.
//! Positions are byte ranges of the source; lines and columns are counted only when shown.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

/// What is wrong with one value, before anyone knows where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong: lower case, without full stop.
    pub message: String,
    /// What would be right.
    pub expected: Option<String>,
    /// The right spelling that was probably meant.
    pub nearest: Option<String>,
}

impl Fault {
    /// A fault without a remark on what would be right.
    pub fn new(message: impl Into<String>) -> Fault {
        Fault { message: message.into(), expected: None, nearest: None }
    }

    /// Adds what would be right.
    pub fn expected(mut self, expected: impl Into<String>) -> Fault {
        self.expected = Some(expected.into());
        self
    }

    /// Adds what was probably meant.
    pub fn nearest(mut self, nearest: Option<impl Into<String>>) -> Fault {
        self.nearest = nearest.map(Into::into);
        self
    }

    /// Says where it stands.
    pub fn at(self, span: Range<usize>) -> Problem {
        let Fault { message, expected, nearest } = self;
        Problem { span, message, expected, nearest }
    }
}

/// One mistake in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The bytes of the source that it is about; may be empty.
    pub span: Range<usize>,
    /// What is wrong: lower case, without full stop.
    pub message: String,
    /// What would be right.
    pub expected: Option<String>,
    /// The right spelling that was probably meant: the name alone.
    pub nearest: Option<String>,
}

/// All mistakes of the configuration, file by file; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    files: Vec<Mistaken>,
}

/// One file with its mistakes, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mistaken {
    path: PathBuf,
    source: String,
    problems: Vec<Problem>,
}

/// One problem as `check --json` prints it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Row {
    /// The file as it was named.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The line itself, without its end.
    pub source_line: String,
    pub message: String,
    pub expected: Option<String>,
    pub nearest: Option<String>,
}

impl Problems {
    /// Sorts the problems by place and drops the second of two that say the same.
    pub fn new(path: PathBuf, source: String, mut problems: Vec<Problem>) -> Problems {
        problems.sort_by(|a, b| (a.span.start, &a.message).cmp(&(b.span.start, &b.message)));
        problems.dedup_by(|a, b| a.span.start == b.span.start && a.message == b.message);
        Problems { files: vec![Mistaken { path, source, problems }] }
    }

    /// Puts those of another file behind these.
    pub fn join(mut self, others: Problems) -> Problems {
        self.files.extend(others.files);
        self
    }

    /// Whether there are none, which then is no configuration's fault.
    pub fn is_empty(&self) -> bool {
        self.list().next().is_none()
    }

    /// The problems, file by file, in the order of each.
    pub fn list(&self) -> impl Iterator<Item = &Problem> {
        self.files.iter().flat_map(|file| &file.problems)
    }

    /// The problems as rows of plain values, in the same order.
    pub fn rows(&self) -> Vec<Row> {
        self.each().map(|(file, problem)| file.row(problem).0).collect()
    }

    fn each(&self) -> impl Iterator<Item = (&Mistaken, &Problem)> {
        self.files.iter().flat_map(|file| file.problems.iter().map(move |problem| (file, problem)))
    }
}

impl Mistaken {
    /// The row of one problem, and how many characters of its line it covers (at least 1).
    fn row(&self, problem: &Problem) -> (Row, usize) {
        let start = floor(&self.source, problem.span.start);
        let end = ceil(&self.source, problem.span.end.max(start));
        let line_start = self.source[..start].rfind('\n').map_or(0, |at| at + 1);
        let rest = &self.source[line_start..];
        let line = rest.split('\n').next().unwrap_or(rest).trim_end_matches('\r');
        let line_end = line_start + line.len();
        let covered = if start < line_end { &self.source[start..end.min(line_end)] } else { "" };
        let row = Row {
            file: self.path.display().to_string(),
            line: line_of(&self.source, start),
            column: self.source[line_start..start].chars().count() + 1,
            source_line: line.to_owned(),
            message: problem.message.clone(),
            expected: problem.expected.clone(),
            nearest: problem.nearest.clone(),
        };
        (row, covered.chars().count().max(1))
    }
}

/// Blocks separated by an empty line: place and message, the line, carets, what was expected.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (file, problem)) in self.each().enumerate() {
            if position > 0 {
                f.write_str("\n")?;
            }
            let (row, width) = file.row(problem);
            writeln!(f, "{}:{}:{}: {}", row.file, row.line, row.column, printable(&row.message))?;
            let (row, width) = shortened(row, width);
            writeln!(f, "    {}", printable(&row.source_line))?;
            // Tabs stay tabs, so that the carets stand under the span whatever a tab's width is.
            let margin = row.source_line.chars().map(|c| if c == '\t' { '\t' } else { ' ' });
            let margin: String = margin.take(row.column - 1).collect();
            writeln!(f, "    {margin}{}", "^".repeat(width))?;
            if let Some(expected) = &row.expected {
                writeln!(f, "    expected: {}", printable(expected))?;
            }
            if let Some(nearest) = &row.nearest {
                writeln!(f, "    did you mean `{}`?", printable(nearest))?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Shows the part of a long line that the problem is about: a file may be one line of megabytes.
fn shortened(row: Row, width: usize) -> (Row, usize) {
    const CHARS_MAX: usize = 1000;
    const BEFORE: usize = 60;
    const SHOWN: usize = 160;
    if row.source_line.chars().count() <= CHARS_MAX {
        return (row, width);
    }
    let start = (row.column - 1).saturating_sub(BEFORE);
    let part: String = row.source_line.chars().skip(start).take(SHOWN).collect();
    let before = row.column - 1 - start;
    let width = width.min(SHOWN - before);
    // The place itself is told by the row's own column.
    let margin = if start > 0 { "… " } else { "" };
    let source_line = format!("{margin}{part} …");
    let shown = Row { source_line, column: before + 1 + margin.chars().count(), ..row };
    (shown, width)
}

/// The line, from 1, that the byte at `offset` stands on.
pub fn line_of(source: &str, offset: usize) -> usize {
    let before = &source.as_bytes()[..offset.min(source.len())];
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

/// Puts a mark for every control character: a terminal must not act on what a file holds.
fn printable(text: &str) -> String {
    let shown = |c: char| if c.is_control() && c != '\t' { char::REPLACEMENT_CHARACTER } else { c };
    text.chars().map(shown).collect()
}

fn floor(source: &str, offset: usize) -> usize {
    let mut offset = offset.min(source.len());
    while !source.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

fn ceil(source: &str, offset: usize) -> usize {
    let mut offset = offset.min(source.len());
    while !source.is_char_boundary(offset) {
        offset += 1;
    }
    offset
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(source: &str, span: Range<usize>) -> String {
        let problem = Fault::new("wrong").at(span);
        Problems::new("a.toml".into(), source.to_owned(), vec![problem]).to_string()
    }

    #[test]
    fn carets() {
        for (source, span, expected) in [
            ("key = 1\n", 0..3, "a.toml:1:1: wrong\n    key = 1\n    ^^^\n"),
            ("a = 1\nb = 2\n", 10..11, "a.toml:2:5: wrong\n    b = 2\n        ^\n"),
            ("\tkey = 1\n", 1..4, "a.toml:1:2: wrong\n    \tkey = 1\n    \t^^^\n"),
            ("a = 'é' # ü\n", 4..8, "a.toml:1:5: wrong\n    a = 'é' # ü\n        ^^^\n"),
            ("é = 1\r\n", 5..6, "a.toml:1:5: wrong\n    é = 1\n        ^\n"),
            ("a = [\n1,\n]\n", 4..10, "a.toml:1:5: wrong\n    a = [\n        ^\n"),
            ("a\n", 2..2, "a.toml:2:1: wrong\n    \n    ^\n"),
            ("a", 1..1, "a.toml:1:2: wrong\n    a\n     ^\n"),
            ("a\r\n", 2..3, "a.toml:1:3: wrong\n    a\n     ^\n"),
            ("a = '\u{1b}[1m'", 0..1, "a.toml:1:1: wrong\n    a = '\u{fffd}[1m'\n    ^\n"),
            ("", 0..0, "a.toml:1:1: wrong\n    \n    ^\n"),
        ] {
            assert_eq!(shown(source, span), expected, "{source:?}");
        }
    }

    #[test]
    fn no_span_panics() {
        let source = "é\r\n\tключ = \"中\"\n";
        for start in 0..=source.len() + 2 {
            for end in 0..=source.len() + 2 {
                shown(source, start..end);
            }
        }
    }

    #[test]
    fn sorted_and_without_repetition() {
        let problem = |start, message: &str| Fault::new(message).at(start..start);
        let problems = vec![problem(4, "b"), problem(0, "z"), problem(4, "a"), problem(4, "b")];
        let problems = Problems::new("a.toml".into(), "key = 1".to_owned(), problems);
        let messages: Vec<&str> = problems.list().map(|p| p.message.as_str()).collect();
        assert_eq!(messages, ["z", "a", "b"]);
    }
}
