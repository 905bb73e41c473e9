//! An HTTP/1.1 client on a bare socket: one request a connection, and the truth about how it ended.
//!
//! Panics on what no server may answer; a body that ends too early is an [`End::Cut`], not a panic.

use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::causes;

/// The host that a request names which brings no other.
pub const HOST: &str = "shop.example";
/// Asks for the page that programs read.
pub const PROBLEM: &str = "application/problem+json";

/// How a body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// As its framing announced.
    Complete,
    /// Earlier: the connection closed or broke.
    Cut,
}

/// How the length of an uploaded body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    Length,
    Chunked,
}

/// An answer, read to its end.
pub struct Answer {
    pub status: u16,
    /// In order, names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub end: End,
}

/// An answer whose head has been read.
#[derive(Debug)]
pub struct Incoming {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    bodyless: bool,
    reader: BufReader<TcpStream>,
}

/// The body as text, and not more of it than one wants to read.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = String::from_utf8_lossy(&self.body[..self.body.len().min(4000)]);
        write!(f, "{} {:?} {:?} {:?}", self.status, self.headers, self.end, body)
    }
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// Every value of a header, in order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(found, _)| found == name);
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// Holds it to be our page that names one of these causes.
    pub fn assert_problem(&self, causes: &[&str], proxy_error: &str) {
        self.assert_problem_of(None, causes, proxy_error);
    }

    /// The same, and `how` it was brought about for the table of causes, where that is more than
    /// the test's name.
    pub fn assert_problem_of(&self, how: Option<&str>, causes: &[&str], proxy_error: &str) {
        assert_eq!(self.status, 502, "{self:?}");
        assert_eq!(self.end, End::Complete, "{self:?}");
        assert_eq!(self.header("content-type"), Some(PROBLEM), "{self:?}");
        let problem = self.problem();
        let cause = problem["cause"].as_str().unwrap_or_default();
        assert!(
            causes.contains(&cause),
            "cause {cause:?}, expected one of {causes:?}: {problem:#}"
        );
        let status = self.header("proxy-status").unwrap_or_default();
        assert!(status.contains(&format!("error={proxy_error}")), "Proxy-Status: {status}");
        assert!(status.contains(&format!("details=\"{cause}\"")), "Proxy-Status: {status}");
        assert_eq!(problem["status"], 502, "{problem:#}");
        assert_ne!(problem["fixes"].as_array().map(Vec::len), Some(0), "{problem:#}");
        self.record(how);
    }

    /// Writes the cause that our page names into the table of causes.
    pub fn record(&self, how: Option<&str>) {
        let problem = self.problem();
        let word = |member: &str| problem[member].as_str().unwrap_or_default().to_owned();
        let said = format!("{} {}, {}", self.status, word("cause"), word("certainty"));
        let status = self.header("proxy-status").unwrap_or_default();
        causes::page(&word("cause"), how, &said, status);
    }

    /// The same for an answer of the upstream's own that passed, with the cause beside it.
    pub fn record_passed(&self, cause: &str) {
        let said = format!("{}, the upstream's own", self.status);
        causes::page(cause, None, &said, self.header("proxy-status").unwrap_or_default());
    }

    /// The body as JSON.
    pub fn problem(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
}

/// Fetches a page.
pub fn get(port: u16, path: &str, accept: &str) -> Answer {
    request(port, "GET", path, &[("Accept", accept)], b"")
}

/// Sends a request and reads the whole answer.
pub fn request(
    port: u16,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    open(port, method, path, headers, body).finish()
}

