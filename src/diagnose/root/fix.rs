//! What an operator does first, once the root is known: one fix a root. Pure.

use crate::config::Scheme;
use crate::diagnose::around::HelperState;
use crate::diagnose::cause::{Cause, Code};
use crate::diagnose::fixes::FixId::{self, *};
use crate::diagnose::matching::Site;

use super::{Root, Rooted};

impl Rooted {
    /// The fix that follows from it.
    pub fn fix(&self, cause: &Cause, site: &Site<'_>) -> FixId {
        match self.root {
            Root::ServiceStopped | Root::ServiceCrashed => StartBackend,
            Root::StartLimitHit => ClearStartLimit,
            Root::ServiceMasked => UnmaskService,
            Root::ServiceNotInstalled => InstallService,
            Root::ConfigurationInvalid => MendConfiguration,
            Root::AddressInUse => FreeAddress,
            Root::OomKilled => match has_memory_limit(site) {
                true => RaiseUnitLimits,
                false => CheckMemory,
            },
            // What finds a crash of PHP's workers finds no other.
            Root::Segfault if is_other(site) => CheckLogs,
            Root::Segfault => FindCrash,
            Root::ReloadOrRestart => WaitForStart,
            Root::HostRebooted => EnableService,

            Root::WrongPort
            | Root::WrongAddressFamily
            | Root::BoundToLoopback
            | Root::WrongAddress => MatchPort,
            Root::WrongSocketPath => SocketPath,
            Root::SocketMode => SocketPermissions,
            Root::DirectoryMode => DirectoryAccess,
            Root::ForbiddenByPolicy => AllowConnect,

            Root::PoolExhausted if is_other(site) => MoreResources,
            Root::PoolExhausted => FpmCapacity,
            Root::WorkersFrozen => ResumeWorkers,
            Root::SlowScript => SlowQueries,
            Root::SessionLock => FreeSessionLock,
            Root::WaitingForHelper => match has_frozen_helper(site) {
                true => ResumeWorkers,
                false => HelperServices,
            },
            Root::HelperDown => StartHelper,
            Root::HelperFull => HelperCapacity,
            Root::TimeLimit => FpmTimeouts,
            Root::MemoryLimit => MemoryLimit,
            Root::ScriptError if is_other(site) => DebugCode,
            Root::ScriptError => CheckLogs,
            Root::FaultyDeployment => RollBack,
            Root::TrafficSpike => LimitTraffic,
            Root::SingleClientFlood => BlockClient,

            Root::DiskFull => FreeDisk,
            Root::DiskReadOnly | Root::StorageStalled => CheckStorage,
            Root::FdLimit => match cause.code() == Code::LocalFdExhausted {
                true => RaiseFdLimit,
                false => RaiseUnitLimits,
            },
            Root::PortExhaustion => FreePorts,
            Root::MemoryPressure => CheckMemory,
            Root::CpuThrottled | Root::TaskLimit => RaiseUnitLimits,
            Root::Overload => MoreResources,
            Root::ClockWrong => CheckClock,

            Root::DnsRecordWrong | Root::DnsDangling => CheckDns,
            Root::FirewallLocal | Root::FirewallRemote => CheckFirewall,
            Root::HostDown => StartHost,
            Root::LinkDown => RestoreLink,
            Root::CertificateRenewalMissed => RenewCertificate,
        }
    }
}

/// The server, or the first of the block where nobody was asked, is no FastCGI.
fn is_other(site: &Site<'_>) -> bool {
    site.server.or(site.servers.first()).is_some_and(|server| match server.scheme {
        Scheme::FastCgi => false,
        Scheme::Http | Scheme::Https | Scheme::H2c => true,
    })
}

/// The unit may not have as much memory as the host has.
fn has_memory_limit(site: &Site<'_>) -> bool {
    let unit = site.around.and_then(|around| around.units.server.found());
    // The group's own file is gone once the unit is down.
    unit.is_some_and(|unit| {
        let of_group = unit.cgroup.and_then(|cgroup| cgroup.memory_max_bytes);
        unit.memory_max_bytes.or(of_group).is_some()
    })
}

fn has_frozen_helper(site: &Site<'_>) -> bool {
    site.around.is_some_and(|around| {
        around.helpers.list.iter().any(|helper| helper.state == HelperState::Frozen)
    })
}
