//! What a pool says of itself (`pm.status_path` with `json&full`), and the locks of files that
//! somebody waits for (/proc/locks): text in, values out. Pure.

use std::time::Duration;

use serde_json::Value;

use crate::diagnose::print::visible;

use super::php::{PoolStatus, Worker};

/// Workers that are shown.
const WORKERS_MAX: usize = 64;
/// Locks of one host that are looked at.
const LOCKS_MAX: usize = 4096;

/// The status page as JSON; `None` where it is none. A page whose list of workers is broken, by a
/// path that PHP-FPM does not escape, is read without it.
pub fn status(page: &str, own_path: &str) -> Option<PoolStatus> {
    let whole = serde_json::from_str(page).ok();
    let table: Value = match whole {
        Some(table) => table,
        None => {
            let (head, _) = page.split_once("\"processes\"")?;
            let head = head.trim_end().trim_end_matches(',');
            serde_json::from_str(&format!("{head}}}")).ok()?
        }
    };
    let number = |key: &str| table.get(key).and_then(Value::as_u64);
    let small = |key: &str| number(key).and_then(|n| u32::try_from(n).ok()).unwrap_or_default();
    let mut status = PoolStatus {
        pool: visible(table.get("pool")?.as_str()?),
        up: Duration::from_secs(number("start since").unwrap_or_default()),
        active: u32::try_from(number("active processes")?).ok()?,
        idle: small("idle processes"),
        total: small("total processes"),
        listen_queue: small("listen queue"),
        max_listen_queue: small("max listen queue"),
        listen_queue_len: small("listen queue len"),
        max_children_reached: small("max children reached"),
        slow_requests: small("slow requests"),
        accepted: number("accepted conn").unwrap_or_default(),
        workers: Vec::new(),
    };
    // Our own question keeps one of them busy, but where it is asked at a listener of its own.
    let busy = table.get("processes").and_then(Value::as_array).into_iter().flatten();
    let workers = busy.filter_map(worker).filter(|worker| worker.path != own_path);
    status.workers = workers.take(WORKERS_MAX).collect();
    status.workers.sort_by_key(|worker| std::cmp::Reverse(worker.running));
    Some(status)
}

/// One that is at a request.
fn worker(row: &Value) -> Option<Worker> {
    let text = |key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default();
    if text("state") == "Idle" {
        return None;
    }
    let path = text("request uri").split('?').next().unwrap_or_default();
    // Microseconds.
    let running = row.get("request duration").and_then(Value::as_u64)?;
    Some(Worker {
        pid: u32::try_from(row.get("pid")?.as_u64()?).ok()?,
        script: visible(text("script")),
        method: visible(text("request method")),
        path: visible(path),
        running: Duration::from_micros(running),
    })
}

/// A lock of a whole file (flock(2)) that somebody waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileLock {
    /// Major and minor number.
    pub device: (u32, u32),
    pub inode: u64,
    pub holder: Option<u32>,
    pub waiting: Vec<u32>,
}

/// Those of /proc/locks (proc_locks(5)): a line of one that waits follows that of the holder, with
/// `->` behind the number.
pub fn waited_for(text: &str) -> Vec<FileLock> {
    let mut found: Vec<FileLock> = Vec::new();
    for line in text.lines().take(LOCKS_MAX) {
        let mut words = line.split_ascii_whitespace().skip(1).peekable();
        let waits = words.next_if_eq(&"->").is_some();
        let Some((pid, device, inode)) = flock(words) else { continue };
        let same = found.iter_mut().find(|lock| lock.device == device && lock.inode == inode);
        match (same, waits) {
            (Some(lock), true) => lock.waiting.extend(pid),
            (None, true) => {
                let waiting = pid.into_iter().collect();
                found.push(FileLock { device, inode, holder: None, waiting });
            }
            // Several may share one.
            (Some(_), false) => {}
            (None, false) => {
                found.push(FileLock { device, inode, holder: pid, waiting: Vec::new() });
            }
        }
    }
    found.retain(|lock| !lock.waiting.is_empty());
    found
}

