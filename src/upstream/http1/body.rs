//! Response bodies: the chunked coding (RFC 9112 section 7.1), bytes to data, trailers or a fault.
//! Pure.
//!
//! Strict where a sloppy line could hide a second message: the size is hex digits alone, extensions
//! are bounded, lines end with CRLF.

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};

/// The longest line of a chunk size with its extensions.
pub const CHUNK_LINE_MAX: usize = 4096;
/// The most bytes of a trailer section.
pub const TRAILERS_MAX: usize = 16 * 1024;

/// The state of one chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunked {
    /// Before a size line.
    Size,
    /// Inside a chunk, with so many bytes to come.
    Data(u64),
    /// After a chunk's data: CRLF.
    DataEnd,
    Trailers,
    Done,
}

/// One step of decoding.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
    /// The body is over, without trailers.
    End,
    /// More bytes are needed.
    More,
}

/// A line that is not what the coding calls for.
#[derive(Debug, PartialEq, Eq)]
pub struct BadChunk {
    pub part: ChunkPart,
    /// Its start, 120 bytes at most.
    pub line: Vec<u8>,
}

/// The part of the coding that is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChunkPart {
    /// A size line, or what follows the data.
    Chunk,
    /// A line behind the last chunk.
    Trailer,
    /// More than [`TRAILERS_MAX`] of those.
    TrailerSection,
}

impl Chunked {
    /// Takes what it can off the buffer.
    ///
    /// # Errors
    /// The line that broke the coding; the state is not to be used further.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Piece, BadChunk> {
        loop {
            match *self {
                Chunked::Size => {
                    let Some(line) = take_line(buffer, CHUNK_LINE_MAX)? else {
                        return Ok(Piece::More);
                    };
                    let size = chunk_size(&line).ok_or_else(|| bad(&line))?;
                    *self = if size == 0 { Chunked::Trailers } else { Chunked::Data(size) };
                }
                Chunked::Data(_) if buffer.is_empty() => return Ok(Piece::More),
                Chunked::Data(left) => {
                    let here = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    let data = buffer.split_to(here).freeze();
                    let left = left - here as u64;
                    *self = if left == 0 { Chunked::DataEnd } else { Chunked::Data(left) };
                    return Ok(Piece::Data(data));
                }
                Chunked::DataEnd => match buffer.as_ref() {
                    [b'\r', b'\n', ..] => {
                        buffer.advance(2);
                        *self = Chunked::Size;
                    }
                    [] | [b'\r'] => return Ok(Piece::More),
                    other => return Err(bad(other)),
                },
                Chunked::Trailers => return self.trailers(buffer),
                Chunked::Done => return Ok(Piece::End),
            }
        }
    }

    fn trailers(&mut self, buffer: &mut BytesMut) -> Result<Piece, BadChunk> {
        if buffer.starts_with(b"\r\n") {
            buffer.advance(2);
            *self = Chunked::Done;
            return Ok(Piece::End);
        }
        let Some(end) = memchr::memmem::find(buffer, b"\r\n\r\n") else {
            return if buffer.len() > TRAILERS_MAX {
                Err(broken(ChunkPart::TrailerSection, buffer))
            } else {
                Ok(Piece::More)
            };
        };
        if end > TRAILERS_MAX {
            return Err(broken(ChunkPart::TrailerSection, buffer));
        }
        let section = buffer.split_to(end + 4).freeze();
        *self = Chunked::Done;
        let mut lines = [httparse::EMPTY_HEADER; 64];
        let Ok(httparse::Status::Complete((_, lines))) =
            httparse::parse_headers(&section, &mut lines)
        else {
            return Err(broken(ChunkPart::Trailer, &section));
        };
        let mut trailers = HeaderMap::with_capacity(lines.len());
        for line in lines {
            let name = HeaderName::from_bytes(line.name.as_bytes())
                .map_err(|_| broken(ChunkPart::Trailer, &section))?;
            let value = HeaderValue::from_bytes(line.value)
                .map_err(|_| broken(ChunkPart::Trailer, &section))?;
            trailers.append(name, value);
        }
        Ok(Piece::Trailers(trailers))
    }
}

