//! What else this host shows beside a failure: where somebody listens instead, what memory is left.
//!
//! None of it decides the cause; it ranks the fixes and enters their commands. `probe` gathers it.
//! Pure.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::config::{Scheme, Server, ServerAddress};

use super::facts::Queue;
use super::print::visible;

/// How many listeners are named.
const NAMED_MAX: usize = 4;
/// How many are kept until our own are taken out.
const KEPT_MAX: usize = 64;
/// Ports this far from each other are likely two of one program.
const NEAR: u16 = 10;
/// Where programs listen that speak HTTP.
const HTTP_PORTS: [std::ops::RangeInclusive<u16>; 8] = [
    80..=82,
    3000..=3010,
    4000..=4001,
    5000..=5010,
    8000..=8100,
    8180..=8181,
    8888..=8889,
    9080..=9090,
];
/// Where PHP-FPM listens, by default and by version.
const FASTCGI_PORTS: [std::ops::RangeInclusive<u16>; 1] = [9000..=9099];
/// Where HTTPS is spoken.
const HTTPS_PORTS: [std::ops::RangeInclusive<u16>; 2] = [443..=444, 8443..=8444];

/// What was found; nothing in it is known unless it was looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Around {
    /// Where somebody listens who may be the server that is missing, the likeliest first.
    pub sockets: Vec<PathBuf>,
    pub listeners: Vec<SocketAddr>,
    pub memory: Option<Memory>,
    /// The accept queue of the server's listener.
    pub queue: Option<Queue>,
}

/// The memory of this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    pub total_bytes: u64,
    /// What programs may still have without swapping.
    pub available_bytes: u64,
    /// The largest worker of PHP, by what it shares with none.
    pub worker_bytes: Option<u64>,
}

impl Around {
    /// Without our own listeners, which are not the server.
    pub fn leave_out(&mut self, is_own: impl Fn(&ServerAddress) -> bool) {
        self.listeners.retain(|listener| !is_own(&ServerAddress::Ip(*listener)));
        self.sockets.retain(|socket| !is_own(&ServerAddress::Unix(socket.clone())));
        self.listeners.truncate(NAMED_MAX);
    }

    /// As rows of evidence.
    pub fn rows(&self) -> Vec<(&'static str, String)> {
        let mut rows = Vec::new();
        if !self.listeners.is_empty() {
            let list: Vec<_> = self.listeners.iter().map(SocketAddr::to_string).collect();
            rows.push(("listening", list.join(", ")));
        }
        if !self.sockets.is_empty() {
            let list: Vec<_> =
                self.sockets.iter().map(|path| visible(&path.to_string_lossy())).collect();
            rows.push(("sockets", list.join(", ")));
        }
        if let Some(memory) = &self.memory {
            rows.push(("memory_available", mebibytes(memory.available_bytes)));
            rows.push(("memory_total", mebibytes(memory.total_bytes)));
            if let Some(worker) = memory.worker_bytes {
                rows.push(("largest_worker", mebibytes(worker)));
            }
        }
        if let Some(Queue { pending, backlog }) = self.queue {
            rows.push(("listen_queue", format!("{pending} of {backlog}")));
        }
        rows
    }
}

impl Memory {
    /// `meminfo`: the text of /proc/meminfo (proc(5)).
    pub fn of(meminfo: &str, worker_bytes: Option<u64>) -> Option<Memory> {
        let total_bytes = kilobytes(meminfo, "MemTotal:")?;
        let available_bytes = kilobytes(meminfo, "MemAvailable:")?;
        Some(Memory { total_bytes, available_bytes, worker_bytes })
    }

    /// How many more workers fit, with a tenth of the host's memory left for all else.
    pub fn workers_fit(&self) -> Option<u64> {
        let free = self.available_bytes.saturating_sub(self.total_bytes / 10);
        self.worker_bytes.filter(|bytes| *bytes > 0).map(|bytes| free / bytes)
    }

    /// More workers would make the host swap or kill.
    pub fn is_short(&self) -> bool {
        let little = self.available_bytes < self.total_bytes / 10;
        little || self.workers_fit().is_some_and(|workers| workers < 2)
    }
}

/// A value of a file in the manner of /proc/meminfo, there in kB.
pub fn kilobytes(text: &str, key: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(key))?;
    value.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

