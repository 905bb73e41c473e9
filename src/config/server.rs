//! Elements of `servers`: `http://HOST[:PORT]`, `https://HOST[:PORT]`, `h2c://HOST[:PORT]`,
//! `http+unix:/path`, `fastcgi://HOST:PORT`, `fastcgi+unix:/path`.
//!
//! Pure: decides what is an address and what was probably meant, connects to nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::address::unix_path;
use super::error::Fault;
use super::host::dns_name;
use super::nearest::nearest;
use super::{Scheme, Server, ServerAddress};

const SHAPE: &str = "\"http://HOST[:PORT]\", \"https://HOST[:PORT]\", \"h2c://HOST[:PORT]\", \
                     \"http+unix:/path\", \"fastcgi://HOST:PORT\" or \"fastcgi+unix:/path\"";
const SCHEMES: [&str; 6] = ["http", "https", "h2c", "http+unix", "fastcgi", "fastcgi+unix"];
/// Where PHP-FPM listens as its authors ship it.
const FPM_PORT: &str = "9000";

/// Reads a server's address; a missing port is the scheme's own, if it has one.
///
/// # Errors
/// Says which part is wrong: the scheme, the host, the port, or what follows them.
pub fn server(text: &str) -> Result<Server, Fault> {
    let (scheme, rest) = text.split_once(':').unwrap_or(("", text));
    match scheme.to_ascii_lowercase().as_str() {
        "http" => tcp(Scheme::Http, text, rest),
        "https" => tcp(Scheme::Https, text, rest),
        "h2c" => tcp(Scheme::H2c, text, rest),
        "fastcgi" => tcp(Scheme::FastCgi, text, rest),
        "http+unix" => unix(Scheme::Http, rest),
        "fastcgi+unix" => unix(Scheme::FastCgi, rest),
        _ => Err(unknown_scheme(text, scheme, rest)),
    }
}

fn tcp(scheme: Scheme, text: &str, rest: &str) -> Result<Server, Fault> {
    let name = scheme.name();
    let Some(rest) = rest.strip_prefix("//") else {
        let meant = format!("{name}://{}", rest.trim_start_matches('/'));
        let fault = Fault::new(format!("`{text}` lacks `//` after `{name}:`")).expected(SHAPE);
        return Err(fault.nearest(server(&meant).is_ok().then_some(meant)));
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    if authority.contains('@') {
        let fault = Fault::new("a server takes no user name or password");
        return Err(fault.expected(SHAPE));
    }
    let address = authority_address(scheme, authority)?;
    if !matches!(tail, "" | "/") {
        let fault = Fault::new(format!("a server takes no path, but here is `{tail}`"));
        let fault = fault.expected("the address alone; requests keep their own path");
        return Err(fault.nearest(Some(format!("{name}://{authority}"))));
    }
    Ok(Server { scheme, address })
}

fn authority_address(scheme: Scheme, authority: &str) -> Result<ServerAddress, Fault> {
    let (host, port) = split_port(scheme, authority)?;
    let port = match port {
        Some(digits) => port_number(digits)?,
        None => default_port(scheme).ok_or_else(|| no_port(scheme, host))?,
    };
    if let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let address: Ipv6Addr = inner.parse().map_err(|_| {
            Fault::new(format!("`{inner}` is not an IPv6 address")).expected("e.g. \"[::1]\"")
        })?;
        return Ok(ServerAddress::Ip(SocketAddr::new(IpAddr::V6(address), port)));
    }
    if let Ok(address) = host.parse::<Ipv4Addr>() {
        return Ok(ServerAddress::Ip(SocketAddr::new(IpAddr::V4(address), port)));
    }
    // A final dot keeps the resolver from appending its search domains (RFC 1034 §3.1).
    let (name, dot) = host.strip_suffix('.').map_or((host, ""), |name| (name, "."));
    Ok(ServerAddress::Name { host: dns_name(name)? + dot, port })
}

/// Splits `host:port`, with the brackets of an IPv6 address still on.
fn split_port(scheme: Scheme, authority: &str) -> Result<(&str, Option<&str>), Fault> {
    if authority.is_empty() {
        return Err(Fault::new("the host is missing").expected(SHAPE));
    }
    if authority.starts_with('[') {
        let unclosed =
            || Fault::new(format!("`{authority}` lacks `]`")).expected("e.g. \"[::1]:80\"");
        let end = authority.find(']').ok_or_else(unclosed)? + 1;
        let (host, rest) = authority.split_at(end);
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(Fault::new(format!("`{rest}` after the address")).expected("`:PORT`")),
        };
    }
    if authority.parse::<Ipv6Addr>().is_ok() {
        let meant = format!("{}://[{authority}]", scheme.name());
        let fault = Fault::new("an IPv6 address without brackets").expected(SHAPE);
        return Err(fault.nearest(Some(meant)));
    }
    match authority.split_once(':') {
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((authority, None)),
    }
}

