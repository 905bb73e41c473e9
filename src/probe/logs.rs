//! What the logs of this host say of the failure's seconds: the journal, the error logs of Apache,
//! nginx and PHP-FPM at their places, those that the configuration names, and WordPress' debug.log.
//! Of web servers only that is asked whose configuration names the server's address.
//!
//! Of each file the end is read; `journalctl` is started with a limit for its output and its time.
//! The words are `diagnose::log`'s. A path comes from the configuration or the layout alone.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::tz::TimeZone;

use crate::config::Scheme;
use crate::diagnose::Layout;
use crate::diagnose::around::{KnownBy, Lines, LogSource, Need, Piece, Seen, Sign};
use crate::diagnose::log::{self, Clock, Program, Says};

use super::look::Question;
use super::places::places;
use super::read::{self, Tail};
use super::units::candidates;

/// What is read of a file: some thousand lines.
const FILE_BYTES_MAX: u64 = 256 << 10;
/// Files that are looked into.
const FILES_MAX: usize = 16;
/// Lines of a file that are taken apart, from its end.
const FILE_LINES_MAX: usize = 2000;
/// How long before the failure a line may be that has to do with it.
const BEFORE: Duration = Duration::from_secs(10);
/// The same of what a program says once and not again while it lasts.
const BEFORE_ONCE: Duration = Duration::from_secs(600);
/// The same of why a start came to nothing: it is down since, until somebody mends it.
const BEFORE_START: Duration = Duration::from_secs(24 * 3600);
/// What is kept, the most telling first.
const LINES_MAX: usize = 20;
/// journalctl answers within 30 ms.
const JOURNAL_LIMIT: Duration = Duration::from_millis(120);
const JOURNAL_BYTES_MAX: u64 = 512 << 10;
const JOURNAL_ENTRIES: &str = "200";
const JOURNALCTL: &str = "/usr/bin/journalctl";
/// The journal's files, on disk and in memory.
const JOURNALS: [&str; 2] =
    ["/var/log/journal/*/system.journal", "/run/log/journal/*/system.journal"];
const NGINX_LOG: &str = "/var/log/nginx/error.log";
const DEBUG_LOG: &str = "wp-content/debug.log";

/// The lane of the look.
pub fn lane(question: &Question) -> Piece {
    let mut lines = Lines::default();
    if question.is_here {
        let found = Search::of(question);
        let logs = Logs::of(question);
        for file in files(question, &logs) {
            found.file(&file, read::tail(&file, FILE_BYTES_MAX), &mut lines);
        }
        if let Some(site) = &question.upstream.files {
            let name = Path::new(DEBUG_LOG);
            let seen = read::tail_beneath(&site.root, name, FILE_BYTES_MAX);
            found.file(&site.root.join(name), seen, &mut lines);
        }
        found.journal(logs.unit.as_deref(), &mut lines);
        lines.keep_telling(LINES_MAX);
    }
    Piece::Lines(lines)
}

/// The logs of the server, by where its packages put them, and those that the operator names first.
fn files(question: &Question, logs: &Logs) -> Vec<PathBuf> {
    let mut files = question.upstream.logs.clone();
    for path in logs.patterns.iter().flat_map(|pattern| places(pattern)) {
        if !files.contains(&path) {
            files.push(path);
        }
    }
    files.truncate(FILES_MAX);
    files
}

/// Where the server's own words are.
#[derive(Debug, Default, PartialEq, Eq)]
struct Logs {
    unit: Option<String>,
    /// Files, with patterns.
    patterns: Vec<String>,
}

impl Logs {
    fn of(question: &Question) -> Logs {
        let server = question.server();
        match server.scheme {
            Scheme::FastCgi => {
                let fpm = question.layout.fpm(&server.address).service;
                let patterns = fpm.log_files().map(str::to_owned).collect();
                // A unit of the administrator's own has a journal of its own.
                let named = candidates(question).into_iter().next().map(|(unit, _)| unit);
                Logs { unit: named.or_else(|| fpm.unit().map(with_ending)), patterns }
            }
            Scheme::Http | Scheme::Https | Scheme::H2c => {
                Logs::of_web(&candidates(question), question.layout)
            }
        }
    }

    /// Those of the unit that listens there, and of no other that is installed beside it.
    fn of_web(candidates: &[(String, KnownBy)], layout: &Layout) -> Logs {
        let Some((unit, _)) = candidates.first() else { return Logs::default() };
        let patterns = match unit.as_str() {
            "apache2.service" | "httpd.service" => {
                let apache = layout.apache();
                apache.iter().flat_map(|apache| apache.log_files()).flat_map(beside).collect()
            }
            "nginx.service" => vec![NGINX_LOG.to_owned()],
            _ => Vec::new(),
        };
        Logs { unit: Some(unit.clone()), patterns }
    }
}

