//! What a connection holds of answers that its client has not taken.
//!
//! h2 keeps what it is given until the socket takes it, each stream for itself, and a client
//! chooses how many streams there are and how wide their windows. Here the pieces of all of them
//! are counted together, and so are the requests that are under way: beyond a limit nothing more is
//! asked of an upstream on that client's behalf.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};

/// Bytes in h2's hands, of all streams of a connection: some hundred milliseconds of a fast line.
const HELD_MAX: usize = 256 * 1024;
/// Requests of a connection that are under way at once; others wait for their turn. What waits to
/// be taken of each answer is at most what the upstream's side reads ahead (64 KiB), and one client
/// has no more than this of an upstream's places by one connection. HTTP/1.1 has browsers at six.
const UNDER_WAY_MAX: usize = 32;

/// The count of one connection.
#[derive(Debug, Default)]
pub struct Hold {
    bytes: Cell<usize>,
    under_way: Cell<usize>,
    /// Who waits for room, or for a turn; a stream once.
    waiting: RefCell<Vec<(u32, Waker)>>,
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

/// A request's place among those under way, free again with this.
#[derive(Debug)]
pub struct Turn(Rc<Hold>);

impl Hold {
    /// Whether something of an answer waits for the client to take it.
    pub fn is_holding(&self) -> bool {
        self.bytes.get() > 0
    }

    /// Ready when another piece may be handed on.
    pub fn poll_room(&self, stream: u32, cx: &mut Context<'_>) -> Poll<()> {
        match self.bytes.get() < HELD_MAX {
            true => Poll::Ready(()),
            false => self.wait(stream, cx),
        }
    }

    /// Ready when another request may be begun.
    pub fn poll_turn(self: &Rc<Hold>, stream: u32, cx: &mut Context<'_>) -> Poll<Turn> {
        if self.under_way.get() < UNDER_WAY_MAX {
            self.under_way.set(self.under_way.get() + 1);
            return Poll::Ready(Turn(self.clone()));
        }
        self.wait(stream, cx)
    }

    fn wait<T>(&self, stream: u32, cx: &mut Context<'_>) -> Poll<T> {
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

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.under_way.set(self.0.under_way.get() - 1);
        self.0.wake();
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
        while hold.poll_room(1, &mut cx).is_ready() {
            pieces.push(hold.piece(Bytes::from_static(&[0; 16 * 1024])));
        }
        assert_eq!(pieces.len(), HELD_MAX / (16 * 1024));
        assert_eq!(hold.waiting.borrow().len(), 1);
        let _ = hold.poll_room(1, &mut cx);
        assert_eq!(hold.waiting.borrow().len(), 1, "one task waits once");
        pieces[0].advance(16 * 1024);
        assert!(
            hold.poll_room(1, &mut cx).is_pending(),
            "written in part or whole, it is still held"
        );
        drop(pieces.pop());
        assert!(hold.poll_room(1, &mut cx).is_ready() && hold.waiting.borrow().is_empty());
        drop(pieces);
        assert_eq!(hold.bytes.get(), 0);
    }

    #[test]
    fn requests_wait_for_their_turn() {
        let hold = Rc::new(Hold::default());
        let mut cx = Context::from_waker(Waker::noop());
        let mut turns = Vec::new();
        while let Poll::Ready(turn) = hold.poll_turn(1, &mut cx) {
            turns.push(turn);
        }
        assert_eq!((turns.len(), hold.waiting.borrow().len()), (UNDER_WAY_MAX, 1));
        drop(turns.pop());
        assert!(hold.waiting.borrow().is_empty());
        assert!(hold.poll_turn(1, &mut cx).is_ready());
    }
}
