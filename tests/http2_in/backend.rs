//! A backend that is quick: the attacks are on the proxy, and nothing behind it is to be the
//! narrow place.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

/// How long `/hold` waits with its answer: longer than any test looks at it.
const HOLD: Duration = Duration::from_secs(6);

/// Starts it; it ends with the test's process. Gives its port.
///
/// `/bytes?n=N` answers with N bytes, `/hold` late, `/echo` once it has read the body; any other
/// path with two bytes.
pub fn start() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(stream));
        }
    });
    port
}

/// Serves a connection until either side ends it.
fn serve(mut stream: TcpStream) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let path = line.split(' ').nth(1)?.to_owned();
        let (mut length, mut chunked) = (0, false);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().ok()?;
            }
            chunked |= line == "transfer-encoding: chunked";
        }
        if path == "/hold" {
            thread::sleep(HOLD);
        }
        if chunked {
            drop_chunks(&mut reader)?;
        } else {
            drop_bytes(&mut reader, length)?;
        }
        let size = path.strip_prefix("/bytes?n=").map_or(Some(2), |size| size.parse().ok())?;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n");
        let mut answer = head.into_bytes();
        answer.resize(answer.len() + size, b'x');
        stream.write_all(&answer).ok()?;
    }
}

fn drop_bytes(reader: &mut impl Read, length: u64) -> Option<()> {
    let read = std::io::copy(&mut reader.take(length), &mut std::io::sink()).ok()?;
    (read == length).then_some(())
}

fn drop_chunks(reader: &mut impl BufRead) -> Option<()> {
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let size = u64::from_str_radix(line.trim_end(), 16).ok()?;
        if size > 0 {
            drop_bytes(reader, size + 2)?;
            continue;
        }
        // Trailers, and the empty line.
        while line != "\r\n" {
            line.clear();
            reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        }
        return Some(());
    }
}