/// Of all listeners of this host those that may be the server: at a port near to its own or of the
/// same use, where it would be reached.
pub fn kin_listeners(server: &Server, all: &[SocketAddr]) -> Vec<SocketAddr> {
    let (ip, port) = match &server.address {
        ServerAddress::Ip(address) => (Some(address.ip()), address.port()),
        ServerAddress::Name { port, .. } => (None, *port),
        ServerAddress::Unix(_) => (None, 0),
    };
    let usual: &[_] = match server.scheme {
        Scheme::Http | Scheme::H2c => &HTTP_PORTS,
        Scheme::Https => &HTTPS_PORTS,
        Scheme::FastCgi => &FASTCGI_PORTS,
    };
    let fits = |other: u16| {
        let near = port != 0 && other.abs_diff(port) <= NEAR;
        other != port && (near || usual.iter().any(|range| range.contains(&other)))
    };
    let reached = |bound: SocketAddr| {
        let here = |own: IpAddr| own.is_loopback();
        let at = match (bound.ip().to_canonical(), ip.map(|ip| ip.to_canonical())) {
            (bound, Some(own)) if bound.is_unspecified() => own,
            (bound, None) if bound.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
            (bound, Some(own)) if bound == own || (here(bound) && here(own)) => bound,
            (bound, None) if here(bound) => bound,
            _ => return None,
        };
        Some(SocketAddr::new(at, bound.port()))
    };
    let mut found: Vec<_> =
        all.iter().filter(|bound| fits(bound.port())).filter_map(|bound| reached(*bound)).collect();
    found.sort_unstable_by_key(|address| {
        (address.port().abs_diff(port), address.port(), address.ip().is_ipv6())
    });
    found.dedup();
    found.truncate(KEPT_MAX);
    found
}

