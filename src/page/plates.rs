//! Visitors' pages kept as printing plates: in an outage the page is the hot path.
//!
//! To visitors a cause looks the same each time, but for a few values. The first page of a kind is
//! rendered with marks in their places and kept, and packed when somebody first wants it packed;
//! the next ones are copies with other values in them. Operators' pages carry evidence and are
//! rendered each time.

use std::rc::Rc;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderValue, RETRY_AFTER};

use crate::diagnose::{
    Audience, Cause, Certainty, Code, Entry, Fate, Report, Rules, Standing, Words,
};

use super::coding::{self, Coding, Packed, Part};
use super::proxy_status::{self, proxy_status};
use super::values::{Fresh, Value, Values};
use super::{Format, Own, PROXY_STATUS, Page, View, body, headers, render};

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
    /// The head as it was cut; no page has gone out with it.
    headers: HeaderMap,
    parts: Vec<Part>,
    plain: Option<Head>,
    brotli: Option<(Packed, Head)>,
    gzip: Option<(Packed, Head)>,
}

/// The head that a plate last printed in one coding: the next one is nearly always the same.
#[derive(Debug)]
struct Head {
    fields: Rc<Fields>,
    /// What its Proxy-Status was made of; nearly all fail with the same, to the last detail.
    cause: Option<Cause>,
    retry_after: Option<u32>,
    /// Of the body that it stood before.
    length: usize,
}

/// What pages share of their heads, as each version of HTTP has it; without a length, which whoever
/// sends the body tells.
#[derive(Debug)]
pub struct Fields {
    map: HeaderMap,
    text: Box<[u8]>,
}

/// A page from a plate: a copy of nothing but its body.
#[derive(Debug)]
pub struct Printed {
    pub fields: Rc<Fields>,
    pub body: Bytes,
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
    ) -> Option<Printed> {
        let at = self.plates.iter().position(|(kept, _)| kept == kind)?;
        self.plates.swap(0, at);
        let (_, plate) = self.plates.first_mut()?;
        let values = Last::values(&mut self.last, kind.language, fresh, words);
        Some(plate.print(values, coding, cause, entry, kind.status))
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
        let mut plate = Plate {
            headers: headers(report, words, &view, policy),
            parts: parts(&body),
            plain: None,
            brotli: None,
            gzip: None,
        };
        let values = Values::of(&Fresh::of(report), words);
        let printed = plate.print(&values, coding, &report.cause, &report.entry, report.status);
        if self.plates.len() == KINDS_MAX {
            self.plates.clear();
        }
        self.plates.push((kind, plate));
        printed.into_page(report.status)
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
    fn print(
        &mut self,
        values: &Values,
        coding: Option<Coding>,
        cause: &Cause,
        entry: &Entry,
        status: u16,
    ) -> Printed {
        let Plate { headers, parts, plain, brotli, gzip } = self;
        let texts = values.texts();
        let (head, body) = match coding {
            None => {
                let head = plain.get_or_insert_with(|| Head::new(headers.clone(), None));
                (head, coding::plain(parts, &texts).into_bytes())
            }
            Some(coding) => {
                let kept = match coding {
                    Coding::Brotli => brotli,
                    Coding::Gzip => gzip,
                };
                let (packed, head) = kept.get_or_insert_with(|| {
                    (Packed::new(coding, parts), Head::new(headers.clone(), Some(coding)))
                });
                let body = packed.print(&texts, head.length);
                head.length = body.len();
                (head, body)
            }
        };
        Printed { fields: head.of(cause, entry, status), body: Bytes::from(body) }
    }
}

impl Head {
    fn new(mut headers: HeaderMap, coding: Option<Coding>) -> Head {
        headers.remove(RETRY_AFTER);
        headers.extend(
            coding.map(|coding| (CONTENT_ENCODING, HeaderValue::from_static(coding.name()))),
        );
        Head { fields: Rc::new(Fields::of(headers)), cause: None, retry_after: None, length: 0 }
    }

    /// The head of the next page.
    fn of(&mut self, cause: &Cause, entry: &Entry, status: u16) -> Rc<Fields> {
        if self.retry_after == entry.retry_after && self.cause.as_ref() == Some(cause) {
            return self.fields.clone();
        }
        // Its parameters are evidence that RFC 9209 shows to everybody.
        let said = proxy_status(cause, entry, status);
        let kept = self.fields.map.get(PROXY_STATUS);
        if self.retry_after != entry.retry_after
            || kept.is_none_or(|kept| kept.as_bytes() != said.as_bytes())
        {
            let mut map = self.fields.map.clone();
            match entry.retry_after {
                Some(seconds) => map.insert(RETRY_AFTER, HeaderValue::from(seconds)),
                None => map.remove(RETRY_AFTER),
            };
            map.insert(PROXY_STATUS, proxy_status::value(said));
            (self.cause, self.retry_after) = (Some(cause.clone()), entry.retry_after);
            self.fields = Rc::new(Fields::of(map));
        } else if !matches!(cause, Cause::NoHealthyUpstream { .. }) {
            // That one is never the same: it tells how long ago each server failed.
            self.cause = Some(cause.clone());
        }
        self.fields.clone()
    }
}

impl Fields {
    fn of(map: HeaderMap) -> Fields {
        let mut text = Vec::new();
        for (name, value) in &map {
            for piece in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                text.extend_from_slice(piece);
            }
        }
        Fields { map, text: text.into() }
    }

    /// For HTTP/2, and for whoever changes one.
    pub fn map(&self) -> &HeaderMap {
        &self.map
    }

    /// Lines of HTTP/1.1.
    pub fn text(&self) -> &[u8] {
        &self.text
    }
}

impl Printed {
    /// The same as a page of its own.
    pub fn into_page(self, status: u16) -> Page {
        let Printed { fields, body } = self;
        let mut headers = fields.map.clone();
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        Page { status, headers, body }
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
