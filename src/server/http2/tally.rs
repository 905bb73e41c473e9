//! What one client's frames cost beside what they are good for. Pure.
//!
//! h2 bounds what a client can have it keep; it answers a PING, a SETTINGS and a reset of a stream
//! as often as they come. Each is cheap, and none is worth anything by itself: a connection on
//! which they outgrow the work that is done is a flood (CVE-2019-9512, -9515, CVE-2023-44487).
//! Frames are counted by their headers (RFC 9113 section 4.1), under h2; what they mean is h2's to
//! say.

use std::time::Duration;

/// RFC 9113 section 3.4: what a client sends before its first frame.
const PREFACE_LEN: usize = 24;
/// RFC 9113 section 4.1.
const HEADER_LEN: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;

/// Frames that carry nothing, before anything was earned: a browser sends a dozen as it connects.
const FRAMES_FREE: u64 = 1000;
/// Each second of a connection's life earns so many: probes for life, and for the round trip.
const FRAMES_A_SECOND: u64 = 10;
/// And each request: a window's update and a priority or two.
const FRAMES_A_REQUEST: u64 = 8;
/// And each piece of an answer: clients open the stream's and the connection's window behind it.
const FRAMES_A_PIECE: u64 = 4;
/// And each so many bytes of a body, either way.
const BYTES_A_FRAME: u64 = 1024;

/// Requests that a client may take back, before any was left to its end: a page of images that is
/// scrolled past.
const RESETS_FREE: u64 = 200;
/// Beyond those, one in so many requests.
const REQUESTS_A_RESET: u64 = 2;

/// Why a client is told to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offence {
    /// Its first frame is no SETTINGS (RFC 9113 section 3.4).
    NoSettings,
    /// Frames that carry nothing.
    Frames,
    /// Requests that are taken back as they come.
    Resets,
}

/// The count of one connection.
#[derive(Debug)]
pub struct Tally {
    preface_left: usize,
    header: [u8; HEADER_LEN],
    /// How much of the header is here.
    known: usize,
    /// What is to come of the present frame's payload.
    payload_left: usize,
    /// The first frame was what it has to be; `None` before it.
    settled: Option<bool>,
    frames: u64,
    earned: u64,
    /// Bytes of bodies that have not earned a frame yet.
    change: u64,
    requests: u64,
    resets: u64,
}

impl Tally {
    pub fn new() -> Tally {
        Tally {
            preface_left: PREFACE_LEN,
            header: [0; HEADER_LEN],
            known: 0,
            payload_left: 0,
            settled: None,
            frames: 0,
            earned: 0,
            change: 0,
            requests: 0,
            resets: 0,
        }
    }

    /// Takes what has come from the client.
    pub fn read(&mut self, mut bytes: &[u8]) {
        let preface = self.preface_left.min(bytes.len());
        self.preface_left -= preface;
        bytes = &bytes[preface..];
        while !bytes.is_empty() {
            if self.payload_left > 0 {
                let here = self.payload_left.min(bytes.len());
                self.payload_left -= here;
                bytes = &bytes[here..];
                continue;
            }
            let here = (HEADER_LEN - self.known).min(bytes.len());
            self.header[self.known..self.known + here].copy_from_slice(&bytes[..here]);
            self.known += here;
            bytes = &bytes[here..];
            if self.known == HEADER_LEN {
                self.count();
            }
        }
    }

    fn count(&mut self) {
        let [high, middle, low, kind, ..] = self.header;
        self.known = 0;
        self.settled.get_or_insert(kind == SETTINGS);
        self.payload_left = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        match kind {
            HEADERS => {
                self.requests += 1;
                self.earned += FRAMES_A_REQUEST;
            }
            DATA if self.payload_left > 0 => self.carried(self.payload_left as u64),
            RST_STREAM => {
                self.resets += 1;
                self.frames += 1;
            }
            // All others, those among them that RFC 9113 does not know, carry nothing.
            _ => self.frames += 1,
        }
    }

    /// A piece of an answer goes to the client.
    pub fn wrote(&mut self, bytes: usize) {
        self.earned += FRAMES_A_PIECE;
        self.carried(bytes as u64);
    }

    fn carried(&mut self, bytes: u64) {
        self.change += bytes;
        self.earned += self.change / BYTES_A_FRAME;
        self.change %= BYTES_A_FRAME;
    }

