//! Records (FastCGI 1.0 section 3.3): the frames of a request written, those of an answer read.
//! Pure.
//!
//! One request at a time on a connection, always with the id 1. The reader hands content out as it
//! comes, without a copy, and loses no framing over records that are not ours to read: an answer is
//! whole when END_REQUEST has come, and by nothing else.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use thiserror::Error;

/// The most content of one record: its length has 16 bits.
pub const CONTENT_MAX: usize = 0xffff;
/// Bytes of a record's header.
pub const HEADER_LENGTH: usize = 8;
/// The most records in a row that bring no content: empty ones, and those of the management.
pub const IDLE_MAX: u8 = 64;

const VERSION: u8 = 1;
const REQUEST_ID: u16 = 1;
/// Bytes of content of BEGIN_REQUEST and END_REQUEST.
const BODY_LENGTH: usize = 8;

/// Types of records (section 8).
const BEGIN_REQUEST: u8 = 1;
const END_REQUEST: u8 = 3;
const PARAMS: u8 = 4;
const STDIN: u8 = 5;
const STDOUT: u8 = 6;
const STDERR: u8 = 7;
/// From here on, types of management records.
const GET_VALUES: u8 = 9;

/// The streams of a request (sections 5.2 and 5.3). DATA belongs to filters, which we never ask
/// for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Params,
    Stdin,
}

impl Stream {
    /// The header of one of its records, for content that is written from where it stands. A
    /// length of zero ends the stream.
    pub const fn header(self, length: u16) -> [u8; HEADER_LENGTH] {
        let kind = match self {
            Stream::Params => PARAMS,
            Stream::Stdin => STDIN,
        };
        header(kind, length)
    }
}

/// No record of ours is padded: section 3.3 recommends it, and no reader needs it.
const fn header(kind: u8, length: u16) -> [u8; HEADER_LENGTH] {
    let [id_high, id_low] = REQUEST_ID.to_be_bytes();
    let [length_high, length_low] = length.to_be_bytes();
    [VERSION, kind, id_high, id_low, length_high, length_low, 0, 0]
}

/// Begins a request in the role of a responder (section 5.1). With `keep_conn` the application
/// leaves the connection open after its answer.
pub fn begin_request(out: &mut impl BufMut, keep_conn: bool) {
    const RESPONDER: u8 = 1;
    out.put_slice(&header(BEGIN_REQUEST, BODY_LENGTH as u16));
    out.put_slice(&[0, RESPONDER, u8::from(keep_conn), 0, 0, 0, 0, 0]);
}

/// Writes a piece of a stream, in as many records as it takes. An empty piece writes nothing: it
/// would end the stream.
pub fn write_stream(out: &mut impl BufMut, stream: Stream, bytes: &[u8]) {
    for content in bytes.chunks(CONTENT_MAX) {
        let length = u16::try_from(content.len()).expect("chunks of 16 bits' length");
        out.put_slice(&stream.header(length));
        out.put_slice(content);
    }
}

/// Ends a stream with its empty record.
pub fn end_stream(out: &mut impl BufMut, stream: Stream) {
    out.put_slice(&stream.header(0));
}

/// What the reader found.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// A piece of the response, seldom a whole record; never empty.
    Stdout(Bytes),
    /// A piece of the program's complaints; never empty.
    Stderr(Bytes),
    /// END_REQUEST (section 5.5): the answer is whole, or was refused.
    End { app_status: u32, protocol_status: ProtocolStatus },
    /// More bytes are needed; after the end: nothing more is read.
    More,
}

/// How the application's FastCGI layer ended the request (section 5.5). PHP-FPM says `Complete`
/// whatever happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtocolStatus {
    Complete,
    /// FCGI_CANT_MPX_CONN.
    CannotMultiplex,
    Overloaded,
    UnknownRole,
}

