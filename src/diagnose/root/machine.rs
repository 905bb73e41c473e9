//! What the host has no more of: disk, descriptors, ports, memory, processor; and its clock. Pure.

use crate::diagnose::around::{Disk, Sign};
use crate::diagnose::cause::{Cause, Code};
use crate::diagnose::faults::CertFault;
use crate::diagnose::report::Certainty::{Certain, Likely, Possible};

use super::scene::{DOWN, ENDED, FAULTY, SLOW, Scene};
use super::{Root, Row, row};

const OWN_DISK: &[Code] = &[Code::LocalStorageFailed];
const CERTIFICATE: &[Code] = &[Code::TlsCertExpired, Code::TlsCertNotYetValid];
const DISKS: &[&str] = &["errno", "disk"];
const CLOCK: &[&str] =
    &["not_after", "not_before", "clock", "clock_synchronized", "clock_behind", "also"];
const MEMORY: &[&str] = &["memory_available", "memory_total", "largest_worker", "swap", "pressure"];
const PROCESSOR: &[&str] = &["load", "pressure", "unit", "unit_throttled"];

/// Processes that want to run, to each processor.
const LOAD: f64 = 4.0;
/// The same where programs are seen to wait for it.
const LOAD_WAITING: f64 = 1.5;
/// Percent of the last seconds in which somebody waited.
const WAITING: f64 = 50.0;

/// An errno or a clock that says all.
pub const DECISIVE: &[Row] = &[
    // ENOSPC and EDQUOT, then EROFS (errno(3)).
    row(
        Root::DiskFull,
        &[OWN_DISK],
        |scene| matches!(scene.cause, Cause::LocalStorageFailed { errno: Some(28 | 122) }),
        Certain,
        DISKS,
    ),
    row(
        Root::DiskReadOnly,
        &[OWN_DISK],
        |scene| matches!(scene.cause, Cause::LocalStorageFailed { errno: Some(30) }),
        Certain,
        DISKS,
    ),
    row(
        Root::FdLimit,
        &[&[Code::LocalFdExhausted]],
        |_| true,
        Certain,
        &["errno", "descriptors", "in_flight"],
    ),
    row(
        Root::PortExhaustion,
        &[&[Code::LocalPortsExhausted]],
        |_| true,
        Certain,
        &["address", "local_ports"],
    ),
    // A clock that is behind makes none expire.
    row(
        Root::ClockWrong,
        &[&[Code::TlsCertNotYetValid]],
        |scene| scene.around.host.clock_behind.is_some(),
        Certain,
        CLOCK,
    ),
    row(
        Root::ClockWrong,
        &[CERTIFICATE],
        |scene| says_clock(scene) && is_synchronized(scene) == Some(false),
        Certain,
        CLOCK,
    ),
    row(
        Root::ClockWrong,
        &[CERTIFICATE],
        |scene| says_clock(scene) && is_synchronized(scene).is_none(),
        Likely,
        CLOCK,
    ),
    row(
        Root::ClockWrong,
        &[&[Code::TlsCertNotYetValid]],
        |scene| is_synchronized(scene) == Some(false),
        Likely,
        CLOCK,
    ),
];

/// Before the unit: a service that failed for want of a disk is not mended by its start.
pub const FULL: &[Row] = &[
    row(
        Root::DiskFull,
        &[DOWN, ENDED, FAULTY, SLOW],
        |scene| scene.is_here() && scene.says(Sign::DiskFull),
        Certain,
        DISKS,
    )
    .said(&[Sign::DiskFull]),
    row(
        Root::DiskFull,
        &[DOWN, ENDED, FAULTY],
        |scene| scene.is_here() && scene.around.host.disks.iter().any(is_full),
        Likely,
        DISKS,
    ),
    // Some are so by intent: what counts is who meant to write.
    row(
        Root::DiskReadOnly,
        &[ENDED, FAULTY],
        |scene| scene.is_here() && scene.says_instead(Sign::DiskReadOnly),
        Likely,
        DISKS,
    )
    .said(&[Sign::DiskReadOnly]),
    row(
        Root::FdLimit,
        &[DOWN, ENDED, FAULTY, SLOW],
        |scene| scene.says_itself(Sign::DescriptorLimit),
        Certain,
        &["listener_descriptors", "unit"],
    )
    .said(&[Sign::DescriptorLimit]),
    row(
        Root::TaskLimit,
        &[DOWN, ENDED, FAULTY, SLOW],
        has_no_task_left,
        Likely,
        &["unit", "unit_tasks"],
    ),
];

/// Before scripts: each of them is slow in a service that may not run.
pub const THROTTLED: &[Row] = &[row(
    Root::CpuThrottled,
    &[SLOW],
    |scene| {
        let cgroup = scene.unit().and_then(|unit| unit.cgroup);
        cgroup.is_some_and(|cgroup| cgroup.is_throttled_mostly())
    },
    Likely,
    PROCESSOR,
)];

/// Little is left, and nothing finer was seen.
pub const SCARCE: &[Row] = &[
    row(
        Root::MemoryPressure,
        &[SLOW, &[Code::LocalOutOfMemory]],
        |scene| {
            let own = scene.code == Code::LocalOutOfMemory;
            (own || scene.is_here()) && scene.waits_for_memory()
        },
        Likely,
        MEMORY,
    ),
    row(
        Root::Overload,
        &[SLOW],
        |scene| scene.is_here() && is_overloaded(scene),
        Likely,
        PROCESSOR,
    ),
    // It counts since the unit's start, and not what it does just now.
    row(
        Root::CpuThrottled,
        &[SLOW],
        |scene| {
            let cgroup = scene.unit().and_then(|unit| unit.cgroup);
            cgroup.is_some_and(|cgroup| cgroup.throttled_periods > 0)
        },
        Possible,
        PROCESSOR,
    ),
];

/// The certificate lies so near to its dates that the clock is to be asked.
fn says_clock(scene: &Scene<'_>) -> bool {
    let (Cause::TlsCertExpired { also, .. } | Cause::TlsCertNotYetValid { also, .. }) = scene.cause
    else {
        return false;
    };
    also.contains(&CertFault::ClockWrong)
}

fn is_synchronized(scene: &Scene<'_>) -> Option<bool> {
    scene.around.host.synchronized.found().copied()
}

fn is_full(disk: &Disk) -> bool {
    // A read-only one may be full by its nature.
    !disk.read_only && disk.is_full()
}

fn has_no_task_left(scene: &Scene<'_>) -> bool {
    let Some(cgroup) = scene.unit().and_then(|unit| unit.cgroup) else { return false };
    cgroup.tasks.zip(cgroup.tasks_max).is_some_and(|(tasks, most)| most > 0 && tasks >= most)
}

fn is_overloaded(scene: &Scene<'_>) -> bool {
    let host = &scene.around.host;
    let Some(load) = host.load else { return false };
    let each = load.averages[0] / f64::from(load.processors.max(1));
    let waiting = host.pressure.is_some_and(|pressure| pressure.cpu >= WAITING);
    each >= LOAD || waiting && each >= LOAD_WAITING
}
