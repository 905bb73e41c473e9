//! A site of files and scripts: what a path means there, the file itself, or the script's request.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use http::HeaderValue;
use http::request::Parts;

use crate::config::{Files, Rehearsal};
use crate::diagnose::{self, Cause, Certainty, RequestFault, Sent};
use crate::files::{self, Root, Script, Target};
use crate::upstream::fastcgi::params::ParamFault;
use crate::upstream::{
    Answer, AnswerBody, Attempt, ClientBody, Pool, SpoolFailure, Spooled, Upload,
};

use super::cgi::{self, Meta};
use super::client::Connection;
use super::headers::Fields;
use super::respond::Asked;

/// What a path of the site came to.
#[derive(Debug)]
pub enum Found {
    File(Box<files::Answer>),
    /// A folder, asked for without its slash: where it is.
    Moved(HeaderValue),
    Script(Box<Script>),
}

/// Looks a request's path up in the site.
///
/// # Errors
/// The cause of the page that answers instead.
pub fn find(root: &Root, files: &Files, parts: &Parts) -> Result<Found, Cause> {
    match files::resolve(root, files, parts.uri.path()) {
        Ok(Target::Script(script)) => Ok(Found::Script(Box::new(script))),
        Ok(Target::Redirect { path }) => {
            let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
            let location = HeaderValue::try_from(path + &query);
            let invalid = |_| Cause::RequestInvalid { fault: RequestFault::TargetInvalid };
            location.map(Found::Moved).map_err(invalid)
        }
        Ok(Target::File(opened)) => {
            let now = SystemTime::now();
            let answer = files::answer(root, &parts.method, &parts.headers, opened, now);
            let answer = answer.map_err(|_| Cause::MethodNotAllowed { allowed: files::ALLOWED });
            answer.map(|answer| Found::File(Box::new(answer)))
        }
        Err(refusal) => Err(refused(&refusal)),
    }
}

/// The cause of a refusal.
pub fn refused(refusal: &files::Refusal) -> Cause {
    match refusal {
        files::Refusal::Path(_) => Cause::RequestInvalid { fault: RequestFault::TargetInvalid },
        files::Refusal::Denied(_) => Cause::FileDenied,
        files::Refusal::NotFound => Cause::FileNotFound,
        files::Refusal::Link { errno } => Cause::FileLinkRefused { errno: *errno },
        files::Refusal::Forbidden { errno } | files::Refusal::Io { errno } => {
            let errno = *errno;
            diagnose::own_limit(errno).unwrap_or(Cause::FileUnreadable { errno })
        }
    }
}

/// Gathers the body of a request for a script, so that its length can be told, no slow client holds
/// a worker, and no script runs on half of it.
///
/// # Errors
/// The cause, and the failure of the client's body.
pub async fn gather(
    pool: &Pool,
    fields: &Fields<'_>,
    connection: &Connection,
    incoming: ClientBody,
) -> Result<Option<Spooled>, (Cause, Certainty)> {
    let limit_bytes = pool.upstream.limits.spool_bytes;
    let declared = fields.has_length.then(|| incoming.length()).flatten();
    match declared {
        _ if fields.has_coding => {}
        Some(length) if length > limit_bytes => {
            return Err((Cause::RequestBodyTooLarge { limit_bytes }, Certainty::Certain));
        }
        Some(length) if length > 0 => {}
        Some(_) | None => return Ok(None),
    }
    let gathered = match pool.upstream.rehearse {
        Some(Rehearsal::StorageErrno(errno)) => {
            Err(SpoolFailure::Io(io::Error::from_raw_os_error(errno)))
        }
        _ => Spooled::gather(incoming, limit_bytes).await,
    };
    let cause = match gathered {
        Ok(spooled) => return Ok(Some(spooled)),
        Err(SpoolFailure::Client(failure)) => {
            connection.body_fault.take().unwrap_or_else(|| diagnose::uploaded(&failure))
        }
        Err(SpoolFailure::TooLarge { limit_bytes }) => Cause::RequestBodyTooLarge { limit_bytes },
        Err(SpoolFailure::Io(error)) => Cause::LocalStorageFailed { errno: error.raw_os_error() },
    };
    Err((cause, Certainty::Certain))
}

/// The script's request as it goes out.
///
/// # Errors
/// A field that cannot become a variable.
pub fn outgoing(
    pool: &Pool,
    asked: &Asked<'_>,
    script: &Script,
    connection: &Connection,
    body: Option<Spooled>,
    mut head: Vec<u8>,
) -> Result<(Vec<u8>, Upload), Cause> {
    head.clear();
    let parts = asked.parts;
    let root = pool.upstream.files.as_ref().map_or(Path::new("/"), |files| &files.root);
    let meta = Meta {
        parts,
        script,
        root,
        client: &asked.client,
        peer: connection.peer_socket,
        local: connection.local,
        secure: connection.is_secure(),
        length: body.as_ref().map(Spooled::length),
        keep: pool.upstream.limits.idle_connections > 0,
    };
    cgi::write_request(&mut head, &meta).map_err(|fault| match fault {
        ParamFault::TooLarge { limit_bytes, .. } => Cause::RequestHeaderTooLarge { limit_bytes },
        ParamFault::Nul { .. } => Cause::RequestInvalid { fault: RequestFault::ControlCharacter },
        ParamFault::Twin { .. } => Cause::RequestInvalid { fault: RequestFault::FieldTwin },
    })?;
    let upload = body.map_or_else(Upload::none, Upload::spooled);
    Ok((head, upload))
}

/// What a complete answer says about itself: PHP reports its failures in well-formed pages.
pub fn said(answer: &Answer, attempt: &Attempt, script: &Script) -> Option<(Cause, Certainty)> {
    let body = match &answer.body {
        AnswerBody::Whole(body) => Some(&body[..]),
        AnswerBody::Stream(streaming) => Some(streaming.begun()),
        AnswerBody::Tunnel(_) => None,
    };
    let status = answer.head.status.as_u16();
    if diagnose::is_quiet(status, body.unwrap_or_default(), attempt.stderr.is_some()) {
        return None;
    }
    let root = attempt.upstream.files.as_ref().map_or(PathBuf::new(), |files| files.root.clone());
    let filename = String::from_utf8_lossy(&script.filename);
    let sent = Sent { filename: &filename, root: &root };
    let stderr = attempt.stderr.as_ref().map_or(Vec::new(), |stderr| stderr.kept());
    diagnose::said(status, body, &stderr, &sent)
}
