//! THE LAYOUT of a host: where its distribution or its hosting panel keeps things, and how they are
//! handled there.
//!
//! Known from os-release(5) and from files that only one of them has; `probe` reads those once at
//! the start. PHP-FPM has a file of its own, `fpm`. Pure.

use std::path::Path;

/// The release's own description of itself (os-release(5)).
pub const OS_RELEASE: [&str; 2] = ["/etc/os-release", "/usr/lib/os-release"];
/// Where Debian's packages keep one folder for each version of PHP.
pub const PHP_FOLDER: &str = "/etc/php";

/// Files and folders that tell, by being there.
pub const MARKERS: [&str; 12] = [
    SYSTEMD,
    "/.dockerenv",
    "/run/.containerenv",
    "/run/secrets/kubernetes.io",
    "/usr/local/cpanel/version",
    "/usr/local/psa/version",
    "/usr/local/directadmin/conf",
    "/usr/local/mgr5",
    "/usr/local/hestia/conf",
    "/www/server/panel",
    "/etc/apache2/apache2.conf",
    "/etc/httpd/conf/httpd.conf",
];
/// systemd is what runs the services (sd_booted(3)).
const SYSTEMD: &str = "/run/systemd/system";
const CONTAINERS: [&str; 3] = ["/.dockerenv", "/run/.containerenv", "/run/secrets/kubernetes.io"];
const APACHES: [&str; 2] = ["/etc/apache2/apache2.conf", "/etc/httpd/conf/httpd.conf"];
const PANELS: [(&str, Panel); 6] = [
    ("/usr/local/cpanel/version", Panel::Cpanel),
    ("/usr/local/psa/version", Panel::Plesk),
    ("/usr/local/directadmin/conf", Panel::DirectAdmin),
    ("/usr/local/mgr5", Panel::IspManager),
    ("/usr/local/hestia/conf", Panel::Hestia),
    ("/www/server/panel", Panel::Aapanel),
];

/// What is known of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    pub family: Family,
    pub panel: Option<Panel>,
    /// A container without systemd inside.
    pub container: bool,
    /// Apache is installed where its packages put it.
    pub apache: bool,
    /// Versions of PHP by Debian's packages, ascending.
    pub php: Vec<PhpVersion>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    Debian,
    Rhel,
    /// Another, or one that is not known.
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Panel {
    Cpanel,
    Plesk,
    DirectAdmin,
    IspManager,
    Hestia,
    Aapanel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PhpVersion {
    pub major: u8,
    pub minor: u8,
}

/// A service, by whole commands of a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    pub status: String,
    pub restart: String,
    /// The end of its log.
    pub log: String,
    /// A test of its configuration.
    pub test: String,
}

impl Service {
    /// The files of its log, with patterns of a shell; none where a program shows it.
    pub fn log_files(&self) -> impl Iterator<Item = &str> {
        self.log.split(' ').filter(|word| word.starts_with('/'))
    }

    /// Its unit, where systemd keeps it and its name is known.
    pub fn unit(&self) -> Option<&str> {
        self.status.strip_prefix("systemctl status --no-pager ")
    }
}

impl Layout {
    /// That of a host of which nothing is known.
    pub const UNKNOWN: Layout = Layout {
        family: Family::Other,
        panel: None,
        container: false,
        apache: false,
        php: Vec::new(),
    };

    /// `found`: which of [`MARKERS`] are there; `php`: the names in [`PHP_FOLDER`].
    pub fn of(os_release: &str, found: &[&str], php: &[String]) -> Layout {
        let there = |path: &str| found.contains(&path);
        let container = CONTAINERS.iter().any(|path| there(path)) && !there(SYSTEMD);
        let mut php: Vec<PhpVersion> = php.iter().filter_map(|name| dotted(name)).collect();
        php.sort_unstable();
        Layout {
            family: family(os_release),
            panel: PANELS.iter().find(|(path, _)| there(path)).map(|(_, panel)| *panel),
            container,
            apache: APACHES.iter().any(|path| there(path)),
            php,
        }
    }

