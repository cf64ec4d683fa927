//! Names of types: short ones, made unique.

use std::collections::HashMap;

/// Names that no message may have.
const RESERVED: [&str; 17] = [
    "Query",
    "Mutation",
    "Subscription",
    "Int",
    "Float",
    "String",
    "Boolean",
    "ID",
    "Int64",
    "UInt64",
    "UInt32",
    "Bytes",
    "Timestamp",
    "Duration",
    "FieldMask",
    "JSON",
    "PageInfo",
];

/// Gives each type of the contracts a name that no other has.
#[derive(Default)]
pub struct NameTable {
    /// The owner of each name.
    owners: HashMap<String, String>,
}

impl NameTable {
    /// Returns the name of a type: its own name, with those of the messages around it; if another type has that, with its package before it.
    /// `owner` distinguishes several types that one message has.
    pub fn choose(&mut self, package: &str, short: &str, owner: &str) -> String {
        let packages: Vec<&str> = package.split('.').filter(|part| !is_version(part)).collect();
        for depth in 0..=packages.len() {
            let prefix: String = packages[packages.len() - depth..].iter().map(|part| pascal(part)).collect();
            let name = format!("{prefix}{short}");
            if self.take(&name, owner) {
                return name;
            }
        }
        let numbered = (2..u32::MAX).map(|number| format!("{short}{number}")).find(|name| self.take(name, owner));
        numbered.unwrap_or_else(|| short.to_owned())
    }

    /// Tells whether no type has this name.
    pub fn is_free(&self, name: &str) -> bool {
        !self.owners.contains_key(name)
    }

    fn take(&mut self, name: &str, owner: &str) -> bool {
        if RESERVED.contains(&name) || name == "Empty" {
            return false;
        }
        self.owners.entry(name.to_owned()).or_insert_with(|| owner.to_owned()) == owner
    }
}

fn is_version(part: &str) -> bool {
    part.strip_prefix('v').is_some_and(|rest| rest.starts_with(|letter: char| letter.is_ascii_digit()))
}

/// Returns the name of a message without its package: `RetrieveBatchResponse.Result` → `RetrieveBatchResponseResult`
pub fn short(full_name: &str, package: &str) -> String {
    full_name.strip_prefix(package).unwrap_or(full_name).split('.').map(pascal).collect()
}

/// Converts to Pascal case: `queue_basic` → `QueueBasic`
pub fn pascal(text: &str) -> String {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(|word| word[..1].to_ascii_uppercase() + &word[1..]).collect()
}

/// Converts to camel case: `queue_basic` → `queueBasic`, `Retrieve` → `retrieve`
pub fn camel(text: &str) -> String {
    let pascal = pascal(text);
    match pascal.get(..1) {
        Some(first) => first.to_ascii_lowercase() + &pascal[1..],
        None => pascal,
    }
}

/// Returns the name of a field: its name in JSON, if that is a name in GraphQL ("GraphQL", section 2.1.9) and no other field has it.
pub fn field_name(json_name: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let is_start = |letter: char| letter.is_ascii_alphabetic() || letter == '_';
    let is_name = json_name.starts_with(is_start)
        && !json_name.starts_with("__")
        && json_name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    let name = if is_name { json_name.to_owned() } else { camel(json_name) };
    let name = if name.starts_with(is_start) { name } else { format!("field{name}") };
    if !is_taken(&name) {
        return name;
    }
    (2..u32::MAX).map(|number| format!("{name}{number}")).find(|name| !is_taken(name)).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_with_equal_names_get_their_package() {
        let mut names = NameTable::default();
        assert_eq!(names.choose("prism.queue.v1", "Message", "prism.queue.v1.Message"), "Message");
        assert_eq!(names.choose("prism.queue.v1", "Message", "prism.queue.v1.Message"), "Message");
        assert_eq!(names.choose("prism.pubsub.v1", "Message", "prism.pubsub.v1.Message"), "PubsubMessage");
        assert_eq!(names.choose("other.pubsub.v1", "Message", "other.pubsub.v1.Message"), "OtherPubsubMessage");
        assert_eq!(names.choose("", "Query", "Query"), "Query2");
    }

    #[test]
    fn names_are_converted() {
        let other = |json: &str| field_name(json, |name| name == "taken");
        assert_eq!(
            (other("other-name"), other("__x"), other("7"), other("taken")),
            ("otherName".into(), "x".into(), "field7".into(), "taken2".into())
        );
        assert_eq!(short("a.b.v1.Outer.Inner", "a.b.v1"), "OuterInner");
        assert_eq!((camel("queue_basic_Enqueue"), camel("GetCapabilities")), ("queueBasicEnqueue".into(), "getCapabilities".into()));
    }
}
