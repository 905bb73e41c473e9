//! Names to addresses: hickory with /etc/hosts and resolv.conf, each silence and refusal typed.
//!
//! One resolver a worker, with a cache that honours TTLs. Asked only when a connection is made. It
//! remembers what a failed look-up was told, and what names led to when connections succeeded.

use std::cell::{Cell, OnceCell};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use hickory_resolver::Resolver as Hickory;
use hickory_resolver::config::{LookupIpStrategy, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::{DnsError, NetError, NoRecords};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::Name;

use crate::clock;

use super::failure::{AnswerFault, Authority, NameFault, ResolveFailure, ResolverFault};
use super::resolve_asked::{Asking, Lookup};
use super::resolve_history::{History, Named};

/// How long one name server may take before the next is asked; the whole is the block's `resolve`.
const SERVER_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a resolv.conf of no use is not read again.
const FAULT_MEMORY: Duration = Duration::from_secs(1);

/// RFC 1035 section 2.3.4: bytes of a label.
const LABEL_BYTES_MAX: usize = 63;
/// The same section's 255, as text without the final dot.
const NAME_BYTES_MAX: usize = 253;

/// The resolver of one worker; made when the first name is asked for.
#[derive(Debug)]
pub struct Resolver {
    servers: Vec<SocketAddr>,
    asking: Asking,
    inner: OnceCell<Hickory<Asking>>,
    /// Why it could not be made, and when that was.
    fault: Cell<Option<(Instant, ResolverFault)>>,
    history: History,
}

impl Resolver {
    /// `servers` empty: those of /etc/resolv.conf.
    pub fn new(servers: Vec<SocketAddr>) -> Resolver {
        Resolver {
            servers,
            asking: Asking::default(),
            inner: OnceCell::new(),
            fault: Cell::new(None),
            history: History::default(),
        }
    }

    /// Every address of a name, IPv4 first.
    ///
    /// # Errors
    /// Which of the ways a name can stay unresolved it was.
    pub async fn resolve(
        &self,
        host: &str,
        limit: Duration,
    ) -> Result<Vec<IpAddr>, ResolveFailure> {
        let resolver = self.hickory().map_err(ResolveFailure::Resolver)?;
        let name = Name::from_utf8(host).map_err(|_| ResolveFailure::Name(name_fault(host)))?;
        let found = match clock::within(limit, resolver.lookup_ip(name)).await {
            None => return Err(ResolveFailure::TimedOut),
            Some(Err(error)) => return Err(self.failure(&error, host)),
            Some(Ok(found)) => found.iter().collect::<Vec<IpAddr>>(),
        };
        self.history.answered(host, &found);
        // Without an error hickory had no SOA to show either.
        match found.is_empty() {
            true => Err(ResolveFailure::NoRecords { authority: Authority::None }),
            false => Ok(found),
        }
    }

    /// What is known of a look-up that failed.
    pub fn lookup(&self, host: &str, failure: &ResolveFailure) -> Lookup {
        let rcode = match failure {
            ResolveFailure::NxDomain => Some(ResponseCode::NXDomain.into()),
            ResolveFailure::NoRecords { .. } => Some(ResponseCode::NoError.into()),
            ResolveFailure::Rcode { rcode } => Some(*rcode),
            ResolveFailure::Unusable(_)
            | ResolveFailure::TimedOut
            | ResolveFailure::Unreachable(_) => None,
            ResolveFailure::Resolver(_) | ResolveFailure::Name(_) => return Lookup::default(),
        };
        self.asking.notes().lookup(host, rcode)
    }

    /// Notes that a connection to an address of this name was opened.
    pub fn connected(&self, host: &str, used: IpAddr) {
        self.history.connected(host, used, clock::now());
    }

    /// What the name led to, for a connection that could not be opened.
    pub fn named(&self, host: &str) -> Option<Named> {
        self.history.named(host, Instant::now())
    }

    fn hickory(&self) -> Result<&Hickory<Asking>, ResolverFault> {
        if let Some(made) = self.inner.get() {
            return Ok(made);
        }
        match self.fault.get() {
            Some((at, fault)) if at.elapsed() < FAULT_MEMORY => return Err(fault),
            Some(_) | None => {}
        }
        let made = self.build().inspect_err(|fault| {
            self.fault.set(Some((Instant::now(), *fault)));
        })?;
        Ok(self.inner.get_or_init(|| made))
    }

    fn build(&self) -> Result<Hickory<Asking>, ResolverFault> {
        let provider = self.asking.clone();
        let mut builder = if self.servers.is_empty() {
            Hickory::builder(provider).map_err(|error| match error {
                NetError::Io(error) if error.raw_os_error().is_some() => {
                    ResolverFault::Unreadable { errno: error.raw_os_error().unwrap_or_default() }
                }
                _ => ResolverFault::NoServer,
            })?
        } else {
            let servers = self.servers.iter().map(|server| name_server(*server)).collect();
            let config = ResolverConfig::from_parts(None, Vec::new(), servers);
            Hickory::builder_with_config(config, provider)
        };
        options(builder.options_mut());
        builder.build().map_err(|_| ResolverFault::NoServer)
    }

    fn failure(&self, error: &NetError, host: &str) -> ResolveFailure {
        match error {
            NetError::Timeout => ResolveFailure::TimedOut,
            NetError::Dns(DnsError::NoRecordsFound(none)) => {
                self.history.answered(host, &[]);
                no_records(none)
            }
            NetError::Dns(DnsError::ResponseCode(rcode)) => {
                ResolveFailure::Rcode { rcode: (*rcode).into() }
            }
            NetError::Io(error) => {
                // The name server answers over UDP: that TCP cannot be had is not all there is.
                if self.asking.notes().lookup(host, None).truncated {
                    return ResolveFailure::Unusable(AnswerFault::Truncated);
                }
                let copy = error.raw_os_error().map(io::Error::from_raw_os_error);
                ResolveFailure::Unreachable(copy)
            }
            NetError::Truncated => ResolveFailure::Unusable(AnswerFault::Truncated),
            NetError::ForeignClassRecord { .. } => {
                ResolveFailure::Unusable(AnswerFault::ForeignClass)
            }
            // The name was sound, or it would not have been asked for.
            NetError::Proto(_) | NetError::Msg(_) | NetError::Message(_) => {
                ResolveFailure::Unusable(AnswerFault::Malformed)
            }
            // The crate's list is open; what it adds has not reached a resolver either.
            _ => ResolveFailure::Unreachable(None),
        }
    }
}

fn name_server(address: SocketAddr) -> NameServerConfig {
    let mut config = NameServerConfig::udp_and_tcp(address.ip());
    for connection in &mut config.connections {
        connection.port = address.port();
    }
    config
}

fn options(options: &mut ResolverOpts) {
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.timeout = SERVER_TIMEOUT;
    // Extended errors come to those alone who ask with EDNS (RFC 8914 section 3).
    options.edns0 = true;
    // A failure is remembered for seconds, not for the zone's minutes: the operator is mending it.
    options.negative_max_ttl = Some(Duration::from_secs(5));
}

fn no_records(none: &NoRecords) -> ResolveFailure {
    match none.response_code {
        ResponseCode::NXDomain => ResolveFailure::NxDomain,
        ResponseCode::NoError => ResolveFailure::NoRecords {
            authority: match (&none.soa, &none.ns) {
                (Some(_), _) => Authority::Soa,
                (None, Some(_)) => Authority::Referral,
                (None, None) => Authority::None,
            },
        },
        other => ResolveFailure::Rcode { rcode: other.into() },
    }
}

/// Why a name cannot be put into a question (RFC 1035 section 2.3.4).
fn name_fault(host: &str) -> NameFault {
    let name = host.strip_suffix('.').unwrap_or(host);
    if name.split('.').any(str::is_empty) {
        NameFault::LabelEmpty
    } else if name.split('.').any(|label| label.len() > LABEL_BYTES_MAX) {
        NameFault::LabelTooLong
    } else if name.len() > NAME_BYTES_MAX {
        NameFault::TooLong
    } else {
        NameFault::Character
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_cannot_be_asked_for_says_why() {
        for (name, expected) in [
            ("a..example".to_owned(), NameFault::LabelEmpty),
            (format!("{}.example", "a".repeat(64)), NameFault::LabelTooLong),
            (format!("{}example.", "abcdefghi.".repeat(25)), NameFault::TooLong),
            ("a b.example".to_owned(), NameFault::Character),
        ] {
            assert_eq!(name_fault(&name), expected, "{name}");
        }
        for name in ["a..example", &format!("{}.example", "a".repeat(64)), &"a.".repeat(128)] {
            assert!(Name::from_utf8(name).is_err(), "{name}");
        }
    }
}
