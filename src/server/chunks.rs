//! A chunked request body (RFC 9112 section 7.1): where its data are, and where it ends. Pure.
//!
//! Strict, as the gate is: what two readers could read in two ways is refused by name.

use crate::diagnose::RequestFault;
use crate::upstream::http1::head;

/// The longest line of a chunk size with its extensions.
const CHUNK_LINE_MAX: u32 = 4096;
/// The most bytes of a trailer section.
const TRAILERS_MAX: u32 = 16 * 1024;

/// Follows a chunked request body (RFC 9112 section 7.1) byte by byte, to know where it ends.
#[derive(Debug, Clone, Copy)]
pub struct ChunkScan {
    state: ChunkState,
    /// Bytes of the line, or of the trailer section, so far.
    line: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChunkState {
    Size {
        value: u64,
        digits: u8,
    },
    Extension {
        value: u64,
    },
    SizeEnd {
        value: u64,
    },
    Data {
        left: u64,
    },
    DataCr,
    DataLf,
    /// At the start of a trailer line.
    Trailer,
    TrailerName,
    TrailerValue,
    TrailerEnd,
    /// After the CR of the empty line.
    LastLf,
    Done,
}

impl ChunkScan {
    pub fn new() -> ChunkScan {
        ChunkScan { state: ChunkState::Size { value: 0, digits: 0 }, line: 0 }
    }

    pub fn is_done(&self) -> bool {
        self.state == ChunkState::Done
    }

    /// Whether what comes next are the trailer fields, or their end.
    pub fn is_at_trailers(&self) -> bool {
        use ChunkState as S;
        matches!(
            self.state,
            S::Trailer | S::TrailerName | S::TrailerValue | S::TrailerEnd | S::LastLf
        )
    }

    /// Takes bytes up to the end of a run of data, of the last chunk's line, or of the body: how
    /// many of them are framing or trailer fields, and how many after those are data.
    ///
    /// # Errors
    /// The fault of the first byte that does not belong where it stands.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(usize, usize), RequestFault> {
        let was_at_trailers = self.is_at_trailers();
        let mut at = 0;
        while at < bytes.len() && !self.is_done() && self.is_at_trailers() == was_at_trailers {
            if let ChunkState::Data { left } = self.state {
                let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len() - at);
                let left = left - here as u64;
                self.state = if left == 0 { ChunkState::DataCr } else { ChunkState::Data { left } };
                if left == 0 {
                    self.look_ahead(&bytes[at + here..])?;
                }
                return Ok((at, here));
            }
            self.state = self.step(bytes[at])?;
            at += 1;
        }
        Ok((at, 0))
    }

    /// A chunk whose end is at hand and wrong is not passed on.
    fn look_ahead(&self, bytes: &[u8]) -> Result<(), RequestFault> {
        let mut ahead = *self;
        for &byte in bytes.iter().take(b"\r\n".len()) {
            ahead.state = ahead.step(byte)?;
        }
        Ok(())
    }

    /// Takes bytes up to the body's end: how many were the body's.
    #[cfg(any(fuzzing, test))]
    pub fn scan(&mut self, bytes: &[u8]) -> Result<usize, RequestFault> {
        let mut at = 0;
        while at < bytes.len() && !self.is_done() {
            let (framing, data) = self.take(&bytes[at..])?;
            at += framing + data;
        }
        Ok(at)
    }

    fn step(&mut self, byte: u8) -> Result<ChunkState, RequestFault> {
        use ChunkState as S;
        self.line += 1;
        Ok(match (self.state, byte) {
            (S::Size { value, digits }, _) if byte.is_ascii_hexdigit() => {
                if digits == 16 {
                    return Err(RequestFault::ChunkSizeOverflow);
                }
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                S::Size { value: value << 4 | u64::from(digit), digits: digits + 1 }
            }
            (S::Size { value, digits: 1.. }, b'\r') => S::SizeEnd { value },
            (S::Size { value, digits: 1.. }, b';') => S::Extension { value },
            (S::Extension { value }, b'\r') => S::SizeEnd { value },
            (S::Extension { .. }, b'\t' | b' '..=b'~' | 0x80..) if self.line <= CHUNK_LINE_MAX => {
                self.state
            }
            (S::SizeEnd { value: 0 }, b'\n') => {
                self.line = 0;
                S::Trailer
            }
            (S::SizeEnd { value }, b'\n') => S::Data { left: value },
            (S::DataCr, b'\r') => S::DataLf,
            (S::DataLf, b'\n') => {
                self.line = 0;
                S::Size { value: 0, digits: 0 }
            }
            (S::Trailer, b'\r') => S::LastLf,
            (S::LastLf, b'\n') => S::Done,
            _ if self.line > TRAILERS_MAX => return Err(RequestFault::TrailerInvalid),
            (S::Trailer | S::TrailerName, _) if head::is_token(byte) => S::TrailerName,
            (S::TrailerName, b':') => S::TrailerValue,
            (S::TrailerValue, b'\r') => S::TrailerEnd,
            (S::TrailerValue, b'\t' | b' '..=b'~' | 0x80..) => S::TrailerValue,
            (S::TrailerEnd, b'\n') => S::Trailer,
            (S::Trailer | S::TrailerName | S::TrailerValue | S::TrailerEnd | S::LastLf, _) => {
                return Err(RequestFault::TrailerInvalid);
            }
            (
                S::Size { .. }
                | S::Extension { .. }
                | S::SizeEnd { .. }
                | S::Data { .. }
                | S::DataCr
                | S::DataLf
                | S::Done,
                _,
            ) => return Err(RequestFault::ChunkInvalid),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunked_body_ends_where_it_ends_however_it_is_split() {
        let body: &[u8] = b"5;a=b\r\nhello\r\n0A\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n";
        let more = [body, b"GET /"].concat();
        for at in 0..=more.len() {
            let mut scan = ChunkScan::new();
            let first = scan.scan(&more[..at]).unwrap();
            let second = scan.scan(&more[first..]).unwrap();
            assert_eq!(first + second, body.len(), "split at {at}");
            assert!(scan.is_done());
            let mut cut = ChunkScan::new();
            cut.scan(&more[..at]).unwrap();
            assert_eq!(cut.is_done(), at >= body.len(), "cut at {at}");
        }
    }

    #[test]
    fn sloppy_chunk_lines_are_refused() {
        use RequestFault as F;
        for (body, fault) in [
            ("5 \r\nhello\r\n", F::ChunkInvalid),
            (" 5\r\n", F::ChunkInvalid),
            ("\r\n", F::ChunkInvalid),
            ("0x5\r\n", F::ChunkInvalid),
            ("+5\r\n", F::ChunkInvalid),
            ("5\nhello\r\n", F::ChunkInvalid),
            ("5\r\nhello\n", F::ChunkInvalid),
            ("5\r\nhelloX\r\n", F::ChunkInvalid),
            ("5;\x01\r\n", F::ChunkInvalid),
            ("5;a\nb\r\n", F::ChunkInvalid),
            ("11111111111111111\r\n", F::ChunkSizeOverflow),
            ("0\r\n X: 1\r\n\r\n", F::TrailerInvalid),
            ("0\r\nX\r\n\r\n", F::TrailerInvalid),
            ("0\r\nX: \x01\r\n\r\n", F::TrailerInvalid),
        ] {
            assert_eq!(ChunkScan::new().scan(body.as_bytes()), Err(fault), "{body:?}");
        }
        let endless = format!("5;{}", "a".repeat(5000));
        assert_eq!(ChunkScan::new().scan(endless.as_bytes()), Err(F::ChunkInvalid));
    }
}
