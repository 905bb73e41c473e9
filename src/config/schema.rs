//! The configuration's JSON Schema (draft 2020-12), by which editors complete and check it.
//!
//! Made from `keys` alone, and about shapes alone: what two keys mean together, and what lies
//! behind a path, only `check` knows. It must refuse nothing that the reader takes.

use serde_json::{Map, Value, json};

use super::keys::{Form, Key, Kind, Preset, TABLES, keys_of};

/// The schema, as the package and the repository keep it in a file.
pub fn schema() -> Value {
    let mut schema = table("");
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("Configuration of Causeway");
    schema["description"] = json!("causeway.toml(5)");
    schema
}

/// A table with its keys and the tables below it, and nothing else.
fn table(name: &str) -> Value {
    let mut properties: Map<String, Value> =
        keys_of(name).map(|key| (key.name.to_owned(), of_key(key))).collect();
    for (below, meaning) in TABLES {
        let Some(rest) = below.strip_prefix(name) else { continue };
        let rest = rest.trim_start_matches('.');
        let (value, key) = match rest.strip_suffix(".NAME") {
            // Further tables are found from the one above them.
            _ if rest.is_empty() => continue,
            None if rest.contains('.') => continue,
            Some(key) => (named(below, meaning), key),
            None => (described(table(below), meaning), rest),
        };
        properties.entry(key.to_owned()).or_insert(value);
    }
    let required: Vec<&str> =
        keys_of(name).filter(|key| key.preset == Preset::Required).map(|key| key.name).collect();
    let mut schema =
        json!({"type": "object", "additionalProperties": false, "properties": properties});
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

/// A table whose keys are the operator's own names.
fn named(name: &str, meaning: &str) -> Value {
    let shape = json!({
        "type": "object",
        "propertyNames": {"pattern": "^[A-Za-z0-9_-]+$"},
        "additionalProperties": table(name),
    });
    described(shape, meaning)
}

fn of_key(key: &Key) -> Value {
    let shape = match &key.kind {
        Kind::Flag => json!({"type": "boolean"}),
        Kind::Count(range) => {
            json!({"type": "integer", "minimum": range.start(), "maximum": range.end()})
        }
        Kind::Numbered(numbers) => json!({"enum": numbers}),
        Kind::Numbers(range) => json!({
            "type": "array",
            "items": {"type": "integer", "minimum": range.start(), "maximum": range.end()},
        }),
        Kind::Duration | Kind::DurationOrZero => {
            json!({"type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$"})
        }
        Kind::Size(_) => json!({"type": "string", "pattern": "^[0-9]+(B|[kMG]B|[KMG]iB)$"}),
        Kind::Choice(words) => json!({"enum": words}),
        Kind::ChoiceOrPath(words) => json!({"anyOf": [{"enum": words}, text(Form::File)]}),
        Kind::Text(form) => text(*form),
        Kind::Texts(form) => json!({"type": "array", "items": text(*form)}),
        Kind::FilledTexts(form) => {
            json!({"type": "array", "items": text(*form), "minItems": 1})
        }
        Kind::FilledLists(form) => json!({
            "type": "array", "minItems": 1,
            "items": {"type": "array", "items": text(*form), "minItems": 1},
        }),
        // Editors hand on TOML's own times as strings.
        Kind::Time => json!({"type": "string"}),
        Kind::FlagOrTable => {
            let below = format!("{}.{}", key.table, key.name);
            json!({"anyOf": [{"type": "boolean"}, table(&below)]})
        }
        Kind::Tables => {
            let below = format!("{}.{}", key.table, key.name);
            json!({"type": "array", "items": table(&below), "minItems": 1})
        }
    };
    let mut shape = described(shape, key.meaning);
    if let Some(default) = key.preset.literal().as_deref().and_then(value) {
        shape["default"] = default;
    }
    shape
}

fn described(mut shape: Value, meaning: &str) -> Value {
    shape["description"] = json!(meaning);
    shape
}

/// A string of a form: no stricter than the reader, and no substitute for it.
fn text(form: Form) -> Value {
    let pattern = match form {
        Form::Listener => {
            r"^(unix:/.*[^/]|systemd:.+|\[[^\]]+\]:[0-9]+|[0-9.]+:[0-9]+)$".to_owned()
        }
        Form::Address => r"^(unix:/.*[^/]|\[[^\]]+\]:[0-9]+|[0-9.]+:[0-9]+)$".to_owned(),
        Form::Resolver => r"^([0-9A-Fa-f:.]+|\[[^\]]+\]:[0-9]+)$".to_owned(),
        Form::Server => format!(
            r"^({}|{}|{}|{})://[^/?#@]+/?$|^({}|{})\+[uU][nN][iI][xX]:/[^/].*$",
            any_case("http"),
            any_case("https"),
            any_case("h2c"),
            any_case("fastcgi"),
            any_case("http"),
            any_case("fastcgi"),
        ),
        Form::Host => r"^(\*\.)?[A-Za-z0-9_.-]+$|^\[?[0-9A-Fa-f:.]+\]?$".to_owned(),
        Form::UrlPath => r"^/[^?#\s]*$".to_owned(),
        Form::File => r"^/.*[^/]$".to_owned(),
        Form::Folder => r"^/+[^/]".to_owned(),
        Form::FileName => r"^[^./\\][^/\\]*$".to_owned(),
        Form::Attempt => r"^(\{path\}/?|=404|/[^?]+)$".to_owned(),
        Form::Glob => r"^.+$".to_owned(),
        // Which there are depends on `words`.
        Form::Language => r"^.*$".to_owned(),
        Form::Network => r"^[0-9A-Fa-f:.]+/[0-9]+$".to_owned(),
        Form::Balancer => r"^([0-9A-Fa-f:.]+/[0-9]+|unix)$".to_owned(),
        Form::Mailbox => r"^mailto:.+$".to_owned(),
        Form::Directory => r"^https://.+$".to_owned(),
        Form::Contact => r"^(mailto:|https?://).+$".to_owned(),
    };
    json!({"type": "string", "pattern": pattern})
}

/// A pattern for a scheme's name, which may be written in capitals: the schema's regular
/// expressions (ECMA-262) know no mark for that.
fn any_case(name: &str) -> String {
    let letter = |c: char| match c.is_ascii_alphabetic() {
        true => format!("[{c}{}]", c.to_ascii_uppercase()),
        false => c.to_string(),
    };
    name.chars().map(letter).collect()
}

/// A default as JSON.
fn value(literal: &str) -> Option<Value> {
    let read: Option<Map<String, Value>> = toml::from_str(&format!("key = {literal}")).ok();
    read?.remove("key")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys;

    #[test]
    fn defaults_are_values() {
        for key in keys() {
            let literal = key.preset.literal();
            assert_eq!(literal.is_some(), of_key(key).get("default").is_some(), "{}", key.name);
        }
    }

    #[test]
    fn upstream_schemes_in_any_case() {
        assert_eq!(any_case("h2c"), "[hH]2[cC]");
    }
}
