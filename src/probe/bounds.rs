//! How much is left of what the kernel lets this process have: descriptors, and local ports towards
//! the server.

use std::net::SocketAddr;
use std::path::Path;

use crate::config::ServerAddress;
use crate::diagnose::around::{Bounds, Piece, Use};

use super::look::Question;
use super::{diag, owner};

/// The ports that a connect takes by itself: the lowest and the highest (ip(7)).
const PORT_RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";
const PORT_RANGE_BYTES_MAX: u64 = 64;

/// The lane of the look.
pub fn lane(question: &Question) -> Piece {
    let address = match (&question.server().address, question.address) {
        (ServerAddress::Unix(_), _) => None,
        (ServerAddress::Ip(address), _) => Some(*address),
        (ServerAddress::Name { .. }, address) => address,
    };
    let descriptors = owner::own_descriptors();
    Piece::Bounds(Bounds { descriptors, ports: address.and_then(ports) })
}

fn ports(address: SocketAddr) -> Option<Use> {
    let range = owner::read(Path::new(PORT_RANGE), PORT_RANGE_BYTES_MAX);
    Some(Use { used: diag::ports_towards(address).ok()?, limit: width(&range)? })
}

/// How many ports a range has, both ends included.
fn width(range: &str) -> Option<u64> {
    let mut words = range.split_whitespace().map(str::parse::<u64>);
    let (low, high) = (words.next()?.ok()?, words.next()?.ok()?);
    high.checked_sub(low)?.checked_add(1)
}

#[cfg(test)]
mod tests {
    use crate::config::{Scheme, Server};

    use super::*;

    #[test]
    fn what_is_left_here_is_known() {
        let server = Server {
            scheme: Scheme::Http,
            address: "127.0.0.1:9".parse().map(ServerAddress::Ip).unwrap(),
        };
        let Piece::Bounds(bounds) = lane(&Question::about(server)) else {
            panic!("another lane's piece");
        };
        let (descriptors, ports) = (bounds.descriptors.unwrap(), bounds.ports.unwrap());
        assert!(2 < descriptors.used && descriptors.used <= descriptors.limit, "{descriptors:?}");
        assert!(ports.used < ports.limit, "{ports:?}");
    }

    #[test]
    fn a_range_is_as_wide_as_its_ends() {
        for (range, wide) in [
            ("32768\t60999\n", Some(28232)),
            ("5 5", Some(1)),
            ("6 5", None),
            ("", None),
            ("x y", None),
            ("7", None),
        ] {
            assert_eq!(width(range), wide, "{range:?}");
        }
    }
}
