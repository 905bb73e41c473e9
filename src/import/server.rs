//! A `server` of nginx with its locations, as they are written.
//!
//! Pure. Takes the tree apart: listeners, names, locations, who may ask. What becomes of them is
//! decided in `sites` and `routes`.

use super::notes::{Home, Notes};
use super::scope::Scope;
use super::tree::Directive;
use super::values::{self, list, objection};

/// One `listen`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// As our configuration writes it.
    pub address: String,
    pub tls: bool,
    pub default: bool,
    pub proxy_protocol: bool,
}

/// One `server`.
#[derive(Debug, Clone)]
pub struct Server<'a> {
    pub at: &'a Directive,
    pub scope: Scope<'a>,
    pub listens: Vec<Listen>,
    /// Hosts as our configuration writes them.
    pub names: Vec<String>,
    /// The first is the server itself: what no location takes.
    pub locations: Vec<Location<'a>>,
    /// Where it redirects every request to https.
    pub redirect: Option<&'a Directive>,
}

/// One `location`, also within another.
#[derive(Debug, Clone)]
pub struct Location<'a> {
    pub at: &'a Directive,
    pub matcher: Matcher,
    pub scope: Scope<'a>,
    /// The location around it, by its position.
    pub parent: Option<usize>,
}

/// Which requests a location takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Matcher {
    Exact(String),
    /// `is_last` is that of `^~`: no expression is looked at any more.
    Prefix {
        path: String,
        is_last: bool,
    },
    Expression(String),
    Named(String),
}

/// Who may ask for a location.
#[derive(Debug, Clone, Copy)]
pub enum Guard<'a> {
    Open,
    /// Nobody.
    Shut(&'a Directive),
    /// Some, by what Causeway does not look at.
    Some(&'a Directive),
}

impl<'a> Server<'a> {
    /// Reads a server; `outer` is what holds around it.
    pub fn read(at: &'a Directive, outer: &Scope<'a>, home: Home, notes: &mut Notes) -> Server<'a> {
        let scope = outer.within(at.inside());
        let matcher = Matcher::Prefix { path: "/".to_owned(), is_last: false };
        let whole = Location { at, matcher, scope: scope.clone(), parent: None };
        let mut server = Server {
            at,
            listens: listens(at, home, notes),
            names: names(at, home, notes),
            locations: vec![whole],
            redirect: None,
            scope: scope.clone(),
        };
        server.collect(at.inside(), &scope, None);
        server.redirect = server.find_redirect();
        if let Some(redirect) = server.redirect.filter(|at| server.is_to_other_host(at)) {
            notes.known(home, redirect);
            server.redirect = None;
        }
        server
    }

    fn collect(&mut self, block: &'a [Directive], scope: &Scope<'a>, parent: Option<usize>) {
        for at in block.iter().filter(|directive| directive.name == "location") {
            let scope = scope.within(at.inside());
            let position = self.locations.len();
            let matcher = matcher(&at.arguments);
            self.locations.push(Location { at, matcher, scope: scope.clone(), parent });
            self.collect(at.inside(), &scope, Some(position));
        }
    }

    /// The location that takes whatever no other does.
    pub fn root_location(&self) -> usize {
        let is_root = |location: &Location<'_>| location.path() == Some("/");
        self.locations.iter().skip(1).position(is_root).map_or(0, |at| at + 1)
    }

    /// Whether a redirect to https leads from https: then it is one to another host.
    fn is_to_other_host(&self, redirect: &Directive) -> bool {
        let unconditional = self.at.inside().contains(redirect)
            || self.locations[self.root_location()].at.inside().contains(redirect);
        unconditional && self.listens.iter().any(|listen| listen.tls)
    }

    /// `return 301 https://…` for everything: of the server, of its root, or under a condition that
    /// each request fulfils.
    fn find_redirect(&self) -> Option<&'a Directive> {
        let root = &self.locations[self.root_location()];
        let blocks = [self.at.inside(), root.at.inside()];
        blocks.into_iter().find_map(redirect)
    }
}

impl Location<'_> {
    /// The path from which on a location takes requests.
    pub fn path(&self) -> Option<&str> {
        match &self.matcher {
            Matcher::Exact(path) | Matcher::Prefix { path, .. } => Some(path),
            Matcher::Expression(_) | Matcher::Named(_) => None,
        }
    }
}

/// A `return` to https, by itself or within an `if` about the scheme or the host.
fn redirect(block: &[Directive]) -> Option<&Directive> {
    block.iter().find_map(|directive| match directive.name.as_str() {
        "return" => is_to_https(directive).then_some(directive),
        "if" => {
            let condition: String = directive.arguments.concat();
            let about = ["($scheme=http)", "($scheme!=https)", "($scheme!=\"https\")"];
            let of_certbot = condition.starts_with("($host=");
            let fits = of_certbot || about.contains(&condition.as_str());
            let inner = directive.inside().iter().find(|inner| inner.name == "return");
            inner.filter(|inner| fits && is_to_https(inner))
        }
        _ => None,
    })
}

fn is_to_https(directive: &Directive) -> bool {
    let (code, address) = match directive.arguments.as_slice() {
        [address] => ("302", address.as_str()),
        [code, address, ..] => (code.as_str(), address.as_str()),
        [] => return false,
    };
    let keeps_path = address.ends_with("$request_uri") || address.ends_with("$uri");
    ["301", "302", "303", "307", "308"].contains(&code)
        && address.starts_with("https://")
        && keeps_path
}

