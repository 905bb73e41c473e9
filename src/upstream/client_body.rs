//! A request body as the client sends it, over either version of HTTP.
//!
//! Of HTTP/1.1 the connection gives it, and keeps its time; of HTTP/2 the stream gives it, and its
//! time is kept here, since streams run beside each other. Whoever reads it sees no difference.

use std::fmt;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use http_body::Frame;
use thiserror::Error;

use crate::clock::Deadline;

/// Why a request body ended badly.
#[derive(Debug, Error)]
pub enum UploadFailure {
    #[error("the client's connection broke inside the request body")]
    Http1(#[source] io::Error),
    #[error("the client's stream broke inside the request body")]
    Http2(#[source] h2::Error),
    #[error("the client sent nothing of the request body for {waited:?}")]
    TimedOut { waited: Duration },
}

/// A request body, piece by piece.
#[derive(Debug)]
pub struct ClientBody(Option<Box<dyn BodySource>>);

/// Where a request body comes from: a stream of HTTP/2, or a connection of HTTP/1.1.
pub trait BodySource: fmt::Debug {
    /// The length that the client declared.
    fn length(&self) -> Option<u64>;

    /// Whether nothing is to come.
    fn is_end_stream(&self) -> bool;

    /// The next piece; `None` at the end. Trailers are the last.
    ///
    /// # Errors
    /// The body ended badly; nothing more comes.
    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadFailure>>>;
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

impl BodySource for StreamBody {
    fn length(&self) -> Option<u64> {
        self.length
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
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
}

impl fmt::Debug for StreamBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = (&self.stream, self.length, self.timeout);
        f.debug_tuple("StreamBody").field(&fields).finish_non_exhaustive()
    }
}

impl ClientBody {
    /// A request without a body.
    pub fn none() -> ClientBody {
        ClientBody(None)
    }

    pub fn of(source: Box<dyn BodySource>) -> ClientBody {
        ClientBody(Some(source))
    }

    /// The length that the client declared.
    pub fn length(&self) -> Option<u64> {
        self.0.as_ref().map_or(Some(0), |source| source.length())
    }

    /// Whether nothing is to come.
    pub fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|source| source.is_end_stream())
    }

    /// The next piece; `None` at the end. Trailers are the last.
    ///
    /// # Errors
    /// The body ended badly; nothing more comes.
    pub fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadFailure>>> {
        match &mut self.0 {
            Some(source) => source.poll_frame(cx),
            None => Poll::Ready(None),
        }
    }
}
