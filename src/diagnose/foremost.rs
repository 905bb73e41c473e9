//! The fix that the evidence puts in front of those that a cause has by itself: where the name has
//! moved, where somebody listens elsewhere, and by how the port takes connections since. Pure.

use super::cause::Cause;
use super::facts::Port;
use super::fixes::{FixId, Site};

/// The fix for an operator to try first; `None` where the cause's own order stands.
pub(super) fn foremost(cause: &Cause, site: &Site<'_>) -> Option<FixId> {
    if site.moved {
        return Some(FixId::CheckDns);
    }
    if let Cause::ConnectionRefused { other_family: Some(_), .. } = cause {
        return Some(FixId::MatchPort);
    }
    if let Cause::ConnectTimeout { queue: None, port: Some(port), .. } = cause {
        return match port {
            // No rule drops our packets: they were lost, or there were too many of them.
            Port::Accepts | Port::Unreachable => Some(FixId::CheckConnectivity),
            Port::Refused => Some(FixId::BackendStatus),
            Port::Silent => None,
        };
    }
    if let Cause::FirstByteTimeout { port: Some(port), .. } = cause {
        return match port {
            // The kernel takes them for the program, which is slow.
            Port::Accepts => None,
            // The machine, or the whole service, has stopped.
            Port::Refused | Port::Silent => Some(FixId::BackendStatus),
            Port::Unreachable => Some(FixId::CheckConnectivity),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::facts::Queue;
    use super::*;

    const SITE: Site<'_> = Site { server: None, server_name: "", moved: false };

    #[test]
    fn a_listener_of_the_other_family_puts_the_address_first() {
        let refused = |other_family| Cause::ConnectionRefused {
            address: "127.0.0.1:80".parse().unwrap(),
            remembered: false,
            other_family,
        };
        assert_eq!(foremost(&refused(None), &SITE), None);
        let elsewhere = refused("[::1]:80".parse().ok());
        assert_eq!(foremost(&elsewhere, &SITE), Some(FixId::MatchPort));
        assert_eq!(foremost(&elsewhere, &Site { moved: true, ..SITE }), Some(FixId::CheckDns));
    }

    #[test]
    fn a_port_that_takes_connections_or_does_not_changes_what_to_look_at() {
        let (address, waited) = ("10.0.0.1:80".parse().unwrap(), Duration::from_secs(3));
        for (port, late, slow) in [
            (None, None, None),
            (Some(Port::Accepts), Some(FixId::CheckConnectivity), None),
            (Some(Port::Refused), Some(FixId::BackendStatus), Some(FixId::BackendStatus)),
            (Some(Port::Silent), None, Some(FixId::BackendStatus)),
            (
                Some(Port::Unreachable),
                Some(FixId::CheckConnectivity),
                Some(FixId::CheckConnectivity),
            ),
        ] {
            let timeout = |queue| Cause::ConnectTimeout { address, waited, queue, port };
            assert_eq!(foremost(&timeout(None), &SITE), late, "{port:?}");
            let full = Some(Queue { pending: 2, backlog: 1 });
            assert_eq!(foremost(&timeout(full), &SITE), None, "the queue says more: {port:?}");
            assert_eq!(foremost(&Cause::FirstByteTimeout { waited, port }, &SITE), slow);
        }
    }
}