/// As systemd calls it: the name may hold dots of its own, as `php8.2-fpm` does.
fn with_ending(unit: &str) -> String {
    match unit.ends_with(".service") {
        true => unit.to_owned(),
        false => format!("{unit}.service"),
    }
}

/// Apache's sites often have logs of their own beside its own.
fn beside(log: &str) -> Vec<String> {
    let Some((folder, _)) = log.rsplit_once('/') else { return Vec::new() };
    ["*error.log", "*error_log"].map(|end| format!("{folder}/{end}")).into()
}

/// How long before now the first failure counts.
const LATEST: Duration = Duration::from_secs(60);

/// The seconds that are looked at.
struct Search {
    from: SystemTime,
    from_once: SystemTime,
    from_start: SystemTime,
    zone: TimeZone,
}

impl Search {
    fn of(question: &Question) -> Search {
        // An incident may go on for days: what lies behind its latest failure is of this minute.
        let now = SystemTime::now();
        let latest = now.checked_sub(LATEST).unwrap_or(UNIX_EPOCH);
        let since = question.since.clamp(latest, now);
        let before = |reach| since.checked_sub(reach).unwrap_or(UNIX_EPOCH);
        Search {
            from: before(BEFORE),
            from_once: before(BEFORE_ONCE),
            from_start: before(BEFORE_START),
            zone: TimeZone::system(),
        }
    }

    /// Whether a line of this time has to do with the failure.
    ///
    /// Of a start that failed for long only in the journal, which also says that one has succeeded.
    fn counts(&self, time: SystemTime, sign: Option<Sign>, is_journal: bool) -> bool {
        time >= match sign {
            Some(Sign::PoolExhausted | Sign::WorkersLimit) => self.from_once,
            sign if of_start(sign) && is_journal => self.from_start,
            sign if of_start(sign) => self.from_once,
            Some(_) | None => self.from,
        }
    }

    fn file(&self, path: &Path, seen: Seen<Tail>, lines: &mut Lines) {
        let source = LogSource::File(path.to_owned());
        // Zones are files of this host, found by their names in a list of its own.
        let named = |name: &str| jiff::tz::db().get(name).ok();
        let clock = Clock { zone: self.zone.clone(), named: &named };
        let seen = seen.map(|tail| {
            let all: Vec<&str> = tail.text.lines().collect();
            let last = &all[all.len().saturating_sub(FILE_LINES_MAX)..];
            // Masking takes longer than the rest, so that only what may be kept comes to it.
            let (mut telling, mut others) = (Vec::new(), Vec::new());
            let mut time = None;
            for line in last {
                let shape = log::shape(line, &clock);
                time = shape.time.map(SystemTime::from).or(time);
                // What the kernel or systemd says is in the journal; here anybody could say it.
                let own = shape.program.filter(|program| is_of_a_file(*program));
                let sign = own.and_then(|program| sign(program, &shape.message));
                let Some(time) = time else { continue };
                // The lines of a trace have no stamp.
                if (shape.time.is_some() || sign.is_some()) && self.counts(time, sign, false) {
                    let kept = if sign.is_some() { &mut telling } else { &mut others };
                    kept.push((time, *line, sign));
                }
            }
            for kept in [telling, others] {
                for (time, line, sign) in &kept[kept.len().saturating_sub(LINES_MAX)..] {
                    lines.add(*time, source.clone(), line, *sign);
                }
            }
        });
        lines.sources.push((source, seen));
    }

    fn journal(&self, unit: Option<&str>, lines: &mut Lines) {
        let source = LogSource::Journal(unit.unwrap_or_default().to_owned());
        let seen = readable_journal().and_then(|()| match self.entries(unit) {
            Some(text) => Seen::Found(text),
            None => Seen::Late,
        });
        let seen = seen.map(|text| {
            // The latest come first.
            for entry in text.lines().rev().filter_map(log::entry) {
                let time = UNIX_EPOCH + Duration::from_micros(entry.time_us);
                let is_ours = entry.unit.is_some() && entry.unit.as_deref() == unit;
                let (sign, source) = match entry.program {
                    // What another unit wrote was asked for by its id alone, which anybody may set.
                    None if !is_ours => continue,
                    // Of another unit it says what the kernel says, too: somebody was killed.
                    Some(Program::Systemd) if !is_ours => {
                        (sign(Program::Systemd, &entry.message), LogSource::Kernel)
                    }
                    Some(Program::Kernel) => {
                        (sign(Program::Kernel, &entry.message), LogSource::Kernel)
                    }
                    Some(program) => (sign(program, &entry.message), source.clone()),
                    None => (self.said(&entry.message), source.clone()),
                };
                // It has come up since: why it once did not is no longer of interest.
                if sign == Some(Sign::Started) && is_ours {
                    lines.lines.retain(|line| line.time >= Some(self.from) || !of_start(line.sign));
                }
                // Of the kernel only what ends processes: it speaks of all there is.
                if self.counts(time, sign, true) && (sign.is_some() || source != LogSource::Kernel)
                {
                    lines.add(time, source, &entry.message, sign);
                }
            }
        });
        lines.sources.push((source, seen));
    }

