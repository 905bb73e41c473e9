//! A backend that is quick: the attacks are on the proxy, and nothing behind it is to be the
//! narrow place.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// How long `/hold` waits with its answer: longer than any test looks at it.
const HOLD: Duration = Duration::from_secs(6);
/// And `/late`: long enough to be in the midst of it.
const LATE: Duration = Duration::from_secs(1);
/// What `/cut` promises, and what it sends before it ends the connection.
const CUT: (usize, usize) = (200_000, 100_000);

/// Starts it; it ends with the test's process. Gives its port.
///
/// `/bytes?n=N` answers with N bytes, `/late` and `/hold` after a while, `/cut` in part, any other path
/// with the fields that came; all of them once they have read the body.
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
        let mut came = String::new();
        let (mut length, mut chunked) = (0, false);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
            came.push_str(&line);
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().ok()?;
            }
            chunked |= line == "transfer-encoding: chunked";
        }
        match path.as_str() {
            "/hold" => wait(&stream, HOLD)?,
            "/late" => wait(&stream, LATE)?,
            _ => {}
        }
        match chunked {
            true => drop_chunks(&mut reader)?,
            false => drop_bytes(&mut reader, length)?,
        }
        let (promised, body) = match path.strip_prefix("/bytes?n=") {
            Some(size) => {
                let body = vec![b'x'; size.parse().ok()?];
                (body.len(), body)
            }
            None if path == "/cut" => (CUT.0, vec![b'x'; CUT.1]),
            None => (came.len(), came.into_bytes()),
        };
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {promised}\r\n\r\n");
        stream.write_all(&[head.as_bytes(), &body].concat()).ok()?;
        if body.len() < promised {
            return None;
        }
    }
}

/// Waits, unless whoever asked has gone: thousands do in an attack, and each would hold a file.
fn wait(stream: &TcpStream, time: Duration) -> Option<()> {
    let until = Instant::now() + time;
    stream.set_read_timeout(Some(time)).ok()?;
    if matches!(stream.peek(&mut [0]), Ok(0)) {
        return None;
    }
    // A body that is there already says nothing.
    thread::sleep(until.saturating_duration_since(Instant::now()));
    stream.set_read_timeout(None).ok()
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
