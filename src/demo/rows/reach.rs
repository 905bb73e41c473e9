//! Rows in which no request was sent: the name, the connection, TLS.

use std::net::Ipv4Addr;

use crate::config::Rehearsal::{ConnectErrno, ConnectRejected};
use crate::demo::scenario::{Cert, Scenario, Setup, Side, Step, UnixSetup, row};
use crate::diagnose::Code;

use Setup::{ClosedPort, FullQueue, InPlaceOfTls, Name, Rehearsed, Tls, Unix, Unroutable};
use Step::{Head, Raw, Reset, Some as Greeting, Stall, Write};

/// A name that cannot be asked for: a label has at most 63 bytes (RFC 1035 section 2.3.4).
const LONG_LABEL: &str =
    "a-label-of-more-than-sixty-three-bytes-cannot-be-put-into-any-question.demo";

/// Errno values that are rehearsed (asm-generic/errno.h).
const ENOMEM: i32 = 12;
const EACCES: i32 = 13;
const EMFILE: i32 = 24;
const EADDRNOTAVAIL: i32 = 99;
const EHOSTUNREACH: i32 = 113;

/// The device that rejects, of the addresses for documentation (RFC 5737).
const FIREWALL: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);

pub(super) const ROWS: &[Scenario] = &[
    // Resolve.
    row(
        Code::DnsNxdomain,
        "dns_nxdomain",
        "The resolver says that the backend's name does not exist.",
        Name("nxdomain.demo"),
    ),
    row(
        Code::DnsNoRecords,
        "dns_no_records",
        "The backend's name exists and has no address.",
        Name("nodata.demo"),
    ),
    row(
        Code::DnsServerFailure,
        "dns_server_failure",
        "The resolver answers SERVFAIL.",
        Name("servfail.demo"),
    ),
    row(
        Code::DnsRefused,
        "dns_refused",
        "The resolver answers REFUSED: it does not serve us.",
        Name("refused.demo"),
    ),
    row(
        Code::DnsServerFailure,
        "dns_server_failure-dnssec",
        "The resolver answers SERVFAIL and says why: the zone's signatures do not hold.",
        Name("bogus.demo"),
    ),
    row(
        Code::DnsAnswerUnusable,
        "dns_answer_unusable",
        "The resolver's answer breaks off behind its header.",
        Name("garbled.demo"),
    ),
    row(Code::DnsTimeout, "dns_timeout", "The resolver never answers.", Name("silent.demo")),
    row(
        Code::DnsResolverUnreachable,
        "dns_resolver_unreachable",
        "Nothing listens at the resolver's address.",
        Name("healthy.demo"),
    )
    .side(Side::Deaf),
    row(
        Code::DnsConfigInvalid,
        "dns_config_invalid",
        "The backend's configured name is too long to be asked for.",
        Name(LONG_LABEL),
    ),
    // Connect.
    row(
        Code::ConnectionRefused,
        "connection_refused",
        "Nothing listens on the backend's port.",
        ClosedPort,
    ),
    row(
        Code::TcpRejectedByFirewall,
        "tcp_rejected_by_firewall",
        "A firewall on the way says that the connection is prohibited (rehearsed).",
        Rehearsed(ConnectRejected { errno: EHOSTUNREACH, code: 13, offender: FIREWALL }),
    ),
    row(
        Code::ConnectTimeout,
        "connect_timeout",
        "The backend's accept queue is full, so the kernel drops our SYN.",
        FullQueue,
    ),
    row(
        Code::HostUnreachable,
        "host_unreachable",
        "A router says that the backend's host cannot be reached (rehearsed).",
        Rehearsed(ConnectErrno(EHOSTUNREACH)),
    ),
    row(
        Code::NetworkUnreachable,
        "network_unreachable",
        "No route leads to the backend's address.",
        Unroutable,
    ),
    row(
        Code::ConnectForbiddenLocally,
        "connect_forbidden_locally",
        "A policy on this host forbids the connection, as SELinux does (rehearsed).",
        Rehearsed(ConnectErrno(EACCES)),
    ),
    row(
        Code::UnixSocketMissing,
        "unix_socket_missing",
        "The backend's Unix socket does not exist.",
        Unix(UnixSetup::Missing),
    ),
    row(
        Code::UnixSocketMissing,
        "unix_socket_missing-directory",
        "The directory of the backend's Unix socket does not exist.",
        Unix(UnixSetup::MissingDirectory),
    ),
    row(
        Code::UnixSocketPermissionDenied,
        "unix_socket_permission_denied",
        "The Unix socket has mode 000 (rehearsed for root, whom no mode stops).",
        Unix(UnixSetup::Forbidden),
    ),
    row(
        Code::UnixSocketRefused,
        "unix_socket_refused",
        "The Unix socket's file is left over from a server that is gone.",
        Unix(UnixSetup::Stale),
    ),
    row(
        Code::UnixSocketRefused,
        "unix_socket_refused-not_a_socket",
        "A regular file stands where the Unix socket should be.",
        Unix(UnixSetup::NotASocket),
    ),
    row(
        Code::UnixSocketBacklogFull,
        "unix_socket_backlog_full",
        "The backend has stopped accepting and its backlog is full.",
        Unix(UnixSetup::BacklogFull),
    ),
    row(
        Code::ConnectFailed,
        "connect_failed",
        "The Unix socket is one for datagrams: EPROTOTYPE.",
        Unix(UnixSetup::Datagram),
    ),
    row(
        Code::ConnectFailed,
        "connect_failed-path_too_long",
        "The Unix socket's path is longer than the 107 bytes an address holds.",
        Unix(UnixSetup::TooLong),
    ),
    row(
        Code::LocalFdExhausted,
        "local_fd_exhausted",
        "The proxy has no file descriptor left for a connection (rehearsed).",
        Rehearsed(ConnectErrno(EMFILE)),
    ),
    row(
        Code::LocalPortsExhausted,
        "local_ports_exhausted",
        "No local port is left for a connection to the backend (rehearsed).",
        Rehearsed(ConnectErrno(EADDRNOTAVAIL)),
    ),
    row(
        Code::LocalOutOfMemory,
        "local_out_of_memory",
        "The kernel has no memory for a socket (rehearsed).",
        Rehearsed(ConnectErrno(ENOMEM)),
    ),
    // TLS.
    row(
        Code::TlsPeerSpeaksPlaintext,
        "tls_peer_speaks_plaintext",
        "The backend answers the TLS greeting in plain HTTP.",
        InPlaceOfTls(&[Greeting, Write(PLAIN_400)]),
    ),
    row(
        Code::TlsPeerSpeaksPlaintext,
        "tls_peer_speaks_plaintext-ssh",
        "An SSH server listens on the port that is configured for https.",
        InPlaceOfTls(&[Write(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"), Stall]),
    ),
    row(
        Code::TlsCertExpired,
        "tls_cert_expired",
        "The backend's certificate ended in 2021.",
        Tls(Cert::Expired, &[]),
    ),
    row(
        Code::TlsCertNotYetValid,
        "tls_cert_not_yet_valid",
        "The backend's certificate begins in 2048.",
        Tls(Cert::NotYetValid, &[]),
    ),
    row(
        Code::TlsCertWrongHost,
        "tls_cert_wrong_host",
        "The backend's certificate is made out for another name.",
        Tls(Cert::WrongHost, &[]),
    ),
    row(
        Code::TlsCertSelfSigned,
        "tls_cert_self_signed",
        "The backend's certificate vouches for itself, as openssl req -x509 makes it.",
        Tls(Cert::SelfSignedCa, &[]),
    ),
    row(
        Code::TlsCertSelfSigned,
        "tls_cert_self_signed-leaf",
        "The backend's certificate vouches for itself and is no authority.",
        Tls(Cert::SelfSigned, &[]),
    ),
    row(
        Code::TlsCertUnknownIssuer,
        "tls_cert_unknown_issuer",
        "The backend's certificate comes from an authority that is not trusted.",
        Tls(Cert::UnknownIssuer, &[]),
    ),
    row(
        Code::TlsCertUnusable,
        "tls_cert_unusable",
        "The backend's certificate is good for clients only.",
        Tls(Cert::ClientsOnly, &[]),
    ),
    row(
        Code::TlsIncompatible,
        "tls_incompatible",
        "The backend refuses our versions of TLS: alert protocol_version.",
        InPlaceOfTls(&[Greeting, Write(b"\x15\x03\x01\x00\x02\x02\x46")]),
    ),
    row(
        Code::TlsIncompatible,
        "tls_incompatible-version",
        "The backend chooses TLS 1.0.",
        InPlaceOfTls(&[Greeting, Write(SERVER_HELLO_TLS10)]),
    ),
    row(
        Code::TlsAlertReceived,
        "tls_alert_received",
        "The backend ends the handshake with the alert handshake_failure.",
        InPlaceOfTls(&[Greeting, Write(b"\x15\x03\x03\x00\x02\x02\x28")]),
    ),
    row(
        Code::TlsAlertReceived,
        "tls_alert_received-name",
        "The backend has no site under the name: alert unrecognized_name.",
        InPlaceOfTls(&[Greeting, Write(b"\x15\x03\x03\x00\x02\x02\x70")]),
    ),
    row(
        Code::ClientCertRequired,
        "client_cert_required",
        "The backend wants a client certificate: alert certificate_required.",
        Tls(Cert::WantsOurs, &[Head, Write(PLAIN_400)]),
    ),
    row(
        Code::TlsClosedInHandshake,
        "tls_closed_in_handshake",
        "The backend closes the connection upon our TLS greeting.",
        InPlaceOfTls(&[Greeting]),
    ),
    row(
        Code::TlsClosedInHandshake,
        "tls_closed_in_handshake-reset",
        "The backend resets the connection upon our TLS greeting.",
        InPlaceOfTls(&[Greeting, Reset]),
    ),
    row(
        Code::TlsHandshakeTimeout,
        "tls_handshake_timeout",
        "The backend says nothing to our TLS greeting.",
        InPlaceOfTls(&[Greeting, Stall]),
    ),
    row(
        Code::TlsBrokenAfterHandshake,
        "tls_broken_after_handshake",
        "After the handshake the backend sends a record that cannot be deciphered.",
        Tls(Cert::Good, &[Head, Raw(BAD_RECORD)]),
    ),
    row(
        Code::TlsBrokenAfterHandshake,
        "tls_broken_after_handshake-plaintext",
        "After the handshake the backend goes on in plain HTTP.",
        Tls(Cert::Good, &[Head, Raw(PLAIN_400)]),
    ),
];

const PLAIN_400: &[u8] = b"HTTP/1.1 400 Bad Request\r\nServer: Apache\r\n\
    Content-Length: 12\r\nConnection: close\r\n\r\nBad Request\n";

/// A handshake record with a ServerHello of version 3.1, TLS_RSA_WITH_AES_128_CBC_SHA
/// (RFC 5246 sections 6.2.1 and 7.4.1.3).
const SERVER_HELLO_TLS10: &[u8] = b"\x16\x03\x01\x00\x2a\x02\x00\x00\x26\x03\x01\
    0123456789abcdef0123456789abcdef\x00\x00\x2f\x00";

/// Application data of 32 bytes that no key of ours opens.
const BAD_RECORD: &[u8] = b"\x17\x03\x03\x00\x200123456789abcdef0123456789abcdef";
