//! The table against its rows.

use crate::config::{Scheme, Server, ServerAddress};
use crate::diagnose::around::{Around, HelperState, Sign, State, UnitResult};
use crate::diagnose::cause::Cause as C;
use crate::diagnose::dns::{Before, Named};
use crate::diagnose::fixes::{Audience, FixId};
use crate::diagnose::matching::fixes;
use crate::diagnose::report::Certainty::{Certain, Likely};
use proptest::prelude::*;

use super::made::*;
use super::rows::rows;
use super::*;

/// The server that failed so, without a look at what the rows say of it.
fn server(cause: &C) -> Server {
    let address = match cause {
        C::ConnectionRefused { address, .. }
        | C::ConnectTimeout { address, .. }
        | C::HostUnreachable { address, .. }
        | C::TcpRejectedByFirewall { address, .. } => ServerAddress::Ip(*address),
        _ => ServerAddress::Unix("/run/php/fpm.sock".into()),
    };
    Server { scheme: Scheme::FastCgi, address }
}

fn decided(cause: &C, around: &Around) -> Option<Rooted> {
    let server = server(cause);
    root(cause, &Site { around: Some(around), ..Site::of(Some(&server)) })
}

#[test]
fn the_evidence_decides_the_root() {
    for (cause, around, expected) in rows() {
        let found = decided(&cause, &around);
        let found = found.map(|rooted| (rooted.root, rooted.certainty));
        assert_eq!(found, expected, "{cause:?}\n{around:?}");
    }
}

#[test]
fn every_root_and_every_row_of_the_table_is_held_to_one() {
    let given: Vec<_> = rows().into_iter().filter_map(|(.., root)| Some(root?.0)).collect();
    // By the name of the server, below; and by who asks.
    let elsewhere = [Root::DnsRecordWrong, Root::TrafficSpike, Root::SingleClientFlood];
    for root in Root::all() {
        assert!(given.contains(&root) || elsewhere.contains(&root), "{}", root.name());
    }
    let all: Vec<&super::Row> = TABLE.iter().chain(SCARCE).copied().flatten().collect();
    for row in all {
        let held = rows().into_iter().any(|(cause, around, _)| {
            let server = server(&cause);
            let site = Site { around: Some(&around), ..Site::of(Some(&server)) };
            Scene::of(&cause, &site).is_some_and(|scene| row.applies(&scene))
        });
        assert!(held || row.root == Root::DnsRecordWrong, "{:?} {:?}", row.root, row.certainty);
    }
}

#[test]
fn every_root_says_how_it_is_recognised() {
    for root in Root::all() {
        let ways = root.recognised();
        assert!(!ways.is_empty(), "{}", root.name());
        for way in ways {
            assert!(!way.behind.is_empty() && !way.evidence.is_empty(), "{}: {way:?}", root.name());
        }
        assert_eq!(root.first_fix().audience(), Audience::Operator);
        assert!(root.name().parse::<Code>().is_err(), "{} is a cause, too", root.name());
    }
    let masked = Recognised {
        certainty: Certain,
        behind: vec![Code::ConnectionRefused, Code::UnixSocketMissing, Code::UnixSocketRefused],
        evidence: Root::ServiceMasked.recognised()[0].evidence.clone(),
    };
    assert_eq!(Root::ServiceMasked.recognised(), [masked]);
}

#[test]
fn a_name_that_moved_is_behind_what_is_elsewhere() {
    let before = Some(Before { addresses: vec!["192.0.2.9".parse().unwrap()], ago: MINUTE });
    let addresses = vec!["192.0.2.7".parse().unwrap()];
    let named = Named { name: "app.internal".to_owned(), addresses, before };
    let around = nothing();
    let site = |moved| Site { moved, named: Some(&named), around: Some(&around), ..Site::of(None) };
    let refused = refused_at("192.0.2.7:80");
    let found = root(&refused, &site(true)).unwrap();
    assert_eq!((found.root, found.certainty), (Root::DnsRecordWrong, Likely));
    let keys: Vec<_> = found.because.iter().map(|(key, _)| *key).collect();
    assert_eq!(keys, ["addresses_now", "addresses_before", "last_connected"]);
    assert_eq!(root(&refused, &site(false)), None);
    // The page of the new host is the site's own.
    assert_eq!(root(&error(), &site(true)), None);
    // What led somewhere before leads nowhere now.
    let gone = root(&no_name(None), &site(false)).unwrap();
    assert_eq!((gone.root, gone.certainty), (Root::DnsDangling, Certain));
}