/// Of all Unix sockets that are listened on those that may be the server: beside the one that is
/// wanted, or PHP-FPM's where that is wanted.
pub fn kin_sockets(server: &Server, all: &[PathBuf]) -> Vec<PathBuf> {
    let wanted = match &server.address {
        ServerAddress::Unix(path) => Some(path.as_path()),
        ServerAddress::Ip(_) | ServerAddress::Name { .. } => None,
    };
    let fastcgi = server.scheme == Scheme::FastCgi;
    let is_php = |path: &Path| {
        let path = path.to_string_lossy();
        path.contains("php") && (path.contains("fpm") || path.contains("cgi"))
    };
    let beside = |path: &Path| wanted.is_some_and(|wanted| wanted.parent() == path.parent());
    let fits = |path: &&PathBuf| {
        // What a terminal or a page would not show as it is, is not proposed.
        let plain =
            path.to_str().is_some_and(|path| path.bytes().all(|b| (b' '..=b'~').contains(&b)));
        let kind = wanted.is_none_or(|wanted| wanted.extension() == path.extension());
        plain
            && Some(path.as_path()) != wanted
            && ((beside(path) && kind) || (fastcgi && is_php(path)))
    };
    let mut found: Vec<_> = all.iter().filter(fits).cloned().collect();
    let alike = |path: &Path| {
        let (a, b) = (path.to_string_lossy(), wanted.unwrap_or(Path::new("")).to_string_lossy());
        a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count()
    };
    found.sort_unstable_by_key(|path| (!beside(path), usize::MAX - alike(path), path.clone()));
    found.dedup();
    found.truncate(NAMED_MAX);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(scheme: Scheme, address: &str) -> Server {
        let address = match address.parse() {
            Ok(address) => ServerAddress::Ip(address),
            Err(_) => ServerAddress::Unix(address.into()),
        };
        Server { scheme, address }
    }

    #[test]
    fn the_memory_of_a_host_is_read() {
        let text = "MemTotal:        2048000 kB\nMemFree:   1 kB\nMemAvailable:     512000 kB\n";
        let memory = Memory::of(text, Some(64 << 20)).unwrap();
        assert_eq!(memory.available_bytes, 512_000 * 1024);
        // 500 MiB available, 200 MiB kept back.
        assert_eq!((memory.workers_fit(), memory.is_short()), (Some(4), false));
        let large = Memory { worker_bytes: Some(200 << 20), ..memory };
        assert_eq!((large.workers_fit(), large.is_short()), (Some(1), true));
        let unknown = Memory { worker_bytes: None, ..memory };
        assert_eq!((unknown.workers_fit(), unknown.is_short()), (None, false));
        let little = Memory { available_bytes: 100 << 20, ..unknown };
        assert!(little.is_short());
        let none = Memory { worker_bytes: Some(0), ..memory };
        assert_eq!(none.workers_fit(), None);
        for text in ["", "MemTotal: 1 kB", "MemTotal: x kB\nMemAvailable: 1 kB", "MemTotal:1\n"] {
            assert_eq!(Memory::of(text, None), None, "{text}");
        }
        let huge = format!("MemTotal: {0} kB\nMemAvailable: {0} kB", u64::MAX);
        assert_eq!(Memory::of(&huge, None), None);
    }

    #[test]
    fn listeners_that_may_be_the_server() {
        use Scheme::{FastCgi, Http, Https};
        for (scheme, address, listening, kin) in [
            // The story of the documents: one says 8080, the other 8081.
            (Http, "127.0.0.1:8080", &["127.0.0.1:8081"][..], &["127.0.0.1:8081"][..]),
            (Http, "127.0.0.1:8080", &["0.0.0.0:8081", "0.0.0.0:22"], &["127.0.0.1:8081"]),
            (Http, "127.0.0.1:8080", &["[::]:8081"], &["127.0.0.1:8081"]),
            (Http, "127.0.0.1:8080", &["[::1]:8081"], &["[::1]:8081"]),
            (Http, "127.0.0.1:8080", &["10.0.0.1:8081"], &[]),
            (Http, "10.0.0.1:8080", &["10.0.0.1:8081", "127.0.0.1:8082"], &["10.0.0.1:8081"]),
            (Http, "127.0.0.1:8080", &["127.0.0.1:3306", "127.0.0.1:6379", "0.0.0.0:22"], &[]),
            (
                Http,
                "127.0.0.1:8080",
                &["127.0.0.1:3000", "0.0.0.0:80"],
                &["127.0.0.1:3000", "127.0.0.1:80"],
            ),
            (Http, "127.0.0.1:7001", &["127.0.0.1:7002"], &["127.0.0.1:7002"]),
            (Http, "127.0.0.1:8080", &["127.0.0.1:9000"], &[]),
            (FastCgi, "127.0.0.1:9000", &["127.0.0.1:9001", "127.0.0.1:8080"], &["127.0.0.1:9001"]),
            (FastCgi, "/run/php/php8.2-fpm.sock", &["127.0.0.1:9000"], &["127.0.0.1:9000"]),
            (Https, "127.0.0.1:8443", &["0.0.0.0:443", "0.0.0.0:80"], &["127.0.0.1:443"]),
            (
                Http,
                "127.0.0.1:8080",
                &[
                    "0.0.0.0:8081",
                    "127.0.0.1:8081",
                    "0.0.0.0:8082",
                    "0.0.0.0:8083",
                    "0.0.0.0:8086",
                    "0.0.0.0:8084",
                    "0.0.0.0:8085",
                ],
                &["127.0.0.1:8081", "127.0.0.1:8082", "127.0.0.1:8083", "127.0.0.1:8084"],
            ),
        ] {
            let all: Vec<SocketAddr> = listening.iter().map(|text| text.parse().unwrap()).collect();
            let listeners = kin_listeners(&server(scheme, address), &all);
            let mut around = Around { listeners, ..Around::default() };
            around.leave_out(|own| matches!(own, ServerAddress::Ip(own) if own.port() == 8086));
            let found: Vec<_> = around.listeners.iter().map(SocketAddr::to_string).collect();
            assert_eq!(found, kin, "{address} {listening:?}");
        }
    }

    #[test]
    fn sockets_that_may_be_the_server() {
        use Scheme::{FastCgi, Http};
        for (scheme, address, listening, kin) in [
            (
                FastCgi,
                "/run/php/php8.1-fpm.sock",
                &["/run/php/php8.2-fpm.sock", "/run/dbus/socket", "/run/mysqld/mysqld.sock"][..],
                &["/run/php/php8.2-fpm.sock"][..],
            ),
            (FastCgi, "/run/php/fpm.sock", &["/run/php-fpm/www.sock"], &["/run/php-fpm/www.sock"]),
            (
                FastCgi,
                "127.0.0.1:9000",
                &["/run/php/php8.2-fpm.sock"],
                &["/run/php/php8.2-fpm.sock"],
            ),
            (
                Http,
                "/run/app/web.sock",
                &["/run/app/web2.sock", "/run/app/control"],
                &["/run/app/web2.sock"],
            ),
            (Http, "/run/app/web.sock", &["/run/other/web.sock", "/run/php/php8.2-fpm.sock"], &[]),
            (Http, "127.0.0.1:80", &["/run/app/web.sock"], &[]),
            (
                FastCgi,
                "/run/php/a.sock",
                &["/run/php/\u{1b}[2J.sock", "/run/php/é.sock", "/run/php/a.sock"],
                &[],
            ),
        ] {
            let all: Vec<PathBuf> = listening.iter().map(PathBuf::from).collect();
            let found = kin_sockets(&server(scheme, address), &all);
            assert_eq!(found, kin.iter().map(PathBuf::from).collect::<Vec<_>>(), "{address}");
        }
    }
}
