//! Peers that follow a script: on TCP, on Unix sockets, inside TLS.
//!
//! Everything is bounded: connections at once, the life of each, the head that is read.

use std::io;
use std::mem::MaybeUninit;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::fastcgi::{self, Meaning};
use super::scenario::Step;

/// Connections that one peer serves at once; more wait in its accept queue.
const CONNECTIONS_MAX: usize = 64;
/// The longest life of a connection.
const LIFE: Duration = Duration::from_secs(10);
/// Longer than every timeout of the demonstration.
const STALL: Duration = Duration::from_secs(5);
/// How long a closing peer waits for the other side to close too.
const LINGER: Duration = Duration::from_secs(2);
/// The longest request head that a peer reads.
const HEAD_MAX: usize = 64 * 1024;
/// After a failed accept, for example without a file descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A connection that a script runs over.
#[derive(Debug)]
enum Link {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Serves a script to whoever connects, inside TLS where a configuration is given.
///
/// # Errors
/// When the listener cannot be given to the runtime.
pub(super) async fn tcp(
    listener: std::net::TcpListener,
    tls: Option<Arc<ServerConfig>>,
    script: Arc<[Step]>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let (tls, script) = (tls.clone(), script.clone());
        tokio::spawn(async move {
            let life = async {
                if let Some(link) = secure(stream, tls).await? {
                    play(link, &script).await?;
                }
                io::Result::Ok(())
            };
            // Whatever the other side does to a faulty peer is its business.
            let _ = tokio::time::timeout(LIFE, life).await;
            drop(place);
        });
    }
}

/// The same on a Unix socket.
///
/// # Errors
/// When the listener cannot be given to the runtime.
pub(super) async fn unix(listener: StdUnixListener, script: Arc<[Step]>) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = UnixListener::from_std(listener)?;
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let script = script.clone();
        tokio::spawn(async move {
            let _ = tokio::time::timeout(LIFE, play(Link::Unix(stream), &script)).await;
            drop(place);
        });
    }
}

/// The handshake; `None` when it failed and the connection has been closed in good order, so that
/// the alert arrives before any reset.
async fn secure(stream: TcpStream, tls: Option<Arc<ServerConfig>>) -> io::Result<Option<Link>> {
    let Some(config) = tls else { return Ok(Some(Link::Tcp(stream))) };
    match TlsAcceptor::from(config).accept(stream).into_fallible().await {
        Ok(stream) => Ok(Some(Link::Tls(Box::new(stream)))),
        Err((_, mut stream)) => {
            close(&mut stream).await?;
            Ok(None)
        }
    }
}

async fn play(mut link: Link, script: &[Step]) -> io::Result<()> {
    let mut unused = Vec::new();
    // The records of one answer go out in one piece, as PHP-FPM's do.
    let mut answer = Vec::new();
    for step in script {
        if !step.is_record() {
            link.write(&std::mem::take(&mut answer)).await?;
        }
        match *step {
            Step::Request => link.request().await?,
            Step::Stdout(bytes) => answer.extend(fastcgi::stdout(bytes)),
            Step::Stderr(text) => answer.extend(fastcgi::stderr(text)),
            Step::End(protocol_status) => answer.extend(fastcgi::end(protocol_status)),
            Step::Stream => link.stream().await?,
            Step::Head => link.head(&mut unused).await?,
            Step::ProxyLine => link.proxy_line(&mut unused).await?,
            Step::Some => {
                let mut some = [0; 4096];
                link.read(&mut some).await?;
            }
            Step::Unread => link.unread().await?,
            Step::Write(bytes) => link.write(bytes).await?,
            Step::Repeat(bytes, times) => link.write(&bytes.repeat(times)).await?,
            Step::Raw(bytes) => link.raw(bytes).await?,
            Step::Wait(millis) => tokio::time::sleep(Duration::from_millis(millis)).await,
            Step::Stall => tokio::time::sleep(STALL).await,
            Step::Close => break,
            Step::Cut => return link.cut().await,
            Step::Drop => return Ok(()),
            Step::Reset => return link.reset(),
        }
    }
    link.write(&answer).await?;
    link.close().await
}