/// A whole line without its CRLF, `None` when its end has not come yet.
fn take_line(buffer: &mut BytesMut, max: usize) -> Result<Option<Bytes>, BadChunk> {
    let Some(newline) = memchr::memchr(b'\n', &buffer[..buffer.len().min(max)]) else {
        return if buffer.len() >= max { Err(bad(buffer)) } else { Ok(None) };
    };
    let line = buffer.split_to(newline + 1).freeze();
    match line.as_ref() {
        [text @ .., b'\r', b'\n'] => Ok(Some(line.slice(..text.len()))),
        _ => Err(bad(&line)),
    }
}

/// 1*HEXDIG, then nothing or `;` and an extension, with the white space that RFC 9112 section 7.1.1
/// calls bad but allows before it. More than sixteen digits overflow.
pub(crate) fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let rest = line[digits..].trim_ascii_start();
    let clean = rest.is_empty() && line.len() == digits
        || rest.starts_with(b";") && !rest.iter().any(|&byte| byte < b' ' && byte != b'\t');
    if digits == 0 || digits > 16 || !clean {
        return None;
    }
    let digits = std::str::from_utf8(&line[..digits]).ok()?;
    u64::from_str_radix(digits, 16).ok()
}

fn bad(line: &[u8]) -> BadChunk {
    broken(ChunkPart::Chunk, line)
}

fn broken(part: ChunkPart, line: &[u8]) -> BadChunk {
    BadChunk { part, line: line[..line.len().min(120)].to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds the pieces one by one: the data, the trailers, and how it ended.
    fn run(pieces: &[&[u8]]) -> Result<(Vec<u8>, Option<HeaderMap>, bool), BadChunk> {
        let (mut state, mut buffer) = (Chunked::Size, BytesMut::new());
        let mut data = Vec::new();
        for piece in pieces {
            buffer.extend_from_slice(piece);
            loop {
                match state.decode(&mut buffer)? {
                    Piece::Data(bytes) => data.extend_from_slice(&bytes),
                    Piece::Trailers(trailers) => return Ok((data, Some(trailers), true)),
                    Piece::End => return Ok((data, None, true)),
                    Piece::More => break,
                }
            }
        }
        Ok((data, None, false))
    }

    #[test]
    fn a_body_decodes_the_same_wherever_it_is_split_and_never_looks_whole_when_cut() {
        let whole: &[u8] = b"5;a=b\r\nhello\r\n1\r\n!\r\n0\r\nX-Sum: 1\r\n\r\n";
        for at in 0..=whole.len() {
            let (data, trailers, done) = run(&[&whole[..at], &whole[at..]]).unwrap();
            assert_eq!((data.as_slice(), done), (b"hello!".as_slice(), true), "split at {at}");
            assert_eq!(trailers.unwrap()["x-sum"], "1");
            let (_, _, done) = run(&[&whole[..at]]).unwrap();
            assert_eq!(done, at == whole.len(), "cut at {at}");
        }
    }

    #[test]
    fn sloppy_lines_are_refused() {
        for bad in [
            "\r\n",
            "5 \r\nhello\r\n",
            " 5\r\n",
            "0x5\r\n",
            "+5\r\n",
            "-1\r\n",
            "g\r\n",
            "5\nhello",
            "11111111111111111\r\n",
            "5;a\x01\r\n",
            "5\r\nhello!\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "0\r\nbad trailer\r\n\r\n",
        ] {
            assert!(run(&[bad.as_bytes()]).is_err(), "{bad:?}");
        }
        let endless = vec![b'0'; CHUNK_LINE_MAX + 1];
        assert!(run(&[&endless]).is_err());
    }
}
