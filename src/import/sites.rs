//! The locations of one server as blocks.
//!
//! Pure. nginx looks for a path in a tree of prefixes and a list of expressions; Causeway has
//! prefixes that end at a slash, and knows what is PHP. What was guarded is never left open: it is
//! denied, or its block is kept closed.

use super::block::{Block, Body};
use super::notes::{Home, Notes};
use super::pattern;
use super::php::{self, Handler};
use super::proxied::{Desk, Upstreams};
use super::server::{Guard, Location, Matcher, Server, guard};
use super::told::tell;
use super::tree::Directive;

const NO_FILES: &str = "Causeway sends the files of PHP sites alone";
const FILES_INSTEAD: &str = "let the application or Apache send them, or give the block a PHP-FPM";

/// Locations of one server; more are no configuration that somebody wrote.
const LOCATIONS_MAX: usize = 1000;

/// What is read of one server.
pub struct Reading<'a, 'n> {
    pub number: usize,
    pub server: &'a Server<'a>,
    pub upstreams: &'a Upstreams<'a>,
    pub notes: &'n mut Notes,
    handlers: Vec<(Option<usize>, Handler<'a>)>,
}

impl<'a, 'n> Reading<'a, 'n> {
    pub fn new(
        number: usize,
        server: &'a Server<'a>,
        upstreams: &'a Upstreams<'a>,
        notes: &'n mut Notes,
    ) -> Reading<'a, 'n> {
        let handlers = server.locations.iter().filter_map(handler).collect();
        Reading { number, server, upstreams, notes, handlers }
    }

    /// The blocks of the server, those of its root first.
    pub fn blocks(mut self) -> Vec<Block> {
        let server = self.server;
        if server.locations.len() > LOCATIONS_MAX {
            let why = format!("it has more than {LOCATIONS_MAX} locations");
            self.notes.lost(Home::Server(self.number), server.at, &why, "");
            return Vec::new();
        }
        tell(self.notes, Home::Server(self.number), server.at.inside());
        for (at, location) in server.locations.iter().enumerate().skip(1) {
            let home = Home::Location(self.number, at);
            match &location.matcher {
                // What it rewrites to is what answers for missing files.
                Matcher::Named(_) => self.notes.survey(home, location.at.inside()),
                Matcher::Exact(_) | Matcher::Prefix { .. } | Matcher::Expression(_) => {
                    tell(self.notes, home, location.at.inside());
                }
            }
        }
        let root = server.root_location();
        let mut bodies: Vec<Option<Body>> = vec![None; server.locations.len()];
        bodies[root] = self.body(root);
        for at in (0..server.locations.len()).filter(|at| *at != root && *at != 0) {
            if server.locations[at].path().is_some() && !self.is_handler(at) {
                bodies[at] = self.body(at);
            }
        }
        self.without_scripts(&mut bodies);
        self.fold(root, &mut bodies);
        self.expressions(root, &mut bodies);
        self.shut(&mut bodies);
        self.borders(&bodies);
        self.merged(root, bodies)
    }

    fn desk(&mut self, at: usize) -> Desk<'_, '_> {
        let home = match at {
            0 => Home::Server(self.number),
            at => Home::Location(self.number, at),
        };
        Desk { upstreams: self.upstreams, notes: self.notes, home }
    }

    /// What a location with a path does with a request; none if nothing that could be carried over.
    fn body(&mut self, at: usize) -> Option<Body> {
        let server = self.server;
        let location = &server.locations[at];
        let own = location.at.inside();
        let path = location.path()?;
        let shut = match guard(&location.scope, own) {
            Guard::Open => None,
            Guard::Some(by) => Some(by),
            // Told with the others that are shut.
            Guard::Shut(_) => return None,
        };
        let redirects = server.redirect.is_some() && at == server.root_location();
        let answered = server.at.inside().iter().any(|inner| inner.name == "return");
        if redirects || answered || own.iter().any(|inner| inner.name == "return") {
            return None;
        }
        let passes = |name: &str| own.iter().find(|inner| inner.name == name);
        let mut body = match (passes("proxy_pass"), passes("fastcgi_pass")) {
            (Some(pass), _) => self.desk(at).proxied(&location.scope, pass, path),
            (None, Some(pass)) => {
                let handler = Handler { scope: location.scope.clone(), pass, single: None };
                self.all_to_php(at, &handler)
            }
            (None, None) if !can_send(own) => None,
            (None, None) => self.files(at),
        }?;
        if let Some(by) = shut {
            let why = "who may ask is not decided here; the block is kept closed by `maintenance`";
            let instead = "guard it in the application or in Apache, then drop `maintenance`";
            self.desk(at).lost(by, why, instead);
            body.closed = true;
        }
        Some(body)
    }

