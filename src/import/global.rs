//! What is said once for all of Causeway: clients, certificates, proxies before it, the log.
//!
//! Pure. nginx says most of it for each server; where servers differ, what lets more pass is taken,
//! and told.

use std::path::Path;

use super::notes::{Home, Notes};
use super::scope::Scope;
use super::server::Server;
use super::tree::Directive;
use super::values::{bytes, duration, list, milliseconds, network, objection, quoted, size};

/// Keys at the top and tables, as they are written.
#[derive(Debug, Default)]
pub struct Global {
    pub top: String,
    pub tables: String,
}

/// What is read for the global part.
pub struct Sources<'a, 'n> {
    /// What holds outside of every server.
    pub outer: &'a Scope<'a>,
    pub servers: &'a [Server<'a>],
    /// The folder that relative names start from.
    pub folder: &'a Path,
    pub notes: &'n mut Notes,
}

impl Sources<'_, '_> {
    /// `tls` are the listeners with TLS, and whether plain requests are sent there.
    pub fn global(mut self, tls: &[String], redirect: bool) -> Global {
        let mut global = Global::default();
        self.workers(&mut global.top);
        self.client(&mut global.top);
        let proxied = self.real_ip(&mut global.top);
        if !tls.is_empty() {
            self.tls(tls, redirect, &mut global.tables);
        }
        global.tables.push_str(&proxied);
        self.log(&mut global.tables);
        global
    }

    fn workers(&mut self, top: &mut String) {
        let Some(directive) = self.outer.one("worker_processes") else { return };
        match directive.argument(0).parse::<u32>() {
            Ok(count) if (1..=1024).contains(&count) => {
                top.push_str(&format!("workers = {count}\n"))
            }
            // One for each core is ours too.
            Ok(_) | Err(_) => {}
        }
    }

