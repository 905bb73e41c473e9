//! A client that asks for a row as the row demands: plain, with an upload, twice, upside down.
//!
//! Speaks to one proxy and hands back the bytes that came; for the index page, which shows what no
//! link can ask for, and for the integration tests.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::scenario::{Ask, Scenario};

/// Longer than any row takes.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long a client that leaves stays.
const LEAVE_AFTER: Duration = Duration::from_millis(300);
/// How long a client asks again for a cause that is not named yet, and how often.
const NAMED_WITHIN: Duration = Duration::from_secs(8);
const AGAIN_AFTER: Duration = Duration::from_millis(100);
/// The most of an answer that is kept.
const ANSWER_MAX: usize = 4 * 1024 * 1024;

/// What kind of answer the client wants.
#[derive(Debug, Clone, Copy)]
pub struct Accept<'a> {
    /// The value of `Accept`.
    pub kind: &'a str,
    /// The value of `Accept-Language`.
    pub language: &'a str,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Heard {
    /// Head and body as they came.
    pub bytes: Vec<u8>,
    /// What ended the connection other than an orderly close.
    pub error: Option<io::ErrorKind>,
}

/// Asks the proxy at `proxy` for a row. Cancel safe: what was opened is closed.
///
/// # Errors
/// When the proxy cannot be connected to, or nothing ends within 15 seconds.
pub async fn ask(row: &Scenario, proxy: SocketAddr, accept: Accept<'_>) -> io::Result<Heard> {
    let asked = async {
        let plain = request("GET", row, &authority(row, proxy), accept, "");
        match row.ask {
            Ask::Get | Ask::Host(_) | Ask::Below(_) => exchange(proxy, &plain, 0).await,
            Ask::Post { body_bytes } => post(row, proxy, accept, body_bytes).await,
            Ask::GetThenPost => {
                exchange(proxy, &plain, 0).await?;
                post(row, proxy, accept, 5).await
            }
            Ask::Times(times) => {
                for _ in 1..times {
                    exchange(proxy, &plain, 0).await?;
                }
                exchange(proxy, &plain, 0).await
            }
            Ask::UntilNamed => until_named(row, proxy, &plain).await,
            Ask::Together => {
                tokio::select! {
                    heard = exchange(proxy, &plain, 0) => heard,
                    heard = exchange(proxy, &plain, 0) => heard,
                }
            }
            Ask::Upgrade(protocol) => {
                let lines = format!(
                    "Upgrade: {protocol}\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                );
                let asking = request("GET", row, &authority(row, proxy), accept, &lines);
                exchange(proxy, &asking, 0).await
            }
            Ask::LargeHeader { bytes } => {
                let line = format!("X-Large: {}\r\n", "x".repeat(bytes));
                let large = request("GET", row, &authority(row, proxy), accept, &line);
                exchange(proxy, &large, 0).await
            }
            Ask::Raw(text) => {
                exchange(proxy, text.replace("{path}", &row.path()).as_bytes(), 0).await
            }
            Ask::Crowd => {
                let other = TcpStream::connect(proxy).await?;
                let heard = exchange(proxy, &plain, 0).await;
                drop(other);
                heard
            }
            Ask::Leave => {
                let mut client = TcpStream::connect(proxy).await?;
                client.write_all(&plain).await?;
                tokio::time::sleep(LEAVE_AFTER).await;
                Ok(Heard { bytes: Vec::new(), error: None })
            }
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.map_err(io::Error::from)?
}

/// Asks until the cause is the row's, for as long as a client waits at most; what came last counts.
async fn until_named(row: &Scenario, proxy: SocketAddr, asking: &[u8]) -> io::Result<Heard> {
    let named = format!("details=\"{}\"", row.code.name());
    let until = Instant::now() + NAMED_WITHIN;
    loop {
        let heard = exchange(proxy, asking, 0).await?;
        let is_named = heard.header("proxy-status").is_some_and(|said| said.ends_with(&named));
        if is_named || Instant::now() > until {
            return Ok(heard);
        }
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

fn authority(row: &Scenario, proxy: SocketAddr) -> String {
    match row.ask {
        Ask::Host(host) => format!("{host}:{}", proxy.port()),
        _ => proxy.to_string(),
    }
}

async fn post(
    row: &Scenario,
    proxy: SocketAddr,
    accept: Accept<'_>,
    body_bytes: usize,
) -> io::Result<Heard> {
    let length = format!("Content-Length: {body_bytes}\r\n");
    let head = request("POST", row, &authority(row, proxy), accept, &length);
    exchange(proxy, &head, body_bytes).await
}

fn request(
    method: &str,
    row: &Scenario,
    authority: &str,
    accept: Accept<'_>,
    lines: &str,
) -> Vec<u8> {
    let (path, Accept { kind, language }) = (row.target(), accept);
    let connection = if matches!(row.ask, Ask::Upgrade(_)) { "upgrade" } else { "close" };
    format!(
        "{method} {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: {connection}\r\n\
         Accept: {kind}\r\nAccept-Language: {language}\r\n{lines}\r\n"
    )
    .into_bytes()
}

/// Sends a head and so many bytes of body, and reads meanwhile: an answer may come early.
async fn exchange(proxy: SocketAddr, head: &[u8], body_bytes: usize) -> io::Result<Heard> {
    let mut client = TcpStream::connect(proxy).await?;
    client.write_all(head).await?;
    let (mut reader, mut writer) = client.split();
    let send = async {
        let piece = [b'u'; 16 * 1024];
        let mut left = body_bytes;
        while left > 0 {
            let size = left.min(piece.len());
            // The answer says why.
            if writer.write_all(&piece[..size]).await.is_err() {
                break;
            }
            left -= size;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        heard = read_response(&mut reader) => Ok(heard),
        () = send => unreachable!("a pending future does not end"),
    }
}

/// Reads to the declared end of the response, or to the close.
async fn read_response(reader: &mut (impl AsyncRead + Unpin)) -> Heard {
    let mut heard = Heard { bytes: Vec::new(), error: None };
    let mut some = vec![0; 16 * 1024];
    while !heard.is_whole() && heard.bytes.len() <= ANSWER_MAX {
        match reader.read(&mut some).await {
            Ok(0) => break,
            Ok(read) => heard.bytes.extend_from_slice(&some[..read]),
            Err(error) => {
                heard.error = Some(error.kind());
                break;
            }
        }
    }
    heard
}

impl Heard {
    /// The status of the response; `None` where there is none.
    pub fn status(&self) -> Option<u16> {
        let line = self.head()?.lines().next()?;
        line.split(' ').nth(1)?.parse().ok()
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head()?.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Status line and headers.
    pub fn head(&self) -> Option<&str> {
        str::from_utf8(&self.bytes[..self.head_end()?]).ok()
    }

    /// What follows the head, coding included; empty where there is no head.
    pub fn body(&self) -> &[u8] {
        self.head_end().map_or(&[], |end| &self.bytes[end..])
    }

    /// Whether the body has its declared length.
    pub fn is_whole(&self) -> bool {
        let length = self.header("content-length").and_then(|value| value.parse().ok());
        length.is_some_and(|length: usize| self.body().len() >= length)
    }

    fn head_end(&self) -> Option<usize> {
        const END: &[u8] = b"\r\n\r\n";
        memchr::memmem::find(&self.bytes, END).map(|at| at + END.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_to_its_parts() {
        let bytes = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 2\r\n\r\nok".to_vec();
        let heard = Heard { bytes, error: None };
        assert_eq!(heard.status(), Some(502));
        assert_eq!(heard.header("Content-length"), Some("2"));
        assert_eq!(heard.body(), b"ok");
        assert!(heard.is_whole());
        let cut = Heard { bytes: b"HTTP/1.1 200 OK\r\nConte".to_vec(), error: None };
        assert_eq!((cut.status(), cut.is_whole()), (None, false));
    }
}
