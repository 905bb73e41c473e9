//! Which upstream block serves a request: host (exact, then the longest wildcard), then the longest
//! path prefix that ends on a segment's border.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::config::{Config, HostPattern};

/// The routes of one listener.
#[derive(Debug, Default)]
pub struct Routes {
    exact: HashMap<String, Paths>,
    /// By the part behind `*.`.
    wildcard: HashMap<String, Paths>,
    any: Paths,
}

/// Path prefixes, longest first, each with the position of its upstream.
#[derive(Debug, Default)]
struct Paths(Vec<(String, usize)>);

impl Routes {
    /// The routes of each listener, in the configuration's order.
    pub fn of(config: &Config) -> Vec<Routes> {
        config.listeners.iter().map(|listener| Routes::build(config, &listener.upstreams)).collect()
    }

    fn build(config: &Config, reached: &[usize]) -> Routes {
        let mut routes = Routes::default();
        for &number in reached {
            let upstream = &config.upstreams[number];
            for path in &upstream.paths {
                let route = (path.trim_end_matches('/').to_owned(), number);
                if upstream.hosts.is_empty() {
                    routes.any.0.push(route.clone());
                }
                for host in &upstream.hosts {
                    let paths = match host {
                        HostPattern::Exact(name) => routes.exact.entry(name.clone()),
                        HostPattern::Wildcard(name) => routes.wildcard.entry(name.clone()),
                    };
                    paths.or_default().0.push(route.clone());
                }
            }
        }
        let tables = routes.exact.values_mut().chain(routes.wildcard.values_mut());
        for paths in tables.chain([&mut routes.any]) {
            paths.0.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        }
        routes
    }

    /// The position of the upstream for an authority as Host carries it, and a path. A more
    /// particular host that has no matching path leaves the request to the next.
    pub fn find(&self, authority: &str, path: &str) -> Option<usize> {
        let path = normal(path);
        if self.exact.is_empty() && self.wildcard.is_empty() {
            return self.any.find(&path);
        }
        let host = without_port(authority);
        let host: Cow<'_, str> = match host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => host.to_ascii_lowercase().into(),
            false => host.into(),
        };
        let host = host.strip_suffix('.').unwrap_or(&host);
        if let Some(found) = self.exact.get(host).and_then(|paths| paths.find(&path)) {
            return Some(found);
        }
        let mut rest = host;
        while let Some((_, parent)) = rest.split_once('.') {
            if let Some(found) = self.wildcard.get(parent).and_then(|paths| paths.find(&path)) {
                return Some(found);
            }
            rest = parent;
        }
        self.any.find(&path)
    }
}