/// `FLOCK ADVISORY WRITE 1234 fe:00:5341186 0 EOF`; the process may be one that has no number here.
fn flock<'t>(mut words: impl Iterator<Item = &'t str>) -> Option<(Option<u32>, (u32, u32), u64)> {
    if words.next()? != "FLOCK" {
        return None;
    }
    let pid = words.nth(2)?.parse().ok().filter(|pid| *pid > 0);
    let mut file = words.next()?.split(':');
    let mut hex = || u32::from_str_radix(file.next()?, 16).ok();
    let device = (hex()?, hex()?);
    Some((pid, device, file.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As 8.2 prints it.
    const PAGE: &str = r#"{"pool":"www","process manager":"static","start time":1795312000,
"start since":61,"accepted conn":7,"listen queue":3,"max listen queue":4,"listen queue len":511,
"idle processes":0,"active processes":2,"total processes":2,"max active processes":2,
"max children reached":1,"slow requests":5,"processes":[
{"pid":101,"state":"Running","start time":1795312000,"start since":61,"requests":4,
"request duration":254,"request method":"GET","request uri":"/status?json&full",
"content length":0,"user":"-","script":"-","last request cpu":0.00,"last request memory":0},
{"pid":102,"state":"Running","start time":1795312000,"start since":61,"requests":3,
"request duration":2500000,"request method":"GET","request uri":"/a.php?b=secret",
"content length":0,"user":"-","script":"/srv/a.php","last request cpu":0.00},
{"pid":103,"state":"Idle","start time":1795312000,"start since":61,"requests":3,
"request duration":11,"request method":"GET","request uri":"/i.php","content length":0,
"user":"-","script":"/srv/i.php","last request cpu":0.00,"last request memory":2097152}]}"#;

    #[test]
    fn the_status_of_a_pool_is_read() {
        let found = status(PAGE, "/status").unwrap();
        assert_eq!((found.active, found.idle, found.listen_queue), (2, 0, 3));
        assert_eq!((found.max_children_reached, found.slow_requests), (1, 5));
        let [worker] = &found.workers[..] else { panic!("{found:?}") };
        assert_eq!((worker.pid, worker.path.as_str()), (102, "/a.php"));
        assert_eq!(worker.running, Duration::from_millis(2500));
    }

    #[test]
    fn a_status_that_is_broken_is_read_as_far_as_it_goes() {
        let broken = PAGE.replace("/a.php", "/a\".php");
        let found = status(&broken, "/status").unwrap();
        assert_eq!((found.active, found.workers.len()), (2, 0));
        for text in ["", "{}", "[]", "File not found.\n", "{\"pool\":1}", "{\"pool\":\"a\"}"] {
            assert_eq!(status(text, "/status"), None, "{text}");
        }
        for end in 0..PAGE.len() {
            status(&PAGE[..end], "/status");
        }
    }

    #[test]
    fn who_waits_for_a_file_is_read() {
        let text = "1: FLOCK  ADVISORY  WRITE 9447 fe:00:5341186 0 EOF\n\
            1: -> FLOCK  ADVISORY  WRITE 9450 fe:00:5341186 0 EOF\n\
            1: -> FLOCK  ADVISORY  WRITE 9451 fe:00:5341186 0 EOF\n\
            2: POSIX  ADVISORY  WRITE 12 fe:00:77 0 EOF\n\
            2: -> POSIX  ADVISORY  WRITE 13 fe:00:77 0 EOF\n\
            3: FLOCK  ADVISORY  READ 9444 fe:01:10 0 EOF\n\
            4: LEASE  ACTIVE READ 5 fe:00:3 0 EOF\n4: FLOCK\n\n::\n";
        let expected = FileLock {
            device: (0xfe, 0),
            inode: 5_341_186,
            holder: Some(9447),
            waiting: vec![9450, 9451],
        };
        assert_eq!(waited_for(text), [expected]);
        for end in 0..text.len() {
            waited_for(&text[..end]);
        }
    }
}
