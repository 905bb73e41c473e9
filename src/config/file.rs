//! The shape of the file: from its text to a [`Config`], or to every mistake at once.
//!
//! Holds the top level and the small tables. A key that is not read here or in `upstream` is
//! unknown. Only `load` and the check of `tls.ca` touch the file system.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::address::{absolute_path, contact, listen, network, resolver};
use super::error::{Fault, Problems};
use super::reader::{Mistakes, Table, choose};
use super::upstream::{CONNECTIONS_MAX, blocks};
use super::{AccessLog, Client, Config, Level, Log, LogFormat, OperatorFixes, Page};
use super::{routes, syntax};

const FILE_BYTES_MAX: u64 = 4 << 20;
const WORKERS_MAX: usize = 1024;

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

/// Reads and checks a configuration file, and the files that it names.
///
/// # Errors
/// [`LoadError::Unreadable`] if there is nothing to read or more than 4 MiB of it,
/// [`LoadError::Problems`] with every mistake in it.
pub fn load(path: &Path) -> Result<Config, LoadError> {
    let unreadable = |source| LoadError::Unreadable { path: path.to_owned(), source };
    let bytes = read_limited(path).map_err(unreadable)?;
    let source = String::from_utf8(bytes).map_err(|error| not_utf8(path, &error));
    let source = source.map_err(LoadError::Problems)?;
    parse(&source, path).map_err(LoadError::Problems)
}

/// Checks the text of a configuration and the files that it names; `path` is for messages.
///
/// # Errors
/// Every mistake in it.
pub fn parse(source: &str, path: &Path) -> Result<Config, Problems> {
    // A byte order mark would shift the columns of the first line.
    let source = source.strip_prefix('\u{feff}').unwrap_or(source);
    let (document, slips, damage) = syntax::parse(source);
    let mistakes = Mistakes::new(source, slips, damage);
    let root = Table::root(document.get_ref(), &mistakes);
    let config = Config { path: Some(path.to_owned()), ..read(root) };
    let problems = mistakes.into_problems();
    if problems.is_empty() {
        return Ok(config);
    }
    Err(Problems::new(path.to_owned(), source.to_owned(), problems))
}

fn read_limited(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::from(io::ErrorKind::FileTooLarge));
    }
    Ok(bytes)
}

fn not_utf8(path: &Path, error: &std::string::FromUtf8Error) -> Problems {
    let shown = String::from_utf8_lossy(error.as_bytes()).into_owned();
    // Up to here both texts are the same.
    let at = error.utf8_error().valid_up_to();
    let problem = Fault::new("not UTF-8").expected("a file in UTF-8 (TOML v1.0.0, Spec)");
    Problems::new(path.to_owned(), shown, vec![problem.at(at..at)])
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
    let named = table.value("upstream");
    let hint = "a block `[upstream.NAME]` with `servers`";
    let named = named.and_then(|value| table.as_table("upstream", value, hint));
    let blocks = named.map_or(Vec::new(), |table| blocks(&table));
    if let Some(page) = table.table("page") {
        config.page = read_page(page);
    }
    if let Some(log) = table.table("log") {
        config.log = read_log(log);
    }
    table.unavailable("tls");
    table.finish();

    let default = config.listeners.remove(0).address;
    config.listeners = routes::listeners(global, default, &blocks);
    routes::note_collisions(mistakes, &config.listeners, &blocks);
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
    table.finish();
    client
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
    let mut status = usize::from(page.gateway_timeout);
    table.count("gateway_timeout", 0..=usize::MAX, &mut status);
    match status {
        502 => page.gateway_timeout = 502,
        504 => page.gateway_timeout = 504,
        other => {
            let fault = Fault::new(format!("`gateway_timeout` cannot be {other}"));
            table.note_at("gateway_timeout", fault.expected("502 or 504"));
        }
    }
    table.filled_list("languages", language);
    table.finish();
    page
}

fn language(text: &str) -> Result<(), Fault> {
    if text == "en" {
        return Ok(());
    }
    let message = format!("language `{text}` is not available in this version of Causeway");
    Err(Fault::new(message).expected("\"en\""))
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