fn matcher(arguments: &[String]) -> Matcher {
    match arguments {
        [mark, path, ..] if mark == "=" => Matcher::Exact(path.clone()),
        [mark, path, ..] if mark == "^~" => Matcher::Prefix { path: path.clone(), is_last: true },
        [mark, pattern, ..] if mark == "~" || mark == "~*" => Matcher::Expression(pattern.clone()),
        [word, ..] => attached(word),
        [] => Matcher::Named(String::new()),
    }
}

/// The mark may stand right before what it belongs to.
fn attached(word: &str) -> Matcher {
    if let Some(path) = word.strip_prefix("^~") {
        return Matcher::Prefix { path: path.to_owned(), is_last: true };
    }
    if let Some(path) = word.strip_prefix('=') {
        return Matcher::Exact(path.to_owned());
    }
    if let Some(pattern) = word.strip_prefix("~*").or_else(|| word.strip_prefix('~')) {
        return Matcher::Expression(pattern.to_owned());
    }
    if word.starts_with('@') {
        return Matcher::Named(word.to_owned());
    }
    Matcher::Prefix { path: word.to_owned(), is_last: false }
}

fn listens(at: &Directive, home: Home, notes: &mut Notes) -> Vec<Listen> {
    let mut listens: Vec<Listen> = Vec::new();
    let inside = at.inside();
    let ssl_on = inside.iter().any(|inner| inner.name == "ssl" && inner.argument(0) == "on");
    let mut told = false;
    for directive in inside.iter().filter(|inner| inner.name == "listen") {
        told = true;
        let parameters = directive.arguments.get(1..).unwrap_or_default();
        let has = |name: &str| parameters.iter().any(|parameter| parameter == name);
        if has("quic") {
            let instead = "nothing: clients fall back to HTTP/2";
            notes.lost(home, directive, "HTTP/3 is not spoken", instead);
            continue;
        }
        let address = values::listen(directive.argument(0));
        let address =
            address.filter(|address| objection(&format!("listen = {}", list([address]))).is_none());
        let Some(address) = address else {
            let instead = "\"IP:PORT\" in `listen`";
            notes.lost(home, directive, "this is no IP address to listen on", instead);
            continue;
        };
        let listen = Listen {
            address,
            tls: has("ssl") || ssl_on,
            default: has("default_server") || has("default"),
            proxy_protocol: has("proxy_protocol"),
        };
        if !listens.iter().any(|known| known.address == listen.address) {
            listens.push(listen);
        }
    }
    if !told {
        let address = "0.0.0.0:80".to_owned();
        listens.push(Listen { address, tls: ssl_on, default: false, proxy_protocol: false });
    }
    listens
}

fn names(at: &Directive, home: Home, notes: &mut Notes) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut add = |name: String| {
        if !names.contains(&name) {
            names.push(name);
        }
    };
    let named = at.inside().iter().filter(|inner| inner.name == "server_name");
    for (directive, name) in
        named.flat_map(|inner| inner.arguments.iter().map(move |name| (inner, name)))
    {
        let name = name.to_ascii_lowercase();
        // Names that no host has stand for the default server by custom.
        if matches!(name.as_str(), "" | "_" | "__" | "--" | "!@#") {
            continue;
        }
        let is_host = |name: &str| {
            let piece = format!("[upstream.a]\nservers = [\"http://a\"]\nhosts = {}", list([name]));
            objection(&piece).is_none()
        };
        let wanted = match name.strip_prefix('.') {
            Some(parent) => vec![parent.to_owned(), format!("*.{parent}")],
            None => vec![name.clone()],
        };
        for wanted in wanted {
            if is_host(&wanted) {
                add(wanted);
                continue;
            }
            let why = match name.as_bytes() {
                [b'~', ..] => "hosts are not found by regular expressions",
                _ => "this is no host, nor `*.` before one",
            };
            let instead = "list the hosts, or `*.` before what they have in common";
            notes.lost(home, directive, why, instead);
        }
    }
    names
}

/// Who may ask for what is in `scope`; `own` is the location's block.
pub fn guard<'a>(scope: &Scope<'a>, own: &'a [Directive]) -> Guard<'a> {
    let answers = own.iter().find(|inner| {
        inner.name == "return" && matches!(inner.argument(0), "403" | "404" | "410" | "444")
            || inner.name == "internal"
    });
    if let Some(answer) = answers {
        return Guard::Shut(answer);
    }
    let deny = scope.all("deny");
    let denies_all = deny.iter().find(|deny| deny.argument(0) == "all").copied();
    let allows = own.iter().any(|inner| inner.name == "allow")
        || (own.iter().all(|inner| inner.name != "deny") && !scope.all("allow").is_empty());
    let opened = own.iter().any(|inner| inner.name == "allow" && inner.argument(0) == "all");
    match (denies_all, deny.first()) {
        (Some(all), _) if !allows => return Guard::Shut(all),
        (_, Some(some)) if !opened => return Guard::Some(some),
        _ => {}
    }
    let switches = ["auth_basic", "auth_request", "auth_jwt", "ssl_verify_client"];
    let asked = switches.iter().filter_map(|name| scope.one(name));
    let asked = asked.into_iter().find(|directive| !matches!(directive.argument(0), "off" | ""));
    let other = ["limit_except", "valid_referers", "secure_link"];
    let other = other.iter().find_map(|name| scope.own(name));
    asked.or(other).map_or(Guard::Open, Guard::Some)
}
