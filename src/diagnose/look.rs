//! The look: the command with which an operator sees a cause for himself.
//!
//! Commands carry only values from the configuration, shell-quoted; no byte that came from a client
//! or an upstream enters them. They look and change nothing. Pure.

use std::net::IpAddr;
use std::path::Path;

use crate::config::{Scheme, ServerAddress};

use super::catalog::{self, Phase};
use super::cause::{Cause, Code};
use super::dns::{self, Lookup};
use super::matching::Site;

/// Where name servers listen (RFC 1035 section 4.2).
const DNS_PORT: u16 = 53;

/// The end of PHP-FPM's log where the distributions keep it, and of its journal.
const FPM_LOG: &str = "tail -qn 30 /var/log/php*fpm*.log /var/log/php-fpm/*.log; \
    journalctl -u 'php*fpm' -n 30";
/// The same, and what the kernel says of processes that it ended.
const FPM_DEATHS: &str = "tail -qn 30 /var/log/php*fpm*.log /var/log/php-fpm/*.log; \
    journalctl -k -g 'segfault|oom' -n 20";
/// The usual services behind a PHP application; those that are not there are named as such.
pub const HELPERS: &str = "systemctl status --no-pager -n 5 mariadb mysql postgresql redis-server \
    memcached";

/// The command for a cause; `None` where no server was chosen or none has a part in it.
pub fn look(cause: &Cause, site: &Site<'_>) -> Option<String> {
    let server = site.server?;
    let code = cause.code();
    if matches!(
        code,
        Code::FileNotFound | Code::FileDenied | Code::FileLinkRefused | Code::FileUnreadable
    ) || matches!(code, Code::MethodNotAllowed | Code::RequestBodyTooLarge)
    {
        return None;
    }
    if let ServerAddress::Name { host, .. } = &server.address
        && (site.moved || catalog::entry(code).phase == Phase::Resolve)
    {
        return Some(name_look(dns::lookup(cause), host));
    }
    if let Some(command) = without_values(code) {
        return Some(command.to_owned());
    }
    if let Cause::FcgiScriptNotFound { root, .. } = cause {
        return Some(script_look(root, &server.address));
    }
    if catalog::is_received(code) && !speaks_http(server.scheme) {
        return Some(FPM_LOG.to_owned());
    }
    let phase = catalog::entry(code).phase;
    let http = speaks_http(server.scheme) && code != Code::HttpToFastcgiPort;
    match &server.address {
        ServerAddress::Unix(path) if http => Some(unix_look(phase, path)),
        ServerAddress::Unix(path) => Some(listener_look(path)),
        ServerAddress::Name { host, .. } if code == Code::DestinationProhibited => {
            Some(format!("getent ahosts {}", quote(host)))
        }
        ServerAddress::Name { host, port } if http => Some(tcp_look(code, host, *port, site)),
        ServerAddress::Name { host, port } => Some(port_look(host, *port)),
        ServerAddress::Ip(address) if is_about_routes(code) => {
            let ip = address.ip();
            Some(format!("ip route get {ip}; ip neigh show {ip}"))
        }
        ServerAddress::Ip(address) => {
            let host = match address.ip() {
                IpAddr::V4(ip) => ip.to_string(),
                IpAddr::V6(ip) => format!("[{ip}]"),
            };
            let local = address.ip().is_loopback() && (phase == Phase::Connect || !http);
            match local {
                true => Some(format!("ss -ltnp 'sport = :{}'", address.port())),
                false if http => Some(tcp_look(code, &host, address.port(), site)),
                false => Some(port_look(&address.ip().to_string(), address.port())),
            }
        }
    }
}

/// What a name leads to: by the name server that we asked, else as other programs of this host see
/// it. Both come from the configuration, the gateway's or the host's.
pub fn name_look(lookup: Option<&Lookup>, host: &str) -> String {
    let host = quote(host);
    match lookup.and_then(|lookup| lookup.resolver) {
        Some(resolver) => {
            let port = match resolver.port() {
                DNS_PORT => String::new(),
                port => format!("-p {port} "),
            };
            format!("dig {port}@{} {host} A {host} AAAA", resolver.ip())
        }
        None => format!("getent ahosts {host}"),
    }
}