    /// A location whose every path goes to PHP, by one script that stands in its parameters.
    fn all_to_php(&mut self, at: usize, handler: &Handler<'a>) -> Option<Body> {
        let server = self.server;
        let location = &server.locations[at];
        let home = Home::Location(self.number, at);
        let front = php::front_of(&location.scope, &[], self.notes, home);
        let none = |_: &str| None;
        let mut body = self.desk(at).site(&location.scope, location.at, handler, &none)?;
        match front {
            Some(front) => body.attempts = Some(vec![front]),
            None => {
                let why = "every path went to PHP as a script; Causeway looks for the file first";
                self.desk(at).remark(handler.pass, why, "`try = [\"/index.php\"]` for one script");
            }
        }
        Some(body)
    }

    /// Files, and the scripts among them.
    fn files(&mut self, at: usize) -> Option<Body> {
        let server = self.server;
        let location = &server.locations[at];
        if let Some(pass) = self.named_pass(location) {
            let named = pass.0;
            self.desk(at).lost(location.at, NO_FILES, "let the application send them");
            return self.desk(at).proxied(&named.scope, pass.1, "");
        }
        let Some(handler) = self.handler_of(at) else {
            let is_plain = at == 0 && location.scope.value("root").is_none();
            if let Some(body) = self.scripts_elsewhere(at) {
                return Some(body);
            }
            if !is_plain && server.redirect.is_none() {
                self.desk(at).lost(location.at, NO_FILES, FILES_INSTEAD);
            }
            return None;
        };
        let (number, locations) = (self.number, &server.locations);
        // Notes of the named location itself come later: the desk is taken.
        let mut told = Notes::default();
        let fronts: Vec<(String, Option<String>)> = named(locations)
            .map(|(name, found, position)| {
                let home = Home::Location(number, position);
                let front = php::front_of(&found.scope, found.at.inside(), &mut told, home);
                (name.to_owned(), front)
            })
            .collect();
        let front = |wanted: &str| {
            fronts.iter().find(|(name, _)| name == wanted).and_then(|(_, front)| front.clone())
        };
        let body = self.desk(at).site(&location.scope, location.at, &handler, &front);
        self.notes.take(told);
        body
    }

    /// The named location that answers for missing files, where it is another server.
    fn named_pass(&self, location: &Location<'a>) -> Option<(&'a Location<'a>, &'a Directive)> {
        let last = location.scope.own("try_files")?.arguments.last()?;
        let (_, found, _) = named(&self.server.locations).find(|(name, ..)| name == last)?;
        let pass = found.at.inside().iter().find(|inner| inner.name == "proxy_pass")?;
        Some((found, pass))
    }

    /// nginx sends the files and another server, mostly Apache, runs the scripts: it has both.
    fn scripts_elsewhere(&mut self, at: usize) -> Option<Body> {
        let server = self.server;
        let scripts = server.locations.iter().find(|location| match &location.matcher {
            Matcher::Expression(pattern) => pattern::runs_php(pattern),
            Matcher::Exact(_) | Matcher::Prefix { .. } | Matcher::Named(_) => false,
        })?;
        let pass = scripts.at.inside().iter().find(|inner| inner.name == "proxy_pass")?;
        let why = "Causeway sends the files of PHP-FPM sites alone: all of it goes to the server \
                   that runs the scripts";
        let instead = "see that it sends the files too, as Apache does from its DocumentRoot";
        self.desk(at).lost(server.locations[at].at, why, instead);
        self.desk(at).proxied(&scripts.scope, pass, "")
    }

    /// Who runs the scripts among the files of a location.
    fn handler_of(&self, at: usize) -> Option<Handler<'a>> {
        let of = |parent: Option<usize>| {
            let mut handlers = self.handlers.iter();
            handlers.find(|(inside, _)| *inside == parent).map(|(_, handler)| handler.clone())
        };
        let inner = of(Some(at));
        let everywhere = || of(None);
        inner.or_else(everywhere)
    }

    fn is_handler(&self, at: usize) -> bool {
        handler(&self.server.locations[at]).is_some()
    }

