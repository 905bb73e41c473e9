//! Other programs' configurations as ours: today that of nginx.
//!
//! ```text
//! token, tree    a file's words, and its directives with their places
//! files          what `include` names; the only part that opens anything
//! server         servers, listeners, names and locations, as they are written
//! told           what is said of directives that are read nowhere else
//! sites          what becomes of each location: proxied, php, or a note that says why not
//! routes         listeners and hosts; global: clients, TLS, proxies before it, the log
//! block, notes   how blocks and notes are written
//! ```
//!
//! Whatever cannot be carried over is told with file and line, and stands beside the block that it
//! concerns; nothing is passed over in silence, and what was guarded is not left open. A piece that
//! Causeway's own reader would refuse is not written.

mod block;
mod files;
mod global;
mod known;
mod notes;
mod pattern;
mod php;
mod proxied;
mod routes;
mod scope;
mod server;
mod sites;
mod token;
mod told;
mod tree;
mod values;

use std::path::{Path, PathBuf};

pub use files::ImportError;

use block::{Block, BlockNames};
use files::Source;
use global::Sources;
use notes::{Home, Note, Notes, Weight};
use proxied::Upstreams;
use scope::Scope;
use server::Server;
use sites::Reading;
use tree::Directive;

/// Servers beyond this are no configuration that somebody wrote.
const SERVERS_MAX: usize = 2000;

/// A configuration that was carried over.
#[derive(Debug)]
pub struct Import {
    /// Ours.
    pub toml: String,
    /// What to know of it: lines for a terminal.
    pub notes: Vec<String>,
    /// How many of them say that something was not carried over.
    pub lost: usize,
}

/// Carries over nginx's configuration: a whole one, or the file of a site.
///
/// # Errors
/// The file cannot be read, or it or one that it includes is not in nginx's syntax.
pub fn nginx(path: &Path) -> Result<Import, ImportError> {
    Ok(carry(&files::read(path)?))
}

/// The same for a text that includes nothing.
#[cfg(any(fuzzing, test))]
pub fn nginx_text(text: &str) -> Option<Import> {
    let directives = tree::parse(text, 0).ok()?;
    let files = vec!["nginx.conf".into()];
    Some(carry(&Source { directives, files, folder: "/etc/nginx".into() }))
}

fn carry(source: &Source) -> Import {
    let mut notes = Notes::default();
    let outside = Outside::of(&source.directives);
    let mut servers = outside.servers(&mut notes);
    routes::drop_doubles(&mut servers, &mut notes);
    let mut blocks: Vec<Block> = Vec::new();
    for (number, server) in servers.iter().enumerate() {
        blocks.extend(Reading::new(number, server, &outside.upstreams, &mut notes).blocks());
    }
    let routes = routes::routes(&servers, &mut blocks, &mut notes);
    let sources = Sources {
        outer: &outside.scope,
        servers: &servers,
        folder: &source.folder,
        notes: &mut notes,
    };
    let global = sources.global(&routes.tls, routes.redirect);
    let nothing = Directive::nothing();
    if servers.is_empty() {
        let at = source.directives.first().unwrap_or(&nothing);
        notes.lost(Home::Top, at, "there is no `server` here", "the file that has it");
    }
    let notes = notes.sorted();

    let mut text = head(source, &notes);
    text.push_str(&comments(&notes, &source.files, |home| home == Home::Top));
    if !routes.listen.is_empty() {
        text.push_str(&format!("listen = {}\n", values::list(&routes.listen)));
    }
    text.push_str(&global.top);
    text.push_str(&global.tables);
    let mut names = BlockNames::default();
    for (number, server) in servers.iter().enumerate() {
        let own: Vec<&Block> = blocks.iter().filter(|block| block.server == number).collect();
        let in_none = |home: Home| match home {
            Home::Top => false,
            Home::Server(of) => of == number,
            Home::Location(of, at) => {
                of == number && !own.iter().any(|block| block.locations.contains(&at))
            }
        };
        text.push_str(&title(server, &source.files));
        text.push_str(&comments(&notes, &source.files, in_none));
        for block in own {
            let of = |home: Home| match home {
                Home::Location(of, at) => of == number && block.locations.contains(&at),
                Home::Top | Home::Server(_) => false,
            };
            for (position, face) in routes.faces[number].iter().enumerate() {
                text.push('\n');
                if position == 0 {
                    text.push_str(&comments(&notes, &source.files, of));
                }
                let host = server.names.first().map_or("", String::as_str);
                let name = names.name(host, block.paths.first().map_or("", String::as_str));
                text.push_str(&block.toml(&name, face, &server.names));
            }
        }
    }
    let lost = notes.iter().filter(|note| note.weight == Weight::Lost).count();
    Import { toml: text, notes: notes.iter().map(|note| note.line(&source.files)).collect(), lost }
}

/// What stands outside of the servers.
struct Outside<'a> {
    scope: Scope<'a>,
    upstreams: Upstreams<'a>,
    blocks: Vec<&'a [Directive]>,
}

impl<'a> Outside<'a> {
    /// A whole configuration has its servers in `http`; the file of a site has them at the top.
    fn of(directives: &'a [Directive]) -> Outside<'a> {
        let http = directives.iter().filter(|directive| directive.name == "http");
        let mut blocks = vec![directives];
        blocks.extend(http.map(Directive::inside));
        let scope = blocks.iter().fold(Scope::default(), |scope, block| scope.within(block));
        let mut upstreams = Upstreams::new();
        for block in &blocks {
            for upstream in block.iter().filter(|directive| directive.name == "upstream") {
                upstreams.insert(upstream.argument(0), upstream);
            }
        }
        Outside { scope, upstreams, blocks }
    }

    fn servers(&self, notes: &mut Notes) -> Vec<Server<'a>> {
        let mut servers = Vec::new();
        for block in &self.blocks {
            told::tell(notes, Home::Top, block);
            for at in block.iter().filter(|directive| directive.name == "server") {
                let home = Home::Server(servers.len());
                match servers.len() < SERVERS_MAX {
                    true => servers.push(Server::read(at, &self.scope, home, notes)),
                    false => {
                        let why = format!("more than {SERVERS_MAX} servers");
                        notes.lost(Home::Top, at, &why, "import the files one by one");
                        return servers;
                    }
                }
            }
        }
        servers
    }
}

fn head(source: &Source, notes: &[Note]) -> String {
    let lost = notes.iter().filter(|note| note.weight == Weight::Lost).count();
    let file = source.files.first().map(|path| path.display().to_string()).unwrap_or_default();
    let file: String = file.chars().filter(|c| !c.is_control()).collect();
    let count = match lost {
        0 => "Everything was carried over.".to_owned(),
        1 => "One thing was not carried over; it stands beside its block.".to_owned(),
        lost => format!("{lost} things were not carried over; each stands beside its block."),
    };
    format!("# By `causeway import nginx {file}`.\n# {count}\n")
}

fn title(server: &Server<'_>, files: &[PathBuf]) -> String {
    let names = match server.names.as_slice() {
        [] => "a server for every host".to_owned(),
        names => names.join(", "),
    };
    let place = &server.at.place;
    let file = files.get(place.file).map(|path| path.display().to_string()).unwrap_or_default();
    let file: String = file.chars().filter(|c| !c.is_control()).collect();
    format!("\n# ---- {names} ({file}:{})\n", place.line)
}

fn comments(notes: &[Note], files: &[PathBuf], wanted: impl Fn(Home) -> bool) -> String {
    notes.iter().filter(|note| wanted(note.home)).map(|note| note.comment(files)).collect()
}
