//! From what happened to the response that goes out: the upstream's own, or a page.

use std::fmt::Write as _;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use http::header::{self, HeaderName, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode};

use crate::config::OperatorFixes;
use crate::diagnose::{
    self, AttemptSummary, Audience, Cause, Certainty, Code, Incident, IncidentId, Insight, Named,
    Report, Rules, Standing, stray,
};
use crate::files;
use crate::page::{self, Page, Printed, View};
use crate::upstream::{self, Answer, AnswerBody, Attempt};

use super::around::{self, Known};
use super::client::{Client, Connection, Rejection};
use super::echo::Echo;
use super::incidents::{self, Id};
use super::manner::Manner;
use super::record::Record;
use super::settled::{Settled, settle};
use super::tunnel::Tunnel;
use super::verdict::Replaced;
use super::{Body, Site};

/// The upstream's answer, with the fields of its hop taken off.
pub fn answered(
    answer: Answer,
    connection: &Connection,
    mut record: Box<Record>,
    method: &Method,
) -> Response<Body> {
    let Answer { head, body } = answer;
    let mut fields = head.headers;
    record.status = Some(head.status.as_u16());
    // A page that was sent as a good one may still name its error, but to the log alone.
    let refused = head.status.is_client_error() && record.cause.is_some();
    if head.status.is_server_error() || refused {
        fields.append("proxy-status", received_status(head.status, record.cause));
        record.note_reach(SystemTime::now(), false);
    } else {
        record.worked();
    }
    let body = match body {
        AnswerBody::Whole(_) if *method == Method::HEAD => Body::empty(record),
        AnswerBody::Whole(bytes) => {
            record.permit = None;
            Body::full(bytes, record)
        }
        AnswerBody::Stream(streaming) => Body::stream(streaming, record),
        AnswerBody::Tunnel(upstream) => {
            fields.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            if let Some(upgrade) = head.hop.upgrade {
                fields.insert(header::UPGRADE, upgrade);
            }
            return upgraded(fields, upstream, connection, record);
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = head.status;
    *response.headers_mut() = fields;
    response
}

/// RFC 9209 section 2.1.4: the upstream's own status, and what it stands for.
fn received_status(status: StatusCode, cause: Option<Code>) -> HeaderValue {
    let mut said = format!("causeway; received-status={}", status.as_u16());
    if let Some(cause) = cause {
        // Writing into a String cannot fail.
        let _ = write!(said, "; details=\"{}\"", cause.name());
    }
    HeaderValue::try_from(said).expect("a number and a name of ours are printable ASCII")
}

/// A file of the site.
pub fn file(answer: files::Answer, mut record: Box<Record>) -> Response<Body> {
    record.status = Some(answer.status.as_u16());
    let mut response = Response::new(Body::file(answer.body, record));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    response
}

/// A folder that was asked for without its slash, since its relative links would lead astray; or
/// what is to be asked for with TLS.
pub fn moved(status: StatusCode, location: HeaderValue, mut record: Box<Record>) -> Response<Body> {
    record.status = Some(status.as_u16());
    let mut response = Response::new(Body::empty(record));
    *response.status_mut() = status;
    response.headers_mut().insert(header::LOCATION, location);
    response
}

/// 101: the response goes out without a body, and the connection waits with the other end in hand.
fn upgraded(
    fields: HeaderMap,
    upstream: Box<upstream::Conn>,
    connection: &Connection,
    mut record: Box<Record>,
) -> Response<Body> {
    let idle = record.attempt_mut().upstream.timeouts.idle;
    connection.tunnel.replace(Some(Tunnel { upstream, record, idle }));
    let mut response = Response::new(Body::silent());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *response.headers_mut() = fields;
    response
}

/// What a page has to know of the request that failed.
#[derive(Debug)]
pub struct Asked<'a> {
    pub parts: &'a Parts,
    pub client: Client,
}

/// The page for a request that was refused as it was read; the connection ends with it.
pub fn rejected(
    site: &Rc<Site>,
    mut record: Box<Record>,
    rejection: Rejection,
    parts: &Parts,
) -> Response<Body> {
    record.raw_line = Some(rejection.line);
    let asked = Asked { parts, client: Client::unread() };
    let mut response = failed(site, record, rejection.cause, Certainty::Certain, &asked);
    close(&mut response);
    response
}

/// Says that the connection ends with this response.
pub fn close(response: &mut Response<Body>) {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
}

/// The page for a failure.
pub fn failed(
    site: &Rc<Site>,
    record: Box<Record>,
    cause: Cause,
    certainty: Certainty,
    asked: &Asked<'_>,
) -> Response<Body> {
    page_of(site, record, cause, certainty, asked, None)
}

/// Our page in place of a complete answer: the upstream's status, and what of its fields a client
/// needs to go on.
pub fn replaced(
    site: &Rc<Site>,
    record: Box<Record>,
    replaced: Replaced,
    asked: &Asked<'_>,
) -> Response<Body> {
    /// RFC 9110 sections 10.2.3, 11.6.1 and 10.2.1.
    const KEPT: [HeaderName; 3] = [header::RETRY_AFTER, header::WWW_AUTHENTICATE, header::ALLOW];
    let Replaced { cause, certainty, status, headers: received } = replaced;
    let code = cause.code();
    let mut response = page_of(site, record, cause, certainty, asked, Some(status));
    let headers = response.headers_mut();
    headers.insert("proxy-status", received_status(status, Some(code)));
    for name in KEPT.iter().filter(|name| received.contains_key(*name)) {
        headers.remove(name);
        for value in received.get_all(name) {
            headers.append(name, value.clone());
        }
    }
    response
}

/// The page of a failure that a request before this one had as well.
pub fn echoed(
    site: &Rc<Site>,
    mut record: Box<Record>,
    echo: &Echo,
    asked: &Asked<'_>,
) -> Response<Body> {
    echo.note(&mut record);
    tell(site, record, &echo.cause, echo.settled, asked, SystemTime::now())
}

/// `received`: the status of the answer that the page takes the place of.
fn page_of(
    site: &Rc<Site>,
    mut record: Box<Record>,
    cause: Cause,
    certainty: Certainty,
    asked: &Asked<'_>,
    received: Option<StatusCode>,
) -> Response<Body> {
    record.permit = None;
    record.fail(&cause, certainty);
    note_root(site, &mut record, &cause);
    let operator = asked.client.is_operator(&asked.parts.headers, &site.config.page);
    let time = SystemTime::now();
    let settled = settle(site, &record, &cause, certainty, received, operator, time);
    if let Some(number) = record.upstream.filter(|_| !operator)
        && let Some(echo) = Echo::of(&record, &cause, settled)
    {
        site.echoes[number].replace(Some(Rc::new(echo)));
    }
    tell(site, record, &cause, settled, asked, time)
}

/// The page of a failure for the request that had it.
fn tell(
    site: &Rc<Site>,
    mut record: Box<Record>,
    cause: &Cause,
    settled: Settled,
    asked: &Asked<'_>,
    time: SystemTime,
) -> Response<Body> {
    let page = &site.config.page;
    let languages = &site.pages.languages;
    let manner = site.manners.borrow_mut().of(&asked.parts.headers, languages.tags());
    let view = View {
        audience: if settled.is_operator { Audience::Operator } else { Audience::Visitor },
        format: manner.format,
        contact: page.contact.as_deref(),
        show_operator_fixes: page.operator_fixes == OperatorFixes::Everyone,
        repeatable: asked.parts.method.is_idempotent(),
        again: asked.parts.method == Method::GET,
        own: site.pages.own.as_ref(),
        fixed: fixed(site, &record, cause),
    };
    record.status = Some(settled.status);
    record.note_reach(time, settled.is_unreached);
    let standing = match settled.of_the_site {
        true => record.failed_site(time, settled.hits_all),
        false => Standing::default(),
    };
    let failed = Failed { settled, incident: stray(0), time, standing };
    let incident = identify(site, &record, failed, cause, asked);
    record.incident = Some(incident);
    let failed = Failed { incident, ..failed };
    let rendered = match settled.is_operator || view.fixed.is_some() {
        true => {
            let operator = settled.is_operator;
            let report = report(site, &record, failed, cause.clone(), asked, operator);
            Rendered::Page(page::render(&report, languages.words(manner.language), &view))
        }
        false => for_visitor(site, &record, failed, cause, asked, &view, manner),
    };
    let is_head = asked.parts.method == Method::HEAD;
    let (headers, body) = match rendered {
        // With fields of its own it goes where none of them will be changed.
        Rendered::Printed(page) if !settled.is_answered && !is_head => {
            (HeaderMap::new(), Body::printed(page, record))
        }
        rendered => {
            let page = rendered.into_page(settled.status);
            let body = if is_head { Body::empty(record) } else { Body::full(page.body, record) };
            (page.headers, body)
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(settled.status).unwrap_or(StatusCode::BAD_GATEWAY);
    *response.headers_mut() = headers;
    if let Cause::MethodNotAllowed { allowed } = cause {
        // RFC 9110 section 15.5.6.
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    }
    response
}

/// The page of the operator's own for planned work.
fn fixed<'s>(site: &'s Site, record: &Record, cause: &Cause) -> Option<&'s page::Fixed> {
    let closed = matches!(cause, Cause::Maintenance { .. });
    let closure = record.upstream.filter(|_| closed).map(|number| site.closures[number].as_ref());
    closure.flatten()?.page()
}

/// Notes what lies behind the failure, as far as this host has shown it by now.
fn note_root(site: &Site, record: &mut Record, cause: &Cause) {
    let Some(known) = record.around.clone() else { return };
    let rooted =
        known.root(cause.code(), || on_site(site, record, |site| diagnose::root(cause, site)));
    record.root = rooted.map(|rooted| rooted.root);
}

/// What is known by now of what lies behind the failure, for its incident.
fn insight(site: &Site, record: &Record, cause: &Cause) -> Insight {
    let known = record.around.as_deref();
    on_site(site, record, |site| {
        let root = || diagnose::root(cause, site);
        let rooted = known.and_then(|known| known.root(cause.code(), root));
        let fixes = diagnose::fixes(cause, site, rooted);
        Insight::of(rooted, &fixes, known.map(|known| &*known.around))
    })
}

/// What becomes of what roots and fixes depend on.
fn on_site<T>(site: &Site, record: &Record, becomes: impl FnOnce(&diagnose::Site<'_>) -> T) -> T {
    let attempt = record.attempt.as_ref();
    let server_name = attempt.map(|last| upstream::server_name(&last.upstream, last.server()));
    let server_name = server_name.as_deref().unwrap_or_default();
    becomes(&matched(site, record, server_name, attempt.is_some_and(is_here)))
}

/// The id of a request that failed: its incident is opened where it is the first, and takes over
/// what has been found since.
fn identify(
    site: &Site,
    record: &Record,
    failed: Failed,
    cause: &Cause,
    asked: &Asked<'_>,
) -> IncidentId {
    let code = cause.code();
    let id = match incidents::id(site, record.upstream, code, Some(failed.settled.status)) {
        Id::Known(id) => id,
        Id::Opens => incidents::open(site, record.upstream, code, |opened| {
            if let Some(known) = &record.around {
                // It has all of it from the beginning.
                known.is_news(code);
            }
            Incident::of(&report(site, record, failed, cause.clone(), asked, true), opened)
        }),
    };
    incidents::learn(site, record, code, || insight(site, record, cause));
    id
}

/// Notes what lies behind an answer that names its own failure, for the log and its incident: its
/// page is the upstream's.
pub fn glance_around(record: &mut Record, cause: &Cause) {
    record.glance_around(cause.code());
    let site = record.site.clone();
    note_root(&site, record, cause);
    incidents::learn(&site, record, cause.code(), || insight(&site, record, cause));
}

/// A failure as one request had it.
#[derive(Debug, Clone, Copy)]
struct Failed {
    settled: Settled,
    incident: IncidentId,
    time: SystemTime,
    standing: Standing,
}

/// A page, and how it came about.
enum Rendered {
    Page(Page),
    Printed(Printed),
}

impl Rendered {
    fn into_page(self, status: u16) -> Page {
        match self {
            Rendered::Page(page) => page,
            Rendered::Printed(printed) => printed.into_page(status),
        }
    }
}

/// A copy of the page that the last visitor with such a failure got, or a first one.
fn for_visitor(
    site: &Site,
    record: &Record,
    failed: Failed,
    cause: &Cause,
    asked: &Asked<'_>,
    view: &View<'_>,
    manner: Manner,
) -> Rendered {
    let words = site.pages.languages.words(manner.language);
    let host = asked.parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let site_name = host.and_then(diagnose::site_name);
    let Failed { settled, incident, time, standing } = failed;
    let Settled { certainty, fate, entry, status, rules, .. } = settled;
    let kind = page::Kind {
        code: cause.code(),
        certainty,
        fate,
        status,
        format: view.format,
        repeatable: view.repeatable,
        again: view.again,
        rules,
        named: site_name.is_some(),
        others_served: standing.others_served,
        is_failing: standing.failing_since.is_some(),
        has_worked: standing.last_worked.is_some(),
        language: manner.language,
        back: cause.expected_back(),
    };
    let coding = manner.coding;
    let fresh = page::Fresh { incident, time, site: site_name, standing };
    let mut plates = site.plates.borrow_mut();
    if let Some(printed) = plates.print(&kind, cause, &entry, &fresh, words, coding) {
        return Rendered::Printed(printed);
    }
    let report = report(site, record, failed, cause.clone(), asked, false);
    Rendered::Page(plates.cut(kind, &report, words, view, coding))
}

/// What ranked the fixes of the page before, and what decided it: in an outage all of it stays.
#[derive(Debug)]
pub struct Ranked {
    cause: Cause,
    upstream: Option<usize>,
    server: Option<usize>,
    around: Option<Arc<Known>>,
    rules: Rules,
}

/// What ranks the fixes that a visitor is shown.
pub fn rules(site: &Site, record: &Record, cause: &Cause) -> Rules {
    let decide = || Rules::of(cause, &matched(site, record, "", false));
    if named(record).is_some() {
        return decide();
    }
    let (upstream, around) = (record.upstream, &record.around);
    let server = record.attempt.as_ref().map(|last| last.server);
    let mut kept = site.ranked.borrow_mut();
    let same = kept.as_ref().filter(|kept| {
        let looks = (kept.around.as_ref().map(Arc::as_ptr), around.as_ref().map(Arc::as_ptr));
        (kept.upstream, kept.server) == (upstream, server)
            && looks.0 == looks.1
            && kept.cause == *cause
    });
    if let Some(same) = same {
        return same.rules;
    }
    let (cause, around, rules) = (cause.clone(), around.clone(), decide());
    kept.insert(Ranked { cause, upstream, server, around, rules }).rules
}

/// What the fixes of a failure depend on.
fn matched<'r>(
    site: &'r Site,
    record: &'r Record,
    server_name: &'r str,
    is_here: bool,
) -> diagnose::Site<'r> {
    let block = record.upstream.map(|number| &site.config.upstreams[number]);
    diagnose::Site {
        server: record.attempt.as_ref().map(|attempt| attempt.server()),
        servers: block.map_or(&[], |block| &block.servers),
        server_name,
        moved: diagnose::has_moved(named(record)),
        named: named(record),
        is_here,
        upstream: block.map_or("", |block| block.name.as_str()),
        root: block.and_then(|block| Some(block.files.as_ref()?.root.as_path())),
        config: site.config_file.as_deref(),
        process: Some(site.process),
        layout: site.layout,
        around: record.around.as_deref().map(|known| &*known.around),
    }
}

