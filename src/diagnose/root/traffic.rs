//! Roots that lie with who asks: more than usual, or one party alone. Pure.
//!
//! Both need a cause that speaks of too much work; beside any other, who asks explains nothing.

use crate::diagnose::around::{Share, Traffic};
use crate::diagnose::cause::Code;
use crate::diagnose::report::Certainty;

use super::{Recognised, Root, Rooted};

/// Keys of the evidence.
const FLOOD: [&str; 3] = ["most_in_flight_client", "most_active_client", "most_active_network"];
const SPIKE: [&str; 2] = ["requests_per_second", "requests_per_second_hour_ago"];

/// Requests of the last minute below which a share is chance.
const REQUESTS_MIN: u64 = 100;
/// Requests in flight below which one is.
const IN_FLIGHT_MIN: u64 = 20;
/// Requests a second below which a jump is chance.
const RATE_MIN: f64 = 5.0;
/// More than usual at all, in times.
const MORE: f64 = 2.0;
/// A jump, in times.
const JUMP: f64 = 3.0;

/// Whether a cause is one that too much work has.
pub fn is_of_load(code: Code) -> bool {
    matches!(
        code,
        Code::FcgiPoolSaturated
            | Code::QueueFull
            | Code::FirstByteTimeout
            | Code::ConnectTimeout
            | Code::UnixSocketBacklogFull
            | Code::UpstreamUnavailable
            | Code::TooManyClientConnections
            | Code::LocalFdExhausted
            | Code::LocalPortsExhausted
    )
}

/// What the traffic says; a flood of one goes before a rise of all.
pub(super) fn traffic(code: Code, traffic: &Traffic) -> Option<Rooted> {
    if !is_of_load(code) {
        return None;
    }
    flood(traffic).or_else(|| spike(traffic))
}

/// How the two are recognised, which stand in no table.
pub(super) fn recognised(root: Root) -> Option<Recognised> {
    let keys = [(Root::SingleClientFlood, &FLOOD[..]), (Root::TrafficSpike, &SPIKE[..])];
    let evidence = keys.into_iter().find(|(of, _)| *of == root)?.1.to_vec();
    let behind = Code::all().filter(|code| is_of_load(*code)).collect();
    Some(Recognised { certainty: Certainty::Likely, behind, evidence })
}

fn flood(traffic: &Traffic) -> Option<Rooted> {
    let most = |share: &Option<Share>, least| {
        share.clone().filter(|share: &Share| share.of >= least && share.is_half())
    };
    let waits = most(&traffic.in_flight_client, IN_FLIGHT_MIN);
    let client = most(&traffic.client, REQUESTS_MIN);
    let network = most(&traffic.network, REQUESTS_MIN);
    let mut because = Vec::new();
    for (key, share) in FLOOD.into_iter().zip([&waits, &client, &network]) {
        because.extend(share.as_ref().map(|share| (key, share.to_string())));
    }
    // One who always asks most, a proxy in front of this one say, has not begun to.
    let usual = traffic.growth().is_some_and(|growth| growth < MORE);
    if because.is_empty() || usual {
        return None;
    }
    let agree = traffic.growth().is_some() || because.len() > 1;
    let certainty = if agree { Certainty::Likely } else { Certainty::Possible };
    Some(Rooted { root: Root::SingleClientFlood, certainty, because })
}

fn spike(traffic: &Traffic) -> Option<Rooted> {
    let growth = traffic.growth().filter(|growth| *growth >= JUMP)?;
    let rate = traffic.rate.filter(|rate| *rate >= RATE_MIN)?;
    let rates = [format!("{rate:.1}"), format!("{:.1}", rate / growth)];
    let because = SPIKE.into_iter().zip(rates).collect();
    Some(Rooted { root: Root::TrafficSpike, certainty: Certainty::Likely, because })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(requests: u64, of: u64) -> Option<Share> {
        Some(Share { who: "192.0.2.1".to_owned(), requests, of })
    }

    #[test]
    fn load_has_a_root_where_one_asks_most_or_all_ask_more() {
        let (likely, possible) = (Certainty::Likely, Certainty::Possible);
        let flood = |certainty| Some((Root::SingleClientFlood, certainty));
        let spike = Some((Root::TrafficSpike, likely));
        let none = Traffic::default();
        for (traffic, expected) in [
            (none.clone(), None),
            (Traffic { client: share(50, 100), ..none.clone() }, flood(possible)),
            (Traffic { client: share(49, 100), ..none.clone() }, None),
            (Traffic { client: share(50, 99), ..none.clone() }, None),
            (Traffic { network: share(150, 200), ..none.clone() }, flood(possible)),
            (
                Traffic { in_flight_client: share(20, 20), client: share(99, 100), ..none.clone() },
                flood(likely),
            ),
            (
                Traffic {
                    client: share(90, 100),
                    rate: Some(10.0),
                    rate_before: Some(9.0),
                    ..none.clone()
                },
                None,
            ),
            (
                Traffic {
                    client: share(90, 100),
                    rate: Some(30.0),
                    rate_before: Some(9.0),
                    ..none.clone()
                },
                flood(likely),
            ),
            (Traffic { rate: Some(30.0), rate_before: Some(10.0), ..none.clone() }, spike),
            (Traffic { rate: Some(29.0), rate_before: Some(10.0), ..none.clone() }, None),
            (Traffic { rate: Some(4.0), rate_before: Some(1.0), ..none.clone() }, None),
            (Traffic { rate: Some(30.0), ..none.clone() }, None),
        ] {
            let found = super::traffic(Code::FcgiPoolSaturated, &traffic);
            let found = found.map(|rooted| (rooted.root, rooted.certainty));
            assert_eq!(found, expected, "{traffic:?}");
            assert_eq!(super::traffic(Code::ConnectionRefused, &traffic), None);
        }
    }
}
