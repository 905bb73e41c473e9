//! What we know ourselves: who asks for what, and how much more than usual. Pure.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use crate::diagnose::meaning::Meaning;
use crate::diagnose::print;

use super::seen::Finding;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Traffic {
    /// Requests that wait for the upstream, the longest first; alike ones are one row.
    pub in_flight: Vec<InFlight>,
    pub in_flight_total: u64,
    /// The client that has most of them.
    pub in_flight_client: Option<Share>,
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
    /// Of the oldest.
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

/// One request of the last minute, as the log had it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked<'a> {
    pub client: &'a str,
    /// Without query.
    pub path: &'a str,
    /// Where the log's format has it.
    pub agent: Option<&'a str>,
}

/// Rows of requests in flight that are shown.
const ROWS: usize = 5;
/// A share of fewer requests is chance.
const ENOUGH: u64 = 20;
/// And so is a smaller one.
const MUCH_PERCENT: u64 = 20;
/// Characters of a path or an agent that are shown.
const LENGTH_MAX: usize = 80;
/// How much more than an hour ago is a jump.
pub const JUMP: f64 = 3.0;

impl Traffic {
    /// Counts who asks.
    pub fn count<'a>(&mut self, asked: impl IntoIterator<Item = Asked<'a>>) {
        let (mut clients, mut networks) = (Counts::default(), Counts::default());
        let (mut paths, mut agents) = (Counts::default(), Counts::default());
        for asked in asked {
            clients.add(asked.client);
            paths.add(asked.path);
            if let Some(agent) = asked.agent {
                agents.add(agent);
            }
        }
        for (client, count) in &clients.0 {
            networks.add_times(network(client), *count);
        }
        self.client = clients.most();
        self.network = networks.most().filter(|network| {
            let one = self
                .client
                .as_ref()
                .is_some_and(|client| client.requests * 10 >= network.requests * 9);
            !one
        });
        self.path = paths.most();
        self.agent = agents.most();
    }

    /// Takes what is under way, one row a request.
    pub fn take_in_flight(&mut self, rows: Vec<InFlight>) {
        let mut clients = Counts::default();
        let mut grouped: Vec<InFlight> = Vec::new();
        for row in rows {
            clients.add_times(row.client.clone(), u64::from(row.count));
            let alike = |of: &&mut InFlight| {
                of.method == row.method
                    && of.path == row.path
                    && of.client == row.client
                    && of.agent == row.agent
            };
            match grouped.iter_mut().find(alike) {
                Some(of) => {
                    of.count += row.count;
                    of.age = of.age.max(row.age);
                }
                None => grouped.push(row),
            }
        }
        grouped.sort_by_key(|row| Reverse(row.age));
        grouped.truncate(ROWS);
        self.in_flight_client = clients.most();
        self.in_flight = grouped;
    }

    /// How much more is asked than an hour ago, where both are known.
    pub fn growth(&self) -> Option<f64> {
        let before = self.rate_before.filter(|rate| *rate > 0.0)?;
        Some(self.rate? / before)
    }

    pub(super) fn findings(&self, out: &mut Vec<Finding>) {
        if self.in_flight_total > 0 {
            out.push(Finding::new("in_flight", self.in_flight_total.to_string()));
        }
        let alike = |row: &InFlight| Finding::new("request_in_flight", row.to_string());
        out.extend(self.in_flight.iter().map(alike));
        if let Some(rate) = self.rate {
            let found = Finding::new("requests_per_second", format!("{rate:.1}"));
            let jump = self.growth().is_some_and(|growth| growth >= JUMP);
            out.push(if jump { found.means(Meaning::TrafficJump) } else { found });
        }
        if let Some(rate) = self.rate_before {
            out.push(Finding::new("requests_per_second_hour_ago", format!("{rate:.1}")));
        }
        let shares = [
            ("most_in_flight_client", &self.in_flight_client),
            ("most_active_client", &self.client),
            ("most_active_network", &self.network),
            ("most_asked_path", &self.path),
            ("most_active_agent", &self.agent),
        ];
        for (key, share) in shares {
            if let Some(share) = share.as_ref().filter(|share| share.is_much()) {
                let found = Finding::new(key, share.to_string());
                let one = key != "most_asked_path" && share.is_half();
                out.push(if one { found.means(Meaning::OneAsksMost) } else { found });
            }
        }
        if let Some(failures) = self.failures {
            out.push(Finding::new("failures_since_success", failures.to_string()));
        }
    }
}

impl Share {
    /// Half of all, or more.
    pub fn is_half(&self) -> bool {
        self.requests * 2 >= self.of
    }

