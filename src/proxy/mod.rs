//! ROOM 5: the path of one request, top to bottom.
//!
//! Route, permit, clean fields, exchange, retry where that is safe, and a page where nothing
//! helped. The only room that sees both sides. Gives a response, never an error. Imports everything
//! below it.

mod alarm;
mod around;
mod body;
mod cases;
mod cgi;
mod challenges;
mod client;
mod closed;
mod echo;
mod forward;
mod headers;
mod https;
mod incidents;
mod local;
mod look;
mod manner;
mod pages;
mod pulse;
mod record;
mod respond;
mod route;
mod settled;
mod traffic;
mod tunnel;
mod verdict;
mod watch;

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use http::request::Parts;
use http::{HeaderValue, Request, Response, Uri, Version, header};

pub use around::Surroundings;
pub use body::{Body, Cut};
pub use challenges::Challenges;
#[cfg(feature = "acme")]
pub use challenges::Pending;
pub use client::{Connection, Introduction, Rejection};
pub use pages::Pages;
pub use pulse::Pulse;
pub use traffic::Witness;
pub use watch::Watch;

use crate::config::{Config, Server};
use crate::diagnose::{Cause, Certainty, Layout};
use crate::files::Root;
use crate::page::Plates;
use crate::probe;
use crate::telemetry::{self, Counts, Incidents, LineBuffer, Tally};
use crate::upstream::{ClientBody, Pool, Resolver, Shared};

use closed::Closure;
use echo::Echo;
use headers::Fields;
use look::Looks;
use manner::Manners;
use pulse::Finger;
use record::Record;
use respond::{Asked, Ranked};
use route::Routes;

/// What the workers share of one generation of the configuration.
#[derive(Debug, Clone)]
pub struct Common {
    /// In the order of the configuration's upstreams.
    pub shared: Vec<Arc<Shared>>,
    /// In the same order.
    pub watches: Vec<Arc<Watch>>,
    /// In the same order.
    pub surroundings: Vec<Arc<Surroundings>>,
    pub witness: Arc<Witness>,
    /// In the same order, and one for the requests that come to none.
    pub pulses: Vec<Arc<Pulse>>,
    pub pages: Arc<Pages>,
    pub challenges: Arc<Challenges>,
    pub incidents: Arc<Incidents>,
}

/// One generation of the configuration as one worker uses it. A reload makes a new one; requests in
/// flight keep theirs.
#[derive(Debug)]
pub struct Site {
    pub config: Arc<Config>,
    routes: Vec<Routes>,
    pools: Vec<Rc<Pool>>,
    /// The files of each upstream that has some.
    roots: Vec<Option<Root>>,
    looks: Vec<Looks>,
    /// One an upstream, and a last one for the requests that come to none.
    fingers: Vec<Finger>,
    surroundings: Vec<Arc<Surroundings>>,
    witness: Arc<Witness>,
    /// The last call of the roll that was heard, and whether it is on.
    heard: Cell<u64>,
    roll_is_on: Cell<bool>,
    /// How this host is laid out.
    layout: &'static Layout,
    /// The configuration's file, for commands that are shown.
    config_file: Option<PathBuf>,
    /// Our own number; asking costs a call of the kernel each time.
    process: u32,
    /// The planned work of each upstream that may have some.
    closures: Vec<Option<Closure>>,
    /// The servers of each upstream as the log names them.
    server_names: Vec<Vec<String>>,
    resolver: Resolver,
    log: Rc<LineBuffer>,
    counts: Counts,
    random: Cell<u64>,
    /// What every answer over TLS says.
    strict: Option<HeaderValue>,
    /// Where TLS is to be had.
    https_port: Option<u16>,
    pages: Arc<Pages>,
    plates: RefCell<Plates>,
    ranked: RefCell<Option<Ranked>>,
    /// The last failure of each upstream that answers for those that follow it.
    echoes: Vec<RefCell<Option<Rc<Echo>>>>,
    manners: RefCell<Manners>,
    challenges: Arc<Challenges>,
    incidents: Arc<Incidents>,
    /// Room for the parameters of a script, handed from one request to the next.
    scratch: RefCell<Vec<u8>>,
}

impl Site {
    pub fn new(config: Arc<Config>, common: &Common, counts: Counts, log: Rc<LineBuffer>) -> Site {
        let Common { shared, watches, surroundings, witness, pulses, pages, challenges, .. } =
            common;
        use std::hash::{BuildHasher, Hasher};
        let pools = shared.iter().map(|shared| Rc::new(Pool::new(shared.clone(), config.workers)));
        let names = |upstream: &Arc<crate::config::Upstream>| {
            let escape =
                |server: &Server| telemetry::escaped(config.log.format, &server.to_string());
            upstream.servers.iter().map(escape).collect()
        };
        let site = Site {
            routes: Routes::of(&config),
            pools: pools.collect(),
            roots: config
                .upstreams
                .iter()
                .map(|block| block.files.as_ref().map(Root::new))
                .collect(),
            layout: probe::layout(),
            config_file: config.path.as_ref().and_then(|path| std::path::absolute(path).ok()),
            process: std::process::id(),
            surroundings: surroundings.clone(),
            witness: witness.clone(),
            heard: Cell::new(0),
            roll_is_on: Cell::new(false),
            looks: watches.iter().map(|watch| Looks::new(watch.clone())).collect(),
            fingers: pulses.iter().map(|pulse| Finger::new(pulse.clone())).collect(),
            closures: config
                .upstreams
                .iter()
                .map(|block| block.maintenance.as_ref().map(Closure::new))
                .collect(),
            server_names: config.upstreams.iter().map(names).collect(),
            resolver: Resolver::new(config.resolvers.clone()),
            log,
            counts,
            random: Cell::new(std::hash::RandomState::new().build_hasher().finish() | 1),
            strict: config.tls.hsts.as_ref().map(https::strict),
            https_port: None,
            pages: pages.clone(),
            plates: RefCell::default(),
            ranked: RefCell::default(),
            echoes: shared.iter().map(|_| RefCell::default()).collect(),
            manners: RefCell::default(),
            challenges: challenges.clone(),
            incidents: common.incidents.clone(),
            scratch: RefCell::default(),
            config,
        };
        // Whoever asks is told of planned work at once.
        site.note_standing();
        // What is asked a second is counted from the start, not from the next tick.
        site.witness.tick();
        site
    }

