//! The operator's part of the page for people: folded for visitors, open for himself. Pure.

use super::View;
use super::html::{element, prose, steps, text};
use crate::diagnose::around::Finding;
use crate::diagnose::{
    self, AttemptSummary, Audience, Command, CommandKind, Fix, PageWords, Report, Rooted,
    StepState, Words,
};

/// The part, as much of it as this reader may see.
pub fn part(out: &mut String, report: &Report, words: &Words, view: &View<'_>) {
    let page = &words.page;
    out.push_str(if view.discloses() { "<details open>" } else { "<details>" });
    out.push_str("<summary><h2>");
    text(out, &page.it_is_my_site);
    out.push_str("</h2></summary>\n");
    if view.discloses() {
        element(out, "p", &words.cause(report.cause.code()).operator);
        if let Some(rooted) = view.root(report) {
            root(out, rooted, words);
        }
        element(out, "h3", &page.what_to_do);
    }
    let mut fixes = view.fixes(report, Audience::Operator).peekable();
    if fixes.peek().is_some() {
        out.push_str("<ol class=\"fixes\">\n");
        fixes.for_each(|fix| one_fix(out, fix, words, view));
        out.push_str("</ol>\n");
    }
    if let Some(rows) = view.evidence(report) {
        element(out, "h3", &page.evidence);
        element(out, "p", &page.only_operators);
        out.push_str("<dl translate=\"no\">\n");
        rows.iter().for_each(|(key, value)| code_row(out, key, value));
        out.push_str("</dl>\n");
        if let Some(found) = view.findings(report).filter(|found| !found.is_empty()) {
            findings(out, &found, words);
        }
        attempts(out, &report.attempts, page);
        reasons(out, report, words);
    }
    out.push_str("</details>\n");
}

/// What lies behind the cause on this host, and what shows it.
fn root(out: &mut String, rooted: &Rooted, words: &Words) {
    let root = words.root(rooted.root);
    element(out, "h3", &words.page.root);
    out.push_str("<p><b>");
    text(out, &root.title);
    out.push_str("</b> <code translate=\"no\">");
    text(out, rooted.root.name());
    out.push_str("</code> (");
    text(out, super::certainty(rooted.certainty, &words.page));
    out.push_str(")</p>\n");
    element(out, "p", &root.text);
    if !rooted.because.is_empty() {
        out.push_str("<dl translate=\"no\">\n");
        rooted.because.iter().for_each(|(key, value)| code_row(out, key, value));
        out.push_str("</dl>\n");
    }
}

/// What this host shows, and what that means.
fn findings(out: &mut String, found: &[Finding], words: &Words) {
    element(out, "h3", &words.page.findings);
    out.push_str("<dl>\n");
    for (finding, meaning) in found.iter().zip(super::meanings(found, words)) {
        out.push_str("<dt translate=\"no\"><code>");
        text(out, finding.key);
        out.push_str("</code></dt><dd><code translate=\"no\">");
        text(out, &finding.value);
        out.push_str("</code>");
        if let Some(meaning) = meaning {
            out.push_str("<p class=\"soft\">");
            prose(out, meaning);
            out.push_str("</p>");
        }
        out.push_str("</dd>\n");
    }
    out.push_str("</dl>\n");
}

/// How far an attempt got, step by step: in words, and in colours beside them.
fn strip(out: &mut String, attempt: &AttemptSummary, page: &PageWords) {
    out.push_str("<p class=\"soft\" translate=\"yes\">");
    text(out, &page.steps);
    out.push_str("</p>\n<ol class=\"steps\" role=\"list\" translate=\"yes\">\n");
    for (step, state) in attempt.steps() {
        let class = match state {
            StepState::Done(_) => "ok",
            StepState::Failed(_) => "bad",
            StepState::NotReached => "none",
        };
        out.extend(["<li class=\"", class, "\"><b>"]);
        text(out, page.step(step));
        out.push_str("</b> ");
        text(out, &super::step_state(state, page));
        out.push_str("</li>\n");
    }
    out.push_str("</ol>\n");
}

