//! The way to the server's host, and whether it is there. Pure.

use std::net::IpAddr;
use std::time::Duration;

use super::seen::{Finding, Seen};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    pub route: Seen<Route>,
    pub ping: Seen<Ping>,
    /// The neighbour on the way does not answer to the question for its hardware address.
    pub neighbor_silent: Option<IpAddr>,
    /// Other ports of the same host that took a connect or refused it: the host is there.
    pub answers_at: Vec<u16>,
}

/// The way that the kernel would take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub interface: String,
    pub gateway: Option<IpAddr>,
    pub source: Option<IpAddr>,
    /// The interface is up and has a carrier.
    pub is_up: bool,
}

/// ICMP echo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ping {
    Answered(Duration),
    Silent,
    /// A device on the way says that there is no way.
    Unreachable,
}

impl Network {
    pub(super) fn findings(&self, out: &mut Vec<Finding>) {
        self.route.missing("route", out);
        self.ping.missing("ping", out);
    }
}
