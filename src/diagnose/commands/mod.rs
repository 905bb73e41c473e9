//! THE COMMANDS of a fix on this host: look, run, edit, check.
//!
//! Values in them are from the configuration, or were found on this host, and are quoted for the
//! shell; no byte that came from a client or an upstream enters one. Capitals stand for what only
//! the reader knows. Where the backend is on another host, its own commands are marked, and are
//! those of a host of which nothing is known. `rows` has a row a fix, `roots` the commands of those
//! that follow from a root, `list` what they are made of. Pure.

mod list;
mod roots;
mod rows;

use strum::IntoStaticStr;

use super::cause::Cause;
use super::fixes::{Audience, FixId};
use super::matching::Site;

use list::List;

/// What kind of thing a command does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Kind {
    /// Changes nothing.
    Look,
    Run,
    /// No command but a place: a file, and the key in it.
    Edit,
    /// Shows whether it worked.
    Check,
}

/// One line for the operator's terminal, or a place to edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    pub kind: Kind,
    pub line: String,
    /// For the backend's host, which is not this one.
    pub elsewhere: bool,
}

/// The commands of an operator's fix; none for what is done away from the host.
pub fn commands(id: FixId, cause: &Cause, site: &Site<'_>) -> Vec<Command> {
    let mut list = List::new(site);
    match id.audience() {
        Audience::Visitor => {}
        Audience::Operator => list.of(id, cause),
    }
    list.commands
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Scheme, Server, ServerAddress};
    use crate::diagnose::around::{Around, Sockets};
    use crate::diagnose::cause::Code;
    use crate::diagnose::layout::Layout;

    const SYSTEMD: &str = "/run/systemd/system";

    fn debian() -> Layout {
        Layout::of("ID=debian\n", &[SYSTEMD, "/etc/apache2/apache2.conf"], &[])
    }

    fn server(scheme: Scheme, address: &str) -> Server {
        let address = match (address.parse(), address.split_once(':')) {
            (Ok(address), _) => ServerAddress::Ip(address),
            (Err(_), Some((host, port))) => {
                ServerAddress::Name { host: host.to_owned(), port: port.parse().unwrap() }
            }
            (Err(_), None) => ServerAddress::Unix(address.into()),
        };
        Server { scheme, address }
    }

    fn refused() -> Cause {
        let address = "127.0.0.1:8080".parse().unwrap();
        Cause::ConnectionRefused { address, remembered: false, other_family: None }
    }

    /// As they are shown, with a star for another host.
    fn lines(id: FixId, cause: &Cause, site: &Site<'_>) -> Vec<String> {
        let line = |Command { kind, line, elsewhere }: Command| {
            let kind: &str = kind.into();
            format!("{kind}{} {line}", if elsewhere { "*" } else { "" })
        };
        commands(id, cause, site).into_iter().map(line).collect()
    }

    #[test]
    fn the_commands_are_those_of_the_host() {
        let debian = debian();
        let alma = Layout::of("ID=almalinux\nID_LIKE=\"rhel\"\n", &[SYSTEMD], &[]);
        let container = Layout::of("ID=alpine\n", &["/.dockerenv"], &[]);
        let fpm = server(Scheme::FastCgi, "/run/php/php8.2-fpm.sock");
        let www = server(Scheme::FastCgi, "/run/php-fpm/www.sock");
        let php = server(Scheme::FastCgi, "php:9000");
        let far = server(Scheme::FastCgi, "10.0.0.5:9000");
        let web = server(Scheme::Http, "127.0.0.1:8080");
        for (layout, server, id, expected) in [
            (
                &debian,
                &fpm,
                FixId::FpmCapacity,
                &[
                    "look tail -qn 2000 /var/log/php8.2-fpm.log 2>&1 | grep -E max_children",
                    "look ps -eo rss,cmd --sort=-rss | head -n 15",
                    "look free -m",
                    "edit /etc/php/8.2/fpm/pool.d/www.conf pm.max_children",
                    "run php-fpm8.2 -t && systemctl restart php8.2-fpm",
                    "check ss -lxp | grep -F -- /run/php/php8.2-fpm.sock",
                ][..],
            ),
            (
                &alma,
                &www,
                FixId::StartBackend,
                &[
                    "look tail -qn 30 /var/log/php-fpm/*.log",
                    "run php-fpm -t && systemctl restart php-fpm",
                    "check systemctl status --no-pager php-fpm",
                    "check ss -lxp | grep -F -- /run/php-fpm/www.sock",
                ],
            ),
            (
                &container,
                &php,
                FixId::StartBackend,
                &[
                    "look docker logs --tail 30 php",
                    "run docker exec php php-fpm -t && docker restart php",
                    "check docker ps --all",
                    "check ss -ltnp 'sport = :9000'",
                ],
            ),
            // Of another host nothing is known but that it is another.
            (
                &debian,
                &far,
                FixId::StartBackend,
                &[
                    "look* tail -qn 30 /var/log/php*fpm*.log /var/log/php-fpm/*.log",
                    "run* (for fpm in /usr/sbin/php-fpm*; do \"$fpm\" -t || exit; done) && \
                     systemctl restart UNIT",
                    "check* systemctl list-units --all --no-pager 'php*fpm*.service'",
                    "check* ss -ltnp 'sport = :9000'",
                ],
            ),
            (
                &debian,
                &web,
                FixId::StartBackend,
                &[
                    "look tail -qn 30 /var/log/apache2/error.log",
                    "run apachectl configtest && systemctl restart apache2",
                    "check systemctl status --no-pager apache2",
                    "check ss -ltnp 'sport = :8080'",
                ],
            ),
            (
                &debian,
                &web,
                FixId::RaiseTimeouts,
                &[
                    "look curl -so /dev/null -w '%{time_total}\\n' http://127.0.0.1:8080/",
                    "edit /etc/causeway.toml [upstream.shop.timeouts] first_byte",
                    "run causeway check -c /etc/causeway.toml && systemctl reload causeway",
                ],
            ),
            (
                &debian,
                &far,
                FixId::CheckConnectivity,
                &[
                    "look ip route get 10.0.0.5; ip neigh show 10.0.0.5; ip -br address",
                    "look mtr -n -r -c 10 10.0.0.5",
                    "check nc -vz -w 5 10.0.0.5 9000",
                ],
            ),
            (&debian, &web, FixId::ContactHost, &[]),
            (&debian, &web, FixId::Reload, &[]),
        ] {
            let site = Site {
                layout,
                upstream: "shop",
                config: Some(Path::new("/etc/causeway.toml")),
                ..Site::of(Some(server))
            };
            assert_eq!(lines(id, &refused(), &site), expected, "{id:?} {server}");
        }
    }

    /// A listener that was found is named where it belongs, and asked at.
    #[test]
    fn what_listens_instead_is_written_out() {
        let debian = debian();
        let config = Path::new("/etc/causeway/my site.toml");
        let around = Around {
            sockets: Sockets {
                near: vec!["127.0.0.1:8081".parse().unwrap()],
                near_paths: vec!["/run/php/php8.2-fpm.sock".into()],
                ..Sockets::default()
            },
            ..Around::default()
        };
        let web = server(Scheme::Http, "127.0.0.1:8080");
        let fpm = server(Scheme::FastCgi, "/run/php/php8.1-fpm.sock");
        for (server, id, expected) in [
            (
                &web,
                FixId::MatchPort,
                [
                    "look ss -ltnp",
                    "edit '/etc/causeway/my site.toml' [upstream.shop] servers = \
                     [\"http://127.0.0.1:8081\"]",
                    "run causeway check -c '/etc/causeway/my site.toml' && systemctl reload \
                     causeway",
                    "check ss -ltnp 'sport = :8081'",
                    "check curl -I http://127.0.0.1:8081/",
                ]
                .as_slice(),
            ),
            (
                &fpm,
                FixId::SocketPath,
                &[
                    "look ss -lxp",
                    "edit '/etc/causeway/my site.toml' [upstream.shop] servers = \
                     [\"fastcgi+unix:/run/php/php8.2-fpm.sock\"]",
                    "run causeway check -c '/etc/causeway/my site.toml' && systemctl reload \
                     causeway",
                    "check ss -lxp | grep -F -- /run/php/php8.2-fpm.sock",
                ],
            ),
        ] {
            let site = Site {
                layout: &debian,
                upstream: "shop",
                config: Some(config),
                around: Some(&around),
                ..Site::of(Some(server))
            };
            assert_eq!(lines(id, &refused(), &site), expected);
        }
    }

    /// A queue that is full, say, has no server of its own.
    #[test]
    fn where_nobody_was_asked_the_first_of_the_block_stands_for_all() {
        let layout = debian();
        let servers = [
            server(Scheme::FastCgi, "/run/php/php8.2-fpm.sock"),
            server(Scheme::FastCgi, "/run/php/php7.4-fpm.sock"),
        ];
        let cause = Cause::QueueFull { limit: 1, waited: std::time::Duration::ZERO };
        let site = Site { layout: &layout, servers: &servers, ..Site::of(None) };
        let seen = lines(FixId::FpmCapacity, &cause, &site);
        assert!(seen.contains(&"edit /etc/php/8.2/fpm/pool.d/www.conf pm.max_children".to_owned()));
        assert_eq!(lines(FixId::FpmCapacity, &cause, &Site::of(None)).len(), 2);
    }

    #[test]
    fn every_operators_fix_that_is_done_on_a_host_has_commands() {
        let away = [
            FixId::DebugCode,
            FixId::ContactHost,
            FixId::AskExpert,
            FixId::Seo,
            FixId::Monitor,
            FixId::FixRequest,
        ];
        let layout = debian();
        let servers = [
            server(Scheme::FastCgi, "/run/php/php8.2-fpm.sock"),
            server(Scheme::Https, "app.internal:443"),
        ];
        for id in FixId::all().filter(|id| id.audience() == Audience::Operator) {
            let some = servers.iter().any(|server| {
                let root = Some(Path::new("/var/www/shop"));
                let site = Site { layout: &layout, root, ..Site::of(Some(server)) };
                !commands(id, &refused(), &site).is_empty()
            });
            assert_eq!(some, !away.contains(&id), "{}", id.name());
        }
    }

    #[test]
    fn values_are_quoted() {
        let layout = debian();
        let hostile = server(Scheme::FastCgi, "/run/a b;rm -rf $HOME'.sock");
        for code in [Code::UnixSocketMissing, Code::UnixSocketPermissionDenied] {
            let path = "/run/x".into();
            let cause = match code == Code::UnixSocketMissing {
                true => Cause::UnixSocketMissing { path, errno: 2 },
                false => Cause::UnixSocketPermissionDenied { path },
            };
            for id in FixId::all() {
                let root = Some(Path::new("/var/www/$(id)"));
                let site = Site { layout: &layout, root, ..Site::of(Some(&hostile)) };
                for line in lines(id, &cause, &site) {
                    let bare = line.contains(" /run/a b") || line.contains(" /var/www/$(id)");
                    assert!(!bare, "{line}");
                }
            }
        }
    }
}
