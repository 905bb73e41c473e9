//! ROOM 4: a report to the bytes of an answer.
//!
//! [`render`] cannot fail, reads no clock and waits for nothing. What a visitor may see is decided
//! here, in [`View`], and nowhere else: evidence, attempts, commands and configured names are for
//! operators. `negotiate` chooses the format and `language` the language; `html`, `json` and `text`
//! write it, or a site's `own` `template` in their place; `escape` alone escapes; `plates` keeps
//! what was rendered, `coding` packs it. Imports `diagnose`.

mod assets;
mod coding;
mod escape;
mod html;
mod incidents;
mod items;
mod json;
pub mod language;
mod negotiate;
mod operator;
mod own;
mod plates;
mod policy;
mod proxy_status;
mod template;
mod text;
mod trial;
mod values;

use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, VARY, X_CONTENT_TYPE_OPTIONS,
};

pub use coding::Coding;
pub use incidents::{
    INCIDENTS_PATH, incident, incident_json, incident_text, incidents, incidents_json,
    incidents_text,
};
pub use negotiate::{Format, negotiate};
pub use own::{Fixed, Own, OwnFault, Part};
pub use plates::{Fields, Kind, Plates, Printed};
pub use proxy_status::proxy_status;
pub use values::Fresh;

use values::Values;

use crate::diagnose::around::Finding;
use crate::diagnose::{
    Audience, Blame, Certainty, CommandKind, Fate, Fix, PageWords, Report, Rooted, StepState,
    Words, abridged, named_rows, visible,
};

/// To whom a report is shown, and how.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// Who looks. Only an operator sees evidence, attempts, commands and configured names.
    pub audience: Audience,
    pub format: Format,
    /// The site's contact: a `mailto:` or `https:` address.
    pub contact: Option<&'a str>,
    /// Whether visitors see the operator's explanation and the titles and steps of his fixes.
    pub show_operator_fixes: bool,
    /// Whether the request may be repeated without thought: its method is safe or idempotent.
    pub repeatable: bool,
    /// Whether a browser that loads the page again repeats the request: its method is GET.
    pub again: bool,
    /// The operator's own page and style.
    pub own: Option<&'a Own>,
    /// The operator's own page for this failure, in place of any other.
    pub fixed: Option<&'a Fixed>,
}

/// Findings on one page: the look itself finds fewer.
const FINDINGS_MAX: usize = 200;

/// An answer, ready to be sent. To HEAD it is sent without its body, all headers unchanged.
#[derive(Debug, Clone)]
pub struct Page {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Renders a report in the language of the words.
pub fn render(report: &Report, words: &Words, view: &View<'_>) -> Page {
    let fixed = view.fixed.filter(|_| view.format == Format::Html);
    let (body, policy) = match fixed {
        Some(fixed) => (fixed.body.clone(), Some(fixed.policy.clone())),
        None => {
            let values = Values::of(&Fresh::of(report), words);
            let (body, policy) = body(report, words, view, &values);
            (Bytes::from(body), policy)
        }
    };
    let mut headers = headers(report, words, view, policy);
    if fixed.is_some() {
        // In which language it is written is known to its author.
        headers.remove(CONTENT_LANGUAGE);
    }
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    let said = proxy_status(&report.cause, &report.entry, report.status);
    headers.insert(PROXY_STATUS, proxy_status::value(said));
    Page { status: report.status, headers, body }
}

/// The body, with these values in their places, and the policy of one for people.
fn body(
    report: &Report,
    words: &Words,
    view: &View<'_>,
    values: &Values,
) -> (String, Option<HeaderValue>) {
    match view.format {
        Format::Html => {
            if let Some(own) = view.own
                && let Some((body, policy)) = own.html(report, words, view, values)
            {
                return (body, Some(policy));
            }
            let ours = || HeaderValue::from_static(assets::policy());
            let policy = view.own.map_or_else(ours, Own::policy);
            (html::html(report, words, view, values), Some(policy))
        }
        Format::ProblemJson => (json::json(report, words, view, values), None),
        Format::Text => (text::text(report, words, view, values), None),
    }
}

/// RFC 9209.
const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

/// The fields that every page of a kind has, but for its length and RFC 9209's.
fn headers(
    report: &Report,
    words: &Words,
    view: &View<'_>,
    policy: Option<HeaderValue>,
) -> HeaderMap {
    let content_type = match view.format {
        Format::Html => "text/html; charset=utf-8",
        // RFC 9457 defines no charset parameter; JSON is UTF-8 (RFC 8259 section 8.1).
        Format::ProblemJson => "application/problem+json",
        Format::Text => "text/plain; charset=utf-8",
    };
    let mut headers = HeaderMap::with_capacity(16);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    let language = match &words.language {
        Cow::Borrowed(tag) => Ok(HeaderValue::from_static(tag)),
        Cow::Owned(tag) => HeaderValue::try_from(tag),
    };
    // A tag is letters, digits and hyphens.
    headers.extend(language.ok().map(|language| (CONTENT_LANGUAGE, language)));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let vary = HeaderValue::from_static("Accept, Accept-Language, Accept-Encoding");
    headers.insert(VARY, vary);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(HeaderName::from_static("x-robots-tag"), HeaderValue::from_static("noindex"));
    if let Some(seconds) = report.entry.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    headers.extend(policy.map(|policy| (CONTENT_SECURITY_POLICY, policy)));
    headers
}

impl View<'_> {
    /// Whether evidence, attempts, commands and configured names may be shown.
    fn discloses(&self) -> bool {
        match self.audience {
            Audience::Visitor => false,
            Audience::Operator => true,
        }
    }

