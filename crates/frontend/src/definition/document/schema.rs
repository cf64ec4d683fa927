//! Converts schemas to JSON Schema 2020-12, and checks them.

use serde_json::{Map, Value as Json, json};

use super::{
    convert::{Converter, Thoroughness, Version, entries},
    references::Place,
    structure::{KEYWORDS, Kind, refers, schemas_in},
};
use crate::{json_pointer::tokens, mapping::ecma_pattern};
use prism_yaml::{Key, Node, Position, Value};

/// Keywords that only describe a schema. They are allowed beside `$ref` in OpenAPI 3.0, too.
const DESCRIPTIONS: [&str; 10] =
    ["description", "title", "example", "examples", "deprecated", "externalDocs", "xml", "readOnly", "writeOnly", "default"];

impl<'n> Converter<'n> {
    /// Converts a schema that is not a reference.
    pub fn schema(&mut self, place: Place<'n>) -> Json {
        let members = match &place.node.value {
            Value::Map(members) => members,
            Value::Bool(value) => return (*value).into(),
            Value::Null => return json!({}),
            other => {
                self.problem(place, &place.node.position, format!("a schema must be a mapping, not {}", other.kind()));
                return json!({});
            }
        };
        self.depth += 1;
        let mut converted = Map::with_capacity(members.len());
        for (key, node) in members {
            if let Some(value) = self.keyword(place, key, node) {
                converted.insert(key.name.clone(), value);
            }
        }
        self.depth -= 1;
        if self.version == Version::V30 {
            self.upgrade(place, &mut converted);
        }
        let converted = Json::Object(converted);
        if self.depth == 0 && self.thoroughness == Thoroughness::Lint {
            self.check_schema(place, &converted);
        }
        converted
    }

    /// Converts the value of a keyword; `None`: it is left out.
    fn keyword(&mut self, place: Place<'n>, key: &'n Key, node: &'n Node) -> Option<Json> {
        let inner = self.references.inside(place, node);
        if let Some(content) = schemas_in(&key.name) {
            // `items` was a list before JSON Schema 2020-12.
            if matches!(node.value, Value::List(_)) && key.name == "items" {
                self.problem(place, &node.position, "`items` must be a schema; a list of schemas is `prefixItems` in OpenAPI 3.1");
                return None;
            }
            for (name, _) in entries(node).iter().filter(|_| key.name == "patternProperties") {
                self.check_pattern(place, &name.name, &name.position);
            }
            return Some(self.content(content, key, inner));
        }
        match key.name.as_str() {
            // References are resolved, so the names of places are not needed, and would change what references are relative to.
            "$id" | "$anchor" => return None,
            "$schema" => {
                if node.text().is_none_or(|text| !text.contains("2020-12") && !text.contains("spec.openapis.org")) {
                    self.problem(place, &node.position, "schemas must be of JSON Schema 2020-12, the dialect of OpenAPI 3.1");
                }
                return None;
            }
            "$dynamicRef" | "$dynamicAnchor" | "$recursiveRef" | "$recursiveAnchor" => {
                self.problem(place, &key.position, format!("`{}` is not supported; use `$ref`", key.name));
                return None;
            }
            "discriminator" => return Some(self.discriminator(inner)),
            "nullable" if self.version == Version::V31 => {
                self.warning(place, &key.position, "`nullable` has no effect in OpenAPI 3.1; add \"null\" to `type`");
            }
            "readOnly" | "writeOnly" => self.has_directions |= matches!(node.value, Value::Bool(true)),
            "pattern" => self.check_pattern(place, node.text().unwrap_or_default(), &node.position),
            _ => {}
        }
        if self.thoroughness == Thoroughness::Lint && !key.name.starts_with("x-") && !KEYWORDS.contains(&key.name.as_str()) {
            self.warning(place, &key.position, format!("`{}` is not a keyword of schemas and has no effect", key.name));
        }
        Some(node.to_json())
    }

