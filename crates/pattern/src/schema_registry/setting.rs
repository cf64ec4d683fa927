//! What holds for a subject: configuration and mode, from the narrowest to the widest.

use super::{
    refusal,
    state::{Settings, State},
    subject::Name,
};
use prism_call::{
    Error,
    proto::patterns::schema_registry::v1::{Config, Metadata, Rule, RuleSet},
};
use prism_schema::CompatibilityPolicy;

pub(super) const DEFAULT_LEVEL: &str = "BACKWARD";
pub(super) const DEFAULT_MODE: &str = "READWRITE";
const MODES: &[&str] = &["READWRITE", "READONLY", "READONLY_OVERRIDE", "IMPORT", "FORWARD"];

/// Which versions a schema is held against, and which way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Level {
    /// Whether new readers read what old writers wrote.
    pub backward: bool,
    /// Whether old readers read what new writers write.
    pub forward: bool,
    /// Whether with all earlier versions, not just the latest.
    pub transitive: bool,
}

impl Level {
    /// By its name, in either case.
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

/// The level that a configuration says, or the default one.
pub(super) fn level(config: &Config) -> (String, Level) {
    let name = config.compatibility_level.as_deref().unwrap_or(DEFAULT_LEVEL);
    let level = Level::parse(name).unwrap_or(Level { backward: true, forward: false, transitive: false });
    (name.to_owned(), level)
}

pub(super) fn policy(config: &Config) -> CompatibilityPolicy {
    if config.compatibility_policy.as_deref() == Some("LENIENT") { CompatibilityPolicy::Lenient } else { CompatibilityPolicy::Strict }
}

/// What holds for a subject or a context: each field from the narrowest that sets it.
pub(super) fn effective(state: &State, name: &Name) -> Config {
    let mut config = state.inherited(name).filter_map(|settings| settings.config.as_deref()).fold(Config::default(), inherit);
    // An alias is a subject's own.
    config.alias = own(state, name).and_then(|settings| settings.config.as_ref()?.alias.clone());
    config
}

fn own<'a>(state: &'a State, name: &Name) -> Option<&'a Settings> {
    state.settings(name)
}

/// The fields of the wider one where the narrower one has none.
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
    }
}

/// A change of what is set: what it sets, and of the rest what was there.
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
            other => return Err(Error::invalid(format!("unset[{index}]"), format!("{other:?} is not a field of the configuration"))),
        }
    }
    Ok(config)
}

/// A configuration that a request brings: names in upper case, and none that isn't known.
pub(super) fn checked(mut config: Config) -> Result<Config, Error> {
    if let Some(level) = &mut config.compatibility_level {
        if Level::parse(level).is_none() {
            let valid = "Valid values are none, backward, forward, full, backward_transitive, forward_transitive, and full_transitive";
            return Err(Error::invalid("config.compatibility_level", format!("{level:?} is unknown. {valid}"))
                .with_reason("INVALID_COMPATIBILITY_LEVEL"));
        }
        level.make_ascii_uppercase();
    }
    if let Some(policy) = &mut config.compatibility_policy {
        policy.make_ascii_uppercase();
        if policy != "STRICT" && policy != "LENIENT" {
            return Err(Error::invalid(
                "config.compatibility_policy",
                format!("{policy:?} is unknown. Valid values are strict and lenient"),
            )
            .with_reason("INVALID_COMPATIBILITY_POLICY"));
        }
    }
    // An empty text takes the setting away.
    for text in [&mut config.alias, &mut config.compatibility_group] {
        if text.as_deref() == Some("") {
            *text = None;
        }
    }
    for (field, rules) in [("default_rule_set", &config.default_rule_set), ("override_rule_set", &config.override_rule_set)] {
        if let Some(rules) = rules {
            super::rule::check(&format!("config.{field}"), rules)?;
        }
    }
    Ok(config)
}

/// The mode that holds.
pub(super) fn mode<'a>(state: &'a State, name: &Name) -> &'a str {
    let modes: Vec<_> = state.inherited(name).filter_map(|settings| settings.mode.as_deref()).collect();
    // What holds for everything may be set above all that is narrower.
    match modes.last() {
        Some(&"READONLY_OVERRIDE") => "READONLY_OVERRIDE",
        _ => modes.first().copied().unwrap_or(DEFAULT_MODE),
    }
}

/// A mode that a request brings.
pub(super) fn checked_mode(mode: &str) -> Result<String, Error> {
    let name = mode.to_ascii_uppercase();
    if MODES.contains(&&*name) {
        return Ok(name);
    }
    let valid = "Valid values are READWRITE, READONLY, READONLY_OVERRIDE, IMPORT, and FORWARD";
    Err(Error::invalid("mode", format!("{mode:?} is unknown. {valid}")).with_reason("INVALID_MODE"))
}

/// Refuses to change schemas where they can only be read.
pub(super) fn writable(state: &State, name: &Name) -> Result<(), Error> {
    match mode(state, name) {
        "READONLY" | "READONLY_OVERRIDE" | "FORWARD" => {
            Err(refusal::not_permitted(format!("Subject {name} is in read-only mode")).with("subject", name.to_string()))
        }
        _ => Ok(()),
    }
}

/// Both, the second before the first.
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

/// Both; rules of the second take the place of those of the same name.
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
