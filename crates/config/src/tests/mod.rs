//! One case for each kind of problem, with its exact text.

mod access;
mod defaults;
mod namespaces;
mod overrides;
mod problems;
mod schema;
mod settings;
mod telemetry;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    AuthenticatorKind, Checked, Config, DecisionPointKind, Definition, Driver, Known, Origin, Pattern, Source, Variables, check_text,
};
use prism_registry::Registry;
use prism_settings::{ByteSize, CheckSettings, Count, HumanDuration, Secret, SettingProblem, parse_settings, settings_schema};

/// Settings of a driver, with all types that settings have.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only parsed")]
struct Redis {
    /// Where the server is, as `redis://localhost:6379`. More.
    url: String,
    password: Option<Secret>,
    pool_size: Option<Count<65_535>>,
    ratio: Option<f64>,
    protocol: Option<Protocol>,
    tls: Option<Tls>,
    replicas: Option<Vec<String>>,
    eager: Option<bool>,
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Protocol {
    /// Old.
    Resp2,
    Resp3,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Tls {
    ca: String,
}

impl CheckSettings for Redis {
    fn check(&self) -> Vec<SettingProblem> {
        let mut problems = Vec::new();
        if !self.url.starts_with("redis://") {
            problems.push(SettingProblem::expected("url", "a URL such as redis://localhost:6379"));
        }
        if self.tls.as_ref().is_some_and(|tls| tls.ca.is_empty()) {
            problems.push(SettingProblem::other("tls.ca", "can't be read"));
        }
        if self.eager == Some(true) && self.replicas.is_none() {
            problems.push(SettingProblem::other("replicas", "is missing: `eager` needs it"));
        }
        problems
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only parsed")]
struct Sqlite {
    path: String,
    busy_timeout: Option<HumanDuration>,
    sweep_interval: Option<HumanDuration>,
    max_bytes: Option<ByteSize>,
}

impl CheckSettings for Sqlite {}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Memory {}

impl CheckSettings for Memory {}

/// Settings of an authenticator.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only parsed")]
struct KeyFile {
    file: String,
}

impl CheckSettings for KeyFile {}

/// A pattern without settings.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Plain {}

impl CheckSettings for Plain {}

/// A pattern with settings.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only parsed")]
struct Registered {
    /// Most bytes of a text. More.
    max_bytes: Option<ByteSize<1, 1024>>,
    interval: Option<Count<64>>,
    key: Option<Secret>,
}

impl CheckSettings for Registered {
    fn check(&self) -> Vec<SettingProblem> {
        let problem = || SettingProblem::other("interval", "needs `max_bytes`");
        (self.interval.is_some() && self.max_bytes.is_none()).then(problem).into_iter().collect()
    }
}

fn pattern<T: CheckSettings>(name: &str) -> Pattern {
    Pattern { name: name.to_owned(), schema: settings_schema::<T>().to_value(), check: |values| parse_settings::<T>(values).map(drop) }
}

fn authenticator<T: CheckSettings>(name: &str) -> AuthenticatorKind {
    let check = |values: &_| parse_settings::<T>(values).map(drop);
    AuthenticatorKind { name: name.to_owned(), schema: settings_schema::<T>().to_value(), check }
}

fn driver<T: CheckSettings>(kind: &str) -> Driver {
    Driver { kind: kind.to_owned(), schema: settings_schema::<T>().to_value(), check: |settings| settings.parse::<T>().map(drop) }
}

/// Drivers of a build, independent of the real ones.
fn known() -> Known<'static> {
    let notes = "frontend: notes\nopenapi: api.yaml\npattern: keyvalue\nbase_path: /notes/{namespace}\n";
    let definitions = vec![Definition { name: "notes".to_owned(), text: notes.to_owned() }];
    let drivers = vec![driver::<Memory>("memory"), driver::<Redis>("redis"), driver::<Sqlite>("sqlite")];
    Known {
        registry: Registry::embedded(),
        drivers,
        authenticators: vec![authenticator::<KeyFile>("api-key"), authenticator::<Memory>("mtls")],
        decision_point: DecisionPointKind {
            schema: settings_schema::<Memory>().to_value(),
            check: |values| parse_settings::<Memory>(values).map(drop),
        },
        patterns: vec![pattern::<Plain>("keyvalue"), pattern::<Registered>("schema-registry")],
        definitions,
    }
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
    check_text(text, Origin::File("prism.yaml".into()), &source(variables), &known())
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
