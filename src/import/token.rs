//! The words of a nginx file: quotes, escapes, variables, comments, and blocks of Lua.
//!
//! Pure. Follows `ngx_conf_read_token` of nginx 1.22: a quote counts only where a word begins, a
//! backslash takes the next character along, `${` opens no block. What the words mean is decided
//! elsewhere.

use std::ops::Range;

use crate::config::{Fault, Problem};

/// What a file is made of, each with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    Word(String),
    /// `;`
    End,
    /// `{`
    Open,
    /// `}`
    Close,
}

/// Reads one token after the other.
#[derive(Debug)]
pub struct Tokens<'a> {
    source: &'a str,
    at: usize,
    /// The line of `at`, and where the lines up to there were counted.
    line: usize,
    counted: usize,
}

impl<'a> Tokens<'a> {
    pub fn new(source: &'a str) -> Tokens<'a> {
        Tokens { source, at: 0, line: 1, counted: 0 }
    }

    /// The next token; `None` at the end of the file.
    ///
    /// # Errors
    /// A quote that is not closed, or something right behind one that is.
    pub fn next(&mut self) -> Result<Option<(Token, Range<usize>)>, Problem> {
        self.skip_blank();
        let start = self.at;
        let Some(first) = self.peek() else { return Ok(None) };
        let token = match first {
            b';' => Token::End,
            b'{' => Token::Open,
            b'}' => Token::Close,
            b'"' | b'\'' => {
                let word = self.quoted(first)?;
                return Ok(Some((Token::Word(word), start..self.at)));
            }
            _ => {
                self.skip_word();
                let word = unescaped(&self.source[start..self.at]);
                return Ok(Some((Token::Word(word), start..self.at)));
            }
        };
        self.at += 1;
        Ok(Some((token, start..self.at)))
    }

    /// The line, from 1, of a place that was passed already; places come in order.
    pub fn line_of(&mut self, at: usize) -> usize {
        let passed = &self.source.as_bytes()[self.counted.min(at)..at];
        self.line += passed.iter().filter(|byte| **byte == b'\n').count();
        self.counted = self.counted.max(at);
        self.line
    }

    /// Passes over a block of Lua, whose `{` was the last token, up to behind its `}`.
    ///
    /// # Errors
    /// It is not closed.
    pub fn skip_lua(&mut self, open: Range<usize>) -> Result<(), Problem> {
        let bytes = self.source.as_bytes();
        let mut depth = 1_usize;
        while let Some(&byte) = bytes.get(self.at) {
            self.at += 1;
            match byte {
                b'{' => depth += 1,
                b'}' => {
                    depth -= 1;
                    if depth == 0 {
                        return Ok(());
                    }
                }
                b'"' | b'\'' => self.skip_lua_string(byte),
                b'-' if bytes.get(self.at) == Some(&b'-') => {
                    let rest = &bytes[self.at..];
                    let line = rest.iter().position(|byte| *byte == b'\n');
                    self.at += line.unwrap_or(rest.len());
                }
                _ => {}
            }
        }
        Err(Fault::new("this block of Lua is not closed").expected("`}`").at(open))
    }

    /// A string of Lua ends with its quote, or with its line.
    fn skip_lua_string(&mut self, quote: u8) {
        let bytes = self.source.as_bytes();
        while let Some(&byte) = bytes.get(self.at) {
            self.at += 1;
            match byte {
                b'\\' => self.at += 1,
                b'\n' => return,
                byte if byte == quote => return,
                _ => {}
            }
        }
        self.at = self.at.min(bytes.len());
    }

    fn peek(&self) -> Option<u8> {
        self.source.as_bytes().get(self.at).copied()
    }

    fn skip_blank(&mut self) {
        let bytes = self.source.as_bytes();
        while let Some(&byte) = bytes.get(self.at) {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => self.at += 1,
                b'#' => {
                    let rest = &bytes[self.at..];
                    let line = rest.iter().position(|byte| *byte == b'\n');
                    self.at += line.unwrap_or(rest.len());
                }
                _ => return,
            }
        }
    }

