//! An incident: all failures of one upstream by one cause, from the first until it has recovered.
//!
//! The first group of an id's letters names the incident, the second the request, so that any
//! request's id leads to its incident. What is kept of it is enough to show it again, also after a
//! restart: ids of words, and values as they were printed. Pure.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::around::{Around, Finding};
use super::catalog::entry;
use super::cause::Code;
use super::fixes::Audience;
use super::log::masked;
use super::matching::Fix;
use super::print::visible;
use super::report::{AttemptSummary, Certainty, IncidentId, Report, StepState};
use super::root::Rooted;

/// What an incident keeps of findings, of attempts and of fixes.
const FINDINGS_KEPT: usize = 60;
const ATTEMPTS_KEPT: usize = 8;
const FIXES_KEPT: usize = 8;
/// A group is twenty bits; the first says that it is an incident's.
const GROUP_BITS: u32 = 20;
const IS_INCIDENT: u32 = 1 << (GROUP_BITS - 1);

/// The first four letters of an id: which incident its request belongs to. Ids of failures that
/// open none begin with a letter before G.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IncidentGroup(u32);

impl IncidentGroup {
    /// One of as many as there are, by a random number.
    pub fn new(number: u64) -> IncidentGroup {
        IncidentGroup(number as u32 & (IS_INCIDENT - 1) | IS_INCIDENT)
    }

    /// That of a request's id, or of its first group alone, as somebody has typed it; `None` where
    /// it is no id, or one of no incident.
    pub fn read(typed: &str) -> Option<IncidentGroup> {
        let letters: Vec<u32> = match typed.split_once('-') {
            None => digits(typed)?,
            Some((group, request)) => digits(request).and_then(|_| digits(group))?,
        };
        IncidentGroup::of(letters.iter().fold(0, |number, digit| number << 5 | digit))
    }

    /// Its number where it is one of an incident; never 0.
    pub fn of(number: u32) -> Option<IncidentGroup> {
        (number >> (GROUP_BITS - 1) == 1).then_some(IncidentGroup(number))
    }

    pub fn number(self) -> u32 {
        self.0
    }

    /// The id of one of its requests.
    pub fn request(self, number: u64) -> IncidentId {
        let request = number & ((1 << GROUP_BITS) - 1);
        IncidentId::new(u64::from(self.0) << GROUP_BITS | request)
    }
}

/// The id of a request whose failure is nobody's incident.
pub fn stray(number: u64) -> IncidentId {
    IncidentId::new(number & !(u64::from(IS_INCIDENT) << GROUP_BITS))
}

impl IncidentId {
    /// The incident that its request belongs to, if it is one of an incident's.
    pub fn group(&self) -> Option<IncidentGroup> {
        IncidentGroup::read(&self.to_string())
    }
}

/// Four digits in Crockford's manner: what looks alike is taken for what is in the alphabet.
fn digits(group: &str) -> Option<Vec<u32>> {
    const ALPHABET: &str = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let digit = |letter: char| {
        let letter = match letter.to_ascii_uppercase() {
            'I' | 'L' => '1',
            'O' => '0',
            other => other,
        };
        u32::try_from(ALPHABET.find(letter)?).ok()
    };
    let digits: Option<Vec<u32>> = group.chars().map(digit).collect();
    digits.filter(|digits| digits.len() == 4)
}

impl fmt::Display for IncidentGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.request(0).to_string();
        f.write_str(id.split('-').next().unwrap_or_default())
    }
}

/// All that is kept of an incident. Times are seconds since the epoch.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// The four letters.
    pub id: String,
    /// The block; empty for requests that came to none.
    pub upstream: String,
    pub cause: String,
    pub phase: String,
    pub certainty: String,
    pub status: Option<u16>,
    pub opened: u64,
    /// The last failure that is known.
    pub last: u64,
    pub closed: Option<u64>,
    pub end: Option<End>,
    /// How often it was closed before and went on.
    #[serde(default)]
    pub reopened: u32,
    pub failures: u64,
    /// The id of the first request.
    pub first: String,
    pub root: Option<KeptRoot>,
    pub evidence: BTreeMap<String, String>,
    pub attempts: Vec<KeptAttempt>,
    pub findings: Vec<KeptFinding>,
    pub fixes: Vec<KeptFix>,
}