    /// What a service wrote on its own, as it would stand in its log.
    fn said(&self, message: &str) -> Option<Sign> {
        let clock = Clock { zone: self.zone.clone(), named: &|_| None };
        let shape = log::shape(message, &clock);
        let own = shape.program.filter(|program| is_of_a_file(*program));
        own.and_then(|program| sign(program, &shape.message))
    }

    /// journalctl's words; `None` where it could not be started or did not end in time.
    fn entries(&self, unit: Option<&str>) -> Option<String> {
        let since = self.from_start.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut command = Command::new(JOURNALCTL);
        command.env_clear().env("LC_ALL", "C");
        command.args(["--quiet", "--no-pager", "--output=json"]);
        // With a time from which to read, `--lines` alone are the first since, not the last.
        command.args(["--reverse", "--lines", JOURNAL_ENTRIES]);
        command.arg(format!("--output-fields={}", log::FIELDS));
        command.arg(format!("--since=@{since}"));
        if let Some(unit) = unit {
            command.arg(format!("_SYSTEMD_UNIT={unit}")).arg("+");
            command.arg(format!("UNIT={unit}")).arg("+");
        }
        command.arg(format!("MESSAGE_ID={}", log::OUT_OF_MEMORY)).args(["+", "_TRANSPORT=kernel"]);
        bounded(command)
    }
}

/// Runs a program to its end, or to that of its time or its output.
fn bounded(mut command: Command) -> Option<String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let (done, over) = mpsc::channel();
    let (give, take) = mpsc::channel::<Child>();
    // Before the child: without a thread to be had nobody would end it.
    let watch = move || {
        let Ok(child) = take.recv() else { return false };
        end(child, over.recv_timeout(JOURNAL_LIMIT).is_ok())
    };
    let watching = thread::Builder::new().name("look-journal".to_owned()).spawn(watch).ok()?;
    let mut child = command.spawn().ok()?;
    let output = child.stdout.take();
    give.send(child).ok()?;
    let output = output?;
    let mut bytes = Vec::new();
    let read = output.take(JOURNAL_BYTES_MAX).read_to_end(&mut bytes);
    let _ = done.send(());
    let in_time = watching.join().unwrap_or(false);
    (in_time && read.is_ok()).then(|| String::from_utf8_lossy(&bytes).into_owned())
}

/// Ends a program that may still run, and takes its exit status; says whether it came in time.
fn end(mut child: Child, in_time: bool) -> bool {
    // One that has ended, or says more than is read of it.
    let _ = child.kill();
    let _ = child.wait();
    in_time
}

/// Whether the system's journal is there and may be read.
fn readable_journal() -> Seen<()> {
    if !Path::new(JOURNALCTL).exists() {
        return Seen::Nothing;
    }
    let mut seen = Seen::Nothing;
    for path in JOURNALS.into_iter().flat_map(places) {
        match read::open_regular(&path) {
            Seen::Found(_) => return Seen::Found(()),
            Seen::Denied(_) => seen = Seen::Denied(Need::Group("systemd-journal")),
            Seen::Unlooked | Seen::Nothing | Seen::Late => {}
        }
    }
    seen
}

/// It says why a start came to nothing.
fn of_start(sign: Option<Sign>) -> bool {
    matches!(sign, Some(Sign::AddressInUse | Sign::ConfigurationInvalid))
}

/// Whose lines stand in files or on a service's own output.
fn is_of_a_file(program: Program) -> bool {
    match program {
        Program::Nginx | Program::Apache | Program::Fpm | Program::Php => true,
        Program::Kernel | Program::Systemd => false,
    }
}

