//! The house's rules, read from the text of `src/`: who may import whom, what pure files do
//! without, and how large things may be. A rule that needs a compiler is not here.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The rooms from below upwards, each with those that it may import.
const ROOMS: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("config", &[]),
    ("files", &["clock", "config"]),
    ("upstream", &["clock", "config"]),
    ("diagnose", &["clock", "config", "upstream"]),
    ("probe", &["clock", "config", "upstream", "diagnose"]),
    ("page", &["diagnose"]),
    ("telemetry", &["config", "diagnose"]),
    ("proxy", &["clock", "config", "files", "upstream", "diagnose", "probe", "page", "telemetry"]),
    ("server", &["clock", "config", "upstream", "diagnose", "telemetry", "proxy"]),
    ("service", &["config"]),
    ("demo", &["config", "diagnose"]),
    ("import", &["config"]),
    (
        "fuzzing",
        &[
            "config",
            "files",
            "diagnose",
            "probe",
            "upstream",
            "page",
            "telemetry",
            "proxy",
            "server",
            "import",
        ],
    ),
    (
        "cli",
        &[
            "config",
            "diagnose",
            "probe",
            "page",
            "telemetry",
            "server",
            "service",
            "demo",
            "import",
        ],
    ),
    ("main", &["cli"]),
];

/// Bytes in, values out: no async, no clock, no files, no sockets.
const PURE: &[&str] = &[
    "demo/fastcgi.rs",
    "import/block.rs",
    "import/global.rs",
    "import/known.rs",
    "import/notes.rs",
    "import/pattern.rs",
    "import/php.rs",
    "import/proxied.rs",
    "import/routes.rs",
    "import/scope.rs",
    "import/server.rs",
    "import/sites.rs",
    "import/token.rs",
    "import/told.rs",
    "import/tree.rs",
    "import/values.rs",
    "files/conditions.rs",
    "files/encoding.rs",
    "files/ranges.rs",
    "files/path.rs",
    "files/rules.rs",
    "files/media.rs",
    "proxy/cgi.rs",
    "proxy/https.rs",
    "telemetry/metrics/plain.rs",
    "diagnose/answer.rs",
    "diagnose/hop.rs",
    "diagnose/facts.rs",
    "diagnose/fastcgi.rs",
    "diagnose/dns.rs",
    "upstream/failure.rs",
    "upstream/resolve_extended.rs",
    "upstream/fastcgi/cgi_head.rs",
    "upstream/fastcgi/params.rs",
    "upstream/fastcgi/record.rs",
    "upstream/fastcgi/stderr.rs",
    "upstream/http1/head.rs",
    "upstream/http1/names.rs",
    "upstream/http2/fields.rs",
    "upstream/http2/watch.rs",
    "upstream/http1/body.rs",
    "server/gate.rs",
    "server/chunks.rs",
    "server/http1/request.rs",
    "server/http1/answer.rs",
    "server/proxy_header.rs",
    "server/acme/schedule.rs",
    "server/http2/gate.rs",
    "server/http2/tally.rs",
    "proxy/route.rs",
    "config/syntax.rs",
    "config/keys.rs",
    "config/keys_client.rs",
    "config/keys_page.rs",
    "config/keys_upstream.rs",
    "cli/catalog.rs",
    "diagnose/ailment.rs",
    "diagnose/catalog.rs",
    "diagnose/cause.rs",
    "diagnose/certificate.rs",
    "diagnose/classify.rs",
    "diagnose/connect.rs",
    "diagnose/unreached.rs",
    "diagnose/evidence.rs",
    "diagnose/print.rs",
    "diagnose/faults.rs",
    "diagnose/fingerprint.rs",
    "diagnose/fixes.rs",
    "diagnose/http2.rs",
    "diagnose/look.rs",
    "diagnose/around/bounds.rs",
    "diagnose/around/backing.rs",
    "diagnose/around/cgroup.rs",
    "diagnose/around/changes.rs",
    "diagnose/around/disks.rs",
    "diagnose/around/helpers.rs",
    "diagnose/around/host.rs",
    "diagnose/around/lines.rs",
    "diagnose/around/mod.rs",
    "diagnose/around/near.rs",
    "diagnose/around/network.rs",
    "diagnose/around/php.rs",
    "diagnose/around/pools.rs",
    "diagnose/around/seen.rs",
    "diagnose/around/sockets.rs",
    "diagnose/around/status.rs",
    "diagnose/around/traffic.rs",
    "diagnose/around/units.rs",
    "diagnose/around/way.rs",
    "diagnose/incident.rs",
    "diagnose/meaning.rs",
    "diagnose/root/busy.rs",
    "diagnose/root/fix.rs",
    "diagnose/root/machine.rs",
    "diagnose/root/mod.rs",
    "diagnose/root/network.rs",
    "diagnose/root/place.rs",
    "diagnose/root/scene.rs",
    "diagnose/root/service.rs",
    "diagnose/root/traffic.rs",
    "diagnose/commands/list.rs",
    "diagnose/commands/mod.rs",
    "diagnose/commands/roots.rs",
    "diagnose/commands/rows.rs",
    "diagnose/fpm.rs",
    "diagnose/layout.rs",
    "diagnose/log/apache.rs",
    "diagnose/log/journal.rs",
    "diagnose/log/mask.rs",
    "diagnose/log/mod.rs",
    "diagnose/log/nginx.rs",
    "diagnose/log/php.rs",
    "diagnose/log/shape.rs",
    "diagnose/log/system.rs",
    "diagnose/log/table.rs",
    "diagnose/log/time.rs",
    "diagnose/matching.rs",
    "diagnose/message.rs",
    "diagnose/rules/mod.rs",
    "diagnose/reasons.rs",
    "diagnose/said.rs",
    "diagnose/tls.rs",
    "diagnose/signs.rs",
    "page/assets.rs",
    "page/coding.rs",
    "diagnose/text/languages.rs",
    "diagnose/text/own.rs",
    "page/html.rs",
    "page/incidents.rs",
    "page/operator.rs",
    "page/values.rs",
    "page/items.rs",
    "page/language.rs",
    "page/negotiate.rs",
    "page/own.rs",
    "page/policy.rs",
    "page/trial.rs",
    "page/json.rs",
    "page/text.rs",
];

