//! The report: all that a page or a log line may say about one failed request.
//!
//! Made once a failure by `proxy`, read by `page` and `telemetry`. It holds everything; what a
//! visitor may see of it is decided by `page` from the audience. Plain data.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::config::Scheme;
use crate::upstream::{Attempt, Stage};

use super::around::Around;
use super::catalog::{Entry, Phase};
use super::cause::{Cause, Code};
use super::connect;
use super::dns::Named;
use super::matching::Fix;
use super::root::Rooted;

/// One failed request, diagnosed.
#[derive(Debug, Clone)]
pub struct Report {
    pub incident: IncidentId,
    pub time: SystemTime,
    pub cause: Cause,
    pub certainty: Certainty,
    pub fate: Fate,
    pub entry: Entry,
    /// The status of our answer, after `gateway_timeout`.
    pub status: u16,
    /// The most useful first.
    pub fixes: Vec<Fix>,
    /// What was tried, in order, the last one being what failed.
    pub attempts: Vec<AttemptSummary>,
    /// What the server's name led to, where it could not be reached by it.
    pub named: Option<Named>,
    /// The upstream block; empty when none was chosen.
    pub upstream: Arc<str>,
    /// The request's host as the client named it; empty when it named none.
    pub host: String,
    pub method: http::Method,
    /// Path without query.
    pub path: String,
    pub standing: Standing,
    /// What lies behind the cause, where the evidence shows it.
    pub root: Option<Rooted>,
    /// What this host showed beside it.
    pub around: Option<Arc<Around>>,
}

/// How the site fares beside this request, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// Whether other requests are answered just now.
    pub others_served: Option<bool>,
    /// The first failure since the site last answered, where it is not this one.
    pub failing_since: Option<SystemTime>,
    /// When the site last answered.
    pub last_worked: Option<SystemTime>,
}

impl Report {
    /// The site's name as the client asked for it, where it is one: an address, a port or worse
    /// is nothing that a visitor should read on a page.
    pub fn site(&self) -> Option<&str> {
        site_name(&self.host)
    }
}

/// The name in a Host field that a page may show.
pub fn site_name(host: &str) -> Option<&str> {
    let name = host.split_once(':').map_or(host, |(name, _)| name);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    let lettered = name.bytes().any(|byte| byte.is_ascii_alphabetic());
    let fits = !name.is_empty() && name.len() <= SITE_BYTES;
    (fits && lettered && name.bytes().all(plain)).then_some(name)
}

/// The longest name that DNS holds in print (RFC 1035 section 2.3.4).
const SITE_BYTES: usize = 253;

/// How sure a diagnosis is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Certainty {
    /// Shown by a positive observation: errno, bytes, rcode, alert.
    Certain,
    /// Timing or absence speaks for it.
    Likely,
    Possible,
}

/// What became of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Fate {
    /// No byte of it reached the site.
    NotSent,
    /// Some or all of it did, and no answer tells what became of it.
    MayHaveBeenProcessed,
    /// The site answered it; the answer could not be delivered.
    Processed,
}

/// One attempt in words of the wire, for operators.
#[derive(Debug, Clone)]
pub struct AttemptSummary {
    /// The server as configured.
    pub server: String,
    /// The address that was connected to, when one was.
    pub address: Option<SocketAddr>,
    /// The cause that this attempt alone would have.
    pub code: Code,
    /// The stage it ended in.
    pub phase: Phase,
    pub reused: bool,
    /// The addresses of the server that could not be connected to, in the order of their failures.
    pub addresses: Vec<AddressSummary>,
    /// Time in each stage that was entered, in order.
    pub stages: Vec<(Phase, Duration)>,
    /// From the end of sending to the first byte of the answer, where one came.
    pub first_byte: Option<Duration>,
    pub bytes_sent: u64,
    pub bytes_received: u64,
}

/// One address that could not be connected to.
#[derive(Debug, Clone, Copy)]
pub struct AddressSummary {
    pub address: SocketAddr,
    /// The cause that this address alone would have.
    pub code: Code,
    pub took: Duration,
}

/// A step of an attempt, in the order in which they are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr, strum::EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum AttemptStep {
    Resolve,
    Connect,
    Tls,
    Send,
    FirstByte,
    Head,
    Body,
}

/// How a step of an attempt went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepState {
    /// And how long it took.
    Done(Duration),
    /// And after how long; `None` where that is not known.
    Failed(Option<Duration>),
    NotReached,
}

