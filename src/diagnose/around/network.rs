//! The way to the server's host, and whether it is there. Pure.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::seen::{Finding, Seen};
use crate::diagnose::facts::Port;
use crate::diagnose::meaning::Meaning;
use crate::diagnose::print::{rfc3339, visible};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// Nothing where the kernel knows no way.
    pub route: Seen<Route>,
    pub ping: Seen<Ping>,
    /// The neighbour on the way does not answer to the question for its hardware address.
    pub neighbor_silent: Option<IpAddr>,
    /// Other ports of the same host that took a connect or refused it: the host is there.
    pub answers_at: Vec<u16>,
    /// How the server's own port takes one more connect; asked where it is on this host.
    pub port: Seen<Port>,
    /// The file of the certificate that the server should present; looked for where it is on this
    /// host and presents one that has expired.
    pub certificate: Seen<CertificateFile>,
}

/// A certificate as it lies on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFile {
    pub path: PathBuf,
    /// Unix seconds.
    pub ends: u64,
    /// It has not expired.
    pub is_valid: bool,
}

/// The way that the kernel would take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub kind: RouteKind,
    /// Empty where nothing is sent.
    pub interface: String,
    pub gateway: Option<IpAddr>,
    pub source: Option<IpAddr>,
    /// The interface is up and has a carrier.
    pub is_up: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum RouteKind {
    /// To another host.
    Away,
    /// To this host itself.
    Local,
    /// Dropped here without a word.
    Blackhole,
    /// Forbidden here.
    Prohibit,
    /// Declared to be unreachable here.
    Unreachable,
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
    /// Something at the server's address has answered.
    pub fn host_answers(&self) -> bool {
        matches!(self.ping, Seen::Found(Ping::Answered(_))) || !self.answers_at.is_empty()
    }

    pub(super) fn findings(&self, out: &mut Vec<Finding>) {
        self.route.missing("route", out);
        match &self.route {
            Seen::Nothing => out.push(Finding::new("route", "none").means(Meaning::NoRoute)),
            Seen::Found(route) => out.push(route.finding()),
            Seen::Unlooked | Seen::Denied(_) | Seen::Late => {}
        }
        if let Some(silent) = self.neighbor_silent {
            let gateway = self.route.found().and_then(|route| route.gateway);
            let meaning = match gateway == Some(silent) {
                true => Meaning::GatewaySilent,
                false => Meaning::NeighborSilent,
            };
            out.push(Finding::new("neighbor_silent", silent.to_string()).means(meaning));
        }
        self.ping.missing("ping", out);
        if let Some(ping) = self.ping.found() {
            out.push(ping.finding());
        }
        if !self.answers_at.is_empty() {
            let ports: Vec<_> = self.answers_at.iter().map(u16::to_string).collect();
            let answers = Finding::new("host_answers_at", ports.join(", "));
            out.push(answers.means(Meaning::HostIsThere));
        }
        self.port.missing("port_now", out);
        if let Some(port) = self.port.found() {
            let word: &str = port.into();
            let meaning = match port {
                Port::Accepts => Meaning::PortAcceptsNow,
                Port::Silent => Meaning::PortSilentHere,
                Port::Refused | Port::Unreachable => Meaning::PortRefusesNow,
            };
            out.push(Finding::new("port_now", word).means(meaning));
        }
        self.certificate.missing("certificate_file", out);
        if let Some(CertificateFile { path, ends, is_valid }) = self.certificate.found() {
            let path = visible(&path.to_string_lossy());
            let meaning = match is_valid {
                true => Meaning::CertificateNotLoaded,
                false => Meaning::CertificateNotRenewed,
            };
            let value = format!("{path}, valid until {}", rfc3339(*ends));
            out.push(Finding::new("certificate_file", value).means(meaning));
        }
    }
}

impl Route {
    /// One of the kernel's that leads nowhere.
    pub fn to_nowhere(kind: RouteKind) -> Route {
        Route { kind, interface: String::new(), gateway: None, source: None, is_up: false }
    }

    /// The kernel sends nothing there.
    pub fn is_closed(&self) -> bool {
        match self.kind {
            RouteKind::Away | RouteKind::Local => false,
            RouteKind::Blackhole | RouteKind::Prohibit | RouteKind::Unreachable => true,
        }
    }

