//! Extended DNS errors: what a resolver says of its failure beside the rcode (RFC 8914).
//!
//! hickory hands the options of the OPT record over as bytes; what stands in them is read here.
//! What the codes mean is no business of this room. Pure.

use hickory_resolver::proto::op::Edns;
use hickory_resolver::proto::rr::rdata::opt::EdnsOption;

/// RFC 8914 section 2: the option's code.
const OPTION_CODE: u16 = 15;
/// One answer may carry several (RFC 8914 section 2); those beyond are repetitions.
const ERRORS_MAX: usize = 4;
/// Bytes of EXTRA-TEXT that are kept; it is meant for people (RFC 8914 section 2).
const TEXT_BYTES_MAX: usize = 256;

/// One extended error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extended {
    /// INFO-CODE, of IANA's registry.
    pub code: u16,
    /// EXTRA-TEXT; empty where the resolver gave none.
    pub text: String,
}

/// The extended errors of an answer, in its order.
pub fn extended(edns: &Edns) -> Vec<Extended> {
    let options = edns.options().as_ref().iter();
    let errors = options.filter_map(|(_, option)| match option {
        EdnsOption::Unknown(OPTION_CODE, bytes) => read(bytes),
        // The other kinds that hickory has are other options.
        _ => None,
    });
    errors.take(ERRORS_MAX).collect()
}

/// Reads one option; `None` where it is too short for its code (RFC 8914 section 2).
fn read(option: &[u8]) -> Option<Extended> {
    let (code, text) = option.split_first_chunk::<2>()?;
    let text = &text[..text.len().min(TEXT_BYTES_MAX)];
    // It may end with a NUL, and what is no UTF-8 is for a human's eye all the same.
    let text = String::from_utf8_lossy(text).trim_end_matches('\0').to_owned();
    Some(Extended { code: u16::from_be_bytes(*code), text })
}

#[cfg(test)]
mod tests {
    use hickory_resolver::proto::op::Message;
    use proptest::prelude::*;

    use super::*;

    /// A SERVFAIL for `a.` with these options in its OPT record (RFC 6891 section 6.1.2).
    fn answer(options: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 7, 0x81, 0x82, 0, 1, 0, 0, 0, 0, 0, 1];
        bytes.extend(b"\x01a\0\0\x01\0\x01");
        bytes.extend(b"\0\0\x29\x04\xd0\0\0\0\0");
        bytes.extend(u16::try_from(options.len()).unwrap().to_be_bytes());
        bytes.extend(options);
        bytes
    }

    fn heard(bytes: &[u8]) -> Option<Vec<Extended>> {
        Message::from_vec(bytes).ok()?.edns.as_ref().map(extended)
    }

    fn error(code: u16, text: &str) -> Extended {
        Extended { code, text: text.to_owned() }
    }

    #[test]
    fn every_error_of_an_answer_is_read_in_its_order() {
        let long = [b"\0\x0f\x02\x02\0\x17".as_slice(), &[b'x'; 512]].concat();
        let many = b"\0\x0f\0\x02\0\x06".repeat(9);
        for (options, expected) in [
            (b"".as_slice(), vec![]),
            (b"\0\x0f\0\x02\0\x06", vec![error(6, "")]),
            (b"\0\x0f\0\x09\0\x16at edge", vec![error(22, "at edge")]),
            (b"\0\x0f\0\x04\0\x07ok\0\x0f\0\x02\0\x09", vec![error(7, "ok"), error(9, "")]),
            // A NUL at its end, and bytes that are no UTF-8.
            (b"\0\x0f\0\x05\0\x17no\0", vec![error(23, "no")]),
            (b"\0\x0f\0\x04\0\x17n\xff", vec![error(23, "n\u{fffd}")]),
            // Too short for a code, and an option of another kind (NSID).
            (b"\0\x0f\0\x01\0\0\x0f\0\x02\0\x16", vec![error(22, "")]),
            (b"\0\x03\0\x02hi", vec![]),
            (&long, vec![error(23, &"x".repeat(TEXT_BYTES_MAX))]),
            (&many, vec![error(6, ""); ERRORS_MAX]),
        ] {
            let shown = options.escape_ascii();
            assert_eq!(heard(&answer(options)), Some(expected), "{shown}");
        }
    }

    #[test]
    fn an_answer_cut_anywhere_is_no_answer() {
        let whole = answer(b"\0\x0f\0\x09\0\x16at edge");
        for cut in 0..whole.len() {
            assert_eq!(heard(&whole[..cut]), None, "cut at {cut}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn any_options_are_read_within_bounds(
            noise in proptest::collection::vec(any::<u8>(), 0..99),
        ) {
            let _ = heard(&noise);
            for options in [noise.clone(), [b"\0\x0f\0\x63".as_slice(), &noise].concat()] {
                let errors = heard(&answer(&options)).unwrap_or_default();
                prop_assert!(errors.len() <= ERRORS_MAX);
                // A byte that is no UTF-8 becomes three.
                prop_assert!(errors.iter().all(|one| one.text.len() <= 3 * TEXT_BYTES_MAX));
            }
        }
    }
}
