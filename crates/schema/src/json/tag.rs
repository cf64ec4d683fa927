//! Tags: a member of schemas.
//!
//! The whole is called `object`, whatever it is, and a property `object.address.street`. All other schemas within one are called by
//! the keyword that holds them, with a `$` before it so that no property is meant, and their name or number there:
//! `object.orders.$items.id`, `object.$defs.Address.street`, `object.$oneOf.1`. Names have `\` before a dot, a `\` and a `$` that
//! begins them, so that each path means one schema. Schemas that `$ref` leads to are called by where they are.

use super::text::{self, JsonTree};
use crate::tag::{ATTRIBUTE, MAX_PATH, PartKind, PartVisitor, SchemaPart};

/// What the schema as a whole is called.
const ROOT: &str = "object";

/// Keywords that hold a schema, in any draft.
const ONE: [&str; 12] = [
    "additionalItems",
    "additionalProperties",
    "contains",
    "contentSchema",
    "else",
    "if",
    "items",
    "not",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
];
/// Keywords that hold a list of schemas.
const LISTS: [&str; 5] = ["allOf", "anyOf", "items", "oneOf", "prefixItems"];
/// Keywords that hold schemas by name.
const MAPS: [&str; 6] = ["$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties", PROPERTIES];
/// The one of these whose schemas are fields.
const PROPERTIES: &str = "properties";

/// Shows all schemas of the text that are objects, and writes the text without spaces. Booleans have no room for tags.
pub(super) fn each(text: &str, visit: &mut PartVisitor) -> String {
    let Some(mut tree) = text::tree(text) else { return text.to_owned() };
    JsonTagWalk { path: ROOT.to_owned(), visit }.schema(&mut tree, PartKind::Record);
    tree.minified()
}

struct JsonTagWalk<'a, 'b> {
    path: String,
    visit: &'a mut PartVisitor<'b>,
}

impl JsonTagWalk<'_, '_> {
    /// Recursion is bounded by the depth of JSON that is read.
    fn schema(&mut self, schema: &mut JsonTree, part: PartKind) {
        let JsonTree::Object(members) = schema else { return };
        if self.path.len() > MAX_PATH {
            return;
        }
        let before = members.get(ATTRIBUTE).map(JsonTree::texts).unwrap_or_default();
        let mut tags = before.clone();
        (self.visit)(&SchemaPart { part, path: &self.path, also: None }, &mut tags);
        if tags != before && tags.is_empty() {
            members.shift_remove(ATTRIBUTE);
        } else if tags != before {
            members.insert(ATTRIBUTE.to_owned(), JsonTree::Array(tags.into_iter().map(JsonTree::Text).collect()));
        }
        for (keyword, member) in members {
            let keyword = keyword.as_str();
            match member {
                JsonTree::Object(schemas) if MAPS.contains(&keyword) => {
                    let part = if keyword == PROPERTIES { PartKind::Field } else { PartKind::Record };
                    for (name, schema) in schemas {
                        let step = if keyword == PROPERTIES { escaped(name) } else { format!("{}.{}", step(keyword), escaped(name)) };
                        self.below(&step, schema, part);
                    }
                }
                JsonTree::Object(_) if ONE.contains(&keyword) => self.below(&step(keyword), member, PartKind::Record),
                JsonTree::Array(schemas) if LISTS.contains(&keyword) => {
                    for (index, schema) in schemas.iter_mut().enumerate() {
                        self.below(&format!("{}.{index}", step(keyword)), schema, PartKind::Record);
                    }
                }
                _ => {}
            }
        }
    }

    fn below(&mut self, step: &str, schema: &mut JsonTree, part: PartKind) {
        let length = self.path.len();
        self.path.push('.');
        self.path.push_str(step);
        self.schema(schema, part);
        self.path.truncate(length);
    }
}

/// How a keyword stands in a path.
fn step(keyword: &str) -> String {
    if keyword.starts_with('$') { keyword.to_owned() } else { format!("${keyword}") }
}

/// How a name stands in a path.
fn escaped(name: &str) -> String {
    let inner = name.replace('\\', "\\\\").replace('.', "\\.");
    if inner.starts_with('$') { format!("\\{inner}") } else { inner }
}