/// A short id that can be read out over the telephone: eight letters and digits without
/// look-alikes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct IncidentId([u8; 8]);

/// Crockford's alphabet: no I, L, O, U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

impl IncidentId {
    /// The id that shows the low 40 bits of a number.
    pub fn new(number: u64) -> IncidentId {
        let mut letters = [0; 8];
        for (i, letter) in letters.iter_mut().enumerate() {
            *letter = ALPHABET[(number >> (5 * (7 - i)) & 31) as usize];
        }
        IncidentId(letters)
    }

    /// Its eight letters in one number, the first in front.
    pub fn letters(&self) -> u64 {
        u64::from_be_bytes(self.0)
    }

    /// Length of the number in print.
    pub const PRINTED: usize = 9;

    /// As it is read out: two groups of four.
    pub fn printed(&self) -> [u8; IncidentId::PRINTED] {
        let [a, b, c, d, e, f, g, h] = self.0;
        [a, b, c, d, b'-', e, f, g, h]
    }
}

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.printed()).expect("the alphabet is ASCII"))
    }
}

impl fmt::Debug for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl AttemptSummary {
    /// What the flight record says, in the order of the stages; `code` is the cause this attempt
    /// had.
    pub fn new(attempt: &Attempt, code: Code, now: Instant) -> AttemptSummary {
        let stamps = &attempt.stamps;
        let ends = [
            (Phase::Resolve, stamps.resolved),
            (Phase::Connect, stamps.connected),
            (Phase::Tls, stamps.secured),
            (Phase::Send, stamps.sent),
            (Phase::Head, stamps.head),
        ];
        let mut stages = Vec::new();
        let mut since = stamps.started;
        for (phase, end) in ends {
            if let Some(end) = end {
                stages.push((phase, end.saturating_duration_since(since)));
                since = end;
            }
        }
        let phase = phase(attempt.stage);
        if stages.iter().all(|(done, _)| *done != phase) {
            stages.push((phase, now.saturating_duration_since(since)));
        }
        let addresses = attempt.tried.iter().map(|tried| AddressSummary {
            address: tried.address,
            code: connect::of_address(tried, attempt),
            took: tried.took,
        });
        AttemptSummary {
            server: attempt.server().to_string(),
            address: attempt.address,
            code,
            phase,
            reused: attempt.reuse.is_some(),
            addresses: addresses.collect(),
            stages,
            first_byte: stamps.first_byte.map(|first| {
                first.saturating_duration_since(stamps.sent.unwrap_or(stamps.started))
            }),
            bytes_sent: attempt.bytes_sent,
            bytes_received: attempt.bytes_received,
        }
    }
}

impl AttemptSummary {
    /// The addresses that failed, unless the one that is named already is all there is.
    pub fn several_addresses(&self) -> &[AddressSummary] {
        match self.addresses.as_slice() {
            [one] if Some(one.address) == self.address && one.code == self.code => &[],
            several => several,
        }
    }

    /// Every step with how it went; those that it did without are left out: no name to look up, no
    /// TLS, a connection that was there.
    pub fn steps(&self) -> Vec<(AttemptStep, StepState)> {
        use AttemptStep as S;
        let before = [
            (S::Resolve, Phase::Resolve),
            (S::Connect, Phase::Connect),
            (S::Tls, Phase::Tls),
            (S::Send, Phase::Send),
        ];
        let mut steps = Vec::new();
        let took = |phase| self.stages.iter().find(|(of, _)| *of == phase).map(|(_, took)| *took);
        for (step, phase) in before {
            if phase == self.phase {
                steps.push((step, StepState::Failed(took(phase))));
            } else if let Some(took) = took(phase) {
                steps.push((step, StepState::Done(took)));
            } else if phase > self.phase && (step != S::Tls || self.server.starts_with("https:")) {
                steps.push((step, StepState::NotReached));
            }
        }
        let head = took(Phase::Head);
        let behind = |first: Duration| head.map(|head| head.saturating_sub(first));
        let (first, answer) = match (self.first_byte, self.phase) {
            (None, Phase::Head) => (StepState::Failed(head), StepState::NotReached),
            (Some(first), Phase::Head) => {
                (StepState::Done(first), StepState::Failed(behind(first)))
            }
            (first, Phase::Body) => {
                let first = first.or(head).unwrap_or_default();
                (StepState::Done(first), StepState::Done(behind(first).unwrap_or_default()))
            }
            (_, _) => (StepState::NotReached, StepState::NotReached),
        };
        steps.extend([(S::FirstByte, first), (S::Head, answer)]);
        if self.phase == Phase::Body {
            steps.push((S::Body, StepState::Failed(took(Phase::Body))));
        }
        steps
    }
}

