//! The ids of our own messages: what a journal files them by, and what its catalogue explains.
//!
//! An id is made from the name of what the message tells of, so that it is the same in every
//! version and on every host: a name-based UUID (RFC 9562 section 5.5) in a namespace of our own,
//! written as journals write ids. `uuidgen --sha1 --namespace` gives the same. Pure.

use std::fmt;

use aws_lc_rs::digest;
use strum::{EnumIter, IntoStaticStr};

use super::cause::Code;

/// 85ff1621-8974-4d44-9e41-e9549d9d6088, drawn once by chance. Every id hangs on it.
const NAMESPACE: [u8; 16] = *b"\x85\xff\x16\x21\x89\x74\x4d\x44\x9e\x41\xe9\x54\x9d\x9d\x60\x88";

/// What our messages tell of, but for failed requests, whose causes are [`Code`]s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, EnumIter, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Event {
    /// The configuration is in force, and every listener accepts.
    Started,
    Reloaded,
    /// The old configuration stays in force.
    ReloadFailed,
    /// Nothing more is accepted; what is under way comes to its end.
    Draining,
    /// An upstream that had failed answers again.
    UpstreamRecovered,
}

/// The kind of a message: 128 bits, for the field `MESSAGE_ID`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MessageId([u8; 16]);

impl Event {
    /// The snake_case name.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Every one of them.
    pub fn all() -> impl Iterator<Item = Event> {
        <Event as strum::IntoEnumIterator>::iter()
    }
}

impl MessageId {
    fn of(name: &str) -> MessageId {
        let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
        context.update(&NAMESPACE);
        context.update(name.as_bytes());
        let hash = context.finish();
        let mut id = [0; 16];
        // SHA-1 has twenty bytes.
        for (byte, hashed) in id.iter_mut().zip(hash.as_ref()) {
            *byte = *hashed;
        }
        // RFC 9562 sections 4.1 and 4.2: the variant and version 5.
        id[6] = id[6] & 0x0f | 0x50;
        id[8] = id[8] & 0x3f | 0x80;
        MessageId(id)
    }
}

impl From<Code> for MessageId {
    fn from(code: Code) -> MessageId {
        MessageId::of(code.name())
    }
}

impl From<Event> for MessageId {
    fn from(event: Event) -> MessageId {
        MessageId::of(event.name())
    }
}

/// As journals write it: hexadecimal, small letters, no hyphens.
impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn an_id_is_the_name_based_uuid_that_other_tools_make() {
        // RFC 9562 has no example in our namespace; Python's uuid.uuid5 says this.
        assert_eq!(
            MessageId::of("connection_refused").to_string(),
            "461981b9dd575066815644155d0efc83"
        );
    }

    #[test]
    fn no_two_kinds_of_message_have_one_id() {
        let causes = Code::all().map(MessageId::from);
        let ids: Vec<_> = causes.chain(Event::all().map(MessageId::from)).collect();
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
    }
}
