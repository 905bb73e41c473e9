//! Validators of a file, and the conditions that a request puts on them (RFC 9110 §8.8, §13).
//!
//! Pure; the present time comes in as a value. Decides whether the file is sent, not how.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{
    HeaderMap, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE,
};

/// A file changed within this time may change again without another time stamp: the kernel's
/// stamps are as coarse as its ticks, and dates in HTTP as a second.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// What tells this state of a file from any other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validators {
    /// With quotes, and `W/` in front where it is weak.
    pub etag: String,
    /// Whole seconds, and not later than now (RFC 9110 §8.8.2.1).
    pub modified: SystemTime,
    /// Both are strong: the file has not changed for long enough.
    settled: bool,
}

/// What the conditions come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The file is sent; of its ranges only if those are asked of this very state.
    Send { ranges: bool },
    /// 304
    NotModified,
    /// 412
    Failed,
}

impl Validators {
    /// From size, time stamp (seconds and nanoseconds since 1970) and inode; `suffix` tells a
    /// compressed copy's tag from its original's (RFC 9110 §8.8.3.3).
    ///
    /// The inode sees a file that another took the place of with the same size and time, as
    /// `rsync -t` and `cp -p` do. All goes in hashed: inode numbers are nobody's business.
    pub fn new(
        size: u64,
        (seconds, nanos): (i64, u32),
        inode: u64,
        suffix: &str,
        now: SystemTime,
    ) -> Validators {
        let modified = u64::try_from(seconds).ok().map(Duration::from_secs);
        let modified = modified.and_then(|since| UNIX_EPOCH.checked_add(since));
        let modified = modified.unwrap_or(UNIX_EPOCH);
        let settled = modified.checked_add(SETTLED_AFTER).is_some_and(|time| time <= now);
        let state = hash([size, seconds.cast_unsigned(), u64::from(nanos), inode]);
        let weak = if settled { "" } else { "W/" };
        let etag = format!("{weak}\"{state:016x}-{size:x}{suffix}\"");
        Validators { etag, modified: modified.min(whole_seconds(now)), settled }
    }

    /// Weighs the conditions in the order of RFC 9110 §13.2.2, for GET and HEAD.
    pub fn weigh(&self, headers: &HeaderMap) -> Verdict {
        // 1. and 2.: what the client has must be what is here.
        if headers.contains_key(IF_MATCH) {
            if !self.is_listed(headers, &IF_MATCH, Compare::Strong) {
                return Verdict::Failed;
            }
        } else if date(headers, &IF_UNMODIFIED_SINCE).is_some_and(|since| self.modified > since) {
            return Verdict::Failed;
        }
        // 3. and 4.: what the client has is still good.
        if headers.contains_key(IF_NONE_MATCH) {
            if self.is_listed(headers, &IF_NONE_MATCH, Compare::Weak) {
                return Verdict::NotModified;
            }
        } else if date(headers, &IF_MODIFIED_SINCE).is_some_and(|since| self.modified <= since) {
            return Verdict::NotModified;
        }
        // 5.: parts are of use only beside the parts of the same state.
        Verdict::Send { ranges: self.fits_if_range(headers) }
    }

    /// RFC 9110 §13.1.5: the one tag by the strong comparison, or the very date if it is strong.
    fn fits_if_range(&self, headers: &HeaderMap) -> bool {
        let Some(value) = headers.get(IF_RANGE) else { return true };
        let value = value.as_bytes().trim_ascii();
        if value.starts_with(b"\"") || value.starts_with(b"W/") {
            return self.settled && value == self.etag.as_bytes();
        }
        let date = std::str::from_utf8(value).ok();
        let date = date.and_then(|date| httpdate::parse_http_date(date).ok());
        self.settled && date == Some(self.modified)
    }

