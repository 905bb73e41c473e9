//! Forwarding one request: the choice of a server, the exchange, and when to try again.
//!
//! Nothing is doubled: a request of which bytes may have reached an upstream goes out again only
//! when nothing of its body is used up, and either it is idempotent and was met by a connection
//! that had gone stale, or the upstream vouches that it did nothing with it (HTTP/2), or demands in
//! place of an answer that it come over HTTP/1.1.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::Poll;
use std::time::Instant;

use http::header::{self, HeaderValue};
use http::request::Parts;
use http::{Response, StatusCode, Version};

use crate::config::{Rehearsal, ServerAddress};
use crate::diagnose::{self, Cause, Certainty};
use crate::files;
use crate::upstream::{
    self, Answer, AnswerBody, Attempt, ClientBody, Failure, Outgoing, Pool, Stage, Upload,
    UploadFraming,
};

use super::around::Subject;
use super::client::{Client, Connection};
use super::closed::Closure;
use super::echo::Echo;
use super::headers::{self, Fields, Forward};
use super::https;
use super::incidents;
use super::local::{self, Found};
use super::look;
use super::record::Record;
use super::respond::{self, Asked};
use super::route::without_port;
use super::verdict::{self, Replaced};
use super::{Body, Site};

/// Forwards, or answers with the page that says why not.
pub async fn forward(
    site: &Rc<Site>,
    connection: &Rc<Connection>,
    parts: &Parts,
    fields: &Fields<'_>,
    incoming: ClientBody,
    mut record: Box<Record>,
) -> Response<Body> {
    let client = connection.client(&parts.headers, &site.config.page);
    if client.trusted {
        record.client = client.address;
    }
    let asked = Asked { parts, client };
    let started = record.started;
    let outcome: Outcome = {
        let answer = answer(site, connection, parts, fields, &client, incoming, &mut record);
        let mut answer = std::pin::pin!(answer);
        // A panic in our own code becomes the cause that blames nobody else. The hook has logged
        // it.
        std::future::poll_fn(|cx| {
            let polled = catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(cx)));
            if matches!(polled, Ok(Poll::Pending)) && site.roll_is_on.get() {
                let host = fields.host.and_then(|host| host.to_str().ok()).unwrap_or_default();
                site.answer_roll(parts, host, &client, connection, started);
            }
            polled.unwrap_or(Poll::Ready(Err((Cause::ProxyInternalError, Certainty::Certain))))
        })
        .await
    };
    match outcome {
        Ok(Served::Upstream(answer)) => {
            respond::answered(answer, connection, record, &parts.method)
        }
        Ok(Served::Replaced(replaced)) => {
            Box::pin(look_around(site, &mut record, &replaced.cause, &asked)).await;
            respond::replaced(site, record, *replaced, &asked)
        }
        Ok(Served::Incidents) => incidents::respond(site, connection, parts, record),
        Ok(Served::File(answer)) => respond::file(*answer, record),
        Ok(Served::Echo(echo)) => respond::echoed(site, record, &echo, &asked),
        Ok(Served::Moved(status, location)) => respond::moved(status, location, record),
        Err((cause, certainty)) => {
            // Boxed, since every request would carry its size.
            Box::pin(look_around(site, &mut record, &cause, &asked)).await;
            let closes = diagnose::entry(cause.code()).phase == diagnose::Phase::Request;
            let mut response = respond::failed(site, record, cause, certainty, &asked);
            if closes {
                respond::close(&mut response);
            }
            response
        }
    }
}

/// What this host shows beside the failure, where it is one of an upstream. An operator waits for a
/// look that is under way, a visitor does not.
async fn look_around(site: &Rc<Site>, record: &mut Record, cause: &Cause, asked: &Asked<'_>) {
    let Some(number) = record.upstream else { return };
    let is_meant = matches!(cause, Cause::Maintenance { .. });
    if is_meant || diagnose::entry(cause.code()).blame == diagnose::Blame::Client {
        return;
    }
    let waits = asked.client.is_operator(&asked.parts.headers, &site.config.page);
    let (server, address, code) = match (&record.attempt, cause) {
        (Some(attempt), _) => (attempt.server, attempt.address, cause.code()),
        // Nobody was asked: the server that failed last stands for all.
        (None, Cause::NoHealthyUpstream { .. }) => {
            let last = site.looks[number].last_unreached();
            last.map_or((0, None, cause.code()), |(server, code)| (server, None, code))
        }
        (None, _) => (0, None, cause.code()),
    };
    let since = site.fingers[number].cases().since(code);
    let subject = Subject { code, server, address, since };
    record.around = site.surroundings[number].look(subject, waits).await;
}

