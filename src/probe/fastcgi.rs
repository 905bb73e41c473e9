//! The counter-probe: is it FastCGI that listens there, and does it let us in? FCGI_GET_VALUES asks
//! for nothing but its own limits (FastCGI 1.0 section 4.1); every server has to answer it, and
//! PHP-FPM runs no script for it.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::clock;
use crate::config::ServerAddress;
use crate::diagnose::Probed;

/// Version 1, GET_VALUES, request id 0, with the name FCGI_MPXS_CONNS and no value.
const GET_VALUES: &[u8] = b"\x01\x09\0\0\0\x11\0\0\x0f\0FCGI_MPXS_CONNS";
/// PHP-FPM answers within two milliseconds; a page does not wait longer for it than a blink.
const LIMIT: Duration = Duration::from_millis(100);

/// Asks the server. `None` when no connection could be had for a reason of our own. One that drops
/// us is asked once more: a listener that is just going away drops whoever stands in its queue, and
/// is gone then.
pub async fn fastcgi(server: &ServerAddress, address: Option<SocketAddr>) -> Option<Probed> {
    let asked = async {
        match once(server, address).await {
            Some(Probed::Drops) => once(server, address).await,
            other => other,
        }
    };
    clock::within(LIMIT, asked).await.unwrap_or(Some(Probed::Silent))
}

async fn once(server: &ServerAddress, address: Option<SocketAddr>) -> Option<Probed> {
    match (server, address) {
        (ServerAddress::Unix(path), _) => unix(path).await,
        (ServerAddress::Ip(address), _) => tcp(*address).await,
        (ServerAddress::Name { .. }, Some(address)) => tcp(address).await,
        (ServerAddress::Name { .. }, None) => None,
    }
}

async fn unix(path: &Path) -> Option<Probed> {
    match UnixStream::connect(path).await {
        Ok(stream) => Some(ask(stream).await),
        Err(error) => unreached(&error),
    }
}

async fn tcp(address: SocketAddr) -> Option<Probed> {
    match TcpStream::connect(address).await {
        Ok(stream) => Some(ask(stream).await),
        Err(error) => unreached(&error),
    }
}

fn unreached(error: &io::Error) -> Option<Probed> {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset, NotFound};
    let gone = matches!(error.kind(), ConnectionRefused | ConnectionReset | NotFound);
    gone.then_some(Probed::Gone)
}

async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Probed {
    let mut header = [0; 2];
    let answered: io::Result<()> = async {
        stream.write_all(GET_VALUES).await?;
        stream.read_exact(&mut header).await.map(drop)
    }
    .await;
    match (answered, header) {
        // GET_VALUES_RESULT, or UNKNOWN_TYPE.
        (Ok(()), [1, 10 | 11]) => Probed::Answers,
        (Ok(()), _) => Probed::Foreign,
        (Err(_), _) => Probed::Drops,
    }
}
