//! Incidents for operators: the list, and one with all that is kept of it, in the formats and
//! languages of a page. Values are those that were kept, words those of this day. Pure.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    HeaderMap, HeaderName, HeaderValue, VARY, X_CONTENT_TYPE_OPTIONS,
};
use serde_json::{Value, json};

use super::html::{element, prose, text};
use super::text::{heading, labelled, paragraph};
use super::{Format, Page, assets, escape};
use crate::diagnose::{
    AttemptStep, Code, End, FixId, Incident, KeptFinding, KeptStep, Meaning, PageWords, Root,
    Words, rfc3339,
};

/// Where they stand on every listener.
pub const INCIDENTS_PATH: &str = "/.well-known/causeway/incidents";

/// A list of them, the latest in front.
pub fn incidents(list: &[Arc<Incident>], words: &Words, format: Format) -> Page {
    let body = match format {
        Format::Html => list_html(list, words),
        Format::ProblemJson => format!("{}\n", incidents_json(list, words)),
        Format::Text => incidents_text(list, words),
    };
    page(body, words, format)
}

/// One of them.
pub fn incident(incident: &Incident, words: &Words, format: Format) -> Page {
    let body = match format {
        Format::Html => one_html(incident, words),
        Format::ProblemJson => format!("{}\n", incident_json(incident, words)),
        Format::Text => incident_text(incident, words),
    };
    page(body, words, format)
}

fn page(body: String, words: &Words, format: Format) -> Page {
    let content_type = match format {
        Format::Html => "text/html; charset=utf-8",
        Format::ProblemJson => "application/json",
        Format::Text => "text/plain; charset=utf-8",
    };
    let mut headers = HeaderMap::new();
    let vary = "Accept, Accept-Language";
    for (name, value) in [
        (CONTENT_TYPE, content_type),
        (CACHE_CONTROL, "no-store"),
        (VARY, vary),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("x-robots-tag"), "noindex"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if format == Format::Html {
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(assets::policy()));
    }
    // A tag is letters, digits and hyphens.
    let language = HeaderValue::try_from(&*words.language).ok();
    headers.extend(language.map(|language| (CONTENT_LANGUAGE, language)));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    Page { status: 200, headers, body: Bytes::from(body) }
}

/// What happened, in words; the id where this version has none for it.
fn title<'w>(incident: &'w Incident, words: &'w Words) -> &'w str {
    match incident.cause.parse::<Code>() {
        Ok(code) => &words.cause(code).title,
        Err(_) => &incident.cause,
    }
}

fn root(id: &str) -> Option<Root> {
    id.parse().ok()
}

fn meaning(kept: &KeptFinding) -> Option<Meaning> {
    kept.meaning.as_deref()?.parse().ok()
}

/// How it stands.
fn state<'w>(incident: &Incident, page: &'w PageWords) -> &'w str {
    match incident.end {
        None => &page.incident_open,
        Some(End::Recovered) => &page.incident_recovered,
        Some(End::Quiet) => &page.incident_quiet,
        Some(End::Stopped) => &page.incident_stopped,
    }
}

fn step(kept: &KeptStep, page: &PageWords) -> String {
    let name = kept.step.parse::<AttemptStep>().map(|step| page.step(step));
    let state = match kept.state.as_str() {
        "done" => &page.step_done,
        "failed" => &page.step_failed,
        _ => &page.step_not_reached,
    };
    let mut line = format!("{}: {state}", name.unwrap_or(&kept.step));
    if let Some(ms) = kept.ms {
        // Writing into a String cannot fail.
        let _ = write!(line, ", {ms:.1} ms");
    }
    line
}

/// The rows above everything else.
fn rows<'w>(incident: &Incident, page: &'w PageWords) -> Vec<(&'w str, String)> {
    let upstream = if incident.upstream.is_empty() { "-" } else { &incident.upstream };
    let mut rows = vec![
        (page.incident.as_str(), incident.id.clone()),
        (&page.incident_state, state(incident, page).to_owned()),
        (&page.cause, format!("{} ({})", incident.cause, incident.certainty)),
        (&page.incident_upstream, upstream.to_owned()),
        (&page.incident_opened, rfc3339(incident.opened)),
        (&page.incident_last, rfc3339(incident.last)),
    ];
    if let Some(closed) = incident.closed {
        rows.push((&page.incident_closed, rfc3339(closed)));
    }
    rows.push((&page.incident_failures, incident.failures.to_string()));
    rows
}

