//! What is settled about a failure before its page is made: the status, what became of the request,
//! and what it says of the upstream.

use std::time::SystemTime;

use http::StatusCode;

use crate::diagnose::{self, Blame, Cause, Certainty, Code, Entry, Fate, Phase, Rules};

use super::Site;
use super::record::Record;
use super::respond;

/// What is settled about a failure before the request that had it plays a part: the same for all
/// that fail with it.
#[derive(Debug, Clone, Copy)]
pub struct Settled {
    pub certainty: Certainty,
    pub fate: Fate,
    pub entry: Entry,
    pub status: u16,
    /// A complete answer of the upstream has come.
    pub is_answered: bool,
    pub is_operator: bool,
    /// None of the upstream's servers was reached.
    pub is_unreached: bool,
    /// It says something of how the site fares.
    pub of_the_site: bool,
    /// Whoever asks the upstream fails with it.
    pub hits_all: bool,
    /// What ranks the fixes that a visitor is shown.
    pub rules: Rules,
}

/// Decides it; `received` is the status of an answer that the page takes the place of.
pub fn settle(
    site: &Site,
    record: &Record,
    cause: &Cause,
    certainty: Certainty,
    received: Option<StatusCode>,
    is_operator: bool,
    time: SystemTime,
) -> Settled {
    let page = &site.config.page;
    let entry = diagnose::entry_at(cause, time);
    let status = match (received.map(|status| status.as_u16()), entry.timeout) {
        // Whoever asks for another status has someone before us who swallows these two.
        (Some(502 | 504), _) if page.gateway_error != 502 => page.gateway_error,
        (Some(received), _) => received,
        (None, true) => page.gateway_timeout,
        (None, false) if entry.status == 502 => page.gateway_error,
        (None, false) => entry.status,
    };
    let fate = match received {
        // It was answered, and an error does not tell what was done before it.
        Some(_) => Fate::MayHaveBeenProcessed,
        None => fate(record, &entry),
    };
    Settled {
        certainty,
        fate,
        entry,
        status,
        is_answered: received.is_some(),
        is_operator,
        is_unreached: is_unreached(cause),
        // What the client has to mend, and what is meant, say nothing of how the site fares.
        of_the_site: status >= 500
            && entry.blame != Blame::Client
            && !matches!(cause, Cause::Maintenance { .. }),
        hits_all: hits_all(site, record, cause),
        rules: if is_operator { Rules::default() } else { respond::rules(site, record, cause) },
    }
}

/// Whether whoever asks the upstream fails with this: none of its servers was reached. Where files
/// of the site are served beside it, somebody may be served all the same.
fn hits_all(site: &Site, record: &Record, cause: &Cause) -> bool {
    is_unreached(cause) && record.upstream.is_some_and(|number| site.roots[number].is_none())
}

/// Whether no server could be asked.
fn is_unreached(cause: &Cause) -> bool {
    match cause.code() {
        Code::NoHealthyUpstream => true,
        code => matches!(diagnose::entry(code).phase, Phase::Resolve | Phase::Connect | Phase::Tls),
    }
}

/// A request that was refused before any upstream was chosen was not sent, whatever came before it.
fn fate(record: &Record, entry: &Entry) -> Fate {
    match entry.phase {
        Phase::Request if record.attempt.is_none() => Fate::NotSent,
        _ => Fate::of(record.attempts()),
    }
}
