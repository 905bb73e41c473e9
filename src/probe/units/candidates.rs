//! Which unit is a server, by what is installed here and what its configuration names: the port or
//! the socket that our configuration has.
//!
//! Reads files of the administrator's at well-known places, each bounded, and no more than so many.
//! Nothing is parsed in full: a line that names the address is enough.

use std::fs;
use std::path::{Path, PathBuf};

use crate::config::{Scheme, ServerAddress};
use crate::diagnose::around::KnownBy;
use crate::diagnose::{PhpVersion, php_version};
use crate::probe::look::Question;
use crate::probe::read;

/// Files of one folder, and how much of each.
const FILES_MAX: usize = 128;
const BYTES_MAX: u64 = 64 * 1024;
/// Units that are asked for at most.
const CANDIDATES_MAX: usize = 4;

/// Pools of PHP-FPM: a folder, below each of its children another folder, and the unit, in which
/// `{}` is the child's name without what stands before its number.
const POOLS: [(&str, &str, &str); 5] = [
    ("/etc/php", "fpm/pool.d", "php{}-fpm.service"),
    ("/etc/opt/remi", "php-fpm.d", "php{}-php-fpm.service"),
    ("/opt/cpanel", "root/etc/php-fpm.d", "ea-php{}-php-fpm.service"),
    ("/opt/plesk/php", "etc/php-fpm.d", "plesk-php{}-fpm.service"),
    ("/usr/local/php", "etc/php-fpm.d", "php{}-php-fpm.service"),
];
/// The same where there is one version alone.
const ONE_POOL: (&str, &str) = ("/etc/php-fpm.d", "php-fpm.service");

/// Web servers: files and folders of theirs, the word before an address, the unit.
const WEB: [(&[&str], &str, &str); 3] = [
    (
        &[
            "/etc/apache2/ports.conf",
            "/etc/apache2/apache2.conf",
            "/etc/apache2/sites-enabled",
            "/etc/apache2/conf-enabled",
            "/etc/apache2/conf.d",
        ],
        "Listen",
        "apache2.service",
    ),
    (&["/etc/httpd/conf/httpd.conf", "/etc/httpd/conf.d"], "Listen", "httpd.service"),
    (
        &["/etc/nginx/nginx.conf", "/etc/nginx/conf.d", "/etc/nginx/sites-enabled"],
        "listen",
        "nginx.service",
    ),
];

/// Where units' files lie, the administrator's own first (systemd.unit(5)).
const UNITS: [&str; 4] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];
/// Those that the administrator wrote; a package's units name no port.
const OWN_UNITS: usize = 2;

/// What a server is found by.
struct Wanted<'a> {
    path: Option<&'a Path>,
    port: Option<u16>,
}

/// The likeliest first.
pub fn candidates(question: &Question) -> Vec<(String, KnownBy)> {
    let server = question.server();
    let wanted = match (&server.address, question.address) {
        (ServerAddress::Unix(path), _) => Wanted { path: Some(path), port: None },
        (ServerAddress::Ip(address), _) => Wanted { path: None, port: Some(address.port()) },
        (ServerAddress::Name { port, .. }, _) => Wanted { path: None, port: Some(*port) },
    };
    let mut out = Vec::new();
    match server.scheme {
        Scheme::FastCgi => {
            pools(&wanted, &mut out);
            custom(&wanted, &mut out);
            if out.is_empty() {
                match wanted.path.and_then(php_version) {
                    Some(version) => versions(version, &mut out),
                    None => only_fpm(&mut out),
                }
            }
        }
        Scheme::Http | Scheme::Https | Scheme::H2c => {
            web(&wanted, &mut out);
            custom(&wanted, &mut out);
        }
    }
    let ours = own_unit();
    out.retain(|(name, _)| Some(name) != ours.as_ref());
    out.dedup();
    out.truncate(CANDIDATES_MAX);
    out
}

/// Pools that listen there.
fn pools(wanted: &Wanted<'_>, out: &mut Vec<(String, KnownBy)>) {
    let mut add = |folder: &Path, unit: String| {
        let listens = files(folder).iter().any(|file| {
            let text = read::head(file, BYTES_MAX);
            text.found().is_some_and(|text| wanted.is_named(text, "listen"))
        });
        if listens {
            out.push((unit, KnownBy::Configured));
        }
    };
    for (folder, below, unit) in POOLS {
        for child in files(Path::new(folder)) {
            let name = child.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let number = name.trim_start_matches("ea-").trim_start_matches("php");
            let is_number = |c: char| c.is_ascii_digit() || c == '.';
            if number.is_empty() || !number.chars().all(is_number) {
                continue;
            }
            // Debian alone keeps the dot in the unit's name.
            let number = if folder == "/etc/php" { number.into() } else { number.replace('.', "") };
            add(&child.join(below), unit.replace("{}", &number));
        }
    }
    add(Path::new(ONE_POOL.0), ONE_POOL.1.to_owned());
}