    /// Whether the tag stands in the field, or a `*`, which any file that is there fits.
    fn is_listed(&self, headers: &HeaderMap, field: &http::HeaderName, compare: Compare) -> bool {
        headers.get_all(field).iter().any(|value| self.is_in(value, compare))
    }

    fn is_in(&self, value: &HeaderValue, compare: Compare) -> bool {
        let mut rest = value.as_bytes().trim_ascii();
        if rest == b"*" {
            return true;
        }
        let opaque = self.etag.strip_prefix("W/").unwrap_or(&self.etag);
        // A tag may hold commas, so the quotes are what divides (RFC 9110 §8.8.3).
        while let Some(start) = rest.iter().position(|byte| *byte == b'"') {
            let weak = rest[..start].ends_with(b"W/");
            let Some(length) = rest[start + 1..].iter().position(|byte| *byte == b'"') else {
                return false;
            };
            let (tag, after) = rest[start..].split_at(length + 2);
            let counts = match compare {
                Compare::Weak => true,
                Compare::Strong => self.settled && !weak,
            };
            if counts && tag == opaque.as_bytes() {
                return true;
            }
            rest = after;
        }
        false
    }
}

/// RFC 9110 §8.8.3.2
#[derive(Debug, Clone, Copy)]
enum Compare {
    Strong,
    Weak,
}

/// A date in one of the three forms of RFC 9110 §5.6.7; any other value is ignored, and so is a
/// field that stands there twice (§13.1.3).
fn date(headers: &HeaderMap, field: &http::HeaderName) -> Option<SystemTime> {
    let mut values = headers.get_all(field).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    httpdate::parse_http_date(value.to_str().ok()?.trim()).ok()
}

