//! `causeway import nginx` as its users run it: what is printed, where, and with which exit status.
//!
//! Each `golden/import/NAME.conf` stands beside what becomes of it, `NAME.toml`, and what is said
//! on stderr, `NAME.txt`; `CAUSEWAY_BLESS=1` rewrites both, to be reviewed as prose. Whether the
//! result does what nginx did is shown in `tests/nginx`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use causeway::config;

const PROGRAM: &str = env!("CARGO_BIN_EXE_causeway");

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/import")
}

/// Runs it in a folder.
fn import(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    command.args(["import", "nginx"]).args(arguments).current_dir(folder);
    command.output().expect("the program runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// Each row: a file, and the exit status.
const CASES: [(&str, i32); 10] = [
    ("complete.conf", 0),
    ("wordpress.conf", 1),
    ("wordpress_docs.conf", 0),
    ("laravel.conf", 1),
    ("apache_behind.conf", 1),
    ("apache_static.conf", 1),
    ("container.conf", 1),
    ("several.conf", 1),
    ("tls.conf", 1),
    ("whole/nginx.conf", 1),
];

#[test]
fn sites_are_carried_over() {
    let folder = golden();
    let here = folder.display().to_string();
    for (name, status) in CASES {
        let output = import(&folder, &[name]);
        assert_eq!(output.status.code(), Some(status), "{name}: {output:?}");
        for (ending, said) in [("toml", &output.stdout), ("txt", &output.stderr)] {
            let said = text(said).replace(&here, "HERE");
            let path = folder.join(name).with_extension(ending);
            if std::env::var_os("CAUSEWAY_BLESS").is_some() {
                fs::write(&path, &said).expect("the golden file is written");
            }
            let expected = fs::read_to_string(&path).unwrap_or_default();
            assert!(said == expected, "{} differs; it is now:\n{said}", path.display());
        }
    }
}

/// What is written passes `causeway check`, once the certificates are there that it names.
#[test]
fn what_is_written_is_accepted() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let key = rcgen::KeyPair::generate().expect("a key");
    let names = ["shop.example".to_owned(), "wiki.example".to_owned()];
    let certificate = rcgen::CertificateParams::new(names).and_then(|made| made.self_signed(&key));
    fs::write(folder.path().join("chain"), certificate.expect("a certificate").pem()).expect("it");
    fs::write(folder.path().join("key"), key.serialize_pem()).expect("it");
    for (name, _) in CASES {
        let output = import(&golden(), &[name]);
        let mut toml = text(&output.stdout);
        for word in ["chain", "key"] {
            let mut rest = toml.as_str();
            let mut with_files = String::new();
            while let Some((before, after)) = rest.split_once(&format!("{word} = \"")) {
                let end = after.find('"').expect("a closing quote");
                let file = folder.path().join(word);
                with_files += &format!("{before}{word} = \"{}", file.display());
                rest = &after[end..];
            }
            toml = with_files + rest;
        }
        if let Err(problems) = config::parse(&toml, Path::new(name)) {
            panic!("{name}: {problems}\n{toml}");
        }
    }
}

#[test]
fn every_note_stands_in_the_configuration_too() {
    for (name, _) in CASES {
        let output = import(&golden(), &[name]);
        let (toml, said) = (text(&output.stdout), text(&output.stderr));
        let lost = said.lines().filter(|line| line.contains(": not carried over: ")).count();
        assert_eq!(toml.matches("# NOT CARRIED OVER: ").count(), lost, "{name}\n{toml}");
        let notes = said.lines().filter(|line| line.contains(": note: ")).count();
        assert_eq!(toml.matches("# Note: ").count(), notes, "{name}\n{toml}");
    }
}

#[test]
fn a_file_takes_the_place_of_the_output() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().join("causeway.toml");
    let path = path.to_str().expect("UTF-8");
    let output = import(&golden(), &["complete.conf", "--output", path]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 0), "{output:?}");
    let written = fs::read_to_string(path).expect("it is there");
    assert_eq!(written, text(&import(&golden(), &["complete.conf"]).stdout));
    let output = import(&golden(), &["complete.conf", "--output", "/proc/none/x"]);
    assert_eq!(output.status.code(), Some(73), "{output:?}");
    let check = Command::new(PROGRAM).args(["check", "--config", path]).output();
    assert!(check.expect("the program runs").status.success());
}

/// What is refused: a file, its content, the exit status, and what is said.
#[test]
fn what_cannot_be_read_is_told_with_its_place() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let deep = "a {\n".repeat(5000);
    let huge = "a b;\n".repeat(1 << 20);
    let many = "a;".repeat(60_000);
    let cases: [(&str, &[u8], i32, &str); 12] = [
        (
            "unterminated",
            b"server {\n  listen 80;\n",
            65,
            "unterminated:1:8: this block is not closed\n    server {\n           ^\n    \
             expected: `}`\n",
        ),
        (
            "semicolon",
            b"server {\n\tlisten 80\n}\n",
            65,
            "semicolon:3:1: unexpected `}`\n    }\n    ^\n    expected: `;` behind `listen`\n",
        ),
        ("quote", b"server { root \"/var/www; }\n", 65, "quote:1:15: this quote is not closed\n"),
        ("binary", b"\x7fELF\x02\x01\x01\0\0\0", 65, "a zero byte"),
        ("latin", b"# caf\xe9\nserver { listen 80; }\n", 0, ""),
        ("deep", deep.as_bytes(), 65, "more than 24 blocks in each other"),
        ("huge", huge.as_bytes(), 66, "cannot read huge: file too large"),
        ("many", many.as_bytes(), 65, "more than 50000 directives"),
        ("empty", b"", 1, "there is no `server` here"),
        ("loop", b"server {\n  include loop;\n}\n", 65, "loop:2:3: `loop` includes itself"),
        ("two", b"include one;\n", 65, "one:1:1: `two` includes itself"),
        ("none", b"include none.d/*.conf;\nserver { include gone; }", 1, "there is no such file"),
    ];
    fs::write(folder.path().join("one"), "include two;\n").expect("a file");
    for (name, content, status, said) in cases {
        fs::write(folder.path().join(name), content).expect("a file");
        let output = import(folder.path(), &[name]);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{name}: {stderr}");
        assert!(stderr.contains(said), "{name}: {stderr}");
        assert!(stderr.len() < 2000, "{name}: {} bytes", stderr.len());
    }
    let output = import(folder.path(), &["absent"]);
    assert_eq!(output.status.code(), Some(66), "{output:?}");
    let output = import(folder.path(), &[]);
    assert_eq!(output.status.code(), Some(64), "{output:?}");
}

/// Files that include each other in a fan would be read without end.
#[test]
fn a_fan_of_files_comes_to_an_end() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    for level in 0..9 {
        let next = format!("include {};\n", level + 1);
        fs::write(folder.path().join(level.to_string()), next.repeat(10)).expect("a file");
    }
    fs::write(folder.path().join("9"), "gzip on;\n").expect("a file");
    let output = import(folder.path(), &["0"]);
    assert_eq!(output.status.code(), Some(65), "{output:?}");
    assert!(text(&output.stderr).contains("is one file too many"), "{output:?}");
}