/// Why an incident is no longer open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum End {
    /// The upstream answers again.
    Recovered,
    /// Nothing has failed for long, and nothing was asked that could have told.
    Quiet,
    /// The program ended, or the block was taken out of the configuration.
    Stopped,
}

/// What lies behind an incident, as it is kept; made before the incident itself is changed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Insight {
    root: Option<KeptRoot>,
    fixes: Vec<KeptFix>,
    /// None where nobody has looked around.
    findings: Option<Vec<KeptFinding>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptRoot {
    pub id: String,
    pub certainty: String,
    pub evidence: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptAttempt {
    pub server: String,
    pub address: Option<String>,
    pub cause: String,
    pub steps: Vec<KeptStep>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptStep {
    pub step: String,
    /// `done`, `failed` or `not_reached`.
    pub state: String,
    pub ms: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptFinding {
    pub key: String,
    pub value: String,
    /// The id of a sentence.
    pub meaning: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptFix {
    pub id: String,
    /// What to type, by kind.
    pub commands: Vec<(String, String)>,
}

impl Incident {
    /// The beginning of one, by the report of its first failure.
    pub fn of(report: &Report, opened: u64) -> Incident {
        let mut evidence: BTreeMap<String, String> = rows(&report.cause.evidence());
        let (method, host, path) = (&report.method, &report.host, &report.path);
        evidence.insert("request".to_owned(), visible(&format!("{method} {host}{path}")));
        let (phase, certainty): (&str, &str) = (report.entry.phase.into(), report.certainty.into());
        let mut incident = Incident {
            upstream: visible(&report.upstream),
            cause: report.cause.code().name().to_owned(),
            phase: phase.to_owned(),
            certainty: certainty.to_owned(),
            status: Some(report.status),
            opened,
            last: opened,
            failures: 1,
            evidence,
            attempts: report.attempts.iter().take(ATTEMPTS_KEPT).map(attempt).collect(),
            ..Incident::default()
        };
        let around = report.around.as_deref();
        incident.take_over(Insight::of(report.root.as_ref(), &report.fixes, around));
        incident
    }

    /// The beginning of one whose first failure has no report: a page of the upstream's own went
    /// out, or the answer broke off.
    pub fn bare(
        upstream: &str,
        code: Code,
        certainty: Certainty,
        status: Option<u16>,
        attempts: &[AttemptSummary],
        opened: u64,
    ) -> Incident {
        let (phase, certainty): (&str, &str) = (entry(code).phase.into(), certainty.into());
        Incident {
            upstream: visible(upstream),
            cause: code.name().to_owned(),
            phase: phase.to_owned(),
            certainty: certainty.to_owned(),
            status,
            opened,
            last: opened,
            failures: 1,
            attempts: attempts.iter().take(ATTEMPTS_KEPT).map(attempt).collect(),
            ..Incident::default()
        }
    }

    /// Takes over what is known by now of what lies behind it; gives whether that is more than its
    /// numbers.
    pub fn learn(&mut self, insight: Insight) -> bool {
        let before = (self.root.as_ref().map(|root| root.id.clone()), self.findings.is_empty());
        self.take_over(insight);
        before != (self.root.as_ref().map(|root| root.id.clone()), self.findings.is_empty())
    }

    fn take_over(&mut self, insight: Insight) {
        let Insight { root, fixes, findings } = insight;
        self.root = root.or(self.root.take());
        self.fixes = fixes;
        self.findings = findings.unwrap_or(std::mem::take(&mut self.findings));
    }

    /// Its group; `None` where the letters are none of an incident's.
    pub fn group(&self) -> Option<IncidentGroup> {
        IncidentGroup::read(&self.id)
    }
}

impl Insight {
    pub fn of(rooted: Option<&Rooted>, fixes: &[Fix], around: Option<&Around>) -> Insight {
        let finding = |found: Finding| KeptFinding {
            key: found.key.to_owned(),
            value: visible(&found.value),
            meaning: found.meaning.map(|meaning| meaning.name().to_owned()),
        };
        let findings = |around: &Around| {
            around.findings().into_iter().take(FINDINGS_KEPT).map(finding).collect()
        };
        let operators = fixes.iter().filter(|fix| fix.audience == Audience::Operator);
        Insight {
            root: rooted.map(root),
            fixes: operators.take(FIXES_KEPT).map(fix).collect(),
            findings: around.map(findings),
        }
    }
}

fn rows(rows: &[(&'static str, String)]) -> BTreeMap<String, String> {
    // What an application says may hold what only it should know; this stays on disk.
    let said = |key: &str| matches!(key, "stderr" | "message" | "said" | "log");
    let value = |key: &str, value: &str| match said(key) {
        true => visible(&masked(value)),
        false => visible(value),
    };
    rows.iter().map(|(key, said)| ((*key).to_owned(), value(key, said))).collect()
}

fn root(rooted: &Rooted) -> KeptRoot {
    let certainty: &str = rooted.certainty.into();
    KeptRoot {
        id: rooted.root.name().to_owned(),
        certainty: certainty.to_owned(),
        evidence: rows(&rooted.because),
    }
}

fn fix(fix: &Fix) -> KeptFix {
    let command = |command: &super::commands::Command| {
        let kind: &str = command.kind.into();
        (kind.to_owned(), command.line.clone())
    };
    KeptFix { id: fix.id.name().to_owned(), commands: fix.commands.iter().map(command).collect() }
}

fn attempt(attempt: &AttemptSummary) -> KeptAttempt {
    let step = |(step, state): (super::report::AttemptStep, StepState)| {
        let name: &str = step.into();
        let (state, took) = match state {
            StepState::Done(took) => ("done", Some(took)),
            StepState::Failed(took) => ("failed", took),
            StepState::NotReached => ("not_reached", None),
        };
        let ms = took.map(|took| took.as_micros() as f64 / 1000.0);
        KeptStep { step: name.to_owned(), state: state.to_owned(), ms }
    };
    KeptAttempt {
        server: visible(&attempt.server),
        address: attempt.address.map(|address| address.to_string()),
        cause: attempt.code.name().to_owned(),
        steps: attempt.steps().into_iter().map(step).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_request_leads_to_its_incident_and_no_stray_does() {
        for number in [0, 1, 0x7_ffff, u64::MAX] {
            let group = IncidentGroup::new(number);
            let letters = group.to_string();
            for request in [0, 77, u64::MAX] {
                let id = group.request(request).to_string();
                assert_eq!(IncidentGroup::read(&id), Some(group), "{id}");
                assert!(id.starts_with(&letters));
                assert_eq!(IncidentGroup::read(&id.to_lowercase()), Some(group));
                assert_eq!(IncidentGroup::read(&stray(number ^ request).to_string()), None);
            }
            assert_eq!(IncidentGroup::read(&letters), Some(group));
            assert_eq!(IncidentGroup::of(group.number()), Some(group));
        }
        assert_eq!(IncidentGroup::read("Zlo0"), IncidentGroup::read("Z100"));
        for typed in ["", "Z", "ZZZ", "ZZZZZ", "ZZZZ-", "ZZZZ-ZZZ", "ZZUZ", "Z ZZ", "../.", "ÄÄÄÄ"]
        {
            assert_eq!(IncidentGroup::read(typed), None, "{typed}");
        }
    }
}
