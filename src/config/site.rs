//! `root`, `index`, `try`, `deny` and `symlinks` of a FastCGI block: what its paths mean.
//!
//! Pure: decides what the keys say by themselves. Whether the root exists is not asked, since PHP
//! may live on another host; what a request's path then means is decided in the room `files`.

use std::path::PathBuf;

use super::error::Fault;
use super::glob::glob;
use super::nearest::nearest;
use super::reader::Table;
use super::{Files, Symlinks, Try};

const KEYS: [&str; 5] = ["root", "index", "try", "deny", "symlinks"];
const ROOT: &str = "root = \"/var/www/site\"";
const TRY: &str =
    "\"{path}\", \"{path}/\", and at the end a path such as \"/index.php\" or \"=404\"";

/// Never handed out unless the operator's own `deny` takes the place of this: what editors, dumps
/// and careless deployments leave in a site's folder, and the settings that its program reads.
pub const DENY: [&str; 36] = [
    // Left behind by editors and by hand.
    "*~",
    "*.bak",
    "*.old",
    "*.orig",
    "*.save",
    "*.swp",
    "*.swo",
    "*.tmp",
    // Settings.
    "*.ini",
    "*.conf",
    "*.cnf",
    "*.env",
    "*.yml",
    "*.yaml",
    "*.toml",
    "*.lock",
    "composer.json",
    "package.json",
    "package-lock.json",
    "web.config",
    "wp-config*.*",
    // Data and logs.
    "*.sql",
    "*.sql.*",
    "*.sqlite",
    "*.sqlite3",
    "*.db",
    "*.db3",
    "*.mdb",
    "*.dump",
    "*.log",
    "error_log",
    // Keys.
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "id_rsa",
];

impl Files {
    /// A site of which only the root is set: every other key at its default.
    pub fn new(root: PathBuf) -> Files {
        let index = vec!["index.php".to_owned(), "index.html".to_owned()];
        let deny = DENY.iter().map(|text| glob(text).expect("a test reads each")).collect();
        let attempts = usual_attempts(&index);
        Files { root, index, attempts, deny, symlinks: Symlinks::Inside }
    }
}

/// The file, the folder, and then the site's front controller: the first index that PHP runs.
fn usual_attempts(index: &[String]) -> Vec<Try> {
    let front = index.iter().find(|name| name.ends_with(".php"));
    let last = front.map_or(Try::NotFound, |name| Try::Fallback(format!("/{name}")));
    vec![Try::File, Try::Folder, last]
}

/// Takes the keys out of the block `name`.
///
/// `fastcgi` is whether the block's servers speak it, `None` if that is not known. Notes what is
/// missing, or does not belong.
pub fn files(table: &mut Table<'_>, name: &str, fastcgi: Option<bool>) -> Option<Files> {
    let root = table.parsed("root", root);
    let index = table.filled_list("index", file_name);
    let attempts = table.filled_list("try", attempt);
    let deny = table.parsed_list("deny", glob);
    let mut symlinks = Symlinks::Inside;
    let words = [("inside", Symlinks::Inside), ("anywhere", Symlinks::Anywhere)];
    table.choice("symlinks", &words, &mut symlinks);
    note_order(table, attempts.as_deref().unwrap_or_default());
    match fastcgi {
        Some(true) if !table.has("root") && !table.mistakes.may_lack_keys(table.span.start) => {
            let fault = Fault::new(format!("FastCGI upstream `{name}` has no `root`"));
            table.note_at("servers", fault.expected(ROOT));
        }
        Some(false) => KEYS.iter().for_each(|key| note_foreign(table, key)),
        Some(true) | None => {}
    }
    let mut files = Files::new(root?);
    if let Some(index) = index {
        files.attempts = usual_attempts(&index);
        files.index = index;
    }
    files.attempts = attempts.unwrap_or(files.attempts);
    files.deny = deny.unwrap_or(files.deny);
    files.symlinks = symlinks;
    (fastcgi == Some(true)).then_some(files)
}

/// Notes a key that only a FastCGI block has, if it is there.
pub fn note_foreign(table: &Table<'_>, key: &'static str) {
    let fault = Fault::new(format!("`{key}` belongs to a FastCGI block"));
    let expected = format!("servers with fastcgi:// or fastcgi+unix:, or no `{key}`");
    table.note_at(key, fault.expected(expected));
}

/// What always gives an answer stands last, and nothing is tried twice. An element that could not
/// be read has been told already, and shifts the others.
fn note_order(table: &Table<'_>, attempts: &[Try]) {
    if table.length("try") != attempts.len() {
        return;
    }
    for (at, attempt) in attempts.iter().enumerate() {
        let is_end = match attempt {
            Try::File | Try::Folder => false,
            Try::Fallback(_) | Try::NotFound => true,
        };
        if is_end && at + 1 < attempts.len() {
            let fault = Fault::new(format!("nothing after `{attempt}` is ever tried"));
            let fault = fault.expected(format!("`{attempt}` as the last element"));
            table.note_at_element("try", at, fault);
        } else if attempts[..at].contains(attempt) {
            let fault = Fault::new(format!("`{attempt}` is tried twice"));
            table.note_at_element("try", at, fault.expected(TRY));
        }
    }
}

