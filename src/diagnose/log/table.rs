//! The words by which other programs' messages are known, and what each of them says.
//!
//! In a row's pattern `*` stands for anything, `#` for a number and `@` for a word without blanks
//! or quotation marks, which a name is and a visitor's sentence not; the rest is the program's own
//! text from the first character to the last, so that what a visitor had it write says nothing.
//! Pure.

use super::{Program, apache, nginx, php, system};
use crate::diagnose::around::Sign;
use crate::diagnose::cause::Code;

/// Bytes of a message that are compared: beyond them stand traces.
const MESSAGE_MAX: usize = 1024;

/// A program's message, what it says, and a sample.
pub(super) type Row = (Program, &'static str, Says, &'static str);

/// What a line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// How an exchange with a backend failed.
    Cause(Code),
    /// What happened to a program.
    Of(Sign),
}

/// What a program's message says; `None` for one that is not known.
pub fn says(program: Program, message: &str) -> Option<Says> {
    let end = message.len().min(MESSAGE_MAX);
    let message = &message[..message.floor_char_boundary(end)];
    let row = rows().find(|(of, pattern, ..)| *of == program && fits(pattern, message));
    row.map(|(_, _, says, _)| *says)
}

/// The known message that has the most words in common with a line, if that is more than a few.
pub fn nearest_sample(line: &str) -> Option<&'static str> {
    const ALIKE_MIN: usize = 3;
    let words: Vec<&str> = words(line).take(64).collect();
    let alike = |sample: &str| self::words(sample).filter(|word| words.contains(word)).count();
    let scored = rows().map(|(_, _, _, sample)| (alike(sample), *sample));
    let (count, sample) = scored.max_by_key(|(count, _)| *count)?;
    (count >= ALIKE_MIN).then_some(sample)
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.len() > 2)
}

fn rows() -> impl Iterator<Item = &'static Row> {
    nginx::ROWS.iter().chain(&apache::ROWS).chain(&php::ROWS).chain(&system::ROWS)
}

/// Whether a text is what a pattern says. Takes no more than their lengths multiplied.
fn fits(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut seen) = (0, 0);
    // Where the last `*` stands, and the text from which its rest was tried.
    let mut star: Option<(usize, usize)> = None;
    while seen < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, seen));
                at += 1;
                continue;
            }
            Some(b'#') if text[seen].is_ascii_digit() => {
                while text.get(seen).is_some_and(u8::is_ascii_digit) {
                    seen += 1;
                }
                at += 1;
                continue;
            }
            Some(b'@') if is_of_word(text[seen]) => {
                while text.get(seen).copied().is_some_and(is_of_word) {
                    seen += 1;
                }
                at += 1;
                continue;
            }
            Some(wanted) if *wanted == text[seen] && !matches!(wanted, b'#' | b'@') => {
                (at, seen) = (at + 1, seen + 1);
                continue;
            }
            Some(_) | None => {}
        }
        let Some((of, from)) = star else { return false };
        star = Some((of, from + 1));
        (at, seen) = (of + 1, from + 1);
    }
    pattern[at..].iter().all(|rest| *rest == b'*')
}

fn is_of_word(byte: u8) -> bool {
    !matches!(byte, b' ' | b'"' | b'\'')
}

#[cfg(test)]
mod tests {
    use super::super::{Clock, shape};
    use super::*;

    /// A message as a whole line of its program.
    fn line(program: Program, message: &str) -> String {
        match program {
            Program::Nginx => format!(
                "2026/11/22 01:02:03 [error] 7#7: *45 {message}, client: 192.0.2.7, server: \
                 shop.example, request: \"GET /cart?id=7 HTTP/1.1\", upstream: \
                 \"http://127.0.0.1:8080/cart?id=7\", host: \"shop.example\""
            ),
            Program::Apache => {
                let stamp = "[Sun Nov 22 01:02:03.456789 2026] [proxy:error] [pid 7:tid 140]";
                match message.find(": AH").filter(|_| message.starts_with('(')) {
                    Some(end) => format!(
                        "{stamp} {} [client 192.0.2.7:50312] {}",
                        &message[..=end],
                        &message[end + 2..]
                    ),
                    None => format!("{stamp} [client 192.0.2.7:50312] {message}"),
                }
            }
            Program::Fpm if message.starts_with("script_filename") => message.to_owned(),
            Program::Fpm => format!("[22-Nov-2026 01:02:03] WARNING: {message}"),
            Program::Php => format!("[22-Nov-2026 01:02:03 UTC] {message}"),
            Program::Kernel => format!("Nov 22 01:02:03 shop kernel: [ 4711.123456] {message}"),
            Program::Systemd => format!("Nov 22 01:02:03 shop systemd[1]: {message}"),
        }
    }