#[test]
fn what_is_scarce_here_is_not_scarce_elsewhere() {
    let server = Server {
        scheme: Scheme::Http,
        address: ServerAddress::Ip("192.0.2.7:80".parse().unwrap()),
    };
    for around in [memory(GIB / 50, 30.0), load(9.0, 0.0), helper(HelperState::Silent)] {
        let site = Site { around: Some(&around), ..Site::of(Some(&server)) };
        assert_eq!(root(&slow(), &site), None, "{around:?}");
        let here = Site { is_here: true, ..site };
        assert!(root(&slow(), &here).is_some(), "{around:?}");
    }
}

#[test]
fn a_block_whose_servers_all_fail_alike_has_the_root_of_each() {
    let failed = |codes: &[Code]| {
        let servers = codes.iter().map(|code| ("x".to_owned(), *code, MINUTE));
        C::NoHealthyUpstream { servers: servers.collect() }
    };
    let stopped = service(State::Inactive, UnitResult::Success);
    let found = |codes: &[Code]| decided(&failed(codes), &stopped).map(|rooted| rooted.root);
    let refused = Code::ConnectionRefused;
    assert_eq!(found(&[refused, refused]), Some(Root::ServiceStopped));
    assert_eq!(found(&[refused, Code::FirstByteTimeout]), None);
    assert_eq!(found(&[]), None);
}

#[test]
fn the_line_that_shows_it_is_named() {
    let found = decided(&died(), &log(Sign::Segfault)).unwrap();
    assert_eq!(found.because, [("log", "it says segfault".to_owned())]);
}

/// The operator's first fix follows from the root, its look comes first, and a visitor's page is
/// the same as without.
#[test]
fn the_first_fix_follows_from_the_root() {
    for (cause, around, _) in rows() {
        let Some(rooted) = decided(&cause, &around) else { continue };
        let server = server(&cause);
        let site = Site { around: Some(&around), ..Site::of(Some(&server)) };
        let ranked = fixes(&cause, &site, Some(&rooted));
        let operators: Vec<_> =
            ranked.iter().filter(|fix| fix.audience == Audience::Operator).collect();
        let first = operators[0];
        assert_eq!(first.id, rooted.fix(&cause, &site), "{:?}", rooted.root);
        assert_eq!(first.because, rooted.because);
        assert!(first.look().is_some(), "{:?}: {:?}", rooted.root, first.commands);
        let again = operators.iter().filter(|fix| fix.id == first.id).count();
        assert_eq!(again, 1, "{:?}", rooted.root);
        let plain = fixes(&cause, &site, None);
        let visitors = |list: &[crate::diagnose::Fix]| {
            let ids = list.iter().filter(|fix| fix.audience == Audience::Visitor);
            ids.map(|fix| fix.id).collect::<Vec<FixId>>()
        };
        assert_eq!(visitors(&ranked), visitors(&plain));
        assert!(plain.iter().all(|fix| !fix.id.is_of_a_root()));
    }
}

/// What PHP-FPM's workers are told helps no server of another kind.
#[test]
fn a_server_that_is_no_fastcgi_is_mended_by_its_own_means() {
    let address = ServerAddress::Ip("127.0.0.1:3000".parse().unwrap());
    for (root, php, other) in [
        (Root::Segfault, FixId::FindCrash, FixId::CheckLogs),
        (Root::PoolExhausted, FixId::FpmCapacity, FixId::MoreResources),
        (Root::ScriptError, FixId::CheckLogs, FixId::DebugCode),
        (Root::PortExhaustion, FixId::FreePorts, FixId::FreePorts),
    ] {
        let rooted = Rooted { root, certainty: Likely, because: Vec::new() };
        for (scheme, fix) in [(Scheme::FastCgi, php), (Scheme::Http, other), (Scheme::Https, other)]
        {
            let server = Server { scheme, address: address.clone() };
            assert_eq!(rooted.fix(&slow(), &Site::of(Some(&server))), fix, "{}", root.name());
        }
        assert_eq!(rooted.fix(&slow(), &Site::of(None)), php, "{}", root.name());
    }
}

fn any_root() -> impl Strategy<Value = (usize, usize, bool, bool)> {
    let count = rows().len();
    (0..count, 0..count, any::<bool>(), any::<bool>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever is put together: no panic; and what is certain was seen, by the cause or around.
    #[test]
    fn nothing_is_certain_without_an_observation(
        (one, other, is_here, moved) in any_root(),
    ) {
        let rows = rows();
        let ((cause, ..), (_, around, _)) = (&rows[one], &rows[other]);
        let server = server(cause);
        let site = Site { around: Some(around), is_here, moved, ..Site::of(Some(&server)) };
        if let Some(rooted) = root(cause, &site) {
            let bare = nothing();
            let without = root(cause, &Site { around: Some(&bare), ..site });
            let by_cause = without.as_ref().map(|rooted| rooted.root) == Some(rooted.root);
            let by_around = *around != bare;
            prop_assert!(rooted.certainty != Certain || by_cause || by_around);
            prop_assert_eq!(root(cause, &Site { around: None, ..site }), None);
        }
    }
}
