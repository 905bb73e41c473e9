//! The way from the first record to the head of the response, and from there through its body.
//! Reads from a buffer; waits for nothing.
//!
//! What a response is, the head says; that it is whole, END_REQUEST alone. The last piece of a body
//! with a declared length is held back until that has come.

use bytes::{Bytes, BytesMut};
use http::Method;

use crate::config::Limits;
use crate::upstream::attempt::Attempt;
use crate::upstream::download::Payload;
use crate::upstream::failure::{BodyFailure, Failure, HeadFailure};
use crate::upstream::http1::body::Piece;
use crate::upstream::http1::head::{self, Framing, Head};
use crate::upstream::wire::{BANNER_ENOUGH, Heard, Step};

use super::cgi_head::CgiHeadReader;
use super::record::{Event, ProtocolStatus, RecordFault, Records};

/// Reads records up to the end of the response's head.
#[derive(Debug)]
pub struct Responder {
    records: Records,
    head: CgiHeadReader,
}

/// Reads the body that follows the head.
#[derive(Debug)]
pub struct Output {
    records: Records,
    /// What of the body came with the head.
    ready: Bytes,
    /// What is still to come of a declared length.
    left: Option<u64>,
    declared: Option<u64>,
    /// The response has no body (HEAD, 204, 304): what the program prints is passed over.
    silent: bool,
    /// The last piece of a declared length.
    held: BytesMut,
}

impl Responder {
    pub(crate) fn new(limits: &Limits) -> Responder {
        Responder { records: Records::default(), head: CgiHeadReader::new(limits) }
    }

    /// What the bytes that have come amount to.
    ///
    /// # Errors
    /// The first fault of a record or of the head; an end without a head.
    pub(crate) fn step(
        &mut self,
        input: &mut BytesMut,
        method: &Method,
        keep: bool,
        attempt: &mut Attempt,
    ) -> Result<Step, Failure> {
        loop {
            let event = match self.records.next(input) {
                Ok(event) => event,
                // Another protocol is known by its first bytes, once there are some.
                Err(RecordFault::Version { .. }) if self.is_foreign(input, attempt) => {
                    return match input.len() >= BANNER_ENOUGH {
                        true => Err(Failure::Head(HeadFailure::Foreign)),
                        false => Ok(Step::Foreign),
                    };
                }
                Err(fault) => return Err(Failure::Head(HeadFailure::Record(fault))),
            };
            match event {
                Event::More => return Ok(Step::More),
                Event::Stderr(said) => attempt.stderr().push(&said),
                Event::Stdout(piece) => {
                    attempt.printed = true;
                    let fed = self.head.feed(piece).map_err(|fault| {
                        attempt.remains().largest = head::largest_lines(self.head.held());
                        Failure::Head(HeadFailure::Cgi(fault))
                    })?;
                    if let Some((head, ready)) = fed {
                        if let Some(stderr) = &mut attempt.stderr {
                            stderr.mark_beginning();
                        }
                        return self.finish(head, ready, method, keep).map(Step::Final);
                    }
                }
                Event::End { app_status, protocol_status } => {
                    let failure = match protocol_status {
                        ProtocolStatus::Complete if attempt.printed => {
                            HeadFailure::Cgi(self.head.unfinished())
                        }
                        ProtocolStatus::Complete => HeadFailure::NoOutput { app_status },
                        status => HeadFailure::Rejected { status, app_status },
                    };
                    return Err(Failure::Head(failure));
                }
            }
        }
    }

    fn is_foreign(&self, input: &BytesMut, attempt: &Attempt) -> bool {
        // Nothing but what stands in the buffer has come: it begins the stream.
        attempt.bytes_received == input.len() as u64
    }

    fn finish(
        &mut self,
        head: Head,
        ready: Bytes,
        method: &Method,
        keep: bool,
    ) -> Result<Heard, Failure> {
        let framing = head::framing(&head, method);
        let framing = framing.map_err(|fault| Failure::Head(HeadFailure::Framing(fault)))?;
        let declared = match framing {
            Framing::Length(declared) => Some(declared),
            Framing::None | Framing::Chunked | Framing::Close => None,
        };
        let output = Output {
            records: std::mem::take(&mut self.records),
            ready,
            left: declared,
            declared,
            silent: framing == Framing::None || declared == Some(0),
            held: BytesMut::new(),
        };
        let payload = Payload::Records(Box::new(output));
        Ok(Heard { head: Box::new(head), payload, keep })
    }
}

impl Output {
    /// Takes what it can off the input.
    ///
    /// # Errors
    /// A record that does not belong, or an end before the declared length.
    pub(crate) fn decode(
        &mut self,
        input: &mut BytesMut,
        attempt: &mut Attempt,
    ) -> Result<Piece, BodyFailure> {
        loop {
            let data = if self.ready.is_empty() {
                match self.records.next(input).map_err(BodyFailure::Record)? {
                    Event::Stdout(data) => data,
                    Event::Stderr(said) => {
                        attempt.stderr().push(&said);
                        continue;
                    }
                    Event::End { protocol_status: ProtocolStatus::Complete, .. } => {
                        return self.end();
                    }
                    Event::End { .. } => return Err(BodyFailure::Withdrawn),
                    Event::More => return Ok(Piece::More),
                }
            } else {
                std::mem::take(&mut self.ready)
            };
            if self.silent {
                continue;
            }
            if let Some(data) = self.measure(data) {
                return Ok(Piece::Data(data));
            }
        }
    }

    /// What of a piece goes on now. Beyond the declared length nothing does: the client was told
    /// where the body ends.
    fn measure(&mut self, mut data: Bytes) -> Option<Bytes> {
        let Some(left) = &mut self.left else { return Some(data) };
        data.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
        *left -= data.len() as u64;
        if *left == 0 {
            self.held.extend_from_slice(&data);
            return None;
        }
        (!data.is_empty()).then_some(data)
    }

    fn end(&mut self) -> Result<Piece, BodyFailure> {
        match self.left {
            Some(left) if left > 0 && !self.silent => {
                Err(BodyFailure::ClosedShort { declared_bytes: self.declared })
            }
            _ if self.held.is_empty() => Ok(Piece::End),
            _ => Ok(Piece::Data(self.held.split().freeze())),
        }
    }

    /// Whether END_REQUEST has come and every piece was given.
    pub(crate) fn is_over(&self) -> bool {
        self.records.is_done()
    }

    /// Bytes still to be given of a declared length.
    pub(crate) fn left(&self) -> Option<u64> {
        match self.silent {
            true => Some(0),
            false => self.left.map(|left| left + self.held.len() as u64),
        }
    }
}