/// Commands that are the same wherever the server is.
fn without_values(code: Code) -> Option<&'static str> {
    use Code as C;
    if matches!(code, C::LocalFdExhausted) {
        Some("systemctl show -p LimitNOFILE causeway")
    } else if matches!(code, C::HelperServicesDown) {
        Some(HELPERS)
    } else if matches!(code, C::FcgiWorkerDied | C::FcgiWorkerDiedMidResponse)
        || matches!(code, C::FcgiTimeLimitKill)
    {
        Some(FPM_DEATHS)
    } else if matches!(code, C::FcgiRejected | C::FcgiBadCgiHeaders | C::FcgiNoOutput)
        || matches!(code, C::FcgiScriptForbidden | C::FcgiConnectionDropped)
        || matches!(code, C::PhpFatalError | C::PhpExecutionTimeout | C::PhpOutOfMemory)
    {
        Some(FPM_LOG)
    } else {
        None
    }
}

/// Whether the tables of this host's kernel show the cause, or its half of it.
fn is_about_routes(code: Code) -> bool {
    matches!(code, Code::HostUnreachable | Code::NetworkUnreachable)
}

/// Whether curl can ask the server: nothing but FastCGI may be said to a FastCGI port.
fn speaks_http(scheme: Scheme) -> bool {
    match scheme {
        Scheme::Http | Scheme::Https | Scheme::H2c => true,
        Scheme::FastCgi => false,
    }
}

/// Asks PHP, past the gateway, whether it sees the site's directory. The root is the configured
/// one; the path that was asked for is a client's and stays out.
fn script_look(root: &Path, address: &ServerAddress) -> String {
    let script = quote(&root.join("index.php").to_string_lossy());
    let address = match address {
        ServerAddress::Unix(path) => quote(&path.to_string_lossy()),
        ServerAddress::Ip(address) => quote(&address.to_string()),
        ServerAddress::Name { host, port } => quote(&format!("{host}:{port}")),
    };
    format!(
        "SCRIPT_FILENAME={script} SCRIPT_NAME=/index.php REQUEST_METHOD=GET \
         cgi-fcgi -bind -connect {address}"
    )
}

/// Who listens on a Unix socket, and how long its queue is.
fn listener_look(path: &Path) -> String {
    let path = quote(&path.to_string_lossy());
    format!("namei -l {path}; ss -lxp | grep -F -- {path}")
}

/// Whether anybody listens on a port of another host.
fn port_look(host: &str, port: u16) -> String {
    format!("nc -vz {} {port}", quote(host))
}

fn unix_look(phase: Phase, path: &Path) -> String {
    match phase {
        Phase::Request | Phase::Route | Phase::Resolve | Phase::Connect => listener_look(path),
        Phase::Tls | Phase::Send | Phase::Head | Phase::Body => {
            let path = quote(&path.to_string_lossy());
            format!("curl -v -o /dev/null --unix-socket {path} http://localhost/")
        }
    }
}

fn tcp_look(code: Code, host: &str, port: u16, site: &Site<'_>) -> String {
    let target = quote(&format!("{host}:{port}"));
    let secure = site.server.is_some_and(|server| server.scheme == Scheme::Https);
    match catalog::entry(code).phase {
        Phase::Tls => {
            let name = quote(site.server_name);
            format!("openssl s_client -connect {target} -servername {name} </dev/null")
        }
        Phase::Request
        | Phase::Route
        | Phase::Resolve
        | Phase::Connect
        | Phase::Send
        | Phase::Head
        | Phase::Body => {
            let scheme = if secure { "https" } else { "http" };
            let h2c = site.server.is_some_and(|server| server.scheme == Scheme::H2c);
            // With the line that the server waits for.
            let proxied = code == Code::ProxyProtocolExpected;
            let how = if h2c { "--http2-prior-knowledge " } else { "" };
            let how = if proxied { "--haproxy-protocol " } else { how };
            format!("curl -v {how}-o /dev/null {}", quote(&format!("{scheme}://{host}:{port}/")))
        }
    }
}

