//! What keeps the server's workers: what holds them, what they run, and that there are no more.
//! Pure.

use std::time::Duration;

use crate::diagnose::around::{Change, Helper, HelperState, Sign, State};
use crate::diagnose::cause::{Cause, Code};
use crate::diagnose::report::Certainty::{Certain, Likely};

use super::scene::{ENDED, FAULTY, SLOW, Scene};
use super::{Root, Row, row};

const PROCESSES: &[&str] =
    &["unit", "unit_state", "unit_processes", "pool_processes", "listen_queue", "pending"];
const HELPER: &[&str] = &["message", "helper", "said"];
const LOCK: &[&str] = &["session_lock", "pool_status", "pool_worker", "in_flight"];
const POOL: &[&str] =
    &["pool", "pool_status", "pool_worker", "listen_queue", "pending", "backlog", "in_flight"];
const SCRIPT: &[&str] =
    &["waited", "after", "before", "message", "stderr", "pool_time_limit", "php_limits"];

/// The application says that its database or cache fails.
const HELPERS: &[Code] = &[Code::HelperServicesDown];
const OUT_OF_MEMORY: &[Code] = &[Code::PhpOutOfMemory];
const OUT_OF_TIME: &[Code] = &[Code::PhpExecutionTimeout, Code::FcgiTimeLimitKill];
/// What hides why the script ended; an error of PHP's mostly says it.
const WORDLESS: &[Code] =
    &[Code::UpstreamErrorStatus, Code::FcgiNoOutput, Code::FcgiBadCgiHeaders, Code::PhpFatalError];
/// A request was taken, and its answer does not come.
const UNANSWERED: &[Code] =
    &[Code::FirstByteTimeout, Code::HeaderStallTimeout, Code::BodyStallTimeout];

/// Times that are taken at two ends of a connection lie so far apart.
const SLACK: Duration = Duration::from_secs(1);

/// Something outside of the workers holds them.
pub const HELD: &[Row] = &[
    row(
        Root::WorkersFrozen,
        &[SLOW],
        |scene| scene.unit_is(&[State::Frozen]) || scene.stopped_part() == Some(Part::All),
        Certain,
        PROCESSES,
    ),
    row(
        Root::WorkersFrozen,
        &[SLOW],
        |scene| scene.stopped_part() == Some(Part::Most),
        Likely,
        PROCESSES,
    ),
    // Before helpers: also these stand still where a disk does.
    row(Root::StorageStalled, &[SLOW], most_are_blocked, Likely, PROCESSES),
    // Before one that is gone: nobody may need that one.
    row(
        Root::HelperFull,
        &[HELPERS, FAULTY, SLOW],
        |scene| scene.blames(&scene.helpers(is_full), true),
        Certain,
        HELPER,
    )
    .said(&[Sign::HelperFull, Sign::HelperUnreachable]),
    row(
        Root::HelperFull,
        &[HELPERS, FAULTY, SLOW],
        |scene| scene.blames(&scene.helpers(is_full), false),
        Likely,
        HELPER,
    )
    .said(&[Sign::HelperFull, Sign::HelperUnreachable]),
    row(
        Root::HelperFull,
        &[HELPERS, FAULTY, SLOW],
        |scene| scene.tells(Sign::HelperFull),
        Likely,
        HELPER,
    )
    .said(&[Sign::HelperFull]),
    // The kernel's count of the same, where the processes are hidden from us.
    row(
        Root::StorageStalled,
        &[SLOW],
        is_stalled_by_disk,
        Likely,
        &["unit", "unit_state", "unit_waits_for_disk", "pressure", "disk"],
    ),
    row(
        Root::HelperDown,
        &[HELPERS],
        |scene| scene.blames(&scene.helpers(is_gone), true),
        Certain,
        HELPER,
    )
    .said(&[Sign::HelperUnreachable]),
    row(
        Root::HelperDown,
        &[HELPERS],
        |scene| scene.blames(&scene.helpers(is_gone), false),
        Likely,
        HELPER,
    )
    .said(&[Sign::HelperUnreachable]),
    row(
        Root::HelperDown,
        &[FAULTY, ENDED, SLOW],
        |scene| {
            scene.tells(Sign::HelperUnreachable) && scene.blames(&scene.helpers(is_gone), false)
        },
        Likely,
        HELPER,
    )
    .said(&[Sign::HelperUnreachable]),
    // Scripts that try again and again, with nothing in a log.
    row(Root::HelperDown, &[SLOW], has_lost_a_named_helper, Likely, HELPER),
    row(
        Root::WaitingForHelper,
        &[HELPERS, SLOW],
        |scene| scene.blames(&scene.helpers(is_frozen), true),
        Certain,
        HELPER,
    )
    .said(&[Sign::HelperUnreachable]),
    row(
        Root::WaitingForHelper,
        &[HELPERS, SLOW],
        |scene| scene.blames(&scene.helpers(is_frozen), false),
        Likely,
        HELPER,
    )
    .said(&[Sign::HelperUnreachable]),
    row(
        Root::WaitingForHelper,
        &[HELPERS, SLOW],
        |scene| scene.has_helper(|state| *state == HelperState::Silent),
        Likely,
        HELPER,
    )
    .said(&[Sign::HelperUnreachable]),
    row(Root::WaitingForHelper, &[HELPERS, SLOW], a_helper_has_a_queue, Likely, HELPER),
    row(Root::SessionLock, &[SLOW], |scene| waits_for_lock(scene, true), Certain, LOCK),
    row(Root::SessionLock, &[SLOW], |scene| waits_for_lock(scene, false), Likely, LOCK),
];

