//! Finds conjunctions that accept no data.

use std::collections::BTreeSet;

use super::{Conjunction, JsonComparison};
use crate::json::node::{SubschemaId, TypeSet};

/// The maximum depth of objects and choices in which contradictions are searched.
const MAX_LEVELS: usize = 5;
/// The maximum number of required properties that are searched.
const MAX_NAMES: usize = 64;

impl JsonComparison {
    /// Returns whether no data is valid for all of `writer`. `false` also means that it can't be decided.
    pub(super) fn is_empty(&mut self, writer: &Conjunction, level: usize) -> bool {
        if writer.is_empty() || level > MAX_LEVELS {
            return false;
        }
        if let Some(answer) = self.empty_cache.get(&(writer.clone(), level)) {
            return *answer;
        }
        if !self.spend(4 * writer.len()) {
            return false;
        }
        let answer = self.decide_empty(writer, level);
        if self.exhausted.is_none() {
            self.hold(super::ANSWER_BYTES);
            self.empty_cache.insert((writer.clone(), level), answer);
        }
        answer
    }

    fn decide_empty(&mut self, writer: &Conjunction, level: usize) -> bool {
        if writer.iter().any(|id| self.nodes[*id].verdict == Some(false)) {
            return true;
        }
        let types = self.possible_types(writer);
        if types.is_empty() || self.finite_values(writer).is_some_and(|values| values.is_empty()) {
            return true;
        }
        if types.intersects(TypeSet::NULL) || types.intersects(TypeSet::BOOLEAN) {
            return self.is_negated(writer);
        }
        let kinds_empty = (!types.intersects(TypeSet::NUMBER) || self.has_no_numbers(writer, types))
            && (!types.intersects(TypeSet::STRING) || self.has_no_texts(writer))
            && (!types.intersects(TypeSet::ARRAY) || self.has_no_arrays(writer))
            && (!types.intersects(TypeSet::OBJECT) || self.has_no_objects(writer, level));
        kinds_empty || self.is_negated(writer) || self.has_no_choice(writer, level)
    }

    /// Returns whether one member forbids exactly what another member requires.
    fn is_negated(&mut self, writer: &Conjunction) -> bool {
        let forbidden: Vec<SubschemaId> = writer.iter().filter_map(|id| self.nodes[*id].links.not).collect();
        self.spend(forbidden.len() * writer.len());
        forbidden.into_iter().any(|not| self.nodes[not].is_anything() || writer.iter().any(|id| self.is_same(not, *id)))
    }

    fn has_no_texts(&self, writer: &[SubschemaId]) -> bool {
        let longest = writer.iter().filter_map(|id| self.nodes[*id].max_length).min();
        longest.is_some_and(|longest| writer.iter().any(|id| self.nodes[*id].min_length > longest))
    }

    fn has_no_arrays(&self, writer: &[SubschemaId]) -> bool {
        self.most_items(writer).is_some_and(|most| writer.iter().any(|id| self.nodes[*id].min_items > most))
    }

    /// Returns the required properties.
    pub(super) fn required_names(&mut self, writer: &[SubschemaId]) -> BTreeSet<String> {
        self.spend(1 + writer.iter().map(|id| 4 * self.nodes[*id].required.len()).sum::<usize>());
        writer.iter().flat_map(|id| self.nodes[*id].required.iter().cloned()).collect()
    }

    fn has_no_objects(&mut self, writer: &Conjunction, level: usize) -> bool {
        let required = self.required_names(writer);
        let least = writer.iter().map(|id| self.nodes[*id].min_properties).max().unwrap_or(0).max(required.len() as u64);
        let most = writer.iter().filter_map(|id| self.nodes[*id].max_properties).min();
        if most.is_some_and(|most| most < least) {
            return true;
        }
        required.into_iter().take(MAX_NAMES).any(|name| {
            let (schemas, _) = self.property_schemas(writer, &name);
            let schemas = self.flatten(&schemas);
            self.is_empty(&schemas, level + 1)
        })
    }

    /// Returns whether all branches of a choice are empty.
    fn has_no_choice(&mut self, writer: &Conjunction, level: usize) -> bool {
        let Some(parts) = self.open_choice(writer) else { return false };
        parts.into_iter().all(|part| {
            let writer = self.flatten_with(writer, &part);
            self.is_empty(&writer, level + 1)
        })
    }
}
