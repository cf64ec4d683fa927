//! Attributes of messages: those of clients, and those that patterns add.

use std::collections::BTreeMap;

use prism_call::Error;
use prism_slot::check;

/// Attributes with this prefix are those of Prism.
const RESERVED_PREFIX: &str = "prism-";
/// Most attributes of a client. Patterns and dead-letter queues add their own.
const MAX_ATTRIBUTES: usize = 60;

/// Checks the attributes of a client, in this field.
pub fn check(field: &str, reason: &'static str, attributes: &BTreeMap<String, String>) -> Result<(), Error> {
    let invalid = |problem: String| Error::invalid(field, problem).with_reason(reason);
    if attributes.len() > MAX_ATTRIBUTES {
        return Err(invalid(format!("has {} items; at most {MAX_ATTRIBUTES} are allowed", attributes.len())));
    }
    if let Some(name) = attributes.keys().find(|name| name.starts_with(RESERVED_PREFIX)) {
        return Err(invalid(format!("the name {name:?} is reserved; choose one that does not begin with `{RESERVED_PREFIX}`")));
    }
    check::attributes(attributes).map_err(|error| {
        let problem = error.violations().first().map(|violation| violation.description.clone()).unwrap_or_default();
        invalid(problem)
    })
}

/// Removes the attributes of Prism, which clients don't see.
pub fn remove_reserved(attributes: &mut BTreeMap<String, String>) {
    attributes.retain(|name, _| !name.starts_with(RESERVED_PREFIX));
}
