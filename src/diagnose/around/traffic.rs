//! What we know ourselves: who asks for what, and how much more than usual. Pure.

use std::time::{Duration, SystemTime};

use super::seen::Finding;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Traffic {
    /// Requests that wait for the upstream, the longest first.
    pub in_flight: Vec<InFlight>,
    pub in_flight_total: u64,
    /// Requests a second over the last minute, and an hour before.
    pub rate: Option<f64>,
    pub rate_before: Option<f64>,
    /// The client, network, path and agent that ask most, where requests of the last minute are
    /// known.
    pub client: Option<Share>,
    pub network: Option<Share>,
    pub path: Option<Share>,
    pub agent: Option<Share>,
    pub last_success: Option<SystemTime>,
    /// Failures since that.
    pub failures: Option<u64>,
}

/// One request under way, or several alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InFlight {
    pub method: String,
    /// Without query, abridged.
    pub path: String,
    pub client: String,
    pub agent: String,
    pub age: Duration,
    pub count: u32,
}

/// How many of so many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    pub who: String,
    pub requests: u64,
    pub of: u64,
}

impl Traffic {
    pub(super) fn findings(&self, out: &mut Vec<Finding>) {
        if self.in_flight_total > 0 {
            out.push(Finding::new("in_flight", self.in_flight_total.to_string()));
        }
    }
}