    fn is_much(&self) -> bool {
        self.of >= ENOUGH && self.requests * 100 >= self.of * MUCH_PERCENT
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} of {}", short(&self.who), self.requests, self.of)
    }
}

impl fmt::Display for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let InFlight { method, path, client, agent, age, count } = self;
        let age = print::seconds(*age);
        write!(f, "{count} x {} {}, {age}, {client}", short(method), short(path))?;
        if agent.is_empty() { Ok(()) } else { write!(f, ", {}", short(agent)) }
    }
}

/// Printable, and not too long.
fn short(text: &str) -> String {
    let shown = print::visible(text);
    match shown.char_indices().nth(LENGTH_MAX) {
        Some((end, _)) => format!("{}...", &shown[..end]),
        None => shown,
    }
}

/// What an address is one of: the usual size of one customer's or one machine room's network.
fn network(client: &str) -> String {
    match client.parse() {
        Ok(IpAddr::V4(ip)) => {
            let [a, b, c, _] = ip.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        Ok(IpAddr::V6(ip)) => {
            let [a, b, c, ..] = ip.segments();
            format!("{a:x}:{b:x}:{c:x}::/48")
        }
        Err(_) => client.to_owned(),
    }
}

/// How often each was seen.
#[derive(Default)]
struct Counts(HashMap<String, u64>);

impl Counts {
    fn add(&mut self, who: &str) {
        match self.0.get_mut(who) {
            Some(count) => *count += 1,
            None => drop(self.0.insert(who.to_owned(), 1)),
        }
    }

    fn add_times(&mut self, who: String, times: u64) {
        *self.0.entry(who).or_default() += times;
    }

    /// The most frequent; of several the first in the order of letters.
    fn most(&self) -> Option<Share> {
        let of = self.0.values().sum();
        let (who, requests) = self.0.iter().max_by_key(|(who, count)| (**count, Reverse(*who)))?;
        Some(Share { who: who.clone(), requests: *requests, of })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_most_is_counted_by_client_network_path_and_agent() {
        let mut traffic = Traffic::default();
        let clients: Vec<String> = (0..30).map(|last| format!("192.0.2.{last}")).collect();
        let asked = |client| Asked { client, path: "/login", agent: Some("bot") };
        traffic.count(clients.iter().map(|client| asked(client.as_str())));
        let network = traffic.network.as_ref().unwrap();
        assert_eq!((network.who.as_str(), network.requests, network.of), ("192.0.2.0/24", 30, 30));
        assert_eq!(traffic.client.as_ref().unwrap().requests, 1);
        let mut keys = Vec::new();
        traffic.findings(&mut keys);
        let keys: Vec<_> = keys.iter().map(|found| (found.key, found.meaning)).collect();
        let most = Some(Meaning::OneAsksMost);
        let found =
            [("most_active_network", most), ("most_asked_path", None), ("most_active_agent", most)];
        assert_eq!(keys, found);
    }

    #[test]
    fn one_client_is_not_told_again_as_its_network() {
        let mut traffic = Traffic::default();
        let one = Asked { client: "2001:db8::1", path: "/", agent: None };
        traffic.count([one; 50]);
        assert_eq!(traffic.client.as_ref().unwrap().to_string(), "2001:db8::1: 50 of 50");
        assert_eq!((&traffic.network, &traffic.agent), (&None, &None));
    }

    #[test]
    fn requests_in_flight_are_grouped_and_printable() {
        let row = |path: &str, seconds| InFlight {
            method: "GET".to_owned(),
            path: path.to_owned(),
            client: "192.0.2.1".to_owned(),
            agent: "a\u{1b}b".to_owned(),
            age: Duration::from_secs(seconds),
            count: 1,
        };
        let mut traffic = Traffic { in_flight_total: 3, ..Traffic::default() };
        traffic.take_in_flight(vec![row("/a", 1), row("/b", 9), row("/a", 3)]);
        let shown: Vec<_> = traffic.in_flight.iter().map(InFlight::to_string).collect();
        assert_eq!(shown.len(), 2);
        assert!(shown[0].starts_with("1 x GET /b, 9"), "{shown:?}");
        assert!(shown[1].starts_with("2 x GET /a, 3"), "{shown:?}");
        assert!(!shown[0].contains('\u{1b}'));
        assert_eq!(traffic.in_flight_client.unwrap().requests, 3);
    }

    #[test]
    fn growth_needs_both_rates() {
        let rates = |rate, rate_before| Traffic { rate, rate_before, ..Traffic::default() };
        assert_eq!(rates(Some(30.0), Some(10.0)).growth(), Some(3.0));
        for unknown in [rates(None, Some(1.0)), rates(Some(1.0), None), rates(Some(1.0), Some(0.0))]
        {
            assert_eq!(unknown.growth(), None);
        }
    }
}