fn one_fix(out: &mut String, fix: &Fix, words: &Words, view: &View<'_>) {
    out.push_str("<li>");
    steps(out, fix.id, words);
    if let Some(fix) = view.disclosed(fix) {
        commands(out, fix, &words.page);
    }
    if let Some(check) = &words.fix(fix.id).check {
        out.push_str("<p><b>");
        text(out, &words.page.check);
        out.push_str(":</b> ");
        prose(out, check);
        out.push_str("</p>\n");
    }
    if let Some(fix) = view.disclosed(fix) {
        fix.checks().for_each(|command| typed(out, fix, command));
    }
    out.push_str("</li>\n");
}

/// What ranked a fix, and what to type for it.
fn commands(out: &mut String, fix: &Fix, page: &PageWords) {
    if !fix.because.is_empty() {
        label(out, &page.because);
        out.push_str("<dl translate=\"no\">\n");
        fix.because.iter().for_each(|(key, value)| code_row(out, key, value));
        out.push_str("</dl>\n");
    }
    super::notes(fix, page).for_each(|note| {
        out.push_str("<p>");
        text(out, &note);
        out.push_str("</p>\n");
    });
    for command in fix.commands.iter().filter(|command| command.kind != CommandKind::Check) {
        label(out, super::label(command.kind, page));
        typed(out, fix, command);
    }
}

fn label(out: &mut String, words: &str) {
    out.push_str("<p class=\"soft\">");
    text(out, words);
    out.push_str("</p>\n");
}

/// What is typed, or the place to edit; on another host under its name.
fn typed(out: &mut String, fix: &Fix, command: &Command) {
    out.push_str("<pre translate=\"no\"><code>");
    if let Some(host) = fix.other_host.as_ref().filter(|_| command.elsewhere) {
        out.push_str("# ");
        text(out, host);
        out.push('\n');
    }
    text(out, &command.line);
    out.push_str("</code></pre>\n");
}

/// What usually lies behind the cause.
fn reasons(out: &mut String, report: &Report, words: &Words) {
    element(out, "h3", &words.page.reasons);
    out.push_str("<ul>\n");
    for id in diagnose::reasons(report.cause.code()) {
        let reason = words.reason(*id);
        out.push_str("<li><b>");
        text(out, &reason.title);
        out.push_str("</b>");
        element(out, "p", &reason.text);
        out.push_str("</li>\n");
    }
    out.push_str("</ul>\n");
}

/// What was tried, with the names that the JSON uses.
fn attempts(out: &mut String, attempts: &[AttemptSummary], page: &PageWords) {
    if attempts.is_empty() {
        return;
    }
    element(out, "h3", &page.attempts);
    out.push_str("<ol translate=\"no\">\n");
    for attempt in attempts {
        out.push_str("<li><dl>\n");
        code_row(out, "server", &attempt.server);
        if let Some(address) = attempt.address {
            code_row(out, "address", &address.to_string());
        }
        code_row(out, "cause", attempt.code.name());
        code_row(out, "phase", attempt.phase.into());
        code_row(out, "reused", if attempt.reused { "true" } else { "false" });
        for tried in attempt.several_addresses() {
            let (milliseconds, code) = (tried.took.as_secs_f64() * 1000.0, tried.code.name());
            let outcome = format!("{} {code} {milliseconds:.1} ms", tried.address);
            code_row(out, "tried", &outcome);
        }
        for (phase, time) in &attempt.stages {
            let milliseconds = time.as_secs_f64() * 1000.0;
            code_row(out, phase.into(), &format!("{milliseconds:.1} ms"));
        }
        code_row(out, "bytes_sent", &attempt.bytes_sent.to_string());
        code_row(out, "bytes_received", &attempt.bytes_received.to_string());
        out.push_str("</dl>\n");
        strip(out, attempt, page);
        out.push_str("</li>\n");
    }
    out.push_str("</ol>\n");
}

fn code_row(out: &mut String, key: &str, value: &str) {
    out.push_str("<dt><code>");
    text(out, key);
    out.push_str("</code></dt><dd><code>");
    text(out, value);
    out.push_str("</code></dd>\n");
}