    /// Apache, where it is installed by packages or by a panel.
    pub fn apache(&self) -> Option<Service> {
        let (status, restart, log) = match (self.panel, self.family) {
            (Some(Panel::Cpanel), _) => {
                ("httpd", "/scripts/restartsrv_httpd", "/etc/apache2/logs/error_log")
            }
            (Some(Panel::DirectAdmin), _) => {
                ("httpd", "systemctl restart httpd", "/var/log/httpd/error_log")
            }
            (Some(Panel::Aapanel), _) => {
                ("httpd", "/etc/init.d/httpd restart", "/www/wwwlogs/error_log")
            }
            (Some(Panel::Hestia), _) => (
                "apache2",
                "systemctl restart apache2",
                "/var/log/apache2/error.log /var/log/apache2/domains/*.error.log",
            ),
            (Some(Panel::Plesk), Family::Rhel) => (
                "httpd",
                "systemctl restart httpd",
                "/var/log/httpd/error_log /var/www/vhosts/system/*/logs/error_log",
            ),
            (Some(Panel::Plesk), _) => (
                "apache2",
                "systemctl restart apache2",
                "/var/log/apache2/error.log /var/www/vhosts/system/*/logs/error_log",
            ),
            (Some(Panel::IspManager) | None, Family::Debian) if self.apache => {
                ("apache2", "systemctl restart apache2", "/var/log/apache2/error.log")
            }
            (Some(Panel::IspManager) | None, Family::Rhel) if self.apache => {
                ("httpd", "systemctl restart httpd", "/var/log/httpd/error_log")
            }
            (Some(Panel::IspManager) | None, _) => return None,
        };
        (!self.container).then(|| Service {
            status: format!("systemctl status --no-pager {status}"),
            restart: restart.to_owned(),
            log: format!("tail -qn 30 {log}"),
            test: "apachectl configtest".to_owned(),
        })
    }

    /// What was installed, changed or removed lately.
    pub fn package_history(&self) -> &'static str {
        match self.family {
            Family::Debian => {
                "grep -hE ' (install|upgrade|remove) ' /var/log/dpkg.log | tail -n 20"
            }
            Family::Rhel => "dnf history list | head -n 15",
            Family::Other => "find /etc -type f -newermt '-1 day' | head -n 30",
        }
    }

    /// What could be updated.
    pub fn updates(&self) -> Option<&'static str> {
        match self.family {
            Family::Debian => Some("apt list --upgradable"),
            Family::Rhel => Some("dnf check-update"),
            Family::Other => None,
        }
    }

    /// Installs the newest version of a package that is there already.
    pub fn update(&self, package: &str) -> Option<String> {
        match self.family {
            Family::Debian => Some(format!("apt-get install --only-upgrade {package}")),
            Family::Rhel => Some(format!("dnf upgrade {package}")),
            Family::Other => None,
        }
    }

    /// The rules of the filter that the distribution brings.
    pub fn firewall(&self) -> &'static str {
        match self.family {
            Family::Debian => "nft list ruleset; ufw status verbose",
            Family::Rhel => "firewall-cmd --list-all; nft list ruleset",
            Family::Other => "nft list ruleset; iptables -L -n -v",
        }
    }
}

fn family(os_release: &str) -> Family {
    let value = |key: &str| {
        let line = os_release.lines().find_map(|line| line.strip_prefix(key));
        line.unwrap_or_default().trim_matches('"')
    };
    let names = [value("ID="), value("ID_LIKE=")].join(" ");
    let is = |known: &[&str]| names.split_whitespace().any(|name| known.contains(&name));
    if is(&["debian", "ubuntu"]) {
        Family::Debian
    } else if is(&["rhel", "fedora", "centos", "rocky", "almalinux", "cloudlinux", "ol", "amzn"]) {
        Family::Rhel
    } else {
        Family::Other
    }
}

/// `8.2`.
fn dotted(name: &str) -> Option<PhpVersion> {
    let (major, minor) = name.split_once('.')?;
    Some(PhpVersion { major: major.parse().ok()?, minor: minor.parse().ok()? })
}

