//! Lines of other programs' logs: whose they are, when they were written, what they say.
//!
//! `shape` takes a line apart, `time` reads its stamp; `nginx`, `apache`, `php` and `system` hold
//! the words of each with a sample a row, by which `table` knows a message; `mask` takes out what
//! is nobody's business. Visitors write into logs too: a row matches a program's own message from
//! its first character to its last, and only in lines of that program. Pure.

mod apache;
mod journal;
mod mask;
mod nginx;
mod php;
mod shape;
mod system;
mod table;
mod time;

pub use journal::{FIELDS, OUT_OF_MEMORY, entry};
pub use mask::masked;
pub use shape::{Program, Shape, shape};
pub use table::{Says, nearest_sample, says};
pub use time::{Clock, Stamp, stamp};

use super::around::Sign;
use super::fixes::FixId;
use super::root::Root;

/// What lies behind a failure of whose seconds a log says this; `None` where it says what somebody
/// did, or too little.
pub fn root_of(sign: Sign) -> Option<Root> {
    match sign {
        Sign::PoolExhausted | Sign::WorkersLimit => Some(Root::PoolExhausted),
        Sign::TimeLimit | Sign::ExecutionTime => Some(Root::TimeLimit),
        Sign::Segfault => Some(Root::Segfault),
        Sign::OomKill => Some(Root::OomKilled),
        Sign::Killed => Some(Root::ServiceCrashed),
        Sign::MemoryLimit => Some(Root::MemoryLimit),
        Sign::SlowScript => Some(Root::SlowScript),
        Sign::DiskFull => Some(Root::DiskFull),
        Sign::DiskReadOnly => Some(Root::DiskReadOnly),
        Sign::DescriptorLimit => Some(Root::FdLimit),
        Sign::AddressInUse => Some(Root::AddressInUse),
        Sign::ConfigurationInvalid => Some(Root::ConfigurationInvalid),
        Sign::HelperUnreachable => Some(Root::HelperDown),
        Sign::HelperFull => Some(Root::HelperFull),
        Sign::Restarted => Some(Root::ReloadOrRestart),
        Sign::Stopped => Some(Root::ServiceStopped),
        Sign::PhpFatal => Some(Root::ScriptError),
        Sign::Started | Sign::PermissionDenied => None,
    }
}

/// What an operator does first who knows no more than the line.
pub fn fix_of(sign: Sign) -> FixId {
    match sign {
        Sign::PoolExhausted => FixId::FpmCapacity,
        Sign::WorkersLimit => FixId::MoreResources,
        Sign::TimeLimit | Sign::ExecutionTime => FixId::FpmTimeouts,
        Sign::Segfault => FixId::FindCrash,
        Sign::Killed | Sign::OomKill => FixId::CheckMemory,
        Sign::MemoryLimit => FixId::MemoryLimit,
        Sign::SlowScript => FixId::SlowQueries,
        Sign::DiskFull => FixId::FreeDisk,
        Sign::DiskReadOnly => FixId::CheckStorage,
        Sign::DescriptorLimit => FixId::RaiseFdLimit,
        Sign::HelperUnreachable => FixId::HelperServices,
        Sign::HelperFull => FixId::HelperCapacity,
        Sign::Stopped => FixId::StartBackend,
        Sign::PhpFatal => FixId::DebugCode,
        Sign::PermissionDenied => FixId::FilePermissions,
        Sign::AddressInUse | Sign::ConfigurationInvalid | Sign::Restarted | Sign::Started => {
            FixId::BackendStatus
        }
    }
}