    /// Tells the port of the first listener with TLS, which the configuration may leave open.
    pub fn with_https_port(self, https_port: Option<u16>) -> Site {
        Site { https_port, ..self }
    }

    /// What is due ten times a second: idle connections, files kept open, planned work, messages of
    /// failures, the log's lines.
    pub fn tick(&self) {
        for pool in &self.pools {
            pool.sweep();
        }
        for root in self.roots.iter().flatten() {
            root.tick();
        }
        for closure in self.closures.iter().flatten() {
            closure.tick();
        }
        let names = self.config.upstreams.iter().map(|block| block.name.as_str());
        for (finger, name) in self.fingers.iter().zip(names.chain([""])) {
            finger.tick(name, &self.incidents);
        }
        self.note_standing();
        self.witness.tick();
        self.log.flush();
    }

    /// Leaves how each upstream stands where others can see it.
    fn note_standing(&self) {
        let closures = self.closures.iter().map(Option::as_ref);
        for ((pool, closure), tally) in self.pools.iter().zip(closures).zip(&self.counts.upstreams)
        {
            tally.stands(pool.idle(), closure.is_some_and(Closure::is_closed));
        }
    }

    /// Where requests to an upstream are counted, or those that reached none.
    fn tally(&self, upstream: Option<usize>) -> &Tally {
        upstream.map_or(&self.counts.none, |number| &self.counts.upstreams[number])
    }

    /// Where the failures of an upstream are noted, or those of requests that came to none.
    fn finger(&self, upstream: Option<usize>) -> Option<&Finger> {
        upstream.map_or(self.fingers.last(), |number| self.fingers.get(number))
    }

    /// A number for the ids of requests and incidents (xorshift64*).
    fn random(&self) -> u64 {
        let mut state = self.random.get();
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        self.random.set(state);
        state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 24
    }
}

/// The page for a request that was refused once its head had been read. What it asked for is not
/// believed: whoever sent it is a visitor.
pub fn refuse(
    site: Rc<Site>,
    connection: Rc<Connection>,
    parts: &Parts,
    cause: Cause,
) -> Response<Body> {
    let mut record = Box::new(Record::new(site.clone(), connection.clone(), parts));
    record.host = parts.headers.get(header::HOST).cloned();
    let asked = Asked { parts, client: client::Client::unread() };
    let response = respond::failed(&site, record, cause, Certainty::Certain, &asked);
    insisting(&site, &connection, response)
}

/// The page for a request that was refused as it was read; the connection ends with it.
pub fn reject(site: Rc<Site>, connection: Rc<Connection>, rejection: Rejection) -> Response<Body> {
    // What it asked for was never read to its end, so nothing of it is believed.
    let (parts, ()) = Request::new(()).into_parts();
    let record = Box::new(Record::new(site.clone(), connection.clone(), &parts));
    let response = respond::rejected(&site, record, rejection, &parts);
    insisting(&site, &connection, response)
}

/// The answer, which over TLS says to come back no other way where that is wanted.
fn insisting(site: &Site, connection: &Connection, mut response: Response<Body>) -> Response<Body> {
    if connection.is_secure()
        && let Some(strict) = &site.strict
    {
        https::insist(response.headers_mut(), strict);
    }
    response
}

/// Answers one request. Cancel safe: when the client leaves, the future is dropped and everything
/// in it, and the log says so, even of one that was never polled.
pub fn handle(
    site: Rc<Site>,
    connection: Rc<Connection>,
    request: Request<ClientBody>,
) -> impl Future<Output = Response<Body>> {
    let (mut parts, incoming) = request.into_parts();
    root(&mut parts.uri);
    let mut record = Box::new(Record::new(site.clone(), connection.clone(), &parts));
    async move {
        let mut fields = Fields::of(&parts.headers);
        if parts.version == Version::HTTP_2 {
            fields.has_coding = !fields.has_length && !incoming.is_end_stream();
        }
        record.host = fields.host.cloned();
        let response = match site.challenges.find(&parts) {
            Some(text) => challenges::respond(text, record, &parts.method),
            None => forward::forward(&site, &connection, &parts, &fields, incoming, record).await,
        };
        insisting(&site, &connection, response)
    }
}

/// RFC 9112 section 3.2.1: where an absolute target has no path, a slash stands before its query.
fn root(uri: &mut Uri) {
    let rootless = uri.path_and_query().filter(|target| target.as_str().starts_with('?'));
    let Some(target) = rootless.and_then(|target| format!("/{}", target.as_str()).parse().ok())
    else {
        return;
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(target);
    if let Ok(rooted) = Uri::from_parts(parts) {
        *uri = rooted;
    }
}
