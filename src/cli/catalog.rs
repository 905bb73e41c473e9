//! The catalogues that explain our messages in a journal: `journalctl -x`.
//!
//! One file a language, in the format of systemd's own (https://systemd.io/CATALOG): an entry for
//! each cause and each event, from the same words as the page. What stands between two `@` is
//! filled in from the fields of the message that is explained. Pure.

use crate::diagnose::{self, Audience, Code, Event, MessageId, MessageWords, Step, Words};

use super::generate::Part;

/// The columns of a line; a journal's pager does not break lines, and puts three before each.
const WIDTH: usize = 77;
/// A journal shows an entry below each message that it explains: of the fixes behind these, which
/// are the least likely to help, it has the titles.
const FIXES_WITH_STEPS: usize = 4;

/// The catalogue of every language that is compiled in.
pub fn parts() -> impl Iterator<Item = Part> {
    diagnose::languages().iter().zip(diagnose::messages()).map(|(words, messages)| Part {
        name: file_name(&words.language),
        bytes: catalog(words, messages).into_bytes(),
    })
}

/// A journal takes the language from the file's name, `NAME.LANGUAGE.catalog`, and looks for that
/// of the reader's locale, whole (`zh_CN`) and then without its country. Chinese is in simplified
/// letters here, so it is not for every country's.
fn file_name(language: &str) -> String {
    match language {
        "en" => "causeway.catalog".to_owned(),
        "zh" => "causeway.zh_CN.catalog".to_owned(),
        other => format!("causeway.{other}.catalog"),
    }
}

fn catalog(words: &Words, messages: &MessageWords) -> String {
    let mut entries = Vec::new();
    for code in Code::all() {
        let subject = format!("{} ({})", words.cause(code).title, code.name());
        entries.push(entry(code.into(), &subject, &of_cause(code, words, messages)));
    }
    for event in Event::all() {
        let told = messages.event(event);
        entries.push(entry(event.into(), &told.title, &[wrapped("", "", &told.text)]));
    }
    entries.join("\n")
}

fn entry(id: MessageId, subject: &str, paragraphs: &[String]) -> String {
    let head = format!("-- {id}\nSubject: {subject}\nDefined-By: causeway\n");
    format!("{head}Documentation: man:causeway(8)\n\n{}", paragraphs.join("\n"))
}

/// Where it failed, what it means, what lies behind it, what to do.
fn of_cause(code: Code, words: &Words, messages: &MessageWords) -> Vec<String> {
    let mut reasons = format!("{}\n", words.page.reasons);
    for reason in diagnose::reasons(code).iter().map(|id| words.reason(*id)) {
        reasons.push_str(&wrapped("- ", "  ", &reason.title));
        reasons.push_str(&wrapped("  ", "  ", &reason.text));
    }
    let mut todo = format!("{}\n", words.page.what_to_do);
    let fixes = diagnose::fix_ids(code).filter(|id| id.audience() == Audience::Operator);
    for (number, fix) in fixes.map(|id| words.fix(id)).enumerate() {
        todo.push_str(&wrapped("- ", "  ", &fix.title));
        if number < FIXES_WITH_STEPS {
            for step in fix.steps.iter().map(Step::for_any) {
                todo.push_str(&wrapped("  * ", "    ", &step));
            }
            if let Some(check) = &fix.check {
                todo.push_str(&wrapped("    ", "    ", &format!("{}: {check}", words.page.check)));
            }
        }
    }
    vec![
        format!("{}\n", messages.head),
        wrapped("", "", &words.cause(code).operator),
        reasons,
        todo,
        wrapped("", "", &messages.log),
        format!("{}\n  causeway explain {}\n", messages.more, code.name()),
    ]
}

/// A text in lines of at most [`WIDTH`] columns, where its words let it, with what stands before
/// the first and before each of the others.
fn wrapped(first: &str, next: &str, text: &str) -> String {
    let mut out = first.to_owned();
    let mut column = first.len();
    let mut is_begun = false;
    for (piece, spaced) in pieces(text) {
        let width = piece.chars().map(columns).sum::<usize>();
        let gap = usize::from(spaced && is_begun);
        if is_begun && column + gap + width > WIDTH {
            out.push('\n');
            out.push_str(next);
            column = next.len();
        } else if gap > 0 {
            out.push(' ');
            column += gap;
        }
        out.push_str(piece);
        column += width;
        is_begun = true;
    }
    out.push('\n');
    out
}

/// What must stay on one line, each with whether a space stood before it: words, and within those
/// of Chinese each character with the marks that may not begin or end a line.
fn pieces(text: &str) -> impl Iterator<Item = (&str, bool)> {
    text.split_whitespace().flat_map(|word| {
        let mut start = 0;
        let mut breaks = Vec::new();
        let letters = word.char_indices().zip(word.chars().skip(1));
        for ((at, before), after) in letters {
            let wide = columns(before) == 2 || columns(after) == 2;
            if wide && !is_opening(before) && !is_closing(after) {
                let end = at + before.len_utf8();
                breaks.push((&word[start..end], start == 0));
                start = end;
            }
        }
        breaks.push((&word[start..], start == 0));
        breaks
    })
}

/// How many columns a terminal gives a letter: two to those of East Asia (UAX #11, W and F).
fn columns(letter: char) -> usize {
    match letter {
        '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}' => 2,
        '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}' => 2,
        _ => 1,
    }
}

fn is_opening(letter: char) -> bool {
    "（《「『【“‘([`\"".contains(letter)
}

fn is_closing(letter: char) -> bool {
    "），。、；：！？》」』】”’…—)],.;:!?`\"".contains(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_between_chinese_letters() {
        let long = "word ".repeat(40);
        let lines = wrapped("- ", "  ", &long);
        assert!(lines.lines().all(|line| line.len() <= WIDTH), "{lines}");
        assert!(lines.starts_with("- word word") && lines.contains("\n  word"), "{lines}");
        let long = "网关看到，后端失败。".repeat(20);
        let lines = wrapped("", "", &long);
        for line in lines.lines() {
            assert!(line.chars().map(columns).sum::<usize>() <= WIDTH, "{line}");
            assert!(!line.starts_with(['，', '。']), "{line}");
        }
        assert_eq!(lines.replace('\n', ""), long);
        // Mixed text keeps its spaces where it had some, and gets none where it had none.
        assert_eq!(
            wrapped("", "", "用 `causeway check` 检查nginx。"),
            "用 `causeway check` 检查nginx。\n"
        );
    }

    /// systemd skips lines that begin with `#` or `;`, and takes `-- ` for the next entry.
    #[test]
    fn no_line_is_taken_for_something_else() {
        for part in parts() {
            let text = String::from_utf8(part.bytes).unwrap();
            let entries = text.lines().filter(|line| line.starts_with("-- "));
            assert_eq!(
                entries.count(),
                Code::all().count() + Event::all().count(),
                "{}",
                part.name
            );
            for line in text.lines().filter(|line| !line.starts_with("-- ")) {
                assert!(!line.starts_with(['#', ';']) && !line.starts_with("--"), "{line}");
                assert!(!line.contains('\t') && line.trim_end() == line, "{line:?}");
            }
        }
    }
}
