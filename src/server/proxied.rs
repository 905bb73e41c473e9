//! Connections of balancers: each begins with a header of the PROXY protocol that says whose it is.
//!
//! The header is looked at before it is taken, so that not a byte behind it is: what follows, a
//! ClientHello or a request, is read by those who read it on any other connection. A balancer's
//! connection without a sound header is closed without an answer, which could go to nobody but a
//! client that the balancer does not speak for.

use std::io;
use std::net::IpAddr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use strum::EnumCount as _;
use tokio::io::AsyncReadExt as _;

use crate::clock;
use crate::proxy::Introduction;

use super::proxy_header::{self, Extent, HeaderFault, V2_MAX};
use super::transport::Socket;
use super::worker::Listening;

/// Of each reason one line in so many seconds, which counts those between.
const TOLD_EVERY: u64 = 60;

/// Takes the header off the socket; `None` when there is none, or the listener is drained before it
/// has come. `peer` is for the log.
pub async fn introduce(
    socket: &mut Socket,
    peer: Option<IpAddr>,
    limit: Duration,
    listening: &Listening,
) -> Option<Introduction> {
    let read = async { clock::within(limit, read(socket)).await.unwrap_or(Err(HeaderFault::Late)) };
    match listening.until_last_call(read).await? {
        Ok(introduction) => Some(introduction),
        Err(HeaderFault::Silent) => None,
        Err(fault) => {
            tell(fault, &peer.map_or_else(|| "unix".to_owned(), |peer| peer.to_string()));
            None
        }
    }
}

async fn read(socket: &mut Socket) -> Result<Introduction, HeaderFault> {
    let mut header = vec![0; V2_MAX];
    let mut taken = 0;
    loop {
        let cut = |_: io::Error| HeaderFault::Cut;
        let seen = socket.peek(&mut header[taken..]).await.map_err(cut)?;
        match (seen, taken) {
            (0, 0) => return Err(HeaderFault::Silent),
            (0, _) => return Err(HeaderFault::Cut),
            (1.., _) => {}
        }
        let extent = proxy_header::extent(&header[..taken + seen])?;
        let end = match extent {
            Extent::Beyond => taken + seen,
            Extent::To(end) => end,
        };
        // What was seen is there to be taken.
        socket.read_exact(&mut header[taken..end]).await.map_err(cut)?;
        taken = end;
        if let Extent::To(_) = extent {
            return proxy_header::read(&header[..taken]);
        }
    }
}

/// When a reason was told last, in seconds of [`BEGUN`], from 1; and how often it was not, since.
#[derive(Debug)]
struct Told {
    at: AtomicU64,
    unsaid: AtomicU64,
}

static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);
static TOLD: [Told; HeaderFault::COUNT] =
    [const { Told { at: AtomicU64::new(0), unsaid: AtomicU64::new(0) } }; HeaderFault::COUNT];

/// One line a reason and minute, over all workers: whoever reaches a balancer's port could fill the
/// log.
fn tell(fault: HeaderFault, peer: &str) {
    let told = &TOLD[fault as usize];
    let now = BEGUN.elapsed().as_secs() + 1;
    let told_at = told.at.load(Ordering::Relaxed);
    let due = told_at == 0 || now >= told_at + TOLD_EVERY;
    let mine =
        due && told.at.compare_exchange(told_at, now, Ordering::Relaxed, Ordering::Relaxed).is_ok();
    if !mine {
        told.unsaid.fetch_add(1, Ordering::Relaxed);
        return;
    }
    let unsaid = told.unsaid.swap(0, Ordering::Relaxed);
    let fault: &str = fault.into();
    tracing::warn!(
        fault,
        peer,
        unsaid,
        "a connection from client.proxy_protocol without a sound PROXY header was closed"
    );
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::UnixStream;

    use super::*;

    const LINE: &[u8] = b"PROXY TCP4 203.0.113.9 192.0.2.1 56224 443\r\n";
    const BLOCK: &[u8] =
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x09\xc0\0\x02\x01\xdb\xa0\x01\xbb";

    /// What is read of these pieces, each sent once the one before was taken note of, and what is
    /// left behind it.
    fn through(pieces: Vec<Vec<u8>>) -> (Result<Introduction, HeaderFault>, Vec<u8>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (ours, mut theirs) = UnixStream::pair().unwrap();
            let mut socket = Socket::Unix(ours);
            let send = async {
                for piece in pieces {
                    theirs.write_all(&piece).await.unwrap();
                    tokio::task::yield_now().await;
                }
                drop(theirs);
            };
            let ((), read) = tokio::join!(send, read(&mut socket));
            let mut rest = Vec::new();
            socket.read_to_end(&mut rest).await.unwrap();
            (read, rest)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn however_it_comes_nothing_behind_it_is_taken(
            v2 in any::<bool>(),
            behind in vec(any::<u8>(), 0..5000),
            cuts in vec(1..80_usize, 0..40),
        ) {
            let header = if v2 { BLOCK } else { LINE };
            let mut rest = &[header, &behind].concat()[..];
            let mut pieces = Vec::new();
            for cut in cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                pieces.push(piece.to_vec());
                rest = after;
            }
            pieces.push(rest.to_vec());
            let (read, left) = through(pieces);
            let named =
                Some(("203.0.113.9:56224".parse().unwrap(), "192.0.2.1:443".parse().unwrap()));
            prop_assert_eq!(read, Ok(Introduction::Client { named, secure: false }));
            prop_assert_eq!(left, behind);
        }
    }

    #[test]
    fn an_end_is_told_from_silence() {
        assert_eq!(through(Vec::new()).0, Err(HeaderFault::Silent));
        assert_eq!(through(vec![LINE[..20].to_vec()]).0, Err(HeaderFault::Cut));
        assert_eq!(through(vec![BLOCK[..20].to_vec()]).0, Err(HeaderFault::Cut));
        assert_eq!(through(vec![b"GET / HTTP/1.1\r\n".to_vec()]).0, Err(HeaderFault::Missing));
    }
}