/// A word of a POSIX shell: bare where nothing in it is special, in single quotes otherwise.
pub fn quote(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:@%+=,".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use crate::config::Server;

    use super::super::hop::Hop;
    use super::*;

    #[test]
    fn a_fastcgi_port_is_never_asked_in_http() {
        let dropped = Cause::HttpToFastcgiPort { reset: true, after: Duration::ZERO };
        let root = PathBuf::from("/var/www/the shop");
        let filename = "/var/www/the shop/$(id).php".to_owned();
        let missing = Cause::FcgiScriptNotFound { filename, root, stderr: String::new() };
        let died =
            Cause::FcgiWorkerDied { reset: true, after: Duration::ZERO, stderr: String::new() };
        let silent =
            Cause::UpstreamErrorStatus { hop: Hop::Php, received_status: 500, said: String::new() };
        let ip = |text: &str| ServerAddress::Ip(text.parse().unwrap());
        let unix = ServerAddress::Unix("/run/php/fpm.sock".into());
        let name = ServerAddress::Name { host: "php".to_owned(), port: 9000 };
        for (cause, address, command) in [
            (&dropped, ip("127.0.0.1:9000"), "ss -ltnp 'sport = :9000'"),
            (&dropped, ip("[2001:db8::7]:9000"), "nc -vz 2001:db8::7 9000"),
            (&dropped, name.clone(), "nc -vz php 9000"),
            (
                &dropped,
                unix.clone(),
                "namei -l /run/php/fpm.sock; ss -lxp | grep -F -- /run/php/fpm.sock",
            ),
            (
                &missing,
                unix,
                "SCRIPT_FILENAME='/var/www/the shop/index.php' SCRIPT_NAME=/index.php \
                 REQUEST_METHOD=GET cgi-fcgi -bind -connect /run/php/fpm.sock",
            ),
            (&died, name.clone(), FPM_DEATHS),
            (&silent, name.clone(), FPM_LOG),
            (&Cause::ClosedBeforeResponse, name.clone(), "curl -v -o /dev/null http://php:9000/"),
            (
                &Cause::ProxyProtocolExpected,
                name,
                "curl -v --haproxy-protocol -o /dev/null http://php:9000/",
            ),
        ] {
            let fastcgi = matches!(cause, Cause::UpstreamErrorStatus { .. });
            let scheme = if fastcgi { Scheme::FastCgi } else { Scheme::Http };
            let server = Server { scheme, address };
            let site = Site::of(Some(&server));
            assert_eq!(look(cause, &site).as_deref(), Some(command));
        }
        let nobody = Site::of(None);
        assert_eq!(look(&died, &nobody), None);
    }

    #[test]
    fn a_name_is_looked_up_where_we_asked_for_it() {
        let address = ServerAddress::Name { host: "app.internal".to_owned(), port: 80 };
        let server = Server { scheme: Scheme::Http, address };
        let site = |moved| Site { moved, ..Site::of(Some(&server)) };
        let asked = |resolver: &str| {
            let lookup = Lookup { resolver: resolver.parse().ok(), ..Lookup::default() };
            Cause::DnsNxdomain { name: "app.internal".to_owned(), lookup: Box::new(lookup) }
        };
        let refused = Cause::ConnectionRefused {
            address: "192.0.2.1:80".parse().unwrap(),
            remembered: false,
            other_family: None,
        };
        for (cause, moved, command) in [
            (asked("192.0.2.53:53"), false, "dig @192.0.2.53 app.internal A app.internal AAAA"),
            (asked("[::1]:5353"), false, "dig -p 5353 @::1 app.internal A app.internal AAAA"),
            (asked("nobody"), false, "getent ahosts app.internal"),
            (refused.clone(), true, "getent ahosts app.internal"),
            (refused, false, "curl -v -o /dev/null http://app.internal:80/"),
        ] {
            assert_eq!(look(&cause, &site(moved)).as_deref(), Some(command));
        }
    }

    #[test]
    fn words_of_commands_are_quoted_for_the_shell() {
        assert_eq!(quote("shop.internal:80"), "shop.internal:80");
        assert_eq!(quote("/run/a b;rm"), "'/run/a b;rm'");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote(""), "''");
    }
}
