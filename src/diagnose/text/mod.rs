//! The words: titles, explanations, reasons and fixes, by id.
//!
//! Each language is a folder of seven TOML files, compiled in and read once; a test proves it
//! complete. No words of a page stand anywhere else, but for those of the operator's own files,
//! which `own` lays over them; `languages` are those of one site, `messages` those of a journal's
//! catalogue. `plural` puts a number into words, `sources` says where each entry comes from. Pure.

mod doctor;
mod languages;
mod messages;
mod own;
mod plural;
mod sources;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::catalog::Phase;
use super::cause::Code;
use super::fixes::FixId;
use super::meaning::Meaning;
use super::reasons::ReasonId;
use super::report::AttemptStep;
use super::root::Root;

pub use doctor::DoctorWords;
pub use languages::{Languages, Partial};
pub use messages::{MessageWords, messages};
pub use plural::Counted;
pub use sources::{cause_sources, fix_sources, reason_sources, root_sources, source};

/// The words of one language.
#[derive(Debug, Clone)]
pub struct Words {
    /// BCP 47 tag, for `Content-Language`.
    pub language: Cow<'static, str>,
    causes: HashMap<Code, CauseWords>,
    fixes: HashMap<FixId, FixWords>,
    reasons: HashMap<ReasonId, ReasonWords>,
    meanings: HashMap<Meaning, MeaningWords>,
    roots: HashMap<Root, RootWords>,
    pub page: PageWords,
}

/// The words of one cause.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CauseWords {
    /// What happened, present tense, no remedy, no apology. Safe for visitors.
    pub title: String,
    /// One to three sentences for a visitor: whose side broke, what it means for him.
    pub visitor: String,
    /// One to four sentences for an operator: what this means on the wire and what usually lies
    /// behind it.
    pub operator: String,
    /// How Causeway recognises it.
    pub recognised: String,
}

/// The words of one fix.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FixWords {
    /// What to do, in the imperative.
    pub title: String,
    /// When it is the right one, in a sentence.
    pub why: String,
    /// One to four steps; a look before a change.
    pub steps: Vec<Step>,
    /// How to see that it worked; there for every fix of the operator, and for none of a visitor.
    pub check: Option<String>,
}

/// The words of one reason.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReasonWords {
    /// What lies behind the cause.
    pub title: String,
    /// How to tell it by what the page shows, in one or two sentences.
    pub text: String,
}

/// The words of what a finding means.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeaningWords {
    /// One sentence, or two.
    pub text: String,
}

/// The words of what lies behind a cause on this host.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RootWords {
    /// What happened, present tense, no remedy.
    pub title: String,
    /// One to three sentences for an operator: what this means, and how it shows.
    pub text: String,
}

/// One step of a fix.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Step {
    /// For everyone.
    Any(String),
    /// For one kind of computer; the others are shown it too where theirs is not known.
    On { system: System, text: String },
}

/// What a visitor's computer runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, strum::IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum System {
    Windows,
    Macos,
    Linux,
}

/// The words of the page around a cause; what each is for stands in the English file.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PageWords {
    pub you: String,
    pub gateway: String,
    pub site: String,
    pub where_it_broke: String,
    pub hop_working: String,
    pub hop_broken: String,
    pub hop_unknown: String,
    pub hop_closed: String,
    broken_request: String,
    broken_route: String,
    broken_resolve: String,
    broken_connect: String,
    broken_tls: String,
    broken_send: String,
    broken_head: String,
    broken_body: String,
    pub fate_not_sent: String,
    pub fate_may_have_been_processed: String,
    pub fate_processed: String,
    /// Added to the fate of a request that must not be repeated blindly (POST and the like).
    pub check_before_resending: String,
    pub now: String,
    pub others_served: String,
    pub others_not_served: String,
    pub failing_since: String,
    pub last_worked: String,
    pub expected_back: String,
    pub retry_in: String,
    pub retry_now: String,
    pub retry_stopped: String,
    pub retry_never: String,
    pub retry_back: String,
    pub try_again: String,
    pub what_you_can_do: String,
    pub more_to_try: String,
    pub archived_copy: String,
    pub it_is_my_site: String,
    /// Above the operator's fixes.
    pub what_to_do: String,
    pub reasons: String,
    pub because: String,
    pub look: String,
    pub run: String,
    pub edit: String,
    pub check: String,
    pub other_host: String,
    pub workers_fit: String,
    pub evidence: String,
    pub attempts: String,
    pub only_operators: String,
    /// Above what lies behind the cause on this host.
    pub root: String,
    pub findings: String,
    pub steps: String,
    pub step_done: String,
    pub step_failed: String,
    pub step_not_reached: String,
    step_resolve: String,
    step_connect: String,
    step_tls: String,
    step_send: String,
    step_first_byte: String,
    step_head: String,
    step_body: String,
    pub incidents: String,
    pub no_incidents: String,
    pub incident_state: String,
    pub incident_open: String,
    pub incident_recovered: String,
    pub incident_quiet: String,
    pub incident_stopped: String,
    pub incident_upstream: String,
    pub incident_opened: String,
    pub incident_last: String,
    pub incident_closed: String,
    pub incident_failures: String,
    pub report: String,
    pub report_why: String,
    pub report_copy: String,
    pub report_copied: String,
    pub report_steps: String,
    pub address: String,
    pub cause: String,
    pub certainty: String,
    pub certain: String,
    pub likely: String,
    pub possible: String,
    pub incident: String,
    pub contact: String,
    pub time: String,
    pub request: String,
    seconds_ago: Counted,
    minutes_ago: Counted,
    hours_ago: Counted,
    days_ago: Counted,
}

