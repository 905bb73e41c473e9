//! Pages packed once and printed often: gzip (RFC 1952) and Brotli (RFC 7932) around values that
//! change.
//!
//! What all pages of a kind share is compressed when the first of them is kept, in parts that refer
//! to nothing outside of themselves; the values between stand in the stream as they are, as blocks
//! that both formats have for what is not compressed. A page in an outage is thus a few copies.
//! Pure.

use std::io::Cursor;

use brotli::enc::BrotliEncoderParams;
use flate2::{Compress, Compression, FlushCompress, Status};

/// A coding that a page is sent in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Coding {
    Brotli,
    Gzip,
}

/// Shorter texts between two values are not worth a block of their own.
const WORTH_BYTES: usize = 128;
/// The most that one block of either format holds uncompressed.
const BLOCK_BYTES: usize = 0xffff;
/// 256 KiB: more than any page.
const WINDOW_BITS: i32 = 18;
/// A page is packed while somebody waits for it: at 9 that takes 25 ms, for a few hundred bytes.
const QUALITY: i32 = 5;

/// A part of a page: a text that all pages of a kind share, or the number of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Text(String),
    Value(usize),
}

/// A page in one coding.
#[derive(Debug)]
pub struct Packed {
    coding: Coding,
    blocks: Vec<Block>,
}

#[derive(Debug)]
enum Block {
    /// Compressed; and the plain text where a checksum is made of it.
    Shared { packed: Vec<u8>, plain: Box<str> },
    /// As it is.
    Bare(Vec<Part>),
}

impl Coding {
    /// As Content-Encoding names it.
    pub fn name(self) -> &'static str {
        match self {
            Coding::Brotli => "br",
            Coding::Gzip => "gzip",
        }
    }
}

impl Packed {
    /// Packs what pages share.
    pub fn new(coding: Coding, parts: &[Part]) -> Packed {
        let mut blocks: Vec<Block> = Vec::new();
        for part in parts {
            match (part, blocks.last_mut()) {
                (Part::Text(text), last) if text.len() >= WORTH_BYTES || last.is_none() => {
                    let packed = coding.packed(text, blocks.is_empty());
                    let plain = match coding {
                        Coding::Brotli => "",
                        Coding::Gzip => text.as_str(),
                    };
                    blocks.push(Block::Shared { packed, plain: plain.into() });
                }
                (part, Some(Block::Bare(bare))) => bare.push(part.clone()),
                (part, Some(Block::Shared { .. }) | None) => {
                    blocks.push(Block::Bare(vec![part.clone()]));
                }
            }
        }
        Packed { coding, blocks }
    }

    /// The bytes of the page with these values, of which there may be `expected`.
    pub fn print(&self, values: &[&str], expected: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(expected);
        let mut sum = Sum::default();
        self.coding.begin(&mut out, matches!(self.blocks.first(), Some(Block::Shared { .. })));
        for block in &self.blocks {
            match block {
                Block::Shared { packed, plain } => {
                    out.extend_from_slice(packed);
                    self.coding.count(&mut sum, plain.as_bytes());
                }
                Block::Bare(parts) => self.coding.bare(&mut out, &mut sum, parts, values),
            }
        }
        self.coding.end(&mut out, sum);
        out
    }
}

/// The text of parts with these values.
pub fn plain(parts: &[Part], values: &[&str]) -> String {
    let texts = texts(parts, values);
    let mut out = String::with_capacity(texts.clone().map(str::len).sum());
    out.extend(texts);
    out
}

fn texts<'t>(parts: &'t [Part], values: &'t [&'t str]) -> impl Iterator<Item = &'t str> + Clone {
    parts.iter().map(|part| match part {
        Part::Text(text) => text.as_str(),
        Part::Value(number) => values.get(*number).copied().unwrap_or_default(),
    })
}

/// What gzip's trailer says of the plain text: its CRC-32 and its length.
#[derive(Default)]
struct Sum {
    crc: crc32fast::Hasher,
    length: u32,
}

impl Coding {
    fn count(self, sum: &mut Sum, plain: &[u8]) {
        match self {
            Coding::Brotli => {}
            Coding::Gzip => {
                sum.crc.update(plain);
                // RFC 1952 section 2.3.1: modulo 2^32.
                sum.length = sum.length.wrapping_add(plain.len() as u32);
            }
        }
    }

    fn begin(self, out: &mut Vec<u8>, packed_first: bool) {
        match (self, packed_first) {
            // The first part brings the window's size with it (RFC 7932 section 9.1).
            (Coding::Brotli, true) => {}
            // WBITS 18: 0b0011; then an empty metadata block, which ends with its byte: ISLAST 0,
            // MNIBBLES 0b11, a reserved 0, MSKIPBYTES 0b00, padding.
            (Coding::Brotli, false) => out.extend([0b0110_0011, 0b00]),
            // RFC 1952 section 2.3: deflate, no flags, no time, slowest, unknown system.
            (Coding::Gzip, _) => out.extend([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255]),
        }
    }

    /// Parts that are not compressed; without a text of their own where one block holds them.
    fn bare(self, out: &mut Vec<u8>, sum: &mut Sum, parts: &[Part], values: &[&str]) {
        let texts = texts(parts, values);
        let length = texts.clone().map(str::len).sum();
        if length <= BLOCK_BYTES {
            self.begin_bare(out, length);
            for text in texts {
                out.extend_from_slice(text.as_bytes());
                self.count(sum, text.as_bytes());
            }
            return;
        }
        let plain = plain(parts, values);
        for bytes in plain.as_bytes().chunks(BLOCK_BYTES) {
            self.begin_bare(out, bytes.len());
            out.extend_from_slice(bytes);
        }
        self.count(sum, plain.as_bytes());
    }

