//! Names of hosts, and paths of URLs, as the configuration writes them.
//!
//! Pure, and only about their shape: whether a name exists is a question to the resolver.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::HostPattern;
use super::error::Fault;

const NAME: &str = "a DNS name, e.g. \"shop.example\"";

/// Checks a DNS name and lower-cases it: labels of 1 to 63 letters, digits, `-` and `_`.
///
/// RFC 1035 §2.3.4 (lengths), RFC 1123 §2.1 (a digit may come first); `_` is not of the RFCs, but
/// container networks use it.
///
/// # Errors
/// Says which label or character is wrong.
pub fn dns_name(text: &str) -> Result<String, Fault> {
    if let Some(wrong) = text.chars().find(|c| !(c.is_ascii_alphanumeric() || "-_.".contains(*c))) {
        let expected =
            if wrong.is_ascii() { NAME } else { "its ASCII form, e.g. \"xn--bcher-kva.example\"" };
        let message = format!("`{text}` is not a host name: it holds `{wrong}`");
        return Err(Fault::new(message).expected(expected));
    }
    let wrong =
        |why: &str| Err(Fault::new(format!("`{text}` is not a host name: {why}")).expected(NAME));
    if text.is_empty() {
        return wrong("it is empty");
    }
    if text.len() > 253 {
        return wrong("it is longer than 253 characters");
    }
    for label in text.split('.') {
        if label.is_empty() {
            return wrong("a label is empty");
        }
        if label.len() > 63 {
            return wrong("a label is longer than 63 characters");
        }
        if label.starts_with('-') || label.ends_with('-') {
            return wrong("a label begins or ends with `-`");
        }
    }
    // No top-level domain is a number: this was meant to be an IPv4 address.
    let last = text.rsplit('.').next().unwrap_or(text);
    if text.contains('.') && last.bytes().all(|byte| byte.is_ascii_digit()) {
        return wrong("it looks like an IP address, but is none");
    }
    Ok(text.to_ascii_lowercase())
}

/// Reads an element of `hosts`: `shop.example`, `*.shop.example`, `10.0.0.7`, `[::1]`.
///
/// An IPv6 address is kept in brackets, the form of the Host field (RFC 3986 §3.2.2).
///
/// # Errors
/// A port, a wildcard that is not the first label, or no name at all.
pub fn host_pattern(text: &str) -> Result<HostPattern, Fault> {
    if text == "*" {
        let fault = Fault::new("`*` is not a host name");
        return Err(fault.expected("no `hosts` at all, which means every host"));
    }
    if let Some(rest) = text.strip_prefix("*.") {
        let parent = dns_name(rest).map_err(|fault| without_extras(text, fault))?;
        return Ok(HostPattern::Wildcard(parent));
    }
    if text.contains('*') {
        let fault = Fault::new(format!("`{text}` has a wildcard inside"));
        return Err(fault.expected("`*.` as the first label only, e.g. \"*.shop.example\""));
    }
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = inner.parse::<Ipv6Addr>() {
        return Ok(HostPattern::Exact(format!("[{address}]")));
    }
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Ok(HostPattern::Exact(address.to_string()));
    }
    let name = dns_name(text).map_err(|fault| without_extras(text, fault))?;
    Ok(HostPattern::Exact(name))
}

/// Reads `server_name`: a DNS name or an IP address without brackets.
///
/// # Errors
/// Anything else.
pub fn server_name(text: &str) -> Result<String, Fault> {
    if let Ok(address) = text.parse::<std::net::IpAddr>() {
        return Ok(address.to_string());
    }
    dns_name(text)
}

/// Reads an element of `paths`: the beginning of a request's path, as it stands in the request.
///
/// # Errors
/// It does not begin with `/`, or holds what no path of a request can (RFC 3986 §3.3).
pub fn url_path(text: &str) -> Result<String, Fault> {
    if !text.starts_with('/') {
        let fault = Fault::new(format!("path `{text}` does not begin with `/`"));
        let scheme = text.contains("://");
        return Err(fault
            .expected("a path, e.g. \"/\" or \"/api\"")
            .nearest((!text.is_empty() && !scheme).then(|| format!("/{text}"))));
    }
    let possible = |c: &char| c.is_ascii_graphic() && !"?#".contains(*c);
    if let Some(wrong) = text.chars().find(|c| !possible(c)) {
        let message = format!("no request has `{wrong}` in its path");
        return Err(Fault::new(message).expected("the path as requests send it, percent-encoded"));
    }
    Ok(text.to_owned())
}

/// Suggests the name without scheme, port, path or final dot, if that is one.
fn without_extras(text: &str, fault: Fault) -> Fault {
    let authority = text.split_once("://").map_or(text, |(_, rest)| rest);
    let authority = authority.split('/').next().unwrap_or(authority);
    let (name, port) = authority.split_once(':').unwrap_or((authority, ""));
    let name = name.strip_suffix('.').unwrap_or(name);
    let bare = name.strip_prefix("*.").unwrap_or(name);
    if name == text || dns_name(bare).is_err() || !port.bytes().all(|b| b.is_ascii_digit()) {
        return fault;
    }
    let message = format!("`{text}` is not a host name alone");
    Fault::new(message).expected("a name without scheme, port and path").nearest(Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let label = "a".repeat(63);
        let longest = format!("{label}.{label}.{label}.{}", "a".repeat(61));
        for text in ["a", "shop.example", "my_app", "1.example", "xn--bcher-kva.example", &label] {
            assert_eq!(dns_name(text), Ok(text.to_owned()));
        }
        assert_eq!(dns_name(&longest), Ok(longest.clone()));
        assert_eq!(dns_name("Shop.EXAMPLE"), Ok("shop.example".to_owned()));
        let (label, longest) = (format!("{label}a"), format!("{longest}a"));
        for text in [
            "",
            ".",
            "a..b",
            ".a",
            "a.",
            "-a",
            "a-",
            "a b",
            "bücher.example",
            "a/b",
            "a:80",
            "10.0.0.300",
            "1.2.3",
            &label,
            &longest,
        ] {
            assert!(dns_name(text).is_err(), "{text}");
        }
    }

    #[test]
    fn patterns() {
        let exact = |text: &str| HostPattern::Exact(text.to_owned());
        for (text, expected) in [
            ("Shop.example", exact("shop.example")),
            ("*.shop.example", HostPattern::Wildcard("shop.example".to_owned())),
            ("10.0.0.7", exact("10.0.0.7")),
            ("::1", exact("[::1]")),
            ("[2001:DB8:0::1]", exact("[2001:db8::1]")),
        ] {
            assert_eq!(host_pattern(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn bad_patterns() {
        for (text, near) in [
            ("shop.example:8080", Some("shop.example")),
            ("*.shop.example:8080", Some("*.shop.example")),
            ("shop.example.", Some("shop.example")),
            ("https://shop.example/", Some("shop.example")),
            ("*", None),
            ("www.*.example", None),
            ("*shop.example", None),
            ("*.", None),
            ("[::1]:80", None),
            ("shop example", None),
        ] {
            let fault = host_pattern(text).unwrap_err();
            assert_eq!(fault.nearest.as_deref(), near, "{text}");
        }
    }

    #[test]
    fn paths() {
        for text in ["/", "/api", "/a%20b/", "/~user/(x)"] {
            assert_eq!(url_path(text), Ok(text.to_owned()));
        }
        for (text, near) in
            [("api", Some("/api")), ("", None), ("/a?b", None), ("/a b", None), ("/ключ", None)]
        {
            assert_eq!(url_path(text).unwrap_err().nearest.as_deref(), near, "{text}");
        }
    }
}
