use super::{assert_problems, valid};

/// A backend with these settings.
fn redis(settings: &str) -> String {
    format!("backends:\n  cache: {{type: redis, {settings}}}\nnamespaces: [{{name: one, pattern: keyvalue, slots: {{storage: cache}}}}]\n")
}

#[test]
fn the_driver_checks_its_settings() {
    for (settings, expected) in [
        ("pool_size: 1", "2:3: `url` is missing: Where the server is, as `redis://localhost:6379`"),
        ("url: 'http://h'", "2:29: `url` must be a URL such as redis://localhost:6379, not `http://h`"),
        ("url: 'http://ada:secret@h'", "2:29: `url` must be a URL such as redis://localhost:6379, not `http://ada:***@h`"),
        ("url: 5", "2:29: `url` must be text, not `5`; write it in quotes"),
        ("url: 'redis://h', password: 5", "2:52: `password` must be text, not `***`; write it in quotes"),
        ("url: 'redis://h', pool_size: many", "2:53: `pool_size` must be a whole number from 1 to 65535, not `many`"),
        ("url: 'redis://h', pool_size: 1.5", "2:53: `pool_size` must be a whole number from 1 to 65535, not `1.5`"),
        ("url: 'redis://h', pool_size: 0", "2:53: `pool_size` must be a whole number from 1 to 65535, not `0`"),
        ("url: 'redis://h', ratio: much", "2:49: `ratio` must be a number, not `much`"),
        ("url: 'redis://h', protocol: resp", "2:52: unknown protocol `resp`; did you mean `resp3`? There are: resp2, resp3"),
        ("url: 'redis://h', protocol: [resp3]", "2:52: `protocol` must be one of resp2, resp3"),
        ("url: 'redis://h', tls: {cb: x}", "2:47: `ca` is missing\n2:48: unknown setting `cb`; there are: ca"),
        ("url: 'redis://h', tls: {ca: ''}", "2:52: `ca` can't be read"),
        ("url: 'redis://h', tls: true", "2:47: `tls` must be a mapping, not `true`"),
        ("url: 'redis://h', replicas: a", "2:52: `replicas` must be a list, not `a`"),
        ("url: 'redis://h', replicas: [a, {}]", "2:52: `replicas` has an item that must be text"),
        ("url: 'redis://h', eager: on", "2:49: `eager` must be true or false, not `on`"),
        ("url: 'redis://h', eager: true", "2:3: `replicas` is missing: `eager` needs it"),
        ("url: 'redis://h', labels: {a: 1}", "2:54: `a` must be text, not `1`; write it in quotes"),
        (
            "url: 'redis://h', pasword: x",
            "2:42: unknown setting `pasword`; did you mean `password`? There are: type, url, password, pool_size, ratio, protocol, tls, replicas, eager, labels",
        ),
        (
            "url: 5, pool_size: 0, ratio: much",
            "2:29: `url` must be text, not `5`; write it in quotes\n2:43: `pool_size` must be a whole number from 1 to 65535, not `0`\n2:53: `ratio` must be a number, not `much`",
        ),
    ] {
        let expected = expected.lines().map(|line| format!("prism.yaml:{line}")).collect::<Vec<_>>();
        assert_problems(&redis(settings), &[], &expected.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

#[test]
fn a_setting_that_is_null_is_absent() {
    let config = valid(&redis("url: 'redis://h', password: null, tls: ~"), &[]);
    assert_eq!(config.backends["cache"].settings.values().keys().collect::<Vec<_>>(), ["url"]);
}

#[test]
fn only_the_driver_sees_secrets() {
    let text = redis("url: 'redis://ada:one@${env:HOST}', password: '${env:PASSWORD}', pool_size: '${env:SIZE}'");
    let config = valid(&text, &[("HOST", "h"), ("PASSWORD", "hunter2"), ("SIZE", "9")]);
    let settings = &config.backends["cache"].settings;
    assert_eq!(settings.values()["url"], "redis://ada:one@h");
    assert_eq!(settings.values()["password"], "hunter2");
    assert_eq!(settings.values()["pool_size"], "9", "the driver reads texts as numbers");
    let shown = serde_saphyr::to_string(&config).expect("YAML");
    assert!(shown.contains("${env:PASSWORD}"), "{shown}");
    let config = valid(&redis("url: 'redis://ada:one@h', password: hunter2"), &[]);
    for text in [shown, format!("{config:?}"), serde_saphyr::to_string(&config).expect("YAML")] {
        assert!(!text.contains("hunter2") && !text.contains(":one@"), "{text}");
    }
}

#[test]
fn unresolved_references_are_reported() {
    assert_problems(
        &redis("url: '${file:/no/url}', password: '${env:PASSWORD}-${HOME}'"),
        &[],
        &[
            "prism.yaml:2:29: `url`: the file `/no/url` can't be read: No such file or directory (os error 2)",
            "prism.yaml:2:58: `password`: the environment variable `PASSWORD` is not set",
            "prism.yaml:2:58: `password`: `${HOME}` is no reference; write ${env:NAME} or ${file:PATH}, or `$${` for a plain `${`",
        ],
    );
}

#[test]
fn the_value_of_a_secret_is_in_no_problem() {
    assert_problems(
        &redis("url: 'redis://h', pool_size: '${env:SIZE}'"),
        &[("SIZE", "hunter2")],
        &["prism.yaml:2:53: `pool_size` must be a whole number from 1 to 65535, not `${env:SIZE}`"],
    );
}

#[test]
fn durations_and_sizes_have_units() {
    let text = "backends: {local: {type: sqlite, path: x, busy_timeout: 1m30s, max_bytes: 2MiB}}
namespaces: [{name: one, pattern: keyvalue, slots: {storage: local}}]
";
    let config = valid(text, &[("PRISM_BACKENDS_LOCAL_SWEEP_INTERVAL", "1.5s")]);
    let settings = &config.backends["local"].settings;
    assert_eq!((&settings.values()["busy_timeout"], &settings.printable()["busy_timeout"]), (&"1m30s".into(), &"1m30s".into()));
    assert_eq!(settings.values()["sweep_interval"], "1.5s");
    assert_problems(
        &text.replace("2MiB", "2 bananas").replace("1m30s", "90"),
        &[],
        &[
            "prism.yaml:1:57: `busy_timeout` must be a duration such as 100ms, 30s or 5m, at least 1ms, not `90`",
            "prism.yaml:1:72: `max_bytes` must be a size such as 64KiB or 4MiB, at least 1, not `2 bananas`",
        ],
    );
}

/// A namespace with these settings.
fn registry(settings: &str) -> String {
    format!(
        "backends: {{ram: {{type: memory}}}}\nnamespaces: [{{name: one, pattern: schema-registry, slots: {{storage: ram}}{settings}}}]\n"
    )
}

#[test]
fn the_pattern_checks_its_settings() {
    for (settings, expected) in [
        ("{max_bytes: 1KiB, interval: 64}", ""),
        ("{max_bytes: 2KiB}", "2:97: `max_bytes` must be a size such as 64KiB or 4MiB, from 1 to 1KiB, not `2KiB`"),
        ("{interval: 0}", "2:96: `interval` must be a whole number from 1 to 64, not `0`"),
        ("{interval: 3}", "2:96: `interval` needs `max_bytes`"),
        ("{intervall: 3}", "2:86: unknown setting `intervall`; did you mean `interval`? There are: max_bytes, interval, key"),
        ("[1]", "2:85: `settings` must be a mapping, not a list"),
        ("{key: 5}", "2:91: `key` must be text, not `***`; write it in quotes"),
        ("{key: '${env:KEY}'}", "2:91: `key`: the environment variable `KEY` is not set"),
    ] {
        let expected = expected.lines().map(|line| format!("prism.yaml:{line}")).collect::<Vec<_>>();
        assert_problems(&registry(&format!(", settings: {settings}")), &[], &expected.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let plain = "backends: {ram: {type: memory}}\nnamespaces: [{name: one, pattern: keyvalue, slots: {storage: ram}, settings: {a: 1}}]\n";
    assert_problems(plain, &[], &["prism.yaml:2:79: unknown setting `a`; there are none"]);
    let remote = "namespaces: [{name: one, pattern: keyvalue, remote: {url: 'http://h'}, settings: {a: 1}}]\n";
    assert_problems(remote, &[], &["prism.yaml:1:72: the other Prism has the settings of a namespace with `remote`; set them there"]);
}

#[test]
fn settings_of_a_pattern_are_resolved_and_printed_without_secrets() {
    let text = registry(", settings: {max_bytes: '${env:SIZE}', key: hunter2}");
    let config = valid(&text, &[("SIZE", "64"), ("PRISM_NAMESPACES_ONE_SETTINGS_INTERVAL", "7")]);
    let settings = &config.namespaces[0].settings;
    assert_eq!(
        (&settings.values()["max_bytes"], &settings.values()["interval"], &settings.values()["key"]),
        (&"64".into(), &"7".into(), &"hunter2".into())
    );
    let shown = serde_saphyr::to_string(&config).expect("YAML");
    assert!(shown.contains("max_bytes: ${env:SIZE}") && !shown.contains("hunter2"), "{shown}");
    let config = valid(&registry(""), &[("PRISM_NAMESPACES_ONE_SETTINGS_MAX_BYTES", "1KiB")]);
    assert_eq!(config.namespaces[0].settings.values()["max_bytes"], "1KiB");
    assert!(valid(&registry(""), &[]).namespaces[0].settings.is_empty());
}
