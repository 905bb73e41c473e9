//! Several addresses of one name: which is tried when, until one of them connects (RFC 8305).
//!
//! The families alternate; the next address begins a moment after the one before, or at once when
//! that has failed. The first that connects wins, and the others are dropped. What became of each
//! that failed is kept, and which of them tells most. Decides nothing about causes.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use socket2::{Domain, Socket, Type};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::attempt::Tried;
use super::failure::ConnectFailure;
use super::icmp;

/// The Connection Attempt Delay that RFC 8305 section 5 recommends.
const DELAY: Duration = Duration::from_millis(250);
/// Addresses of one name that are tried; a name with more has enough of them.
const ADDRESSES_MAX: usize = 16;

/// Connects under way to the addresses of one server.
#[derive(Debug)]
pub(super) struct Race {
    waiting: std::vec::IntoIter<SocketAddr>,
    running: Vec<Opening>,
    /// Until the next address begins; made when there is a next one.
    delay: Option<Pin<Box<Sleep>>>,
    /// Those that failed, in the order of their failures.
    pub(super) tried: Vec<Tried>,
}

/// One connect under way.
#[derive(Debug)]
struct Opening {
    address: SocketAddr,
    started: Instant,
    tcp: TcpStream,
}

impl Race {
    pub(super) fn new(addresses: Vec<SocketAddr>, tried: Vec<Tried>) -> Race {
        Race { waiting: addresses.into_iter(), running: Vec::new(), delay: None, tried }
    }

    /// The first connection; `None` when every address has failed.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<(TcpStream, SocketAddr)>> {
        let mut known = self.tried.len();
        loop {
            if let Some(won) = self.poll_running(cx) {
                return Poll::Ready(Some(won));
            }
            let failed = self.tried.len() > known;
            known = self.tried.len();
            if !failed && !self.running.is_empty() {
                // The last one has as long as the whole.
                let Some(delay) = &mut self.delay else { return Poll::Pending };
                ready!(delay.as_mut().poll(cx));
            }
            match self.waiting.next() {
                Some(address) => self.begin(address),
                None if self.running.is_empty() => return Poll::Ready(None),
                None => self.delay = None,
            }
        }
    }

    /// The time is over: those that still wait have had no answer.
    pub(super) fn give_up(&mut self) {
        for Opening { address, started, .. } in self.running.drain(..) {
            let failure = ConnectFailure::TimedOut;
            self.tried.push(Tried { address, failure, took: started.elapsed() });
        }
    }

    fn poll_running(&mut self, cx: &mut Context<'_>) -> Option<(TcpStream, SocketAddr)> {
        let mut at = 0;
        while let Some(opening) = self.running.get(at) {
            match opening.poll(cx) {
                Poll::Pending => at += 1,
                Poll::Ready(outcome) => {
                    let Opening { address, started, tcp } = self.running.remove(at);
                    match outcome {
                        Ok(()) => {
                            icmp::let_go(&tcp, address);
                            return Some((tcp, address));
                        }
                        Err(error) => {
                            let icmp = icmp::record(&tcp);
                            let failure = ConnectFailure::Io { error, icmp };
                            self.tried.push(Tried { address, failure, took: started.elapsed() });
                        }
                    }
                }
            }
        }
        None
    }

    fn begin(&mut self, address: SocketAddr) {
        let started = Instant::now();
        match begin(address) {
            Ok(tcp) => self.running.push(Opening { address, started, tcp }),
            Err(error) => {
                let failure = ConnectFailure::Io { error, icmp: None };
                self.tried.push(Tried { address, failure, took: started.elapsed() });
            }
        }
        let more = !self.waiting.as_slice().is_empty();
        self.delay = more.then(|| Box::pin(tokio::time::sleep(DELAY)));
    }
}

impl Opening {
    fn poll(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.tcp.poll_write_ready(cx))?;
        // connect(2): writable means decided, and SO_ERROR says how.
        Poll::Ready(match self.tcp.take_error() {
            Ok(None) => Ok(()),
            Ok(Some(error)) | Err(error) => Err(error),
        })
    }
}

/// Sends the SYN. Not tokio's own, which closes a socket that failed before its queue is read.
fn begin(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), None)?;
    icmp::keep(&socket, address);
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => {
            return Err(error);
        }
        Ok(()) | Err(_) => {}
    }
    TcpStream::from_std(std::net::TcpStream::from(OwnedFd::from(socket)))
}

