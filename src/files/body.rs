//! The bytes of a file on their way out, without a thread that waits for the disk.
//!
//! What the kernel holds in memory is read on the spot; what it does not is read by a thread of
//! the runtime's pool. One piece at a time, so that a file of any size costs as much memory as one.
//! A file that turns out shorter than it was said to be ends with an error, never as if it were
//! whole.

use std::collections::VecDeque;
use std::fs::File;
use std::future::Future;
use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use rustix::buffer::spare_capacity;
use rustix::io::{Errno, ReadWriteFlags, pread, preadv2};
use tokio::task::{JoinHandle, spawn_blocking};

/// The most that is read at once. A smaller file goes out with its head in one write.
pub const PIECE_BYTES_MAX: u64 = 64 * 1024;

/// A part of a body.
#[derive(Debug)]
pub enum Part {
    Bytes(Bytes),
    /// Of the file.
    Range(Range<u64>),
}

/// The body of a response that comes from a file.
#[derive(Debug)]
pub struct FileBody {
    /// `None` where nothing of a file is sent.
    file: Option<Arc<File>>,
    /// None of them empty.
    parts: VecDeque<Part>,
    left: u64,
    /// A piece that a thread reads: the beginning of the first part.
    reading: Option<JoinHandle<io::Result<Vec<u8>>>>,
    /// The file system says what it holds in memory; not all can (preadv2(2), EOPNOTSUPP).
    tells_cached: bool,
}

impl FileBody {
    /// A body without any bytes.
    pub fn empty() -> FileBody {
        FileBody { file: None, parts: VecDeque::new(), left: 0, reading: None, tells_cached: true }
    }

    /// A body of these parts in turn.
    pub fn new(file: Arc<File>, parts: Vec<Part>) -> FileBody {
        let length = |part: &Part| match part {
            Part::Bytes(bytes) => bytes.len() as u64,
            Part::Range(range) => range.end.saturating_sub(range.start),
        };
        let parts: VecDeque<Part> = parts.into_iter().filter(|part| length(part) > 0).collect();
        let left = parts.iter().map(length).sum();
        FileBody { file: Some(file), parts, left, ..FileBody::empty() }
    }

    /// Bytes that are still to come.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Reads the first piece if that needs no waiting.
    pub fn begin(&mut self) {
        if let Some(Part::Range(range)) = self.parts.front()
            && let Some(bytes) = self.read_cached(&range.clone())
        {
            self.pass(bytes.len() as u64);
            self.parts.push_front(Part::Bytes(bytes));
        }
    }

    /// The next piece; `None` at the end. After an error there is nothing more.
    ///
    /// Cancel safe: what is being read stays with the body. Dropped with a read under way, it lets
    /// the thread finish that one piece.
    ///
    /// # Errors
    /// The file cannot be read, or is shorter than it was when it was opened (`UnexpectedEof`).
    pub fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let piece = ready!(self.poll_read(cx));
        match &piece {
            Some(Ok(bytes)) => self.left -= bytes.len() as u64,
            Some(Err(_)) => self.parts.clear(),
            None => {}
        }
        Poll::Ready(piece)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            if let Some(reading) = &mut self.reading {
                let read = ready!(Pin::new(reading).poll(cx));
                self.reading = None;
                let bytes = read.unwrap_or_else(|error| Err(io::Error::other(error)));
                return Poll::Ready(Some(bytes.map(|bytes| {
                    self.pass(bytes.len() as u64);
                    Bytes::from(bytes)
                })));
            }
            let range = match self.parts.front() {
                None => return Poll::Ready(None),
                Some(Part::Range(range)) => range.clone(),
                Some(Part::Bytes(bytes)) => {
                    let bytes = bytes.clone();
                    self.parts.pop_front();
                    return Poll::Ready(Some(Ok(bytes)));
                }
            };
            if let Some(bytes) = self.read_cached(&range) {
                self.pass(bytes.len() as u64);
                return Poll::Ready(Some(Ok(bytes)));
            }
            let Some(file) = self.file.clone() else { return Poll::Ready(None) };
            self.reading = Some(spawn_blocking(move || read_piece(&file, &range)));
        }
    }

    /// Takes what was read off the first part.
    fn pass(&mut self, length: u64) {
        if let Some(Part::Range(range)) = self.parts.front_mut() {
            range.start += length;
            if range.is_empty() {
                self.parts.pop_front();
            }
        }
    }

    /// What the kernel holds in memory of the beginning of `range`; nothing is no statement about
    /// the file. Linux 5.9 and 5.10 may say 0 in the middle of one (preadv2(2), BUGS).
    fn read_cached(&mut self, range: &Range<u64>) -> Option<Bytes> {
        let file = self.file.as_ref().filter(|_| self.tells_cached)?;
        let mut piece = vec![0; piece_length(range)];
        loop {
            let mut slices = [IoSliceMut::new(&mut piece)];
            match preadv2(file, &mut slices, range.start, ReadWriteFlags::NOWAIT) {
                Ok(0) => return None,
                Ok(length) => {
                    piece.truncate(length);
                    return Some(Bytes::from(piece));
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return None,
                // It will not say so the next time either; a true failure shows without the flag.
                Err(_) => {
                    self.tells_cached = false;
                    return None;
                }
            }
        }
    }
}

