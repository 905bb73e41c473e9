//! What a complete answer of an upstream says of itself, and whether our page takes its place.
//!
//! The one look at the status that every answer pays for stands here. Bodies are read as far as
//! they have come with their head; nothing is waited for.

use http::request::Parts;
use http::{HeaderMap, Method, StatusCode, header};

use crate::diagnose::{self, Cause, Certainty, Question, Received};
use crate::files::Script;
use crate::upstream::http1::head::Head;
use crate::upstream::{Answer, AnswerBody};

use super::local;
use super::record::Record;
use super::respond;

/// An answer in whose place our page goes out. Its body is dropped: a connection from which all of
/// it had come is with the idle ones already, any other ends.
#[derive(Debug)]
pub struct Replaced {
    pub cause: Cause,
    pub certainty: Certainty,
    pub status: StatusCode,
    pub headers: HeaderMap,
}

/// Notes the cause that an answer names, and gives what goes out in its place where the block wants
/// that; `script` is what was run for it.
pub fn replacement(
    answer: &Answer,
    parts: &Parts,
    record: &mut Record,
    script: Option<&Script>,
) -> Option<Box<Replaced>> {
    let status = answer.head.status;
    let sound = status.as_u16() < 300;
    if sound && script.is_none() {
        return None;
    }
    let attempt = record.attempt_mut();
    let by_script = script.and_then(|script| local::said(answer, attempt, script));
    let by_answer = || diagnose::answered(&received(answer, parts), &asked(parts, script));
    let found = by_script.or_else(|| (!sound).then(by_answer).flatten());
    if !attempt.upstream.replace_status.contains(&status.as_u16()) {
        if let Some((cause, certainty)) = found {
            record.fail(&cause, certainty);
            if status.is_server_error() {
                respond::glance_around(record, &cause);
            }
        }
        return None;
    }
    let (cause, certainty) = found.unwrap_or_else(|| diagnose::by_status(&received(answer, parts)));
    let headers = answer.head.headers.clone();
    Some(Box::new(Replaced { cause, certainty, status, headers }))
}

fn received<'a>(answer: &'a Answer, parts: &Parts) -> Received<'a> {
    let Head { status, headers, .. } = &*answer.head;
    Received { status: status.as_u16(), headers, page: page(answer, parts) }
}

fn asked<'a>(parts: &'a Parts, script: Option<&Script>) -> Question<'a> {
    Question {
        method: &parts.method,
        path_and_query: parts.uri.path_and_query().map_or("/", |target| target.as_str()),
        headers: &parts.headers,
        fastcgi: script.is_some(),
    }
}

/// What of the page is here and can be read.
fn page<'a>(answer: &'a Answer, parts: &Parts) -> Option<&'a [u8]> {
    let coded = answer.head.headers.contains_key(header::CONTENT_ENCODING);
    match &answer.body {
        _ if coded || parts.method == Method::HEAD => None,
        AnswerBody::Whole(body) => Some(body),
        AnswerBody::Stream(streaming) => Some(streaming.begun()).filter(|begun| !begun.is_empty()),
        AnswerBody::Tunnel(_) => None,
    }
}
