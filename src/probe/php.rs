//! PHP-FPM on this host: its pool by the files, the limits of PHP, what the pool says of itself,
//! its processes, and whether they wait for one file's lock.
//!
//! The files are those at well-known places. The status is asked for over FastCGI where the pool's
//! file names a path for it, within 80 ms, and only where the server may be asked questions at all.

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::BytesMut;

use crate::config::{Probe, Scheme, ServerAddress};
use crate::diagnose::around::{
    self, FILE_MAX, FileLock, INI_MAX, Limits, Listen, Need, OtherPool, Php, Piece, Pool,
    PoolSettings, PoolStatus, Seen, SessionLock, TREES, Tree, Workers,
};
use crate::diagnose::{Phase, entry};
use crate::upstream::fastcgi::params::Params;
use crate::upstream::fastcgi::record::{self, Event, Records, Stream};

use super::connects::connect_now;
use super::look::Question;
use super::places::places;
use super::processes;
use super::read;

/// For the status page, its connect included: a pool with a free worker answers within two
/// milliseconds.
const STATUS_LIMIT: Duration = Duration::from_millis(80);
/// The status of more than 500 workers.
const STATUS_MAX: usize = 256 * 1024;
const LOCKS_MAX: u64 = 256 * 1024;
/// Pools of other servers that are kept.
const OTHERS_MAX: usize = 16;
/// Sessions whose files are looked at to find the one that is locked.
const SESSIONS_MAX: usize = 20_000;
/// Programs that run PHP; the kernel cuts names at 15 bytes.
const PROGRAMS: [&str; 6] = ["php-fpm", "php-cgi", "lsphp", "apache2", "httpd", "frankenphp"];
/// Where sessions are kept where no file says so: as Debian's packages and RHEL's have it, and PHP.
const SESSIONS: [&str; 3] = ["/var/lib/php/sessions", "/var/lib/php/session", "/tmp"];

/// The lane of the look.
pub fn lane(question: &Question) -> Piece {
    let mut php = Php::default();
    if !question.is_here {
        return Piece::Php(php);
    }
    if question.server().scheme == Scheme::FastCgi {
        let address = address(question);
        let found = Found::look(&address);
        php.limits = found.limits();
        php.others = found.others;
        php.settings = match (found.pool, found.denied) {
            (Some((pool, ..)), _) => Seen::Found(pool.settings),
            (None, Some(need)) => Seen::Denied(need),
            (None, None) => Seen::Nothing,
        };
        let pool = php.settings.found();
        php.workers = pool.map_or(Seen::Unlooked, |pool| workers(&pool.name));
        php.status = pool.map_or(Seen::Unlooked, |pool| asked(question, pool, &address));
    }
    php.session_lock = session_lock(&php);
    Piece::Php(php)
}

/// What a name was resolved to is an address as well.
fn address(question: &Question) -> ServerAddress {
    match (&question.server().address, question.address) {
        (ServerAddress::Name { .. }, Some(address)) => ServerAddress::Ip(address),
        (address, _) => address.clone(),
    }
}

/// What the files at well-known places say.
#[derive(Debug, Default)]
struct Found {
    /// The pool of the server, and the installation that it is of.
    pool: Option<(Pool, PathBuf, Tree)>,
    others: Vec<OtherPool>,
    /// Why some file could not be read.
    denied: Option<Need>,
}

impl Found {
    fn look(address: &ServerAddress) -> Found {
        let canonical = match address {
            ServerAddress::Unix(path) => fs::canonicalize(path).ok(),
            ServerAddress::Ip(_) | ServerAddress::Name { .. } => None,
        };
        let mut found = Found::default();
        for tree in TREES {
            for root in places(tree.root) {
                for pattern in tree.pools {
                    for file in places(&format!("{}/{pattern}", root.display())) {
                        found.read(&file, address, canonical.as_deref(), (&root, tree));
                    }
                }
            }
        }
        found
    }

