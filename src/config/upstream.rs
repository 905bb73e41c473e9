//! `[upstream.NAME]`: one block with its timeouts, limits and TLS.
//!
//! Decides what a block means by itself; `routes` compares blocks with each other. Reads the file
//! of certificate authorities, the only other file that the configuration needs to hold.

use std::fs::File;
use std::io::{self, Read};
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::address::{self, absolute_path};
use super::error::Fault;
use super::host::{host_pattern, server_name, url_path};
use super::maintenance::maintenance;
use super::reader::Table;
use super::server::server;
use super::{
    Limits, ListenAddress, Probe, Scheme, Server, Timeouts, Upstream, UpstreamTls, site, tls,
};

/// More connections than a host has ports towards one address, several times over.
pub const CONNECTIONS_MAX: usize = 1_000_000;
pub const HEADER_COUNT_MAX: usize = 10_000;
/// What a status says that is no success (RFC 9110 section 15).
pub const ERROR_STATUSES: RangeInclusive<u16> = 400..=599;
const CA_FILE_BYTES_MAX: u64 = 16 << 20;

/// A block as it was read.
#[derive(Debug)]
pub struct Block {
    pub upstream: Upstream,
    /// Listeners of its own; `None`: the global ones.
    pub listen: Option<Vec<ListenAddress>>,
    /// Its name in the file.
    pub name_span: Range<usize>,
    /// Listeners, hosts and paths are as the operator meant them.
    pub routes_whole: bool,
}

/// Reads every block under `[upstream]`, in the order of the file.
pub fn blocks(table: &Table<'_>, secure: &tls::Read) -> Vec<Block> {
    let mut blocks = Vec::new();
    for (name, value) in table.entries() {
        let written = name.get_ref().as_ref();
        if !is_name(written) {
            let fault = Fault::new(format!("`{written}` cannot name an upstream"));
            let fault = fault.expected("letters, digits, `-` and `_`");
            table.mistakes.note(fault, name.span());
        }
        let hint = "a block `[upstream.NAME]` with `servers`";
        if let Some(block) = table.as_table(written, value, hint) {
            blocks.push(read(block, written, name.span(), secure));
        }
    }
    blocks
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
}

fn read(mut table: Table<'_>, name: &str, name_span: Range<usize>, secure: &tls::Read) -> Block {
    let mistakes = table.mistakes;
    let lost_keys = mistakes.may_lack_keys(table.span.start);

    let before = mistakes.count();
    let servers = table.filled_list("servers", server);
    if servers.is_none() && !table.has("servers") && !lost_keys {
        let fault = Fault::new(format!("upstream `{name}` has no `servers`"));
        let fault = fault.expected("e.g. servers = [\"http://127.0.0.1:8080\"]");
        mistakes.note(fault, name_span.clone());
    }
    let servers_whole = servers.is_some() && mistakes.count() == before;
    let mut upstream = Upstream::new(name, servers.unwrap_or_default());

    let before = mistakes.count();
    upstream.hosts = table.filled_list("hosts", host_pattern).unwrap_or_default();
    if let Some(paths) = table.filled_list("paths", url_path) {
        upstream.paths = paths;
    }
    let listen = table.filled_list("listen", address::listen);
    let routes_whole = mistakes.count() == before && !lost_keys;

    let fastcgi = servers_whole.then(|| speak_fastcgi(&table, name, &upstream.servers)).flatten();
    upstream.limits = limits_for(fastcgi);
    upstream.files = site::files(&mut table, name, fastcgi);
    table.numbers("replace_status", ERROR_STATUSES, &mut upstream.replace_status);
    upstream.logs = table.filled_list("logs", absolute_path).unwrap_or_default();
    upstream.redirect_to_https = redirect(&mut table, listen.is_some(), secure);
    let words = [("private", Probe::Private), ("always", Probe::Always), ("never", Probe::Never)];
    table.choice("probe", &words, &mut upstream.probe);
    upstream.maintenance = maintenance(&mut table);
    if let Some(timeouts) = table.table("timeouts") {
        upstream.timeouts = read_timeouts(timeouts);
    }
    if let Some(limits) = table.table("limits") {
        upstream.limits = read_limits(limits, fastcgi);
    }
    if let Some(tls) = table.table("tls") {
        let https = upstream.servers.iter().any(|server| server.scheme == Scheme::Https);
        if servers_whole && !https {
            let fault = Fault::new(format!("no server of `{name}` uses TLS"));
            let fault = fault.expected("a server with https://, or no `tls` here");
            mistakes.note(fault, tls.span.clone());
        }
        upstream.tls = read_tls(tls);
    }
    table.finish();
    Block { upstream, listen, name_span, routes_whole }
}

