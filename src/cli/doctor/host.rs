//! What the doctor checks that belongs to no request: certificates, time-outs against PHP's,
//! limits, the unit, disks, the clock, the log, and the addresses to listen at.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustix::fs::Access;
use rustix::process::Resource;

use crate::config::{self, AccessLog, Config, ListenAddress, Scheme, ServerAddress, Upstream};
use crate::diagnose::around::{Around, Disk, Need, Seen};
use crate::diagnose::{Ailment, Code, Meaning, visible};
use crate::probe;

use super::Check;
use super::unit::{self, Unit};

/// A certificate that ends sooner should have been renewed: authorities do it a month before.
const CERTIFICATE_DAYS: u64 = 14;
/// Descriptors beside those of connections: listeners, logs, files, the runtime's own.
const OTHER_DESCRIPTORS: u64 = 128;
/// The doctor may look longer than a page may be waited for.
const LOOK: Duration = Duration::from_secs(1);
/// Less than a twentieth is short.
const SHORT: u64 = 20;

/// What the shipped unit does without: processes and files that are another user's alone.
const USUAL: [Need; 2] = [Need::OtherProcesses, Need::Owner];

/// Everything of this host.
pub fn checks(config: &Config) -> Vec<Check> {
    let unit = unit::unit();
    let mut checks: Vec<Check> = config.tls.certificates.iter().map(own_certificate).collect();
    let looks: Vec<_> = config.upstreams.iter().map(|block| (block, look(config, block))).collect();
    for (block, around) in &looks {
        checks.extend(php(block, around));
    }
    checks.push(descriptors(config, unit.as_ref()));
    checks.push(evidence(unit.as_ref(), looks.iter().map(|(_, around)| around)));
    checks.extend(disks(config, looks.iter().map(|(_, around)| around)));
    checks.extend(clock(&probe::synchronized()));
    checks.extend(log(config));
    checks.extend(config.listeners.iter().filter_map(|listener| match &listener.address {
        ListenAddress::Tcp(address) => Some(listens(*address, unit.as_ref())),
        ListenAddress::Unix(_) | ListenAddress::Systemd(_) => None,
    }));
    checks
}

fn own_certificate(files: &config::Certificate) -> Check {
    let subject = visible(&files.chain.display().to_string());
    match config::read_pair(files) {
        Ok(pair) => certificate(subject, pair.not_after),
        // The configuration was proven to be readable a moment ago.
        Err(_) => Check::well("certificate", subject),
    }
}

/// How a certificate stands that ends then.
pub fn certificate(subject: String, end: SystemTime) -> Check {
    let kind = "certificate";
    match end.duration_since(SystemTime::now()) {
        Err(_) => Check::ails(kind, subject, Ailment::CertificateExpired, ""),
        Ok(left) => match left.as_secs() / 86_400 {
            days if days < CERTIFICATE_DAYS => {
                let value = format!("days_left: {days}");
                Check::ails(kind, subject, Ailment::CertificateExpires, value)
            }
            _ => Check::well(kind, subject),
        },
    }
}

/// The look that a failure of the block's first server would have.
fn look(config: &Config, block: &Arc<Upstream>) -> Around {
    let servers = config.upstreams.iter().flat_map(|block| &block.servers);
    let address = block.servers.first().and_then(|server| match &server.address {
        ServerAddress::Ip(address) => Some(*address),
        ServerAddress::Name { .. } | ServerAddress::Unix(_) => None,
    });
    let is_unix = |server: &config::Server| matches!(server.address, ServerAddress::Unix(_));
    let question = Arc::new(probe::Question {
        upstream: block.clone(),
        server: 0,
        address,
        is_here: block.servers.first().is_some_and(is_unix) || address.is_some_and(probe::is_here),
        code: Code::FirstByteTimeout,
        since: SystemTime::now(),
        servers: servers
            .map(|server| server.address.clone())
            .chain(config.own_addresses())
            .collect(),
        listeners: config.listeners.iter().filter_map(|of| tcp(&of.address)).collect(),
        layout: probe::layout(),
    });
    let mut found = Around::default();
    probe::look(&question, LOOK, |around| found = around);
    found
}

fn tcp(address: &ListenAddress) -> Option<SocketAddr> {
    match address {
        ListenAddress::Tcp(address) => Some(*address),
        ListenAddress::Unix(_) | ListenAddress::Systemd(_) => None,
    }
}

