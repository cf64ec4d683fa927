//! Compares required properties and dependencies between properties.

use super::{Conjunction, JsonComparison};
use crate::json::node::{Subschema, SubschemaId};

impl JsonComparison {
    /// Compares `required`, Validation section 6.5.3.
    pub(super) fn check_required(&mut self, reader: SubschemaId, node: &Subschema, writer: &Conjunction) -> bool {
        let mut answer = true;
        for (index, name) in node.required.iter().enumerate() {
            if self.is_required(writer, name) {
                continue;
            }
            let schema = node.links.properties.get(name.as_str()).copied();
            // Readers use the default.
            if schema.is_some_and(|schema| self.has_default(schema)) {
                continue;
            }
            let (old, named) = self.property_schemas(writer, name);
            let detail = name.clone();
            answer = if !named && !old.is_empty() && schema.is_some() {
                self.report("REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL", reader, &["properties", name], detail, || {
                    format!("the property `{name}` is new and required, and data written with the old schema doesn't have it; make it optional, or give it a `default`")
                })
            } else {
                self.report("REQUIRED_ATTRIBUTE_ADDED", reader, &["required", &index.to_string()], detail, || {
                    format!("the property `{name}` becomes required, and data written with the old schema may not have it; remove it from `required`, or give it a `default` in `properties`")
                })
            };
        }
        answer
    }

    fn has_default(&self, schema: SubschemaId) -> bool {
        let node = &self.nodes[schema];
        node.has_default || node.links.reference.is_some_and(|target| self.nodes[target].has_default)
    }

    /// Compares `dependentRequired`, `dependentSchemas` and `dependencies`, Validation section 6.5.4 and Core section 10.2.2.4.
    pub(super) fn check_dependencies(&mut self, reader: SubschemaId, node: &Subschema, writer: &Conjunction) -> bool {
        let mut answer = true;
        for (name, needed) in node.dependent_required.iter() {
            if self.never_has(writer, name) {
                continue;
            }
            let olds: Vec<Vec<String>> = writer.iter().filter_map(|id| self.nodes[*id].dependent_required.get(name).cloned()).collect();
            let mut new: Vec<String> = Vec::new();
            for needed in needed.iter().filter(|needed| *needed != name) {
                self.spend(1 + olds.iter().map(|old| 1 + old.len() / 8).sum::<usize>());
                if !self.is_required(writer, needed) && !olds.iter().any(|old| old.contains(needed)) {
                    new.push(needed.clone());
                }
            }
            if new.is_empty() {
                continue;
            }
            let kind = if olds.is_empty() { "DEPENDENCY_ARRAY_ADDED" } else { "DEPENDENCY_ARRAY_EXTENDED" };
            let keyword = if node.shape.contains("dependentRequired") { "dependentRequired" } else { "dependencies" };
            let list = new.join("`, `");
            answer = self.report(kind, reader, &[keyword, name], new.join(","), || {
                format!("with `{name}`, data now has to have `{list}`, and data written with the old schema may not have it; remove the dependency")
            });
        }
        for (name, schema) in &node.links.dependent {
            let olds: Vec<SubschemaId> = writer.iter().filter_map(|id| self.nodes[*id].links.dependent.get(name).copied()).collect();
            let with = self.flatten_with(writer, &olds);
            if self.never_has(writer, name) || self.accepts(*schema, &with) {
                continue;
            }
            answer = if olds.is_empty() {
                self.report("DEPENDENCY_SCHEMA_ADDED", *schema, &[], name.to_string(), || {
                    format!("with `{name}`, data now has to match another schema, and data written with the old schema may not; remove the dependency")
                })
            } else {
                self.check(*schema, &with)
            };
        }
        answer
    }

    /// Returns whether no valid object has a property.
    pub(super) fn never_has(&mut self, writer: &Conjunction, name: &str) -> bool {
        let (schemas, _) = self.property_schemas(writer, name);
        if schemas.is_empty() {
            return false;
        }
        let schemas = self.flatten(&schemas);
        self.is_empty(&schemas, 0)
    }
}
