//! Whether a neighbour of this host leaves the question for its hardware address unanswered.
//!
//! The kernel gives up after three seconds and says so by an errno; a shorter time-out of ours ends
//! the connect before, and this is how its reason is still seen. IPv4 only: the table of IPv6 is
//! not a file.

use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// What is read of the table: ten thousand neighbours.
const TABLE_BYTES_MAX: u64 = 1 << 20;

/// Whether somebody has asked for this neighbour and nobody answered.
pub fn neighbor_is_silent(address: SocketAddr) -> bool {
    let IpAddr::V4(ip) = address.ip().to_canonical() else { return false };
    let mut table = String::new();
    let read = File::open("/proc/net/arp")
        .and_then(|file| file.take(TABLE_BYTES_MAX).read_to_string(&mut table));
    read.is_ok() && is_silent(&table, ip)
}

/// Flags of zero: the entry is not complete (proc_net(5)).
fn is_silent(table: &str, ip: Ipv4Addr) -> bool {
    table.lines().any(|line| {
        let mut words = line.split_whitespace();
        let of_ip = words.next().and_then(|word| word.parse().ok()) == Some(ip);
        of_ip && words.nth(1) == Some("0x0")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incomplete_entry_is_a_silent_neighbour() {
        let table = "\
IP address       HW type     Flags       HW address            Mask     Device
192.0.2.1        0x1         0x2         02:fc:00:00:00:05     *        eth0
192.0.2.77       0x1         0x0         00:00:00:00:00:00     *        eth0
";
        for (ip, expected) in [([192, 0, 2, 1], false), ([192, 0, 2, 77], true)] {
            assert_eq!(is_silent(table, ip.into()), expected, "{ip:?}");
        }
        assert!(!is_silent(table, [192, 0, 2, 7].into()));
        assert!(!is_silent("", [192, 0, 2, 77].into()));
        assert!(!neighbor_is_silent("127.0.0.1:80".parse().unwrap()));
        assert!(!neighbor_is_silent("[::1]:80".parse().unwrap()));
    }
}