/// Limits of PHP that contradict ours, where they are known.
fn php(block: &Upstream, around: &Around) -> Vec<Check> {
    if !block.servers.iter().any(|server| server.scheme == Scheme::FastCgi) {
        return Vec::new();
    }
    let mut checks = Vec::new();
    let (limits, settings) = (around.php.limits.found(), around.php.settings.found());
    let works = limits.and_then(|limits| limits.max_execution_time);
    let ends = settings.and_then(|settings| settings.request_terminate_timeout);
    // Waiting for a database is no execution time, so that the pool's limit says more.
    let known = [("max_execution_time", works), ("request_terminate_timeout", ends)];
    let set = known.into_iter().filter_map(|(name, limit)| Some((name, limit?)));
    let waits = block.timeouts.first_byte;
    if let Some((name, limit)) = set.filter(|(_, limit)| !limit.is_zero()).max_by_key(|(_, l)| *l) {
        let value = format!("first_byte: {} s, {name}: {} s", waits.as_secs(), limit.as_secs());
        checks.push(match waits < limit {
            true => Check::ails("timeouts", &block.name, Ailment::PhpMayWorkLonger, value),
            false => Check::well("timeouts", &block.name),
        });
    }
    if let Some(post) = limits.and_then(|limits| limits.post_max_bytes) {
        let spool = block.limits.spool_bytes;
        let value = format!("spool: {} MiB, post_max_size: {} MiB", spool >> 20, post >> 20);
        checks.push(match spool < post {
            true => Check::ails("uploads", &block.name, Ailment::PhpTakesLargerUploads, value),
            false => Check::well("uploads", &block.name),
        });
    }
    checks
}

/// Whether every connection that is allowed may have its descriptor.
fn descriptors(config: &Config, unit: Option<&Unit>) -> Check {
    let upstreams: u64 = config.upstreams.iter().map(|block| block.limits.connections as u64).sum();
    let wanted = config.client.connections as u64 + upstreams + OTHER_DESCRIPTORS;
    let own = || rustix::process::getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    let limit = unit.and_then(|unit| unit.files).unwrap_or_else(own);
    match limit < wanted {
        true => {
            let value = format!("limit: {limit}, wanted: {wanted}");
            Check::ails("descriptors", "LimitNOFILE", Ailment::FewDescriptors, value)
        }
        false => Check::well("descriptors", "LimitNOFILE"),
    }
}

/// Whether all that explains failures may be read: by the unit, and by who looks now.
fn evidence<'a>(unit: Option<&Unit>, arounds: impl Iterator<Item = &'a Around>) -> Check {
    let subject = unit::own_name();
    let mut hidden = unit.map(Unit::hides).unwrap_or_default();
    for found in arounds.flat_map(Around::findings) {
        let is_usual = USUAL.iter().any(|need| found.value.ends_with(&need.to_string()));
        if found.meaning == Some(Meaning::NotAllowed) && !is_usual {
            let row = format!("{}: {}", found.key, found.value);
            if !hidden.contains(&row) {
                hidden.push(row);
            }
        }
    }
    match hidden.is_empty() {
        true => Check::well("evidence", subject),
        false => Check::ails("evidence", subject, Ailment::EvidenceHidden, hidden.join("; ")),
    }
}

/// Those that the site writes to, and that we do.
fn disks<'a>(config: &Config, arounds: impl Iterator<Item = &'a Around>) -> Vec<Check> {
    let mut disks: Vec<Disk> = arounds.flat_map(|around| around.host.disks.clone()).collect();
    let log = match &config.log.access {
        AccessLog::File(path) => path.parent().map(Path::to_owned),
        AccessLog::Stdout | AccessLog::Off => None,
    };
    let own = [log, Some(std::env::temp_dir()), Some(PathBuf::from("/var/lib/causeway"))];
    disks.extend(probe::disks(own.into_iter().flatten()));
    disks.sort_by(|a, b| a.path.cmp(&b.path));
    disks.dedup_by(|a, b| a.path == b.path);
    disks.iter().map(room).collect()
}

fn room(disk: &Disk) -> Check {
    let subject = visible(&disk.path.display().to_string());
    // Some file systems count neither (tmpfs may have no limit, btrfs no inodes).
    let short = |free: u64, total: u64| total > 0 && free < total / SHORT;
    let (bytes, inodes) =
        ((disk.free_bytes, disk.total_bytes), (disk.free_inodes, disk.total_inodes));
    let value = format!("free: {} MiB, {} inodes", bytes.0 >> 20, inodes.0);
    if disk.read_only {
        // An image is full by its nature; a log that cannot be written is told by `log`.
        Check::well("disk", subject)
    } else if disk.is_full() {
        Check::ails("disk", subject, Ailment::DiskFull, value)
    } else if short(bytes.0, bytes.1) || short(inodes.0, inodes.1) {
        Check::ails("disk", subject, Ailment::DiskShort, value)
    } else {
        Check::well("disk", subject)
    }
}

/// Nothing where nobody says who keeps the clock: a container has that of its host.
fn clock(synchronized: &Seen<bool>) -> Option<Check> {
    match synchronized {
        Seen::Found(true) => Some(Check::well("clock", "NTP")),
        Seen::Found(false) => Some(Check::ails("clock", "NTP", Ailment::ClockNotSynchronized, "")),
        Seen::Unlooked | Seen::Nothing | Seen::Denied(_) | Seen::Late => None,
    }
}

