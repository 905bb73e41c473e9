//! A name server that fails by name: `nxdomain.demo`, `nodata.demo`, `servfail.demo`,
//! `refused.demo`, `silent.demo`, `garbled.demo`, `bogus.demo` (with an extended error);
//! `metadata.demo` leads to the metadata services of clouds; every
//! other name is 127.0.0.1.
//!
//! Answers one question a message, over UDP and TCP (RFC 1035 section 4). Not a general server.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdTcpListener, UdpSocket as StdUdpSocket};
use std::sync::Arc;
use std::time::Duration;

use socket2::Socket;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;

use super::backstage::bound;

/// The header of a message (RFC 1035 section 4.1.1).
const HEADER_BYTES: usize = 12;
const TYPE_A: [u8; 2] = [0, 1];
const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
/// Queries over TCP at once.
const CONNECTIONS_MAX: usize = 16;
/// The life of a TCP connection.
const LIFE: Duration = Duration::from_secs(10);

/// Codes of RFC 1035 section 4.1.1.
const NOERROR: u8 = 0;
const SERVFAIL: u8 = 2;
const NXDOMAIN: u8 = 3;
const REFUSED: u8 = 5;

/// An OPT record (RFC 6891 section 6.1.2) with the extended error 9, DNSKEY Missing, and a word on
/// it (RFC 8914 section 2).
const BOGUS: &[u8] = b"\0\0\x29\x04\xd0\0\0\0\0\0\x17\0\x0f\0\x13\0\x09no key for the DS";

/// The sockets of the server, on one port.
#[derive(Debug)]
pub(super) struct Dns {
    udp: StdUdpSocket,
    tcp: StdTcpListener,
}

impl Dns {
    /// # Errors
    /// When no port of loopback is free in both protocols.
    pub(super) fn bind() -> io::Result<(Dns, SocketAddr)> {
        const BACKLOG: i32 = 16;
        let (tcp, udp, address) = one_port()?;
        tcp.listen(BACKLOG)?;
        Ok((Dns { udp, tcp: tcp.into() }, address))
    }

    /// Answers until it is dropped.
    ///
    /// # Errors
    /// When the sockets cannot be given to the runtime, or UDP fails for good.
    pub(super) async fn serve(self) -> io::Result<()> {
        self.udp.set_nonblocking(true)?;
        self.tcp.set_nonblocking(true)?;
        let udp = UdpSocket::from_std(self.udp)?;
        let tcp = TcpListener::from_std(self.tcp)?;
        tokio::try_join!(serve_udp(udp), serve_tcp(tcp)).map(|_| ())
    }
}

/// Sockets that keep a port of loopback on which nobody answers: UDP gets an ICMP port unreachable,
/// TCP a reset.
///
/// # Errors
/// When no port is free in both protocols.
pub(super) fn deaf() -> io::Result<(Socket, StdUdpSocket, SocketAddr)> {
    const DISCARD: u16 = 9;
    let (tcp, udp, address) = one_port()?;
    // Connected to a port that sends nothing, it takes datagrams from nobody else.
    udp.connect((Ipv4Addr::LOCALHOST, DISCARD))?;
    Ok((tcp, udp, address))
}