    /// Each row is the first that its sample meets, as a message and as a line of its log.
    #[test]
    fn every_row_knows_its_sample() {
        let clock = Clock { zone: jiff::tz::TimeZone::UTC, named: &|_| None };
        assert!(rows().count() >= 120);
        for (program, pattern, expected, sample) in rows() {
            let first = rows().find(|(of, pattern, ..)| of == program && fits(pattern, sample));
            assert_eq!(first.map(|row| row.1), Some(*pattern), "{sample}");
            let line = line(*program, sample);
            let shape = shape(&line, &clock);
            assert_eq!(shape.program, Some(*program), "{line}");
            assert_eq!(says(*program, &shape.message), Some(*expected), "{line}");
        }
    }

    #[test]
    fn every_sign_has_a_row() {
        for sign in <Sign as strum::IntoEnumIterator>::iter() {
            assert!(rows().any(|(_, _, says, _)| *says == Says::Of(sign)), "{sign:?}");
        }
    }

    #[test]
    fn a_pattern_is_the_whole_text() {
        for (pattern, text, expected) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "ab", true),
            ("*b", "aab", true),
            ("*b", "aba", false),
            ("a#c", "a123c", true),
            ("a#c", "ac", false),
            ("a#c", "a#c", false),
            ("@ c", "a.b c", true),
            ("@ c", "a b c", false),
            ("@ c", "\"a c", false),
            ("@ c", " c", false),
            ("*@ c", "a \"b c", true),
            ("*[#] x*", "y[z] [12] x!", true),
            ("**", "", true),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
        assert!(!fits("*a*a*a*a*b", &"a".repeat(MESSAGE_MAX)));
    }

    /// What a visitor has a program write is not the program's own word.
    #[test]
    fn a_visitor_cannot_say_it() {
        let clock = Clock { zone: jiff::tz::TimeZone::UTC, named: &|_| None };
        for line in [
            "[22-Nov-2026 01:02:03] WARNING: [pool www] child 7, script '/srv/a.php' (request: \
             \"GET /segfault at 0 ip 1 sp 2 error 3\") said something",
            "2026/11/22 01:02:03 [error] 7#7: *45 open() \"/srv/connect() failed (111: \" failed, \
             client: 192.0.2.7",
            "[Sun Nov 22 01:02:03 2026] [core:info] [pid 7] AH00128: File does not exist: \
             /srv/AH00052: child pid 7 exit signal Killed (9)",
            "2026/11/22 01:02:03 [error] 7#7: *45 open() \"/srv/FastCGI sent in stderr: \"PHP \
             message: PHP Fatal error:  x\" failed (2: No such file), client: 192.0.2.7",
            "2026/11/22 01:02:03 [error] 7#7: *45 open() \"/srv/a could not be resolved (3: Host \
             not found)\" failed (2: No such file or directory), client: 192.0.2.7",
            "[Sun Nov 22 01:02:03 2026] [core:info] [pid 7] AH00128: File does not exist: \
             /srv/AH01071: Got error 'PHP message: PHP Fatal error:  x",
            "[22-Nov-2026 01:02:03] WARNING: [pool www] child 7, script '/srv/a.php' (request: \
             \"GET /] child 7 said into stderr: \"NOTICE: PHP message: PHP Fatal error:  x\") said",
        ] {
            let shape = shape(line, &clock);
            let program = shape.program.unwrap();
            assert_eq!(says(program, &shape.message), None, "{line}");
        }
    }
}