/// Bytes that are no answer in FastCGI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RecordFault {
    /// Seldom a newer FastCGI: another protocol's first byte, or framing that was lost.
    #[error("record of version {byte}")]
    Version { byte: u8 },
    #[error("record for the request {id}")]
    RequestId { id: u16 },
    #[error("record of type {kind}")]
    Type { kind: u8 },
    #[error("END_REQUEST of {length} bytes")]
    EndLength { length: u16 },
    #[error("END_REQUEST with the protocol status {value}")]
    ProtocolStatus { value: u8 },
    #[error("more than {limit} records in a row without content")]
    Idle { limit: u8 },
}

/// The reader of the records of one answer.
#[derive(Debug, Default)]
pub struct Records {
    state: State,
    idle: u8,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Header,
    Stdout(Rest),
    Stderr(Rest),
    /// Before the content of END_REQUEST, which is taken at once with its padding.
    End {
        padding: usize,
    },
    /// Padding, or a record that is not read.
    Skip {
        left: usize,
    },
    Done,
}

/// What of a record has not come yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rest {
    content: usize,
    padding: usize,
}

impl Records {
    /// Takes the next event off the input. With [`Event::More`] at most a part of a header or of
    /// END_REQUEST is left in it.
    ///
    /// # Errors
    /// The first fault; the reader is not to be used further.
    pub fn next(&mut self, input: &mut BytesMut) -> Result<Event, RecordFault> {
        loop {
            self.state = match self.state {
                State::Header => match input.first_chunk() {
                    Some(header) => {
                        let state = self.header(header)?;
                        input.advance(HEADER_LENGTH);
                        state
                    }
                    None => return foreign(input).map_or(Ok(Event::More), Err),
                },
                State::Stdout(Rest { content: 0, padding: left })
                | State::Stderr(Rest { content: 0, padding: left }) => State::Skip { left },
                State::Stdout(_) | State::Stderr(_) if input.is_empty() => return Ok(Event::More),
                State::Stdout(ref mut rest) => return Ok(Event::Stdout(rest.take(input))),
                State::Stderr(ref mut rest) => return Ok(Event::Stderr(rest.take(input))),
                State::End { padding } => match input.first_chunk() {
                    Some(body) if input.len() >= body.len() + padding => {
                        let event = end(body)?;
                        input.advance(body.len() + padding);
                        self.state = State::Done;
                        return Ok(event);
                    }
                    Some(_) | None => return Ok(Event::More),
                },
                State::Skip { left: 0 } => State::Header,
                State::Skip { .. } if input.is_empty() => return Ok(Event::More),
                State::Skip { left } => {
                    let here = left.min(input.len());
                    input.advance(here);
                    State::Skip { left: left - here }
                }
                State::Done => return Ok(Event::More),
            };
        }
    }

    /// What a header announces.
    fn header(&mut self, header: &[u8; HEADER_LENGTH]) -> Result<State, RecordFault> {
        let [version, kind, id_high, id_low, length_high, length_low, padding, _] = *header;
        if version != VERSION {
            return Err(RecordFault::Version { byte: version });
        }
        let id = u16::from_be_bytes([id_high, id_low]);
        let length = u16::from_be_bytes([length_high, length_low]);
        let rest = Rest { content: usize::from(length), padding: usize::from(padding) };
        let state = match (id, kind) {
            // Section 4: a management record may come at any time, and asks for nothing here.
            (0, GET_VALUES..) => State::Skip { left: rest.content + rest.padding },
            (REQUEST_ID, STDOUT) => State::Stdout(rest),
            (REQUEST_ID, STDERR) => State::Stderr(rest),
            (REQUEST_ID, END_REQUEST) if rest.content != BODY_LENGTH => {
                return Err(RecordFault::EndLength { length });
            }
            (REQUEST_ID, END_REQUEST) => State::End { padding: rest.padding },
            (REQUEST_ID, _) => return Err(RecordFault::Type { kind }),
            (_, _) => return Err(RecordFault::RequestId { id }),
        };
        // Section 5.3 ends a stream with an empty record. Many send none, some go on behind it;
        // only END_REQUEST counts.
        let idle = id == 0 || length == 0;
        self.idle = if idle { self.idle + 1 } else { 0 };
        match self.idle > IDLE_MAX {
            true => Err(RecordFault::Idle { limit: IDLE_MAX }),
            false => Ok(state),
        }
    }

