//! The items of `Accept` and `Accept-Language` (RFC 9110 section 12.4.2): a bounded part of the
//! field's lines is read, weights are counted in thousandths, and what cannot be read is passed
//! over. What an item names is for its reader to say. Pure.

use http::header::{HeaderMap, HeaderName};

/// Items read; browsers send fewer than ten.
pub const ITEMS_MAX: usize = 32;
/// Bytes read over all lines of the field.
pub const BYTES_MAX: usize = 4096;
/// The weight of an item that names none.
pub const WEIGHT_MAX: u16 = 1000;

/// Hands over the items of a field in order, up to the bounds.
pub fn each<'h>(headers: &'h HeaderMap, name: HeaderName, mut take: impl FnMut(&'h [u8])) {
    let (mut items_left, mut bytes_left) = (ITEMS_MAX, BYTES_MAX);
    for line in headers.get_all(name) {
        let line = line.as_bytes();
        let read = &line[..line.len().min(bytes_left)];
        bytes_left -= read.len();
        for (item, ended) in items(read) {
            // An item that was cut may have lost its weight.
            if items_left == 0 || !(ended || read.len() == line.len()) {
                return;
            }
            items_left -= 1;
            take(item);
        }
    }
}

/// The items of a list, and whether a comma ended each; commas in quoted strings end nothing.
fn items(line: &[u8]) -> impl Iterator<Item = (&[u8], bool)> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let line = rest?;
        let (item, after) = split(line, b',');
        rest = after;
        Some((item, after.is_some()))
    })
    // Empty items count for nothing (RFC 9110 section 5.6.1.2).
    .filter(|(item, _)| !item.trim_ascii().is_empty())
}

/// What an item names, trimmed, and the parameters behind it.
pub fn named(item: &[u8]) -> (&[u8], impl Iterator<Item = (&[u8], &[u8])>) {
    let (name, mut rest) = split(item, b';');
    let parameters = std::iter::from_fn(move || {
        let (parameter, after) = split(rest?, b';');
        rest = after;
        let (name, value) = split(parameter, b'=');
        Some((name.trim_ascii(), value.unwrap_or_default().trim_ascii()))
    });
    (name.trim_ascii(), parameters)
}

/// Whether a parameter is the weight.
pub fn is_weight(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"q")
}

/// Cuts at the first separator outside of quoted strings.
fn split(line: &[u8], separator: u8) -> (&[u8], Option<&[u8]>) {
    let (mut quoted, mut escaped) = (false, false);
    for (i, &byte) in line.iter().enumerate() {
        if escaped {
            escaped = false;
        } else if quoted && byte == b'\\' {
            escaped = true;
        } else if byte == b'"' {
            quoted = !quoted;
        } else if byte == separator && !quoted {
            return (&line[..i], Some(&line[i + 1..]));
        }
    }
    (line, None)
}

/// A weight in thousandths; takes `.5` and more digits than three, which exist, but none above 1.
pub fn weight(value: &[u8]) -> Option<u16> {
    let (whole, fraction) = split(value, b'.');
    let whole = match whole {
        b"" if fraction.is_some_and(|digits| !digits.is_empty()) => 0,
        b"0" => 0,
        b"1" => WEIGHT_MAX,
        _ => return None,
    };
    let mut thousandths = 0;
    let mut worth = 100;
    for digit in fraction.unwrap_or_default() {
        if !digit.is_ascii_digit() {
            return None;
        }
        thousandths += u16::from(digit - b'0') * worth;
        worth /= 10;
    }
    (whole + thousandths <= WEIGHT_MAX).then_some(whole + thousandths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_weight_is_a_thousandth(thousandths in 0u16..=1000) {
            let text = format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
            prop_assert_eq!(weight(text.as_bytes()), Some(thousandths));
        }
    }
}