/// The addresses in the order of their turn: the families alternate (RFC 8305 section 4), beginning
/// with the one that answered last, else with IPv6.
pub(super) fn order(addresses: Vec<SocketAddr>, v4_first: bool) -> Vec<SocketAddr> {
    let (v4, v6): (Vec<_>, Vec<_>) = addresses.into_iter().partition(SocketAddr::is_ipv4);
    let (first, second) = if v4_first { (v4, v6) } else { (v6, v4) };
    let longer = first.len().max(second.len());
    let pairs = (0..longer).flat_map(|at| [first.get(at), second.get(at)]);
    pairs.flatten().copied().take(ADDRESSES_MAX).collect()
}

/// The failure that tells most: prohibited, refused, rejected, unreachable, silent, in this order.
pub(super) fn most_telling(tried: &[Tried]) -> Option<&Tried> {
    // Of equals the first.
    tried.iter().min_by_key(|tried| rank(tried))
}

/// How little a failure tells.
fn rank(tried: &Tried) -> u8 {
    let error = match &tried.failure {
        ConnectFailure::Io { error, .. } | ConnectFailure::Remembered { error, .. } => error,
        // A fault of the name, whatever its other addresses do: `localhost` is ours by IPv4 and
        // refuses by IPv6.
        ConnectFailure::Prohibited(_) => return 1,
        ConnectFailure::TimedOut => return 5,
    };
    let icmp = tried.failure.icmp();
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    match errno {
        // Our own limits: nothing was learnt of the network, and nobody else is to blame.
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => 0,
        Some(Errno::CONNREFUSED) if icmp.is_none() => 2,
        _ if icmp.is_some_and(|icmp| icmp.rejects(tried.address.ip())) => 3,
        Some(Errno::TIMEDOUT) => 5,
        // No packet left: beside an address that was asked it says only that this host lacks the
        // family.
        Some(Errno::NETUNREACH | Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL) if icmp.is_none() => 6,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::upstream::failure::{Icmp, IcmpVersion};

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_families_alternate() {
        let all = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "[fd00::1]:80", "[fd00::2]:80"];
        let all = || all.map(at).to_vec();
        let six_first = ["[fd00::1]:80", "10.0.0.1:80", "[fd00::2]:80", "10.0.0.2:80"];
        let four_first = ["10.0.0.1:80", "[fd00::1]:80", "10.0.0.2:80", "[fd00::2]:80"];
        assert_eq!(order(all(), false)[..4], six_first.map(at));
        assert_eq!(order(all(), true)[..4], four_first.map(at));
        assert_eq!(order(all(), true)[4..], [at("10.0.0.3:80")]);
        let many = (0..100).map(|port| SocketAddr::new([127, 0, 0, 1].into(), port)).collect();
        assert_eq!(order(many, false).len(), ADDRESSES_MAX);
    }

    #[test]
    fn the_most_telling_failure_leads() {
        let icmp = |code, offender: &str| {
            let (version, offender) = (IcmpVersion::V4, Some(offender.parse().unwrap()));
            Some(Icmp { version, kind: 3, code, offender, own: false })
        };
        let io = |errno: Errno, icmp| {
            let error = io::Error::from_raw_os_error(errno.raw_os_error());
            ConnectFailure::Io { error, icmp }
        };
        // From the one that tells most down.
        let failures = [
            io(Errno::MFILE, None),
            ConnectFailure::Prohibited(crate::upstream::failure::Prohibited::Metadata),
            io(Errno::CONNREFUSED, None),
            io(Errno::HOSTUNREACH, icmp(13, "10.9.0.254")),
            io(Errno::HOSTUNREACH, icmp(1, "10.9.0.254")),
            ConnectFailure::TimedOut,
            io(Errno::NETUNREACH, None),
        ];
        let tried = |failure: &ConnectFailure| {
            let (failure, took) = (failure.clone(), Duration::ZERO);
            Tried { address: at("10.9.0.1:80"), failure, took }
        };
        for (from, expected) in failures.iter().enumerate() {
            let rest: Vec<_> = failures[from..].iter().rev().map(tried).collect();
            let lead = most_telling(&rest).unwrap();
            assert_eq!(format!("{:?}", lead.failure), format!("{expected:?}"));
        }
        // The target itself rejects, whatever it says.
        assert_eq!(rank(&tried(&io(Errno::HOSTUNREACH, icmp(1, "10.9.0.1")))), 3);
        assert!(most_telling(&[]).is_none());
    }
}
