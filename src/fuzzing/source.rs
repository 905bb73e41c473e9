//! Values out of a fuzzer's bytes: each call takes some from the front, and zeros when none are
//! left. All words it makes carry [`CANARY`], so that they are known again wherever they turn up.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Part of every word; markup and a control character, which no page may pass on.
pub const CANARY: &str = "canary<script>\u{1b}";
/// Every address begins so (RFC 2544, RFC 3849).
pub const ADDRESSES: [&str; 2] = ["198.18.", "2001:db8:"];

/// The bytes that are left.
#[derive(Debug)]
pub struct Source<'a>(pub &'a [u8]);

impl<'a> Source<'a> {
    pub fn byte(&mut self) -> u8 {
        let Some((byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *byte
    }

    pub fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    pub fn short(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    pub fn number(&mut self) -> u64 {
        // Small ones decide; large ones overflow.
        match self.byte() {
            0..=59 => 0,
            60..=99 => u64::from(self.byte()),
            100..=199 => u64::from(self.short()),
            200..=249 => u64::from(u32::MAX) + u64::from(self.short()),
            250..=255 => u64::MAX,
        }
    }

    pub fn size(&mut self) -> usize {
        usize::try_from(self.number()).unwrap_or(usize::MAX)
    }

    /// Around the limits that decide: parts of milliseconds, seconds, hours.
    pub fn time(&mut self) -> Duration {
        let count = u64::from(self.byte());
        match self.byte() % 5 {
            0 => Duration::from_micros(count * 20),
            1 => Duration::from_millis(count),
            2 => Duration::from_millis(count * 50),
            3 => Duration::from_secs(count % 4),
            _ => Duration::from_secs(count * 500),
        }
    }

    /// Up to 255 bytes as they come.
    pub fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte()).min(self.0.len());
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        bytes
    }

    /// Bytes of a peer: as they come, behind the beginning of something that is known, or none.
    pub fn heard(&mut self) -> Vec<u8> {
        const BEGINNINGS: [&[u8]; 12] = [
            b"",
            b"HTTP/1.1 200 OK\r\n",
            b"\x15\x03\x03\0\x02\x02\x28",
            b"\x16\x03\x03\0\x31",
            b"SSH-2.0-OpenSSH_9.2\r\n",
            b"220 mail ESMTP\r\n",
            b"-ERR unknown command\r\n",
            b"\x01\x06\0\x01",
            b"<!DOCTYPE html>",
            b"\0\0\0\x04\x08\0\0\0",
            b"Status: 200\r\n",
            b"\x4a\0\0\0\x0a8.0.36\0",
        ];
        let beginning = self.pick(&BEGINNINGS);
        let own = self.bytes();
        if beginning.is_empty() && own.is_empty() {
            return Vec::new();
        }
        [beginning, own, CANARY.as_bytes()].concat()
    }

    pub fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[usize::from(self.byte()) % list.len()]
    }

    pub fn maybe<T>(&mut self, make: impl FnOnce(&mut Source<'a>) -> T) -> Option<T> {
        self.flag().then(|| make(self))
    }

    pub fn several<T>(&mut self, make: impl Fn(&mut Source<'a>) -> T) -> Vec<T> {
        (0..self.byte() % 4).map(|_| make(self)).collect()
    }

    /// A word of a peer or of the configuration.
    pub fn word(&mut self) -> String {
        format!("{CANARY}{}", String::from_utf8_lossy(self.bytes()))
    }

    pub fn ip(&mut self) -> IpAddr {
        match self.flag() {
            true => IpAddr::from([198, 18, self.byte(), self.byte()]),
            false => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, self.short(), self.short()]),
        }
    }

    pub fn address(&mut self) -> SocketAddr {
        let port = self.pick(&[80, 443, 8443, 9000, 9074, 8080, 0]);
        SocketAddr::new(self.ip(), port)
    }

    /// Any errno of Linux, numbers that are none, and errors without one.
    pub fn io_error(&mut self) -> io::Error {
        use io::ErrorKind as K;
        match self.byte() {
            errno @ 0..=199 => io::Error::from_raw_os_error(i32::from(errno)),
            200..=229 => self.pick(&[K::UnexpectedEof, K::ConnectionReset, K::BrokenPipe]).into(),
            230..=255 => io::Error::from_raw_os_error(i32::from(self.short()) - 0x7fff),
        }
    }
}