    fn skip_word(&mut self) {
        let bytes = self.source.as_bytes();
        let mut after_dollar = false;
        while let Some(&byte) = bytes.get(self.at) {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' | b';' => return,
                b'{' if !after_dollar => return,
                // The next character belongs to the word, whatever it is.
                b'\\' if self.at + 1 < bytes.len() => self.at += 1,
                _ => {}
            }
            after_dollar = byte == b'$';
            self.at += 1;
        }
    }

    fn quoted(&mut self, quote: u8) -> Result<String, Problem> {
        let bytes = self.source.as_bytes();
        let start = self.at;
        self.at += 1;
        loop {
            match bytes.get(self.at) {
                None => {
                    let fault = Fault::new("this quote is not closed");
                    let mark = char::from(quote);
                    return Err(fault.expected(format!("`{mark}`")).at(start..start + 1));
                }
                Some(b'\\') => self.at = (self.at + 2).min(bytes.len()),
                Some(byte) if *byte == quote => break,
                Some(_) => self.at += 1,
            }
        }
        let word = unescaped(&self.source[start + 1..self.at]);
        self.at += 1;
        match self.peek() {
            None | Some(b' ' | b'\t' | b'\r' | b'\n' | b';' | b'{' | b')') => Ok(word),
            Some(_) => {
                let fault = Fault::new("a word goes on behind its closing quote");
                let fault = fault.expected("a space, `;` or `{`");
                Err(fault.at(self.at..self.at + 1))
            }
        }
    }
}

/// Takes off the backslashes that nginx takes off; those of regular expressions stay.
fn unescaped(written: &str) -> String {
    let mut word = String::with_capacity(written.len());
    let mut rest = written;
    while let Some(at) = rest.find('\\') {
        word.push_str(&rest[..at]);
        let escaped = rest[at + 1..].chars().next();
        let taken = match escaped {
            Some(mark @ ('"' | '\'' | '\\')) => mark,
            Some('t') => '\t',
            Some('r') => '\r',
            Some('n') => '\n',
            Some(_) | None => {
                let end = at + 1 + escaped.map_or(0, char::len_utf8);
                word.push_str(&rest[at..end]);
                rest = &rest[end..];
                continue;
            }
        };
        word.push(taken);
        rest = &rest[at + 2..];
    }
    word + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(source: &str) -> String {
        let mut tokens = Tokens::new(source);
        let mut parts = Vec::new();
        loop {
            match tokens.next() {
                Ok(None) => return parts.join(" "),
                Ok(Some((Token::Word(word), _))) => parts.push(format!("<{word}>")),
                Ok(Some((Token::End, _))) => parts.push(";".to_owned()),
                Ok(Some((Token::Open, _))) => parts.push("{".to_owned()),
                Ok(Some((Token::Close, _))) => parts.push("}".to_owned()),
                Err(problem) => {
                    parts.push(format!("{} at {}", problem.message, problem.span.start));
                    return parts.join(" ");
                }
            }
        }
    }

    #[test]
    fn words_as_nginx_reads_them() {
        for (source, expected) in [
            ("", ""),
            ("a b;", "<a> <b> ;"),
            ("a{b;}", "<a> { <b> ; }"),
            ("# x { ;\na; # y", "<a> ;"),
            ("a b#c;", "<a> <b#c> ;"),
            ("a \"b ; c\" 'd{}';", "<a> <b ; c> <d{}> ;"),
            ("a \"say \\\"x\\\"\";", "<a> <say \"x\"> ;"),
            ("location ~ \\.php$ {", "<location> <~> <\\.php$> {"),
            ("a ${b}c{", "<a> <${b}c> {"),
            ("a b\\ c\\;d;", "<a> <b\\ c\\;d> ;"),
            ("if ($a = \"b\") {", "<if> <($a> <=> <b> <)> {"),
            ("a it's;", "<a> <it's> ;"),
            ("a \"b\"c;", "<a> a word goes on behind its closing quote at 5"),
            ("a 'b;", "<a> this quote is not closed at 2"),
            ("a 'b\\", "<a> this quote is not closed at 2"),
            ("a \\", "<a> <\\>"),
            ("a }b;", "<a> } <b> ;"),
        ] {
            assert_eq!(shown(source), expected, "{source}");
        }
    }

    #[test]
    fn lua_is_passed_over_whole() {
        for source in [
            "ngx.say(\"}\")\n-- } {\nlocal t = { a = '}' } }",
            "}",
            "if x then y = {} end }",
            "s = 'it\\'s }' }",
        ] {
            let mut tokens = Tokens::new(source);
            assert_eq!(tokens.skip_lua(0..1), Ok(()), "{source}");
            assert_eq!(tokens.at, source.len(), "{source}");
        }
        assert!(Tokens::new("{ '").skip_lua(0..1).is_err());
        assert!(Tokens::new("a \\").skip_lua(0..1).is_err());
    }
}
