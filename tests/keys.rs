//! The list of keys, from which manual, schema and hints come, is what the reader takes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::path::Path;

use causeway::config::{Config, Key, Kind, Preset, TABLES, keys, keys_of, parse, schema};

#[path = "support/schema.rs"]
mod schema_of;

const REFERENCE: &str = include_str!("../config/causeway.toml");
/// What only a block has whose servers speak FastCGI.
const FASTCGI: [&str; 6] = ["root", "index", "try", "deny", "symlinks", "spool"];

/// What the reader says of one key with a value, alone in its table.
fn problems(key: &Key, value: &str) -> String {
    let header = match key.table {
        "" => String::new(),
        table => format!("{}\n", header(table)),
    };
    match parse(&format!("{header}{} = {value}", key.name), Path::new("a.toml")) {
        Ok(_) => String::new(),
        Err(problems) => problems.to_string(),
    }
}

/// A table's header as a file has it.
fn header(table: &str) -> String {
    causeway::config::header(table).replace("NAME", "x")
}

/// A date is right nowhere but where a time is wanted: whoever complains of its type has read it.
#[test]
fn every_key_is_read_in_its_table() {
    for key in keys().filter(|key| !matches!(key.kind, Kind::Time)) {
        let said = problems(key, "1979-05-27");
        assert!(said.contains(", found a date"), "{}.{}: {said}", key.table, key.name);
    }
}

/// That the reader takes nothing beside them, `Table::finish` asserts in every test.
#[test]
fn every_table_has_keys_and_stands_once() {
    for (table, meaning) in TABLES {
        assert!(keys_of(table).next().is_some(), "[{table}] is empty");
        assert!(meaning.ends_with('.'), "{meaning}");
        assert_eq!(TABLES.iter().filter(|(other, _)| other == table).count(), 1, "[{table}]");
    }
    let order: Vec<&str> = TABLES.iter().map(|(table, _)| *table).collect();
    let places: Vec<_> =
        keys().map(|key| order.iter().position(|table| *table == key.table)).collect();
    assert!(places.is_sorted(), "keys are not in the order of the tables: {places:?}");
    for key in keys() {
        assert!(key.meaning.ends_with('.') && !key.meaning.contains("  "), "{}", key.name);
        let same = keys_of(key.table).filter(|other| other.name == key.name).count();
        assert_eq!(same, 1, "{}.{}", key.table, key.name);
    }
}

/// A file in which every default is written out is the empty file, and so for a block.
#[test]
fn defaults_are_those_of_an_empty_file() {
    let table = |table: &str, skip: &[&str]| -> String {
        let kept = keys_of(table).filter(|key| !skip.contains(&key.name));
        let lines = kept.filter_map(|key| Some(format!("{} = {}", key.name, literal(key)?)));
        lines.collect::<Vec<_>>().join("\n")
    };
    let config = |source: &str| {
        let read = parse(source, Path::new("a.toml")).unwrap_or_else(|e| panic!("{source}\n{e}"));
        Config { path: None, ..read }
    };
    let mut globally = String::new();
    // A table with keys that it must have is no default.
    let is_plain = |name: &str| keys_of(name).all(|key| key.preset != Preset::Required);
    for (name, _) in TABLES.iter().filter(|(name, _)| is_plain(name)) {
        if name.starts_with("upstream") {
            continue;
        }
        let header = if name.is_empty() { String::new() } else { format!("[{name}]\n") };
        globally += &format!("{header}{}\n", table(name, &[]));
    }
    assert_eq!(config(&globally), Config::default(), "{globally}");

    let all = |block: &str, skip: &[&str]| {
        let below = ["timeouts", "limits", "tls"].map(|name| {
            format!("[upstream.x.{name}]\n{}", table(&format!("upstream.NAME.{name}"), skip))
        });
        format!("{block}{}\n{}", table("upstream.NAME", skip), below.join("\n"))
    };
    let block = "[upstream.x]\nservers = [\"https://a\"]\n";
    let written = all(block, &FASTCGI);
    assert_eq!(config(&written).upstreams, config(block).upstreams, "{written}");
    let block = "[upstream.x]\nservers = [\"fastcgi://a:9000\"]\nroot = \"/srv\"\n";
    let keys = table("upstream.NAME", &[]);
    assert_eq!(config(&format!("{block}{keys}")).upstreams, config(block).upstreams, "{keys}");
    let spool = keys_of("upstream.NAME.limits").find(|key| key.name == "spool").unwrap();
    let written = format!("{block}limits.spool = {}", literal(spool).unwrap());
    assert_eq!(config(&written).upstreams, config(block).upstreams);
}

fn literal(key: &Key) -> Option<String> {
    key.preset.literal()
}