fn port_number(digits: &str) -> Result<u16, Fault> {
    let whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let port = digits.parse().ok().filter(|port| whole && *port != 0);
    port.ok_or_else(|| {
        Fault::new(format!("`{digits}` is not a port")).expected("a port from 1 to 65535")
    })
}

/// FastCGI has no port of its own (IANA knows none).
fn no_port(scheme: Scheme, host: &str) -> Fault {
    let fault = Fault::new(format!("`{}://{host}` has no port", scheme.name()));
    let fault = fault.expected("the port in PHP-FPM's `listen`, e.g. \"fastcgi://127.0.0.1:9000\"");
    let meant = format!("{}://{host}:{FPM_PORT}", scheme.name());
    fault.nearest(server(&meant).is_ok().then_some(meant))
}

fn unix(scheme: Scheme, rest: &str) -> Result<Server, Fault> {
    if let Some(after) = rest.strip_prefix("//") {
        // `http+unix://run/app.sock` and `http+unix:///run/app.sock` are other programs' forms.
        let name = scheme.name();
        let meant = format!("{name}+unix:/{}", after.trim_start_matches('/'));
        let fault = Fault::new(format!("`//` after `{name}+unix:`"));
        let fault = fault.expected(format!("\"{name}+unix:/path\""));
        return Err(fault.nearest(Some(meant)));
    }
    Ok(Server { scheme, address: ServerAddress::Unix(unix_path(rest)?) })
}

fn unknown_scheme(text: &str, scheme: &str, rest: &str) -> Fault {
    if scheme.eq_ignore_ascii_case("unix") {
        let path = rest.trim_start_matches('/').trim_end_matches(':');
        let fault = Fault::new("unknown scheme `unix`").expected(SHAPE);
        return fault.nearest(Some(format!("{}+unix:/{path}", probable_scheme(path).name())));
    }
    if text.contains("://") || scheme.contains('+') {
        let meant = nearest(scheme, SCHEMES);
        let meant = meant.map(|scheme| format!("{scheme}:{rest}"));
        let meant = meant.filter(|text| server(text).is_ok());
        return Fault::new(format!("unknown scheme `{scheme}`")).expected(SHAPE).nearest(meant);
    }
    let fault = Fault::new(format!("`{text}` has no scheme")).expected(SHAPE);
    let probable = probable_scheme(text).name();
    let meant = match text.starts_with('/') {
        true => format!("{probable}+unix:{text}"),
        false => format!("{probable}://{text}"),
    };
    fault.nearest(server(&meant).is_ok().then_some(meant))
}

/// What is probably spoken at an address without a scheme, by PHP-FPM's usual names and port.
fn probable_scheme(address: &str) -> Scheme {
    let is_fpm = address.contains("php") || address.contains("fpm");
    let is_fpm_port = address.rsplit_once(':').is_some_and(|(_, port)| port == FPM_PORT);
    if is_fpm || is_fpm_port { Scheme::FastCgi } else { Scheme::Http }
}

