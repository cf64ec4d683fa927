//! Environment variables and command-line options.

use super::{REST, assert_problems, check, complete, source, valid};
use crate::{Source, check as check_source};

#[test]
fn variables_override_the_file_and_the_file_overrides_defaults() {
    let text = "
listeners: {main: {address: 127.0.0.1:1}}
log: {level: warn}
backends: {cache-1: {type: redis, url: 'redis://file', pool_size: 3}}
namespaces: [{name: one, pattern: keyvalue, slots: {storage: other}, frontends: [rest]}]
";
    let config = valid(
        text,
        &[
            ("PRISM_LISTENERS_MAIN_ADDRESS", "127.0.0.1:2"),
            ("PRISM_LISTENERS_MAIN_CORS_ALLOWED_ORIGINS", "https://a.example, https://b.example"),
            ("PRISM_ADMIN_ADDRESS", "127.0.0.1:3"),
            ("PRISM_LOG_FORMAT", "json"),
            ("PRISM_BACKENDS_CACHE_1_URL", "redis://variable"),
            ("PRISM_BACKENDS_CACHE_1_POOL_SIZE", "4"),
            ("PRISM_NAMESPACES_ONE_SLOTS_STORAGE", "cache-1"),
            ("PRISM_NAMESPACES_ONE_LIMITS_TIMEOUT", "3s"),
            ("PRISM_NAMESPACES_ONE_FRONTENDS_REST_BASE_PATH", "/elsewhere"),
        ],
    );
    assert_eq!(config.listeners["main"].address.port(), 2);
    assert_eq!(config.listeners["main"].cors.allowed_origins, ["https://a.example", "https://b.example"]);
    assert_eq!(config.admin.address.port(), 3);
    assert_eq!((config.log.level.name(), format!("{:?}", config.log.format)), ("warn", "Json".into()));
    let settings = &config.backends["cache-1"].settings;
    assert_eq!((&settings.values()["url"], &settings.values()["pool_size"]), (&"redis://variable".into(), &"4".into()));
    assert_eq!(settings.printable()["url"], "${env:PRISM_BACKENDS_CACHE_1_URL}");
    let one = &config.namespaces[0];
    assert_eq!((one.slots["storage"].backend.as_str(), one.limits.timeout.as_secs()), ("cache-1", 3));
    assert_eq!(one.frontends[0].base_path, "/elsewhere");
}

#[test]
fn a_problem_names_its_variable() {
    assert_problems(
        REST,
        &[("PRISM_LOG_LEVEL", "loud"), ("PRISM_ADMIN_ADDRESS", "here")],
        &[
            "PRISM_ADMIN_ADDRESS: `address` must be IP:PORT, as 127.0.0.1:8980, or 0.0.0.0:8980 for all interfaces, not `here`",
            "PRISM_LOG_LEVEL: unknown level `loud`; there are: off, error, warn, info, debug, trace",
        ],
    );
}

#[test]
fn a_misspelled_variable_gives_a_warning() {
    let checked = check(REST, &[("PRISM_LOG_LEVLE", "debug"), ("PRISM_SERVICE_HOST", "10.0.0.1"), ("PRISM_CONFIG", "x")]);
    assert_eq!(checked.config.warnings, ["the variable PRISM_LOG_LEVLE sets nothing; did you mean PRISM_LOG_LEVEL?"]);
}

#[test]
fn options_override_variables() {
    let flags = |source: Source| {
        source
            .with_flag("--listen", "listeners.main.address", Some("127.0.0.1:5".into()))
            .with_flag("--admin", "admin.address", None)
            .with_flag("--data", "backends.local.path", Some("/data/prism.db".into()))
    };
    let checked = check_source(&flags(source(&[("PRISM_LISTENERS_MAIN_ADDRESS", "127.0.0.1:4")])), &complete());
    assert_eq!(checked.problems.to_string(), "");
    assert_eq!(checked.config.listeners["main"].address.port(), 5);
    assert_eq!(checked.config.backends["local"].settings.printable()["path"], "/data/prism.db");

    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("prism.yaml");
    std::fs::write(&file, REST).expect("a file");
    let checked = check_source(&flags(Source { file: Some(file), ..Source::default() }), &complete());
    assert_eq!(checked.problems.to_string(), "--data: this configuration has no `backends.local.path` that the option could set");
}