/// By the version in the socket's path: what distributions and panels call its unit.
fn versions(version: PhpVersion, out: &mut Vec<(String, KnownBy)>) {
    let PhpVersion { major, minor } = version;
    let names = [
        format!("php{major}.{minor}-fpm.service"),
        format!("php{major}{minor}-php-fpm.service"),
        format!("ea-php{major}{minor}-php-fpm.service"),
        format!("plesk-php{major}{minor}-fpm.service"),
    ];
    let there = names.iter().find(|name| is_installed(name));
    out.push((there.unwrap_or(&names[0]).clone(), KnownBy::Version));
}

/// The one unit of PHP-FPM that is installed, whatever it listens at.
fn only_fpm(out: &mut Vec<(String, KnownBy)>) {
    let mut found: Vec<String> =
        UNITS.iter().flat_map(|folder| files(Path::new(folder))).filter_map(named).collect();
    found.retain(|name| {
        name.contains("php") && name.ends_with("fpm.service") && !name.contains('@')
    });
    found.sort_unstable();
    found.dedup();
    if let [only] = found.as_slice() {
        out.push((only.clone(), KnownBy::Guess));
    }
}

/// Web servers whose configuration names the address.
fn web(wanted: &Wanted<'_>, out: &mut Vec<(String, KnownBy)>) {
    for (places, directive, unit) in WEB {
        let mut files = places.iter().flat_map(|place| files_at(Path::new(place)));
        let listens = files.any(|file| {
            let text = read::head(&file, BYTES_MAX);
            text.found().is_some_and(|text| wanted.is_named(text, directive))
        });
        if listens {
            out.push((unit.to_owned(), KnownBy::Configured));
        }
    }
}

/// Units that the administrator wrote, whose command or environment names the address; and sockets
/// of systemd that wait there, each for the service of its name.
fn custom(wanted: &Wanted<'_>, out: &mut Vec<(String, KnownBy)>) {
    for (at, folder) in UNITS.iter().enumerate() {
        for file in files(Path::new(folder)) {
            let Some(name) = named(file.clone()) else { continue };
            let is_own = at < OWN_UNITS;
            let (unit, is_it) = match name.rsplit_once('.') {
                Some((stem, "socket")) => (format!("{stem}.service"), listens_at as Names),
                Some((_, "service")) if is_own => (name, runs_with as Names),
                // A drop-in belongs to the unit that its folder is called after.
                Some((unit, "d")) if is_own && unit.ends_with(".service") => {
                    (unit.to_owned(), runs_with as Names)
                }
                _ => continue,
            };
            let found = files_at(&file).iter().any(|file| {
                let text = read::head(file, BYTES_MAX);
                text.found().is_some_and(|text| is_it(wanted, text))
            });
            if found && !out.iter().any(|(known, _)| *known == unit) {
                out.push((unit, KnownBy::Configured));
            }
        }
    }
}

type Names = fn(&Wanted<'_>, &str) -> bool;

fn listens_at(wanted: &Wanted<'_>, text: &str) -> bool {
    wanted.is_named(text, "ListenStream")
}

fn runs_with(wanted: &Wanted<'_>, text: &str) -> bool {
    let lines = text.lines().map(str::trim_start);
    let mut lines = lines.filter(|line| {
        // Also the further lines of a command, which begin with anything.
        let is_remark = line.starts_with(['#', ';', '[']);
        let key = line.split_once('=').map_or("", |(key, _)| key);
        // A setting that is no command: CPUQuota=80%, TimeoutStartSec=3000.
        let is_setting = key.starts_with(char::is_uppercase)
            && key.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && !key.starts_with("Exec")
            && !key.starts_with("Environment");
        // Whoever asks it is not the server.
        !is_remark && !is_setting && !line.contains("://")
    });
    lines.any(|line| wanted.is_within(line))
}

impl Wanted<'_> {
    /// Whether a line of a configuration gives this address after `directive`.
    fn is_named(&self, text: &str, directive: &str) -> bool {
        let mut section = "";
        text.lines().map(str::trim).any(|line| {
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                section = name;
            }
            let Some(head) = line.get(..directive.len()) else { return false };
            let rest = &line[head.len()..];
            let is_whole = rest.starts_with(|c: char| c.is_ascii_whitespace() || c == '=');
            head.eq_ignore_ascii_case(directive) && is_whole && {
                let value = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '=');
                let end = value.find(|c: char| c.is_ascii_whitespace() || c == ';');
                let value = value[..end.unwrap_or(value.len())].trim_matches('"');
                // PHP-FPM's own variable for the name of the pool.
                self.is_value(&value.replace("$pool", section))
            }
        })
    }

    /// `80`, `127.0.0.1:80`, `[::]:80`, `/run/app.sock`, `unix:/run/app.sock`
    fn is_value(&self, value: &str) -> bool {
        let path = value.strip_prefix("unix:").unwrap_or(value);
        if let (Some(wanted), true) = (self.path, path.starts_with('/')) {
            return wanted == Path::new(path)
                || without_link(wanted) == without_link(path.as_ref());
        }
        let port = value.rsplit_once(':').map_or(value, |(_, port)| port);
        self.port.is_some() && port.parse().ok() == self.port
    }

    /// Whether the address stands in a line as a word of its own.
    fn is_within(&self, line: &str) -> bool {
        let word = match (self.path, self.port) {
            (Some(path), _) => path.to_string_lossy().into_owned(),
            (None, Some(port)) => port.to_string(),
            (None, None) => return false,
        };
        line.match_indices(&word).any(|(at, _)| {
            let joins = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_');
            // `-p8080` is one way to give a port.
            let before = line[..at].trim_end_matches(|c: char| self.port.is_some() && c == 'p');
            let is_begun = before.ends_with(|c: char| !joins(c)) || before.is_empty();
            is_begun && !line[at + word.len()..].starts_with(joins)
        })
    }
}