/// A language as it is compiled in: its tag, then the files of its folder.
struct Source {
    language: &'static str,
    page: &'static str,
    causes: &'static str,
    fixes: &'static str,
    reasons: &'static str,
    meanings: &'static str,
    roots: &'static str,
    /// Of a journal's catalogue; no part of [`Words`].
    messages: &'static str,
    /// Of `causeway doctor`; no part of it either.
    doctor: &'static str,
}

macro_rules! sources {
    ($($language:literal),*) => {
        [$(Source {
            language: $language,
            page: include_str!(concat!($language, "/page.toml")),
            causes: include_str!(concat!($language, "/causes.toml")),
            fixes: include_str!(concat!($language, "/fixes.toml")),
            reasons: include_str!(concat!($language, "/reasons.toml")),
            meanings: include_str!(concat!($language, "/meanings.toml")),
            roots: include_str!(concat!($language, "/roots.toml")),
            messages: include_str!(concat!($language, "/messages.toml")),
            doctor: include_str!(concat!($language, "/doctor.toml")),
        }),*]
    };
}

/// Every language that is compiled in; the first is shown where nothing better is known.
const SOURCES: [Source; 4] = sources!["en", "ru", "zh", "vi"];

static BUILT_IN: LazyLock<[Words; SOURCES.len()]> = LazyLock::new(|| {
    SOURCES.map(|source| Words::read(&source).expect("a test reads every language"))
});

/// Every language that is compiled in, English first.
pub fn languages() -> &'static [Words] {
    &*BUILT_IN
}

/// The English words.
pub fn english() -> &'static Words {
    &BUILT_IN[0]
}

/// The words of one language before they are typed: its sections, by the names that they have in a
/// file of the operator's own.
type Tree = HashMap<&'static str, toml::Table>;

impl Source {
    fn sections(&self) -> [(&'static str, &'static str); 6] {
        [
            ("page", self.page),
            ("cause", self.causes),
            ("fix", self.fixes),
            ("reason", self.reasons),
            ("meaning", self.meanings),
            ("root", self.roots),
        ]
    }

    fn tree(&self) -> Result<Tree, toml::de::Error> {
        let read = |(name, text)| Ok((name, toml::from_str(text)?));
        self.sections().into_iter().map(read).collect()
    }
}

impl Words {
    fn read(source: &Source) -> Result<Words, String> {
        let tree = source.tree().map_err(|error| format!("{}: {error}", source.language))?;
        Words::of(source.language.into(), tree)
    }

    fn of(language: Cow<'static, str>, mut tree: Tree) -> Result<Words, String> {
        let within = |error: String| format!("{language}: {error}");
        let mut section = |name| tree.remove(name).unwrap_or_default();
        let page = PageWords::deserialize(section("page"));
        let page = page.map_err(|error| format!("{language}: {error}"))?;
        let causes = named(section("cause"), "cause").map_err(within)?;
        let fixes = named(section("fix"), "fix").map_err(within)?;
        let reasons = named(section("reason"), "reason").map_err(within)?;
        let meanings = named(section("meaning"), "meaning").map_err(within)?;
        let roots = named(section("root"), "root").map_err(within)?;
        let words = Words { page, causes, fixes, reasons, meanings, roots, language };
        let language = &words.language;
        let no_cause = Code::all().find(|code| !words.causes.contains_key(code));
        let no_fix = FixId::all().find(|id| !words.fixes.contains_key(id));
        let no_reason = ReasonId::all().find(|id| !words.reasons.contains_key(id));
        let no_meaning = Meaning::all().find(|id| !words.meanings.contains_key(id));
        let no_root = Root::all().find(|id| !words.roots.contains_key(id));
        let missing = no_cause
            .map(|code| ("cause", code.name()))
            .or(no_fix.map(|id| ("fix", id.name())))
            .or(no_reason.map(|id| ("reason", id.name())))
            .or(no_meaning.map(|id| ("meaning", id.name())))
            .or(no_root.map(|id| ("root", id.name())));
        match missing {
            Some((kind, name)) => Err(format!("{language}: no words for the {kind} {name}")),
            None => Ok(words),
        }
    }

    pub fn cause(&self, code: Code) -> &CauseWords {
        self.causes.get(&code).expect("read() proves every cause to be there")
    }

    pub fn fix(&self, id: FixId) -> &FixWords {
        self.fixes.get(&id).expect("read() proves every fix to be there")
    }