    /// What stands before so many bytes that are not compressed, [`BLOCK_BYTES`] at most; streams
    /// are at the boundary of a byte before and after.
    fn begin_bare(self, out: &mut Vec<u8>, length: usize) {
        match self {
            // RFC 7932 section 9.2: ISLAST 0, MNIBBLES 0 (four), MLEN - 1, ISUNCOMPRESSED 1.
            Coding::Brotli if length == 0 => {}
            Coding::Brotli => {
                let header = ((length - 1) as u32) << 3 | 1 << 19;
                out.extend_from_slice(&header.to_le_bytes()[..3]);
            }
            // RFC 1951 section 3.2.4: BFINAL 0, BTYPE 00, LEN, NLEN.
            Coding::Gzip => {
                let length = (length as u16).to_le_bytes();
                out.extend([0, length[0], length[1], !length[0], !length[1]]);
            }
        }
    }

    fn end(self, out: &mut Vec<u8>, sum: Sum) {
        match self {
            // RFC 7932 section 9.2: ISLAST 1, ISLASTEMPTY 1.
            Coding::Brotli => out.push(0b11),
            Coding::Gzip => {
                // RFC 1951 section 3.2.4: a last block, empty.
                out.extend([1, 0, 0, 0xff, 0xff]);
                out.extend(sum.crc.finalize().to_le_bytes());
                out.extend(sum.length.to_le_bytes());
            }
        }
    }

    /// A text as whole blocks that end with a byte and refer to nothing before them.
    fn packed(self, text: &str, first: bool) -> Vec<u8> {
        match self {
            Coding::Brotli => brotli_blocks(text, first),
            Coding::Gzip => deflate_blocks(text),
        }
    }
}

fn brotli_blocks(text: &str, first: bool) -> Vec<u8> {
    let params = BrotliEncoderParams {
        quality: QUALITY,
        lgwin: WINDOW_BITS,
        size_hint: text.len(),
        bare_stream: true,
        byte_align: true,
        appendable: true,
        // Behind other bytes neither the dictionary's places nor the last distances are known.
        catable: !first,
        use_dictionary: first,
        ..BrotliEncoderParams::default()
    };
    let mut out = Vec::with_capacity(text.len() / 2);
    let packed = brotli::BrotliCompress(&mut Cursor::new(text), &mut out, &params);
    debug_assert!(packed.is_ok(), "memory to memory");
    out
}

fn deflate_blocks(text: &str) -> Vec<u8> {
    let mut deflate = Compress::new(Compression::best(), false);
    // RFC 1951 section 3.2.4: stored, it would take five bytes a block more.
    let mut out = Vec::with_capacity(text.len() + text.len() / 1000 + 64);
    loop {
        let rest = &text.as_bytes()[deflate.total_in() as usize..];
        match deflate.compress_vec(rest, &mut out, FlushCompress::Sync) {
            Ok(Status::Ok) if out.len() == out.capacity() => out.reserve(1024),
            _ => return out,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;

    use super::*;

    fn unpacked(coding: Coding, bytes: &[u8]) -> String {
        let mut text = String::new();
        match coding {
            Coding::Brotli => {
                brotli::Decompressor::new(bytes, 4096).read_to_string(&mut text).unwrap()
            }
            Coding::Gzip => flate2::read::GzDecoder::new(bytes).read_to_string(&mut text).unwrap(),
        };
        text
    }

    fn check(parts: &[Part], values: &[&str]) {
        for coding in [Coding::Brotli, Coding::Gzip] {
            let packed = Packed::new(coding, parts);
            for _ in 0..2 {
                let bytes = packed.print(values, 0);
                assert_eq!(unpacked(coding, &bytes), plain(parts, values), "{coding:?}");
            }
        }
    }

    fn text(text: &str, times: usize) -> Part {
        Part::Text(text.repeat(times))
    }

    #[test]
    fn what_is_packed_comes_out_again() {
        let long = "x".repeat(70_000);
        for parts in [
            vec![],
            vec![Part::Value(0)],
            vec![Part::Value(0), text("the time and the other ", 40), Part::Value(1)],
            vec![text("The <b>site</b> is not answering. ", 60)],
            vec![
                text("The site of the people is not answering. ", 60),
                Part::Value(1),
                text("short", 1),
                Part::Value(2),
                text("The site of the people is not answering. ", 60),
                Part::Value(0),
                text("Other people: the site is back. ", 30),
            ],
        ] {
            check(&parts, &["7K3F-9QXM", "shop.example", ""]);
            check(&parts, &["", "", ""]);
            check(&parts, &[&long, "é", "\u{10f800}"]);
        }
    }

    proptest! {
        #[test]
        fn any_page_comes_out_again(
            parts in prop::collection::vec(
                prop_oneof![
                    "[a-f <>/\"=]{0,400}".prop_map(Part::Text),
                    (0usize..3).prop_map(Part::Value),
                ],
                0..9,
            ),
            values in prop::collection::vec("[ -~é网]{0,40}", 3),
        ) {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            check(&parts, &values);
        }
    }
}
