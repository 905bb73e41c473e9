//! One block `[upstream.NAME]` in the making, and how it is written.
//!
//! Pure. What is in it is decided in `proxied`, `php` and `sites`.

use std::collections::HashSet;

use super::values::{list, quoted};

/// What a block says beside its routes; two that say the same become one with more paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Body {
    pub servers: Vec<String>,
    pub root: Option<String>,
    pub index: Option<Vec<String>>,
    pub attempts: Option<Vec<String>>,
    pub deny: Option<Vec<String>>,
    pub replace_status: Vec<u16>,
    /// Kept closed: what guarded it could not be carried over.
    pub closed: bool,
    pub redirect_to_https: Option<bool>,
    /// Keys with their values, as they are written.
    pub timeouts: Vec<(&'static str, String)>,
    pub limits: Vec<(&'static str, String)>,
    pub tls: Vec<(&'static str, String)>,
}

/// Some locations of one server that go the same way.
#[derive(Debug, Clone)]
pub struct Block {
    pub server: usize,
    /// Positions of the locations.
    pub locations: Vec<usize>,
    pub paths: Vec<String>,
    pub body: Body,
}

/// Which requests come to a server: its hosts on some listeners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Face {
    /// Listeners of its own; none: the global ones.
    pub listen: Option<Vec<String>>,
    /// None: every host.
    pub hosts: Option<Vec<String>>,
}

/// Names that are taken.
#[derive(Debug, Default)]
pub struct BlockNames {
    taken: HashSet<String>,
}

impl BlockNames {
    /// A name for a block: letters, digits and `-` of a host and a path, unlike any before.
    pub fn name(&mut self, host: &str, path: &str) -> String {
        const CHARS_MAX: usize = 60;
        let mut name = String::new();
        for c in host.chars().chain("-".chars()).chain(path.chars()) {
            match c {
                c if c.is_ascii_alphanumeric() => name.push(c.to_ascii_lowercase()),
                _ if name.is_empty() || name.ends_with('-') => {}
                _ => name.push('-'),
            }
            if name.len() >= CHARS_MAX {
                break;
            }
        }
        let name = match name.trim_end_matches('-') {
            "" => "site",
            name => name,
        };
        let mut unlike = name.to_owned();
        let mut number = 2;
        while !self.taken.insert(unlike.clone()) {
            unlike = format!("{name}-{number}");
            number += 1;
        }
        unlike
    }
}

impl Block {
    /// The block as TOML, under a name and with one of its server's faces; `usual` are the hosts
    /// that stand as a comment where it takes every host.
    pub fn toml(&self, name: &str, face: &Face, usual: &[String]) -> String {
        let body = &self.body;
        let mut text = format!("[upstream.{name}]\n");
        let mut key = |name: &str, value: String| text.push_str(&format!("{name} = {value}\n"));
        key("servers", list(&body.servers));
        match &face.hosts {
            Some(hosts) => key("hosts", list(hosts)),
            None if usual.is_empty() => {}
            None => key(
                "# hosts",
                format!("{}  # and every host that no other block names", list(usual)),
            ),
        }
        if self.paths != ["/"] {
            key("paths", list(&self.paths));
        }
        if let Some(listen) = &face.listen {
            key("listen", list(listen));
        }
        if let Some(redirect) = body.redirect_to_https {
            key("redirect_to_https", redirect.to_string());
        }
        if let Some(root) = &body.root {
            key("root", quoted(root));
        }
        let lists = [("index", &body.index), ("try", &body.attempts), ("deny", &body.deny)];
        for (name, value) in lists {
            if let Some(value) = value {
                key(name, list(value));
            }
        }
        if !body.replace_status.is_empty() {
            key("replace_status", format!("{:?}", body.replace_status));
        }
        if body.closed {
            key("maintenance", "true  # closed; see above".to_owned());
        }
        let tables = [("timeouts", &body.timeouts), ("limits", &body.limits), ("tls", &body.tls)];
        for (table, keys) in tables {
            for (name, value) in keys {
                key(&format!("{table}.{name}"), value.clone());
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_unlike() {
        let mut names = BlockNames::default();
        for (host, path, expected) in [
            ("Shop.example", "/", "shop-example"),
            ("shop.example", "/", "shop-example-2"),
            ("shop.example", "/api/v1/", "shop-example-api-v1"),
            ("", "/", "site"),
            ("", "/ü", "site-2"),
            ("*.a", "", "a"),
        ] {
            assert_eq!(names.name(host, path), expected);
        }
        assert!(names.name(&"a".repeat(500), "/").len() <= 64);
    }
}
