//! The header of the PROXY protocol (its specification, version 2.2 of the document: section 2.1
//! for the line of version 1, section 2.2 for the block of version 2). Pure.
//!
//! Decides how many of the first bytes of a connection are its header, and what that says. The
//! length is measured here, so that no reader is asked for more than a whole header; who has to
//! send one, and whose word counts, is decided elsewhere.

use proxy_header::{ParseConfig, Protocol, ProxyHeader, Tlv};

use crate::proxy::Introduction;

/// Section 2.1: the longest line, its end included.
const V1_MAX: usize = 107;
/// The longest block that is read: addresses, and what is said of TLS; 64 KiB would be allowed.
pub const V2_MAX: usize = 4096;

const V1_BEGIN: &[u8] = b"PROXY ";
const V2_BEGIN: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The signature, version and command, family and protocol, length.
const V2_FIXED: usize = 16;

/// Why there is no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr, strum::EnumCount)]
#[strum(serialize_all = "snake_case")]
pub enum HeaderFault {
    /// The connection begins with something else.
    Missing,
    Malformed,
    TooLong,
    /// It did not come in time.
    Late,
    /// The connection ended inside it.
    Cut,
    /// It ended without a byte: a balancer asks so whether we listen.
    Silent,
}

/// How far a header goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Past all of these bytes.
    Beyond,
    /// To this offset.
    To(usize),
}

/// Says where the header that these bytes begin with ends.
///
/// # Errors
/// They cannot become a header, whatever follows.
pub fn extent(bytes: &[u8]) -> Result<Extent, HeaderFault> {
    if begins(bytes, V1_BEGIN) {
        let line = &bytes[..bytes.len().min(V1_MAX)];
        return match memchr::memchr(b'\n', line) {
            Some(end) if line[..end].ends_with(b"\r") => Ok(Extent::To(end + 1)),
            Some(_) => Err(HeaderFault::Malformed),
            None if line.len() == V1_MAX => Err(HeaderFault::TooLong),
            None => Ok(Extent::Beyond),
        };
    }
    if !begins(bytes, V2_BEGIN) {
        return Err(HeaderFault::Missing);
    }
    let Some(&[command, _, high, low]) = bytes.get(V2_BEGIN.len()..V2_FIXED) else {
        return Ok(Extent::Beyond);
    };
    if command >> 4 != 2 {
        return Err(HeaderFault::Malformed);
    }
    let end = V2_FIXED + usize::from(u16::from_be_bytes([high, low]));
    match end {
        _ if end > V2_MAX => Err(HeaderFault::TooLong),
        _ if end > bytes.len() => Ok(Extent::Beyond),
        _ => Ok(Extent::To(end)),
    }
}

/// Whether the bytes begin so, as far as there are any.
fn begins(bytes: &[u8], beginning: &[u8]) -> bool {
    let here = bytes.len().min(beginning.len());
    bytes[..here] == beginning[..here]
}

