//! A server on loopback that answers as it is told, and keeps what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// A server on a port of this host. Its threads end with the test's process.
#[derive(Debug)]
pub struct Server {
    pub port: u16,
    asked: Arc<Mutex<Vec<Request>>>,
}

#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
}

impl Server {
    /// Answers each request with the bytes that the function makes for it; no bytes are a
    /// connection that closes without an answer.
    pub fn start(
        port: u16,
        answer: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static,
    ) -> Server {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).expect("a port");
        let port = listener.local_addr().expect("it is bound").port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (kept, answer) = (asked.clone(), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (kept, answer) = (kept.clone(), answer.clone());
                let stream = stream.expect("a connection");
                thread::spawn(move || serve(stream, &kept, &*answer));
            }
        });
        Server { port, asked }
    }

    /// Every request so far.
    pub fn asked(&self) -> Vec<Request> {
        held(&self.asked).clone()
    }

    /// The address of a path, without a name that needs a look-up.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

/// An answer with a body of HTML.
pub fn page(body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Serves the one request of a connection.
fn serve(
    stream: TcpStream,
    asked: &Mutex<Vec<Request>>,
    answer: &(dyn Fn(&Request) -> Vec<u8> + Send + Sync),
) {
    let mut reader = BufReader::new(stream);
    // A browser opens connections that it then has no use for.
    let Some(request) = read(&mut reader) else { return };
    let answer = answer(&request);
    held(asked).push(request);
    // Who left does not want it.
    let _ = reader.get_mut().write_all(&answer);
}

/// The request; `None` when the connection ends before.
fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut start = String::new();
    reader.read_line(&mut start).ok().filter(|read| *read > 0)?;
    let mut words = start.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        match line.split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().expect("a length");
            }
            Some(_) => {}
            None => break,
        }
    }
    // Unread, a body would have the kernel reset the connection behind the answer.
    std::io::copy(&mut reader.take(length), &mut std::io::sink()).ok()?;
    Some(Request { method, path })
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