    /// Behind `^~` no expression is looked at, so that nginx runs no script there; nor may we.
    fn without_scripts(&mut self, bodies: &mut [Option<Body>]) {
        let server = self.server;
        for (at, location) in server.locations.iter().enumerate() {
            let Matcher::Prefix { path, is_last: true } = &location.matcher else { continue };
            let is_site = bodies[at].as_ref().is_some_and(|body| body.root.is_some());
            let runs = self.handlers.iter().any(|(inside, _)| *inside == Some(at));
            let passes = location.at.inside().iter().any(|inner| inner.name == "fastcgi_pass");
            let pattern = format!("{}/**/*.php", path.trim_end_matches('/'));
            if is_site && !runs && !passes && php::is_pattern(&pattern) {
                let why = "no script is run there, nor is its source sent";
                self.desk(at).remark(location.at, why, "");
                deny(vec![pattern], bodies);
            }
        }
    }

    /// Locations that only say how files are sent are part of the site around them.
    fn fold(&mut self, root: usize, bodies: &mut [Option<Body>]) {
        const OF_THEIR_OWN: [&str; 5] =
            ["root", "index", "try_files", "fastcgi_pass", "proxy_pass"];
        let Some(site) = bodies[root].clone().filter(|body| body.root.is_some()) else { return };
        let server = self.server;
        for (at, location) in server.locations.iter().enumerate().skip(1) {
            let own = location.at.inside();
            let plain = !own.iter().any(|inner| OF_THEIR_OWN.contains(&inner.name.as_str()));
            let same = bodies[at].as_ref().is_some_and(|body| {
                !body.closed
                    && !site.closed
                    && body.root == site.root
                    && body.servers == site.servers
            });
            let nested = own.iter().any(|inner| inner.name == "location");
            if at == root || !plain || !same || nested {
                continue;
            }
            let body = bodies[at].take();
            if body.is_some_and(|body| body.attempts != site.attempts) {
                let why = "what is missing there is answered as everywhere in the site";
                self.desk(at).remark(location.at, why, "");
            }
        }
    }

    /// What locations by an expression say beside the PHP that they run.
    fn expressions(&mut self, root: usize, bodies: &mut [Option<Body>]) {
        let server = self.server;
        for (at, location) in server.locations.iter().enumerate() {
            let Matcher::Expression(pattern) = &location.matcher else { continue };
            let own = location.at.inside();
            match guard(&location.scope, own) {
                Guard::Shut(by) => self.shut_expression(at, pattern, by, bodies),
                Guard::Some(by) => {
                    let why = "who may ask is not decided here, and it is NOT guarded any more";
                    self.desk(at).lost(by, why, "guard it in the application or in Apache");
                }
                Guard::Open if self.is_handler(at) => {}
                Guard::Open => self.open_expression(root, at, bodies),
            }
        }
    }

    fn open_expression(&mut self, root: usize, at: usize, bodies: &[Option<Body>]) {
        let location = &self.server.locations[at];
        let own = location.at.inside();
        let has = |name: &str| own.iter().any(|inner| inner.name == name);
        let of_root = bodies[root].as_ref();
        let passed = own.iter().find(|inner| inner.name == "proxy_pass");
        if let Some(pass) = passed {
            // Where all of it goes there, that is what the expression wanted too.
            let body =
                Desk { upstreams: self.upstreams, notes: &mut Notes::default(), home: Home::Top }
                    .proxied(&location.scope, pass, "");
            if body.is_none()
                || body.map(|body| body.servers) != of_root.map(|of| of.servers.clone())
            {
                let why = "paths are not found by regular expressions";
                self.desk(at).lost(location.at, why, "a block with `paths`");
            }
            return;
        }
        if ["return", "rewrite", "alias", "root", "try_files", "fastcgi_pass"].into_iter().any(has)
            || !can_send(own)
        {
            let why = "paths are not found by regular expressions";
            self.desk(at).lost(
                location.at,
                why,
                "a block with `paths`, or do it in the application",
            );
        } else if of_root.is_some_and(|body| body.root.is_none()) {
            let why = "the files go with all other requests to the upstream";
            self.desk(at).lost(location.at, why, "let the application or Apache send them");
        }
    }

