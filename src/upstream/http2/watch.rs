//! The frames that a peer sends, as far as a diagnosis needs them: whether they are frames at all,
//! and what a GOAWAY said. Pure.
//!
//! The h2 crate decides what frames mean; of a GOAWAY it keeps the last stream to itself, and of a
//! peer of another protocol it knows only a frame that is too long.

use crate::upstream::attempt::FIRST_BYTES_MAX;

/// RFC 9113 section 4.1.
const HEADER_LEN: usize = 9;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
/// Last stream and error code (RFC 9113 section 6.8).
const GOAWAY_FIXED: usize = 8;
/// RFC 9113 section 7.
const NO_ERROR: u32 = 0;
/// As much of a GOAWAY's debug data is kept to be shown.
const DEBUG_MAX: usize = 200;

/// What was seen of one connection.
#[derive(Debug, Default)]
pub struct Watch {
    first_bytes: Vec<u8>,
    sound: bool,
    settled: bool,
    header: Vec<u8>,
    /// What is to come of the present frame.
    left: usize,
    /// The present frame's payload, while it is a GOAWAY.
    payload: Option<Vec<u8>>,
    farewell: Option<Farewell>,
}

/// What the peer said with GOAWAY, once or more often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Farewell {
    /// Streams with a higher number were not processed.
    pub last_stream: u32,
    pub code: u32,
    pub debug: Vec<u8>,
}

impl Watch {
    /// Takes what has come. False: this is no HTTP/2.
    pub fn feed(&mut self, mut bytes: &[u8]) -> bool {
        if !self.sound {
            let room = FIRST_BYTES_MAX - self.first_bytes.len();
            self.first_bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
            if !may_begin(&self.first_bytes) {
                return false;
            }
            self.sound = self.first_bytes.len() >= HEADER_LEN;
        }
        while !bytes.is_empty() {
            bytes = match self.left {
                0 => self.take_header(bytes),
                _ => self.take_payload(bytes),
            };
            self.settled |= self.left == 0 && self.header.is_empty();
        }
        true
    }

    /// The first bytes, of a peer that spoke no HTTP/2; `None` of any other.
    pub fn foreign(&self) -> Option<&[u8]> {
        (!may_begin(&self.first_bytes)).then_some(&self.first_bytes)
    }

    /// Whether the first frame has come whole: the SETTINGS are known.
    pub fn is_settled(&self) -> bool {
        self.settled
    }

    pub fn farewell(&self) -> Option<&Farewell> {
        self.farewell.as_ref()
    }

    fn take_header<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let wanted = HEADER_LEN - self.header.len();
        let (here, rest) = bytes.split_at(wanted.min(bytes.len()));
        self.header.extend_from_slice(here);
        if let [high, middle, low, kind, _flags, _stream @ ..] = &self.header[..]
            && self.header.len() == HEADER_LEN
        {
            self.left = usize::from(*high) << 16 | usize::from(*middle) << 8 | usize::from(*low);
            self.payload = (*kind == GOAWAY).then(Vec::new);
            self.header.clear();
        }
        rest
    }

    fn take_payload<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let (here, rest) = bytes.split_at(self.left.min(bytes.len()));
        self.left -= here.len();
        if let Some(payload) = &mut self.payload {
            let room = GOAWAY_FIXED + DEBUG_MAX - payload.len();
            payload.extend_from_slice(&here[..here.len().min(room)]);
        }
        if self.left == 0
            && let Some(payload) = self.payload.take()
            && let Some((fixed, debug)) = payload.split_first_chunk::<GOAWAY_FIXED>()
        {
            let [a, b, c, d, e, f, g, h] = *fixed;
            // The first bit is reserved.
            let last_stream = u32::from_be_bytes([a & 0x7f, b, c, d]);
            let code = u32::from_be_bytes([e, f, g, h]);
            self.say_farewell(Farewell { last_stream, code, debug: debug.to_vec() });
        }
        rest
    }
}

impl Watch {
    /// A later GOAWAY may only take back more (RFC 9113 section 6.8), and what it says of the
    /// reason is often an echo: servers send NO_ERROR behind an error as they close.
    fn say_farewell(&mut self, mut said: Farewell) {
        if let Some(before) = self.farewell.take() {
            let last_stream = said.last_stream.min(before.last_stream);
            if before.code != NO_ERROR {
                said = before;
            }
            said.last_stream = last_stream;
        }
        self.farewell = Some(said);
    }
}