/// A port for both protocols. TCP first: it has by far more ports in use.
fn one_port() -> io::Result<(Socket, StdUdpSocket, SocketAddr)> {
    const TRIES: usize = 16;
    let mut failure = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..TRIES {
        let (tcp, address) = bound()?;
        match StdUdpSocket::bind(address) {
            Ok(udp) => return Ok((tcp, udp, address)),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

async fn serve_udp(udp: UdpSocket) -> io::Result<()> {
    let mut query = [0; 512];
    loop {
        let (length, from) = udp.recv_from(&mut query).await?;
        if let Some(answer) = answer(&query[..length]) {
            let _ = udp.send_to(&answer, from).await;
        }
    }
}

async fn serve_tcp(tcp: TcpListener) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
        let (stream, _) = tcp.accept().await?;
        tokio::spawn(async move {
            let _ = tokio::time::timeout(LIFE, serve_stream(stream)).await;
            drop(place);
        });
    }
}

/// RFC 1035 section 4.2.2: each message behind its length.
async fn serve_stream(mut stream: TcpStream) -> io::Result<()> {
    loop {
        let length = stream.read_u16().await?;
        let mut query = vec![0; usize::from(length)];
        stream.read_exact(&mut query).await?;
        let Some(answer) = answer(&query) else { continue };
        let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
        stream.write_u16(length).await?;
        stream.write_all(&answer).await?;
    }
}

/// The answer to a query; `None` for silence, and for what is no query.
fn answer(query: &[u8]) -> Option<Vec<u8>> {
    let (name, end) = question(query)?;
    let (rcode, has_address) = match name.as_str() {
        "garbled.demo" => return Some(garbled(query)),
        "bogus.demo" => (SERVFAIL, false),
        "silent.demo" => return None,
        "nxdomain.demo" => (NXDOMAIN, false),
        "servfail.demo" => (SERVFAIL, false),
        "refused.demo" => (REFUSED, false),
        "nodata.demo" => (NOERROR, false),
        _ => (NOERROR, query[end - 4..end - 2] == TYPE_A),
    };
    let address = match name.as_str() {
        "metadata.demo" => METADATA,
        _ => Ipv4Addr::LOCALHOST,
    };
    let mut answer = query[..2].to_vec();
    let options: &[u8] = if name == "bogus.demo" { BOGUS } else { &[] };
    let records = [u8::from(has_address), 0, 0, 0, u8::from(!options.is_empty())];
    // A response to a recursive query, authoritative, recursion available; one question.
    answer.extend([0x85, 0x80 | rcode, 0, 1, 0]);
    answer.extend(records);
    answer.extend(&query[HEADER_BYTES..end]);
    if has_address {
        // The name of the question (a pointer to it), A, IN, one second, four bytes.
        answer.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
        answer.extend(address.octets());
    }
    answer.extend(options);
    Some(answer)
}

/// A response that promises an answer and breaks off behind its header.
fn garbled(query: &[u8]) -> Vec<u8> {
    let mut answer = query[..2].to_vec();
    answer.extend([0x85, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
    answer
}

/// The name of the first question, in lower case, and where the question ends.
fn question(query: &[u8]) -> Option<(String, usize)> {
    let mut at = HEADER_BYTES;
    let mut name = String::new();
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        // A pointer has no place in a question.
        let label = query.get(at..at + length).filter(|_| length < 64)?;
        if !name.is_empty() {
            name.push('.');
        }
        name.extend(label.iter().map(|byte| char::from(byte.to_ascii_lowercase())));
        at += length;
    }
    let end = at + 4;
    (query.len() >= end).then_some((name, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(name: &str, kind: u8) -> Vec<u8> {
        let mut bytes = vec![7, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            bytes.push(u8::try_from(label.len()).unwrap());
            bytes.extend(label.as_bytes());
        }
        bytes.extend([0, 0, kind, 0, 1]);
        bytes
    }

    #[test]
    fn the_name_decides_the_answer() {
        const AAAA: u8 = 28;
        for (name, kind, expected) in [
            ("healthy.demo", 1, Some((NOERROR, 1))),
            ("HEALTHY.demo", 1, Some((NOERROR, 1))),
            ("healthy.demo", AAAA, Some((NOERROR, 0))),
            ("nodata.demo", 1, Some((NOERROR, 0))),
            ("nxdomain.demo", 1, Some((NXDOMAIN, 0))),
            ("servfail.demo", 1, Some((SERVFAIL, 0))),
            ("refused.demo", 1, Some((REFUSED, 0))),
            ("bogus.demo", 1, Some((SERVFAIL, 0))),
            ("garbled.demo", 1, Some((NOERROR, 1))),
            ("silent.demo", 1, None),
        ] {
            let answer = answer(&query(name, kind));
            let seen = answer.as_ref().map(|bytes| (bytes[3] & 0x0f, bytes[7]));
            assert_eq!(seen, expected, "{name}");
            assert!(answer.is_none_or(|bytes| bytes[..2] == [7, 9]), "{name}");
        }
    }

    #[test]
    fn a_query_cut_anywhere_is_not_answered() {
        let whole = query("healthy.demo", 1);
        for cut in 0..whole.len() {
            assert_eq!(answer(&whole[..cut]), None, "cut at {cut}");
        }
    }
}
