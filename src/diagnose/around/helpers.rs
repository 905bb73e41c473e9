//! The services behind the backend: databases and caches. Pure.

use super::seen::{Finding, Seen};
use crate::diagnose::facts::Queue;
use crate::diagnose::meaning::Meaning;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Helpers {
    pub list: Vec<Helper>,
    /// The site's file that names them, as far as it may be read.
    pub site: Seen<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Helper {
    pub kind: HelperKind,
    /// Where it listens or is expected to: an address or a path.
    pub at: String,
    pub state: HelperState,
    /// A file of the site names it.
    pub named: bool,
    /// Its unit's name, where one is enabled.
    pub unit: Option<String>,
    pub clients: Clients,
}

/// Connections of this host to a helper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Clients {
    pub established: u32,
    /// SYN sent, nothing heard.
    pub opening: u32,
    /// Those on which the helper, where it is on this host, has not read what was sent.
    pub unread: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::IntoStaticStr, strum::EnumIter)]
#[strum(serialize_all = "snake_case")]
pub enum HelperKind {
    Mysql,
    Postgresql,
    Redis,
    Memcached,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HelperState {
    Listening(Seen<Queue>),
    /// It is enabled, or the site is set up for it, and nobody listens.
    Gone,
    /// It listens and says nothing, or does not answer to a connect: stopped, or out of reach.
    Silent,
    /// It answers that it takes no more.
    Full,
    /// Its processes are stopped (SIGSTOP).
    Frozen,
    /// On another host; nothing is known but our connections to it.
    Away,
}

impl HelperKind {
    /// Its registered port (IANA), or the usual one.
    pub fn port(self) -> u16 {
        match self {
            HelperKind::Mysql => 3306,
            HelperKind::Postgresql => 5432,
            HelperKind::Redis => 6379,
            HelperKind::Memcached => 11_211,
        }
    }

    /// Where packages put its socket.
    pub fn sockets(self) -> &'static [&'static str] {
        match self {
            HelperKind::Mysql => {
                &["/run/mysqld/mysqld.sock", "/var/lib/mysql/mysql.sock", "/tmp/mysql.sock"]
            }
            HelperKind::Postgresql => &["/run/postgresql/.s.PGSQL.5432", "/tmp/.s.PGSQL.5432"],
            HelperKind::Redis => &["/run/redis/redis-server.sock", "/run/redis/redis.sock"],
            HelperKind::Memcached => &["/run/memcached/memcached.sock"],
        }
    }

    /// What its units are called.
    pub fn units(self) -> &'static [&'static str] {
        match self {
            HelperKind::Mysql => &["mariadb.service", "mysql.service", "mysqld.service"],
            HelperKind::Postgresql => &["postgresql.service"],
            HelperKind::Redis => &["redis-server.service", "redis.service", "valkey.service"],
            HelperKind::Memcached => &["memcached.service"],
        }
    }

    /// What its processes are called; the kernel cuts names at 15 bytes.
    pub fn programs(self) -> &'static [&'static str] {
        match self {
            HelperKind::Mysql => &["mariadbd", "mysqld"],
            HelperKind::Postgresql => &["postgres"],
            HelperKind::Redis => &["redis-server", "valkey-server"],
            HelperKind::Memcached => &["memcached"],
        }
    }
}

impl HelperKind {
    /// The kind that an error of PHP's speaks of, by the words of its extensions, its libraries and
    /// its databases; `None` where it is of none, or may be of several.
    pub fn said(text: &str) -> Option<HelperKind> {
        const WORDS: &[(HelperKind, &[&str])] = &[
            // WordPress knows no other database.
            (HelperKind::Mysql, &["mysql", "mariadb", "(hy000/", "[hy000] [2", "[hy000] [1040]"]),
            (HelperKind::Mysql, &["error establishing a database connection"]),
            (HelperKind::Postgresql, &["postgres", "pgsql", "pg_connect", "sqlstate[08006]"]),
            (HelperKind::Redis, &["redis"]),
            (HelperKind::Memcached, &["memcache"]),
        ];
        let text = text.to_ascii_lowercase();
        let is_said = |words: &[&str]| words.iter().any(|word| text.contains(word));
        let mut kinds = WORDS.iter().filter(|(_, words)| is_said(words)).map(|(kind, _)| *kind);
        let first = kinds.next()?;
        kinds.all(|kind| kind == first).then_some(first)
    }
}

impl Helper {
    /// Whether who asks it waits in vain, or has been turned away.
    pub fn is_in_trouble(&self) -> bool {
        match &self.state {
            HelperState::Gone | HelperState::Silent | HelperState::Full | HelperState::Frozen => {
                true
            }
            HelperState::Listening(queue) => queue.found().is_some_and(|queue| queue.pending > 0),
            HelperState::Away => self.clients.opening > 0,
        }
    }

    /// As evidence: `redis at 127.0.0.1:6379: nobody listens`.
    pub fn value(&self) -> String {
        let kind: &str = self.kind.into();
        let state = match &self.state {
            HelperState::Listening(Seen::Found(queue)) => {
                format!("listens, {} of {} wait to be accepted", queue.pending, queue.backlog)
            }
            HelperState::Listening(_) => "listens".to_owned(),
            HelperState::Gone => "nobody listens".to_owned(),
            HelperState::Silent => "does not answer".to_owned(),
            HelperState::Full => "takes no more connections".to_owned(),
            HelperState::Frozen => "its process is stopped (state T)".to_owned(),
            HelperState::Away => "on another host".to_owned(),
        };
        let Clients { established, opening, unread } = self.clients;
        let mut value = format!("{kind} at {}: {state}", self.at);
        for (count, what) in [
            (established, "connections to it"),
            (opening, "being opened without an answer"),
            (unread, "with words that it has not read"),
        ] {
            if count > 0 {
                value += &format!(", {count} {what}");
            }
        }
        value
    }
}

impl Helpers {
    pub(super) fn findings(&self, out: &mut Vec<Finding>) {
        for helper in &self.list {
            let finding = Finding::new("helper", helper.value());
            out.push(match &helper.state {
                HelperState::Gone => finding.means(Meaning::HelperGone),
                HelperState::Silent => finding.means(Meaning::HelperSilent),
                HelperState::Full => finding.means(Meaning::HelperFull),
                HelperState::Frozen => finding.means(Meaning::HelperFrozen),
                HelperState::Listening(_) | HelperState::Away if helper.is_in_trouble() => {
                    finding.means(Meaning::HelperSilent)
                }
                HelperState::Listening(_) | HelperState::Away => finding,
            });
        }
        self.site.missing("site_settings", out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_kind_of_its_helper() {
        for (text, kind) in [
            ("Error establishing a database connection", Some(HelperKind::Mysql)),
            ("mysqli_connect(): (HY000/2002): Connection refused", Some(HelperKind::Mysql)),
            ("SQLSTATE[HY000] [2002] Connection refused", Some(HelperKind::Mysql)),
            ("Uncaught RedisException: Connection refused", Some(HelperKind::Redis)),
            ("Connection refused [tcp://127.0.0.1:6379] Predis", Some(HelperKind::Redis)),
            ("SQLSTATE[08006] [7] connection to server failed", Some(HelperKind::Postgresql)),
            ("MemcachedException: SERVER HAS FAILED", Some(HelperKind::Memcached)),
            ("The site's database does not answer", None),
            ("neither Redis nor MySQL answers", None),
        ] {
            assert_eq!(HelperKind::said(text), kind, "{text}");
        }
    }
}
