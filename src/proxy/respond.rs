//! From what happened to the response that goes out: the upstream's own, or a page.

use std::rc::Rc;
use std::time::{Instant, SystemTime};

use http::header::{self, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode};

use crate::config::OperatorFixes;
use crate::diagnose::{
    self, AttemptSummary, Audience, Cause, Certainty, Code, Fate, Phase, Report,
};
use crate::page::{self, View};
use crate::upstream::{self, Answer, AnswerBody};

use super::client::{Client, Connection, Rejection, Upgrade};
use super::record::Record;
use super::tunnel::Tunnel;
use super::{Body, Site, headers};

/// The upstream's answer, with the fields of its hop taken off.
pub fn answered(
    answer: Answer,
    connection: &Connection,
    mut record: Box<Record>,
    method: &Method,
) -> Response<Body> {
    let Answer { head, body } = answer;
    let mut fields = head.headers;
    headers::clean_response(&mut fields, head.status);
    record.status = Some(head.status.as_u16());
    if head.status.is_server_error() {
        let said = format!("causeway; received-status={}", head.status.as_u16());
        if let Ok(said) = HeaderValue::try_from(said) {
            fields.append("proxy-status", said);
        }
    }
    let body = match body {
        AnswerBody::Whole(_) if *method == Method::HEAD => Body::empty(record),
        AnswerBody::Whole(bytes) => {
            record.permit = None;
            Body::full(bytes, record)
        }
        AnswerBody::Stream(streaming) => Body::stream(streaming, record),
        AnswerBody::Tunnel(upstream) => return upgraded(fields, upstream, connection, record),
    };
    let mut response = Response::new(body);
    *response.status_mut() = head.status;
    *response.headers_mut() = fields;
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
    connection.settle_upgrade(Upgrade::Granted);
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
pub fn rejected(site: &Rc<Site>, mut record: Box<Record>, rejection: Rejection) -> Response<Body> {
    record.raw_line = Some(rejection.line);
    let client = super::client::client(record.client, &HeaderMap::new(), &site.config.page);
    // What it asked for was never read to its end, so nothing of it is believed.
    let (parts, ()) = http::Request::new(()).into_parts();
    let asked = Asked { parts: &parts, client };
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
    mut record: Box<Record>,
    cause: Cause,
    certainty: Certainty,
    asked: &Asked<'_>,
) -> Response<Body> {
    record.permit = None;
    record.fail(&cause);
    let report = report(site, &record, cause, certainty, asked);
    record.incident = Some(report.incident);
    record.status = Some(report.status);
    let page = &site.config.page;
    let view = View {
        audience: if asked.client.operator { Audience::Operator } else { Audience::Visitor },
        format: page::negotiate(&asked.parts.headers),
        contact: page.contact.as_deref(),
        show_operator_fixes: page.operator_fixes == OperatorFixes::Everyone,
        repeatable: asked.parts.method.is_idempotent(),
    };
    let rendered = page::render(&report, diagnose::english(), &view);
    let body = match asked.parts.method == Method::HEAD {
        true => Body::empty(record),
        false => Body::full(rendered.body, record),
    };
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(rendered.status).unwrap_or(StatusCode::BAD_GATEWAY);
    *response.headers_mut() = rendered.headers;
    response
}

fn report(
    site: &Rc<Site>,
    record: &Record,
    cause: Cause,
    certainty: Certainty,
    asked: &Asked<'_>,
) -> Report {
    let entry = diagnose::entry(cause.code());
    let status = match entry.timeout {
        true => site.config.page.gateway_timeout,
        false => entry.status,
    };
    let attempt = record.attempt.as_ref();
    let server_name = attempt.map(|last| upstream::server_name(&last.upstream, last.server()));
    let facts = diagnose::Site {
        server: attempt.map(|attempt| attempt.server()),
        server_name: server_name.as_deref().unwrap_or_default(),
    };
    let host = asked.parts.headers.get(header::HOST);
    let upstream = record.upstream.map(|number| site.config.upstreams[number].name.as_str());
    Report {
        incident: site.incident_id(),
        time: SystemTime::now(),
        certainty,
        fate: fate(record, &entry),
        status,
        fixes: diagnose::fixes(&cause, &facts),
        attempts: match asked.client.operator {
            true => summaries(record, cause.code()),
            false => Vec::new(),
        },
        upstream: upstream.unwrap_or_default().into(),
        host: host.and_then(|host| host.to_str().ok()).unwrap_or_default().to_owned(),
        method: asked.parts.method.clone(),
        path: asked.parts.uri.path().to_owned(),
        entry,
        cause,
    }
}

/// A request that was refused before any upstream was chosen was not sent, whatever came before it.
fn fate(record: &Record, entry: &diagnose::Entry) -> Fate {
    match entry.phase {
        Phase::Request if record.attempt.is_none() => Fate::NotSent,
        _ => Fate::of(record.attempts()),
    }
}

fn summaries(record: &Record, last: Code) -> Vec<AttemptSummary> {
    let now = Instant::now();
    let earlier = record.earlier.iter().map(|(attempt, code)| (attempt, *code));
    let last = record.attempt.iter().map(|attempt| (attempt, last));
    earlier.chain(last).map(|(attempt, code)| AttemptSummary::new(attempt, code, now)).collect()
}
