//! Where somebody listens who may be the server that is missing: near its port, of the same use,
//! beside its socket. Pure.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::config::{Scheme, Server, ServerAddress};

use super::sockets::NAMED_MAX;

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
    use super::super::sockets::Sockets;
    use super::*;

    fn server(scheme: Scheme, address: &str) -> Server {
        let address = match address.parse() {
            Ok(address) => ServerAddress::Ip(address),
            Err(_) => ServerAddress::Unix(address.into()),
        };
        Server { scheme, address }
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
            let mut sockets = Sockets { near: listeners, ..Sockets::default() };
            sockets.leave_out(|own| matches!(own, ServerAddress::Ip(own) if own.port() == 8086));
            let found: Vec<_> = sockets.near.iter().map(SocketAddr::to_string).collect();
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
