//! The admin listener: metrics and health, on a thread and a runtime of its own.
//!
//! It answers while every worker is busy or stuck, while the program drains, and whatever its
//! clients do: one connection is one request, all are few, and none lasts. What it says is made in
//! `health` and `telemetry`; who may ask is decided here.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::config::{self, ListenAddress};

use super::StartError;
use super::health::{self, Asker};
use super::listener::{self, Bound};
use super::overview::Overview;

/// Connections at once; more wait to be accepted.
const CONNECTIONS_MAX: u32 = 64;
/// Of those who may not ask, so many at once are told so; more are closed without a word.
const STRANGERS_MAX: u32 = 8;
/// From accept to the last byte of the answer.
const REQUEST_TIME: Duration = Duration::from_secs(5);
/// Bytes of a request's head and of what is written at once; hyper has a larger least.
const BUFFER_BYTES: usize = 16 * 1024;
/// After accept has failed for want of descriptors or memory, so long is waited.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Owner and group may connect to a Unix socket, which takes the right to write (unix(7)).
const SOCKET_MODE: u32 = 0o660;

/// The listeners of one configuration. Dropped, they accept nothing more; answers under way are
/// given to their end.
#[derive(Debug, Default)]
pub struct Admin {
    pub config: config::Admin,
    listeners: Vec<Listening>,
    /// Ends the thread when it is dropped; `None` where nothing is listened on.
    _stop: Option<oneshot::Sender<()>>,
}

/// One listener, kept for the configuration that follows.
#[derive(Debug)]
struct Listening {
    wanted: ListenAddress,
    bound: ListenAddress,
    socket: Bound,
}

impl Admin {
    /// Listens as `config` says. What `before` listens on already goes on without a gap.
    ///
    /// # Errors
    /// What could not be bound, or a thread that could not be started.
    pub fn start(
        config: &config::Admin,
        before: &Admin,
        overview: &Arc<Overview>,
    ) -> Result<Admin, StartError> {
        let mut listeners = Vec::new();
        for wanted in &config.listen {
            let listening = listening(wanted, before)
                .map_err(|source| StartError::Bind { address: wanted.clone(), source })?;
            listeners.push(listening);
        }
        let mut stop = None;
        if !listeners.is_empty() {
            let sockets = listeners.iter().map(|listening| listening.socket.try_clone());
            let sockets = sockets.collect::<io::Result<Vec<_>>>().map_err(StartError::Thread)?;
            let (sender, stopped) = oneshot::channel();
            let (allow, overview) = (config.allow.clone(), overview.clone());
            let serve = move || serve(sockets, allow, overview, stopped);
            std::thread::Builder::new()
                .name("admin".to_owned())
                .spawn(serve)
                .map_err(StartError::Thread)?;
            stop = Some(sender);
        }
        Ok(Admin { config: config.clone(), listeners, _stop: stop })
    }

    /// Puts another in the place of this, and takes away the files of sockets that are no longer
    /// wanted.
    pub fn give_way_to(&mut self, next: Admin) {
        for address in self.addresses() {
            if let ListenAddress::Unix(path) = address
                && !next.addresses().any(|kept| kept == address)
            {
                let _ = std::fs::remove_file(path);
            }
        }
        *self = next;
    }

    /// The addresses in the configuration's order, as bound.
    pub fn addresses(&self) -> impl Iterator<Item = &ListenAddress> {
        self.listeners.iter().map(|listening| &listening.bound)
    }
}

fn listening(wanted: &ListenAddress, before: &Admin) -> io::Result<Listening> {
    let kept = before.listeners.iter().find(|listening| listening.wanted == *wanted);
    if let Some(Listening { bound, socket, .. }) = kept {
        let (bound, socket) = (bound.clone(), socket.try_clone()?);
        return Ok(Listening { wanted: wanted.clone(), bound, socket });
    }
    let (bound, mut sockets) = listener::bind(wanted, 1)?;
    if let ListenAddress::Unix(path) = &bound {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(SOCKET_MODE))?;
    }
    let socket = sockets.pop().ok_or(io::ErrorKind::AddrNotAvailable)?;
    Ok(Listening { wanted: wanted.clone(), bound, socket })
}