    fn read(
        &mut self,
        file: &Path,
        address: &ServerAddress,
        canonical: Option<&Path>,
        (root, tree): (&Path, Tree),
    ) {
        let text = match read::head(file, FILE_MAX) {
            Seen::Found(text) => text,
            Seen::Denied(need) => {
                self.denied = Some(need);
                return;
            }
            Seen::Unlooked | Seen::Nothing | Seen::Late => return,
        };
        for pool in around::pools(file, &text) {
            let Some(listen) = pool.settings.listen.clone() else { continue };
            if self.pool.is_none() && around::leads_to(&listen, address, canonical) {
                self.pool = Some((pool, root.to_owned(), tree));
            } else if self.others.len() < OTHERS_MAX {
                let (name, file) = (pool.settings.name, file.to_owned());
                self.others.push(OtherPool { name, listen, file });
            }
        }
    }

    /// php.ini, the files beside it in their order, and what the pool sets.
    fn limits(&self) -> Seen<Limits> {
        let Some((pool, root, tree)) = &self.pool else { return Seen::Unlooked };
        let ini = root.join(tree.ini);
        let mut limits = Limits::default();
        match read::head(&ini, INI_MAX) {
            Seen::Found(text) => around::limits(&ini, &text, &mut limits),
            Seen::Denied(need) => return Seen::Denied(need),
            Seen::Unlooked | Seen::Nothing | Seen::Late => {}
        }
        if !tree.scan.is_empty() {
            for file in places(&format!("{}/{}/*.ini", root.display(), tree.scan)) {
                if let Seen::Found(text) = read::head(&file, FILE_MAX) {
                    around::limits(&file, &text, &mut limits);
                }
            }
        }
        Seen::Found(limits.overridden(&pool.limits))
    }
}

/// The pool's processes by their state.
fn workers(pool: &str) -> Seen<Workers> {
    let title = format!("php-fpm: pool {pool}");
    let mut workers = Workers::default();
    let mut count = 0;
    for process in processes::named(&["php-fpm"]) {
        if processes::title(process.id).as_deref() != Some(title.as_str()) {
            continue;
        }
        count += 1;
        match process.state {
            'R' => workers.running += 1,
            'D' => workers.blocked += 1,
            'T' | 't' => workers.stopped += 1,
            'Z' | 'X' => workers.zombies += 1,
            // Asleep in whatever way.
            _ => workers.sleeping += 1,
        }
    }
    match count {
        0 if processes::are_hidden() => Seen::Denied(Need::OtherProcesses),
        0 => Seen::Nothing,
        _ => Seen::Found(workers),
    }
}

/// The status page, where the pool has one and it makes sense to ask.
fn asked(question: &Question, pool: &PoolSettings, address: &ServerAddress) -> Seen<PoolStatus> {
    // Who could not be connected to is not asked once more.
    let reached = match entry(question.code).phase {
        Phase::Send | Phase::Head | Phase::Body => true,
        Phase::Request | Phase::Route | Phase::Resolve | Phase::Connect | Phase::Tls => false,
    };
    let Some(path) = pool.status_path.as_deref().filter(|_| reached) else {
        return Seen::Unlooked;
    };
    if question.upstream.probe == Probe::Never {
        return Seen::Unlooked;
    }
    let address = match pool.status_listen.as_deref().and_then(around::listen) {
        None => address.clone(),
        Some(Listen::Unix(path)) => ServerAddress::Unix(path.into()),
        Some(Listen::Tcp(host, port)) => {
            let host = host.map_or(Some(Ipv4Addr::LOCALHOST.into()), |host| host.parse().ok());
            match host.filter(IpAddr::is_loopback) {
                Some(ip) => ServerAddress::Ip(SocketAddr::new(ip, port)),
                None => return Seen::Unlooked,
            }
        }
    };
    match status_page(&address, path) {
        None => Seen::Late,
        Some(page) => {
            let page = String::from_utf8_lossy(&page);
            let body = page.split_once("\r\n\r\n").map_or("", |(_, body)| body);
            around::status(body, path).map_or(Seen::Nothing, Seen::Found)
        }
    }
}

