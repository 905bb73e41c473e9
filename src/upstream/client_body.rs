//! A request body as the client sends it, over either version of HTTP.
//!
//! Of HTTP/1.1 hyper gives it, and the gate before hyper keeps its time; of HTTP/2 the stream gives
//! it, and its time is kept here, since streams run beside each other. Whoever reads it sees no
//! difference.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use http_body::{Body as _, Frame};
use hyper::body::Incoming;
use thiserror::Error;

use crate::clock::Deadline;

/// Why a request body ended badly.
#[derive(Debug, Error)]
pub enum UploadFailure {
    #[error("the client's connection broke inside the request body")]
    Http1(#[source] hyper::Error),
    #[error("the client's stream broke inside the request body")]
    Http2(#[source] h2::Error),
    #[error("the client sent nothing of the request body for {waited:?}")]
    TimedOut { waited: Duration },
}

/// A request body, piece by piece.
#[derive(Debug)]
pub enum ClientBody {
    Http1(Incoming),
    /// Boxed, since every request of HTTP/1.1 would carry its size.
    Http2(Box<StreamBody>),
}

/// The body of one stream of HTTP/2.
pub struct StreamBody {
    stream: RecvStream,
    /// The declared length.
    length: Option<u64>,
    /// Called when the body is first asked for: the client may wait for word to begin.
    wanted: Option<Box<dyn FnOnce()>>,
    /// Between two pieces.
    timeout: Duration,
    silence: Deadline,
    data_over: bool,
}

impl StreamBody {
    pub fn new(stream: RecvStream, length: Option<u64>, timeout: Duration) -> StreamBody {
        let silence = Deadline::unset();
        StreamBody { stream, length, wanted: None, timeout, silence, data_over: false }
    }

    /// Has this called when the body is first asked for.
    pub fn on_wanted(&mut self, wanted: Box<dyn FnOnce()>) {
        self.wanted = Some(wanted);
    }

    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadFailure>>> {
        if let Some(wanted) = self.wanted.take() {
            wanted();
        }
        let next = match self.poll_next(cx) {
            Poll::Ready(next) => next,
            Poll::Pending => {
                if !self.silence.is_set() {
                    self.silence.set(self.timeout);
                }
                ready!(self.silence.poll(cx));
                Some(Err(UploadFailure::TimedOut { waited: self.timeout }))
            }
        };
        self.silence.clear();
        Poll::Ready(next)
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadFailure>>> {
        if !self.data_over {
            match ready!(self.stream.poll_data(cx)) {
                Some(Ok(data)) => {
                    // The window opens by what is taken. A stream that has ended needs none.
                    let _ = self.stream.flow_control().release_capacity(data.len());
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(UploadFailure::Http2(error)))),
                None => self.data_over = true,
            }
        }
        let trailers = ready!(self.stream.poll_trailers(cx)).map_err(UploadFailure::Http2);
        Poll::Ready(trailers.transpose().map(|trailers| trailers.map(Frame::trailers)))
    }
}

impl fmt::Debug for StreamBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = (&self.stream, self.length, self.timeout);
        f.debug_tuple("StreamBody").field(&fields).finish_non_exhaustive()
    }
}

impl ClientBody {
    /// The length that the client declared, as far as it is to come.
    pub fn length(&self) -> Option<u64> {
        match self {
            ClientBody::Http1(incoming) => incoming.size_hint().exact(),
            ClientBody::Http2(body) => body.length,
        }
    }

    /// Whether nothing is to come.
    pub fn is_end_stream(&self) -> bool {
        match self {
            ClientBody::Http1(incoming) => incoming.is_end_stream(),
            ClientBody::Http2(body) => body.stream.is_end_stream(),
        }
    }

    /// The next piece; `None` at the end. Trailers are the last.
    ///
    /// # Errors
    /// The body ended badly; nothing more comes.
    pub fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadFailure>>> {
        match self {
            ClientBody::Http1(incoming) => {
                let frame = ready!(Pin::new(incoming).poll_frame(cx));
                Poll::Ready(frame.map(|frame| frame.map_err(UploadFailure::Http1)))
            }
            ClientBody::Http2(body) => body.poll_frame(cx),
        }
    }
}
