//! Compares the content models of objects.
//!
//! A content model is *open* if objects may have properties that it doesn't name, *closed* if they may not, and *partially open* if such
//! properties have to match `patternProperties` or a schema in `additionalProperties`.

use std::{collections::BTreeSet, sync::Arc};

use super::{Conjunction, JsonComparison, patterns::are_disjoint};
use crate::json::node::{Subschema, SubschemaId, TypeSet};

impl JsonComparison {
    /// Compares the keywords of objects, Validation section 6.5 and Core section 10.3.2.
    pub(super) fn check_objects(&mut self, reader: SubschemaId, node: &Subschema, writer: &Conjunction) -> bool {
        if !self.possible_types(writer).and(node.types.unwrap_or(TypeSet::ALL)).intersects(TypeSet::OBJECT) {
            return true;
        }
        let most = writer.iter().filter_map(|id| self.nodes[*id].max_properties).min();
        let required = self.required_names(writer);
        let least = writer.iter().map(|id| self.nodes[*id].min_properties).max().unwrap_or(0).max(required.len() as u64);
        let mut answer =
            self.at_most(reader, "maxProperties", node.max_properties, most, ["MAX_PROPERTIES_ADDED", "MAX_PROPERTIES_DECREASED"]);
        answer &= self.at_least(reader, "minProperties", node.min_properties, least, ["MIN_PROPERTIES_ADDED", "MIN_PROPERTIES_INCREASED"]);
        answer &= self.check_required(reader, node, writer);
        answer &= self.check_dependencies(reader, node, writer);
        answer &= self.check_property_names(node, writer);
        if !answer && self.quiet > 0 {
            return false;
        }
        let links = &node.links;
        if links.properties.is_empty() && links.patterns.is_empty() && links.additional.is_none() {
            return answer;
        }
        let count = writer.iter().map(|id| self.nodes[*id].links.properties.len()).sum::<usize>() + links.properties.len();
        if !self.spend(8 * count) {
            return false;
        }
        let mut names: Vec<Arc<str>> = links.properties.keys().cloned().collect();
        for id in writer.iter() {
            names.extend(self.nodes[*id].links.properties.keys().filter(|name| !links.properties.contains_key(*name)).cloned());
        }
        let mut seen = BTreeSet::new();
        names.retain(|name| seen.insert(Arc::clone(name)));
        for name in names {
            answer &= self.check_property(reader, node, writer, &name);
            if !answer && self.quiet > 0 {
                return false;
            }
        }
        answer & self.check_pattern_properties(node, writer) & self.check_additional(node, writer)
    }

    /// Compares a property that the reader or the writer names.
    fn check_property(&mut self, reader: SubschemaId, node: &Subschema, writer: &Conjunction, name: &str) -> bool {
        let (old, was_named) = self.property_schemas(writer, name);
        if !old.is_empty() && self.never_has(writer, name) {
            return true;
        }
        let mut answer = true;
        let mut matched = false;
        if let Some(new) = node.links.properties.get(name) {
            matched = true;
            answer &= if was_named { self.check(*new, &old) } else { self.check_added_property(*new, &old, name) };
        }
        for (pattern, new) in &node.links.patterns {
            // A pattern that may match counts as one that does, and its property may be an additional one all the same.
            let matches = self.pattern_matches(pattern, name);
            if matches != Some(false) {
                matched |= matches == Some(true);
                answer &= if node.links.properties.contains_key(name) && was_named {
                    self.check(*new, &old)
                } else {
                    self.check_removed_property(reader, *new, &old, name, writer)
                };
            }
        }
        match node.links.additional {
            Some(rest) if !matched => answer & self.check_removed_property(reader, rest, &old, name, writer),
            _ => answer,
        }
    }

    /// Compares a property that only the reader names.
    fn check_added_property(&mut self, new: SubschemaId, old: &[SubschemaId], name: &str) -> bool {
        if self.accepts(new, old) || self.is_lenient() {
            return true;
        }
        if old.is_empty() {
            return self.report("PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL", new, &[], name.to_owned(), || {
                format!(
                    "the property `{name}` is new, and the old schema is open: data written with it may already have a property `{name}` of any type; \
                     close the content model with `additionalProperties: false` in a version before, let `{name}` accept anything (`{{}}`), or set the compatibility policy to LENIENT"
                )
            });
        }
        self.report("PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL", new, &[], name.to_owned(), || {
            format!(
                "the property `{name}` is new, and the old schema's rule for unnamed properties allows other values; \
                 accept what `patternProperties` and `additionalProperties` of the old schema allow, or set the compatibility policy to LENIENT"
            )
        })
    }

