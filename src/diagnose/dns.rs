//! Failed look-ups: to their causes, and what their extended errors mean (RFC 8914).
//!
//! A resolver that answers SERVFAIL may say why: the signatures of the zone, its name servers, the
//! network. The names of the codes are IANA's; what they point to is decided here. Pure.

use std::io;
use std::net::IpAddr;

use strum::IntoStaticStr;

pub use crate::upstream::{AnswerFault, Authority, Before, Extended, Lookup, Named};

use crate::config::ServerAddress;
use crate::upstream::{Attempt, NameFault, ResolveFailure, ResolverFault};

use super::cause::Cause;
use super::report::Certainty::{self, Certain, Likely};

/// RFC 1035 section 4.1.1 and RFC 6895: the resolver will not answer us.
const RCODE_REFUSED: u16 = 5;

/// Why nobody was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum DnsConfigFault {
    ResolvConfUnreadable,
    NoNameServer,
    LabelEmpty,
    LabelTooLong,
    NameTooLong,
    NameCharacter,
}

/// What an extended error points to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum PointsTo {
    /// The zone's signatures: its owner has to mend them.
    Dnssec,
    /// The zone's own name servers: none answers the resolver.
    NameServers,
    /// The way between resolver and those servers.
    Network,
    /// The resolver withholds the name on purpose.
    Policy,
    /// The resolver itself: not ready, or an old answer in place of a new one.
    Resolver,
}

/// The cause of a failed look-up, and how sure it is.
pub fn classify(failure: &ResolveFailure, attempt: &Attempt) -> (Cause, Certainty) {
    let name = match &attempt.server().address {
        ServerAddress::Name { host, .. } => host.clone(),
        other @ (ServerAddress::Ip(_) | ServerAddress::Unix(_)) => format!("{other:?}"),
    };
    let lookup = attempt.remains.as_ref().and_then(|remains| remains.lookup.clone());
    let lookup = Box::new(lookup.unwrap_or_default());
    let waited = attempt.upstream.timeouts.resolve;
    let cause = match failure {
        ResolveFailure::NxDomain => Cause::DnsNxdomain { name, lookup },
        ResolveFailure::NoRecords { authority } => {
            Cause::DnsNoRecords { name, authority: *authority, lookup }
        }
        ResolveFailure::Rcode { rcode: RCODE_REFUSED } => Cause::DnsRefused { name, lookup },
        ResolveFailure::Rcode { rcode } => Cause::DnsServerFailure { name, rcode: *rcode, lookup },
        ResolveFailure::Unusable(fault) => Cause::DnsAnswerUnusable { name, fault: *fault, lookup },
        ResolveFailure::TimedOut => return (Cause::DnsTimeout { name, waited, lookup }, Likely),
        ResolveFailure::Unreachable(error) => {
            let errno = error.as_ref().and_then(io::Error::raw_os_error).or(lookup.errno);
            Cause::DnsResolverUnreachable { name, errno, lookup }
        }
        ResolveFailure::Resolver(ResolverFault::Unreadable { errno }) => {
            let fault = DnsConfigFault::ResolvConfUnreadable;
            Cause::DnsConfigInvalid { name, fault, errno: Some(*errno) }
        }
        ResolveFailure::Resolver(ResolverFault::NoServer) => {
            let fault = DnsConfigFault::NoNameServer;
            Cause::DnsConfigInvalid { name, fault, errno: None }
        }
        ResolveFailure::Name(fault) => {
            Cause::DnsConfigInvalid { name, fault: name_fault(*fault), errno: None }
        }
    };
    (cause, Certain)
}

fn name_fault(fault: NameFault) -> DnsConfigFault {
    match fault {
        NameFault::LabelEmpty => DnsConfigFault::LabelEmpty,
        NameFault::LabelTooLong => DnsConfigFault::LabelTooLong,
        NameFault::TooLong => DnsConfigFault::NameTooLong,
        NameFault::Character => DnsConfigFault::NameCharacter,
    }
}

/// The look-up behind a cause; `None` where nobody was asked.
pub fn lookup(cause: &Cause) -> Option<&Lookup> {
    if let Cause::DnsNxdomain { lookup, .. }
    | Cause::DnsNoRecords { lookup, .. }
    | Cause::DnsServerFailure { lookup, .. }
    | Cause::DnsRefused { lookup, .. }
    | Cause::DnsAnswerUnusable { lookup, .. }
    | Cause::DnsTimeout { lookup, .. }
    | Cause::DnsResolverUnreachable { lookup, .. } = cause
    {
        Some(lookup)
    } else {
        None
    }
}