/// As text, for a terminal.
pub fn incidents_text(list: &[Arc<Incident>], words: &Words) -> String {
    let page = &words.page;
    let mut out = String::new();
    paragraph(&mut out, &page.incidents);
    if list.is_empty() {
        heading(&mut out, &page.no_incidents);
    }
    for incident in list {
        let upstream = if incident.upstream.is_empty() { "-" } else { &incident.upstream };
        let mut line = format!(
            "{}  {}  {:>7}  {upstream}  {}",
            incident.id,
            rfc3339(incident.opened),
            incident.failures,
            incident.cause,
        );
        if let Some(root) = &incident.root {
            let _ = write!(line, " / {}", root.id);
        }
        let _ = write!(line, "  ({})", state(incident, page));
        escape::plain_text(&mut out, &line);
        out.push('\n');
    }
    out
}

/// One as text.
pub fn incident_text(incident: &Incident, words: &Words) -> String {
    let page = &words.page;
    let mut out = String::new();
    paragraph(&mut out, title(incident, words));
    out.push('\n');
    for (label, value) in rows(incident, page) {
        labelled(&mut out, label, &value);
    }
    if let Some(kept) = &incident.root {
        heading(&mut out, &page.root);
        let title = root(&kept.id).map_or("", |root| &words.root(root).title);
        paragraph(&mut out, &format!("{title} [{}] ({})", kept.id, kept.certainty));
        if let Some(root) = root(&kept.id) {
            paragraph(&mut out, &words.root(root).text);
        }
        kept.evidence.iter().for_each(|(key, value)| labelled(&mut out, key, value));
    }
    if !incident.fixes.is_empty() {
        heading(&mut out, &page.what_to_do);
    }
    for fix in &incident.fixes {
        let title = fix.id.parse::<FixId>().map(|id| words.fix(id).title.as_str());
        paragraph(&mut out, &format!("- {}", title.unwrap_or(&fix.id)));
        for (_, command) in &fix.commands {
            out.push_str("      ");
            escape::plain_text(&mut out, command);
            out.push('\n');
        }
    }
    heading(&mut out, &page.evidence);
    incident.evidence.iter().for_each(|(key, value)| labelled(&mut out, key, value));
    if !incident.findings.is_empty() {
        heading(&mut out, &page.findings);
    }
    for finding in &incident.findings {
        labelled(&mut out, &finding.key, &finding.value);
    }
    if !incident.attempts.is_empty() {
        heading(&mut out, &page.attempts);
    }
    for attempt in &incident.attempts {
        let address = attempt.address.as_deref().unwrap_or_default();
        paragraph(&mut out, &format!("{} {address} {}", attempt.server, attempt.cause));
        for kept in &attempt.steps {
            paragraph(&mut out, &format!("- {}", step(kept, page)));
        }
    }
    out
}

/// All of them as JSON.
pub fn incidents_json(list: &[Arc<Incident>], words: &Words) -> Value {
    let short = |incident: &Arc<Incident>| {
        let mut object = incident_json(incident, words);
        if let Some(members) = object.as_object_mut() {
            members.retain(|name, _| !LONG.contains(&name.as_str()));
        }
        object
    };
    json!({ "incidents": list.iter().map(short).collect::<Vec<_>>() })
}

/// What only one that is asked for by itself has.
const LONG: [&str; 5] = ["root_evidence", "evidence", "attempts", "findings", "fixes"];

/// One as JSON: the members of a page where it has the same.
pub fn incident_json(incident: &Incident, words: &Words) -> Value {
    let finding = |found: &KeptFinding| {
        let meaning = meaning(found).map(|id| &words.meaning(id).text);
        json!({ "key": found.key, "value": found.value, "meaning": meaning })
    };
    let fix = |fix: &crate::diagnose::KeptFix| {
        let title = fix.id.parse::<FixId>().ok().map(|id| &words.fix(id).title);
        let command = |(kind, line): &(String, String)| json!({ "kind": kind, "line": line });
        let commands: Vec<_> = fix.commands.iter().map(command).collect();
        json!({ "id": fix.id, "title": title, "commands": commands })
    };
    let kept = incident.root.as_ref();
    json!({
        "id": incident.id,
        "title": title(incident, words),
        "state": incident.end.map_or("open", Into::into),
        "upstream": incident.upstream,
        "cause": incident.cause,
        "phase": incident.phase,
        "certainty": incident.certainty,
        "status": incident.status,
        "opened": rfc3339(incident.opened),
        "last_failure": rfc3339(incident.last),
        "closed": incident.closed.map(rfc3339),
        "reopened": incident.reopened,
        "failures": incident.failures,
        "first_request": incident.first,
        "root": kept.map(|root| &root.id),
        "root_certainty": kept.map(|root| &root.certainty),
        "root_evidence": kept.map(|root| &root.evidence),
        "evidence": incident.evidence,
        "attempts": incident.attempts,
        "findings": incident.findings.iter().map(finding).collect::<Vec<_>>(),
        "fixes": incident.fixes.iter().map(fix).collect::<Vec<_>>(),
    })
}

