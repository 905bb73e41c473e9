//! An upgraded connection (WebSocket and the like): bytes both ways until one side ends or both are
//! silent for too long.

use std::cell::Cell;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::clock::Deadline;
use crate::upstream::Conn;

use super::record::Record;

/// Bytes that one direction carries at a time.
const PIECE: usize = 16 * 1024;

/// The upstream's end of an upgraded connection, and the record of the request that made it.
#[derive(Debug)]
pub struct Tunnel {
    pub upstream: Box<Conn>,
    pub record: Box<Record>,
    /// Neither side sends for so long: the tunnel ends.
    pub idle: Duration,
}

impl Tunnel {
    /// Carries until either side has ended, both are idle, or one breaks. Consumes the record: its
    /// line counts what went to the client.
    pub async fn carry<C: AsyncRead + AsyncWrite + Unpin>(mut self, client: C) {
        let (mut client_in, mut client_out) = tokio::io::split(client);
        let (mut upstream_in, mut upstream_out) = tokio::io::split(*self.upstream);
        let quiet = Quiet::new(self.idle);
        let (sent, received) = (Cell::new(0), Cell::new(0));
        let to_client = copy(&mut upstream_in, &mut client_out, &quiet, &sent);
        let to_upstream = copy(&mut client_in, &mut upstream_out, &quiet, &received);
        let both = async { tokio::join!(to_client, to_upstream) };
        tokio::select! {
            _ = both => {}
            () = quiet.ended() => {}
        }
        self.record.bytes = sent.get();
        self.record.finish();
    }
}

/// Copies until the end, then passes the end on. Counts the bytes as they are carried: it may be
/// ended at any time.
async fn copy<R, W>(from: &mut R, to: &mut W, quiet: &Quiet, carried: &Cell<u64>) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut piece = vec![0; PIECE];
    loop {
        let read = match from.read(&mut piece).await {
            Ok(0) => return to.shutdown().await,
            Ok(read) => read,
            Err(error) => {
                // The other side must not wait for what will not come.
                let _ = to.shutdown().await;
                return Err(error);
            }
        };
        quiet.moved();
        let written = match to.write_all(&piece[..read]).await {
            Ok(()) => to.flush().await,
            failed => failed,
        };
        written?;
        carried.set(carried.get() + read as u64);
    }
}

/// The idle time of both directions together.
struct Quiet {
    deadline: std::cell::RefCell<Deadline>,
    idle: Duration,
}

impl Quiet {
    fn new(idle: Duration) -> Quiet {
        Quiet { deadline: Deadline::after(idle).into(), idle }
    }

    fn moved(&self) {
        self.deadline.borrow_mut().set(self.idle);
    }

    async fn ended(&self) {
        std::future::poll_fn(|cx| self.deadline.borrow_mut().poll(cx)).await;
    }
}
