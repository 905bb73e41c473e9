//! Incidents as operators ask for them: `/.well-known/causeway/incidents`, and one by the id of
//! any of its requests. Everybody else, and whoever asks for one that is not there, gets a page
//! that does not tell the two apart. Nothing below this folder is ever forwarded.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use http::request::Parts;
use http::{Method, Response, StatusCode};

use crate::diagnose::{
    Cause, Certainty, Code, Incident, IncidentGroup, IncidentId, Insight, stray,
};
use crate::page;

use super::alarm;
use super::client::Connection;
use super::record::Record;
use super::respond::{self, Asked};
use super::{Body, Site};

/// What is ours alone (RFC 8615).
const FOLDER: &str = "/.well-known/causeway/";
const LIST: &str = "incidents";
/// How many of the latest the list has: a worker prints them between two requests.
const LISTED_MAX: usize = 100;

/// Whether a request is for us.
pub fn are_asked_for(path: &str) -> bool {
    // Most paths are told by one byte.
    path.as_bytes().get(1) == Some(&b'.') && path.starts_with(FOLDER)
}

pub fn respond(
    site: &Rc<Site>,
    connection: &Connection,
    parts: &Parts,
    mut record: Box<Record>,
) -> Response<Body> {
    let client = connection.client(&parts.headers, &site.config.page);
    if client.trusted {
        record.client = client.address;
    }
    let asked = Asked { parts, client };
    let operator = client.is_operator(&parts.headers, &site.config.page);
    let Some(found) = operator.then(|| find(site, parts.uri.path())).flatten() else {
        return respond::failed(site, record, Cause::FileNotFound, Certainty::Certain, &asked);
    };
    if parts.method != Method::GET && parts.method != Method::HEAD {
        let cause = Cause::MethodNotAllowed { allowed: "GET, HEAD" };
        return respond::failed(site, record, cause, Certainty::Certain, &asked);
    }
    let languages = &site.pages.languages;
    let words = languages.words(page::language::choose(&parts.headers, languages.tags()));
    let format = page::negotiate(&parts.headers);
    let page = match found {
        Found::All(incidents) => page::incidents(&incidents, words, format),
        Found::One(incident) => page::incident(&incident, words, format),
    };
    record.status = Some(StatusCode::OK.as_u16());
    let body = match parts.method == Method::HEAD {
        true => Body::empty(record),
        false => Body::full(page.body, record),
    };
    let mut response = Response::new(body);
    *response.headers_mut() = page.headers;
    response
}

enum Found {
    All(Vec<Arc<Incident>>),
    One(Arc<Incident>),
}

fn find(site: &Site, path: &str) -> Option<Found> {
    let below = path.strip_prefix(FOLDER)?.strip_prefix(LIST)?;
    for finger in &site.fingers {
        finger.cases().note(&site.incidents);
    }
    if below.is_empty() || below == "/" {
        return Some(Found::All(site.incidents.latest(LISTED_MAX)));
    }
    let group = IncidentGroup::read(below.strip_prefix('/')?)?;
    site.incidents.find(group).map(Found::One)
}

/// The id of a request that failed, and whether its incident has to be opened: one of an incident
/// where the failure is the operator's business, else one that leads to none.
pub fn id(site: &Site, upstream: Option<usize>, code: Code, status: Option<u16>) -> Id {
    let number = site.random();
    match site.finger(upstream).filter(|_| alarm::concerns(code, status)) {
        None => Id::Known(stray(number)),
        Some(finger) => match finger.cases().group(code) {
            Some(group) => Id::Known(group.request(number)),
            None => Id::Opens,
        },
    }
}

/// The id of a request, if its incident is open already.
#[derive(Debug, Clone, Copy)]
pub enum Id {
    Known(IncidentId),
    Opens,
}

/// Opens the incident of the first failure of its kind; gives the request's id.
pub fn open(
    site: &Site,
    upstream: Option<usize>,
    code: Code,
    sample: impl FnOnce(u64) -> Incident,
) -> IncidentId {
    let number = site.random();
    let Some(finger) = site.finger(upstream) else { return stray(number) };
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    let name = upstream.map_or("", |number| &site.config.upstreams[number].name);
    let (now, other) = (since.as_secs(), site.random());
    let opened = site.incidents.open(name, code.name(), now, other, || sample(now));
    finger.cases().open(code, opened, now_ms);
    let id = opened.group.request(number);
    site.incidents.begun_by(id);
    id
}

/// Has the incident of a failure, where it is open, take over what this host has shown to lie
/// behind it, once a look.
pub fn learn(site: &Site, record: &Record, code: Code, insight: impl FnOnce() -> Insight) {
    let Some(known) = &record.around else { return };
    let cases = site.finger(record.upstream).map(|finger| finger.cases());
    let Some(group) = cases.and_then(|cases| cases.group(code)) else { return };
    if known.is_news(code) {
        let insight = insight();
        site.incidents.learn(group, |incident| incident.learn(insight));
    }
}