    /// Compares a property that only the writer names with the reader's rule for unnamed properties.
    fn check_removed_property(
        &mut self,
        reader: SubschemaId,
        rest: SubschemaId,
        old: &[SubschemaId],
        name: &str,
        writer: &Conjunction,
    ) -> bool {
        if self.accepts(rest, old) || self.is_lenient() && !self.is_required(writer, name) {
            return true;
        }
        let lenient = if self.is_required(writer, name) { "" } else { ", or set the compatibility policy to LENIENT" };
        if self.nodes[rest].verdict == Some(false) {
            return self.report("PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL", reader, &["properties", name], name.to_owned(), || {
                format!(
                    "the property `{name}` is removed, and the new schema is closed, so data that has it is no longer valid; \
                     keep it, open the content model by removing `additionalProperties: false`{lenient}"
                )
            });
        }
        self.report("PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL", reader, &["properties", name], name.to_owned(), || {
            format!(
                "the property `{name}` is removed, and the new schema's rule for unnamed properties doesn't accept everything that `{name}` accepted; \
                 keep it, or widen `patternProperties` or `additionalProperties`{lenient}"
            )
        })
    }

    /// Compares `patternProperties` for names that neither schema lists.
    fn check_pattern_properties(&mut self, node: &Subschema, writer: &Conjunction) -> bool {
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
                if self.accepts(*new, &region) {
                    continue;
                }
                answer = self.report("ADDITIONAL_PROPERTIES_NARROWED", *new, &[], pattern.to_string(), || {
                    format!("properties whose names match `{pattern}` now have to match a schema, and the old schema allows other values; remove the pattern, or let it accept anything")
                });
            }
        }
        answer
    }

    /// Compares `additionalProperties` for names that neither schema lists.
    fn check_additional(&mut self, node: &Subschema, writer: &Conjunction) -> bool {
        let Some(rest) = node.links.additional else { return true };
        for (pattern, region) in self.regions(writer) {
            // In the new schema, properties that match the same pattern are not additional.
            if pattern.as_ref().is_some_and(|pattern| node.links.patterns.contains_key(pattern)) || self.accepts(rest, &region) {
                continue;
            }
            let subject = pattern
                .map_or_else(|| "properties that aren't named".to_owned(), |pattern| format!("properties whose names match `{pattern}`"));
            if self.nodes[rest].verdict == Some(false) {
                return self.report("ADDITIONAL_PROPERTIES_REMOVED", rest, &[], String::new(), || {
                    format!("the content model is closed now, and the old schema allows {subject}, so data may have some; leave it open, or start with a closed one under a new subject")
                });
            }
            if region.is_empty() {
                return self.report("ADDITIONAL_PROPERTIES_NARROWED", rest, &[], String::new(), || {
                    format!("{subject} now have to match a schema, and the old schema allows anything; leave the content model open")
                });
            }
            return self.check(rest, &region);
        }
        true
    }

    /// Returns groups of unlisted names with the writer's schemas for their values: one group for each of its patterns, and one for names
    /// that match no pattern.
    fn regions(&mut self, writer: &Conjunction) -> Vec<(Option<Arc<str>>, Vec<SubschemaId>)> {
        let mut regions = Vec::new();
        let patterns: usize = writer.iter().map(|id| self.nodes[*id].links.patterns.len()).sum();
        if !self.spend(1 + patterns * writer.len()) {
            return regions;
        }
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
            let region = self.flatten(region);
            region.is_empty() || !self.is_empty(&region, 0)
        });
        regions
    }

    /// Compares `propertyNames`, Core section 10.3.2.4.
    fn check_property_names(&mut self, node: &Subschema, writer: &Conjunction) -> bool {
        let Some(new) = node.links.property_names else { return true };
        let mut olds: Vec<SubschemaId> = writer.iter().filter_map(|id| self.nodes[*id].links.property_names).collect();
        let had = !olds.is_empty();
        if let Some(text) = TypeSet::PARTS.iter().position(|part| *part == TypeSet::STRING) {
            olds.push(self.types + text);
        }
        if self.accepts(new, &olds) || self.names_are_valid(new, writer) {
            return true;
        }
        if had {
            return self.check(new, &olds);
        }
        self.report("SCHEMA_ADDED", new, &[], String::new(), || {
            "`propertyNames` is added, and data written with the old schema may have properties with other names; remove it".to_owned()
        })
    }

    /// Returns whether the writer is closed and all its property names are valid.
    fn names_are_valid(&mut self, new: SubschemaId, writer: &Conjunction) -> bool {
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