/// Reads a whole header, as [`extent`] has measured it.
///
/// # Errors
/// It is not one.
pub fn read(header: &[u8]) -> Result<Introduction, HeaderFault> {
    let local = header.starts_with(V2_BEGIN) && header.get(V2_BEGIN.len()) == Some(&0x20);
    if local {
        // LOCAL: "discard the protocol block including the family which is ignored".
        return Ok(Introduction::Itself);
    }
    // Numbers of ports have no sign; the parser is that of the standard library, which takes one.
    let signed = header.starts_with(V1_BEGIN) && memchr::memchr(b'+', header).is_some();
    let parsed = ProxyHeader::parse(header, ParseConfig::default());
    let (parsed, length) = parsed.map_err(|_| HeaderFault::Malformed)?;
    if length != header.len() || signed && parsed.proxied_address().is_some() {
        return Err(HeaderFault::Malformed);
    }
    let named = match parsed.proxied_address() {
        Some(address) => match address.protocol {
            Protocol::Stream => Some((address.source, address.destination)),
            Protocol::Datagram => return Err(HeaderFault::Malformed),
        },
        None => None,
    };
    let mut secure = false;
    for tlv in parsed.tlvs() {
        // Section 2.2.5: PP2_TYPE_SSL with PP2_CLIENT_SSL.
        if let Tlv::Ssl(tls) = tlv.map_err(|_| HeaderFault::Malformed)? {
            secure |= tls.client_ssl();
        }
    }
    Ok(Introduction::Client { named, secure })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [V2_BEGIN, &[command, family], &length, rest].concat()
    }

    fn said(header: &[u8]) -> Result<Introduction, HeaderFault> {
        match extent(header)? {
            Extent::To(end) => read(&header[..end]),
            Extent::Beyond => Err(HeaderFault::Cut),
        }
    }

    fn named(from: &str, to: &str, secure: bool) -> Result<Introduction, HeaderFault> {
        let named = Some((from.parse().unwrap(), to.parse().unwrap()));
        Ok(Introduction::Client { named, secure })
    }

    const UNNAMED: Result<Introduction, HeaderFault> =
        Ok(Introduction::Client { named: None, secure: false });
    const V4: &[u8] = &[203, 0, 113, 9, 192, 0, 2, 1, 0xdb, 0xa0, 0x01, 0xbb];

    #[test]
    fn lines_of_version_1() {
        for (line, expected) in [
            ("PROXY TCP4 203.0.113.9 192.0.2.1 56224 443\r\n", {
                named("203.0.113.9:56224", "192.0.2.1:443", false)
            }),
            ("PROXY TCP6 2001:db8::9 2001:db8::1 1 65535\r\nGET /", {
                named("[2001:db8::9]:1", "[2001:db8::1]:65535", false)
            }),
            ("PROXY UNKNOWN\r\n", UNNAMED),
            ("PROXY UNKNOWN ff:: ff:: 1+1 2\r\n", UNNAMED),
            ("PROXY TCP4 203.0.113.9 192.0.2.1 56224 443\n", Err(HeaderFault::Malformed)),
            ("PROXY TCP4 203.0.113.9 192.0.2.1 +5622 443\r\n", Err(HeaderFault::Malformed)),
            ("PROXY TCP4 203.0.113.9 192.0.2.1 65536 443\r\n", Err(HeaderFault::Malformed)),
            ("PROXY TCP4 2001:db8::9 192.0.2.1 1 443\r\n", Err(HeaderFault::Malformed)),
            ("PROXY TCP4 203.0.113.9 192.0.2.1 1\r\n", Err(HeaderFault::Malformed)),
            ("PROXY UDP4 203.0.113.9 192.0.2.1 1 2\r\n", Err(HeaderFault::Malformed)),
            ("PROXY \r\n", Err(HeaderFault::Malformed)),
            ("PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n", Err(HeaderFault::Malformed)),
            ("PROXYTCP4 1.2.3.4 1.2.3.4 1 2\r\n", Err(HeaderFault::Missing)),
            ("GET / HTTP/1.1\r\n", Err(HeaderFault::Missing)),
            ("POST / HTTP/1.1\r\n", Err(HeaderFault::Missing)),
            ("PROXY TCP4 203.0.113.9 192", Err(HeaderFault::Cut)),
            ("P", Err(HeaderFault::Cut)),
        ] {
            assert_eq!(said(line.as_bytes()), expected, "{line:?}");
        }
        let longest = format!("PROXY UNKNOWN {}\r\n", "x".repeat(V1_MAX - 16));
        assert_eq!((longest.len(), said(longest.as_bytes())), (V1_MAX, UNNAMED));
        let longer = longest.replace("\r\n", "x\r\n");
        assert_eq!(said(longer.as_bytes()), Err(HeaderFault::TooLong));
    }

    #[test]
    fn blocks_of_version_2() {
        let tls = |flags: u8| [V4, &[0x20, 0, 5, flags, 0, 0, 0, 0]].concat();
        let (from, to) = ("203.0.113.9:56224", "192.0.2.1:443");
        let v6 = [&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9][..]; 2].concat();
        let v6 = [&v6[..], &[0, 1, 0, 80]].concat();
        for (header, expected) in [
            (v2(0x21, 0x11, V4), named(from, to, false)),
            (v2(0x21, 0x11, &tls(1)), named(from, to, true)),
            (v2(0x21, 0x11, &tls(6)), named(from, to, false)),
            (v2(0x21, 0x21, &v6), named("[2001:db8::9]:1", "[2001:db8::9]:80", false)),
            // UNSPEC, and a Unix client.
            (v2(0x21, 0, b""), UNNAMED),
            (v2(0x21, 0x31, &[0; 216]), UNNAMED),
            // LOCAL, with whatever there is behind it.
            (v2(0x20, 0, b""), Ok(Introduction::Itself)),
            (v2(0x20, 0x11, V4), Ok(Introduction::Itself)),
            (v2(0x20, 0x11, b""), Ok(Introduction::Itself)),
            // Datagrams, unknown commands and versions, addresses cut short, fields cut short.
            (v2(0x21, 0x12, V4), Err(HeaderFault::Malformed)),
            (v2(0x22, 0x11, V4), Err(HeaderFault::Malformed)),
            (v2(0x11, 0x11, V4), Err(HeaderFault::Malformed)),
            (v2(0x21, 0x41, V4), Err(HeaderFault::Malformed)),
            (v2(0x21, 0x11, &V4[..11]), Err(HeaderFault::Malformed)),
            (v2(0x21, 0x31, &[0; 215]), Err(HeaderFault::Malformed)),
            (v2(0x21, 0x11, &[V4, &[0x20, 0, 9]].concat()), Err(HeaderFault::Malformed)),
            (v2(0x21, 0x11, V4)[..20].to_vec(), Err(HeaderFault::Cut)),
            (v2(0x21, 0, &[0; V2_MAX]), Err(HeaderFault::TooLong)),
        ] {
            assert_eq!(said(&header), expected, "{}", header.escape_ascii());
        }
    }
}