/// The bounds, words and zeros that manual and schema tell are those of the reader.
#[test]
fn bounds_and_words_are_those_of_the_reader() {
    for key in keys() {
        let says = |value: &str, wrong: &str| {
            let said = problems(key, value);
            assert_eq!(said.contains(wrong), !wrong.is_empty(), "{} = {value}: {said}", key.name);
        };
        let takes = |value: &str| {
            // A wrong value is underlined; a rule between keys may speak of others.
            let said = problems(key, value);
            let objects = ["cannot be", "cannot hold", "unknown value", "is zero", "too large"];
            assert!(
                !objects.iter().any(|wrong| said.contains(wrong)),
                "{} {value}: {said}",
                key.name
            );
        };
        match &key.kind {
            Kind::Count(range) => {
                takes(&range.start().to_string());
                takes(&range.end().to_string());
                says(&(range.end() + 1).to_string(), "cannot be");
                says(&(*range.start() as i64 - 1).to_string(), "cannot be");
            }
            Kind::Numbered(numbers) => {
                numbers.iter().for_each(|number| takes(&number.to_string()));
                says("1", "cannot be");
            }
            Kind::Numbers(range) => {
                takes(&format!("[{}, {}]", range.start(), range.end()));
                says(&format!("[{}]", range.end() + 1), "cannot hold");
                says(&format!("[{}]", range.start() - 1), "cannot hold");
            }
            Kind::Duration => says("\"0s\"", "is zero"),
            Kind::DurationOrZero => takes("\"0s\""),
            Kind::Size(most) => {
                takes(&format!("\"{most}\""));
                says(&format!("\"1{most}\""), "too large");
            }
            Kind::Choice(words) => {
                words.iter().for_each(|word| takes(&format!("\"{word}\"")));
                let said = problems(key, "\"?\"");
                assert_eq!(quoted(&said), *words, "{}: {said}", key.name);
            }
            Kind::ChoiceOrPath(words) => {
                words.iter().for_each(|word| takes(&format!("\"{word}\"")));
                takes("\"/var/log/x\"");
                let said = problems(key, "\"?\"");
                assert_eq!(quoted(&said), *words, "{}: {said}", key.name);
            }
            Kind::FilledTexts(_) | Kind::FilledLists(_) => says("[]", "is empty"),
            Kind::Texts(_) => {
                let said = problems(key, "[]");
                assert!(!said.contains("is empty"), "{}: {said}", key.name);
            }
            Kind::FlagOrTable => takes("true"),
            Kind::Tables => says("[]", "is empty"),
            Kind::Flag | Kind::Text(_) | Kind::Time => {}
        }
    }
}

/// The words in quotes after `expected:`.
fn quoted(said: &str) -> Vec<&str> {
    let expected = said.split_once("unknown value").unwrap().1;
    let expected = expected.split_once("expected: ").unwrap().1.lines().next().unwrap();
    expected.split('"').skip(1).step_by(2).collect()
}

/// One value of each kind, right for some keys and wrong for the others.
const VALUES: [&str; 24] = [
    "true",
    "-1",
    "0",
    "7",
    "404",
    "502",
    "99999999",
    "1.5",
    "1979-05-27T00:00:00Z",
    "{}",
    "[]",
    "[1]",
    "[502]",
    "\"\"",
    "\"10\"",
    "\"10s\"",
    "\"10sec\"",
    "\"0s\"",
    "\"1KiB\"",
    "\"off\"",
    "\"/srv/a\"",
    "\"1979-05-27T00:00:00Z\"",
    "\"[::1]:80\"",
    "[\"\", \"a b\", \"/\"]",
];

/// Editors underline what is wrong in its shape, and nothing that is right; what a value means
/// beyond that, and what keys mean together, only the reader knows.
#[test]
fn the_schema_takes_what_the_reader_takes() {
    const SHAPES: [&str; 7] = [
        "unknown key",
        "expected a",
        "missing unit",
        "unknown unit",
        "does not begin with a whole number",
        "cannot ",
        "unknown value",
    ];
    let (mut taken, mut refused) = (0, 0);
    for key in keys() {
        let examples = match &key.kind {
            Kind::Text(_) | Kind::Texts(_) | Kind::FilledTexts(_) => EXAMPLES.as_slice(),
            _ => &[],
        };
        let lists = examples.iter().map(|text| format!("[\"{text}\"]"));
        let texts = examples.iter().map(|text| format!("\"{text}\""));
        for value in VALUES.iter().map(|value| (*value).to_owned()).chain(lists).chain(texts) {
            let source = alone(key, &value);
            let said = parse(&source, Path::new("a.toml")).err().map(|e| e.to_string());
            let schema = schema_of::refused(&source);
            let is_file = said.as_deref().is_some_and(|said| said.contains("cannot read"));
            match (&said, &schema) {
                (None, Some(schema)) => panic!("{source}\n{schema}"),
                (Some(said), None) => {
                    let shape = SHAPES.iter().find(|shape| said.contains(*shape));
                    assert!(shape.is_none() || is_file, "the schema takes {source}\n{said}");
                }
                (None, None) => taken += 1,
                (Some(_), Some(_)) => refused += 1,
            }
        }
    }
    assert!(taken > 150 && refused > 1000, "{taken} taken, {refused} refused");
}