    /// Each scope that a request can meet, with the home of its notes.
    fn scopes(&self) -> Vec<Scope<'_>> {
        match self.servers {
            [] => vec![self.outer.clone()],
            servers => servers.iter().map(|server| server.scope.clone()).collect(),
        }
    }

    fn client(&mut self, top: &mut String) {
        let times = [
            ("client_header_timeout", "header_timeout", 10_000),
            ("client_body_timeout", "body_timeout", 30_000),
            ("keepalive_timeout", "keepalive_timeout", 75_000),
        ];
        for (name, key, usual) in times {
            let read = |at: &Directive| milliseconds(at.argument(0));
            let Some((value, at)) = self.largest(name, read) else { continue };
            if value == usual {
                continue;
            }
            let piece = format!("client.{key} = {}", quoted(&duration(value)));
            self.set(top, piece, &at);
        }
        let heads = |at: &Directive| {
            let count: u64 = at.argument(0).parse().ok()?;
            count.checked_mul(bytes(at.argument(1))?)
        };
        if let Some((value, at)) = self.largest("large_client_header_buffers", heads)
            && value != 32 << 10
        {
            let piece = format!("client.header_section = {}", quoted(&size(value)));
            self.set(top, piece, &at);
        }
    }

    fn set(&mut self, top: &mut String, piece: String, at: &Directive) {
        match objection(&piece) {
            None => top.push_str(&(piece + "\n")),
            Some(objection) => self.notes.lost(Home::Top, at, &objection, ""),
        }
    }

    /// The largest value of a directive over all servers; told where they differ.
    fn largest(
        &mut self,
        name: &str,
        read: impl Fn(&Directive) -> Option<u64>,
    ) -> Option<(u64, Directive)> {
        let mut found: Vec<(u64, Directive)> = Vec::new();
        for scope in self.scopes() {
            let Some(at) = scope.one(name) else { continue };
            match read(at) {
                Some(value) if found.iter().all(|(_, known)| known.place != at.place) => {
                    found.push((value, at.clone()));
                }
                Some(_) | None => {}
            }
        }
        let largest = found.iter().max_by_key(|(value, _)| *value)?.clone();
        for (_, at) in found.iter().filter(|(value, _)| *value != largest.0) {
            let why =
                format!("it holds for all clients: the largest is taken, `{}`", largest.1.shown());
            self.notes.remark(Home::Top, at, &why, "");
        }
        Some(largest)
    }

    /// Proxies before nginx: who they are, and how they tell of their clients.
    fn real_ip(&mut self, top: &mut String) -> String {
        let mut networks: Vec<String> = Vec::new();
        let mut header: Option<Directive> = None;
        let mut unread: Vec<Directive> = Vec::new();
        for scope in self.scopes() {
            for from in scope.all("set_real_ip_from") {
                match network(from.argument(0)) {
                    Some(network) if !networks.contains(&network) => networks.push(network),
                    Some(_) => {}
                    None => unread.push(from.clone()),
                }
            }
            header = header.or_else(|| scope.one("real_ip_header").cloned());
        }
        for from in unread {
            let why = "this is no network";
            self.notes.lost(Home::Top, &from, why, "its addresses, as a network");
        }
        let listens = || self.servers.iter().flat_map(|server| &server.listens);
        let lines = listens().any(|listen| listen.proxy_protocol);
        if lines
            && networks.is_empty()
            && let Some(server) = self.servers.first()
        {
            let why = "who may send a line of the PROXY protocol has to be named";
            let instead = "`client.proxy_protocol` with the balancers' networks";
            self.notes.lost(Home::Top, server.at, why, instead);
        }
        if networks.is_empty() {
            return String::new();
        }
        if lines {
            top.push_str(&format!("client.proxy_protocol = {}\n", list(&networks)));
            if header.as_ref().is_some_and(|header| header.argument(0) == "proxy_protocol") {
                return String::new();
            }
        }
        match &header {
            Some(at) if at.argument(0).eq_ignore_ascii_case("x-forwarded-for") => {}
            Some(at) if at.argument(0).eq_ignore_ascii_case("cf-connecting-ip") => {
                let why = "X-Forwarded-For is read, in which Cloudflare names the visitor too";
                self.notes.remark(Home::Top, at, why, "");
            }
            Some(at) => {
                let instead = "let the proxy before it send X-Forwarded-For";
                self.notes.lost(Home::Top, at, "X-Forwarded-For and Forwarded are read", instead);
            }
            None => {
                if let Some(at) =
                    self.scopes().iter().find_map(|scope| scope.one("set_real_ip_from")).cloned()
                {
                    let why = "nginx reads X-Real-IP; Causeway reads X-Forwarded-For and Forwarded";
                    let instead = "let the proxy before it send X-Forwarded-For";
                    self.notes.lost(Home::Top, &at, why, instead);
                }
            }
        }
        format!("\n[page]\ntrusted_proxies = {}\n", list(&networks))
    }

    fn tls(&mut self, listen: &[String], redirect: bool, tables: &mut String) {
        let mut text = format!("\n[tls]\nlisten = {}\n", list(listen));
        text.push_str(&self.certificates());
        if redirect {
            text.push_str("redirect_to_https = true\n");
        }
        text.push_str(&self.hsts());
        text.push_str(&self.version());
        tables.push_str(&text);
    }

    /// The servers with TLS, the default one first: its certificate is for whoever names no host.
    fn secure(&self) -> Vec<(usize, Scope<'_>)> {
        let secure = |server: &Server<'_>| server.listens.iter().any(|listen| listen.tls);
        let is_default =
            |server: &Server<'_>| server.listens.iter().any(|listen| listen.tls && listen.default);
        let mut found: Vec<(usize, &Server<'_>)> =
            self.servers.iter().enumerate().filter(|(_, server)| secure(server)).collect();
        found.sort_by_key(|(_, server)| !is_default(server));
        found.into_iter().map(|(at, server)| (at, server.scope.clone())).collect()
    }

    fn certificates(&mut self) -> String {
        let mut pairs: Vec<String> = Vec::new();
        let mut wrong: Vec<(usize, Directive)> = Vec::new();
        for (number, scope) in self.secure() {
            let chains = scope.all("ssl_certificate");
            for (chain, key) in chains.into_iter().zip(scope.all("ssl_certificate_key")) {
                let odd = |at: &Directive| {
                    let path = at.argument(0);
                    path.contains(['$', '\0'])
                        || path.starts_with("data:")
                        || path.starts_with("engine:")
                };
                if odd(chain) || odd(key) {
                    wrong.push((number, chain.clone()));
                    continue;
                }
                let path = |at: &Directive| {
                    quoted(&self.folder.join(at.argument(0)).display().to_string())
                };
                let pair = format!("{{ chain = {}, key = {} }}", path(chain), path(key));
                if !pairs.contains(&pair) {
                    pairs.push(pair);
                }
            }
        }
        for (number, at) in wrong {
            let why = "a certificate is a file here";
            self.notes.lost(Home::Server(number), &at, why, "the paths of its files");
        }
        if pairs.is_empty() {
            let found = self.secure().first().map(|(number, _)| *number);
            if let Some(number) = found {
                let why = "there is no certificate in what was read";
                let instead = "`certificates` in `[tls]`, with chain and key";
                self.notes.lost(Home::Server(number), self.servers[number].at, why, instead);
            }
            return "certificates = []\n".to_owned();
        }
        format!("certificates = [\n    {},\n]\n", pairs.join(",\n    "))
    }

    /// `Strict-Transport-Security`, if any server with TLS has it.
    fn hsts(&mut self) -> String {
        let mut found: Option<(String, Directive)> = None;
        let mut told: Vec<(usize, Directive, String)> = Vec::new();
        for (number, scope) in self.secure() {
            let fields = scope.all("add_header");
            let field = fields
                .into_iter()
                .find(|field| field.argument(0).eq_ignore_ascii_case("strict-transport-security"));
            let value =
                field.and_then(|field| hsts_value(field.argument(1)).map(|value| (value, field)));
            match (value, &found, field) {
                (Some((value, field)), None, _) => found = Some((value, field.clone())),
                (Some((value, _)), Some((known, _)), _) if value == *known => {}
                (Some(_) | None, _, Some(field)) => {
                    let why = "one value holds for every site with TLS".to_owned();
                    told.push((number, field.clone(), why));
                }
                (_, _, None) => {}
            }
        }
        let without: Vec<usize> = match &found {
            None => Vec::new(),
            Some(_) => self
                .secure()
                .into_iter()
                .filter(|(_, scope)| {
                    let fields = scope.all("add_header");
                    !fields.iter().any(|field| {
                        field.argument(0).eq_ignore_ascii_case("strict-transport-security")
                    })
                })
                .map(|(number, _)| number)
                .collect(),
        };
        for number in without {
            let at = self.servers[number].at;
            let why = "Strict-Transport-Security is sent for every site with TLS, this one too";
            self.notes.lost(Home::Server(number), at, why, "see that it may be, or drop `hsts`");
        }
        for (number, at, why) in told {
            self.notes.lost(Home::Server(number), &at, &why, "");
        }
        found.map(|(value, _)| value).unwrap_or_default()
    }

    fn version(&mut self) -> String {
        let mut versions: Vec<Directive> = Vec::new();
        for (_, scope) in self.secure() {
            versions.extend(scope.one("ssl_protocols").cloned());
        }
        let only_13 = |at: &Directive| at.arguments.iter().all(|version| version == "TLSv1.3");
        for at in &versions {
            if at.arguments.iter().any(|version| !matches!(version.as_str(), "TLSv1.2" | "TLSv1.3"))
            {
                let why = "TLS 1.2 and 1.3 are spoken, nothing older";
                self.notes.remark(Home::Top, at, why, "");
            }
        }
        match !versions.is_empty() && versions.iter().all(only_13) {
            true => "min_version = \"1.3\"\n".to_owned(),
            false => String::new(),
        }
    }

    fn log(&mut self, tables: &mut String) {
        let mut found: Vec<Directive> = Vec::new();
        for scope in self.scopes() {
            let Some(at) = scope.one("access_log") else { continue };
            if found.iter().all(|known| known.place != at.place) {
                found.push(at.clone());
            }
        }
        let Some(first) = found.first().cloned() else { return };
        for at in &found[1..] {
            if at.arguments != first.arguments {
                let why = format!("there is one access log, that of `{}`", first.shown());
                self.notes.lost(Home::Top, at, &why, "tell the sites apart by `upstream` in it");
            }
        }
        let path = first.argument(0);
        if path == "off" {
            tables.push_str("\n[log]\naccess = \"off\"\n");
            return;
        }
        let known = objection(&format!("log.access = {}", quoted(path)));
        if let Some(objection) = known.filter(|_| path != "/dev/stdout") {
            self.notes.lost(Home::Top, &first, &objection, "the path of a file");
            return;
        }
        let format = first.argument(1);
        let is_format = !format.is_empty() && !format.contains('=');
        if is_format && format != "combined" {
            let why = format!("there is no format `{format}`");
            let instead = "`format = \"json\"`, which has more than any of nginx's variables";
            self.notes.lost(Home::Top, &first, &why, instead);
        }
        let access = match path {
            "/dev/stdout" => "stdout",
            path => {
                let why = "rotate it with `kill -USR1` to Causeway, whose user must be able to \
                           write it";
                self.notes.remark(Home::Top, &first, why, "");
                path
            }
        };
        let text = format!("\n[log]\naccess = {}\nformat = \"combined\"\n", quoted(access));
        tables.push_str(&text);
    }
}

