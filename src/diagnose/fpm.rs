//! PHP-FPM in each layout: its unit, its files, its log.
//!
//! The version is that in the socket's name, or the only one that is installed; where neither
//! tells, a pattern stands for every version. Pure.

use std::path::Path;

use crate::config::ServerAddress;

use super::layout::{Family, Layout, Panel, PhpVersion, Service, php_version};
use super::look::quote;

/// PHP-FPM, and the files in which it is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fpm {
    pub service: Service,
    pub pool: String,
    pub ini: String,
    pub package: String,
}

impl Layout {
    /// PHP-FPM as it is reached by this address; its version stands in most sockets' names.
    pub fn fpm(&self, address: &ServerAddress) -> Fpm {
        let socket = match address {
            ServerAddress::Unix(path) => Some(path.as_path()),
            ServerAddress::Ip(_) | ServerAddress::Name { .. } => None,
        };
        let version = socket.and_then(php_version);
        match (self.container, self.panel) {
            (true, _) => in_container(address),
            (false, Some(Panel::Cpanel)) => cpanel(version),
            (false, Some(Panel::Plesk)) => plesk(version),
            (false, Some(Panel::DirectAdmin)) => directadmin(version),
            (false, Some(Panel::Aapanel)) => aapanel(version),
            (false, Some(Panel::IspManager)) if is_below(socket, "/opt") || version.is_none() => {
                ispmanager(version)
            }
            // Both keep what the distribution's packages bring.
            (false, Some(Panel::IspManager | Panel::Hestia) | None) => {
                self.packaged(version, socket)
            }
        }
    }

    fn packaged(&self, version: Option<PhpVersion>, socket: Option<&Path>) -> Fpm {
        match (self.family, version) {
            (Family::Debian, version) => {
                let only = if let [only] = self.php.as_slice() { Some(*only) } else { None };
                let sites = if self.panel == Some(Panel::Hestia) { "*.conf" } else { "www.conf" };
                debian(version.or(only), sites)
            }
            (Family::Rhel, Some(version)) if is_below(socket, "/var/opt/remi") => remi(version),
            (Family::Rhel, _) => rhel(),
            (Family::Other, Some(version)) if debian_socket(socket) => {
                debian(Some(version), "www.conf")
            }
            (Family::Other, _) => anywhere(),
        }
    }
}

fn is_below(socket: Option<&Path>, folder: &str) -> bool {
    socket.is_some_and(|socket| socket.starts_with(folder))
}

/// `/run/php/php8.2-fpm.sock`, as Debian names it.
fn debian_socket(socket: Option<&Path>) -> bool {
    is_below(socket, "/run/php") || is_below(socket, "/var/run/php")
}

fn unit(name: &str, log: &str, test: String) -> Service {
    // A pattern matches what is loaded; what has stopped need not be.
    let (status, restart) = match name.contains('*') {
        false => {
            (format!("systemctl status --no-pager {name}"), format!("systemctl restart {name}"))
        }
        true => (
            format!("systemctl list-units --all --no-pager {name}"),
            "systemctl restart UNIT".to_owned(),
        ),
    };
    Service { status, restart, log: format!("tail -qn 30 {log}"), test }
}

/// `82`, or a pattern for every version.
fn digits(version: Option<PhpVersion>) -> String {
    version.map_or_else(|| "*".to_owned(), |v| format!("{}{}", v.major, v.minor))
}

/// `8.2`, or a pattern for every version.
fn dots(version: Option<PhpVersion>) -> String {
    version.map_or_else(|| "*".to_owned(), |v| format!("{}.{}", v.major, v.minor))
}

/// A unit's name: a pattern is for systemctl, not for the shell.
fn named(name: String) -> String {
    let end = if name.contains('*') { ".service" } else { "" };
    quote(&format!("{name}{end}"))
}

