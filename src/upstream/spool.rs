//! A request body gathered before it is sent: in memory while it is small, in a file without a name
//! beyond that.
//!
//! For PHP, which must be told the length, holds a worker for as long as an upload lasts, and runs
//! a script on half a body when the connection ends inside it. Files are read and written away
//! from the worker thread.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use thiserror::Error;
use tokio::task::JoinHandle;

use super::client_body::{ClientBody, UploadFailure};

/// What stays in memory: the forms that people fill in.
const MEMORY_MAX: usize = 64 * 1024;
/// What is written or read at a time.
const PIECE: usize = 256 * 1024;

/// Why a body could not be gathered.
#[derive(Debug, Error)]
pub enum SpoolFailure {
    /// The client's body ended badly.
    #[error("cannot read the request body")]
    Client(#[source] UploadFailure),
    #[error("the request body has more than {limit_bytes} bytes")]
    TooLarge { limit_bytes: u64 },
    #[error("cannot keep the request body")]
    Io(#[source] io::Error),
}

/// A whole body, to be sent.
#[derive(Debug)]
pub struct Spooled {
    length: u64,
    memory: Bytes,
    disk: Disk,
}

#[derive(Debug)]
enum Disk {
    None,
    Resting(File),
    Reading(JoinHandle<io::Result<(File, Bytes)>>),
}

impl Spooled {
    /// Gathers a body of at most `limit_bytes`. Cancel safe: the file goes with the future.
    ///
    /// # Errors
    /// [`SpoolFailure`]; nothing of the body is left.
    pub async fn gather(mut body: ClientBody, limit_bytes: u64) -> Result<Spooled, SpoolFailure> {
        let mut memory = BytesMut::new();
        let mut file = None;
        let mut length = 0;
        while let Some(frame) = std::future::poll_fn(|cx| body.poll_frame(cx)).await {
            // Trailers have no place in a CGI request (RFC 3875 knows none).
            let Ok(data) = frame.map_err(SpoolFailure::Client)?.into_data() else { continue };
            length += data.len() as u64;
            if length > limit_bytes {
                return Err(SpoolFailure::TooLarge { limit_bytes });
            }
            memory.extend_from_slice(&data);
            let room = if file.is_some() { PIECE } else { MEMORY_MAX };
            if memory.len() > room {
                file = Some(write(file, memory.split().freeze()).await?);
            }
        }
        let disk = match file {
            Some(file) => Disk::Resting(rewind(write(Some(file), memory.split().freeze()).await?)?),
            None => Disk::None,
        };
        Ok(Spooled { length, memory: memory.freeze(), disk })
    }

    /// Its length in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The next piece; `None` at the end.
    pub(super) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if !self.memory.is_empty() {
            return Poll::Ready(Some(Ok(std::mem::take(&mut self.memory))));
        }
        loop {
            match std::mem::replace(&mut self.disk, Disk::None) {
                Disk::None => return Poll::Ready(None),
                Disk::Resting(file) => {
                    self.disk = Disk::Reading(tokio::task::spawn_blocking(|| read(file)));
                }
                Disk::Reading(mut reading) => {
                    let Poll::Ready(done) = Pin::new(&mut reading).poll(cx) else {
                        self.disk = Disk::Reading(reading);
                        return Poll::Pending;
                    };
                    let (file, piece) = match done.unwrap_or_else(|lost| Err(lost.into())) {
                        Ok(read) => read,
                        Err(error) => return Poll::Ready(Some(Err(error))),
                    };
                    if piece.is_empty() {
                        return Poll::Ready(None);
                    }
                    self.disk = Disk::Resting(file);
                    return Poll::Ready(Some(Ok(piece)));
                }
            }
        }
    }
}

async fn write(file: Option<File>, piece: Bytes) -> Result<File, SpoolFailure> {
    let writing = tokio::task::spawn_blocking(move || {
        let mut file = match file {
            Some(file) => file,
            None => tempfile::tempfile()?,
        };
        file.write_all(&piece).map(|()| file)
    });
    writing.await.unwrap_or_else(|lost| Err(lost.into())).map_err(SpoolFailure::Io)
}

fn rewind(mut file: File) -> Result<File, SpoolFailure> {
    file.rewind().map(|()| file).map_err(SpoolFailure::Io)
}

fn read(mut file: File) -> io::Result<(File, Bytes)> {
    let mut piece = Vec::with_capacity(PIECE);
    Read::by_ref(&mut file).take(PIECE as u64).read_to_end(&mut piece)?;
    Ok((file, piece.into()))
}
