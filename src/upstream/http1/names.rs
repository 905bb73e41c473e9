//! Field names from their bytes. Those that a browser sends with every request and that the `http`
//! crate has no number for are known without a copy of each in the heap. Pure.

use http::HeaderName;
use http::header::InvalidHeaderName;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PRIORITY: HeaderName = HeaderName::from_static("priority");
const SEC_CH_UA: HeaderName = HeaderName::from_static("sec-ch-ua");
const SEC_CH_UA_MOBILE: HeaderName = HeaderName::from_static("sec-ch-ua-mobile");
const SEC_CH_UA_PLATFORM: HeaderName = HeaderName::from_static("sec-ch-ua-platform");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_USER: HeaderName = HeaderName::from_static("sec-fetch-user");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_POWERED_BY: HeaderName = HeaderName::from_static("x-powered-by");
const X_REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");

/// A field's name, in any case of letters.
///
/// # Errors
/// As [`HeaderName::from_bytes`].
pub fn read(name: &[u8]) -> Result<HeaderName, InvalidHeaderName> {
    match usual(name) {
        Some(known) if is(name, known.as_str().as_bytes()) => Ok(known),
        _ => HeaderName::from_bytes(name),
    }
}

/// The usual name that this one can be, if any.
#[inline]
fn usual(name: &[u8]) -> Option<HeaderName> {
    Some(match (name.len(), name.first()? | 0x20) {
        (8, b'p') => PRIORITY,
        (9, b's') => SEC_CH_UA,
        (10, b'k') => KEEP_ALIVE,
        (12, b'x') => X_POWERED_BY,
        (14, b's') => match name[10] | 0x20 {
            b'u' => SEC_FETCH_USER,
            b'd' => SEC_FETCH_DEST,
            b'm' => SEC_FETCH_MODE,
            _ => SEC_FETCH_SITE,
        },
        (15, b'x') => X_FORWARDED_FOR,
        (16, b's') => SEC_CH_UA_MOBILE,
        (16, b'x') => X_REQUESTED_WITH,
        (18, b's') => SEC_CH_UA_PLATFORM,
        _ => return None,
    })
}

/// Whether a name is this known one of the same length, which is of letters and hyphens, and of
/// eight at least.
fn is(name: &[u8], known: &[u8]) -> bool {
    // Letters differ in one bit from their capitals; hyphens, without the bit before it, in none.
    let differ = |name: &[u8; 8], known: &[u8; 8]| {
        let (name, known) = (u64::from_ne_bytes(*name), u64::from_ne_bytes(*known));
        (name ^ known) & !((known & 0x4040_4040_4040_4040) >> 1)
    };
    let chunks = name.as_chunks().0.iter().zip(known.as_chunks().0);
    let ends = name.last_chunk().zip(known.last_chunk());
    chunks.chain(ends).fold(0, |any, (name, known)| any | differ(name, known)) == 0
}

#[cfg(test)]
mod tests {
    use http::header;
    use proptest::prelude::*;

    use super::*;

    const USUAL: [HeaderName; 12] = [
        KEEP_ALIVE,
        PRIORITY,
        SEC_CH_UA,
        SEC_CH_UA_MOBILE,
        SEC_CH_UA_PLATFORM,
        SEC_FETCH_DEST,
        SEC_FETCH_MODE,
        SEC_FETCH_SITE,
        SEC_FETCH_USER,
        X_FORWARDED_FOR,
        X_POWERED_BY,
        X_REQUESTED_WITH,
    ];

    #[test]
    fn usual_names_are_told_in_every_case_of_letters() {
        for name in USUAL {
            let capitals = name.as_str().to_ascii_uppercase();
            for bytes in [name.as_str(), &capitals] {
                assert_eq!(usual(bytes.as_bytes()), Some(name.clone()), "{bytes}");
                assert_eq!(read(bytes.as_bytes()).unwrap(), name);
            }
        }
        assert_eq!(read(b"Server").unwrap(), header::SERVER);
    }

    proptest! {
        /// A name is read as the crate reads it, whatever the bytes, near misses too.
        #[test]
        fn a_name_is_what_the_crate_makes_of_it(
            number in 0..USUAL.len(),
            changed in prop::option::of((0..20usize, any::<u8>())),
            free in prop::option::of(prop::collection::vec(any::<u8>(), 0..20)),
        ) {
            let mut bytes = free.unwrap_or_else(|| USUAL[number].as_str().as_bytes().to_vec());
            if let Some((at, byte)) = changed && let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            let (ours, theirs) = (read(&bytes), HeaderName::from_bytes(&bytes));
            prop_assert_eq!(ours.is_ok(), theirs.is_ok());
            prop_assert_eq!(ours.ok(), theirs.ok());
        }
    }
}
