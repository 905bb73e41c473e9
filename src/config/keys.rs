//! Every key of the configuration: its table, its type, its default and what it means.
//!
//! The one list from which the manual page, the schema for editors and the hints on misplaced keys
//! come; tests hold it against what the reader takes, against the defaults and against the
//! annotated configuration. Reads nothing itself. A new key is a row here; a new table has a row in
//! [`TABLES`] too.

use std::ops::RangeInclusive;

use super::reader::{SIZE_MAX_SHOWN, SPOOL_MAX_SHOWN};
use super::upstream::{CONNECTIONS_MAX, ERROR_STATUSES, HEADER_COUNT_MAX};
use super::{file, site};

use Form::*;
use Kind::*;
use Preset::*;

/// One key of the configuration.
#[derive(Debug)]
pub struct Key {
    /// The header of its table, with `NAME` for the operator's own names; empty: the file's top.
    pub table: &'static str,
    pub name: &'static str,
    pub kind: Kind,
    pub preset: Preset,
    /// One sentence or two, for the manual and for editors.
    pub meaning: &'static str,
}

/// What may stand behind a key.
#[derive(Debug, Clone)]
pub enum Kind {
    Flag,
    /// A whole number within bounds.
    Count(RangeInclusive<usize>),
    /// One of a few whole numbers.
    Numbered(&'static [u16]),
    /// An array of whole numbers, each within bounds.
    Numbers(RangeInclusive<u16>),
    /// `"10s"`, longer than nothing.
    Duration,
    /// `"10s"`, or `"0s"`.
    DurationOrZero,
    /// `"32KiB"`, at most this much.
    Size(&'static str),
    /// One of a few words.
    Choice(&'static [&'static str]),
    /// One of a few words, or the absolute path of a file.
    ChoiceOrPath(&'static [&'static str]),
    Text(Form),
    Texts(Form),
    /// An array of strings with at least one element.
    FilledTexts(Form),
    /// A date and time with a zone, in quotes or as TOML's own.
    Time,
    /// `true`, `false`, or a table of which [`KEYS`] has the keys.
    FlagOrTable,
    /// An array of at least one table, of which [`KEYS`] has the keys.
    Tables,
}

/// What a string holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Listener,
    Resolver,
    Server,
    Host,
    UrlPath,
    File,
    Folder,
    FileName,
    Attempt,
    Glob,
    Network,
    /// A network, or `unix`.
    Balancer,
    Contact,
    Language,
}

/// What holds where the key is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// A value as the file writes it.
    Value(&'static str),
    /// An array of strings.
    List(&'static [&'static str]),
    /// No value, and what that means: "every host".
    Without(&'static str),
    Required,
}

/// The tables in the order of the annotated configuration, with what they are for.
pub const TABLES: &[(&str, &str)] = &[
    ("", "At the top of the file, before the first table."),
    ("client", "What a client may take."),
    ("tls", "HTTPS for clients, TLS 1.2 and 1.3."),
    ("tls.certificates", "One certificate: its chain and its key."),
    (
        "upstream.NAME",
        "One block an upstream, with a name of letters, digits, `-` and `_`: where requests go. \
         A file without any forwards nothing.",
    ),
    ("upstream.NAME.timeouts", "How long each stage of an exchange with this upstream may take."),
    ("upstream.NAME.limits", "What this upstream is given, and what is taken from it."),
    (
        "upstream.NAME.maintenance",
        "Planned work: every request is answered with 503 and a page that says so, and nothing is \
         sent to the servers.",
    ),
    ("upstream.NAME.tls", "For https:// servers only."),
    ("page", "The page of a failed request: who sees what, and in which words."),
    ("log", "The access log and the daemon's own messages."),
];

const TOP: &str = "";
const CLIENT: &str = "client";
const TLS: &str = "tls";
const CERTIFICATES: &str = "tls.certificates";
const UPSTREAM: &str = "upstream.NAME";
const TIMEOUTS: &str = "upstream.NAME.timeouts";
const LIMITS: &str = "upstream.NAME.limits";
const MAINTENANCE: &str = "upstream.NAME.maintenance";
const UPSTREAM_TLS: &str = "upstream.NAME.tls";
const PAGE: &str = "page";
const LOG: &str = "log";