/// Asks for it; `None` where no whole answer came in time.
fn status_page(address: &ServerAddress, path: &str) -> Option<Vec<u8>> {
    let deadline = Instant::now() + STATUS_LIMIT;
    let mut stream = connect_now(address, STATUS_LIMIT)?;
    let mut question = Vec::new();
    record::begin_request(&mut question, false);
    let mut params = Params::new(&mut question);
    // What php-fpm_status reads (sapi/fpm/fpm/fpm_status.c); no script is run for it.
    for (name, value) in [
        ("SCRIPT_NAME", path),
        ("SCRIPT_FILENAME", path),
        ("REQUEST_URI", path),
        ("QUERY_STRING", "json&full"),
        ("REQUEST_METHOD", "GET"),
    ] {
        params.push(name.as_bytes(), value.as_bytes()).ok()?;
    }
    params.finish();
    record::end_stream(&mut question, Stream::Stdin);
    stream.set_write_timeout(Some(STATUS_LIMIT)).ok()?;
    stream.write_all(&question).ok()?;
    let (mut records, mut input, mut page) = (Records::default(), BytesMut::new(), Vec::new());
    let mut piece = vec![0; 16 * 1024];
    loop {
        let left =
            deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
        stream.set_read_timeout(Some(left)).ok()?;
        let read = stream.read(&mut piece).ok().filter(|read| *read > 0)?;
        input.extend_from_slice(&piece[..read]);
        loop {
            match records.next(&mut input).ok()? {
                Event::Stdout(part) if page.len() + part.len() <= STATUS_MAX => {
                    page.extend_from_slice(&part);
                }
                Event::Stdout(_) => return None,
                Event::Stderr(_) => {}
                Event::End { .. } => return Some(page),
                Event::More => break,
            }
        }
    }
}

/// Whether processes of PHP wait for one file; the file with the most of them.
fn session_lock(php: &Php) -> Seen<SessionLock> {
    let locks = match read::head(Path::new("/proc/locks"), LOCKS_MAX) {
        Seen::Found(text) => around::waited_for(&text),
        Seen::Denied(need) => return Seen::Denied(need),
        Seen::Unlooked | Seen::Nothing | Seen::Late => return Seen::Nothing,
    };
    let pool = php.settings.found().map(|pool| format!("php-fpm: pool {}", pool.name));
    let folders = session_folders(php);
    let held = locks.into_iter().filter_map(|lock| {
        let waiting = lock.waiting.iter().filter(|id| waits(**id, pool.as_deref()));
        let count = waiting.count();
        // Of processes that are hidden from us, the file must speak.
        let hidden = count == 0 && lock.waiting.iter().all(|id| processes::process(*id).is_none());
        let is_session = (count > 0 || hidden) && folders.iter().any(|folder| is_in(&lock, folder));
        let waiting = if count > 0 {
            count
        } else if is_session {
            lock.waiting.len()
        } else {
            0
        };
        let waiting = u32::try_from(waiting).unwrap_or(u32::MAX);
        (waiting > 0).then_some(SessionLock { waiting, holder: lock.holder, is_session })
    });
    held.max_by_key(|lock| (lock.is_session, lock.waiting)).map_or(Seen::Nothing, Seen::Found)
}

/// Whether a process is one of PHP, and of this pool where that is known.
fn waits(id: u32, pool: Option<&str>) -> bool {
    let Some(process) = processes::process(id) else { return false };
    let is_php = processes::is_named(&process, &PROGRAMS);
    is_php && pool.is_none_or(|pool| processes::title(id).as_deref() == Some(pool))
}

fn session_folders(php: &Php) -> Vec<PathBuf> {
    let pool = php.settings.found().and_then(|pool| pool.session_save_path.clone());
    let ini = php.limits.found().and_then(|limits| limits.session_save_path.clone());
    match pool.or(ini) {
        Some(folder) => vec![folder],
        None => SESSIONS.map(PathBuf::from).into(),
    }
}

