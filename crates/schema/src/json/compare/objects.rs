//! Content models of objects.
//!
//! A content model is *open* if objects may have properties that it doesn't name, *closed* if they mayn't, and *partially
//! open* if such properties have to be as `patternProperties` or a schema of `additionalProperties` say.

use std::{collections::BTreeSet, sync::Arc};

use super::{Conjunction, JsonComparison, patterns::are_disjoint};
use crate::json::node::{Subschema, SubschemaId, TypeSet};

impl JsonComparison {
    /// What concerns objects, Validation section 6.5 and Core section 10.3.2.
    pub(super) fn objects(&mut self, reader: SubschemaId, node: &Subschema, writer: &Conjunction) -> bool {
        if !self.mask(writer).and(node.types.unwrap_or(TypeSet::ALL)).has(TypeSet::OBJECT) {
            return true;
        }
        let most = writer.iter().filter_map(|id| self.nodes[*id].max_properties).min();
        let required: BTreeSet<String> = writer.iter().flat_map(|id| self.nodes[*id].required.iter().cloned()).collect();
        let least = writer.iter().map(|id| self.nodes[*id].min_properties).max().unwrap_or(0).max(required.len() as u64);
        let mut answer =
            self.at_most(reader, "maxProperties", node.max_properties, most, ["MAX_PROPERTIES_ADDED", "MAX_PROPERTIES_DECREASED"]);
        answer &= self.at_least(reader, "minProperties", node.min_properties, least, ["MIN_PROPERTIES_ADDED", "MIN_PROPERTIES_INCREASED"]);
        answer &= self.required(reader, node, writer);
        answer &= self.dependencies(reader, node, writer);
        answer &= self.property_names(node, writer);
        if !answer && self.quiet > 0 {
            return false;
        }
        let links = &node.links;
        if links.properties.is_empty() && links.patterns.is_empty() && links.additional.is_none() {
            return answer;
        }
        let mut names: Vec<Arc<str>> = links.properties.keys().cloned().collect();
        for id in writer.iter() {
            names.extend(self.nodes[*id].links.properties.keys().filter(|name| !links.properties.contains_key(*name)).cloned());
        }
        let mut seen = BTreeSet::new();
        names.retain(|name| seen.insert(Arc::clone(name)));
        for name in names {
            answer &= self.property(reader, node, writer, &name);
            if !answer && self.quiet > 0 {
                return false;
            }
        }
        answer & self.added_patterns(node, writer) & self.additional(node, writer)
    }

    /// A property that one of the schemas names.
    fn property(&mut self, reader: SubschemaId, node: &Subschema, writer: &Conjunction, name: &str) -> bool {
        let (old, was_named) = self.of_property(writer, name);
        if !old.is_empty() && self.never_has(writer, name) {
            return true;
        }
        let mut answer = true;
        let mut matched = false;
        if let Some(new) = node.links.properties.get(name) {
            matched = true;
            answer &= if was_named { self.check(*new, &old) } else { self.added(*new, &old, name) };
        }
        for (pattern, new) in &node.links.patterns {
            if self.patterns.matches(pattern, name) {
                matched = true;
                answer &= if node.links.properties.contains_key(name) && was_named {
                    self.check(*new, &old)
                } else {
                    self.removed(reader, *new, &old, name, writer)
                };
            }
        }
        match node.links.additional {
            Some(rest) if !matched => answer & self.removed(reader, rest, &old, name, writer),
            _ => answer,
        }
    }

    /// A property that only the reader names.
    fn added(&mut self, new: SubschemaId, old: &[SubschemaId], name: &str) -> bool {
        if self.takes(new, old) || self.is_lenient() {
            return true;
        }
        if old.is_empty() {
            return self.tell("PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL", new, &[], name.to_owned(), || {
                format!(
                    "the property `{name}` is new, and the old schema is open: data written with it may already carry a property `{name}` of any type; \
                     close the content model with `additionalProperties: false` in a version before, let `{name}` take anything (`{{}}`), or set the compatibility policy to LENIENT"
                )
            });
        }
        self.tell("PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL", new, &[], name.to_owned(), || {
            format!(
                "the property `{name}` is new, and what the old schema says of properties that it doesn't name lets `{name}` be something else; \
                 let it take what `patternProperties` and `additionalProperties` of the old schema allow, or set the compatibility policy to LENIENT"
            )
        })
    }

    /// A property that only the writer names, held against what the reader says of those that it doesn't.
    fn removed(&mut self, reader: SubschemaId, rest: SubschemaId, old: &[SubschemaId], name: &str, writer: &Conjunction) -> bool {
        if self.takes(rest, old) || self.is_lenient() && !self.is_required(writer, name) {
            return true;
        }
        let lenient = if self.is_required(writer, name) { "" } else { ", or set the compatibility policy to LENIENT" };
        if self.nodes[rest].verdict == Some(false) {
            return self.tell("PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL", reader, &["properties", name], name.to_owned(), || {
                format!(
                    "the property `{name}` is gone, and the new schema is closed, so data that has it is no longer valid; \
                     keep it, open the content model by taking out `additionalProperties: false`{lenient}"
                )
            });
        }
        self.tell("PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL", reader, &["properties", name], name.to_owned(), || {
            format!(
                "the property `{name}` is gone, and what the new schema says of properties that it doesn't name doesn't take all that `{name}` was; \
                 keep it, or widen `patternProperties` or `additionalProperties`{lenient}"
            )
        })
    }

