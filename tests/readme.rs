//! The README, as far as it can be held to its word without a server: its configurations are read,
//! its causes are known.

#[path = "support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use causeway::config::parse;

/// Every example that is a configuration, but for two kinds: words of one's own are another file,
/// and a table of maintenance belongs to a block that the reader has.
#[test]
fn configurations_are_accepted() {
    let mut read = 0;
    for block in support::readme::blocks("toml") {
        if block.starts_with("language =") || block.starts_with("[upstream.shop.maintenance]") {
            continue;
        }
        // Certificates are files, and the reader's own.
        if block.contains("chain =") {
            continue;
        }
        if let Err(problems) = parse(&block, Path::new("README.md")) {
            panic!("{problems}\n{block}");
        }
        read += 1;
    }
    assert!(read >= 8, "{read} examples: the reader of the README is broken");
}

/// The table of limits names causes that there are, and keys that there are.
#[test]
fn the_table_of_limits_is_true() {
    let text = include_str!("../README.md");
    let (_, table) = text.split_once("| limit | cause when it is reached |").expect("the table");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let output = Command::new(env!("CARGO_BIN_EXE_causeway")).args(["explain", "--json"]).output();
    let causes = String::from_utf8(output.expect("it runs").stdout).expect("UTF-8");
    let mut seen = BTreeSet::new();
    for row in rows {
        let cells: Vec<&str> = row.split('|').collect();
        let words = |cell: &str| -> Vec<String> {
            cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
        };
        for cause in words(cells[2]) {
            assert!(causes.contains(&format!("\"cause\":\"{cause}\"")), "no cause `{cause}`");
            seen.insert(cause);
        }
        for key in words(cells[1]) {
            let (table, name) = key.split_once('.').expect("a key in a table");
            let file = format!("[{table}]\n{name} = 0\n[upstream.a]\nservers = [\"http://a\"]");
            let file = match table {
                "client" => file,
                _ => format!("[upstream.a]\nservers = [\"http://a\"]\n{key} = 0"),
            };
            let said = parse(&file, Path::new("a")).err().map(|said| said.to_string());
            let said = said.unwrap_or_default();
            assert!(!said.contains("unknown key"), "no key `{key}`: {said}");
        }
    }
    assert!(seen.len() >= 18, "{seen:?}");
}