/// What answers a request, or the diagnosis of why nothing does.
type Outcome = Result<Served, (Cause, Certainty)>;

enum Served {
    Upstream(Answer),
    /// Our page in place of the upstream's answer.
    Replaced(Box<Replaced>),
    File(Box<files::Answer>),
    /// The page that a request before it got.
    Echo(Rc<Echo>),
    /// What is kept of failures, for operators.
    Incidents,
    /// The folder's path with its slash, or the same with TLS.
    Moved(StatusCode, HeaderValue),
}

async fn answer(
    site: &Rc<Site>,
    connection: &Connection,
    parts: &Parts,
    fields: &Fields<'_>,
    client: &Client,
    incoming: ClientBody,
    record: &mut Record,
) -> Outcome {
    if headers::is_loop(fields, &parts.headers) {
        let via = parts.headers.get_all(header::VIA).iter().filter_map(|via| via.to_str().ok());
        let via = via.collect::<Vec<_>>().join(", ");
        return Err((Cause::LoopDetected { via }, Certainty::Certain));
    }
    let host = fields.host.and_then(|host| host.to_str().ok()).unwrap_or_default();
    let path = parts.uri.path();
    if incidents::are_asked_for(path) {
        return Ok(Served::Incidents);
    }
    let routes = site.routes.get(connection.listener.get());
    let Some(number) = routes.and_then(|routes| routes.find(host, path)) else {
        if site.pools.is_empty() {
            return Err((Cause::NothingConfigured, Certainty::Certain));
        }
        let host = without_port(host).to_owned();
        return Err((Cause::NoUpstreamConfigured { host }, Certainty::Certain));
    };
    record.upstream = Some(number);
    let pool = &site.pools[number];
    if pool.upstream.redirect_to_https
        && !connection.is_secure()
        && let Some((status, location)) =
            https::redirect(parts, client, connection.local, site.https_port)
    {
        return Ok(Served::Moved(status, location));
    }
    open(site, number)?;
    if let (Some(root), Some(files)) = (&site.roots[number], &pool.upstream.files) {
        if let Some(Rehearsal::FileErrno(errno)) = pool.upstream.rehearse {
            let refusal = files::Refusal::Forbidden { errno };
            return Err((local::refused(&refusal), Certainty::Certain));
        }
        let found = local::find(root, files, parts).map_err(|cause| (cause, Certainty::Certain))?;
        return match found {
            Found::File(answer) => Ok(Served::File(answer)),
            Found::Moved(location) => Ok(Served::Moved(StatusCode::PERMANENT_REDIRECT, location)),
            Found::Script(script) => {
                let asked = Asked { parts, client: *client };
                // Boxed, since a request without a script would carry its size.
                let run =
                    script_answer(site, connection, &asked, fields, incoming, record, &script);
                Box::pin(run).await
            }
        };
    }
    let asked = Asked { parts, client: *client };
    if let Some(echo) = site.echo(number, record, &asked) {
        return Ok(Served::Echo(echo));
    }
    permit(site, pool, record).await?;
    if pool.upstream.rehearse == Some(Rehearsal::Panic) {
        panic!("rehearsed");
    }
    let (forward, upload) = outgoing(pool, parts, fields, client, connection, incoming);
    let write = |head: &mut Vec<u8>| headers::write_request(head, parts, &forward);
    let upgrade = forward.upgrade.and_then(|value| value.to_str().ok()).map(str::to_owned);
    let request = Outgoing { method: parts.method.clone(), write: &write, upgrade };
    let outcome = attempts(site, connection, pool, &request, upload, &asked, record).await;
    outcome.map(|answer| served(answer, parts, record, None))
}

/// What goes out of an upstream's answer.
fn served(
    answer: Answer,
    parts: &Parts,
    record: &mut Record,
    script: Option<&files::Script>,
) -> Served {
    match verdict::replacement(&answer, parts, record, script) {
        None => Served::Upstream(answer),
        Some(replaced) => Served::Replaced(replaced),
    }
}

/// Runs a script: its body is gathered before it takes a place, so that no slow client holds one.
async fn script_answer(
    site: &Rc<Site>,
    connection: &Connection,
    asked: &Asked<'_>,
    fields: &Fields<'_>,
    incoming: ClientBody,
    record: &mut Record,
    script: &files::Script,
) -> Outcome {
    let number = record.upstream.expect("chosen by the caller");
    let pool = &site.pools[number];
    let body = local::gather(pool, fields, connection, incoming).await?;
    record.gathered = body.is_some().then(|| record.started.elapsed());
    permit(site, pool, record).await?;
    let scratch = site.scratch.take();
    let outgoing = local::outgoing(pool, asked, script, connection, body, scratch);
    let (head, upload) = outgoing.map_err(|cause| (cause, Certainty::Certain))?;
    let write = |out: &mut Vec<u8>| out.extend_from_slice(&head);
    let request = Outgoing { method: asked.parts.method.clone(), write: &write, upgrade: None };
    let outcome = attempts(site, connection, pool, &request, upload, asked, record).await;
    site.scratch.replace(head);
    outcome.map(|answer| served(answer, asked.parts, record, Some(script)))
}

