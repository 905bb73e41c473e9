//! What a connection holds of answers that its client has not taken.
//!
//! h2 keeps what it is given until the socket takes it, each stream for itself, and a client chooses
//! how many streams there are and how wide their windows. Here the pieces of all of them are counted
//! together, and so are the answers that wait: beyond a limit nothing more is asked of an upstream
//! on that client's behalf.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};
use h2::StreamId;

/// Bytes in h2's hands, of all streams of a connection: some hundred milliseconds of a fast line.
const HELD_MAX: usize = 256 * 1024;
/// Answers that wait for their client to take more. Each has at most what the upstream's side reads
/// ahead (64 KiB).
const BLOCKED_MAX: usize = 32;

/// The count of one connection.
#[derive(Debug, Default)]
pub struct Hold {
    bytes: Cell<usize>,
    blocked: Cell<usize>,
    /// Who waits for room, or for a turn; a stream once.
    waiting: RefCell<Vec<(StreamId, Waker)>>,
}

/// A piece of an answer, counted for as long as it is there.
#[derive(Debug)]
pub struct Piece {
    bytes: Bytes,
    _counted: Option<Counted>,
}

#[derive(Debug)]
struct Counted {
    hold: Rc<Hold>,
    size: usize,
}

/// An answer that waits for its client, counted for as long as it does.
#[derive(Debug)]
pub struct Blocked(Rc<Hold>);

impl Hold {
    /// Ready when another piece may be handed on.
    pub fn poll_room(&self, stream: StreamId, cx: &mut Context<'_>) -> Poll<()> {
        match self.bytes.get() < HELD_MAX {
            true => Poll::Ready(()),
            false => self.wait(stream, cx),
        }
    }

    /// Ready when another request may be begun.
    pub fn poll_turn(&self, stream: StreamId, cx: &mut Context<'_>) -> Poll<()> {
        match self.blocked.get() < BLOCKED_MAX {
            true => Poll::Ready(()),
            false => self.wait(stream, cx),
        }
    }

    fn wait(&self, stream: StreamId, cx: &mut Context<'_>) -> Poll<()> {
        let mut waiting = self.waiting.borrow_mut();
        match waiting.iter_mut().find(|(waits, _)| *waits == stream) {
            Some((_, waker)) => waker.clone_from(cx.waker()),
            None => waiting.push((stream, cx.waker().clone())),
        }
        Poll::Pending
    }

    fn wake(&self) {
        // Woken outside the borrow.
        for (_, waker) in self.waiting.take() {
            waker.wake();
        }
    }

    /// Counts a piece that is about to be handed on.
    pub fn piece(self: &Rc<Hold>, bytes: Bytes) -> Piece {
        let size = bytes.len();
        self.bytes.set(self.bytes.get() + size);
        Piece { bytes, _counted: Some(Counted { hold: self.clone(), size }) }
    }

    /// Counts an answer that begins to wait.
    pub fn block(self: &Rc<Hold>) -> Blocked {
        self.blocked.set(self.blocked.get() + 1);
        Blocked(self.clone())
    }
}

impl Piece {
    /// The end of an answer of which nothing is left.
    pub fn end() -> Piece {
        Piece { bytes: Bytes::new(), _counted: None }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let before = self.hold.bytes.get();
        self.hold.bytes.set(before - self.size);
        if before >= HELD_MAX && before - self.size < HELD_MAX {
            self.hold.wake();
        }
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        let before = self.0.blocked.get();
        self.0.blocked.set(before - 1);
        if before == BLOCKED_MAX {
            self.0.wake();
        }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_counted_until_it_is_gone() {
        let hold = Rc::new(Hold::default());
        let mut cx = Context::from_waker(Waker::noop());
        let mut pieces: Vec<Piece> = Vec::new();
        while hold.poll_room(StreamId::ZERO, &mut cx).is_ready() {
            pieces.push(hold.piece(Bytes::from_static(&[0; 16 * 1024])));
        }
        assert_eq!(pieces.len(), HELD_MAX / (16 * 1024));
        assert_eq!(hold.waiting.borrow().len(), 1);
        let _ = hold.poll_room(StreamId::ZERO, &mut cx);
        assert_eq!(hold.waiting.borrow().len(), 1, "one task waits once");
        pieces[0].advance(16 * 1024);
        assert!(
            hold.poll_room(StreamId::ZERO, &mut cx).is_pending(),
            "written in part or whole, it is still held"
        );
        drop(pieces.pop());
        assert!(
            hold.poll_room(StreamId::ZERO, &mut cx).is_ready() && hold.waiting.borrow().is_empty()
        );
        drop(pieces);
        assert_eq!(hold.bytes.get(), 0);
    }

    #[test]
    fn answers_that_wait_keep_others_from_beginning() {
        let hold = Rc::new(Hold::default());
        let mut cx = Context::from_waker(Waker::noop());
        let mut blocked: Vec<Blocked> = (0..BLOCKED_MAX).map(|_| hold.block()).collect();
        assert!(hold.poll_turn(StreamId::ZERO, &mut cx).is_pending());
        drop(blocked.pop());
        assert!(
            hold.poll_turn(StreamId::ZERO, &mut cx).is_ready() && hold.waiting.borrow().is_empty()
        );
    }
}
