//! A page by the operator's own template, within bounds: so many steps, so many bytes.
//!
//! What a template is given is what the JSON of the same reader holds, and the words around it: to
//! a visitor nothing that our own page would not show him. Values are escaped unless the template
//! says otherwise. Whatever fails at run time is said once in the log, and our page takes its
//! place.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use minijinja::value::{Serde, Value};
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};
use serde_json::{Map, json};

use crate::diagnose::{Report, Words};

use super::own::OwnFault;
use super::values::{self, Values};
use super::{View, address, certainty, escape, fate, json};

/// What a template is called inside its engine; the ending has its values escaped.
const NAME: &str = "page.html";
/// Bytes of a page.
const PAGE_BYTES_MAX: usize = 256 * 1024;
/// Steps of a page: some thousands are enough for one of fifty fixes.
const STEPS_MAX: u64 = 250_000;

/// A template that was read.
#[derive(Debug)]
pub struct Template {
    environment: Environment<'static>,
    has_failed: AtomicBool,
}

/// Everything that a template may name.
pub type Context = Map<String, serde_json::Value>;

impl Template {
    /// Reads a template; `style` is what it finds under that name.
    ///
    /// # Errors
    /// What is wrong with its syntax.
    pub fn new(source: &str, style: &str) -> Result<Template, OwnFault> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(STEPS_MAX));
        environment.set_debug(true);
        environment.set_formatter(|out, _, value| {
            if value.is_safe() {
                out.write_str(&value.to_string())?;
            } else if !value.is_none() {
                let mut escaped = String::new();
                escape::html(&mut escaped, &value.to_string());
                out.write_str(&escaped)?;
            }
            Ok(())
        });
        environment.add_global("style", Value::from_safe_string(style.to_owned()));
        let added = environment.add_template_owned(NAME, source.to_owned());
        added.map_err(|error| fault(&error, source))?;
        Ok(Template { environment, has_failed: AtomicBool::new(false) })
    }

    /// The page; `None` when it could not be made.
    pub fn html(
        &self,
        report: &Report,
        words: &Words,
        view: &View<'_>,
        values: &Values,
    ) -> Option<String> {
        match self.render(&context(report, words, view, values)) {
            Ok(page) => Some(page),
            Err(error) => {
                if !self.has_failed.swap(true, Ordering::Relaxed) {
                    let line = error.line().unwrap_or_default();
                    let cause = report.cause.code().name();
                    tracing::error!(%error, line, cause, "the page's template failed");
                }
                None
            }
        }
    }

    /// The page with these values.
    ///
    /// # Errors
    /// A value that is not there, too many steps, or too large a page.
    pub fn render(&self, context: &Context) -> Result<String, Error> {
        let mut page = Bounded(Vec::new());
        let template = self.environment.get_template(NAME)?;
        template.render_captured_to(Value::from(Serde(context)), &mut page)?;
        // Only whole strings were written.
        Ok(String::from_utf8_lossy(&page.0).into_owned())
    }
}

/// What a template may name, for this reader.
pub fn context(report: &Report, words: &Words, view: &View<'_>, values: &Values) -> Context {
    let mut context = json::members(report, words, view, values);
    // Every name is always there: one that is not is a mistake.
    context.entry("evidence").or_insert_with(|| json!({}));
    context.entry("attempts").or_insert_with(|| json!([]));
    context.entry("reasons").or_insert_with(|| json!([]));
    for name in ["expected_back", "root", "root_certainty"] {
        context.entry(name).or_insert_with(|| json!(null));
    }
    context.entry("root_evidence").or_insert_with(|| json!({}));
    context.entry("findings").or_insert_with(|| json!([]));
    let fixes = context.get_mut("fixes").and_then(|fixes| fixes.as_array_mut());
    for fix in fixes.into_iter().flatten().filter_map(|fix| fix.as_object_mut()) {
        for name in ["command", "check", "workers_fit"] {
            fix.entry(name).or_insert_with(|| json!(null));
        }
        fix.entry("commands").or_insert_with(|| json!([]));
        fix.entry("because").or_insert_with(|| json!({}));
    }
    let since = |time: Option<SystemTime>, value| json!(time.map(|_| values.get(value)));
    let page = &words.page;
    let audience: &str = view.audience.into();
    let more = [
        ("language", json!(words.language)),
        ("audience", json!(audience)),
        ("explanation", json!(words.cause(report.cause.code()).visitor)),
        ("incident", json!(values.get(values::Value::Incident))),
        ("time", json!(values.get(values::Value::Stamp))),
        ("site", json!(values.get(values::Value::Site))),
        ("others_served", json!(report.standing.others_served)),
        ("failing_since", since(report.standing.failing_since, values::Value::FailingStamp)),
        ("last_worked", since(report.standing.last_worked, values::Value::WorkedStamp)),
        ("fate", json!(fate(report.fate, page))),
        ("look_first", json!(view.warns(report))),
        ("sure", json!(certainty(report.certainty, page))),
        ("contact", json!(view.contact)),
        ("contact_address", json!(view.contact.map(address))),
        ("words", json!(page)),
    ];
    context.extend(more.map(|(name, value)| (name.to_owned(), value)));
    context
}

/// What is wrong, as the operator is told.
pub fn fault(error: &Error, source: &str) -> OwnFault {
    let span = error.range().filter(|span| source.get(span.clone()).is_some());
    let span = span.unwrap_or_else(|| line(source, error.line().unwrap_or(1)));
    let written = &source[span.clone()];
    match error.kind() {
        ErrorKind::UndefinedError => {
            OwnFault::template(span.clone(), format!("`{written}` is not there"))
        }
        ErrorKind::OutOfFuel => {
            let message = format!("the page takes more than {STEPS_MAX} steps");
            OwnFault::template(span, message)
        }
        ErrorKind::WriteFailure => {
            let message = format!("the page is larger than {} KiB", PAGE_BYTES_MAX / 1024);
            OwnFault::template(span, message)
        }
        kind => {
            let detail = error.detail().map_or_else(|| kind.to_string(), str::to_owned);
            OwnFault::template(span, detail)
        }
    }
}

/// Where a line stands, from 1.
fn line(source: &str, number: usize) -> std::ops::Range<usize> {
    let start = source.split_inclusive('\n').take(number.saturating_sub(1)).map(str::len).sum();
    let length = source[start..].find('\n').unwrap_or(source.len() - start);
    start..start + length
}

/// A page that grows up to a bound.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > PAGE_BYTES_MAX {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