/// Whether the access log can be written, by who looks now.
fn log(config: &Config) -> Option<Check> {
    let AccessLog::File(path) = &config.log.access else { return None };
    let subject = visible(&path.display().to_string());
    let place = if path.exists() { path.as_path() } else { path.parent()? };
    let folder = path.parent().is_some_and(Path::is_dir);
    Some(match rustix::fs::access(place, Access::WRITE_OK) {
        Ok(()) if folder => Check::well("access_log", subject),
        Ok(()) => Check::ails("access_log", subject, Ailment::LogNotWritable, "no such folder"),
        Err(error) => {
            let error = io::Error::from(error).to_string();
            Check::ails("access_log", subject, Ailment::LogNotWritable, error)
        }
    })
}

/// Whether an address is free, or ours already. Bound for a moment, and never listened at.
fn listens(address: SocketAddr, unit: Option<&Unit>) -> Check {
    let (kind, subject) = ("listener", address.to_string());
    let bound = || {
        let socket = socket2::Socket::new(
            socket2::Domain::for_address(address),
            socket2::Type::STREAM,
            None,
        )?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())
    };
    match bound() {
        Ok(()) => Check::well(kind, subject),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_served(unit) => {
            Check::well(kind, subject)
        }
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            Check::ails(kind, subject, Ailment::AddressTaken, error.to_string())
        }
        // Who looks may not; the service may.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Check::well(kind, subject),
        Err(error) => Check::ails(kind, subject, Ailment::AddressUnusable, error.to_string()),
    }
}

/// Whether the service runs: then an address that is in use is taken to be its.
fn is_served(unit: Option<&Unit>) -> bool {
    unit.is_some_and(|unit| unit.pid.is_some()) || others().any(|name| name.trim() == "causeway")
}

/// The names of the processes of this host, but for this one (proc(5)).
fn others() -> impl Iterator<Item = String> {
    let own = std::process::id().to_string();
    let entries = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let numbered = entries.filter(move |entry| {
        let name = entry.file_name();
        let number = name.to_str().is_some_and(|name| name.bytes().all(|b| b.is_ascii_digit()));
        number && name.to_str() != Some(own.as_str())
    });
    numbered.filter_map(|entry| fs::read_to_string(entry.path().join("comm")).ok())
}

#[cfg(test)]
mod tests {
    use crate::diagnose::around::{Limits, Php, PoolSettings};

    use super::*;

    fn ailment(check: &Check) -> Option<Ailment> {
        check.found.as_ref().map(|found| found.ailment)
    }

    #[test]
    fn a_disk_is_full_short_or_well() {
        let disk = |free_bytes, total_bytes| Disk {
            path: "/srv".into(),
            free_bytes,
            total_bytes,
            free_inodes: 0,
            total_inodes: 0,
            read_only: false,
        };
        for (disk, expected) in [
            (disk(10, 100), None),
            (disk(4, 100), Some(Ailment::DiskShort)),
            (disk(0, 100), Some(Ailment::DiskFull)),
            (disk(0, 0), None),
            (Disk { read_only: true, ..disk(0, 100) }, None),
            (Disk { total_inodes: 10, ..disk(10, 100) }, Some(Ailment::DiskFull)),
        ] {
            assert_eq!(ailment(&room(&disk)), expected, "{disk:?}");
        }
    }

    #[test]
    fn a_clock_is_told_of_where_somebody_knows() {
        for (seen, expected) in [
            (Seen::Nothing, None),
            (Seen::Found(true), Some(None)),
            (Seen::Found(false), Some(Some(Ailment::ClockNotSynchronized))),
        ] {
            assert_eq!(clock(&seen).as_ref().map(ailment), expected, "{seen:?}");
        }
    }

    #[test]
    fn timeouts_that_contradict_those_of_php_are_told() {
        let server = config::Server {
            scheme: Scheme::FastCgi,
            address: ServerAddress::Unix("/run/php/php-fpm.sock".into()),
        };
        let block = Upstream::new("shop", vec![server]);
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let around = |works, ends| {
            let limits = Limits { max_execution_time: works, ..Limits::default() };
            let settings =
                PoolSettings { request_terminate_timeout: ends, ..PoolSettings::default() };
            let (limits, settings) = (Seen::Found(limits), Seen::Found(settings));
            let php = Php { limits, settings, ..Php::default() };
            Around { php, ..Around::default() }
        };
        let longer = Some(Some(Ailment::PhpMayWorkLonger));
        for (works, ends, expected) in [
            (None, None, None),
            (seconds(30), None, Some(None)),
            (seconds(60), seconds(0), Some(None)),
            (seconds(30), seconds(61), longer),
            (seconds(300), None, longer),
        ] {
            let found = php(&block, &around(works, ends));
            assert_eq!(found.first().map(ailment), expected, "{works:?} {ends:?}");
        }
    }
}