/// What the extended errors of a look-up point to: the first of them that points anywhere.
pub fn points_to(lookup: &Lookup) -> Option<PointsTo> {
    lookup.extended.iter().find_map(|error| match error.code {
        1 | 2 | 5..=12 | 25 | 27 => Some(PointsTo::Dnssec),
        22 => Some(PointsTo::NameServers),
        23 => Some(PointsTo::Network),
        4 | 15..=18 | 28 => Some(PointsTo::Policy),
        3 | 13 | 14 | 19 => Some(PointsTo::Resolver),
        _ => None,
    })
}

/// The name of an INFO-CODE in IANA's registry of extended DNS errors (RFC 8914 section 5.2).
pub fn info_code_name(code: u16) -> Option<&'static str> {
    const NAMES: [&str; 30] = [
        "Other",
        "Unsupported DNSKEY Algorithm",
        "Unsupported DS Digest Type",
        "Stale Answer",
        "Forged Answer",
        "DNSSEC Indeterminate",
        "DNSSEC Bogus",
        "Signature Expired",
        "Signature Not Yet Valid",
        "DNSKEY Missing",
        "RRSIGs Missing",
        "No Zone Key Bit Set",
        "NSEC Missing",
        "Cached Error",
        "Not Ready",
        "Blocked",
        "Censored",
        "Filtered",
        "Prohibited",
        "Stale NXDOMAIN Answer",
        "Not Authoritative",
        "Not Supported",
        "No Reachable Authority",
        "Network Error",
        "Invalid Data",
        "Signature Expired before Valid",
        "Too Early",
        "Unsupported NSEC3 Iterations Value",
        "Unable to conform to policy",
        "Synthesized",
    ];
    NAMES.get(usize::from(code)).copied()
}

/// Rows for what a name led to, beside those of the cause.
pub fn named_rows(named: &Named) -> Vec<(&'static str, String)> {
    let list = |ips: &[IpAddr]| ips.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ");
    let now = match named.addresses.is_empty() {
        true => "none".to_owned(),
        false => list(&named.addresses),
    };
    let mut rows = vec![("looked_up", super::visible(&named.name)), ("addresses_now", now)];
    if let Some(Before { addresses, ago }) = &named.before {
        rows.push(("addresses_before", list(addresses)));
        rows.push(("last_connected", format!("{} ago", super::print::seconds(*ago))));
    }
    rows
}

/// Whether the name of a server leads elsewhere than when it was last reached.
pub fn has_moved(named: Option<&Named>) -> bool {
    named.is_some_and(|named| named.before.is_some())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_first_error_that_points_anywhere_counts() {
        for (codes, expected) in [
            (&[][..], None),
            (&[0, 24, 9999][..], None),
            (&[6], Some(PointsTo::Dnssec)),
            (&[7, 22], Some(PointsTo::Dnssec)),
            (&[0, 22, 23], Some(PointsTo::NameServers)),
            (&[23], Some(PointsTo::Network)),
            (&[17], Some(PointsTo::Policy)),
            (&[14], Some(PointsTo::Resolver)),
        ] {
            let extended = codes.iter().map(|code| Extended { code: *code, text: String::new() });
            let lookup = Lookup { extended: extended.collect(), ..Lookup::default() };
            assert_eq!(points_to(&lookup), expected, "{codes:?}");
        }
        assert_eq!(info_code_name(9), Some("DNSKEY Missing"));
        assert_eq!(info_code_name(29), Some("Synthesized"));
        assert_eq!(info_code_name(30), None);
    }

    #[test]
    fn a_name_that_led_elsewhere_says_where_and_until_when() {
        let before = Before {
            addresses: vec![IpAddr::from([192, 0, 2, 1])],
            ago: Duration::from_millis(61_500),
        };
        let mut named =
            Named { name: "app".to_owned(), addresses: Vec::new(), before: Some(before) };
        let rows = |named: &Named| named_rows(named).into_iter().map(|(_, value)| value);
        assert!(has_moved(Some(&named)));
        assert!(rows(&named).eq(["app", "none", "192.0.2.1", "61.500 s ago"].map(str::to_owned)));
        named.before = None;
        named.addresses = vec![IpAddr::from([192, 0, 2, 2]), IpAddr::from([0; 16])];
        assert!(rows(&named).eq(["app", "192.0.2.2, ::"].map(str::to_owned)));
        assert!(!has_moved(Some(&named)) && !has_moved(None));
    }
}