/// The version in a socket's path, by whatever hand: `php8.2-fpm.sock`, `php-cgi-82.sock`,
/// `ea-php82`, `/opt/plesk/php/8.2/`, `php-fpm-8.2.sock`.
pub fn php_version(socket: &Path) -> Option<PhpVersion> {
    let path = socket.to_str()?;
    path.match_indices("php").find_map(|(at, _)| {
        let rest = path[at + "php".len()..].trim_start_matches(['-', '/', '_']);
        let rest = rest.strip_prefix("fpm").or_else(|| rest.strip_prefix("cgi")).unwrap_or(rest);
        let rest = rest.trim_start_matches(['-', '/', '_']);
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number = rest[..end].trim_end_matches('.');
        let version = match number.split_once('.') {
            Some(_) => dotted(number)?,
            // A single digit says too little, four are a port.
            None if (2..=3).contains(&number.len()) => {
                PhpVersion { major: number[..1].parse().ok()?, minor: number[1..].parse().ok()? }
            }
            None => return None,
        };
        (5..=9).contains(&version.major).then_some(version)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEBIAN: &str = "NAME=\"Debian GNU/Linux\"\nID=debian\nVERSION_ID=\"12\"\n";
    const UBUNTU: &str = "ID=ubuntu\nID_LIKE=debian\n";
    const ALMA: &str = "NAME=\"AlmaLinux\"\nID=\"almalinux\"\nID_LIKE=\"rhel centos fedora\"\n";
    const ALPINE: &str = "ID=alpine\n";

    #[test]
    fn a_host_is_known_by_its_files() {
        use Family::{Debian, Other, Rhel};
        for (os, found, family, panel, container) in [
            (DEBIAN, &[SYSTEMD][..], Debian, None, false),
            (UBUNTU, &[SYSTEMD], Debian, None, false),
            (ALMA, &[SYSTEMD], Rhel, None, false),
            ("ID=fedora\n", &[SYSTEMD], Rhel, None, false),
            ("ID=cloudlinux\n", &[SYSTEMD], Rhel, None, false),
            (ALPINE, &["/.dockerenv"], Other, None, true),
            (DEBIAN, &["/.dockerenv"], Debian, None, true),
            (DEBIAN, &["/run/.containerenv"], Debian, None, true),
            (DEBIAN, &["/run/secrets/kubernetes.io"], Debian, None, true),
            // A container with systemd inside is a host like any other.
            (DEBIAN, &["/.dockerenv", SYSTEMD], Debian, None, false),
            (ALMA, &[SYSTEMD, "/usr/local/cpanel/version"], Rhel, Some(Panel::Cpanel), false),
            (UBUNTU, &[SYSTEMD, "/usr/local/psa/version"], Debian, Some(Panel::Plesk), false),
            (ALMA, &["/usr/local/directadmin/conf"], Rhel, Some(Panel::DirectAdmin), false),
            (DEBIAN, &["/usr/local/mgr5"], Debian, Some(Panel::IspManager), false),
            (UBUNTU, &["/usr/local/hestia/conf"], Debian, Some(Panel::Hestia), false),
            (ALMA, &["/www/server/panel"], Rhel, Some(Panel::Aapanel), false),
            ("", &[], Other, None, false),
            ("ID=\nID_LIKE=\"\n\"", &[], Other, None, false),
        ] {
            let layout = Layout::of(os, found, &[]);
            let seen = (layout.family, layout.panel, layout.container);
            assert_eq!(seen, (family, panel, container), "{os} {found:?}");
            assert!(found.iter().all(|path| MARKERS.contains(path)));
        }
    }

    #[test]
    fn the_version_stands_in_the_sockets_name() {
        for (path, version) in [
            ("/run/php/php8.2-fpm.sock", Some((8, 2))),
            ("/run/php/php8.2-fpm-shop.example.sock", Some((8, 2))),
            ("/var/run/php/php7.4-fpm.sock", Some((7, 4))),
            ("/run/php/php8.10-fpm.sock", Some((8, 10))),
            ("/tmp/php-cgi-82.sock", Some((8, 2))),
            ("/opt/cpanel/ea-php82/root/usr/var/run/php-fpm/0f3a.sock", Some((8, 2))),
            ("/usr/local/php74/sockets/shop.sock", Some((7, 4))),
            ("/var/opt/remi/php83/run/php-fpm/www.sock", Some((8, 3))),
            ("/opt/plesk/php/8.1/run.sock", Some((8, 1))),
            ("/run/php-fpm-8.3.sock", Some((8, 3))),
            ("/run/php/php-fpm.sock", None),
            ("/run/php-fpm/www.sock", None),
            ("/run/php/php8-fpm.sock", None),
            ("/run/php-9000.sock", None),
            ("/run/php/php99.9", None),
            ("/run/app.sock", None),
            ("/run/php300.300/php", None),
        ] {
            let expected = version.map(|(major, minor)| PhpVersion { major, minor });
            assert_eq!(php_version(Path::new(path)), expected, "{path}");
        }
    }

    #[test]
    fn apache_is_proposed_where_it_is() {
        for (os, found, restart, log) in [
            (
                DEBIAN,
                &["/etc/apache2/apache2.conf"][..],
                "systemctl restart apache2",
                "tail -qn 30 /var/log/apache2/error.log",
            ),
            (
                ALMA,
                &["/etc/httpd/conf/httpd.conf"],
                "systemctl restart httpd",
                "tail -qn 30 /var/log/httpd/error_log",
            ),
            (
                ALMA,
                &["/usr/local/cpanel/version"],
                "/scripts/restartsrv_httpd",
                "tail -qn 30 /etc/apache2/logs/error_log",
            ),
            (
                ALMA,
                &["/www/server/panel"],
                "/etc/init.d/httpd restart",
                "tail -qn 30 /www/wwwlogs/error_log",
            ),
        ] {
            let apache = Layout::of(os, found, &[]).apache().unwrap();
            assert_eq!((apache.restart.as_str(), apache.log.as_str()), (restart, log), "{found:?}");
        }
        for (os, found) in [(DEBIAN, &[][..]), (ALPINE, &["/etc/apache2/apache2.conf"])] {
            assert_eq!(Layout::of(os, found, &[]).apache(), None);
        }
        let inside = Layout::of(DEBIAN, &["/.dockerenv", "/etc/apache2/apache2.conf"], &[]);
        assert_eq!(inside.apache(), None);
    }
}
