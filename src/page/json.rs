//! A report as problem details (RFC 9457).
//!
//! The members are part of the surface: a member that is renamed breaks somebody's monitoring.
//! Evidence, attempts and commands are there for operators only. Pure.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::values::{self, Value, Values};
use super::{View, expected_back};
use crate::diagnose::around::Finding;
use crate::diagnose::{
    self, AddressSummary, AttemptSummary, Audience, Command, Fix, Phase, Report, Step, Words,
    visible,
};

/// The members of the object, in the order they are written.
#[derive(Serialize)]
struct Problem<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    instance: String,
    cause: &'static str,
    phase: &'static str,
    certainty: &'static str,
    request: &'static str,
    /// When the site is expected back (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    expected_back: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasons: Option<Vec<Reason<'a>>>,
    fixes: Vec<FixMember<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<Evidence>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<Vec<Attempt>>,
    /// What lies behind the cause on this host.
    #[serde(skip_serializing_if = "Option::is_none")]
    root: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    root_certainty: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    root_evidence: Option<Evidence>,
    #[serde(skip_serializing_if = "Option::is_none")]
    findings: Option<Vec<FindingMember<'a>>>,
}

#[derive(Serialize)]
struct FindingMember<'a> {
    key: &'static str,
    value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    meaning: Option<&'a str>,
}

#[derive(Serialize)]
struct Reason<'a> {
    id: &'static str,
    title: &'a str,
}

#[derive(Serialize)]
struct FixMember<'a> {
    id: &'static str,
    audience: &'static str,
    title: &'a str,
    why: &'a str,
    steps: Vec<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    check: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    commands: Vec<CommandMember<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<Evidence>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workers_fit: Option<u64>,
}

#[derive(Serialize)]
struct CommandMember<'a> {
    kind: &'static str,
    line: &'a str,
    /// Where it is to be run, when that is not the gateway's host.
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
}

/// Rows written as one object of strings.
struct Evidence(Vec<(&'static str, String)>);

#[derive(Serialize)]
struct Attempt {
    server: String,
    address: Option<String>,
    cause: &'static str,
    phase: &'static str,
    reused: bool,
    /// Every address that failed, where the server has several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    addresses: Vec<Address>,
    stages_ms: Stages,
    bytes_sent: u64,
    bytes_received: u64,
}

#[derive(Serialize)]
struct Address {
    address: String,
    cause: &'static str,
    took_ms: f64,
}

/// Stages written as one object of numbers: milliseconds to the microsecond.
struct Stages(Vec<(Phase, Duration)>);

/// The body for a report.
pub fn json(report: &Report, words: &Words, view: &View<'_>, values: &Values) -> String {
    // Strings, numbers and objects with string keys always serialize.
    let mut body = serde_json::to_string(&problem(report, words, view, values)).unwrap_or_default();
    debug_assert!(!body.is_empty());
    body.push('\n');
    body
}

/// The same members as values, for a template.
pub fn members(
    report: &Report,
    words: &Words,
    view: &View<'_>,
    values: &Values,
) -> serde_json::Map<String, serde_json::Value> {
    match serde_json::to_value(problem(report, words, view, values)) {
        Ok(serde_json::Value::Object(members)) => members,
        // A struct is an object.
        Ok(_) | Err(_) => serde_json::Map::new(),
    }
}

fn problem<'a>(
    report: &'a Report,
    words: &'a Words,
    view: &View<'_>,
    values: &Values,
) -> Problem<'a> {
    let cause = words.cause(report.cause.code());
    let name = report.cause.code().name();
    let rooted = view.root(report);
    Problem {
        kind: format!("urn:causeway:cause:{name}"),
        title: &cause.title,
        status: report.status,
        detail: match view.audience {
            Audience::Visitor => &cause.visitor,
            Audience::Operator => &cause.operator,
        },
        instance: format!("urn:causeway:incident:{}", values.get(Value::Incident)),
        cause: name,
        phase: report.entry.phase.into(),
        certainty: report.certainty.into(),
        request: report.fate.into(),
        expected_back: expected_back(report).map(values::stamp),
        reasons: view.discloses().then(|| reasons(report, words)),
        fixes: fixes(report, words, view),
        evidence: view.evidence(report).map(Evidence),
        attempts: view.discloses().then(|| report.attempts.iter().map(attempt).collect()),
        root: rooted.map(|rooted| rooted.root.name()),
        root_certainty: rooted.map(|rooted| rooted.certainty.into()),
        root_evidence: rooted.map(|rooted| Evidence(rooted.because.clone())),
        findings: view.findings(report).map(|found| findings(found, words)),
    }
}

fn findings(found: Vec<Finding>, words: &Words) -> Vec<FindingMember<'_>> {
    let member = |Finding { key, value, meaning }| FindingMember {
        key,
        value,
        meaning: meaning.map(|id| words.meaning(id).text.as_str()),
    };
    found.into_iter().map(member).collect()
}

fn reasons<'a>(report: &Report, words: &'a Words) -> Vec<Reason<'a>> {
    let reasons = diagnose::reasons(report.cause.code()).iter();
    reasons.map(|id| Reason { id: id.name(), title: &words.reason(*id).title }).collect()
}

fn fixes<'a>(report: &'a Report, words: &'a Words, view: &View<'_>) -> Vec<FixMember<'a>> {
    let audiences = [Audience::Visitor, Audience::Operator];
    let shown = audiences.into_iter().flat_map(|audience| view.fixes(report, audience));
    shown.map(|fix| member(fix, words, view)).collect()
}

fn member<'a>(fix: &'a Fix, words: &'a Words, view: &View<'_>) -> FixMember<'a> {
    let text = words.fix(fix.id);
    let disclosed = view.disclosed(fix);
    FixMember {
        id: fix.id.name(),
        audience: fix.audience.into(),
        title: &text.title,
        why: &text.why,
        steps: text.steps.iter().map(Step::for_any).collect(),
        check: text.check.as_deref(),
        command: disclosed.and_then(Fix::look),
        commands: disclosed.map(commands).unwrap_or_default(),
        because: disclosed.filter(|fix| !fix.because.is_empty()).map(because),
        workers_fit: disclosed.and_then(|fix| fix.workers_fit),
    }
}

fn commands<'a>(fix: &'a Fix) -> Vec<CommandMember<'a>> {
    let host = |elsewhere: bool| fix.other_host.as_deref().filter(|_| elsewhere);
    let member = |command: &'a Command| CommandMember {
        kind: command.kind.into(),
        line: &command.line,
        host: host(command.elsewhere),
    };
    fix.commands.iter().map(member).collect()
}

fn because(fix: &Fix) -> Evidence {
    Evidence(fix.because.clone())
}

fn attempt(attempt: &AttemptSummary) -> Attempt {
    Attempt {
        server: visible(&attempt.server),
        address: attempt.address.map(|address| address.to_string()),
        cause: attempt.code.name(),
        phase: attempt.phase.into(),
        reused: attempt.reused,
        addresses: attempt.several_addresses().iter().map(address).collect(),
        stages_ms: Stages(attempt.stages.clone()),
        bytes_sent: attempt.bytes_sent,
        bytes_received: attempt.bytes_received,
    }
}

fn address(tried: &AddressSummary) -> Address {
    Address {
        address: tried.address.to_string(),
        cause: tried.code.name(),
        took_ms: milliseconds(tried.took),
    }
}

/// To the microsecond.
fn milliseconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}

impl Serialize for Evidence {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

impl Serialize for Stages {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(phase, time)| {
            let name: &'static str = phase.into();
            (name, milliseconds(*time))
        }))
    }
}
