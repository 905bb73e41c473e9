//! Rows of `keys`: the top of the file, and what clients meet.

use super::file;
use super::keys::Form::*;
use super::keys::Kind::*;
use super::keys::Preset::*;
use super::keys::{Key, key};
use super::reader::SIZE_MAX_SHOWN;
use super::upstream::CONNECTIONS_MAX;

const TOP: &str = "";
const CLIENT: &str = "client";
const TLS: &str = "tls";
const CERTIFICATES: &str = "tls.certificates";
const ACME: &str = "tls.acme";

/// In the order of the tables.
pub const KEYS: &[Key] = &[
    key(
        TOP,
        "listen",
        FilledTexts(Listener),
        Value("[\"127.0.0.1:8502\"]"),
        "Where to accept connections. These listeners reach every upstream that has no `listen` of \
         its own.",
    ),
    key(
        TOP,
        "workers",
        Count(1..=file::WORKERS_MAX),
        Without("one a core"),
        "Threads, each with listeners of its own.",
    ),
    key(
        TOP,
        "resolvers",
        Texts(Resolver),
        Value("[]"),
        "Name servers to ask; none: those of /etc/resolv.conf.",
    ),
    key(
        TOP,
        "drain_timeout",
        DurationOrZero,
        Value("\"30s\""),
        "How long a stop waits for requests in flight; \"0s\" stops at once.",
    ),
    key(
        CLIENT,
        "header_timeout",
        Duration,
        Value("\"10s\""),
        "From the first byte of a request head to its end.",
    ),
    key(
        CLIENT,
        "body_timeout",
        Duration,
        Value("\"30s\""),
        "Between two pieces of a request body.",
    ),
    key(CLIENT, "keepalive_timeout", Duration, Value("\"75s\""), "Between two requests."),
    key(CLIENT, "header_section", Size(SIZE_MAX_SHOWN), Value("\"32KiB\""), "A request head."),
    key(
        CLIENT,
        "connections",
        Count(1..=CONNECTIONS_MAX),
        Value("10000"),
        "Connections at once, over all threads.",
    ),
    key(
        CLIENT,
        "http2_streams",
        Count(1..=file::STREAMS_MAX),
        Value("128"),
        "Requests at once on one connection of HTTP/2.",
    ),
    key(
        CLIENT,
        "proxy_protocol",
        Texts(Balancer),
        Value("[]"),
        "Balancers in front: networks whose connections begin with a header of the PROXY protocol, \
         v1 or v2, on every listener and before TLS; `unix` for all that come to Unix listeners. \
         From these it is required, and its word on who the client is counts.",
    ),
    key(
        TLS,
        "listen",
        FilledTexts(Listener),
        Required,
        "Where to accept TLS. These listeners reach what the global ones reach.",
    ),
    key(
        TLS,
        "certificates",
        Tables,
        Without("those of `[tls.acme]` alone"),
        "Chosen by the name that the client sends; the first is for clients that send none, or an \
         unknown one.",
    ),
    key(
        TLS,
        "min_version",
        Choice(&["1.2", "1.3"]),
        Value("\"1.2\""),
        "The oldest version of TLS that is spoken.",
    ),
    key(TLS, "http2", Flag, Value("true"), "Whether clients are offered HTTP/2, by ALPN."),
    key(
        TLS,
        "redirect_to_https",
        Flag,
        Value("false"),
        "Requests that come without TLS are sent to the same address with it; an upstream block \
         may say otherwise for itself.",
    ),
    key(
        TLS,
        "hsts",
        DurationOrZero,
        Without("nothing is said"),
        "Strict-Transport-Security on every answer over TLS: browsers refuse to go back to plain \
         HTTP for so long, and it cannot be taken back from those who have heard it.",
    ),
    key(
        TLS,
        "hsts_subdomains",
        Flag,
        Value("false"),
        "With `hsts`: the same for every host below.",
    ),
    key(
        CERTIFICATES,
        "chain",
        Text(File),
        Required,
        "PEM: the server's own certificate first, then those that vouch for it.",
    ),
    key(CERTIFICATES, "key", Text(File), Required, "PEM: the private key of the first."),
    key(
        ACME,
        "certificates",
        FilledLists(Host),
        Required,
        "The hosts of each certificate: a list of lists.",
    ),
    key(
        ACME,
        "terms_agreed",
        Flag,
        Required,
        "`true`: that you agree to the authority's terms of service.",
    ),
    key(
        ACME,
        "contact",
        Texts(Mailbox),
        Value("[]"),
        "Where the authority may write to; none: it does not.",
    ),
    key(
        ACME,
        "directory",
        Text(Directory),
        Value("\"https://acme-v02.api.letsencrypt.org/directory\""),
        "The address of the authority's directory.",
    ),
    key(
        ACME,
        "ca",
        Text(File),
        Without("the system's store"),
        "PEM file of the authority that vouches for the directory itself.",
    ),
    key(
        ACME,
        "challenge",
        Choice(&["http-01", "tls-alpn-01"]),
        Value("\"http-01\""),
        "How the authority sees that the hosts are ours: `http-01` asks port 80 of each, \
         `tls-alpn-01` port 443.",
    ),
    key(
        ACME,
        "state",
        Text(File),
        Without("`acme` in $STATE_DIRECTORY, or in /var/lib/causeway"),
        "The folder that account, certificates and keys are kept in.",
    ),
];
