//! A template's trial: every kind of page is made once before any reader asks for one, so that a
//! name that is not there, or work without an end, is told when the configuration is loaded. Pure.

use std::time::{Duration, UNIX_EPOCH};

use http::Method;
use serde_json::json;

use crate::diagnose::{
    self, AttemptSummary, Audience, Cause, Certainty, Code, Command, CommandKind, Fate, Fix,
    IncidentId, Languages, Phase, Report, Standing, Words,
};

use super::own::OwnFault;
use super::template::{self, Context, Template};
use super::values::{Fresh, Values};
use super::{Format, View};

/// Whoever made more mistakes mends these first.
const FAULTS_MAX: usize = 20;

/// Every mistake that shows on a page of some cause, to some reader, in some language.
pub fn faults(template: &Template, source: &str, languages: &Languages) -> Vec<OwnFault> {
    let mut faults: Vec<OwnFault> = Vec::new();
    for context in contexts(languages) {
        let Err(error) = template.render(&context) else { continue };
        let mut fault = template::fault(&error, source);
        if fault.message.ends_with("is not there") && is_name(&source[fault.span.clone()]) {
            let names = context.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            fault = fault.expected(names);
        }
        if !faults.contains(&fault) {
            faults.push(fault);
        }
        if faults.len() == FAULTS_MAX {
            break;
        }
    }
    faults
}

fn is_name(written: &str) -> bool {
    written.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Each cause in the default language, and one in every language; to each reader, after each fate.
fn contexts(languages: &Languages) -> impl Iterator<Item = Context> {
    let first = languages.words(0);
    let causes = Code::all().enumerate().flat_map(move |(at, code)| {
        let fate = [Fate::NotSent, Fate::MayHaveBeenProcessed, Fate::Processed][at % 3];
        readers().map(move |view| of_cause(code, fate, first, &view))
    });
    let all = (0..languages.tags().len()).map(|at| languages.words(at));
    let others = all.flat_map(|words| {
        let code = Code::ClosedBeforeResponse;
        readers().map(move |view| of_cause(code, Fate::MayHaveBeenProcessed, words, &view))
    });
    causes.chain(others)
}

/// A visitor who is shown all he may be, one who is shown little, and an operator.
fn readers() -> impl Iterator<Item = View<'static>> {
    let little = View {
        audience: Audience::Visitor,
        format: Format::Html,
        contact: None,
        show_operator_fixes: false,
        repeatable: false,
        again: false,
        own: None,
        fixed: None,
    };
    let contact = Some("mailto:admin@shop.example");
    let all = View { contact, show_operator_fixes: true, repeatable: true, again: true, ..little };
    [little, all, View { audience: Audience::Operator, ..all }].into_iter()
}

/// What a template is given for a cause: the values of a sample, under the cause's name and words.
fn of_cause(code: Code, fate: Fate, words: &Words, view: &View<'_>) -> Context {
    let sample = sample(code, fate);
    let values = Values::of(&Fresh::of(&sample), words);
    let mut context = template::context(&sample, words, view, &values);
    let cause = words.cause(code);
    let detail = match view.audience {
        Audience::Visitor => &cause.visitor,
        Audience::Operator => &cause.operator,
    };
    for (name, value) in [
        ("type", format!("urn:causeway:cause:{}", code.name())),
        ("cause", code.name().to_owned()),
        ("title", cause.title.clone()),
        ("detail", detail.clone()),
        ("explanation", cause.visitor.clone()),
    ] {
        context.insert(name.to_owned(), json!(value));
    }
    context
}

fn sample(code: Code, fate: Fate) -> Report {
    let entry = diagnose::entry(code);
    let command = Command {
        kind: CommandKind::Look,
        line: "curl -sv http://127.0.0.1:8080/".to_owned(),
        elsewhere: false,
    };
    let fixes = diagnose::fix_ids(code);
    let attempt = AttemptSummary {
        server: "http://127.0.0.1:8080".to_owned(),
        address: "127.0.0.1:8080".parse().ok(),
        code,
        phase: Phase::Head,
        reused: false,
        addresses: Vec::new(),
        stages: vec![(Phase::Connect, Duration::from_millis(1))],
        first_byte: None,
        bytes_sent: 100,
        bytes_received: 0,
    };
    Report {
        incident: IncidentId::new(0x12_3456_789a),
        time: UNIX_EPOCH + Duration::from_secs(1_800_000_000),
        cause: Cause::ClosedBeforeResponse,
        certainty: Certainty::Likely,
        fate,
        entry,
        status: entry.status,
        fixes: fixes.map(|id| Fix { commands: vec![command.clone()], ..Fix::new(id) }).collect(),
        attempts: vec![attempt],
        named: None,
        upstream: "shop".into(),
        host: "shop.example".to_owned(),
        method: Method::GET,
        path: "/".to_owned(),
        standing: Standing {
            others_served: Some(false),
            failing_since: Some(UNIX_EPOCH),
            last_worked: Some(UNIX_EPOCH),
        },
        root: None,
        around: None,
    }
}
