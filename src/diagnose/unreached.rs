//! The evidence of a connection that did not come about: who said so, and how that is known.
//!
//! Parts of [`super::cause::Cause`], with the names they have in print. Data only.

use std::net::IpAddr;

use strum::IntoStaticStr;

/// An ICMP error as evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IcmpError {
    pub message: IcmpMessage,
    /// The message's type and code as numbers.
    pub kind: u8,
    pub code: u8,
    /// The device that sent it.
    pub from: Option<IpAddr>,
    pub sender: IcmpSender,
}

/// What an ICMP error says (RFC 792, RFC 1812 section 5.2.7.1, RFC 4443 section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum IcmpMessage {
    NetUnreachable,
    HostUnreachable,
    ProtocolUnreachable,
    PortUnreachable,
    NetUnknown,
    HostUnknown,
    NetProhibited,
    HostProhibited,
    AdminProhibited,
    BeyondScope,
    SourcePolicy,
    RejectRoute,
    TimeExceeded,
    ParameterProblem,
    /// One that says nothing of a connection; its numbers tell.
    Unusual,
}

/// Who sent an ICMP error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum IcmpSender {
    /// The address that was to be connected to.
    Target,
    ThisHost,
    /// A router or firewall on the way.
    Device,
    Unknown,
}

/// Why an address is out of reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum UnreachableReason {
    /// Nobody on the own network answers to the address (ARP, neighbour discovery).
    NeighborUnreachable,
    /// The routing table of this host holds a route of the type `unreachable`.
    RouteUnreachable,
    /// A router says so.
    RouterReported,
    /// The packet went round until its time to live was used up.
    TtlExceeded,
    NoRoute,
    /// The same, and every address of the server is one of IPv6.
    NoIpv6Route,
    InterfaceDown,
    /// Nothing but the errno.
    Unknown,
}

/// What stands behind the rarer errnos of a connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum ConnectFault {
    /// The routing table of this host holds a route of the type `blackhole`.
    BlackholeRoute,
    /// ICMP: the host does not speak TCP, or a firewall says so.
    ProtocolUnreachable,
    /// This host does not speak IPv6, or IPv4.
    AddressFamilyUnsupported,
    /// The Unix socket is one for datagrams.
    SocketTypeMismatch,
    /// The path is longer than an address may be.
    PathTooLong,
    Unknown,
}

/// Why a name must not lead to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum ProhibitedReason {
    /// This gateway listens there itself.
    OwnListener,
    /// The metadata service of a cloud.
    MetadataService,
}