/// The script's time was over: said, or by the pool's own settings.
pub const OVER: &[Row] = &[
    row(Root::TimeLimit, &[OUT_OF_TIME], is_out_of_time, Certain, SCRIPT)
        .said(&[Sign::TimeLimit, Sign::ExecutionTime]),
    row(Root::TimeLimit, &[OUT_OF_TIME], |_| true, Likely, SCRIPT),
    row(
        Root::TimeLimit,
        &[ENDED, WORDLESS, SLOW],
        |scene| scene.says_instead(Sign::TimeLimit) || scene.says_instead(Sign::ExecutionTime),
        Likely,
        SCRIPT,
    )
    .said(&[Sign::TimeLimit, Sign::ExecutionTime]),
    row(Root::TimeLimit, &[&[Code::FcgiWorkerDied]], ends_at_limit, Likely, SCRIPT),
];

/// What the script did that was asked for.
pub const SCRIPTS: &[Row] = &[
    row(
        Root::MemoryLimit,
        &[OUT_OF_MEMORY],
        |scene| {
            let Cause::PhpOutOfMemory { message } = scene.cause else { return false };
            message.contains("Allowed memory size")
        },
        Certain,
        &["message", "php_limits"],
    )
    .said(&[Sign::MemoryLimit]),
    row(
        Root::MemoryLimit,
        &[WORDLESS, ENDED],
        |scene| scene.says_instead(Sign::MemoryLimit),
        Likely,
        &["stderr", "php_limits"],
    )
    .said(&[Sign::MemoryLimit]),
    row(
        Root::FaultyDeployment,
        &[&[Code::PhpFatalError]],
        has_changed,
        Likely,
        &["message", "changed"],
    ),
    row(
        Root::FaultyDeployment,
        &[WORDLESS],
        |scene| scene.says_instead(Sign::PhpFatal) && has_changed(scene),
        Likely,
        &["stderr", "changed"],
    )
    .said(&[Sign::PhpFatal]),
    row(
        Root::ScriptError,
        &[WORDLESS],
        |scene| scene.says_instead(Sign::PhpFatal),
        Likely,
        &["stderr", "said"],
    )
    .said(&[Sign::PhpFatal]),
    row(Root::SlowScript, &[UNANSWERED], runs_long, Certain, POOL).said(&[Sign::SlowScript]),
    row(
        Root::SlowScript,
        &[UNANSWERED],
        |scene| scene.says(Sign::SlowScript) && !scene.is_exhausted(),
        Certain,
        POOL,
    )
    .said(&[Sign::SlowScript]),
];

/// There are as many workers as there may be, and each is busy.
pub const FULL: &[Row] = &[
    row(Root::PoolExhausted, &[SLOW], |scene| scene.is_full_by_count(), Certain, POOL)
        .said(&[Sign::PoolExhausted, Sign::WorkersLimit]),
    // A server says so once, and may have workers again since.
    row(Root::PoolExhausted, &[SLOW], |scene| scene.is_exhausted(), Likely, POOL)
        .said(&[Sign::PoolExhausted, Sign::WorkersLimit]),
    // All that wait, wait for workers that run: they are not stopped, and there are no others.
    row(
        Root::PoolExhausted,
        &[&[Code::FcgiPoolSaturated]],
        |scene| scene.workers().is_some() && scene.stopped_part().is_none(),
        Likely,
        POOL,
    ),
];

