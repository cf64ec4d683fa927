//! Rules and metadata that requests bring: kept and returned, so they are only held against what clients can read.

use prost_types::value::Kind;

use prism_call::{
    Error,
    proto::patterns::schema_registry::v1::{Metadata, RuleSet},
};

/// Most rules in a set, and most properties, tags and names in metadata.
const MAX_ITEMS: usize = 1000;

/// Rules with names, each once, of kinds and modes that clients know.
pub(super) fn check(field: &str, rules: &RuleSet) -> Result<(), Error> {
    let sets: [(&str, _, &[&str]); 3] = [
        ("migration_rules", &rules.migration_rules, &["UPGRADE", "DOWNGRADE", "UPDOWN"]),
        ("domain_rules", &rules.domain_rules, &["WRITE", "READ", "WRITEREAD"]),
        ("encoding_rules", &rules.encoding_rules, &["WRITE", "READ", "WRITEREAD"]),
    ];
    for (set, rules, modes) in sets {
        let refuse = |index: usize, name: &str, why: String| {
            let place = format!("{field}.{set}[{index}].{name}");
            Err(Error::invalid(place, why).with_reason("INVALID_RULE_SET"))
        };
        if rules.len() > MAX_ITEMS {
            return refuse(MAX_ITEMS, "name", format!("there may be {MAX_ITEMS} rules"));
        }
        for (index, rule) in rules.iter().enumerate() {
            let mut letters = rule.name.chars();
            let begins = letters.next().is_some_and(|first| first.is_alphabetic() || first == '_');
            if !begins || !letters.all(|one| one.is_alphanumeric() || one == '_' || one == '-') {
                return refuse(
                    index,
                    "name",
                    format!("{:?} has to begin with a letter or _, and go on with letters, digits, _ and -", rule.name),
                );
            }
            if rules.iter().take(index).any(|other| other.name == rule.name) {
                return refuse(index, "name", format!("{:?} is there twice", rule.name));
            }
            if rule.r#type.is_empty() {
                return refuse(index, "type", "has to be set".to_owned());
            }
            if !rule.kind.is_empty() && !["TRANSFORM", "CONDITION"].contains(&&*rule.kind) {
                return refuse(index, "kind", format!("{:?} is neither TRANSFORM nor CONDITION", rule.kind));
            }
            if !rule.mode.is_empty() && !modes.contains(&&*rule.mode) {
                return refuse(index, "mode", format!("{:?} is none of {}", rule.mode, modes.join(", ")));
            }
        }
    }
    Ok(())
}

/// Tags that are texts, and not too much of all.
pub(super) fn check_metadata(field: &str, metadata: &Metadata) -> Result<(), Error> {
    let many = metadata.tags.len().max(metadata.properties.len()).max(metadata.sensitive.len());
    if many > MAX_ITEMS {
        return Err(Error::invalid(field, format!("may have {MAX_ITEMS} entries of each kind")));
    }
    for (path, tags) in &metadata.tags {
        if tags.values.len() > MAX_ITEMS || !tags.values.iter().all(|tag| matches!(tag.kind, Some(Kind::StringValue(_)))) {
            return Err(Error::invalid(format!("{field}.tags[{path:?}]"), format!("takes a list of at most {MAX_ITEMS} texts")));
        }
    }
    Ok(())
}