fn document(title: &str, words: &Words, body: impl FnOnce(&mut String)) -> String {
    let mut out = String::with_capacity(16 * 1024);
    out.push_str("<!doctype html>\n<html lang=\"");
    text(&mut out, &words.language);
    out.push_str(
        "\">\n<head>\n<meta charset=\"utf-8\">\n\
        <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
        <meta name=\"color-scheme\" content=\"light dark\">\n\
        <meta name=\"robots\" content=\"noindex\">\n<title>",
    );
    text(&mut out, title);
    out.extend(["</title>\n<style>", assets::style(), "</style>\n</head>\n<body>\n<main>\n"]);
    element(&mut out, "h1", title);
    body(&mut out);
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

fn row(out: &mut String, label: &str, value: &str) {
    out.push_str("<dt>");
    text(out, label);
    out.push_str("</dt><dd translate=\"no\">");
    text(out, value);
    out.push_str("</dd>\n");
}

fn link(out: &mut String, below: &str, shown: &str) {
    out.extend(["<a href=\"", INCIDENTS_PATH]);
    text(out, below);
    out.push_str("\">");
    text(out, shown);
    out.push_str("</a>");
}

fn list_html(list: &[Arc<Incident>], words: &Words) -> String {
    let page = &words.page;
    document(&page.incidents, words, |out| {
        if list.is_empty() {
            return element(out, "p", &page.no_incidents);
        }
        out.push_str("<ul>\n");
        for incident in list {
            out.push_str("<li><p>");
            link(out, &format!("/{}", incident.id), &incident.id);
            out.push_str(" <b>");
            text(out, title(incident, words));
            out.push_str("</b></p>\n<dl>\n");
            rows(incident, page).iter().skip(1).for_each(|(key, value)| row(out, key, value));
            if let Some(root) = &incident.root {
                row(out, &page.root, &root.id);
            }
            out.push_str("</dl></li>\n");
        }
        out.push_str("</ul>\n");
    })
}

fn finding_html(out: &mut String, kept: &KeptFinding, words: &Words) {
    row(out, &kept.key, &kept.value);
    if let Some(id) = meaning(kept) {
        out.push_str("<dd>");
        prose(out, &words.meaning(id).text);
        out.push_str("</dd>\n");
    }
}

fn one_html(incident: &Incident, words: &Words) -> String {
    let page = &words.page;
    document(title(incident, words), words, |out| {
        out.push_str("<dl>\n");
        rows(incident, page).iter().for_each(|(key, value)| row(out, key, value));
        out.push_str("</dl>\n");
        if let Some(kept) = &incident.root {
            element(out, "h2", &page.root);
            if let Some(root) = root(&kept.id) {
                element(out, "p", &words.root(root).title);
                element(out, "p", &words.root(root).text);
            }
            out.push_str("<dl>\n");
            row(out, "root", &format!("{} ({})", kept.id, kept.certainty));
            kept.evidence.iter().for_each(|(key, value)| row(out, key, value));
            out.push_str("</dl>\n");
        }
        if !incident.fixes.is_empty() {
            element(out, "h2", &page.what_to_do);
            out.push_str("<ol class=\"fixes\">\n");
            incident.fixes.iter().for_each(|kept| fix_html(out, kept, words));
            out.push_str("</ol>\n");
        }
        element(out, "h2", &page.evidence);
        out.push_str("<dl>\n");
        incident.evidence.iter().for_each(|(key, value)| row(out, key, value));
        out.push_str("</dl>\n");
        if !incident.findings.is_empty() {
            element(out, "h2", &page.findings);
            out.push_str("<dl>\n");
            incident.findings.iter().for_each(|found| finding_html(out, found, words));
            out.push_str("</dl>\n");
        }
        if !incident.attempts.is_empty() {
            element(out, "h2", &page.attempts);
        }
        for attempt in &incident.attempts {
            let address = attempt.address.as_deref().unwrap_or_default();
            out.push_str("<p translate=\"no\">");
            text(out, &format!("{} {address} {}", attempt.server, attempt.cause));
            out.push_str("</p>\n<ul>\n");
            attempt.steps.iter().for_each(|kept| element(out, "li", &step(kept, page)));
            out.push_str("</ul>\n");
        }
        out.push_str("<p>");
        link(out, "", &page.incidents);
        out.push_str("</p>\n");
    })
}

fn fix_html(out: &mut String, kept: &crate::diagnose::KeptFix, words: &Words) {
    out.push_str("<li>");
    match kept.id.parse::<FixId>() {
        Ok(id) => element(out, "b", &words.fix(id).title),
        Err(_) => text(out, &kept.id),
    }
    if let Ok(id) = kept.id.parse::<FixId>() {
        out.push_str("<p class=\"soft\">");
        prose(out, &words.fix(id).why);
        out.push_str("</p>\n");
    }
    for (_, command) in &kept.commands {
        out.push_str("<pre translate=\"no\"><code>");
        text(out, command);
        out.push_str("</code></pre>\n");
    }
    out.push_str("</li>\n");
}
