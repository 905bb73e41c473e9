//! Listeners, and which requests come to which server.
//!
//! Pure. nginx has a default server for each address, which takes the hosts that no other names;
//! here that is a block without `hosts`. Listeners with TLS reach every block that has none of its
//! own, so plain listeners are global only where they reach the same.

use std::collections::{BTreeMap, BTreeSet};

use super::block::{Block, Face};
use super::notes::{Home, Notes};
use super::server::{Listen, Server};

/// Where requests come in.
#[derive(Debug, Default)]
pub struct Routes {
    /// The global `listen`.
    pub listen: Vec<String>,
    /// That of `[tls]`.
    pub tls: Vec<String>,
    /// Every plain request is sent to https.
    pub redirect: bool,
    /// The faces of each server; none for one without a block.
    pub faces: Vec<Vec<Face>>,
}

/// Decides on listeners and hosts. Blocks learn whether they redirect.
pub fn routes(servers: &[Server<'_>], blocks: &mut [Block], notes: &mut Notes) -> Routes {
    let table = Table::of(servers);
    let mut routes = Routes { faces: vec![Vec::new(); servers.len()], ..Routes::default() };
    let has_block =
        |number: usize, blocks: &[Block]| blocks.iter().any(|block| block.server == number);
    let secure: Vec<usize> = (0..servers.len())
        .filter(|at| has_block(*at, blocks) && !tls(&servers[*at]).is_empty())
        .collect();
    if secure.is_empty() {
        only_plain(servers, blocks, &table, &mut routes);
        note_vain_redirects(servers, notes);
    } else {
        with_tls(servers, &secure, blocks, &table, &mut routes, notes);
        note_redirects(servers, notes);
        note_other_defaults(servers, &table, &routes, notes);
    }
    routes
}

/// Which server each address has for the hosts that no other names, and who else is there.
struct Table {
    defaults: BTreeMap<String, usize>,
    servers: BTreeMap<String, Vec<usize>>,
}

impl Table {
    fn of(servers: &[Server<'_>]) -> Table {
        let mut table = Table { defaults: BTreeMap::new(), servers: BTreeMap::new() };
        for (number, server) in servers.iter().enumerate() {
            for listen in &server.listens {
                let here = table.servers.entry(listen.address.clone()).or_default();
                let first = here.is_empty();
                here.push(number);
                if first || listen.default {
                    table.defaults.insert(listen.address.clone(), number);
                }
            }
        }
        table
    }

    fn is_default(&self, number: usize, address: &str) -> bool {
        self.defaults.get(address) == Some(&number)
    }

    /// Whether another server on these addresses has a wildcard, which goes before every host.
    fn beside_wildcards(
        &self,
        number: usize,
        addresses: &[String],
        servers: &[Server<'_>],
    ) -> bool {
        let others = addresses.iter().filter_map(|address| self.servers.get(address)).flatten();
        others.into_iter().any(|other| {
            *other != number && servers[*other].names.iter().any(|name| name.starts_with("*."))
        })
    }
}

fn tls(server: &Server<'_>) -> Vec<String> {
    let secure = server.listens.iter().filter(|listen| listen.tls);
    secure.map(|listen| listen.address.clone()).collect()
}

fn plain(server: &Server<'_>) -> Vec<String> {
    let plain = server.listens.iter().filter(|listen| !listen.tls);
    plain.map(|listen| listen.address.clone()).collect()
}

fn only_plain(servers: &[Server<'_>], blocks: &[Block], table: &Table, routes: &mut Routes) {
    let mut with_blocks: Vec<usize> = blocks.iter().map(|block| block.server).collect();
    with_blocks.dedup();
    let sorted = |number: usize| {
        let mut addresses = plain(&servers[number]);
        addresses.sort();
        addresses
    };
    let first = with_blocks.first().map(|number| sorted(*number));
    let same = with_blocks.iter().all(|number| Some(sorted(*number)) == first);
    if let (true, Some(number)) = (same, with_blocks.first()) {
        routes.listen = plain(&servers[*number]);
    }
    for number in with_blocks {
        let addresses = plain(&servers[number]);
        routes.faces[number] = faces(number, servers, &addresses, table, same);
    }
}

/// The faces of a server on some addresses; `global` if these are the global ones.
fn faces(
    number: usize,
    servers: &[Server<'_>],
    addresses: &[String],
    table: &Table,
    global: bool,
) -> Vec<Face> {
    let names = &servers[number].names;
    let (default, other): (Vec<String>, Vec<String>) =
        addresses.iter().cloned().partition(|address| table.is_default(number, address));
    let listen = |addresses: &[String]| {
        let all = global && addresses.len() == default.len() + other.len();
        (!all).then(|| addresses.to_vec())
    };
    let every = |addresses: &[String]| Face { listen: listen(addresses), hosts: None };
    let named =
        |addresses: &[String]| Face { listen: listen(addresses), hosts: Some(names.clone()) };
    if names.is_empty() {
        return if default.is_empty() { Vec::new() } else { vec![every(&default)] };
    }
    let beside_wildcards = table.beside_wildcards(number, &default, servers);
    match (default.is_empty(), other.is_empty() && !beside_wildcards) {
        (true, _) => vec![named(addresses)],
        (false, true) => vec![every(&default)],
        (false, false) if beside_wildcards => vec![named(addresses), every(&default)],
        (false, false) => vec![named(&other), every(&default)],
    }
}

fn with_tls(
    servers: &[Server<'_>],
    secure: &[usize],
    blocks: &mut [Block],
    table: &Table,
    routes: &mut Routes,
    notes: &mut Notes,
) {
    let redirects = |number: usize| {
        let own = servers[number].redirect.is_some();
        own || servers.iter().any(|other| {
            let alike = |name: &String| servers[number].names.contains(name);
            let covers = other.names.is_empty() || other.names.iter().any(alike);
            other.redirect.is_some() && covers && !plain(other).is_empty()
        })
    };
    let add = |list: &mut Vec<String>, addresses: Vec<String>| {
        for address in addresses {
            if !list.contains(&address) {
                list.push(address);
            }
        }
    };
    for number in secure {
        add(&mut routes.tls, tls(&servers[*number]));
        add(&mut routes.listen, plain(&servers[*number]));
    }
    for server in servers.iter().filter(|server| server.redirect.is_some()) {
        add(&mut routes.listen, plain(server));
    }
    routes.listen.retain(|address| !routes.tls.contains(address));
    let is_plain = |number: usize| !plain(&servers[number]).is_empty() && !redirects(number);
    routes.redirect = !routes.listen.is_empty() && !secure.iter().any(|number| is_plain(*number));
    // One with listeners of its own redirects nobody.
    for block in blocks.iter_mut().filter(|block| secure.contains(&block.server)) {
        let wanted = !is_plain(block.server) && !routes.listen.is_empty();
        block.body.redirect_to_https = (wanted != routes.redirect).then_some(wanted);
    }
    for number in secure {
        if !redirects(*number) && !is_plain(*number) && !routes.listen.is_empty() {
            let why = "its hosts were not answered without TLS; now they are sent to https there";
            notes.remark(Home::Server(*number), servers[*number].at, why, "");
        }
        routes.faces[*number] = faces(*number, servers, &tls(&servers[*number]), table, true);
        for face in &mut routes.faces[*number] {
            // A listener with TLS reaches those that have no listeners of their own.
            face.listen = None;
        }
        let all = tls(&servers[*number]).len() == routes.tls.len();
        if !all {
            let why = "every listener with TLS reaches it, not its own alone";
            notes.remark(Home::Server(*number), servers[*number].at, why, "");
        }
        once(&mut routes.faces[*number]);
    }
    for block in blocks.iter().filter(|block| !secure.contains(&block.server)) {
        let addresses = plain(&servers[block.server]);
        routes.faces[block.server] = faces(block.server, servers, &addresses, table, false);
    }
}

/// A server that is the default of some addresses alone takes every host on all of them.
fn once(faces: &mut Vec<Face>) {
    let every = faces.iter().any(|face| face.hosts.is_none());
    let named = faces.iter().any(|face| face.hosts.is_some());
    if every && named && faces.len() > 2 {
        faces.retain(|face| face.hosts.is_none());
    }
}

/// A redirect to https, and nobody who speaks it.
fn note_vain_redirects(servers: &[Server<'_>], notes: &mut Notes) {
    for (number, server) in servers.iter().enumerate() {
        if let Some(redirect) = server.redirect {
            let why = "there is no server with TLS in what was read";
            let instead =
                "import the file that has it too, or set `[tls]` with `redirect_to_https`";
            notes.lost(Home::Server(number), redirect, why, instead);
        }
    }
}

/// nginx takes the first of two servers with one name on one address, and warns.
pub fn drop_doubles(servers: &mut [Server<'_>], notes: &mut Notes) {
    let mut taken: BTreeSet<(String, String)> = BTreeSet::new();
    for (number, server) in servers.iter_mut().enumerate() {
        let pairs = |name: &String| -> Vec<(String, String)> {
            let pair = |listen: &Listen| (listen.address.clone(), name.clone());
            server.listens.iter().map(pair).collect()
        };
        let (kept, dropped): (Vec<String>, Vec<String>) = server
            .names
            .iter()
            .cloned()
            .partition(|name| !pairs(name).iter().any(|pair| taken.contains(pair)));
        taken.extend(kept.iter().flat_map(pairs));
        for name in dropped {
            let why =
                format!("`{name}` is that of another server at the same address, as for nginx");
            notes.remark(Home::Server(number), server.at, &why, "");
        }
        server.names = kept;
    }
}

/// What a redirect to https does beside that, and that it is not lost.
fn note_redirects(servers: &[Server<'_>], notes: &mut Notes) {
    for (number, server) in servers.iter().enumerate() {
        let Some(redirect) = server.redirect else { continue };
        let address = redirect.arguments.last().map_or("", String::as_str);
        let host = address.trim_start_matches("https://");
        let host = host.split(['$', '/']).next().unwrap_or_default();
        let moved = !host.is_empty() && server.names.iter().any(|name| name != host);
        match moved {
            true => {
                let why =
                    format!("`redirect_to_https` keeps the host; it does not lead to `{host}`");
                notes.lost(Home::Server(number), redirect, &why, "let the application redirect");
            }
            false => {
                notes.remark(Home::Server(number), redirect, "`redirect_to_https` does it", "")
            }
        }
    }
}

/// The server for hosts that no other names may be another one with TLS than without.
fn note_other_defaults(servers: &[Server<'_>], table: &Table, routes: &Routes, notes: &mut Notes) {
    let Some(secure) = routes.tls.first().and_then(|address| table.defaults.get(address)) else {
        return;
    };
    for address in &routes.listen {
        let Some(plain) = table.defaults.get(address) else { continue };
        let server = &servers[*plain];
        if plain != secure && server.redirect.is_none() {
            let why = format!(
                "on `{address}` it had the hosts that no other server names; now it is the one \
                 that has them with TLS"
            );
            notes.lost(Home::Server(*plain), server.at, &why, "name the hosts in `hosts`");
        }
    }
}
