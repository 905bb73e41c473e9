//! When a line was written, by the stamp that its program puts before it.
//!
//! A stamp without a zone is this host's own time, which is handed in, as is whoever knows zones
//! by their names. Pure.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

/// What a reader of stamps has to know.
#[expect(missing_debug_implementations, reason = "a function has none")]
pub struct Clock<'a> {
    /// That of this host.
    pub zone: TimeZone,
    /// Knows zones by name; the name comes from a log.
    pub named: &'a dyn Fn(&str) -> Option<TimeZone>,
}

/// A stamp and the line behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp<'a> {
    pub time: jiff::Timestamp,
    pub rest: &'a str,
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// The stamp at the beginning of a line, in whichever form.
pub fn stamp<'a>(line: &'a str, clock: &Clock<'_>) -> Option<Stamp<'a>> {
    match line.strip_prefix('[') {
        Some(inside) => {
            let (stamp, rest) = inside.split_once(']')?;
            let time = apache(stamp, clock).or_else(|| php(stamp, clock))?;
            Some(Stamp { time, rest: rest.trim_start_matches(' ') })
        }
        None => nginx(line, clock).or_else(|| iso(line, clock)),
    }
}

/// `Sun Nov 22 01:02:03.456789 2026` (Apache's ErrorLogFormat, %{u}t).
fn apache(stamp: &str, clock: &Clock<'_>) -> Option<jiff::Timestamp> {
    let mut words = stamp.split_ascii_whitespace();
    let day = words.next()?;
    let (month, number, time, year) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let known = DAYS.contains(&day) && words.next().is_none();
    let date = date(year.parse().ok()?, month_of(month)?, number)?;
    known.then(|| at(date, time, &clock.zone)).flatten()
}

/// `22-Nov-2026 01:02:03`, with a zone behind it in PHP's own log and none in PHP-FPM's.
fn php(stamp: &str, clock: &Clock<'_>) -> Option<jiff::Timestamp> {
    let mut words = stamp.split_ascii_whitespace();
    let (day, time) = (words.next()?, words.next()?);
    let mut parts = day.split('-');
    let (number, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    let zone = match words.next() {
        None => clock.zone.clone(),
        Some("UTC" | "GMT") => TimeZone::UTC,
        Some(name) => (clock.named)(name)?,
    };
    at(date(year.parse().ok()?, month_of(month)?, number)?, time, &zone)
}

/// `2026/11/22 01:02:03 [error] …`.
fn nginx<'a>(line: &'a str, clock: &Clock<'_>) -> Option<Stamp<'a>> {
    let (day, rest) = line.split_once(' ')?;
    let (time, rest) = rest.split_once(' ')?;
    let mut parts = day.split('/');
    let (year, month, number) = (parts.next()?, parts.next()?, parts.next()?);
    let date = date(year.parse().ok()?, month.parse().ok()?, number)?;
    Some(Stamp { time: at(date, time, &clock.zone)?, rest })
}

/// `2026-11-22T01:02:03.456+01:00 …`, or `2026-11-22 1:02:03 …` as MariaDB has it.
fn iso<'a>(line: &'a str, clock: &Clock<'_>) -> Option<Stamp<'a>> {
    let (first, rest) = line.split_once(' ')?;
    if let Ok(time) = first.parse() {
        return Some(Stamp { time, rest });
    }
    let (time, rest) = rest.trim_start().split_once(' ')?;
    let mut parts = first.split('-');
    let (year, month, number) = (parts.next()?, parts.next()?, parts.next()?);
    let date = date(year.parse().ok()?, month.parse().ok()?, number)?;
    Some(Stamp { time: at(date, time, &clock.zone)?, rest })
}

fn month_of(name: &str) -> Option<i8> {
    let at = MONTHS.iter().position(|month| *month == name)?;
    i8::try_from(at + 1).ok()
}

fn date(year: i16, month: i8, day: &str) -> Option<Date> {
    Date::new(year, month, day.parse().ok()?).ok()
}

/// `01:02:03` with or without a fraction. An hour that comes twice in autumn is the first.
fn at(date: Date, time: &str, zone: &TimeZone) -> Option<jiff::Timestamp> {
    let (whole, fraction) = time.split_once('.').unwrap_or((time, ""));
    let mut parts = whole.split(':');
    let mut part = || parts.next()?.parse().ok();
    let (hour, minute, second) = (part()?, part()?, part()?);
    if parts.next().is_some() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanoseconds = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    let time = Time::new(hour, minute, second, nanoseconds).ok()?;
    let zoned = DateTime::from_parts(date, time).to_zoned(zone.clone()).ok()?;
    Some(zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_program_has_its_stamp() {
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        let named =
            |name: &str| (name == "Asia/Tokyo").then(|| TimeZone::fixed(jiff::tz::offset(9)));
        let clock = Clock { zone, named: &named };
        for (line, time, rest) in [
            (
                "[Sun Nov 22 01:02:03.456789 2026] [core:notice] x",
                "2026-11-22T00:02:03.456789Z",
                "[core:notice] x",
            ),
            ("[Sun Nov  1 01:02:03 2026] x", "2026-11-01T00:02:03Z", "x"),
            ("[22-Nov-2026 01:02:03] WARNING: x", "2026-11-22T00:02:03Z", "WARNING: x"),
            ("[22-Nov-2026 01:02:03.5] NOTICE: x", "2026-11-22T00:02:03.5Z", "NOTICE: x"),
            ("[22-Nov-2026 01:02:03 UTC] PHP x", "2026-11-22T01:02:03Z", "PHP x"),
            ("[22-Nov-2026 01:02:03 Asia/Tokyo] PHP", "2026-11-21T16:02:03Z", "PHP"),
            (
                "[22-Nov-2026 01:02:03]  [pool www] pid 7",
                "2026-11-22T00:02:03Z",
                "[pool www] pid 7",
            ),
            ("2026/11/22 01:02:03 [error] 7#7: x", "2026-11-22T00:02:03Z", "[error] 7#7: x"),
            ("2026-11-22T01:02:03.25+02:00 x", "2026-11-21T23:02:03.25Z", "x"),
            ("2026-11-22  1:02:03 0 [Note] x", "2026-11-22T00:02:03Z", "0 [Note] x"),
        ] {
            let expected = Stamp { time: time.parse().unwrap(), rest };
            assert_eq!(stamp(line, &clock), Some(expected), "{line}");
        }
        for line in [
            "",
            "[",
            "[]",
            "[pool www] x",
            "[31-Feb-2026 01:02:03] x",
            "[22-Nov-2026 25:02:03] x",
            "[22-Nov-2026 01:02:03 ../../etc/passwd] x",
            "[Xxx Nov 22 01:02:03 2026] x",
            "2026/11/22 01:02 x",
            "#0 {main}",
            "99999999999/1/1 1:1:1 x",
        ] {
            assert_eq!(stamp(line, &clock), None, "{line}");
        }
    }
}
