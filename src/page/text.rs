//! A report as plain text, for curl and everything else that names no format.
//!
//! Lines are at most [`COLUMNS`] wide, except commands, which must stay whole to be pasted. Every
//! character passes `escape::plain`, so that nothing steers a terminal. Pure.

use std::fmt::Write;

use super::values::{self, Value, Values};
use super::{View, address, certainty, escape, expected_back, fate};
use crate::diagnose::around::Finding;
use crate::diagnose::{
    self, AttemptSummary, Audience, Command, CommandKind, Fix, PageWords, Report, Rooted, Standing,
    Words,
};

/// The width of a line.
const COLUMNS: usize = 80;
/// Marks that end no line, and marks that begin none.
const OPENING: &str = "（「『《【“‘";
const CLOSING: &str = "、。，．：；？！）」』》】”’";

/// The body for a report.
pub fn text(report: &Report, words: &Words, view: &View<'_>, values: &Values) -> String {
    let mut out = String::with_capacity(4096);
    let cause = words.cause(report.cause.code());
    let page = &words.page;
    let _ = write!(out, "{} ", report.status);
    wrap(&mut out, "", 4, 4, &cause.title);
    out.push('\n');
    paragraph(&mut out, &cause.visitor);
    out.push('\n');
    paragraph(&mut out, fate(report.fate, page));
    if view.warns(report) {
        paragraph(&mut out, &page.check_before_resending);
    }
    standing(&mut out, report, page, values);
    if let Some(back) = expected_back(report) {
        paragraph(&mut out, &page.expected_back.replace("{time}", &values::readable(back)));
    }
    // Each reader finds first what is for him.
    if view.discloses() {
        operator_part(&mut out, report, words, view);
        visitor_part(&mut out, report, words, view);
    } else {
        visitor_part(&mut out, report, words, view);
        if view.shows_operator_part() {
            operator_part(&mut out, report, words, view);
        }
    }
    out.push('\n');
    labelled(&mut out, &page.cause, report.cause.code().name());
    labelled(&mut out, &page.certainty, certainty(report.certainty, page));
    labelled(&mut out, &page.incident, values.get(Value::Incident));
    labelled(&mut out, &page.time, values.get(Value::Time));
    if report.site().is_some() {
        labelled(&mut out, &page.site, values.get(Value::Site));
    }
    if let Some(contact) = view.contact {
        labelled(&mut out, &page.contact, address(contact));
    }
    out
}

/// Whether it is only this reader, and since when it fails.
fn standing(out: &mut String, report: &Report, page: &PageWords, values: &Values) {
    let Standing { others_served, failing_since, last_worked } = report.standing;
    if report.standing != Standing::default() {
        out.push('\n');
    }
    match others_served {
        Some(true) => paragraph(out, &page.others_served),
        Some(false) => paragraph(out, &page.others_not_served),
        None => {}
    }
    let filled = |words: &str, time: Value, ago: Value| {
        words.replace("{time}", values.get(time)).replace("{ago}", values.get(ago))
    };
    if failing_since.is_some() {
        let since = filled(&page.failing_since, Value::FailingTime, Value::FailingAgo);
        paragraph(out, &since);
    }
    if last_worked.is_some() {
        paragraph(out, &filled(&page.last_worked, Value::WorkedTime, Value::WorkedAgo));
    }
}

fn visitor_part(out: &mut String, report: &Report, words: &Words, view: &View<'_>) {
    let mut fixes = view.fixes(report, Audience::Visitor).peekable();
    if fixes.peek().is_some() {
        heading(out, &words.page.what_you_can_do);
        numbered(out, words, view, fixes);
    }
}

fn operator_part(out: &mut String, report: &Report, words: &Words, view: &View<'_>) {
    let page = &words.page;
    heading(out, &page.it_is_my_site);
    if view.discloses() {
        paragraph(out, &words.cause(report.cause.code()).operator);
    }
    if let Some(rooted) = view.root(report) {
        root(out, rooted, words);
    }
    if let Some(rows) = view.evidence(report) {
        heading(out, &page.evidence);
        paragraph(out, &page.only_operators);
        for (key, value) in &rows {
            labelled(out, key, value);
        }
        if let Some(found) = view.findings(report).filter(|found| !found.is_empty()) {
            findings(out, &found, words);
        }
        if !report.attempts.is_empty() {
            heading(out, &page.attempts);
        }
        for (i, attempt) in report.attempts.iter().enumerate() {
            tried(out, i + 1, attempt);
            strip(out, attempt, page);
        }
        heading(out, &page.what_to_do);
    }
    numbered(out, words, view, view.fixes(report, Audience::Operator));
    if view.discloses() {
        heading(out, &page.reasons);
        for id in diagnose::reasons(report.cause.code()) {
            let reason = words.reason(*id);
            wrap(out, "- ", 2, 2, &reason.title);
            wrap(out, "  ", 2, 2, &reason.text);
        }
    }
}

