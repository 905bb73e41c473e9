//! The record of one request: what its line in the log will say.
//!
//! Made when the request arrives, owned by whoever has the request in hand, and written when it is
//! dropped: no way out of a request goes without its line.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::header::{self, HeaderValue};
use http::request::Parts;
use http::{Method, Uri, Version};

use crate::config::LogFormat;
use crate::diagnose::{
    self, Cause, Certainty, Code, Facts, Incident, IncidentId, Root, Sent, Standing,
};
use crate::telemetry::{self, Failed, Line, Stages};
use crate::upstream::{Attempt, Failure, Permit};

use super::Site;
use super::alarm::{self, First};
use super::around::{Known, Subject};
use super::client::Connection;
use super::incidents::{self, Id};
use super::pulse::milliseconds;
use super::respond;

/// The status that logs show for a client that left before an answer.
const CLIENT_LEFT: u16 = 499;

/// One request under way, and what to write of it.
#[derive(Debug)]
pub struct Record {
    pub site: Rc<Site>,
    connection: Rc<Connection>,
    pub started: Instant,
    /// Whom a trusted proxy names; `None`: the peer itself.
    pub client: Option<IpAddr>,
    method: Method,
    uri: Uri,
    version: Version,
    pub host: Option<HeaderValue>,
    referer: Option<HeaderValue>,
    agent: Option<HeaderValue>,
    /// The refused bytes, in place of a target.
    pub raw_line: Option<Vec<u8>>,
    /// Position of the upstream block in the site's pools.
    pub upstream: Option<usize>,
    pub queued: Option<Duration>,
    /// How long its body was gathered before anything else.
    pub gathered: Option<Duration>,
    /// The attempt under way, or the last.
    pub attempt: Option<Attempt>,
    /// A refusal of a moment ago answered it, as it does until then.
    pub refused_until: Option<Instant>,
    /// Those before it, with the cause of each.
    pub earlier: Vec<(Attempt, Code)>,
    /// What this host showed beside the last failure.
    pub around: Option<Arc<Known>>,
    /// What that shows to lie behind it.
    pub root: Option<Root>,
    /// The place among the upstream's requests in flight.
    pub permit: Option<Permit>,
    /// The status that went out.
    pub status: Option<u16>,
    pub bytes: u64,
    pub cause: Option<Code>,
    certainty: Option<Certainty>,
    fault: Option<&'static str>,
    pub incident: Option<IncidentId>,
    ended: bool,
}

impl Record {
    pub fn new(site: Rc<Site>, connection: Rc<Connection>, parts: &Parts) -> Record {
        let combined = site.config.log.format == LogFormat::Combined;
        let field = |name| combined.then(|| parts.headers.get(name).cloned()).flatten();
        Record {
            client: None,
            site,
            connection,
            started: Instant::now(),
            method: parts.method.clone(),
            uri: parts.uri.clone(),
            version: parts.version,
            host: None,
            referer: field(header::REFERER),
            agent: field(header::USER_AGENT),
            raw_line: None,
            upstream: None,
            queued: None,
            gathered: None,
            attempt: None,
            refused_until: None,
            earlier: Vec::new(),
            around: None,
            root: None,
            permit: None,
            status: None,
            bytes: 0,
            cause: None,
            certainty: None,
            fault: None,
            incident: None,
            ended: false,
        }
    }

    /// The attempt whose body is being read.
    pub fn attempt_mut(&mut self) -> &mut Attempt {
        self.attempt.as_mut().expect("a response comes from an attempt")
    }

    /// Every attempt in order.
    pub fn attempts(&self) -> impl Iterator<Item = &Attempt> {
        self.earlier.iter().map(|(attempt, _)| attempt).chain(&self.attempt)
    }

    /// The response is complete: the upstream's place is free for the next.
    pub fn finish(&mut self) {
        self.ended = true;
        self.permit = None;
    }

    /// The response broke off after its head was sent.
    pub fn cut(&mut self, failure: &Failure) {
        let attempt = self.attempt_mut();
        let (cause, certainty) = diagnose::classify(failure, attempt, &Facts::default());
        self.broke(&cause, certainty);
    }

    /// A file broke off after its head was sent.
    pub fn cut_file(&mut self, error: &io::Error) {
        let errno = error.raw_os_error();
        self.broke(&Cause::LocalStorageFailed { errno }, Certainty::Certain);
    }

