//! An upstream that does what its paths say.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use super::PATIENCE;

/// Listens for as long as the test runs.
#[derive(Debug)]
pub struct Backend {
    pub address: SocketAddr,
}

/// Bytes that do not repeat within a record of TLS.
pub fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

impl Backend {
    pub fn start() -> Backend {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || serve(stream));
            }
        });
        Backend { address }
    }
}

/// One request a connection. A proxy that leaves is no fault of the backend's.
fn serve(stream: TcpStream) -> Option<()> {
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut writer = stream;
    let mut head = String::new();
    while reader.read_line(&mut head).ok()? > 2 {}
    let field = |name: &str| {
        let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(name))?;
        Some(line[name.len()..].trim().to_owned())
    };
    let whole = |writer: &mut TcpStream, more: &str, body: &[u8]| {
        let length = body.len();
        write!(writer, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n{more}\r\n").ok()?;
        writer.write_all(body).ok()
    };
    let target = head.split(' ').nth(1)?;
    match target.split('?').next()? {
        "/head" => whole(&mut writer, "", head.as_bytes()),
        "/big" => whole(&mut writer, "", &pattern(1_000_000)),
        "/strict" => whole(&mut writer, "Strict-Transport-Security: max-age=7\r\n", b"own"),
        "/echo" => {
            let mut body = vec![0; field("content-length:")?.parse().ok()?];
            reader.read_exact(&mut body).ok()?;
            whole(&mut writer, "", &body)
        }
        "/cut" => {
            writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n").ok()?;
            writer.write_all(&pattern(300_000)).ok()
        }
        "/cut-chunk" => {
            let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\ndbba0\r\n";
            writer.write_all(head).ok()?;
            writer.write_all(&pattern(300_000)).ok()
        }
        "/chunks" => {
            writer.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").ok()?;
            let body = pattern(4_000_000);
            let mut rest = &body[..];
            // About what one write of TLS takes, with the lines of the chunk and without them.
            for size in (65_500..65_560).cycle() {
                let (chunk, left) = rest.split_at(size.min(rest.len()));
                write!(writer, "{:x}\r\n", chunk.len()).ok()?;
                writer.write_all(&[chunk, b"\r\n"].concat()).ok()?;
                if chunk.is_empty() {
                    break;
                }
                rest = left;
            }
            Some(())
        }
        "/socket" => {
            let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\
                          Upgrade: echo\r\n\r\n";
            writer.write_all(answer.as_bytes()).ok()?;
            std::io::copy(&mut reader, &mut writer).map(drop).ok()
        }
        _ => whole(&mut writer, "", b"hello"),
    }
}