/// Reads the beginning of `range`, and waits for it.
fn read_piece(file: &File, range: &Range<u64>) -> io::Result<Vec<u8>> {
    let wanted = piece_length(range);
    let mut piece = Vec::with_capacity(wanted);
    while piece.len() < wanted {
        let offset = range.start + piece.len() as u64;
        match pread(file, spare_capacity(&mut piece), offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    // The allocator may have given more room than was asked for.
    piece.truncate(wanted);
    Ok(piece)
}

fn piece_length(range: &Range<u64>) -> usize {
    let length = range.end.saturating_sub(range.start).min(PIECE_BYTES_MAX);
    usize::try_from(length).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::Write;

    use super::*;

    fn file(size: usize) -> (Arc<File>, Vec<u8>) {
        let bytes: Vec<u8> = (0..size).map(|at| (at * 7 + at / 256) as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        (Arc::new(file), bytes)
    }

    /// The pieces of a body, up to the end or the error.
    fn pieces(mut body: FileBody) -> (Vec<Bytes>, Option<io::ErrorKind>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut pieces = Vec::new();
            loop {
                let before = body.left();
                match poll_fn(|cx| body.poll_piece(cx)).await {
                    Some(Ok(piece)) => {
                        assert!(!piece.is_empty());
                        assert_eq!(body.left(), before - piece.len() as u64);
                        pieces.push(piece);
                    }
                    Some(Err(error)) => {
                        assert!(poll_fn(|cx| body.poll_piece(cx)).await.is_none());
                        assert!(body.left() > 0, "a body that broke off must not look whole");
                        return (pieces, Some(error.kind()));
                    }
                    None => {
                        assert_eq!(body.left(), 0);
                        return (pieces, None);
                    }
                }
            }
        })
    }

    /// Each row: a file's size, and from where to where parts of it are sent. Read from memory, and
    /// by a thread.
    #[test]
    fn every_byte_arrives_once() {
        const PIECE: usize = PIECE_BYTES_MAX as usize;
        let rows: [(usize, &[(usize, usize)]); 7] = [
            (0, &[(0, 0)]),
            (1, &[(0, 1)]),
            (PIECE, &[(0, PIECE)]),
            (PIECE + 1, &[(0, PIECE + 1)]),
            (5 * PIECE + 17, &[(0, 5 * PIECE + 17)]),
            (5 * PIECE, &[(PIECE - 1, 3 * PIECE + 1)]),
            (1000, &[(999, 1000), (5, 6), (0, 0), (100, 900)]),
        ];
        for (size, ranges) in rows {
            for (tells_cached, begun) in
                [(true, true), (true, false), (false, true), (false, false)]
            {
                let (file, bytes) = file(size);
                let (mut parts, mut expected) = (Vec::new(), Vec::new());
                for &(start, end) in ranges {
                    parts.push(Part::Bytes(Bytes::from_static(b"--")));
                    parts.push(Part::Range(start as u64..end as u64));
                    expected.extend_from_slice(b"--");
                    expected.extend_from_slice(&bytes[start..end]);
                }
                let mut body = FileBody { tells_cached, ..FileBody::new(file, parts) };
                assert_eq!(body.left(), expected.len() as u64);
                if begun {
                    body.begin();
                }
                let (pieces, end) = pieces(body);
                assert_eq!(end, None);
                assert!(pieces.iter().all(|piece| piece.len() <= PIECE));
                assert_eq!(pieces.concat(), expected, "{size} {ranges:?} {tells_cached}");
            }
        }
    }

    #[test]
    fn a_small_file_is_one_piece_that_is_there_at_once() {
        let (file, bytes) = file(1000);
        let mut body = FileBody::new(file, vec![Part::Range(0..1000)]);
        body.begin();
        assert!(matches!(body.parts.front(), Some(Part::Bytes(first)) if *first == bytes));
        assert_eq!(pieces(body).0, [bytes]);
    }

    #[test]
    fn nothing_is_sent_of_nothing() {
        let mut body = FileBody::empty();
        body.begin();
        assert_eq!(pieces(body), (Vec::new(), None));
    }

    /// Cut before the first byte is read, in the middle, and to nothing.
    #[test]
    fn a_file_that_shrinks_is_an_error() {
        const SIZE: u64 = 3 * PIECE_BYTES_MAX;
        for tells_cached in [true, false] {
            for size in [0, 1, PIECE_BYTES_MAX, SIZE - 1] {
                let (file, bytes) = file(SIZE as usize);
                file.set_len(size).unwrap();
                let body = FileBody::new(file, vec![Part::Range(0..SIZE)]);
                let (pieces, end) = pieces(FileBody { tells_cached, ..body });
                assert_eq!(end, Some(io::ErrorKind::UnexpectedEof), "{size}");
                let sent = pieces.concat();
                assert!(sent.len() as u64 <= size && bytes.starts_with(&sent));
            }
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let body =
            FileBody::new(Arc::new(File::open(folder.path()).unwrap()), vec![Part::Range(0..9)]);
        assert_eq!(pieces(body), (Vec::new(), Some(io::ErrorKind::IsADirectory)));
    }
}