/// What lies behind the cause on this host, and what shows it.
fn root(out: &mut String, rooted: &Rooted, words: &Words) {
    let root = words.root(rooted.root);
    heading(out, &words.page.root);
    let (name, sure) = (rooted.root.name(), certainty(rooted.certainty, &words.page));
    paragraph(out, &format!("{} [{name}] ({sure})", root.title));
    paragraph(out, &root.text);
    for (key, value) in &rooted.because {
        labelled(out, key, value);
    }
}

/// What this host shows, and what that means.
fn findings(out: &mut String, found: &[Finding], words: &Words) {
    heading(out, &words.page.findings);
    for (finding, meaning) in found.iter().zip(super::meanings(found, words)) {
        labelled(out, finding.key, &finding.value);
        if let Some(meaning) = meaning {
            wrap(out, "  ", 2, 2, meaning);
        }
    }
}

/// How far an attempt got, a step a line.
fn strip(out: &mut String, attempt: &AttemptSummary, page: &PageWords) {
    for (step, state) in attempt.steps() {
        let line = format!("{}: {}", page.step(step), super::step_state(state, page));
        wrap(out, "    - ", 6, 6, &line);
    }
}

pub fn heading(out: &mut String, text: &str) {
    out.push('\n');
    paragraph(out, text);
}

pub fn paragraph(out: &mut String, text: &str) {
    wrap(out, "", 0, 0, text);
}

pub fn labelled(out: &mut String, label: &str, value: &str) {
    let start = out.len();
    out.push_str(label);
    out.push_str(": ");
    let column = width_of(&out[start..]);
    wrap(out, "", column, 2, value);
}

/// The fixes of one audience, numbered, each with its steps.
fn numbered<'f>(
    out: &mut String,
    words: &Words,
    view: &View<'_>,
    fixes: impl Iterator<Item = &'f Fix>,
) {
    for (i, fix) in fixes.enumerate() {
        let text = words.fix(fix.id);
        let _ = write!(out, "{:2}. ", i + 1);
        wrap(out, "", 4, 4, &text.title);
        wrap(out, "    ", 4, 4, &text.why);
        for step in &text.steps {
            wrap(out, "    - ", 6, 6, &step.for_any());
        }
        let disclosed = view.disclosed(fix);
        if let Some(fix) = disclosed {
            commands(out, fix, &words.page);
        }
        if let Some(check) = &text.check {
            out.push_str("    ");
            let start = out.len();
            out.push_str(&words.page.check);
            out.push_str(": ");
            let column = 4 + width_of(&out[start..]);
            wrap(out, "", column, 6, check);
        }
        if let Some(fix) = disclosed {
            fix.checks().for_each(|command| typed(out, fix, command));
        }
    }
}

/// What ranked a fix, and what to type for it; a command stays on one line.
fn commands(out: &mut String, fix: &Fix, page: &PageWords) {
    for (key, value) in &fix.because {
        let start = out.len();
        let _ = write!(out, "    {}: {key} = ", page.because);
        let column = width_of(&out[start..]);
        wrap(out, "", column, 6, value);
    }
    super::notes(fix, page).for_each(|note| wrap(out, "    ", 4, 4, &note));
    for command in fix.commands.iter().filter(|command| command.kind != CommandKind::Check) {
        let _ = write!(out, "    {}", super::label(command.kind, page));
        out.push_str(":\n");
        typed(out, fix, command);
    }
}

/// What is typed, or the place to edit; on another host under its name.
fn typed(out: &mut String, fix: &Fix, command: &Command) {
    let host = fix.other_host.as_deref().filter(|_| command.elsewhere);
    let prompt = if command.kind == CommandKind::Edit { "" } else { "$ " };
    let space = if host.is_some() { ": " } else { "" };
    for part in ["      ", host.unwrap_or_default(), space, prompt] {
        escape::plain_text(out, part);
    }
    escape::plain_text(out, &command.line);
    out.push('\n');
}

/// One attempt: its members as in JSON, one line if they fit.
fn tried(out: &mut String, number: usize, attempt: &AttemptSummary) {
    let mut line = String::with_capacity(256);
    line.push_str(&attempt.server);
    if let Some(address) = attempt.address {
        let _ = write!(line, " address={address}");
    }
    let phase: &str = attempt.phase.into();
    let (cause, reused) = (attempt.code.name(), attempt.reused);
    let _ = write!(line, " cause={cause} phase={phase} reused={reused}");
    for tried in attempt.several_addresses() {
        let (address, code) = (tried.address, tried.code.name());
        let _ = write!(line, " tried={address},{code},{:.1}ms", tried.took.as_secs_f64() * 1000.0);
    }
    for (phase, time) in &attempt.stages {
        let phase: &str = phase.into();
        let _ = write!(line, " {phase}={:.1}ms", time.as_secs_f64() * 1000.0);
    }
    let (sent, received) = (attempt.bytes_sent, attempt.bytes_received);
    let _ = write!(line, " bytes_sent={sent} bytes_received={received}");
    let _ = write!(out, "{number:2}. ");
    wrap(out, "", 4, 4, &line);
}

