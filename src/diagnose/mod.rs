//! ROOM 3: from failure to report.
//!
//! `cause` is the list, `faults` parts of its evidence, `catalog` its meaning, `evidence` its
//! values in print, `reasons` what lies behind it, `fixes` what to do, `matching` and its `rules`
//! in which order, by what is `around`, `look` and `commands` what to type on a host of this
//! `layout`, with PHP's files in `fpm`, `text` the words, `report` the result, `message` its id in
//! a journal. `classify`, `connect`, `dns`, `tls` and `fastcgi` decide from failures, `said` and
//! `answer` from answers that are whole, `hop` finds who made one by its `signs`; `facts` and
//! `around` are what was found on this host, `meaning` what that means, and `root` decides from it
//! what lies behind the cause. Pure: nothing here opens anything, waits, or reads a clock.

mod ailment;
mod answer;
pub mod around;
mod catalog;
mod cause;
mod certificate;
mod classify;
mod commands;
mod connect;
mod dns;
mod evidence;
mod facts;
mod fastcgi;
mod faults;
mod fingerprint;
mod fixes;
mod fpm;
mod hop;
mod http2;
mod incident;
mod layout;
pub mod log;
mod look;
mod matching;
mod meaning;
mod message;
mod print;
mod reasons;
mod report;
mod root;
mod rules;
mod said;
mod signs;
mod text;
mod tls;
mod unreached;

pub use ailment::Ailment;
pub use answer::{Question, answered, by_status};
pub use around::Around;
pub use catalog::{Blame, Entry, Phase, entry, entry_at, is_received};
pub use cause::{Cause, Code};
pub use certificate::certificate_ends;
pub use classify::{classify, is_stale, uploaded};
pub use commands::{Command, Kind as CommandKind, commands};
pub use connect::own_limit;
pub use dns::{
    AnswerFault, Authority, Before, DnsConfigFault, Extended, Lookup, Named, has_moved, lookup,
    named_rows,
};
pub use facts::{Facts, Port, Probed, Queue};
pub use fastcgi::looks_like_fastcgi;
pub use faults::{
    CertFault, CertReason, CgiFault, ForbiddenReason, FramingFault, HeaderFault, Mismatch,
    Protocol, RecordFault, RejectReason, RequestFault, UpgradeFault,
};
pub use fingerprint::{alert_name, protocol, says_port_is_tls};
pub use fixes::{Audience, FixId, fix_ids};
pub use hop::{Failed, Hop, Received};
pub use http2::H2Fault;
pub use incident::{
    End, Incident, IncidentGroup, Insight, KeptAttempt, KeptFinding, KeptFix, KeptRoot, KeptStep,
    stray,
};
pub use layout::{
    Family, Layout, MARKERS, OS_RELEASE, PHP_FOLDER, PhpVersion, Service, php_version,
};
pub use matching::{Fix, Site, fixes};
pub use meaning::Meaning;
pub use message::{Event, MessageId};
pub use print::{abridged, is_hidden, rcode_name, rfc3339, visible};
pub use reasons::{ReasonId, reasons};
pub use report::{
    AddressSummary, AttemptStep, AttemptSummary, Certainty, Fate, IncidentId, Report, Standing,
    StepState, site_name,
};
pub use root::{Recognised, Root, Rooted, is_of_load, root};
pub use rules::Rules;
pub use said::{Sent, is_quiet, said};
pub use text::{
    CauseWords, Counted, DoctorWords, FixWords, Languages, MeaningWords, MessageWords, PageWords,
    Partial, ReasonWords, RootWords, Step, System, Words, cause_sources, english, fix_sources,
    languages, messages, reason_sources, root_sources, source,
};
pub use unreached::{
    ConnectFault, IcmpError, IcmpMessage, IcmpSender, ProhibitedReason, UnreachableReason,
};