/// Nothing is sent to an upstream that is closed for planned work.
fn open(site: &Site, number: usize) -> Result<(), (Cause, Certainty)> {
    match site.closures[number].as_ref().and_then(Closure::cause) {
        Some(cause) => Err((cause, Certainty::Certain)),
        None => Ok(()),
    }
}

/// Takes a place among the upstream's requests, or waits for one; it may be closed meanwhile.
async fn permit(
    site: &Site,
    pool: &Rc<Pool>,
    record: &mut Record,
) -> Result<(), (Cause, Certainty)> {
    let waited_long = record.gathered.is_some();
    match pool.permit().await {
        Ok((permit, waited)) => {
            record.permit = Some(permit);
            record.queued = waited;
            match record.upstream.filter(|_| waited_long || waited.is_some()) {
                Some(number) => open(site, number),
                None => Ok(()),
            }
        }
        Err(none) => {
            site.tally(record.upstream).declined();
            let limit = pool.upstream.limits.connections;
            Err((Cause::QueueFull { limit, waited: none.waited }, Certainty::Certain))
        }
    }
}

/// Tries servers until one answers or trying again would not be safe.
async fn attempts(
    site: &Rc<Site>,
    connection: &Connection,
    pool: &Rc<Pool>,
    request: &Outgoing<'_>,
    upload: Upload,
    asked: &Asked<'_>,
    record: &mut Record,
) -> Result<Answer, (Cause, Certainty)> {
    let mut upload = Some(upload);
    let mut tried = Vec::new();
    let looks = &site.looks[record.upstream.expect("chosen by the caller")];
    let mut next = pool.choose(&tried);
    let mut fresh = false;
    loop {
        let Some(server) = next else { return Err(none_left(pool, looks)) };
        // The first begins with the request, unless that had to wait.
        let waited = record.queued.is_some() || record.gathered.is_some();
        let started = match !waited && record.earlier.is_empty() {
            true => record.started,
            false => Instant::now(),
        };
        let attempt = record.attempt.insert(upstream::attempt(pool, server, started));
        let outcome =
            upstream::exchange(pool, &site.resolver, request, &mut upload, attempt, fresh).await;
        let failure = match outcome {
            Ok(answer) => return recognise(answer, attempt),
            Err(failure) => failure,
        };
        let whole = upload.as_ref().is_some_and(|upload| !upload.touched);
        let given_back = attempt.declined && whole;
        // Noted for the requests that follow, also where this one cannot go out again.
        let falls_back =
            pool.falls_back(&failure, attempt) && whole && request.method.is_idempotent();
        let again = is_stale_and_repeatable(&failure, attempt, request, upload.as_ref())
            || (given_back && !fresh)
            || falls_back;
        if !again {
            tried.push(server);
            // Only for a request that goes on: choosing takes a turn, and the one trial of a server
            // that was passed over.
            let goes_on = given_back || never_sent(&failure, attempt);
            next = if goes_on { pool.choose(&tried) } else { None };
        }
        let is_last = next.is_none();
        let waits = is_last && asked.client.is_operator(&asked.parts.headers, &site.config.page);
        let facts = look::facts(looks, pool, &failure, attempt, waits).await;
        let (mut cause, certainty) = diagnose::classify(&failure, attempt, &facts);
        if matches!(failure, Failure::Upload(_))
            && let Some(fault) = connection.body_fault.take()
        {
            cause = fault;
        }
        if matches!(failure, Failure::Resolve(_) | Failure::Connect(_) | Failure::Tls(_)) {
            pool.note_unreached(server);
            looks.note_unreached(server, cause.code());
        }
        if is_last {
            if matches!(failure, Failure::Connect(upstream::ConnectFailure::Remembered { .. })) {
                record.refused_until = pool.refused_until(server);
            }
            return Err((cause, certainty));
        }
        fresh |= again;
        if let Some(upload) = &mut upload {
            upload.rewind();
        }
        if let Some(attempt) = record.attempt.take() {
            record.earlier.push((attempt, cause.code()));
        }
    }
}