/// Every key, table by table, in the order of [`TABLES`].
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
        Required,
        "Chosen by the name that the client sends; the first is for clients that send none, or an \
         unknown one.",
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
        "probe",
        Choice(&["private", "always", "never"]),
        Value("\"private\""),
        "Which servers may be asked, once a request has failed and the failure does not say why, \
         what they speak and whether they take connections: those on this host and in private \
         networks, all, or none.",
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
    key(
        PAGE,
        "operators",
        Texts(Network),
        Value("[\"127.0.0.0/8\", \"::1/128\"]"),
        "Who sees evidence: the networks of operators.",
    ),
    key(
        PAGE,
        "trusted_proxies",
        Texts(Network),
        Value("[]"),
        "Whose X-Forwarded-For and Forwarded we believe.",
    ),
    key(
        PAGE,
        "contact",
        Text(Contact),
        Without("nobody is named"),
        "Shown to visitors: a mailto:, https:// or http:// address.",
    ),
    key(
        PAGE,
        "languages",
        FilledTexts(Language),
        Without("every language there is, English first"),
        "The languages of the pages, chosen by Accept-Language; the first is for whoever reads \
         none of them.",
    ),
    key(
        PAGE,
        "words",
        FilledTexts(File),
        Without("our own alone"),
        "Files with words of your own: each changes the words of a language or adds one.",
    ),
    key(
        PAGE,
        "template",
        Text(File),
        Without("the page of ours"),
        "An HTML template of your own in place of our page.",
    ),
    key(
        PAGE,
        "style",
        Text(File),
        Without("ours alone"),
        "A style sheet: in a template it is `style`, else it follows ours.",
    ),
    key(
        PAGE,
        "operator_fixes",
        Choice(&["everyone", "operators"]),
        Value("\"everyone\""),
        "Who sees what an operator can do.",
    ),
    key(PAGE, "gateway_timeout", Numbered(&[502, 504]), Value("502"), "The status of a timeout."),
    key(
        LOG,
        "access",
        ChoiceOrPath(&["stdout", "off"]),
        Value("\"stdout\""),
        "Where the access log goes. A file is opened anew on SIGUSR1.",
    ),
    key(
        LOG,
        "format",
        Choice(&["json", "combined", "text"]),
        Value("\"json\""),
        "The access log's format.",
    ),
    key(
        LOG,
        "level",
        Choice(&["error", "warn", "info", "debug", "trace"]),
        Value("\"info\""),
        "How much the daemon says of itself.",
    ),
];

/// Names whose place would mislead: right in several tables, or meant as another word.
const COMMON: [&str; 5] = ["listen", "tls", "file", "until", "page"];

const fn key(
    table: &'static str,
    name: &'static str,
    kind: Kind,
    preset: Preset,
    meaning: &'static str,
) -> Key {
    Key { table, name, kind, preset, meaning }
}

/// The keys of one table, in order.
pub fn keys_of(table: &str) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(move |key| key.table == table)
}

/// Where a key belongs that was found elsewhere; `None` for a name that is in no table, or that
/// tells nothing.
pub fn place_of(name: &str) -> Option<String> {
    if COMMON.contains(&name) {
        return None;
    }
    let tables: Vec<&str> =
        KEYS.iter().filter(|key| key.name == name).map(|key| key.table).collect();
    match tables.as_slice() {
        [] => None,
        [TOP] => Some("at the top of the file, before the first table".to_owned()),
        tables => {
            let named: Vec<String> =
                tables.iter().map(|table| format!("`{}`", header(table))).collect();
            Some(format!("in {}", named.join(" or ")))
        }
    }
}

/// A table's header as a file has it.
pub fn header(table: &str) -> String {
    let repeats = |(above, name)| {
        keys_of(above).any(|key| key.name == name && matches!(key.kind, Kind::Tables))
    };
    match table.rsplit_once('.').is_some_and(repeats) {
        true => format!("[[{table}]]"),
        false => format!("[{table}]"),
    }
}

impl Preset {
    /// As the file would write it; `None` where no value can stand for it.
    pub fn literal(self) -> Option<String> {
        match self {
            Value(literal) => Some(literal.to_owned()),
            List(items) => {
                let quoted: Vec<String> = items.iter().map(|item| format!("\"{item}\"")).collect();
                Some(format!("[{}]", quoted.join(", ")))
            }
            Without(_) | Required => None,
        }
    }
}
