//! One case for each kind of problem, with its exact text.

mod defaults;
mod foreign;
mod namespaces;
mod problems;
mod schema;
mod settings;
mod telemetry;

use serde_json::json;

use super::{Checked, Config, Definition, Driver, Known, Origin, Source, Variables, check_text};
use prism_registry::Registry;

/// Drivers as this build could have them; the real ones may change without these tests.
fn known() -> Known<'static> {
    let driver = |kind: &str, schema| Driver { kind: kind.to_owned(), schema };
    let redis = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["url"],
        "properties": {
            "url": {"type": "string", "description": "Where the server is, as `redis://localhost:6379`. More.", "pattern": "^rediss?://", "examples": ["redis://localhost:6379"]},
            "password": {"type": ["string", "null"], "writeOnly": true},
            "pool_size": {"type": "integer", "format": "uint16", "minimum": 1},
            "ratio": {"type": "number", "maximum": 1.0},
            "protocol": {"anyOf": [{"$ref": "#/$defs/Protocol"}, {"type": "null"}]},
            "tls": {"anyOf": [{"$ref": "#/$defs/Tls"}, {"type": "null"}]},
            "replicas": {"type": "array", "items": {"type": "string"}},
            "eager": {"type": "boolean"},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}}
        },
        "$defs": {
            "Protocol": {"oneOf": [{"const": "resp2", "type": "string", "description": "Old"}, {"const": "resp3", "type": "string"}]},
            "Tls": {"type": "object", "required": ["ca"], "properties": {"ca": {"type": "string"}}, "additionalProperties": false}
        }
    });
    let sqlite = json!({"type": "object", "required": ["path"], "additionalProperties": false, "properties": {
        "path": {"type": "string"},
        "busy_timeout": {"$ref": "#/$defs/Duration"},
        "sweep_interval": {"$ref": "#/$defs/Duration"},
        "max_bytes": {"type": ["integer", "null"]}
    }, "$defs": {"Duration": {"type": ["string", "integer"], "format": "human-duration", "pattern": "^[0-9]+ms$"}}});
    let memory = json!({"type": "object", "properties": {}, "additionalProperties": false});
    let notes = "frontend: notes\nopenapi: api.yaml\npattern: keyvalue\nbase_path: /notes/{namespace}\n";
    let definitions = vec![Definition { name: "notes".to_owned(), text: notes.to_owned() }];
    let drivers = vec![driver("memory", memory), driver("redis", redis), driver("sqlite", sqlite)];
    Known { registry: Registry::embedded(), drivers, definitions }
}

/// With the definitions that come with Prism, as the defaults need them.
fn complete() -> Known<'static> {
    let mut known = known();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../frontends");
    for file in std::fs::read_dir(folder).expect("the definitions").flatten() {
        let name = file.path().file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        known.definitions.push(Definition { name, text: std::fs::read_to_string(file.path()).expect("a text") });
    }
    known
}

fn source(variables: &[(&str, &str)]) -> Source {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Source { variables: Variables(variables), ..Source::default() }
}

fn check(text: &str, variables: &[(&str, &str)]) -> Checked {
    check_text("prism.yaml", text, Origin::File("prism.yaml".into()), &source(variables), &known())
}

/// A configuration without problems.
fn valid(text: &str, variables: &[(&str, &str)]) -> Config {
    let Checked { config, problems } = check(text, variables);
    assert!(problems.list.is_empty(), "{problems}");
    config
}

/// Holds the problems against the expected ones, one per line.
fn assert_problems(text: &str, variables: &[(&str, &str)], expected: &[&str]) {
    let problems = check(text, variables).problems.to_string();
    assert_eq!(problems.lines().collect::<Vec<_>>(), expected);
}

/// What a namespace needs, for cases about something else.
const REST: &str = "
backends: {memory: {type: memory}}
namespaces: [{name: one, pattern: keyvalue, slots: {storage: memory}}]
";
