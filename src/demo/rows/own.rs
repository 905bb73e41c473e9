//! Rows in which the request ends with us: the client's faults, our policy, our own failure.

use crate::config::{Maintenance, Rehearsal, Upstream};
use crate::demo::scenario::{Ask, Scenario, Sees, Setup, Side, Step, row};
use crate::diagnose::Code;

use Setup::{ClosedPort, Itself, Name, Nothing, Rehearsed, Tcp};
use Step::{Head, Stall, Wait, Write};

pub(super) const ROWS: &[Scenario] = &[
    row(
        Code::RequestInvalid,
        "request_invalid",
        "The client sends a request without a Host header.",
        Nothing,
    )
    .ask(Ask::Raw("GET {path} HTTP/1.1\r\nAccept: text/html\r\n\r\n")),
    row(
        Code::RequestInvalid,
        "request_invalid-host_repeated",
        "The client names two hosts in one request.",
        Nothing,
    )
    .ask(Ask::Raw("GET {path} HTTP/1.1\r\nHost: a.demo\r\nHost: b.demo\r\n\r\n")),
    row(
        Code::RequestInvalid,
        "request_invalid-request_line",
        "The client sends a line that is no request.",
        Nothing,
    )
    .ask(Ask::Raw("LET ME IN\r\n\r\n")),
    row(
        Code::RequestInvalid,
        "request_invalid-header_name",
        "The client sends a header name with a space in it.",
        Nothing,
    )
    .ask(Ask::Raw("GET {path} HTTP/1.1\r\nHost: localhost\r\nBad Name: x\r\n\r\n")),
    row(
        Code::RequestInvalid,
        "request_invalid-framing",
        "The client declares two different lengths of one body.",
        Nothing,
    )
    .ask(Ask::Raw(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\n\
         Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
    )),
    row(
        Code::RequestHeaderTooLarge,
        "request_header_too_large",
        "The client sends a header line of 40 kB; 32 KiB of head are allowed.",
        Nothing,
    )
    .ask(Ask::LargeHeader { bytes: 40_000 }),
    row(
        Code::RequestHeaderTimeout,
        "request_header_timeout",
        "The client begins a request and does not finish its head.",
        Nothing,
    )
    .ask(Ask::Raw("GET {path} HTTP/1.1\r\nHost: localhost\r\nX-Unfin")),
    row(
        Code::RequestBodyTimeout,
        "request_body_timeout",
        "The client announces 1000 bytes of body, sends ten, and falls silent.",
        Tcp(&[Head, Stall]),
    )
    .ask(Ask::Raw(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n0123456789",
    )),
    row(
        Code::TooManyClientConnections,
        "too_many_client_connections",
        "A client comes while as many connections are open as this proxy allows: one.",
        Nothing,
    )
    .ask(Ask::Crowd)
    .side(Side::Narrow),
    row(
        Code::ClientGone,
        "client_gone",
        "The client leaves before the backend has answered; nobody is left to read a page.",
        Tcp(&[Head, Stall]),
    )
    .ask(Ask::Leave)
    .sees(Sees::Nothing),
    row(
        Code::Maintenance,
        "maintenance",
        "The operator has closed the site for planned work; its backend is in good health.",
        Tcp(&[Head, Write(SERVED)]),
    )
    .adjust(closed),
    row(
        Code::NoUpstreamConfigured,
        "no_upstream_configured",
        "No block of the configuration serves the host that was asked for.",
        Nothing,
    )
    .ask(Ask::Host("nobody.localhost")),
    row(
        Code::NothingConfigured,
        "nothing_configured",
        "The configuration has no block at all, as after the installation of the package.",
        Nothing,
    )
    .side(Side::Empty),
    row(
        Code::DestinationProhibited,
        "destination_prohibited",
        "The backend's name leads to the address of a cloud's metadata service.",
        Name("metadata.demo"),
    ),
    row(
        Code::LoopDetected,
        "loop_detected",
        "The backend's address is the proxy's own, so the request comes back to it.",
        Itself,
    ),
    row(
        Code::QueueFull,
        "queue_full",
        "The backend takes one request at a time, nobody may wait, and one is being served.",
        Tcp(&[Head, Wait(1000), Write(SERVED)]),
    )
    .ask(Ask::Together)
    .adjust(one_at_a_time),
    row(
        Code::NoHealthyUpstream,
        "no_healthy_upstream",
        "Nothing listens at either of the block's two servers, and both were tried a moment ago.",
        ClosedPort,
    )
    // A server is passed over for a moment, after which it is tried again.
    .ask(Ask::UntilNamed)
    .adjust(two_servers),
    row(
        Code::ProxyInternalError,
        "proxy_internal_error",
        "The proxy's own code panics over this request (rehearsed).",
        Rehearsed(Rehearsal::Panic),
    ),
];

const SERVED: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\nserved\n";

fn closed(upstream: &mut Upstream) {
    upstream.maintenance = Some(Maintenance { file: None, until: None, page: None });
}

fn two_servers(upstream: &mut Upstream) {
    upstream.servers.extend(upstream.servers.first().cloned());
}

fn one_at_a_time(upstream: &mut Upstream) {
    upstream.limits.connections = 1;
    upstream.limits.queue = 0;
}
