//! `proxy_pass` and `upstream`: the servers that a location goes to, and how it is asked.
//!
//! Pure. Decides what Causeway sends in the same form; a path that would be rewritten, or a server
//! that a variable names, is told and left out.

use std::collections::HashMap;

use super::block::Body;
use super::notes::{Home, Notes};
use super::scope::Scope;
use super::tree::Directive;
use super::values::{bytes, duration, milliseconds, objection, quoted, size};

/// Our own limit of a response head; a smaller one of nginx refuses nothing that ours lets pass.
const HEADER_SECTION: u64 = 64 << 10;
/// Our own limit of connections to an upstream.
const CONNECTIONS: u64 = 256;
/// Our own connections that are kept alive.
const IDLE_CONNECTIONS: u64 = 64;

/// The `upstream` blocks by name.
pub type Upstreams<'a> = HashMap<&'a str, &'a Directive>;

/// Where notes go while one location is read.
#[derive(Debug)]
pub struct Desk<'a, 'n> {
    pub upstreams: &'a Upstreams<'a>,
    pub notes: &'n mut Notes,
    pub home: Home,
}

/// The servers of a block, and how many connections to them are kept.
#[derive(Debug, Default)]
pub struct Servers {
    pub list: Vec<String>,
    pub keepalive: Option<u64>,
}

/// Where `proxy_pass` leads, with the path that it puts in place of the location's.
struct Target<'a> {
    scheme: &'static str,
    /// `HOST[:PORT]`, the name of an upstream, or `unix:/path`.
    address: &'a str,
    path: Option<&'a str>,
}

impl Desk<'_, '_> {
    pub fn lost(&mut self, at: &Directive, why: &str, instead: &str) {
        self.notes.lost(self.home, at, why, instead);
    }

    pub fn remark(&mut self, at: &Directive, why: &str, instead: &str) {
        self.notes.remark(self.home, at, why, instead);
    }

    /// The block for a location that `pass` sends on; `path` is the location's own, if it has one.
    pub fn proxied(&mut self, scope: &Scope<'_>, pass: &Directive, path: &str) -> Option<Body> {
        let Some(target) = target(pass.argument(0)) else {
            let instead = "write the server's address: http://HOST:PORT or http://unix:/path";
            self.lost(pass, "a variable, or no http:// or https://, is no fixed server", instead);
            return None;
        };
        if target.path.is_some_and(|rewritten| rewritten != path) {
            let why = "the path would be rewritten, and requests keep theirs";
            let instead = "let the upstream serve the path as visitors ask for it";
            self.lost(pass, why, instead);
            return None;
        }
        let servers = self.servers(pass, target.scheme, target.address)?;
        let mut body = Body { servers: servers.list, ..Body::default() };
        self.host(scope, pass, target.address);
        self.fields(scope);
        self.timeouts(scope, "proxy", &mut body);
        self.limits(scope, "proxy_buffer_size", servers.keepalive, &mut body);
        self.statuses(scope, "proxy_intercept_errors", &mut body);
        self.body_size(scope);
        if let Some(redirect) = scope.one("proxy_redirect")
            && !matches!(redirect.argument(0), "off" | "default")
        {
            let instead = "let the upstream write the address that visitors know";
            self.lost(redirect, "Location goes on as the upstream wrote it", instead);
        }
        if target.scheme == "https" {
            self.tls(scope, pass, &mut body);
        }
        Some(body)
    }

    /// The servers behind an address or the name of an `upstream`.
    pub fn servers(&mut self, pass: &Directive, scheme: &str, address: &str) -> Option<Servers> {
        let mut servers = Servers::default();
        match self.upstreams.get(address) {
            Some(upstream) => self.expand(upstream, scheme, &mut servers),
            None => servers.list.push(server(scheme, address)),
        }
        if servers.list.is_empty() {
            self.lost(pass, "its upstream has no server that could be carried over", "");
            return None;
        }
        let piece = format!("[upstream.a]\nservers = {}", super::values::list(&servers.list));
        // Only the servers are asked about: a site's root comes later.
        let piece = if scheme == "fastcgi" { piece + "\nroot = \"/srv/a\"" } else { piece };
        if let Some(objection) = objection(&piece) {
            self.lost(pass, &objection, "");
            return None;
        }
        Some(servers)
    }

    fn expand(&mut self, upstream: &Directive, scheme: &str, servers: &mut Servers) {
        let (home, inside) = (self.home, upstream.inside());
        self.notes.survey(home, inside);
        for directive in inside {
            match directive.name.as_str() {
                "server" if self.takes_part(directive) => {
                    servers.list.push(upstream_server(scheme, directive.argument(0)));
                }
                "keepalive" => servers.keepalive = directive.argument(0).parse().ok(),
                "ip_hash" | "hash" | "sticky" => self.notes.known(home, directive),
                _ => {}
            }
        }
    }

