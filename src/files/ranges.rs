//! The Range field: which parts of a file are asked for (RFC 9110 §14).
//!
//! Pure. Decides what to send of a file of a known size, and bounds it: a list of ranges is an old
//! way to make a server send a file many times over.

use std::ops::Range;

/// More parts than any player or reader asks for at once.
const PARTS_MAX: usize = 16;

/// What a Range field asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// All of it: no ranges, or none that we heed (RFC 9110 §14.2 allows that).
    Whole,
    /// Non-empty parts inside the file; at least one, none over another, in the order asked.
    Parts(Vec<Range<u64>>),
    /// Nothing that the file has (RFC 9110 §15.5.17).
    Unsatisfiable,
}

/// Reads the value of Range for a file of `size` bytes.
///
/// Whole are: another unit, what is malformed (§14.2: ignored), more than 16 parts, parts that
/// overlap (§14.2 warns of both), and an empty file, of which no Content-Range can speak.
pub fn asked(value: &[u8], size: u64) -> Asked {
    let Some(list) = std::str::from_utf8(value).ok().and_then(byte_ranges) else {
        return Asked::Whole;
    };
    if size == 0 {
        return Asked::Whole;
    }
    let mut parts: Vec<Range<u64>> = Vec::new();
    let mut count = 0;
    // RFC 9110 §5.6.1.2: empty elements of a list are passed over.
    for spec in list.split(',').map(|spec| spec.trim_matches([' ', '\t'])) {
        if spec.is_empty() {
            continue;
        }
        let Some(spec) = Spec::read(spec) else { return Asked::Whole };
        count += 1;
        if count > PARTS_MAX {
            return Asked::Whole;
        }
        let Some(part) = spec.within(size) else { continue };
        if parts.iter().any(|other| other.start < part.end && part.start < other.end) {
            return Asked::Whole;
        }
        parts.push(part);
    }
    match (parts.is_empty(), count) {
        (true, 0) => Asked::Whole,
        (true, _) => Asked::Unsatisfiable,
        (false, _) => Asked::Parts(parts),
    }
}

/// The list after `bytes=`; units are compared without case (RFC 9110 §14.1).
fn byte_ranges(value: &str) -> Option<&str> {
    let (unit, list) = value.trim().split_once('=')?;
    unit.eq_ignore_ascii_case("bytes").then_some(list)
}

/// One element of the list (RFC 9110 §14.1.1, §14.1.2).
#[derive(Debug, Clone, Copy)]
enum Spec {
    /// `first-` or `first-last`, both inclusive.
    From { first: u64, last: Option<u64> },
    /// `-length`: that many at the end.
    Last { length: u64 },
}

impl Spec {
    fn read(text: &str) -> Option<Spec> {
        let (first, last) = text.split_once('-')?;
        if first.is_empty() {
            return Some(Spec::Last { length: number(last)? });
        }
        let first = number(first)?;
        let last = if last.is_empty() { None } else { Some(number(last)?) };
        // §14.1.1: the last before the first is invalid, and with it the whole field.
        last.is_none_or(|last| first <= last).then_some(Spec::From { first, last })
    }

    /// The bytes that it means in a file that is not empty; none: it is unsatisfiable.
    fn within(self, size: u64) -> Option<Range<u64>> {
        let range = match self {
            Spec::From { first, last } => {
                let end = last.map_or(size, |last| last.saturating_add(1).min(size));
                first..end
            }
            Spec::Last { length } => size - length.min(size)..size,
        };
        (!range.is_empty()).then_some(range)
    }
}

/// Digits alone. A number beyond what fits is beyond every file as well.
fn number(digits: &str) -> Option<u64> {
    let whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    whole.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `whole`, `none`, or the parts with inclusive ends, as Content-Range has them.
    fn shown(value: &str, size: u64) -> String {
        match asked(value.as_bytes(), size) {
            Asked::Whole => "whole".to_owned(),
            Asked::Unsatisfiable => "none".to_owned(),
            Asked::Parts(parts) => {
                let shown = |part: &Range<u64>| format!("{}-{}", part.start, part.end - 1);
                parts.iter().map(shown).collect::<Vec<_>>().join(" ")
            }
        }
    }

    #[test]
    fn of_a_thousand_bytes() {
        for (value, expected) in [
            ("bytes=0-499", "0-499"),
            ("bytes=500-999", "500-999"),
            ("bytes=-500", "500-999"),
            ("bytes=9500-", "none"),
            ("bytes=999-", "999-999"),
            ("bytes=1000-", "none"),
            ("bytes=0-0,-1", "0-0 999-999"),
            ("bytes=0-9999", "0-999"),
            ("bytes=-9999", "0-999"),
            ("bytes=-0", "none"),
            ("bytes=0-0, 1000-, 5-6", "0-0 5-6"),
            ("bytes=500-700,601-999", "whole"),
            ("bytes=0-,0-", "whole"),
            ("bytes=1000-,2000-", "none"),
            ("BYTES=1-2", "1-2"),
            ("bytes= 1-2 ,\t3-4,,", "1-2 3-4"),
            ("bytes=0-18446744073709551615", "0-999"),
            ("bytes=99999999999999999999-", "none"),
            ("bytes=-99999999999999999999", "0-999"),
            ("bytes=18446744073709551615-99999999999999999999", "none"),
            ("", "whole"),
            ("bytes", "whole"),
            ("bytes=", "whole"),
            ("bytes=,", "whole"),
            ("bytes=-", "whole"),
            ("bytes=5-4", "whole"),
            ("bytes=0-1,5-4", "whole"),
            ("bytes=1-2-3", "whole"),
            ("bytes=+1-2", "whole"),
            ("bytes=a-", "whole"),
            ("bytes=1 -2", "whole"),
            ("bytes 1-2", "whole"),
            ("lines=1-2", "whole"),
        ] {
            assert_eq!(shown(value, 1000), expected, "{value}");
        }
    }

    #[test]
    fn of_an_empty_file() {
        for value in ["bytes=0-", "bytes=-1", "bytes=5-6"] {
            assert_eq!(shown(value, 0), "whole", "{value}");
        }
    }

    #[test]
    fn at_most_sixteen_parts() {
        let list = |count: u64| {
            let parts: Vec<String> = (0..count).map(|at| format!("{0}-{0}", at * 2)).collect();
            format!("bytes={}", parts.join(","))
        };
        assert_eq!(shown(&list(16), 1000).split(' ').count(), 16);
        assert_eq!(shown(&list(17), 1000), "whole");
    }
}
