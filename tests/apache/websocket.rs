//! WebSockets (RFC 6455), as much as an echo takes: one key, unfragmented frames.
//!
//! The key is that of RFC 6455 section 1.3, whose answer stands there too: no SHA-1 is needed.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use super::support::client::{self, Incoming};

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;

/// A server that sends every frame back; its threads end with their connections.
#[derive(Debug)]
pub struct EchoServer {
    pub port: u16,
}

impl EchoServer {
    pub fn start() -> EchoServer {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.expect("a connection");
                thread::spawn(move || echo(stream).expect("the echo goes on"));
            }
        });
        EchoServer { port }
    }
}

fn echo(stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    assert!(head.contains(KEY), "the key does not arrive: {head}");
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
    );
    reader.get_mut().write_all(answer.as_bytes())?;
    loop {
        let (opcode, payload) = read_frame(&mut reader)?;
        reader.get_mut().write_all(&frame(opcode, &payload, None))?;
        if opcode == CLOSE {
            return Ok(());
        }
    }
}

/// A client after its handshake.
#[derive(Debug)]
pub struct Client(BufReader<TcpStream>);

impl Client {
    pub fn connect(port: u16, path: &str) -> Client {
        let mut stream = client::connect(port);
        let headers = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", KEY),
        ];
        let head = client::head("GET", path, &headers) + "\r\n";
        stream.write_all(head.as_bytes()).expect("the handshake is taken");
        let answer = Incoming::read(stream, "GET");
        assert_eq!(answer.status, 101, "{answer:?}");
        assert_eq!(answer.header("sec-websocket-accept"), Some(ACCEPT), "{answer:?}");
        let upgrade = answer.header("upgrade").unwrap_or_default();
        assert!(upgrade.eq_ignore_ascii_case("websocket"), "{answer:?}");
        Client(answer.into_stream())
    }

    pub fn send(&mut self, opcode: u8, payload: &[u8]) {
        let frame = frame(opcode, payload, Some([0x12, 0x34, 0x56, 0x78]));
        self.0.get_mut().write_all(&frame).expect("the frame is taken");
    }

    /// The opcode and payload of the next frame.
    pub fn receive(&mut self) -> (u8, Vec<u8>) {
        read_frame(&mut self.0).expect("a frame")
    }

    /// True when the connection has been closed after the last frame.
    pub fn ended(&mut self) -> bool {
        matches!(self.0.fill_buf(), Ok([]))
    }
}

/// RFC 6455 section 5.2; a client's frames are masked.
fn frame(opcode: u8, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let masked = if mask.is_some() { 0x80 } else { 0 };
    let mut bytes = vec![0x80 | opcode];
    match payload.len() {
        length @ 0..126 => bytes.push(masked | length as u8),
        length @ 126..65_536 => {
            bytes.push(masked | 126);
            bytes.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            bytes.push(masked | 127);
            bytes.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(mask.as_ref().map_or(&[][..], |mask| mask));
    let mask = mask.unwrap_or_default();
    bytes.extend(payload.iter().enumerate().map(|(i, byte)| byte ^ mask[i % 4]));
    bytes
}

fn read_frame(reader: &mut BufReader<TcpStream>) -> io::Result<(u8, Vec<u8>)> {
    let mut start = [0; 2];
    reader.read_exact(&mut start)?;
    let length = match start[1] & 0x7f {
        126 => {
            let mut bytes = [0; 2];
            reader.read_exact(&mut bytes)?;
            usize::from(u16::from_be_bytes(bytes))
        }
        127 => {
            let mut bytes = [0; 8];
            reader.read_exact(&mut bytes)?;
            usize::try_from(u64::from_be_bytes(bytes)).expect("a length of this test")
        }
        length => usize::from(length),
    };
    let mut mask = [0; 4];
    if start[1] & 0x80 != 0 {
        reader.read_exact(&mut mask)?;
    }
    let mut payload = vec![0; length];
    reader.read_exact(&mut payload)?;
    for (i, byte) in payload.iter_mut().enumerate() {
        *byte ^= mask[i % 4];
    }
    Ok((start[0] & 0x0f, payload))
}