/// Whether a folder that may be listed has the file among its sessions.
fn is_in(lock: &FileLock, folder: &Path) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().take(SESSIONS_MAX).flatten();
    let is_it = |entry: &fs::DirEntry| {
        let is_session = entry.file_name().as_encoded_bytes().starts_with(b"sess_");
        is_session && entry.ino() == lock.inode
    };
    let mut found = entries.filter(is_it);
    // An inode's number is that of one file system; those of some are others to the kernel's list.
    found.any(|entry| entry.metadata().is_ok_and(|file| file.ino() == lock.inode))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::thread;

    use super::*;

    const STATUS: &[u8] = b"Content-Type: application/json\r\n\r\n{\"pool\":\"www\",\
        \"active processes\":1,\"idle processes\":2}";

    /// A pool that reads a question and answers with these bytes, in records or not.
    fn pool(dir: &Path, answer: Vec<u8>) -> ServerAddress {
        let path = dir.join("fpm.sock");
        let listener = UnixListener::bind(&path).unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut question = [0; 1024];
            assert!(stream.read(&mut question).unwrap() > 0);
            // Whoever asked may have left.
            let _ = stream.write_all(&answer);
        });
        ServerAddress::Unix(path)
    }

    fn in_records(page: &[u8]) -> Vec<u8> {
        let length = (page.len() as u16).to_be_bytes();
        let mut answer = vec![1, 6, 0, 1, length[0], length[1], 0, 0];
        answer.extend_from_slice(page);
        answer.extend_from_slice(b"\x01\x03\0\x01\0\x08\0\0\0\0\0\0\0\0\0\0");
        answer
    }

    #[test]
    fn the_status_page_comes_by_records() {
        let dir = tempfile::tempdir().unwrap();
        let address = pool(dir.path(), in_records(STATUS));
        assert_eq!(status_page(&address, "/status").as_deref(), Some(STATUS));
    }

    #[test]
    fn what_is_no_status_page_is_none_and_keeps_nobody() {
        for answer in [b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), Vec::new(), vec![1, 6, 0]] {
            let dir = tempfile::tempdir().unwrap();
            let address = pool(dir.path(), answer);
            assert_eq!(status_page(&address, "/status"), None);
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("silent.sock");
        let began = Instant::now();
        let silent = UnixListener::bind(&path).unwrap();
        let address = ServerAddress::Unix(path.clone());
        assert_eq!(status_page(&address, "/status"), None);
        assert!(began.elapsed() < STATUS_LIMIT * 5, "{:?}", began.elapsed());
        drop(silent);
        assert_eq!(status_page(&address, "/status"), None);
    }

    /// A queue that is full is not waited at.
    #[test]
    fn a_full_queue_keeps_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("full.sock");
        let listener = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None);
        let listener = listener.unwrap();
        listener.bind(&socket2::SockAddr::unix(&path).unwrap()).unwrap();
        listener.listen(1).unwrap();
        let _waiting = [(); 2].map(|()| UnixStream::connect(&path).unwrap());
        let began = Instant::now();
        assert_eq!(status_page(&ServerAddress::Unix(path), "/status"), None);
        assert!(began.elapsed() < STATUS_LIMIT * 5, "{:?}", began.elapsed());
    }

    #[test]
    fn the_pool_of_a_server_is_found_among_others() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("www.conf");
        fs::write(&file, "[www]\nlisten = /run/a.sock\n[b]\nlisten = 9000\n").unwrap();
        let address = ServerAddress::Unix("/run/a.sock".into());
        let mut found = Found::default();
        found.read(&file, &address, None, (dir.path(), TREES[0]));
        assert_eq!(found.pool.as_ref().map(|(pool, ..)| pool.settings.name.as_str()), Some("www"));
        let other = OtherPool { name: "b".into(), listen: "9000".into(), file };
        assert_eq!(found.others, [other]);
        // No php.ini there: nothing is known but what the pool sets.
        assert_eq!(found.limits(), Seen::Found(Limits::default()));
    }
}
