//! PHP-FPM's pools and PHP's limits, as their files say: INI in, values out.
//!
//! Only what a failure can be explained with is read: where a pool listens, how many workers it
//! has, what it ends scripts for, and where it tells of itself. `probe` brings the files of the
//! places named here, which are all that a distribution or a panel puts them in; an `include` leads
//! to nothing else there, and none is followed. Pure.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::ServerAddress;

use super::php::{Limits, PoolSettings};

/// Where one kind of installation keeps PHP's files. A `*` stands for any part of one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tree {
    /// One folder a version of PHP.
    pub root: &'static str,
    /// The pools, below it; an absolute one is taken as it is.
    pub pools: &'static [&'static str],
    pub ini: &'static str,
    /// The folder whose `*.ini` are read after it, by name.
    pub scan: &'static str,
}

const fn tree(
    root: &'static str,
    pools: &'static [&'static str],
    ini: &'static str,
    scan: &'static str,
) -> Tree {
    Tree { root, pools, ini, scan }
}

/// Every place.
pub const TREES: [Tree; 11] = [
    // Debian, Hestia, Ondřej Surý's packages.
    tree("/etc/php/*/fpm", &["pool.d/*.conf", "php-fpm.conf"], "php.ini", "conf.d"),
    // RHEL and its like, Fedora.
    tree("/etc", &["php-fpm.d/*.conf", "php-fpm.conf"], "php.ini", "php.d"),
    // Remi's packages beside those.
    tree("/etc/opt/remi/*", &["php-fpm.d/*.conf"], "php.ini", "php.d"),
    // The official image.
    tree("/usr/local/etc", &["php-fpm.d/*.conf"], "php/php.ini", "php/conf.d"),
    // Alpine, Arch.
    tree("/etc/php*", &["php-fpm.d/*.conf", "php-fpm.conf"], "php.ini", "conf.d"),
    // cPanel.
    tree("/opt/cpanel/ea-php*/root/etc", &["php-fpm.d/*.conf"], "php.ini", "php.d"),
    // Plesk.
    tree("/opt/plesk/php/*/etc", &["php-fpm.d/*.conf"], "php.ini", "php.d"),
    // ISPmanager.
    tree("/opt/php*/etc", &["php-fpm.d/*.conf"], "php.ini", "php.d"),
    // DirectAdmin; the pools are the users'.
    tree("/usr/local/php*", &["etc/php-fpm.conf"], "lib/php.ini", "lib/php.conf.d"),
    tree("/usr/local/directadmin/data/users/*/php", &["php-fpm*.conf"], "", ""),
    // aaPanel.
    tree("/www/server/php/*/etc", &["php-fpm.conf", "php-fpm.d/*.conf"], "php.ini", ""),
];

/// The most of one file that is read.
pub const FILE_MAX: u64 = 64 * 1024;
/// Debian's php.ini has 70 kB.
pub const INI_MAX: u64 = 256 * 1024;
/// Pools of one file; a panel has one a file, an administrator's own may have several.
const POOLS_MAX: usize = 256;

/// A pool, and what it sets for PHP.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pool {
    pub settings: PoolSettings,
    /// What stands there goes before php.ini.
    pub limits: Limits,
}

/// Where a pool listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen<'t> {
    Unix(&'t Path),
    /// A host, or `None` for every address of this one, and a port.
    Tcp(Option<&'t str>, u16),
}

/// The pools of a file. What is no line of a pool is passed over: PHP-FPM itself has judged it.
pub fn pools(file: &Path, text: &str) -> Vec<Pool> {
    let mut pools: Vec<Pool> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if let Some(name) = section(line) {
            // [global] is the master's (php-fpm.conf).
            inside = name != "global" && pools.len() < POOLS_MAX;
            if inside {
                let settings =
                    PoolSettings { file: file.into(), name: name.into(), ..Default::default() };
                pools.push(Pool { settings, ..Pool::default() });
            }
        } else if let (true, Some(pool), Some((key, value))) =
            (inside, pools.last_mut(), assignment(line))
        {
            pool.set(key, value.replace("$pool", &pool.settings.name));
        }
    }
    pools
}

