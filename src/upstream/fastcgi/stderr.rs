//! What a program wrote to STDERR, within bounds: the first of it, the last of it, and how much
//! fell out between. Pure.
//!
//! The first line names what went wrong, the last ones what it led to. Costs nothing while nothing
//! is written.

use std::collections::VecDeque;

/// How many of the first bytes are kept.
pub const FIRST_MAX: usize = 4 * 1024;
/// How many of the last bytes are kept, beyond the first.
pub const LAST_MAX: usize = 12 * 1024;

/// The STDERR of one request.
#[derive(Debug, Clone, Default)]
pub struct Stderr {
    first: Vec<u8>,
    last: VecDeque<u8>,
    lost_bytes: u64,
    /// How many bytes had come when the response began.
    begun_at: u64,
}

impl Stderr {
    pub fn push(&mut self, bytes: &[u8]) {
        let room = FIRST_MAX - self.first.len();
        let (first, bytes) = bytes.split_at(bytes.len().min(room));
        self.first.extend_from_slice(first);
        let over = (self.last.len() + bytes.len()).saturating_sub(LAST_MAX);
        let old = over.min(self.last.len());
        self.last.drain(..old);
        self.last.extend(&bytes[over - old..]);
        self.lost_bytes += over as u64;
    }

    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// The first bytes; all of them while there are few.
    pub fn first(&self) -> &[u8] {
        &self.first
    }

    /// All that is kept, in order.
    pub fn kept(&self) -> Vec<u8> {
        self.first.iter().chain(&self.last).copied().collect()
    }

    /// The response begins here.
    pub fn mark_beginning(&mut self) {
        self.begun_at = self.first.len() as u64 + self.lost_bytes + self.last.len() as u64;
    }

    /// What is kept of what came after the response had begun.
    pub fn since_beginning(&self) -> Vec<u8> {
        let offset = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        let first = self.first.iter().skip(offset(self.begun_at));
        let before_last = self.first.len() as u64 + self.lost_bytes;
        let last = self.last.iter().skip(offset(self.begun_at.saturating_sub(before_last)));
        first.chain(last).copied().collect()
    }

    /// How many bytes fell out between the first and the last.
    pub fn lost_bytes(&self) -> u64 {
        self.lost_bytes
    }

    /// The last bytes, beyond the first; where none were lost, they go on from there.
    pub fn last(&mut self) -> &[u8] {
        self.last.make_contiguous()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_after_the_beginning_is_told_from_what_came_before() {
        for before in [0, 3, FIRST_MAX - 1, FIRST_MAX, FIRST_MAX + 5, FIRST_MAX + LAST_MAX + 5] {
            let mut stderr = Stderr::default();
            stderr.push(&vec![b'z'; before]);
            stderr.mark_beginning();
            assert_eq!(stderr.since_beginning(), b"", "{before}");
            stderr.push(b"PHP Fatal error");
            assert_eq!(stderr.since_beginning(), b"PHP Fatal error", "{before}");
            stderr.push(&vec![b'b'; LAST_MAX]);
            assert!(!stderr.since_beginning().contains(&b'z'), "{before}");
        }
    }

    #[test]
    fn nothing_costs_nothing() {
        let mut stderr = Stderr::default();
        stderr.push(b"");
        assert!(stderr.is_empty());
        assert_eq!((stderr.first.capacity(), stderr.last.capacity()), (0, 0));
    }

    /// However it comes, what is kept is the first and the last of it.
    #[test]
    fn the_first_and_the_last_are_kept() {
        let edge = FIRST_MAX + LAST_MAX;
        for total in [1, FIRST_MAX - 1, FIRST_MAX, FIRST_MAX + 1, edge, edge + 1, 3 * edge] {
            let bytes: Vec<u8> = (0..total).map(|at| (at % 251) as u8).collect();
            for size in [1, 7, 4096, 5000, LAST_MAX, 65535] {
                let mut stderr = Stderr::default();
                bytes.chunks(size).for_each(|piece| stderr.push(piece));
                let first = total.min(FIRST_MAX);
                let last = (total - first).min(LAST_MAX);
                assert_eq!(stderr.first(), &bytes[..first], "{total} in pieces of {size}");
                assert_eq!(stderr.last(), &bytes[total - last..], "{total} in pieces of {size}");
                assert_eq!(stderr.lost_bytes(), (total - first - last) as u64);
                assert!(!stderr.is_empty());
            }
        }
    }
}