    fn broke(&mut self, cause: &Cause, certainty: Certainty) {
        self.fail(cause, certainty);
        self.incident = Some(self.case(cause.code()));
        self.connection.cut.set(true);
        self.finish();
    }

    /// Notes the cause of the failure; the first one stays.
    pub fn fail(&mut self, cause: &Cause, certainty: Certainty) {
        if self.cause.is_none() {
            (self.cause, self.certainty) = (Some(cause.code()), Some(certainty));
            self.fault = match cause {
                Cause::RequestInvalid { fault } => Some(fault.into()),
                _ => None,
            };
        }
    }
}

impl Record {
    /// The upstream gave an answer that is no failure.
    pub fn worked(&self) {
        if let Some(number) = self.upstream {
            self.site.fingers[number].worked();
        }
    }

    /// Takes what this host shows beside an answer that names its own failure; looks where that is
    /// due.
    pub fn glance_around(&mut self, code: Code) {
        if let (Some(number), Some(attempt)) = (self.upstream, &self.attempt) {
            let since = self.site.fingers[number].cases().since(code);
            let (server, address) = (attempt.server, attempt.address);
            let subject = Subject { code, server, address, since };
            self.around = self.site.surroundings[number].glance(subject);
        }
    }

    /// Notes for the upstream whether one of its servers was reached, where one was asked.
    pub fn note_reach(&self, now: SystemTime, is_unreached: bool) {
        let Some(number) = self.upstream else { return };
        let attempt = self.attempt.as_ref();
        if is_unreached {
            self.site.fingers[number].unreached(now);
        } else if attempt.is_some_and(|a| a.reuse.is_some() || a.stamps.connected.is_some()) {
            self.site.fingers[number].reached(now);
        }
    }

    /// No answer of the upstream goes out; how it stood until now.
    pub fn failed_site(&self, now: SystemTime, for_all: bool) -> Standing {
        let finger = self.upstream.map(|number| &self.site.fingers[number]);
        finger.map(|finger| finger.failed(now, for_all)).unwrap_or_default()
    }

    /// The upstream block's name; empty when none was chosen.
    pub fn upstream_name(&self) -> &str {
        self.upstream.map_or("", |number| &self.site.config.upstreams[number].name)
    }
}

impl Record {
    /// What a program wrote to STDERR goes to our own messages; when it came with the end of an
    /// answer that had begun, it may be all that says what became of it.
    fn heed_stderr(&mut self) {
        let Some(stderr) = self.attempt.as_ref().and_then(|attempt| attempt.stderr.as_ref()) else {
            return;
        };
        let (kept, late) = (stderr.kept(), stderr.since_beginning());
        if matches!(self.cause, None | Some(Code::UpstreamErrorStatus)) {
            let sent = Sent { filename: "", root: Path::new("") };
            let said = diagnose::said(self.status.unwrap_or_default(), None, &late, &sent);
            self.cause = said.map(|(cause, _)| cause.code()).or(self.cause);
        }
        let said = diagnose::abridged(&String::from_utf8_lossy(&kept));
        let (upstream, lost_bytes) = (self.upstream_name(), stderr.lost_bytes());
        let path = self.uri.path();
        tracing::warn!(upstream, path, lost_bytes, said, "a script wrote to STDERR");
    }
}

impl Record {
    /// The id of a failure without a report; opens its incident where it is the first.
    fn case(&self, code: Code) -> IncidentId {
        match incidents::id(&self.site, self.upstream, code, self.status) {
            Id::Known(id) => id,
            Id::Opens => incidents::open(&self.site, self.upstream, code, |opened| {
                let attempts = respond::summaries(self, code);
                let certainty = self.certainty.unwrap_or(Certainty::Likely);
                let (name, status) = (self.upstream_name(), self.status);
                Incident::bare(name, code, certainty, status, &attempts, opened)
            }),
        }
    }

    /// Has the operator told of a failure that is his business.
    fn alarm(&self, code: Code, now: Instant) {
        if !alarm::concerns(code, self.status) {
            return;
        }
        let Some(finger) = self.site.finger(self.upstream) else { return };
        // The upstream's own page has no id, but its failures are an incident too.
        let _ = self.case(code);
        finger.cases().count(code, milliseconds(SystemTime::now()));
        finger.alarm(code, || First {
            at: now,
            incident: self.incident,
            server: self
                .attempt
                .as_ref()
                .map(|attempt| telemetry::escaped(LogFormat::Text, &attempt.server().to_string())),
            status: self.status,
            certainty: self.certainty,
            root: self.root,
        });
    }