/// FIN, then reads to the other side's: an unread byte would turn the close into a reset.
async fn close(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    stream.shutdown().await?;
    drain(stream).await;
    Ok(())
}

async fn drain(stream: &mut (impl AsyncRead + Unpin)) {
    let mut waste = vec![0; 16 * 1024];
    let rest = async { while stream.read(&mut waste).await.is_ok_and(|read| read > 0) {} };
    let _ = tokio::time::timeout(LINGER, rest).await;
}

impl Link {
    async fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = match self {
            Link::Tcp(stream) => stream.read(bytes).await?,
            Link::Unix(stream) => stream.read(bytes).await?,
            Link::Tls(stream) => stream.read(bytes).await?,
        };
        if read == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(read) }
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Link::Tcp(stream) => stream.write_all(bytes).await,
            Link::Unix(stream) => stream.write_all(bytes).await,
            Link::Tls(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
        }
    }

    async fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Link::Tls(stream) => stream.get_mut().0.write_all(bytes).await,
            Link::Tcp(_) | Link::Unix(_) => self.write(bytes).await,
        }
    }

    /// Waits until there is something to read. Readiness alone may be a false alarm, and a peer
    /// that closes upon one sends FIN in place of RST.
    async fn unread(&self) -> io::Result<()> {
        let mut first = [MaybeUninit::uninit()];
        let read = match self {
            Link::Tcp(stream) => {
                let peek = || SockRef::from(stream).peek(&mut first);
                stream.async_io(Interest::READABLE, peek).await
            }
            Link::Unix(stream) => {
                let peek = || SockRef::from(stream).peek(&mut first);
                stream.async_io(Interest::READABLE, peek).await
            }
            Link::Tls(stream) => stream.get_ref().0.peek(&mut [0]).await,
        };
        read.map(|_| ())
    }

    /// Reads until a head has ended; what follows it stays in `unused`.
    async fn head(&mut self, unused: &mut Vec<u8>) -> io::Result<()> {
        self.until(b"\r\n\r\n", unused).await.map(drop)
    }

    /// Reads the line of the PROXY protocol (version 1, section 2.1).
    async fn proxy_line(&mut self, unused: &mut Vec<u8>) -> io::Result<()> {
        let line = self.until(b"\r\n", unused).await?;
        line.starts_with(b"PROXY ").then_some(()).ok_or(io::ErrorKind::InvalidData.into())
    }

    /// Reads up to an end and with it.
    async fn until(&mut self, end: &[u8], unused: &mut Vec<u8>) -> io::Result<Vec<u8>> {
        loop {
            if let Some(at) = memchr::memmem::find(unused, end) {
                return Ok(unused.drain(..at + end.len()).collect());
            }
            if unused.len() > HEAD_MAX {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let mut some = [0; 4096];
            let read = self.read(&mut some).await?;
            unused.extend_from_slice(&some[..read]);
        }
    }

    /// Reads a FastCGI request to its end.
    async fn request(&mut self) -> io::Result<()> {
        loop {
            let mut header = [0; fastcgi::HEADER_LENGTH];
            self.fill(&mut header).await?;
            // The rest stays unread, which turns the close into a reset.
            let next = fastcgi::next(header).ok_or(io::ErrorKind::InvalidData)?;
            self.fill(&mut vec![0; next.length]).await?;
            match next.meaning {
                Meaning::Part => {}
                Meaning::End => return Ok(()),
                Meaning::Question => self.write(fastcgi::VALUES).await?,
            }
        }
    }

    /// Reads frames of HTTP/2 up to the fields of a request (RFC 9113 sections 3.4, 4.1, 6.2).
    async fn stream(&mut self) -> io::Result<()> {
        const PREFACE_LEN: usize = 24;
        const HEADERS: u8 = 1;
        self.fill(&mut [0; PREFACE_LEN]).await?;
        loop {
            let mut header = [0; 9];
            self.fill(&mut header).await?;
            let [high, middle, low, kind, ..] = header;
            let length = u32::from_be_bytes([0, high, middle, low]);
            self.fill(&mut vec![0; usize::try_from(length).unwrap_or(HEAD_MAX)]).await?;
            if kind == HEADERS {
                return Ok(());
            }
        }
    }

    async fn fill(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        let mut filled = 0;
        while filled < bytes.len() {
            filled += self.read(&mut bytes[filled..]).await?;
        }
        Ok(())
    }

    async fn close(&mut self) -> io::Result<()> {
        match self {
            Link::Tcp(stream) => close(stream).await,
            Link::Unix(stream) => close(stream).await,
            Link::Tls(stream) => close(stream.as_mut()).await,
        }
    }

    async fn cut(&mut self) -> io::Result<()> {
        match self {
            Link::Tls(stream) => close(&mut *stream.get_mut().0).await,
            Link::Tcp(_) | Link::Unix(_) => self.close().await,
        }
    }

    /// RST in place of FIN, whatever is unread or unsent.
    fn reset(self) -> io::Result<()> {
        match &self {
            Link::Tcp(stream) => SockRef::from(stream).set_linger(Some(Duration::ZERO)),
            Link::Tls(stream) => SockRef::from(stream.get_ref().0).set_linger(Some(Duration::ZERO)),
            // A Unix stream has no reset of its own; unread bytes bring it about.
            Link::Unix(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ECONNRESET: i32 = 104;

    /// Sends a request to a peer with this script; what it hears, and the errno that ended it.
    async fn heard(script: &[Step]) -> (Vec<u8>, Option<i32>) {
        told(script, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await
    }

    async fn told(script: &[Step], request: &[u8]) -> (Vec<u8>, Option<i32>) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let peer = tokio::spawn(tcp(listener, None, script.into()));
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(request).await.unwrap();
        let mut bytes = Vec::new();
        let outcome = client.read_to_end(&mut bytes).await;
        peer.abort();
        (bytes, outcome.err().and_then(|error| error.raw_os_error()))
    }

    #[tokio::test]
    async fn a_close_is_a_fin_and_a_reset_a_reset() {
        let cases: &[(&[Step], &[u8], Option<i32>)] = &[
            (&[Step::Head], b"", None),
            (&[Step::Close], b"", None),
            (&[Step::Head, Step::Write(b"hello")], b"hello", None),
            (&[Step::Head, Step::Repeat(b"ab", 3)], b"ababab", None),
            (&[Step::Head, Step::Reset], b"", Some(ECONNRESET)),
            (&[Step::Unread, Step::Drop], b"", Some(ECONNRESET)),
            (&[Step::Head, Step::Write(b"he"), Step::Wait(20), Step::Reset], b"he", Some(104)),
        ];
        for (script, bytes, errno) in cases {
            assert_eq!(heard(script).await, (bytes.to_vec(), *errno), "{script:?}");
        }
    }

    #[tokio::test]
    async fn a_fastcgi_peer_answers_requests_and_questions_and_drops_the_rest() {
        const SCRIPT: &[Step] = &[Step::Request, Step::Stdout(b"well"), Step::End(0)];
        const REQUEST: &[u8] = b"\x01\x01\0\x01\0\x08\0\0\0\x01\0\0\0\0\0\0\
            \x01\x04\0\x01\0\0\0\0\x01\x05\0\x01\0\x02\x06\0ok\0\0\0\0\0\0\
            \x01\x05\0\x01\0\0\0\0";
        const QUESTION: &[u8] = b"\x01\x09\0\0\0\x11\0\0\x0f\0FCGI_MPXS_CONNS";
        let answer = [fastcgi::stdout(b"well"), fastcgi::end(0)].concat();
        assert_eq!(told(SCRIPT, REQUEST).await, (answer.clone(), None));
        let both = [QUESTION, REQUEST].concat();
        assert_eq!(told(SCRIPT, &both).await, ([fastcgi::VALUES, &answer].concat(), None));
        assert_eq!(heard(SCRIPT).await, (Vec::new(), Some(ECONNRESET)));
    }
}
