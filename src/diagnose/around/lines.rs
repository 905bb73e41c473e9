//! What logs say of the failure's seconds. Pure.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::SystemTime;

use crate::diagnose::log::masked;
use crate::diagnose::meaning::Meaning;
use crate::diagnose::print::visible;

use super::seen::{Finding, Seen};

/// Lines that are held while logs are read.
const HELD_MAX: usize = 64;
/// Lines that say the same: what is said each second must not push out what was said once.
const ALIKE_MAX: usize = 5;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lines {
    /// Those of the failure's seconds, oldest first.
    pub lines: Vec<Line>,
    /// What was looked into, and what came of that.
    pub sources: Vec<(LogSource, Seen<()>)>,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub time: Option<SystemTime>,
    pub source: LogSource,
    /// Printable, abridged, secrets masked.
    pub text: String,
    /// What it says, where it is one that we know.
    pub sign: Option<Sign>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogSource {
    /// The journal of a unit.
    Journal(String),
    /// The kernel's messages in the journal.
    Kernel,
    File(PathBuf),
}

/// What a line of a log says: one word a kind, whatever program wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::IntoStaticStr, strum::EnumIter)]
#[strum(serialize_all = "snake_case")]
pub enum Sign {
    /// PHP-FPM: "server reached pm.max_children setting".
    PoolExhausted,
    /// PHP-FPM: "execution timed out", "terminating".
    TimeLimit,
    /// PHP: "Maximum execution time of N seconds exceeded".
    ExecutionTime,
    /// A child or process ended by SIGSEGV, SIGBUS, SIGILL or SIGABRT; "segfault at".
    Segfault,
    /// A child or process ended by SIGKILL.
    Killed,
    /// The kernel or systemd killed for memory.
    OomKill,
    /// PHP: "Allowed memory size of N bytes exhausted".
    MemoryLimit,
    /// PHP-FPM's slow log, or "executing too slow".
    SlowScript,
    /// ENOSPC.
    DiskFull,
    /// EROFS.
    DiskReadOnly,
    /// EMFILE, ENFILE.
    DescriptorLimit,
    /// Apache: MaxRequestWorkers.
    WorkersLimit,
    /// EADDRINUSE.
    AddressInUse,
    /// A mistake in the program's own configuration.
    ConfigurationInvalid,
    /// A database or cache that cannot be reached: "Connection refused", "gone away".
    HelperUnreachable,
    /// One that takes no more: "Too many connections".
    HelperFull,
    /// A reload or restart on purpose.
    Restarted,
    Started,
    Stopped,
    /// A PHP error that ends the script.
    PhpFatal,
    PermissionDenied,
}

impl LogSource {
    /// As it is shown.
    fn name(&self) -> String {
        match self {
            LogSource::Journal(unit) if unit.is_empty() => "journal".to_owned(),
            LogSource::Journal(unit) => format!("journal of {unit}"),
            LogSource::Kernel => "kernel".to_owned(),
            LogSource::File(path) => visible(&path.to_string_lossy()),
        }
    }
}

impl Sign {
    /// What it means for the requests of those seconds, where that is worth a sentence.
    fn meaning(self) -> Option<Meaning> {
        match self {
            Sign::PoolExhausted | Sign::WorkersLimit => Some(Meaning::LogWorkersBusy),
            Sign::TimeLimit | Sign::ExecutionTime | Sign::SlowScript => Some(Meaning::LogTooSlow),
            Sign::Segfault | Sign::Killed | Sign::OomKill => Some(Meaning::LogProcessEnded),
            Sign::HelperUnreachable | Sign::HelperFull => Some(Meaning::LogHelper),
            Sign::PhpFatal | Sign::MemoryLimit => Some(Meaning::LogScriptEnded),
            Sign::DiskFull
            | Sign::DiskReadOnly
            | Sign::DescriptorLimit
            | Sign::AddressInUse
            | Sign::ConfigurationInvalid
            | Sign::Restarted
            | Sign::Started
            | Sign::Stopped
            | Sign::PermissionDenied => None,
        }
    }
}

impl Lines {
    /// Adds a line as it stands in a log; one that was there before in other words of time alone is
    /// kept once, as the later.
    pub fn add(&mut self, time: SystemTime, source: LogSource, text: &str, sign: Option<Sign>) {
        let text = masked(text);
        self.lines.retain(|line| line.source != source || line.text != text);
        self.lines.push(Line { time: Some(time), source, text, sign });
        // What could not be among the most telling ones need not be held.
        if self.lines.len() > HELD_MAX {
            self.keep_telling(HELD_MAX / 2);
        }
    }

    /// Keeps this many, those that say something known first, some of each kind, then the latest;
    /// oldest first.
    pub fn keep_telling(&mut self, count: usize) {
        self.lines.sort_by_key(|line| (line.sign.is_none(), std::cmp::Reverse(line.time)));
        let mut said = HashMap::new();
        self.lines.retain(|line| {
            let Some(sign) = line.sign else { return true };
            // Each pool says so once, and there may be many.
            if sign == Sign::PoolExhausted {
                return true;
            }
            let alike = said.entry(sign).or_insert(0);
            *alike += 1;
            *alike <= ALIKE_MAX
        });
        self.lines.truncate(count);
        self.lines.sort_by_key(|line| line.time);
    }

    pub(super) fn findings(&self, out: &mut Vec<Finding>) {
        for line in &self.lines {
            let found = Finding::new("log_line", format!("{}: {}", line.source.name(), line.text));
            out.push(Finding { meaning: line.sign.and_then(Sign::meaning), ..found });
        }
        for (source, seen) in &self.sources {
            let before = out.len();
            seen.missing("log_unread", out);
            for found in &mut out[before..] {
                found.value = format!("{}: {}", source.name(), found.value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_most_telling_lines_are_kept_in_their_order() {
        let mut lines = Lines::default();
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        lines.add(at(1), LogSource::Kernel, "killed", Some(Sign::OomKill));
        for i in 0..500 {
            lines.add(at(2 + i), LogSource::Kernel, &format!("line {i}"), None);
        }
        lines.add(at(900), LogSource::Kernel, "line 499", None);
        lines.keep_telling(3);
        let texts: Vec<_> = lines.lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(texts, ["killed", "line 498", "line 499"]);
        assert_eq!(lines.lines[0].sign, Some(Sign::OomKill));
    }

    #[test]
    fn what_is_said_each_second_does_not_push_out_what_was_said_once() {
        let mut lines = Lines::default();
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        lines.add(at(1), LogSource::Kernel, "no descriptor", Some(Sign::DescriptorLimit));
        for i in 2..100 {
            lines.add(at(i), LogSource::Kernel, &format!("{i}"), Some(Sign::WorkersLimit));
        }
        lines.keep_telling(20);
        let texts: Vec<_> = lines.lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(texts, ["no descriptor", "95", "96", "97", "98", "99"]);
    }

    #[test]
    fn a_log_that_was_not_read_says_which_and_why() {
        let source = LogSource::File("/var/log/php8.2-fpm.log".into());
        let denied = Seen::Denied(super::super::seen::Need::Group("adm"));
        let lines = Lines { lines: Vec::new(), sources: vec![(source, denied)] };
        let mut found = Vec::new();
        lines.findings(&mut found);
        assert_eq!(found[0].value, "/var/log/php8.2-fpm.log: not allowed: add group adm");
    }
}