/// All that is known of a failure; the root, and what follows from it, where an operator asks.
fn report(
    site: &Site,
    record: &Record,
    failed: Failed,
    cause: Cause,
    asked: &Asked<'_>,
    operator: bool,
) -> Report {
    let attempt = record.attempt.as_ref();
    let server_name = attempt.map(|last| upstream::server_name(&last.upstream, last.server()));
    let server_name = server_name.as_deref().unwrap_or_default();
    let facts = matched(site, record, server_name, attempt.is_some_and(is_here));
    let host = asked.parts.headers.get(header::HOST);
    let known = record.around.as_deref().filter(|_| operator);
    let rooted =
        known.and_then(|known| known.root(cause.code(), || diagnose::root(&cause, &facts)));
    Report {
        incident: failed.incident,
        time: failed.time,
        certainty: failed.settled.certainty,
        fate: failed.settled.fate,
        entry: failed.settled.entry,
        status: failed.settled.status,
        fixes: diagnose::fixes(&cause, &facts, rooted),
        attempts: summaries(record, cause.code()),
        named: named(record).filter(|named| adds_to(named, &cause)).cloned(),
        upstream: record.upstream_name().into(),
        host: host.and_then(|host| host.to_str().ok()).unwrap_or_default().to_owned(),
        method: asked.parts.method.clone(),
        path: asked.parts.uri.path().to_owned(),
        standing: failed.standing,
        root: rooted.cloned(),
        around: record.around.as_deref().filter(|_| operator).map(|known| known.around.clone()),
        cause,
    }
}

fn is_here(attempt: &Attempt) -> bool {
    around::is_here(&attempt.server().address, attempt.address)
}

/// What the name of the last attempt's server led to.
fn named(record: &Record) -> Option<&Named> {
    record.attempt.as_ref()?.remains.as_ref()?.named.as_ref()
}

/// A failed look-up tells all there is, but for what the name led to before.
fn adds_to(named: &Named, cause: &Cause) -> bool {
    named.before.is_some() || diagnose::lookup(cause).is_none()
}

pub fn summaries(record: &Record, last: Code) -> Vec<AttemptSummary> {
    let now = Instant::now();
    let earlier = record.earlier.iter().map(|(attempt, code)| (attempt, *code));
    let last = record.attempt.iter().map(|attempt| (attempt, last));
    earlier.chain(last).map(|(attempt, code)| AttemptSummary::new(attempt, code, now)).collect()
}
