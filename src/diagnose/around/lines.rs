//! What logs say of the failure's seconds. Pure.

use std::path::PathBuf;
use std::time::SystemTime;

use super::seen::{Finding, Seen};

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
    /// EMFILE, ENFILE.
    DescriptorLimit,
    /// Apache: MaxRequestWorkers.
    WorkersLimit,
    /// EADDRINUSE.
    AddressInUse,
    /// A mistake in the program's own configuration.
    ConfigurationInvalid,
    /// A database or cache that cannot be reached: "Connection refused", "gone away", "Too many
    /// connections".
    HelperUnreachable,
    /// A reload or restart on purpose.
    Restarted,
    Started,
    Stopped,
    /// A PHP error that ends the script.
    PhpFatal,
    PermissionDenied,
}

impl Lines {
    pub fn has(&self, sign: Sign) -> bool {
        self.lines.iter().any(|line| line.sign == Some(sign))
    }

    pub(super) fn findings(&self, out: &mut Vec<Finding>) {
        for (_, seen) in &self.sources {
            seen.missing("log", out);
        }
    }
}