    /// Converts the references in the `mapping` of a discriminator.
    fn discriminator(&mut self, place: Place<'n>) -> Json {
        let mut converted = place.node.to_json();
        for (key, node) in place.node.get("mapping").map_or(&[][..], entries) {
            let Some(reference) = node.text() else { continue };
            if !refers(reference) || self.names.contains(&("schemas", reference.to_owned())) {
                continue;
            }
            match self.references.resolve(place, reference) {
                Ok(target) => {
                    if let Some(pointer) = self.pointer(Kind::Schema, &target) {
                        converted["mapping"][&key.name] = pointer.into();
                    }
                }
                Err(problem) => self.problem(place, &node.position, &*problem),
            }
        }
        converted
    }

    /// Adds what is beside a `$ref`. OpenAPI 3.0 ignores it.
    pub fn beside_reference(&mut self, place: Place<'n>, converted: &mut Json) {
        for (key, node) in entries(place.node).iter().filter(|(key, _)| key.name != "$ref") {
            let describes = DESCRIPTIONS.contains(&key.name.as_str()) || key.name.starts_with("x-");
            if self.version == Version::V31 || describes {
                self.depth += 1;
                let value = self.keyword(place, key, node);
                self.depth -= 1;
                if let Some(value) = value {
                    converted[&key.name] = value;
                }
            } else {
                self.warning(place, &key.position, format!("`{}` has no effect beside `$ref` in OpenAPI 3.0; use `allOf`", key.name));
            }
        }
    }

    /// Converts the keywords of OpenAPI 3.0 that JSON Schema does not have: `nullable`, and bounds that are made exclusive by a boolean.
    fn upgrade(&mut self, place: Place<'_>, schema: &mut Map<String, Json>) {
        let position = |keyword: &str| {
            entries(place.node)
                .iter()
                .find(|(key, _)| key.name == keyword)
                .map_or(place.node.position.clone(), |(key, _)| key.position.clone())
        };
        if let Some(Json::Bool(nullable)) = schema.get("nullable").cloned() {
            schema.shift_remove("nullable");
            match schema.get_mut("type") {
                Some(kind) if nullable && kind.is_string() => *kind = vec![kind.take(), "null".into()].into(),
                None if nullable => {
                    // OpenAPI 3.0.3: it extends the `type` of the same schema.
                    self.warning(place, &position("nullable"), "`nullable` has no effect without `type` beside it");
                }
                _ => {}
            }
        }
        for (exclusive, bound) in [("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")] {
            match schema.get(exclusive) {
                Some(Json::Bool(true)) => match schema.shift_remove(bound) {
                    Some(value) => drop(schema.insert(exclusive.to_owned(), value)),
                    None => drop(schema.shift_remove(exclusive)),
                },
                Some(Json::Bool(false)) => drop(schema.shift_remove(exclusive)),
                Some(_) => {
                    let message = format!("`{exclusive}` is true or false in OpenAPI 3.0; the bound is `{bound}`");
                    self.problem(place, &position(exclusive), message);
                }
                None => {}
            }
        }
    }

    /// Reports a pattern that is no regular expression. Patterns that this engine can't run are not checked.
    fn check_pattern(&mut self, place: Place<'_>, pattern: &'n str, position: &Position) {
        if self.thoroughness != Thoroughness::Lint {
            return;
        }
        let usable = *self.patterns.entry(pattern).or_insert_with(|| ecma_pattern::is_usable(pattern));
        if !usable {
            self.problem(place, position, format!("`{pattern}` is not a regular expression of ECMA-262 that Prism can run"));
        }
    }

    /// Reports the keywords of a schema, and of the schemas in it, whose values have the wrong type.
    fn check_schema(&mut self, place: Place<'_>, schema: &Json) {
        for error in jsonschema::draft202012::meta::validator().iter_errors(schema) {
            let path = error.instance_path().to_string();
            // Patterns are reported with their own position, and may be of an older dialect.
            if path.ends_with("/pattern") || path.contains("/patternProperties") {
                continue;
            }
            self.problem(place, &locate(place.node, &path), format!("a schema can't be used: {error}"));
        }
    }
}

/// Returns the position of the node to which a JSON pointer leads, or of the last one on its way.
fn locate(node: &Node, pointer: &str) -> Position {
    let mut node = node;
    for name in tokens(pointer) {
        let next = match &node.value {
            Value::List(items) => name.parse::<usize>().ok().and_then(|index| items.get(index)),
            _ => node.get(&name),
        };
        let Some(next) = next else { break };
        node = next;
    }
    node.position.clone()
}
