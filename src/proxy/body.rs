//! The body that goes out to the client: nothing, a page, or what the upstream still sends.
//!
//! It owns the request's [`Record`], so that the line in the log is written when the last byte is
//! gone, or the client is. A body that breaks off ends with an error, and the server then ends
//! the connection: a cut response never looks whole.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use thiserror::Error;

use crate::files::FileBody;
use crate::page::{self, Printed};
use crate::upstream::{Failure, Streaming};

use super::record::Record;

/// A response body.
#[derive(Debug)]
pub struct Body {
    kind: Kind,
    /// `None` where somebody else ends the request: the 101 before a tunnel.
    record: Option<Box<Record>>,
}

#[derive(Debug)]
enum Kind {
    Empty,
    Full(Bytes),
    Printed(Printed),
    Stream(Box<Streaming>),
    File(Box<FileBody>),
}

/// Why a body breaks off.
enum Broken {
    Upstream(Failure),
    File(io::Error),
}

/// The body broke off; why stands in the log.
#[derive(Debug, Error)]
#[error("the body broke off")]
pub struct Cut;

impl Body {
    /// Nothing to send: the request is over.
    pub fn empty(mut record: Box<Record>) -> Body {
        record.finish();
        Body { kind: Kind::Empty, record: Some(record) }
    }

    /// Nothing to send, and the request goes on elsewhere.
    pub fn silent() -> Body {
        Body { kind: Kind::Empty, record: None }
    }

    pub fn full(bytes: Bytes, record: Box<Record>) -> Body {
        if bytes.is_empty() {
            return Body::empty(record);
        }
        Body { kind: Kind::Full(bytes), record: Some(record) }
    }

    /// A page whose fields come with it.
    pub fn printed(printed: Printed, record: Box<Record>) -> Body {
        Body { kind: Kind::Printed(printed), record: Some(record) }
    }

    /// The fields of the answer's head that come with the body, until its first piece is taken.
    pub fn fields(&self) -> Option<&HeaderMap> {
        self.printed_fields().map(page::Fields::map)
    }

    /// The same as lines of HTTP/1.1.
    pub fn lines(&self) -> &[u8] {
        self.printed_fields().map_or(b"", page::Fields::text)
    }

    fn printed_fields(&self) -> Option<&page::Fields> {
        match &self.kind {
            Kind::Printed(printed) => Some(&printed.fields),
            Kind::Empty | Kind::Full(_) | Kind::Stream(_) | Kind::File(_) => None,
        }
    }

    pub fn file(file: FileBody, record: Box<Record>) -> Body {
        if file.left() == 0 {
            return Body::empty(record);
        }
        Body { kind: Kind::File(Box::new(file)), record: Some(record) }
    }

    /// Nothing of it will be sent: the request is over.
    pub fn forgo(&mut self) {
        self.kind = Kind::Empty;
        if let Some(record) = &mut self.record {
            record.finish();
        }
    }

    pub fn stream(streaming: Box<Streaming>, record: Box<Record>) -> Body {
        Body { kind: Kind::Stream(streaming), record: Some(record) }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let body = &mut *self;
        let frame = match &mut body.kind {
            Kind::Empty => None,
            Kind::Full(bytes) | Kind::Printed(Printed { body: bytes, .. }) => {
                let bytes = std::mem::take(bytes);
                body.kind = Kind::Empty;
                Some(Ok(Frame::data(bytes)))
            }
            Kind::Stream(streaming) => {
                let record = body.record.as_mut().expect("a stream is made with its record");
                ready!(streaming.poll_frame(cx, record.attempt_mut()))
                    .map(|frame| frame.map_err(Broken::Upstream))
            }
            Kind::File(file) => match ready!(file.poll_piece(cx)) {
                Some(Ok(piece)) => Some(Ok(Frame::data(piece))),
                // It shrank, or its disk fails: what was promised will not come.
                Some(Err(error)) => {
                    tracing::error!(%error, "a file broke off while it was sent");
                    Some(Err(Broken::File(error)))
                }
                None => None,
            },
        };
        let ended = matches!(frame, Some(Ok(_))) && http_body::Body::is_end_stream(body);
        let Some(record) = &mut body.record else { return Poll::Ready(None) };
        Poll::Ready(match frame {
            None => {
                record.finish();
                None
            }
            Some(Ok(frame)) => {
                record.bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
                if ended {
                    record.finish();
                }
                Some(Ok(frame))
            }
            Some(Err(broken)) => {
                match broken {
                    Broken::Upstream(failure) => record.cut(&failure),
                    Broken::File(error) => record.cut_file(&error),
                }
                body.kind = Kind::Empty;
                Some(Err(Cut))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Empty => true,
            Kind::Full(_) | Kind::Printed(_) => false,
            Kind::Stream(streaming) => streaming.is_done(),
            Kind::File(file) => file.left() == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Full(bytes) | Kind::Printed(Printed { body: bytes, .. }) => {
                SizeHint::with_exact(bytes.len() as u64)
            }
            Kind::Stream(streaming) => {
                streaming.left().map_or_else(SizeHint::default, SizeHint::with_exact)
            }
            Kind::File(file) => SizeHint::with_exact(file.left()),
        }
    }
}
