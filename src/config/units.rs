//! Durations and sizes as the configuration writes them: one whole number and one unit.
//!
//! Pure. Whether a value of zero makes sense is the caller's question.

use std::time::Duration;

use super::error::Fault;

/// What a duration looks like.
pub const DURATION: &str = "a duration with a unit, e.g. \"60s\"";
/// What a size looks like.
pub const SIZE: &str = "a size with a unit, e.g. \"32KiB\"";

/// Adding a longer wait to the present could leave the range of the system's clock.
const DURATION_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

const DURATION_UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

const SIZE_UNITS: [(&str, u64); 7] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];

/// Reads `250ms`, `10s`, `5m`, `1h`, `1d`: at most 365 days.
///
/// # Errors
/// No number, no unit, an unknown unit, or more than 365 days.
pub fn duration(text: &str) -> Result<Duration, Fault> {
    let duration = Duration::from_millis(quantity(text, &DURATION_UNITS, DURATION)?);
    if duration > DURATION_MAX {
        return Err(Fault::new(format!("`{text}` is too long")).expected("at most \"365d\""));
    }
    Ok(duration)
}

/// Reads `512B`, `10kB`, `1MB`, `32KiB`, `1MiB`, in bytes.
///
/// # Errors
/// No number, no unit, an unknown unit, or more than fits.
pub fn size(text: &str) -> Result<usize, Fault> {
    let bytes = quantity(text, &SIZE_UNITS, SIZE)?;
    usize::try_from(bytes).map_err(|_| too_large(text))
}

fn quantity(text: &str, units: &[(&str, u64)], shape: &str) -> Result<u64, Fault> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        let message = format!("`{text}` does not begin with a whole number");
        return Err(Fault::new(message).expected(shape));
    }
    if unit.is_empty() {
        return Err(Fault::new("missing unit").expected(shape));
    }
    let Some((_, factor)) = units.iter().find(|(name, _)| *name == unit) else {
        return Err(unknown_unit(number, unit, units));
    };
    let number: u64 = number.parse().map_err(|_| too_large(text))?;
    number.checked_mul(*factor).ok_or_else(|| too_large(text))
}

fn unknown_unit(number: &str, unit: &str, units: &[(&str, u64)]) -> Fault {
    let names: Vec<String> = units.iter().map(|(name, _)| format!("`{name}`")).collect();
    Fault::new(format!("unknown unit `{unit}`"))
        .expected(format!("a whole number and one of {}", names.join(", ")))
        .nearest(meant(unit, units).map(|unit| format!("{number}{unit}")))
}

/// The unit in other capitals, the one that was begun (`K`), or the one spelled out (`sec`).
fn meant<'a>(written: &str, units: &[(&'a str, u64)]) -> Option<&'a str> {
    let written = written.trim().to_ascii_lowercase();
    if written.is_empty() || !written.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return None;
    }
    let lower = |name: &str| name.to_ascii_lowercase();
    let names = || units.iter().map(|(name, _)| *name);
    let spelled_out = || names().filter(|name| written.starts_with(&lower(name)));
    names()
        .find(|name| lower(name) == written)
        .or_else(|| names().find(|name| lower(name).starts_with(&written)))
        .or_else(|| spelled_out().max_by_key(|name| name.len()))
}

fn too_large(text: &str) -> Fault {
    Fault::new(format!("`{text}` is too large"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, milliseconds) in [
            ("250ms", 250),
            ("0s", 0),
            ("10s", 10_000),
            ("010s", 10_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("1d", 86_400_000),
            ("365d", 31_536_000_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn bad_durations() {
        for (text, message, near) in [
            ("", "`` does not begin with a whole number", None),
            ("s", "`s` does not begin with a whole number", None),
            ("-5s", "`-5s` does not begin with a whole number", None),
            ("+5s", "`+5s` does not begin with a whole number", None),
            ("60", "missing unit", None),
            ("10S", "unknown unit `S`", Some("10s")),
            ("1.5s", "unknown unit `.5s`", None),
            ("10 s", "unknown unit ` s`", Some("10s")),
            ("10sec", "unknown unit `sec`", Some("10s")),
            ("10 msec", "unknown unit ` msec`", Some("10ms")),
            ("10w", "unknown unit `w`", None),
            ("1m30s", "unknown unit `m30s`", None),
            ("10µs", "unknown unit `µs`", None),
            ("366d", "`366d` is too long", None),
            ("99999999999999999999s", "`99999999999999999999s` is too large", None),
            ("18446744073709551615d", "`18446744073709551615d` is too large", None),
        ] {
            let fault = duration(text).unwrap_err();
            assert_eq!((fault.message.as_str(), fault.nearest.as_deref()), (message, near));
        }
        assert_eq!(duration("60").unwrap_err().expected.as_deref(), Some(DURATION));
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("512B", 512),
            ("10kB", 10_000),
            ("1MB", 1_000_000),
            ("32KiB", 32_768),
            ("64KiB", 65_536),
            ("1MiB", 1_048_576),
            ("1GiB", 1_073_741_824),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn bad_sizes() {
        for (text, message, near) in [
            ("32768", "missing unit", None),
            ("32K", "unknown unit `K`", Some("32KiB")),
            ("32KB", "unknown unit `KB`", Some("32kB")),
            ("32kib", "unknown unit `kib`", Some("32KiB")),
            ("KiB", "`KiB` does not begin with a whole number", None),
            ("18446744073709551615KiB", "`18446744073709551615KiB` is too large", None),
        ] {
            let fault = size(text).unwrap_err();
            assert_eq!((fault.message.as_str(), fault.nearest.as_deref()), (message, near));
        }
    }
}
