//! A picture that is right to the last bit, with a text of choice inside (PNG, third edition).

/// A PNG of coloured noise; `comment` is a text chunk that no reader shows.
pub fn png(width: u32, height: u32, comment: &[u8]) -> Vec<u8> {
    let mut rows = Vec::new();
    let mut state = 0x9e37_79b9_u32;
    for _ in 0..height {
        // Each row begins with its filter, none (section 9.2).
        rows.extend_from_slice(&[0]);
        for _ in 0..width * 3 {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            rows.push(state as u8);
        }
    }
    // Eight bits a channel, red, green and blue; not interlaced (section 11.2.1).
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
    let mut picture = b"\x89PNG\r\n\x1a\n".to_vec();
    chunk(&mut picture, b"IHDR", &header);
    chunk(&mut picture, b"tEXt", &[b"Comment\0", comment].concat());
    chunk(&mut picture, b"IDAT", &stored(&rows));
    chunk(&mut picture, b"IEND", b"");
    picture
}

/// Length, type, data and check sum (section 5.3).
fn chunk(picture: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    picture.extend_from_slice(&u32::try_from(data.len()).expect("it is small").to_be_bytes());
    let checked = [kind, data].concat();
    picture.extend_from_slice(&checked);
    picture.extend_from_slice(&crc(&checked).to_be_bytes());
}

/// The bytes as a zlib stream that compresses nothing (RFC 1950, and RFC 1951 section 3.2.4).
fn stored(bytes: &[u8]) -> Vec<u8> {
    let mut stream = vec![0x78, 0x01];
    let mut blocks = bytes.chunks(0xffff).peekable();
    while let Some(block) = blocks.next() {
        let length = u16::try_from(block.len()).expect("a block's length has 16 bits");
        stream.push(u8::from(blocks.peek().is_none()));
        stream.extend_from_slice(&length.to_le_bytes());
        stream.extend_from_slice(&(!length).to_le_bytes());
        stream.extend_from_slice(block);
    }
    let (mut a, mut b) = (1_u32, 0_u32);
    for byte in bytes {
        a = (a + u32::from(*byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    stream.extend_from_slice(&(b << 16 | a).to_be_bytes());
    stream
}

/// CRC-32 (annex D).
fn crc(bytes: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = (sum >> 1) ^ (0xedb8_8320 * (sum & 1));
        }
    }
    !sum
}
