//! The rules against their rows.

use crate::config::{Scheme, Server, ServerAddress};
use crate::diagnose::cause::{Cause as C, Code};
use crate::diagnose::fixes::Audience;
use crate::diagnose::fixes::FixId::*;
use crate::diagnose::matching::{Site, fixes};

use super::rows::{WAITED, around, host_rows, listening, peer_rows, roomy, short};
use super::{RULES, Rules};

/// PHP-FPM at a port, so that every rule may hold.
fn server() -> Server {
    Server {
        scheme: Scheme::FastCgi,
        address: ServerAddress::Ip("127.0.0.1:9000".parse().unwrap()),
    }
}

#[test]
fn evidence_puts_the_fix_that_helps_in_front() {
    let server = server();
    let rows = [host_rows(), peer_rows()].concat();
    assert!(rows.len() >= 60, "{}", rows.len());
    for (cause, around, visitor, operator, keys) in rows {
        let site = Site { around: Some(&around), ..Site::of(Some(&server)) };
        let ranked = fixes(&cause, &site, None);
        let first = |audience| ranked.iter().find(|fix| fix.audience == audience).unwrap();
        let (seen, other) = (first(Audience::Visitor), first(Audience::Operator));
        assert_eq!((seen.id, other.id), (visitor, operator), "{cause:?} {around:?}");
        let because: Vec<_> = other.because.iter().map(|(key, _)| *key).collect();
        assert_eq!(because, keys, "{cause:?} {around:?}");
    }
}

#[test]
fn every_rule_has_its_row() {
    let server = server();
    let unix = Server { address: ServerAddress::Unix("/run/a.sock".into()), ..server.clone() };
    let mut held = Rules::default();
    let rows = [host_rows(), peer_rows()].concat();
    for (cause, around, ..) in rows {
        for (server, moved) in [(&server, false), (&unix, true)] {
            let site = Site { around: Some(&around), moved, ..Site::of(Some(server)) };
            held.0 |= Rules::of(&cause, &site).0;
        }
    }
    let unheld: Vec<_> = (0..RULES.len()).filter(|number| held.0 >> number & 1 == 0).collect();
    assert!(unheld.is_empty(), "{unheld:?}");
}

#[test]
fn a_name_that_moved_goes_before_all_else() {
    let server = server();
    let around = listening("127.0.0.1:9001");
    let address = "127.0.0.1:9000".parse().unwrap();
    let refused = C::ConnectionRefused { address, remembered: false, other_family: None };
    let site = Site { moved: true, around: Some(&around), ..Site::of(Some(&server)) };
    let ranked = fixes(&refused, &site, None);
    let operators: Vec<_> =
        ranked.iter().filter(|fix| fix.audience == Audience::Operator).collect();
    assert_eq!((operators[0].id, operators[1].id), (CheckDns, MatchPort));
}

#[test]
fn what_cannot_help_is_left_out() {
    let unix =
        Server { scheme: Scheme::FastCgi, address: ServerAddress::Unix("/run/a.sock".into()) };
    let dropped = C::FcgiConnectionDropped { reset: true, after: WAITED };
    let ranked = fixes(&dropped, &Site::of(Some(&unix)), None);
    assert!(ranked.iter().all(|fix| fix.id != AllowedClients));
    let largest = vec![("Link".to_owned(), 60_000)];
    let large = C::HeaderSectionTooLarge { limit_bytes: 65_536, largest };
    let ranked = fixes(&large, &Site::of(Some(&unix)), None);
    assert!(ranked.iter().all(|fix| fix.id != ClearCookies && fix.id != PrivateMode));
}

/// Never more children than memory bears, and the number is said.
#[test]
fn the_memory_says_how_many_workers_fit() {
    let server = server();
    let pool = C::FcgiPoolSaturated { waited: WAITED, pending: 9, backlog: 9, in_flight: 1 };
    for (around, workers) in [(roomy(), Some(102)), (short(), Some(0)), (around(), None)] {
        let site = Site { around: Some(&around), ..Site::of(Some(&server)) };
        let ranked = fixes(&pool, &site, None);
        let capacity = ranked.iter().find(|fix| fix.id == FpmCapacity).unwrap();
        assert_eq!(capacity.workers_fit, workers);
        let memory = ranked.iter().position(|fix| fix.id == CheckMemory).unwrap();
        let capacity = ranked.iter().position(|fix| fix.id == FpmCapacity).unwrap();
        assert_eq!(memory < capacity, workers == Some(0));
    }
}

/// What is certainly ours is not to be cured in a visitor's browser.
#[test]
fn visitors_clear_nothing_for_a_failure_that_is_ours() {
    let theirs = [
        Code::HeaderSectionTooLarge,
        Code::TooManyHeaders,
        Code::RequestHeaderRefused,
        Code::RequestHeaderTooLarge,
        Code::RequestInvalid,
    ];
    for code in Code::all() {
        let clears = crate::diagnose::fix_ids(code)
            .any(|id| matches!(id, ClearCache | ClearCookies | FlushDns | ChangeDns));
        let may = theirs.contains(&code) || code == Code::NoUpstreamConfigured;
        assert!(!clears || may, "{}", code.name());
    }
}
