//! The request body on its way out: taken piece by piece from the client, and laid out in the
//! framing that the upstream reads.

use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;
use http_body::Frame;

use super::client_body::ClientBody;
use super::failure::{Failure, SendFailure};
use super::fastcgi::record::{self, Stream};
use super::spool::Spooled;

/// Below this, a piece of a request body is copied behind the head and leaves in the same write.
const FLATTEN_MAX: usize = 4096;

/// The most of a body that is kept for a second attempt: forms, not files.
const KEPT_MAX: usize = 64 * 1024;

/// The request body on its way; lent to one exchange after another while nothing was taken from it.
#[derive(Debug)]
pub struct Upload {
    body: Option<Source>,
    framing: UploadFraming,
    /// What was taken and can be had again, where that is kept.
    kept: Option<Box<Kept>>,
    /// A piece was taken and not kept: the request cannot be sent again.
    pub touched: bool,
    /// `Expect: 100-continue`: hold the body until the upstream asks for it.
    pub expect_continue: bool,
}

#[derive(Debug)]
enum Source {
    Client(ClientBody),
    Spooled(Spooled),
    /// The client's was taken to its end, and is had again.
    Over,
}

/// The pieces of a body so far, for a second time.
#[derive(Debug, Default)]
struct Kept {
    pieces: Vec<Bytes>,
    size: usize,
    /// How many were given again.
    given: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadFraming {
    None,
    Length,
    Chunked,
    /// Records of the stream STDIN, and the empty one that ends it (FastCGI 1.0 section 5.3).
    Stdin,
}

/// What is to be written, in this order: small pieces together, a big one where it is.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    pub(super) small: BytesMut,
    pub(super) big: Bytes,
    pub(super) tail: &'static [u8],
}

impl Upload {
    pub fn new(body: ClientBody, framing: UploadFraming) -> Upload {
        let body = (framing != UploadFraming::None).then_some(Source::Client(body));
        Upload { body, framing, kept: None, touched: false, expect_continue: false }
    }

    /// A gathered body, for FastCGI. Where there is none, the head ends STDIN.
    pub fn spooled(body: Spooled) -> Upload {
        let (body, framing) = (Some(Source::Spooled(body)), UploadFraming::Stdin);
        Upload { body, framing, kept: None, touched: false, expect_continue: false }
    }

    /// No body.
    pub fn none() -> Upload {
        let framing = UploadFraming::None;
        Upload { body: None, framing, kept: None, touched: false, expect_continue: false }
    }

    /// Keeps what is taken from now on, up to a limit: a request that the peer did not process may
    /// go out again.
    pub(super) fn keep(&mut self) {
        if self.body.is_some() && !self.touched {
            self.kept.get_or_insert_default();
        }
    }

    /// Begins anew with what was kept, for another attempt.
    pub fn rewind(&mut self) {
        if let Some(kept) = &mut self.kept {
            kept.given = 0;
            self.body.get_or_insert(Source::Over);
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.body.is_none()
    }

    /// Takes one piece and lays it out.
    ///
    /// # Errors
    /// The client's body ended badly.
    pub(super) fn poll_stage(
        &mut self,
        cx: &mut Context<'_>,
        outbox: &mut Outbox,
    ) -> Poll<Result<(), Failure>> {
        if self.body.is_none() {
            return Poll::Ready(Ok(()));
        }
        match ready!(self.poll_piece(cx)).transpose()? {
            None => self.framing.end(outbox, &HeaderMap::new()),
            Some(frame) => match frame.into_data() {
                Ok(data) if data.is_empty() => {}
                Ok(data) => self.framing.piece(outbox, data),
                Err(frame) => {
                    let trailers = passed_on(frame.into_trailers().unwrap_or_default());
                    self.framing.end(outbox, &trailers);
                }
            },
        }
        Poll::Ready(Ok(()))
    }

    /// Takes one piece; `None` at the end, and ever after. Trailers are the last.
    ///
    /// # Errors
    /// The client's body ended badly.
    pub(super) fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        if let Some(piece) = self.kept.as_mut().and_then(|kept| kept.again()) {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        let frame = match &mut self.body {
            None => return Poll::Ready(None),
            Some(Source::Over) => None,
            Some(Source::Client(body)) => ready!(body.poll_frame(cx)),
            Some(Source::Spooled(body)) => match ready!(body.poll_piece(cx)) {
                Some(Err(error)) => {
                    return Poll::Ready(Some(Err(Failure::Send(SendFailure::Spool(error)))));
                }
                Some(Ok(piece)) => Some(Ok(Frame::data(piece))),
                None => None,
            },
        };
        if let Some(Ok(frame)) = &frame {
            self.note(frame);
        }
        if frame.as_ref().is_none_or(|frame| frame.as_ref().is_ok_and(Frame::is_trailers)) {
            self.body = None;
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Failure::Upload)))
    }
}