    /// Whether END_REQUEST was seen.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }
}

impl Rest {
    fn take(&mut self, input: &mut BytesMut) -> Bytes {
        let here = self.content.min(input.len());
        self.content -= here;
        input.split_to(here).freeze()
    }
}

/// The first byte of what is not a record tells it before the header is whole: a banner may be
/// shorter than one.
fn foreign(input: &[u8]) -> Option<RecordFault> {
    let byte = *input.first()?;
    (byte != VERSION).then_some(RecordFault::Version { byte })
}

/// Section 5.5: four bytes of application status, one of protocol status, three reserved.
fn end(body: &[u8; BODY_LENGTH]) -> Result<Event, RecordFault> {
    let [a, b, c, d, value, ..] = *body;
    let protocol_status = match value {
        0 => ProtocolStatus::Complete,
        1 => ProtocolStatus::CannotMultiplex,
        2 => ProtocolStatus::Overloaded,
        3 => ProtocolStatus::UnknownRole,
        _ => return Err(RecordFault::ProtocolStatus { value }),
    };
    Ok(Event::End { app_status: u32::from_be_bytes([a, b, c, d]), protocol_status })
}

/// What came of a whole answer.
#[cfg(any(fuzzing, test))]
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub end: Option<(u32, ProtocolStatus)>,
    pub fault: Option<RecordFault>,
    /// What was not taken; nothing where there is a fault.
    pub left: Vec<u8>,
}

