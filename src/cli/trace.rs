//! Where our own messages go: to the journal with their fields where stderr leads there, else to
//! stderr as text.
//!
//! The access log is another stream, and `telemetry`'s.

use std::env;
use std::fmt;
use std::io::{self, IsTerminal};

use tracing::field::{Field, Visit};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::{MakeVisitor, VisitFmt, VisitOutput};
use tracing_subscriber::fmt::format::{DefaultFields, DefaultVisitor, Writer};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::Level;
use crate::telemetry::FOR_JOURNAL;

/// What the journal calls us.
const IDENTIFIER: &str = "causeway";

/// Messages of the program itself, from here on.
pub fn trace(level: Level) {
    if is_journal() {
        match tracing_journald::layer() {
            Ok(layer) => {
                let layer = layer
                    .with_syslog_identifier(IDENTIFIER.to_owned())
                    // CAUSE, not F_CAUSE.
                    .with_field_prefix(None)
                    .with_priority_mappings(priorities());
                let _ = tracing_subscriber::registry().with(filter(level)).with(layer).try_init();
            }
            // What is written to stderr comes to the same journal, without fields.
            Err(error) => {
                text(level);
                tracing::warn!(%error, "the journal takes no fields");
            }
        }
    } else {
        text(level);
    }
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

fn text(level: Level) {
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter(level))
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .fmt_fields(Text)
        .with_writer(io::stderr)
        .try_init();
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
    use super::*;

    #[test]
    fn a_stream_is_known_by_both_of_its_numbers() {
        assert!(names("9:12345", 9, 12345));
        for other in ["9:1234", "8:12345", "", "9", "9:", ":12345", "9:12345:1", "a:b"] {
            assert!(!names(other, 9, 12345), "{other}");
        }
    }
}