const DEPTH_MAX: usize = 3;
const FILE_LINES_MAX: usize = 600;
const LINE_CHARS_MAX: usize = 100;
const FUNCTION_LINES_MAX: usize = 70;

/// One file of `src/`.
struct File {
    /// Relative to `src/`.
    path: String,
    text: String,
}

impl File {
    fn room(&self) -> &str {
        self.path.split('/').next().unwrap().trim_end_matches(".rs")
    }

    /// The numbered lines that are code, without comments; tests stand at the end and are left out.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines().take_while(|(_, line)| *line != "#[cfg(test)]")
    }

    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate();
        let code = lines.filter(|(_, line)| !line.trim_start().starts_with("//"));
        code.map(|(number, line)| (number + 1, line.split(" // ").next().unwrap()))
    }
}

#[test]
fn imports_run_downwards_only() {
    let allowed: BTreeMap<_, _> = ROOMS.iter().copied().collect();
    check(|file, wrong| {
        let Some(below) = allowed.get(file.room()) else {
            return if file.path != "lib.rs" {
                wrong(0, format!("the room {} has no place in the order", file.room()));
            };
        };
        // The program's binary names the library from outside.
        let root = if file.room() == "main" { "causeway::" } else { "crate::" };
        for (number, line) in file.lines() {
            for (at, _) in line.match_indices(root) {
                let room = identifier(&line[at + root.len()..]);
                if room != file.room() && !below.contains(&room) {
                    wrong(number, format!("{} imports `{room}`", file.room()));
                }
            }
        }
        let top = !file.path.contains('/') || file.path.matches('/').count() == 1 && is_mod(file);
        for (number, line) in file.code() {
            if line.contains("super::super::") || top && line.contains("super::") {
                wrong(number, "names another room by `super`, not by `crate`".into());
            }
        }
    });
}

#[test]
fn upstream_knows_neither_causes_nor_pages() {
    check(|file, wrong| {
        if file.room() != "upstream" {
            return;
        }
        for (number, line) in file.code() {
            for word in ["Cause", "Code", "Report", "diagnose", "page"] {
                if names(line, word) {
                    wrong(number, format!("names `{word}`"));
                }
            }
        }
    });
}

#[test]
fn diagnosis_and_pages_open_nothing() {
    const OPENERS: [&str; 9] = [
        "tokio",
        "socket2",
        "TcpStream",
        "TcpListener",
        "UdpSocket",
        "UnixStream",
        "UnixListener",
        "UnixDatagram",
        "ToSocketAddrs",
    ];
    check(|file, wrong| {
        // The probes are the one part that looks at the host.
        let probes = file.path.starts_with("diagnose/probe/");
        if matches!(file.room(), "diagnose" | "page") && !probes {
            forbid(file, &OPENERS, wrong);
            forbid_text(file, &["std::fs", "std::process", "File::"], wrong);
        }
    });
}

#[test]
fn pure_files_have_no_async_no_clock_no_files() {
    let files = files();
    for path in PURE {
        assert!(files.iter().any(|file| file.path == *path), "{path} is gone; mend the list");
    }
    check(|file, wrong| {
        if PURE.contains(&file.path.as_str()) {
            forbid(file, &["async", "await", "Future", "Poll", "tokio"], wrong);
            let texts =
                ["Instant::now", "SystemTime::now", "crate::clock", "std::fs", "std::io::R"];
            forbid_text(file, &texts, wrong);
        }
    });
}

