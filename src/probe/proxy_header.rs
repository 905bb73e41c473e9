//! The counter-probe of a server that hangs up on HTTP without a word: does it wait for the line of
//! the PROXY protocol first (version 1, section 2.1 of its specification)?
//!
//! The line says what is so: who connects from where to where. OPTIONS behind it asks for nothing
//! of any resource. One answer proves little, since a server of plain HTTP answers such a line with
//! 400, so that two controls stand beside it: the line with one letter wrong, and none.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::clock;

use super::speaks::OPTIONS;

/// For each of the four connections; a server that waits for the line ends it at once without.
const LIMIT: Duration = Duration::from_millis(500);
/// What an answer in HTTP begins with, whatever its status.
const ANSWER: &[u8] = b"HTTP/";

/// What stands before the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Proxy,
    /// The same with a letter wrong, which no reader of the line takes for it.
    Broken,
    None,
}

/// How a server takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    Http,
    /// FIN or reset without a byte.
    HungUp,
    /// Something else, silence, or no connection.
    Other,
}

/// The questions in their order, with what a server says to each that wants the line. The first one
/// comes again at the end, so that one that is going up or down meanwhile is not taken for it.
const WANTED: [(Line, Heard); 4] = [
    (Line::Proxy, Heard::Http),
    (Line::Broken, Heard::HungUp),
    (Line::None, Heard::HungUp),
    (Line::Proxy, Heard::Http),
];

/// Whether the server speaks HTTP behind the line, and only behind it. Ends with the first answer
/// that says no.
pub async fn expects_proxy_header(address: SocketAddr) -> bool {
    for (line, wanted) in WANTED {
        let heard = clock::within(LIMIT, ask(address, line)).await;
        if heard.and_then(Result::ok) != Some(wanted) {
            return false;
        }
    }
    true
}

async fn ask(address: SocketAddr, line: Line) -> io::Result<Heard> {
    let mut stream = TcpStream::connect(address).await?;
    let line = spelt(line, stream.local_addr()?, stream.peer_addr()?);
    let request = [line.as_bytes(), OPTIONS].concat();
    let mut begun = [0; ANSWER.len()];
    let read: io::Result<_> = async {
        // In one piece: some give a line that comes alone no time.
        stream.write_all(&request).await?;
        stream.read_exact(&mut begun).await
    }
    .await;
    Ok(match read {
        Ok(_) if begun == ANSWER => Heard::Http,
        Ok(_) => Heard::Other,
        Err(error) if begun == [0; ANSWER.len()] && is_end(&error) => Heard::HungUp,
        Err(_) => Heard::Other,
    })
}

/// The line with both ends of the connection: Apache takes no `UNKNOWN` with a request behind it.
fn spelt(line: Line, own: SocketAddr, peer: SocketAddr) -> String {
    let word = match line {
        Line::Proxy => "PROXY",
        Line::Broken => "PROXX",
        Line::None => return String::new(),
    };
    let (from, to) = (own.ip().to_canonical(), peer.ip().to_canonical());
    let family = if from.is_ipv4() { "TCP4" } else { "TCP6" };
    format!("{word} {family} {from} {to} {} {}\r\n", own.port(), peer.port())
}

/// The server's end of the connection, in whichever step it shows.
fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset | BrokenPipe)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// A server that answers where the first bytes of a connection, of this number, let it.
    fn server(answers: impl Fn(usize, &str) -> &'static str + Send + 'static) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().flatten().enumerate() {
                let (mut stream, mut heard) = (stream, [0; 512]);
                let read = stream.read(&mut heard).unwrap_or_default();
                let answer = answers(number, &String::from_utf8_lossy(&heard[..read]));
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        address
    }

    const BAD: &str = "HTTP/1.1 400 Bad Request\r\n\r\n";

    #[tokio::test]
    async fn only_a_server_that_wants_the_line_and_speaks_http_behind_it_is_one() {
        let is_line = |heard: &str| heard.starts_with("PROXY TCP4 127.0.0.1 127.0.0.1 ");
        let wants = server(move |_, heard| if is_line(heard) { BAD } else { "" });
        assert!(expects_proxy_header(wants).await);
        for (what, other) in [
            ("hangs up on everybody", server(|_, _| "")),
            ("has an answer for everybody", server(|_, _| BAD)),
            (
                "says 400 to any line",
                server(|_, heard| if heard.starts_with('P') { BAD } else { "" }),
            ),
            ("can do without the line", {
                server(|_, heard| if heard.starts_with("PROXX") { "" } else { BAD })
            }),
            ("is going down", server(|number, _| if number == 0 { BAD } else { "" })),
            ("is coming up", server(|number, _| if number > 0 { BAD } else { "" })),
            ("speaks another protocol", {
                server(move |_, heard| if is_line(heard) { "220 mail ESMTP\r\n" } else { "" })
            }),
            ("is cut short", server(move |_, heard| if is_line(heard) { BAD } else { "HT" })),
        ] {
            assert!(!expects_proxy_header(other).await, "{what}");
        }
    }

    #[test]
    fn the_line_names_both_ends() {
        let line =
            |own: &str, peer: &str| spelt(Line::Proxy, own.parse().unwrap(), peer.parse().unwrap());
        assert_eq!(line("10.0.0.1:5", "10.0.0.2:80"), "PROXY TCP4 10.0.0.1 10.0.0.2 5 80\r\n");
        assert_eq!(line("[fd00::1]:5", "[fd00::2]:80"), "PROXY TCP6 fd00::1 fd00::2 5 80\r\n");
        let mapped = line("[::ffff:10.0.0.1]:5", "[::ffff:10.0.0.2]:80");
        assert_eq!(mapped, "PROXY TCP4 10.0.0.1 10.0.0.2 5 80\r\n");
    }
}
