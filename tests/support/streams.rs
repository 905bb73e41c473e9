//! One connection of HTTP/2 over TLS whose streams are accounted for one by one: answered, given
//! back by a GOAWAY, or lost.
//!
//! It speaks the frames itself, since the difference lies in a number that client libraries keep
//! to themselves: a server has not processed, and does not process, the streams above the last one
//! that its GOAWAY names, so that those may be asked again elsewhere (RFC 9113 section 6.8).
//! Whatever else remains without an answer is lost.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use rustls::ClientConnection;

/// RFC 9113 section 3.4, with empty SETTINGS, and a connection's window that lasts.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\
    \x00\x00\x00\x04\x00\x00\x00\x00\x00\
    \x00\x00\x04\x08\x00\x00\x00\x00\x00\x7f\xff\x00\x00";
/// `:method` GET, `:scheme` https and `:path` / from the static table, and an `:authority` that is
/// not put into the dynamic one (RFC 7541 appendix A and section 6.2.2).
const REQUEST: &[u8] = b"\x82\x87\x84\x01\x0cshop.example";
/// The static table's `:status` 200, whole.
const OK: u8 = 0x88;

const HEAD_BYTES: usize = 9;
/// What a peer may send whose SETTINGS we have left as they are.
const FRAME_MAX: usize = 16 * 1024;

/// Types and flags of frames (RFC 9113 section 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// A connection after its handshake.
#[derive(Debug)]
pub struct Streams {
    tls: ClientConnection,
    tcp: TcpStream,
    /// What has come of the next frame.
    input: Vec<u8>,
    next: u32,
    /// When those began that have no answer.
    open: BTreeMap<u32, Instant>,
    /// The last stream that the server takes, once it has said so.
    last: Option<u32>,
    /// Why nothing more can be sent.
    deaf: Option<io::ErrorKind>,
}

/// RFC 9113 section 4.1.
#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

/// What became of streams.
#[derive(Debug)]
pub enum Event {
    Answered(Instant),
    /// The server has not processed these, and does not.
    GivenBack(Vec<Instant>),
    /// It has answered with something else.
    Failed(String),
    /// Nothing yet.
    None,
}

impl Streams {
    /// Over a connection on which `h2` was agreed.
    pub fn new(tls: ClientConnection, tcp: TcpStream) -> Streams {
        assert_eq!(tls.alpn_protocol(), Some(&b"h2"[..]), "the server speaks HTTP/2");
        let (input, open) = (Vec::new(), BTreeMap::new());
        let mut streams = Streams { tls, tcp, input, next: 1, open, last: None, deaf: None };
        streams.send(PREFACE);
        streams
    }

    /// How many are without an answer.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Whether another request may be sent.
    pub fn is_taking(&self) -> bool {
        !self.is_sent_away() && self.deaf.is_none()
    }

    /// Whether the server has said that it takes no more.
    pub fn is_sent_away(&self) -> bool {
        self.last.is_some()
    }

    /// Asks on a new stream. That it could not be sent is told by `next`: what the server has said
    /// before comes first.
    pub fn ask(&mut self, began: Instant) {
        let mut frame = head(REQUEST.len(), HEADERS, END_HEADERS | END_STREAM, self.next);
        frame.extend_from_slice(REQUEST);
        self.open.insert(self.next, began);
        self.next += 2;
        self.send(&frame);
    }

    /// Reads the next frame.
    ///
    /// # Errors
    /// The connection has ended: why, and how it leaves each stream that was open.
    pub fn next(&mut self) -> Result<Event, String> {
        let ended = match self.frame() {
            Ok(Some(frame)) => return Ok(self.take(&frame)),
            Ok(None) => "closed".to_owned(),
            Err(error) => error.kind().to_string(),
        };
        let sent = self.deaf.map(|kind| format!(" ({kind} when sending)")).unwrap_or_default();
        Err(match self.last {
            Some(_) => format!("lost streams that a GOAWAY had let stand: {ended}{sent}"),
            None => format!("lost streams without a GOAWAY: {ended}{sent}"),
        })
    }

    fn take(&mut self, frame: &Frame) -> Event {
        let Frame { kind, flags, stream, ref payload } = *frame;
        match kind {
            HEADERS if payload.first() != Some(&OK) => self.fails(stream, "another status"),
            RST_STREAM => self.fails(stream, &format!("RST_STREAM {payload:?}")),
            DATA | HEADERS if flags & END_STREAM != 0 => match self.open.remove(&stream) {
                Some(began) => Event::Answered(began),
                None => Event::Failed(format!("an answer that nobody asked for: {stream}")),
            },
            SETTINGS if flags & ACK == 0 => {
                self.send(&head(0, SETTINGS, ACK, 0));
                Event::None
            }
            PING if flags & ACK == 0 => {
                let mut answer = head(payload.len(), PING, ACK, 0);
                answer.extend_from_slice(payload);
                self.send(&answer);
                Event::None
            }
            GOAWAY => {
                let (last, error) = (number(payload), number(payload.get(4..).unwrap_or_default()));
                if error != 0 {
                    return Event::Failed(format!("GOAWAY with error {error}"));
                }
                self.last = Some(last);
                Event::GivenBack(
                    self.open.split_off(&last.saturating_add(1)).into_values().collect(),
                )
            }
            _ => Event::None,
        }
    }

    fn fails(&mut self, stream: u32, what: &str) -> Event {
        self.open.remove(&stream);
        Event::Failed(what.to_owned())
    }

    fn send(&mut self, bytes: &[u8]) {
        if self.deaf.is_some() {
            return;
        }
        let sent = self.tls.writer().write_all(bytes).and_then(|()| {
            while self.tls.wants_write() {
                self.tls.write_tls(&mut self.tcp)?;
            }
            Ok(())
        });
        self.deaf = sent.err().map(|error| error.kind());
    }

    /// The next frame; `None` at the end.
    fn frame(&mut self) -> io::Result<Option<Frame>> {
        loop {
            if let Some((first, rest)) = self.input.split_at_checked(HEAD_BYTES) {
                let length = usize::try_from(number(&[&[0], &first[..3]].concat()));
                let length = length.map_err(io::Error::other)?;
                assert!(length <= FRAME_MAX, "a frame of {length} bytes");
                if let Some(payload) = rest.get(..length) {
                    let stream = number(&first[5..]);
                    let (kind, flags, payload) = (first[3], first[4], payload.to_vec());
                    self.input.drain(..HEAD_BYTES + length);
                    return Ok(Some(Frame { kind, flags, stream, payload }));
                }
            }
            let mut piece = [0; 4096];
            match self.tls.reader().read(&mut piece) {
                Ok(0) => return Ok(None),
                Ok(read) => self.input.extend_from_slice(&piece[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // At the end the reader says next whether it was announced.
                    self.tls.read_tls(&mut self.tcp)?;
                    self.tls.process_new_packets().map_err(io::Error::other)?;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// A frame's first nine bytes (RFC 9113 section 4.1).
fn head(length: usize, kind: u8, flags: u8, stream: u32) -> Vec<u8> {
    let length = u32::try_from(length).expect("a short frame").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat()
}

/// The first four bytes as a number without the reserved bit.
fn number(bytes: &[u8]) -> u32 {
    let bytes = bytes.first_chunk().expect("a peer whose frames are whole");
    u32::from_be_bytes(*bytes) & (u32::MAX >> 1)
}
