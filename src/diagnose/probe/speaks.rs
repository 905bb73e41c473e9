//! The counter-probe of a server that hung up on HTTP without a word: does it speak TLS, or a
//! protocol of lines? A greeting on each of two connections, the first bytes of the answer.
//!
//! Neither greeting asks a server to do anything: a ClientHello, and a PING.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::clock;
use crate::diagnose::faults::Protocol;
use crate::diagnose::fingerprint;

/// A TLS 1.2 ClientHello without extensions (RFC 5246 section 7.4.1.2). Whatever a TLS server makes
/// of it, it answers with a record; OpenSSL answers a plain request with nothing at all.
const CLIENT_HELLO: &[u8] = b"\x16\x03\x01\0\x39\x01\0\0\x35\x03\x03\
    what does this server speak? ...\
    \0\0\x0e\x13\x01\x13\x02\xc0\x2b\xc0\x2f\xc0\x2c\xc0\x30\0\x2f\x01\0";
/// Redis answers it, and hangs up on the `Host` of a request; memcached complains of it.
const PING: &[u8] = b"PING\r\n";
/// For each greeting.
const LIMIT: Duration = Duration::from_millis(500);
/// As many bytes name every protocol that is known.
const ENOUGH: usize = 64;

/// What the server turns out to speak; `None` where it does not show it.
pub async fn speaks(address: SocketAddr) -> Option<Protocol> {
    for greeting in [CLIENT_HELLO, PING] {
        let answer = clock::within(LIMIT, answer(address, greeting)).await.flatten();
        if let Some(protocol) = answer.and_then(|answer| fingerprint::protocol(&answer)) {
            return Some(protocol);
        }
    }
    None
}

/// The first bytes that come back.
async fn answer(address: SocketAddr, greeting: &[u8]) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    stream.write_all(greeting).await.ok()?;
    let mut bytes = vec![0; ENOUGH];
    let read = stream.read(&mut bytes).await.ok()?;
    bytes.truncate(read);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// A server that answers one greeting and is silent to any other.
    fn server(greeting: &'static [u8], answer: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten().take(2) {
                let mut heard = vec![0; greeting.len()];
                if stream.read_exact(&mut heard).is_ok() && heard == greeting {
                    let _ = stream.write_all(answer);
                }
            }
        });
        address
    }

    #[tokio::test]
    async fn a_server_shows_what_it_speaks_by_its_answer() {
        for (greeting, answer, expected) in [
            (CLIENT_HELLO, &b"\x15\x03\x03\x00\x02\x02\x28"[..], Some(Protocol::Tls)),
            (CLIENT_HELLO, b"HTTP/1.1 400 Bad Request\r\n", Some(Protocol::Http)),
            (PING, b"+PONG\r\n", Some(Protocol::Redis)),
            (PING, b"-NOAUTH Authentication required.\r\n", Some(Protocol::Redis)),
            (PING, b"ERROR\r\n", Some(Protocol::Memcached)),
            (PING, b"", None),
        ] {
            assert_eq!(speaks(server(greeting, answer)).await, expected, "{answer:?}");
        }
    }

    #[test]
    fn the_greeting_of_tls_is_as_long_as_it_says() {
        assert_eq!(CLIENT_HELLO.len(), 5 + 0x39);
        assert_eq!(CLIENT_HELLO.len(), 9 + 0x35);
    }
}
