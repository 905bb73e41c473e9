//! Visitors' pages kept as printing plates: in an outage the page is the hot path.
//!
//! To visitors a cause looks the same each time, but for a few values. The first page of a kind is
//! rendered with marks in their places and kept, and packed when somebody first wants it packed;
//! the next ones are copies with other values in them. Operators' pages carry evidence and are
//! rendered each time.

use std::cell::OnceCell;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderValue, RETRY_AFTER};

use crate::diagnose::{
    Audience, Cause, Certainty, Code, Entry, Fate, Report, Rules, Standing, Words,
};

use super::coding::{self, Coding, Packed, Part};
use super::values::{Fresh, Value, Values};
use super::{Format, Own, PROXY_STATUS, Page, View, body, headers, proxy_status, render};

/// More kinds than an outage has, with all languages. At some 70 KB each, whoever asks in every
/// manner there is brings a worker to 18 MB, and no further.
const KINDS_MAX: usize = 256;

/// The plates of one site: its contact and its words are on them.
#[derive(Debug, Default)]
pub struct Plates {
    /// The one that was printed last in front: an outage has few, and hashing took longer.
    plates: Vec<(Kind, Plate)>,
    /// What was printed last: within one second nearly all values stay.
    last: Option<Last>,
}

#[derive(Debug)]
struct Last {
    language: usize,
    second: u64,
    standing: Standing,
    values: Values,
}

/// All that tells one visitor's page from another, beside [`Values`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    pub code: Code,
    pub certainty: Certainty,
    pub fate: Fate,
    pub status: u16,
    pub format: Format,
    pub repeatable: bool,
    pub again: bool,
    /// What ranks the fixes.
    pub rules: Rules,
    /// Whether the site has a name that may be shown.
    pub named: bool,
    pub others_served: Option<bool>,
    pub is_failing: bool,
    pub has_worked: bool,
    /// Position of the language among the site's.
    pub language: usize,
    /// When the site is expected back, in Unix seconds.
    pub back: Option<u64>,
}

#[derive(Debug)]
struct Plate {
    headers: HeaderMap,
    parts: Vec<Part>,
    brotli: OnceCell<Packed>,
    gzip: OnceCell<Packed>,
}

impl Kind {
    /// The kind of a report's page.
    pub fn of(report: &Report, language: usize, view: &View<'_>, rules: Rules) -> Kind {
        let Standing { others_served, failing_since, last_worked } = report.standing;
        Kind {
            code: report.cause.code(),
            certainty: report.certainty,
            fate: report.fate,
            status: report.status,
            format: view.format,
            repeatable: view.repeatable,
            again: view.again,
            rules,
            named: report.site().is_some(),
            others_served,
            is_failing: failing_since.is_some(),
            has_worked: last_worked.is_some(),
            language,
            back: report.cause.expected_back(),
        }
    }
}

impl Plates {
    /// The page of a kind that was seen before, with these values in it.
    pub fn print(
        &mut self,
        kind: &Kind,
        cause: &Cause,
        entry: &Entry,
        fresh: &Fresh<'_>,
        words: &Words,
        coding: Option<Coding>,
    ) -> Option<Page> {
        let at = self.plates.iter().position(|(kept, _)| kept == kind)?;
        self.plates.swap(0, at);
        let (_, plate) = self.plates.first()?;
        let values = Last::values(&mut self.last, kind.language, fresh, words);
        let mut page = plate.print(values, coding);
        page.status = kind.status;
        // Its parameters are evidence that RFC 9209 shows to everybody.
        page.headers.insert(PROXY_STATUS, proxy_status(cause, entry, kind.status));
        if let Some(seconds) = entry.retry_after {
            page.headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        Some(page)
    }

    /// Renders a report for a visitor, and keeps the plate.
    pub fn cut(
        &mut self,
        kind: Kind,
        report: &Report,
        words: &Words,
        view: &View<'_>,
        coding: Option<Coding>,
    ) -> Page {
        let view = View { audience: Audience::Visitor, ..*view };
        if view.format == Format::Html && view.own.is_some_and(Own::has_template) {
            // What a template does with its values is not known: it gets those of each page.
            return render(report, words, &view);
        }
        let (body, policy) = body(report, words, &view, &Values::marks());
        let plate = Plate {
            headers: headers(report, words, &view, policy),
            parts: parts(&body),
            brotli: OnceCell::new(),
            gzip: OnceCell::new(),
        };
        let values = Values::of(&Fresh::of(report), words);
        let mut page = plate.print(&values, coding);
        page.status = report.status;
        let proxy_status = proxy_status(&report.cause, &report.entry, report.status);
        page.headers.insert(PROXY_STATUS, proxy_status);
        if self.plates.len() == KINDS_MAX {
            self.plates.clear();
        }
        self.plates.push((kind, plate));
        page
    }
}

impl Last {
    /// The values of a failure, made from the last ones where that is possible.
    fn values<'a>(
        last: &'a mut Option<Last>,
        language: usize,
        fresh: &Fresh<'_>,
        words: &Words,
    ) -> &'a Values {
        let second = fresh.time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let standing = fresh.standing;
        let kept = last.take().filter(|last| {
            (last.language, last.second, last.standing) == (language, second, standing)
        });
        let values = match kept {
            Some(mut kept) => {
                kept.values.renew(fresh);
                kept.values
            }
            None => Values::of(fresh, words),
        };
        &last.insert(Last { language, second, standing, values }).values
    }
}

impl Plate {
    fn print(&self, values: &Values, coding: Option<Coding>) -> Page {
        let packed = |kept: &OnceCell<Packed>, coding| {
            kept.get_or_init(|| Packed::new(coding, &self.parts)).print(&values.texts())
        };
        let body = match coding {
            Some(Coding::Brotli) => packed(&self.brotli, Coding::Brotli),
            Some(Coding::Gzip) => packed(&self.gzip, Coding::Gzip),
            None => coding::plain(&self.parts, &values.texts()).into_bytes(),
        };
        let mut headers = self.headers.clone();
        if let Some(coding) = coding {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
        }
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        Page { status: 0, headers, body: Bytes::from(body) }
    }
}

/// A body with marks in it, cut at them.
fn parts(body: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = body;
    while let Some((at, number)) = next_mark(rest) {
        let (before, behind) = rest.split_at(at);
        if !before.is_empty() {
            parts.push(Part::Text(before.to_owned()));
        }
        parts.push(Part::Value(number));
        let mark = behind.chars().next().unwrap_or_default();
        rest = behind.trim_start_matches(mark);
    }
    parts.push(Part::Text(rest.to_owned()));
    parts
}

/// Where the first mark stands, and of which value.
fn next_mark(text: &str) -> Option<(usize, usize)> {
    // Their first byte in UTF-8 stands for nothing else that is ever on a page.
    let mut from = 0;
    while let Some(step) = memchr::memchr(MARK_BYTE, &text.as_bytes()[from..]) {
        let at = from + step;
        let number = text.get(at..).and_then(|rest| Value::marked(rest.chars().next()?));
        match number {
            Some(number) => return Some((at, number)),
            None => from = at + 1,
        }
    }
    None
}

/// The first byte of every mark in UTF-8.
const MARK_BYTE: u8 = 0xf4;
