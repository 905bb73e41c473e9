//! The response body of one exchange, piece by piece, while the rest of the upload still goes out.
//!
//! Nothing but its declared end makes a body whole: a close before that is a failure, typed by the
//! framing it broke.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Frame;

use super::attempt::Attempt;
use super::failure::{BodyFailure, Failure, Stage};
use super::fastcgi::reader::Output;
use super::http1::body::{Chunked, Piece};
use super::stream::Conn;
use super::upload::Upload;
use super::wire::Wire;

/// The response body on its way, with what is left of the upload.
#[derive(Debug)]
pub struct Download {
    wire: Box<Wire>,
    upload: Upload,
    payload: Payload,
    keep: bool,
}

/// What of the body is to come, in the framing that its head announced.
#[derive(Debug)]
pub(crate) enum Payload {
    Length {
        left: u64,
        declared: u64,
    },
    Chunked(Chunked),
    Close,
    /// FastCGI: until END_REQUEST.
    Records(Box<Output>),
    Done,
}

impl Download {
    pub(crate) fn new(
        mut wire: Box<Wire>,
        upload: Upload,
        payload: Payload,
        keep: bool,
    ) -> Download {
        // A final answer in place of 100 (Continue): the body is not wanted (RFC 9110 section
        // 10.1.1).
        let unwanted = wire.holding.take().is_some();
        wire.sent |= unwanted;
        Download { wire, upload, payload, keep: keep && !unwanted }
    }

    /// Whether the body has ended.
    pub fn is_done(&self) -> bool {
        matches!(self.payload, Payload::Done)
    }

    /// The bytes still to come, where the head declared them.
    pub fn left(&self) -> Option<u64> {
        match &self.payload {
            Payload::Length { left, .. } => Some(*left),
            Payload::Records(output) => output.left(),
            Payload::Done => Some(0),
            Payload::Chunked(_) | Payload::Close => None,
        }
    }

    /// The connection, if another request may go over it.
    pub(crate) fn into_wire(self) -> Option<Box<Wire>> {
        let reusable = self.keep
            && self.is_done()
            && self.wire.sent
            && self.upload.is_done()
            && self.wire.conn.input.is_empty();
        reusable.then_some(self.wire)
    }

    /// The connection with what was read from it, for a tunnel.
    pub(crate) fn into_tunnel(self) -> Conn {
        self.wire.conn
    }

    /// The next piece; `None` at the end, and only there. Sends what is left of the upload
    /// meanwhile.
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        attempt: &mut Attempt,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        if !self.wire.sent {
            match self.wire.poll_send(cx, &mut self.upload, attempt) {
                // The answer is here already; an upload that it did not want is no failure of it.
                Poll::Ready(Err(_)) => {
                    self.wire.sent = true;
                    self.keep = false;
                }
                Poll::Ready(Ok(())) | Poll::Pending => {}
            }
        }
        attempt.stage = Stage::Body;
        loop {
            match self.decode(attempt) {
                Ok(Piece::Data(data)) => {
                    attempt.body_bytes += data.len() as u64;
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Ok(Piece::Trailers(trailers)) => {
                    self.payload = Payload::Done;
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
                Ok(Piece::End) => {
                    self.payload = Payload::Done;
                    return Poll::Ready(None);
                }
                Ok(Piece::More) => {}
                Err(failure) => return Poll::Ready(Some(Err(Failure::Body(failure)))),
            }
            match self.wire.conn.poll_fill(cx) {
                Poll::Ready(Ok(0)) => match self.closed() {
                    None => return Poll::Ready(None),
                    Some(failure) => return Poll::Ready(Some(Err(Failure::Body(failure)))),
                },
                Poll::Ready(Ok(read)) => {
                    attempt.bytes_received += read as u64;
                    self.wire.receiving.clear();
                }
                Poll::Ready(Err(error)) => {
                    return Poll::Ready(Some(Err(Failure::Body(self.broken(error)))));
                }
                Poll::Pending => {
                    if !self.wire.receiving.is_set() {
                        self.wire.receiving.set(self.wire.timeouts.idle);
                    }
                    ready!(self.wire.receiving.poll(cx));
                    return Poll::Ready(Some(Err(Failure::Body(BodyFailure::TimedOut))));
                }
            }
        }
    }

    /// Ends the head's wait: the body's begins where its first piece is not here yet.
    pub(crate) fn begin(&mut self) {
        self.wire.receiving.clear();
    }

    fn decode(&mut self, attempt: &mut Attempt) -> Result<Piece, BodyFailure> {
        let input = &mut self.wire.conn.input;
        match &mut self.payload {
            Payload::Done => Ok(Piece::End),
            Payload::Chunked(chunked) => chunked
                .decode(input)
                .map_err(|bad| BodyFailure::BadChunk { part: bad.part, line: bad.line }),
            Payload::Records(output) => {
                let piece = output.decode(input, attempt);
                if output.is_over() {
                    self.payload = Payload::Done;
                }
                piece
            }
            Payload::Close if input.is_empty() => Ok(Piece::More),
            Payload::Close => Ok(Piece::Data(input.split().freeze())),
            Payload::Length { left: 0, .. } => Ok(Piece::End),
            Payload::Length { .. } if input.is_empty() => Ok(Piece::More),
            Payload::Length { left, .. } => {
                let here = input.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= here as u64;
                let data = input.split_to(here).freeze();
                if *left == 0 {
                    self.payload = Payload::Done;
                }
                Ok(Piece::Data(data))
            }
        }
    }

    /// What an orderly close means in this state: `None` where it is the body's end.
    fn closed(&mut self) -> Option<BodyFailure> {
        match self.payload {
            Payload::Close | Payload::Done => {
                self.payload = Payload::Done;
                None
            }
            Payload::Length { declared, .. } => {
                Some(BodyFailure::ClosedShort { declared_bytes: Some(declared) })
            }
            Payload::Chunked(_) => Some(BodyFailure::ChunkedTruncated),
            Payload::Records(_) => Some(BodyFailure::ClosedShort { declared_bytes: None }),
        }
    }

    fn broken(&mut self, error: io::Error) -> BodyFailure {
        match error.downcast::<rustls::Error>() {
            Ok(tls) => BodyFailure::Tls(tls),
            // TLS without close_notify: for a body that ends with the connection, the only sign of
            // a cut (RFC 9112 section 9.8); for the others the same as a FIN.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.closed().unwrap_or(BodyFailure::ClosedShort { declared_bytes: None })
            }
            Err(error) => BodyFailure::Io(error),
        }
    }
}