    fn count(&self, now: Instant) {
        let tally = self.site.tally(self.upstream);
        let took = now.saturating_duration_since(self.started);
        tally.request(self.status.unwrap_or(CLIENT_LEFT), took, self.bytes);
        if let Some(cause) = self.cause {
            let incident = self.incident.map(|incident| incident.letters());
            let at = self.site.counts.worker.moment(now);
            tally.failure(Failed { cause: cause as usize, incident, at });
        }
        for (_, cause) in &self.earlier {
            tally.retry(*cause as usize);
        }
        for attempt in self.attempts() {
            let stamps = &attempt.stamps;
            if let Some(connected) = stamps.connected {
                let since = stamps.resolved.unwrap_or(stamps.started);
                tally.connects.observe(connected.saturating_duration_since(since));
            }
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.heed_stderr();
        if !self.ended && self.cause.is_none() {
            self.cause = Some(Code::ClientGone);
        }
        let now = Instant::now();
        if let Some(code) = self.cause {
            self.alarm(code, now);
        }
        self.count(now);
        let log = &self.site.log;
        if log.is_on() {
            log.write(now, |time, clf_time, emit| self.line(now, time, clf_time, emit));
        }
    }
}

impl Record {
    fn line(&self, now: Instant, time: &str, clf_time: &str, emit: &mut dyn FnMut(&Line<'_>)) {
        let attempt = self.attempt.as_ref();
        let server = self
            .upstream
            .zip(attempt)
            .map(|(upstream, attempt)| self.site.server_names[upstream][attempt.server].as_str());
        let incident = self.incident.map(|incident| incident.printed());
        let incident = incident.as_ref().and_then(|printed| std::str::from_utf8(printed).ok());
        let path = match (&self.raw_line, self.uri.path_and_query()) {
            (Some(line), _) => line.as_slice(),
            (None, Some(path)) => path.as_str().as_bytes(),
            (None, None) => b"*",
        };
        let client = self.client.map(|client| client.to_string());
        let retried_after: Vec<_> = self.earlier.iter().map(|(_, cause)| cause.name()).collect();
        emit(&Line {
            time,
            clf_time,
            client: client.as_deref().unwrap_or(&self.connection.peer_text),
            method: if self.raw_line.is_some() { "-" } else { self.method.as_str() },
            // The stand-in for a refused request names a host of its own.
            host: match self.raw_line {
                Some(_) => b"",
                None => bytes(&self.host),
            },
            path,
            version: match self.version {
                Version::HTTP_10 => "HTTP/1.0",
                Version::HTTP_2 => "HTTP/2",
                _ => "HTTP/1.1",
            },
            status: self.status.unwrap_or(CLIENT_LEFT),
            bytes: self.bytes,
            referer: bytes(&self.referer),
            agent: bytes(&self.agent),
            upstream: self.upstream_name(),
            server: server.unwrap_or_default(),
            received_status: attempt.and_then(|attempt| attempt.status),
            duration: now.saturating_duration_since(self.started),
            stages: attempt.map(|attempt| self.stages(attempt)).unwrap_or_default(),
            attempts: self.earlier.len() + usize::from(self.attempt.is_some()),
            retried_after: &retried_after,
            reused: attempt.is_some_and(|attempt| attempt.reuse.is_some()),
            cause: self.cause.map(Code::name),
            root: self.root.map(Root::name),
            fault: self.fault,
            incident,
        });
    }

    /// How long each stage took, from the stamps at their ends.
    fn stages(&self, attempt: &Attempt) -> Stages {
        let stamps = &attempt.stamps;
        let mut since = stamps.started;
        let mut took = |end: Option<Instant>| {
            let end = end?;
            let took = end.saturating_duration_since(since);
            since = end;
            Some(took)
        };
        Stages {
            upload: self.gathered,
            queue: self.queued,
            resolve: took(stamps.resolved),
            connect: took(stamps.connected),
            tls: took(stamps.secured),
            send: took(stamps.sent),
            head: took(stamps.head),
        }
    }
}

/// A field's value; empty where there was none.
fn bytes(value: &Option<HeaderValue>) -> &[u8] {
    value.as_ref().map_or(b"", HeaderValue::as_bytes)
}
