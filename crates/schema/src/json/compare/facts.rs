//! Derives facts about a conjunction of schemas as a whole.

use std::{collections::BTreeSet, rc::Rc};

use serde_json::Value;

use super::{Conjunction, ExceededLimit, JsonComparison};
use crate::json::node::{SubschemaId, TypeSet};

/// The maximum nesting depth of choices in which types are searched.
const MAX_LEVELS: usize = 24;
/// The maximum number of members of a conjunction.
pub(super) const MAX_MEMBERS: usize = 512;
/// The memory of a listed value beside its text, in bytes.
const VALUE_BYTES: usize = 80;

impl JsonComparison {
    /// Returns the conjunction of some schemas and of all schemas that always apply with them.
    pub(super) fn flatten(&mut self, seeds: &[SubschemaId]) -> Conjunction {
        let mut members = BTreeSet::new();
        let mut todo = seeds.to_vec();
        while let Some(id) = todo.pop() {
            if !members.insert(id) {
                continue;
            }
            if members.len() > MAX_MEMBERS {
                self.exhausted.get_or_insert(ExceededLimit::Members);
                break;
            }
            let links = &self.nodes[id].links;
            todo.extend(links.reference.iter().chain(&links.all_of).chain(&links.rest_at_least));
            for choice in [&links.any_of, &links.one_of] {
                if let [only] = choice[..] {
                    todo.push(only);
                }
            }
        }
        self.spend(1 + members.len());
        let members: Vec<SubschemaId> = members.into_iter().collect();
        let (conjunction, held) = self.conjunctions.add(&members);
        self.note(held);
        conjunction
    }

    /// Returns the conjunction with more members.
    pub(super) fn flatten_with(&mut self, writer: &[SubschemaId], more: &[SubschemaId]) -> Conjunction {
        let seeds: Vec<SubschemaId> = writer.iter().chain(more).copied().collect();
        self.flatten(&seeds)
    }

    /// Returns the types that valid values can have. The set can be too large where it can't be decided.
    pub(super) fn possible_types(&mut self, writer: &[SubschemaId]) -> TypeSet {
        self.spend(1 + writer.len() / 4);
        writer.iter().fold(TypeSet::ALL, |types, id| types.and(self.possible_types_of(*id, 0).0))
    }

    /// Returns the types, and whether they are complete. At the depth limit, they can be too many.
    fn possible_types_of(&mut self, id: SubschemaId, level: usize) -> (TypeSet, bool) {
        if let Some(types) = self.type_cache.get(&id) {
            return (*types, true);
        }
        if level > MAX_LEVELS || !self.step() {
            return (TypeSet::ALL, false);
        }
        let node = self.node(id);
        if node.verdict == Some(false) {
            return (TypeSet::NONE, true);
        }
        let mut types = node.types.unwrap_or(TypeSet::ALL);
        for values in &node.values {
            self.spend(values.values.len());
            types = types.and(values.values.iter().map(TypeSet::of_value).fold(TypeSet::NONE, TypeSet::or));
        }
        if node.multiple_of.as_ref().is_some_and(|step| super::super::number::as_integer(step).is_some()) {
            types = types.without(TypeSet::FRACTION);
        }
        let mut complete = true;
        for part in node.links.reference.iter().chain(&node.links.all_of) {
            let (part, known) = self.possible_types_of(*part, level + 1);
            types = types.and(part);
            complete &= known;
        }
        for choice in [&node.links.any_of, &node.links.one_of].into_iter().filter(|choice| !choice.is_empty()) {
            let mut either = TypeSet::NONE;
            for part in choice {
                let (part, known) = self.possible_types_of(*part, level + 1);
                either = either.or(part);
                complete &= known;
            }
            types = types.and(either);
        }
        // The outermost result is kept, too, because asking again would not find more.
        if (complete || level == 0) && self.exhausted.is_none() {
            self.type_cache.insert(id, types);
        }
        (types, complete)
    }

    /// Returns the valid values if there are finitely many and the schemas list them.
    pub(super) fn finite_values(&mut self, writer: &Conjunction) -> Option<Rc<[Value]>> {
        if let Some(known) = self.finite_cache.get(writer) {
            return known.clone();
        }
        let values = self.list_values(writer);
        if self.exhausted.is_none() {
            self.hold(values.as_ref().map_or(0, |values| values.len() * VALUE_BYTES));
            self.finite_cache.insert(writer.clone(), values.clone());
        }
        values
    }

    fn list_values(&mut self, writer: &Conjunction) -> Option<Rc<[Value]>> {
        if let Some(parts) = self.open_choice(writer).filter(|_| !writer.iter().any(|id| !self.nodes[*id].values.is_empty())) {
            let mut values: Vec<Value> = Vec::new();
            for part in parts {
                // Only one level of choices is searched for lists of values.
                let part = self.flatten_with(writer, &part);
                if self.open_choice(&part).is_some() {
                    return None;
                }
                values.extend(self.finite_values(&part)?.iter().cloned());
            }
            return Some(values.into());
        }
        let lists = writer.iter().flat_map(|id| self.nodes[*id].values.clone());
        let shortest = lists.min_by_key(|list| list.values.len());
        let types = self.possible_types(writer);
        let values: Vec<Value> = match shortest {
            Some(list) => list.values.to_vec(),
            None if types.is_within(TypeSet::NULL.or(TypeSet::BOOLEAN)) => vec![Value::Null, Value::Bool(false), Value::Bool(true)],
            None => return None,
        };
        self.hold(values.len() * VALUE_BYTES);
        let mut left = Vec::new();
        for value in values {
            if !self.step() {
                return None;
            }
            if TypeSet::of_value(&value).is_within(types) && !writer.iter().any(|id| self.eval(*id, &value, 0) == Some(false)) {
                left.push(value);
            }
        }
        Some(left.into())
    }

