//! A report as a page for people.
//!
//! The plain sentence first, then where it broke, what became of the request, whether it is only
//! this visitor, and only then advice; `operator` writes what is folded away from visitors. Nothing
//! is fetched: the policy allows the style sheet and the script of `assets`, by hash. Every value
//! goes through `escape::html`. Pure.

use super::values::{Value, Values};
use super::{
    INCIDENTS_PATH, Own, View, address, assets, certainty, escape, expected_back, fate, operator,
    values,
};
use crate::diagnose::{
    Audience, Blame, Code, Entry, Fate, Fix, FixId, PageWords, Report, Standing, Step, Words,
};

/// Fixes that a visitor sees at once; the rest is folded.
const FIXES_VISIBLE: usize = 3;

/// Seconds before the page tries again for the first time, where the cause names no other.
const AGAIN_SECONDS: u32 = 15;

/// The same for planned work, which may end early.
const CLOSED_SECONDS: u32 = 60;

/// Where copies of pages are kept (document I); the script adds the page's full address.
const ARCHIVE: &str = "https://web.archive.org/web/*/";

/// The pictures of the three hops: a screen, a gate, a rack.
const YOU: &str = r#"<rect x="4" y="4" width="16" height="11" rx="2"/><path d="M9 20h6M12 15v5"/>"#;
const GATEWAY: &str = r#"<path d="M3 10l9-6 9 6M5 10v10M19 10v10M9 20v-6h6v6"/>"#;
const SITE: &str = r#"<path d="M5 4h14v7H5zM5 13h14v7H5zM8 7.5h.01M8 16.5h.01"/>"#;

/// The body for a report.
pub fn html(report: &Report, words: &Words, view: &View<'_>, values: &Values) -> String {
    let mut out = String::with_capacity(32 * 1024);
    let page = &words.page;
    let cause = words.cause(report.cause.code());
    head(&mut out, report, words, view, values);
    element(&mut out, "h1", &cause.title);
    out.push_str("<p class=\"why\">");
    text(&mut out, &cause.visitor);
    out.push_str("</p>\n");
    hops(&mut out, report.cause.code(), &report.entry, page);
    told(&mut out, report, page, view);
    now(&mut out, report, page, view, values);
    // Each reader finds first what is for him.
    if view.discloses() {
        operator::part(&mut out, report, words, view);
        visitor_fixes(&mut out, report, words, view, values);
    } else {
        visitor_fixes(&mut out, report, words, view, values);
        if view.shows_operator_part() {
            operator::part(&mut out, report, words, view);
        }
    }
    to_copy(&mut out, report, words, values);
    out.push_str("</main>\n");
    footer(&mut out, report, page, view, values);
    out.extend(["<script>", assets::script(), "</script>\n</body>\n</html>\n"]);
    out
}

/// The only way of a value into the page.
pub fn text(out: &mut String, value: &str) {
    escape::html(out, value);
}