    /// What the client does that no sound one does, after so long a life.
    pub fn offence(&self, age: impl FnOnce() -> Duration) -> Option<Offence> {
        if self.settled == Some(false) {
            return Some(Offence::NoSettings);
        }
        let frames = self.frames.saturating_sub(FRAMES_FREE + self.earned);
        let resets = self.resets.saturating_sub(RESETS_FREE + self.requests / REQUESTS_A_RESET);
        if frames == 0 && resets == 0 {
            return None;
        }
        let seconds = age().as_secs();
        match (frames > seconds * FRAMES_A_SECOND, resets > seconds) {
            (true, _) => Some(Offence::Frames),
            (false, true) => Some(Offence::Resets),
            (false, false) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PING: u8 = 6;
    const WINDOW_UPDATE: u8 = 8;

    fn frame(kind: u8, payload: usize) -> Vec<u8> {
        let length = u32::try_from(payload).unwrap().to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, 0, 0, 0, 0, 1];
        frame.resize(HEADER_LEN + payload, 0);
        frame
    }

    /// A tally that has read the preface and these, cut into pieces of every size.
    fn told(frames: &[Vec<u8>]) -> Tally {
        let all = [vec![0; PREFACE_LEN], frame(SETTINGS, 0), frames.concat()].concat();
        let mut whole = Tally::new();
        whole.read(&all);
        for size in [1, 2, 8, 9, 10, 23, 24, 25, 1000] {
            let mut cut = Tally::new();
            all.chunks(size).for_each(|piece| cut.read(piece));
            let found = |tally: &Tally| (tally.frames, tally.earned, tally.requests, tally.resets);
            assert_eq!(found(&cut), found(&whole), "pieces of {size}");
        }
        whole
    }

    fn flood(frames: &[Vec<u8>], age: u64) -> Option<Offence> {
        told(frames).offence(|| Duration::from_secs(age))
    }

    #[test]
    fn frames_that_carry_nothing_are_a_flood() {
        for kind in [SETTINGS, PING, WINDOW_UPDATE, 2, 9, 0xbe] {
            let payload = usize::from(kind == PING) * 8;
            assert_eq!(flood(&vec![frame(kind, payload); 999], 0), None, "{kind}");
            assert_eq!(
                flood(&vec![frame(kind, payload); 1000], 0),
                Some(Offence::Frames),
                "{kind}"
            );
            assert_eq!(flood(&vec![frame(kind, payload); 1000], 1), None, "{kind}, in a second");
        }
        assert_eq!(flood(&vec![frame(DATA, 0); 1000], 0), Some(Offence::Frames));
        assert_eq!(flood(&vec![frame(DATA, 1); 5000], 0), None, "h2 has a budget for those");
    }

    #[test]
    fn a_client_begins_with_settings() {
        let mut tally = Tally::new();
        tally.read(&[vec![0; PREFACE_LEN], frame(PING, 8)].concat());
        assert_eq!(tally.offence(|| Duration::ZERO), Some(Offence::NoSettings));
    }

    #[test]
    fn work_earns_them() {
        let upload = [vec![frame(DATA, 16384); 63], vec![frame(PING, 8); 1999]].concat();
        assert_eq!(flood(&upload, 0), None);
        let asked = [vec![frame(HEADERS, 20); 125], vec![frame(2, 5); 1999]].concat();
        assert_eq!(flood(&asked, 0), None);
        let mut downloads = told(&vec![frame(WINDOW_UPDATE, 4); 1999]);
        assert_eq!(downloads.offence(|| Duration::ZERO), Some(Offence::Frames));
        (0..250).for_each(|_| downloads.wrote(30));
        assert_eq!(downloads.offence(|| Duration::ZERO), None);
    }

    #[test]
    fn requests_that_are_taken_back_are_a_flood() {
        let taken_back = [frame(HEADERS, 20), frame(RST_STREAM, 4)].concat();
        assert_eq!(flood(&vec![taken_back.clone(); 400], 0), None);
        assert_eq!(flood(&vec![taken_back.clone(); 402], 0), Some(Offence::Resets));
        assert_eq!(flood(&vec![taken_back; 402], 10), None);
        let half = [frame(HEADERS, 20), frame(HEADERS, 20), frame(RST_STREAM, 4)].concat();
        assert_eq!(flood(&vec![half; 20_000], 0), None);
    }
}
