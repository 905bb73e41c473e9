//! The little FastCGI that a scripted peer speaks: the end of a request found, the records of an
//! answer framed (FastCGI 1.0 section 3.3). Pure.
//!
//! Shares nothing with `upstream`, whose reader these bytes are there to try.

/// Bytes of a record's header.
pub(super) const HEADER_LENGTH: usize = 8;

const VERSION: u8 = 1;
/// Types of records (section 8).
const END_REQUEST: u8 = 3;
const STDIN: u8 = 5;
const STDOUT: u8 = 6;
const STDERR: u8 = 7;
const GET_VALUES: u8 = 9;

/// GET_VALUES_RESULT as PHP-FPM sends it: the name FCGI_MPXS_CONNS, the value 0, six bytes of
/// padding (section 4.1).
pub(super) const VALUES: &[u8] = b"\x01\x0a\0\0\0\x12\x06\0\x0f\x01FCGI_MPXS_CONNS0\0\0\0\0\0\0";

/// What follows a header, and what it means to a peer that reads a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Next {
    /// Content and padding.
    pub(super) length: usize,
    pub(super) meaning: Meaning,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// More of the request comes behind it.
    Part,
    /// The end of the request's input, and so of the request (section 6.2).
    End,
    /// A question about the server itself.
    Question,
}

/// Reads a header; `None` where it is none.
pub(super) fn next(header: [u8; HEADER_LENGTH]) -> Option<Next> {
    let [version, kind, _, _, high, low, padding, _] = header;
    let content = u16::from_be_bytes([high, low]);
    let meaning = match (kind, content) {
        (STDIN, 0) => Meaning::End,
        (GET_VALUES, _) => Meaning::Question,
        _ => Meaning::Part,
    };
    let length = usize::from(content) + usize::from(padding);
    (version == VERSION).then_some(Next { length, meaning })
}

/// What the program prints.
pub(super) fn stdout(bytes: &[u8]) -> Vec<u8> {
    stream(STDOUT, bytes)
}

/// What it complains about.
pub(super) fn stderr(text: &str) -> Vec<u8> {
    stream(STDERR, text.as_bytes())
}

/// The end of the answer. The application's own status comes first, and is 0 (section 5.5).
pub(super) fn end(protocol_status: u8) -> Vec<u8> {
    record(END_REQUEST, &[0, 0, 0, 0, protocol_status, 0, 0, 0])
}

fn stream(kind: u8, bytes: &[u8]) -> Vec<u8> {
    bytes.chunks(usize::from(u16::MAX)).flat_map(|content| record(kind, content)).collect()
}

/// A record of the request 1, padded to a multiple of eight bytes as PHP-FPM does.
fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(content.len()).unwrap_or(u16::MAX).to_be_bytes();
    let padding = content.len().wrapping_neg() % HEADER_LENGTH;
    let header = [VERSION, kind, 0, 1, high, low, padding as u8, 0];
    [&header, content, &[0; HEADER_LENGTH][..padding]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_a_request() {
        let next = |header: &[u8; 8]| super::next(*header).map(|next| (next.length, next.meaning));
        for (header, expected) in [
            (b"\x01\x01\0\x01\0\x08\0\0", Some((8, Meaning::Part))),
            (b"\x01\x04\0\x01\x01\x02\x03\0", Some((261, Meaning::Part))),
            (b"\x01\x05\0\x01\0\x05\0\0", Some((5, Meaning::Part))),
            (b"\x01\x05\0\x01\0\0\0\0", Some((0, Meaning::End))),
            (b"\x01\x09\0\0\0\x11\0\0", Some((17, Meaning::Question))),
            (b"GET / HT", None),
        ] {
            assert_eq!(next(header), expected, "{header:?}");
        }
    }

    #[test]
    fn records_of_an_answer() {
        assert_eq!(stdout(b"hello"), b"\x01\x06\0\x01\0\x05\x03\0hello\0\0\0");
        assert_eq!(stderr("12345678"), b"\x01\x07\0\x01\0\x08\0\x0012345678");
        assert_eq!(end(2), b"\x01\x03\0\x01\0\x08\0\0\0\0\0\0\x02\0\0\0");
        let (first, second) = (8 + 65_535 + 1, 8 + 4465 + 7);
        assert_eq!(stdout(&[b'x'; 70_000]).len(), first + second);
    }
}
