//! The shape of the file: from its text to a [`Config`], or to every mistake at once.
//!
//! Holds the top level and the small tables. A key that is not read here or in `upstream` is
//! unknown. Only `load`, the check of `tls.ca` and `named` touch the file system.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::address::{absolute_path, contact, listen, network, resolver};
use super::balancers::{Balancers, balancer};
use super::error::{Fault, Problems};
use super::named::{Objection, Placed, not_utf8, sorted, text_file};
use super::reader::{Mistakes, Table, Text, choose};
use super::upstream::{CONNECTIONS_MAX, blocks};
use super::{
    AccessLog, Admin, Client, Config, Level, ListenAddress, Listener, Log, LogFormat,
    OperatorFixes, Page,
};
use super::{routes, syntax, tls};

const FILE_BYTES_MAX: u64 = 4 << 20;
pub const WORKERS_MAX: usize = 1024;
/// Each may have an answer that waits; a client that needs more opens another connection.
pub const STREAMS_MAX: usize = 1000;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read at all (EX_NOINPUT).
    #[error("cannot read {}", .path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// What it says is wrong (EX_CONFIG).
    #[error("{0}")]
    Problems(Problems),
}

/// Reads and checks a configuration file, and the files that it names. `prove` says what is wrong
/// with the words and pages of those, which the rooms above understand.
///
/// # Errors
/// [`LoadError::Unreadable`] if there is nothing to read or more than 4 MiB of it,
/// [`LoadError::Problems`] with every mistake in it.
pub fn load(path: &Path, prove: impl Fn(&Page) -> Vec<Objection>) -> Result<Config, LoadError> {
    let unreadable = |source| LoadError::Unreadable { path: path.to_owned(), source };
    let bytes = read_limited(path).map_err(unreadable)?;
    let source = String::from_utf8(bytes)
        .map_err(|error| not_utf8(path, &error, "a file in UTF-8 (TOML v1.0.0, Spec)"));
    let source = source.map_err(LoadError::Problems)?;
    proven(&source, path, prove).map_err(LoadError::Problems)
}

/// Checks the text of a configuration by itself; `path` is for messages.
///
/// # Errors
/// Every mistake in it.
pub fn parse(source: &str, path: &Path) -> Result<Config, Problems> {
    proven(source, path, |_| Vec::new())
}

fn proven(
    source: &str,
    path: &Path,
    prove: impl Fn(&Page) -> Vec<Objection>,
) -> Result<Config, Problems> {
    // A byte order mark would shift the columns of the first line.
    let source = source.strip_prefix('\u{feff}').unwrap_or(source);
    let (document, slips, damage) = syntax::parse(source);
    let mistakes = Mistakes::new(source, slips, damage);
    let root = Table::root(document.get_ref(), &mistakes);
    let config = Config { path: Some(path.to_owned()), ..read(root) };
    let mut elsewhere = mistakes.take_elsewhere();
    let (own, of_files) = sorted(&config.page, prove(&config.page));
    elsewhere.extend(of_files);
    let mut problems = mistakes.into_problems();
    problems.extend(own);
    let problems = Problems::new(path.to_owned(), source.to_owned(), problems);
    let problems = elsewhere.into_iter().fold(problems, Problems::join);
    if problems.is_empty() { Ok(config) } else { Err(problems) }
}

fn read_limited(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::from(io::ErrorKind::FileTooLarge));
    }
    Ok(bytes)
}

fn read(mut table: Table<'_>) -> Config {
    let mistakes = table.mistakes;
    let mut config = Config::default();
    let global = table.filled_list("listen", listen);
    table.count("workers", 1..=WORKERS_MAX, &mut config.workers);
    config.resolvers = table.parsed_list("resolvers", resolver).unwrap_or_default();
    if let Some(timeout) = table.duration_or_zero("drain_timeout") {
        config.drain_timeout = timeout;
    }
    if let Some(client) = table.table("client") {
        config.client = read_client(client);
    }
    let secure = table.table("tls").map(tls::read).unwrap_or_default();
    let named = table.value("upstream");
    let hint = "a block `[upstream.NAME]` with `servers`";
    let named = named.and_then(|value| table.as_table("upstream", value, hint));
    let blocks = named.map_or(Vec::new(), |table| blocks(&table, &secure));
    let admin = table.table("admin");
    if let Some(page) = table.table("page") {
        config.page = read_page(page);
    }
    if let Some(log) = table.table("log") {
        config.log = read_log(log);
    }
    table.finish();

    let default = config.listeners.remove(0).address;
    config.listeners = routes::listeners(global, &secure.listen, default, &blocks);
    routes::note_both(mistakes, &config.listeners, &secure.listen);
    config.tls = secure.tls;
    routes::note_collisions(mistakes, &config.listeners, &blocks);
    if let Some(admin) = admin {
        config.admin = read_admin(admin, &config.listeners);
    }
    config.upstreams = blocks.into_iter().map(|block| Arc::new(block.upstream)).collect();
    config
}

fn read_client(mut table: Table<'_>) -> Client {
    let mut client = Client::default();
    table.duration("header_timeout", &mut client.header_timeout);
    table.duration("body_timeout", &mut client.body_timeout);
    table.duration("keepalive_timeout", &mut client.keepalive_timeout);
    table.size("header_section", &mut client.header_section_bytes);
    table.count("connections", 1..=CONNECTIONS_MAX, &mut client.connections);
    let balancers = table.parsed_list("proxy_protocol", balancer).unwrap_or_default();
    client.proxy_protocol = Balancers::of(balancers);
    table.count("http2_streams", 1..=STREAMS_MAX, &mut client.http2_streams);
    table.finish();
    client
}