/// Reads an answer that comes in pieces.
#[cfg(any(fuzzing, test))]
pub fn read_all<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Answer {
    let (mut records, mut input) = (Records::default(), BytesMut::new());
    let mut answer = Answer::default();
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            let (data, into) = match records.next(&mut input) {
                Ok(Event::Stdout(data)) => (data, &mut answer.stdout),
                Ok(Event::Stderr(data)) => (data, &mut answer.stderr),
                Ok(Event::End { app_status, protocol_status }) => {
                    assert_eq!(answer.end.replace((app_status, protocol_status)), None);
                    continue;
                }
                Ok(Event::More) => break,
                Err(fault) => return Answer { fault: Some(fault), ..answer },
            };
            assert!(!data.is_empty());
            into.extend_from_slice(&data);
        }
    }
    assert_eq!(records.is_done(), answer.end.is_some());
    Answer { left: input.to_vec(), ..answer }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPLETE: Event = Event::End { app_status: 0, protocol_status: ProtocolStatus::Complete };

    /// A record as an application may write it.
    fn record(kind: u8, id: u16, content: &[u8], padding: u8) -> Vec<u8> {
        let mut bytes = vec![1, kind];
        bytes.extend(id.to_be_bytes());
        bytes.extend(u16::try_from(content.len()).unwrap().to_be_bytes());
        bytes.extend([padding, 0]);
        bytes.extend(content);
        bytes.resize(bytes.len() + usize::from(padding), 0xee);
        bytes
    }

    fn end_request(app_status: u32, protocol_status: u8) -> Vec<u8> {
        let [a, b, c, d] = app_status.to_be_bytes();
        record(END_REQUEST, 1, &[a, b, c, d, protocol_status, 9, 9, 9], 0)
    }

    /// A whole answer with everything in it that is to be passed over.
    fn answer() -> Vec<u8> {
        [
            record(10, 0, b"FCGI_MPXS_CONNS", 1),
            record(STDOUT, 1, b"Status: 200 OK\r\n", 0),
            record(STDERR, 1, b"PHP message", 5),
            record(11, 0, &[77, 0, 0, 0, 0, 0, 0, 0], 0),
            record(STDERR, 1, b"", 0),
            record(STDOUT, 1, b"\r\nhello", 1),
            record(STDOUT, 1, b"", 8),
            end_request(7, 0),
        ]
        .concat()
    }

    fn whole() -> Answer {
        Answer {
            stdout: b"Status: 200 OK\r\n\r\nhello".to_vec(),
            stderr: b"PHP message".to_vec(),
            end: Some((7, ProtocolStatus::Complete)),
            ..Answer::default()
        }
    }

    #[test]
    fn an_answer_split_anywhere_is_the_same_answer() {
        let bytes = answer();
        assert_eq!(read_all([bytes.as_slice()]), whole());
        assert_eq!(read_all(bytes.chunks(1)), whole(), "byte by byte");
        for at in 0..bytes.len() {
            let (first, second) = bytes.split_at(at);
            assert_eq!(read_all([first, second]), whole(), "split at {at}");
        }
    }

    #[test]
    fn an_answer_cut_anywhere_is_not_whole() {
        let bytes = answer();
        for cut in 0..bytes.len() {
            let read = read_all([&bytes[..cut]]);
            assert_eq!((read.end, read.fault), (None, None), "cut at {cut}");
        }
    }

    #[test]
    fn content_is_handed_out_before_its_record_is_whole() {
        let bytes = record(STDOUT, 1, &[b'x'; CONTENT_MAX], 7);
        let (mut records, mut input) = (Records::default(), BytesMut::from(&bytes[..108]));
        assert_eq!(records.next(&mut input), Ok(Event::Stdout(Bytes::from(vec![b'x'; 100]))));
        assert_eq!(records.next(&mut input), Ok(Event::More));
        input.extend_from_slice(&bytes[108..]);
        let Ok(Event::Stdout(rest)) = records.next(&mut input) else { panic!() };
        assert_eq!(rest.len(), CONTENT_MAX - 100);
        assert_eq!(records.next(&mut input), Ok(Event::More));
        assert!(!records.is_done());
    }

    #[test]
    fn content_is_not_copied() {
        let bytes = record(STDOUT, 1, b"hello", 0);
        let mut input = BytesMut::from(bytes.as_slice());
        let content = input[8..].as_ptr();
        let Ok(Event::Stdout(data)) = Records::default().next(&mut input) else { panic!() };
        assert_eq!(data.as_ptr(), content);
    }

    #[test]
    fn nothing_is_read_after_the_end() {
        let padded = record(END_REQUEST, 1, &[0; 8], 3);
        let mut input = BytesMut::from([padded.as_slice(), b"HTTP"].concat().as_slice());
        let mut records = Records::default();
        assert_eq!(records.next(&mut input), Ok(COMPLETE));
        assert_eq!(records.next(&mut input), Ok(Event::More));
        assert!(records.is_done());
        assert_eq!(input, b"HTTP".as_slice(), "the caller sees that the peer went on");
    }

    #[test]
    fn each_protocol_status_has_its_name() {
        for (value, expected) in [
            (0, ProtocolStatus::Complete),
            (1, ProtocolStatus::CannotMultiplex),
            (2, ProtocolStatus::Overloaded),
            (3, ProtocolStatus::UnknownRole),
        ] {
            let read = read_all([end_request(0x0102_0304, value).as_slice()]);
            assert_eq!(read.end, Some((0x0102_0304, expected)));
        }
    }

    #[test]
    fn each_fault_is_typed_with_its_evidence() {
        let version_2 = [&[2], &record(STDOUT, 1, b"x", 0)[1..]].concat();
        for (bytes, expected) in [
            (b"HTTP/1.1 400 Bad Request\r\n".to_vec(), RecordFault::Version { byte: b'H' }),
            (b"H".to_vec(), RecordFault::Version { byte: b'H' }),
            (vec![0], RecordFault::Version { byte: 0 }),
            (version_2, RecordFault::Version { byte: 2 }),
            (record(STDOUT, 2, b"x", 0), RecordFault::RequestId { id: 2 }),
            (record(STDOUT, 0x0100, b"x", 0), RecordFault::RequestId { id: 0x0100 }),
            (record(STDOUT, 0, b"x", 0), RecordFault::RequestId { id: 0 }),
            (record(END_REQUEST, 0, &[0; 8], 0), RecordFault::RequestId { id: 0 }),
            (record(10, 3, b"x", 0), RecordFault::RequestId { id: 3 }),
            (record(BEGIN_REQUEST, 1, &[0; 8], 0), RecordFault::Type { kind: 1 }),
            (record(STDIN, 1, b"echo", 0), RecordFault::Type { kind: 5 }),
            (record(11, 1, &[0; 8], 0), RecordFault::Type { kind: 11 }),
            (record(0xff, 1, b"", 0), RecordFault::Type { kind: 0xff }),
            (record(END_REQUEST, 1, &[0; 2], 0), RecordFault::EndLength { length: 2 }),
            (record(END_REQUEST, 1, &[0; 9], 0), RecordFault::EndLength { length: 9 }),
            (end_request(0, 4), RecordFault::ProtocolStatus { value: 4 }),
        ] {
            let before = record(STDOUT, 1, b"before", 2);
            for bytes in [bytes.clone(), [before, bytes].concat()] {
                let whole = read_all([bytes.as_slice()]);
                assert_eq!(whole.fault, Some(expected), "{bytes:02x?}");
                assert_eq!(whole, read_all(bytes.chunks(1)), "{bytes:02x?}, byte by byte");
            }
        }
    }

    #[test]
    fn records_without_content_are_bounded_in_a_row() {
        let limit = usize::from(IDLE_MAX);
        for idle in [record(10, 0, b"abc", 5), record(STDERR, 1, b"", 0)] {
            let most = idle.repeat(limit);
            let content = record(STDOUT, 1, b"x", 0);
            let fine = [most.clone(), content, most.clone(), end_request(0, 0)].concat();
            assert_eq!(read_all([fine.as_slice()]).end, Some((0, ProtocolStatus::Complete)));
            let more = [most, idle].concat();
            let fault = RecordFault::Idle { limit: IDLE_MAX };
            assert_eq!(read_all([more.as_slice()]).fault, Some(fault));
        }
    }

    #[test]
    fn a_request_is_written_as_the_specification_lays_it_out() {
        let mut out = Vec::new();
        begin_request(&mut out, true);
        write_stream(&mut out, Stream::Stdin, b"");
        write_stream(&mut out, Stream::Stdin, b"ab");
        end_stream(&mut out, Stream::Stdin);
        end_stream(&mut out, Stream::Params);
        let expected = [
            [1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0].as_slice(),
            &[1, 5, 0, 1, 0, 2, 0, 0, b'a', b'b'],
            &[1, 5, 0, 1, 0, 0, 0, 0],
            &[1, 4, 0, 1, 0, 0, 0, 0],
        ];
        assert_eq!(out, expected.concat());
        out.clear();
        begin_request(&mut out, false);
        assert_eq!(out[10], 0, "the application closes after its answer");
    }

    #[test]
    fn a_stream_is_split_where_a_record_can_hold_no_more() {
        for (length, records) in [(65535, vec![65535]), (65536, vec![65535, 1])] {
            let mut out = Vec::new();
            write_stream(&mut out, Stream::Stdin, &vec![b'x'; length]);
            let mut rest = out.as_slice();
            for expected in records {
                assert_eq!(rest[..2], [1, STDIN]);
                assert_eq!(usize::from(u16::from_be_bytes([rest[4], rest[5]])), expected);
                rest = &rest[HEADER_LENGTH + expected..];
            }
            assert!(rest.is_empty());
        }
    }
}
