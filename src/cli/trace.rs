//! Where our own messages go: to the journal with their fields where stderr leads there, else to
//! stderr as text.
//!
//! The access log is another stream, and `telemetry`'s.

use std::env;
use std::fmt;
use std::io::{self, IsTerminal};

use tracing::field::{Field, Value, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Subscriber};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::field::{MakeVisitor, VisitFmt, VisitOutput};
use tracing_subscriber::fmt::format::{DefaultFields, DefaultVisitor, Writer};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::config::Level;
use crate::telemetry::FOR_JOURNAL;

use super::messages::Aside;

/// What the journal calls us.
const IDENTIFIER: &str = "causeway";

/// Messages of the program itself, from here on; `messages` writes them.
pub fn trace(level: Level) {
    let sink = match is_journal().then(tracing_journald::layer) {
        Some(Ok(layer)) => journal(level, layer),
        Some(Err(_)) | None => text(level),
    };
    match Aside::start(sink.clone()) {
        // The filter stands on both sides, lest a message be put together that nobody wants.
        Ok(aside) => {
            drop(tracing_subscriber::registry().with(filter(level)).with(aside).try_init())
        }
        Err(_) => drop(tracing::dispatcher::set_global_default(sink)),
    }
}

fn journal(level: Level, layer: tracing_journald::Layer) -> Dispatch {
    let layer = layer
        .with_syslog_identifier(IDENTIFIER.to_owned())
        // CAUSE, not F_CAUSE.
        .with_field_prefix(None)
        .with_priority_mappings(priorities());
    Dispatch::new(tracing_subscriber::registry().with(filter(level)).with(Whole(layer)))
}

/// Whether stderr leads to the journal: systemd.exec(5), `$JOURNAL_STREAM`, wants the device and
/// inode of the stream compared, since a child may have another stderr than the service.
fn is_journal() -> bool {
    let Ok(stream) = env::var("JOURNAL_STREAM") else { return false };
    rustix::fs::fstat(io::stderr()).is_ok_and(|stderr| names(&stream, stderr.st_dev, stderr.st_ino))
}

/// Whether `DEVICE:INODE` are these.
fn names(stream: &str, device: u64, inode: u64) -> bool {
    let numbers = stream.split_once(':').map(|(a, b)| (a.parse::<u64>(), b.parse::<u64>()));
    numbers == Some((Ok(device), Ok(inode)))
}

/// As syslog(3) has them. The journal's crate would call the ordinary significant.
fn priorities() -> PriorityMappings {
    PriorityMappings {
        error: Priority::Error,
        warn: Priority::Warning,
        info: Priority::Informational,
        debug: Priority::Debug,
        trace: Priority::Debug,
    }
}

/// What is written to stderr comes to the same journal, where it takes no fields.
fn text(level: Level) -> Dispatch {
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter(level))
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .fmt_fields(Text)
        .with_writer(io::stderr)
        .finish();
    Dispatch::new(subscriber)
}

fn filter(level: Level) -> EnvFilter {
    let level = match level {
        Level::Error => tracing::Level::ERROR,
        Level::Warn => tracing::Level::WARN,
        Level::Info => tracing::Level::INFO,
        Level::Debug => tracing::Level::DEBUG,
        Level::Trace => tracing::Level::TRACE,
    };
    // Other crates' news is not the operator's; what they warn of is.
    EnvFilter::new(format!("warn,causeway={level}"))
}

/// Puts the fields that stand beside a message into its text too, as a stream shows them: what a
/// journal shows of a message is its text, unless it is asked for more.
struct Whole<L>(L);

impl<S, L> Layer<S> for Whole<L>
where
    S: Subscriber + for<'l> LookupSpan<'l>,
    L: Layer<S>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.0.on_new_span(attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.0.on_record(id, values, context);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let fields = event.metadata().fields();
        if !fields.iter().any(|field| is_beside(&field)) {
            return self.0.on_event(event, context);
        }
        let mut said = Said::default();
        event.record(&mut said);
        let Some((some, _)) = said.values.first() else { return };
        // The same fields, as the macros of tracing put them together.
        let mut values: [(&Field, Option<&dyn Value>); FIELDS_MAX] = [(some, None); FIELDS_MAX];
        for (slot, (field, value)) in values.iter_mut().zip(&said.values) {
            let is_text = field.name() == TEXT;
            *slot = (field, Some(if is_text { &said.text } else { value }));
        }
        self.0.on_event(&Event::new(event.metadata(), &fields.value_set(&values)), context);
    }
}