/// Sends a request and reads the head of the answer.
pub fn open(
    port: u16,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Incoming {
    let mut stream = connect(port);
    let mut head = head(method, path, headers);
    if !body.is_empty() {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    head += "Connection: close\r\n\r\n";
    stream.write_all(&[head.as_bytes(), body].concat()).expect("the request is taken");
    Incoming::read(stream, method)
}

/// A connection whose reads and writes do not hang for ever.
pub fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("somebody listens");
    let limit = Some(Duration::from_secs(30));
    stream.set_read_timeout(limit).expect("a socket option");
    stream.set_write_timeout(limit).expect("a socket option");
    stream
}

/// A request head without its last line.
pub fn head(method: &str, path: &str, headers: &[(&str, &str)]) -> String {
    let mut head = format!("{method} {path} HTTP/1.1\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        head += &format!("Host: {HOST}\r\n");
    }
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head
}

/// Posts a file.
pub fn upload(port: u16, path: &str, file: &Path, framing: Framing) -> Answer {
    let mut stream = connect(port);
    let mut source = File::open(file).expect("the file is there");
    let size = source.metadata().expect("its size").len();
    let length = match framing {
        Framing::Length => ("Content-Length", size.to_string()),
        Framing::Chunked => ("Transfer-Encoding", "chunked".to_owned()),
    };
    let headers = [(length.0, length.1.as_str()), ("Connection", "close"), ("Accept", PROBLEM)];
    stream
        .write_all((head("POST", path, &headers) + "\r\n").as_bytes())
        .expect("the head is taken");
    let mut piece = vec![0; 100_000];
    loop {
        let count = source.read(&mut piece).expect("the file can be read");
        if framing == Framing::Chunked {
            write!(stream, "{count:x}\r\n").expect("a chunk's size is taken");
        }
        stream.write_all(&piece[..count]).expect("the body is taken");
        if framing == Framing::Chunked {
            stream.write_all(b"\r\n").expect("a chunk's end is taken");
        }
        if count == 0 {
            return Incoming::read(stream, "POST").finish();
        }
    }
}

impl Incoming {
    /// Reads the head of an answer; interim answers (1xx but 101) are passed over.
    pub fn read(stream: TcpStream, method: &str) -> Incoming {
        let mut reader = BufReader::with_capacity(64 * 1024, stream);
        loop {
            let line = line(&mut reader);
            let status: u16 = line
                .strip_prefix("HTTP/1.1 ")
                .or_else(|| line.strip_prefix("HTTP/1.0 "))
                .and_then(|rest| rest.get(..3)?.parse().ok())
                .unwrap_or_else(|| panic!("not a status line: {line:?}"));
            let headers = headers(&mut reader);
            if status == 101 || status >= 200 {
                let bodyless = method == "HEAD" || matches!(status, 101 | 204 | 304);
                return Incoming { status, headers, bodyless, reader };
            }
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// Hands the body over piece by piece and tells how it ended.
    pub fn read_body(&mut self, mut sink: impl FnMut(&[u8])) -> End {
        if self.bodyless {
            // What comes after the head would be a body that must not be.
            return self.read_to_close(&mut sink);
        }
        if self.header("transfer-encoding").is_some_and(|value| value.contains("chunked")) {
            return self.read_chunks(&mut sink);
        }
        let length = self.header("content-length").map(|value| value.parse().expect("a length"));
        match length {
            Some(length) => self.read_exactly(length, &mut sink),
            None => self.read_to_close(&mut sink),
        }
    }

    /// The socket below.
    pub fn stream(&self) -> &TcpStream {
        self.reader.get_ref()
    }

    /// The stream below, and what was read of it already.
    pub fn into_stream(self) -> BufReader<TcpStream> {
        self.reader
    }

    /// Reads the rest.
    pub fn finish(mut self) -> Answer {
        let mut body = Vec::new();
        let end = self.read_body(|piece| body.extend_from_slice(piece));
        Answer { status: self.status, headers: self.headers, body, end }
    }

    fn read_exactly(&mut self, mut left: u64, sink: &mut impl FnMut(&[u8])) -> End {
        while left > 0 {
            let piece = match self.reader.fill_buf() {
                Ok(piece) if !piece.is_empty() => piece,
                _ => return End::Cut,
            };
            let count = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            sink(&piece[..count]);
            self.reader.consume(count);
            left -= count as u64;
        }
        End::Complete
    }

    fn read_to_close(&mut self, sink: &mut impl FnMut(&[u8])) -> End {
        loop {
            let count = match self.reader.fill_buf() {
                Ok([]) => return End::Complete,
                Ok(piece) => {
                    sink(piece);
                    piece.len()
                }
                Err(_) => return End::Cut,
            };
            self.reader.consume(count);
        }
    }

    fn read_chunks(&mut self, sink: &mut impl FnMut(&[u8])) -> End {
        loop {
            let mut size = String::new();
            if self.reader.read_line(&mut size).is_err() || !size.ends_with("\r\n") {
                return End::Cut;
            }
            let digits = size.trim_end().split(';').next().unwrap_or_default();
            let size = u64::from_str_radix(digits, 16).expect("a chunk's size");
            if self.read_exactly(size, sink) == End::Cut {
                return End::Cut;
            }
            let mut end = [0; 2];
            if self.reader.read_exact(&mut end).is_err() {
                return End::Cut;
            }
            assert_eq!(&end, b"\r\n", "a chunk's end");
            if size == 0 {
                return End::Complete;
            }
        }
    }
}

fn line(reader: &mut BufReader<TcpStream>) -> String {
    let mut bytes = Vec::new();
    reader.read_until(b'\n', &mut bytes).expect("an answer");
    String::from_utf8_lossy(&bytes).trim_end().to_owned()
}

fn headers(reader: &mut BufReader<TcpStream>) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    loop {
        let line = line(reader);
        let Some((name, value)) = line.split_once(':') else {
            assert_eq!(line, "", "a header line");
            return headers;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

/// The MD5 sum of what it is fed, by coreutils' `md5sum`.
#[derive(Debug)]
pub struct Md5sum(Child);

impl Md5sum {
    pub fn new() -> Md5sum {
        let mut command = Command::new("md5sum");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        Md5sum(command.spawn().expect("md5sum of coreutils"))
    }

    pub fn update(&mut self, piece: &[u8]) {
        self.0.stdin.as_mut().expect("it is piped").write_all(piece).expect("md5sum reads on");
    }

    pub fn finish(self) -> String {
        let output = self.0.wait_with_output().expect("md5sum ends");
        String::from_utf8_lossy(&output.stdout).split(' ').next().unwrap_or_default().to_owned()
    }
}
