//! A report as a page for people.
//!
//! The plain sentence first, then where it broke, what became of the request, and only then advice;
//! what is for the operator is folded away from visitors. No script, no image, nothing fetched: the
//! policy allows one style sheet, by its hash. Every value goes through `escape::html`. Pure.

use super::{View, address, certainty, escape, fate, rfc3339};
use crate::diagnose::{AttemptSummary, Audience, Blame, Fate, Fix, PageWords, Report, Words};

/// What the page may load: its own style sheet, known by its SHA-256, and nothing else.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; \
    style-src 'sha256-z4Vi19FiIdb9wHWIEp9PTsxlSsSVkyoiVVKWePEQ8nE='; base-uri 'none'; \
    form-action 'none'";

/// The style sheet; its hash in the policy is checked by a test.
const STYLE: &str = include_str!("style.css");

/// Fixes that a visitor sees at once; the rest is folded.
const FIXES_VISIBLE: usize = 3;

/// The pictures of the three hops: a screen, a gate, a rack.
const YOU: &str = r#"<rect x="4" y="4" width="16" height="11" rx="2"/><path d="M9 20h6M12 15v5"/>"#;
const GATEWAY: &str = r#"<path d="M3 10l9-6 9 6M5 10v10M19 10v10M9 20v-6h6v6"/>"#;
const SITE: &str = r#"<path d="M5 4h14v7H5zM5 13h14v7H5zM8 7.5h.01M8 16.5h.01"/>"#;

/// The body for a report.
pub fn html(report: &Report, words: &Words, view: &View<'_>) -> String {
    let mut out = String::with_capacity(STYLE.len() + 12 * 1024);
    let cause = words.cause(report.cause.code());
    head(&mut out, report.status, words.language, &cause.title);
    element(&mut out, "h1", &cause.title);
    out.push_str("<p class=\"why\">");
    text(&mut out, &cause.visitor);
    out.push_str("</p>\n");
    hops(&mut out, report.entry.blame, &words.page);
    told(&mut out, report, &words.page, view);
    out.push_str("<p class=\"sure\">");
    text(&mut out, &words.page.certainty);
    out.push_str(": ");
    text(&mut out, certainty(report.certainty, &words.page));
    out.push_str("</p>\n");
    // Each reader finds first what is for him.
    if view.discloses() {
        operator_part(&mut out, report, words, view);
        visitor_fixes(&mut out, report, words, view);
    } else {
        visitor_fixes(&mut out, report, words, view);
        if view.shows_operator_part() {
            operator_part(&mut out, report, words, view);
        }
    }
    out.push_str("</main>\n");
    footer(&mut out, report, &words.page, view);
    out.push_str("</body>\n</html>\n");
    out
}

/// The only way of a value into the page.
fn text(out: &mut String, value: &str) {
    escape::html(out, value);
}

/// Appends our own words, in which backquotes mark what is typed or read in a terminal.
fn prose(out: &mut String, words: &str) {
    for (i, piece) in words.split('`').enumerate() {
        if i % 2 == 0 {
            text(out, piece);
        } else {
            out.push_str("<code>");
            text(out, piece);
            out.push_str("</code>");
        }
    }
}

/// Appends an element without attributes that holds our own words.
fn element(out: &mut String, name: &str, value: &str) {
    out.extend(["<", name, ">"]);
    prose(out, value);
    out.extend(["</", name, ">\n"]);
}

fn head(out: &mut String, status: u16, language: &str, title: &str) {
    let status = status.to_string();
    out.push_str("<!doctype html>\n<html lang=\"");
    text(out, language);
    out.push_str(
        "\">\n<head>\n<meta charset=\"utf-8\">\n\
        <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
        <meta name=\"color-scheme\" content=\"light dark\">\n\
        <meta name=\"robots\" content=\"noindex\">\n<title>",
    );
    text(out, title);
    out.extend([" (", &status, ")</title>\n<style>", STYLE, "</style>\n</head>\n<body>\n"]);
    out.extend(["<header><p>", &status, "</p></header>\n<main>\n"]);
}

/// How a hop of the way fares.
#[derive(Clone, Copy)]
enum Hop {
    Working,
    Broken,
    /// Behind the broken one: nobody knows.
    Unknown,
}

