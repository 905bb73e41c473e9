//! A client that sends bytes as they are given and tells exactly how its answer ended.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use super::{PATIENCE, shown};

/// One connection to the proxy.
#[derive(Debug)]
pub struct Client {
    pub stream: TcpStream,
    /// Bytes read and not yet used.
    input: Vec<u8>,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Fin,
    Reset,
    /// It did not, within the time-out.
    Open,
}

/// An answer, read as its framing says.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Status line and fields, without the empty line.
    pub head: String,
    pub body: String,
    /// The trailer section, line by line.
    pub trailers: Vec<String>,
    /// The body came to the end that its framing announces; without framing, to a FIN.
    pub whole: bool,
}

impl Client {
    pub fn connect(proxy: SocketAddr) -> Client {
        let stream = TcpStream::connect(proxy).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream, input: Vec::new() }
    }

    /// A connection with these bytes on their way.
    pub fn sent(proxy: SocketAddr, bytes: impl AsRef<[u8]>) -> Client {
        let mut client = Client::connect(proxy);
        client.send(bytes);
        client
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends what may be refused: the other side may have closed already.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    pub fn finish(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Reads once; false at the end.
    fn fill(&mut self) -> Result<(), End> {
        let mut piece = [0; 64 * 1024];
        match self.stream.read(&mut piece) {
            Ok(0) => Err(End::Fin),
            Ok(read) => {
                self.input.extend_from_slice(&piece[..read]);
                Ok(())
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Err(End::Open)
            }
            Err(_) => Err(End::Reset),
        }
    }

    /// Everything up to and with the marker.
    pub fn until(&mut self, marker: &str) -> String {
        let marker = marker.as_bytes();
        loop {
            let found = self.input.windows(marker.len()).position(|window| window == marker);
            if let Some(at) = found {
                let taken = self.input.drain(..at + marker.len()).collect::<Vec<u8>>();
                return String::from_utf8(taken).unwrap();
            }
            if let Err(end) = self.fill() {
                panic!("{end:?} before {:?}: {}", shown(marker), shown(&self.input));
            }
        }
    }

    /// What is left until the connection ends, and how it does.
    pub fn rest(&mut self) -> (String, End) {
        loop {
            if let Err(end) = self.fill() {
                let rest = std::mem::take(&mut self.input);
                return (String::from_utf8_lossy(&rest).into_owned(), end);
            }
        }
    }

    /// The final answer to a request with this method; interim ones are passed over.
    pub fn answer(&mut self, method: &str) -> Answer {
        loop {
            let mut head = self.until("\r\n\r\n");
            head.truncate(head.len() - 4);
            let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
            let status = status.unwrap_or_else(|| panic!("no status line: {head:?}"));
            if (100..200).contains(&status) && status != 101 {
                continue;
            }
            let mut answer =
                Answer { status, head, body: String::new(), trailers: Vec::new(), whole: true };
            if method == "HEAD" || matches!(status, 101 | 204 | 304) {
                return answer;
            }
            if answer.field("transfer-encoding") == Some("chunked") {
                self.chunks(&mut answer);
            } else if let Some(length) = answer.field("content-length") {
                let length = length.parse().unwrap();
                answer.whole = self.take(length, &mut answer.body).is_ok();
            } else {
                let (body, end) = self.rest();
                answer.whole = end == End::Fin;
                answer.body = body;
            }
            return answer;
        }
    }

    fn chunks(&mut self, answer: &mut Answer) {
        loop {
            let Ok(line) = self.line() else {
                answer.whole = false;
                return;
            };
            let size = usize::from_str_radix(&line, 16).unwrap();
            if size == 0 {
                break;
            }
            let mut end = String::new();
            let taken = self.take(size, &mut answer.body).and_then(|()| self.take(2, &mut end));
            if taken.is_err() {
                answer.whole = false;
                return;
            }
            assert_eq!(end, "\r\n");
        }
        loop {
            match self.line() {
                Ok(line) if line.is_empty() => return,
                Ok(line) => answer.trailers.push(line),
                Err(_) => {
                    answer.whole = false;
                    return;
                }
            }
        }
    }

    /// A line without its end.
    fn line(&mut self) -> Result<String, End> {
        loop {
            if let Some(at) = self.input.windows(2).position(|pair| pair == b"\r\n") {
                let mut line = self.input.drain(..at + 2).collect::<Vec<u8>>();
                line.truncate(at);
                return Ok(String::from_utf8(line).unwrap());
            }
            self.fill()?;
        }
    }

    /// So many bytes, or what of them came.
    fn take(&mut self, count: usize, to: &mut String) -> Result<(), End> {
        let mut end = Ok(());
        while self.input.len() < count && end.is_ok() {
            end = self.fill();
        }
        let here = count.min(self.input.len());
        let bytes = self.input.drain(..here).collect::<Vec<u8>>();
        to.push_str(&String::from_utf8(bytes).unwrap());
        end
    }
}

impl Answer {
    /// The value of a field, by its name in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields(name).first().copied()
    }

    pub fn fields(&self, name: &str) -> Vec<&str> {
        let lines = self.head.split("\r\n").skip(1).filter_map(|line| line.split_once(": "));
        let named = lines.filter(|(found, _)| found.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value).collect()
    }

    /// The cause that the page names.
    pub fn cause(&self) -> &str {
        let said = self.field("proxy-status").unwrap_or_default();
        let named = said.split("details=\"").nth(1).and_then(|rest| rest.split('"').next());
        named.unwrap_or_else(|| panic!("no cause in {self:?}"))
    }

    /// A member of the problem document.
    pub fn problem(&self, member: &str) -> String {
        let value: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        value[member].as_str().unwrap_or_else(|| panic!("no {member} in {value}")).to_owned()
    }
}