    /// `patternProperties`, as far as they concern names that nobody names.
    fn added_patterns(&mut self, node: &Subschema, writer: &Conjunction) -> bool {
        let mut answer = true;
        for (pattern, new) in &node.links.patterns {
            let old: Vec<SubschemaId> = writer.iter().filter_map(|id| self.nodes[*id].links.patterns.get(pattern).copied()).collect();
            if !old.is_empty() {
                answer &= self.check(*new, &old);
                continue;
            }
            for (_, region) in
                self.regions(writer).into_iter().filter(|(old, _)| !old.as_ref().is_some_and(|old| are_disjoint(old, pattern)))
            {
                if self.takes(*new, &region) {
                    continue;
                }
                answer = self.tell("ADDITIONAL_PROPERTIES_NARROWED", *new, &[], pattern.to_string(), || {
                    format!("properties whose names match `{pattern}` have to be as a schema says now, and the old schema lets them be something else; leave the pattern out, or let it take anything")
                });
            }
        }
        answer
    }

    /// `additionalProperties`, as far as it concerns names that nobody names.
    fn additional(&mut self, node: &Subschema, writer: &Conjunction) -> bool {
        let Some(rest) = node.links.additional else { return true };
        for (pattern, region) in self.regions(writer) {
            // What matches the same pattern in the new schema isn't additional there.
            if pattern.as_ref().is_some_and(|pattern| node.links.patterns.contains_key(pattern)) || self.takes(rest, &region) {
                continue;
            }
            let of = pattern
                .map_or_else(|| "properties that aren't named".to_owned(), |pattern| format!("properties whose names match `{pattern}`"));
            if self.nodes[rest].verdict == Some(false) {
                return self.tell("ADDITIONAL_PROPERTIES_REMOVED", rest, &[], String::new(), || {
                    format!("the content model is closed now, and the old schema allows {of}, so data may carry some; leave it open, or start with a closed one under a new subject")
                });
            }
            if region.is_empty() {
                return self.tell("ADDITIONAL_PROPERTIES_NARROWED", rest, &[], String::new(), || {
                    format!("{of} have to be as a schema says now, and the old schema lets them be anything; leave the content model open")
                });
            }
            return self.check(rest, &region);
        }
        true
    }

    /// Kinds of names that nobody names, and what the writer says of their values: those that match one of its patterns, and
    /// those that match none.
    fn regions(&mut self, writer: &Conjunction) -> Vec<(Option<Arc<str>>, Vec<SubschemaId>)> {
        let mut regions = Vec::new();
        for id in writer.iter() {
            for (pattern, schema) in &self.nodes[*id].links.patterns {
                let plain = writer.iter().filter(|other| self.nodes[**other].links.patterns.is_empty());
                let mut region: Vec<SubschemaId> = plain.filter_map(|other| self.nodes[*other].links.additional).collect();
                region.push(*schema);
                regions.push((Some(Arc::clone(pattern)), region));
            }
        }
        regions.push((None, writer.iter().filter_map(|id| self.nodes[*id].links.additional).collect()));
        regions.retain(|(_, region)| {
            let region = self.flat(region);
            region.is_empty() || !self.is_empty(&region, 0)
        });
        regions
    }

    /// `propertyNames`, Core section 10.3.2.4.
    fn property_names(&mut self, node: &Subschema, writer: &Conjunction) -> bool {
        let Some(new) = node.links.property_names else { return true };
        let mut olds: Vec<SubschemaId> = writer.iter().filter_map(|id| self.nodes[*id].links.property_names).collect();
        let had = !olds.is_empty();
        if let Some(text) = TypeSet::PARTS.iter().position(|part| *part == TypeSet::STRING) {
            olds.push(self.types + text);
        }
        if self.takes(new, &olds) || self.names_fit(new, writer) {
            return true;
        }
        if had {
            return self.check(new, &olds);
        }
        self.tell("SCHEMA_ADDED", new, &[], String::new(), || {
            "`propertyNames` is added, and data written with the old schema may have properties of other names; leave it out".to_owned()
        })
    }

    /// Whether the writer is closed and all its names are valid.
    fn names_fit(&mut self, new: SubschemaId, writer: &Conjunction) -> bool {
        for id in writer.iter() {
            let node = self.node(*id);
            let closed =
                node.links.additional.is_some_and(|rest| self.nodes[rest].verdict == Some(false)) && node.links.patterns.is_empty();
            if closed {
                let mut names = node.links.properties.keys();
                return names
                    .all(|name| self.eval(new, &serde_json::Value::from(&**name), 0) == Some(true) || self.never_has(writer, name));
            }
        }
        false
    }
}