impl Paths {
    fn find(&self, path: &str) -> Option<usize> {
        let fits = |prefix: &str| {
            path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        // `OPTIONS *` asks about the server as a whole: the block that serves everything.
        let whole = |prefix: &str| path == "*" && prefix.is_empty();
        self.0.iter().find(|(prefix, _)| fits(prefix) || whole(prefix)).map(|(_, number)| *number)
    }
}

/// The path that a backend will understand: dot segments removed, escapes of unreserved characters
/// undone (RFC 3986 section 6.2.2). Only routes are chosen by it; what is forwarded stays as it
/// came.
fn normal(path: &str) -> Cow<'_, str> {
    let plain = |pair: &[u8]| !matches!(pair, [b'%', _] | [b'/', b'.' | b'/']);
    if path.as_bytes().windows(2).all(plain) && !path.ends_with('%') {
        return path.into();
    }
    let decoded = decode_unreserved(path);
    let mut segments: Vec<&str> = Vec::new();
    for segment in decoded.split('/') {
        match segment {
            "." | "" => {}
            ".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    let mut normal = String::with_capacity(decoded.len());
    for segment in &segments {
        normal.push('/');
        normal.push_str(segment);
    }
    if normal.is_empty() || decoded.ends_with('/') {
        normal.push('/');
    }
    normal.into()
}

fn decode_unreserved(path: &str) -> String {
    let mut decoded = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        decoded.push_str(&rest[..at]);
        let escape = rest.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match escape.map(char::from) {
            Some(letter) if letter.is_ascii_alphanumeric() || "-._~/".contains(letter) => {
                decoded.push(letter);
                rest = &rest[at + 3..];
            }
            Some(_) | None => {
                decoded.push('%');
                rest = &rest[at + 1..];
            }
        }
    }
    decoded.push_str(rest);
    decoded
}

/// The host of an authority, without its port.
pub fn without_port(authority: &str) -> &str {
    let after = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    match authority[after..].rfind(':') {
        Some(colon) => &authority[..after + colon],
        None => authority,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::{ListenAddress, Listener, Upstream};

    fn routes(blocks: &[(&[&str], &[&str])]) -> Routes {
        let upstreams = blocks.iter().enumerate().map(|(number, (hosts, paths))| {
            let mut upstream = Upstream::new(&number.to_string(), Vec::new());
            upstream.hosts = hosts
                .iter()
                .map(|host| match host.strip_prefix("*.") {
                    Some(parent) => HostPattern::Wildcard(parent.to_owned()),
                    None => HostPattern::Exact((*host).to_owned()),
                })
                .collect();
            upstream.paths = paths.iter().map(|path| (*path).to_owned()).collect();
            Arc::new(upstream)
        });
        let upstreams: Vec<_> = upstreams.collect();
        let reached = (0..upstreams.len()).collect();
        let address = ListenAddress::Tcp(([127, 0, 0, 1], 0).into());
        let config = Config {
            path: None,
            workers: 1,
            listeners: vec![Listener { address, tls: false, upstreams: reached }],
            upstreams,
            client: crate::config::Client::default(),
            tls: crate::config::Tls::default(),
            page: crate::config::Page::default(),
            log: crate::config::Log::default(),
            resolvers: Vec::new(),
            drain_timeout: std::time::Duration::ZERO,
            ..Config::default()
        };
        Routes::of(&config).remove(0)
    }

    #[test]
    fn exact_host_then_longest_wildcard_then_any_and_the_longest_prefix_on_a_border() {
        let routes = routes(&[
            (&[], &["/"]),
            (&["shop.example"], &["/", "/cart"]),
            (&["*.example"], &["/"]),
            (&["*.shop.example"], &["/"]),
            (&["shop.example"], &["/cart/api/"]),
            (&["only.example"], &["/x"]),
        ]);
        for (host, path, expected) in [
            ("elsewhere.test", "/", Some(0)),
            ("shop.example", "/", Some(1)),
            ("SHOP.Example.", "/", Some(1)),
            ("shop.example", "/cart", Some(1)),
            ("shop.example", "/cart/api", Some(4)),
            ("shop.example", "/cart/api/v1", Some(4)),
            ("shop.example", "/cart/apiary", Some(1)),
            ("www.shop.example", "/", Some(3)),
            ("a.b.shop.example", "/", Some(3)),
            ("other.example", "/", Some(2)),
            ("only.example", "/x/y", Some(5)),
            ("only.example", "/y", Some(2)),
            ("shop.example", "/cart/../cart/api", Some(4)),
            ("shop.example", "/cart/%61pi/x", Some(4)),
            ("shop.example", "/cart/%2e%2e/other", Some(1)),
            ("shop.example", "*", Some(1)),
        ] {
            assert_eq!(routes.find(host, path), expected, "{host} {path}");
        }
    }

    #[test]
    fn nothing_matches_where_nothing_is_configured() {
        let routes = routes(&[(&["shop.example"], &["/a"])]);
        assert_eq!(routes.find("shop.example", "/b"), None);
        assert_eq!(routes.find("else.example", "/a"), None);
        assert_eq!(routes.find("shop.example", "/a/%zz/%"), Some(0));
    }

    #[test]
    fn ports_are_cut_off_hosts() {
        for (authority, host) in
            [("a:80", "a"), ("a", "a"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]"), ("", "")]
        {
            assert_eq!(without_port(authority), host);
        }
    }
}
