//! Names to addresses: hickory with /etc/hosts and resolv.conf, each silence and refusal typed.
//!
//! One resolver a worker, with a cache that honours TTLs. Asked only when a connection is made.

use std::cell::OnceCell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;

use crate::clock;

use super::failure::ResolveFailure;

/// How long one name server may take before the next is asked; the whole is the block's `resolve`.
const SERVER_TIMEOUT: Duration = Duration::from_secs(2);

/// The resolver of one worker; made when the first name is asked for.
#[derive(Debug)]
pub struct Resolver {
    servers: Vec<SocketAddr>,
    inner: OnceCell<Option<TokioResolver>>,
}

impl Resolver {
    /// `servers` empty: those of /etc/resolv.conf.
    pub fn new(servers: Vec<SocketAddr>) -> Resolver {
        Resolver { servers, inner: OnceCell::new() }
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
        let Some(resolver) = self.inner.get_or_init(|| self.build().ok()) else {
            return Err(ResolveFailure::Config);
        };
        match clock::within(limit, resolver.lookup_ip(host)).await {
            None => Err(ResolveFailure::TimedOut),
            Some(Err(error)) => Err(failure(&error)),
            Some(Ok(found)) => {
                let addresses: Vec<IpAddr> = found.iter().collect();
                if addresses.is_empty() { Err(ResolveFailure::NoRecords) } else { Ok(addresses) }
            }
        }
    }

    fn build(&self) -> Result<TokioResolver, NetError> {
        let provider = TokioRuntimeProvider::default();
        let mut builder = if self.servers.is_empty() {
            TokioResolver::builder(provider)?
        } else {
            let servers = self.servers.iter().map(|server| name_server(*server)).collect();
            let config = ResolverConfig::from_parts(None, Vec::new(), servers);
            TokioResolver::builder_with_config(config, provider)
        };
        options(builder.options_mut());
        builder.build()
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
    // A failure is remembered for seconds, not for the zone's minutes: the operator is mending it.
    options.negative_max_ttl = Some(Duration::from_secs(5));
}

fn failure(error: &NetError) -> ResolveFailure {
    match error {
        NetError::Timeout => ResolveFailure::TimedOut,
        NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NXDomain => ResolveFailure::NxDomain,
            ResponseCode::NoError => ResolveFailure::NoRecords,
            other => ResolveFailure::Rcode { rcode: other.into() },
        },
        NetError::Dns(DnsError::ResponseCode(rcode)) => {
            ResolveFailure::Rcode { rcode: (*rcode).into() }
        }
        NetError::Io(error) => {
            let copy = error.raw_os_error().map(io::Error::from_raw_os_error);
            ResolveFailure::Unreachable(copy)
        }
        NetError::NoConnections => ResolveFailure::Unreachable(None),
        // A name that cannot be put into a question.
        NetError::Proto(_) | NetError::Msg(_) | NetError::Message(_) => ResolveFailure::Config,
        // The crate's list is open; what it adds has not reached a resolver either.
        _ => ResolveFailure::Unreachable(None),
    }
}
