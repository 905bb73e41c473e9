//! Which databases and caches a site is set up for, by wp-config.php or .env: hosts, ports and
//! sockets alone. No password is kept, nor a name that is not one of a host. Pure.

use std::net::IpAddr;
use std::path::PathBuf;

use super::helpers::HelperKind;

/// Names of hosts are no longer (RFC 1035 section 2.3.4), paths of sockets far shorter.
const NAME_MAX: usize = 255;
/// Helpers that one site names.
const NAMED_MAX: usize = 8;

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub kind: HelperKind,
    pub place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// An address, or `localhost`.
    Ip(IpAddr, u16),
    /// A name that we do not ask for.
    Name(String, u16),
    Unix(PathBuf),
    /// `localhost` to MySQL's client library: its socket, wherever that is.
    Local(u16),
}

/// What wp-config.php defines, by `define('DB_HOST', '…')` in lines of their own.
pub fn wordpress(text: &str) -> Vec<Named> {
    named(&text.lines().filter_map(defined).collect::<Vec<_>>())
}

/// What .env says.
pub fn dotenv(text: &str) -> Vec<Named> {
    named(&text.lines().filter_map(assigned).collect::<Vec<_>>())
}

fn named(pairs: &[(&str, &str)]) -> Vec<Named> {
    use HelperKind::{Memcached, Mysql, Postgresql, Redis};
    // The last one counts.
    let value = |key: &str| pairs.iter().rev().find(|(found, _)| *found == key).map(|(_, v)| *v);
    let database = match value("DB_CONNECTION") {
        Some("pgsql") => Some(Postgresql),
        Some("mysql" | "mariadb") | None => Some(Mysql),
        Some(_) => None,
    };
    let mut found = Vec::new();
    if let Some(kind) = database {
        let socket = value("DB_SOCKET").filter(|path| path.starts_with('/'));
        found.push((kind, socket.or(value("DB_HOST")), value("DB_PORT")));
    }
    let redis = value("WP_REDIS_PATH").or(value("WP_REDIS_HOST")).or(value("REDIS_HOST"));
    found.push((Redis, redis, value("WP_REDIS_PORT").or(value("REDIS_PORT"))));
    found.push((Memcached, value("MEMCACHED_HOST"), value("MEMCACHED_PORT")));
    let mut named: Vec<Named> = Vec::new();
    for (kind, host, port) in found {
        named.extend(
            host.and_then(|host| place(kind, host, port)).map(|place| Named { kind, place }),
        );
    }
    for url in ["DATABASE_URL", "REDIS_URL", "DB_URL"] {
        named.extend(value(url).and_then(from_url));
    }
    named.dedup();
    named.truncate(NAMED_MAX);
    named
}

/// `define( 'DB_HOST', 'localhost:3307' );`
fn defined(line: &str) -> Option<(&str, &str)> {
    let rest = line.trim_start().strip_prefix("define")?.trim_start().strip_prefix('(')?;
    let (key, rest) = quoted(rest.trim_start())?;
    let rest = rest.trim_start().strip_prefix(',')?.trim_start();
    let value = match quoted(rest) {
        Some((value, _)) => value,
        None => rest.split(')').next()?.trim(),
    };
    Some((key, value))
}

fn quoted(text: &str) -> Option<(&str, &str)> {
    let mark = text.chars().next().filter(|mark| matches!(mark, '\'' | '"'))?;
    text[1..].split_once(mark)
}

/// `DB_HOST="127.0.0.1"`
fn assigned(line: &str) -> Option<(&str, &str)> {
    let line = line.trim().strip_prefix("export ").unwrap_or(line.trim());
    let (key, value) = line.split_once('=')?;
    let value = value.trim();
    let value = match quoted(value) {
        Some((value, _)) => value,
        None => value.split(" #").next()?.trim(),
    };
    Some((key.trim(), value))
}

/// `mysql://user:password@host:3306/name?options`; what stands before the host is passed over.
fn from_url(url: &str) -> Option<Named> {
    let (scheme, rest) = url.split_once("://")?;
    let kind = match scheme {
        "mysql" | "mariadb" => HelperKind::Mysql,
        "postgres" | "postgresql" | "pgsql" => HelperKind::Postgresql,
        "redis" | "rediss" | "tcp" => HelperKind::Redis,
        _ => return None,
    };
    // A password may hold either.
    let host = rest.rsplit('@').next()?.split(['/', '?']).next()?;
    Some(Named { kind, place: place(kind, host, None)? })
}

