//! HTTP/2 towards upstreams, on the h2 crate: one connection a worker and server, shared by as many
//! exchanges as the peer allows.
//!
//! `watch` and `fields` are pure; `link` has the connections, `stream` one exchange on one of them.

pub mod fields;
mod link;
mod stream;
pub mod watch;

use std::future::poll_fn;
use std::rc::Rc;
use std::time::Instant;

pub use link::Links;
pub use stream::Receiving;

use http::uri;

use crate::config::Scheme;

use super::Outgoing;
use super::attempt::{Attempt, Reuse};
use super::failure::{Failure, HeadFailure, Stage};
use super::http1::head::Head;
use super::pool::Pool;
use super::resolve::Resolver;
use super::upload::Upload;
use link::{Failed, Lease, Opener, State, Turn};
use stream::Exchange;

/// Sends the request to the attempt's server and waits for the head of the answer. `fresh` leaves
/// open connections alone. Cancel safe: a dropped exchange takes its stream back.
///
/// # Errors
/// The first failure, in the order of the stages.
pub(super) async fn exchange(
    pool: &Rc<Pool>,
    resolver: &Resolver,
    request: &Outgoing<'_>,
    upload: &mut Option<Upload>,
    attempt: &mut Attempt,
    fresh: bool,
) -> Result<(Head, Receiving), Failure> {
    let lease = lease(pool, resolver, attempt, fresh).await?;
    attempt.address = lease.link.address;
    let (served, since) = lease.link.served();
    if served > 0 {
        let idle = attempt.stamps.started.saturating_duration_since(since);
        attempt.reuse = Some(Reuse { idle, served });
    }
    let lent = upload.as_mut().expect("the caller keeps the upload until an answer takes it");
    lent.keep();
    let scheme = match attempt.server().scheme {
        Scheme::Https => uri::Scheme::HTTPS,
        Scheme::Http | Scheme::H2c | Scheme::FastCgi => uri::Scheme::HTTP,
    };
    let mut head = Vec::new();
    (request.write)(&mut head);
    let head = fields::request(&request.method, &head, scheme);
    let head = head.expect("proxy writes the head, from what has passed its own reader");
    let (timeouts, limits) = (&pool.upstream.timeouts, &pool.upstream.limits);
    let state = lease.link.state.clone();
    let begun = Exchange::begin(lease, head, lent, attempt, timeouts).await;
    let mut exchange = begun.map_err(|failure| failed(failure, &state, attempt))?;
    let heard = poll_fn(|cx| exchange.poll_head(cx, lent, attempt)).await;
    let response = heard.map_err(|failure| failed(failure, exchange.state(), attempt))?;
    let Some(upload) = upload.take() else { unreachable!("lent above") };
    let answered = exchange.answered(response, upload, attempt, &request.method, limits);
    answered.map_err(|failure| failed(failure, &state, attempt))
}

/// Marks the record with the end of an attempt, and leaves what was seen in it.
fn failed(failure: Failure, state: &State, attempt: &mut Attempt) -> Failure {
    attempt.stamps.ended = Some(Instant::now());
    if let Failure::Head(head) = &failure {
        attempt.stage = Stage::Head;
        attempt.declined = matches!(head, HeadFailure::Http2(failure) if failure.is_unprocessed());
        let watch = state.watch.borrow();
        if let (HeadFailure::Foreign, Some(first)) = (head, watch.foreign()) {
            attempt.bytes_received = first.len() as u64;
            attempt.keep_first_bytes(first);
        }
    }
    failure
}

/// A place on a connection: on one that is open, or on a new one.
async fn lease(
    pool: &Rc<Pool>,
    resolver: &Resolver,
    attempt: &mut Attempt,
    fresh: bool,
) -> Result<Lease, Failure> {
    let links = pool.links(attempt.server);
    let turn = match fresh {
        true => Turn::Open(links.opener()),
        false => links.turn().await,
    };
    match turn {
        Turn::Taken(lease) => Ok(lease),
        Turn::Open(opener) => open(pool, resolver, attempt, opener).await,
        Turn::Failed(Failed { failure, address, tried }) => {
            attempt.stage = Stage::Connect;
            attempt.address = address;
            attempt.tried = tried;
            Err(Failure::Connect(failure))
        }
    }
}

async fn open(
    pool: &Rc<Pool>,
    resolver: &Resolver,
    attempt: &mut Attempt,
    opener: Opener,
) -> Result<Lease, Failure> {
    match super::open(pool, resolver, attempt).await {
        Ok(conn) => {
            attempt.stage = Stage::Send;
            let started = opener.start(conn, &pool.upstream).await;
            started.map_err(|error| {
                attempt.stamps.ended = Some(Instant::now());
                stream::unstarted(error)
            })
        }
        Err(failure) => {
            if let Failure::Connect(failure) = &failure {
                let (address, tried) = (attempt.address, attempt.tried.clone());
                opener.fail(Failed { failure: failure.clone(), address, tried });
            }
            Err(failure)
        }
    }
}