/// `max-age=31536000; includeSubDomains; preload` as our keys.
fn hsts_value(text: &str) -> Option<String> {
    let mut parts = text.split(';').map(str::trim);
    let seconds: u64 = parts.find_map(|part| {
        part.to_ascii_lowercase().strip_prefix("max-age=")?.trim_matches('"').parse().ok()
    })?;
    let milliseconds = seconds.checked_mul(1000)?;
    let days = seconds / 86_400;
    let duration = match seconds % 86_400 {
        0 if days > 0 => format!("{}d", days.min(365)),
        _ => duration(milliseconds),
    };
    let subdomains = text.to_ascii_lowercase().contains("includesubdomains");
    let more = if subdomains { "hsts_subdomains = true\n" } else { "" };
    Some(format!("hsts = \"{duration}\"\n{more}"))
}

#[cfg(test)]
mod tests {
    use super::hsts_value;

    #[test]
    fn strict_transport_security() {
        for (text, expected) in [
            ("max-age=31536000", Some("hsts = \"365d\"\n")),
            (
                "max-age=63072000; includeSubDomains; preload",
                Some("hsts = \"365d\"\nhsts_subdomains = true\n"),
            ),
            ("max-age=300", Some("hsts = \"5m\"\n")),
            ("includeSubDomains", None),
        ] {
            assert_eq!(hsts_value(text).as_deref(), expected, "{text}");
        }
    }
}