impl Upload {
    /// A frame is kept, or the body is touched.
    fn note(&mut self, frame: &Frame<Bytes>) {
        let kept = self.kept.as_mut().zip(frame.data_ref());
        if !kept.is_some_and(|(kept, data)| kept.takes(data)) {
            self.touched = true;
            self.kept = None;
        }
    }
}

impl Kept {
    fn takes(&mut self, data: &Bytes) -> bool {
        self.size += data.len();
        self.given += 1;
        self.pieces.push(data.clone());
        self.size <= KEPT_MAX
    }

    fn again(&mut self) -> Option<Bytes> {
        let piece = self.pieces.get(self.given)?.clone();
        self.given += 1;
        Some(piece)
    }
}

impl UploadFraming {
    fn piece(self, outbox: &mut Outbox, data: Bytes) {
        let tail: &'static [u8] = match self {
            UploadFraming::None | UploadFraming::Length => b"",
            UploadFraming::Stdin => {
                return record::write_stream(&mut outbox.small, Stream::Stdin, &data);
            }
            UploadFraming::Chunked => {
                outbox.small.extend_from_slice(format!("{:x}\r\n", data.len()).as_bytes());
                b"\r\n"
            }
        };
        outbox.put(data, tail);
    }

    fn end(self, outbox: &mut Outbox, trailers: &HeaderMap) {
        match self {
            UploadFraming::None | UploadFraming::Length => {}
            UploadFraming::Stdin => record::end_stream(&mut outbox.small, Stream::Stdin),
            UploadFraming::Chunked => {
                outbox.small.extend_from_slice(b"0\r\n");
                for (name, value) in trailers {
                    outbox.small.extend_from_slice(name.as_str().as_bytes());
                    outbox.small.extend_from_slice(b": ");
                    outbox.small.extend_from_slice(value.as_bytes());
                    outbox.small.extend_from_slice(b"\r\n");
                }
                outbox.small.extend_from_slice(b"\r\n");
            }
        }
    }
}

/// Fields that frame or route a request, say who sent it, or whom it is from (RFC 9110 section
/// 6.5.1): a server that merges trailers into the head would take them for ours.
const NO_TRAILERS: [&str; 17] = [
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "proxy",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-real-ip",
];

/// The trailers of a request that may go on.
pub fn passed_on(trailers: HeaderMap) -> HeaderMap {
    let is_ours = |name: &str| NO_TRAILERS.contains(&name) || name.starts_with("x-forwarded-");
    let mut passed = HeaderMap::with_capacity(trailers.len());
    let mut last = None;
    for (name, value) in trailers {
        last = name.or(last);
        if let Some(name) = last.as_ref().filter(|name| !is_ours(name.as_str())) {
            passed.append(name.clone(), value);
        }
    }
    passed
}

impl Outbox {
    fn put(&mut self, data: Bytes, tail: &'static [u8]) {
        if data.len() <= FLATTEN_MAX {
            self.small.extend_from_slice(&data);
            self.small.extend_from_slice(tail);
        } else {
            self.big = data;
            self.tail = tail;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.small.is_empty() && self.big.is_empty() && self.tail.is_empty()
    }

    /// Forgets what was written.
    pub(super) fn advance(&mut self, mut written: usize) {
        let small = written.min(self.small.len());
        self.small.advance(small);
        written -= small;
        let big = written.min(self.big.len());
        self.big.advance(big);
        self.tail = &self.tail[written - big..];
    }
}
