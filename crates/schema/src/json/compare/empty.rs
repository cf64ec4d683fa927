//! Conjunctions that let nothing through.

use std::collections::BTreeSet;

use super::{Conjunction, JsonComparison};
use crate::json::node::{SubschemaId, TypeSet};

/// How deep within objects and choices contradictions are looked for.
const MAX_LEVELS: usize = 5;
/// Most required properties that are looked at.
const MAX_NAMES: usize = 64;

impl JsonComparison {
    /// Whether it is sure that nothing is valid for all of `writer`. No: there may be something, or it can't be told.
    pub(super) fn is_empty(&mut self, writer: &Conjunction, level: usize) -> bool {
        if writer.is_empty() || level > MAX_LEVELS || !self.step() {
            return false;
        }
        if writer.iter().any(|id| self.nodes[*id].verdict == Some(false)) {
            return true;
        }
        let types = self.mask(writer);
        if types.is_empty() || self.finite(writer).is_some_and(|values| values.is_empty()) {
            return true;
        }
        if types.has(TypeSet::NULL) || types.has(TypeSet::BOOLEAN) {
            return self.is_negated(writer, level);
        }
        let kinds_empty = (!types.has(TypeSet::NUMBER) || self.has_no_numbers(writer, types))
            && (!types.has(TypeSet::STRING) || self.has_no_texts(writer))
            && (!types.has(TypeSet::ARRAY) || self.has_no_arrays(writer))
            && (!types.has(TypeSet::OBJECT) || self.has_no_objects(writer, level));
        kinds_empty || self.is_negated(writer, level) || self.has_no_way(writer, level)
    }

    /// Whether one of its members forbids what another one is, word for word.
    fn is_negated(&mut self, writer: &Conjunction, _level: usize) -> bool {
        let forbidden: Vec<SubschemaId> = writer.iter().filter_map(|id| self.nodes[*id].links.not).collect();
        forbidden.into_iter().any(|not| self.nodes[not].is_anything() || writer.iter().any(|id| self.same(not, *id)))
    }

    fn has_no_texts(&self, writer: &[SubschemaId]) -> bool {
        let longest = writer.iter().filter_map(|id| self.nodes[*id].max_length).min();
        longest.is_some_and(|longest| writer.iter().any(|id| self.nodes[*id].min_length > longest))
    }

    fn has_no_arrays(&self, writer: &[SubschemaId]) -> bool {
        self.most_items(writer).is_some_and(|most| writer.iter().any(|id| self.nodes[*id].min_items > most))
    }

    fn has_no_objects(&mut self, writer: &Conjunction, level: usize) -> bool {
        let required: BTreeSet<String> = writer.iter().flat_map(|id| self.nodes[*id].required.iter().cloned()).collect();
        let least = writer.iter().map(|id| self.nodes[*id].min_properties).max().unwrap_or(0).max(required.len() as u64);
        let most = writer.iter().filter_map(|id| self.nodes[*id].max_properties).min();
        if most.is_some_and(|most| most < least) {
            return true;
        }
        required.into_iter().take(MAX_NAMES).any(|name| {
            let (schemas, _) = self.of_property(writer, &name);
            let schemas = self.flat(&schemas);
            self.is_empty(&schemas, level + 1)
        })
    }

    /// Whether all ways of a choice are closed.
    fn has_no_way(&mut self, writer: &Conjunction, level: usize) -> bool {
        let Some(parts) = self.open_choice(writer) else { return false };
        parts.into_iter().all(|part| {
            let writer = self.flat_with(writer, &part);
            self.is_empty(&writer, level + 1)
        })
    }
}
