//! Configuration and mode of subjects, contexts and the registry. The narrowest setting takes precedence.

use super::{
    refusal::{self, Cause},
    state::{ScopeSettings, State},
    subject::SubjectName,
};
use prism_call::{
    Error,
    proto::patterns::schema_registry::v1::{Config, Metadata, Rule, RuleSet},
};
use prism_schema::CompatibilityPolicy;

pub(super) const DEFAULT_LEVEL: &str = "BACKWARD";
pub(super) const DEFAULT_MODE: &str = "READWRITE";
const READONLY_OVERRIDE: &str = "READONLY_OVERRIDE";
/// The mode in which schemas get the ids that requests say.
pub(super) const IMPORT: &str = "IMPORT";
const MODES: &[&str] = &["READWRITE", "READONLY", READONLY_OVERRIDE, IMPORT, "FORWARD"];

/// The versions that a schema is compared with, and in which direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CompatibilityLevel {
    /// Whether new readers must be able to read what old writers wrote.
    pub backward: bool,
    /// Whether old readers must be able to read what new writers write.
    pub forward: bool,
    /// Whether all earlier versions are compared, not only the latest.
    pub transitive: bool,
}

impl CompatibilityLevel {
    const NAMES: [&str; 7] = ["NONE", "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE"];

    /// Parses the name of a level, in either case.
    pub fn parse(name: &str) -> Option<Self> {
        let level = |backward, forward, transitive| Some(Self { backward, forward, transitive });
        match &*name.to_ascii_uppercase() {
            "NONE" => level(false, false, false),
            "BACKWARD" => level(true, false, false),
            "BACKWARD_TRANSITIVE" => level(true, false, true),
            "FORWARD" => level(false, true, false),
            "FORWARD_TRANSITIVE" => level(false, true, true),
            "FULL" => level(true, true, false),
            "FULL_TRANSITIVE" => level(true, true, true),
            _ => None,
        }
    }

    pub fn is_none(self) -> bool {
        !self.backward && !self.forward
    }
}

/// Returns the level of a configuration, or the default level.
pub(super) fn compatibility_level(config: &Config) -> (String, CompatibilityLevel) {
    let name = config.compatibility_level.as_deref().unwrap_or(DEFAULT_LEVEL);
    let level = CompatibilityLevel::parse(name).unwrap_or(CompatibilityLevel { backward: true, forward: false, transitive: false });
    (name.to_owned(), level)
}

pub(super) fn compatibility_policy(config: &Config) -> CompatibilityPolicy {
    if config.compatibility_policy.as_deref() == Some("LENIENT") { CompatibilityPolicy::Lenient } else { CompatibilityPolicy::Strict }
}

/// Returns the effective configuration of a subject or a context: each field comes from the narrowest scope that sets it.
pub(super) fn effective_config(state: &State, name: &SubjectName) -> Config {
    let mut config = state.inherited(name).filter_map(|settings| settings.config.as_deref()).fold(Config::default(), inherit);
    // An alias is never inherited.
    config.alias = own(state, name).and_then(|settings| settings.config.as_ref()?.alias.clone());
    config
}

fn own<'a>(state: &'a State, name: &SubjectName) -> Option<&'a ScopeSettings> {
    state.settings(name)
}

/// Fills fields that the narrower configuration does not set from the wider one.
fn inherit(narrow: Config, wide: &Config) -> Config {
    let Config {
        alias,
        normalize,
        validate_fields,
        compatibility_level,
        compatibility_policy,
        compatibility_group,
        default_metadata,
        override_metadata,
        default_rule_set,
        override_rule_set,
        validate_new_schemas,
        validate_rules,
    } = narrow;
    Config {
        alias,
        normalize: normalize.or(wide.normalize),
        validate_fields: validate_fields.or(wide.validate_fields),
        compatibility_level: compatibility_level.or_else(|| wide.compatibility_level.clone()),
        compatibility_policy: compatibility_policy.or_else(|| wide.compatibility_policy.clone()),
        compatibility_group: compatibility_group.or_else(|| wide.compatibility_group.clone()),
        default_metadata: merge_metadata(wide.default_metadata.clone(), default_metadata),
        override_metadata: merge_metadata(wide.override_metadata.clone(), override_metadata),
        default_rule_set: merge_rules(wide.default_rule_set.clone(), default_rule_set),
        override_rule_set: merge_rules(wide.override_rule_set.clone(), override_rule_set),
        validate_new_schemas: validate_new_schemas.or(wide.validate_new_schemas),
        validate_rules: validate_rules.or(wide.validate_rules),
    }
}

