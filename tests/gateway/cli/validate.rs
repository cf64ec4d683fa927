//! Bad configurations: `prism validate` and `prism serve` find the same problems, at the same positions.

use std::{fs, path::Path};

use super::prism;

/// Returns a namespace over a backend, for cases that are not about namespaces.
const NAMESPACE: &str = "namespaces: [{name: one, pattern: keyvalue, slots: {storage: store}}]\n";
const MEMORY: &str = "backends: {store: {type: memory}}\n";

/// Each case is a name, a configuration, and its problems without the path of the file. `FOLDER` is replaced by the folder of the
/// configuration.
type Case = (&'static str, String, &'static [&'static str]);

fn backend(settings: &str) -> String {
    format!("backends:\n  store: {{{settings}}}\n{NAMESPACE}")
}

fn cases() -> Vec<Case> {
    vec![
        (
            "settings of SQLite, all at once",
            backend("type: sqlite, path: '', readers: 65, max_bytes: 4KiB, sweep_interval: 1ms, durability: ful, busy_timout: 1s"),
            &[
                "prism.yaml:2:31: `path` must be the path of a file, as ./prism-data/prism.db, not ``",
                "prism.yaml:2:44: `readers` must be a whole number from 1 to 64, not `65`",
                "prism.yaml:2:59: `max_bytes` must be a size such as 64KiB or 4MiB, at least 1MiB, not `4KiB`",
                "prism.yaml:2:81: `sweep_interval` must be a duration such as 100ms, 30s or 5m, at least 100ms, not `1ms`",
                "prism.yaml:2:98: unknown durability `ful`; did you mean `full`? There are: full, normal",
                "prism.yaml:2:103: unknown setting `busy_timout`; did you mean `busy_timeout`?",
            ],
        ),
        (
            "settings of Redis, all at once",
            backend("type: redis, url: 'redis://h', username: ada, connections: 65, max_value_bytes: 1GiB, retry: {min: 0s}, tls: {ca_file: /no.pem}"),
            &[
                "prism.yaml:2:3: `password` is missing: a user name needs one",
                "prism.yaml:2:70: `connections` must be a whole number from 1 to 64, not `65`",
                "prism.yaml:2:91: `max_value_bytes` must be a size such as 64KiB or 4MiB, from 1 to 536870000, not `1GiB`",
                "prism.yaml:2:110: `min` must be a duration such as 100ms, 30s or 5m, at least 1ms, not `0s`",
                "prism.yaml:2:120: `tls` needs a `url` that begins with rediss://",
                "prism.yaml:2:130: `ca_file` can't be read: No such file or directory (os error 2)",
            ],
        ),
        (
            "certificates of Redis in a file without any",
            backend("type: redis, url: 'rediss://h', tls: {ca_file: FOLDER/prism.yaml}"),
            &["prism.yaml:2:58: `ca_file` has no certificate: it needs PEM, `-----BEGIN CERTIFICATE-----`"],
        ),
        ("a folder as the file of SQLite", backend("type: sqlite, path: FOLDER"), &["prism.yaml:2:31: `path` is a folder; set it to a file"]),
        (
            "passwords and impossible ports in URLs",
            format!(
                "telemetry: {{otlp: {{endpoint: 'http://u:hunter2@h:4317'}}}}
{MEMORY}namespaces:
  - {{name: one, pattern: keyvalue, remote: {{url: 'http://u:hunter2@h:1'}}}}
  - {{name: two, pattern: keyvalue, remote: {{url: 'http://h:99999'}}}}\n"
            ),
            &[
                "prism.yaml:1:30: `endpoint` must be http://HOST:PORT or https://HOST:PORT, without user name, password",
                "prism.yaml:4:50: `url` must be http://HOST:PORT or https://HOST:PORT, without user name, password",
                "prism.yaml:5:50: `url` must be http://HOST:PORT or https://HOST:PORT, without user name, password",
            ],
        ),
        ("a URL of Redis", backend("type: redis, url: 'http://ada:hunter2@h'"), &["prism.yaml:2:29: `url` must be redis://HOST:PORT/DATABASE"]),
        (
            "settings of memory",
            backend("type: memory, max_bytes: 0, subscription_buffer: 1000001"),
            &[
                "prism.yaml:2:36: `max_bytes` must be a size such as 64KiB or 4MiB, at least 1, not `0`",
                "prism.yaml:2:60: `subscription_buffer` must be a whole number from 1 to 1000000, not `1000001`",
            ],
        ),
        (
            "settings of patterns",
            format!(
                "{MEMORY}namespaces:
  - {{name: one, pattern: keyvalue, slots: {{storage: store}}, settings: {{a: 1}}}}
  - {{name: two, pattern: schema-registry, slots: {{storage: store}}, settings: {{max_age: 5, snapshot_interval: 0, parsed_schema: 1}}}}\n"
            ),
            &[
                "prism.yaml:3:72: unknown setting `a`; there are: cache, outbox",
                "prism.yaml:4:88: `max_age` must be a duration such as 100ms, 30s or 5m, at least 1ms, not `5`",
                "prism.yaml:4:110: `snapshot_interval` must be a whole number from 1 to 65536, not `0`",
                "prism.yaml:4:113: unknown setting `parsed_schema`; did you mean `parsed_schemas`?",
            ],
        ),
        (
            "outboxes",
            "backends: {store: {type: memory}, broker: {type: nats, url: 'nats://h'}}
namespaces:
  - {name: one, pattern: keyvalue, slots: {storage: store, messaging: store}, scope: {by: tenant}}
  - {name: two, pattern: keyvalue, slots: {storage: broker, messaging: store}}
  - {name: three, pattern: keyvalue, slots: {storage: store, messaging: broker}, settings: {outbox: {max_backlog: 1, lease: 6m, poll_interval: 1h}}}
"
                .to_owned(),
            &[
                "prism.yaml:3:60: an outbox (slot `messaging`) can't be in a namespace with `scope`; remove one of them",
                "prism.yaml:4:61: an outbox (slot `messaging`) needs a backend with keyvalue_transactional in the slot `storage`, and the driver of kind nats does not implement it",
                "prism.yaml:5:115: `max_backlog` must be at least 128, not `1`",
                "prism.yaml:5:125: `lease` must be at most 5m, not `6m`",
                "prism.yaml:5:144: `poll_interval` must be at most 10s, not `1h`",
            ],
        ),
        (
            "outboxes over one keyspace",
            "backends: {store: {type: memory}, other: {type: memory}}
namespaces:
  - {name: one, pattern: keyvalue, slots: {storage: store, messaging: store}}
  - {name: two, pattern: keyvalue, slots: {storage: {backend: store, keyspace: one}, messaging: {backend: other, keyspace: one}}}
  - {name: three, pattern: keyvalue, slots: {storage: {backend: store, keyspace: one}, messaging: store}}
  - {name: same, pattern: keyvalue, slots: {storage: {backend: store, keyspace: one}, messaging: {backend: store, keyspace: one}}}
  - {name: none, pattern: keyvalue, slots: {storage: {backend: store, keyspace: one}}}
  - {name: apart, pattern: keyvalue, slots: {storage: store, messaging: other}}
"
            .to_owned(),
            &[
                "prism.yaml:4:86: the namespaces `one` and `two` share the data of the slot `storage`, and so its outbox, so their messages must go to the same place; `one` has `messaging: {backend: store, keyspace: one}`, and this namespace has `messaging: {backend: other, keyspace: one}`",
                "prism.yaml:5:88: the namespaces `one` and `three` share the data of the slot `storage`, and so its outbox, so their messages must go to the same place; `one` has `messaging: {backend: store, keyspace: one}`, and this namespace has `messaging: {backend: store, keyspace: three}`",
                "prism.yaml:6:87: the namespaces `two` and `same` share the data of the slot `storage`, and so its outbox, so their messages must go to the same place; `two` has `messaging: {backend: other, keyspace: one}`, and this namespace has `messaging: {backend: store, keyspace: one}`",
            ],
        ),
        (
            "a certificate and keys",
            format!(
                "listeners:
  main: {{tls: {{certificate: /no.pem, key: FOLDER/prism.yaml}}}}
  more: {{address: '127.0.0.1:0', tls: {{certificate: FOLDER/prism.yaml, key: /no.pem}}}}
{MEMORY}{NAMESPACE}"
            ),
            &[
                "prism.yaml:2:29: the file `/no.pem` can't be read: No such file or directory (os error 2)",
                "prism.yaml:2:43: the file `FOLDER/prism.yaml` has no private key in PEM format",
                "prism.yaml:3:53: the file `FOLDER/prism.yaml` has no certificate in PEM format",
            ],
        ),
        (
            "an address twice, and an unknown listener",
            format!(
                "listeners: {{main: {{address: '127.0.0.1:81'}}, more: {{address: '0.0.0.0:81', authentication: [anonymous]}}}}
{MEMORY}namespaces: [{{name: one, pattern: keyvalue, slots: {{storage: store}}, frontends: [{{frontend: rest, listener: man}}]}}]\n"
            ),
            &[
                "prism.yaml:1:62: the listener `more` needs a port that the listener `main` has on 127.0.0.1:81",
                "prism.yaml:3:109: unknown listener `man`; did you mean `main`?",
            ],
        ),
        (
            "a remote",
            "namespaces:
  - {name: one, pattern: keyvalue, remote: {url: 'http://:80'}}
  - {name: two, pattern: keyvalue, remote: {url: 'http://h:80', namespace: \"a\\nb\"}}\n"
                .to_owned(),
            &["prism.yaml:2:50: ", "prism.yaml:3:76: \"a\\nb\" can't be the name of a namespace"],
        ),
        (
            "interfaces that the backend lacks",
            "backends: {store: {type: redis, url: 'redis://h'}}
namespaces:
  - {name: one, pattern: keyvalue, slots: {storage: {backend: store, interfaces: [keyvalue_transactions]}}}
  - {name: two, pattern: keyvalue, slots: {storage: {}}}\n"
                .to_owned(),
            &["prism.yaml:3:83: unknown interface of the slot `storage` `keyvalue_transactions`", "prism.yaml:4:44: `backend` is missing"],
        ),
        (
            "two namespaces with the same routes, and limits",
            format!(
                "{MEMORY}namespaces:
  - {{name: one, pattern: keyvalue, slots: {{storage: store}}, frontends: [{{frontend: rest, base_path: /}}], limits: {{timeout: 2h, max_timeout: 1h}}}}
  - {{name: two, pattern: keyvalue, slots: {{storage: store}}, frontends: [{{frontend: rest, base_path: /}}]}}\n"
            ),
            &["prism.yaml:3:115: `timeout` is longer than `max_timeout`", "prism.yaml:4:84: `two` and `one` are both reached by rest under `/`"],
        ),
        (
            "definitions: one that is absent, and one with mistakes",
            format!(
                "{MEMORY}frontends: {{a: {{definition: none.yaml}}, b: {{definition: broken.yaml}}}}
namespaces: [{{name: one, pattern: keyvalue, slots: {{storage: store}}, frontends: [b]}}]\n"
            ),
            &["prism.yaml:2:29: the definition `FOLDER/none.yaml` can't be read", "FOLDER/broken.yaml:2:10: unknown pattern `keyvale`; did you mean `keyvalue`?"],
        ),
    ]
}

/// Returns the lines that begin with a path in the folder, without the folder.
fn problems(folder: &Path, text: &str) -> Vec<String> {
    let folder = folder.display().to_string();
    text.lines().filter(|line| line.starts_with(&folder)).map(str::to_owned).collect()
}

#[test]
fn validate_and_serve_find_the_same_problems() {
    for (name, config, expected) in cases() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("prism.yaml");
        let folder_path = folder.path().display().to_string();
        fs::write(&path, config.replace("FOLDER", &folder_path)).unwrap();
        fs::write(folder.path().join("broken.yaml"), "frontend: broken\npattern: keyvale\nopenapi: none.yaml\nroutes: {}\n").unwrap();

        let validated = prism(&format!("validate {}", path.display()));
        assert_eq!(validated.code, Some(1), "{name}: {}", validated.stdout);
        let reported = problems(folder.path(), &validated.stdout);
        for problem in expected {
            let problem = problem.replace("FOLDER", &folder_path);
            let start = if problem.starts_with('/') { problem } else { format!("{folder_path}/{problem}") };
            assert!(reported.iter().any(|line| line.starts_with(&start)), "{name}: no `{start}` in {reported:#?}");
        }
        let counted = if expected.len() == 1 { "1 problem".to_owned() } else { format!("{} problems", reported.len()) };
        assert!(validated.stdout.contains(&format!("❌ Configuration invalid: {counted}")), "{name}: {}", validated.stdout);

        let served = prism(&format!("serve --config {}", path.display()));
        assert_eq!(served.code, Some(1), "{name}: {}", served.stderr);
        assert_eq!(problems(folder.path(), &served.stderr), reported, "{name}");
        assert!(!served.stderr.contains("hunter2"), "{name}: {}", served.stderr);
        assert!(!validated.stdout.contains("hunter2"), "{name}: {}", validated.stdout);
    }
}
