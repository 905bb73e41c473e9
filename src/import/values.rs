//! nginx's values as Causeway's: times, sizes, addresses to listen on, names of hosts.
//!
//! Pure. Whether a value is one that Causeway takes is asked of its own reader of configurations,
//! by a file with nothing else in it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use crate::config;

/// `2w 3h`, `1m30s`, `60`, `500ms`, in milliseconds; a bare number is of seconds.
pub fn milliseconds(text: &str) -> Option<u64> {
    let mut rest = text.trim();
    let mut total: u64 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let unit = match &rest[..letters] {
            "ms" => 1,
            "" | "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 7 * 86_400_000,
            "M" => 30 * 86_400_000,
            "y" => 365 * 86_400_000,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(unit)?)?;
        rest = rest[letters..].trim_start();
    }
    Some(total)
}

/// A duration as our configuration writes it, in the largest unit that is exact.
pub fn duration(milliseconds: u64) -> String {
    let units = [("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
    let exact = |unit: &(&str, u64)| milliseconds > 0 && milliseconds.is_multiple_of(unit.1);
    match units.into_iter().find(exact) {
        // Two minutes and less are told in seconds, as everyone does.
        Some(("m", size)) if milliseconds <= 2 * size => format!("{}s", milliseconds / 1_000),
        Some((name, size)) => format!("{}{name}", milliseconds / size),
        None => format!("{milliseconds}ms"),
    }
}

/// `8k`, `1m`, `2g`, `4096`, in bytes.
pub fn bytes(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().ok()?;
    let unit = match &text[digits..] {
        "" => 1,
        "k" | "K" => 1 << 10,
        "m" | "M" => 1 << 20,
        "g" | "G" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(unit)
}

/// A size as our configuration writes it, in the largest unit that is exact.
pub fn size(bytes: u64) -> String {
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let exact = |unit: &(&str, u64)| bytes > 0 && bytes.is_multiple_of(unit.1);
    match units.into_iter().find(exact) {
        Some((name, unit)) => format!("{}{name}", bytes / unit),
        None => format!("{bytes}B"),
    }
}

/// The address of a `listen`, as ours writes it: `0.0.0.0:80`, `[::]:443`, `unix:/run/a.sock`.
pub fn listen(text: &str) -> Option<String> {
    if text.starts_with("unix:") {
        return Some(text.to_owned());
    }
    let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    if let Ok(port) = text.parse::<u16>() {
        return Some(SocketAddr::new(any, port).to_string());
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(address.to_string());
    }
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if let Some(Ok(address)) = inner.map(str::parse::<Ipv6Addr>) {
        return Some(SocketAddr::new(address.into(), 80).to_string());
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (text, 80),
    };
    let address = match host {
        "*" => any,
        "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        host => IpAddr::V4(host.parse().ok()?),
    };
    Some(SocketAddr::new(address, port).to_string())
}

/// A network as ours writes it: a single address gets its prefix length.
pub fn network(text: &str) -> Option<String> {
    match text.parse::<IpAddr>() {
        Ok(address) => Some(ipnet::IpNet::from(address).to_string()),
        Err(_) => text.parse::<ipnet::IpNet>().ok().map(|network| network.trunc().to_string()),
    }
}

/// A path of a location as requests send it (RFC 3986 section 2.1): nginx compares it decoded.
pub fn request_path(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'?' | b'#' | b'%' => encoded.push_str(&format!("%{byte:02X}")),
            byte if byte.is_ascii_graphic() => encoded.push(char::from(byte)),
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// A string as TOML writes it.
pub fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A list of strings as TOML writes it.
pub fn list<S: AsRef<str>>(texts: impl IntoIterator<Item = S>) -> String {
    let texts: Vec<String> = texts.into_iter().map(|text| quoted(text.as_ref())).collect();
    format!("[{}]", texts.join(", "))
}

/// What Causeway itself would say of a piece of a configuration; nothing if it takes it.
pub fn objection(piece: &str) -> Option<String> {
    let problems = config::parse(piece, Path::new("import")).err()?;
    let first = problems.list().next()?;
    Some(match &first.expected {
        Some(expected) => format!("{} (expected: {expected})", first.message),
        None => first.message.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (text, expected) in [
            ("60", Some("60s")),
            ("90s", Some("90s")),
            ("1m30s", Some("90s")),
            ("120", Some("120s")),
            ("5m", Some("5m")),
            ("1h 30m", Some("90m")),
            ("500ms", Some("500ms")),
            ("1d", Some("24h")),
            ("0", Some("0ms")),
            ("", None),
            ("x", None),
            ("5x", None),
            ("99999999999999999999", None),
            ("9999999999999999y", None),
        ] {
            assert_eq!(milliseconds(text).map(duration).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("8k", Some("8KiB")),
            ("64M", Some("64MiB")),
            ("1024k", Some("1MiB")),
            ("1000", Some("1000B")),
            ("2g", Some("2GiB")),
            ("", None),
            ("1t", None),
            ("-1", None),
        ] {
            assert_eq!(bytes(text).map(size).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn addresses() {
        for (text, expected) in [
            ("80", Some("0.0.0.0:80")),
            ("*:8080", Some("0.0.0.0:8080")),
            ("[::]:80", Some("[::]:80")),
            ("[::]", Some("[::]:80")),
            ("127.0.0.1", Some("127.0.0.1:80")),
            ("127.0.0.1:81", Some("127.0.0.1:81")),
            ("localhost:82", Some("127.0.0.1:82")),
            ("unix:/run/a.sock", Some("unix:/run/a.sock")),
            ("host.example:80", None),
            ("99999", None),
        ] {
            assert_eq!(listen(text).as_deref(), expected, "{text}");
        }
        assert_eq!(network("10.1.2.3").as_deref(), Some("10.1.2.3/32"));
        assert_eq!(network("10.1.2.3/8").as_deref(), Some("10.0.0.0/8"));
        assert_eq!(network("unix:"), None);
    }

    #[test]
    fn text() {
        assert_eq!(request_path("/a b/ü?"), "/a%20b/%C3%BC%3F");
        assert_eq!(list(["a\"b", "c\\d\n"]), r#"["a\"b", "c\\d\u000A"]"#);
        assert_eq!(objection("listen = [\"0.0.0.0:80\"]"), None);
        assert!(objection("listen = [\"x\"]").unwrap().contains("address to listen on"));
    }
}
