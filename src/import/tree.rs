//! A nginx file as a tree of directives, each with its place.
//!
//! Pure: knows the grammar and no directive, but for the blocks of Lua, which have another one.
//! Which files are read, and what `include` puts in its place, is decided in `files`.

use std::ops::Range;

use crate::config::{Fault, Problem};

use super::token::{Token, Tokens};

/// Blocks within blocks; nginx's own need five.
pub const DEPTH_MAX: usize = 24;
/// Far more than any host has: what is beyond is no configuration.
pub const DIRECTIVES_MAX: usize = 50_000;

/// One directive: its name, what follows it, and its block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    pub name: String,
    pub arguments: Vec<String>,
    /// `None` behind a `;`.
    pub block: Option<Vec<Directive>>,
    pub place: Place,
}

/// Where a directive stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Position in the list of files.
    pub file: usize,
    /// From 1.
    pub line: usize,
    /// The bytes of its name.
    pub span: Range<usize>,
}

impl Directive {
    /// What stands for a directive of an empty file.
    pub fn nothing() -> Directive {
        let place = Place { file: 0, line: 1, span: 0..0 };
        Directive { name: "an empty file".to_owned(), arguments: Vec::new(), block: None, place }
    }

    /// The argument at a position; an empty one where there is none.
    pub fn argument(&self, at: usize) -> &str {
        self.arguments.get(at).map_or("", String::as_str)
    }

    /// The directives of its block.
    pub fn inside(&self) -> &[Directive] {
        self.block.as_deref().unwrap_or_default()
    }

    /// Its first line as it is told to a reader, without an end that nobody would read.
    pub fn shown(&self) -> String {
        const CHARS_MAX: usize = 70;
        let mut text = self.name.clone();
        for argument in &self.arguments {
            let quote = argument.is_empty() || argument.contains([' ', '\t', ';', '{']);
            text.push(' ');
            match quote {
                true => text.push_str(&format!("\"{argument}\"")),
                false => text.push_str(argument),
            }
        }
        let end = if self.block.is_some() { " {" } else { ";" };
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        if text.chars().count() > CHARS_MAX {
            return text.chars().map(plain).take(CHARS_MAX - 1).collect::<String>() + "…";
        }
        text.chars().map(plain).collect::<String>() + end
    }
}

/// Reads the directives of one file, which is number `file` in the list.
///
/// # Errors
/// The first place where it cannot be read on.
pub fn parse(source: &str, file: usize) -> Result<Vec<Directive>, Problem> {
    if let Some(at) = source.find('\0') {
        let fault = Fault::new("a zero byte").expected("a text file, in nginx's syntax");
        return Err(fault.at(at..at + 1));
    }
    let mut parser = Parser { tokens: Tokens::new(source), file, count: 0, end: source.len() };
    parser.block(None, 0)
}

struct Parser<'a> {
    tokens: Tokens<'a>,
    file: usize,
    count: usize,
    end: usize,
}

