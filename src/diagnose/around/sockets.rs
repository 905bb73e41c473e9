//! Who listens where the server is looked for, and where instead. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use super::bounds::Use;
use super::seen::{Finding, Seen};
use super::way::SocketPath;
use crate::config::ServerAddress;
use crate::diagnose::facts::Queue;
use crate::diagnose::meaning::Meaning;
use crate::diagnose::print::visible;

/// How many listeners are named.
pub const NAMED_MAX: usize = 4;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sockets {
    /// Where somebody listens who may be the server that is missing, the likeliest first.
    pub near_paths: Vec<PathBuf>,
    pub near: Vec<SocketAddr>,
    /// Bound to the server's port, but not so that its address leads there: another family,
    /// loopback alone, another address of this host.
    pub same_port: Vec<SocketAddr>,
    /// Who listens at those of `near` and `same_port`, as far as that is known.
    pub owners: Vec<(SocketAddr, Listener)>,
    /// The server's own address, where it has one and that is of this host.
    pub address: Option<SocketAddr>,
    /// Who listens at the server's own address.
    pub listener: Seen<Listener>,
    /// The way to the server's Unix socket.
    pub path: Seen<SocketPath>,
    /// The accept queue of the server's listener.
    pub queue: Option<Queue>,
}

/// Who listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// The user that opened the socket, by name, else by number; where the kernel tells.
    pub user: Option<String>,
    /// The unit in whose control group it was opened.
    pub unit: Option<String>,
    /// The process, where we may see it.
    pub process: Option<String>,
    /// The descriptors of the fullest of its processes, where we may count them.
    pub descriptors: Option<Use>,
}

/// Why a connect to the server's address does not reach a listener at the same port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Miss {
    /// It speaks the other of IPv4 and IPv6 alone.
    Family,
    /// It is bound to loopback, and the server is written with another address of this host.
    Loopback,
    /// It is bound to another address of this host.
    Address,
}

impl Miss {
    /// `bound` does not take what comes for `wanted`.
    pub fn of(wanted: IpAddr, bound: IpAddr) -> Miss {
        let (wanted, bound) = (wanted.to_canonical(), bound.to_canonical());
        match () {
            () if bound.is_loopback() && !wanted.is_loopback() => Miss::Loopback,
            () if bound.is_ipv4() != wanted.is_ipv4() => Miss::Family,
            () => Miss::Address,
        }
    }

    fn meaning(self) -> Meaning {
        match self {
            Miss::Family => Meaning::OtherFamilyOnly,
            Miss::Loopback => Meaning::LoopbackOnly,
            Miss::Address => Meaning::OtherAddressOnly,
        }
    }
}

impl Sockets {
    /// Without our own listeners, which are not the server.
    pub fn leave_out(&mut self, is_own: impl Fn(&ServerAddress) -> bool) {
        let foreign = |listener: &SocketAddr| !is_own(&ServerAddress::Ip(*listener));
        self.near.retain(foreign);
        self.same_port.retain(foreign);
        self.near_paths.retain(|socket| !is_own(&ServerAddress::Unix(socket.clone())));
        self.near.truncate(NAMED_MAX);
        self.same_port.truncate(NAMED_MAX);
    }

    /// Where to connect to for a listener that may be bound to every address.
    pub fn reached_at(bound: SocketAddr) -> SocketAddr {
        let ip: IpAddr = match bound.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        SocketAddr::new(ip, bound.port())
    }

    /// Why the first listener at the server's port is not reached; `None` where there is none.
    pub fn miss(&self) -> Option<Miss> {
        Some(Miss::of(self.address?.ip(), self.same_port.first()?.ip()))
    }