fn default_port(scheme: Scheme) -> Option<u16> {
    match scheme {
        Scheme::Http | Scheme::H2c => Some(80),
        Scheme::Https => Some(443),
        Scheme::FastCgi => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers() {
        for (text, shown) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://127.0.0.1", "http://127.0.0.1:80"),
            ("https://10.0.0.7/", "https://10.0.0.7:443"),
            ("HTTPS://App.Internal:8443", "https://app.internal:8443"),
            ("http://app_1.cluster.local.:81", "http://app_1.cluster.local.:81"),
            ("http://localhost", "http://localhost:80"),
            ("http://[::1]", "http://[::1]:80"),
            ("https://[2001:db8::7]:8443/", "https://[2001:db8::7]:8443"),
            ("h2c://127.0.0.1:50051", "h2c://127.0.0.1:50051"),
            ("H2C://app", "h2c://app:80"),
            ("http+unix:/run/app.sock", "http+unix:/run/app.sock"),
            ("fastcgi://127.0.0.1:9000", "fastcgi://127.0.0.1:9000"),
            ("FastCGI://php:9000/", "fastcgi://php:9000"),
            ("fastcgi://[::1]:9000", "fastcgi://[::1]:9000"),
            ("fastcgi+unix:/run/php/php8.2-fpm.sock", "fastcgi+unix:/run/php/php8.2-fpm.sock"),
        ] {
            assert_eq!(server(text).map(|server| server.to_string()), Ok(shown.to_owned()));
        }
    }

    #[test]
    fn bad_servers() {
        for (text, message, near) in [
            ("", "`` has no scheme", None),
            ("127.0.0.1:8080", "`127.0.0.1:8080` has no scheme", Some("http://127.0.0.1:8080")),
            ("localhost", "`localhost` has no scheme", Some("http://localhost")),
            ("/run/a.sock", "`/run/a.sock` has no scheme", Some("http+unix:/run/a.sock")),
            ("unix:///run/a.sock", "unknown scheme `unix`", Some("http+unix:/run/a.sock")),
            ("htpp://a", "unknown scheme `htpp`", Some("http://a")),
            ("ftp://a", "unknown scheme `ftp`", None),
            ("https+unix:/a", "unknown scheme `https+unix`", Some("http+unix:/a")),
            ("http:/a", "`http:/a` lacks `//` after `http:`", Some("http://a")),
            ("http:a:80", "`http:a:80` lacks `//` after `http:`", Some("http://a:80")),
            ("http://", "the host is missing", None),
            ("http://:80", "`` is not a host name: it is empty", None),
            ("http://u:p@a", "a server takes no user name or password", None),
            ("http://a/b?c", "a server takes no path, but here is `/b?c`", Some("http://a")),
            ("http://a?c", "a server takes no path, but here is `?c`", Some("http://a")),
            ("http://a:0", "`0` is not a port", None),
            ("http://a:65536", "`65536` is not a port", None),
            ("http://a:+80", "`+80` is not a port", None),
            ("http://a:", "`` is not a port", None),
            ("http://::1", "an IPv6 address without brackets", Some("http://[::1]")),
            ("http://[::1", "`[::1` lacks `]`", None),
            ("http://[::1]80", "`80` after the address", None),
            ("http://[x]", "`x` is not an IPv6 address", None),
            ("http+unix://run/a", "`//` after `http+unix:`", Some("http+unix:/run/a")),
            ("http+unix:a", "`a` is not an absolute path", None),
            ("h2c:a", "`h2c:a` lacks `//` after `h2c:`", Some("h2c://a")),
            ("h2://a", "unknown scheme `h2`", Some("h2c://a")),
            ("h2c+unix:/a", "unknown scheme `h2c+unix`", None),
            ("fastcgi://a", "`fastcgi://a` has no port", Some("fastcgi://a:9000")),
            ("fastcgi://[::1]", "`fastcgi://[::1]` has no port", Some("fastcgi://[::1]:9000")),
            (
                "fastcgi:a:9000",
                "`fastcgi:a:9000` lacks `//` after `fastcgi:`",
                Some("fastcgi://a:9000"),
            ),
            ("fastcgi+unix:///run/a", "`//` after `fastcgi+unix:`", Some("fastcgi+unix:/run/a")),
            ("fcgi://a:9000", "unknown scheme `fcgi`", None),
            ("fastcgi+tcp://a:1", "unknown scheme `fastcgi+tcp`", Some("fastcgi://a:1")),
            ("unix:/run/php/a", "unknown scheme `unix`", Some("fastcgi+unix:/run/php/a")),
            ("/run/fpm.sock", "`/run/fpm.sock` has no scheme", Some("fastcgi+unix:/run/fpm.sock")),
            ("a:9000", "`a:9000` has no scheme", Some("fastcgi://a:9000")),
        ] {
            let fault = server(text).unwrap_err();
            assert_eq!((fault.message.as_str(), fault.nearest.as_deref()), (message, near));
        }
    }

    #[test]
    fn truncated_at_each_byte() {
        for text in [
            "https://[2001:db8::7]:8443/",
            "http+unix:/run/app.sock",
            "http://ä.example",
            "fastcgi://[::1]:9000",
        ] {
            for end in (0..=text.len()).filter(|end| text.is_char_boundary(*end)) {
                drop(server(&text[..end]));
            }
        }
    }
}