/// What php.ini sets, over what stood before it.
pub fn limits(file: &Path, text: &str, limits: &mut Limits) {
    for (key, value) in text.lines().filter_map(assignment) {
        if limits.set(key, value) && limits.file.as_os_str().is_empty() {
            limits.file = file.into();
        }
    }
}

impl Pool {
    fn set(&mut self, key: &str, value: String) {
        let pool = &mut self.settings;
        match key {
            "listen" => pool.listen = Some(value),
            "pm" => pool.manager = Some(value),
            "pm.max_children" => pool.max_children = value.parse().ok(),
            "request_terminate_timeout" => pool.request_terminate_timeout = time(&value),
            "request_slowlog_timeout" => pool.request_slowlog_timeout = time(&value),
            "slowlog" => pool.slowlog = Some(value.into()),
            "pm.status_path" => pool.status_path = Some(value),
            "pm.status_listen" => pool.status_listen = Some(value),
            _ => match setting(key) {
                Some("error_log") => pool.error_log = Some(value.into()),
                Some("session.save_path") => pool.session_save_path = save_path(&value),
                Some(name) => {
                    self.limits.set(name, &value);
                }
                None => {}
            },
        }
    }
}

impl Limits {
    /// Whether the key is one of them.
    fn set(&mut self, key: &str, value: &str) -> bool {
        match key {
            "max_execution_time" => self.max_execution_time = time(value),
            "memory_limit" => self.memory_limit_bytes = bytes(value),
            "post_max_size" => self.post_max_bytes = bytes(value),
            "upload_max_filesize" => self.upload_max_bytes = bytes(value),
            "session.save_path" => self.session_save_path = save_path(value),
            _ => return false,
        }
        true
    }

    /// What a pool sets goes before these.
    pub fn overridden(self, pool: &Limits) -> Limits {
        Limits {
            file: self.file,
            max_execution_time: pool.max_execution_time.or(self.max_execution_time),
            memory_limit_bytes: pool.memory_limit_bytes.or(self.memory_limit_bytes),
            post_max_bytes: pool.post_max_bytes.or(self.post_max_bytes),
            upload_max_bytes: pool.upload_max_bytes.or(self.upload_max_bytes),
            session_save_path: self.session_save_path,
        }
    }
}

/// `[www]`
fn section(line: &str) -> Option<&str> {
    let (name, _) = line.trim().strip_prefix('[')?.split_once(']')?;
    Some(name.trim())
}

/// `key = value ; comment`, the value in quotation marks or not.
fn assignment(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once('=')?;
    let (key, value) = (key.trim(), value.trim());
    if key.is_empty() || key.starts_with([';', '#']) {
        return None;
    }
    let quoted = |mark| value.strip_prefix(mark)?.split_once(mark).map(|(inner, _)| inner);
    let value = match quoted('"').or_else(|| quoted('\'')) {
        Some(inner) => inner,
        None => value.split(';').next().unwrap_or_default().trim(),
    };
    Some((key, value))
}

/// `memory_limit` in `php_admin_value[memory_limit]`.
fn setting(key: &str) -> Option<&str> {
    let (kind, name) = key.strip_suffix(']')?.split_once('[')?;
    matches!(kind.trim(), "php_value" | "php_admin_value").then_some(name.trim())
}