/// Reads `root`: it may end with a slash, but is not the whole host.
fn root(text: &str) -> Result<PathBuf, Fault> {
    let trimmed = text.trim_end_matches('/');
    let wrong = |why: &str| Err(Fault::new(format!("`{text}` {why}")).expected(ROOT));
    if !text.starts_with('/') || text.chars().any(char::is_control) {
        return wrong("is not an absolute path");
    }
    if trimmed.is_empty() {
        return wrong("would publish the whole host");
    }
    if trimmed.split('/').skip(1).any(|name| matches!(name, "" | "." | "..")) {
        return wrong("has an empty, `.` or `..` segment");
    }
    Ok(PathBuf::from(trimmed))
}

/// Reads an element of `index`.
fn file_name(text: &str) -> Result<String, Fault> {
    let odd = |c: char| c == '/' || c == '\\' || c.is_control();
    if text.is_empty() || text.starts_with('.') || text.contains(odd) || text.len() > 255 {
        let fault = Fault::new(format!("`{text}` is not the name of a file"));
        return Err(fault.expected("a name without a path, e.g. \"index.php\""));
    }
    Ok(text.to_owned())
}

/// Reads an element of `try`.
fn attempt(text: &str) -> Result<Try, Fault> {
    match text {
        "{path}" => return Ok(Try::File),
        "{path}/" => return Ok(Try::Folder),
        "=404" => return Ok(Try::NotFound),
        _ => {}
    }
    let fault = Fault::new(format!("`{text}` is nothing to try")).expected(TRY);
    if text.starts_with('=') {
        return Err(fault.nearest(Some("=404")));
    }
    if !text.starts_with('/') {
        // nginx writes `$uri` for what is `{path}` here.
        let meant = match text {
            "$uri" => Some("{path}"),
            "$uri/" => Some("{path}/"),
            _ => nearest(text, ["{path}", "{path}/"]),
        };
        return Err(fault.nearest(meant));
    }
    if let Some((path, _)) = text.split_once('?') {
        // PHP finds the query in QUERY_STRING and the whole address in REQUEST_URI.
        let fault = Fault::new(format!("`{text}` has a query"));
        let fault = fault.expected("the path alone; a request keeps its own query");
        return Err(fault.nearest(attempt(path).is_ok().then_some(path)));
    }
    let plain = |name: &str| file_name(name).is_ok() && !name.contains(['{', '}', '%', '$']);
    if !text.split('/').skip(1).all(plain) {
        return Err(fault);
    }
    Ok(Try::Fallback(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots() {
        for (text, path) in
            [("/var/www/site", "/var/www/site"), ("/srv/", "/srv"), ("/a b/ü//", "/a b/ü")]
        {
            assert_eq!(root(text), Ok(PathBuf::from(path)));
        }
        for text in ["", "var/www", "/", "//", "/a/../b", "/a/./b", "/a//b", "/a\0", "/a\n"] {
            assert!(root(text).is_err(), "{text}");
        }
    }

    #[test]
    fn attempts() {
        let fallback = |text: &str| Try::Fallback(text.to_owned());
        for (text, expected) in [
            ("{path}", Try::File),
            ("{path}/", Try::Folder),
            ("=404", Try::NotFound),
            ("/index.php", fallback("/index.php")),
            ("/app/public/front.php", fallback("/app/public/front.php")),
        ] {
            assert_eq!(attempt(text), Ok(expected.clone()));
            assert_eq!(expected.to_string(), text);
        }
        for (text, near) in [
            ("", None),
            ("$uri", Some("{path}")),
            ("$uri/", Some("{path}/")),
            ("{Path}", Some("{path}")),
            ("=403", Some("=404")),
            ("=", Some("=404")),
            ("index.php", None),
            ("/index.php?q={path}", Some("/index.php")),
            ("/{path}", None),
            ("/$uri", None),
            ("/a/../b.php", None),
            ("/.git/x", None),
            ("/a//b", None),
            ("/", None),
            ("/a%20b", None),
            ("@named", None),
        ] {
            assert_eq!(attempt(text).unwrap_err().nearest.as_deref(), near, "{text}");
        }
    }

    #[test]
    fn defaults() {
        let files = Files::new(PathBuf::from("/srv"));
        let written: Vec<String> = files.deny.iter().map(ToString::to_string).collect();
        assert_eq!(written, DENY);
        let front = Try::Fallback("/index.php".to_owned());
        assert_eq!(files.attempts, [Try::File, Try::Folder, front]);
        let plain = usual_attempts(&["index.html".to_owned()]);
        assert_eq!(plain, [Try::File, Try::Folder, Try::NotFound]);
    }
}