    /// Files that are never sent: by what Causeway does anyway, or by `deny`.
    fn shut_expression(
        &mut self,
        at: usize,
        pattern: &str,
        by: &Directive,
        bodies: &mut [Option<Body>],
    ) {
        let sites = bodies.iter().flatten().any(|body| body.root.is_some());
        if !sites {
            let why = "paths are not found by regular expressions, and these are NOT guarded here";
            self.desk(at).lost(by, why, "see that the upstream refuses them");
            return;
        }
        if pattern::guards_hidden(pattern) {
            let why = "names that begin with a dot are never sent anyway, but for /.well-known/";
            self.desk(at).remark(by, why, "");
            return;
        }
        let names = pattern::names(pattern);
        let Some(names) = names.filter(|names| names.iter().all(|name| php::is_pattern(name)))
        else {
            let why = "the expression is not understood, and what it covers is NOT guarded";
            self.desk(at).lost(
                by,
                why,
                "patterns in `deny`, on top of those that it has by itself",
            );
            return;
        };
        deny(names, bodies);
    }

    /// Locations with a path that nobody may ask for.
    fn shut(&mut self, bodies: &mut [Option<Body>]) {
        let server = self.server;
        for (at, location) in server.locations.iter().enumerate() {
            let Some(path) = location.path() else { continue };
            let by = match guard(&location.scope, location.at.inside()) {
                Guard::Open => continue,
                Guard::Shut(by) => by,
                Guard::Some(_) if bodies[at].is_some() || at == 0 || self.is_handler(at) => {
                    continue;
                }
                // It could not be carried over; without it, what is around would answer.
                Guard::Some(by) => by,
            };
            let around = self.around(at, bodies).and_then(|around| bodies[around].clone());
            let Some(around) = around else {
                if at == 0 && server.redirect.is_none() {
                    self.shut_whole(by);
                }
                continue;
            };
            if around.root.is_none() {
                let why =
                    "nobody may ask for it: the block is kept closed by `maintenance`, with 503";
                self.desk(at).remark(by, why, "");
                bodies[at] = Some(Body { closed: true, ..around });
                continue;
            }
            let own_root = location.scope.own("root").map(|root| root.argument(0));
            if own_root.is_some_and(|own| around.root.as_deref() != Some(own)) {
                // A file of another folder, such as nginx's own error pages: it is not there.
                continue;
            }
            let pattern = match &location.matcher {
                Matcher::Prefix { path, .. } if !path.ends_with('/') => format!("{path}*"),
                _ => path.trim_end_matches('/').to_owned(),
            };
            if php::is_pattern(&pattern) {
                deny(vec![pattern], bodies);
            } else {
                bodies[at] = Some(Body { closed: true, ..around });
            }
        }
    }

    /// A server that answers nobody has no block, and no host of its own.
    fn shut_whole(&mut self, by: &Directive) {
        let named = !self.server.names.is_empty();
        let mut desk = self.desk(0);
        match named {
            true => {
                let why = "no block is made of it: its hosts go to the one for every host, if any";
                desk.lost(by, why, "name the hosts of that one in `hosts`");
            }
            false => {
                let why = "nothing of it is forwarded; what no block takes gets a page, with 500";
                desk.remark(by, why, "");
            }
        }
    }

    /// The location that would take a location's requests if it were not there.
    fn around(&self, at: usize, bodies: &[Option<Body>]) -> Option<usize> {
        let locations = &self.server.locations;
        let path = locations[at].path()?;
        let fits = |other: &usize| {
            let Matcher::Prefix { path: outer, .. } = &locations[*other].matcher else {
                return false;
            };
            *other != at && path.starts_with(outer.as_str()) && bodies[*other].is_some()
        };
        let found = (0..locations.len()).filter(fits);
        found.max_by_key(|other| locations[*other].path().map_or(0, str::len))
    }

    /// Causeway's prefixes end at a slash, and have what lies below them; nginx's need neither.
    fn borders(&mut self, bodies: &[Option<Body>]) {
        let server = self.server;
        let php = bodies.iter().flatten().any(|body| body.root.is_some());
        for (at, location) in server.locations.iter().enumerate() {
            let Some(body) = &bodies[at] else { continue };
            let around = self.around(at, bodies);
            let otherwise = around.and_then(|around| bodies[around].as_ref());
            let differs = otherwise.is_some_and(|other| other != body);
            match &location.matcher {
                Matcher::Exact(path) if differs => {
                    let why = format!("what lies below `{path}` goes the same way");
                    self.desk(at).lost(location.at, &why, "a block for it, if it is asked for");
                }
                Matcher::Prefix { path, .. } if !path.ends_with('/') && differs => {
                    let why =
                        format!("`{path}-more` does not go this way: a prefix ends at a slash");
                    let instead = "list such paths in `paths`, if there are any";
                    self.desk(at).lost(location.at, &why, instead);
                }
                Matcher::Prefix { path, is_last: false }
                    if php && path != "/" && body.root.is_none() =>
                {
                    let why = "a path below it that ends in .php goes this way too, not to PHP-FPM";
                    self.desk(at).remark(location.at, why, "");
                }
                Matcher::Exact(_)
                | Matcher::Prefix { .. }
                | Matcher::Expression(_)
                | Matcher::Named(_) => {}
            }
        }
    }