/// Appends a text in lines: a prefix first, then at `column`; further lines start at `indent`.
fn wrap(out: &mut String, prefix: &str, column: usize, indent: usize, text: &str) {
    out.push_str(prefix);
    if escape::is_printable_ascii(text) {
        return wrap_ascii(out, column, indent, text);
    }
    let mut column = column;
    // Whether the line holds no word yet: then a word that does not fit is cut, not moved.
    let mut empty = true;
    for (unit, spaced) in units(text) {
        let gap = usize::from(spaced && !empty);
        if !empty && column + gap + width_of(unit) > COLUMNS {
            newline(out, indent);
            column = indent;
        } else if gap == 1 {
            out.push(' ');
            column += 1;
        }
        for c in unit.chars() {
            if column + width(c) > COLUMNS {
                newline(out, indent);
                column = indent;
            }
            escape::plain(out, c);
            column += width(c);
        }
        empty = false;
    }
    out.push('\n');
}

/// The same for printable ASCII, a line at a time: an outage writes little else.
fn wrap_ascii(out: &mut String, column: usize, indent: usize, text: &str) {
    let (mut rest, mut room) = (text, COLUMNS.saturating_sub(column));
    while rest.len() > room {
        // A space just behind the line ends it too. A word longer than a line is cut.
        let end = memchr::memrchr(b' ', &rest.as_bytes()[..=room]);
        let (line, after) = rest.split_at(end.filter(|&end| end > 0).unwrap_or(room));
        out.push_str(line);
        newline(out, indent);
        (rest, room) = (after.trim_start_matches(' '), COLUMNS - indent);
    }
    out.push_str(rest);
    out.push('\n');
}

fn newline(out: &mut String, indent: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', indent));
}

/// The parts between which a line may break, each with whether a space stood before it: words, and
/// single characters of scripts that are written without spaces.
fn units(text: &str) -> impl Iterator<Item = (&str, bool)> {
    text.split([' ', '\n']).filter(|word| !word.is_empty()).flat_map(|word| {
        let mut rest = word;
        std::iter::from_fn(move || {
            let end = unit_end(rest)?;
            let spaced = rest.len() == word.len();
            let (unit, after) = rest.split_at(end);
            rest = after;
            Some((unit, spaced))
        })
    })
}

/// Where the first unit of a word ends; `None` for the empty word.
fn unit_end(word: &str) -> Option<usize> {
    let mut chars = word.char_indices();
    let (_, mut before) = chars.next()?;
    for (i, c) in chars {
        let breaks = width(before) == 2 || width(c) == 2;
        // Marks stay with what they open or close.
        if breaks && !OPENING.contains(before) && !CLOSING.contains(c) {
            return Some(i);
        }
        before = c;
    }
    Some(word.len())
}

fn width_of(text: &str) -> usize {
    if escape::is_printable_ascii(text) {
        return text.len();
    }
    text.chars().map(width).sum()
}

/// The columns that a character takes in a terminal once it is escaped.
fn width(c: char) -> usize {
    match c {
        ' '..='~' => 1,
        _ if crate::diagnose::is_hidden(c) => c.escape_unicode().len(),
        '\u{300}'..='\u{36f}' => 0,
        '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}' => 2,
        '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}' => 2,
        '\u{ffe0}'..='\u{ffe6}' | '\u{1f300}'..='\u{1faff}' | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wrapped(text: &str) -> String {
        let mut out = String::new();
        wrap(&mut out, "", 0, 2, text);
        out
    }

    #[test]
    fn lines_break_between_words_and_inside_what_has_none() {
        let words = "word ".repeat(30);
        assert!(wrapped(&words).lines().all(|line| width_of(line) <= COLUMNS));
        assert!(wrapped(&words).lines().nth(1).unwrap().starts_with("  word"));
        assert_eq!(wrapped(&"x".repeat(120)).lines().count(), 2);
        let chinese = "网关无法连接到网站，".repeat(12);
        let wrapped = wrapped(&chinese);
        assert!(wrapped.lines().all(|line| width_of(line) <= COLUMNS));
        assert!(wrapped.lines().all(|line| !line.trim_start().starts_with('，')));
    }

    #[test]
    fn nothing_steers_the_terminal() {
        assert_eq!(wrapped("a\u{1b}[31m\r\tb\nc"), "a\\u{1b}[31m\\u{d}\\u{9}b c\n");
    }

    proptest! {
        #[test]
        fn no_line_of_ascii_is_too_wide(text in "[a-z]{0,120}( [a-z]{1,120}){0,9}") {
            let wrapped = wrapped(&text);
            prop_assert!(wrapped.lines().all(|line| line.len() <= COLUMNS));
            let kept = |text: &str| text.replace([' ', '\n'], "");
            prop_assert_eq!(kept(&wrapped), kept(&text));
        }

        #[test]
        fn no_line_is_too_wide(text in "[a-z 网，。\u{1}\u{301}é]{0,300}") {
            for line in wrapped(&text).lines() {
                prop_assert!(width_of(line) <= COLUMNS, "{line}");
            }
        }
    }
}
