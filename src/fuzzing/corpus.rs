//! The corpora of `fuzz/seeds`, fed to the properties as the fuzzer would; and that each of these
//! has its target and its corpus.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::*;

type Property = (&'static str, fn(&[u8]));

/// Every property, by the name of its target.
const PROPERTIES: [Property; 34] = [
    ("accept", accept),
    ("accept_language", accept_language),
    ("byte_ranges", byte_ranges),
    ("certificates", certificates),
    ("cgi_head", cgi_head),
    ("chunked", chunked),
    ("configuration", configuration),
    ("diagnosis", diagnosis),
    ("extended_errors", extended_errors),
    ("fastcgi_params", fastcgi_params),
    ("fastcgi_records", fastcgi_records),
    ("first_bytes", first_bytes),
    ("forwarded", forwarded),
    ("header_line", header_line),
    ("host", host),
    ("http2_fields", http2_fields),
    ("http2_frames", http2_frames),
    ("incidents", incidents),
    ("journal", journal),
    ("log_line", log_line),
    ("masking", masking),
    ("nginx", nginx),
    ("pool_status", pool_status),
    ("proxy_header", proxy_header),
    ("received", received),
    ("request_head", request_head),
    ("requests", requests),
    ("response_head", response_head),
    ("responses", responses),
    ("rtnetlink", rtnetlink),
    ("said", said),
    ("settings", settings),
    ("site_path", site_path),
    ("sock_diag", sock_diag),
];

/// What all of a corpus may take, in a build that is not optimised.
const CORPUS: Duration = Duration::from_secs(60);
/// All of them together: they are cloned by everybody.
const BYTES_MAX: u64 = 1 << 20;

#[test]
fn every_seed_holds() {
    let (mut bytes, mut broken) = (0, Vec::new());
    for (target, property) in PROPERTIES {
        let seeds = files(&Path::new("fuzz/seeds").join(target));
        assert!(seeds.len() >= 3, "fuzz/seeds/{target} has {} files", seeds.len());
        let began = Instant::now();
        for file in seeds {
            let seed = fs::read(&file).unwrap();
            bytes += seed.len() as u64;
            // A panic's message does not say on what.
            if std::panic::catch_unwind(|| property(&seed)).is_err() {
                broken.push(file);
            }
        }
        assert!(began.elapsed() < CORPUS, "{target} took {:?}", began.elapsed());
    }
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(bytes < BYTES_MAX, "{bytes} bytes of seeds");
}

/// Each target of the fuzzer is a property of this folder, and each property a target.
#[test]
fn every_property_has_its_target() {
    let mut properties = Vec::new();
    for file in files(Path::new("src/fuzzing")) {
        let text = fs::read_to_string(file).unwrap();
        for line in text.lines() {
            let Some(rest) = line.strip_prefix("pub fn ") else { continue };
            let Some((name, taken)) = rest.split_once('(') else { continue };
            if matches!(taken, "bytes: &[u8]) {" | "mut bytes: &[u8]) {" | "line: &[u8]) {") {
                properties.push(name.to_owned());
            }
        }
    }
    properties.sort_unstable();
    assert_eq!(properties, PROPERTIES.map(|(name, _)| name.to_owned()));
    for (folder, suffix) in [("fuzz/fuzz_targets", ".rs"), ("fuzz/seeds", "")] {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort_unstable();
        let expected: Vec<_> = properties.iter().map(|name| format!("{name}{suffix}")).collect();
        assert_eq!(names, expected, "{folder}");
    }
    let manifest = fs::read_to_string("fuzz/Cargo.toml").unwrap();
    for target in &properties {
        assert!(manifest.contains(&format!("name = \"{target}\"\n")), "{target}: no [[bin]]");
        let text = fs::read_to_string(format!("fuzz/fuzz_targets/{target}.rs")).unwrap();
        assert!(text.contains(&format!("causeway::fuzzing::{target}(bytes)")), "{text}");
    }
    for words in files(Path::new("fuzz/dictionaries")) {
        let name = words.file_name().unwrap().to_str().unwrap();
        assert!(properties.iter().any(|target| target == name), "{name}: whose dictionary?");
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}
