//! ROOM 3: from failure to report.
//!
//! `cause` is the list, `catalog` its meaning, `evidence` its values in print, `fixes` what to do,
//! `text` the words, `report` the result. Opens no socket and reads no clock.

mod catalog;
mod cause;
mod certificate;
mod classify;
mod evidence;
mod fingerprint;
mod fixes;
mod report;
mod text;

pub use catalog::{Blame, Entry, Phase, entry};
pub use cause::{Cause, Code, FramingFault, HeaderFault, Protocol, RequestFault, UpgradeFault};
pub use classify::{classify, is_stale};
pub use evidence::{is_hidden, rcode_name, visible};
pub use fingerprint::says_port_is_tls;
pub use fixes::{Audience, Fix, FixId, Site, fix_ids, fixes};
pub use report::{AttemptSummary, Certainty, Fate, IncidentId, Report};
pub use text::{CauseWords, FixWords, PageWords, Words, english, source};