    /// Returns an open choice of the writer, as the schemas that each branch adds. A choice of types counts only if the reader has a choice.
    pub(super) fn open_branches(&mut self, reader: SubschemaId, writer: &Conjunction) -> Option<Vec<Vec<SubschemaId>>> {
        let choice = self.open_choice(writer);
        let links = &self.nodes[reader].links;
        let has_choice = !links.any_of.is_empty() || !links.one_of.is_empty() || links.condition.is_some() || links.not.is_some();
        choice.or_else(|| has_choice.then(|| self.open_types(writer)).flatten())
    }

    /// Returns a choice of schemas that is open in the writer.
    pub(super) fn open_choice(&mut self, writer: &Conjunction) -> Option<Vec<Vec<SubschemaId>>> {
        self.spend(1 + writer.len() / 4);
        writer.iter().find_map(|id| self.open_choices_of(*id, writer).into_iter().next())
    }

    /// Returns all choices of schemas that are open in the writer.
    pub(super) fn open_choices(&mut self, writer: &Conjunction) -> Vec<Vec<Vec<SubschemaId>>> {
        self.spend(1 + writer.len());
        writer.iter().flat_map(|id| self.open_choices_of(*id, writer)).collect()
    }

    /// Returns the choices of one member that are open in the writer.
    fn open_choices_of(&self, id: SubschemaId, writer: &Conjunction) -> Vec<Vec<Vec<SubschemaId>>> {
        let links = &self.nodes[id].links;
        let has = |part: &SubschemaId| writer.binary_search(part).is_ok();
        let mut open = Vec::new();
        for choice in [&links.any_of, &links.one_of] {
            if choice.len() > 1 && !choice.iter().any(has) {
                open.push(choice.iter().map(|part| vec![*part]).collect());
            }
        }
        if let Some([condition, then, otherwise]) = links.condition
            && !(has(&condition) && has(&then) || has(&otherwise))
        {
            open.push(vec![vec![condition, then], vec![otherwise]]);
        }
        open
    }

    /// Returns the open types of the writer, if there are several.
    pub(super) fn open_types(&mut self, writer: &Conjunction) -> Option<Vec<Vec<SubschemaId>>> {
        let parts = self.possible_types(writer).parts();
        (parts.len() > 1).then(|| parts.into_iter().map(|part| vec![self.types + part]).collect())
    }

    /// Returns the schemas that apply to the property `name`, and whether a member names the property.
    pub(super) fn property_schemas(&mut self, writer: &[SubschemaId], name: &str) -> (Vec<SubschemaId>, bool) {
        self.spend(1 + writer.len());
        let (mut schemas, mut named) = (Vec::new(), false);
        for id in writer {
            let node = self.node(*id);
            let mut matched = Some(false);
            if let Some(schema) = node.links.properties.get(name) {
                schemas.push(*schema);
                (matched, named) = (Some(true), true);
            }
            for (pattern, schema) in &node.links.patterns {
                match self.pattern_matches(pattern, name) {
                    Some(true) => {
                        schemas.push(*schema);
                        matched = Some(true);
                    }
                    Some(false) => {}
                    None => matched = matched.filter(|matched| *matched),
                }
            }
            // If it is unknown whether a pattern matches, neither its schema nor that for other properties is sure to apply.
            if matched == Some(false) {
                schemas.extend(node.links.additional);
            }
        }
        (schemas, named)
    }

    /// Returns the schemas that apply to the item at `index`, and whether a member has a schema for this position.
    pub(super) fn item_schemas(&self, writer: &[SubschemaId], index: usize) -> (Vec<SubschemaId>, bool) {
        let (mut schemas, mut named) = (Vec::new(), false);
        for id in writer {
            let links = &self.nodes[*id].links;
            if let Some(schema) = links.prefix.get(index) {
                schemas.push(*schema);
                named = true;
            } else {
                schemas.extend(links.items);
            }
        }
        (schemas, named)
    }

    /// Returns whether a property is required.
    pub(super) fn is_required(&mut self, writer: &[SubschemaId], name: &str) -> bool {
        self.spend(1 + writer.iter().map(|id| 1 + self.nodes[*id].required.len() / 8).sum::<usize>());
        writer.iter().any(|id| self.nodes[*id].required.iter().any(|required| required == name))
    }

    /// Returns the maximum number of items.
    pub(super) fn most_items(&self, writer: &[SubschemaId]) -> Option<u64> {
        let sizes = writer.iter().flat_map(|id| {
            let node = &self.nodes[*id];
            let closed = node.links.items.is_some_and(|items| self.nodes[items].verdict == Some(false));
            [node.max_items, closed.then_some(node.links.prefix.len() as u64)]
        });
        sizes.flatten().min()
    }
}