/// You - Gateway - Site, with the broken hop named in words, and the way to it drawn broken.
fn hops(out: &mut String, blame: Blame, page: &PageWords) {
    use Hop::{Broken, Unknown, Working};
    // The state of each hop, and how the way to gateway and site is drawn.
    let (states, gateway_way, site_way) = match blame {
        Blame::Client => ([Broken, Working, Unknown], " cut", " dim"),
        Blame::Gateway => ([Working, Broken, Unknown], "", " dim"),
        Blame::Network | Blame::Upstream => ([Working, Working, Broken], "", " cut"),
    };
    out.push_str("<section aria-labelledby=\"where\">\n<h2 id=\"where\">");
    text(out, &page.where_it_broke);
    // Lists without markers lose their role in Safari unless it is named.
    out.push_str("</h2>\n<ol class=\"hops\" role=\"list\">\n");
    let ways = ["", gateway_way, site_way];
    let names = [(&page.you, YOU), (&page.gateway, GATEWAY), (&page.site, SITE)];
    for ((state, way), (name, picture)) in states.into_iter().zip(ways).zip(names) {
        let (class, word) = match state {
            Working => ("ok", &page.hop_working),
            Broken => ("bad", &page.hop_broken),
            Unknown => ("none", &page.hop_unknown),
        };
        out.extend([
            "<li class=\"",
            class,
            way,
            "\"><svg viewBox=\"0 0 24 24\" aria-hidden=\"true\">",
        ]);
        out.extend([picture, "</svg><b>"]);
        text(out, name);
        out.push_str("</b> <span>");
        text(out, word);
        out.push_str("</span></li>\n");
    }
    out.push_str("</ol>\n</section>\n");
}

/// What became of the request.
fn told(out: &mut String, report: &Report, page: &PageWords, view: &View<'_>) {
    let warns = view.warns(report);
    let edge = match (report.fate, warns) {
        (Fate::NotSent, _) => "",
        (Fate::MayHaveBeenProcessed | Fate::Processed, false) => " look",
        (Fate::MayHaveBeenProcessed | Fate::Processed, true) => " warn",
    };
    out.extend(["<section class=\"told", edge, "\" aria-label=\""]);
    text(out, &page.request);
    out.push_str("\">\n");
    element(out, "p", fate(report.fate, page));
    if warns {
        element(out, "p", &page.check_before_resending);
    }
    out.push_str("</section>\n");
}

fn visitor_fixes(out: &mut String, report: &Report, words: &Words, view: &View<'_>) {
    let fixes: Vec<&Fix> = view.fixes(report, Audience::Visitor).collect();
    if fixes.is_empty() {
        return;
    }
    let (first, rest) = fixes.split_at(fixes.len().min(FIXES_VISIBLE));
    out.push_str("<section aria-labelledby=\"try\">\n<h2 id=\"try\">");
    text(out, &words.page.what_you_can_do);
    out.push_str("</h2>\n<ol class=\"fixes\">\n");
    first.iter().for_each(|fix| one_fix(out, fix, words, view));
    out.push_str("</ol>\n");
    if !rest.is_empty() {
        out.push_str("<details><summary>");
        text(out, &words.page.more_to_try);
        out.push_str("</summary>\n<ol class=\"fixes\" start=\"4\">\n");
        rest.iter().for_each(|fix| one_fix(out, fix, words, view));
        out.push_str("</ol>\n</details>\n");
    }
    out.push_str("</section>\n");
}

fn one_fix(out: &mut String, fix: &Fix, words: &Words, view: &View<'_>) {
    let fix_words = words.fix(fix.id);
    out.push_str("<li><h3>");
    text(out, &fix_words.title);
    out.push_str("</h3>\n");
    match fix_words.steps.as_slice() {
        [step] => element(out, "p", &step.for_any()),
        steps => {
            out.push_str("<ul>\n");
            steps.iter().for_each(|step| element(out, "li", &step.for_any()));
            out.push_str("</ul>\n");
        }
    }
    if let Some(command) = view.command(fix) {
        element(out, "p", &words.page.command);
        out.push_str("<pre translate=\"no\"><code>");
        text(out, command);
        out.push_str("</code></pre>\n");
    }
    out.push_str("</li>\n");
}