/// /var/run is a link to /run where both are.
fn without_link(path: &Path) -> PathBuf {
    path.strip_prefix("/var").map_or_else(|_| path.to_owned(), |rest| Path::new("/").join(rest))
}

fn is_installed(unit: &str) -> bool {
    UNITS.iter().any(|folder| fs::symlink_metadata(Path::new(folder).join(unit)).is_ok())
}

/// The unit in whose control group we run ourselves (proc_pid_cgroup(5)).
fn own_unit() -> Option<String> {
    let group = read::head(Path::new("/proc/self/cgroup"), BYTES_MAX);
    let unit = group.found()?.lines().find_map(|line| line.strip_prefix("0::"))?;
    Some(unit.rsplit('/').next()?.to_owned())
}

/// A file, or the files of a folder.
fn files_at(place: &Path) -> Vec<PathBuf> {
    match place.is_dir() {
        true => files(place),
        false => vec![place.to_owned()],
    }
}

/// What is in a folder, by name.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().take(FILES_MAX * 4).flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort_unstable();
    paths
}

fn named(path: PathBuf) -> Option<String> {
    path.file_name().and_then(|name| name.to_str()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(port: u16) -> Wanted<'static> {
        Wanted { path: None, port: Some(port) }
    }

    fn socket(path: &'static str) -> Wanted<'static> {
        Wanted { path: Some(Path::new(path)), port: None }
    }

    #[test]
    fn a_line_names_an_address_in_every_programs_way() {
        for (wanted, directive, text, is_named) in [
            (port(8080), "Listen", "Listen 8080\n", true),
            (port(8080), "Listen", "  listen 127.0.0.1:8080 http\n", true),
            (port(8080), "Listen", "Listen [::]:8080", true),
            (port(8080), "Listen", "#Listen 8080\nListen 80\nListenBacklog 8080", false),
            (port(8080), "listen", "server { listen 80;\n listen 8080 default_server;", true),
            (port(8080), "listen", "listen 8080;", true),
            (port(80), "listen", "listen 8080;", false),
            (port(9000), "listen", "[www]\nlisten = 127.0.0.1:9000\n", true),
            (port(9000), "ListenStream", "[Socket]\nListenStream=0.0.0.0:9000", true),
            (socket("/run/php/www.sock"), "listen", "[www]\nlisten = /run/php/$pool.sock", true),
            (socket("/run/php/www.sock"), "listen", "listen=/var/run/php/www.sock", true),
            (socket("/run/php/www.sock"), "listen", "listen.owner = /run/php/www.sock", false),
            (socket("/run/php/www.sock"), "listen", "listen = 9000", false),
            (socket("/run/app.sock"), "listen", "listen unix:/run/app.sock;", true),
            (port(8080), "Listen", "Listen", false),
            (port(8080), "Listen", "Lïsten 8080", false),
        ] {
            assert_eq!(wanted.is_named(text, directive), is_named, "{directive} {text}");
        }
    }

    #[test]
    fn a_command_names_an_address_as_a_word() {
        for (wanted, text, is_within) in [
            (port(3000), "ExecStart=/usr/bin/node app.js --port 3000", true),
            (port(3000), "Environment=PORT=3000", true),
            (port(3000), "ExecStart=/bin/app \\\n  --bind 127.0.0.1:3000", true),
            (port(3000), "ExecStart=/bin/app -p3000", true),
            (port(3000), "ExecStart=/bin/app --port 13000", false),
            (port(3000), "ExecStart=/bin/app --size 3000m", false),
            (port(3000), "# 3000\nDescription=listens at 3000", false),
            (socket("/run/app.sock"), "ExecStart=/bin/app --bind unix:/run/app.sock", true),
            (socket("/run/app.sock"), "ExecStart=/bin/app --bind /run/app.sock.old", false),
        ] {
            assert_eq!(runs_with(&wanted, text), is_within, "{text}");
        }
    }

    #[test]
    fn a_version_of_php_names_its_unit() {
        let mut out = Vec::new();
        versions(PhpVersion { major: 6, minor: 0 }, &mut out);
        assert_eq!(out, [("php6.0-fpm.service".to_owned(), KnownBy::Version)]);
    }
}
