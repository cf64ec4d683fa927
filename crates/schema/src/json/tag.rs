//! Tags in JSON Schema: a member of schemas.
//!
//! The path of the whole schema is `object`, whatever its type. The path of a property is `object.address.street`. The path of any other
//! subschema has the keyword with a `$` before it, so that it can't be a property, and the name or index there:
//! `object.orders.$items.id`, `object.$defs.Address.street`, `object.$oneOf.1`. In names, a `\` escapes a dot, a `\` and a leading `$`, so
//! each path means one schema. The target of a `$ref` has the path of its own location.

use super::text::{self, JsonTree};
use crate::tag::{ATTRIBUTE, MAX_PATH, PartKind, PartVisitor, SchemaPart};

/// The path of the whole schema.
const ROOT: &str = "object";

/// Keywords that contain one schema, in any draft.
const SINGLE_KEYWORDS: [&str; 12] = [
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
/// Keywords that contain a list of schemas.
const LIST_KEYWORDS: [&str; 5] = ["allOf", "anyOf", "items", "oneOf", "prefixItems"];
/// Keywords that contain schemas by name.
const MAP_KEYWORDS: [&str; 6] = ["$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties", PROPERTIES];
/// The keyword whose schemas are fields.
const PROPERTIES: &str = "properties";

/// Visits all schemas of the text that are objects, and returns the text without spaces. Boolean schemas can't have tags.
pub(super) fn visit_parts(text: &str, visit: &mut PartVisitor) -> String {
    let Some(mut tree) = text::parse_tree(text) else { return text.to_owned() };
    JsonTagWalk { path: ROOT.to_owned(), visit }.schema(&mut tree, PartKind::Record);
    tree.minified()
}

struct JsonTagWalk<'a, 'b> {
    path: String,
    visit: &'a mut PartVisitor<'b>,
}

impl JsonTagWalk<'_, '_> {
    /// Visits a schema. Recursion is limited by the depth of JSON.
    fn schema(&mut self, schema: &mut JsonTree, part: PartKind) {
        let JsonTree::Object(members) = schema else { return };
        if self.path.len() > MAX_PATH {
            return;
        }
        let before = members.get(ATTRIBUTE).map(JsonTree::string_items).unwrap_or_default();
        let mut tags = before.clone();
        (self.visit)(&SchemaPart { part, path: &self.path, alternative: None }, &mut tags);
        if tags != before && tags.is_empty() {
            members.shift_remove(ATTRIBUTE);
        } else if tags != before {
            members.insert(ATTRIBUTE.to_owned(), JsonTree::Array(tags.into_iter().map(JsonTree::Text).collect()));
        }
        for (keyword, member) in members {
            let keyword = keyword.as_str();
            match member {
                JsonTree::Object(schemas) if MAP_KEYWORDS.contains(&keyword) => {
                    let part = if keyword == PROPERTIES { PartKind::Field } else { PartKind::Record };
                    for (name, schema) in schemas {
                        let step = if keyword == PROPERTIES {
                            escape_name(name)
                        } else {
                            format!("{}.{}", keyword_step(keyword), escape_name(name))
                        };
                        self.visit_below(&step, schema, part);
                    }
                }
                JsonTree::Object(_) if SINGLE_KEYWORDS.contains(&keyword) => {
                    self.visit_below(&keyword_step(keyword), member, PartKind::Record);
                }
                JsonTree::Array(schemas) if LIST_KEYWORDS.contains(&keyword) => {
                    for (index, schema) in schemas.iter_mut().enumerate() {
                        self.visit_below(&format!("{}.{index}", keyword_step(keyword)), schema, PartKind::Record);
                    }
                }
                _ => {}
            }
        }
    }

    fn visit_below(&mut self, step: &str, schema: &mut JsonTree, part: PartKind) {
        let length = self.path.len();
        self.path.push('.');
        self.path.push_str(step);
        self.schema(schema, part);
        self.path.truncate(length);
    }
}

/// Returns the path step of a keyword.
fn keyword_step(keyword: &str) -> String {
    if keyword.starts_with('$') { keyword.to_owned() } else { format!("${keyword}") }
}

/// Escapes a name for a path.
fn escape_name(name: &str) -> String {
    let inner = name.replace('\\', "\\\\").replace('.', "\\.");
    if inner.starts_with('$') { format!("\\{inner}") } else { inner }
}
