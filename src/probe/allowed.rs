//! Whether a server may be asked what no request needs: `probe` of its block decides, by how far
//! the question would go.

use std::net::{IpAddr, SocketAddr};

use crate::config::{Probe, ServerAddress};

/// Whether a connection may be opened, or an echo asked for, that no request needs. `address` is
/// where the server was reached or missed.
pub fn may_be_asked(probe: Probe, server: &ServerAddress, address: Option<SocketAddr>) -> bool {
    match (probe, server, address) {
        (Probe::Always, _, _) => true,
        (Probe::Never, _, _) => false,
        (Probe::Private, ServerAddress::Unix(_), _) => true,
        (Probe::Private, _, address) => address.is_some_and(|address| is_private(address.ip())),
    }
}

/// This host, or one of one's own: RFC 1918, RFC 4193, and what reaches no further than the link.
fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(ip) => {
            ip.is_unspecified() || ip.is_loopback() || ip.is_private() || ip.is_link_local()
        }
        IpAddr::V6(ip) => {
            ip.is_unspecified()
                || ip.is_loopback()
                || ip.is_unique_local()
                || ip.is_unicast_link_local()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_of_others_are_asked_only_where_that_is_wished() {
        for (server, reached, private) in [
            ("127.0.0.1:80", Some("127.0.0.1:80"), true),
            ("[::1]:80", Some("[::1]:80"), true),
            ("0.0.0.0:80", Some("0.0.0.0:80"), true),
            ("app:80", Some("10.1.2.3:80"), true),
            ("app:80", Some("172.31.0.1:80"), true),
            ("app:80", Some("[fd00::7]:80"), true),
            ("app:80", Some("[::ffff:192.168.0.1]:80"), true),
            ("app:80", Some("169.254.1.1:80"), true),
            ("app:80", None, false),
            ("app:80", Some("172.32.0.1:80"), false),
            ("app:80", Some("[2001:db8::7]:80"), false),
            ("203.0.113.7:80", Some("203.0.113.7:80"), false),
            ("/run/php/fpm.sock", None, true),
        ] {
            let address = match (server.parse(), server) {
                (Ok(address), _) => ServerAddress::Ip(address),
                (Err(_), "app:80") => ServerAddress::Name { host: "app".to_owned(), port: 80 },
                (Err(_), path) => ServerAddress::Unix(path.into()),
            };
            let reached = reached.map(|reached| reached.parse().unwrap());
            for (probe, expected) in
                [(Probe::Private, private), (Probe::Always, true), (Probe::Never, false)]
            {
                let may = may_be_asked(probe, &address, reached);
                assert_eq!(may, expected, "{probe:?} {server} {reached:?}");
            }
        }
    }
}