    /// Whether a server of an `upstream` takes its turn as the others do.
    fn takes_part(&mut self, server: &Directive) -> bool {
        let mut takes_part = true;
        for parameter in server.arguments.iter().skip(1) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match name {
                "down" => takes_part = false,
                "backup" => {
                    let instead = "list it with the others, to take its turn too";
                    self.lost(server, "no server waits for the others to fail", instead);
                    takes_part = false;
                }
                "weight" if value != "1" => {
                    let instead = "list a server of more weight more than once";
                    self.lost(server, "servers take equal turns", instead);
                }
                "max_conns" => {
                    let instead = "`limits.connections` counts those to all servers of a block";
                    self.lost(server, "connections to one server are not counted", instead);
                }
                "max_fails" | "fail_timeout" => {
                    let why = "a server that cannot be reached is passed over for a moment, \
                               without a count";
                    self.remark(server, why, "");
                }
                _ => {}
            }
        }
        takes_part
    }

    /// nginx names the upstream in Host unless it is told otherwise.
    fn host(&mut self, scope: &Scope<'_>, pass: &Directive, address: &str) {
        let fields = scope.all("proxy_set_header");
        let host = fields.iter().find(|field| field.argument(0).eq_ignore_ascii_case("host"));
        let is_visitors = |value: &str| {
            let value = value.split(':').next().unwrap_or(value);
            matches!(value, "$host" | "$http_host" | "$server_name")
        };
        match host {
            Some(host) if is_visitors(host.argument(1)) => {}
            Some(host) => {
                let instead = "let the upstream answer to the name that visitors use";
                self.lost(host, "Host goes on as the visitor sent it", instead);
            }
            None => {
                let name = address.rsplit_once(':').map_or(address, |(name, _)| name);
                let names_a_host = name.parse::<std::net::IpAddr>().is_err()
                    && !name.starts_with("unix:")
                    && !self.upstreams.contains_key(address)
                    && name != "localhost";
                let why = "without `proxy_set_header Host` nginx names the upstream in Host; \
                           Causeway sends the visitor's";
                match names_a_host {
                    true => self.lost(pass, why, "let the upstream answer to the visitor's name"),
                    false => self.remark(pass, why, ""),
                }
            }
        }
    }

    /// Fields of the request that nginx sets.
    fn fields(&mut self, scope: &Scope<'_>) {
        for field in scope.all("proxy_set_header") {
            let name = field.argument(0).to_ascii_lowercase();
            match (name.as_str(), field.argument(1)) {
                // Told elsewhere, or sent so anyway.
                ("host" | "x-forwarded-for" | "x-forwarded-proto" | "x-forwarded-host", _)
                | ("upgrade" | "connection" | "proxy" | "te" | "via", _)
                | ("cookie", "$http_cookie")
                | ("range", "$http_range") => {}
                ("x-forwarded-scheme" | "x-forwarded-protocol" | "x-url-scheme", _) => {
                    let instead = "let the application read X-Forwarded-Proto";
                    self.lost(field, "it is not sent", instead);
                }
                ("x-real-ip" | "x-client-ip" | "cf-connecting-ip" | "true-client-ip", _) => {
                    let why = "it is not sent, and one that a visitor made up goes through";
                    let instead = "let the application read X-Forwarded-For, which Causeway \
                                   writes anew, and nothing else";
                    self.lost(field, why, instead);
                }
                (_, value) if name == value.trim_start_matches("$http_").replace('_', "-") => {}
                (_, "") => self.lost(field, "no field is taken away", "ignore it there"),
                _ => self.lost(field, "it is not sent", "set it where it is read"),
            }
        }
    }

    /// `KIND_connect_timeout`, `_send_timeout` and `_read_timeout`.
    pub fn timeouts(&mut self, scope: &Scope<'_>, kind: &str, body: &mut Body) {
        let keys: [(&str, &[&'static str], &str); 3] = [
            ("connect", &["connect"], "3s"),
            ("send", &["send"], "30s"),
            ("read", &["first_byte", "idle"], "60s"),
        ];
        for (name, ours, usual) in keys {
            let Some(directive) = scope.one(&format!("{kind}_{name}_timeout")) else { continue };
            let Some(value) = self.time(directive) else { continue };
            if value != usual {
                body.timeouts.extend(ours.iter().map(|key| (*key, quoted(&value))));
            }
        }
    }

    /// A time as Causeway takes it; told if there is none.
    pub fn time(&mut self, directive: &Directive) -> Option<String> {
        let value = milliseconds(directive.argument(0)).map(duration);
        let Some(value) = value else {
            self.lost(directive, "this is no time of nginx", "");
            return None;
        };
        match objection(&format!("client.header_timeout = \"{value}\"")) {
            None => Some(value),
            Some(objection) => {
                self.lost(directive, &objection, "");
                None
            }
        }
    }

    /// The size of a response head, and connections that are kept.
    pub fn limits(
        &mut self,
        scope: &Scope<'_>,
        buffer: &str,
        keepalive: Option<u64>,
        body: &mut Body,
    ) {
        if let Some(directive) = scope.one(buffer) {
            let wanted = bytes(directive.argument(0)).filter(|bytes| *bytes > HEADER_SECTION);
            if let Some(wanted) = wanted {
                let value = quoted(&size(wanted));
                match objection(&format!("client.header_section = {value}")) {
                    None => body.limits.push(("header_section", value)),
                    Some(objection) => self.lost(directive, &objection, ""),
                }
            }
        }
        let fastcgi = body.root.is_some();
        let usual = if fastcgi { 0 } else { IDLE_CONNECTIONS };
        if let Some(kept) = keepalive.filter(|kept| *kept != usual) {
            body.limits.push(("idle_connections", kept.min(CONNECTIONS).to_string()));
        }
    }

    /// `error_page`: the answers of the upstream in whose place ours stand.
    pub fn statuses(&mut self, scope: &Scope<'_>, intercept: &str, body: &mut Body) {
        let intercepts = scope.is_on(intercept);
        for page in scope.all("error_page") {
            let codes = page.arguments.iter().map_while(|word| word.parse::<u16>().ok());
            let codes: Vec<u16> = codes.filter(|code| (400..=599).contains(code)).collect();
            let target = page.arguments.last().map_or("", String::as_str);
            let changes = page.arguments.iter().any(|word| word.starts_with('='));
            let ours =
                codes.iter().all(|code| *code >= 500) && !changes && !target.starts_with('@');
            if ours {
                let why = "Causeway's page stands in its place";
                self.remark(page, why, "`page.template` for a page of your own");
            } else {
                let instead = "let the application answer so; `page.template` for a page of your \
                               own where the upstream fails";
                self.lost(page, "no other address answers in place of an error", instead);
            }
            if intercepts {
                let new = codes.into_iter().filter(|code| *code >= 500);
                body.replace_status.extend(new);
            }
        }
        body.replace_status.sort_unstable();
        body.replace_status.dedup();
    }

    /// nginx limits bodies on the way to HTTP servers too.
    fn body_size(&mut self, scope: &Scope<'_>) {
        if let Some(limit) = scope.one("client_max_body_size")
            && limit.argument(0) != "0"
        {
            self.notes.known(self.home, limit);
        }
    }

    fn tls(&mut self, scope: &Scope<'_>, pass: &Directive, body: &mut Body) {
        if scope.is_on("proxy_ssl_verify") {
            if let Some(ca) = scope.one("proxy_ssl_trusted_certificate") {
                body.tls.push(("ca", quoted(ca.argument(0))));
            }
        } else {
            let why = "nginx does not look at the upstream's certificate unless it is told to";
            self.remark(pass, why, "drop `tls.verify = false` where the certificate is good");
            body.tls.push(("verify", "false".to_owned()));
        }
        if let Some(name) = scope.one("proxy_ssl_name") {
            let value = quoted(name.argument(0));
            let piece =
                format!("[upstream.a]\nservers = [\"https://a\"]\ntls.server_name = {value}");
            match objection(&piece) {
                None => body.tls.push(("server_name", value)),
                Some(objection) => self.lost(name, &objection, ""),
            }
        }
    }
}

fn target(text: &str) -> Option<Target<'_>> {
    if text.contains('$') {
        return None;
    }
    let (scheme, rest) = text.split_once("://")?;
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "http" => "http",
        "https" => "https",
        _ => return None,
    };
    let (address, path) = match rest.strip_prefix("unix:") {
        Some(socket) => match socket.split_once(':') {
            Some((socket, path)) => (&rest[.."unix:".len() + socket.len()], Some(path)),
            None => (rest, None),
        },
        None => match rest.find(['/', '?']) {
            Some(at) => (&rest[..at], Some(&rest[at..])),
            None => (rest, None),
        },
    };
    Some(Target { scheme, address, path: path.filter(|path| !path.is_empty()) })
}

/// An address as an element of `servers`.
fn server(scheme: &str, address: &str) -> String {
    match address.strip_prefix("unix:") {
        Some(path) => format!("{scheme}+unix:{}", path.trim_end_matches(':')),
        None => format!("{scheme}://{address}"),
    }
}

/// The same for a server of an `upstream`, whose port is 80 where there is none.
fn upstream_server(scheme: &str, address: &str) -> String {
    let bare = address.strip_suffix(']').is_some() || !address.contains(':');
    match bare && !address.starts_with("unix:") {
        true => server(scheme, &format!("{address}:80")),
        false => server(scheme, address),
    }
}