/// Strings as they may stand in a file, in every form that one of the keys has.
const EXAMPLES: [&str; 34] = [
    "systemd:http",
    "0.0.0.0:80",
    "[::1]:80",
    "unix:/run/a.sock",
    "::1",
    "[::1]",
    "10.0.0.1",
    "10.0.0.0/8",
    "2001:db8::/32",
    "http://a",
    "HTTPS://A.example:1/",
    "h2c://[::1]:1",
    "http+unix:/run/a.sock",
    "FastCGI://a:9000",
    "fastcgi+unix:/run/a.sock",
    "*.shop.example",
    "shop_1.example",
    "/",
    "/a%20b/",
    "/~user/(x)",
    "/srv/",
    "//srv",
    "/a b/ü",
    "index.php",
    "a b.html",
    "{path}",
    "{path}/",
    "=404",
    "/front/index.php",
    "*.sql.*",
    "/private/**",
    "mailto:a@b",
    "https://a/b",
    "pt-BR",
];

/// A file with one key, and what its table must have beside it.
fn alone(key: &Key, value: &str) -> String {
    let line = format!("{} = {value}\n", key.name);
    let servers = match FASTCGI.contains(&key.name) {
        true => "servers = [\"fastcgi://a:9000\"]\nroot = \"/srv\"\n",
        false => "servers = [\"https://a\"]\n",
    };
    let servers: String = servers
        .lines()
        .filter(|line| !line.starts_with(key.name))
        .map(|line| format!("{line}\n"))
        .collect();
    match key.table {
        "" => line,
        "upstream.NAME" => format!("[upstream.x]\n{line}{servers}"),
        table => match table.strip_prefix("upstream.NAME") {
            Some(below) => format!("[upstream.x]\n{servers}[upstream.x{below}]\n{line}"),
            None => format!("{}\n{line}", header(table)),
        },
    }
}

/// The file beside the annotated configuration, for editors.
#[test]
fn the_schema_is_in_the_repository() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/causeway.schema.json");
    let made = format!("{:#}\n", schema());
    if std::env::var_os("CAUSEWAY_BLESS").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    assert!(kept == made, "CAUSEWAY_BLESS=1 cargo test --test keys writes it anew");
}

/// Every key stands in the annotated configuration, in its table; with its default, if it has one,
/// and commented out otherwise.
#[test]
fn the_annotated_configuration_has_every_key() {
    let mut table = String::new();
    let mut found: BTreeMap<(String, String), Vec<(bool, String)>> = BTreeMap::new();
    for line in REFERENCE.lines() {
        let bare = line.strip_prefix("# ").unwrap_or(line);
        if let Some(header) = bare.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let parts: Vec<&str> = header.split('.').collect();
            table = match parts.as_slice() {
                ["upstream", _, below @ ..] => ["upstream", "NAME"]
                    .into_iter()
                    .chain(below.iter().copied())
                    .collect::<Vec<_>>(),
                other => other.to_vec(),
            }
            .join(".");
        } else if let Some((name, value)) = bare.split_once(" = ")
            && !name.contains(' ')
        {
            let value = value.split(" #").next().unwrap().trim().to_owned();
            let place = (table.clone(), name.to_owned());
            found.entry(place).or_default().push((bare != line, value));
        }
    }
    for key in keys() {
        let place = (key.table.to_owned(), key.name.to_owned());
        let Some(lines) = found.remove(&place) else {
            // In the line of the array that its table is an element of.
            let inline = format!(" {} = \"/", key.name);
            if header(key.table).starts_with("[[") {
                assert!(REFERENCE.contains(&inline), "{place:?} is not in config/causeway.toml");
                continue;
            }
            // A sentence shows the switch; its table stands there.
            assert_eq!(key.name, "maintenance", "{place:?} is not in config/causeway.toml");
            continue;
        };
        for (is_comment, value) in lines {
            match (is_comment, key.preset) {
                (false, Preset::Required) | (true, _) => {}
                (false, preset) => assert_eq!(Some(value), preset.literal(), "{place:?}"),
            }
        }
    }
    assert!(found.is_empty(), "config/keys.rs lacks {found:?}");
}