/// Nobody is left to be asked.
fn none_left(pool: &Pool, looks: &look::Looks) -> (Cause, Certainty) {
    let name = |server: usize| pool.upstream.servers[server].to_string();
    let unreached = looks.unreached().into_iter();
    let servers = unreached.map(|(server, code, ago)| (name(server), code, ago)).collect();
    (Cause::NoHealthyUpstream { servers }, Certainty::Certain)
}

/// A kept-alive connection that had ended: once more on a fresh one, when doing so cannot double
/// anything (RFC 9110 section 9.2.2).
fn is_stale_and_repeatable(
    failure: &Failure,
    attempt: &Attempt,
    request: &Outgoing<'_>,
    upload: Option<&Upload>,
) -> bool {
    // A frame that ends the stream is the peer's answer: that connection was alive.
    let answered = matches!(failure, Failure::Head(upstream::HeadFailure::Http2(_)));
    let at_stage = matches!(failure.stage(), Stage::Send | Stage::Head)
        && !answered
        && !matches!(failure, Failure::Upload(_));
    let whole = upload.is_some_and(|upload| !upload.touched);
    let unsent = attempt.bytes_sent == 0;
    at_stage
        && diagnose::is_stale(attempt)
        && !is_timeout(failure)
        && whole
        && (request.method.is_idempotent() || unsent)
}

fn is_timeout(failure: &Failure) -> bool {
    matches!(
        failure,
        Failure::Head(upstream::HeadFailure::TimedOut)
            | Failure::Send(upstream::SendFailure::TimedOut)
    )
}

/// The failure came before a byte of the request could have left.
fn never_sent(failure: &Failure, attempt: &Attempt) -> bool {
    match failure {
        Failure::Resolve(_) | Failure::Connect(_) | Failure::Tls(_) => true,
        Failure::Send(_) | Failure::Head(_) | Failure::Body(_) | Failure::Upload(_) => {
            attempt.bytes_sent == 0 && !matches!(failure, Failure::Upload(_))
        }
    }
}

/// A complete answer that is about our own way of asking: a TLS port's 400 to a plain request.
fn recognise(answer: Answer, attempt: &Attempt) -> Result<Answer, (Cause, Certainty)> {
    let plain = attempt.server().scheme == crate::config::Scheme::Http;
    if plain
        && answer.head.status == StatusCode::BAD_REQUEST
        && let AnswerBody::Whole(body) = &answer.body
        && diagnose::says_port_is_tls(body)
    {
        return Err((Cause::PlainHttpToTlsPort, Certainty::Certain));
    }
    Ok(answer)
}

/// What the request's head says as it goes out, and the body that follows it.
fn outgoing<'a>(
    pool: &Pool,
    parts: &Parts,
    fields: &Fields<'a>,
    client: &'a Client,
    connection: &'a Connection,
    incoming: ClientBody,
) -> (Forward<'a>, Upload) {
    let length = fields.has_length.then(|| incoming.length()).flatten();
    let framing = match length {
        _ if fields.has_coding => UploadFraming::Chunked,
        Some(length) if length > 0 => UploadFraming::Length,
        _ => UploadFraming::None,
    };
    let upgrade = asked_upgrade(parts, fields).filter(|_| framing == UploadFraming::None);
    let expect_continue = fields.has_expect
        && framing != UploadFraming::None
        && parts.version != Version::HTTP_10
        && headers::lists(&parts.headers, header::EXPECT, "100-continue");
    let forward = Forward {
        fields: *fields,
        client,
        peer: &connection.peer_text,
        forwarded: &connection.forwarded,
        secure: connection.is_secure(),
        host: match fields.host {
            Some(host) => Cow::Borrowed(host.as_bytes()),
            None => Cow::Owned(authority(pool).into_bytes()),
        },
        framing,
        length,
        upgrade,
        expect_continue,
    };
    let mut upload = Upload::new(incoming, framing);
    upload.expect_continue = expect_continue;
    (forward, upload)
}

/// RFC 9110 section 7.8: Upgrade counts only where Connection names it, and not from HTTP/1.0.
fn asked_upgrade<'a>(parts: &Parts, fields: &Fields<'a>) -> Option<&'a HeaderValue> {
    let asked = fields.upgrade?;
    let named = headers::lists(&parts.headers, header::CONNECTION, "upgrade");
    (named && parts.version == Version::HTTP_11).then_some(asked)
}

/// A client of HTTP/1.0 may name no host; the upstream needs one all the same.
fn authority(pool: &Pool) -> String {
    match &pool.upstream.servers[0].address {
        ServerAddress::Ip(address) => address.to_string(),
        ServerAddress::Name { host, port } => format!("{host}:{port}"),
        ServerAddress::Unix(_) => "localhost".to_owned(),
    }
}
