//! What must hold of the readers of this host's own texts: PHP-FPM's status and settings, systemd's
//! and the kernel's words, and what is made of all of them together beside a failure.

use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::config::ServerAddress;
use crate::diagnose::around::{
    self, Around, Cgroup, Change, Changes, Clients, Helper, HelperState, Host, KnownBy, Limits,
    Load, LogSource, Memory, Named, PoolStatus, Pressure, Seen, SessionLock, Unit, Workers,
};
use crate::diagnose::is_hidden;
use crate::diagnose::log::{self, Says};
use crate::probe;

use super::diagnosis;
use super::source::Source;

/// Our own question, which the status shows too.
const OWN_PATH: &str = "/status";
/// Where a section of [`host`] ends; the next byte says what the next one is.
const END: char = '\u{1}';

/// PHP-FPM's status page: what is kept of it is bounded and printable, without a query and without
/// our own question.
pub fn pool_status(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Some(status) = around::status(&text, OWN_PATH) else { return };
    assert!(status.workers.len() <= 64 && is_printable(&status.pool));
    assert!(status.workers.is_sorted_by(|one, next| one.running >= next.running));
    for worker in &status.workers {
        let texts = [&worker.script, &worker.method, &worker.path];
        assert!(texts.iter().all(|text| is_printable(text)), "{worker:?}");
        assert!(worker.path != OWN_PATH && !worker.path.contains('?'), "{worker:?}");
    }
}

fn is_printable(text: &str) -> bool {
    text.chars().count() <= 121 * "\\u{10ffff}".len() && !text.chars().any(is_hidden)
}

/// Settings of PHP-FPM, PHP and the site: any text gives some, and where they lead is read.
pub fn settings(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let file = Path::new("/etc/php/8.2/fpm/pool.d/www.conf");
    let server = ServerAddress::Ip(([127, 0, 0, 1], 9000).into());
    for pool in around::pools(file, &text) {
        let listen = pool.settings.listen.as_deref().unwrap_or_default();
        let leads = around::leads_to(listen, &server, None);
        assert!(!leads || around::listen(listen).is_some());
        let _ = Limits::default().overridden(&pool.limits);
    }
    around::limits(file, &text, &mut Limits::default());
    for named in [around::wordpress(&text), around::dotenv(&text)] {
        assert!(named.len() <= 8);
        for Named { place, .. } in &named {
            if let around::Place::Name(host, _) = place {
                assert!(!host.is_empty() && host.len() <= 255 && !host.contains('@'), "{host}");
            }
        }
    }
}

/// A failure of the first bytes, behind their length, with sections of this host's texts around
/// it: there is a root or none, the same a second time, and a visitor's page tells nothing of them.
pub fn host(bytes: &[u8]) {
    let mut source = Source(bytes);
    let mut failed = Source(source.bytes());
    let (cause, certainty, attempt) = diagnosis::classified(&mut failed);
    let around = surroundings(&String::from_utf8_lossy(source.0));
    for found in around.findings() {
        assert!(!found.value.chars().any(is_hidden), "{}: {:?}", found.key, found.value);
    }
    diagnosis::shown_beside(cause, certainty, &attempt, Some(around), &mut failed);
}

fn surroundings(text: &str) -> Around {
    let mut around = Around::default();
    let mut changes = Vec::new();
    for section in text.split(END) {
        let mut letters = section.chars();
        let (kind, text) = (letters.next(), letters.as_str());
        match kind {
            Some('l') => lines(text, &mut around),
            Some('j') => entries(text, &mut around),
            Some('u') => around.units.server = unit(text),
            Some('c') => changes.extend(text.lines().flat_map(change).flatten()),
            Some('h') => machine(text, &mut around.host),
            Some('p') => around.php.settings = pool(text, &mut around.php.limits),
            Some('s') => {
                let status: Option<PoolStatus> = around::status(text, OWN_PATH);
                around.php.status = status.map_or(Seen::Nothing, Seen::Found);
            }
            Some('f') => around.php.session_lock = lock(text),
            Some('w') => around.helpers.list.extend(around::wordpress(text).iter().map(helper)),
            Some('e') => around.helpers.list.extend(around::dotenv(text).iter().map(helper)),
            Some('k') => around.php.workers = Seen::Found(workers(text)),
            Some(_) | None => {}
        }
    }
    let since = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    around.changes = Changes::of(changes, since);
    around.lines.keep_telling(20);
    around
}