impl Parser<'_> {
    /// The directives up to the `}` that belongs to `open`, or to the end of the file.
    fn block(
        &mut self,
        open: Option<Range<usize>>,
        depth: usize,
    ) -> Result<Vec<Directive>, Problem> {
        let mut directives = Vec::new();
        loop {
            let Some((token, span)) = self.tokens.next()? else {
                return match open {
                    None => Ok(directives),
                    Some(span) => {
                        Err(Fault::new("this block is not closed").expected("`}`").at(span))
                    }
                };
            };
            match token {
                Token::Word(name) => directives.push(self.directive(name, span, depth)?),
                Token::Close if open.is_some() => return Ok(directives),
                Token::Close => {
                    return Err(unexpected("}", span, "a directive, or the file's end"));
                }
                Token::Open => return Err(unexpected("{", span, "the name of a directive")),
                Token::End => return Err(unexpected(";", span, "the name of a directive")),
            }
        }
    }

    fn directive(
        &mut self,
        name: String,
        span: Range<usize>,
        depth: usize,
    ) -> Result<Directive, Problem> {
        self.count += 1;
        if self.count > DIRECTIVES_MAX {
            let fault = Fault::new(format!("more than {DIRECTIVES_MAX} directives"));
            return Err(fault.expected("the configuration of a nginx").at(span));
        }
        let line = self.tokens.line_of(span.start);
        let place = Place { file: self.file, line, span };
        let mut arguments = Vec::new();
        loop {
            let (token, span) = match self.tokens.next()? {
                Some(next) => next,
                None => {
                    let fault = Fault::new(format!("the file ends within `{name}`"));
                    return Err(fault.expected("`;` or `{`").at(self.end..self.end));
                }
            };
            match token {
                Token::Word(word) => arguments.push(word),
                Token::End => return Ok(Directive { name, arguments, block: None, place }),
                Token::Open if name.ends_with("_by_lua_block") => {
                    self.tokens.skip_lua(span)?;
                    return Ok(Directive { name, arguments, block: Some(Vec::new()), place });
                }
                Token::Open if depth == DEPTH_MAX => {
                    let fault = Fault::new(format!("more than {DEPTH_MAX} blocks in each other"));
                    return Err(fault.expected("the configuration of a nginx").at(span));
                }
                Token::Open => {
                    let block = Some(self.block(Some(span), depth + 1)?);
                    return Ok(Directive { name, arguments, block, place });
                }
                Token::Close => {
                    let expected = format!("`;` behind `{name}`");
                    return Err(unexpected("}", span, &expected));
                }
            }
        }
    }
}

fn unexpected(what: &str, span: Range<usize>, expected: &str) -> Problem {
    Fault::new(format!("unexpected `{what}`")).expected(expected).at(span)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(source: &str) -> (String, usize, String) {
        let problem = parse(source, 0).unwrap_err();
        (problem.message, problem.span.start, problem.expected.unwrap_or_default())
    }

    #[test]
    fn a_tree_with_places() {
        let tree = parse("a b;\nc {\n  d 'e f';\n\n  g { h; }\n}\n", 3).unwrap();
        assert_eq!((tree[0].shown(), tree[0].place.line), ("a b;".to_owned(), 1));
        let c = &tree[1];
        assert_eq!((c.shown(), c.place.line, c.place.file), ("c {".to_owned(), 2, 3));
        let lines: Vec<usize> = c.inside().iter().map(|inner| inner.place.line).collect();
        assert_eq!(lines, [3, 5]);
        assert_eq!(c.inside()[0].shown(), "d \"e f\";");
        assert_eq!(c.inside()[1].inside()[0].name, "h");
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_place() {
        for (source, message, at, expected) in [
            ("a {", "this block is not closed", 2, "`}`"),
            ("a", "the file ends within `a`", 1, "`;` or `{`"),
            ("a }", "unexpected `}`", 2, "`;` behind `a`"),
            ("}", "unexpected `}`", 0, "a directive, or the file's end"),
            ("a;;", "unexpected `;`", 2, "the name of a directive"),
            ("{", "unexpected `{`", 0, "the name of a directive"),
            ("a \"", "this quote is not closed", 2, "`\"`"),
            ("a\0;", "a zero byte", 1, "a text file, in nginx's syntax"),
            ("x_by_lua_block {", "this block of Lua is not closed", 15, "`}`"),
        ] {
            assert_eq!(wrong(source), (message.to_owned(), at, expected.to_owned()), "{source}");
        }
        let deep = "a {".repeat(DEPTH_MAX + 1);
        assert_eq!(wrong(&deep).0, format!("more than {DEPTH_MAX} blocks in each other"));
        let long = "a;".repeat(DIRECTIVES_MAX + 1);
        assert_eq!(wrong(&long).0, format!("more than {DIRECTIVES_MAX} directives"));
    }
}