/// Appends our own words, in which backquotes mark what is typed or read in a terminal.
pub fn prose(out: &mut String, words: &str) {
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
pub fn element(out: &mut String, name: &str, value: &str) {
    out.extend(["<", name, ">"]);
    prose(out, value);
    out.extend(["</", name, ">\n"]);
}

/// Appends a quoted attribute behind a space.
fn attribute(out: &mut String, name: &str, value: &str) {
    out.extend([" ", name, "=\""]);
    text(out, value);
    out.push('"');
}

/// Appends our own words with values in the places that are named in braces.
fn filled(out: &mut String, words: &str, mut value: impl FnMut(&mut String, &str)) {
    let mut rest = words;
    while let Some((before, name, after)) = rest.split_once('{').and_then(|(before, rest)| {
        let (name, after) = rest.split_once('}')?;
        Some((before, name, after))
    }) {
        text(out, before);
        value(out, name);
        rest = after;
    }
    text(out, rest);
}

fn head(out: &mut String, report: &Report, words: &Words, view: &View<'_>, values: &Values) {
    let title = &words.cause(report.cause.code()).title;
    let (status, language) = (report.status, &words.language);
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
    out.extend([" (", &status, ")</title>\n<style>", assets::style(), "</style>\n"]);
    if let Some(style) = view.own.and_then(Own::style) {
        out.extend(["<style>", style, "</style>\n"]);
    }
    out.push_str("</head>\n<body>\n<header><p><span translate=\"no\">");
    text(out, values.get(Value::Site));
    out.extend(["</span><b>", &status, "</b></p></header>\n<main>\n"]);
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
fn hops(out: &mut String, code: Code, entry: &Entry, page: &PageWords) {
    use Hop::{Broken, Unknown, Working};
    // The state of each hop, and how the way to gateway and site is drawn.
    let (states, gateway_way, site_way) = match entry.blame {
        Blame::Client => ([Broken, Working, Unknown], " cut", " dim"),
        Blame::Gateway => ([Working, Broken, Unknown], "", " dim"),
        Blame::Network | Blame::Upstream if code == Code::Maintenance => {
            ([Working, Working, Broken], "", " dim")
        }
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
            Working => ("ok", page.hop_working.as_str()),
            // Meant, not broken.
            Broken if code == Code::Maintenance => ("none", page.hop_closed.as_str()),
            Broken => ("bad", page.broken(entry.phase)),
            Unknown => ("none", page.hop_unknown.as_str()),
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
    out.extend(["<section class=\"told", edge, "\""]);
    attribute(out, "aria-label", &page.request);
    out.push_str(">\n");
    element(out, "p", fate(report.fate, page));
    if warns {
        element(out, "p", &page.check_before_resending);
    }
    if let Some(back) = expected_back(report) {
        out.push_str("<p>");
        filled(out, &page.expected_back, |out, _| {
            a_time(out, &values::stamp(back), &values::readable(back));
        });
        out.push_str("</p>\n");
    }
    out.push_str("</section>\n");
}

/// Whether it is only this visitor, since when it fails, and when the page tries again.
fn now(out: &mut String, report: &Report, page: &PageWords, view: &View<'_>, values: &Values) {
    let Standing { others_served, failing_since, last_worked } = report.standing;
    let tries = view.tries_again(report);
    if !tries && view.repeatable && report.standing == Standing::default() {
        return;
    }
    out.push_str("<section class=\"now\" aria-labelledby=\"now\">\n<h2 id=\"now\">");
    text(out, &page.now);
    out.push_str("</h2>\n");
    match others_served {
        Some(true) => element(out, "p", &page.others_served),
        Some(false) => element(out, "p", &page.others_not_served),
        None => {}
    }
    if failing_since.is_some() {
        let places = [Value::FailingStamp, Value::FailingTime, Value::FailingAgo];
        moment(out, &page.failing_since, places, values);
    }
    if last_worked.is_some() {
        let places = [Value::WorkedStamp, Value::WorkedTime, Value::WorkedAgo];
        moment(out, &page.last_worked, places, values);
    }
    match tries {
        true => again(out, report, page),
        // Sent again unasked, it might count twice.
        false if !view.repeatable => element(out, "p", &page.retry_never),
        false => {}
    }
    out.push_str("</section>\n");
}

/// A sentence about a point in time: its stamp, the time for people, and how long ago that was.
fn moment(out: &mut String, words: &str, places: [Value; 3], values: &Values) {
    let [stamp, time, ago] = places.map(|value| values.get(value));
    out.push_str("<p>");
    filled(out, words, |out, name| match name {
        "time" => a_time(out, stamp, time),
        "ago" => text(out, ago),
        _ => {}
    });
    out.push_str("</p>\n");
}

fn a_time(out: &mut String, stamp: &str, time: &str) {
    out.push_str("<time");
    attribute(out, "datetime", stamp);
    out.push('>');
    text(out, time);
    out.push_str("</time>");
}

/// The page's next try: a link for those without scripts, a countdown for the others. Only the
/// words that change seldom are announced to who listens to the page.
fn again(out: &mut String, report: &Report, page: &PageWords) {
    let seconds = match report.cause.code() {
        Code::Maintenance => CLOSED_SECONDS,
        _ => report.entry.retry_after.unwrap_or(AGAIN_SECONDS),
    };
    let seconds = seconds.to_string();
    out.push_str("<div class=\"again\"");
    for (name, value) in [
        ("data-again", &seconds),
        ("data-next", &page.retry_in),
        ("data-trying", &page.retry_now),
        ("data-stopped", &page.retry_stopped),
        ("data-back", &page.retry_back),
    ] {
        attribute(out, name, value);
    }
    if report.fate != Fate::NotSent {
        out.push_str(" data-sent");
    }
    out.push_str(
        "><p data-count></p><p data-said role=\"status\"></p>\
         <a class=\"button\" href=\"\">",
    );
    text(out, &page.try_again);
    out.push_str("</a></div>\n");
}

fn visitor_fixes(
    out: &mut String,
    report: &Report,
    words: &Words,
    view: &View<'_>,
    values: &Values,
) {
    let fixes: Vec<&Fix> = view.fixes(report, Audience::Visitor).collect();
    if fixes.is_empty() {
        return;
    }
    let (first, rest) = fixes.split_at(fixes.len().min(FIXES_VISIBLE));
    let one = |out: &mut String, fix: &&Fix| {
        out.push_str("<li>");
        steps(out, fix.id, words);
        if fix.id == FixId::CachedCopy && view.again && report.site().is_some() {
            archive(out, &words.page, values);
        }
        out.push_str("</li>\n");
    };
    out.push_str("<section aria-labelledby=\"try\">\n<h2 id=\"try\">");
    text(out, &words.page.what_you_can_do);
    out.push_str("</h2>\n<ol class=\"fixes\">\n");
    first.iter().for_each(|fix| one(out, fix));
    out.push_str("</ol>\n");
    if !rest.is_empty() {
        out.push_str("<details><summary>");
        text(out, &words.page.more_to_try);
        out.push_str("</summary>\n<ol class=\"fixes\" start=\"4\">\n");
        rest.iter().for_each(|fix| one(out, fix));
        out.push_str("</ol>\n</details>\n");
    }
    out.push_str("</section>\n");
}

/// A fix's title, when it is the right one, and its steps.
pub fn steps(out: &mut String, id: FixId, words: &Words) {
    let fix_words = words.fix(id);
    out.push_str("<h3>");
    text(out, &fix_words.title);
    out.push_str("</h3>\n<p class=\"soft\">");
    prose(out, &fix_words.why);
    out.push_str("</p>\n");
    match fix_words.steps.as_slice() {
        [step] => element(out, "p", &step.for_any()),
        steps => {
            out.push_str("<ul>\n");
            steps.iter().for_each(|step| one_step(out, step));
            out.push_str("</ul>\n");
        }
    }
}

fn one_step(out: &mut String, step: &Step) {
    out.push_str("<li");
    if let Some(system) = step.system() {
        attribute(out, "data-system", system.into());
        out.push('>');
        element(out, "b", &format!("{}:", system.name()));
    } else {
        out.push('>');
    }
    prose(out, step.text());
    out.push_str("</li>\n");
}

/// A link to copies of this page.
fn archive(out: &mut String, page: &PageWords, values: &Values) {
    out.push_str("<p><a rel=\"noreferrer\" href=\"");
    out.push_str(ARCHIVE);
    text(out, values.get(Value::Site));
    out.push('"');
    attribute(out, "data-archive", ARCHIVE);
    out.push('>');
    text(out, &page.archived_copy);
    out.push_str("</a></p>\n");
}

/// What helps the people who run the site, to be pasted into a letter. The script puts the full
/// address in the place of the site's name; it was never sent.
fn to_copy(out: &mut String, report: &Report, words: &Words, values: &Values) {
    let page = &words.page;
    out.push_str("<details><summary><h2>");
    text(out, &page.report);
    out.push_str("</h2></summary>\n");
    element(out, "p", &page.report_why);
    out.push_str("<pre data-report>");
    label(out, &page.time);
    a_time(out, values.get(Value::Stamp), values.get(Value::Time));
    out.push('\n');
    label(out, &page.address);
    out.push_str("<span data-url>");
    text(out, values.get(Value::Site));
    out.push_str("</span>\n");
    label(out, &page.incident);
    text(out, values.get(Value::Incident));
    out.push('\n');
    label(out, &page.cause);
    let code = report.cause.code();
    let sure = certainty(report.certainty, page);
    text(out, &format!("{} {} ({sure})", report.status, code.name()));
    out.push_str("\n  ");
    text(out, &words.cause(code).title);
    out.push('\n');
    label(out, &page.request);
    text(out, fate(report.fate, page));
    out.push('\n');
    label(out, &page.report_steps);
    out.push_str("</pre>\n<button type=\"button\" hidden data-copy");
    attribute(out, "data-copied", &page.report_copied);
    out.push('>');
    text(out, &page.report_copy);
    out.push_str("</button>\n</details>\n");
}

fn label(out: &mut String, words: &str) {
    text(out, words);
    out.push_str(": ");
}

/// What to quote when asking for help.
fn footer(out: &mut String, report: &Report, page: &PageWords, view: &View<'_>, values: &Values) {
    out.push_str("<footer>\n<dl>\n<dt>");
    text(out, &page.incident);
    out.push_str("</dt><dd class=\"id\" translate=\"no\">");
    match view.discloses() && report.incident.group().is_some() {
        true => {
            let id = values.get(Value::Incident);
            out.extend(["<a href=\"", INCIDENTS_PATH, "/"]);
            text(out, id);
            out.push_str("\">");
            text(out, id);
            out.push_str("</a>");
        }
        false => text(out, values.get(Value::Incident)),
    }
    out.push_str("</dd>\n<dt>");
    text(out, &page.time);
    out.push_str("</dt><dd>");
    a_time(out, values.get(Value::Stamp), values.get(Value::Time));
    out.push_str("</dd>\n<dt>");
    text(out, &page.cause);
    out.push_str("</dt><dd><code translate=\"no\">");
    text(out, report.cause.code().name());
    out.push_str("</code> (");
    text(out, certainty(report.certainty, page));
    out.push_str(")</dd>\n");
    if let Some(contact) = view.contact {
        out.push_str("<dt>");
        text(out, &page.contact);
        out.push_str("</dt><dd>");
        link(out, contact);
        out.push_str("</dd>\n");
    }
    out.push_str("</dl>\n</footer>\n");
}

/// A contact as a link where its scheme is one that a page may point to, else as text. A letter
/// begins with the report where there is a script.
fn link(out: &mut String, contact: &str) {
    let safe = ["mailto:", "https://", "http://"].iter().any(|scheme| contact.starts_with(scheme));
    if !safe {
        return text(out, contact);
    }
    out.push_str("<a");
    attribute(out, "href", contact);
    if contact.starts_with("mailto:") && !contact.contains('?') {
        attribute(out, "data-mail", contact);
    }
    out.push('>');
    text(out, address(contact));
    out.push_str("</a>");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::entry;

    #[test]
    fn the_picture_shows_whose_side_broke() {
        for (code, expected) in [
            (Code::RequestInvalid, ["bad", "ok cut", "none dim"]),
            (Code::LocalFdExhausted, ["ok", "bad", "none dim"]),
            (Code::ConnectTimeout, ["ok", "ok", "bad cut"]),
            (Code::ClosedBeforeResponse, ["ok", "ok", "bad cut"]),
        ] {
            let mut out = String::new();
            hops(&mut out, code, &entry(code), &crate::diagnose::english().page);
            let classes = out.split("<li class=\"").skip(1);
            let seen: Vec<_> = classes.map(|hop| hop.split('"').next().unwrap()).collect();
            assert_eq!(seen, expected, "{code:?}");
        }
    }

    #[test]
    fn backquotes_become_code_and_nothing_else() {
        let mut out = String::new();
        prose(&mut out, "run `a <b>` & `c`");
        assert_eq!(out, "run <code>a &lt;b&gt;</code> &amp; <code>c</code>");
    }

    #[test]
    fn braces_are_filled_and_the_rest_escaped() {
        let mut out = String::new();
        filled(&mut out, "a < {time} {b", |out, name| out.extend(["[", name, "]"]));
        assert_eq!(out, "a &lt; [time] {b");
    }

    #[test]
    fn only_safe_schemes_become_links() {
        let linked = |contact| {
            let mut out = String::new();
            link(&mut out, contact);
            out
        };
        assert_eq!(
            linked("mailto:a@b.example"),
            "<a href=\"mailto:a@b.example\" data-mail=\"mailto:a@b.example\">a@b.example</a>"
        );
        assert_eq!(linked("javascript:alert(1)"), "javascript:alert(1)");
        assert!(
            linked("https://a.example/\"><b>")
                .starts_with("<a href=\"https://a.example/&quot;&gt;")
        );
    }
}