/// `host`, `host:port`, `[::1]:port`, a path, or `host:path` as WordPress has it.
fn place(kind: HelperKind, host: &str, port: Option<&str>) -> Option<Place> {
    if host.is_empty() || host.len() > NAME_MAX {
        return None;
    }
    if let Some(at) = host.find('/') {
        let bare = matches!(host[..at].trim_end_matches(':'), "" | "localhost" | "unix");
        return bare.then(|| Place::Unix(host[at..].into()));
    }
    let port = port.and_then(|port| port.parse().ok()).unwrap_or(kind.port());
    let host = host.strip_prefix("tls://").unwrap_or(host);
    if let Ok(ip) = host.trim_matches(['[', ']']).parse() {
        return Some(Place::Ip(ip, port));
    }
    let (host, port) = match host.rsplit_once(':') {
        Some((host, own)) => (host, own.parse().ok()?),
        None => (host, port),
    };
    if let Ok(ip) = host.trim_matches(['[', ']']).parse() {
        return Some(Place::Ip(ip, port));
    }
    if host.eq_ignore_ascii_case("localhost") {
        return Some(Place::Local(port));
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    (!host.is_empty() && host.chars().all(is_name)).then(|| Place::Name(host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn one(kind: HelperKind, place: Place) -> Vec<Named> {
        vec![Named { kind, place }]
    }

    #[test]
    fn wordpress_names_its_database() {
        for (host, place) in [
            ("localhost", Place::Local(3306)),
            ("127.0.0.1", Place::Ip(LOOPBACK, 3306)),
            ("127.0.0.1:3307", Place::Ip(LOOPBACK, 3307)),
            ("[::1]:3307", Place::Ip("::1".parse().unwrap(), 3307)),
            ("db.example", Place::Name("db.example".into(), 3306)),
            ("localhost:/run/mysqld/mysqld.sock", Place::Unix("/run/mysqld/mysqld.sock".into())),
            (":/tmp/mysql.sock", Place::Unix("/tmp/mysql.sock".into())),
        ] {
            let text = format!(
                "<?php\ndefine( 'DB_NAME', 'wp' );\n/** x */\ndefine('DB_PASSWORD', 'a)b');\n\
                 define( \"DB_HOST\", '{host}' );\n"
            );
            assert_eq!(wordpress(&text), one(HelperKind::Mysql, place), "{host}");
        }
        let text = "define('WP_REDIS_HOST','127.0.0.1');\ndefine('WP_REDIS_PORT', 6380);";
        assert_eq!(wordpress(text), one(HelperKind::Redis, Place::Ip(LOOPBACK, 6380)));
    }

    #[test]
    fn dotenv_names_what_it_needs_and_no_password_is_kept() {
        let text = "APP_KEY=x\nDB_CONNECTION=pgsql\nDB_HOST=127.0.0.1\nDB_PORT=5433\n\
                    DB_PASSWORD=secret\nREDIS_HOST=\"cache.example\"\nMEMCACHED_HOST=127.0.0.1\n";
        let expected = [
            Named { kind: HelperKind::Postgresql, place: Place::Ip(LOOPBACK, 5433) },
            Named { kind: HelperKind::Redis, place: Place::Name("cache.example".into(), 6379) },
            Named { kind: HelperKind::Memcached, place: Place::Ip(LOOPBACK, 11_211) },
        ];
        assert_eq!(dotenv(text), expected);
        let text = "DATABASE_URL='mysql://me:se@cret/@127.0.0.1:3307/shop?charset=utf8'";
        assert_eq!(dotenv(text), one(HelperKind::Mysql, Place::Ip(LOOPBACK, 3307)));
        let text = "DB_CONNECTION=sqlite\nDB_HOST=127.0.0.1\nREDIS_HOST=null and void\n";
        assert_eq!(dotenv(text), []);
        assert!(!format!("{:?}", dotenv("DB_URL=mysql://secret@/x")).contains("secret"));
    }

    #[test]
    fn whatever_stands_there_is_survived() {
        for text in [
            "define('DB_HOST",
            "define('DB_HOST'",
            "define('DB_HOST',",
            "define(",
            "define('é','ö')",
            "DB_HOST=",
            "DB_HOST=:",
            "DB_HOST=[",
            "DB_HOST=é:1",
            "DB_HOST=a:99999",
            "=",
            "REDIS_URL=://@",
        ] {
            wordpress(text);
            dotenv(text);
        }
        assert_eq!(dotenv("DB_HOST=a;rm -rf /"), []);
    }
}