    pub fn reason(&self, id: ReasonId) -> &ReasonWords {
        self.reasons.get(&id).expect("read() proves every reason to be there")
    }

    pub fn meaning(&self, id: Meaning) -> &MeaningWords {
        self.meanings.get(&id).expect("read() proves every meaning to be there")
    }

    pub fn root(&self, id: Root) -> &RootWords {
        self.roots.get(&id).expect("read() proves every root to be there")
    }

    /// How long ago something was, to the largest unit that fits.
    pub fn ago(&self, time: Duration) -> String {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        const DAY: u64 = 24 * HOUR;
        let seconds = time.as_secs();
        let (words, unit) = match seconds {
            0..MINUTE => (&self.page.seconds_ago, 1),
            MINUTE..HOUR => (&self.page.minutes_ago, MINUTE),
            HOUR..DAY => (&self.page.hours_ago, HOUR),
            DAY.. => (&self.page.days_ago, DAY),
        };
        words.of(&self.language, seconds / unit)
    }
}

/// A table by id: every key must name one.
fn named<Id, W>(table: toml::Table, kind: &str) -> Result<HashMap<Id, W>, String>
where
    Id: std::str::FromStr + std::hash::Hash + Eq,
    W: serde::de::DeserializeOwned,
{
    let entry = |(name, words): (String, toml::Value)| {
        let id = name.parse().map_err(|_| format!("no {kind} is called {name}"))?;
        let words = W::deserialize(words).map_err(|error| format!("{kind} {name}: {error}"))?;
        Ok((id, words))
    };
    table.into_iter().map(entry).collect()
}

impl PageWords {
    /// What failed at the broken hop, by the stage of the request.
    pub fn broken(&self, phase: Phase) -> &str {
        match phase {
            Phase::Request => &self.broken_request,
            Phase::Route => &self.broken_route,
            Phase::Resolve => &self.broken_resolve,
            Phase::Connect => &self.broken_connect,
            Phase::Tls => &self.broken_tls,
            Phase::Send => &self.broken_send,
            Phase::Head => &self.broken_head,
            Phase::Body => &self.broken_body,
        }
    }

    /// A step of an attempt.
    pub fn step(&self, step: AttemptStep) -> &str {
        match step {
            AttemptStep::Resolve => &self.step_resolve,
            AttemptStep::Connect => &self.step_connect,
            AttemptStep::Tls => &self.step_tls,
            AttemptStep::Send => &self.step_send,
            AttemptStep::FirstByte => &self.step_first_byte,
            AttemptStep::Head => &self.step_head,
            AttemptStep::Body => &self.step_body,
        }
    }
}

impl System {
    pub(super) const ALL: [System; 3] = [System::Windows, System::Macos, System::Linux];

    /// Its maker's name for it.
    pub fn name(self) -> &'static str {
        match self {
            System::Windows => "Windows",
            System::Macos => "macOS",
            System::Linux => "Linux",
        }
    }
}

impl Step {
    /// What to do.
    pub fn text(&self) -> &str {
        match self {
            Step::Any(text) | Step::On { text, .. } => text,
        }
    }

    /// The step for a reader whose computer is not known.
    pub fn for_any(&self) -> Cow<'_, str> {
        match self.system() {
            None => self.text().into(),
            Some(system) => format!("{}: {}", system.name(), self.text()).into(),
        }
    }

    /// The kind of computer it is for, where it is for one alone.
    pub fn system(&self) -> Option<System> {
        match self {
            Step::Any(_) => None,
            Step::On { system, .. } => Some(*system),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixes::Audience;
    use super::*;

    #[test]
    fn every_language_is_complete() {
        for source in &SOURCES {
            let words = Words::read(source).unwrap_or_else(|error| panic!("{error}"));
            let page = &words.page;
            for counted in [&page.seconds_ago, &page.minutes_ago, &page.hours_ago, &page.days_ago] {
                let none = (Vec::new(), Vec::new());
                assert_eq!(counted.faults(&words.language), none, "{}", words.language);
                let whole = counted.forms().all(|(_, text)| text.contains("{n}"));
                assert!(whole, "{}: no number in {counted:?}", words.language);
            }
            for id in FixId::all() {
                let (fix, name) = (words.fix(id), id.name());
                let checked = fix.check.is_some();
                let operators = id.audience() == Audience::Operator;
                assert_eq!(checked, operators, "{}: the check of {name}", words.language);
                assert!((1..=4).contains(&fix.steps.len()), "{}: {name}", words.language);
            }
        }
    }

    #[test]
    fn a_time_is_told_in_the_largest_unit_that_fits() {
        for (seconds, told) in [
            (0, "0 seconds ago"),
            (1, "1 second ago"),
            (59, "59 seconds ago"),
            (60, "1 minute ago"),
            (3599, "59 minutes ago"),
            (3600, "1 hour ago"),
            (86_399, "23 hours ago"),
            (86_400, "1 day ago"),
            (200_000, "2 days ago"),
        ] {
            assert_eq!(english().ago(Duration::from_secs(seconds)), told);
        }
    }
}
