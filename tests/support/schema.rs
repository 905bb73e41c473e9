//! What editors say of a configuration: its JSON Schema, applied.

use causeway::config::schema;

/// What the schema says against a file, which must be TOML; `None`: nothing.
pub fn refused(source: &str) -> Option<String> {
    thread_local! {
        static COMPILED: (boon::Schemas, boon::SchemaIndex) = compiled();
    }
    let document = as_json(toml::Value::Table(source.parse().expect("the caller has read it")));
    COMPILED.with(|(schemas, schema)| {
        schemas.validate(&document, *schema).err().map(|error| format!("{error:#}"))
    })
}

fn compiled() -> (boon::Schemas, boon::SchemaIndex) {
    let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
    compiler.add_resource("causeway.schema.json", schema()).expect("a document");
    let schema = compiler.compile("causeway.schema.json", &mut schemas).expect("a schema");
    (schemas, schema)
}

/// As editors hand it to a schema: a time is a string there.
fn as_json(value: toml::Value) -> serde_json::Value {
    match value {
        toml::Value::Datetime(time) => time.to_string().into(),
        toml::Value::Array(items) => items.into_iter().map(as_json).collect(),
        toml::Value::Table(table) => {
            table.into_iter().map(|(key, value)| (key, as_json(value))).collect()
        }
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(flag) => flag.into(),
    }
}