/// How many of the processes are stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    All,
    /// Half or more.
    Most,
}

impl Scene<'_> {
    fn stopped_part(&self) -> Option<Part> {
        let workers = self.workers()?;
        let others = workers.running + workers.sleeping + workers.blocked;
        match workers.stopped {
            0 => None,
            _ if others == 0 => Some(Part::All),
            stopped if stopped >= others => Some(Part::Most),
            1.. => None,
        }
    }

    /// Its own count, or its log, says that there is no worker left.
    fn is_exhausted(&self) -> bool {
        let by_log = [Sign::PoolExhausted, Sign::WorkersLimit];
        self.is_full_by_count() || by_log.iter().any(|sign| self.says(*sign))
    }

    /// Each worker is busy, and others wait for one.
    fn is_full_by_count(&self) -> bool {
        let queue = self.pool().is_some_and(|pool| pool.listen_queue > 0);
        let waits = queue || self.has_waiting() || self.code == Code::FcgiPoolSaturated;
        self.pool_is_full() && waits
    }
}

/// What waits for its own memory to come back from a disk does not wait for the site's.
fn most_are_blocked(scene: &Scene<'_>) -> bool {
    let Some(workers) = scene.workers() else { return false };
    let most = workers.blocked > 0 && workers.blocked >= workers.running + workers.sleeping;
    most && !scene.waits_for_memory()
}

fn is_stalled_by_disk(scene: &Scene<'_>) -> bool {
    let cgroup = scene.unit().and_then(|unit| unit.cgroup);
    cgroup.is_some_and(|cgroup| cgroup.is_stalled_by_disk()) && !scene.waits_for_memory()
}

fn is_gone(state: &HelperState) -> bool {
    *state == HelperState::Gone
}

fn is_full(state: &HelperState) -> bool {
    *state == HelperState::Full
}

fn is_frozen(state: &HelperState) -> bool {
    *state == HelperState::Frozen
}

/// The site's own settings name it, and nobody listens there.
fn has_lost_a_named_helper(scene: &Scene<'_>) -> bool {
    let is_lost = |helper: &Helper| helper.named && helper.state == HelperState::Gone;
    scene.is_here() && scene.around.helpers.list.iter().any(is_lost)
}

fn a_helper_has_a_queue(scene: &Scene<'_>) -> bool {
    let has_queue = |state: &HelperState| {
        let HelperState::Listening(queue) = state else { return false };
        queue.found().is_some_and(|queue| queue.pending > 0)
    };
    scene.has_helper(has_queue)
}

/// Where the pool is full of other things, few that wait explain nothing.
fn waits_for_lock(scene: &Scene<'_>, is_session: bool) -> bool {
    let Some(lock) = scene.around.php.session_lock.found() else { return false };
    let active = scene.pool().map_or(0, |pool| pool.active);
    let few = scene.is_exhausted() && (active == 0 || lock.waiting * 2 < active);
    lock.waiting > 0 && lock.is_session == is_session && !few
}

/// PHP says so, or the limit in its settings is the time after which the worker ended.
fn is_out_of_time(scene: &Scene<'_>) -> bool {
    scene.code == Code::PhpExecutionTimeout
        || ends_at_limit(scene)
        || scene.says(Sign::TimeLimit)
        || scene.says(Sign::ExecutionTime)
}

/// The worker ended when the pool's limit for a request was over. PHP-FPM looks at its workers
/// three times in that span, and so ends them up to a third later.
fn ends_at_limit(scene: &Scene<'_>) -> bool {
    let (Cause::FcgiTimeLimitKill { after, .. } | Cause::FcgiWorkerDied { after, .. }) =
        scene.cause
    else {
        return false;
    };
    let limit = scene.around.php.settings.found().and_then(|pool| pool.request_terminate_timeout);
    limit.is_some_and(|limit| {
        !limit.is_zero() && *after + SLACK >= limit && *after <= limit * 4 / 3 + SLACK
    })
}

/// What the site is made of changed shortly before the first failure.
fn has_changed(scene: &Scene<'_>) -> bool {
    scene.around.changes.list.iter().any(Change::is_of_a_site)
}

/// A worker is at one script for about as long as was waited, and others are free.
fn runs_long(scene: &Scene<'_>) -> bool {
    let (Some(pool), Some(waited)) = (scene.pool(), scene.waited()) else { return false };
    let long = |running: Duration| running + SLACK >= waited;
    !scene.pool_is_full() && pool.workers.iter().any(|worker| long(worker.running))
}
