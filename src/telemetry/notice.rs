//! Messages of our own that stand on their own: a text, and the same in fields for a journal.
//!
//! The text says all that the fields do. Each field's name begins with `_`, which says that it is
//! for the journal alone: that takes the mark off (`_cause` becomes CAUSE), a stream of text leaves
//! the field out.

use tracing::Level;

use crate::diagnose::MessageId;

/// How the name of a field begins that the text says already.
pub const FOR_JOURNAL: char = '_';

/// One message; its fields are named as the journal shows them.
#[derive(Debug, Clone, Copy)]
pub struct Notice<'a> {
    pub message_id: MessageId,
    /// Error, warn or info.
    pub level: Level,
    pub text: &'a str,
    pub fields: Fields<'a>,
}

/// What a journal can be searched by.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fields<'a> {
    pub upstream: Option<&'a str>,
    pub server: Option<&'a str>,
    pub cause: Option<&'a str>,
    pub incident_id: Option<&'a str>,
    /// The status that went to the client.
    pub status: Option<u16>,
    pub phase: Option<&'a str>,
    pub certainty: Option<&'a str>,
    /// What lies behind the cause on this host.
    pub root: Option<&'a str>,
    /// How many failed requests the message stands for.
    pub failures: Option<u64>,
}

impl<'a> Notice<'a> {
    /// One of things as they should be, without fields.
    pub fn info(message_id: impl Into<MessageId>, text: &'a str) -> Notice<'a> {
        let (message_id, fields) = (message_id.into(), Fields::default());
        Notice { message_id, level: Level::INFO, text, fields }
    }

    /// One of a fault of our own, without fields.
    pub fn error(message_id: impl Into<MessageId>, text: &'a str) -> Notice<'a> {
        Notice { level: Level::ERROR, ..Notice::info(message_id, text) }
    }

    /// Hands it to whoever listens.
    pub fn tell(&self) {
        macro_rules! event {
            ($level:expr, $fields:expr) => {
                tracing::event!(
                    $level,
                    _message_id = %self.message_id,
                    _upstream = $fields.upstream,
                    _server = $fields.server,
                    _cause = $fields.cause,
                    _incident_id = $fields.incident_id,
                    _status = $fields.status,
                    _phase = $fields.phase,
                    _certainty = $fields.certainty,
                    _root = $fields.root,
                    _failures = $fields.failures,
                    "{}",
                    self.text
                )
            };
        }
        // The level of an event is fixed where it is written.
        match self.level {
            Level::ERROR => event!(Level::ERROR, self.fields),
            Level::WARN => event!(Level::WARN, self.fields),
            _ => event!(Level::INFO, self.fields),
        }
    }
}