/// A new cause stops the compiler here, and only if no arm takes whatever is left.
#[test]
fn the_lists_of_causes_are_matched_whole() {
    /// Ends that match on bytes or numbers, not on an enum of ours.
    const NUMBERS: [&str; 3] = [
        "_ => shown.extend(",
        "_ => return format!(\"RCODE{rcode}\")",
        "_ => return format!(\"errno {errno}\")",
    ];
    check(|file, wrong| {
        let lists = [
            "diagnose/catalog.rs",
            "diagnose/cause.rs",
            "diagnose/fixes.rs",
            "diagnose/look.rs",
            "diagnose/commands/rows.rs",
            "diagnose/reasons.rs",
        ];
        let file_is_list = lists.contains(&file.path.as_str());
        if !file_is_list && file.path != "diagnose/evidence.rs" {
            return;
        }
        for (number, line) in file.code() {
            let line = line.trim_start();
            if line.starts_with("_ =>") && !NUMBERS.iter().any(|known| line.starts_with(known)) {
                wrong(number, "`_ =>` would take a new cause in silence".into());
            }
        }
    });
}

#[test]
fn files_and_lines_stay_small() {
    check(|file, wrong| {
        if file.path.split('/').count() > DEPTH_MAX {
            wrong(0, format!("deeper than {DEPTH_MAX}"));
        }
        let lines = file.text.lines().count();
        if lines > FILE_LINES_MAX {
            wrong(0, format!("{lines} lines, more than {FILE_LINES_MAX}"));
        }
        for (number, line) in file.text.lines().enumerate() {
            if line.chars().count() > LINE_CHARS_MAX {
                wrong(number + 1, format!("longer than {LINE_CHARS_MAX} characters"));
            }
        }
    });
}

#[test]
fn long_functions_are_the_exception() {
    let (mut count, mut long) = (0, Vec::new());
    for file in files() {
        for (name, lines) in functions(&file) {
            count += 1;
            if lines > FUNCTION_LINES_MAX {
                long.push(format!("{}: {name}, {lines} lines", file.path));
            }
        }
    }
    assert!(count > 500, "{count} functions: the reader of functions is broken");
    assert!(long.len() * 50 < count, "2 % or more of {count} are long:\n{}", long.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    check(|file, wrong| {
        let doc = file.text.lines().take_while(|line| line.starts_with("//!")).count();
        if doc == 0 {
            wrong(1, "does not open with `//!`".into());
        }
    });
}

#[test]
fn nothing_unfinished_and_nothing_unsafe() {
    check(|file, wrong| {
        for (number, line) in file.lines() {
            for text in ["todo!", "unimplemented!", "dbg!", "#[ignore"] {
                if line.contains(text) {
                    wrong(number, format!("`{text}`"));
                }
            }
            if names(line, "unsafe") || line.contains("allow(unsafe_code") {
                wrong(number, "`unsafe`".into());
            }
        }
    });
}

/// Runs a rule over every file, and shows every place where it does not hold.
fn check(rule: impl Fn(&File, &mut dyn FnMut(usize, String))) {
    let mut faults = Vec::new();
    for file in files() {
        let path = &file.path;
        rule(&file, &mut |line, fault| faults.push(format!("src/{path}:{line}: {fault}")));
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

fn forbid(file: &File, words: &[&str], wrong: &mut dyn FnMut(usize, String)) {
    for (number, line) in file.code() {
        for word in words.iter().filter(|word| names(line, word)) {
            wrong(number, format!("names `{word}`"));
        }
    }
}

fn forbid_text(file: &File, texts: &[&str], wrong: &mut dyn FnMut(usize, String)) {
    for (number, line) in file.code() {
        for text in texts.iter().filter(|text| line.contains(**text)) {
            wrong(number, format!("contains `{text}`"));
        }
    }
}

/// Whether a word stands in a line as a whole identifier.
fn names(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(part) && !line[at + word.len()..].starts_with(part))
}

fn identifier(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    &text[..end.unwrap_or(text.len())]
}

fn is_mod(file: &File) -> bool {
    file.path.ends_with("/mod.rs")
}

/// Each function's name and length, the signature's line and the last brace's included. rustfmt
/// puts the brace where the function's first line begins.
fn functions(file: &File) -> Vec<(String, usize)> {
    let lines: Vec<&str> = file.text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let words: Vec<&str> = line.split_whitespace().take_while(|word| *word != "fn").collect();
        let qualifier = |word: &&str| matches!(*word, "async" | "const") || word.starts_with("pub");
        let name = line.split_whitespace().nth(words.len() + 1);
        let (true, Some(name)) = (words.iter().all(qualifier), name) else { continue };
        let close = format!("{}}}", " ".repeat(indent));
        let one_line = line.ends_with('}') || line.ends_with(';');
        let last = lines[start..].iter().position(|line| *line == close);
        let length = if one_line { 1 } else { last.unwrap() + 1 };
        found.push((identifier(name).to_owned(), length));
    }
    found
}

fn files() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let path = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                files.push(File { path, text });
            }
        }
    }
    assert!(files.len() > 40, "src/ was not found");
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}