fn sign(program: Program, message: &str) -> Option<Sign> {
    match log::says(program, message)? {
        Says::Of(sign) => Some(sign),
        // How another proxy's exchange ended is not ours to tell.
        Says::Cause(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::sync::Arc;
    use std::time::Instant;

    use crate::config::{Files, Server, ServerAddress, Upstream};

    use super::*;

    fn question(logs: Vec<PathBuf>, root: Option<&Path>) -> Question {
        let address = ServerAddress::Unix("/run/nobody/php9.9-fpm.sock".into());
        let server = Server { scheme: Scheme::FastCgi, address };
        let mut upstream = Upstream::new("shop", vec![server.clone()]);
        upstream.logs = logs;
        upstream.files = root.map(|root| Files::new(root.to_owned()));
        Question { upstream: Arc::new(upstream), ..Question::about(server) }
    }

    fn look(question: &Question) -> Lines {
        let Piece::Lines(lines) = lane(question) else { panic!("another lane's piece") };
        lines
    }

    fn stamp(ago: Duration) -> String {
        let time = jiff::Zoned::try_from(SystemTime::now() - ago).unwrap();
        time.strftime("[%d-%b-%Y %H:%M:%S]").to_string()
    }

    #[test]
    fn the_lines_of_the_failures_seconds_are_found_and_masked() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("fpm.log");
        let (old, minute, now) = (
            stamp(Duration::from_secs(3600)),
            stamp(Duration::from_secs(60)),
            stamp(Duration::ZERO),
        );
        let died = "exited on signal 11 (SIGSEGV) after 1.5 seconds from start";
        let full = "server reached pm.max_children setting (5), consider raising it";
        let text = format!(
            "{old} WARNING: [pool www] child 1 {died}\n{minute} WARNING: [pool www] {full}\n\
             {minute} WARNING: [pool www] child 2 {died}\n\
             {now} WARNING: [pool www] child 3 {died}\n\
             {now} NOTICE: [pool www] token=abc\n"
        );
        fs::write(&log, text).unwrap();
        let lines = look(&question(vec![log.clone()], None));
        let signs: Vec<_> = lines.lines.iter().map(|line| line.sign).collect();
        assert_eq!(signs, [Some(Sign::PoolExhausted), Some(Sign::Segfault), None]);
        assert!(lines.lines[1].text.contains("child 3 exited"), "{lines:?}");
        assert!(lines.lines[2].text.ends_with("token=***"), "{lines:?}");
        assert_eq!(lines.sources[0], (LogSource::File(log), Seen::Found(())));
    }

    /// An Apache that is installed has nothing to say of an application's own server.
    #[test]
    fn the_logs_are_those_of_the_unit_that_listens() {
        let layout = Layout::of("ID=debian", &["/etc/apache2/apache2.conf"], &[]);
        assert!(layout.apache().is_some());
        let apache = ["/var/log/apache2/*error.log", "/var/log/apache2/*error_log"];
        for (unit, patterns) in [
            (None, &[][..]),
            (Some("app.service"), &[]),
            (Some("apache2.service"), &apache),
            (Some("nginx.service"), &["/var/log/nginx/error.log"]),
        ] {
            let unit = unit.map(str::to_owned);
            let candidates: Vec<_> =
                unit.iter().map(|unit| (unit.clone(), KnownBy::Configured)).collect();
            let patterns = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
            assert_eq!(Logs::of_web(&candidates, &layout), Logs { unit, patterns });
        }
    }

    /// Whatever lies in a log's place, the look is over in time and says what it could not read.
    #[test]
    fn hostile_files_are_survived() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        rustix::fs::mknodat(
            rustix::fs::CWD,
            at("fifo"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RWXU,
            0,
        )
        .unwrap();
        symlink(at("loop"), at("loop")).unwrap();
        fs::File::create(at("sparse")).unwrap().set_len(10 << 30).unwrap();
        fs::write(at("bytes"), [0xff; 300_000]).unwrap();
        fs::write(at("lines"), "[22-Nov-2026 01:02:03 Nowhere/At All] PHP x\n".repeat(20_000))
            .unwrap();
        fs::create_dir_all(at("site/wp-content")).unwrap();
        symlink("/etc/passwd", at("site/wp-content/debug.log")).unwrap();
        let names = ["fifo", "loop", "sparse", "bytes", "lines", "missing"];
        let began = Instant::now();
        let lines = look(&question(names.map(at).to_vec(), Some(&at("site"))));
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        let odd = Seen::Denied(Need::RegularFile);
        let seen: Vec<_> = lines.sources.iter().map(|(_, seen)| *seen).take(7).collect();
        let read = Seen::Found(());
        assert_eq!(seen, [odd, odd, read, read, read, Seen::Nothing, odd]);
        assert!(lines.lines.iter().all(|line| !line.text.contains("root:")), "{lines:?}");
    }

    #[test]
    fn a_program_that_says_too_much_or_nothing_is_ended() {
        let began = Instant::now();
        let mut yes = Command::new("/usr/bin/yes");
        yes.arg("x");
        let said = bounded(yes).unwrap();
        assert_eq!(said.len() as u64, JOURNAL_BYTES_MAX);
        let mut sleep = Command::new("/bin/sleep");
        sleep.arg("60");
        assert_eq!(bounded(sleep), None);
        assert_eq!(bounded(Command::new("/nowhere/at/all")), None);
        assert!(began.elapsed() < Duration::from_secs(10));
    }
}