fn debian(version: Option<PhpVersion>, sites: &str) -> Fpm {
    let v = dots(version);
    let test = match version {
        Some(_) => format!("php-fpm{v} -t"),
        None => "(for fpm in /usr/sbin/php-fpm*; do \"$fpm\" -t || exit; done)".to_owned(),
    };
    Fpm {
        service: unit(&named(format!("php{v}-fpm")), &format!("/var/log/php{v}-fpm.log"), test),
        pool: format!("/etc/php/{v}/fpm/pool.d/{sites}"),
        ini: format!("/etc/php/{v}/fpm/php.ini"),
        package: quote(&format!("php{v}-fpm")),
    }
}

fn rhel() -> Fpm {
    Fpm {
        service: unit("php-fpm", "/var/log/php-fpm/*.log", "php-fpm -t".to_owned()),
        pool: "/etc/php-fpm.d/www.conf".to_owned(),
        ini: "/etc/php.ini".to_owned(),
        package: "php-fpm".to_owned(),
    }
}

/// Packages beside those of the distribution, one tree a version.
fn remi(version: PhpVersion) -> Fpm {
    let v = digits(Some(version));
    let root = format!("/opt/remi/php{v}/root/usr/sbin/php-fpm -t");
    Fpm {
        service: unit(
            &format!("php{v}-php-fpm"),
            &format!("/var/opt/remi/php{v}/log/php-fpm/*.log"),
            root,
        ),
        pool: format!("/etc/opt/remi/php{v}/php-fpm.d/www.conf"),
        ini: format!("/etc/opt/remi/php{v}/php.ini"),
        package: format!("php{v}-php-fpm"),
    }
}

/// A host of which nothing is known: what Debian and RHEL have, one of which is there.
fn anywhere() -> Fpm {
    Fpm {
        service: unit(
            "'php*fpm*.service'",
            "/var/log/php*fpm*.log /var/log/php-fpm/*.log",
            "(for fpm in /usr/sbin/php-fpm*; do \"$fpm\" -t || exit; done)".to_owned(),
        ),
        pool: "/etc/php/*/fpm/pool.d/www.conf, /etc/php-fpm.d/www.conf".to_owned(),
        ini: "/etc/php/*/fpm/php.ini, /etc/php.ini".to_owned(),
        package: "'php*-fpm'".to_owned(),
    }
}

/// The official image of PHP; the container has the name that the configuration reaches it by.
fn in_container(address: &ServerAddress) -> Fpm {
    let name = match address {
        ServerAddress::Name { host, .. } => quote(host),
        ServerAddress::Unix(_) | ServerAddress::Ip(_) => "CONTAINER".to_owned(),
    };
    Fpm {
        service: Service {
            status: "docker ps --all".to_owned(),
            restart: format!("docker restart {name}"),
            log: format!("docker logs --tail 30 {name}"),
            test: format!("docker exec {name} php-fpm -t"),
        },
        pool: "/usr/local/etc/php-fpm.d/www.conf".to_owned(),
        ini: "/usr/local/etc/php/php.ini".to_owned(),
        package: "php".to_owned(),
    }
}

fn cpanel(version: Option<PhpVersion>) -> Fpm {
    let v = digits(version);
    let root = format!("/opt/cpanel/ea-php{v}/root");
    let mut service = unit(
        &named(format!("ea-php{v}-php-fpm")),
        &format!("{root}/usr/var/log/php-fpm/error.log"),
        format!("{root}/usr/sbin/php-fpm -t"),
    );
    service.restart = "/scripts/restartsrv_apache_php_fpm".to_owned();
    Fpm {
        service,
        // The panel writes the pools anew from these.
        pool: "/var/cpanel/userdata/USER/DOMAIN.php_fpm.yaml".to_owned(),
        ini: format!("{root}/etc/php.ini"),
        package: quote(&format!("ea-php{v}-php-fpm")),
    }
}

fn plesk(version: Option<PhpVersion>) -> Fpm {
    let (short, long) = (digits(version), dots(version));
    Fpm {
        service: unit(
            &named(format!("plesk-php{short}-fpm")),
            &format!("/var/log/plesk-php{short}-fpm/error.log"),
            format!("/opt/plesk/php/{long}/sbin/php-fpm -t"),
        ),
        pool: "/var/www/vhosts/system/DOMAIN/conf/php.ini [php-fpm-pool-settings]".to_owned(),
        ini: format!("/opt/plesk/php/{long}/etc/php.ini"),
        package: quote(&format!("plesk-php{short}-fpm")),
    }
}