/// The thread of its own.
fn serve(
    sockets: Vec<Bound>,
    allow: Vec<ipnet::IpNet>,
    overview: Arc<Overview>,
    stopped: oneshot::Receiver<()>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default());
    match runtime {
        Ok(runtime) => runtime.block_on(listen(sockets, allow, overview, stopped)),
        Err(error) => tracing::error!(%error, "the admin listener had no runtime"),
    }
}

/// What all connections share.
struct Door {
    allow: Vec<ipnet::IpNet>,
    overview: Arc<Overview>,
    places: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
}

async fn listen(
    sockets: Vec<Bound>,
    allow: Vec<ipnet::IpNet>,
    overview: Arc<Overview>,
    stopped: oneshot::Receiver<()>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX as usize));
    let strangers = Arc::new(Semaphore::new(STRANGERS_MAX as usize));
    let door = Rc::new(Door { allow, overview, places, strangers });
    let accepting: Vec<_> = sockets
        .into_iter()
        .map(|socket| tokio::task::spawn_local(accept(door.clone(), socket)))
        .collect();
    // The sender says nothing; it is dropped.
    let _ = stopped.await;
    accepting.iter().for_each(tokio::task::JoinHandle::abort);
    let all = [(&door.places, CONNECTIONS_MAX), (&door.strangers, STRANGERS_MAX)];
    for (places, count) in all {
        // Every place is given back within the time of a request.
        let _ = places.acquire_many(count).await;
    }
}

async fn accept(door: Rc<Door>, socket: Bound) {
    match socket {
        Bound::Tcp(listener) => match TcpListener::from_std(listener) {
            Ok(listener) => loop {
                match listener.accept().await {
                    Ok((tcp, peer)) => door.admit(tcp, Some(peer.ip())).await,
                    Err(error) => accept_failed(&error).await,
                }
            },
            Err(error) => tracing::error!(%error, "an admin listener cannot be used"),
        },
        Bound::Unix(listener) => match UnixListener::from_std(listener) {
            Ok(listener) => loop {
                match listener.accept().await {
                    Ok((unix, _)) => door.admit(unix, None).await,
                    Err(error) => accept_failed(&error).await,
                }
            },
            Err(error) => tracing::error!(%error, "an admin listener cannot be used"),
        },
    }
}

/// accept(2): the errors of the new connection pass; those of our host call for a pause.
async fn accept_failed(error: &io::Error) {
    if !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
        tracing::error!(%error, "cannot accept admin connections");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

impl Door {
    /// Has the connection answered, in a task of its own; waits for a place first.
    async fn admit(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
        peer: Option<IpAddr>,
    ) {
        // Whoever can open a Unix socket may ask.
        let allowed = |peer: IpAddr| {
            let peer = peer.to_canonical();
            self.allow.iter().any(|network| network.contains(&peer))
        };
        let stranger = peer.filter(|peer| !allowed(*peer));
        let (asker, place) = match stranger {
            None => (Asker::Allowed, self.places.clone().acquire_owned().await.ok()),
            Some(peer) => (Asker::Stranger(peer), self.strangers.clone().try_acquire_owned().ok()),
        };
        if let Some(place) = place {
            tokio::task::spawn_local(answer(stream, asker, self.overview.clone(), place));
        }
    }
}

async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    asker: Asker,
    overview: Arc<Overview>,
    _place: OwnedSemaphorePermit,
) {
    let service = service_fn(|request| {
        let response = health::respond(&overview, asker, &request);
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let served = http1::Builder::new()
        .keep_alive(false)
        .header_read_timeout(None)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    if let Ok(Err(error)) = tokio::time::timeout(REQUEST_TIME, served).await {
        tracing::debug!(%error, "an admin connection ended early");
    }
}
