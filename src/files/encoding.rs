//! Accept-Encoding: which of a file's compressed copies a client takes (RFC 9110 §12.5.3).
//!
//! Pure. Whether there is such a copy is not known here.

use http::header::{ACCEPT_ENCODING, HeaderMap};

/// A coding that a copy beside the file may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    Brotli,
    Gzip,
}

/// A weight in thousandths, as exact as a qvalue can be (RFC 9110 §12.4.2).
type Weight = u16;
const FULL: Weight = 1000;

impl Coding {
    /// As Content-Encoding names it.
    pub fn name(self) -> &'static str {
        match self {
            Coding::Brotli => "br",
            Coding::Gzip => "gzip",
        }
    }

    /// What follows the file's name in the copy's.
    pub fn extension(self) -> &'static str {
        match self {
            Coding::Brotli => ".br",
            Coding::Gzip => ".gz",
        }
    }

    /// What tells the copy's entity tag from the file's.
    pub fn tag_suffix(self) -> &'static str {
        match self {
            Coding::Brotli => "-br",
            Coding::Gzip => "-gz",
        }
    }
}

/// The codings that the client takes, the one to prefer first.
///
/// Of equal weight Brotli comes first, being smaller; none comes that weighs less than the bare
/// file is said to. A malformed item names nothing.
pub fn wanted(headers: &HeaderMap) -> impl Iterator<Item = Coding> {
    let mut weights = Weights::default();
    for value in headers.get_all(ACCEPT_ENCODING) {
        for item in value.as_bytes().split(|byte| *byte == b',') {
            weights.add(item);
        }
    }
    let least = weights.identity.unwrap_or(0).max(1);
    let brotli = weights.of(weights.brotli);
    let gzip = weights.of(weights.gzip);
    let ordered = match brotli >= gzip {
        true => [(Coding::Brotli, brotli), (Coding::Gzip, gzip)],
        false => [(Coding::Gzip, gzip), (Coding::Brotli, brotli)],
    };
    ordered.into_iter().filter(move |(_, weight)| *weight >= least).map(|(coding, _)| coding)
}

#[derive(Debug, Default)]
struct Weights {
    brotli: Option<Weight>,
    gzip: Option<Weight>,
    identity: Option<Weight>,
    /// `*`: those that are not named.
    others: Option<Weight>,
}

impl Weights {
    fn add(&mut self, item: &[u8]) {
        let mut parts = item.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let name = parts.next().unwrap_or_default();
        let Some(weight) = parts.next().map_or(Some(FULL), weight) else { return };
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        // RFC 9110 §8.4.1.3: x-gzip is gzip.
        if is(b"br") {
            self.brotli = Some(weight);
        } else if is(b"gzip") || is(b"x-gzip") {
            self.gzip = Some(weight);
        } else if is(b"identity") {
            self.identity = Some(weight);
        } else if is(b"*") {
            self.others = Some(weight);
        }
    }

    fn of(&self, named: Option<Weight>) -> Weight {
        named.or(self.others).unwrap_or(0)
    }
}

/// Reads `q=0.5`: at most three digits after the point, at most one (RFC 9110 §12.4.2).
fn weight(parameter: &[u8]) -> Option<Weight> {
    let value = parameter.strip_prefix(b"q=").or_else(|| parameter.strip_prefix(b"Q="))?;
    let (first, rest) = value.split_first()?;
    let digits = match rest {
        [] => rest,
        [b'.', digits @ ..] => digits,
        [_, ..] => return None,
    };
    if digits.len() > 3 || !matches!(first, b'0' | b'1') || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let mut weight = Weight::from(first - b'0');
    for at in 0..3 {
        weight = weight * 10 + digits.get(at).map_or(0, |digit| Weight::from(digit - b'0'));
    }
    (weight <= FULL).then_some(weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codings() {
        for (value, expected) in [
            ("", ""),
            ("gzip", "gzip"),
            ("br", "br"),
            ("gzip, deflate, br, zstd", "br gzip"),
            ("GZIP;Q=1.0", "gzip"),
            ("x-gzip", "gzip"),
            ("gzip;q=1, br;q=0.5", "gzip br"),
            ("gzip;q=0.001, br;q=0.002", "br gzip"),
            ("gzip;q=0, br;q=0.000", ""),
            ("*", "br gzip"),
            ("*;q=0.5, gzip", "gzip br"),
            ("br;q=0, *", "gzip"),
            ("identity", ""),
            ("identity, gzip", "gzip"),
            ("identity, gzip;q=0.5", ""),
            ("identity;q=0, gzip;q=0.1", "gzip"),
            ("gzip ; q=0.5 ,, br", "br gzip"),
            ("gzip;q=2", ""),
            ("gzip;q=1.001", ""),
            ("gzip;q=0.0001", ""),
            ("gzip;q=", ""),
            ("gzip;q=.5", ""),
            ("gzip;q=a", ""),
            ("gzip;level=9", ""),
            ("deflate", ""),
            ("brotli, gzipped", ""),
        ] {
            let mut headers = HeaderMap::new();
            headers.append(ACCEPT_ENCODING, value.parse().unwrap());
            let names: Vec<&str> = wanted(&headers).map(Coding::name).collect();
            assert_eq!(names.join(" "), expected, "{value}");
        }
        assert_eq!(wanted(&HeaderMap::new()).count(), 0);
    }

    #[test]
    fn fields_in_several_lines() {
        let mut headers = HeaderMap::new();
        headers.append(ACCEPT_ENCODING, "deflate".parse().unwrap());
        headers.append(ACCEPT_ENCODING, "gzip".parse().unwrap());
        assert!(wanted(&headers).eq([Coding::Gzip]));
    }
}