fn directadmin(version: Option<PhpVersion>) -> Fpm {
    let v = digits(version);
    Fpm {
        service: unit(
            &named(format!("php-fpm{v}")),
            &format!("/usr/local/php{v}/var/log/php-fpm.log"),
            format!("/usr/local/php{v}/sbin/php-fpm{v} -t"),
        ),
        pool: format!("/usr/local/directadmin/data/users/USER/php/php-fpm{v}.conf"),
        ini: format!("/usr/local/php{v}/lib/php.ini"),
        package: quote(&format!("php{v}")),
    }
}

fn ispmanager(version: Option<PhpVersion>) -> Fpm {
    let v = digits(version);
    Fpm {
        service: unit(
            &named(format!("isp-php{v}-fpm")),
            &format!("/opt/php{v}/var/log/php-fpm.log"),
            format!("/opt/php{v}/sbin/php-fpm -t"),
        ),
        pool: format!("/opt/php{v}/etc/php-fpm.d/USER.conf"),
        ini: format!("/opt/php{v}/etc/php.ini"),
        package: quote(&format!("isp-php{v}-fpm")),
    }
}

fn aapanel(version: Option<PhpVersion>) -> Fpm {
    let v = digits(version);
    let root = format!("/www/server/php/{v}");
    Fpm {
        service: Service {
            status: format!("/etc/init.d/php-fpm-{v} status"),
            restart: format!("/etc/init.d/php-fpm-{v} restart"),
            log: format!("tail -qn 30 {root}/var/log/php-fpm.log"),
            test: format!("{root}/sbin/php-fpm -t"),
        },
        pool: format!("{root}/etc/php-fpm.conf"),
        ini: format!("{root}/etc/php.ini"),
        package: named(format!("php-{v}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYSTEMD: &str = "/run/systemd/system";
    const DEBIAN: &str = "ID=debian\n";
    const UBUNTU: &str = "ID=ubuntu\nID_LIKE=debian\n";
    const ALMA: &str = "ID=\"almalinux\"\nID_LIKE=\"rhel centos fedora\"\n";
    const ALPINE: &str = "ID=alpine\n";

    fn unix(path: &str) -> ServerAddress {
        ServerAddress::Unix(path.into())
    }

    /// Unit, pool, php.ini and log of each layout.
    #[test]
    fn each_layout_keeps_php_fpm_in_its_place() {
        let php82 = ["8.2".to_owned()];
        let both = ["7.4".to_owned(), "8.2".to_owned(), "mods-available".to_owned()];
        for (os, found, php, address, [restart, pool, ini, log]) in [
            (
                DEBIAN,
                &[SYSTEMD][..],
                &[][..],
                unix("/run/php/php8.2-fpm.sock"),
                [
                    "systemctl restart php8.2-fpm",
                    "/etc/php/8.2/fpm/pool.d/www.conf",
                    "/etc/php/8.2/fpm/php.ini",
                    "tail -qn 30 /var/log/php8.2-fpm.log",
                ],
            ),
            (
                DEBIAN,
                &[SYSTEMD],
                &php82,
                ServerAddress::Ip("127.0.0.1:9000".parse().unwrap()),
                [
                    "systemctl restart php8.2-fpm",
                    "/etc/php/8.2/fpm/pool.d/www.conf",
                    "/etc/php/8.2/fpm/php.ini",
                    "tail -qn 30 /var/log/php8.2-fpm.log",
                ],
            ),
            (
                DEBIAN,
                &[SYSTEMD],
                &both,
                ServerAddress::Ip("127.0.0.1:9000".parse().unwrap()),
                [
                    "systemctl restart UNIT",
                    "/etc/php/*/fpm/pool.d/www.conf",
                    "/etc/php/*/fpm/php.ini",
                    "tail -qn 30 /var/log/php*-fpm.log",
                ],
            ),
            (
                ALMA,
                &[SYSTEMD],
                &[],
                unix("/run/php-fpm/www.sock"),
                [
                    "systemctl restart php-fpm",
                    "/etc/php-fpm.d/www.conf",
                    "/etc/php.ini",
                    "tail -qn 30 /var/log/php-fpm/*.log",
                ],
            ),
            (
                ALMA,
                &[SYSTEMD],
                &[],
                unix("/var/opt/remi/php83/run/php-fpm/www.sock"),
                [
                    "systemctl restart php83-php-fpm",
                    "/etc/opt/remi/php83/php-fpm.d/www.conf",
                    "/etc/opt/remi/php83/php.ini",
                    "tail -qn 30 /var/opt/remi/php83/log/php-fpm/*.log",
                ],
            ),
            (
                ALPINE,
                &["/.dockerenv"],
                &[],
                ServerAddress::Name { host: "php".to_owned(), port: 9000 },
                [
                    "docker restart php",
                    "/usr/local/etc/php-fpm.d/www.conf",
                    "/usr/local/etc/php/php.ini",
                    "docker logs --tail 30 php",
                ],
            ),
            (
                ALMA,
                &[SYSTEMD, "/usr/local/cpanel/version"],
                &[],
                unix("/opt/cpanel/ea-php82/root/usr/var/run/php-fpm/0f3a.sock"),
                [
                    "/scripts/restartsrv_apache_php_fpm",
                    "/var/cpanel/userdata/USER/DOMAIN.php_fpm.yaml",
                    "/opt/cpanel/ea-php82/root/etc/php.ini",
                    "tail -qn 30 /opt/cpanel/ea-php82/root/usr/var/log/php-fpm/error.log",
                ],
            ),
            (
                UBUNTU,
                &[SYSTEMD, "/usr/local/psa/version"],
                &[],
                unix("/opt/plesk/php/8.2/run.sock"),
                [
                    "systemctl restart plesk-php82-fpm",
                    "/var/www/vhosts/system/DOMAIN/conf/php.ini [php-fpm-pool-settings]",
                    "/opt/plesk/php/8.2/etc/php.ini",
                    "tail -qn 30 /var/log/plesk-php82-fpm/error.log",
                ],
            ),
            (
                ALMA,
                &[SYSTEMD, "/usr/local/directadmin/conf"],
                &[],
                unix("/usr/local/php82/sockets/shop.sock"),
                [
                    "systemctl restart php-fpm82",
                    "/usr/local/directadmin/data/users/USER/php/php-fpm82.conf",
                    "/usr/local/php82/lib/php.ini",
                    "tail -qn 30 /usr/local/php82/var/log/php-fpm.log",
                ],
            ),
            (
                DEBIAN,
                &[SYSTEMD, "/usr/local/mgr5"],
                &[],
                unix("/opt/php82/var/run/shop.sock"),
                [
                    "systemctl restart isp-php82-fpm",
                    "/opt/php82/etc/php-fpm.d/USER.conf",
                    "/opt/php82/etc/php.ini",
                    "tail -qn 30 /opt/php82/var/log/php-fpm.log",
                ],
            ),
            (
                UBUNTU,
                &[SYSTEMD, "/usr/local/hestia/conf"],
                &[],
                unix("/run/php/php8.2-fpm-shop.example.sock"),
                [
                    "systemctl restart php8.2-fpm",
                    "/etc/php/8.2/fpm/pool.d/*.conf",
                    "/etc/php/8.2/fpm/php.ini",
                    "tail -qn 30 /var/log/php8.2-fpm.log",
                ],
            ),
            (
                ALMA,
                &[SYSTEMD, "/www/server/panel"],
                &[],
                unix("/tmp/php-cgi-82.sock"),
                [
                    "/etc/init.d/php-fpm-82 restart",
                    "/www/server/php/82/etc/php-fpm.conf",
                    "/www/server/php/82/etc/php.ini",
                    "tail -qn 30 /www/server/php/82/var/log/php-fpm.log",
                ],
            ),
        ] {
            let fpm = Layout::of(os, found, php).fpm(&address);
            let seen = [&fpm.service.restart, &fpm.pool, &fpm.ini, &fpm.service.log];
            assert_eq!(seen, [restart, pool, ini, log], "{found:?} {address:?}");
        }
    }
}