/// As many as tracing lets an event have.
const FIELDS_MAX: usize = 32;

/// The field of a message's text.
const TEXT: &str = "message";

/// What an event says.
#[derive(Default)]
struct Said {
    values: Vec<(Field, String)>,
    /// The text with all that stands beside it.
    text: String,
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.to_owned(), &format!("{value:?}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let value = format!("{value:?}");
        self.add(field, value.clone(), &value);
    }
}

impl Said {
    fn add(&mut self, field: &Field, value: String, shown: &str) {
        if field.name() == TEXT {
            self.text.insert_str(0, &value);
        } else if is_beside(field) {
            self.text.push_str(&format!(" {}={shown}", field.name()));
        }
        self.values.push((field.clone(), value));
    }
}

fn is_beside(field: &Field) -> bool {
    field.name() != TEXT && is_shown(field)
}

/// The usual fields, without those that are for the journal alone.
struct Text;

impl<'w> MakeVisitor<Writer<'w>> for Text {
    type Visitor = TextVisitor<'w>;

    fn make_visitor(&self, writer: Writer<'w>) -> TextVisitor<'w> {
        TextVisitor(DefaultFields::new().make_visitor(writer))
    }
}

struct TextVisitor<'w>(DefaultVisitor<'w>);

impl Visit for TextVisitor<'_> {
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        if is_shown(field) {
            self.0.record_error(field, value);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if is_shown(field) {
            self.0.record_str(field, value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if is_shown(field) {
            self.0.record_debug(field, value);
        }
    }
}

impl VisitOutput<fmt::Result> for TextVisitor<'_> {
    fn finish(self) -> fmt::Result {
        self.0.finish()
    }
}

impl VisitFmt for TextVisitor<'_> {
    fn writer(&mut self) -> &mut dyn fmt::Write {
        self.0.writer()
    }
}

fn is_shown(field: &Field) -> bool {
    !field.name().starts_with(FOR_JOURNAL)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Keeps what a journal would get.
    #[derive(Default, Clone)]
    struct Kept(Arc<Mutex<Vec<String>>>);

    impl<S: Subscriber> Layer<S> for Kept {
        fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
            let mut said = Said::default();
            event.record(&mut said);
            let fields = said.values.iter().map(|(field, value)| format!("{field}: {value}"));
            self.0.lock().unwrap().extend(fields);
        }
    }

    #[test]
    fn a_journal_gets_what_stands_beside_a_text_in_it_and_by_itself() {
        let kept = Kept::default();
        let layers = tracing_subscriber::registry().with(Whole(kept.clone()));
        tracing::subscriber::with_default(layers, || {
            let error = io::Error::from_raw_os_error(2);
            let said = "a \"b\"";
            tracing::error!(%error, said, lines = 3, _cause = "x", "cannot {}", "write");
            tracing::info!(_cause = "x", "plain");
            tracing::info!(lines = 3);
        });
        let kept = kept.0.lock().unwrap();
        let told = [
            "error: No such file or directory (os error 2)",
            "said: a \"b\"",
            "lines: 3",
            "_cause: x",
            "message: cannot write error=No such file or directory (os error 2) \
             said=\"a \\\"b\\\"\" lines=3",
            "_cause: x",
            "message: plain",
            "lines: 3",
        ];
        let (mut kept, mut told): (Vec<_>, Vec<_>) = (kept.clone(), told.map(str::to_owned).into());
        kept.sort_unstable();
        told.sort_unstable();
        assert_eq!(kept, told);
    }

    #[test]
    fn a_stream_is_known_by_both_of_its_numbers() {
        assert!(names("9:12345", 9, 12345));
        for other in ["9:1234", "8:12345", "", "9", "9:", ":12345", "9:12345:1", "a:b"] {
            assert!(!names(other, 9, 12345), "{other}");
        }
    }
}