/// Whether a server's first bytes may be HTTP/2: a SETTINGS frame (RFC 9113 section 3.4), or the
/// GOAWAY of one that refuses at once, on stream 0 and of a length that each may have.
fn may_begin(bytes: &[u8]) -> bool {
    bytes.iter().take(HEADER_LEN).enumerate().all(|(at, &byte)| match at {
        0 => byte == 0,
        3 => matches!(byte, SETTINGS | GOAWAY),
        5..=8 => byte == 0,
        _ => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &[u8] = b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64\
        \0\0\0\x04\x01\0\0\0\0\
        \0\0\x0c\x07\0\0\0\0\0\x80\0\0\x05\0\0\0\x0bcalm\
        \0\0\x02\0\x01\0\0\0\x01hi";

    fn sample() -> Farewell {
        Farewell { last_stream: 5, code: 11, debug: b"calm".to_vec() }
    }

    #[test]
    fn a_goaway_is_read_wherever_the_bytes_are_split() {
        for at in 0..=SAMPLE.len() {
            let mut watch = Watch::default();
            assert!(watch.feed(&SAMPLE[..at]) && watch.feed(&SAMPLE[at..]));
            assert_eq!(watch.farewell(), Some(&sample()), "split at {at}");
            assert_eq!(watch.foreign(), None);
        }
        let mut watch = Watch::default();
        assert!(SAMPLE.iter().all(|byte| watch.feed(&[*byte])));
        assert_eq!(watch.farewell(), Some(&sample()));
    }

    #[test]
    fn the_reason_is_the_first_error_and_the_last_stream_the_lowest() {
        let goaway = |last_stream: u8, code: u8| {
            [b"\0\0\x08\x07\0\0\0\0\0\0\0\0".as_slice(), &[last_stream, 0, 0, 0, code]].concat()
        };
        for (sent, last_stream, code) in [
            (vec![goaway(9, 0), goaway(5, 0)], 5, 0),
            (vec![goaway(9, 0), goaway(5, 2)], 5, 2),
            (vec![goaway(9, 11), goaway(5, 0)], 5, 11),
            (vec![goaway(5, 11), goaway(9, 2)], 5, 11),
        ] {
            let mut watch = Watch::default();
            assert!(watch.feed(&sent.concat()));
            let expected = Farewell { last_stream, code, debug: Vec::new() };
            assert_eq!(watch.farewell(), Some(&expected));
        }
    }

    #[test]
    fn truncated_at_each_byte() {
        const SETTINGS_END: usize = 15;
        const GOAWAY_ENDS: usize = SETTINGS_END + 9 + 21;
        for end in 0..SAMPLE.len() {
            let mut watch = Watch::default();
            assert!(watch.feed(&SAMPLE[..end]));
            assert_eq!(watch.farewell().is_some(), end >= GOAWAY_ENDS, "at {end}");
            assert_eq!(watch.is_settled(), end >= SETTINGS_END, "at {end}");
        }
    }

    #[test]
    fn other_protocols_are_not_frames() {
        for bytes in [
            b"HTTP/1.1 400 Bad Request\r\n".as_slice(),
            b"SSH-2.0-OpenSSH_9.2\r\n",
            b"\x15\x03\x01\0\x02\x02\x46",
            b"\x4a\0\0\0\x0a5.5.5",
            b"\x01\x06\0\x01\0\x08",
            b"\0\0\x04\0\0\0\0\0\x01data",
        ] {
            let mut watch = Watch::default();
            assert!(!watch.feed(bytes));
            assert_eq!(watch.foreign(), Some(bytes));
        }
    }

    #[test]
    fn a_short_goaway_says_nothing_and_a_long_one_is_cut() {
        let mut watch = Watch::default();
        assert!(watch.feed(b"\0\0\x04\x07\0\0\0\0\0\0\0\0\x01"));
        assert_eq!(watch.farewell(), None);
        let long =
            [b"\0\x01\x08\x07\0\0\0\0\0\0\0\0\x01\0\0\0\0".as_slice(), &[b'x'; 256]].concat();
        let mut watch = Watch::default();
        assert!(watch.feed(&long));
        assert_eq!(watch.farewell().map(|said| said.debug.len()), Some(DEBUG_MAX));
    }
}
