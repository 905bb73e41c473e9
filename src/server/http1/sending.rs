//! An answer on its way to a client of HTTP/1.1: head and body in as few writes as there can be.

use std::cell::{Cell, RefCell};
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::{HeaderMap, Response};
use http_body::Body as _;

use crate::proxy::Body;
use crate::server::date;

use super::answer::{self, Asked, Framing};
use super::lane::Lane;

/// A piece of a body up to this size leaves in one piece with what stands before it.
const FLATTEN_MAX: usize = 4096;
/// When so much is gathered it is written.
const GATHERED_MAX: usize = 16 * 1024;
/// After a chunk, and after the last one.
const CHUNK_END: &[u8] = b"\r\n";
const LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";

thread_local! {
    /// Room for heads and small bodies, handed from one answer to the next.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// An answer that is being written.
#[derive(Debug)]
pub struct Sending {
    body: Body,
    framing: Framing,
    keeps_alive: bool,
    /// What is to be written, in this order: small pieces together, a big one where it is.
    small: Vec<u8>,
    written: usize,
    big: Bytes,
    tail: &'static [u8],
    /// The body's end is among what is to be written.
    is_last: bool,
    /// All was written.
    is_done: bool,
}

impl Sending {
    /// `owed`: the rest of an interim answer, which comes first.
    pub fn new(response: Response<Body>, asked: Asked, owed: &[u8]) -> Sending {
        let (head, mut body) = response.into_parts();
        let length = body.size_hint().exact();
        let mut small = SPARE.take();
        small.clear();
        small.extend_from_slice(owed);
        let date = date::value();
        let date = date.as_bytes();
        let written = answer::write(&mut small, &head, body.lines(), length, asked, date);
        if !written.has_body {
            // HEAD, 204 and the like: whatever an upstream sent behind it, nothing of it goes on.
            body.forgo();
        }
        let is_silent = body.is_end_stream() && written.framing == Framing::Length;
        Sending {
            body,
            framing: written.framing,
            keeps_alive: written.keeps_alive,
            small,
            written: 0,
            big: Bytes::new(),
            tail: b"",
            is_last: is_silent,
            is_done: false,
        }
    }

    /// Ready when all is written, or nothing more can be: whether the connection may be used again.
    pub fn poll(&mut self, cx: &mut Context<'_>, lane: &RefCell<Lane>) -> Poll<bool> {
        loop {
            let sound = self.gather(cx);
            if !sound {
                // A cut answer must not look whole.
                return Poll::Ready(false);
            }
            if self.is_empty() {
                if self.is_last {
                    let flushed = ready!(lane.borrow_mut().poll_flush(cx));
                    self.is_done = flushed.is_ok();
                    return Poll::Ready(self.keeps_alive && self.is_done);
                }
                self.put_back();
                if ready_or_idle(lane.borrow_mut().poll_flush(cx)).is_err() {
                    return Poll::Ready(false);
                }
                // Whoever waits for more of a body may leave meanwhile.
                return lane.borrow_mut().poll_gone(cx).map(|()| false);
            }
            match ready!(self.poll_write(cx, &mut lane.borrow_mut())) {
                Ok(0) | Err(_) => return Poll::Ready(false),
                Ok(written) => self.advance(written),
            }
        }
    }

    /// It did not come to its end, which only that of the connection would have told.
    pub fn would_look_whole(&self) -> bool {
        !self.is_done && self.framing == Framing::Close
    }

    /// Takes of the body what there is, up to what is worth a write. False when it broke off.
    fn gather(&mut self, cx: &mut Context<'_>) -> bool {
        while !self.is_last
            && self.big.is_empty()
            && self.tail.is_empty()
            && self.small.len() < GATHERED_MAX
        {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Pending => break,
                Poll::Ready(None) => self.end(&HeaderMap::new()),
                Poll::Ready(Some(Err(_))) => return false,
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => self.piece(data),
                    Err(frame) => self.end(&frame.into_trailers().unwrap_or_default()),
                },
            }
        }
        true
    }

    fn piece(&mut self, data: Bytes) {
        let ended = self.body.is_end_stream();
        if data.is_empty() {
            // An empty chunk would be the last one.
        } else if let Framing::Chunked(_) = self.framing {
            let mut size = [0; 18];
            self.small.extend_from_slice(chunk_size(&mut size, data.len()));
            self.tail = if ended { LAST_CHUNK } else { CHUNK_END };
            self.is_last = ended;
            self.lay(data);
            return;
        } else {
            self.lay(data);
        }
        if ended {
            self.end(&HeaderMap::new());
        }
    }

    /// Puts a piece, and what follows it, where it is written from.
    fn lay(&mut self, data: Bytes) {
        if data.len() <= FLATTEN_MAX {
            self.small.extend_from_slice(&data);
            self.small.extend_from_slice(std::mem::take(&mut self.tail));
        } else {
            self.big = data;
        }
    }

    fn end(&mut self, trailers: &HeaderMap) {
        if let Framing::Chunked(named) = &self.framing {
            named.write_end(&mut self.small, trailers);
        }
        self.is_last = true;
    }

    fn is_empty(&self) -> bool {
        self.written == self.small.len() && self.big.is_empty() && self.tail.is_empty()
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        lane: &mut Lane,
    ) -> Poll<std::io::Result<usize>> {
        let small = &self.small[self.written..];
        if self.big.is_empty() && self.tail.is_empty() {
            return lane.poll_write(cx, &[IoSlice::new(small)]);
        }
        let slices = [small, &self.big, self.tail].map(IoSlice::new);
        lane.poll_write(cx, &slices[usize::from(small.is_empty())..])
    }

    fn advance(&mut self, mut written: usize) {
        let here = written.min(self.small.len() - self.written);
        self.written += here;
        written -= here;
        if self.written == self.small.len() {
            self.small.clear();
            self.written = 0;
        }
        let here = written.min(self.big.len());
        self.big.advance(here);
        self.tail = &self.tail[written - here..];
        if self.big.is_empty() {
            // Its room is free while the next piece comes.
            self.big = Bytes::new();
        }
    }

    /// Nobody waits with room that others could use.
    fn put_back(&mut self) {
        let mut room = std::mem::take(&mut self.small);
        self.written = 0;
        if room.capacity() <= 2 * GATHERED_MAX {
            room.clear();
            SPARE.set(room);
        }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.put_back();
    }
}

/// What failed; that it is not done yet is no fault.
fn ready_or_idle(done: Poll<std::io::Result<()>>) -> std::io::Result<()> {
    match done {
        Poll::Ready(done) => done,
        Poll::Pending => Ok(()),
    }
}

/// chunk-size CRLF (RFC 9112 section 7.1).
fn chunk_size(into: &mut [u8; 18], size: usize) -> &[u8] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut at = 16;
    let mut left = size;
    (into[16], into[17]) = (b'\r', b'\n');
    while left > 0 || at == 16 {
        at -= 1;
        into[at] = DIGITS[left & 15];
        left >>= 4;
    }
    &into[at..]
}