/// What is for the operator: folded for visitors, open for himself.
fn operator_part(out: &mut String, report: &Report, words: &Words, view: &View<'_>) {
    let page = &words.page;
    out.push_str(if view.discloses() { "<details open>" } else { "<details>" });
    out.push_str("<summary><h2>");
    text(out, &page.it_is_my_site);
    out.push_str("</h2></summary>\n");
    if view.discloses() {
        element(out, "p", &words.cause(report.cause.code()).operator);
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
        attempts(out, &report.attempts, page);
    }
    out.push_str("</details>\n");
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
        out.push_str("</dl></li>\n");
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

/// What to quote when asking for help.
fn footer(out: &mut String, report: &Report, page: &PageWords, view: &View<'_>) {
    out.push_str("<footer>\n<dl>\n<dt>");
    text(out, &page.incident);
    out.push_str("</dt><dd class=\"id\" translate=\"no\">");
    text(out, &report.incident.to_string());
    out.push_str("</dd>\n<dt>");
    text(out, &page.time);
    let time = rfc3339(report.time);
    out.extend(["</dt><dd><time datetime=\"", &time, "\">", &time, "</time></dd>\n<dt>"]);
    text(out, &page.cause);
    out.push_str("</dt><dd translate=\"no\"><code>");
    text(out, report.cause.code().name());
    out.push_str("</code></dd>\n");
    if let Some(contact) = view.contact {
        out.push_str("<dt>");
        text(out, &page.contact);
        out.push_str("</dt><dd>");
        link(out, contact);
        out.push_str("</dd>\n");
    }
    out.push_str("</dl>\n</footer>\n");
}

/// A contact as a link where its scheme is one that a page may point to, else as text.
fn link(out: &mut String, contact: &str) {
    let safe = ["mailto:", "https://", "http://"].iter().any(|scheme| contact.starts_with(scheme));
    if !safe {
        return text(out, contact);
    }
    out.push_str("<a href=\"");
    text(out, contact);
    out.push_str("\">");
    text(out, address(contact));
    out.push_str("</a>");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base64(bytes: &[u8]) -> String {
        let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut out = String::new();
        for chunk in bytes.chunks(3) {
            let bits = chunk.iter().fold(0u32, |bits, &b| bits << 8 | u32::from(b));
            let bits = bits << (8 * (3 - chunk.len()));
            for i in 0..=chunk.len() {
                out.push(char::from(letters[(bits >> (18 - 6 * i) & 63) as usize]));
            }
            out.push_str(&"==="[..3 - chunk.len()]);
        }
        out
    }

    #[test]
    fn the_policy_allows_the_style_sheet() {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, STYLE.as_bytes());
        let source = format!("style-src 'sha256-{}'", base64(digest.as_ref()));
        assert!(CONTENT_SECURITY_POLICY.contains(&source), "expected {source}");
    }

    #[test]
    fn the_picture_shows_whose_side_broke() {
        for (blame, expected) in [
            (Blame::Client, ["bad", "ok cut", "none dim"]),
            (Blame::Gateway, ["ok", "bad", "none dim"]),
            (Blame::Network, ["ok", "ok", "bad cut"]),
            (Blame::Upstream, ["ok", "ok", "bad cut"]),
        ] {
            let mut out = String::new();
            hops(&mut out, blame, &crate::diagnose::english().page);
            let classes = out.split("<li class=\"").skip(1);
            let seen: Vec<_> = classes.map(|hop| hop.split('"').next().unwrap()).collect();
            assert_eq!(seen, expected, "{blame:?}");
        }
    }

    #[test]
    fn backquotes_become_code_and_nothing_else() {
        let mut out = String::new();
        prose(&mut out, "run `a <b>` & `c`");
        assert_eq!(out, "run <code>a &lt;b&gt;</code> &amp; <code>c</code>");
    }

    #[test]
    fn only_safe_schemes_become_links() {
        let linked = |contact| {
            let mut out = String::new();
            link(&mut out, contact);
            out
        };
        assert_eq!(linked("mailto:a@b.example"), "<a href=\"mailto:a@b.example\">a@b.example</a>");
        assert_eq!(linked("javascript:alert(1)"), "javascript:alert(1)");
        assert!(
            linked("https://a.example/\"><b>")
                .starts_with("<a href=\"https://a.example/&quot;&gt;")
        );
    }
}