    pub(super) fn findings(&self, out: &mut Vec<Finding>) {
        if !self.near.is_empty() {
            let list: Vec<_> = self.near.iter().map(SocketAddr::to_string).collect();
            out.push(Finding::new("listening", list.join(", ")).means(Meaning::ListensElsewhere));
        }
        if !self.near_paths.is_empty() {
            let list: Vec<_> =
                self.near_paths.iter().map(|path| visible(&path.to_string_lossy())).collect();
            out.push(Finding::new("sockets", list.join(", ")).means(Meaning::ListensElsewhere));
        }
        if let Some(miss) = self.miss() {
            let list: Vec<_> = self.same_port.iter().map(SocketAddr::to_string).collect();
            out.push(Finding::new("same_port", list.join(", ")).means(miss.meaning()));
        }
        if !self.owners.is_empty() {
            let of = |(at, owner): &(SocketAddr, Listener)| format!("{at} {}", owner.printed());
            let list: Vec<_> = self.owners.iter().map(of).collect();
            out.push(Finding::new("listening_as", list.join("; ")));
        }
        match &self.listener {
            Seen::Found(listener) => out.push(Finding::new("listener", listener.printed())),
            Seen::Nothing => {
                out.push(Finding::new("listener", "nobody").means(Meaning::NobodyListens));
            }
            Seen::Unlooked | Seen::Denied(_) | Seen::Late => {
                self.listener.missing("listener", out);
            }
        }
        if let Some(used) = self.listener.found().and_then(|listener| listener.descriptors) {
            out.push(used.finding("listener_descriptors", Meaning::DescriptorsShort));
        }
        self.path.missing("socket_path", out);
        if let Some(path) = self.path.found() {
            path.findings(out);
        }
        if let Some(Queue { pending, backlog }) = self.queue {
            out.push(Finding::new("listen_queue", format!("{pending} of {backlog}")));
        }
    }
}

impl Listener {
    /// `www-data, apache2.service, apache2 (812)`
    fn printed(&self) -> String {
        let parts = [self.user.as_ref(), self.unit.as_ref(), self.process.as_ref()];
        let shown: Vec<_> = parts.into_iter().flatten().map(|part| visible(part)).collect();
        shown.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(sockets: &Sockets) -> Vec<(&'static str, String, Option<Meaning>)> {
        let mut out = Vec::new();
        sockets.findings(&mut out);
        out.into_iter().map(|found| (found.key, found.value, found.meaning)).collect()
    }

    #[test]
    fn a_listener_at_the_port_says_why_it_is_not_reached() {
        for (wanted, bound, miss) in [
            ("127.0.0.1", "::1", Miss::Family),
            ("127.0.0.1", "::", Miss::Family),
            ("10.0.0.5", "::", Miss::Family),
            ("10.0.0.5", "fd00::5", Miss::Family),
            ("::1", "0.0.0.0", Miss::Family),
            ("::1", "127.0.0.1", Miss::Family),
            ("10.0.0.5", "127.0.0.1", Miss::Loopback),
            ("10.0.0.5", "::1", Miss::Loopback),
            ("fd00::5", "127.0.0.1", Miss::Loopback),
            ("::ffff:10.0.0.5", "127.0.0.1", Miss::Loopback),
            ("127.0.0.1", "10.0.0.5", Miss::Address),
            ("127.0.0.2", "127.0.0.1", Miss::Address),
            ("10.0.0.5", "10.0.0.6", Miss::Address),
        ] {
            let (wanted, bound) = (wanted.parse().unwrap(), bound.parse().unwrap());
            assert_eq!(Miss::of(wanted, bound), miss, "{wanted} {bound}");
        }
    }

    #[test]
    fn a_listener_on_every_address_is_reached_by_loopback() {
        for (bound, at) in [
            ("[::]:80", "[::1]:80"),
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("10.0.0.5:80", "10.0.0.5:80"),
        ] {
            let at: SocketAddr = at.parse().unwrap();
            assert_eq!(Sockets::reached_at(bound.parse().unwrap()), at, "{bound}");
        }
    }

    #[test]
    fn who_listens_is_told_with_what_it_means() {
        let listener = Listener {
            user: Some("www-data".to_owned()),
            unit: Some("apache2.service".to_owned()),
            process: Some("apache2 (812)".to_owned()),
            descriptors: Some(Use { used: 1020, limit: 1024 }),
        };
        let at: SocketAddr = "[::1]:8080".parse().unwrap();
        let sockets = Sockets {
            same_port: vec![at],
            owners: vec![(at, Listener { process: None, descriptors: None, ..listener.clone() })],
            address: Some("127.0.0.1:8080".parse().unwrap()),
            listener: Seen::Nothing,
            ..Sockets::default()
        };
        assert_eq!(
            rows(&sockets),
            [
                ("same_port", "[::1]:8080".to_owned(), Some(Meaning::OtherFamilyOnly)),
                ("listening_as", "[::1]:8080 www-data, apache2.service".to_owned(), None),
                ("listener", "nobody".to_owned(), Some(Meaning::NobodyListens)),
            ]
        );
        let sockets = Sockets { listener: Seen::Found(listener), ..Sockets::default() };
        assert_eq!(
            rows(&sockets),
            [
                ("listener", "www-data, apache2.service, apache2 (812)".to_owned(), None),
                (
                    "listener_descriptors",
                    "1020 of 1024".to_owned(),
                    Some(Meaning::DescriptorsShort)
                ),
            ]
        );
    }
}
