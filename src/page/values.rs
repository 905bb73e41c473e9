//! What differs between two pages of one kind: number, time, name of the site, and since when.
//!
//! A page is written either with its values, or with marks in their places, so that `plates` finds
//! the places again. A mark is a run of one private character, as long as its value is likely to
//! be, so that lines of plain text break where they would break with it. Pure.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use crate::diagnose::{IncidentId, Report, Standing, Words};

/// One value that a page of a kind does not share with the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumIter)]
pub enum Value {
    Incident,
    /// The site's name as the visitor asked for it.
    Site,
    /// Of the failure: for machines (RFC 3339), then for people.
    Stamp,
    Time,
    FailingStamp,
    FailingTime,
    FailingAgo,
    WorkedStamp,
    WorkedTime,
    WorkedAgo,
}

const COUNT: usize = 10;

/// The first of the marks; they lie in the last private plane, where no font and no text is.
const MARK: u32 = 0x10_f800;

/// The values of one page, or the marks in their places.
#[derive(Debug, Clone, Default)]
pub struct Values([String; COUNT]);

/// What the values of one failure are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fresh<'a> {
    pub incident: IncidentId,
    pub time: SystemTime,
    /// The site's name, where it may be shown.
    pub site: Option<&'a str>,
    pub standing: Standing,
}

impl<'a> Fresh<'a> {
    /// That of a report.
    pub fn of(report: &'a Report) -> Fresh<'a> {
        let Report { incident, time, standing, .. } = *report;
        Fresh { incident, time, site: report.site(), standing }
    }
}

impl Value {
    /// Every value, in the order of [`Values`].
    pub fn all() -> impl Iterator<Item = Value> {
        <Value as strum::IntoEnumIterator>::iter()
    }

    /// The character that marks its place.
    pub fn mark(self) -> char {
        char::from_u32(MARK + self as u32).expect("the private plane has room for all")
    }

    /// The number of the value that a character marks the place of.
    pub fn marked(mark: char) -> Option<usize> {
        let number = u32::from(mark).checked_sub(MARK)? as usize;
        (number < COUNT).then_some(number)
    }

    /// Columns that it usually takes.
    fn columns(self) -> usize {
        match self {
            Value::Incident => 9,
            Value::Site | Value::FailingAgo | Value::WorkedAgo => 16,
            Value::Stamp | Value::FailingStamp | Value::WorkedStamp => 20,
            Value::Time | Value::FailingTime | Value::WorkedTime => 23,
        }
    }
}

impl Values {
    /// Those of one failure.
    pub fn of(fresh: &Fresh<'_>, words: &Words) -> Values {
        let Standing { failing_since, last_worked, .. } = fresh.standing;
        let ago = |since: Option<SystemTime>| {
            since.map(|since| words.ago(fresh.time.duration_since(since).unwrap_or(Duration::ZERO)))
        };
        let stamp = |time: Option<SystemTime>| time.map(stamp).unwrap_or_default();
        let time = |time: Option<SystemTime>| time.map(readable).unwrap_or_default();
        Values([
            fresh.incident.to_string(),
            fresh.site.unwrap_or_default().to_owned(),
            stamp(Some(fresh.time)),
            time(Some(fresh.time)),
            stamp(failing_since),
            time(failing_since),
            ago(failing_since).unwrap_or_default(),
            stamp(last_worked),
            time(last_worked),
            ago(last_worked).unwrap_or_default(),
        ])
    }

    /// Marks in the place of all of them.
    pub fn marks() -> Values {
        let mut values = Values::default();
        for (place, value) in values.0.iter_mut().zip(Value::all()) {
            *place = std::iter::repeat_n(value.mark(), value.columns()).collect();
        }
        values
    }

    /// The same for the next failure of the same second, which differs in the first two alone.
    pub fn renew(&mut self, fresh: &Fresh<'_>) {
        let [incident, site, ..] = &mut self.0;
        incident.clear();
        // Writing into a String cannot fail.
        let _ = write!(incident, "{}", fresh.incident);
        site.clear();
        site.push_str(fresh.site.unwrap_or_default());
    }

    /// All of them, in the order of [`Value`].
    pub fn texts(&self) -> [&str; COUNT] {
        self.0.each_ref().map(String::as_str)
    }

    /// The text of one.
    pub fn get(&self, value: Value) -> &str {
        &self.0[value as usize]
    }
}

/// A time to the second in UTC as RFC 3339; the epoch for one that no calendar holds.
pub fn stamp(time: SystemTime) -> String {
    format!("{:.0}", jiff::Timestamp::try_from(time).unwrap_or_default())
}

/// The same for people: with a space, and the zone's name.
pub fn readable(time: SystemTime) -> String {
    stamp(time).replace('T', " ").replace('Z', " UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_a_mark_of_its_own() {
        let marks = Values::marks();
        assert_eq!(Value::all().count(), COUNT);
        for value in Value::all() {
            assert!(marks.get(value).chars().all(|c| c == value.mark()));
            assert!(!crate::diagnose::is_hidden(value.mark()));
        }
    }

    #[test]
    fn a_time_is_read_in_utc() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_764_000_000_500);
        assert_eq!(stamp(time), "2025-11-24T16:00:00Z");
        assert_eq!(readable(time), "2025-11-24 16:00:00 UTC");
    }
}