    /// Locations that say the same become one block.
    fn merged(&mut self, root: usize, bodies: Vec<Option<Body>>) -> Vec<Block> {
        let server = self.server;
        let mut blocks: Vec<Block> = Vec::new();
        let mut order: Vec<usize> = (0..bodies.len()).collect();
        order.sort_by_key(|at| *at != root);
        for at in order {
            let Some(body) = bodies[at].clone() else { continue };
            let location = &server.locations[at];
            let path = super::values::request_path(location.path().unwrap_or("/"));
            let bare = |path: &str| path.trim_end_matches('/').to_owned();
            let same_path =
                |block: &&Block| block.paths.iter().any(|known| bare(known) == bare(&path));
            if let Some(first) = blocks.iter().find(same_path) {
                if first.body != body {
                    let why = "another location with that path is carried over";
                    self.desk(at).lost(location.at, why, "");
                }
                continue;
            }
            if !path.starts_with('/') {
                let why = "a path begins with a slash";
                self.desk(at).lost(location.at, why, "");
                continue;
            }
            match blocks.iter_mut().find(|block| block.body == body) {
                Some(block) => {
                    block.paths.push(path);
                    block.locations.push(at);
                }
                None => blocks.push(Block {
                    server: self.number,
                    locations: vec![at],
                    paths: vec![path],
                    body,
                }),
            }
        }
        blocks
    }
}

/// The named locations, with their positions.
fn named<'s, 'a>(
    locations: &'s [Location<'a>],
) -> impl Iterator<Item = (&'s str, &'s Location<'a>, usize)> {
    locations.iter().enumerate().filter_map(|(at, location)| match &location.matcher {
        Matcher::Named(name) => Some((name.as_str(), location, at)),
        Matcher::Exact(_) | Matcher::Prefix { .. } | Matcher::Expression(_) => None,
    })
}

/// A location that hands scripts to PHP, with the one around it.
fn handler<'a>(location: &Location<'a>) -> Option<(Option<usize>, Handler<'a>)> {
    let pass = location.at.inside().iter().find(|inner| inner.name == "fastcgi_pass")?;
    if let Guard::Shut(_) = guard(&location.scope, location.at.inside()) {
        return None;
    }
    let single = match &location.matcher {
        Matcher::Expression(pattern) if pattern::runs_php(pattern) => {
            pattern::single_script(pattern)
        }
        Matcher::Exact(path) | Matcher::Prefix { path, .. } if path.ends_with(".php") => {
            Some(path.clone())
        }
        Matcher::Exact(_) | Matcher::Prefix { .. } | Matcher::Expression(_) | Matcher::Named(_) => {
            return None;
        }
    };
    Some((location.parent, Handler { scope: location.scope.clone(), pass, single }))
}

/// Adds patterns to the `deny` of every site of a server.
fn deny(patterns: Vec<String>, bodies: &mut [Option<Body>]) {
    let new: Vec<String> = patterns.into_iter().filter(|name| !php::is_denied(name)).collect();
    if new.is_empty() {
        return;
    }
    for body in bodies.iter_mut().flatten().filter(|body| body.root.is_some()) {
        let list = body.deny.get_or_insert_with(|| php::deny_with(Vec::new()));
        list.extend(new.iter().filter(|name| !list.contains(name)).cloned().collect::<Vec<_>>());
    }
}

/// Whether a location without a pass that is read sends files.
fn can_send(own: &[Directive]) -> bool {
    const OTHERS: [&str; 7] = [
        "alias",
        "uwsgi_pass",
        "scgi_pass",
        "grpc_pass",
        "memcached_pass",
        "stub_status",
        "empty_gif",
    ];
    let by_lua = |inner: &Directive| inner.name.starts_with("content_by_lua");
    !own.iter().any(|inner| OTHERS.contains(&inner.name.as_str()) || by_lua(inner))
}
