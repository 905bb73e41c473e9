//! Visitors' pages kept as printing plates: in an outage the page is the hot path.
//!
//! To visitors a cause looks the same each time, but for the incident's number and the hour. The
//! first page of a kind is rendered and kept with the places of those two; the next ones are copies
//! with other numbers in them. Operators' pages carry evidence and are rendered each time.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::HeaderMap;

use crate::diagnose::{Audience, Cause, Certainty, Code, Entry, Fate, IncidentId, Report, Words};

use super::{Format, Page, View, proxy_status, render, rfc3339};

/// More kinds than there are causes, certainties, fates and formats that occur together; a bound
/// only.
const KINDS_MAX: usize = 1024;

/// The plates of one site: its contact and its words are on them.
#[derive(Debug, Default)]
pub struct Plates {
    plates: HashMap<Kind, Plate>,
    /// The last second that was laid out.
    clock: (u64, String),
}

/// All that tells one visitor's page from another, beside incident and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kind {
    pub code: Code,
    pub certainty: Certainty,
    pub fate: Fate,
    pub status: u16,
    pub format: Format,
    pub repeatable: bool,
    /// Fixes stand in another order after a move.
    pub moved: bool,
    pub language: &'static str,
}

#[derive(Debug)]
struct Plate {
    headers: HeaderMap,
    body: Bytes,
    /// Where the incident's number and the time stand.
    incidents: Vec<usize>,
    times: Vec<usize>,
}

impl Plates {
    /// The page of a kind that was seen before, with this incident's number and time in it.
    pub fn print(
        &mut self,
        kind: &Kind,
        cause: &Cause,
        entry: &Entry,
        incident: IncidentId,
        time: SystemTime,
    ) -> Option<Page> {
        let plate = self.plates.get(kind)?;
        let second = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if self.clock.0 != second || self.clock.1.is_empty() {
            self.clock = (second, rfc3339(time));
        }
        let mut body = Vec::from(plate.body.as_ref());
        for at in &plate.incidents {
            body[*at..at + IncidentId::PRINTED].copy_from_slice(&incident.printed());
        }
        for at in &plate.times {
            body[*at..at + self.clock.1.len()].copy_from_slice(self.clock.1.as_bytes());
        }
        let mut headers = plate.headers.clone();
        // Its parameters are evidence that RFC 9209 shows to everybody.
        headers.insert("proxy-status", proxy_status(cause, entry, kind.status));
        Some(Page { status: kind.status, headers, body: body.into() })
    }

    /// Renders a report for a visitor and keeps the plate.
    pub fn cut(&mut self, kind: Kind, report: &Report, words: &Words, view: &View<'_>) -> Page {
        let view = View { audience: Audience::Visitor, ..*view };
        let page = render(report, words, &view);
        if self.plates.len() < KINDS_MAX {
            let incidents = places(&page.body, &report.incident.printed());
            let times = places(&page.body, rfc3339(report.time).as_bytes());
            let (headers, body) = (page.headers.clone(), page.body.clone());
            self.plates.insert(kind, Plate { headers, body, incidents, times });
        }
        page
    }
}

fn places(body: &[u8], text: &[u8]) -> Vec<usize> {
    memchr::memmem::find_iter(body, text).collect()
}