fn phase(stage: Stage) -> Phase {
    match stage {
        Stage::Resolve => Phase::Resolve,
        Stage::Connect => Phase::Connect,
        Stage::Tls => Phase::Tls,
        Stage::Send => Phase::Send,
        Stage::Head => Phase::Head,
        Stage::Body => Phase::Body,
    }
}

impl Fate {
    /// What the flight records say of the request: the furthest that any attempt got counts.
    pub fn of<'a>(attempts: impl Iterator<Item = &'a Attempt>) -> Fate {
        // A program that died over its answer had not come to its end.
        let answered = |attempt: &Attempt| {
            let cut = attempt.server().scheme == Scheme::FastCgi && attempt.stamps.ended.is_some();
            attempt.status.filter(|_| !cut)
        };
        attempts.fold(Fate::NotSent, |fate, attempt| {
            match (answered(attempt), attempt.bytes_sent) {
                (Some(_), _) => Fate::Processed,
                (None, 0) => fate,
                (None, _) if attempt.declined => fate,
                (None, _) if fate == Fate::Processed => fate,
                (None, _) => Fate::MayHaveBeenProcessed,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incident_id_shows_forty_bits_without_look_alikes() {
        assert_eq!(IncidentId::new(0).to_string(), "0000-0000");
        assert_eq!(IncidentId::new(u64::MAX).to_string(), "ZZZZ-ZZZZ");
        assert_eq!(IncidentId::new(32).to_string(), "0000-0010");
    }

    #[test]
    fn an_attempt_tells_how_far_it_got() {
        use AttemptStep as S;
        let time = Duration::from_millis;
        let attempt = |server: &str, phase, stages: &[(Phase, u64)], first: Option<u64>| {
            AttemptSummary {
                server: server.to_owned(),
                address: None,
                code: Code::ClosedBeforeResponse,
                phase,
                reused: false,
                addresses: Vec::new(),
                stages: stages.iter().map(|(phase, ms)| (*phase, time(*ms))).collect(),
                first_byte: first.map(time),
                bytes_sent: 0,
                bytes_received: 0,
            }
            .steps()
        };
        let (done, failed) =
            (|ms| StepState::Done(time(ms)), |ms| StepState::Failed(Some(time(ms))));
        let none = StepState::NotReached;
        let stages = [(Phase::Resolve, 1), (Phase::Connect, 2)];
        assert_eq!(
            attempt("https://a", Phase::Connect, &stages, None),
            [
                (S::Resolve, done(1)),
                (S::Connect, failed(2)),
                (S::Tls, none),
                (S::Send, none),
                (S::FirstByte, none),
                (S::Head, none)
            ]
        );
        // On a connection that was there, without a name and without TLS.
        let stages = [(Phase::Send, 3), (Phase::Head, 10)];
        assert_eq!(
            attempt("http://a", Phase::Head, &stages, None),
            [(S::Send, done(3)), (S::FirstByte, failed(10)), (S::Head, none)]
        );
        assert_eq!(
            attempt("http://a", Phase::Head, &stages, Some(4)),
            [(S::Send, done(3)), (S::FirstByte, done(4)), (S::Head, failed(6))]
        );
        let stages = [(Phase::Send, 3), (Phase::Head, 10), (Phase::Body, 20)];
        assert_eq!(
            attempt("http://a", Phase::Body, &stages, Some(4)),
            [
                (S::Send, done(3)),
                (S::FirstByte, done(4)),
                (S::Head, done(6)),
                (S::Body, failed(20))
            ]
        );
    }

    #[test]
    fn a_site_is_shown_by_its_name_alone() {
        for (host, site) in [
            ("shop.example", Some("shop.example")),
            ("shop.example:8080", Some("shop.example")),
            ("xn--e1afmkfd.example", Some("xn--e1afmkfd.example")),
            ("192.0.2.1", None),
            ("[2001:db8::1]:80", None),
            ("<script>", None),
            ("", None),
            (":80", None),
        ] {
            assert_eq!(site_name(host), site, "{host}");
        }
        assert_eq!(site_name(&"a".repeat(254)), None);
    }
}