fn whole_seconds(time: SystemTime) -> SystemTime {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

/// FNV-1a, 64 bits: the same in every build, unlike the standard library's.
fn hash(numbers: [u64; 4]) -> u64 {
    let bytes = numbers.into_iter().flat_map(u64::to_le_bytes);
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANGED: i64 = 1_700_000_000;
    const DATE: &str = "Tue, 14 Nov 2023 22:13:20 GMT";
    const BEFORE: &str = "Tue, 14 Nov 2023 22:13:19 GMT";
    const AFTER: &str = "Tue, 14 Nov 2023 22:13:21 GMT";

    fn validators(age: u64) -> Validators {
        let now = UNIX_EPOCH + Duration::from_secs(CHANGED.cast_unsigned() + age);
        Validators::new(1000, (CHANGED, 5), 7, "", now)
    }

    /// Fields separated by `|`; `{tag}` stands for the file's tag.
    fn weigh(validators: &Validators, fields: &str) -> Verdict {
        let mut headers = HeaderMap::new();
        for field in fields.split('|').filter(|field| !field.is_empty()) {
            let (name, value) = field.split_once(": ").unwrap();
            let value = value.replace("{tag}", &validators.etag);
            let name: http::HeaderName = name.parse().unwrap();
            headers.append(name, value.parse().unwrap());
        }
        validators.weigh(&headers)
    }

    const SEND: Verdict = Verdict::Send { ranges: true };
    const WHOLE: Verdict = Verdict::Send { ranges: false };

    #[test]
    fn conditions() {
        use Verdict::*;
        let old = validators(3600);
        for (fields, expected) in [
            ("", SEND),
            ("if-match: {tag}", SEND),
            ("if-match: *", SEND),
            ("if-match: \"a,b\", {tag}", SEND),
            ("if-match: \"a\"|if-match: {tag}", SEND),
            ("if-match: \"a\"", Failed),
            ("if-match: W/{tag}", Failed),
            ("if-match: ", Failed),
            (&format!("if-unmodified-since: {DATE}"), SEND),
            (&format!("if-unmodified-since: {AFTER}"), SEND),
            (&format!("if-unmodified-since: {BEFORE}"), Failed),
            ("if-unmodified-since: yesterday", SEND),
            // 2. counts only without 1.
            (&format!("if-match: {{tag}}|if-unmodified-since: {BEFORE}"), SEND),
            ("if-none-match: {tag}", NotModified),
            ("if-none-match: W/{tag}", NotModified),
            ("if-none-match: *", NotModified),
            ("if-none-match: \"a\", W/\"b\", {tag}", NotModified),
            ("if-none-match: \"a\"", SEND),
            ("if-none-match: {tag}x\"", NotModified),
            ("if-none-match: \"{tag}", SEND),
            ("if-none-match: \"", SEND),
            (&format!("if-modified-since: {DATE}"), NotModified),
            (&format!("if-modified-since: {AFTER}"), NotModified),
            (&format!("if-modified-since: {BEFORE}"), SEND),
            ("if-modified-since: Tuesday, 14-Nov-23 22:13:20 GMT", NotModified),
            ("if-modified-since: Tue Nov 14 22:13:20 2023", NotModified),
            (&format!("if-modified-since: {DATE}|if-modified-since: {DATE}"), SEND),
            // 4. counts only without 3.
            (&format!("if-none-match: \"a\"|if-modified-since: {DATE}"), SEND),
            // 1. comes before 3.
            ("if-match: \"a\"|if-none-match: {tag}", Failed),
            ("if-match: {tag}|if-none-match: {tag}", NotModified),
            ("if-range: {tag}", SEND),
            ("if-range: \"a\"", WHOLE),
            ("if-range: W/{tag}", WHOLE),
            (&format!("if-range: {DATE}"), SEND),
            (&format!("if-range: {AFTER}"), WHOLE),
            ("if-range: yesterday", WHOLE),
        ] {
            assert_eq!(weigh(&old, fields), expected, "{fields}");
        }
    }

    /// A file that changed a moment ago may change again behind the same tag.
    #[test]
    fn fresh_files_are_weak() {
        use Verdict::*;
        let fresh = validators(1);
        assert!(fresh.etag.starts_with("W/\""), "{}", fresh.etag);
        assert_eq!(weigh(&fresh, "if-none-match: {tag}"), NotModified);
        assert_eq!(weigh(&fresh, &format!("if-none-match: {}", validators(9).etag)), NotModified);
        assert_eq!(weigh(&validators(9), &format!("if-none-match: {}", fresh.etag)), NotModified);
        assert_eq!(weigh(&fresh, "if-match: {tag}"), Failed);
        assert_eq!(weigh(&fresh, "if-range: {tag}"), WHOLE);
        assert_eq!(weigh(&fresh, &format!("if-range: {DATE}")), WHOLE);
    }

    #[test]
    fn tags_differ_and_stay() {
        let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let tag = |size, modified, inode, suffix| {
            Validators::new(size, modified, inode, suffix, now).etag
        };
        let tags = [
            tag(1, (2, 3), 4, ""),
            tag(0, (2, 3), 4, ""),
            tag(1, (0, 3), 4, ""),
            tag(1, (2, 0), 4, ""),
            tag(1, (2, 3), 0, ""),
            tag(1, (2, 3), 4, "-gz"),
            tag(1, (-2, 3), 4, ""),
        ];
        for (at, tag) in tags.iter().enumerate() {
            assert!(!tags[..at].contains(tag), "{tags:?}");
        }
        assert_eq!(tags[0], "\"898f7e1ce6964921-1\"");
    }

    #[test]
    fn dates_are_of_the_past() {
        let now = UNIX_EPOCH + Duration::from_millis(5500);
        let modified = |seconds| Validators::new(1, (seconds, 0), 1, "", now).modified;
        assert_eq!(modified(3), UNIX_EPOCH + Duration::from_secs(3));
        assert_eq!(modified(9), UNIX_EPOCH + Duration::from_secs(5));
        assert_eq!(modified(i64::MAX), UNIX_EPOCH + Duration::from_secs(5));
        assert_eq!(modified(-9), UNIX_EPOCH);
    }
}