/// A block with listeners of its own is not reached over TLS: nothing is sent away from it.
fn redirect(table: &mut Table<'_>, own_listeners: bool, secure: &tls::Read) -> bool {
    let mut redirect = secure.redirect && !own_listeners;
    table.flag("redirect_to_https", &mut redirect);
    if redirect && !secure.there {
        let fault = Fault::new("there is no HTTPS to redirect to");
        table.note_at("redirect_to_https", fault.expected("a table `[tls]`"));
    } else if redirect && own_listeners {
        let fault = Fault::new("this block is not reached over TLS: it has a `listen` of its own");
        let expected = "no `listen` here, or no `redirect_to_https`";
        table.note_at("redirect_to_https", fault.expected(expected));
    }
    redirect
}

/// Whether the servers of a block speak FastCGI; `None`, and noted, if only some do.
fn speak_fastcgi(table: &Table<'_>, name: &str, servers: &[Server]) -> Option<bool> {
    let speaks = |server: &Server| server.scheme == Scheme::FastCgi;
    let first = speaks(servers.first()?);
    let Some(odd) = servers.iter().position(|server| speaks(server) != first) else {
        return Some(first);
    };
    let (is, are) = if first { ("does not speak", "do") } else { ("speaks", "do not") };
    let message =
        format!("`{}` {is} FastCGI, the servers before it in `{name}` {are}", servers[odd]);
    let fault = Fault::new(message).expected("blocks of their own for FastCGI and for HTTP");
    table.note_at_element("servers", odd, fault);
    None
}

/// The limits of a block that sets none.
fn limits_for(fastcgi: Option<bool>) -> Limits {
    let limits = Limits::default();
    match fastcgi {
        // PHP-FPM gives a worker to each connection, used or not.
        Some(true) => Limits { idle_connections: 0, ..limits },
        Some(false) | None => limits,
    }
}

fn read_timeouts(mut table: Table<'_>) -> Timeouts {
    let mut timeouts = Timeouts::default();
    table.duration("resolve", &mut timeouts.resolve);
    table.duration("connect", &mut timeouts.connect);
    table.duration("tls", &mut timeouts.tls);
    table.duration("send", &mut timeouts.send);
    table.duration("first_byte", &mut timeouts.first_byte);
    table.duration("idle", &mut timeouts.idle);
    table.finish();
    timeouts
}

fn read_limits(mut table: Table<'_>, fastcgi: Option<bool>) -> Limits {
    let mut limits = limits_for(fastcgi);
    table.size("header_section", &mut limits.header_section_bytes);
    table.count("header_count", 1..=HEADER_COUNT_MAX, &mut limits.header_count);
    table.count("connections", 1..=CONNECTIONS_MAX, &mut limits.connections);
    table.count("queue", 0..=CONNECTIONS_MAX, &mut limits.queue);
    table.duration("queue_timeout", &mut limits.queue_timeout);
    table.count("idle_connections", 0..=CONNECTIONS_MAX, &mut limits.idle_connections);
    table.spool("spool", &mut limits.spool_bytes);
    if fastcgi == Some(false) {
        site::note_foreign(&table, "spool");
    }
    if limits.queue == 0 && table.has("queue_timeout") {
        let fault = Fault::new("nothing waits in the queue while `queue = 0`");
        table.note_at("queue_timeout", fault.expected("a longer queue, or no `queue_timeout`"));
    }
    if limits.idle_connections > limits.connections && table.has("idle_connections") {
        let fault = Fault::new("more idle connections than there can be connections");
        let expected = format!("at most `connections`, which is {}", limits.connections);
        table.note_at("idle_connections", fault.expected(expected));
    }
    table.finish();
    limits
}

fn read_tls(mut table: Table<'_>) -> UpstreamTls {
    let UpstreamTls { mut verify, mut http2, .. } = UpstreamTls::default();
    let ca = table.parsed("ca", authorities);
    let server_name = table.parsed("server_name", server_name);
    table.flag("verify", &mut verify);
    table.flag("http2", &mut http2);
    if !verify && table.has("ca") {
        let fault = Fault::new("no authority is asked while `verify = false`");
        table.note_at("ca", fault.expected("`verify = true`, or no `ca`"));
    }
    table.finish();
    UpstreamTls { ca, server_name, verify, http2 }
}

/// A readable file that holds at least one certificate in PEM.
pub fn authorities(text: &str) -> Result<PathBuf, Fault> {
    let path = absolute_path(text)?;
    let unreadable = |error: io::Error| {
        Fault::new(format!("cannot read `{text}`: {error}")).expected("a readable PEM file")
    };
    let bytes = read_limited(&path).map_err(unreadable)?;
    let mut found = 0;
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        if certificate.is_err() {
            let fault = Fault::new(format!("`{text}` holds a broken PEM block"));
            return Err(fault.expected("PEM certificates, as in /etc/ssl/certs"));
        }
        found += 1;
    }
    if found == 0 {
        let fault = Fault::new(format!("`{text}` holds no certificate"));
        return Err(fault.expected("at least one block `-----BEGIN CERTIFICATE-----`"));
    }
    Ok(path)
}

fn read_limited(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(CA_FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}
