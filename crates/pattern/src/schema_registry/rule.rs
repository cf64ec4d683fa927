//! Checks of rules and metadata in requests. The registry stores and returns them, and does not run rules.

use prost_types::value::Kind;

use prism_call::{
    Error,
    proto::patterns::schema_registry::v1::{Metadata, RuleSet},
};

/// Greatest number of rules in a set, and of properties, tags and names in metadata.
const MAX_ITEMS: usize = 1000;

/// Checks the number of rules.
pub(super) fn check_size(field: &str, rules: &RuleSet) -> Result<(), Error> {
    let most = rules.migration_rules.len().max(rules.domain_rules.len()).max(rules.encoding_rules.len());
    if most > MAX_ITEMS {
        return Err(Error::invalid(field, format!("takes at most {MAX_ITEMS} rules of each kind")).with_reason("INVALID_RULE_SET"));
    }
    Ok(())
}

/// Checks the names, kinds and modes of rules. Names must be unique.
pub(super) fn check_rule_set(field: &str, rules: &RuleSet) -> Result<(), Error> {
    let sets: [(&str, _, &[&str]); 3] = [
        ("migration_rules", &rules.migration_rules, &["UPGRADE", "DOWNGRADE", "UPDOWN"]),
        ("domain_rules", &rules.domain_rules, &["WRITE", "READ", "WRITEREAD"]),
        ("encoding_rules", &rules.encoding_rules, &["WRITE", "READ", "WRITEREAD"]),
    ];
    for (set, rules, modes) in sets {
        let refuse = |index: usize, name: &str, why: String| {
            let path = format!("{field}.{set}[{index}].{name}");
            Err(Error::invalid(path, why).with_reason("INVALID_RULE_SET"))
        };
        for (index, rule) in rules.iter().enumerate() {
            let mut letters = rule.name.chars();
            let begins = letters.next().is_some_and(|first| first.is_alphabetic() || first == '_');
            if !begins || !letters.all(|one| one.is_alphanumeric() || one == '_' || one == '-') {
                return refuse(
                    index,
                    "name",
                    format!("{:?} must begin with a letter or _, followed by letters, digits, _ and -", rule.name),
                );
            }
            if rules.iter().take(index).any(|other| other.name == rule.name) {
                return refuse(index, "name", format!("{:?} is used twice", rule.name));
            }
            if rule.r#type.is_empty() {
                return refuse(index, "type", "must be set".to_owned());
            }
            if !rule.kind.is_empty() && !["TRANSFORM", "CONDITION"].contains(&&*rule.kind) {
                return refuse(index, "kind", format!("{:?} is neither TRANSFORM nor CONDITION", rule.kind));
            }
            if !rule.mode.is_empty() && !modes.contains(&&*rule.mode) {
                return refuse(index, "mode", format!("{:?} is not one of {}", rule.mode, modes.join(", ")));
            }
        }
    }
    Ok(())
}

/// Checks that tags are texts, and that nothing is too long.
pub(super) fn check_metadata(field: &str, metadata: &Metadata) -> Result<(), Error> {
    let many = metadata.tags.len().max(metadata.properties.len()).max(metadata.sensitive.len());
    if many > MAX_ITEMS {
        return Err(Error::invalid(field, format!("takes at most {MAX_ITEMS} entries of each kind")));
    }
    for (path, tags) in &metadata.tags {
        if tags.values.len() > MAX_ITEMS || !tags.values.iter().all(|tag| matches!(tag.kind, Some(Kind::StringValue(_)))) {
            return Err(Error::invalid(format!("{field}.tags[{path:?}]"), format!("takes a list of at most {MAX_ITEMS} texts")));
        }
    }
    Ok(())
}