/// `taken`: where requests are forwarded.
fn read_admin(mut table: Table<'_>, taken: &[Listener]) -> Admin {
    let mut admin = Admin::default();
    let before = table.mistakes.count();
    admin.listen = table.filled_list("listen", listen).unwrap_or_default();
    let is_right = table.mistakes.count() == before;
    let allow = table.filled_list("allow", network);
    // Positions are those of the file only where every element was right.
    for (position, address) in admin.listen.iter().enumerate().filter(|_| is_right) {
        if let Some(fault) = unfit(address, allow.is_some(), taken) {
            table.note_at_element("listen", position, fault);
        }
    }
    // The same twice is listened on once, as in the list at the top.
    let mut known = HashSet::new();
    admin.listen.retain(|address| known.insert(address.clone()));
    admin.allow = allow.unwrap_or(admin.allow);
    table.finish();
    admin
}

fn unfit(address: &ListenAddress, is_limited: bool, taken: &[Listener]) -> Option<Fault> {
    let is_port_chosen = matches!(address, ListenAddress::Tcp(tcp) if tcp.port() == 0);
    if !is_port_chosen && taken.iter().any(|listener| listener.address == *address) {
        let fault = Fault::new(format!("requests are forwarded at `{address}` already"));
        return Some(fault.expected("an address of its own for `[admin]`"));
    }
    match address {
        ListenAddress::Tcp(tcp) if !tcp.ip().is_loopback() && !is_limited => {
            let fault = Fault::new(format!("other hosts can reach `{address}`"));
            Some(fault.expected("`allow` with the networks that may ask, e.g. [\"10.0.0.0/8\"]"))
        }
        ListenAddress::Systemd(_) => {
            let fault = Fault::new(format!("`{address}` is not available in `[admin]`"));
            Some(fault.expected("\"IP:PORT\" or \"unix:/path\""))
        }
        ListenAddress::Tcp(_) | ListenAddress::Unix(_) => None,
    }
}

fn read_page(mut table: Table<'_>) -> Page {
    let mut page = Page::default();
    if let Some(operators) = table.parsed_list("operators", network) {
        page.operators = operators;
    }
    page.trusted_proxies = table.parsed_list("trusted_proxies", network).unwrap_or_default();
    page.contact = table.parsed("contact", contact);
    let audiences =
        [("everyone", OperatorFixes::Everyone), ("operators", OperatorFixes::Operators)];
    table.choice("operator_fixes", &audiences, &mut page.operator_fixes);
    page.gateway_error = status(&mut table, "gateway_error", &[502, 503, 500], 502);
    page.gateway_timeout = status(&mut table, "gateway_timeout", &[502, 504], page.gateway_error);
    page.languages = languages(&mut table);
    let mistakes = table.mistakes;
    let words = table.filled_list("words", |path| text_file(mistakes, path));
    page.words = words.into_iter().flatten().flatten().collect();
    page.template = table.parsed("template", |path| text_file(mistakes, path)).flatten();
    page.style = table.parsed("style", |path| text_file(mistakes, path)).flatten();
    if page.words.len() < table.length("words") {
        // Which languages there are is not known then.
        page.languages.clear();
    }
    table.finish();
    page
}

/// One of a few statuses; `default` where there is none, or none that is right.
fn status(table: &mut Table<'_>, key: &'static str, allowed: &[u16], default: u16) -> u16 {
    let mut written = usize::from(default);
    table.count(key, 0..=usize::MAX, &mut written);
    let is_one = |status: &u16| allowed.contains(status) || *status == default;
    match u16::try_from(written).ok().filter(is_one) {
        Some(status) => status,
        None => {
            let words: Vec<String> = allowed.iter().map(u16::to_string).collect();
            let fault = Fault::new(format!("`{key}` cannot be {written}"));
            table.note_at(key, fault.expected(words.join(" or ")));
            default
        }
    }
}

/// Whether there are such languages is not known here.
fn languages(table: &mut Table<'_>) -> Vec<Placed> {
    let Some(texts) = table.texts("languages") else { return Vec::new() };
    if table.length("languages") == 0 {
        let fault = Fault::new("`languages` is empty").expected("at least one element");
        table.note_at("languages", fault);
    }
    let placed = |text: Text<'_>| Placed { value: text.value.to_owned(), span: text.span };
    texts.into_iter().map(placed).collect()
}

fn read_log(mut table: Table<'_>) -> Log {
    let mut log = Log::default();
    if let Some(access) = table.parsed("access", access_log) {
        log.access = access;
    }
    let formats =
        [("json", LogFormat::Json), ("combined", LogFormat::Combined), ("text", LogFormat::Text)];
    table.choice("format", &formats, &mut log.format);
    let levels = [Level::Error, Level::Warn, Level::Info, Level::Debug, Level::Trace];
    table.choice("level", &levels.map(|level| (level.name(), level)), &mut log.level);
    table.finish();
    log
}

fn access_log(text: &str) -> Result<AccessLog, Fault> {
    if text.starts_with('/') {
        return absolute_path(text).map(AccessLog::File);
    }
    choose(text, &[("stdout", AccessLog::Stdout), ("off", AccessLog::Off)])
        .map_err(|fault| fault.expected("\"stdout\", \"off\" or the absolute path of a file"))
}