    /// Whether the general words for operators are shown.
    fn shows_operator_part(&self) -> bool {
        self.discloses() || self.show_operator_fixes
    }

    /// The fixes of one audience that are shown, the most useful first.
    fn fixes<'r>(&self, report: &'r Report, whose: Audience) -> impl Iterator<Item = &'r Fix> {
        let shown = match whose {
            Audience::Visitor => true,
            Audience::Operator => self.shows_operator_part(),
        };
        report.fixes.iter().filter(move |fix| shown && fix.audience == whose)
    }

    /// A fix with its commands and its evidence, if they may be shown.
    fn disclosed<'r>(&self, fix: &'r Fix) -> Option<&'r Fix> {
        self.discloses().then_some(fix)
    }

    /// All evidence, printable; `None` for a visitor.
    fn evidence(&self, report: &Report) -> Option<Vec<(&'static str, String)>> {
        if !self.discloses() {
            return None;
        }
        let mut rows = report.cause.evidence();
        if let Some(named) = &report.named {
            rows.extend(named_rows(named));
        }
        if !report.upstream.is_empty() {
            rows.push(("upstream", visible(&report.upstream)));
        }
        let (method, host, path) = (&report.method, &report.host, &report.path);
        rows.push(("request", visible(&format!("{method} {host}{path}"))));
        Some(rows)
    }

    /// What lies behind the cause, if that may be shown.
    fn root<'r>(&self, report: &'r Report) -> Option<&'r Rooted> {
        report.root.as_ref().filter(|_| self.discloses())
    }

    /// What this host shows beside it; `None` for a visitor, and where nobody has looked.
    fn findings(&self, report: &Report) -> Option<Vec<Finding>> {
        let around = report.around.as_ref().filter(|_| self.discloses())?;
        let mut findings = around.findings();
        findings.truncate(FINDINGS_MAX);
        for finding in &mut findings {
            finding.value = abridged(&finding.value);
        }
        Some(findings)
    }

    /// Whether the page may try again by itself: it must not repeat what might count, and what the
    /// client itself has to mend would fail again.
    fn tries_again(&self, report: &Report) -> bool {
        self.again && report.status >= 500 && report.entry.blame != Blame::Client
    }

    /// Whether the reader must look before he sends the request again.
    fn warns(&self, report: &Report) -> bool {
        report.fate != Fate::NotSent && !self.repeatable
    }
}

/// What findings mean, in words; nothing where the one before it means the same.
fn meanings<'w>(findings: &[Finding], words: &'w Words) -> Vec<Option<&'w str>> {
    let mut before = None;
    let told = findings.iter().map(|finding| {
        let again = std::mem::replace(&mut before, finding.meaning) == finding.meaning;
        let meaning = finding.meaning.filter(|_| !again)?;
        Some(words.meaning(meaning).text.as_str())
    });
    told.collect()
}

/// How a step of an attempt went, in words.
fn step_state(state: StepState, page: &PageWords) -> String {
    let words = match state {
        StepState::Done(_) => &page.step_done,
        StepState::Failed(_) => &page.step_failed,
        StepState::NotReached => &page.step_not_reached,
    };
    match state {
        StepState::Done(took) | StepState::Failed(Some(took)) => {
            format!("{words}, {:.1} ms", took.as_secs_f64() * 1000.0)
        }
        StepState::Failed(None) | StepState::NotReached => words.clone(),
    }
}

/// What became of the request, in words.
fn fate(fate: Fate, page: &PageWords) -> &str {
    match fate {
        Fate::NotSent => &page.fate_not_sent,
        Fate::MayHaveBeenProcessed => &page.fate_may_have_been_processed,
        Fate::Processed => &page.fate_processed,
    }
}

/// How sure the diagnosis is, in words.
fn certainty(certainty: Certainty, page: &PageWords) -> &str {
    match certainty {
        Certainty::Certain => &page.certain,
        Certainty::Likely => &page.likely,
        Certainty::Possible => &page.possible,
    }
}

/// The label of a command.
fn label(kind: CommandKind, page: &PageWords) -> &str {
    match kind {
        CommandKind::Look => &page.look,
        CommandKind::Run => &page.run,
        CommandKind::Edit => &page.edit,
        CommandKind::Check => &page.check,
    }
}

/// What is to be said of the commands of a fix: where they are to be run, and how far they may go.
fn notes(fix: &Fix, page: &PageWords) -> impl Iterator<Item = String> {
    let host = fix.other_host.as_ref().map(|host| page.other_host.replace("{host}", host));
    let fit = fix.workers_fit.map(|n| page.workers_fit.replace("{n}", &n.to_string()));
    host.into_iter().chain(fit)
}

/// A contact as it is read: a `mailto:` shows its address alone.
fn address(contact: &str) -> &str {
    contact.strip_prefix("mailto:").unwrap_or(contact)
}

/// When the site is expected back.
fn expected_back(report: &Report) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_secs(report.cause.expected_back()?))
}