/// As a log's, each a second after the one before.
fn lines(text: &str, around: &mut Around) {
    let clock = log::Clock { zone: jiff::tz::TimeZone::UTC, named: &|_| None };
    let source = LogSource::File("/var/log/php8.2-fpm.log".into());
    for (line, second) in text.lines().zip(1_800_000_000..) {
        let shape = log::shape(line, &clock);
        let says = shape.program.and_then(|program| log::says(program, &shape.message));
        let sign = if let Some(Says::Of(sign)) = says { Some(sign) } else { None };
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        around.lines.add(time, source.clone(), line, sign);
    }
}

fn entries(text: &str, around: &mut Around) {
    for entry in text.lines().filter_map(log::entry) {
        let time = SystemTime::UNIX_EPOCH + Duration::from_micros(entry.time_us);
        let source = LogSource::Journal(entry.unit.unwrap_or_default());
        around.lines.add(time, source, &entry.message, None);
    }
}

/// `Key=value`, as `systemctl show` has it.
fn unit(text: &str) -> Seen<Unit> {
    let rows: Vec<_> = text.lines().filter_map(|line| line.split_once('=')).collect();
    let said = |key: &str| rows.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
    match Unit::of("php8.2-fpm.service", KnownBy::Version, said) {
        Some(unit) => {
            let cgroup = Cgroup::of(said);
            Seen::Found(Unit { cgroup: Some(cgroup), ..unit })
        }
        None => Seen::Nothing,
    }
}

fn change(line: &str) -> [Option<Change>; 2] {
    let at = |_: &str| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
    [around::dpkg_line(line, at), around::rpm_line(line, at)]
}

/// The kernel's files, one behind the other: each reader finds its own lines.
fn machine(text: &str, host: &mut Host) {
    host.memory = Memory::of(text, around::kilobytes(text, "VmRSS:"));
    host.load = Load::of(text, 2);
    host.pressure = Pressure::of(text, text, text);
    host.oom_kills = around::counter(text, "oom_kill");
    host.uptime = around::uptime(text);
    let _ = around::is_read_only(text, (8, 1));
}

fn pool(text: &str, limits: &mut Seen<Limits>) -> Seen<around::PoolSettings> {
    let file = Path::new("/etc/php/8.2/fpm/pool.d/www.conf");
    let Some(pool) = around::pools(file, text).into_iter().next() else { return Seen::Nothing };
    *limits = Seen::Found(pool.limits);
    Seen::Found(pool.settings)
}

fn lock(text: &str) -> Seen<SessionLock> {
    let locks = around::waited_for(text);
    assert!(locks.iter().all(|lock| !lock.waiting.is_empty()));
    let Some(lock) = locks.first() else { return Seen::Nothing };
    let waiting = u32::try_from(lock.waiting.len()).unwrap_or(u32::MAX);
    Seen::Found(SessionLock { waiting, holder: lock.holder, is_session: lock.inode % 2 == 0 })
}

fn helper(named: &Named) -> Helper {
    Helper {
        kind: named.kind,
        at: crate::diagnose::visible(&format!("{:?}", named.place)),
        state: HelperState::Gone,
        named: true,
        unit: None,
        clients: Clients::default(),
    }
}

fn workers(text: &str) -> Workers {
    let mut workers = Workers::default();
    text.lines().take(1000).for_each(|stat| workers.count(stat));
    workers
}

/// Rows of rtnetlink: no datagram leads outside itself.
pub fn rtnetlink(bytes: &[u8]) {
    let rows = probe::route_rows(bytes);
    assert!(rows <= bytes.len() / 16, "more rows than headers fit");
}