/// Applies a change to a configuration: fields that the change does not set keep their values.
pub(super) fn merge(before: Config, change: Config, unset: &[String]) -> Result<Config, Error> {
    let mut config = Config {
        alias: change.alias.or(before.alias),
        normalize: change.normalize.or(before.normalize),
        validate_fields: change.validate_fields.or(before.validate_fields),
        compatibility_level: change.compatibility_level.or(before.compatibility_level),
        compatibility_policy: change.compatibility_policy.or(before.compatibility_policy),
        compatibility_group: change.compatibility_group.or(before.compatibility_group),
        default_metadata: change.default_metadata.or(before.default_metadata),
        override_metadata: change.override_metadata.or(before.override_metadata),
        default_rule_set: change.default_rule_set.or(before.default_rule_set),
        override_rule_set: change.override_rule_set.or(before.override_rule_set),
        validate_new_schemas: change.validate_new_schemas.or(before.validate_new_schemas),
        validate_rules: change.validate_rules.or(before.validate_rules),
    };
    for (index, field) in unset.iter().enumerate() {
        match &**field {
            "alias" => config.alias = None,
            "normalize" => config.normalize = None,
            "validate_fields" => config.validate_fields = None,
            "compatibility_level" => config.compatibility_level = None,
            "compatibility_policy" => config.compatibility_policy = None,
            "compatibility_group" => config.compatibility_group = None,
            "default_metadata" => config.default_metadata = None,
            "override_metadata" => config.override_metadata = None,
            "default_rule_set" => config.default_rule_set = None,
            "override_rule_set" => config.override_rule_set = None,
            "validate_new_schemas" => config.validate_new_schemas = None,
            "validate_rules" => config.validate_rules = None,
            other => return Err(Error::invalid(format!("unset[{index}]"), format!("{other:?} is not a field of the configuration"))),
        }
    }
    Ok(config)
}

/// Checks the configuration in a request, and converts names to upper case.
pub(super) fn check_config(mut config: Config) -> Result<Config, Error> {
    if let Some(level) = &mut config.compatibility_level {
        if CompatibilityLevel::parse(level).is_none() {
            let known = CompatibilityLevel::NAMES.join(", ");
            return Err(Error::invalid("config.compatibility_level", format!("{level:?} is unknown; the levels are {known}"))
                .with_reason("INVALID_COMPATIBILITY_LEVEL"));
        }
        level.make_ascii_uppercase();
    }
    if let Some(policy) = &mut config.compatibility_policy {
        policy.make_ascii_uppercase();
        if policy != "STRICT" && policy != "LENIENT" {
            return Err(Error::invalid(
                "config.compatibility_policy",
                format!("{policy:?} is unknown; the policies are STRICT and LENIENT"),
            )
            .with_reason("INVALID_COMPATIBILITY_POLICY"));
        }
    }
    // An empty text removes the setting.
    for text in [&mut config.alias, &mut config.compatibility_group] {
        if text.as_deref() == Some("") {
            *text = None;
        }
    }
    for (field, rules) in [("default_rule_set", &config.default_rule_set), ("override_rule_set", &config.override_rule_set)] {
        if let Some(rules) = rules {
            super::rule::check_size(&format!("config.{field}"), rules)?;
            super::rule::check_rule_set(&format!("config.{field}"), rules)?;
        }
    }
    Ok(config)
}

/// Returns the effective mode of a subject or a context.
pub(super) fn effective_mode<'a>(state: &'a State, name: &SubjectName) -> &'a str {
    let modes: Vec<_> = state.inherited(name).filter_map(|settings| settings.mode.as_deref()).collect();
    // READONLY_OVERRIDE of a wider scope takes precedence over narrower modes.
    if modes.contains(&READONLY_OVERRIDE) { READONLY_OVERRIDE } else { modes.first().copied().unwrap_or(DEFAULT_MODE) }
}

/// Parses the mode in a request.
pub(super) fn parse_mode(mode: &str) -> Result<String, Error> {
    let name = mode.to_ascii_uppercase();
    if MODES.contains(&&*name) {
        return Ok(name);
    }
    Err(Error::invalid("mode", format!("{mode:?} is unknown; the modes are {}", MODES.join(", "))).with_reason("INVALID_MODE"))
}

/// Checks that the mode allows changes of schemas.
pub(super) fn check_writable(state: &State, name: &SubjectName) -> Result<(), Error> {
    match effective_mode(state, name) {
        mode @ ("READONLY" | READONLY_OVERRIDE | "FORWARD") => {
            let message = format!("'{name}' has the mode {mode}, so it can't be changed");
            Err(refusal::not_permitted(Cause::ReadOnly, message).with("subject", name.to_string()))
        }
        _ => Ok(()),
    }
}

/// Merges metadata. Values of the second take precedence.
pub(super) fn merge_metadata(first: Option<Metadata>, second: Option<Metadata>) -> Option<Metadata> {
    let (Some(mut merged), Some(second)) = (first.clone(), second.clone()) else { return second.or(first) };
    merged.tags.extend(second.tags);
    merged.properties.extend(second.properties);
    for name in second.sensitive {
        if !merged.sensitive.contains(&name) {
            merged.sensitive.push(name);
        }
    }
    Some(merged)
}

/// Merges rule sets. Rules of the second replace rules with the same name.
pub(super) fn merge_rules(first: Option<RuleSet>, second: Option<RuleSet>) -> Option<RuleSet> {
    let (Some(mut merged), Some(second)) = (first.clone(), second.clone()) else { return second.or(first) };
    let join = |first: &mut Vec<Rule>, second: Vec<Rule>| {
        first.retain(|rule| second.iter().all(|other| other.name != rule.name));
        first.extend(second);
    };
    join(&mut merged.migration_rules, second.migration_rules);
    join(&mut merged.domain_rules, second.domain_rules);
    join(&mut merged.encoding_rules, second.encoding_rules);
    if !second.enable_at.is_empty() {
        merged.enable_at = second.enable_at;
    }
    Some(merged)
}