/// PHP-FPM's units of time; none is a second, and nothing sets no limit.
fn time(value: &str) -> Option<Duration> {
    let digits = value.trim_end_matches(|c: char| !c.is_ascii_digit());
    let seconds: u64 = match value[digits.len()..].trim() {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    let number: u64 = digits.parse().ok()?;
    (number > 0).then(|| Duration::from_secs(number.saturating_mul(seconds)))
}

/// PHP's shorthand for bytes; -1 is no limit.
fn bytes(value: &str) -> Option<u64> {
    let digits = value.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit: u64 = match value[digits.len()..].trim() {
        "" => 1,
        "K" | "k" => 1 << 10,
        "M" | "m" => 1 << 20,
        "G" | "g" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok().map(|number| number.saturating_mul(unit))
}

/// `N;MODE;/path`: what comes before the path says how it is split.
fn save_path(value: &str) -> Option<PathBuf> {
    let path = value.rsplit(';').next()?;
    // One of Redis or memcached is an address, and theirs has no locks of files.
    path.starts_with('/').then(|| path.into())
}

/// What `listen` means; `None` where it is neither.
pub fn listen(value: &str) -> Option<Listen<'_>> {
    if value.starts_with('/') {
        return Some(Listen::Unix(Path::new(value)));
    }
    match value.rsplit_once(':') {
        None => Some(Listen::Tcp(None, value.parse().ok()?)),
        Some((host, port)) => {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let host = (!matches!(host, "" | "*" | "0.0.0.0" | "::")).then_some(host);
            Some(Listen::Tcp(host, port.parse().ok()?))
        }
    }
}

/// Whether what a server's address leads to is this. `canonical` is the address's path without
/// links.
pub fn leads_to(listened: &str, address: &ServerAddress, canonical: Option<&Path>) -> bool {
    match (listen(listened), address) {
        (Some(Listen::Unix(path)), ServerAddress::Unix(wanted)) => {
            is_same_path(path, wanted) || canonical == Some(path)
        }
        (Some(Listen::Tcp(host, port)), ServerAddress::Ip(wanted)) => {
            let is_it = |host: &str| {
                let named = host.eq_ignore_ascii_case("localhost") && wanted.ip().is_loopback();
                named || host.parse().is_ok_and(|ip: std::net::IpAddr| ip == wanted.ip())
            };
            port == wanted.port() && host.is_none_or(is_it)
        }
        (Some(Listen::Tcp(host, port)), ServerAddress::Name { host: wanted, port: at }) => {
            let local = |host: &str| matches!(host, "127.0.0.1" | "::1" | "localhost");
            let is_it =
                |host: &str| host.eq_ignore_ascii_case(wanted) || local(host) && local(wanted);
            port == *at && host.is_none_or(is_it)
        }
        (Some(Listen::Unix(_)), ServerAddress::Ip(_) | ServerAddress::Name { .. })
        | (Some(Listen::Tcp(..)), ServerAddress::Unix(_))
        | (None, _) => false,
    }
}

/// /var/run is a link to /run everywhere, whether the socket is there or not.
fn is_same_path(path: &Path, other: &Path) -> bool {
    let below = |path: &Path| match path.strip_prefix("/var/run") {
        Ok(rest) => Path::new("/run").join(rest),
        Err(_) => path.to_owned(),
    };
    below(path) == below(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Debian's, as its package brings it, with what an administrator adds.
    const WWW: &str = "; Start a new pool named 'www'.
[global]
error_log = /var/log/php8.2-fpm.log
[www]
user = www-data
listen = /run/php/$pool.sock
;listen = 127.0.0.1:9000
pm = dynamic
pm.max_children = 5 ; as many as fit
pm.status_path = \"/status\"
pm.status_listen = 127.0.0.1:9001
request_terminate_timeout = 2m
request_slowlog_timeout = 5s
slowlog = /var/log/$pool.slow.log
php_admin_value[error_log] = /var/log/fpm-php.www.log
php_admin_value[memory_limit] = 32M
php_value[session.save_path] = '2;0600;/var/lib/php/sessions'
[api]
listen = 127.0.0.1:9000
pm = static
pm.max_children = many
request_terminate_timeout = 0
";

    #[test]
    fn a_file_of_pools_is_read() {
        let found = pools(Path::new("/etc/php/8.2/fpm/pool.d/www.conf"), WWW);
        let [www, api] = &found[..] else { panic!("{found:?}") };
        let expected = PoolSettings {
            file: "/etc/php/8.2/fpm/pool.d/www.conf".into(),
            name: "www".into(),
            listen: Some("/run/php/www.sock".into()),
            manager: Some("dynamic".into()),
            max_children: Some(5),
            request_terminate_timeout: Some(Duration::from_secs(120)),
            request_slowlog_timeout: Some(Duration::from_secs(5)),
            slowlog: Some("/var/log/www.slow.log".into()),
            error_log: Some("/var/log/fpm-php.www.log".into()),
            status_path: Some("/status".into()),
            status_listen: Some("127.0.0.1:9001".into()),
            session_save_path: Some("/var/lib/php/sessions".into()),
        };
        assert_eq!(www.settings, expected);
        assert_eq!(www.limits.memory_limit_bytes, Some(32 << 20));
        assert_eq!(
            (api.settings.max_children, api.settings.request_terminate_timeout),
            (None, None)
        );
    }

    #[test]
    fn whatever_stands_in_a_file_is_survived() {
        for end in 0..WWW.len() {
            pools(Path::new("/x"), &WWW[..end]);
            pools(Path::new("/x"), &WWW[end..]);
        }
        for text in ["[", "[]", "[a]\n=", "[a]\nlisten", "[a]\nphp_value[=1", "[a]\nslowlog=\""] {
            assert!(pools(Path::new("/x"), text).len() <= 1, "{text}");
        }
        assert_eq!(pools(Path::new("/x"), &"[a]\n".repeat(1000)).len(), POOLS_MAX);
    }

    #[test]
    fn limits_of_php_are_read_and_a_pool_goes_before_them() {
        let mut found = Limits::default();
        let text = "[PHP]\nmax_execution_time = 30\nmemory_limit = 128M\npost_max_size=8M\n\
                    ; upload_max_filesize = 1M\nupload_max_filesize = \"2M\"\nmemory_limit = -1\n";
        limits(Path::new("/etc/php.ini"), text, &mut found);
        assert_eq!(found.max_execution_time, Some(Duration::from_secs(30)));
        assert_eq!(found.memory_limit_bytes, None);
        assert_eq!(found.upload_max_bytes, Some(2 << 20));
        let pool = Limits { post_max_bytes: Some(1), ..Limits::default() };
        assert_eq!(found.overridden(&pool).post_max_bytes, Some(1));
    }

    #[test]
    fn units_are_those_of_php() {
        for (value, seconds) in [("30", 30), ("30s", 30), ("2m", 120), ("1h", 3600), ("1d", 86_400)]
        {
            assert_eq!(time(value), Some(Duration::from_secs(seconds)), "{value}");
        }
        for value in ["", "0", "0s", "x", "1w", "-1", "99999999999999999999s"] {
            assert_eq!(time(value), None, "{value}");
        }
        for (value, number) in [("0", 0), ("1k", 1024), ("8M", 8 << 20), ("2G", 2 << 30)] {
            assert_eq!(bytes(value), Some(number), "{value}");
        }
        assert_eq!((bytes("-1"), bytes(""), bytes("8MB")), (None, None, None));
    }

    #[test]
    fn a_pool_is_found_by_where_it_listens() {
        let unix = |path: &str| ServerAddress::Unix(path.into());
        let ip = |text: &str| ServerAddress::Ip(text.parse().unwrap());
        let name = |host: &str| ServerAddress::Name { host: host.to_owned(), port: 9000 };
        for (listened, address, is_it) in [
            ("/run/php/www.sock", unix("/run/php/www.sock"), true),
            ("/var/run/php/www.sock", unix("/run/php/www.sock"), true),
            ("/run/php/www.sock", unix("/run/php/api.sock"), false),
            ("9000", ip("127.0.0.1:9000"), true),
            ("9000", ip("127.0.0.1:9001"), false),
            ("127.0.0.1:9000", ip("127.0.0.1:9000"), true),
            ("127.0.0.2:9000", ip("127.0.0.1:9000"), false),
            ("[::]:9000", ip("127.0.0.1:9000"), true),
            ("[::1]:9000", ip("[::1]:9000"), true),
            ("localhost:9000", ip("[::1]:9000"), true),
            ("localhost:9000", ip("192.0.2.1:9000"), false),
            ("127.0.0.1:9000", name("localhost"), true),
            ("127.0.0.1:9000", name("php.example"), false),
            ("*:9000", name("php.example"), true),
            ("/run/php/www.sock", ip("127.0.0.1:9000"), false),
            ("nonsense", ip("127.0.0.1:9000"), false),
        ] {
            assert_eq!(leads_to(listened, &address, None), is_it, "{listened} {address:?}");
        }
        let link = unix("/run/php/php-fpm.sock");
        assert!(leads_to("/run/php/www.sock", &link, Some(Path::new("/run/php/www.sock"))));
    }
}
