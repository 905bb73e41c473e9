//! What a refusal of a moment ago answers: visitors whose requests follow are told what the one
//! before them was told, and no exchange is prepared for them.
//!
//! In an outage that is nearly every request. It lasts as long as the pool remembers the refusal, a
//! tenth of a second; then one request goes the whole way again, and what this host shows beside
//! the failure by then is part of what follows.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use crate::diagnose::{Cause, Root};
use crate::upstream::Attempt;

use super::Site;
use super::around::Known;
use super::record::Record;
use super::respond::Asked;
use super::settled::Settled;

/// A failure that was diagnosed, for the requests that fail with it.
#[derive(Debug)]
pub struct Echo {
    /// As long as the refusal itself answers, which tells one refusal from the next.
    until: Instant,
    attempt: Attempt,
    around: Option<Arc<Known>>,
    root: Option<Root>,
    pub cause: Cause,
    pub settled: Settled,
}

impl Echo {
    /// What is kept of a visitor's failure, where a remembered refusal is all there was to it.
    pub fn of(record: &Record, cause: &Cause, settled: Settled) -> Option<Echo> {
        let until = record.refused_until?;
        let attempt = record.attempt.as_ref().filter(|attempt| {
            // Where there are others to be asked, or files to be sent, each asks for itself.
            let is_all = attempt.upstream.servers.len() == 1 && settled.hits_all;
            is_all && attempt.remains.is_none()
        })?;
        Some(Echo {
            until,
            attempt: attempt.clone(),
            around: record.around.clone(),
            root: record.root,
            cause: cause.clone(),
            settled,
        })
    }

    /// Has a record say the same of its own request.
    pub fn note(&self, record: &mut Record) {
        record.attempt = Some(self.attempt.repeated(record.started));
        record.around.clone_from(&self.around);
        record.root = self.root;
        record.fail(&self.cause, self.settled.certainty);
    }
}

impl Site {
    /// The failure that answers a request to an upstream, where one of a moment ago does. Operators
    /// get evidence, which is looked for each time.
    pub fn echo(&self, upstream: usize, record: &Record, asked: &Asked<'_>) -> Option<Rc<Echo>> {
        let kept = self.echoes[upstream].borrow();
        let echo = kept.as_ref()?;
        let refused_until = self.pools[upstream].refused_until(echo.attempt.server);
        let counts = record.started < echo.until && refused_until == Some(echo.until);
        let is_operator = || asked.client.is_operator(&asked.parts.headers, &self.config.page);
        (counts && !is_operator()).then(|| echo.clone())
    }
}
