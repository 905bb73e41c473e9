//! Rows of `keys`: the upstream blocks.

use super::keys::Form::*;
use super::keys::Kind::*;
use super::keys::Preset::*;
use super::keys::{Key, key};
use super::reader::{SIZE_MAX_SHOWN, SPOOL_MAX_SHOWN};
use super::site;
use super::upstream::{CONNECTIONS_MAX, ERROR_STATUSES, HEADER_COUNT_MAX};

const UPSTREAM: &str = "upstream.NAME";
const TIMEOUTS: &str = "upstream.NAME.timeouts";
const LIMITS: &str = "upstream.NAME.limits";
const MAINTENANCE: &str = "upstream.NAME.maintenance";
const UPSTREAM_TLS: &str = "upstream.NAME.tls";

/// In the order of the tables.
pub const KEYS: &[Key] = &[
    key(
        UPSTREAM,
        "servers",
        FilledTexts(Server),
        Required,
        "Where the requests go. A missing port is 80 or 443; FastCGI has none of its own. All of a \
         block's servers speak FastCGI, or none does. h2c:// is HTTP/2 without TLS.",
    ),
    key(
        UPSTREAM,
        "hosts",
        FilledTexts(Host),
        Without("every host"),
        "Which requests: hosts without port, `*.` as the first label only.",
    ),
    key(
        UPSTREAM,
        "paths",
        FilledTexts(UrlPath),
        Value("[\"/\"]"),
        "Which requests: beginnings of their path. The longest wins.",
    ),
    key(
        UPSTREAM,
        "listen",
        FilledTexts(Listener),
        Without("the global ones"),
        "Listeners of its own.",
    ),
    key(
        UPSTREAM,
        "root",
        Text(Folder),
        Without("none; FastCGI requires it"),
        "FastCGI: the site's folder, by the path that PHP-FPM knows it by. Where it exists on this \
         host too, its files are sent from here; where it does not, every request goes to PHP.",
    ),
    key(
        UPSTREAM,
        "index",
        FilledTexts(FileName),
        Value("[\"index.php\", \"index.html\"]"),
        "FastCGI: names that stand for a folder.",
    ),
    key(
        UPSTREAM,
        "try",
        FilledTexts(Attempt),
        Value("[\"{path}\", \"{path}/\", \"/index.php\"]"),
        "FastCGI: what a path may mean, in order: `{path}` the file, or the script on the way to \
         it; `{path}/` the folder, by its index. The last element may be a path that answers for \
         whatever was not found, or `=404`. The default ends in the first index that is a script.",
    ),
    key(
        UPSTREAM,
        "deny",
        Texts(Glob),
        List(&site::DENY),
        "FastCGI: never sent nor run. A name at any depth, or a path from the root; `*` stands for \
         any characters of a name, `**` for any number of folders, and capitals make no \
         difference. Names that begin with a dot (but for /.well-known/) and the source of PHP are \
         never sent, whatever stands here.",
    ),
    key(
        UPSTREAM,
        "symlinks",
        Choice(&["inside", "anywhere"]),
        Value("\"inside\""),
        "FastCGI: where symbolic links below the root may lead.",
    ),
    key(
        UPSTREAM,
        "replace_status",
        Numbers(ERROR_STATUSES),
        Value("[]"),
        "Complete answers of the upstream with one of these statuses are replaced by a page of \
         ours with the same status, its cause and its fixes; none: they go on untouched.",
    ),
    key(
        UPSTREAM,
        "logs",
        FilledTexts(File),
        Without("none"),
        "Error logs of the upstream on this host beside those at their usual places: once a \
         request has failed, the lines of its seconds are shown to operators, without secrets.",
    ),
    key(
        UPSTREAM,
        "probe",
        Choice(&["private", "always", "never"]),
        Value("\"private\""),
        "Which servers may be asked, once a request has failed and the failure does not say why, \
         what they speak and whether they take connections: those on this host and in private \
         networks, all, or none.",
    ),
    key(
        UPSTREAM,
        "redirect_to_https",
        Flag,
        Without("as `[tls]` says"),
        "Whether requests without TLS are sent to https://.",
    ),
    key(
        UPSTREAM,
        "maintenance",
        FlagOrTable,
        Value("false"),
        "Planned work: nothing is sent to the servers. A table says more than `true`.",
    ),
    key(TIMEOUTS, "resolve", Duration, Value("\"5s\""), "Until DNS has answered."),
    key(TIMEOUTS, "connect", Duration, Value("\"3s\""), "Until the connection stands."),
    key(TIMEOUTS, "tls", Duration, Value("\"5s\""), "Until the TLS handshake is done."),
    key(TIMEOUTS, "send", Duration, Value("\"30s\""), "No progress while sending the request."),
    key(TIMEOUTS, "first_byte", Duration, Value("\"60s\""), "Request sent, nothing heard."),
    key(TIMEOUTS, "idle", Duration, Value("\"60s\""), "Between two pieces of head or body."),
    key(LIMITS, "header_section", Size(SIZE_MAX_SHOWN), Value("\"64KiB\""), "A response head."),
    key(
        LIMITS,
        "header_count",
        Count(1..=HEADER_COUNT_MAX),
        Value("128"),
        "Fields of a response head.",
    ),
    key(
        LIMITS,
        "connections",
        Count(1..=CONNECTIONS_MAX),
        Value("256"),
        "Connections to this upstream at once; more requests wait in the queue.",
    ),
    key(
        LIMITS,
        "queue",
        Count(0..=CONNECTIONS_MAX),
        Value("1024"),
        "Requests that may wait; more are declined.",
    ),
    key(
        LIMITS,
        "queue_timeout",
        Duration,
        Value("\"5s\""),
        "How long a request may wait for a connection.",
    ),
    key(
        LIMITS,
        "idle_connections",
        Count(0..=CONNECTIONS_MAX),
        Value("64"),
        "Connections kept alive for later requests. 0 unless set where the servers speak FastCGI: \
         PHP-FPM gives a worker to each connection, used or not.",
    ),
    key(
        LIMITS,
        "spool",
        Size(SPOOL_MAX_SHOWN),
        Value("\"1GiB\""),
        "FastCGI: a request body is gathered, beyond 64 KiB on disk, up to here.",
    ),
    key(
        MAINTENANCE,
        "file",
        Text(File),
        Without("it is on"),
        "Only while this file exists on this host; its content may be a time as in `until`.",
    ),
    key(
        MAINTENANCE,
        "until",
        Time,
        Without("not known"),
        "When the site is expected back: a time with its zone.",
    ),
    key(
        MAINTENANCE,
        "page",
        Text(File),
        Without("the page of ours"),
        "An HTML page of your own, for browsers; style sheets and scripts stand in it.",
    ),
    key(
        UPSTREAM_TLS,
        "ca",
        Text(File),
        Without("the system's store"),
        "PEM file of the certificate authorities to trust.",
    ),
    key(
        UPSTREAM_TLS,
        "server_name",
        Text(Host),
        Without("the server's host"),
        "The name to verify and to send as SNI.",
    ),
    key(UPSTREAM_TLS, "verify", Flag, Value("true"), "Whether a wrong certificate is a failure."),
    key(
        UPSTREAM_TLS,
        "http2",
        Flag,
        Value("false"),
        "HTTP/2 in place of HTTP/1.1, asked for by ALPN.",
    ),
];
