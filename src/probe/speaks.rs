//! The counter-probe of a server that met HTTP, or the greeting of TLS, without a word: does it
//! speak the other of the two, or a protocol of lines? A greeting on each of two connections, the
//! first bytes of the answer.
//!
//! No greeting asks a server to do anything: a ClientHello, a PING, and OPTIONS.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::clock;
use crate::diagnose::{self, Protocol};

/// A TLS 1.2 ClientHello without extensions (RFC 5246 section 7.4.1.2). Whatever a TLS server makes
/// of it, it answers with a record; OpenSSL answers a plain request with nothing at all.
const CLIENT_HELLO: &[u8] = b"\x16\x03\x01\0\x39\x01\0\0\x35\x03\x03\
    what does this server speak? ...\
    \0\0\x0e\x13\x01\x13\x02\xc0\x2b\xc0\x2f\xc0\x2c\xc0\x30\0\x2f\x01\0";
/// Redis answers it, and hangs up on the `Host` of a request; memcached complains of it.
const PING: &[u8] = b"PING\r\n";
/// Asks for nothing of any resource (RFC 9110 section 9.3.7).
pub(super) const OPTIONS: &[u8] =
    b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
/// For each greeting where HTTP was expected.
const LIMIT: Duration = Duration::from_millis(500);
/// For each where TLS was.
const PLAIN_LIMIT: Duration = Duration::from_millis(100);
/// As many bytes name every protocol that is known.
const ENOUGH: usize = 64;

/// What a server of HTTP turns out to speak; `None` where it does not show it.
pub async fn speaks(address: SocketAddr) -> Option<Protocol> {
    first_answer(address, [CLIENT_HELLO, PING], LIMIT).await
}

/// What a server of TLS turns out to speak in the open; `None` where it does not show it.
pub async fn speaks_plain(address: SocketAddr) -> Option<Protocol> {
    let protocol = first_answer(address, [OPTIONS, PING], PLAIN_LIMIT).await?;
    // An alert to a plain request is TLS all the same.
    (protocol != Protocol::Tls).then_some(protocol)
}

async fn first_answer(
    address: SocketAddr,
    greetings: [&[u8]; 2],
    limit: Duration,
) -> Option<Protocol> {
    for greeting in greetings {
        let answer = clock::within(limit, answer(address, greeting)).await.flatten();
        if let Some(protocol) = answer.and_then(|answer| diagnose::protocol(&answer)) {
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

    #[tokio::test]
    async fn a_server_of_tls_shows_what_it_speaks_in_the_open() {
        for (greeting, answer, expected) in [
            (OPTIONS, &b"HTTP/1.1 200 OK\r\n"[..], Some(Protocol::Http)),
            (OPTIONS, b"-ERR unknown command 'OPTIONS'\r\n", Some(Protocol::Redis)),
            (PING, b"+PONG\r\n", Some(Protocol::Redis)),
            (OPTIONS, b"\x15\x03\x01\x00\x02\x02\x46", None),
        ] {
            assert_eq!(speaks_plain(server(greeting, answer)).await, expected, "{answer:?}");
        }
    }

    #[test]
    fn the_greeting_of_tls_is_as_long_as_it_says() {
        assert_eq!(CLIENT_HELLO.len(), 5 + 0x39);
        assert_eq!(CLIENT_HELLO.len(), 9 + 0x35);
    }
}
