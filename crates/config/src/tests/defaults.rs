use std::time::Duration;

use super::{REST, complete, valid};
use crate::{Cors, Limits, Origin, Source, check};

#[test]
fn without_a_file_there_is_a_durable_and_a_scratch_namespace() {
    let checked = check(&Source::default(), &complete());
    assert_eq!(checked.problems.to_string(), "");
    let config = checked.config;
    assert_eq!(config.origin, Origin::Embedded);
    assert_eq!(config.listeners["main"].address.to_string(), "127.0.0.1:8980");
    assert_eq!(config.listeners["registry"].address.to_string(), "127.0.0.1:8081");
    assert_eq!(config.admin.address.to_string(), "127.0.0.1:8981");
    assert!(config.listeners["main"].web_demo && !config.listeners["registry"].web_demo);
    let slots = config.namespaces.iter().flat_map(|namespace| namespace.slots.values().map(|slot| (&*namespace.name, &*slot.backend)));
    assert_eq!(slots.collect::<Vec<_>>(), [("default", "local"), ("scratch", "memory"), ("events", "memory"), ("registry", "local")]);
    assert_eq!(config.backends["local"].settings.values()["path"], "prism-data/prism.db");
}

#[test]
fn a_namespace_has_every_protocol_below_its_name() {
    let config = valid(REST, &[]);
    let bindings =
        config.namespaces[0].frontends.iter().map(|binding| format!("{} {:?} {}", binding.frontend, binding.host, binding.base_path));
    assert_eq!(
        bindings.collect::<Vec<_>>(),
        [
            "grpc None /one",
            "grpc-web None /one",
            "connect None /one",
            "rest None /one",
            "websocket None /one",
            "graphql None /one",
            "mcp None /one"
        ]
    );
    assert_eq!(config.namespaces[0].limits.timeout, Limits::default().timeout);
}

#[test]
fn reads_every_setting() {
    let folder = tempfile::tempdir().expect("a folder");
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate, "").expect("a file");
    std::fs::write(&key, "").expect("a file");
    let text = format!(
        "
listeners:
  main: {{address: 'localhost:80'}}
  secure:
    address: '[::]:443'
    authentication: [anonymous]
    tls: {{certificate: {}, key: {}}}
    cors: {{allowed_origins: ['*'], max_age: 5m}}
admin: {{address: 127.0.0.1:0}}
log: {{format: json, level: debug, access: off}}
shutdown: {{drain_timeout: 1m30s}}
backends:
  cache: {{type: redis, url: 'redis://h', pool_size: 4, protocol: resp3, tls: {{ca: x}}, replicas: [a], eager: true, labels: {{a: b}}, ratio: 1}}
frontends:
  public: {{type: rest, listener: secure, host: API.example.com, base_path: '/v/{{namespace}}'}}
namespaces:
  - name: one
    pattern: keyvalue
    pattern_version: v1
    slots: {{storage: {{backend: cache, interfaces: [keyvalue_basic, keyvalue_ttl]}}}}
    frontends:
      - grpc
      - public
      - {{frontend: rest, listener: main, host: other.example.com, base_path: /}}
    limits: {{max_message_bytes: 1MiB, max_concurrent_calls: 7, timeout: 1s, max_timeout: 2s, max_key_bytes: 64, max_value_bytes: 1KiB, max_batch_items: 3}}
  - name: two
    pattern: keyvalue
    remote: {{url: 'http://other:8980', namespace: default}}
    frontends: [{{frontend: grpc, enabled: false}}]
",
        certificate.display(),
        key.display()
    );
    let config = valid(&text, &[]);
    assert_eq!(config.listeners["main"].address.to_string(), "127.0.0.1:80");
    assert_eq!(config.listeners["secure"].tls.as_ref().expect("TLS").key, key);
    assert_eq!(config.listeners["secure"].cors, Cors { allowed_origins: vec!["*".into()], max_age: Duration::from_mins(5) });
    assert_eq!(config.shutdown.drain_timeout, Duration::from_secs(90));
    assert_eq!(config.backends["cache"].settings.values()["tls"]["ca"], "x");
    let one = config.namespace("one").expect("it is there");
    assert_eq!(one.slots["storage"].interfaces, ["keyvalue_basic", "keyvalue_ttl"]);
    let bindings = one.frontends.iter().map(|binding| (binding.listener.as_deref(), binding.host.as_deref(), binding.base_path.as_str()));
    let expected =
        [(None, None, "/one"), (Some("secure"), Some("api.example.com"), "/v/one"), (Some("main"), Some("other.example.com"), "")];
    assert_eq!(bindings.collect::<Vec<_>>(), expected);
    assert_eq!((one.limits.max_message_bytes, one.limits.max_value_bytes), (1 << 20, Some(1024)));
    let two = config.namespace("two").expect("it is there");
    assert_eq!(two.remote.as_ref().map(|remote| (remote.url.as_str(), remote.namespace.as_str())), Some(("http://other:8980", "default")));
    assert!(two.frontends.iter().all(|binding| !binding.enabled));
    let shown = serde_saphyr::to_string(&config).expect("YAML");
    let again = valid(&shown, &[]);
    assert_eq!(serde_saphyr::to_string(&again).expect("YAML"), shown, "what is shown can be read, and says the same");
}

#[test]
fn origins_are_compared_as_browsers_send_them() {
    let cors = Cors::default();
    for origin in ["http://localhost:3000", "http://localhost", "https://127.0.0.1:8443", "http://LOCALHOST:1"] {
        assert!(cors.allows(origin), "{origin}");
    }
    for origin in ["http://localhost.evil.com", "http://localhost:3000.evil.com", "https://example.com", "null", "http://evil.com:80", ""] {
        assert!(!cors.allows(origin), "{origin}");
    }
    let any = Cors { allowed_origins: vec!["*".into()], ..Cors::default() };
    assert!(any.allows("https://example.com"));
    let one = Cors { allowed_origins: vec!["https://example.com".into()], ..Cors::default() };
    assert!(one.allows("https://example.com") && !one.allows("https://example.com:8443") && !one.allows("http://example.com"));
}

#[test]
fn a_build_without_sqlite_keeps_everything_in_memory() {
    let mut known = complete();
    known.drivers.retain(|driver| driver.kind == "memory");
    let checked = check(&Source::default(), &known);
    assert_eq!(checked.problems.to_string(), "");
    assert_eq!(checked.config.backends["local"].kind, "memory");
}