    fn finding(&self) -> Finding {
        let mut value = match self.is_closed() {
            true => <&str>::from(self.kind).to_owned(),
            false => format!("dev {}", visible(&self.interface)),
        };
        for (word, address) in [("via", self.gateway), ("src", self.source)] {
            if let Some(address) = address {
                value += &format!(" {word} {address}");
            }
        }
        match (self.is_closed(), self.is_up) {
            (true, _) => Finding::new("route", value).means(Meaning::RouteClosed),
            (false, false) => Finding::new("route", value + ", down").means(Meaning::LinkIsDown),
            (false, true) => Finding::new("route", value),
        }
    }
}

impl Ping {
    fn finding(self) -> Finding {
        match self {
            Ping::Answered(after) => {
                let value = format!("answered after {:.1} ms", after.as_secs_f64() * 1000.0);
                Finding::new("ping", value).means(Meaning::HostIsThere)
            }
            Ping::Silent => Finding::new("ping", "no answer").means(Meaning::PingSilent),
            Ping::Unreachable => {
                Finding::new("ping", "unreachable").means(Meaning::PingUnreachable)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::seen::Need;
    use super::*;

    fn away(is_up: bool) -> Route {
        Route {
            kind: RouteKind::Away,
            interface: "eth0".to_owned(),
            gateway: Some([10, 0, 0, 1].into()),
            source: Some([10, 0, 0, 5].into()),
            is_up,
        }
    }

    #[test]
    fn each_finding_says_what_it_is_and_means() {
        let gateway = Some([10, 0, 0, 1].into());
        for (network, rows) in [
            (Network::default(), vec![]),
            (
                Network { route: Seen::Nothing, ..Network::default() },
                vec![("route", "none", Some(Meaning::NoRoute))],
            ),
            (
                Network { route: Seen::Denied(Need::Netlink), ..Network::default() },
                vec![(
                    "route",
                    "not allowed: add AF_NETLINK to RestrictAddressFamilies=",
                    Some(Meaning::NotAllowed),
                )],
            ),
            (
                Network {
                    route: Seen::Found(Route::to_nowhere(RouteKind::Prohibit)),
                    ..Network::default()
                },
                vec![("route", "prohibit", Some(Meaning::RouteClosed))],
            ),
            (
                Network {
                    route: Seen::Found(away(true)),
                    neighbor_silent: gateway,
                    ping: Seen::Found(Ping::Silent),
                    ..Network::default()
                },
                vec![
                    ("route", "dev eth0 via 10.0.0.1 src 10.0.0.5", None),
                    ("neighbor_silent", "10.0.0.1", Some(Meaning::GatewaySilent)),
                    ("ping", "no answer", Some(Meaning::PingSilent)),
                ],
            ),
            (
                Network { route: Seen::Found(away(false)), ..Network::default() },
                vec![(
                    "route",
                    "dev eth0 via 10.0.0.1 src 10.0.0.5, down",
                    Some(Meaning::LinkIsDown),
                )],
            ),
            (
                Network {
                    neighbor_silent: gateway,
                    ping: Seen::Found(Ping::Answered(Duration::from_micros(320))),
                    answers_at: vec![22, 443],
                    port: Seen::Found(Port::Silent),
                    ..Network::default()
                },
                vec![
                    ("neighbor_silent", "10.0.0.1", Some(Meaning::NeighborSilent)),
                    ("ping", "answered after 0.3 ms", Some(Meaning::HostIsThere)),
                    ("host_answers_at", "22, 443", Some(Meaning::HostIsThere)),
                    ("port_now", "no", Some(Meaning::PortSilentHere)),
                ],
            ),
            (
                Network {
                    certificate: Seen::Found(CertificateFile {
                        path: "/etc/a.pem".into(),
                        ends: 0,
                        is_valid: false,
                    }),
                    ..Network::default()
                },
                vec![(
                    "certificate_file",
                    "/etc/a.pem, valid until 1970-01-01T00:00:00Z",
                    Some(Meaning::CertificateNotRenewed),
                )],
            ),
        ] {
            let mut found = Vec::new();
            network.findings(&mut found);
            let found: Vec<_> =
                found.iter().map(|row| (row.key, row.value.as_str(), row.meaning)).collect();
            assert_eq!(found, rows);
        }
    }
}
