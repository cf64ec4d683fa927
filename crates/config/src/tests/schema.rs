//! The schema for editors and the reader know the same settings.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{check, known};
use crate::schema;

/// A setting that nobody knows, in every section: the problems list those that the reader knows.
const UNKNOWN_EVERYWHERE: &str = "
zzz: 1
listeners: {main: {zzz: 1, tls: {zzz: 1}, cors: {zzz: 1}}}
admin: {zzz: 1}
policy: {zzz: 1, rules: [{name: a, zzz: 1}]}
authenticators: {keys: {type: api-key, file: x, zzz: 1}}
log: {zzz: 1}
telemetry: {zzz: 1, otlp: {zzz: 1}}
shutdown: {zzz: 1}
backends: {local: {type: sqlite, path: x, zzz: 1}}
frontends: {own: {type: rest, zzz: 1}}
namespaces:
  - {name: one, pattern: keyvalue, zzz: 1, slots: {storage: {backend: local, zzz: 1}}, frontends: [{frontend: rest, zzz: 1}], limits: {zzz: 1}, quotas: {zzz: 1, peer: {zzz: 1}}}
  - {name: two, pattern: keyvalue, remote: {url: 'http://h', zzz: 1}}
  - {name: three, pattern: schema-registry, slots: {storage: local}, settings: {zzz: 1}}
";

#[test]
fn the_schema_and_the_reader_know_the_same_settings() {
    let problems = check(UNKNOWN_EVERYWHERE, &[]).problems.list;
    let names = |list: &str| list.split(", ").map(str::to_owned).collect::<BTreeSet<_>>();
    let read = problems.iter().filter_map(|problem| problem.message.strip_prefix("unknown setting `zzz`; there are: ")).map(names);
    let read = read.collect::<BTreeSet<_>>();
    let schema = schema(&known());
    let properties = |schema: &Value| schema["properties"].as_object().map(|all| all.keys().cloned().collect::<BTreeSet<_>>());
    let mut written = properties(&schema).into_iter().collect::<BTreeSet<_>>();
    for name in [
        "Listener",
        "Tls",
        "Cors",
        "Admin",
        "Log",
        "Telemetry",
        "Otlp",
        "Shutdown",
        "Frontend",
        "Namespace",
        "Slot",
        "Binding",
        "Limits",
        "Remote",
        "Policy",
        "PolicyRule",
        "Quotas",
        "Quota",
    ] {
        written.extend(properties(&schema["definitions"][name]));
    }
    written.extend(
        schema["definitions"]["Backend"]["oneOf"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(properties)
            .filter(|all| all.contains("path")),
    );
    let kinds = schema["definitions"]["Authenticator"]["oneOf"].as_array().into_iter().flatten();
    written.extend(kinds.filter_map(properties).filter(|all| all.contains("file")));
    let patterns = schema["definitions"]["Namespace"]["allOf"].as_array().into_iter().flatten();
    let settings = patterns.filter_map(|pattern| properties(&pattern["then"]["properties"]["settings"]));
    written.extend(settings.filter(|all| !all.is_empty()));
    // The reader knows one word more, to say where it belongs.
    let read = read.into_iter().map(|mut all| {
        if all.contains("interfaces") {
            all.remove("config");
        }
        all
    });
    assert_eq!(read.collect::<BTreeSet<_>>(), written);
}
